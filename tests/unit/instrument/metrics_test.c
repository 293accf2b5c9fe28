/* SPDX-License-Identifier: Apache-2.0 */
/* Metrics through the public header: what is counted is what is shown. */
#include <belfry/exposition.h>

#include <locale.h>
#include <math.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static void assert_text(belfry_registry *r, const char *expected)
{
    char *text;
    size_t len;
    assert_int_equal(belfry_registry_text(r, &text, &len), BELFRY_OK);
    assert_int_equal(strlen(text), len);
    assert_string_equal(text, expected);
    belfry_text_free(text);
}

static double read_seven(void *arg)
{
    return *(double *)arg;
}

static void registry_shows_families_by_name(void **state)
{
    belfry_registry *r = belfry_registry_new();
    belfry_counter *c;
    belfry_gauge *g;
    double seven = 7.25;
    assert_int_equal(belfry_gauge_new(&g, r, "b_gauge", "Line one\nand \\ two \"quoted\"."),
                     BELFRY_OK);
    assert_int_equal(belfry_counter_new(&c, r, "a_total", "A."), BELFRY_OK);
    assert_int_equal(belfry_gauge_func_new(r, "c_now", "C.", read_seven, &seven), BELFRY_OK);
    assert_int_equal(belfry_counter_func_new(r, "d_total", NULL, read_seven, &seven), BELFRY_OK);
    belfry_counter_inc(c);
    belfry_counter_add(c, 41);
    belfry_counter_add_double(c, 0.5);
    belfry_counter_add_double(c, -1);
    belfry_counter_add_double(c, NAN);
    belfry_counter_add_double(c, INFINITY);
    belfry_gauge_set(g, 10);
    belfry_gauge_add(g, -2.5);
    belfry_gauge_inc(g);
    belfry_gauge_dec(g);
    assert_true(belfry_counter_value(c) == 42.5 && belfry_gauge_value(g) == 7.5);
    assert_text(
        r, "# HELP a_total A.\n# TYPE a_total counter\na_total 42.5\n"
           "# HELP b_gauge Line one\\nand \\\\ two \"quoted\".\n# TYPE b_gauge gauge\nb_gauge 7.5\n"
           "# HELP c_now C.\n# TYPE c_now gauge\nc_now 7.25\n"
           "# TYPE d_total counter\nd_total 7.25\n");
    belfry_registry_free(r);
}

static void histogram_counts_into_the_right_bucket(void **state)
{
    static const double bounds[] = {0.1, 1, 2.5, 1000000, INFINITY};
    belfry_registry *r = belfry_registry_new();
    belfry_histogram *h;
    assert_int_equal(belfry_histogram_new(&h, r, "h", "H.", bounds, 5), BELFRY_OK);
    static const double values[] = {0.1, 0.0, -5, 1.0000001, 2.5, 3, 1e9, NAN, 1};
    for (size_t i = 0; i < sizeof(values) / sizeof(values[0]); i++)
        belfry_histogram_observe(h, values[i]);
    assert_int_equal(belfry_histogram_count(h), 8);
    assert_text(r, "# HELP h H.\n# TYPE h histogram\n"
                   "h_bucket{le=\"0.1\"} 3\nh_bucket{le=\"1\"} 4\nh_bucket{le=\"2.5\"} 6\n"
                   "h_bucket{le=\"1000000\"} 7\nh_bucket{le=\"+Inf\"} 8\n"
                   "h_sum 1000000002.6000001\nh_count 8\n");
    belfry_registry_free(r);
}

/* For every number of bounds, each bound and its neighbours against a plain search. */
static void histogram_agrees_with_a_plain_search(void **state)
{
    for (size_t n = 1; n <= 40; n++) {
        double bounds[40];
        belfry_buckets_linear(bounds, n, 1, 1);
        belfry_registry *r = belfry_registry_new();
        belfry_histogram *h;
        assert_int_equal(belfry_histogram_new(&h, r, "h", "H.", bounds, n), BELFRY_OK);
        unsigned expected[42] = {0};
        for (double v = 0; v < (double)n + 2; v += 0.25) {
            size_t b = 0;
            while (b < n && bounds[b] < v)
                b++;
            expected[b]++;
            belfry_histogram_observe(h, v);
        }
        char *text, line[64];
        size_t len;
        unsigned count = 0;
        assert_int_equal(belfry_registry_text(r, &text, &len), BELFRY_OK);
        for (size_t b = 0; b < n; b++) {
            count += expected[b];
            snprintf(line, sizeof(line), "h_bucket{le=\"%zu\"} %u\n", b + 1, count);
            assert_non_null(strstr(text, line));
        }
        belfry_text_free(text);
        belfry_registry_free(r);
    }
}

