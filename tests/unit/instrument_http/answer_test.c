/* SPDX-License-Identifier: Apache-2.0 */
/* answer_test.c: the answer as plain bytes: who gets what, and what a program may not ask for. */
#include <belfry/http.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))

static belfry_registry *make_registry(void)
{
    belfry_registry *r = belfry_registry_new();
    belfry_counter *c;
    belfry_gauge *g;
    assert_non_null(r);
    assert_int_equal(belfry_counter_new(&c, r, "app_requests_total", "Requests."), BELFRY_OK);
    assert_int_equal(belfry_gauge_new(&g, r, "app_depth", "Depth."), BELFRY_OK);
    belfry_counter_add(c, 7);
    belfry_gauge_set(g, 2.5);
    return r;
}

static belfry_http *make(belfry_http_options o)
{
    belfry_http *h;
    belfry_http_error why = {""};
    if (belfry_http_new(&h, &o, &why) != BELFRY_OK)
        fail_msg("%s", why.message);
    return h;
}

static const char *header(const belfry_http_answer *a, const char *name)
{
    for (size_t i = 0; i < a->header_count; i++)
        if (strcmp(a->headers[i].name, name) == 0)
            return a->headers[i].value;
    return NULL;
}

static bool body_has(const belfry_http_answer *a, const char *text)
{
    return a->body && memmem(a->body, a->body_bytes, text, strlen(text));
}

static const struct {
    const char *method, *target, *authorization;
    int status;
    const char *body;
} CASES[] = {
    {"GET", "/metrics", "Bearer s3cret", 200, "\napp_requests_total 7\n"},
    {"GET", "/metrics?x=1&y", "bearer s3cret", 200, "\napp_depth 2.5\n"},
    {"GET", "/metrics", "Basic dTpwdw==", 200, "app_depth"},
    {"GET", "/metrics", "basic   dTpwdw==", 200, "app_depth"},
    {"GET", "/metrics", NULL, 401, "401 Unauthorized\n"},
    {"GET", "/metrics", "", 401, "401"},
    {"GET", "/metrics", "Bearer ", 401, "401"},
    {"GET", "/metrics", "Bearer s3cre", 401, "401"},
    {"GET", "/metrics", "Bearer s3crets3cret", 401, "401"},
    {"GET", "/metrics", "Bearer dTpwdw==", 401, "401"},
    {"GET", "/metrics", "Basic s3cret", 401, "401"},
    {"GET", "/metrics", "Basic dTpwdg==", 401, "401"},
    {"GET", "/metrics", "s3cret", 401, "401"},
    {"GET", "/metrics", "Digest username=\"u\"", 401, "401"},
    {"GET", "/health", NULL, 200,
     "{\"status\":\"healthy\",\"service\":\"shop\",\"version\":\"1.2\",\"uptime_seconds\":"},
    {"GET", "/ready", NULL, 200, "\"ready\":true"},
    {"GET", "/", NULL, 404, "404 page not found\n"},
    {"GET", "", NULL, 404, "404"},
    {"GET", "/metrics/", "Bearer s3cret", 404, "404"},
    {"GET", "/metricsx", "Bearer s3cret", 404, "404"},
    {"GET", "http://host/metrics", "Bearer s3cret", 404, "404"},
    {"POST", "/metrics", "Bearer s3cret", 405, "405"},
    {"get", "/metrics", "Bearer s3cret", 405, "405"},
    {"", "/metrics", "Bearer s3cret", 405, "405"},
    {"GET", "/metrics?name[]=%zz", "Bearer s3cret", 400, "400 Bad Request"},
    {"GET", "/metrics?a=%00", "Bearer s3cret", 400, "400"},
    {"GET", "/metrics?name[]=%", "Bearer s3cret", 400, "400"},
    {"GET", "/metrics?name[]=%zz", NULL, 401, "401"},
};

/* A table of requests against one that asks for a token or a password. */
static void requests_get_what_they_may(void **state)
{
    (void)state;
    belfry_registry *r = make_registry();
    belfry_http *h = make((belfry_http_options){.registry = r,
                                                .bearer_token = "s3cret",
                                                .username = "u",
                                                .password = "pw",
                                                .service = "shop",
                                                .version = "1.2"});
    for (size_t i = 0; i < COUNT(CASES); i++) {
        const belfry_http_request rq = {.method = CASES[i].method,
                                        .target = CASES[i].target,
                                        .authorization = CASES[i].authorization};
        belfry_http_answer a;
        belfry_http_answer_make(h, &rq, &a);
        if (a.status != CASES[i].status || !body_has(&a, CASES[i].body))
            fail_msg("%s %s: %d %.*s", CASES[i].method, CASES[i].target, a.status,
                     (int)a.body_bytes, a.body);
        assert_true((a.status == 401) == (header(&a, "WWW-Authenticate") != NULL));
        assert_true((a.status == 405) == (header(&a, "Allow") != NULL));
        assert_non_null(header(&a, "Content-Type"));
        belfry_http_answer_release(&a);
        assert_null(a.body);
    }
    belfry_http_free(h);
    belfry_registry_free(r);
}

