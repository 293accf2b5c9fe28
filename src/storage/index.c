/* SPDX-License-Identifier: Apache-2.0 */
/* index.c: reading the file `index` of a block. Integers little endian.
 *
 *   index   := "BLFIDX01" | sections, one after the other | footer
 *   footer  := { offset u64, bytes u64 } per section, in the order of enum index_section
 *              counts u32: symbols, shapes, names, values, series, time columns
 *              mint i64 | maxt i64 | samples u64 | bytes of `columns` u64 | ulid, 26 bytes
 *              "BLFI" | CRC32C of all bytes before
 *
 *   SYMBOLS         each text once, ascending: shared varint | rest_bytes varint | rest
 *                   shared: bytes equal to the text before; 0 for every 16th
 *   SYMBOL_OFFSETS  u32 for every 16th symbol
 *   SHAPES          count varint | name symbol varint ...           ascending
 *   SHAPE_OFFSETS   u32 per shape
 *   TIMES           offset u64 | bytes u32 | count u32 | first i64 | last i64
 *   POSTINGS        lists of series numbers: integers (codec_integers.c)
 *   NAMES           symbol u32 | first value u32 | values u32       ascending; values: rows of VALUES
 *   VALUES          symbol u32 | offset in POSTINGS u32 | series u32     ascending within a name
 *   SERIES          hash u64 | shape varint | value symbol varint ... | columns u8 (1) |
 *                   kind u8 (0: floats) | flags u8 | offset varint | bytes varint | time column varint
 *   SERIES_OFFSETS  u32 per series
 *
 * 1. Symbols ascend as unsigned bytes, so symbols compare like their texts, in every table.
 * 2. Series are numbered in the order of their labels (labels_compare), so a metric's series are
 *    neighbours, and their postings pack to almost nothing.
 * 3. What meta.json says is here too, under the checksum: the two must agree (block.c).
 * Front coding: Witten, Moffat, Bell, "Managing Gigabytes". 16: chosen, not measured. */
#include "storage/index.h"

#include "base/assert.h"
#include "base/checksum.h"
#include "storage/codec.h"
#include "storage/index_private.h"

#include <inttypes.h>

static uint32_t load32(struct view section, size_t offset)
{
    ASSERT(offset + 4 <= section.len);
    struct reader r = reader_from(view_slice(section, offset, offset + 4));
    return reader_u32(&r);
}

static struct reader reader_at(struct view section, size_t offset)
{
    struct reader r = reader_from(section);
    reader_skip(&r, offset);
    return r;
}

/* --- open ----------------------------------------------------------------------------------------- */

static const struct {
    enum index_section section;
    const char *name;
    uint32_t row_bytes;
} TABLES[] = {
    {INDEX_SYMBOL_OFFSETS, "symbol offsets", 4},
    {INDEX_SHAPE_OFFSETS, "shape offsets", 4},
    {INDEX_TIMES, "time columns", 32},
    {INDEX_NAMES, "names", 12},
    {INDEX_VALUES, "values", 12},
    {INDEX_SERIES_OFFSETS, "series offsets", 4},
};

static uint64_t rows_of(const struct index *x, enum index_section section)
{
    switch (section) {
    case INDEX_SYMBOL_OFFSETS:
        return ((uint64_t)x->symbol_count + INDEX_SYMBOL_GROUP - 1) / INDEX_SYMBOL_GROUP;
    case INDEX_SHAPE_OFFSETS:
        return x->shape_count;
    case INDEX_TIMES:
        return x->times_count;
    case INDEX_NAMES:
        return x->name_count;
    case INDEX_VALUES:
        return x->value_count;
    case INDEX_SERIES_OFFSETS:
        return x->series_count;
    default:
        UNREACHABLE();
    }
}

static bool footer_read(struct index *x, struct reader *r, struct error *err)
{
    uint64_t next = INDEX_MAGIC_BYTES, end = x->bytes.len - INDEX_FOOTER_BYTES;
    for (int i = 0; i < INDEX_SECTION_COUNT; i++) {
        uint64_t offset = reader_u64(r), bytes = reader_u64(r);
        if (offset != next || bytes > end - next)
            return error_set(err, ERROR_CORRUPT, "section %d of the index is not where it must be",
                             i);
        x->sections[i] = view_slice(x->bytes, (size_t)offset, (size_t)(offset + bytes));
        next = offset + bytes;
    }
    x->symbol_count = reader_u32(r);
    x->shape_count = reader_u32(r);
    x->name_count = reader_u32(r);
    x->value_count = reader_u32(r);
    x->series_count = reader_u32(r);
    x->times_count = reader_u32(r);
    x->mint = (int64_t)reader_u64(r);
    x->maxt = (int64_t)reader_u64(r);
    x->sample_count = reader_u64(r);
    x->columns_bytes = reader_u64(r);
    struct view ulid = reader_bytes(r, ULID_BYTES - 1);
    ASSERT(!r->failed); /* the footer's size was checked */
    memcpy(x->ulid, ulid.ptr, ulid.len);
    x->ulid[ULID_BYTES - 1] = '\0';
    if (next != end)
        return error_set(err, ERROR_CORRUPT, "%" PRIu64 " bytes of the index belong to no section",
                         end - next);
    for (size_t i = 0; i < ARRAY_COUNT(TABLES); i++)
        if (x->sections[TABLES[i].section].len !=
            rows_of(x, TABLES[i].section) * TABLES[i].row_bytes)
            return error_set(err, ERROR_CORRUPT, "the index's table of %s has a wrong size",
                             TABLES[i].name);
    return true;
}

