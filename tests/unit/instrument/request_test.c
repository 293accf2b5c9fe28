/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <belfry/exposition.h>
#include <belfry/request.h>
#include <fcntl.h>
#include <jansson.h>
#include <math.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#define TRACE "4bf92f3577b34da6a3ce929d0e0e4736"
#define SPAN "00f067aa0ba902b7"

/* --- request ids --- */

static void request_ids_are_eight_lower_case_digits(void **state)
{
    char seen[64][BELFRY_REQUEST_ID_BYTES];
    for (int i = 0; i < 64; i++) {
        assert_int_equal(belfry_request_id_make(seen[i]), BELFRY_OK);
        assert_int_equal(strlen(seen[i]), 8);
        assert_int_equal(strspn(seen[i], "0123456789abcdef"), 8);
    }
    int equal = 0; /* two of 64 are equal once in two million runs; four of them never */
    for (int i = 0; i < 64; i++)
        for (int j = 0; j < i; j++)
            equal += strcmp(seen[i], seen[j]) == 0;
    assert_true(equal < 3);
}

static void request_ids_of_clients_are_taken_when_they_match(void **state)
{
    static const struct {
        const char *id;
        bool ok;
    } CASES[] = {{"c298c805", true},     {"A-Z_a.z09", true}, {"a", true},      {"", false},
                 {"a b", false},         {"a\n", false},      {"a/b", false},   {"\"", false},
                 {"caf\xc3\xa9", false}, {"a,b", false},      {"a\x7f", false}, {"..", true}};
    for (size_t i = 0; i < sizeof CASES / sizeof CASES[0]; i++)
        assert_int_equal(belfry_request_id_is_valid(CASES[i].id, strlen(CASES[i].id)), CASES[i].ok);
    char longest[66];
    memset(longest, 'x', sizeof longest);
    assert_true(belfry_request_id_is_valid(longest, 64));
    assert_false(belfry_request_id_is_valid(longest, 65));
    assert_false(belfry_request_id_is_valid(NULL, 4));
    assert_false(belfry_request_id_is_valid("ab\0cd", 5));
}

/* A child must not give the ids that its parent gives: bytes that wait in the thread are thrown away. */
static void request_ids_differ_after_fork(void **state)
{
    char first[BELFRY_REQUEST_ID_BYTES], own[3][BELFRY_REQUEST_ID_BYTES],
        theirs[3][BELFRY_REQUEST_ID_BYTES];
    int ends[2];
    assert_int_equal(belfry_request_id_make(first), BELFRY_OK);
    assert_int_equal(pipe(ends), 0);
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        bool ok = true;
        for (int i = 0; i < 3; i++)
            ok = belfry_request_id_make(own[i]) == BELFRY_OK && ok;
        ok = write(ends[1], own, sizeof own) == sizeof own && ok;
        _exit(ok ? 0 : 1);
    }
    int status;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(status, 0);
    assert_int_equal(read(ends[0], theirs, sizeof theirs), sizeof theirs);
    for (int i = 0; i < 3; i++)
        assert_int_equal(belfry_request_id_make(own[i]), BELFRY_OK);
    assert_true(memcmp(own, theirs, sizeof own) != 0);
    close(ends[0]);
    close(ends[1]);
}

/* --- W3C trace context --- */

/* The rules of the recommendation, one a line. */
static void traceparent_is_read_as_the_recommendation_says(void **state)
{
    static const struct {
        const char *header;
        int flags; /* negative: not valid */
    } CASES[] = {
        {"00-" TRACE "-" SPAN "-01", 1},
        {"00-" TRACE "-" SPAN "-00", 0},
        {"00-" TRACE "-" SPAN "-ff", 1}, /* other flags are not ours */
        {"00-" TRACE "-" SPAN "-02", 0},
        {"00-" TRACE "-" SPAN "-01-", -1}, /* version 00 ends there */
        {"00-" TRACE "-" SPAN "-01-what", -1},
        {"00-" TRACE "-" SPAN "-01 ", -1},
        {" 00-" TRACE "-" SPAN "-01", -1},
        {"00-" TRACE "-" SPAN "-0", -1},
        {"00-" TRACE "-" SPAN "-", -1},
        {"00-" TRACE "-" SPAN, -1},
        {"cc-" TRACE "-" SPAN "-01", 1},            /* a later version, as long */
        {"cc-" TRACE "-" SPAN "-01-what-comes", 1}, /* and longer */
        {"cc-" TRACE "-" SPAN "-01.what", -1},
        {"cc-" TRACE "-" SPAN "-01what", -1},
        {"fe-" TRACE "-" SPAN "-00", 0},
        {"ff-" TRACE "-" SPAN "-01", -1}, /* never a version */
        {"0-" TRACE "-" SPAN "-01", -1},
        {"000-" TRACE "-" SPAN "-01", -1},
        {"00-00000000000000000000000000000000-" SPAN "-01", -1},
        {"00-" TRACE "-0000000000000000-01", -1},
        {"00-4BF92F3577B34DA6A3CE929D0E0E4736-" SPAN "-01", -1}, /* upper case */
        {"00-" TRACE "-00F067AA0BA902B7-01", -1},
        {"00-" TRACE "-" SPAN "-0G", -1},
        {"00-" TRACE "-" SPAN "-0A", -1},
        {"0G-" TRACE "-" SPAN "-01", -1},
        {"00-4bf92f3577b34da6a3ce929d0e0e473-" SPAN "-001", -1},
        {"00_" TRACE "-" SPAN "-01", -1},
        {"00-" TRACE "_" SPAN "-01", -1},
        {"00-" TRACE "-" SPAN "_01", -1},
        {"00-" TRACE "-" SPAN "-01,00-" TRACE "-" SPAN "-01", -1}, /* two headers joined */
        {"", -1},
    };
    for (size_t i = 0; i < sizeof CASES / sizeof CASES[0]; i++) {
        belfry_trace_context got, untouched;
        memset(&got, 0xa5, sizeof got);
        untouched = got;
        bool ok = belfry_traceparent_parse(&got, CASES[i].header, strlen(CASES[i].header));
        if (ok != (CASES[i].flags >= 0))
            fail_msg("traceparent \"%s\"", CASES[i].header);
        if (!ok) {
            assert_memory_equal(&got, &untouched, sizeof got);
            continue;
        }
        assert_int_equal(got.flags, CASES[i].flags);
        char out[BELFRY_TRACEPARENT_BYTES], expected[BELFRY_TRACEPARENT_BYTES];
        belfry_traceparent_format(out, &got);
        snprintf(expected, sizeof expected, "00-" TRACE "-" SPAN "-%02d", CASES[i].flags);
        assert_string_equal(out, expected);
    }
    belfry_trace_context got;
    assert_false(belfry_traceparent_parse(&got, NULL, 0));
    /* It never looks behind its length. */
    char exact[55];
    memcpy(exact, "00-" TRACE "-" SPAN "-01", sizeof exact);
    assert_true(belfry_traceparent_parse(&got, exact, sizeof exact));
}

