#!/usr/bin/env bash
# taskiq over Redis Streams silently loses the tasks that were sent to a queue before its first worker started.
#
# Versions: taskiq 0.13.0, taskiq-redis 1.2.4, Redis 7.0.15 (Debian 12).
# Guess:    a stream keeps its entries, so a task that was sent to another queue with the label "queue_name" waits there
#           until that queue's worker starts, as with taskiq-redis' list broker.
# Seen:     a worker creates the consumer group of its queue at "$", that is after the last entry. The entries before it
#           stay in the stream, count as neither pending nor waiting, and are never delivered. The sender's startup()
#           creates the group of its own queue only. With consumer_id="0", or with a list, the task runs.
# Why:      a new queue, or one after a flush, loses what was sent during a deployment; its sender waits for a result.
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
"$folder/venv/bin/pip" install -q --disable-pip-version-check taskiq==0.13.0 taskiq-redis==1.2.4 redis==8.1.0

# A private server: own folder and port.
port=$(python3 -c 'import socket; s = socket.create_server(("127.0.0.1", 0)); print(s.getsockname()[1])')
redis-server --port "$port" --bind 127.0.0.1 --dir "$folder" --save '' >"$folder/log" & server=$!
for _ in {1..50}; do redis-cli -p "$port" ping >/dev/null 2>&1 && break; sleep 0.1; done

cat >"$folder/trial.py" <<'PYTHON'
import asyncio, logging, sys
import redis
from taskiq.receiver import Receiver
from taskiq_redis import ListQueueBroker, RedisStreamBroker
logging.disable(logging.CRITICAL)
port, runs = int(sys.argv[1]), []
async def work(name): runs.append(name)
def broker(kind, queue, **options):
    made = kind(f"redis://127.0.0.1:{port}", queue_name=queue, **options)
    return made, made.register_task(work, "work")
async def send(task, queue, name):
    await task.kicker().with_labels(queue_name=queue).kiq(name)
async def run_worker(kind, queue, last, meanwhile=None, **options):
    worker, _ = broker(kind, queue, **options)
    worker.is_worker_process = True
    await worker.startup()
    end = asyncio.Event()
    listening = asyncio.create_task(Receiver(worker, run_startup=False).listen(end))
    if meanwhile: await meanwhile
    for _ in range(300):
        if last in runs: break
        await asyncio.sleep(0.1)
    await asyncio.sleep(1)  # until it is acknowledged
    end.set()
    await asyncio.wait_for(listening, 20)
    await worker.shutdown()
async def trial():
    direct = redis.Redis(port=port)
    for title, kind, options in [("streams", RedisStreamBroker, {}),
                                 ("streams, consumer_id=0", RedisStreamBroker, {"consumer_id": "0"}),
                                 ("list", ListQueueBroker, {})]:
        direct.flushall()
        sender, task = broker(kind, "main", **options)
        await sender.startup()
        await send(task, "main", "before, own queue")
        await send(task, "other", "before, other queue")
        await run_worker(kind, "main", "before, own queue", **options)
        later = send(task, "other", "after, other queue")
        await run_worker(kind, "other", "after, other queue", later, **options)
        print(f"{title}: {runs}")
        runs.clear()
        if kind is RedisStreamBroker:
            [group] = direct.xinfo_groups("other")
            print(f"  entries: {direct.xlen('other')}, pending: {group['pending']}, waiting: {group['lag']}")
        await sender.shutdown()
asyncio.run(trial())
PYTHON
timeout 120 "$folder/venv/bin/python" "$folder/trial.py" "$port" 2>"$folder/errors" | tee "$folder/seen"
diff "$folder/seen" - <<'SEEN' || { echo 'FAIL: taskiq-redis no longer behaves as described'; exit 1; }
streams: ['before, own queue', 'after, other queue']
  entries: 2, pending: 0, waiting: 0
streams, consumer_id=0: ['before, own queue', 'before, other queue', 'after, other queue']
  entries: 2, pending: 0, waiting: 0
list: ['before, own queue', 'before, other queue', 'after, other queue']
SEEN
echo 'seen as described'
