/* SPDX-License-Identifier: Apache-2.0 */
/* columns_test.c: what strips and extents pack comes back bit for bit; and an idle counter costs what the
 * design says. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/clock.h"
#include "base/random.h"
#include "model/sample.h"
#include "storage/extent.h"
#include "storage/strip.h"

#include <inttypes.h>
#include <math.h>
#include <stdlib.h>

enum { KINDS = 9 };

/* Columns of the kinds that monitoring has, and of those that it should not have. */
static double value_of(struct random *r, int kind, double before)
{
    uint64_t n = random_next(r);
    switch (kind) {
    case 0:
        return 42;
    case 1:
        return before + (double)(n % 3);
    case 2:
        return (double)(n % 100000) / 100;
    case 3:
        return random_unit(r);
    case 4:
        return sample_from_bits(n);
    case 5:
        return n % 16 == 0 ? before + 1e9 : before;
    case 6:
        return (double)(int64_t)(n >> 12) - 0x1p51;
    case 7:
        return n % 2 ? -0.0 : 0.0;
    default:
        return n % 10 == 0 ? sample_stale() : n % 11 == 0 ? NAN : (double)(n % 1000) / 8;
    }
}

static uint64_t presence_of(struct random *r)
{
    switch (random_below(r, 4)) {
    case 0:
        return random_next(r);
    case 1:
        return UINT64_MAX << random_below(r, 64);
    default:
        return UINT64_MAX;
    }
}

static uint64_t seed_of_test(void)
{
    const char *fixed = getenv("TEST_SEED");
    uint64_t seed = fixed ? strtoull(fixed, NULL, 10) : (uint64_t)clock_mono().ns;
    print_message("seed %" PRIu64 "\n", seed);
    return seed;
}

static void strips_give_back_what_they_got(void **state)
{
    struct random r;
    (void)state;
    random_seed(&r, seed_of_test());
    for (int round = 0; round < 20000; round++) {
        double last = 0, values[STRIP_ROWS], out[STRIP_ROWS];
        uint8_t chain = STRIP_CHAIN_BROKEN, form, data[STRIP_COLUMN_BYTES_MAX + 8];
        struct strip_state decoder = {.chain = STRIP_CHAIN_BROKEN};
        int kind = (int)random_below(&r, KINDS);
        for (int strip = 0; strip < 8; strip++) {
            double before = last;
            for (int i = 0; i < STRIP_ROWS; i++)
                values[i] = before = value_of(&r, kind, before);
            uint8_t present = (uint8_t)(random_below(&r, 4) ? 0xff : presence_of(&r));
            if (random_below(&r, 8) == 0)
                kind = (int)random_below(&r, KINDS);
            size_t bytes = strip_encode(values, present, last, &chain, &form, data);
            assert_true(bytes <= STRIP_COLUMN_BYTES_MAX);
            assert_int_equal(strip_column_bytes(form, data), bytes);
            assert_int_equal(strip_decode(&decoder, form, data, out), present);
            for (int i = 0; i < STRIP_ROWS; i++) {
                if (present >> i & 1)
                    assert_true(sample_bits(values[i]) == sample_bits(out[i]));
            }
            last = values[STRIP_ROWS - 1];
        }
    }
}

static void extents_give_back_what_they_got(void **state)
{
    enum { SLOTS = 40 };
    struct random r;
    (void)state;
    random_seed(&r, seed_of_test());
    for (int round = 0; round < 300; round++) {
        static double values[SLOTS][EXTENT_ROWS_MAX];
        uint64_t present[SLOTS];
        int64_t times[EXTENT_ROWS_MAX], times_out[EXTENT_ROWS_MAX],
            t = -(int64_t)random_below(&r, 1000); /* far from what does not fit */
        uint32_t rows = 1 + (uint32_t)random_below(&r, EXTENT_ROWS_MAX);
        struct slot_map *map = slot_map_new(SLOTS);
        struct extent_builder b;
        for (uint32_t i = 0; i < rows; i++)
            times[i] = t +=
                round % 2 ? 15000
                          : 1 + (int64_t)(random_next(&r) >> (1 + random_below(&r, 61))) / 4096;
        extent_builder_begin(&b, map, SLOTS, 7, times, rows);
        for (int slot = 0; slot < SLOTS; slot++) {
            double before = 0;
            for (uint32_t i = 0; i < rows; i++)
                values[slot][i] = before = value_of(&r, slot % KINDS, before);
            present[slot] = presence_of(&r) & (rows == 64 ? UINT64_MAX : (UINT64_C(1) << rows) - 1);
            slot_map_set(map, (uint32_t)slot, (uint32_t)slot);
            extent_builder_add(&b, values[slot], present[slot]);
        }
        struct extent *x = extent_builder_finish(&b);
        slot_map_unref(map);
        struct extent_window window = {0};
        extent_times(x, times_out);
        assert_memory_equal(times, times_out, rows * sizeof times[0]);
        for (uint32_t slot = 0; slot < SLOTS; slot++) {
            double out[EXTENT_ROWS_MAX];
            struct error err;
            uint64_t got;
            assert_true(extent_column(x, &window, slot, out, &got, &err));
            assert_true(got == present[slot]);
            assert_int_equal(extent_slot_is_occupied(x, slot), present[slot] != 0);
            for (uint32_t i = 0; i < rows; i++) {
                if (present[slot] >> i & 1)
                    assert_true(sample_bits(values[slot][i]) == sample_bits(out[i]));
            }
        }
        extent_unref(x);
    }
}

/* One form byte for 8 samples in a strip; kind, exponent and number for 64 in an extent. */
static void an_idle_counter_costs_almost_nothing(void **state)
{
    double values[EXTENT_ROWS_MAX];
    int64_t times[EXTENT_ROWS_MAX];
    uint8_t chain = STRIP_CHAIN_BROKEN, form, data[STRIP_COLUMN_BYTES_MAX + 8];
    struct slot_map *map = slot_map_new(2);
    struct extent_builder b;
    (void)state;
    for (int i = 0; i < EXTENT_ROWS_MAX; i++) {
        values[i] = 1234567;
        times[i] = i * 15000;
    }
    assert_int_equal(strip_encode(values, 0xff, 0, &chain, &form, data), 8);
    assert_int_equal(strip_encode(values, 0xff, 1234567, &chain, &form, data), 0);
    extent_builder_begin(&b, map, 2, 0, times, EXTENT_ROWS_MAX);
    size_t before = b.columns.len;
    extent_builder_add(&b, values, UINT64_MAX);
    assert_true(b.columns.len - before <= 6);
    extent_builder_add(&b, values, 0);
    extent_unref(extent_builder_finish(&b));
    slot_map_unref(map);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(strips_give_back_what_they_got),
        cmocka_unit_test(extents_give_back_what_they_got),
        cmocka_unit_test(an_idle_counter_costs_almost_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
