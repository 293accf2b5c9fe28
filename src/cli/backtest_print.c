/* SPDX-License-Identifier: Apache-2.0 */
/* backtest_print.c: for people. A line of blocks shows an alert over the span: a block is dark where it fired, light where
 * it was pending. */
#include "cli/backtest_print.h"

#include "base/duration.h"
#include "base/map.h"
#include "base/mem.h"
#include "cli/backtest_compare.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

enum { LABELS_COLUMNS = 40, DRAWING_COLUMNS_MIN = 24, DRAWING_COLUMNS_MAX = 400 };

static void print_duration(struct buffer *out, int64_t ms)
{
    char text[DURATION_TEXT_BYTES];
    buffer_append(out, text, duration_format(ms < 1000 ? ms : ms / 1000 * 1000, text));
}

static void print_time(struct buffer *out, int64_t ms)
{
    struct tm tm;
    char text[32];
    time_t seconds = (time_t)(ms / 1000 - (ms % 1000 < 0));
    if (gmtime_r(&seconds, &tm) && strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%SZ", &tm))
        buffer_append_view(out, view_from(text));
}

/* Text of others on a terminal: control characters would move its cursor. */
static void print_safe(struct buffer *out, struct view text)
{
    for (size_t i = 0; i < text.len; i++) {
        unsigned char c = (unsigned char)text.ptr[i];
        buffer_append_byte(out, c < 0x20 || c == 0x7f ? '?' : (char)c);
    }
}

/* --- the drawing --- */

enum cell { CELL_NONE, CELL_PENDING, CELL_FIRING };

static void draw(const struct backtest *b, const struct backtest_series *s, uint8_t *cells,
                 unsigned columns)
{
    double span = (double)(b->to_ms - b->from_ms);
    memset(cells, CELL_NONE, columns);
    for (size_t i = s->first; i < s->first + s->count; i++) {
        const struct backtest_episode *e = &b->episodes[i];
        int64_t from_ms, to_ms;
        bool fired = backtest_firing(b, e, &from_ms, &to_ms);
        int64_t active_ms = e->active_ms > b->from_ms ? e->active_ms : b->from_ms;
        int64_t end_ms = e->end_ms == RULE_NEVER || e->end_ms > b->to_ms ? b->to_ms : e->end_ms;
        unsigned first = (unsigned)((double)(active_ms - b->from_ms) / span * columns),
                 last = (unsigned)((double)(end_ms - b->from_ms) / span * columns),
                 fires =
                     fired ? (unsigned)((double)(from_ms - b->from_ms) / span * columns) : columns;
        for (unsigned c = first; c <= last && c < columns; c++) {
            uint8_t cell = c >= fires ? CELL_FIRING : CELL_PENDING;
            cells[c] = cell > cells[c] ? cell : cells[c];
        }
    }
}

static void print_cells(struct buffer *out, const uint8_t *cells, unsigned columns)
{
    static const char *const BLOCKS[] = {"\xc2\xb7", "\xe2\x96\x91", "\xe2\x96\x88"}; /* · ░ █ */
    for (unsigned c = 0; c < columns; c++)
        buffer_append_view(out, view_from(BLOCKS[cells[c]]));
}

/* The labels without the alert's name, cut to a width; blanks fill it. */
static void print_labels(struct buffer *out, struct labels ls, unsigned width)
{
    struct buffer text;
    struct arena arena;
    struct labels_builder b;
    arena_init(&arena, MEM_OTHER, 0);
    buffer_init(&text, MEM_OTHER, 1 << 20);
    labels_builder_init(&b, &arena);
    labels_builder_reset(&b, ls);
    labels_builder_delete(&b, VIEW("alertname"));
    labels_format_set(&text, labels_builder_finish(&b));
    size_t bytes = 0;
    unsigned shown = 0;
    for (; bytes < text.len; bytes++) { /* a character begins where no byte 10xxxxxx is */
        bool begins = ((unsigned char)text.ptr[bytes] & 0xc0) != 0x80;
        if (begins && shown == width && width)
            break;
        shown += begins;
    }
    print_safe(out, (struct view){text.ptr, bytes});
    for (; shown < width; shown++)
        buffer_append_byte(out, ' ');
    buffer_deinit(&text);
    arena_deinit(&arena);
}

/* --- a rule --- */

static void print_head(struct buffer *out, const struct backtest_rule *r)
{
    buffer_append_byte(out, '\n');
    print_safe(out, r->name);
    buffer_append_literal(out, " (group ");
    print_safe(out, r->group);
    buffer_append_literal(out, ", for ");
    print_duration(out, r->for_ms);
    if (r->keep_firing_for_ms) {
        buffer_append_literal(out, ", keep_firing_for ");
        print_duration(out, r->keep_firing_for_ms);
    }
    buffer_append_literal(out, ")\n");
}

static void print_hint(struct buffer *out, const char *field, const struct backtest_hint *h)
{
    if (!h->value_ms)
        return;
    buffer_printf(out, "  hint: %s: ", field);
    print_duration(out, h->value_ms);
    buffer_printf(out, " would fire %zu times and not flap\n", h->fired_count);
}

static void print_figures(struct buffer *out, const struct backtest_rule *r)
{
    if (r->failures) {
        buffer_printf(out, "  failed at %" PRIu64 " evaluations: ", r->failures);
        print_safe(out, view_from(r->first_failure));
        buffer_append_byte(out, '\n');
    }
    if (r->fired_count == 0) {
        buffer_append_literal(out, "  never fired");
    } else {
        buffer_printf(out, "  fired %zu time%s (%.3g per hour) in ", r->fired_count,
                      r->fired_count == 1 ? "" : "s", r->per_hour);
        print_duration(out, r->firing_ms);
        buffer_append_literal(out, " altogether, longest ");
        print_duration(out, r->longest_ms);
        if (r->shortest_gap_ms != RULE_NEVER) {
            buffer_append_literal(out, ", shortest gap ");
            print_duration(out, r->shortest_gap_ms);
        }
    }
    buffer_printf(out, "; %zu time%s pending only\n", r->pending_count,
                  r->pending_count == 1 ? "" : "s");
    if (r->most_in_hour >= BACKTEST_FLAPS)
        buffer_printf(out, "  flaps: one alert fires up to %zu times within an hour\n",
                      r->most_in_hour);
    print_hint(out, "for", &r->for_hint);
    print_hint(out, "keep_firing_for", &r->keep_hint);
}

static void print_drawings(struct buffer *out, const struct backtest *b,
                           const struct backtest_rule *r, unsigned columns, size_t limit)
{
    static uint8_t cells[DRAWING_COLUMNS_MAX];
    unsigned width = columns > LABELS_COLUMNS + DRAWING_COLUMNS_MIN + 12
                         ? columns - LABELS_COLUMNS - 12
                         : DRAWING_COLUMNS_MIN;
    width = width < DRAWING_COLUMNS_MAX ? width : DRAWING_COLUMNS_MAX;
    size_t shown = 0, hidden = 0;
    for (size_t i = r->first; i < r->first + r->count; i++) {
        const struct backtest_series *s = &b->series[i];
        if (s->count == 0)
            continue;
        if (limit && shown == limit) {
            hidden++;
            continue;
        }
        buffer_append_literal(out, "  ");
        print_labels(out, s->labels, LABELS_COLUMNS);
        buffer_append_byte(out, ' ');
        draw(b, s, cells, width);
        print_cells(out, cells, width);
        buffer_printf(out, " %zu\n", s->fired_count);
        shown++;
    }
    if (hidden)
        buffer_printf(out, "  ... and %zu more alerts (--limit)\n", hidden);
}

static void print_episodes(struct buffer *out, const struct backtest *b,
                           const struct backtest_rule *r, size_t limit)
{
    size_t shown = 0, hidden = 0;
    for (size_t s = r->first; s < r->first + r->count; s++) {
        for (size_t i = b->series[s].first; i < b->series[s].first + b->series[s].count; i++) {
            const struct backtest_episode *e = &b->episodes[i];
            int64_t from_ms, to_ms;
            if (!backtest_firing(b, e, &from_ms, &to_ms))
                continue;
            if (limit && shown == limit) {
                hidden++;
                continue;
            }
            buffer_append_literal(out, "    ");
            if (e->fired_ms < b->from_ms)
                buffer_append_literal(out, "before the span     ");
            else
                print_time(out, e->fired_ms);
            buffer_append_literal(out, "  ");
            if (e->end_ms == RULE_NEVER) {
                buffer_append_literal(out, "still firing");
            } else {
                buffer_append_literal(out, "for ");
                print_duration(out, to_ms - from_ms);
            }
            buffer_append_literal(out, "  ");
            print_labels(out, b->series[s].labels, 0);
            buffer_append_byte(out, '\n');
            shown++;
        }
    }
    if (hidden)
        buffer_printf(out, "    ... and %zu more (--limit)\n", hidden);
}

/* --- a version --- */

static void print_notifications(struct buffer *out, const struct notify_simulation *n)
{
    if (!n)
        return;
    buffer_printf(out, "\nnotifications (%" PRIu64 " groups of alerts):\n", n->groups);
    for (size_t i = 0; i < n->count; i++) {
        const struct simulated_integration *s = &n->items[i];
        buffer_append_literal(out, "  ");
        print_safe(out, s->receiver);
        buffer_printf(out,
                      " (%s): %" PRIu64 ", of these %" PRIu64 " repeated, %" PRIu64
                      " resolved; at most %" PRIu64 " within an hour\n",
                      s->kind, s->notifications, s->repeats, s->resolved, s->most_in_hour);
    }
    if (n->count == 0)
        buffer_append_literal(out, "  the receivers notify nobody\n");
}

static void print_version(struct buffer *out, const struct backtest_report *report,
                          unsigned columns, size_t limit)
{
    const struct backtest *b = report->result;
    print_safe(out, view_from(report->name));
    buffer_append_literal(out, ": ");
    print_time(out, b->from_ms);
    buffer_append_literal(out, " to ");
    print_time(out, b->to_ms);
    buffer_append_literal(out, " (");
    print_duration(out, b->to_ms - b->from_ms);
    buffer_printf(out, "), %zu alerting rules, %" PRIu64 " evaluations in %.1f s\n", b->rule_count,
                  b->evaluations, (double)report->took_ms / 1000);
    if (b->is_stepwise)
        buffer_append_literal(out,
                              "note: rules read themselves, ALERTS, or each other in a circle: "
                              "evaluated time by time\n");
    if (b->recording_failures) {
        buffer_printf(
            out, "warning: recordings failed at %" PRIu64 " evaluations: ", b->recording_failures);
        print_safe(out, view_from(b->recording_failure));
        buffer_append_byte(out, '\n');
    }
    for (size_t i = 0; i < b->rule_count; i++) {
        print_head(out, &b->rules[i]);
        print_figures(out, &b->rules[i]);
        print_drawings(out, b, &b->rules[i], columns, limit);
        print_episodes(out, b, &b->rules[i], limit);
    }
    print_notifications(out, report->notifications);
}

/* --- two versions --- */

static void print_differences(struct buffer *out, const struct backtest_report *report,
                              const struct backtest_report *other, size_t limit)
{
    struct backtest_comparison c;
    size_t shown = 0;
    backtest_compare(report->result, other->result, &c);
    buffer_append_literal(out, "\ndifferences of ");
    print_safe(out, view_from(report->name));
    buffer_append_literal(out, " to ");
    print_safe(out, view_from(other->name));
    buffer_append_literal(out, ":\n");
    for (size_t i = 0; i < c.rule_count; i++) {
        const struct rule_difference *r = &c.rules[i];
        buffer_append_literal(out, "  ");
        print_safe(out, r->name);
        if (!r->in_first || !r->in_second)
            buffer_printf(out, " is only in %s", r->in_first ? "the first" : "the second");
        buffer_printf(out, ": fired %zu times against %zu\n", r->first_fired, r->second_fired);
    }
    for (size_t i = 0; i < c.count; i++) {
        const struct episode_difference *d = &c.items[i];
        if (limit && shown++ >= limit)
            continue;
        const char *sign = d->second_ms == RULE_NEVER  ? "  - "
                           : d->first_ms == RULE_NEVER ? "  + "
                                                       : "  ~ ";
        buffer_append_view(out, view_from(sign));
        print_time(out, d->first_ms == RULE_NEVER ? d->second_ms : d->first_ms);
        buffer_append_literal(out, "  ");
        print_safe(out, labels_get(d->labels, VIEW("alertname")));
        print_labels(out, d->labels, 0);
        if (d->first_ms == RULE_NEVER) {
            buffer_append_literal(out, " fires in the second only");
        } else if (d->second_ms == RULE_NEVER) {
            buffer_append_literal(out, " fires in the first only");
        } else {
            int64_t by_ms = d->second_ms - d->first_ms;
            buffer_append_literal(out, " fires ");
            print_duration(out, by_ms < 0 ? -by_ms : by_ms);
            buffer_printf(out, " %s in the second", by_ms < 0 ? "earlier" : "later");
        }
        buffer_append_byte(out, '\n');
    }
    if (limit && c.count > limit)
        buffer_printf(out, "  ... and %zu more (--limit)\n", c.count - limit);
    if (c.count == 0)
        buffer_append_literal(out, "  every alert fires at the same times\n");
    backtest_comparison_deinit(&c);
}

void backtest_print_text(struct buffer *out, const struct backtest_report *report,
                         const struct backtest_report *other, unsigned columns, size_t limit)
{
    print_version(out, report, columns, limit);
    if (!other)
        return;
    buffer_append_byte(out, '\n');
    print_version(out, other, columns, limit);
    print_differences(out, report, other, limit);
}
