/* SPDX-License-Identifier: Apache-2.0 */
/* http_live_test.c: streams whose pieces come when they come, through plain sockets. Waiting is for events, never for
 * time. */
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

enum { LIVE_MAX = 24, TEXT_BYTES = 64 * 1024 };

/* A live stream: "tick" for each that is due. */
struct live {
    struct world *world;
    struct http_request *request;
    unsigned due;
    size_t at;
};

struct world {
    struct http_server *server;
    uint16_t port;
    pthread_mutex_t mutex; /* guards the rest */
    pthread_cond_t changed;
    struct live *live[LIVE_MAX]; /* that are open */
    unsigned released;
};

static bool live_next(void *arg, struct buffer *out, bool *more)
{
    struct live *l = arg;
    mutex_lock(&l->world->mutex);
    for (; l->due; l->due--)
        buffer_append_literal(out, "tick\n");
    mutex_unlock(&l->world->mutex);
    *more = true;
    return true;
}

static void live_release(void *arg)
{
    struct live *l = arg;
    struct world *w = l->world;
    mutex_lock(&w->mutex);
    w->live[l->at] = NULL;
    w->released++;
    cond_broadcast(&w->changed);
    mutex_unlock(&w->mutex);
    free(l);
}

static void live(void *arg, struct http_request *rq, struct http_response *rs)
{
    struct world *w = arg;
    struct live *l = calloc(1, sizeof *l);
    *l = (struct live){w, rq, 1, 0};
    mutex_lock(&w->mutex);
    while (w->live[l->at])
        l->at++;
    w->live[l->at] = l;
    mutex_unlock(&w->mutex);
    http_response_set_content_type(rs, "text/event-stream");
    http_response_live(rs, live_next, live_release, l);
}

static void hello(void *arg, struct http_request *rq, struct http_response *rs)
{
    buffer_append_literal(http_response_body(rs), "hello\n");
}

/* Every stream that is open has one more to send. */
static void tick(struct world *w)
{
    mutex_lock(&w->mutex);
    for (size_t i = 0; i < LIVE_MAX; i++) {
        if (w->live[i]) {
            w->live[i]->due++;
            http_live_wake(w->live[i]->request);
        }
    }
    mutex_unlock(&w->mutex);
}

static void await_released(struct world *w, unsigned count)
{
    mutex_lock(&w->mutex);
    while (w->released < count)
        cond_wait(&w->changed, &w->mutex);
    mutex_unlock(&w->mutex);
}

static void world_init(struct world *w)
{
    static const char *const LOOPBACK[] = {"127.0.0.1:0"};
    const struct http_server_options opts = {
        .addresses = LOOPBACK, .address_count = 1, .thread_count = 1};
    const struct http_route routes[] = {
        {HTTP_GET, "/live", NULL, HTTP_ROLE_VIEW, HTTP_RUN_DIRECT, live, w},
        {HTTP_GET, "/live/aside", NULL, HTTP_ROLE_VIEW, HTTP_RUN_ASIDE, live, w},
        {HTTP_GET, "/hello", NULL, HTTP_ROLE_VIEW, HTTP_RUN_DIRECT, hello, w},
    };
    struct error err;
    *w = (struct world){0};
    mutex_init(&w->mutex);
    cond_init(&w->changed);
    if (!http_server_open(&w->server, &opts, &err))
        fail_msg("%s", err.message);
    for (size_t i = 0; i < ARRAY_COUNT(routes); i++)
        http_server_add_route(w->server, &routes[i]);
    if (!http_server_start(w->server, &err))
        fail_msg("%s", err.message);
    w->port = http_server_port(w->server, 0);
}

static void world_deinit(struct world *w)
{
    http_server_close(w->server);
    cond_deinit(&w->changed);
    mutex_deinit(&w->mutex);
}

