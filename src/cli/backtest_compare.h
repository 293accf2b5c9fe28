/* SPDX-License-Identifier: Apache-2.0 */
/* backtest_compare.h: what two versions of rules would have done differently on the same history. */
#ifndef BELFRY_CLI_BACKTEST_COMPARE_H
#define BELFRY_CLI_BACKTEST_COMPARE_H

#include "rules/backtest.h"

/* Alerts of one name, in both. */
struct rule_difference {
    struct view name;
    bool in_first, in_second;
    size_t first_fired, second_fired;
};

/* A firing that the other version does not have, or has at another time. Two firings of the same labels are the same one
 * when they overlap. */
struct episode_difference {
    struct labels labels;
    int64_t first_ms, second_ms; /* when it fired; RULE_NEVER: not in that version */
};

/* Borrows from both backtests. */
struct backtest_comparison {
    struct rule_difference *rules;
    size_t rule_count;
    struct episode_difference *items; /* ascending by time */
    size_t count, capacity;
};

void backtest_compare(const struct backtest *first, const struct backtest *second,
                      struct backtest_comparison *out);
void backtest_comparison_deinit(struct backtest_comparison *c);

#endif
