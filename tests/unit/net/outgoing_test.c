/* SPDX-License-Identifier: Apache-2.0 */
/* outgoing_test.c: every class of address in every notation; then a real server on loopback that redirects, dribbles,
 * floods and lies. No test needs a network or a resolver. */
#include "net/outgoing.h"

#include "base/thread.h"
#include "net/http_server.h"
#include "net/outgoing_kept.h"
#include "net/outgoing_lookup.h"
#include "net/outgoing_url.h"

#include <arpa/inet.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#define BIT(class) (1u << (class))

/* ---- addresses ---- */

static const struct {
    const char *url;
    enum address_class class;
} ADDRESSES[] = {
    {"http://127.0.0.1/", ADDRESS_LOOPBACK},
    {"http://127.255.255.254/", ADDRESS_LOOPBACK},
    {"http://127.1/", ADDRESS_LOOPBACK},
    {"http://\xef\xbc\x91\xef\xbc\x92\xef\xbc\x97.1/", ADDRESS_LOOPBACK}, /* wide digits */
    {"http://0177.0.0.1/", ADDRESS_LOOPBACK},
    {"http://0x7f.0.0.1/", ADDRESS_LOOPBACK},
    {"http://0x7f.1/", ADDRESS_LOOPBACK},
    {"http://2130706433/", ADDRESS_LOOPBACK},
    {"http://0x7f000001/", ADDRESS_LOOPBACK},
    {"http://017700000001/", ADDRESS_LOOPBACK},
    {"http://%31%32%37.0.0.1/", ADDRESS_LOOPBACK},
    {"http://\xe2\x91\xa0\xe2\x91\xa1\xe2\x91\xa6.0.0.1/",
     ADDRESS_LOOPBACK}, /* digits in circles */
    {"http://127\xe3\x80\x82"
     "0\xe3\x80\x82"
     "0\xe3\x80\x82"
     "1/",
     ADDRESS_LOOPBACK}, /* ideographic full stops */
    {"http://[::1]/", ADDRESS_LOOPBACK},
    {"http://[0:0:0:0:0:0:0:1]:8080/", ADDRESS_LOOPBACK},
    {"http://[::ffff:127.0.0.1]/", ADDRESS_LOOPBACK},
    {"http://[::ffff:7f00:1]/", ADDRESS_LOOPBACK},
    {"http://[::ffff:0:7f00:1]/", ADDRESS_LOOPBACK},
    {"http://[::127.0.0.1]/", ADDRESS_LOOPBACK},
    {"http://[64:ff9b::7f00:1]/", ADDRESS_LOOPBACK},
    {"http://[64:ff9b::127.0.0.1]/", ADDRESS_LOOPBACK},
    {"http://[2002:7f00:1::1]/", ADDRESS_LOOPBACK},
    {"http://0.0.0.0/", ADDRESS_UNSPECIFIED},
    {"http://0/", ADDRESS_UNSPECIFIED},
    {"http://0x0/", ADDRESS_UNSPECIFIED},
    {"http://[::]/", ADDRESS_UNSPECIFIED},
    {"http://[::ffff:0.0.0.0]/", ADDRESS_UNSPECIFIED},
    {"http://0.1.2.3/", ADDRESS_RESERVED},
    {"http://169.254.169.254/latest/meta-data/", ADDRESS_LINK_LOCAL},
    {"http://2852039166/", ADDRESS_LINK_LOCAL},
    {"http://0xA9FEA9FE/", ADDRESS_LINK_LOCAL},
    {"http://[::ffff:a9fe:a9fe]/", ADDRESS_LINK_LOCAL},
    {"http://[64:ff9b::a9fe:a9fe]/", ADDRESS_LINK_LOCAL},
    {"http://[fe80::1]/", ADDRESS_LINK_LOCAL},
    {"http://[febf::1]/", ADDRESS_LINK_LOCAL},
    {"http://[fd00:ec2::254]/", ADDRESS_LINK_LOCAL},
    {"http://[fd20:ce::254]/", ADDRESS_LINK_LOCAL},
    {"http://168.63.129.16/", ADDRESS_LINK_LOCAL},
    {"http://100.100.100.200/", ADDRESS_LINK_LOCAL},
    {"http://224.0.0.1/", ADDRESS_MULTICAST},
    {"http://239.255.255.255/", ADDRESS_MULTICAST},
    {"http://[ff02::1]/", ADDRESS_MULTICAST},
    {"http://255.255.255.255/", ADDRESS_BROADCAST},
    {"http://4294967295/", ADDRESS_BROADCAST},
    {"http://240.0.0.1/", ADDRESS_RESERVED},
    {"http://192.0.2.1/", ADDRESS_RESERVED},
    {"http://198.18.0.1/", ADDRESS_RESERVED},
    {"http://198.51.100.1/", ADDRESS_RESERVED},
    {"http://203.0.113.1/", ADDRESS_RESERVED},
    {"http://[2001:db8::1]/", ADDRESS_RESERVED},
    {"http://[2001:0:4136:e378:8000:63bf:3fff:fdd2]/", ADDRESS_RESERVED}, /* Teredo */
    {"http://[64:ff9b:1::1]/", ADDRESS_RESERVED},
    {"http://[fec0::1]/", ADDRESS_RESERVED},
    {"http://[100::1]/", ADDRESS_RESERVED},
    {"http://10.0.0.1/", ADDRESS_PRIVATE},
    {"http://012.1/", ADDRESS_PRIVATE},
    {"http://172.16.0.1/", ADDRESS_PRIVATE},
    {"http://172.31.255.255/", ADDRESS_PRIVATE},
    {"http://192.168.1.1/", ADDRESS_PRIVATE},
    {"http://100.64.0.1/", ADDRESS_PRIVATE},
    {"http://100.127.255.255/", ADDRESS_PRIVATE},
    {"http://[fc00::1]/", ADDRESS_PRIVATE},
    {"http://[fdff::1]/", ADDRESS_PRIVATE},
    {"http://[::ffff:10.0.0.1]/", ADDRESS_PRIVATE},
    {"http://172.15.255.255/", ADDRESS_PUBLIC},
    {"http://172.32.0.1/", ADDRESS_PUBLIC},
    {"http://100.63.255.255/", ADDRESS_PUBLIC},
    {"http://100.128.0.1/", ADDRESS_PUBLIC},
    {"http://126.255.255.255/", ADDRESS_PUBLIC},
    {"http://128.0.0.1/", ADDRESS_PUBLIC},
    {"http://8.8.8.8/", ADDRESS_PUBLIC},
    {"http://223.255.255.255/", ADDRESS_PUBLIC},
    {"https://[2a00:1450:4001:82a::200e]/", ADDRESS_PUBLIC},
    {"http://[::ffff:8.8.8.8]/", ADDRESS_PUBLIC},
    {"http://[2002:808:808::1]/", ADDRESS_PUBLIC},
};

