/* SPDX-License-Identifier: Apache-2.0 */
/* annotation.c: warnings and infos of one evaluation: collected from any worker, each text once, and put into the
 * result in the order of their text. */
#include "promql/operator.h"

#include "base/assert.h"
#include "base/floattext.h"
#include "base/thread.h"
#include "promql/instant_functions.h"
#include "promql/result.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

enum { ANNOTATION_BYTES_MAX = 4096, ANNOTATIONS_MAX = 1000 };

void eval_annotate_text(struct eval *e, enum annotation_kind kind, struct view text)
{
    size_t count = 0;
    mutex_lock(&e->mutex);
    struct annotation *a = e->annotations;
    for (; a; a = a->next, count++)
        if (a->kind == kind && view_eq((struct view){a->text, a->len}, text))
            break;
    if (!a && count < ANNOTATIONS_MAX) {
        a = mem_alloc(MEM_QUERY, sizeof *a + text.len + 1);
        *a = (struct annotation){.next = e->annotations, .kind = kind, .len = text.len};
        memcpy(a->text, text.ptr, text.len);
        e->annotations = a;
    }
    mutex_unlock(&e->mutex);
}

/* " (line:column)" */
static void position_append(struct buffer *text, const struct eval *e, struct span where)
{
    uint32_t line = 1, column = 1;
    promql_position(e->promql, where.start, &line, &column);
    buffer_printf(text, " (%u:%u)", (unsigned)line, (unsigned)column);
}

void eval_annotate(struct eval *e, enum annotation_kind kind, struct span where, const char *format,
                   ...)
{
    static const char *const PREFIXES[] = {
        [ANNOTATION_WARNING] = "PromQL warning: ", [ANNOTATION_INFO] = "PromQL info: "};
    struct buffer text;
    buffer_init(&text, MEM_QUERY, ANNOTATION_BYTES_MAX);
    char *body = mem_alloc(MEM_QUERY, ANNOTATION_BYTES_MAX / 2);
    va_list args;
    va_start(args, format);
    vsnprintf(body, ANNOTATION_BYTES_MAX / 2, format, args);
    va_end(args);
    buffer_printf(&text, "%s%s", PREFIXES[kind], body);
    position_append(&text, e, where);
    mem_free(MEM_QUERY, body);

    eval_annotate_text(e, kind, buffer_view(&text));
    buffer_deinit(&text);
}

/* One warning for all that the workers' readers had to leave out (cursor.h, lost). */
static void annotate_lost(struct eval *e)
{
    const struct error *first = NULL;
    uint64_t count = 0;
    struct buffer text;
    for (unsigned i = 0; i < e->worker_count; i++) {
        const struct storage_reader *r = e->workers[i].reader;
        if (!r || r->lost_count == 0)
            continue;
        first = first ? first : &r->lost;
        count += r->lost_count;
    }
    if (count == 0)
        return;
    buffer_init(&text, MEM_QUERY, ANNOTATION_BYTES_MAX);
    buffer_printf(&text, "samples are missing: %s", first->message);
    if (count > 1)
        buffer_printf(&text, " (%" PRIu64 " columns in all)", count);
    eval_annotate_text(e, ANNOTATION_WARNING, buffer_view(&text));
    buffer_deinit(&text);
}

const char *eval_number_text(double v, char text[64])
{
    char digits[FLOAT_TEXT_BYTES];
    size_t len = float_format_short(v, digits);
    if (len > 63)
        len = 63;
    memcpy(text, digits, len);
    text[len] = 0;
    return text;
}

/* --- repaired histograms --- */

/* All repairs that one expression needed for one metric are one annotation, which says how many there were. */
struct repair_note {
    struct repair_note *next;
    symbol_id name;
    struct span where;
    struct repair_total total;
};

void repair_total_add(struct repair_total *t, const struct bucket_repair *r, int64_t ms)
{
    if (!t->count || r->bucket_min < t->bucket_min)
        t->bucket_min = r->bucket_min;
    if (!t->count || r->bucket_max > t->bucket_max)
        t->bucket_max = r->bucket_max;
    if (!t->count || r->diff_max > t->diff_max)
        t->diff_max = r->diff_max;
    t->first_ms = !t->count || ms < t->first_ms ? ms : t->first_ms;
    t->last_ms = !t->count || ms > t->last_ms ? ms : t->last_ms;
    t->count++;
}

