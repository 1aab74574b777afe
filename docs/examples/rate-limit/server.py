"""A local service: answers GET /items/SKU with JSON, is busy once, and reports the times of all calls at GET /calls."""

import json
import sys
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Lock

calls, lock = [], Lock()


class Handler(BaseHTTPRequestHandler):
    def do_GET(self):
        if self.path == "/calls":
            return self.reply(200, calls)
        with lock:
            calls.append(time.monotonic())
            is_busy = len(calls) == 10
        if is_busy:  # the worker pauses the limit for a second, and then tries this task again
            return self.reply(429, {"error": "busy"}, {"Retry-After": "1"})
        sku = self.path.removeprefix("/items/")
        self.reply(200, {"sku": sku, "price": 10 + len(sku)})

    def reply(self, status, value, headers={}):
        body = json.dumps(value).encode()
        self.send_response(status)
        for name, text in {"Content-Type": "application/json", "Content-Length": str(len(body)), **headers}.items():
            self.send_header(name, text)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *arguments):
        pass


server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
with open(sys.argv[1], "w") as file:
    file.write(str(server.server_port))
server.serve_forever()
