/* SPDX-License-Identifier: Apache-2.0 */
/* push_test.c: pushes against a small server of this file: addresses of groups, what is tried again, what a last push
 * and a fork do. Real peers are in tests/integration/test_push.py. */
#include "instrument_http/push_url.h"
#include "instrument_http/snappy_block.h"

#include <belfry/push.h>

#include <arpa/inet.h>
#include <netinet/in.h>
#include <pthread.h>
#include <setjmp.h>
#include <snappy-c.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))

/* ---- a server: answers each request with the next line of a script, keeps the last request ---- */

struct server {
    int fd;
    uint16_t port;
    pthread_t thread;
    const char *const *script; /* "200", "503 Retry-After: 0"; the last one goes on */
    pthread_mutex_t mutex;
    unsigned requests;
    char last[65536]; /* as far as it fits */
    size_t last_bytes;
};

static bool read_request(struct server *s, int fd)
{
    size_t len = 0, need = 0;
    char buffer[65536];
    for (;;) {
        ssize_t n = recv(fd, buffer + len, sizeof buffer - 1 - len, 0);
        if (n <= 0)
            return false;
        len += (size_t)n;
        buffer[len] = '\0';
        const char *end = strstr(buffer, "\r\n\r\n");
        if (!end)
            continue;
        const char *length = strcasestr(buffer, "Content-Length: ");
        need = (size_t)(end - buffer) + 4 + (length ? strtoul(length + 16, NULL, 10) : 0);
        if (len >= need)
            break;
    }
    pthread_mutex_lock(&s->mutex);
    memcpy(s->last, buffer, len + 1);
    s->last_bytes = len;
    s->requests++;
    pthread_mutex_unlock(&s->mutex);
    return true;
}

static void *serve(void *arg)
{
    struct server *s = arg;
    size_t at = 0;
    for (;;) {
        int fd = accept(s->fd, NULL, NULL);
        if (fd < 0)
            return NULL;
        while (read_request(s, fd)) {
            const char *line = s->script[at];
            at += s->script[at + 1] != NULL;
            char text[512];
            int len = snprintf(text, sizeof text,
                               "HTTP/1.1 %.3s X\r\n%s%sContent-Length: 5\r\n\r\nwhy?\n", line,
                               line[3] ? line + 4 : "", line[3] ? "\r\n" : "");
            if (send(fd, text, (size_t)len, MSG_NOSIGNAL) != len)
                break;
        }
        (void)close(fd);
    }
}

static void server_listen(struct server *s, const char *const *script)
{
    struct sockaddr_in sa = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t bytes = sizeof sa;
    *s = (struct server){.script = script};
    pthread_mutex_init(&s->mutex, NULL);
    s->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(bind(s->fd, (struct sockaddr *)&sa, sizeof sa), 0);
    assert_int_equal(listen(s->fd, 16), 0);
    assert_int_equal(getsockname(s->fd, (struct sockaddr *)&sa, &bytes), 0);
    s->port = ntohs(sa.sin_port);
}

static void server_start(struct server *s, const char *const *script)
{
    server_listen(s, script);
    assert_int_equal(pthread_create(&s->thread, NULL, serve, s), 0);
}

static void server_stop(struct server *s)
{
    (void)shutdown(s->fd, SHUT_RDWR);
    assert_int_equal(pthread_join(s->thread, NULL), 0);
    (void)close(s->fd);
    pthread_mutex_destroy(&s->mutex);
}

static unsigned requests_of(struct server *s)
{
    pthread_mutex_lock(&s->mutex);
    unsigned n = s->requests;
    pthread_mutex_unlock(&s->mutex);
    return n;
}

static bool last_has(struct server *s, const char *text)
{
    pthread_mutex_lock(&s->mutex);
    bool has = strstr(s->last, text) != NULL;
    pthread_mutex_unlock(&s->mutex);
    return has;
}

