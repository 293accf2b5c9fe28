/* SPDX-License-Identifier: Apache-2.0 */
/* import_test.c: what other programs wrote is read back bit by bit, and what they never wrote does no harm. Chunks and
 * logs are made here by writers of the test's own, after Prometheus' documents; real folders are compared with promtool
 * in tests/integration/test_import.py. The sorter is compared with a plain sort. */
#include "storage/sample_sorter.h"

#include "base/checksum.h"
#include "base/file.h"
#include "base/random.h"
#include "storage/db.h"
#include "storage/prometheus_chunk.h"
#include "storage/prometheus_import.h"
#include "storage/prometheus_wal.h"
#include "storage/series_interval.h"

#include <inttypes.h>
#include <math.h>
#include <setjmp.h>
#include <snappy-c.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>
#include <zstd.h>

#include <cmocka.h>

enum { PATH_BYTES = 4096, BUFFER_MAX = 64 << 20 };

#define assert_ok(call) assert_ok_at((call), &err, __LINE__)
static void assert_ok_at(bool ok, const struct error *err, int line)
{
    if (!ok)
        fail_msg("line %d: %s", line, err->message);
}

static const char *folder(void)
{
    static char dir[64];
    (void)snprintf(dir, sizeof dir, "/tmp/belfry_import_test.%d", (int)getpid());
    return dir;
}

static int folder_make(void **state)
{
    struct error err;
    (void)state;
    return dir_remove(folder(), &err) && dir_create(folder(), &err) ? 0 : -1;
}

static int folder_remove(void **state)
{
    struct error err;
    (void)state;
    return dir_remove(folder(), &err) ? 0 : -1;
}

static uint64_t bits_of(double v)
{
    uint64_t b;
    memcpy(&b, &v, sizeof b);
    return b;
}

static double double_of(uint64_t b)
{
    double v;
    memcpy(&v, &b, sizeof v);
    return v;
}

/* --- chunks ------------------------------------------------------------------------------------------ */

struct bit_writer {
    uint8_t bytes[1 << 20];
    size_t pos;
};

static void put_bits(struct bit_writer *w, uint64_t v, unsigned width)
{
    for (unsigned i = width; i-- > 0; w->pos++)
        if (v >> i & 1)
            w->bytes[w->pos / 8] |= (uint8_t)(0x80 >> (w->pos % 8));
}

static void put_varint(struct bit_writer *w, uint64_t v)
{
    for (; v >= 0x80; v >>= 7)
        put_bits(w, (v & 0x7f) | 0x80, 8);
    put_bits(w, v, 8);
}

static void put_change(struct bit_writer *w, int64_t d)
{
    if (d == 0)
        put_bits(w, 0, 1);
    else if (d >= -8191 && d <= 8192)
        put_bits(w, 2, 2), put_bits(w, (uint64_t)d, 14);
    else if (d >= -65535 && d <= 65536)
        put_bits(w, 6, 3), put_bits(w, (uint64_t)d, 17);
    else if (d >= -524287 && d <= 524288)
        put_bits(w, 14, 4), put_bits(w, (uint64_t)d, 20);
    else
        put_bits(w, 15, 4), put_bits(w, (uint64_t)d, 64);
}

static void put_value(struct bit_writer *w, uint64_t before, uint64_t v, unsigned *leading,
                      unsigned *trailing)
{
    uint64_t x = before ^ v;
    put_bits(w, x != 0, 1);
    if (!x)
        return;
    unsigned l = (unsigned)__builtin_clzll(x), t = (unsigned)__builtin_ctzll(x);
    l = l > 31 ? 31 : l;
    if (*leading != 255 && l >= *leading && t >= *trailing) {
        put_bits(w, 0, 1);
        put_bits(w, x >> *trailing, 64 - *leading - *trailing);
        return;
    }
    *leading = l;
    *trailing = t;
    put_bits(w, 1, 1);
    put_bits(w, l, 5);
    put_bits(w, (64 - l - t) & 63, 6);
    put_bits(w, x >> t, 64 - l - t);
}

static struct view chunk_make(struct bit_writer *w, const int64_t *t, const double *v, size_t count)
{
    unsigned leading = 255, trailing = 0;
    memset(w, 0, sizeof *w);
    put_bits(w, count, 16);
    for (size_t i = 0; i < count; i++) {
        if (i == 0) {
            put_varint(w, (uint64_t)t[0] << 1 ^ (uint64_t)(t[0] >> 63));
            put_bits(w, bits_of(v[0]), 64);
            continue;
        }
        int64_t step = t[i] - t[i - 1];
        if (i == 1)
            put_varint(w, (uint64_t)step);
        else
            put_change(w, step - (t[i - 1] - t[i - 2]));
        put_value(w, bits_of(v[i - 1]), bits_of(v[i]), &leading, &trailing);
    }
    return (struct view){(const char *)w->bytes, (w->pos + 7) / 8};
}

