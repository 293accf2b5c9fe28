/* SPDX-License-Identifier: Apache-2.0 */
/* target.h: what is scraped, as configuration and relabelling made it. Immutable and reference counted:
 * any thread may read. What happens to it (when, how it went) is the scrape's, not the target's.
 *
 * Labels as in Prometheus 3: __address__, job, __scheme__, __metrics_path__, __scrape_interval__,
 * __scrape_timeout__ and __param_NAME go into relabelling; afterwards they say where, how and how often;
 * what does not begin with __ is on every series. No port is added to an address. */
#ifndef BELFRY_INGEST_TARGET_H
#define BELFRY_INGEST_TARGET_H

#include "base/arena.h"
#include "base/attributes.h"
#include "base/buffer.h"
#include "base/error.h"
#include "base/view.h"
#include "ingest/config.h"
#include "model/labels.h"

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

struct target {
    _Atomic uint32_t refs;
    struct config *config;               /* referenced */
    const struct config_scrape_job *job; /* of that configuration */
    struct labels discovered;            /* before relabelling */
    bool dropped;                        /* by relabelling; nothing below is set then */
    struct labels labels;                /* of its series */
    struct view url;                     /* ends with a NUL that len does not count */
    struct view key;                     /* job, URL and labels: the same key, the same target */
    uint64_t hash;                       /* of the key, stable */
    int64_t interval_ms, timeout_ms;     /* > 0, timeout <= interval */
};

/* The target of `address` in a job, with labels of its target group. On success *out has one reference.
 * ERROR_INPUT when its labels after relabelling make no target (no address, bad interval ...). */
MUST_USE bool target_new(struct target **out, struct config *config,
                         const struct config_scrape_job *job, struct view address,
                         struct labels group_labels, struct error *err);
struct target *target_ref(struct target *t);
void target_unref(struct target *t); /* NULL does nothing */

/* Appends scheme://address/path; the path is escaped where it must be and begins with a slash whatever it is.
 * ERROR_INPUT when the scheme is not http or https, or the address holds what would end it in a URL. */
MUST_USE bool target_url_append(struct buffer *out, struct view scheme, struct view address,
                                struct view path, struct error *err);

/* A hash of what a job does with a line: while it is the same, cached lines stay what they are. */
uint64_t target_job_series_hash(const struct config_scrape_job *job);

#endif
