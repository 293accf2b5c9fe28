/* SPDX-License-Identifier: Apache-2.0 */
/* openmetrics_test.c: what the OpenMetrics parser takes, what it refuses and in which words; all official cases and
 * bodies get the verdict of the server; the cached path says what the plain one says. */
#include "model/exposition.h"

#include "base/checksum.h"
#include "base/mem.h"
#include "model/sample.h"

#include <dirent.h>
#include <inttypes.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

enum { BODY_BYTES_MAX = 4 << 20, PATH_BYTES_MAX = 4096 };

static void sample_print(struct buffer *out, const struct exposition_parser *p)
{
    struct arena arena;
    struct labels ls;
    struct error err;
    arena_init(&arena, MEM_OTHER, 0);
    buffer_append_literal(out, "sample ");
    if (exposition_parse_key(p->key, &arena, &ls, &err))
        labels_format(out, ls);
    else
        buffer_append_view(out, view_from(err.message));
    buffer_printf(out, " %.17g", p->value);
    if (p->has_timestamp)
        buffer_printf(out, " @%" PRId64, p->timestamp_ms);
    if (p->has_exemplar) {
        buffer_append_literal(out, " # ");
        if (exposition_parse_exemplar(p->exemplar, &arena, &ls, &err))
            labels_format(out, ls);
        else
            buffer_append_view(out, view_from(err.message));
        buffer_printf(out, " %.17g", p->exemplar_value);
        if (p->exemplar_has_timestamp)
            buffer_printf(out, " @%" PRId64, p->exemplar_timestamp_ms);
    }
    arena_deinit(&arena);
}