/* Steps of every width's edges, values of every kind of change. */
static void chunk_comes_back(void **state)
{
    static const int64_t EDGES[] = {0,      1,       -1,      8192,    -8191,      8193,
                                    -8192,  65536,   -65535,  65537,   524288,     -524287,
                                    524289, -524288, 9999999, 1 << 30, -(1 << 30), 15000};
    static struct bit_writer w;
    static int64_t times[4000], got_times[4000];
    static double values[4000], got[4000];
    struct random random;
    (void)state;
    random_seed(&random, 11);
    for (unsigned round = 0; round < 300; round++) {
        size_t count = 1 + random_below(&random, round < 280 ? 200 : 4000);
        int64_t t = (int64_t)random_below(&random, 1u << 31) - (1 << 30), step = 1 << 20;
        for (size_t i = 0; i < count; i++) {
            step += EDGES[random_below(&random, ARRAY_COUNT(EDGES))];
            step = step < 1 ? 1 : step;
            times[i] = t += step;
            switch (random_below(&random, 4)) {
            case 0:
                values[i] = i ? values[i - 1] : 0;
                break;
            case 1:
                values[i] = (double)random_below(&random, 1000);
                break;
            case 2:
                values[i] = double_of(random_next(&random));
                break;
            default:
                values[i] = i ? values[i - 1] + 0.1 : -0.0;
                break;
            }
        }
        struct view data = chunk_make(&w, times, values, count);
        assert_int_equal(prometheus_chunk_count(data), count);
        assert_true(prometheus_chunk_decode(data, got_times, got));
        assert_memory_equal(got_times, times, count * sizeof *times);
        assert_memory_equal(got, values, count * sizeof *values);
        if (count > 1) {
            data.len -= 1 + (data.len > 12 ? 2 : 0);
            assert_false(prometheus_chunk_decode(data, got_times, got));
        }
    }
}

/* --- deleted intervals ------------------------------------------------------------------------------ */

static void intervals_take_out_what_they_cover(void **state)
{
    static const struct {
        struct series_interval items[3];
        size_t count;
        int64_t left[6];
        size_t left_count;
    } CASES[] = {
        {{{7, 20, 30}}, 1, {10, 40, 50}, 3},
        {{{7, 20, 20}, {7, 40, 99}}, 2, {10, 30}, 2},
        {{{7, 41, 60}, {7, 0, 15}, {7, 5, 12}}, 3, {20, 30, 40}, 3},
        {{{7, 30, 20}}, 1, {10, 20, 30, 40, 50}, 5},
        {{{6, 0, 99}, {8, 0, 99}}, 2, {10, 20, 30, 40, 50}, 5},
        {{{7, INT64_MIN, INT64_MAX}}, 1, {0}, 0},
    };
    (void)state;
    for (size_t i = 0; i < ARRAY_COUNT(CASES); i++) {
        int64_t times[] = {10, 20, 30, 40, 50};
        double values[] = {1, 2, 3, 4, 5};
        struct series_intervals l;
        series_intervals_init(&l, MEM_OTHER);
        for (size_t k = 0; k < CASES[i].count; k++)
            series_intervals_add(&l, CASES[i].items[k]);
        series_intervals_sort(&l);
        assert_int_equal(series_intervals_apply(&l, 7, times, values, 5), CASES[i].left_count);
        for (size_t k = 0; k < CASES[i].left_count; k++) {
            assert_int_equal(times[k], CASES[i].left[k]);
            assert_true(values[k] == (double)times[k] / 10);
        }
        series_intervals_deinit(&l);
    }
}

/* --- logs ------------------------------------------------------------------------------------------- */

static void put_be(struct buffer *b, uint64_t v, unsigned bytes)
{
    for (unsigned i = bytes; i-- > 0;)
        buffer_append_u8(b, (uint8_t)(v >> (8 * i)));
}

static void put_fragment(struct buffer *b, unsigned kind, struct view data)
{
    buffer_append_u8(b, (uint8_t)kind);
    put_be(b, data.len, 2);
    put_be(b, crc32c(0, data.ptr, data.len), 4);
    buffer_append_view(b, data);
}

