/* SPDX-License-Identifier: Apache-2.0 */
/* eval.c: what all operators of one evaluation share: limits, batches, matrices, annotations, and the fold
 * that spreads morsels over the pool and merges them in their order. */
#include "promql/operator.h"

#include "base/assert.h"
#include "base/thread.h"
#include "promql/window.h"

/* --- limits --- */

bool eval_check(struct eval *e, struct error *err)
{
    if (UNLIKELY(atomic_load_explicit(e->cancel, memory_order_relaxed)))
        return error_set(err, ERROR_CANCELED, "query was canceled in expression evaluation");
    if (UNLIKELY(clock_mono().ns > e->deadline.ns))
        return error_set(err, ERROR_TIMEOUT, "query timed out in expression evaluation");
    return true;
}

bool eval_check_memory(struct eval *e, struct error *err)
{
    size_t bytes = e->arena->used_bytes + label_store_bytes(e->labels) +
                   (size_t)atomic_load_explicit(&e->bytes_now, memory_order_relaxed);
    if (!e->memory_max_bytes || bytes <= e->memory_max_bytes)
        return true;
    return error_set(err, ERROR_LIMIT, "query needs more memory than it may use (%zu of %zu bytes)",
                     bytes, e->memory_max_bytes);
}

bool eval_add_samples(struct eval *e, int64_t count, struct error *err)
{
    int64_t now = atomic_fetch_add_explicit(&e->samples_now, count, memory_order_relaxed) + count;
    int64_t peak = atomic_load_explicit(&e->samples_peak, memory_order_relaxed);
    while (now > peak &&
           !atomic_compare_exchange_weak_explicit(&e->samples_peak, &peak, now,
                                                  memory_order_relaxed, memory_order_relaxed))
        ;
    if (LIKELY(now <= e->samples_max))
        return true;
    eval_remove_samples(e, count);
    return error_set(err, ERROR_LIMIT,
                     "query processing would load too many samples into memory in query execution");
}

void eval_remove_samples(struct eval *e, int64_t count)
{
    atomic_fetch_sub_explicit(&e->samples_now, count, memory_order_relaxed);
}

void *eval_try_alloc(struct eval *e, size_t bytes, struct error *err)
{
    int64_t now = atomic_fetch_add_explicit(&e->bytes_now, (int64_t)bytes, memory_order_relaxed) +
                  (int64_t)bytes;
    void *ptr = NULL;
    if (!e->memory_max_bytes || now <= (int64_t)e->memory_max_bytes)
        ptr = mem_try_alloc(MEM_QUERY, bytes ? bytes : 1);
    if (!ptr) {
        atomic_fetch_sub_explicit(&e->bytes_now, (int64_t)bytes, memory_order_relaxed);
        (void)error_set(err, ERROR_LIMIT,
                        "query needs more memory than it may use (%zu more bytes)", bytes);
    }
    return ptr;
}

void eval_free(struct eval *e, void *ptr, size_t bytes)
{
    if (!ptr)
        return;
    atomic_fetch_sub_explicit(&e->bytes_now, (int64_t)bytes, memory_order_relaxed);
    mem_free(MEM_QUERY, ptr);
}

/* --- presence --- */

void presence_fill(uint64_t *bits, uint32_t steps)
{
    uint32_t whole = steps / 64;
    for (uint32_t i = 0; i < whole; i++)
        bits[i] = UINT64_MAX;
    if (steps % 64)
        bits[whole] = (UINT64_C(1) << (steps % 64)) - 1;
}

int64_t presence_count(const uint64_t *bits, uint32_t words)
{
    int64_t count = 0;
    for (uint32_t i = 0; i < words; i++)
        count += __builtin_popcountll(bits[i]);
    return count;
}

/* --- workers --- */

void *worker_scratch(struct worker *w, unsigned slot, size_t bytes)
{
    ASSERT(slot < ARRAY_COUNT(w->scratch));
    if (w->scratch[slot].bytes < bytes || !w->scratch[slot].ptr) {
        mem_free(MEM_QUERY, w->scratch[slot].ptr);
        w->scratch[slot].bytes = bytes + bytes / 2 + 64; /* never nothing */
        w->scratch[slot].ptr = mem_alloc(MEM_QUERY, w->scratch[slot].bytes);
    }
    return w->scratch[slot].ptr;
}

