/* SPDX-License-Identifier: Apache-2.0 */
#include "base/yaml.h"

#include "base/md5.h"
#include "base/nearest.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>

#include <cmocka.h>

static struct arena arena;

/* The tree on one line: [a, b], {k: v}, scalars as they are, quoted ones in quotes. */
static void print_node(struct buffer *out, const struct yaml_node *node)
{
    if (!node) {
        buffer_append_literal(out, "(none)");
        return;
    }
    if (node->kind == YAML_SCALAR) {
        buffer_printf(out, node->plain ? "%.*s" : "\"%.*s\"", VIEW_ARGS(node->text));
        return;
    }
    buffer_append_byte(out, node->kind == YAML_SEQUENCE ? '[' : '{');
    for (uint32_t i = 0; i < node->count; i++) {
        if (i)
            buffer_append_literal(out, ", ");
        if (node->kind == YAML_MAPPING) {
            print_node(out, node->pairs[i].key);
            buffer_append_literal(out, ": ");
        }
        print_node(out, node->kind == YAML_MAPPING ? node->pairs[i].value : node->items[i]);
    }
    buffer_append_byte(out, node->kind == YAML_SEQUENCE ? ']' : '}');
}

static const struct {
    const char *name, *in, *tree;
} TREES[] = {
    {"nothing", "", "(none)"},
    {"comments only", "# hello\n# world\n", "(none)"},
    {"a scalar", "hello", "hello"},
    {"a mapping", "a: 1\nb: x y\n", "{a: 1, b: x y}"},
    {"a document's start", "---\na: 1\n", "{a: 1}"},
    {"lists in lists", "- [1, 2]\n- - 3\n  - {}\n", "[[1, 2], [3, {}]]"},
    {"null values", "a:\nb: ~\n", "{a: , b: ~}"},
    {"quotes", "a: '1'\nb: \"x\\ty\"\n", "{a: \"1\", b: \"x\ty\"}"},
    {"a literal block", "a: |\n  x\n  y\n", "{a: \"x\ny\n\"}"},
    {"a folded block", "a: >-\n  x\n  y\n", "{a: \"x y\"}"},
    {"carriage returns", "a: 1\r\nb: 2\r\n", "{a: 1, b: 2}"},
    {"a byte order mark",
     "\xef\xbb\xbf"
     "a: 1\n",
     "{a: 1}"},
    {"aliases", "a: &x [1]\nb: *x\n", "{a: [1], b: [1]}"},
    {"an anchor said again", "a: &x 1\nb: &x 2\nc: *x\n", "{a: 1, b: 2, c: 2}"},
    {"an alias as a key", "a: &x k\n*x : 2\n", "{a: k, k: 2}"},
    {"a merge", "a: &x {p: 1, q: 2}\nb:\n  q: 3\n  <<: *x\n", "{a: {p: 1, q: 2}, b: {q: 3, p: 1}}"},
    {"a merge of several", "b:\n  <<: [{p: 1}, {p: 2, q: 2}]\n", "{b: {p: 1, q: 2}}"},
    {"a quoted << is a key", "'<<': 1\n", "{\"<<\": 1}"},
    {"tags", "a: !!str 1\nb: !!int 2\nc: !!binary aGk=\n", "{a: \"1\", b: 2, c: \"hi\"}"},
    {"a tab behind a colon", "a:\t1\n", "{a: 1}"},
    {"UTF-8", "a: 測試\n", "{a: 測試}"},
};

static void yaml_becomes_a_tree(void **state)
{
    for (size_t i = 0; i < ARRAY_COUNT(TREES); i++) {
        struct error err = {0};
        const struct yaml_node *root = NULL;
        struct buffer out;
        buffer_init(&out, MEM_OTHER, 1 << 20);
        if (!yaml_parse(&arena, view_from(TREES[i].in), &root, &err))
            fail_msg("%s: %u:%u: %s", TREES[i].name, err.line, err.column, err.message);
        print_node(&out, root);
        buffer_append_byte(&out, '\0');
        if (strcmp(out.ptr, TREES[i].tree) != 0)
            fail_msg("%s: got %s, expected %s", TREES[i].name, out.ptr, TREES[i].tree);
        buffer_deinit(&out);
    }
}

