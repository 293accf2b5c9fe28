/* SPDX-License-Identifier: Apache-2.0 */
/* engine_parallel_test.c: the number of workers shows in nothing, and every limit holds. */
#include "base/assert.h"
#include "base/attributes.h"
#include "base/thread.h"
#include "engine_fixture.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

enum { SERIES = 1500, SAMPLES = 60 };

/* Values that do not add up exactly, so that the order of additions would show. */
static struct memory_source *source_new(void)
{
    struct memory_source *m = memory_source_new();
    for (unsigned i = 0; i < SERIES; i++) {
        char text[128];
        snprintf(text, sizeof text, "x_total{i=\"%u\",m=\"%u\",le=\"%u\"}", i, i % 7, i % 5);
        fixture_add(m, &(struct fixture_series){text, 1000 * (i % 3), 15000, SAMPLES - i % 10,
                                                0.1 * i, 1.0 / (i + 3)});
    }
    return m;
}

static const char *const QUERIES[] = {
    "x_total",
    "sum(x_total)",
    "avg by (m) (rate(x_total[2m]))",
    "stddev by (m) (x_total)",
    "sum without (i) (x_total) / on (m, le) sum by (m, le) (rate(x_total[1m]))",
    "topk by (m) (3, x_total)",
    "bottomk(5, sum by (m, le) (x_total))",
    "quantile by (le) (0.3, x_total)",
    "x_total * on (m) group_left () sum by (m) (x_total)",
    "sum by (m) (x_total * on (i) x_total{i=~\"14..\"})", /* most morsels have no partner */
    "x_total and on (m) (sum by (m) (x_total) > 1000)",
    "x_total{m=\"1\"} or x_total{le=\"2\"}",
    "max_over_time(sum by (m) (rate(x_total[1m]))[3m:30s])",
    "histogram_quantile(0.9, sum by (le) (rate(x_total[2m])))",
    "count_values by (m) (\"v\", round(x_total))",
    "limitk by (m) (2, x_total)",
    "quantile_over_time(0.7, x_total[3m]) - min_over_time(x_total[3m])",
};

static struct pool *pool_of(unsigned workers)
{
    struct pool *pool = NULL;
    struct error err;
    ASSERT(pool_start(&pool, workers, 1000, &err));
    return pool;
}

/* Texts of results hold the shortest digits that read back, so equal texts are equal bits. */
static void results_do_not_depend_on_the_number_of_workers(void **state)
{
    static const unsigned WORKERS[] = {1, 2, 4};
    struct memory_source *m = source_new();
    for (int64_t step = 0; step <= 60; step += 60) {
        for (size_t i = 0; i < ARRAY_COUNT(QUERIES); i++) {
            struct fixture_query q = {
                .source = m, .start_s = 300, .end_s = 900, .step_s = step, .text = QUERIES[i]};
            char *expected = fixture_run_annotated(&q);
            assert_true(strncmp(expected, "error", 5) != 0 && expected[0]);
            for (size_t k = 0; k < ARRAY_COUNT(WORKERS); k++) {
                q.pool = pool_of(WORKERS[k]);
                char *got = fixture_run_annotated(&q);
                assert_string_equal(got, expected);
                free(got);
                pool_stop(q.pool);
            }
            free(expected);
        }
    }
    memory_source_free(m);
}

static void errors_do_not_depend_on_the_number_of_workers(void **state)
{
    static const struct {
        const char *text, *expected;
    } CASES[] = {
        {"-label_replace(x_total, \"i\", \"\", \"\", \"\")",
         "error: vector cannot contain metrics with the same labelset"},
        {"sum by (m) (x_total) * on (m) x_total",
         "error: found duplicate series for the match group {m=\"0\"} on the right hand-side of "
         "the "
         "operation: [{__name__=\"x_total\", i=\"0\", le=\"0\", m=\"0\"}, {__name__=\"x_total\", "
         "i=\"7\", le=\"2\", m=\"0\"}];many-to-many matching not allowed: matching labels must be "
         "unique on one side"},
    };
    struct memory_source *m = source_new();
    for (unsigned workers = 0; workers <= 4; workers += 2) {
        struct pool *pool = workers ? pool_of(workers) : NULL;
        for (size_t i = 0; i < ARRAY_COUNT(CASES); i++) {
            struct fixture_query q = {
                .source = m, .pool = pool, .start_s = 300, .text = CASES[i].text};
            char *got = fixture_run(&q);
            assert_string_equal(got, CASES[i].expected);
            free(got);
        }
        pool_stop(pool);
    }
    memory_source_free(m);
}

static void limits_hold(void **state)
{
    static const char TOO_MANY[] =
        "error: query processing would load too many samples into memory in query execution";
    static const struct {
        const char *text;
        int64_t samples_max;
        size_t memory_max_bytes;
        const char *expected; /* a prefix */
    } CASES[] = {
        {"x_total", SERIES - 1, 0, TOO_MANY},
        {"x_total[5m]", SERIES * 10, 0, TOO_MANY},
        {"sum(x_total)", SERIES + 1000, 0, "{} "},
        {"sum_over_time(x_total[10m])", 10, 0, TOO_MANY},
        {"vector(1)[1h:1s]", 3000, 0, TOO_MANY},
        {"count_over_time(vector(1)[1y:1ms])", 0, 0, TOO_MANY},
        {"x_total", 0, 10000, "error: query needs more memory than it may use"},
        {"x_total + 1", 0, 4 << 20, "{"},
        {"count(label_join(x_total, \"l\", \"\", \"i\", \"m\"))", 0, 100000,
         "error: query needs more memory than it may use"},
    };
    struct memory_source *m = source_new();
    for (size_t i = 0; i < ARRAY_COUNT(CASES); i++) {
        struct fixture_query q = {.source = m,
                                  .start_s = 600,
                                  .samples_max = CASES[i].samples_max,
                                  .memory_max_bytes = CASES[i].memory_max_bytes,
                                  .text = CASES[i].text};
        char *got = fixture_run(&q);
        if (strncmp(got, CASES[i].expected, strlen(CASES[i].expected)) != 0)
            fail_msg("%s: %.200s", CASES[i].text, got);
        free(got);
    }
    memory_source_free(m);
}

