/* SPDX-License-Identifier: Apache-2.0 */
/* The notification log, acknowledgements, and what is done while the database fails. */
#include "alerting/acknowledgement.h"
#include "alerting/alert_state.h"
#include "alerting/silence.h"

#include "access/sqlite_library.h"
#include "base/clock.h"
#include "base/file.h"
#include "base/thread.h"

#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include <cmocka.h>

#define SECOND INT64_C(1000000000)
#define NOW (INT64_C(1700000000) * SECOND)

struct fixture {
    char dir[64], path[96];
    struct alert_state_options options;
    struct alert_state *s;
    struct arena arena;
    struct error err;
    char log[8192];
};

static void take_log(void *arg, bool is_error, const char *event, const char *text)
{
    struct fixture *f = arg;
    size_t len = strlen(f->log);
    (void)snprintf(f->log + len, sizeof f->log - len, "%s %s: %s\n", is_error ? "E" : "I", event,
                   text);
}

static void open_it(struct fixture *f)
{
    if (!alert_state_open(&f->s, &f->options, &f->err))
        fail_msg("%s", f->err.message);
}

static void open_again(struct fixture *f)
{
    alert_state_close(f->s);
    open_it(f);
}

static int setup(void **state)
{
    struct fixture *f = calloc(1, sizeof *f);
    (void)snprintf(f->dir, sizeof f->dir, "/tmp/belfry-alerts-XXXXXX");
    assert_non_null(mkdtemp(f->dir));
    (void)snprintf(f->path, sizeof f->path, "%s/%s", f->dir, ALERT_STATE_DB_NAME);
    f->options.dir = f->dir;
    f->options.log = take_log;
    f->options.log_arg = f;
    arena_init(&f->arena, MEM_OTHER, 0);
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;
    alert_state_close(f->s);
    assert_true(dir_remove(f->dir, &f->err));
    arena_deinit(&f->arena);
    free(f);
    return 0;
}

static bool silence_with_comment(struct fixture *f, struct view comment, struct view *id)
{
    struct matcher m = {.type = MATCH_EQUAL, .name = VIEW("a"), .value = VIEW("b")};
    struct silence in = {.matchers = &m,
                         .matcher_count = 1,
                         .starts_ns = NOW,
                         .ends_ns = NOW + 3600 * SECOND,
                         .comment = comment};
    return silence_set(f->s, &f->arena, &in, NOW, id, NULL, &f->err);
}

static bool silence(struct fixture *f, struct view *id)
{
    return silence_with_comment(f, VIEW(""), id);
}

static size_t silences(struct fixture *f)
{
    struct silence_list list;
    silence_list(f->s, &f->arena, NOW, &list);
    return list.count;
}

static struct notification_key key_of(size_t index)
{
    return (struct notification_key){VIEW("{}:{alertname=\"Down\"}"), VIEW("team"), VIEW("webhook"),
                                     index};
}

static uint64_t put(struct fixture *f, size_t index, int64_t sent, int64_t expires)
{
    static const uint64_t FIRING[] = {1, UINT64_MAX}, RESOLVED[] = {7};
    struct view names[] = {VIEW("ts")}, values[] = {VIEW("12.5")};
    struct notification_key key = key_of(index);
    struct notification_entry e = {.sent_ns = sent,
                                   .expires_ns = expires,
                                   .firing = FIRING,
                                   .firing_count = 2,
                                   .resolved = RESOLVED,
                                   .resolved_count = 1,
                                   .remembered = {names, values, 1}};
    return notification_log_put(f->s, &key, &e);
}

/* When it was sent; 0: it is not known. */
static int64_t sent(struct fixture *f, size_t index, int64_t now)
{
    struct notification_key key = key_of(index);
    struct notification_entry e;
    if (!notification_log_get(f->s, &f->arena, &key, now, &e))
        return 0;
    assert_int_equal(e.firing_count, 2);
    assert_true(e.firing[0] == 1 && e.firing[1] == UINT64_MAX);
    assert_int_equal(e.resolved_count, 1);
    assert_true(e.resolved[0] == 7);
    assert_int_equal(e.remembered.count, 1);
    assert_true(view_is(e.remembered.names[0], "ts") && view_is(e.remembered.values[0], "12.5"));
    return e.sent_ns;
}

