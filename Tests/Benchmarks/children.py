"""Row 13: a program that lives for many tasks, beside the same program on a plain pipe."""

import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from measuring import RECORDS, Figure, rate, rounds, run
from sheaf import Sheaf, records

TASKS = max(100, RECORDS // 2)
CHILD = """\
import json, sys
for line in sys.stdin:
    task = json.loads(line)
    print(json.dumps({"task_id": task["task_id"], "output": len(task["record"]["text"])}), flush=True)
"""


class Child:
    """The program, and the lines that it reads without Sheaf."""

    def __init__(self):
        self.folder = tempfile.TemporaryDirectory(prefix="sheaf-bench-child-")
        self.program = Path(self.folder.name) / "child.py"
        self.program.write_text(CHILD)
        self.command = [sys.executable, str(self.program)]
        self.lines = Path(self.folder.name) / "lines"
        with open(records(TASKS), encoding="ascii") as source, open(self.lines, "w", encoding="ascii") as lines:
            for number, line in enumerate(source):
                task = {"task_id": f"b:{number}", "record_id": f"r:{number}", "record": json.loads(line)}
                lines.write(json.dumps(task | {"parameters": {}, "attempt": 1}) + "\n")

    def worker(self):
        with Sheaf() as sheaf:
            with open(sheaf.path / "sheaf.yaml", "a", encoding="ascii") as configuration:
                configuration.write(f"  child:\n    process: {json.dumps(self.command)}\n")
            sheaf.create(records(TASKS), flow="child")
            return {"sheaf": sheaf.drain(1).seconds}

    def pipe(self):
        """All lines at once."""
        with open(self.lines, encoding="ascii") as lines, open(os.devnull, "w", encoding="ascii") as nowhere:
            return {"pipe": run(self.command, stdin=lines, stdout=nowhere).seconds}

    def one_by_one(self):
        """Each line after the answer to the line before, as a worker does if answers name no tasks."""
        lines = self.lines.read_bytes().splitlines(keepends=True)
        with subprocess.Popen(self.command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as child:
            start = time.perf_counter()
            for line in lines:
                child.stdin.write(line)
                child.stdin.flush()
                child.stdout.readline()
            seconds = time.perf_counter() - start
            child.stdin.close()
        return {"one by one": seconds}


def measure(_):
    child = Child()
    series = rounds("row 13", child.worker, child.pipe, child.one_by_one)
    names = ("sheaf", "pipe", "one by one")
    seen = ", ".join(f"{name} {rate(TASKS, series.median(name))}" for name in names)
    return [
        Figure("13", "one child / the same at a pipe", series.ratio("pipe", "sheaf"), 0.5, seen=seen),
        Figure("13", "one child / the same, line by line", series.ratio("one by one", "sheaf")),
    ]
