/* SPDX-License-Identifier: Apache-2.0 */
/* backtest_print.h: what `belfry backtest` found, for people and as JSON; with another version of the rules beside it. */
#ifndef BELFRY_CLI_BACKTEST_PRINT_H
#define BELFRY_CLI_BACKTEST_PRINT_H

#include "alerting/notify_simulation.h"
#include "base/buffer.h"
#include "rules/backtest.h"

struct backtest_report {
    const char *name; /* of the first file */
    const struct backtest *result;
    int64_t took_ms;
    const struct notify_simulation *notifications; /* NULL: there is no configuration */
};

/* `other` (may be NULL) is the version that --against names. `columns` of the terminal; `limit` of alerts and episodes
 * shown of a rule, 0 = all. */
void backtest_print_text(struct buffer *out, const struct backtest_report *report,
                         const struct backtest_report *other, unsigned columns, size_t limit);
void backtest_print_json(struct buffer *out, const struct backtest_report *report,
                         const struct backtest_report *other);

#endif
