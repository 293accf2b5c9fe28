/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "api/alert_json.h"

#include <stdlib.h>
#include <string.h>

#define NOW_NS INT64_C(1790000000000000000)

/* Statuses, codes and, where they are Alertmanager's own words, messages are those of its 0.25, but for names, which may be
 * any UTF-8 since 0.27. */
static const struct {
    const char *body;
    int status, code; /* 0: all alerts are taken */
    const char *message;
} BODIES[] = {
    {"[]", 0, 0, ""},
    {"null", 0, 0, ""},
    {"{}", 400, 400,
     "parsing alerts body from \"\" failed, because the body is no JSON list of alerts"},
    {"[", 400, 400,
     "parsing alerts body from \"\" failed, because the body is no JSON list of alerts"},
    {"", 422, 602, "alerts in body is required"},
    {"[null]", 422, 602, "0 in body is required"},
    {"[{}]", 422, 602, "0.labels in body is required"},
    {"[{\"labels\":null}]", 422, 602, "0.labels in body is required"},
    {"[5]", 400, 400,
     "parsing alerts body from \"\" failed, because alert 0: an object was expected, not a number"},
    {"[{\"labels\":{}}]", 400, 0, "at least one label pair required"},
    {"[{\"labels\":{\"alertname\":\"\"}}]", 400, 0, "at least one label pair required"},
    {"[{\"labels\":{\"a\":null}}]", 400, 0, "at least one label pair required"},
    {"[{\"labels\":{\"\":\"x\"}}]", 400, 0, "invalid label set: invalid name \"\""},
    {"[{\"labels\":{\"a\":\"x\"},\"annotations\":{\"\":\"x\"}}]", 400, 0,
     "invalid annotations: invalid name \"\""},
    {"[{\"labels\":{\"a b\":\"x\"}}]", 0, 0, ""},
    {"[{\"labels\":{\"a\":1}}]", 400, 400,
     "parsing alerts body from \"\" failed, because alert 0: labels \"a\": a string was expected, "
     "not a number"},
    {"[{\"labels\":[\"a\"]}]", 400, 400,
     "parsing alerts body from \"\" failed, because alert 0: labels: an object was expected, not a "
     "list"},
    {"[{\"labels\":{\"a\":\"b\"},\"startsAt\":\"x\"}]", 400, 400,
     "parsing alerts body from \"\" failed, because alert 0: startsAt: \"x\" is no time, expected "
     "RFC 3339 such as "
     "2006-01-02T15:04:05Z"},
    {"[{\"labels\":{\"a\":\"b\"},\"startsAt\":\"2026-11-27\"}]", 400, 400, NULL},
    {"[{\"labels\":{\"a\":\"b\"},\"startsAt\":12}]", 400, 400, NULL},
    {"[{\"labels\":{\"a\":\"b\"},\"startsAt\":\"0000-01-01T00:00:00Z\"}]", 400, 400, NULL},
    {"[{\"labels\":{\"a\":\"b\"},\"startsAt\":\"\"}]", 0, 0, ""},
    {"[{\"labels\":{\"a\":\"b\"},\"startsAt\":null}]", 0, 0, ""},
    {"[{\"labels\":{\"a\":\"b\"},\"startsAt\":\"2026-11-27T03:00:00\"}]", 0, 0, ""},
    {"[{\"labels\":{\"a\":\"b\"},\"startsAt\":\"2026-11-27T03:00:00Z\",\"endsAt\":\"2026-11-27T02:"
     "00:00Z\"}]",
     400, 0, "start time must be before end time"},
    {"[{\"labels\":{\"a\":\"b\"},\"endsAt\":\"2020-11-27T02:00:00Z\"}]", 0, 0, ""},
    {"[{\"labels\":{\"a\":\"b\"},\"generatorURL\":\":x\"}]", 422, 601,
     "0.generatorURL in body must be of type uri: \":x\""},
    {"[{\"labels\":{\"a\":\"b\"}},{\"labels\":{\"a\":\"b\"},\"generatorURL\":\"x y\"}]", 422, 601,
     "1.generatorURL in body must be of type uri: \"x y\""},
    {"[{\"labels\":{\"a\":\"b\"},\"generatorURL\":\"\"}]", 0, 0, ""},
    {"[{\"labels\":{\"a\":\"b\"},\"generatorURL\":5}]", 400, 400, NULL},
    {"[{\"labels\":{\"a\":\"b\"},\"unknown\":5}]", 0, 0, ""},
    {"[{\"labels\":{}},{\"labels\":{\"a\":\"b\"}},{\"labels\":{}}]", 400, 0,
     "at least one label pair required; at least one label pair required"},
    {"[{\"labels\":{\"a\":\"b\"}},]", 400, 400, NULL},
    {"[{\"labels\":{\"a\":\"b\"}}] x", 400, 400, NULL},
    {"[{\"labels\":{\"a\":\"b\",}}]", 400, 400, NULL},
    {"[{\"labels\":{\"a\":\"\xff\"}}]", 400, 400, NULL},
};

