/* SPDX-License-Identifier: Apache-2.0 */
/* What is wrong is refused with a status and a sentence, and changes nothing. */
#include <belfry/metrics.h>

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define LONG_NAME_64 "abcdefghabcdefghabcdefghabcdefghabcdefghabcdefghabcdefghabcdefgh"
#define LONG_NAME_512                                                                              \
    LONG_NAME_64 LONG_NAME_64 LONG_NAME_64 LONG_NAME_64 LONG_NAME_64 LONG_NAME_64 LONG_NAME_64     \
        LONG_NAME_64

/* The text of a registry, to see that it is the same afterwards; belfry_text_free() it. */
static char *text_of(belfry_registry *r)
{
    char *text;
    size_t len;
    assert_int_equal(belfry_registry_text(r, &text, &len), BELFRY_OK);
    return text;
}

static void assert_unchanged(belfry_registry *r, char *before)
{
    char *after = text_of(r);
    assert_string_equal(before, after);
    belfry_text_free(before);
    belfry_text_free(after);
}

#define assert_refused(call, expected_status, sentence)                                            \
    do {                                                                                           \
        char *before_ = text_of(r);                                                                \
        assert_int_equal((call), (expected_status));                                               \
        assert_string_equal(belfry_last_error(), (sentence));                                      \
        assert_unchanged(r, before_);                                                              \
    } while (0)

static const struct {
    const char *name;
    belfry_status status;
    const char *error;
} NAMES[] = {
    {NULL, BELFRY_ERROR_NULL, "metric: the name is NULL"},
    {"", BELFRY_ERROR_NAME, "metric: the name is empty"},
    {"a\xff", BELFRY_ERROR_NAME, "metric: name \"a\" is not UTF-8 after that"},
    {LONG_NAME_512 "x", BELFRY_ERROR_NAME,
     "metric: name \"abcdefghabcdefghabcdefghabcdefghabcdefgh...\" is longer than 512 bytes"},
    {LONG_NAME_512, BELFRY_OK, NULL},
    {"http.server.duration", BELFRY_OK, NULL},
    {"1st", BELFRY_OK, NULL},
    {"\xc3\xa9t\xc3\xa9", BELFRY_OK, NULL},
};

static void names_are_those_of_prometheus(void **state)
{
    belfry_registry *r = belfry_registry_new();
    for (size_t i = 0; i < sizeof(NAMES) / sizeof(NAMES[0]); i++) {
        belfry_counter *c = (belfry_counter *)state;
        if (NAMES[i].error)
            assert_refused(belfry_counter_new(&c, r, NAMES[i].name, "x"), NAMES[i].status,
                           NAMES[i].error);
        else
            assert_int_equal(belfry_counter_new(&c, r, NAMES[i].name, "x"), BELFRY_OK);
        assert_int_equal(c == NULL, NAMES[i].error != NULL);
    }
    belfry_registry_free(r);
}

static void a_name_is_registered_once(void **state)
{
    static const char *const one[] = {"a"}, *const other[] = {"b"};
    static const double bounds[] = {1, 2};
    belfry_registry *r = belfry_registry_new();
    belfry_counter *c, *again;
    belfry_gauge *g;
    belfry_histogram *h, *h2;
    belfry_counter_family *f, *f2;
    assert_int_equal(belfry_counter_new(&c, r, "n_total", "N."), BELFRY_OK);
    assert_int_equal(belfry_histogram_new(&h, r, "h", "H.", bounds, 2), BELFRY_OK);
    assert_int_equal(belfry_counter_family_new(&f, r, "f_total", "F.", one, 1), BELFRY_OK);
    assert_int_equal(belfry_counter_new(&again, r, "x_sum", "X."), BELFRY_OK);

    assert_refused(belfry_counter_new(&again, r, "n_total", "N."), BELFRY_ERROR_EXISTS,
                   "\"n_total\" is registered already, as the same counter");
    assert_ptr_equal(again, c); /* to share it */
    assert_refused(belfry_gauge_new(&g, r, "n_total", "N."), BELFRY_ERROR_EXISTS,
                   "\"n_total\" is registered already, as a counter, not a gauge");
    assert_null(g);
    assert_refused(belfry_histogram_new(&h2, r, "h", "H.", bounds, 1), BELFRY_ERROR_EXISTS,
                   "\"h\" is registered already, with other labels, buckets or functions");
    assert_null(h2);
    assert_refused(belfry_histogram_new(&h2, r, "h", "H.", bounds, 2), BELFRY_ERROR_EXISTS,
                   "\"h\" is registered already, as the same histogram");
    assert_ptr_equal(h2, h);
    assert_refused(belfry_gauge_new(&g, r, "h_count", "N."), BELFRY_ERROR_EXISTS,
                   "gauge \"h_count\" would have samples that the registered histogram \"h\" has");
    assert_refused(belfry_histogram_new(&h2, r, "x", "X.", NULL, 0), BELFRY_ERROR_EXISTS,
                   "histogram \"x\" would have samples that the registered counter \"x_sum\" has");
    assert_refused(belfry_counter_family_new(&f2, r, "f_total", "F.", other, 1),
                   BELFRY_ERROR_EXISTS,
                   "\"f_total\" is registered already, with other labels, buckets or functions");
    assert_null(f2);
    assert_int_equal(belfry_counter_family_new(&f2, r, "f_total", "F.", one, 1),
                     BELFRY_ERROR_EXISTS);
    assert_ptr_equal(f2, f);
    assert_int_equal(belfry_counter_new(&c, r, "h_total", "x"), BELFRY_OK);
    belfry_registry_free(r);
}

