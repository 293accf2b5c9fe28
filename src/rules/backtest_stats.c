/* SPDX-License-Identifier: Apache-2.0 */
/* backtest_stats.c: how often, how long, whether it flaps, and which `for` or keep_firing_for would have ended that. When
 * the condition of an alert held does not depend on these two, so that other values are tried on the same episodes:
 * an alert fires when its condition held for so long, and goes on while a gap is shorter than it is kept. */
#include "rules/backtest.h"

#define MINUTE_MS (INT64_C(60) * 1000)
#define HOUR_MS (INT64_C(60) * MINUTE_MS)

/* What a person would write. */
static const int64_t LADDER_MS[] = {1 * MINUTE_MS,  2 * MINUTE_MS,  3 * MINUTE_MS,  5 * MINUTE_MS,
                                    10 * MINUTE_MS, 15 * MINUTE_MS, 20 * MINUTE_MS, 30 * MINUTE_MS,
                                    45 * MINUTE_MS, HOUR_MS,        2 * HOUR_MS,    3 * HOUR_MS,
                                    6 * HOUR_MS,    12 * HOUR_MS};

/* Firings of one alert, counted as they come. */
struct firings {
    size_t count, most_in_hour;
    int64_t recent_ms[BACKTEST_FLAPS]; /* the latest ones, a ring */
};

static void note_firing(struct firings *f, int64_t time_ms)
{
    f->recent_ms[f->count % BACKTEST_FLAPS] = time_ms;
    f->count++;
    size_t known = f->count < BACKTEST_FLAPS ? f->count : BACKTEST_FLAPS, within = 0;
    for (size_t i = 0; i < known; i++)
        within += time_ms - f->recent_ms[i] <= HOUR_MS;
    f->most_in_hour = within > f->most_in_hour ? within : f->most_in_hour;
}

/* The alert's firings with other settings. */
static void try_settings(const struct backtest *b, const struct backtest_series *s,
                         int64_t interval_ms, int64_t for_ms, int64_t keep_ms, struct firings *out)
{
    int64_t kept_until_ms = INT64_MIN;
    for (size_t i = s->first; i < s->first + s->count; i++) {
        const struct backtest_episode *e = &b->episodes[i];
        int64_t end_ms = e->end_ms == RULE_NEVER ? b->to_ms + interval_ms : e->end_ms;
        bool goes_on = e->active_ms < kept_until_ms;
        if (!goes_on && end_ms - interval_ms - e->active_ms < for_ms)
            continue;
        if (!goes_on)
            note_firing(out, e->active_ms + for_ms);
        kept_until_ms = end_ms + keep_ms;
    }
}

/* How many times the rule would have fired; false: something would still flap. */
static bool try_rule(const struct backtest *b, const struct backtest_rule *r, int64_t for_ms,
                     int64_t keep_ms, size_t *count)
{
    *count = 0;
    for (size_t i = r->first; i < r->first + r->count; i++) {
        struct firings f = {0};
        try_settings(b, &b->series[i], r->interval_ms, for_ms, keep_ms, &f);
        if (f.most_in_hour >= BACKTEST_FLAPS)
            return false;
        *count += f.count;
    }
    return *count > 0;
}

static void find_hints(const struct backtest *b, struct backtest_rule *r)
{
    size_t count;
    for (size_t i = 0; i < ARRAY_COUNT(LADDER_MS); i++) {
        int64_t ms = LADDER_MS[i];
        if (!r->for_hint.value_ms && ms > r->for_ms &&
            try_rule(b, r, ms, r->keep_firing_for_ms, &count))
            r->for_hint = (struct backtest_hint){ms, count};
        if (!r->keep_hint.value_ms && ms > r->keep_firing_for_ms &&
            try_rule(b, r, r->for_ms, ms, &count))
            r->keep_hint = (struct backtest_hint){ms, count};
    }
}

static bool is_within_hour(const struct backtest *b, const struct backtest_episode *before,
                           const struct backtest_episode *e)
{
    int64_t from_ms, to_ms;
    return backtest_firing(b, before, &from_ms, &to_ms) &&
           e->fired_ms - before->fired_ms <= HOUR_MS;
}

static void count_series(const struct backtest *b, struct backtest_rule *r,
                         struct backtest_series *s)
{
    int64_t ended_ms = RULE_NEVER, from_ms, to_ms;
    size_t hour = s->first, in_hour = 0; /* the first episode, and firings, of the hour before */
    for (size_t i = s->first; i < s->first + s->count; i++) {
        const struct backtest_episode *e = &b->episodes[i];
        if (!backtest_firing(b, e, &from_ms, &to_ms)) {
            r->pending_count++;
            continue;
        }
        s->fired_count++;
        in_hour++;
        for (; hour < i && !is_within_hour(b, &b->episodes[hour], e); hour++)
            in_hour -= backtest_firing(b, &b->episodes[hour], &from_ms, &to_ms);
        (void)backtest_firing(b, e, &from_ms, &to_ms);
        r->most_in_hour = in_hour > r->most_in_hour ? in_hour : r->most_in_hour;
        r->firing_ms += to_ms - from_ms;
        r->longest_ms = to_ms - from_ms > r->longest_ms ? to_ms - from_ms : r->longest_ms;
        int64_t gap_ms = ended_ms == RULE_NEVER ? INT64_MAX : e->fired_ms - ended_ms;
        if (gap_ms != INT64_MAX &&
            (r->shortest_gap_ms == RULE_NEVER || gap_ms < r->shortest_gap_ms))
            r->shortest_gap_ms = gap_ms;
        ended_ms = e->end_ms;
    }
    r->fired_count += s->fired_count;
}

void backtest_count(struct backtest *b)
{
    for (size_t i = 0; i < b->rule_count; i++) {
        struct backtest_rule *r = &b->rules[i];
        r->shortest_gap_ms = RULE_NEVER;
        for (size_t s = r->first; s < r->first + r->count; s++)
            count_series(b, r, &b->series[s]);
        int64_t span_ms = b->to_ms - b->from_ms;
        r->per_hour = span_ms > 0 ? (double)r->fired_count * (double)HOUR_MS / (double)span_ms : 0;
        if (r->most_in_hour >= BACKTEST_FLAPS)
            find_hints(b, r);
    }
}