static void bodies_are_taken_or_refused_as_by_alertmanager(void **state)
{
    for (size_t i = 0; i < ARRAY_COUNT(BODIES); i++) {
        struct arena arena;
        struct alert_batch batch;
        struct alert_refusal why = {0};
        arena_init(&arena, MEM_OTHER, 0);
        bool ok = alert_json_read(&arena, view_from(BODIES[i].body), NOW_NS, &batch, &why);
        int status = !ok ? why.status : batch.invalid_count ? 400 : 0;
        const char *message = ok ? batch.invalid.ptr : why.err.message;
        if (status != BODIES[i].status || (!ok && why.code != BODIES[i].code) ||
            (BODIES[i].message && strcmp(message, BODIES[i].message) != 0))
            fail_msg("%s: %d %d %s", BODIES[i].body, status, why.code, message);
        arena_deinit(&arena);
    }
}

static void what_is_not_said_is_filled_in(void **state)
{
    static const struct {
        const char *times;
        int64_t starts_ns, ends_ns;
    } CASES[] = {
        {"", NOW_NS, LIVE_ALERT_NEVER},
        {",\"startsAt\":\"0001-01-01T00:00:00Z\",\"endsAt\":\"0001-01-01T00:00:00.000Z\"", NOW_NS,
         LIVE_ALERT_NEVER},
        {",\"startsAt\":\"1970-01-01T00:00:01.123456789Z\"", 1123456789, LIVE_ALERT_NEVER},
        {",\"endsAt\":\"1970-01-01T01:00:01+01:00\"", 1000000000, 1000000000},
        {",\"startsAt\":\"1969-12-31T23:59:59.5Z\",\"endsAt\":\"9999-12-31T00:00:00Z\"", -500000000,
         INT64_MAX},
        {",\"startsAt\":\"1970-01-01T00:01Z\"", INT64_C(60000000000), LIVE_ALERT_NEVER},
    };
    for (size_t i = 0; i < ARRAY_COUNT(CASES); i++) {
        char body[300];
        struct arena arena;
        struct alert_batch batch;
        struct alert_refusal why = {0};
        snprintf(body, sizeof body, "[{\"labels\":{\"a\":\"b\"}%s}]", CASES[i].times);
        arena_init(&arena, MEM_OTHER, 0);
        assert_true(alert_json_read(&arena, view_from(body), NOW_NS, &batch, &why));
        assert_int_equal(batch.count, 1);
        assert_int_equal(batch.items[0].starts_ns, CASES[i].starts_ns);
        assert_int_equal(batch.items[0].ends_ns, CASES[i].ends_ns);
        assert_int_equal(batch.items[0].updated_ns, NOW_NS);
        arena_deinit(&arena);
    }
}

static void a_link_that_would_run_a_script_is_left_out(void **state)
{
    static const struct {
        const char *url;
        bool stays;
    } URLS[] = {{"http://x/y", true},
                {"/y", true},
                {"JavaScript:alert(1)", false},
                {"data:text/html,<b>", false},
                {"ftp://x", true}};
    for (size_t i = 0; i < ARRAY_COUNT(URLS); i++) {
        char body[200];
        struct arena arena;
        struct alert_batch batch;
        struct alert_refusal why = {0};
        snprintf(body, sizeof body, "[{\"labels\":{\"a\":\"b\"},\"generatorURL\":\"%s\"}]",
                 URLS[i].url);
        arena_init(&arena, MEM_OTHER, 0);
        assert_true(alert_json_read(&arena, view_from(body), NOW_NS, &batch, &why));
        assert_string_equal(batch.items[0].generator_url.ptr, URLS[i].stays ? URLS[i].url : "");
        arena_deinit(&arena);
    }
}

