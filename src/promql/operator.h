/* SPDX-License-Identifier: Apache-2.0 */
/* operator.h: the parts that a query is made of, and what they share (private to promql/).
 *
 * An operator is opened on the query's thread; from then on its output series (label handles) are fixed and
 * cut into morsels, and any worker may ask for any morsel: a batch of some series by all steps of the
 * operator's grid. Operators that map series one to one (scans, functions, unary, vector with scalar) keep
 * their child's morsels, so a whole chain runs on one worker without a copy. Operators that need all of
 * their input (aggregations, the table side of a join, merges) consume it while they are opened,
 * spreading the child's morsels over the pool, and answer from what they keep.
 *
 * The answer does not depend on the number of workers: morsels depend on the plan alone, and what is
 * folded is merged in the order of morsels (operator_fold). */
#ifndef BELFRY_PROMQL_OPERATOR_H
#define BELFRY_PROMQL_OPERATOR_H

#include "base/arena.h"
#include "base/attributes.h"
#include "base/clock.h"
#include "base/error.h"
#include "base/pool.h"
#include "model/label_store.h"
#include "promql/ast.h"
#include "promql/engine.h"
#include "promql/explain.h"
#include "storage/cursor.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

/* The instants at which an expression is evaluated: the query's own, or a subquery's. */
struct grid {
    int64_t start_ms, step_ms;
    uint32_t steps; /* at least 1 */
};
static inline int64_t grid_time(const struct grid *g, uint32_t step)
{
    return g->start_ms + (int64_t)step * g->step_ms;
}
static inline int64_t grid_end(const struct grid *g)
{
    return grid_time(g, g->steps - 1);
}
/* 64-bit words of a presence bitmap over `steps`. */
static inline uint32_t presence_words(uint32_t steps)
{
    return (steps + 63) / 64;
}

/* MORSEL_POINTS keeps a batch in the L2 cache; MORSEL_SERIES keeps instant queries divisible. Chosen, not
 * measured. */
enum { MORSEL_POINTS_MAX = 64 * 1024, MORSEL_SERIES_MAX = 128 };

struct batch_buffer;

/* Some series by all steps. Row i belongs to series first + i of its operator. A value without its
 * presence bit is undefined (absent is not NaN); bits past the last step are 0. Owned by who asked for it. */
struct batch {
    uint32_t first, count, steps, words;
    double *values;                            /* count * steps */
    uint64_t *presence;                        /* count * words */
    const struct histogram *const *histograms; /* NULL = floats only; else count * steps */
    int64_t samples; /* counted against the query's limit while it lives */
    struct batch_buffer *buffer;
};
static inline double *batch_values(const struct batch *b, uint32_t row)
{
    return b->values + (size_t)row * b->steps;
}
static inline uint64_t *batch_presence(const struct batch *b, uint32_t row)
{
    return b->presence + (size_t)row * b->words;
}

/* All series by all steps: what an operator keeps. */
struct matrix {
    struct matrix *next, *previous; /* of the evaluation */
    uint32_t series_count, steps, words;
    double *values;
    uint64_t *presence;
    int64_t samples;
    size_t bytes;
};
static inline double *matrix_values(const struct matrix *m, uint32_t row)
{
    return m->values + (size_t)row * m->steps;
}
static inline uint64_t *matrix_presence(const struct matrix *m, uint32_t row)
{
    return m->presence + (size_t)row * m->words;
}

static inline bool presence_get(const uint64_t *bits, uint32_t step)
{
    return bits[step >> 6] >> (step & 63) & 1;
}
static inline void presence_set(uint64_t *bits, uint32_t step)
{
    bits[step >> 6] |= UINT64_C(1) << (step & 63);
}
static inline void presence_clear(uint64_t *bits, uint32_t step)
{
    bits[step >> 6] &= ~(UINT64_C(1) << (step & 63));
}
/* Sets the bits of all steps. */
void presence_fill(uint64_t *bits, uint32_t steps);
int64_t presence_count(const uint64_t *bits, uint32_t words);

