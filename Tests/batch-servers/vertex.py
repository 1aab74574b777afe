"""Vertex AI's batch prediction jobs with Cloud Storage and the exchange of tokens, and the same requests live."""
import base64, hashlib, json, re, time, urllib.parse
import common, gemini
from common import ERROR, KEY, Job, count, files, lock, options, take
from gemini import NAMES, answer_to, time_text

PROJECT, LOCATION = "tests", "us-central1"
HOME = f"/v1(?:beta1)?/projects/{PROJECT}/locations/{LOCATION}"
STATES = {"validating": "PENDING", "in_progress": "RUNNING", "finalizing": "RUNNING", "cancelling": "CANCELLING",
          "completed": "SUCCEEDED", "expired": "EXPIRED", "cancelled": "CANCELLED", "failed": "FAILED"}
# Names of objects by bucket and name; `files` holds their content.
objects, tokens = {}, {}
# The account that may get tokens: POST /control has its public key as {"vertex_key": {"n": HEX, "e": 65537}}.
ACCOUNT = "worker@tests.iam.gserviceaccount.com"


def is_authorized(server):
    if server.path.split("?")[0] == "/token":
        return True
    token = server.headers.get("Authorization", "").removeprefix("Bearer ")
    with lock:
        return token == KEY or tokens.get(token, 0) > time.monotonic()


def refuse(server, status, message, code=None, headers={}):
    if message.startswith("token_limit_exceeded"):
        status = 429  # there is no 400 that may be repeated
    names = {**NAMES, 401: ("UNAUTHENTICATED", 16), 403: ("PERMISSION_DENIED", 7)}
    server.answer(status, {"error": {"code": status, "message": message, "status": names[status][0]}}, headers)


# Tokens.

def decoded(part):
    return base64.urlsafe_b64decode(part + "=" * (-len(part) % 4))


def is_signed(text, signature, key):
    """Whether a signature is one with RSASSA-PKCS1-v1_5 and SHA-256 (RFC 8017, 8.2.2)."""
    modulus = int(key["n"], 16)
    size = (modulus.bit_length() + 7) // 8
    found = pow(int.from_bytes(signature, "big"), key["e"], modulus).to_bytes(size, "big")
    digest = bytes.fromhex("3031300d060960864801650304020105000420") + hashlib.sha256(text).digest()
    return found == b"\0\1" + b"\xff" * (size - len(digest) - 3) + b"\0" + digest


def token(server, body, query):
    form = dict(urllib.parse.parse_qsl(body.decode()))

    def no(code, text):
        server.answer(400, {"error": code, "error_description": text})

    with lock:
        count("tokens")
    if take("fail_token"):
        return server.answer(503, {"error": "internal_failure"})
    if form.get("grant_type") != "urn:ietf:params:oauth:grant-type:jwt-bearer":
        return no("unsupported_grant_type", "Invalid grant_type")
    head, claims, signature = form["assertion"].split(".")
    if not is_signed(f"{head}.{claims}".encode(), decoded(signature), options["vertex_key"]):
        return no("invalid_grant", "Invalid JWT Signature.")
    head, claims = json.loads(decoded(head)), json.loads(decoded(claims))
    if head["alg"] != "RS256" or claims["iss"] != ACCOUNT or "cloud-platform" not in claims["scope"]:
        return no("invalid_grant", "Invalid grant: account not found")
    if claims["aud"] != f"http://{server.headers['Host']}/token":
        return no("invalid_grant", "Invalid JWT: the audience is another")
    if abs(claims["iat"] - common.now()) > 300 or not 0 < claims["exp"] - claims["iat"] <= 3_600:
        return no("invalid_grant", "Invalid JWT: Token must be a short-lived token (60 minutes) and in a reasonable"
                  " timeframe. Check your iat and exp values in the JWT claim.")
    with lock:
        text = f"ya29.{len(tokens)}-{hashlib.sha256(signature.encode()).hexdigest()[:16]}"
        lasts = options.get("token_time", 3_599)
        tokens[text] = time.monotonic() + lasts
    server.answer(200, {"access_token": text, "expires_in": int(options.get("token_says", lasts)),
                        "token_type": "Bearer"})


