#!/usr/bin/env bash
# Runs this example with the `sheaf` on the PATH, in a temporary folder. Exits with an error if a result is wrong.
set -euo pipefail
example=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cp -R "$example"/. "$folder"
cd "$folder"

batch=$(sheaf create statistics --quiet)
sheaf run --until-empty --batch "$batch"
sheaf results "$batch" --ordered -o statistics.csv
cat statistics.csv

sheaf results "$batch" | python3 -c '
import json, sys
found = {row["record_id"].rsplit("/", 1)[-1]: row["output"] for row in map(json.loads, sys.stdin)}
expected = {
    "fox.txt": {"lines": 2, "words": 9, "longest_line": 23},
    "short.txt": {"lines": 1, "words": 1, "longest_line": 5},
    "words.txt": {"lines": 3, "words": 6, "longest_line": 16},
}
sys.exit(None if found == expected else f"expected {expected}, found {found}")
'
echo "the statistics of 3 files are correct"
