#!/usr/bin/env bash
# Polars drops a JSON Lines key that first appears after line 100, and keeps the first of two equal keys.
#
# Versions: polars 2.1.0.
# Guess:    a line that does not fit the schema of the first 100 lines raises an error, whether its type or its keys
#           differ. Of two equal keys in one object the last one counts, as in most JSON parsers.
# Seen:     a later value of another type raises ComputeError. A later key, also one inside an object, is dropped
#           without a warning. Of two equal keys the first one counts; Python's json keeps the last one. With
#           infer_schema_length=None the later keys are read.
# Why:      in a file of results the key "error" first appears with the first failed task, often after many lines.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q --disable-pip-version-check polars==2.1.0

cat >"$folder/trial.py" <<'PYTHON'
import io, json, polars
def show(title, lines, **options):
    text = "\n".join(lines).encode() + b"\n"
    try:
        frame = polars.read_ndjson(io.BytesIO(text), **options)
        print(f"{title}: {frame.rows(named=True)[-1]}")
    except polars.exceptions.PolarsError as error:
        print(f"{title}: {type(error).__name__}")
plain = ['{"task": 1, "use": {"in": 5}}'] * 100
failed = '{"task": 2, "use": {"in": 5, "out": 9}, "error": "time-out"}'
show("new keys in line 100", plain[1:] + [failed])
show("new keys in line 101", plain + [failed])
show("new keys in line 101, whole file inferred", plain + [failed], infer_schema_length=None)
show("new type in line 101", plain + ['{"task": "2", "use": {"in": 5}}'])
twice = '{"task": 1, "task": 2}'
show("equal keys", [twice])
print("equal keys, json:", json.loads(twice))
PYTHON
timeout 60 "$folder/venv/bin/python" "$folder/trial.py" | tee "$folder/seen"
diff "$folder/seen" - <<'SEEN' || { echo 'FAIL: polars no longer behaves as described'; exit 1; }
new keys in line 100: {'task': 2, 'use': {'in': 5, 'out': 9}, 'error': 'time-out'}
new keys in line 101: {'task': 2, 'use': {'in': 5}}
new keys in line 101, whole file inferred: {'task': 2, 'use': {'in': 5, 'out': 9}, 'error': 'time-out'}
new type in line 101: ComputeError
equal keys: {'task': 1}
equal keys, json: {'task': 2}
SEEN
echo 'seen as described'
