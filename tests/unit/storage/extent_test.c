/* SPDX-License-Identifier: Apache-2.0 */
/* extent_test.c: extents as bytes: golden bytes of the format, columns against what went in, files that are torn
 * or changed at every place. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/clock.h"
#include "base/file.h"
#include "base/random.h"
#include "model/sample.h"
#include "storage/extent_column.h"
#include "storage/extent_store.h"
#include "storage/wal_record.h"

#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define T0 INT64_C(1700000000000)

static struct extent *extent_of(const uint32_t *ids, uint32_t slots, uint64_t first_row,
                                const int64_t *times, uint32_t rows, const double *values,
                                const uint64_t *present)
{
    struct extent_builder b;
    struct slot_map *map = slot_map_new(slots);
    memcpy(map->ids, ids, slots * sizeof *ids);
    extent_builder_begin(&b, map, slots, first_row, times, rows);
    for (uint32_t i = 0; i < slots; i++)
        extent_builder_add(&b, values + (size_t)i * rows, present[i]);
    slot_map_unref(map);
    return extent_builder_finish(&b);
}

/* Head (sealed) and body, as they stand in a file. */
static void bytes_of(struct buffer *out, const struct extent *x, uint32_t group, uint64_t sequence)
{
    size_t begin = out->len;
    extent_append_head(out, x, group);
    wal_record_seal_all(out->ptr + begin, out->len - begin, &sequence);
    buffer_append_view(out, extent_body(x));
    assert_false(out->failed);
}

/* Version 1 of the format: two slots of three rows, one with a gap and a stale marker, and one without cells. */
static void the_format_is_what_it_was(void **state)
{
    (void)state;
    static const char GOLDEN[] = "4257414c170000001101000007000000"
                                 "00000000" /* frame */
                                 "010305"
                                 "8002"
                                 "03"                       /* flags to slot count */
                                 "0b0080a0abfef962b0ea0100" /* times */
                                 "100413"
                                 "03"
                                 "13"
                                 "715c3784" /* ids, occupied, bundle; CRC */
                                 "050502"
                                 "0400020322"
                                 "320504010a"
                                 "1000"
                                 "a01a6d46";
    static const int64_t times[] = {T0, T0 + 15000, T0 + 30000};
    static const uint32_t ids[] = {7, 9, SLOT_EMPTY};
    const double values[] = {1, 2, 4, 0.5, 0, sample_stale(), 0, 0, 0};
    static const uint64_t present[] = {7, 5, 0};
    struct buffer b;
    char hex[512] = "";
    buffer_init(&b, MEM_OTHER, 4096);
    struct extent *x = extent_of(ids, 3, 256, times, 3, values, present);
    bytes_of(&b, x, 5, 7);
    for (size_t i = 0; i < b.len; i++)
        snprintf(hex + 2 * i, sizeof hex - 2 * i, "%02x", (unsigned char)b.ptr[i]);
    assert_string_equal(hex, GOLDEN);
    extent_unref(x);
    buffer_deinit(&b);
}

/* --- columns --- */

static double random_value(struct random *r, double before)
{
    switch (random_below(r, 7)) {
    case 0:
        return sample_from_bits(random_next(r));
    case 1:
        return sample_stale();
    case 2:
        return -0.0;
    case 3:
        return (double)random_below(r, 100000) / 1000;
    case 4:
        return before;
    default:
        return floor(isfinite(before) ? before : 0) + (double)random_below(r, 1000);
    }
}

static void columns_come_back_bit_for_bit(void **state)
{
    (void)state;
    struct random r;
    random_seed(&r, 4);
    for (int round = 0; round < 20000; round++) {
        uint32_t rows = 1 + (uint32_t)random_below(&r, 64);
        double in[64], out[64], value = 0;
        uint64_t present = random_below(&r, 3) ? UINT64_MAX : random_next(&r), got;
        bool steady = random_below(&r, 2), same = random_below(&r, 4) == 0;
        for (uint32_t i = 0; i < rows; i++) {
            if (!same || i == 0)
                value = steady ? floor(isfinite(value) ? value : 0) + (double)random_below(&r, 50)
                               : random_value(&r, value);
            in[i] = value;
        }
        struct buffer b;
        buffer_init(&b, MEM_OTHER, 4096);
        extent_column_encode(&b, in, present, rows);
        size_t bytes = b.len;
        buffer_append_u64(&b, 0); /* slack */
        assert_true(extent_column_decode((struct view){b.ptr, bytes}, rows, out, &got));
        assert_true(got == (present & extent_rows_mask(rows)));
        for (uint32_t i = 0; i < rows; i++) {
            if ((got >> i & 1) && sample_bits(in[i]) != sample_bits(out[i]))
                fail_msg("round %d row %u: %a, expected %a", round, i, out[i], in[i]);
        }
        buffer_deinit(&b);
    }
}

