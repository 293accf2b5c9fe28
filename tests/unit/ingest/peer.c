/* SPDX-License-Identifier: Apache-2.0 */
/* peer.c: see peer.h. */
#include "peer.h"

#include "base/assert.h"
#include "base/mem.h"
#include "base/thread.h"

#include <arpa/inet.h>
#include <errno.h>
#include <gnutls/gnutls.h>
#include <gnutls/x509.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum { CONNECTIONS_MAX = 256, REQUEST_BYTES_MAX = 1 << 20 };

struct peer {
    int fd, port;
    atomic_bool stop;
    pthread_t thread;
    pthread_t handlers[CONNECTIONS_MAX];
    size_t handler_count; /* the accepting thread's, until it is joined */

    pthread_mutex_t mutex;
    enum peer_manner manner;
    struct buffer head, body, requests;
    size_t connection_count;

    gnutls_certificate_credentials_t tls; /* NULL: plain */
    bool client_certificate;
    char cert_path[64], key_path[64];
};

struct connection {
    struct peer *peer;
    int fd;
    gnutls_session_t session; /* NULL: plain */
};

/* False when the peer stops or the client has left. */
static bool wait_for(const struct peer *p, int fd, short what, int ms)
{
    struct pollfd poll_fd = {.fd = fd, .events = what};
    for (;;) {
        if (atomic_load(&p->stop))
            return false;
        int step = ms >= 0 && ms < 20 ? ms : 20;
        int ready = poll(&poll_fd, 1, step);
        if (ready > 0)
            return true;
        if (ready < 0 && errno != EINTR)
            return false;
        if (ms >= 0 && (ms -= step) <= 0)
            return false;
    }
}

static bool send_all(const struct connection *c, struct view bytes)
{
    while (bytes.len) {
        if (!wait_for(c->peer, c->fd, POLLOUT, -1))
            return false;
        ssize_t n = c->session ? gnutls_record_send(c->session, bytes.ptr, bytes.len)
                               : send(c->fd, bytes.ptr, bytes.len, MSG_NOSIGNAL | MSG_DONTWAIT);
        if (n < 0 && (c->session || errno != EAGAIN))
            return false;
        if (n > 0)
            bytes = view_slice(bytes, (size_t)n, bytes.len);
    }
    return true;
}

static ssize_t receive_some(const struct connection *c, char *out, size_t len)
{
    if (!(c->session && gnutls_record_check_pending(c->session)) &&
        !wait_for(c->peer, c->fd, POLLIN, -1))
        return -1;
    return c->session ? gnutls_record_recv(c->session, out, len) : recv(c->fd, out, len, 0);
}

/* How long the request is whose headers are there; 0: they are not. */
static size_t request_bytes(const char *text)
{
    const char *end = strstr(text, "\r\n\r\n"), *length = strcasestr(text, "\r\nContent-Length:");
    if (!end)
        return 0;
    size_t body = length && length < end ? strtoul(length + 17, NULL, 10) : 0;
    return (size_t)(end - text) + 4 + body;
}

/* One request; false when there is none any more. */
static bool receive(const struct connection *c, char *text)
{
    size_t len = 0;
    while (len < REQUEST_BYTES_MAX - 1) {
        ssize_t n = receive_some(c, text + len, REQUEST_BYTES_MAX - 1 - len);
        if (n <= 0)
            return false;
        len += (size_t)n;
        text[len] = 0;
        size_t whole = request_bytes(text);
        if (whole && len >= whole)
            return true;
    }
    return false;
}

static void wait_for_leave(const struct connection *c)
{
    char byte;
    while (receive_some(c, &byte, 1) > 0)
        ;
}

/* Answers as it is set now; false when the connection ends. */
static bool answer(const struct connection *c)
{
    struct peer *p = c->peer;
    mutex_lock(&p->mutex);
    enum peer_manner manner = p->manner;
    size_t head_len = p->head.len, body_len = p->body.len;
    char *head = malloc(head_len + 1), *body = malloc(body_len + 1);
    if (head_len)
        memcpy(head, p->head.ptr, head_len);
    if (body_len)
        memcpy(body, p->body.ptr, body_len);
    mutex_unlock(&p->mutex);
    bool go_on = false;
    static const char CHUNKED[] =
        "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nTransfer-Encoding: chunked\r\n\r\n";
    char size[32];
    switch (manner) {
    case PEER_ANSWER:
        go_on = send_all(c, (struct view){head, head_len}) &&
                send_all(c, (struct view){body, body_len});
        break;
    case PEER_RAW:
        (void)send_all(c, (struct view){body, body_len});
        break;
    case PEER_HANG:
        wait_for_leave(c);
        break;
    case PEER_DRIP:
        if (send_all(c, VIEW("HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\n\r\n"))) {
            while (send_all(c, VIEW("a")) && !wait_for(p, c->fd, POLLIN, 10) &&
                   !atomic_load(&p->stop))
                ;
        }
        break;
    case PEER_ENDLESS:
        snprintf(size, sizeof size, "%zx\r\n", body_len);
        go_on = send_all(c, view_from(CHUNKED));
        while (go_on)
            go_on = send_all(c, view_from(size)) && send_all(c, (struct view){body, body_len}) &&
                    send_all(c, VIEW("\r\n"));
        break;
    case PEER_ENDLESS_LINE:
        go_on = send_all(c, VIEW("HTTP/1.1 200 OK\r\n"));
        while (go_on)
            go_on = send_all(c, (struct view){body, body_len});
        break;
    case PEER_CLOSE:
        break;
    }
    free(head);
    free(body);
    return go_on;
}