static const char *url_of(const struct server *s)
{
    static char url[64];
    (void)snprintf(url, sizeof url, "http://127.0.0.1:%u", s->port);
    return url;
}

static belfry_registry *make_registry(void)
{
    belfry_registry *r = belfry_registry_new();
    belfry_counter *c;
    assert_non_null(r);
    assert_int_equal(belfry_counter_new(&c, r, "app_rows_total", "Rows."), BELFRY_OK);
    belfry_counter_add(c, 7);
    return r;
}

static belfry_push *start(belfry_push_options o)
{
    belfry_push *p;
    belfry_http_error why = {""};
    if (belfry_push_start(&p, &o, &why) != BELFRY_OK)
        fail_msg("%s", why.message);
    return p;
}

static belfry_push_stats stats_of(belfry_push *p)
{
    belfry_push_stats s;
    belfry_push_stats_get(p, &s);
    return s;
}

/* ---- cases ---- */

static const struct {
    const char *base, *job, *name, *value, *url;
} URLS[] = {
    {"http://g:9091", "backup", NULL, NULL, "http://g:9091/metrics/job/backup"},
    {"http://g:9091//", "backup", "instance", "a", "http://g:9091/metrics/job/backup/instance/a"},
    {"http://g/p/", "a b", "x", "1:2?#%", "http://g/p/metrics/job/a%20b/x/1%3A2%3F%23%25"},
    {"http://g", "a/b", "path", "/var/tmp",
     "http://g/metrics/job@base64/YS9i/path@base64/L3Zhci90bXA="},
    {"http://g", "j", "empty", "", "http://g/metrics/job/j/empty@base64/="},
    {"http://g", "j", "up", "..", "http://g/metrics/job/j/up@base64/Li4="},
    {"http://g", "j", "utf8", "\xc3\xa9", "http://g/metrics/job/j/utf8/%C3%A9"},
    {"http://g", "j", "b", "/\xc3\xbf\xc3\xbe?", "http://g/metrics/job/j/b@base64/L8O_w74_"},
};

/* A table of groups and their addresses. */
static void groups_have_addresses(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT(URLS); i++) {
        struct text url = {0};
        const belfry_label label = {URLS[i].name, URLS[i].value};
        belfry__push_url(&url, URLS[i].base, URLS[i].job, &label, URLS[i].name != NULL);
        assert_string_equal(url.ptr, URLS[i].url);
        belfry__text_deinit(&url);
    }
}

static const belfry_label JOB_LABEL[] = {{"job", "x"}}, TWICE[] = {{"a", "x"}, {"a", "y"}},
                          DIGIT[] = {{"1a", "x"}}, BROKEN[] = {{"a", "\xff"}};

static const struct {
    belfry_push_options options;
    const char *error;
} FAULTS[] = {
    {{.job = "j"}, "no url"},
    {{.job = "j", .remote.url = "gateway:9091"}, "the url must begin with http:// or https://"},
    {{.job = "j", .remote.url = "ftp://g"}, "the url must begin with http:// or https://"},
    {{.job = "j", .remote.url = "http://u:pw@g"},
     "the url has a name or password: they have options of their own"},
    {{.job = "j", .remote.url = "http://g/ x"}, "the url has a blank or control character"},
    {{.job = "j", .remote.url = "http:///x"}, "the url has no host"},
    {{.remote.url = "http://g"}, "a gateway needs a job"},
    {{.job = "", .remote.url = "http://g"}, "a gateway needs a job"},
    {{.job = "j", .remote.url = "http://g", .grouping = JOB_LABEL, .grouping_count = 1},
     "a grouping label's name must be letters, digits and _, not begin with a digit or __, and not "
     "be job"},
    {{.job = "j", .remote.url = "http://g", .grouping = DIGIT, .grouping_count = 1},
     "a grouping label's name must be letters, digits and _, not begin with a digit or __, and not "
     "be job"},
    {{.job = "j", .remote.url = "http://g", .grouping = TWICE, .grouping_count = 2},
     "a grouping label is there twice"},
    {{.job = "j", .remote.url = "http://g", .grouping = BROKEN, .grouping_count = 1},
     "a grouping label's value must be UTF-8 of at most 1024 bytes"},
    {{.job = "j", .remote = {.url = "http://g", .username = "u"}},
     "basic authentication needs both a name and a password"},
    {{.job = "j",
      .remote = {.url = "http://g", .username = "u", .password = "p", .bearer_token = "t"}},
     "a token and a password at the same time"},
};

