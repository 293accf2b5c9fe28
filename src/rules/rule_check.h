/* SPDX-License-Identifier: Apache-2.0 */
/* rule_check.h: belfry check rules, with promtool's words: is a rule file right, and does it say things twice? */
#ifndef BELFRY_RULES_RULE_CHECK_H
#define BELFRY_RULES_RULE_CHECK_H

#include "base/buffer.h"
#include "rules/rule_file.h"

struct rule_check_options {
    struct rule_file_options file;
    bool lint_duplicates;
};

struct rule_check_report {
    bool has_errors; /* files that a server refuses */
    bool has_lints;  /* what the lint found */
};

/* Checks one file; `path` NULL: `text`, which came on standard input. Verdicts go to `out`, what is wrong to `errors`.
 * Adds to *report (zero it first). */
void rule_check(const char *path, struct view text, const struct rule_check_options *opts,
                struct buffer *out, struct buffer *errors, struct rule_check_report *report);

#endif
