#!/usr/bin/env bash
# diskcache's queue (Cache.push and Cache.pull) silently drops the oldest items once the folder has its size limit.
#
# Version: diskcache 5.6.3 (Python).
# Guess:   what was pushed stays until it is pulled; a full queue raises an error.
# Seen:    push() evicts like any other write to the cache, and raises nothing. By default the least recently stored go
#          first, and those are the items that pull() would return next. The default limit is 1 GiB, so a short trial
#          does not show it. With eviction_policy="none" nothing is lost, and the limit does not hold. diskcache.Deque,
#          in the same package, has that policy by itself.
# Why:     it is offered as a queue between processes that needs no server; a queue of work must not be a cache.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q --disable-pip-version-check diskcache==5.6.3

cat >"$folder/trial.py" <<'PYTHON'
import sys
import diskcache
trials = iter(range(10))
def left(**settings):
    with diskcache.Cache(f"{sys.argv[1]}/{next(trials)}", **settings) as cache:
        for number in range(1000):
            cache.push(b"%03d" % number + b"x" * 1000)
        return [int(value[:3]) for _, value in iter(cache.pull, (None, None))]
few = left(size_limit=200_000)
print("limit of 200 kB:", "all" if len(few) == 1000 else "fewer than 300" if len(few) < 300 else "many")
print("only the newest are left:", few == list(range(few[0], 1000)))
print("policy none:", len(left(size_limit=200_000, eviction_policy="none")))
deque = diskcache.Deque(directory=f"{sys.argv[1]}/deque")
deque.extend(b"x" * 1000 for _ in range(1000))
print("Deque:", len(deque))
print("default limit:", diskcache.Cache(f"{sys.argv[1]}/default").size_limit)
PYTHON
timeout 120 "$folder/venv/bin/python" "$folder/trial.py" "$folder" | tee "$folder/seen"
diff "$folder/seen" - <<'SEEN' || { echo 'FAIL: the queue no longer behaves as described'; exit 1; }
limit of 200 kB: fewer than 300
only the newest are left: True
policy none: 1000
Deque: 1000
default limit: 1073741824
SEEN
echo 'seen as described'
