/* SPDX-License-Identifier: Apache-2.0 */
/* query_log.h: global.query_log_file: each query that was evaluated, one JSON object per line with the keys that
 * Prometheus 3 writes. */
#ifndef BELFRY_API_QUERY_LOG_H
#define BELFRY_API_QUERY_LOG_H

#include "base/attributes.h"
#include "base/buffer.h"
#include "base/error.h"
#include "promql/engine.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

struct query_log {
    pthread_mutex_t mutex; /* a leaf: guards `sink` and its references; not held while writing */
    struct query_log_sink *sink;
    _Atomic uint64_t failed; /* lines that could not be written; relaxed: a statistic */
};

/* What one line says; everything is borrowed during the call. */
struct query_log_entry {
    struct view text;
    const struct query_params *params;
    const struct query_stats *stats;
    double queue_seconds;
    const struct error *error; /* NULL = it was answered */
    const char *client;        /* address and port */
    const char *method;
    struct view path;
};

void query_log_init(struct query_log *l);
void query_log_deinit(struct query_log *l);
/* Opens (creates) the file anew, so that it may have been moved away; "" closes it. On error, what was open stays.
 * Any thread. */
MUST_USE bool query_log_open(struct query_log *l, struct view path, struct error *err);
bool query_log_is_open(struct query_log *l);
/* Any thread; lines are whole. Nothing happens when no file is open. */
void query_log_write(struct query_log *l, const struct query_log_entry *entry);
/* {"timings":{...},"samples":{...}}, as the API's statistics too. */
void query_stats_write(struct buffer *out, const struct query_stats *s, double queue_seconds);

#endif
