/* SPDX-License-Identifier: Apache-2.0 */
/* exposition_test.c: what the text parser takes, what it refuses and in which words, and that the
 * cached path never says anything else than the plain one. */
#include "model/exposition.h"

#include "base/checksum.h"
#include "base/mem.h"
#include "base/random.h"
#include "model/sample.h"

#include <dirent.h>
#include <inttypes.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

/* One event as a line: "sample KEY = LABELS VALUE [@TIME]", "type FAMILY TYPE" ... */
static void event_print(struct buffer *out, const struct exposition_parser *p,
                        enum exposition_event event, const struct error *err)
{
    struct arena arena;
    struct labels ls;
    struct error key_error;
    arena_init(&arena, MEM_OTHER, 0);
    switch (event) {
    case EXPOSITION_SAMPLE:
        buffer_append_literal(out, "sample ");
        if (exposition_parse_key(p->key, &arena, &ls, &key_error))
            labels_format(out, ls);
        else
            buffer_append_view(out, view_from(key_error.message));
        buffer_printf(out, " %.17g", p->value);
        if (p->has_timestamp)
            buffer_printf(out, " @%" PRId64, p->timestamp_ms);
        break;
    case EXPOSITION_TYPE:
        buffer_printf(out, "type %.*s %s", VIEW_ARGS(p->family), metric_type_name(p->type));
        break;
    case EXPOSITION_HELP:
        buffer_printf(out, "help %.*s [", VIEW_ARGS(p->family));
        buffer_append_view(out, exposition_unescape_help(p->text, p->format, &arena));
        buffer_append_literal(out, "]");
        break;
    case EXPOSITION_UNIT:
        buffer_printf(out, "unit %.*s %.*s", VIEW_ARGS(p->family), VIEW_ARGS(p->text));
        break;
    case EXPOSITION_COMMENT:
        buffer_printf(out, "comment %.*s", VIEW_ARGS(p->text));
        break;
    case EXPOSITION_ERROR:
        buffer_printf(out, "%u:%u: %s", err->line, err->column, err->message);
        break;
    case EXPOSITION_END:
        buffer_append_literal(out, "end");
        break;
    }
    buffer_append_literal(out, "\n");
    arena_deinit(&arena);
}

/* The body lies at the end of a heap block, so that ASan sees a byte read too many. */
static void body_print(struct buffer *out, struct view body)
{
    char *exact = malloc(body.len + !body.len);
    struct exposition_parser p;
    struct error err;
    enum exposition_event event;
    memcpy(exact, body.ptr, body.len);
    exposition_parser_init(&p, (struct view){exact, body.len}, EXPOSITION_TEXT);
    do {
        event = exposition_next(&p, &err);
        event_print(out, &p, event, &err);
    } while (event != EXPOSITION_END && event != EXPOSITION_ERROR);
    free(exact);
}

