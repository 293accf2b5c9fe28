/* SPDX-License-Identifier: Apache-2.0 */
/* imgforge_metrics.h: what imgforge counts. Names, labels and buckets are a contract with those who watch it (docs/imgforge/11_prometheus_monitoring.md): what is
 * of a closed set is there at zero from the start. Histograms keep the request that the calling thread works for as an exemplar.
 * Any thread. */
#ifndef IMGFORGE_IMGFORGE_METRICS_H
#define IMGFORGE_IMGFORGE_METRICS_H

#include "base/error.h"
#include "image_cache.h"
#include "image_options.h"
#include "service/service.h"
#include "source_fetch.h"

enum image_operation { OPERATION_PROCESS, OPERATION_INFO, OPERATION_WATERMARK, OPERATION_COUNT };

struct imgforge_metrics;

/* Registers all in the process's registry. One at a time. */
MUST_USE bool imgforge_metrics_open(struct imgforge_metrics **out, unsigned workers,
                                    struct error *err);
/* Afterwards nothing is counted; what was registered stays. NULL is fine. */
void imgforge_metrics_close(struct imgforge_metrics *m);

/* Of each request that ended. */
void metrics_request(struct imgforge_metrics *m, const struct service_observation *seen);
/* A source was asked for; one that was refused is none. */
void metrics_source(struct imgforge_metrics *m, enum source_outcome outcome, double seconds);
/* A picture was made. */
void metrics_processed(struct imgforge_metrics *m, enum image_format format, double seconds);
/* Of the cache of pictures, or of information. CACHE_NONE counts nothing. */
void metrics_lookup(struct imgforge_metrics *m, enum cache_type type, bool is_information,
                    bool is_hit);
/* An operation waits for its permit, has it, and gives it back. */
void metrics_operation_waits(struct imgforge_metrics *m, enum image_operation op);
void metrics_operation_begins(struct imgforge_metrics *m, enum image_operation op, bool has_permit,
                              double waited_seconds, double queued_seconds);
void metrics_operation_ends(struct imgforge_metrics *m, enum image_operation op, double seconds);

#endif