bool index_open(struct index *x, struct view bytes, struct error *err)
{
    *x = (struct index){.bytes = bytes};
    if (bytes.len < INDEX_MAGIC_BYTES + INDEX_FOOTER_BYTES)
        return error_set(err, ERROR_CORRUPT, "the index is cut short after %zu bytes", bytes.len);
    if (!view_has_prefix(bytes, VIEW(INDEX_MAGIC)))
        return error_set(err, ERROR_CORRUPT, "this is no index of a version that is known here");
    struct reader r = reader_at(bytes, bytes.len - INDEX_FOOTER_BYTES);
    struct reader tail = reader_at(bytes, bytes.len - 8);
    uint32_t magic = reader_u32(&tail), crc = reader_u32(&tail);
    if (magic != INDEX_END_MAGIC || crc != crc32c(0, bytes.ptr, bytes.len - 4))
        return error_set(err, ERROR_CORRUPT, "the checksum of the index is wrong");
    return footer_read(x, &r, err);
}

/* --- symbols -------------------------------------------------------------------------------------- */

void index_cursor_init(struct index_cursor *c, const struct index *x)
{
    *c = (struct index_cursor){.index = x, .next = INDEX_NONE};
    buffer_init(&c->text, MEM_QUERY, INDEX_SYMBOL_BYTES_MAX);
}

void index_cursor_deinit(struct index_cursor *c)
{
    buffer_deinit(&c->text);
}

/* Reads symbol c->next into c->text, which holds the one before it. */
static bool cursor_step(struct index_cursor *c)
{
    uint64_t shared = reader_varint(&c->reader);
    struct view rest = reader_string(&c->reader, INDEX_SYMBOL_BYTES_MAX);
    if (c->reader.failed || shared > c->text.len ||
        (c->next % INDEX_SYMBOL_GROUP == 0 && shared != 0)) {
        c->next = INDEX_NONE;
        return false;
    }
    c->text.len = (size_t)shared;
    buffer_append_view(&c->text, rest);
    c->next++;
    return !c->text.failed;
}

static bool cursor_seek(struct index_cursor *c, uint32_t group)
{
    const struct index *x = c->index;
    c->reader = reader_at(x->sections[INDEX_SYMBOLS],
                          load32(x->sections[INDEX_SYMBOL_OFFSETS], (size_t)group * 4));
    c->next = group * INDEX_SYMBOL_GROUP;
    buffer_reset(&c->text);
    return cursor_step(c);
}

bool index_symbol(struct index_cursor *c, uint32_t symbol, struct view *text)
{
    if (symbol >= c->index->symbol_count)
        return false;
    uint32_t group = symbol / INDEX_SYMBOL_GROUP;
    bool ahead = c->next != INDEX_NONE && symbol + 1 >= c->next &&
                 (c->next - 1) / INDEX_SYMBOL_GROUP == group;
    if (!ahead && !cursor_seek(c, group))
        return false;
    while (c->next <= symbol)
        if (!cursor_step(c))
            return false;
    *text = buffer_view(&c->text);
    return true;
}

uint32_t index_symbol_at_least(struct index_cursor *c, struct view text, bool *equal)
{
    const struct index *x = c->index;
    struct view found;
    *equal = false;
    /* The last group whose first symbol is not above the text. */
    uint32_t low = 0, high = (uint32_t)rows_of(x, INDEX_SYMBOL_OFFSETS);
    while (low < high) {
        uint32_t mid = low + (high - low) / 2;
        if (!cursor_seek(c, mid) || view_cmp(buffer_view(&c->text), text) > 0)
            high = mid;
        else
            low = mid + 1;
    }
    uint32_t symbol = low > 0 ? (low - 1) * INDEX_SYMBOL_GROUP : 0;
    for (; symbol < x->symbol_count && index_symbol(c, symbol, &found); symbol++) {
        int order = view_cmp(found, text);
        *equal = order == 0;
        if (order >= 0)
            break;
    }
    return symbol;
}

uint32_t index_symbol_find(struct index_cursor *c, struct view text)
{
    bool equal;
    uint32_t symbol = index_symbol_at_least(c, text, &equal);
    return equal ? symbol : INDEX_NONE;
}

/* --- labels --------------------------------------------------------------------------------------- */

struct index_name index_name_at(const struct index *x, uint32_t idx)
{
    struct view section = x->sections[INDEX_NAMES];
    struct index_name n = {load32(section, (size_t)idx * 12), load32(section, (size_t)idx * 12 + 4),
                           load32(section, (size_t)idx * 12 + 8)};
    if (n.first_value > x->value_count || n.value_count > x->value_count - n.first_value)
        n.first_value = n.value_count = 0;
    return n;
}

