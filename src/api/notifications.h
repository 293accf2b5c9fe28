/* SPDX-License-Identifier: Apache-2.0 */
/* notifications.h: what people who look at the pages should know of the server itself now: that a reload failed, that it
 * starts or stops. Shown by /api/v1/notifications, and as server-sent events by /api/v1/notifications/live.
 *
 * A subscriber is a connection that sleeps: no thread is its own. Who does not read misses what its queue has no room for,
 * and is cut by the HTTP server's write timeout. Any thread. */
#ifndef BELFRY_API_NOTIFICATIONS_H
#define BELFRY_API_NOTIFICATIONS_H

#include "base/attributes.h"
#include "base/buffer.h"
#include "net/http_server.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
    NOTIFICATIONS_QUEUE_MAX = 10 /* events that a subscriber has not taken yet; as in Prometheus */
};

#define NOTIFICATION_RELOAD_FAILED "Configuration reload has failed."
#define NOTIFICATION_STARTING "Belfry is starting and replaying the write-ahead log (WAL)."
#define NOTIFICATION_STOPPING "Belfry is shutting down and gracefully stopping all operations."

struct notifications;

struct notifications *notifications_new(size_t subscribers_max);
/* After the last request. NULL is fine. */
void notifications_free(struct notifications *n);
/* Shows it and tells subscribers; again: with the time of now. `text` is static. */
void notifications_add(struct notifications *n, const char *text);
/* Takes it away, if it is there, and tells subscribers so. */
void notifications_delete(struct notifications *n, const char *text);
/* [{"text":...,"date":...,"active":true}, ...], oldest first. */
void notifications_write(struct notifications *n, struct buffer *out);
/* Makes the response a stream of events, beginning with those that are shown. False: there are as many as may be. */
MUST_USE bool notifications_subscribe(struct notifications *n, struct http_response *rs);

struct notifications_stats {
    uint64_t subscribers, updates_sent, updates_dropped;
};
void notifications_stats_get(struct notifications *n, struct notifications_stats *out);

#endif
