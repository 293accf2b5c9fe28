/* SPDX-License-Identifier: Apache-2.0 */
/* head_deletions.c: the file head/deletions, little endian:
 *
 *   file := "BLFHDL01" | series u32 | { labels varint | { name string | value string } } | body | CRC32C
 *   string := length varint | bytes;  body: as in deletions.c, a series' number is its place in the list
 *
 * Label sets are distinct and not empty, their names ascend. Replaced by rename before the deletion is
 * answered: it is in force from then on, whatever happens to the process. */
#include "storage/head_deletions.h"

#include "base/checksum.h"
#include "base/file.h"
#include "base/mem.h"
#include "storage/block_private.h"

#include <stdatomic.h>
#include <string.h>

#define MAGIC "BLFHDL01"
enum { MAGIC_BYTES = 8, SERIES_BYTES_MIN = 4 };
#define FILE_BYTES_MAX ((size_t)1 << 30)

struct head_deletions {
    _Atomic uint32_t refs;
    struct label_store *labels; /* the set of series n is n + 1; nobody adds to it any more */
    struct deletions *intervals;
};

struct head_deletions *head_deletions_ref(struct head_deletions *h)
{
    if (h)
        atomic_fetch_add_explicit(&h->refs, 1, memory_order_relaxed);
    return h;
}

void head_deletions_unref(struct head_deletions *h)
{
    if (!h || atomic_fetch_sub_explicit(&h->refs, 1, memory_order_acq_rel) > 1)
        return;
    deletions_unref(h->intervals);
    label_store_free(h->labels);
    mem_free(MEM_BLOCK, h);
}

size_t head_deletions_series_count(const struct head_deletions *h)
{
    return h ? deletions_series_count(h->intervals) : 0;
}

struct intervals head_deletions_of(const struct head_deletions *h, struct labels ls)
{
    labels_id id = {LABEL_STORE_NONE};
    if (h)
        id = label_store_find(h->labels, ls);
    if (id.n == LABEL_STORE_NONE || id.n == 0)
        return (struct intervals){NULL, 0};
    return deletions_of(h->intervals, id.n - 1);
}

/* --- making --------------------------------------------------------------------------------------- */

void head_deletions_builder_init(struct head_deletions_builder *b)
{
    *b = (struct head_deletions_builder){.labels = label_store_new(MEM_BLOCK, 0)};
}

void head_deletions_builder_deinit(struct head_deletions_builder *b)
{
    label_store_free(b->labels);
    deletions_builder_deinit(&b->items);
    *b = (struct head_deletions_builder){0};
}

void head_deletions_builder_add(struct head_deletions_builder *b, struct labels ls, int64_t mint,
                                int64_t maxt)
{
    labels_id id = label_store_add(b->labels, ls);
    if (id.n > 0 && mint <= maxt)
        deletions_builder_add(&b->items, id.n - 1, mint, maxt);
}

void head_deletions_builder_add_all(struct head_deletions_builder *b,
                                    const struct head_deletions *h, int64_t mint)
{
    struct arena arena;
    if (!h)
        return;
    arena_init(&arena, MEM_BLOCK, 0);
    for (uint32_t n = 1; n < label_store_labels_count(h->labels); n++) {
        struct intervals gone = deletions_of(h->intervals, n - 1);
        arena_reset(&arena);
        struct labels ls = label_store_labels(h->labels, (labels_id){n}, &arena);
        for (size_t i = 0; i < gone.count; i++)
            if (gone.items[i].maxt >= mint)
                head_deletions_builder_add(b, ls, gone.items[i].mint, gone.items[i].maxt);
    }
    arena_deinit(&arena);
}

struct head_deletions *head_deletions_finish(struct head_deletions_builder *b)
{
    struct head_deletions *h = NULL;
    struct deletions *intervals = deletions_finish(&b->items);
    if (intervals) {
        h = mem_alloc_zero(MEM_BLOCK, 1, sizeof *h);
        atomic_init(&h->refs, 1);
        h->intervals = intervals;
        h->labels = b->labels;
        b->labels = NULL;
    }
    head_deletions_builder_deinit(b);
    return h;
}

/* --- bytes ---------------------------------------------------------------------------------------- */

static bool labels_decode(struct reader *r, struct arena *arena, struct labels *out)
{
    uint64_t count = reader_varint(r);
    if (r->failed || count == 0 || count > INDEX_LABELS_MAX || count > reader_left(r) / 2)
        return false;
    struct label *items = ARENA_ARRAY(arena, struct label, count);
    for (uint64_t i = 0; i < count; i++) {
        items[i].name = reader_string(r, INDEX_SYMBOL_BYTES_MAX);
        items[i].value = reader_string(r, INDEX_SYMBOL_BYTES_MAX);
        if (r->failed || items[i].value.len == 0 ||
            (i > 0 && view_cmp(items[i - 1].name, items[i].name) >= 0))
            return false;
    }
    *out = (struct labels){items, (uint32_t)count};
    return true;
}

