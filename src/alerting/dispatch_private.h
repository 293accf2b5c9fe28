/* SPDX-License-Identifier: Apache-2.0 */
/* dispatch_private.h: what the files of the dispatcher share. */
#ifndef BELFRY_ALERTING_DISPATCH_PRIVATE_H
#define BELFRY_ALERTING_DISPATCH_PRIVATE_H

#include "alerting/alert_store.h"
#include "alerting/dispatch.h"
#include "alerting/route.h"
#include "alerting/route_table.h"

#include <stdatomic.h>

/* Of a duration; at most 73 years, so that it can be added to any time of these centuries. */
static inline int64_t ns_from_ms(int64_t ms)
{
    return ms > INT64_MAX / 4 / 1000000 ? INT64_MAX / 4 : ms * 1000000;
}

/* Alerts that one node of the tree takes and that have the same values of its group_by.
 *
 *   waiting (in the heap) -> flushing (in the heap, flush set) -> waiting
 *                                   | due again meanwhile
 *                                   v
 *                            overdue (not in the heap) -> flushed at once when the flush ends
 *
 * A group that is due while its receiver has flushes_max under way is parked (not in the heap) until one of them ends. */
struct alert_group {
    const struct route_node *node; /* of the table in force */
    struct labels labels;          /* owned */
    struct live_alert **items;     /* referenced; in no order */
    size_t count, capacity;
    struct map index; /* of items; only where there are more than GROUP_SCAN_MAX */
    int64_t due_mono_ns;
    int64_t last_flush_ns; /* wall; LIVE_ALERT_NEVER */
    size_t heap_at;        /* HEAP_NOT_IN */
    struct flush *flush;   /* on its way; NULL: none */
    uint32_t at;           /* in dispatch.groups */
    bool is_overdue;
    bool is_parked;
    struct alert_group *parked_before, *parked_after; /* in its receiver's line */
};
#define HEAP_NOT_IN SIZE_MAX

/* Of a receiver. Each flush under way holds its alerts and texts and waits in the sender's queues, which take SENDER_QUEUE_MAX: so
 * there are at most flushes_max, and who comes later waits here, in order, and costs nothing. */
struct receiver_line {
    size_t under_way;                 /* groups with a flush */
    struct alert_group *first, *last; /* parked */
};

/* What one integration is told in a flush. */
struct flush_job {
    struct flush *flush;
    struct integration *integration;
    struct live_alert *const *alerts; /* as they are sent */
    size_t alert_count;
    struct notification_kv recalled;
    int64_t expires_after_ns; /* of the log's entry */
};

/* Lives from the decision to send until the last integration is done. Immutable while it is on its way, but for the atomics. */
struct flush {
    struct arena arena; /* all that follows */
    struct dispatch *owner;
    struct alert_group *group; /* NULL: it is gone, after a reload. Dispatcher only */
    struct flush *next;        /* of those on their way. Dispatcher only */
    struct integrations *set;  /* referenced */
    struct view group_key, receiver;
    struct live_alert **resolved; /* as the group had them, referenced */
    size_t resolved_count;
    struct live_alert *
        *alerts; /* as they are sent, in their order: firing ones have no end; referenced */
    size_t alert_count;
    const uint64_t *firing_hashes, *resolved_hashes; /* ascending */
    size_t firing_hash_count, resolved_hash_count;
    size_t unacknowledged_count; /* of the firing ones */
    struct flush_job *jobs;
    size_t job_count;
    _Atomic size_t pending; /* release by the sender, acquired by who finds it 0 */
    atomic_bool has_failed; /* relaxed: ordered by pending */
};

struct dispatch {
    struct dispatch_options opts;
    struct integrations *set; /* referenced; NULL: no configuration yet */
    const struct alert_config *config;
    struct arena config_arena; /* the next three; of the configuration in force */
    struct route_table routes;
    struct receiver_line *lines;       /* as many as config->receivers */
    struct receiver_line **node_lines; /* of each node its receiver's */
    struct inhibitor *inhibitor;

    struct alert_store store;
    struct alert_group **groups; /* NULL: a free place */
    size_t group_places, group_capacity, group_count;
    uint32_t *free_groups;
    size_t free_group_count, free_group_capacity;
    struct map group_index;
    struct alert_group **heap; /* the least due first */
    size_t heap_count, heap_capacity;
    struct flush *flushes; /* on their way */

    int64_t start_mono_ns;                   /* no group is flushed before */
    int64_t maintenance_mono_ns, gc_mono_ns; /* when they are due */
    struct arena scratch;                    /* one call's */
    struct alert_router_stats stats;         /* its counters */
};

/* dispatch_group.c: groups and their heap */

/* The group of the alert at this node; made when there is none. */
void dispatch_group_insert(struct dispatch *d, uint32_t node, struct live_alert *a,
                           struct instant now);
void dispatch_group_schedule(struct dispatch *d, struct alert_group *g, int64_t due_mono_ns);
void dispatch_group_unschedule(struct dispatch *d, struct alert_group *g);
/* Takes out an alert if it is still this very one. */
void dispatch_group_remove_if_same(struct dispatch *d, struct alert_group *g,
                                   const struct live_alert *a);
void dispatch_group_free(struct dispatch *d, struct alert_group *g);
struct receiver_line *dispatch_group_line(const struct dispatch *d, const struct alert_group *g);
/* At the end of its receiver's line, out of the heap. */
void dispatch_group_park(struct dispatch *d, struct alert_group *g);
/* Takes it out of the line. */
void dispatch_group_unpark(struct dispatch *d, struct alert_group *g);
/* The group in which an alert with these labels is or would be; NULL: there is none. Sets the group's labels (borrowed from
 * `labels` and the scratch arena) and whether the alert is in it. */
const struct alert_group *dispatch_group_find(struct dispatch *d, uint32_t node,
                                              struct labels labels, uint64_t fingerprint,
                                              struct labels *group_labels, bool *has_alert);
/* NODE:{alertname="x"} */
void dispatch_key_format(const struct route_node *node, struct labels labels, struct buffer *out);

/* dispatch_flush.c */
void dispatch_flush(struct dispatch *d, struct alert_group *g, struct instant now);

/* dispatch.c: the history learns, once, that an episode ended. */
void dispatch_tell_end(struct dispatch *d, struct alert_entry *e, int64_t now_ns);

#endif
