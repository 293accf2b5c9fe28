/* SPDX-License-Identifier: Apache-2.0 */
/* family_test.c: children are found by a hash of their values; this looks at the hash itself, because a poor one is seen
 * by nothing but time. */
#include "instrument/registry.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

/* 10,000 values that differ in a number at one place: as many low bits of the hash as chance would give. */
static void numbered_values_are_spread(void **state)
{
    (void)state;
    enum { CHILDREN = 10000, SLOTS = 16384 };
    static const char *const labels[] = {"a"}, *const forms[] = {
                                                   "%d",
                                                   "a-label-value-that-is-somewhat-long-%d",
                                                   "%d-and-a-tail",
                                                   "/path/%04d/of/some/length",
                                                   "%08d",
                                                   "10.0.0.%d:9100"};
    for (size_t i = 0; i < sizeof forms / sizeof forms[0]; i++) {
        belfry_registry *r = belfry_registry_new();
        belfry_counter_family *f;
        bool *taken = calloc(SLOTS, 1);
        size_t distinct = 0;
        assert_non_null(taken);
        assert_int_equal(belfry_counter_family_new(&f, r, "app_total", "Help.", labels, 1),
                         BELFRY_OK);
        for (int n = 0; n < CHILDREN; n++) {
            char text[64];
            const char *const values[] = {text};
            (void)snprintf(text, sizeof text, forms[i], n);
            const belfry_counter *c = belfry_counter_family_with(f, values);
            bool *slot = &taken[c->metric.hash % SLOTS];
            distinct += !*slot;
            *slot = true;
        }
        if (distinct < SLOTS * 0.40) /* chance: 1 - e^(-10000/16384) of the slots, 0.457 */
            fail_msg("\"%s\": %zu of %d slots", forms[i], distinct, SLOTS);
        free(taken);
        belfry_registry_free(r);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(numbered_values_are_spread)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
