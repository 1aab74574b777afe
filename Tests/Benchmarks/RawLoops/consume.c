#include "raw.h"

#include <sys/time.h>

enum { prefetch = 500, acknowledge_every = 50 };

static amqp_rpc_reply_t receive(amqp_connection_state_t connection, amqp_envelope_t *envelope, int may_wait) {
    struct timeval at_once = {0, 0};
    amqp_maybe_release_buffers(connection);
    return amqp_consume_message(connection, envelope, may_wait ? NULL : &at_once, 0);
}

// Empties queues that together hold a given number of messages, and acknowledges each. If nothing more can be read,
// it acknowledges early, since several queues share the prefetch.
double raw_consume_loop(const char *url, long count, int queue_count, char **queues) {
    amqp_connection_state_t connection = raw_connect(url);
    raw_open_channel(connection, 1);
    int share = prefetch / queue_count;
    amqp_basic_qos(connection, 1, 0, (uint16_t)(share > 0 ? share : 1), 0);
    raw_check_reply(amqp_get_rpc_reply(connection), "setting the prefetch");
    double start = raw_now();
    for (int index = 0; index < queue_count; index++) {
        amqp_bytes_t queue = amqp_cstring_bytes(queues[index]);
        amqp_basic_consume(connection, 1, queue, amqp_empty_bytes, 0, 0, 0, amqp_empty_table);
        raw_check_reply(amqp_get_rpc_reply(connection), "consuming");
    }
    uint64_t last = 0;
    long held = 0;
    for (long taken = 0; taken < count;) {
        amqp_envelope_t envelope;
        amqp_rpc_reply_t reply = receive(connection, &envelope, held == 0 || queue_count == 1);
        int is_empty = reply.reply_type == AMQP_RESPONSE_LIBRARY_EXCEPTION && reply.library_error == AMQP_STATUS_TIMEOUT;
        if (!is_empty) {
            raw_check_reply(reply, "receiving");
            last = envelope.delivery_tag;
            amqp_destroy_envelope(&envelope);
            taken++;
            held++;
        }
        if (is_empty || held == acknowledge_every || taken == count) {
            raw_check(amqp_basic_ack(connection, 1, last, 1) == AMQP_STATUS_OK, "acknowledging");
            held = 0;
        }
    }
    // What is asked after the last acknowledgement is answered after it, too.
    amqp_queue_declare(connection, 1, amqp_cstring_bytes(queues[0]), 1, 1, 0, 0, amqp_empty_table);
    raw_check_reply(amqp_get_rpc_reply(connection), "asking for the queue");
    double seconds = raw_now() - start;
    for (int index = 0; index < queue_count; index++) {
        amqp_queue_delete(connection, 1, amqp_cstring_bytes(queues[index]), 0, 0);
    }
    amqp_connection_close(connection, AMQP_REPLY_SUCCESS);
    return seconds;
}
