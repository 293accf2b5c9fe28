/* SPDX-License-Identifier: Apache-2.0 */
/* http_server_test.c: a real server on a loopback port, spoken to through plain sockets. Waiting is for
 * events (a handler that began, a request that ended), never for time. */
#include "net/http_server.h"

#include "base/thread.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <poll.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>
#include <zlib.h>

#include <cmocka.h>

enum { ANSWER_BYTES_MAX = 4 << 20 };

/* What a test's server has beside it; the mutex guards all below it. */
struct world {
    struct http_server *server;
    struct pool *pool;
    struct http_gate *gate;
    uint16_t port;

    pthread_mutex_t mutex;
    pthread_cond_t changed;
    unsigned waiting, let_go, observed;
    bool canceled_seen;
    enum http_cancel why;
    int last_status;
    char last_handler[64];
    uint64_t produced, last_bytes, last_request_bytes, last_sent_bytes;
    bool last_aborted;
    unsigned released;
};

static void on_seen(void *arg, const struct http_observation *seen)
{
    struct world *w = arg;
    mutex_lock(&w->mutex);
    w->observed++;
    w->last_status = seen->status;
    w->last_bytes = seen->response_bytes;
    w->last_request_bytes = seen->request_bytes;
    w->last_sent_bytes = seen->sent_bytes;
    w->last_aborted = seen->is_aborted;
    snprintf(w->last_handler, sizeof w->last_handler, "%s %s", seen->method, seen->handler);
    cond_broadcast(&w->changed);
    mutex_unlock(&w->mutex);
}

static void await_observed(struct world *w, unsigned count)
{
    mutex_lock(&w->mutex);
    while (w->observed < count)
        cond_wait(&w->changed, &w->mutex);
    mutex_unlock(&w->mutex);
}

/* ---- handlers ---- */

static void say_hello(void *arg, struct http_request *rq, struct http_response *rs)
{
    (void)arg;
    (void)rq;
    http_response_set_content_type(rs, "text/plain; charset=utf-8");
    buffer_append_literal(http_response_body(rs), "hello\n");
}

static void echo(void *arg, struct http_request *rq, struct http_response *rs)
{
    (void)arg;
    size_t count;
    const struct form_param *params = http_request_params(rq, &count);
    struct buffer *out = http_response_body(rs);
    http_response_set_content_type(rs, "text/plain; charset=utf-8");
    struct view name = http_request_capture(rq, "name");
    if (name.len)
        buffer_printf(out, "name=%.*s\n", VIEW_ARGS(name));
    for (size_t i = 0; i < count; i++)
        buffer_printf(out, "%.*s=%.*s\n", VIEW_ARGS(params[i].name), VIEW_ARGS(params[i].value));
    buffer_printf(out, "body %zu\n", http_request_body(rq).len);
}

static void on_cancel(void *arg)
{
    struct world *w = arg;
    mutex_lock(&w->mutex);
    w->canceled_seen = true;
    cond_broadcast(&w->changed);
    mutex_unlock(&w->mutex);
}

/* Blocks until it is cancelled or the test lets it go. */
static void wait_here(void *arg, struct http_request *rq, struct http_response *rs)
{
    struct world *w = arg;
    int64_t deadline_ms = http_request_has_param(rq, "deadline") ? 20 : 0;
    http_request_set_cancel(rq, on_cancel, w, deadline_ms);
    mutex_lock(&w->mutex);
    w->waiting++;
    cond_broadcast(&w->changed);
    while (!w->canceled_seen && w->let_go == 0)
        cond_wait(&w->changed, &w->mutex);
    if (w->let_go)
        w->let_go--;
    mutex_unlock(&w->mutex);
    http_request_clear_cancel(rq);
    enum http_cancel why = http_request_canceled(rq); /* others may be here, too */
    mutex_lock(&w->mutex);
    w->why = why;
    mutex_unlock(&w->mutex);
    if (why != HTTP_CANCEL_NONE)
        http_response_error(rs, 503, "canceled");
    else
        buffer_append_literal(http_response_body(rs), "done\n");
}

static atomic_uint looks; /* of the governor: it alone polls */

int __real_poll(struct pollfd *fds, nfds_t count, int timeout);
int __wrap_poll(struct pollfd *fds, nfds_t count, int timeout);

/* In place of the system's (by the linker). */
int __wrap_poll(struct pollfd *fds, nfds_t count, int timeout)
{
    atomic_fetch_add(&looks, 1);
    return __real_poll(fds, count, timeout);
}

/* Asks to be told of a deadline that is over already, and gives the governor time to look, if it has been woken. */
static void be_late(void *arg, struct http_request *rq, struct http_response *rs)
{
    (void)rs;
    while (http_request_age_ms(rq) < 1)
        usleep(100);
    http_request_set_cancel(rq, on_cancel, arg, 1);
    usleep(300);
    http_request_clear_cancel(rq);
}

struct letters {
    struct world *world;
    uint64_t produced, total;
    bool fails;
};

static bool produce(void *arg, struct buffer *out, bool *more)
{
    struct letters *l = arg;
    uint64_t left = l->total - l->produced;
    size_t piece = left < 50000 ? (size_t)left : 50000;
    for (size_t i = 0; i < piece; i++)
        buffer_append_byte(out, (char)('a' + (l->produced + i) % 26));
    l->produced += piece;
    *more = l->produced < l->total;
    return !l->fails || l->produced < 300000;
}

static void on_release(void *arg)
{
    struct letters *l = arg;
    struct world *w = l->world;
    mutex_lock(&w->mutex);
    w->released++;
    w->produced = l->produced;
    mutex_unlock(&w->mutex);
    free(l);
}

static void stream(void *arg, struct http_request *rq, struct http_response *rs)
{
    struct letters *l = calloc(1, sizeof *l);
    struct view bytes = http_request_param(rq, "bytes");
    char text[24] = "";
    memcpy(text, bytes.ptr, bytes.len < 23 ? bytes.len : 23);
    *l = (struct letters){arg, 0, strtoull(text, NULL, 10), http_request_has_param(rq, "fail")};
    http_response_set_content_type(rs, "text/plain");
    http_response_stream(rs, produce, on_release, l);
}

static void overflow(void *arg, struct http_request *rq, struct http_response *rs)
{
    (void)arg;
    (void)rq;
    for (int i = 0; i < 5000; i++)
        buffer_append_literal(http_response_body(rs), "0123456789012345678901234567890123456789");
}

/* Counts what comes; refuses from the first "!" on. */
static bool sink(void *arg, struct http_request *rq, struct http_response *rs, struct view piece)
{
    (void)arg;
    uint64_t *count = http_request_context(rq);
    if (memchr(piece.ptr, '!', piece.len)) {
        http_response_error(rs, 422, "no exclamation marks");
        return false;
    }
    *count += piece.len;
    return true;
}

static void sink_end(void *arg, struct http_request *rq, struct http_response *rs)
{
    (void)arg;
    const uint64_t *count = http_request_context(rq);
    assert_int_equal(http_request_body(rq).len, 0);
    buffer_printf(http_response_body(rs), "%llu bytes\n", (unsigned long long)*count);
}

static void rest(void *arg, struct http_request *rq, struct http_response *rs)
{
    (void)arg;
    buffer_append_view(http_response_body(rs), http_request_capture(rq, "path"));
}

enum { FILE_BYTES = 200000 };

/* A file whose byte at i is 'a' + i % 26. */
static void send_file(void *arg, struct http_request *rq, struct http_response *rs)
{
    (void)arg;
    (void)rq;
    char name[] = "/tmp/belfry-http-XXXXXX", bytes[26];
    int fd = mkstemp(name);
    assert_true(fd >= 0);
    assert_int_equal(unlink(name), 0);
    for (size_t i = 0; i < sizeof bytes; i++)
        bytes[i] = (char)('a' + i);
    for (size_t i = 0; i < FILE_BYTES; i += sizeof bytes)
        assert_true(write(fd, bytes, sizeof bytes) == sizeof bytes);
    http_response_set_content_type(rs, "text/plain");
    http_response_set_header(rs, "ETag", VIEW("\"v1\""));
    http_response_file(rs, fd, FILE_BYTES);
}

