/* SPDX-License-Identifier: Apache-2.0 */
/* service.h: what a service is: a name, a table of settings, routes, and what it does at its start and end. Everything
 * that all services have in common (services.md, section 1) is behind service_main():
 *
 *   flags and environment -> configure() -> open() -> ports are bound -> service_started
 *       -> SIGHUP: reload() ... SIGTERM or SIGINT: /ready is 503, drain(), no new connections, requests in work end
 *       -> stop() -> close() -> exit
 *
 * Exit status: 0 clean, 1 runtime (a port, storage; a second signal), 2 configuration.
 *
 * /health, /ready and /metrics are there without a word; the service adds its own routes and checks in open(). */
#ifndef BELFRY_SERVICE_SERVICE_H
#define BELFRY_SERVICE_SERVICE_H

#include "base/attributes.h"
#include "base/clock.h"
#include "base/error.h"
#include "base/pool.h"
#include "base/secret.h"
#include "net/http_server.h"
#include "net/outgoing.h"
#include "service/service_request.h"
#include "service/settings.h"

#include <belfry/health.h>
#include <belfry/log.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct service; /* the running process */

/* What the settings of a service decide about the process. Filled by configure(); zero is the default of all but
 * listen. Strings live as long as the settings (service_main's life). */
struct service_config {
    const char *listen;          /* of the main listener: host:port, [v6]:port, :port */
    const char *metrics_listen;  /* one more that serves /metrics only; NULL = none */
    struct secret metrics_token; /* when set: /metrics wants it as bearer token */
    int metrics_denied_status;   /* 0 = 401 */
    const char *
        data_dir; /* where it writes: made if missing, watched by the check "disk". NULL = nowhere */
    const char *log_level; /* in place of LOG_LEVEL; NULL = that */
    bool log_text;         /* in place of LOG_FORMAT=json */
    size_t body_bytes_max; /* of requests whose route says nothing; 0 = 1 MiB */
    size_t
        bodies_bytes_max; /* of all that are kept in memory at once; 0 = 256 MiB, beyond it 503 */
    size_t response_bytes_max; /* of an answer that is neither streamed nor a file; 0 = 64 MiB */
    unsigned http_threads;     /* that read, write and run HTTP_RUN_DIRECT; 0 = 2 */
    /* Pages of these origins may read answers: NULL-terminated, "*" = any. NULL = none. */
    const char *const *cors_origins;
    const char *cors_methods, *cors_headers; /* NULL = what is usual */
    bool cors_credentials;                   /* the origin is named instead of "*" */
};

struct service_route {
    unsigned methods;     /* bits of enum http_method; GET takes HEAD too */
    const char *path;     /* "/jobs/{id}", "/{*rest}" */
    const char *name;     /* of metrics and logs; NULL = path */
    http_handler handler; /* arg: what open() left in *state */
    enum http_run run;
    bool ignores_query;
    http_receive receive;  /* arg: the same */
    size_t body_bytes_max; /* 0 = config's */
    struct http_gate *gate;
    struct pool *pool;
    unsigned retry_after_s;
    bool is_probe; /* not counted among active requests and in the error rate */
    /* Before the body is read; false: the response says why. On the connection's thread: must not wait. May be NULL */
    bool (*authorize)(void *state, struct http_request *rq, struct http_response *rs);
};

/* One request that ended, for the service's own metrics. */
struct service_observation {
    const char *endpoint; /* the route's name; "unmatched" */
    const char *method;   /* "GET", ... or "other" */
    int status;           /* 499: the client left before there was an answer */
    double seconds;
    uint64_t bytes_in, bytes_out; /* of the bodies */
    const char *error_code;       /* NULL = it is no error */
    int success;                  /* of a JSON body's member "success": 1, 0; -1 = there is none */
    bool is_aborted;              /* the client did not take all of it */
    bool is_main;                 /* not of the metrics listener */
    struct http_request *request; /* valid during the call */
};

/* "--once": sets a variable. */
struct service_flag {
    const char *name;
    const char *variable, *value;
    const char *help;
};

/* "imgjobs secret": instead of serving. Returns the exit status. */
struct service_command {
    const char *name;
    int (*run)(const struct service_config *config, int argc, char **argv);
    const char *help;
    /* It needs values only: configure(), which says what is missing for serving, is not called; config is empty. */
    bool without_config;
};

struct service_definition {
    const char *name;   /* "imgforge": of the program, and in "Server: belfry-imgforge/1.0" */
    const char *job;    /* in /health; NULL = name */
    const char *about;  /* a sentence for --help */
    const char *prefix; /* of its own variables ("IMGFORGE_"); NULL = they have none */
    const struct setting *settings;
    size_t setting_count;
    void *values; /* static: filled from the settings */
    const struct service_flag *flags;
    size_t flag_count;
    const struct service_command *commands;
    size_t command_count;

    /* From values to config. False: settings_problem() said why; exit 2. */
    bool (*configure)(struct service_config *config, struct settings *settings,
                      struct setting_problem *problem);
    /* Opens storage, tests itself, adds routes and checks. *state goes to everything below. False: exit 1. */
    bool (*open)(struct service *s, void **state, struct error *err);
    void (*reload)(void *state); /* SIGHUP; NULL = ignored. Main thread */
    void (*drain)(void *state);  /* take no new work; must not wait. May be NULL */
    void (*stop)(void *state,
                 mono_time deadline); /* no request is there: end what is in work. May be NULL */
    void (*close)(void *state);       /* also after open() failed, with what it left; may be NULL */
    /* Any thread; must not block. May be NULL. */
    void (*observe)(void *state, const struct service_observation *seen);
    /* Appends the body of an error, returns its type. NULL: {"error":code,"message":...,"request_id":...}. */
    const char *(*error_body)(void *state, const struct service_error *error, struct buffer *out);
    /* What errors are called that the kit finds (404, 413 ...); NULL = "not_found", "payload_too_large" ... */
    const char *(*error_code)(int status);
};

/* The whole life of the process. `definition` is static. */
int service_main(const struct service_definition *definition, int argc, char **argv);

/* ---- in open() and later ---- */

/* In open() only. Copied; path and name are static. */
void service_add_route(struct service *s, const struct service_route *route);
/* One more path of /health or /ready, under whose name it is counted; in open() only. Path as of service_add_route(). */
void service_add_probe(struct service *s, const char *path, bool is_ready);
belfry_log *service_log(const struct service *s);
/* Where checks are added; "disk" and "mem" are there. */
belfry_health *service_health(const struct service *s);
/* The check "worker": a task that does nothing ran on the pool within a second. In open() only. The pool lives until close(). */
MUST_USE bool service_add_worker_check(struct service *s, struct pool *pool, struct error *err);
const struct service_config *service_config_of(const struct service *s);
/* Nothing is allowed but public addresses; the environment's proxies; the system's authorities, read once. Valid until
 * the service is closed; it adds classes to its copy. */
struct outgoing_policy service_outgoing_policy(struct service *s);
/* SHUTDOWN_GRACE_SECONDS */
int64_t service_grace_ms(const struct service *s);
/* "belfry-imgforge/1.0": Server header, and what outgoing requests may be called by. */
const char *service_product(const struct service *s);
bool service_is_stopping(const struct service *s);
/* Ends the process as SIGTERM does: for a program that has one thing to do (RUN_ONCE). Any thread. */
void service_finish(struct service *s);

/* What error responses of the kit itself are called. */
const char *service_error_code_default(int status);

#endif