/* A record in as many fragments as its pages ask for; compression 0, 8 (snappy) or 16 (zstd). */
static void put_record(struct buffer *b, struct view record, unsigned compression)
{
    char *packed = malloc(record.len * 2 + 1024);
    struct view left = record;
    if (compression) {
        size_t len = snappy_max_compressed_length(record.len);
        if (compression == 8)
            assert_int_equal(snappy_compress(record.ptr, record.len, packed, &len), SNAPPY_OK);
        else
            len = ZSTD_compress(packed, record.len * 2 + 1024, record.ptr, record.len, 1);
        left = (struct view){packed, len};
    }
    for (bool first = true;; first = false) {
        size_t room = 32768 - b->len % 32768;
        if (room < 8) {
            for (; room > 0; room--)
                buffer_append_u8(b, 0);
            room = 32768;
        }
        size_t len = left.len < room - 7 ? left.len : room - 7;
        bool last = len == left.len;
        unsigned kind = first ? (last ? 1 : 2) : (last ? 4 : 3);
        put_fragment(b, kind | compression, (struct view){left.ptr, len});
        left.ptr += len;
        left.len -= len;
        if (last)
            break;
    }
    free(packed);
}

static void put_string(struct buffer *b, const char *text)
{
    buffer_append_string(b, view_from(text));
}

static void put_series(struct buffer *record, uint64_t number, const char *job)
{
    put_be(record, number, 8);
    buffer_append_varint(record, 2);
    put_string(record, "__name__");
    put_string(record, "up");
    put_string(record, "job");
    put_string(record, job);
}

struct heard {
    uint64_t series, samples, deleted;
    double sum;
    int64_t time_sum;
};

static bool hear_series(void *arg, uint64_t number, struct labels ls, struct error *err)
{
    struct heard *h = arg;
    (void)err;
    assert_true(view_is(labels_get(ls, VIEW("__name__")), "up"));
    h->series += number;
    return true;
}

static bool hear_sample(void *arg, uint64_t number, int64_t t, double v, struct error *err)
{
    struct heard *h = arg;
    (void)err;
    h->samples++;
    h->sum += v * (double)number;
    h->time_sum += t;
    return true;
}

static bool hear_deleted(void *arg, uint64_t number, int64_t mint, int64_t maxt, struct error *err)
{
    struct heard *h = arg;
    (void)err;
    assert_int_equal(mint, -5);
    assert_int_equal(maxt, 100);
    h->deleted += number;
    return true;
}

/* 2 series, 5000 samples in records of 1000 (so that they cross pages), a deletion, a kind that is not known. */
static void log_make(struct buffer *out, unsigned compression)
{
    struct buffer record;
    buffer_init(&record, MEM_OTHER, BUFFER_MAX);
    buffer_append_u8(&record, 1);
    put_series(&record, 3, "a");
    put_series(&record, 70000, "b");
    put_record(out, buffer_view(&record), compression);
    for (int r = 0; r < 5; r++) {
        buffer_reset(&record);
        buffer_append_u8(&record, 2);
        put_be(&record, 3, 8);
        put_be(&record, 1000000, 8);
        for (int i = 0; i < 1000; i++) {
            buffer_append_svarint(&record, i % 2 ? 69997 : 0);
            buffer_append_svarint(&record, r * 1000 + i - 2000);
            put_be(&record, bits_of((double)i), 8);
        }
        put_record(out, buffer_view(&record), compression);
    }
    buffer_reset(&record);
    buffer_append_u8(&record, 3);
    put_be(&record, 70000, 8);
    buffer_append_svarint(&record, -5);
    buffer_append_svarint(&record, 100);
    put_record(out, buffer_view(&record), compression);
    buffer_reset(&record);
    buffer_append_u8(&record, 9);
    put_record(out, buffer_view(&record), compression);
    buffer_deinit(&record);
}

static void log_is_read_in_every_compression(void **state)
{
    static const unsigned COMPRESSIONS[] = {0, 8, 16};
    (void)state;
    for (size_t i = 0; i < ARRAY_COUNT(COMPRESSIONS); i++) {
        struct buffer bytes;
        struct error err;
        struct heard h = {0};
        struct prometheus_wal_report report = {0};
        const struct prometheus_wal_sink sink = {hear_series, hear_sample, hear_deleted, &h};
        buffer_init(&bytes, MEM_OTHER, BUFFER_MAX);
        log_make(&bytes, COMPRESSIONS[i]);
        assert_ok(prometheus_wal_segment(buffer_view(&bytes), &sink, &report, &err));
        assert_int_equal(report.damaged, 0);
        assert_int_equal(report.records, 8);
        assert_int_equal(report.records_skipped, 1);
        assert_int_equal(h.series, 70003);
        assert_int_equal(h.samples, 5000);
        assert_int_equal(h.deleted, 70000);
        assert_int_equal(h.time_sum, INT64_C(5000) * 1000000 + 499 * 5000 + 2500);
        assert_true(h.sum == 5.0 * (3.0 * 249500 + 70000.0 * 250000));
        buffer_deinit(&bytes);
    }
}