static void each_notation_of_an_address_has_its_class_and_is_refused(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_COUNT(ADDRESSES); i++) {
        struct outgoing_url u;
        struct sockaddr_storage address;
        struct error err = {0};
        const char *url = ADDRESSES[i].url;
        if (!outgoing_url_init(&u, url, &err))
            fail_msg("%s: %s", url, err.message);
        if (!outgoing_url_address(&u, &address))
            fail_msg("%s: host %s is taken for a name", url, u.host);
        enum address_class class = address_class_of((const struct sockaddr *)&address);
        if (class != ADDRESSES[i].class)
            fail_msg("%s is %s, expected %s", url, address_class_name(class),
                     address_class_name(ADDRESSES[i].class));
        outgoing_url_deinit(&u);
        struct outgoing_policy none = {0}, allowed = {.allowed = BIT(class)};
        enum outgoing_failure got = outgoing_check(&none, url, &err);
        if (got != (class == ADDRESS_PUBLIC ? OUTGOING_OK : OUTGOING_BLOCKED))
            fail_msg("%s: %s", url, outgoing_failure_name(got));
        assert_int_equal(outgoing_check(&allowed, url, &err), OUTGOING_OK);
        if (class == ADDRESS_PUBLIC)
            continue;
        struct outgoing_answer answer; /* with a proxy, and without one */
        struct outgoing_request request = {.url = url, .timeout_ms = 5000};
        struct outgoing_policy proxied = {.http_proxy = "http://127.0.0.1:1",
                                          .https_proxy = "http://127.0.0.1:1"};
        outgoing_answer_init(&answer);
        got = outgoing_send(&none, &request, &answer, &err);
        if (got != OUTGOING_BLOCKED)
            fail_msg("sending to %s: %s", url, outgoing_failure_name(got));
        assert_int_equal(outgoing_send(&proxied, &request, &answer, &err), OUTGOING_BLOCKED);
        outgoing_answer_deinit(&answer);
    }
    struct error err;
    struct outgoing_policy none = {0};
    assert_int_equal(outgoing_check(&none, "http://localhost/", &err), OUTGOING_BLOCKED);
    assert_int_not_equal(outgoing_check(&none, "http://LOCALHOST.:80/", &err), OUTGOING_OK);
}

/* ---- URLs ---- */