static const struct {
    const char *name, *in;
    unsigned line, column;
    const char *message;
} ERRORS[] = {
    {"a tab", "a:\n\tb: 1\n", 2, 1, "a tab indents this line; YAML allows blanks only"},
    {"a tab behind blanks", "a:\n  b: 1\n  \tc: 2\n", 3, 1,
     "a tab indents this line; YAML allows blanks only"},
    {"a key twice", "a: 1\nb: 2\n\"a\": 3\n", 3, 1, "field \"a\" is set twice, first in line 1"},
    {"a key twice in flow", "{x: {a: 1, a: 2}}", 1, 12,
     "field \"a\" is set twice, first in line 1"},
    {"an unknown alias", "a: *nobody\n", 1, 4, "unknown anchor \"nobody\""},
    {"an anchor in itself", "a: &x [*x]\n", 1, 8, "anchor \"x\" contains itself"},
    {"two documents", "a: 1\n---\nb: 2\n", 2, 1,
     "a second document begins here; one file holds one document"},
    {"a list as a key", "? [a]\n: 1\n", 1, 3, "a field's name must be a string, not a list"},
    {"a merge of a scalar", "<<: 1\n", 1, 5,
     "map merge requires map or sequence of maps as the value"},
    {"base64 of no text", "a: !!binary /w==\n", 1, 13, "!!binary value is not valid UTF-8"},
    {"bad base64", "a: !!binary \"/w==$1\"\n", 1, 13,
     "!!binary value contains invalid base64 data"},
    {"bad UTF-8", "a: 1\nb: \xff\n", 2, 4, "the text is not valid UTF-8"},
    {"an unclosed list", "a: [1, 2\nb: 3\n", 0, 0, NULL},
    {"an unclosed quote", "a: \"x\n", 0, 0, NULL},
    {"an empty item", "a:\n-\n# end\n", 2, 1, "this item of a list is empty"},
    {"wrong indentation", "a: 1\n b: 2\n", 0, 0, NULL},
    {"an unknown escape", "a: \"\\q\"\n", 0, 0, NULL},
};

/* NULL: libfyaml's words, which are not ours to fix; a place must be there all the same. */
static void what_is_not_yaml_is_refused_with_its_place(void **state)
{
    for (size_t i = 0; i < ARRAY_COUNT(ERRORS); i++) {
        struct error err = {0};
        const struct yaml_node *root = NULL;
        if (yaml_parse(&arena, view_from(ERRORS[i].in), &root, &err))
            fail_msg("%s: was accepted", ERRORS[i].name);
        assert_null(root);
        if (!ERRORS[i].message) {
            if (err.line == 0 || err.column == 0 || !err.message[0])
                fail_msg("%s: %u:%u: %s", ERRORS[i].name, err.line, err.column, err.message);
        } else if (err.line != ERRORS[i].line || err.column != ERRORS[i].column ||
                   strcmp(err.message, ERRORS[i].message) != 0) {
            fail_msg("%s: got %u:%u: %s", ERRORS[i].name, err.line, err.column, err.message);
        }
    }
    struct error err = {0};
    const struct yaml_node *root;
    assert_false(yaml_parse(&arena, VIEW("a: \0 1"), &root, &err));
    assert_string_equal(err.message, "a NUL byte is in the text");
    assert_int_equal(err.column, 4);
}

