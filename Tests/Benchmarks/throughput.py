"""Rows 1, 2 and 4: creating, draining and folding on RabbitMQ, beside the loops straight on librabbitmq."""

from measuring import RECORDS, Figure, rate, rounds
from peers import CELERY_RECORDS, DRAMATIQ_RECORDS, celery_drain, dramatiq_drain
from sheaf import RABBITMQ, Sheaf, raw, records

QUEUE = "bench.raw"


def create_and_drain():
    with Sheaf(RABBITMQ) as sheaf:
        create = sheaf.create(records(RECORDS))
        return {"create": create.seconds, "drain": sheaf.drain().seconds}


def publish_and_consume():
    publish = raw("publish", RABBITMQ, RECORDS, 200, QUEUE)
    return {"raw publish": publish, "raw consume": raw("consume", RABBITMQ, RECORDS, QUEUE)}


def fold():
    """Reads a results log to its end, sums it up and ends its batch: a whole `sheaf status`."""
    with Sheaf(RABBITMQ) as sheaf:
        sheaf.probe("results", "ready", RECORDS)
        return {"fold": sheaf("status", "ready").seconds}


def measure(wanted):
    measures = [publish_and_consume, create_and_drain]
    if "2" in wanted:
        measures += [celery_drain, dramatiq_drain]
    if "4" in wanted:
        measures.append(fold)
    return list(figures(rounds("rows 1, 2, 4", *measures), wanted))


def figures(series, wanted):
    def seen(*names):
        return ", ".join(f"{name} {rate(RECORDS, series.median(name))}" for name in names)

    if "1" in wanted:
        ratio = series.ratio("raw publish", "create")
        yield Figure("1", "create / raw publish loop", ratio, 0.7, seen=seen("create", "raw publish"))
    if "2" in wanted:
        ratio = series.ratio("raw consume", "drain")
        yield Figure("2", "drain / raw consume loop", ratio, 0.4, seen=seen("drain", "raw consume"))
        for peer, count, target in (("Celery", CELERY_RECORDS, 10), ("Dramatiq", DRAMATIQ_RECORDS, None)):
            ratio = series.ratio(peer, "drain") * RECORDS / count
            text = f"{peer} {rate(count, series.median(peer))}"
            yield Figure("2", f"drain / {peer}'s drain", ratio, target, seen=text)
    if "4" in wanted:
        yield Figure("4", "fold / drain", series.ratio("drain", "fold"), 5, seen=seen("fold", "drain"))