/* Wrong options are refused with a sentence. */
static void wrong_options_are_refused_with_a_sentence(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT(FAULTS); i++) {
        belfry_push *p = (belfry_push *)(uintptr_t)1;
        belfry_http_error why = {""};
        assert_int_equal(belfry_push_start(&p, &FAULTS[i].options, &why), BELFRY_ERROR_FORMAT);
        assert_null(p);
        assert_string_equal(why.message, FAULTS[i].error);
    }
}

/* PUT with the registry's text; what is tried again, and what not; the sentence says who answered what. */
static void pushes_are_tried_again(void **state)
{
    (void)state;
    static const struct {
        const char *const script[5];
        unsigned requests;
        bool ok;
        const char *error;
    } cases[] = {
        {{"200", NULL}, 1, true, ""},
        {{"202", NULL}, 1, true, ""},
        {{"503", "500", "200", NULL}, 3, true, ""},
        {{"429 Retry-After: 0", "200", NULL}, 2, true, ""},
        {{"503", NULL}, 4, false, " answered 503: why?"},
        {{"400", NULL}, 1, false, " answered 400: why?"},
        {{"401", NULL}, 1, false, " answered 401: why?"},
        {{"302 Location: /elsewhere", NULL}, 1, false, " answered 302: why?"},
    };
    belfry_registry *r = make_registry();
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct server s;
        belfry_http_error why = {""};
        server_start(&s, cases[i].script);
        belfry_push *p =
            start((belfry_push_options){.registry = r,
                                        .remote = {.url = url_of(&s), .bearer_token = "s3cret"},
                                        .job = "j",
                                        .retry_ms = 1});
        assert_int_equal(belfry_push_now(p, &why) == BELFRY_OK, cases[i].ok);
        assert_int_equal(requests_of(&s), cases[i].requests);
        if (!strstr(why.message, cases[i].error))
            fail_msg("%s", why.message);
        assert_int_equal(stats_of(p).pushes, cases[i].ok);
        assert_int_equal(stats_of(p).failures, !cases[i].ok);
        assert_int_equal(stats_of(p).attempts, cases[i].requests);
        assert_string_equal(stats_of(p).last_failure.message, why.message);
        assert_null(strstr(why.message, "s3cret"));
        assert_true(last_has(&s, "PUT /metrics/job/j HTTP/1.1\r\n"));
        assert_true(last_has(&s, "Authorization: Bearer s3cret\r\n"));
        assert_true(last_has(&s, "Content-Type: text/plain; version=0.0.4"));
        assert_true(last_has(&s, "\napp_rows_total 7\n"));
        assert_false(last_has(&s, "Expect:"));
        assert_int_equal(belfry_push_stop(p, false, NULL), BELFRY_OK);
        server_stop(&s);
    }
    belfry_registry_free(r);
}

