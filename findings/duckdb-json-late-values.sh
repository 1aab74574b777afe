#!/usr/bin/env bash
# DuckDB reads a JSON Lines value that does not fit the sampled type as NULL or as an integer, without an error.
#
# Versions: duckdb 2.0.1 (Python package).
# Guess:    read_json reads a sample to choose the types. A later value of another type raises an error, as it does for
#           a later word in a column of integers or dates.
# Seen:     a column that is null in the whole sample has the type "NULL", and a later string or object is read as
#           NULL. A later 0.5 in a column of integers is read as 0. A key that only appears later is missing. With
#           sample_size=-1 all three are read as they are.
# Why:      in a file of results, "error" is null until the first task fails. A query for failed tasks finds none.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q --disable-pip-version-check duckdb==2.0.1

cat >"$folder/trial.py" <<'PYTHON'
import json, sys, duckdb
folder, many = sys.argv[1], 200_000
path = f"{folder}/results.jsonl"
trials = [
    ("error", [{"task": 1, "error": None}] * many + [{"task": 2, "error": "time-out"}]),
    ("error", [{"task": 1, "error": None}] * many + [{"task": 2, "error": {"code": 7}}]),
    ("score", [{"task": 1, "score": 1}] * many + [{"task": 2, "score": 0.5}]),
    ("score", [{"task": 1, "score": 1}] * many + [{"task": 2, "score": "none"}]),
]
for column, rows in trials:
    with open(path, "w") as file:
        file.writelines(json.dumps(row) + "\n" for row in rows)
    for size in (20480, -1):  # 20480 is the default
        try:
            table = duckdb.read_json(path, sample_size=size)
            [(kind, value)] = table.filter("task = 2").project(f"typeof({column}), {column}").fetchall()
            seen = f"{kind} {value!r}"
        except duckdb.Error as error:
            seen = type(error).__name__
        print(f"{json.dumps(rows[-1][column])} sample_size={size}: {seen}")
with open(path, "w") as file:
    file.writelines('{"task": 1}\n' for _ in range(many))
    file.write('{"task": 2, "error": "time-out"}\n')
print("late key:", duckdb.read_json(path).columns, duckdb.read_json(path, sample_size=-1).columns)
PYTHON
timeout 120 "$folder/venv/bin/python" "$folder/trial.py" "$folder" | tee "$folder/seen"
diff "$folder/seen" - <<'SEEN' || { echo 'FAIL: duckdb no longer behaves as described'; exit 1; }
"time-out" sample_size=20480: "NULL" None
"time-out" sample_size=-1: VARCHAR 'time-out'
{"code": 7} sample_size=20480: "NULL" None
{"code": 7} sample_size=-1: STRUCT(code BIGINT) {'code': 7}
0.5 sample_size=20480: BIGINT 0
0.5 sample_size=-1: DOUBLE 0.5
"none" sample_size=20480: InvalidInputException
"none" sample_size=-1: JSON '"none"'
late key: ['task'] ['task', 'error']
SEEN
echo 'seen as described'
