"""What the imitations of all providers share: options, counts, which request fails, and how a job goes on."""
import re, threading, time, zlib

KEY = "sk-secret-of-the-tests"
JUNK = b"<html><body>It works!</body></html>"
ERROR = {"error": {"message": "something went wrong", "type": "server_error"}}

lock = threading.RLock()
options = {"state_time": 0.02}
files, jobs = {}, {}
seen, paid = set(), {}
log = {"uploads": 0, "creates": 0, "polls": 0, "cancels": 0, "deletes": 0, "downloads": 0, "lists": 0, "tokens": 0,
       "refused": 0, "strangers": []}


# The address of this server.
url = ""


def take(name):
    """Whether an option applies to this request."""
    with lock:
        left = options.get(name, 0)
        if left:
            options[name] = left - 1
        return bool(left)


def count(name):
    with lock:
        log[name] += 1


def outcome(number):
    """Returns the status with which the request for a number is answered; None if it is paid for without a result."""
    with lock:
        if options.get("plain"):
            paid[number] = paid.get(number, 0) + 1
            return 200
        is_first = number not in seen
        seen.add(number)
        if number % 20 == 3:
            return 400
        if is_first and number % 20 == 7:
            return 500
        paid[number] = paid.get(number, 0) + 1
        return None if is_first and number % 50 == 11 else 200


def number_of(text):
    """The number of a request: its text, or one that stands for it and for which nothing fails."""
    return int(text) if re.fullmatch("[0-9]+", text) else zlib.crc32(text.encode()) % 500 * 20


def now():
    """The provider's clock, in seconds."""
    return time.time() + options.get("clock", 0)


def add_file(content, purpose, name="results.jsonl"):
    with lock:
        id = f"file-{len(files):04}"
        files[id] = {"content": content, "purpose": purpose, "name": name, "created_at": int(now())}
        return id


def shuffled(rows):
    """Returns results in another order than that of the requests."""
    return sorted(rows, key=lambda row: hash(row["custom_id"][::-1]))


class Job:
    """A submission.

    Its state is validating, in_progress, finalizing or cancelling, and in the end completed, expired, cancelled or
    failed. A subclass has `read()`, which returns the requests or calls `fail`, `run(count)`, which runs so many of
    them and keeps the results, and `json()`.
    """
    prefix = "batch_"
    is_deleted = False
    ends = ("completed", "expired", "cancelled", "failed")

    def __init__(self):
        self.id = f"{self.prefix}{len(jobs):04}"
        self.created = time.monotonic()
        self.created_at = now()
        self.state = "validating"
        self.requests = None
        self.fate = "token_limit" if take("token_limit") else "expire" if take("expire") else None

    def fail(self, code, message, line=None):
        self.state, self.error = "failed", (code, message, line)

    def cancel(self):
        if self.state not in self.ends:
            self.state = "cancelling"

    def advance(self):
        """Goes on as far as time has come."""
        if self.state in self.ends:
            return
        step = int((time.monotonic() - self.created) / max(options["state_time"], 1e-6))
        is_cancelling = self.state == "cancelling"
        if options.get("hold") and not is_cancelling:
            step = min(step, 1)
        if step == 0:
            return
        if self.requests is None:
            self.requests = self.read()
        if self.state == "failed":
            return
        total = len(self.requests)
        if self.fate == "token_limit":
            self.fail("token_limit_exceeded", "Enqueued token limit reached. Please try again once some in_progress"
                      " batches have been completed.")
        elif is_cancelling and options.get("cancel_completes"):
            self.end("completed", total)
        elif is_cancelling:
            self.end("cancelled", 0)
        elif step < 3:
            self.state = ["validating", "in_progress", "finalizing"][step]
        elif self.fate == "expire":
            self.end("expired", total // 2)
        else:
            self.end("completed", total)

    def end(self, state, ran):
        self.run(state, ran)
        self.state = state


def create(server, refuse, make):
    """Makes a job and answers, as far as the options allow."""
    if take("throttle"):
        after = str(options.get("throttle_after", 1))
        return refuse(server, 429, "too many batches", "rate_limit_exceeded", {"Retry-After": after})
    if take("quota_400"):
        return refuse(server, 400, "token_limit_exceeded: the enqueued tokens are over the quota")
    with lock:
        count("creates")
        job = make()
        jobs[job.id] = job
        state = job.json()
        is_lost = options.get("lose_every") and log["creates"] % options["lose_every"] == 0
    if is_lost or take("lose_create"):
        return server.hang_up()
    if take("stall_create"):
        return server.stall()
    if not server.babble("create"):
        server.answer(200, state)


def poll(server, refuse, id, kind):
    with lock:
        count("polls")
        job = jobs.get(id)
        if not isinstance(job, kind):
            return refuse(server, 404, f"No batch found with id '{id}'.")
        if take("fail_poll"):
            return refuse(server, 500, "it broke")
        if server.babble("poll"):
            return
        job.advance()
        state = job.json()
    server.answer(200, state, {"Retry-After": str(options["retry_after"])} if "retry_after" in options else {})


def cancel(server, refuse, id, kind):
    with lock:
        count("cancels")
        job = jobs.get(id)
        if not isinstance(job, kind):
            return refuse(server, 404, f"No batch found with id '{id}'.")
        job.cancel()
        state = job.json()
    server.answer(200, state)


def newest(kind):
    """Returns the jobs of a provider that its list shows, the newest first."""
    with lock:
        if take("late_list"):
            return []
        return [job for job in reversed(jobs.values()) if isinstance(job, kind) and not job.is_deleted]


def download(server, content, headers={}, kind="application/octet-stream"):
    """Answers with results, or with less."""
    if take("stall_download"):
        return server.stall()
    # A file without lines can neither be cut nor be mistaken for another one.
    if content and server.babble("download"):
        return
    if not content or not take("cut_download"):
        return server.answer(200, content, headers, kind)
    lines = content.split(b"\n")[:-1]
    # Without a length the end of the connection is the end of the body.
    server.send_response(200)
    server.send_header("Connection", "close")
    server.end_headers()
    server.wfile.write(b"".join(line + b"\n" for line in lines[:len(lines) // 2]))
    server.wfile.flush()
    server.hang_up()
