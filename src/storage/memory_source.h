/* SPDX-License-Identifier: Apache-2.0 */
/* memory_source.h: series in plain arrays, for PromQL scripts and rule unit tests: any timestamp,
 * nothing on disk. One writer, and no query while writing. */
#ifndef BELFRY_STORAGE_MEMORY_SOURCE_H
#define BELFRY_STORAGE_MEMORY_SOURCE_H

#include "model/labels.h"
#include "storage/cursor.h"

struct memory_source;

struct memory_source *memory_source_new(void);
void memory_source_free(struct memory_source *m);
/* Adds a sample, in any order of time; the last value given for a timestamp stays. Labels are copied. */
void memory_source_add(struct memory_source *m, struct labels ls, int64_t timestamp_ms,
                       double value);
/* Forgets the samples before a time, not the series. */
void memory_source_trim(struct memory_source *m, int64_t before_ms);
void memory_source_clear(struct memory_source *m);
struct storage_source *memory_source_as_source(struct memory_source *m);

#endif
