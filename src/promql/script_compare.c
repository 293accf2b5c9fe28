/* SPDX-License-Identifier: Apache-2.0 */
/* script_compare.c: results against the expected lines of a script. Label sets first, then values. */
#include "promql/script_private.h"

#include "base/floattext.h"
#include "base/quote.h"

#include <float.h>
#include <math.h>
#include <stdlib.h>

/* A relative error of 1e-6, as Prometheus' runner allows. */
static bool is_close(double a, double b)
{
    static const double EPSILON = 1e-6;
    if ((isnan(a) && isnan(b)) || a == b)
        return true;
    double sum = fabs(a) + fabs(b), difference = fabs(a - b);
    if (a == 0 || b == 0 || sum < DBL_MIN)
        return difference < EPSILON * DBL_MIN;
    return difference / fmin(sum, DBL_MAX) < EPSILON;
}

static void append_value(struct buffer *out, double v)
{
    char text[FLOAT_TEXT_BYTES];
    buffer_append(out, text, float_format_short(v, text));
}

/* --- what is said of a mismatch --- */

static void describe_expected(const struct script_eval *e, struct buffer *out)
{
    if (e->has_string) {
        quote_append(out, e->string);
        return;
    }
    if (e->series_count == 0)
        buffer_append_literal(out, "nothing");
    for (size_t i = 0; i < e->series_count; i++) {
        const struct expected_series *s = &e->series[i];
        if (i)
            buffer_append_byte(out, '\n');
        if (s->has_labels)
            labels_format(out, s->text.labels);
        for (size_t k = 0; k < s->text.count; k++) {
            if (s->has_labels || k)
                buffer_append_byte(out, ' ');
            if (s->text.values[k].kind == SERIES_VALUE_FLOAT)
                append_value(out, s->text.values[k].value);
            else
                buffer_append_byte(out, '_');
        }
    }
}

static void describe_series(const struct query_result *r, const struct result_series *s,
                            struct arena *arena, struct buffer *out)
{
    labels_format(out, label_store_labels(r->labels, s->labels, arena));
    for (uint32_t i = 0; i < s->count; i++) {
        buffer_append_byte(out, ' ');
        append_value(out, s->values[i]);
        if (r->type == VALUE_MATRIX)
            buffer_printf(out, " @%lld.%03lld", (long long)(s->times[i] / 1000),
                          (long long)llabs(s->times[i] % 1000));
    }
}

static void describe_actual(const struct query_result *r, struct arena *arena, struct buffer *out)
{
    switch (r->type) {
    case VALUE_SCALAR:
        append_value(out, r->scalar);
        return;
    case VALUE_STRING:
        quote_append(out, r->string);
        return;
    default:
        break;
    }
    if (r->series_count == 0)
        buffer_append_literal(out, "nothing");
    for (size_t i = 0; i < r->series_count; i++) {
        if (i)
            buffer_append_byte(out, '\n');
        describe_series(r, &r->series[i], arena, out);
    }
}

/* --- comparing --- */

static const struct expected_series *find_expected(const struct script_eval *e, struct labels ls,
                                                   size_t *idx)
{
    for (size_t i = 0; i < e->series_count; i++) {
        if (e->series[i].has_labels && labels_equal(e->series[i].text.labels, ls)) {
            *idx = i;
            return &e->series[i];
        }
    }
    return NULL;
}

/* Expected value i is at first_ms + i * step_ms; both sides must have the same samples. */
static bool same_samples(const struct series_text *expected, int64_t first_ms, int64_t step_ms,
                         const struct result_series *s)
{
    uint32_t at = 0;
    for (size_t i = 0; i < expected->count; i++) {
        int64_t t = first_ms + (int64_t)i * step_ms;
        bool given = at < s->count && s->times[at] == t;
        if (given != (expected->values[i].kind == SERIES_VALUE_FLOAT))
            return false;
        if (given && !is_close(expected->values[i].value, s->values[at]))
            return false;
        at += given;
    }
    return at == s->count;
}

static bool same_vector_value(const struct series_text *expected, double value)
{
    return expected->count == 1 && expected->values[0].kind == SERIES_VALUE_FLOAT &&
           is_close(expected->values[0].value, value);
}