/* ---- the server ---- */

static const struct http_route ROUTES[] = {
    {HTTP_GET, "/", "root", HTTP_ROLE_PUBLIC, HTTP_RUN_DIRECT, say_hello, .is_page = true},
    {HTTP_GET, "/hello", NULL, HTTP_ROLE_PUBLIC, HTTP_RUN_DIRECT, say_hello},
    {HTTP_GET | HTTP_POST, "/echo", NULL, HTTP_ROLE_VIEW, HTTP_RUN_ASIDE, echo, .cors = true},
    {HTTP_GET, "/label/{name}/values", "/label/:name/values", HTTP_ROLE_VIEW, HTTP_RUN_DIRECT,
     echo},
    {HTTP_POST, "/small", NULL, HTTP_ROLE_VIEW, HTTP_RUN_DIRECT, echo, .body_bytes_max = 16},
    {HTTP_GET, "/wait", NULL, HTTP_ROLE_VIEW, HTTP_RUN_POOL, wait_here},
    {HTTP_GET, "/late", NULL, HTTP_ROLE_VIEW, HTTP_RUN_POOL, be_late},
    {HTTP_GET, "/stream", NULL, HTTP_ROLE_VIEW, HTTP_RUN_POOL, stream},
    {HTTP_GET, "/overflow", NULL, HTTP_ROLE_VIEW, HTTP_RUN_ASIDE, overflow},
    {HTTP_PATCH, "/patch", NULL, HTTP_ROLE_VIEW, HTTP_RUN_DIRECT, echo},
    {HTTP_POST, "/sink", NULL, HTTP_ROLE_VIEW, HTTP_RUN_ASIDE, sink_end, .receive = sink,
     .body_bytes_max = 3000000, .cors = true},
    {HTTP_GET, "/rest/{*path}", NULL, HTTP_ROLE_VIEW, HTTP_RUN_DIRECT, rest},
    {HTTP_GET, "/file", NULL, HTTP_ROLE_VIEW, HTTP_RUN_ASIDE, send_file},
};

static struct world *world_new(struct http_server_options opts)
{
    static const char *const LOOPBACK[] = {"127.0.0.1:0"};
    struct error err;
    struct world *w = calloc(1, sizeof *w);
    mutex_init(&w->mutex);
    cond_init(&w->changed);
    assert_true(pool_start(&w->pool, 2, 100, &err));
    w->gate = http_gate_new(1, 1);
    opts.addresses = LOOPBACK;
    opts.address_count = 1;
    opts.pool = w->pool;
    opts.observe = on_seen;
    opts.observe_arg = w;
    if (!http_server_open(&w->server, &opts, &err))
        fail_msg("%s", err.message);
    for (size_t i = 0; i < ARRAY_COUNT(ROUTES); i++) {
        struct http_route route = ROUTES[i];
        route.arg = w;
        http_server_add_route(w->server, &route);
    }
    struct http_route gated = ROUTES[5];
    gated.path = "/gated";
    gated.arg = w;
    gated.gate = w->gate;
    http_server_add_route(w->server, &gated);
    gated.path = "/gated/later";
    gated.retry_after_s = 7;
    http_server_add_route(w->server, &gated);
    if (!http_server_start(w->server, &err))
        fail_msg("%s", err.message);
    w->port = http_server_port(w->server, 0);
    assert_int_not_equal(w->port, 0);
    return w;
}

static void world_free(struct world *w)
{
    http_server_close(w->server);
    pool_stop(w->pool);
    http_gate_free(w->gate);
    cond_deinit(&w->changed);
    mutex_deinit(&w->mutex);
    free(w);
}

/* ---- the client ---- */

static int dial(const struct world *w, int receive_bytes)
{
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_true(fd >= 0);
    if (receive_bytes)
        assert_int_equal(
            setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &receive_bytes, sizeof receive_bytes), 0);
    struct sockaddr_in to = {.sin_family = AF_INET,
                             .sin_port = htons(w->port),
                             .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    assert_int_equal(connect(fd, (struct sockaddr *)&to, sizeof to), 0);
    return fd;
}

/* The server may have closed already: that shows when reading. */
static void put(int fd, const char *bytes, size_t len)
{
    while (len > 0) {
        ssize_t sent = send(fd, bytes, len, MSG_NOSIGNAL);
        if (sent <= 0)
            return;
        bytes += sent;
        len -= (size_t)sent;
    }
}

static void say(int fd, const char *text)
{
    put(fd, text, strlen(text));
}

/* Until the server closes. Returns a NUL-terminated text for free(). */
static char *read_all(int fd, size_t *len)
{
    char *text = malloc(ANSWER_BYTES_MAX + 1);
    *len = 0;
    for (;;) {
        ssize_t got = recv(fd, text + *len, ANSWER_BYTES_MAX - *len, 0);
        if (got <= 0)
            break;
        *len += (size_t)got;
    }
    text[*len] = '\0';
    return text;
}

/* One exchange on a connection of its own; requests that keep the connection must say "Connection: close". */
static char *ask(const struct world *w, const char *request)
{
    size_t len;
    int fd = dial(w, 0);
    say(fd, request);
    char *answer = read_all(fd, &len);
    close(fd);
    return answer;
}

static unsigned count_text(const char *text, const char *what)
{
    unsigned count = 0;
    for (const char *at = text; (at = strstr(at, what)) != NULL; at += strlen(what))
        count++;
    return count;
}

#define HOST "Host: x\r\n"
#define CLOSE "Connection: close\r\n"

