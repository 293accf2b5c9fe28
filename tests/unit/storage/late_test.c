/* SPDX-License-Identifier: Apache-2.0 */
/* late_test.c: samples in any order. What is read is what a map of (series, time) would hold in which the first
 * value stays, whatever way the samples went: rows, cells filled later, runs of late samples, the WAL. */
#include "head_fixture.h"

#include "base/random.h"
#include "base/thread.h"
#include "model/sample.h"
#include "storage/head_private.h"

#include <inttypes.h>

enum { READ_MAX = 1 << 14 };
#define HOUR_MS (INT64_C(3600) * 1000)

struct fixture {
    char dir[256];
    struct db_options opts;
    struct head *head;
    int64_t t[READ_MAX];
    double v[READ_MAX];
};

static int setup(void **state)
{
    struct fixture *f = calloc(1, sizeof *f);
    fixture_dir(f->dir, sizeof f->dir);
    f->head = fixture_open(f->dir, INT64_MIN, NULL);
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;
    clock_test_unfreeze();
    if (f->head)
        fixture_close(f->head);
    fixture_dir_remove(f->dir);
    free(f);
    return 0;
}

static void reopen(struct fixture *f, int64_t block_maxt)
{
    fixture_close(f->head);
    f->head = fixture_open(f->dir, block_maxt, &f->opts);
}

static struct db_stats stats_of(struct head *h)
{
    struct db_stats s = {0};
    head_stats_get(h, &s);
    return s;
}

/* What the series holds, as "t=value" relative to T0 in seconds. */
static void assert_holds_at(struct fixture *f, const char *labels, const char *expected, int line)
{
    char text[4096] = "";
    size_t len = 0;
    long count = fixture_read(f->head, labels, INT64_MIN, INT64_MAX, f->t, f->v, READ_MAX);
    for (long i = 0; i < count; i++) {
        int64_t ms = f->t[i] - T0;
        len += (size_t)snprintf(text + len, sizeof text - len, "%s%g=%g", i > 0 ? " " : "",
                                (double)ms / 1000, f->v[i]);
        assert_true(len < sizeof text - 64);
    }
    if (strcmp(text, expected) != 0)
        fail_msg("line %d: %s is %s, expected %s", line, labels, text, expected);
}
#define assert_holds(f, labels, expected) assert_holds_at(f, labels, expected, __LINE__)

static void append(struct group *g, const char *labels, int64_t seconds, double value)
{
    struct error err;
    if (!fixture_append(g, labels, T0 + seconds * 1000, value, APPENDER_WAIT, &err))
        fail_msg("%s at %" PRId64 ": %s", labels, seconds, err.message);
}

/* --- tables --------------------------------------------------------------------------------------- */

