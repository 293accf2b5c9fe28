/* SPDX-License-Identifier: Apache-2.0 */
/* rule_group.h: a group of rules at work. An evaluation takes its rules in their order, in stages: rules that read
 * nothing of what others of their stage write. A stage is written as one row; the next begins when it can be read.
 *
 * One thread evaluates a group at a time. What others may look at is atomic or under a rule's mutex. */
#ifndef BELFRY_RULES_RULE_GROUP_H
#define BELFRY_RULES_RULE_GROUP_H

#include "base/attributes.h"
#include "base/pool.h"
#include "rules/alert_sink.h"
#include "rules/rule.h"

#include <stdatomic.h>

struct rule_group_options {
    int64_t default_interval_ms;     /* > 0 */
    int64_t default_query_offset_ms; /* >= 0 */
};

/* How an evaluation is done, and who is told. */
struct rule_run {
    const struct rule_env *env;
    struct pool *pool;      /* for rules of a stage at once; NULL = one after the other */
    _Atomic int *spare;     /* how many more may be evaluated at once, in the whole process */
    struct alert_sink sink; /* send NULL = nobody */
    int64_t resend_delay_ms;
    /* Something an operator should know; may be NULL. Any thread. */
    void (*log)(void *arg, bool is_error, const char *event, const char *text);
    void *log_arg;
    /* A rule could not be evaluated; may be NULL. The group's thread. */
    void (*failed)(void *arg, const struct rule *rule, const struct error *err);
    void *failed_arg;
    bool finish_writes; /* return only when all of it can be read */
};

/* What a rule that is no more has written, until its series are ended. */
struct rule_orphan {
    struct rule_series_table series;
    struct series_writer *writer;
};

struct rule_stage {
    size_t first, count;          /* of the group's rules */
    struct series_writer *writer; /* NULL until the first evaluation */
    bool has_row;                 /* this process has written one */
};

struct rule_group {
    atomic_uint references; /* relaxed up, acquire-release down */
    struct rule_file *file; /* a reference */
    const struct rule_group_definition *def;
    struct arena arena; /* of its rules */
    int64_t interval_ms, query_offset_ms;
    struct rule *rules;
    size_t rule_count;

    /* Evaluating thread. */
    struct rule_stage *stages;
    size_t stage_count;
    size_t writer_count; /* >= stage_count: of a group before that had more stages */
    struct rule_orphan *orphans;
    size_t orphan_count, orphan_capacity;
    /* All that rules write, while an evaluation ends what others wrote before a reload; NULL = it does not. */
    struct rule_series_table *written;
    struct arena *scratch; /* of an evaluation, one per lane */
    unsigned scratch_count;
    int64_t last_ms; /* time of the last evaluation; RULE_NEVER before the first */

    /* Any thread; relaxed: statistics. */
    _Atomic uint64_t evaluations, failures, iterations, missed;
    _Atomic int64_t last_duration_ns, last_start_ms, last_evaluation_ms, duration_sum_ns,
        rule_duration_sum_ns;
    _Atomic uint64_t last_samples;
};

/* Takes a reference of `file`, whose group `def` is. The caller has the one reference of the group. */
struct rule_group *rule_group_new(struct rule_file *file, const struct rule_group_definition *def,
                                  const struct rule_group_options *opts);
struct rule_group *rule_group_ref(struct rule_group *g);
/* NULL does nothing. Before the last one goes: rule_group_close(), if it was evaluated. */
void rule_group_unref(struct rule_group *g);
/* No evaluation comes any more: gives its writers back. Series that it wrote do not end by this. */
void rule_group_close(struct rule_group *g);
/* "FILE;NAME", unique in a process, in the arena. */
struct view rule_group_key(const struct rule_group_definition *def, struct arena *arena);
/* Would an evaluation do the same? */
bool rule_group_equal(const struct rule_group *a, const struct rule_group *b);
/* Moves what a group of the same key knew to its successor: alerts and series of rules of the same name and labels. The
 * series of those that are gone end after the next evaluation. Nobody evaluates either. */
void rule_group_take_over(struct rule_group *g, struct rule_group *old);

/* Evaluates everything at time_ms. */
void rule_group_evaluate(struct rule_group *g, const struct rule_run *run, int64_t time_ms);
/* Evaluates one stage alone, for who takes a stage over many times before the next (rule_replay.h); time ascends for each. */
void rule_group_evaluate_stage(struct rule_group *g, const struct rule_run *run, size_t stage,
                               int64_t time_ms);
/* Adds the series that a rule or a group writes now to a set. Evaluating thread. */
void rule_add_written(const struct rule *r, struct rule_series_table *set);
void rule_group_add_written(const struct rule_group *g, struct rule_series_table *set);
/* Ends at time_ms what orphans and, with `all`, rules wrote, but for series in `kept`, which another writes. */
void rule_group_end_series(struct rule_group *g, int64_t time_ms, bool all,
                           const struct rule_series_table *kept);
/* The latest time not after now_ms at which the group is to be evaluated: they are its interval apart, at an
 * offset by the hash of file and name. */
int64_t rule_group_time(const struct rule_group *g, int64_t now_ms);
/* Any thread. */
void rule_group_cancel(struct rule_group *g);

#endif
