/* SPDX-License-Identifier: Apache-2.0 */
/* source_fetch_test.c: an origin on loopback that answers with exactly the bytes a table says, also such as no honest origin sends. No test needs
 * a network or a resolver. */
#include "source_fetch.h"

#include "base/attributes.h"
#include "net/outgoing_kept.h"
#include "net/outgoing_lookup.h"
#include "origin.h"

#include <belfry/request.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define LOOPBACK (1u << ADDRESS_LOOPBACK)

static const struct origin_page PAGES[] = {
    {"/a.png", "HTTP/1.1 200 OK\r\nContent-Type: image/png\r\nContent-Length: 5\r\nCache-Control: "
               "max-age=7\r\n"
               "Last-Modified: Sun, 06 Nov 1994 08:49:37 GMT\r\n\r\nhello"},
    {"/chunks",
     "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nhel\r\n2\r\nlo\r\n0\r\n\r\n"},
    {"/empty", "HTTP/1.1 204 No Content\r\n\r\n"},
    {"/hint", "HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: "
              "5\r\n\r\nhello"},
    {"/missing", "HTTP/1.1 404 Not Found\r\nContent-Length: 99999999\r\n\r\n"},
    {"/broken", "HTTP/1.1 503 Unavailable\r\nContent-Length: 0\r\n\r\n"},
    {"/same", "HTTP/1.1 304 Not Modified\r\n\r\n"},
    {"/cut", "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhello"},
    {"/cutchunk", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n9\r\nhel"},
    {"/badchunk", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\nhel"},
    {"/garbage", "SSH-2.0-OpenSSH\r\n"},
    {"/nothing", ""},
    {"/claims", "HTTP/1.1 200 OK\r\nContent-Length: 1001\r\n\r\nHANG"},
    {"/claims-huge", "HTTP/1.1 200 OK\r\nContent-Length: 99999999999999999999999\r\n\r\nHANG"},
    {"/flood", "HTTP/1.1 200 OK\r\nConnection: close\r\n\r\nFLOOD"},
    {"/head", "HTTP/1.1 200 OK\r\nX-Long: HEAD"},
    {"/hang", "HANG"},
    {"/stalls", "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhelHANG"},
    {"/to-a", "HTTP/1.1 302 Found\r\nLocation: /a.png\r\n\r\n"},
    {"/to-secret", "HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1:PORT/secret/a.png\r\n\r\n"},
    {"/secret/a.png", "HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nsecret"},
    {"/to-metadata", "HTTP/1.1 302 Found\r\nLocation: http://169.254.169.254/latest\r\n\r\n"},
    {"/to-file", "HTTP/1.1 302 Found\r\nLocation: file:///etc/passwd\r\n\r\n"},
    {"/loop", "HTTP/1.1 302 Found\r\nLocation: /loop\r\n\r\n"},
    {"/nowhere", "HTTP/1.1 302 Found\r\nContent-Length: 0\r\n\r\n"},
};

/* ---- each answer ---- */

static const struct {
    const char *url;
    enum source_outcome outcome;
    int status;       /* of the failure */
    const char *text; /* of the body, or of the failure */
} FETCHES[] = {
    {"/a.png", SOURCE_FETCHED, 0, "hello"},
    {"/a.png?x=1#y", SOURCE_FAILED, 400,
     "Error fetching image"}, /* the origin does not know it, and closes */
    {"/a.png#y", SOURCE_FETCHED, 0, "hello"},
    {"/chunks", SOURCE_FETCHED, 0, "hello"},
    {"/empty", SOURCE_FETCHED, 0, ""},
    {"/hint", SOURCE_FETCHED, 0, "hello"},
    {"/missing", SOURCE_FAILED, 400, "Source responded with status 404"},
    {"/broken", SOURCE_FAILED, 400, "Source responded with status 503"},
    {"/same", SOURCE_FAILED, 400, "Source responded with status 304"},
    {"/cut", SOURCE_FAILED, 400, "Error reading image bytes"},
    {"/cutchunk", SOURCE_FAILED, 400, "Error reading image bytes"},
    {"/badchunk", SOURCE_FAILED, 400, "Error reading image bytes"},
    {"/garbage", SOURCE_FAILED, 400, "Error fetching image"},
    {"/nothing", SOURCE_FAILED, 400, "Error fetching image"},
    {"/claims", SOURCE_FAILED, 400, "Source image exceeds the maximum allowed size of 1000 bytes"},
    {"/claims-huge", SOURCE_FAILED, 400,
     "Source image exceeds the maximum allowed size of 1000 bytes"},
    {"/flood", SOURCE_FAILED, 400, "Source image exceeds the maximum allowed size of 1000 bytes"},
    {"/head", SOURCE_FAILED, 400, "Error fetching image"},
    {"/to-a", SOURCE_FETCHED, 0, "hello"},
    {"/to-metadata", SOURCE_REFUSED, 400, "Source URL is not allowed"},
    {"/to-file", SOURCE_REFUSED, 400, "Source URL is not allowed"},
    {"/loop", SOURCE_FAILED, 400, "Error fetching image"},
    {"/nowhere", SOURCE_FAILED, 400, "Source responded with status 302"},
    {"http://169.254.169.254/", SOURCE_REFUSED, 400, "Source URL is not allowed"},
    {"http://a:b@127.0.0.1:PORT/a.png", SOURCE_REFUSED, 400, "Source URL is not allowed"},
    {"http://127.0.0.1:0/a.png", SOURCE_REFUSED, 400, "Source URL is not allowed"},
    {"file:///etc/passwd", SOURCE_REFUSED, 400, "Source URL is not allowed"},
    {"a.png", SOURCE_REFUSED, 400, "Source URL is not allowed"},
    {"", SOURCE_REFUSED, 400, "Source URL is not allowed"},
    {"http://name.invalid/", SOURCE_FAILED, 400, "Error fetching image"},
};

static void check(const struct source_policy *policy, const char *url, enum source_outcome outcome,
                  int status, const char *text)
{
    struct source got;
    struct image_failure f = {0};
    source_init(&got, 1);
    enum source_outcome was = source_fetch(policy, url, 1000, 30000, NULL, &got, &f);
    if (was != outcome || f.status != status)
        fail_msg("%s: outcome %d, %d \"%s\" (%s)", url, was, f.status, f.text, f.cause);
    if (outcome == SOURCE_FETCHED ? !view_is(buffer_view(&got.bytes), text)
                                  : strcmp(f.text, text) != 0)
        fail_msg("%s: expected \"%s\", got \"%.*s\" \"%s\" (%s)", url, text,
                 VIEW_ARGS(buffer_view(&got.bytes)), f.text, f.cause);
    if (outcome != SOURCE_FETCHED && f.cause[0] == '\0')
        fail_msg("%s: has no cause", url);
    source_deinit(&got);
}

static void each_answer_is_a_source_or_a_failure_with_its_text(void **state)
{
    (void)state;
    struct origin *o = origin_new(PAGES, ARRAY_COUNT(PAGES));
    struct source_policy policy = {
        .outgoing = {.allowed = LOOPBACK}, .redirects_max = 3, .timeout_ms = 20000};
    for (size_t i = 0; i < ARRAY_COUNT(FETCHES); i++)
        check(&policy, origin_url(o, FETCHES[i].url), FETCHES[i].outcome, FETCHES[i].status,
              FETCHES[i].text);
    policy.outgoing.allowed = 0;
    check(&policy, origin_url(o, "/a.png"), SOURCE_REFUSED, 400, "Source URL is not allowed");
    origin_free(o);
}

static void headers_are_kept_and_sent(void **state)
{
    (void)state;
    static const char PARENT[] = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
    struct origin *o = origin_new(PAGES, ARRAY_COUNT(PAGES));
    struct source_policy policy = {
        .outgoing = {.allowed = LOOPBACK}, .user_agent = "imgforge/test", .timeout_ms = 20000};
    struct source got;
    struct image_failure f = {0};
    belfry_request *request;
    belfry_scope scope;
    belfry_request_options options = {.request_id = "abc-1",
                                      .request_id_bytes = 5,
                                      .traceparent = PARENT,
                                      .traceparent_bytes = sizeof(PARENT) - 1};
    assert_int_equal(belfry_request_new(&request, &options), BELFRY_OK);
    belfry_request_enter(request, &scope);
    source_init(&got, 1);
    assert_int_equal(source_fetch(&policy, origin_url(o, "/a.png"), 0, 30000, NULL, &got, &f),
                     SOURCE_FETCHED);
    belfry_scope_leave(&scope);
    belfry_request_end(request);
    assert_true(view_is(buffer_view(&got.content_type), "image/png"));
    assert_true(view_is(buffer_view(&got.cache_control), "max-age=7"));
    assert_int_equal(got.modified_s, 784111777);
    assert_int_equal(got.declared_bytes, 5);
    source_deinit(&got);
    char asked[ORIGIN_REQUEST_BYTES];
    (void)origin_asked(o, asked);
    assert_non_null(strstr(asked, "\r\nUser-Agent: imgforge/test\r\n"));
    assert_non_null(strstr(asked, "\r\nX-Request-Id: abc-1\r\n"));
    assert_non_null(strstr(asked, "\r\ntraceparent: 00-0af7651916cd43dd8448eb211c80319c-"));
    assert_null(strcasestr(asked, "Accept-Encoding")); /* no bombs in gzip */
    origin_free(o);
}

/* ---- allowed sources ---- */

static const struct {
    const char *prefix, *url;
    bool is_allowed;
} PREFIXES[] = {
    {"http://127.0.0.1:PORT/", "/a.png", true},
    {"http://127.0.0.1:PORT", "/a.png", true},
    {"http://127.0.0.1:PORT/a", "/a.png", true},
    {"http://127.0.0.1:PORT/", "HTTP://127.0.0.1:PORT/a.png", true},
    {"http://127.0.0.1:PORT/", "http://127.0.0.1:PORT/x/../a.png", true},
    {"http://127.0.0.1:PORT/to", "/to-a", false}, /* redirects out of it */
    {"http://127.0.0.1:PORT/to", "/to-secret", false},
    {"http://127.0.0.1:PORT/a", "/to-a", false},
    {"http://127.0.0.1:PORT/x/", "/x/../a.png", false},
    {"http://127.0.0.1:PORT/x/", "/x/%2e%2e/a.png", false},
    {"http://127.0.0.1:PORT/x/", "/x/.%2E/a.png", false},
    {"http://127.0.0.1:PORT/x/", "/x/..%2fa.png", false},
    {"http://127.0.0.1:PORT/x/", "/x/y%5C..%5c..%5ca.png", false},
    {"http://127.0.0.1:PORT/x/", "/x/..;y/a.png", false},
    {"http://127.0.0.1:PORT/x/", "/x/..", false},
    {"http://127.0.0.1:PORT", "http://127.0.0.1:PORT1/a.png", false},
    {"http://*.test/", "http://127.0.0.1:PORT?.test/", false},
    {"http://*.test/", "http://127.0.0.1:PORT#.test/", false},
    {"http://*.test/", "http://127.0.0.1:PORT/.test/", false},
    {"http://a.test/", "http://a.test@127.0.0.1:PORT/a.png", false},
    {"https://127.0.0.1:PORT/", "/a.png", false},
};

static void redirects_too_must_be_allowed_sources(void **state)
{
    (void)state;
    struct origin *o = origin_new(PAGES, ARRAY_COUNT(PAGES));
    for (size_t i = 0; i < ARRAY_COUNT(PREFIXES); i++) {
        char prefix[256];
        snprintf(prefix, sizeof(prefix), "%s", origin_url(o, PREFIXES[i].prefix));
        const char *prefixes[] = {prefix};
        struct source_policy policy = {.outgoing = {.allowed = LOOPBACK},
                                       .allowed_prefixes = prefixes,
                                       .allowed_prefix_count = 1,
                                       .redirects_max = 3,
                                       .timeout_ms = 20000};
        if (PREFIXES[i].is_allowed)
            check(&policy, origin_url(o, PREFIXES[i].url), SOURCE_FETCHED, 0, "hello");
        else
            check(&policy, origin_url(o, PREFIXES[i].url), SOURCE_REFUSED, 400,
                  "Source URL is not allowed");
    }
    origin_free(o);
}

/* Whom names belong to is a proxy's business: it is asked for what is allowed, and gives nothing. */
static void a_default_port_may_be_written_or_not(void **state)
{
    (void)state;
    static const struct {
        const char *prefix, *url;
        bool is_allowed;
    } CASES[] = {
        {"http://a.invalid:80/", "http://a.invalid/x", true},
        {"http://a.invalid/", "http://a.invalid:80/x", true},
        {"https://a.invalid:443", "https://A.INVALID/x", true},
        {"http://a.invalid:80/", "http://a.invalid:81/x", false},
        {"http://a.invalid/", "http://a.invalid:81/x", false},
        {"https://b\xc3\xbc.invalid/", "http://a.invalid/", false},
        {"https://xn--b-eha.invalid/", "https://b\xc3\xbc.invalid/", true},
    };
    struct origin *o = origin_new(PAGES, ARRAY_COUNT(PAGES));
    char proxy[64];
    snprintf(proxy, sizeof(proxy), "%s", origin_url(o, "http://127.0.0.1:PORT"));
    for (size_t i = 0; i < ARRAY_COUNT(CASES); i++) {
        const char *prefixes[] = {CASES[i].prefix};
        struct source_policy policy = {.outgoing = {.http_proxy = proxy, .https_proxy = proxy},
                                       .allowed_prefixes = prefixes,
                                       .allowed_prefix_count = 1,
                                       .timeout_ms = 20000};
        check(&policy, CASES[i].url, CASES[i].is_allowed ? SOURCE_FAILED : SOURCE_REFUSED, 400,
              CASES[i].is_allowed ? "Error fetching image" : "Source URL is not allowed");
    }
    origin_free(o);
}

/* ---- room ---- */

/* In a room of 1 MiB that an origin fills, others are told to come again, and what would never fit is told so. */
static void sources_that_find_no_room_are_refused(void **state)
{
    (void)state;
    struct origin *o = origin_new(PAGES, ARRAY_COUNT(PAGES));
    struct permits *room = permits_new_weighed(1 << 20, 4);
    struct source_policy policy = {
        .outgoing = {.allowed = LOOPBACK}, .timeout_ms = 20000, .room = room};
    struct source first, got;
    struct image_failure f = {0};
    source_init(&first, 1);
    assert_int_equal(source_fetch(&policy, origin_url(o, "/a.png"), 0, 30000, NULL, &first, &f),
                     SOURCE_FETCHED);
    assert_true(permits_taken(room) >= 5);
    assert_true(permits_try_many(room, 9, (1 << 20) - permits_taken(room) - 1));
    source_init(&got, 2);
    assert_int_equal(source_fetch(&policy, origin_url(o, "/chunks"), 0, 30000, NULL, &got, &f),
                     SOURCE_FAILED);
    assert_int_equal(f.status, 429);
    assert_string_equal(f.text, "Too Many Requests");
    source_deinit(&got);
    source_deinit(&first);
    source_init(&got, 2);
    assert_int_equal(source_fetch(&policy, origin_url(o, "/chunks"), 0, 30000, NULL, &got, &f),
                     SOURCE_FETCHED); /* the first has given its room back */
    source_deinit(&got);
    permits_give_many(room, 9, permits_taken(room));
    source_init(&got, 2);
    assert_int_equal(source_fetch(&policy, origin_url(o, "/flood"), 0, 30000, NULL, &got, &f),
                     SOURCE_FAILED);
    assert_int_equal(f.status, 400);
    assert_string_equal(f.text, "Source image exceeds the maximum allowed size of 524288 bytes");
    source_deinit(&got);
    assert_int_equal(permits_taken(room), 0);
    permits_free(room);
    origin_free(o);
}

/* ---- names ---- */

bool __wrap_outgoing_lookup(struct outgoing_addresses *out, const char *host, mono_time deadline,
                            const atomic_bool *cancel, struct error *err);

/* In place of the resolver (by the linker). */
bool __wrap_outgoing_lookup(struct outgoing_addresses *out, const char *host, mono_time deadline,
                            const atomic_bool *cancel, struct error *err)
{
    (void)out;
    (void)deadline;
    (void)cancel;
    bool is_busy = strcmp(host, "busy.invalid") == 0;
    return error_set(err, is_busy ? ERROR_BUSY : ERROR_IO, "%s: not looked up", host);
}

static void too_many_names_are_overload_and_not_the_sources_fault(void **state)
{
    (void)state;
    struct error err;
    struct source_policy policy = {.outgoing = {.allowed = LOOPBACK}, .timeout_ms = 20000};
    assert_true(outgoing_kept_start(&policy.outgoing.kept, &err));
    check(&policy, "http://busy.invalid/a.png", SOURCE_FAILED, 429, "Too Many Requests");
    check(&policy, "http://name.invalid/a.png", SOURCE_FAILED, 400, "Error fetching image");
    outgoing_kept_stop(policy.outgoing.kept);
}

/* ---- time ---- */

static void time_ends_a_fetch_as_the_downloads_or_the_requests(void **state)
{
    (void)state;
    static const struct {
        const char *path;
        int64_t download_ms, request_ms;
        bool is_cancelled;
        int status;
        const char *text;
    } CASES[] = {
        {"/hang", 100, 30000, false, 400, "Error fetching image"},
        {"/stalls", 100, 30000, false, 400, "Error fetching image"},
        {"/hang", 30000, 100, false, 408, "Request Timeout"},
        {"/stalls", 30000, 100, false, 408, "Request Timeout"},
        {"/hang", 30000, 0, false, 408, "Request Timeout"},
        {"/hang", 30000, 30000, true, 408, "Request Timeout"},
    };
    struct origin *o = origin_new(PAGES, ARRAY_COUNT(PAGES));
    for (size_t i = 0; i < ARRAY_COUNT(CASES); i++) {
        struct source_policy policy = {.outgoing = {.allowed = LOOPBACK},
                                       .timeout_ms = CASES[i].download_ms};
        struct source got;
        struct image_failure f = {0};
        atomic_bool cancel = CASES[i].is_cancelled;
        source_init(&got, 1);
        enum source_outcome was = source_fetch(&policy, origin_url(o, CASES[i].path), 0,
                                               CASES[i].request_ms, &cancel, &got, &f);
        assert_int_equal(was, SOURCE_FAILED);
        if (f.status != CASES[i].status || strcmp(f.text, CASES[i].text) != 0)
            fail_msg("case %zu: %d \"%s\" (%s)", i, f.status, f.text, f.cause);
        source_deinit(&got);
    }
    origin_free(o);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_answer_is_a_source_or_a_failure_with_its_text),
        cmocka_unit_test(headers_are_kept_and_sent),
        cmocka_unit_test(redirects_too_must_be_allowed_sources),
        cmocka_unit_test(a_default_port_may_be_written_or_not),
        cmocka_unit_test(sources_that_find_no_room_are_refused),
        cmocka_unit_test(too_many_names_are_overload_and_not_the_sources_fault),
        cmocka_unit_test(time_ends_a_fetch_as_the_downloads_or_the_requests),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
