#!/usr/bin/env bash
# pika reads a float in a header as an integer without its fraction, and cannot write a float at all.
#
# Versions: pika 1.4.4, amqp 5.4.2 (used by kombu and Celery), pamqp 4.0.1 (used by aio-pika).
# Guess:    a bool, an int or a float in a header that one Python client writes is the same value in another one.
# Seen:     amqp writes 0.75 as a double and pamqp as a float. pika reads both as the integer 0, and -1.75 as -1,
#           without an error. Writing a float with pika raises UnsupportedAMQPFieldException. amqp and pamqp read each
#           other's floats exactly, and all three agree about integers and booleans. But repr() of a 64-bit integer
#           that pika has read ends with the letter L, also under Python 3, so the text of a header table that holds a
#           delivery count is not a Python literal.
# Why:      a score, a price or a delay in a header becomes 0 in a worker that uses pika. Strings are safe.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q --disable-pip-version-check pika==1.4.4 amqp==5.4.2 pamqp==4.0.1

cat >"$folder/trial.py" <<'PYTHON'
import amqp.serialization, pamqp.decode, pamqp.encode, pika
def pika_write(table):
    pieces = []
    pika.data.encode_table(pieces, table)
    return b"".join(pieces)
write = {
    "amqp": lambda table: amqp.serialization.dumps("F", [table]),
    "pamqp": pamqp.encode.field_table,
    "pika": pika_write,
}
read = {
    "amqp": lambda data: amqp.serialization.loads("F", data, 0)[0][0],
    "pamqp": lambda data: pamqp.decode.field_table(data)[1],
    "pika": lambda data: pika.data.decode_table(data, 0)[0],
}
for value in (0.75, -1.75, 2**31, -(2**63), True):
    for writer in write:
        try:
            data = write[writer]({"x": value})
        except Exception as error:
            print(f"{value!r} by {writer}: {type(error).__name__}")
            continue
        # The type's letter follows the table's length and the name.
        values = ", ".join(f"{reader} {read[reader](data)['x']!r}" for reader in read)
        print(f"{value!r} by {writer} as {chr(data[6])}: {values}")
print("text of a table read by pika:", str(read["pika"](write["amqp"]({"bytes": 2**31}))))
PYTHON
timeout 60 "$folder/venv/bin/python" "$folder/trial.py" | tee "$folder/seen"
diff "$folder/seen" - <<'SEEN' || { echo 'FAIL: the clients no longer behave as described'; exit 1; }
0.75 by amqp as d: amqp 0.75, pamqp 0.75, pika 0L
0.75 by pamqp as f: amqp 0.75, pamqp 0.75, pika 0L
0.75 by pika: UnsupportedAMQPFieldException
-1.75 by amqp as d: amqp -1.75, pamqp -1.75, pika -1L
-1.75 by pamqp as f: amqp -1.75, pamqp -1.75, pika -1L
-1.75 by pika: UnsupportedAMQPFieldException
2147483648 by amqp as L: amqp 2147483648, pamqp 2147483648, pika 2147483648L
2147483648 by pamqp as i: amqp 2147483648, pamqp 2147483648, pika 2147483648
2147483648 by pika as l: amqp 2147483648, pamqp 2147483648, pika 2147483648L
-9223372036854775808 by amqp as L: amqp -9223372036854775808, pamqp -9223372036854775808, pika -9223372036854775808L
-9223372036854775808 by pamqp as l: amqp -9223372036854775808, pamqp -9223372036854775808, pika -9223372036854775808L
-9223372036854775808 by pika as l: amqp -9223372036854775808, pamqp -9223372036854775808, pika -9223372036854775808L
True by amqp as t: amqp True, pamqp True, pika True
True by pamqp as t: amqp True, pamqp True, pika True
True by pika as t: amqp True, pamqp True, pika True
text of a table read by pika: {'bytes': 2147483648L}
SEEN
echo 'seen as described'