static bool series_decode(struct reader *r, struct label_store *store, uint32_t *count)
{
    struct arena arena;
    bool ok = true;
    *count = reader_u32(r);
    if (r->failed || *count > reader_left(r) / SERIES_BYTES_MIN)
        return false;
    arena_init(&arena, MEM_BLOCK, 0);
    for (uint32_t i = 0; ok && i < *count; i++) {
        struct labels ls;
        arena_reset(&arena);
        ok = labels_decode(r, &arena, &ls) && label_store_add(store, ls).n == i + 1;
    }
    arena_deinit(&arena);
    return ok;
}

bool head_deletions_parse(struct view bytes, struct head_deletions **out, struct error *err)
{
    struct reader r = reader_from(bytes);
    uint32_t count;
    *out = NULL;
    struct view magic = reader_bytes(&r, MAGIC_BYTES);
    if (r.failed || memcmp(magic.ptr, MAGIC, MAGIC_BYTES) != 0)
        return error_set(err, ERROR_CORRUPT, "it begins with no version that is known here");
    if (reader_left(&r) < BLOCK_CRC_BYTES)
        return error_set(err, ERROR_CORRUPT, "it is cut short");
    size_t body = bytes.len - BLOCK_CRC_BYTES;
    struct reader crc = reader_from(view_slice(bytes, body, bytes.len));
    if (reader_u32(&crc) != crc32c(0, bytes.ptr, body))
        return error_set(err, ERROR_CORRUPT, "its checksum does not fit");
    r.len = body;
    struct label_store *store = label_store_new(MEM_BLOCK, 0);
    struct deletions *intervals = NULL;
    if (!series_decode(&r, store, &count) || !deletions_decode(&r, count, &intervals) ||
        !intervals || reader_left(&r) > 0) {
        deletions_unref(intervals);
        label_store_free(store);
        return error_set(err, ERROR_CORRUPT, "its content makes no sense at byte %zu", r.pos);
    }
    *out = mem_alloc_zero(MEM_BLOCK, 1, sizeof **out);
    atomic_init(&(*out)->refs, 1);
    (*out)->labels = store;
    (*out)->intervals = intervals;
    return true;
}

bool head_deletions_read(const char *dir, struct head_deletions **out, struct error *err)
{
    char path[BLOCK_PATH_BYTES_MAX];
    struct buffer b;
    struct error problem;
    *out = NULL;
    if (!block_path(path, dir, "head/deletions", err))
        return false;
    buffer_init(&b, MEM_BLOCK, FILE_BYTES_MAX);
    bool read = file_read_all(path, &b, &problem);
    bool ok = read ? head_deletions_parse(buffer_view(&b), out, &problem) ||
                         error_wrap(&problem, "\"%s\"", path)
                   : problem.kind == ERROR_NOT_FOUND;
    buffer_deinit(&b);
    if (!ok && err)
        *err = problem;
    return ok;
}

static void labels_encode(struct buffer *b, const struct head_deletions *h)
{
    struct arena arena;
    uint32_t count = label_store_labels_count(h->labels);
    arena_init(&arena, MEM_BLOCK, 0);
    buffer_append_u32(b, count - 1);
    for (uint32_t n = 1; n < count; n++) {
        arena_reset(&arena);
        struct labels ls = label_store_labels(h->labels, (labels_id){n}, &arena);
        buffer_append_varint(b, ls.count);
        for (uint32_t i = 0; i < ls.count; i++) {
            buffer_append_string(b, ls.items[i].name);
            buffer_append_string(b, ls.items[i].value);
        }
    }
    arena_deinit(&arena);
}

bool head_deletions_write(const char *dir, const struct head_deletions *h, struct error *err)
{
    char path[BLOCK_PATH_BYTES_MAX];
    struct buffer b;
    if (!block_path(path, dir, "head/deletions", err))
        return false;
    if (!h)
        return file_remove(path, err);
    buffer_init(&b, MEM_BLOCK, FILE_BYTES_MAX);
    buffer_append_literal(&b, MAGIC);
    labels_encode(&b, h);
    deletions_encode(&b, h->intervals);
    buffer_append_u32(&b, crc32c(0, b.ptr, b.len));
    bool ok = b.failed ? error_set(err, ERROR_LIMIT, "\"%s\" would be larger than %zu bytes", path,
                                   FILE_BYTES_MAX)
                       : file_replace(path, buffer_view(&b), err);
    buffer_deinit(&b);
    return ok;
}
