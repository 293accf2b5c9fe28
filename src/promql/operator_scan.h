/* SPDX-License-Identifier: Apache-2.0 */
/* operator_scan.h: the leaves: selectors and subqueries, fused with what is computed of their windows. */
#ifndef BELFRY_PROMQL_OPERATOR_SCAN_H
#define BELFRY_PROMQL_OPERATOR_SCAN_H

#include "promql/operator.h"
#include "promql/window.h"

/* A selector's series; labels as stored. `where` is the place that annotations name. `call` is copied, with
 * its parameters borrowed. NULL on error. */
struct operation *operator_scan(struct eval *e, const struct selector *selector, struct span where,
                                const struct window_frame *frame, const struct window_call *call,
                                struct error *err);
/* The same, but only of series that `keep` wants; it is asked once for each, before anything is read. */
struct operation *operator_scan_where(struct eval *e, const struct selector *selector,
                                      struct span where, const struct window_frame *frame,
                                      const struct window_call *call,
                                      bool (*keep)(void *arg, labels_id id), void *arg,
                                      struct error *err);
/* The windows of `frame` over what `inner` gives on its own grid. Takes `inner`. */
struct operation *operator_subquery(struct operation *inner, struct span where,
                                    const struct window_frame *frame,
                                    const struct window_call *call);

#endif
