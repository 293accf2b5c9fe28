/* SPDX-License-Identifier: Apache-2.0 */
#include "alerting/alert_history.h"

#include "base/clock.h"
#include "base/file.h"
#include "base/thread.h"

#include <fcntl.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#define SECOND INT64_C(1000000000)

struct fixture {
    char dir[64];
    int64_t now;
    struct alert_state_options options;
    struct alert_state *s;
    struct arena arena;
    struct error err;
};

static void open_again(struct fixture *f)
{
    alert_state_close(f->s);
    if (!alert_state_open(&f->s, &f->options, &f->err))
        fail_msg("%s", f->err.message);
}

static int setup(void **state)
{
    struct fixture *f = calloc(1, sizeof *f);
    (void)snprintf(f->dir, sizeof f->dir, "/tmp/belfry-history-XXXXXX");
    assert_non_null(mkdtemp(f->dir));
    f->options.dir = f->dir;
    f->now = clock_wall().ms * 1000000;
    arena_init(&f->arena, MEM_OTHER, 0);
    open_again(f);
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

/* An alert of job "j", number `n`. Its reference is the caller's. */
static struct live_alert *alert(struct fixture *f, int n, int64_t starts, int64_t ends,
                                double value)
{
    struct label labels[] = {{VIEW("alertname"), n % 2 ? VIEW("Odd") : VIEW("Even")},
                             {VIEW("job"), VIEW("j")},
                             {VIEW("n"), arena_printf(&f->arena, "%d", n)}};
    struct label annotations[] = {{VIEW("summary"), arena_printf(&f->arena, "is %g", value)}};
    struct live_alert a = {.labels = {labels, 3},
                           .annotations = {annotations, 1},
                           .starts_ns = starts,
                           .ends_ns = ends,
                           .updated_ns = ends == LIVE_ALERT_NEVER ? starts : ends,
                           .generator_url = VIEW("http://x/"),
                           .file = VIEW("f.yml"),
                           .group = VIEW("g"),
                           .rule = VIEW("r"),
                           .value = value};
    return live_alert_new(&a);
}

static void tell(struct fixture *f, enum alert_event event, int n, int64_t starts, int64_t ends,
                 double value)
{
    struct live_alert *a = alert(f, n, starts, ends, value);
    alert_history_alert(f->s, event, a);
    live_alert_unref(a);
}

static struct alert_history_page ask(struct fixture *f, const struct alert_history_query *q)
{
    struct alert_history_page page;
    if (!alert_history_episodes(f->s, &f->arena, q, &page, &f->err))
        fail_msg("%s", f->err.message);
    return page;
}

/* Closing writes all; opening reads it. */
static void an_episode_is_one_row_with_what_was_told_last(void **state)
{
    struct fixture *f = *state;
    int64_t t = f->now;
    static const struct {
        const char *name;
        bool restart_between; /* each event is written by itself */
    } CASES[] = {{"folded", false}, {"written one by one", true}};
    for (size_t i = 0; i < ARRAY_COUNT(CASES); i++) {
        int n = (int)i * 10;
        struct {
            enum alert_event event;
            int n;
            int64_t starts, ends;
            double value;
        } events[] = {
            {ALERT_FIRED, n, t, LIVE_ALERT_NEVER, 1},
            {ALERT_CHANGED, n, t, t + 100, 2},
            {ALERT_CHANGED, n, t, t + 200, NAN},
            {ALERT_FIRED, n + 1, t + 5, LIVE_ALERT_NEVER, 7},
            {ALERT_RESOLVED, n, t, t + 50, 3},
            {ALERT_FIRED, n, t + 60, LIVE_ALERT_NEVER, 4},
            {ALERT_RESOLVED, n, t + 60, t + 70, 4},
            {ALERT_FIRED, n, t + 80, LIVE_ALERT_NEVER, 5},
            {ALERT_FIRED, n, t + 90, LIVE_ALERT_NEVER, 6}, /* another start: its end was not seen */
            {ALERT_RESOLVED, n + 2, t + 95, t + 96, 8},    /* never seen before */
        };
        for (size_t k = 0; k < ARRAY_COUNT(events); k++) {
            tell(f, events[k].event, events[k].n, events[k].starts, events[k].ends,
                 events[k].value);
            if (CASES[i].restart_between)
                open_again(f);
        }
        open_again(f);
        struct live_alert *of = alert(f, n, t, LIVE_ALERT_NEVER, 0);
        struct alert_history_page page =
            ask(f, &(struct alert_history_query){.fingerprint = &of->fingerprint});
        print_message("%s\n", CASES[i].name);
        assert_int_equal(page.count, 4);
        assert_false(page.has_more);
        static const struct {
            int64_t starts, ends;
            bool open;
            double value;
            int changes;
        } ROWS[] = {{90, 0, true, 6, 0},
                    {80, 80, false, 5, 0},
                    {60, 70, false, 4, 0},
                    {0, 50, false, 3, 2}};
        for (size_t k = 0; k < ARRAY_COUNT(ROWS); k++) {
            const struct alert_episode *e = &page.items[k];
            assert_int_equal(e->alert.starts_ns, t + ROWS[k].starts);
            assert_int_equal(e->alert.ends_ns, ROWS[k].open ? LIVE_ALERT_NEVER : t + ROWS[k].ends);
            assert_int_equal(e->is_open, ROWS[k].open);
            assert_true(e->alert.value == ROWS[k].value);
            assert_int_equal(e->changes, ROWS[k].changes);
            assert_true(labels_equal(e->alert.labels, of->labels));
            assert_int_equal(e->alert.fingerprint, of->fingerprint);
            assert_true(view_is(e->alert.rule, "r") && view_is(e->alert.file, "f.yml") &&
                        view_is(e->alert.group, "g") &&
                        view_is(e->alert.generator_url, "http://x/"));
            assert_true(view_has_prefix(e->alert.annotations.items[0].value, VIEW("is ")));
        }
        live_alert_unref(of);
    }
}

/* 100 for one that is over. */
static void count_resumed(void *arg, const struct live_alert *a, bool is_over)
{
    int *seen = arg;
    seen[strtol(labels_get(a->labels, VIEW("n")).ptr, NULL, 10)] += is_over ? 100 : 1;
}

static void what_had_not_ended_is_told_after_a_restart(void **state)
{
    struct fixture *f = *state;
    enum { ALERTS = 2500 }; /* more than two pages */
    int seen[ALERTS] = {0};
    for (int n = 0; n < ALERTS; n++)
        tell(f, ALERT_FIRED, n, f->now, LIVE_ALERT_NEVER, n);
    for (int n = 0; n < ALERTS; n += 3)
        tell(f, ALERT_RESOLVED, n, f->now, f->now + 1, n);
    open_again(f);
    alert_history_resume(f->s, count_resumed, seen);
    for (int n = 0; n < ALERTS; n++)
        assert_int_equal(seen[n], n % 3 != 0);
}

/* What somebody knows as firing, by any of the entries, and what is over. */
static void ends_that_may_not_be_told_are_told_after_a_restart(void **state)
{
    struct fixture *f = *state;
    enum { ALERTS = 3000 }; /* more than two pages are open */
    int seen[ALERTS] = {0};
    uint64_t firing[2][ALERTS];
    size_t counts[2] = {0};
    for (int n = 0; n < ALERTS; n++) {
        struct live_alert *a = alert(f, n, f->now, LIVE_ALERT_NEVER, n);
        alert_history_alert(f->s, ALERT_FIRED, a);
        if (n % 5 != 0) /* of these nobody was told */
            firing[n % 2][counts[n % 2]++] = a->fingerprint;
        if (n % 7 == 0) { /* and so was another one, or the same */
            firing[0][counts[0]] = a->fingerprint;
            counts[0] += n % 10 == 1;
        }
        if (n % 3 == 0) /* it is over */
            alert_history_alert(f->s, ALERT_RESOLVED, a);
        if (n % 9 == 0) /* and fires again */
            alert_history_alert(f->s, ALERT_FIRED, a);
        live_alert_unref(a);
    }
    for (size_t i = 0; i < 3; i++) { /* the third has expired */
        const struct notification_key key = {VIEW("{}"), VIEW("team"), VIEW("webhook"), i};
        const struct notification_entry e = {.sent_ns = f->now,
                                             .expires_ns = f->now + (i < 2 ? 1000 * SECOND : -1),
                                             .firing = firing[i % 2],
                                             .firing_count = counts[i % 2]};
        notification_log_put(f->s, &key, &e);
    }
    open_again(f);
    alert_history_resume(f->s, count_resumed, seen);
    for (int n = 0; n < ALERTS; n++)
        assert_int_equal(seen[n], n % 3 != 0 || n % 9 == 0 ? 1 : n % 5 != 0 ? 100 : 0);
}

struct asking {
    struct fixture *f;
    int over;
};

/* While this is called, its question is under way. */
static void ask_another(void *arg, const struct live_alert *a, bool is_over)
{
    struct asking *w = arg;
    if (!is_over)
        return;
    w->over++;
    struct alert_history_query q = {.fingerprint = &a->fingerprint};
    assert_int_equal(ask(w->f, &q).count, 1);
}

/* A question that takes long holds up no other, nor who writes. */
static void questions_do_not_wait_for_each_other(void **state)
{
    struct fixture *f = *state;
    struct asking w = {f, 0};
    struct live_alert *a = alert(f, 1, f->now, LIVE_ALERT_NEVER, 0);
    const struct notification_key key = {VIEW("{}"), VIEW("team"), VIEW("webhook"), 0};
    const struct notification_entry e = {.sent_ns = f->now,
                                         .expires_ns = f->now + 1000 * SECOND,
                                         .firing = &a->fingerprint,
                                         .firing_count = 1};
    alert_history_alert(f->s, ALERT_FIRED, a);
    alert_history_alert(f->s, ALERT_RESOLVED, a);
    notification_log_put(f->s, &key, &e);
    live_alert_unref(a);
    open_again(f);
    alert_history_resume(f->s, ask_another, &w);
    assert_int_equal(w.over, 1);
}

static struct alert_history_page page_of(struct fixture *f, const char *matchers,
                                         struct alert_history_query q)
{
    struct matchers m = {0};
    if (!matchers_parse(&f->arena, view_from(matchers), &m, NULL, &f->err))
        fail_msg("%s", f->err.message);
    q.matchers = &m;
    struct alert_history_page page = ask(f, &q);
    matchers_deinit(&m);
    return page;
}

static void history_is_found_by_labels_and_time_and_paged(void **state)
{
    struct fixture *f = *state;
    int64_t t = f->now;
    for (int n = 0; n < 100; n++) {
        tell(f, ALERT_FIRED, n, t + n * 10, LIVE_ALERT_NEVER, n);
        if (n != 50)
            tell(f, ALERT_RESOLVED, n, t + n * 10, t + n * 10 + 5, n);
    }
    open_again(f);
    static const struct {
        const char *matchers;
        int64_t from, to;
        bool open_only;
        size_t count;
        int first; /* n of the newest */
    } CASES[] = {
        {"job=j", 0, 0, false, 100, 99},
        {"alertname=Odd", 0, 0, false, 50, 99},
        {"alertname=Even,job=j", 0, 0, false, 50, 98},
        {"alertname=Even,n=\"4\"", 0, 0, false, 1, 4},
        {"alertname=Even,n=\"5\"", 0, 0, false, 0, 0},
        {"n=~\"1.\"", 0, 0, false, 10, 19},
        {"n!=\"99\"", 0, 0, false, 99, 98},
        {"x=\"\"", 0, 0, false, 100, 99},
        {"job=j", 0, 0, true, 1, 50},
        {"job=j", 895, 905, false, 3, 90}, /* 89 ended at 895, 50 is open still */
        {"job=j", 896, 905, false, 2, 90},
        {"job=j", 1, 9, false, 1, 0},
        {"job=nobody", 0, 0, false, 0, 0},
    };
    for (size_t i = 0; i < ARRAY_COUNT(CASES); i++) {
        struct alert_history_query q = {.from_ns = CASES[i].from ? t + CASES[i].from : 0,
                                        .to_ns = CASES[i].to ? t + CASES[i].to : 0,
                                        .open_only = CASES[i].open_only};
        size_t count = 0, pages = 0;
        int64_t before = INT64_MAX;
        for (q.limit = 7;; pages++) {
            struct alert_history_page page = page_of(f, CASES[i].matchers, q);
            for (size_t k = 0; k < page.count; k++) {
                assert_true(page.items[k].alert.starts_ns < before);
                before = page.items[k].alert.starts_ns;
                if (count + k == 0)
                    assert_int_equal(before, t + CASES[i].first * 10);
            }
            count += page.count;
            if (!page.has_more)
                break;
            q.after = page.next;
        }
        if (count != CASES[i].count)
            fail_msg("%s: %zu, expected %zu", CASES[i].matchers, count, CASES[i].count);
    }
}

static void note(struct fixture *f, const char *receiver, int64_t at, bool is_sent, int alerts)
{
    struct live_alert *all[16];
    for (int i = 0; i < alerts; i++)
        all[i] = alert(f, i, at, i % 2 ? at : LIVE_ALERT_NEVER, 0);
    struct notification_record r = {
        .key = {VIEW("{}:{a=\"b\"}"), view_from(receiver), VIEW("webhook"), 2},
        .at_ns = at,
        .latency_ns = 5 * SECOND,
        .attempts = 3,
        .status = is_sent ? 200 : 503,
        .is_sent = is_sent,
        .error = is_sent ? VIEW("") : VIEW("busy"),
        .alerts = all,
        .alert_count = (size_t)alerts,
        .payload_hash = UINT64_MAX - 1};
    alert_history_notification(f->s, &r);
    for (int i = 0; i < alerts; i++)
        live_alert_unref(all[i]);
}

static void notifications_are_found_by_alert_receiver_and_time(void **state)
{
    struct fixture *f = *state;
    int64_t t = f->now;
    struct live_alert *third = alert(f, 2, t, LIVE_ALERT_NEVER, 0);
    for (int i = 0; i < 30; i++)
        note(f, i % 3 ? "team" : "boss", t + i, i % 5 != 0, i % 4);
    open_again(f);
    const struct {
        struct notification_history_query q;
        size_t count;
        int first;
    } cases[] = {
        {{0}, 30, 29},
        {{.receiver = VIEW("boss")}, 10, 27},
        {{.receiver = VIEW("nobody")}, 0, 0},
        {{.failed_only = true}, 6, 25},
        {{.fingerprint = &third->fingerprint}, 7, 27}, /* i % 4 == 3 */
        {{.fingerprint = &third->fingerprint, .receiver = VIEW("team")}, 4, 23},
        {{.from_ns = t + 10, .to_ns = t + 12}, 3, 12},
    };
    for (size_t i = 0; i < ARRAY_COUNT(cases); i++) {
        struct notification_history_query q = cases[i].q;
        size_t count = 0;
        for (q.limit = 4;;) {
            struct notification_history_page page;
            if (!alert_history_notifications(f->s, &f->arena, &q, &page, &f->err))
                fail_msg("%s", f->err.message);
            for (size_t k = 0; k < page.count; k++) {
                const struct past_notification *n = &page.items[k];
                int number = (int)(n->at_ns - t);
                if (count + k == 0)
                    assert_int_equal(number, cases[i].first);
                assert_int_equal(n->alert_count, number % 4);
                assert_int_equal(n->firing_count, (number % 4 + 1) / 2);
                assert_int_equal(n->resolved_count, number % 4 / 2);
                assert_int_equal(n->is_sent, number % 5 != 0);
                assert_int_equal(n->status, n->is_sent ? 200 : 503);
                assert_true(view_is(n->error, n->is_sent ? "" : "busy"));
                assert_true(n->payload_hash == UINT64_MAX - 1 && n->latency_ns == 5 * SECOND);
                assert_true(view_is(n->key.kind, "webhook") && n->key.index == 2 &&
                            n->attempts == 3);
            }
            count += page.count;
            if (!page.has_more)
                break;
            q.after = page.next;
        }
        assert_int_equal(count, cases[i].count);
    }
    live_alert_unref(third);
}

static void an_acknowledgement_ends_with_its_alert_and_stays_in_history(void **state)
{
    struct fixture *f = *state;
    struct live_alert *a = alert(f, 1, f->now, LIVE_ALERT_NEVER, 0);
    struct acknowledgement ack = {.fingerprint = a->fingerprint,
                                  .starts_ns = f->now,
                                  .owner = VIEW("ann"),
                                  .at_ns = f->now + 1,
                                  .expires_ns = LIVE_ALERT_NEVER};
    struct acknowledgements past;
    alert_history_alert(f->s, ALERT_FIRED, a);
    assert_true(acknowledge(f->s, &ack, &f->err));
    alert_history_alert(f->s, ALERT_FIRED, a); /* the same episode, told again after a restart */
    assert_true(alert_state_acknowledged(f->s, a->fingerprint, f->now, f->now + 2));
    tell(f, ALERT_RESOLVED, 1, f->now, f->now + 10, 0);
    assert_false(alert_state_acknowledged(f->s, a->fingerprint, f->now, f->now + 2));
    tell(f, ALERT_FIRED, 1, f->now + 20, LIVE_ALERT_NEVER, 0);
    ack.starts_ns = f->now + 20;
    ack.owner = VIEW("bob");
    ack.at_ns = f->now + 21;
    assert_true(acknowledge(f->s, &ack, &f->err));
    tell(f, ALERT_FIRED, 1, f->now + 30, LIVE_ALERT_NEVER, 0); /* another episode */
    assert_false(alert_state_acknowledged(f->s, a->fingerprint, f->now + 20, f->now + 31));
    open_again(f);
    assert_false(alert_state_acknowledged(f->s, a->fingerprint, f->now, f->now + 31));
    assert_true(alert_history_acknowledgements(f->s, &f->arena, a->fingerprint, &past, &f->err));
    assert_int_equal(past.count, 2);
    assert_true(view_is(past.items[0].owner, "bob") && past.items[0].ended_ns == f->now + 30);
    assert_true(view_is(past.items[1].owner, "ann") && past.items[1].ended_ns == f->now + 10);
    live_alert_unref(a);
}

static int64_t rows(struct fixture *f, const char *matchers)
{
    struct alert_history_query q = {.limit = HISTORY_LIMIT_MAX};
    return (int64_t)page_of(f, matchers, q).count;
}

static void old_rows_go_by_age_and_by_number(void **state)
{
    struct fixture *f = *state;
    int64_t old = f->now - 2000 * SECOND;
    for (int n = 0; n < 40; n++) {
        tell(f, ALERT_FIRED, n, old + n, LIVE_ALERT_NEVER, 0);
        if (n >= 5) /* five are open for ever */
            tell(f, ALERT_RESOLVED, n, old + n, n < 10 ? old + 100 + n : f->now + n, 0);
        note(f, "team", n < 10 ? old : f->now + n, true, 3);
    }
    open_again(f);
    assert_int_equal(rows(f, "job=j"), 40);
    f->options.history_retention_ms = 1000 * 1000;
    f->options.history_rows_max = 20;
    f->options.maintenance_ms = 1;
    open_again(f);
    struct alert_state_stats stats;
    do {
        (void)usleep(2000);
        alert_state_stats(f->s, &stats);
    } while (stats.maintenance_runs < 2); /* the first one has ended */
    assert_int_equal(stats.maintenance_failures, 0);
    assert_int_equal(rows(f, "job=j"), 20);
    assert_int_equal(rows(f, "n=~\"[0-4]\""), 5); /* what is open stays */
    assert_int_equal(rows(f, "n=~\"[5-9]\""), 0);
    assert_int_equal(rows(f, "n=\"39\""), 1);
    struct notification_history_query q = {.limit = 1000};
    struct notification_history_page page;
    assert_true(alert_history_notifications(f->s, &f->arena, &q, &page, &f->err));
    assert_int_equal(page.count, 20);
    assert_int_equal(page.items[19].at_ns, f->now + 20);
    assert_int_equal(page.items[19].alert_count, 3);
}

/* While there is no file all waits in memory, folded; then it is written. What the process before had open is closed. */
static void what_could_not_be_written_is_written_later(void **state)
{
    struct fixture *f = *state;
    struct alert_state_stats stats;
    char hidden[128], path[96];
    (void)snprintf(path, sizeof path, "%s/" ALERT_STATE_DB_NAME, f->dir);
    (void)snprintf(hidden, sizeof hidden, "%s.hidden", path);
    tell(f, ALERT_FIRED, 1, f->now, LIVE_ALERT_NEVER, 0);
    alert_state_close(f->s);
    f->s = NULL;
    assert_true(dir_create(hidden, &f->err)); /* where it lies no file can be */
    assert_int_equal(renameat2(AT_FDCWD, path, AT_FDCWD, hidden, RENAME_EXCHANGE), 0);
    open_again(f);
    int seen[8] = {0};
    alert_history_resume(f->s, count_resumed, seen);
    assert_int_equal(seen[1], 0);
    tell(f, ALERT_FIRED, 2, f->now, LIVE_ALERT_NEVER, 0);
    for (int i = 0; i < 50; i++)
        tell(f, ALERT_CHANGED, 2, f->now, LIVE_ALERT_NEVER, i);
    tell(f, ALERT_RESOLVED, 2, f->now, f->now + 5, 9);
    tell(f, ALERT_FIRED, 2, f->now + 10, LIVE_ALERT_NEVER, 0);
    note(f, "team", f->now, true, 2);
    alert_state_stats(f->s, &stats);
    assert_int_equal(stats.history_pending, 3);
    struct alert_history_query q = {.limit = 10};
    struct alert_history_page page;
    assert_false(alert_history_episodes(f->s, &f->arena, &q, &page, &f->err));
    assert_int_equal(f->err.kind, ERROR_UNAVAILABLE);
    assert_int_equal(renameat2(AT_FDCWD, path, AT_FDCWD, hidden, RENAME_EXCHANGE), 0);
    open_again(f); /* closing writes it */
    page = ask(f, &q);
    assert_int_equal(page.count, 3);
    assert_int_equal(page.items[0].alert.starts_ns, f->now + 10);
    assert_true(page.items[0].is_open);
    assert_false(page.items[1].is_open || page.items[2].is_open);
    assert_int_equal(rows(f, "n=\"1\""), 1);
    assert_int_equal(rows(f, "n=\"2\""), 2);
}

struct teller {
    struct fixture *f;
    int first;
};

static void *tell_many(void *arg)
{
    struct teller *t = arg;
    struct arena arena;
    arena_init(&arena, MEM_OTHER, 0);
    struct fixture mine = {.s = t->f->s, .now = t->f->now, .arena = arena};
    for (int n = t->first; n < t->first + 300; n++) {
        tell(&mine, ALERT_FIRED, n, mine.now, LIVE_ALERT_NEVER, n);
        tell(&mine, ALERT_CHANGED, n, mine.now, LIVE_ALERT_NEVER, n + 1);
        if (n % 2)
            tell(&mine, ALERT_RESOLVED, n, mine.now, mine.now + 1, n);
        if (n % 10 == 0)
            note(&mine, "team", mine.now + n, true, 3);
    }
    arena_deinit(&mine.arena);
    return NULL;
}

static void many_may_tell_while_one_asks(void **state)
{
    struct fixture *f = *state;
    struct teller tellers[3];
    pthread_t threads[3];
    for (int i = 0; i < 3; i++) {
        tellers[i] = (struct teller){f, i * 300};
        assert_true(thread_start(&threads[i], "teller", tell_many, &tellers[i], &f->err));
    }
    for (int i = 0; i < 20; i++)
        (void)ask(f, &(struct alert_history_query){.limit = 1000});
    for (int i = 0; i < 3; i++)
        thread_join(threads[i]);
    open_again(f);
    assert_int_equal(rows(f, "job=j"), 900);
    struct alert_history_query q = {.limit = HISTORY_LIMIT_MAX, .open_only = true};
    assert_int_equal(ask(f, &q).count, 450);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(an_episode_is_one_row_with_what_was_told_last, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(what_had_not_ended_is_told_after_a_restart, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(questions_do_not_wait_for_each_other, setup, teardown),
        cmocka_unit_test_setup_teardown(ends_that_may_not_be_told_are_told_after_a_restart, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(history_is_found_by_labels_and_time_and_paged, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(notifications_are_found_by_alert_receiver_and_time, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(an_acknowledgement_ends_with_its_alert_and_stays_in_history,
                                        setup, teardown),
        cmocka_unit_test_setup_teardown(old_rows_go_by_age_and_by_number, setup, teardown),
        cmocka_unit_test_setup_teardown(what_could_not_be_written_is_written_later, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(many_may_tell_while_one_asks, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