static const struct {
    const char *url, *error; /* NULL: fine */
    const char *host;
} URLS[] = {
    {"http://example.com/a?b=c#d", NULL, "example.com"},
    {"HTTPS://Example.com", NULL, "example.com"},
    {"http://b\xc3\xbc"
     "cher.example/",
     NULL, "xn--bcher-kva.example"},
    {"http://xn--bcher-kva.example/", NULL, "xn--bcher-kva.example"},
    {"http://stra\xc3\x9f"
     "e.example/",
     NULL, "xn--strae-oqa.example"},
    {"http://a_b.example/", NULL, "a_b.example"},
    {"http://example.com:65535/", NULL, "example.com"},
    {"ftp://example.com/", "http:// or https://", NULL},
    {"file:///etc/passwd", "http:// or https://", NULL},
    {"gopher://example.com/", "http:// or https://", NULL},
    {"javascript:alert(1)", "http:// or https://", NULL},
    {"//example.com/", "http:// or https://", NULL},
    {"example.com", "http:// or https://", NULL},
    {"", "http:// or https://", NULL},
    {"http://", "no host", NULL},
    {"http:///etc/passwd", "no host", NULL},
    {"http://?a", "no host", NULL},
    {"http://user@example.com/", "user or password", NULL},
    {"http://user:pw@example.com/", "user or password", NULL},
    {"http://@example.com/", "user or password", NULL},
    {"http://example.com@127.0.0.1/", "user or password", NULL},
    {"http://example.com\\@127.0.0.1/", "backslash", NULL},
    {"http://example.com /", "blank", NULL},
    {"http://example.com/\r\nX: y", "blank", NULL},
    {"http://example.com:0/", "port", NULL},
    {"http://example.com:00/", "port", NULL},
    {"http://example.com:65536/", "not a URL", NULL},
    {"http://example.com:80a/", "not a URL", NULL},
    {"http://example.com:-1/", "not a URL", NULL},
    {"http://[::1/", "not a URL", NULL},
    {"http://[fe80::1%25eth0]/", "network interface", NULL},
    {"http://\xff\xfe.example/", "ASCII", NULL},
    {"http://-a.example/", "begins with '-'", NULL},
    {"http://-/", "begins with '-'", NULL},
    {"http://%2Da.example:80/", "begins with '-'", NULL},
    {"http://%2Ba.example/", "", NULL}, /* by libcurl or by us */
    {"http://a-.example/", NULL, "a-.example"},
};

static void urls_are_taken_or_refused_with_a_reason(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_COUNT(URLS); i++) {
        struct outgoing_url u;
        struct error err = {0};
        bool ok = outgoing_url_init(&u, URLS[i].url, &err);
        if (ok != (URLS[i].error == NULL))
            fail_msg("\"%s\": %s", URLS[i].url, ok ? "was taken" : err.message);
        if (!ok && strstr(err.message, URLS[i].error) == NULL)
            fail_msg("\"%s\": expected \"%s\", got \"%s\"", URLS[i].url, URLS[i].error,
                     err.message);
        if (ok && strcasecmp(u.host, URLS[i].host) != 0)
            fail_msg("\"%s\": host %s", URLS[i].url, u.host);
        if (ok)
            outgoing_url_deinit(&u);
    }
    char *text = malloc(OUTGOING_URL_BYTES_MAX + 2);
    struct outgoing_url u;
    struct error err;
    memset(text, 'a', OUTGOING_URL_BYTES_MAX + 1);
    text[OUTGOING_URL_BYTES_MAX + 1] = '\0';
    memcpy(text, "http://example.com/", 19);
    assert_false(outgoing_url_init(&u, text, &err));
    text[OUTGOING_URL_BYTES_MAX] = '\0';
    assert_true(outgoing_url_init(&u, text, &err));
    outgoing_url_deinit(&u);
    memset(text, 'h', 300); /* a host of 254 bytes */
    memcpy(text, "http://", 7);
    text[7 + 254] = '\0';
    assert_false(outgoing_url_init(&u, text, &err));
    free(text);
}

/* Texts are compared, so they must be libcurl's: inet_ntop()'s. */
static void addresses_are_known_by_their_text(void **state)
{
    (void)state;
    struct outgoing_addresses all = {0};
    struct sockaddr_in v4 = {.sin_family = AF_INET};
    struct sockaddr_in6 v6 = {.sin6_family = AF_INET6};
    struct sockaddr other = {.sa_family = AF_UNIX};
    assert_int_equal(inet_pton(AF_INET, "192.0.2.1", &v4.sin_addr), 1);
    assert_int_equal(inet_pton(AF_INET6, "2001:DB8:0::1", &v6.sin6_addr), 1);
    outgoing_addresses_add(&all, (struct sockaddr *)&v4);
    outgoing_addresses_add(&all, &other);
    outgoing_addresses_add(&all, (struct sockaddr *)&v6);
    assert_int_equal(all.count, 2);
    assert_true(outgoing_addresses_has(&all, "192.0.2.1"));
    assert_true(outgoing_addresses_has(&all, "2001:db8::1"));
    assert_false(outgoing_addresses_has(&all, "192.0.2.10"));
    assert_false(outgoing_addresses_has(&all, ""));
    for (int i = 0; i < OUTGOING_ADDRESSES_EACH; i++)
        outgoing_addresses_add(&all, (struct sockaddr *)&v4);
    assert_int_equal(all.count, OUTGOING_ADDRESSES_EACH + 1);
}