static const struct {
    struct view in;
    const char *out;
} CASES[] = {
#define CASE(in, out)                                                                              \
    {                                                                                              \
        VIEW_INIT(in), out                                                                         \
    }
    CASE("", "end\n"),
    CASE("\n \n\t\r\n", "end\n"),
    CASE("a 1", "sample a 1\nend\n"),
    CASE("a 1\nb 2\n", "sample a 1\nsample b 2\nend\n"),
    CASE("a\t1  123\n", "sample a 1 @123\nend\n"),
    CASE(" a 1 \n", "sample a 1\nend\n"),
    CASE("a:b_9 1 -5 \n", "sample a:b_9 1 @-5\nend\n"),
    CASE("a 1 9223372036854775807\n", "sample a 1 @9223372036854775807\nend\n"),
    CASE("a 1 -9223372036854775808\n", "sample a 1 @-9223372036854775808\nend\n"),
    CASE("a{b=\"c\"}1\n", "sample a{b=\"c\"} 1\nend\n"),
    CASE("a{} 1\n", "sample a 1\nend\n"),
    CASE("a { b = \"2.0\" c = \"d\" , } 1\n", "sample a{b=\"2.0\",c=\"d\"} 1\nend\n"),
    CASE("a{z=\"1\",b=\"\"} 1\n", "sample a{z=\"1\"} 1\nend\n"),
    CASE("a{b=\"\\\"c\\\\\\n\\x\"} 1\n", "sample a{b=\"\\\"c\\\\\\n\\\\x\"} 1\nend\n"),
    CASE("a{b=\"x\ny\"} 1\nc d\n",
         "sample a{b=\"x\\ny\"} 1\n"
         "3:3: a value that is no number or beyond the range of floats in line \"c d\"\n"),
    CASE("a{b=\"abc\0\"} 1\n", "sample a{b=\"abc\\x00\"} 1\nend\n"),
    CASE("a{b=\"Grüße\"} 1\n", "sample a{b=\"Grüße\"} 1\nend\n"),
    CASE("{\"a.b\",c=\"d\"} 1\n", "sample {\"a.b\",c=\"d\"} 1\nend\n"),
    CASE("{ c = \"d\", \"a b\" } 1\n", "sample {\"a b\",c=\"d\"} 1\nend\n"),
    CASE("{\"a\"} 1\n", "sample a 1\nend\n"),
    CASE("{\"a\",} 1\n", "sample a 1\nend\n"),
    CASE("a{\"odd \\\"name\\\"\"=\"6\"} 1\n", "sample a{\"odd \\\"name\\\"\"=\"6\"} 1\nend\n"),
    /* values */
    CASE("a +Inf\nb -Inf\nc +1.5e-3\nd .5\ne 5.\nf -0\n",
         "sample a inf\nsample b -inf\nsample c 0.0015\nsample d 0.5\nsample e 5\nsample f "
         "-0\nend\n"),
    CASE("a 1e-400\nb 18446744073709551616\nc 0.1e1\nd 1E3\n",
         "sample a 0\nsample b 1.8446744073709552e+19\nsample c 1\nsample d 1000\nend\n"),
    CASE("a 9007199254740993\nb 123456789012345678\n",
         "sample a 9007199254740992\nsample b 1.2345678901234568e+17\nend\n"),
    /* CR LF */
    CASE("# TYPE a counter\r\n# HELP a b\r\na 1\r\na{b=\"c\"} 2 3\r\n",
         "type a counter\nhelp a [b]\nsample a 1\nsample a{b=\"c\"} 2 @3\nend\n"),
    CASE("a 1\r", "sample a 1\nend\n"),
    /* comments */
    CASE("# TYPE a histogram\n#  TYPE  b untyped\n# \tTYPE \"c.d\" gauge\n# TYPE e:f summary",
         "type a histogram\ntype b unknown\ntype c.d gauge\ntype e:f summary\nend\n"),
    CASE("# HELP a\n# HELP b \n# HELP c x\\\\y\\nz\\\"\n# HELP d  two\n",
         "help a []\nhelp b []\nhelp c [x\\y\nz\\\"]\nhelp d [ two]\nend\n"),
    CASE("#\n# Hrandom\n#TYPE a counter\n# TYPE\n# TYPES a counter\n# EOF\n",
         "comment #\ncomment # Hrandom\ncomment #TYPE a counter\ncomment # TYPE\n"
         "comment # TYPES a counter\ncomment # EOF\nend\n"),
    CASE("# UNIT a_seconds seconds\n# UNIT -\n", "unit a_seconds seconds\ncomment # UNIT -\nend\n"),
    CASE("# TYPE a counter\na 1\n# TYPE a gauge\n",
         "type a counter\nsample a 1\ntype a gauge\nend\n"),
    /* what is wrong, where, and the line */
    CASE("x 1\na",
         "sample x 1\n2:2: expected a value after the metric, found the end in line \"a\"\n"),
    CASE("a\n", "1:2: expected a value after the metric, found end of line in line \"a\"\n"),
    CASE("a{b='c'} 1\n",
         "1:5: expected a quoted label value, found \"'\" in line \"a{b='c'} 1\"\n"),
    CASE("a{b=\n", "1:5: expected a quoted label value, found end of line in line \"a{b=\"\n"),
    CASE("a{\xff=\"foo\"} 1\n",
         "1:3: expected a label name, found \"\\xff\" in line \"a{\\xff=\"foo\"} 1\"\n"),
    CASE("a{b=\"\xff\"} 1\n", "1:6: invalid UTF-8 between quotes in line \"a{b=\"\\xff\"} 1\"\n"),
    CASE("a{b=\"\xc0\x80\"} 1\n",
         "1:6: invalid UTF-8 between quotes in line \"a{b=\"\\xc0\\x80\"} 1\"\n"),
    CASE("a{b=\"\xed\xa0\x80\"} 1\n",
         "1:6: invalid UTF-8 between quotes in line \"a{b=\"\\xed\\xa0\\x80\"} 1\"\n"),
    CASE("{\"a\xff\"} 1\n", "1:3: invalid UTF-8 between quotes in line \"{\"a\\xff\"} 1\"\n"),
    CASE("# HELP a \xff\n", "1:9: invalid UTF-8 in HELP in line \"# HELP a \\xff\"\n"),
    CASE("\xef\xbb\xbf"
         "a 1\n",
         "1:1: expected a metric name, found \"\\xef\" in line \"\\xef\\xbb\\xbfa 1\"\n"),
    CASE("\0a 1\n", "1:1: expected a metric name, found \"\\x00\" in line \"\\x00a 1\"\n"),
    CASE("a\0 1\n",
         "1:2: a value that is no number or beyond the range of floats in line \"a\\x00 1\"\n"),
    CASE("a{b\0=\"c\"} 1\n",
         "1:4: expected \"=\" after a label name, found \"\\x00\" in line \"a{b\\x00=\"c\"} 1\"\n"),
    CASE("{\"a\", \"b = \"c\"} 1\n", "1:13: expected \"=\" after a label name, found \"c\" in line "
                                     "\"{\"a\", \"b = \"c\"} 1\"\n"),
    CASE("{\"a\",\"b\"} 1\n", "1:9: a second metric name in line \"{\"a\",\"b\"} 1\"\n"),
    CASE("a{\"b\"} 1\n", "1:6: a second metric name in line \"a{\"b\"} 1\"\n"),
    CASE("a{\"\"=\"b\"} 1\n", "1:5: an empty label name in line \"a{\"\"=\"b\"} 1\"\n"),
    CASE("{a=\"ok\"} 1\n", "1:9: no metric name in line \"{a=\"ok\"} 1\"\n"),
    CASE("{} 1\n", "1:3: no metric name in line \"{} 1\"\n"),
    CASE("a{=\"\"} 0\n", "1:3: expected a label name, found \"=\" in line \"a{=\"\"} 0\"\n"),
    CASE("a{,} 0\n", "1:3: expected a label name, found \",\" in line \"a{,} 0\"\n"),
    CASE("a{b=\"c\",,} 0\n",
         "1:9: expected a label name, found \",\" in line \"a{b=\"c\",,} 0\"\n"),
    CASE("a{b=\"c\"\n", "1:8: expected a label name, found end of line in line \"a{b=\"c\"\"\n"),
    CASE("a{b=\"", "1:6: expected a closing quote, found the end in line \"a{b=\"\"\n"),
    CASE("a{b=\"c\\\nd\"} 1",
         "1:8: expected an escape after \"\\\", found end of line in line \"a{b=\"c\\\"\n"),
    CASE("a{b=\"c\"}{d=\"e\"} 1\n",
         "1:9: expected a value after the metric, found \"{\" in line \"a{b=\"c\"}{d=\"e\"} 1\"\n"),
    CASE("a-b 1\n",
         "1:2: a value that is no number or beyond the range of floats in line \"a-b 1\"\n"),
    CASE("1a 1\n", "1:1: expected a metric name, found \"1\" in line \"1a 1\"\n"),
    CASE("a true\n",
         "1:3: a value that is no number or beyond the range of floats in line \"a true\"\n"),
    CASE("a 1_2\n",
         "1:3: a value that is no number or beyond the range of floats in line \"a 1_2\"\n"),
    CASE("a 0x1p-3\n",
         "1:3: a value that is no number or beyond the range of floats in line \"a 0x1p-3\"\n"),
    CASE("a 1e999\n",
         "1:3: a value that is no number or beyond the range of floats in line \"a 1e999\"\n"),
    CASE("a 1,5\n",
         "1:3: a value that is no number or beyond the range of floats in line \"a 1,5\"\n"),
    CASE("a nan(1)\n",
         "1:3: a value that is no number or beyond the range of floats in line \"a nan(1)\"\n"),
    CASE("a 1e\n",
         "1:3: a value that is no number or beyond the range of floats in line \"a 1e\"\n"),
    CASE("a -\n", "1:3: a value that is no number or beyond the range of floats in line \"a -\"\n"),
    CASE("a 1{\n",
         "1:4: expected a timestamp or the end of the line, found \"{\" in line \"a 1{\"\n"),
    CASE("a 1 x\n",
         "1:5: expected a timestamp or the end of the line, found \"x\" in line \"a 1 x\"\n"),
    CASE("a 1 -x\n",
         "1:5: expected a timestamp or the end of the line, found \"-\" in line \"a 1 -x\"\n"),
    CASE(
        "a 0 1_2\n",
        "1:6: expected the end of the line after the timestamp, found \"_\" in line \"a 0 1_2\"\n"),
    CASE("a 0 1\0\n", "1:6: expected the end of the line after the timestamp, found \"\\x00\" in "
                      "line \"a 0 1\\x00\"\n"),
    CASE("a 1 9223372036854775808\n",
         "1:23: a timestamp beyond 64 bits in line \"a 1 9223372036854775808\"\n"),
    CASE("a 1 NaN\n",
         "1:5: expected a timestamp or the end of the line, found \"N\" in line \"a 1 NaN\"\n"),
    CASE("a 1\rb 2\n",
         "1:3: a value that is no number or beyond the range of floats in line \"a 1\\x0db 2\"\n"),
    CASE(
        "# TYPE #\n",
        "1:8: expected a metric name after TYPE, HELP or UNIT, found \"#\" in line \"# TYPE #\"\n"),
    CASE("# HELP \n", "1:8: expected a metric name after TYPE, HELP or UNIT, found end of line in "
                      "line \"# HELP \"\n"),
    CASE("# TYPE a\n",
         "1:9: expected counter, gauge, histogram, summary or untyped, found end of line "
         "in line \"# TYPE a\"\n"),
    CASE("# TYPE a info\n",
         "1:10: expected counter, gauge, histogram, summary or untyped, found \"i\" "
         "in line \"# TYPE a info\"\n"),
    CASE("# TYPE a counter \n",
         "1:10: expected counter, gauge, histogram, summary or untyped, found "
         "\"c\" in line \"# TYPE a counter \"\n"),
#undef CASE
};

