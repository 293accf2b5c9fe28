/* SPDX-License-Identifier: Apache-2.0 */
/* rule.h: one rule at work: its expression is evaluated at a time and becomes cells to be written (a recording's
 * series; ALERTS and ALERTS_FOR_STATE of an alerting rule) and, of an alerting rule, the alerts that are there.
 *
 * Who evaluates (one thread at a time) owns everything but what API and saving look at: alerts, health and times are
 * guarded by `mutex`, which is not held while anything is evaluated or expanded. */
#ifndef BELFRY_RULES_RULE_H
#define BELFRY_RULES_RULE_H

#include "base/arena.h"
#include "base/attributes.h"
#include "base/error.h"
#include "base/map.h"
#include "rules/alert.h"
#include "rules/rule_env.h"
#include "rules/rule_file.h"
#include "rules/rule_series.h"

#include <pthread.h>
#include <stdatomic.h>

enum rule_health { RULE_UNKNOWN, RULE_OK, RULE_FAILING };

/* A value to be written. */
struct rule_cell {
    struct labels labels; /* in the evaluation's arena */
    uint32_t series;      /* number in the rule's table */
    double value;
};

struct rule {
    const struct rule_definition *def; /* constant, like the next two */
    uint64_t limit;
    struct labels own_labels; /* recording: what each result gets, the name included; the file's */
    size_t
        alike; /* how many rules before it in its group state.db could not tell from it but by this */

    /* Evaluating thread. */
    struct rule_series_table series;
    uint32_t round;          /* counts evaluations */
    struct rule_cell *cells; /* of the last evaluation; in its arena */
    size_t cell_count, cell_capacity;
    bool evaluated;      /* the cells are those of an evaluation that went well */
    bool text_failed;    /* a template, at the last evaluation */
    bool restored;       /* alerting: ALERTS is written from now on */
    bool alerts_removed; /* since they were saved, or they came from another rule */
    bool has_row;        /* alerting: it was saved with alerts */
    /* What a rule before a reload wrote: ends unless this rule gives it. */
    struct rule_series_table former;
    struct series_writer *former_writer; /* NULL: none */

    pthread_mutex_t mutex; /* guards the rest */
    struct alert **alerts;
    size_t alert_count, alert_capacity;
    struct map alert_index; /* hash.low -> number */
    enum rule_health health;
    char *last_error; /* NULL: none */
    int64_t evaluated_ms;
    int64_t duration_ns;
    struct query *running; /* so that it can be cancelled */
    bool is_cancelled;
};

void rule_init(struct rule *r, const struct rule_definition *def, uint64_t limit,
               struct arena *arena);
void rule_deinit(struct rule *r);

/* Evaluates at time_ms, reading data of time_ms - offset_ms, and leaves r->cells in the arena. On error the rule's
 * alerts and series are as they were (but for a limit, past which all its alerts are forgotten). *text_failed: an
 * annotation or label could not be expanded. Errors: what the query says; ERROR_EXECUTION for duplicates and limits. */
MUST_USE bool rule_evaluate(struct rule *r, const struct rule_env *env, int64_t time_ms,
                            int64_t offset_ms, struct arena *arena, bool *text_failed,
                            struct error *err);
/* Any thread: an evaluation that runs ends soon, with ERROR_CANCELED, and so do all later ones. */
void rule_cancel(struct rule *r);
/* Health and error of the last evaluation; `err` NULL = it went well. */
void rule_set_health(struct rule *r, const struct error *err);
void rule_set_times(struct rule *r, int64_t evaluated_ms, int64_t duration_ns);

/* The rest needs the mutex. */
struct alert *rule_find_alert_locked(const struct rule *r, struct hash128 hash);
void rule_add_alert_locked(struct rule *r, struct alert *a); /* takes it; it is not there yet */
void rule_remove_alert_locked(struct rule *r, size_t number);
void rule_clear_alerts_locked(struct rule *r);

/* alerting.c: the candidates of one evaluation become the rule's alerts. */
MUST_USE bool rule_evaluate_alerts(struct rule *r, const struct rule_env *env, int64_t time_ms,
                                   int64_t offset_ms, struct arena *arena, bool *text_failed,
                                   struct error *err);
/* Runs a query on behalf of the rule, where rule_cancel() finds it. One at a time. */
MUST_USE bool rule_execute_query(struct rule *r, struct query *q, struct error *err);
bool rule_is_cancelled(struct rule *r);
/* What an expression of the rule gives at a time, in the arena, and what its labels are borrowed from. */
struct rule_answer {
    struct rule_vector vector;
    struct query *query;
};
MUST_USE bool rule_ask(struct rule *r, const struct rule_env *env, const struct promql *expr,
                       int64_t time_ms, struct arena *arena, struct rule_answer *out,
                       struct error *err);
void rule_answer_release(struct rule_answer *a); /* also after a failure */
/* Adds a cell; false when this evaluation gave the series already. */
bool rule_add_cell(struct rule *r, struct arena *arena, struct labels labels, double value);

#endif
