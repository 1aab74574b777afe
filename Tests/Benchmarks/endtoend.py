"""Rows 3 and 7: a batch from its creation until its results are read, and one task alone."""

import subprocess
import time

from measuring import RECORDS, Figure, rate, rounds
from peers import celery_group
from sheaf import RABBITMQ, Sheaf, raw, records

GROUP = max(100, RECORDS // 100)
TASKS = 200


def whole_job():
    """`create --wait` and then `results`, with a worker that runs already."""
    with Sheaf(RABBITMQ) as sheaf:
        worker = sheaf.start("-c", "64")
        try:
            sheaf.create(records(1), "--wait")  # once without looking at the clock: the worker may still be starting
            start = time.perf_counter()
            sheaf.create(records(RECORDS), "--wait")
            sheaf("results", "last", stdout=subprocess.DEVNULL)
            return {"sheaf": time.perf_counter() - start}
        finally:
            sheaf.stop(worker)


def measure_job(_):
    series = rounds("row 3", whole_job, lambda: {"Celery": celery_group(GROUP)})
    ratio = series.ratio("Celery", "sheaf") * RECORDS / GROUP
    seen = f"sheaf {rate(RECORDS, series.median('sheaf'))}, Celery {rate(GROUP, series.median('Celery'))}"
    return [Figure("3", "create, run, read / Celery's group().get()", ratio, 25, seen=seen)]


def one_task():
    with Sheaf(RABBITMQ) as sheaf:
        worker = sheaf.start("-c", "64")
        try:
            return {"task": float(sheaf.probe("latency", TASKS))}
        finally:
            sheaf.stop(worker)


def round_trip():
    return {"round trip": raw("roundtrip", RABBITMQ, TASKS, 200, "bench.roundtrip")}


def measure_latency(_):
    series = rounds("row 7", one_task, round_trip)
    seen = ", ".join(f"{name} {series.median(name) * 1000:.2f} ms" for name in ("task", "round trip"))
    return [Figure("7", "one task / raw round trip", series.ratio("task", "round trip"), 4, False, seen=seen)]
