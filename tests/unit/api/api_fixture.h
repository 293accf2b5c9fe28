/* SPDX-License-Identifier: Apache-2.0 */
/* api_fixture.h: a server of the API over a few known series, and how a client asks it. */
#ifndef BELFRY_TESTS_API_FIXTURE_H
#define BELFRY_TESTS_API_FIXTURE_H

#include "api/api.h"
#include "storage/memory_source.h"

/* A source with one series whose reader never ends by itself: it turns until the query is cancelled. */
struct endless {
    struct storage_source source;
    struct storage_view view;
    struct storage_reader reader;
    _Atomic bool reading;
};

struct world {
    struct memory_source *memory;
    struct endless endless;
    struct pool *pool;
    struct http_server *server;
    struct alert_router *alert_router; /* set before world_start(), or NULL */
    struct alert_state *alert_state;
    struct api *api;
    bool ready;
    uint16_t port; /* that get() asks */
};
extern struct world world;

/* Group fixtures of cmocka. */
int world_start(void **state);
int world_stop(void **state);
/* count samples of a series, step_ms apart. */
void world_add(const char *series, int64_t from_ms, int64_t step_ms, const double *values,
               size_t count);

/* Connected to the loopback address. */
int world_dial(uint16_t port);
/* Sends a request that ends its connection to world.port; the whole answer, owned by the caller: free(). */
char *world_exchange(const char *request, size_t request_bytes);
char *world_get(const char *target);

#endif
