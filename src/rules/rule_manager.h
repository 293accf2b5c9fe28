/* SPDX-License-Identifier: Apache-2.0 */
/* rule_manager.h: all rule groups of a server: read from the files that the configuration names, evaluated each at its
 * times on threads of their own, changed by a reload without losing what stays the same. */
#ifndef BELFRY_RULES_RULE_MANAGER_H
#define BELFRY_RULES_RULE_MANAGER_H

#include "base/attributes.h"
#include "base/error.h"
#include "base/pool.h"
#include "ingest/config.h"
#include "promql/engine.h"
#include "rules/alert_sink.h"
#include "rules/rule_group.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { RULE_THREADS_MAX = 64 };

struct db;
struct rule_manager;
struct rule_set;

/* Everything is borrowed until rule_manager_stop(). */
struct rule_manager_options {
    struct db *db;
    struct engine_options engine; /* its pool runs the parts of queries */
    const char *external_url;     /* of links and templates */
    const char *state_dir;        /* state.db there keeps alerts; NULL = they are not kept */
    int64_t resend_delay_ms, for_outage_tolerance_ms, for_grace_period_ms;
    bool concurrent_rules;   /* rules of a stage at once ... */
    unsigned concurrent_max; /* ... so many more than one, in the whole process */
    struct alert_sink sink;  /* send NULL: alerts are shown only */
    void (*log)(void *arg, bool is_error, const char *event, const char *text);
    void *log_arg;
};

/* Starts the first thread; there are no groups yet. */
MUST_USE bool rule_manager_start(struct rule_manager **out, const struct rule_manager_options *opts,
                                 struct error *err);
/* Evaluations in work are cancelled; threads end. NULL is fine. */
void rule_manager_stop(struct rule_manager *m);

/* Reads all files that rule_files name and changes nothing. ERROR_INPUT and what rule_file_load() says. Any thread. */
MUST_USE bool rule_set_load(struct rule_set **out, const struct rule_manager *m,
                            const struct config *config, struct error *err);
void rule_set_free(struct rule_set *set); /* NULL does nothing */
size_t rule_set_group_count(const struct rule_set *set);
size_t rule_set_rule_count(const struct rule_set *set);
size_t rule_set_alert_count(const struct rule_set *set); /* alerting rules */
/* Puts a set in force; takes it. Groups that are as before go on undisturbed. One thread at a time. */
void rule_manager_apply(struct rule_manager *m, const struct config *config, struct rule_set *set);

/* The groups in force, each with a reference of the caller's, sorted by file and name; in the arena. Any
 * thread. */
struct rule_groups {
    struct rule_group **items;
    size_t count;
};
void rule_manager_groups(struct rule_manager *m, struct arena *arena, struct rule_groups *out);
void rule_groups_release(struct rule_groups *groups);

struct rule_manager_stats {
    uint64_t threads;
    uint64_t state_failures; /* attempts to keep alerts that went wrong */
    bool state_is_kept;
};
void rule_manager_stats_get(struct rule_manager *m, struct rule_manager_stats *out);

#endif
