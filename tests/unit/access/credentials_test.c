/* SPDX-License-Identifier: Apache-2.0 */
/* credentials_test.c: what Authorization and Cookie say, and what they must not get away with. */
#include "access/credentials.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static const struct {
    const char *authorization, *cookie;
    enum credentials_kind kind;
    const char *user, *secret, *error;
} CASES[] = {
    {"", "", CREDENTIALS_NONE, "", "", NULL},
    {"Basic YWxpY2U6c2VjcmV0", "", CREDENTIALS_BASIC, "alice", "secret", NULL},
    {"bAsIc   YWxpY2U6c2VjcmV0  ", "", CREDENTIALS_BASIC, "alice", "secret", NULL},
    {"Basic YTpiOmM=", "", CREDENTIALS_BASIC, "a", "b:c", NULL},
    {"Basic Og==", "", CREDENTIALS_BASIC, "", "", NULL},
    {"Bearer blf_1", "", CREDENTIALS_BEARER, "", "blf_1", NULL},
    {"bearer blf_1 x", "", CREDENTIALS_BEARER, "", "blf_1 x", NULL},
    {"", "belfry_session=ab", CREDENTIALS_SESSION, "", "ab", NULL},
    {"", "a=b; belfry_session=ab;c=d", CREDENTIALS_SESSION, "", "ab", NULL},
    {"", "belfry_session=1; belfry_session=2", CREDENTIALS_SESSION, "", "1", NULL},
    {"Bearer t", "belfry_session=ab", CREDENTIALS_BEARER, "", "t", NULL},
    {"", "xbelfry_session=ab", CREDENTIALS_NONE, "", "", NULL},
    {"", "belfry_session=", CREDENTIALS_NONE, "", "", NULL},
    {"", "belfry_session", CREDENTIALS_NONE, "", "", NULL},
    {"Basic", "", 0, NULL, NULL, "base64 of user:password"},
    {"Basic YWxpY2U=", "", 0, NULL, NULL, "base64 of user:password"}, /* no colon */
    {"Basic YWxp!2U6", "", 0, NULL, NULL, "base64 of user:password"},
    {"Basic YTpi=", "", 0, NULL, NULL, "base64 of user:password"},
    {"Basic =TpiYTpi", "", 0, NULL, NULL, "base64 of user:password"},
    {"Basic YT=i", "", 0, NULL, NULL, "base64 of user:password"},
    {"Basic YQ==YTpi", "", 0, NULL, NULL, "base64 of user:password"},
    {"Bearer", "", 0, NULL, NULL, "neither Basic nor Bearer"},
    {"Negotiate abc", "", 0, NULL, NULL, "neither Basic nor Bearer"},
    {"Basicx YWxpY2U6c2VjcmV0", "", 0, NULL, NULL, "neither Basic nor Bearer"},
};

static void headers_are_read(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof CASES / sizeof *CASES; i++) {
        struct credentials c;
        struct error err = {0};
        bool ok = credentials_parse(&c, view_from(CASES[i].authorization),
                                    view_from(CASES[i].cookie), &err);
        struct view secret = secret_reveal(&c.secret);
        if (ok != (CASES[i].error == NULL) ||
            (ok && (c.kind != CASES[i].kind || !view_is(c.user, CASES[i].user) ||
                    !view_is(secret, CASES[i].secret))) ||
            (!ok && strstr(err.message, CASES[i].error) == NULL))
            fail_msg("\"%s\" \"%s\": %d kind %d, %s", CASES[i].authorization, CASES[i].cookie, ok,
                     c.kind, err.message);
    }
}

static void a_long_header_is_refused_before_it_is_decoded(void **state)
{
    (void)state;
    static char text[1 << 20] = "Basic ";
    struct credentials c;
    struct error err;
    memset(text + 6, 'A', sizeof text - 6);
    assert_false(credentials_parse(&c, (struct view){text, sizeof text}, VIEW(""), &err));
    assert_int_equal(err.kind, ERROR_TOO_LARGE);
    assert_true(credentials_parse(&c, VIEW(""), (struct view){text, sizeof text}, &err));
    assert_int_equal(c.kind, CREDENTIALS_NONE);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(headers_are_read),
        cmocka_unit_test(a_long_header_is_refused_before_it_is_decoded),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