static void event_print(struct buffer *out, const struct exposition_parser *p,
                        enum exposition_event event, const struct error *err)
{
    struct arena arena;
    arena_init(&arena, MEM_OTHER, 0);
    switch (event) {
    case EXPOSITION_SAMPLE:
        sample_print(out, p);
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
        buffer_printf(out, "unit %.*s [%.*s]", VIEW_ARGS(p->family), VIEW_ARGS(p->text));
        break;
    case EXPOSITION_ERROR:
        buffer_printf(out, "%u:%u: %s", err->line, err->column, err->message);
        break;
    default:
        buffer_append_view(out, event == EXPOSITION_END ? VIEW("end") : VIEW("comment"));
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
    exposition_parser_init(&p, (struct view){exact, body.len}, EXPOSITION_OPENMETRICS);
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
    CASE("# EOF", "end\n"),
    CASE("# EOF\n", "end\n"),
    CASE("a 1\n# EOF\n", "sample a 1\nend\n"),
    CASE("a{} 1\n# EOF\n", "sample a 1\nend\n"),
    CASE("a{b=\"\"} 1\n# EOF\n", "sample a 1\nend\n"),
    CASE("a:b_9{c=\"d\",e=\"f\"} -1.5e3 123.123\n# EOF\n",
         "sample a:b_9{c=\"d\",e=\"f\"} -1500 @123123\nend\n"),
    CASE("a NaN\nb +Inf\nc -Inf 0\nd 1 -5.5\n# EOF",
         "sample a nan\nsample b inf\nsample c -inf @0\nsample d 1 @-5500\nend\n"),
    CASE("a 1 1520879607.789\n# EOF\n", "sample a 1 @1520879607789\nend\n"),
    CASE("a{b=\"\\\"c\\\\\\n\\x\"} 1\n# EOF\n", "sample a{b=\"\\\"c\\\\\\n\\\\x\"} 1\nend\n"),
    CASE("a{b=\"x\0y\"} 1\n# EOF\n", "sample a{b=\"x\\x00y\"} 1\nend\n"),
    CASE("{\"a.b\",c=\"d\"} 1\n{c=\"d\",\"a b\"} 1\n{\"a\"} 1\n# EOF\n",
         "sample {\"a.b\",c=\"d\"} 1\nsample {\"a b\",c=\"d\"} 1\nsample a 1\nend\n"),
    CASE("a{\"odd \\\"name\\\"\"=\"6\"} 1\n# EOF\n",
         "sample a{\"odd \\\"name\\\"\"=\"6\"} 1\nend\n"),
    CASE("a 1 1e300\nb 1 -1e300\n# EOF\n",
         "sample a 1 @9223372036854775807\nsample b 1 @-9223372036854775808\nend\n"),
    /* what is said of families */
    CASE("# TYPE a counter\n# TYPE b gauge\n# TYPE c histogram\n# TYPE d gaugehistogram\n"
         "# TYPE e summary\n# TYPE f info\n# TYPE g stateset\n# TYPE \"h.i\" unknown\n# EOF\n",
         "type a counter\ntype b gauge\ntype c histogram\ntype d gaugehistogram\n"
         "type e summary\ntype f info\ntype g stateset\ntype h.i unknown\nend\n"),
    CASE("# HELP a \n# HELP b x\\\\y\\nz\\\" \\q\n# HELP c  two\n# EOF\n",
         "help a []\nhelp b [x\\y\nz\" \\q]\nhelp c [ two]\nend\n"),
    CASE("# UNIT a_seconds seconds\n# UNIT b \n# UNIT \"x.y_bytes\" bytes\n# EOF\n",
         "unit a_seconds [seconds]\nunit b []\nunit x.y_bytes [bytes]\nend\n"),
    /* exemplars */
    CASE("# TYPE a counter\na_total 17 1520879607.789 # {id=\"x\"} 5\n# EOF\n",
         "type a counter\nsample a_total 17 @1520879607789 # {id=\"x\"} 5\nend\n"),
    CASE("a_bucket{le=\"1.0\"} 1 # {} 0.5 1.25\n# EOF\n",
         "sample a_bucket{le=\"1.0\"} 1 # {} 0.5 @1250\nend\n"),
    CASE("a_total 1 # {\"odd name\"=\"# {\",b=\"\\\"} 2\"} 1\n# EOF\n",
         "sample a_total 1 # {b=\"\\\"} 2\",\"odd name\"=\"# {\"} 1\nend\n"),
    CASE("# TYPE s summary\ns_count 2 # {a=\"b\"} 1 123.321\ns_sum 2 # {a=\"b\"} 1\n# EOF\n",
         "type s summary\nsample s_count 2 # {a=\"b\"} 1 @123321\nsample s_sum 2 # {a=\"b\"} 1\n"
         "end\n"),
    CASE("# TYPE h histogram\nh_count 1 # {a=\"b\"} 4\n# EOF\n",
         "type h histogram\nsample h_count 1 # {a=\"b\"} 4\nend\n"),
    CASE("# TYPE g gauge\nother 1 # {a=\"b\"} 4\n# EOF\n",
         "type g gauge\nsample other 1 # {a=\"b\"} 4\nend\n"),
    CASE("a_total 1 # {a=\"1\",a=\"2\"} 4\n# EOF\n",
         "sample a_total 1 # label name \"a\" is there twice in line \"{a=\"1\",a=\"2\"}\" 4\n"
         "end\n"),
    /* what is wrong, where, and the line */
    CASE("", "1:1: data does not end with # EOF in line \"\"\n"),
    CASE("a 1", "1:4: data does not end with # EOF in line \"a 1\"\n"),
    CASE("a 1\n", "sample a 1\n2:1: data does not end with # EOF in line \"\"\n"),
    CASE("# TYPE a gauge", "1:1: data does not end with # EOF in line \"# TYPE a gauge\"\n"),
    CASE("# EOF\n\n", "1:6: data after # EOF in line \"# EOF\"\n"),
    CASE("# EOF\na 1\n", "1:6: data after # EOF in line \"# EOF\"\n"),
    CASE("# EOFa 1", "1:6: data after # EOF in line \"# EOFa 1\"\n"),
    CASE("\na 1\n# EOF\n", "1:1: expected a metric name, found end of line in line \"\"\n"),
    CASE(" a 1\n# EOF\n", "1:1: expected a metric name, found \"\\x20\" in line \" a 1\"\n"),
    CASE("a\t1\n# EOF\n",
         "1:2: expected a blank and a value after the metric, found \"\\x09\" in line "
         "\"a\\x091\"\n"),
    CASE("a  1\n# EOF\n",
         "1:3: expected a value after the metric, found \"\\x20\" in line \"a  1\"\n"),
    CASE("a 1 \n# EOF\n", "1:5: expected a timestamp, found end of line in line \"a 1 \"\n"),
    CASE("a 1 NaN\n# EOF\n", "1:5: a timestamp that is not finite in line \"a 1 NaN\"\n"),
    CASE("a 1 2 3\n# EOF\n",
         "1:7: expected \"# {\" of an exemplar, found \"3\" in line \"a 1 2 3\"\n"),
    CASE("a 1\r\n# EOF\n",
         "1:3: a value that is no number or beyond the range of floats in line \"a 1\\x0d\"\n"),
    CASE("a{b=\"c\" ,d=\"e\"} 1\n# EOF\n",
         "1:8: expected \",\" or \"}\" after a label, found \"\\x20\" in line \"a{b=\"c\" "
         ",d=\"e\"} 1\"\n"),
    CASE("a{b=\"c\",} 1\n# EOF\n",
         "1:9: expected a label name, found \"}\" in line \"a{b=\"c\",} 1\"\n"),
    CASE("a{b=\"x\ny\"} 1\n# EOF\n",
         "1:7: expected a closing quote, found end of line in line \"a{b=\"x\"\n"),
    CASE("a{b=\"\xff\"} 1\n# EOF\n",
         "1:6: invalid UTF-8 between quotes in line \"a{b=\"\\xff\"} 1\"\n"),
    CASE("# TYPE a untyped\n# EOF\n",
         "1:10: expected counter, gauge, histogram, gaugehistogram, summary, info, stateset or "
         "unknown, found \"u\" in line \"# TYPE a untyped\"\n"),
    CASE("# HELP a\n# EOF\n",
         "1:9: expected a blank and text after the name of the metric, found end of line in line "
         "\"# HELP a\"\n"),
    CASE("# HELP a \xff\n# EOF\n", "1:10: invalid UTF-8 in HELP in line \"# HELP a \\xff\"\n"),
    CASE("# comment\n# EOF\n",
         "1:3: expected HELP, TYPE, UNIT or EOF after \"# \", found \"c\" in line \"# comment\"\n"),
    CASE("#EOF\n", "1:1: no blank after \"#\" in line \"#EOF\"\n"),
    CASE("# UNIT a seconds\n# EOF\n",
         "1:10: a unit that is not the end of the name of its metric in line \"# UNIT a "
         "seconds\"\n"),
    CASE("# TYPE a gauge\na 1 # {b=\"c\"} 1\n# EOF\n",
         "type a gauge\n2:5: an exemplar on a metric that has none in line \"a 1 # {b=\"c\"} "
         "1\"\n"),
    CASE("a_total 1 # {\"b\"} 1\n# EOF\n",
         "1:17: expected \"=\" after a label name, found \"}\" in line \"a_total 1 # {\"b\"} "
         "1\"\n"),
    CASE("a_total 1 # {b=\"c\"}\n# EOF\n",
         "1:20: expected a blank after the labels of the exemplar, found end of line in line "
         "\"a_total 1 # {b=\"c\"}\"\n"),
    CASE("a_total 1 # {b=\"c\"} 1 Inf\n# EOF\n",
         "1:23: a timestamp that is not finite in line \"a_total 1 # {b=\"c\"} 1 Inf\"\n"),
    CASE("a_total 1 # {b=\"c\"} 1 2 3\n# EOF\n",
         "1:24: expected the end of the line, found \"\\x20\" in line \"a_total 1 # {b=\"c\"} 1 "
         "2 3\"\n"),
#undef CASE
};

static void lines_are_read_as_the_server_reads_them(void **state)
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

/* Every prefix either parses or fails, none but the whole is complete; ASan watches the rest. */
static void only_the_whole_body_is_complete(void **state)
{
    (void)state;
    struct buffer out;
    buffer_init(&out, MEM_OTHER, 1 << 20);
    struct view body = VIEW("# HELP a b\\n\n# TYPE a_seconds histogram\n# UNIT a_seconds seconds\n"
                            "a_seconds_bucket{le=\"1.0\",x=\"\\\"\"} 1 5 # {a=\"b\"} 1.5 9\n"
                            "{\"q.x\",\"l l\"=\"v\"} -1.5e-3\n# EOF\n");
    for (size_t len = 0; len <= body.len; len++) {
        buffer_reset(&out);
        body_print(&out, view_slice(body, 0, len));
        bool complete = view_has_suffix(buffer_view(&out), VIEW("end\n"));
        assert_int_equal(complete, len + 1 >= body.len);
    }
    assert_false(out.failed);
    buffer_deinit(&out);
}

/* For each kind of line the cached path gives what the plain one gives, or nothing. */
static void cached_lines_say_what_plain_ones_say(void **state)
{
    (void)state;
    static const char *const KEYS[] = {"a", "a_total", "a_sum{b=\"c\"}", "{\"x y\"}"};
    static const char *const VALUES[] = {
        "1",   "-0", "1.5e3", "NaN", "+Inf", "1e400", "0x1",
        "1_0", "",   " 1",    "1\t", "1{",   "1\r",   "18446744073709551617"};
    static const char *const ENDS[] = {"\n",
                                       "",
                                       " \n",
                                       " 5\n",
                                       " 5 # {a=\"b\"} 1\n",
                                       " # {a=\"b\"} 1\n",
                                       " # {a=\"b\"} 1 2.5\n",
                                       " # {} 1\n",
                                       " # {a=\"b\"} \n",
                                       " # {a=\"b\"} 1 2\r\n",
                                       " # {a=\"b\",} 1\n",
                                       " #\n",
                                       " # {a=\"b\"} 1"};
    static const char *const TYPES[] = {"gauge", "counter", "histogram", "summary"};
    size_t taken = 0, exemplars = 0;
    for (size_t i = 0;
         i < ARRAY_COUNT(KEYS) * ARRAY_COUNT(VALUES) * ARRAY_COUNT(ENDS) * ARRAY_COUNT(TYPES);
         i++) {
        const char *key = KEYS[i % ARRAY_COUNT(KEYS)];
        size_t rest = i / ARRAY_COUNT(KEYS);
        const char *value = VALUES[rest % ARRAY_COUNT(VALUES)];
        rest /= ARRAY_COUNT(VALUES);
        const char *end = ENDS[rest % ARRAY_COUNT(ENDS)];
        const char *type = TYPES[rest / ARRAY_COUNT(ENDS)];
        char text[300];
        struct error err;
        int len = snprintf(text, sizeof text, "# TYPE a %s\n%s %s%s", type, key, value, end);
        char *exact = malloc((size_t)len);
        memcpy(exact, text, (size_t)len);
        struct exposition_parser plain, cached;
        exposition_parser_init(&plain, (struct view){exact, (size_t)len}, EXPOSITION_OPENMETRICS);
        assert_int_equal(exposition_next(&plain, &err), EXPOSITION_TYPE);
        cached = plain;
        bool ok = exposition_next(&plain, &err) == EXPOSITION_SAMPLE;
        uint32_t key_len = (uint32_t)strlen(key);
        uint64_t hash = hash64_secret(exact + cached.pos, key_len);
        size_t pos = cached.pos;
        if (exposition_next_cached(&cached, key_len, hash)) {
            taken++;
            if (!ok || plain.has_timestamp)
                fail_msg("\"%s\" was taken", text);
            struct buffer a, b;
            buffer_init(&a, MEM_OTHER, 4096);
            buffer_init(&b, MEM_OTHER, 4096);
            sample_print(&a, &plain);
            sample_print(&b, &cached);
            assert_true(view_eq(buffer_view(&a), buffer_view(&b)));
            assert_int_equal(cached.pos, plain.pos);
            assert_int_equal(cached.line, plain.line);
            exemplars += cached.has_exemplar;
            buffer_deinit(&a);
            buffer_deinit(&b);
        } else {
            if (ok && !plain.has_timestamp)
                fail_msg("\"%s\" was not taken", text);
            assert_int_equal(cached.pos, pos);
        }
        free(exact);
    }
    assert_true(taken > 200 && exemplars > 100);
}

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
    exposition_parser_init(&p, buffer_view(&body), EXPOSITION_OPENMETRICS);
    enum exposition_event event = exposition_next(&p, err);
    buffer_deinit(&body);
    return event;
}

