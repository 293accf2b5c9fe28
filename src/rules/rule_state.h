/* SPDX-License-Identifier: Apache-2.0 */
/* rule_state.h: alerts in state.db, so that a restart goes on where it was: pending ones keep their time, firing ones do not
 * fire anew, resolved ones are told. A thread of its own writes; who evaluates only copies. While the database
 * cannot be written rules go on from memory, and the last state of each rule is tried again. */
#ifndef BELFRY_RULES_RULE_STATE_H
#define BELFRY_RULES_RULE_STATE_H

#include "base/attributes.h"
#include "base/error.h"
#include "rules/rule_group.h"

struct rule_state;

/* Opens nothing: the database is made with the first alert. Borrows `dir`. */
struct rule_state *rule_state_new(const char *dir,
                                  void (*log)(void *arg, bool is_error, const char *event,
                                              const char *text),
                                  void *log_arg);
MUST_USE bool rule_state_start(struct rule_state *s, struct error *err);
/* Writes what waits, once, and ends the thread. NULL is fine. */
void rule_state_free(struct rule_state *s);

/* Reads everything. *known: a process before kept its alerts here. What was pending longer ago than tolerance_ms is
 * forgotten. Not there: nothing is known, and that is no error. */
MUST_USE bool rule_state_load(struct rule_state *s, int64_t tolerance_ms, bool *known,
                              struct error *err);
/* Gives the rules of a group what was loaded of them; how long the server was down does not count for `for`, with
 * grace_ms as in rule_group_restore(). Before its first evaluation. Rules that nothing is known of are left to
 * rule_group_restore(): they are marked so, and the result is false. */
bool rule_state_give(struct rule_state *s, struct rule_group *g, int64_t grace_ms);
/* Forgets what was loaded and given to no rule: a rule that comes later is another one. */
void rule_state_drop_orphans(struct rule_state *s);
/* Frees what was loaded. */
void rule_state_forget_loaded(struct rule_state *s);

/* Notes the alerts of rules where something changed since the last time. Evaluating thread. */
void rule_state_save(struct rule_state *s, struct rule_group *g);
/* A group is no more: forgets its alerts, but for rules that its successor has (NULL = none). */
void rule_state_drop(struct rule_state *s, struct rule_group *g,
                     const struct rule_group *successor);
/* Any thread. */
uint64_t rule_state_failures(struct rule_state *s);

#endif