# Storage.

def store(bucket, name, content, purpose="batch"):
    with lock:
        objects[bucket, name] = id = common.add_file(content, purpose, name)
        return id


def object_json(bucket, name):
    kept = files[objects[bucket, name]]
    return {"kind": "storage#object", "id": f"{bucket}/{name}/1", "name": name, "bucket": bucket,
            "size": str(len(kept["content"])), "contentType": "application/jsonl", "generation": "1",
            "md5Hash": base64.b64encode(hashlib.md5(kept["content"]).digest()).decode(),
            "timeCreated": time_text(kept["created_at"])[:23] + "Z"}


def upload(server, body, query, bucket):
    bucket = urllib.parse.unquote(bucket)
    if query.get("uploadType") == "multipart":
        # Google's library sends the name and the content as two parts.
        edge = re.search(r"boundary=\"?([^\";]+)", server.headers["Content-Type"]).group(1).encode()
        head, content = (part.split(b"\r\n\r\n", 1)[1] for part in body.split(b"--" + edge)[1:3])
        query["name"], body = json.loads(head)["name"], content.removesuffix(b"\r\n")
    elif query.get("uploadType") != "media":
        return refuse(server, 400, "the type of the upload is unknown")
    with lock:
        count("uploads")
        store(bucket, query["name"], body)
    if take("stall_upload"):
        return server.stall()
    if not server.babble("upload"):
        server.answer(200, object_json(bucket, query["name"]))


def list_objects(server, body, query, bucket):
    bucket = urllib.parse.unquote(bucket)
    with lock:
        names = sorted(name for at, name in objects if at == bucket and name.startswith(query.get("prefix", "")))
        start, size = int(query.get("pageToken", "0")), 2
        items = [object_json(bucket, name) for name in names[start:start + size]]
    more = {"nextPageToken": str(start + size)} if start + size < len(names) else {}
    server.answer(200, {"kind": "storage#objects", **({"items": items} if items else {}), **more})


def found(server, bucket, name):
    key = urllib.parse.unquote(bucket), urllib.parse.unquote(name)
    if key not in objects:
        refuse(server, 404, f"No such object: {key[0]}/{key[1]}")
        return None
    return key


def get_object(server, body, query, bucket, name):
    key = found(server, bucket, name)
    if key is None:
        return
    if query.get("alt") != "media":
        return server.answer(200, object_json(*key))
    if options.get("redirect") and not server.is_elsewhere:
        return server.answer(302, b"", {"Location": f"{options['redirect']}/elsewhere{server.path}"})
    content = files[objects[key]]["content"]
    # The file of an empty shard is not counted.
    if content:
        count("downloads")
    common.download(server, content)


def delete_object(server, body, query, bucket, name):
    with lock:
        count("deletes")
        key = found(server, bucket, name)
        if key is None:
            return
        files[objects.pop(key)].update(purpose="deleted", content=b"")
    server.answer(204, b"")


# Jobs.

def depth(value):
    if isinstance(value, list):
        return max(map(depth, value), default=0)
    return 1 + max(map(depth, value.values()), default=0) if isinstance(value, dict) else 0


def keys(value, path=""):
    """Yields the path, the key and the value of each member, at any depth."""
    if isinstance(value, list):
        for part in value:
            yield from keys(part, path)
    elif isinstance(value, dict):
        for key, part in value.items():
            yield f"{path}.{key}", key, part
            yield from keys(part, f"{path}.{key}")


