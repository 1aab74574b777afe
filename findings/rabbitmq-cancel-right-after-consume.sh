#!/usr/bin/env bash
# RabbitMQ counts deliveries that a cancel overtakes as failed deliveries.
#
# Versions: RabbitMQ 3.10.8 (Debian 12), pika 1.3.2.
# Guess:    AMQP channels are ordered, so what a quorum queue has assigned to a consumer arrives before cancel-ok.
# Seen:     20,000 small messages, prefetch 20,000. If basic.cancel follows basic.consume at once, the broker takes
#           back the messages that are on their way, and x-delivery-count is 1 for every one of them, although the
#           client received few or none. If the consumer's channel first makes a passive queue.declare of the same
#           queue, all 20,000 arrive before cancel-ok and none returns to the queue.
# Why:      a worker that starts and stops quickly uses up a delivery limit without running a task.
set -euo pipefail
folder=$(mktemp -d)
server='' epmd=''
finish() {
    [ -z "$server" ] || { kill -9 "$server" && wait "$server"; } 2>/dev/null || true
    [ -z "$epmd" ] || { kill -9 "$epmd" && wait "$epmd"; } 2>/dev/null || true
    rm -rf "$folder" || { sleep 1 && rm -rf "$folder"; }
}
trap finish EXIT

[ -x /usr/lib/rabbitmq/bin/rabbitmq-server ] || { apt-get update && apt-get install -y 'rabbitmq-server=3.10.8*'; } >/dev/null
version=$(dpkg-query -W -f '${Version}' rabbitmq-server)
case $version in 3.10.8-*) ;; *) echo "FAIL: RabbitMQ is $version, not 3.10.8"; exit 1 ;; esac
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q --disable-pip-version-check pika==1.3.2

# A private node: own home (cookie), name, ports and data.
read -r port distribution mapper < <(python3 -c '
import socket
s = [socket.socket() for _ in range(3)]
for x in s: x.bind(("127.0.0.1", 0))
print(*(x.getsockname()[1] for x in s))')
mkdir "$folder/data"
echo '[].' >"$folder/plugins"
printf 'listeners.tcp.1 = 127.0.0.1:%s\ndisk_free_limit.absolute = 50MB\n' "$port" >"$folder/rabbitmq.conf"
touch "$folder/env.conf"
export HOME=$folder ERL_EPMD_ADDRESS=127.0.0.1 ERL_EPMD_PORT=$mapper RUNNING_UNDER_SYSTEMD=true LC_ALL=C.UTF-8 \
    RABBITMQ_NODENAME=finding-$port@localhost RABBITMQ_NODE_PORT=$port RABBITMQ_DIST_PORT=$distribution \
    RABBITMQ_MNESIA_BASE=$folder/data RABBITMQ_LOG_BASE=$folder/data RABBITMQ_PID_FILE=$folder/pid \
    RABBITMQ_ENABLED_PLUGINS_FILE=$folder/plugins RABBITMQ_CONFIG_FILE=$folder/rabbitmq.conf \
    RABBITMQ_CONF_ENV_FILE=$folder/env.conf RABBITMQ_SCHEDULER_BIND_TYPE=u \
    RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS='-kernel inet_dist_use_interface {127,0,0,1}'
epmd & epmd=$!
/usr/lib/rabbitmq/bin/rabbitmq-server >"$folder/log" 2>&1 & server=$!

cat >"$folder/trial.py" <<'PYTHON'
import collections, sys, time, pika
port, N = int(sys.argv[1]), 20000
def connect(deadline=time.time() + 60):
    while True:
        try:
            return pika.BlockingConnection(pika.ConnectionParameters("127.0.0.1", port, heartbeat=0))
        except pika.exceptions.AMQPError:
            if time.time() > deadline: raise
            time.sleep(0.5)
for barrier in (False, True):
    name = f"work-{barrier}"
    control, consumer = connect(), connect()
    c, k, arrived, done = control.channel(), consumer.channel(), [], []
    c.queue_declare(name, durable=True, arguments={"x-queue-type": "quorum"})
    ready = lambda: c.queue_declare(name, passive=True).method.message_count
    for _ in range(N): c.basic_publish("", name, b"x" * 50)
    while ready() < N: control.sleep(0.1)
    k.basic_qos(prefetch_count=N)
    tag = k.basic_consume(name, lambda *delivery: arrived.append(1))
    while ready() > 0: pass  # until the queue has assigned all to the consumer
    if barrier: k.queue_declare(name, passive=True)
    # The blocking API's own cancel puts messages back itself; this one only sends the method and awaits the answer.
    k._impl.basic_cancel(tag, callback=lambda frame: done.append(len(arrived)))
    while not done: consumer.process_data_events(0.01)
    control.sleep(1)
    counts = collections.Counter()
    left = ready()
    def count(_channel, _method, properties, _body):
        counts[int((properties.headers or {}).get("x-delivery-count", 0))] += 1
    c.basic_qos(prefetch_count=N)
    c.basic_consume(name, count)
    while counts.total() < left: control.process_data_events(0.1)
    print("declared first:" if barrier else "at once:       ", "all" if done[0] == N else "not all",
          "arrived before cancel-ok; back in the queue, by delivery count:", dict(counts))
PYTHON
timeout 180 "$folder/venv/bin/python" "$folder/trial.py" "$port" | tee "$folder/seen"
diff "$folder/seen" - <<'SEEN' || { echo 'FAIL: RabbitMQ no longer behaves as described'; exit 1; }
at once:        not all arrived before cancel-ok; back in the queue, by delivery count: {1: 20000}
declared first: all arrived before cancel-ok; back in the queue, by delivery count: {}
SEEN
echo 'seen as described'
