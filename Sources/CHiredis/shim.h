// Sockets with time limits and TLS for hiredis, whose own calls have no limit for a whole exchange, and in Debian's
// version no TLS; hiredis parses the replies.
#ifndef SHEAF_CHIREDIS_SHIM_H
#define SHEAF_CHIREDIS_SHIM_H

#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include <hiredis/hiredis.h>

#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>

typedef struct {
    int fd;
    SSL_CTX *context;
    SSL *tls;
    // Why the last call failed.
    char failure[256];
} chir_socket;

static inline long long chir_now(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec * 1000LL + now.tv_nsec / 1000000;
}

static inline int chir_fail(chir_socket *socket, const char *reason) {
    snprintf(socket->failure, sizeof socket->failure, "%s", reason);
    return -1;
}

// Waits until the socket is ready, at most to the deadline; returns 0 if it is.
static inline int chir_wait(chir_socket *socket, short events, long long deadline) {
    for (;;) {
        long long rest = deadline - chir_now();
        if (rest <= 0) return chir_fail(socket, "it does not answer in time");
        struct pollfd ready = {socket->fd, events, 0};
        int count = poll(&ready, 1, rest > 60000 ? 60000 : (int)rest);
        if (count > 0) return 0;
        if (count < 0 && errno != EINTR) return chir_fail(socket, strerror(errno));
    }
}

static inline void chir_close(chir_socket *socket) {
    if (socket->tls) SSL_free(socket->tls);
    if (socket->context) SSL_CTX_free(socket->context);
    if (socket->fd >= 0) close(socket->fd);
    socket->tls = NULL;
    socket->context = NULL;
    socket->fd = -1;
}

