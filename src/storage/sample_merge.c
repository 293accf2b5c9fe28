/* SPDX-License-Identifier: Apache-2.0 */
/* sample_merge.c: see sample_merge.h.
 *
 * The plan is a list of runs: stretches of one piece in which no other has a sample. Pieces that lie one
 * after the other are a run each; k pieces that alternate cost k looks per sample, and overlaps are few
 * (compaction ends them). */
#include "storage/sample_merge.h"

#include "base/assert.h"
#include "base/mem.h"
#include "storage/block_private.h"

#include <string.h>

void sample_merge_init(struct sample_merge *m)
{
    *m = (struct sample_merge){0};
}

void sample_merge_deinit(struct sample_merge *m)
{
    mem_free(MEM_QUERY, m->pieces);
    mem_free(MEM_QUERY, m->runs);
    mem_free(MEM_QUERY, m->next);
    mem_free(MEM_QUERY, m->ids);
    mem_free(MEM_QUERY, m->times);
    mem_free(MEM_QUERY, m->values);
    mem_free(MEM_QUERY, m->histograms);
    mem_free(MEM_QUERY, m->start_times);
}

void sample_merge_begin(struct sample_merge *m)
{
    m->piece_count = 0;
}

static void piece_add(struct sample_merge *m, const struct samples *from, size_t first,
                      size_t count)
{
    if (count == 0)
        return;
    m->pieces =
        mem_grow(MEM_QUERY, m->pieces, &m->piece_capacity, m->piece_count + 1, sizeof *m->pieces);
    m->pieces[m->piece_count++] =
        (struct samples){.times = from->times + first,
                         .values = from->values + first,
                         .histograms = from->histograms ? from->histograms + first : NULL,
                         .start_times = from->start_times ? from->start_times + first : NULL,
                         .count = count,
                         .times_id = count == from->count ? from->times_id : 0};
}

void sample_merge_add(struct sample_merge *m, const struct samples *from, struct intervals gone)
{
    size_t first = 0, at = 0;
    if (gone.count == 0) {
        piece_add(m, from, 0, from->count);
        return;
    }
    for (size_t i = 0; i < from->count; i++) {
        while (at < gone.count && gone.items[at].maxt < from->times[i])
            at++;
        if (at == gone.count || gone.items[at].mint > from->times[i])
            continue;
        piece_add(m, from, first, i - first);
        first = i + 1;
    }
    piece_add(m, from, first, from->count - first);
}

/* True when the runs and the times that lie here are those of the present pieces. */
static bool plan_is_known(struct sample_merge *m)
{
    bool same = m->times_id != 0 && m->id_count == m->piece_count, all = true;
    m->ids = mem_grow(MEM_QUERY, m->ids, &m->id_capacity, m->piece_count, sizeof *m->ids);
    for (size_t i = 0; i < m->piece_count; i++) {
        uint64_t id = m->pieces[i].times_id;
        same = same && m->ids[i] == id;
        all = all && id != 0;
        m->ids[i] = id;
    }
    m->id_count = m->piece_count;
    if (!same || !all)
        m->times_id = all ? block_times_id_next() : 0;
    return same && all;
}

/* The first place in [from, count) whose time is not below `t`. */
static size_t at_least(const struct samples *s, size_t from, int64_t t)
{
    size_t low = from, high = s->count;
    if (s->times[high - 1] < t) /* as where pieces lie one after the other */
        return high;
    if (low + 1 < high && s->times[low + 1] >= t) /* and where they alternate */
        return low + (s->times[low] < t);
    while (low < high) {
        size_t mid = low + (high - low) / 2;
        if (s->times[mid] < t)
            low = mid + 1;
        else
            high = mid;
    }
    return low;
}

static void run_add(struct sample_merge *m, size_t piece, size_t first, size_t count)
{
    struct merge_run *last = m->run_count > 0 ? &m->runs[m->run_count - 1] : NULL;
    m->count += count;
    if (last && last->piece == piece && last->first + last->count == first) {
        last->count += count;
        return;
    }
    m->runs = mem_grow(MEM_QUERY, m->runs, &m->run_capacity, m->run_count + 1, sizeof *m->runs);
    m->runs[m->run_count++] = (struct merge_run){piece, first, count};
}