static const struct {
    const char *name, *request, *status, *has;
} EXCHANGES[] = {
    {"a plain answer", "GET /hello HTTP/1.1\r\n" HOST CLOSE "\r\n", "200", "\r\n\r\nhello\n"},
    {"HTTP/1.0", "GET /hello HTTP/1.0\r\n\r\n", "200", "hello\n"},
    {"HEAD has the length and no body", "HEAD /hello HTTP/1.1\r\n" HOST CLOSE "\r\n", "200",
     "Content-Length: 6\r\n"},
    {"unknown path", "GET /nothing HTTP/1.1\r\n" HOST CLOSE "\r\n", "404",
     "\r\n\r\n404 page not found\n"},
    {"trailing slash", "GET /hello/ HTTP/1.1\r\n" HOST CLOSE "\r\n", "404", "404 page not found\n"},
    {"wrong method", "DELETE /echo HTTP/1.1\r\n" HOST CLOSE "\r\n", "405",
     "Allow: GET, HEAD, OPTIONS, POST\r\n"},
    {"invented method", "GETT /hello HTTP/1.1\r\n" HOST CLOSE "\r\n", "405",
     "Allow: GET, HEAD\r\n"},
    {"TRACE", "TRACE /hello HTTP/1.1\r\n" HOST CLOSE "\r\n", "405", NULL},
    {"lower-case method", "get /hello HTTP/1.1\r\n" HOST CLOSE "\r\n", "405", NULL},
    {"URL parameters", "GET /echo?a=1&b=x%20y&a=2 HTTP/1.1\r\n" HOST CLOSE "\r\n", "200",
     "a=1\nb=x y\na=2\nbody 0\n"},
    {"form before URL",
     "POST /echo?a=url HTTP/1.1\r\n" HOST CLOSE "Content-Type: application/x-www-form-urlencoded; "
     "charset=utf-8\r\nContent-Length: 6\r\n\r\na=form",
     "200", "\r\n\r\na=form\na=url\nbody 6\n"},
    {"other bodies are no parameters",
     "POST /echo HTTP/1.1\r\n" HOST CLOSE
     "Content-Type: text/plain\r\nContent-Length: 3\r\n\r\na=1",
     "200", "\r\n\r\nbody 3\n"},
    {"chunked body",
     "POST /echo HTTP/1.1\r\n" HOST CLOSE "Content-Type: application/x-www-form-urlencoded\r\n"
     "Transfer-Encoding: chunked\r\n\r\n2\r\na=\r\n1\r\n1\r\n0\r\n\r\n",
     "200", "\r\n\r\na=1\nbody 3\n"},
    {"bad escape", "GET /echo?a=%zz HTTP/1.1\r\n" HOST CLOSE "\r\n", "400",
     "error parsing form values: invalid URL escape \"%zz\"\n"},
    {"capture is decoded", "GET /label/a%2Fb%20c/values HTTP/1.1\r\n" HOST CLOSE "\r\n", "200",
     "name=a/b c\n"},
    {"empty capture", "GET /label//values HTTP/1.1\r\n" HOST CLOSE "\r\n", "404", NULL},
    {"body over the route's limit", "POST /small HTTP/1.1\r\n" HOST "Content-Length: 17\r\n\r\n",
     "413", "request body of 17 bytes, at most 16 allowed\n"},
    {"chunks over the route's limit",
     "POST /small HTTP/1.1\r\n" HOST CLOSE
     "Transfer-Encoding: chunked\r\n\r\n14\r\n01234567890123456789\r\n0\r\n\r\n",
     "413", "request body of more than 16 bytes\n"},
    {"security headers of pages", "GET / HTTP/1.1\r\n" HOST CLOSE "\r\n", "200",
     "frame-ancestors 'none'"},
    {"nosniff", "GET /hello HTTP/1.1\r\n" HOST CLOSE "\r\n", "200",
     "X-Content-Type-Options: nosniff\r\n"},
    {"an answer over the limit is an error", "GET /overflow HTTP/1.1\r\n" HOST CLOSE "\r\n", "500",
     "larger than the limit of 100000 bytes"},
    /* No CORS without an origin, and the words of Prometheus with one. */
    {"CORS", "GET /echo HTTP/1.1\r\n" HOST CLOSE "Origin: http://a.example\r\n\r\n", "200",
     "Access-Control-Allow-Origin: http://a.example\r\n"},
    {"preflight", "OPTIONS /echo HTTP/1.1\r\n" HOST CLOSE "Origin: http://a.example\r\n\r\n", "204",
     "Access-Control-Allow-Methods: GET, POST, OPTIONS\r\n"},
    /* A preflight is asked for no password: sink() would refuse this body with 422. */
    {"preflight of a receiving route", "OPTIONS /sink HTTP/1.1\r\n" HOST CLOSE "\r\n", "204", NULL},
    {"preflight with a body", "OPTIONS /sink HTTP/1.1\r\n" HOST CLOSE "Content-Length: 1\r\n\r\n!",
     "413", "OPTIONS takes no request body\n"},
    {"preflight with chunks",
     "OPTIONS /sink HTTP/1.1\r\n" HOST CLOSE
     "Transfer-Encoding: chunked\r\n\r\n1\r\n!\r\n0\r\n\r\n",
     "413", "request body of more than 0 bytes\n"},
    {"preflight with chunks of a gathering route",
     "OPTIONS /echo HTTP/1.1\r\n" HOST CLOSE
     "Transfer-Encoding: chunked\r\n\r\n1\r\n!\r\n0\r\n\r\n",
     "413", "request body of more than 0 bytes\n"},
    /* Paths that try to be something else. */
    {"dots", "GET /../../etc/passwd HTTP/1.1\r\n" HOST CLOSE "\r\n", "404", NULL},
    {"escaped dots", "GET /%2e%2e/%2e%2e/etc/passwd HTTP/1.1\r\n" HOST CLOSE "\r\n", "404", NULL},
    {"backslash", "GET /..%5c..%5cetc HTTP/1.1\r\n" HOST CLOSE "\r\n", "404", NULL},
    {"two slashes", "GET //evil.example/ HTTP/1.1\r\n" HOST CLOSE "\r\n", "404", NULL},
    {"escaped host", "GET /public/..%2F%5cevil.example HTTP/1.1\r\n" HOST CLOSE "\r\n", "404",
     NULL},
    {"NUL in the path", "GET /hello%00 HTTP/1.1\r\n" HOST CLOSE "\r\n", "400", NULL},
    {"overlong UTF-8", "GET /%c0%ae%c0%ae HTTP/1.1\r\n" HOST CLOSE "\r\n", "400", NULL},
    {"absolute form", "GET http://x/hello HTTP/1.1\r\n" HOST CLOSE "\r\n", "400",
     "must begin with a slash"},
    {"CONNECT", "CONNECT x:80 HTTP/1.1\r\n" HOST CLOSE "\r\n", "400", NULL},
    /* Requests with two readings. */
    {"two lengths",
     "POST /echo HTTP/1.1\r\n" HOST "Content-Length: 3\r\nContent-Length: 5\r\n\r\na=1", "400",
     "more than one Content-Length"},
    {"the same length twice",
     "POST /echo HTTP/1.1\r\n" HOST "Content-Length: 3\r\nContent-Length: 3\r\n\r\na=1", "400",
     "more than one Content-Length"},
    {"a list of lengths", "POST /echo HTTP/1.1\r\n" HOST "Content-Length: 3, 3\r\n\r\na=1", "400",
     NULL},
    {"a signed length", "POST /echo HTTP/1.1\r\n" HOST "Content-Length: +3\r\n\r\na=1", "400",
     NULL},
    {"a negative length", "POST /echo HTTP/1.1\r\n" HOST "Content-Length: -1\r\n\r\na=1", "400",
     NULL},
    {"a huge length",
     "POST /echo HTTP/1.1\r\n" HOST "Content-Length: 99999999999999999999\r\n\r\na=1", "4", NULL},
    {"length and chunks",
     "POST /echo HTTP/1.1\r\n" HOST
     "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\nGET /hello HTTP/1.1\r\n" HOST
     "\r\n",
     "400", "Content-Length beside Transfer-Encoding"},
    {"chunks and length",
     "POST /echo HTTP/1.1\r\n" HOST
     "Transfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n0\r\n\r\nGET /hello HTTP/1.1\r\n" HOST
     "\r\n",
     "400", "Content-Length beside Transfer-Encoding"},
    {"unknown coding",
     "POST /echo HTTP/1.1\r\n" HOST "Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n", "400", NULL},
    {"coding with a prefix",
     "POST /echo HTTP/1.1\r\n" HOST "Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n", "400",
     NULL},
    {"two codings",
     "POST /echo HTTP/1.1\r\n" HOST
     "Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n\r\n0\r\n\r\n",
     "400", NULL},
    {"chunks in HTTP/1.0", "POST /echo HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
     "400", NULL},
    {"blank before the colon", "POST /echo HTTP/1.1\r\n" HOST "Content-Length : 3\r\n\r\na=1",
     "400", NULL},
    {"two hosts", "GET /hello HTTP/1.1\r\n" HOST HOST "\r\n", "400", "more than one Host"},
    {"no host", "GET /hello HTTP/1.1\r\n\r\n", "400", NULL},
    {"control character in a header", "GET /hello HTTP/1.1\r\n" HOST "X-A: a\x01z\r\n\r\n", "400",
     NULL},
    {"HTTP/2 preface", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", "505", NULL},
};

static struct http_server_options strict_options(void)
{
    return (struct http_server_options){.cors_origin = "http://.*[.]example",
                                        .response_bytes_max = 100000};
}

static void each_request_has_its_answer(void **state)
{
    (void)state;
    struct world *w = world_new(strict_options());
    for (size_t i = 0; i < ARRAY_COUNT(EXCHANGES); i++) {
        char *answer = ask(w, EXCHANGES[i].request);
        char status[32];
        snprintf(status, sizeof status, "HTTP/1.1 %s", EXCHANGES[i].status);
        if (strncmp(answer, status, strlen(status)) != 0 &&
            strncmp(answer, "HTTP/1.0", 8) == 0) /* answers to 1.0 say so */
            snprintf(status, sizeof status, "HTTP/1.0 %s", EXCHANGES[i].status);
        if (strncmp(answer, status, strlen(status)) != 0 ||
            (EXCHANGES[i].has && strstr(answer, EXCHANGES[i].has) == NULL) ||
            count_text(answer, " 200 OK\r\n") != (strcmp(EXCHANGES[i].status, "200") == 0))
            fail_msg("%s: expected %s once with \"%s\", got:\n%s", EXCHANGES[i].name,
                     EXCHANGES[i].status, EXCHANGES[i].has ? EXCHANGES[i].has : "", answer);
        free(answer);
    }
    world_free(w);
}

/* What services are asked for beside it: limits of their own, 501, files and ranges, bodies that are not kept. */
static void services_have_limits_ranges_and_streamed_bodies(void **state)
{
    (void)state;
    static const struct {
        const char *name, *request, *status, *has, *has_not;
    } CASES[] = {
        {"unknown method", "BREW /hello HTTP/1.1\r\n" HOST CLOSE "\r\n", "501", NULL, NULL},
        {"unknown method, unknown path", "BREW /x HTTP/1.1\r\n" HOST CLOSE "\r\n", "501", NULL,
         NULL},
        {"lower case", "get /hello HTTP/1.1\r\n" HOST CLOSE "\r\n", "501", NULL, NULL},
        {"known method", "PATCH /hello HTTP/1.1\r\n" HOST CLOSE "\r\n", "405",
         "Allow: GET, HEAD\r\n", NULL},
        {"PATCH", "PATCH /patch HTTP/1.1\r\n" HOST CLOSE "Content-Length: 0\r\n\r\n", "200", NULL,
         NULL},
        {"another site's form",
         "POST /sink HTTP/1.1\r\n" HOST CLOSE
         "Origin: http://evil.example\r\nContent-Length: 3\r\n\r\nabc",
         "200", "3 bytes\n", NULL},
        {"rest", "GET /rest/a/b%2Fc//d%zz?q=1 HTTP/1.1\r\n" HOST CLOSE "\r\n", "200",
         "\r\n\r\na/b%2Fc//d%zz", "q=1"},
        {"long rest",
         "GET /rest/1/2/3/4/5/6/7/8/9/10/11/12/13/14/15/16/17/18/19/20 HTTP/1.1\r\n" HOST CLOSE
         "\r\n",
         "200", "\r\n\r\n1/2/3/4/5/6/7/8/9/10/11/12/13/14/15/16/17/18/19/20", NULL},
        {"no rest", "GET /rest/ HTTP/1.1\r\n" HOST CLOSE "\r\n", "404", NULL, NULL},
        {"bad escape elsewhere", "GET /hello%zz HTTP/1.1\r\n" HOST CLOSE "\r\n", "400", NULL, NULL},
        {"long path elsewhere",
         "GET /hello/1/2/3/4/5/6/7/8/9/10/11/12/13/14/15/16/17/18/19/20 HTTP/1.1\r\n" HOST CLOSE
         "\r\n",
         "404", NULL, NULL},
        {"chunks into the sink",
         "POST /sink HTTP/1.1\r\n" HOST CLOSE
         "Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n",
         "200", "5 bytes\n", NULL},
        {"the sink refuses", "POST /sink HTTP/1.1\r\n" HOST "Content-Length: 5\r\n\r\nab!de", "422",
         "no exclamation", NULL},
        {"the sink is empty", "POST /sink HTTP/1.1\r\n" HOST CLOSE "Content-Length: 0\r\n\r\n",
         "200", "0 bytes\n", NULL},
        {"too much for the sink", "POST /sink HTTP/1.1\r\n" HOST "Content-Length: 3000001\r\n\r\n",
         "413", NULL, NULL},
        {"whole file", "GET /file HTTP/1.1\r\n" HOST CLOSE "Accept-Encoding: gzip\r\n\r\n", "200",
         "Content-Length: 200000\r\n", "Content-Encoding"},
        {"HEAD of a file", "HEAD /file HTTP/1.1\r\n" HOST CLOSE "\r\n", "200",
         "Content-Length: 200000\r\n", "abc"},
        {"a range", "GET /file HTTP/1.1\r\n" HOST CLOSE "Range: bytes=26-30\r\n\r\n", "206",
         "\r\n\r\nabcde", "fg"},
        {"its head", "GET /file HTTP/1.1\r\n" HOST CLOSE "Range: bytes=26-30\r\n\r\n", "206",
         "Content-Range: bytes 26-30/200000\r\n", NULL},
        {"open range", "GET /file HTTP/1.1\r\n" HOST CLOSE "Range: bytes=199997-\r\n\r\n", "206",
         "Content-Length: 3\r\n", NULL},
        {"last bytes", "GET /file HTTP/1.1\r\n" HOST CLOSE "Range: bytes=-3\r\n\r\n", "206",
         "bytes 199997-199999/200000", NULL},
        {"more than all last bytes",
         "GET /file HTTP/1.1\r\n" HOST CLOSE "Range: bytes=-300000\r\n\r\n", "206",
         "bytes 0-199999/200000", NULL},
        {"an end beyond",
         "GET /file HTTP/1.1\r\n" HOST CLOSE "Range: bytes=199999-99999999999999999999999\r\n\r\n",
         "206", "bytes 199999-199999/200000", NULL},
        {"a start beyond", "GET /file HTTP/1.1\r\n" HOST CLOSE "Range: bytes=200000-\r\n\r\n",
         "416", "Content-Range: bytes */200000\r\n", NULL},
        {"no last bytes", "GET /file HTTP/1.1\r\n" HOST CLOSE "Range: bytes=-0\r\n\r\n", "416",
         NULL, NULL},
        {"backwards", "GET /file HTTP/1.1\r\n" HOST CLOSE "Range: bytes=5-3\r\n\r\n", "200",
         "Content-Length: 200000", NULL},
        {"no numbers", "GET /file HTTP/1.1\r\n" HOST CLOSE "Range: bytes=a-b\r\n\r\n", "200",
         "Content-Length: 200000", NULL},
        {"negative", "GET /file HTTP/1.1\r\n" HOST CLOSE "Range: bytes=--3\r\n\r\n", "200",
         "Content-Length: 200000", NULL},
        {"several", "GET /file HTTP/1.1\r\n" HOST CLOSE "Range: bytes=0-1,3-4\r\n\r\n", "200",
         "Content-Length: 200000", NULL},
        {"another unit", "GET /file HTTP/1.1\r\n" HOST CLOSE "Range: lines=1-2\r\n\r\n", "200",
         "Content-Length: 200000", NULL},
        {"same version",
         "GET /file HTTP/1.1\r\n" HOST CLOSE "Range: bytes=0-4\r\nIf-Range: \"v1\"\r\n\r\n", "206",
         NULL, NULL},
        {"other version",
         "GET /file HTTP/1.1\r\n" HOST CLOSE "Range: bytes=0-4\r\nIf-Range: \"v0\"\r\n\r\n", "200",
         "Content-Length: 200000", NULL},
    };
    struct world *w = world_new((struct http_server_options){
        .unknown_method_501 = true, .is_open_to_sites = true, .context_bytes = sizeof(uint64_t)});
    for (size_t i = 0; i < ARRAY_COUNT(CASES); i++) {
        char *answer = ask(w, CASES[i].request);
        if (strncmp(answer, "HTTP/1.1 ", 9) != 0 || strncmp(answer + 9, CASES[i].status, 3) != 0 ||
            (CASES[i].has && strstr(answer, CASES[i].has) == NULL) ||
            (CASES[i].has_not && strstr(answer, CASES[i].has_not) != NULL))
            fail_msg("%s: expected %s with \"%s\", got:\n%.600s", CASES[i].name, CASES[i].status,
                     CASES[i].has ? CASES[i].has : "", answer);
        free(answer);
    }
    world_free(w);
}

/* Byte for byte, over several pieces; and what was sent is what is observed. */
static void a_file_is_sent_whole(void **state)
{
    (void)state;
    struct world *w = world_new((struct http_server_options){0});
    size_t len;
    int fd = dial(w, 4096);
    say(fd, "GET /file HTTP/1.1\r\n" HOST CLOSE "Range: bytes=1-199998\r\n\r\n");
    char *answer = read_all(fd, &len);
    close(fd);
    const char *body = strstr(answer, "\r\n\r\n");
    assert_non_null(body);
    body += 4;
    assert_int_equal(len - (size_t)(body - answer), FILE_BYTES - 2);
    for (size_t i = 0; i < FILE_BYTES - 2; i++)
        if (body[i] != (char)('a' + (i + 1) % 26))
            fail_msg("byte %zu differs", i);
    free(answer);
    await_observed(w, 1);
    mutex_lock(&w->mutex);
    assert_int_equal(w->last_sent_bytes, FILE_BYTES - 2);
    assert_false(w->last_aborted);
    mutex_unlock(&w->mutex);
    world_free(w);
}

static void lines_and_headers_have_limits_of_a_service(void **state)
{
    (void)state;
    enum { LIMIT = 16 * 1024 };
    struct world *w =
        world_new((struct http_server_options){.line_bytes_max = LIMIT, .header_bytes_max = LIMIT});
    static const struct {
        size_t line_bytes, header_bytes;
        const char *status;
    } CASES[] = {{LIMIT, 100, "200"},     {LIMIT + 1, 100, "414"}, {100, LIMIT, "200"},
                 {100, LIMIT + 1, "431"}, {LIMIT, LIMIT, "200"},   {LIMIT + 1, LIMIT + 1, "431"}};
    for (size_t i = 0; i < ARRAY_COUNT(CASES); i++) {
        static const char LINE_END[] = " HTTP/1.1\r\n", FIXED[] = HOST CLOSE "X-A: ";
        size_t fill = CASES[i].line_bytes - strlen("GET /hello?") - strlen(LINE_END) + 2,
               pad = CASES[i].header_bytes - strlen(FIXED) - 2;
        char *text = calloc(1, CASES[i].line_bytes + CASES[i].header_bytes + 64), *at = text;
        memcpy(at, "GET /hello?", 11);
        at += 11;
        memset(at, 'q', fill);
        at += fill;
        at += snprintf(at, 64, "%s%s", LINE_END, FIXED);
        memset(at, 'h', pad);
        memcpy(at + pad, "\r\n\r\n", 5);
        char *answer = ask(w, text);
        if (strncmp(answer, "HTTP/1.1 ", 9) != 0 || strncmp(answer + 9, CASES[i].status, 3) != 0)
            fail_msg("%zu + %zu bytes: expected %s, got %.200s", CASES[i].line_bytes,
                     CASES[i].header_bytes, CASES[i].status, answer);
        free(answer);
        free(text);
    }
    world_free(w);
}

/* A long body in chunks, cut by the client in the middle: told as aborted, with what came. */
static void a_client_that_leaves_in_its_body_is_observed(void **state)
{
    (void)state;
    struct world *w = world_new((struct http_server_options){.context_bytes = sizeof(uint64_t)});
    int fd = dial(w, 0);
    say(fd, "POST /sink HTTP/1.1\r\n" HOST "Content-Length: 100\r\n\r\nabc");
    close(fd);
    await_observed(w, 1);
    mutex_lock(&w->mutex);
    assert_int_equal(w->last_status, 499);
    assert_true(w->last_aborted);
    assert_true(w->last_request_bytes <= 3);
    mutex_unlock(&w->mutex);
    world_free(w);
}

/* A TLS greeting, a PROXY header, a NUL in a header's name are no requests: the connection ends. */
static void bytes_that_are_no_request_end_the_connection(void **state)
{
    (void)state;
    static const struct view INPUTS[] = {
        VIEW_INIT("\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n"),
        VIEW_INIT("PROXY TCP4 1.2.3.4 5.6.7.8 1 2\r\nGET /hello HTTP/1.1\r\nHost: x\r\n\r\n"),
        VIEW_INIT("GET /hello HTTP/1.1\r\nHost: x\r\nX-\0A: b\r\nConnection: close\r\n\r\n"),
        VIEW_INIT("GET /hello HTTP/1.1\r\nHost: x\r\nX-A : b\r\nConnection: close\r\n\r\n"),
    };
    struct world *w = world_new(strict_options());
    for (size_t i = 0; i < ARRAY_COUNT(INPUTS); i++) {
        size_t len;
        int fd = dial(w, 0);
        put(fd, INPUTS[i].ptr, INPUTS[i].len);
        char *answer = read_all(fd, &len);
        if (strstr(answer, " 200 ") != NULL)
            fail_msg("input %zu was served: %s", i, answer);
        close(fd);
        free(answer);
    }
    world_free(w);
}

static void requests_in_a_row_on_one_connection_are_answered_in_order(void **state)
{
    (void)state;
    enum { COUNT = 500 };
    struct world *w = world_new((struct http_server_options){0});
    int fd = dial(w, 0);
    for (int i = 0; i < COUNT; i++) {
        char text[128];
        snprintf(text, sizeof text, "GET /echo?n=%d HTTP/1.1\r\nHost: x\r\n%s\r\n", i,
                 i == COUNT - 1 ? CLOSE : "");
        say(fd, text);
    }
    size_t len;
    char *answer = read_all(fd, &len);
    const char *at = answer;
    for (int i = 0; i < COUNT; i++) {
        char want[32];
        snprintf(want, sizeof want, "\r\n\r\nn=%d\n", i);
        at = strstr(at, want);
        assert_non_null(at);
    }
    free(answer);
    close(fd);
    world_free(w);
}

static void a_target_over_64_kib_is_refused(void **state)
{
    (void)state;
    struct world *w = world_new((struct http_server_options){0});
    static const struct {
        size_t bytes;
        const char *status;
    } TARGETS[] = {{60000, "HTTP/1.1 200"}, {65537, "HTTP/1.1 414"}, {3000000, "HTTP/1.1 414"}};
    for (size_t i = 0; i < ARRAY_COUNT(TARGETS); i++) {
        char *text = malloc(TARGETS[i].bytes + 256);
        static const char END[] = " HTTP/1.1\r\n" HOST CLOSE "\r\n";
        memset(text, 'a', TARGETS[i].bytes + 4);
        memcpy(text, "GET /hello?q=", 13);
        memcpy(text + TARGETS[i].bytes + 4, END, sizeof END);
        char *answer = ask(w, text);
        if (strncmp(answer, TARGETS[i].status, 12) != 0 && TARGETS[i].bytes < 100000)
            fail_msg("%zu bytes: %.100s", TARGETS[i].bytes, answer);
        assert_null(strstr(answer, "hello\nx"));
        free(answer);
        free(text);
    }
    world_free(w);
}

static void more_headers_than_the_limit_are_refused(void **state)
{
    (void)state;
    struct world *w = world_new((struct http_server_options){0});
    char text[4096] = "GET /hello HTTP/1.1\r\n" HOST CLOSE;
    for (int i = 0; i < 120; i++)
        snprintf(text + strlen(text), sizeof text - strlen(text), "X-%d: y\r\n%s", i,
                 i == 119 ? "\r\n" : "");
    char *answer = ask(w, text);
    assert_int_equal(strncmp(answer, "HTTP/1.1 431", 12), 0);
    free(answer);
    world_free(w);
}

static void a_client_that_leaves_cancels_its_handler(void **state)
{
    (void)state;
    struct world *w = world_new((struct http_server_options){0});
    int fd = dial(w, 0);
    say(fd, "GET /wait HTTP/1.1\r\nHost: x\r\n\r\n");
    mutex_lock(&w->mutex);
    while (w->waiting == 0)
        cond_wait(&w->changed, &w->mutex);
    mutex_unlock(&w->mutex);
    close(fd);
    await_observed(w, 1);
    assert_int_equal(w->why, HTTP_CANCEL_DISCONNECT);
    struct http_server_stats stats;
    http_server_stats_get(w->server, &stats);
    assert_int_equal(stats.disconnects, 1);
    world_free(w);
}

static void a_deadline_cancels_the_handler_and_the_client_hears_of_it(void **state)
{
    (void)state;
    struct world *w = world_new((struct http_server_options){0});
    char *answer = ask(w, "GET /wait?deadline=1 HTTP/1.1\r\n" HOST CLOSE "\r\n");
    assert_int_equal(strncmp(answer, "HTTP/1.1 503", 12), 0);
    assert_int_equal(w->why, HTTP_CANCEL_DEADLINE);
    free(answer);
    world_free(w);
}

/* All connections are looked at for them every 5 ms at most. */
static void deadlines_that_are_over_do_not_wake_the_governor_each(void **state)
{
    (void)state;
    struct world *w = world_new((struct http_server_options){0});
    mono_time began = clock_mono();
    unsigned before = atomic_load(&looks);
    for (unsigned i = 0; i < 100; i++)
        free(ask(w, "GET /late HTTP/1.1\r\n" HOST CLOSE "\r\n"));
    unsigned count = atomic_load(&looks) - before;
    int64_t most = (clock_mono().ns - began.ns) / 5000000 + 2;
    if (count > most)
        fail_msg("%u looks at all connections, in a time for %lld", count, (long long)most);
    world_free(w);
}

static void stop_cancels_what_does_not_end_by_itself(void **state)
{
    (void)state;
    struct world *w = world_new((struct http_server_options){.drain_timeout_ms = 1});
    int fd = dial(w, 0);
    say(fd, "GET /wait HTTP/1.1\r\nHost: x\r\n\r\n");
    mutex_lock(&w->mutex);
    while (w->waiting == 0)
        cond_wait(&w->changed, &w->mutex);
    mutex_unlock(&w->mutex);
    http_server_stop(w->server);
    size_t len;
    char *answer = read_all(fd, &len);
    assert_int_equal(strncmp(answer, "HTTP/1.1 503", 12), 0);
    assert_non_null(strstr(answer, "Connection: close"));
    assert_int_equal(w->why, HTTP_CANCEL_STOP);
    free(answer);
    close(fd);
    world_free(w);
}

/* While requests come in on several connections: the port is free afterwards, and nothing aborts. */
static void a_server_can_be_stopped_at_any_moment(void **state)
{
    (void)state;
    const char *scale = getenv("TEST_SCALE");
    long rounds = 30 * (scale ? strtol(scale, NULL, 10) : 1);
    for (long round = 0; round < rounds; round++) {
        struct world *w = world_new((struct http_server_options){0});
        int fds[4];
        for (size_t i = 0; i < ARRAY_COUNT(fds); i++) {
            fds[i] = dial(w, 0);
            say(fds[i], i % 2 ? EXCHANGES[0].request : "GET /echo?a=1 HTTP/1.1\r\nHost: x\r\n\r\n");
        }
        http_server_stop(w->server);
        for (size_t i = 0; i < ARRAY_COUNT(fds); i++) {
            size_t len;
            free(read_all(fds[i], &len)); /* ends: the connection was closed */
            close(fds[i]);
        }
        int probe = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
        struct sockaddr_in to = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)},
                           own;
        socklen_t own_bytes = sizeof own;
        assert_int_equal(bind(probe, (struct sockaddr *)&to, sizeof to), 0);
        assert_int_equal(getsockname(probe, (struct sockaddr *)&own, &own_bytes), 0);
        to.sin_port = htons(w->port);
        if (own.sin_port != to.sin_port) /* a socket can connect to itself */
            assert_int_equal(connect(probe, (struct sockaddr *)&to, sizeof to), -1);
        close(probe);
        world_free(w);
    }
}

