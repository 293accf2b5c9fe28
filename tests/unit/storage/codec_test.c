/* SPDX-License-Identifier: Apache-2.0 */
/* codec_test.c: every column comes back to the last bit, from any window, and damaged bytes do no harm.
 * The oracle is the input itself, and for the packing the obvious bit-by-bit reader below. */
#include "storage/codec.h"

#include "base/random.h"
#include "model/sample.h"

#include <inttypes.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

enum { COUNT_MAX = 1200 };

static unsigned long scale(void)
{
    const char *text = getenv("TEST_SCALE");
    unsigned long n = text ? strtoul(text, NULL, 10) : 1;
    return n ? n : 1;
}

static struct random random_printed(const char *name)
{
    const char *text = getenv("TEST_SEED");
    uint64_t seed = text ? strtoull(text, NULL, 0) : 20240229;
    print_message("%s: seed %" PRIu64 "\n", name, seed);
    struct random r;
    random_seed(&r, seed);
    return r;
}

/* --- integers ------------------------------------------------------------------------------------ */

enum shape {
    SHAPE_CONSTANT,
    SHAPE_LINE,
    SHAPE_JITTER,
    SHAPE_WALK,
    SHAPE_SPIKES,
    SHAPE_WILD,
    SHAPE_COUNT
};

static void fill_integers(struct random *r, int64_t *out, size_t count, enum shape shape)
{
    uint64_t v = random_next(r) >> random_below(r, 64),
             step = random_next(r) >> random_below(r, 64);
    unsigned bits = 1 + (unsigned)random_below(r, 60);
    for (size_t i = 0; i < count; i++) {
        uint64_t noise = random_next(r) >> (64 - bits);
        switch (shape) {
        case SHAPE_CONSTANT:
            break;
        case SHAPE_LINE:
            v += step;
            break;
        case SHAPE_JITTER:
            v += step;
            break;
        case SHAPE_WALK:
            v += noise - (UINT64_C(1) << bits) / 2;
            break;
        case SHAPE_SPIKES:
            v += random_below(r, 50) == 0 ? random_next(r) : 3;
            break;
        case SHAPE_WILD:
            v = random_next(r);
            break;
        case SHAPE_COUNT:
            break;
        }
        out[i] = (int64_t)(shape == SHAPE_JITTER ? v + noise % 5 : v);
    }
}

static void check_integers(const int64_t *in, size_t count, struct random *r)
{
    struct buffer b;
    buffer_init(&b, MEM_OTHER, 1 << 20);
    codec_integers_encode(&b, in, count);
    assert_false(b.failed);
    /* An exact copy, so that the sanitizer sees each read past the end. */
    char *exact = malloc(b.len);
    memcpy(exact, b.ptr, b.len);
    struct reader reader = reader_from((struct view){exact, b.len});
    struct codec_integers c;
    assert_true(codec_integers_open(&c, &reader, count));
    assert_int_equal(reader_left(&reader), 0);
    int64_t *out = malloc((count + 1) * sizeof *out);
    codec_integers_decode(&c, 0, count, out);
    assert_memory_equal(out, in, count * sizeof *out);
    for (int i = 0; i < 5; i++) {
        size_t from = random_below(r, count + 1), to = from + random_below(r, count + 1 - from);
        codec_integers_decode(&c, from, to, out);
        assert_memory_equal(out, in + from, (to - from) * sizeof *out);
    }
    free(out);
    free(exact);
    buffer_deinit(&b);
}

/* Random numbers of many shapes, lengths around the packs' borders included. */
static void integers_of_any_shape_come_back(void **state)
{
    struct random r = random_printed(__func__);
    static int64_t in[COUNT_MAX];
    for (unsigned long i = 0; i < 3000 * scale(); i++) {
        size_t count = i % 4 ? random_below(&r, COUNT_MAX) + 1 : 125 + random_below(&r, 8);
        fill_integers(&r, in, count, (enum shape)(i % SHAPE_COUNT));
        check_integers(in, count, &r);
    }
}

/* The packing read bit by bit, as the comment of codec_integers.c says: an oracle for one pack of
 * order 0 without patches, for each width. */
