/* SPDX-License-Identifier: Apache-2.0 */
/* extent.c: a sealed extent, in memory and as bytes in a file of head/extents:
 *
 *   record := frame of type EXTENT (wal_record.h: magic | length | type | version | flags | sequence | payload
 *             | CRC32C) with a head as payload, then the body: bundle ...
 *   head   := flags u8 | rows u8 | group varint | first row varint | slot count varint
 *             | times length varint | times (extent_column.c)
 *             | ids          per slot svarint (id + 1) - (id + 1 of the slot before); 0 = none
 *             | occupied     if flagged: a bit per slot; else all slots have a cell
 *             | bundle bytes varint ...                          one per 16 slots
 *   flags  := 1 occupied follows
 *   bundle := column bytes varint (of each of its slots) | columns (extent_column.c) | CRC32C u32
 *
 * 1. The head has its own CRC: a restart reads heads and jumps over bodies. Each bundle has one: a reader
 *    checks what it reads, and 4 bytes are shared by 16 columns (0.4 %).
 * 2. Ids are those of the head's series table, which the series log keeps for ever. A slot without cells
 *    has none.
 * 3. In memory an extent has the same body, so that writing it is copying; once it is in a file the ends of the
 *    bundles stay in memory (a quarter byte per slot): a column is one read. */
#include "storage/extent.h"

#include "base/assert.h"
#include "base/checksum.h"
#include "storage/bit_pack.h"
#include "storage/extent_column.h"
#include "storage/extent_store.h"
#include "storage/wal_record.h"

#include <inttypes.h>

enum { FLAG_OCCUPIED = 1, CRC_BYTES = 4, AHEAD_MAX = 16, WINDOW_BYTES_MAX = 64 * 1024 };
#define EXTENT_BYTES_MAX ((size_t)UINT32_MAX)

_Static_assert(sizeof(struct extent) == 72, "extent.h says what one costs");

struct slot_map *slot_map_new(uint32_t capacity)
{
    struct slot_map *m = mem_alloc(MEM_HEAD, sizeof *m + (size_t)capacity * sizeof m->ids[0]);
    atomic_init(&m->refs, 1);
    m->capacity = capacity;
    return m;
}

struct slot_map *slot_map_ref(struct slot_map *m)
{
    atomic_fetch_add_explicit(&m->refs, 1, memory_order_relaxed);
    return m;
}

void slot_map_unref(struct slot_map *m)
{
    if (m && atomic_fetch_sub_explicit(&m->refs, 1, memory_order_acq_rel) == 1)
        mem_free(MEM_HEAD, m);
}

/* --- the parts behind the struct --- */

static size_t occupied_words(const struct extent *x)
{
    return x->all_occupied ? 0 : ((size_t)x->slot_count + 63) / 64;
}

static uint32_t *ends_of(const struct extent *x)
{
    return (uint32_t *)(uintptr_t)(x->bytes + occupied_words(x));
}

static uint8_t *times_of(const struct extent *x)
{
    return (uint8_t *)(ends_of(x) + extent_bundle_count(x->slot_count));
}

static uint8_t *body_of(const struct extent *x)
{
    return times_of(x) + x->times_bytes;
}

/* Without the body; slack for the times' decoder. */
static size_t parts_bytes(const struct extent *x)
{
    return (size_t)(body_of(x) - (uint8_t *)x->bytes) + BIT_PACK_SLACK;
}

static uint32_t bundle_begin(const struct extent *x, uint32_t bundle)
{
    return bundle == 0 ? 0 : ends_of(x)[bundle - 1];
}

static uint32_t bundle_slots(const struct extent *x, uint32_t bundle)
{
    uint32_t left = x->slot_count - bundle * EXTENT_BUNDLE_SLOTS;
    return left < EXTENT_BUNDLE_SLOTS ? left : EXTENT_BUNDLE_SLOTS;
}

struct extent *extent_ref(struct extent *x)
{
    atomic_fetch_add_explicit(&x->refs, 1, memory_order_relaxed);
    return x;
}

void extent_unref(struct extent *x)
{
    if (x && atomic_fetch_sub_explicit(&x->refs, 1, memory_order_acq_rel) == 1) {
        slot_map_unref(x->map);
        extent_file_unref(x->file);
        mem_free(MEM_HEAD, x);
    }
}