static void what_was_sent_is_known_at_once_and_after_a_restart(void **state)
{
    struct fixture *f = *state;
    open_it(f);
    put(f, 0, NOW, NOW + 100);
    put(f, 1, NOW + 1, NOW + 100);
    put(f, 0, NOW + 2, NOW + 50);
    for (int again = 0; again < 2; again++) {
        assert_int_equal(sent(f, 0, NOW + 3), NOW + 2);
        assert_int_equal(sent(f, 1, NOW + 3), NOW + 1);
        assert_int_equal(sent(f, 2, NOW + 3), 0);
        assert_int_equal(sent(f, 0, NOW + 49), NOW + 2);
        assert_int_equal(sent(f, 0, NOW + 50), 0); /* expired */
        open_again(f);
    }
    struct alert_state_stats stats;
    alert_state_stats(f->s, &stats);
    assert_int_equal(stats.notification_log_entries, 2);
}

struct kept {
    pthread_mutex_t mutex;
    pthread_cond_t changed;
    uint64_t ticket;
};

static void take_kept(void *arg, uint64_t ticket)
{
    struct kept *k = arg;
    mutex_lock(&k->mutex);
    k->ticket = ticket;
    cond_broadcast(&k->changed);
    mutex_unlock(&k->mutex);
}

static void await_kept(struct kept *k, uint64_t ticket)
{
    mono_time end = mono_add_ms(clock_mono(), 30000);
    mutex_lock(&k->mutex);
    while (k->ticket < ticket)
        assert_true(cond_wait_until(&k->changed, &k->mutex, end));
    mutex_unlock(&k->mutex);
}

/* The tickets of what was sent are told when it is in the file, or when the file fails; then nobody waits any more. */
static void who_sends_is_told_when_that_is_kept(void **state)
{
    struct fixture *f = *state;
    struct kept k = {.ticket = 0};
    mutex_init(&k.mutex);
    cond_init(&k.changed);
    open_it(f);
    alert_state_watch_kept(f->s, take_kept, &k);
    uint64_t first = put(f, 0, NOW, NOW + 100), second = put(f, 1, NOW, NOW + 100);
    assert_true(first > 0 && second > first);
    await_kept(&k, second);
    sqlite3 *other;
    assert_int_equal(sqlite_library.open_v2(f->path, &other, SQLITE_OPEN_READWRITE, NULL),
                     SQLITE_OK);
    assert_int_equal(sqlite_library.exec(other, "BEGIN IMMEDIATE", NULL, NULL, NULL), SQLITE_OK);
    uint64_t third = put(f, 0, NOW + 1, NOW + 100);
    assert_true(third > second);
    await_kept(&k, third); /* it was tried */
    assert_int_equal(put(f, 1, NOW + 1, NOW + 100), 0);
    assert_int_equal(sqlite_library.close(other), SQLITE_OK);
    alert_state_watch_kept(f->s, NULL, NULL);
    cond_deinit(&k.changed);
    mutex_deinit(&k.mutex);
}

static void what_has_expired_is_deleted(void **state)
{
    struct fixture *f = *state;
    int64_t now = clock_wall().ms * 1000000;
    f->options.maintenance_ms = 10;
    open_it(f);
    put(f, 0, now - 10, now - 1);
    put(f, 1, now, now + 3600 * SECOND);
    struct alert_state_stats stats;
    do { /* until both have been seen to: what is put may be written before or after */
        (void)usleep(2000);
        alert_state_stats(f->s, &stats);
    } while (stats.notification_log_entries != 1 || stats.maintenance_runs < 2);
    assert_int_equal(stats.maintenance_failures, 0);
    open_again(f);
    assert_int_equal(sent(f, 0, now - 5), 0);
    assert_int_equal(sent(f, 1, now), now);
}