/* One runs, one waits, the third is refused; the one that waits runs when the first ends. */
static void a_gate_lets_in_so_many_and_refuses_over_its_queue(void **state)
{
    (void)state;
    struct world *w = world_new((struct http_server_options){0});
    static const char REQUEST[] = "GET /gated HTTP/1.1\r\n" HOST CLOSE "\r\n";
    int first = dial(w, 0), second = dial(w, 0);
    say(first, REQUEST);
    mutex_lock(&w->mutex);
    while (w->waiting == 0)
        cond_wait(&w->changed, &w->mutex);
    mutex_unlock(&w->mutex);
    say(second, REQUEST);
    while (http_gate_waiting(w->gate) == 0)
        sched_yield();
    char *third = ask(w, REQUEST);
    assert_int_equal(strncmp(third, "HTTP/1.1 503", 12), 0);
    free(third);
    third = ask(w, "GET /gated/later HTTP/1.1\r\n" HOST CLOSE "\r\n");
    assert_int_equal(strncmp(third, "HTTP/1.1 429", 12), 0);
    assert_non_null(strstr(third, "\r\nRetry-After: 7\r\n"));
    free(third);
    assert_int_equal(http_gate_running(w->gate), 1);
    mutex_lock(&w->mutex);
    w->let_go = 2;
    cond_broadcast(&w->changed);
    mutex_unlock(&w->mutex);
    size_t len;
    char *a = read_all(first, &len), *b = read_all(second, &len);
    assert_non_null(strstr(a, "done\n"));
    assert_non_null(strstr(b, "done\n"));
    free(a);
    free(b);
    close(first);
    close(second);
    world_free(w);
}