/* One group; each line of a case appends, the answer is what x and y hold then, at once and after a restart. */
static void samples_are_read_where_their_time_says(void **state)
{
    static const struct {
        const char *name;
        struct {
            const char *labels;
            int seconds;
            double value;
        } in[8];
        const char *x, *y;
        unsigned out_of_order, duplicate;
    } CASES[] = {
        {"in order", {{"x", 1, 1}, {"x", 2, 2}}, "1=1 2=2", "", 0, 0},
        {"before the first", {{"x", 5, 1}, {"x", 2, 2}}, "2=2 5=1", "", 1, 0},
        {"between", {{"x", 1, 1}, {"x", 9, 2}, {"x", 4, 3}}, "1=1 4=3 9=2", "", 1, 0},
        {"a fill of the last row", {{"x", 1, 1}, {"y", 1, 2}}, "1=1", "1=2", 0, 0},
        {"a fill, then rows",
         {{"x", 1, 1}, {"y", 1, 2}, {"x", 2, 1}, {"y", 2, 4}, {"y", 3, 5}},
         "1=1 2=1",
         "1=2 2=4 3=5",
         0,
         0},
        {"fills of older rows",
         {{"x", 1, 1}, {"x", 2, 2}, {"x", 3, 3}, {"y", 1, 7}, {"y", 3, 8}, {"y", 2, 9}},
         "1=1 2=2 3=3",
         "1=7 2=9 3=8",
         0,
         0},
        {"the same again",
         {{"x", 1, 1}, {"x", 2, 2}, {"x", 1, 1}, {"x", 2, 2}},
         "1=1 2=2",
         "",
         0,
         0},
        {"another value",
         {{"x", 1, 1}, {"x", 2, 2}, {"x", 1, 5}, {"x", 2, 6}},
         "1=1 2=2",
         "",
         0,
         2},
        {"another value of a late one",
         {{"x", 9, 1}, {"x", 2, 2}, {"x", 2, 5}},
         "2=2 9=1",
         "",
         1,
         1},
        {"another value of a fill",
         {{"x", 1, 1}, {"y", 1, 2}, {"y", 1, 3}, {"y", 2, 4}},
         "1=1",
         "1=2 2=4",
         0,
         1},
        {"times below 0",
         {{"x", 1, 1}, {"x", -1700, 2}, {"x", -20000, 2}},
         "-20000=2 -1700=2 1=1",
         "",
         2,
         0},
        {"0 is not -0", {{"x", 2, 0}, {"x", 1, 0}, {"x", 1, -0.0}}, "1=0 2=0", "", 1, 1},
    };
    struct fixture *f = *state;
    for (size_t i = 0; i < ARRAY_COUNT(CASES); i++) {
        struct db_stats s;
        teardown(state);
        setup(state);
        f = *state;
        struct group *g = fixture_group(f->head, "a");
        for (size_t k = 0; k < ARRAY_COUNT(CASES[i].in) && CASES[i].in[k].labels; k++)
            append(g, CASES[i].in[k].labels, CASES[i].in[k].seconds, CASES[i].in[k].value);
        print_message("%s\n", CASES[i].name);
        s = stats_of(f->head);
        assert_int_equal(s.samples_out_of_order, CASES[i].out_of_order);
        assert_int_equal(s.samples_duplicate, CASES[i].duplicate);
        for (int round = 0; round < 3; round++) {
            assert_holds(f, "x", CASES[i].x);
            assert_holds(f, "y", CASES[i].y);
            if (g)
                group_close(g);
            g = NULL;
            reopen(f, INT64_MIN);
        }
    }
}

/* Rows that were packed and sealed are known too: a batch that is sent again adds nothing. */
static void what_is_sent_again_adds_nothing(void **state)
{
    struct fixture *f = *state;
    struct group *g = fixture_group(f->head, "a");
    for (int i = 0; i < 700; i++)
        append(g, "x", i, i * 3);
    append(g, "x", 500, -1);
    for (int i = 0; i < 700; i += 7)
        append(g, "x", i, i * 3);
    struct db_stats s = stats_of(f->head);
    assert_int_equal(s.samples_appended, 700);
    assert_int_equal(s.samples_duplicate, 1);
    assert_int_equal(s.late_bytes, 0);
    group_close(g);
}

/* A series that has late samples and no row is found, by time and by name, also after a restart. */
static void a_series_of_late_samples_alone_is_found(void **state)
{
    struct fixture *f = *state;
    struct group *g = fixture_group(f->head, "a"), *b = fixture_group(f->head, "b");
    append(g, "x", 1000, 1);
    append(g, "late{n=\"1\"}", 10, 5);
    append(b, "x{g=\"b\"}", 2000, 1);
    append(b, "x", 20, 8); /* in a group that is not its first */
    append(g, "x", 1001, 2);
    group_close(g);
    group_close(b);
    for (int round = 0; round < 3; round++) {
        int64_t mint, maxt;
        assert_holds(f, "late{n=\"1\"}", "10=5");
        assert_holds(f, "x", "20=8 1000=1 1001=2");
        assert_int_equal(fixture_read(f->head, "late{n=\"1\"}", T0, T0 + 10000, f->t, f->v, 10), 1);
        head_time_range(f->head, &mint, &maxt);
        assert_true(mint == T0 + 10000 && maxt == T0 + 2000000);
        reopen(f, INT64_MIN);
    }
}