static void an_acknowledgement_is_of_one_episode_and_is_kept(void **state)
{
    struct fixture *f = *state;
    struct acknowledgements list;
    struct acknowledgement ack = {.fingerprint = UINT64_MAX - 3,
                                  .starts_ns = NOW,
                                  .owner = VIEW("ann"),
                                  .note = VIEW("looking \"at\" it"),
                                  .at_ns = NOW + 5,
                                  .expires_ns = LIVE_ALERT_NEVER},
                           got;
    open_it(f);
    uint64_t version = alert_state_version(f->s, NOW);
    assert_true(acknowledge(f->s, &ack, &f->err));
    assert_true(alert_state_version(f->s, NOW) > version);
    ack.fingerprint = 0;
    ack.owner = VIEW("bob");
    ack.expires_ns = NOW + 100;
    assert_true(acknowledge(f->s, &ack, &f->err));
    for (int again = 0; again < 2; again++) {
        assert_true(alert_state_acknowledged(f->s, UINT64_MAX - 3, NOW, NOW + 6));
        assert_false(alert_state_acknowledged(f->s, UINT64_MAX - 3, NOW + 1, NOW + 6));
        assert_false(alert_state_acknowledged(f->s, 5, NOW, NOW + 6));
        assert_true(alert_state_acknowledged(f->s, 0, NOW, NOW + 99));
        assert_false(alert_state_acknowledged(f->s, 0, NOW, NOW + 100));
        acknowledgement_list(f->s, &f->arena, NOW + 6, &list);
        assert_int_equal(list.count, 2);
        assert_true(list.items[0].fingerprint == 0 && view_is(list.items[0].owner, "bob"));
        assert_true(acknowledgement_get(f->s, &f->arena, UINT64_MAX - 3, NOW, NOW + 6, &got));
        assert_true(view_is(got.note, "looking \"at\" it") && got.at_ns == NOW + 5);
        open_again(f);
    }
    version = alert_state_version(f->s, NOW + 99);
    assert_true(alert_state_version(f->s, NOW + 100) > version); /* it has run out */
    ack.fingerprint = UINT64_MAX - 3;                            /* somebody else takes it */
    ack.at_ns = NOW + 200;
    ack.expires_ns = LIVE_ALERT_NEVER;
    assert_true(acknowledge(f->s, &ack, &f->err));
    open_again(f);
    assert_true(acknowledgement_get(f->s, &f->arena, UINT64_MAX - 3, NOW, NOW + 201, &got));
    assert_true(view_is(got.owner, "bob"));
    assert_false(unacknowledge(f->s, UINT64_MAX - 3, NOW + 1, NOW + 300, &f->err));
    assert_int_equal(f->err.kind, ERROR_NOT_FOUND);
    assert_true(unacknowledge(f->s, UINT64_MAX - 3, NOW, NOW + 300, &f->err));
    for (int again = 0; again < 2; again++) {
        acknowledgement_list(f->s, &f->arena, NOW + 301, &list);
        assert_int_equal(list.count, 0);
        open_again(f);
    }
}

static void what_is_no_acknowledgement_is_refused(void **state)
{
    struct fixture *f = *state;
    static char big[ACKNOWLEDGEMENT_NOTE_BYTES_MAX + 1];
    memset(big, 'x', sizeof big);
    struct view huge = {big, sizeof big};
    const struct {
        struct view owner, note;
        int64_t expires;
        const char *error;
    } CASES[] = {
        {VIEW(""), VIEW(""), LIVE_ALERT_NEVER, "an acknowledgement needs an owner"},
        {view_slice(huge, 0, 257), VIEW(""), LIVE_ALERT_NEVER,
         "the owner has 257 bytes, at most 256"},
        {VIEW("a"), huge, LIVE_ALERT_NEVER, "the note has 16385 bytes, at most 16384"},
        {VIEW("a\xff"), VIEW(""), LIVE_ALERT_NEVER, "the owner is not UTF-8"},
        {VIEW("a"), VIEW(""), NOW, "the acknowledgement would have expired already"},
    };
    open_it(f);
    for (size_t i = 0; i < ARRAY_COUNT(CASES); i++) {
        struct acknowledgement ack = {.fingerprint = 1,
                                      .starts_ns = NOW,
                                      .owner = CASES[i].owner,
                                      .note = CASES[i].note,
                                      .at_ns = NOW,
                                      .expires_ns = CASES[i].expires};
        assert_false(acknowledge(f->s, &ack, &f->err));
        assert_int_equal(f->err.kind, ERROR_INPUT);
        assert_string_equal(f->err.message, CASES[i].error);
    }
}

