/* SPDX-License-Identifier: Apache-2.0 */
/* labels_test.c: flat label sets, their text, and the store that interns them. */
#include "model/labels.h"

#include "base/mem.h"
#include "base/random.h"
#include "model/label_store.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <pthread.h>

static void assert_view(struct view got, const char *want)
{
    if (!view_is(got, want))
        fail_msg("got \"%.*s\", want \"%s\"", VIEW_ARGS(got), want);
}

static const struct {
    const char *in, *out, *error;
} TEXTS[] = {
    {"up", "up", NULL},
    {"{}", "{}", NULL},
    {" a:b { x = \"1\" , } ", "a:b{x=\"1\"}", NULL},
    {"{b=\"2\",a=\"1\"}", "{a=\"1\",b=\"2\"}", NULL},
    {"{\"utf-8 metric\",a=\"b\"}", "{\"utf-8 metric\",a=\"b\"}", NULL},
    {"{\"plain\"}", "plain", NULL},
    {"m{\"odd name\"=\"x\"}", "m{\"odd name\"=\"x\"}", NULL},
    {"{__name__=\"m\"}", "m", NULL},
    {"m{a=\"\"}", "m", NULL},
    {"m{a=\"q\\\"\\\\\\n\\t\\x41\\u20ac\\U0001f600\"}", "m{a=\"q\\\"\\\\\\n\\tA€😀\"}", NULL},
    {"m{a=\"\\x00\\x7f\\u0085\"}", "m{a=\"\\x00\\x7f\\u0085\"}", NULL},
    {"m{a=\"\\xff\"}", "m{a=\"\\xff\"}", NULL},
    {"", NULL, "label set ends where a metric name or \"{\" is expected"},
    {"m{a=\"1\",a=\"2\"}", NULL, "label \"a\" is there twice"},
    {"m{a}", NULL, "expected \"=\", found \"}\""},
    {"m{1a=\"x\"}", NULL, "expected a label name, found \"1a=\"x\"}\""},
    {"m{a:b=\"x\"}", NULL, "expected a label name, found \"=\"x\"}\""},
    {"m{a=x}", NULL, "expected a quoted label value, found \"x}\""},
    {"m{a=\"x}", NULL, "label set ends where a closing quote is expected"},
    {"m{a=\"x\"", NULL, "label set ends where \",\" or \"}\" is expected"},
    {"m{a=\"\\q\"}", NULL, "expected an escape (one of abfnrtvxuU\\\"'), found \"q\"}\""},
    {"m{a=\"\\ud800\"}", NULL, "expected the number of a character before this, found \"\"}\""},
    {"m{a=\"\\x4\"}", NULL, "expected a hexadecimal digit, found \"\"}\""},
    {"m{} x", NULL, "expected the end of the label set, found \"x\""},
};

/* Each text is parsed and printed; what was printed must come out the same a second time. */
static void labels_are_read_and_written_as_promql_does(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_COUNT(TEXTS); i++) {
        struct arena arena;
        struct buffer out;
        struct error err = {0};
        struct labels ls;
        arena_init(&arena, MEM_OTHER, 0);
        buffer_init(&out, MEM_OTHER, 1 << 16);
        bool ok = labels_parse(&arena, view_from(TEXTS[i].in), &ls, &err);
        if (TEXTS[i].error) {
            assert_false(ok);
            assert_string_equal(err.message, TEXTS[i].error);
        } else {
            if (!ok)
                fail_msg("%s: %s", TEXTS[i].in, err.message);
            for (int again = 0; again < 2; again++) {
                buffer_reset(&out);
                labels_format(&out, ls);
                assert_view(buffer_view(&out), TEXTS[i].out);
                assert_true(labels_parse(&arena, buffer_view(&out), &ls, &err));
            }
        }
        buffer_deinit(&out);
        arena_deinit(&arena);
    }
}

static const struct {
    const char *a, *b;
    int order;
} ORDERS[] = {
    {"{}", "a", -1},
    {"a", "a", 0},
    {"a", "b", -1},
    {"{a=\"1\"}", "{a=\"1\",b=\"1\"}", -1},
    {"{b=\"1\"}", "{a=\"2\"}", 1},
    {"{a=\"10\"}", "{a=\"9\"}", -1},
    {"{a=\"1\",c=\"1\"}", "{a=\"1\",b=\"2\"}", 1},
};

static int sign(int c)
{
    return (c > 0) - (c < 0);
}