struct extent *extent_in_file(const struct extent *x, struct extent_file *file,
                              uint64_t body_offset)
{
    size_t bytes = parts_bytes(x);
    struct extent *copy = mem_alloc(MEM_HEAD, sizeof *x + bytes);
    /* Not as a whole: others take references to `x` meanwhile. */
    *copy = (struct extent){.slot_count = x->slot_count,
                            .map = slot_map_ref(x->map),
                            .file = extent_file_ref(file),
                            .body_offset = body_offset,
                            .wal_segment = x->wal_segment,
                            .first_row = x->first_row,
                            .first_time = x->first_time,
                            .last_time = x->last_time,
                            .body_bytes = x->body_bytes,
                            .times_bytes = x->times_bytes,
                            .row_count = x->row_count,
                            .all_occupied = x->all_occupied};
    atomic_init(&copy->refs, 1);
    memcpy(copy->bytes, x->bytes, bytes - BIT_PACK_SLACK);
    memset((char *)copy->bytes + bytes - BIT_PACK_SLACK, 0, BIT_PACK_SLACK);
    return copy;
}

/* --- building --- */

void extent_builder_begin(struct extent_builder *b, struct slot_map *map, uint32_t slot_count,
                          uint64_t first_row, const int64_t *times, uint32_t row_count)
{
    ASSERT(row_count > 0 && row_count <= EXTENT_ROWS_MAX && slot_count > 0);
    *b = (struct extent_builder){0};
    b->head = mem_alloc(MEM_HEAD, sizeof *b->head);
    *b->head = (struct extent){.slot_count = slot_count,
                               .map = slot_map_ref(map),
                               .first_row = first_row,
                               .first_time = times[0],
                               .last_time = times[row_count - 1],
                               .row_count = (uint8_t)row_count,
                               .all_occupied = true};
    b->occupied = mem_alloc_zero(MEM_HEAD, ((size_t)slot_count + 63) / 64, sizeof *b->occupied);
    b->ends = mem_alloc(MEM_HEAD, extent_bundle_count(slot_count) * sizeof *b->ends);
    buffer_init(&b->times, MEM_HEAD, EXTENT_BYTES_MAX);
    buffer_init(&b->body, MEM_HEAD, EXTENT_BYTES_MAX);
    buffer_init(&b->columns, MEM_HEAD, EXTENT_BYTES_MAX);
    extent_times_encode(&b->times, times, row_count);
}

static void bundle_finish(struct extent_builder *b)
{
    size_t begin = b->body.len;
    uint32_t bundle = (b->slots_done - 1) / EXTENT_BUNDLE_SLOTS;
    for (uint32_t i = 0; i < bundle_slots(b->head, bundle); i++)
        buffer_append_varint(&b->body, b->lengths[i]);
    buffer_append_view(&b->body, buffer_view(&b->columns));
    buffer_append_u32(&b->body, crc32c(0, b->body.ptr + begin, b->body.len - begin));
    ASSERT(!b->body.failed);
    buffer_reset(&b->columns);
    b->ends[bundle] = (uint32_t)b->body.len;
}

void extent_builder_add(struct extent_builder *b, const double *values, uint64_t present)
{
    uint32_t slot = b->slots_done++;
    size_t begin = b->columns.len;
    ASSERT(slot < b->head->slot_count);
    present &= extent_rows_mask(b->head->row_count);
    if (present != 0)
        b->occupied[slot / 64] |= UINT64_C(1) << (slot & 63);
    else
        b->head->all_occupied = false;
    extent_column_encode(&b->columns, values, present, b->head->row_count);
    b->lengths[slot % EXTENT_BUNDLE_SLOTS] = (uint32_t)(b->columns.len - begin);
    if (b->slots_done % EXTENT_BUNDLE_SLOTS == 0 || b->slots_done == b->head->slot_count)
        bundle_finish(b);
}

