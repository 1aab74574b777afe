#!/usr/bin/env bash
# FastWARC stops without an error at an empty gzip member, and does not find header fields in lower case.
#
# Versions: FastWARC 2.0.1, warcio 1.8.1 (Python).
# Guess:    a .warc.gz file may be made by appending others, as the format allows. If one of them is an empty file that
#           was compressed, nothing is missing. Names of header fields may have any case.
# Seen:     FastWARC returns the records before the empty member and none after it. If it is the first member, the file
#           seems to be empty. warcio and Python's gzip module read all. A record with "content-length" in lower case
#           ends FastWARC with OSError; warcio reads it.
# Why:      a crawler that rotates its files may write empty ones; a merged archive loses all that follows the first.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q --disable-pip-version-check fastwarc==2.0.1 warcio==1.8.1

cat >"$folder/trial.py" <<'PYTHON'
import gzip, io, sys
import fastwarc.warc, warcio.archiveiterator, warcio.warcwriter
def archive(names, compressed=True):
    target = io.BytesIO()
    writer = warcio.warcwriter.WARCWriter(target, gzip=compressed)
    for name in names:
        writer.write_record(writer.create_warc_record(f"http://example.org/{name}", "resource",
                                                      payload=io.BytesIO(b"text"), warc_content_type="text/plain"))
    return target.getvalue()
def read(library, path):
    try:
        with open(path, "rb") as file:
            if library == "warcio":
                return [record.rec_headers.get_header("WARC-Target-URI")[-1]
                        for record in warcio.archiveiterator.ArchiveIterator(file)]
            if library == "gzip":
                return gzip.open(file).read().count(b"WARC/1.")
            return [record.headers["WARC-Target-URI"][-1] for record in fastwarc.warc.ArchiveIterator(file)]
    except OSError as error:
        return type(error).__name__
empty, path = gzip.compress(b""), sys.argv[1]
for title, content in [
    ("appended", archive("ab") + archive("cd")),
    ("empty member between", archive("ab") + empty + archive("cd")),
    ("empty member first", empty + archive("ab")),
    ("empty member last", archive("ab") + empty),
    ("lower case, not compressed", archive("ab", False).replace(b"Content-Length", b"content-length")),
]:
    with open(path, "wb") as file: file.write(content)
    for library in ("fastwarc", "warcio") + ("gzip",) * content.startswith(b"\x1f\x8b"):
        print(f"{title}, {library}: {read(library, path)}")
PYTHON
timeout 60 "$folder/venv/bin/python" "$folder/trial.py" "$folder/crawl.warc.gz" 2>"$folder/errors" | tee "$folder/seen"
diff "$folder/seen" - <<'SEEN' || { echo 'FAIL: the readers no longer behave as described'; exit 1; }
appended, fastwarc: ['a', 'b', 'c', 'd']
appended, warcio: ['a', 'b', 'c', 'd']
appended, gzip: 4
empty member between, fastwarc: ['a', 'b']
empty member between, warcio: ['a', 'b', 'c', 'd']
empty member between, gzip: 4
empty member first, fastwarc: []
empty member first, warcio: ['a', 'b']
empty member first, gzip: 2
empty member last, fastwarc: ['a', 'b']
empty member last, warcio: ['a', 'b']
empty member last, gzip: 2
lower case, not compressed, fastwarc: OSError
lower case, not compressed, warcio: ['a', 'b']
SEEN
echo 'seen as described'
