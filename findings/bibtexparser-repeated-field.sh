#!/usr/bin/env bash
# bibtexparser leaves out an entry that repeats a field, and returns a value that is joined with "#" as source text.
#
# Versions: bibtexparser 2.1.0, pybtex 0.26.1 (Python).
# Guess:    an entry with a repeated field is read with the first or the last value, or raises an error. Strings that
#           are joined with "#" are one value, as in BibTeX.
# Seen:     the entry is not in "entries", and no error is raised or logged; it is only in "failed_blocks". So is the
#           second of two entries with one key. A name that @string defines is replaced if it stands alone. In a join it
#           is not: the value is the text with quotation marks, braces and "#". pybtex raises an error for a repeated
#           field or key, and joins values.
# Why:      an export may repeat "note" or "keywords"; the import then has fewer entries, and raises no error.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q --disable-pip-version-check bibtexparser==2.1.0 pybtex==0.26.1

cat >"$folder/trial.py" <<'PYTHON'
import bibtexparser, pybtex.database
last = "@book{last, title = {Last}}\n"
for title, text in [
    ("plain", "@book{one, title = {One}, note = {first}}\n"),
    ("repeated field", "@book{one, title = {One}, note = {first}, note = {second}}\n"),
    ("repeated key", "@book{one, title = {One}}\n@book{one, title = {Other}}\n"),
    ("string alone", "@string{press = {Some Press}}\n@book{one, publisher = press}\n"),
    ("joined", "@string{press = {Some Press}}\n@book{one, publisher = press # { of } # \"Town\"}\n"),
]:
    library = bibtexparser.parse_string(text + last)
    for entry in library.entries:
        print(f"{title}, bibtexparser: {entry.key} {({field.key: field.value for field in entry.fields})}")
    if library.failed_blocks:
        print(f"{title}, bibtexparser, failed: {[type(block).__name__ for block in library.failed_blocks]}")
    try:
        for key, entry in pybtex.database.parse_string(text + last, "bibtex").entries.items():
            print(f"{title}, pybtex: {key} {dict(entry.fields)}")
    except pybtex.exceptions.PybtexError as error:
        print(f"{title}, pybtex: {type(error).__name__}")
PYTHON
timeout 60 "$folder/venv/bin/python" "$folder/trial.py" 2>&1 | tee "$folder/seen"
diff "$folder/seen" - <<'SEEN' || { echo 'FAIL: the parsers no longer behave as described'; exit 1; }
plain, bibtexparser: one {'title': 'One', 'note': 'first'}
plain, bibtexparser: last {'title': 'Last'}
plain, pybtex: one {'title': 'One', 'note': 'first'}
plain, pybtex: last {'title': 'Last'}
repeated field, bibtexparser: last {'title': 'Last'}
repeated field, bibtexparser, failed: ['DuplicateFieldKeyBlock']
repeated field, pybtex: DuplicateField
repeated key, bibtexparser: one {'title': 'One'}
repeated key, bibtexparser: last {'title': 'Last'}
repeated key, bibtexparser, failed: ['DuplicateBlockKeyBlock']
repeated key, pybtex: BibliographyDataError
string alone, bibtexparser: one {'publisher': 'Some Press'}
string alone, bibtexparser: last {'title': 'Last'}
string alone, pybtex: one {'publisher': 'Some Press'}
string alone, pybtex: last {'title': 'Last'}
joined, bibtexparser: one {'publisher': 'press # { of } # "Town"'}
joined, bibtexparser: last {'title': 'Last'}
joined, pybtex: one {'publisher': 'Some Press of Town'}
joined, pybtex: last {'title': 'Last'}
SEEN
echo 'seen as described'
