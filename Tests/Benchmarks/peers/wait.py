"""Waits until a file has COUNT lines: `wait.py FILE COUNT`."""

import sys
import time
from pathlib import Path

LIMIT = 600


def main(path, count):
    start = time.monotonic()
    while Path(path).read_text(encoding="ascii").count("\n") < int(count):
        if time.monotonic() - start > LIMIT:
            sys.exit(f"{path} has not got {count} lines in {LIMIT} s")
        time.sleep(0.05)


main(*sys.argv[1:])
