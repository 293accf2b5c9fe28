/* SPDX-License-Identifier: Apache-2.0 */
/* query_print.c: see query_print.h. Everything comes from an answer of the HTTP API, so nothing here trusts its
 * shape: what is missing prints as nothing. */
#include "cli/query_print.h"

#include "base/arena.h"
#include "base/buffer.h"
#include "base/floattext.h"
#include "model/labels.h"

#include <math.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>
#include <time.h>

enum {
    TEXT_BYTES_MAX = 1 << 20,
    SERIES_SHOWN_MAX = 8,
    GRAPH_ROWS_MAX = 100,
    GRAPH_COLUMNS_MAX = 400
};

static struct view json_view(const json_t *text)
{
    return text && json_is_string(text)
               ? (struct view){json_string_value(text), json_string_length(text)}
               : (struct view){NULL, 0};
}

/* Control characters would move the cursor or worse: they print as '?'. */
static void put_safe(FILE *out, struct view text)
{
    for (size_t i = 0; i < text.len; i++)
        fputc((unsigned char)text.ptr[i] < 0x20 || text.ptr[i] == 0x7f ? '?' : text.ptr[i], out);
}

void query_print_text(FILE *out, const json_t *text)
{
    put_safe(out, json_view(text));
}

static void format_metric(struct buffer *out, struct arena *arena, const json_t *metric)
{
    struct labels_builder builder;
    labels_builder_init(&builder, arena);
    const char *name;
    json_t *value;
    json_object_foreach((json_t *)metric, name, value)
        labels_builder_set(&builder, view_from(name), json_view(value));
    labels_format(out, labels_builder_finish(&builder));
}

/* As --time, --start and --end read it back. */
static void format_time(char *out, size_t bytes, double seconds)
{
    time_t t = (time_t)floor(seconds);
    struct tm tm;
    char date[24];
    int ms = (int)((seconds - floor(seconds)) * 1000 + 0.5);
    if (!isfinite(seconds) || !gmtime_r(&t, &tm) ||
        !strftime(date, sizeof date, "%Y-%m-%dT%H:%M:%S", &tm))
        snprintf(out, bytes, "-");
    else if (ms > 0 && ms < 1000)
        snprintf(out, bytes, "%s.%03dZ", date, ms);
    else
        snprintf(out, bytes, "%sZ", date);
}

/* [time, "value"] */
static bool read_point(const json_t *point, double *seconds, double *value)
{
    *seconds = json_number_value(json_array_get(point, 0));
    return float_parse(json_view(json_array_get(point, 1)), value);
}

/* Calls back for each series: a vector's "value" is a list of one point. */
typedef void (*series_visit)(void *arg, const json_t *metric, const json_t *points, size_t idx);

static void each_series(const json_t *data, series_visit visit, void *arg)
{
    struct view type = json_view(json_object_get(data, "resultType"));
    json_t *result = json_object_get(data, "result");
    if (view_is(type, "scalar") || view_is(type, "string")) {
        json_t *points = json_pack("[O]", result), *nothing = json_object();
        if (points)
            visit(arg, nothing, points, 0);
        json_decref(points);
        json_decref(nothing);
        return;
    }
    size_t i;
    json_t *one;
    json_array_foreach(result, i, one)
    {
        json_t *metric = json_object_get(one, "metric"), *values = json_object_get(one, "values");
        if (values) {
            visit(arg, metric, values, i);
        } else {
            json_t *points = json_pack("[O]", json_object_get(one, "value"));
            visit(arg, metric, points, i);
            json_decref(points);
        }
    }
}

struct printer {
    FILE *out;
    struct arena arena;
    struct buffer text;
    bool is_matrix;
};

static void printer_init(struct printer *p, FILE *out, const json_t *data)
{
    p->out = out;
    p->is_matrix = view_is(json_view(json_object_get(data, "resultType")), "matrix");
    arena_init(&p->arena, MEM_OTHER, 0);
    buffer_init(&p->text, MEM_OTHER, TEXT_BYTES_MAX);
}

static void printer_deinit(struct printer *p)
{
    buffer_deinit(&p->text);
    arena_deinit(&p->arena);
}

static struct view printer_metric(struct printer *p, const json_t *metric)
{
    buffer_reset(&p->text);
    arena_reset(&p->arena);
    format_metric(&p->text, &p->arena, metric);
    return buffer_view(&p->text);
}

static void print_row(void *arg, const json_t *metric, const json_t *points, size_t idx)
{
    struct printer *p = arg;
    struct view name = printer_metric(p, metric);
    size_t i;
    json_t *point;
    if (p->is_matrix) {
        put_safe(p->out, name);
        fputc('\n', p->out);
    }
    json_array_foreach(points, i, point)
    {
        char when[32];
        format_time(when, sizeof when, json_number_value(json_array_get(point, 0)));
        struct view value = json_view(json_array_get(point, 1));
        if (p->is_matrix) {
            fprintf(p->out, "  %s  ", when);
        } else if (json_object_size(metric)) {
            put_safe(p->out, name);
            fputs("  ", p->out);
        }
        put_safe(p->out, value);
        fputc('\n', p->out);
    }
}

