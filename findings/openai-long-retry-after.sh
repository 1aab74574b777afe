#!/usr/bin/env bash
# The OpenAI client does not retry at all if the server asks it to wait more than 120 seconds; Anthropic's always
# waits.
#
# Versions: openai 3.57.0, anthropic 2.14.0 (Python).
# Guess:    the two clients, which share a generator, treat a 429 with Retry-After alike: they wait that long, or they
#           wait their usual 0.5 s to 8 s if it is very long.
# Seen:     up to "Retry-After: 120" both wait as long as asked. From 121 on openai raises RateLimitError after one
#           request, also if the server sends "x-should-retry: true", and max_retries has no effect. anthropic sleeps
#           the whole time, here one day, before each of its two retries. An HTTP date is treated like the number of
#           seconds until then.
# Why:      one 429 with a long delay fails a task at once with one vendor, and blocks its worker for hours with the
#           other.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q --disable-pip-version-check openai==3.57.0 anthropic==2.14.0

cat >"$folder/trial.py" <<'PYTHON'
import email.utils, http.server, threading, time
import anthropic, openai
headers, requests, sleeps = {}, [], []
class Server(http.server.BaseHTTPRequestHandler):
    def do_POST(self):
        self.rfile.read(int(self.headers["content-length"]))
        requests.append(self.path)
        self.send_response(429)
        for name, value in headers.items(): self.send_header(name, value)
        self.send_header("content-length", "0")
        self.end_headers()
    def log_message(self, *arguments): pass
server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Server)
threading.Thread(target=server.serve_forever, daemon=True).start()
url = f"http://127.0.0.1:{server.server_port}"
time.sleep = lambda seconds: sleeps.append(round(seconds))  # notes the wait instead of waiting
ask = {"model": "m", "messages": [{"role": "user", "content": "hello"}]}
clients = {
    "openai": openai.OpenAI(api_key="none", base_url=url, max_retries=2).chat.completions,
    "anthropic": anthropic.Anthropic(api_key="none", base_url=url, max_retries=2).messages,
}
in_a_day = email.utils.formatdate(time.time() + 86400, usegmt=True)
for title, sent in [("120", {"retry-after": "120"}), ("121", {"retry-after": "121"}),
                    ("121, x-should-retry", {"retry-after": "121", "x-should-retry": "true"}),
                    ("86400", {"retry-after": "86400"}), ("a date in one day", {"retry-after": in_a_day})]:
    for name, client in clients.items():
        headers.clear(); headers.update(sent); requests.clear(); sleeps.clear()
        try:
            client.create(**ask, **({"max_tokens": 9} if name == "anthropic" else {}))
        except (openai.RateLimitError, anthropic.RateLimitError) as error:
            # The date is a few seconds closer when it is read.
            waits = ["a day" if 86300 < seconds <= 86400 else seconds for seconds in sleeps]
            print(f"Retry-After {title}: {name} {len(requests)} requests, waits {waits}, {type(error).__name__}")
PYTHON
timeout 120 "$folder/venv/bin/python" "$folder/trial.py" | tee "$folder/seen"
diff "$folder/seen" - <<'SEEN' || { echo 'FAIL: the clients no longer behave as described'; exit 1; }
Retry-After 120: openai 3 requests, waits [120, 120], RateLimitError
Retry-After 120: anthropic 3 requests, waits [120, 120], RateLimitError
Retry-After 121: openai 1 requests, waits [], RateLimitError
Retry-After 121: anthropic 3 requests, waits [121, 121], RateLimitError
Retry-After 121, x-should-retry: openai 1 requests, waits [], RateLimitError
Retry-After 121, x-should-retry: anthropic 3 requests, waits [121, 121], RateLimitError
Retry-After 86400: openai 1 requests, waits [], RateLimitError
Retry-After 86400: anthropic 3 requests, waits ['a day', 'a day'], RateLimitError
Retry-After a date in one day: openai 1 requests, waits [], RateLimitError
Retry-After a date in one day: anthropic 3 requests, waits ['a day', 'a day'], RateLimitError
SEEN
echo 'seen as described'