/* DELETE has no body; POST where others are kept. */
static void a_group_is_deleted(void **state)
{
    (void)state;
    static const char *const script[] = {"202", NULL};
    struct server s;
    server_start(&s, script);
    belfry_registry *r = make_registry();
    belfry_push *p = start((belfry_push_options){
        .registry = r, .remote.url = url_of(&s), .job = "j", .keep_others = true});
    assert_int_equal(belfry_push_now(p, NULL), BELFRY_OK);
    assert_true(last_has(&s, "POST /metrics/job/j HTTP/1.1\r\n"));
    assert_int_equal(belfry_push_delete(p, NULL), BELFRY_OK);
    assert_true(last_has(&s, "DELETE /metrics/job/j HTTP/1.1\r\n"));
    assert_false(last_has(&s, "app_rows_total"));
    assert_int_equal(belfry_push_now(p, NULL), BELFRY_OK);
    assert_true(last_has(&s, "POST /metrics/job/j HTTP/1.1\r\n"));
    assert_int_equal(belfry_push_stop(p, false, NULL), BELFRY_OK);
    server_stop(&s);
    belfry_registry_free(r);
}

/* Nobody listens: said so, within the attempts. */
static void an_absent_gateway_is_said(void **state)
{
    (void)state;
    static const char *const script[] = {"200", NULL};
    struct server s;
    belfry_http_error why;
    server_start(&s, script);
    belfry_push *p = start((belfry_push_options){
        .remote.url = url_of(&s), .job = "j", .retry_ms = 1, .attempts_max = 2});
    server_stop(&s);
    assert_int_equal(belfry_push_now(p, &why), BELFRY_ERROR_SYSTEM);
    assert_memory_equal(why.message, "could not reach http://127.0.0.1:", 33);
    assert_int_equal(stats_of(p).attempts, 2);
    assert_int_equal(belfry_push_stop(p, true, &why), BELFRY_ERROR_SYSTEM);
}

/* A thread pushes at an interval, others push at the same time and update; stopping gives up what hangs. */
static void an_interval_pushes(void **state)
{
    (void)state;
    static const char *const script[] = {"200", NULL};
    struct server s;
    server_start(&s, script);
    belfry_registry *r = make_registry();
    belfry_push *p = start((belfry_push_options){
        .registry = r, .remote.url = url_of(&s), .job = "j", .interval_ms = 5});
    assert_int_equal(belfry_push_register(p, r), BELFRY_OK);
    for (int tries = 0; tries < 6000 && stats_of(p).pushes < 5; tries++)
        (void)usleep(5000);
    assert_true(stats_of(p).pushes >= 5);
    assert_true(stats_of(p).last_push_seconds > 1e9);
    assert_int_equal(belfry_push_now(p, NULL), BELFRY_OK);
    assert_true(last_has(&s, "\nbelfry_pushes_total "));
    assert_int_equal(belfry_push_stop(p, true, NULL), BELFRY_OK);
    char *text;
    size_t len;
    assert_int_equal(belfry_registry_text(r, &text, &len), BELFRY_OK); /* outlives the push */
    assert_non_null(strstr(text, "\nbelfry_push_failures_total "));
    belfry_text_free(text);
    server_stop(&s);
    belfry_registry_free(r);
}

/* A retry that would wait for minutes ends at once when the push is stopped. */
static void stopping_does_not_wait_for_a_retry(void **state)
{
    (void)state;
    static const char *const script[] = {"503", NULL};
    struct server s;
    server_start(&s, script);
    belfry_registry *r = make_registry();
    belfry_push *p = start((belfry_push_options){
        .registry = r, .remote.url = url_of(&s), .job = "j", .interval_ms = 1, .retry_ms = 600000});
    for (int tries = 0; tries < 6000 && stats_of(p).attempts < 1; tries++)
        (void)usleep(5000);
    assert_int_equal(belfry_push_stop(p, false, NULL),
                     BELFRY_OK); /* the test's own time limit says how soon */
    server_stop(&s);
    belfry_registry_free(r);
}

