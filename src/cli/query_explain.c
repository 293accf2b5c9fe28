/* SPDX-License-Identifier: Apache-2.0 */
/* query_explain.c: a line per operator: what it is, the text that it stands for, and what it did.
 *
 *   aggregate sum by (job)             2 series, 122 points, 1.3 ms
 *   └─ windows rate                    40 series, 2440 points, 1.1 ms
 *      └─ select range  http_requests_total[5m]   40 series, 9600 samples read
 */
#include "cli/query_explain.h"

#include "base/buffer.h"
#include "cli/query_print.h"

#include <string.h>

enum { TEXT_COLUMNS_MAX = 60, DEPTH_MAX = 2000, LINE_BYTES_MAX = 64 * 1024 };

struct printer {
    FILE *out;
    const char *query;
    bool last[DEPTH_MAX]; /* per level: no more siblings */
};

static void text_append(struct buffer *b, const json_t *node, const char *key)
{
    const char *text = json_string_value(json_object_get(node, key));
    for (; text && *text; text++)
        buffer_append_byte(b, (unsigned char)*text < ' ' ? '?' : *text);
}

/* The query's text of a leaf, or as much of it as a line has room for. */
static void source_append(struct buffer *b, const struct printer *p, const json_t *node)
{
    const json_t *span = json_object_get(node, "span");
    size_t len = strlen(p->query);
    size_t start = (size_t)json_integer_value(json_object_get(span, "start"));
    size_t end = (size_t)json_integer_value(json_object_get(span, "end"));
    if (json_array_size(json_object_get(node, "children")) || start >= end || end > len)
        return;
    bool cut = end - start > TEXT_COLUMNS_MAX;
    if (cut)
        end = start + TEXT_COLUMNS_MAX;
    buffer_append_literal(b, "  ");
    for (size_t i = start; i < end; i++)
        buffer_append_byte(b, (unsigned char)p->query[i] < ' ' ? ' ' : p->query[i]);
    if (cut)
        buffer_append_literal(b, "...");
}

static void number_append(struct buffer *b, const json_t *node, const char *key, const char *words,
                          bool *first)
{
    const json_t *value = json_object_get(node, key);
    if (!value)
        return;
    buffer_printf(b, "%s%lld %s", *first ? "   " : ", ", (long long)json_integer_value(value),
                  words);
    *first = false;
}

static void figures_append(struct buffer *b, const json_t *node)
{
    bool first = true;
    const json_t *seconds = json_object_get(node, "seconds");
    number_append(b, node, "series", "series", &first);
    if (!json_object_get(node, "series"))
        number_append(b, node, "estimatedSeries", "series estimated", &first);
    number_append(b, node, "samplesRead", "samples read", &first);
    number_append(b, node, "points", "points", &first);
    number_append(b, node, "bytes", "bytes", &first);
    if (seconds && json_number_value(seconds) > 0)
        buffer_printf(b, "%s%.3g ms", first ? "   " : ", ", json_number_value(seconds) * 1000);
    if (json_object_get(node, "once"))
        buffer_append_literal(b, first ? "   once for all steps" : ", once for all steps");
    if (json_object_get(node, "sameAs"))
        buffer_append_literal(b, ", evaluated elsewhere");
}

static void node_print(struct printer *p, const json_t *node, size_t depth)
{
    struct buffer line;
    buffer_init(&line, MEM_OTHER, LINE_BYTES_MAX);
    for (size_t i = 1; i < depth; i++)
        buffer_append_view(&line, view_from(p->last[i] ? "   " : "│  "));
    if (depth)
        buffer_append_view(&line, view_from(p->last[depth] ? "└─ " : "├─ "));
    text_append(&line, node, "operator");
    if (json_object_get(node, "detail"))
        buffer_append_byte(&line, ' ');
    text_append(&line, node, "detail");
    source_append(&line, p, node);
    figures_append(&line, node);
    fprintf(p->out, "%.*s\n", VIEW_ARGS(buffer_view(&line)));
    buffer_deinit(&line);

    const json_t *children = json_object_get(node, "children");
    size_t i;
    json_t *child;
    json_array_foreach(children, i, child)
    {
        if (depth + 1 >= DEPTH_MAX)
            return;
        p->last[depth + 1] = i + 1 == json_array_size(children);
        node_print(p, child, depth + 1);
    }
}

void query_print_plan(FILE *out, const json_t *plan, const char *query)
{
    struct printer p = {.out = out, .query = query};
    node_print(&p, plan, 0);
}
