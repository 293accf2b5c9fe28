/* SPDX-License-Identifier: Apache-2.0 */
/* delete_test.c: what is deleted is gone at once, everywhere and for good, and nothing else is; a snapshot is the
 * database as it was. The oracle is a plain list of what was written less what was deleted. */
#include "db_fixture.h"

#include "storage/block_private.h"
#include "storage/head_deletions.h"

#include <errno.h>
#include <sys/wait.h>

/* --- intervals ------------------------------------------------------------------------------------ */

static const struct {
    const char *name;
    struct deletion in[5];
    size_t in_count;
    const char *text; /* series:[from..to] */
} INTERVALS[] = {
    {"none", {{0, {0, 0}}}, 0, ""},
    {"one", {{7, {10, 20}}}, 1, "7:[10..20]"},
    {"backwards is nothing", {{7, {20, 10}}}, 1, ""},
    {"a millisecond", {{0, {5, 5}}}, 1, "0:[5..5]"},
    {"apart", {{1, {30, 40}}, {1, {10, 20}}}, 2, "1:[10..20][30..40]"},
    {"overlapping", {{1, {10, 20}}, {1, {15, 40}}}, 2, "1:[10..40]"},
    {"inside", {{1, {10, 40}}, {1, {15, 20}}}, 2, "1:[10..40]"},
    {"touching", {{1, {10, 20}}, {1, {21, 30}}}, 2, "1:[10..30]"},
    {"not quite touching", {{1, {10, 20}}, {1, {22, 30}}}, 2, "1:[10..20][22..30]"},
    {"several series", {{9, {1, 2}}, {3, {1, 2}}, {9, {5, 6}}}, 3, "3:[1..2] 9:[1..2][5..6]"},
    {"all of time",
     {{1, {INT64_MIN, INT64_MAX}}, {1, {0, INT64_MAX}}},
     2,
     "1:[-9223372036854775808..9223372036854775807]"},
    {"ends of time",
     {{1, {INT64_MIN, INT64_MIN}}, {1, {INT64_MAX, INT64_MAX}}},
     2,
     "1:[-9223372036854775808..-9223372036854775808][9223372036854775807..9223372036854775807]"},
};

static void deletions_text(const struct deletions *d, char *out, size_t bytes)
{
    out[0] = '\0';
    for (uint32_t n = 0; n < 16; n++) {
        struct intervals gone = deletions_of(d, n);
        for (size_t i = 0; i < gone.count; i++) {
            size_t len = strlen(out);
            if (i == 0)
                (void)snprintf(out + len, bytes - len, "%s%" PRIu32 ":", len ? " " : "", n);
            len = strlen(out);
            (void)snprintf(out + len, bytes - len, "[%" PRId64 "..%" PRId64 "]", gone.items[i].mint,
                           gone.items[i].maxt);
        }
    }
}

/* Intervals are joined, and come back from the file as they were; no flipped byte or cut passes. */
static void intervals_are_joined_and_kept(void **state)
{
    struct error err;
    char text[512], path[PATH_BYTES];
    for (size_t i = 0; i < ARRAY_COUNT(INTERVALS); i++) {
        struct deletions_builder b = {0};
        struct deletions *d, *read;
        struct buffer bytes;
        for (size_t k = 0; k < INTERVALS[i].in_count; k++)
            deletions_builder_add(&b, INTERVALS[i].in[k].series, INTERVALS[i].in[k].interval.mint,
                                  INTERVALS[i].in[k].interval.maxt);
        d = deletions_finish(&b);
        deletions_text(d, text, sizeof text);
        if (strcmp(text, INTERVALS[i].text) != 0)
            fail_msg("%s: %s", INTERVALS[i].name, text);
        assert_ok(dir_create(folder(), &err));
        assert_ok(deletions_write(folder(), d, &err));
        assert_ok(deletions_read(folder(), 10, &read, &err));
        deletions_text(read, text, sizeof text);
        assert_string_equal(text, INTERVALS[i].text);
        deletions_unref(read);
        (void)snprintf(path, sizeof path, "%s/deletions", folder());
        buffer_init(&bytes, MEM_OTHER, 1 << 20);
        assert_ok(file_read_all(path, &bytes, &err));
        for (size_t at = 0; at < bytes.len; at++) {
            struct view cut = {bytes.ptr, at};
            assert_false(deletions_parse(cut, 10, &read, &err));
            bytes.ptr[at] ^= 0x20;
            assert_false(deletions_parse(buffer_view(&bytes), 10, &read, &err));
            assert_int_equal(err.kind, ERROR_CORRUPT);
            bytes.ptr[at] ^= 0x20;
        }
        if (d)
            assert_false(deletions_parse(buffer_view(&bytes), 1, &read, &err) &&
                         deletions_of(d, 0).count == 0);
        deletions_unref(read);
        buffer_deinit(&bytes);
        deletions_unref(d);
    }
}