static void tracestate_is_cleaned_or_thrown_away(void **state)
{
    static const struct {
        const char *in, *out; /* out "": not valid, or nothing there */
    } CASES[] = {
        {"rojo=00f067aa0ba902b7,congo=t61rcWkgMzE", "rojo=00f067aa0ba902b7,congo=t61rcWkgMzE"},
        {" rojo=1 ,\tcongo=2\t", "rojo=1,congo=2"},
        {"a=1,,b=2, ,", "a=1,b=2"},
        {"fw529a3039@dt=FfAiz;x:y", "fw529a3039@dt=FfAiz;x:y"},
        {"0tenant@sys=1", "0tenant@sys=1"},
        {"a*b/c_d-e=1", "a*b/c_d-e=1"},
        {"a= b c", "a= b c"},
        {"0a=1", ""}, /* a simple key begins with a letter */
        {"A=1", ""},
        {"a.b=1", ""},
        {"a@=1", ""},
        {"@a=1", ""},
        {"a@0b=1", ""},
        {"a@b@c=1", ""},
        {"a @b=1", ""},
        {"a=1=2", ""},
        {"a=", ""},
        {"=1", ""},
        {"a", ""},
        {"a=b\x7f", ""},
        {"a=b\xc3\xa9", ""},
        {"a=1,a=2", ""},
        {"a=1,b=2,a=3", ""},
        {"a=1,b", ""},
        {"", ""},
        {" , ,", ""},
    };
    char out[BELFRY_TRACESTATE_BYTES_MAX + 1];
    for (size_t i = 0; i < sizeof CASES / sizeof CASES[0]; i++) {
        size_t len = belfry_tracestate_clean(out, CASES[i].in, strlen(CASES[i].in));
        assert_string_equal(out, CASES[i].out);
        assert_int_equal(len, strlen(CASES[i].out));
    }
    assert_int_equal(belfry_tracestate_clean(out, NULL, 0), 0);
}

/* 32 members pass, 33 do not; long ones go first, then the last ones. */
static void tracestate_has_limits(void **state)
{
    char in[4096], out[BELFRY_TRACESTATE_BYTES_MAX + 1];
    size_t len = 0;
    for (int i = 0; i < 32; i++)
        len += (size_t)snprintf(in + len, sizeof in - len, "%sk%d=v", i ? "," : "", i);
    assert_int_equal(belfry_tracestate_clean(out, in, len), len);
    assert_string_equal(out, in);
    len += (size_t)snprintf(in + len, sizeof in - len, ",more=v");
    assert_int_equal(belfry_tracestate_clean(out, in, len), 0);

    char long_value[200], key[258], sys[16];
    memset(long_value, 'v', sizeof long_value - 1);
    long_value[sizeof long_value - 1] = '\0';
    snprintf(in, sizeof in, "a=%s,b=1,c=%s,d=2,e=%s", long_value, long_value, long_value);
    snprintf(in + 3000, 1000, "a=%s,b=1,c=%s,d=2", long_value, long_value);
    assert_int_equal(belfry_tracestate_clean(out, in, strlen(in)), strlen(in + 3000));
    assert_string_equal(out, in + 3000);
    len = 0;
    for (int i = 0; i < 20; i++)
        len += (size_t)snprintf(in + len, sizeof in - len, "%sk%02d=%.36s", i ? "," : "", i,
                                long_value);
    /* 12 members of 40 bytes and their commas are 491; 13 are 532 */
    assert_int_equal(belfry_tracestate_clean(out, in, len), 491);
    assert_memory_equal(out, in, 491);

    memset(key, 'k', sizeof key);
    memset(sys, 's', sizeof sys);
    for (int over = 0; over <= 1; over++) {
        snprintf(in, sizeof in, "%.*s=1", 256 + over, key);
        assert_int_equal(belfry_tracestate_clean(out, in, strlen(in)) > 0, !over);
        snprintf(in, sizeof in, "%.*s@s=1", 241 + over, key);
        assert_int_equal(belfry_tracestate_clean(out, in, strlen(in)) > 0, !over);
        snprintf(in, sizeof in, "k@%.*s=1", 14 + over, sys);
        assert_int_equal(belfry_tracestate_clean(out, in, strlen(in)) > 0, !over);
        snprintf(in, sizeof in, "k=%.*s", 256 + over, key);
        assert_int_equal(belfry_tracestate_clean(out, in, strlen(in)) > 0, !over);
    }
}

/* --- a receiver --- */

enum { BODIES_MAX = 64 };

struct receiver {
    pthread_mutex_t mutex;
    pthread_cond_t changed;
    int statuses[8]; /* of the first answers; then the last one again */
    int status_count, posts;
    const char *answer;
    uint32_t retry_after_ms;
    bool hangs, was_cancelled; /* hangs until cancelled */
    int releases;
    json_t *bodies[BODIES_MAX];
};

