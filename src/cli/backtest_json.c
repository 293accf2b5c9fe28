/* SPDX-License-Identifier: Apache-2.0 */
/* backtest_json.c: the report for programs. Times are RFC 3339, durations seconds.
 *
 *   {"from", "to", "evaluations", "rules": [{"file", "group", "name", "for", "keepFiringFor", "fired", "pendingOnly",
 *     "firingSeconds", "longestSeconds", "shortestGapSeconds", "firedPerHour", "mostWithinHour", "flaps", "hints",
 *     "failures", "firstFailure", "alerts": [{"labels", "episodes": [{"activeAt", "firedAt", "endedAt"}]}]}],
 *     "notifications": {"groups", "integrations": [...]}, "against": the same, "differences": {...}}
 *
 * What did not happen is null. */
#include "base/json_write.h"
#include "cli/backtest_compare.h"
#include "cli/backtest_print.h"

#include <inttypes.h>
#include <stdio.h>
#include <time.h>

static void key(struct buffer *b, const char *name)
{
    if (b->len && b->ptr[b->len - 1] != '{')
        buffer_append_byte(b, ',');
    json_string(b, view_from(name));
    buffer_append_byte(b, ':');
}

static void number(struct buffer *b, const char *name, double v)
{
    key(b, name);
    json_number(b, v);
}

static void text(struct buffer *b, const char *name, struct view v)
{
    key(b, name);
    json_string(b, v);
}

static void time_of(struct buffer *b, const char *name, int64_t ms)
{
    struct tm tm;
    char out[48];
    time_t seconds = (time_t)(ms / 1000 - (ms % 1000 < 0));
    key(b, name);
    if (ms == RULE_NEVER || !gmtime_r(&seconds, &tm)) {
        buffer_append_literal(b, "null");
        return;
    }
    size_t len = strftime(out, sizeof out, "%Y-%m-%dT%H:%M:%S", &tm);
    int64_t rest = ms - (int64_t)seconds * 1000;
    if (rest)
        len += (size_t)snprintf(out + len, sizeof out - len, ".%03d", (int)rest);
    out[len++] = 'Z';
    json_string(b, (struct view){out, len});
}

static void boolean(struct buffer *b, const char *name, bool v)
{
    key(b, name);
    buffer_append_view(b, view_from(v ? "true" : "false"));
}

static void labels_of(struct buffer *b, struct labels ls)
{
    key(b, "labels");
    buffer_append_byte(b, '{');
    for (uint32_t i = 0; i < ls.count; i++) {
        if (i)
            buffer_append_byte(b, ',');
        json_string(b, ls.items[i].name);
        buffer_append_byte(b, ':');
        json_string(b, ls.items[i].value);
    }
    buffer_append_byte(b, '}');
}

/* An element of a list begins. */
static void element(struct buffer *b, bool first)
{
    if (!first)
        buffer_append_byte(b, ',');
    buffer_append_byte(b, '{');
}

static void hint(struct buffer *b, const char *name, const struct backtest_hint *h)
{
    if (!h->value_ms)
        return;
    key(b, name);
    buffer_append_byte(b, '{');
    number(b, "seconds", (double)h->value_ms / 1000);
    number(b, "fired", (double)h->fired_count);
    buffer_append_byte(b, '}');
}

static void alerts_of(struct buffer *b, const struct backtest *t, const struct backtest_rule *r)
{
    key(b, "alerts");
    buffer_append_byte(b, '[');
    bool first = true;
    for (size_t s = r->first; s < r->first + r->count; s++) {
        if (t->series[s].count == 0)
            continue;
        element(b, first);
        first = false;
        labels_of(b, t->series[s].labels);
        key(b, "episodes");
        buffer_append_byte(b, '[');
        for (size_t i = 0; i < t->series[s].count; i++) {
            const struct backtest_episode *e = &t->episodes[t->series[s].first + i];
            element(b, i == 0);
            time_of(b, "activeAt", e->active_ms);
            time_of(b, "firedAt", e->fired_ms);
            time_of(b, "endedAt", e->end_ms);
            buffer_append_byte(b, '}');
        }
        buffer_append_literal(b, "]}");
    }
    buffer_append_byte(b, ']');
}

