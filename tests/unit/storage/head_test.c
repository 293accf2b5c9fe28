/* SPDX-License-Identifier: Apache-2.0 */
/* head_test.c: rows go in, series come out; what is on disk comes back. */
#include "head_fixture.h"

#include "base/random.h"
#include "model/sample.h"

#include <inttypes.h>
#include <math.h>

enum { READ_MAX = 4096 };

struct fixture {
    char dir[256];
    struct head *head;
    int64_t t[READ_MAX];
    double v[READ_MAX];
};

/* So that segments come and go, and rows are sealed early for them. */
static const struct db_options SMALL_SEGMENTS = {.wal_segment_bytes = 30000};

static int setup(void **state)
{
    struct fixture *f = calloc(1, sizeof *f);
    fixture_dir(f->dir, sizeof f->dir);
    f->head = fixture_open(f->dir, INT64_MIN, &SMALL_SEGMENTS);
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;
    if (f->head)
        fixture_close(f->head);
    fixture_dir_remove(f->dir);
    free(f);
    return 0;
}

static void reopen(struct fixture *f, int64_t block_maxt)
{
    fixture_close(f->head);
    f->head = fixture_open(f->dir, block_maxt, &SMALL_SEGMENTS);
}

static long read_all(struct fixture *f, const char *labels)
{
    return fixture_read(f->head, labels, INT64_MIN, INT64_MAX, f->t, f->v, READ_MAX);
}

/* A committed row is read back after a flush, bit for bit, and again after a restart. */
static void what_was_appended_is_read(void **state)
{
    struct fixture *f = *state;
    static const double VALUES[] = {0,
                                    -0.0,
                                    1,
                                    1.5,
                                    -17.25,
                                    1e300,
                                    5e-324,
                                    INFINITY,
                                    -INFINITY,
                                    0.1,
                                    3,
                                    3,
                                    3,
                                    4503599627370497.0,
                                    2251799813685249.0,
                                    1e15,
                                    12345.678};
    struct error err;
    struct group *g = fixture_group(f->head, "a");
    for (size_t i = 0; i < ARRAY_COUNT(VALUES); i++)
        assert_true(fixture_append(g, "m{a=\"1\"}", T0 + (int64_t)i * 1000, VALUES[i], 0, &err));
    group_close(g);
    head_flush(f->head);
    for (int round = 0; round < 2; round++) {
        assert_int_equal(read_all(f, "m{a=\"1\"}"), ARRAY_COUNT(VALUES));
        for (size_t i = 0; i < ARRAY_COUNT(VALUES); i++) {
            assert_true(f->t[i] == T0 + (int64_t)i * 1000);
            assert_true(sample_bits(f->v[i]) == sample_bits(VALUES[i]));
        }
        reopen(f, INT64_MIN);
    }
}

static void refusals_name_their_reason(void **state)
{
    struct fixture *f = *state;
    struct error err;
    struct db_stats stats = {0};
    struct group *g = fixture_group(f->head, "a"), *again;
    int64_t now = clock_wall().ms;
    const struct {
        int64_t t;
        bool ok;
        const char *words;
    } CASES[] = {
        {T0, true, NULL},
        {T0, true, NULL}, /* the same again */
        {T0 - 1, true, NULL},
        {now + 3600000, false, "in the future"},
        {INT64_MAX, false, "in the future"},
        {INT64_MIN, false, "too old sample"},
        {T0 - 90000000, false, "too old sample"},
        {now + 60000, true, NULL},
    };
    for (size_t i = 0; i < ARRAY_COUNT(CASES); i++) {
        bool ok = fixture_append(g, "m", CASES[i].t, 1, 0, &err);
        assert_int_equal(ok, CASES[i].ok);
        if (!ok) {
            assert_int_equal(err.kind, ERROR_INPUT);
            if (!strstr(err.message, CASES[i].words))
                fail_msg("%s", err.message);
        }
    }
    assert_false(head_group_open(f->head, VIEW("a"), &again, &err));
    assert_int_equal(err.kind, ERROR_BUSY);
    head_stats_get(f->head, &stats);
    assert_int_equal(stats.samples_appended, 3);
    assert_int_equal(stats.samples_out_of_order, 1);
    assert_int_equal(stats.samples_in_future, 2);
    assert_int_equal(stats.samples_too_old, 2);
    group_close(g);
}

