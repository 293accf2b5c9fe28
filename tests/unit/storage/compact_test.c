/* SPDX-License-Identifier: Apache-2.0 */
/* compact_test.c: merging blocks changes no answer, whatever comes between: a crash at any step, a failing
 * disk, damage, queries in work. */
#include "db_fixture.h"

#include "storage/block_private.h"

#include <errno.h>
#include <sched.h>
#include <sys/wait.h>

enum { DAY_BLOCKS = 12, LITTLE_BLOCKS = 4 };

/* A day and three hours of rows, cut into blocks of two hours: the first day is due to be merged. */
static void append_a_day(struct fed *f, uint64_t seed, int64_t step)
{
    struct random r;
    struct error err;
    random_seed(&r, seed);
    struct db *db = open_db(-1);
    append_span(db, f, &r, START, START + DAY + 5 * HOUR, step);
    assert_ok(db_maintain(db, &err));
    assert_true(stats_of(db).blocks >= DAY_BLOCKS);
    close_db(db);
}

/* The same in little: three blocks of that day, one of which overlaps another, and one of the next. */
static void write_a_little_day(void)
{
    static const struct {
        int64_t from, to, times[3]; /* hours, half hours */
    } BLOCKS[] = {{0, 2, {0, 1, 2}}, {2, 4, {5, 6, 7}}, {3, 6, {7, 8, 9}}, {24, 28, {50, 51, 52}}};
    static const double values[] = {1, 2.5, 4};
    for (size_t i = 0; i < ARRAY_COUNT(BLOCKS); i++) {
        int64_t times[3];
        for (size_t k = 0; k < 3; k++)
            times[k] = START + BLOCKS[i].times[k] * HOUR / 2 + (i == 2);
        write_block(START + BLOCKS[i].from * HOUR, START + BLOCKS[i].to * HOUR, times, values, 3);
    }
}

struct tally { /* of the blocks in the folder */
    size_t blocks, others, level_max;
    uint64_t samples, bytes;
};
static bool tally_visit(void *arg, const char *name, bool is_dir)
{
    struct tally *t = arg;
    struct error err;
    struct block *b;
    char path[PATH_BYTES];
    if (!is_dir || strlen(name) < 26 || strcmp(name, "quarantine") == 0)
        return true;
    if (strlen(name) > 26) {
        t->others++;
        return true;
    }
    (void)snprintf(path, sizeof path, "%s/%s", folder(), name);
    assert_ok(block_open(&b, path, &err));
    t->blocks++;
    t->samples += block_get_meta(b)->sample_count;
    t->bytes += block_get_meta(b)->bytes;
    if (block_get_meta(b)->level > t->level_max)
        t->level_max = block_get_meta(b)->level;
    block_unref(b);
    return true;
}

static struct tally tally(void)
{
    struct tally t = {0};
    struct error err;
    assert_ok(dir_list(folder(), tally_visit, &t, &err));
    return t;
}

static void a_merged_day_gives_the_same_answers(void **state)
{
    struct fed f = {0};
    struct random r;
    struct error err;
    append_a_day(&f, 31, MINUTE);
    struct tally before = tally();
    struct db *db = open_db(-1);
    assert_ok(db_compact(db, &err));
    assert_int_equal(stats_of(db).compactions, 1);
    assert_int_equal(stats_of(db).blocks, before.blocks - DAY_BLOCKS + 1);
    struct tally after = tally();
    assert_int_equal(after.samples, before.samples);
    assert_int_equal(after.level_max, 2);
    assert_int_equal(after.others, 0);
    assert_true(after.bytes < before.bytes);
    for (int reopened = 0; reopened < 2; reopened++) {
        random_seed(&r, 32);
        assert_answer(db, &f, INT64_MIN, INT64_MAX);
        for (int i = 0; i < 20; i++) {
            int64_t mint = START + (int64_t)random_below(&r, 30 * HOUR);
            assert_answer(db, &f, mint, mint + (int64_t)random_below(&r, 10 * HOUR));
        }
        assert_ok(db_compact(db, &err)); /* nothing is left to do */
        assert_int_equal(stats_of(db).compactions, !reopened);
        close_db(db);
        db = open_db(-1);
    }
    close_db(db);
    fed_free(&f);
}

