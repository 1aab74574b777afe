#!/usr/bin/env bash
# arq mixes the order of jobs that are enqueued in one millisecond, and refuses a job whose id exists in another queue.
#
# Versions: arq 0.28.0 (Python), Redis 7.0.15 (Debian 12).
# Guess:    jobs without a delay start in the order in which they were enqueued, at least if max_jobs is 1. Queues are
#           independent of each other. A job that has failed may be enqueued again with its id.
# Seen:     a queue is sorted by milliseconds, and within one of them by the random id: of 200 jobs that one pipeline or
#           one producer enqueues, many start before an older one. An id is unique in the whole database: if it waits
#           in queue "a", enqueue_job() with queue "b" returns None, without an error. It also returns None for an hour
#           after the job has failed, because the error is a result that is kept.
# Why:      steps of one order run in the wrong order under load only; a second queue silently gets no job.
set -euo pipefail
folder=$(mktemp -d)
server=''
finish() {
    [ -z "$server" ] || { kill "$server" && wait "$server"; } 2>/dev/null || true
    rm -rf "$folder"
}
trap finish EXIT
command -v redis-server >/dev/null || { apt-get update && apt-get install -y 'redis-server=5:7.0.15*'; } >/dev/null
case $(redis-server --version) in *v=7.0.15*) ;; *) echo 'FAIL: redis-server is not 7.0.15'; exit 1 ;; esac
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q --disable-pip-version-check arq==0.28.0 redis==5.3.1 hiredis==3.5.0

# A private server: own folder and port.
port=$(python3 -c 'import socket; s = socket.create_server(("127.0.0.1", 0)); print(s.getsockname()[1])')
redis-server --port "$port" --bind 127.0.0.1 --dir "$folder" --save '' >"$folder/log" & server=$!
for _ in {1..50}; do redis-cli -p "$port" ping >/dev/null 2>&1 && break; sleep 0.1; done

cat >"$folder/trial.py" <<'PYTHON'
import asyncio, logging, sys
import arq, arq.connections, arq.worker
logging.disable(logging.CRITICAL)
started = []
async def work(_context, name):
    started.append(name)
    if name == "fails": raise ValueError(name)
async def trial():
    settings = arq.connections.RedisSettings(port=int(sys.argv[1]))
    pool = await arq.create_pool(settings)
    async def run(queue):
        await arq.worker.Worker([work], redis_settings=settings, queue_name=queue, burst=True, max_jobs=1,
                                poll_delay=0.01, handle_signals=False).main()
    for number in range(200):
        await pool.enqueue_job("work", number, _queue_name="order")
    await run("order")
    print("all jobs have started:", sorted(started) == list(range(200)), "in order:", started == list(range(200)))
    started.clear()
    for queue in ("a", "b"):
        job = await pool.enqueue_job("work", f"job for {queue}", _job_id="report-7", _queue_name=queue)
        print(f"same id, queue {queue}:", "accepted" if job else None)
    for queue in ("a", "b"):
        await run(queue)
    print("started:", started)
    await pool.enqueue_job("work", "fails", _job_id="report-8", _queue_name="a")
    await run("a")
    job = await pool.enqueue_job("work", "again", _job_id="report-8", _queue_name="a")
    print("after a failure:", "accepted" if job else None)
    print("seconds until it is accepted:", round(await pool.ttl("arq:result:report-8"), -2))
asyncio.run(trial())
PYTHON
timeout 120 "$folder/venv/bin/python" "$folder/trial.py" "$port" 2>"$folder/errors" | tee "$folder/seen"
diff "$folder/seen" - <<'SEEN' || { echo 'FAIL: arq no longer behaves as described'; exit 1; }
all jobs have started: True in order: False
same id, queue a: accepted
same id, queue b: None
started: ['job for a']
after a failure: None
seconds until it is accepted: 3600
SEEN
echo 'seen as described'