/* Steps that do not fit 56 bits; times that do not ascend are refused. */
static void times_come_back(void **state)
{
    (void)state;
    static const int64_t CASES[][3] = {
        {-(INT64_C(1) << 60), 0, INT64_C(1) << 60},
        {-(INT64_C(1) << 60), 1 - (INT64_C(1) << 60), INT64_C(1) << 60},
        {0, 1, 2},
        {5, 5, 6},
        {0, 9, 8}};
    for (size_t i = 0; i < ARRAY_COUNT(CASES); i++) {
        struct buffer b;
        int64_t out[3];
        buffer_init(&b, MEM_OTHER, 4096);
        extent_times_encode(&b, CASES[i], 3);
        size_t bytes = b.len;
        buffer_append_u64(&b, 0); /* slack */
        assert_int_equal(extent_times_decode((struct view){b.ptr, bytes}, 3, out), i < 3);
        if (i < 3)
            assert_memory_equal(out, CASES[i], sizeof out);
        buffer_deinit(&b);
    }
}

/* Bytes that are no column are refused or give some column, never more than their memory (ASan looks). */
static void any_bytes_may_be_a_column(void **state)
{
    (void)state;
    struct random r;
    random_seed(&r, 5);
    for (int round = 0; round < 100000; round++) {
        size_t len = random_below(&r, 40);
        char *bytes = malloc(len + 8);
        double out[64];
        int64_t times[64];
        uint64_t present;
        for (size_t i = 0; i < len + 8; i++)
            bytes[i] = (char)(random_below(&r, 3) ? random_below(&r, 64) : random_next(&r));
        uint32_t rows = 1 + (uint32_t)random_below(&r, 64);
        bool column = extent_column_decode((struct view){bytes, len}, rows, out, &present);
        bool time = extent_times_decode((struct view){bytes, len}, rows, times);
        (void)column, (void)time;
        free(bytes);
    }
}

/* --- files --- */

enum { GROUPS = 2, SLOTS = 25, ROWS = 10 };

static double cell(uint32_t group, uint32_t batch, uint32_t slot, uint32_t row)
{
    return slot % 3 == 0   ? group
           : slot % 3 == 1 ? batch * 100 + row * (slot + 1)
                           : 1.0 / (row + slot + 1);
}

/* Rows batch * ROWS ... of one group; slots 21 to 23 have no cell. */
static struct extent *extent_make(uint32_t group, uint32_t batch)
{
    int64_t times[ROWS];
    uint32_t ids[SLOTS];
    double values[SLOTS * ROWS];
    uint64_t present[SLOTS];
    for (uint32_t row = 0; row < ROWS; row++)
        times[row] = T0 + (batch * ROWS + row) * 1000 + group;
    for (uint32_t slot = 0; slot < SLOTS; slot++) {
        ids[slot] = group * SLOTS + slot;
        present[slot] = slot / 3 == 7 ? 0 : UINT64_MAX;
        for (uint32_t row = 0; row < ROWS; row++)
            values[slot * ROWS + row] = cell(group, batch, slot, row);
    }
    return extent_of(ids, SLOTS, (uint64_t)batch * ROWS, times, ROWS, values, present);
}

struct found {
    struct extent *items[64];
    uint32_t groups[64];
    size_t count;
};

static struct slot_map *found_map(void *arg, uint32_t group)
{
    struct found *f = arg;
    for (size_t i = f->count; i > 0; i--) {
        if (f->groups[i - 1] == group)
            return f->items[i - 1]->map;
    }
    return NULL;
}

