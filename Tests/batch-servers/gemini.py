"""Gemini's Files and Batches, and the same requests live."""
import datetime, json
import common
from common import KEY, Job, add_file, count, files, lock, options, outcome, take

NAMES = {400: ("INVALID_ARGUMENT", 3), 404: ("NOT_FOUND", 5), 429: ("RESOURCE_EXHAUSTED", 8), 500: ("INTERNAL", 13)}
STATES = {"validating": "PENDING", "in_progress": "RUNNING", "finalizing": "RUNNING", "cancelling": "RUNNING",
          "completed": "SUCCEEDED", "expired": "EXPIRED", "cancelled": "CANCELLED", "failed": "FAILED"}
# What a request may have, by the method that runs many of them.
KNOWN = {
    "batchGenerateContent": {"contents", "systemInstruction", "generationConfig", "tools", "toolConfig"},
    "asyncBatchEmbedContent": {"model", "content", "taskType", "title", "outputDimensionality"},
}
uploads = {}


def is_authorized(server):
    # The URL of an upload is a secret by itself, and Google's library sends no key there.
    return server.headers.get("x-goog-api-key") == KEY or "/files?upload_id=" in server.path


def refuse(server, status, message, code=None, headers={}):
    details = [{"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": f"{headers['Retry-After']}s"}
               ] if "Retry-After" in headers else []
    if status == 401:
        # A wrong key is a bad request.
        status = 400
        details = [{"@type": "type.googleapis.com/google.rpc.ErrorInfo", "reason": "API_KEY_INVALID",
                    "domain": "googleapis.com"}]
    server.answer(status, {"error": {"code": status, "message": message, "status": NAMES[status][0],
                                     "details": details}})


def time_text(seconds):
    return datetime.datetime.fromtimestamp(seconds, datetime.timezone.utc).strftime("%Y-%m-%dT%H:%M:%S.%f789Z")


def answer_to(model, request):
    """The status and the body or error with which one request is answered; None if it gets no result."""
    content = request.get("content") or request["contents"][-1]
    number = int(content["parts"][0]["text"])
    status = outcome(number)
    if status is None:
        return None
    if status != 200:
        return status, f"{number} is not to my taste" if status == 400 else "it broke"
    if "content" in request:
        return 200, {"embedding": {"values": [float(number), 0.25, -1e-05]}}
    return 200, {
        "candidates": [{"index": 0, "finishReason": "STOP",
                        "content": {"role": "model", "parts": [{"text": f"{model}: {number}"}]}}],
        "modelVersion": model + "-2026", "responseId": "r1",
        "usageMetadata": {"promptTokenCount": number + 1, "candidatesTokenCount": number % 7 + 1,
                          "totalTokenCount": number + 1 + number % 7 + 1, "cachedContentTokenCount": 1},
    }


def live(server, body, query, model, method):
    request = json.loads(body)
    if method == "batchEmbedContents":
        answers = [answer_to(model, part) for part in request["requests"]]
        return server.answer(200, {"embeddings": [answer[1]["embedding"] for answer in answers]})
    answer = answer_to(model, request)
    if answer is None:
        return server.hang_up()
    server.answer(*answer) if answer[0] == 200 else refuse(server, *answer)


class Batch(Job):
    prefix = "g"

    def __init__(self, model, asked, batch):
        super().__init__()
        self.model, self.asked, self.batch, self.error = model, asked, batch, None
        self.output, self.counts = None, {"successfulRequestCount": 0, "failedRequestCount": 0}

    def read(self):
        return self.asked

    def run(self, state, ran):
        rows = []
        for line in self.requests[:ran]:
            answer = answer_to(self.model, line["request"])
            if answer is None:
                self.counts["successfulRequestCount"] += 1
                continue
            status, body = answer
            self.counts["successfulRequestCount" if status == 200 else "failedRequestCount"] += 1
            result = {"response": body} if status == 200 else {
                "error": {"code": NAMES[status][1], "message": body, "details": []}}
            rows.append({**result, "key": line["key"]})
        if rows or state == "completed":
            rows.sort(key=lambda row: hash(row["key"][::-1]))
            content = b"".join(json.dumps(row).encode() + b"\n" for row in rows)
            self.output = "files/batch-" + add_file(content, "batch_output")

    def json(self):
        name, state = f"batches/{self.id}", STATES[self.state]
        if options.get("unknown_state") and self.state not in self.ends:
            state = "PONDERING"
        # Without a value, a member is left out, and counts are strings.
        total = len(self.asked)
        counts = {"requestCount": total, **self.counts, "pendingRequestCount": total - sum(self.counts.values())}
        answer = {"name": name, "metadata": {
            "@type": "type.googleapis.com/google.ai.generativelanguage.v1main.GenerateContentBatch",
            "name": name, "model": f"models/{self.model}", "displayName": self.batch["displayName"],
            "inputConfig": self.batch["inputConfig"], "state": f"BATCH_STATE_{state}",
            "createTime": time_text(self.created_at), "updateTime": time_text(common.now()),
            "batchStats": {key: str(value) for key, value in counts.items() if value},
        }}
        if self.output and not take("late_output"):
            answer["metadata"]["output"] = {"responsesFile": self.output}
            answer["response"] = {"responsesFile": self.output}
        if self.state in self.ends:
            answer["done"] = True
        if self.error:
            answer["error"] = {"code": 8, "message": self.error[1]}
        return answer


# Files.

