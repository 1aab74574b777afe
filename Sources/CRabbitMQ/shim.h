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

#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>

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

// Keeps why a certificate was not trusted; the library itself would only say that it was not.
static inline int crmq_tls_note(int is_trusted, X509_STORE_CTX *store) {
    if (!is_trusted) {
        const SSL *connection = (const SSL *)X509_STORE_CTX_get_ex_data(store, SSL_get_ex_data_X509_STORE_CTX_idx());
        int *refusal = (int *)SSL_CTX_get_app_data(SSL_get_SSL_CTX(connection));
        if (refusal != NULL) *refusal = X509_STORE_CTX_get_error(store);
    }
    return is_trusted;
}

// Lets OpenSSL verify the peer within the handshake: against the roots of a file, or of the system for NULL, and for a
// host's name or address. The library verifies after the handshake, and knows no addresses. Returns 0 if it cannot.
static inline int crmq_tls_verify(amqp_socket_t *socket, const char *host, const char *roots) {
    SSL_CTX *context = (SSL_CTX *)amqp_ssl_socket_get_context(socket);
    X509_VERIFY_PARAM *rules = SSL_CTX_get0_param(context);
    amqp_ssl_socket_set_verify_hostname(socket, 0);
    SSL_CTX_set_verify(context, SSL_VERIFY_PEER, crmq_tls_note);
    X509_VERIFY_PARAM_set_hostflags(rules, X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS);
    if (X509_VERIFY_PARAM_set1_ip_asc(rules, host) != 1 && X509_VERIFY_PARAM_set1_host(rules, host, 0) != 1) return 0;
    if (SSL_CTX_set_min_proto_version(context, TLS1_2_VERSION) != 1) return 0;
    ERR_clear_error();
    return roots != NULL ? SSL_CTX_load_verify_locations(context, roots, NULL)
                         : SSL_CTX_set_default_verify_paths(context);
}

// Connects and shakes hands; `refusal` becomes other than 0 if the peer's certificate is not trusted.
static inline int crmq_tls_open(amqp_socket_t *socket, const char *host, int port, const struct timeval *timeout,
                                int *refusal) {
    SSL_CTX *context = (SSL_CTX *)amqp_ssl_socket_get_context(socket);
    SSL_CTX_set_app_data(context, refusal);
    int status = amqp_socket_open_noblock(socket, host, port, timeout);
    SSL_CTX_set_app_data(context, NULL);
    return status;
}

// Why OpenSSL failed last on this thread, or NULL.
static inline const char *crmq_tls_failure(void) { return ERR_reason_error_string(ERR_peek_last_error()); }

// Whether what failed last on this thread is that the peer does not speak TLS at all.
static inline int crmq_tls_is_missing(void) {
    unsigned long error = ERR_peek_last_error();
    return ERR_GET_LIB(error) == ERR_LIB_SSL && ERR_GET_REASON(error) == SSL_R_WRONG_VERSION_NUMBER;
}

#endif