static void the_window_is_measured_from_the_newest_sample(void **state)
{
    static const struct {
        int64_t window_ms, seconds;
        enum appender_refusal refusal;
        const char *words;
    } CASES[] = {
        {0, -24 * 3600, APPENDER_TAKEN, ""},
        {0, -24 * 3600 - 1, APPENDER_TOO_OLD, "too old sample: timestamp "},
        {60000, -60, APPENDER_TAKEN, ""},
        {60000, -61, APPENDER_TOO_OLD, "too old sample"},
        {-1, -1, APPENDER_OUT_OF_ORDER, "out of order sample"},
        {-1, -3601, APPENDER_OUT_OF_BOUNDS, "out of bounds"},
        {-1, 0, APPENDER_TAKEN, ""},
    };
    struct fixture *f = *state;
    struct error err;
    struct group *g = fixture_group(f->head, "a");
    append(g, "x", 0, 1);
    for (size_t i = 0; i < ARRAY_COUNT(CASES); i++) {
        struct appender a;
        uint32_t slot = fixture_slot(g, "x");
        head_set_out_of_order_window(f->head, CASES[i].window_ms);
        bool ok = appender_begin(&a, g, T0 + CASES[i].seconds * 1000, &err);
        if (ok) {
            appender_sample(&a, slot, 1);
            ok = appender_commit(&a, APPENDER_WAIT, &err);
        }
        assert_int_equal(ok, CASES[i].refusal == APPENDER_TAKEN);
        assert_int_equal(a.refusal, CASES[i].refusal);
        if (!ok && (err.kind != ERROR_INPUT || !strstr(err.message, CASES[i].words)))
            fail_msg("case %zu: %s", i, err.message);
    }
    struct db_stats s = stats_of(f->head);
    assert_int_equal(s.samples_too_old, 2);
    assert_int_equal(s.samples_out_of_bounds, 1);
    assert_int_equal(s.samples_order_refused, 1);
    group_close(g);
}

/* Without a window each series still goes at its own pace, as in Prometheus: only what is before its own last sample is
 * refused. */
static void without_a_window_order_is_per_series(void **state)
{
    struct fixture *f = *state;
    struct error err;
    struct appender a;
    struct group *g = fixture_group(f->head, "a");
    head_set_out_of_order_window(f->head, -1);
    for (int i = 0; i < 100; i++)
        append(g, "x", i * 10, i);
    append(g, "y", 15, 1);
    append(g, "y", 25, 2);
    uint32_t x = fixture_slot(g, "x"), y = fixture_slot(g, "y");
    assert_true(appender_begin(&a, g, T0 + 26000, &err));
    appender_sample(&a, x, 3);
    appender_sample(&a, y, 3);
    assert_true(appender_commit(&a, APPENDER_WAIT, &err));
    assert_int_equal(a.refused_count, 1);
    assert_int_equal(a.conflict_count, 0);
    assert_false(fixture_append(g, "y", T0 + 20000, 1, 0, &err));
    assert_holds(f, "y", "15=1 25=2 26=3");
    group_close(g);
}

/* An empty head takes any time that is not in the future; from then on the window counts. */
static void an_empty_head_takes_any_age(void **state)
{
    struct fixture *f = *state;
    struct error err;
    struct group *g = fixture_group(f->head, "a");
    static const int64_t TIMES[] = {-INT64_C(62135596800000), -1, 0, 1, INT64_C(1000000000000)};
    for (size_t i = 0; i < ARRAY_COUNT(TIMES); i++)
        if (!fixture_append(g, "x", TIMES[i], 1, APPENDER_WAIT, &err))
            fail_msg("%" PRId64 ": %s", TIMES[i], err.message);
    assert_false(fixture_append(g, "x", 2, 1, APPENDER_WAIT, &err));
    assert_int_equal(fixture_read(f->head, "x", INT64_MIN, INT64_MAX, f->t, f->v, 10), 5);
    group_close(g);
}