static bool append_text(void *arg, const char *bytes, size_t len)
{
    char *text = arg;
    strncat(text, bytes, len);
    return true;
}

static void collect_odd(void *arg, belfry_emitter *e)
{
    (void)arg;
    belfry_emit(e, "depth", "Beside depth_total.", BELFRY_GAUGE, 2);
    belfry_emit(e, "depth_total", "", BELFRY_COUNTER, 3);
    belfry_emit(e, "odd", "Say \"it\".", BELFRY_UNTYPED, 4);
    belfry_emit(e, "plain_counter", "", BELFRY_COUNTER, 5);
}

/* The heads of families differ from text, and the end is told. */
static void openmetrics_names_families_without_total(void **state)
{
    (void)state;
    char text[4096] = "";
    const double bounds[] = {0.5};
    belfry_registry *r = belfry_registry_new();
    belfry_counter *c;
    belfry_histogram *h;
    assert_int_equal(belfry_counter_new(&c, r, "requests_total", "R."), BELFRY_OK);
    assert_int_equal(belfry_histogram_new(&h, r, "h", "H.", bounds, 1), BELFRY_OK);
    assert_int_equal(belfry_collector_new(r, collect_odd, NULL, NULL), BELFRY_OK);
    belfry_counter_add(c, 7);
    belfry_histogram_observe(h, 1);
    belfry_exposition how = {.format = BELFRY_FORMAT_OPENMETRICS};
    assert_int_equal(belfry_registry_write(r, &how, append_text, text), BELFRY_OK);
    assert_string_equal(text, "# HELP depth Beside depth_total.\n# TYPE depth gauge\ndepth 2\n"
                              "# TYPE depth_total unknown\ndepth_total 3\n"
                              "# HELP h H.\n# TYPE h histogram\nh_bucket{le=\"0.5\"} 0\n"
                              "h_bucket{le=\"+Inf\"} 1\nh_sum 1\nh_count 1\n"
                              "# HELP odd Say \\\"it\\\".\n# TYPE odd unknown\nodd 4\n"
                              "# TYPE plain_counter unknown\nplain_counter 5\n"
                              "# HELP requests R.\n# TYPE requests counter\nrequests_total 7\n"
                              "# EOF\n");
    belfry_registry_free(r);
}

static void families_keep_one_child_per_values(void **state)
{
    static const char *const names[] = {"path", "code"};
    belfry_registry *r = belfry_registry_new();
    belfry_counter_family *f;
    assert_int_equal(belfry_counter_family_new(&f, r, "requests_total", "R.", names, 2), BELFRY_OK);
    belfry_counter *b = belfry_counter_family_with(f, (const char *const[]){"/b", "200"});
    belfry_counter *a = belfry_counter_family_with(f, (const char *const[]){"/a\"\\\n", "200"});
    assert_ptr_equal(b, belfry_counter_family_with(f, (const char *const[]){"/b", "200"}));
    assert_ptr_not_equal(a, b);
    /* the same characters, parted otherwise */
    belfry_counter *c = belfry_counter_family_with(f, (const char *const[]){"/b2", "00"});
    assert_ptr_not_equal(b, c);
    belfry_counter_add(a, 1);
    belfry_counter_add(b, 2);
    assert_text(r, "# HELP requests_total R.\n# TYPE requests_total counter\n"
                   "requests_total{path=\"/a\\\"\\\\\\n\",code=\"200\"} 1\n"
                   "requests_total{path=\"/b\",code=\"200\"} 2\n"
                   "requests_total{path=\"/b2\",code=\"00\"} 0\n");
    belfry_registry_free(r);
}

