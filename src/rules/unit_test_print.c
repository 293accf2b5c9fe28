/* SPDX-License-Identifier: Apache-2.0 */
/* unit_test_print.c: see unit_test_print.h. */
#include "rules/unit_test_print.h"

#include "base/floattext.h"
#include "base/mem.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>

enum { DIFF_LINES_MAX = 2000 };

static void new_line(struct buffer *out, unsigned indent)
{
    buffer_printf(out, "\n%*s", (int)indent, "");
}

void test_print_alerts(struct buffer *out, const struct test_alert *alerts, size_t count,
                       unsigned indent)
{
    if (count == 0) {
        buffer_append_literal(out, "[]");
        return;
    }
    buffer_append_byte(out, '[');
    for (size_t i = 0; i < count; i++) {
        if (i)
            buffer_append_byte(out, ',');
        new_line(out, indent);
        buffer_printf(out, "%zu:", i);
        new_line(out, indent + 2);
        buffer_append_literal(out, "Labels:");
        labels_format_set(out, alerts[i].labels);
        new_line(out, indent + 2);
        buffer_append_literal(out, "Annotations:");
        labels_format_set(out, alerts[i].annotations);
    }
    new_line(out, indent);
    buffer_append_byte(out, ']');
}

/* Go's 'E' with the shortest digits that read back: 1E+00, 2.9999999999999996E+00. */
static void print_value(struct buffer *out, double v)
{
    if (isnan(v)) {
        buffer_append_literal(out, "NaN");
        return;
    }
    if (isinf(v)) {
        buffer_append_view(out, v > 0 ? VIEW("+Inf") : VIEW("-Inf"));
        return;
    }
    char text[64];
    for (int digits = 0; digits <= 17; digits++) {
        double back;
        int len = snprintf(text, sizeof text, "%.*E", digits, v);
        if (float_parse((struct view){text, (size_t)len}, &back) && back == v)
            break;
    }
    buffer_append(out, text, strlen(text));
}

void test_print_points(struct buffer *out, const struct test_point *points, size_t count)
{
    if (count == 0)
        buffer_append_literal(out, "nil");
    for (size_t i = 0; i < count; i++) {
        if (i)
            buffer_append_literal(out, ", ");
        labels_format_set(out, points[i].labels);
        buffer_append_byte(out, ' ');
        print_value(out, points[i].value);
    }
}

void test_print_duration(struct buffer *out, int64_t ms)
{
    int64_t hours = ms / 3600000, minutes = ms / 60000 % 60, seconds = ms / 1000 % 60,
            rest = ms % 1000;
    if (ms < 0) {
        buffer_append_byte(out, '-');
        test_print_duration(out, -ms);
        return;
    }
    if (ms > 0 && ms < 1000) {
        buffer_printf(out, "%" PRId64 "ms", ms);
        return;
    }
    if (hours)
        buffer_printf(out, "%" PRId64 "h", hours);
    if (hours || minutes)
        buffer_printf(out, "%" PRId64 "m", minutes);
    buffer_printf(out, "%" PRId64, seconds);
    if (rest) {
        char text[8];
        int len = snprintf(text, sizeof text, ".%03d", (int)rest);
        while (text[len - 1] == '0')
            len--;
        buffer_append(out, text, (size_t)len);
    }
    buffer_append_byte(out, 's');
}

/* --- differences --- */

static size_t split(struct view text, struct view *lines)
{
    size_t count = 0;
    while (count < DIFF_LINES_MAX) {
        const char *end = text.len ? memchr(text.ptr, '\n', text.len) : NULL;
        size_t len = end ? (size_t)(end - text.ptr) : text.len;
        lines[count++] = view_slice(text, 0, len);
        if (!end)
            break;
        text = view_slice(text, len + 1, text.len);
    }
    return count;
}

static void print_line(struct buffer *out, char mark, struct view line, unsigned indent)
{
    new_line(out, indent);
    buffer_append_byte(out, mark);
    buffer_append_byte(out, ' ');
    buffer_append_view(out, line);
}

/* The longest common subsequence, by the usual table; texts are short, or only their first lines are compared. */
void test_print_diff(struct buffer *out, struct view expected, struct view got, unsigned indent)
{
    struct view *a = mem_alloc(MEM_RULES, DIFF_LINES_MAX * sizeof *a),
                *b = mem_alloc(MEM_RULES, DIFF_LINES_MAX * sizeof *b);
    size_t n = split(expected, a), m = split(got, b);
    uint16_t *length = mem_alloc_zero(MEM_RULES, (n + 1) * (m + 1), sizeof *length);
#define AT(i, k) length[(i) * (m + 1) + (k)]
    for (size_t i = n; i-- > 0;)
        for (size_t k = m; k-- > 0;)
            AT(i, k) = view_eq(a[i], b[k])            ? (uint16_t)(AT(i + 1, k + 1) + 1)
                       : AT(i + 1, k) >= AT(i, k + 1) ? AT(i + 1, k)
                                                      : AT(i, k + 1);
    for (size_t i = 0, k = 0; i < n || k < m;) {
        if (i < n && k < m && view_eq(a[i], b[k])) {
            print_line(out, ' ', a[i++], indent);
            k++;
        } else if (i < n && (k == m || AT(i + 1, k) >= AT(i, k + 1))) {
            print_line(out, '-', a[i++], indent);
        } else {
            print_line(out, '+', b[k++], indent);
        }
    }
#undef AT
    mem_free(MEM_RULES, length);
    mem_free(MEM_RULES, a);
    mem_free(MEM_RULES, b);
}