/* In a child every function fails or does nothing; at its exit() nothing is pushed, at the parent's once. */
static void a_forked_child_does_not_push(void **state)
{
    (void)state;
    static const char *const script[] = {"200", NULL};
    struct server s;
    server_listen(&s, script);
    pid_t parent = fork();
    assert_true(parent >= 0);
    if (parent == 0) { /* a process of its own, because it must exit() */
        int status = 1;
        belfry_push *p;
        const belfry_push_options o = {
            .remote.url = url_of(&s), .job = "j", .interval_ms = 1000000, .at_exit = true};
        if (belfry_push_start(&p, &o, NULL) != BELFRY_OK)
            _exit(2);
        pid_t child = fork();
        if (child == 0) {
            belfry_http_error why;
            if (belfry_push_now(p, &why) == BELFRY_OK || belfry_push_delete(p, &why) == BELFRY_OK)
                _exit(3);
            belfry_push_stats stats;
            belfry_push_stats_get(p, &stats);
            exit(strstr(why.message, "its child") ? 0 : 4);
        }
        if (waitpid(child, &status, 0) != child || !WIFEXITED(status) || WEXITSTATUS(status) != 0)
            _exit(5);
        exit(0);
    }
    assert_int_equal(pthread_create(&s.thread, NULL, serve, &s), 0);
    int status;
    assert_int_equal(waitpid(parent, &status, 0), parent);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 0);
    assert_int_equal(requests_of(&s), 1);
    server_stop(&s);
}

/* Snappy's own library reads what we wrote: text, noise, one byte repeated, all lengths around a fragment's end. */
static void snappy_reads_our_blocks(void **state)
{
    (void)state;
    enum { BYTES = 200000 };
    char *in = malloc(BYTES), *out = malloc(SNAPPY_BYTES_MAX(BYTES)), *back = malloc(BYTES);
    assert_non_null(in);
    assert_non_null(out);
    assert_non_null(back);
    static const size_t lengths[] = {0,     1,     3,     4,      15,     16,   17,   59,
                                     60,    61,    62,    255,    256,    257,  1000, 65535,
                                     65536, 65537, 65551, 131072, 131073, BYTES};
    for (int kind = 0; kind < 4; kind++) {
        uint32_t x = 3;
        for (size_t i = 0; i < BYTES; i++) {
            x = x * 1664525 + 1013904223;
            in[i] = kind == 0   ? 'a'
                    : kind == 1 ? (char)(x >> 24)
                    : kind == 2 ? "app_requests_total{path=\"/a\"} "[i % 31]
                                : (char)((x >> 30) + 'a');
        }
        for (size_t i = 0; i < COUNT(lengths); i++) {
            size_t len = belfry__snappy(out, in, lengths[i]), back_len = BYTES;
            assert_true(len <= SNAPPY_BYTES_MAX(lengths[i]));
            assert_int_equal(snappy_uncompress(out, len, back, &back_len), SNAPPY_OK);
            assert_int_equal(back_len, lengths[i]);
            assert_memory_equal(back, in, back_len);
        }
    }
    free(in);
    free(out);
    free(back);
}

/* Many series in several requests, each of which is a snappy block. */
static void remote_write_goes_in_batches(void **state)
{
    (void)state;
    static const char *const script[] = {"204", NULL}, *const names[] = {"row"};
    struct server s;
    server_start(&s, script);
    belfry_registry *r = belfry_registry_new();
    belfry_gauge_family *f;
    assert_int_equal(belfry_gauge_family_new(&f, r, "app_size", "Size.", names, 1), BELFRY_OK);
    for (int i = 0; i < 5000; i++) {
        char text[16];
        (void)snprintf(text, sizeof text, "%d", i);
        const char *const values[] = {text};
        belfry_gauge_set(belfry_gauge_family_with(f, values), i);
    }
    belfry_push *p = start((belfry_push_options){
        .registry = r, .protocol = BELFRY_PUSH_REMOTE_WRITE, .remote.url = url_of(&s), .job = "j"});
    assert_int_equal(belfry_push_now(p, NULL), BELFRY_OK);
    assert_int_equal(requests_of(&s), 3);
    assert_true(last_has(&s, "Content-Encoding: snappy\r\n"));
    assert_true(last_has(&s, "X-Prometheus-Remote-Write-Version: 0.1.0\r\n"));
    const char *body = strstr(s.last, "\r\n\r\n") + 4;
    size_t len = s.last_bytes - (size_t)(body - s.last);
    assert_int_equal(snappy_validate_compressed_buffer(body, len), SNAPPY_OK);
    belfry_http_error why;
    assert_int_equal(belfry_push_delete(p, &why), BELFRY_ERROR_FORMAT);
    assert_int_equal(belfry_push_stop(p, false, NULL), BELFRY_OK);
    server_stop(&s);
    belfry_registry_free(r);
}