static void families_of_histograms_and_gauges_have_labels_too(void **state)
{
    static const char *const names[] = {"op"};
    static const double bounds[] = {1};
    belfry_registry *r = belfry_registry_new();
    belfry_histogram_family *hf;
    belfry_gauge_family *gf;
    assert_int_equal(belfry_histogram_family_new(&hf, r, "h_seconds", "H.", names, 1, bounds, 1),
                     BELFRY_OK);
    assert_int_equal(belfry_gauge_family_new(&gf, r, "g", "G.", names, 1), BELFRY_OK);
    belfry_histogram_observe(belfry_histogram_family_with(hf, (const char *const[]){"read"}), 0.5);
    belfry_gauge_set(belfry_gauge_family_with(gf, (const char *const[]){"x"}), 1e300);
    assert_text(
        r, "# HELP g G.\n# TYPE g gauge\ng{op=\"x\"} 1e+300\n"
           "# HELP h_seconds H.\n# TYPE h_seconds histogram\n"
           "h_seconds_bucket{op=\"read\",le=\"1\"} 1\nh_seconds_bucket{op=\"read\",le=\"+Inf\"} 1\n"
           "h_seconds_sum{op=\"read\"} 0.5\nh_seconds_count{op=\"read\"} 1\n");
    belfry_registry_free(r);
}

static void too_many_children_fold_into_overflow(void **state)
{
    static const char *const names[] = {"user"};
    belfry_registry *r = belfry_registry_new();
    belfry_counter_family *f;
    assert_int_equal(belfry_counter_family_new(&f, r, "c_total", "C.", names, 1), BELFRY_OK);
    for (int i = 0; i < BELFRY_CHILDREN_MAX + 50; i++) {
        char user[16];
        snprintf(user, sizeof(user), "u%d", i);
        belfry_counter_inc(belfry_counter_family_with(f, (const char *const[]){user}));
    }
    char *text;
    size_t len;
    assert_int_equal(belfry_registry_text(r, &text, &len), BELFRY_OK);
    assert_non_null(strstr(text, "c_total{user=\"overflow\"} 50\n"));
    assert_non_null(strstr(text, "c_total{user=\"u9999\"} 1\n"));
    assert_null(strstr(text, "\"u10000\""));
    assert_non_null(strstr(text, "belfry_children_overflow_total{family=\"c_total\"} 50\n"));
    belfry_text_free(text);
    belfry_registry_free(r);
}

static void collect(void *arg, belfry_emitter *e)
{
    belfry_emit_sample(e, NULL, NULL, 0, 1); /* belongs to no family */
    belfry_emit_family(e, "z_info", "Z.", BELFRY_GAUGE);
    belfry_emit_sample(e, NULL, (const belfry_label[]){{"a", "\"1\""}, {"b", NULL}}, 2, 1);
    belfry_emit_sample(e, NULL, (const belfry_label[]){{"__bad", "x"}}, 1, 1);
    belfry_emit(e, "m_total", "M.", BELFRY_COUNTER, 3);
    belfry_emit_family(e, "not\xffvalid", "N.", BELFRY_GAUGE);
    belfry_emit_sample(e, NULL, NULL, 0, 1);
    belfry_emit_family(e, "s", "S.", BELFRY_SUMMARY);
    belfry_emit_sample(e, NULL, (const belfry_label[]){{"quantile", "0.5"}}, 1, NAN);
    belfry_emit_sample(e, "_sum", NULL, 0, -INFINITY);
    belfry_emit_family(e, "z_info", "again", BELFRY_GAUGE);
    belfry_emit_sample(e, NULL, (const belfry_label[]){{"a", "2"}}, 1, 1);
}

static void release(void *arg)
{
    ++*(int *)arg;
}

static void collectors_are_asked_at_each_exposition(void **state)
{
    int released = 0;
    belfry_registry *r = belfry_registry_new();
    belfry_counter *c;
    assert_int_equal(belfry_counter_new(&c, r, "n_total", "N."), BELFRY_OK);
    assert_int_equal(belfry_collector_new(r, collect, &released, release), BELFRY_OK);
    assert_text(r, "# HELP m_total M.\n# TYPE m_total counter\nm_total 3\n"
                   "# HELP n_total N.\n# TYPE n_total counter\nn_total 0\n"
                   "# HELP s S.\n# TYPE s summary\ns{quantile=\"0.5\"} NaN\ns_sum -Inf\n"
                   "# HELP z_info Z.\n# TYPE z_info gauge\nz_info{a=\"\\\"1\\\"\",b=\"\"} "
                   "1\nz_info{a=\"2\"} 1\n");
    belfry_registry_free(r);
    assert_int_equal(released, 1);
    assert_int_equal(belfry_collector_new(NULL, NULL, &released, release), BELFRY_ERROR_FORMAT);
    assert_int_equal(released, 2);
}

