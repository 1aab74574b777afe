"""OpenAI's Files and Batches, and the same requests live."""
import functools, json, re
import common
from common import KEY, Job, add_file, count, files, lock, options, outcome, shuffled, take


def is_authorized(server):
    return server.headers.get("Authorization") == f"Bearer {KEY}"


def refuse(server, status, message, code=None, headers={}):
    server.answer(status, {"error": {"message": message, "type": "invalid_request_error", "param": None,
                                     "code": code}}, headers)


def answer_to(path, body):
    """The status and the body with which one request is answered; None if it gets no result."""
    is_embedding = path.endswith("/embeddings")
    if is_embedding:
        texts = body["input"] if isinstance(body["input"], list) else [body["input"]]
        text, number = texts[0], common.number_of(texts[0])
    else:
        text = body["messages"][-1]["content"]
        number = common.number_of(text)
    status = outcome(number)
    if status is None:
        return None
    if status == 400:
        return 400, {"error": {"message": f"{number} is not to my taste", "type": "invalid_request_error"}}
    if status == 500:
        return 500, {"error": {"message": "it broke", "type": "server_error"}}
    if is_embedding:
        data = [{"object": "embedding", "index": place, "embedding": [float(common.number_of(text)), 0.25, -1e-05]}
                for place, text in enumerate(texts)]
        return 200, {"object": "list", "data": data, "model": body["model"],
                     "usage": {"prompt_tokens": number + 1, "total_tokens": number + 1}}
    return 200, {
        "id": "chatcmpl-1", "object": "chat.completion", "model": body["model"] + "-2026",
        "choices": [{"index": 0, "finish_reason": "stop",
                     "message": {"role": "assistant", "content": f"{body['model']}: {text}"}}],
        "usage": {"prompt_tokens": number + 1, "completion_tokens": number % 7 + 1,
                  "total_tokens": number + 1 + number % 7 + 1, "prompt_tokens_details": {"cached_tokens": 1}},
    }


def live(server, body, query):
    answer = answer_to(server.path.split("?")[0], json.loads(body))
    server.answer(*answer) if answer else server.hang_up()


class Batch(Job):
    shortest_expiry = 3_600

    def __init__(self, request):
        super().__init__()
        self.request, self.error = request, None
        self.outputs = {"output_file_id": None, "error_file_id": None}
        self.counts = {"total": 0, "completed": 0, "failed": 0}

    def read(self):
        given = files.get(self.request.get("input_file_id"))
        if given is None:
            return self.fail("invalid_request", "there is no such file")
        requests, ids, models = [], set(), set()
        for number, line in enumerate(given["content"].split(b"\n")[:-1], 1):
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
        self.counts["total"] = len(requests)
        return requests

    def run(self, state, ran):
        good, bad = [], []
        for place, request in enumerate(self.requests):
            row = {"id": f"batch_req_{place}", "custom_id": request["custom_id"], "response": None, "error": None}
            if place >= ran:
                row["error"] = {"code": "batch_" + state, "message": "This request could not be executed."}
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
                content = b"".join(json.dumps(row).encode() + b"\n" for row in shuffled(rows))
                self.outputs[name] = add_file(content, "batch_output")

    def json(self):
        errors = None
        if self.error:
            code, message, line = self.error
            errors = {"object": "list", "data": [{"code": code, "message": message, "line": line, "param": None}]}
        state = "pondering" if options.get("unknown_state") and self.state not in self.ends else self.state
        return {"id": self.id, "object": "batch", "endpoint": self.request["endpoint"], "status": state,
                "input_file_id": self.request["input_file_id"], "completion_window": "24h", "errors": errors,
                "request_counts": self.counts, "metadata": self.request.get("metadata"),
                "created_at": int(self.created_at), **self.outputs}


# Files.

def file_json(id):
    kept = files[id]
    return {"id": id, "object": "file", "bytes": len(kept["content"]), "created_at": kept["created_at"],
            "filename": kept.get("name"), "purpose": kept["purpose"], "status": "processed"}