/* Whether there is a name server or none: there is no such name, and nobody waits longer than he likes. */
static void a_lookup_ends_by_its_answer_its_time_or_a_flag(void **state)
{
    (void)state;
    struct outgoing_addresses all = {0};
    struct error err = {0};
    atomic_bool cancel = true;
    assert_false(
        outgoing_lookup(&all, "name.invalid", mono_add_ms(clock_mono(), 60000), &cancel, &err));
    assert_true(err.kind == ERROR_CANCELED || err.kind == ERROR_IO);
    err = (struct error){0};
    assert_false(outgoing_lookup(&all, "name.invalid", clock_mono(), NULL, &err));
    assert_true(err.kind == ERROR_TIMEOUT || err.kind == ERROR_IO);
    assert_int_equal(all.count, 0);
}

/* ---- a server ---- */

struct world {
    struct http_server *server;
    uint16_t port;
    pthread_mutex_t mutex;
    pthread_cond_t changed;
    bool released;
    char seen[1024]; /* of the last request: what a client may have told */
};

static void put_header(struct http_request *rq, char *out, size_t size, const char *name)
{
    struct view value = http_request_header(rq, name);
    snprintf(out + strlen(out), size - strlen(out), "%s=%.*s;", name, VIEW_ARGS(value));
}

static void note(void *arg, struct http_request *rq, struct http_response *rs)
{
    struct world *w = arg;
    mutex_lock(&w->mutex);
    w->seen[0] = '\0';
    snprintf(w->seen, sizeof w->seen, "%s;body=%.*s;", http_request_method_name(rq),
             VIEW_ARGS(http_request_body(rq)));
    put_header(rq, w->seen, sizeof w->seen, "Authorization");
    put_header(rq, w->seen, sizeof w->seen, "User-Agent");
    put_header(rq, w->seen, sizeof w->seen, "Cookie");
    mutex_unlock(&w->mutex);
    http_response_set_header(rs, "Set-Cookie", VIEW("a=b"));
    http_response_set_header(rs, "X-Kind", VIEW("note"));
    buffer_append_literal(http_response_body(rs), "noted");
}

/* /to?url=...&times=N */
static void redirect(void *arg, struct http_request *rq, struct http_response *rs)
{
    (void)arg;
    struct view status = http_request_param(rq, "status");
    http_response_set_status(rs, status.len ? 301 + (status.ptr[2] - '1') : 302);
    http_response_set_header(rs, "Location", http_request_param(rq, "url"));
    http_response_set_header(rs, "Set-Cookie", VIEW("a=b"));
    buffer_append_literal(http_response_body(rs), "elsewhere");
}

static bool flood_next(void *arg, struct buffer *out, bool *more)
{
    (void)arg;
    for (int i = 0; i < 4096; i++)
        buffer_append_literal(out, "0123456789abcdef");
    *more = true;
    return true;
}

static void flood(void *arg, struct http_request *rq, struct http_response *rs)
{
    (void)arg;
    (void)rq;
    http_response_stream(rs, flood_next, NULL, NULL);
}

static void long_head(void *arg, struct http_request *rq, struct http_response *rs)
{
    (void)arg;
    (void)rq;
    static char value[5000];
    static const char *const NAMES[] = {"X-1", "X-2", "X-3", "X-4"};
    memset(value, 'v', sizeof value);
    for (size_t i = 0; i < ARRAY_COUNT(NAMES); i++)
        http_response_set_header(rs, NAMES[i], (struct view){value, sizeof value});
}

/* Until the test lets go or the client does. */
static void hang(void *arg, struct http_request *rq, struct http_response *rs)
{
    struct world *w = arg;
    (void)rq;
    (void)rs;
    mutex_lock(&w->mutex);
    while (!w->released)
        cond_wait(&w->changed, &w->mutex);
    mutex_unlock(&w->mutex);
}

