#!/usr/bin/env bash
# Of four small runners of jobs in Debian, three end with status 0 although jobs failed, and the fourth mixes the statuses.
#
# Versions: xjobs 20120412, pexec 1.0~rc8, nq 0.3.1, the parallel of moreutils 0.67 (Debian 12).
# Guess:    as with xargs and GNU parallel, the status is not 0 if a job failed.
# Seen:     xjobs and pexec end with 0 if one job or all jobs failed; so does nq -w, which waits for queued jobs, and
#           nq -t, which tests whether they have ended. moreutils' parallel ends with the bitwise or of all statuses:
#           jobs that ended with 1 and 2 give 3, which none of them had. A job that a signal ended counts as 1 there.
# Why:      a script under "set -e" goes on after a batch of which nothing was done.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
chmod 755 .
apt-get download -q xjobs=20120412-1+b1 'pexec=1.0~rc8-4+b1' nq=0.3.1-4 moreutils=0.67-1 >log 2>&1 ||
    { apt-get update -qq && apt-get download -q xjobs=20120412-1+b1 'pexec=1.0~rc8-4+b1' nq=0.3.1-4 moreutils=0.67-1; } >log 2>&1
for package in *.deb; do dpkg-deb -x "$package" root; done
PATH=$folder/root/usr/bin:$PATH
mkdir queue
export NQDIR=$folder/queue
{
    status=0; printf 'false\nfalse\n' | timeout 20 xjobs -j 2 >log 2>&1 || status=$?
    echo "xjobs: $status"
    status=0; timeout 20 pexec -n 2 -p '1 2' -e X -c -- 'exit $X' >log 2>&1 || status=$?
    echo "pexec: $status"
    nq false >log; nq true >log
    status=0; timeout 20 nq -w || status=$?
    echo "nq -w: $status"
    status=0; timeout 20 nq -t || status=$?
    echo "nq -t: $status, its log: $(grep -h exited queue/,* | tr -d '[].\n')"
    for statuses in '1 2' '3 0' '0 0'; do
        # shellcheck disable=SC2086,SC2016
        status=0; timeout 20 parallel -j 2 sh -c 'exit $0' -- $statuses || status=$?
        echo "parallel of moreutils, $statuses: $status"
    done
    # shellcheck disable=SC2016
    status=0; timeout 20 parallel -j 2 sh -c 'kill -9 $$; # $0' -- 0 || status=$?
    echo "parallel of moreutils, a killed job: $status"
} | tee seen
diff seen - <<'SEEN' || { echo 'FAIL: the runners no longer behave as described'; exit 1; }
xjobs: 0
pexec: 0
nq -w: 0
nq -t: 0, its log: exited with status 1exited with status 0
parallel of moreutils, 1 2: 3
parallel of moreutils, 3 0: 3
parallel of moreutils, 0 0: 0
parallel of moreutils, a killed job: 1
SEEN
echo 'seen as described'
