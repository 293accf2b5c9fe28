/* SPDX-License-Identifier: Apache-2.0 */
#include "watermarks.h"

#include "base/attributes.h"
#include "base/thread.h"
#include "origin.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

static const struct origin_page PAGES[] = {
    {"/a", "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nAAAA"},
    {"/b", "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nBBBB"},
    {"/c", "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nCCCC"},
    {"/large", "HTTP/1.1 200 OK\r\nContent-Length: 11\r\n\r\n01234567890"},
    {"/missing", "HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n"},
    {"/hang", "HANG"},
};

static struct source_policy policy = {.outgoing = {.allowed = 1u << ADDRESS_LOOPBACK},
                                      .timeout_ms = 30000};

static void expect_bytes(struct watermarks *ws, const char *url, const char *text)
{
    struct watermark *mark;
    struct image_failure f = {0};
    if (watermarks_get(ws, view_from(url), 30000, NULL, &mark, &f) != WATERMARK_FOUND)
        fail_msg("%s: %s (%s)", url, f.text, f.cause);
    assert_true(view_is(watermark_bytes(mark), text));
    watermark_unref(mark);
}

static void those_of_urls_are_kept_within_limits(void **state)
{
    (void)state;
    static const struct {
        const char *name;
        struct watermarks_options options;
        const char *paths;
        unsigned fetched;
        size_t kept;
    } CASES[] = {
        {"kept", {0}, "aaba", 2, 2},
        {"so many", {.kept_max = 2}, "abaca", 3, 2}, /* b goes */
        {"b again", {.kept_max = 2}, "abcb", 3, 2},
        {"a again", {.kept_max = 2}, "abca", 4, 2},
        {"so many bytes", {.kept_bytes_max = 8}, "abca", 4, 2},
        {"too large to be kept", {.kept_bytes_max = 3}, "aa", 2, 0},
        {"no longer good", {.kept_ms = -1}, "aa", 2, 1},
    };
    for (size_t i = 0; i < ARRAY_COUNT(CASES); i++) {
        struct origin *o = origin_new(PAGES, ARRAY_COUNT(PAGES));
        struct watermarks_options options = CASES[i].options;
        struct watermarks_stats stats;
        options.policy = &policy;
        struct watermarks *ws = watermarks_new(&options);
        for (const char *at = CASES[i].paths; *at; at++) {
            char path[3] = {'/', *at, '\0'}, text[5];
            memset(text, *at - 'a' + 'A', 4);
            text[4] = '\0';
            expect_bytes(ws, origin_url(o, path), text);
        }
        watermarks_stats_get(ws, &stats);
        if (stats.fetched != CASES[i].fetched || origin_asked(o, NULL) != CASES[i].fetched ||
            stats.kept != CASES[i].kept || stats.kept_bytes != 4 * CASES[i].kept)
            fail_msg("%s: fetched %u, kept %zu", CASES[i].name, (unsigned)stats.fetched,
                     stats.kept);
        watermarks_free(ws);
        origin_free(o);
    }
}

static void failures_say_that_it_was_the_watermark(void **state)
{
    (void)state;
    static const struct {
        const char *url;
        enum watermark_outcome outcome;
        const char *text, *cause;
    } CASES[] = {
        {"/missing", WATERMARK_FAILED, "400 Failed to fetch watermark image",
         "Source responded with status 404: 127.0.0.1"},
        {"/large", WATERMARK_FAILED, "400 Failed to fetch watermark image",
         "Source image exceeds the maximum allowed size of 10 bytes"},
        {"http://10.0.0.1/", WATERMARK_REFUSED, "400 Failed to fetch watermark image",
         "Source URL is not allowed: host 10.0.0.1 has the address 10.0.0.1, which is private"},
        {"file:///etc/passwd", WATERMARK_REFUSED, "400 Failed to fetch watermark image",
         "Source URL is not allowed"},
        {"", WATERMARK_FAILED, "400 Failed to read watermark image from path",
         "\"/nonexistent/mark.png\""},
    };
    struct origin *o = origin_new(PAGES, ARRAY_COUNT(PAGES));
    struct watermarks_options options = {
        .policy = &policy, .path = "/nonexistent/mark.png", .source_bytes_max = 10};
    struct watermarks *ws = watermarks_new(&options);
    struct error err = {0};
    assert_false(watermarks_read_file(ws, &err));
    assert_non_null(strstr(err.message, "could not read the watermark: "));
    for (size_t i = 0; i < ARRAY_COUNT(CASES); i++) {
        struct image_failure f = {0};
        struct watermark *mark;
        char text[300];
        const char *url = CASES[i].url[0] ? origin_url(o, CASES[i].url) : "";
        assert_int_equal(watermarks_get(ws, view_from(url), 30000, NULL, &mark, &f),
                         CASES[i].outcome);
        assert_null(mark);
        snprintf(text, sizeof(text), "%d %s", f.status, f.text);
        assert_string_equal(text, CASES[i].text);
        if (!strstr(f.cause, CASES[i].cause))
            fail_msg("%s: %s", url, f.cause);
    }
    watermarks_free(ws);
    origin_free(o);
}

static void put_file(const char *path, const char *text)
{
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    fputs(text, file);
    fclose(file);
}

