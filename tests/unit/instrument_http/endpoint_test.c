/* SPDX-License-Identifier: Apache-2.0 */
/* endpoint_test.c: the listener, asked over real sockets: what it answers, whom it cuts, and what a fork leaves. */
#include <belfry/http.h>

#include <arpa/inet.h>
#include <netinet/in.h>
#include <poll.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>
#include <zlib.h>

#include <cmocka.h>

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))
enum { LIMIT_MS = 30000 }; /* for what must happen; generous */

static belfry_endpoint *start(belfry_endpoint_options o)
{
    static const char *const loopback[] = {"127.0.0.1:0"};
    belfry_endpoint *e;
    belfry_http_error why = {""};
    if (!o.addresses) {
        o.addresses = loopback;
        o.address_count = 1;
    }
    if (belfry_endpoint_start(&e, &o, &why) != BELFRY_OK)
        fail_msg("%s", why.message);
    return e;
}

static int dial(uint16_t port)
{
    struct sockaddr_in sa = {
        .sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_true(fd >= 0);
    if (connect(fd, (struct sockaddr *)&sa, sizeof sa) != 0) {
        (void)close(fd);
        return -1;
    }
    return fd;
}

static void say(int fd, const char *text)
{
    (void)send(fd, text, strlen(text), MSG_NOSIGNAL); /* who was cut off sees it when it reads */
}

/* Everything until the other side closes; the caller frees it. */
static char *hear(int fd, size_t *len)
{
    char *text = NULL;
    size_t used = 0, room = 0;
    for (;;) {
        if (room - used < 65537) {
            room = room * 2 + 131072;
            text = realloc(text, room);
            assert_non_null(text);
        }
        struct pollfd p = {.fd = fd, .events = POLLIN};
        if (poll(&p, 1, LIMIT_MS) != 1)
            fail_msg("no answer within %d s", LIMIT_MS / 1000);
        ssize_t n = recv(fd, text + used, 65536, 0);
        if (n <= 0)
            break;
        used += (size_t)n;
    }
    text[used] = '\0';
    *len = used;
    return text;
}

/* Sends a whole request and returns the whole answer. */
static char *ask(uint16_t port, const char *request)
{
    size_t len;
    int fd = dial(port);
    assert_true(fd >= 0);
    say(fd, request);
    char *text = hear(fd, &len);
    (void)close(fd);
    return text;
}

#define GET(target, more) "GET " target " HTTP/1.1\r\nHost: x\r\nConnection: close\r\n" more "\r\n"

static belfry_registry *make_registry(size_t children)
{
    static const char *const names[] = {"child"};
    belfry_registry *r = belfry_registry_new();
    belfry_counter_family *f;
    assert_non_null(r);
    assert_int_equal(belfry_counter_family_new(&f, r, "app_work_total", "Work.", names, 1),
                     BELFRY_OK);
    for (size_t i = 0; i < children; i++) {
        char text[80];
        (void)snprintf(text, sizeof text, "a-label-value-that-is-somewhat-long-%zu", i);
        const char *const values[] = {text};
        belfry_counter_add(belfry_counter_family_with(f, values), i);
    }
    return r;
}

static belfry_endpoint_stats stats_of(const belfry_endpoint *e)
{
    belfry_endpoint_stats s;
    belfry_endpoint_stats_get(e, &s);
    return s;
}

/* Waits for a condition of the statistics. */
#define WAIT_FOR(e, condition)                                                                     \
    do {                                                                                           \
        belfry_endpoint_stats s = stats_of(e);                                                     \
        int tries = LIMIT_MS / 5;                                                                  \
        while (!(condition) && tries-- > 0) {                                                      \
            (void)usleep(5000);                                                                    \
            s = stats_of(e);                                                                       \
        }                                                                                          \
        assert_true(condition);                                                                    \
    } while (0)

/* Each path, and refusals, over a socket. */
static void paths_are_answered(void **state)
{
    (void)state;
    belfry_registry *r = make_registry(3);
    belfry_endpoint *e = start((belfry_endpoint_options){.http.registry = r});
    static const struct {
        const char *request, *head, *body;
    } cases[] = {
        {GET("/metrics", ""), "HTTP/1.1 200 ",
         "app_work_total{child=\"a-label-value-that-is-somewhat-long-2\"} 2\n"},
        {GET("/health", ""), "HTTP/1.1 200 ", "{\"status\":\"healthy\",\"uptime_seconds\":"},
        {GET("/ready", ""), "HTTP/1.1 200 ", "{\"ready\":true"},
        {GET("/", ""), "HTTP/1.1 404 ", "404 page not found\n"},
        {"POST /metrics HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\nConnection: close\r\n\r\nhello",
         "HTTP/1.1 405 ", "405"},
        {"GET /metrics HTTP/1.0\r\n\r\n", "HTTP/1.1 200 ", "app_work_total"},
        {"HEAD /metrics HTTP/1.1\r\nHost: x\r\n\r\n", "HTTP/1.1 200 ",
         "Content-Type: text/plain; version=0.0.4; "},
        {"GET /metrics HTTP/1.1\r\n\r\n", "HTTP/1.1 400 ", ""}, /* no Host */
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        char *answer = ask(belfry_endpoint_port(e, 0), cases[i].request);
        if (strncmp(answer, cases[i].head, 9) != 0 || !strstr(answer, cases[i].body))
            fail_msg("%s\n-> %s", cases[i].request, answer);
        free(answer);
    }
    assert_null(belfry_endpoint_address(e, 1));
    assert_int_equal(belfry_endpoint_port(e, 1), 0);
    belfry_endpoint_stop(e);
    belfry_registry_free(r);
}

/* Two requests on one connection, then one that is HEAD: nothing follows its headers but the next answer. */
static void a_connection_is_kept(void **state)
{
    (void)state;
    belfry_registry *r = make_registry(3);
    belfry_endpoint *e = start((belfry_endpoint_options){.http.registry = r});
    size_t len;
    int fd = dial(belfry_endpoint_port(e, 0));
    say(fd, "HEAD /health HTTP/1.1\r\nHost: x\r\n\r\nGET /metrics HTTP/1.1\r\nHost: x\r\n\r\n" GET(
                "/health", ""));
    char *answer = hear(fd, &len);
    const char *first = strstr(answer, "\r\n\r\n");
    assert_non_null(first);
    assert_memory_equal(first + 4, "HTTP/1.1 200", 12);
    assert_non_null(strstr(first, "Content-Length: "));
    assert_non_null(strstr(first, "somewhat-long-0\"} 0\n"));
    assert_non_null(strstr(answer, "\"healthy\""));
    free(answer);
    (void)close(fd);
    WAIT_FOR(e, s.connections_open == 0);
    assert_int_equal(stats_of(e).connections_total, 1);
    assert_int_equal(stats_of(e).scrapes_total, 1);
    belfry_endpoint_stop(e);
    belfry_registry_free(r);
}

static char *unchunk(char *body, size_t *len)
{
    char *out = body, *at = body;
    for (;;) {
        char *end;
        unsigned long size = strtoul(at, &end, 16);
        assert_memory_equal(end, "\r\n", 2);
        if (size == 0)
            break;
        memmove(out, end + 2, size);
        out += size;
        at = end + 2 + size + 2;
    }
    *len = (size_t)(out - body);
    return body;
}

/* 9,000 children, some 600 KB: longer than a pipe, so chunked; gzip gives the same text. */
static void a_large_registry_is_streamed(void **state)
{
    (void)state;
    belfry_registry *r = make_registry(9000);
    belfry_endpoint *e = start((belfry_endpoint_options){.http.registry = r});
    char *text;
    size_t text_len, len;
    assert_int_equal(belfry_registry_text(r, &text, &text_len), BELFRY_OK);
    char *answer = ask(belfry_endpoint_port(e, 0), GET("/metrics", ""));
    assert_non_null(strstr(answer, "Transfer-Encoding: chunked"));
    char *body = unchunk(strstr(answer, "\r\n\r\n") + 4, &len);
    assert_int_equal(len, text_len);
    assert_memory_equal(body, text, len);
    free(answer);

    int fd = dial(belfry_endpoint_port(e, 0));
    say(fd, GET("/metrics", "Accept-Encoding: gzip\r\n"));
    answer = hear(fd, &len);
    (void)close(fd);
    body = strstr(answer, "\r\n\r\n") + 4;
    len -= (size_t)(body - answer);
    if (strstr(answer, "chunked"))
        body = unchunk(body, &len);
    char *out = malloc(text_len + 1);
    assert_non_null(out);
    z_stream z = {.next_in = (Bytef *)body, .avail_in = (uInt)len};
    assert_int_equal(inflateInit2(&z, 15 + 16), Z_OK);
    z.next_out = (Bytef *)out;
    z.avail_out = (uInt)text_len + 1;
    assert_int_equal(inflate(&z, Z_FINISH), Z_STREAM_END);
    assert_int_equal(z.total_out, text_len);
    assert_memory_equal(out, text, text_len);
    assert_int_equal(inflateEnd(&z), Z_OK);
    free(out);
    free(answer);
    belfry_text_free(text);
    belfry_endpoint_stop(e);
    belfry_registry_free(r);
}

/* --- a collector that waits until it is let go --- */

static pthread_mutex_t gate_mutex = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t gate_cond = PTHREAD_COND_INITIALIZER;
static bool gate_is_open;

static void gate_set(bool is_open)
{
    pthread_mutex_lock(&gate_mutex);
    gate_is_open = is_open;
    pthread_cond_broadcast(&gate_cond);
    pthread_mutex_unlock(&gate_mutex);
}

static double wait_at_gate(void *arg)
{
    (void)arg;
    pthread_mutex_lock(&gate_mutex);
    while (!gate_is_open)
        pthread_cond_wait(&gate_cond, &gate_mutex);
    pthread_mutex_unlock(&gate_mutex);
    return 1;
}

/* Two scrapes wait in a collector: the third is refused, health is answered all the same. */
static void scrapes_at_the_same_time_are_limited(void **state)
{
    (void)state;
    belfry_registry *r = belfry_registry_new();
    assert_int_equal(belfry_gauge_func_new(r, "app_slow", "Slow.", wait_at_gate, NULL), BELFRY_OK);
    belfry_endpoint *e = start((belfry_endpoint_options){.http.registry = r, .scrapes_max = 2});
    gate_set(false);
    int held[2];
    for (int i = 0; i < 2; i++) {
        held[i] = dial(belfry_endpoint_port(e, 0));
        say(held[i], GET("/metrics", ""));
    }
    WAIT_FOR(e, s.scrapes_running == 2);
    char *answer = ask(belfry_endpoint_port(e, 0), GET("/metrics", ""));
    assert_memory_equal(answer, "HTTP/1.1 503", 12);
    assert_non_null(strstr(answer, "Retry-After: 1"));
    free(answer);
    answer = ask(belfry_endpoint_port(e, 0), GET("/health", ""));
    assert_memory_equal(answer, "HTTP/1.1 200", 12);
    free(answer);
    gate_set(true);
    for (int i = 0; i < 2; i++) {
        size_t len;
        answer = hear(held[i], &len);
        assert_non_null(strstr(answer, "app_slow 1\n"));
        free(answer);
        (void)close(held[i]);
    }
    assert_int_equal(stats_of(e).scrapes_refused, 1);
    belfry_endpoint_stop(e);
    belfry_registry_free(r);
}

/* A header that says how long Prometheus waits ends a scrape that a collector holds up. */
static void the_scrape_timeout_of_the_client_holds(void **state)
{
    (void)state;
    belfry_registry *r = belfry_registry_new();
    assert_int_equal(belfry_gauge_func_new(r, "app_slow", "Slow.", wait_at_gate, NULL), BELFRY_OK);
    belfry_endpoint *e = start((belfry_endpoint_options){.http.registry = r});
    gate_set(false);
    char *answer = ask(belfry_endpoint_port(e, 0),
                       GET("/metrics", "X-Prometheus-Scrape-Timeout-Seconds: 0.05\r\n"));
    assert_string_equal(answer, "");
    free(answer);
    assert_int_equal(stats_of(e).timeouts, 1);
    gate_set(true);
    WAIT_FOR(e, s.scrapes_running == 0 && s.scrapes_failed == 1);
    answer = ask(belfry_endpoint_port(e, 0),
                 GET("/metrics", "X-Prometheus-Scrape-Timeout-Seconds: nonsense\r\n"));
    assert_non_null(strstr(answer, "app_slow 1\n"));
    free(answer);
    belfry_endpoint_stop(e);
    belfry_registry_free(r);
}

/* Headers that never end, sent byte by byte or not at all, cost a connection for the request's time only. */
static void slow_requests_are_cut(void **state)
{
    (void)state;
    belfry_registry *r = make_registry(1);
    belfry_endpoint *e =
        start((belfry_endpoint_options){.http.registry = r, .request_timeout_ms = 100});
    static const char *const openings[] = {"", "G", "GET /metrics HTTP/1.1\r\nHost: x\r\nX-A:"};
    for (size_t i = 0; i < COUNT(openings); i++) {
        size_t len;
        int fd = dial(belfry_endpoint_port(e, 0));
        say(fd, openings[i]);
        char *answer = hear(fd, &len);
        assert_int_equal(len, 0);
        free(answer);
        (void)close(fd);
    }
    assert_int_equal(stats_of(e).timeouts, COUNT(openings));
    belfry_endpoint_stop(e);
    belfry_registry_free(r);
}

/* A client that asks for much and reads nothing: its scrape ends at the deadline, its worker is free again. */
static void a_client_that_does_not_read_is_cut(void **state)
{
    (void)state;
    belfry_registry *r = make_registry(9000);
    belfry_endpoint *e = start(
        (belfry_endpoint_options){.http.registry = r, .scrapes_max = 6, .answer_timeout_ms = 200});
    int small = 2048, fds[6];
    /* Many answers behind each other, more than the kernel takes. */
    for (size_t i = 0; i < COUNT(fds); i++) {
        fds[i] = dial(belfry_endpoint_port(e, 0));
        (void)setsockopt(fds[i], SOL_SOCKET, SO_RCVBUF, &small, sizeof small);
        for (int k = 0; k < 20; k++)
            say(fds[i], "GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n");
    }
    WAIT_FOR(e, s.timeouts >= 1 && s.scrapes_running == 0);
    char *answer = ask(belfry_endpoint_port(e, 0), GET("/health", ""));
    assert_memory_equal(answer, "HTTP/1.1 200", 12);
    free(answer);
    for (size_t i = 0; i < COUNT(fds); i++)
        (void)close(fds[i]);
    belfry_endpoint_stop(e);
    belfry_registry_free(r);
}

/* 300 silent connections to a listener that takes 16: a scrape gets through, and memory for 16 is all they have. */
static void silent_connections_make_room(void **state)
{
    (void)state;
    belfry_registry *r = make_registry(1);
    belfry_endpoint *e =
        start((belfry_endpoint_options){.http.registry = r, .connections_max = 16});
    int fds[300];
    for (size_t i = 0; i < COUNT(fds); i++)
        fds[i] = dial(belfry_endpoint_port(e, 0));
    char *answer = ask(belfry_endpoint_port(e, 0), GET("/metrics", ""));
    assert_memory_equal(answer, "HTTP/1.1 200", 12);
    free(answer);
    WAIT_FOR(e, s.connections_open <= 16);
    for (size_t i = 0; i < COUNT(fds); i++)
        if (fds[i] >= 0)
            (void)close(fds[i]);
    belfry_endpoint_stop(e);
    belfry_registry_free(r);
}

/* Headers beyond 32 KiB, and a target beyond it. */
static void huge_headers_are_refused(void **state)
{
    (void)state;
    belfry_registry *r = make_registry(1);
    belfry_endpoint *e = start((belfry_endpoint_options){.http.registry = r});
    char *request = malloc(200000);
    assert_non_null(request);
    for (int kind = 0; kind < 2; kind++) {
        int len = snprintf(request, 200000,
                           kind ? "GET /metrics?" : "GET /metrics HTTP/1.1\r\nHost: x\r\nX-A: ");
        memset(request + len, 'a', 100000);
        (void)snprintf(request + len + 100000, 100,
                       kind ? " HTTP/1.1\r\nHost: x\r\n\r\n" : "\r\n\r\n");
        size_t heard;
        int fd = dial(belfry_endpoint_port(e, 0));
        say(fd, request);
        char *answer = hear(fd, &heard);
        assert_true(heard == 0 || strncmp(answer, "HTTP/1.1 4", 10) == 0);
        free(answer);
        (void)close(fd);
    }
    free(request);
    char *answer = ask(belfry_endpoint_port(e, 0), GET("/health", ""));
    assert_memory_equal(answer, "HTTP/1.1 200", 12);
    free(answer);
    belfry_endpoint_stop(e);
    belfry_registry_free(r);
}

static void *scrape_often(void *arg)
{
    belfry_endpoint *e = arg;
    size_t good = 0;
    for (int i = 0; i < 40; i++) {
        char *answer =
            ask(belfry_endpoint_port(e, 0),
                i % 2 ? GET("/metrics", "Accept-Encoding: zstd\r\n") : GET("/metrics", ""));
        good += strncmp(answer, "HTTP/1.1 200", 12) == 0;
        assert_true(good || strncmp(answer, "HTTP/1.1 503", 12) == 0);
        free(answer);
    }
    return (void *)good;
}

/* Six clients at once, half of them compressed, while a counter is updated. */
static void many_clients_at_once_are_answered(void **state)
{
    (void)state;
    belfry_registry *r = make_registry(2000);
    belfry_endpoint *e = start((belfry_endpoint_options){.http.registry = r, .scrapes_max = 6});
    pthread_t threads[6];
    for (size_t i = 0; i < COUNT(threads); i++)
        assert_int_equal(pthread_create(&threads[i], NULL, scrape_often, e), 0);
    size_t good = 0;
    for (size_t i = 0; i < COUNT(threads); i++) {
        void *count;
        assert_int_equal(pthread_join(threads[i], &count), 0);
        good += (size_t)count;
    }
    WAIT_FOR(e, s.scrapes_total + s.scrapes_refused == 40 * COUNT(threads));
    assert_int_equal(stats_of(e).scrapes_total, good);
    belfry_endpoint_stop(e);
    belfry_registry_free(r);
}

/* Stopping while clients are in the middle of everything. */
static void stop_ends_what_is_open(void **state)
{
    (void)state;
    belfry_registry *r = make_registry(9000);
    for (int round = 0; round < 10; round++) {
        belfry_endpoint *e = start((belfry_endpoint_options){.http.registry = r});
        int fds[8];
        for (size_t i = 0; i < COUNT(fds); i++) {
            fds[i] = dial(belfry_endpoint_port(e, 0));
            say(fds[i], i % 2 ? "GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n" : "GET /met");
        }
        WAIT_FOR(e, s.connections_total >= (uint64_t)(round % 8));
        belfry_endpoint_stop(e);
        for (size_t i = 0; i < COUNT(fds); i++)
            (void)close(fds[i]);
    }
    belfry_endpoint_stop(NULL);
    belfry_registry_free(r);
}

static const struct {
    const char *address, *error;
} ADDRESSES[] = {
    {"127.0.0.1", "it has no port: expected host:port"},
    {"127.0.0.1:", "expected host:port with a port from 0 to 65535"},
    {"127.0.0.1:65536", "expected host:port with a port from 0 to 65535"},
    {"127.0.0.1:-1", "expected host:port with a port from 0 to 65535"},
    {"127.0.0.1:http", "expected host:port with a port from 0 to 65535"},
    {"::1:80", "an IPv6 address is written in brackets"},
    {"unix:", "expected a path of 1 to"},
    {"unix:/nowhere/at/all/x.sock", "could not listen on"},
    {"192.0.2.1:0", "could not listen on \"192.0.2.1:0\": Cannot assign requested address"},
    {NULL, "an address is NULL"},
};

/* Addresses that cannot be listened on, and other options, end with a sentence and nothing open. */
static void wrong_options_are_refused_with_a_sentence(void **state)
{
    (void)state;
    belfry_endpoint *e;
    belfry_http_error why;
    for (size_t i = 0; i < COUNT(ADDRESSES); i++) {
        const char *const both[] = {"127.0.0.1:0", ADDRESSES[i].address};
        const belfry_endpoint_options o = {.addresses = both, .address_count = 2};
        assert_int_not_equal(belfry_endpoint_start(&e, &o, &why), BELFRY_OK);
        assert_null(e);
        if (!strstr(why.message, ADDRESSES[i].error))
            fail_msg("%s -> %s", ADDRESSES[i].address, why.message);
    }
    const char *const loopback[] = {"127.0.0.1:0"};
    belfry_endpoint_options o = {
        .addresses = loopback, .address_count = 1, .certificate_file = "/nowhere/c.pem"};
    assert_int_equal(belfry_endpoint_start(&e, &o, &why), BELFRY_ERROR_FORMAT);
    assert_string_equal(why.message, "TLS needs both certificate_file and key_file");
    o.key_file = "/nowhere/k.pem";
    assert_int_equal(belfry_endpoint_start(&e, &o, &why), BELFRY_ERROR_SYSTEM);
    assert_non_null(strstr(why.message, "could not use certificate \"/nowhere/c.pem\""));
    o = (belfry_endpoint_options){0};
    assert_int_equal(belfry_endpoint_start(&e, &o, &why), BELFRY_ERROR_FORMAT);
    assert_string_equal(why.message, "no address to listen on");
    belfry_endpoint *first = start((belfry_endpoint_options){0});
    const char *const taken[] = {belfry_endpoint_address(first, 0)};
    o = (belfry_endpoint_options){.addresses = taken, .address_count = 1};
    assert_int_equal(belfry_endpoint_start(&e, &o, &why), BELFRY_ERROR_SYSTEM);
    assert_non_null(strstr(why.message, "Address already in use"));
    belfry_endpoint_stop(first);
}

/* A path that a dead process left is taken over; one that lives is not. */
static void unix_sockets_are_served(void **state)
{
    (void)state;
    char path[64], address[80];
    (void)snprintf(path, sizeof path, "/tmp/belfry-endpoint-%d.sock", (int)getpid());
    (void)snprintf(address, sizeof address, "unix:%s", path);
    struct sockaddr_un sa = {.sun_family = AF_UNIX};
    memcpy(sa.sun_path, path, strlen(path));
    int left = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(bind(left, (struct sockaddr *)&sa, sizeof sa), 0);
    (void)close(left);
    belfry_registry *r = make_registry(1);
    const char *const addresses[] = {address};
    const belfry_endpoint_options o = {
        .http.registry = r, .addresses = addresses, .address_count = 1};
    belfry_endpoint *e = start(o), *second;
    belfry_http_error why;
    assert_string_equal(belfry_endpoint_address(e, 0), address);
    assert_int_equal(belfry_endpoint_start(&second, &o, &why), BELFRY_ERROR_SYSTEM);
    size_t len;
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(connect(fd, (struct sockaddr *)&sa, sizeof sa), 0);
    say(fd, GET("/metrics", ""));
    char *answer = hear(fd, &len);
    assert_non_null(strstr(answer, "somewhat-long-0\"} 0\n"));
    free(answer);
    (void)close(fd);
    belfry_endpoint_stop(e);
    assert_int_equal(access(path, F_OK), -1);
    belfry_registry_free(r);
}

/* The child holds no port: once the parent stopped, nobody listens. And what it does to the endpoint harms nobody. */
static void a_forked_child_does_not_serve(void **state)
{
    (void)state;
    belfry_registry *r = make_registry(1);
    belfry_endpoint *e = start((belfry_endpoint_options){.http.registry = r});
    uint16_t port = belfry_endpoint_port(e, 0);
    int kept = dial(port), tell[2];
    WAIT_FOR(e, s.connections_open == 1);
    assert_int_equal(pipe(tell), 0);
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        char byte;
        (void)close(tell[1]); /* it ends with its parent */
        belfry_endpoint_stop(e);
        _exit(read(tell[0], &byte, 1) == 1 ? 0 : 1);
    }
    char *answer = ask(port, GET("/metrics", ""));
    assert_memory_equal(answer, "HTTP/1.1 200", 12);
    free(answer);
    size_t len;
    say(kept, GET("/health", ""));
    answer = hear(kept, &len); /* its end is seen, though the child lives */
    assert_memory_equal(answer, "HTTP/1.1 200", 12);
    free(answer);
    (void)close(kept);
    belfry_endpoint_stop(e);
    int again = dial(port);
    for (int tries = LIMIT_MS / 5; again >= 0 && tries > 0; tries--) {
        (void)close(again); /* for a while the port may be another program's */
        (void)usleep(5000);
        again = dial(port);
    }
    assert_int_equal(again, -1);
    int status;
    assert_int_equal(write(tell[1], "x", 1), 1);
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
    (void)close(tell[0]);
    (void)close(tell[1]);
    belfry_registry_free(r);
}