static void packed_bits_are_where_the_layout_says(void **state)
{
    for (unsigned width = 1; width <= 64; width++) {
        struct random r;
        random_seed(&r, width);
        int64_t in[CODEC_PACK_COUNT];
        for (size_t i = 0; i < CODEC_PACK_COUNT; i++)
            in[i] = (int64_t)(random_next(&r) >> (64 - width));
        in[0] = 0;
        in[1] = (int64_t)(UINT64_MAX >> (64 - width));
        if (width == 64) /* the smallest is the base: all of int64's range */
            in[0] = INT64_MIN, in[1] = INT64_MAX;
        struct buffer b;
        buffer_init(&b, MEM_OTHER, 1 << 20);
        codec_integers_encode(&b, in, CODEC_PACK_COUNT);
        struct reader r2 = reader_from(buffer_view(&b));
        (void)reader_varint(&r2);
        unsigned head = reader_u8(&r2);
        uint64_t base = (uint64_t)reader_svarint(&r2);
        if (head != width) { /* another order or patches were shorter */
            assert_true(width < 8 || width == 64);
            buffer_deinit(&b);
            continue;
        }
        const uint8_t *bits = (const uint8_t *)b.ptr + r2.pos;
        for (size_t i = 0; i < CODEC_PACK_COUNT; i++) {
            uint64_t v = 0;
            for (unsigned j = 0; j < width; j++) {
                size_t bit = i * width + j;
                v |= (uint64_t)(bits[bit / 8] >> (bit % 8) & 1) << j;
            }
            assert_int_equal(v + base, (uint64_t)in[i]);
        }
        buffer_deinit(&b);
    }
}

/* --- timestamps ---------------------------------------------------------------------------------- */

static const struct {
    const char *name;
    int64_t first, step;
    unsigned jitter;
    size_t count, bytes_max;
} TIMES[] = {
    {"regular grid", 1700000000000, 15000, 0, 480, 13},
    {"one sample", -5, 0, 0, 1, 3},
    {"two samples", INT64_MIN, -1, 0, 2, 13},
    {"jitter of 4 ms", 1700000000000, 15000, 4, 480, 260},
    {"before 1970", -86400000, 1, 0, 1000, 13},
};

static void time_columns_are_small_and_come_back(void **state)
{
    for (size_t k = 0; k < ARRAY_COUNT(TIMES); k++) {
        struct random r;
        random_seed(&r, k);
        int64_t in[1000], out[1000];
        for (size_t i = 0; i < TIMES[k].count; i++)
            in[i] = (int64_t)((uint64_t)TIMES[k].first + (uint64_t)TIMES[k].step * i +
                              (TIMES[k].jitter ? random_below(&r, TIMES[k].jitter) : 0));
        struct buffer b;
        buffer_init(&b, MEM_OTHER, 1 << 20);
        codec_times_encode(&b, in, TIMES[k].count);
        if (b.len > TIMES[k].bytes_max)
            fail_msg("%s: %zu bytes", TIMES[k].name, b.len);
        struct codec_times c;
        assert_true(codec_times_open(&c, buffer_view(&b), TIMES[k].count));
        codec_times_decode(&c, 0, TIMES[k].count, out);
        assert_memory_equal(in, out, TIMES[k].count * sizeof *in);
        if (TIMES[k].count > 200) {
            codec_times_decode(&c, 130, 140, out);
            assert_memory_equal(in + 130, out, 10 * sizeof *in);
        }
        assert_false(
            codec_times_open(&c, view_slice(buffer_view(&b), 0, b.len - 1), TIMES[k].count));
        buffer_deinit(&b);
    }
}

/* --- values -------------------------------------------------------------------------------------- */

static size_t check_values(const double *in, size_t count, struct random *r, const char *codec,
                           unsigned *flags)
{
    struct codec_scratch s;
    struct buffer b;
    codec_scratch_init(&s);
    buffer_init(&b, MEM_OTHER, 1 << 20);
    *flags = codec_values_encode(&b, in, count, &s);
    assert_false(b.failed);
    char *exact = malloc(b.len);
    memcpy(exact, b.ptr, b.len);
    struct codec_values c;
    assert_true(codec_values_open(&c, (struct view){exact, b.len}, count));
    if (codec)
        assert_string_equal(codec_values_name(&c), codec);
    double *out = malloc((count + 1) * sizeof *out);
    assert_true(codec_values_decode(&c, 0, count, out));
    assert_memory_equal(out, in, count * sizeof *out);
    for (int i = 0; i < 5; i++) {
        size_t from = random_below(r, count + 1), to = from + random_below(r, count + 1 - from);
        assert_true(codec_values_decode(&c, from, to, out));
        assert_memory_equal(out, in + from, (to - from) * sizeof *out);
    }
    size_t bytes = b.len;
    free(out);
    free(exact);
    buffer_deinit(&b);
    codec_scratch_deinit(&s);
    return bytes;
}

