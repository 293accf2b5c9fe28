/* SPDX-License-Identifier: Apache-2.0 */
/* series_log.c: head/series.log, records of type WAL_RECORD_SERIES (frame: wal_record.h) with entries:
 *
 *   1 RESET                                               symbols and shapes are numbered anew from here
 *   2 SYMBOL    number varint | text string               string := length varint | bytes
 *   3 SHAPE     number varint | count varint | names varint ...
 *   4 SERIES    number varint | shape varint | count varint | values varint ...
 *   5 GROUP     number varint | key string
 *   6 METADATA  type u8 | family string | help string | unit string
 *
 * 1. Every entry says its own number: when a record is lost, what refers to it is known to be lost, and
 *    nothing is taken for something else.
 * 2. Series and group numbers are the head's and stay the same for ever; those of symbols and shapes are
 *    the writing process's, which is why each process begins with RESET.
 * 3. A series stands in the log before any row of it stands in the WAL.
 * 4. At each cut the log is rewritten with the living and published by rename. */
#include "storage/series_log.h"

#include "base/assert.h"
#include "base/mem.h"
#include "base/reader.h"
#include "storage/wal_record.h"

enum { ENTRY_RESET = 1, ENTRY_SYMBOL, ENTRY_SHAPE, ENTRY_SERIES, ENTRY_GROUP, ENTRY_METADATA };
enum { RECORD_BYTES = 64 * 1024, TEXT_BYTES_MAX = 16 << 20, SHAPE_NAMES_MAX = 1 << 16 };
/* Numbers ascend almost without holes; a jump past this is damage that a CRC did not see. */
enum { NUMBER_JUMP_MAX = 1 << 22 };
#define RECORDS_BYTES_MAX ((size_t)1 << 40)

void series_log_writer_init(struct series_log_writer *w)
{
    buffer_init(&w->records, MEM_WAL, RECORDS_BYTES_MAX);
    w->frame_begin = SIZE_MAX;
}

void series_log_writer_deinit(struct series_log_writer *w)
{
    buffer_deinit(&w->records);
}

static struct buffer *entry_begin(struct series_log_writer *w, uint8_t entry)
{
    if (w->frame_begin != SIZE_MAX && w->records.len - w->frame_begin >= RECORD_BYTES) {
        wal_record_end(&w->records, w->frame_begin);
        w->frame_begin = SIZE_MAX;
    }
    if (w->frame_begin == SIZE_MAX)
        w->frame_begin = wal_record_begin(&w->records, WAL_RECORD_SERIES);
    buffer_append_u8(&w->records, entry);
    return &w->records;
}

void series_log_add_reset(struct series_log_writer *w)
{
    entry_begin(w, ENTRY_RESET);
}

void series_log_add_symbol(struct series_log_writer *w, uint32_t symbol, struct view text)
{
    struct buffer *b = entry_begin(w, ENTRY_SYMBOL);
    buffer_append_varint(b, symbol);
    buffer_append_string(b, text);
}

void series_log_add_shape(struct series_log_writer *w, uint32_t shape, const symbol_id *names,
                          uint32_t count)
{
    struct buffer *b = entry_begin(w, ENTRY_SHAPE);
    buffer_append_varint(b, shape);
    buffer_append_varint(b, count);
    for (uint32_t i = 0; i < count; i++)
        buffer_append_varint(b, names[i].n);
}

void series_log_add_series(struct series_log_writer *w, uint32_t series, uint32_t shape,
                           const symbol_id *values, uint32_t count)
{
    struct buffer *b = entry_begin(w, ENTRY_SERIES);
    buffer_append_varint(b, series);
    buffer_append_varint(b, shape);
    buffer_append_varint(b, count);
    for (uint32_t i = 0; i < count; i++)
        buffer_append_varint(b, values[i].n);
}

void series_log_add_group(struct series_log_writer *w, uint32_t group, struct view key)
{
    struct buffer *b = entry_begin(w, ENTRY_GROUP);
    buffer_append_varint(b, group);
    buffer_append_string(b, key);
}

void series_log_add_metadata(struct series_log_writer *w, const struct metric_metadata *m)
{
    struct buffer *b = entry_begin(w, ENTRY_METADATA);
    buffer_append_u8(b, (uint8_t)m->type);
    buffer_append_string(b, m->family);
    buffer_append_string(b, m->help);
    buffer_append_string(b, m->unit);
}

void series_log_take(struct series_log_writer *w, struct buffer *out)
{
    if (w->frame_begin != SIZE_MAX)
        wal_record_end(&w->records, w->frame_begin);
    ASSERT(!w->records.failed);
    *out = w->records;
    series_log_writer_init(w);
}

/* --- reading --- */

struct number_map {
    uint32_t *items; /* LABEL_STORE_NONE = not seen */
    size_t count, capacity;
};

struct series_log_reader {
    struct label_store *labels;
    struct series_log_visitor visitor;
    struct number_map symbols, shapes;
    symbol_id *scratch; /* names or values of one entry */
    size_t scratch_capacity;
    uint64_t lost;
};

struct series_log_reader *series_log_reader_new(struct label_store *labels,
                                                const struct series_log_visitor *visitor)
{
    struct series_log_reader *r = mem_alloc_zero(MEM_WAL, 1, sizeof *r);
    r->labels = labels;
    r->visitor = *visitor;
    return r;
}

void series_log_reader_free(struct series_log_reader *r)
{
    if (!r)
        return;
    mem_free(MEM_WAL, r->symbols.items);
    mem_free(MEM_WAL, r->shapes.items);
    mem_free(MEM_WAL, r->scratch);
    mem_free(MEM_WAL, r);
}