/* One alert that is too large, and one alert too many. */
static void sizes_have_limits(void **state)
{
    struct arena arena;
    struct alert_batch batch;
    struct alert_refusal why = {0};
    struct buffer body;
    arena_init(&arena, MEM_OTHER, 0);
    buffer_init(&body, MEM_OTHER, 64 << 20);
    buffer_append_literal(&body, "[{\"labels\":{\"a\":\"");
    for (size_t i = 0; i < ALERT_JSON_ITEM_BYTES_MAX; i++)
        buffer_append_byte(&body, 'x');
    buffer_append_literal(&body, "\"}}]");
    assert_false(alert_json_read(&arena, buffer_view(&body), NOW_NS, &batch, &why));
    assert_non_null(strstr(why.err.message, "an alert is larger than 1048576 bytes"));
    buffer_reset(&body);
    for (size_t i = 0; i <= ALERT_JSON_ALERTS_MAX; i++)
        buffer_printf(&body, "%c{\"labels\":{\"a\":\"b\"}}", i ? ',' : '[');
    buffer_append_byte(&body, ']');
    assert_false(alert_json_read(&arena, buffer_view(&body), NOW_NS, &batch, &why));
    assert_non_null(strstr(why.err.message, "there are more than 100000 alerts"));
    buffer_deinit(&body);
    arena_deinit(&arena);
}

/* Byte for byte what Alertmanager 0.25 answers, and mutedBy of 0.28. */
static void an_alert_is_shown_as_alertmanager_shows_it(void **state)
{
    const struct label labels[] = {{VIEW_INIT("alertname"), VIEW_INIT("foo<")},
                                   {VIEW_INIT("node"), VIEW_INIT("b\"r")}};
    const struct label annotation = {VIEW_INIT("summary"), VIEW_INIT("")};
    struct live_alert alert = {.fingerprint = 0x7c451e1fd0ba336b,
                               .labels = {labels, 2},
                               .annotations = {&annotation, 1},
                               .starts_ns = INT64_C(1795749260985999999),
                               .ends_ns = LIVE_ALERT_NEVER,
                               .updated_ns = -1,
                               .generator_url = VIEW_INIT("http://x/?a&b")};
    const uint64_t inhibitor = 0xab;
    const struct view receivers[] = {VIEW_INIT("default"), VIEW_INIT("db")};
    struct view silence = VIEW_INIT("d9e49a52-fbb5-4f53-b6ae-d2c02f2e8bd9");
    struct alert_view v = {.alert = &alert,
                           .status = ALERT_SUPPRESSED,
                           .inhibited_by = &inhibitor,
                           .inhibited_by_count = 1,
                           .silenced_by = {&silence, 1},
                           .receivers = receivers,
                           .receiver_count = 2};
    struct buffer b;
    buffer_init(&b, MEM_OTHER, 10000);
    alert_json_write(&b, &v);
    buffer_append_byte(&b, '\0');
    assert_string_equal(
        b.ptr,
        "{\"annotations\":{\"summary\":\"\"},\"endsAt\":\"0001-01-01T00:00:00.000Z\","
        "\"fingerprint\":\"7c451e1fd0ba336b\","
        "\"receivers\":[{\"name\":\"default\"},{\"name\":\"db\"}],\"startsAt\":\"2026-11-27T03:14:"
        "20.985Z\","
        "\"status\":{\"inhibitedBy\":[\"00000000000000ab\"],\"mutedBy\":[],"
        "\"silencedBy\":[\"d9e49a52-fbb5-4f53-b6ae-d2c02f2e8bd9\"],\"state\":\"suppressed\"},"
        "\"updatedAt\":\"1969-12-31T23:59:59.999Z\",\"generatorURL\":\"http://x/?a\\u0026b\","
        "\"labels\":{\"alertname\":\"foo\\u003c\",\"node\":\"b\\\"r\"}}");
    buffer_deinit(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(bodies_are_taken_or_refused_as_by_alertmanager),
        cmocka_unit_test(what_is_not_said_is_filled_in),
        cmocka_unit_test(a_link_that_would_run_a_script_is_left_out),
        cmocka_unit_test(sizes_have_limits),
        cmocka_unit_test(an_alert_is_shown_as_alertmanager_shows_it),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