def fault(lines):
    """Returns why a file cannot be imported; each key of it becomes a column with one type."""
    types = {}
    for number, line in enumerate(lines, 1):
        if depth(line) > 15:
            return f"line {number}: nested too deeply"
        for path, key, value in keys(line):
            if not re.fullmatch(r"[^$\s]+", key) or value == {} or key == "type" and isinstance(value, list):
                return f"Failed to import data: line {number}: invalid field {path}"
            kind = "number" if isinstance(value, (int, float)) else type(value).__name__
            if types.setdefault(path, kind) != kind:
                return f"Failed to import data: line {number}: {path} has another type"
        if not isinstance(line.get("request"), dict):
            return f"line {number}: there is no request"
    return None if lines else "the file is empty"


def claude_answer(request):
    """The same answers by Anthropic's Messages."""
    request = {"contents": [{"parts": [{"text": request["messages"][-1]["content"]}]}]}
    answer = answer_to("c", request)
    if not answer or answer[0] != 200:
        return answer
    body = answer[1]
    return 200, {"type": "message", "role": "assistant", "model": "c-2026", "stop_reason": "end_turn",
                 "content": [{"type": "text", "text": body["candidates"][0]["content"]["parts"][0]["text"]}],
                 "usage": {"input_tokens": body["usageMetadata"]["promptTokenCount"],
                           "output_tokens": body["usageMetadata"]["candidatesTokenCount"]}}


def respond(publisher, model, request):
    if publisher == "google":
        return answer_to(model, request)
    if request.get("anthropic_version") != "vertex-2023-10-16" or "model" in request:
        return 400, "the version is missing, or there is a model"
    return claude_answer(request)


class Batch(Job):
    def __init__(self, request):
        self.prefix = "7"
        super().__init__()
        self.request, self.error, self.directory = request, None, None
        self.counts = {"successfulCount": 0, "failedCount": 0}

    def read(self):
        bucket, name = re.fullmatch(r"gs://([^/]+)/(.+)", self.request["inputConfig"]["gcsSource"]["uris"][0]).groups()
        if (bucket, name) not in objects:
            return self.fail(5, f"Failed to find {name}")
        lines = [json.loads(line) for line in files[objects[bucket, name]]["content"].split(b"\n")[:-1]]
        problem = fault(lines)
        if problem:
            return self.fail(3, problem)
        if self.request["model"].endswith("/no-such-model"):
            return self.fail(5, f"Publisher Model `{self.request['model']}` was not found")
        return lines

    def run(self, state, ran):
        _, publisher, _, model = self.request["model"].split("/")
        rows = []
        for line in self.requests[:ran]:
            answer = respond(publisher, model, line["request"])
            is_good = answer is None or answer[0] == 200
            self.counts["successfulCount" if is_good else "failedCount"] += 1
            if answer is None:
                continue
            status, body = answer
            row = {**line, "processed_time": time_text(common.now()), "status": ""}
            if status == 200:
                row["response"] = body
            else:
                reason = {"error": {"code": status, "message": body, "status": NAMES[status][0]}}
                row["status"] = f"{'Bad Request' if status == 400 else 'Internal'}: {json.dumps(reason)}"
            rows.append(row)
        if not rows and state != "completed":
            return
        rows.sort(key=lambda row: hash(row["custom_id"][::-1]))
        uri = self.request["outputConfig"]["gcsDestination"]["outputUriPrefix"]
        self.directory = f"{uri.rstrip('/')}/prediction-model-{time_text(common.now())}"
        bucket, prefix = re.fullmatch(r"gs://([^/]+)/(.+)", self.directory).groups()
        # A file that is cut must have some lines, so a few rows are in one shard.
        shards = [rows] if len(rows) < 200 else [rows[:70], rows[70:71], rows[71:]]
        for number, shard in enumerate([*shards, []]):
            content = b"".join(json.dumps(row).encode() + b"\n" for row in shard)
            store(bucket, f"{prefix}/predictions_{number:05}.jsonl", content, "batch_output")

    def json(self):
        state = STATES[self.state]
        if options.get("unknown_state") and self.state not in self.ends:
            state = "PONDERING"
        counts = self.counts if self.state in self.ends else {"successfulCount": -1, "failedCount": 0}
        answer = {"name": f"projects/123456/locations/{LOCATION}/batchPredictionJobs/{self.id}",
                  "displayName": self.request["displayName"], "model": self.request["model"],
                  "inputConfig": self.request["inputConfig"], "outputConfig": self.request["outputConfig"],
                  "state": f"JOB_STATE_{state}", "createTime": time_text(self.created_at)[:26] + "Z",
                  "updateTime": time_text(common.now())[:26] + "Z",
                  "completionStats": {key: str(value) for key, value in counts.items() if value}}
        if self.directory and not take("late_output"):
            answer["outputInfo"] = {"gcsOutputDirectory": self.directory}
        if self.error:
            code = 8 if self.error[0] == "token_limit_exceeded" else self.error[0]
            answer["error"] = {"code": code, "message": self.error[1]}
        return answer