/* What one worker of a query owns. Arrays grow and are kept from morsel to morsel. */
struct worker {
    struct eval *eval;
    struct storage_reader *reader; /* made at the first read */
    struct error error;            /* set by whoever returns false */
    int64_t *step_samples;         /* read per step of the query; made at the first use */
    struct window_scratch *window; /* window.h; made at the first use */
    struct scratch {
        void *ptr;
        size_t bytes;
    } scratch[4];
};
/* At least `bytes` in place `slot`; valid until the next call with the same slot. */
void *worker_scratch(struct worker *w, unsigned slot, size_t bytes);
MUST_USE bool worker_read(struct worker *w, uint64_t ref, int64_t mint, int64_t maxt,
                          struct samples *out);

/* How what an operator reads counts as the query's samples: at the steps that it is read for; at every step of the
 * query, because it is evaluated once for all; not at all, because the windows over it count (inside a subquery). */
enum sample_counting { COUNT_AT_STEPS, COUNT_AT_ALL, COUNT_NOT };
/* `used` samples for one window or several; COUNT_AT_STEPS leaves the steps to the caller. */
void worker_count_read(struct worker *w, enum sample_counting how, int64_t used);
/* The worker's counts per step, made when it is not there yet. */
int64_t *worker_step_samples(struct worker *w);

enum annotation_kind { ANNOTATION_WARNING, ANNOTATION_INFO };

/* One evaluation. Fields without a word on threads are constant after it began. */
struct eval {
    struct arena *arena; /* query thread: lives as long as the query */
    struct label_store
        *labels; /* query thread writes, workers read what was there before they began */
    struct storage_view *view;
    const struct promql *promql;
    struct pool *pool;
    struct worker *workers;
    unsigned worker_count;

    struct grid grid; /* of the query */
    int64_t end_ms;   /* as asked: @ end() and end(), not the last step */
    bool instant;
    int64_t lookback_ms, subquery_step_ms;
    bool delayed_name_removal;
    symbol_id name_symbol; /* __name__ */

    const atomic_bool *cancel;
    mono_time deadline;
    int64_t timeout_ms, samples_max;
    size_t memory_max_bytes;
    struct shared_operators *shared; /* query thread: plan.c */

    enum sample_counting counting; /* query thread: of what is opened now */
    struct plan_tree *plan;        /* explain=analyze; else NULL */
    bool by_step;                  /* samples are counted per step, too */
    _Atomic int64_t *samples_read; /* relaxed; the query's */

    _Atomic int64_t samples_now, samples_peak; /* relaxed: limits and statistics */
    _Atomic int64_t bytes_now;

    pthread_mutex_t mutex; /* guards the rest */
    struct batch_buffer *buffers_free;
    struct matrix *matrices;
    struct annotation *annotations;
    struct repair_note *repairs;
    size_t series_selected; /* query thread */
};

struct bucket_repair;
struct operation;
struct operator_ops {
    /* Any worker, after the operator was opened. On success *out is the caller's; on error w->error. */
    bool (*morsel)(struct operation *op, uint32_t idx, struct worker *w, struct batch *out);
    /* Query thread: nobody asks for batches any more; gives back what is large. May be NULL. */
    void (*release)(struct operation *op);
};
struct operation {
    const struct operator_ops *ops;
    struct eval *eval;
    struct grid grid;
    uint32_t series_count;
    labels_id *labels;
    bool *drop_name; /* delayed name removal: whose name goes at the end; NULL = nobody's */
    uint32_t morsel_count;
    uint32_t *morsel_first; /* morsel_count + 1 numbers of series */
    uint32_t users;         /* operators that still want batches */
    bool ordered;           /* an instant result in this order of series is meant so (sort, topk) */
    struct plan_node *trace; /* where batches are counted; NULL = nowhere */
};
/* explain.c: operator_morsel() that counts. */
bool operator_morsel_traced(struct operation *op, uint32_t idx, struct worker *w,
                            struct batch *out);
MUST_USE static inline bool operator_morsel(struct operation *op, uint32_t idx, struct worker *w,
                                            struct batch *out)
{
    if (UNLIKELY(op->trace != NULL))
        return operator_morsel_traced(op, idx, w, out);
    return op->ops->morsel(op, idx, w, out);
}
void operator_init(struct operation *op, const struct operator_ops *ops, struct eval *e,
                   const struct grid *grid);
/* Cuts series_count into morsels for the operator's number of steps. */
void operator_cut(struct operation *op);
/* The child's series, labels and morsels. */
void operator_inherit(struct operation *op, const struct operation *child);
/* One user fewer. */
void operator_release(struct operation *op);

