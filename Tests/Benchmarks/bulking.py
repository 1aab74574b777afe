"""Row 18: tasks that a worker submits to a provider's batch API, here one that answers at once."""

import http.server
import json
import re
import threading
import time
from datetime import datetime

from measuring import RECORDS, Figure, rate, rounds
from sheaf import Sheaf, records

TASKS = RECORDS * 5
CONFIGURATION = """\
flows:
  ask:
    chat: {{ provider: openai, base_url: "{url}/v1", api_key: none, model: m, prompt: "{{{{text}}}}" }}
    bulk: {{ wait_time: 100ms }}
"""
ID = re.compile(rb'"custom_id":"([^"]+)"')
RESULT = (
    b'{"id":"r","custom_id":"%s","response":{"status_code":200,"request_id":"q","body":{"model":"m","choices":[{"index":0,'
    b'"finish_reason":"stop","message":{"role":"assistant","content":"yes"}}],'
    b'"usage":{"prompt_tokens":70,"completion_tokens":1,"total_tokens":71}}},"error":null}\n'
)


class Provider(http.server.BaseHTTPRequestHandler):
    """Runs every batch within no time, and notes when uploads begin and downloads end."""

    protocol_version = "HTTP/1.1"

    def do_POST(self):
        service = self.server
        if self.path == "/v1/files":
            service.uploads.append(time.time())
            ids = ID.findall(self.rfile.read(int(self.headers["Content-Length"])))
            service.results = b"".join(RESULT % id for id in ids)
            return self.answer({"id": f"file-{len(service.uploads)}", "created_at": int(time.time())})
        self.rfile.read(int(self.headers["Content-Length"]))
        self.answer({"id": f"batch_{len(service.uploads)}", "status": "validating", "created_at": int(time.time())})

    def do_GET(self):
        service = self.server
        if self.path.endswith("/content"):
            self.reply(service.results)
            service.downloads.append(time.time())
            return
        id = self.path.rsplit("/", 1)[1]
        self.answer({"id": id, "status": "completed", "output_file_id": f"output-{id}"})

    def do_DELETE(self):
        self.answer({"deleted": True})

    def answer(self, json_value):
        self.reply(json.dumps(json_value).encode())

    def reply(self, body):
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


def submitted():
    """The rates of writing requests and of collecting results, and the worker's peak and time."""
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Provider) as service, Sheaf() as sheaf:
        service.uploads, service.downloads = [], []
        threading.Thread(target=service.serve_forever, daemon=True).start()
        (sheaf.path / "sheaf.yaml").write_text(CONFIGURATION.format(url=f"http://127.0.0.1:{service.server_port}"))
        sheaf.create(records(TASKS), flow="ask")
        run = sheaf.drain(1)
        submissions = json.loads(sheaf("submissions", "--json").output)
        service.shutdown()
    collected = sum(submission["results"] for submission in submissions)
    if collected != TASKS or len(submissions) != len(service.uploads) or len(submissions) != len(service.downloads):
        raise SystemExit(f"{collected} results of {len(submissions)} submissions for {TASKS} tasks")

    def moment(submission, name):
        return datetime.fromisoformat(submission[name]).timestamp()

    writing = sum(begun - moment(one, "announced_at") for one, begun in zip(submissions, service.uploads))
    reading = sum(moment(one, "changed_at") - end for one, end in zip(submissions, service.downloads))
    return {
        "written": TASKS / writing,
        "collected": TASKS / reading,
        "peak": run.peak,
        "seconds": run.seconds,
    }


def measure(_):
    series = rounds("row 18", submitted)
    whole = f"whole worker {rate(TASKS, series.median('seconds'))}"
    return [
        Figure("18", f"bulk: worker's peak for {TASKS:,}", series.median("peak"), 100, False, "MB", whole),
        Figure("18", "bulk: requests written", series.median("written"), 100_000, unit="/s"),
        Figure("18", "bulk: results collected", series.median("collected"), 100_000, unit="/s"),
    ]
