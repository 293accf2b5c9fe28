/* SPDX-License-Identifier: Apache-2.0 */
/* http_connection.c: what MHD calls: a connection's begin and end, a request's line, headers, body and end. */
#include "base/assert.h"
#include "base/checksum.h"
#include "net/http_private.h"

#include <netdb.h>
#include <netinet/tcp.h>
#include <stdio.h>

/* A certificate that was replaced meanwhile goes on to serve the connections that began with it. */
static void connection_begin_tls(struct http_connection *c, struct MHD_Connection *mhd)
{
    const struct http_server_options *o = &c->server->options;
    const union MHD_ConnectionInfo *info =
        MHD_get_connection_info(mhd, MHD_CONNECTION_INFO_GNUTLS_SESSION);
    c->tls = o->tls(o->access_arg);
    if (c->tls == NULL || info == NULL || !http_tls_begin(c->tls, info->tls_session))
        (void)shutdown(c->fd, SHUT_RDWR); /* no handshake without our settings */
}

/* 0 for this machine: its programs, and a proxy on it, speak for many. */
static uint64_t peer_hash(struct MHD_Connection *mhd)
{
    const union MHD_ConnectionInfo *info =
        MHD_get_connection_info(mhd, MHD_CONNECTION_INFO_CLIENT_ADDRESS);
    const struct sockaddr *sa = info ? info->client_addr : NULL;
    uint64_t hash = 0;
    if (sa == NULL || peer_is_loopback(sa))
        return 0;
    if (sa->sa_family == AF_INET) {
        const struct sockaddr_in *v4 = (const void *)sa;
        hash = hash64_secret(&v4->sin_addr, sizeof v4->sin_addr);
    } else if (sa->sa_family == AF_INET6) {
        const struct sockaddr_in6 *v6 = (const void *)sa;
        bool mapped = IN6_IS_ADDR_V4MAPPED(&v6->sin6_addr);
        hash = mapped ? hash64_secret(v6->sin6_addr.s6_addr + 12, 4)
                      : hash64_secret(v6->sin6_addr.s6_addr, 8);
    }
    return hash ? hash : 1;
}

static void connection_open(struct http_server *s, struct MHD_Connection *mhd, void **context)
{
    const union MHD_ConnectionInfo *info =
        MHD_get_connection_info(mhd, MHD_CONNECTION_INFO_CONNECTION_FD);
    ASSERT(info != NULL);
    struct http_connection *c = mem_alloc_zero(MEM_HTTP, 1, sizeof *c);
    c->server = s;
    c->fd = info->connect_fd;
    c->peer = peer_hash(mhd);
    *context = c;
    if (s->has_tls)
        connection_begin_tls(c, mhd);
    atomic_fetch_add_explicit(&s->connections_total, 1, memory_order_relaxed);
    governor_add_connection(c);
}

void http_on_connection(void *cls, struct MHD_Connection *mhd, void **context,
                        enum MHD_ConnectionNotificationCode what)
{
    if (what == MHD_CONNECTION_NOTIFY_STARTED) {
        connection_open(cls, mhd, context);
        return;
    }
    struct http_connection *c = *context;
    if (c == NULL)
        return;
    governor_remove_connection(c);
    http_tls_unref(c->tls);
    mem_free(MEM_HTTP, c);
    *context = NULL;
}

static void peer_name(struct http_request *rq)
{
    const union MHD_ConnectionInfo *info =
        MHD_get_connection_info(rq->mhd, MHD_CONNECTION_INFO_CLIENT_ADDRESS);
    char host[INET6_ADDRSTRLEN], port[8];
    const struct sockaddr *sa = info ? info->client_addr : NULL;
    bool v6 = sa && sa->sa_family == AF_INET6;
    socklen_t bytes = v6 ? sizeof(struct sockaddr_in6) : sizeof(struct sockaddr_in);
    if (sa == NULL || getnameinfo(sa, bytes, host, sizeof host, port, sizeof port,
                                  NI_NUMERICHOST | NI_NUMERICSERV) != 0)
        return; /* stays empty */
    (void)snprintf(rq->peer, sizeof rq->peer, "%s%s%s:%s", v6 ? "[" : "", host, v6 ? "]" : "",
                   port);
}