/* --- deleting ------------------------------------------------------------------------------------- */

/* Deletes up{n="N"} or requests_total{n="N"}; n < 0: everything. */
static bool delete_series(struct db *db, int n, int64_t mint, int64_t maxt, struct error *err)
{
    struct matcher m;
    char value[16];
    struct db_selector s = {&m, 1};
    (void)snprintf(value, sizeof value, "%d", n);
    if (n >= 0)
        assert_true(matcher_init(&m, MATCH_EQUAL, VIEW("n"), view_from(value), err));
    else
        assert_true(matcher_init(&m, MATCH_REGEX, VIEW("n"), VIEW(".+"), err));
    bool ok = db_delete(db, &s, 1, mint, maxt, err);
    matcher_deinit(&m);
    return ok;
}

static void fed_delete(struct fed *f, int n, int64_t mint, int64_t maxt)
{
    for (int i = n < 0 ? 0 : n; i <= (n < 0 ? SERIES - 1 : n); i++) {
        size_t kept = 0;
        for (size_t k = 0; k < f->count[i]; k++)
            if (f->samples[i][k].t < mint || f->samples[i][k].t > maxt)
                f->samples[i][kept++] = f->samples[i][k];
        f->count[i] = kept;
    }
}

static struct tally_files {
    size_t deletions;
    uint64_t samples;
} files;
static bool files_visit(void *arg, const char *name, bool is_dir)
{
    struct error err;
    struct block *b;
    char path[PATH_BYTES];
    if (!is_dir || strlen(name) != 26)
        return true;
    (void)snprintf(path, sizeof path, "%s/%s", (const char *)arg, name);
    assert_ok(block_open(&b, path, &err));
    files.samples += block_get_meta(b)->sample_count;
    files.deletions += block_get_deletions(b) != NULL;
    block_unref(b);
    return true;
}
static struct tally_files files_of(const char *dir)
{
    struct error err;
    files = (struct tally_files){0, 0};
    assert_ok(dir_list(dir, files_visit, (void *)(uintptr_t)dir, &err));
    return files;
}

static const struct {
    const char *name;
    int n;
    int64_t from, to; /* minutes after START */
} DELETES[] = {
    {"one series in a block", 2, 10, 20},
    {"across two blocks and the head", 3, 60, 5 * 60},
    {"a millisecond that nothing has", 0, -10, -10},
    {"in the head", 4, 6 * 60 + 10, 6 * 60 + 20},
    {"all of it", 5, -100000, 100000},
    {"everything in a stretch", -1, 100, 130},
    {"no such series", 77, 0, 1000},
    {"again", 2, 15, 30},
};