static bool has_next(const struct sample_merge *m, size_t piece)
{
    return m->next[piece] < m->pieces[piece].count;
}

static int64_t next_time(const struct sample_merge *m, size_t piece)
{
    return m->pieces[piece].times[m->next[piece]];
}

/* One run of the piece whose next time is the least, up to the next time of any other. False when all
 * pieces are at their ends. */
static bool plan_step(struct sample_merge *m)
{
    size_t best = m->piece_count;
    int64_t limit = 0;
    bool limited = false;
    for (size_t i = 0; i < m->piece_count; i++)
        if (has_next(m, i) && (best == m->piece_count || next_time(m, i) < next_time(m, best)))
            best = i;
    if (best == m->piece_count)
        return false;
    for (size_t i = 0; i < m->piece_count; i++) {
        if (i == best || !has_next(m, i))
            continue;
        if (next_time(m, i) == next_time(m, best) && ++m->next[i] == m->pieces[i].count)
            continue;
        if (!limited || next_time(m, i) < limit)
            limit = next_time(m, i);
        limited = true;
    }
    const struct samples *s = &m->pieces[best];
    size_t first = m->next[best], end = limited ? at_least(s, first, limit) : s->count;
    end = end == first ? first + 1 : end; /* the limit is above the time of `first` */
    run_add(m, best, first, end - first);
    m->next[best] = end;
    return true;
}

static void plan_make(struct sample_merge *m)
{
    size_t at = 0;
    m->next = mem_grow(MEM_QUERY, m->next, &m->next_capacity, m->piece_count, sizeof *m->next);
    memset(m->next, 0, m->piece_count * sizeof *m->next);
    m->run_count = m->count = 0;
    while (plan_step(m))
        ;
    m->times = mem_grow(MEM_QUERY, m->times, &m->times_capacity, m->count, sizeof *m->times);
    for (size_t i = 0; i < m->run_count; i++) {
        const struct merge_run *run = &m->runs[i];
        memcpy(m->times + at, m->pieces[run->piece].times + run->first,
               run->count * sizeof *m->times);
        at += run->count;
    }
}

/* The lanes that not every series has. */
static void rare_lanes_copy(struct sample_merge *m, struct samples *out)
{
    bool histograms = false, start_times = true;
    size_t at = 0;
    for (size_t i = 0; i < m->piece_count; i++) {
        histograms |= m->pieces[i].histograms != NULL;
        start_times &= m->pieces[i].start_times != NULL;
    }
    if (histograms)
        out->histograms = m->histograms = mem_grow(
            MEM_QUERY, m->histograms, &m->histograms_capacity, m->count, sizeof *m->histograms);
    if (start_times)
        out->start_times = m->start_times = mem_grow(
            MEM_QUERY, m->start_times, &m->start_times_capacity, m->count, sizeof *m->start_times);
    for (size_t i = 0; (histograms || start_times) && i < m->run_count; i++) {
        const struct merge_run *run = &m->runs[i];
        const struct samples *s = &m->pieces[run->piece];
        for (size_t k = 0; histograms && k < run->count; k++)
            m->histograms[at + k] = s->histograms ? s->histograms[run->first + k] : NULL;
        if (start_times)
            memcpy(m->start_times + at, s->start_times + run->first,
                   run->count * sizeof *m->start_times);
        at += run->count;
    }
}

void sample_merge_finish(struct sample_merge *m, struct samples *out)
{
    size_t at = 0;
    *out = (struct samples){0};
    if (m->piece_count == 1)
        *out = m->pieces[0];
    if (m->piece_count <= 1)
        return;
    if (!plan_is_known(m))
        plan_make(m);
    m->values = mem_grow(MEM_QUERY, m->values, &m->values_capacity, m->count, sizeof *m->values);
    *out = (struct samples){
        .times = m->times, .values = m->values, .count = m->count, .times_id = m->times_id};
    for (size_t i = 0; i < m->run_count; i++) {
        const struct merge_run *run = &m->runs[i];
        memcpy(m->values + at, m->pieces[run->piece].values + run->first,
               run->count * sizeof *m->values);
        at += run->count;
    }
    rare_lanes_copy(m, out);
}