/* The kernel counts in its ticks, of up to 10 ms each: what may be less than two is not known, and nothing. */
enum { LATE_MS_MIN = 20 };

/* When the client's last bytes came: on a busy machine that is long before this thread reads them. */
static mono_time arrived(const struct http_connection *c)
{
    mono_time now = clock_mono();
    struct tcp_info info = {0};
    socklen_t bytes = sizeof info;
    if (getsockopt(c->fd, IPPROTO_TCP, TCP_INFO, &info, &bytes) != 0 ||
        info.tcpi_last_data_recv < LATE_MS_MIN)
        return now;
    return mono_add_ms(now, -(int64_t)info.tcpi_last_data_recv);
}

void *http_on_target(void *cls, const char *target, struct MHD_Connection *mhd)
{
    struct http_server *s = cls;
    const union MHD_ConnectionInfo *info =
        MHD_get_connection_info(mhd, MHD_CONNECTION_INFO_SOCKET_CONTEXT);
    ASSERT(info != NULL && info->socket_context != NULL);
    struct http_request *rq = mem_alloc_zero(MEM_HTTP, 1, sizeof *rq);
    rq->server = s;
    rq->connection = info->socket_context;
    rq->mhd = mhd;
    rq->began = arrived(rq->connection);
    rq->method_name = "other";
    arena_init(&rq->arena, MEM_HTTP, HTTP_REQUEST_ARENA_BYTES_MAX);
    rq->target = arena_copy(&rq->arena, view_from(target));
    peer_name(rq);
    if (s->options.context_bytes)
        rq->context = arena_alloc_zero(&rq->arena, 1, s->options.context_bytes);
    response_init(&rq->response, rq);
    atomic_fetch_add_explicit(&s->requests_total, 1, memory_order_relaxed);
    governor_begin_request(rq->connection, rq);
    return rq;
}

/* Answers before the body was read: MHD closes the connection afterwards. */
static enum MHD_Result request_refuse(struct http_request *rq)
{
    atomic_fetch_add_explicit(&rq->server->requests_refused, 1, memory_order_relaxed);
    http_response_set_header(&rq->response, "Connection", VIEW("close"));
    response_prepare(&rq->response);
    return response_queue(&rq->response);
}

/* All bodies together have a limit, or many clients with a body each would take all memory. */
static bool budget_take(struct http_request *rq, size_t bytes)
{
    struct http_server *s = rq->server;
    if (atomic_fetch_add_explicit(&s->bodies_bytes, bytes, memory_order_relaxed) + bytes <=
        s->options.bodies_bytes_max)
        return true;
    atomic_fetch_sub_explicit(&s->bodies_bytes, bytes, memory_order_relaxed);
    return false;
}

/* A long body may take long, as long as it moves. */
static void body_progress(struct http_request *rq)
{
    if (rq->received_bytes - rq->progress_bytes < HTTP_PIECE_BYTES)
        return;
    rq->progress_bytes = rq->received_bytes;
    governor_set_phase(rq->connection, CONNECTION_READING);
}

/* For a route that takes its body as it comes. */
static void request_pass_on(struct http_request *rq, struct view piece)
{
    const struct http_route *route = rq->route;
    if (rq->received_bytes > rq->body_bytes_max)
        rq->body_bytes_dropped += piece.len;
    else if (!rq->is_refused)
        rq->is_refused = !route->receive(route->arg, rq, &rq->response, piece);
    body_progress(rq);
}

/* A chunked body says its size only as it comes. MHD takes an answer only at the end of it, so some is
 * dropped to be able to say 413; who goes on is cut off. */
static enum MHD_Result request_receive(struct http_request *rq, const char *bytes, size_t *len)
{
    size_t room = rq->body_bytes_max - rq->body.len;
    rq->received_bytes += *len;
    if (rq->route->receive) {
        request_pass_on(rq, (struct view){bytes, *len});
        *len = 0;
        return rq->body_bytes_dropped > HTTP_PIECE_BYTES ? MHD_NO : MHD_YES;
    }
    if (*len <= room && !rq->body_bytes_dropped && !budget_take(rq, *len))
        rq->is_over_budget = true;
    if (*len > room || rq->body_bytes_dropped || rq->is_over_budget) {
        rq->body_bytes_dropped += *len;
        if (rq->body_bytes_dropped > rq->body_bytes_max + HTTP_PIECE_BYTES)
            return MHD_NO;
    } else {
        buffer_append(&rq->body, bytes, *len);
        if (rq->body.failed)
            return MHD_NO;
    }
    *len = 0;
    return MHD_YES;
}