void query_print_table(FILE *out, const json_t *data)
{
    struct printer p;
    printer_init(&p, out, data);
    each_series(data, print_row, &p);
    printer_deinit(&p);
}

static void put_csv(FILE *out, struct view text)
{
    fputc('"', out);
    for (size_t i = 0; i < text.len; i++) {
        if (text.ptr[i] == '"')
            fputc('"', out);
        fputc(text.ptr[i], out);
    }
    fputc('"', out);
}

static void print_csv_rows(void *arg, const json_t *metric, const json_t *points, size_t idx)
{
    struct printer *p = arg;
    struct view name = printer_metric(p, metric);
    size_t i;
    json_t *point;
    json_array_foreach(points, i, point)
    {
        put_csv(p->out, name);
        fprintf(p->out, ",%.3f,", json_number_value(json_array_get(point, 0)));
        put_safe(p->out, json_view(json_array_get(point, 1)));
        fputc('\n', p->out);
    }
}

void query_print_csv(FILE *out, const json_t *data)
{
    struct printer p;
    printer_init(&p, out, data);
    fputs("series,time,value\n", out);
    each_series(data, print_csv_rows, &p);
    printer_deinit(&p);
}

/* The graph: a canvas of braille cells, 2 x 4 dots each, with the series that last drew in a cell. */
struct canvas {
    uint8_t dots[GRAPH_ROWS_MAX][GRAPH_COLUMNS_MAX];
    uint8_t series[GRAPH_ROWS_MAX][GRAPH_COLUMNS_MAX];
    int columns, rows;
    double from, to, low, high;
    int last_x, last_y; /* of the line being drawn; -1 = none */
};

static void canvas_dot(struct canvas *c, int x, int y, size_t series)
{
    /* Bits of U+2800..U+28FF: the left column is 1 2 4 40, the right one 8 10 20 80 (hexadecimal). */
    static const uint8_t BITS[4][2] = {{0x01, 0x08}, {0x02, 0x10}, {0x04, 0x20}, {0x40, 0x80}};
    if (x < 0 || y < 0 || x >= c->columns * 2 || y >= c->rows * 4)
        return;
    int row = c->rows - 1 - y / 4;
    c->dots[row][x / 2] |= BITS[3 - y % 4][x % 2];
    c->series[row][x / 2] = (uint8_t)(series % SERIES_SHOWN_MAX);
}

static void canvas_line_to(struct canvas *c, int x, int y, size_t series)
{
    if (c->last_x < 0) {
        canvas_dot(c, x, y, series);
    } else {
        int dx = x - c->last_x, dy = y - c->last_y;
        int steps = abs(dx) > abs(dy) ? abs(dx) : abs(dy);
        for (int i = 0; i <= steps; i++)
            canvas_dot(c, c->last_x + (steps ? dx * i / steps : 0),
                       c->last_y + (steps ? dy * i / steps : 0), series);
    }
    c->last_x = x;
    c->last_y = y;
}

static void measure(void *arg, const json_t *metric, const json_t *points, size_t idx)
{
    struct canvas *c = arg;
    size_t i;
    json_t *point;
    double t, v;
    json_array_foreach(points, i, point)
    {
        if (!read_point(point, &t, &v))
            continue;
        c->from = fmin(c->from, t);
        c->to = fmax(c->to, t);
        if (isfinite(v)) {
            c->low = fmin(c->low, v);
            c->high = fmax(c->high, v);
        }
    }
}

static void draw(void *arg, const json_t *metric, const json_t *points, size_t idx)
{
    struct canvas *c = arg;
    size_t i;
    json_t *point;
    double t, v;
    c->last_x = -1;
    json_array_foreach(points, i, point)
    {
        if (!read_point(point, &t, &v) || !isfinite(v)) {
            c->last_x = -1;
            continue;
        }
        int x = (int)((t - c->from) / (c->to - c->from) * (c->columns * 2 - 1));
        int y = (int)((v - c->low) / (c->high - c->low) * (c->rows * 4 - 1));
        canvas_line_to(c, x, y, idx);
    }
}

static const char *const COLOURS[SERIES_SHOWN_MAX] = {
    "\033[36m", "\033[33m", "\033[32m", "\033[35m", "\033[34m", "\033[31m", "\033[96m", "\033[93m"};

struct legend {
    struct printer *printer;
    bool colour;
    size_t hidden;
};