bool index_name_find(const struct index *x, uint32_t symbol, struct index_name *out)
{
    uint32_t low = 0, high = x->name_count;
    while (low < high) {
        uint32_t mid = low + (high - low) / 2;
        *out = index_name_at(x, mid);
        if (out->symbol == symbol)
            return true;
        if (out->symbol < symbol)
            low = mid + 1;
        else
            high = mid;
    }
    return false;
}

struct index_value index_value_at(const struct index *x, const struct index_name *n, uint32_t idx)
{
    ASSERT(idx < n->value_count);
    struct view section = x->sections[INDEX_VALUES];
    size_t at = ((size_t)n->first_value + idx) * 12;
    return (struct index_value){load32(section, at), load32(section, at + 4),
                                load32(section, at + 8)};
}

uint32_t index_value_at_least(const struct index *x, const struct index_name *n, uint32_t symbol)
{
    uint32_t low = 0, high = n->value_count;
    while (low < high) {
        uint32_t mid = low + (high - low) / 2;
        if (index_value_at(x, n, mid).symbol < symbol)
            low = mid + 1;
        else
            high = mid;
    }
    return low;
}

bool index_postings(const struct index *x, struct index_value v, uint32_t *out)
{
    struct reader r = reader_at(x->sections[INDEX_POSTINGS], v.postings_offset);
    struct codec_integers list;
    if (v.series_count > x->series_count || !codec_integers_open(&list, &r, v.series_count))
        return false;
    int64_t before = -1;
    for (size_t from = 0; from < v.series_count;) {
        int64_t numbers[1024];
        size_t n = v.series_count - from < ARRAY_COUNT(numbers) ? v.series_count - from
                                                                : ARRAY_COUNT(numbers);
        codec_integers_decode(&list, from, from + n, numbers);
        for (size_t i = 0; i < n; i++) {
            if (numbers[i] <= before || numbers[i] >= (int64_t)x->series_count)
                return false;
            before = numbers[i];
            out[from++] = (uint32_t)numbers[i];
        }
    }
    return true;
}

/* --- series --------------------------------------------------------------------------------------- */

static uint32_t shape_open(const struct index *x, uint32_t shape, struct reader *r)
{
    *r = reader_at(x->sections[INDEX_SHAPES],
                   load32(x->sections[INDEX_SHAPE_OFFSETS], (size_t)shape * 4));
    uint64_t count = reader_varint(r);
    if (count > INDEX_LABELS_MAX)
        reader_fail(r);
    return r->failed ? 0 : (uint32_t)count;
}

bool index_shape(const struct index *x, uint32_t shape, uint32_t out[INDEX_LABELS_MAX],
                 uint32_t *count)
{
    if (shape >= x->shape_count)
        return false;
    struct reader r;
    *count = shape_open(x, shape, &r);
    for (uint32_t i = 0; i < *count; i++) {
        uint64_t symbol = reader_varint(&r);
        if (symbol >= x->symbol_count || (i > 0 && symbol <= out[i - 1]))
            return false;
        out[i] = (uint32_t)symbol;
    }
    return !r.failed;
}

bool index_series_at(const struct index *x, uint32_t number, struct index_series *out)
{
    if (number >= x->series_count)
        return false;
    struct reader names,
        r = reader_at(x->sections[INDEX_SERIES],
                      load32(x->sections[INDEX_SERIES_OFFSETS], (size_t)number * 4));
    out->hash = reader_u64(&r);
    uint64_t shape = reader_varint(&r);
    if (shape >= x->shape_count)
        return false;
    out->shape = (uint32_t)shape;
    out->label_count = shape_open(x, out->shape, &names);
    for (uint32_t i = 0; i < out->label_count; i++) {
        uint64_t symbol = reader_varint(&r);
        if (symbol >= x->symbol_count)
            return false;
        out->values[i] = (uint32_t)symbol;
    }
    unsigned columns = reader_u8(&r), kind = reader_u8(&r);
    out->flags = reader_u8(&r);
    out->offset = reader_varint(&r);
    uint64_t bytes = reader_varint(&r), times = reader_varint(&r);
    if (columns != 1 || kind != 0 || bytes > x->columns_bytes || times >= x->times_count ||
        out->offset > x->columns_bytes - bytes || bytes > UINT32_MAX)
        return false;
    out->bytes = (uint32_t)bytes;
    out->times = (uint32_t)times;
    return !r.failed && !names.failed;
}

bool index_times_at(const struct index *x, uint32_t number, struct index_times *out)
{
    if (number >= x->times_count)
        return false;
    struct reader r = reader_at(x->sections[INDEX_TIMES], (size_t)number * 32);
    out->offset = reader_u64(&r);
    out->bytes = reader_u32(&r);
    out->count = reader_u32(&r);
    out->mint = (int64_t)reader_u64(&r);
    out->maxt = (int64_t)reader_u64(&r);
    return !r.failed && out->bytes <= x->columns_bytes &&
           out->offset <= x->columns_bytes - out->bytes && out->count > 0 &&
           out->count <= CODEC_COUNT_MAX && out->count <= x->sample_count && out->mint <= out->maxt;
}
