#!/usr/bin/env bash
# redis-py sends a push again up to ten times if its reply is late, and the list gets eleven copies of the item.
#
# Versions: redis 8.1.0 (redis-py), Redis 7.0.15 (Debian 12).
# Guess:    a command whose reply does not arrive within socket_timeout raises TimeoutError. It may have run once, and
#           the caller decides if it is sent again. At least retry_on_timeout=False ensures that.
# Seen:     by default the client retries after a read time-out, also for commands that must not be repeated. A small
#           proxy forwards commands and holds back the replies: one rpush() makes 11 copies, one transaction runs 11
#           times, and one lpop() removes 11 items and returns none. Each call then raises TimeoutError.
#           retry_on_timeout=False changes nothing; retry=None makes it one. asyncio clients behave alike.
# Why:      one late reply multiplies a task in a queue, or loses eleven tasks that no worker has seen.
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
"$folder/venv/bin/pip" install -q --disable-pip-version-check redis==8.1.0

# A private server: own folder and port.
port=$(python3 -c 'import socket; s = socket.create_server(("127.0.0.1", 0)); print(s.getsockname()[1])')
redis-server --port "$port" --bind 127.0.0.1 --dir "$folder" --save '' >"$folder/log" & server=$!
for _ in {1..50}; do redis-cli -p "$port" ping >/dev/null 2>&1 && break; sleep 0.1; done

cat >"$folder/trial.py" <<'PYTHON'
import asyncio, socket, sys, threading
import redis, redis.asyncio
port = int(sys.argv[1])
proxy = socket.create_server(("127.0.0.1", 0))
def serve():
    while True:
        client, server = proxy.accept()[0], socket.create_connection(("127.0.0.1", port))
        held = threading.Event()
        def commands(client=client, server=server, held=held):
            while data := client.recv(65536):
                if b"PUSH" in data or b"LPOP" in data: held.set()
                server.sendall(data)
            server.close()
        def replies(client=client, server=server, held=held):
            try:
                while data := server.recv(65536):
                    if not held.is_set(): client.sendall(data)
            except OSError: pass  # the client has closed the connection
        for work in (commands, replies): threading.Thread(target=work, daemon=True).start()
threading.Thread(target=serve, daemon=True).start()
direct = redis.Redis(port=port)
def connect(kind=redis.Redis, **options):
    return kind(port=proxy.getsockname()[1], socket_timeout=0.2, **options)
def show(title, call):
    direct.delete("items")
    direct.rpush("items", *range(100))
    try: outcome = repr(call())
    except redis.RedisError as error: outcome = type(error).__name__
    print(f"{title}: {outcome}, {direct.llen('items') - 100:+} items")
def transaction():
    pipeline = connect().pipeline(transaction=True)
    pipeline.rpush("items", "x")
    pipeline.execute()
show("rpush", lambda: connect().rpush("items", "x"))
show("transaction", transaction)
show("asyncio rpush", lambda: asyncio.run(connect(redis.asyncio.Redis).rpush("items", "x")))
show("lpop", lambda: connect().lpop("items"))
show("rpush, retry_on_timeout=False", lambda: connect(retry_on_timeout=False).rpush("items", "x"))
show("rpush, retry=None", lambda: connect(retry=None).rpush("items", "x"))
PYTHON
timeout 120 "$folder/venv/bin/python" "$folder/trial.py" "$port" 2>"$folder/errors" | tee "$folder/seen"
diff "$folder/seen" - <<'SEEN' || { echo 'FAIL: redis-py no longer behaves as described'; exit 1; }
rpush: TimeoutError, +11 items
transaction: TimeoutError, +11 items
asyncio rpush: TimeoutError, +11 items
lpop: TimeoutError, -11 items
rpush, retry_on_timeout=False: TimeoutError, +11 items
rpush, retry=None: TimeoutError, +1 items
SEEN
echo 'seen as described'