/* Blocks that overlap become one, and the sample that counted before counts after. */
static void overlaps_are_merged_with_the_same_preference(void **state)
{
    static const int64_t times[][3] = {{10, 20, 30}, {10, 15, 20}, {5, 20, 40}};
    static const double values[][3] = {{1, 2, 3}, {4, 5, 6}, {7, 8, 9}};
    static const int64_t mint[] = {10, 0, 0};
    struct buffer before, after;
    struct error err;
    buffer_init(&before, MEM_OTHER, TEXT_BYTES_MAX);
    buffer_init(&after, MEM_OTHER, TEXT_BYTES_MAX);
    for (size_t i = 0; i < 3; i++) {
        clock_test_freeze((wall_time){START + (int64_t)i}, (mono_time){0});
        write_block(mint[i], 100, times[i], values[i], 3);
    }
    clock_test_unfreeze();
    struct db *db = open_db(-1);
    db_text(db, 0, 100, &before, NULL);
    assert_non_null(strstr(before.ptr, "15=4014000000000000")); /* 5 */
    assert_non_null(strstr(before.ptr, "20=4018000000000000")); /* 6 of 2, 6 and 8 */
    assert_ok(db_compact(db, &err));
    assert_int_equal(stats_of(db).blocks, 1);
    db_text(db, 0, 100, &after, NULL);
    assert_true(view_eq(buffer_view(&before), buffer_view(&after)));
    close_db(db);
    assert_int_equal(tally().samples, 2 * 6);
    buffer_deinit(&before);
    buffer_deinit(&after);
}

/* --- crash ---------------------------------------------------------------------------------------- */

struct crash {
    long countdown;
    bool armed;
};
static struct crash crash;

static int crash_hook(void *arg, enum file_op op, const char *path, size_t *bytes)
{
    if (crash.armed && op != FILE_OP_READ && --crash.countdown < 0) {
        if (op == FILE_OP_WRITE && bytes && *bytes > 1) { /* half of it, and the next one ends it */
            *bytes /= 2;
            crash.countdown = 0;
            return 0;
        }
        _exit(77);
    }
    return 0;
}

/* In a process of its own: merges, and ends without a word at the n-th operation on files. */
static bool merge_and_crash(long n)
{
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        struct error err;
        struct db *db = open_db(-1);
        crash = (struct crash){n, true};
        file_test_set_hook(crash_hook, NULL);
        bool ok = db_compact(db, &err);
        _exit(ok ? 0 : 1);
    }
    int status;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFEXITED(status) && (WEXITSTATUS(status) == 77 || WEXITSTATUS(status) == 0));
    return WEXITSTATUS(status) == 77;
}

/* The process ends at the n-th operation of a merge, for every n: the next start has each sample once, in the
 * old blocks or in the new one, and nothing lies about. */
static void a_crash_at_any_step_leaves_old_or_new(void **state)
{
    struct buffer before, after;
    struct error err;
    bool crashed = true, seen[LITTLE_BLOCKS + 1] = {false};
    long n = 0;
    buffer_init(&before, MEM_OTHER, TEXT_BYTES_MAX);
    buffer_init(&after, MEM_OTHER, TEXT_BYTES_MAX);
    for (; crashed; n++) {
        assert_int_equal(folder_make(NULL), 0);
        write_a_little_day();
        crashed = merge_and_crash(n);
        struct db *db = open_db(-1);
        buffer_reset(&after);
        db_text(db, INT64_MIN, INT64_MAX, &after, NULL);
        if (n == 0)
            buffer_append_view(&before, buffer_view(&after));
        assert_true(view_eq(buffer_view(&before), buffer_view(&after)));
        struct tally found = tally();
        if (found.samples != 2 * 3 * LITTLE_BLOCKS || found.others != 0)
            fail_msg("step %ld: %" PRIu64 " samples, %zu leftovers", n, found.samples,
                     found.others);
        seen[found.blocks] = true;
        assert_ok(db_compact(db, &err));
        assert_int_equal(stats_of(db).blocks, 2);
        buffer_reset(&after);
        db_text(db, INT64_MIN, INT64_MAX, &after, NULL);
        assert_true(view_eq(buffer_view(&before), buffer_view(&after)));
        close_db(db);
    }
    printf("crashed at %ld steps\n", n - 1);
    assert_true(n > 60 && seen[4] && seen[3] && seen[2]); /* nothing, the overlap, the day */
    buffer_deinit(&before);
    buffer_deinit(&after);
}

