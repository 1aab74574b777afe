#!/usr/bin/env bash
# A delivery limit changes where a quorum queue puts a rejected message: at the head, and without the limit at the
# tail.
#
# Versions: RabbitMQ 3.10.8 (Debian 12), pika 1.4.4.
# Guess:    x-delivery-limit only bounds how often a message is delivered. A message returned with basic.nack goes back
#           to its old place, or near it, as in a classic queue, with or without the limit.
# Seen:     six messages 0 to 5, four of them taken with basic.get and returned with basic.nack in the order 2, 0, 3,
#           1. Classic queue: all are in the old order again. Quorum queue without the limit: the four are after 4 and
#           5, in the order of the nacks. With the limit: they are before 4 and 5, in the order of the nacks. A
#           multiple nack keeps their order, at the same end.
# Why:      with the limit, a failing task is retried at once, before all waiting tasks, until the limit removes it.
#           Without it the retry waits for the whole queue.
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
"$folder/venv/bin/pip" install -q --disable-pip-version-check pika==1.4.4

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
import sys, time, pika
deadline = time.time() + 60
while True:
    try:
        channel = pika.BlockingConnection(pika.ConnectionParameters("127.0.0.1", int(sys.argv[1]))).channel()
        break
    except pika.exceptions.AMQPError:
        if time.time() > deadline: raise
        time.sleep(0.5)
channel.confirm_delivery()
def take(queue, count, **options):
    return [channel.basic_get(queue, **options) for _ in range(count)]
for title, arguments in [("classic", {}), ("quorum", {"x-queue-type": "quorum"}),
                         ("quorum with limit", {"x-queue-type": "quorum", "x-delivery-limit": 5})]:
    channel.queue_declare(title, durable=True, arguments=arguments)
    for way in ("single nacks 2, 0, 3, 1", "multiple nack"):
        for number in range(6): channel.basic_publish("", title, str(number).encode())
        tags = [method.delivery_tag for method, _, _ in take(title, 4)]
        if way == "multiple nack":
            channel.basic_nack(tags[3], multiple=True)
        else:
            for index in (2, 0, 3, 1): channel.basic_nack(tags[index])
        while channel.queue_declare(title, passive=True).method.message_count < 6: time.sleep(0.1)
        print(f"{title}, {way}:", *(body.decode() for _, _, body in take(title, 6, auto_ack=True)))
PYTHON
timeout 90 "$folder/venv/bin/python" "$folder/trial.py" "$port" | tee "$folder/seen"
diff "$folder/seen" - <<'SEEN' || { echo 'FAIL: RabbitMQ no longer behaves as described'; exit 1; }
classic, single nacks 2, 0, 3, 1: 0 1 2 3 4 5
classic, multiple nack: 0 1 2 3 4 5
quorum, single nacks 2, 0, 3, 1: 4 5 2 0 3 1
quorum, multiple nack: 4 5 0 1 2 3
quorum with limit, single nacks 2, 0, 3, 1: 2 0 3 1 4 5
quorum with limit, multiple nack: 0 1 2 3 4 5
SEEN
echo 'seen as described'