static void labels_are_checked(void **state)
{
    static const char *const twice[] = {"a", "a"}, *const le[] = {"le"},
                             *const quantile[] = {"quantile"}, *const reserved[] = {"__x"},
                             *const null[] = {NULL}, *const names[] = {"path", "code"};
    static const char *const seventeen[17] = {"a"};
    static char big[BELFRY_LABEL_VALUE_BYTES_MAX + 2];
    belfry_registry *r = belfry_registry_new();
    belfry_counter_family *f;
    belfry_histogram_family *hf;
    belfry_summary_family *sf;
    assert_refused(belfry_counter_family_new(&f, r, "f", "F.", twice, 2), BELFRY_ERROR_LABELS,
                   "\"f\": label \"a\" is there twice");
    assert_refused(belfry_counter_family_new(&f, r, "f", "F.", NULL, 0), BELFRY_ERROR_LABELS,
                   "\"f\" is a family without labels");
    assert_refused(belfry_counter_family_new(&f, r, "f", "F.", seventeen, 17), BELFRY_ERROR_LABELS,
                   "\"f\" has 17 labels, at most 16 allowed");
    assert_refused(belfry_counter_family_new(&f, r, "f", "F.", reserved, 1), BELFRY_ERROR_NAME,
                   "label of f: name \"__x\" begins with \"__\", which is reserved");
    assert_refused(belfry_counter_family_new(&f, r, "f", "F.", null, 1), BELFRY_ERROR_NULL,
                   "label of f: the name is NULL");
    assert_refused(belfry_histogram_family_new(&hf, r, "f", "F.", le, 1, NULL, 0),
                   BELFRY_ERROR_NAME, "\"f\": a histogram has label \"le\" by itself");
    assert_refused(belfry_summary_family_new(&sf, r, "f", "F.", quantile, 1, NULL),
                   BELFRY_ERROR_NAME, "\"f\": a summary has label \"quantile\" by itself");

    assert_int_equal(belfry_counter_family_new(&f, r, "f", "F.", names, 2), BELFRY_OK);
    memset(big, 'x', sizeof(big) - 1);
    static const struct {
        const char *values[2];
        size_t count;
        const char *error;
    } cases[] = {
        {{"a", "b"}, 1, "\"f\" has 2 labels, but 1 values were given"},
        {{"a", "b"}, 3, "\"f\" has 2 labels, but 3 values were given"},
        {{"a", NULL}, 2, "f: label \"code\" has no value"},
        {{"a\xc3", "b"}, 2, "f: the value of label \"path\" is not UTF-8 at byte 1"},
        {{big, "b"}, 2, "f: the value of label \"path\" is longer than 1024 bytes"},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        char *before = text_of(r);
        assert_null(belfry_counter_family_with_n(f, cases[i].values, cases[i].count));
        assert_string_equal(belfry_last_error(), cases[i].error);
        assert_unchanged(r, before);
    }
    assert_null(belfry_counter_family_with(f, NULL));
    assert_string_equal(belfry_last_error(), "\"f\" has 2 labels, but no values were given");
    assert_non_null(belfry_counter_family_with(f, (const char *const[]){"\"\n\\", ""}));
    assert_refused(belfry_counter_family_remove(f, (const char *const[]){"a", "b"}),
                   BELFRY_ERROR_NOT_FOUND, "\"f\" has no child with these label values");
    belfry_registry_free(r);
}

