#!/usr/bin/env bash
# Runs this example with the `sheaf` on the PATH, in a temporary folder. Exits with an error if a result is wrong.
set -euo pipefail
example=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cp -R "$example"/. "$folder"
cd "$folder"

# The input: twenty small files and one that is not text.
mkdir files
for number in $(seq 1 20); do printf 'file %s\n' "$number" >"files/$number.txt"; done
printf '\377\000\376' >files/binary.dat

batch=$(sheaf create checksum files --quiet)
sheaf run --until-empty --batch "$batch"
sheaf results "$batch" --ordered | python3 -c '
import json, sys
for row in map(json.loads, sys.stdin):
    print(row["output"].split()[0] + "  " + row["record_id"])
' | sort -k 2 >SHA256SUMS

cat SHA256SUMS
[ "$(wc -l <SHA256SUMS)" -eq 21 ]
sha256sum --quiet --check SHA256SUMS
echo "21 checksums are correct"