/* A series that is missing gets one stale marker, and none when it comes back or stays away. */
static void a_missing_series_ends_with_one_marker(void **state)
{
    struct fixture *f = *state;
    struct error err;
    struct group *g = fixture_group(f->head, "a");
    for (int i = 0; i < 40; i++) {
        struct appender a;
        uint32_t x = fixture_slot(g, "x"), y = fixture_slot(g, "y");
        assert_true(appender_begin(&a, g, T0 + i * 1000, &err));
        appender_sample(&a, x, i);
        if (i < 5 || i > 30)
            appender_sample(&a, y, i);
        assert_true(appender_commit(&a, APPENDER_STALE_MISSING, &err));
    }
    group_close(g);
    head_flush(f->head);
    for (int round = 0; round < 2; round++) {
        assert_int_equal(read_all(f, "x"), 40);
        assert_int_equal(read_all(f, "y"), 5 + 1 + 9);
        assert_true(sample_is_stale(f->v[5]) && f->t[5] == T0 + 5000);
        assert_true(f->v[6] == 31 && f->t[6] == T0 + 31000);
        reopen(f, INT64_MIN);
    }
}

static void the_first_value_of_a_cell_stays(void **state)
{
    struct fixture *f = *state;
    struct appender a;
    struct error err;
    struct group *g = fixture_group(f->head, "a");
    uint32_t x = fixture_slot(g, "x");
    assert_true(appender_begin(&a, g, T0, &err));
    appender_sample(&a, x, 1);
    appender_sample(&a, x, 2);
    assert_int_equal(a.duplicate_count, 1);
    assert_true(appender_commit(&a, APPENDER_WAIT, &err));
    assert_true(appender_begin(&a, g, T0 + 1, &err));
    appender_sample(&a, x, 3);
    appender_rollback(&a);
    assert_int_equal(read_all(f, "x"), 1);
    assert_true(f->v[0] == 1);
    group_close(g);
}

/* Each kind of matcher against a small set; expectation by matcher_matches() on every series. */
static void select_agrees_with_the_matchers_definition(void **state)
{
    struct fixture *f = *state;
    struct error err;
    struct arena arena;
    static const char *const SERIES[] = {
        "a{x=\"1\",y=\"p\"}", "a{x=\"2\",y=\"p\"}", "a{x=\"3\"}",          "a",
        "b{x=\"1\",z=\"q\"}", "b{x=\"10\"}",        "b{x=\"11\",y=\"p\"}", "c{y=\"r\"}",
    };
    static const struct {
        enum matcher_type type;
        const char *name, *value;
    } MATCHERS[] = {
        {MATCH_EQUAL, "__name__", "a"},   {MATCH_EQUAL, "x", "1"},
        {MATCH_EQUAL, "x", ""},           {MATCH_NOT_EQUAL, "x", "1"},
        {MATCH_NOT_EQUAL, "y", ""},       {MATCH_REGEX, "x", "1|2|zz"},
        {MATCH_REGEX, "x", "1.*"},        {MATCH_REGEX, "x", ".*"},
        {MATCH_REGEX, "x", ".+"},         {MATCH_NOT_REGEX, "x", "1.*"},
        {MATCH_NOT_REGEX, "y", ""},       {MATCH_REGEX, "y", "p|"},
        {MATCH_EQUAL, "none", "1"},       {MATCH_NOT_EQUAL, "none", "1"},
        {MATCH_REGEX, "__name__", "a|b"}, {MATCH_NOT_REGEX, "__name__", "a|b"},
    };
    struct group *g = fixture_group(f->head, "a");
    for (size_t i = 0; i < ARRAY_COUNT(SERIES); i++)
        assert_true(fixture_append(g, SERIES[i], T0 + (int64_t)i, 1, APPENDER_WAIT, &err));
    struct head_view *view = head_pin(f->head, INT64_MIN);
    struct label_store *store = label_store_new(MEM_QUERY, 0);
    arena_init(&arena, MEM_QUERY, 0);
    for (size_t n = 0; n < ARRAY_COUNT(MATCHERS) * ARRAY_COUNT(MATCHERS); n++) {
        struct matcher m[2];
        struct series_list list;
        size_t expected = 0, idx[2] = {n / ARRAY_COUNT(MATCHERS), n % ARRAY_COUNT(MATCHERS)};
        for (int k = 0; k < 2; k++)
            assert_true(matcher_init(&m[k], MATCHERS[idx[k]].type, view_from(MATCHERS[idx[k]].name),
                                     view_from(MATCHERS[idx[k]].value), &err));
        struct select what = {m, 2, INT64_MIN, INT64_MAX, 0};
        assert_true(head_select(view, &what, store, &arena, &list, &err));
        for (size_t i = 0; i < ARRAY_COUNT(SERIES); i++) {
            struct labels ls = fixture_labels(&arena, SERIES[i]);
            bool in = matcher_matches(&m[0], labels_get(ls, m[0].name)) &&
                      matcher_matches(&m[1], labels_get(ls, m[1].name));
            expected += in;
            bool found = false;
            for (size_t k = 0; k < list.count; k++)
                found |= labels_equal(label_store_labels(store, list.items[k].labels, &arena), ls);
            if (in != found)
                fail_msg("%s with matchers %zu, %zu: expected %d", SERIES[i], idx[0], idx[1], in);
        }
        assert_int_equal(list.count, expected);
        matcher_deinit(&m[0]);
        matcher_deinit(&m[1]);
    }
    struct select all = {NULL, 0, T0, T0, 3};
    struct series_list list;
    struct view *names;
    size_t count;
    assert_false(head_select(view, &all, store, &arena, &list, &err));
    assert_int_equal(err.kind, ERROR_LIMIT);
    all.maxt = T0 - 1;
    assert_true(head_select(view, &all, store, &arena, &list, &err));
    assert_int_equal(list.count, 0);
    all = (struct select){NULL, 0, INT64_MIN, INT64_MAX, 0};
    assert_true(head_label_names(view, &all, 0, &arena, &names, &count, &err));
    assert_int_equal(count, 4);
    assert_true(view_is(names[0], "__name__") && view_is(names[3], "z"));
    assert_true(head_label_values(view, VIEW("x"), &all, 0, &arena, &names, &count, &err));
    assert_int_equal(count, 5);
    assert_true(view_is(names[1], "10"));
    arena_deinit(&arena);
    label_store_free(store);
    head_view_release(view);
    group_close(g);
}

