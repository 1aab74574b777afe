"""Row 17: what metrics and traces cost a worker."""

import http.server
import threading
import urllib.error
import urllib.request

from measuring import RECORDS, Figure, rate, rounds
from sheaf import RABBITMQ, Sheaf, records

PAUSE = 1  # seconds between two requests for metrics


class Collector(http.server.BaseHTTPRequestHandler):
    """Takes every trace."""

    def do_POST(self):
        self.rfile.read(int(self.headers["Content-Length"]))
        self.send_response(200)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_):
        pass


def drained(*options, traced=()):
    """The seconds of a drain of two batches; the smaller one, of a hundredth, can be created with traces."""
    with Sheaf(RABBITMQ) as sheaf:
        sheaf.create(records(RECORDS - RECORDS // 100))
        sheaf.create(records(RECORDS // 100), *traced)
        return sheaf.drain(64, *options).seconds


def plain():
    return {"plain": drained()}


def with_metrics():
    done = threading.Event()
    port = free_port()
    answers = []

    def scrape():
        while not done.wait(PAUSE):
            try:
                answers.append(urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=10).read())
            except urllib.error.URLError:
                continue  # the worker does not run yet

    scraper = threading.Thread(target=scrape, daemon=True)
    scraper.start()
    seconds = drained("--metrics", f"127.0.0.1:{port}")
    done.set()
    scraper.join()
    if not answers:
        raise SystemExit("the metrics of the worker were never read")
    return {"metrics": seconds}


def with_traces():
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Collector) as collector:
        threading.Thread(target=collector.serve_forever, daemon=True).start()
        option = ("--set", f"tracing.endpoint=http://127.0.0.1:{collector.server_port}")
        seconds = drained(*option, traced=option)
        collector.shutdown()
    return {"traces": seconds}


def free_port():
    with http.server.HTTPServer(("127.0.0.1", 0), Collector) as server:
        return server.server_port


def measure(_):
    series = rounds("row 17", plain, with_metrics, with_traces)

    def figure(name, work, target):
        seen = f"{name} {rate(RECORDS, series.median(name))}, plain {rate(RECORDS, series.median('plain'))}"
        return Figure("17", work, series.ratio("plain", name), target, seen=seen)

    return [
        figure("metrics", "drain with metrics / without", 0.98),
        figure("traces", "drain with traces of 1 % of the tasks / without", 0.97),
    ]
