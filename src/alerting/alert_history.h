/* SPDX-License-Identifier: Apache-2.0 */
/* alert_history.h: what was: each episode of each alert, and each notification. Read from alerts.db on connections of
 * their own: a question waits for the disk (never on a thread that serves connections), or for one of a few connections, and not
 * for who writes; who writes does not wait for it. What happened in the last
 * fraction of a second, or while the database fails, may not be in it yet. */
#ifndef BELFRY_ALERTING_ALERT_HISTORY_H
#define BELFRY_ALERTING_ALERT_HISTORY_H

#include "alerting/acknowledgement.h"
#include "alerting/alert_state.h"

enum {
    HISTORY_LIMIT_MAX = 10000,     /* of a page */
    HISTORY_EXAMINED_MAX = 200000, /* rows that one question looks at */
    HISTORY_NOTIFIED_MAX = 1000    /* alerts that are listed of one notification */
};

/* Where a page ends. Zeros: begin with the newest. */
struct history_place {
    int64_t at_ns, id;
};

struct alert_episode {
    int64_t id;
    struct live_alert
        alert; /* in the arena; no reference; ends_ns of an open one as it was expected */
    bool is_open;
    uint64_t changes; /* of annotations, value or times, while it lasted */
};

struct alert_history_query {
    const uint64_t *fingerprint;     /* NULL: any */
    const struct matchers *matchers; /* NULL: any */
    int64_t from_ns, to_ns; /* episodes that were there in between, ends included; 0, 0: any */
    bool open_only;
    size_t limit; /* 0: 100; at most HISTORY_LIMIT_MAX */
    struct history_place after;
};
struct alert_history_page {
    struct alert_episode *items; /* the latest start first */
    size_t count;
    bool has_more; /* there may be, behind `next`; a page may be empty and have more */
    struct history_place next;
};
/* ERROR_UNAVAILABLE, ERROR_IO. In the arena. Any thread. */
MUST_USE bool alert_history_episodes(struct alert_state *s, struct arena *arena,
                                     const struct alert_history_query *q,
                                     struct alert_history_page *out, struct error *err);

struct past_notification {
    int64_t id, at_ns, latency_ns;
    struct notification_key key;
    unsigned attempts;
    long status;
    bool is_sent;
    struct view error;
    uint64_t payload_hash;
    size_t firing_count, resolved_count;
    const uint64_t
        *alerts; /* fingerprints, ascending as signed numbers; the first HISTORY_NOTIFIED_MAX */
    size_t alert_count;
};
struct notification_history_query {
    const uint64_t *fingerprint; /* NULL: of any alert */
    struct view receiver;        /* empty: any */
    int64_t from_ns, to_ns;      /* 0, 0: any */
    bool failed_only;
    size_t limit; /* 0: 100; at most 1000 */
    struct history_place after;
};
struct notification_history_page {
    struct past_notification *items; /* the latest first */
    size_t count;
    bool has_more;
    struct history_place next;
};
MUST_USE bool alert_history_notifications(struct alert_state *s, struct arena *arena,
                                          const struct notification_history_query *q,
                                          struct notification_history_page *out, struct error *err);

/* All acknowledgements that an alert had, those that ended too, the latest first; at most HISTORY_LIMIT_MAX. */
MUST_USE bool alert_history_acknowledgements(struct alert_state *s, struct arena *arena,
                                             uint64_t fingerprint, struct acknowledgements *out,
                                             struct error *err);

#endif