/* Neighbours without gaps say that they share their timestamps; one with a gap does not. */
static void series_of_a_group_share_times(void **state)
{
    struct fixture *f = *state;
    struct error err;
    struct arena arena;
    struct group *g = fixture_group(f->head, "a");
    arena_init(&arena, MEM_QUERY, 0);
    for (int i = 0; i < 200; i++) {
        struct appender a;
        uint32_t x = fixture_slot(g, "x"), y = fixture_slot(g, "y"), z = fixture_slot(g, "z");
        assert_true(appender_begin(&a, g, T0 + i * 1000, &err));
        appender_sample(&a, x, i);
        appender_sample(&a, y, 2 * i);
        if (i != 100)
            appender_sample(&a, z, 3);
        assert_true(appender_commit(&a, 0, &err));
    }
    head_flush(f->head);
    struct head_view *view = head_pin(f->head, INT64_MIN);
    struct head_reader *reader = head_reader_new(view);
    struct label_store *store = label_store_new(MEM_QUERY, 0);
    struct select what = {NULL, 0, INT64_MIN, INT64_MAX, 0};
    struct series_list list;
    uint64_t ids[3];
    assert_true(head_select(view, &what, store, &arena, &list, &err));
    assert_int_equal(list.count, 3);
    for (int i = 0; i < 3; i++) {
        struct samples s;
        assert_true(
            head_reader_read(reader, list.items[i].ref, T0 + 50000, T0 + 150000, NULL, &s, &err));
        assert_int_equal(s.count, i < 2 ? 101 : 100);
        ids[i] = s.times_id;
    }
    assert_true(ids[0] != 0 && ids[0] == ids[1] && ids[2] == 0);
    arena_deinit(&arena);
    label_store_free(store);
    head_reader_free(reader);
    head_view_release(view);
    group_close(g);
}

/* A series that moved to another group is not asked for the times of each: a window before or after all samples finds
 * it as little as any other. */
