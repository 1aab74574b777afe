"""Gradient descent on x², from the x of the record. Usage: simulate.py RATE STEPS < record"""

import json
import os
import sys

rate, steps = float(sys.argv[1]), int(sys.argv[2])
x = json.load(sys.stdin)["x"]
# Stands for a licence server that is sometimes busy: the first attempt with this rate ends with EX_TEMPFAIL.
if rate == 0.5 and os.environ["SHEAF_ATTEMPT"] == "1":
    sys.exit(75)
for _ in range(steps):
    x -= rate * 2 * x
print(json.dumps({"rate": rate, "steps": steps, "error": abs(x)}))