static void buckets_quantiles_and_states_are_checked(void **state)
{
    static const double falling[] = {2, 1}, twice[] = {1, 1}, nan[] = {1, NAN},
                        only_inf[] = {INFINITY}, too_high[] = {0.5, 1.5};
    static const char *const states[] = {"on", "on"};
    belfry_registry *r = belfry_registry_new();
    belfry_histogram *h;
    belfry_summary *s;
    belfry_stateset *set;
    assert_refused(belfry_histogram_new(&h, r, "h", "H.", falling, 2), BELFRY_ERROR_BUCKETS,
                   "\"h\": bucket bounds must ascend, but 1 follows 2");
    assert_refused(belfry_histogram_new(&h, r, "h", "H.", twice, 2), BELFRY_ERROR_BUCKETS,
                   "\"h\": bucket bounds must ascend, but 1 follows 1");
    assert_refused(belfry_histogram_new(&h, r, "h", "H.", nan, 2), BELFRY_ERROR_BUCKETS,
                   "\"h\": bucket bound 2 is nan");
    assert_refused(belfry_histogram_new(&h, r, "h", "H.", only_inf, 1), BELFRY_ERROR_BUCKETS,
                   "\"h\" has no bucket bounds");
    assert_refused(belfry_histogram_new_with(&h, r, "h", "H.",
                                             &(belfry_histogram_options){.native_factor = 1}),
                   BELFRY_ERROR_BUCKETS, "\"h\": the native factor is 1, not above 1");
    assert_refused(belfry_histogram_new_with(&h, r, "h", "H.",
                                             &(belfry_histogram_options){
                                                 .native_factor = 1.1, .native_buckets_max = 5000}),
                   BELFRY_ERROR_BUCKETS,
                   "\"h\" has up to 5000 native buckets, at most 4096 allowed");
    assert_refused(belfry_histogram_new_with(&h, r, "h", "H.",
                                             &(belfry_histogram_options){.reserved = {0, 1}}),
                   BELFRY_ERROR_FORMAT, "\"h\": a reserved option is not 0");
    assert_refused(
        belfry_summary_new(&s, r, "s", "S.",
                           &(belfry_summary_options){.quantiles = too_high, .quantile_count = 2}),
        BELFRY_ERROR_BUCKETS, "\"s\": quantile 1.5 is not within 0 to 1, ascending");
    assert_refused(belfry_stateset_new(&set, r, "t", "T.", states, 2), BELFRY_ERROR_LABELS,
                   "\"t\" has state \"on\" twice");
    assert_refused(belfry_stateset_new(&set, r, "t", "T.", states, 0), BELFRY_ERROR_LABELS,
                   "\"t\" has 0 states, 1 to 64 allowed");
    assert_refused(belfry_info_new(r, "build", "B.", NULL, 0), BELFRY_ERROR_NAME,
                   "\"build\" is an info: its name must end in \"_info\"");
    assert_refused(belfry_gauge_func_new(r, "f", "F.", NULL, NULL), BELFRY_ERROR_FORMAT,
                   "\"f\" has no function to read");
    assert_refused(belfry_collector_new(r, NULL, NULL, NULL), BELFRY_ERROR_FORMAT,
                   "a collector: there is no function to call");
    belfry_registry_free(r);
}