static void lines_are_read_as_prometheus_reads_them(void **state)
{
    (void)state;
    struct buffer out;
    buffer_init(&out, MEM_OTHER, 1 << 20);
    for (size_t i = 0; i < ARRAY_COUNT(CASES); i++) {
        buffer_reset(&out);
        body_print(&out, CASES[i].in);
        buffer_append_byte(&out, 0);
        if (strcmp(out.ptr, CASES[i].out) != 0)
            fail_msg("case %zu, %.*s\ngot:  %s\nwant: %s", i, VIEW_ARGS(CASES[i].in), out.ptr,
                     CASES[i].out);
    }
    buffer_deinit(&out);
}

static const struct {
    const char *key, *error;
} KEYS[] = {
    {"a{a=\"1\",a=\"2\"}", "label name \"a\" is there twice in line \"a{a=\"1\",a=\"2\"}\""},
    {"a{a=\"\",a=\"2\"}", "label name \"a\" is there twice in line \"a{a=\"\",a=\"2\"}\""},
    {"a{__name__=\"b\"}", "label name \"__name__\" is there twice in line \"a{__name__=\"b\"}\""},
    {"{\"\"}", "an empty metric name in line \"{\"\"}\""},
    {"a{b=\"c\"} 1", "expected the end of the labels, found \"\\x20\" in line \"a{b=\"c\"} 1\""},
};

