/* SPDX-License-Identifier: Apache-2.0 */
/* health_private.h: one check and its thread (health_check.c), for health.c and the built-in ones. */
#ifndef BELFRY_INSTRUMENT_HEALTH_PRIVATE_H
#define BELFRY_INSTRUMENT_HEALTH_PRIVATE_H

#include "base/attributes.h"
#include "belfry/health.h"

struct check;

/* Starts it. BELFRY_ERROR_MEMORY or BELFRY_ERROR_SYSTEM; its argument is then not released. Checked before. */
MUST_USE belfry_status belfry__check_start(struct check **out, const belfry_health_check *check,
                                           belfry_log *log);
struct check *belfry__check_ref(struct check *c);
void belfry__check_unref(struct check *c);
/* Tells it to end; belfry__check_join() waits for that, at most its timeout. */
void belfry__check_stop(struct check *c);
void belfry__check_join(struct check *c);
const char *belfry__check_name(const struct check *c);

/* What it says now. name and reason point into *room. Logs when it changed. */
struct check_room {
    char reason[BELFRY_HEALTH_REASON_BYTES];
};
void belfry__check_read(struct check *c, struct check_room *room, belfry_health_result *out);

/* Memory in use as a part of what there may be, and a word for that. False with a reason. */
MUST_USE bool belfry__memory_ratio(const char *root, double *ratio, uint64_t *limit_bytes,
                                   bool *is_group, char reason[BELFRY_HEALTH_REASON_BYTES]);

#endif