/* A bucket with `*arg` labels and le. */
static void emit_wide(void *arg, belfry_emitter *e)
{
    const size_t *count = arg;
    belfry_label labels[100];
    char names[100][8];
    for (size_t i = 0; i < *count; i++) {
        (void)snprintf(names[i], sizeof names[i], "a%zu", i);
        labels[i] = (belfry_label){names[i], "x"};
    }
    labels[*count] = (belfry_label){"le", "+Inf"};
    belfry_emit_family(e, "app_wide", "Wide.", BELFRY_HISTOGRAM);
    belfry_emit_sample(e, "_bucket", labels, *count + 1, 1);
}

static bool last_body_has(const struct server *s, const char *text)
{
    static char plain[100000];
    size_t plain_len = sizeof plain;
    const char *body = strstr(s->last, "\r\n\r\n") + 4;
    assert_int_equal(
        snappy_uncompress(body, s->last_bytes - (size_t)(body - s->last), plain, &plain_len),
        SNAPPY_OK);
    return memmem(plain, plain_len, text, strlen(text)) != NULL;
}

/* As many labels as a family, a registry and a group may have keep le and the group's; more are refused. */
static void remote_write_loses_no_label(void **state)
{
    (void)state;
    static const char *const script[] = {"204", NULL};
    belfry_label group[32];
    char names[32][8];
    struct server s;
    size_t count = 32;
    for (size_t i = 0; i < 32; i++) {
        (void)snprintf(names[i], sizeof names[i], "z%zu", i);
        group[i] = (belfry_label){names[i], "grouped"};
    }
    server_start(&s, script);
    belfry_registry *r = belfry_registry_new();
    assert_int_equal(belfry_collector_new(r, emit_wide, &count, NULL), BELFRY_OK);
    belfry_push *p = start((belfry_push_options){.registry = r,
                                                 .protocol = BELFRY_PUSH_REMOTE_WRITE,
                                                 .remote.url = url_of(&s),
                                                 .job = "j",
                                                 .grouping = group,
                                                 .grouping_count = 32});
    assert_int_equal(belfry_push_now(p, NULL), BELFRY_OK);
    assert_true(last_body_has(&s, "\n\x02le\x12\x04+Inf"));
    assert_true(last_body_has(&s, "\n\x03z31\x12\x07grouped"));
    belfry_http_error why;
    count = 80;
    assert_int_equal(belfry_push_now(p, &why), BELFRY_ERROR_FORMAT);
    assert_string_equal(why.message, "a series has more than 80 labels, with those of the group");
    assert_int_equal(requests_of(&s), 1);
    assert_int_equal(belfry_push_stop(p, false, NULL), BELFRY_OK);
    server_stop(&s);
    belfry_registry_free(r);
}