// Connects to the first address of the host that accepts; returns 0 if one does.
static inline int chir_connect(chir_socket *s, const char *host, const char *port, long long deadline) {
    struct addrinfo hints = {0}, *addresses = NULL;
    hints.ai_socktype = SOCK_STREAM;
    int code = getaddrinfo(host, port, &hints, &addresses);
    if (code != 0) return chir_fail(s, gai_strerror(code));
    chir_fail(s, "the host has no address");
    for (struct addrinfo *address = addresses; address != NULL; address = address->ai_next) {
        s->fd = socket(address->ai_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
        if (s->fd < 0) {
            chir_fail(s, strerror(errno));
            continue;
        }
        int error = 0;
        socklen_t size = sizeof error;
        if (connect(s->fd, address->ai_addr, address->ai_addrlen) != 0) error = errno;
        if (error == EINPROGRESS) {
            error = 0;
            if (chir_wait(s, POLLOUT, deadline) != 0) error = -1;
            else getsockopt(s->fd, SOL_SOCKET, SO_ERROR, &error, &size);
        }
        if (error == 0) {
            int on = 1;
            setsockopt(s->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
            setsockopt(s->fd, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof on);
            freeaddrinfo(addresses);
            return 0;
        }
        if (error > 0) chir_fail(s, strerror(error));
        close(s->fd);
        s->fd = -1;
    }
    freeaddrinfo(addresses);
    return -1;
}

// Waits as OpenSSL asks after a call with this result; returns 0 if the call is to be repeated, 1 at the end.
static inline int chir_tls_wait(chir_socket *socket, int result, long long deadline) {
    int error = errno;
    switch (SSL_get_error(socket->tls, result)) {
    case SSL_ERROR_WANT_READ: return chir_wait(socket, POLLIN, deadline);
    case SSL_ERROR_WANT_WRITE: return chir_wait(socket, POLLOUT, deadline);
    case SSL_ERROR_ZERO_RETURN: return 1;
    default: break;
    }
    long refusal = SSL_get_verify_result(socket->tls);
    if (refusal != X509_V_OK) return chir_fail(socket, X509_verify_cert_error_string(refusal));
    const char *reason = ERR_reason_error_string(ERR_peek_last_error());
    return chir_fail(socket, reason ? reason : error ? strerror(error) : "the connection was closed");
}

// OpenSSL writes without MSG_NOSIGNAL, so a write to a closed connection must not end the process.
static inline void chir_hold_sigpipe(sigset_t *before) {
    sigset_t pipe;
    sigemptyset(&pipe);
    sigaddset(&pipe, SIGPIPE);
    pthread_sigmask(SIG_BLOCK, &pipe, before);
}

static inline void chir_release_sigpipe(const sigset_t *before) {
    sigset_t pipe;
    struct timespec now = {0, 0};
    if (!sigismember(before, SIGPIPE)) {
        sigemptyset(&pipe);
        sigaddset(&pipe, SIGPIPE);
        while (sigtimedwait(&pipe, NULL, &now) > 0) {}
    }
    pthread_sigmask(SIG_SETMASK, before, NULL);
}

// Begins TLS and verifies the peer: against the roots of a file, or of the system for NULL, and for the host's name or
// address. The client shows a certificate if it has one.
static inline int chir_start_tls(chir_socket *socket, const char *host, const char *roots, const char *certificate,
                                 const char *key, long long deadline) {
    ERR_clear_error();
    socket->context = SSL_CTX_new(TLS_client_method());
    if (!socket->context) return chir_fail(socket, "TLS cannot be set up");
    SSL_CTX_set_verify(socket->context, SSL_VERIFY_PEER, NULL);
    SSL_CTX_set_min_proto_version(socket->context, TLS1_2_VERSION);
    SSL_CTX_set_mode(socket->context, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
    X509_VERIFY_PARAM *rules = SSL_CTX_get0_param(socket->context);
    X509_VERIFY_PARAM_set_hostflags(rules, X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS);
    if (X509_VERIFY_PARAM_set1_ip_asc(rules, host) != 1 && X509_VERIFY_PARAM_set1_host(rules, host, 0) != 1)
        return chir_fail(socket, "the host is no name and no address");
    if ((roots ? SSL_CTX_load_verify_locations(socket->context, roots, NULL)
               : SSL_CTX_set_default_verify_paths(socket->context)) != 1)
        return chir_fail(socket, "the file with root certificates cannot be read");
    const char *own = key ? key : certificate;
    if (certificate && (SSL_CTX_use_certificate_chain_file(socket->context, certificate) != 1
                        || SSL_CTX_use_PrivateKey_file(socket->context, own, SSL_FILETYPE_PEM) != 1))
        return chir_fail(socket, "the client certificate or its key cannot be read");
    socket->tls = SSL_new(socket->context);
    if (!socket->tls || SSL_set_fd(socket->tls, socket->fd) != 1) return chir_fail(socket, "TLS cannot be set up");
    SSL_set_tlsext_host_name(socket->tls, host);
    sigset_t before;
    chir_hold_sigpipe(&before);
    int result, status = 0;
    do {
        ERR_clear_error();
        errno = 0;
        result = SSL_connect(socket->tls);
        if (result != 1) status = chir_tls_wait(socket, result, deadline);
    } while (result != 1 && status == 0);
    chir_release_sigpipe(&before);
    if (result == 1) return 0;
    return status > 0 ? chir_fail(socket, "the connection was closed") : -1;
}

// Sends all bytes; returns 0 if they are sent.
static inline int chir_send(chir_socket *s, const void *bytes, size_t size, long long deadline) {
    const char *next = (const char *)bytes;
    while (size > 0) {
        ssize_t count;
        if (s->tls) {
            sigset_t before;
            chir_hold_sigpipe(&before);
            ERR_clear_error();
            errno = 0;
            count = SSL_write(s->tls, next, size > 1 << 20 ? 1 << 20 : (int)size);
            int status = count > 0 ? 0 : chir_tls_wait(s, (int)count, deadline);
            chir_release_sigpipe(&before);
            if (status > 0) chir_fail(s, "the connection was closed");
            if (status != 0) return -1;
        } else {
            count = send(s->fd, next, size, MSG_NOSIGNAL);
            if (count < 0 && errno != EINTR && errno != EAGAIN) return chir_fail(s, strerror(errno));
            if (count < 0 && errno == EAGAIN && chir_wait(s, POLLOUT, deadline) != 0) return -1;
        }
        if (count > 0) {
            next += count;
            size -= (size_t)count;
        }
    }
    return 0;
}

// Receives some bytes; returns their number, or -1.
static inline ssize_t chir_receive(chir_socket *s, void *bytes, size_t size, long long deadline) {
    for (;;) {
        ssize_t count;
        if (s->tls) {
            sigset_t before;
            chir_hold_sigpipe(&before);
            ERR_clear_error();
            errno = 0;
            count = SSL_read(s->tls, bytes, (int)size);
            int status = count > 0 ? 0 : chir_tls_wait(s, (int)count, deadline);
            chir_release_sigpipe(&before);
            if (status > 0) return chir_fail(s, "the connection was closed");
            if (status < 0) return -1;
        } else {
            count = recv(s->fd, bytes, size, 0);
            if (count == 0) return chir_fail(s, "the connection was closed");
            if (count < 0 && errno != EINTR && errno != EAGAIN) return chir_fail(s, strerror(errno));
            if (count < 0 && errno == EAGAIN && chir_wait(s, POLLIN, deadline) != 0) return -1;
        }
        if (count > 0) return count;
    }
}

// Writes the first 16 bytes of the SHA-256 of the bytes.
static inline void chir_digest(const void *bytes, size_t size, unsigned char digest[16]) {
    unsigned char whole[32] = {0};
    EVP_Digest(bytes, size, whole, NULL, EVP_sha256(), NULL);
    memcpy(digest, whole, 16);
}

// Writes the 20 bytes of the SHA-1 of the bytes, by which Redis names scripts.
static inline void chir_script_digest(const void *bytes, size_t size, unsigned char digest[20]) {
    EVP_Digest(bytes, size, digest, NULL, EVP_sha1(), NULL);
}

#endif
