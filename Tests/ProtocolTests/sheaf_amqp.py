"""Speaks Sheaf's protocol on RabbitMQ; written from docs/protocol.md alone, needs pika.
    python3 sheaf_amqp.py publish FLOW BATCH < records.jsonl
    python3 sheaf_amqp.py work BATCH
    python3 sheaf_amqp.py results BATCH

SHEAF_BROKER and SHEAF_NAMESPACE say where, as they do for sheaf."""

import json
import os
import signal
import sys
import uuid
from contextlib import suppress
from datetime import datetime, timezone

import pika

STREAM = {"x-queue-type": "stream"}
OVER = {"stopped", "cancelled", "finished"}
ROW = "index record_id status output error attempts errors started_at finished_at worker same_as".split()


def bounded(segment):
    return STREAM | {"x-max-length-bytes": 5 * segment, "x-stream-max-segment-size-bytes": segment}


def quorum(limit, dead_letters_to):
    dead_letters = {"x-dead-letter-exchange": "", "x-dead-letter-routing-key": dead_letters_to}
    safely = {"x-dead-letter-strategy": "at-least-once", "x-overflow": "reject-publish"}
    return {"x-queue-type": "quorum", "x-delivery-limit": limit} | dead_letters | safely


def now():
    return datetime.now(timezone.utc).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def compact(value):
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


def parsed(lines):
    for line in lines:
        with suppress(ValueError):  # unreadable lines are left out
            yield json.loads(line)


