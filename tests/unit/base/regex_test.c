/* SPDX-License-Identifier: Apache-2.0 */
/* regex: what is decided without RE2 must agree with RE2, and expansions with Go's rules. */
#include "base/regex.h"

#include "base/clock.h"
#include "base/mem.h"
#include "base/random.h"
#include "base/regex_bridge.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

static const struct {
    const char *pattern, *text;
    bool match;
} MATCHES[] = {
    {"", "", true},
    {"", "a", false},
    {"foo", "foo", true},
    {"foo", "xfoo", false},
    {"foo|bar", "bar", true},
    {"foo|bar|", "", true},
    {"(foo|bar)", "bar", true},
    {"a(b|c)d|e", "acd", true},
    {"a(?:b|c)d|e", "e", true},
    {"a(b|c)d|e", "ad", false},
    {"a\\.b", "a.b", true},
    {"a\\.b", "axb", false},
    {"a.b", "a\nb", true},
    {".*", "", true},
    {".+", "", false},
    {".+", "\xc3\xa9", true},
    {".+.+", "\xc3\xa9", false},
    {"foo.*", "foo", true},
    {"foo.+", "foo", false},
    {".*foo", "xfoo", true},
    {".*foo.*", "xfoox", true},
    {"a.*b.*c", "a1b2c", true},
    {"a.*b.*c", "a1c2b", false},
    {"ab.*ba", "aba", false},
    {"ab.*ba", "abba", true},
    {"a.+a", "aa", false},
    {"a.+a", "aaa", true},
    {"(?i)foo", "FOO", true},
    {"[0-9]+", "123", true},
    {"(?:(?:a))", "a", true},
    {"foo*", "fooo", true},
    {"foo?bar", "fobar", true},
    {"^foo$", "foo", true},
    {"(?s:.)", "\n", true},
    {"(?<year>[0-9]{4})", "2024", true},
    {"[(?<]+", "(?<", true},
    {"\\Q(?<\\E", "(?<", true},
    {"[]a]+", "]a", true},
    {"(?P<a>x)|y", "y", true},
};

static void regex_match_is_anchored(void **state)
{
    for (size_t i = 0; i < sizeof(MATCHES) / sizeof(MATCHES[0]); i++) {
        struct regex *re;
        struct error err;
        if (!regex_new(&re, view_from(MATCHES[i].pattern), &err))
            fail_msg("%s: %s", MATCHES[i].pattern, err.message);
        if (regex_match(re, view_from(MATCHES[i].text)) != MATCHES[i].match)
            fail_msg("pattern \"%s\", text \"%s\"", MATCHES[i].pattern, MATCHES[i].text);
        assert_true(view_is(regex_pattern(re), MATCHES[i].pattern));
        regex_free(re);
    }
}

static const struct {
    const char *pattern, *error;
} REFUSED[] = {
    {"(a", "regular expression \"(a\": missing ): (a"},
    {"a)", "regular expression \"a)\": unexpected ): a)"},
    {"*a", "regular expression \"*a\": no argument for repetition operator: *"},
    {"a|*", "regular expression \"a|*\": no argument for repetition operator: *"},
    {".**", "regular expression \".**\": bad repetition operator: **"},
    {"[a", "regular expression \"[a\": missing ]: [a"},
    {"(?=a)", "regular expression \"(?=a)\": invalid perl operator: (?="},
    {"(?<=a)b", "regular expression \"(?<=a)b\": invalid perl operator: (?<"},
    {"a\\", "regular expression \"a\\\": trailing \\"},
    {"a{1001}", "regular expression \"a{1001}\": invalid repetition size: {1001}"},
    {"\xff", "regular expression is not valid UTF-8"},
    {"((((x{100}){100}){100}){100})",
     "regular expression \"((((x{100}){100}){100}){100})\": invalid repetition size: {100}"},
};