/* After each deletion the answers are those of the list, now, after a restart, a cut, a merge and a cleaning. */
static void deleted_samples_are_gone_at_once(void **state)
{
    struct fed f = {0};
    struct random r;
    struct error err;
    random_seed(&r, 41);
    struct db *db = open_db(-1);
    append_span(db, &f, &r, START, START + 8 * HOUR, MINUTE);
    assert_ok(db_maintain(db, &err));
    assert_true(stats_of(db).blocks >= 2);
    for (size_t i = 0; i < ARRAY_COUNT(DELETES); i++) {
        int64_t mint = START + DELETES[i].from * MINUTE, maxt = START + DELETES[i].to * MINUTE;
        assert_ok(delete_series(db, DELETES[i].n, mint, maxt, &err));
        if (DELETES[i].n < SERIES)
            fed_delete(&f, DELETES[i].n, mint, maxt);
        assert_answer(db, &f, INT64_MIN, INT64_MAX);
        assert_answer(db, &f, mint - HOUR, maxt);
        close_db(db);
        db = open_db(-1);
        assert_answer(db, &f, INT64_MIN, INT64_MAX);
    }
    append_span(db, &f, &r, START + 8 * HOUR, START + 13 * HOUR, MINUTE); /* the deleted live on */
    assert_answer(db, &f, INT64_MIN, INT64_MAX);
    assert_ok(db_maintain(db, &err));
    assert_answer(db, &f, INT64_MIN, INT64_MAX);
    assert_true(files_of(folder()).deletions > 0);
    assert_ok(db_clean_tombstones(db, &err));
    assert_int_equal(files_of(folder()).deletions, 0);
    assert_answer(db, &f, INT64_MIN, INT64_MAX);
    close_db(db);
    db = open_db(-1);
    assert_answer(db, &f, INT64_MIN, INT64_MAX);
    close_db(db);
    fed_free(&f);
}

static size_t value_count(struct db *db, const char *name, int64_t mint, int64_t maxt)
{
    struct error err;
    struct arena arena;
    struct view *items;
    size_t values, names;
    struct select what = {.mint = mint, .maxt = maxt};
    struct storage_view *view = source_pin(db_as_source(db), mint, maxt, &err);
    arena_init(&arena, MEM_OTHER, 0);
    assert_ok(
        view->ops->label_values(view, view_from(name), &what, 0, &arena, &items, &values, &err));
    assert_ok(view->ops->label_names(view, &what, 0, &arena, &items, &names, &err));
    assert_int_equal(names, values > 0 ? 2 : 0);
    arena_deinit(&arena);
    view_release(view);
    return values;
}

/* A series of which nothing is left leaves the lists of labels at once, in blocks and in the head. */
static void deleted_series_leave_the_lists_of_labels(void **state)
{
    struct fed f = {0};
    struct random r;
    struct error err;
    random_seed(&r, 42);
    struct db *db = open_db(-1);
    append_span(db, &f, &r, START, START + 5 * HOUR, MINUTE);
    assert_ok(db_maintain(db, &err));
    assert_int_equal(value_count(db, "n", INT64_MIN, INT64_MAX), SERIES);
    assert_ok(delete_series(db, 3, INT64_MIN, INT64_MAX, &err));
    assert_int_equal(value_count(db, "n", INT64_MIN, INT64_MAX), SERIES - 1);
    assert_ok(
        delete_series(db, 4, START, START + 2 * HOUR - 1, &err)); /* of the block, not the head */
    assert_int_equal(value_count(db, "n", INT64_MIN, INT64_MAX), SERIES - 1);
    assert_int_equal(value_count(db, "n", START, START + 2 * HOUR - 1), SERIES - 2);
    assert_ok(delete_series(db, -1, INT64_MIN, INT64_MAX, &err));
    assert_int_equal(value_count(db, "n", INT64_MIN, INT64_MAX), 0);
    assert_ok(db_clean_tombstones(db, &err));
    assert_int_equal(stats_of(db).blocks, 0);
    assert_int_equal(files_of(folder()).samples, 0);
    close_db(db);
    fed_free(&f);
}

/* What was answered is deleted, though the process ends at once. */
static void a_deletion_that_was_answered_survives_a_kill(void **state)
{
    struct fed f = {0};
    struct random r;
    random_seed(&r, 43);
    struct db *db = open_db(-1);
    append_span(db, &f, &r, START, START + 4 * HOUR, MINUTE);
    close_db(db);
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        struct error err;
        db = open_db(-1);
        bool ok = db_maintain(db, &err) && delete_series(db, 1, START + HOUR, INT64_MAX, &err);
        _exit(ok ? 0 : 1);
    }
    int status;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
    fed_delete(&f, 1, START + HOUR, INT64_MAX);
    db = open_db(-1);
    assert_answer(db, &f, INT64_MIN, INT64_MAX);
    close_db(db);
    fed_free(&f);
}

