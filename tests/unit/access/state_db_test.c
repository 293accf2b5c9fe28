/* SPDX-License-Identifier: Apache-2.0 */
/* state_db_test.c: two connections to one state.db, as the server and `belfry user` have them. */
#include "access/state_db.h"
#include "base/file.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#define HASH VIEW("$2y$10$X0h1gDsPszWURQaxFh.zoubFi6DXncSjhoQNJgRrnGs7EsimhC7zG")

static char dir[64];

static int setup(void **state)
{
    (void)state;
    (void)snprintf(dir, sizeof dir, "/tmp/belfry-state-test-XXXXXX");
    return mkdtemp(dir) ? 0 : -1;
}

static int teardown(void **state)
{
    (void)state;
    struct error err;
    return dir_remove(dir, &err) ? 0 : -1;
}

static void open_db(struct state_db **db)
{
    struct error err;
    if (!state_db_open(db, dir, true, &err))
        fail_msg("%s", err.message);
}

static void a_folder_without_one_stays_without_one(void **state)
{
    (void)state;
    struct state_db *db;
    struct error err;
    assert_false(state_db_open(&db, dir, false, &err));
    assert_int_equal(err.kind, ERROR_NOT_FOUND);
    assert_int_equal(access(dir, F_OK), 0);
    assert_int_equal(rmdir(dir), 0); /* empty still */
    assert_int_equal(mkdir(dir, 0700), 0);
}

static void what_one_writes_the_other_sees(void **state)
{
    (void)state;
    struct state_db *server, *command;
    struct state seen;
    struct arena arena;
    struct error err;
    struct stat st;
    char path[128];
    open_db(&command);
    open_db(&server);
    arena_init(&arena, MEM_OTHER, 0);
    (void)snprintf(path, sizeof path, "%s/%s", dir, STATE_DB_NAME);
    assert_int_equal(stat(path, &st), 0);
    assert_int_equal(st.st_mode & 0777, 0600);

    assert_true(state_db_load(server, &arena, &seen, &err));
    assert_int_equal(seen.user_count, 0);
    assert_false(state_db_is_stale(server));
    assert_true(state_db_user_add(command, VIEW("zoe"), HASH, HTTP_ROLE_EDIT, &err));
    assert_true(state_db_is_stale(server));
    assert_true(state_db_load(server, &arena, &seen, &err));
    assert_false(state_db_is_stale(server));
    assert_int_equal(seen.user_count, 1);
    assert_true(view_is(seen.users[0].name, "zoe"));
    assert_int_equal(seen.users[0].role, HTTP_ROLE_EDIT);
    assert_int_equal(seen.users[0].cost, 10);

    struct state_token token = {
        .name = VIEW("ci"), .role = HTTP_ROLE_VIEW, .digest = {9}, .routes = VIEW("/a /b")};
    struct state_session session = {.digest = {1}, .user = VIEW("zoe"), .expires_ms = INT64_MAX};
    assert_true(state_db_token_add(command, &token, &err));
    assert_true(state_db_session_add(command, &session, &err));
    assert_true(state_db_load(server, &arena, &seen, &err));
    assert_int_equal(seen.token_count, 1);
    assert_int_equal(seen.tokens[0].id, token.id);
    assert_true(view_is(seen.tokens[0].routes, "/a /b"));
    assert_int_equal(seen.session_count, 1);

    /* Any change of a user ends his sessions. */
    assert_true(state_db_user_set_role(command, VIEW("zoe"), HTTP_ROLE_VIEW, &err));
    assert_true(state_db_load(server, &arena, &seen, &err));
    assert_int_equal(seen.session_count, 0);
    assert_true(state_db_session_add(command, &session, &err));
    assert_true(state_db_user_set_hash(command, VIEW("zoe"), HASH, &err));
    assert_true(state_db_session_add(command, &session, &err));
    assert_true(state_db_user_remove(command, VIEW("zoe"), &err));
    assert_true(state_db_token_remove(command, token.id, &err));
    assert_true(state_db_load(server, &arena, &seen, &err));
    assert_int_equal(seen.user_count + seen.token_count + seen.session_count, 0);
    arena_deinit(&arena);
    state_db_close(server);
    state_db_close(command);
}

static void mistakes_are_told(void **state)
{
    (void)state;
    struct state_db *db;
    struct error err;
    open_db(&db);
    assert_true(state_db_user_add(db, VIEW("zoe"), HASH, HTTP_ROLE_EDIT, &err));
    assert_false(state_db_user_add(db, VIEW("zoe"), HASH, HTTP_ROLE_VIEW, &err));
    assert_string_equal(err.message, "there is a user \"zoe\" already");
    assert_false(state_db_user_set_role(db, VIEW("joe"), HTTP_ROLE_VIEW, &err));
    assert_int_equal(err.kind, ERROR_NOT_FOUND);
    assert_false(state_db_user_remove(db, VIEW("joe"), &err));
    assert_string_equal(err.message, "there is no user \"joe\"");
    assert_false(state_db_token_remove(db, 5, &err));
    assert_string_equal(err.message, "there is no token with id 5");
    static const struct view NAMES[] = {VIEW_INIT(""), VIEW_INIT("a b"), VIEW_INIT("a:b"),
                                        VIEW_INIT("a\n"), VIEW_INIT("a\0b")};
    for (size_t i = 0; i < sizeof NAMES / sizeof *NAMES; i++)
        assert_false(state_db_user_add(db, NAMES[i], HASH, HTTP_ROLE_VIEW, &err));
    state_db_close(db);
}

static void write_text(const char *text, size_t len)
{
    char path[128];
    struct error err;
    (void)snprintf(path, sizeof path, "%s/%s", dir, STATE_DB_NAME);
    assert_true(file_replace(path, (struct view){text, len}, &err));
}

static void a_file_that_is_none_is_refused_and_kept(void **state)
{
    (void)state;
    static char junk[8192];
    struct state_db *db;
    struct error err;
    char path[128];
    struct stat st;
    memset(junk, 'x', sizeof junk);
    write_text(junk, sizeof junk);
    assert_false(state_db_open(&db, dir, true, &err));
    assert_int_equal(err.kind, ERROR_CORRUPT);
    (void)snprintf(path, sizeof path, "%s/%s", dir, STATE_DB_NAME);
    assert_int_equal(stat(path, &st), 0);
    assert_int_equal(st.st_size, sizeof junk);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_folder_without_one_stays_without_one, setup, teardown),
        cmocka_unit_test_setup_teardown(what_one_writes_the_other_sees, setup, teardown),
        cmocka_unit_test_setup_teardown(mistakes_are_told, setup, teardown),
        cmocka_unit_test_setup_teardown(a_file_that_is_none_is_refused_and_kept, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
