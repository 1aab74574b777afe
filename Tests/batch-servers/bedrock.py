"""Amazon Bedrock's batch inference jobs with S3, and the same requests live. The signature of each request is checked."""
import datetime, hashlib, hmac, json, re, urllib.parse
import common
from common import KEY, Job, count, files, lock, options, outcome, take
from gemini import time_text

# The id and the secret of the access key are the same.
REGION, ACCOUNT = "us-east-1", "123456789012"
STATES = {"validating": "Validating", "in_progress": "InProgress", "finalizing": "InProgress", "cancelling": "Stopping",
          "completed": "Completed", "expired": "Expired", "cancelled": "Stopped", "failed": "Failed"}
CODES = {400: "ValidationException", 403: "AccessDeniedException", 404: "ResourceNotFoundException",
         429: "ThrottlingException", 500: "InternalServerException"}
# Names of objects by bucket and name; `files` holds their content.
objects = {}


# Signatures (https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv-create-signed-request.html).

def is_s3(server):
    return server.path.removeprefix("/elsewhere").startswith("/tests-")


def quoted(text):
    return urllib.parse.quote(text, safe="-_.~")


def sign(key, text):
    return hmac.new(key, text.encode(), hashlib.sha256).digest()


def fault(server):
    """Returns the code and the message with which a request is refused for its signature; None if it is valid."""
    given = re.fullmatch(r"AWS4-HMAC-SHA256 Credential=([^/]+)/(\d{8})/([\w-]+)/(\w+)/aws4_request,"
                         r" ?SignedHeaders=([\w;-]+), ?Signature=([0-9a-f]{64})", server.headers.get("Authorization", ""))
    if not given:
        return "AccessDenied", "the request is not signed"
    id, day, region, service, names, signature = given.groups()
    if id != KEY:
        return "InvalidAccessKeyId", f"The AWS Access Key Id {id} you provided does not exist in our records."
    if (region, service) != (REGION, "s3" if is_s3(server) else "bedrock"):
        return "SignatureDoesNotMatch", f"Credential should be scoped to another region or service than {region}/{service}"
    time, names = server.headers.get("X-Amz-Date", ""), names.split(";")
    at = datetime.datetime.strptime(time, "%Y%m%dT%H%M%SZ").replace(tzinfo=datetime.timezone.utc).timestamp()
    if abs(at - common.now()) > 900:
        return "RequestTimeTooSkewed", f"Signature expired or not yet current: {time} is too far from the present time"
    present = {name.lower() for name in server.headers}
    if "host" not in names or any(name not in names for name in present if name.startswith("x-amz-")):
        return "AccessDenied", "There were headers present in the request which were not signed"
    digest = hashlib.sha256(server.content).hexdigest()
    if is_s3(server):
        claimed = server.headers.get("X-Amz-Content-Sha256")
        if claimed == "UNSIGNED-PAYLOAD":
            digest = claimed
        elif claimed != digest:
            return "XAmzContentSHA256Mismatch", "The provided 'x-amz-content-sha256' header does not match."
    path, _, query = server.path.partition("?")
    pairs = sorted((quoted(name), quoted(value)) for name, value in urllib.parse.parse_qsl(query, True))
    # Other services than S3 encode the path once more.
    path = path if is_s3(server) else "/".join(map(quoted, path.split("/")))
    lines = [server.command, path, "&".join(f"{name}={value}" for name, value in pairs),
             *(f"{name}:{' '.join(server.headers.get(name, '').split())}" for name in names), "", ";".join(names), digest]
    scope = f"{day}/{region}/{service}/aws4_request"
    text = "\n".join(["AWS4-HMAC-SHA256", time, scope, hashlib.sha256("\n".join(lines).encode()).hexdigest()])
    key = f"AWS4{KEY}".encode()
    for part in [day, region, service, "aws4_request"]:
        key = sign(key, part)
    if not hmac.compare_digest(sign(key, text).hex(), signature):
        return "SignatureDoesNotMatch", "The request signature we calculated does not match the one you provided."
    if "token" in options and server.headers.get("X-Amz-Security-Token") != options["token"]:
        return "InvalidToken", "The security token included in the request is invalid."
    return None


def is_authorized(server):
    server.problem = fault(server)
    return server.problem is None


def refuse(server, status, message, code=None, headers={}):
    if status == 401:
        status, (code, message) = 403, server.problem
    elif message.startswith("token_limit_exceeded"):
        code = "ServiceQuotaExceededException"
    if is_s3(server):
        text = f'<?xml version="1.0" encoding="UTF-8"?>\n<Error><Code>{code}</Code><Message>{message}</Message></Error>'
        return server.answer(status, text.encode(), headers, "application/xml")
    name = CODES.get(status, "ModelErrorException") if code in (None, "rate_limit_exceeded") else code
    server.answer(status, {"message": message},
                  {"x-amzn-ErrorType": f"{name}:http://internal.amazon.com/coral/", **headers})