static void receive(void *arg, const char *body, size_t len, belfry_post_reply *reply)
{
    struct receiver *r = arg;
    json_error_t error;
    pthread_mutex_lock(&r->mutex);
    if (r->posts < BODIES_MAX)
        r->bodies[r->posts] = json_loadb(body, len, 0, &error);
    int idx = r->posts < r->status_count ? r->posts : r->status_count - 1;
    reply->status = r->status_count ? r->statuses[idx] : 200;
    reply->retry_after_ms = r->retry_after_ms;
    if (r->answer) {
        reply->body_bytes = strlen(r->answer);
        memcpy(reply->body, r->answer, reply->body_bytes);
    }
    r->posts++;
    pthread_cond_broadcast(&r->changed);
    while (r->hangs && !r->was_cancelled)
        pthread_cond_wait(&r->changed, &r->mutex);
    pthread_mutex_unlock(&r->mutex);
}

static void cancel(void *arg)
{
    struct receiver *r = arg;
    pthread_mutex_lock(&r->mutex);
    r->was_cancelled = true;
    pthread_cond_broadcast(&r->changed);
    pthread_mutex_unlock(&r->mutex);
}

static void release(void *arg)
{
    ((struct receiver *)arg)->releases++;
}

static void receiver_init(struct receiver *r)
{
    memset(r, 0, sizeof *r);
    pthread_mutex_init(&r->mutex, NULL);
    pthread_cond_init(&r->changed, NULL);
}

static void receiver_deinit(struct receiver *r)
{
    for (int i = 0; i < BODIES_MAX; i++)
        json_decref(r->bodies[i]);
}

static belfry_tracer_options options_for(struct receiver *r)
{
    return (belfry_tracer_options){.service_name = "shop",
                                   .service_version = "1.2",
                                   .transport = {receive, cancel, release, r},
                                   .delay_ms = 1,
                                   .retry_ms = 1};
}

static json_t *get(json_t *j, const char *key)
{
    json_t *v = json_object_get(j, key);
    if (!v)
        fail_msg("no %s", key);
    return v;
}

static json_t *spans_of(json_t *body)
{
    json_t *resource = json_array_get(get(body, "resourceSpans"), 0);
    return get(json_array_get(get(resource, "scopeSpans"), 0), "spans");
}

static json_t *attribute(json_t *list, const char *key)
{
    size_t i;
    json_t *a;
    json_array_foreach(list, i, a)
    {
        if (strcmp(json_string_value(get(a, "key")), key) == 0)
            return get(a, "value");
    }
    fail_msg("no attribute %s", key);
    return NULL;
}

#define CLOSE_WAIT_MS 20000

