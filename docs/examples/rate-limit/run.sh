#!/usr/bin/env bash
# Runs this example with the `sheaf` on the PATH, in a temporary folder. Exits with an error if a result is wrong.
set -euo pipefail
example=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
folder=$(mktemp -d)
server=
trap '[ -z "$server" ] || kill "$server"; rm -rf "$folder"' EXIT
cp -R "$example"/. "$folder"
cd "$folder"

# The service: a local server on a free port, which it writes to a file.
python3 server.py port &
server=$!
for _ in $(seq 1 100); do [ -s port ] && break; sleep 0.1; done
ITEMS_PORT=$(cat port)
export ITEMS_PORT

for number in $(seq 1 40); do printf '{"id": "sku-%s", "sku": "sku-%s"}\n' "$number" "$number"; done >items.jsonl
batch=$(sheaf create look-up items.jsonl --quiet)
sheaf run --until-empty --batch "$batch" -c 10
sheaf results "$batch" --ordered | python3 check.py "$ITEMS_PORT"