/* Counts of one row tell what became of its cells. */
static void a_row_says_what_was_not_taken(void **state)
{
    struct fixture *f = *state;
    struct error err;
    struct appender a;
    struct group *g = fixture_group(f->head, "a");
    uint32_t x = fixture_slot(g, "x"), y = fixture_slot(g, "y"), z = fixture_slot(g, "z");
    append(g, "x", 10, 1);
    append(g, "y", 20, 1);
    assert_true(appender_begin(&a, g, T0 + 10000, &err));
    assert_true(a.is_late);
    appender_sample(&a, x, 2);
    appender_sample(&a, y, 2);
    appender_sample(&a, y, 2);
    appender_sample(&a, z, 3);
    appender_sample(&a, z, 4);
    assert_int_equal(a.repeat_count, 2);
    assert_true(appender_commit(&a, APPENDER_WAIT | APPENDER_STALE_MISSING, &err));
    assert_int_equal(a.duplicate_count, 1); /* z, here */
    assert_int_equal(a.conflict_count, 1);  /* x, before */
    assert_true(a.present[0] == UINT64_C(1) << x);
    assert_holds(f, "x", "10=1");
    assert_holds(f, "y", "10=2 20=1");
    assert_holds(f, "z", "10=3");
    group_close(g);
}

/* --- clock ---------------------------------------------------------------------------------------- */

/* The clock steps back by 12 hours (an hour less than a day's window is left), and later forward again; or it was a
 * year ahead for a moment. Rows are written every minute, at whatever the clock says: none is missing. */
static void a_clock_that_steps_loses_nothing(void **state)
{
    static const struct {
        const char *name;
        int64_t jump_ms, back_ms;
    } CASES[] = {
        {"back 12 h", -12 * HOUR_MS, 12 * HOUR_MS},
        {"back 12 h for good", -12 * HOUR_MS, 0},
        {"forward a year for a moment", 365 * 24 * HOUR_MS, -365 * 24 * HOUR_MS},
    };
    for (size_t i = 0; i < ARRAY_COUNT(CASES); i++) {
        teardown(state);
        setup(state);
        struct fixture *f = *state;
        struct error err;
        int written = 0;
        clock_test_freeze((wall_time){T0 + 777}, (mono_time){1000000000});
        struct group *g = fixture_group(f->head, "a");
        for (int minute = 0; minute < 300; minute++) {
            clock_test_advance_ms(60000 + minute % 3);
            if (minute == 100)
                clock_test_jump_wall_ms(CASES[i].jump_ms);
            if (minute == 102 + (i == 0) * 100)
                clock_test_jump_wall_ms(CASES[i].back_ms);
            if (!fixture_append(g, "x", clock_wall().ms, minute, 0, &err))
                fail_msg("%s: minute %d: %s", CASES[i].name, minute, err.message);
            written++;
        }
        group_close(g);
        head_flush(f->head);
        for (int round = 0; round < 2; round++) {
            assert_int_equal(fixture_read(f->head, "x", INT64_MIN, INT64_MAX, f->t, f->v, READ_MAX),
                             written);
            reopen(f, INT64_MIN);
        }
    }
}

/* --- forgetting ----------------------------------------------------------------------------------- */

/* A cut hides rows below it, but not what came late and is in no block yet; that is forgotten by its own rule, and
 * only what was there at the mark. */
