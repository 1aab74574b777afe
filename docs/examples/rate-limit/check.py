"""Checks the results on standard input, and the times at which the service was called."""

import json
import sys
import urllib.request

RATE, BURST = 20, 2  # a burst is what the rate allows in a tenth of a second

rows = [json.loads(line) for line in sys.stdin]
assert len(rows) == 40 and all(row["status"] == "succeeded" for row in rows), rows
assert all(row["output"]["sku"] == row["record_id"] for row in rows), "an answer belongs to another record"
assert all(row["attempts"] == 1 for row in rows), "waiting for a busy service must not count as an attempt"

with urllib.request.urlopen(f"http://127.0.0.1:{sys.argv[1]}/calls") as response:
    calls = json.load(response)
assert len(calls) == 41, f"{len(calls)} calls instead of 40 and one that was asked to wait"
# One call more than the rate and a burst: the server's clock starts when it reads a request, which may be later.
busiest = max(sum(begin <= other < begin + 1 for other in calls) for begin in calls)
assert busiest <= RATE + BURST + 1, f"{busiest} calls within a second"
print(f"40 items in {calls[-1] - calls[0]:.1f} s, at most {busiest} calls within a second")