/* --- failures ------------------------------------------------------------------------------------- */

struct failing {
    pthread_mutex_t mutex;
    long countdown;
    int error;
    bool hit;
};

static int fail_hook(void *arg, enum file_op op, const char *path, size_t *bytes)
{
    struct failing *f = arg;
    int error = 0;
    mutex_lock(&f->mutex);
    if (!strstr(path, "/head") && f->countdown-- == 0) {
        f->hit = true;
        error = f->error;
    }
    mutex_unlock(&f->mutex);
    return error;
}

/* Each operation fails once, as a bad disk or a full one: no answer changes, and the next try goes through. */
static void a_merge_that_fails_loses_nothing(void **state)
{
    static const int errors[] = {EIO, ENOSPC};
    struct buffer before, after;
    struct error err;
    buffer_init(&before, MEM_OTHER, TEXT_BYTES_MAX);
    buffer_init(&after, MEM_OTHER, TEXT_BYTES_MAX);
    for (size_t e = 0; e < ARRAY_COUNT(errors); e++) {
        bool hit = true;
        long n = 0;
        for (; hit; n += e == 0 ? 1 : 3) {
            struct failing failing = {PTHREAD_MUTEX_INITIALIZER, n, errors[e], false};
            assert_int_equal(folder_make(NULL), 0);
            write_a_little_day();
            struct db *db = open_db(-1);
            buffer_reset(&before);
            db_text(db, INT64_MIN, INT64_MAX, &before, NULL);
            file_test_set_hook(fail_hook, &failing);
            bool ok = db_compact(db, &err);
            file_test_set_hook(NULL, NULL);
            hit = failing.hit;
            assert_true(ok || err.message[0] != '\0');
            for (int reopened = 0; reopened < 2; reopened++) {
                assert_ok(db_compact(db, &err));
                assert_int_equal(stats_of(db).blocks, 2);
                buffer_reset(&after);
                db_text(db, INT64_MIN, INT64_MAX, &after, NULL);
                assert_true(view_eq(buffer_view(&before), buffer_view(&after)));
                close_db(db);
                db = open_db(-1);
            }
            assert_int_equal(tally().samples, 2 * 3 * LITTLE_BLOCKS);
            assert_int_equal(tally().others, 0);
            close_db(db);
        }
        assert_true(n > 60);
    }
    buffer_deinit(&before);
    buffer_deinit(&after);
}

/* A block with a damaged column stays as it is, is counted and told; the others are merged. */
static void a_damaged_block_does_not_stop_the_others(void **state)
{
    struct fed f = {0};
    struct find found = {0};
    struct error err;
    struct buffer before, after;
    char path[PATH_BYTES * 2];
    uint64_t lost;
    buffer_init(&before, MEM_OTHER, TEXT_BYTES_MAX);
    buffer_init(&after, MEM_OTHER, TEXT_BYTES_MAX);
    append_a_day(&f, 35, MINUTE);
    size_t blocks = tally().blocks;
    assert_ok(dir_list(folder(), find_block, &found, &err));
    (void)snprintf(path, sizeof path, "%s/%s/columns", folder(), found.name);
    flip_byte(path, 400);
    events.len = 0;
    struct db *db = open_db(-1);
    db_text(db, INT64_MIN, INT64_MAX, &before, &lost);
    assert_true(lost > 0);
    assert_ok(db_compact(db, &err));
    assert_int_equal(stats_of(db).compactions_failed, 1);
    assert_int_equal(stats_of(db).compactions, 1);
    assert_int_equal(stats_of(db).blocks, blocks - DAY_BLOCKS + 2);
    assert_true(log_has("block_left_unmerged"));
    db_text(db, INT64_MIN, INT64_MAX, &after, &lost);
    assert_true(lost > 0);
    assert_true(view_eq(buffer_view(&before), buffer_view(&after)));
    close_db(db);
    buffer_deinit(&before);
    buffer_deinit(&after);
    fed_free(&f);
}