struct failing {
    long countdown;
    int error;
    bool hit;
};
static int fail_hook(void *arg, enum file_op op, const char *path, size_t *bytes)
{
    struct failing *f = arg;
    if (!strstr(path, "/deletions") && !strstr(path, "/snapshots"))
        return 0;
    if (f->countdown-- == 0)
        f->hit = true;
    return f->countdown == -1 ? f->error : 0;
}

/* A disk that fails or is full: the deletion says so, a sample is deleted or not, and the next try goes through. */
static void a_deletion_that_fails_says_so(void **state)
{
    struct fed f = {0};
    struct random r;
    struct error err;
    bool hit = true;
    random_seed(&r, 44);
    struct db *db = open_db(-1);
    append_span(db, &f, &r, START, START + 4 * HOUR, 10 * MINUTE);
    assert_ok(db_maintain(db, &err));
    for (long n = 0; hit; n++) {
        struct failing failing = {n, n % 2 ? EIO : ENOSPC, false};
        int64_t mint = START + n * 10 * MINUTE, maxt = START + 3 * HOUR + n * MINUTE;
        file_test_set_hook(fail_hook, &failing);
        bool ok = delete_series(db, (int)(n % SERIES), mint, maxt, &err);
        file_test_set_hook(NULL, NULL);
        hit = failing.hit;
        assert_true(ok || strstr(err.message, "could not delete all"));
        assert_ok(delete_series(db, (int)(n % SERIES), mint, maxt, &err));
        fed_delete(&f, (int)(n % SERIES), mint, maxt);
        assert_answer(db, &f, INT64_MIN, INT64_MAX);
        close_db(db);
        db = open_db(-1);
        assert_answer(db, &f, INT64_MIN, INT64_MAX);
    }
    close_db(db);
    fed_free(&f);
}

/* A damaged list of a block puts the block aside, one of the head is put aside itself: both are said. */
static void damaged_deletions_are_put_aside_and_named(void **state)
{
    struct fed f = {0};
    struct random r;
    struct error err;
    struct find found = {0};
    char path[PATH_BYTES * 2];
    random_seed(&r, 45);
    struct db *db = open_db(-1);
    append_span(db, &f, &r, START, START + 4 * HOUR, MINUTE);
    assert_ok(db_maintain(db, &err));
    assert_ok(delete_series(db, -1, START + HOUR, START + 3 * HOUR, &err));
    close_db(db);
    assert_ok(dir_list(folder(), find_block, &found, &err));
    (void)snprintf(path, sizeof path, "%s/%s/deletions", folder(), found.name);
    flip_byte(path, 14);
    (void)snprintf(path, sizeof path, "%s/head/deletions", folder());
    flip_byte(path, 14);
    events.len = 0;
    db = open_db(-1);
    assert_true(log_has("block_quarantined") && log_has("deletions\": its checksum does not fit"));
    assert_true(log_has("head_deletions_lost"));
    fed_delete(&f, -1, START, START + 2 * HOUR - 1);
    assert_answer(db, &f, INT64_MIN, INT64_MAX);
    close_db(db);
    fed_free(&f);
}

/* --- snapshots ------------------------------------------------------------------------------------ */

struct copying {
    const char *from, *to;
};
/* Folders one below the other. */
static bool copy_visit(void *arg, const char *name, bool is_dir)
{
    const struct copying *c = arg;
    struct error err;
    char from[PATH_BYTES * 4], to[PATH_BYTES * 4];
    (void)snprintf(from, sizeof from, "%s/%s", c->from, name);
    (void)snprintf(to, sizeof to, "%s/%s", c->to, name);
    if (!is_dir) {
        assert_ok(file_link_or_copy(from, to, &err));
        return true;
    }
    assert_ok(dir_create(to, &err));
    assert_ok(dir_list(from, copy_visit, &(struct copying){from, to}, &err));
    return true;
}

static void copy_blocks(const char *from, const char *to)
{
    struct error err;
    assert_ok(dir_create(to, &err));
    assert_ok(dir_list(from, copy_visit, &(struct copying){from, to}, &err));
}

