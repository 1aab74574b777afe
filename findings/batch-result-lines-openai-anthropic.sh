#!/usr/bin/env bash
# The OpenAI client cuts a line of a result file at characters that are not line ends in JSON Lines; Anthropic's ends
# at a blank line, and passes on lines that are no results.
#
# Versions: openai 3.57.0, anthropic 2.14.0 (Python).
# Guess:    both clients split a batch's result file at "\n" only. anthropic's results() skips a blank last line, and
#           raises an error for a line that is not a result.
# Seen:     openai's files.content(...).iter_lines() also cuts at U+2028 and U+0085, which JSON allows inside a string,
#           so two valid lines become four invalid ones. A split at "\n" of .text or .content is right. anthropic keeps
#           such lines whole. A blank last line raises JSONDecodeError after all results. A line "7" or "null" is not
#           an error: results() yields the int 7 or None, which have no custom_id.
# Why:      a model's answer decides whether its result can be read; a collector must split the bytes itself.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q --disable-pip-version-check openai==3.57.0 anthropic==2.14.0

cat >"$folder/trial.py" <<'PYTHON'
import http.server, json, threading
import anthropic, openai
class Server(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        if self.path.endswith(("/content", "/results")):
            body = content.encode()
        else:  # the batch itself
            body = json.dumps({"id": "b", "type": "message_batch", "processing_status": "ended",
                               "results_url": f"{url}/v1/messages/batches/b/results"}).encode()
        self.send_response(200)
        self.send_header("content-type", "application/json" if b"ended" in body else "application/octet-stream")
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
    def log_message(self, *arguments): pass
server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Server)
threading.Thread(target=server.serve_forever, daemon=True).start()
url = f"http://127.0.0.1:{server.server_port}"
def line(name, text):
    return json.dumps({"custom_id": name, "result": {"type": "errored", "error": text}}, ensure_ascii=False) + "\n"
def is_json(text):
    try: return bool(json.loads(text))
    except ValueError: return False

content = line("a", "one\u2028two") + line("b", "one\u0085two")
response = openai.OpenAI(api_key="none", base_url=url).files.content("file-1")
print("openai iter_lines:", [is_json(part) for part in response.iter_lines()])
print("openai content split at line feeds:", [is_json(part) for part in response.content.strip().split(b"\n")])
client = anthropic.Anthropic(api_key="none", base_url=url)
for title, content in [("same lines", content), ("blank last line", line("a", "x") + "\n"),
                       ("not results", line("a", "x") + '7\nnull\n[]\n{"other": 1}\n')]:
    seen = []
    try:
        for result in client.messages.batches.results("b"):
            seen.append(getattr(result, "custom_id", repr(result)))
    except ValueError as error:
        seen.append(type(error).__name__)
    print(f"anthropic, {title}: {seen}")
PYTHON
timeout 60 "$folder/venv/bin/python" "$folder/trial.py" | tee "$folder/seen"
diff "$folder/seen" - <<'SEEN' || { echo 'FAIL: the clients no longer behave as described'; exit 1; }
openai iter_lines: [False, False, False, False]
openai content split at line feeds: [True, True]
anthropic, same lines: ['a', 'b']
anthropic, blank last line: ['a', 'JSONDecodeError']
anthropic, not results: ['a', '7', 'None', '[]', None]
SEEN
echo 'seen as described'
