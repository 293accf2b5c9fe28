/* SPDX-License-Identifier: Apache-2.0 */
/* multipart_test.c: each body is fed whole, byte by byte, and cut at every place: the events are the same. */
#include "net/multipart.h"

#include "base/mem.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

static const struct {
    const char *name, *type, *body;
    const char *events; /* "name(filename|type)=content;" per part, or "!" and the error */
} CASES[] = {
    {"a field", "multipart/form-data; boundary=X",
     "--X\r\nContent-Disposition: form-data; name=\"a\"\r\n\r\n1\r\n--X--\r\n", "a()=1;"},
    {"two fields and a file", "multipart/form-data; boundary=\"X Y\"",
     "--X Y\r\nContent-Disposition: form-data; name=a\r\n\r\n1\r\n--X Y\r\n"
     "content-disposition: form-data; name=\"f\"; filename=\"b.gcode\"\r\nContent-Type: "
     "text/plain\r\n\r\n"
     "G1 X1\r\n\r\n--X\r\n-\r\n--X Y--",
     "a()=1;f(b.gcode|text/plain)=G1 X1\r\n\r\n--X\r\n-;"},
    {"empty content", "multipart/form-data; boundary=X",
     "--X\r\nContent-Disposition: form-data; name=\"a\"\r\n\r\n\r\n--X--", "a()=;"},
    {"empty content without its line", "multipart/form-data; boundary=X",
     "--X\r\nContent-Disposition: form-data; name=\"a\"\r\n\r\n--X--", "a()=;"},
    {"preamble and epilogue", "MULTIPART/Form-Data;charset=x;Boundary=X",
     "hello\r\n--X \t\r\nContent-Disposition: form-data; name=\"a\"\r\n\r\n\r\n1\r\n--X-- "
     "bye\r\n--X\r\n",
     "a()=\r\n1;"},
    {"no parts", "multipart/form-data; boundary=X", "--X--\r\n", ""},
    {"escapes", "multipart/form-data; boundary=X",
     "--X\r\nContent-Disposition: form-data; name=\"a\\\"b\"; "
     "filename=\"c\\\\d;e=f\\g\"\r\n\r\n1\r\n--X--",
     "a\"b(c\\d;e=f\\g|)=1;"},
    {"an empty filename", "multipart/form-data; boundary=X",
     "--X\r\nContent-Disposition: form-data; name=\"a\"; filename=\"\"\r\n\r\n\r\n--X--", "a(|)=;"},
    {"a longer boundary is content", "multipart/form-data; boundary=X",
     "--X\r\nContent-Disposition: form-data; name=\"a\"\r\n\r\n1\r\n--Y\r\n--X--", "a()=1\r\n--Y;"},
    {"no end", "multipart/form-data; boundary=X",
     "--X\r\nContent-Disposition: form-data; name=\"a\"\r\n\r\n1\r\n",
     "a()=!the form ends before its last boundary"},
    {"nothing", "multipart/form-data; boundary=X", "", "!the form ends before its last boundary"},
    {"text behind a boundary", "multipart/form-data; boundary=X", "--Xtra\r\n",
     "!a boundary is followed by other text"},
    {"no header", "multipart/form-data; boundary=X", "--X\r\n\r\n1\r\n--X--",
     "!a part has no header"},
    {"no name", "multipart/form-data; boundary=X",
     "--X\r\nContent-Disposition: form-data; filename=a\r\n\r\n1\r\n--X--", "!a part has no name"},
    {"no colon", "multipart/form-data; boundary=X", "--X\r\nContent\r\n\r\n1\r\n--X--",
     "!a part's header has a line without a colon"},
    {"not form-data", "multipart/form-data; boundary=X",
     "--X\r\nContent-Disposition: attachment; name=a\r\n\r\n1\r\n--X--", "!a part is no form-data"},
    {"an open quote", "multipart/form-data; boundary=X",
     "--X\r\nContent-Disposition: form-data; name=\"a\r\n\r\n1\r\n--X--",
     "!a part has a malformed Content-Disposition"},
    {"a name that is no text", "multipart/form-data; boundary=X",
     "--X\r\nContent-Disposition: form-data; name=\"\xff\"\r\n\r\n1\r\n--X--",
     "!a part has no name"},
    {"another type", "application/json", "", "!expected multipart/form-data"},
    {"no boundary", "multipart/form-data", "", "!multipart/form-data needs a boundary"},
    {"an empty boundary", "multipart/form-data; boundary=\"\"", "",
     "!multipart/form-data needs a boundary"},
    {"a long boundary",
     "multipart/form-data; "
     "boundary=0123456789012345678901234567890123456789012345678901234567890123456789x",
     "", "!multipart/form-data needs a boundary"},
};

struct sink {
    char text[4096];
    size_t len;
};

static void put(struct sink *s, struct view v)
{
    size_t room = sizeof s->text - 1 - s->len, len = v.len < room ? v.len : room;
    if (len)
        memcpy(s->text + s->len, v.ptr, len);
    s->len += len;
    s->text[s->len] = '\0';
}

