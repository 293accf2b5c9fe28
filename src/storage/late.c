/* SPDX-License-Identifier: Apache-2.0 */
#include "storage/late.h"

#include "base/assert.h"
#include "base/mem.h"

static int compare_samples(const void *a, const void *b)
{
    const struct late_sample *x = a, *y = b;
    if (x->series != y->series)
        return x->series < y->series ? -1 : 1;
    return (x->t > y->t) - (x->t < y->t);
}

static struct late_run *run_alloc(size_t count)
{
    struct late_run *r = mem_alloc(MEM_HEAD, sizeof *r + count * sizeof r->items[0]);
    atomic_init(&r->refs, 1);
    r->count = 0;
    r->mint = INT64_MAX;
    r->maxt = INT64_MIN;
    return r;
}

/* Behind the others; a pair that is there already is left out. */
static void run_put(struct late_run *r, struct late_sample s)
{
    if (r->count > 0 && compare_samples(&r->items[r->count - 1], &s) == 0)
        return;
    r->items[r->count++] = s;
    r->mint = s.t < r->mint ? s.t : r->mint;
    r->maxt = s.t > r->maxt ? s.t : r->maxt;
}

/* Merge sort keeps the order of equals, which says who was first; most input is sorted already. */
static void sort_stable(struct late_sample *items, size_t count)
{
    size_t i = 1;
    while (i < count && compare_samples(&items[i - 1], &items[i]) <= 0)
        i++;
    if (i >= count)
        return;
    struct late_sample *from = items, *to = mem_alloc(MEM_HEAD, count * sizeof *to), *scratch = to;
    for (size_t width = 1; width < count; width *= 2) {
        for (size_t at = 0; at < count; at += 2 * width) {
            size_t mid = at + width < count ? at + width : count;
            size_t end = at + 2 * width < count ? at + 2 * width : count, a = at, b = mid;
            for (size_t k = at; k < end; k++) {
                bool first = b == end || (a < mid && compare_samples(&from[a], &from[b]) <= 0);
                to[k] = first ? from[a++] : from[b++];
            }
        }
        struct late_sample *sorted = to;
        to = from;
        from = sorted;
    }
    if (from != items) {
        for (size_t k = 0; k < count; k++)
            items[k] = from[k];
    }
    mem_free(MEM_HEAD, scratch);
}

struct late_run *late_run_new(struct late_sample *items, size_t count)
{
    if (count == 0)
        return NULL;
    ASSERT(count <= UINT32_MAX);
    struct late_run *r = run_alloc(count);
    sort_stable(items, count);
    for (size_t i = 0; i < count; i++)
        run_put(r, items[i]);
    return r;
}

struct late_run *late_run_ref(struct late_run *r)
{
    atomic_fetch_add_explicit(&r->refs, 1, memory_order_relaxed);
    return r;
}

void late_run_unref(struct late_run *r)
{
    if (r && atomic_fetch_sub_explicit(&r->refs, 1, memory_order_acq_rel) == 1)
        mem_free(MEM_HEAD, r);
}

size_t late_run_bytes(const struct late_run *r)
{
    return sizeof *r + r->count * sizeof r->items[0];
}

struct late_run *late_run_merge(const struct late_run *older, const struct late_run *newer)
{
    struct late_run *r = run_alloc((size_t)older->count + newer->count);
    uint32_t a = 0, b = 0;
    while (a < older->count || b < newer->count) {
        bool first = b == newer->count ||
                     (a < older->count && compare_samples(&older->items[a], &newer->items[b]) <= 0);
        run_put(r, first ? older->items[a++] : newer->items[b++]);
    }
    return r;
}

struct late_run *late_run_without(const struct late_run *r, int64_t mint, int64_t maxt)
{
    size_t kept = 0;
    for (uint32_t i = 0; i < r->count; i++)
        kept += r->items[i].t < mint || r->items[i].t >= maxt;
    if (kept == 0)
        return NULL;
    struct late_run *out = run_alloc(kept);
    for (uint32_t i = 0; i < r->count; i++) {
        if (r->items[i].t < mint || r->items[i].t >= maxt)
            run_put(out, r->items[i]);
    }
    return out;
}

static size_t lower_bound(const struct late_run *r, uint32_t series, int64_t t)
{
    struct late_sample key = {.t = t, .series = series};
    size_t low = 0, high = r->count;
    while (low < high) {
        size_t mid = low + (high - low) / 2;
        if (compare_samples(&r->items[mid], &key) < 0)
            low = mid + 1;
        else
            high = mid;
    }
    return low;
}

const struct late_sample *late_run_find(const struct late_run *r, uint32_t series, int64_t mint,
                                        int64_t maxt, size_t *count)
{
    *count = 0;
    if (mint > maxt || r->mint > maxt || r->maxt < mint)
        return NULL;
    size_t from = lower_bound(r, series, mint);
    size_t to = maxt == INT64_MAX ? lower_bound(r, series + 1, INT64_MIN)
                                  : lower_bound(r, series, maxt + 1);
    *count = to - from;
    return to > from ? &r->items[from] : NULL;
}
