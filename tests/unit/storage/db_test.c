/* SPDX-License-Identifier: Apache-2.0 */
/* db_test.c: head and blocks answer as one, whatever the keeper does meanwhile. The oracle is a plain list
 * of what was appended, written out as text like the database's answer. */
#include "db_fixture.h"

#include "base/thread.h"
#include "storage/block.h"

#include <errno.h>
#include <sched.h>

/* --- tests ---------------------------------------------------------------------------------------- */

/* Random spans are appended; after each, the answers in random windows equal the list before a cut, after
 * it, and after the folder was closed and opened. */
static void answers_are_the_same_before_and_after_a_cut(void **state)
{
    struct random r;
    struct error err;
    for (uint64_t seed = 1; seed <= 2 * scale(); seed++) {
        struct fed f = {0};
        int64_t t = START + 17 * MINUTE;
        random_seed(&r, seed);
        assert_int_equal(folder_make(NULL), 0);
        struct db *db = open_db(-1);
        for (int round = 0; round < 4; round++) {
            int64_t end = t + HOUR + (int64_t)random_below(&r, 5 * HOUR);
            append_span(db, &f, &r, t, end, 30000);
            t = end;
            assert_answer(db, &f, INT64_MIN, INT64_MAX);
            assert_ok(db_maintain(db, &err));
            assert_answer(db, &f, INT64_MIN, INT64_MAX);
            for (int i = 0; i < 10; i++) {
                int64_t mint = START + (int64_t)random_below(&r, (uint64_t)(t - START));
                assert_answer(db, &f, mint, mint + (int64_t)random_below(&r, 4 * HOUR));
            }
            if (round == 2) {
                close_db(db);
                db = open_db(-1);
                assert_answer(db, &f, INT64_MIN, INT64_MAX);
            }
        }
        assert_true(stats_of(db).blocks > 0);
        struct db_stats s = stats_of(db);
        assert_true(s.head_mint >= START + 2 * HOUR);
        assert_true(s.head_maxt - s.head_mint <= 3 * HOUR);
        close_db(db);
        fed_free(&f);
    }
}

/* A view that was taken before a cut gives the same answer after it, and only when it is gone does the
 * head forget. */
static void a_pinned_view_outlives_a_cut(void **state)
{
    struct fed f = {0};
    struct random r;
    struct error err;
    struct buffer before, after;
    random_seed(&r, 3);
    struct db *db = open_db(-1);
    append_span(db, &f, &r, START, START + 4 * HOUR, 30000);
    buffer_init(&before, MEM_OTHER, TEXT_BYTES_MAX);
    buffer_init(&after, MEM_OTHER, TEXT_BYTES_MAX);
    struct storage_view *view = source_pin(db_as_source(db), INT64_MIN, INT64_MAX, &err);
    view_text(view, INT64_MIN, INT64_MAX, &before, NULL);
    assert_ok(db_maintain(db, &err));
    assert_int_equal(stats_of(db).blocks_cut, 1);
    assert_true(stats_of(db).head_mint < START + HOUR);
    view_text(view, INT64_MIN, INT64_MAX, &after, NULL);
    assert_true(view_eq(buffer_view(&before), buffer_view(&after)));
    assert_answer(db, &f, INT64_MIN, INT64_MAX);
    view_release(view);
    assert_ok(db_maintain(db, &err));
    assert_true(stats_of(db).head_mint >= START + 2 * HOUR);
    assert_answer(db, &f, INT64_MIN, INT64_MAX);
    close_db(db);
    buffer_deinit(&before);
    buffer_deinit(&after);
    fed_free(&f);
}

/* After a cut its range is closed: while the window is off, a late row is refused, and not taken and forgotten. */
static void a_row_below_the_cut_is_refused(void **state)
{
    struct fed f = {0};
    struct random r;
    struct error err;
    struct appender a = {0};
    uint32_t slots[2];
    random_seed(&r, 3);
    struct db *db = open_db(-1);
    append_span(db, &f, &r, START, START + 4 * HOUR, 60000);
    struct storage_view *view = source_pin(db_as_source(db), INT64_MIN, INT64_MAX, &err);
    assert_ok(db_maintain(db, &err)); /* the view keeps the head from forgetting */
    struct group *late = open_group(db, 7, slots);
    db_set_out_of_order_window(db, -1);
    assert_false(appender_begin(&a, late, START + HOUR, &err));
    assert_int_equal(err.kind, ERROR_INPUT);
    assert_int_equal(a.refusal, APPENDER_OUT_OF_BOUNDS);
    assert_non_null(strstr(err.message, "out of bounds"));
    assert_ok(appender_begin(&a, late, START + 3 * HOUR + 1, &err));
    appender_rollback(&a);
    group_close(late);
    view_release(view);
    close_db(db);
    fed_free(&f);
}