static void too_many_series_are_cut_with_a_warning(void **state)
{
    struct memory_source *m = source_new();
    struct fixture_query q = {
        .source = m, .start_s = 600, .series_max = 1, .text = "sum by (m) (x_total * 0)"};
    char *got = fixture_run_annotated(&q);
    assert_string_equal(got, "{m=\"0\"} 0 | results truncated due to limit");
    free(got);
    memory_source_free(m);
}

/* Each is a long time's work inside of one series: the clock must be looked at there too. */
static void a_query_past_its_deadline_says_so(void **state)
{
    static const char *const TEXTS[] = {
        "sum_over_time(vector(time())[40d:1s])",
        "avg_over_time(vector(time())[40d:10s])",
        "deriv(vector(time())[40d:10s])",
    };
    struct memory_source *m = source_new();
    struct engine_options options = {0};
    struct query_params params = {
        .end_ms = INT64_C(100000000), .step_ms = 10000, .timeout_ms = 100};
    for (size_t i = 0; i < ARRAY_COUNT(TEXTS); i++) {
        struct query *q = NULL;
        struct error err;
        assert_true(query_new(&q, memory_source_as_source(m), &options, view_from(TEXTS[i]),
                              &params, &err));
        assert_false(query_run(q, &err));
        assert_int_equal(err.kind, ERROR_TIMEOUT);
        assert_string_equal(err.message, "query timed out in expression evaluation");
        query_free(q);
    }
    memory_source_free(m);
}

static void a_cancelled_query_stops(void **state)
{
    struct memory_source *m = source_new();
    struct query *q = NULL;
    struct error err;
    struct query_params params = {.instant = true, .start_ms = 600000, .end_ms = 600000};
    assert_true(
        query_new(&q, memory_source_as_source(m), NULL, VIEW("sum(x_total)"), &params, &err));
    query_cancel(q);
    assert_false(query_run(q, &err));
    assert_int_equal(err.kind, ERROR_CANCELED);
    query_free(q);
    memory_source_free(m);
}

static void *cancel_thread(void *arg)
{
    query_cancel(arg);
    return NULL;
}

/* Whatever moment the flag comes at, the query ends whole or says that it was cancelled. */
static void cancelling_from_another_thread_is_safe(void **state)
{
    struct memory_source *m = source_new();
    struct engine_options options = {.pool = pool_of(2)};
    struct query_params params = {.start_ms = 0, .end_ms = 900000, .step_ms = 15000};
    for (int i = 0; i < 10; i++) {
        struct query *q = NULL;
        struct error err;
        pthread_t thread;
        assert_true(query_new(&q, memory_source_as_source(m), &options,
                              VIEW("sum by (m) (rate(x_total[2m]))"), &params, &err));
        assert_true(thread_start(&thread, "cancel", cancel_thread, q, &err));
        if (!query_run(q, &err))
            assert_int_equal(err.kind, ERROR_CANCELED);
        else
            assert_int_equal(query_get_result(q)->series_count, 7);
        thread_join(thread);
        query_free(q);
    }
    pool_stop(options.pool);
    memory_source_free(m);
}

/* The n-th allocation that may fail does, for every n until none is left; ASan looks for leaks. */
static void a_failed_allocation_is_an_error_and_nothing_more(void **state)
{
    struct memory_source *m = source_new();
    struct pool *pool = pool_of(2);
    for (size_t i = 0; i < ARRAY_COUNT(QUERIES); i++) {
        bool failed = true;
        for (int64_t n = 0; failed; n++) {
            struct fixture_query q = {.source = m,
                                      .pool = n % 2 ? pool : NULL,
                                      .start_s = 300,
                                      .end_s = 600,
                                      .step_s = 60,
                                      .text = QUERIES[i]};
            mem_test_fail_after(n);
            char *got = fixture_run(&q);
            failed = strncmp(got, "error: ", 7) == 0;
            free(got);
            mem_test_fail_after(-1);
            assert_true(n < 10000);
        }
    }
    pool_stop(pool);
    memory_source_free(m);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(results_do_not_depend_on_the_number_of_workers),
        cmocka_unit_test(errors_do_not_depend_on_the_number_of_workers),
        cmocka_unit_test(limits_hold),
        cmocka_unit_test(a_failed_allocation_is_an_error_and_nothing_more),
        cmocka_unit_test(too_many_series_are_cut_with_a_warning),
        cmocka_unit_test(a_query_past_its_deadline_says_so),
        cmocka_unit_test(a_cancelled_query_stops),
        cmocka_unit_test(cancelling_from_another_thread_is_safe),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