/* 800 bytes of a body that is not whole yet leave no room for 300 more. */
static void bodies_have_a_budget_together(void **state)
{
    (void)state;
    static const char SECOND[] =
        "POST /echo HTTP/1.1\r\n" HOST CLOSE "Content-Length: 300\r\n\r\n%0300d";
    struct world *w = world_new((struct http_server_options){.bodies_bytes_max = 1000});
    char part[1024], request[512];
    int first = dial(w, 0);
    say(first, "POST /echo HTTP/1.1\r\n" HOST CLOSE "Content-Length: 900\r\n\r\n");
    snprintf(part, sizeof part, "%0800d", 0);
    say(first, part);
    snprintf(request, sizeof request, SECOND, 0);
    struct http_server_stats stats;
    do { /* until the server has read the part: were the second there before, the first would be refused */
        sched_yield();
        http_server_stats_get(w->server, &stats);
    } while (stats.bodies_bytes < 800);
    char *answer = ask(w, request);
    assert_int_equal(strncmp(answer, "HTTP/1.1 503", 12), 0);
    assert_non_null(strstr(answer, "\r\nRetry-After: 1\r\n"));
    free(answer);
    snprintf(part, sizeof part, "%0100d", 0);
    say(first, part);
    size_t len;
    answer = read_all(first, &len);
    assert_int_equal(strncmp(answer, "HTTP/1.1 200", 12), 0);
    free(answer);
    close(first);
    await_observed(w, 2);
    answer = ask(w, request);
    assert_int_equal(strncmp(answer, "HTTP/1.1 200", 12), 0);
    free(answer);
    world_free(w);
}

