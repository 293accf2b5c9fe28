/* SPDX-License-Identifier: Apache-2.0 */
/* Any text is refused with a place, or runs to an end within its limits: as an annotation, a notification and a page.
 * The first byte chooses. */
#include "template/notification.h"
#include "template/rule_data.h"
#include "template/template.h"

#include <stdint.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static bool query(void *arg, struct arena *arena, struct view expr,
                  const struct template_sample **samples, size_t *count, struct error *err)
{
    static const struct template_sample SAMPLES[] = {{NULL, 0, 1.5}, {NULL, 0, -2}};
    if (expr.len == 0)
        return error_set(err, ERROR_INPUT, "empty");
    *samples = SAMPLES;
    *count = 2;
    return true;
}

static struct template_value notification(struct arena *arena)
{
    static struct view names[] = {{"alertname", 9}, {"job", 3}}, values[] = {{"a<b", 3}, {"", 0}};
    struct notification_kv kv = {names, values, 2};
    struct notification_alert *alerts = ARENA_ARRAY(arena, struct notification_alert, 2);
    for (size_t i = 0; i < 2; i++)
        alerts[i] =
            (struct notification_alert){.status = i ? VIEW("resolved") : VIEW("firing"),
                                        .labels = kv,
                                        .annotations = kv,
                                        .starts_at = {1700000000, 5, 0, VIEW("UTC")},
                                        .ends_at = {TEMPLATE_TIME_ZERO_SECONDS, 0, 0, VIEW("UTC")}};
    struct notification n = {.status = VIEW("firing"),
                             .alerts = alerts,
                             .alert_count = 2,
                             .group_labels = kv,
                             .common_labels = kv,
                             .external_url = VIEW("http://x/")};
    return notification_value(arena, &n);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size == 0)
        return 0;
    bool rule = data[0] & 1, html = data[0] & 2;
    struct arena arena;
    struct error err;
    struct template *t;
    struct view out, text = {(const char *)data + 1, size - 1};
    struct rule_data rule_values;
    struct template_pair labels[] = {{VIEW("instance"), template_string(VIEW("a.b:1"))},
                                     {VIEW("job"), template_string(VIEW("x"))}};
    arena_init(&arena, MEM_OTHER, 0);
    rule_data_init(&rule_values, template_map(&TEMPLATE_TYPE_STRING_MAP, labels, 2),
                   template_map(&TEMPLATE_TYPE_STRING_MAP, NULL, 0), VIEW("http://x/y"), 42.5);
    struct template_options options = {.functions =
                                           rule ? &TEMPLATE_PROMETHEUS : &TEMPLATE_ALERTMANAGER,
                                       .more = rule && html ? &TEMPLATE_CONSOLE : NULL,
                                       .variables = RULE_VARIABLES,
                                       .variable_count = rule ? RULE_VARIABLE_COUNT : 0,
                                       .html = html};
    struct template_run run = {
        .arena = &arena,
        .data = rule ? rule_data_value(&rule_values) : notification(&arena),
        .variables = rule_values.fields,
        .now = {1700000000000},
        .query = query,
        .limits = {.output_bytes_max = 1 << 20, .memory_bytes_max = 4 << 20, .steps_max = 100000}};
    if (!template_parse(&t, &options, NULL, VIEW("t"), text, &err)) {
        if (err.kind == ERROR_NONE || (err.line == 0 && err.kind == ERROR_INPUT))
            abort();
    } else {
        if (template_execute(t, &run, &out, &err) && out.len > 1 << 20)
            abort();
        template_free(t);
    }
    arena_deinit(&arena);
    return 0;
}