/* The same pairs as flat sets and as sets of a store. */
static void label_sets_order_label_by_label(void **state)
{
    (void)state;
    struct arena arena;
    struct error err;
    arena_init(&arena, MEM_OTHER, 0);
    struct label_store *s = label_store_new(MEM_OTHER, 0);
    for (size_t i = 0; i < ARRAY_COUNT(ORDERS); i++) {
        struct labels a, b;
        assert_true(labels_parse(&arena, view_from(ORDERS[i].a), &a, &err));
        assert_true(labels_parse(&arena, view_from(ORDERS[i].b), &b, &err));
        assert_int_equal(sign(labels_compare(a, b)), ORDERS[i].order);
        assert_int_equal(sign(labels_compare(b, a)), -ORDERS[i].order);
        assert_int_equal(labels_equal(a, b), ORDERS[i].order == 0);
        labels_id ia = label_store_add(s, a), ib = label_store_add(s, b);
        assert_int_equal(sign(label_store_compare(s, ia, ib)), ORDERS[i].order);
        assert_int_equal(sign(label_store_compare(s, ib, ia)), -ORDERS[i].order);
    }
    label_store_free(s);
    arena_deinit(&arena);
}

/* A random walk of set, delete and get against a plain array indexed by name. */
static void builder_agrees_with_a_plain_table(void **state)
{
    (void)state;
    enum { NAMES = 60 };
    struct random r;
    struct arena arena;
    char names[NAMES][4];
    uint64_t seed = 7;
    printf("seed %llu\n", (unsigned long long)seed);
    random_seed(&r, seed);
    arena_init(&arena, MEM_OTHER, 0);
    for (int i = 0; i < NAMES; i++)
        snprintf(names[i], sizeof names[i], "n%02d", i);
    for (int round = 0; round < 200; round++) {
        struct labels_builder b;
        const char *want[NAMES] = {0};
        static const char *const VALUES[] = {"", "x", "y"};
        labels_builder_init(&b, &arena);
        for (uint64_t step = 0, steps = random_below(&r, 120); step < steps; step++) {
            uint64_t n = random_below(&r, NAMES), v = random_below(&r, 3);
            labels_builder_set(&b, view_from(names[n]), view_from(VALUES[v]));
            want[n] = v ? VALUES[v] : NULL;
        }
        struct labels ls = labels_builder_finish(&b);
        uint32_t at = 0;
        for (int i = 0; i < NAMES; i++) {
            assert_view(labels_get(ls, view_from(names[i])), want[i] ? want[i] : "");
            if (want[i])
                assert_view(ls.items[at++].name, names[i]);
        }
        assert_int_equal(at, ls.count);
        struct labels copy = labels_copy(&arena, ls);
        assert_true(labels_equal(copy, ls));
        labels_builder_reset(&b, copy);
        assert_true(labels_equal(labels_builder_finish(&b), ls));
        arena_reset(&arena);
    }
    arena_deinit(&arena);
}

static void label_boundaries_are_part_of_the_hash(void **state)
{
    (void)state;
    struct label a[] = {{VIEW("a"), VIEW("bc")}}, b[] = {{VIEW("ab"), VIEW("c")}};
    assert_true(labels_hash((struct labels){a, 1}) != labels_hash((struct labels){b, 1}));
    char *large = malloc(5000);
    memset(large, 'x', 5000);
    struct label c[] = {{VIEW("a"), {large, 5000}}}, d[] = {{VIEW("a"), {large, 4999}}};
    assert_true(labels_hash((struct labels){c, 1}) != labels_hash((struct labels){d, 1}));
    free(large);
}