static void found_extent(void *arg, uint32_t group, struct extent *x, bool is_new_map)
{
    struct found *f = arg;
    assert_true(f->count < 64);
    assert_int_equal(is_new_map, x->map != found_map(arg, group));
    f->groups[f->count] = group;
    f->items[f->count++] = x;
}

static void found_free(struct found *f)
{
    for (size_t i = 0; i < f->count; i++)
        extent_unref(f->items[i]);
    f->count = 0;
}

struct folder {
    char dir[256], quarantine[300], log[4096];
};

static void folder_log(void *arg, bool is_error, const char *event, const char *text)
{
    struct folder *f = arg;
    (void)is_error;
    size_t len = strlen(f->log);
    snprintf(f->log + len, sizeof f->log - len, "%s %s\n", event, text);
}

static struct extent_store *store_open(struct folder *f, struct found *found)
{
    struct error err;
    struct extent_store_options opts = {
        .dir = f->dir, .quarantine_dir = f->quarantine, .log = folder_log, .log_arg = f};
    struct extent_visitor visitor = {found_map, found_extent, found};
    struct extent_store *s = extent_store_new(&opts);
    found->count = 0;
    f->log[0] = 0;
    if (!extent_store_load(s, &visitor, &err))
        fail_msg("%s", err.message);
    return s;
}

static void folder_make(struct folder *f)
{
    const char *tmp = getenv("TMPDIR");
    snprintf(f->dir, sizeof f->dir, "%s/belfry-extent-XXXXXX", tmp ? tmp : "/tmp");
    assert_non_null(mkdtemp(f->dir));
    snprintf(f->quarantine, sizeof f->quarantine, "%s/quarantine", f->dir);
}

static void folder_remove(struct folder *f)
{
    struct error err;
    assert_true(dir_remove(f->dir, &err));
}

/* Appends a batch of one extent per group. */
static bool store_append(struct extent_store *s, uint32_t batch, struct error *err)
{
    struct extent *xs[GROUPS], *out[GROUPS];
    uint32_t groups[GROUPS];
    for (uint32_t g = 0; g < GROUPS; g++) {
        xs[g] = extent_make(g, batch);
        groups[g] = g;
    }
    bool ok = extent_store_append(s, xs, groups, GROUPS, out, err);
    for (uint32_t g = 0; g < GROUPS; g++) {
        if (ok) {
            assert_int_equal(out[g]->last_time, xs[g]->last_time);
            extent_unref(out[g]);
        }
        extent_unref(xs[g]);
    }
    return ok;
}

/* Every cell that can be read is right. Returns how many columns are damaged. */
static int found_check(const struct found *f)
{
    int lost = 0;
    for (size_t i = 0; i < f->count; i++) {
        const struct extent *x = f->items[i];
        struct extent_window w = {0};
        int64_t times[EXTENT_ROWS_MAX];
        uint32_t batch = (uint32_t)(x->first_row / ROWS);
        assert_int_equal(x->row_count, ROWS);
        extent_times(x, times);
        for (uint32_t row = 0; row < ROWS; row++)
            assert_true(times[row] == T0 + (batch * ROWS + row) * 1000 + f->groups[i]);
        for (uint32_t slot = 0; slot < x->slot_count; slot++) {
            double out[EXTENT_ROWS_MAX];
            uint64_t present;
            struct error err;
            bool empty = slot / 3 == 7;
            assert_int_equal(extent_slot_is_occupied(x, slot), !empty);
            assert_int_equal(slot_map_get(x->map, slot),
                             empty ? SLOT_EMPTY : f->groups[i] * SLOTS + slot);
            if (!extent_column(x, &w, slot, out, &present, &err)) {
                assert_int_equal(err.kind, ERROR_CORRUPT);
                lost++;
                continue;
            }
            assert_true(present == (empty ? 0 : extent_rows_mask(ROWS)));
            for (uint32_t row = 0; row < ROWS && !empty; row++)
                assert_true(sample_bits(out[row]) ==
                            sample_bits(cell(f->groups[i], batch, slot, row)));
        }
        extent_window_deinit(&w);
    }
    return lost;
}

