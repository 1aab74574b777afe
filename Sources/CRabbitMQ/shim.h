// The C that Swift needs and cannot import from librabbitmq or Glibc by itself.
#ifndef SHEAF_CRABBITMQ_SHIM_H
#define SHEAF_CRABBITMQ_SHIM_H

#include <netdb.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <pthread.h>
#include <stdint.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#include <amqp.h>
#include <amqp_framing.h>
#include <amqp_ssl_socket.h>
#include <amqp_tcp_socket.h>

// amqp_login_with_properties is variadic, which Swift does not import.
static inline amqp_rpc_reply_t crmq_login_plain(amqp_connection_state_t state, const char *vhost,
                                                int channel_max, int frame_max, int heartbeat,
                                                const amqp_table_t *properties, const char *user,
                                                const char *password) {
    return amqp_login_with_properties(state, vhost, channel_max, frame_max, heartbeat, properties,
                                      AMQP_SASL_METHOD_PLAIN, user, password);
}

// A non-blocking eventfd; the flags are not part of the Glibc overlay.
static inline int crmq_eventfd(void) { return eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK); }

// Names the calling thread, for top, gdb and perf.
static inline void crmq_name_this_thread(const char *name) { pthread_setname_np(pthread_self(), name); }

#endif
