/* SPDX-License-Identifier: Apache-2.0 */
/* rule_restore.h: since when alerts were pending before a restart, by ALERTS_FOR_STATE, as Prometheus restores it: for
 * servers whose state.db does not know (new, lost, or data that another server wrote). */
#ifndef BELFRY_RULES_RULE_RESTORE_H
#define BELFRY_RULES_RULE_RESTORE_H

#include "rules/rule_group.h"

/* When an alert that was pending or firing since since_ms until down_ms, when the server went down, counts as active
 * since at now_ms; hold_ms is its `for`. */
int64_t rule_active_since(int64_t since_ms, int64_t down_ms, int64_t now_ms, int64_t hold_ms,
                          int64_t grace_ms);
/* After evaluations at now_ms: alerts that are active get their time back, and all rules write ALERTS from now on.
 * Data older than tolerance_ms counts for nothing; who was not done before waits grace_ms at least. Evaluating
 * thread. False when data could not be read: rules are restored all the same. */
MUST_USE bool rule_group_restore(struct rule_group *g, const struct rule_env *env, int64_t now_ms,
                                 int64_t tolerance_ms, int64_t grace_ms, struct error *err);

#endif
