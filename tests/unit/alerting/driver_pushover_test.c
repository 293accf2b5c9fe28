/* SPDX-License-Identifier: Apache-2.0 */
/* driver_pushover_test.c: the form of Pushover's messages. */
#include "driver_fixture.h"

#include "base/attributes.h"
#include "base/buffer.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define KEYS "pushover_configs: [{token: t0ken, user_key: us3r, "
#define SHORT "title: t, message: m, url: u, priority: '1'"
#define BEGIN "token=t0ken&user=us3r&title=t"
#define END "&retry=60&expire=3600&device=&sound="

static const struct driver_case CASES[] = {
    {.name = "defaults",
     .receiver = KEYS "message: ' m&m '}]",
     .steps = {{.url = "https://api.pushover.net/1/messages.json",
                .headers = "Content-Type: application/x-www-form-urlencoded",
                .body = "token=t0ken&user=us3r&title=%5BFIRING%3A1%5D%20Down%20%28node%29"
                        "&message=m%26m&url=http%3A%2F%2Fam.example%2F%23%2Falerts%3Freceiver%3D"
                        "team&url_title=&priority=2" END,
                .status = 200}},
     .verdict = DELIVERY_SENT},
    {.name = "everything",
     .receiver =
         KEYS SHORT ", url_title: 'u{{ .Status }}', device: d, sound: s, retry: 30s, expire: "
                    "1h30m, ttl: 1m30.9s, monospace: true}]",
     .steps = {{.body = BEGIN "&monospace=1&message=m&url=u&url_title=ufiring&priority=1&retry=30"
                              "&expire=5400&device=d&sound=s&ttl=90",
                .status = 200}},
     .verdict = DELIVERY_SENT},
    {.name = "a page: what an alert brings is escaped",
     .receiver =
         KEYS "title: t, url: u, priority: '1', html: true, message: '<b>{{ .CommonLabels.x "
              "}}</b>'}]",
     .alerts = {{"{x=\"<i>\"}"}},
     .steps = {{.body = BEGIN "&html=1&message=%3Cb%3E%26lt%3Bi%26gt%3B%3C%2Fb%3E&url=u&url_title="
                              "&priority=1" END,
                .status = 200}},
     .verdict = DELIVERY_SENT},
    {.name = "an empty message",
     .receiver = KEYS "title: t, url: u, priority: '1', message: ' {{ \"\" }} '}]",
     .steps = {{.body = BEGIN "&message=%28no%20details%29&url=u&url_title=&priority=1" END,
                .status = 200}},
     .verdict = DELIVERY_SENT},
    {.name = "resolved",
     .receiver = KEYS "title: t, message: m, url: u}]",
     .alerts = {{"{}", NULL, true}},
     .steps = {{.body = BEGIN "&message=m&url=u&url_title=&priority=0" END, .status = 200}},
     .verdict = DELIVERY_SENT},
    {.name = "a priority that fails is high, and the message comes",
     .receiver = KEYS "title: t, message: m, url: u, priority: '{{ .X }}'}]",
     .steps = {{.body = BEGIN "&message=m&url=u&url_title=&priority=1" END, .status = 200}},
     .verdict = DELIVERY_SENT,
     .has_template_error = true},
    {.name = "keys that are templates",
     .receiver =
         "pushover_configs: [{token: '{{ .CommonLabels.job }}', user_key: '{{ .Status }}', " SHORT
         "}]",
     .steps = {{.body = "token=node&user=firing&title=t&message=m&url=u&url_title=&priority=1" END,
                .status = 200}},
     .verdict = DELIVERY_SENT},
    {.name = "a file that is not there",
     .receiver = "pushover_configs: [{token_file: /nonexistent/token, user_key: u}]",
     .verdict = DELIVERY_RETRY,
     .error = "token: "},
    {.name = "500",
     .receiver = KEYS SHORT "}]",
     .steps = {{.status = 500}},
     .verdict = DELIVERY_RETRY,
     .error = "unexpected status code 500"},
    {.name = "400",
     .receiver = KEYS SHORT "}]",
     .steps = {{.status = 400, .answer = "{\"user\":\"invalid\"}"}},
     .verdict = DELIVERY_FAILED,
     .error = "unexpected status code 400: {\"user\":\"invalid\"}"},
};

static void messages(void **state)
{
    driver_check(CASES, ARRAY_COUNT(CASES));
}

/* In characters: 250, 1024, 512, 100. */
static void long_texts_are_cut(void **state)
{
    static const struct {
        const char *field, *form;
        size_t runes;
    } FIELDS[] = {{"title", "&title=", 250},
                  {"message", "&message=", 1024},
                  {"url", "&url=", 512},
                  {"url_title", "&url_title=", 100}};
    struct buffer receiver, expected;
    buffer_init(&receiver, MEM_OTHER, 1 << 16);
    buffer_init(&expected, MEM_OTHER, 1 << 16);
    for (size_t i = 0; i < ARRAY_COUNT(FIELDS); i++) {
        struct driver_fixture f;
        struct error err = {0};
        buffer_reset(&receiver);
        buffer_reset(&expected);
        buffer_printf(&receiver, KEYS "%s: '", FIELDS[i].field);
        buffer_printf(&expected, "%s", FIELDS[i].form);
        for (size_t k = 0; k < FIELDS[i].runes + 1; k++) {
            buffer_append_literal(&receiver, "ü");
            if (k + 1 < FIELDS[i].runes)
                buffer_append_literal(&expected, "%C3%BC");
        }
        buffer_append(&receiver, "'}]", 4);
        buffer_append_literal(&expected, "%E2%80%A6&");
        const struct driver_case c = {.name = FIELDS[i].field, .receiver = receiver.ptr};
        driver_fixture_init(&f, &c);
        assert_int_equal(driver_fixture_begin(&f, 0, &err), DELIVERY_MORE);
        struct view body = f.d.request.body;
        assert_non_null(memmem(body.ptr, body.len, expected.ptr, expected.len));
        driver_fixture_deinit(&f);
    }
    buffer_deinit(&receiver);
    buffer_deinit(&expected);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(messages),
        cmocka_unit_test(long_texts_are_cut),
    };
    return cmocka_run_group_tests_name("alerting/driver_pushover", tests, NULL, NULL);
}
