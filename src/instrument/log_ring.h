/* SPDX-License-Identifier: Apache-2.0 */
/* log_ring.h: lines from many threads to one, without a lock. Design: top of log_ring.c. */
#ifndef BELFRY_INSTRUMENT_LOG_RING_H
#define BELFRY_INSTRUMENT_LOG_RING_H

#include "base/attributes.h"

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct log_ring {
    char *bytes; /* constant: `size` of them, a power of two */
    uint64_t size;

    char before_head[64];  /* head, tail and what is around them: cache lines of their own */
    _Atomic uint64_t head; /* writers: bytes ever claimed */
    char before_tail[64];
    _Atomic uint64_t tail; /* the reader: bytes ever taken out */
    char behind_tail[64];
};

/* At least `bytes` large, at least 64 KiB. False without memory. */
MUST_USE bool belfry__log_ring_init(struct log_ring *r, size_t bytes);
void belfry__log_ring_deinit(struct log_ring *r);
/* Empties it; nobody else uses it. */
void belfry__log_ring_reset(struct log_ring *r);

/* Any thread. False when there is no room. len <= a quarter of the ring. */
MUST_USE bool belfry__log_ring_push(struct log_ring *r, const char *line, size_t len);
/* Moves whole lines to `out`, as many as fit and are complete; returns their bytes. The reader only. */
size_t belfry__log_ring_take(struct log_ring *r, char *out, size_t out_bytes);
/* Would take find something? The reader only. */
bool belfry__log_ring_has_lines(const struct log_ring *r);

#endif
