/* SPDX-License-Identifier: Apache-2.0 */
/* Files and folders, and what happens when the n-th operation on them fails. */
#include "base/file.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

static char top[64];
static struct error err;

static const char *at(const char *name)
{
    static char paths[4][256];
    static unsigned next;
    char *path = paths[next++ % 4];
    snprintf(path, sizeof(paths[0]), "%s/%s", top, name);
    return path;
}

static int setup(void **state)
{
    snprintf(top, sizeof(top), "/tmp/belfry-file-test-XXXXXX");
    return mkdtemp(top) ? 0 : -1;
}

static int teardown(void **state)
{
    file_test_set_hook(NULL, NULL);
    return dir_remove(top, &err) && !file_exists(top) ? 0 : -1;
}

static void put(const char *name, const char *text)
{
    assert_true(file_replace(at(name), view_from(text), &err));
}

static void assert_holds(const char *name, const char *text)
{
    struct buffer b;
    buffer_init(&b, MEM_OTHER, 1 << 20);
    assert_true(file_read_all(at(name), &b, &err));
    assert_true(view_is(buffer_view(&b), text));
    buffer_deinit(&b);
}

static void file_holds_what_was_written(void **state)
{
    struct file *f;
    assert_true(file_create(&f, at("a"), &err));
    assert_string_equal(file_path(f), at("a"));
    assert_true(file_write_all(f, VIEW("hello "), &err));
    assert_true(file_write_all(f, VIEW("world"), &err));
    assert_true(file_reserve(f, 1 << 16, &err));
    assert_true(file_sync(f, &err));
    uint64_t bytes;
    assert_true(file_size(f, &bytes, &err));
    assert_int_equal(bytes, 11);
    assert_true(file_close(f, &err));
    assert_false(file_create(&f, at("a"), &err));
    assert_null(f);

    assert_true(file_open_append(&f, at("a"), &err));
    assert_true(file_truncate(f, 5, &err));
    assert_true(file_write_all(f, VIEW("!"), &err));
    assert_true(file_close(f, &err));
    assert_holds("a", "hello!");

    char out[8];
    assert_true(file_open_read(&f, at("a"), &err));
    assert_true(file_read_at(f, 1, out, 4, &err));
    assert_memory_equal(out, "ello", 4);
    assert_false(file_read_at(f, 3, out, 4, &err));
    assert_int_equal(err.kind, ERROR_CORRUPT);
    assert_false(file_read_at(f, UINT64_MAX, out, 4, &err));
    file_discard(f);
    struct view mapped;
    assert_true(file_map(&mapped, at("a"), &err));
    assert_true(view_is(mapped, "hello!"));
    file_unmap(mapped);
}

static void file_errors_name_path_and_reason(void **state)
{
    char expected[300];
    struct file *f;
    assert_false(file_open_read(&f, at("none"), &err));
    snprintf(expected, sizeof(expected), "could not open \"%s\": no such file or directory",
             at("none"));
    assert_string_equal(err.message, expected);
    assert_int_equal(err.kind, ERROR_NOT_FOUND);
    struct buffer b;
    buffer_init(&b, MEM_OTHER, 4);
    put("big", "12345");
    assert_false(file_read_all(at("big"), &b, &err));
    assert_int_equal(err.kind, ERROR_TOO_LARGE);
    put("fits", "1234");
    buffer_reset(&b);
    assert_true(file_read_all(at("fits"), &b, &err));
    buffer_deinit(&b);
    buffer_init(&b, MEM_OTHER, 4);
    assert_int_equal(mkfifo(at("pipe"), 0600), 0);
    assert_false(file_read_all(at("pipe"), &b, &err)); /* and does not wait for a writer */
    assert_false(file_read_all(top, &b, &err));
    buffer_deinit(&b);
    struct view mapped;
    put("empty", "");
    assert_true(file_map(&mapped, at("empty"), &err));
    assert_int_equal(mapped.len, 0);
    file_unmap(mapped);
}

static void file_lock_is_exclusive(void **state)
{
    struct file *a, *b;
    assert_true(file_lock(&a, at("lock"), &err));
    assert_false(file_lock(&b, at("lock"), &err));
    assert_int_equal(err.kind, ERROR_BUSY);
    file_discard(a);
    assert_true(file_lock(&b, at("lock"), &err));
    file_discard(b);
}

static bool collect(void *arg, const char *name, bool is_dir)
{
    char *out = arg;
    strncat(out, name, 100 - strlen(out) - 1);
    strncat(out, is_dir ? "/ " : " ", 100 - strlen(out) - 1);
    return strcmp(name, "stop") != 0;
}

static void folders_are_made_listed_and_removed_whole(void **state)
{
    assert_true(dir_create(at("d/e/f"), &err));
    assert_true(dir_create(at("d/e/f"), &err));
    assert_true(dir_create(at("d/z/"), &err));
    put("d/b", "12");
    put("d/e/c", "345");
    assert_int_equal(symlink(top, at("d/link")), 0);
    char names[100] = "";
    assert_true(dir_list(at("d"), collect, names, &err));
    assert_string_equal(names, "b e/ link z/ ");
    put("d/stop", "");
    names[0] = '\0';
    assert_true(dir_list(at("d"), collect, names, &err));
    assert_string_equal(names, "b e/ link stop ");
    assert_int_equal(dir_bytes(at("d")), 5);
    assert_true(dir_remove(at("d"), &err));
    assert_true(dir_remove(at("d"), &err));
    assert_false(file_exists(at("d")));
    assert_true(file_exists(top)); /* the link was not followed */
    assert_false(dir_list(at("d"), collect, names, &err));
    assert_int_equal(err.kind, ERROR_NOT_FOUND);
    put("file", "");
    assert_false(dir_create(at("file/below"), &err));
    uint64_t bytes;
    assert_true(dir_free_bytes(top, &bytes, &err));
    assert_false(dir_free_bytes(at("d"), &bytes, &err));
    assert_int_equal(dir_bytes(at("d")), 0);
}