static struct world *world_new(void)
{
    static const char *const LOOPBACK[] = {"127.0.0.1:0"};
    static const struct http_route ROUTES[] = {
        {HTTP_GET | HTTP_POST, "/note", NULL, HTTP_ROLE_PUBLIC, HTTP_RUN_DIRECT, note},
        {HTTP_GET | HTTP_POST, "/to", NULL, HTTP_ROLE_PUBLIC, HTTP_RUN_DIRECT, redirect},
        {HTTP_GET, "/flood", NULL, HTTP_ROLE_PUBLIC, HTTP_RUN_DIRECT, flood},
        {HTTP_GET, "/head", NULL, HTTP_ROLE_PUBLIC, HTTP_RUN_DIRECT, long_head},
        {HTTP_GET, "/hang", NULL, HTTP_ROLE_PUBLIC, HTTP_RUN_ASIDE, hang},
    };
    struct error err;
    struct world *w = calloc(1, sizeof *w);
    struct http_server_options options = {.addresses = LOOPBACK, .address_count = 1};
    mutex_init(&w->mutex);
    cond_init(&w->changed);
    assert_true(http_server_open(&w->server, &options, &err));
    for (size_t i = 0; i < ARRAY_COUNT(ROUTES); i++) {
        struct http_route route = ROUTES[i];
        route.arg = w;
        http_server_add_route(w->server, &route);
    }
    assert_true(http_server_start(w->server, &err));
    w->port = http_server_port(w->server, 0);
    return w;
}

static void world_free(struct world *w)
{
    mutex_lock(&w->mutex);
    w->released = true;
    cond_broadcast(&w->changed);
    mutex_unlock(&w->mutex);
    http_server_close(w->server);
    cond_deinit(&w->changed);
    mutex_deinit(&w->mutex);
    free(w);
}

static bool keep_text(void *arg, const struct outgoing_answer *answer, struct view piece)
{
    char *out = arg;
    assert_int_not_equal(answer->status, 0);
    snprintf(out + strlen(out), 64 - strlen(out), "%.*s", (int)(piece.len < 32 ? piece.len : 32),
             piece.ptr);
    return true;
}

static const struct {
    const char *name, *path; /* PORT is the server's */
    unsigned redirects_max;
    const char *result; /* "FAILURE STATUS REDIRECTS BODY" */
    const char *error;  /* a part of its words */
} EXCHANGES[] = {
    {"an answer", "/note", 3, "ok 200 0 noted", NULL},
    {"an error is an answer", "/nothing", 3, "ok 404 0 404 page not found\n", NULL},
    {"a redirect", "/to?url=/note", 3, "ok 200 1 noted", NULL},
    {"307 and 308", "/to?status=307&url=/to?status=308%26url=/note", 3, "ok 200 2 noted", NULL},
    {"a redirect that is the answer", "/to?url=/note", 0, "ok 302 0 elsewhere", NULL},
    {"a redirect to nowhere is the answer", "/to", 3, "ok 302 0 elsewhere", NULL},
    {"too many redirects", "/to?url=/to?url=/to?url=/note", 1, "redirects 302 1 ",
     "more than 1 times"},
    {"a loop", "/to?url=/to%3Furl%3D/nothing", 0, "ok 302 0 elsewhere", NULL},
    {"a redirect to the metadata", "/to?url=http://169.254.169.254/", 3, "blocked 0 1 ",
     "169.254.169.254, which is link-local"},
    {"a redirect to a private address", "/to?url=http://10.0.0.1/", 3, "blocked 0 1 ", "private"},
    {"a redirect with octal numbers", "/to?url=http://0251.0376.0251.0376/", 3, "blocked 0 1 ",
     "link-local"},
    {"a redirect to a file", "/to?url=file:///etc/passwd", 3, "url 302 1 ", "http:// or https://"},
    {"a redirect with a password", "/to?url=http://a:b@127.0.0.1:PORT/note", 3, "url 302 1 ",
     "user or password"},
    {"a redirect to port 0", "/to?url=http://127.0.0.1:0/", 3, "url 302 1 ", "port"},
    {"no end", "/flood", 0, "too_large 200 0 ", "more than 100000 bytes of body"},
    {"a long head", "/head", 0, "too_large", "bytes of headers"},
    {"no answer", "/hang", 0, "timeout 0 0 ", "127.0.0.1"},
};

static char *expand(const char *path, uint16_t port)
{
    static char out[1024];
    snprintf(out, sizeof out, "http://127.0.0.1:%u", port);
    for (const char *at = path; *at; at++) {
        size_t len = strlen(out);
        if (strncmp(at, "PORT", 4) == 0) {
            snprintf(out + len, sizeof out - len, "%u", port);
            at += 3;
        } else {
            snprintf(out + len, sizeof out - len, "%c", *at);
        }
    }
    return out;
}

