/* SPDX-License-Identifier: Apache-2.0 */
/* service_private.h: what the files of the kit share.
 *
 *   service.c          flags, settings, signals, the order of start and stop
 *   service_http.c     listeners, routes, what each answer carries, what is logged and observed of it
 *   service_request.c  what handlers ask for: errors, ids, tokens */
#ifndef BELFRY_SERVICE_SERVICE_PRIVATE_H
#define BELFRY_SERVICE_SERVICE_PRIVATE_H

#include "base/thread.h"
#include "net/http_tls.h"
#include "service/service.h"

#include <belfry/request.h>
#include <netinet/in.h>
#include <stdatomic.h>

enum { SERVICE_ROUTES_MAX = 128 };

/* Settings that every service has. */
struct service_common {
    int log_level, log_format;
    int64_t grace_ms, disk_bytes_min, connections_max;
    double mem_ratio_max;
    const char *tls_cert_file, *tls_key_file;
    struct secret http_proxy, https_proxy;
    const char *no_proxy;
};

/* The argument of a route's handler in the HTTP server. */
struct service_entry {
    struct service *service;
    struct service_route route;
    void *state; /* the service's; of the kit's own routes: the kit's */
};

/* One server for each port: they have different routes. */
struct service_port {
    struct service *service;
    struct http_server *http;
    bool is_main;
};

struct service {
    const struct service_definition *definition; /* constant after start, to the blank line */
    struct service_common common;
    struct service_config config;
    struct settings *settings;
    struct setting_group groups[2];
    belfry_log *log;
    belfry_health *health;
    char product[128];
    void *state;
    struct service_entry entries[SERVICE_ROUTES_MAX];
    size_t entry_count;
    struct service_port ports[2];
    size_t port_count;

    pthread_mutex_t mutex; /* guards what follows */
    pthread_cond_t changed;
    bool wants_stop, wants_reload, stopping, ended;
    int signal; /* that stopped it; 0 = it did itself */
    struct http_tls *tls;
    struct outgoing_trust *trust; /* NULL until it is needed; constant then */
};

/* What the kit knows of one request: http_request_context(). */
struct service_context {
    belfry_request *request;                      /* NULL until somebody asks */
    bool is_counted;                              /* among the active ones */
    const char *error_code;                       /* static; NULL = no error so far */
    const char *user_message, *developer_message; /* in the request's arena */
    struct view extra;
    int success; /* 1 + what the observation says; 0 = nobody looked */
    void *state;
    void (*release)(void *state);
};

struct service_context *service_context_of(const struct http_request *rq);
/* The request's id and trace; made at the first call. NULL without memory. */
belfry_request *service_request_of(struct http_request *rq);

/* service_http.c */
MUST_USE bool service_http_open(struct service *s, struct error *err);
MUST_USE bool service_http_start(struct service *s, struct error *err);
void service_http_stop(struct service *s); /* also closes; what was not opened is fine */
/* Reads the files of the certificate anew. */
MUST_USE bool service_tls_load(struct service *s, struct error *err);

#endif
