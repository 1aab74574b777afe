#!/usr/bin/env bash
# A job in which something was cancelled runs five times in arq, stays active in saq, and simply fails in taskiq.
#
# Versions: arq 0.28.0, saq 0.26.4, taskiq 0.13.0 (Python 3.11), Redis 7.0.15 (Debian 12).
# Guess:    if a job awaits its own task that was cancelled, CancelledError leaves the job like any other error.
#           The job has failed, and is retried if it has retries left.
# Seen:     arq runs a job with any other error once. It takes CancelledError for the end of the worker: the job runs
#           five times in a row; the error is then "max 5 retries exceeded", without the cause. In saq the job stays
#           "active", is not retried at once, and enqueue() with its key returns None. A sweep may end it after its time
#           limit, by default 10 s. A job with timeout=0 is not swept. taskiq reports CancelledError after one run.
# Why:      a library with inner tasks may raise CancelledError although only an inner call was cancelled.
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
"$folder/venv/bin/pip" install -q --disable-pip-version-check \
    arq==0.28.0 saq==0.26.4 taskiq==0.13.0 redis==5.3.1 hiredis==3.5.0 typing_extensions==4.16.0

# A private server: own folder and port.
port=$(python3 -c 'import socket; s = socket.create_server(("127.0.0.1", 0)); print(s.getsockname()[1])')
redis-server --port "$port" --bind 127.0.0.1 --dir "$folder" --save '' >"$folder/log" & server=$!
for _ in {1..50}; do redis-cli -p "$port" ping >/dev/null 2>&1 && break; sleep 0.1; done

cat >"$folder/trial.py" <<'PYTHON'
import asyncio, logging, sys
import arq, arq.connections, arq.worker, saq, taskiq
logging.disable(logging.CRITICAL)
port, runs = int(sys.argv[1]), []
async def cancelled(*_):
    runs.append(1)
    inner = asyncio.create_task(asyncio.sleep(60))
    inner.cancel()
    await inner
async def failing(*_):
    runs.append(1)
    raise ValueError("wrong")
def show(title, outcome):
    print(f"{title}: {len(runs)} runs, {outcome}")
    runs.clear()
async def error_of(call):
    try: return await call
    except Exception as error: return f"{type(error).__name__} {error}".strip()
async def trial():
    settings = arq.connections.RedisSettings(port=port)
    pool = await arq.create_pool(settings)
    for function in (failing, cancelled):
        job = await pool.enqueue_job(function.__name__)
        await arq.worker.Worker([failing, cancelled], redis_settings=settings, burst=True, poll_delay=0.05,
                                handle_signals=False).main()
        show(f"arq, {function.__name__}", await error_of(job.result(timeout=5)))
    queue = saq.Queue.from_url(f"redis://127.0.0.1:{port}")
    await queue.connect()
    for function, options, timers in [(failing, {"retries": 3}, {}), (cancelled, {"retries": 3}, {}),
                                      (cancelled, {"timeout": 0}, {"sweep": 1})]:
        await queue.redis.flushall()
        worker = saq.Worker(queue, functions=[failing, cancelled], timers=timers)
        running = asyncio.create_task(worker.start())
        await asyncio.sleep(1.5)
        job = await queue.enqueue(function.__name__, key="nightly", **options)
        await asyncio.sleep(5)  # less than the default time limit of 10 s
        await worker.stop()
        await asyncio.wait([running])
        await job.refresh()
        show(f"saq, {function.__name__}, {options}", str(job.status))
        print("  enqueue() with its key:", "accepted" if await queue.enqueue("failing", key="nightly") else None)
    broker = taskiq.InMemoryBroker()
    for name, function in [("failing", failing), ("cancelled", cancelled)]:
        sent = await broker.register_task(function, name).kiq()
        result = await sent.wait_result(timeout=5)
        show(f"taskiq, {name}", type(result.error).__name__)
asyncio.run(trial())
PYTHON
timeout 120 "$folder/venv/bin/python" "$folder/trial.py" "$port" 2>"$folder/errors" | tee "$folder/seen"
diff "$folder/seen" - <<'SEEN' || { echo 'FAIL: the libraries no longer behave as described'; exit 1; }
arq, failing: 1 runs, ValueError wrong
arq, cancelled: 5 runs, JobExecutionFailed max 5 retries exceeded
saq, failing, {'retries': 3}: 3 runs, Status.FAILED
  enqueue() with its key: accepted
saq, cancelled, {'retries': 3}: 1 runs, Status.ACTIVE
  enqueue() with its key: None
saq, cancelled, {'timeout': 0}: 1 runs, Status.ACTIVE
  enqueue() with its key: None
taskiq, failing: 1 runs, ValueError
taskiq, cancelled: 1 runs, CancelledError
SEEN
echo 'seen as described'