static void a_request_that_trickles_in_is_cut_off(void **state)
{
    (void)state;
    struct world *w = world_new((struct http_server_options){.read_timeout_ms = 30});
    static const char *const PARTS[] = {
        "", "GET /hel", "GET /hello HTTP/1.1\r\nHost: x\r\n",
        "POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\na=1"};
    for (size_t i = 0; i < ARRAY_COUNT(PARTS); i++) {
        size_t len;
        int fd = dial(w, 0);
        say(fd, PARTS[i]);
        char *answer = read_all(fd, &len); /* ends only because the server ends it */
        assert_null(strstr(answer, "200"));
        free(answer);
        close(fd);
    }
    struct http_server_stats stats;
    http_server_stats_get(w->server, &stats);
    assert_int_equal(stats.read_timeouts, ARRAY_COUNT(PARTS));
    world_free(w);
}

static void an_idle_connection_is_closed(void **state)
{
    (void)state;
    struct world *w = world_new((struct http_server_options){.idle_timeout_ms = 30});
    size_t len;
    int fd = dial(w, 0);
    say(fd, "GET /hello HTTP/1.1\r\nHost: x\r\n\r\n");
    char *answer = read_all(fd, &len);
    assert_non_null(strstr(answer, "hello\n"));
    free(answer);
    close(fd);
    world_free(w);
}

/* So many idle connections are kept; one more gets its answer and is closed. */
static void a_connection_over_the_kept_ones_is_closed_after_its_answer(void **state)
{
    (void)state;
    enum { KEPT = 100 };
    struct world *w = world_new((struct http_server_options){0});
    static const char REQUEST[] = "GET /hello HTTP/1.1\r\n" HOST "\r\n";
    int kept[KEPT];
    char block[1024];
    for (int i = 0; i < KEPT; i++) {
        kept[i] = dial(w, 0);
        say(kept[i], REQUEST);
        ssize_t got = recv(kept[i], block, sizeof block - 1, 0);
        assert_true(got > 0);
        block[got] = '\0';
        assert_null(strstr(block, "Connection: close"));
    }
    char *answer = ask(w, REQUEST); /* returns only because the server closes */
    assert_non_null(strstr(answer, "Connection: close"));
    assert_non_null(strstr(answer, "hello\n"));
    free(answer);
    for (int i = 0; i < KEPT; i++)
        close(kept[i]);
    world_free(w);
}