static bool handshake(struct connection *c)
{
    const struct peer *p = c->peer;
    if (!p->tls)
        return true;
    ASSERT(gnutls_init(&c->session, GNUTLS_SERVER) == 0 &&
           gnutls_set_default_priority(c->session) == 0 &&
           gnutls_credentials_set(c->session, GNUTLS_CRD_CERTIFICATE, p->tls) == 0);
    if (p->client_certificate) {
        gnutls_certificate_server_set_request(c->session, GNUTLS_CERT_REQUIRE);
        gnutls_session_set_verify_cert(c->session, NULL, 0);
    }
    gnutls_transport_set_int(c->session, c->fd);
    gnutls_handshake_set_timeout(c->session, 5000);
    int code;
    do
        code = gnutls_handshake(c->session);
    while (code < 0 && !gnutls_error_is_fatal(code));
    return code == 0;
}

static void *serve(void *arg)
{
    struct connection *c = arg;
    char *text = malloc(REQUEST_BYTES_MAX);
    bool go_on = handshake(c);
    while (go_on && receive(c, text)) {
        mutex_lock(&c->peer->mutex);
        buffer_append_view(&c->peer->requests, view_from(text));
        mutex_unlock(&c->peer->mutex);
        go_on = answer(c);
    }
    if (c->session)
        gnutls_deinit(c->session);
    (void)close(c->fd);
    free(text);
    free(c);
    return NULL;
}

static void *accept_all(void *arg)
{
    struct peer *p = arg;
    while (wait_for(p, p->fd, POLLIN, -1)) {
        int fd = accept(p->fd, NULL, NULL);
        if (fd < 0)
            continue;
        ASSERT(p->handler_count < CONNECTIONS_MAX);
        struct connection *c = malloc(sizeof *c);
        *c = (struct connection){.peer = p, .fd = fd};
        mutex_lock(&p->mutex);
        p->connection_count++;
        mutex_unlock(&p->mutex);
        ASSERT(pthread_create(&p->handlers[p->handler_count++], NULL, serve, c) == 0);
    }
    return NULL;
}

static void write_pem(char path[64], const char *name, const gnutls_datum_t *pem)
{
    snprintf(path, 64, "/tmp/peer_%s_XXXXXX", name);
    int fd = mkstemp(path);
    ASSERT(fd >= 0 && write(fd, pem->data, pem->size) == (ssize_t)pem->size);
    (void)close(fd);
}

/* A certificate for `name` (an address when it begins with a digit), signed by itself, and its key. */
static void make_certificate(struct peer *p, const char *name)
{
    gnutls_x509_privkey_t key;
    gnutls_x509_crt_t crt;
    gnutls_datum_t pem;
    time_t now = time(NULL);
    unsigned char address[4] = {127, 0, 0, 1};
    bool is_address = name[0] >= '0' && name[0] <= '9';
    ASSERT(gnutls_x509_privkey_init(&key) == 0 &&
           gnutls_x509_privkey_generate(key, GNUTLS_PK_ECDSA,
                                        GNUTLS_CURVE_TO_BITS(GNUTLS_ECC_CURVE_SECP256R1), 0) == 0);
    ASSERT(gnutls_x509_crt_init(&crt) == 0 && gnutls_x509_crt_set_version(crt, 3) == 0 &&
           gnutls_x509_crt_set_serial(crt, "\1", 1) == 0 &&
           gnutls_x509_crt_set_activation_time(crt, now - 3600) == 0 &&
           gnutls_x509_crt_set_expiration_time(crt, now + 3600) == 0 &&
           gnutls_x509_crt_set_dn_by_oid(crt, GNUTLS_OID_X520_COMMON_NAME, 0, "peer", 4) == 0 &&
           gnutls_x509_crt_set_basic_constraints(crt, 1, -1) == 0 &&
           gnutls_x509_crt_set_key_usage(crt, GNUTLS_KEY_DIGITAL_SIGNATURE |
                                                  GNUTLS_KEY_KEY_CERT_SIGN) == 0 &&
           gnutls_x509_crt_set_subject_alt_name(
               crt, is_address ? GNUTLS_SAN_IPADDRESS : GNUTLS_SAN_DNSNAME,
               is_address ? (const void *)address : name, is_address ? 4 : (unsigned)strlen(name),
               0) == 0 &&
           gnutls_x509_crt_set_key(crt, key) == 0 &&
           gnutls_x509_crt_sign2(crt, crt, key, GNUTLS_DIG_SHA256, 0) == 0);
    ASSERT(gnutls_x509_crt_export2(crt, GNUTLS_X509_FMT_PEM, &pem) == 0);
    write_pem(p->cert_path, "cert", &pem);
    gnutls_free(pem.data);
    ASSERT(gnutls_x509_privkey_export2(key, GNUTLS_X509_FMT_PEM, &pem) == 0);
    write_pem(p->key_path, "key", &pem);
    gnutls_free(pem.data);
    gnutls_x509_crt_deinit(crt);
    gnutls_x509_privkey_deinit(key);
}