static int ask(const struct world *w, const char *request)
{
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_true(fd >= 0);
    struct sockaddr_in to = {.sin_family = AF_INET,
                             .sin_port = htons(w->port),
                             .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    assert_int_equal(connect(fd, (struct sockaddr *)&to, sizeof to), 0);
    assert_int_equal(send(fd, request, strlen(request), MSG_NOSIGNAL), strlen(request));
    return fd;
}

static unsigned count_of(const char *text, const char *what)
{
    unsigned count = 0;
    for (const char *at = text; (at = strstr(at, what)) != NULL; at += strlen(what))
        count++;
    return count;
}

/* Appends what comes until `what` stands there so often. False: the connection ended before. */
static bool read_until(int fd, char *text, const char *what, unsigned count)
{
    size_t len = strlen(text);
    while (count_of(text, what) < count) {
        ssize_t got = recv(fd, text + len, TEXT_BYTES - 1 - len, 0);
        if (got <= 0)
            return false;
        len += (size_t)got;
        text[len] = '\0';
    }
    return true;
}

/* More of them than there are threads: others are answered meanwhile, and a stop ends them at once with what is left. */
static void live_streams_hold_no_thread(void **state)
{
    struct world w;
    static char texts[LIVE_MAX][TEXT_BYTES], answer[TEXT_BYTES];
    int fds[LIVE_MAX];
    world_init(&w);
    for (size_t i = 0; i < LIVE_MAX; i++) {
        texts[i][0] = '\0';
        fds[i] = ask(&w, i % 2 ? "GET /live HTTP/1.1\r\nHost: x\r\nAccept-Encoding: gzip\r\n\r\n"
                               : "GET /live/aside HTTP/1.1\r\nHost: x\r\n\r\n");
        assert_true(read_until(fds[i], texts[i], "tick", 1));
    }
    for (unsigned n = 2; n < 5; n++) {
        int fd = ask(&w, "GET /hello HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
        answer[0] = '\0';
        assert_true(read_until(fd, answer, "hello", 1));
        close(fd);
        tick(&w);
        for (size_t i = 0; i < LIVE_MAX; i++)
            assert_true(read_until(fds[i], texts[i], "tick", n));
    }
    mutex_lock(&w.mutex);
    assert_int_equal(w.released, 0);
    mutex_unlock(&w.mutex);
    tick(&w);
    http_server_stop(w.server);
    assert_int_equal(w.released, LIVE_MAX);
    for (size_t i = 0; i < LIVE_MAX; i++) {
        assert_true(read_until(fds[i], texts[i], "tick", 5));
        assert_true(read_until(fds[i], texts[i], "\r\n0\r\n", 1)); /* a whole answer */
        close(fds[i]);
    }
    world_deinit(&w);
}

static void a_live_stream_whose_client_left_is_released(void **state)
{
    struct world w;
    static char text[TEXT_BYTES];
    world_init(&w);
    text[0] = '\0';
    int fd = ask(&w, "GET /live HTTP/1.1\r\nHost: x\r\n\r\n");
    assert_true(read_until(fd, text, "tick", 1));
    close(fd);
    await_released(&w, 1);
    world_deinit(&w);
}

static void a_head_of_a_live_stream_ends(void **state)
{
    struct world w;
    static char text[TEXT_BYTES];
    world_init(&w);
    text[0] = '\0';
    int fd = ask(&w, "HEAD /live HTTP/1.1\r\nHost: x\r\n\r\n");
    assert_true(read_until(fd, text, "\r\n\r\n", 1));
    await_released(&w, 1);
    close(fd);
    world_deinit(&w);
}

static void *tick_often(void *arg)
{
    for (int i = 0; i < 500; i++)
        tick(arg);
    return NULL;
}

/* However wakes fall, none is lost. Run under ThreadSanitizer. */
static void no_wake_is_lost(void **state)
{
    struct world w;
    static char text[TEXT_BYTES];
    pthread_t threads[3];
    struct error err;
    world_init(&w);
    text[0] = '\0';
    int fd = ask(&w, "GET /live HTTP/1.1\r\nHost: x\r\n\r\n");
    assert_true(read_until(fd, text, "tick", 1));
    for (size_t i = 0; i < 3; i++)
        assert_true(thread_start(&threads[i], "tick", tick_often, &w, &err));
    assert_true(read_until(fd, text, "tick", 1501));
    for (size_t i = 0; i < 3; i++)
        thread_join(threads[i]);
    close(fd);
    await_released(&w, 1);
    world_deinit(&w);
}

/* Streams come, are woken and leave while the server stops, again and again. */
static void *come_and_go(void *arg)
{
    static const char REQUEST[] = "GET /live HTTP/1.1\r\nHost: x\r\n\r\n";
    struct world *w = arg;
    for (int i = 0; i < 20; i++) {
        char byte;
        int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
        struct sockaddr_in to = {.sin_family = AF_INET,
                                 .sin_port = htons(w->port),
                                 .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
        bool asked = connect(fd, (struct sockaddr *)&to, sizeof to) == 0 &&
                     send(fd, REQUEST, sizeof REQUEST - 1, MSG_NOSIGNAL) > 0;
        if (asked && i % 2)
            (void)recv(fd, &byte, 1, 0); /* or the server ended it */
        close(fd);
        tick(w);
    }
    return NULL;
}

static void a_server_with_live_streams_can_be_stopped_at_any_moment(void **state)
{
    for (int round = 0; round < 10; round++) {
        struct world w;
        pthread_t threads[2];
        struct error err;
        world_init(&w);
        for (size_t i = 0; i < 2; i++)
            assert_true(thread_start(&threads[i], "come", come_and_go, &w, &err));
        for (int i = 0; i < round; i++)
            tick(&w);
        http_server_stop(w.server);
        for (size_t i = 0; i < 2; i++)
            thread_join(threads[i]);
        world_deinit(&w);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(live_streams_hold_no_thread),
        cmocka_unit_test(a_live_stream_whose_client_left_is_released),
        cmocka_unit_test(a_head_of_a_live_stream_ends),
        cmocka_unit_test(no_wake_is_lost),
        cmocka_unit_test(a_server_with_live_streams_can_be_stopped_at_any_moment),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