class Sheaf:  # on one connection; a busy program would publish on a second one
    def __init__(self):
        self.namespace = os.environ.get("SHEAF_NAMESPACE", "sheaf")
        parameters = pika.URLParameters(os.environ.get("SHEAF_BROKER", "amqp://localhost"))
        parameters.heartbeat, parameters.blocked_connection_timeout = 10, 30
        self.connection = pika.BlockingConnection(parameters)
        self.channel = self.connection.channel()
        self.channel.confirm_delivery()
        self.channel.basic_qos(prefetch_count=1)
        logs = {"journal": STREAM, "dead": STREAM, "progress": bounded(13421772), "heartbeats": bounded(4 << 20)}
        for log, arguments in logs.items():
            self.declare(self.name(log), arguments)
        self.batches, self.marks = {}, set()
        self.channel.basic_consume(self.name("journal"), self.on_entry, arguments={"x-stream-offset": "first"})

    def name(self, *words):
        return ".".join([self.namespace, *words])

    def declare(self, queue, arguments):
        self.channel.queue_declare(queue, durable=True, arguments=arguments)

    def send(self, target, kind, body, headers=None, content_type="application/json", identity=None):
        """Publishes and waits for the confirm; raises where there is no such target."""
        body = compact(body) if isinstance(body, dict) else body
        properties = pika.BasicProperties(content_type, None, headers, 2, message_id=identity, type=kind)
        self.channel.basic_publish("", target, body, properties, mandatory=True)
        return identity

    def write(self, batch, flow, event, **entry):
        self.send(self.name("journal"), event, {"at": now()} | entry, {"sheaf-batch": batch, "sheaf-flow": flow})

    def on_entry(self, channel, method, properties, body):
        """Takes over an entry of the journal: section 4."""
        channel.basic_ack(method.delivery_tag)
        if properties.type == "mark":
            return self.marks.add(properties.message_id)
        event, flow, entry = properties.type, properties.headers["sheaf-flow"], json.loads(body)
        if event == "created":
            self.batches.setdefault(properties.headers["sheaf-batch"], {"flow": flow, "options": {}} | entry)
        batch = self.batches.get(properties.headers["sheaf-batch"], {"finished": True})
        if "finished" in batch or event == "stopped" and "cancelled" in batch:
            return
        batch.setdefault(event, entry)
        for ended in ("paused", "stopped", "resumed") if event == "resumed" else ():
            batch.pop(ended, None)

    def catch_up(self):  # with the journal, to its present end
        mark = self.send(self.name("journal"), "mark", b"", identity=str(uuid.uuid4()))
        while mark not in self.marks:
            self.connection.process_data_events(time_limit=1)

    def publish(self, flow, batch, records, once=False):
        """Creates a batch of JSON objects, perhaps with identical ones that run once: section 6."""
        self.catch_up()
        if batch in self.batches:
            sys.exit(f"batch {batch} exists already")
        lock, delayed, undeliverable = map(self.name, (f"lock.creating.{batch}", "delayed", "undeliverable"))
        tasks, suspects = self.name("tasks", flow, batch, "0"), self.name("suspects", flow)
        self.channel.queue_declare(lock, exclusive=True)
        self.declare(self.name("results", batch), STREAM)
        self.declare(suspects, quorum(2, self.name("dead")))
        self.channel.exchange_declare(undeliverable, "fanout", durable=True)
        self.declare(undeliverable, {"x-queue-type": "quorum", "x-max-length": 0})
        self.channel.queue_bind(undeliverable, undeliverable, "")
        self.channel.exchange_declare(delayed, "direct", durable=True, arguments={"alternate-exchange": undeliverable})
        self.declare(tasks, quorum(3, suspects))
        self.channel.queue_bind(tasks, delayed, tasks)
        nonce, total, firsts, twins = str(uuid.uuid4()), 0, {}, []
        options = {"dedupe": True} if once else {}
        self.write(batch, flow, "created", options=options, source="sheaf_amqp.py", nonce=nonce)
        self.catch_up()
        if self.batches[batch]["nonce"] != nonce:
            sys.exit(f"another creator was first to create batch {batch}")
        for total, record in enumerate(records, 1):
            headers = {"sheaf-flow": flow, "sheaf-batch": batch, "sheaf-index": total - 1}
            headers["sheaf-record"] = str(record.get("id", total - 1))
            content = compact({name: value for name, value in sorted(record.items()) if name != "id"})
            if once and firsts.setdefault(content, total - 1) != total - 1:
                twins.append([total - 1, firsts[content], headers["sheaf-record"]])
                continue
            self.send(tasks, "task", compact(record), headers)
        if twins:
            self.send(self.name("results", batch), "twins", compact({"twins": twins}), {"sheaf-batch": batch})
        self.write(batch, flow, "sealed", total=total, twins=len(twins))
        self.channel.queue_delete(lock)
        return total

    def work(self, name, flows):
        """Runs the tasks of a batch until it is over, one at a time: section 7."""
        self.catch_up()
        batch, log, ran, sender = self.batches[name], self.name("results", name), 0, {"worker": f"python:{os.getpid()}"}
        tasks, channel = self.name("tasks", batch["flow"], name, "0"), self.connection.channel()
        while not OVER & batch.keys():
            try:
                method, properties, body = channel.basic_get(tasks)
            except pika.exceptions.ChannelClosedByBroker:  # the queue of a finished batch is deleted
                self.catch_up()
                continue
            self.connection.process_data_events(time_limit=0 if method else 0.05)  # is there news of the batch?
            if method and not (OVER | {"paused"}) & batch.keys():
                if ran == 0:
                    self.send(log, "started", sender | {"started_at": now()}, {"sheaf-batch": name})
                outcome = self.attempt(properties, body, flows[batch["flow"]], sender)
                if outcome["status"] == "failed" and batch["options"].get("error_policy") == "stop":
                    self.write(name, batch["flow"], "stopped", reason=f"task {outcome['index']} failed")
                self.send(log, "outcomes", compact(outcome) + "\n", {"sheaf-batch": name}, "application/x-ndjson")
                channel.basic_ack(method.delivery_tag)  # not before its outcome is confirmed
                ran += 1
            elif method:
                channel.basic_reject(method.delivery_tag, requeue=True)
        return ran

    def attempt(self, properties, body, flow, sender):
        """Runs a task. (A slow task needs a thread of its own, while this one serves the connection and repeats the heartbeat.)"""
        kind, record, parameters = "json" if properties.content_type == "application/json" else "text", None, None
        headers, index = properties.headers, int(properties.headers["sheaf-index"])
        outcome = {"index": index, "generation": int(headers.get("sheaf-generation", 0)), "status": "succeeded"}
        outcome["attempts"] = int(headers.get("sheaf-attempt", 1)) + headers.get("x-delivery-count", 0)
        outcome |= {"record_id": headers.get("sheaf-record", str(index)), "started_at": now()} | sender
        self.send(self.name("heartbeats"), "heartbeat", sender | {"running": {headers["sheaf-batch"]: [index]}})
        try:
            record = json.loads(body) if kind == "json" else body.decode()
            parameters = json.loads(headers.get("sheaf-parameters", "{}"))
            outcome["output"] = flow(record, parameters)
        except Exception as error:
            outcome |= {"status": "failed", "error": {"type": type(error).__name__, "message": str(error)}}
            outcome |= {"record_kind": kind, "record": record, "parameters": parameters}
        self.send(self.name("heartbeats"), "heartbeat", sender | {"running": {}})
        return outcome | {"finished_at": now()}

    def results(self, name):
        """The outcomes that stand, as rows like those of `sheaf results`: section 8."""
        self.catch_up()
        batch, log, seen = self.batches[name], self.name("results", name), set()
        total = batch["sealed"]["total"] if "sealed" in batch else 100_000_000
        end = batch["finished"]["end_offset"] if "finished" in batch else None
        mark = None if end else self.send(log, "mark", b"", identity=str(uuid.uuid4()))
        for method, properties, body in self.channel.consume(log, arguments={"x-stream-offset": "first"}):
            for outcome in parsed(body.splitlines() if properties.type == "outcomes" else []):
                index, generation = outcome["index"], outcome.get("generation", 0)
                if index < total and index not in seen and generation == 0 and outcome["status"] != "cancelled":
                    seen.add(index)
                    yield {"batch_id": name} | {
                        member: outcome.get(member)
                        for member in ROW
                        if member not in ("errors", "same_as") or member in outcome
                    }
            if properties.message_id == mark if mark else properties.headers["x-stream-offset"] + 1 >= end:
                return
            self.channel.basic_ack(method.delivery_tag)


def shout(record, parameters):  # a flow
    return record["text"].upper() + parameters.get("suffix", "!")


if __name__ == "__main__":
    signal.alarm(30)  # no wait lasts longer than this
    sheaf, (command, *names) = Sheaf(), sys.argv[1:]
    if command == "publish":
        print(sheaf.publish(*names[:2], map(json.loads, sys.stdin), once="once" in names[2:]))
    elif command == "work":
        print(sheaf.work(*names, {"shout": shout}))
    else:
        sys.stdout.writelines(compact(row) + "\n" for row in sheaf.results(*names))