/* Any flipped byte costs the records of its page and those that begin before and end after it, and is told. */
static void log_goes_on_behind_damage(void **state)
{
    struct buffer bytes;
    struct random random;
    (void)state;
    random_seed(&random, 5);
    buffer_init(&bytes, MEM_OTHER, BUFFER_MAX);
    log_make(&bytes, 0);
    assert_true(bytes.len > 32768);
    for (int i = 0; i < 400; i++) {
        struct error err;
        struct heard h = {0};
        struct prometheus_wal_report report = {0};
        const struct prometheus_wal_sink sink = {hear_series, hear_sample, hear_deleted, &h};
        size_t at = random_below(&random, bytes.len);
        char flip = (char)(1 << random_below(&random, 8));
        bytes.ptr[at] ^= flip;
        assert_ok(prometheus_wal_segment(buffer_view(&bytes), &sink, &report, &err));
        assert_int_equal(h.samples % 1000, 0);
        assert_true(report.damaged > 0 || h.samples == 5000); /* bits of a kind that mean nothing */
        bytes.ptr[at] ^= flip;
    }
    buffer_deinit(&bytes);
}

/* --- sorter ----------------------------------------------------------------------------------------- */

struct row {
    uint32_t series;
    int64_t time;
    double value;
    size_t arrival;
};

static int row_order(const void *a, const void *b)
{
    const struct row *x = a, *y = b;
    if (x->series != y->series)
        return x->series < y->series ? -1 : 1;
    if (x->time != y->time)
        return x->time < y->time ? -1 : 1;
    return x->arrival < y->arrival ? -1 : 1;
}

static struct labels series_labels(struct label items[2], char text[16], uint32_t n)
{
    (void)snprintf(text, 16, "%05u", (n * 7919) % 1000);
    items[0] = (struct label){VIEW("__name__"), VIEW("m")};
    items[1] = (struct label){VIEW("n"), view_from(text)};
    return (struct labels){items, 2};
}

static size_t rows_read_back(struct row *out, size_t max)
{
    struct error err;
    struct db *db;
    struct arena arena;
    struct series_list list;
    const struct db_options options = {.maintain_when_asked = true, .retention_ms = -1};
    const struct select what = {.mint = INT64_MIN, .maxt = INT64_MAX};
    size_t count = 0;
    assert_ok(db_open(&db, folder(), &options, NULL, &err));
    arena_init(&arena, MEM_OTHER, 0);
    struct label_store *labels = label_store_new(MEM_OTHER, 0);
    struct storage_view *v = source_pin(db_as_source(db), INT64_MIN, INT64_MAX, &err);
    assert_ok(v != NULL);
    struct storage_reader *r = view_reader_new(v, NULL, &err);
    assert_ok(r != NULL);
    assert_ok(view_select(v, &what, labels, &arena, &list, &err));
    for (size_t i = 0; i < list.count; i++) {
        struct samples s;
        struct labels ls = label_store_labels(labels, list.items[i].labels, &arena);
        char text[16] = {0};
        struct view value = labels_get(ls, VIEW("n"));
        memcpy(text, value.ptr, value.len < 15 ? value.len : 15);
        uint32_t n = (uint32_t)strtoul(text, NULL, 10);
        assert_ok(reader_read(r, list.items[i].ref, INT64_MIN, INT64_MAX, &s, &err));
        for (size_t k = 0; k < s.count && count < max; k++)
            out[count++] = (struct row){n, s.times[k], s.values[k], 0};
    }
    storage_reader_free(r);
    view_release(v);
    label_store_free(labels);
    arena_deinit(&arena);
    assert_ok(db_close(db, &err));
    return count;
}

/* Random samples of 200 series over a month, many at equal times, in memories that hold all and that hold a hundredth:
 * the blocks hold what a plain sort says. */
