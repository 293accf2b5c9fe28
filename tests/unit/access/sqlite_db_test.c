/* SPDX-License-Identifier: Apache-2.0 */
#include "access/sqlite_db.h"

#include "base/file.h"
#include "base/thread.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

enum { ID = 0x42464c54 };

static const char *const MIGRATIONS[] = {
    "CREATE TABLE jobs(id TEXT PRIMARY KEY, n INTEGER NOT NULL) STRICT, WITHOUT ROWID;",
    "ALTER TABLE jobs ADD COLUMN note TEXT DEFAULT 'none'; CREATE INDEX jobs_n ON jobs(n);",
    "INSERT INTO jobs VALUES('first', 1, 'x');",
};

static char *dir_new(void)
{
    char *dir = strdup("/tmp/belfry-sqlite-XXXXXX");
    assert_non_null(mkdtemp(dir));
    return dir;
}

static void dir_free(char *dir)
{
    struct error err;
    assert_true(dir_remove(dir, &err));
    free(dir);
}

static struct sqlite_db *open_version(const char *path, size_t version, bool create,
                                      struct error *err)
{
    struct sqlite_db *db;
    struct sqlite_db_options options = {.application_id = ID,
                                        .migrations = MIGRATIONS,
                                        .migration_count = version,
                                        .create = create};
    return sqlite_db_open(&db, path, &options, err) ? db : NULL;
}

static int64_t ask(struct sqlite_db *db, const char *sql)
{
    int64_t value = -1;
    struct error err;
    if (!sqlite_db_int(db, sql, &value, &err))
        fail_msg("%s", err.message);
    return value;
}

static void a_schema_grows_by_versions_and_a_later_one_is_refused(void **state)
{
    (void)state;
    char *dir = dir_new(), path[128];
    struct error err;
    struct stat st;
    snprintf(path, sizeof path, "%s/x.db", dir);
    assert_null(open_version(path, 1, false, &err));
    assert_int_equal(err.kind, ERROR_NOT_FOUND);
    struct sqlite_db *db = open_version(path, 1, true, &err);
    if (db == NULL)
        fail_msg("%s", err.message);
    assert_int_equal(stat(path, &st), 0);
    assert_int_equal(st.st_mode & 0777, 0600);
    assert_int_equal(ask(db, "PRAGMA user_version"), 1);
    assert_int_equal(ask(db, "PRAGMA synchronous"), 1);
    assert_true(sqlite_db_execute(db, "INSERT INTO jobs VALUES('a', 7)", &err));
    sqlite_db_close(db);
    db = open_version(path, 3, false, &err);
    assert_non_null(db);
    assert_int_equal(ask(db, "SELECT count(*) FROM jobs WHERE note='none' AND n=7"), 1);
    assert_int_equal(ask(db, "SELECT count(*) FROM jobs"), 2);
    sqlite_db_close(db);
    assert_null(open_version(path, 2, true, &err));
    assert_int_equal(err.kind, ERROR_CORRUPT);
    assert_non_null(strstr(err.message, "has version 3, this program knows 2"));
    struct sqlite_db_options other = {
        .application_id = ID + 1, .migrations = MIGRATIONS, .migration_count = 3};
    assert_false(sqlite_db_open(&db, path, &other, &err));
    assert_non_null(strstr(err.message, "another program"));
    sqlite_db_close(NULL);
    dir_free(dir);
}

static void what_is_no_database_is_refused_and_kept(void **state)
{
    (void)state;
    char *dir = dir_new(), path[128];
    struct error err;
    struct buffer text;
    snprintf(path, sizeof path, "%s/x.db", dir);
    assert_true(file_replace(path, VIEW("this is a letter and no database at all, my dear"), &err));
    assert_null(open_version(path, 1, true, &err));
    assert_int_equal(err.kind, ERROR_CORRUPT);
    buffer_init(&text, MEM_OTHER, 1000);
    assert_true(file_read_all(path, &text, &err));
    assert_true(view_has_prefix(buffer_view(&text), VIEW("this is a letter")));
    buffer_deinit(&text);
    dir_free(dir);
}

