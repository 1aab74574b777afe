"""Rows 5 and 6: the embedded broker beside plain SQLite, and programs beside xargs and GNU parallel."""

import os
import tempfile
from pathlib import Path

from measuring import RECORDS, Figure, rate, rounds, run
from sheaf import Sheaf, raw, records

# The batch size with which the embedded broker publishes, delivers and acknowledges.
ROWS = 500
PROGRAMS = max(100, RECORDS // 100)


def create_and_drain():
    with Sheaf() as sheaf:
        return {"sheaf": sheaf.create(records(RECORDS)).seconds + sheaf.drain().seconds}


def plain_loop():
    with tempfile.TemporaryDirectory(prefix="sheaf-bench-") as folder:
        return {"SQLite": raw("sqlite", Path(folder) / "raw.sqlite", RECORDS, 200, ROWS)}


def measure_sqlite(_):
    series = rounds("row 5", create_and_drain, plain_loop)
    seen = ", ".join(f"{name} {rate(RECORDS, series.median(name))}" for name in ("sheaf", "SQLite"))
    return [Figure("5", "embedded / plain SQLite loop", series.ratio("SQLite", "sheaf"), 0.5, seen=seen)]


def programs():
    with Sheaf() as sheaf:
        sheaf.create(records(PROGRAMS), flow="nothing")
        return {"sheaf": sheaf.drain(5).seconds}


def fed(name, *command):
    """A program that starts `true` for each line that it reads."""

    def measure():
        with open(records(PROGRAMS), encoding="ascii") as lines, open(os.devnull, "w", encoding="ascii") as nowhere:
            return {name: run(list(command), stdin=lines, stdout=nowhere).seconds}

    return measure


def measure_programs(_):
    # xargs would take quotes for its own; -d leaves each line as it is.
    xargs = fed("xargs", "xargs", "-P", "5", "-d", "\n", "-n", "1", "true")
    parallel = fed("parallel", "parallel", "-j", "5", "true")
    series = rounds("row 6", programs, xargs, parallel)
    seen = ", ".join(f"{name} {rate(PROGRAMS, series.median(name))}" for name in ("sheaf", "xargs", "parallel"))
    return [
        Figure("6", "exec of true / xargs -P 5", series.ratio("xargs", "sheaf"), 1, seen=seen),
        Figure("6", "exec of true / parallel -j 5", series.ratio("parallel", "sheaf"), 4),
    ]
