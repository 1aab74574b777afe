"""Turns rows of `sheaf results` on standard input into a CSV of the orders that succeeded."""

import csv
import json
import sys

rows = [json.loads(line) for line in sys.stdin]
writer = csv.DictWriter(sys.stdout, ["order", "country", "amount", "tax", "total"], lineterminator="\n")
writer.writeheader()
writer.writerows(row["output"] for row in rows if row["status"] == "succeeded")
for row in rows:
    if row["status"] == "failed":
        print(f"{row['record_id']}: {row['error']['type']}: {row['error']['message']}", file=sys.stderr)