/* Each field as the JSON mapping of OTLP has it: ids in hexadecimal, 64-bit integers as strings, enums as numbers. */
static void otlp_json_has_every_field_in_its_form(void **state)
{
    struct receiver r;
    receiver_init(&r);
    belfry_tracer *t;
    belfry_tracer_options options = options_for(&r);
    const belfry_field resource[] = {BELFRY_STR("host.name", "h\"1"), BELFRY_INT("n", 3)};
    options.resource = resource;
    options.resource_count = 2;
    assert_int_equal(belfry_tracer_open(&t, &options), BELFRY_OK);
    belfry_trace_context parent, own;
    assert_true(belfry_traceparent_parse(&parent, "00-" TRACE "-" SPAN "-01", 55));
    belfry_span *s = belfry_span_start_under(t, &parent, "GET /a \xff", BELFRY_SPAN_CLIENT);
    assert_non_null(s);
    assert_true(belfry_span_context(s, &own));
    belfry_span_set(s, BELFRY_STR("s", "a\"b\n"));
    belfry_span_set(s, BELFRY_INT("i", INT64_MIN));
    belfry_span_set(s, BELFRY_UINT("u", UINT64_MAX));
    belfry_span_set(s, BELFRY_UINT("small", 7));
    belfry_span_set(s, BELFRY_DOUBLE("d", 0.5));
    belfry_span_set(s, BELFRY_DOUBLE("nan", NAN));
    belfry_span_set(s, BELFRY_DOUBLE("inf", -INFINITY));
    belfry_span_set(s, BELFRY_BOOL("b", false));
    belfry_span_set(s, BELFRY_NULL("z"));
    belfry_span_set(s, BELFRY_SECRET("key", "hidden"));
    belfry_span_set(s, BELFRY_STR("http.request.header.authorization", "hidden"));
    belfry_span_set(s, BELFRY_STR("url.full", "https://u:p@host/a?b=hidden"));
    const belfry_field fields[] = {BELFRY_INT("attempt", 2)};
    belfry_span_event(s, "retry", fields, 1);
    belfry_span_event(s, "plain", NULL, 0);
    belfry_span_fail(s, "no \"route\"");
    belfry_span_end(s);
    belfry_tracer_close(t);
    assert_int_equal(r.releases, 1);
    assert_int_equal(r.posts, 1);
    assert_non_null(r.bodies[0]);

    json_t *rs = json_array_get(get(r.bodies[0], "resourceSpans"), 0);
    json_t *ra = get(get(rs, "resource"), "attributes");
    assert_string_equal(json_string_value(get(attribute(ra, "service.name"), "stringValue")),
                        "shop");
    assert_string_equal(json_string_value(get(attribute(ra, "service.version"), "stringValue")),
                        "1.2");
    assert_string_equal(json_string_value(get(attribute(ra, "host.name"), "stringValue")), "h\"1");
    assert_string_equal(json_string_value(get(attribute(ra, "n"), "intValue")), "3");
    json_t *scope = get(json_array_get(get(rs, "scopeSpans"), 0), "scope");
    assert_string_equal(json_string_value(get(scope, "name")), "belfry");

    json_t *spans = spans_of(r.bodies[0]), *j = json_array_get(spans, 0);
    assert_int_equal(json_array_size(spans), 1);
    assert_string_equal(json_string_value(get(j, "traceId")), TRACE);
    assert_string_equal(json_string_value(get(j, "parentSpanId")), SPAN);
    const char *span_id = json_string_value(get(j, "spanId"));
    assert_int_equal(strlen(span_id), 16);
    assert_int_equal(strspn(span_id, "0123456789abcdef"), 16);
    assert_string_not_equal(span_id, SPAN);
    assert_null(json_object_get(j, "traceState"));
    assert_int_equal(json_integer_value(get(j, "flags")), 0x301);
    assert_string_equal(json_string_value(get(j, "name")), "GET /a \xef\xbf\xbd");
    assert_int_equal(json_integer_value(get(j, "kind")), 3);
    const char *start = json_string_value(get(j, "startTimeUnixNano"));
    const char *end = json_string_value(get(j, "endTimeUnixNano"));
    assert_int_equal(strlen(start), 19);
    assert_true(strtoull(end, NULL, 10) >= strtoull(start, NULL, 10));
    json_t *a = get(j, "attributes");
    assert_string_equal(json_string_value(get(attribute(a, "s"), "stringValue")), "a\"b\n");
    assert_string_equal(json_string_value(get(attribute(a, "i"), "intValue")),
                        "-9223372036854775808");
    assert_string_equal(json_string_value(get(attribute(a, "u"), "stringValue")),
                        "18446744073709551615");
    assert_string_equal(json_string_value(get(attribute(a, "small"), "intValue")), "7");
    assert_true(json_real_value(get(attribute(a, "d"), "doubleValue")) == 0.5);
    assert_string_equal(json_string_value(get(attribute(a, "nan"), "doubleValue")), "NaN");
    assert_string_equal(json_string_value(get(attribute(a, "inf"), "doubleValue")), "-Infinity");
    assert_true(json_is_false(get(attribute(a, "b"), "boolValue")));
    assert_int_equal(json_object_size(attribute(a, "z")), 0);
    assert_string_equal(json_string_value(get(attribute(a, "key"), "stringValue")), "***");
    assert_string_equal(
        json_string_value(get(attribute(a, "http.request.header.authorization"), "stringValue")),
        "***");
    assert_string_equal(json_string_value(get(attribute(a, "url.full"), "stringValue")),
                        "https://***@host/a?***");
    assert_null(json_object_get(j, "droppedAttributesCount"));
    json_t *events = get(j, "events"), *event = json_array_get(events, 0);
    assert_int_equal(json_array_size(events), 2);
    assert_string_equal(json_string_value(get(event, "name")), "retry");
    assert_int_equal(strlen(json_string_value(get(event, "timeUnixNano"))), 19);
    assert_string_equal(
        json_string_value(get(attribute(get(event, "attributes"), "attempt"), "intValue")), "2");
    json_t *status = get(j, "status");
    assert_int_equal(json_integer_value(get(status, "code")), 2);
    assert_string_equal(json_string_value(get(status, "message")), "no \"route\"");
    receiver_deinit(&r);
}

/* Past the limits attributes and events are counted, and the span is still sent. */
static void spans_have_limits(void **state)
{
    struct receiver r;
    receiver_init(&r);
    belfry_tracer *t;
    belfry_tracer_options options = options_for(&r);
    assert_int_equal(belfry_tracer_open(&t, &options), BELFRY_OK);
    belfry_span *s = belfry_span_start(t, NULL, BELFRY_SPAN_INTERNAL);
    for (int i = 0; i < BELFRY_SPAN_ATTRIBUTES_MAX + 3; i++)
        belfry_span_set(s, BELFRY_INT("n", i));
    for (int i = 0; i < BELFRY_SPAN_EVENTS_MAX + 2; i++)
        belfry_span_event(s, "e", NULL, 0);
    belfry_span_end(s);
    s = belfry_span_start(t, "large", BELFRY_SPAN_INTERNAL);
    char text[BELFRY_LOG_STRING_BYTES_MAX + 1];
    memset(text, 'x', sizeof text - 1);
    text[sizeof text - 1] = '\0';
    for (int i = 0; i < BELFRY_SPAN_ATTRIBUTES_MAX; i++)
        belfry_span_set(s, BELFRY_STR("text", text));
    belfry_span_end(s);
    belfry_tracer_close(t);
    json_t *all[2];
    int found = 0;
    for (int p = 0; p < r.posts; p++)
        for (size_t i = 0; i < json_array_size(spans_of(r.bodies[p])) && found < 2; i++)
            all[found++] = json_array_get(spans_of(r.bodies[p]), i);
    assert_int_equal(found, 2);
    assert_int_equal(json_array_size(get(all[0], "attributes")), BELFRY_SPAN_ATTRIBUTES_MAX);
    assert_int_equal(json_integer_value(get(all[0], "droppedAttributesCount")), 3);
    assert_int_equal(json_array_size(get(all[0], "events")), BELFRY_SPAN_EVENTS_MAX);
    assert_int_equal(json_integer_value(get(all[0], "droppedEventsCount")), 2);
    assert_null(json_object_get(all[0], "parentSpanId"));
    assert_int_equal(json_object_size(get(all[0], "status")), 0);
    size_t kept = json_array_size(get(all[1], "attributes"));
    assert_int_equal(kept, BELFRY_SPAN_TEXT_BYTES_MAX / (BELFRY_LOG_STRING_BYTES_MAX + 43));
    assert_int_equal(json_integer_value(get(all[1], "droppedAttributesCount")),
                     BELFRY_SPAN_ATTRIBUTES_MAX - kept);
    receiver_deinit(&r);
}

