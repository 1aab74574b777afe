#!/usr/bin/env bash
# A batch job that has partially succeeded has ended, but google-genai's `job.done` says that it has not.
#
# Version:  google-genai 3.6.1 (Python).
# Guess:    BatchJob.done is true for every state in which a job cannot change any more, so that a loop
#           "while not job.done" ends.
# Seen:     it is true for SUCCEEDED, FAILED, CANCELLED and EXPIRED only. JOB_STATE_PARTIALLY_SUCCEEDED, which the same
#           library defines as "partially succeeded, some results may be missing due to errors", is not done: the loop
#           waits for ever, although the results are there. The state of the REST API for Gemini, BATCH_STATE_SUCCEEDED,
#           reaches the property as JOB_STATE_SUCCEEDED, so only jobs on Vertex AI are affected.
# Why:      whoever polls has to decide by the state itself, and fetch what there is after any end.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q --disable-pip-version-check google-genai==3.6.1

cat >"$folder/trial.py" <<'PYTHON'
from google.genai import types

for state in types.JobState:
    print(state.value.removeprefix("JOB_STATE_"), types.BatchJob(state=state).done)
PYTHON
timeout 60 "$folder/venv/bin/python" "$folder/trial.py" | tee "$folder/seen"
diff "$folder/seen" - <<'SEEN' || { echo 'FAIL: the library no longer behaves as described'; exit 1; }
UNSPECIFIED False
QUEUED False
PENDING False
RUNNING False
SUCCEEDED True
FAILED True
CANCELLING False
CANCELLED True
PAUSED False
EXPIRED True
UPDATING False
PARTIALLY_SUCCEEDED False
SEEN
echo 'seen as described'