/* Sets like a fleet's: added, found, and read back through every reader. */
static void store_gives_equal_sets_equal_ids(void **state)
{
    (void)state;
    enum { SETS = 5000 };
    struct arena arena;
    struct error err;
    arena_init(&arena, MEM_OTHER, 0);
    struct label_store *s = label_store_new(MEM_OTHER, 0);
    for (int pass = 0; pass < 2; pass++) {
        for (int i = 0; i < SETS; i++) {
            struct view text =
                arena_printf(&arena, "m_%d{job=\"j\",instance=\"host-%d:9100\",%s=\"x\",z=\"%d\"}",
                             i % 7, i % 50, i % 3 ? "device" : "mode", i / 350);
            struct labels ls;
            assert_true(labels_parse(&arena, text, &ls, &err));
            labels_id id = label_store_add(s, ls);
            assert_int_equal(label_store_find(s, ls).n, id.n);
            assert_int_equal(label_store_hash(s, id), labels_hash(ls));
            assert_true(labels_equal(label_store_labels(s, id, &arena), ls));
            uint32_t count;
            const symbol_id *names = label_store_shape_names(s, label_store_shape(s, id), &count);
            const symbol_id *values = label_store_values(s, id);
            assert_int_equal(count, ls.count);
            for (uint32_t l = 0; l < count; l++) {
                assert_true(view_eq(label_store_text(s, names[l]), ls.items[l].name));
                assert_true(view_eq(label_store_text(s, values[l]), ls.items[l].value));
                assert_int_equal(label_store_get(s, id, names[l]).n, values[l].n);
                assert_int_equal(label_store_find_symbol(s, ls.items[l].name).n, names[l].n);
            }
            assert_int_equal(label_store_get(s, id, (symbol_id){0}).n, 0);
            arena_reset(&arena);
        }
        assert_int_equal(label_store_shape_count(s), 3); /* and the empty one */
    }
    struct labels none = {NULL, 0};
    assert_int_equal(label_store_add(s, none).n, 0);
    struct label odd[] = {{VIEW("never"), VIEW("seen")}};
    assert_int_equal(label_store_find(s, (struct labels){odd, 1}).n, LABEL_STORE_NONE);
    label_store_free(s);
    arena_deinit(&arena);
}

/* Long sets between short ones, so that records skip to later segments. */
static void store_keeps_sets_of_any_length(void **state)
{
    (void)state;
    static const uint32_t COUNTS[] = {1,    2047, 3, 300,  1,   1,    1500, 2047, 2046, 2047, 2,
                                      2047, 2047, 1, 2047, 900, 2047, 2047, 2047, 2047, 2047, 2047};
    struct arena arena;
    arena_init(&arena, MEM_OTHER, 0);
    struct label_store *s = label_store_new(MEM_OTHER, 0);
    struct labels sets[ARRAY_COUNT(COUNTS)];
    labels_id ids[ARRAY_COUNT(COUNTS)];
    for (size_t i = 0; i < ARRAY_COUNT(COUNTS); i++) {
        struct label *items = ARENA_ARRAY(&arena, struct label, COUNTS[i]);
        for (uint32_t l = 0; l < COUNTS[i]; l++)
            items[l] = (struct label){arena_printf(&arena, "label_%04u", l),
                                      arena_printf(&arena, "%zu", i)};
        sets[i] = (struct labels){items, COUNTS[i]};
        ids[i] = label_store_add(s, sets[i]);
        assert_true(ids[i].n != LABEL_STORE_NONE);
    }
    for (size_t i = 0; i < ARRAY_COUNT(COUNTS); i++) {
        assert_true(labels_equal(label_store_labels(s, ids[i], &arena), sets[i]));
        assert_int_equal(label_store_find(s, sets[i]).n, ids[i].n);
        assert_int_equal(label_store_hash(s, ids[i]), labels_hash(sets[i]));
    }
    struct label *items = ARENA_ARRAY(&arena, struct label, 2048);
    for (uint32_t l = 0; l < 2048; l++)
        items[l] = (struct label){arena_printf(&arena, "label_%04u", l), VIEW("v")};
    assert_int_equal(label_store_add(s, (struct labels){items, 2048}).n, LABEL_STORE_NONE);
    label_store_free(s);
    arena_deinit(&arena);
}

static void store_refuses_what_is_over_its_limit(void **state)
{
    (void)state;
    enum { BYTES_MAX = 64 * 1024 };
    struct label_store *s = label_store_new(MEM_OTHER, BYTES_MAX);
    char text[32];
    uint32_t added = 0;
    for (; added < 100000; added++) {
        snprintf(text, sizeof text, "value-%u", added);
        struct label l[] = {{VIEW("a"), view_from(text)}};
        if (label_store_add(s, (struct labels){l, 1}).n == LABEL_STORE_NONE)
            break;
    }
    assert_in_range(added, 500, 10000);
    assert_true(label_store_bytes(s) <= BYTES_MAX);
    struct label known[] = {{VIEW("a"), VIEW("value-0")}};
    assert_int_equal(label_store_add(s, (struct labels){known, 1}).n, 1);
    label_store_free(s);
}

