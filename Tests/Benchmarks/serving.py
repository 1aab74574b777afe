"""Rows 15 and 16: the server's uploads, downloads, answers and memory."""

import http.client
import itertools
import json
import os
import statistics
import subprocess
import threading
import time

from measuring import RECORDS, Figure, ended, rate, rounds
from sheaf import BUILT, RABBITMQ, Sheaf, records

LARGE = RECORDS * 5
BATCHES = 1_000
CLIENTS = 100
CHUNK = 1 << 20
# What row 16 asks for: the path, the most milliseconds, and the most KB if that is limited too.
LIMITS = {"/": (200, 100), "/api/batches": (20, None), "/api/batches/large": (5, None), "/metrics": (20, 50)}


class Server:
    """A running `sheaf serve`."""

    def __init__(self, sheaf):
        self.process = subprocess.Popen(
            [str(BUILT / "sheaf"), "serve", "--port", "0"],
            env=sheaf.env,
            cwd=sheaf.path,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
        )

    def __enter__(self):
        line = next(line for line in self.process.stderr if line.startswith("listening"))
        self.port = int(line.rsplit(":", 1)[1])
        threading.Thread(target=self.process.stderr.read, daemon=True).start()
        return self

    def __exit__(self, *_):
        ended(self.process)

    def connection(self):
        return http.client.HTTPConnection("127.0.0.1", self.port, timeout=600)

    def get(self, path, **headers):
        """The body of an answer and the seconds that it took."""
        connection = self.connection()
        start = time.perf_counter()
        connection.request("GET", path, headers=headers)
        response = connection.getresponse()
        body = response.read()
        seconds = time.perf_counter() - start
        connection.close()
        if response.status != 200:
            raise SystemExit(f"GET {path}: {response.status} {body[:200]}")
        return body, seconds

    def post(self, path, body, kind):
        """The seconds until a batch is created."""
        connection = self.connection()
        start = time.perf_counter()
        connection.request("POST", path, body=body, headers={"Content-Type": kind})
        response = connection.getresponse()
        answer = response.read()
        seconds = time.perf_counter() - start
        connection.close()
        if response.status != 201:
            raise SystemExit(f"POST {path}: {response.status} {answer[:500]}")
        return seconds

    def upload(self, path):
        """The seconds until a batch is created from a file."""
        with open(path, "rb") as file:
            return self.post("/api/batches?flow=echo", file, "application/jsonl")

    def download(self, path):
        """The MB per second of a response."""
        connection = self.connection()
        start = time.perf_counter()
        connection.request("GET", path)
        response = connection.getresponse()
        size = 0
        while chunk := response.read(CHUNK):
            size += len(chunk)
        return size / 1e6 / (time.perf_counter() - start)

    def memory(self, key="VmHWM"):
        """The peak (`VmHWM`) or present (`VmRSS`) resident memory in MB."""
        with open(f"/proc/{self.process.pid}/status", encoding="ascii") as file:
            return next(int(line.split()[1]) / 1024 for line in file if line.startswith(key))

    def processor(self):
        """The seconds of processor time so far."""
        with open(f"/proc/{self.process.pid}/stat", encoding="ascii") as file:
            fields = file.read().rsplit(")", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def created():
    with Sheaf(RABBITMQ) as sheaf:
        return {"create": sheaf.create(records(RECORDS)).seconds}


def uploaded():
    with Sheaf(RABBITMQ) as sheaf, Server(sheaf) as server:
        return {"upload": server.upload(records(RECORDS)), "memory": server.memory()}


def downloaded():
    with Sheaf() as sheaf:
        sheaf.probe("results", "ready", LARGE)
        with Server(sheaf) as server:
            return {"download": server.download("/api/batches/ready/results")}


def measure_transfers(_):
    series = rounds("row 15", created, uploaded, downloaded)
    seen = f"upload {rate(RECORDS, series.median('upload'))}, create {rate(RECORDS, series.median('create'))}"
    return [
        Figure("15", "upload / create", series.ratio("create", "upload"), 0.7, seen=seen),
        Figure("15", "server: memory of an upload", series.median("memory"), 100, False, "MB"),
        Figure("15", "download of results", series.median("download"), 100, True, "MB/s"),
    ]


class Followers:
    """Clients that read the events of all batches."""

    def __init__(self, server):
        self.connections = [server.connection() for _ in range(CLIENTS)]
        self.bytes = itertools.count()
        self.threads = []

    def __enter__(self):
        for connection in self.connections:
            connection.request("GET", "/api/events")
            self.threads.append(threading.Thread(target=self.read, args=(connection.getresponse(),), daemon=True))
            self.threads[-1].start()
        return self

    def read(self, response):
        try:
            while response.read1(65536):
                next(self.bytes)
        except OSError:
            return

    def __exit__(self, *_):
        for connection in self.connections:
            connection.sock and connection.sock.shutdown(2)
            connection.close()


def share(server, seconds=20):
    """The share of a core that a server needs, in percent."""
    before, start = server.processor(), time.perf_counter()
    time.sleep(seconds)
    return 100 * (server.processor() - before) / (time.perf_counter() - start)


def answers():
    """The answers of a server that knows many batches, and one with many tasks of which more and more are done."""
    with Sheaf() as sheaf:
        with Server(sheaf) as server:
            for _ in range(BATCHES - 1):
                server.post("/api/batches", b'{"flow":"echo","records":[1]}', "application/json")
        sheaf.drain()
        sheaf.create(records(LARGE), "--batch-id", "large", flow="nothing")
        values = {}
        with Server(sheaf) as server:
            for path in LIMITS:
                server.get(path)
                seen = [server.get(path) for _ in range(9)]
                values[path] = 1000 * statistics.median(seconds for _, seconds in seen)
                values[f"size of {path}"] = len(seen[0][0]) / 1000
            worker = sheaf.start("-c", "2")
            time.sleep(3)
            values["alone"] = share(server)
            with Followers(server):
                time.sleep(3)
                values["followed"] = share(server)
            sheaf.stop(worker)
            values["memory"] = server.memory("VmRSS")
            counts = json.loads(server.get("/api/batches/large")[0])["counts"]
            if not 0 < counts["succeeded"] < LARGE:
                raise SystemExit(f"the batch did not run while the clients were measured: {counts}")
        return values


def measure_answers(_):
    series = rounds("row 16", answers, count=1)
    figures = []
    for path, (milliseconds, size) in LIMITS.items():
        figures.append(Figure("16", f"GET {path}", series.median(path), milliseconds, False, "ms"))
        if size:
            figures.append(Figure("16", f"GET {path}: size", series.median(f"size of {path}"), size, False, "KB"))
    clients = series.median("followed") - series.median("alone")
    seen = f"{series.median('followed'):.1f} % with, {series.median('alone'):.1f} % without"
    figures.append(Figure("16", f"{CLIENTS} clients of events: share of a core", clients, 5, False, "%", seen))
    figures.append(Figure("16", "server: memory", series.median("memory"), 80, False, "MB"))
    return figures