/* Reliability, list of hostile inputs: 8, 10, 17, 20 and 21. */
static void what_is_too_long_is_refused_at_its_limit(void **state)
{
    (void)state;
    struct error err;
    assert_int_equal(first_event("", "a", 10 << 20, "", &err), EXPOSITION_ERROR);
    assert_non_null(strstr(err.message, "more than 1 MiB without a line feed"));
    assert_int_equal(first_event("a{b=\"", "c", 10 << 20, "\"} 1\n", &err), EXPOSITION_ERROR);
    assert_non_null(strstr(err.message, "more than 1 MiB without a line feed"));
    assert_int_equal(first_event("# HELP a ", "b", 10 << 20, "\n", &err), EXPOSITION_ERROR);
    assert_non_null(strstr(err.message, "more than 1 MiB without a line feed"));
    assert_int_equal(first_event("a_total 1 # {a=\"", "b", 2 << 20, "\"} 1\n", &err),
                     EXPOSITION_ERROR);
    assert_non_null(strstr(err.message, "more than 1 MiB without a line feed"));
    assert_int_equal(first_event("a_total 1 # {a=\"", "b", 1000000, "\"} 1\n", &err),
                     EXPOSITION_SAMPLE);
    assert_int_equal(first_event("a{", "{", 100000, "} 1\n", &err), EXPOSITION_ERROR);
    assert_int_equal(first_event("a ", "1", 400, "\n", &err), EXPOSITION_ERROR); /* 1e399 */
}