static void rule_of(struct buffer *b, const struct backtest *t, const struct backtest_rule *r)
{
    text(b, "file", r->file);
    text(b, "group", r->group);
    text(b, "name", r->name);
    number(b, "for", (double)r->for_ms / 1000);
    number(b, "keepFiringFor", (double)r->keep_firing_for_ms / 1000);
    number(b, "interval", (double)r->interval_ms / 1000);
    number(b, "fired", (double)r->fired_count);
    number(b, "pendingOnly", (double)r->pending_count);
    number(b, "firingSeconds", (double)r->firing_ms / 1000);
    number(b, "longestSeconds", (double)r->longest_ms / 1000);
    key(b, "shortestGapSeconds");
    if (r->shortest_gap_ms == RULE_NEVER)
        buffer_append_literal(b, "null");
    else
        json_number(b, (double)r->shortest_gap_ms / 1000);
    number(b, "firedPerHour", r->per_hour);
    number(b, "mostWithinHour", (double)r->most_in_hour);
    boolean(b, "flaps", r->most_in_hour >= BACKTEST_FLAPS);
    key(b, "hints");
    buffer_append_byte(b, '{');
    hint(b, "for", &r->for_hint);
    hint(b, "keepFiringFor", &r->keep_hint);
    buffer_append_byte(b, '}');
    number(b, "failures", (double)r->failures);
    if (r->first_failure)
        text(b, "firstFailure", view_from(r->first_failure));
    alerts_of(b, t, r);
}

static void notifications_of(struct buffer *b, const struct notify_simulation *n)
{
    key(b, "notifications");
    buffer_append_byte(b, '{');
    number(b, "groups", (double)n->groups);
    key(b, "integrations");
    buffer_append_byte(b, '[');
    for (size_t i = 0; i < n->count; i++) {
        const struct simulated_integration *s = &n->items[i];
        element(b, i == 0);
        text(b, "receiver", s->receiver);
        text(b, "kind", view_from(s->kind));
        number(b, "notifications", (double)s->notifications);
        number(b, "repeats", (double)s->repeats);
        number(b, "resolved", (double)s->resolved);
        number(b, "mostWithinHour", (double)s->most_in_hour);
        buffer_append_byte(b, '}');
    }
    buffer_append_literal(b, "]}");
}

static void version_of(struct buffer *b, const struct backtest_report *report)
{
    const struct backtest *t = report->result;
    text(b, "name", view_from(report->name));
    time_of(b, "from", t->from_ms);
    time_of(b, "to", t->to_ms);
    number(b, "evaluations", (double)t->evaluations);
    if (t->recording_failures) {
        number(b, "recordingFailures", (double)t->recording_failures);
        text(b, "firstRecordingFailure", view_from(t->recording_failure));
    }
    key(b, "rules");
    buffer_append_byte(b, '[');
    for (size_t i = 0; i < t->rule_count; i++) {
        element(b, i == 0);
        rule_of(b, t, &t->rules[i]);
        buffer_append_byte(b, '}');
    }
    buffer_append_byte(b, ']');
    if (report->notifications)
        notifications_of(b, report->notifications);
}

static void differences_of(struct buffer *b, const struct backtest_report *report,
                           const struct backtest_report *other)
{
    struct backtest_comparison c;
    backtest_compare(report->result, other->result, &c);
    key(b, "differences");
    buffer_append_byte(b, '{');
    key(b, "rules");
    buffer_append_byte(b, '[');
    for (size_t i = 0; i < c.rule_count; i++) {
        element(b, i == 0);
        text(b, "name", c.rules[i].name);
        boolean(b, "inFirst", c.rules[i].in_first);
        boolean(b, "inSecond", c.rules[i].in_second);
        number(b, "firstFired", (double)c.rules[i].first_fired);
        number(b, "secondFired", (double)c.rules[i].second_fired);
        buffer_append_byte(b, '}');
    }
    buffer_append_byte(b, ']');
    key(b, "alerts");
    buffer_append_byte(b, '[');
    for (size_t i = 0; i < c.count; i++) {
        element(b, i == 0);
        labels_of(b, c.items[i].labels);
        time_of(b, "firstFiredAt", c.items[i].first_ms);
        time_of(b, "secondFiredAt", c.items[i].second_ms);
        buffer_append_byte(b, '}');
    }
    buffer_append_literal(b, "]}");
    backtest_comparison_deinit(&c);
}

void backtest_print_json(struct buffer *out, const struct backtest_report *report,
                         const struct backtest_report *other)
{
    buffer_append_byte(out, '{');
    version_of(out, report);
    if (other) {
        key(out, "against");
        buffer_append_byte(out, '{');
        version_of(out, other);
        buffer_append_byte(out, '}');
        differences_of(out, report, other);
    }
    buffer_append_literal(out, "}\n");
}