/* Labels of a matrix ascend strictly: a repeated label set is an error too. */
static bool is_sorted(const struct query_result *r)
{
    for (size_t i = 1; i < r->series_count; i++)
        if (label_store_compare(r->labels, r->series[i - 1].labels, r->series[i].labels) >= 0)
            return false;
    return true;
}

static bool same_matrix(const struct script_eval *e, const struct query_result *r,
                        struct arena *arena)
{
    bool *seen = ARENA_ARRAY(arena, bool, e->series_count + 1);
    int64_t first_ms = e->has_range_vector ? e->range_start_ms : e->start_ms;
    int64_t step_ms = e->has_range_vector ? e->range_step_ms : e->step_ms;
    if (!is_sorted(r))
        return false;
    for (size_t i = 0; i < r->series_count; i++) {
        size_t idx;
        const struct expected_series *s =
            find_expected(e, label_store_labels(r->labels, r->series[i].labels, arena), &idx);
        if (!s || seen[idx] || !same_samples(&s->text, first_ms, step_ms, &r->series[i]))
            return false;
        seen[idx] = true;
    }
    for (size_t i = 0; i < e->series_count; i++)
        if (!seen[i])
            return false;
    return true;
}

/* One value per series: a vector, or a matrix at one time. */
struct vector_item {
    labels_id labels;
    double value;
};

static bool same_vector(const struct script_eval *e, const struct query_result *r,
                        const struct vector_item *items, size_t count, bool ordered,
                        struct arena *arena)
{
    bool *seen = ARENA_ARRAY(arena, bool, e->series_count + 1);
    for (size_t i = 0; i < count; i++) {
        size_t idx;
        const struct expected_series *s =
            find_expected(e, label_store_labels(r->labels, items[i].labels, arena), &idx);
        if (!s || seen[idx] || (ordered && idx != i) ||
            !same_vector_value(&s->text, items[i].value))
            return false;
        seen[idx] = true;
    }
    return count == e->series_count;
}

static bool same_result(const struct script_eval *e, const struct query_result *r,
                        struct arena *arena)
{
    if (e->has_string)
        return r->type == VALUE_STRING && view_eq(r->string, e->string);
    switch (r->type) {
    case VALUE_SCALAR:
        return e->series_count == 1 && !e->series[0].has_labels &&
               same_vector_value(&e->series[0].text, r->scalar);
    case VALUE_VECTOR: {
        struct vector_item *items = ARENA_ARRAY(arena, struct vector_item, r->series_count + 1);
        for (size_t i = 0; i < r->series_count; i++)
            items[i] = (struct vector_item){r->series[i].labels, r->series[i].values[0]};
        return same_vector(e, r, items, r->series_count, e->ordered, arena);
    }
    case VALUE_MATRIX:
        return (!e->instant || e->has_range_vector) && same_matrix(e, r, arena);
    default:
        return false;
    }
}

bool script_compare(const struct script_eval *e, const struct query_result *result,
                    struct arena *arena, struct buffer *expected, struct buffer *actual)
{
    if (same_result(e, result, arena))
        return true;
    describe_expected(e, expected);
    describe_actual(result, arena, actual);
    if (result->type == VALUE_MATRIX && !is_sorted(result))
        buffer_append_literal(actual, "\n(series are not sorted by labels)");
    return false;
}

bool script_compare_at(const struct script_eval *e, const struct query_result *range,
                       int64_t time_ms, struct arena *arena, struct buffer *expected,
                       struct buffer *actual)
{
    struct vector_item *items = ARENA_ARRAY(arena, struct vector_item, range->series_count + 1);
    size_t count = 0;
    for (size_t i = 0; i < range->series_count; i++)
        for (uint32_t k = 0; k < range->series[i].count; k++)
            if (range->series[i].times[k] == time_ms)
                items[count++] =
                    (struct vector_item){range->series[i].labels, range->series[i].values[k]};
    bool scalar = e->series_count == 1 && !e->series[0].has_labels;
    bool same = scalar ? count == 1 && same_vector_value(&e->series[0].text, items[0].value)
                       : same_vector(e, range, items, count, false, arena);
    if (range->type == VALUE_MATRIX && is_sorted(range) && same)
        return true;
    describe_expected(e, expected);
    buffer_append_literal(actual, "as a range query:\n");
    describe_actual(range, arena, actual);
    return false;
}
