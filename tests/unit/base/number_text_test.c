/* SPDX-License-Identifier: Apache-2.0 */
/* Numbers, durations and JSON as text. */
#include "base/clock.h"
#include "base/duration.h"
#include "base/floattext.h"
#include "base/json_write.h"
#include "base/random.h"

#include <float.h>
#include <inttypes.h>
#include <locale.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

static uint64_t bits_of(double v)
{
    uint64_t bits;
    memcpy(&bits, &v, sizeof(bits));
    return bits;
}

static const struct {
    const char *text;
    bool ok;
    double value;
} PARSED[] = {
    {"0", true, 0},
    {"-0", true, -0.0},
    {"1", true, 1},
    {"+1", true, 1},
    {"+-1", false, 0},
    {"--1", false, 0},
    {"1.", true, 1},
    {".5", true, 0.5},
    {".", false, 0},
    {"", false, 0},
    {"-", false, 0},
    {"+", false, 0},
    {"1e", false, 0},
    {"1e+", false, 0},
    {"1e5", true, 1e5},
    {"1E-5", true, 1e-5},
    {"1 ", false, 0},
    {" 1", false, 0},
    {"1_000", false, 0},
    {"1.2.3", false, 0},
    {"123456789012345678", true, 123456789012345678.0},
    {"0.1", true, 0.1},
    {"0.000000000000001", true, 1e-15},
    {"9007199254740993", true, 9007199254740992.0},
    {"1e308", true, 1e308},
    {"1e309", false, INFINITY},
    {"-1e309", false, -INFINITY},
    {"1e999999999999999999999", false, INFINITY},
    {"1e-999999999999999999999", true, 0},
    {"0e999999999999999999999", true, 0},
    {"1e-400", true, 0},
    {"-1e-400", true, -0.0},
    {"2e-324", true, 0},
    {"3e-324", true, 4.9406564584124654e-324},
    {"4.9e-324", true, 4.9406564584124654e-324},
    {"2.2250738585072011e-308", true, 2.2250738585072011e-308},
    {"1.7976931348623157e308", true, DBL_MAX},
    {"1.7976931348623159e308", false, INFINITY},
    {"0x1p4", true, 16},
    {"-0x1.8p1", true, -3},
    {"0X1P-2", true, 0.25},
    {"0x1", false, 0},
    {"0xp1", false, 0},
    {"0x.p1", false, 0},
    {"0x", false, 0},
    {"0x1p1024", false, INFINITY},
    {"0x1p-1075", true, 0},
    {"0x1p-1074", true, 4.9406564584124654e-324},
    {"0x1p-2000", true, 0},
    {"inf", true, INFINITY},
    {"+Inf", true, INFINITY},
    {"-INFINITY", true, -INFINITY},
    {"infi", false, 0},
    {"infinityx", false, 0},
    {"NaN", true, NAN},
    {"nan", true, NAN},
    {"+nan", false, 0},
    {"nan(1)", false, 0},
    {"1f", false, 0},
    {"abc", false, 0},
};

static void float_parse_reads_what_go_reads(void **state)
{
    for (size_t i = 0; i < sizeof(PARSED) / sizeof(PARSED[0]); i++) {
        double v = 77;
        bool ok = float_parse(view_from(PARSED[i].text), &v);
        if (ok != PARSED[i].ok)
            fail_msg("\"%s\": %d", PARSED[i].text, ok);
        if (isnan(PARSED[i].value))
            assert_true(bits_of(v) == UINT64_C(0x7ff8000000000001));
        else if ((ok || isinf(PARSED[i].value)) && bits_of(v) != bits_of(PARSED[i].value))
            fail_msg("\"%s\": %.17g", PARSED[i].text, v);
    }
}

