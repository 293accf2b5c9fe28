/* SPDX-License-Identifier: Apache-2.0 */
/* aggregate_fold.c: sum, avg, count, min, max, group, stddev, stdvar: aggregations whose state per group and step
 * is a few doubles.
 *
 * A cell is the state of one group at one step; it is `lanes` doubles, each in a row of its own so that a series is
 * folded in by passing over rows:
 *   sum                 sum, compensation          avg              sum, compensation, count
 *   count               count                      min, max         value
 *   group               (presence alone)           stddev, stdvar   count, mean, sum of squared distances
 * Each morsel has cells for the groups it meets; they are merged into the result's in the order of
 * morsels. Compensation: Neumaier 1974, as Prometheus; merging variances: Chan, Golub, LeVeque 1979. */
#include "promql/aggregate.h"

#include "base/assert.h"
#include "promql/range_functions.h"

#include <math.h>

struct cells {
    double *lanes[3]; /* each steps long */
    uint64_t *presence;
};

struct aggregation {
    struct fold fold;
    struct operation *child;
    enum aggregate_op op;
    uint32_t lanes;
    const struct groups *groups;
    struct matrix *total; /* lanes rows per group */
    double scale;         /* of values: 1 but when an average overflows */
};

/* What a morsel folded: `lanes` rows per local group. */
struct partial {
    struct batch cells;
    uint32_t count;
    uint32_t *groups; /* local -> of the aggregation */
};

static uint32_t lanes_of(enum aggregate_op op)
{
    switch (op) {
    case AGGREGATE_SUM:
        return 2;
    case AGGREGATE_AVG:
    case AGGREGATE_STDDEV:
    case AGGREGATE_STDVAR:
        return 3;
    default:
        return 1;
    }
}

static bool op_is_extreme(enum aggregate_op op)
{
    return op == AGGREGATE_MIN || op == AGGREGATE_MAX;
}

/* Extremes begin as NaN, which every value replaces. */
static void cells_clear(enum aggregate_op op, double *values, size_t count)
{
    if (!op_is_extreme(op)) {
        memset(values, 0, count * sizeof *values);
        return;
    }
    for (size_t i = 0; i < count; i++)
        values[i] = NAN;
}

/* --- a series into cells ---
 * Rows without gaps are the usual case and go straight; others go bit by bit. */

#define EACH_PRESENT(steps, presence, body)                                                        \
    do {                                                                                           \
        for (uint32_t word_ = 0; word_ * 64 < (steps); word_++) {                                  \
            uint64_t bits_ = (presence)[word_];                                                    \
            uint32_t end_ = (steps)-word_ * 64 < 64 ? (steps) : word_ * 64 + 64;                   \
            if (bits_ == UINT64_MAX) {                                                             \
                for (uint32_t s = word_ * 64; s < end_; s++) {                                     \
                    body;                                                                          \
                }                                                                                  \
                continue;                                                                          \
            }                                                                                      \
            for (; bits_; bits_ &= bits_ - 1) {                                                    \
                uint32_t s = word_ * 64 + (uint32_t)__builtin_ctzll(bits_);                        \
                body;                                                                              \
            }                                                                                      \
        }                                                                                          \
    } while (0)

static void sum_row(uint32_t steps, const double *restrict v, const uint64_t *restrict presence,
                    double scale, double *restrict sum, double *restrict c)
{
    EACH_PRESENT(steps, presence, kahan_add(v[s] * scale, &sum[s], &c[s]));
}

static void count_row(uint32_t steps, const uint64_t *restrict presence, double *restrict count)
{
    EACH_PRESENT(steps, presence, count[s] += 1);
}

static void min_row(uint32_t steps, const double *restrict v, const uint64_t *restrict presence,
                    double *restrict best)
{
    EACH_PRESENT(steps, presence, best[s] = best[s] > v[s] || isnan(best[s]) ? v[s] : best[s]);
}

