#!/usr/bin/env bash
# Kombu's transports over a folder and over a database lose the messages that a killed consumer had not acknowledged.
#
# Versions: kombu 5.7.0 (Celery's messaging library), SQLAlchemy 2.1.9 (Python).
# Guess:    a message that was not acknowledged is delivered again, as by a broker, after a time-out at the latest: the
#           data are in files or in rows, which outlive the consumer.
# Seen:     a consumer that ends in order returns it to the queue. If it is killed, the message is in no queue any more:
#           the folder transport had deleted its file at delivery; the database transport keeps the row with visible = 0,
#           and nothing ever sets it to 1 again. The folder transport does not keep the order of messages either.
# Why:      they are chosen to try things, or for one machine, without a server; "acknowledge late" does not help there.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q --disable-pip-version-check kombu==5.7.0 sqlalchemy==2.1.9

cat >"$folder/consumer.py" <<'PYTHON'
import os, queue, sys
import kombu
kind, place, action = sys.argv[1:]
options = {}
if kind == "filesystem":
    for name in ("data", "processed", "control"):
        os.makedirs(f"{place}/{name}", exist_ok=True)
    options = {"data_folder_in": f"{place}/data", "data_folder_out": f"{place}/data",
               "processed_folder": f"{place}/processed", "control_folder": f"{place}/control"}
url = "filesystem://" if kind == "filesystem" else f"sqla+sqlite:///{place}/queue.db"
with kombu.Connection(url, transport_options=options) as connection:
    work = connection.SimpleQueue("work")
    if action == "put":
        for number in range(3):
            work.put(number)
    elif action == "left":
        left = []
        try:
            while True:
                message = work.get(timeout=1)
                left.append(message.payload)
                message.ack()
        except queue.Empty:
            print(f"{len(left)} messages are left")
    else:
        work.get(timeout=5)
        if action == "killed":
            os.kill(os.getpid(), 9)
    work.close()
PYTHON
for kind in filesystem database; do
    for end in ended killed; do
        place=$folder/$kind-$end
        mkdir "$place"
        timeout 30 "$folder/venv/bin/python" "$folder/consumer.py" $kind "$place" put
        timeout 30 "$folder/venv/bin/python" "$folder/consumer.py" $kind "$place" $end 2>/dev/null || true
        printf '%s, the consumer of one was %s: ' $kind $end
        timeout 30 "$folder/venv/bin/python" "$folder/consumer.py" $kind "$place" left
    done
done 2>"$folder/log" | tee "$folder/seen"
# The messages that the last consumer did not see are still rows.
"$folder/venv/bin/python" -c "
import sqlite3, sys
rows = sqlite3.connect(sys.argv[1] + '/queue.db').execute('select visible, count(*) from kombu_message group by visible')
print('rows by visible:', rows.fetchall())" "$folder/database-killed" | tee -a "$folder/seen"
diff "$folder/seen" - <<'SEEN' || { echo 'FAIL: the transports no longer behave as described'; exit 1; }
filesystem, the consumer of one was ended: 3 messages are left
filesystem, the consumer of one was killed: 2 messages are left
database, the consumer of one was ended: 3 messages are left
database, the consumer of one was killed: 2 messages are left
rows by visible: [(0, 3)]
SEEN
echo 'seen as described'