static void print_legend(void *arg, const json_t *metric, const json_t *points, size_t idx)
{
    struct legend *l = arg;
    if (idx >= SERIES_SHOWN_MAX) {
        l->hidden++;
        return;
    }
    double t, v = NAN;
    size_t n = json_array_size(points);
    if (n)
        (void)read_point(json_array_get(points, n - 1), &t, &v); /* NaN prints as such */
    FILE *out = l->printer->out;
    fprintf(out, "%s━━%s ", l->colour ? COLOURS[idx] : "", l->colour ? "\033[0m" : "");
    put_safe(out, printer_metric(l->printer, metric));
    fprintf(out, "  last %.6g\n", v);
}

static void print_canvas(FILE *out, const struct canvas *c, bool colour)
{
    for (int row = 0; row < c->rows; row++) {
        double value = c->high - (c->high - c->low) * row / (c->rows > 1 ? c->rows - 1 : 1);
        if (row % 4 == 0 || row == c->rows - 1)
            fprintf(out, "%11.5g ┤", value);
        else
            fprintf(out, "%11s │", "");
        for (int column = 0; column < c->columns; column++) {
            unsigned dots = c->dots[row][column];
            if (!dots) {
                fputc(' ', out);
                continue;
            }
            char cell[4] = {(char)0xe2, (char)(0xa0 | dots >> 6), (char)(0x80 | (dots & 63)), 0};
            fprintf(out, "%s%s%s", colour ? COLOURS[c->series[row][column]] : "", cell,
                    colour ? "\033[0m" : "");
        }
        fputc('\n', out);
    }
    char from[32], to[32];
    format_time(from, sizeof from, c->from);
    format_time(to, sizeof to, c->to);
    fprintf(out, "%11s  %s%*s\n", "", from, c->columns - (int)strlen(from), to);
}

/* A vector has no line to draw: a bar for each series, the longest for the value farthest from 0. */
struct bars {
    struct printer *printer;
    int columns;
    double largest;
    bool colour;
};

static void bar_measure(void *arg, const json_t *metric, const json_t *points, size_t idx)
{
    struct bars *b = arg;
    double t, v;
    if (read_point(json_array_get(points, 0), &t, &v) && isfinite(v))
        b->largest = fmax(b->largest, fabs(v));
}

static void bar_print(void *arg, const json_t *metric, const json_t *points, size_t idx)
{
    struct bars *b = arg;
    FILE *out = b->printer->out;
    double t, v = NAN;
    struct view text = json_view(json_array_get(json_array_get(points, 0), 1));
    if (!read_point(json_array_get(points, 0), &t, &v) || !isfinite(v))
        v = 0;
    int length = b->largest > 0 ? (int)(fabs(v) / b->largest * b->columns + 0.5) : 0;
    fputs(b->colour ? COLOURS[idx % SERIES_SHOWN_MAX] : "", out);
    for (int i = 0; i < length; i++)
        fputs(v < 0 ? "░" : "█", out);
    fprintf(out, "%s%*s ", b->colour ? "\033[0m" : "", b->columns - length, "");
    put_safe(out, text);
    fputs("  ", out);
    put_safe(out, printer_metric(b->printer, metric));
    fputc('\n', out);
}

static void print_bars(struct printer *p, const json_t *data, int columns, bool colour)
{
    struct bars b = {p, columns / 3, 0, colour};
    each_series(data, bar_measure, &b);
    each_series(data, bar_print, &b);
}

void query_print_graph(FILE *out, const json_t *data, int columns, int rows, bool colour)
{
    struct printer p;
    printer_init(&p, out, data);
    if (!p.is_matrix) {
        print_bars(&p, data, columns, colour);
        printer_deinit(&p);
        return;
    }
    struct canvas *c = arena_alloc_zero(&p.arena, 1, sizeof *c);
    struct arena canvas_arena = p.arena; /* the printer's arena is reset for each legend line */
    arena_init(&p.arena, MEM_OTHER, 0);
    columns -= 13; /* the axis */
    c->columns = columns < 20 ? 20 : columns > GRAPH_COLUMNS_MAX ? GRAPH_COLUMNS_MAX : columns;
    c->rows = rows < 4 ? 4 : rows > GRAPH_ROWS_MAX ? GRAPH_ROWS_MAX : rows;
    c->from = c->low = INFINITY;
    c->to = c->high = -INFINITY;
    each_series(data, measure, c);
    if (c->from > c->to || c->low > c->high) {
        fputs("no points to draw\n", out);
    } else {
        if (c->to == c->from)
            c->to = c->from + 1;
        if (c->high == c->low) {
            c->low -= fabs(c->low) * 0.1 + 1e-9;
            c->high += fabs(c->high) * 0.1 + 1e-9;
        }
        each_series(data, draw, c);
        print_canvas(out, c, colour);
        struct legend l = {&p, colour, 0};
        each_series(data, print_legend, &l);
        if (l.hidden)
            fprintf(out, "... and %zu more series\n", l.hidden);
    }
    printer_deinit(&p);
    arena_deinit(&canvas_arena);
}