# S3.

def store(bucket, name, content, purpose="batch"):
    with lock:
        objects[bucket, name] = common.add_file(content, purpose, name)


def put(server, body, query, bucket, name):
    with lock:
        count("uploads")
        store(bucket, urllib.parse.unquote(name), body)
    if take("stall_upload"):
        return server.stall()
    if not server.babble("upload"):
        server.answer(200, b"", {"ETag": f'"{hashlib.md5(body).hexdigest()}"'})


def get(server, body, query, bucket, name):
    key = bucket, urllib.parse.unquote(name)
    if key not in objects:
        return refuse(server, 404, "The specified key does not exist.", "NoSuchKey")
    if options.get("redirect") and not server.is_elsewhere:
        return server.answer(307, b"", {"Location": f"{options['redirect']}/elsewhere{server.path}"})
    content = files[objects[key]]["content"]
    if not name.endswith(".jsonl.out"):
        return server.answer(200, content)
    count("downloads")
    common.download(server, content)


def delete(server, body, query, bucket, name):
    with lock:
        count("deletes")
        id = objects.pop((bucket, urllib.parse.unquote(name)), None)
        if id:
            files[id].update(purpose="deleted", content=b"")
    # It is no error if the object does not exist.
    server.answer(204, b"")


# Requests.

def answer_to(model, request):
    """The status and the body or error with which one request is answered; None if it gets no result."""
    content = request["messages"][-1]["content"]
    is_claude = "anthropic." in model
    if is_claude and request.get("anthropic_version") != "bedrock-2023-05-31":
        return 400, "anthropic_version: Field required"
    known = {"anthropic_version", "max_tokens", "messages", "system"} if is_claude else {
        "messages", "system", "inferenceConfig", "toolConfig"}
    if set(request) - known or is_claude and "max_tokens" not in request:
        return 400, "an extraneous key is not permitted, or max_tokens is missing"
    number = int(content if is_claude else content[0]["text"])
    status = outcome(number)
    if status is None:
        return None
    if status != 200:
        return status, f"{number} is not to my taste" if status == 400 else "it broke"
    if is_claude:
        return 200, {"id": "msg_1", "type": "message", "role": "assistant", "model": "claude-2026",
                     "content": [{"type": "text", "text": f"claude: {number}"}], "stop_reason": "end_turn",
                     "usage": {"input_tokens": number + 1, "output_tokens": number % 7 + 1}}
    return 200, {"output": {"message": {"role": "assistant", "content": [{"text": f"{model}: {number}"}]}},
                 "stopReason": "end_turn", "metrics": {"latencyMs": 1},
                 "usage": {"inputTokens": number + 1, "outputTokens": number % 7 + 1,
                           "totalTokens": number + 1 + number % 7 + 1}}


def live(server, body, query, model, method):
    model = urllib.parse.unquote(model)
    if (method == "invoke") != ("anthropic." in model):
        return refuse(server, 400, "the method is not one of the model")
    answer = answer_to(model, json.loads(body))
    if answer is None:
        return server.hang_up()
    server.answer(*answer) if answer[0] == 200 else refuse(server, *answer)


# Jobs.

