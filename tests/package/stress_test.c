/* SPDX-License-Identifier: Apache-2.0 */
/* stress_test.c: everything at once. Threads that come and go update metrics of every kind, others ask for children, take them out,
 * and write expositions in all formats; in the end every number is exact. 10^7 counter updates; TEST_SCALE times as many. */
#include <belfry/exposition.h>
#include <belfry/metrics.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { WORKERS = 8, GENERATIONS = 5, UPDATES = 250000, CHILDREN = 40 };
/* The other metrics are updated at each so many updates of the counter: rarer where each of their updates is dear. */
#if defined(__has_feature)
#if __has_feature(thread_sanitizer)
enum { OTHERS_EVERY = 100 };
#else
enum { OTHERS_EVERY = 10 };
#endif
#else
enum { OTHERS_EVERY = 10 };
#endif

struct all {
    belfry_registry *registry;
    belfry_counter *counter, *halves;
    belfry_gauge *gauge;
    belfry_histogram *classic, *both;
    belfry_summary *summary;
    belfry_stateset *states;
    belfry_counter_family *family, *fleeting;
    unsigned updates; /* of each worker */
    _Atomic bool stop;
    _Atomic uint64_t expositions, removals;
    _Atomic(const char *) complaint; /* of a thread to which something happened that should not */
};

static void make_all(struct all *a)
{
    static const char *const names[] = {"n"}, *const states[] = {"on", "off"};
    belfry_histogram_options native = {.bounds = belfry_buckets_seconds,
                                       .bound_count = BELFRY_BUCKETS_SECONDS_COUNT,
                                       .native_factor = 1.1};
    belfry_registry *r = a->registry = belfry_registry_new();
    assert_non_null(r);
    assert_int_equal(belfry_counter_new(&a->counter, r, "c_total", "C."), BELFRY_OK);
    assert_int_equal(belfry_counter_new(&a->halves, r, "halves_total", "Halves."), BELFRY_OK);
    assert_int_equal(belfry_gauge_new(&a->gauge, r, "g", "G."), BELFRY_OK);
    assert_int_equal(belfry_histogram_new(&a->classic, r, "h_seconds", "H.", NULL, 0), BELFRY_OK);
    assert_int_equal(belfry_histogram_new_with(&a->both, r, "b_seconds", "B.", &native), BELFRY_OK);
    assert_int_equal(belfry_summary_new(&a->summary, r, "s_seconds", "S.", NULL), BELFRY_OK);
    assert_int_equal(belfry_stateset_new(&a->states, r, "st", "St.", states, 2), BELFRY_OK);
    assert_int_equal(belfry_counter_family_new(&a->family, r, "f_total", "F.", names, 1),
                     BELFRY_OK);
    assert_int_equal(belfry_counter_family_new(&a->fleeting, r, "fleeting_total", "Fl.", names, 1),
                     BELFRY_OK);
}

/* Values whose sums are exact in a double: multiples of 1/4. */
static double quarter(unsigned i)
{
    return (double)(i % 64) / 4;
}

static void update_others(struct all *a, unsigned i)
{
    char value[16];
    belfry_counter_add_double(a->halves, 0.5);
    belfry_gauge_add(a->gauge, i % 2 ? 1 : -1);
    belfry_histogram_observe(a->classic, quarter(i));
    belfry_histogram_observe(a->both, quarter(i));
    belfry_summary_observe(a->summary, quarter(i));
    belfry_stateset_only(a->states, i % 2);
    snprintf(value, sizeof(value), "%u", i % CHILDREN);
    belfry_counter_inc(belfry_counter_family_with(a->family, (const char *const[]){value}));
    belfry_counter_inc(belfry_counter_family_with(a->fleeting, (const char *const[]){value}));
}

static void *work(void *arg)
{
    struct all *a = arg;
    for (unsigned i = 0; i < a->updates; i++) {
        belfry_counter_inc(a->counter);
        if (i % OTHERS_EVERY == 0)
            update_others(a, i / OTHERS_EVERY);
    }
    return NULL;
}

static bool swallow(void *arg, const char *bytes, size_t len)
{
    (void)bytes;
    *(size_t *)arg += len;
    return true;
}

