/* SPDX-License-Identifier: Apache-2.0 */
/* alert_sink.h: rules -> whoever delivers alerts: the router inside, senders to Alertmanagers outside. Rules tell an
 * alert when it fires, again each --rules.alert.resend-delay while it does, and when it is resolved, until 15 minutes
 * after. A sink keeps its own queue: it must neither wait nor fail. */
#ifndef BELFRY_RULES_ALERT_SINK_H
#define BELFRY_RULES_ALERT_SINK_H

#include "base/arena.h"
#include "base/attributes.h"
#include "base/buffer.h"
#include "base/view.h"
#include "ingest/config.h"
#include "model/labels.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Everything is borrowed during the call. */
struct alert_notice {
    struct labels labels;      /* with alertname; without the external labels */
    struct labels annotations; /* expanded; values may be empty */
    int64_t starts_ms;         /* when it fired, ms since the epoch */
    /* When it was resolved; of one that fires: when it may be taken for resolved if nothing more is heard, four times
     * the resend delay or the interval. */
    int64_t ends_ms;
    bool is_resolved;
    double value;
    struct view expr;              /* of the rule, as Prometheus prints it */
    struct view file, group, rule; /* where it comes from */
};

struct alert_sink {
    /* Any rule thread, several at once; the notices of one rule come in the order of its evaluations. */
    void (*send)(void *arg, const struct alert_notice *notices, size_t count);
    void *arg;
};

/* The labels with which an alert leaves the rules: its own, the external ones that it does not have, relabelled by the
 * alert_relabel_configs of `config`; in the arena. False: dropped by them. */
MUST_USE bool alert_notice_labels(const struct alert_notice *n, const struct config *config,
                                  struct arena *arena, struct labels *out);
/* Appends the generatorURL: EXTERNAL/graph?g0.expr=EXPR&g0.tab=1, as Prometheus links an expression's table. */
void alert_generator_url(struct buffer *out, struct view external_url, struct view expr);

#endif