static void updates_refuse_what_cannot_be_counted(void **state)
{
    static const char *const states[] = {"off", "on"};
    belfry_registry *r = belfry_registry_new();
    belfry_counter *c;
    belfry_histogram *h, *n;
    belfry_summary *s;
    belfry_stateset *set;
    assert_int_equal(belfry_counter_new(&c, r, "c", "C."), BELFRY_OK);
    assert_int_equal(belfry_histogram_new(&h, r, "h", "H.", NULL, 0), BELFRY_OK);
    assert_int_equal(belfry_histogram_new_with(&n, r, "n", "N.",
                                               &(belfry_histogram_options){.native_factor = 2}),
                     BELFRY_OK);
    assert_int_equal(belfry_summary_new(&s, r, "s", "S.", NULL), BELFRY_OK);
    assert_int_equal(belfry_stateset_new(&set, r, "t", "T.", states, 2), BELFRY_OK);
    assert_refused(belfry_counter_add_double(c, -1), BELFRY_ERROR_VALUE,
                   "counter \"c\" cannot have -1 added");
    assert_refused(belfry_counter_add_double(c, INFINITY), BELFRY_ERROR_VALUE,
                   "counter \"c\" cannot have inf added");
    assert_refused(belfry_counter_add_double(c, NAN), BELFRY_ERROR_VALUE,
                   "counter \"c\" cannot have nan added");
    static const double bad[] = {NAN, INFINITY, -INFINITY};
    for (size_t i = 0; i < 3; i++) {
        char sentence[64];
        snprintf(sentence, sizeof(sentence), "histogram \"h\" cannot observe %g", bad[i]);
        assert_refused(belfry_histogram_observe(h, bad[i]), BELFRY_ERROR_VALUE, sentence);
        assert_int_equal(belfry_histogram_observe(n, bad[i]), BELFRY_ERROR_VALUE);
        assert_int_equal(belfry_histogram_count(n), 0);
        snprintf(sentence, sizeof(sentence), "summary \"s\" cannot observe %g", bad[i]);
        assert_refused(belfry_summary_observe(s, bad[i]), BELFRY_ERROR_VALUE, sentence);
    }
    assert_refused(belfry_stateset_set(set, 2, true), BELFRY_ERROR_VALUE,
                   "\"t\" has no state 2: it has 0 to 1");
    assert_refused(belfry_stateset_only(set, SIZE_MAX), BELFRY_ERROR_VALUE,
                   "\"t\" has no state 18446744073709551615: it has 0 to 1");
    static const belfry_label long_label[] = {{LONG_NAME_64, LONG_NAME_64}, {"a", ""}},
                              bad_name[] = {{"__a", "x"}}, twice[] = {{"a", "x"}, {"a", "y"}},
                              no_text[] = {{"a", "\xf0"}};
    assert_refused(belfry_counter_add_exemplar(c, 1, long_label, 2), BELFRY_ERROR_LABELS,
                   "an exemplar's labels have 129 characters, at most 128 allowed");
    assert_refused(belfry_histogram_observe_exemplar(h, 1, bad_name, 1), BELFRY_ERROR_NAME,
                   "label of exemplar: name \"__a\" begins with \"__\", which is reserved");
    assert_refused(belfry_histogram_observe_exemplar(h, 1, twice, 2), BELFRY_ERROR_LABELS,
                   "an exemplar has label \"a\" twice");
    assert_refused(belfry_histogram_observe_exemplar(h, 1, no_text, 1), BELFRY_ERROR_LABELS,
                   "exemplar: the value of label \"a\" is not UTF-8 at byte 0");
    assert_refused(belfry_histogram_observe_exemplar(h, 1, NULL, 1), BELFRY_ERROR_LABELS,
                   "an exemplar has no labels");
    belfry_registry_free(r);
}

static void null_says_so(void **state)
{
    static const char sentence[] = "an argument is NULL: was the metric registered?";
    belfry_registry *r = belfry_registry_new();
    assert_refused(belfry_counter_inc(NULL), BELFRY_ERROR_NULL, sentence);
    assert_refused(belfry_counter_add(NULL, 1), BELFRY_ERROR_NULL, sentence);
    assert_refused(belfry_counter_add_double(NULL, 1), BELFRY_ERROR_NULL, sentence);
    assert_refused(belfry_counter_add_exemplar(NULL, 1, NULL, 0), BELFRY_ERROR_NULL, sentence);
    assert_refused(belfry_gauge_set(NULL, 1), BELFRY_ERROR_NULL, sentence);
    assert_refused(belfry_gauge_inc(NULL), BELFRY_ERROR_NULL, sentence);
    assert_refused(belfry_histogram_observe(NULL, 1), BELFRY_ERROR_NULL, sentence);
    assert_refused(belfry_histogram_observe_exemplar(NULL, 1, NULL, 0), BELFRY_ERROR_NULL,
                   sentence);
    assert_refused(belfry_summary_observe(NULL, 1), BELFRY_ERROR_NULL, sentence);
    assert_refused(belfry_stateset_set(NULL, 0, true), BELFRY_ERROR_NULL, sentence);
    assert_refused(belfry_counter_new(NULL, r, "a", "A."), BELFRY_ERROR_NULL, sentence);
    assert_refused(belfry_counter_family_clear(NULL), BELFRY_ERROR_NULL, sentence);
    assert_refused(belfry_gauge_family_remove(NULL, NULL), BELFRY_ERROR_NULL, sentence);
    assert_refused(belfry_unregister(r, NULL), BELFRY_ERROR_NULL, sentence);
    assert_null(belfry_counter_family_with(NULL, NULL));
    assert_true(belfry_counter_value(NULL) == 0 && belfry_gauge_value(NULL) == 0 &&
                belfry_histogram_count(NULL) == 0 && belfry_histogram_sum(NULL) == 0 &&
                belfry_summary_count(NULL) == 0 && isnan(belfry_summary_quantile(NULL, 0.5)) &&
                !belfry_stateset_holds(NULL, 0));
    belfry_registry_free(r);
    belfry_registry_free(NULL);
}