bool worker_read(struct worker *w, uint64_t ref, int64_t mint, int64_t maxt, struct samples *out)
{
    if (UNLIKELY(!w->reader)) {
        w->reader = view_reader_new(w->eval->view, w->eval->cancel, &w->error);
        if (!w->reader)
            return false;
    }
    return reader_read(w->reader, ref, mint, maxt, out, &w->error);
}

int64_t *worker_step_samples(struct worker *w)
{
    if (!w->step_samples)
        w->step_samples = mem_alloc_zero(MEM_QUERY, w->eval->grid.steps, sizeof(int64_t));
    return w->step_samples;
}

void worker_count_read(struct worker *w, enum sample_counting how, int64_t used)
{
    struct eval *e = w->eval;
    if (how == COUNT_NOT || used == 0)
        return;
    int64_t times = how == COUNT_AT_ALL ? e->grid.steps : 1;
    atomic_fetch_add_explicit(e->samples_read, used * times, memory_order_relaxed);
    if (how != COUNT_AT_ALL || !e->by_step)
        return;
    int64_t *steps = worker_step_samples(w);
    for (uint32_t s = 0; s < e->grid.steps; s++)
        steps[s] += used;
}

static void worker_deinit(struct worker *w)
{
    mem_free(MEM_QUERY, w->step_samples);
    storage_reader_free(w->reader);
    window_scratch_free(w->window);
    for (size_t i = 0; i < ARRAY_COUNT(w->scratch); i++)
        mem_free(MEM_QUERY, w->scratch[i].ptr);
}

/* --- batches --- */

struct batch_buffer {
    struct batch_buffer *next;
    size_t bytes; /* of data */
    _Alignas(16) char data[];
};

static struct batch_buffer *buffer_take(struct eval *e, size_t bytes)
{
    mutex_lock(&e->mutex);
    struct batch_buffer **link = &e->buffers_free;
    while (*link && (*link)->bytes < bytes)
        link = &(*link)->next;
    struct batch_buffer *found = *link;
    if (found)
        *link = found->next;
    mutex_unlock(&e->mutex);
    return found;
}

bool batch_new(struct worker *w, uint32_t first, uint32_t count, uint32_t steps, struct batch *out)
{
    struct eval *e = w->eval;
    uint32_t words = presence_words(steps);
    size_t value_bytes = (size_t)count * steps * sizeof(double);
    size_t bytes = value_bytes + (size_t)count * words * sizeof(uint64_t);
    struct batch_buffer *buffer = buffer_take(e, bytes);
    if (!buffer) {
        buffer = eval_try_alloc(e, sizeof *buffer + bytes, &w->error);
        if (!buffer)
            return false;
        buffer->bytes = bytes;
    }
    *out = (struct batch){.first = first,
                          .count = count,
                          .steps = steps,
                          .words = words,
                          .values = (double *)(void *)buffer->data,
                          .presence = (uint64_t *)(void *)(buffer->data + value_bytes),
                          .buffer = buffer};
    memset(out->presence, 0, (size_t)count * words * sizeof(uint64_t));
    return true;
}

void batch_free(struct eval *e, struct batch *b)
{
    if (!b->buffer)
        return;
    eval_remove_samples(e, b->samples);
    mutex_lock(&e->mutex);
    b->buffer->next = e->buffers_free;
    e->buffers_free = b->buffer;
    mutex_unlock(&e->mutex);
    *b = (struct batch){0};
}

bool batch_count(struct worker *w, struct batch *b)
{
    int64_t count = presence_count(b->presence, b->count * b->words);
    eval_remove_samples(w->eval, b->samples);
    b->samples = 0;
    if (!eval_add_samples(w->eval, count, &w->error)) {
        batch_free(w->eval, b);
        return false;
    }
    b->samples = count;
    return true;
}

/* --- matrices --- */

