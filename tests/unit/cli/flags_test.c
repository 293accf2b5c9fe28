/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "cli/flags.h"

#include <string.h>

static char last_warning[512];

static void remember(const char *sentence)
{
    snprintf(last_warning, sizeof last_warning, "%s", sentence);
}

struct values {
    bool on;
    const char *text;
    int64_t duration_ms, count;
    uint64_t bytes;
    struct flag_list list;
};

static bool parse(struct values *v, struct flag_words *words, struct error *err, const char *line)
{
    static char copy[512];
    char *argv[32];
    int argc = 0;
    snprintf(copy, sizeof copy, "%s", line);
    for (char *p = copy; *p;) {
        argv[argc++] = p;
        p += strcspn(p, " ");
        if (*p)
            *p++ = '\0';
    }
    *last_warning = '\0';
    const struct flag flags[] = {
        {"web.enable-thing", 0, FLAG_SWITCH, &v->on, NULL, "A switch."},
        {"storage.tsdb.path", 'p', FLAG_TEXT, &v->text, "FOLDER", "Text."},
        {"query.timeout", 0, FLAG_DURATION, &v->duration_ms, NULL, "A duration."},
        {"retention.size", 0, FLAG_BYTES, &v->bytes, NULL, "Bytes."},
        {"max", 0, FLAG_COUNT, &v->count, NULL, "A count."},
        {"listen", 0, FLAG_LIST, &v->list, NULL, "A list."},
        {"old", 0, FLAG_TEXT, NULL, NULL, "it is old"},
        {"older", 0, FLAG_SWITCH, NULL, NULL, "it is older"},
    };
    return flags_parse(flags, ARRAY_COUNT(flags), argc, argv, words, remember, err);
}

/* Each way of writing a flag, read back. */
static void flags_are_read_in_every_spelling(void **state)
{
    struct values v = {0};
    struct flag_words words;
    struct error err = {0};
    assert_true(parse(
        &v, &words, &err,
        "--web.enable-thing -storage.tsdb.path=/a --query.timeout 1h30m --retention.size=512MB "
        "one --max=-5 --listen=a --listen b two -- --three"));
    assert_true(v.on);
    assert_string_equal(v.text, "/a");
    assert_int_equal(v.duration_ms, 5400000);
    assert_int_equal(v.bytes, 512u << 20);
    assert_int_equal(v.count, -5);
    assert_int_equal(v.list.count, 2);
    assert_string_equal(v.list.items[1], "b");
    assert_int_equal(words.count, 3);
    assert_string_equal(words.items[0], "one");
    assert_string_equal(words.items[2], "--three");
    assert_true(parse(&v, &words, &err, "--no-web.enable-thing -p /b - -5"));
    assert_false(v.on);
    assert_string_equal(v.text, "/b");
    assert_int_equal(words.count, 2);
    assert_true(parse(&v, &words, &err, "--web.enable-thing=true"));
    assert_true(v.on);
}

/* What a person is told for each mistake. */
static void flags_mistakes_are_told_in_one_sentence(void **state)
{
    static const struct {
        const char *line, *message, *hint;
    } CASES[] = {
        {"--storage.tsdb.pth=x", "unknown flag \"--storage.tsdb.pth\"",
         "did you mean \"--storage.tsdb.path\"?"},
        {"--xyzzy", "unknown flag \"--xyzzy\"", ""},
        {"--no-max", "unknown flag \"--no-max\"", ""},
        {"--query.timeout", "flag \"--query.timeout\" needs a value", ""},
        {"--max=many", "flag \"--max\": \"many\" is no whole number", ""},
        {"--retention.size=5XB",
         "flag \"--retention.size\": \"5XB\" is no size, expected a number and a unit such as "
         "512MB",
         ""},
        {"--retention.size=99999999EB",
         "flag \"--retention.size\": \"99999999EB\" is no size, expected a number and a unit such "
         "as 512MB",
         ""},
        {"--web.enable-thing=maybe",
         "flag \"--web.enable-thing\" is a switch: true or false, not \"maybe\"", ""},
    };
    for (size_t i = 0; i < ARRAY_COUNT(CASES); i++) {
        struct values v = {0};
        struct flag_words words;
        struct error err = {0};
        assert_false(parse(&v, &words, &err, CASES[i].line));
        assert_int_equal(err.kind, ERROR_USAGE);
        assert_string_equal(err.message, CASES[i].message);
        assert_string_equal(err.hint, CASES[i].hint);
    }
}

