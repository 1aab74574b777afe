#!/usr/bin/env bash
# Runs this example with the `sheaf` on the PATH, in a temporary folder. Exits with an error if a result is wrong.
set -euo pipefail
example=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cp -R "$example"/. "$folder"
cd "$folder"

# 2 records × 3 rates × 2 numbers of steps: 12 tasks.
batch=$(sheaf create simulate starts.jsonl -p 'rate=[0.1,0.4,0.5]' -p 'steps=[5,20]' --quiet)
sheaf run --until-empty --batch "$batch" -c 4

sheaf results "$batch" --ordered | python3 -c '
import json, sys
rows = [json.loads(line) for line in sys.stdin]
assert len(rows) == 12 and all(row["status"] == "succeeded" for row in rows), rows
for row in rows:
    print(row["record_id"], row["output"], "attempts:", row["attempts"])
    assert row["attempts"] == (2 if row["output"]["rate"] == 0.5 else 1), row
pairs = {(row["record_id"], row["output"]["rate"], row["output"]["steps"]) for row in rows}
assert len(pairs) == 12, "a combination is missing"
best = min(rows, key=lambda row: row["output"]["error"])
assert best["output"]["rate"] == 0.5, best
print("12 combinations, the best rate is", best["output"]["rate"])
'