struct matrix *matrix_new(struct eval *e, uint32_t series_count, uint32_t steps, struct error *err)
{
    uint32_t words = presence_words(steps);
    size_t value_bytes = 0, bytes = 0;
    if (__builtin_mul_overflow((size_t)series_count * steps, sizeof(double), &value_bytes) ||
        __builtin_add_overflow(
            value_bytes, (size_t)series_count * words * sizeof(uint64_t) + sizeof(struct matrix),
            &bytes)) {
        (void)error_set(err, ERROR_LIMIT, "query would keep %u series of %u steps in memory",
                        (unsigned)series_count, (unsigned)steps);
        return NULL;
    }
    struct matrix *m = eval_try_alloc(e, bytes, err);
    if (!m)
        return NULL;
    double *values = (double *)(void *)(m + 1);
    *m = (struct matrix){.series_count = series_count,
                         .steps = steps,
                         .words = words,
                         .values = values,
                         .presence = (uint64_t *)(void *)(values + (size_t)series_count * steps),
                         .bytes = bytes};
    memset(m->presence, 0, (size_t)series_count * words * sizeof(uint64_t));
    mutex_lock(&e->mutex);
    m->next = e->matrices;
    if (m->next)
        m->next->previous = m;
    e->matrices = m;
    mutex_unlock(&e->mutex);
    return m;
}

void matrix_free(struct eval *e, struct matrix *m)
{
    if (!m)
        return;
    eval_remove_samples(e, m->samples);
    mutex_lock(&e->mutex);
    if (m->previous)
        m->previous->next = m->next;
    else
        e->matrices = m->next;
    if (m->next)
        m->next->previous = m->previous;
    mutex_unlock(&e->mutex);
    eval_free(e, m, m->bytes);
}

bool matrix_count(struct eval *e, struct matrix *m, struct error *err)
{
    int64_t count = 0;
    for (uint32_t i = 0; i < m->series_count; i++)
        count += presence_count(matrix_presence(m, i), m->words);
    eval_remove_samples(e, m->samples);
    m->samples = 0;
    if (!eval_add_samples(e, count, err))
        return false;
    m->samples = count;
    return true;
}

void eval_deinit(struct eval *e)
{
    for (unsigned i = 0; i < e->worker_count; i++)
        worker_deinit(&e->workers[i]);
    while (e->matrices)
        matrix_free(e, e->matrices);
    while (e->buffers_free) {
        struct batch_buffer *next = e->buffers_free->next;
        eval_free(e, e->buffers_free, sizeof *next + e->buffers_free->bytes);
        e->buffers_free = next;
    }
    annotations_free(e);
}

/* --- operators --- */

void operator_init(struct operation *op, const struct operator_ops *ops, struct eval *e,
                   const struct grid *grid)
{
    *op = (struct operation){.ops = ops, .eval = e, .grid = *grid, .users = 1};
}

void operator_cut(struct operation *op)
{
    uint32_t each = MORSEL_POINTS_MAX / op->grid.steps;
    each = each < 1 ? 1 : each > MORSEL_SERIES_MAX ? MORSEL_SERIES_MAX : each;
    op->morsel_count = (op->series_count + each - 1) / each;
    op->morsel_first = ARENA_ARRAY(op->eval->arena, uint32_t, (size_t)op->morsel_count + 1);
    for (uint32_t i = 0; i < op->morsel_count; i++)
        op->morsel_first[i] = i * each;
    op->morsel_first[op->morsel_count] = op->series_count;
}

void operator_inherit(struct operation *op, const struct operation *child)
{
    op->series_count = child->series_count;
    op->labels = child->labels;
    op->drop_name = child->drop_name;
    op->morsel_count = child->morsel_count;
    op->morsel_first = child->morsel_first;
}

void operator_release(struct operation *op)
{
    ASSERT(op->users > 0);
    if (--op->users == 0 && op->ops->release)
        op->ops->release(op);
}

/* --- fold ---
 *
 * A worker that digested morsel i puts its partial in slot i % WINDOW. Whoever finds the next one in order
 * ready, merges; nobody waits for a merge to finish. A worker whose morsel is a window ahead waits: the one at the
 * front is never among those (calls start in ascending order), so there is always somebody to move on. */

enum { FOLD_WINDOW = 64 };

struct fold_run {
    struct operation *op; /* constant */
    struct fold *fold;

    pthread_mutex_t mutex; /* guards the rest */
    pthread_cond_t moved;  /* next_idx went up */
    struct {
        void *partial;
        bool ready, empty;
    } slots[FOLD_WINDOW];
    uint32_t next_idx;   /* to be merged */
    bool merging;        /* somebody is at next_idx */
    uint32_t failed_idx; /* the first morsel with an error; UINT32_MAX = none */
    struct error error;
};

