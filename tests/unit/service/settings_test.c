/* SPDX-License-Identifier: Apache-2.0 */
#include "service/settings.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>

#include <cmocka.h>

struct values {
    bool flag;
    int64_t count, size, seconds, ms, minutes, hours;
    double number;
    const char *address, *text;
    struct secret secret;
    struct setting_list list;
    int choice;
};

static const char *const COLOURS[] = {"red", "green", NULL};
static const struct setting TABLE[] = {
    {"S_FLAG", SETTING_BOOL, offsetof(struct values, flag), "true", .help = "a flag"},
    {"S_COUNT", SETTING_COUNT, offsetof(struct values, count), "7", .min = 1, .max = 100},
    {"S_SIZE", SETTING_SIZE, offsetof(struct values, size), "50MiB"},
    {"S_SECONDS", SETTING_DURATION, offsetof(struct values, seconds), "10", .min = 0.5, .max = 60},
    {"S_X_MS", SETTING_DURATION, offsetof(struct values, ms), "250"},
    {"S_X_MINUTES", SETTING_DURATION, offsetof(struct values, minutes), "60"},
    {"S_X_HOURS", SETTING_DURATION, offsetof(struct values, hours), "24"},
    {"S_NUMBER", SETTING_NUMBER, offsetof(struct values, number)},
    {"S_BIND", SETTING_ADDRESS, offsetof(struct values, address), "0.0.0.0:3000"},
    {"S_TEXT", SETTING_TEXT, offsetof(struct values, text), .alias = "S_OLD_TEXT"},
    {"S_KEY", SETTING_SECRET, offsetof(struct values, secret)},
    {"S_LIST", SETTING_LIST, offsetof(struct values, list)},
    {"S_COLOUR", SETTING_CHOICE, offsetof(struct values, choice), "green", .choices = COLOURS},
};

/* What --check-config says of one variable in the environment, or "problem: VARIABLE VALUE: EXPECTED". */
static const struct {
    const char *variable, *has;
} CASES[] = {
    {"S_FLAG=", "\"S_FLAG\":true"},
    {"S_FLAG=0", "\"S_FLAG\":false"},
    {"S_FLAG=OFF", "\"S_FLAG\":false"},
    {"S_FLAG=Yes", "\"S_FLAG\":true"},
    {"S_FLAG=T", "\"S_FLAG\":true"},
    {"S_FLAG=2", "problem: S_FLAG 2: true (1 t yes on) or false (0 f no off)"},
    {"S_FLAG= true", "problem: S_FLAG  true"},
    {"S_COUNT=100", "\"S_COUNT\":100"},
    {"S_COUNT=101", "problem: S_COUNT 101: a whole number from 1 to 100"},
    {"S_COUNT=0", "problem: S_COUNT 0"},
    {"S_COUNT=-1", "problem: S_COUNT -1"},
    {"S_COUNT=1.5", "problem: S_COUNT 1.5"},
    {"S_COUNT=1e1", "problem: S_COUNT 1e1"},
    {"S_COUNT=0x10", "problem: S_COUNT 0x10"},
    {"S_COUNT=+5", "problem: S_COUNT +5"},
    {"S_COUNT=99999999999999999999999", "problem: S_COUNT"},
    {"S_COUNT=ten", "problem: S_COUNT ten"},
    {"S_SIZE=", "\"S_SIZE\":52428800"},
    {"S_SIZE=1", "\"S_SIZE\":1,"},
    {"S_SIZE=2KB", "\"S_SIZE\":2000,"},
    {"S_SIZE=2KiB", "\"S_SIZE\":2048,"},
    {"S_SIZE=1.5 GiB", "\"S_SIZE\":1610612736,"},
    {"S_SIZE=1.5", "problem: S_SIZE 1.5: bytes, or a number with KB MB GB KiB MiB GiB"},
    {"S_SIZE=1TB", "problem: S_SIZE 1TB"},
    {"S_SIZE=-1", "problem: S_SIZE -1"},
    {"S_SIZE=9007199254740993", "\"S_SIZE\":9007199254740992"},
    {"S_SIZE=9007199254740992KB", "problem: S_SIZE"},
    {"S_SECONDS=0.5", "\"S_SECONDS\":0.5"},
    {"S_SECONDS=60", "\"S_SECONDS\":60"},
    {"S_SECONDS=61", "problem: S_SECONDS 61: a number of seconds from 0.5 to 60"},
    {"S_SECONDS=10s", "problem: S_SECONDS 10s"},
    {"S_SECONDS=nan", "problem: S_SECONDS nan"},
    {"S_X_MS=1500", "\"S_X_MS\":1500"},
    {"S_X_MS=0.1", "problem: S_X_MS 0.1: a number of milliseconds"},
    {"S_X_MINUTES=1.5", "\"S_X_MINUTES\":1.5"},
    {"S_X_HOURS=2", "\"S_X_HOURS\":2"},
    {"S_NUMBER=", "\"S_NUMBER\":null"},
    {"S_NUMBER=-2.5", "\"S_NUMBER\":-2.5"},
    {"S_NUMBER=inf", "problem: S_NUMBER inf: a number"},
    {"S_BIND=9000", "\"S_BIND\":\"0.0.0.0:9000\""},
    {"S_BIND=:9000", "\"S_BIND\":\":9000\""},
    {"S_BIND=[::1]:9000", "\"S_BIND\":\"[::1]:9000\""},
    {"S_BIND=localhost:0", "\"S_BIND\":\"localhost:0\""},
    {"S_BIND=localhost", "problem: S_BIND localhost: host:port, [v6]:port, :port or port"},
    {"S_BIND=::1:9000", "problem: S_BIND"},
    {"S_BIND=host:65536", "problem: S_BIND"},
    {"S_BIND=65536", "problem: S_BIND 65536"},
    {"S_BIND=a b:1", "problem: S_BIND"},
    {"S_BIND=-1", "problem: S_BIND -1"},
    {"S_TEXT=a b", "\"S_TEXT\":\"a b\""},
    {"S_OLD_TEXT=old", "\"S_TEXT\":\"old\""},
    {"S_KEY=hunter2", "\"S_KEY\":\"***\""},
    {"S_KEY=", "\"S_KEY\":null"},
    {"S_LIST=a, b ,,c,", "\"S_LIST\":[\"a\",\"b\",\"c\"]"},
    {"S_LIST=", "\"S_LIST\":[]"},
    {"S_COLOUR=RED", "\"S_COLOUR\":\"red\""},
    {"S_COLOUR=blue", "problem: S_COLOUR blue: red | green"},
};