/* The second statement of a migration fails: the first one is undone, the version stays, the next start tries again. */
static void a_migration_happens_whole_or_not_at_all(void **state)
{
    (void)state;
    static const char *const BROKEN[] = {"CREATE TABLE a(x INTEGER); CREATE TABLE a(x INTEGER);"};
    char *dir = dir_new(), path[128];
    struct error err;
    struct sqlite_db *db;
    struct sqlite_db_options broken = {
        .application_id = ID, .migrations = BROKEN, .migration_count = 1, .create = true};
    snprintf(path, sizeof path, "%s/x.db", dir);
    assert_false(sqlite_db_open(&db, path, &broken, &err));
    assert_non_null(strstr(err.message, "already exists"));
    db = open_version(path, 3, true, &err);
    if (db == NULL)
        fail_msg("%s", err.message);
    assert_int_equal(ask(db, "SELECT count(*) FROM sqlite_master WHERE name='a'"), 0);
    sqlite_db_close(db);
    dir_free(dir);
}

static void *open_and_close(void *arg)
{
    struct error err;
    struct sqlite_db *db = open_version(arg, 3, true, &err);
    sqlite_db_close(db);
    return db;
}

static void several_may_open_a_new_file_at_once(void **state)
{
    (void)state;
    char *dir = dir_new(), path[128];
    struct error err;
    pthread_t threads[4];
    snprintf(path, sizeof path, "%s/x.db", dir);
    assert_true(sqlite_library_load(&err));
    for (size_t i = 0; i < ARRAY_COUNT(threads); i++)
        assert_int_equal(pthread_create(&threads[i], NULL, open_and_close, path), 0);
    for (size_t i = 0; i < ARRAY_COUNT(threads); i++)
        assert_int_equal(pthread_join(threads[i], NULL), 0);
    struct sqlite_db *db = open_version(path, 3, false, &err);
    if (db == NULL)
        fail_msg("%s", err.message);
    assert_int_equal(ask(db, "SELECT count(*) FROM jobs"), 1);
    sqlite_db_close(db);
    dir_free(dir);
}

static void transactions_end_whole(void **state)
{
    (void)state;
    char *dir = dir_new(), path[128];
    struct error err;
    bool row;
    sqlite3_stmt *st;
    snprintf(path, sizeof path, "%s/x.db", dir);
    struct sqlite_db *db = open_version(path, 3, true, &err);
    assert_non_null(db);
    assert_true(sqlite_db_begin(db, &err));
    assert_true(sqlite_db_execute(db, "DELETE FROM jobs", &err));
    assert_false(sqlite_db_end(db, false, &err));
    assert_int_equal(ask(db, "SELECT count(*) FROM jobs"), 1);
    assert_true(sqlite_db_begin(db, &err));
    assert_true(sqlite_db_execute(db, "DELETE FROM jobs", &err));
    assert_true(sqlite_db_end(db, true, &err));
    assert_true(sqlite_db_prepare(db, &st, "SELECT id FROM jobs", &err));
    assert_true(sqlite_db_step(db, st, &row, &err));
    assert_false(row);
    assert_int_equal(sqlite_library.finalize(st), SQLITE_OK);
    assert_false(sqlite_db_execute(db, "SELECT nothing", &err));
    assert_non_null(strstr(err.message, path));
    sqlite_db_close(db);
    dir_free(dir);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_schema_grows_by_versions_and_a_later_one_is_refused),
        cmocka_unit_test(what_is_no_database_is_refused_and_kept),
        cmocka_unit_test(a_migration_happens_whole_or_not_at_all),
        cmocka_unit_test(several_may_open_a_new_file_at_once),
        cmocka_unit_test(transactions_end_whole),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