static void moved_series_are_not_found_outside_all_times(void **state)
{
    static const struct {
        int64_t mint, maxt;
        size_t found;
    } CASES[] = {{INT64_MIN, INT64_MAX, 1},
                 {T0, T0, 1},
                 {T0 + 1000, T0 + 9000, 1},
                 {0, T0 - 1, 0},
                 {T0 + 1001, INT64_MAX, 0}};
    struct fixture *f = *state;
    struct error err;
    struct arena arena;
    struct group *a = fixture_group(f->head, "a"), *b = fixture_group(f->head, "b");
    arena_init(&arena, MEM_QUERY, 0);
    assert_true(fixture_append(a, "x{n=\"1\"}", T0, 1, APPENDER_WAIT, &err));
    assert_true(fixture_append(b, "x{n=\"1\"}", T0 + 1000, 1, APPENDER_WAIT, &err));
    struct head_view *view = head_pin(f->head, INT64_MIN);
    struct label_store *store = label_store_new(MEM_QUERY, 0);
    for (size_t i = 0; i < ARRAY_COUNT(CASES); i++) {
        struct select what = {NULL, 0, CASES[i].mint, CASES[i].maxt, 0};
        struct series_list list;
        struct view *texts;
        size_t count;
        assert_true(head_select(view, &what, store, &arena, &list, &err));
        assert_int_equal(list.count, CASES[i].found);
        assert_true(head_label_values(view, VIEW("n"), &what, 0, &arena, &texts, &count, &err));
        assert_int_equal(count, CASES[i].found);
        assert_true(head_label_names(view, &what, 0, &arena, &texts, &count, &err));
        assert_int_equal(count, 2 * CASES[i].found);
    }
    label_store_free(store);
    arena_deinit(&arena);
    head_view_release(view);
    group_close(a);
    group_close(b);
}

/* A view goes on showing what it showed: rows, cuts and new series behind it change nothing. */
static void a_view_sees_one_state(void **state)
{
    struct fixture *f = *state;
    struct error err;
    struct arena arena;
    struct group *g = fixture_group(f->head, "a");
    arena_init(&arena, MEM_QUERY, 0);
    for (int i = 0; i < 100; i++)
        assert_true(fixture_append(g, "x", T0 + i * 1000, i, APPENDER_WAIT, &err));
    struct head_view *view = head_pin(f->head, INT64_MIN);
    struct head_reader *reader = head_reader_new(view);
    struct label_store *store = label_store_new(MEM_QUERY, 0);
    struct select what = {NULL, 0, INT64_MIN, INT64_MAX, 0};
    struct series_list list;
    struct samples s;
    assert_true(head_select(view, &what, store, &arena, &list, &err));
    assert_true(head_reader_read(reader, list.items[0].ref, INT64_MIN, INT64_MAX, NULL, &s, &err));
    assert_int_equal(s.count, 100);
    for (int i = 100; i < 300; i++)
        assert_true(fixture_append(g, "x", T0 + i * 1000, i, APPENDER_WAIT, &err));
    assert_true(head_truncate(f->head, T0 + 250000, &err));
    struct head_reader *other = head_reader_new(view);
    assert_true(head_reader_read(other, list.items[0].ref, INT64_MIN, INT64_MAX, NULL, &s, &err));
    assert_int_equal(s.count, 100);
    assert_true(s.values[99] == 99);
    head_reader_free(other);
    head_reader_free(reader);
    head_view_release(view);
    assert_int_equal(read_all(f, "x"), 50);
    label_store_free(store);
    arena_deinit(&arena);
    group_close(g);
}

/* After a cut the past is gone, from memory and from disk; series without samples since are gone too, and
 * may come back under the same labels. */