static void parse_generated(struct buffer *text, bool good, const char *fragment)
{
    struct arena own;
    arena_init(&own, MEM_OTHER, 0);
    struct error err = {0};
    const struct yaml_node *root;
    bool ok = yaml_parse(&own, buffer_view(text), &root, &err);
    if (ok != good || (!ok && !strstr(err.message, fragment)))
        fail_msg("%s: %u:%u: %s", fragment, err.line, err.column, ok ? "accepted" : err.message);
    if (!good)
        assert_int_equal(err.kind, ERROR_TOO_LARGE);
    arena_deinit(&own);
    buffer_reset(text);
}

static void repeat(struct buffer *text, const char *piece, size_t count)
{
    for (size_t i = 0; i < count; i++)
        buffer_append_view(text, view_from(piece));
}

static void depth_size_and_aliases_have_limits(void **state)
{
    struct buffer text;
    buffer_init(&text, MEM_OTHER, 64 << 20);
    repeat(&text, "[", YAML_DEPTH_MAX);
    repeat(&text, "]", YAML_DEPTH_MAX);
    parse_generated(&text, true, "64 deep");
    repeat(&text, "[", YAML_DEPTH_MAX + 1);
    repeat(&text, "]", YAML_DEPTH_MAX + 1);
    parse_generated(&text, false, "nested more than 64 deep");
    repeat(&text, "[", 10000);
    parse_generated(&text, false, "nested more than 64 deep");
    /* Ten lists of ten aliases of the one before: 10^10 nodes to walk. */
    buffer_append_literal(&text, "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n");
    for (int i = 1; i < 10; i++) {
        buffer_printf(&text, "a%d: &a%d [", i, i);
        for (int j = 0; j < 10; j++)
            buffer_printf(&text, "%s*a%d", j ? ", " : "", i - 1);
        buffer_append_literal(&text, "]\n");
    }
    parse_generated(&text, false, "with its aliases expanded");
    /* The same through merges. */
    buffer_append_literal(&text, "a0: &a0 {");
    for (int i = 0; i < 1000; i++)
        buffer_printf(&text, "k%d: 1,", i);
    buffer_append_literal(&text, "}\n");
    for (int i = 0; i < 3000; i++)
        buffer_printf(&text, "m%d: {<<: *a0}\n", i);
    parse_generated(&text, false, "with its aliases expanded");
    /* Depth through aliases: each level contains the one before. */
    buffer_append_literal(&text, "a0: &a0 [x]\n");
    for (int i = 1; i < 80; i++)
        buffer_printf(&text, "a%d: &a%d [*a%d]\n", i, i, i - 1);
    parse_generated(&text, false, "nested more than 64 deep");
    repeat(&text, "# sixteen bytes\n", (YAML_BYTES_MAX >> 4) + 1);
    parse_generated(&text, false, "at most 16777216 are allowed");
    buffer_deinit(&text);
}

/* 20,000 keys took 19 s where keys are compared each with each; the test would run into its time limit. */
static void many_keys_are_not_quadratic(void **state)
{
    struct buffer text;
    buffer_init(&text, MEM_OTHER, 64 << 20);
    for (int i = 0; i < 100000; i++)
        buffer_printf(&text, "key_%d: %d\n", i, i);
    parse_generated(&text, true, "");
    buffer_deinit(&text);
}

static const struct {
    const char *in;
    char type; /* n null, b bool, i int, f float only, s string */
    double value;
} SCALARS[] = {
    {"", 'n', 0},
    {"~", 'n', 0},
    {"null", 'n', 0},
    {"Null", 'n', 0},
    {"nULL", 's', 0},
    {"'null'", 's', 0},
    {"yes", 'b', 1},
    {"on", 'b', 1},
    {"On", 'b', 1},
    {"y", 'b', 1},
    {"TRUE", 'b', 1},
    {"no", 'b', 0},
    {"off", 'b', 0},
    {"oFF", 's', 0},
    {"\"true\"", 's', 0},
    {"0", 'i', 0},
    {"15", 'i', 15},
    {"-3", 'i', -3},
    {"+3", 'i', 3},
    {"0x1F", 'i', 31},
    {"0b101", 'i', 5},
    {"0o17", 'i', 15},
    {"017", 'i', 15},
    {"1_000", 'i', 1000},
    {"09", 'f', 9},
    {"1.5", 'f', 1.5},
    {"-1e3", 'f', -1000},
    {".5", 'f', 0.5},
    {".inf", 'f', __builtin_inf()},
    {"inf", 's', 0},
    {"nan", 's', 0},
    {"0x1p3", 's', 0},
    {"9223372036854775807", 'i', 9223372036854775807.0},
    {"9223372036854775808", 'f', 9223372036854775808.0},
    {"10s", 's', 0},
    {"1.2.3", 's', 0},
    {"e5", 's', 0},
};