static void exchange_all(struct outgoing_kept *kept)
{
    struct world *w = world_new();
    struct outgoing_policy policy = {.allowed = BIT(ADDRESS_LOOPBACK), .kept = kept};
    for (size_t i = 0; i < ARRAY_COUNT(EXCHANGES); i++) {
        char body[64] = "", got[256];
        struct outgoing_answer answer;
        struct error err = {0};
        bool hangs = strcmp(EXCHANGES[i].path, "/hang") == 0;
        struct outgoing_request request = {.url = expand(EXCHANGES[i].path, w->port),
                                           .redirects_max = EXCHANGES[i].redirects_max,
                                           .timeout_ms = hangs ? 300 : 20000,
                                           .body_bytes_max = 100000,
                                           .on_body = keep_text,
                                           .arg = body};
        outgoing_answer_init(&answer);
        if (strstr(EXCHANGES[i].result, "too_large"))
            request.on_body = NULL;
        enum outgoing_failure failure = outgoing_send(&policy, &request, &answer, &err);
        snprintf(got, sizeof got, "%s %d %u %s", outgoing_failure_name(failure), answer.status,
                 answer.redirects, body);
        if (strncmp(got, EXCHANGES[i].result, strlen(EXCHANGES[i].result)) != 0 ||
            (EXCHANGES[i].error && strstr(err.message, EXCHANGES[i].error) == NULL))
            fail_msg("%s: expected \"%s\", got \"%s\" (%s)", EXCHANGES[i].name, EXCHANGES[i].result,
                     got, err.message);
        outgoing_answer_deinit(&answer);
    }
    world_free(w);
}

static struct outgoing_kept *kept_new(void)
{
    struct outgoing_kept *kept;
    struct error err;
    assert_true(outgoing_kept_start(&kept, &err));
    return kept;
}

/* With a connection for each, and with those that are kept. */
static void each_exchange_ends_as_it_should(void **state)
{
    (void)state;
    exchange_all(NULL);
    struct outgoing_kept *kept = kept_new();
    exchange_all(kept);
    exchange_all(kept); /* of a server that is gone */
    outgoing_kept_stop(kept);
}

static enum outgoing_failure get(const struct outgoing_policy *policy, const char *url)
{
    struct outgoing_answer answer;
    struct error err;
    struct outgoing_request request = {
        .url = url, .redirects_max = 3, .timeout_ms = 20000, .body_bytes_max = 100000};
    outgoing_answer_init(&answer);
    enum outgoing_failure failure = outgoing_send(policy, &request, &answer, &err);
    if (failure == OUTGOING_OK)
        assert_string_equal(answer.address, "127.0.0.1");
    outgoing_answer_deinit(&answer);
    return failure;
}

static uint64_t connections(const struct world *w)
{
    struct http_server_stats stats;
    http_server_stats_get(w->server, &stats);
    return stats.connections_total;
}

static void a_connection_is_used_again_by_who_may(void **state)
{
    (void)state;
    struct world *w = world_new();
    struct outgoing_kept *kept = kept_new();
    struct outgoing_policy policy = {.allowed = BIT(ADDRESS_LOOPBACK), .kept = kept};
    struct outgoing_policy strict = {.kept = kept}, single = {.allowed = BIT(ADDRESS_LOOPBACK)};
    for (int i = 0; i < 3; i++)
        assert_int_equal(get(&policy, expand("/note", w->port)), OUTGOING_OK);
    assert_int_equal(connections(w), 1);
    assert_int_equal(get(&strict, expand("/note", w->port)), OUTGOING_BLOCKED);
    assert_int_equal(get(&single, expand("/note", w->port)), OUTGOING_OK);
    assert_int_equal(connections(w), 2);
    assert_int_equal(get(&policy, expand("/flood", w->port)), OUTGOING_TOO_LARGE);
    assert_int_equal(connections(w), 2); /* it had the one that is kept, which ends with it */
    assert_int_equal(get(&policy, expand("/note", w->port)), OUTGOING_OK);
    assert_int_equal(connections(w), 3);
    assert_int_equal(get(&policy, expand("/to?url=/note", w->port)), OUTGOING_OK);
    assert_int_equal(get(&policy, expand("/note", w->port)), OUTGOING_OK);
    assert_true(connections(w) <= 4); /* a redirect's body is not waited for */
    outgoing_kept_stop(kept);
    world_free(w);
}

static bool any(void *arg, const char *address)
{
    return arg == NULL || strcmp(address, arg) == 0;
}

