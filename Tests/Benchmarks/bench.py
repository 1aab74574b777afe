"""Measures what Sheaf costs, beside programs that do the same without it, and prints a table. Run it by `make bench`.

BENCH_ROWS="1 2" measures some rows only, BENCH_RECORDS=20000 with fewer records, BENCH_ROUNDS=1 with fewer rounds."""

import os
import platform
import re
import subprocess
import sys
from datetime import datetime, timezone

import bulking
import children
import copying
import embedded
import endtoend
import growing
import memory
import observing
import reading
import serving
import sharing
import throughput
from measuring import RECORDS, ROUNDS, say
from sheaf import BUILT, RABBITMQ

GROUPS = [
    ({"1", "2", "4"}, throughput.measure),
    ({"3"}, endtoend.measure_job),
    ({"4", "9"}, memory.measure),
    ({"5"}, embedded.measure_sqlite),
    ({"6"}, embedded.measure_programs),
    ({"7"}, endtoend.measure_latency),
    ({"8"}, reading.measure_status),
    ({"10"}, sharing.measure),
    ({"11"}, reading.measure_start),
    ({"12"}, growing.measure_size),
    ({"12"}, growing.measure_batches),
    ({"13"}, children.measure),
    ({"14"}, copying.measure),
    ({"15"}, serving.measure_transfers),
    ({"16"}, serving.measure_answers),
    ({"17"}, observing.measure),
    ({"18"}, bulking.measure),
]
HEAD = ["row", "work", "figure", "target", "", "seen (medians)"]


def main():
    if not RABBITMQ:
        sys.exit("SHEAF_TEST_AMQP_URL is not set: `make bench` starts a RabbitMQ node and sets it")
    wanted = set(re.split(r"[ ,]+", os.environ.get("BENCH_ROWS", "").strip())) - {""}
    wanted = wanted or set().union(*(rows for rows, _ in GROUPS))
    figures = []
    for rows, measure in GROUPS:
        if rows & wanted:
            say(f"measuring {', '.join(sorted(rows & wanted, key=int))}")
            figures += measure(wanted)
    figures.sort(key=lambda figure: int(figure.row))
    print_machine()
    print_table([HEAD] + [figure.cells for figure in figures])


def print_machine():
    sheaf = subprocess.run([str(BUILT / "sheaf"), "--version"], capture_output=True, text=True, check=True)
    packages = ["rabbitmq-server", "librabbitmq4", "libsqlite3-0", "parallel", "findutils"]
    query = ["dpkg-query", "-W", "-f", "${Package} ${Version}, ", *packages]
    versions = subprocess.run(query, capture_output=True, text=True, check=False).stdout
    peers = subprocess.run([sys.executable, "-m", "pip", "freeze"], capture_output=True, text=True, check=True).stdout
    peers = [line for line in peers.split() if line.split("==")[0] in ("celery", "dramatiq", "pika", "amqp", "kombu")]
    print(f"{datetime.now(timezone.utc):%Y-%m-%d %H:%M} UTC, {processor()}, {os.cpu_count()} cores, {platform.release()}")
    print(f"sheaf {sheaf.stdout.strip()}, {versions}Python {platform.python_version()}, {', '.join(peers)}")
    print(f"{RECORDS:,} records of 200 bytes, {ROUNDS} rounds, load at the end {os.getloadavg()[0]:.1f}\n")


def processor():
    with open("/proc/cpuinfo", encoding="utf-8") as file:
        names = [line.split(":", 1)[1].strip() for line in file if line.startswith("model name")]
    return names[0] if names else platform.machine()


def print_table(rows):
    widths = [max(len(row[column]) for row in rows) for column in range(len(HEAD))]
    rows.insert(1, ["-" * width for width in widths])
    for row in rows:
        print("| " + " | ".join(cell.ljust(width) for cell, width in zip(row, widths)) + " |")


main()
