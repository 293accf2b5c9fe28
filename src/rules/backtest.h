/* SPDX-License-Identifier: Apache-2.0 */
/* backtest.h: when would the alerts of rule files have fired on the history that is there? Rules are evaluated by
 * rule_replay.h, that is by the code that evaluates them in a server; here it is noted what became of each alert.
 *
 * An episode is one life of one alert: active (pending), perhaps firing, ended. One thread. */
#ifndef BELFRY_RULES_BACKTEST_H
#define BELFRY_RULES_BACKTEST_H

#include "rules/rule_replay.h"

enum {
    BACKTEST_EPISODES_MAX = 1000000, /* 32 bytes each; beyond it: ERROR_LIMIT */
    BACKTEST_FLAPS = 3               /* so many times within an hour an alert flaps. Chosen */
};

struct backtest_episode {
    uint32_t series;
    int64_t active_ms;
    int64_t fired_ms; /* RULE_NEVER: it did not */
    int64_t end_ms;   /* RULE_NEVER: it was there at the end */
};

/* One alert: a label set of a rule. */
struct backtest_series {
    uint32_t rule;
    struct labels labels;
    size_t first, count; /* of the episodes */
    size_t fired_count;
};

/* What another setting would have given. */
struct backtest_hint {
    int64_t value_ms; /* 0: none helps, or none is needed */
    size_t fired_count;
};

struct backtest_rule {
    struct view file, group, name;
    int64_t for_ms, keep_firing_for_ms, interval_ms;
    size_t first, count;           /* of the series */
    size_t fired_count;            /* episodes that fired */
    size_t pending_count;          /* ... that ended before */
    int64_t firing_ms, longest_ms; /* all of them together, the longest; within the span */
    int64_t
        shortest_gap_ms; /* from an end to the next firing of the same alert; RULE_NEVER: none */
    size_t most_in_hour; /* of one alert */
    double per_hour;     /* episodes that fired */
    struct backtest_hint
        for_hint; /* the shortest `for` with which nothing flaps, when something does */
    struct backtest_hint keep_hint; /* likewise keep_firing_for */
    uint64_t failures;              /* evaluations that failed */
    char *first_failure;            /* NULL: none */
};

struct backtest {
    int64_t from_ms, to_ms;
    struct backtest_rule *rules; /* in the order of the files */
    size_t rule_count;
    struct backtest_series *series; /* by rule, then labels */
    size_t series_count;
    struct backtest_episode
        *episodes; /* by series, then time; those that end before from_ms are left out */
    size_t episode_count;
    uint64_t evaluations;
    uint64_t recording_failures; /* of what alerting rules need */
    char *recording_failure;     /* the first; NULL: none */
    bool is_stepwise;
    struct arena arena; /* of it all */
};

struct backtest_options {
    /* what, start, end, evaluated, failed and arg are set by the backtest; start_ms and end_ms say the span. */
    struct rule_replay_options replay;
    void (*progress)(void *arg, uint64_t done, uint64_t total); /* may be NULL */
    void *progress_arg;
};

/* ERROR_INPUT: no alerting rules; ERROR_LIMIT; ERROR_IO and such from who answers. Failures of a rule are in the report. */
MUST_USE bool backtest_run(struct backtest **out, const struct backtest_options *opts,
                           struct error *err);
void backtest_free(struct backtest *b); /* NULL does nothing */

/* Firing within the span: from when to when. False: it did not fire there. */
bool backtest_firing(const struct backtest *b, const struct backtest_episode *e, int64_t *from_ms,
                     int64_t *to_ms);

/* backtest_stats.c: fills in what a rule's episodes say of it. */
void backtest_count(struct backtest *b);

#endif
