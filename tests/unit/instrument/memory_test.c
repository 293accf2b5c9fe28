/* SPDX-License-Identifier: Apache-2.0 */
/* The n-th allocation of the library fails, for every n: it says so, and neither ends nor harms its host.
 * The linker sends the library's allocations here (--wrap, meson.build). */
#include <belfry/collectors.h>
#include <belfry/exposition.h>
#include <belfry/metrics.h>

#include <math.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include <cmocka.h>

static long countdown = -1; /* allocations until one fails; negative: none does */

static bool fails_now(void)
{
    return countdown >= 0 && countdown-- == 0;
}

void *__real_malloc(size_t bytes);
void *__real_calloc(size_t count, size_t bytes);
void *__real_realloc(void *ptr, size_t bytes);
char *__real_strdup(const char *text);
void *__wrap_malloc(size_t bytes);
void *__wrap_calloc(size_t count, size_t bytes);
void *__wrap_realloc(void *ptr, size_t bytes);
char *__wrap_strdup(const char *text);

void *__wrap_malloc(size_t bytes)
{
    return fails_now() ? NULL : __real_malloc(bytes);
}

void *__wrap_calloc(size_t count, size_t bytes)
{
    return fails_now() ? NULL : __real_calloc(count, bytes);
}

void *__wrap_realloc(void *ptr, size_t bytes)
{
    return fails_now() ? NULL : __real_realloc(ptr, bytes);
}

char *__wrap_strdup(const char *text)
{
    return fails_now() ? NULL : __real_strdup(text);
}

static bool swallow(void *arg, const char *bytes, size_t len)
{
    (void)bytes;
    *(size_t *)arg += len;
    return true;
}

/* All formats. True when each was written whole. */
static bool write_all(belfry_registry *r)
{
    bool ok = true;
    size_t bytes = 0;
    for (belfry_format format = BELFRY_FORMAT_TEXT; format <= BELFRY_FORMAT_PROTOBUF; format++) {
        belfry_exposition how = {.format = format};
        belfry_status status = belfry_registry_write(r, &how, swallow, &bytes);
        assert_true(status == BELFRY_OK || status == BELFRY_ERROR_MEMORY);
        ok = status == BELFRY_OK && ok;
    }
    return ok;
}

static bool done(belfry_status status)
{
    assert_true(status == BELFRY_OK || status == BELFRY_ERROR_MEMORY ||
                status == BELFRY_ERROR_NULL || status == BELFRY_ERROR_NOT_FOUND);
    return status == BELFRY_OK;
}

/* A native histogram and a summary that have to make room. */
static bool use_sketches(belfry_registry *r)
{
    static const double bounds[] = {1, 2};
    belfry_histogram_options options = {.bounds = bounds,
                                        .bound_count = 2,
                                        .native_factor = 1.1,
                                        .native_buckets_max = 100,
                                        .native_zero_threshold_max = 1e-3};
    belfry_histogram *h;
    belfry_summary *s;
    bool ok = done(belfry_histogram_new_with(&h, r, "native", "N.", &options));
    ok = done(belfry_summary_new(&s, r, "s", "S.", NULL)) && ok;
    uint64_t observed = 0;
    for (int e = -30; e < 200; e++) {
        bool counted = done(belfry_histogram_observe(h, ldexp(1.3, e)));
        observed += counted;
        ok = counted && done(belfry_summary_observe(s, ldexp(1.3, e))) && ok;
    }
    long left = countdown;
    countdown = -1; /* what was counted is there */
    assert_int_equal(belfry_histogram_count(h), observed);
    countdown = left;
    return done(belfry_histogram_observe_exemplar(h, 1.5, &(const belfry_label){"a", "b"}, 1)) &&
           ok;
}

static bool use_registry(belfry_registry *r)
{
    static const char *const states[] = {"on", "off"};
    const belfry_label labels[] = {{"env", "test"}, {"zone", "1"}};
    belfry_gauge *g;
    belfry_stateset *t;
    bool ok = done(belfry_registry_set_prefix(r, "app_"));
    ok = done(belfry_registry_set_labels(r, labels, 2)) && ok;
    ok = done(belfry_info_new(r, "build_info", "B.", &(const belfry_label){"a", "b"}, 1)) && ok;
    ok = done(belfry_stateset_new(&t, r, "state", "S.", states, 2)) && ok;
    for (int i = 0; i < 40; i++) {
        char name[16];
        snprintf(name, sizeof(name), "g%d_bytes", i);
        ok = done(belfry_gauge_new(&g, r, name, "G.")) && ok;
        ok = done(belfry_set_unit(r, name, "bytes")) && ok;
        if (i % 2)
            ok = done(belfry_unregister(r, name)) && ok;
    }
    return ok;
}

