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

/* What one integration of a receiver is told of a group. Each goes its own way, so that one that is dead delays no other:
 *
 *   idle -> flushed: nothing to tell -> idle
 *        -> sending -> idle; ready where the group was flushed meanwhile (is_overdue)
 *        -> parked while its integration has flushes_max under way -> ready
 *   ready -> flushed at once, this lane alone */
enum lane_state { LANE_IDLE, LANE_SENDING, LANE_PARKED, LANE_READY };
struct group_lane {
    struct alert_group *group;
    struct integration_line *line;
    struct flush_job *job; /* LANE_SENDING: on its way */
    int64_t
        told; /* stamp of the last flush that it was told of, or that had nothing for it; 0: none */
    enum lane_state state;
    bool is_overdue;
    struct group_lane *before, *after; /* in its line, or in dispatch.ready */
};
struct lane_list {
    struct group_lane *first, *last;
};

/* Of an integration. Each notification under way holds its alerts and texts and waits in the sender's queue, which takes
 * SENDER_QUEUE_MAX: so there are at most flushes_max, and who comes later waits here, in order, and costs nothing. */
struct integration_line {
    size_t under_way, ready; /* lanes that are sending, and that will be looked at next */
    struct lane_list parked;
};

struct group_item {
    struct live_alert *alert; /* referenced */
    int64_t ended;            /* stamp of the first flush that found it to be over; 0: none did */
};

/* Alerts that one node of the tree takes and that have the same values of its group_by. Always in the heap. One that is over
 * leaves when all lanes were told of a flush that had it so. */
struct alert_group {
    const struct route_node *node; /* of the table in force */
    struct labels labels;          /* owned */
    struct group_item *items;      /* in no order */
    size_t count, capacity, ended_count;
    struct map index; /* of items; only where there are more than GROUP_SCAN_MAX */
    int64_t due_mono_ns;
    int64_t last_flush_ns; /* wall; LIVE_ALERT_NEVER */
    size_t heap_at;        /* HEAP_NOT_IN */
    uint32_t at;           /* in dispatch.groups */
    uint32_t lane_count;
    struct group_lane lanes[]; /* of each integration of the receiver, in their order */
};
#define HEAP_NOT_IN SIZE_MAX

/* What one integration is told in a flush. */
struct flush_job {
    struct flush *flush;
    struct group_lane *lane; /* NULL: it is gone, after a reload. Dispatcher only */
    struct integration *integration;
    struct live_alert *const *alerts; /* as they are sent */
    size_t alert_count;
    struct notification_entry known; /* what the log said that it was told; in the flush's arena */
    const uint64_t *over; /* ends that it knows when this is sent, for the log; ascending */
    size_t over_count;
    struct view reason;
    struct notification_kv recalled;
    int64_t expires_after_ns; /* of the log's entry */
    bool is_sent;             /* by the sender, before it says that it is done */
    bool is_finished;         /* dispatcher only */
};

/* Lives from the decision to send until the last integration is done. Immutable while it is on its way, but for is_sent and what
 * is the dispatcher's. */
struct flush {
    struct arena arena; /* all that follows */
    struct dispatch *owner;
    struct flush *next;       /* of those on their way. Dispatcher only */
    size_t jobs_left;         /* not finished. Dispatcher only */
    struct integrations *set; /* referenced */
    int64_t stamp;
    struct view group_key, receiver;
    struct live_alert *
        *alerts; /* as they are sent, in their order: firing ones have no end; referenced */
    size_t alert_count;
    const uint64_t *firing_hashes, *resolved_hashes; /* ascending */
    size_t firing_hash_count, resolved_hash_count;
    const uint64_t *old_hashes; /* ascending; those of resolved_hashes that have was_over */
    size_t old_hash_count;
    const uint64_t *muted_hashes; /* of ends in the group that are muted now */
    size_t muted_hash_count;
    size_t unacknowledged_count; /* of the firing ones */
    struct flush_job *jobs;
    size_t job_count;
};

struct dispatch {
    struct dispatch_options opts;
    struct integrations *set; /* referenced; NULL: no configuration yet */
    const struct alert_config *config;
    struct arena config_arena; /* the next two; of the configuration in force */
    struct route_table routes;
    struct integration_line **node_lines; /* of each node those of its receiver's integrations */
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
    struct lane_list ready;
    size_t ended_count; /* of all groups */
    int64_t stamp;      /* of the last flush: ascending, and about its mono_ns */

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
/* Takes out the alert at this place; the last one moves there. */
void dispatch_group_remove(struct dispatch *d, struct alert_group *g, uint32_t at);
/* Notes when a flush found it to be over; 0: it is not. */
void dispatch_group_set_ended(struct dispatch *d, struct alert_group *g, struct group_item *item,
                              int64_t stamp);
/* Where more than ends_max that are over wait to be told, the oldest are given up. */
void dispatch_bound_ends(struct dispatch *d);
void dispatch_group_free(struct dispatch *d, struct alert_group *g);
struct integration_list dispatch_integrations_of(const struct dispatch *d,
                                                 const struct route_node *node);
/* Puts a lane that is in no list at the end of its integration's line, or of those that are looked at next. */
void dispatch_lane_park(struct group_lane *lane);
void dispatch_lane_ready(struct dispatch *d, struct group_lane *lane);
/* Takes it out of the list that it is in; it is idle then. */
void dispatch_lane_take(struct dispatch *d, struct group_lane *lane);
/* So many of those that are parked as there is room for are looked at next. */
void dispatch_line_wake(struct dispatch *d, struct integration_line *line);
/* The group in which an alert with these labels is or would be; NULL: there is none. Sets the group's labels (borrowed from
 * `labels` and the scratch arena) and whether the alert is in it. */
const struct alert_group *dispatch_group_find(struct dispatch *d, uint32_t node,
                                              struct labels labels, uint64_t fingerprint,
                                              struct labels *group_labels, bool *has_alert);
/* NODE:{alertname="x"} */
void dispatch_key_format(const struct route_node *node, struct labels labels, struct buffer *out);

/* dispatch_flush.c: at the group's time; and to a lane that is ready */
void dispatch_flush(struct dispatch *d, struct alert_group *g, struct instant now);
void dispatch_flush_lane(struct dispatch *d, struct group_lane *lane, struct instant now);

/* dispatch.c: the history learns, once, that an episode ended. */
void dispatch_tell_end(struct dispatch *d, struct alert_entry *e, int64_t now_ns);

#endif