/* Without a tracer, or not sampled: NULL everywhere, nothing happens. */
static void spans_are_off_without_a_tracer(void **state)
{
    belfry_trace_context c;
    belfry_scope scope;
    belfry_tracer_stats stats;
    assert_null(belfry_span_start(NULL, "a", BELFRY_SPAN_INTERNAL));
    assert_null(belfry_span_start_under(NULL, NULL, "a", BELFRY_SPAN_INTERNAL));
    belfry_span_set(NULL, BELFRY_INT("a", 1));
    belfry_span_event(NULL, "a", NULL, 0);
    belfry_span_fail(NULL, "a");
    belfry_span_succeed(NULL);
    belfry_span_set_name(NULL, "a");
    belfry_span_enter(NULL, &scope);
    belfry_scope_leave(&scope);
    belfry_span_end(NULL);
    assert_false(belfry_span_context(NULL, &c));
    belfry_tracer_close(NULL);
    assert_true(belfry_tracer_flush(NULL, 0));
    belfry_tracer_stats_get(NULL, &stats);
    assert_int_equal(stats.sent + stats.dropped + stats.rejected + stats.queued, 0);
}

static void tracers_need_a_name_and_a_transport(void **state)
{
    struct receiver r;
    receiver_init(&r);
    belfry_tracer *t = (belfry_tracer *)&r;
    belfry_tracer_options options = options_for(&r);
    options.service_name = "";
    assert_int_equal(belfry_tracer_open(&t, &options), BELFRY_ERROR_FORMAT);
    assert_null(t);
    assert_int_equal(r.releases, 1);
    options = options_for(&r);
    options.transport.post = NULL;
    assert_int_equal(belfry_tracer_open(&t, &options), BELFRY_ERROR_FORMAT);
    assert_int_equal(r.releases, 2);
    options = options_for(&r);
    const belfry_field without_key = BELFRY_STR(NULL, "v");
    options.resource = &without_key;
    options.resource_count = 1;
    assert_int_equal(belfry_tracer_open(&t, &options), BELFRY_ERROR_FORMAT);
    assert_string_equal(belfry_last_error(), "a resource attribute has no key or is too long");
    assert_int_equal(r.releases, 3);
}

/* Of many traces about the wanted part is recorded; a client's decision beats it. */
static void sampling_follows_ratio_and_client(void **state)
{
    static const struct {
        double ratio;
        int min, max;
    } CASES[] = {{0, 1000, 1000}, {1, 1000, 1000}, {-1, 0, 0}, {0.25, 120, 400}};
    struct receiver r;
    receiver_init(&r);
    for (size_t i = 0; i < sizeof CASES / sizeof CASES[0]; i++) {
        belfry_tracer *t;
        belfry_tracer_options options = options_for(&r);
        options.sample_ratio = CASES[i].ratio;
        assert_int_equal(belfry_tracer_open(&t, &options), BELFRY_OK);
        int sampled = 0;
        for (int n = 0; n < 1000; n++) {
            belfry_span *s = belfry_span_start(t, "a", BELFRY_SPAN_INTERNAL);
            sampled += s != NULL;
            belfry_span_end(s);
        }
        assert_in_range(sampled, CASES[i].min, CASES[i].max);
        belfry_trace_context client;
        assert_true(belfry_traceparent_parse(&client, "00-" TRACE "-" SPAN "-01", 55));
        belfry_span *s = belfry_span_start_under(t, &client, "a", BELFRY_SPAN_INTERNAL);
        assert_non_null(s);
        belfry_span_end(s);
        client.flags = 0;
        assert_null(belfry_span_start_under(t, &client, "a", BELFRY_SPAN_INTERNAL));
        belfry_tracer_close(t);
    }
    receiver_deinit(&r);
}

/* What the receiver says decides: again, or lost. */
static void batches_are_tried_again_when_the_receiver_may_take_them(void **state)
{
    static const struct {
        int statuses[8], count, posts;
        const char *answer;
        uint64_t sent, dropped, rejected;
    } CASES[] = {
        {{200}, 1, 1, NULL, 2, 0, 0},
        {{202}, 1, 1, "{}", 2, 0, 0},
        {{200},
         1,
         1,
         "{\"partialSuccess\":{\"rejectedSpans\":\"1\",\"errorMessage\":\"no\"}}",
         1,
         0,
         1},
        {{200}, 1, 1, "{ \"partialSuccess\" : { \"rejectedSpans\" : 1 } }", 1, 0, 1},
        {{200},
         1,
         1,
         "{\"partialSuccess\":{\"rejectedSpans\":\"99999999999999999999999\"}}",
         0,
         0,
         2},
        {{200}, 1, 1, "{\"rejectedSpans\"", 2, 0, 0},
        {{503, 200}, 2, 2, NULL, 2, 0, 0},
        {{0, 429, 502, 504, 200}, 5, 5, NULL, 2, 0, 0},
        {{503}, 1, 5, NULL, 0, 2, 0},
        {{400}, 1, 1, NULL, 0, 0, 2},
        {{404}, 1, 1, NULL, 0, 0, 2},
        {{500}, 1, 1, NULL, 0, 0, 2},
        {{301}, 1, 1, NULL, 0, 0, 2},
    };
    for (size_t i = 0; i < sizeof CASES / sizeof CASES[0]; i++) {
        struct receiver r;
        receiver_init(&r);
        memcpy(r.statuses, CASES[i].statuses, sizeof r.statuses);
        r.status_count = CASES[i].count;
        r.answer = CASES[i].answer;
        belfry_tracer *t;
        belfry_tracer_options options = options_for(&r);
        options.delay_ms = 60000; /* both in one batch */
        options.batch_spans_max = 2;
        options.close_wait_ms = CLOSE_WAIT_MS;
        assert_int_equal(belfry_tracer_open(&t, &options), BELFRY_OK);
        belfry_span_end(belfry_span_start(t, "a", BELFRY_SPAN_INTERNAL));
        belfry_span_end(belfry_span_start(t, "b", BELFRY_SPAN_INTERNAL));
        assert_true(belfry_tracer_flush(t, CLOSE_WAIT_MS));
        belfry_tracer_stats stats;
        belfry_tracer_stats_get(t, &stats);
        assert_int_equal(r.posts, CASES[i].posts);
        assert_int_equal(stats.sent, CASES[i].sent);
        assert_int_equal(stats.dropped, CASES[i].dropped);
        assert_int_equal(stats.rejected, CASES[i].rejected);
        belfry_tracer_close(t);
        receiver_deinit(&r);
    }
}

