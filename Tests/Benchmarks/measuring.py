"""How the benchmarks measure: whole programs in turn, over several rounds, and the medians of their ratios."""

import os
import statistics
import subprocess
import sys
import time
from dataclasses import dataclass, field

ROUNDS = int(os.environ.get("BENCH_ROUNDS") or 5)
RECORDS = int(os.environ.get("BENCH_RECORDS") or 200_000)
RECORD_SIZE = 200


@dataclass
class Run:
    """The seconds a program took and its peak memory in MB."""

    seconds: float
    peak: float
    output: str


@dataclass
class Figure:
    """A line of the table. `at_least` says whether the figure must be above or below the target."""

    row: str
    work: str
    value: float
    target: float | None = None
    at_least: bool = True
    unit: str = "×"
    seen: str = ""

    @property
    def verdict(self):
        if self.target is None:
            return "–"
        is_met = self.value >= self.target if self.at_least else self.value <= self.target
        return "met" if is_met else "NOT met"

    @property
    def cells(self):
        sign = "≥" if self.at_least else "≤"
        target = "–" if self.target is None else f"{sign} {self.target:g} {self.unit}"
        return [self.row, self.work, f"{self.value:.2f} {self.unit}", target, self.verdict, self.seen]


@dataclass
class Series:
    """Measurements of several things, each once per round."""

    values: dict[str, list[float]] = field(default_factory=dict)

    def median(self, name):
        return statistics.median(self.values[name])

    def per_round(self, figure, *names):
        """The median of a figure over the rounds: a disturbance of one round affects all its sides."""
        return statistics.median(figure(*values) for values in zip(*(self.values[name] for name in names)))

    def ratio(self, above, below):
        return self.per_round(lambda one, other: one / other, above, below)


def say(text):
    print(text, file=sys.stderr, flush=True)


def rounds(work, *measures, count=None):
    """Calls each measure once a round, in the opposite order every other round; they return values by name."""
    series = Series()
    for number in range(count or ROUNDS):
        for measure in measures if number % 2 == 0 else reversed(measures):
            for name, value in measure().items():
                series.values.setdefault(name, []).append(value)
                say(f"  {work}, round {number + 1}: {name} {value:.4g}  (load {os.getloadavg()[0]:.1f})")
    return series


def run(command, env=None, cwd=None, stdout=subprocess.PIPE, stdin=subprocess.DEVNULL):
    """Runs a program to its end, which must be exit code 0."""
    start = time.perf_counter()
    process = subprocess.Popen(
        command, env=env, cwd=cwd, stdin=stdin, stdout=stdout, stderr=subprocess.PIPE, text=True
    )
    output = process.stdout.read() if process.stdout else ""
    talk = process.stderr.read()
    _, status, usage = os.wait4(process.pid, 0)
    seconds = time.perf_counter() - start
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise SystemExit(f"{' '.join(command)} ended with {process.returncode}:\n{talk[-2000:]}")
    return Run(seconds, usage.ru_maxrss / 1024, output)


def ended(process, seconds=20):
    """Ends a program that was started in the background, and waits for it."""
    process.terminate()
    try:
        process.wait(seconds)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def write_records(path, count):
    """Writes records of 200 bytes each, one a line."""
    with open(path, "w", encoding="ascii") as file:
        for number in range(count):
            head = f'{{"id":"r{number:08}","text":"'
            file.write(head + "x" * (RECORD_SIZE - len(head) - 2) + '"}\n')


def rate(count, seconds):
    return f"{count / seconds:,.0f}/s"