/* A copy of the snapshot, opened as a data folder, answers as the database did. */
static void a_snapshot_is_the_database_as_it_was(void **state)
{
    struct fed f = {0}, then = {0};
    struct random r;
    struct error err;
    char name[DB_SNAPSHOT_NAME_BYTES], was[PATH_BYTES], path[PATH_BYTES * 2];
    random_seed(&r, 46);
    struct db *db = open_db(-1);
    append_span(db, &then, &r, START, START + 8 * HOUR, MINUTE);
    assert_ok(db_maintain(db, &err));
    for (int skip_head = 0; skip_head < 2; skip_head++) {
        assert_ok(delete_series(db, 1, START + HOUR, START + 7 * HOUR, &err));
        fed_delete(&then, 1, START + HOUR, START + 7 * HOUR);
        assert_ok(db_snapshot(db, skip_head, name, &err));
        assert_int_equal(strlen(name), strlen("20171210T211224Z-2be650b6d019eb54"));
        int64_t head_begins = stats_of(db).head_mint;
        append_span(db, NULL, &r, START + (8 + skip_head) * HOUR,
                    START + (8 + skip_head) * HOUR + 10 * MINUTE, MINUTE);
        assert_ok(delete_series(db, 0, INT64_MIN, INT64_MAX, &err));
        close_db(db);
        (void)snprintf(was, sizeof was, "%s.was", folder());
        (void)snprintf(path, sizeof path, "%s/snapshots/%s", was, name);
        assert_ok(file_publish(folder(), was, &err));
        copy_blocks(path, folder());
        db = open_db(-1);
        if (skip_head)
            fed_delete(&then, -1, head_begins, INT64_MAX);
        assert_answer(db, &then, INT64_MIN, INT64_MAX);
        close_db(db);
        assert_ok(dir_remove(folder(), &err));
        assert_ok(file_publish(was, folder(), &err));
        db = open_db(-1);
        fed_delete(&then, 0, INT64_MIN, INT64_MAX);
    }
    close_db(db);
    fed_free(&f);
    fed_free(&then);
}

/* A snapshot that fails at any operation says so and leaves nothing; one whose links fail copies. */
static void a_snapshot_that_fails_leaves_nothing(void **state)
{
    struct fed f = {0};
    struct random r;
    struct error err;
    char name[DB_SNAPSHOT_NAME_BYTES], path[PATH_BYTES];
    bool hit = true;
    long n = 0;
    random_seed(&r, 47);
    struct db *db = open_db(-1);
    append_span(db, &f, &r, START, START + 4 * HOUR, 10 * MINUTE);
    assert_ok(db_maintain(db, &err));
    for (; hit; n++) {
        struct failing failing = {n, n % 3 == 0 ? ENOSPC : n % 3 == 1 ? EIO : EXDEV, false};
        file_test_set_hook(fail_hook, &failing);
        bool ok = db_snapshot(db, false, name, &err);
        file_test_set_hook(NULL, NULL);
        hit = failing.hit;
        (void)snprintf(path, sizeof path, "%s/snapshots/%s", folder(), name);
        assert_true(ok || strstr(err.message, "could not make a snapshot"));
        assert_int_equal(file_exists(path), ok);
        (void)snprintf(path, sizeof path, "%s/snapshots/%s.tmp", folder(), name);
        assert_false(file_exists(path) && failing.error != EIO);
        assert_answer(db, &f, INT64_MIN, INT64_MAX);
    }
    assert_true(n > 15);
    close_db(db);
    fed_free(&f);
}

/* --- everything at random ------------------------------------------------------------------------- */

static int sample_order(const void *a, const void *b)
{
    int64_t x = *(const int64_t *)a, y = *(const int64_t *)b; /* t is the first member */
    return (x > y) - (x < y);
}

static void fed_sort(struct fed *f)
{
    for (int i = 0; i < SERIES; i++)
        if (f->count[i] > 1)
            qsort(f->samples[i], f->count[i], sizeof f->samples[i][0], sample_order);
}

