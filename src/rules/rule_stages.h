/* SPDX-License-Identifier: Apache-2.0 */
/* rule_stages.h: which rules of a group may be evaluated before any of them is written. */
#ifndef BELFRY_RULES_RULE_STAGES_H
#define BELFRY_RULES_RULE_STAGES_H

#include "rules/rule_file.h"

/* Rules of a stage are evaluated before it is written, and their results kept meanwhile. */
enum { RULE_STAGE_MAX = 1000 };

/* How many of the rules from `first` on read nothing that an earlier one of them writes; at least 1 (first <
 * g->rule_count). */
size_t rule_stage_length(const struct rule_group_definition *g, size_t first);

#endif
