/* SPDX-License-Identifier: Apache-2.0 */
/* series_writer.c: the two writers. The database's is a storage group whose rows are those of the appender; that of
 * memory keeps the label set of each slot. */
#include "rules/series_writer.h"

#include "base/assert.h"
#include "base/mem.h"
#include "storage/appender.h"
#include "storage/memory_source.h"

bool series_writer_slot(struct series_writer *w, struct labels ls, uint32_t *slot,
                        struct error *err)
{
    if (!w->ops->slot(w, ls, slot, err))
        return false;
    size_t before = w->user_capacity;
    w->users =
        mem_grow(MEM_RULES, w->users, &w->user_capacity, (size_t)*slot + 1, sizeof *w->users);
    if (w->user_capacity > before)
        memset(w->users + before, 0, (w->user_capacity - before) * sizeof *w->users);
    w->users[*slot]++;
    return true;
}

void series_writer_release(struct series_writer *w, uint32_t slot)
{
    ASSERT(slot < w->user_capacity && w->users[slot] > 0);
    if (--w->users[slot] == 0)
        w->ops->release(w, slot);
}

void series_writer_unref(struct series_writer *w)
{
    if (!w || --w->references > 0)
        return;
    mem_free(MEM_RULES, w->users);
    w->ops->free(w);
}

/* --- the database --- */

struct db_writer {
    struct series_writer writer; /* first: cast back */
    struct group *group;
    struct appender appender; /* of the row that is open */
};

static bool db_slot(struct series_writer *w, struct labels ls, uint32_t *slot, struct error *err)
{
    return group_slot(((struct db_writer *)w)->group, ls, slot, err);
}

static bool db_begin(struct series_writer *w, int64_t time_ms, struct error *err)
{
    struct db_writer *d = (struct db_writer *)w;
    return appender_begin(&d->appender, d->group, time_ms, err);
}

static enum series_write db_sample(struct series_writer *w, uint32_t slot, double value)
{
    struct db_writer *d = (struct db_writer *)w;
    uint32_t repeats = d->appender.repeat_count, others = d->appender.duplicate_count;
    appender_sample(&d->appender, slot, value);
    return d->appender.duplicate_count > others ? SERIES_DIFFERENT
           : d->appender.repeat_count > repeats ? SERIES_SAME
                                                : SERIES_WRITTEN;
}

static bool db_commit(struct series_writer *w, unsigned flags, struct error *err)
{
    unsigned of_row = (flags & SERIES_WRITER_WAIT ? APPENDER_WAIT : 0) |
                      (flags & SERIES_WRITER_FIRST ? APPENDER_STALE_MISSING : 0);
    return appender_commit(&((struct db_writer *)w)->appender, of_row, err);
}

static void db_release(struct series_writer *w, uint32_t slot)
{
    group_release_slot(((struct db_writer *)w)->group, slot);
}

static void db_free(struct series_writer *w)
{
    group_close(((struct db_writer *)w)->group);
    mem_free(MEM_RULES, w);
}

static struct series_writer *db_writer_open(void *db, struct view key, struct error *err)
{
    static const struct series_writer_ops OPS = {db_slot,   db_begin,   db_sample,
                                                 db_commit, db_release, db_free};
    struct group *group;
    if (!db_group_open(db, key, &group, err))
        return NULL;
    struct db_writer *d = mem_alloc_zero(MEM_RULES, 1, sizeof *d);
    d->writer = (struct series_writer){.ops = &OPS, .references = 1};
    d->group = group;
    return &d->writer;
}

struct series_store series_store_of_db(struct db *db)
{
    return (struct series_store){db_writer_open, db};
}

/* --- memory --- */

struct memory_writer {
    struct series_writer writer; /* first: cast back */
    struct memory_source *source;
    struct arena arena;
    struct memory_cell {
        struct labels labels;
        int64_t time_ms; /* of the last sample */
        double value;
        bool written;
    } * cells;
    size_t count, capacity;
    int64_t time_ms; /* of the row that is open */
};

static bool memory_slot(struct series_writer *w, struct labels ls, uint32_t *slot,
                        struct error *err)
{
    struct memory_writer *m = (struct memory_writer *)w;
    (void)err;
    m->cells = mem_grow(MEM_RULES, m->cells, &m->capacity, m->count + 1, sizeof *m->cells);
    m->cells[m->count] = (struct memory_cell){.labels = labels_copy(&m->arena, ls)};
    *slot = (uint32_t)m->count++;
    return true;
}

static bool memory_begin(struct series_writer *w, int64_t time_ms, struct error *err)
{
    (void)err;
    ((struct memory_writer *)w)->time_ms = time_ms;
    return true;
}

static enum series_write memory_sample(struct series_writer *w, uint32_t slot, double value)
{
    struct memory_writer *m = (struct memory_writer *)w;
    ASSERT(slot < m->count);
    struct memory_cell *c = &m->cells[slot];
    if (c->written && c->time_ms == m->time_ms)
        return memcmp(&c->value, &value, sizeof value) == 0 ? SERIES_SAME : SERIES_DIFFERENT;
    c->written = true;
    c->time_ms = m->time_ms;
    c->value = value;
    memory_source_add(m->source, c->labels, m->time_ms, value);
    return SERIES_WRITTEN;
}

static bool memory_commit(struct series_writer *w, unsigned flags, struct error *err)
{
    (void)w;
    (void)flags;
    (void)err;
    return true;
}

static void memory_release(struct series_writer *w, uint32_t slot)
{
    (void)w;
    (void)slot; /* slots are not given again */
}

static void memory_free(struct series_writer *w)
{
    struct memory_writer *m = (struct memory_writer *)w;
    mem_free(MEM_RULES, m->cells);
    arena_deinit(&m->arena);
    mem_free(MEM_RULES, m);
}

static struct series_writer *memory_writer_open(void *source, struct view key, struct error *err)
{
    static const struct series_writer_ops OPS = {memory_slot,   memory_begin,   memory_sample,
                                                 memory_commit, memory_release, memory_free};
    (void)key;
    (void)err;
    struct memory_writer *m = mem_alloc_zero(MEM_RULES, 1, sizeof *m);
    m->writer = (struct series_writer){.ops = &OPS, .references = 1};
    m->source = source;
    arena_init(&m->arena, MEM_RULES, 0);
    return &m->writer;
}

struct series_store series_store_of_memory(struct memory_source *m)
{
    return (struct series_store){memory_writer_open, m};
}