static bool use_families(belfry_registry *r)
{
    static const char *const names[] = {"a", "b"};
    belfry_counter_family *cf;
    belfry_histogram_family *hf;
    bool ok = done(belfry_counter_family_new(&cf, r, "cf_total", "C.", names, 2));
    ok = done(belfry_histogram_family_new(&hf, r, "hf", "H.", names, 2, NULL, 0)) && ok;
    if (cf)
        ok = done(belfry_set_children_max(r, "cf_total", 30)) && ok;
    for (int i = 0; i < 40; i++) {
        char value[16];
        snprintf(value, sizeof(value), "\"%d\"", i);
        const char *const values[] = {value, ""};
        ok = done(belfry_counter_inc(belfry_counter_family_with(cf, values))) && ok;
        if (i % 10 == 0)
            ok = done(belfry_counter_family_remove(cf, values)) && ok;
    }
    const char *const values[] = {"1", "2"};
    ok = done(belfry_histogram_observe(belfry_histogram_family_with(hf, values), 1)) && ok;
    ok = write_all(r) && ok;
    return done(belfry_histogram_family_clear(hf)) && ok;
}

/* Uses everything once. True when every step said that it was done. */
static bool use_all(void)
{
    belfry_registry *r = belfry_registry_new();
    if (!r)
        return false;
    belfry_counter *c;
    belfry_histogram *h;
    bool ok = use_registry(r);
    ok = done(belfry_counter_new(&c, r, "c_total", "C.")) && ok;
    ok = done(belfry_histogram_new(&h, r, "h", "H.", NULL, 0)) && ok;
    ok = done(belfry_process_collector_new(r, NULL)) && ok;
    ok = done(belfry_host_collector_new(r, "/nonexistent")) && ok;
    ok = done(belfry_counter_add_exemplar(c, 1, &(const belfry_label){"a", "b"}, 1)) && ok;
    ok = done(belfry_histogram_observe(h, 1)) && ok;
    ok = use_sketches(r) && ok;
    ok = use_families(r) && ok;
    char *text;
    size_t len;
    belfry_status status = belfry_registry_text(r, &text, &len);
    assert_int_equal(status == BELFRY_OK, text != NULL);
    belfry_text_free(text);
    belfry_registry_free(r);
    return ok && status == BELFRY_OK;
}

static void no_failing_allocation_harms_the_host(void **state)
{
    assert_true(use_all()); /* what is made once is made now */
    long n = 0;
    for (bool hit = true; hit; n++) {
        countdown = n;
        bool ok = use_all();
        hit = countdown < 0;
        countdown = -1;
        if (!hit)
            assert_true(ok);
    }
    assert_true(n > 300);
    assert_true(use_all());
}

static bool maps_fail;

void *__real_mmap64(void *at, size_t bytes, int protection, int flags, int fd, off_t offset);
void *__wrap_mmap64(void *at, size_t bytes, int protection, int flags, int fd, off_t offset);

void *__wrap_mmap64(void *at, size_t bytes, int protection, int flags, int fd, off_t offset)
{
    return maps_fail ? MAP_FAILED : __real_mmap64(at, bytes, protection, flags, fd, offset);
}

struct attempt {
    belfry_counter *counter;
    belfry_status without, with;
    uint64_t lost_count;
};

/* While main has its cells: the first thread beside it that ever counts. */
static void *count_without_memory(void *arg)
{
    struct attempt *a = arg;
    uint64_t lost = belfry_updates_lost();
    maps_fail = true;
    a->without = belfry_counter_inc(a->counter);
    a->lost_count = belfry_updates_lost() - lost;
    maps_fail = false;
    a->with = belfry_counter_inc(a->counter);
    return NULL;
}

static void a_thread_without_memory_loses_updates_and_says_so(void **state)
{
    belfry_registry *r = belfry_registry_new();
    struct attempt a = {0};
    pthread_t thread;
    assert_int_equal(belfry_counter_new(&a.counter, r, "c_total", "C."), BELFRY_OK);
    assert_int_equal(belfry_counter_inc(a.counter), BELFRY_OK);
    assert_int_equal(pthread_create(&thread, NULL, count_without_memory, &a), 0);
    pthread_join(thread, NULL);
    assert_int_equal(a.without, BELFRY_ERROR_MEMORY);
    assert_int_equal(a.lost_count, 1);
    assert_int_equal(a.with, BELFRY_OK);
    assert_true(belfry_counter_value(a.counter) == 2);
    belfry_registry_free(r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(no_failing_allocation_harms_the_host),
        cmocka_unit_test(a_thread_without_memory_loses_updates_and_says_so),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
