/* SPDX-License-Identifier: Apache-2.0 */
/* The n-th allocation of the library fails, for every n: it says so, and neither ends nor harms its host.
 * The linker sends the library's allocations here (--wrap, meson.build). */
#include <belfry/collectors.h>
#include <belfry/metrics.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

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

/* Uses everything once. True when every step said that it was done. */
static bool use_all(void)
{
    static const char *const names[] = {"a", "b"}, *const values[] = {"1", "\"q\""};
    belfry_registry *r = belfry_registry_new();
    if (!r)
        return false;
    belfry_counter *c;
    belfry_gauge *g;
    belfry_histogram *h;
    belfry_counter_family *cf;
    belfry_histogram_family *hf;
    bool ok = belfry_counter_new(&c, r, "c_total", "C.") == BELFRY_OK;
    ok = (belfry_gauge_new(&g, r, "g", "G.") == BELFRY_OK) && ok;
    ok = (belfry_histogram_new(&h, r, "h", "H.", NULL, 0) == BELFRY_OK) && ok;
    ok = (belfry_counter_family_new(&cf, r, "cf_total", "C.", names, 2) == BELFRY_OK) && ok;
    ok = (belfry_histogram_family_new(&hf, r, "hf", "H.", names, 2, NULL, 0) == BELFRY_OK) && ok;
    ok = (belfry_process_collector_new(r, NULL) == BELFRY_OK) && ok;
    ok = (belfry_host_collector_new(r, "/nonexistent") == BELFRY_OK) && ok;
    belfry_counter *child = belfry_counter_family_with(cf, values);
    belfry_histogram *other = belfry_histogram_family_with(hf, values);
    ok = child && other && ok;
    belfry_counter_inc(c);
    belfry_gauge_inc(g);
    belfry_histogram_observe(h, 1);
    belfry_counter_inc(child);
    belfry_histogram_observe(other, 1);
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
    assert_true(n > 60);
    assert_true(use_all());
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(no_failing_allocation_harms_the_host),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
