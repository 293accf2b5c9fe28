/* SPDX-License-Identifier: Apache-2.0 */
/* rule_write.h: what the rules of a stage gave becomes a row, and series that are given no more end. Used by
 * rule_group.c only. */
#ifndef BELFRY_RULES_RULE_WRITE_H
#define BELFRY_RULES_RULE_WRITE_H

#include "rules/rule_group.h"

/* Rules whose samples could not be written are failing, and say why. `wait`: until the row, and the ends of series that
 * the rules wrote before a reload, can be read: the next stage must not count a series under its old and new labels. */
void rule_write_stage(struct rule_group *g, const struct rule_run *run, struct rule_stage *stage,
                      int64_t time_ms, bool wait);
/* Ends the series of rules that are gone, once, after the first evaluation without them. */
void rule_write_orphans(struct rule_group *g, int64_t time_ms, bool wait);

#endif
