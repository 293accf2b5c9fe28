/* SPDX-License-Identifier: Apache-2.0 */
/* valkey_connection.c: see valkey_connection.h. hiredis does the protocol; its own connections have a timeout for each read only, and
 * Debian's knows no TLS, so the socket is ours: it never blocks, and poll() waits for what is left of the time. */
#include "valkey_connection.h"

#include "base/buffer.h"
#include "base/mem.h"

#include <errno.h>
#include <gnutls/gnutls.h>
#include <limits.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <string.h>
#include <unistd.h>

enum { PIECE_BYTES = 64 << 10 };

struct valkey_connection {
    int fd; /* -1: none */
    gnutls_session_t tls;
    gnutls_certificate_credentials_t credentials;
    struct valkey_reply reply;
    char piece[PIECE_BYTES];
};

static bool wait_for(const struct valkey_connection *c, short events, mono_time deadline,
                     struct error *err)
{
    for (;;) {
        int64_t left_ms = (deadline.ns - clock_mono().ns + 999999) / 1000000;
        struct pollfd p = {c->fd, events, 0};
        int n = left_ms > 0 ? poll(&p, 1, (int)(left_ms < INT_MAX ? left_ms : INT_MAX)) : 0;
        if (n > 0)
            return true;
        if (n == 0)
            return error_set(err, ERROR_TIMEOUT, "it did not answer in time");
        if (errno != EINTR)
            return error_set(err, ERROR_UNAVAILABLE, "could not wait for it: %s", strerror(errno));
    }
}

static bool gone(struct error *err, int errno_value)
{
    return errno_value ? error_set(err, ERROR_UNAVAILABLE, "the connection broke: %s",
                                   strerror(errno_value))
                       : error_set(err, ERROR_UNAVAILABLE, "it closed the connection");
}

/* --- TLS --- */

static bool tls_failed(struct error *err, ssize_t code)
{
    return error_set(err, ERROR_UNAVAILABLE, "TLS: %s", gnutls_strerror((int)code));
}

/* After GNUTLS_E_AGAIN: waits for what it lacks. */
static bool tls_wait(const struct valkey_connection *c, mono_time deadline, struct error *err)
{
    return wait_for(c, gnutls_record_get_direction(c->tls) ? POLLOUT : POLLIN, deadline, err);
}

static bool tls_is_waiting(ssize_t code)
{
    return code == GNUTLS_E_AGAIN || code == GNUTLS_E_INTERRUPTED;
}

static bool tls_begin(struct valkey_connection *c, const struct valkey_target *target,
                      mono_time deadline, struct error *err)
{
    int code = gnutls_init(&c->tls, GNUTLS_CLIENT | GNUTLS_NONBLOCK | GNUTLS_NO_SIGNAL);
    if (code == 0)
        code = gnutls_certificate_allocate_credentials(&c->credentials);
    if (code == 0)
        code = gnutls_credentials_set(c->tls, GNUTLS_CRD_CERTIFICATE, c->credentials);
    if (code == 0)
        code = gnutls_set_default_priority(c->tls);
    if (code == 0)
        code = gnutls_server_name_set(c->tls, GNUTLS_NAME_DNS, target->host, strlen(target->host));
    if (code != 0)
        return tls_failed(err, code);
    gnutls_transport_set_int(c->tls, c->fd);
    while ((code = gnutls_handshake(c->tls)) != 0) {
        if (gnutls_error_is_fatal(code))
            return tls_failed(err, code);
        if (tls_is_waiting(code) && !tls_wait(c, deadline, err))
            return false;
    }
    return outgoing_trust_verify(target->trust, c->tls, target->host, err);
}

/* --- connecting --- */

static bool connect_to(struct valkey_connection *c, const struct resolved_address *to,
                       mono_time deadline, struct error *err)
{
    int code = 0, on = 1;
    socklen_t bytes = sizeof(code);
    if (c->fd >= 0)
        (void)close(c->fd); /* of the address before; nothing was sent */
    c->fd = socket(to->address.ss_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (c->fd < 0)
        return error_set(err, ERROR_UNAVAILABLE, "could not make a socket: %s", strerror(errno));
    (void)setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on)); /* only slower without */
    if (connect(c->fd, (const struct sockaddr *)&to->address, to->bytes) != 0 &&
        errno != EINPROGRESS)
        return error_set(err, ERROR_UNAVAILABLE, "could not connect: %s", strerror(errno));
    if (!wait_for(c, POLLOUT, deadline, err))
        return false;
    if (getsockopt(c->fd, SOL_SOCKET, SO_ERROR, &code, &bytes) != 0)
        code = errno;
    return code == 0 || error_set(err, ERROR_UNAVAILABLE, "could not connect: %s", strerror(code));
}