/* --- the database fails --- */

static void without_a_folder_that_can_be_written_alerting_goes_on(void **state)
{
    struct fixture *f = *state;
    struct view id;
    struct alert_state_stats stats;
    assert_true(
        dir_remove(f->dir, &f->err)); /* stands for one that cannot be written: root writes any */
    open_it(f);
    assert_non_null(strstr(f->log, "E alert_state_failed: could not create"));
    assert_false(silence(f, &id));
    assert_int_equal(f->err.kind, ERROR_UNAVAILABLE);
    assert_int_equal(silences(f), 0);
    put(f, 0, NOW, NOW + 100);
    assert_int_equal(sent(f, 0, NOW), NOW);
    alert_state_stats(f->s, &stats);
    assert_true(stats.is_faulty && stats.write_failures >= 2);
    assert_non_null(strstr(alert_state_fault(f->s, &f->arena).ptr, "could not create"));
    assert_true(dir_create(f->dir, &f->err));
    assert_true(silence(f, &id)); /* tried at once */
    assert_int_equal(alert_state_fault(f->s, &f->arena).len, 0);
    open_again(f);
    assert_int_equal(silences(f), 1);
    assert_int_equal(sent(f, 0, NOW), NOW);
}

static void a_damaged_file_is_moved_aside_and_kept(void **state)
{
    struct fixture *f = *state;
    struct view id;
    assert_true(file_replace(
        f->path,
        VIEW("no database at all, but long enough to be looked at as if it were one, which "
             "takes a hundred bytes or so"),
        &f->err));
    open_it(f);
    assert_non_null(strstr(f->log, "E alert_state_damaged: "));
    const char *kept = strstr(f->log, "kept as \"");
    assert_non_null(kept);
    char aside[160];
    assert_int_equal(sscanf(kept, "kept as \"%150[^\"]\"", aside), 1);
    struct buffer text;
    buffer_init(&text, MEM_OTHER, 1000);
    assert_true(file_read_all(aside, &text, &f->err));
    assert_true(view_has_prefix(buffer_view(&text), VIEW("no database at all")));
    buffer_deinit(&text);
    assert_int_equal(alert_state_fault(f->s, &f->arena).len, 0);
    assert_true(silence(f, &id));
    open_again(f);
    assert_int_equal(silences(f), 1);
}

static void a_file_of_a_later_version_is_left_alone(void **state)
{
    struct fixture *f = *state;
    struct view id;
    sqlite3 *db;
    open_it(f);
    assert_true(silence(f, &id));
    alert_state_close(f->s);
    assert_int_equal(sqlite_library.open_v2(f->path, &db, SQLITE_OPEN_READWRITE, NULL), SQLITE_OK);
    assert_int_equal(sqlite_library.exec(db, "PRAGMA user_version=99", NULL, NULL, NULL),
                     SQLITE_OK);
    sqlite_library.close(db);
    open_it(f);
    assert_non_null(strstr(alert_state_fault(f->s, &f->arena).ptr, "has version 99"));
    assert_int_equal(silences(f), 0);
    assert_false(silence(f, &id));
    assert_int_equal(f->err.kind, ERROR_UNAVAILABLE);
    assert_null(strstr(f->log, "alert_state_damaged"));
    put(f, 3, NOW, NOW + 100);
    assert_int_equal(sent(f, 3, NOW), NOW);
    assert_int_equal(sqlite_library.open_v2(f->path, &db, SQLITE_OPEN_READWRITE, NULL), SQLITE_OK);
    assert_int_equal(sqlite_library.exec(db, "PRAGMA user_version=1", NULL, NULL, NULL), SQLITE_OK);
    sqlite_library.close(db);
    assert_true(silence(f, &id)); /* what the file has is in force again */
    assert_int_equal(silences(f), 2);
}