/* HEAD has the headers of GET and no body. */
static void head_has_no_body(void **state)
{
    (void)state;
    belfry_registry *r = make_registry();
    belfry_http *h = make((belfry_http_options){.registry = r});
    static const char *const targets[] = {"/metrics", "/health", "/nothing"};
    for (size_t i = 0; i < COUNT(targets); i++) {
        belfry_http_request rq = {.method = "GET", .target = targets[i]};
        belfry_http_answer get, head;
        belfry_http_answer_make(h, &rq, &get);
        rq.method = "HEAD";
        belfry_http_answer_make(h, &rq, &head);
        assert_int_equal(head.body_bytes, 0);
        assert_int_equal(head.status, get.status);
        assert_int_equal(head.header_count, get.header_count);
        assert_string_equal(header(&head, "Content-Type"), header(&get, "Content-Type"));
        belfry_http_answer_release(&get);
        belfry_http_answer_release(&head);
    }
    belfry_http_free(h);
    belfry_registry_free(r);
}

static const struct {
    belfry_http_options options;
    const char *error;
} FAULTS[] = {
    {{.username = "u"}, "basic authentication needs both a name and a password"},
    {{.password = "p"}, "basic authentication needs both a name and a password"},
    {{.username = "a:b", .password = "p"}, "the name of basic authentication cannot have a colon"},
    {{.bearer_token = "s3cret\n"},
     "a token, name or password has a control character (a newline at its end?)"},
    {{.metrics_path = "metrics"}, "a path must begin with a slash and have no query"},
    {{.health_path = "/health?x"}, "a path must begin with a slash and have no query"},
    {{.service = "a\"b"},
     "service and version are at most 128 bytes without quotes, backslashes and control "
     "characters"},
};

/* Wrong options are refused with a sentence, and no secret is in it. */
static void wrong_options_are_refused_with_a_sentence(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT(FAULTS); i++) {
        belfry_http *h = (belfry_http *)(uintptr_t)1;
        belfry_http_error why = {""};
        assert_int_equal(belfry_http_new(&h, &FAULTS[i].options, &why), BELFRY_ERROR_FORMAT);
        assert_null(h);
        assert_string_equal(why.message, FAULTS[i].error);
        assert_int_equal(belfry_http_new(&h, &FAULTS[i].options, NULL), BELFRY_ERROR_FORMAT);
    }
}

/* Paths of one's own, and those that are not served. */
static void paths_may_be_moved_and_left_out(void **state)
{
    (void)state;
    belfry_registry *r = make_registry();
    belfry_http *h = make((belfry_http_options){
        .registry = r, .metrics_path = "/m/x", .health_path = "", .protect_probes = true});
    assert_true(belfry_http_serves(h, "/m/x"));
    assert_true(belfry_http_serves(h, "/ready?verbose"));
    assert_false(belfry_http_serves(h, "/health"));
    assert_false(belfry_http_serves(h, "/metrics"));
    assert_false(belfry_http_serves(h, ""));
    belfry_http_free(h);
    belfry_registry_free(r);
}

/* A held answer has a limit: past it the client learns so, and nothing is kept. */
static void a_held_answer_is_bounded(void **state)
{
    (void)state;
    belfry_registry *r = make_registry();
    belfry_http *h = make((belfry_http_options){.registry = r, .answer_bytes_max = 20});
    const belfry_http_request rq = {.method = "GET", .target = "/metrics"};
    belfry_http_answer a;
    belfry_http_answer_make(h, &rq, &a);
    assert_int_equal(a.status, 500);
    assert_true(body_has(&a, "larger than the limit"));
    belfry_http_answer_release(&a);
    belfry_http_free(h);
    belfry_registry_free(r);
}

/* Accept chooses the format, Accept-Encoding the compression; both are said. */
static void format_and_compression_are_negotiated(void **state)
{
    (void)state;
    belfry_registry *r = make_registry();
    belfry_http *h = make((belfry_http_options){.registry = r});
    belfry_http_request rq = {.method = "GET",
                              .target = "/metrics",
                              .accept =
                                  "application/openmetrics-text;version=1.0.0,text/plain;q=0.5"};
    belfry_http_answer a;
    belfry_http_answer_make(h, &rq, &a);
    assert_non_null(
        strstr(header(&a, "Content-Type"), "application/openmetrics-text; version=1.0.0"));
    assert_true(body_has(&a, "# EOF\n"));
    assert_null(header(&a, "Content-Encoding"));
    belfry_http_answer_release(&a);
    rq.accept = NULL;
    rq.accept_encoding = "gzip";
    belfry_http_answer_make(h, &rq, &a);
    assert_string_equal(header(&a, "Content-Encoding"), "gzip");
    assert_non_null(strstr(header(&a, "Content-Type"), "text/plain; version=0.0.4"));
    assert_memory_equal(a.body, "\x1f\x8b", 2);
    belfry_http_answer_release(&a);
    rq.accept_encoding = "zstd";
    belfry_http_answer_make(h, &rq, &a);
    assert_string_equal(header(&a, "Content-Encoding"), "zstd");
    assert_memory_equal(a.body, "\x28\xb5\x2f\xfd", 4);
    belfry_http_answer_release(&a);
    belfry_http_answer_release(NULL);
    belfry_http_free(NULL);
    belfry_http_free(h);
    belfry_registry_free(r);
}