static void truncate_forgets(void **state)
{
    struct fixture *f = *state;
    struct error err;
    struct db_stats stats = {0};
    struct group *a = fixture_group(f->head, "a"), *b = fixture_group(f->head, "b");
    for (int i = 0; i < 20; i++)
        assert_true(fixture_append(a, "dead{x=\"1\"}", T0 + i, i, 0, &err));
    group_close(a);
    for (int i = 0; i < 200; i++)
        assert_true(fixture_append(b, "alive", T0 + i * 1000, i, 0, &err));
    assert_true(head_truncate(f->head, T0 + 150000, &err));
    assert_int_equal(read_all(f, "dead{x=\"1\"}"), -1);
    assert_int_equal(read_all(f, "alive"), 50);
    head_stats_get(f->head, &stats);
    assert_int_equal(stats.head_series, 1);
    assert_int_equal(stats.head_groups, 1);
    a = fixture_group(f->head, "a");
    assert_true(fixture_append(a, "dead{x=\"1\"}", T0 + 200000, 7, 0, &err));
    group_close(a);
    group_close(b);
    reopen(f, T0 + 150000);
    assert_int_equal(read_all(f, "dead{x=\"1\"}"), 1);
    assert_int_equal(read_all(f, "alive"), 50);
    head_stats_get(f->head, &stats);
    assert_int_equal(stats.head_series, 2);
    /* All rows of the first segments are below the next cut. */
    assert_true(head_truncate(f->head, T0 + 300000, &err));
    head_stats_get(f->head, &stats);
    assert_int_equal(stats.head_series, 0);
    assert_true(stats.head_mint == INT64_MAX && stats.head_maxt == INT64_MIN);
    char wal[512];
    snprintf(wal, sizeof wal, "%s/head/wal", f->dir);
    assert_int_equal(dir_bytes(wal), 0);
}

/* A slot that was given and given back before any row: the seal that frees it takes it off the end, and then gives its
 * neighbours to others. The next row must not speak of it: a replay would not take that row. */
static void slots_that_lived_for_no_row_leave_nothing_in_the_next(void **state)
{
    enum { FIRST = 40, RELEASED = 35 };
    struct fixture *f = *state;
    struct error err;
    struct appender a;
    struct group *g = fixture_group(f->head, "a");
    uint32_t slots[FIRST];
    char name[64];
    for (int i = 0; i < FIRST; i++) {
        snprintf(name, sizeof name, "m{i=\"%d\"}", i);
        slots[i] = fixture_slot(g, name);
    }
    assert_true(appender_begin(&a, g, T0, &err));
    for (int i = 0; i < FIRST; i++)
        appender_sample(&a, slots[i], i);
    assert_true(appender_commit(&a, 0, &err));
    uint32_t none = fixture_slot(g, "m{i=\"for no row\"}");
    assert_int_equal(none, FIRST);
    group_release_slot(g, none);
    for (int i = 0; i < RELEASED; i++)
        group_release_slot(g, slots[i]);
    assert_true(appender_begin(&a, g, T0 + 1000, &err)); /* seals: many slots wait to be freed */
    assert_int_equal(group_slot_count(g), FIRST);
    uint32_t late = fixture_slot(g, "m{i=\"new\"}");
    assert_true(late < RELEASED);
    appender_sample(&a, late, 1000);
    appender_sample(&a, slots[FIRST - 1], 1000);
    assert_true(appender_commit(&a, 0, &err));
    group_close(g);
    head_flush(f->head);
    for (int round = 0; round < 3; round++) {
        assert_int_equal(read_all(f, "m{i=\"new\"}"), 1);
        assert_true(f->v[0] == 1000);
        assert_int_equal(read_all(f, "m{i=\"39\"}"), 2);
        assert_true(read_all(f, "m{i=\"for no row\"}") <= 0);
        assert_int_equal(read_all(f, "m{i=\"0\"}"), 1);
        reopen(f, INT64_MIN);
    }
}

/* Series come and go in one group: its width stays near what lives at a time. */
static void churn_does_not_widen_a_group(void **state)
{
    struct fixture *f = *state;
    struct error err;
    struct group *g = fixture_group(f->head, "a");
    uint32_t slots[400];
    for (int i = 0; i < 400; i++) {
        struct appender a;
        char name[64];
        snprintf(name, sizeof name, "m{pod=\"%d\"}", i);
        slots[i] = fixture_slot(g, name);
        assert_true(appender_begin(&a, g, T0 + i * 1000, &err));
        for (int k = i < 4 ? 0 : i - 4; k <= i; k++)
            appender_sample(&a, slots[k], k * 1000 + i);
        assert_true(appender_commit(&a, APPENDER_STALE_MISSING, &err));
        if (i >= 5)
            group_release_slot(g, slots[i - 5]);
    }
    if (group_slot_count(g) > 200)
        fail_msg("%" PRIu32 " slots for 5 living series", group_slot_count(g));
    group_close(g);
    head_flush(f->head);
    for (int round = 0; round < 2; round++) {
        for (int i = 0; i < 400; i++) {
            char name[64];
            snprintf(name, sizeof name, "m{pod=\"%d\"}", i);
            long count = read_all(f, name), expected = i > 394 ? 400 - i : 6;
            assert_int_equal(count, expected);
            for (long k = 0; k < count && k < 5; k++)
                assert_true(f->v[k] == i * 1000 + i + k);
        }
        reopen(f, INT64_MIN);
    }
}

