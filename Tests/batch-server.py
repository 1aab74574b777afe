#!/usr/bin/env python3
"""A server on this machine that answers like OpenAI's Files and Batches API, and as badly as that happens.

Prints its port, serves until its standard input ends, and keeps everything in memory.

The last message of a request is a number n, as with Tests/model-server.py: it takes n + 1 tokens in and n % 7 + 1 out.
In the batch API, n % 20 == 3 is refused with 400; the first request with n % 20 == 7 gets 500; the first one with
n % 50 == 11 has no result at all. Those that were answered are counted as paid.

POST /control merges options; GET /control returns what happened. Options with a number apply to so many requests:

state_time        seconds in each state
hold              batches stay in progress
token_limit       batches fail with token_limit_exceeded
quota_400         creations are refused with 400 (as Azure does)
throttle          creations are refused with 429 and Retry-After
lose_create       creations are accepted, and the connection is closed without an answer
stall_create      creations are accepted and never answered
stall_upload      uploads are accepted and never answered
stall_download    downloads are never answered
expire            batches expire after half of their requests
cancel_completes  a cancelled batch completes all the same
cut_download      downloads end after half of the lines, without an error
junk              answers of the given kinds are HTML: {"upload": 1, "create": 1, "poll": 1, "list": 1, "download": 1}
fail_poll         polls get 500
redirect          downloads are redirected to this URL, followed by the path
plain             no request fails
"""
import http.server, json, re, sys, threading, time, urllib.parse

KEY = "sk-secret-of-the-tests"
lock = threading.RLock()
options = {"state_time": 0.02}
files, batches = {}, {}
seen, paid = set(), {}
log = {"uploads": 0, "creates": 0, "polls": 0, "cancels": 0, "deletes": 0, "downloads": 0, "lists": 0, "strangers": []}
JUNK = b"<html><body>It works!</body></html>"


def take(name):
    """Whether an option applies to this request."""
    with lock:
        left = options.get(name, 0)
        if left:
            options[name] = left - 1
        return bool(left)


def take_junk(kind):
    with lock:
        left = options.get("junk", {}).get(kind, 0)
        if left:
            options["junk"][kind] = left - 1
        return bool(left)


def answer_to(path, body):
    """The status and the body with which one request is answered; None if it gets no result."""
    if path.endswith("/embeddings"):
        texts = body["input"] if isinstance(body["input"], list) else [body["input"]]
        number = int(texts[0])
    else:
        number = int(body["messages"][-1]["content"])
    if not options.get("plain"):
        is_first = number not in seen
        seen.add(number)
        if number % 20 == 3:
            return 400, {"error": {"message": f"{number} is not to my taste", "type": "invalid_request_error"}}
        if is_first and number % 20 == 7:
            return 500, {"error": {"message": "it broke", "type": "server_error"}}
        paid[number] = paid.get(number, 0) + 1
        if is_first and number % 50 == 11:
            return None
    else:
        paid[number] = paid.get(number, 0) + 1
    if path.endswith("/embeddings"):
        data = [{"object": "embedding", "index": place, "embedding": [float(text), 0.25, -1e-05]}
                for place, text in enumerate(texts)]
        return 200, {"object": "list", "data": data, "model": body["model"],
                     "usage": {"prompt_tokens": number + 1, "total_tokens": number + 1}}
    return 200, {
        "id": "chatcmpl-1", "object": "chat.completion", "model": body["model"] + "-2026",
        "choices": [{"index": 0, "finish_reason": "stop",
                     "message": {"role": "assistant", "content": f"{body['model']}: {number}"}}],
        "usage": {"prompt_tokens": number + 1, "completion_tokens": number % 7 + 1,
                  "total_tokens": number + 1 + number % 7 + 1, "prompt_tokens_details": {"cached_tokens": 1}},
    }