bool valkey_connect(struct valkey_connection **out, const struct valkey_target *target,
                    mono_time deadline, struct error *err)
{
    struct resolved_address addresses[RESOLVED_ADDRESSES_MAX];
    size_t count;
    *out = NULL;
    if (!resolved_host_get(target->addresses, deadline, addresses, &count, err))
        return false;
    struct valkey_connection *c = mem_alloc_zero(MEM_OTHER, 1, sizeof(*c));
    bool ok = false;
    c->fd = -1;
    for (size_t i = 0; i < count && !ok; i++) { /* one that is silent leaves time for the others */
        mono_time now = clock_mono();
        int64_t share_ns = (deadline.ns - now.ns) / (int64_t)(count - i);
        ok = connect_to(c, &addresses[i], (mono_time){now.ns + share_ns}, err);
    }
    ok = ok && (!target->trust || tls_begin(c, target, deadline, err));
    if (ok && !valkey_reply_init(&c->reply, target->answer_bytes_max))
        ok = error_set(err, ERROR_UNAVAILABLE, "no memory for a connection");
    if (ok)
        *out = c;
    else
        valkey_connection_close(c);
    return ok;
}

void valkey_connection_close(struct valkey_connection *c)
{
    if (!c)
        return;
    valkey_reply_deinit(&c->reply);
    if (c->tls)
        gnutls_deinit(c->tls);
    if (c->credentials)
        gnutls_certificate_free_credentials(c->credentials);
    if (c->fd >= 0)
        (void)close(c->fd); /* whatever was not answered is not wanted */
    mem_free(MEM_OTHER, c);
}

/* --- commands --- */

static bool send_all(struct valkey_connection *c, struct view bytes, mono_time deadline,
                     struct error *err)
{
    while (bytes.len) {
        ssize_t n = c->tls ? gnutls_record_send(c->tls, bytes.ptr, bytes.len)
                           : send(c->fd, bytes.ptr, bytes.len, MSG_NOSIGNAL);
        if (n > 0) {
            bytes = view_slice(bytes, (size_t)n, bytes.len);
        } else if (c->tls) {
            if (!tls_is_waiting(n))
                return tls_failed(err, n);
            if (!tls_wait(c, deadline, err))
                return false;
        } else if (errno == EAGAIN) {
            if (!wait_for(c, POLLOUT, deadline, err))
                return false;
        } else if (errno != EINTR) {
            return gone(err, errno);
        }
    }
    return true;
}

/* Some bytes into piece, *len at least 1. */
static bool receive_some(struct valkey_connection *c, size_t *len, mono_time deadline,
                         struct error *err)
{
    for (;;) {
        ssize_t n = c->tls ? gnutls_record_recv(c->tls, c->piece, sizeof(c->piece))
                           : recv(c->fd, c->piece, sizeof(c->piece), 0);
        if (n > 0) {
            *len = (size_t)n;
            return true;
        }
        if (n == 0)
            return gone(err, 0);
        if (c->tls) {
            if (gnutls_error_is_fatal((int)n))
                return tls_failed(err, n);
            if (tls_is_waiting(n) && !tls_wait(c, deadline, err))
                return false;
        } else if (errno == EAGAIN) {
            if (!wait_for(c, POLLIN, deadline, err))
                return false;
        } else if (errno != EINTR) {
            return gone(err, errno);
        }
    }
}

/* The last argument may be large: it is sent from where it is. */
static bool send_command(struct valkey_connection *c, const struct view *arguments, size_t count,
                         mono_time deadline, struct error *err)
{
    struct buffer head;
    buffer_init(&head, MEM_OTHER, 1 << 20);
    buffer_printf(&head, "*%zu\r\n", count);
    for (size_t i = 0; i < count; i++) {
        buffer_printf(&head, "$%zu\r\n", arguments[i].len);
        if (i + 1 < count) {
            buffer_append_view(&head, arguments[i]);
            buffer_append_literal(&head, "\r\n");
        }
    }
    struct view last = arguments[count - 1];
    bool is_small = last.len < PIECE_BYTES;
    if (is_small) { /* one packet, one wakeup of the server */
        buffer_append_view(&head, last);
        buffer_append_literal(&head, "\r\n");
    }
    bool ok = head.failed ? error_set(err, ERROR_TOO_LARGE, "a command is too long")
                          : send_all(c, buffer_view(&head), deadline, err);
    ok = ok && (is_small ||
                (send_all(c, last, deadline, err) && send_all(c, VIEW("\r\n"), deadline, err)));
    buffer_deinit(&head);
    return ok;
}

bool valkey_command(struct valkey_connection *c, const struct view *arguments, size_t count,
                    mono_time deadline, const struct valkey_reply **reply, struct error *err)
{
    size_t len = 0;
    *reply = &c->reply;
    if (!send_command(c, arguments, count, deadline, err))
        return false;
    for (;;) {
        if (!valkey_reply_next(&c->reply, err))
            return false;
        if (c->reply.type)
            return true;
        if (!receive_some(c, &len, deadline, err) ||
            !valkey_reply_feed(&c->reply, (struct view){c->piece, len}, err))
            return false;
    }
}

void valkey_connection_rest(struct valkey_connection *c)
{
    valkey_reply_release(&c->reply);
}