static void fold_fail_locked(struct fold_run *r, uint32_t idx, struct worker *w)
{
    if (idx >= r->failed_idx)
        return;
    r->failed_idx = idx;
    r->error = w->error;
}

static void fold_merge_ready_locked(struct fold_run *r, struct worker *w)
{
    while (!r->merging && r->slots[r->next_idx % FOLD_WINDOW].ready) {
        uint32_t idx = r->next_idx;
        void *partial = r->slots[idx % FOLD_WINDOW].partial;
        bool empty = r->slots[idx % FOLD_WINDOW].empty;
        bool alive = idx < r->failed_idx;
        r->merging = true;
        mutex_unlock(&r->mutex);
        bool ok = true;
        if (!empty && alive && r->fold->merge)
            ok = r->fold->merge(r->fold, w, idx, partial);
        else if (!empty && r->fold->drop && partial)
            r->fold->drop(r->fold, partial);
        mutex_lock(&r->mutex);
        if (!ok)
            fold_fail_locked(r, idx, w);
        r->merging = false;
        r->slots[idx % FOLD_WINDOW].ready = false;
        r->next_idx++;
        cond_broadcast(&r->moved);
    }
}

static bool fold_morsel(struct fold_run *r, struct worker *w, uint32_t idx, void **partial)
{
    struct batch batch;
    if (!eval_check(w->eval, &w->error) || !operator_morsel(r->op, idx, w, &batch))
        return false;
    bool ok = r->fold->digest(r->fold, w, idx, &batch, partial);
    batch_free(w->eval, &batch);
    return ok;
}

static void fold_call(void *arg, size_t i, unsigned worker)
{
    struct fold_run *r = arg;
    struct worker *w = &r->op->eval->workers[worker];
    uint32_t idx = (uint32_t)i;

    mutex_lock(&r->mutex);
    while (idx >= r->next_idx + FOLD_WINDOW)
        cond_wait(&r->moved, &r->mutex);
    bool skip = r->failed_idx < idx;
    mutex_unlock(&r->mutex);

    void *partial = NULL;
    bool ok = !skip && fold_morsel(r, w, idx, &partial);

    mutex_lock(&r->mutex);
    if (!ok && !skip)
        fold_fail_locked(r, idx, w);
    r->slots[idx % FOLD_WINDOW].partial = partial;
    r->slots[idx % FOLD_WINDOW].empty = !ok;
    r->slots[idx % FOLD_WINDOW].ready = true;
    fold_merge_ready_locked(r, w);
    mutex_unlock(&r->mutex);
}

bool operator_fold(struct operation *op, struct fold *f, struct error *err)
{
    struct fold_run r = {.op = op, .fold = f, .failed_idx = UINT32_MAX};
    mutex_init(&r.mutex);
    cond_init(&r.moved);
    pool_for(op->morsel_count > 1 ? op->eval->pool : NULL, op->morsel_count, fold_call, &r);
    cond_deinit(&r.moved);
    mutex_deinit(&r.mutex);
    if (r.failed_idx == UINT32_MAX)
        return true;
    *err = r.error;
    return false;
}

/* --- materialise --- */

struct materialise {
    struct fold fold;
    struct matrix *matrix;
};

static bool materialise_digest(struct fold *f, struct worker *w, uint32_t idx, struct batch *b,
                               void **partial)
{
    struct matrix *m = ((struct materialise *)f)->matrix;
    memcpy(matrix_values(m, b->first), b->values, (size_t)b->count * b->steps * sizeof(double));
    memcpy(matrix_presence(m, b->first), b->presence,
           (size_t)b->count * b->words * sizeof(uint64_t));
    return true;
}

struct matrix *operator_materialise(struct operation *op, struct error *err)
{
    struct materialise m = {.fold = {.digest = materialise_digest}};
    m.matrix = matrix_new(op->eval, op->series_count, op->grid.steps, err);
    if (!m.matrix)
        return NULL;
    if (operator_fold(op, &m.fold, err) && matrix_count(op->eval, m.matrix, err))
        return m.matrix;
    matrix_free(op->eval, m.matrix);
    return NULL;
}
