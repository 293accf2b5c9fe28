/* SPDX-License-Identifier: Apache-2.0 */
/* Native histograms, summaries, infos, state sets, exemplars, and what registries add to names and labels. */
#include <belfry/exposition.h>
#include <belfry/metrics.h>

#include "instrument/exemplar.h"
#include "instrument/lock.h"
#include "instrument/registry.h"
#include "instrument/text.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

/* Every clock of the library is this much later (--wrap, meson.build). */
static long later_seconds;

int __real_clock_gettime(clockid_t id, struct timespec *t);
int __wrap_clock_gettime(clockid_t id, struct timespec *t);

int __wrap_clock_gettime(clockid_t id, struct timespec *t)
{
    int result = __real_clock_gettime(id, t);
    t->tv_sec += later_seconds;
    return result;
}

static bool append(void *arg, const char *bytes, size_t len)
{
    struct text *t = arg;
    belfry__text_append(t, bytes, len);
    return !t->failed;
}

/* All in a format, NUL-terminated; free() it. */
static char *written(belfry_registry *r, belfry_format format)
{
    struct text t = {0};
    belfry_exposition how = {.format = format};
    assert_int_equal(belfry_registry_write(r, &how, append, &t), BELFRY_OK);
    belfry__text_byte(&t, '\0');
    return t.ptr;
}

static void assert_written(belfry_registry *r, belfry_format format, const char *expected)
{
    char *text = written(r, format);
    assert_string_equal(text, expected);
    free(text);
}

static void assert_has(belfry_registry *r, belfry_format format, const char *part, bool is_there)
{
    char *text = written(r, format);
    if ((strstr(text, part) != NULL) != is_there)
        fail_msg("%s \"%s\" in:\n%s", is_there ? "no" : "there is", part, text);
    free(text);
}

/* --- native histograms --- */

static const struct {
    double factor;
    int schema;
} SCHEMAS[] = {{65536, -4}, {65537, -4}, {256, -3}, {16, -2},  {4, -1},
               {2, 0},      {1.5, 1},    {1.1, 3},  {1.05, 4}, {1.001, 8}};

static void a_growth_factor_gives_the_schema(void **state)
{
    for (size_t i = 0; i < sizeof(SCHEMAS) / sizeof(SCHEMAS[0]); i++)
        assert_int_equal(belfry__sketch_schema(SCHEMAS[i].factor), SCHEMAS[i].schema);
}

/* A value lies above the bound before its bucket and not above its own, in every schema. */
static void keys_agree_with_their_bounds(void **state)
{
    static const double values[] = {1,
                                    2,
                                    0.5,
                                    1.0000000000000002,
                                    0.9999999999999999,
                                    5e-324,
                                    2.2e-308,
                                    1.7976931348623157e308,
                                    1e-300,
                                    3,
                                    1.4142135623730951,
                                    1.4142135623730949};
    srand(11);
    for (int i = 0; i < 20000; i++) {
        double v = i < 12 ? values[i] : ldexp(1 + rand() / (RAND_MAX + 1.0), rand() % 2000 - 1000);
        for (int schema = SKETCH_SCHEMA_MIN; schema <= SKETCH_SCHEMA_MAX; schema++) {
            int32_t key = belfry__sketch_key(v, schema);
            assert_true(v <= belfry__sketch_bound(key, schema));
            assert_true(v > belfry__sketch_bound(key - 1, schema) || v < 0x1p-1022); /* rounded */
        }
    }
    for (int32_t place = 1; place < 256;
         place++) { /* each bound of schema 8 belongs to its bucket */
        double bound = belfry__sketch_bound(place, 8);
        assert_int_equal(belfry__sketch_key(bound, 8), place);
        assert_int_equal(belfry__sketch_key(nextafter(bound, 3), 8), place + 1);
        assert_true(fabs(bound - (double)exp2l((long double)place / 256)) <= 0x1p-52);
    }
}

static belfry_histogram *native_new(belfry_registry *r, const belfry_histogram_options *o)
{
    belfry_histogram *h;
    assert_int_equal(belfry_histogram_new_with(&h, r, "h", "H.", o), BELFRY_OK);
    return h;
}

static struct histogram_reading read_of(const belfry_histogram *h)
{
    struct histogram_reading reading = {.count = 0};
    assert_true(belfry__histogram_read(h, &reading));
    return reading;
}

static void native_buckets_hold_what_was_observed(void **state)
{
    belfry_registry *r = belfry_registry_new();
    belfry_histogram *h = native_new(r, &(belfry_histogram_options){.native_factor = 2});
    static const double values[] = {0, 1e-40, -1e-39, 1, 2, 1.5, 3, 4, -1, -3, -3.5, 1e10};
    double sum = 0;
    for (size_t i = 0; i < sizeof(values) / sizeof(values[0]); i++) {
        assert_int_equal(belfry_histogram_observe(h, values[i]), BELFRY_OK);
        sum += values[i];
    }
    struct histogram_reading reading = read_of(h);
    static const struct sketch_bucket positive[] = {{0, 1}, {1, 2}, {2, 2}, {34, 1}},
                                      negative[] = {{0, 1}, {2, 2}};
    assert_int_equal(reading.count, 12);
    assert_true(reading.sum == sum);
    assert_int_equal(reading.native.schema, 0);
    assert_int_equal(reading.native.zero_count, 3);
    assert_true(reading.native.zero_threshold == 0x1p-128);
    assert_int_equal(reading.native.positive_count, 4);
    assert_int_equal(reading.native.negative_count, 2);
    for (size_t i = 0; i < 4; i++) {
        assert_int_equal(reading.native.positive[i].key, positive[i].key);
        assert_int_equal(reading.native.positive[i].count, positive[i].count);
    }
    for (size_t i = 0; i < 2; i++) {
        assert_int_equal(reading.native.negative[i].key, negative[i].key);
        assert_int_equal(reading.native.negative[i].count, negative[i].count);
    }
    assert_true(llabs(reading.created_ms - (int64_t)time(NULL) * 1000) < 60000);
    belfry__histogram_reading_deinit(&reading);
    assert_has(r, BELFRY_FORMAT_TEXT, "h_bucket{le=\"+Inf\"} 12\n", true);
    assert_has(r, BELFRY_FORMAT_TEXT, "h_count 12\n", true);
    belfry_registry_free(r);
}