/* A sample of 1970 and then today's: the decades between them cost a few steps and no blocks. */
static void an_old_sample_on_an_empty_server_is_cut_at_once(void **state)
{
    struct fed f = {0};
    struct random r;
    struct error err;
    uint32_t slots[2];
    random_seed(&r, 5);
    struct db *db = open_db(-1);
    struct group *old = open_group(db, 0, slots);
    append_row(old, slots, &f, 0, 1000, &r, false);
    append_row(old, slots, &f, 0, 2000, &r, false);
    group_close(old);
    append_span(db, &f, &r, START, START + 6 * HOUR, 5 * MINUTE);
    assert_ok(db_maintain(db, &err));
    struct db_stats s = stats_of(db);
    assert_int_equal(s.blocks, 3);
    assert_int_equal(s.lowest_time, 0);
    assert_true(s.head_mint >= START + 4 * HOUR);
    assert_answer(db, &f, INT64_MIN, INT64_MAX);
    close_db(db);
    fed_free(&f);
}

static size_t days_of_blocks(struct db *db, struct fed *f, struct random *r, int64_t from, int days)
{
    struct error err;
    append_span(db, f, r, from, from + days * DAY, 10 * MINUTE);
    assert_ok(db_maintain(db, &err));
    return (size_t)stats_of(db).blocks;
}

/* Retention by time counts from the newest sample: data of 2001 keeps what it is told to keep. */
static void retention_by_time_counts_from_the_newest_sample(void **state)
{
    static const struct {
        int64_t retention;
        int64_t oldest_max_age;
        size_t blocks_max;
    } CASES[] = {
        {-1, 3 * DAY, 40},
        {2 * DAY, 2 * DAY + 2 * HOUR, 25},
        {DAY, DAY + 2 * HOUR, 13},
        {3 * HOUR, 5 * HOUR, 2},
    };
    const int64_t from = INT64_C(1000000000000) / (2 * HOUR) * (2 * HOUR);
    struct fed f = {0};
    struct random r;
    struct error err;
    random_seed(&r, 4);
    struct db *db = open_db(-1);
    size_t blocks = days_of_blocks(db, &f, &r, from, 3);
    assert_in_range(blocks, 33, 36);
    for (size_t i = 0; i < ARRAY_COUNT(CASES); i++) {
        db_set_retention(db, CASES[i].retention, 0);
        assert_ok(db_maintain(db, &err));
        struct db_stats s = stats_of(db);
        assert_true(s.blocks <= CASES[i].blocks_max);
        assert_true(s.head_maxt - s.lowest_time <= CASES[i].oldest_max_age);
        assert_true(CASES[i].retention < 0 ||
                    s.head_maxt - s.lowest_time >= CASES[i].retention - 2 * HOUR);
        assert_answer(db, &f, s.lowest_time, INT64_MAX);
    }
    close_db(db);
    db = open_db(-1);
    assert_answer(db, &f, stats_of(db).lowest_time, INT64_MAX);
    close_db(db);
    fed_free(&f);
}

/* Retention by size deletes the oldest until the folder fits. */
static void retention_by_size_deletes_the_oldest(void **state)
{
    struct fed f = {0};
    struct random r;
    struct error err;
    random_seed(&r, 4);
    struct db *db = open_db(-1);
    size_t blocks = days_of_blocks(db, &f, &r, START, 2);
    struct db_stats s = stats_of(db);
    char head[PATH_BYTES];
    (void)snprintf(head, sizeof head, "%s/head", folder());
    db_set_retention(db, -1, 1); /* a share of the disk goes before: all of it is enough */
    db_set_retention_percentage(db, 100);
    assert_ok(db_maintain(db, &err));
    assert_int_equal(stats_of(db).blocks, blocks);
    db_set_retention_percentage(db, 0);
    db_set_retention(db, -1, dir_bytes(head) + s.blocks_bytes / 2);
    assert_ok(db_maintain(db, &err));
    struct db_stats now = stats_of(db);
    assert_in_range(now.blocks, blocks / 2 - 2, blocks / 2 + 2);
    assert_int_equal(now.blocks_deleted, blocks - now.blocks);
    assert_true(now.lowest_time > s.lowest_time);
    assert_answer(db, &f, now.lowest_time, INT64_MAX);
    close_db(db);
    fed_free(&f);
}

