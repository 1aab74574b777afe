#!/usr/bin/env bash
# A gzip file of blocks that are filled with zeros is read whole by Python, to the first block by gzip, and not at all by
# rapidgzip.
#
# Versions: gzip 1.12 (Debian 12), isal 1.9.1, indexed_gzip 1.10.3, rapidgzip 0.16.2 (Python); Python's own gzip module.
# Guess:    zeros after a member are padding, as of tapes and of programs that write whole blocks: all readers skip them,
#           also before the next member.
# Seen:     gzip skips zeros at the end. Before a further member it takes them for garbage, and ends with 2 and the first
#           member only. Python's gzip module, igzip and indexed_gzip read both members. rapidgzip reads a file with
#           3 zeros at its end, and raises ValueError for one with 512, or with zeros between members.
# Why:      the row count of such an export depends on the reader; a status of 2 is easily taken for a mere warning.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
version=$(gzip --version | head -n 1)
[ "$version" = 'gzip 1.12' ] || { echo "FAIL: gzip is '$version', not 1.12"; exit 1; }
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q --disable-pip-version-check isal==1.9.1 indexed_gzip==1.10.3 rapidgzip==0.16.2

cat >"$folder/trial.py" <<'PYTHON'
import gzip, subprocess, sys
import indexed_gzip, isal.igzip, rapidgzip
def gzip_program(path):
    run = subprocess.run(["gzip", "-dc", path], capture_output=True)
    return f"{run.stdout.split()} status {run.returncode}"
def read(opening):
    def lines(path):
        try:
            with opening(path) as file:
                return file.read().split()
        except ValueError as error:
            return type(error).__name__
    return lines
readers = {"gzip": gzip_program, "Python": read(gzip.open), "igzip": read(isal.igzip.open),
           "indexed_gzip": read(indexed_gzip.IndexedGzipFile), "rapidgzip": read(rapidgzip.open)}
one, two = gzip.compress(b"one\n"), gzip.compress(b"two\n")
for title, content in [("3 zeros at the end", one + two + bytes(3)), ("512 zeros at the end", one + two + bytes(512)),
                       ("512 zeros between", one + bytes(512) + two)]:
    with open(sys.argv[1], "wb") as file:
        file.write(content)
    for name, reader in readers.items():
        print(f"{title}, {name}: {reader(sys.argv[1])}")
PYTHON
timeout 60 "$folder/venv/bin/python" "$folder/trial.py" "$folder/file.gz" 2>"$folder/log" | tee "$folder/seen"
diff "$folder/seen" - <<'SEEN' || { echo 'FAIL: the readers no longer behave as described'; exit 1; }
3 zeros at the end, gzip: [b'one', b'two'] status 0
3 zeros at the end, Python: [b'one', b'two']
3 zeros at the end, igzip: [b'one', b'two']
3 zeros at the end, indexed_gzip: [b'one', b'two']
3 zeros at the end, rapidgzip: [b'one', b'two']
512 zeros at the end, gzip: [b'one', b'two'] status 0
512 zeros at the end, Python: [b'one', b'two']
512 zeros at the end, igzip: [b'one', b'two']
512 zeros at the end, indexed_gzip: [b'one', b'two']
512 zeros at the end, rapidgzip: ValueError
512 zeros between, gzip: [b'one'] status 2
512 zeros between, Python: [b'one', b'two']
512 zeros between, igzip: [b'one', b'two']
512 zeros between, indexed_gzip: [b'one', b'two']
512 zeros between, rapidgzip: ValueError
SEEN
echo 'seen as described'
