/* SPDX-License-Identifier: Apache-2.0 */
/* alert_sink.c: see alert_sink.h. */
#include "rules/alert_sink.h"

#include "ingest/relabel.h"

#include <string.h>

bool alert_notice_labels(const struct alert_notice *n, const struct config *config,
                         struct arena *arena, struct labels *out)
{
    const struct config_relabel_rules *rules = &config->alert_relabel_configs;
    struct labels external = config->global.external_labels;
    struct labels_builder b;
    labels_builder_init(&b, arena);
    labels_builder_reset(&b, n->labels);
    for (uint32_t i = 0; i < external.count; i++) {
        if (labels_builder_get(&b, external.items[i].name).len == 0)
            labels_builder_set(&b, external.items[i].name, external.items[i].value);
    }
    if (!relabel_process(rules->items, rules->count, &b))
        return false;
    *out = labels_builder_finish(&b);
    return true;
}

void alert_generator_url(struct buffer *out, struct view external_url, struct view expr)
{
    static const char PLAIN[] = "-._~"; /* Go's url.QueryEscape leaves these, letters and digits */
    buffer_append_view(out, external_url);
    buffer_append_literal(out, "/graph?g0.expr=");
    for (size_t i = 0; i < expr.len; i++) {
        unsigned char c = (unsigned char)expr.ptr[i];
        bool plain = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
                     (c && strchr(PLAIN, c));
        if (plain)
            buffer_append_byte(out, (char)c);
        else if (c == ' ')
            buffer_append_byte(out, '+');
        else
            buffer_printf(out, "%%%02X", c);
    }
    buffer_append_literal(out, "&g0.tab=1");
}