/* When the wall clock has jumped, retention deletes one block per look. */
static void a_clock_that_jumps_deletes_one_block_at_a_time(void **state)
{
    struct fed f = {0};
    struct random r;
    struct error err;
    random_seed(&r, 4);
    struct db *db = open_db(-1);
    size_t blocks = days_of_blocks(db, &f, &r, START, 1);
    clock_test_freeze(clock_wall(), clock_mono());
    clock_test_jump_wall_ms(365 * DAY);
    assert_ok(db_maintain(db, &err));
    db_set_retention(db, HOUR, 0);
    for (size_t i = 1; i <= 3; i++) {
        assert_ok(db_maintain(db, &err));
        assert_int_equal(stats_of(db).blocks, blocks - i);
    }
    clock_test_advance_ms(25 * HOUR);
    assert_ok(db_maintain(db, &err));
    assert_true(stats_of(db).blocks <= 1);
    assert_true(log_has("clock_jumped"));
    clock_test_unfreeze();
    close_db(db);
    fed_free(&f);
}

static void a_locked_folder_is_refused_in_one_sentence(void **state)
{
    struct error err;
    struct db *other;
    char expected[PATH_BYTES];
    struct db *db = open_db(-1);
    assert_false(db_open(&other, folder(), NULL, NULL, &err));
    assert_null(other);
    assert_int_equal(err.kind, ERROR_BUSY);
    (void)snprintf(expected, sizeof expected, "data folder \"%s\" is in use by another process",
                   folder());
    assert_string_equal(err.message, expected);
    close_db(db);
    db = open_db(-1);
    close_db(db);
}

static int refuse_create(void *arg, enum file_op op, const char *path, size_t *bytes)
{
    return op == FILE_OP_OPEN && strstr(path, "/lock") ? EROFS : 0;
}

static void a_read_only_folder_is_refused_in_one_sentence(void **state)
{
    struct error err;
    struct db *db;
    file_test_set_hook(refuse_create, NULL);
    assert_false(db_open(&db, folder(), NULL, NULL, &err));
    file_test_set_hook(NULL, NULL);
    assert_int_equal(err.kind, ERROR_IO);
    assert_non_null(strstr(err.message, "cannot use data folder"));
    if (!strstr(err.message, "read-only file system"))
        fail_msg("%s", err.message);
}

/* A block whose index is damaged goes to quarantine and is named; leftovers go; the rest is served. */
static void a_damaged_block_is_put_aside_and_named(void **state)
{
    struct fed f = {0};
    struct random r;
    struct error err;
    struct find found = {0}, aside = {0};
    char path[PATH_BYTES * 2], dir[PATH_BYTES];
    random_seed(&r, 8);
    struct db *db = open_db(-1);
    append_span(db, &f, &r, START, START + 8 * HOUR, 60000);
    assert_ok(db_maintain(db, &err));
    assert_int_equal(stats_of(db).blocks, 3);
    close_db(db);
    assert_ok(dir_list(folder(), find_block, &found, &err));
    (void)snprintf(path, sizeof path, "%s/%s/index", folder(), found.name);
    flip_byte(path, 100);
    (void)snprintf(path, sizeof path, "%s/01ARYZ6S41TSV4RRFFQ69G5FAV.tmp", folder());
    assert_ok(dir_create(path, &err));
    db = open_db(-1);
    assert_false(file_exists(path));
    assert_int_equal(stats_of(db).blocks, 2);
    assert_int_equal(stats_of(db).blocks_quarantined, 1);
    assert_true(log_has("block_quarantined"));
    assert_true(log_has(found.name));
    (void)snprintf(dir, sizeof dir, "%s/quarantine", folder());
    assert_ok(dir_list(dir, find_block, &aside, &err));
    assert_string_equal(aside.name, found.name);
    assert_answer(db, &f, START + 2 * HOUR, INT64_MAX);
    close_db(db);
    fed_free(&f);
}