static bool refuse_second(void *arg, const char *bytes, size_t len)
{
    return ++*(int *)arg < 2;
}

static void writing_stops_when_the_callback_says_so(void **state)
{
    static const char *const names[] = {"n"};
    belfry_registry *r = belfry_registry_new();
    belfry_counter_family *f;
    assert_int_equal(belfry_counter_family_new(&f, r, "c_total", "C.", names, 1), BELFRY_OK);
    for (int i = 0; i < 5000; i++) {
        char n[16];
        snprintf(n, sizeof(n), "%d", i);
        assert_non_null(belfry_counter_family_with(f, (const char *const[]){n}));
    }
    int calls = 0;
    assert_int_equal(belfry_registry_write_text(r, refuse_second, &calls), BELFRY_ERROR_WRITE);
    assert_int_equal(calls, 2);
    belfry_registry_free(r);
}

static const struct {
    double v;
    const char *text;
} NUMBERS[] = {
    {0, "0"},
    {-0.0, "-0"},
    {1, "1"},
    {-17, "-17"},
    {0.1, "0.1"},
    {-2.5, "-2.5"},
    {1e15, "1000000000000000"},
    {9007199254740991.0, "9007199254740991"},
    {1e16, "1e+16"},
    {1e300, "1e+300"},
    {1e-7, "1e-07"},
    {1.0 / 3, "0.3333333333333333"},
    {0.1 + 0.2, "0.30000000000000004"},
    {123456789.123, "123456789.123"},
    {1700000000.123456, "1700000000.123456"},
    {5e-324, "5e-324"},
    {0.000001, "0.000001"},
    {1.7976931348623157e308, "1.7976931348623157e+308"},
};

/* Also where the host has a decimal comma. */
static void numbers_are_short_and_read_back(void **state)
{
    belfry_registry *r = belfry_registry_new();
    belfry_gauge *g;
    assert_int_equal(belfry_gauge_new(&g, r, "g", NULL), BELFRY_OK);
    for (size_t i = 0; i < 2 * sizeof(NUMBERS) / sizeof(NUMBERS[0]); i++) {
        size_t n = i % (sizeof(NUMBERS) / sizeof(NUMBERS[0]));
        char expected[128];
        if (n == 0 && i > 0 && !setlocale(LC_ALL, "de_DE.UTF-8"))
            break;
        belfry_gauge_set(g, NUMBERS[n].v);
        snprintf(expected, sizeof(expected), "# TYPE g gauge\ng %s\n", NUMBERS[n].text);
        assert_text(r, expected);
    }
    setlocale(LC_ALL, "C");
    srand(7);
    for (int i = 0; i < 20000; i++) {
        double v = (double)rand() * (double)rand() / pow(10, rand() % 25) * (rand() % 2 ? 1 : -1);
        char *text;
        size_t len;
        belfry_gauge_set(g, v);
        assert_int_equal(belfry_registry_text(r, &text, &len), BELFRY_OK);
        double back = 0;
        assert_int_equal(sscanf(strstr(text, "\ng ") + 3, "%lf", &back), 1);
        assert_true(back == v);
        belfry_text_free(text);
    }
    belfry_registry_free(r);
}

enum { THREAD_COUNT = 4, UPDATE_COUNT = 20000 };

struct shared {
    belfry_registry *registry;
    belfry_counter *counter;
    belfry_gauge *gauge;
    belfry_histogram *histogram;
    belfry_counter_family *family;
};

static void *update(void *arg)
{
    struct shared *s = arg;
    for (int i = 0; i < UPDATE_COUNT; i++) {
        belfry_counter_inc(s->counter);
        belfry_counter_add_double(s->counter, 0.5);
        belfry_gauge_inc(s->gauge);
        belfry_histogram_observe(s->histogram, i % 3);
        if (i % 100 == 0) {
            char n[16];
            snprintf(n, sizeof(n), "%d", i);
            belfry_counter_inc(belfry_counter_family_with(s->family, (const char *const[]){n}));
        }
    }
    return NULL;
}

static bool swallow(void *arg, const char *bytes, size_t len)
{
    return true;
}

