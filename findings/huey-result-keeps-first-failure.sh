#!/usr/bin/env bash
# A huey result handle that was read between two attempts reports the first failure even after the retry succeeded.
#
# Versions: huey 3.5.4 (SQLite storage).
# Guess:    result.get() of a task with retries left returns None ("not ready"), or raises until the retry has
#           succeeded.
# Seen:     get() raises TaskException after the first failed attempt, although a retry is queued. The handle remembers
#           that error and raises it again after the retry has succeeded. The value is returned after reset(), and
#           by a handle that was not read between the attempts.
# Why:      a poller that waits for many tasks reports a task as failed for good because it asked at the wrong time.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q --disable-pip-version-check huey==3.5.4

cat >"$folder/trial.py" <<'PYTHON'
import logging, sys
from huey import SqliteHuey
logging.disable(logging.CRITICAL)
huey = SqliteHuey(filename=f"{sys.argv[1]}/queue.db")
attempts = 0
@huey.task(retries=1)
def work():
    global attempts
    attempts += 1
    if attempts % 2: raise ValueError("first attempt")
    return "done"
def attempt():
    huey.execute(huey.dequeue())
def read(title, get):
    try: print(f"{title}: {get()!r}")
    except Exception as error: print(f"{title}: {type(error).__name__} {error}")
polled = work()
read("before the first attempt", polled.get)
attempt()
print("tasks in the queue after the first attempt:", len(huey))
read("after the first attempt", polled.get)
attempt()
read("after the second attempt", polled.get)
polled.reset()
read("after reset", polled.get)
unread = work()
attempt(); attempt()
read("handle not read between the attempts", unread.get)
PYTHON
timeout 60 "$folder/venv/bin/python" "$folder/trial.py" "$folder" | tee "$folder/seen"
diff "$folder/seen" - <<'SEEN' || { echo 'FAIL: huey no longer behaves as described'; exit 1; }
before the first attempt: None
tasks in the queue after the first attempt: 1
after the first attempt: TaskException ValueError('first attempt')
after the second attempt: TaskException ValueError('first attempt')
after reset: 'done'
handle not read between the attempts: 'done'
SEEN
echo 'seen as described'