static void both_kinds_of_buckets_agree(void **state)
{
    static const double bounds[] = {1, 10};
    belfry_registry *r = belfry_registry_new();
    belfry_histogram *h = native_new(
        r, &(belfry_histogram_options){.bounds = bounds, .bound_count = 2, .native_factor = 1.1});
    for (int i = 1; i <= 100; i++)
        assert_int_equal(belfry_histogram_observe(h, i), BELFRY_OK);
    struct histogram_reading reading = read_of(h);
    assert_int_equal(reading.count, 100);
    assert_int_equal(reading.classic[0], 1);
    assert_int_equal(reading.classic[1], 9);
    assert_int_equal(reading.classic[2], 90);
    assert_int_equal(reading.native.schema, 3);
    belfry__histogram_reading_deinit(&reading);
    assert_written(r, BELFRY_FORMAT_TEXT,
                   "# HELP h H.\n# TYPE h histogram\nh_bucket{le=\"1\"} 1\nh_bucket{le=\"10\"} 10\n"
                   "h_bucket{le=\"+Inf\"} 100\nh_sum 5050\nh_count 100\n");
    belfry_registry_free(r);
}

/* Against a plain count in the schema that is left, for values over ever more doublings. */
static void resolution_halves_when_buckets_are_too_many(void **state)
{
    belfry_registry *r = belfry_registry_new();
    belfry_histogram *h = native_new(
        r, &(belfry_histogram_options){.native_factor = 1.005, .native_buckets_max = 20});
    double values[4000];
    srand(3);
    for (int i = 0; i < 4000; i++) {
        values[i] = ldexp(1 + rand() / (RAND_MAX + 1.0), rand() % (1 + i / 40)) * (i % 3 ? 1 : -1);
        assert_int_equal(belfry_histogram_observe(h, values[i]), BELFRY_OK);
    }
    struct histogram_reading reading = read_of(h);
    const struct sketch_reading *n = &reading.native;
    assert_int_equal(reading.count, 4000);
    assert_true(n->schema < 0);
    assert_true(n->positive_count + n->negative_count <= 20);
    for (size_t b = 0; b < n->positive_count + n->negative_count; b++) {
        bool negative = b < n->negative_count;
        struct sketch_bucket bucket =
            negative ? n->negative[b] : n->positive[b - n->negative_count];
        uint64_t expected = 0;
        for (int i = 0; i < 4000; i++)
            expected += (values[i] < 0) == negative &&
                        belfry__sketch_key(fabs(values[i]), n->schema) == bucket.key;
        assert_int_equal(bucket.count, expected);
    }
    belfry__histogram_reading_deinit(&reading);
    belfry_registry_free(r);
}

static void the_coarsest_schema_takes_all(void **state)
{
    belfry_registry *r = belfry_registry_new();
    belfry_histogram *h =
        native_new(r, &(belfry_histogram_options){.native_factor = 2, .native_buckets_max = 1});
    for (int e = -1000; e < 1000; e++)
        assert_int_equal(belfry_histogram_observe(h, ldexp(1.5, e) * (e % 2 ? 1 : -1)), BELFRY_OK);
    struct histogram_reading reading = read_of(h);
    assert_int_equal(reading.count, 2000);
    assert_int_equal(reading.native.schema, SKETCH_SCHEMA_MIN);
    belfry__histogram_reading_deinit(&reading);
    belfry_registry_free(r);
}

static void zero_widens_before_resolution_halves(void **state)
{
    belfry_registry *r = belfry_registry_new();
    belfry_histogram *h = native_new(
        r, &(belfry_histogram_options){
               .native_factor = 2, .native_buckets_max = 8, .native_zero_threshold_max = 1});
    for (int e = -20; e < 4; e++)
        assert_int_equal(belfry_histogram_observe(h, ldexp(1, e)), BELFRY_OK);
    struct histogram_reading reading = read_of(h);
    assert_int_equal(reading.count, 24);
    assert_int_equal(reading.native.schema, 0);
    assert_true(reading.native.zero_threshold > 0x1p-20 && reading.native.zero_threshold <= 1);
    assert_true(reading.native.positive_count <= 8);
    assert_int_equal(reading.native.zero_count, 24 - reading.native.positive_count);
    belfry__histogram_reading_deinit(&reading);
    belfry_registry_free(r);
}

