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
    {"an escape in the secret, JSON",
     {"abcd\\\\efgh"},
     "bad password abcd\\\\efgh!",
     "bad password <secret>!"},
    {"the same escaped", {"abcd\\\\efgh"}, "\"abcd\\\\\\\\efgh\"", "\"<secret>\""},
    {"short", {"x\\\\y1"}, "no x\\\\y1, x\\\\\\\\y1", "no <secret>, <secret>"},
    {"a domain's user", {"DOM\\\\user9"}, "DOM\\\\user9", "<secret>"},
    {"an escape in the secret, HTML",
     {"ab&amp;cd"},
     "ab&amp;cd ab&amp;amp;cd",
     "<secret> <secret>"},
    {"an escape in the secret, URL", {"p%25q7"}, "p%25q7 p%2525q7", "<secret> <secret>"},
    {"two kinds in it", {"a%25b\\\\c"}, "a%25b\\\\\\\\c a%2525b\\\\c", "<secret> <secret>"},
    {"no ASCII, JSON", {"P\xc3\xa4ssw\xc3\xb6rt1"}, "\"P\\u00e4ssw\\u00F6rt1\"", "\"<secret>\""},
    {"no ASCII, HTML", {"P\xc3\xa4ssw\xc3\xb6rt1"}, "P&#228;ssw&#xF6;rt1", "<secret>"},
    {"no ASCII, its bytes taken for characters",
     {"P\xc3\xa4ssw\xc3\xb6rt1"},
     "P\\u00c3\\u00a4ssw&#195;&#182;rt1",
     "<secret>"},
    {"three bytes and four",
     {"\xe2\x82\xac\xf0\x9f\x98\x80"
      "1"},
     "\\u20ac\\ud83d\\ude001",
     "<secret>"},
    {"half a pair", {"\xf0\x9f\x98\x80"}, "\\ud83d\\u0041 \\ude00", "\\ud83d\\u0041 \\ude00"},
    {"Latin-1", {"caf\xe9"}, "caf\\u00e9", "<secret>"},
    {"no digits",
     {"a&#12x;b"},
     "a&#12x;b &#; &#123456789012; &#x; &#x0x41; \\u0x41",
     "<secret> &#; &#123456789012; &#x; &#x0x41; \\u0x41"},
    {"cut in quotation marks", {"hunter2000"}, "bad \"hunte...\"", "bad \"<secret>...\""},
    {"cut before a status",
     {"hunter2000"},
     "bad hunte... (401), hunte",
     "bad <secret>... (401), <secret>"},
    {"cut without a mark", {"hunter2000"}, "bad hunte (401)", "bad <secret> (401)"},
    {"three bytes of it", {"hunter2000"}, "bad hun...", "bad hun..."},
    {"a word of a path",
     {"http://h/api/v1/notifications"},
     "unknown notification channel: notification",
     "unknown notification channel: notification"},
    {"the word itself and cut",
     {"http://h/api/v1/notifications"},
     "no notifications: notificat...",
     "no <secret>: <secret>..."},
    {"a piece with a digit", {"http://h/T0abcdefghijk"}, "no abcdefgh", "no <secret>"},
    {"a value", {"http://h/?key=abcdefghijkl"}, "no cdefghij", "no <secret>"},
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

/* What a template's text is made of is shown; what has no {{ is as any secret. */
static void a_template_is_hidden_whole(void **state)
{
    struct redaction r = {0};
    char text[200] = "template \"hook\" in {{ template \"hook\" . }}: bcdefghi";
    (void)state;
    redaction_add_setting(&r, VIEW("{{ template \"hook\" . }}"));
    redaction_add_setting(&r, VIEW("abcdefghij"));
    redaction_apply(&r, text, sizeof text);
    assert_string_equal(text, "template \"hook\" in <secret>: <secret>");
    redaction_clear(&r);
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
        cmocka_unit_test(a_template_is_hidden_whole),
        cmocka_unit_test(credentials_are_hidden_encoded),
    };
    return cmocka_run_group_tests_name("base/redaction", tests, NULL, NULL);
}
