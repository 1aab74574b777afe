#!/usr/bin/env python3
"""A server on this machine that answers like the batch APIs of providers, and as badly as that happens.

Prints its port, serves until its standard input ends, and keeps everything in memory. The path of a request decides
which provider is imitated: see PROVIDERS.

The last message of a request is a number n, as with Tests/model-server.py: it takes n + 1 tokens in and n % 7 + 1 out.
In the batch API, n % 20 == 3 is refused with 400; the first request with n % 20 == 7 gets 500; the first one with
n % 50 == 11 has no result at all. Those that were answered are counted as paid. To OpenAI's API, the message may be any
text; it is answered then.

POST /control merges options; GET /control returns what happened. Options with a number apply to so many requests:

state_time        seconds in each state
clock             seconds by which the provider's clock is ahead
hold              batches stay in progress
token_limit       batches fail with token_limit_exceeded
quota_400         creations are refused with 400 (as Azure does)
throttle          creations are refused with 429 and a Retry-After of 1 second, or of the seconds in throttle_after
lose_create       creations are accepted, and the connection is closed without an answer
lose_every        the same for every n-th creation, for as long as it is set
stall_create      creations are accepted and never answered
stall_upload      uploads are accepted and never answered
stall_download    downloads are never answered
late_list         lists are empty
expire            batches expire after half of their requests
cancel_completes  a cancelled batch completes all the same
cut_download      downloads end after half of the lines, without an error
junk              answers of the given kinds are HTML: {"upload": 1, "create": 1, "poll": 1, "list": 1, "download": 1}
errors            answers of the given kinds are a success with an error inside
fail_poll         polls get 500
unknown_state     batches have a state that does not exist
redirect          downloads are redirected to this URL, followed by the path; or results_url leads there
relative          results_url is a path
retry_after       polls ask for so many seconds until the next one
late_output       ended batches of Gemini and Vertex AI name no file with results yet
upload_host       the host that Gemini names for an upload
vertex_key        the public key of the account of Vertex AI: {"n": HEX, "e": 65537}
token_time        seconds for which a token is valid, and token_says the seconds that are reported instead
fail_token        exchanges for a token get 503
manifest_only     jobs of Bedrock have no counts, but their manifest has
minimum           the fewest requests of a job of Bedrock
token             the session token of Bedrock's access key
plain             no request fails
"""
import json, pathlib, re, sys, time, urllib.parse

sys.dont_write_bytecode = True
sys.path.append(str(pathlib.Path(__file__).resolve().parent.parent))
import anthropic, azure, bedrock, common, gemini, mistral, openai, vertex
from common import ERROR, JUNK, lock, log, options
from listener import Handler, announce, listen

# Each has ROUTES, lists of a method, a pattern of the path and a handler; `is_authorized` and `refuse`.
PROVIDERS = [anthropic, azure, bedrock, gemini, mistral, openai, vertex]


class Server(Handler):
    def refuse(self, *arguments, **named):
        self.provider.refuse(self, *arguments, **named)

    def given_key(self):
        names = "Authorization", "x-api-key", "api-key", "x-goog-api-key"
        return next((self.headers[name] for name in names if name in self.headers), None)

    def date_time_string(self, timestamp=None):
        return super().date_time_string(common.now() if timestamp is None else timestamp)

    def stall(self):
        while options.get("stalling", True):
            time.sleep(0.02)
        self.hang_up()

    def babble(self, kind):
        """Answers a request with junk if an option says so, and returns whether it did."""
        for name, body, form in [("junk", JUNK, "text/html"), ("errors", ERROR, "application/json")]:
            with lock:
                left = options.get(name, {}).get(kind, 0)
                if left:
                    options[name][kind] = left - 1
            if left:
                self.answer(200, body, kind=form)
                return True
        return False

    def answer(self, status, body, headers={}, kind="application/json"):
        super().answer(status, body, {"x-request-id": "req_1", "request-id": "req_1", **headers}, kind)

    def body(self):
        if self.headers.get("Transfer-Encoding") != "chunked":
            return self.rfile.read(int(self.headers.get("Content-Length") or 0))
        chunks = []
        while size := int(self.rfile.readline().split(b";")[0], 16):
            chunks.append(self.rfile.read(size))
            self.rfile.readline()
        self.rfile.readline()
        return b"".join(chunks)

    def handle_any(self):
        body = self.content = self.body()
        url = urllib.parse.urlsplit(self.path)
        if url.path == "/control":
            return self.control(body)
        # Below this path is another host, to which a download is redirected.
        self.is_elsewhere = url.path.startswith("/elsewhere/")
        path = url.path.removeprefix("/elsewhere")
        if self.is_elsewhere:
            with lock:
                log["strangers"].append(self.given_key())
        for provider in PROVIDERS:
            for method, pattern, handler in provider.ROUTES:
                match = re.fullmatch(pattern, path)
                if not match or method != self.command:
                    continue
                if not self.is_elsewhere and not provider.is_authorized(self):
                    common.count("refused")
                    return provider.refuse(self, 401, f"the key {self.given_key()} is wrong", "invalid_api_key")
                return handler(self, body, dict(urllib.parse.parse_qsl(url.query)), *match.groups())
        self.answer(404, {"error": {"message": f"there is no path {self.path}"}})

    do_GET = do_POST = do_PUT = do_DELETE = handle_any

    def control(self, body):
        with lock:
            if self.command == "POST":
                options.update(json.loads(body))
            for job in common.jobs.values():
                job.advance()
            paid = common.paid.values()
            self.answer(200, {
                **log, "paid": sum(paid), "paid_twice": sum(1 for count in paid if count > 1),
                "batches": [job.json() for job in common.jobs.values()], "options": options,
                "files": sum(1 for file in common.files.values() if file["purpose"] == "batch"),
            })


# Another port is another host.
log["elsewhere"] = f"http://127.0.0.1:{listen(Server)}"
port = listen(Server)
common.url = f"http://127.0.0.1:{port}"
announce(port)