static void max_row(uint32_t steps, const double *restrict v, const uint64_t *restrict presence,
                    double *restrict best)
{
    EACH_PRESENT(steps, presence, best[s] = best[s] < v[s] || isnan(best[s]) ? v[s] : best[s]);
}

static inline void variance_add(double v, double *n, double *mean, double *squares)
{
    double delta = v - *mean;
    *n += 1;
    *mean += delta / *n;
    *squares += delta * (v - *mean);
}

static void variance_row(uint32_t steps, const double *restrict v,
                         const uint64_t *restrict presence, double *restrict n,
                         double *restrict mean, double *restrict squares)
{
    EACH_PRESENT(steps, presence, variance_add(v[s], &n[s], &mean[s], &squares[s]));
}

static void row_fold(const struct aggregation *a, uint32_t steps, const double *v,
                     const uint64_t *presence, struct cells *to)
{
    for (uint32_t i = 0; i < presence_words(steps); i++)
        to->presence[i] |= presence[i];
    switch (a->op) {
    case AGGREGATE_SUM:
        sum_row(steps, v, presence, a->scale, to->lanes[0], to->lanes[1]);
        break;
    case AGGREGATE_AVG:
        sum_row(steps, v, presence, a->scale, to->lanes[0], to->lanes[1]);
        count_row(steps, presence, to->lanes[2]);
        break;
    case AGGREGATE_COUNT:
        count_row(steps, presence, to->lanes[0]);
        break;
    case AGGREGATE_MIN:
        min_row(steps, v, presence, to->lanes[0]);
        break;
    case AGGREGATE_MAX:
        max_row(steps, v, presence, to->lanes[0]);
        break;
    case AGGREGATE_STDDEV:
    case AGGREGATE_STDVAR:
        variance_row(steps, v, presence, to->lanes[0], to->lanes[1], to->lanes[2]);
        break;
    default:
        ASSERT(a->op == AGGREGATE_GROUP);
    }
}

/* --- cells into cells --- */

static inline void variance_merge(double n, double mean, double squares, double *to_n,
                                  double *to_mean, double *to_squares)
{
    double total = *to_n + n, delta = mean - *to_mean;
    *to_squares += squares + (*to_n > 0 ? delta * delta * (*to_n * n / total) : 0);
    *to_mean = *to_n > 0 ? *to_mean + delta * (n / total) : mean;
    *to_n = total;
}

static void sums_merge(uint32_t steps, const struct cells *from, struct cells *to)
{
    EACH_PRESENT(steps, from->presence, {
        kahan_add(from->lanes[0][s], &to->lanes[0][s], &to->lanes[1][s]);
        to->lanes[1][s] += isinf(to->lanes[0][s]) ? 0 : from->lanes[1][s];
    });
}

static void cells_merge(const struct aggregation *a, uint32_t steps, const struct cells *from,
                        struct cells *to)
{
    double *const *f = from->lanes, *const *t = to->lanes;
    for (uint32_t i = 0; i < presence_words(steps); i++)
        to->presence[i] |= from->presence[i];
    switch (a->op) {
    case AGGREGATE_SUM:
        sums_merge(steps, from, to);
        break;
    case AGGREGATE_AVG:
        sums_merge(steps, from, to);
        EACH_PRESENT(steps, from->presence, t[2][s] += f[2][s]);
        break;
    case AGGREGATE_COUNT:
        EACH_PRESENT(steps, from->presence, t[0][s] += f[0][s]);
        break;
    case AGGREGATE_MIN:
        min_row(steps, f[0], from->presence, t[0]);
        break;
    case AGGREGATE_MAX:
        max_row(steps, f[0], from->presence, t[0]);
        break;
    case AGGREGATE_STDDEV:
    case AGGREGATE_STDVAR:
        EACH_PRESENT(steps, from->presence,
                     variance_merge(f[0][s], f[1][s], f[2][s], &t[0][s], &t[1][s], &t[2][s]));
        break;
    default:
        ASSERT(a->op == AGGREGATE_GROUP);
    }
}

