/* SPDX-License-Identifier: Apache-2.0 */
/* posted_alert.h: an alert as it is posted to Alertmanagers: an object of the array that POST /api/v2/alerts takes, byte
 * for byte as Prometheus writes it. Immutable and reference counted: the queues of several Alertmanagers share it. */
#ifndef BELFRY_OUTBOUND_POSTED_ALERT_H
#define BELFRY_OUTBOUND_POSTED_ALERT_H

#include "base/buffer.h"
#include "base/view.h"
#include "model/labels.h"
#include "rules/alert_sink.h"

#include <stdatomic.h>
#include <stdint.h>

struct posted_alert {
    _Atomic uint32_t refs;
    size_t len;
    char json[];
};

/* With these labels instead of the notice's own. `scratch` is lent; what it holds is lost. One reference. */
struct posted_alert *posted_alert_new(const struct alert_notice *notice, struct labels labels,
                                      struct view external_url, struct buffer *scratch);
struct posted_alert *posted_alert_ref(struct posted_alert *a);
void posted_alert_unref(struct posted_alert *a); /* NULL does nothing */

#endif