static void the_file_is_read_again_when_asked_and_stays_when_it_is_gone(void **state)
{
    (void)state;
    char path[] = "/tmp/watermark_XXXXXX";
    close(mkstemp(path));
    put_file(path, "one");
    struct watermarks_options options = {.policy = &policy, .path = path};
    struct watermarks *ws = watermarks_new(&options);
    struct watermark *mark;
    struct image_failure f;
    struct error err = {0};
    struct image_key one, two;
    assert_true(watermarks_read_file(ws, &err));
    assert_int_equal(watermarks_get(ws, view_from(""), 1, NULL, &mark, &f), WATERMARK_FOUND);
    put_file(path, "two");
    expect_bytes(ws, "", "one");
    watermarks_file_digest(ws, &one);
    assert_true(watermarks_read_file(ws, &err));
    expect_bytes(ws, "", "two");
    assert_true(view_is(watermark_bytes(mark), "one")); /* whoever has it keeps it */
    watermarks_file_digest(ws, &two);
    assert_memory_not_equal(&one, &two, sizeof(one));
    assert_int_equal(two.bytes[0], 0x3f); /* printf two | sha256sum */
    assert_int_equal(two.bytes[31], 0xf3);
    watermark_unref(mark);
    unlink(path);
    assert_false(watermarks_read_file(ws, &err));
    expect_bytes(ws, "", "two");
    watermarks_free(ws);
    options.path = "";
    ws = watermarks_new(&options);
    assert_true(watermarks_read_file(ws, &err));
    assert_int_equal(watermarks_get(ws, view_from(""), 1, NULL, &mark, &f), WATERMARK_NONE);
    watermarks_free(ws);
}

/* ---- several at once ---- */

struct asker {
    struct watermarks *ws;
    const char *url;
    int64_t timeout_ms; /* 0: 30 s */
    atomic_bool cancel;
    enum watermark_outcome outcome;
    struct image_failure f;
    pthread_t thread;
};

static void *asker_run(void *arg)
{
    struct asker *a = arg;
    struct watermark *mark;
    a->outcome = watermarks_get(a->ws, view_from(a->url), a->timeout_ms ? a->timeout_ms : 30000,
                                &a->cancel, &mark, &a->f);
    watermark_unref(mark);
    return NULL;
}

static void asker_start(struct asker *a)
{
    struct error err;
    assert_true(thread_start(&a->thread, "asker", asker_run, a, &err));
}

static void those_who_ask_at_once_fetch_once(void **state)
{
    (void)state;
    struct origin *o = origin_new(PAGES, ARRAY_COUNT(PAGES));
    struct watermarks_options options = {.policy = &policy};
    struct watermarks *ws = watermarks_new(&options);
    struct asker askers[8];
    const char *url = origin_url(o, "/a");
    for (size_t i = 0; i < ARRAY_COUNT(askers); i++) {
        askers[i] = (struct asker){.ws = ws, .url = url};
        asker_start(&askers[i]);
    }
    for (size_t i = 0; i < ARRAY_COUNT(askers); i++) {
        thread_join(askers[i].thread);
        assert_int_equal(askers[i].outcome, WATERMARK_FOUND);
    }
    assert_int_equal(origin_asked(o, NULL), 1);
    watermarks_free(ws);
    origin_free(o);
}

/* The second waits for the first one's fetch; when that is cancelled it asks itself. */
static void who_is_cancelled_fails_alone(void **state)
{
    (void)state;
    struct origin *o = origin_new(PAGES, ARRAY_COUNT(PAGES));
    struct watermarks_options options = {.policy = &policy};
    struct watermarks *ws = watermarks_new(&options);
    const char *url = origin_url(o, "/hang");
    struct asker first = {.ws = ws, .url = url}, second = {.ws = ws, .url = url};
    asker_start(&first);
    origin_await(o, 1);
    asker_start(&second);
    atomic_store(&first.cancel, true);
    thread_join(first.thread);
    origin_await(o, 2);
    atomic_store(&second.cancel, true);
    thread_join(second.thread);
    assert_int_equal(first.f.status, 408);
    assert_string_equal(first.f.text, "Request Timeout");
    assert_int_equal(second.f.status, 408);
    watermarks_free(ws);
    origin_free(o);
}

/* The second has a shorter time, which begins with its own fetch. */
static void who_waits_for_anothers_fetch_has_a_time_of_his_own(void **state)
{
    (void)state;
    struct origin *o = origin_new(PAGES, ARRAY_COUNT(PAGES));
    struct watermarks_options options = {.policy = &policy};
    struct watermarks *ws = watermarks_new(&options);
    const char *url = origin_url(o, "/hang");
    struct asker first = {.ws = ws, .url = url}, second = {.ws = ws, .url = url, .timeout_ms = 300};
    asker_start(&first);
    origin_await(o, 1);
    asker_start(&second);
    usleep(600 * 1000); /* waiting longer would prove more */
    assert_int_equal(origin_asked(o, NULL), 1);
    atomic_store(&first.cancel, true);
    thread_join(first.thread);
    origin_await(o, 2);
    thread_join(second.thread);
    assert_int_equal(second.outcome, WATERMARK_FAILED);
    watermarks_free(ws);
    origin_free(o);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(those_of_urls_are_kept_within_limits),
        cmocka_unit_test(failures_say_that_it_was_the_watermark),
        cmocka_unit_test(the_file_is_read_again_when_asked_and_stays_when_it_is_gone),
        cmocka_unit_test(those_who_ask_at_once_fetch_once),
        cmocka_unit_test(who_is_cancelled_fails_alone),
        cmocka_unit_test(who_waits_for_anothers_fetch_has_a_time_of_his_own),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
