#!/usr/bin/env bash
# pyorc writes integers that do not fit their column, and moves the last second of 1969; other readers see other values.
#
# Versions: pyorc 0.12.0, pyarrow 26.0.1 (Python).
# Guess:    an integer that is too large for its column raises an error, as one over 64 bits does. A timestamp that is
#           written is the one that is read, also before 1970.
# Seen:     300 in a tinyint is written as 44, and -129 as 127. pyorc reads 40000 in a smallint and 2147483648 in an int
#           as they were. pyarrow reads them as -25536 and -2147483648 from the same file, and 2 to the power of 40 as
#           0. 1969-12-31 23:59:59.5 becomes 1970-01-01 00:00:00.5 for both readers. Times half a second before and
#           after it are right, and so are all in a file that pyarrow writes.
# Why:      a check that reads the file back with the same library finds nothing; the next tool sees negative ids.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
export TZ=UTC
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q --disable-pip-version-check pyorc==0.12.0 pyarrow==26.0.1 tzdata==2026.6

cat >"$folder/trial.py" <<'PYTHON'
import datetime, io
import pyarrow, pyarrow.orc, pyorc
def by_pyorc(kind, values):
    target = io.BytesIO()
    with pyorc.Writer(target, f"struct<value:{kind}>") as writer: writer.writerows((value,) for value in values)
    return target.getvalue()
def by_pyarrow(values):
    target = io.BytesIO()
    pyarrow.orc.write_table(pyarrow.table({"value": values}), target)
    return target.getvalue()
def text(values):
    return ", ".join(f"{value:%Y-%m-%d %T.%f}"[:-5] if isinstance(value, datetime.datetime) else str(value)
                     for value in values)
def show(title, content):
    print(f"{title}, read by pyorc: {text(value for value, in pyorc.Reader(io.BytesIO(content)))}")
    print(f"{title}, read by pyarrow: {text(pyarrow.orc.read_table(io.BytesIO(content))['value'].to_pylist())}")
for kind, values in [("tinyint", [300, -129]), ("smallint", [40000, 7]), ("int", [2**31, 2**40]), ("bigint", [2**63])]:
    try: show(f"{kind} {text(values)}", by_pyorc(kind, values))
    except TypeError as error: print(f"{kind} {text(values)}: {type(error).__name__}")
epoch = datetime.datetime(1970, 1, 1)
times = [epoch + datetime.timedelta(seconds=shift) for shift in (-1, -0.5, 0)]
for moment in times:
    show(f"{text([moment])} by pyorc", by_pyorc("timestamp", [moment]))
    show(f"{text([moment])} by pyarrow", by_pyarrow([moment]))
PYTHON
timeout 60 "$folder/venv/bin/python" "$folder/trial.py" | tee "$folder/seen"
diff "$folder/seen" - <<'SEEN' || { echo 'FAIL: the libraries no longer behave as described'; exit 1; }
tinyint 300, -129, read by pyorc: 44, 127
tinyint 300, -129, read by pyarrow: 44, 127
smallint 40000, 7, read by pyorc: 40000, 7
smallint 40000, 7, read by pyarrow: -25536, 7
int 2147483648, 1099511627776, read by pyorc: 2147483648, 1099511627776
int 2147483648, 1099511627776, read by pyarrow: -2147483648, 0
bigint 9223372036854775808: TypeError
1969-12-31 23:59:59.0 by pyorc, read by pyorc: 1969-12-31 23:59:59.0
1969-12-31 23:59:59.0 by pyorc, read by pyarrow: 1969-12-31 23:59:59.0
1969-12-31 23:59:59.0 by pyarrow, read by pyorc: 1969-12-31 23:59:59.0
1969-12-31 23:59:59.0 by pyarrow, read by pyarrow: 1969-12-31 23:59:59.0
1969-12-31 23:59:59.5 by pyorc, read by pyorc: 1970-01-01 00:00:00.5
1969-12-31 23:59:59.5 by pyorc, read by pyarrow: 1970-01-01 00:00:00.5
1969-12-31 23:59:59.5 by pyarrow, read by pyorc: 1969-12-31 23:59:59.5
1969-12-31 23:59:59.5 by pyarrow, read by pyarrow: 1969-12-31 23:59:59.5
1970-01-01 00:00:00.0 by pyorc, read by pyorc: 1970-01-01 00:00:00.0
1970-01-01 00:00:00.0 by pyorc, read by pyarrow: 1970-01-01 00:00:00.0
1970-01-01 00:00:00.0 by pyarrow, read by pyorc: 1970-01-01 00:00:00.0
1970-01-01 00:00:00.0 by pyarrow, read by pyarrow: 1970-01-01 00:00:00.0
SEEN
echo 'seen as described'