struct extent *extent_builder_finish(struct extent_builder *b)
{
    ASSERT(b->slots_done == b->head->slot_count);
    b->head->body_bytes = (uint32_t)b->body.len;
    b->head->times_bytes = (uint16_t)b->times.len;
    size_t words = occupied_words(b->head), bundles = extent_bundle_count(b->head->slot_count);
    size_t bytes = words * 8 + bundles * 4 + b->times.len + b->body.len + BIT_PACK_SLACK;
    struct extent *x = mem_alloc(MEM_HEAD, sizeof *x + bytes);
    memcpy(x, b->head, sizeof *x);
    atomic_init(&x->refs, 1);
    if (words > 0)
        memcpy(x->bytes, b->occupied, words * 8);
    memcpy(ends_of(x), b->ends, bundles * sizeof *b->ends);
    memcpy(times_of(x), b->times.ptr, b->times.len);
    memcpy(body_of(x), b->body.ptr, b->body.len);
    memset(body_of(x) + b->body.len, 0, BIT_PACK_SLACK);
    mem_free(MEM_HEAD, b->head);
    mem_free(MEM_HEAD, b->occupied);
    mem_free(MEM_HEAD, b->ends);
    buffer_deinit(&b->times);
    buffer_deinit(&b->body);
    buffer_deinit(&b->columns);
    return x;
}

/* --- as bytes --- */

void extent_append_head(struct buffer *out, const struct extent *x, uint32_t group)
{
    size_t begin = wal_record_begin(out, WAL_RECORD_EXTENT);
    int64_t before = 0;
    buffer_append_u8(out, x->all_occupied ? 0 : FLAG_OCCUPIED);
    buffer_append_u8(out, x->row_count);
    buffer_append_varint(out, group);
    buffer_append_varint(out, x->first_row);
    buffer_append_varint(out, x->slot_count);
    buffer_append_string(out, (struct view){(const char *)times_of(x), x->times_bytes});
    for (uint32_t slot = 0; slot < x->slot_count; slot++) {
        uint32_t series = slot_map_get(x->map, slot);
        bool has = series < SLOT_UNKNOWN && extent_slot_is_occupied(x, slot);
        int64_t id = has ? (int64_t)series + 1 : 0;
        buffer_append_svarint(out, id - before);
        before = id;
    }
    if (!x->all_occupied)
        buffer_append(out, x->bytes, ((size_t)x->slot_count + 7) / 8);
    for (uint32_t i = 0; i < extent_bundle_count(x->slot_count); i++)
        buffer_append_varint(out, ends_of(x)[i] - bundle_begin(x, i));
    wal_record_end(out, begin);
}

struct view extent_body(const struct extent *x)
{
    ASSERT(!x->file);
    return (struct view){(const char *)body_of(x), x->body_bytes};
}

bool extent_head_decode(struct reader *r, struct extent_head *out)
{
    uint8_t flags = reader_u8(r);
    out->row_count = reader_u8(r);
    uint64_t group = reader_varint(r);
    out->first_row = reader_varint(r);
    uint64_t slots = reader_varint(r);
    out->times = reader_string(r, UINT16_MAX);
    /* An id takes a byte at least, so the bytes bound what is allocated. */
    if (r->failed || (flags & ~FLAG_OCCUPIED) || out->row_count == 0 ||
        out->row_count > EXTENT_ROWS_MAX || group >= UINT32_MAX || slots == 0 ||
        slots > reader_left(r) || slots > UINT32_MAX / 2 || out->first_row > UINT64_MAX / 2)
        return false;
    out->group = (uint32_t)group;
    out->slot_count = (uint32_t)slots;
    out->all_occupied = !(flags & FLAG_OCCUPIED);
    return true;
}

/* The map of the ids that come next: `likely`, or a new one. NULL for malformed bytes. */
static struct slot_map *map_decode(struct reader *r, uint32_t slot_count, struct slot_map *likely,
                                   bool *is_new)
{
    struct slot_map *fresh = NULL;
    bool same = likely && likely->capacity >= slot_count;
    uint64_t id = 0; /* one more than the id; wraps instead of overflowing */
    for (uint32_t slot = 0; slot < slot_count; slot++) {
        id += (uint64_t)reader_svarint(r);
        if (r->failed || id > SLOT_UNKNOWN) {
            slot_map_unref(fresh);
            return NULL;
        }
        uint32_t series = id == 0 ? SLOT_EMPTY : (uint32_t)(id - 1);
        if (same && slot_map_get(likely, slot) == series)
            continue;
        if (!fresh) {
            fresh = slot_map_new(slot_count);
            for (uint32_t i = 0; i < slot; i++)
                fresh->ids[i] = slot_map_get(likely, i);
        }
        same = false;
        fresh->ids[slot] = series;
    }
    *is_new = fresh != NULL;
    return fresh ? fresh : slot_map_ref(likely);
}