static void scalars_mean_what_yaml_1_1_says(void **state)
{
    for (size_t i = 0; i < ARRAY_COUNT(SCALARS); i++) {
        char text[64];
        struct error err = {0};
        const struct yaml_node *root;
        int len = snprintf(text, sizeof(text), "k: %s\n", SCALARS[i].in);
        assert_true(yaml_parse(&arena, (struct view){text, (size_t)len}, &root, &err));
        const struct yaml_node *node = yaml_find(root, "k");
        bool boolean = false;
        int64_t integer = 0;
        double number = 0;
        char type = yaml_is_null(node)             ? 'n'
                    : yaml_as_bool(node, &boolean) ? 'b'
                    : yaml_as_int(node, &integer)  ? 'i'
                    : yaml_as_float(node, &number) ? 'f'
                                                   : 's';
        double value = type == 'b'   ? boolean
                       : type == 'i' ? (double)integer
                       : type == 'f' ? number
                                     : 0;
        if (type != SCALARS[i].type || value != SCALARS[i].value)
            fail_msg("%s: got %c %g", SCALARS[i].in, type, value);
        uint64_t natural;
        assert_true(
            yaml_as_uint(node, &natural) ==
            ((type == 'i' && integer >= 0) || !strcmp(SCALARS[i].in, "9223372036854775808")));
    }
}

static const struct {
    const char *in, *out;
} STRINGS[] = {
    {"", "\"\""},
    {"abc", "abc"},
    {"a b", "a b"},
    {"localhost:9090", "localhost:9090"},
    {"/metrics", "/metrics"},
    {"123", "\"123\""},
    {"1.5", "\"1.5\""},
    {"true", "\"true\""},
    {"on", "\"on\""},
    {"null", "\"null\""},
    {"~", "\"~\""},
    {"1:30", "\"1:30\""},
    {"2024-01-02", "\"2024-01-02\""},
    {"1.2.3.4:9093", "1.2.3.4:9093"},
    {"[x]", "'[x]'"},
    {"- x", "'- x'"},
    {"-x", "-x"},
    {"a: b", "'a: b'"},
    {"a #b", "'a #b'"},
    {"a#b", "a#b"},
    {"'", "''''"},
    {"it's", "it's"},
    {"a\tb", "\"a\\tb\""},
    {" a", "' a'"},
    {"a ", "'a '"},
    {"*", "'*'"},
    {"<secret>", "<secret>"},
    {"(.*)", "(.*)"},
    {"$1", "$1"},
    {"a\nb", "|-\n  a\n  b"},
    {"a\nb\n", "|\n  a\n  b"},
    {"測試", "測試"},
    {"\x7f", "\"\\x7F\""},
    {"1h30m", "1h30m"},
    {";", ";"},
    {",", "','"},
    {":x", "':x'"},
    {"x:", "'x:'"},
};

