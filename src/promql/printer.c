/* SPDX-License-Identifier: Apache-2.0 */
/* printer.c: a tree back to text, as Prometheus writes it: on one line, or laid out in at most 100 columns
 * where that can be done. What is printed parses to the same tree. */
#include "base/assert.h"
#include "base/duration.h"
#include "base/floattext.h"
#include "base/quote.h"
#include "model/labels.h"
#include "promql/parser.h"

#include <math.h>
#include <stdlib.h>

enum { LINE_COLUMNS_MAX = 100 };

static void print_duration_ms(struct buffer *out, int64_t ms)
{
    char text[DURATION_TEXT_BYTES];
    buffer_append(out, text, duration_format(ms, text));
}

static void print_plain(struct buffer *out, double v)
{
    char text[FLOAT_TEXT_BYTES];
    buffer_append(out, text, float_format_plain(v, text));
}

static void print_number(struct buffer *out, double v, bool is_duration)
{
    if (is_duration)
        print_duration_ms(out, (int64_t)round(v * 1000));
    else
        print_plain(out, v);
}

/* "+Inf ^ 2" would be read as the sign of "Inf ^ 2". */
static bool is_infinity(const struct expr *e)
{
    return e->kind == EXPR_NUMBER && isinf(e->u.number.value) && e->u.number.value > 0;
}

/* --- durations --- */

static const char *duration_op_sign(enum duration_op op)
{
    switch (op) {
    case DURATION_ADD:
        return " + ";
    case DURATION_SUB:
        return " - ";
    case DURATION_MUL:
        return " * ";
    case DURATION_DIV:
        return " / ";
    case DURATION_MOD:
        return " % ";
    case DURATION_POW:
        return " ^ ";
    case DURATION_MIN:
    case DURATION_MAX:
        return ", ";
    default:
        UNREACHABLE();
    }
}

static void print_duration(struct buffer *out, const struct duration_expr *e)
{
    switch (e->op) {
    case DURATION_LITERAL:
        print_number(out, e->seconds, e->is_duration_text);
        return;
    case DURATION_STEP:
        buffer_append_literal(out, "step()");
        return;
    case DURATION_RANGE:
        buffer_append_literal(out, "range()");
        return;
    case DURATION_NEG:
        buffer_append_byte(out, '-');
        print_duration(out, e->right);
        return;
    case DURATION_POS:
        print_duration(out, e->right);
        return;
    case DURATION_PAREN:
        buffer_append_byte(out, '(');
        print_duration(out, e->right);
        buffer_append_byte(out, ')');
        return;
    default:
        break;
    }
    bool call = e->op == DURATION_MIN || e->op == DURATION_MAX;
    if (call)
        buffer_printf(out, "%s(", e->op == DURATION_MIN ? "min_of" : "max_of");
    print_duration(out, e->left);
    buffer_printf(out, "%s", duration_op_sign(e->op));
    print_duration(out, e->right);
    if (call)
        buffer_append_byte(out, ')');
}

static void print_range(struct buffer *out, int64_t ms, const struct duration_expr *e)
{
    if (e)
        print_duration(out, e);
    else
        print_duration_ms(out, ms);
}

static void print_at(struct buffer *out, const struct time_modifier *t)
{
    if (t->at == AT_TIME) {
        int64_t ms = t->at_ms;
        uint64_t size = ms < 0 ? -(uint64_t)ms : (uint64_t)ms;
        buffer_printf(out, " @ %s%llu.%03llu", ms < 0 ? "-" : "", (unsigned long long)(size / 1000),
                      (unsigned long long)(size % 1000));
    } else if (t->at == AT_START) {
        buffer_append_literal(out, " @ start()");
    } else if (t->at == AT_END) {
        buffer_append_literal(out, " @ end()");
    }
}

static void print_offset(struct buffer *out, const struct time_modifier *t)
{
    if (!t->offset_expr && t->offset_ms == 0)
        return;
    buffer_append_literal(out, " offset ");
    print_range(out, t->offset_ms, t->offset_expr);
}

static void print_extended(struct buffer *out, const struct selector *s)
{
    if (s->anchored)
        buffer_append_literal(out, " anchored");
    else if (s->smoothed)
        buffer_append_literal(out, " smoothed");
}

/* --- selectors --- */

static int compare_views(const void *a, const void *b)
{
    return view_cmp(*(const struct view *)a, *(const struct view *)b);
}

/* {a="b",c="d"}, sorted as text; without the name that stands before the braces. */
static void print_matchers(struct buffer *out, const struct selector *s)
{
    struct buffer text;
    buffer_init(&text, MEM_QUERY, 16 * PROMQL_QUERY_BYTES_MAX);
    size_t *ends = mem_alloc(MEM_QUERY, (s->matcher_count + 1) * sizeof *ends), count = 0;
    for (uint32_t i = 0; i < s->matcher_count; i++) {
        const struct matcher *m = &s->matchers[i];
        if (s->name.len && m->type == MATCH_EQUAL && view_is(m->name, LABEL_NAME) &&
            view_eq(m->value, s->name))
            continue;
        matcher_format(&text, m);
        ends[count++] = text.len;
    }
    struct view *parts = mem_alloc(MEM_QUERY, (count + 1) * sizeof *parts);
    for (size_t i = 0; i < count; i++)
        parts[i] = view_slice(buffer_view(&text), i ? ends[i - 1] : 0, ends[i]);
    qsort(parts, count, sizeof *parts, compare_views);
    for (size_t i = 0; i < count; i++) {
        buffer_append_byte(out, i ? ',' : '{');
        buffer_append_view(out, parts[i]);
    }
    if (count)
        buffer_append_byte(out, '}');
    mem_free(MEM_QUERY, parts);
    mem_free(MEM_QUERY, ends);
    buffer_deinit(&text);
}

