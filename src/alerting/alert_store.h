/* SPDX-License-Identifier: Apache-2.0 */
/* alert_store.h: the alerts that there are, by fingerprint, with what routing notes of each. One thread at a time. */
#ifndef BELFRY_ALERTING_ALERT_STORE_H
#define BELFRY_ALERTING_ALERT_STORE_H

#include "alerting/alert_router.h"
#include "alerting/inhibitor.h"
#include "alerting/live_alert.h"
#include "base/map.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct alert_entry {
    struct live_alert *alert; /* referenced; NULL: the place is free */
    inhibitor_entry inhibitor;
    uint32_t group_count; /* groups that have it, and are not done with it */
    uint32_t next_free;
    enum alert_status status; /* when it was last looked at */
    bool is_end_known;        /* the history was told that this episode ended */
};

struct alert_store {
    struct alert_entry *items;
    size_t item_count, capacity; /* places */
    size_t count;                /* alerts */
    uint32_t free;
    struct map index;
};

#define ALERT_STORE_NONE MAP_NONE

void alert_store_init(struct alert_store *s);
void alert_store_deinit(struct alert_store *s);
/* The place of an alert, or ALERT_STORE_NONE. */
uint32_t alert_store_find(const struct alert_store *s, uint64_t fingerprint);
/* Adds one that is not there; takes the reference. Returns its place, which stays the same. */
uint32_t alert_store_add(struct alert_store *s, struct live_alert *a);
/* Replaces the alert of a place by another one of the same fingerprint; takes the reference. */
void alert_store_replace(struct alert_store *s, uint32_t at, struct live_alert *a);
void alert_store_remove(struct alert_store *s, uint32_t at);

/* What becomes of `old` when `news` of it comes; takes the reference of `news`. Alertmanager's rule: where their times overlap
 * it is one episode, which began at the earlier start; an end that somebody told holds against a guess. */
struct live_alert *alert_merge(const struct live_alert *old, struct live_alert *news,
                               int64_t now_ns);

#endif