/* The receiver hangs: the queue takes what fits, the rest is counted, closing ends and gives the transport a sign. */
static void a_hanging_receiver_costs_spans_and_nothing_else(void **state)
{
    struct receiver r;
    receiver_init(&r);
    r.hangs = true;
    belfry_tracer *t;
    belfry_tracer_options options = options_for(&r);
    options.queue_spans_max = 4;
    options.batch_spans_max = 1;
    options.close_wait_ms = 1;
    assert_int_equal(belfry_tracer_open(&t, &options), BELFRY_OK);
    belfry_span_end(belfry_span_start(t, "first", BELFRY_SPAN_INTERNAL));
    pthread_mutex_lock(&r.mutex);
    while (r.posts == 0)
        pthread_cond_wait(&r.changed, &r.mutex);
    pthread_mutex_unlock(&r.mutex);
    for (int i = 0; i < 10; i++)
        belfry_span_end(belfry_span_start(t, "next", BELFRY_SPAN_INTERNAL));
    belfry_tracer_stats stats;
    belfry_tracer_stats_get(t, &stats);
    assert_int_equal(stats.queued, 4);
    assert_int_equal(stats.dropped, 6);
    assert_false(belfry_tracer_flush(t, 1));
    belfry_registry *registry = belfry_registry_new();
    assert_int_equal(belfry_tracer_register(t, registry), BELFRY_OK);
    belfry_tracer_close(t);
    assert_true(r.was_cancelled);
    assert_int_equal(r.posts, 1);
    char *text;
    size_t len;
    assert_int_equal(belfry_registry_text(registry, &text, &len),
                     BELFRY_OK); /* also when it is gone */
    assert_non_null(strstr(text, "belfry_spans_dropped_total 10\n"));
    assert_non_null(strstr(text, "belfry_spans_sent_total 1\n"));
    belfry_text_free(text);
    belfry_registry_free(registry);
    receiver_deinit(&r);
}

/* --- requests --- */

static belfry_request *request_of(const char *id, const char *parent, const char *tracestate,
                                  belfry_tracer *t)
{
    belfry_request *r;
    belfry_request_options options = {.request_id = id,
                                      .request_id_bytes = id ? strlen(id) : 0,
                                      .traceparent = parent,
                                      .traceparent_bytes = parent ? strlen(parent) : 0,
                                      .tracestate = tracestate,
                                      .tracestate_bytes = tracestate ? strlen(tracestate) : 0,
                                      .tracer = t,
                                      .span_name = "GET /"};
    assert_int_equal(belfry_request_new(&r, &options), BELFRY_OK);
    return r;
}

static void requests_take_over_what_is_valid(void **state)
{
    belfry_trace_context trace;
    belfry_scope scope;
    belfry_outgoing out;
    belfry_request *r = request_of("abc-1", "00-" TRACE "-" SPAN "-01", " a=1 ", NULL);
    assert_string_equal(belfry_request_id(r), "abc-1");
    assert_true(belfry_request_trace(r, &trace));
    assert_string_equal(belfry_request_tracestate(r), "a=1");
    assert_null(belfry_request_span(r));
    belfry_request_enter(r, &scope);
    assert_ptr_equal(belfry_request_current(), r);
    belfry_outgoing_get(&out); /* no tracer: passed on as it came */
    assert_string_equal(out.request_id, "abc-1");
    assert_string_equal(out.traceparent, "00-" TRACE "-" SPAN "-01");
    assert_string_equal(out.tracestate, "a=1");
    belfry_scope_leave(&scope);
    assert_null(belfry_request_current());
    belfry_outgoing_get(&out);
    assert_string_equal(out.request_id, "");
    assert_string_equal(out.traceparent, "");
    belfry_request_end(r);

    r = request_of("not valid", "00-00-00-00", "a=1", NULL);
    assert_int_equal(strspn(belfry_request_id(r), "0123456789abcdef"), 8);
    assert_false(belfry_request_trace(r, &trace));
    assert_string_equal(belfry_request_tracestate(r), "");
    belfry_request_end(r);
    belfry_request_end(NULL);
    belfry_request_unref(NULL);
    assert_null(belfry_request_ref(NULL));
}

static json_t *span_named(struct receiver *r, const char *name)
{
    for (int p = 0; p < r->posts; p++) {
        json_t *spans = spans_of(r->bodies[p]);
        for (size_t i = 0; i < json_array_size(spans); i++) {
            json_t *s = json_array_get(spans, i);
            if (strcmp(json_string_value(get(s, "name")), name) == 0)
                return s;
        }
    }
    fail_msg("no span %s", name);
    return NULL;
}

struct handed {
    belfry_tracer *tracer;
    belfry_request *request;
};

static void *work_elsewhere(void *arg)
{
    struct handed *h = arg;
    belfry_scope scope;
    belfry_request_enter(h->request, &scope);
    belfry_span_end(belfry_span_start(h->tracer, "elsewhere", BELFRY_SPAN_INTERNAL));
    belfry_scope_leave(&scope);
    belfry_request_unref(h->request);
    return NULL;
}

