"""Mistral's Files and Batches, and the same requests live."""
import json
import common, openai
from common import KEY, Job, add_file, count, files, lock, options, shuffled, take
from openai import content, form

PATH = "/mistral/v1"
ENDPOINTS = {"/v1/chat/completions", "/v1/embeddings"}
STATES = {"validating": "QUEUED", "in_progress": "RUNNING", "finalizing": "RUNNING",
          "cancelling": "CANCELLATION_REQUESTED", "completed": "SUCCESS", "expired": "TIMEOUT_EXCEEDED",
          "cancelled": "CANCELLED", "failed": "FAILED"}


def is_authorized(server):
    return server.headers.get("Authorization") == f"Bearer {KEY}"


def refuse(server, status, message, code=None, headers={}):
    if status == 401:
        return server.answer(401, {"detail": message}, headers)
    server.answer(status, {"object": "error", "message": message, "type": "invalid_request_error", "param": None,
                           "code": code}, headers)


def answer_to(path, body):
    """The same answers as OpenAI's, but the reason of an error is at the top."""
    answer = openai.answer_to(path, body)
    if answer and answer[0] != 200:
        return answer[0], {"object": "error", "message": answer[1]["error"]["message"], "type": "error", "code": None}
    return answer and (200, {"id": "1", "created": int(common.now()), **answer[1]})


def live(server, body, query):
    answer = answer_to(server.path, json.loads(body))
    server.answer(*answer) if answer else server.hang_up()


class Batch(Job):
    prefix = "job-"

    def __init__(self, request):
        super().__init__()
        self.request, self.error = request, None
        self.outputs, self.reasons = {"output_file": None, "error_file": None}, {}
        self.counts = {"total_requests": 0, "completed_requests": 0, "succeeded_requests": 0, "failed_requests": 0}

    def read(self):
        lines = []
        for id in self.request["input_files"]:
            if id not in files:
                return self.fail("invalid_request", f"the file {id} does not exist")
            lines += files[id]["content"].split(b"\n")[:-1]
        if self.request.get("model") == "no-such-model":
            return self.fail("model_not_found", "there is no such model")
        self.counts["total_requests"] = len(lines)
        return [json.loads(line) for line in lines]

    def run(self, state, ran):
        good, bad = [], []
        # What did not run has no row.
        for place, line in enumerate(self.requests[:ran]):
            answer = answer_to(self.request["endpoint"], {"model": self.request["model"], **line["body"]})
            self.counts["completed_requests"] += 1
            is_good = answer is None or answer[0] == 200
            self.counts["succeeded_requests" if is_good else "failed_requests"] += 1
            if answer is None:
                continue
            # The body of an error is JSON in a string.
            body = answer[1] if is_good else json.dumps(answer[1])
            if not is_good:
                reason = answer[1]["message"]
                self.reasons[reason] = self.reasons.get(reason, 0) + 1
            (good if is_good else bad).append({
                "id": f"batch-{self.id}-{place}", "custom_id": line.get("custom_id"), "error": None,
                "response": {"status_code": answer[0], "body": body}})
        for name, rows in [("output_file", good), ("error_file", bad)]:
            if rows:
                text = b"".join(json.dumps(row).encode() + b"\n" for row in shuffled(rows))
                self.outputs[name] = add_file(text, "batch_output")

    def json(self):
        state = STATES[self.state]
        if options.get("unknown_state") and self.state not in self.ends:
            state = "PONDERING"
        reasons = {self.error[1]: 1} if self.error else self.reasons
        return {"id": self.id, "object": "batch", "input_files": self.request["input_files"],
                "metadata": self.request.get("metadata"), "endpoint": self.request["endpoint"],
                "model": self.request.get("model"), "agent_id": None, **self.outputs, **self.counts,
                "errors": [{"message": reason, "count": number} for reason, number in reasons.items()],
                "status": state, "created_at": int(self.created_at), "started_at": None, "completed_at": None}


# Files.

def fault(lines):
    """Returns why requests are refused; the upload of all of them fails for one of them."""
    for number, line in enumerate(lines, 1):
        try:
            line = json.loads(line)
        except ValueError:
            return [{"type": "json_invalid", "loc": ["file", number], "msg": "Invalid JSON"}]
        if not isinstance(line.get("body"), dict):
            return [{"type": "missing", "loc": ["file", number, "body"], "msg": "Field required"}]
        for name in {"method", "url"} & line.keys() or {"model"} & line["body"].keys():
            return [{"type": "extra_forbidden", "loc": ["file", number, name], "msg": "Extra inputs are not permitted"}]
    return None


def upload(server, body, query):
    parts = form(server, body)
    if parts.get("purpose", (b"",))[0] != b"batch" or "file" not in parts:
        return refuse(server, 422, "purpose or file is missing")
    text, name = parts["file"]
    problem = fault(text.split(b"\n")[:-1])
    if problem:
        return server.answer(422, {"object": "error", "message": {"detail": problem}, "type": "invalid_request_error"})
    with lock:
        count("uploads")
        id = add_file(text, "batch", name)
    if take("stall_upload"):
        return server.stall()
    if not server.babble("upload"):
        server.answer(200, {"id": id, "object": "file", "bytes": len(text), "created_at": files[id]["created_at"],
                            "filename": name, "purpose": "batch", "sample_type": "batch_request", "source": "upload",
                            "num_lines": text.count(b"\n"), "mimetype": "application/jsonl", "signature": "s"})


def delete(server, body, query, id):
    with lock:
        count("deletes")
        if files.pop(id, None) is None:
            return refuse(server, 404, f"No file matches the given id {id}.")
        files[id + "-deleted"] = {"content": b"", "purpose": "deleted", "created_at": 0}  # ids are not used again
    server.answer(200, {"id": id, "object": "file", "deleted": True})


# Jobs.

def create(server, body, query):
    request = json.loads(body)
    if request.get("endpoint") not in ENDPOINTS or not request.get("input_files") or not request.get("model"):
        return refuse(server, 422, "endpoint, input_files or model is missing")
    if take("token_limit"):
        return refuse(server, 429, "Enqueued token limit reached", "3505", {"Retry-After": "1"})
    common.create(server, refuse, lambda: Batch(request))


def list_batches(server, body, query):
    if server.babble("list"):
        return
    page, size = int(query.get("page", "0")), int(query.get("page_size", "100"))
    with lock:
        count("lists")
        newest = common.newest(Batch)
        data = [batch.json() for batch in newest[page * size:(page + 1) * size]]
    server.answer(200, {"object": "list", "data": data, "total": len(newest)})


def poll(server, body, query, id):
    common.poll(server, refuse, id, Batch)


def cancel(server, body, query, id):
    common.cancel(server, refuse, id, Batch)


ROUTES = [(method, PATH + pattern, handler) for method, pattern, handler in [
    ("POST", "/files", upload), ("DELETE", "/files/([^/]+)", delete), ("GET", "/files/([^/]+)/content", content),
    ("POST", "/batch/jobs", create), ("GET", "/batch/jobs", list_batches), ("GET", "/batch/jobs/([^/]+)", poll),
    ("POST", "/batch/jobs/([^/]+)/cancel", cancel), ("POST", "/chat/completions", live),
    ("POST", "/embeddings", live),
]]
