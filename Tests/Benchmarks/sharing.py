"""Row 10: that nothing is hoarded, and that a worker with few slots does not wait for its next task."""

import time

from measuring import RECORDS, Figure, rate, rounds
from sheaf import RABBITMQ, Sheaf, records

SECONDS = 20


def two_workers():
    with Sheaf(RABBITMQ) as sheaf:
        sheaf.create(records(SECONDS), flow="second")
        start = time.perf_counter()
        workers = [sheaf.start("-c", "1", "--until-empty") for _ in range(2)]
        for worker in workers:
            worker.wait()
        return {"two workers": time.perf_counter() - start}


def echo(name, concurrency):
    with Sheaf(RABBITMQ) as sheaf:
        sheaf.create(records(RECORDS // 2))
        return {name: sheaf.drain(concurrency).seconds}


def measure(_):
    series = rounds("row 10", two_workers)
    series.values |= rounds("row 10", lambda: echo("one slot", 1), lambda: echo("64 slots", 64)).values
    seen = ", ".join(f"{name} {rate(RECORDS // 2, series.median(name))}" for name in ("one slot", "64 slots"))
    return [
        Figure("10", "two workers, 20 tasks of 1 s", series.median("two workers"), 11.5, False, "s"),
        Figure("10", "echo: one slot / 64 slots", series.ratio("64 slots", "one slot"), seen=seen),
    ]
