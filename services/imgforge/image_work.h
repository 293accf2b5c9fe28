/* SPDX-License-Identifier: Apache-2.0 */
/* image_work.h: what is done for a result that memory does not have: look for it where that waits, else fetch, then make the picture or
 * read what it is. It takes a thread for as long as it lasts, most of which is waiting: for the origin, for a permit. Limits
 * keep it in bounds, with shares for every origin (permits.h; docs/decisions/018-overload-of-imgforge.md):
 *
 *   jobs      threads: who finds none is told to come again (429)
 *   sources   that are being fetched or held in memory, and the bytes of them (source_policy.room)
 *   workers   operations on pixels at once, and the bytes that their pictures may hold (operations.h)
 */
#ifndef IMGFORGE_IMAGE_WORK_H
#define IMGFORGE_IMAGE_WORK_H

#include "flights.h"
#include "image_request.h"
#include "operations.h"
#include "watermarks.h"

#include <belfry/request.h>

struct image_work;

/* Borrowed while the work is there. */
struct image_work_options {
    const struct imgforge_settings *settings;
    const struct source_policy *sources;
    struct watermarks *watermarks;
    struct imgforge_metrics *metrics;
    struct image_cache *images, *information;
    struct pool *lookups; /* that wait for a disk or a server; NULL: the caches are memory alone */
    belfry_log *log;
};

MUST_USE bool image_work_start(struct image_work **out, const struct image_work_options *opts,
                               struct error *err);
/* Nobody waits any more, and no lookup runs: ends what is in work. NULL is fine. */
void image_work_stop(struct image_work *work);

/* w->landed is called when the result is there (FLIGHT_FOUND: in the cache), it failed, or w has left (flights.h), perhaps before this
 * returns: what is asked for at once is done once. Copies of
 * the request what it needs. Takes `who` (NULL: nobody): for whom the log lines and the origin's X-Request-Id are; of those that ask at
 * once, the first. */
void image_work_ask(struct image_work *work, const struct image_request *rq,
                    struct flight_waiter *w, belfry_request *who);
/* w waits no longer. Under locks, as flights_leave(). */
void image_work_leave(struct image_work *work, struct flight_waiter *w);
/* For the check "worker". */
struct pool *image_work_pool(struct image_work *work);

#endif