/* The last one first, by server and address; the oldest goes when there are too many. */
static void what_is_kept_is_found(void **state)
{
    (void)state;
    struct outgoing_kept *kept = kept_new();
    CURL *easy[OUTGOING_KEPT_MAX + 1];
    char first[] = "192.0.2.1", other[] = "192.0.2.2";
    for (size_t i = 0; i < OUTGOING_KEPT_MAX + 1; i++) {
        easy[i] = curl_easy_init();
        outgoing_kept_give(kept, easy[i], i < 2 ? 7 : 8, i < 4 ? first : other);
    }
    assert_ptr_equal(outgoing_kept_take(kept, 7, any, NULL), easy[1]);
    assert_null(outgoing_kept_take(kept, 7, any, NULL)); /* easy[0] was too many */
    assert_ptr_equal(outgoing_kept_take(kept, 8, any, first), easy[3]);
    assert_ptr_equal(outgoing_kept_take(kept, 8, any, NULL), easy[OUTGOING_KEPT_MAX]);
    curl_easy_cleanup(easy[1]);
    curl_easy_cleanup(easy[3]);
    curl_easy_cleanup(easy[OUTGOING_KEPT_MAX]);
    outgoing_kept_stop(kept);
}

/* Answers once on each of two connections; the first it closes behind its answer or, when it has the next request, without one. */
struct fickle {
    int fd;
    bool waits;
};

static void read_request(int fd)
{
    char text[4096];
    size_t len = 0;
    for (ssize_t got; len < sizeof text - 1; len += (size_t)got) {
        got = recv(fd, text + len, sizeof text - 1 - len, 0);
        if (got <= 0)
            return;
        text[len + (size_t)got] = '\0';
        if (strstr(text, "\r\n\r\n"))
            return;
    }
}

static void *be_fickle(void *arg)
{
    static const char ANSWER[] = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";
    const struct fickle *f = arg;
    for (int i = 0; i < 2; i++) {
        int fd = accept(f->fd, NULL, NULL);
        if (fd < 0)
            return NULL;
        read_request(fd);
        (void)!send(fd, ANSWER, sizeof ANSWER - 1, MSG_NOSIGNAL); /* the client complains */
        if (i == 0 && f->waits)
            read_request(fd);
        close(fd);
    }
    return NULL;
}

static pthread_t fickle_start(struct fickle *f, uint16_t *port)
{
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t bytes = sizeof to;
    pthread_t thread;
    struct error err;
    f->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(bind(f->fd, (struct sockaddr *)&to, sizeof to), 0);
    assert_int_equal(listen(f->fd, 5), 0);
    assert_int_equal(getsockname(f->fd, (struct sockaddr *)&to, &bytes), 0);
    *port = ntohs(to.sin_port);
    assert_true(thread_start(&thread, "fickle", be_fickle, f, &err));
    return thread;
}

static void a_server_that_closes_what_was_kept_is_asked_anew(void **state)
{
    (void)state;
    for (int waits = 0; waits < 2; waits++) {
        struct fickle f = {.waits = waits};
        uint16_t port;
        pthread_t thread = fickle_start(&f, &port);
        struct outgoing_policy policy = {.allowed = BIT(ADDRESS_LOOPBACK), .kept = kept_new()};
        for (int i = 0; i < 2; i++)
            assert_int_equal(get(&policy, expand("/", port)), OUTGOING_OK);
        thread_join(thread);
        outgoing_kept_stop(policy.kept);
        close(f.fd);
    }
}

/* The server waits for the connection's end, and nobody asks it anything more. */
static void what_is_not_used_again_is_closed(void **state)
{
    (void)state;
    struct fickle f = {.waits = true};
    uint16_t port;
    pthread_t thread = fickle_start(&f, &port);
    struct outgoing_policy policy = {.allowed = BIT(ADDRESS_LOOPBACK), .kept = kept_new()};
    assert_int_equal(get(&policy, expand("/", port)), OUTGOING_OK);
    assert_int_equal(shutdown(f.fd, SHUT_RDWR), 0); /* it accepts no second one */
    thread_join(thread);
    outgoing_kept_stop(policy.kept);
    close(f.fd);
}