static void a_native_histogram_begins_anew_when_it_may(void **state)
{
    static const double bounds[] = {1};
    belfry_registry *r = belfry_registry_new();
    belfry_histogram *h = native_new(r, &(belfry_histogram_options){.native_factor = 2,
                                                                    .native_buckets_max = 4,
                                                                    .bounds = bounds,
                                                                    .bound_count = 1,
                                                                    .native_reset_seconds = 3600});
    later_seconds = 0;
    for (int round = 0; round < 4; round++) {
        for (int e = 1; e <= 4; e++)
            assert_int_equal(belfry_histogram_observe(h, ldexp(1, e)), BELFRY_OK);
        struct histogram_reading reading = read_of(h);
        assert_int_equal(reading.count, 4);
        assert_int_equal(reading.native.schema, 0);
        assert_int_equal(reading.classic[1], 4);
        assert_true(reading.sum == 30);
        int64_t created_ms = reading.created_ms;
        later_seconds += 3601;
        assert_int_equal(belfry_histogram_observe(h, 1000), BELFRY_OK); /* a fifth bucket */
        belfry__histogram_reading_deinit(&reading);
        reading = read_of(h);
        assert_int_equal(reading.count, 1);
        assert_int_equal(reading.classic[1], 1);
        assert_true(reading.sum == 1000);
        assert_true(reading.created_ms >= created_ms + 3600 * 1000);
        later_seconds += 3601;
        belfry_histogram_observe(h, 0.0001);
        for (int e = 11; e < 16; e++) /* full: anew with the last */
            belfry_histogram_observe(h, ldexp(1, e));
        belfry__histogram_reading_deinit(&reading);
        belfry_registry_free(r);
        r = belfry_registry_new();
        h = native_new(r, &(belfry_histogram_options){.native_factor = 2,
                                                      .native_buckets_max = 4,
                                                      .bounds = bounds,
                                                      .bound_count = 1,
                                                      .native_reset_seconds = 3600});
    }
    later_seconds = 0;
    belfry_registry_free(r);
}

/* What it began with is freed, however often it begins anew. */
static void what_a_native_histogram_left_is_freed(void **state)
{
    static const double bounds[] = {1};
    belfry_registry *r = belfry_registry_new();
    belfry_histogram *h = native_new(r, &(belfry_histogram_options){.native_factor = 2,
                                                                    .native_buckets_max = 1,
                                                                    .bounds = bounds,
                                                                    .bound_count = 1,
                                                                    .native_reset_seconds = 3600});
    struct cells first = {0}, last = {0};
    for (int round = 0; round < 100; round++) {
        later_seconds += 3601;
        assert_int_equal(belfry_histogram_observe(h, round % 2 ? 1 : 1000), BELFRY_OK);
        assert_int_equal(belfry_histogram_count(h), 1);
        assert_null(h->sketch.retired);
        belfry__lock(); /* nor do its cells grow */
        assert_true(belfry__cells_take_locked(round == 2 ? &first : &last, 66));
        belfry__cells_give_locked(round == 2 ? &first : &last, 66);
        belfry__unlock();
    }
    assert_int_equal(first.segment, last.segment);
    later_seconds = 0;
    belfry_registry_free(r);
}

/* --- summaries --- */