static double special(struct random *r)
{
    static const uint64_t BITS[] = {UINT64_C(0x8000000000000000), /* -0 */
                                    SAMPLE_NAN_BITS,
                                    SAMPLE_STALE_BITS,
                                    UINT64_C(0x7ff0000000000000),
                                    UINT64_C(0xfff0000000000000), /* infinities */
                                    UINT64_C(0xfff8dead0000beef),
                                    1,
                                    UINT64_C(0x000fffffffffffff), /* a payload, denormals */
                                    UINT64_C(0x7fefffffffffffff),
                                    UINT64_C(0x4340000000000001),
                                    0};
    return sample_from_bits(BITS[random_below(r, ARRAY_COUNT(BITS))]);
}

/* Counters, gauges with decimals, runs, noise; with stale markers and specials sprinkled in. */
static void values_of_any_shape_come_back(void **state)
{
    struct random r = random_printed(__func__);
    static double in[COUNT_MAX];
    unsigned flags;
    for (unsigned long i = 0; i < 3000 * scale(); i++) {
        size_t count = i % 4 ? random_below(&r, COUNT_MAX) + 1 : 125 + random_below(&r, 8);
        unsigned shape = (unsigned)random_below(&r, 7), rare = 1 + (unsigned)random_below(&r, 100);
        double v = (double)(random_next(&r) >> (13 + random_below(&r, 50))),
               power = pow(10, (double)random_below(&r, 10));
        for (size_t k = 0; k < count; k++) {
            switch (shape) {
            case 0:
                v += (double)random_below(&r, 1000);
                in[k] = v;
                break;
            case 1:
                in[k] = (double)random_below(&r, 100000) / power;
                break;
            case 2:
                v = random_below(&r, 40) ? v : (double)random_below(&r, 50) / power;
                in[k] = v;
                break;
            case 3:
                in[k] = random_unit(&r);
                break;
            case 4:
                in[k] = sample_from_bits(random_next(&r));
                break;
            case 5:
                v = random_below(&r, 20) ? v : random_unit(&r);
                in[k] = v;
                break;
            default:
                in[k] = (double)random_below(&r, 1 << 20) * 4096;
                break;
            }
            if (i % 3 == 0 && random_below(&r, rare) == 0)
                in[k] = i % 2 ? sample_stale() : special(&r);
        }
        (void)check_values(in, count, &r, NULL, &flags);
    }
}

enum { N = 480 };
static double v_zero(size_t i)
{
    return 0 * (double)i;
}
static double v_pi(size_t i)
{
    return 3.14159 + 0 * (double)i;
}
static double v_minus_zero(size_t i)
{
    return i < N ? -0.0 : 0;
}
static double v_stale(size_t i)
{
    return i < N ? sample_stale() : 0;
}
static double v_counter(size_t i)
{
    return (double)(1000000 + 37 * i + i * i % 5);
}
static double v_line(size_t i)
{
    return (double)(1000000 + 37 * i);
}
static double v_reset(size_t i)
{
    return (double)(i < 300 ? 9000000000 + 100 * i : i);
}
static double v_pages(size_t i)
{
    return 8e9 + (double)(i * 7919 % 101) * 4096;
}
static double v_decimals(size_t i)
{
    return (double)(4000 + i * 7919 % 64) / 100;
}
static double v_steps(size_t i)
{
    return (double)(i / 100);
}
static double v_ends(size_t i)
{
    return i < 470 ? (double)(1000 + 5 * i) : sample_stale();
}
static double v_a_nan(size_t i)
{
    return i == 77 ? NAN : (double)(1000 + 5 * i);
}
static double v_an_inf(size_t i)
{
    return i == 200 ? INFINITY : (double)(1000 + 5 * i);
}
static double v_noise(size_t i)
{
    return sin((double)i * (double)i);
}
static double v_float(size_t i)
{
    return (float)(2.5 + sin((double)i * (double)i));
}
static double v_noise_pairs(size_t i)
{
    return 1 + sin((double)(i / 2));
}
static double v_noise_runs(size_t i)
{
    return sin((double)(i / 60));
}

