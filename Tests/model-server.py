#!/usr/bin/env python3
"""A server on this machine that answers like services of models, and as badly as servers do.

Prints its port, serves until its standard input ends, and keeps nothing. Texts for models are numbers: number n takes
n + 1 tokens in and n % 7 + 1 out; of the first requests for a number every tenth (n % 10 == 3) gets 429 and every
twentieth (n % 20 == 7) gets 500; n % 250 == 0 is refused for good.
"""
import json, re, sys, threading, time, urllib.parse

sys.dont_write_bytecode = True
from listener import Handler, serve

KEY = "sk-secret-of-the-tests"
lock = threading.Lock()
seen, totals = set(), {"calls": 0, "input_tokens": 0, "output_tokens": 0}


class Server(Handler):
    def do_POST(self):
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        url = urllib.parse.urlsplit(self.path)
        query = dict(urllib.parse.parse_qsl(url.query))
        handler = getattr(self, "on_" + url.path.strip("/").replace("/", "_"), None)
        gemini = re.fullmatch(r"/v1beta/models/([\w.-]+):(\w+)", url.path)
        if gemini:
            return self.on_gemini(*gemini.groups(), json.loads(body))
        vertex = re.fullmatch(r"/v1/projects/p/locations/l/publishers/google/models/([\w.-]+):(\w+)", url.path)
        if vertex:
            self.is_vertex = True
            return self.on_gemini(*vertex.groups(), json.loads(body))
        bedrock = re.fullmatch(r"/model/([\w.%-]+)/converse", url.path)
        if bedrock:
            return self.on_bedrock(urllib.parse.unquote(bedrock.group(1)), json.loads(body))
        azure = re.fullmatch(r"/openai/deployments/([\w.-]+)/chat/completions", url.path)
        if azure and "api-version" in query:
            deployed = {**json.loads(body), "model": azure.group(1)}
            return self.on_openai_v1_chat_completions(query, json.dumps(deployed).encode())
        if handler is None:
            return self.answer(404, {"error": {"message": "there is no such path"}})
        handler(query, body)

    do_GET = do_PUT = do_HEAD = do_POST

    # Badly behaved servers.

    def on_echo(self, query, body):
        self.answer(200, {
            "method": self.command, "path": self.path, "body": body.decode("utf-8", "replace"),
            "headers": {name.lower(): value for name, value in self.headers.items()},
        })

    def on_status(self, query, body):
        headers = {"Retry-After": query["after"]} if "after" in query else {}
        text = f"you sent {self.headers.get('Authorization', 'no key')}".encode()
        self.answer(int(query["code"]), text, headers, "text/plain")

    def on_silent(self, query, body):
        time.sleep(60)

    def on_hangup(self, query, body):
        self.close_connection = True
        self.connection.close()

    def on_redirect(self, query, body):
        self.answer(int(query.get("code", "302")), b"", {"Location": query["to"]})

    def on_big(self, query, body):
        self.answer(200, b"x" * int(query["bytes"]), kind="text/plain")

    def on_bytes(self, query, body):
        self.answer(200, b"\xff\xfe", kind="application/octet-stream")

    # Models.

    def on_totals(self, query, body):
        with lock:
            self.answer(200, totals)

    def refusal(self, number, key):
        """What stands in the way of an answer, as OpenAI and Anthropic both write it."""
        if key != KEY:
            return 401, "authentication_error", f"the key {key} is wrong", {}
        if number % 250 == 0:
            return 400, "invalid_request_error", f"{number} is not to my taste", {}
        with lock:
            isFirst = number not in seen
            seen.add(number)
        if isFirst and number % 10 == 3:
            return 429, "rate_limit_error", "too fast", {"Retry-After": "0.05"}
        if isFirst and number % 20 == 7:
            return 500, "api_error", "it broke", {}
        return None

    def admit(self, number, key):
        refusal = self.refusal(number, key)
        if refusal:
            status, kind, message, headers = refusal
            self.answer(status, {"type": "error", "error": {"type": kind, "message": message}}, headers)
            return False
        with lock:
            totals["calls"] += 1
            totals["input_tokens"] += number + 1
            totals["output_tokens"] += number % 7 + 1
        return True

    def on_v1_chat_completions(self, query, body):
        request = json.loads(body)
        number = int(request["messages"][-1]["content"])
        if not self.admit(number, self.headers.get("Authorization", "").removeprefix("Bearer ")):
            return
        message = {"role": "assistant", "content": f"{request['model']}: {number}"}
        finish = "stop"
        if request.get("tools"):
            call = {"name": request["tools"][0]["function"]["name"], "arguments": json.dumps({"n": number})}
            message = {"role": "assistant", "content": None,
                       "tool_calls": [{"id": "call_1", "type": "function", "function": call}]}
            finish = "tool_calls"
        self.answer(200, {
            "id": "chatcmpl-1", "object": "chat.completion", "model": request["model"] + "-2026",
            "choices": [{"index": 0, "message": message, "finish_reason": finish}],
            "usage": {"prompt_tokens": number + 1, "completion_tokens": number % 7 + 1,
                      "total_tokens": number + 1 + number % 7 + 1,
                      "prompt_tokens_details": {"cached_tokens": 1}},
        })

    def on_openai_v1_chat_completions(self, query, body):
        self.headers["Authorization"] = f"Bearer {self.headers.get('api-key')}"
        self.on_v1_chat_completions(query, body)

    def on_v1_messages(self, query, body):
        request = json.loads(body)
        number = int(request["messages"][-1]["content"])
        if self.headers.get("anthropic-version") != "2023-06-01" or "max_tokens" not in request:
            return self.answer(400, {"type": "error", "error": {"message": "a header or max_tokens is missing"}})
        if not self.admit(number, self.headers.get("x-api-key")):
            return
        content = [{"type": "text", "text": f"{request.get('system', '-')}: {number}"}]
        reason = "end_turn"
        if request.get("tools"):
            assert "input_schema" in request["tools"][0]
            content.append({"type": "tool_use", "id": "toolu_1", "name": request["tools"][0]["name"],
                            "input": {"n": number}})
            reason = "tool_use"
        self.answer(200, {
            "id": "msg_1", "type": "message", "role": "assistant", "model": request["model"],
            "content": content, "stop_reason": reason,
            "usage": {"input_tokens": number, "cache_read_input_tokens": 1, "cache_creation_input_tokens": 0,
                      "output_tokens": number % 7 + 1},
        })

    def on_v1_embeddings(self, query, body):
        request = json.loads(body)
        texts = request["input"] if isinstance(request["input"], list) else [request["input"]]
        number = int(texts[0])
        if not self.admit(number, self.headers.get("Authorization", "").removeprefix("Bearer ")):
            return
        data = [{"object": "embedding", "index": place, "embedding": [float(text), 0.25, -1e-05]}
                for place, text in enumerate(texts)]
        self.answer(200, {"object": "list", "data": data, "model": request["model"],
                          "usage": {"prompt_tokens": number + 1, "total_tokens": number + 1}})

    # Mistral: errors have their message at the top, and the names of some options are its own.

    def on_mistral_v1_chat_completions(self, query, body):
        request = json.loads(body)
        unknown = {"seed", "max_completion_tokens"} & set(request)
        if unknown:
            errors = [{"type": "extra_forbidden", "loc": ["body", name], "msg": "Extra inputs are not permitted"}
                      for name in sorted(unknown)]
            return self.answer(422, {"object": "error", "message": {"detail": errors},
                                     "type": "invalid_request_error", "code": None})
        number = int(request["messages"][-1]["content"])
        refusal = self.refusal(number, self.headers.get("Authorization", "").removeprefix("Bearer "))
        if refusal:
            status, kind, message, headers = refusal
            error = {"detail": message} if status == 401 else {"object": "error", "message": message, "type": kind}
            return self.answer(status, error, headers)
        message = {"role": "assistant", "tool_calls": None, "content": [
            {"type": "thinking", "thinking": [{"type": "text", "text": "hm"}]},
            {"type": "text", "text": f"{request['model']}: {number}"}]}
        finish = "model_length"
        if request.get("tools"):
            call = {"name": request["tools"][0]["function"]["name"], "arguments": {"n": number}}
            message = {"role": "assistant", "content": "", "tool_calls": [{"id": "c1", "function": call}]}
            finish = "tool_calls"
        self.answer(200, {"id": "1", "object": "chat.completion", "model": request["model"],
                          "choices": [{"index": 0, "message": message, "finish_reason": finish}],
                          "usage": {"prompt_tokens": number + 1, "completion_tokens": number % 7 + 1,
                                    "total_tokens": number + 1 + number % 7 + 1}})

    def on_mistral_v1_embeddings(self, query, body):
        request = json.loads(body)
        if "dimensions" in request:
            return self.answer(422, {"detail": [{"loc": ["body", "dimensions"], "msg": "Extra inputs"}]})
        self.on_v1_embeddings(query, body)

    # Gemini: the model is in the path, and fields that it does not know are refused.

    def on_gemini(self, model, method, request):
        known = {"contents", "systemInstruction", "generationConfig", "tools", "toolConfig", "safetySettings"}
        if method != "generateContent":
            known = {"model", "content", "taskType", "title", "outputDimensionality"}
        for part in request["requests"] if method == "batchEmbedContents" else [request]:
            for name in set(part) - known:
                return self.gemini_error(400, f'Unknown name "{name}": Cannot find field.')
        if method == "generateContent":
            number = int(request["contents"][-1]["parts"][0]["text"])
        else:
            texts = [part["content"]["parts"][0]["text"] for part in request.get("requests", [request])]
            number = int(texts[0])
        is_vertex = getattr(self, "is_vertex", False)
        key = self.headers.get("Authorization", "").removeprefix("Bearer ") if is_vertex else None
        refusal = self.refusal(number, key or self.headers.get("x-goog-api-key"))
        if refusal:
            status, _, message, headers = refusal
            if is_vertex and status == 401:
                return self.answer(401, {"error": {"code": 401, "message": message, "status": "UNAUTHENTICATED"}})
            # A wrong key is a bad request, and the time to wait is in the body.
            details = [{"@type": "type.googleapis.com/google.rpc.RetryInfo",
                        "retryDelay": headers["Retry-After"] + "s"}] if headers else []
            if status == 401:
                details = [{"@type": "type.googleapis.com/google.rpc.ErrorInfo", "reason": "API_KEY_INVALID"}]
            return self.gemini_error(400 if status == 401 else status, message, details)
        if method == "embedContent":
            return self.answer(200, {"embedding": {"values": [float(texts[0]), 0.25, -1e-05]}})
        if method == "batchEmbedContents":
            return self.answer(200, {"embeddings": [{"values": [float(text), 0.25]} for text in texts],
                                     "usageMetadata": {"promptTokenCount": number + 1, "totalTokenCount": number + 1}})
        system = request.get("systemInstruction", {"parts": [{"text": "-"}]})["parts"][0]["text"]
        parts = [{"text": "hm", "thought": True}, {"text": f"{system}: "}, {"text": str(number)}]
        if request.get("tools"):
            function = request["tools"][0]["functionDeclarations"][0]
            assert "parametersJsonSchema" in function
            parts = [{"functionCall": {"name": function["name"], "args": {"n": number}}, "thoughtSignature": "c2ln"}]
        self.answer(200, {
            "candidates": [{"content": {"role": "model", "parts": parts}, "finishReason": "STOP", "index": 0}],
            "modelVersion": model + "-001", "responseId": "1",
            "usageMetadata": {"promptTokenCount": number + 1, "candidatesTokenCount": number % 7,
                              "thoughtsTokenCount": 1, "totalTokenCount": number + 1 + number % 7 + 1,
                              "cachedContentTokenCount": 1},
        })

    def gemini_error(self, status, message, details=[]):
        names = {400: "INVALID_ARGUMENT", 429: "RESOURCE_EXHAUSTED", 500: "INTERNAL"}
        self.answer(status, {"error": {"code": status, "message": message, "status": names[status],
                                       "details": details}})

    def on_bedrock(self, model, request):
        names = {400: "ValidationException", 401: "AccessDeniedException", 429: "ThrottlingException",
                 500: "InternalServerException"}
        if set(request) - {"messages", "system", "inferenceConfig", "toolConfig"}:
            return self.answer(400, {"message": "an extraneous key is not permitted"})
        number = int(request["messages"][-1]["content"][0]["text"])
        credential = re.match(r"AWS4-HMAC-SHA256 Credential=([^/]+)/", self.headers.get("Authorization", ""))
        refusal = self.refusal(number, credential and credential.group(1))
        if refusal:
            status, _, message, headers = refusal
            headers = {"x-amzn-ErrorType": names[status], **headers}
            return self.answer(403 if status == 401 else status, {"message": message}, headers)
        system = request.get("system", [{"text": "-"}])[0]["text"]
        content, reason = [{"text": f"{system}: "}, {"text": str(number)}], "end_turn"
        if "toolConfig" in request:
            tool = request["toolConfig"]["tools"][0]["toolSpec"]
            assert tool["inputSchema"]["json"]["type"] == "object"
            content, reason = [{"toolUse": {"toolUseId": "t1", "name": tool["name"], "input": {"n": number}}}], "tool_use"
        self.answer(200, {
            "output": {"message": {"role": "assistant", "content": content}}, "stopReason": reason,
            "metrics": {"latencyMs": 1}, "usage": {"inputTokens": number, "outputTokens": number % 7 + 1,
                                                   "totalTokens": number + number % 7 + 1, "cacheReadInputTokens": 1},
        })



serve(Server)
