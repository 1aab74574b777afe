"""What the servers of the tests share: they print their port, and run until their standard input ends."""
import http.server, json, sys, threading


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    wbufsize = -1  # an answer leaves as one packet

    def log_message(self, *arguments):
        pass

    def answer(self, status, body, headers={}, kind="application/json"):
        data = body if isinstance(body, bytes) else json.dumps(body).encode()
        self.send_response(status)
        for name, value in {"Content-Type": kind, "Content-Length": str(len(data)), **headers}.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(data)
        self.wfile.flush()

    def hang_up(self):
        self.close_connection = True
        self.connection.close()


class Listener(http.server.ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128

    def handle_error(self, *arguments):
        pass  # clients go away in the middle of an answer; that is what some tests are about


def listen(handler):
    """Serves on a free port of this machine, which is returned."""
    listener = Listener(("127.0.0.1", 0), handler)
    threading.Thread(target=listener.serve_forever, daemon=True).start()
    return listener.server_address[1]


def announce(port):
    print(port, flush=True)
    sys.stdin.read()


def serve(handler):
    announce(listen(handler))
