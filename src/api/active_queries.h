/* SPDX-License-Identifier: Apache-2.0 */
/* active_queries.h: the queries that are being evaluated: listed, and cancelled by their id. Any thread. */
#ifndef BELFRY_API_ACTIVE_QUERIES_H
#define BELFRY_API_ACTIVE_QUERIES_H

#include "base/buffer.h"
#include "base/clock.h"
#include "base/view.h"

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

struct query;

/* One of them; placed by who evaluates it, who fills the fields before active_queries_add(). */
struct active_query {
    const char *kind;   /* "instant" or "range" */
    struct view text;   /* borrowed, as all here, until active_queries_remove() */
    const char *client; /* address and port */
    struct query *query;

    uint64_t id; /* set by active_queries_add(): from 1, never given twice */
    wall_time start;
    mono_time began;
    struct active_query *next, *previous;
};

struct active_queries {
    pthread_mutex_t mutex; /* a leaf: guards the rest, and the queries against their end */
    struct active_query *first, *last;
    uint64_t last_id;
};

void active_queries_init(struct active_queries *a);
void active_queries_deinit(struct active_queries *a); /* when none is left */
void active_queries_add(struct active_queries *a, struct active_query *q);
void active_queries_remove(struct active_queries *a, struct active_query *q);
/* False when there is none of that id (any more). It ends as soon as it looks: within milliseconds. */
bool active_queries_cancel(struct active_queries *a, uint64_t id);
/* A JSON array, oldest first. */
void active_queries_write(struct active_queries *a, struct buffer *out);

#endif
