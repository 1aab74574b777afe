"""Row 9, and the memory of row 4: the peak of a process as reported by the kernel."""

from measuring import RECORDS, Figure, rounds
from sheaf import RABBITMQ, Sheaf, records

SMALL, MIDDLE, LARGE = RECORDS // 10, RECORDS * 5, RECORDS * 10
# The memory of a process apart from its task states varies by this many MB between runs.
CONSTANT = 4


def create(name, count):
    with Sheaf(RABBITMQ) as sheaf:
        return {f"create {name}": sheaf.create(records(count)).peak}


def work(name, count):
    with Sheaf(RABBITMQ) as sheaf:
        sheaf.create(records(count))
        return {f"worker {name}": sheaf.drain().peak}


def fold(name, count):
    with Sheaf(RABBITMQ) as sheaf:
        sheaf.probe("results", "ready", count)
        return {f"fold {name}": sheaf("status", "ready").peak}


def measure(wanted):
    figures = []
    if "9" in wanted:
        figures += measure_processes()
    if "4" in wanted:
        series = rounds("row 4, memory", lambda: fold("small", RECORDS), lambda: fold("large", MIDDLE))
        grown = series.median("fold large") - series.median("fold small")
        allowed = 2 * (MIDDLE - RECORDS) / 8 / 1e6 + CONSTANT
        seen = f"{series.median('fold small'):.0f} MB for {RECORDS:,}, {series.median('fold large'):.0f} MB for {MIDDLE:,}"
        figures.append(Figure("4", "fold: memory grows by", grown, allowed, False, "MB", seen))
    return figures


def measure_processes():
    series = rounds("row 9", lambda: create("small", SMALL), lambda: create("large", LARGE))
    series.values |= rounds("row 9", lambda: work("small", SMALL), lambda: work("large", MIDDLE)).values

    def ratio(kind):
        return series.ratio(f"{kind} large", f"{kind} small")

    def peak(kind):
        return series.median(f"{kind} large")

    return [
        Figure("9", f"create: memory for {LARGE:,} records / {SMALL:,}", ratio("create"), 1.3, False),
        Figure("9", f"create: peak for {LARGE:,}", peak("create"), 100, False, "MB"),
        Figure("9", f"worker: memory for {MIDDLE:,} tasks / {SMALL:,}", ratio("worker"), 1.3, False),
        Figure("9", f"worker: peak for {MIDDLE:,}", peak("worker"), 100, False, "MB"),
    ]