static void regex_refuses_with_words(void **state)
{
    int64_t before = mem_account_bytes(MEM_OTHER);
    for (size_t i = 0; i < sizeof(REFUSED) / sizeof(REFUSED[0]); i++) {
        struct regex *re;
        struct error err;
        assert_false(regex_new(&re, view_from(REFUSED[i].pattern), &err));
        assert_null(re);
        assert_string_equal(err.message, REFUSED[i].error);
        assert_int_equal(err.kind, ERROR_INPUT);
    }
    static char big[REGEX_PATTERN_BYTES_MAX + 1];
    memset(big, 'a', sizeof(big));
    struct regex *re;
    struct error err;
    assert_false(regex_new(&re, (struct view){big, sizeof(big)}, &err));
    assert_true(regex_new(&re, (struct view){big, sizeof(big) - 1}, &err));
    regex_free(re);
    assert_int_equal(mem_account_bytes(MEM_OTHER), before);
}

static const struct {
    const char *pattern, *text, *replacement, *out; /* NULL: no match */
} EXPANSIONS[] = {
    {"(.*)", "abc", "$1", "abc"},
    {"(.*)", "abc", "x-${1}-y$0", "x-abc-yabc"},
    {"(.*)", "abc", "$2$name", ""},
    {"(.*)", "abc", "$1x", ""},
    {"(.*)", "abc", "${1}x", "abcx"},
    {"(.*)", "abc", "$$1$", "$1$"},
    {"(.*)", "abc", "${1", "${1"},
    {"(.*)", "abc", "${}$ $-", "${}$ $-"},
    {"(.*)", "abc", "$01", ""},
    {"(a|b)c", "bc", "<$1>", "<b>"},
    {"([^:]+)(?::\\d+)?;(\\d+)", "host:90;80", "$1:$2", "host:80"},
    {"(?P<h>[a-z]+)-(?<n>\\d+)", "web-12", "${n}/$h", "12/web"},
    {"(a)|(b)", "b", "[$1][$2]", "[][b]"},
    {"foo", "bar", "$0", NULL},
    {"foo|bar", "bar", "$0$1", "bar"},
    {"(.*)", "abc", "$1\xc3\xa9", ""},
    {"(.*)", "abc", "$1\xe2\x86\x92", "abc\xe2\x86\x92"},
    {"x(?:a|b)", "xa", "$0$1", "xa"},
};

static void regex_expand_follows_go(void **state)
{
    for (size_t i = 0; i < sizeof(EXPANSIONS) / sizeof(EXPANSIONS[0]); i++) {
        struct regex *re;
        struct error err;
        struct buffer out;
        buffer_init(&out, MEM_OTHER, 1000);
        assert_true(regex_new(&re, view_from(EXPANSIONS[i].pattern), &err));
        bool ok = regex_expand(re, view_from(EXPANSIONS[i].text),
                               view_from(EXPANSIONS[i].replacement), &out);
        assert_int_equal(ok, EXPANSIONS[i].out != NULL);
        if (ok && !view_is(buffer_view(&out), EXPANSIONS[i].out))
            fail_msg("%s on %s: got \"%.*s\"", EXPANSIONS[i].replacement, EXPANSIONS[i].text,
                     VIEW_ARGS(buffer_view(&out)));
        regex_free(re);
        buffer_deinit(&out);
    }
}

static const struct {
    const char *pattern, *prefix, *literals; /* joined with ',' */
} SHAPES[] = {
    {"foo|bar|foo", "", "bar,foo"},
    {"x(a|b)", "x", "xa,xb"},
    {"foo", "foo", "foo"},
    {"(foo|far)", "f", "far,foo"},
    {"foo.*", "foo", ""},
    {".*foo", "", ""},
    {"foo[0-9]+", "foo", ""},
    {"(?i)foo", "", ""},
    {"fo*", "f", ""},
    {"", "", ""},
};