/* --- beside others -------------------------------------------------------------------------------- */

struct querying {
    struct db *db;
    const struct fed *fed;
    atomic_bool stop;
    _Atomic uint64_t queries;
};

static void *query_all_the_time(void *arg)
{
    struct querying *q = arg;
    while (!atomic_load(&q->stop)) {
        assert_answer(q->db, q->fed, START, START + DAY - 1);
        atomic_fetch_add(&q->queries, 1);
    }
    return NULL;
}

/* Rows come, blocks are cut, merged and taken by retention while queries of the first day go on; a view that was
 * pinned before all that gives the same after it. */
static void queries_go_on_during_merges(void **state)
{
    struct fed f = {0}, more = {0};
    struct random r;
    struct error err;
    pthread_t threads[2];
    struct buffer first, last;
    buffer_init(&first, MEM_OTHER, TEXT_BYTES_MAX);
    buffer_init(&last, MEM_OTHER, TEXT_BYTES_MAX);
    append_a_day(&f, 36, 5 * MINUTE);
    struct db *db = open_db(-1);
    struct querying q = {.db = db, .fed = &f};
    struct storage_view *view = source_pin(db_as_source(db), START, START + DAY - 1, &err);
    view_text(view, START, START + DAY - 1, &first, NULL);
    for (size_t i = 0; i < ARRAY_COUNT(threads); i++)
        assert_ok(thread_start(&threads[i], "query", query_all_the_time, &q, &err));
    assert_ok(db_compact(db, &err));
    view_text(view, START, START + DAY - 1, &last, NULL);
    assert_true(view_eq(buffer_view(&first), buffer_view(&last)));
    view_release(view); /* or no cut would begin */
    random_seed(&r, 37);
    for (int i = 0; i < 8; i++) {
        int64_t from = START + DAY + 5 * HOUR + (int64_t)i * 12 * HOUR;
        append_span(db, &more, &r, from, from + 12 * HOUR, 10 * MINUTE);
        do /* a cut waits for the queries that began before the last one */
            assert_ok(db_maintain(db, &err));
        while (stats_of(db).head_maxt - stats_of(db).head_mint > 3 * HOUR);
        assert_ok(db_compact(db, &err));
    }
    while (atomic_load(&q.queries) < 4)
        sched_yield();
    atomic_store(&q.stop, true);
    for (size_t i = 0; i < ARRAY_COUNT(threads); i++)
        thread_join(threads[i]);
    if (stats_of(db).compactions < 4)
        fail_msg("%" PRIu64 " merges", stats_of(db).compactions);
    close_db(db);
    buffer_deinit(&first);
    buffer_deinit(&last);
    fed_free(&f);
    fed_free(&more);
}

/* A merged block is kept as long as any of it is wanted. */
static void retention_takes_merged_blocks_by_their_end(void **state)
{
    struct fed f = {0};
    struct error err;
    append_a_day(&f, 38, MINUTE);
    struct db *db = open_db(-1);
    assert_ok(db_compact(db, &err));
    size_t blocks = stats_of(db).blocks;
    db_set_retention(db, 6 * HOUR, 0); /* the newest is five hours after the day's end */
    assert_ok(db_maintain(db, &err));
    assert_int_equal(stats_of(db).blocks, blocks);
    db_set_retention(db, 2 * HOUR, 0);
    assert_ok(db_maintain(db, &err));
    assert_true(stats_of(db).blocks < blocks);
    assert_true(stats_of(db).lowest_time >= START + DAY);
    close_db(db);
    fed_free(&f);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, folder_make, folder_remove)
int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_merged_day_gives_the_same_answers),
        TEST(overlaps_are_merged_with_the_same_preference),
        TEST(a_crash_at_any_step_leaves_old_or_new),
        TEST(a_merge_that_fails_loses_nothing),
        TEST(a_damaged_block_does_not_stop_the_others),
        TEST(queries_go_on_during_merges),
        TEST(retention_takes_merged_blocks_by_their_end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
