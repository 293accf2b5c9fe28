/* SPDX-License-Identifier: Apache-2.0 */
/* redaction_test.c: a text, its secrets, and what is left of it. */
#include "base/redaction.h"

#include "base/arena.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

static const struct {
    const char *name, *secrets[3];
    const char *in, *out;
} CASES[] = {
    {"none", {NULL}, "as it is", "as it is"},
    {"whole", {"hunter2000"}, "no hunter2000 here", "no <secret> here"},
    {"twice and beside each other", {"hunter2"}, "hunter2hunter2 hunter2", "<secret> <secret>"},
    {"a part of eight bytes", {"abcdefghijklmnop"}, "x efghijkl y", "x <secret> y"},
    {"a part of seven", {"abcdefghijklmnop"}, "x efghijk y", "x efghijk y"},
    {"cut at the end", {"abcdefg"}, "it was abcd", "it was <secret>"},
    {"cut with an ellipsis",
     {"abcdefg"},
     "it was abcde\xe2\x80\xa6",
     "it was <secret>\xe2\x80\xa6"},
    {"cut by error_set", {"abcdefg"}, "it was abcde...", "it was <secret>..."},
    {"the beginning elsewhere", {"abcdefg"}, "abcde is fine", "abcde is fine"},
    {"three bytes as a word",
     {"k3y"},
     "k3y, (k3y) k3yring donk3y",
     "<secret>, (<secret>) k3yring donk3y"},
    {"one byte as a word", {"a"}, "a bad a=a", "<secret> bad <secret>=<secret>"},
    {"four bytes within a word", {"pass"}, "bypassed", "by<secret>ed"},
    {"longest first", {"abcd", "abcdefgh"}, "abcdefgh abcd", "<secret> <secret>"},
    {"percent", {"a/b+c&d="}, "a%2fb%2Bc%26d%3D", "<secret>"},
    {"form", {"two words"}, "two+words", "<secret>"},
    {"JSON", {"a/b\"c\\d<"}, "a\\/b\\\"c\\\\d\\u003c", "<secret>"},
    {"HTML", {"a<b>&c\"'"}, "a&lt;b&gt;&amp;c&#34;&#x27;", "<secret>"},
    {"control bytes became blanks", {"ab\tcd\xc3\xa9gh"}, "ab cd  gh", "<secret>"},
    {"no half of a character",
     {"\xa9"
      "1234567"},
     "\xc3\xa9"
     "1234567 \xc3\xa9",
     "<secret> \xc3\xa9"},
    {"a URL's path", {"http://h/services/T0/B0"}, "no /services/T0/B0 at h", "no <secret> at h"},
    {"a URL's words",
     {"http://h/api/services/T12345/message"},
     "api services message T12345",
     "api services message <secret>"},
    {"a URL's query", {"http://h/?key=abcd"}, "key abcd of h", "key <secret> of h"},
    {"a URL's password",
     {"http://us%40r:p%2Fword@h/"},
     "p/word p%2Fword dXNAcjpwL3dvcmQ=",
     "<secret> <secret> <secret>="},
    {"a URL's token", {"http://tok3n@h/"}, "tok3n", "<secret>"},
    {"what it looks like hidden", {"<secret>"}, "<secret>", "<secret>"},
};

static void texts_are_left_without_secrets(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_COUNT(CASES); i++) {
        struct redaction r = {0};
        char text[200];
        for (size_t s = 0; s < ARRAY_COUNT(CASES[i].secrets); s++)
            redaction_add(&r, view_from(CASES[i].secrets[s]));
        (void)snprintf(text, sizeof text, "%s", CASES[i].in);
        redaction_apply(&r, text, sizeof text);
        if (strcmp(text, CASES[i].out) != 0)
            fail_msg("%s: \"%s\" instead of \"%s\"", CASES[i].name, text, CASES[i].out);
        redaction_clear(&r);
    }
}

static void what_grows_is_cut(void **state)
{
    struct redaction r = {0};
    char text[12] = "a b \xc3\xa9 a";
    (void)state;
    redaction_add(&r, VIEW("a"));
    redaction_apply(&r, text, sizeof text);
    assert_string_equal(text, "<secret> b ");
    (void)snprintf(text, sizeof text, "12345 a \xc3\xa9");
    redaction_apply(&r, text, sizeof text);
    assert_string_equal(text, "12345 <secr");
    redaction_clear(&r);
    redaction_add(NULL, VIEW("nobody wants to know"));
}

/* Each way in which a name and a password are sent. */
static void credentials_are_hidden_encoded(void **state)
{
    struct redaction r = {0};
    char text[] = "Basic dXNlcjpwYXNzd29yZA== AHVzZXIAcGFzc3dvcmQ= cGFzc3dvcmQ= password user";
    (void)state;
    redaction_add_credentials(&r, VIEW("user"), VIEW("password"));
    redaction_apply(&r, text, sizeof text);
    assert_string_equal(text, "Basic <secret>== <secret>= <secret>= <secret> user");
    redaction_clear(&r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(texts_are_left_without_secrets),
        cmocka_unit_test(what_grows_is_cut),
        cmocka_unit_test(credentials_are_hidden_encoded),
    };
    return cmocka_run_group_tests_name("base/redaction", tests, NULL, NULL);
}
