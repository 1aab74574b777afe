#include "raw.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <amqp_tcp_socket.h>

double raw_now(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + (double)now.tv_nsec * 1e-9;
}

void raw_check(int is_fine, const char *what) {
    if (is_fine) return;
    fprintf(stderr, "RawLoops: %s did not work\n", what);
    exit(1);
}

void raw_check_reply(amqp_rpc_reply_t reply, const char *what) {
    raw_check(reply.reply_type == AMQP_RESPONSE_NORMAL, what);
}

amqp_connection_state_t raw_connect(const char *url) {
    char *copy = strdup(url);
    struct amqp_connection_info info;
    raw_check(amqp_parse_url(copy, &info) == AMQP_STATUS_OK, "reading the URL");
    amqp_connection_state_t connection = amqp_new_connection();
    amqp_socket_t *socket = amqp_tcp_socket_new(connection);
    raw_check(socket != NULL && amqp_socket_open(socket, info.host, info.port) == AMQP_STATUS_OK, "connecting");
    raw_check_reply(
        amqp_login(connection, info.vhost, 0, 131072, 0, AMQP_SASL_METHOD_PLAIN, info.user, info.password), "login"
    );
    free(copy);
    return connection;
}

void raw_open_channel(amqp_connection_state_t connection, amqp_channel_t channel) {
    amqp_channel_open(connection, channel);
    raw_check_reply(amqp_get_rpc_reply(connection), "opening a channel");
}

void raw_declare(amqp_connection_state_t connection, const char *queue) {
    amqp_table_entry_t entry = {
        amqp_cstring_bytes("x-queue-type"),
        {.kind = AMQP_FIELD_KIND_UTF8, .value.bytes = amqp_cstring_bytes("quorum")},
    };
    amqp_table_t arguments = {1, &entry};
    amqp_queue_declare(connection, 1, amqp_cstring_bytes(queue), 0, 1, 0, 0, arguments);
    raw_check_reply(amqp_get_rpc_reply(connection), "declaring a queue");
}

void raw_publish(amqp_connection_state_t connection, const char *queue, amqp_bytes_t body) {
    amqp_basic_properties_t properties = {._flags = AMQP_BASIC_DELIVERY_MODE_FLAG, .delivery_mode = 2};
    int status =
        amqp_basic_publish(connection, 1, amqp_empty_bytes, amqp_cstring_bytes(queue), 0, 0, &properties, body);
    raw_check(status == AMQP_STATUS_OK, "publishing");
}

amqp_bytes_t raw_body(size_t size) {
    amqp_bytes_t body = {size, malloc(size)};
    memset(body.bytes, 'x', size);
    return body;
}