/* The same labels from two groups: both parts are read, in order, each time once. */
static void a_series_that_moves_is_read_from_both_groups(void **state)
{
    struct fixture *f = *state;
    struct error err;
    struct group *a = fixture_group(f->head, "a"), *b = fixture_group(f->head, "b");
    for (int i = 0; i < 30; i++)
        assert_true(fixture_append(a, "x", T0 + i * 1000, 1, 0, &err));
    for (int i = 20; i < 50; i++)
        assert_true(fixture_append(b, "x", T0 + i * 1000, 2, 0, &err));
    group_close(a);
    group_close(b);
    head_flush(f->head);
    for (int round = 0; round < 2; round++) {
        assert_int_equal(read_all(f, "x"), 50);
        for (int i = 0; i < 50; i++)
            assert_true(f->t[i] == T0 + i * 1000);
        assert_true(f->v[0] == 1 && f->v[49] == 2);
        reopen(f, INT64_MIN);
    }
}

static bool count_metadata(void *arg, const struct metric_metadata *m)
{
    *(int *)arg += view_is(m->family, "m") && view_is(m->help, "help me");
    return true;
}

static void metadata_is_kept_once(void **state)
{
    struct fixture *f = *state;
    struct error err;
    struct group *g = fixture_group(f->head, "a");
    struct metric_metadata m = {VIEW("m"), VIEW("help me"), VIEW(""), METRIC_GAUGE};
    group_set_metadata(g, &m);
    group_set_metadata(g, &m);
    assert_true(fixture_append(g, "m", T0, 1, 0, &err));
    group_close(g);
    for (int round = 0; round < 2; round++) {
        int count = 0;
        head_metadata_each(f->head, count_metadata, &count);
        assert_int_equal(count, 1);
        reopen(f, INT64_MIN);
    }
}

static void top_lists_count(void **state)
{
    struct fixture *f = *state;
    struct error err;
    struct arena arena;
    struct db_top top;
    struct group *g = fixture_group(f->head, "a");
    arena_init(&arena, MEM_OTHER, 0);
    static const char *const SERIES[] = {"a{x=\"1\"}", "a{x=\"2\"}", "a{x=\"33\"}", "b{x=\"1\"}"};
    for (size_t i = 0; i < ARRAY_COUNT(SERIES); i++)
        assert_true(fixture_append(g, SERIES[i], T0 + (int64_t)i, 1, 0, &err));
    head_top_get(f->head, 1, &arena, &top);
    assert_int_equal(top.series_by_metric_count, 1);
    assert_true(view_is(top.series_by_metric[0].name, "a") && top.series_by_metric[0].value == 3);
    assert_true(view_is(top.values_by_label[0].name, "x") && top.values_by_label[0].value == 3);
    assert_true(view_is(top.bytes_by_label[0].name, "x") && top.bytes_by_label[0].value == 5);
    assert_true(view_is(top.series_by_pair[0].name, "__name__=a"));
    assert_int_equal(top.label_pairs, 5);
    arena_deinit(&arena);
    group_close(g);
}

static void a_limit_of_series_refuses_new_ones(void **state)
{
    struct fixture *f = *state;
    struct db_options opts = {.series_max = 2};
    struct error err;
    struct arena arena;
    uint32_t slot;
    fixture_close(f->head);
    f->head = fixture_open(f->dir, INT64_MIN, &opts);
    struct group *g = fixture_group(f->head, "a");
    arena_init(&arena, MEM_OTHER, 0);
    fixture_slot(g, "a");
    fixture_slot(g, "b");
    assert_false(group_slot(g, fixture_labels(&arena, "c"), &slot, &err));
    assert_int_equal(err.kind, ERROR_LIMIT);
    fixture_slot(g, "a");
    arena_deinit(&arena);
    group_close(g);
}