def upload(server, body, query):
    host = server.headers["Host"]
    if "upload_id" not in query:
        if server.headers.get("X-Goog-Upload-Protocol") != "resumable" or server.headers.get(
                "X-Goog-Upload-Command") != "start":
            return refuse(server, 400, "the upload does not start as a resumable one does")
        with lock:
            id = f"u{len(uploads)}"
            given = json.loads(body or b"{}").get("file", {})
            uploads[id] = {"size": int(server.headers["X-Goog-Upload-Header-Content-Length"]), "content": b"",
                           "name": given.get("displayName") or given.get("display_name")}
        path = server.path.split("?")[0]
        # A server may name another host than the one that the client knows.
        host = options.get("upload_host", host)
        return server.answer(200, b"", {"X-Goog-Upload-URL": f"http://{host}{path}?upload_id={id}",
                                        "X-Goog-Upload-Status": "active"})
    with lock:
        kept = uploads[query["upload_id"]]
        if int(server.headers["X-Goog-Upload-Offset"]) != len(kept["content"]):
            return refuse(server, 400, "the offset is wrong")
        kept["content"] += body
        if "finalize" not in server.headers["X-Goog-Upload-Command"]:
            return server.answer(200, b"", {"X-Goog-Upload-Status": "active"})
        if len(kept["content"]) != kept["size"]:
            return refuse(server, 400, "the size is another than it was announced")
        count("uploads")
        id = add_file(kept["content"], "batch", kept["name"])
    if take("stall_upload"):
        return server.stall()
    if not server.babble("upload"):
        server.answer(200, {"file": file_json(id)}, {"X-Goog-Upload-Status": "final"})


def file_json(id):
    kept = files[id]
    return {"name": f"files/{id}", "displayName": kept.get("name"), "mimeType": "application/jsonl",
            "sizeBytes": str(len(kept["content"])), "state": "ACTIVE", "source": "UPLOADED",
            "createTime": time_text(kept["created_at"]), "expirationTime": time_text(kept["created_at"] + 172_800)}


def delete(server, body, query, id):
    with lock:
        count("deletes")
        if files.pop(id, None) is None:
            # It cannot be told from a file of another account.
            return refuse(server, 404, f"You do not have permission to access the File {id} or it may not exist.")
        files[id + "-deleted"] = {"content": b"", "purpose": "deleted", "created_at": 0}  # ids are not used again
    server.answer(200, {})


def content(server, body, query, id):
    with lock:
        count("downloads")
        kept = files.get(id.removeprefix("batch-"))
    if kept is None or query.get("alt") != "media":
        return refuse(server, 404, f"there is no file {id}, or alt=media is missing")
    if options.get("redirect") and not server.is_elsewhere:
        return server.answer(302, b"", {"Location": f"{options['redirect']}/elsewhere{server.path}"})
    common.download(server, kept["content"])


# Batches.

def fault(lines, method):
    """Returns why requests are refused, all of them for one of them."""
    keys = set()
    for number, line in enumerate(lines, 1):
        try:
            line = json.loads(line)
        except ValueError:
            return f"Line {number} is not JSON"
        if not isinstance(line.get("request"), dict) or not isinstance(line.get("key"), str):
            return f"Line {number} has no key or no request"
        unknown = set(line["request"]) - KNOWN[method]
        if unknown:
            return f'Line {number}: Unknown name "{min(unknown)}": Cannot find field.'
        if line["key"] in keys:
            return f"Line {number}: the key is not unique"
        keys.add(line["key"])
    return None if lines else "the file is empty"


def create(server, body, query, model, method):
    batch = json.loads(body)["batch"]
    name = batch["inputConfig"].get("fileName") or batch["inputConfig"]["file_name"]
    batch["inputConfig"] = {"fileName": name}
    if "displayName" not in batch:
        return refuse(server, 400, "batch.displayName is required")
    if model == "no-such-model":
        return refuse(server, 404, f"models/{model} is not found for API version v1beta")
    kept = files.get(name.removeprefix("files/"))
    if kept is None:
        return refuse(server, 400, f"the file {name} does not exist")
    lines = kept["content"].split(b"\n")[:-1]
    problem = fault(lines, method)
    if problem:
        return refuse(server, 400, problem)
    common.create(server, refuse, lambda: Batch(model, [json.loads(line) for line in lines], batch))


def list_batches(server, body, query):
    if server.babble("list"):
        return
    size, start = int(query.get("pageSize", "10")), int(query.get("pageToken", "p0").removeprefix("p"))
    with lock:
        count("lists")
        newest = common.newest(Batch)
        data = [batch.json() for batch in newest[start:start + size]]
    # Without entries, the list is an empty object.
    more = {"nextPageToken": f"p{start + size}"} if start + size < len(newest) else {}
    server.answer(200, {**({"operations": data} if data else {}), **more})


def poll(server, body, query, id):
    common.poll(server, refuse, id, Batch)


def cancel(server, body, query, id):
    common.cancel(server, refuse, id, Batch)


def remove(server, body, query, id):
    with lock:
        common.jobs[id].is_deleted = True
    server.answer(200, {})


def routes(path, version):
    models = f"{path}/{version}/models/([^/:]+)"
    return [
        ("POST", f"{path}/upload/{version}/files", upload), ("DELETE", f"{path}/{version}/files/([^/]+)", delete),
        # Google's library does not use the path with `download`, which the documentation has.
        ("GET", f"{path}(?:/download)?/{version}/files/([^/:]+):download", content),
        ("POST", f"{models}:(batchGenerateContent|asyncBatchEmbedContent)", create),
        ("POST", f"{models}:(generateContent|embedContent|batchEmbedContents)", live),
        ("GET", f"{path}/{version}/batches", list_batches), ("GET", f"{path}/{version}/batches/([^/:]+)", poll),
        ("POST", f"{path}/{version}/batches/([^/:]+):cancel", cancel),
        ("DELETE", f"{path}/{version}/batches/([^/:]+)", remove),
    ]


ROUTES = routes("", "v1beta") + routes("/gemini", "(?:v1|v1beta)")