static void *expose(void *arg)
{
    static const belfry_format formats[] = {BELFRY_FORMAT_TEXT, BELFRY_FORMAT_OPENMETRICS,
                                            BELFRY_FORMAT_PROTOBUF};
    struct all *a = arg;
    for (unsigned i = 0; !atomic_load(&a->stop); i++) {
        belfry_exposition how = {.format = formats[i % 3]};
        size_t bytes = 0;
        if (belfry_registry_write(a->registry, &how, swallow, &bytes) != BELFRY_OK || bytes == 0)
            atomic_store(&a->complaint, "an exposition failed");
        atomic_fetch_add(&a->expositions, 1);
    }
    return NULL;
}

static void *take_out(void *arg)
{
    struct all *a = arg;
    char value[16];
    for (unsigned i = 0; !atomic_load(&a->stop); i++) {
        snprintf(value, sizeof(value), "%u", i % CHILDREN);
        belfry_status s = belfry_counter_family_remove(a->fleeting, (const char *const[]){value});
        if (s != BELFRY_OK && s != BELFRY_ERROR_NOT_FOUND)
            atomic_store(&a->complaint, "a child could not be taken out");
        if (i % 1000 == 999 && belfry_counter_family_clear(a->fleeting) != BELFRY_OK)
            atomic_store(&a->complaint, "children could not be taken out");
        atomic_fetch_add(&a->removals, s == BELFRY_OK);
    }
    return NULL;
}

static void check_sums(const struct all *a)
{
    double workers = WORKERS * GENERATIONS, others = (a->updates + OTHERS_EVERY - 1) / OTHERS_EVERY;
    double sum = 0, up = 0, children = 0;
    for (unsigned i = 0; i < (unsigned)others; i++) {
        sum += quarter(i);
        up += i % 2 ? 1 : -1;
    }
    assert_true(belfry_counter_value(a->counter) == workers * a->updates);
    assert_true(belfry_counter_value(a->halves) == workers * others / 2);
    assert_true(belfry_gauge_value(a->gauge) == workers * up);
    assert_true((double)belfry_histogram_count(a->classic) == workers * others);
    assert_true(belfry_histogram_sum(a->classic) == workers * sum);
    assert_true((double)belfry_histogram_count(a->both) == workers * others);
    assert_true(belfry_histogram_sum(a->both) == workers * sum);
    assert_true((double)belfry_summary_count(a->summary) == workers * others);
    assert_true(belfry_summary_sum(a->summary) == workers * sum);
    for (int i = 0; i < CHILDREN; i++) {
        char value[16];
        snprintf(value, sizeof(value), "%d", i);
        children += belfry_counter_value(
            belfry_counter_family_with(a->family, (const char *const[]){value}));
    }
    assert_true(children == workers * others);
    assert_int_equal(belfry_updates_lost(), 0);
}

static void every_update_counts_whatever_happens_beside_it(void **state)
{
    (void)state;
    const char *scale = getenv("TEST_SCALE");
    long factor = scale ? strtol(scale, NULL, 10) : 1;
    struct all a = {.updates = UPDATES * (unsigned)(factor > 0 ? factor : 1)};
    pthread_t workers[WORKERS], exposing, taking;
    make_all(&a);
    assert_int_equal(pthread_create(&exposing, NULL, expose, &a), 0);
    assert_int_equal(pthread_create(&taking, NULL, take_out, &a), 0);
    for (int g = 0; g < GENERATIONS; g++) {
        for (int i = 0; i < WORKERS; i++)
            assert_int_equal(pthread_create(&workers[i], NULL, work, &a), 0);
        for (int i = 0; i < WORKERS; i++)
            assert_int_equal(pthread_join(workers[i], NULL), 0);
    }
    while (atomic_load(&a.expositions) < 3) /* once in each format, however busy the machine is */
        ;
    atomic_store(&a.stop, true);
    assert_int_equal(pthread_join(exposing, NULL), 0);
    assert_int_equal(pthread_join(taking, NULL), 0);
    if (a.complaint)
        fail_msg("%s", a.complaint);
    check_sums(&a);
    belfry_registry_free(a.registry);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_update_counts_whatever_happens_beside_it),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
