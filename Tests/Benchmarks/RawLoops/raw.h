// Loops straight on librabbitmq and SQLite, without anything of Sheaf: what it is measured against.
#ifndef RAW_H
#define RAW_H

#include <stddef.h>
#include <stdint.h>

#include <amqp.h>

// The broker's side: connecting, and ending the program with a message after an error.
amqp_connection_state_t raw_connect(const char *url);
void raw_open_channel(amqp_connection_state_t connection, amqp_channel_t channel);
void raw_declare(amqp_connection_state_t connection, const char *queue);
void raw_check_reply(amqp_rpc_reply_t reply, const char *what);
void raw_check(int is_fine, const char *what);
void raw_publish(amqp_connection_state_t connection, const char *queue, amqp_bytes_t body);
amqp_bytes_t raw_body(size_t size);
double raw_now(void);

// The loops. Each returns what it has measured: seconds, or for round trips the median in seconds.
double raw_publish_loop(const char *url, long count, size_t size, int queue_count, char **queues);
double raw_consume_loop(const char *url, long count, int queue_count, char **queues);
double raw_round_trips(const char *url, long count, size_t size, const char *queue);
double raw_sqlite(const char *file, long count, size_t size, long rows);

#endif