static bool occupied_decode(struct reader *r, struct extent *x)
{
    size_t bytes = ((size_t)x->slot_count + 7) / 8, words = occupied_words(x);
    if (x->all_occupied)
        return true;
    struct view raw = reader_bytes(r, bytes);
    if (r->failed)
        return false;
    x->bytes[words - 1] = 0;
    memcpy(x->bytes, raw.ptr, bytes);
    return x->slot_count % 64 == 0 || x->bytes[words - 1] >> (x->slot_count & 63) == 0;
}

static bool ends_decode(struct reader *r, struct extent *x)
{
    uint64_t end = 0;
    for (uint32_t i = 0; i < extent_bundle_count(x->slot_count); i++) {
        uint64_t bytes = reader_varint(r);
        if (r->failed || bytes <= CRC_BYTES || bytes > UINT32_MAX - end)
            return false;
        ends_of(x)[i] = (uint32_t)(end += bytes);
    }
    x->body_bytes = (uint32_t)end;
    return reader_left(r) == 0;
}

static bool times_accept(struct extent *x, struct view times)
{
    int64_t unpacked[EXTENT_ROWS_MAX];
    memcpy(times_of(x), times.ptr, times.len);
    memset(times_of(x) + times.len, 0, BIT_PACK_SLACK);
    if (!extent_times_decode((struct view){(const char *)times_of(x), times.len}, x->row_count,
                             unpacked))
        return false;
    x->first_time = unpacked[0];
    x->last_time = unpacked[x->row_count - 1];
    return true;
}

struct extent *extent_head_finish(struct reader *r, const struct extent_head *head,
                                  struct slot_map *likely, struct extent_file *file,
                                  uint64_t body_offset, bool *is_new_map)
{
    struct extent shape = {.slot_count = head->slot_count,
                           .first_row = head->first_row,
                           .times_bytes = (uint16_t)head->times.len,
                           .row_count = head->row_count,
                           .all_occupied = head->all_occupied,
                           .body_offset = body_offset};
    size_t bytes = occupied_words(&shape) * 8 + extent_bundle_count(head->slot_count) * 4u +
                   head->times.len + BIT_PACK_SLACK;
    struct slot_map *map = map_decode(r, head->slot_count, likely, is_new_map);
    if (!map)
        return NULL;
    struct extent *x = mem_alloc(MEM_HEAD, sizeof *x + bytes);
    memcpy(x, &shape, sizeof *x);
    atomic_init(&x->refs, 1);
    x->map = map;
    x->file = extent_file_ref(file);
    if (times_accept(x, head->times) && occupied_decode(r, x) && ends_decode(r, x))
        return x;
    extent_unref(x);
    return NULL;
}

/* --- reading --- */

void extent_times(const struct extent *x, int64_t *out)
{
    struct view times = {(const char *)times_of(x), x->times_bytes};
    bool ok = extent_times_decode(times, x->row_count, out);
    ASSERT(ok); /* made here, or checked when the head was read */
}

bool extent_slot_is_occupied(const struct extent *x, uint32_t slot)
{
    ASSERT(slot < x->slot_count);
    return x->all_occupied || (x->bytes[slot / 64] >> (slot & 63) & 1);
}

void extent_window_reset(struct extent_window *w)
{
    w->first = w->end = w->ahead = w->bundle = 0;
}

void extent_window_deinit(struct extent_window *w)
{
    mem_free(MEM_QUERY, w->bytes);
}

static bool damaged(const struct extent *x, uint32_t bundle, struct error *err)
{
    extent_file_mark_damaged(x->file);
    return error_set(err, ERROR_CORRUPT, "\"%s\" is damaged in bytes %" PRIu64 " to %" PRIu64,
                     extent_file_path(x->file), x->body_offset + bundle_begin(x, bundle),
                     x->body_offset + ends_of(x)[bundle]);
}