static struct cells batch_cells(const struct batch *b, uint32_t lanes, uint32_t row)
{
    struct cells c = {.presence = batch_presence(b, row * lanes)};
    for (uint32_t i = 0; i < lanes; i++)
        c.lanes[i] = batch_values(b, row * lanes + i);
    return c;
}

static struct cells matrix_cells(const struct matrix *m, uint32_t lanes, uint32_t row)
{
    struct cells c = {.presence = matrix_presence(m, row * lanes)};
    for (uint32_t i = 0; i < lanes; i++)
        c.lanes[i] = matrix_values(m, row * lanes + i);
    return c;
}

/* --- morsels --- */

/* Numbers the groups of a batch from 0 in the order they come; local[i] for row i. */
static uint32_t groups_localise(const struct groups *g, const struct batch *b, uint32_t *local,
                                uint32_t *groups)
{
    uint32_t count = 0;
    for (uint32_t i = 0; i < b->count; i++) {
        uint32_t group = g->of_series[b->first + i], k = count;
        /* Neighbours often share a group; a morsel has at most MORSEL_SERIES_MAX. */
        while (k > 0 && groups[k - 1] != group)
            k--;
        if (k == 0) {
            groups[count] = group;
            k = ++count;
        }
        local[i] = k - 1;
    }
    return count;
}

static bool aggregation_digest(struct fold *f, struct worker *w, uint32_t idx, struct batch *b,
                               void **partial)
{
    struct aggregation *a = (struct aggregation *)f;
    uint32_t *local = worker_scratch(w, 2, 2 * (size_t)b->count * sizeof *local);
    uint32_t *groups = local + b->count;
    uint32_t count = groups_localise(a->groups, b, local, groups);

    struct partial *p = mem_alloc(MEM_QUERY, sizeof *p + count * sizeof *groups);
    p->count = count;
    p->groups = (uint32_t *)(p + 1);
    memcpy(p->groups, groups, count * sizeof *groups);
    if (!batch_new(w, 0, count * a->lanes, b->steps, &p->cells)) {
        mem_free(MEM_QUERY, p);
        return false;
    }
    cells_clear(a->op, p->cells.values, (size_t)count * a->lanes * b->steps);
    for (uint32_t i = 0; i < b->count; i++) {
        struct cells to = batch_cells(&p->cells, a->lanes, local[i]);
        row_fold(a, b->steps, batch_values(b, i), batch_presence(b, i), &to);
    }
    *partial = p;
    return true;
}

static void aggregation_drop(struct fold *f, void *partial)
{
    struct partial *p = partial;
    batch_free(((struct aggregation *)f)->child->eval, &p->cells);
    mem_free(MEM_QUERY, p);
}

static bool aggregation_merge(struct fold *f, struct worker *w, uint32_t idx, void *partial)
{
    struct aggregation *a = (struct aggregation *)f;
    struct partial *p = partial;
    for (uint32_t i = 0; i < p->count; i++) {
        struct cells from = batch_cells(&p->cells, a->lanes, i);
        struct cells to = matrix_cells(a->total, a->lanes, p->groups[i]);
        cells_merge(a, p->cells.steps, &from, &to);
    }
    aggregation_drop(f, partial);
    return true;
}

static struct matrix *aggregation_run(struct aggregation *a, struct error *err)
{
    struct eval *e = a->child->eval;
    uint32_t steps = a->child->grid.steps, rows = 0;
    if (__builtin_mul_overflow(a->groups->count, a->lanes, &rows)) {
        (void)error_set(err, ERROR_LIMIT, "aggregation has %u groups", (unsigned)a->groups->count);
        return NULL;
    }
    a->total = matrix_new(e, rows, steps, err);
    if (!a->total)
        return NULL;
    cells_clear(a->op, a->total->values, (size_t)rows * steps);
    if (operator_fold(a->child, &a->fold, err))
        return a->total;
    matrix_free(e, a->total);
    return NULL;
}

