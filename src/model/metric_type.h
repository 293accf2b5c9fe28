/* SPDX-License-Identifier: Apache-2.0 */
/* metric_type.h: what TYPE says of a metric family. */
#ifndef BELFRY_MODEL_METRIC_TYPE_H
#define BELFRY_MODEL_METRIC_TYPE_H

#include "base/view.h"

#define METRIC_TYPES(X)                                                                            \
    X(METRIC_UNKNOWN, "unknown")                                                                   \
    X(METRIC_COUNTER, "counter")                                                                   \
    X(METRIC_GAUGE, "gauge")                                                                       \
    X(METRIC_HISTOGRAM, "histogram")                                                               \
    X(METRIC_GAUGE_HISTOGRAM, "gaugehistogram")                                                    \
    X(METRIC_SUMMARY, "summary")                                                                   \
    X(METRIC_INFO, "info")                                                                         \
    X(METRIC_STATESET, "stateset")

enum metric_type {
#define X(id, name) id,
    METRIC_TYPES(X)
#undef X
        METRIC_TYPE_COUNT
};

/* Static text, as the API shows it. */
const char *metric_type_name(enum metric_type type);
/* "untyped" is METRIC_UNKNOWN. False when the word is no type. */
bool metric_type_parse(struct view word, enum metric_type *out);

/* What HELP, TYPE and UNIT said of a family. Borrowed. */
struct metric_metadata {
    struct view family, help, unit;
    enum metric_type type;
};

#endif