/* All places are taken by idle connections: one more is served, and the longest idle ends. */
static void one_more_connection_takes_the_place_of_the_longest_idle(void **state)
{
    (void)state;
    enum { MAX = 4 };
    struct world *w = world_new((struct http_server_options){.connections_max = MAX});
    static const char REQUEST[] = "GET /echo HTTP/1.1\r\n" HOST "\r\n";
    int idle[MAX];
    char block[1024];
    for (unsigned i = 0; i < MAX; i++) {
        idle[i] = dial(w, 0);
        say(idle[i], REQUEST);
        assert_true(recv(idle[i], block, sizeof block, 0) > 0);
        await_observed(w, i + 1); /* it is idle from here on */
    }
    char *answer = ask(w, "GET /echo HTTP/1.1\r\n" HOST CLOSE "\r\n");
    assert_int_equal(strncmp(answer, "HTTP/1.1 200", 12), 0);
    free(answer);
    assert_int_equal(recv(idle[0], block, sizeof block, 0), 0);
    say(idle[MAX - 1], REQUEST);
    assert_true(recv(idle[MAX - 1], block, sizeof block, 0) > 0);
    for (unsigned i = 0; i < MAX; i++)
        close(idle[i]);
    world_free(w);
}

/* Many more than there is room for say nothing: places are made also while none of them is let in. */
static void silent_connections_make_room_when_all_places_are_taken(void **state)
{
    (void)state;
    enum { MAX = 8, COUNT = 90 };
    struct world *w =
        world_new((struct http_server_options){.connections_max = MAX, .read_timeout_ms = 600000});
    int silent[COUNT];
    for (unsigned i = 0; i < COUNT; i++)
        silent[i] = dial(w, 0); /* most wait in the backlog */
    char *answer = ask(w, "GET /hello HTTP/1.1\r\n" HOST CLOSE "\r\n");
    assert_int_equal(strncmp(answer, "HTTP/1.1 200", 12), 0);
    free(answer);
    for (unsigned i = 0; i < COUNT; i++)
        close(silent[i]);
    world_free(w);
}

/* All places are taken by requests in work: health still answers, the rest is told why not. */
static void public_routes_answer_while_all_connections_are_busy(void **state)
{
    (void)state;
    enum { MAX = 2 };
    struct world *w = world_new((struct http_server_options){.connections_max = MAX});
    int busy[MAX];
    for (unsigned i = 0; i < MAX; i++) {
        busy[i] = dial(w, 0);
        say(busy[i], "GET /wait HTTP/1.1\r\n" HOST CLOSE "\r\n");
        mutex_lock(&w->mutex);
        while (w->waiting <= i)
            cond_wait(&w->changed, &w->mutex);
        mutex_unlock(&w->mutex);
    }
    char *health = ask(w, "GET /hello HTTP/1.1\r\n" HOST CLOSE "\r\n");
    assert_int_equal(strncmp(health, "HTTP/1.1 200", 12), 0);
    char *other = ask(w, "GET /echo HTTP/1.1\r\n" HOST "\r\n");
    assert_int_equal(strncmp(other, "HTTP/1.1 503", 12), 0);
    assert_non_null(strstr(other, "too many connections: at most 2 at once\n"));
    free(health);
    free(other);
    mutex_lock(&w->mutex);
    w->let_go = MAX;
    cond_broadcast(&w->changed);
    mutex_unlock(&w->mutex);
    for (unsigned i = 0; i < MAX; i++) {
        size_t len;
        char *answer = read_all(busy[i], &len);
        assert_non_null(strstr(answer, "done\n"));
        free(answer);
        close(busy[i]);
    }
    world_free(w);
}

static void a_reader_that_takes_nothing_is_cut_off_and_the_stream_released(void **state)
{
    (void)state;
    struct world *w = world_new((struct http_server_options){.write_timeout_ms = 30});
    int fd = dial(w, 4096);
    say(fd, "GET /stream?bytes=100000000 HTTP/1.1\r\nHost: x\r\n\r\n");
    await_observed(w, 1);
    assert_int_equal(w->released, 1);
    assert_true(w->produced < 100000000);
    struct http_server_stats stats;
    http_server_stats_get(w->server, &stats);
    assert_int_equal(stats.write_timeouts, 1);
    close(fd);
    world_free(w);
}

/* 48 MB through a client with a 4 KiB window: the server holds pieces, not the answer. */
static void a_large_answer_to_a_slow_reader_needs_little_memory(void **state)
{
    (void)state;
    enum { TOTAL = 48 << 20 };
    struct world *w = world_new((struct http_server_options){0});
    int fd = dial(w, 4096);
    char text[128], block[8192];
    snprintf(text, sizeof text, "GET /stream?bytes=%d HTTP/1.1\r\n" HOST CLOSE "\r\n", TOTAL);
    int64_t before = mem_account_bytes(MEM_HTTP), most = 0;
    say(fd, text);
    uint64_t got_bytes = 0;
    for (;;) {
        ssize_t got = recv(fd, block, sizeof block, 0);
        if (got <= 0)
            break;
        got_bytes += (uint64_t)got;
        int64_t now = mem_account_bytes(MEM_HTTP) - before;
        most = now > most ? now : most;
    }
    assert_true(got_bytes > TOTAL);
    assert_true(most < 1 << 20);
    await_observed(w, 1);
    assert_int_equal(w->released, 1);
    assert_int_equal(w->last_bytes, TOTAL);
    assert_string_equal(w->last_handler, "get /stream");
    close(fd);
    world_free(w);
}

static void a_stream_that_fails_ends_without_its_last_chunk(void **state)
{
    (void)state;
    struct world *w = world_new((struct http_server_options){0});
    char *answer = ask(w, "GET /stream?bytes=1000000&fail=1 HTTP/1.1\r\n" HOST CLOSE "\r\n");
    assert_non_null(strstr(answer, "Transfer-Encoding: chunked"));
    assert_null(strstr(answer, "\r\n0\r\n\r\n"));
    free(answer);
    world_free(w);
}

/* No body, so no last chunk either: a client would take it for the begin of the next answer. */
static void nothing_follows_the_headers_of_a_streamed_head(void **state)
{
    (void)state;
    struct world *w = world_new((struct http_server_options){0});
    char *answer = ask(w, "HEAD /stream?bytes=1000000 HTTP/1.1\r\n" HOST "\r\n");
    assert_memory_equal(answer, "HTTP/1.1 200 ", 13);
    assert_string_equal(strstr(answer, "\r\n\r\n"), "\r\n\r\n");
    free(answer);
    world_free(w);
}

/* Removes the chunks' frames in place. */
static size_t unchunk(char *body, size_t len)
{
    size_t from = 0, to = 0;
    while (from < len) {
        char *end;
        size_t bytes = strtoul(body + from, &end, 16);
        if (bytes == 0)
            break;
        from = (size_t)(end - body) + 2;
        memmove(body + to, body + from, bytes);
        to += bytes;
        from += bytes + 2;
    }
    return to;
}

static void answers_are_compressed_when_asked_and_long_enough(void **state)
{
    (void)state;
    struct world *w = world_new((struct http_server_options){0});
    static const struct {
        const char *accept;
        unsigned bytes;
        bool gzip;
    } CASES[] = {{"gzip", 5000, true},
                 {"gzip", 400000, true},
                 {"deflate, gzip;q=0.5", 5000, true},
                 {"gzip", 1000, false},
                 {"gzip;q=0", 5000, false},
                 {"br", 5000, false},
                 {"deflate, gzip, br", 1500000, true}};
    for (size_t i = 0; i < ARRAY_COUNT(CASES); i++) {
        char text[256];
        size_t len;
        snprintf(text, sizeof text,
                 "GET /stream?bytes=%u HTTP/1.1\r\n" HOST CLOSE "Accept-Encoding: %s\r\n\r\n",
                 CASES[i].bytes, CASES[i].accept);
        int fd = dial(w, 0);
        say(fd, text);
        char *answer = read_all(fd, &len);
        char *body = strstr(answer, "\r\n\r\n") + 4;
        size_t body_bytes = len - (size_t)(body - answer);
        assert_int_equal(strstr(answer, "Content-Encoding: gzip\r\n") != NULL, CASES[i].gzip);
        if (strstr(answer, "Transfer-Encoding: chunked"))
            body_bytes = unchunk(body, body_bytes);
        if (CASES[i].gzip) {
            char *plain = malloc(CASES[i].bytes + 1);
            z_stream z = {.next_in = (Bytef *)body,
                          .avail_in = (uInt)body_bytes,
                          .next_out = (Bytef *)plain,
                          .avail_out = CASES[i].bytes + 1};
            assert_int_equal(inflateInit2(&z, 15 + 16), Z_OK);
            assert_int_equal(inflate(&z, Z_FINISH), Z_STREAM_END);
            assert_int_equal(z.total_out, CASES[i].bytes);
            for (unsigned b = 0; b < CASES[i].bytes; b++)
                assert_int_equal(plain[b], 'a' + b % 26);
            inflateEnd(&z);
            free(plain);
        } else {
            assert_int_equal(body_bytes, CASES[i].bytes);
        }
        free(answer);
        close(fd);
    }
    world_free(w);
}