static void *expose(void *arg)
{
    struct shared *s = arg;
    double last = 0;
    for (int i = 0; i < 50; i++) {
        assert_int_equal(belfry_registry_write_text(s->registry, swallow, NULL), BELFRY_OK);
        double now = belfry_counter_value(s->counter);
        assert_true(now >= last);
        last = now;
    }
    return NULL;
}

/* Nothing is lost, though threads come and go and others look on; run under ThreadSanitizer too. */
static void updates_of_many_threads_add_up(void **state)
{
    static const char *const names[] = {"n"};
    struct shared s = {.registry = belfry_registry_new()};
    assert_int_equal(belfry_counter_new(&s.counter, s.registry, "c_total", "C."), BELFRY_OK);
    assert_int_equal(belfry_gauge_new(&s.gauge, s.registry, "g", "G."), BELFRY_OK);
    assert_int_equal(belfry_histogram_new(&s.histogram, s.registry, "h", "H.", NULL, 0), BELFRY_OK);
    assert_int_equal(belfry_counter_family_new(&s.family, s.registry, "f_total", "F.", names, 1),
                     BELFRY_OK);
    for (int round = 0; round < 3; round++) {
        pthread_t threads[THREAD_COUNT], looker;
        assert_int_equal(pthread_create(&looker, NULL, expose, &s), 0);
        for (int i = 0; i < THREAD_COUNT; i++)
            assert_int_equal(pthread_create(&threads[i], NULL, update, &s), 0);
        for (int i = 0; i < THREAD_COUNT; i++)
            pthread_join(threads[i], NULL);
        pthread_join(looker, NULL);
    }
    double all = 3.0 * THREAD_COUNT * UPDATE_COUNT;
    assert_true(belfry_counter_value(s.counter) == all * 1.5);
    assert_true(belfry_gauge_value(s.gauge) == all);
    assert_true((double)belfry_histogram_count(s.histogram) == all);
    assert_true(belfry_counter_value(
                    belfry_counter_family_with(s.family, (const char *const[]){"0"})) == 12);
    belfry_registry_free(s.registry);
    assert_int_equal(belfry_updates_lost(), 0);
}

/* Cells of a freed registry begin at zero for the next. */
static void freed_cells_are_used_again_from_zero(void **state)
{
    for (int i = 0; i < 5000; i++) {
        belfry_registry *r = belfry_registry_new();
        belfry_histogram *h;
        belfry_counter *c;
        assert_int_equal(belfry_histogram_new(&h, r, "h", "H.", NULL, 0), BELFRY_OK);
        assert_int_equal(belfry_counter_new(&c, r, "c_total", "C."), BELFRY_OK);
        for (int k = 0; k < 500 && i == 0; k++)
            belfry_histogram_observe(h, k);
        belfry_histogram_observe(h, 1);
        belfry_counter_inc(c);
        assert_int_equal(belfry_histogram_count(h), i == 0 ? 501 : 1);
        assert_true(belfry_counter_value(c) == 1);
        belfry_registry_free(r);
    }
}

static void the_default_registry_is_the_process_own(void **state)
{
    belfry_counter *c;
    assert_non_null(belfry_registry_default());
    assert_int_equal(belfry_counter_new(&c, NULL, "default_total", "D."), BELFRY_OK);
    assert_int_equal(belfry_counter_new(&c, belfry_registry_default(), "default_total", "D."),
                     BELFRY_ERROR_EXISTS);
    belfry_registry_free(belfry_registry_default());
    assert_text(NULL, "# HELP default_total D.\n# TYPE default_total counter\ndefault_total 0\n");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(registry_shows_families_by_name),
        cmocka_unit_test(histogram_counts_into_the_right_bucket),
        cmocka_unit_test(histogram_agrees_with_a_plain_search),
        cmocka_unit_test(families_keep_one_child_per_values),
        cmocka_unit_test(openmetrics_names_families_without_total),
        cmocka_unit_test(families_of_histograms_and_gauges_have_labels_too),
        cmocka_unit_test(too_many_children_fold_into_overflow),
        cmocka_unit_test(collectors_are_asked_at_each_exposition),
        cmocka_unit_test(writing_stops_when_the_callback_says_so),
        cmocka_unit_test(numbers_are_short_and_read_back),
        cmocka_unit_test(updates_of_many_threads_add_up),
        cmocka_unit_test(freed_cells_are_used_again_from_zero),
        cmocka_unit_test(the_default_registry_is_the_process_own),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
