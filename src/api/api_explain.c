/* SPDX-License-Identifier: Apache-2.0 */
/* api_explain.c: the plan of a query as JSON. A node's span is in bytes of the query's text, [start, end). */
#include "api/api_private.h"
#include "base/json_write.h"
#include "promql/explain.h"

static int64_t relaxed(const _Atomic int64_t *v)
{
    return atomic_load_explicit(v, memory_order_relaxed);
}

static void span_write(struct buffer *b, const char *name, struct span span)
{
    buffer_printf(b, "\"%s\":{\"start\":%u,\"end\":%u}", name, (unsigned)span.start,
                  (unsigned)span.end);
}

static void count_write(struct buffer *b, const char *name, int64_t count)
{
    buffer_append_byte(b, ',');
    api_field_int(b, name, count);
}

static void happened_write(struct buffer *b, const struct plan_node *n)
{
    int64_t ns = n->open_ns + relaxed(&n->batch_ns);
    if (n->series >= 0)
        count_write(b, "series", n->series);
    if (relaxed(&n->samples_read))
        count_write(b, "samplesRead", relaxed(&n->samples_read));
    if (n->gave_batches) {
        count_write(b, "points", relaxed(&n->points));
        count_write(b, "bytes", relaxed(&n->bytes));
    }
    if (n->same_as) {
        buffer_append_byte(b, ',');
        span_write(b, "sameAs", n->same_as->span);
    }
    if (ns == 0) /* a range selector is read by the function over it */
        return;
    buffer_append_literal(b, ",\"seconds\":");
    json_number(b, (double)ns / 1e9);
}

/* As deep as a tree may be (PROMQL_HEIGHT_MAX). */
void api_plan_write(struct buffer *b, const struct plan_node *n)
{
    buffer_append_byte(b, '{');
    api_field_string(b, "operator", view_from(n->name));
    if (n->detail.len) {
        buffer_append_byte(b, ',');
        api_field_string(b, "detail", n->detail);
    }
    buffer_append_byte(b, ',');
    span_write(b, "span", n->span);
    count_write(b, "steps", n->steps);
    if (n->once)
        buffer_append_literal(b, ",\"once\":true");
    if (n->estimated_series >= 0)
        count_write(b, "estimatedSeries", n->estimated_series);
    if (n->ran)
        happened_write(b, n);
    if (n->child_count) {
        buffer_append_literal(b, ",\"children\":[");
        for (uint32_t i = 0; i < n->child_count; i++) {
            if (i)
                buffer_append_byte(b, ',');
            api_plan_write(b, n->children[i]);
        }
        buffer_append_byte(b, ']');
    }
    buffer_append_byte(b, '}');
}
