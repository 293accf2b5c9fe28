/* SPDX-License-Identifier: Apache-2.0 */
/* heartbeat.h: the dead man's switch, in both directions (section `heartbeats` of the configuration).
 *
 * - send: while all is well, each URL is asked at its interval. Who watches there rings when it stays away: because this
 *   server is gone, or because it does not say that all is well.
 * - expect: others tell that they are alive. One that stays away for longer than `within` is an alert, HeartbeatMissing,
 *   told to the sink as a rule tells its alerts, until it comes.
 *
 * When each one came last is kept in state_dir. After a start, everybody has at least HEARTBEAT_GRACE_MS, or `within` where
 * that is less: what came while nobody listened is not known. */
#ifndef BELFRY_ALERTING_HEARTBEAT_H
#define BELFRY_ALERTING_HEARTBEAT_H

#include "base/arena.h"
#include "base/attributes.h"
#include "base/error.h"
#include "base/view.h"
#include "ingest/config.h"
#include "rules/alert_sink.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { HEARTBEAT_GRACE_MS = 5 * 60 * 1000 };

struct heartbeats;

/* Everything is borrowed until heartbeats_stop(). */
struct heartbeats_options {
    /* Is all well? False with the reason. The thread of heartbeats; must not wait. NULL: always. */
    bool (*is_well)(void *arg, struct error *why);
    void *is_well_arg;
    struct alert_sink sink;  /* send NULL: nobody is told of what is missing */
    int64_t resend_delay_ms; /* how often; 0 = 1 min */
    const char *state_dir;   /* NULL: what came is not kept */
    void (*log)(void *arg, bool is_error, const char *event, const char *text);
    void *log_arg;
};

/* Starts the thread; there are no heartbeats yet. */
MUST_USE bool heartbeats_start(struct heartbeats **out, const struct heartbeats_options *opts,
                               struct error *err);
/* Requests on their way are given up. NULL is fine. */
void heartbeats_stop(struct heartbeats *h);
/* Puts a configuration in force; takes a reference. What came stays known to those of the same name; an alert of one that is
 * no longer expected is resolved. */
void heartbeats_apply(struct heartbeats *h, struct config *config);

/* One came. ERROR_NOT_FOUND: it is not expected. Any thread; never waits for I/O. */
MUST_USE bool heartbeats_beat(struct heartbeats *h, struct view name, struct error *err);

struct heartbeat_sent {
    size_t index;          /* in the list */
    uint64_t sent, failed; /* requests */
    uint64_t withheld;     /* times that all was not well */
    int64_t last_ms;       /* 0: never sent */
};
struct heartbeat_expected {
    struct view name;
    int64_t within_ms, last_ms; /* last_ms 0: never came */
    bool is_missing;
};
struct heartbeats_state {
    struct heartbeat_sent *sent;
    size_t sent_count;
    struct heartbeat_expected *expected;
    size_t expected_count;
};
/* In the arena, in the order of the file. Any thread. */
void heartbeats_state_get(struct heartbeats *h, struct arena *arena, struct heartbeats_state *out);

#endif