static char *check(const char *const *environment, struct values *values, struct settings *settings,
                   struct setting_group *group, char out[8192])
{
    struct setting_problem problem;
    *group = (struct setting_group){TABLE, ARRAY_COUNT(TABLE), values};
    settings_init(settings, group, 1, environment);
    if (!settings_load(settings, &problem)) {
        snprintf(out, 8192, "problem: %s %s: %s", problem.variable, problem.value,
                 problem.expected);
        return out;
    }
    struct buffer json;
    buffer_init(&json, MEM_OTHER, 8191);
    settings_write_json(settings, &json);
    memcpy(out, json.ptr, json.len);
    out[json.len] = '\0';
    buffer_deinit(&json);
    return out;
}

static void each_value_is_taken_or_named_with_what_was_expected(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_COUNT(CASES); i++) {
        const char *environment[] = {"PATH=/bin", (char *)(uintptr_t)CASES[i].variable, NULL};
        struct values values;
        struct settings settings;
        struct setting_group group;
        char text[8192];
        if (strstr(check(environment, &values, &settings, &group, text), CASES[i].has) == NULL)
            fail_msg("%s: expected %s in %s", CASES[i].variable, CASES[i].has, text);
        assert_null(strstr(text, "hunter2"));
        settings_deinit(&settings);
    }
}

/* The struct's fields, in its units. */
static void fields_have_ms_and_bytes(void **state)
{
    (void)state;
    struct values v;
    struct settings settings;
    struct setting_group group;
    char text[8192];
    const char *environment[] = {"S_X_HOURS=1", "S_X_MINUTES=2", "S_SECONDS=1.25", "S_KEY=k", NULL};
    (void)check(environment, &v, &settings, &group, text);
    assert_int_equal(v.hours, 3600000);
    assert_int_equal(v.minutes, 120000);
    assert_int_equal(v.seconds, 1250);
    assert_int_equal(v.ms, 250);
    assert_int_equal(v.size, 50 << 20);
    assert_true(v.flag);
    assert_null(v.text);
    assert_true(view_is(secret_reveal(&v.secret), "k"));
    assert_true(settings_is_set(&settings, "S_KEY"));
    assert_false(settings_is_set(&settings, "S_SIZE"));
    assert_string_equal(settings_join_address(&settings, "::1", 80), "[::1]:80");
    assert_string_equal(settings_join_address(&settings, "0.0.0.0", 80), "0.0.0.0:80");
    settings_deinit(&settings);
}

/* ---- files ---- */

static const struct {
    const char *name, *text, *has;
} FILES[] = {
    {"comments and blanks", "# one\n  \t\n  # two\nS_TEXT=x\n", "S_TEXT=x;"},
    {"no last newline", "S_TEXT=x", "S_TEXT=x;"},
    {"blanks around", "  S_TEXT = a b \t\r\n", "S_TEXT=a b;"},
    {"export", "export S_TEXT=x\n", "S_TEXT=x;"},
    {"a variable called export", "export=1\n", "export=1;"},
    {"a hash in a value", "S_TEXT=a #b\n", "S_TEXT=a #b;"},
    {"single quotes", "S_TEXT='a \\n \"b\" #'\n", "S_TEXT=a \\n \"b\" #;"},
    {"double quotes", "S_TEXT=\"a\\tb\\\"c\\\\d\\$e\\x\"  \n", "S_TEXT=a\tb\"c\\d$e\\x;"},
    {"over lines", "S_TEXT='a\nb'\nS_COUNT=1\n", "S_TEXT=a\nb;S_COUNT=1;"},
    {"the last one counts", "S_TEXT=a\nS_TEXT=b\n", "S_TEXT=a;S_TEXT=b;"},
    {"empty", "S_TEXT=\n", "S_TEXT=;"},
    {"byte order mark", "\xef\xbb\xbfS_TEXT=x\n", "S_TEXT=x;"},
    {"no equals", "S_TEXT\n", "1:7: expected \"=\" behind the name"},
    {"no name", "a=1\n=x\n", "2:1: expected NAME=value or a comment"},
    {"a bad name", "\n\n1A=x\n", "3:1: expected NAME=value or a comment"},
    {"a dash in a name", "A-B=x\n", "1:2: expected \"=\" behind the name"},
    {"open quote", "A='x\ny\n", "1:3: the quoted value does not end"},
    {"open quote behind a backslash", "A=\"x\\\"\n", "1:3: the quoted value does not end"},
    {"more behind a quote", "A='x' y\n", "1:7: nothing may follow a quoted value"},
};

