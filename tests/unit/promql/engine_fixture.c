/* SPDX-License-Identifier: Apache-2.0 */
/* engine_fixture.c: from series and text to text. */
#include "engine_fixture.h"

#include "base/arena.h"
#include "base/assert.h"
#include "base/floattext.h"

#include <stdlib.h>

void fixture_add(struct memory_source *m, const struct fixture_series *s)
{
    struct arena arena;
    struct labels labels;
    struct error err;
    arena_init(&arena, MEM_OTHER, 0);
    ASSERT(labels_parse(&arena, view_from(s->labels), &labels, &err));
    for (uint32_t i = 0; i < s->count; i++)
        memory_source_add(m, labels, s->start_ms + (int64_t)i * s->step_ms,
                          s->first + (double)i * s->increment);
    arena_deinit(&arena);
}

static void append_number(struct buffer *b, double v)
{
    char text[FLOAT_TEXT_BYTES];
    buffer_append(b, text, float_format_short(v, text));
}

static void append_result(struct buffer *b, const struct query_result *r)
{
    struct arena arena;
    if (r->type == VALUE_SCALAR)
        append_number(b, r->scalar);
    if (r->type == VALUE_STRING)
        buffer_append_view(b, r->string);
    arena_init(&arena, MEM_OTHER, 0);
    for (size_t i = 0; i < r->series_count; i++) {
        const struct result_series *s = &r->series[i];
        if (i)
            buffer_append_literal(b, "; ");
        labels_format(b, label_store_labels(r->labels, s->labels, &arena));
        for (uint32_t k = 0; k < s->count; k++) {
            buffer_append_byte(b, ' ');
            append_number(b, s->values[k]);
            if (r->type == VALUE_MATRIX) {
                buffer_append_byte(b, '@');
                append_number(b, (double)s->times[k] / 1000);
            }
        }
    }
    arena_deinit(&arena);
}

static char *run(const struct fixture_query *q, bool annotated)
{
    struct engine_options options = {.pool = q->pool,
                                     .delayed_name_removal = q->delayed_name_removal,
                                     .samples_max = q->samples_max,
                                     .memory_max_bytes = q->memory_max_bytes,
                                     .parser = {true, true, true, true}};
    struct query_params params = {.start_ms = q->start_s * 1000,
                                  .end_ms = (q->step_s ? q->end_s : q->start_s) * 1000,
                                  .step_ms = q->step_s * 1000,
                                  .instant = q->step_s == 0,
                                  .timeout_ms = q->timeout_ms,
                                  .series_max = q->series_max};
    struct query *query = NULL;
    struct error err;
    struct buffer b;
    buffer_init(&b, MEM_OTHER, 64 << 20);
    struct storage_source *source = q->other ? q->other : memory_source_as_source(q->source);
    if (!query_new(&query, source, &options, view_from(q->text), &params, &err) ||
        !query_run(query, &err)) {
        buffer_printf(&b, "error: %s", err.message);
    } else {
        const struct query_result *r = query_get_result(query);
        append_result(&b, r);
        for (size_t i = 0; annotated && i < r->warning_count; i++)
            buffer_printf(&b, " | %.*s", VIEW_ARGS(r->warnings[i]));
        for (size_t i = 0; annotated && i < r->info_count; i++)
            buffer_printf(&b, " | %.*s", VIEW_ARGS(r->infos[i]));
    }
    query_free(query);
    buffer_append_byte(&b, 0);
    char *text = strdup(b.ptr);
    buffer_deinit(&b);
    return text;
}

char *fixture_run(const struct fixture_query *q)
{
    return run(q, false);
}

char *fixture_run_annotated(const struct fixture_query *q)
{
    return run(q, true);
}