/* Each allocation of a growing store fails in turn; what was added before stays readable. */
static void store_survives_each_failing_allocation(void **state)
{
    (void)state;
    for (int64_t nth = 0; nth < 40; nth++) {
        struct label_store *s = label_store_new(MEM_OTHER, 0);
        uint32_t refused = 0;
        char text[32];
        mem_test_fail_after(nth);
        for (uint32_t i = 0; i < 300; i++) {
            snprintf(text, sizeof text, "value-%u", i);
            struct label l[] = {{VIEW("a"), view_from(text)}};
            if (label_store_add(s, (struct labels){l, 1}).n == LABEL_STORE_NONE)
                refused++;
        }
        mem_test_fail_after(-1);
        assert_true(refused <= 1);
        for (uint32_t i = 0; i < 300; i++) {
            snprintf(text, sizeof text, "value-%u", i);
            struct label l[] = {{VIEW("a"), view_from(text)}};
            struct labels ls = {l, 1};
            assert_int_equal(label_store_hash(s, label_store_add(s, ls)), labels_hash(ls));
        }
        label_store_free(s);
    }
}

static void store_costs_what_the_design_says(void **state)
{
    (void)state;
    enum { SETS = 200000 };
    struct label_store *s = label_store_new(MEM_OTHER, 0);
    symbol_id names[6], values[6];
    char text[16];
    for (int i = 0; i < 6; i++) {
        snprintf(text, sizeof text, "name%d", i);
        names[i] = label_store_add_symbol(s, view_from(text));
        values[i] = label_store_add_symbol(s, VIEW("v"));
    }
    symbol_id numbers[1000];
    for (int i = 0; i < 1000; i++) {
        snprintf(text, sizeof text, "%d", i);
        numbers[i] = label_store_add_symbol(s, view_from(text));
    }
    shape_id shape = label_store_add_shape(s, names, 6);
    size_t before = label_store_bytes(s);
    for (int i = 0; i < SETS; i++) {
        values[0] = numbers[i % 1000];
        values[5] = numbers[i / 1000];
        assert_int_equal(label_store_add_values(s, shape, values).n, i + 1);
    }
    double bytes = (double)(label_store_bytes(s) - before) / SETS;
    printf("%.1f bytes per set of six labels, table included\n", bytes);
    assert_true(bytes < 48);
    label_store_free(s);
}

struct race {
    struct label_store *s;
    _Atomic bool done;
};

static void *race_read(void *arg)
{
    struct race *race = arg;
    uint64_t sum = 0;
    while (!atomic_load_explicit(&race->done, memory_order_acquire)) {
        uint32_t count = label_store_labels_count(race->s);
        labels_id id = {count - 1}, half = {count / 2};
        sum += label_store_hash(race->s, id) + (unsigned)label_store_compare(race->s, id, half);
    }
    return (void *)(uintptr_t)(sum | 1);
}

/* Run under ThreadSanitizer: readers take the newest id by the count while the writer grows. */
static void readers_need_no_lock(void **state)
{
    (void)state;
    struct race race = {.s = label_store_new(MEM_OTHER, 0)};
    pthread_t readers[2];
    char text[32];
    for (int i = 0; i < 2; i++)
        assert_int_equal(pthread_create(&readers[i], NULL, race_read, &race), 0);
    for (int i = 0; i < 20000; i++) {
        snprintf(text, sizeof text, "v%d", i);
        struct label l[] = {{VIEW("a"), view_from(text)}, {VIEW("b"), VIEW("x")}};
        assert_true(label_store_add(race.s, (struct labels){l, 2}).n != LABEL_STORE_NONE);
    }
    atomic_store_explicit(&race.done, true, memory_order_release);
    for (int i = 0; i < 2; i++)
        assert_int_equal(pthread_join(readers[i], NULL), 0);
    label_store_free(race.s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(labels_are_read_and_written_as_promql_does),
        cmocka_unit_test(label_sets_order_label_by_label),
        cmocka_unit_test(builder_agrees_with_a_plain_table),
        cmocka_unit_test(label_boundaries_are_part_of_the_hash),
        cmocka_unit_test(store_gives_equal_sets_equal_ids),
        cmocka_unit_test(store_keeps_sets_of_any_length),
        cmocka_unit_test(store_refuses_what_is_over_its_limit),
        cmocka_unit_test(store_survives_each_failing_allocation),
        cmocka_unit_test(store_costs_what_the_design_says),
        cmocka_unit_test(readers_need_no_lock),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
