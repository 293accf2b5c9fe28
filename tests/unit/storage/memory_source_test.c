/* SPDX-License-Identifier: Apache-2.0 */
/* memory_source_test.c: the source that PromQL scripts read from. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "storage/memory_source.h"

#include <math.h>

struct fixture {
    struct memory_source *source;
    struct arena arena;
    struct label_store *store;
};

static struct labels parse(struct fixture *f, const char *text)
{
    struct labels ls;
    struct error err;
    assert_true(labels_parse(&f->arena, view_from(text), &ls, &err));
    return ls;
}

static int setup(void **state)
{
    static struct fixture f;
    f.source = memory_source_new();
    arena_init(&f.arena, MEM_OTHER, 0);
    f.store = label_store_new(MEM_QUERY, 0);
    *state = &f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;
    memory_source_free(f->source);
    label_store_free(f->store);
    arena_deinit(&f->arena);
    return 0;
}

static struct storage_view *pin(struct fixture *f)
{
    struct error err;
    struct storage_view *v =
        source_pin(memory_source_as_source(f->source), INT64_MIN, INT64_MAX, &err);
    assert_non_null(v);
    return v;
}

/* Samples arrive in any order and come back ascending, the last value of a timestamp. */
static void samples_come_back_ascending(void **state)
{
    struct fixture *f = *state;
    static const struct {
        int64_t t;
        double v;
    } IN[] = {{30, 3}, {10, 1}, {20, 2}, {-5, 0}, {20, 22}, {INT64_MAX, 9}, {INT64_MIN, 8}};
    static const struct {
        int64_t mint, maxt;
        size_t count;
        int64_t first;
    } READS[] = {
        {INT64_MIN, INT64_MAX, 6, INT64_MIN}, {-5, 20, 3, -5}, {11, 19, 0, 0}, {20, 20, 1, 20},
        {31, INT64_MAX, 1, INT64_MAX},        {40, 30, 0, 0},
    };
    for (size_t i = 0; i < ARRAY_COUNT(IN); i++)
        memory_source_add(f->source, parse(f, "m{a=\"1\"}"), IN[i].t, IN[i].v);
    struct error err;
    struct storage_view *v = pin(f);
    struct select all = {.mint = INT64_MIN, .maxt = INT64_MAX};
    struct series_list list;
    assert_true(view_select(v, &all, f->store, &f->arena, &list, &err));
    assert_int_equal(list.count, 1);
    struct storage_reader *r = view_reader_new(v, NULL, &err);
    for (size_t i = 0; i < ARRAY_COUNT(READS); i++) {
        struct samples s;
        assert_true(reader_read(r, list.items[0].ref, READS[i].mint, READS[i].maxt, &s, &err));
        assert_int_equal(s.count, READS[i].count);
        if (s.count > 0)
            assert_true(s.times[0] == READS[i].first);
        for (size_t k = 0; k < s.count; k++)
            if (s.times[k] == 20)
                assert_true(s.values[k] == 22);
    }
    storage_reader_free(r);
    view_release(v);
}

/* Each kind of matcher selects what its definition says, absent labels counting as "". */
static void matchers_select(void **state)
{
    struct fixture *f = *state;
    static const char *const SERIES[] = {"a{x=\"1\"}", "a{x=\"2\"}", "a", "b{x=\"1\",y=\"z\"}"};
    for (size_t i = 0; i < ARRAY_COUNT(SERIES); i++)
        memory_source_add(f->source, parse(f, SERIES[i]), 100, (double)i);
    static const struct {
        enum matcher_type type;
        const char *name, *value;
        size_t count;
    } CASES[] = {
        {MATCH_EQUAL, "__name__", "a", 3}, {MATCH_EQUAL, "x", "1", 2},
        {MATCH_EQUAL, "x", "", 1},         {MATCH_NOT_EQUAL, "x", "1", 2},
        {MATCH_REGEX, "x", "1|2", 3},      {MATCH_REGEX, "x", ".*", 4},
        {MATCH_NOT_REGEX, "x", ".+", 1},   {MATCH_EQUAL, "nope", "1", 0},
        {MATCH_NOT_EQUAL, "y", "", 1},
    };
    struct error err;
    struct storage_view *v = pin(f);
    for (size_t i = 0; i < ARRAY_COUNT(CASES); i++) {
        struct matcher m;
        assert_true(matcher_init(&m, CASES[i].type, view_from(CASES[i].name),
                                 view_from(CASES[i].value), &err));
        struct select what = {&m, 1, 0, 1000, 0};
        struct series_list list;
        assert_true(view_select(v, &what, f->store, &f->arena, &list, &err));
        assert_int_equal(list.count, CASES[i].count);
        what.maxt = 99; /* no sample there */
        assert_true(view_select(v, &what, f->store, &f->arena, &list, &err));
        assert_int_equal(list.count, 0);
        matcher_deinit(&m);
    }
    struct select limited = {.mint = 0, .maxt = 1000, .series_max = 3};
    struct series_list list;
    assert_false(view_select(v, &limited, f->store, &f->arena, &list, &err));
    assert_int_equal(err.kind, ERROR_LIMIT);
    view_release(v);
}

static void label_names_and_values_are_sorted_and_distinct(void **state)
{
    struct fixture *f = *state;
    memory_source_add(f->source, parse(f, "m{b=\"2\",a=\"9\"}"), 1, 1);
    memory_source_add(f->source, parse(f, "m{b=\"1\"}"), 1, 1);
    memory_source_add(f->source, parse(f, "m{b=\"2\"}"), 1, 1);
    struct select all = {.mint = 0, .maxt = 10};
    struct view *items;
    size_t count;
    struct error err;
    struct storage_view *v = pin(f);
    assert_true(v->ops->label_names(v, &all, 0, &f->arena, &items, &count, &err));
    assert_int_equal(count, 3);
    assert_true(view_is(items[0], "__name__") && view_is(items[1], "a") && view_is(items[2], "b"));
    assert_true(v->ops->label_values(v, VIEW("b"), &all, 0, &f->arena, &items, &count, &err));
    assert_int_equal(count, 2);
    assert_true(view_is(items[0], "1") && view_is(items[1], "2"));
    assert_true(v->ops->label_values(v, VIEW("b"), &all, 1, &f->arena, &items, &count, &err));
    assert_int_equal(count, 1);
    view_release(v);
}

static void clear_forgets_everything(void **state)
{
    struct fixture *f = *state;
    memory_source_add(f->source, parse(f, "m"), 1, 1);
    memory_source_clear(f->source);
    memory_source_add(f->source, parse(f, "n"), 1, 1);
    struct select all = {.mint = INT64_MIN, .maxt = INT64_MAX};
    struct series_list list;
    struct error err;
    struct storage_view *v = pin(f);
    assert_true(view_select(v, &all, f->store, &f->arena, &list, &err));
    assert_int_equal(list.count, 1);
    view_release(v);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(samples_come_back_ascending, setup, teardown),
        cmocka_unit_test_setup_teardown(matchers_select, setup, teardown),
        cmocka_unit_test_setup_teardown(label_names_and_values_are_sorted_and_distinct, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(clear_forgets_everything, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
