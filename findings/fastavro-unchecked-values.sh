#!/usr/bin/env bash
# fastavro changes values that do not fit their type, checks nullable types only, and drops new fields when it appends.
#
# Versions: fastavro 1.13.1, avro 1.12.2 (the reference library for Python).
# Guess:    a writer with a schema rejects a value that does not fit, as fastavro does for "5" in an int. A nullable
#           type, ["null", "int"], is checked in the same way. Appending with another schema is an error.
# Seen:     1.7 in an int is written as 1, "false" in a boolean as true, and 1e300 in a float as infinity. 2147483648 is
#           written into an int, which has 32 bits. In a nullable type all of these except 1e300 raise ValueError. avro
#           rejects them all. writer() to a file that has records uses the file's schema, although it was given another
#           one: the new records lose their new field without an error.
# Why:      flags read as text from a CSV file all become true; a new field is missing until the next file begins.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q --disable-pip-version-check fastavro==1.13.1 avro==1.12.2

cat >"$folder/trial.py" <<'PYTHON'
import io, json, sys
import avro.datafile, avro.io, avro.schema, fastavro
def schema(**fields):
    return {"type": "record", "name": "Row", "fields": [{"name": name, "type": kind} for name, kind in fields.items()]}
def with_fastavro(kind, value):
    target = io.BytesIO()
    fastavro.writer(target, schema(value=kind), [{"value": value}])
    return target
def with_avro(kind, value):
    target = io.BytesIO()
    parsed = avro.schema.parse(json.dumps(schema(value=kind)))
    writer = avro.datafile.DataFileWriter(target, avro.io.DatumWriter(), parsed)
    writer.append({"value": value})
    writer.flush()
    return target
def attempt(write, kind, value):
    try: target = write(kind, value)
    except Exception as error: return type(error).__name__
    target.seek(0)
    [row] = avro.datafile.DataFileReader(target, avro.io.DatumReader())
    return repr(row["value"])
for kind, value in [("int", None), ("int", "5"), ("int", 1.7), ("int", 2**31), ("boolean", "false"), ("float", 1e300)]:
    print(f"{value!r} as {kind}: fastavro {attempt(with_fastavro, kind, value)},",
          f"nullable {attempt(with_fastavro, ['null', kind], value)}, avro {attempt(with_avro, kind, value)}")
with open(sys.argv[1], "w+b") as file: fastavro.writer(file, schema(id="int"), [{"id": 1}])
with open(sys.argv[1], "a+b") as file:
    fastavro.writer(file, schema(id="int", error="string"), [{"id": 2, "error": "time-out"}])
with open(sys.argv[1], "rb") as file: print("appended:", list(fastavro.reader(file)))
PYTHON
timeout 60 "$folder/venv/bin/python" "$folder/trial.py" "$folder/rows.avro" | tee "$folder/seen"
diff "$folder/seen" - <<'SEEN' || { echo 'FAIL: the libraries no longer behave as described'; exit 1; }
None as int: fastavro TypeError, nullable None, avro AvroTypeException
'5' as int: fastavro TypeError, nullable ValueError, avro AvroTypeException
1.7 as int: fastavro 1, nullable ValueError, avro AvroTypeException
2147483648 as int: fastavro 2147483648, nullable ValueError, avro AvroTypeException
'false' as boolean: fastavro True, nullable ValueError, avro AvroTypeException
1e+300 as float: fastavro inf, nullable inf, avro OverflowError
appended: [{'id': 1}, {'id': 2}]
SEEN
echo 'seen as described'
