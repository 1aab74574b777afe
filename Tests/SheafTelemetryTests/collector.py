"""A collector for OTLP over HTTP: writes each span it receives as a line of JSON, as the official classes decode it.

usage: collector.py FILE; prints its port.
"""

import json
import sys
from http.server import BaseHTTPRequestHandler, HTTPServer

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)
from opentelemetry.proto.trace.v1.trace_pb2 import Span, Status


def value(any_value):
    kind = any_value.WhichOneof("value")
    if kind == "array_value":
        return [value(item) for item in any_value.array_value.values]
    return getattr(any_value, kind) if kind else None


def attributes(pairs):
    return {pair.key: value(pair.value) for pair in pairs}


def described(span, resource):
    return {
        "resource": resource,
        "trace": span.trace_id.hex(),
        "span": span.span_id.hex(),
        "parent": span.parent_span_id.hex(),
        "state": span.trace_state,
        "flags": span.flags,
        "name": span.name,
        "kind": Span.SpanKind.Name(span.kind),
        "start": span.start_time_unix_nano,
        "end": span.end_time_unix_nano,
        "attributes": attributes(span.attributes),
        "events": [{"name": e.name, "attributes": attributes(e.attributes)} for e in span.events],
        "links": [
            {"trace": link.trace_id.hex(), "span": link.span_id.hex(), "state": link.trace_state, "flags": link.flags}
            for link in span.links
        ],
        "status": Status.StatusCode.Name(span.status.code),
        "message": span.status.message,
    }


class Collector(BaseHTTPRequestHandler):
    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"]))
        right = self.path == "/v1/traces" and self.headers["Content-Type"] == "application/x-protobuf"
        if right:
            request = ExportTraceServiceRequest.FromString(body)
            # Unknown fields would be kept silently.
            assert len(request.SerializeToString()) == len(body)
            with open(sys.argv[1], "a") as file:
                for group in request.resource_spans:
                    resource = attributes(group.resource.attributes)
                    for scope in group.scope_spans:
                        for span in scope.spans:
                            file.write(json.dumps(described(span, resource)) + "\n")
        self.send_response(200 if right else 400)
        answer = ExportTraceServiceResponse().SerializeToString()
        self.send_header("Content-Length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)

    def log_message(self, *arguments):
        pass


server = HTTPServer(("127.0.0.1", 0), Collector)
print(f"http://127.0.0.1:{server.server_port}/", file=sys.stderr, flush=True)
server.serve_forever()