/* After the headers, once access is decided. */
static enum MHD_Result request_go_on(struct http_request *rq, enum http_verdict verdict)
{
    switch (verdict) {
    case HTTP_ALLOWED:
        governor_admit_request(rq->connection);
        rq->state = REQUEST_RECEIVING;
        return MHD_YES;
    case HTTP_REFUSED:
        return request_refuse(rq);
    case HTTP_MUST_WAIT:
        return MHD_YES;
    }
    UNREACHABLE();
}

enum MHD_Result http_on_request(void *cls, struct MHD_Connection *mhd, const char *url,
                                const char *method, const char *version, const char *upload,
                                size_t *upload_bytes, void **context)
{
    (void)cls;
    (void)mhd;
    (void)url; /* cut at the query; on_target saw it whole */
    struct http_request *rq = *context;
    switch (rq->state) {
    case REQUEST_NEW:
        if (!request_check(rq, method, version))
            return request_refuse(rq);
        return request_go_on(rq, request_ask_access(rq));
    case REQUEST_DECIDED:
        return request_go_on(rq, rq->verdict);
    case REQUEST_RECEIVING:
        if (*upload_bytes)
            return request_receive(rq, upload, upload_bytes);
        if (rq->is_over_budget) {
            http_response_set_header(&rq->response, "Retry-After", VIEW("1"));
            http_response_error(&rq->response, 503,
                                "the server is busy: the requests in work hold %zu bytes already",
                                rq->server->options.bodies_bytes_max);
            return request_refuse(rq);
        }
        if (rq->body_bytes_dropped) {
            http_response_error(&rq->response, 413, "request body of more than %zu bytes",
                                rq->body_bytes_max);
            return request_refuse(rq);
        }
        if (rq->is_refused)
            return request_refuse(rq);
        return request_dispatch(rq);
    case REQUEST_DONE:
        return response_queue(&rq->response);
    case REQUEST_ASKING:
    case REQUEST_WORKING: /* woken without reason: MHD waits again */
        return MHD_YES;
    case REQUEST_SENDING:
        break;
    }
    return MHD_NO;
}

static void observe(struct http_request *rq, bool is_aborted)
{
    const struct http_server *s = rq->server;
    if (s->options.observe == NULL)
        return;
    const struct http_route *route = rq->route;
    struct http_observation seen = {
        .handler = route == NULL ? "other"
                   : route->name ? route->name
                                 : route->path,
        .method = rq->method_name,
        .status = rq->response.status,
        .seconds = (double)(clock_mono().ns - rq->began.ns) / 1e9,
        .response_bytes = rq->response.body_bytes,
        .request_bytes = rq->received_bytes,
        .sent_bytes = rq->response.pulled_bytes,
        .is_aborted = is_aborted,
        .request = rq,
    };
    s->options.observe(s->options.observe_arg, &seen);
}

void http_on_completed(void *cls, struct MHD_Connection *mhd, void **context,
                       enum MHD_RequestTerminationCode why)
{
    (void)cls;
    (void)mhd;
    struct http_request *rq = *context;
    if (rq == NULL)
        return;
    *context = NULL;
    ASSERT(rq->state != REQUEST_WORKING && rq->state != REQUEST_ASKING);
    response_deinit(&rq->response); /* releases its stream */
    bool is_aborted = why != MHD_REQUEST_TERMINATED_COMPLETED_OK;
    if (rq->state ==
        REQUEST_NEW) /* MHD answered by itself, which it tells nobody, or nothing was asked */
        rq->response.status = 400;
    else if (rq->state != REQUEST_SENDING)
        rq->response.status = 499; /* nginx's number: gone before there was an answer */
    if (rq->state != REQUEST_NEW || !is_aborted)
        observe(rq, is_aborted);
    governor_end_request(rq->connection);
    atomic_fetch_sub_explicit(&rq->server->bodies_bytes, rq->body.len, memory_order_relaxed);
    buffer_deinit(&rq->body);
    arena_deinit(&rq->arena);
    mem_free(MEM_HTTP, rq);
}
