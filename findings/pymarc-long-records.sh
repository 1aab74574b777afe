#!/usr/bin/env bash
# pymarc writes records that are too long for MARC 21 without an error; its reader then loses the rest of the file.
#
# Versions: pymarc 5.4.0 (Python).
# Guess:    the length of a record has five digits in the format, and that of a field four. as_marc() and MARCWriter
#           raise an error for a longer one, or cut it.
# Seen:     both are written with a digit more, which shifts all that follows. A record of over 99,999 bytes yields None
#           and ends the reader: the valid records after it are not read, and no error is raised. After a field of over
#           9,999 bytes only its own record is None. The same records are whole as MARCXML and as JSON.
# Why:      one record with a long table of contents ends an export for its reader; the writer reported no error.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q --disable-pip-version-check pymarc==5.4.0

cat >"$folder/trial.py" <<'PYTHON'
import io, sys
import pymarc
def record(name, notes=()):
    made = pymarc.Record()
    made.add_field(pymarc.Field(tag="001", data=name))
    for note in notes:
        made.add_field(pymarc.Field("505", pymarc.Indicators("0", " "), [pymarc.Subfield("a", note)]))
    return made
def shown(records):
    return [read and f"{read['001'].data} with {len(read.get_fields('505'))} notes" for read in records]
def xml(records):
    parts = b"".join(pymarc.record_to_xml(each, namespace=True) for each in records)
    return shown(pymarc.parse_xml_to_array(io.BytesIO(b"<collection>" + parts + b"</collection>")))
path = sys.argv[1]
for title, notes in [("short", ["x" * 9_000] * 2), ("long field", ["x" * 12_000]), ("long record", ["x" * 9_000] * 12)]:
    records = [record("one"), record("two", notes), record("three"), record("four")]
    with open(path, "wb") as file:
        writer = pymarc.MARCWriter(file)
        for each in records: writer.write(each)
    with open(path, "rb") as file: print(f"{title}, MARC: {shown(pymarc.MARCReader(file))}")
    print(f"{title}, MARCXML: {xml(records)}")
    text = "[" + ",".join(each.as_json() for each in records) + "]"
    print(f"{title}, JSON: {shown(pymarc.JSONReader(text))}")
PYTHON
timeout 60 "$folder/venv/bin/python" "$folder/trial.py" "$folder/records.mrc" | tee "$folder/seen"
diff "$folder/seen" - <<'SEEN' || { echo 'FAIL: pymarc no longer behaves as described'; exit 1; }
short, MARC: ['one with 0 notes', 'two with 2 notes', 'three with 0 notes', 'four with 0 notes']
short, MARCXML: ['one with 0 notes', 'two with 2 notes', 'three with 0 notes', 'four with 0 notes']
short, JSON: ['one with 0 notes', 'two with 2 notes', 'three with 0 notes', 'four with 0 notes']
long field, MARC: ['one with 0 notes', None, 'three with 0 notes', 'four with 0 notes']
long field, MARCXML: ['one with 0 notes', 'two with 1 notes', 'three with 0 notes', 'four with 0 notes']
long field, JSON: ['one with 0 notes', 'two with 1 notes', 'three with 0 notes', 'four with 0 notes']
long record, MARC: ['one with 0 notes', None]
long record, MARCXML: ['one with 0 notes', 'two with 12 notes', 'three with 0 notes', 'four with 0 notes']
long record, JSON: ['one with 0 notes', 'two with 12 notes', 'three with 0 notes', 'four with 0 notes']
SEEN
echo 'seen as described'