/* A damaged column is left out, the rest of the block is served, and the reader says what was lost. */
static void a_damaged_column_is_left_out_and_said(void **state)
{
    struct fed f = {0};
    struct random r;
    struct error err;
    struct find found = {0};
    struct buffer all, rest;
    uint64_t lost;
    char path[PATH_BYTES * 2];
    random_seed(&r, 9);
    struct db *db = open_db(-1);
    append_span(db, &f, &r, START, START + 4 * HOUR, 60000);
    assert_ok(db_maintain(db, &err));
    close_db(db);
    assert_ok(dir_list(folder(), find_block, &found, &err));
    assert_int_equal(found.count, 1);
    (void)snprintf(path, sizeof path, "%s/%s/columns", folder(), found.name);
    flip_byte(path, 300);
    db = open_db(-1);
    buffer_init(&all, MEM_OTHER, TEXT_BYTES_MAX);
    buffer_init(&rest, MEM_OTHER, TEXT_BYTES_MAX);
    fed_text(&f, INT64_MIN, INT64_MAX, &all);
    db_text(db, INT64_MIN, INT64_MAX, &rest, &lost);
    assert_in_range(lost, 1, 2);
    assert_true(rest.len < all.len && rest.len > all.len / 2);
    assert_true(log_has("column_damaged"));
    assert_int_equal(stats_of(db).columns_damaged, lost);
    assert_answer(db, &f, START + 2 * HOUR, INT64_MAX);
    close_db(db);
    buffer_deinit(&all);
    buffer_deinit(&rest);
    fed_free(&f);
}

/* Names and values come from head and blocks, each once. */
static void labels_come_from_head_and_blocks(void **state)
{
    struct fed f = {0};
    struct random r;
    struct error err;
    struct arena arena;
    struct view *items;
    size_t count;
    uint32_t slots[2];
    struct select what = {.mint = INT64_MIN, .maxt = INT64_MAX};
    random_seed(&r, 8);
    struct db *db = open_db(-1);
    append_span(db, &f, &r, START, START + 4 * HOUR, 60000);
    assert_ok(db_maintain(db, &err));
    struct group *late = open_group(db, 4, slots);
    append_row(late, slots, NULL, 4, START + 4 * HOUR, &r, true);
    append_row(late, slots, NULL, 4, START + 4 * HOUR + 1, &r, true);
    group_close(late);
    struct storage_view *view = source_pin(db_as_source(db), INT64_MIN, INT64_MAX, &err);
    arena_init(&arena, MEM_OTHER, 0);
    assert_ok(view->ops->label_names(view, &what, 0, &arena, &items, &count, &err));
    assert_int_equal(count, 2);
    assert_true(view_is(items[0], "__name__") && view_is(items[1], "n"));
    assert_ok(view->ops->label_values(view, VIEW("n"), &what, 0, &arena, &items, &count, &err));
    assert_int_equal(count, 8);
    assert_true(view_is(items[0], "0") && view_is(items[7], "9"));
    assert_ok(view->ops->label_values(view, VIEW("n"), &what, 3, &arena, &items, &count, &err));
    assert_int_equal(count, 3);
    arena_deinit(&arena);
    view_release(view);
    close_db(db);
    fed_free(&f);
}

/* Blocks in order of their names: the clock is told the time at which each was made. */
static const struct {
    const char *name;
    struct {
        int64_t mint, times[4];
        double values[4];
        size_t count;
    } blocks[4];
    size_t block_count;
    int64_t times[8];
    double values[8];
    size_t count;
} JOINS[] = {
    {"one after the other",
     {{0, {0, 10}, {1, 2}, 2}, {0, {20, 30}, {3, 4}, 2}},
     2,
     {0, 10, 20, 30},
     {1, 2, 3, 4},
     4},
    {"the younger block is the earlier",
     {{0, {20, 30}, {3, 4}, 2}, {0, {0, 10}, {1, 2}, 2}},
     2,
     {0, 10, 20, 30},
     {1, 2, 3, 4},
     4},
    {"interleaved",
     {{0, {0, 20, 40}, {1, 2, 3}, 3}, {0, {10, 30}, {4, 5}, 2}},
     2,
     {0, 10, 20, 30, 40},
     {1, 4, 2, 5, 3},
     5},
    {"one inside the other",
     {{0, {0, 40}, {1, 2}, 2}, {0, {10, 20, 30}, {3, 4, 5}, 3}},
     2,
     {0, 10, 20, 30, 40},
     {1, 3, 4, 5, 2},
     5},
    {"of one timestamp the older block's",
     {{0, {0, 10, 20}, {1, 1, 1}, 3}, {0, {10, 25}, {2, 2}, 2}},
     2,
     {0, 10, 20, 25},
     {1, 1, 1, 2},
     4},
    {"of one timestamp that of the block that begins first",
     {{10, {10, 25}, {2, 2}, 2}, {0, {0, 10, 20}, {1, 1, 1}, 3}},
     2,
     {0, 10, 20, 25},
     {1, 1, 1, 2},
     4},
    {"the same block twice",
     {{0, {0, 10}, {1, 2}, 2}, {0, {0, 10}, {1, 2}, 2}},
     2,
     {0, 10},
     {1, 2},
     2},
    {"four at once",
     {{0, {5, 10, 15}, {1, 1, 1}, 3},
      {0, {5, 11, 15}, {2, 2, 2}, 3},
      {0, {4, 10, 16}, {3, 3, 3}, 3},
      {0, {15, 16, 17}, {4, 4, 4}, 3}},
     4,
     {4, 5, 10, 11, 15, 16, 17},
     {3, 1, 1, 2, 1, 3, 4},
     7},
};

