#!/usr/bin/env bash
# Miller turns a JSON integer above 2^63-1 into a JSON string, also if it only copies the record.
#
# Versions: Miller 6.6.0 (Debian 12).
# Guess:    `mlr cat` from JSON Lines to JSON Lines keeps a number as it is written, or rounds a large one to a float.
# Seen:     9223372036854775807 stays a number. 9223372036854775808 and 1e400 become strings in quotation marks, and
#           arithmetic with them gives (error). -0 and 1.0 keep their spelling; only a computed value loses it.
# Why:      a pipeline that passes task lines through Miller changes the type of unsigned 64-bit ids and hashes. The
#           next reader rejects the line, or compares a string with a number.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
command -v mlr >/dev/null || { apt-get update && apt-get install -y 'miller=6.6.0*'; } >/dev/null
version=$(mlr --version)
[ "$version" = 'mlr 6.6.0' ] || { echo "FAIL: Miller is '$version', not 6.6.0"; exit 1; }

cat >"$folder/tasks.jsonl" <<'LINES'
{"id": 9223372036854775807}
{"id": 9223372036854775808}
{"id": 18446744073709551615}
{"id": -9223372036854775808}
{"id": -9223372036854775809}
{"id": 1e400}
{"id": 1.0}
{"id": -0}
LINES
{
    echo 'cat:'
    mlr --ijsonl --ojsonl cat "$folder/tasks.jsonl"
    echo 'next:'
    mlr --ijsonl --ojsonl put '$id = $id + 1' "$folder/tasks.jsonl"
} | tee "$folder/seen"
diff "$folder/seen" - <<'SEEN' || { echo 'FAIL: Miller no longer behaves as described'; exit 1; }
cat:
{"id": 9223372036854775807}
{"id": "9223372036854775808"}
{"id": "18446744073709551615"}
{"id": -9223372036854775808}
{"id": "-9223372036854775809"}
{"id": "1e400"}
{"id": 1.0}
{"id": -0}
next:
{"id": 9223372036854776000}
{"id": (error)}
{"id": (error)}
{"id": -9223372036854775807}
{"id": (error)}
{"id": (error)}
{"id": 2}
{"id": 1}
SEEN
echo 'seen as described'