static double random_double(struct random *r)
{
    for (;;) {
        double v;
        uint64_t bits = random_next(r);
        memcpy(&v, &bits, sizeof(v));
        switch (random_below(r, 4)) {
        case 0: /* a decimal that people write */
            return (double)(int64_t)(bits >> random_below(r, 63)) /
                   pow(10, (double)random_below(r, 8));
        case 1: /* denormal */
            bits &= UINT64_C(0x800fffffffffffff);
            memcpy(&v, &bits, sizeof(v));
            return v;
        case 2: /* between 1e-12 and 1e24, where layouts change */
            return ldexp(random_unit(r) + 1, (int)random_below(r, 120) - 40);
        default:
            if (isfinite(v))
                return v;
        }
    }
}

static long scaled(long count)
{
    const char *scale = getenv("TEST_SCALE");
    return count * (scale ? strtol(scale, NULL, 10) : 1);
}

static struct random seeded(void)
{
    uint64_t seed = (uint64_t)clock_wall().ms;
    print_message("seed %" PRIu64 "\n", seed);
    struct random r;
    random_seed(&r, seed);
    return r;
}

/* strtod in the C locale is the oracle, on texts of all precisions. */
static void float_parse_agrees_with_strtod(void **state)
{
    static const char *const formats[] = {"%.17g", "%.3f",  "%.9e", "%.0f",
                                          "%g",    "%.25g", "%.1f", "%a"};
    locale_t c = newlocale(LC_ALL_MASK, "C", (locale_t)0);
    struct random r = seeded();
    for (long i = 0; i < scaled(200000); i++) {
        char text[400];
        snprintf(text, sizeof(text), formats[i % 8], random_double(&r));
        double v, expected = strtod_l(text, NULL, c);
        bool ok = float_parse(view_from(text), &v);
        if (ok != isfinite(expected) || bits_of(v) != bits_of(expected))
            fail_msg("\"%s\": %.17g, expected %.17g", text, v, expected);
    }
    freelocale(c);
}

static void float_formats_read_back(void **state)
{
    static size_t (*const formats[])(double, char *) = {float_format_plain, float_format_short,
                                                        float_format_general, float_format_json,
                                                        float_format_le};
    struct random r = seeded();
    for (long i = 0; i < scaled(50000); i++) {
        double v = random_double(&r), back;
        for (size_t f = 0; f < 5; f++) {
            char text[FLOAT_TEXT_BYTES];
            size_t len = formats[f](v, text);
            assert_true(len < FLOAT_TEXT_BYTES);
            assert_true(float_parse((struct view){text, len}, &back));
            if (bits_of(back) != bits_of(v))
                fail_msg("%.17g became \"%.*s\"", v, (int)len, text);
        }
    }
}

static const struct {
    double v;
    const char *plain, *brief, *general, *json, *le;
} FORMATS[] = {
    {0, "0", "0", "0", "0", "0.0"},
    {-0.0, "-0", "-0", "-0", "-0", "-0.0"},
    {1, "1", "1", "1", "1", "1.0"},
    {-1.5, "-1.5", "-1.5", "-1.5", "-1.5", "-1.5"},
    {0.1, "0.1", "0.1", "0.1", "0.1", "0.1"},
    {100, "100", "100", "100", "100", "100.0"},
    {123456, "123456", "123456", "123456", "123456", "123456.0"},
    {1e6, "1000000", "1000000", "1e+06", "1000000", "1e+06"},
    {-1234567, "-1234567", "-1234567", "-1.234567e+06", "-1234567", "-1.234567e+06"},
    {1234567.5, "1234567.5", "1234567.5", "1.2345675e+06", "1234567.5", "1.2345675e+06"},
    {0.0001, "0.0001", "0.0001", "0.0001", "0.0001", "0.0001"},
    {0.00001, "0.00001", "1e-05", "1e-05", "0.00001", "1e-05"},
    {0.0000001, "0.0000001", "1e-07", "1e-07", "1e-07", "1e-07"},
    {1e20, "100000000000000000000", "100000000000000000000", "1e+20", "100000000000000000000",
     "1e+20"},
    {1e21, "1000000000000000000000", "1e+21", "1e+21", "1e+21", "1e+21"},
    {1.5e300, NULL, "1.5e+300", "1.5e+300", "1.5e+300", "1.5e+300"},
    {9007199254740993.0, "9007199254740992", "9007199254740992", "9.007199254740992e+15",
     "9007199254740992", "9.007199254740992e+15"},
    {1e23, "100000000000000000000000", "1e+23", "1e+23", "1e+23", "1e+23"},
    {INFINITY, "+Inf", "+Inf", "+Inf", "+Inf", "+Inf"},
    {-INFINITY, "-Inf", "-Inf", "-Inf", "-Inf", "-Inf"},
    {NAN, "NaN", "NaN", "NaN", "NaN", "NaN"},
};

