/* SPDX-License-Identifier: Apache-2.0 */
/* alertmanagers_test.c: what configurations and relabelling make of addresses: a case is a line. */
#include "outbound/alertmanagers.h"

#include "base/buffer.h"
#include "ingest/client.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#define RELABEL(rest) ", relabel_configs: [{" rest "}]"
#define TARGETS(list) "static_configs: [{targets: [" list "]}]"

/* config: of one entry of alertmanagers; active, dropped, failed: joined by blanks. */
static const struct {
    const char *name, *config, *active, *dropped, *failed;
} CASES[] = {
    {"plain", TARGETS("a:9093"), "http://a:9093/api/v2/alerts", "", ""},
    {"no port is added", TARGETS("a"), "http://a/api/v2/alerts", "", ""},
    {"prefix", "path_prefix: am/x/, " TARGETS("a:1"), "http://a:1/am/x/api/v2/alerts", "", ""},
    {"prefix is cleaned", "path_prefix: '//am/./y/../', " TARGETS("a:1"),
     "http://a:1/am/api/v2/alerts", "", ""},
    {"prefix goes nowhere", "path_prefix: '../../..', " TARGETS("a:1"), "http://a:1/api/v2/alerts",
     "", ""},
    {"scheme", "scheme: https, " TARGETS("a:1"), "https://a:1/api/v2/alerts", "", ""},
    {"IPv6", TARGETS("'[::1]:9093'"), "http://[::1]:9093/api/v2/alerts", "", ""},
    {"once each", TARGETS("'a:1', 'b:1', 'a:1'"),
     "http://a:1/api/v2/alerts http://b:1/api/v2/alerts", "", ""},
    {"dropped",
     TARGETS("'a:1', 'b:1'") RELABEL("source_labels: [__address__], regex: 'a:.*', action: drop"),
     "http://b:1/api/v2/alerts", "http://a:1/api/v2/alerts", ""},
    {"relabelled address",
     TARGETS("'a:1'") RELABEL("target_label: __address__, replacement: 'c:2'"),
     "http://c:2/api/v2/alerts", "", ""},
    {"relabelled scheme", TARGETS("'a:1'") RELABEL("target_label: __scheme__, replacement: https"),
     "https://a:1/api/v2/alerts", "", ""},
    {"relabelled path",
     TARGETS("'a:1'") RELABEL("target_label: __alerts_path__, replacement: '/x y'"),
     "http://a:1/x%20y", "", ""},
    {"labels of the group win over the entry's",
     "static_configs: [{targets: ['a:1'], labels: {__scheme__: https}}]",
     "https://a:1/api/v2/alerts", "", ""},
    {"bad scheme", TARGETS("'a:1'") RELABEL("target_label: __scheme__, replacement: ftp"), "", "",
     "Alertmanager \"a:1\": invalid scheme: \"ftp\""},
    {"bad address",
     TARGETS("'a:1', 'b:1'") RELABEL("source_labels: [__address__], regex: 'a:1', target_label: "
                                     "__address__, replacement: 'u:p@a/b'"),
     "http://b:1/api/v2/alerts", "", "Alertmanager \"a:1\": \"u:p@a/b\" is not a valid hostname"},
    {"no address", TARGETS("'a:1'") RELABEL("target_label: __address__, replacement: ''"), "", "",
     "Alertmanager \"a:1\": no address"},
};

static void on_failed(void *arg, const char *text)
{
    struct buffer *b = arg;
    buffer_append_view(b, view_from(text));
}

static void check(const char *name, const char *what, const struct url_list *got, const char *want)
{
    char text[4096] = "";
    size_t len = 0;
    for (size_t i = 0; i < got->count; i++)
        len += (size_t)snprintf(text + len, sizeof text - len, "%s%s", i ? " " : "",
                                got->items[i].ptr);
    if (strcmp(text, want) != 0)
        fail_msg("%s: %s \"%s\", not \"%s\"", name, what, text, want);
}

static void addresses_become_urls(void **state)
{
    for (size_t i = 0; i < ARRAY_COUNT(CASES); i++) {
        char text[1024], failed_text[1024];
        struct config *config;
        struct error err;
        struct arena arena;
        struct buffer failed;
        struct alertmanagers found;
        struct discover *d = discover_new(&(struct discover_options){0});
        arena_init(&arena, MEM_OTHER, 0);
        buffer_init(&failed, MEM_OTHER, 1000);
        snprintf(text, sizeof text, "alerting: {alertmanagers: [{%s}]}\n", CASES[i].config);
        if (!config_load_text(view_from(text), "", "test.yml", &config, &err))
            fail_msg("%s: %s", CASES[i].name, err.message);
        alertmanagers_find(&arena, &config->alertmanagers.items[0], d, &found, on_failed, &failed);
        check(CASES[i].name, "active", &found.active, CASES[i].active);
        check(CASES[i].name, "dropped", &found.dropped, CASES[i].dropped);
        snprintf(failed_text, sizeof failed_text, "%.*s", VIEW_ARGS(buffer_view(&failed)));
        assert_string_equal(failed_text, CASES[i].failed);
        discover_free(d);
        config_unref(config);
        buffer_deinit(&failed);
        arena_deinit(&arena);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(addresses_become_urls)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