static void keys_are_refused_with_the_reason(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_COUNT(KEYS); i++) {
        struct arena arena;
        struct labels ls;
        struct error err;
        arena_init(&arena, MEM_OTHER, 0);
        assert_false(exposition_parse_key(view_from(KEYS[i].key), &arena, &ls, &err));
        assert_string_equal(err.message, KEYS[i].error);
        arena_deinit(&arena);
    }
}

/* A line may have them (its series is left out), the labels of a series not. */
static void too_many_labels_are_a_limit_of_the_key(void **state)
{
    (void)state;
    struct buffer key;
    struct arena arena;
    struct labels ls;
    struct error err;
    arena_init(&arena, MEM_OTHER, 0);
    buffer_init(&key, MEM_OTHER, 1 << 20);
    buffer_append_literal(&key, "a{");
    for (int i = 0; i < EXPOSITION_LABELS_MAX; i++)
        buffer_printf(&key, "l%d=\"v\",", i);
    struct view most = buffer_view(&key);
    buffer_append_literal(&key, "}");
    assert_true(exposition_parse_key(buffer_view(&key), &arena, &ls, &err));
    assert_int_equal(ls.count, EXPOSITION_LABELS_MAX + 1);
    key.len = most.len;
    buffer_append_literal(&key, "more=\"v\"}");
    assert_false(exposition_parse_key(buffer_view(&key), &arena, &ls, &err));
    assert_int_equal(err.kind, ERROR_LIMIT);
    assert_non_null(strstr(err.message, "more than 1024 labels in line \"..."));
    buffer_deinit(&key);
    arena_deinit(&arena);
}

