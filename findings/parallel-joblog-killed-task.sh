#!/usr/bin/env bash
# GNU parallel logs a killed task with exit value 0, and a task that its own time-out ended with -1.
#
# Versions: GNU parallel 20221122 (Debian 12).
# Guess:    a killed task is logged as 137 (128 + 9), as the shell reports it, so that "Exitval is not 0" finds it.
# Seen:     the job log and the CSV of --results have Exitval 0 and Signal 9 for it. A task that --timeout ended has -1
#           and 15. If a child of the task's shell is killed and the shell goes on, the log has 137 and 0. parallel
#           itself counts all three as failed (--retries, its own exit status), and exits with 137 for
#           the first one under --halt.
# Why:      a script that counts failures by Exitval takes a task that the kernel killed for lack of memory as done.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
command -v parallel >/dev/null || { apt-get update && apt-get install -y 'parallel=20221122*'; } >/dev/null
version=$(parallel --version | head -n 1)
[ "$version" = 'GNU parallel 20221122' ] || { echo "FAIL: parallel is '$version', not 20221122"; exit 1; }
export PARALLEL_HOME=$folder/home PARALLEL_SHELL=/bin/bash
mkdir "$PARALLEL_HOME"
touch "$PARALLEL_HOME/will-cite"
cd "$folder"

cat >tasks <<'TASKS'
true
exit 3
kill -9 $$
bash -c 'kill -9 $$'; exit $?
sleep 20
TASKS
{
    timeout 60 parallel -j1 --timeout 2 --joblog log <tasks 2>/dev/null || echo "exit status $?"
    echo 'log: Exitval Signal Command'
    tail -n +2 log | cut -f 7-9
    timeout 60 parallel -j1 --results table.csv 'kill -9 $$' ::: 1 2>/dev/null || echo "exit status $?"
    echo 'CSV: Exitval,Signal,Command'
    tail -n +2 table.csv | cut -d , -f 7-9
    timeout 60 parallel -j1 --halt now,fail=1 'kill -9 $$' ::: 1 2>/dev/null || echo "exit status with --halt $?"
    timeout 60 parallel -j1 --retries 3 'echo >>tries; kill -9 $$' ::: 1 2>/dev/null || echo "exit status with --retries $?, tries: $(wc -l <tries)"
} | tee seen
diff seen - <<'SEEN' || { echo 'FAIL: GNU parallel no longer behaves as described'; exit 1; }
exit status 4
log: Exitval Signal Command
0	0	true
3	0	exit 3
0	9	kill -9 $$
137	0	bash -c 'kill -9 $$'; exit $?
-1	15	sleep 20
exit status 1
CSV: Exitval,Signal,Command
0,9,"kill -9 $$ 1"
exit status with --halt 137
exit status with --retries 1, tries: 3
SEEN
echo 'seen as described'
