"""What Dramatiq runs: `publish COUNT` fills its queue."""

import os
import sys
import time

import dramatiq
from dramatiq.brokers.rabbitmq import RabbitmqBroker


class QuorumBroker(RabbitmqBroker):
    """Dramatiq has no setting for quorum queues."""

    def _build_queue_arguments(self, queue_name):
        return super()._build_queue_arguments(queue_name) | {"x-queue-type": "quorum"}


broker = QuorumBroker(url=os.environ["BENCH_BROKER"], confirm_delivery=True)
dramatiq.set_broker(broker)


@dramatiq.actor(queue_name="bench-dramatiq")
def echo(record):
    return record


@dramatiq.actor(queue_name="bench-dramatiq")
def mark():
    with open(os.environ["BENCH_MARKS"], "a", encoding="ascii") as file:
        print(time.monotonic(), file=file)


if __name__ == "__main__":
    mark.send()
    for _ in range(int(sys.argv[2])):
        echo.send("x" * 198)
    mark.send()
