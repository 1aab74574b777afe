#include "raw.h"

#include <stdlib.h>

enum { window = 1000 };

// Which messages are not confirmed yet: confirms come alone or for all up to one, and not always in order.
struct unconfirmed {
    uint8_t *is_confirmed;
    uint64_t lowest;
    long count;
};

static void confirm(struct unconfirmed *open, uint64_t tag, int is_multiple) {
    for (uint64_t each = is_multiple ? open->lowest : tag; each <= tag; each++) {
        if (!open->is_confirmed[each]) open->count--;
        open->is_confirmed[each] = 1;
    }
    while (open->is_confirmed[open->lowest]) open->lowest++;
}

static void wait_for_confirm(amqp_connection_state_t connection, struct unconfirmed *open) {
    amqp_frame_t frame;
    raw_check(amqp_simple_wait_frame(connection, &frame) == AMQP_STATUS_OK, "waiting for a confirm");
    raw_check(
        frame.frame_type == AMQP_FRAME_METHOD && frame.payload.method.id == AMQP_BASIC_ACK_METHOD, "being confirmed"
    );
    amqp_basic_ack_t *ack = frame.payload.method.decoded;
    confirm(open, ack->delivery_tag, ack->multiple);
    amqp_maybe_release_buffers(connection);
}

// Publishes to the queues in turn, with at most a window of messages unconfirmed; until all of them are.
double raw_publish_loop(const char *url, long count, size_t size, int queue_count, char **queues) {
    amqp_connection_state_t connection = raw_connect(url);
    raw_open_channel(connection, 1);
    for (int index = 0; index < queue_count; index++) raw_declare(connection, queues[index]);
    amqp_confirm_select(connection, 1);
    raw_check_reply(amqp_get_rpc_reply(connection), "asking for confirms");
    amqp_bytes_t body = raw_body(size);
    struct unconfirmed open = {calloc((size_t)count + 2, 1), 1, 0};
    double start = raw_now();
    for (long number = 0; number < count; number++) {
        while (open.count >= window) wait_for_confirm(connection, &open);
        raw_publish(connection, queues[number % queue_count], body);
        open.count++;
    }
    while (open.count > 0) wait_for_confirm(connection, &open);
    double seconds = raw_now() - start;
    amqp_connection_close(connection, AMQP_REPLY_SUCCESS);
    return seconds;
}