/* Blocks with the same series give one series, by time, and series that share their times in each block
 * share the joined ones. */
static void parts_are_joined_by_time(void **state)
{
    struct error err;
    for (size_t c = 0; c < ARRAY_COUNT(JOINS); c++) {
        struct arena arena;
        struct series_list list;
        struct select what = {.mint = 0, .maxt = 100};
        uint64_t ids[2] = {0, 0};
        assert_int_equal(folder_make(NULL), 0);
        for (size_t i = 0; i < JOINS[c].block_count; i++) {
            clock_test_freeze((wall_time){START + (int64_t)i}, (mono_time){0});
            write_block(JOINS[c].blocks[i].mint, 100, JOINS[c].blocks[i].times,
                        JOINS[c].blocks[i].values, JOINS[c].blocks[i].count);
        }
        clock_test_unfreeze();
        struct db *db = open_db(-1);
        struct label_store *store = label_store_new(MEM_OTHER, 0);
        struct storage_view *view = source_pin(db_as_source(db), 0, 100, &err);
        arena_init(&arena, MEM_OTHER, 0);
        assert_ok(view_select(view, &what, store, &arena, &list, &err));
        assert_int_equal(list.count, 2);
        struct storage_reader *reader = view_reader_new(view, NULL, &err);
        for (size_t i = 0; i < list.count; i++) {
            struct samples got;
            assert_ok(reader_read(reader, list.items[i].ref, 0, 100, &got, &err));
            if (got.count != JOINS[c].count)
                fail_msg("%s: %zu samples", JOINS[c].name, got.count);
            for (size_t k = 0; k < got.count; k++)
                if (got.times[k] != JOINS[c].times[k] ||
                    got.values[k] != JOINS[c].values[k] + 100 * (double)i)
                    fail_msg("%s: sample %zu is %" PRId64 "=%g", JOINS[c].name, k, got.times[k],
                             got.values[k]);
            ids[i] = got.times_id;
        }
        assert_true(ids[0] != 0 && ids[0] == ids[1]);
        storage_reader_free(reader);
        view_release(view);
        label_store_free(store);
        arena_deinit(&arena);
        close_db(db);
    }
}

/* A block that was copied in and ends in the future: the head's rows below its end are served, before a
 * cut, after it and after a restart; where both have a timestamp, the block that begins first counts. */
static void a_newer_block_hides_nothing_of_the_head(void **state)
{
    static const int64_t times[] = {START + HOUR, START + 9 * HOUR};
    static const double values[] = {-1, -2};
    struct fed f = {0}, expected = {0};
    struct random r;
    struct error err;
    random_seed(&r, 21);
    struct db *db = open_db(-1);
    append_span(db, &f, &r, START, START + 2 * HOUR, MINUTE);
    close_db(db);
    write_block(START, START + 10 * HOUR, times, values, 2);
    db = open_db(-1);
    append_span(db, &f, &r, START + 2 * HOUR, START + 6 * HOUR, MINUTE);
    for (int i = 0; i < SERIES;
         i++) { /* what was fed and, of up{n="0"} and up{n="2"}, the block's */
        bool in_block = i == 0 || i == 2;
        for (size_t k = 0; k < f.count[i]; k++) {
            int64_t t = f.samples[i][k].t;
            if (in_block && (k == 0 ? START - 1 : f.samples[i][k - 1].t) < times[0] &&
                t >= times[0])
                feed(&expected, i, times[0], values[0] + 50 * i);
            if (!in_block || t != times[0])
                feed(&expected, i, t, f.samples[i][k].v);
        }
        if (in_block)
            feed(&expected, i, times[1], values[1] + 50 * i);
    }
    assert_answer(db, &expected, INT64_MIN, INT64_MAX);
    assert_ok(db_maintain(db, &err));
    assert_true(stats_of(db).blocks_cut > 0);
    assert_answer(db, &expected, INT64_MIN, INT64_MAX);
    assert_answer(db, &expected, START + HOUR, START + HOUR);
    close_db(db);
    db = open_db(-1);
    assert_answer(db, &expected, INT64_MIN, INT64_MAX);
    close_db(db);
    fed_free(&f);
    fed_free(&expected);
}