static void files_of_variables_are_read_or_refused_with_a_place(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_COUNT(FILES); i++) {
        struct arena arena;
        struct env_file file = {0};
        struct error err = {0};
        char got[2048] = "";
        arena_init(&arena, MEM_OTHER, 0);
        if (env_file_parse(&arena, view_from(FILES[i].text), &file, &err))
            for (size_t n = 0; n < file.count; n++)
                snprintf(got + strlen(got), sizeof got - strlen(got), "%s=%s;", file.items[n].name,
                         file.items[n].value);
        else
            snprintf(got, sizeof got, "%u:%u: %s", err.line, err.column, err.message);
        if (strcmp(got, FILES[i].has) != 0)
            fail_msg("%s: expected %s, got %s", FILES[i].name, FILES[i].has, got);
        arena_deinit(&arena);
    }
    struct arena arena;
    struct env_file file = {0};
    struct error err = {0};
    arena_init(&arena, MEM_OTHER, 0);
    assert_false(env_file_parse(&arena, (struct view){"A=\0", 3}, &file, &err));
    assert_string_equal(err.message, "a NUL byte at offset 2");
    assert_false(env_file_read(&arena, "/nonexistent/env", &file, &err));
    assert_false(env_file_read(&arena, "/dev/zero", &file, &err));
    arena_deinit(&arena);
}

static void note(void *arg, const char *name, const char *nearest)
{
    char *out = arg;
    snprintf(out + strlen(out), 256 - strlen(out), "%s?%s;", name, nearest ? nearest : "");
}

/* Flags before the environment, that before the file; what nobody knows is told once. */
static void the_environment_goes_before_the_file_and_unknown_names_are_told(void **state)
{
    (void)state;
    struct values v;
    struct setting_group group = {TABLE, ARRAY_COUNT(TABLE), &v};
    struct settings s;
    struct setting_problem problem;
    struct error err;
    char unknown[256] = "";
    const char *environment[] = {"S_COUNT=2", "S_TEXT=", "S_COUMT=3", "OTHER=1", "S_SIZE=9", NULL};
    settings_init(&s, &group, 1, environment);
    assert_true(env_file_parse(&s.arena,
                               VIEW("S_COUNT=5\nS_TEXT=file\nS_X_MS=1\nS_COUMT=4\nS_LST=a\nZ=1\n"),
                               &s.file, &err));
    settings_override(&s, "S_SIZE", "10");
    assert_true(settings_load(&s, &problem));
    assert_int_equal(v.count, 2);
    assert_int_equal(v.ms, 1);
    assert_int_equal(v.size, 10);
    assert_null(v.text); /* empty in the environment: the default, as if nobody had said a word */
    settings_visit_unknown(&s, "S_", note, unknown);
    assert_string_equal(unknown, "S_COUMT?S_COUNT;S_LST?S_LIST;Z?;");
    settings_deinit(&s);
}

static void help_has_a_row_for_each_variable(void **state)
{
    (void)state;
    struct values v;
    struct setting_group group = {TABLE, ARRAY_COUNT(TABLE), &v};
    struct settings s;
    struct buffer out;
    settings_init(&s, &group, 1, NULL);
    buffer_init(&out, MEM_OTHER, 1 << 16);
    settings_write_help(&s, &out);
    buffer_append_byte(&out, '\0');
    for (size_t i = 0; i < ARRAY_COUNT(TABLE); i++)
        assert_non_null(strstr(out.ptr, TABLE[i].name));
    assert_non_null(strstr(out.ptr, "a number of seconds from 0.5 to 60"));
    assert_non_null(strstr(out.ptr, "(also S_OLD_TEXT)"));
    buffer_deinit(&out);
    settings_deinit(&s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_value_is_taken_or_named_with_what_was_expected),
        cmocka_unit_test(fields_have_ms_and_bytes),
        cmocka_unit_test(files_of_variables_are_read_or_refused_with_a_place),
        cmocka_unit_test(the_environment_goes_before_the_file_and_unknown_names_are_told),
        cmocka_unit_test(help_has_a_row_for_each_variable),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