/* What was appended is found by the next process, in its order, sharing one map per group; sequences go on. */
static void what_was_appended_is_found(void **state)
{
    (void)state;
    struct folder f;
    struct found found;
    struct error err;
    folder_make(&f);
    for (uint32_t life = 0; life < 3; life++) {
        struct extent_store *s = store_open(&f, &found);
        assert_int_equal(found.count, GROUPS * 2 * life);
        assert_int_equal(found_check(&found), 0);
        for (size_t i = GROUPS; i < found.count; i++)
            assert_ptr_equal(found.items[i]->map, found.items[i - GROUPS]->map);
        found_free(&found);
        assert_true(store_append(s, life * 2, &err) && store_append(s, life * 2 + 1, &err));
        struct extent_store_stats stats;
        extent_store_stats_get(s, &stats);
        assert_int_equal(stats.files, life + 1);
        extent_store_free(s);
    }
    folder_remove(&f);
}

/* Files go when their last row is below; readers go on with what they have of them. */
static void files_below_the_floor_are_removed(void **state)
{
    (void)state;
    struct folder f;
    struct found found;
    struct error err;
    char path[512];
    folder_make(&f);
    for (uint32_t life = 0; life < 2; life++) {
        struct extent_store *s = store_open(&f, &found);
        found_free(&found);
        assert_true(store_append(s, life, &err));
        extent_store_free(s);
    }
    struct extent_store *s = store_open(&f, &found);
    assert_true(extent_store_drop_below(s, T0 + ROWS * 1000, &err));
    snprintf(path, sizeof path, "%s/extents/1", f.dir);
    assert_false(file_exists(path));
    snprintf(path, sizeof path, "%s/extents/2", f.dir);
    assert_true(file_exists(path));
    assert_int_equal(found_check(&found), 0);
    found_free(&found);
    extent_store_free(s);
    folder_remove(&f);
}

static void file_change(const char *path, const struct buffer *as, size_t cut, size_t flip)
{
    struct error err;
    struct file *f;
    if (flip < as->len)
        as->ptr[flip] ^= (char)(1 << (flip % 8));
    bool ok = file_remove(path, &err) && file_create(&f, path, &err) &&
              file_write_all(f, view_slice(buffer_view(as), 0, cut), &err) && file_close(f, &err);
    if (!ok)
        fail_msg("%s", err.message);
    if (flip < as->len)
        as->ptr[flip] ^= (char)(1 << (flip % 8));
}

/* Each byte flipped: a head costs its extent, a bundle its columns, and nothing wrong is read. */
static void a_flipped_bit_costs_what_it_hit(void **state)
{
    (void)state;
    struct folder f;
    struct found found;
    struct error err;
    struct buffer b;
    char path[512];
    folder_make(&f);
    buffer_init(&b, MEM_OTHER, 1 << 20);
    struct extent_store *s = store_open(&f, &found);
    assert_true(store_append(s, 0, &err));
    extent_store_free(s);
    snprintf(path, sizeof path, "%s/extents/1", f.dir);
    assert_true(file_read_all(path, &b, &err));
    for (size_t at = 0; at < b.len; at++) {
        file_change(path, &b, b.len, at);
        s = store_open(&f, &found);
        int lost = found_check(&found);
        bool told = f.log[0] != 0;
        if (found.count == GROUPS ? lost == 0 || lost > EXTENT_BUNDLE_SLOTS || told
                                  : found.count != GROUPS - 1 || lost > 0 || !told)
            fail_msg("byte %zu: %zu extents, %d columns lost; %s", at, found.count, lost, f.log);
        found_free(&found);
        extent_store_free(s);
        assert_true(dir_remove(f.quarantine, &err));
    }
    buffer_deinit(&b);
    folder_remove(&f);
}