/* A lost or damaged note of how far the head was cut costs nothing: what it then holds twice counts once. */
static void a_lost_floor_costs_nothing(void **state)
{
    struct fed f = {0};
    struct random r;
    struct error err;
    char path[PATH_BYTES];
    random_seed(&r, 22);
    struct db *db = open_db(-1);
    append_span(db, &f, &r, START, START + 4 * HOUR, MINUTE);
    assert_ok(db_maintain(db, &err));
    close_db(db);
    (void)snprintf(path, sizeof path, "%s/head/floor", folder());
    for (int damage = 0; damage < 2; damage++) {
        if (damage)
            assert_ok(file_replace(path, VIEW("BLFFLR01 and other bytes"), &err));
        else
            assert_ok(file_remove(path, &err));
        events.len = 0;
        db = open_db(-1);
        assert_true(log_has("head_floor_lost") == (damage == 1));
        assert_answer(db, &f, INT64_MIN, INT64_MAX);
        assert_ok(db_maintain(db, &err));
        assert_answer(db, &f, INT64_MIN, INT64_MAX);
        close_db(db);
    }
    fed_free(&f);
}

struct fault {
    long countdown;
    int error;
    bool head_too, hit;
    pthread_mutex_t mutex;
};

static int fault_hook(void *arg, enum file_op op, const char *path, size_t *bytes)
{
    struct fault *f = arg;
    int result = 0;
    if (!f->head_too && strstr(path, "/head"))
        return 0;
    mutex_lock(&f->mutex);
    if (f->countdown-- == 0) {
        f->hit = true;
        result = f->error;
    }
    mutex_unlock(&f->mutex);
    return result;
}

/* The n-th operation on files during a cut fails, for every n: nothing that was there is missing, neither
 * at once nor after the folder is opened again; and a later cut succeeds. */
static void a_cut_that_fails_loses_nothing(void **state)
{
    struct error err;
    for (int head_too = 0; head_too < 2; head_too++) {
        for (long n = 0;; n++) {
            struct fed f = {0};
            struct random r;
            struct fault fault = {n, n % 2 ? ENOSPC : EIO, head_too, false,
                                  PTHREAD_MUTEX_INITIALIZER};
            random_seed(&r, 10);
            assert_int_equal(folder_make(NULL), 0);
            struct db *db = open_db(-1);
            append_span(db, &f, &r, START, START + 4 * HOUR, 5 * MINUTE);
            file_test_set_hook(fault_hook, &fault);
            bool ok = db_maintain(db, &err);
            file_test_set_hook(NULL, NULL);
            if (!ok) {
                assert_true(fault.hit);
                assert_true(stats_of(db).cut_failures == 1 || log_has("extents_failed"));
                assert_true(log_has("cut_failed") || log_has("extents_failed"));
            }
            assert_answer(db, &f, INT64_MIN, INT64_MAX);
            if (!head_too) {
                assert_ok(db_maintain(db, &err));
                assert_int_equal(stats_of(db).blocks, 1);
                assert_answer(db, &f, INT64_MIN, INT64_MAX);
            }
            bool closed = db_close(db, &err);
            assert_true(closed || head_too);
            db = open_db(-1);
            assert_answer(db, &f, INT64_MIN, INT64_MAX);
            close_db(db);
            fed_free(&f);
            if (!fault.hit)
                break;
            assert_true(n < 1000);
        }
    }
}

static int wal_is_full(void *arg, enum file_op op, const char *path, size_t *bytes)
{
    (void)arg;
    (void)bytes;
    return op == FILE_OP_WRITE && strstr(path, "/wal/") ? ENOSPC : 0;
}

/* A database with four hours of which no block was cut: the keeper's first look, at whatever moment it comes,
 * was before. `late` is open, with the slots of series 0 and 1. */
static struct db *open_uncut(struct fed *f, struct random *r, struct group **late,
                             uint32_t slots[2])
{
    struct error err;
    struct arena arena;
    struct appender a = {0};
    struct db *db = open_db(-1);
    for (;;) {
        for (int i = 0; i < 1000; i++)
            sched_yield();
        append_span(db, f, r, START, START + 4 * HOUR, 5 * MINUTE);
        assert_ok(db_group_open(db, VIEW("late"), late, &err));
        if (appender_begin(&a, *late, START + HOUR + 7, &err))
            break;
        group_close(*late);
        close_db(db);
        assert_ok(dir_remove(folder(), &err));
        fed_free(f);
        *f = (struct fed){0};
        db = open_db(-1);
    }
    appender_rollback(&a);
    arena_init(&arena, MEM_OTHER, 0);
    for (int i = 0; i < 2; i++)
        assert_ok(group_slot(*late, series_labels(&arena, i), &slots[i], &err));
    arena_deinit(&arena);
    return db;
}