/* name[] chooses families, in either spelling; other parameters choose nothing. */
static void families_are_chosen_by_name(void **state)
{
    (void)state;
    static const struct {
        const char *target;
        bool has_requests, has_depth;
    } cases[] = {
        {"/metrics?name[]=app_depth", false, true},
        {"/metrics?a=b&name%5B%5D=app%5fdepth&", false, true},
        {"/metrics?name[]=app_depth&name[]=app_requests_total", true, true},
        {"/metrics?name[]=nothing", false, false},
        {"/metrics?name[]=", true, true},
        {"/metrics?name=app_depth", true, true},
        {"/metrics?name[]", true, true},
        {"/metrics?", true, true},
    };
    belfry_registry *r = make_registry();
    belfry_http *h = make((belfry_http_options){.registry = r});
    for (size_t i = 0; i < COUNT(cases); i++) {
        const belfry_http_request rq = {.method = "GET", .target = cases[i].target};
        belfry_http_answer a;
        belfry_http_answer_make(h, &rq, &a);
        assert_int_equal(a.status, 200);
        if (body_has(&a, "\napp_requests_total 7\n") != cases[i].has_requests ||
            body_has(&a, "\napp_depth 2.5\n") != cases[i].has_depth)
            fail_msg("%s: %.*s", cases[i].target, (int)a.body_bytes, a.body);
        belfry_http_answer_release(&a);
    }
    /* 257 of them are too many. */
    char target[257 * 9 + 20] = "/metrics?";
    for (int i = 0; i < 257; i++)
        (void)strncat(target, "name[]=a&", 10);
    const belfry_http_request rq = {.method = "GET", .target = target};
    belfry_http_answer a;
    belfry_http_answer_make(h, &rq, &a);
    assert_int_equal(a.status, 400);
    assert_true(body_has(&a, "more than 256"));
    belfry_http_answer_release(&a);
    belfry_http_free(h);
    belfry_registry_free(r);
}

static bool is_well(void *arg, char reason[BELFRY_HEALTH_REASON_BYTES])
{
    (void)arg;
    (void)reason;
    return true;
}

/* /health and /ready say what belfry/health.h knows; a program that stops is not ready. */
static void probes_answer_for_the_health(void **state)
{
    (void)state;
    belfry_registry *r = make_registry();
    belfry_health *health;
    const belfry_health_options ho = {.service = "shop", .version = "1.2"};
    const belfry_health_check check = {.name = "till", .run = is_well};
    assert_int_equal(belfry_health_new(&health, &ho), BELFRY_OK);
    assert_int_equal(belfry_health_add(health, &check), BELFRY_OK);
    belfry_http *h = make((belfry_http_options){.registry = r, .health = health});
    belfry_http_request rq = {.method = "GET", .target = "/ready"};
    belfry_http_answer a;
    for (int tries = 0; tries < 3000; tries++) { /* until the check ran */
        belfry_http_answer_make(h, &rq, &a);
        if (a.status == 200)
            break;
        belfry_http_answer_release(&a);
        (void)usleep(10000);
    }
    assert_int_equal(a.status, 200);
    assert_true(body_has(&a, "{\"ready\":true,\"dependencies\":{\"till\":true}"));
    belfry_http_answer_release(&a);
    belfry_health_set_stopping(health);
    belfry_http_answer_make(h, &rq, &a);
    assert_int_equal(a.status, 503);
    assert_true(body_has(&a, "{\"ready\":false"));
    assert_string_equal(header(&a, "Content-Type"), "application/json");
    belfry_http_answer_release(&a);
    rq.target = "/health";
    belfry_http_answer_make(h, &rq, &a);
    assert_int_equal(a.status, 200);
    assert_true(body_has(&a, "{\"status\":\"healthy\",\"service\":\"shop\",\"version\":\"1.2\","));
    belfry_http_answer_release(&a);
    belfry_http_free(h);
    belfry_health_free(health);
    belfry_registry_free(r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(requests_get_what_they_may),
        cmocka_unit_test(head_has_no_body),
        cmocka_unit_test(wrong_options_are_refused_with_a_sentence),
        cmocka_unit_test(paths_may_be_moved_and_left_out),
        cmocka_unit_test(a_held_answer_is_bounded),
        cmocka_unit_test(format_and_compression_are_negotiated),
        cmocka_unit_test(families_are_chosen_by_name),
        cmocka_unit_test(probes_answer_for_the_health),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