static void regex_tells_literals_and_prefix(void **state)
{
    for (size_t i = 0; i < sizeof(SHAPES) / sizeof(SHAPES[0]); i++) {
        struct regex *re;
        struct error err;
        assert_true(regex_new(&re, view_from(SHAPES[i].pattern), &err));
        char joined[100] = "";
        for (size_t l = 0; l < regex_literal_count(re); l++)
            snprintf(joined + strlen(joined), sizeof(joined) - strlen(joined), "%s%.*s",
                     l ? "," : "", VIEW_ARGS(regex_literal(re, l)));
        assert_string_equal(joined, SHAPES[i].literals);
        assert_true(view_has_prefix(view_from(SHAPES[i].prefix), regex_prefix(re)));
        if (regex_literal_count(re) || SHAPES[i].prefix[0])
            assert_int_equal(regex_prefix(re).len, strlen(SHAPES[i].prefix));
        regex_free(re);
    }
}

static size_t random_text(struct random *r, char *out, const char *const *atoms, size_t atom_count)
{
    size_t len = 0, n = random_below(r, 9);
    for (size_t i = 0; i < n; i++) {
        const char *atom = atoms[random_below(r, atom_count)];
        memcpy(out + len, atom, strlen(atom));
        len += strlen(atom);
    }
    return len;
}

/* Patterns and texts from a small alphabet, so that they often meet; RE2 itself is the oracle. */
static void regex_agrees_with_re2(void **state)
{
    static const char *const pattern_atoms[] = {"a",   "b",        "ab",   ".*",  ".+", "|",
                                                "(",   ")",        "(?:",  "\\.", ".",  "*",
                                                "\\|", "\xc3\xa9", "[ab]", ".*?"};
    static const char *const text_atoms[] = {"a", "b", "ab", ".", "|", "\xc3\xa9", "\n"};
    const char *scale = getenv("TEST_SCALE");
    long rounds = 20000 * (scale ? strtol(scale, NULL, 10) : 1);
    uint64_t seed = (uint64_t)clock_wall().ms;
    print_message("seed %llu\n", (unsigned long long)seed);
    struct random r;
    random_seed(&r, seed);
    long valid = 0, simple = 0;
    for (long i = 0; i < rounds; i++) {
        char pattern[64], text[64], message[256];
        struct view p = {pattern, random_text(&r, pattern, pattern_atoms, 16)};
        struct re2_program *oracle = re2_program_new(p, true, 1 << 20, message, sizeof(message));
        struct regex *re;
        struct error err;
        if (regex_new(&re, p, &err) != (oracle != NULL))
            fail_msg("pattern \"%.*s\": only one of the two refuses", VIEW_ARGS(p));
        if (!oracle)
            continue;
        valid++;
        simple += regex_literal_count(re) > 0;
        for (int t = 0; t < 10; t++) {
            struct view x = {text, random_text(&r, text, text_atoms, 7)};
            bool match = re2_program_match(oracle, x);
            if (regex_match(re, x) != match)
                fail_msg("pattern \"%.*s\", text \"%.*s\"", VIEW_ARGS(p), VIEW_ARGS(x));
            if (match)
                assert_true(view_has_prefix(x, regex_prefix(re)));
            struct buffer out;
            buffer_init(&out, MEM_OTHER, 1000);
            struct view groups[RE2_GROUP_COUNT_MAX] = {0};
            size_t count = re2_program_groups(oracle, x, groups, RE2_GROUP_COUNT_MAX);
            assert_int_equal(regex_expand(re, x, VIEW("$1"), &out), match);
            struct view first = count > 1 ? groups[1] : (struct view){NULL, 0};
            if (!view_eq(buffer_view(&out), first))
                fail_msg("pattern \"%.*s\", text \"%.*s\": $1 is \"%.*s\", expected \"%.*s\"",
                         VIEW_ARGS(p), VIEW_ARGS(x), VIEW_ARGS(buffer_view(&out)),
                         VIEW_ARGS(first));
            buffer_deinit(&out);
        }
        regex_free(re);
        re2_program_free(oracle);
    }
    assert_true(valid > rounds / 20 && simple > rounds / 200);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(regex_match_is_anchored),
        cmocka_unit_test(regex_refuses_with_words),
        cmocka_unit_test(regex_expand_follows_go),
        cmocka_unit_test(regex_tells_literals_and_prefix),
        cmocka_unit_test(regex_agrees_with_re2),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