#define ALL (CODEC_FLAG_INTEGER | CODEC_FLAG_NO_RESET | CODEC_FLAG_NO_GAP)
static const struct {
    const char *name, *codec;
    double (*value)(size_t i);
    size_t bytes_max;
    unsigned flags;
} COLUMNS[] = {
    {"all zero", "constant", v_zero, 2, ALL | CODEC_FLAG_CONSTANT},
    {"one decimal", "constant", v_pi, 9,
     CODEC_FLAG_CONSTANT | CODEC_FLAG_NO_RESET | CODEC_FLAG_NO_GAP},
    {"minus zero", "constant", v_minus_zero, 9,
     CODEC_FLAG_CONSTANT | CODEC_FLAG_NO_RESET | CODEC_FLAG_NO_GAP},
    {"only markers", "constant", v_stale, 500, ALL - CODEC_FLAG_NO_GAP + CODEC_FLAG_CONSTANT},
    {"counter", "integers", v_counter, N / 2, ALL},
    {"straight counter", "integers", v_line, 40, ALL},
    {"counter with a reset", "integers", v_reset, 60, CODEC_FLAG_INTEGER | CODEC_FLAG_NO_GAP},
    {"pages", "integers", v_pages, N, CODEC_FLAG_INTEGER | CODEC_FLAG_NO_GAP},
    {"two decimals", "integers", v_decimals, N, CODEC_FLAG_NO_GAP},
    {"steps", "runs", v_steps, 30, ALL},
    {"ends with markers", "integers", v_ends, 60, CODEC_FLAG_INTEGER | CODEC_FLAG_NO_RESET},
    {"a NaN among integers", "integers", v_a_nan, 60, CODEC_FLAG_NO_GAP},
    {"an infinity among integers", "integers", v_an_inf, 60, CODEC_FLAG_NO_GAP},
    {"noise", "split", v_noise, N * 58 / 8, CODEC_FLAG_NO_GAP},
    {"noise of few bits", "split", v_float, N * 28 / 8, CODEC_FLAG_NO_GAP},
    {"noise that seldom moves", "xor", v_noise_pairs, N * 5, CODEC_FLAG_NO_GAP},
    {"noise in runs", "runs", v_noise_runs, 110, CODEC_FLAG_NO_GAP},
};

/* Each kind of data gets the codec that suits it, stays below a size, and says what it is. */
static void each_kind_of_data_gets_its_codec(void **state)
{
    struct random r = random_printed(__func__);
    for (size_t k = 0; k < ARRAY_COUNT(COLUMNS); k++) {
        double in[N];
        unsigned flags;
        for (size_t i = 0; i < N; i++)
            in[i] = COLUMNS[k].value(i);
        size_t bytes = check_values(in, N, &r, COLUMNS[k].codec, &flags);
        if (bytes > COLUMNS[k].bytes_max)
            fail_msg("%s: %zu bytes", COLUMNS[k].name, bytes);
        if (flags != COLUMNS[k].flags)
            fail_msg("%s: flags %u", COLUMNS[k].name, flags);
    }
}

/* Bytes flipped, cut and made up: the decoder says no or gives some numbers; the sanitizers see to the
 * rest. */
static void damaged_columns_do_no_harm(void **state)
{
    struct random r = random_printed(__func__);
    struct codec_scratch s;
    codec_scratch_init(&s);
    double *out = malloc(COUNT_MAX * sizeof *out);
    int64_t *times = malloc(COUNT_MAX * sizeof *times);
    unsigned long good_count = 0;
    for (unsigned long round = 0; round < 200 * scale(); round++) {
        double in[300];
        size_t k = round % ARRAY_COUNT(COLUMNS);
        for (size_t i = 0; i < ARRAY_COUNT(in); i++)
            in[i] = COLUMNS[k].value(i * 2);
        struct buffer b;
        buffer_init(&b, MEM_OTHER, 1 << 20);
        (void)codec_values_encode(&b, in, ARRAY_COUNT(in), &s);
        for (unsigned i = 0; i < 50; i++) {
            size_t len = random_below(&r, 4) ? b.len : random_below(&r, b.len);
            char *bytes = malloc(len + 1);
            memcpy(bytes, b.ptr, len);
            if (len > 0)
                bytes[random_below(&r, len)] ^= (char)(1 + random_below(&r, 255));
            size_t count = random_below(&r, 3) ? ARRAY_COUNT(in) : 1 + random_below(&r, COUNT_MAX);
            struct codec_values c;
            bool good = codec_values_open(&c, (struct view){bytes, len}, count) &&
                        codec_values_decode(&c, 0, count, out);
            good_count += good;
            struct codec_times t;
            if (codec_times_open(&t, (struct view){bytes, len}, count))
                codec_times_decode(&t, 0, count, times);
            free(bytes);
        }
        buffer_deinit(&b);
    }
    print_message("%lu of %lu damaged columns gave numbers\n", good_count, 10000 * scale());
    free(out);
    free(times);
    codec_scratch_deinit(&s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(integers_of_any_shape_come_back),
        cmocka_unit_test(packed_bits_are_where_the_layout_says),
        cmocka_unit_test(time_columns_are_small_and_come_back),
        cmocka_unit_test(values_of_any_shape_come_back),
        cmocka_unit_test(each_kind_of_data_gets_its_codec),
        cmocka_unit_test(damaged_columns_do_no_harm),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