static void repair_total_merge(struct repair_total *t, const struct repair_total *more)
{
    uint64_t count = t->count + more->count;
    const struct bucket_repair r = {true, more->bucket_min, more->bucket_max, more->diff_max};
    repair_total_add(t, &r, more->first_ms);
    repair_total_add(t, &r, more->last_ms);
    t->count = count;
}

void eval_annotate_repairs(struct eval *e, struct span where, symbol_id name,
                           const struct repair_total *total)
{
    mutex_lock(&e->mutex);
    struct repair_note *n = e->repairs;
    while (n && (n->name.n != name.n || n->where.start != where.start))
        n = n->next;
    if (!n) {
        n = mem_alloc_zero(MEM_QUERY, 1, sizeof *n);
        *n = (struct repair_note){.next = e->repairs, .name = name, .where = where};
        e->repairs = n;
    }
    repair_total_merge(&n->total, total);
    mutex_unlock(&e->mutex);
}

/* 2026-01-31T12:00:00Z */
static void time_append(struct buffer *out, int64_t ms)
{
    time_t seconds = (time_t)(ms / 1000);
    struct tm parts;
    char text[64];
    if (gmtime_r(&seconds, &parts) && strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%SZ", &parts))
        buffer_append_view(out, view_from(text));
    else
        buffer_printf(out, "%" PRId64, (int64_t)seconds);
}

static void repair_append(struct buffer *out, const struct eval *e, const struct repair_note *n)
{
    char low[64], high[64];
    const struct repair_total *t = &n->total;
    buffer_append_literal(
        out,
        "PromQL info: input to histogram_quantile needed to be fixed for monotonicity (see "
        "https://prometheus.io/docs/prometheus/latest/querying/functions/#histogram_quantile)");
    struct view name = label_store_text(e->labels, n->name);
    if (name.len)
        buffer_printf(out, " for metric name \"%.*s\"", VIEW_ARGS(name));
    buffer_printf(out, ", from buckets %s to %s, with a max diff of ",
                  eval_number_text(t->bucket_min, low), eval_number_text(t->bucket_max, high));
    if (__builtin_isinf(t->diff_max))
        buffer_append_literal(out, "+Inf");
    else
        buffer_printf(out, "%.2g", t->diff_max);
    buffer_printf(out, ", over %" PRIu64 " samples from ", t->count);
    time_append(out, t->first_ms);
    buffer_append_literal(out, " to ");
    time_append(out, t->last_ms);
}

static void annotate_repair_notes(struct eval *e)
{
    for (const struct repair_note *n = e->repairs; n; n = n->next) {
        struct buffer text;
        buffer_init(&text, MEM_QUERY, ANNOTATION_BYTES_MAX);
        repair_append(&text, e, n);
        position_append(&text, e, n->where);
        eval_annotate_text(e, ANNOTATION_INFO, buffer_view(&text));
        buffer_deinit(&text);
    }
}

/* --- into the result --- */

static int view_order(const void *a, const void *b)
{
    return view_cmp(*(const struct view *)a, *(const struct view *)b);
}

static struct view *annotations_of(struct eval *e, enum annotation_kind kind, size_t *count)
{
    *count = 0;
    for (const struct annotation *a = e->annotations; a; a = a->next)
        *count += a->kind == kind;
    struct view *out = ARENA_ARRAY(e->arena, struct view, *count + 1);
    size_t i = 0;
    for (const struct annotation *a = e->annotations; a; a = a->next)
        if (a->kind == kind)
            out[i++] = arena_copy(e->arena, (struct view){a->text, a->len});
    if (*count)
        qsort(out, *count, sizeof *out, view_order);
    return out;
}

void result_annotations(struct result_builder *r)
{
    annotate_lost(r->eval);
    annotate_repair_notes(r->eval);
    r->out->warnings = annotations_of(r->eval, ANNOTATION_WARNING, &r->out->warning_count);
    r->out->infos = annotations_of(r->eval, ANNOTATION_INFO, &r->out->info_count);
}

void annotations_free(struct eval *e)
{
    while (e->annotations) {
        struct annotation *next = e->annotations->next;
        mem_free(MEM_QUERY, e->annotations);
        e->annotations = next;
    }
    while (e->repairs) {
        struct repair_note *next = e->repairs->next;
        mem_free(MEM_QUERY, e->repairs);
        e->repairs = next;
    }
}