struct faults {
    int countdown; /* 0 = the next one fails */
    int errno_value;
    size_t torn_bytes; /* of a write that fails */
    bool hit;
};

static int fail_nth(void *arg, enum file_op op, const char *path, size_t *bytes)
{
    struct faults *f = arg;
    if (f->countdown-- != 0)
        return 0;
    f->hit = true;
    if (op == FILE_OP_WRITE && f->torn_bytes < *bytes)
        *bytes = f->torn_bytes;
    return f->errno_value;
}

/* For every n: the n-th operation of a replacement fails; afterwards the file is whole, old or new. */
static void file_replace_is_all_or_nothing(void **state)
{
    for (int n = 0;; n++) {
        put("r", "old");
        struct faults faults = {.countdown = n, .errno_value = ENOSPC, .torn_bytes = 1};
        file_test_set_hook(fail_nth, &faults);
        bool ok = file_replace(at("r"), VIEW("new"), &err);
        file_test_set_hook(NULL, NULL);
        assert_int_equal(ok, !faults.hit);
        if (ok) {
            assert_holds("r", "new");
            assert_true(n >= 6);
            return;
        }
        assert_int_equal(err.kind, ERROR_NO_SPACE);
        struct buffer b;
        buffer_init(&b, MEM_OTHER, 100);
        assert_true(file_read_all(at("r"), &b, &err));
        assert_true(view_is(buffer_view(&b), "old") || view_is(buffer_view(&b), "new"));
        buffer_deinit(&b);
        assert_false(file_exists(at("r.tmp")));
    }
}

static int always(void *arg, enum file_op op, const char *path, size_t *bytes)
{
    const enum file_op *failing = arg;
    return op == *failing ? EIO : 0;
}

static void each_operation_can_be_made_to_fail(void **state)
{
    put("f", "text");
    struct file *f, *g;
    struct view mapped;
    char byte;
    enum file_op op;
    assert_true(file_open_append(&f, at("f"), &err));
    assert_true(file_open_read(&g, at("f"), &err));
    file_test_set_hook(always, &op);
    op = FILE_OP_READ;
    assert_false(file_read_at(g, 0, &byte, 1, &err));
    op = FILE_OP_WRITE;
    assert_false(file_write_all(f, VIEW("x"), &err));
    op = FILE_OP_SYNC;
    assert_false(file_sync(f, &err));
    op = FILE_OP_TRUNCATE;
    assert_false(file_truncate(f, 0, &err));
    op = FILE_OP_RESERVE;
    assert_false(file_reserve(f, 100, &err));
    op = FILE_OP_MAP;
    assert_false(file_map(&mapped, at("f"), &err));
    op = FILE_OP_RENAME;
    assert_false(file_publish(at("f"), at("g"), &err));
    op = FILE_OP_REMOVE;
    assert_false(file_remove(at("f"), &err));
    assert_false(dir_remove(at("x"), &err) && dir_remove(top, &err));
    op = FILE_OP_MKDIR;
    assert_false(dir_create(at("x"), &err));
    op = FILE_OP_DIR_SYNC;
    assert_false(dir_sync(top, &err));
    op = FILE_OP_CLOSE;
    assert_false(file_close(f, &err));
    assert_string_equal(strstr(err.message, ": "), ": input/output error");
    op = FILE_OP_OPEN;
    assert_false(file_open_read(&f, at("f"), &err));
    assert_int_equal(err.kind, ERROR_IO);
    file_test_set_hook(NULL, NULL);
    file_discard(g);
    assert_holds("f", "text");
}

/* A hook that only lowers the size makes short writes; they are continued. */
static int shorten(void *arg, enum file_op op, const char *path, size_t *bytes)
{
    if (op == FILE_OP_WRITE && *bytes > 2)
        *bytes = 2;
    return 0;
}

static void short_writes_are_continued(void **state)
{
    file_test_set_hook(shorten, NULL);
    put("s", "a longer text");
    file_test_set_hook(NULL, NULL);
    assert_holds("s", "a longer text");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(file_holds_what_was_written, setup, teardown),
        cmocka_unit_test_setup_teardown(file_errors_name_path_and_reason, setup, teardown),
        cmocka_unit_test_setup_teardown(file_lock_is_exclusive, setup, teardown),
        cmocka_unit_test_setup_teardown(folders_are_made_listed_and_removed_whole, setup, teardown),
        cmocka_unit_test_setup_teardown(file_replace_is_all_or_nothing, setup, teardown),
        cmocka_unit_test_setup_teardown(each_operation_can_be_made_to_fail, setup, teardown),
        cmocka_unit_test_setup_teardown(short_writes_are_continued, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