/* --- against a plain model --- */

enum { MODEL_SERIES = 60, MODEL_GROUPS = 3, MODEL_ROWS = 3000 };

struct model_series {
    char labels[64];
    int64_t t[MODEL_ROWS];
    double v[MODEL_ROWS];
    int count;
    bool in_last_row;
    double last;
};
struct model {
    struct fixture *f;
    struct random random;
    struct model_series series[MODEL_SERIES]; /* series i is group i % MODEL_GROUPS's */
    struct group *groups[MODEL_GROUPS];
    int64_t now, floor, last_row[MODEL_GROUPS];
};

static double model_value(struct model *m, const struct model_series *s)
{
    switch (random_below(&m->random, 8)) {
    case 0:
        return (double)random_below(&m->random, 1000) / 100;
    case 1:
        return random_unit(&m->random) * 1e10;
    case 2:
        return sample_from_bits(random_next(&m->random) | UINT64_C(0x7ff8) << 48);
    default:
        return (s->count > 0 && !isnan(s->last) ? floor(s->last) : 0) +
               (double)random_below(&m->random, 3);
    }
}

static void model_add(struct model_series *s, int64_t t, double v)
{
    assert_true(s->count < MODEL_ROWS);
    s->t[s->count] = t;
    s->v[s->count++] = v;
    s->last = v;
}

static void model_row(struct model *m, int group)
{
    struct appender a;
    struct error err;
    struct group *g = m->groups[group];
    bool stale = random_below(&m->random, 4) != 0, rollback = random_below(&m->random, 20) == 0;
    bool sparse = random_below(&m->random, 3) == 0, any = false;
    m->now += 1 + (int64_t)random_below(&m->random, 20000);
    if (!appender_begin(&a, g, m->now, &err))
        fail_msg("%s", err.message);
    double values[MODEL_SERIES];
    bool in[MODEL_SERIES] = {false};
    for (int i = group; i < MODEL_SERIES; i += MODEL_GROUPS) {
        if (random_below(&m->random, 100) < (sparse ? 50u : 3u))
            continue;
        in[i] = any = true;
        values[i] = model_value(m, &m->series[i]);
        appender_sample(&a, fixture_slot(g, m->series[i].labels), values[i]);
    }
    if (rollback) {
        appender_rollback(&a);
        return;
    }
    if (!appender_commit(&a, stale ? APPENDER_STALE_MISSING : 0, &err))
        fail_msg("%s", err.message);
    for (int i = group; i < MODEL_SERIES; i += MODEL_GROUPS) {
        struct model_series *s = &m->series[i];
        if (in[i])
            model_add(s, m->now, values[i]);
        else if (stale && s->in_last_row && !sample_is_stale(s->last))
            model_add(s, m->now, sample_stale()), any = true;
        else if (any)
            s->in_last_row = false;
    }
    if (any)
        m->last_row[group] = m->now;
    for (int i = group; any && i < MODEL_SERIES; i += MODEL_GROUPS)
        m->series[i].in_last_row =
            m->series[i].count > 0 && m->series[i].t[m->series[i].count - 1] == m->now;
}

static void model_check(struct model *m)
{
    struct fixture *f = m->f;
    head_flush(f->head);
    for (int i = 0; i < MODEL_SERIES; i++) {
        struct model_series *s = &m->series[i];
        int from = 0;
        int64_t mint = random_below(&m->random, 2)
                           ? INT64_MIN
                           : m->now - (int64_t)random_below(&m->random, 4000000);
        while (from < s->count && (s->t[from] < m->floor || s->t[from] < mint))
            from++;
        long count = fixture_read(f->head, s->labels, mint, INT64_MAX, f->t, f->v, READ_MAX);
        if ((count == -1 ? 0 : count) != s->count - from)
            fail_msg("%s has %ld samples, expected %d", s->labels, count, s->count - from);
        for (int k = 0; k < count; k++) {
            if (f->t[k] != s->t[from + k] || sample_bits(f->v[k]) != sample_bits(s->v[from + k]))
                fail_msg("%s sample %d: %" PRId64 " %a, expected %" PRId64 " %a", s->labels, k,
                         f->t[k], f->v[k], s->t[from + k], s->v[from + k]);
        }
    }
}