/* A block of up{n="0"} and up{n="2"} at times that nothing else has, put into the folder while it is closed. */
static void put_block(struct fed *f, struct random *r, int64_t end, int64_t *unique)
{
    int64_t times[6],
        from = START + (int64_t)random_below(r, (uint32_t)((end - START) / HOUR)) * HOUR;
    double values[6];
    for (size_t k = 0; k < ARRAY_COUNT(times); k++) {
        times[k] = from + (int64_t)k * 17 * MINUTE + 30000 + ++*unique % 20000;
        values[k] = (double)random_below(r, 100) / 8;
    }
    write_block(from, times[5] + 1 + (int64_t)random_below(r, 3 * HOUR), times, values, 6);
    for (int i = 0; i < 4; i += 2)
        for (size_t k = 0; k < ARRAY_COUNT(times); k++)
            feed(f, i, times[k], values[k] + 50 * i);
    fed_sort(f);
}

static void random_step(struct db **db, struct fed *f, struct random *r, int64_t *end,
                        int64_t *unique)
{
    struct error err;
    char name[DB_SNAPSHOT_NAME_BYTES];
    int64_t span = (1 + (int64_t)random_below(r, 16)) * 30 * MINUTE;
    int64_t mint =
        START + (int64_t)random_below(r, (uint32_t)((*end - START) / MINUTE + 1)) * MINUTE;
    int n = (int)random_below(r, SERIES + 1) - 1;
    switch (random_below(r, 9)) {
    case 0:
    case 1:
    case 2:
        append_span(*db, f, r, *end, *end + span, 5 * MINUTE);
        *end += span;
        fed_sort(f); /* a block may have been put before them */
        break;
    case 3:
        assert_ok(db_maintain(*db, &err));
        break;
    case 4:
        assert_ok(db_compact(*db, &err));
        break;
    case 5:
        span = random_below(r, 4) ? span : 3 * DAY;
        assert_ok(delete_series(*db, n, mint, mint + span, &err));
        fed_delete(f, n, mint, mint + span);
        break;
    case 6:
        close_db(*db);
        if (*end >= START + HOUR && random_below(r, 2))
            put_block(f, r, *end, unique);
        *db = open_db(-1);
        break;
    case 7:
        if (random_below(r, 3) == 0)
            assert_ok(db_clean_tombstones(*db, &err));
        break;
    default:
        if (random_below(r, 4) == 0)
            assert_ok(db_snapshot(*db, random_below(r, 2), name, &err));
        break;
    }
}

/* Rows, cuts, overlapping blocks, deletions, merges, cleanings, snapshots and restarts in any order: each answer is
 * that of the list. The seed is printed; TEST_SEED repeats it. */
static void random_operations_agree_with_the_list(void **state)
{
    const char *text = getenv("TEST_SEED");
    uint64_t seed = text ? strtoull(text, NULL, 10) : (uint64_t)clock_wall().ms % 1000000;
    for (unsigned long round = 0; round < 2 * scale(); round++, seed++) {
        struct fed f = {0};
        struct random r;
        int64_t end = START, unique = 0;
        printf("seed %" PRIu64 "\n", seed);
        random_seed(&r, seed);
        assert_int_equal(folder_make(NULL), 0);
        struct db *db = open_db(-1);
        for (int i = 0; i < 60; i++) {
            random_step(&db, &f, &r, &end, &unique);
            assert_answer(db, &f, INT64_MIN, INT64_MAX);
            int64_t mint = START + (int64_t)random_below(&r, 30 * HOUR);
            assert_answer(db, &f, mint, mint + (int64_t)random_below(&r, 10 * HOUR));
        }
        close_db(db);
        fed_free(&f);
    }
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, folder_make, folder_remove)
int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(intervals_are_joined_and_kept),
        TEST(deleted_samples_are_gone_at_once),
        TEST(deleted_series_leave_the_lists_of_labels),
        TEST(a_deletion_that_was_answered_survives_a_kill),
        TEST(a_deletion_that_fails_says_so),
        TEST(damaged_deletions_are_put_aside_and_named),
        TEST(a_snapshot_is_the_database_as_it_was),
        TEST(a_snapshot_that_fails_leaves_nothing),
        TEST(random_operations_agree_with_the_list),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
