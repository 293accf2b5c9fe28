/* SPDX-License-Identifier: Apache-2.0 */
/* window.h: the windows of all steps over one series' samples, and the functions over them. Bounds are found with
 * two cursors (cost: samples + steps) and kept while series share their timestamps. Functions whose windows
 * overlap are computed by sliding where that gives the same answer; the rest call range_functions.h per window. */
#ifndef BELFRY_PROMQL_WINDOW_H
#define BELFRY_PROMQL_WINDOW_H

#include "promql/operator.h"

/* Where the window of each step lies: (end - range, end], end = (at or the step's time) - offset. */
struct window_frame {
    struct grid grid;
    int64_t offset_ms, range_ms;
    int64_t at_ms;
    bool fixed; /* by @: at_ms for every step */
};
static inline int64_t frame_end(const struct window_frame *f, uint32_t step)
{
    return (f->fixed ? f->at_ms : grid_time(&f->grid, step)) - f->offset_ms;
}
/* The times (both included) that all windows together touch. */
static inline int64_t frame_mint(const struct window_frame *f)
{
    return frame_end(f, 0) - f->range_ms + 1;
}
static inline int64_t frame_maxt(const struct window_frame *f)
{
    return frame_end(f, f->grid.steps - 1);
}

/* What is computed of each window. */
enum window_kind {
    WINDOW_LAST,      /* the newest sample; nothing when it is a stale marker (instant selectors) */
    WINDOW_LAST_TIME, /* its time in seconds: timestamp(selector) */
    WINDOW_SMOOTHED, /* on the line between the samples around; the newest one where none follows */
    WINDOW_PRESENT,  /* 1 where there is any sample: absent_over_time */
    WINDOW_FUNCTION
};
struct window_call {
    enum window_kind kind;
    enum function_id function;   /* WINDOW_FUNCTION */
    const double *const *params; /* per scalar argument: a value per step */
    uint32_t param_count;
    bool extended, smoothed; /* anchored or smoothed selector; lookback_ms on both sides */
    int64_t lookback_ms;
};

struct window_scratch;
void window_scratch_free(struct window_scratch *s); /* NULL is fine */

/* Computes `call` for every step: values[steps], and sets bits in presence (zero before). `owner`
 * tells whose times_id it is. False with w->error when the query has to stop. About 1 ns per sample and 2 per step for rate: bench/engine_bench.c. */
MUST_USE bool window_apply(struct worker *w, const void *owner, const struct window_frame *frame,
                           const struct window_call *call, const struct samples *samples,
                           double *values, uint64_t *presence);

/* How many samples the last window_apply() of this worker used: of a selector one for each step that has a value, of
 * ranges each sample once for each window that holds it (Prometheus' totalQueryableSamples). */
int64_t window_samples_used(const struct worker *w);
/* The same, step by step: adds to steps[]. `presence` is what window_apply() set. */
void window_samples_add(const struct worker *w, const struct window_frame *frame,
                        const struct window_call *call, const uint64_t *presence, int64_t *steps);

#endif
