/* SPDX-License-Identifier: Apache-2.0 */
/* endpoint_connection.c: a connection's and a request's life, and who is cut. Only the loop is here. */
#include "instrument_http/endpoint.h"

#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>

int64_t belfry__now_ms(void)
{
    struct timespec t;
    (void)clock_gettime(CLOCK_MONOTONIC, &t); /* cannot fail */
    return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

/* ---- connections ---- */

static void set_phase(struct connection *c, enum connection_phase phase, int64_t timeout_ms)
{
    if (c->phase == CONNECTION_CUT)
        return;
    c->phase = phase;
    c->since_ms = belfry__now_ms();
    c->deadline_ms = c->since_ms + timeout_ms;
}

/* libmicrohttpd sees the end of the stream and closes; a scrape that waits is woken to see it too. */
static void cut(struct connection *c)
{
    c->phase = CONNECTION_CUT;
    c->deadline_ms = INT64_MAX;
    (void)shutdown(c->fd, SHUT_RDWR); /* fails only when the client was faster */
    if (c->scrape)
        belfry__scrape_cancel(c->scrape);
}

int64_t belfry__connections_cut_late(struct belfry_endpoint *e, int64_t now_ms)
{
    int64_t next = INT64_MAX;
    for (struct connection *c = e->connections; c; c = c->next) {
        if (c->deadline_ms <= now_ms) {
            count_one(&e->timeouts);
            cut(c);
        } else if (c->deadline_ms < next) {
            next = c->deadline_ms;
        }
    }
    return next;
}

void belfry__connections_cancel_all(struct belfry_endpoint *e)
{
    for (struct connection *c = e->connections; c; c = c->next)
        cut(c);
}

/* Who has had nothing to say for longest goes; when all are being answered, the newcomer. A client that sends its
 * request as soon as it is connected is silent for a round trip only, so a flood of connections cannot keep it out. */
static void make_room(struct belfry_endpoint *e, struct connection *newcomer)
{
    struct connection *longest = NULL;
    unsigned living = 0;
    for (struct connection *c = e->connections; c; c = c->next) {
        living += c->phase != CONNECTION_CUT;
        bool silent = c->phase == CONNECTION_SILENT || c->phase == CONNECTION_READING;
        if (silent && c != newcomer && (!longest || c->since_ms <= longest->since_ms))
            longest = c;
    }
    if (living > e->connections_max)
        cut(longest ? longest : newcomer);
}

static bool begin_tls(struct connection *c, struct MHD_Connection *mhd)
{
    struct belfry_endpoint *e = c->endpoint;
    const union MHD_ConnectionInfo *info =
        MHD_get_connection_info(mhd, MHD_CONNECTION_INFO_GNUTLS_SESSION);
    if (!belfry__tls_refresh(e->tls, belfry__now_ms()))
        count_one(&e->certificate_errors);
    c->tls = info ? belfry__tls_begin(e->tls, info->tls_session) : NULL;
    return c->tls != NULL;
}

static void open_connection(struct belfry_endpoint *e, struct MHD_Connection *mhd, void **context)
{
    const union MHD_ConnectionInfo *info =
        MHD_get_connection_info(mhd, MHD_CONNECTION_INFO_CONNECTION_FD);
    struct connection *c = calloc(1, sizeof *c);
    *context = c;
    if (!c) {
        if (info)
            (void)shutdown(info->connect_fd, SHUT_RDWR); /* no memory for it */
        return;
    }
    c->endpoint = e;
    c->fd = info ? info->connect_fd : -1;
    count_one(&e->connections_total);
    atomic_fetch_add_explicit(&e->connections_open, 1, memory_order_relaxed);
    pthread_mutex_lock(&e->mutex);
    c->next = e->connections;
    if (c->next)
        c->next->previous = c;
    e->connections = c;
    pthread_mutex_unlock(&e->mutex);
    set_phase(c, CONNECTION_SILENT, e->request_timeout_ms);
    if (e->tls && !begin_tls(c, mhd))
        cut(c); /* no handshake without our settings */
    make_room(e, c);
}

static void close_connection(struct connection *c)
{
    struct belfry_endpoint *e = c->endpoint;
    pthread_mutex_lock(&e->mutex);
    if (c->previous)
        c->previous->next = c->next;
    else
        e->connections = c->next;
    if (c->next)
        c->next->previous = c->previous;
    pthread_mutex_unlock(&e->mutex);
    atomic_fetch_sub_explicit(&e->connections_open, 1, memory_order_relaxed);
    belfry__tls_end(c->tls);
    free(c);
}

void belfry__on_connection(void *cls, struct MHD_Connection *mhd, void **context,
                           enum MHD_ConnectionNotificationCode what)
{
    if (what == MHD_CONNECTION_NOTIFY_STARTED)
        open_connection(cls, mhd, context);
    else if (*context)
        close_connection(*context);
}

/* ---- requests ---- */

void *belfry__on_target(void *cls, const char *target, struct MHD_Connection *mhd)
{
    struct belfry_endpoint *e = cls;
    const union MHD_ConnectionInfo *info =
        MHD_get_connection_info(mhd, MHD_CONNECTION_INFO_SOCKET_CONTEXT);
    struct connection *c = info ? info->socket_context : NULL;
    struct request *rq = c ? calloc(1, sizeof *rq) : NULL;
    if (!rq)
        return NULL;
    count_one(&e->requests_total);
    rq->connection = c;
    rq->target = strdup(target);
    set_phase(c, CONNECTION_READING, e->request_timeout_ms);
    return rq;
}

static ssize_t on_pull(void *cls, uint64_t pos, char *out, size_t max)
{
    (void)pos; /* in order, once */
    struct scrape *s = cls;
    ssize_t count = belfry__scrape_read(s, out, max);
    if (count == 0)
        MHD_suspend_connection(s->mhd);
    return count >= 0    ? count
           : count == -1 ? MHD_CONTENT_READER_END_OF_STREAM
                         : MHD_CONTENT_READER_END_WITH_ERROR;
}

static const char *header_of(struct MHD_Connection *mhd, const char *name)
{
    return MHD_lookup_connection_value(mhd, MHD_HEADER_KIND, name);
}

static bool has_body(struct MHD_Connection *mhd)
{
    return header_of(mhd, "Content-Length") || header_of(mhd, "Transfer-Encoding");
}

/* Takes the response. */
static enum MHD_Result queue(const struct http_plan *plan, struct MHD_Connection *mhd,
                             struct MHD_Response *response)
{
    if (!response)
        return MHD_NO;
    bool ok = true;
    for (size_t i = 0; ok && i < plan->header_count; i++)
        ok = MHD_add_response_header(response, plan->headers[i].name, plan->headers[i].value) ==
             MHD_YES;
    if (ok && has_body(mhd))
        ok = MHD_add_response_header(response, "Connection", "close") == MHD_YES;
    enum MHD_Result result =
        ok ? MHD_queue_response(mhd, (unsigned)plan->status, response) : MHD_NO;
    MHD_destroy_response(response); /* the connection has its own reference */
    return result;
}

static enum MHD_Result queue_text(const struct http_plan *plan, struct MHD_Connection *mhd)
{
    const char *text = belfry__plan_text(plan);
    return queue(plan, mhd,
                 MHD_create_response_from_buffer(strlen(text), (void *)(uintptr_t)text,
                                                 MHD_RESPMEM_MUST_COPY));
}

/* HEAD: the length is not known, and nothing is written to know it. As to an HTTP/1.0 client: with chunks the library
 * (0.9.75) sends the last one although there is no body, which the client would take for the next answer. */
static enum MHD_Result queue_head(const struct http_plan *plan, struct MHD_Connection *mhd)
{
    struct MHD_Response *response =
        MHD_create_response_from_callback(MHD_SIZE_UNKNOWN, SEND_BYTES, on_pull, NULL, NULL);
    if (response)
        (void)MHD_set_response_options(response, MHD_RF_HTTP_1_0_COMPATIBLE_STRICT,
                                       MHD_RO_END); /* knows the option */
    return queue(plan, mhd, response);
}

static enum MHD_Result queue_scrape(struct scrape *s)
{
    size_t len;
    if (belfry__scrape_has_failed(s)) {
        if (!s->is_canceled && s->len == 0) { /* the worker is done with it */
            belfry__plan_refuse(&s->plan, 503, "503 Service Unavailable: no memory");
            return queue_text(&s->plan, s->mhd);
        }
        return MHD_NO;
    }
    bool whole = belfry__scrape_is_whole(s, &len);
    return queue(&s->plan, s->mhd,
                 MHD_create_response_from_callback(whole ? len : MHD_SIZE_UNKNOWN, SEND_BYTES,
                                                   on_pull, s, NULL));
}

/* What Prometheus waits for, when it says so and it is less than our own limit. */
static int64_t answer_timeout(const struct belfry_endpoint *e, struct MHD_Connection *mhd)
{
    const char *text = header_of(mhd, "X-Prometheus-Scrape-Timeout-Seconds");
    char *end = NULL;
    double seconds = text ? strtod(text, &end) : 0;
    if (!text || end == text || !(seconds > 0) || seconds * 1000 > (double)e->answer_timeout_ms)
        return e->answer_timeout_ms;
    return (int64_t)(seconds * 1000) + 1;
}

static enum MHD_Result begin_scrape(struct request *rq, struct http_plan *plan,
                                    struct MHD_Connection *mhd)
{
    struct belfry_endpoint *e = rq->connection->endpoint;
    switch (belfry__scrape_start(e, plan, mhd, &rq->scrape)) {
    case SCRAPE_STARTED:
        rq->connection->scrape = rq->scrape;
        MHD_suspend_connection(mhd);
        return MHD_YES;
    case SCRAPE_REFUSED:
        count_one(&e->scrapes_refused);
        belfry__plan_refuse(plan, 503, "503 Service Unavailable: too many scrapes at once");
        belfry__plan_header(plan, "Retry-After", "1");
        break;
    case SCRAPE_NO_MEMORY:
        count_one(&e->scrapes_failed);
        belfry__plan_refuse(plan, 503, "503 Service Unavailable: no memory");
        break;
    }
    return queue_text(plan, mhd);
}

static enum MHD_Result begin_answer(struct request *rq, struct MHD_Connection *mhd,
                                    const char *method)
{
    struct belfry_endpoint *e = rq->connection->endpoint;
    struct http_plan plan;
    const struct http_query query = {.method = method,
                                     .path = rq->target,
                                     .accept = header_of(mhd, "Accept"),
                                     .accept_encoding = header_of(mhd, "Accept-Encoding"),
                                     .authorization = header_of(mhd, "Authorization")};
    const char *mark = strchr(rq->target, '?');
    rq->is_planned = true;
    set_phase(rq->connection, CONNECTION_ANSWERING, answer_timeout(e, mhd));
    belfry__plan_init(&plan, e->http, &query);
    belfry__plan_take_query(&plan, mark ? mark + 1 : NULL);
    if (plan.is_denied)
        count_one(&e->denied);
    enum MHD_Result result;
    if (plan.is_metrics && !plan.is_head)
        result = begin_scrape(rq, &plan, mhd);
    else if (plan.is_metrics)
        result = queue_head(&plan, mhd);
    else
        result = queue_text(&plan, mhd);
    belfry__plan_deinit(&plan);
    return result;
}

enum MHD_Result belfry__on_request(void *cls, struct MHD_Connection *mhd, const char *url,
                                   const char *method, const char *version, const char *upload,
                                   size_t *upload_bytes, void **context)
{
    (void)cls;
    (void)url; /* decoded; the target is as it was sent */
    (void)version;
    (void)upload;
    (void)upload_bytes;
    struct request *rq = *context;
    if (!rq || !rq->target)
        return MHD_NO; /* no memory */
    /* The library takes an answer before the end of the request for a refusal and closes the connection: that is
     * what those get who send a body, which is not read. */
    if (!rq->is_begun && !has_body(mhd)) {
        rq->is_begun = true;
        return MHD_YES;
    }
    if (!rq->is_planned)
        return begin_answer(rq, mhd, method);
    return rq->scrape ? queue_scrape(rq->scrape) : MHD_NO;
}

void belfry__on_completed(void *cls, struct MHD_Connection *mhd, void **context,
                          enum MHD_RequestTerminationCode why)
{
    (void)mhd;
    struct belfry_endpoint *e = cls;
    struct request *rq = *context;
    *context = NULL;
    if (!rq)
        return;
    if (rq->scrape) {
        bool ok = why == MHD_REQUEST_TERMINATED_COMPLETED_OK && rq->scrape->plan.is_metrics;
        count_one(ok ? &e->scrapes_total : &e->scrapes_failed);
        rq->connection->scrape = NULL;
        belfry__scrape_release(rq->scrape);
    }
    set_phase(rq->connection, CONNECTION_SILENT, e->idle_timeout_ms);
    free(rq->target);
    free(rq);
}
