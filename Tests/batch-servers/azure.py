"""Azure OpenAI's batches: those of OpenAI with other paths, another header, and some surprises."""
import json
import openai
from common import KEY, add_file
from openai import refuse

ENDPOINTS = {"/chat/completions", "/embeddings", "/v1/responses"}


def is_authorized(server):
    return KEY in (server.headers.get("api-key"), server.headers.get("Authorization", "").removeprefix("Bearer "))


class Batch(openai.Batch):
    shortest_expiry = 1_209_600

    def __init__(self, request):
        super().__init__(request)
        # Nothing expires.
        self.fate = None if self.fate == "expire" else self.fate

    def read(self):
        if self.request["endpoint"] not in ENDPOINTS:
            return self.fail("url_mismatch", f"the endpoint {self.request['endpoint']} does not exist")
        return super().read()

    def run(self, state, ran):
        super().run(state, ran)
        # A file without errors is empty, and there all the same.
        if self.outputs["error_file_id"] is None:
            self.outputs["error_file_id"] = add_file(b"", "batch_output")

    def json(self):
        state = super().json()
        for name in ["output_file_id", "error_file_id"]:
            state[name] = state[name] or ""
        return {**state, "endpoint": None, "expires_at": int(self.created_at) + 86_400}


def versioned(handler):
    """Only the API with versions has this path, and it needs one."""
    def check(server, body, query, *names):
        if "api-version" not in query:
            return refuse(server, 404, "Resource not found")
        handler(server, body, query, *names)
    return check


def deployed(server, body, query, deployment):
    openai.live(server, json.dumps({**json.loads(body), "model": deployment}).encode(), query)


ROUTES = openai.routes("/openai/v1", Batch) + [
    (method, pattern, versioned(handler)) for method, pattern, handler in [
        ("POST", "/openai/deployments/([^/]+)/(?:chat/completions|embeddings)", deployed),
        *[route for route in openai.routes("/openai", Batch) if route[2] is not openai.live],
    ]
]
