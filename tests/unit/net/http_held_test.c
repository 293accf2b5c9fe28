/* SPDX-License-Identifier: Apache-2.0 */
/* http_held_test.c: handlers on the connection's thread that answer at once what they know and hold the rest, and bodies that
 * are counted elsewhere. Waiting is for events, never for time. */
#include "net/http_server.h"

#include "base/thread.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

struct world {
    struct http_server *server;
    struct pool *pool;

    pthread_mutex_t mutex; /* guards what follows */
    pthread_cond_t changed;
    unsigned observed, released;
    bool is_canceled, is_blocking, may_go_on;
    int64_t age_ms;
    struct http_request *held;
    uint64_t last_sent_bytes;
};

static char shared_bytes[200000];

static void on_seen(void *arg, const struct http_observation *seen)
{
    struct world *w = arg;
    mutex_lock(&w->mutex);
    w->observed++;
    w->last_sent_bytes = seen->sent_bytes;
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

/* ---- handlers; what a request holds in its context is its response ---- */

static struct http_response **response_of(struct http_request *rq)
{
    return http_request_context(rq);
}

static void find_out(void *arg)
{
    struct http_request *rq = arg;
    size_t count;
    (void)http_request_params(rq, &count);
    buffer_printf(http_response_body(*response_of(rq)), "found out, %zu parameters\n", count);
    http_request_answer(rq);
}

static void know_or_find_out(void *arg, struct http_request *rq, struct http_response *rs)
{
    struct world *w = arg;
    struct error err;
    if (view_is(http_request_capture(rq, "what"), "known")) {
        buffer_append_literal(http_response_body(rs), "at once\n");
        return;
    }
    *response_of(rq) = rs;
    if (http_request_hold(rq))
        assert_true(pool_submit(w->pool, POOL_QUERY, find_out, rq, &err));
}

static void on_cancel(void *arg)
{
    struct world *w = arg;
    mutex_lock(&w->mutex);
    w->is_canceled = true;
    cond_broadcast(&w->changed);
    mutex_unlock(&w->mutex);
}

static void hold(void *arg, struct http_request *rq, struct http_response *rs)
{
    struct world *w = arg;
    if (!http_request_hold(rq))
        return;
    http_request_set_cancel(rq, on_cancel, w, http_request_has_param(rq, "deadline") ? 20 : 0);
    http_response_set_status(rs, 408);
    mutex_lock(&w->mutex);
    w->held = rq;
    cond_broadcast(&w->changed);
    mutex_unlock(&w->mutex);
}

static void give_back(void *arg)
{
    struct world *w = arg;
    mutex_lock(&w->mutex);
    w->released++;
    mutex_unlock(&w->mutex);
}

/* /shared/N: so many bytes that are not the request's; "x" takes them back, "t" is text. */
static void share(void *arg, struct http_request *rq, struct http_response *rs)
{
    struct view bytes = http_request_capture(rq, "bytes");
    size_t len = 0;
    for (size_t i = 0; i < bytes.len && bytes.ptr[i] <= '9'; i++)
        len = len * 10 + (size_t)(bytes.ptr[i] - '0');
    bool is_text = view_has_suffix(bytes, VIEW("t"));
    http_response_set_content_type(rs, is_text ? "text/plain" : "image/png");
    http_response_set_shared(rs, (struct view){shared_bytes, len}, give_back, arg);
    if (view_has_suffix(bytes, VIEW("x")))
        http_response_error(rs, 400, "taken back");
}

/* Keeps the only thread from all others until it is told to go on. */
static void block(void *arg, struct http_request *rq, struct http_response *rs)
{
    struct world *w = arg;
    (void)rq;
    (void)rs;
    mutex_lock(&w->mutex);
    w->is_blocking = true;
    cond_broadcast(&w->changed);
    while (!w->may_go_on)
        cond_wait(&w->changed, &w->mutex);
    w->is_blocking = w->may_go_on = false;
    mutex_unlock(&w->mutex);
}

static void note_age(void *arg, struct http_request *rq, struct http_response *rs)
{
    struct world *w = arg;
    (void)rs;
    mutex_lock(&w->mutex);
    w->age_ms = http_request_age_ms(rq);
    mutex_unlock(&w->mutex);
}

/* ---- the server and its client ---- */

static const struct http_route ROUTES[] = {
    {HTTP_GET, "/found/{what}", NULL, HTTP_ROLE_VIEW, HTTP_RUN_DIRECT, know_or_find_out},
    {HTTP_GET | HTTP_OPTIONS, "/blind/{what}", NULL, HTTP_ROLE_VIEW, HTTP_RUN_DIRECT,
     know_or_find_out, .ignores_query = true},
    {HTTP_GET, "/held", NULL, HTTP_ROLE_VIEW, HTTP_RUN_DIRECT, hold},
    {HTTP_GET, "/shared/{bytes}", NULL, HTTP_ROLE_VIEW, HTTP_RUN_DIRECT, share},
    {HTTP_GET, "/block", NULL, HTTP_ROLE_VIEW, HTTP_RUN_DIRECT, block},
    {HTTP_GET, "/age", NULL, HTTP_ROLE_VIEW, HTTP_RUN_DIRECT, note_age},
};

static struct world *world_new_of(unsigned thread_count)
{
    static const char *const LOOPBACK[] = {"127.0.0.1:0"};
    struct error err;
    struct world *w = calloc(1, sizeof *w);
    mutex_init(&w->mutex);
    cond_init(&w->changed);
    assert_true(pool_start(&w->pool, 2, 100, &err));
    struct http_server_options opts = {.addresses = LOOPBACK,
                                       .address_count = 1,
                                       .thread_count = thread_count,
                                       .drain_timeout_ms = 1,
                                       .context_bytes = sizeof(struct http_response *),
                                       .observe = on_seen,
                                       .observe_arg = w};
    if (!http_server_open(&w->server, &opts, &err))
        fail_msg("%s", err.message);
    for (size_t i = 0; i < sizeof ROUTES / sizeof ROUTES[0]; i++) {
        struct http_route route = ROUTES[i];
        route.arg = w;
        http_server_add_route(w->server, &route);
    }
    if (!http_server_start(w->server, &err))
        fail_msg("%s", err.message);
    for (size_t i = 0; i < sizeof shared_bytes; i++)
        shared_bytes[i] = (char)('a' + i % 26);
    return w;
}

static struct world *world_new(void)
{
    return world_new_of(0);
}

static void world_free(struct world *w)
{
    http_server_close(w->server);
    pool_stop(w->pool);
    cond_deinit(&w->changed);
    mutex_deinit(&w->mutex);
    free(w);
}

static int say(const struct world *w, const char *request)
{
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    struct sockaddr_in to = {.sin_family = AF_INET,
                             .sin_port = htons(http_server_port(w->server, 0)),
                             .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    assert_true(fd >= 0);
    assert_int_equal(connect(fd, (struct sockaddr *)&to, sizeof to), 0);
    size_t len = strlen(request);
    assert_int_equal(send(fd, request, len, MSG_NOSIGNAL), len);
    return fd;
}

/* Until the server closes. Returns a NUL-terminated text for free(). */
static char *read_all(int fd, size_t *len)
{
    size_t max = sizeof shared_bytes + 4096;
    char *text = malloc(max + 1);
    *len = 0;
    for (ssize_t got; (got = recv(fd, text + *len, max - *len, 0)) > 0;)
        *len += (size_t)got;
    text[*len] = '\0';
    close(fd);
    return text;
}

/* ---- */

#define END " HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"

static const struct {
    const char *request, *status, *has;
} EXCHANGES[] = {
    {"GET /found/known" END, "200", "\r\n\r\nat once\n"},
    {"GET /found/new?a=1&b=2" END, "200", "\r\n\r\nfound out, 2 parameters\n"},
    {"HEAD /found/new" END, "200", "Content-Length: 24\r\n"},
    {"GET /found/known?%zz" END, "400", "invalid URL escape"},
    {"GET /blind/known?%zz" END, "200", "at once\n"},
    {"GET /blind/new?%zz" END, "200", "found out, 0 parameters\n"},
    {"OPTIONS /blind/known" END, "200", "at once\n"},
    {"OPTIONS /blind/new" END, "200", "found out, 0 parameters\n"},
    {"OPTIONS /found/known" END, "405", "Allow: GET, HEAD\r\n"},
    {"GET /shared/30" END, "200", "\r\n\r\nabcdefghijklmnopqrstuvwxyzabcd"},
    {"GET /shared/0" END, "200", "Content-Length: 0\r\n"},
    {"HEAD /shared/200000" END, "200", "Content-Length: 200000\r\n"},
    {"GET /shared/3000t HTTP/1.1\r\nHost: x\r\nAccept-Encoding: gzip\r\nConnection: close\r\n\r\n",
     "200", "Content-Length: 3000\r\n"},
    {"GET /shared/30x" END, "400", "\r\n\r\ntaken back\n"},
};

static void each_request_has_its_answer(void **state)
{
    (void)state;
    struct world *w = world_new();
    for (size_t i = 0; i < sizeof EXCHANGES / sizeof EXCHANGES[0]; i++) {
        size_t len;
        char *answer = read_all(say(w, EXCHANGES[i].request), &len);
        if (strncmp(answer, "HTTP/1.1 ", 9) != 0 ||
            strncmp(answer + 9, EXCHANGES[i].status, 3) != 0 || !strstr(answer, EXCHANGES[i].has))
            fail_msg("%s: %s", EXCHANGES[i].request, answer);
        free(answer);
    }
    world_free(w);
}

static void *answer_held(void *arg)
{
    http_request_answer(arg);
    return NULL;
}

static void *stop_server(void *arg)
{
    struct world *w = arg;
    http_server_stop(w->server);
    return NULL;
}

/* The client leaves, time is over, the server stops: the callback tells of each, and who holds the request still answers it. */
static void what_is_held_is_cancelled_and_answered(void **state)
{
    (void)state;
    static const enum http_cancel WHY[] = {HTTP_CANCEL_DISCONNECT, HTTP_CANCEL_DEADLINE,
                                           HTTP_CANCEL_STOP};
    for (size_t i = 0; i < 3; i++) {
        struct world *w = world_new();
        pthread_t answerer, stopper;
        struct error err;
        int fd =
            say(w, WHY[i] == HTTP_CANCEL_DEADLINE ? "GET /held?deadline=1" END : "GET /held" END);
        mutex_lock(&w->mutex);
        while (w->held == NULL)
            cond_wait(&w->changed, &w->mutex);
        mutex_unlock(&w->mutex);
        if (WHY[i] == HTTP_CANCEL_DISCONNECT)
            close(fd);
        if (WHY[i] == HTTP_CANCEL_STOP)
            assert_true(thread_start(&stopper, "stopper", stop_server, w, &err));
        mutex_lock(&w->mutex);
        while (!w->is_canceled)
            cond_wait(&w->changed, &w->mutex);
        mutex_unlock(&w->mutex);
        assert_int_equal(http_request_canceled(w->held), WHY[i]);
        assert_true(thread_start(&answerer, "answerer", answer_held, w->held, &err));
        if (WHY[i] != HTTP_CANCEL_DISCONNECT) {
            size_t len;
            char *answer = read_all(fd, &len);
            if (WHY[i] == HTTP_CANCEL_DEADLINE)
                assert_non_null(strstr(answer, "HTTP/1.1 408 "));
            free(answer);
        }
        thread_join(answerer);
        if (WHY[i] == HTTP_CANCEL_STOP)
            thread_join(stopper);
        await_observed(w, 1);
        world_free(w);
    }
}

/* Short and long ones, whole, and each is given back. */
static void shared_bytes_are_sent_as_they_are_and_given_back(void **state)
{
    (void)state;
    static const unsigned SIZES[] = {1, 65536, 65537, 200000};
    struct world *w = world_new();
    for (unsigned i = 0; i < 4; i++) {
        char request[128];
        size_t len;
        snprintf(request, sizeof request, "GET /shared/%u" END, SIZES[i]);
        char *answer = read_all(say(w, request), &len);
        const char *body = strstr(answer, "\r\n\r\n");
        assert_non_null(body);
        body += 4;
        assert_int_equal(len - (size_t)(body - answer), SIZES[i]);
        assert_memory_equal(body, shared_bytes, SIZES[i]);
        free(answer);
        await_observed(w, i + 1);
        assert_int_equal(w->last_sent_bytes, SIZES[i]);
        assert_int_equal(w->released, i + 1);
    }
    close(say(w, "GET /shared/200000" END)); /* it leaves before all of it is there */
    await_observed(w, 5);
    assert_int_equal(w->released, 5);
    world_free(w);
}

/* Sends `request` while the only thread is kept busy, for 100 ms at least. Returns when it was told to go on. */
static mono_time be_late(struct world *w, const char *request, int *fd)
{
    mutex_lock(&w->mutex);
    while (!w->is_blocking)
        cond_wait(&w->changed, &w->mutex);
    if (request)
        *fd = say(w, request);
    mono_time until = mono_add_ms(clock_mono(), 100);
    while (clock_mono().ns < until.ns)
        (void)cond_wait_until(&w->changed, &w->mutex, until);
    mono_time now = clock_mono();
    w->may_go_on = true;
    cond_broadcast(&w->changed);
    mutex_unlock(&w->mutex);
    return now;
}

/* One thread, which is kept: who waits for it is older than the time of waiting. What was sent behind a request of its own connection is not,
 * as nobody could have begun with it. */
static void a_request_is_as_old_as_its_bytes(void **state)
{
    (void)state;
    struct world *w = world_new_of(1);
    size_t len;
    int late, fd = say(w, "GET /block" END);
    (void)be_late(w, "GET /age" END, &late);
    free(read_all(fd, &len));
    free(read_all(late, &len));
    await_observed(w, 2);
    assert_true(w->age_ms >= 80); /* the kernel's clock is coarse */
    fd = say(w, "GET /block HTTP/1.1\r\nHost: x\r\n\r\nGET /age" END);
    mono_time went_on = be_late(w, NULL, NULL);
    free(read_all(fd, &len));
    await_observed(w, 4);
    assert_true(w->age_ms <= mono_ms_since(went_on));
    world_free(w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_request_is_as_old_as_its_bytes),
        cmocka_unit_test(each_request_has_its_answer),
        cmocka_unit_test(what_is_held_is_cancelled_and_answered),
        cmocka_unit_test(shared_bytes_are_sent_as_they_are_and_given_back),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