class Batch:
    def __init__(self, request):
        self.id = f"batch_{len(batches):04}"
        self.request = request
        self.created = time.monotonic()
        self.created_at = int(time.time())
        self.errors, self.outputs = None, {"output_file_id": None, "error_file_id": None}
        self.counts = {"total": 0, "completed": 0, "failed": 0}
        self.status = "validating"
        self.fate = "token_limit" if take("token_limit") else "expire" if take("expire") else None
        self.is_cancelling = False

    def fail(self, code, message, line=None):
        self.status = "failed"
        self.errors = {"object": "list", "data": [{"code": code, "message": message, "line": line, "param": None}]}

    def requests(self):
        file = files.get(self.request.get("input_file_id"))
        if file is None:
            return self.fail("invalid_request", "there is no such file")
        requests, ids, models = [], set(), set()
        for number, line in enumerate(file["content"].split(b"\n")[:-1], 1):
            try:
                request = json.loads(line)
            except ValueError:
                return self.fail("invalid_json_line", "the line is not JSON", number)
            if request["custom_id"] in ids:
                return self.fail("duplicate_custom_id", "the id is not unique", number)
            ids.add(request["custom_id"])
            models.add(request["body"].get("model"))
            if request["url"] != self.request["endpoint"] or request["method"] != "POST":
                return self.fail("invalid_url", "the url is not that of the batch", number)
            if len(models) > 1:
                return self.fail("mismatched_model", "the batch has several models", number)
            if models == {"no-such-model"}:
                return self.fail("model_not_found", "there is no such model", number)
            requests.append(request)
        if not requests:
            return self.fail("empty_file", "there are no requests")
        return requests

    def end(self, status, requests, count):
        """Runs some of the requests, and writes the results in another order."""
        good, bad = [], []
        for place, request in enumerate(requests):
            row = {"id": f"batch_req_{place}", "custom_id": request["custom_id"], "response": None, "error": None}
            if place >= count:
                row["error"] = {"code": "batch_" + status, "message": "This request could not be executed."}
                bad.append(row)
                continue
            answer = answer_to(request["url"], request["body"])
            if answer is None:
                self.counts["completed"] += 1
                continue
            row["response"] = {"status_code": answer[0], "request_id": f"req_{place}", "body": answer[1]}
            self.counts["completed" if answer[0] == 200 else "failed"] += 1
            (good if answer[0] == 200 else bad).append(row)
        for name, rows in [("output_file_id", good), ("error_file_id", bad)]:
            if rows:
                rows.sort(key=lambda row: hash(row["custom_id"][::-1]))
                content = b"".join(json.dumps(row).encode() + b"\n" for row in rows)
                self.outputs[name] = add_file(content, "batch_output")
        self.status = status

    def advance(self):
        """Goes on as far as time has come."""
        if self.status in ("completed", "failed", "expired", "cancelled"):
            return
        step = int((time.monotonic() - self.created) / max(options["state_time"], 1e-6))
        if options.get("hold") and not self.is_cancelling:
            step = min(step, 1)
        if step == 0:
            return
        requests = self.requests()
        if requests is None:
            return
        self.counts["total"] = len(requests)
        if self.fate == "token_limit":
            return self.fail("token_limit_exceeded", "Enqueued token limit reached. Please try again once some"
                             " in_progress batches have been completed.")
        if self.is_cancelling:
            done = len(requests) if options.get("cancel_completes") else 0
            return self.end("completed" if done else "cancelled", requests, done)
        if step < 3:
            self.status = ["validating", "in_progress", "finalizing"][step]
        elif self.fate == "expire":
            self.end("expired", requests, len(requests) // 2)
        else:
            self.end("completed", requests, len(requests))

    def json(self):
        return {"id": self.id, "object": "batch", "endpoint": self.request["endpoint"], "status": self.status,
                "input_file_id": self.request["input_file_id"], "completion_window": "24h", "errors": self.errors,
                "request_counts": self.counts, "metadata": self.request.get("metadata"),
                "created_at": self.created_at, **self.outputs}


def add_file(content, purpose, name="results.jsonl"):
    id = f"file-{len(files):04}"
    files[id] = {"content": content, "purpose": purpose, "name": name, "created_at": int(time.time())}
    return id


class Server(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    wbufsize = -1

    def log_message(self, *arguments):
        pass

    def answer(self, status, body, headers={}):
        data = body if isinstance(body, bytes) else json.dumps(body).encode()
        self.send_response(status)
        for name, value in {"Content-Type": "application/json", "Content-Length": str(len(data)), **headers}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(data)
        self.wfile.flush()

    def refuse(self, status, message, code=None, headers={}):
        self.answer(status, {"error": {"message": message, "type": "invalid_request_error", "param": None,
                                       "code": code}}, headers)

    def hang_up(self):
        self.close_connection = True
        self.connection.close()

    def stall(self):
        while options.get("stalling", True):
            time.sleep(0.02)
        self.hang_up()

    def handle_any(self):
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        url = urllib.parse.urlsplit(self.path)
        if url.path == "/control":
            return self.control(body)
        if url.path.startswith("/elsewhere/"):
            # Another host, to which a download is redirected.
            with lock:
                log["strangers"].append(self.headers.get("Authorization"))
                file = files.get(url.path.split("/")[-2])
            return self.answer(200, file["content"]) if file else self.refuse(404, "there is no such file")
        if self.headers.get("Authorization") != f"Bearer {KEY}":
            return self.refuse(401, f"the key {self.headers.get('Authorization')} is wrong", "invalid_api_key")
        path = url.path.removeprefix("/v1")
        for method, pattern, handler in ROUTES:
            match = re.fullmatch(pattern, path)
            if match and method == self.command:
                return handler(self, body, dict(urllib.parse.parse_qsl(url.query)), *match.groups())
        self.refuse(404, "there is no such path")

    do_GET = do_POST = do_DELETE = handle_any

    def control(self, body):
        with lock:
            if self.command == "POST":
                options.update(json.loads(body))
            for batch in batches.values():
                batch.advance()
            self.answer(200, {
                **log, "paid": sum(paid.values()), "paid_twice": sum(1 for count in paid.values() if count > 1),
                "batches": [batch.json() for batch in batches.values()], "options": options,
                "files": sum(1 for file in files.values() if file["purpose"] == "batch"),
            })

    # Live, so that both ways can be compared.

    def live(self, body, query):
        with lock:
            answer = answer_to(self.path, json.loads(body))
        self.answer(*answer) if answer else self.hang_up()

    # Files.

    def upload(self, body, query):
        kind = self.headers.get("Content-Type", "")
        match = re.fullmatch(r"multipart/form-data; boundary=(\S+)", kind)
        parts = {}
        for part in body.split(b"--" + match.group(1).encode())[1:-1] if match else []:
            head, content = part.removeprefix(b"\r\n").split(b"\r\n\r\n", 1)
            name = re.search(rb'name="([^"]*)"(?:; filename="([^"]*)")?', head)
            parts[name.group(1).decode()] = (content.removesuffix(b"\r\n"), (name.group(2) or b"").decode())
        if parts.get("purpose", (b"",))[0] != b"batch" or "file" not in parts:
            return self.refuse(400, "purpose or file is missing")
        content, name = parts["file"]
        if not name.endswith(".jsonl"):
            return self.refuse(400, "Invalid file format for Batch API. Must be .jsonl")
        with lock:
            log["uploads"] += 1
            id = add_file(content, "batch", name)
        if take("stall_upload"):
            return self.stall()
        if take_junk("upload"):
            return self.answer(200, JUNK, {"Content-Type": "text/html"})
        self.answer(200, {"id": id, "object": "file", "bytes": len(content), "created_at": files[id]["created_at"],
                          "filename": name, "purpose": "batch", "status": "processed"})

    def delete(self, body, query, id):
        with lock:
            log["deletes"] += 1
            if files.pop(id, None) is None:
                return self.refuse(404, f"No such File object: {id}")
            files[id + "-deleted"] = {"content": b"", "purpose": "deleted"}  # ids are not used again
        self.answer(200, {"id": id, "object": "file", "deleted": True})

    def content(self, body, query, id):
        with lock:
            log["downloads"] += 1
            file = files.get(id)
        if file is None:
            return self.refuse(404, f"No such File object: {id}")
        if options.get("redirect"):
            return self.answer(302, b"", {"Location": f"{options['redirect']}/elsewhere{self.path}"})
        if take("stall_download"):
            return self.stall()
        if take_junk("download"):
            return self.answer(200, JUNK)
        if take("cut_download"):
            lines = file["content"].split(b"\n")[:-1]
            data = b"".join(line + b"\n" for line in lines[:len(lines) // 2])
            # Without a length the end of the connection is the end of the body.
            self.send_response(200)
            self.send_header("Connection", "close")
            self.end_headers()
            self.wfile.write(data)
            self.wfile.flush()
            return self.hang_up()
        self.answer(200, file["content"], {"Content-Type": "application/octet-stream"})

    # Batches.

    def create(self, body, query):
        request = json.loads(body)
        if take("throttle"):
            return self.refuse(429, "too many batches", "rate_limit_exceeded", {"Retry-After": "1"})
        if take("quota_400"):
            return self.refuse(400, "token_limit_exceeded: the enqueued tokens are over the quota")
        with lock:
            log["creates"] += 1
            batch = Batch(request)
            batches[batch.id] = batch
            state = batch.json()
        if take("lose_create"):
            return self.hang_up()
        if take("stall_create"):
            return self.stall()
        if take_junk("create"):
            return self.answer(200, JUNK)
        self.answer(200, state)

    def list(self, body, query):
        limit, after = int(query.get("limit", "20")), query.get("after")
        if take_junk("list"):
            return self.answer(200, JUNK)
        with lock:
            log["lists"] += 1
            newest = list(reversed(batches.values()))
            start = next((place + 1 for place, batch in enumerate(newest) if batch.id == after), 0)
            page = newest[start:start + limit]
            data = [batch.json() for batch in page]
        self.answer(200, {"object": "list", "data": data, "has_more": start + limit < len(newest),
                          "first_id": data[0]["id"] if data else None, "last_id": data[-1]["id"] if data else None})

    def poll(self, body, query, id):
        with lock:
            log["polls"] += 1
            batch = batches.get(id)
            if batch is None:
                return self.refuse(404, f"No batch found with id '{id}'.")
            if take("fail_poll"):
                return self.refuse(500, "it broke")
            if take_junk("poll"):
                return self.answer(200, JUNK)
            batch.advance()
            state = batch.json()
        self.answer(200, state)

    def cancel(self, body, query, id):
        with lock:
            log["cancels"] += 1
            batch = batches.get(id)
            if batch is None:
                return self.refuse(404, f"No batch found with id '{id}'.")
            if batch.status in ("validating", "in_progress", "finalizing"):
                batch.is_cancelling = True
                batch.status = "cancelling"
            state = batch.json()
        self.answer(200, state)


ROUTES = [
    ("POST", "/files", Server.upload), ("DELETE", "/files/([^/]+)", Server.delete),
    ("GET", "/files/([^/]+)/content", Server.content), ("POST", "/batches", Server.create),
    ("GET", "/batches", Server.list), ("GET", "/batches/([^/]+)", Server.poll),
    ("POST", "/batches/([^/]+)/cancel", Server.cancel), ("POST", "/chat/completions", Server.live),
    ("POST", "/embeddings", Server.live),
]


class Listener(http.server.ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128

    def handle_error(self, *arguments):
        pass  # clients go away in the middle of an answer; that is what some tests are about


listener = Listener(("127.0.0.1", 0), Server)
threading.Thread(target=listener.serve_forever, daemon=True).start()
print(listener.server_address[1], flush=True)
sys.stdin.read()
