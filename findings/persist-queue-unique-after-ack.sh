#!/usr/bin/env bash
# persist-queue's UniqueAckQ drops an item that equals one which was acknowledged earlier.
#
# Versions: persist-queue 1.1.0.
# Guess:    a unique queue refuses an item while an equal one waits or is being worked on. After ack the item may be
#           put again, and put() raises if it drops an item.
# Seen:     put() of an equal item returns None and adds nothing, also after ack and after ack_failed, and after the
#           file was opened again. It is accepted after clear_acked_data(keep_latest=0); by default that method keeps
#           the last 1000 acknowledged items. An item that was acknowledged as failed stays refused even then. UniqueQ,
#           which has no acknowledgements, accepts the item again after get().
# Why:      a nightly task with the same arguments runs once, and is then dropped each night without an error.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q --disable-pip-version-check persist-queue==1.1.0

cat >"$folder/trial.py" <<'PYTHON'
import sys
from persistqueue import UniqueAckQ, UniqueQ
folder = sys.argv[1]
def put(title, queue):
    print(f"{title}: put() returns {queue.put('nightly')}, {queue.size} waiting")
queue = UniqueAckQ(f"{folder}/ack")
put("first", queue)
put("while it waits", queue)
queue.ack(queue.get())
put("after ack", queue)
put("after ack, reopened", UniqueAckQ(f"{folder}/ack"))
queue.clear_acked_data()
put("after clear_acked_data()", queue)
queue.clear_acked_data(keep_latest=0)
put("after clear_acked_data(keep_latest=0)", queue)
queue.ack_failed(queue.get())
queue.clear_acked_data(keep_latest=0)
put("after ack_failed and the same", queue)
queue.clear_acked_data(keep_latest=0, clear_ack_failed=True)
put("after clear_ack_failed=True", queue)
plain = UniqueQ(f"{folder}/plain", auto_commit=True)
plain.put("nightly")
plain.get()
put("UniqueQ after get", plain)
PYTHON
timeout 60 "$folder/venv/bin/python" "$folder/trial.py" "$folder" | tee "$folder/seen"
diff "$folder/seen" - <<'SEEN' || { echo 'FAIL: persist-queue no longer behaves as described'; exit 1; }
first: put() returns 1, 1 waiting
while it waits: put() returns None, 1 waiting
after ack: put() returns None, 0 waiting
after ack, reopened: put() returns None, 0 waiting
after clear_acked_data(): put() returns None, 0 waiting
after clear_acked_data(keep_latest=0): put() returns 2, 1 waiting
after ack_failed and the same: put() returns None, 0 waiting
after clear_ack_failed=True: put() returns 3, 1 waiting
UniqueQ after get: put() returns 2, 1 waiting
SEEN
echo 'seen as described'
