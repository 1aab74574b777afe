"""Converts an amount to EUR with the rates in rates.json. Usage: convert.py CURRENCY AMOUNT"""

import json
import sys

currency, amount = sys.argv[1], float(sys.argv[2])
with open("rates.json") as file:
    rates = json.load(file)
if currency not in rates:
    sys.exit(f"rates.json has no rate for {currency}")
print(json.dumps({"eur": round(amount / rates[currency], 2)}))