static void late_samples_outlive_a_cut_until_they_are_saved(void **state)
{
    struct fixture *f = *state;
    struct error err;
    struct head_late_mark mark;
    struct group *g = fixture_group(f->head, "a");
    for (int i = 0; i < 200; i++)
        append(g, "x", i * 10, i);
    append(g, "x", 15, -1);
    append(g, "x", 1995, -2);
    assert_true(head_truncate(f->head, T0 + 1970000, &err));
    append(g, "x", 25, -3);
    for (int round = 0; round < 2; round++) {
        assert_holds(f, "x", "15=-1 25=-3 1970=197 1980=198 1990=199 1995=-2");
        group_close(g);
        reopen(f, T0 + 1970000);
        g = fixture_group(f->head, "a");
    }
    assert_true(head_late_mark(f->head, true, &mark, &err));
    append(g, "x", 35, -4);
    assert_true(head_late_oldest(f->head, &mark, INT64_MIN, INT64_MAX) == T0 + 15000);
    assert_true(head_late_oldest(f->head, &mark, T0 + 15001, INT64_MAX) == T0 + 25000);
    assert_true(head_late_oldest(f->head, &mark, T0 + 25001, T0 + 1995000) == INT64_MAX);
    head_late_forget(f->head, &mark, INT64_MIN, T0 + 1970000);
    assert_holds(f, "x", "35=-4 1970=197 1980=198 1990=199 1995=-2");
    assert_true(head_late_saved(f->head, &mark, T0 + 1970000, &err));
    group_close(g);
    reopen(f, T0 + 1970000);
    assert_holds(f, "x", "35=-4 1970=197 1980=198 1990=199 1995=-2");
    /* All of it is old and saved: the WAL is empty then. */
    char wal[512];
    snprintf(wal, sizeof wal, "%s/head/wal", f->dir);
    assert_true(head_late_mark(f->head, true, &mark, &err));
    assert_true(head_truncate(f->head, T0 + 5000000, &err));
    assert_true(dir_bytes(wal) > 0);
    head_late_forget(f->head, &mark, INT64_MIN, T0 + 5000000);
    assert_holds(f, "x", "");
    assert_true(head_late_saved(f->head, &mark, T0 + 5000000, &err));
    assert_true(head_truncate(f->head, T0 + 5000000, &err));
    assert_int_equal(stats_of(f->head).late_bytes, 0);
    assert_int_equal(stats_of(f->head).head_series, 0);
    reopen(f, T0 + 5000000);
    assert_holds(f, "x", "");
}

/* Segments with late samples stay until these are saved or written again. */
static void a_segment_stays_for_its_late_samples(void **state)
{
    struct fixture *f = *state;
    struct error err;
    f->opts.wal_segment_bytes = 2000;
    reopen(f, INT64_MIN);
    struct group *g = fixture_group(f->head, "a");
    append(g, "x", 1000, 1);
    append(g, "x", 5, 2);
    append(g, "y", 6, 3);
    for (int i = 0; i < 300; i++)
        append(g, "x", 2000 + i, i);
    assert_true(head_truncate(f->head, T0 + 2300000, &err));
    group_close(g);
    reopen(f, T0 + 2300000);
    assert_holds(f, "x", "5=2");
    assert_true(head_late_rewrite(f->head, &err));
    assert_true(head_truncate(f->head, T0 + 2300001, &err));
    char wal[512];
    snprintf(wal, sizeof wal, "%s/head/wal", f->dir);
    assert_true(dir_bytes(wal) < 200); /* what was rewritten, alone */
    for (int round = 0; round < 2; round++) {
        reopen(f, T0 + 2300001);
        assert_holds(f, "x", "5=2");
        assert_holds(f, "y", "6=3");
    }
}

/* What is saved is saved up to a floor: a newer sample in the same segment keeps it, until it is written again. */
static void a_saved_floor_does_not_give_up_newer_samples(void **state)
{
    struct fixture *f = *state;
    struct error err;
    struct head_late_mark mark;
    struct group *g = fixture_group(f->head, "a");
    append(g, "x", 1000, 1);
    append(g, "x", 5, 2);
    append(g, "x", 500, 3);
    group_close(g);
    assert_true(head_late_mark(f->head, true, &mark, &err));
    head_late_forget(f->head, &mark, INT64_MIN, T0 + 100000);
    assert_true(head_late_saved(f->head, &mark, T0 + 100000, &err));
    for (int round = 0; round < 2; round++) {
        assert_true(wal_late_lowest(f->head->wal) < mark.segment);
        reopen(f, INT64_MIN);
        assert_holds(f, "x", "500=3 1000=1");
    }
    assert_true(head_late_let_go(f->head, mark.segment, &err));
    assert_true(wal_late_lowest(f->head->wal) >= mark.segment);
    reopen(f, INT64_MIN);
    assert_holds(f, "x", "500=3 1000=1");
}