static int compare_doubles(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

/* Against the sorted values: within 0.6 % of the one that has the rank. */
static void quantiles_are_close_to_the_ranked_value(void **state)
{
    enum { COUNT = 20000 };
    static double values[COUNT];
    static const double quantiles[] = {0, 0.01, 0.25, 0.5, 0.75, 0.9, 0.99, 0.999, 1};
    belfry_registry *r = belfry_registry_new();
    belfry_summary *s;
    assert_int_equal(belfry_summary_new(&s, r, "s", "S.", NULL), BELFRY_OK);
    assert_true(isnan(belfry_summary_quantile(s, 0.5)));
    srand(5);
    for (size_t i = 0; i < COUNT; i++) {
        double u = (rand() + 1.0) / (RAND_MAX + 2.0);
        values[i] = i % 5 == 0 ? -0.01 * u : 0.003 - 0.05 * log(u);
        assert_int_equal(belfry_summary_observe(s, values[i]), BELFRY_OK);
    }
    qsort(values, COUNT, sizeof(values[0]), compare_doubles);
    for (size_t i = 0; i < sizeof(quantiles) / sizeof(quantiles[0]); i++) {
        size_t rank = (size_t)ceil(quantiles[i] * COUNT);
        double exact = values[rank ? rank - 1 : 0];
        double found = belfry_summary_quantile(s, quantiles[i]);
        assert_true(fabs(found - exact) <= fabs(exact) * 0.006);
    }
    assert_int_equal(belfry_summary_count(s), COUNT);
    belfry_registry_free(r);
}

static void quantiles_of_the_largest_numbers_are_no_less(void **state)
{
    static const double values[] = {1e307, 9.5e307, 1.5e308, -1.5e308};
    for (size_t i = 0; i < sizeof(values) / sizeof(values[0]); i++) {
        belfry_registry *r = belfry_registry_new();
        belfry_summary *s;
        assert_int_equal(belfry_summary_new(&s, r, "s", "S.", NULL), BELFRY_OK);
        assert_int_equal(belfry_summary_observe(s, values[i]), BELFRY_OK);
        assert_true(fabs(belfry_summary_quantile(s, 0.5) - values[i]) <= fabs(values[i]) * 0.006);
        belfry_registry_free(r);
    }
}

static void a_summary_forgets_what_is_old(void **state)
{
    static const double quantiles[] = {0.5, 1};
    belfry_registry *r = belfry_registry_new();
    belfry_summary *s;
    belfry_summary_options options = {
        .quantiles = quantiles, .quantile_count = 2, .max_age_seconds = 100, .age_buckets = 4};
    later_seconds = 0;
    assert_int_equal(belfry_summary_new(&s, r, "s", "S.", &options), BELFRY_OK);
    assert_int_equal(belfry_summary_observe(s, 0), BELFRY_OK);
    later_seconds = 60;
    assert_int_equal(belfry_summary_observe(s, 0), BELFRY_OK);
    assert_written(r, BELFRY_FORMAT_TEXT,
                   "# HELP s S.\n# TYPE s summary\ns{quantile=\"0.5\"} 0\ns{quantile=\"1\"} 0\n"
                   "s_sum 0\ns_count 2\n");
    later_seconds = 99;
    assert_int_equal(belfry_summary_observe(s, 16), BELFRY_OK);
    assert_true(fabs(belfry_summary_quantile(s, 1) - 16) < 0.1);
    later_seconds = 130; /* the zeros at the beginning are gone, those of second 60 not yet */
    assert_true(belfry_summary_quantile(s, 0.5) == 0);
    later_seconds = 170;
    assert_true(fabs(belfry_summary_quantile(s, 0.01) - 16) < 0.1);
    later_seconds = 210;
    assert_true(isnan(belfry_summary_quantile(s, 0.5)));
    later_seconds = 100000; /* long after */
    assert_int_equal(belfry_summary_observe(s, -2), BELFRY_OK);
    assert_true(fabs(belfry_summary_quantile(s, 0.5) + 2) < 0.02);
    assert_int_equal(belfry_summary_count(s), 4); /* count and sum forget nothing */
    assert_true(belfry_summary_sum(s) == 14);
    later_seconds = 0;
    belfry_registry_free(r);
}

/* --- infos and state sets --- */

static void infos_and_state_sets_are_gauges_in_text(void **state)
{
    static const char *const states[] = {"starting", "up", "a\"b"}, *const labels[] = {"job"};
    belfry_registry *r = belfry_registry_new();
    belfry_stateset *s;
    belfry_stateset_family *f;
    assert_int_equal(belfry_info_new(r, "build_info", "B.",
                                     (const belfry_label[]){{"version", "1.0"}, {"commit", "a\\"}},
                                     2),
                     BELFRY_OK);
    assert_int_equal(belfry_stateset_new(&s, r, "mode", "M.", states, 3), BELFRY_OK);
    assert_int_equal(belfry_stateset_family_new(&f, r, "task", "T.", labels, 1, states, 2),
                     BELFRY_OK);
    assert_int_equal(belfry_stateset_set(s, 0, true), BELFRY_OK);
    assert_int_equal(belfry_stateset_only(s, 1), BELFRY_OK);
    assert_int_equal(belfry_stateset_set(s, 2, true), BELFRY_OK);
    assert_int_equal(belfry_stateset_set(s, 2, false), BELFRY_OK);
    assert_true(belfry_stateset_holds(s, 1) && !belfry_stateset_holds(s, 0));
    assert_int_equal(
        belfry_stateset_only(belfry_stateset_family_with(f, (const char *const[]){"x"}), 0),
        BELFRY_OK);
    assert_written(r, BELFRY_FORMAT_TEXT,
                   "# HELP build_info B.\n# TYPE build_info gauge\n"
                   "build_info{version=\"1.0\",commit=\"a\\\\\"} 1\n"
                   "# HELP mode M.\n# TYPE mode gauge\nmode{mode=\"starting\"} 0\n"
                   "mode{mode=\"up\"} 1\nmode{mode=\"a\\\"b\"} 0\n"
                   "# HELP task T.\n# TYPE task gauge\ntask{job=\"x\",task=\"starting\"} 1\n"
                   "task{job=\"x\",task=\"up\"} 0\n");
    assert_written(r, BELFRY_FORMAT_OPENMETRICS,
                   "# HELP build B.\n# TYPE build info\n"
                   "build_info{version=\"1.0\",commit=\"a\\\\\"} 1\n"
                   "# HELP mode M.\n# TYPE mode stateset\nmode{mode=\"starting\"} 0\n"
                   "mode{mode=\"up\"} 1\nmode{mode=\"a\\\"b\"} 0\n"
                   "# HELP task T.\n# TYPE task stateset\ntask{job=\"x\",task=\"starting\"} 1\n"
                   "task{job=\"x\",task=\"up\"} 0\n# EOF\n");
    belfry_registry_free(r);
}

/* --- exemplars, created, units --- */

/* The line that begins with `begin`, copied. */
static void line_of(belfry_registry *r, const char *begin, char *out, size_t size)
{
    char *text = written(r, BELFRY_FORMAT_OPENMETRICS);
    const char *line = strstr(text, begin);
    assert_non_null(line);
    snprintf(out, size, "%.*s", (int)strcspn(line, "\n"), line);
    free(text);
}

static void exemplars_stand_behind_counters_and_buckets(void **state)
{
    static const double bounds[] = {1, 2};
    belfry_registry *r = belfry_registry_new();
    belfry_counter *c;
    belfry_histogram *h, *n;
    char line[256];
    const belfry_label trace = {"trace_id", "4bf92f"},
                       both[] = {{"trace_id", "a\"b"}, {"request_id", "\xc3\xa9"}};
    assert_int_equal(belfry_counter_new(&c, r, "c_total", "C."), BELFRY_OK);
    assert_int_equal(belfry_histogram_new(&h, r, "h", "H.", bounds, 2), BELFRY_OK);
    assert_int_equal(belfry_histogram_new_with(&n, r, "n", "N.",
                                               &(belfry_histogram_options){.native_factor = 2}),
                     BELFRY_OK);
    assert_int_equal(belfry_counter_add_exemplar(c, 3, &trace, 1), BELFRY_OK);
    assert_int_equal(belfry_histogram_observe_exemplar(h, 1.5, both, 2), BELFRY_OK);
    assert_int_equal(belfry_histogram_observe_exemplar(h, 1.25, both, 2),
                     BELFRY_OK); /* the newer */
    assert_int_equal(belfry_histogram_observe_exemplar(n, 7, &trace, 1), BELFRY_OK);
    line_of(r, "c_total", line, sizeof(line));
    assert_memory_equal(line, "c_total 3 # {trace_id=\"4bf92f\"} 3 1", 35);
    line_of(r, "h_bucket{le=\"2.0\"}", line, sizeof(line));
    assert_non_null(strstr(line, "} 2 # {trace_id=\"a\\\"b\",request_id=\"\xc3\xa9\"} 1.25 1"));
    line_of(r, "h_bucket{le=\"1.0\"}", line, sizeof(line));
    assert_string_equal(line, "h_bucket{le=\"1.0\"} 0");
    line_of(r, "n_bucket", line, sizeof(line));
    assert_non_null(strstr(line, "} 1 # {trace_id=\"4bf92f\"} 7 1"));
    assert_has(r, BELFRY_FORMAT_TEXT, " # {", false);
    belfry_registry_free(r);
}

static void the_current_request_is_the_exemplar(void **state)
{
    belfry_registry *r = belfry_registry_new();
    belfry_counter *c;
    belfry_histogram *h;
    size_t count;
    const belfry_label first = {"request_id", "1"}, second = {"request_id", "2"};
    assert_int_equal(belfry_counter_new(&c, r, "c_total", "C."), BELFRY_OK);
    assert_int_equal(belfry_histogram_new(&h, r, "h", "H.", NULL, 0), BELFRY_OK);
    belfry_counter_inc(c);
    assert_has(r, BELFRY_FORMAT_OPENMETRICS, "request_id", false);
    assert_true(belfry__exemplar_set(&first, 1));
    assert_ptr_equal(belfry__exemplar_current(&count), &first);
    belfry_counter_inc(c);
    belfry_histogram_observe(h, 0.1);
    assert_true(belfry__exemplar_set(&second, 1));
    belfry_counter_inc(c); /* within a second: the first stays */
    assert_has(r, BELFRY_FORMAT_OPENMETRICS, "c_total 3 # {request_id=\"1\"} 1 ", true);
    assert_has(r, BELFRY_FORMAT_OPENMETRICS, "1 # {request_id=\"1\"} 0.1 ", true);
    later_seconds = 2;
    belfry_counter_add(c, 5);
    belfry_histogram_observe(h, 0.09);
    later_seconds = 0;
    assert_has(r, BELFRY_FORMAT_OPENMETRICS, "c_total 8 # {request_id=\"2\"} 5 ", true);
    assert_has(r, BELFRY_FORMAT_OPENMETRICS, "2 # {request_id=\"2\"} 0.09 ", true);
    assert_true(belfry__exemplar_set(NULL, 0));
    assert_null(belfry__exemplar_current(&count));
    belfry_registry_free(r);
}

static void openmetrics_shows_created_and_units_when_asked(void **state)
{
    belfry_registry *r = belfry_registry_new();
    belfry_counter *c;
    belfry_histogram *h;
    belfry_summary *s;
    assert_int_equal(belfry_counter_new(&c, r, "busy_seconds_total", "C."), BELFRY_OK);
    assert_int_equal(belfry_histogram_new(&h, r, "h_bytes", "H.", NULL, 0), BELFRY_OK);
    assert_int_equal(belfry_summary_new(&s, r, "s", "S.", NULL), BELFRY_OK);
    assert_int_equal(belfry_set_unit(r, "busy_seconds_total", "seconds"), BELFRY_OK);
    assert_int_equal(belfry_set_unit(r, "h_bytes", "bytes"), BELFRY_OK);
    assert_has(r, BELFRY_FORMAT_OPENMETRICS,
               "# TYPE busy_seconds counter\n# UNIT busy_seconds seconds\n", true);
    assert_has(r, BELFRY_FORMAT_OPENMETRICS, "# UNIT h_bytes bytes\n", true);
    assert_has(r, BELFRY_FORMAT_OPENMETRICS, "_created", false);
    assert_has(r, BELFRY_FORMAT_TEXT, "UNIT", false);
    assert_int_equal(belfry_registry_show_created(r, true), BELFRY_OK);
    assert_has(r, BELFRY_FORMAT_OPENMETRICS, "busy_seconds_total 0\nbusy_seconds_created 1", true);
    assert_has(r, BELFRY_FORMAT_OPENMETRICS, "h_bytes_created 1", true);
    assert_has(r, BELFRY_FORMAT_OPENMETRICS, "s_created 1", true);
    assert_has(r, BELFRY_FORMAT_TEXT, "_created", false);
    belfry_registry_free(r);
}

/* --- registries --- */

static void collect(void *arg, belfry_emitter *e)
{
    belfry_emit_family(e, "collected", "C.", BELFRY_GAUGE);
    belfry_emit_sample(e, NULL, NULL, 0, 1);
    belfry_emit_sample(e, NULL, &(const belfry_label){"a", "b"}, 1, 2);
}

static void a_registry_adds_prefix_and_labels(void **state)
{
    static const char *const names[] = {"path"}, *const clash[] = {"env"};
    belfry_registry *r = belfry_registry_new();
    belfry_counter *c;
    belfry_counter_family *f;
    belfry_gauge *g;
    assert_int_equal(belfry_registry_set_prefix(r, "old_"), BELFRY_OK);
    assert_int_equal(belfry_registry_set_prefix(r, "app_"), BELFRY_OK);
    assert_int_equal(belfry_registry_set_labels(r, &(const belfry_label){"old", ""}, 1), BELFRY_OK);
    assert_int_equal(
        belfry_registry_set_labels(r, (const belfry_label[]){{"env", "te\"st"}, {"zone", "a"}}, 2),
        BELFRY_OK);
    assert_int_equal(belfry_counter_new(&c, r, "c_total", "C."), BELFRY_OK);
    assert_int_equal(belfry_counter_family_new(&f, r, "f_total", "F.", clash, 1),
                     BELFRY_ERROR_LABELS);
    assert_string_equal(belfry_last_error(),
                        "\"app_f_total\": label \"env\" is a constant label of the registry");
    assert_int_equal(belfry_counter_family_new(&f, r, "f_total", "F.", names, 1), BELFRY_OK);
    assert_int_equal(belfry_gauge_new(&g, r, "c_total", "C."), BELFRY_ERROR_EXISTS);
    assert_int_equal(belfry_collector_new(r, collect, NULL, NULL), BELFRY_OK);
    assert_non_null(belfry_counter_family_with(f, (const char *const[]){"/"}));
    assert_written(r, BELFRY_FORMAT_TEXT,
                   "# HELP app_c_total C.\n# TYPE app_c_total counter\n"
                   "app_c_total{env=\"te\\\"st\",zone=\"a\"} 0\n"
                   "# HELP app_f_total F.\n# TYPE app_f_total counter\n"
                   "app_f_total{env=\"te\\\"st\",zone=\"a\",path=\"/\"} 0\n"
                   "# HELP collected C.\n# TYPE collected gauge\n"
                   "collected{env=\"te\\\"st\",zone=\"a\"} 1\n"
                   "collected{env=\"te\\\"st\",zone=\"a\",a=\"b\"} 2\n");
    assert_int_equal(belfry_unregister(r, "c_total"), BELFRY_OK); /* without the prefix */
    belfry_registry_free(r);
}

static void what_is_unregistered_is_shown_no_more(void **state)
{
    belfry_registry *r = belfry_registry_new();
    belfry_histogram *h, *h2;
    belfry_gauge *g;
    assert_int_equal(belfry_histogram_new(&h, r, "h", "H.", NULL, 0), BELFRY_OK);
    assert_int_equal(belfry_unregister(r, "h"), BELFRY_OK);
    assert_written(r, BELFRY_FORMAT_TEXT, "");
    assert_int_equal(belfry_histogram_observe(h, 1), BELFRY_OK); /* the pointer is valid */
    assert_int_equal(belfry_histogram_count(h), 1);
    assert_int_equal(belfry_unregister(r, "h"), BELFRY_ERROR_NOT_FOUND);
    assert_int_equal(belfry_gauge_new(&g, r, "h_sum", "G."), BELFRY_OK); /* the names are free */
    assert_int_equal(belfry_unregister(r, "h_sum"), BELFRY_OK);
    assert_int_equal(belfry_histogram_new(&h2, r, "h", "H.", NULL, 0), BELFRY_OK);
    assert_ptr_not_equal(h, h2);
    for (int i = 0; i < 500; i++) { /* names that come and go leave no trace */
        char name[16];
        snprintf(name, sizeof(name), "g%d", i);
        assert_int_equal(belfry_gauge_new(&g, r, name, "G."), BELFRY_OK);
        if (i % 7)
            assert_int_equal(belfry_unregister(r, name), BELFRY_OK);
    }
    for (int i = 0; i < 500; i++) {
        char name[16];
        snprintf(name, sizeof(name), "g%d", i);
        assert_int_equal(belfry_gauge_new(&g, r, name, "G."),
                         i % 7 ? BELFRY_OK : BELFRY_ERROR_EXISTS);
    }
    belfry_registry_free(r);
}

static void children_are_removed_and_begin_again(void **state)
{
    static const char *const names[] = {"n"};
    belfry_registry *r = belfry_registry_new();
    belfry_counter_family *f;
    assert_int_equal(belfry_counter_family_new(&f, r, "f_total", "F.", names, 1), BELFRY_OK);
    belfry_counter *a = belfry_counter_family_with(f, (const char *const[]){"a"});
    belfry_counter *b = belfry_counter_family_with(f, (const char *const[]){"b"});
    belfry_counter_add(a, 7);
    belfry_counter_add(b, 8);
    assert_int_equal(belfry_counter_family_remove(f, (const char *const[]){"a"}), BELFRY_OK);
    assert_int_equal(belfry_counter_family_remove(f, (const char *const[]){"a"}),
                     BELFRY_ERROR_NOT_FOUND);
    belfry_counter_inc(a); /* valid, and shown nowhere */
    assert_true(belfry_counter_value(a) == 8);
    assert_written(r, BELFRY_FORMAT_TEXT,
                   "# HELP f_total F.\n# TYPE f_total counter\nf_total{n=\"b\"} 8\n");
    belfry_counter *again = belfry_counter_family_with(f, (const char *const[]){"a"});
    assert_ptr_not_equal(again, a);
    assert_true(belfry_counter_value(again) == 0);
    assert_int_equal(belfry_counter_family_clear(f), BELFRY_OK);
    assert_written(r, BELFRY_FORMAT_TEXT, "# HELP f_total F.\n# TYPE f_total counter\n");
    for (int i = 0; i < 3000; i++) { /* the table does not fill with what is gone */
        char n[16];
        snprintf(n, sizeof(n), "%d", i);
        const char *const values[] = {n};
        belfry_counter *c = belfry_counter_family_with(f, values);
        assert_non_null(c);
        assert_ptr_equal(belfry_counter_family_with(f, values), c);
        assert_int_equal(belfry_counter_family_remove(f, values), BELFRY_OK);
    }
    belfry_registry_free(r);
}

static void what_was_removed_can_be_freed(void **state)
{
    static const char *const names[] = {"n"};
    belfry_registry *r = belfry_registry_new();
    belfry_histogram_family *f;
    belfry_gauge *g;
    belfry_histogram_options native = {.native_factor = 1.1};
    assert_int_equal(belfry_reclaim(r), BELFRY_OK);
    assert_int_equal(belfry_histogram_family_new_with(&f, r, "f", "F.", names, 1, &native),
                     BELFRY_OK);
    for (int i = 0; i < 2000; i++) {
        char n[16];
        snprintf(n, sizeof(n), "%d", i);
        const char *const values[] = {n};
        belfry_histogram *h = belfry_histogram_family_with(f, values);
        assert_int_equal(belfry_histogram_observe(h, i), BELFRY_OK);
        if (i % 10)
            assert_int_equal(belfry_histogram_family_remove(f, values), BELFRY_OK);
        assert_int_equal(belfry_gauge_new(&g, r, n, "G."), BELFRY_OK);
        assert_int_equal(belfry_unregister(r, n), BELFRY_OK);
        if (i % 100 == 0) {
            assert_has(r, BELFRY_FORMAT_TEXT, "f_count{n=\"0\"} 1\n", true);
            assert_int_equal(belfry_reclaim(r), BELFRY_OK);
        }
    }
    belfry_histogram *h = belfry_histogram_family_with(f, (const char *const[]){"10"});
    assert_int_equal(belfry_histogram_count(h), 1); /* what was not removed is untouched */
    assert_has(r, BELFRY_FORMAT_TEXT, "f_count{n=\"1990\"} 1\n", true);
    belfry_registry_free(r);
}

/* Reclaims while it is written to. */
static bool reclaim_meanwhile(void *arg, const char *bytes, size_t len)
{
    (void)bytes;
    (void)len;
    assert_int_equal(belfry_reclaim(arg), BELFRY_ERROR_USED);
    assert_string_equal(belfry_last_error(), "nothing was freed: the registry is being written");
    return true;
}

static void nothing_is_freed_while_a_registry_is_written(void **state)
{
    belfry_registry *r = belfry_registry_new();
    belfry_gauge *g;
    assert_int_equal(belfry_gauge_new(&g, r, "g", "G."), BELFRY_OK);
    assert_int_equal(belfry_registry_write_text(r, reclaim_meanwhile, r), BELFRY_OK);
    assert_int_equal(belfry_reclaim(r), BELFRY_OK);
    belfry_registry_free(r);
}

static void the_number_of_children_can_be_set(void **state)
{
    static const char *const names[] = {"n"};
    belfry_registry *r = belfry_registry_new();
    belfry_gauge_family *f;
    assert_int_equal(belfry_gauge_family_new(&f, r, "f", "F.", names, 1), BELFRY_OK);
    assert_int_equal(belfry_set_children_max(r, "f", 2), BELFRY_OK);
    belfry_gauge *a = belfry_gauge_family_with(f, (const char *const[]){"a"});
    belfry_gauge_family_with(f, (const char *const[]){"b"});
    assert_has(r, BELFRY_FORMAT_TEXT, "belfry_children_overflow_total", false);
    belfry_gauge *o = belfry_gauge_family_with(f, (const char *const[]){"c"});
    assert_ptr_equal(o, belfry_gauge_family_with(f, (const char *const[]){"d"}));
    assert_ptr_equal(a, belfry_gauge_family_with(f, (const char *const[]){"a"}));
    assert_has(r, BELFRY_FORMAT_TEXT, "f{n=\"overflow\"} 0\n", true);
    assert_has(r, BELFRY_FORMAT_TEXT, "belfry_children_overflow_total{family=\"f\"} 2\n", true);
    assert_int_equal(belfry_gauge_family_remove(f, (const char *const[]){"a"}), BELFRY_OK);
    assert_ptr_not_equal(o,
                         belfry_gauge_family_with(f, (const char *const[]){"c"})); /* room again */
    belfry_registry_free(r);
}

static void an_adopted_overflow_child_is_not_counted_twice(void **state)
{
    belfry_registry *r = belfry_registry_new();
    belfry_gauge_family *f;
    assert_int_equal(belfry_gauge_family_new(&f, r, "f", "F.", (const char *const[]){"n"}, 1),
                     BELFRY_OK);
    assert_int_equal(belfry_set_children_max(r, "f", 2), BELFRY_OK);
    belfry_gauge *a = belfry_gauge_family_with(f, (const char *const[]){"a"});
    belfry_gauge *o = belfry_gauge_family_with(f, (const char *const[]){"overflow"});
    assert_ptr_equal(o, belfry_gauge_family_with(f, (const char *const[]){"b"})); /* too many */
    assert_int_equal(belfry_gauge_family_clear(f), BELFRY_OK);
    assert_int_equal(((struct family *)f)->shown_count, 0);
    assert_ptr_not_equal(a, belfry_gauge_family_with(f, (const char *const[]){"a"}));
    assert_ptr_not_equal(o, belfry_gauge_family_with(f, (const char *const[]){"b"}));
    belfry_registry_free(r);
}

static void an_info_with_other_values_changes_nothing(void **state)
{
    belfry_registry *r = belfry_registry_new();
    assert_int_equal(belfry_info_new(r, "app_info", "A.", &(belfry_label){"version", "1"}, 1),
                     BELFRY_OK);
    assert_int_equal(belfry_info_new(r, "app_info", "A.", &(belfry_label){"version", "2"}, 1),
                     BELFRY_ERROR_EXISTS);
    assert_written(r, BELFRY_FORMAT_TEXT,
                   "# HELP app_info A.\n# TYPE app_info gauge\napp_info{version=\"1\"} 1\n");
    belfry_registry_free(r);
}

static bool set_labels_while_written(void *arg, const char *bytes, size_t len)
{
    (void)bytes;
    (void)len;
    assert_int_equal(belfry_registry_set_labels(arg, &(belfry_label){"a", "b"}, 1),
                     BELFRY_ERROR_USED);
    assert_int_equal(belfry_registry_set_prefix(arg, "p_"), BELFRY_ERROR_USED);
    return true;
}

static void labels_do_not_change_while_they_are_read(void **state)
{
    belfry_registry *r = belfry_registry_new();
    belfry_exposition how = {.format = BELFRY_FORMAT_OPENMETRICS};
    r->registering_count++; /* another thread is at it */
    set_labels_while_written(r, NULL, 0);
    r->registering_count--;
    assert_int_equal(belfry_registry_write(r, &how, set_labels_while_written, r), BELFRY_OK);
    belfry_counter *c;
    assert_int_equal(belfry_counter_new(&c, r, "", "C."), BELFRY_ERROR_NAME);
    assert_int_equal(r->registering_count, 0);
    assert_int_equal(belfry_registry_set_prefix(r, "p_"), BELFRY_OK);
    belfry_registry_free(r);
}

static void a_counter_takes_no_number_that_makes_it_fall(void **state)
{
    belfry_registry *r = belfry_registry_new();
    belfry_counter *c;
    assert_int_equal(belfry_counter_new(&c, r, "c", "C."), BELFRY_OK);
    assert_int_equal(belfry_counter_add(c, BELFRY_COUNTER_ADD_MAX), BELFRY_OK);
    assert_int_equal(belfry_counter_add(c, BELFRY_COUNTER_ADD_MAX + 1), BELFRY_ERROR_VALUE);
    assert_string_equal(belfry_last_error(),
                        "counter \"c\" cannot have 9007199254740993 added: at most 2^53 at once");
    assert_int_equal(belfry_counter_add(c, UINT64_MAX), BELFRY_ERROR_VALUE);
    assert_true(belfry_counter_value(c) == 0x1p53);
    belfry_registry_free(r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_growth_factor_gives_the_schema),
        cmocka_unit_test(keys_agree_with_their_bounds),
        cmocka_unit_test(native_buckets_hold_what_was_observed),
        cmocka_unit_test(both_kinds_of_buckets_agree),
        cmocka_unit_test(resolution_halves_when_buckets_are_too_many),
        cmocka_unit_test(the_coarsest_schema_takes_all),
        cmocka_unit_test(zero_widens_before_resolution_halves),
        cmocka_unit_test(a_native_histogram_begins_anew_when_it_may),
        cmocka_unit_test(what_a_native_histogram_left_is_freed),
        cmocka_unit_test(quantiles_are_close_to_the_ranked_value),
        cmocka_unit_test(quantiles_of_the_largest_numbers_are_no_less),
        cmocka_unit_test(a_summary_forgets_what_is_old),
        cmocka_unit_test(infos_and_state_sets_are_gauges_in_text),
        cmocka_unit_test(exemplars_stand_behind_counters_and_buckets),
        cmocka_unit_test(the_current_request_is_the_exemplar),
        cmocka_unit_test(openmetrics_shows_created_and_units_when_asked),
        cmocka_unit_test(a_registry_adds_prefix_and_labels),
        cmocka_unit_test(what_is_unregistered_is_shown_no_more),
        cmocka_unit_test(children_are_removed_and_begin_again),
        cmocka_unit_test(what_was_removed_can_be_freed),
        cmocka_unit_test(nothing_is_freed_while_a_registry_is_written),
        cmocka_unit_test(the_number_of_children_can_be_set),
        cmocka_unit_test(an_adopted_overflow_child_is_not_counted_twice),
        cmocka_unit_test(an_info_with_other_values_changes_nothing),
        cmocka_unit_test(labels_do_not_change_while_they_are_read),
        cmocka_unit_test(a_counter_takes_no_number_that_makes_it_fall),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
