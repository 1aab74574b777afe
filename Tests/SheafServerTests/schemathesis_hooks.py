"""What schemathesis does with the description of the API before it sends requests.

It narrows what is sent to what the stage of the test has, so that most requests meet a batch and not a 404. Responses
must have all the members that are described, and no others: the served description allows later versions to add some.
"""

import schemathesis

BATCHES = ["last", "ended", "open", "asking", "nothing"]
FLOWS = ["echo", "nothing"]


def close(schema):
    """Refuses members that are not described."""
    if isinstance(schema, dict):
        if "properties" in schema and schema.get("type") == "object":
            schema.setdefault("additionalProperties", False)
        for value in schema.values():
            close(value)
    elif isinstance(schema, list):
        for value in schema:
            close(value)


@schemathesis.hook
def before_load_schema(context, raw_schema):
    close(raw_schema["components"]["schemas"])
    for path in raw_schema["paths"].values():
        for operation in path.values():
            for response in operation["responses"].values():
                close(response.get("content"))
            for parameter in operation.get("parameters", []):
                if parameter["name"] == "batch" and parameter["in"] == "path":
                    parameter["schema"] = {"enum": BATCHES}
                if parameter["name"] == "task":
                    parameter["schema"] = {"enum": ["asking:0", "ended:0", "asking:9", "nothing:0"]}
                if parameter["name"] in ("flow", "flow_name"):
                    parameter["schema"] = narrow(parameter["schema"])
    for content in raw_schema["paths"]["/api/batches"]["post"]["requestBody"]["content"].values():
        for schema in content["schema"].get("anyOf", [content["schema"]]):
            for name in ("flow", "flow_name"):
                if name in schema.get("properties", {}):
                    schema["properties"][name] = {"enum": FLOWS}


def narrow(schema):
    """Names the flows of the stage."""
    if schema.get("type") == "array":
        return {"type": "array", "items": {"enum": FLOWS}}
    return {"enum": FLOWS}


@schemathesis.serializer(
    "application/jsonl", "application/x-ndjson", "application/x-jsonlines", "text/csv", "text/tab-separated-values"
)
def lines(context, value):
    """Sends a string as it is."""
    return value.encode() if isinstance(value, str) else str(value).encode()