def create(server, body, query):
    request = json.loads(body)
    if not request.get("displayName") or not re.fullmatch(
            r"publishers/(google|anthropic)/models/[\w.@-]+", request.get("model", "")):
        return refuse(server, 400, "displayName or model is missing or invalid")
    if request["inputConfig"]["instancesFormat"] != "jsonl" or request["outputConfig"]["predictionsFormat"] != "jsonl":
        return refuse(server, 400, "only jsonl is imitated")
    common.create(server, refuse, lambda: Batch(request))


def list_jobs(server, body, query):
    if server.babble("list"):
        return
    size, start = int(query.get("pageSize", "10")), int(query.get("pageToken", "p0").removeprefix("p"))
    with lock:
        count("lists")
        newest = common.newest(Batch)
        data = [job.json() for job in newest[start:start + size]]
    more = {"nextPageToken": f"p{start + size}"} if start + size < len(newest) else {}
    server.answer(200, {**({"batchPredictionJobs": data} if data else {}), **more})


def poll(server, body, query, id):
    common.poll(server, refuse, id, Batch)


def cancel(server, body, query, id):
    with lock:
        count("cancels")
        job = common.jobs.get(id)
        if not isinstance(job, Batch):
            return refuse(server, 404, f"The BatchPredictionJob {id} does not exist.")
        job.cancel()
    server.answer(200, {})


def remove(server, body, query, id):
    with lock:
        common.jobs[id].is_deleted = True
    server.answer(200, {"name": "operations/1", "done": True, "response": {}})


def live(server, body, query, publisher, model, method):
    if (publisher == "google") != (method == "generateContent"):
        return refuse(server, 400, "the method is not one of the model")
    answer = respond(publisher, model, json.loads(body))
    if answer is None:
        return server.hang_up()
    server.answer(*answer) if answer[0] == 200 else refuse(server, *answer)


ROUTES = [
    ("POST", "/token", token), ("POST", "/upload/storage/v1/b/([^/]+)/o", upload),
    ("GET", "/storage/v1/b/([^/]+)/o", list_objects), ("GET", "(?:/download)?/storage/v1/b/([^/]+)/o/([^/]+)", get_object),
    ("DELETE", "/storage/v1/b/([^/]+)/o/([^/]+)", delete_object),
    ("POST", f"{HOME}/batchPredictionJobs", create), ("GET", f"{HOME}/batchPredictionJobs", list_jobs),
    ("GET", f"{HOME}/batchPredictionJobs/([^/:]+)", poll), ("POST", f"{HOME}/batchPredictionJobs/([^/:]+):cancel", cancel),
    ("DELETE", f"{HOME}/batchPredictionJobs/([^/:]+)", remove),
    ("POST", f"{HOME}/publishers/(google|anthropic)/models/([^/:]+):(generateContent|rawPredict)", live),
]
