/* SPDX-License-Identifier: Apache-2.0 */
/* notification.h: the data of notifications as templates see it: Alertmanager's Data, Alert and KV with their methods.
 * The caller fills the structs below; notification_value() makes the value of them. */
#ifndef BELFRY_TEMPLATE_NOTIFICATION_H
#define BELFRY_TEMPLATE_NOTIFICATION_H

#include "template/value.h"

/* Names and values. Template code sees a template.KV: a map with SortedPairs, Remove, Names, Values. */
struct notification_kv {
    struct view *names;
    struct view *values;
    size_t count;
};

struct notification_alert {
    struct view status; /* "firing", "resolved" */
    struct notification_kv labels, annotations;
    struct template_time starts_at, ends_at; /* ends_at: Go's zero time while it has none */
    struct view generator_url, fingerprint;
};

struct notification {
    struct view receiver, status;
    const struct notification_alert *alerts;
    size_t alert_count;
    struct view reason; /* NotificationReason */
    struct notification_kv group_labels, common_labels, common_annotations, route_labels;
    struct view external_url;
};

extern const struct template_type TEMPLATE_TYPE_KV, TEMPLATE_TYPE_PAIRS, TEMPLATE_TYPE_PAIR,
    TEMPLATE_TYPE_NAMES, /* template.Strings */
    TEMPLATE_TYPE_ALERT, TEMPLATE_TYPE_ALERTS, TEMPLATE_TYPE_NOTIFICATION;

/* The value in `arena`; borrows the texts. About 0.1 us per label. */
struct template_value notification_value(struct arena *arena, const struct notification *n);
struct template_value notification_kv_value(struct arena *arena, const struct notification_kv *kv);

#endif