/* A row that was taken but cannot be written yet is in no block: the range stays open until it can. */
static void a_cut_waits_for_rows_that_wait_for_space(void **state)
{
    (void)state;
    struct error err;
    struct fed f = {0};
    struct random r;
    uint32_t slots[2];
    random_seed(&r, 11);
    struct appender a = {0};
    struct group *late;
    struct db *db = open_uncut(&f, &r, &late, slots);
    file_test_set_hook(wal_is_full, NULL);
    assert_ok(appender_begin(&a, late, START + HOUR + 7, &err));
    appender_sample(&a, slots[0], 42);
    assert_ok(appender_commit(&a, 0, &err));
    group_close(late);
    while (!stats_of(db).ingest_stopped)
        sched_yield();
    assert_false(db_maintain(db, &err));
    assert_int_equal(err.kind, ERROR_NO_SPACE);
    assert_non_null(strstr(err.message, "1 rows of samples wait until they can be written"));
    assert_int_equal(stats_of(db).blocks, 0);
    file_test_set_hook(NULL, NULL);
    while (stats_of(db).ingest_stopped)
        sched_yield();
    db_flush(db);
    assert_ok(db_maintain(db, &err));
    assert_int_equal(stats_of(db).blocks, 1);
    /* series 0 has it, in its place */
    size_t at = 0;
    while (f.samples[0][at].t < START + HOUR + 7)
        at++;
    feed(&f, 0, 0, 0);
    memmove(&f.samples[0][at + 1], &f.samples[0][at],
            (f.count[0] - 1 - at) * sizeof f.samples[0][0]);
    f.samples[0][at].t = START + HOUR + 7;
    f.samples[0][at].v = 42;
    assert_answer(db, &f, INT64_MIN, INT64_MAX);
    close_db(db);
    fed_free(&f);
}

/* --- threads -------------------------------------------------------------------------------------- */

enum { ROW_MS = 60 * 1000 };

struct traffic {
    struct db *db;
    atomic_bool done;
    _Atomic int64_t visible_ms; /* every row up to here was waited for */
};
struct querier {
    struct traffic *traffic;
    _Atomic uint64_t queries;
};

/* cmocka can fail on the test's own thread only. */
static void thread_fail(const char *format, ...) PRINTF_LIKE(1, 2);
static void thread_fail(const char *format, ...)
{
    va_list args;
    va_start(args, format);
    (void)vfprintf(stderr, format, args);
    va_end(args);
    (void)fputc('\n', stderr);
    abort();
}

static void thread_ok(bool ok, const struct error *err)
{
    if (!ok)
        thread_fail("%s", err->message);
}

/* Queries everything again and again: what was visible before is there, without a hole. */
static void *query_run(void *arg)
{
    struct querier *q = arg;
    struct traffic *t = q->traffic;
    while (!atomic_load(&t->done)) {
        struct error err;
        struct arena arena;
        struct series_list list;
        struct samples got;
        struct select what = {.mint = INT64_MIN, .maxt = INT64_MAX};
        int64_t visible = atomic_load(&t->visible_ms);
        struct label_store *store = label_store_new(MEM_OTHER, 0);
        struct storage_view *view = source_pin(db_as_source(t->db), INT64_MIN, INT64_MAX, &err);
        arena_init(&arena, MEM_OTHER, 0);
        thread_ok(view_select(view, &what, store, &arena, &list, &err), &err);
        struct storage_reader *reader = view_reader_new(view, NULL, &err);
        for (size_t i = 0; i < list.count; i++) {
            thread_ok(reader_read(reader, list.items[i].ref, INT64_MIN, INT64_MAX, &got, &err),
                      &err);
            for (size_t k = 0; k < got.count; k++)
                if (got.times[k] != START + (int64_t)k * ROW_MS || got.values[k] != (double)k)
                    thread_fail("row %zu is that of minute %" PRId64, k,
                                (got.times[k] - START) / ROW_MS);
            if (got.count == 0 ? visible >= START : got.times[got.count - 1] < visible)
                thread_fail("%zu rows, visible were %" PRId64, got.count,
                            (visible - START) / ROW_MS + 1);
        }
        if (list.count != 2 && visible >= START)
            thread_fail("%zu series", list.count);
        storage_reader_free(reader);
        view_release(view);
        label_store_free(store);
        arena_deinit(&arena);
        atomic_fetch_add(&q->queries, 1);
    }
    return NULL;
}

