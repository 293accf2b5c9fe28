/* SPDX-License-Identifier: Apache-2.0 */
/* rule_text.h: labels and annotations of alerting rules, which are templates: parsed once, written for each alert with
 * $labels, $value, $externalLabels and $externalURL. */
#ifndef BELFRY_RULES_RULE_TEXT_H
#define BELFRY_RULES_RULE_TEXT_H

#include "base/arena.h"
#include "base/attributes.h"
#include "base/error.h"
#include "model/labels.h"
#include "rules/rule_env.h"

#include <stdbool.h>

struct rule;
struct rule_text;

/* Parses the template of a rule of this name. Text without an action needs none: *out is NULL then. On success the
 * caller owns *out; it borrows nothing. ERROR_INPUT with Go's words. */
MUST_USE bool rule_text_new(struct rule_text **out, struct view rule_name, struct view text,
                            struct error *err);
void rule_text_free(struct rule_text *t); /* NULL does nothing */
/* May it ask for series? (It calls query.) */
bool rule_text_queries(struct view text);

/* What all texts of one evaluation may take together, beside the limits of each: bytes of what they came to, and steps
 * (template.h), which are time. Chosen: a thousand alerts with a page of text each, a few seconds. */
enum { RULE_TEXT_BYTES_MAX = 64 << 20, RULE_TEXT_STEPS_MAX = 100000000 };
struct rule_text_use {
    size_t bytes;
    uint64_t steps;
};

/* What one alert's texts see. Borrowed during the call. */
struct rule_text_data {
    const struct rule_env *env;
    struct rule *rule; /* whose queries these are, so that they can be cancelled; NULL = nobody's */
    struct arena *scratch;     /* for values on the way: each text begins with it empty */
    struct rule_text_use *use; /* of this evaluation */
    int64_t time_ms;
    struct labels labels; /* of the sample, its name included */
    double value;
};

/* The text, in the arena (which is not data->scratch). What fails is said in the text, as Prometheus does; *failed is then true. `raw` is what
 * rule_text_new() was given, and the result where `t` is NULL. */
struct view rule_text_expand(const struct rule_text *t, struct view raw,
                             const struct rule_text_data *data, struct arena *arena, bool *failed);

#endif
