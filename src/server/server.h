/* SPDX-License-Identifier: Apache-2.0 */
/* server.h: the process: wires configuration, storage, scraping, queries and HTTP, reloads on SIGHUP and stops on
 * SIGTERM and SIGINT in this order: scraping, HTTP, storage. Threads and locks: LOCKS.md. */
#ifndef BELFRY_SERVER_SERVER_H
#define BELFRY_SERVER_SERVER_H

#include "api/api.h"
#include "base/attributes.h"
#include "base/error.h"
#include "ingest/config.h"
#include "promql/engine.h"
#include "server/alert_routing.h"
#include "storage/db.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Everything is borrowed until server_run() returns. */
struct server_options {
    const char *config_path; /* NULL = the built-in configuration: itself and this host */
    enum config_unknown config_unknown;
    const char *data_dir;
    const char *const *addresses; /* at least one; the built-in configuration scrapes the first */
    size_t address_count;
    struct db_options db;         /* its log callback is the server's */
    struct engine_options engine; /* its pool is the server's */
    unsigned query_concurrency_max;
    /* Of rules: rule_manager_options. */
    int64_t alert_resend_delay_ms, alert_for_outage_tolerance_ms, alert_for_grace_period_ms;
    struct alert_routing_flags routing; /* of alerts in this process */
    bool concurrent_rules;
    unsigned rule_evaluations_max;
    /* Of alerts to Alertmanagers: notifier_options. */
    size_t notification_queue_capacity, notification_batch_max;
    bool notification_drain;
    size_t subscribers_max; /* of notifications */
    unsigned connections_max;
    int64_t read_timeout_ms;
    const char *cors_origin;
    enum http_role anonymous_role; /* of callers that are not local, while there are no users */
    const char *web_config_path;   /* users, TLS, headers; NULL = none */
    const char *prefix;            /* of all paths: "/belfry"; "" = none */
    const char *external_url; /* under which browsers know the server; NULL = as they address it */
    const char *user_assets;  /* folder of the files below /user/; NULL = none */
    int64_t
        auto_reload_interval_ms; /* how often the files of the configuration are looked at; 0 = never */
    int64_t discovery_pause_ms;   /* scrape_options.discovery_pause_ms */
    unsigned switches;            /* routes that flags open: api_options.switches */
    const struct api_flag *flags; /* sorted by name */
    size_t flag_count;
    bool sandbox;                /* write only where it must, run nothing: sandbox.h */
    const char *log_level;       /* debug, info, warn, error */
    bool log_json;               /* else logfmt */
    const char *const *warnings; /* said once the log is open (flags without effect) */
    size_t warning_count;
};

/* Runs until a signal ends it. False when it could not start or could not stop cleanly; err says why, with an
 * empty message when the log is JSON and said it.
 * Main thread, once per process: it blocks SIGHUP, SIGTERM and SIGINT for all threads. */
MUST_USE bool server_run(const struct server_options *opts, struct error *err);

#endif