static void a_file_that_is_removed_is_made_anew_with_all_there_is(void **state)
{
    struct fixture *f = *state;
    struct view id;
    struct acknowledgement ack = {.fingerprint = 1,
                                  .starts_ns = NOW,
                                  .owner = VIEW("ann"),
                                  .at_ns = NOW,
                                  .expires_ns = LIVE_ALERT_NEVER};
    open_it(f);
    assert_true(silence(f, &id));
    put(f, 0, NOW, NOW + 100);
    assert_true(acknowledge(f->s, &ack, &f->err));
    assert_true(file_remove(f->path, &f->err));
    assert_true(silence(f, &id));
    assert_non_null(strstr(f->log, "alert_state_file_gone"));
    open_again(f);
    assert_int_equal(silences(f), 2);
    assert_int_equal(sent(f, 0, NOW), NOW);
    assert_true(alert_state_acknowledged(f->s, 1, NOW, NOW));
}

/* Another process holds the file: the change fails after SQLite's patience, and is not in force; then it goes on. */
static void a_locked_database_refuses_changes_until_it_is_free(void **state)
{
    struct fixture *f = *state;
    struct view id;
    sqlite3 *db;
    open_it(f);
    assert_true(silence(f, &id));
    assert_int_equal(sqlite_library.open_v2(f->path, &db, SQLITE_OPEN_READWRITE, NULL), SQLITE_OK);
    assert_int_equal(sqlite_library.exec(db, "BEGIN EXCLUSIVE", NULL, NULL, NULL), SQLITE_OK);
    assert_false(silence_expire(f->s, id, NOW + 1, &f->err));
    assert_int_equal(f->err.kind, ERROR_UNAVAILABLE);
    assert_non_null(strstr(f->err.message, "database is locked"));
    struct silence got;
    assert_true(silence_get(f->s, &f->arena, id, NOW + 2, &got));
    assert_int_equal(got.state, SILENCE_ACTIVE);
    assert_int_equal(sqlite_library.exec(db, "ROLLBACK", NULL, NULL, NULL), SQLITE_OK);
    sqlite_library.close(db);
    assert_true(silence_expire(f->s, id, NOW + 1, &f->err));
    assert_int_equal(alert_state_fault(f->s, &f->arena).len, 0);
}

/* At once: there is no moment at which a new file could be begun. */
static void exchange(const char *a, const char *b)
{
    assert_int_equal(renameat2(AT_FDCWD, a, AT_FDCWD, b, RENAME_EXCHANGE), 0);
}

/* Nobody asks for a change: what the file has is in force as soon as it can be read. */
static void what_cannot_be_read_at_the_start_is_read_when_it_can_be(void **state)
{
    struct fixture *f = *state;
    struct view id;
    char hidden[128];
    (void)snprintf(hidden, sizeof hidden, "%s.hidden", f->path);
    open_it(f);
    assert_true(silence(f, &id));
    put(f, 0, NOW, NOW + 100);
    put(f, 1, NOW, NOW + 100);
    alert_state_close(f->s);
    f->s = NULL;
    assert_true(dir_create(hidden, &f->err));
    exchange(hidden, f->path); /* no file can be there */
    open_it(f);
    assert_int_equal(silences(f), 0);
    put(f, 1, NOW + 5, NOW + 100); /* newer than the file's */
    exchange(hidden, f->path);
    while (silences(f) == 0)
        (void)usleep(5000);
    assert_int_equal(sent(f, 0, NOW), NOW);
    assert_int_equal(sent(f, 1, NOW), NOW + 5);
    open_again(f);
    assert_int_equal(sent(f, 1, NOW), NOW + 5);
}

