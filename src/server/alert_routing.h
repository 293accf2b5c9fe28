/* SPDX-License-Identifier: Apache-2.0 */
/* alert_routing.h: the Alertmanager inside this process: its configuration file, its memory, its router and its sender, from
 * start to stop; and the sink by which rules' alerts come in. */
#ifndef BELFRY_SERVER_ALERT_ROUTING_H
#define BELFRY_SERVER_ALERT_ROUTING_H

#include "alerting/alert_router.h"
#include "alerting/alert_state.h"
#include "alerting/sender.h"
#include "base/attributes.h"
#include "base/clock.h"
#include "base/error.h"
#include "rules/alert_sink.h"
#include "server/running_config.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct alert_routing;

/* As Alertmanager's flags say; 0: the default. Part of server_options. */
struct alert_routing_flags {
    const char *config_path; /* --alertmanager.config.file; NULL: no routing */
    const char *dir;         /* --storage.path, where alerts.db is; NULL: the data folder */
    int64_t retention_ms, maintenance_ms; /* --data.* */
    int64_t history_retention_ms;         /* --alerts.history-retention */
    int64_t gc_interval_ms, dispatch_maintenance_ms, start_delay_ms;
    size_t silences_max, silence_bytes_max, alerts_max;
};

/* Borrowed until alert_routing_free(). */
struct alert_routing_options {
    const struct alert_routing_flags *flags;
    const char *dir;               /* of alerts.db */
    const char *external_url;      /* of links in notifications */
    struct running_config *config; /* external labels and alert_relabel_configs of rules' alerts */
    void (*log)(void *arg, bool is_error, const char *event, const char *text);
    void *log_arg;
};

/* Opens the memory, starts sender and router; nothing is routed before a configuration is applied. */
MUST_USE bool alert_routing_start(struct alert_routing **out,
                                  const struct alert_routing_options *opts, struct error *err);
/* After the last alert was put: ends the router, gives what is on its way a moment, writes what is to be kept. NULL is fine. */
void alert_routing_stop(struct alert_routing *r);

/* Reads the file and compiles its templates; changes nothing but what alert_routing_state() says. ERROR_INPUT with file, line
 * and column; ERROR_IO. One caller at a time. */
MUST_USE bool alert_routing_load(struct alert_routing *r, struct integrations **out,
                                 struct error *err);
/* Puts it in force; takes the reference. */
void alert_routing_apply(struct alert_routing *r, struct integrations *set);
/* A hash of the file's content; 0 where it cannot be read. */
uint64_t alert_routing_file_hash(const char *path);

/* Did the last load go well, and when was what is in force loaded? `hash` is Alertmanager's number for its text. Any thread. */
bool alert_routing_state(struct alert_routing *r, wall_time *loaded, double *hash);

struct alert_sink alert_routing_sink(struct alert_routing *r);
/* Borrowed until alert_routing_stop(). */
struct alert_router *alert_routing_router(struct alert_routing *r);
struct alert_state *alert_routing_memory(struct alert_routing *r);
struct sender *alert_routing_sender(struct alert_routing *r);

#endif