/* Late samples that nobody writes into blocks are refused at some point, and the keeper was asked before. */
static void memory_of_late_samples_is_bounded(void **state)
{
    struct fixture *f = *state;
    struct error err;
    int asked = 0;
    f->opts.late_bytes_max = 10000;
    reopen(f, INT64_MIN);
    struct group *g = fixture_group(f->head, "a");
    append(g, "x", 80000, 1);
    for (int i = 0;; i++) {
        if (!fixture_append(g, "x", T0 + i * 1000 + 1, i, 0, &err))
            break;
        assert_true(i < 5000);
        asked = i;
    }
    assert_int_equal(err.kind, ERROR_BUSY);
    assert_non_null(strstr(err.message, "came late wait to be written"));
    assert_true(asked > 1000);
    append(g, "x", 80001, 1); /* what is in order is taken */
    group_close(g);
}

/* --- against a plain model ------------------------------------------------------------------------- */

enum { MODEL_SERIES = 24, MODEL_GROUPS = 3, MODEL_TIMES = 400 };

struct model {
    struct random random;
    struct group *groups[MODEL_GROUPS];
    bool has[MODEL_SERIES][MODEL_TIMES];
    double value[MODEL_SERIES][MODEL_TIMES];
    int newest;
};

static void model_label(int series, char *out, size_t bytes)
{
    snprintf(out, bytes, "m%d{i=\"%d\"}", series % 5, series);
}

static void model_open(struct fixture *f, struct model *m)
{
    for (int i = 0; i < MODEL_GROUPS; i++) {
        char key[16];
        snprintf(key, sizeof key, "group %d", i);
        m->groups[i] = fixture_group(f->head, key);
    }
}

static void model_close(struct model *m)
{
    for (int i = 0; i < MODEL_GROUPS; i++)
        group_close(m->groups[i]);
}

static void model_row(struct model *m)
{
    int group = (int)random_below(&m->random, MODEL_GROUPS);
    int t = m->newest;
    struct appender a;
    struct error err;
    char text[64];
    switch (random_below(&m->random, 3)) {
    case 0:
        t = m->newest < MODEL_TIMES - 1 ? ++m->newest : m->newest;
        break;
    case 1: /* near the end: fills */
        t -= (int)random_below(&m->random, 12);
        break;
    default:
        t = (int)random_below(&m->random, (uint64_t)m->newest + 1);
    }
    t = t < 0 ? 0 : t;
    if (!appender_begin(&a, m->groups[group], T0 + t * 1000, &err))
        fail_msg("%s", err.message);
    bool rollback = random_below(&m->random, 30) == 0;
    uint32_t duplicates = 0;
    for (int i = group; i < MODEL_SERIES; i += MODEL_GROUPS) {
        if (random_below(&m->random, 2))
            continue;
        double value = random_below(&m->random, 2) ? i : (double)random_below(&m->random, 1000) / 8;
        model_label(i, text, sizeof text);
        uint32_t slot = fixture_slot(m->groups[group], text);
        appender_sample(&a, slot, value);
        if (rollback)
            continue;
        if (m->has[i][t]) {
            duplicates += m->value[i][t] != value;
            continue;
        }
        m->has[i][t] = true;
        m->value[i][t] = value;
    }
    if (rollback) {
        appender_rollback(&a);
        return;
    }
    if (!appender_commit(&a, random_below(&m->random, 2) ? APPENDER_WAIT : 0, &err))
        fail_msg("%s", err.message);
    if (!a.is_late)
        assert_int_equal(a.duplicate_count, 0);
    else if (a.duplicate_count >
             duplicates) /* fewer: a row that is not visible yet, see group_late.c */
        fail_msg("%u duplicates, expected %u", a.duplicate_count, duplicates);
}

