"""Celery and Dramatiq, on the same RabbitMQ node: quorum queues, publisher confirms, acknowledged late."""

import os
import subprocess
import sys
import tempfile
from pathlib import Path

from measuring import ended, run
from sheaf import RABBITMQ

FOLDER = Path(__file__).parent / "peers"
# They take a while, and their rates do not depend on the number.
CELERY_RECORDS = int(os.environ.get("BENCH_PEER_RECORDS") or 10_000)
DRAMATIQ_RECORDS = CELERY_RECORDS
BIN = Path(sys.executable).parent


def environment(marks=""):
    return dict(os.environ, BENCH_BROKER=RABBITMQ, BENCH_MARKS=str(marks))


def celery_worker(env):
    """One worker process in the pool that was seen to be its fastest for tasks that do nothing."""
    options = ["worker", "--pool", "threads", "--concurrency", "8", "--without-gossip", "--without-mingle", "--without-heartbeat"]
    return [str(BIN / "celery"), "--app", "celery_tasks", *options, "--loglevel", "error"], env


def dramatiq_worker(env):
    """One worker process with its default of eight threads."""
    return [str(BIN / "dramatiq"), "--processes", "1", "--threads", "8", "dramatiq_tasks"], env


def drain(name, worker, program, count):
    """Fills a queue, then starts a worker; its first and its last task write down when they ran."""
    with tempfile.NamedTemporaryFile(prefix="sheaf-bench-marks-") as marks:
        env = environment(marks.name)
        run([sys.executable, program, "publish", str(count)], env=env, cwd=FOLDER)
        process = start(*worker(env))
        try:
            # Blocks until the last task has run, which answers through the file.
            run([sys.executable, "wait.py", marks.name, "2"], cwd=FOLDER)
        finally:
            ended(process)
        first, last = (float(line) for line in Path(marks.name).read_text().split())
        return {name: last - first}


def start(command, env):
    return subprocess.Popen(
        command, env=env, cwd=FOLDER, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )


def celery_drain():
    return drain("Celery", celery_worker, "celery_tasks.py", CELERY_RECORDS)


def dramatiq_drain():
    return drain("Dramatiq", dramatiq_worker, "dramatiq_tasks.py", DRAMATIQ_RECORDS)


def celery_group(count):
    """The seconds of `group(...).apply_async()` and `.get()` with a worker that runs already."""
    env = environment()
    process = start(*celery_worker(env))
    try:
        return float(run([sys.executable, "celery_tasks.py", "group", str(count)], env=env, cwd=FOLDER).output)
    finally:
        ended(process)
