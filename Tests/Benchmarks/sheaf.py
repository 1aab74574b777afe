"""The command under test, on one broker and in a namespace of its own."""

import itertools
import os
import subprocess
import tempfile
from pathlib import Path

from measuring import ended, run, write_records

ROOT = Path(__file__).resolve().parents[2]
BUILT = ROOT / ".build" / "release"
RABBITMQ = os.environ.get("SHEAF_TEST_AMQP_URL", "")
NUMBERS = itertools.count(1)

CONFIGURATION = """\
flows:
  echo:
    echo: true
  nothing:
    exec: ["true"]
  second:
    exec: ["sleep", "1"]
"""


class Sheaf:
    """A folder with a configuration; each has its own namespace, so that the logs of other runs are not read."""

    def __init__(self, broker=None):
        self.folder = tempfile.TemporaryDirectory(prefix="sheaf-bench-")
        self.path = Path(self.folder.name)
        (self.path / "sheaf.yaml").write_text(CONFIGURATION)
        self.broker = broker or f"embedded:{self.path}/.sheaf"
        self.namespace = f"bench{os.getpid()}-{next(NUMBERS)}"
        self.env = dict(os.environ, SHEAF_BROKER=self.broker, SHEAF_NAMESPACE=self.namespace)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        if self.broker.startswith("amqp"):
            for batch in self.batches:
                self("delete", batch, "--force")
        self.folder.cleanup()

    @property
    def batches(self):
        return [line.split()[0] for line in self("list").output.splitlines()[1:]]

    def __call__(self, *arguments, stdout=subprocess.PIPE):
        return run([str(BUILT / "sheaf"), *arguments], env=self.env, cwd=self.path, stdout=stdout)

    def create(self, records, *options, flow="echo"):
        return self("create", flow, str(records), *options)

    def drain(self, concurrency=64, *options):
        return self("run", "-c", str(concurrency), "--until-empty", *options)

    def start(self, *arguments):
        """Starts a worker in the background."""
        return subprocess.Popen(
            [str(BUILT / "sheaf"), "run", *arguments],
            env=self.env,
            cwd=self.path,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )

    def stop(self, worker):
        ended(worker)

    def probe(self, *arguments):
        program, (verb, *rest) = str(BUILT / "BenchProbe"), arguments
        return run([program, verb, self.broker, self.namespace, *map(str, rest)]).output


def raw(loop, place, *arguments):
    """Runs one of the loops without Sheaf and returns the seconds it has measured."""
    return float(run([str(BUILT / "RawLoops"), loop, str(place), *map(str, arguments)]).output)


class Records:
    """Files of records, each written once."""

    def __init__(self):
        self.folder = tempfile.TemporaryDirectory(prefix="sheaf-bench-records-")

    def __call__(self, count):
        path = Path(self.folder.name) / f"{count}.jsonl"
        if not path.exists():
            write_records(path, count)
        return path


records = Records()