/* The transport of spans: what the environment says, what is refused, and what came back. */
static void otlp_takes_the_environment(void **state)
{
    (void)state;
    static const char *const script[] = {"429 Retry-After: 7", "200", NULL};
    struct server s;
    belfry_transport t;
    belfry_http_error why;
    unsetenv("OTEL_EXPORTER_OTLP_ENDPOINT");
    assert_int_equal(belfry_otlp_transport(&t, NULL, &why), BELFRY_ERROR_FORMAT);
    assert_string_equal(why.message, "no url, and OTEL_EXPORTER_OTLP_ENDPOINT is not set");
    assert_null(t.post);
    server_start(&s, script);
    setenv("OTEL_EXPORTER_OTLP_ENDPOINT", url_of(&s), 1);
    setenv("OTEL_EXPORTER_OTLP_HEADERS", "x-a = b%20c , x-d=e", 1);
    setenv("OTEL_EXPORTER_OTLP_TIMEOUT", "fast", 1);
    assert_int_equal(belfry_otlp_transport(&t, NULL, &why), BELFRY_ERROR_FORMAT);
    setenv("OTEL_EXPORTER_OTLP_TIMEOUT", "5000", 1);
    assert_int_equal(belfry_otlp_transport(&t, NULL, &why), BELFRY_OK);
    belfry_post_reply reply = {0};
    t.post(t.arg, "{}", 2, &reply);
    assert_int_equal(reply.status, 429);
    assert_int_equal(reply.retry_after_ms, 7000);
    assert_memory_equal(reply.body, "why?", 4);
    reply = (belfry_post_reply){0};
    t.post(t.arg, "{}", 2, &reply);
    assert_int_equal(reply.status, 200);
    assert_true(last_has(&s, "POST /v1/traces HTTP/1.1\r\n"));
    assert_true(last_has(&s, "\r\nx-a: b c\r\n"));
    assert_true(last_has(&s, "\r\nx-d: e\r\n"));
    assert_true(last_has(&s, "Content-Type: application/json\r\n"));
    t.cancel(t.arg);
    reply = (belfry_post_reply){0};
    t.post(t.arg, "{}", 2, &reply);
    assert_int_equal(reply.status, 0);
    t.release(t.arg);
    server_stop(&s);
}

/* What a program calls that did not look at the status of its start. */
static void what_did_not_start_is_no_push(void **state)
{
    (void)state;
    belfry_push *p = NULL;
    belfry_http_error why = {""};
    belfry_push_stats stats = {.pushes = 7};
    assert_int_equal(belfry_push_start(&p, &(belfry_push_options){0}, &why), BELFRY_ERROR_FORMAT);
    assert_null(p);
    why.message[0] = '\0';
    assert_int_equal(belfry_push_now(p, &why), BELFRY_ERROR_NULL);
    assert_string_equal(why.message, "there is no push: it was not started");
    assert_int_equal(belfry_push_delete(p, NULL), BELFRY_ERROR_NULL);
    assert_int_equal(belfry_push_register(p, NULL), BELFRY_ERROR_NULL);
    belfry_push_stats_get(p, &stats);
    assert_int_equal(stats.pushes, 0);
    belfry_push_stats_get(p, NULL);
    assert_int_equal(belfry_push_stop(p, true, &why), BELFRY_OK);
    assert_int_equal(belfry_push_start(&p, NULL, &why), BELFRY_ERROR_NULL);
    assert_int_equal(belfry_push_start(NULL, NULL, NULL), BELFRY_ERROR_NULL);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(groups_have_addresses),
        cmocka_unit_test(wrong_options_are_refused_with_a_sentence),
        cmocka_unit_test(pushes_are_tried_again),
        cmocka_unit_test(a_group_is_deleted),
        cmocka_unit_test(an_absent_gateway_is_said),
        cmocka_unit_test(an_interval_pushes),
        cmocka_unit_test(stopping_does_not_wait_for_a_retry),
        cmocka_unit_test(a_forked_child_does_not_push),
        cmocka_unit_test(snappy_reads_our_blocks),
        cmocka_unit_test(remote_write_goes_in_batches),
        cmocka_unit_test(remote_write_loses_no_label),
        cmocka_unit_test(otlp_takes_the_environment),
        cmocka_unit_test(what_did_not_start_is_no_push),
    };
    if (argc > 1) /* one of them */
        cmocka_set_test_filter(argv[1]);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