static bool on_begin(void *arg, const struct multipart_part *part, struct error *err)
{
    (void)err;
    put(arg, part->name);
    put(arg, VIEW("("));
    put(arg, part->filename);
    put(arg, part->has_filename ? VIEW("|") : VIEW(""));
    put(arg, part->content_type);
    put(arg, VIEW(")="));
    return true;
}

static bool on_data(void *arg, struct view piece, struct error *err)
{
    (void)err;
    assert_true(piece.len > 0);
    put(arg, piece);
    return true;
}

static bool on_end(void *arg, struct error *err)
{
    (void)err;
    put(arg, VIEW(";"));
    return true;
}

/* In pieces of `first`, then `step` bytes. */
static void parse(struct sink *out, const char *type, const char *body, size_t first, size_t step)
{
    struct multipart *m;
    struct error err = {0};
    const struct multipart_events events = {on_begin, on_data, on_end, out};
    struct view rest = view_from(body);
    *out = (struct sink){0};
    bool ok = multipart_new(&m, view_from(type), &events, &err);
    while (ok && rest.len) {
        ok = multipart_feed(m, view_slice(rest, 0, first), &err);
        rest = view_slice(rest, first, rest.len);
        first = step;
    }
    if (!ok || !multipart_finish(m, &err)) {
        put(out, VIEW("!"));
        put(out, view_from(err.message));
    }
    multipart_free(m);
}

static void forms_are_parsed_alike_however_they_are_cut(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_COUNT(CASES); i++) {
        size_t len = strlen(CASES[i].body);
        for (size_t cut = 1; cut <= len + 1; cut++) {
            struct sink got;
            parse(&got, CASES[i].type, CASES[i].body, cut, cut == 1 ? 1 : len + 1);
            const char *want = CASES[i].events;
            bool same = strncmp(got.text, want, strlen(want)) == 0 &&
                        (strchr(want, '!') || strlen(want) == got.len);
            /* A part of the content may have been passed on before the end that is missing. */
            if (!same && strcmp(CASES[i].name, "no end") == 0)
                same = strstr(got.text, "!the form ends before") != NULL;
            if (!same)
                fail_msg("%s, cut at %zu: expected \"%s\", got \"%s\"", CASES[i].name, cut, want,
                         got.text);
        }
    }
}

static bool count_data(void *arg, struct view piece, struct error *err)
{
    (void)err;
    *(size_t *)arg += piece.len;
    return true;
}

static bool accept_part(void *arg, const struct multipart_part *part, struct error *err)
{
    (void)arg;
    (void)part;
    (void)err;
    return true;
}

static bool accept_end(void *arg, struct error *err)
{
    (void)arg;
    (void)err;
    return true;
}

/* 20 MB of almost-delimiters, and headers and parts without end. */
static void nothing_grows_with_the_body(void **state)
{
    (void)state;
    size_t count = 0;
    const struct multipart_events events = {accept_part, count_data, accept_end, &count};
    struct multipart *m;
    struct error err = {0};
    static const char HEAD[] = "--X\r\nContent-Disposition: form-data; name=a\r\n\r\n";
    static char block[100000];
    int64_t before = mem_account_bytes(MEM_HTTP);
    assert_true(multipart_new(&m, VIEW("multipart/form-data; boundary=X"), &events, &err));
    assert_true(multipart_feed(m, view_from(HEAD), &err));
    for (size_t i = 0; i < sizeof block; i++)
        block[i] = "\r\n--\r\n-"[i % 7];
    for (int i = 0; i < 200; i++)
        assert_true(multipart_feed(m, (struct view){block, sizeof block}, &err));
    assert_true(mem_account_bytes(MEM_HTTP) - before < 300000);
    assert_true(multipart_feed(m, VIEW("\r\n--X--"), &err) && multipart_finish(m, &err));
    assert_int_equal(count, 200 * sizeof block);
    multipart_free(m);
    assert_true(multipart_new(&m, VIEW("multipart/form-data; boundary=X"), &events, &err));
    memset(block, 'h', sizeof block);
    assert_true(multipart_feed(m, VIEW("--X\r\n"), &err));
    assert_false(multipart_feed(m, (struct view){block, sizeof block}, &err));
    assert_non_null(strstr(err.message, "longer than 8192 bytes"));
    multipart_free(m);
    assert_true(multipart_new(&m, VIEW("multipart/form-data; boundary=X"), &events, &err));
    bool ok = multipart_feed(m, view_from(HEAD), &err);
    for (int i = 0; ok && i < 2000; i++)
        ok = multipart_feed(m, VIEW("\r\n"), &err) && multipart_feed(m, view_from(HEAD), &err);
    assert_false(ok);
    assert_string_equal(err.message, "more than 1000 parts");
    multipart_free(m);
    assert_int_equal(mem_account_bytes(MEM_HTTP), before);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(forms_are_parsed_alike_however_they_are_cut),
        cmocka_unit_test(nothing_grows_with_the_body),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
