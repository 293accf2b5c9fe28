/* SPDX-License-Identifier: Apache-2.0 */
/* prometheus_chunk.h: a Prometheus chunk of floats (encoding 1, "XOR") into samples. Layout: prometheus_chunk.c.
 * Pure; any thread. The bytes are another program's: nothing in them is trusted. */
#ifndef BELFRY_STORAGE_PROMETHEUS_CHUNK_H
#define BELFRY_STORAGE_PROMETHEUS_CHUNK_H

#include "base/attributes.h"
#include "base/view.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { PROMETHEUS_CHUNK_SAMPLES_MAX = UINT16_MAX };

/* How many samples the chunk says it has; 0 when it is too short to say. */
size_t prometheus_chunk_count(struct view data);
/* Decodes all of prometheus_chunk_count(data) samples. False when the bytes end before or cannot be that;
 * what `times` and `values` hold then is unspecified. */
MUST_USE bool prometheus_chunk_decode(struct view data, int64_t *times, double *values);

#endif
