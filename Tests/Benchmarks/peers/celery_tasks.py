"""What Celery runs: `publish COUNT` fills its queue, `group COUNT` prints the seconds until all results are there."""

import os
import sys
import time

from celery import Celery, group

app = Celery("celery_tasks", broker=os.environ["BENCH_BROKER"], backend="rpc://")
app.conf.update(
    task_acks_late=True,
    task_default_queue="bench.celery",
    task_default_queue_type="quorum",
    broker_transport_options={"confirm_publish": True},
    worker_prefetch_multiplier=500,
    worker_send_task_events=False,
    task_serializer="json",
    result_serializer="json",
)
RECORD = "x" * 198


@app.task(name="echo")
def echo(record):
    return record


@app.task(name="mark", ignore_result=True)
def mark():
    with open(os.environ["BENCH_MARKS"], "a", encoding="ascii") as file:
        print(time.monotonic(), file=file)


def publish(count):
    with app.producer_pool.acquire(block=True) as producer:
        mark.apply_async(producer=producer)
        for _ in range(count):
            echo.apply_async((RECORD,), producer=producer)
        mark.apply_async(producer=producer)


def run_group(count):
    echo.delay(RECORD).get(timeout=60)  # once without looking at the clock: the worker may still be starting
    start = time.monotonic()
    results = group(echo.s(RECORD) for _ in range(count)).apply_async().get(timeout=600)
    assert len(results) == count
    print(time.monotonic() - start)


if __name__ == "__main__":
    {"publish": publish, "group": run_group}[sys.argv[1]](int(sys.argv[2]))