static void written_strings_are_read_back(void **state)
{
    for (size_t i = 0; i < ARRAY_COUNT(STRINGS); i++) {
        struct buffer out;
        buffer_init(&out, MEM_OTHER, 1 << 16);
        buffer_append_literal(&out, "k: ");
        yaml_write_string(&out, view_from(STRINGS[i].in), 0);
        struct view written = view_slice(buffer_view(&out), 3, out.len);
        if (!view_is(written, STRINGS[i].out))
            fail_msg("\"%s\": got %.*s, expected %s", STRINGS[i].in, VIEW_ARGS(written),
                     STRINGS[i].out);
        buffer_append_byte(&out, '\n');
        struct error err = {0};
        const struct yaml_node *root;
        if (!yaml_parse(&arena, buffer_view(&out), &root, &err))
            fail_msg("\"%s\": %s", STRINGS[i].in, err.message);
        const struct yaml_node *node = yaml_find(root, "k");
        if (!node || !view_is(node->text, STRINGS[i].in))
            fail_msg("\"%s\" is read back as \"%.*s\"", STRINGS[i].in, VIEW_ARGS(node->text));
        buffer_deinit(&out);
    }
}

static void places_are_those_of_the_text(void **state)
{
    struct error err = {0};
    const struct yaml_node *root;
    assert_true(yaml_parse(&arena, VIEW("# one\na:\n  - x: 1\n    測試: 'b'\n"), &root, &err));
    const struct yaml_node *item = yaml_find(root, "a")->items[0];
    assert_int_equal(item->line, 3);
    assert_int_equal(item->column, 5);
    assert_int_equal(item->pairs[1].key->line, 4);
    assert_int_equal(item->pairs[1].key->column, 5);
    assert_int_equal(item->pairs[1].value->column, 9);
}

static void the_nearest_word_is_named(void **state)
{
    static const char *const WORDS[] = {"scrape_interval", "scrape_timeout", "job_name"};
    assert_string_equal(nearest_word(VIEW("scrape_intervall"), WORDS, 3), "scrape_interval");
    assert_string_equal(nearest_word(VIEW("jobname"), WORDS, 3), "job_name");
    assert_string_equal(nearest_word(VIEW("jbo_name"), WORDS, 3), "job_name");
    assert_null(nearest_word(VIEW("relabel"), WORDS, 3));
    assert_null(nearest_word(VIEW(""), WORDS, 0));
}

/* RFC 1321, appendix A.5. */
static void md5_gives_the_sums_of_its_standard(void **state)
{
    static const struct {
        const char *in, *sum;
    } SUMS[] = {
        {"", "d41d8cd98f00b204e9800998ecf8427e"},
        {"abc", "900150983cd24fb0d6963f7d28e17f72"},
        {"message digest", "f96b697d7cb7938d525a2f31aaf161d0"},
        {"12345678901234567890123456789012345678901234567890123456789012345678901234567890",
         "57edf4a22be3c955ac49da2e2107b67a"},
    };
    for (size_t i = 0; i < ARRAY_COUNT(SUMS); i++) {
        uint8_t sum[MD5_BYTES];
        char hex[2 * MD5_BYTES + 1];
        md5(view_from(SUMS[i].in), sum);
        for (size_t j = 0; j < MD5_BYTES; j++)
            snprintf(hex + 2 * j, 3, "%02x", sum[j]);
        assert_string_equal(hex, SUMS[i].sum);
    }
}

static int setup(void **state)
{
    arena_init(&arena, MEM_OTHER, 0);
    return 0;
}

static int teardown(void **state)
{
    arena_deinit(&arena);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(yaml_becomes_a_tree),
        cmocka_unit_test(what_is_not_yaml_is_refused_with_its_place),
        cmocka_unit_test(depth_size_and_aliases_have_limits),
        cmocka_unit_test(many_keys_are_not_quadratic),
        cmocka_unit_test(scalars_mean_what_yaml_1_1_says),
        cmocka_unit_test(written_strings_are_read_back),
        cmocka_unit_test(places_are_those_of_the_text),
        cmocka_unit_test(the_nearest_word_is_named),
        cmocka_unit_test(md5_gives_the_sums_of_its_standard),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
