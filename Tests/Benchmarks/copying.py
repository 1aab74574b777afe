"""Row 14: that queues of other programs, bound to the exchange of outcomes, do not slow a drain down."""

import json
import threading
import time
from datetime import datetime

import pika
from measuring import RECORDS, Figure, rate, rounds
from sheaf import RABBITMQ, Sheaf, records

COUNT = RECORDS // 4
QUEUES = {
    "healthy": {},
    "full": {"x-max-length": 100, "x-overflow": "reject-publish"},
    "deleted": {"x-queue-type": "quorum"},
}


class Strangers:
    """Queues of another program: a healthy one, a full one, and one that is deleted in the middle."""

    def __init__(self, exchange):
        self.exchange = exchange
        self.connection = pika.BlockingConnection(pika.URLParameters(RABBITMQ))
        self.channel = self.connection.channel()

    def __enter__(self):
        self.channel.exchange_declare(self.exchange, "topic", durable=True)
        for name, arguments in QUEUES.items():
            self.channel.queue_declare(self.name(name), durable=True, arguments=arguments)
            self.channel.queue_bind(self.name(name), self.exchange, "#")
        return self

    def __exit__(self, *_):
        for name in QUEUES:
            self.channel.queue_delete(self.name(name))
        self.channel.exchange_delete(self.exchange)
        self.connection.close()

    def name(self, name):
        return f"{self.exchange}.{name}"

    def delete_one(self):
        with pika.BlockingConnection(pika.URLParameters(RABBITMQ)) as connection:
            connection.channel().queue_delete(self.name("deleted"))

    def missing(self, seconds=120):
        """The indices that the healthy queue does not get in this time."""
        missing = set(range(COUNT))
        end = time.monotonic() + seconds
        while missing and time.monotonic() < end:
            method, properties, _ = self.channel.basic_get(self.name("healthy"), auto_ack=True)
            if method is None:
                time.sleep(0.05)
            else:
                missing.discard(properties.headers.get("sheaf-index"))
        return missing


def drain(sheaf):
    """The seconds from the first task's start to the batch's end: a worker that leaves still copies for a while."""
    sheaf.drain()
    batch = json.loads(sheaf("status", "last", "--json").output)
    started, finished = (datetime.fromisoformat(batch[key][:-1]) for key in ("started_at", "finished_at"))
    return (finished - started).total_seconds()


def alone():
    with Sheaf(RABBITMQ) as sheaf:
        sheaf.create(records(COUNT))
        return {"alone": drain(sheaf)}


def with_strangers():
    with Sheaf(RABBITMQ) as sheaf, Strangers(f"{sheaf.namespace}.results") as strangers:
        sheaf.create(records(COUNT))
        timer = threading.Timer(1, strangers.delete_one)
        timer.start()
        seconds = drain(sheaf)
        timer.join()
        worker = sheaf.start()
        missing = strangers.missing()
        sheaf.stop(worker)
        if missing:
            raise SystemExit(f"the healthy queue lacks {len(missing)} of {COUNT} outcomes")
        return {"with strangers": seconds}


def measure(_):
    series = rounds("row 14", alone, with_strangers)
    seen = ", ".join(f"{name} {rate(COUNT, series.median(name))}" for name in ("alone", "with strangers"))
    ratio = series.ratio("alone", "with strangers")
    return [Figure("14", "drain beside queues of others / alone", ratio, 0.9, seen=seen)]