/* Cut at each byte: the whole extents before it stay, the rest is cut off and told once. */
static void a_torn_file_keeps_what_is_whole(void **state)
{
    (void)state;
    struct folder f;
    struct found found;
    struct error err;
    struct buffer b;
    char path[512];
    folder_make(&f);
    buffer_init(&b, MEM_OTHER, 1 << 20);
    struct extent_store *s = store_open(&f, &found);
    assert_true(store_append(s, 0, &err));
    extent_store_free(s);
    snprintf(path, sizeof path, "%s/extents/1", f.dir);
    assert_true(file_read_all(path, &b, &err));
    size_t before = 0;
    for (size_t cut = 0; cut <= b.len; cut++) {
        file_change(path, &b, cut, SIZE_MAX);
        s = store_open(&f, &found);
        assert_int_equal(found_check(&found), 0);
        assert_true(found.count == before || found.count == before + 1);
        bool is_whole = cut == 0 || found.count > before;
        assert_int_equal(strstr(f.log, "extents_torn") == NULL, is_whole);
        before = found.count;
        found_free(&found);
        extent_store_free(s);
        s = store_open(&f, &found);
        assert_int_equal(found.count, before);
        assert_string_equal(f.log, "");
        found_free(&found);
        extent_store_free(s);
    }
    assert_int_equal(before, GROUPS);
    buffer_deinit(&b);
    folder_remove(&f);
}

/* A file with damage that was met is kept. */
static void a_damaged_file_goes_to_quarantine(void **state)
{
    (void)state;
    struct folder f;
    struct found found;
    struct error err;
    struct buffer b;
    char path[512];
    folder_make(&f);
    buffer_init(&b, MEM_OTHER, 1 << 20);
    struct extent_store *s = store_open(&f, &found);
    assert_true(store_append(s, 0, &err));
    extent_store_free(s);
    snprintf(path, sizeof path, "%s/extents/1", f.dir);
    assert_true(file_read_all(path, &b, &err));
    file_change(path, &b, b.len, b.len - 3);
    s = store_open(&f, &found);
    assert_int_equal(found_check(&found), SLOTS % EXTENT_BUNDLE_SLOTS);
    assert_true(extent_store_drop_below(s, INT64_MAX, &err));
    assert_false(file_exists(path));
    snprintf(path, sizeof path, "%s/extents-1", f.quarantine);
    assert_true(file_exists(path));
    found_free(&found);
    extent_store_free(s);
    buffer_deinit(&b);
    folder_remove(&f);
}

/* --- the n-th operation fails --- */

struct fault {
    int left, error;
    size_t tear;
};

static int fault_hook(void *arg, enum file_op op, const char *path, size_t *bytes)
{
    struct fault *f = arg;
    (void)path;
    if (f->left-- != 0)
        return 0;
    if (op == FILE_OP_WRITE && f->tear < *bytes)
        *bytes = f->tear;
    return f->error;
}

/* What append() said is there is there after a restart, each row once at most in the end. */
static void a_failed_append_is_tried_elsewhere(void **state)
{
    (void)state;
    static const int ERRORS[] = {EIO, ENOSPC};
    for (size_t e = 0; e < 2; e++) {
        for (int n = 0, reached = 1; reached; n++) {
            struct folder f;
            struct found found;
            struct error err;
            struct fault fault = {n, ERRORS[e], 1000};
            folder_make(&f);
            struct extent_store *s = store_open(&f, &found);
            file_test_set_hook(fault_hook, &fault);
            for (uint32_t batch = 0; batch < 3; batch++) {
                bool ok = store_append(s, batch, &err);
                if (!ok)
                    ok = store_append(s, batch, &err);
                assert_true(ok);
            }
            file_test_set_hook(NULL, NULL);
            reached = fault.left < 0;
            extent_store_free(s);
            s = store_open(&f, &found);
            bool seen[3][GROUPS] = {0};
            for (size_t i = 0; i < found.count; i++)
                seen[found.items[i]->first_row / ROWS][found.groups[i]] = true;
            for (int i = 0; i < 3 * GROUPS; i++)
                assert_true(seen[i / GROUPS][i % GROUPS]);
            assert_int_equal(found_check(&found), 0);
            found_free(&found);
            extent_store_free(s);
            folder_remove(&f);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_format_is_what_it_was),
        cmocka_unit_test(columns_come_back_bit_for_bit),
        cmocka_unit_test(times_come_back),
        cmocka_unit_test(any_bytes_may_be_a_column),
        cmocka_unit_test(what_was_appended_is_found),
        cmocka_unit_test(files_below_the_floor_are_removed),
        cmocka_unit_test(a_flipped_bit_costs_what_it_hit),
        cmocka_unit_test(a_torn_file_keeps_what_is_whole),
        cmocka_unit_test(a_damaged_file_goes_to_quarantine),
        cmocka_unit_test(a_failed_append_is_tried_elsewhere),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
