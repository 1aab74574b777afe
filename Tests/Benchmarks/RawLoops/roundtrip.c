#include "raw.h"

#include <stdlib.h>
#include <time.h>

static int compare(const void *left, const void *right) {
    double difference = *(const double *)left - *(const double *)right;
    return (difference > 0) - (difference < 0);
}

// Reads frames until a message is confirmed and has come back, and returns its delivery tag.
static uint64_t come_back(amqp_connection_state_t connection) {
    uint64_t tag = 0, missing = 0;
    int is_confirmed = 0, is_whole = 0;
    while (!is_confirmed || !is_whole) {
        amqp_frame_t frame;
        raw_check(amqp_simple_wait_frame(connection, &frame) == AMQP_STATUS_OK, "waiting for a message");
        if (frame.frame_type == AMQP_FRAME_HEADER) missing = frame.payload.properties.body_size;
        if (frame.frame_type == AMQP_FRAME_BODY) {
            missing -= frame.payload.body_fragment.len;
            is_whole = missing == 0;
        }
        if (frame.frame_type != AMQP_FRAME_METHOD) continue;
        if (frame.payload.method.id == AMQP_BASIC_ACK_METHOD) is_confirmed = 1;
        if (frame.payload.method.id == AMQP_BASIC_DELIVER_METHOD) {
            tag = ((amqp_basic_deliver_t *)frame.payload.method.decoded)->delivery_tag;
        }
    }
    amqp_maybe_release_buffers(connection);
    return tag;
}

// As long as nothing happens before a task of Sheaf is published: what sleeps after that has to wake for both.
static const struct timespec idle = {.tv_nsec = 10 * 1000 * 1000};

// Publishes a message, waits until it is confirmed and has come back, acknowledges it; one after the other.
double raw_round_trips(const char *url, long count, size_t size, const char *queue) {
    amqp_connection_state_t connection = raw_connect(url);
    raw_open_channel(connection, 1);
    raw_declare(connection, queue);
    amqp_confirm_select(connection, 1);
    raw_check_reply(amqp_get_rpc_reply(connection), "asking for confirms");
    amqp_basic_consume(connection, 1, amqp_cstring_bytes(queue), amqp_empty_bytes, 0, 0, 0, amqp_empty_table);
    raw_check_reply(amqp_get_rpc_reply(connection), "consuming");
    amqp_bytes_t body = raw_body(size);
    double *seconds = malloc((size_t)count * sizeof *seconds);
    for (long number = 0; number < count; number++) {
        nanosleep(&idle, NULL);
        double start = raw_now();
        raw_publish(connection, queue, body);
        uint64_t tag = come_back(connection);
        raw_check(amqp_basic_ack(connection, 1, tag, 0) == AMQP_STATUS_OK, "acknowledging");
        seconds[number] = raw_now() - start;
    }
    qsort(seconds, (size_t)count, sizeof *seconds, compare);
    amqp_queue_delete(connection, 1, amqp_cstring_bytes(queue), 0, 0);
    amqp_connection_close(connection, AMQP_REPLY_SUCCESS);
    return seconds[count / 2];
}
