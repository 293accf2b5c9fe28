/* SPDX-License-Identifier: Apache-2.0 */
/* block.c: opening a block. A block is a folder that is complete or not there:
 *
 *   <ULID>/meta.json   what it is, in the shape of Prometheus' (block_meta.c)
 *   <ULID>/index       labels, series, where their columns are (index.c); mapped
 *   <ULID>/columns     "BLFCOL01" | columns, each followed by its CRC32C (codec.c); read with pread
 *   <ULID>/deletions   what is not to be shown any more, when there is such (deletions.c)
 *   <ULID>.tmp/        one in the making: removed when the database opens
 *
 * 1. Filled as .tmp, each file synced, then the folder, then renamed and the folder above synced: a block
 *    under its name is whole (block_writer.c).
 * 2. Never changed after that, but for deletions, a file that is replaced as a whole. A removed block is renamed first and removed then.
 * 3. Value columns are in series order; a time column stands before the first value column that uses it,
 *    and columns of equal content are stored once.
 * 4. Everything is under a checksum: columns one by one, the index as a whole; meta.json must say what
 *    the index says.
 * 5. Damage in a column costs that column: reading it gives ERROR_CORRUPT with file and place, and the
 *    database serves the rest and says what was lost (db_view.c). Damage in the index or meta.json costs
 *    the block: it does not open, and the database puts it into quarantine. */
#include "storage/block.h"

#include "base/assert.h"
#include "base/file.h"
#include "base/mem.h"
#include "storage/block_private.h"

#include <inttypes.h>

/* The two must say the same, so that no flipped letter of meta.json moves a block in time. */
static bool meta_check(const struct block_meta *meta, const struct index *x, struct error *err)
{
    if (strcmp(meta->ulid, x->ulid) != 0 || meta->mint != x->mint || meta->maxt != x->maxt ||
        meta->sample_count != x->sample_count || meta->series_count != x->series_count ||
        meta->column_count != x->series_count)
        return error_set(err, ERROR_CORRUPT, "meta.json and index do not agree");
    return true;
}

static bool columns_open(struct block *b, const char *dir, struct error *err)
{
    char path[BLOCK_PATH_BYTES_MAX], magic[BLOCK_COLUMNS_MAGIC_BYTES];
    uint64_t bytes;
    if (!block_path(path, dir, "columns", err) || !file_open_read(&b->columns, path, err) ||
        !file_size(b->columns, &bytes, err))
        return false;
    if (bytes != b->index.columns_bytes)
        return error_set(err, ERROR_CORRUPT,
                         "\"%s\" has %" PRIu64 " bytes, %" PRIu64 " were written", path, bytes,
                         b->index.columns_bytes);
    if (!file_read_at(b->columns, 0, magic, sizeof magic, err))
        return false;
    if (memcmp(magic, BLOCK_COLUMNS_MAGIC, sizeof magic) != 0)
        return error_set(err, ERROR_CORRUPT, "\"%s\" begins with no version that is known here",
                         path);
    return true;
}

/* A folder that a newer version wrote is no damage: its index says so too, so that no flipped letter of
 * meta.json passes for it. ERROR_UNAVAILABLE then, ERROR_CORRUPT otherwise. */
static bool newer_check(const char *dir, struct error *err)
{
    char path[BLOCK_PATH_BYTES_MAX], magic[8];
    struct file *f = NULL;
    bool newer = err->kind == ERROR_UNAVAILABLE && block_path(path, dir, "index", NULL) &&
                 file_open_read(&f, path, NULL) && file_read_at(f, 0, magic, sizeof magic, NULL) &&
                 memcmp(magic, "BLFIDX", 6) == 0 && memcmp(magic, "BLFIDX01", 8) != 0;
    file_discard(f);
    if (err->kind == ERROR_UNAVAILABLE && !newer)
        err->kind = ERROR_CORRUPT;
    return false;
}

bool block_open(struct block **out, const char *dir, struct error *err)
{
    char path[BLOCK_PATH_BYTES_MAX];
    struct block *b = mem_alloc_zero(MEM_BLOCK, 1, sizeof *b);
    *out = NULL;
    atomic_init(&b->refs, 1);
    struct error ignored;
    if (!err)
        err = &ignored;
    if (!block_path(path, dir, "meta.json", err) ||
        (!block_meta_read(path, &b->meta, &b->lineage, err) && !newer_check(dir, err)) ||
        !block_path(path, dir, "index", err) || !file_map(&b->mapped, path, err) ||
        !index_open(&b->index, b->mapped, err) || !meta_check(&b->meta, &b->index, err) ||
        !columns_open(b, dir, err) ||
        !deletions_read(dir, b->index.series_count, &b->deletions, err)) {
        block_unref(b);
        return error_wrap(err, "block \"%s\"", dir);
    }
    b->meta.bytes = dir_bytes(dir);
    *out = b;
    return true;
}

struct block *block_ref(struct block *b)
{
    uint32_t before = atomic_fetch_add_explicit(&b->refs, 1, memory_order_relaxed);
    ASSERT(before > 0);
    return b;
}

void block_unref(struct block *b)
{
    if (!b)
        return;
    /* Release: what this thread did with the block comes before its end; acquire: so does what all
     * others did, for the thread that frees it. */
    uint32_t before = atomic_fetch_sub_explicit(&b->refs, 1, memory_order_acq_rel);
    ASSERT(before > 0);
    if (before > 1)
        return;
    file_discard(b->columns);
    block_lineage_deinit(&b->lineage);
    deletions_unref(b->deletions);
    if (b->mapped.ptr)
        file_unmap(b->mapped);
    mem_free(MEM_BLOCK, b);
}

bool block_damage_is_news(struct block *b)
{
    return !atomic_exchange_explicit(&b->damage_seen, true, memory_order_relaxed);
}

void block_leave_alone(struct block *b)
{
    atomic_store_explicit(&b->left_alone, true, memory_order_relaxed);
}

bool block_is_left_alone(const struct block *b)
{
    return atomic_load_explicit(&b->left_alone, memory_order_relaxed);
}

const struct block_meta *block_get_meta(const struct block *b)
{
    return &b->meta;
}

const struct block_lineage *block_get_lineage(const struct block *b)
{
    return &b->lineage;
}

const struct deletions *block_get_deletions(const struct block *b)
{
    return b->deletions;
}