static void sorter_sorts_what_does_not_fit(void **state)
{
    enum { ROWS = 200000 };
    static const size_t MEMORIES[] = {(size_t)64 << 20, (size_t)64 << 10};
    struct row *rows = malloc(ROWS * sizeof *rows), *got = malloc(ROWS * sizeof *got);
    (void)state;
    for (size_t m = 0; m < ARRAY_COUNT(MEMORIES); m++) {
        struct error err;
        struct random random;
        struct sample_sorter_result result, again;
        const struct sample_sorter_options options = {.dir = folder(), .memory_bytes = MEMORIES[m]};
        assert_ok(dir_remove(folder(), &err) && dir_create(folder(), &err));
        for (int round = 0; round < 2; round++) {
            random_seed(&random, 77);
            struct sample_sorter *s = sample_sorter_new(&options);
            for (size_t i = 0; i < ROWS; i++) {
                struct label items[2];
                char text[16];
                uint32_t n = random_below(&random, 200), number;
                struct labels ls = series_labels(items, text, n);
                int64_t t = ((int64_t)random_below(&random, 20000) - 5000) * 150000;
                rows[i] = (struct row){(n * 7919) % 1000, t, (double)i, i};
                assert_ok(sample_sorter_series(s, ls, &number, &err));
                assert_ok(sample_sorter_add(s, number, t, (double)i, &err));
            }
            assert_ok(sample_sorter_write(s, round ? &again : &result, NULL, NULL, &err));
            sample_sorter_free(s);
        }
        qsort(rows, ROWS, sizeof *rows, row_order);
        size_t kept = 0;
        for (size_t i = 0; i < ROWS; i++)
            if (kept == 0 || rows[kept - 1].series != rows[i].series ||
                rows[kept - 1].time != rows[i].time)
                rows[kept++] = rows[i];
        assert_int_equal(result.samples, kept);
        assert_int_equal(result.duplicates, ROWS - kept);
        assert_int_equal(result.series, 200);
        assert_int_equal(again.blocks, 0); /* the same samples: their blocks are there */
        assert_int_equal(again.blocks_present, result.blocks);
        assert_int_equal(rows_read_back(got, ROWS), kept);
        for (size_t i = 0; i < kept; i++) {
            assert_int_equal(got[i].series, rows[i].series);
            assert_int_equal(got[i].time, rows[i].time);
            assert_true(got[i].value == rows[i].value);
        }
    }
    free(rows);
    free(got);
}

/* --- folders ---------------------------------------------------------------------------------------- */

static void import_says_what_is_no_folder_of_prometheus(void **state)
{
    static const struct {
        const char *meta, *index, *error;
    } CASES[] = {
        {"{", "", "is no JSON"},
        {"{\"ulid\":\"x\"}", "", "has no valid \"ulid\""},
        {"{\"ulid\":\"01M8CMGETQXCND07QB4FHPTVR5\",\"minTime\":1,\"maxTime\":2}", "",
         "is no index"},
        {"{\"ulid\":\"01M8CMGETQXCND07QB4FHPTVR5\",\"minTime\":1,\"maxTime\":2}",
         "\xba\xaa\xd7\x00\x09                                                                  ",
         "has version 9"},
    };
    (void)state;
    for (size_t i = 0; i < ARRAY_COUNT(CASES); i++) {
        char dir[PATH_BYTES], path[PATH_BYTES + 32], source[PATH_BYTES], data[PATH_BYTES];
        struct error err = {0};
        struct prometheus_import_result result;
        assert_ok(dir_remove(folder(), &err));
        (void)snprintf(source, sizeof source, "%s/p", folder());
        (void)snprintf(data, sizeof data, "%s/b", folder());
        (void)snprintf(dir, sizeof dir, "%s/p/01M8CMGETQXCND07QB4FHPTVR5", folder());
        assert_ok(dir_create(dir, &err) && dir_create(data, &err));
        (void)snprintf(path, sizeof path, "%s/meta.json", dir);
        assert_ok(file_replace(path, view_from(CASES[i].meta), &err));
        (void)snprintf(path, sizeof path, "%s/index", dir);
        size_t len = i == 3 ? 70 : strlen(CASES[i].index);
        assert_ok(file_replace(path, (struct view){CASES[i].index, len}, &err));
        const struct prometheus_import_options options = {.source = source, .dir = data};
        assert_ok(prometheus_import(&options, &result, &err));
        assert_int_equal(result.blocks_failed, 1);
        assert_int_equal(result.blocks, 0);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(chunk_comes_back),
        cmocka_unit_test(intervals_take_out_what_they_cover),
        cmocka_unit_test(log_is_read_in_every_compression),
        cmocka_unit_test(log_goes_on_behind_damage),
        cmocka_unit_test_setup_teardown(sorter_sorts_what_does_not_fit, folder_make, folder_remove),
        cmocka_unit_test_setup_teardown(import_says_what_is_no_folder_of_prometheus, folder_make,
                                        folder_remove),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