/* --- results --- */

static void row_finish(enum aggregate_op op, uint32_t steps, const struct cells *c, double *out)
{
    double *const *l = c->lanes;
    for (uint32_t s = 0; s < steps; s++) {
        switch (op) {
        case AGGREGATE_SUM:
            out[s] = l[0][s] + l[1][s];
            break;
        case AGGREGATE_AVG:
            out[s] = l[0][s] / l[2][s] + l[1][s] / l[2][s];
            break;
        case AGGREGATE_GROUP:
            out[s] = 1;
            break;
        case AGGREGATE_STDVAR:
            out[s] = l[2][s] / l[0][s];
            break;
        case AGGREGATE_STDDEV:
            out[s] = sqrt(l[2][s] / l[0][s]);
            break;
        default:
            out[s] = l[0][s];
        }
    }
}

/* Rows move to the front, over cells that were read already; the last lanes are given up with the
 * matrix. */
static void cells_finish(const struct aggregation *a)
{
    struct matrix *m = a->total;
    for (uint32_t g = 0; g < a->groups->count; g++) {
        struct cells c = matrix_cells(m, a->lanes, g);
        row_finish(a->op, m->steps, &c, c.lanes[0]);
        memmove(matrix_values(m, g), c.lanes[0], m->steps * sizeof(double));
        memmove(matrix_presence(m, g), c.presence, m->words * sizeof(uint64_t));
    }
    m->series_count = a->groups->count;
}

/* The mean of values near the largest double is finite though their sum is not: where a sum ended infinite,
 * it is taken again over values made smaller by more than there can be series. */
static const double OVERFLOW_SCALE = 0x1p-40;

static bool sums_overflowed(const struct aggregation *a)
{
    for (uint32_t g = 0; g < a->groups->count; g++) {
        struct cells c = matrix_cells(a->total, a->lanes, g);
        for (uint32_t s = 0; s < a->total->steps; s++)
            if (presence_get(c.presence, s) && !isfinite(c.lanes[0][s]))
                return true;
    }
    return false;
}

static bool averages_rescale(struct aggregation *a, struct error *err)
{
    struct aggregation again = *a;
    again.scale = OVERFLOW_SCALE;
    if (!aggregation_run(&again, err))
        return false;
    for (uint32_t g = 0; g < a->groups->count; g++) {
        struct cells to = matrix_cells(a->total, a->lanes, g);
        struct cells from = matrix_cells(again.total, a->lanes, g);
        for (uint32_t s = 0; s < a->total->steps; s++) {
            if (!presence_get(to.presence, s) || isfinite(to.lanes[0][s]))
                continue;
            double n = to.lanes[2][s];
            double mean = (from.lanes[0][s] / n + from.lanes[1][s] / n) / OVERFLOW_SCALE;
            to.lanes[0][s] = mean;
            to.lanes[1][s] = 0;
            to.lanes[2][s] = 1;
        }
    }
    matrix_free(a->child->eval, again.total);
    return true;
}

struct operation *aggregate_fold(struct operation *child, const struct expr *x,
                                 const struct groups *groups, struct error *err)
{
    struct eval *e = child->eval;
    struct aggregation a = {.fold = {aggregation_digest, aggregation_merge, aggregation_drop},
                            .child = child,
                            .op = x->u.aggregate.op,
                            .lanes = lanes_of(x->u.aggregate.op),
                            .groups = groups,
                            .scale = 1};
    bool ok = aggregation_run(&a, err) != NULL;
    if (ok && a.op == AGGREGATE_AVG && sums_overflowed(&a))
        ok = averages_rescale(&a, err);
    operator_release(child);
    if (!ok)
        return NULL;
    cells_finish(&a);
    if (!matrix_count(e, a.total, err))
        return NULL;
    return operator_from_matrix(e, &child->grid, a.total, groups->labels, groups->drop_name);
}
