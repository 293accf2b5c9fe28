/* SPDX-License-Identifier: Apache-2.0 */
/* outgoing_kept.h: connections that requests leave open, for the next one to the same server. Each is within a handle of libcurl's of
 * its own. Who may use which is outgoing.c's to say; here they are kept, found, and closed when nobody wants them. Any thread. */
#ifndef BELFRY_NET_OUTGOING_KEPT_H
#define BELFRY_NET_OUTGOING_KEPT_H

#include "base/attributes.h"
#include "base/error.h"

#include <curl/curl.h>
#include <stdint.h>

enum {
    OUTGOING_KEPT_MAX = 64,    /* beyond it the one that waits longest is closed */
    OUTGOING_KEPT_MS = 4000,   /* idle; servers close theirs after 5 s (Node.js) to 75 s (nginx) */
    OUTGOING_KEPT_LIFE_S = 60, /* used or not: what balances by names is asked again */
    OUTGOING_KEPT_ADDRESS_BYTES = 64
};

struct outgoing_kept;

/* Has a thread, for closing. */
MUST_USE bool outgoing_kept_start(struct outgoing_kept **out, struct error *err);
/* No request that knows it runs. NULL is fine. */
void outgoing_kept_stop(struct outgoing_kept *k);
/* The one that was given last for `server` (a hash) and that is connected to an address of which may(arg, address) says so; the caller's
 * now. NULL: there is none. may() is called under a lock. */
CURL *outgoing_kept_take(struct outgoing_kept *k, uint64_t server,
                         bool (*may)(void *arg, const char *address), void *arg);
/* Takes `easy`, whose last request to `server`, at `address`, went well. */
void outgoing_kept_give(struct outgoing_kept *k, CURL *easy, uint64_t server, const char *address);

#endif