static void flags_without_effect_take_their_value_and_warn(void **state)
{
    struct values v = {0};
    struct flag_words words;
    struct error err = {0};
    assert_true(parse(&v, &words, &err, "--old value word"));
    assert_int_equal(words.count, 1);
    assert_string_equal(last_warning, "flag \"--old\" has no effect: it is old");
    assert_true(parse(&v, &words, &err, "--older word"));
    assert_int_equal(words.count, 1);
    assert_string_equal(last_warning, "flag \"--older\" has no effect: it is older");
}

/* -vx, -ovalue and -vovalue, but a name with one dash stays a name. */
static void letters_behind_one_dash_are_short_flags(void **state)
{
    bool verbose = false, all = false, other = false;
    const char *output = "simple";
    const struct flag flags[] = {{"verbose", 'v', FLAG_SWITCH, &verbose, NULL, ""},
                                 {"all", 'a', FLAG_SWITCH, &all, NULL, ""},
                                 {"va", 0, FLAG_SWITCH, &other, NULL, ""},
                                 {"output", 'o', FLAG_TEXT, &output, NULL, ""}};
    struct flag_words words;
    struct error err = {0};
    char joined[] = "-avojson", value[] = "-oextended", name[] = "-va", bad[] = "-avx";
    char *one[] = {joined}, *two[] = {value}, *three[] = {name}, *four[] = {bad};
    assert_true(flags_parse(flags, ARRAY_COUNT(flags), 1, one, &words, remember, &err));
    assert_true(verbose && all && !other);
    assert_string_equal(output, "json");
    assert_true(flags_parse(flags, ARRAY_COUNT(flags), 1, two, &words, remember, &err));
    assert_string_equal(output, "extended");
    assert_true(flags_parse(flags, ARRAY_COUNT(flags), 1, three, &words, remember, &err));
    assert_true(other);
    assert_false(flags_parse(flags, ARRAY_COUNT(flags), 1, four, &words, remember, &err));
    assert_string_equal(err.message, "unknown flag \"--avx\"");
}

/* The verb is the first word that is no flag and no flag's value; others stay where they are. */
static void a_verb_is_taken_out_of_the_words(void **state)
{
    const char *output = "";
    bool all = false;
    const struct flag flags[] = {{"all", 'a', FLAG_SWITCH, &all, NULL, ""},
                                 {"output", 'o', FLAG_TEXT, &output, NULL, ""}};
    static const char *const VERBS[] = {"query", "add", NULL};
    const char *words[] = {"-a", "--output", "query", "-o=x", "add", "query"};
    int argc = 6;
    assert_int_equal(flags_take_verb(flags, 2, &argc, (char **)words, VERBS), 1);
    assert_int_equal(argc, 5);
    assert_string_equal(words[4], "query");
    const char *none[] = {"-o", "add", "other", "add"};
    argc = 4;
    assert_int_equal(flags_take_verb(flags, 2, &argc, (char **)none, VERBS), -1);
    const char *last[] = {"-a", "-o"}; /* its value is missing */
    argc = 2;
    assert_int_equal(flags_take_verb(flags, 2, &argc, (char **)last, VERBS), -1);
    assert_int_equal(argc, 2);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(flags_are_read_in_every_spelling),
        cmocka_unit_test(flags_mistakes_are_told_in_one_sentence),
        cmocka_unit_test(flags_without_effect_take_their_value_and_warn),
        cmocka_unit_test(letters_behind_one_dash_are_short_flags),
        cmocka_unit_test(a_verb_is_taken_out_of_the_words),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