/* client -> request -> outer -> inner, and a span on another thread below the request. */
static void spans_find_their_parents(void **state)
{
    struct receiver r;
    receiver_init(&r);
    belfry_tracer *t;
    belfry_tracer_options options = options_for(&r);
    assert_int_equal(belfry_tracer_open(&t, &options), BELFRY_OK);
    belfry_request *request = request_of(NULL, "00-" TRACE "-" SPAN "-01", "a=1", t);
    struct handed handed = {t, belfry_request_ref(request)};
    pthread_t thread;
    assert_int_equal(pthread_create(&thread, NULL, work_elsewhere, &handed), 0);
    belfry_scope in_request, in_outer;
    belfry_outgoing out;
    belfry_request_enter(request, &in_request);
    belfry_span *outer = belfry_span_start(t, "outer", BELFRY_SPAN_INTERNAL);
    belfry_span_enter(outer, &in_outer);
    belfry_span *inner = belfry_span_start(t, "inner", BELFRY_SPAN_CLIENT);
    belfry_outgoing_get(&out); /* of outer: inner was not entered */
    belfry_span_end(inner);
    belfry_scope_leave(&in_outer);
    belfry_span_end(outer);
    belfry_scope_leave(&in_request);
    pthread_join(thread, NULL);
    belfry_request_end(request);
    belfry_tracer_close(t);

    json_t *own = span_named(&r, "GET /"), *o = span_named(&r, "outer");
    json_t *i = span_named(&r, "inner"), *e = span_named(&r, "elsewhere");
    assert_string_equal(json_string_value(get(own, "parentSpanId")), SPAN);
    assert_int_equal(json_integer_value(get(own, "kind")), 2);
    assert_int_equal(json_integer_value(get(own, "flags")), 0x301);
    assert_string_equal(json_string_value(get(own, "traceState")), "a=1");
    assert_string_equal(json_string_value(get(o, "parentSpanId")),
                        json_string_value(get(own, "spanId")));
    assert_int_equal(json_integer_value(get(o, "flags")), 0x101);
    assert_string_equal(json_string_value(get(i, "parentSpanId")),
                        json_string_value(get(o, "spanId")));
    assert_string_equal(json_string_value(get(e, "parentSpanId")),
                        json_string_value(get(own, "spanId")));
    json_t *all[] = {own, o, i, e};
    for (size_t n = 0; n < 4; n++)
        assert_string_equal(json_string_value(get(all[n], "traceId")), TRACE);
    assert_memory_equal(out.traceparent + 36, json_string_value(get(o, "spanId")), 16);
    assert_string_equal(out.tracestate, "a=1");
    receiver_deinit(&r);
}

/* A client that does not record decides for all below; a trace that begins here and is not recorded says so to others. */
static void requests_that_are_not_sampled_have_a_trace_but_no_spans(void **state)
{
    struct receiver r;
    receiver_init(&r);
    belfry_tracer *t;
    belfry_tracer_options options = options_for(&r);
    options.sample_ratio = -1;
    assert_int_equal(belfry_tracer_open(&t, &options), BELFRY_OK);
    const char *parents[] = {"00-" TRACE "-" SPAN "-00", NULL};
    for (int i = 0; i < 2; i++) {
        belfry_request *request = request_of(NULL, parents[i], NULL, t);
        belfry_scope scope;
        belfry_outgoing out;
        assert_null(belfry_request_span(request));
        belfry_request_enter(request, &scope);
        assert_null(belfry_span_start(t, "a", BELFRY_SPAN_INTERNAL));
        belfry_outgoing_get(&out);
        assert_int_equal(strlen(out.traceparent), 55);
        assert_string_equal(out.traceparent + 52, "-00");
        if (parents[i])
            assert_string_equal(out.traceparent, parents[i]);
        belfry_scope_leave(&scope);
        belfry_request_end(request);
    }
    belfry_tracer_close(t);
    assert_int_equal(r.posts, 0);
}

static void request_fields_are_copied_and_bounded(void **state)
{
    belfry_request *r = request_of("id", NULL, NULL, NULL);
    char text[] = "value";
    assert_true(belfry_request_add_field(r, BELFRY_STR("k", text)));
    text[0] = 'X';
    for (int i = 0; i < 7; i++)
        assert_true(belfry_request_add_field(r, BELFRY_INT("n", i)));
    assert_false(belfry_request_add_field(r, BELFRY_INT("n", 8)));
    belfry_request_end(r);
    r = request_of("id", NULL, NULL, NULL);
    char large[2000];
    memset(large, 'x', sizeof large);
    assert_false(belfry_request_add_field(r, BELFRY_STRN("k", large, sizeof large)));
    assert_true(belfry_request_add_field(r, BELFRY_STRN("k", large, 1000)));
    assert_false(belfry_request_add_field(r, BELFRY_STRN("k", large, 100)));
    assert_false(belfry_request_add_field(NULL, BELFRY_INT("n", 1)));
    belfry_request_end(r);
}

static void count_in(belfry_registry *registry, const char *name)
{
    belfry_counter *c;
    assert_int_equal(belfry_counter_new(&c, registry, name, "C."), BELFRY_OK);
    (void)belfry_counter_inc(c);
}

static bool append(void *arg, const char *bytes, size_t len)
{
    strncat(arg, bytes, len);
    return true;
}

