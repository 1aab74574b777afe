"""Anthropic's Message Batches, and the same requests live."""
import datetime, json, re
import common
from common import KEY, Job, count, lock, options, outcome, shuffled, take

PATH = "/v1/messages"
TYPES = {400: "invalid_request_error", 401: "authentication_error", 404: "not_found_error", 429: "rate_limit_error",
         500: "api_error"}
# What the newest version of the API refuses.
REMOVED = {"temperature", "top_p", "top_k"}


def is_authorized(server):
    return KEY in (server.headers.get("x-api-key"), server.headers.get("Authorization", "").removeprefix("Bearer "))


def error(status, message):
    return {"type": "error", "error": {"type": TYPES.get(status, "api_error"), "message": message},
            "request_id": "req_1"}


def refuse(server, status, message, code=None, headers={}):
    server.answer(status, error(status, message), headers)


def fault(params, version):
    """Returns the status and the reason with which a request is refused; None if it is acceptable."""
    for name in ["model", "messages", "max_tokens"]:
        if name not in params:
            return 400, f"{name}: Field required"
    if params["model"] == "no-such-model":
        return 404, "model: no-such-model"
    if version >= "2026-10-21" and REMOVED & params.keys():
        return 400, f"{min(REMOVED & params.keys())}: Extra inputs are not permitted"
    return None


def answer_to(params, version, tier):
    """The status and the body with which one request is answered; None if it gets no result."""
    refused = fault(params, version)
    if refused:
        return refused[0], error(*refused)
    number = int(params["messages"][-1]["content"])
    status = outcome(number)
    if status is None:
        return None
    if status != 200:
        return status, error(status, f"{number} is not to my taste" if status == 400 else "it broke")
    return 200, {
        "id": "msg_1", "type": "message", "role": "assistant", "model": params["model"] + "-2026",
        "content": [{"type": "text", "text": f"{params['model']}: {number}"}], "stop_reason": "end_turn",
        "stop_sequence": None,
        "usage": {"input_tokens": number, "cache_read_input_tokens": 1, "cache_creation_input_tokens": 0,
                  "output_tokens": number % 7 + 1, "service_tier": tier},
    }


def version_of(server):
    return server.headers.get("anthropic-version", "")


def live(server, body, query):
    answer = answer_to(json.loads(body), version_of(server), "standard")
    server.answer(*answer) if answer else server.hang_up()


def time_text(seconds):
    return datetime.datetime.fromtimestamp(seconds, datetime.timezone.utc).isoformat().replace("+00:00", "Z")


class Batch(Job):
    prefix = "msgbatch_"

    def __init__(self, requests, version):
        super().__init__()
        self.asked, self.version = requests, version
        self.cancelled_at = self.ended_at = None
        self.counts = {"processing": len(requests), "succeeded": 0, "errored": 0, "canceled": 0, "expired": 0}
        self.rows = b""

    def read(self):
        return self.asked

    def cancel(self):
        super().cancel()
        self.cancelled_at = self.cancelled_at or common.now()

    def run(self, state, ran):
        rows = []
        self.counts["processing"] = 0
        for place, request in enumerate(self.requests):
            if place < ran:
                answer = answer_to(request["params"], self.version, "batch")
            else:
                answer = ("canceled" if state == "cancelled" else state, None)
            if answer is None:
                self.counts["succeeded"] += 1
                continue
            status, body = answer
            kind = {200: "succeeded"}.get(status, "errored") if isinstance(status, int) else status
            self.counts[kind] += 1
            result = {"type": kind}
            if body:
                result["message" if kind == "succeeded" else "error"] = body
            rows.append({"custom_id": request["custom_id"], "result": result})
        self.rows = b"".join(json.dumps(row).encode() + b"\n" for row in shuffled(rows))
        self.ended_at = common.now()

    def json(self):
        has_ended = self.state in self.ends
        state = "ended" if has_ended else "canceling" if self.state == "cancelling" else "in_progress"
        if options.get("unknown_state") and not has_ended:
            state = "pondering"
        path = f"{PATH}/batches/{self.id}/results"
        url = path if options.get("relative") else f"{common.options.get('redirect') or common.url}" + (
            f"/elsewhere{path}" if options.get("redirect") else path)
        return {
            "id": self.id, "type": "message_batch", "processing_status": state, "request_counts": dict(self.counts),
            "created_at": time_text(self.created_at), "expires_at": time_text(self.created_at + 86_400),
            "ended_at": time_text(self.ended_at) if has_ended else None, "archived_at": None,
            "cancel_initiated_at": time_text(self.cancelled_at) if self.cancelled_at else None,
            "results_url": url if has_ended else None,
        }


def create(server, body, query):
    if not version_of(server):
        return refuse(server, 400, "anthropic-version: header is required")
    try:
        requests = json.loads(body)["requests"]
    except (ValueError, KeyError):
        return refuse(server, 400, "the body is not valid JSON, or has no requests")
    ids = [request.get("custom_id") for request in requests]
    if not ids:
        return refuse(server, 400, "requests: List should have at least 1 item")
    if len(set(ids)) < len(ids):
        return refuse(server, 400, "requests: custom_id must be unique")
    if not all(isinstance(id, str) and re.fullmatch("[a-zA-Z0-9_-]{1,64}", id) for id in ids):
        return refuse(server, 400, "requests: custom_id must match ^[a-zA-Z0-9_-]{1,64}$")
    if take("token_limit"):
        return refuse(server, 429, "the queue of requests is full", None, {"Retry-After": "1"})
    common.create(server, refuse, lambda: Batch(requests, version_of(server)))


def list_batches(server, body, query):
    if server.babble("list"):
        return
    limit, after, before = int(query.get("limit", "20")), query.get("after_id"), query.get("before_id")
    with lock:
        count("lists")
        newest = common.newest(Batch)
        ids = [batch.id for batch in newest]
        if before in ids:
            newest = newest[:ids.index(before)][-limit:]
            has_more = len(newest) < ids.index(before)
        else:
            rest = newest[ids.index(after) + 1 if after in ids else 0:]
            newest, has_more = rest[:limit], len(rest) > limit
        for batch in newest:
            batch.advance()
        data = [batch.json() for batch in newest]
    server.answer(200, {"data": data, "has_more": has_more, "first_id": data[0]["id"] if data else None,
                        "last_id": data[-1]["id"] if data else None})


def poll(server, body, query, id):
    common.poll(server, refuse, id, Batch)


def cancel(server, body, query, id):
    common.cancel(server, refuse, id, Batch)


def delete(server, body, query, id):
    with lock:
        count("deletes")
        batch = common.jobs.get(id)
        if not isinstance(batch, Batch):
            return refuse(server, 404, f"No batch found with id '{id}'.")
        if batch.state not in batch.ends:
            return refuse(server, 400, f"Message batch {id} cannot be deleted while it is processing.")
        batch.is_deleted = True
    server.answer(200, {"id": id, "type": "message_batch_deleted"})


def results(server, body, query, id):
    with lock:
        count("downloads")
        batch = common.jobs.get(id)
        if not isinstance(batch, Batch) or batch.state not in batch.ends:
            return refuse(server, 404, f"{id} has no available results")
    common.download(server, batch.rows, kind="application/x-jsonl")


ROUTES = [(method, PATH + pattern, handler) for method, pattern, handler in [
    ("POST", "", live), ("POST", "/batches", create), ("GET", "/batches", list_batches),
    ("GET", "/batches/([^/]+)", poll), ("POST", "/batches/([^/]+)/cancel", cancel),
    ("DELETE", "/batches/([^/]+)", delete), ("GET", "/batches/([^/]+)/results", results),
]]
