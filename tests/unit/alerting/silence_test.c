/* SPDX-License-Identifier: Apache-2.0 */
#include "alerting/silence.h"

#include "base/file.h"
#include "base/random.h"
#include "base/thread.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define SECOND INT64_C(1000000000)
#define NOW (INT64_C(1700000000) * SECOND)
#define HOUR (3600 * SECOND)

struct fixture {
    char dir[64];
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
    (void)snprintf(f->dir, sizeof f->dir, "/tmp/belfry-silence-XXXXXX");
    assert_non_null(mkdtemp(f->dir));
    f->options.dir = f->dir;
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

/* A silence of the matchers of `text`, for an hour from now. */
static struct silence make(struct fixture *f, const char *text)
{
    struct matchers m = {0};
    if (!matchers_parse(&f->arena, view_from(text), &m, NULL, &f->err))
        fail_msg("%s", f->err.message);
    struct silence s = {.matchers = m.items,
                        .matcher_count = m.count,
                        .starts_ns = NOW,
                        .ends_ns = NOW + HOUR,
                        .created_by = VIEW("ann"),
                        .comment = VIEW("works on it")};
    matchers_deinit(&m); /* texts stay in the arena; only they are used */
    return s;
}

static struct view set(struct fixture *f, const struct silence *in, int64_t now)
{
    struct view id;
    if (!silence_set(f->s, &f->arena, in, now, &id, NULL, &f->err))
        fail_msg("%s", f->err.message);
    return id;
}

static struct silence get(struct fixture *f, struct view id, int64_t now)
{
    struct silence s;
    if (!silence_get(f->s, &f->arena, id, now, &s))
        fail_msg("there is no %.*s", VIEW_ARGS(id));
    return s;
}

static struct labels labels_of(struct fixture *f, const char *text)
{
    struct labels ls;
    if (!labels_parse(&f->arena, view_from(text), &ls, &f->err))
        fail_msg("%s", f->err.message);
    return ls;
}

/* Ids of the silences that mute, as letters by `ids`; "" none. */
static const char *muted(struct fixture *f, const char *labels, int64_t now, const struct view *ids)
{
    static char text[32];
    struct silence_ids out;
    struct labels ls = labels_of(f, labels);
    bool is = alert_state_silenced(f->s, &f->arena, labels_hash(ls), ls, now, &out);
    assert_int_equal(is, out.count > 0);
    memset(text, 0, sizeof text);
    for (size_t i = 0; i < out.count; i++) {
        if (i > 0)
            assert_true(view_cmp(out.items[i - 1], out.items[i]) < 0);
        size_t k = 0;
        while (!view_eq(ids[k], out.items[i]))
            k++;
        for (size_t n = 0; n <= k; n++) /* sorted letters: position k */
            text[n] = text[n] ? text[n] : '.';
        text[k] = (char)('a' + k);
    }
    return text;
}

static void what_is_wrong_is_said_in_alertmanagers_words(void **state)
{
    struct fixture *f = *state;
    static const struct matcher
        NO_NAME = {.type = MATCH_EQUAL, .value = VIEW_INIT("x")},
        BAD_REGEX = {.type = MATCH_REGEX, .name = VIEW_INIT("a"), .value = VIEW_INIT("(")},
        EMPTY = {.type = MATCH_EQUAL, .name = VIEW_INIT("a")},
        ANY = {.type = MATCH_REGEX, .name = VIEW_INIT("a"), .value = VIEW_INIT(".*")},
        BYTES = {.type = MATCH_EQUAL, .name = VIEW_INIT("a"), .value = VIEW_INIT("\xff")};
    static const struct {
        const struct matcher *matcher;
        int64_t starts, ends;
        const char *error;
    } CASES[] = {
        {NULL, NOW, NOW + HOUR, "invalid silence: at least one matcher required"},
        {&NO_NAME, NOW, NOW + HOUR,
         "invalid silence: invalid label matcher 0: invalid label name \"\""},
        {&BAD_REGEX, NOW, NOW + HOUR,
         "invalid silence: invalid label matcher 0: invalid regular expression \"(\": "},
        {&BYTES, NOW, NOW + HOUR,
         "invalid silence: invalid label matcher 0: the value is not UTF-8"},
        {&EMPTY, NOW, NOW + HOUR,
         "invalid silence: at least one matcher must not match the empty string"},
        {&ANY, NOW, NOW + HOUR,
         "invalid silence: at least one matcher must not match the empty string"},
        {NULL, NOW, LIVE_ALERT_NEVER, "invalid silence: at least one matcher required"},
    };
    struct view id;
    for (size_t i = 0; i < ARRAY_COUNT(CASES); i++) {
        struct silence in = {.matchers = CASES[i].matcher,
                             .matcher_count = CASES[i].matcher != NULL,
                             .starts_ns = CASES[i].starts,
                             .ends_ns = CASES[i].ends};
        assert_false(silence_set(f->s, &f->arena, &in, NOW, &id, NULL, &f->err));
        assert_int_equal(f->err.kind, ERROR_INPUT);
        if (!view_has_prefix(view_from(f->err.message), view_from(CASES[i].error)))
            fail_msg("%s", f->err.message);
    }
    struct silence in = make(f, "a=b");
    in.ends_ns = LIVE_ALERT_NEVER;
    assert_false(silence_set(f->s, &f->arena, &in, NOW, &id, NULL, &f->err));
    assert_string_equal(f->err.message, "invalid silence: invalid zero end timestamp");
    in.ends_ns = NOW - 1;
    assert_false(silence_set(f->s, &f->arena, &in, NOW, &id, NULL, &f->err));
    assert_string_equal(f->err.message, "invalid silence: end time must not be before start time");
    in = make(f, "a=b");
    in.comment = VIEW("\xfe");
    assert_false(silence_set(f->s, &f->arena, &in, NOW, &id, NULL, &f->err));
    in = make(f, "a=b");
    in.id = VIEW("00000000-0000-4000-8000-000000000000");
    assert_false(silence_set(f->s, &f->arena, &in, NOW, &id, NULL, &f->err));
    assert_int_equal(f->err.kind, ERROR_NOT_FOUND);
    assert_string_equal(f->err.message, "silence not found");
    assert_false(silence_expire(f->s, in.id, NOW, &f->err));
    assert_int_equal(f->err.kind, ERROR_NOT_FOUND);
    struct silence_list list;
    silence_list(f->s, &f->arena, NOW, &list);
    assert_int_equal(list.count, 0);
}

static void ids_are_random_uuids(void **state)
{
    struct fixture *f = *state;
    struct silence in = make(f, "a=b");
    struct view a = set(f, &in, NOW), b = set(f, &in, NOW);
    assert_int_equal(a.len, SILENCE_ID_BYTES);
    assert_false(view_eq(a, b));
    for (size_t i = 0; i < a.len; i++) {
        if (i == 8 || i == 13 || i == 18 || i == 23)
            assert_int_equal(a.ptr[i], '-');
        else
            assert_non_null(strchr("0123456789abcdef", a.ptr[i]));
    }
    assert_int_equal(a.ptr[14], '4');
    assert_non_null(strchr("89ab", a.ptr[19]));
}

static void a_silence_is_pending_then_active_then_expired(void **state)
{
    struct fixture *f = *state;
    struct silence in = make(f, "a=b");
    in.starts_ns = NOW + 10;
    in.ends_ns = NOW + 20;
    struct view id = set(f, &in, NOW);
    uint64_t version = alert_state_version(f->s, NOW);
    static const struct {
        int64_t at;
        enum silence_state state;
        bool changes;
    } CASES[] = {
        {0, SILENCE_PENDING, false},  {9, SILENCE_PENDING, false}, {10, SILENCE_ACTIVE, true},
        {11, SILENCE_ACTIVE, false},  {20, SILENCE_ACTIVE, false}, {21, SILENCE_EXPIRED, true},
        {22, SILENCE_EXPIRED, false}, {15, SILENCE_ACTIVE, true},  {5, SILENCE_PENDING, true},
    };
    for (size_t i = 0; i < ARRAY_COUNT(CASES); i++) {
        uint64_t now = alert_state_version(f->s, NOW + CASES[i].at);
        assert_int_equal(now > version, CASES[i].changes);
        version = now;
        assert_int_equal(get(f, id, NOW + CASES[i].at).state, CASES[i].state);
        assert_string_equal(muted(f, "{a=\"b\"}", NOW + CASES[i].at, &id),
                            CASES[i].state == SILENCE_ACTIVE ? "a" : "");
    }
    struct silence_counts counts;
    silence_count(f->s, NOW + 12, &counts);
    assert_int_equal(counts.active, 1);
}

/* Alertmanager's table of updates: what changes the past makes a new silence and expires the old one. */
static void an_update_that_would_change_the_past_makes_another_silence(void **state)
{
    struct fixture *f = *state;
    static const struct {
        const char *name, *matchers;
        int64_t starts, ends; /* from NOW; the old one: 10 to 100, a=b */
        int64_t at;
        bool same;
        int64_t new_starts, old_starts, old_ends;
    } CASES[] = {
        {"pending: other end", "a=b", 10, 50, 5, true, 10, 0, 0},
        {"pending: other start", "a=b", 20, 50, 5, true, 20, 0, 0},
        {"pending: start in the past", "a=b", 1, 50, 5, false, 5, 5, 5},
        {"pending: other matchers", "a=c", 10, 50, 5, false, 10, 5, 5},
        {"active: other end", "a=b", 10, 200, 20, true, 10, 0, 0},
        {"active: end in the past", "a=b", 10, 15, 20, false, 20, 10, 20},
        {"active: other start", "a=b", 30, 200, 20, false, 30, 10, 20},
        {"active: other matchers", "a=c", 10, 200, 20, false, 20, 10, 20},
        {"active: another operator", "a=~b", 10, 200, 20, false, 20, 10, 20},
        {"active: one matcher more", "a=b,c=d", 10, 200, 20, false, 20, 10, 20},
        {"expired", "a=b", 10, 200, 101, false, 101, 10, 100},
    };
    for (size_t i = 0; i < ARRAY_COUNT(CASES); i++) {
        print_message("%s\n", CASES[i].name);
        struct silence in = make(f, "a=b");
        in.starts_ns = NOW + 10 * SECOND;
        in.ends_ns = NOW + 100 * SECOND;
        struct view id = set(f, &in, NOW);
        int64_t at = NOW + CASES[i].at * SECOND;
        in = make(f, CASES[i].matchers);
        in.id = id;
        in.starts_ns = NOW + CASES[i].starts * SECOND;
        in.ends_ns = NOW + CASES[i].ends * SECOND;
        struct view now = set(f, &in, at);
        assert_int_equal(view_eq(now, id), CASES[i].same);
        for (int again = 0; again < 2; again++) {
            struct silence made = get(f, now, at);
            assert_int_equal(made.starts_ns, NOW + CASES[i].new_starts * SECOND);
            assert_int_equal(made.ends_ns, NOW + CASES[i].ends * SECOND);
            assert_int_equal(made.updated_ns, at);
            if (!CASES[i].same) {
                struct silence old = get(f, id, at + 1);
                assert_int_equal(old.starts_ns, NOW + CASES[i].old_starts * SECOND);
                assert_int_equal(old.ends_ns, NOW + CASES[i].old_ends * SECOND);
                assert_int_equal(old.state, SILENCE_EXPIRED);
                assert_int_equal(old.matcher_count, 1);
            }
            open_again(f); /* the disk says the same */
        }
    }
}

static void what_is_set_is_what_is_shown_after_a_restart(void **state)
{
    struct fixture *f = *state;
    struct label annotations[] = {{VIEW("link"), VIEW("https://x/\n\"")}, {VIEW("z"), VIEW("")}};
    struct silence in = make(f, "a=b,\"my label\"!~\"x|y\",c!=\"d\xc3\xa9\",e=~\"f.*\"");
    in.starts_ns = LIVE_ALERT_NEVER;
    in.annotations = (struct labels){annotations, 2};
    struct view id = set(f, &in, NOW + 7);
    for (int again = 0; again < 2; again++) {
        struct silence s = get(f, id, NOW + 8);
        assert_int_equal(s.starts_ns, NOW + 7);
        assert_int_equal(s.ends_ns, NOW + HOUR);
        assert_int_equal(s.state, SILENCE_ACTIVE);
        assert_true(view_is(s.created_by, "ann"));
        assert_true(view_is(s.comment, "works on it"));
        assert_true(labels_equal(s.annotations, in.annotations));
        assert_int_equal(s.matcher_count, 4);
        for (size_t i = 0; i < 4; i++) {
            assert_int_equal(s.matchers[i].type, in.matchers[i].type);
            assert_true(view_eq(s.matchers[i].name, in.matchers[i].name));
            assert_true(view_eq(s.matchers[i].value, in.matchers[i].value));
        }
        assert_string_equal(muted(f, "{a=\"b\", e=\"fx\"}", NOW + 9, &id), "a");
        assert_string_equal(muted(f, "{a=\"b\", e=\"fx\", \"my label\"=\"y\"}", NOW + 9, &id), "");
        open_again(f);
    }
    assert_true(silence_expire(f->s, id, NOW + 100, &f->err));
    assert_true(silence_expire(f->s, id, NOW + 200, &f->err)); /* again: as it is */
    for (int again = 0; again < 2; again++) {
        struct silence s = get(f, id, NOW + 101);
        assert_int_equal(s.ends_ns, NOW + 100);
        assert_int_equal(s.state, SILENCE_EXPIRED);
        open_again(f);
    }
}

/* Friday 10 November 2023, 22:00 in Paris is 21:00 UTC; NOW is Tuesday 14 November, 22:13:20 UTC. */
static void a_silence_that_recurs_is_active_in_its_windows(void **state)
{
    struct fixture *f = *state;
    static const struct {
        enum recurrence_kind kind;
        const char *text;
    } KINDS[] = {
        {RECURRENCE_CRON, "0 22 * * fri"},
        {RECURRENCE_RRULE, "FREQ=WEEKLY;BYDAY=FR;BYHOUR=22;BYMINUTE=0"},
    };
    const int64_t friday = (NOW / SECOND / 86400 * 86400 + 3 * 86400 + 21 * 3600) * SECOND;
    for (size_t i = 0; i < ARRAY_COUNT(KINDS); i++) {
        struct silence in = make(f, i ? "a=c" : "a=b");
        struct silence_window windows[8];
        size_t count;
        in.starts_ns = NOW - NOW % (60 * SECOND); /* the RRULE's seconds */
        in.ends_ns = friday + 14 * 24 * HOUR + 30 * 60 * SECOND;
        in.recurrence = (struct silence_recurrence){.kind = KINDS[i].kind,
                                                    .text = view_from(KINDS[i].text),
                                                    .timezone = VIEW("Europe/Paris"),
                                                    .duration_ns = 2 * HOUR,
                                                    .anchor_ns = LIVE_ALERT_NEVER};
        assert_true(silence_preview(&in, NOW, windows, 8, &count, &f->err));
        assert_int_equal(count, 3);
        for (size_t k = 0; k < 3; k++)
            assert_int_equal(windows[k].begin_ns, friday + (int64_t)k * 7 * 24 * HOUR);
        assert_int_equal(windows[0].end_ns, friday + 2 * HOUR);
        assert_int_equal(windows[2].end_ns, in.ends_ns + 1); /* cut to the end */
        struct view id = set(f, &in, NOW);
        for (int again = 0; again < 2; again++) {
            const struct {
                int64_t at;
                enum silence_state state;
            } cases[] = {
                {NOW, SILENCE_PENDING},
                {friday - 1, SILENCE_PENDING},
                {friday, SILENCE_ACTIVE},
                {friday + 2 * HOUR - 1, SILENCE_ACTIVE},
                {friday + 2 * HOUR, SILENCE_PENDING},
                {friday + 7 * 24 * HOUR + 1, SILENCE_ACTIVE},
                {friday + 8 * 24 * HOUR, SILENCE_PENDING},
                {in.ends_ns, SILENCE_ACTIVE},
                {in.ends_ns + 1, SILENCE_EXPIRED},
                {friday + 1, SILENCE_ACTIVE}, /* the clock goes back */
            };
            uint64_t version = 0;
            for (size_t k = 0; k < ARRAY_COUNT(cases); k++) {
                struct silence got = get(f, id, cases[k].at);
                assert_int_equal(got.state, cases[k].state);
                assert_string_equal(muted(f, i ? "{a=\"c\"}" : "{a=\"b\"}", cases[k].at, &id),
                                    cases[k].state == SILENCE_ACTIVE ? "a" : "");
                assert_true(view_is(got.recurrence.text, KINDS[i].text));
                uint64_t now = alert_state_version(f->s, cases[k].at);
                if (k > 0 && cases[k - 1].state != cases[k].state)
                    assert_true(now > version);
                version = now;
            }
            assert_int_equal(get(f, id, NOW).window.begin_ns, friday);
            assert_int_equal(get(f, id, NOW).window.end_ns, friday + 2 * HOUR);
            open_again(f);
        }
        /* Between two windows it is changed like one that is active, and ended. */
        in.id = id;
        in.starts_ns = get(f, id, NOW).starts_ns;
        in.comment = VIEW("longer");
        in.ends_ns += 7 * 24 * HOUR;
        assert_true(view_eq(set(f, &in, NOW + HOUR), id));
        in.recurrence.duration_ns = HOUR; /* another recurrence is another silence */
        struct view other = set(f, &in, NOW + 2 * HOUR);
        assert_false(view_eq(other, id));
        assert_int_equal(get(f, id, NOW + 2 * HOUR + 1).state, SILENCE_EXPIRED);
        assert_true(silence_expire(f->s, other, friday + 1, &f->err));
        assert_int_equal(get(f, other, friday + 2).state, SILENCE_EXPIRED);
    }
}

/* A daily rule keeps the time of the start that was asked for, though a start in the past is shown as now. */
static void a_rule_keeps_its_first_start(void **state)
{
    struct fixture *f = *state;
    struct silence in = make(f, "a=b");
    in.starts_ns = NOW - 5 * HOUR;
    in.ends_ns = NOW + 100 * HOUR;
    in.recurrence = (struct silence_recurrence){.kind = RECURRENCE_RRULE,
                                                .text = VIEW("FREQ=DAILY"),
                                                .duration_ns = HOUR,
                                                .anchor_ns = LIVE_ALERT_NEVER};
    struct view id = set(f, &in, NOW);
    for (int again = 0; again < 3; again++) {
        struct silence got = get(f, id, NOW + 1);
        assert_int_equal(got.starts_ns, NOW);
        assert_int_equal(got.recurrence.anchor_ns, NOW - 5 * HOUR);
        assert_int_equal(got.window.begin_ns, NOW + 19 * HOUR);
        if (again == 1) { /* an update that does not know of it */
            got.recurrence.anchor_ns = LIVE_ALERT_NEVER;
            got.comment = VIEW("again");
            assert_true(view_eq(set(f, &got, NOW + HOUR), id));
        }
        open_again(f);
    }
    in.recurrence.text = VIEW("FREQ=DAILY;BYDAY=XX");
    assert_false(silence_set(f->s, &f->arena, &in, NOW, &id, NULL, &f->err));
    assert_string_equal(f->err.message,
                        "invalid silence: RRULE: BYDAY=XX: expected weekdays as MO, 2TU or -1FR");
}

static void limits_hold_for_number_bytes_and_duration(void **state)
{
    struct fixture *f = *state;
    struct view id;
    f->options.silences_max = 2;
    f->options.silence_bytes_max = 100;
    f->options.silence_duration_max_ms = 3600 * 1000;
    open_again(f);
    struct silence in = make(f, "a=b");
    id = set(f, &in, NOW);
    (void)set(f, &in, NOW);
    assert_false(silence_set(f->s, &f->arena, &in, NOW, &id, NULL, &f->err));
    assert_string_equal(f->err.message, "exceeded maximum number of silences: 2 (limit: 2)");
    struct silence_list list;
    silence_list(f->s, &f->arena, NOW, &list);
    in.id = list.items[0].id;
    in.comment = VIEW("shorter");
    assert_true(view_eq(set(f, &in, NOW), in.id)); /* a change is no new one */
    in.comment = arena_printf(&f->arena, "%0100d", 1);
    assert_false(silence_set(f->s, &f->arena, &in, NOW, &id, NULL, &f->err));
    assert_non_null(strstr(f->err.message, "silence exceeded maximum size: "));
    assert_non_null(strstr(f->err.message, " bytes (limit: 100 bytes)"));
    in = make(f, "a=b");
    in.ends_ns += SECOND;
    assert_false(silence_set(f->s, &f->arena, &in, NOW, &id, NULL, &f->err));
    assert_non_null(strstr(f->err.message, "longer than the 3600 s"));
}

static void count_alerts(void *arg, const struct matchers *m, size_t *matched, size_t *alive)
{
    struct fixture *f = arg;
    static const char *const ALERTS[] = {"{a=\"b\"}", "{a=\"c\"}"};
    *alive = ARRAY_COUNT(ALERTS);
    *matched = 0;
    for (size_t i = 0; i < ARRAY_COUNT(ALERTS); i++)
        *matched += matchers_match(m, labels_of(f, ALERTS[i]));
}

static void slips_are_warned_of(void **state)
{
    struct fixture *f = *state;
    static const struct {
        const char *matchers;
        int64_t ends;
        const char *texts[SILENCE_WARNINGS_MAX];
    } CASES[] = {
        {"a=b", NOW + HOUR, {NULL}},
        {"a=x", NOW + HOUR, {"the silence matches none of the 2 alerts that are there now"}},
        {"a=~\"b|c\"", NOW + HOUR, {"the silence matches every alert (2 now)"}},
        {"alertname=~\".+\"",
         NOW + HOUR,
         {"the silence matches every alert that has its labels",
          "the silence matches none of the 2 alerts that are there now"}},
        {"a=b", NOW + 366 * 24 * HOUR, {"the silence lasts longer than a year"}},
    };
    alert_state_watch(f->s, count_alerts, f);
    for (size_t i = 0; i < ARRAY_COUNT(CASES); i++) {
        struct silence in = make(f, CASES[i].matchers);
        struct silence_warnings w;
        struct view id, texts[SILENCE_WARNINGS_MAX];
        in.ends_ns = CASES[i].ends;
        assert_true(silence_set(f->s, &f->arena, &in, NOW, &id, &w, &f->err));
        size_t count = silence_warning_texts(&f->arena, &w, texts), expected = 0;
        while (expected < SILENCE_WARNINGS_MAX && CASES[i].texts[expected])
            expected++;
        assert_int_equal(count, expected);
        for (size_t k = 0; k < count; k++)
            assert_string_equal(texts[k].ptr, CASES[i].texts[k]);
    }
    alert_state_watch(f->s, NULL, NULL);
}

/* The index and the cache against trying all: alerts and silences of few labels, silences come and go. */
static void a_look_finds_what_trying_all_finds(void **state)
{
    struct fixture *f = *state;
    enum { SILENCES = 120, ALERTS = 60 };
    static struct matchers kept[SILENCES];
    static struct view ids[SILENCES];
    static bool expired[SILENCES];
    memset(kept, 0, sizeof kept);
    memset(expired, 0, sizeof expired);
    f->options.dir = NULL; /* memory alone */
    open_again(f);
    struct random random;
    random_seed(&random, 7);
    for (int n = 0; n < SILENCES; n++) {
        static const char *const FORMS[] = {"a=%u", "a=%u,b=%u", "b=~\"%u|%u\"", "a!=%u,c=%u",
                                            "c=~\"%u.*\",a=%u"};
        unsigned x = (unsigned)random_below(&random, 4), y = (unsigned)random_below(&random, 4);
        struct view text = arena_printf(&f->arena, FORMS[random_below(&random, 5)], x, y);
        struct silence in = make(f, text.ptr);
        assert_true(matchers_parse(&f->arena, text, &kept[n], NULL, &f->err));
        ids[n] = set(f, &in, NOW);
        if (n % 3 == 2) {
            int gone = (int)random_below(&random, (uint64_t)n + 1);
            assert_true(silence_expire(f->s, ids[gone], NOW + n, &f->err));
            expired[gone] = true;
        }
        for (int i = 0; i < ALERTS && n % 7 == 0; i++) {
            struct silence_ids out;
            struct labels ls = labels_of(
                f, arena_printf(&f->arena, "{a=\"%d\",b=\"%d\",c=\"%d\"}", i % 4, i / 4 % 4, i / 16)
                       .ptr);
            (void)alert_state_silenced(f->s, &f->arena, labels_hash(ls), ls, NOW + n + 1, &out);
            size_t expected = 0;
            for (int k = 0; k <= n; k++) {
                bool is = !expired[k] && matchers_match(&kept[k], ls), found = false;
                for (size_t o = 0; o < out.count; o++)
                    found = found || view_eq(out.items[o], ids[k]);
                assert_int_equal(is, found);
                expected += is;
            }
            assert_int_equal(out.count, expected);
        }
    }
    for (int n = 0; n < SILENCES; n++)
        matchers_deinit(&kept[n]);
}

/* Two threads change, two ask: what was answered holds (and ThreadSanitizer looks on). */
struct worker {
    struct fixture *f;
    bool changes;
    size_t made;
};

static void *work(void *arg)
{
    struct worker *w = arg;
    struct arena arena;
    struct error err;
    struct label label = {VIEW("a"), VIEW("b")};
    struct labels ls = {&label, 1};
    struct matcher m = {.type = MATCH_EQUAL, .name = VIEW("a"), .value = VIEW("b")};
    arena_init(&arena, MEM_OTHER, 0);
    for (int i = 0; i < 40; i++) {
        struct silence in = {
            .matchers = &m, .matcher_count = 1, .starts_ns = NOW, .ends_ns = NOW + HOUR};
        struct silence_ids out;
        struct view id;
        if (!w->changes) {
            (void)alert_state_silenced(w->f->s, &arena, (uint64_t)i, ls, NOW + i, &out);
            (void)alert_state_version(w->f->s, NOW + i);
        } else if (silence_set(w->f->s, &arena, &in, NOW, &id, NULL, &err)) {
            w->made++;
            (void)alert_state_silenced(w->f->s, &arena, 1, ls, NOW + 1, &out);
            bool found = false;
            for (size_t k = 0; k < out.count; k++)
                found = found || view_eq(out.items[k], id);
            assert_true(found);
            if (i % 2)
                assert_true(silence_expire(w->f->s, id, NOW + 1, &err));
        }
        arena_reset(&arena);
    }
    arena_deinit(&arena);
    return NULL;
}

static void threads_may_change_and_ask_at_once(void **state)
{
    struct fixture *f = *state;
    struct worker workers[4];
    pthread_t threads[4];
    for (size_t i = 0; i < 4; i++) {
        workers[i] = (struct worker){.f = f, .changes = i % 2};
        assert_true(thread_start(&threads[i], "worker", work, &workers[i], &f->err));
    }
    for (size_t i = 0; i < 4; i++)
        thread_join(threads[i]);
    assert_int_equal(workers[1].made + workers[3].made, 80);
    open_again(f);
    struct silence_counts counts;
    silence_count(f->s, NOW + 2, &counts);
    assert_int_equal(counts.active, 40);
    assert_int_equal(counts.expired, 40);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(what_is_wrong_is_said_in_alertmanagers_words, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(ids_are_random_uuids, setup, teardown),
        cmocka_unit_test_setup_teardown(a_silence_is_pending_then_active_then_expired, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(an_update_that_would_change_the_past_makes_another_silence,
                                        setup, teardown),
        cmocka_unit_test_setup_teardown(what_is_set_is_what_is_shown_after_a_restart, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(a_silence_that_recurs_is_active_in_its_windows, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(a_rule_keeps_its_first_start, setup, teardown),
        cmocka_unit_test_setup_teardown(limits_hold_for_number_bytes_and_duration, setup, teardown),
        cmocka_unit_test_setup_teardown(slips_are_warned_of, setup, teardown),
        cmocka_unit_test_setup_teardown(a_look_finds_what_trying_all_finds, setup, teardown),
        cmocka_unit_test_setup_teardown(threads_may_change_and_ask_at_once, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