/* A body of `unit` repeated `count` times between `head` and `tail`; the first event. */
static enum exposition_event first_event(const char *head, const char *unit, size_t count,
                                         const char *tail, struct error *err)
{
    struct buffer body;
    struct exposition_parser p;
    buffer_init(&body, MEM_OTHER, 1 << 28);
    buffer_append_view(&body, view_from(head));
    for (size_t i = 0; i < count; i++)
        buffer_append_view(&body, view_from(unit));
    buffer_append_view(&body, view_from(tail));
    exposition_parser_init(&p, buffer_view(&body), EXPOSITION_TEXT);
    enum exposition_event event = exposition_next(&p, err);
    buffer_deinit(&body);
    return event;
}

/* Reliability, list of hostile inputs: 8, 9, 10, 17, 18 and 20. */
static void what_is_too_long_is_refused_at_its_limit(void **state)
{
    (void)state;
    struct error err;
    size_t limit = EXPOSITION_LINE_BYTES_MAX;
    assert_int_equal(first_event("", "a", 100 << 20, "", &err), EXPOSITION_ERROR);
    assert_non_null(strstr(err.message, "more than 1 MiB without a line feed in line \"...aaa"));
    assert_int_equal(first_event("a{b=\"", "c", 10 << 20, "\"} 1\n", &err), EXPOSITION_ERROR);
    assert_non_null(strstr(err.message, "more than 1 MiB without a line feed"));
    assert_int_equal(first_event("# HELP a ", "b", 10 << 20, "\n", &err), EXPOSITION_ERROR);
    assert_non_null(strstr(err.message, "more than 1 MiB without a line feed"));
    assert_int_equal(first_event("", " ", 2 << 20, "\n", &err), EXPOSITION_ERROR);
    assert_int_equal(first_event("a", " ", 2 << 20, "1\n", &err), EXPOSITION_ERROR);
    assert_int_equal(first_event("a{b=\"", "c", limit - 10, "\"} 1\n", &err), EXPOSITION_SAMPLE);
    assert_int_equal(first_event("a{", "b=\"c\",", 1024, "} 1\n", &err), EXPOSITION_SAMPLE);
    assert_int_equal(first_event("a{", "b=\"c\",", 100000, "} 1\n", &err), EXPOSITION_SAMPLE);
    assert_int_equal(first_event("a{", "{", 100000, "} 1\n", &err), EXPOSITION_ERROR);
    assert_int_equal(first_event("a ", "1", 300, "\n", &err), EXPOSITION_SAMPLE);
    assert_int_equal(first_event("a ", "1", 400, "\n", &err), EXPOSITION_ERROR); /* 1e399 */
    assert_int_equal(first_event("a 0.", "0", 400, "1\n", &err), EXPOSITION_SAMPLE);
    assert_int_equal(first_event("a 1 ", "1", 400, "\n", &err), EXPOSITION_ERROR);
    assert_true(strlen(err.message) < 300);
}

