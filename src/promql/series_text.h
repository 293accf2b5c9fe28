/* SPDX-License-Identifier: Apache-2.0 */
/* series_text.h: a series and its values in one line, as .test scripts and unit tests of rules have them:
 *
 *   metric{a="b"} 1 2 _ 3+1x4 -5x2 _x3 stale NaN {{schema:1 sum:3 count:22 buckets:[5 10 7]}}x2
 */
#ifndef BELFRY_PROMQL_SERIES_TEXT_H
#define BELFRY_PROMQL_SERIES_TEXT_H

#include "base/arena.h"
#include "base/attributes.h"
#include "base/error.h"
#include "base/view.h"
#include "model/labels.h"

#include <stdbool.h>
#include <stddef.h>

/* A line may stand for so many values: enough for a year of minutes. */
enum { SERIES_TEXT_VALUES_MAX = 1 << 20 };

enum series_value_kind {
    SERIES_VALUE_NONE,     /* _ */
    SERIES_VALUE_FLOAT,    /* stale is the stale marker */
    SERIES_VALUE_HISTOGRAM /* read and checked; its content comes with native histograms */
};

struct series_value {
    enum series_value_kind kind;
    double value;
};

struct series_text {
    struct labels labels;
    struct series_value *values;
    size_t count;
    bool has_histogram;
};

/* Everything is in the arena. ERROR_INPUT with the column. */
MUST_USE bool series_text_parse(struct arena *arena, struct view line, struct series_text *out,
                                struct error *err);
/* Only metric{a="b"}; the whole text must be used. */
MUST_USE bool series_text_parse_metric(struct arena *arena, struct view text, struct labels *out,
                                       struct error *err);

#endif
