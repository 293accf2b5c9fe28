/* SPDX-License-Identifier: Apache-2.0 */
/* self_metrics.h: what Belfry says of itself on /metrics: belfry_* and, beside them, the prometheus_* names that
 * existing dashboards expect; and what it says of its host on /metrics/host. */
#ifndef BELFRY_SERVER_SELF_METRICS_H
#define BELFRY_SERVER_SELF_METRICS_H

#include "api/api.h"
#include "base/attributes.h"
#include "base/buffer.h"
#include "base/error.h"
#include "net/http_server.h"
#include "server/running_config.h"

#include <belfry/exposition.h>
#include <belfry/log.h>
#include <stdbool.h>

struct alert_routing;
struct db;
struct scrape_manager;
struct self_metrics;

/* Borrowed from attach to detach. */
struct self_metrics_sources {
    struct db *db;
    struct scrape_manager *scrape;
    struct rule_manager *rules;
    struct notifications *notifications;
    struct notifier *notifier;
    struct heartbeats *heartbeats;
    struct alert_routing *routing; /* NULL: not enabled, like the next */
    struct remote_write *remote_write;
    struct api *api;
    struct http_server *http;
    struct running_config *config;
    belfry_log *log;
    unsigned query_concurrency_max;
};

MUST_USE bool self_metrics_new(struct self_metrics **out, struct error *err);
void self_metrics_free(struct self_metrics *m); /* NULL is fine */
/* Before the first request is answered, and after the last. Main thread. */
void self_metrics_attach(struct self_metrics *m, const struct self_metrics_sources *sources);
void self_metrics_detach(struct self_metrics *m);
/* Any thread. */
void self_metrics_observe_request(struct self_metrics *m, const struct http_observation *seen);
/* A request that an Alertmanager took, and the end of one. Any thread. */
void self_metrics_observe_notification(struct self_metrics *m, const char *url, double seconds);
void self_metrics_forget_alertmanager(struct self_metrics *m, const char *url);
/* Append the exposition. Any thread. */
void self_metrics_write(struct self_metrics *m, const belfry_exposition *how, struct buffer *out);
void self_metrics_write_host(struct self_metrics *m, const belfry_exposition *how,
                             struct buffer *out);

#endif