static const char *const VALUES[] = {
    "0",
    "-0",
    "1",
    "42",
    "-17",
    "1.5",
    "0.1",
    "123456.789",
    "1e3",
    "1e+22",
    "1e-22",
    "1.7976931348623157e308",
    "4.9e-324",
    "1e-400",
    "9007199254740992",
    "9007199254740993",
    "18446744073709551615",
    "99999999999999999999",
    "0.30000000000000004",
    "2.2250738585072011e-308",
    "NaN",
    "nan",
    "+Inf",
    "-inf",
    "Infinity",
    "+5",
    ".5",
    "5.",
    "1e",
    "e5",
    "",
    "-",
    "1e5x",
    "0x10",
    "1_0",
    "00001",
    "123456789012345678901234567890",
    "0.000000000000000000000000001",
    "1e999",
    "1E5",
    "1e+",
    "8.41e+06",
    "1.0000000000000002",
    "nan(1)",
    "--1",
};

/* For each value, line end and prefix the cached path must give what the plain one gives, or nothing. */
static void cached_lines_say_what_plain_ones_say(void **state)
{
    (void)state;
    static const char *const ENDS[] = {"\n",      "",     " \n",  "\r\n", " 5\n",
                                       "\nb 2\n", "\n\n", "\t\n", "{\n"};
    static const char *const KEYS_TRIED[] = {"a", "a{b=\"c\"}", "{\"x y\"}"};
    size_t taken = 0;
    for (size_t k = 0; k < ARRAY_COUNT(KEYS_TRIED); k++) {
        for (size_t v = 0; v < ARRAY_COUNT(VALUES); v++) {
            for (size_t e = 0; e < ARRAY_COUNT(ENDS); e++) {
                char text[200];
                struct error err;
                int len = snprintf(text, sizeof text, "%s %s%s", KEYS_TRIED[k], VALUES[v], ENDS[e]);
                char *exact = malloc((size_t)len);
                memcpy(exact, text, (size_t)len);
                struct exposition_parser plain, cached;
                exposition_parser_init(&plain, (struct view){exact, (size_t)len}, EXPOSITION_TEXT);
                cached = plain;
                bool ok = exposition_next(&plain, &err) == EXPOSITION_SAMPLE;
                uint32_t key_len = (uint32_t)strlen(KEYS_TRIED[k]);
                if (exposition_next_cached(&cached, key_len, hash64_secret(exact, key_len))) {
                    taken++;
                    if (!ok || plain.has_timestamp)
                        fail_msg("\"%s\" was taken", text);
                    assert_true(sample_bits(cached.value) == sample_bits(plain.value));
                    assert_int_equal(cached.pos, plain.pos);
                    assert_int_equal(cached.line, plain.line);
                    assert_true(view_eq(cached.key, plain.key));
                } else {
                    assert_int_equal(cached.pos, 0);
                }
                /* A longer key than there is; with an empty value the next blank could end it. */
                assert_false(VALUES[v][0] &&
                             exposition_next_cached(&cached, key_len + 1,
                                                    hash64_secret(exact, key_len + 1)));
                free(exact);
            }
        }
    }
    assert_true(taken > 300);
}

/* Decimals of every shape, against the plain path. */
static void cached_values_are_exact(void **state)
{
    (void)state;
    struct random r;
    uint64_t seed = 11;
    printf("seed %" PRIu64 "\n", seed);
    random_seed(&r, seed);
    for (int i = 0; i < 200000; i++) {
        char text[80];
        uint64_t m = random_next(&r) >> random_below(&r, 64);
        int len;
        switch (random_below(&r, 3)) {
        case 0:
            len = snprintf(text, sizeof text, "a %" PRIu64 ".%" PRIu64 "\n", m >> 32, m & 0xffffff);
            break;
        case 1:
            len = snprintf(text, sizeof text, "a %" PRIu64 "e%d\n", m,
                           (int)random_below(&r, 60) - 30);
            break;
        default:
            len = snprintf(text, sizeof text, "a %.17g\n", sample_from_bits(random_next(&r)));
            break;
        }
        struct exposition_parser plain, cached;
        exposition_parser_init(&plain, (struct view){text, (size_t)len}, EXPOSITION_TEXT);
        cached = plain;
        struct error err;
        bool ok = exposition_next(&plain, &err) == EXPOSITION_SAMPLE;
        if (exposition_next_cached(&cached, 1, hash64_secret("a", 1))) {
            if (!ok || sample_bits(plain.value) != sample_bits(cached.value))
                fail_msg("%s", text);
        }
    }
}

