/* SPDX-License-Identifier: Apache-2.0 */
/* push.h (libbelfry-http): metrics and spans sent by the program itself, where nobody can scrape it: batch jobs, hosts
 * behind walls.
 *
 *     belfry_push *push;
 *     belfry_http_error why;
 *     belfry_push_options options = {.url = "http://gateway:9091", .job = "backup"};
 *     if (belfry_push_start(&push, &options, &why) != BELFRY_OK)
 *         ...;
 *     ... the work ...
 *     if (belfry_push_stop(push, true, &why) != BELFRY_OK)       one last push
 *         fprintf(stderr, "metrics were not pushed: %s\n", why.message);
 *
 * To a Pushgateway (grouping key, PUT or POST, DELETE), or by Prometheus' remote write 1.0.
 *
 * Nothing here ends or prints from its host. After fork() a push belongs to the parent: in the child every function
 * fails or does nothing, so that two processes never push the same. */
#ifndef BELFRY_PUSH_H
#define BELFRY_PUSH_H

#include <belfry/export.h>
#include <belfry/http.h>
#include <belfry/metrics.h>
#include <belfry/request.h>

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* How to reach a server. Zero is the default of everything but url. Strings are copied. */
typedef struct belfry_remote {
    const char *
        url; /* http or https; a name and password in it are refused: they have places of their own */
    const char *bearer_token, *username, *password; /* NULL = none */
    const char *ca_file;                            /* PEM; NULL = the system's */
    const char *certificate_file, *key_file;        /* PEM, of the client; NULL = none */
    const belfry_http_header *headers;              /* more of them, such as X-Scope-OrgID */
    size_t header_count;
    unsigned timeout_ms; /* of one attempt; 0 = 10 s */
} belfry_remote;

typedef struct belfry_push belfry_push;

typedef enum belfry_push_protocol {
    BELFRY_PUSH_GATEWAY,     /* url is the gateway's address: "http://gateway:9091" */
    BELFRY_PUSH_REMOTE_WRITE /* url is the whole one: "http://prometheus:9090/api/v1/write" */
} belfry_push_protocol;

/* Zero is the default of everything but remote.url and, for a gateway, job. Copied, but for the registry. */
typedef struct belfry_push_options {
    belfry_registry *registry; /* NULL = the default one */
    belfry_push_protocol protocol;
    belfry_remote remote;
    /* Of a gateway: the group that is replaced. Of remote write: labels of every series ("job" is one of them). */
    const char *job;
    const belfry_label *grouping;
    size_t grouping_count;
    /* Gateway: POST, which replaces families of the same names, not the group (PUT). */
    bool keep_others;
    /* Remote write: native histograms as the text format shows them, for receivers that have none. */
    bool no_native_histograms;
    unsigned interval_ms;  /* a thread pushes so often; 0 = no thread */
    unsigned attempts_max; /* of one push: no connection, 429 and 5xx are tried again; 0 = 4 */
    /* Before the second attempt, doubled for each further one; 0 = 500. Longer where Retry-After says so. */
    unsigned retry_ms;
    /* A last push when the program calls exit() or returns from main (atexit), at most exit_timeout_ms (0 = 10 s) long.
     * Not at _exit() or a signal. belfry_push_stop() before that takes its place. */
    bool at_exit;
    unsigned exit_timeout_ms;
} belfry_push_options;

/* Checks the options and, with an interval, starts a thread (whose first push is one interval later). Connects to nobody
 * yet. On error *out is NULL and *error, when not NULL, says why; the other calls take that NULL: BELFRY_ERROR_NULL. */
BELFRY_API BELFRY_MUST_USE belfry_status belfry_push_start(belfry_push **out,
                                                           const belfry_push_options *options,
                                                           belfry_http_error *error);
/* Pushes what the registry holds now and waits until it was taken or given up. BELFRY_ERROR_SYSTEM: it was not taken, and
 * *error says by whom and why. Any thread; pushes of one object wait for each other. */
BELFRY_API BELFRY_MUST_USE belfry_status belfry_push_now(belfry_push *push,
                                                         belfry_http_error *error);
/* Removes the group from the gateway. BELFRY_ERROR_FORMAT where there is none (remote write). */
BELFRY_API BELFRY_MUST_USE belfry_status belfry_push_delete(belfry_push *push,
                                                            belfry_http_error *error);
/* Ends the thread (a push that runs is given up), pushes a last time if asked to, and frees in any case. NULL does
 * nothing and is BELFRY_OK. Nobody may use it any more. */
BELFRY_API belfry_status belfry_push_stop(belfry_push *push, bool push_last,
                                          belfry_http_error *error);

typedef struct belfry_push_stats {
    uint64_t pushes;                /* taken */
    uint64_t failures;              /* given up */
    uint64_t attempts;              /* requests that were sent, or tried to be */
    double last_push_seconds;       /* since the epoch; 0 = never */
    belfry_http_error last_failure; /* its sentence; "" = none */
} belfry_push_stats;

/* Any thread. NULL: all zero. */
BELFRY_API void belfry_push_stats_get(belfry_push *push, belfry_push_stats *out);
/* Shows belfry_pushes_total, belfry_push_failures_total, belfry_push_attempts_total and
 * belfry_push_last_success_timestamp_seconds. The registry (NULL = the default one) may outlive the push. */
BELFRY_API BELFRY_MUST_USE belfry_status belfry_push_register(belfry_push *push,
                                                              belfry_registry *registry);

/* --- spans --- */

/* Fills *out for belfry_tracer_options.transport (<belfry/request.h>): POSTs to an OTLP/HTTP receiver. The tracer releases
 * it. remote.url is the whole URL ("http://collector:4318/v1/traces"); NULL = from the environment, as OpenTelemetry has
 * it: OTEL_EXPORTER_OTLP_TRACES_ENDPOINT, else OTEL_EXPORTER_OTLP_ENDPOINT and "/v1/traces";
 * OTEL_EXPORTER_OTLP_TRACES_HEADERS, else OTEL_EXPORTER_OTLP_HEADERS ("name=value,..."); and, unless options have it,
 * OTEL_EXPORTER_OTLP_TIMEOUT (ms). BELFRY_ERROR_FORMAT when none is there or it is wrong; then *out is all zero. */
BELFRY_API BELFRY_MUST_USE belfry_status belfry_otlp_transport(belfry_transport *out,
                                                               const belfry_remote *remote,
                                                               belfry_http_error *error);

#ifdef __cplusplus
}
#endif

#endif