static void print_selector(struct buffer *out, const struct selector *s)
{
    buffer_append_view(out, s->name);
    print_matchers(out, s);
    if (s->name.len == 0 && s->matcher_count == 0)
        buffer_append_literal(out, "{}"); /* info(x, {}) */
}

/* --- operators --- */

static void print_labels(struct buffer *out, const struct view *labels, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++) {
        if (i)
            buffer_append_literal(out, ", ");
        if (label_name_is_legacy(labels[i]))
            buffer_append_view(out, labels[i]);
        else
            quote_append(out, labels[i]);
    }
}

static void print_fill(struct buffer *out, const char *word, double v)
{
    char text[FLOAT_TEXT_BYTES];
    size_t len = float_format_short(v, text);
    buffer_printf(out, " %s (%.*s)", word, (int)len, text);
}

/* " bool on (a) group_left (b) fill (0)" */
static void print_modifiers(struct buffer *out, const struct expr *e)
{
    const struct vector_matching *m = e->u.binary.matching;
    if (e->u.binary.return_bool)
        buffer_append_literal(out, " bool");
    if (!m)
        return;
    bool grouped = m->card == CARD_MANY_TO_ONE || m->card == CARD_ONE_TO_MANY;
    if (m->label_count > 0 || m->on || grouped) {
        buffer_printf(out, " %s (", m->on ? "on" : "ignoring");
        print_labels(out, m->labels, m->label_count);
        buffer_append_byte(out, ')');
    }
    if (grouped) {
        buffer_printf(out, " group_%s (", m->card == CARD_MANY_TO_ONE ? "left" : "right");
        print_labels(out, m->include, m->include_count);
        buffer_append_byte(out, ')');
    }
    if (m->has_fill_left && m->has_fill_right &&
        memcmp(&m->fill_left, &m->fill_right, sizeof(double)) == 0) {
        print_fill(out, "fill", m->fill_left);
        return;
    }
    if (m->has_fill_left)
        print_fill(out, "fill_left", m->fill_left);
    if (m->has_fill_right)
        print_fill(out, "fill_right", m->fill_right);
}

/* "sum by (a, b) " or "sum" */
static void print_aggregate_head(struct buffer *out, const struct expr *e)
{
    buffer_printf(out, "%s", aggregate_op_name(e->u.aggregate.op));
    if (!e->u.aggregate.without && e->u.aggregate.label_count == 0)
        return;
    buffer_printf(out, " %s (", e->u.aggregate.without ? "without" : "by");
    print_labels(out, e->u.aggregate.labels, e->u.aggregate.label_count);
    buffer_append_literal(out, ") ");
}

/* "[5m:1m] @ 10.000 offset 5m" */
static void print_subquery_suffix(struct buffer *out, const struct expr *e)
{
    buffer_append_byte(out, '[');
    print_range(out, e->u.subquery.range_ms, e->u.subquery.range_expr);
    buffer_append_byte(out, ':');
    if (e->u.subquery.step_expr || e->u.subquery.step_ms)
        print_range(out, e->u.subquery.step_ms, e->u.subquery.step_expr);
    buffer_append_byte(out, ']');
    print_at(out, &e->u.subquery.time);
    print_offset(out, &e->u.subquery.time);
}

static void print_matrix(struct buffer *out, const struct expr *e)
{
    const struct selector *s = &e->u.matrix.selector->u.selector;
    print_selector(out, s);
    buffer_append_byte(out, '[');
    print_range(out, e->u.matrix.range_ms, e->u.matrix.range_expr);
    buffer_append_byte(out, ']');
    print_extended(out, s);
    print_at(out, &s->time);
    print_offset(out, &s->time);
}

static void print_call(struct buffer *out, const struct expr *e)
{
    buffer_printf(out, "%s(", e->u.call.function->name);
    for (uint32_t i = 0; i < e->u.call.arg_count; i++) {
        if (i)
            buffer_append_literal(out, ", ");
        promql_print(out, e->u.call.args[i]);
    }
    buffer_append_byte(out, ')');
}

static void print_aggregate(struct buffer *out, const struct expr *e)
{
    print_aggregate_head(out, e);
    buffer_append_byte(out, '(');
    if (e->u.aggregate.param) {
        promql_print(out, e->u.aggregate.param);
        buffer_append_literal(out, ", ");
    }
    promql_print(out, e->u.aggregate.inner);
    buffer_append_byte(out, ')');
}

