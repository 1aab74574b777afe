"""Rows 8 and 11: what a `sheaf status` costs by the size of the batch, and what starting costs."""

import os
import sys

from measuring import RECORDS, Figure, rounds, run
from sheaf import BUILT, RABBITMQ, Sheaf

MILLION = 5 * RECORDS
THOUSAND = MILLION // 1000
LOOKS = 9
STARTS = 20


def fastest(name, count, call):
    """The least of some times, because what disturbs a short program only ever adds to it."""
    return {name: min(call().seconds for _ in range(count))}


def measure_status(_):
    with Sheaf(RABBITMQ) as large, Sheaf(RABBITMQ) as small:
        for sheaf, count in ((large, MILLION), (small, THOUSAND)):
            sheaf.probe("results", "ready", count)
            sheaf("status", "ready")  # the first one sums up and ends the batch
        series = rounds(
            "row 8",
            lambda: fastest("large", LOOKS, lambda: large("status", "ready")),
            lambda: fastest("small", LOOKS, lambda: small("status", "ready")),
        )
    seen = ", ".join(f"{name} {series.median(name) * 1000:.1f} ms" for name in ("large", "small"))
    work = f"status of {MILLION:,} tasks / of {THOUSAND:,}"
    return [Figure("8", work, series.ratio("large", "small"), 1.5, False, seen=seen)]


def measure_start(_):
    # Not a shim that chooses among several Pythons.
    python = os.path.realpath(os.path.join(sys.base_prefix, "bin", "python3"))
    series = rounds(
        "row 11",
        lambda: fastest("sheaf", STARTS, lambda: run([str(BUILT / "sheaf"), "--version"])),
        lambda: fastest("python3", STARTS, lambda: run([python, "-c", "pass"])),
    )
    seen = ", ".join(f"{name} {series.median(name) * 1000:.1f} ms" for name in ("sheaf", "python3"))
    return [Figure("11", "sheaf --version / python3 -c pass", series.ratio("sheaf", "python3"), 1, False, seen=seen)]