/* Reads the bundle, and some that follow when the last ones were asked for in order. */
static bool window_fill(const struct extent *x, struct extent_window *w, uint32_t bundle,
                        struct error *err)
{
    uint32_t count = extent_bundle_count(x->slot_count), end = bundle + 1;
    uint32_t begin_byte = bundle_begin(x, bundle);
    w->ahead = w->end == bundle && bundle > 0 ? w->ahead * 2 : 1;
    w->ahead = w->ahead < AHEAD_MAX ? w->ahead : AHEAD_MAX;
    while (end < count && end - bundle < w->ahead &&
           ends_of(x)[end] - begin_byte <= WINDOW_BYTES_MAX)
        end++;
    size_t bytes = ends_of(x)[end - 1] - begin_byte;
    w->bytes = mem_grow(MEM_QUERY, w->bytes, &w->capacity, bytes + BIT_PACK_SLACK, 1);
    w->first = w->end = 0;
    if (!extent_file_read(x->file, x->body_offset + begin_byte, w->bytes, bytes, err))
        return false;
    memset(w->bytes + bytes, 0, BIT_PACK_SLACK);
    w->first = bundle;
    w->end = end;
    return true;
}

/* Where the bundle's columns begin, from what stands before them. */
static bool bundle_parse(const struct extent *x, struct extent_window *w, uint32_t bundle,
                         const uint8_t *at, size_t bytes)
{
    struct reader r = reader_from((struct view){(const char *)at, bytes - CRC_BYTES});
    uint32_t lengths[EXTENT_BUNDLE_SLOTS], slots = bundle_slots(x, bundle);
    uint64_t total = 0;
    for (uint32_t i = 0; i < slots; i++) {
        uint64_t length = reader_varint(&r);
        if (length == 0 || length > bytes)
            return false;
        lengths[i] = (uint32_t)length;
        total += length;
    }
    if (r.failed || total != reader_left(&r))
        return false;
    w->columns[0] = at + r.pos;
    for (uint32_t i = 0; i < slots; i++)
        w->columns[i + 1] = w->columns[i] + lengths[i];
    w->bundle = bundle + 1;
    return true;
}

static bool bundle_open(const struct extent *x, struct extent_window *w, uint32_t bundle,
                        struct error *err)
{
    size_t bytes = ends_of(x)[bundle] - bundle_begin(x, bundle);
    const uint8_t *at = body_of(x) + bundle_begin(x, bundle);
    w->bundle = 0;
    if (x->file) {
        if ((bundle < w->first || bundle >= w->end) && !window_fill(x, w, bundle, err))
            return false;
        at = w->bytes + (bundle_begin(x, bundle) - bundle_begin(x, w->first));
        uint32_t stored = 0;
        for (unsigned i = 0; i < CRC_BYTES; i++)
            stored |= (uint32_t)at[bytes - CRC_BYTES + i] << (8 * i);
        if (stored != crc32c(0, at, bytes - CRC_BYTES))
            return damaged(x, bundle, err);
    }
    return bundle_parse(x, w, bundle, at, bytes) || damaged(x, bundle, err);
}

bool extent_column(const struct extent *x, struct extent_window *w, uint32_t slot, double *out,
                   uint64_t *present, struct error *err)
{
    uint32_t bundle = slot / EXTENT_BUNDLE_SLOTS, i = slot % EXTENT_BUNDLE_SLOTS;
    ASSERT(slot < x->slot_count);
    if (w->bundle != bundle + 1 && !bundle_open(x, w, bundle, err))
        return false;
    struct view column = {(const char *)w->columns[i], (size_t)(w->columns[i + 1] - w->columns[i])};
    return extent_column_decode(column, x->row_count, out, present) || damaged(x, bundle, err);
}

bool extent_verify(const struct extent *x, struct error *err)
{
    struct extent_window w = {0};
    double values[EXTENT_ROWS_MAX];
    uint64_t present;
    bool ok = true;
    for (uint32_t slot = 0; ok && slot < x->slot_count; slot++)
        ok = extent_column(x, &w, slot, values, &present, err);
    extent_window_deinit(&w);
    return ok;
}
