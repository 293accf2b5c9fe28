/* SPDX-License-Identifier: Apache-2.0 */
/* api.h: Prometheus' HTTP API (/api/v1), health, metrics and the plain page, as routes of a server. What it shows
 * is lent by whoever wires the process (server/); everything here may be called from several threads at once. */
#ifndef BELFRY_API_API_H
#define BELFRY_API_API_H

#include "base/attributes.h"
#include "base/buffer.h"
#include "base/clock.h"
#include "base/error.h"
#include "net/http_server.h"
#include "promql/engine.h"
#include "storage/cursor.h"
#include "storage/db.h"

#include <belfry/exposition.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct access;
struct alert_router;
struct alert_state;
struct scrape_manager;
struct rule_manager;
struct notifications;
struct notifier;
struct heartbeats;
struct remote_write;
struct api;

struct api_flag {
    const char *name, *value;
};

/* Flags that open routes, as in Prometheus; bit 1 << value of api_options.switches. */
enum api_switch {
    API_SWITCH_ALWAYS, /* no flag: the route is always open */
    API_SWITCH_LIFECYCLE,
    API_SWITCH_ADMIN_API,
    API_SWITCH_REMOTE_WRITE,
    API_SWITCH_OTLP
};

/* Everything is borrowed and outlives the api. */
struct api_options {
    struct storage_source *source;       /* what queries see */
    struct engine_options engine;        /* copied; its pool is borrowed */
    unsigned query_concurrency_max;      /* 0 = 20 */
    struct db *db;                       /* NULL: no status/tsdb, no metadata */
    struct scrape_manager *scrape;       /* NULL: no targets */
    struct rule_manager *rules;          /* NULL: no rules and alerts */
    struct notifications *notifications; /* NULL: none */
    struct notifier *notifier;           /* NULL: no alertmanagers */
    struct alert_router *router;         /* NULL: no Alertmanager inside, like the next */
    struct alert_state *alert_state;
    struct heartbeats *heartbeats;     /* NULL: none */
    struct remote_write *remote_write; /* NULL: /api/v1/write says how to enable it */
    struct pool *write_pool;           /* what it runs on; NULL: the server's */
    struct pool *history_pool;         /* for questions about alerts' past; NULL: the server's */
    struct access *access;             /* NULL: no login */
    const char *prefix;       /* of all paths, as the server has it: "" or "/belfry"; NULL = none */
    const char *external_url; /* as browsers know the server; NULL = as they address it */
    const char *user_assets;  /* folder of the files below /user/; NULL: none */

    /* Appends the running configuration as YAML. NULL: empty. Any thread. */
    void (*config_text)(void *arg, struct buffer *out);
    /* Those of the running configuration, in the arena. NULL: none. Any thread. */
    struct labels (*external_labels)(void *arg, struct arena *arena);
    /* What a rule's alert with these labels has when it leaves: external labels, alert_relabel_configs; in the arena. False:
     * dropped. NULL: as they are. Any thread. */
    bool (*relabel_alert)(void *arg, struct labels in, struct arena *arena, struct labels *out);
    /* When it was loaded, and whether the last reload went well. */
    bool (*config_state)(void *arg, wall_time *loaded);
    /* False until queries can be answered: /-/ready and the API say 503. NULL: always ready. */
    bool (*is_ready)(void *arg);
    /* Appends an exposition. NULL: that path is not there. */
    void (*metrics)(void *arg, const belfry_exposition *how, struct buffer *out);
    void (*host_metrics)(void *arg, const belfry_exposition *how, struct buffer *out);
    /* Reloads the configuration and waits for it. NULL: there is none to reload. */
    bool (*reload)(void *arg, struct error *err);
    /* Asks the process to end. Must not wait. NULL: nothing happens. */
    void (*quit)(void *arg);
    void *arg; /* of the callbacks above */

    unsigned switches; /* bits 1 << enum api_switch */

    const struct api_flag *flags; /* sorted by name, as status/flags shows them */
    size_t flag_count;
    wall_time started;
    const char *version, *revision, *branch, *build_user,
        *build_date;               /* NULL = "" ; version NULL = ours */
    const char *storage_retention; /* "15d", as runtimeinfo shows it; NULL = "" */
    const char *server_name;       /* host name; NULL = the system's */
};

/* Copies opts. */
struct api *api_new(const struct api_options *opts);
/* What of the configuration concerns queries; borrowed during the call. Any thread, at any time. */
struct api_config {
    struct view query_log_file;     /* opened anew each time; "" = none */
    int64_t evaluation_interval_ms; /* the default step of subqueries; 0 = the engine's */
};
/* On error (the log cannot be opened) nothing has changed. */
MUST_USE bool api_apply_config(struct api *api, const struct api_config *config, struct error *err);
/* Every route of API_ROUTES whose part of the server is there. Once, before http_server_start(). */
void api_add_routes(struct api *api, struct http_server *server);
/* After the server stopped. NULL is fine. */
void api_free(struct api *api);

/* For http_server_options.error_body: under /api/ an error is JSON, whoever found it. */
const char *api_error_body(struct http_request *rq, int status, struct view text,
                           struct buffer *out);

/* Numbers of the API for /metrics. */
struct api_stats {
    uint64_t queries_running, queries_waiting, queries_total, queries_failed, federation_errors;
    uint64_t query_log_failed;
    bool query_log_open;
};
void api_stats_get(struct api *api, struct api_stats *out);

#endif