def form(server, body):
    """Returns the parts of a form: their contents and file names, by name."""
    match = re.fullmatch(r"multipart/form-data; boundary=(\S+)", server.headers.get("Content-Type", ""))
    parts = {}
    for part in body.split(b"--" + match.group(1).encode())[1:-1] if match else []:
        head, content = part.removeprefix(b"\r\n").split(b"\r\n\r\n", 1)
        name = re.search(rb'name="([^"]*)"(?:; filename="([^"]*)")?', head)
        parts[name.group(1).decode()] = (content.removesuffix(b"\r\n"), (name.group(2) or b"").decode())
    return parts


def upload(kind, server, body, query):
    parts = form(server, body)
    if parts.get("purpose", (b"",))[0] != b"batch" or "file" not in parts:
        return refuse(server, 400, "purpose or file is missing")
    content, name = parts["file"]
    expiry = int(parts.get("expires_after[seconds]", (b"2592000",))[0])
    if not kind.shortest_expiry <= expiry <= 2_592_000:
        return refuse(server, 400, f"expires_after.seconds must be from {kind.shortest_expiry} to 2592000")
    if not name.endswith(".jsonl"):
        return refuse(server, 400, "Invalid file format for Batch API. Must be .jsonl")
    with lock:
        count("uploads")
        id = add_file(content, "batch", name)
    if take("stall_upload"):
        return server.stall()
    if not server.babble("upload"):
        server.answer(200, file_json(id))


def file(server, body, query, id):
    with lock:
        server.answer(200, file_json(id)) if id in files else refuse(server, 404, f"No such File object: {id}")


def list_files(server, body, query):
    with lock:
        kept = [id for id in reversed(files) if files[id]["purpose"] == query.get("purpose", files[id]["purpose"])]
        start = kept.index(query["after"]) + 1 if query.get("after") in kept else 0
        page = kept[start:start + int(query.get("limit", "10000"))]
        server.answer(200, {"object": "list", "data": [file_json(id) for id in page],
                            "has_more": start + len(page) < len(kept), "first_id": page[0] if page else None,
                            "last_id": page[-1] if page else None})


def delete(server, body, query, id):
    with lock:
        count("deletes")
        if files.pop(id, None) is None:
            return refuse(server, 404, f"No such File object: {id}")
        files[id + "-deleted"] = {"content": b"", "purpose": "deleted", "created_at": 0}  # ids are not used again
    server.answer(200, {"id": id, "object": "file", "deleted": True})


def content(server, body, query, id):
    with lock:
        count("downloads")
        kept = files.get(id)
    if kept is None:
        return refuse(server, 404, f"No such File object: {id}")
    if options.get("redirect") and not server.is_elsewhere:
        return server.answer(302, b"", {"Location": f"{options['redirect']}/elsewhere{server.path}"})
    common.download(server, kept["content"])


# Batches.

def create(kind, server, body, query):
    common.create(server, refuse, lambda: kind(json.loads(body)))


def list_batches(kind, server, body, query):
    if server.babble("list"):
        return
    limit, after = int(query.get("limit", "20")), query.get("after")
    with lock:
        count("lists")
        newest = common.newest(kind)
        start = next((place + 1 for place, batch in enumerate(newest) if batch.id == after), 0)
        data = [batch.json() for batch in newest[start:start + limit]]
    server.answer(200, {"object": "list", "data": data, "has_more": start + limit < len(newest),
                        "first_id": data[0]["id"] if data else None, "last_id": data[-1]["id"] if data else None})


def poll(kind, server, body, query, id):
    common.poll(server, refuse, id, kind)


def cancel(kind, server, body, query, id):
    common.cancel(server, refuse, id, kind)


def routes(path, kind):
    """Returns the routes below a path, for batches of a kind."""
    return [(method, path + pattern, functools.partial(handler, kind) if handler in KINDS else handler)
            for method, pattern, handler in [
                ("POST", "/files", upload), ("GET", "/files/([^/]+)", file), ("DELETE", "/files/([^/]+)", delete),
                ("GET", "/files/([^/]+)/content", content), ("GET", "/files", list_files),
                ("POST", "/batches", create), ("GET", "/batches", list_batches), ("GET", "/batches/([^/]+)", poll),
                ("POST", "/batches/([^/]+)/cancel", cancel), ("POST", "/chat/completions", live),
                ("POST", "/embeddings", live),
            ]]


KINDS = {upload, create, list_batches, poll, cancel}
ROUTES = routes("/v1", Batch)
