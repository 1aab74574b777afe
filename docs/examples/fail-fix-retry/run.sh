#!/usr/bin/env bash
# Runs this example with the `sheaf` on the PATH, in a temporary folder. Exits with an error if a result is wrong.
set -euo pipefail
example=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cp -R "$example"/. "$folder"
cd "$folder"

echo '{"EUR": 1, "USD": 1.25}' >rates.json   # JPY is missing
batch=$(sheaf create convert amounts.csv --quiet)
code=0
sheaf run --until-empty --batch "$batch" || code=$?
[ "$code" -eq 1 ]
sheaf results "$batch" --status failed

# Fix the cause, then run only what failed. The tasks keep their numbers, and results that are there stay.
echo '{"EUR": 1, "USD": 1.25, "JPY": 150}' >rates.json
sheaf retry "$batch"
sheaf run --until-empty --batch "$batch"
sheaf status "$batch"

sheaf results "$batch" --ordered | python3 -c '
import json, sys
rows = [json.loads(line) for line in sys.stdin]
found = [(row["record_id"], row["status"], row["output"]["eur"]) for row in rows]
expected = [("1", "succeeded", 10.0), ("2", "succeeded", 16.0), ("3", "succeeded", 20.0), ("4", "succeeded", 5.0), ("5", "succeeded", 0.67)]
sys.exit(None if found == expected else f"expected {expected}, found {found}")
'
echo "3 tasks succeeded at once, 2 after the fix"