static void model_check(struct fixture *f, struct model *m)
{
    char text[64];
    head_flush(f->head);
    for (int i = 0; i < MODEL_SERIES; i++) {
        model_label(i, text, sizeof text);
        int from = (int)random_below(&m->random, MODEL_TIMES), to = from + 1;
        to += (int)random_below(&m->random, (uint64_t)(MODEL_TIMES - from));
        long count = fixture_read(f->head, text, T0 + from * 1000, T0 + (to - 1) * 1000, f->t, f->v,
                                  READ_MAX),
             at = 0;
        for (int t = from; t < to; t++) {
            if (!m->has[i][t])
                continue;
            if (at >= count || f->t[at] != T0 + t * 1000 || f->v[at] != m->value[i][t])
                fail_msg("%s at %d: %ld of %ld is %g at %" PRId64 ", expected %g", text, t, at,
                         count, at < count ? f->v[at] : 0, at < count ? f->t[at] - T0 : 0,
                         m->value[i][t]);
            at++;
        }
        assert_true(at == (count < 0 ? 0 : count));
    }
}

static void random_order_agrees_with_a_model(void **state)
{
    const char *scale = getenv("TEST_SCALE"), *fixed = getenv("TEST_SEED");
    int rounds = 4 * (scale ? (int)strtol(scale, NULL, 10) : 1);
    for (int round = 0; round < rounds; round++) {
        struct fixture *f = *state;
        struct error err;
        struct model *m = calloc(1, sizeof *m);
        uint64_t seed = fixed ? strtoull(fixed, NULL, 10) : (uint64_t)clock_mono().ns;
        print_message("seed %" PRIu64 "\n", seed);
        random_seed(&m->random, seed);
        f->opts.wal_segment_bytes = random_below(&m->random, 2) ? 5000 : 0;
        reopen(f, INT64_MIN);
        model_open(f, m);
        for (int op = 0; op < 2000; op++) {
            uint64_t what = random_below(&m->random, 200);
            if (what == 0) {
                model_close(m);
                reopen(f, INT64_MIN);
                model_open(f, m);
            } else if (what == 1 && !head_late_rewrite(f->head, &err)) {
                fail_msg("%s", err.message);
            } else if (what < 5) {
                model_check(f, m);
            } else {
                model_row(m);
            }
        }
        model_check(f, m);
        model_close(m);
        reopen(f, INT64_MIN);
        model_check(f, m);
        free(m);
        teardown(state);
        setup(state);
    }
}

/* --- threads -------------------------------------------------------------------------------------- */

enum { STRESS_GROUPS = 2, STRESS_READERS = 2, STRESS_ROWS = 1500 };

struct stress {
    struct head *head;
    atomic_uint running;
    uint64_t seed;
};
struct stress_thread {
    struct stress *stress;
    int number;
    pthread_t thread;
};

static double stress_value(int64_t t)
{
    return (double)((t - T0) / 1000 * 7 % 1001);
}

/* Every second from 0 on: three of four in order, the fourth some rows or some minutes late. */
static void *stress_write(void *arg)
{
    struct stress_thread *w = arg;
    struct random random;
    struct error err;
    char key[16], text[32];
    random_seed(&random, w->stress->seed + (uint64_t)w->number);
    snprintf(key, sizeof key, "%d", w->number);
    snprintf(text, sizeof text, "x{g=\"%d\"}", w->number);
    struct group *g = fixture_group(w->stress->head, key);
    int64_t late[64];
    size_t late_count = 0;
    for (int i = 0; i < STRESS_ROWS; i++) {
        int64_t t = T0 + i * 1000;
        unsigned flags = random_below(&random, 20) == 0 ? APPENDER_WAIT : 0;
        if (i % 4 == 3 && late_count < ARRAY_COUNT(late) && i < STRESS_ROWS - 8) {
            late[late_count++] = t;
            /* Another series makes the row: the late one fills it. */
            if (random_below(&random, 2) && !fixture_append(g, "other", t, 1, flags, &err))
                fail_msg("%s", err.message);
        } else if (!fixture_append(g, text, t, stress_value(t), flags, &err)) {
            fail_msg("%s", err.message);
        }
        while (late_count > (i < STRESS_ROWS - 8 ? random_below(&random, 64) : 0)) {
            size_t k = random_below(&random, late_count);
            if (!fixture_append(g, text, late[k], stress_value(late[k]), flags, &err))
                fail_msg("%s", err.message);
            late[k] = late[--late_count];
        }
    }
    group_close(g);
    atomic_fetch_sub(&w->stress->running, 1);
    return NULL;
}