/* IPv6, and all addresses at once. */
static void several_addresses_are_served(void **state)
{
    (void)state;
    belfry_registry *r = make_registry(1);
    const char *const addresses[] = {"127.0.0.1:0", ":0", "localhost:0"};
    belfry_endpoint *e = start(
        (belfry_endpoint_options){.http.registry = r, .addresses = addresses, .address_count = 3});
    for (size_t i = 0; i < 2; i++) {
        char *answer = ask(belfry_endpoint_port(e, i), GET("/health", ""));
        assert_memory_equal(answer, "HTTP/1.1 200", 12);
        free(answer);
    }
    assert_non_null(belfry_endpoint_address(e, 2));
    belfry_endpoint_stop(e);
    belfry_registry_free(r);
}

/* What a program calls that did not look at the status of its start. */
static void what_did_not_start_has_no_address(void **state)
{
    (void)state;
    belfry_endpoint *e = NULL;
    belfry_http *http = NULL;
    belfry_endpoint_stats stats = {.requests_total = 7};
    belfry_http_answer answer;
    assert_int_equal(belfry_endpoint_start(&e, NULL, NULL), BELFRY_ERROR_NULL);
    assert_int_equal(belfry_endpoint_start(NULL, NULL, NULL), BELFRY_ERROR_NULL);
    assert_int_equal(belfry_http_new(&http, NULL, NULL), BELFRY_ERROR_NULL);
    assert_null(belfry_endpoint_address(e, 0));
    assert_int_equal(belfry_endpoint_port(e, 0), 0);
    belfry_endpoint_stats_get(e, &stats);
    assert_int_equal(stats.requests_total, 0);
    belfry_endpoint_stats_get(e, NULL);
    belfry_endpoint_stop(e);
    belfry_http_answer_make(http, &(belfry_http_request){.method = "GET", .target = "/"}, &answer);
    assert_int_equal(answer.status, 500);
    belfry_http_answer_release(&answer);
    belfry_http_free(http);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(paths_are_answered),
        cmocka_unit_test(a_connection_is_kept),
        cmocka_unit_test(a_large_registry_is_streamed),
        cmocka_unit_test(scrapes_at_the_same_time_are_limited),
        cmocka_unit_test(the_scrape_timeout_of_the_client_holds),
        cmocka_unit_test(slow_requests_are_cut),
        cmocka_unit_test(a_client_that_does_not_read_is_cut),
        cmocka_unit_test(silent_connections_make_room),
        cmocka_unit_test(huge_headers_are_refused),
        cmocka_unit_test(many_clients_at_once_are_answered),
        cmocka_unit_test(stop_ends_what_is_open),
        cmocka_unit_test(wrong_options_are_refused_with_a_sentence),
        cmocka_unit_test(unix_sockets_are_served),
        cmocka_unit_test(a_forked_child_does_not_serve),
        cmocka_unit_test(several_addresses_are_served),
        cmocka_unit_test(what_did_not_start_has_no_address),
    };
    if (argc > 1) /* one of them */
        cmocka_set_test_filter(argv[1]);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
