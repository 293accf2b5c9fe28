/* SPDX-License-Identifier: Apache-2.0 */
/* heartbeat_private.h: what heartbeat.c (times, state, alerts) and heartbeat_send.c (requests) share. */
#ifndef BELFRY_ALERTING_HEARTBEAT_PRIVATE_H
#define BELFRY_ALERTING_HEARTBEAT_PRIVATE_H

#include "alerting/heartbeat.h"
#include "base/clock.h"
#include "ingest/client.h"

/* A URL that is told that all is well. The thread of heartbeats but for `stats`. */
struct heartbeat_target {
    struct config *config; /* a reference, as `entry` is in it */
    const struct config_heartbeat *entry;
    struct client client;     /* easy: NULL until the first request */
    struct redaction secrets; /* that its requests carried */
    char *url, *redirect;
    mono_time start; /* of the request on its way */
    mono_time due;
    size_t answer_left;
    bool in_multi;
    char *last_error;            /* said already; NULL: all was well */
    struct heartbeat_sent stats; /* under the mutex of heartbeats */
};

enum heartbeat_outcome { HEARTBEAT_GOES_ON, HEARTBEAT_SENT, HEARTBEAT_FAILED };

/* Makes the handle ready to be added to a multi. False: nothing is to be ended. */
MUST_USE bool heartbeat_begin(struct heartbeat_target *t, struct client_tokens *tokens,
                              struct error *err);
/* The transfer has ended and left its multi. */
enum heartbeat_outcome heartbeat_end(struct heartbeat_target *t, CURLcode code,
                                     struct client_tokens *tokens, struct error *err);
/* NULL is fine. */
void heartbeat_target_free(struct heartbeat_target *t);

#endif