static void model_groups_open(struct model *m)
{
    for (int i = 0; i < MODEL_GROUPS; i++) {
        char key[16];
        snprintf(key, sizeof key, "group %d", i);
        m->groups[i] = fixture_group(m->f->head, key);
    }
}

static void model_restart(struct model *m)
{
    for (int i = 0; i < MODEL_GROUPS; i++)
        group_close(m->groups[i]);
    bool with_cut = random_below(&m->random, 2);
    reopen(m->f, with_cut ? m->floor : INT64_MIN);
    if (!with_cut) { /* the cut is repeated, as a database would that lost its blocks' end */
        struct error err;
        assert_true(head_truncate(m->f->head, m->floor, &err));
        for (int i = 0; i < MODEL_SERIES; i++) {
            if (m->last_row[i % MODEL_GROUPS] < m->floor)
                m->series[i].in_last_row = false; /* the closed group was forgotten whole */
        }
    }
    model_groups_open(m);
}

/* Rows, gaps, stale markers, rollbacks, released slots, restarts, sealing and cuts in random order; every series is
 * compared with a plain list, bit for bit. */
static void random_operations_agree_with_a_model(void **state)
{
    const char *scale = getenv("TEST_SCALE"), *fixed = getenv("TEST_SEED");
    int rounds = 3 * (scale ? (int)strtol(scale, NULL, 10) : 1);
    struct error err;
    for (int round = 0; round < rounds; round++) {
        struct fixture *f = *state;
        struct model *m = calloc(1, sizeof *m);
        uint64_t seed = fixed ? strtoull(fixed, NULL, 10) : (uint64_t)clock_mono().ns;
        print_message("seed %" PRIu64 "\n", seed);
        random_seed(&m->random, seed);
        m->f = f;
        m->now = T0;
        m->floor = INT64_MIN;
        for (int i = 0; i < MODEL_SERIES; i++)
            snprintf(m->series[i].labels, sizeof m->series[i].labels, "m%d{i=\"%d\"}", i % 7, i);
        model_groups_open(m);
        for (int op = 0; op < 1500; op++) {
            uint64_t what = random_below(&m->random, 300);
            int group = (int)random_below(&m->random, MODEL_GROUPS);
            if (what == 0) {
                model_restart(m);
            } else if (what == 1) {
                int64_t cut = m->now - (int64_t)random_below(&m->random, 1500000);
                m->floor = cut > m->floor ? cut : m->floor; /* it never goes back */
                assert_true(head_truncate(f->head, m->floor, &err));
            } else if (what < 4) {
                model_check(m);
            } else if (what == 4) {
                assert_true(head_store_all(f->head, &err));
            } else if (what < 8) {
                assert_true(head_store(f->head, &err));
            } else if (what < 30) {
                int i = group + MODEL_GROUPS * (int)random_below(&m->random, 20);
                if (!m->series[i].in_last_row)
                    group_release_slot(m->groups[group],
                                       fixture_slot(m->groups[group], m->series[i].labels));
            } else {
                model_row(m, group);
            }
        }
        model_check(m);
        model_restart(m);
        model_check(m);
        for (int i = 0; i < MODEL_GROUPS; i++)
            group_close(m->groups[i]);
        free(m);
        teardown(state);
        setup(state);
    }
}

int main(void)
{
#define HEAD_TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        HEAD_TEST(what_was_appended_is_read),
        HEAD_TEST(refusals_name_their_reason),
        HEAD_TEST(a_missing_series_ends_with_one_marker),
        HEAD_TEST(the_first_value_of_a_cell_stays),
        HEAD_TEST(select_agrees_with_the_matchers_definition),
        HEAD_TEST(series_of_a_group_share_times),
        HEAD_TEST(moved_series_are_not_found_outside_all_times),
        HEAD_TEST(a_view_sees_one_state),
        HEAD_TEST(truncate_forgets),
        HEAD_TEST(slots_that_lived_for_no_row_leave_nothing_in_the_next),
        HEAD_TEST(churn_does_not_widen_a_group),
        HEAD_TEST(a_series_that_moves_is_read_from_both_groups),
        HEAD_TEST(metadata_is_kept_once),
        HEAD_TEST(top_lists_count),
        HEAD_TEST(a_limit_of_series_refuses_new_ones),
        HEAD_TEST(random_operations_agree_with_a_model),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