static void *stress_read(void *arg)
{
    struct stress_thread *r = arg;
    int64_t *t = calloc(STRESS_ROWS, sizeof *t);
    double *v = calloc(STRESS_ROWS, sizeof *v);
    long before = 0;
    char text[32];
    snprintf(text, sizeof text, "x{g=\"%d\"}", r->number % STRESS_GROUPS);
    while (atomic_load(&r->stress->running) > 0) {
        long count = fixture_read(r->stress->head, text, INT64_MIN, INT64_MAX, t, v, STRESS_ROWS);
        for (long i = 0; i < count; i++) {
            if (v[i] != stress_value(t[i]) || (i > 0 && t[i] <= t[i - 1]))
                fail_msg("sample %ld at %" PRId64 " is %g", i, t[i] - T0, v[i]);
        }
        count = count < 0 ? 0 : count; /* not there yet */
        if (count < before)
            fail_msg("%ld samples were there, now %ld", before, count);
        before = count;
    }
    free(t);
    free(v);
    return NULL;
}

/* Rewrites go on beside; nothing that was seen vanishes. */
static void writers_and_readers_do_not_disturb_each_other(void **state)
{
    struct fixture *f = *state;
    struct error err;
    struct stress st = {.head = f->head, .seed = (uint64_t)clock_mono().ns};
    struct stress_thread writers[STRESS_GROUPS], readers[STRESS_READERS];
    print_message("seed %" PRIu64 "\n", st.seed);
    atomic_init(&st.running, STRESS_GROUPS);
    for (int i = 0; i < STRESS_GROUPS; i++) {
        writers[i] = (struct stress_thread){&st, i, 0};
        assert_true(thread_start(&writers[i].thread, "writer", stress_write, &writers[i], &err));
    }
    for (int i = 0; i < STRESS_READERS; i++) {
        readers[i] = (struct stress_thread){&st, i, 0};
        assert_true(thread_start(&readers[i].thread, "reader", stress_read, &readers[i], &err));
    }
    while (atomic_load(&st.running) > 0)
        assert_true(head_late_rewrite(f->head, &err));
    for (int i = 0; i < STRESS_GROUPS; i++)
        thread_join(writers[i].thread);
    for (int i = 0; i < STRESS_READERS; i++)
        thread_join(readers[i].thread);
    head_flush(f->head);
    for (int round = 0; round < 2; round++) {
        for (int i = 0; i < STRESS_GROUPS; i++) {
            char text[32];
            snprintf(text, sizeof text, "x{g=\"%d\"}", i);
            assert_int_equal(
                fixture_read(f->head, text, INT64_MIN, INT64_MAX, f->t, f->v, READ_MAX),
                STRESS_ROWS);
        }
        reopen(f, INT64_MIN);
    }
}

int main(void)
{
#define LATE_TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        LATE_TEST(samples_are_read_where_their_time_says),
        LATE_TEST(what_is_sent_again_adds_nothing),
        LATE_TEST(a_series_of_late_samples_alone_is_found),
        LATE_TEST(the_window_is_measured_from_the_newest_sample),
        LATE_TEST(without_a_window_order_is_per_series),
        LATE_TEST(an_empty_head_takes_any_age),
        LATE_TEST(a_row_says_what_was_not_taken),
        LATE_TEST(a_clock_that_steps_loses_nothing),
        LATE_TEST(late_samples_outlive_a_cut_until_they_are_saved),
        LATE_TEST(a_segment_stays_for_its_late_samples),
        LATE_TEST(a_saved_floor_does_not_give_up_newer_samples),
        LATE_TEST(memory_of_late_samples_is_bounded),
        LATE_TEST(random_order_agrees_with_a_model),
        LATE_TEST(writers_and_readers_do_not_disturb_each_other),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
