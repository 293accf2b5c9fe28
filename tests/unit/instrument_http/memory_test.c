/* SPDX-License-Identifier: Apache-2.0 */
/* memory_test.c: the n-th allocation of the library fails, for every n: it says so, answers so, and neither ends nor harms
 * its host. The linker sends the library's allocations here (--wrap, meson.build). */
#include <belfry/http.h>
#include <belfry/push.h>

#include <arpa/inet.h>
#include <netinet/in.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

static _Atomic long countdown = -1; /* allocations until one fails; negative: none does */

/* Any thread: exactly one of them sees the 0. */
static bool fails_now(void)
{
    return atomic_load(&countdown) >= 0 && atomic_fetch_sub(&countdown, 1) == 0;
}

void *__real_malloc(size_t bytes);
void *__real_calloc(size_t count, size_t bytes);
void *__real_realloc(void *ptr, size_t bytes);
char *__real_strdup(const char *text);
char *__real_strndup(const char *text, size_t len);
void *__wrap_malloc(size_t bytes);
void *__wrap_calloc(size_t count, size_t bytes);
void *__wrap_realloc(void *ptr, size_t bytes);
char *__wrap_strdup(const char *text);
char *__wrap_strndup(const char *text, size_t len);

void *__wrap_malloc(size_t bytes)
{
    return fails_now() ? NULL : __real_malloc(bytes);
}

void *__wrap_calloc(size_t count, size_t bytes)
{
    return fails_now() ? NULL : __real_calloc(count, bytes);
}

void *__wrap_realloc(void *ptr, size_t bytes)
{
    return fails_now() ? NULL : __real_realloc(ptr, bytes);
}

char *__wrap_strdup(const char *text)
{
    return fails_now() ? NULL : __real_strdup(text);
}

char *__wrap_strndup(const char *text, size_t len)
{
    return fails_now() ? NULL : __real_strndup(text, len);
}

static belfry_registry *registry;

/* Was it done, or refused for want of memory? Anything else is a fault. */
static bool was_done(belfry_status status, const void *out, const char *message)
{
    if (status == BELFRY_OK) {
        assert_non_null(out);
        return true;
    }
    assert_int_equal(status, BELFRY_ERROR_MEMORY);
    assert_null(out);
    assert_string_equal(message, "no memory");
    return false;
}

static const belfry_http_options SECURED = {
    .bearer_token = "t", .username = "u", .password = "p", .service = "s", .version = "1"};

static bool use_answers(void)
{
    belfry_http *http;
    belfry_http_error why;
    belfry_http_options o = SECURED;
    o.registry = registry;
    belfry_status status = belfry_http_new(&http, &o, &why);
    if (!was_done(status, http, why.message))
        return false;
    static const char *const codings[] = {"gzip", "zstd", NULL}, *const targets[] = {
                                                                     "/metrics?name[]=app_total",
                                                                     "/metrics", "/health"};
    bool all = true;
    for (size_t i = 0; i < 3; i++) {
        const belfry_http_request rq = {.method = "GET",
                                        .target = targets[i],
                                        .accept_encoding = codings[i],
                                        .authorization = "Bearer t"};
        belfry_http_answer a;
        belfry_http_answer_make(http, &rq, &a);
        assert_true(a.status == 200 || a.status == 503);
        all = all && a.status == 200;
        belfry_http_answer_release(&a);
    }
    belfry_http_free(http);
    return all;
}

static bool use_endpoint(void)
{
    belfry_endpoint *e;
    belfry_http_error why;
    const char *const address[] = {"127.0.0.1:0"};
    const belfry_endpoint_options o = {
        .http.registry = registry, .addresses = address, .address_count = 1};
    belfry_status status = belfry_endpoint_start(&e, &o, &why);
    if (!was_done(status, e, why.message))
        return false;
    struct sockaddr_in sa = {.sin_family = AF_INET,
                             .sin_port = htons(belfry_endpoint_port(e, 0)),
                             .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    static const char request[] =
        "GET /metrics HTTP/1.1\r\nHost: x\r\nConnection: close\r\nAccept-Encoding: gzip\r\n\r\n";
    char answer[16384] = "";
    size_t len = 0;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(connect(fd, (struct sockaddr *)&sa, sizeof sa), 0);
    assert_int_equal(send(fd, request, sizeof request - 1, MSG_NOSIGNAL), sizeof request - 1);
    for (ssize_t n; (n = recv(fd, answer + len, sizeof answer - 1 - len, 0)) > 0;)
        len += (size_t)n;
    (void)close(fd);
    assert_true(len == 0 || strncmp(answer, "HTTP/1.1 200", 12) == 0 ||
                strncmp(answer, "HTTP/1.1 503", 12) == 0);
    belfry_endpoint_stop(e);
    return strncmp(answer, "HTTP/1.1 200", 12) == 0;
}

static bool use_push(belfry_push_protocol protocol)
{
    static const belfry_label grouping[] = {{"a", "b"}, {"c", "/d"}};
    static const belfry_http_header headers[] = {{"X-A", "b"}};
    belfry_push *p;
    belfry_http_error why;
    /* Port 9 discards or is closed: what matters is that nothing breaks on the way there. */
    const belfry_push_options o = {
        .registry = registry,
        .protocol = protocol,
        .remote = {.url = "http://127.0.0.1:9",
                   .bearer_token = "t",
                   .headers = headers,
                   .header_count = 1,
                   .timeout_ms = 200},
        .job = "j",
        .grouping = grouping,
        .grouping_count = 2,
        .attempts_max = 1,
    };
    belfry_status status = belfry_push_start(&p, &o, &why);
    if (!was_done(status, p, why.message))
        return false;
    status = belfry_push_now(p, &why);
    assert_int_not_equal(status, BELFRY_OK);
    assert_int_equal(belfry_push_stop(p, false, NULL), BELFRY_OK);
    return status == BELFRY_ERROR_SYSTEM;
}

static bool use_transport(void)
{
    belfry_transport t;
    belfry_http_error why;
    belfry_status status = belfry_otlp_transport(&t, NULL, &why);
    if (!was_done(status, t.arg, why.message))
        return false;
    t.release(t.arg);
    return true;
}

static bool use_push_gateway(void)
{
    return use_push(BELFRY_PUSH_GATEWAY);
}

static bool use_remote_write(void)
{
    return use_push(BELFRY_PUSH_REMOTE_WRITE);
}

/* Each part again and again, failing one allocation later each time, until it does all without a failure. */
static void every_allocation_may_fail(void **state)
{
    (void)state;
    static bool (*const parts[])(void) = {use_answers, use_endpoint, use_push_gateway,
                                          use_remote_write, use_transport};
    belfry_counter *c;
    registry = belfry_registry_new();
    assert_int_equal(belfry_counter_new(&c, registry, "app_total", "Help."), BELFRY_OK);
    setenv("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:9", 1);
    setenv("OTEL_EXPORTER_OTLP_HEADERS", "a=b", 1);
    for (size_t i = 0; i < sizeof parts / sizeof parts[0]; i++) {
        for (long n = 0;; n++) {
            assert_true(n < 10000);
            atomic_store(&countdown, n);
            bool all = parts[i]();
            bool was_reached = atomic_exchange(&countdown, -1) < 0;
            if (!was_reached) {
                assert_true(all);
                break;
            }
        }
        assert_true(parts[i]());
    }
    belfry_registry_free(registry);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(every_allocation_may_fail)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