/* Files may not grow any more, as on a full disk. */
static void a_full_disk_refuses_changes_and_keeps_what_is_sent_in_memory(void **state)
{
    struct fixture *f = *state;
    struct view id;
    struct rlimit old, tiny;
    open_it(f);
    assert_true(silence(f, &id));
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &old), 0);
    tiny = (struct rlimit){4096, old.rlim_max};
    (void)signal(SIGXFSZ, SIG_IGN);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &tiny), 0);
    bool is_set = silence(f, &id), is_expired = silence_expire(f->s, id, NOW + 1, &f->err);
    put(f, 0, NOW, NOW + 100);
    size_t count = silences(f);
    int64_t known = sent(f, 0, NOW);
    bool is_told = alert_state_fault(f->s, &f->arena).len > 0;
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &old), 0);
    assert_false(is_set || is_expired);
    assert_int_equal(f->err.kind, ERROR_UNAVAILABLE);
    assert_int_equal(count, 1);
    assert_int_equal(known, NOW);
    assert_true(is_told);
    assert_true(silence(f, &id));
    assert_int_equal(alert_state_fault(f->s, &f->arena).len, 0);
    assert_non_null(strstr(f->log, "alert_state_recovered"));
    open_again(f);
    assert_int_equal(silences(f), 2);
    assert_int_equal(sent(f, 0, NOW), NOW);
}

/* A quarter of a file that holds silences above all is overwritten. */
static void a_file_damaged_inside_loses_what_cannot_be_read_and_nothing_else(void **state)
{
    struct fixture *f = *state;
    struct view id;
    struct buffer bytes;
    static char comment[1500];
    memset(comment, 'x', sizeof comment);
    open_it(f);
    for (int i = 0; i < 200; i++)
        assert_true(silence_with_comment(f, (struct view){comment, sizeof comment}, &id));
    alert_state_close(f->s);
    buffer_init(&bytes, MEM_OTHER, 64 << 20);
    assert_true(file_read_all(f->path, &bytes, &f->err));
    memset(bytes.ptr + bytes.len / 2, 0xa5, bytes.len / 4);
    assert_true(file_replace(f->path, buffer_view(&bytes), &f->err));
    buffer_deinit(&bytes);
    open_it(f);
    assert_non_null(strstr(f->log, "alert_state_damaged"));
    print_message("%zu of 200 silences could be read\n", silences(f));
    assert_true(silences(f) > 0 && silences(f) < 200);
    assert_int_equal(alert_state_fault(f->s, &f->arena).len, 0);
    size_t before = silences(f);
    assert_true(silence(f, &id));
    open_again(f);
    assert_int_equal(silences(f), before + 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(who_sends_is_told_when_that_is_kept, setup, teardown),
        cmocka_unit_test_setup_teardown(what_was_sent_is_known_at_once_and_after_a_restart, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(what_has_expired_is_deleted, setup, teardown),
        cmocka_unit_test_setup_teardown(an_acknowledgement_is_of_one_episode_and_is_kept, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(what_is_no_acknowledgement_is_refused, setup, teardown),
        cmocka_unit_test_setup_teardown(without_a_folder_that_can_be_written_alerting_goes_on,
                                        setup, teardown),
        cmocka_unit_test_setup_teardown(a_damaged_file_is_moved_aside_and_kept, setup, teardown),
        cmocka_unit_test_setup_teardown(a_file_of_a_later_version_is_left_alone, setup, teardown),
        cmocka_unit_test_setup_teardown(a_file_that_is_removed_is_made_anew_with_all_there_is,
                                        setup, teardown),
        cmocka_unit_test_setup_teardown(what_cannot_be_read_at_the_start_is_read_when_it_can_be,
                                        setup, teardown),
        cmocka_unit_test_setup_teardown(
            a_full_disk_refuses_changes_and_keeps_what_is_sent_in_memory, setup, teardown),
        cmocka_unit_test_setup_teardown(
            a_file_damaged_inside_loses_what_cannot_be_read_and_nothing_else, setup, teardown),
        cmocka_unit_test_setup_teardown(a_locked_database_refuses_changes_until_it_is_free, setup,
                                        teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