/* What a thread counts is of the request, or span, that it is in at that moment. */
static void exemplars_are_of_the_current_request(void **state)
{
    struct receiver r;
    receiver_init(&r);
    belfry_tracer *t;
    belfry_tracer_options options = options_for(&r);
    assert_int_equal(belfry_tracer_open(&t, &options), BELFRY_OK);
    belfry_registry *registry = belfry_registry_new();
    belfry_request *request = request_of("abc", "00-" TRACE "-" SPAN "-01", NULL, NULL);
    belfry_request *unsampled = request_of("def", "00-" TRACE "-" SPAN "-00", NULL, NULL);
    belfry_scope outer, inner, fields;
    count_in(registry, "none_total");
    belfry_request_enter(request, &outer);
    count_in(registry, "outer_total");
    belfry_request_enter(unsampled, &inner);
    belfry_scope_enter(&fields, "id", NULL, 0);
    count_in(registry, "inner_total");
    belfry_scope_leave(&fields);
    belfry_scope_leave(&inner);
    count_in(registry, "again_total");
    belfry_scope_leave(&outer);
    count_in(registry, "after_total");
    belfry_span *span = belfry_span_start(t, "alone", BELFRY_SPAN_INTERNAL);
    belfry_trace_context ids;
    char parent[BELFRY_TRACEPARENT_BYTES];
    assert_true(belfry_span_context(span, &ids));
    belfry_traceparent_format(parent, &ids);
    belfry_span_enter(span, &outer);
    count_in(registry, "span_total");
    belfry_scope_leave(&outer);
    belfry_span_end(span);
    belfry_request_end(unsampled);
    belfry_request_end(request);
    belfry_tracer_close(t);
    char text[8192] = "", expected[128];
    belfry_exposition how = {.format = BELFRY_FORMAT_OPENMETRICS};
    assert_int_equal(belfry_registry_write(registry, &how, append, text), BELFRY_OK);
    assert_non_null(strstr(text, "none_total 1\n"));
    assert_non_null(strstr(text, "outer_total 1 # {request_id=\"abc\",trace_id=\"" TRACE "\"} 1 "));
    assert_non_null(strstr(text, "inner_total 1 # {request_id=\"def\"} 1 "));
    assert_non_null(strstr(text, "again_total 1 # {request_id=\"abc\",trace_id=\"" TRACE "\"} 1 "));
    assert_non_null(strstr(text, "after_total 1\n"));
    snprintf(expected, sizeof expected, "span_total 1 # {trace_id=\"%.32s\"} 1 ", parent + 3);
    assert_non_null(strstr(text, expected));
    belfry_registry_free(registry);
    receiver_deinit(&r);
}

/* In a child the tracer is off: nothing blocks, nothing is sent twice. */
static void tracers_are_off_after_fork(void **state)
{
    struct receiver r;
    receiver_init(&r);
    belfry_tracer *t;
    belfry_tracer_options options = options_for(&r);
    options.delay_ms = 60000;
    assert_int_equal(belfry_tracer_open(&t, &options), BELFRY_OK);
    belfry_span_end(belfry_span_start(t, "parent", BELFRY_SPAN_INTERNAL));
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        belfry_tracer_stats before, after;
        belfry_tracer_stats_get(t, &before);
        belfry_span_end(belfry_span_start(t, "child", BELFRY_SPAN_INTERNAL));
        belfry_tracer_stats_get(t, &after);
        bool ok = after.dropped == before.dropped + 1 && !belfry_tracer_flush(t, 0);
        belfry_tracer_close(t);
        _exit(ok ? 0 : 1);
    }
    int status;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(status, 0);
    belfry_tracer_close(t);
    assert_int_equal(r.posts, 1);
    receiver_deinit(&r);
}

enum { STRESS_THREADS = 4, STRESS_SPANS = 300 };

static void *make_spans(void *arg)
{
    for (int i = 0; i < STRESS_SPANS; i++) {
        belfry_span *s = belfry_span_start(arg, "s", BELFRY_SPAN_INTERNAL);
        belfry_span_set(s, BELFRY_INT("i", i));
        belfry_span_end(s);
    }
    return NULL;
}

/* Whatever the threads do, every span is sent or counted. */
static void no_span_is_lost_without_being_counted(void **state)
{
    struct receiver r;
    receiver_init(&r);
    belfry_tracer *t;
    belfry_tracer_options options = options_for(&r);
    options.queue_spans_max = 100;
    options.batch_spans_max = 10;
    options.close_wait_ms = CLOSE_WAIT_MS;
    assert_int_equal(belfry_tracer_open(&t, &options), BELFRY_OK);
    pthread_t threads[STRESS_THREADS];
    for (int i = 0; i < STRESS_THREADS; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, make_spans, t), 0);
    for (int i = 0; i < STRESS_THREADS; i++)
        pthread_join(threads[i], NULL);
    assert_true(belfry_tracer_flush(t, CLOSE_WAIT_MS));
    belfry_tracer_stats stats;
    belfry_tracer_stats_get(t, &stats);
    assert_int_equal(stats.sent + stats.dropped, STRESS_THREADS * STRESS_SPANS);
    assert_true(stats.sent > 0);
    belfry_tracer_close(t);
    receiver_deinit(&r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(request_ids_are_eight_lower_case_digits),
        cmocka_unit_test(request_ids_of_clients_are_taken_when_they_match),
        cmocka_unit_test(request_ids_differ_after_fork),
        cmocka_unit_test(traceparent_is_read_as_the_recommendation_says),
        cmocka_unit_test(tracestate_is_cleaned_or_thrown_away),
        cmocka_unit_test(tracestate_has_limits),
        cmocka_unit_test(otlp_json_has_every_field_in_its_form),
        cmocka_unit_test(spans_have_limits),
        cmocka_unit_test(spans_are_off_without_a_tracer),
        cmocka_unit_test(tracers_need_a_name_and_a_transport),
        cmocka_unit_test(sampling_follows_ratio_and_client),
        cmocka_unit_test(batches_are_tried_again_when_the_receiver_may_take_them),
        cmocka_unit_test(a_hanging_receiver_costs_spans_and_nothing_else),
        cmocka_unit_test(requests_take_over_what_is_valid),
        cmocka_unit_test(spans_find_their_parents),
        cmocka_unit_test(requests_that_are_not_sampled_have_a_trace_but_no_spans),
        cmocka_unit_test(request_fields_are_copied_and_bounded),
        cmocka_unit_test(exemplars_are_of_the_current_request),
        cmocka_unit_test(tracers_are_off_after_fork),
        cmocka_unit_test(no_span_is_lost_without_being_counted),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
