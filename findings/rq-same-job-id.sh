#!/usr/bin/env bash
# RQ runs the second of two jobs with one id twice, and the first never.
#
# Versions: rq 3.0.0, fakeredis 2.41.0 (Redis in the same process).
# Guess:    enqueue() with the id of a job that still waits raises an error, returns the waiting job, or replaces it.
#           In each case one job is left and runs once.
# Seen:     the second enqueue() overwrites the stored function and arguments, and adds the id to the queue again. The
#           queue counts 2, the worker runs the second job twice, and the first job never runs. No error is raised.
#           After refresh() the handle of the first job shows the second one's arguments and result. Only with
#           unique=True does enqueue() raise DuplicateJobError, then also if the old job has finished.
# Why:      ids that a caller chooses, so that a repeated submission has no effect, repeat the work instead.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q --disable-pip-version-check rq==3.0.0 "fakeredis[lua]==2.41.0"
cd "$folder"

cat >work.py <<'PYTHON'
runs = []
def work(name):
    runs.append(name)
    return f"{name} in run {len(runs)}"
PYTHON
cat >trial.py <<'PYTHON'
import logging, fakeredis, rq, work
logging.disable(logging.CRITICAL)
redis = fakeredis.FakeStrictRedis()
queue = rq.Queue(connection=redis)
def run():
    work.runs.clear()
    rq.SimpleWorker([queue], connection=redis).work(burst=True)
first = queue.enqueue(work.work, "first", job_id="order-7")
second = queue.enqueue(work.work, "second", job_id="order-7")
print("waiting:", queue.count, queue.job_ids)
run()
print("runs:", work.runs)
first.refresh()
print("first handle:", first.args, first.return_value())
print("results kept:", [result.return_value for result in first.results()])
third = queue.enqueue(work.work, "third", job_id="order-7")
run()
print("after it has finished:", work.runs, third.return_value())
try:
    queue.enqueue(work.work, "fourth", job_id="order-7", unique=True)
except rq.exceptions.DuplicateJobError as error:
    print("unique=True:", type(error).__name__)
PYTHON
timeout 60 venv/bin/python -W ignore trial.py | tee seen
diff seen - <<'SEEN' || { echo 'FAIL: rq no longer behaves as described'; exit 1; }
waiting: 2 ['order-7', 'order-7']
runs: ['second', 'second']
first handle: ('second',) second in run 2
results kept: ['second in run 2', 'second in run 1']
after it has finished: ['third'] third in run 1
unique=True: DuplicateJobError
SEEN
echo 'seen as described'