/* Limits. Each returns false with *err set. */
MUST_USE bool eval_check(struct eval *e, struct error *err); /* deadline and cancellation */
/* Query thread: with its arena and labels, is it still below its memory limit? */
MUST_USE bool eval_check_memory(struct eval *e, struct error *err);
MUST_USE bool eval_add_samples(struct eval *e, int64_t count, struct error *err);
void eval_remove_samples(struct eval *e, int64_t count);
/* From the query's memory limit; NULL with ERROR_LIMIT. */
void *eval_try_alloc(struct eval *e, size_t bytes, struct error *err);
void eval_free(struct eval *e, void *ptr, size_t bytes);
/* "PromQL warning: TEXT (line:column)"; equal ones are kept once. Any worker. */
void eval_annotate(struct eval *e, enum annotation_kind kind, struct span where, const char *format,
                   ...) PRINTF_LIKE(4, 5);
/* The text as it is; kept once. Any worker. */
void eval_annotate_text(struct eval *e, enum annotation_kind kind, struct view text);
/* What classic histograms of one metric needed, to be told as one info. */
struct repair_total {
    uint64_t count; /* histograms by steps */
    double bucket_min, bucket_max, diff_max;
    int64_t first_ms, last_ms;
};
void repair_total_add(struct repair_total *t, const struct bucket_repair *r, int64_t ms);
/* total->count > 0. Any worker. */
void eval_annotate_repairs(struct eval *e, struct span where, symbol_id name,
                           const struct repair_total *total);
/* What was collected. Query thread, when no worker is busy. */
void annotations_free(struct eval *e);
/* As Go prints a float with %g; "NaN", "+Inf". Returns text. */
const char *eval_number_text(double v, char text[64]);
struct annotation {
    struct annotation *next;
    enum annotation_kind kind;
    size_t len;
    char text[];
};

/* Readers, scratch, batches and matrices that are left. Query thread, when no worker is busy. */
void eval_deinit(struct eval *e);
/* Everything absent. */
MUST_USE bool batch_new(struct worker *w, uint32_t first, uint32_t count, uint32_t steps,
                        struct batch *out);
void batch_free(struct eval *e, struct batch *b);
/* Counts the present points against the limit; replaces what was counted before. On error the batch is
 * freed. */
MUST_USE bool batch_count(struct worker *w, struct batch *b);
/* Everything absent. NULL on error. */
struct matrix *matrix_new(struct eval *e, uint32_t series_count, uint32_t steps, struct error *err);
void matrix_free(struct eval *e, struct matrix *m); /* NULL is fine */
MUST_USE bool matrix_count(struct eval *e, struct matrix *m, struct error *err);

/* Consumes every morsel of `op`: digest() on any worker, in any order; merge() in the order of morsels,
 * one at a time (its effects are seen by the next). `partial` goes from one to the other. The batch is freed after
 * digest() unless it sets b->buffer to NULL (it took it). merge may be NULL. */
struct fold {
    bool (*digest)(struct fold *f, struct worker *w, uint32_t idx, struct batch *b, void **partial);
    bool (*merge)(struct fold *f, struct worker *w, uint32_t idx, void *partial);
    /* When a fold fails, partials that were not merged end here. NULL = nothing to free. */
    void (*drop)(struct fold *f, void *partial);
};
MUST_USE bool operator_fold(struct operation *op, struct fold *f, struct error *err);
/* Every series of op in one matrix. NULL on error. */
struct matrix *operator_materialise(struct operation *op, struct error *err);

/* operator_matrix.c: operators over kept series. Each takes `labels` (arena) as it is. */
struct operation *operator_from_matrix(struct eval *e, const struct grid *grid, struct matrix *m,
                                       labels_id *labels, bool *drop_name);
/* One step's values for every step of `grid`. NULL on error. Releases the child. */
struct operation *operator_broadcast(struct operation *child, const struct grid *grid,
                                     struct error *err);
/* If several series have the same labels, merges them: legal while no step has two. Else `op` itself.
 * NULL on error. Releases the child. */
struct operation *operator_merge(struct operation *op, struct error *err);
/* No series at all. */
struct operation *operator_empty(struct eval *e, const struct grid *grid);

#endif