static void several_listeners_serve_the_same(void **state)
{
    (void)state;
    struct error err;
    const char *const addresses[] = {"127.0.0.1:0", "localhost:0", ":0"};
    struct http_server_options opts = {
        .addresses = addresses, .address_count = 3, .thread_count = 1};
    struct world w = {0};
    assert_true(http_server_open(&w.server, &opts, &err));
    http_server_add_route(w.server, &ROUTES[1]);
    assert_true(http_server_start(w.server, &err));
    assert_int_equal(http_server_listener_count(w.server), 3);
    for (size_t i = 0; i < 3; i++) {
        char port[16];
        w.port = http_server_port(w.server, i);
        snprintf(port, sizeof port, ":%u", (unsigned)w.port);
        assert_non_null(strstr(http_server_address(w.server, i), port));
        if (strstr(http_server_address(w.server, i), "[::1]"))
            continue; /* localhost may be IPv6; dial() speaks IPv4 */
        char *answer = ask(&w, EXCHANGES[0].request);
        assert_non_null(strstr(answer, "hello\n"));
        free(answer);
    }
    /* A second server cannot have the same port. */
    const char *taken[] = {http_server_address(w.server, 0)};
    struct http_server_options again = {.addresses = taken, .address_count = 1};
    struct http_server *other = NULL;
    assert_false(http_server_open(&other, &again, &err));
    assert_int_equal(err.kind, ERROR_BUSY);
    assert_non_null(strstr(err.message, "address already in use"));
    http_server_close(w.server);
}

static void bad_addresses_are_named(void **state)
{
    (void)state;
    static const struct {
        const char *address, *error;
    } CASES[] = {
        {"9090", "listen address \"9090\" has no port: expected host:port"},
        {"127.0.0.1:",
         "listen address \"127.0.0.1:\": expected host:port with a port from 0 to 65535"},
        {"127.0.0.1:65536",
         "listen address \"127.0.0.1:65536\": expected host:port with a port from 0 to 65535"},
        {"127.0.0.1:http",
         "listen address \"127.0.0.1:http\": expected host:port with a port from 0 to 65535"},
        {"::1:9090", "listen address \"::1:9090\": an IPv6 address is written in brackets"},
    };
    for (size_t i = 0; i < ARRAY_COUNT(CASES); i++) {
        struct http_server *s;
        struct error err;
        struct http_server_options opts = {.addresses = &CASES[i].address, .address_count = 1};
        assert_false(http_server_open(&s, &opts, &err));
        assert_string_equal(err.message, CASES[i].error);
    }
}

/* Many clients at once, some of which leave: nothing leaks, nothing is counted twice (ASan, TSan). */
struct crowd {
    struct world *world;
    unsigned seed;
};

static void *crowd_run(void *arg)
{
    struct crowd *c = arg;
    static const char *const REQUESTS[] = {
        "GET /hello HTTP/1.1\r\n" HOST CLOSE "\r\n", "GET /echo?a=1 HTTP/1.1\r\n" HOST CLOSE "\r\n",
        "GET /stream?bytes=300000 HTTP/1.1\r\n" HOST CLOSE "\r\n",
        "GET /nothing HTTP/1.1\r\n" HOST CLOSE "\r\n",
        "POST /echo HTTP/1.1\r\n" HOST CLOSE "Content-Length: 10\r\n\r\n0123"};
    for (unsigned i = 0; i < 60; i++) {
        unsigned pick = (c->seed * 31 + i * 7) % ARRAY_COUNT(REQUESTS);
        int fd = dial(c->world, 0);
        say(fd, REQUESTS[pick]);
        if (pick != 4 && i % 3 != 0) {
            size_t len;
            free(read_all(fd, &len));
        }
        close(fd);
    }
    return NULL;
}

static void clients_at_once_do_not_disturb_each_other(void **state)
{
    (void)state;
    enum { THREADS = 6 };
    struct world *w = world_new((struct http_server_options){0});
    int64_t before = mem_account_bytes(MEM_HTTP);
    struct crowd crowd[THREADS];
    pthread_t threads[THREADS];
    struct error err;
    for (unsigned i = 0; i < THREADS; i++) {
        crowd[i] = (struct crowd){w, i};
        assert_true(thread_start(&threads[i], "client", crowd_run, &crowd[i], &err));
    }
    for (unsigned i = 0; i < THREADS; i++)
        thread_join(threads[i]);
    http_server_stop(w->server);
    struct http_server_stats stats;
    http_server_stats_get(w->server, &stats);
    assert_int_equal(stats.connections_open, 0);
    assert_int_equal(stats.requests_in_work, 0);
    assert_int_equal(stats.requests_total, w->observed);
    assert_true(mem_account_bytes(MEM_HTTP) <= before);
    world_free(w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_request_has_its_answer),
        cmocka_unit_test(bytes_that_are_no_request_end_the_connection),
        cmocka_unit_test(requests_in_a_row_on_one_connection_are_answered_in_order),
        cmocka_unit_test(services_have_limits_ranges_and_streamed_bodies),
        cmocka_unit_test(a_file_is_sent_whole),
        cmocka_unit_test(lines_and_headers_have_limits_of_a_service),
        cmocka_unit_test(a_client_that_leaves_in_its_body_is_observed),
        cmocka_unit_test(a_target_over_64_kib_is_refused),
        cmocka_unit_test(more_headers_than_the_limit_are_refused),
        cmocka_unit_test(a_client_that_leaves_cancels_its_handler),
        cmocka_unit_test(a_deadline_cancels_the_handler_and_the_client_hears_of_it),
        cmocka_unit_test(deadlines_that_are_over_do_not_wake_the_governor_each),
        cmocka_unit_test(stop_cancels_what_does_not_end_by_itself),
        cmocka_unit_test(a_server_can_be_stopped_at_any_moment),
        cmocka_unit_test(a_gate_lets_in_so_many_and_refuses_over_its_queue),
        cmocka_unit_test(bodies_have_a_budget_together),
        cmocka_unit_test(a_request_that_trickles_in_is_cut_off),
        cmocka_unit_test(an_idle_connection_is_closed),
        cmocka_unit_test(a_connection_over_the_kept_ones_is_closed_after_its_answer),
        cmocka_unit_test(one_more_connection_takes_the_place_of_the_longest_idle),
        cmocka_unit_test(silent_connections_make_room_when_all_places_are_taken),
        cmocka_unit_test(public_routes_answer_while_all_connections_are_busy),
        cmocka_unit_test(a_reader_that_takes_nothing_is_cut_off_and_the_stream_released),
        cmocka_unit_test(a_large_answer_to_a_slow_reader_needs_little_memory),
        cmocka_unit_test(a_stream_that_fails_ends_without_its_last_chunk),
        cmocka_unit_test(nothing_follows_the_headers_of_a_streamed_head),
        cmocka_unit_test(answers_are_compressed_when_asked_and_long_enough),
        cmocka_unit_test(several_listeners_serve_the_same),
        cmocka_unit_test(bad_addresses_are_named),
        cmocka_unit_test(clients_at_once_do_not_disturb_each_other),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
