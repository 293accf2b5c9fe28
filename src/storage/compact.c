/* SPDX-License-Identifier: Apache-2.0 */
/* compact.c: see compact.h. The new block names as parents what it was made of: as long as it is there, they
 * are superfluous, and whoever opens the folder removes what a crash left of them (db.c). */
#include "storage/compact.h"

#include "base/assert.h"
#include "base/mem.h"
#include "storage/block_private.h"
#include "storage/block_walk.h"
#include "storage/codec.h"
#include "storage/sample_merge.h"

#include <stdlib.h>

struct source {
    struct block_walk *walk;
    struct labels labels; /* of its present series */
    bool done;
};

struct compaction {
    const struct compact_job *job;
    struct source *sources;
    struct sample_merge merge;
    struct block_writer *writer;
    size_t *bad;
};

static bool source_next(struct compaction *c, size_t i, struct error *err)
{
    struct source *s = &c->sources[i];
    bool failed;
    s->done = !block_walk_next(s->walk, &failed, err);
    if (failed)
        *c->bad = i;
    else if (!s->done)
        s->labels = block_walk_labels(s->walk);
    return !failed;
}

/* The source whose series comes first by its labels; the first of several. */
static struct source *sources_least(struct compaction *c)
{
    struct source *least = NULL;
    for (size_t i = 0; i < c->job->count; i++) {
        struct source *s = &c->sources[i];
        if (!s->done && (!least || labels_compare(s->labels, least->labels) < 0))
            least = s;
    }
    return least;
}

/* Joins the samples of all sources that stand at this series. */
static bool series_read(struct compaction *c, struct labels labels, struct samples *out,
                        struct error *err)
{
    size_t total = 0;
    sample_merge_begin(&c->merge);
    for (size_t i = 0; i < c->job->count; i++) {
        struct source *s = &c->sources[i];
        struct samples got;
        if (s->done || labels_compare(s->labels, labels) != 0)
            continue;
        if (!block_walk_read(s->walk, &got, err)) {
            *c->bad = i;
            return false;
        }
        sample_merge_add(&c->merge, &got, (struct intervals){NULL, 0});
        total += got.count;
    }
    if (total > CODEC_COUNT_MAX)
        return error_set(err, ERROR_LIMIT,
                         "a series would have %zu samples in one block, %d at most", total,
                         CODEC_COUNT_MAX);
    sample_merge_finish(&c->merge, out);
    return true;
}

/* Past this series: its labels are those of one of the sources, which goes last. */
static bool series_leave(struct compaction *c, struct source *least, struct error *err)
{
    for (size_t i = 0; i < c->job->count; i++) {
        struct source *s = &c->sources[i];
        if (s != least && !s->done && labels_compare(s->labels, least->labels) == 0 &&
            !source_next(c, i, err))
            return false;
    }
    return source_next(c, (size_t)(least - c->sources), err);
}

static bool series_write_all(struct compaction *c, struct error *err)
{
    struct source *least;
    for (size_t i = 0; i < c->job->count; i++)
        if (!source_next(c, i, err))
            return false;
    while ((least = sources_least(c)) != NULL) {
        struct samples samples;
        if (c->job->stop && c->job->stop(c->job->stop_arg))
            return error_set(err, ERROR_CANCELED, "the compaction was given up");
        if (!series_read(c, least->labels, &samples, err) ||
            !block_writer_add(c->writer, least->labels, &samples, err) ||
            !series_leave(c, least, err))
            return false;
    }
    return true;
}

/* --- lineage -------------------------------------------------------------------------------------- */

static int ulid_order(const void *a, const void *b)
{
    return memcmp(a, b, BLOCK_ULID_BYTES);
}

static void lineage_make(const struct compact_job *job, struct block_lineage *out, uint32_t *level)
{
    size_t sources = 0, kept = 0;
    *level = 0;
    for (size_t i = 0; i < job->count; i++)
        sources += block_get_lineage(job->blocks[i])->source_count;
    out->parents = mem_alloc(MEM_BLOCK, job->count * sizeof *out->parents);
    out->sources = mem_alloc(MEM_BLOCK, (sources + 1) * sizeof *out->sources);
    for (size_t i = 0; i < job->count; i++) {
        const struct block_meta *meta = block_get_meta(job->blocks[i]);
        const struct block_lineage *l = block_get_lineage(job->blocks[i]);
        struct block_parent *p = &out->parents[out->parent_count++];
        memcpy(p->ulid, meta->ulid, sizeof p->ulid);
        p->mint = meta->mint;
        p->maxt = meta->maxt;
        *level = meta->level > *level ? meta->level : *level;
        if (l->source_count > 0)
            memcpy(out->sources + out->source_count, l->sources,
                   l->source_count * sizeof *out->sources);
        out->source_count += l->source_count;
    }
    if (out->source_count > 1)
        qsort(out->sources, out->source_count, sizeof *out->sources, ulid_order);
    for (size_t i = 0; i < out->source_count; i++)
        if (i == 0 || ulid_order(out->sources[i], out->sources[kept - 1]) != 0)
            memmove(out->sources[kept++], out->sources[i], sizeof *out->sources);
    out->source_count = kept;
    *level = *level < BLOCK_LEVEL_MAX ? *level + 1 : BLOCK_LEVEL_MAX;
}

bool compact_write(const struct compact_job *job, struct block_meta *meta, size_t *bad,
                   struct error *err)
{
    struct compaction c = {.job = job, .bad = bad};
    struct block_lineage lineage = {0};
    int64_t mint = INT64_MAX, maxt = INT64_MIN;
    uint32_t level;
    ASSERT(job->count > 0);
    *bad = COMPACT_NO_BLOCK;
    c.sources = mem_alloc_zero(MEM_BLOCK, job->count, sizeof *c.sources);
    sample_merge_init(&c.merge);
    for (size_t i = 0; i < job->count; i++) {
        const struct block_meta *m = block_get_meta(job->blocks[i]);
        c.sources[i].walk = block_walk_new(job->blocks[i]);
        mint = m->mint < mint ? m->mint : mint;
        maxt = m->maxt > maxt ? m->maxt : maxt;
    }
    lineage_make(job, &lineage, &level);
    bool ok = block_writer_open(&c.writer, job->dir, mint, maxt, err);
    if (ok) {
        block_writer_set_lineage(c.writer, level, &lineage);
        ok = series_write_all(&c, err);
        if (ok)
            ok = block_writer_finish(c.writer, meta, err);
        else
            block_writer_discard(c.writer);
    }
    for (size_t i = 0; i < job->count; i++)
        block_walk_free(c.sources[i].walk);
    sample_merge_deinit(&c.merge);
    block_lineage_deinit(&lineage);
    mem_free(MEM_BLOCK, c.sources);
    return ok;
}