uint64_t series_log_reader_lost(const struct series_log_reader *r)
{
    return r->lost;
}

static bool number_set(struct number_map *m, uint64_t number, uint32_t ours)
{
    if (number > m->count + NUMBER_JUMP_MAX || number >= LABEL_STORE_NONE)
        return false;
    if (number >= m->count) {
        m->items = mem_grow(MEM_WAL, m->items, &m->capacity, number + 1, sizeof *m->items);
        while (m->count <= number)
            m->items[m->count++] = LABEL_STORE_NONE;
    }
    m->items[number] = ours;
    return true;
}

static uint32_t number_get(const struct number_map *m, uint64_t number)
{
    return number < m->count ? m->items[number] : LABEL_STORE_NONE;
}

static symbol_id *scratch_of(struct series_log_reader *r, size_t count)
{
    r->scratch = mem_grow(MEM_WAL, r->scratch, &r->scratch_capacity, count + 1, sizeof *r->scratch);
    return r->scratch;
}

static bool read_symbol(struct series_log_reader *r, struct reader *in)
{
    uint64_t number = reader_varint(in);
    struct view text = reader_string(in, TEXT_BYTES_MAX);
    if (in->failed)
        return false;
    return number_set(&r->symbols, number, label_store_add_symbol(r->labels, text).n);
}

/* Reads `count` symbol numbers; *known says whether all were seen and none is "". */
static bool read_symbols(struct series_log_reader *r, struct reader *in, uint32_t count,
                         bool *known)
{
    symbol_id *out = scratch_of(r, count);
    *known = true;
    for (uint32_t i = 0; i < count; i++) {
        out[i].n = number_get(&r->symbols, reader_varint(in));
        if (out[i].n == LABEL_STORE_NONE || out[i].n == 0)
            *known = false;
    }
    return !in->failed;
}

static bool names_ascend(const struct series_log_reader *r, uint32_t count)
{
    for (uint32_t i = 1; i < count; i++) {
        if (view_cmp(label_store_text(r->labels, r->scratch[i - 1]),
                     label_store_text(r->labels, r->scratch[i])) >= 0)
            return false;
    }
    return true;
}

static bool read_shape(struct series_log_reader *r, struct reader *in)
{
    uint64_t number = reader_varint(in), count = reader_varint(in);
    bool known;
    if (in->failed || count > SHAPE_NAMES_MAX || count > reader_left(in) ||
        !read_symbols(r, in, (uint32_t)count, &known))
        return false;
    if (!known) {
        r->lost++;
        return number_set(&r->shapes, number, LABEL_STORE_NONE);
    }
    if (!names_ascend(r, (uint32_t)count))
        return false;
    return number_set(&r->shapes, number,
                      label_store_add_shape(r->labels, r->scratch, (uint32_t)count).n);
}

static bool read_series(struct series_log_reader *r, struct reader *in)
{
    uint64_t number = reader_varint(in);
    shape_id shape = {number_get(&r->shapes, reader_varint(in))};
    uint64_t count = reader_varint(in);
    uint32_t shape_count = 0;
    bool known;
    if (in->failed || number >= UINT32_MAX || count > SHAPE_NAMES_MAX ||
        !read_symbols(r, in, (uint32_t)count, &known))
        return false;
    if (shape.n != LABEL_STORE_NONE)
        label_store_shape_names(r->labels, shape, &shape_count);
    labels_id id = {LABEL_STORE_NONE};
    if (known && shape.n != LABEL_STORE_NONE && shape_count == count)
        id = label_store_add_values(r->labels, shape, r->scratch);
    if (id.n == LABEL_STORE_NONE)
        r->lost++;
    else
        r->visitor.series(r->visitor.arg, (uint32_t)number, id);
    return true;
}

static bool read_group(struct series_log_reader *r, struct reader *in)
{
    uint64_t number = reader_varint(in);
    struct view key = reader_string(in, TEXT_BYTES_MAX);
    if (in->failed || number >= UINT32_MAX)
        return false;
    r->visitor.group(r->visitor.arg, (uint32_t)number, key);
    return true;
}

static bool read_metadata(struct series_log_reader *r, struct reader *in)
{
    struct metric_metadata m = {.type = METRIC_UNKNOWN};
    uint8_t type = reader_u8(in);
    m.family = reader_string(in, TEXT_BYTES_MAX);
    m.help = reader_string(in, TEXT_BYTES_MAX);
    m.unit = reader_string(in, TEXT_BYTES_MAX);
    if (in->failed || type >= METRIC_TYPE_COUNT)
        return false;
    m.type = (enum metric_type)type;
    r->visitor.metadata(r->visitor.arg, &m);
    return true;
}

bool series_log_read(struct series_log_reader *r, struct view payload)
{
    struct reader in = reader_from(payload);
    while (reader_left(&in) > 0) {
        bool ok = false;
        switch (reader_u8(&in)) {
        case ENTRY_RESET:
            r->symbols.count = r->shapes.count = 0;
            ok = true;
            break;
        case ENTRY_SYMBOL:
            ok = read_symbol(r, &in);
            break;
        case ENTRY_SHAPE:
            ok = read_shape(r, &in);
            break;
        case ENTRY_SERIES:
            ok = read_series(r, &in);
            break;
        case ENTRY_GROUP:
            ok = read_group(r, &in);
            break;
        case ENTRY_METADATA:
            ok = read_metadata(r, &in);
            break;
        default:
            break;
        }
        if (!ok)
            return false;
    }
    return true;
}
