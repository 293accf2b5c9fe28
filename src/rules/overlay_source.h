/* SPDX-License-Identifier: Apache-2.0 */
/* overlay_source.h: history with some metrics in place of its own: those that rules record in memory while the past is
 * evaluated. A metric of these names is that of memory alone, everything else is history's. One thread pins and writes
 * memory; readers as cursor.h has them. */
#ifndef BELFRY_RULES_OVERLAY_SOURCE_H
#define BELFRY_RULES_OVERLAY_SOURCE_H

#include "base/map.h"
#include "storage/cursor.h"

struct overlay_source;

/* Borrows all three; `names` are metrics. */
struct overlay_source *overlay_source_new(struct storage_source *history,
                                          struct storage_source *memory,
                                          const struct string_map *names);
void overlay_source_free(struct overlay_source *o); /* NULL does nothing */
struct storage_source *overlay_source_as_source(struct overlay_source *o);

#endif