static void nan_is_the_ordinary_one(void **state)
{
    (void)state;
    struct exposition_parser p;
    struct error err;
    exposition_parser_init(&p, VIEW("a NaN\nb -nan\n"), EXPOSITION_TEXT);
    assert_int_equal(exposition_next(&p, &err), EXPOSITION_SAMPLE);
    assert_true(sample_bits(p.value) == SAMPLE_NAN_BITS);
}

/* Every prefix of a body that has everything either parses or fails; ASan watches the rest. */
static void every_prefix_is_handled(void **state)
{
    (void)state;
    struct buffer out;
    buffer_init(&out, MEM_OTHER, 1 << 20);
    struct view body =
        VIEW("# HELP a b\\n\n# TYPE a histogram\na_bucket{le=\"1\",x=\"\\\"\"} 1 5\r\n"
             "{\"q.x\",\"l l\"=\"v\"} -1.5e-3\n# UNIT a b\n#\n \n");
    for (size_t len = 0; len <= body.len; len++) {
        buffer_reset(&out);
        body_print(&out, view_slice(body, 0, len));
    }
    assert_false(out.failed);
    buffer_deinit(&out);
}

/* Parses the file as a whole, and again through the cached path. Returns the number of samples. */
static size_t conformance_file(const char *path)
{
    struct exposition_parser p, again;
    struct error err;
    struct arena arena;
    struct labels ls;
    enum exposition_event event;
    size_t samples = 0, cached = 0;
    FILE *f = fopen(path, "rb");
    assert_non_null(f);
    char *body = malloc(4 << 20);
    size_t len = fread(body, 1, 4 << 20, f);
    (void)fclose(f); /* it was only read */
    arena_init(&arena, MEM_OTHER, 0);
    exposition_parser_init(&p, (struct view){body, len}, EXPOSITION_TEXT);
    for (;;) {
        again = p;
        event = exposition_next(&p, &err);
        if (event == EXPOSITION_END)
            break;
        if (event == EXPOSITION_ERROR)
            fail_msg("%s:%u:%u: %s", path, err.line, err.column, err.message);
        if (event != EXPOSITION_SAMPLE)
            continue;
        samples++;
        if (!exposition_parse_key(p.key, &arena, &ls, &err))
            fail_msg("%s:%u: %s", path, p.line, err.message);
        uint32_t key_len = (uint32_t)p.key.len;
        while (body[again.pos] == '\n')
            again.pos++;
        if (exposition_next_cached(&again, key_len, hash64_secret(p.key.ptr, key_len))) {
            cached++;
            assert_true(sample_bits(again.value) == sample_bits(p.value));
            assert_int_equal(again.pos, p.pos);
        }
        arena_reset(&arena);
    }
    printf("%s: %zu samples, %zu of them by the cached path\n", strrchr(path, '/') + 1, samples,
           cached);
    arena_deinit(&arena);
    free(body);
    return samples;
}

static void official_bodies_parse_completely(void **state)
{
    (void)state;
    static const char *const FILES[] = {
        "alltypes.237mfs.prom.txt",
        "promtool/metrics-test.prom",
    };
    const char *root = getenv("CONFORMANCE_DIR");
    size_t samples = 0;
    for (size_t i = 0; i < ARRAY_COUNT(FILES); i++) {
        char path[4096];
        snprintf(path, sizeof path, "%s/exposition/%s", root ? root : CONFORMANCE_DIR, FILES[i]);
        FILE *f = fopen(path, "rb");
        if (!f) {
            printf("%s is not there\n", path);
            skip();
        }
        (void)fclose(f); /* it was only read */
        samples += conformance_file(path);
    }
    assert_true(samples > 1000);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(lines_are_read_as_prometheus_reads_them),
        cmocka_unit_test(keys_are_refused_with_the_reason),
        cmocka_unit_test(too_many_labels_are_a_limit_of_the_key),
        cmocka_unit_test(what_is_too_long_is_refused_at_its_limit),
        cmocka_unit_test(cached_lines_say_what_plain_ones_say),
        cmocka_unit_test(cached_values_are_exact),
        cmocka_unit_test(nan_is_the_ordinary_one),
        cmocka_unit_test(every_prefix_is_handled),
        cmocka_unit_test(official_bodies_parse_completely),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
