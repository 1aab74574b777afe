"""What schemathesis does with the description of the API before it sends requests.

It narrows what is sent to what the stage of the test has, so that most requests meet a batch and not a 404. Responses
must have all the members that are described, and no others: the served description allows later versions to add some.
Each call is noted in the file that SHEAF_CALLS names.
"""

import json
import os

import schemathesis

# The batches that a request may name. Those that end or delete a batch get others, so that the rest stays, and those
# that show a task get some whose tasks have ended.
BATCHES = ["last", "ended", "open", "asking", "nothing"]
BATCHES_OF = {
    "cancelBatch": ["spare1"],
    "cancelBatchByPost": ["spare2"],
    "deleteBatch": ["spare1", "spare3"],
    "getJob": ["ended", "last"],
    "downloadRecord": ["ended"],
    "downloadOutput": ["ended"],
}
# The dispatchers, or for one operation the requests, that a path may name.
NAMES = ["reviews", "nothing"]
NAMES_OF = {"findRequest": ["order-1", "nothing"]}
FLOWS = ["echo", "nothing"]
# Nothing listens there, and the server refuses to send webhooks to addresses of its own machine.
HOOKS = ["http://127.0.0.1:9/hook"]
PARAMETERS = {
    "job": ["0", "1", "2", "r0", "r1", "nothing"],
    "task": ["asking:0", "asking:1", "ended:0", "asking:9", "nothing:0"],
    "number": [0, 1, 2, 99],
    "submission": ["running", "unclear1", "unclear2", "nothing"],
    "id": ["order-1", "nothing"],
    "wait": [0],
    "tag": ["team", "team=search", "other=1"],
}


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


def narrow(schema, values):
    """Allows some values only."""
    if schema.get("type") == "array":
        return schema | {"items": {"enum": values}}
    return {"enum": values}


@schemathesis.hook
def before_load_schema(context, raw_schema):
    close(raw_schema["components"]["schemas"])
    for path in raw_schema["paths"].values():
        for operation in path.values():
            for response in operation["responses"].values():
                close(response.get("content"))
            for parameter in operation.get("parameters", []):
                values = PARAMETERS.get(parameter["name"])
                if parameter["name"] == "batch" and parameter["in"] == "path":
                    values = BATCHES_OF.get(operation["operationId"], BATCHES)
                if parameter["name"] == "name" and parameter["in"] == "path":
                    values = NAMES_OF.get(operation["operationId"], NAMES)
                if values and operation["operationId"] != "createBatch":
                    parameter["schema"] = narrow(parameter["schema"], values)
    answer = raw_schema["paths"]["/api/questions/{task}"]["post"]["requestBody"]["content"]["application/json"]
    answer["schema"]["properties"]["number"] = {"enum": [1, None]}
    create = raw_schema["paths"]["/api/batches"]["post"]
    for parameter in create["parameters"]:
        if parameter["name"] in ("flow", "flow_name"):
            parameter["schema"] = {"enum": FLOWS}
        if parameter["name"] == "notify":
            parameter["schema"] = narrow(parameter["schema"], HOOKS)
    for content in create["requestBody"]["content"].values():
        for schema in content["schema"].get("anyOf", [content["schema"]]):
            for name in {"flow", "flow_name"} & schema.get("properties", {}).keys():
                schema["properties"][name] = {"enum": FLOWS}
            if "notify" in schema.get("properties", {}):
                schema["properties"]["notify"] = {"type": "array", "items": {"enum": HOOKS}, "maxItems": 8}


@schemathesis.serializer(
    "application/jsonl", "application/x-ndjson", "application/x-jsonlines", "text/csv", "text/tab-separated-values"
)
def lines(context, value):
    """Sends a string as it is, and any other value as JSON."""
    return (value if isinstance(value, str) else json.dumps(value)).encode()


@schemathesis.hook
def map_case(context, case):
    """Gives the options of a valid creation once, and leaves out those that exclude others."""
    if case.operation.definition.raw["operationId"] == "addRequests" and case.meta.generation.mode.is_negative:
        # With another format, most bodies are valid lines; and so is any value that is sent in place of a text.
        if case.query.get("format") in ("jsonl", "json", "csv", "tsv", "lines"):
            del case.query["format"]
        if case.media_type != "application/json" and isinstance(case.body, (dict, list, bool, int, float, type(None))):
            case.body = "\0"
    if case.operation.definition.raw["operationId"] != "createBatch" or not case.meta.generation.mode.is_positive:
        return case
    given = case.body if isinstance(case.body, dict) else case.query
    for name in ("flow_name", "flow_parameters", "seed", "source", "tags", "batch_id"):
        given.pop(name, None)
    given["flow"] = "echo"
    if given is case.body:
        case.query = {}
        case.headers.pop("Idempotency-Key", None)
        if case.media_type == "application/json":
            given.pop("format", None)
            given["records"] = given.get("records") or [1, "two", {"id": "three"}]
    elif isinstance(case.body, str) and not case.body.strip():
        case.body = "id\n1\n"
    return case


@schemathesis.hook
def after_call(context, case, response):
    with open(os.environ["SHEAF_CALLS"], "a") as calls:
        method = response.request.method
        if method == case.operation.method.upper():
            calls.write(f"{case.operation.definition.raw['operationId']} {response.status_code}\n")