static void assert_format(size_t (*format)(double, char *), double v, const char *expected)
{
    char text[FLOAT_TEXT_BYTES + 1];
    text[format(v, text)] = '\0';
    if (expected)
        assert_string_equal(text, expected);
}

static void float_formats_lay_out_as_go(void **state)
{
    for (size_t i = 0; i < sizeof(FORMATS) / sizeof(FORMATS[0]); i++) {
        assert_format(float_format_plain, FORMATS[i].v, FORMATS[i].plain);
        assert_format(float_format_short, FORMATS[i].v, FORMATS[i].brief);
        assert_format(float_format_general, FORMATS[i].v, FORMATS[i].general);
        assert_format(float_format_json, FORMATS[i].v, FORMATS[i].json);
        assert_format(float_format_le, FORMATS[i].v, FORMATS[i].le);
    }
    char text[FLOAT_TEXT_BYTES];
    assert_int_equal(float_format_plain(-4.9406564584124654e-324, text), 3 + 323 + 1);
    assert_int_equal(float_format_plain(DBL_MAX, text), 309);
}

static const struct {
    const char *text;
    int64_t ms;
    const char *error, *printed;
} DURATIONS[] = {
    {"0", 0, NULL, "0s"},
    {"0s", 0, NULL, "0s"},
    {"1ms", 1, NULL, "1ms"},
    {"5m", 300000, NULL, "5m"},
    {"1h30m", 5400000, NULL, "1h30m"},
    {"90m", 5400000, NULL, "1h30m"},
    {"36h", 129600000, NULL, "1d12h"},
    {"90d", 7776000000, NULL, "90d"},
    {"14d", 1209600000, NULL, "2w"},
    {"365d", 31536000000, NULL, "1y"},
    {"1y2w3d4h5m6s7ms", 33019506007, NULL, "382d4h5m6s7ms"},
    {"292y", 9208512000000, NULL, "292y"},
    {"", 0, "duration is empty: expected a number and a unit, as in 5m", NULL},
    {"1", 0, "duration \"1\": a number lacks its unit (ms, s, m, h, d, w or y)", NULL},
    {"00", 0, "duration \"00\": a number lacks its unit (ms, s, m, h, d, w or y)", NULL},
    {"-1s", 0, "duration \"-1s\": expected a number and a unit, as in 1h30m", NULL},
    {"m", 0, "duration \"m\": expected a number and a unit, as in 1h30m", NULL},
    {"1.5h", 0, "duration \"1.5h\": a number lacks its unit (ms, s, m, h, d, w or y)", NULL},
    {"1x", 0, "duration \"1x\": unknown unit \"x\" (expected ms, s, m, h, d, w or y)", NULL},
    {"30m1h", 0, "duration \"30m1h\": unit \"h\" follows smaller unit \"m\"", NULL},
    {"1m1m", 0, "duration \"1m1m\": unit \"m\" is given twice", NULL},
    {"1h ", 0, "duration \"1h \": expected a number and a unit, as in 1h30m", NULL},
    {"293y", 0, "duration \"293y\": longer than 292 years", NULL},
    {"99999999999999999999s", 0, "duration \"99999999999999999999s\": longer than 292 years", NULL},
};

