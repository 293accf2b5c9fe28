/* SPDX-License-Identifier: Apache-2.0 */
/* exemplar.h: an example of what a sample counts, with labels that lead to it (a trace id). */
#ifndef BELFRY_MODEL_EXEMPLAR_H
#define BELFRY_MODEL_EXEMPLAR_H

#include "model/labels.h"

#include <stdbool.h>
#include <stdint.h>

/* Characters (code points) of all names and values of its labels together, as OpenMetrics has it. */
enum { EXEMPLAR_CHARACTERS_MAX = 128 };

struct exemplar {
    struct labels labels; /* borrowed */
    double value;
    int64_t timestamp_ms; /* the sample's when it has none of its own */
    bool has_timestamp;   /* it has one of its own */
};

#endif
