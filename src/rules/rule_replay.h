/* SPDX-License-Identifier: Apache-2.0 */
/* rule_replay.h: rules evaluated over a span of the past by the same code that evaluates them in a server: for the
 * backtest of alerts and for recordings that are to be filled in. What rules record goes to memory, where rules that
 * read it find it, in place of what history has under that name.
 *
 * Time goes chunk by chunk, in a chunk stage by stage, in a stage time by time; so that an expression's answers for many
 * times come from one query (rule_ranges.h). That is what a server does step by step as long as a rule reads only what
 * was written before it in this order; where one does not (it reads itself, ALERTS, or groups read each other in a
 * circle) chunks are one evaluation long, which is slow and right. One thread. */
#ifndef BELFRY_RULES_RULE_REPLAY_H
#define BELFRY_RULES_RULE_REPLAY_H

#include "rules/rule_group.h"
#include "rules/rule_ranges.h"
#include "storage/memory_source.h"

struct rule_replay;

enum replay_what {
    REPLAY_ALERTS,    /* alerting rules, and the recordings that they need */
    REPLAY_RECORDINGS /* recordings only */
};

struct rule_replay_options {
    enum replay_what what;
    struct rule_file *const *files; /* borrowed until rule_replay_free() */
    size_t file_count;
    struct storage_source *history;
    struct engine_options engine;
    struct labels external_labels;
    int64_t start_ms, end_ms;    /* evaluations are in [start_ms, end_ms] */
    int64_t default_interval_ms; /* of groups that say none */
    int64_t interval_ms;         /* of all groups, whatever they say; 0 = theirs */
    int64_t chunk_ms;            /* 0 = a day; chunks begin at multiples of it */
    /* Evaluate at multiples of the interval, so that versions of rules in different files see the same times; else at the
     * times of a server with these files. */
    bool at_multiples;
    /* Who answers what reads nothing from memory; NULL: history, as the rest. */
    rule_ranges_fetch *fetch;
    void *fetch_arg;
    int64_t fetch_steps_max; /* 0 = no limit */
    bool ask_all;            /* fetch answers everything: rules do not see what others record */
    /* Where results go; open NULL: to memory only. */
    struct series_store store;
    /* Each may be NULL. */
    bool (*chunk_begins)(void *arg, int64_t from_ms, int64_t to_ms, struct error *err);
    bool (*chunk_ends)(void *arg, int64_t from_ms, int64_t to_ms, struct error *err);
    /* The rules of a stage were evaluated. */
    bool (*evaluated)(void *arg, struct rule_group *g, const struct rule_stage *stage,
                      int64_t time_ms, struct error *err);
    /* A rule could not be evaluated at a time: it goes on with the next. */
    void (*failed)(void *arg, const struct rule *rule, const struct error *err);
    void (*progress)(void *arg, uint64_t done, uint64_t total); /* in ms of history */
    void *arg;
};

/* ERROR_INPUT: there is nothing to evaluate. */
MUST_USE bool rule_replay_new(struct rule_replay **out, const struct rule_replay_options *opts,
                              struct error *err);
void rule_replay_free(struct rule_replay *r); /* NULL does nothing */
/* Once. */
MUST_USE bool rule_replay_run(struct rule_replay *r, struct error *err);

/* The groups, in the order of their evaluation; with the rules that take part only. */
struct rule_group *const *rule_replay_groups(const struct rule_replay *r, size_t *count);
/* How long before a span evaluation should begin, so that its first moment is as if it had always run: the longest `for`
 * and its like, and what rules read of what others record; an hour at least. */
int64_t rule_replay_warmup_ms(const struct rule_replay *r);
/* For who changes the start after having seen that. Before rule_replay_run(). */
void rule_replay_set_start(struct rule_replay *r, int64_t start_ms);
/* What rules record, for who adds what there was. */
struct memory_source *rule_replay_memory(struct rule_replay *r);
/* Does a rule read what is in memory, and how far back at most? */
bool rule_replay_reads_memory(const struct rule_replay *r, int64_t *reach_ms);
/* Of the group that is evaluated now; in calls of its store. */
int64_t rule_replay_interval_ms(const struct rule_replay *r);
/* Is it the rule that fails (its query, a limit), or who answers? */
bool rule_replay_is_failure_of_rule(const struct error *err);
bool rule_replay_is_stepwise(const struct rule_replay *r);
uint64_t rule_replay_evaluations(const struct rule_replay *r);

#endif