static void durations_read_and_print_as_prometheus(void **state)
{
    for (size_t i = 0; i < sizeof(DURATIONS) / sizeof(DURATIONS[0]); i++) {
        int64_t ms;
        struct error err;
        bool ok = duration_parse(view_from(DURATIONS[i].text), &ms, &err);
        assert_int_equal(ok, DURATIONS[i].error == NULL);
        if (!ok) {
            assert_string_equal(err.message, DURATIONS[i].error);
            continue;
        }
        assert_int_equal(ms, DURATIONS[i].ms);
        char text[DURATION_TEXT_BYTES];
        assert_int_equal(duration_format(ms, text), strlen(DURATIONS[i].printed));
        assert_string_equal(text, DURATIONS[i].printed);
    }
    char text[DURATION_TEXT_BYTES];
    duration_format(-90000, text);
    assert_string_equal(text, "-1m30s");
    assert_true(duration_format(INT64_MIN, text) < DURATION_TEXT_BYTES);
}

static void durations_print_what_they_read(void **state)
{
    struct random r = seeded();
    for (int i = 0; i < 20000; i++) {
        int64_t ms = (int64_t)random_below(&r, INT64_MAX / 1000000) >> random_below(&r, 40), back;
        char text[DURATION_TEXT_BYTES];
        size_t len = duration_format(ms, text);
        struct error err;
        assert_true(duration_parse((struct view){text, len}, &back, &err));
        assert_int_equal(back, ms);
    }
}

static void assert_json(struct buffer *b, const char *expected)
{
    if (!view_is(buffer_view(b), expected))
        fail_msg("got %.*s, expected %s", VIEW_ARGS(buffer_view(b)), expected);
    buffer_reset(b);
}

static void json_is_written_as_prometheus_writes_it(void **state)
{
    struct buffer b;
    buffer_init(&b, MEM_OTHER, 1 << 16);
    json_string(&b, (struct view){NULL, 0});
    assert_json(&b, "\"\"");
    json_string(&b, VIEW("a\"b\\c\n\r\t\b\x1f/<>&\x7f \xc3\xa9 \xe2\x80\xa8 \xff."));
    assert_json(&b, "\"a\\\"b\\\\c\\n\\r\\t\\u0008\\u001f/\\u003c\\u003e\\u0026\x7f \xc3\xa9 "
                    "\\u2028 \\ufffd.\"");
    json_string(&b, (struct view){"a\0b", 3});
    assert_json(&b, "\"a\\u0000b\"");
    json_sample_value(&b, 1e-7);
    assert_json(&b, "\"1e-07\"");
    json_sample_value(&b, INFINITY);
    assert_json(&b, "\"+Inf\"");
    json_scalar_value(&b, 1e21);
    assert_json(&b, "\"1000000000000000000000\"");
    json_timestamp(&b, 1435781451781);
    assert_json(&b, "1435781451.781");
    json_timestamp(&b, 1500);
    assert_json(&b, "1.500");
    json_timestamp(&b, -5);
    assert_json(&b, "-0.005");
    json_timestamp(&b, 2000);
    assert_json(&b, "2");
    json_timestamp(&b, INT64_MIN);
    assert_json(&b, "-9223372036854775.808");
    json_int(&b, INT64_MIN);
    assert_json(&b, "-9223372036854775808");
    json_number(&b, 0.25);
    json_number(&b, NAN);
    assert_json(&b, "0.25null");
    json_number(&b, 1.5e-7);
    buffer_append_byte(&b, ' ');
    json_number(&b, -1e-12);
    buffer_append_byte(&b, ' ');
    json_number(&b, 1e21);
    assert_json(&b, "1.5e-7 -1e-12 1e+21");
    buffer_deinit(&b);
    buffer_init(&b, MEM_OTHER, 10);
    json_sample_value(&b, 1);
    assert_true(b.failed);
    buffer_deinit(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(float_parse_reads_what_go_reads),
        cmocka_unit_test(float_parse_agrees_with_strtod),
        cmocka_unit_test(float_formats_read_back),
        cmocka_unit_test(float_formats_lay_out_as_go),
        cmocka_unit_test(durations_read_and_print_as_prometheus),
        cmocka_unit_test(durations_print_what_they_read),
        cmocka_unit_test(json_is_written_as_prometheus_writes_it),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