/* One thread writes, two query, this one cuts: each query sees every row, wherever it is by then. */
static void queries_go_on_during_cuts(void **state)
{
    enum { HOURS = 30 };
    struct error err;
    pthread_t threads[2];
    uint32_t slots[2];
    struct traffic t = {.db = open_db(-1), .visible_ms = START - 1};
    struct group *group = open_group(t.db, 0, slots);
    struct querier queriers[2] = {{.traffic = &t}, {.traffic = &t}};
    for (size_t i = 0; i < ARRAY_COUNT(threads); i++)
        assert_ok(thread_start(&threads[i], "query", query_run, &queriers[i], &err));
    int64_t rows = HOURS * 60 * (int64_t)scale();
    for (int64_t i = 0; i < rows; i++) {
        struct appender a = {0};
        assert_ok(appender_begin(&a, group, START + i * ROW_MS, &err));
        appender_sample(&a, slots[0], (double)i);
        appender_sample(&a, slots[1], (double)i);
        assert_ok(appender_commit(&a, i % 8 == 0 ? APPENDER_WAIT : 0, &err));
        if (i % 8 == 0)
            atomic_store(&t.visible_ms, START + i * ROW_MS);
        if (i % 60 != 0)
            continue;
        /* Let the queries that hold older states end, so that the head can forget. */
        assert_ok(db_maintain(t.db, &err));
        for (size_t k = 0; k < ARRAY_COUNT(threads); k++) {
            uint64_t before = atomic_load(&queriers[k].queries);
            while (atomic_load(&queriers[k].queries) < before + 2)
                sched_yield();
        }
    }
    atomic_store(&t.done, true);
    for (size_t i = 0; i < ARRAY_COUNT(threads); i++)
        thread_join(threads[i]);
    group_close(group);
    print_message("%" PRIu64 " queries during %" PRIu64 " cuts\n",
                  atomic_load(&queriers[0].queries) + atomic_load(&queriers[1].queries),
                  stats_of(t.db).blocks_cut);
    assert_true(stats_of(t.db).blocks_cut >= HOURS / 2 - 2);
    close_db(t.db);
}

/* The range is whole seconds, at least one; cuts fall on its multiples. */
static void a_block_range_may_be_a_second(void **state)
{
    static const int64_t RANGES[][2] = {{2900, 2000}, {1, 1000}, {90000, 90000}};
    struct error err;
    (void)state;
    for (size_t i = 0; i < ARRAY_COUNT(RANGES); i++) {
        struct random r;
        random_seed(&r, 7);
        int64_t range = RANGES[i][1], end = START + 4 * range;
        assert_ok(dir_remove(folder(), &err));
        struct db *db = open_db_range(RANGES[i][0], -1);
        append_span(db, NULL, &r, START, end, range / 20);
        assert_ok(db_maintain(db, &err));
        int64_t head_mint = stats_of(db).head_mint;
        assert_int_equal(stats_of(db).blocks_cut, 3);
        assert_true(head_mint == START + 3 * range);
        close_db(db);
    }
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, folder_make, folder_remove)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(answers_are_the_same_before_and_after_a_cut),
        TEST(a_pinned_view_outlives_a_cut),
        TEST(a_row_below_the_cut_is_refused),
        TEST(an_old_sample_on_an_empty_server_is_cut_at_once),
        TEST(retention_by_time_counts_from_the_newest_sample),
        TEST(retention_by_size_deletes_the_oldest),
        TEST(a_clock_that_jumps_deletes_one_block_at_a_time),
        TEST(a_locked_folder_is_refused_in_one_sentence),
        TEST(a_read_only_folder_is_refused_in_one_sentence),
        TEST(a_damaged_block_is_put_aside_and_named),
        TEST(a_damaged_column_is_left_out_and_said),
        TEST(labels_come_from_head_and_blocks),
        TEST(parts_are_joined_by_time),
        TEST(a_newer_block_hides_nothing_of_the_head),
        TEST(a_lost_floor_costs_nothing),
        TEST(a_cut_that_fails_loses_nothing),
        TEST(a_cut_waits_for_rows_that_wait_for_space),
        TEST(queries_go_on_during_cuts),
        TEST(a_block_range_may_be_a_second),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
