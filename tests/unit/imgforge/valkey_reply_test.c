/* SPDX-License-Identifier: Apache-2.0 */
/* valkey_reply_test.c: what answers are taken for, and what they leave behind. */
#include "valkey_reply.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

static const struct {
    const char *bytes;
    int type; /* 0: refused */
} ANSWERS[] = {
    {"+OK\r\n", REDIS_REPLY_STATUS},
    {"-ERR no\r\n", REDIS_REPLY_ERROR},
    {"$1\r\nx\r\n", REDIS_REPLY_STRING},
    {"$-1\r\n", REDIS_REPLY_NIL},
    {":7\r\n", REDIS_REPLY_INTEGER},
    {"*1\r\n:7\r\n", 0},
    {"*0\r\n", 0},
    {",1.5\r\n", 0},
    {"#t\r\n", 0},
};

static void answers_are_of_few_kinds(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(ANSWERS) / sizeof(ANSWERS[0]); i++) {
        struct valkey_reply r;
        struct error err;
        assert_true(valkey_reply_init(&r, 1000));
        bool ok =
            valkey_reply_feed(&r, view_from(ANSWERS[i].bytes), &err) && valkey_reply_next(&r, &err);
        if (ok != (ANSWERS[i].type != 0) || (ok && r.type != ANSWERS[i].type))
            fail_msg("%s: %d", ANSWERS[i].bytes, ok ? r.type : 0);
        valkey_reply_deinit(&r);
    }
}

static void take(struct valkey_reply *r, const char *bytes, size_t len)
{
    struct error err;
    if (!valkey_reply_feed(r, (struct view){bytes, len}, &err) || !valkey_reply_next(r, &err))
        fail_msg("%s", err.message);
}

static void a_large_answer_leaves_nothing(void **state)
{
    (void)state;
    enum { LEN = 1 << 20, HEAD = sizeof("$1048576\r\n") - 1 };
    static char answer[HEAD + LEN + 2];
    struct valkey_reply r;
    memset(answer, 'x', sizeof(answer));
    memcpy(answer, "$1048576\r\n", HEAD);
    memcpy(answer + HEAD + LEN, "\r\n", 2);
    assert_true(valkey_reply_init(&r, sizeof(answer)));
    take(&r, "+OK\r\n", 5);
    redisReader *first = r.reader;
    valkey_reply_release(&r);
    assert_ptr_equal(r.reader, first); /* small ones cost nothing */
    take(&r, answer, sizeof(answer));
    assert_int_equal(r.text.len, LEN);
    assert_true(r.is_large);
    valkey_reply_release(&r);
    assert_false(r.is_large);
    assert_null(r.owned);
    assert_int_equal(r.reader->len, 0);
    take(&r, "+OK\r\n", 5);
    assert_int_equal(r.type, REDIS_REPLY_STATUS);
    /* What nobody asked for is not lost sight of. */
    take(&r, answer, sizeof(answer));
    take(&r, "+OK\r\n+NO\r\n", 10);
    valkey_reply_release(&r);
    take(&r, "", 0);
    assert_string_equal(r.message, "NO");
    valkey_reply_deinit(&r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(answers_are_of_few_kinds),
        cmocka_unit_test(a_large_answer_leaves_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