static struct peer *start(const char *tls_name, bool client_certificate)
{
    struct peer *p = calloc(1, sizeof *p);
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof address;
    mutex_init(&p->mutex);
    buffer_init(&p->head, MEM_OTHER, 1 << 20);
    buffer_init(&p->body, MEM_OTHER, 1 << 28);
    buffer_init(&p->requests, MEM_OTHER, 1 << 24);
    p->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    ASSERT(p->fd >= 0 && bind(p->fd, (struct sockaddr *)&address, sizeof address) == 0 &&
           listen(p->fd, 128) == 0 && getsockname(p->fd, (struct sockaddr *)&address, &len) == 0);
    p->port = ntohs(address.sin_port);
    if (tls_name) {
        make_certificate(p, tls_name);
        p->client_certificate = client_certificate;
        ASSERT(gnutls_certificate_allocate_credentials(&p->tls) == 0 &&
               gnutls_certificate_set_x509_key_file(p->tls, p->cert_path, p->key_path,
                                                    GNUTLS_X509_FMT_PEM) == 0 &&
               gnutls_certificate_set_x509_trust_file(p->tls, p->cert_path, GNUTLS_X509_FMT_PEM) ==
                   1);
    }
    ASSERT(pthread_create(&p->thread, NULL, accept_all, p) == 0);
    return p;
}

struct peer *peer_start(void)
{
    return start(NULL, false);
}

struct peer *peer_start_tls(const char *name, bool client_certificate)
{
    return start(name, client_certificate);
}

const char *peer_cert_path(const struct peer *p)
{
    return p->cert_path;
}

const char *peer_key_path(const struct peer *p)
{
    return p->key_path;
}

void peer_stop(struct peer *p)
{
    atomic_store(&p->stop, true);
    thread_join(p->thread);
    for (size_t i = 0; i < p->handler_count; i++)
        thread_join(p->handlers[i]);
    (void)close(p->fd);
    if (p->tls) {
        gnutls_certificate_free_credentials(p->tls);
        (void)unlink(p->cert_path);
        (void)unlink(p->key_path);
    }
    buffer_deinit(&p->head);
    buffer_deinit(&p->body);
    buffer_deinit(&p->requests);
    mutex_deinit(&p->mutex);
    free(p);
}

int peer_port(const struct peer *p)
{
    return p->port;
}

void peer_set(struct peer *p, enum peer_manner manner, const char *status, const char *headers,
              struct view body)
{
    mutex_lock(&p->mutex);
    p->manner = manner;
    buffer_reset(&p->head);
    buffer_reset(&p->body);
    buffer_printf(&p->head, "HTTP/1.1 %s\r\n%sContent-Length: %zu\r\n\r\n", status, headers,
                  body.len);
    buffer_append_view(&p->body, body);
    mutex_unlock(&p->mutex);
}

void peer_set_text(struct peer *p, const char *body)
{
    peer_set(p, PEER_ANSWER, "200 OK", "Content-Type: text/plain; version=0.0.4; charset=utf-8\r\n",
             view_from(body));
}

void peer_requests(struct peer *p, struct buffer *out)
{
    mutex_lock(&p->mutex);
    buffer_append_view(out, buffer_view(&p->requests));
    buffer_reset(&p->requests);
    mutex_unlock(&p->mutex);
}

size_t peer_connection_count(struct peer *p)
{
    mutex_lock(&p->mutex);
    size_t count = p->connection_count;
    mutex_unlock(&p->mutex);
    return count;
}
