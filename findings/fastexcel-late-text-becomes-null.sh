#!/usr/bin/env bash
# A text far down in a column of numbers becomes null in fastexcel and polars.read_excel, and may take its row with it.
#
# Versions: fastexcel 0.21.0, polars 2.1.0, openpyxl 3.1.5 (Python).
# Guess:    each cell of a spreadsheet has a type of its own, so a column with one text among numbers is read as text, or
#           is an error; nothing is dropped.
# Seen:     fastexcel takes the type of a column from its first 1,000 rows. The cell "A12" in row 1,400 becomes null,
#           without an error or a warning; in row 900 all values become text. polars.read_excel, whose default engine is
#           fastexcel, looks at 100 rows only, so both become null. If the row has no other cell, it is then taken for
#           empty, and 1,499 of 1,500 rows are left. engine="openpyxl" and schema_sample_rows=None keep the value.
# Why:      codes such as article numbers are often digits only for a long while; a row with a null as id looks valid.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q --disable-pip-version-check fastexcel==0.21.0 polars==2.1.0 openpyxl==3.1.5

cat >"$folder/trial.py" <<'PYTHON'
import sys
import fastexcel, openpyxl, polars
path = sys.argv[1]
def write(place):
    book = openpyxl.Workbook()
    book.active.append(columns)
    for number in range(1500):
        book.active.append(["A12" if number == place else 7, number][: len(columns)])
    book.save(path)
def shown(frame, place):
    return f"{frame['code'].dtype}, {frame['code'][place]!r}, {frame['code'].null_count()} nulls, {len(frame)} rows"
columns = ["code", "number"]
for place in (900, 1400):
    write(place)
    print(f"text in row {place}, fastexcel:", shown(fastexcel.read_excel(path).load_sheet(0).to_polars(), place))
    print(f"text in row {place}, polars:", shown(polars.read_excel(path), place))
print("engine openpyxl:", shown(polars.read_excel(path, engine="openpyxl"), 1400))
sheet = fastexcel.read_excel(path).load_sheet(0, schema_sample_rows=None)
print("all rows sampled:", shown(sheet.to_polars(), 1400))
columns = ["code"]
write(1400)
print("only column, polars:", shown(polars.read_excel(path), 1400))
PYTHON
timeout 60 "$folder/venv/bin/python" "$folder/trial.py" "$folder/codes.xlsx" | tee "$folder/seen"
diff "$folder/seen" - <<'SEEN' || { echo 'FAIL: the readers no longer behave as described'; exit 1; }
text in row 900, fastexcel: String, 'A12', 0 nulls, 1500 rows
text in row 900, polars: Int64, None, 1 nulls, 1500 rows
text in row 1400, fastexcel: Float64, None, 1 nulls, 1500 rows
text in row 1400, polars: Int64, None, 1 nulls, 1500 rows
engine openpyxl: String, 'A12', 0 nulls, 1500 rows
all rows sampled: String, 'A12', 0 nulls, 1500 rows
only column, polars: Int64, 7, 0 nulls, 1499 rows
SEEN
echo 'seen as described'