/* ---- official cases ---- */

static bool file_read(const char *path, char *body, size_t *len)
{
    FILE *f = fopen(path, "rb");
    if (!f)
        return false;
    *len = fread(body, 1, BODY_BYTES_MAX, f);
    (void)fclose(f); /* it was only read */
    return true;
}

/* True when the server would take the body: each line, and the labels of each series. */
static bool body_is_accepted(struct view body, enum exposition_format format, size_t *samples,
                             struct error *err)
{
    struct exposition_parser p;
    struct arena arena;
    struct labels ls;
    enum exposition_event event;
    bool ok = true;
    arena_init(&arena, MEM_OTHER, 0);
    exposition_parser_init(&p, body, format);
    do {
        event = exposition_next(&p, err);
        if (event == EXPOSITION_SAMPLE) {
            (*samples)++;
            ok = exposition_parse_key(p.key, &arena, &ls, err);
            arena_reset(&arena);
        }
    } while (ok && event != EXPOSITION_END && event != EXPOSITION_ERROR);
    arena_deinit(&arena);
    return ok && event == EXPOSITION_END;
}

static const char *conformance_dir(void)
{
    const char *root = getenv("CONFORMANCE_DIR");
    return root ? root : CONFORMANCE_DIR;
}

static void official_cases_get_the_verdict_of_the_server(void **state)
{
    (void)state;
    char path[PATH_BYTES_MAX], line[1024], *body = malloc(BODY_BYTES_MAX);
    size_t cases = 0, samples = 0, wrong = 0, len;
    snprintf(path, sizeof path, "%s/openmetrics/expected.tsv", conformance_dir());
    FILE *expected = fopen(path, "r");
    if (!expected) {
        printf("%s is not there\n", path);
        free(body);
        skip();
    }
    assert_non_null(fgets(line, sizeof line, expected)); /* the heading */
    while (fgets(line, sizeof line, expected)) {
        char name[256], valid[8], accepted[8];
        struct error err = {0};
        if (sscanf(line, "%255s %7s %7s", name, valid, accepted) != 3)
            continue;
        snprintf(path, sizeof path, "%s/openmetrics/%s/metrics", conformance_dir(), name);
        assert_true(file_read(path, body, &len));
        bool got =
            body_is_accepted((struct view){body, len}, EXPOSITION_OPENMETRICS, &samples, &err);
        cases++;
        if (got != (strcmp(accepted, "yes") == 0)) {
            print_message("%s: expected %s, got %s %s\n", name, accepted, got ? "yes" : "no",
                          got ? "" : err.message);
            wrong++;
        }
    }
    (void)fclose(expected); /* it was only read */
    free(body);
    printf("%zu cases, %zu samples\n", cases, samples);
    assert_int_equal(wrong, 0);
    assert_int_equal(cases, 211);
}