class Batch(Job):
    prefix = "b"

    def __init__(self, request):
        super().__init__()
        self.request, self.error = request, None
        self.counts = {"totalRecordCount": 0, "processedRecordCount": 0, "successRecordCount": 0, "errorRecordCount": 0}

    def uri(self, side):
        return self.request[f"{side}DataConfig"][f"s3{side.capitalize()}DataConfig"]["s3Uri"]

    def read(self):
        key = re.fullmatch(r"s3://([^/]+)/(.+)", self.uri("input")).groups()
        if key not in objects:
            return self.fail("ValidationException", f"the object {key[1]} does not exist")
        if self.request["modelId"] == "no-such-model":
            return self.fail("ValidationException", "The provided model identifier is invalid.")
        lines = [json.loads(line) for line in files[objects[key]]["content"].split(b"\n")[:-1]]
        if any(set(line) != {"recordId", "modelInput"} for line in lines):
            return self.fail("ValidationException", "a line has other keys than recordId and modelInput")
        self.counts["totalRecordCount"] = len(lines)
        return lines

    def run(self, state, ran):
        rows = []
        for line in self.requests[:ran]:
            answer = answer_to(self.request["modelId"], line["modelInput"])
            is_good = answer is None or answer[0] == 200
            self.counts["processedRecordCount"] += 1
            self.counts["successRecordCount" if is_good else "errorRecordCount"] += 1
            if answer is None:
                continue
            status, body = answer
            # The order is that of the requests.
            rows.append({**line, **({"modelOutput": body} if status == 200 else {
                "error": {"errorCode": status, "errorMessage": body}})})
        if not rows and state != "completed":
            return
        bucket, prefix = re.fullmatch(r"s3://([^/]+)/(.*)", self.uri("output")).groups()
        folder = f"{prefix.rstrip('/')}/{self.id}"
        content = b"".join(json.dumps(row).encode() + b"\n" for row in rows)
        store(bucket, f"{folder}/{self.uri('input').split('/')[-1]}.out", content, "batch_output")
        manifest = {**self.counts, "inputTokenCount": 1, "outputTokenCount": 1}
        store(bucket, f"{folder}/manifest.json.out", json.dumps(manifest).encode(), "batch_output")

    def json(self):
        state = STATES[self.state]
        if options.get("unknown_state") and self.state not in self.ends:
            state = "Pondering"
        counts = {} if options.get("manifest_only") else self.counts
        return {"jobArn": f"arn:aws:bedrock:{REGION}:{ACCOUNT}:model-invocation-job/{self.id}", **self.request,
                "status": state, **counts, **({"message": self.error[1]} if self.error else {}),
                "submitTime": time_text(self.created_at)[:26] + "Z"}


def create(server, body, query):
    request = json.loads(body)
    for name, pattern in [("jobName", r"[a-zA-Z0-9]{1,63}(-*[a-zA-Z0-9+.-]){0,63}"),
                          ("clientRequestToken", r"[a-zA-Z0-9]{1,256}(-*[a-zA-Z0-9]){0,256}"),
                          ("roleArn", r"arn:aws:iam::\d{12}:role/.+"), ("modelInvocationType", "InvokeModel|Converse")]:
        if not re.fullmatch(pattern, request.get(name, "")):
            return refuse(server, 400, f"{name} does not satisfy the pattern {pattern}")
    if (request["modelInvocationType"] == "InvokeModel") != ("anthropic." in request["modelId"]):
        return refuse(server, 400, "the type of the invocation is not one of the model")
    with lock:
        for job in common.jobs.values():
            if isinstance(job, Batch) and job.request["clientRequestToken"] == request["clientRequestToken"]:
                if not server.babble("create"):
                    server.answer(200, {"jobArn": job.json()["jobArn"]})
                return
    if take("token_limit"):
        return refuse(server, 400, "Enqueued token limit reached", "ServiceQuotaExceededException")
    key = re.fullmatch(r"s3://([^/]+)/(.+)", request["inputDataConfig"]["s3InputDataConfig"]["s3Uri"]).groups()
    least = options.get("minimum", 1)
    if key in objects and (lines := files[objects[key]]["content"].count(b"\n")) < least:
        return refuse(server, 400, f"The job has {lines} records, fewer than the quota of {least}")
    common.create(server, refuse, lambda: Batch(request))


def list_jobs(server, body, query):
    if server.babble("list"):
        return
    size, start = int(query.get("maxResults", "10")), int(query.get("nextToken", "p0").removeprefix("p"))
    with lock:
        count("lists")
        newest = [job for job in common.newest(Batch) if query.get("nameContains", "") in job.request["jobName"]]
        data = [job.json() for job in newest[start:start + size]]
    more = {"nextToken": f"p{start + size}"} if start + size < len(newest) else {}
    server.answer(200, {"invocationJobSummaries": data, **more})


def poll(server, body, query, id):
    common.poll(server, refuse, urllib.parse.unquote(id).split("/")[-1], Batch)


def stop(server, body, query, id):
    with lock:
        count("cancels")
        job = common.jobs.get(urllib.parse.unquote(id).split("/")[-1])
        if not isinstance(job, Batch):
            return refuse(server, 404, "The job does not exist.")
        job.cancel()
    server.answer(200, {})


ROUTES = [
    ("PUT", "/(tests-[a-z0-9-]+)/(.+)", put), ("GET", "/(tests-[a-z0-9-]+)/(.+)", get),
    ("DELETE", "/(tests-[a-z0-9-]+)/(.+)", delete), ("POST", "/model-invocation-job", create),
    ("GET", "/model-invocation-jobs", list_jobs), ("GET", "/model-invocation-job/([^/]+)", poll),
    ("POST", "/model-invocation-job/([^/]+)/stop", stop), ("POST", "/model/([^/]+)/(invoke|converse)", live),
]
