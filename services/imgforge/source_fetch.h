/* SPDX-License-Identifier: Apache-2.0 */
/* source_fetch.h: gets the picture that a URL names, from an origin that strangers chose: only allowed sources and addresses, for the
 * URL itself and for each that a redirect leads to, within size and time. Waits; any thread. What this thread works for
 * (belfry_request_enter()) is told to the origin: X-Request-Id, traceparent. */
#ifndef IMGFORGE_SOURCE_FETCH_H
#define IMGFORGE_SOURCE_FETCH_H

#include "base/buffer.h"
#include "image_failure.h"
#include "net/outgoing.h"
#include "permits.h"

struct source_policy {
    struct outgoing_policy outgoing;
    const char *const *allowed_prefixes; /* delivery.h, source_is_allowed() */
    size_t allowed_prefix_count;
    const char *user_agent;
    unsigned redirects_max;
    int64_t timeout_ms;
    /* Bytes that all sources together may hold, weighed and shared by origin; NULL: no bound. They are taken as bytes come, not on an
     * origin's word, and nobody waits for them: half sources would wait for each other. */
    struct permits *room;
};

/* Of a policy's room; zero: nothing. */
struct source_hold {
    struct permits *room;
    uint64_t key, bytes;
};

struct source {
    struct buffer bytes;
    /* Copies of headers; empty = not sent */
    struct buffer content_type, cache_control;
    int64_t modified_s;      /* Last-Modified, Unix seconds; 0: not known */
    uint64_t declared_bytes; /* Content-Length; 0: not sent */
    struct source_hold hold;
};

enum source_outcome {
    SOURCE_FETCHED,
    /* Asked, and got no picture. 400; 408 when the request's time ended before the download's, or it was cancelled; 429 when the
     * policy's room is full, or too many hosts are being asked for (net/outgoing_lookup.h) */
    SOURCE_FAILED,
    SOURCE_REFUSED /* the URL, or where a redirect leads, is not allowed or no URL: 400 "Source URL is not allowed" */
};

/* `origin` shares the policy's room: a hash. */
void source_init(struct source *s, uint64_t origin);
void source_deinit(struct source *s);
/* Gives back what it holds. */
void source_hold_end(struct source_hold *hold);
/* bytes_max 0: what memory for one source allows (SOURCE_BYTES_MAX). timeout_ms, what is left of the request: the less of the policy's
 * and this. Sets *f unless it is FETCHED; *out (initialised, empty) is then of no use, but is still the caller's. */
enum { SOURCE_BYTES_MAX = 256 << 20 };
enum source_outcome source_fetch(const struct source_policy *policy, const char *url,
                                 uint64_t bytes_max, int64_t timeout_ms, const atomic_bool *cancel,
                                 struct source *out, struct image_failure *f);

#endif