/* Bodies, and dumps in either format; what promtool dumps as JSON is no exposition. */
static void official_bodies_parse_completely(void **state)
{
    (void)state;
    static const struct {
        const char *name;
        enum exposition_format format;
    } FILES[] = {
        {"1histogram.om.txt", EXPOSITION_OPENMETRICS},
        {"alltypes.5mfs.om.txt", EXPOSITION_OPENMETRICS},
        {"alltypes.237mfs.prom.txt", EXPOSITION_TEXT},
        {"promtool/metrics-test.prom", EXPOSITION_TEXT},
        {"promtool/dump-openmetrics-test.prom", EXPOSITION_OPENMETRICS},
        {"promtool/dump-openmetrics-roundtrip-test.prom", EXPOSITION_OPENMETRICS},
        {"promtool/dump-test-1.prom", EXPOSITION_TEXT},
        {"promtool/dump-test-2.prom", EXPOSITION_TEXT},
        {"promtool/dump-test-3.prom", EXPOSITION_TEXT},
    };
    char path[PATH_BYTES_MAX], *body = malloc(BODY_BYTES_MAX);
    for (size_t i = 0; i < ARRAY_COUNT(FILES); i++) {
        struct error err;
        size_t len, samples = 0;
        snprintf(path, sizeof path, "%s/exposition/%s", conformance_dir(), FILES[i].name);
        if (!file_read(path, body, &len)) {
            printf("%s is not there\n", path);
            free(body);
            skip();
        }
        if (!body_is_accepted((struct view){body, len}, FILES[i].format, &samples, &err))
            fail_msg("%s:%u:%u: %s", path, err.line, err.column, err.message);
        printf("%s: %zu samples\n", FILES[i].name, samples);
        assert_true(samples > 0);
    }
    free(body);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(lines_are_read_as_the_server_reads_them),
        cmocka_unit_test(only_the_whole_body_is_complete),
        cmocka_unit_test(cached_lines_say_what_plain_ones_say),
        cmocka_unit_test(what_is_too_long_is_refused_at_its_limit),
        cmocka_unit_test(official_cases_get_the_verdict_of_the_server),
        cmocka_unit_test(official_bodies_parse_completely),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