static void what_is_not_registered_cannot_be_changed(void **state)
{
    static const char *const names[] = {"a"};
    belfry_registry *r = belfry_registry_new();
    belfry_counter_family *f;
    belfry_gauge *g;
    assert_int_equal(belfry_counter_family_new(&f, r, "f_seconds_total", "F.", names, 1),
                     BELFRY_OK);
    assert_int_equal(belfry_gauge_new(&g, r, "free_bytes", "G."), BELFRY_OK);
    assert_refused(belfry_unregister(r, "nothing"), BELFRY_ERROR_NOT_FOUND,
                   "\"nothing\" is not registered");
    assert_refused(belfry_set_unit(r, "nothing", "seconds"), BELFRY_ERROR_NOT_FOUND,
                   "\"nothing\" is not registered");
    assert_refused(belfry_set_unit(r, "free_bytes", "seconds"), BELFRY_ERROR_NAME,
                   "\"free_bytes\" does not end in \"_seconds\", its unit");
    static const char *const states[] = {"on", "off"};
    belfry_stateset *set;
    assert_int_equal(belfry_stateset_new(&set, r, "job_seconds", NULL, states, 2), BELFRY_OK);
    assert_refused(belfry_set_unit(r, "job_seconds", "seconds"), BELFRY_ERROR_NAME,
                   "\"job_seconds\" is an info or a state set: these have no unit");
    assert_int_equal(belfry_set_unit(r, "f_seconds_total", "seconds"), BELFRY_OK);
    assert_refused(belfry_set_unit(r, "f_seconds_total", "seconds"), BELFRY_ERROR_USED,
                   "the unit of \"f_seconds_total\" is set already");
    assert_refused(belfry_set_children_max(r, "f_seconds_total", 0), BELFRY_ERROR_VALUE,
                   "\"f_seconds_total\" cannot have 0 children: 1 to 268435456 may be allowed");
    assert_refused(belfry_registry_set_prefix(r, "x_"), BELFRY_ERROR_USED,
                   "prefix \"x_\" comes too late: the registry has metrics");
    assert_refused(belfry_registry_set_labels(r, &(belfry_label){"a", "b"}, 1), BELFRY_ERROR_USED,
                   "constant labels come too late: the registry has metrics");
    assert_int_equal(belfry_unregister(r, "f_seconds_total"), BELFRY_OK);
    assert_null(belfry_counter_family_with(f, (const char *const[]){"x"}));
    assert_string_equal(belfry_last_error(), "\"f_seconds_total\" is not registered any more");
    assert_string_equal(belfry_status_text(BELFRY_ERROR_EXISTS),
                        "a metric with this name is registered already");
    assert_string_equal(belfry_status_text((belfry_status)99), "unknown status");
    belfry_registry_free(r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(names_are_those_of_prometheus),
        cmocka_unit_test(a_name_is_registered_once),
        cmocka_unit_test(labels_are_checked),
        cmocka_unit_test(buckets_quantiles_and_states_are_checked),
        cmocka_unit_test(updates_refuse_what_cannot_be_counted),
        cmocka_unit_test(null_says_so),
        cmocka_unit_test(what_is_not_registered_cannot_be_changed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