/* Passwords stay with the first origin, cookies with nobody; a redirect of a POST is its answer. */
static void headers_and_bodies_go_to_whom_they_are_for(void **state)
{
    (void)state;
    static const char *const HEADERS[] = {"Authorization: Bearer t"};
    static const struct {
        const char *path, *body, *seen;
        int status;
    } CASES[] = {
        {"/note", "", "get;body=;Authorization=Bearer t;User-Agent=tester/1;Cookie=;", 200},
        {"/note", "abc", "post;body=abc;Authorization=Bearer t;User-Agent=tester/1;Cookie=;", 200},
        {"/to?url=/note", "", "get;body=;Authorization=;User-Agent=tester/1;Cookie=;", 200},
        {"/to?url=/note", "abc", "", 302},
    };
    struct world *w = world_new();
    struct outgoing_policy policy = {.allowed = BIT(ADDRESS_LOOPBACK)};
    for (size_t i = 0; i < ARRAY_COUNT(CASES); i++) {
        struct outgoing_answer answer;
        struct error err = {0};
        struct outgoing_request request = {.url = expand(CASES[i].path, w->port),
                                           .body = view_from(CASES[i].body),
                                           .headers = HEADERS,
                                           .header_count = 1,
                                           .user_agent = "tester/1",
                                           .redirects_max = 5,
                                           .timeout_ms = 20000,
                                           .body_bytes_max = 1000};
        outgoing_answer_init(&answer);
        w->seen[0] = '\0';
        if (outgoing_send(&policy, &request, &answer, &err) != OUTGOING_OK)
            fail_msg("%zu: %s", i, err.message);
        assert_int_equal(answer.status, CASES[i].status);
        assert_string_equal(answer.address, "127.0.0.1");
        if (answer.status == 200)
            assert_true(view_is(outgoing_header(&answer, "x-kind"), "note"));
        assert_true(outgoing_header(&answer, "X-None").len == 0);
        mutex_lock(&w->mutex);
        assert_string_equal(w->seen, CASES[i].seen);
        mutex_unlock(&w->mutex);
        outgoing_answer_deinit(&answer);
    }
    world_free(w);
}

static bool refuse(void *arg, const struct outgoing_answer *answer, struct view piece)
{
    (void)arg;
    (void)answer;
    (void)piece;
    return false;
}

static void a_request_is_stopped_by_its_reader_or_a_flag(void **state)
{
    (void)state;
    struct world *w = world_new();
    struct outgoing_policy policy = {.allowed = BIT(ADDRESS_LOOPBACK)};
    struct outgoing_answer answer;
    struct error err;
    atomic_bool cancel = true;
    outgoing_answer_init(&answer);
    struct outgoing_request request = {.url = expand("/flood", w->port),
                                       .timeout_ms = 20000,
                                       .body_bytes_max = UINT64_MAX,
                                       .on_body = refuse};
    assert_int_equal(outgoing_send(&policy, &request, &answer, &err), OUTGOING_STOPPED);
    request = (struct outgoing_request){
        .url = expand("/hang", w->port), .timeout_ms = 20000, .cancel = &cancel};
    assert_int_equal(outgoing_send(&policy, &request, &answer, &err), OUTGOING_STOPPED);
    outgoing_answer_deinit(&answer);
    uint16_t port = w->port;
    world_free(w);
    outgoing_answer_init(&answer); /* nobody listens there any more */
    request = (struct outgoing_request){.url = expand("/", port), .timeout_ms = 20000};
    assert_int_equal(outgoing_send(&policy, &request, &answer, &err), OUTGOING_CONNECT);
    outgoing_answer_deinit(&answer);
}

/* The proxy is on loopback, which the policy does not allow: it is the operator's word, and sees the request. */
static void a_proxy_is_used_but_for_what_no_proxy_names(void **state)
{
    (void)state;
    struct world *w = world_new();
    char proxy[64];
    snprintf(proxy, sizeof proxy, "http://127.0.0.1:%u", w->port);
    struct outgoing_policy policy = {.http_proxy = proxy, .no_proxy = "direct.invalid"};
    struct outgoing_answer answer;
    struct error err = {0};
    outgoing_answer_init(&answer);
    struct outgoing_request request = {
        .url = "http://name.invalid/x", .timeout_ms = 20000, .body_bytes_max = 10000};
    assert_int_equal(outgoing_send(&policy, &request, &answer, &err), OUTGOING_OK);
    assert_int_equal(answer.status,
                     400); /* our server is no proxy: an absolute target is not its thing */
    request.url = "http://direct.invalid/x";
    enum outgoing_failure failure = outgoing_send(&policy, &request, &answer, &err);
    assert_true(failure == OUTGOING_DNS || failure == OUTGOING_TIMEOUT);
    outgoing_answer_deinit(&answer);
    world_free(w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_notation_of_an_address_has_its_class_and_is_refused),
        cmocka_unit_test(urls_are_taken_or_refused_with_a_reason),
        cmocka_unit_test(addresses_are_known_by_their_text),
        cmocka_unit_test(a_lookup_ends_by_its_answer_its_time_or_a_flag),
        cmocka_unit_test(each_exchange_ends_as_it_should),
        cmocka_unit_test(a_connection_is_used_again_by_who_may),
        cmocka_unit_test(what_is_kept_is_found),
        cmocka_unit_test(a_server_that_closes_what_was_kept_is_asked_anew),
        cmocka_unit_test(what_is_not_used_again_is_closed),
        cmocka_unit_test(headers_and_bodies_go_to_whom_they_are_for),
        cmocka_unit_test(a_request_is_stopped_by_its_reader_or_a_flag),
        cmocka_unit_test(a_proxy_is_used_but_for_what_no_proxy_names),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
