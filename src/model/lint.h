/* SPDX-License-Identifier: Apache-2.0 */
/* lint.h: advice on an exposition: the rules of `promtool check metrics`, in its words. */
#ifndef BELFRY_MODEL_LINT_H
#define BELFRY_MODEL_LINT_H

#include "base/arena.h"
#include "base/attributes.h"
#include "base/error.h"
#include "base/view.h"

#include <stdbool.h>
#include <stddef.h>

enum { LINT_PROBLEMS_MAX = 100000 };

struct lint_problem {
    struct view metric; /* the family's name */
    struct view text;
};

struct lint_report {
    const struct lint_problem *items; /* sorted by metric, then text; borrowed from the arena */
    size_t count;
};

/* Reads the text format 0.0.4. ERROR_INPUT (with the line) when it is none, ERROR_LIMIT for more than
 * LINT_PROBLEMS_MAX problems. `body` is borrowed by the report. */
MUST_USE bool lint_exposition(struct arena *arena, struct view body, struct lint_report *out,
                              struct error *err);

#endif
