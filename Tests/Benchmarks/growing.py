"""Row 12: what a task costs as its batch grows, and as batches share a worker."""

from measuring import RECORDS, Figure, rate, rounds
from sheaf import RABBITMQ, Sheaf, raw, records

TINY, SMALL, LARGE = RECORDS // 20, RECORDS // 2, RECORDS * 5
BATCHES = 100


def whole(count):
    with Sheaf(RABBITMQ) as sheaf:
        return sheaf.create(records(count)).seconds + sheaf.drain().seconds


def raw_whole(count):
    return raw("publish", RABBITMQ, count, 200, "bench.size") + raw("consume", RABBITMQ, count, "bench.size")


def growth(call):
    """What a task more costs in a large batch, by what it costs in a small one; starting and leaving cost both the same."""
    tiny, small, large = call(TINY), call(SMALL), call(LARGE)
    return (large - small) / (LARGE - SMALL) / ((small - tiny) / (SMALL - TINY))


def measure_size(_):
    series = rounds("row 12", lambda: {"sheaf": growth(whole)}, lambda: {"raw": growth(raw_whole)})
    work = f"cost of a task, {SMALL:,} to {LARGE:,} / {TINY:,} to {SMALL:,}"
    seen = f"raw loops {series.median('raw'):.2f} ×"
    return [Figure("12", work, series.median("sheaf"), 1.15, False, seen=seen)]


def drain(name, batches):
    with Sheaf(RABBITMQ) as sheaf:
        path = records(SMALL // batches)
        for _ in range(batches):
            sheaf.create(path)
        return {name: sheaf.drain().seconds}


def raw_drain(name, count):
    queues = [f"bench.many{number}" for number in range(count)]
    raw("publish", RABBITMQ, SMALL, 200, *queues)
    return {name: raw("consume", RABBITMQ, SMALL, *queues)}


def measure_batches(_):
    series = rounds(
        "row 12",
        lambda: drain("one batch", 1),
        lambda: drain("many batches", BATCHES),
        lambda: raw_drain("one queue", 1),
        lambda: raw_drain("many queues", BATCHES),
    )
    sheaf, plain = series.ratio("one batch", "many batches"), series.ratio("one queue", "many queues")
    many = rate(SMALL, series.median("many batches"))
    seen = f"sheaf keeps {sheaf:.2f} ({many}), raw loop keeps {plain:.2f}"
    return [Figure("12", f"rate kept from 1 to {BATCHES} batches / raw loop's", sheaf / plain, 0.85, seen=seen)]