/* Recursion is bounded by PROMQL_HEIGHT_MAX. */
void promql_print(struct buffer *out, const struct expr *e)
{
    switch (e->kind) {
    case EXPR_NUMBER:
        print_number(out, e->u.number.value, e->u.number.is_duration);
        return;
    case EXPR_STRING:
        quote_append(out, e->u.string);
        return;
    case EXPR_SELECTOR:
        print_selector(out, &e->u.selector);
        print_at(out, &e->u.selector.time);
        print_extended(out, &e->u.selector);
        print_offset(out, &e->u.selector.time);
        return;
    case EXPR_MATRIX:
        print_matrix(out, e);
        return;
    case EXPR_SUBQUERY:
        promql_print(out, e->u.subquery.inner);
        print_subquery_suffix(out, e);
        return;
    case EXPR_CALL:
        print_call(out, e);
        return;
    case EXPR_UNARY:
        buffer_append_byte(out, e->u.unary.negative ? '-' : '+');
        promql_print(out, e->u.unary.inner);
        return;
    case EXPR_BINARY:
        if (e->u.binary.op == OP_POW && is_infinity(e->u.binary.left))
            buffer_append_literal(out, "Inf");
        else
            promql_print(out, e->u.binary.left);
        buffer_printf(out, " %s", binary_op_name(e->u.binary.op));
        print_modifiers(out, e);
        buffer_append_byte(out, ' ');
        promql_print(out, e->u.binary.right);
        return;
    case EXPR_AGGREGATE:
        print_aggregate(out, e);
        return;
    case EXPR_PAREN:
        buffer_append_byte(out, '(');
        promql_print(out, e->u.paren);
        buffer_append_byte(out, ')');
        return;
    case EXPR_DURATION:
        break;
    }
    UNREACHABLE();
}

/* --- laid out --- */

static void indent(struct buffer *out, unsigned level)
{
    while (level--)
        buffer_append_literal(out, "  ");
}

/* The last line of `out` is e's indentation; prints e there if it fits a line of its own. */
static bool print_if_short(struct buffer *out, const struct expr *e)
{
    size_t before = out->len;
    promql_print(out, e);
    if (out->failed || out->len - before <= LINE_COLUMNS_MAX)
        return true;
    out->len = before;
    return false;
}

static void pretty(struct buffer *out, const struct expr *e, unsigned level);

/* e right behind what was printed: only its first line loses its indentation. */
static void pretty_joined(struct buffer *out, const struct expr *e, unsigned level)
{
    size_t from = out->len;
    pretty(out, e, level);
    if (out->failed)
        return;
    size_t spaces = 0;
    while (from + spaces < out->len && out->ptr[from + spaces] == ' ')
        spaces++;
    memmove(out->ptr + from, out->ptr + from + spaces, out->len - from - spaces);
    out->len -= spaces;
}

/* e without its own indentation, which was printed. */
static void pretty_here(struct buffer *out, const struct expr *e, unsigned level)
{
    if (print_if_short(out, e))
        return;
    switch (e->kind) {
    case EXPR_AGGREGATE:
        print_aggregate_head(out, e);
        buffer_append_literal(out, "(\n");
        if (e->u.aggregate.param) {
            pretty(out, e->u.aggregate.param, level + 1);
            buffer_append_literal(out, ",\n");
        }
        pretty(out, e->u.aggregate.inner, level + 1);
        break;
    case EXPR_CALL:
        buffer_printf(out, "%s(\n", e->u.call.function->name);
        for (uint32_t i = 0; i < e->u.call.arg_count; i++) {
            if (i)
                buffer_append_literal(out, ",\n");
            pretty(out, e->u.call.args[i], level + 1);
        }
        break;
    case EXPR_PAREN:
        buffer_append_literal(out, "(\n");
        pretty(out, e->u.paren, level + 1);
        break;
    case EXPR_SUBQUERY:
        pretty_here(out, e->u.subquery.inner, level);
        print_subquery_suffix(out, e);
        return;
    case EXPR_UNARY:
        buffer_append_byte(out, e->u.unary.negative ? '-' : '+');
        pretty_joined(out, e->u.unary.inner, level);
        return;
    default:
        promql_print(out, e); /* a long selector stays on its line */
        return;
    }
    buffer_append_byte(out, '\n');
    indent(out, level);
    buffer_append_byte(out, ')');
}

static void pretty(struct buffer *out, const struct expr *e, unsigned level)
{
    size_t before = out->len;
    indent(out, level);
    if (e->kind != EXPR_BINARY || print_if_short(out, e)) {
        if (e->kind != EXPR_BINARY)
            pretty_here(out, e, level);
        return;
    }
    /* Both sides one level in, the operator on a line of its own. */
    out->len = before;
    pretty(out, e->u.binary.left, level + 1);
    buffer_append_byte(out, '\n');
    indent(out, level);
    buffer_printf(out, "%s", binary_op_name(e->u.binary.op));
    print_modifiers(out, e);
    buffer_append_byte(out, '\n');
    pretty(out, e->u.binary.right, level + 1);
}

void promql_print_pretty(struct buffer *out, const struct expr *e)
{
    pretty(out, e, 0);
}
