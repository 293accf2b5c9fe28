/* SPDX-License-Identifier: Apache-2.0 */
#include "image_cache.h"

#include "base/buffer.h"
#include "base/checksum.h"
#include "base/file.h"
#include "base/thread.h"
#include "disk_cache.h"

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

static char folder[64];

static struct image_key key_of(unsigned n)
{
    struct image_key key;
    for (size_t i = 0; i < sizeof(key.bytes); i += 8) {
        uint64_t part = hash64(&n, sizeof(n)) + i;
        memcpy(key.bytes + i, &part, 8);
    }
    return key;
}

static struct image_cache *cache_open(enum cache_type type, uint64_t memory, uint64_t disk,
                                      uint64_t bytes)
{
    struct image_cache_options opts = {.type = type,
                                       .memory_entries_max = memory,
                                       .disk_entries_max = disk,
                                       .bytes_max = bytes,
                                       .disk_folder = folder};
    struct image_cache *c;
    struct error err = {0};
    if (!image_cache_open(&c, &opts, &err))
        fail_msg("%s", err.message);
    return c;
}

static void put(struct image_cache *c, unsigned n, const char *text)
{
    struct image_key key = key_of(n);
    struct error err = {0};
    struct cached_image *image = cached_image_new(&key, view_from(text), VIEW("image/png"),
                                                  VIEW("max-age=60"), 1700000000 + n);
    if (!image_cache_put(c, &key, image, &err))
        fail_msg("%s", err.message);
    cached_image_unref(image);
}

/* "" when it is not there. */
static bool has(struct image_cache *c, unsigned n, const char *text)
{
    struct image_key key = key_of(n);
    struct cached_image *image = image_cache_get(c, &key);
    bool is_there =
        image && view_is(image->bytes, text) && view_is(image->content_type, "image/png") &&
        view_is(image->cache_control, "max-age=60") && image->modified_s == 1700000000 + n &&
        image->etag.len == CACHED_IMAGE_ETAG_BYTES;
    assert_true(!image || is_there); /* never a wrong one */
    cached_image_unref(image);
    return is_there;
}

static void the_one_used_least_recently_goes(void **state)
{
    struct image_cache *c = cache_open(CACHE_MEMORY, 3, 0, 0);
    for (unsigned i = 0; i < 3; i++)
        put(c, i, "x");
    assert_true(has(c, 0, "x")); /* used: 1 is the oldest now */
    put(c, 3, "x");
    assert_false(has(c, 1, "x"));
    assert_true(has(c, 0, "x") && has(c, 2, "x") && has(c, 3, "x"));
    put(c, 2, "other"); /* the same key: no entry more */
    assert_true(has(c, 2, "other") && has(c, 0, "x"));
    image_cache_close(c);
}

static void bytes_are_bounded(void **state)
{
    struct image_cache *c = cache_open(CACHE_MEMORY, 1000, 0, 10000);
    char text[1001];
    memset(text, 'x', sizeof(text) - 1);
    text[1000] = '\0';
    for (unsigned i = 0; i < 100; i++) {
        put(c, i, text);
        assert_true(image_cache_memory_bytes(c) <= 10000);
    }
    assert_true(has(c, 99, text));
    assert_false(has(c, 80, text));
    image_cache_close(c);
}

/* What memory has no room for is on disk. */
static void memory_may_have_less_than_disk(void **state)
{
    struct image_cache_options opts = {.type = CACHE_HYBRID,
                                       .memory_entries_max = 1000,
                                       .disk_entries_max = 1000,
                                       .bytes_max = 1 << 20,
                                       .memory_bytes_max = 2000,
                                       .disk_folder = folder};
    struct image_cache *c;
    struct error err = {0};
    char text[3001] = "";
    assert_true(image_cache_open(&c, &opts, &err));
    memset(text, 'x', 500);
    for (unsigned i = 0; i < 10; i++) {
        put(c, i, text);
        assert_in_range(image_cache_memory_bytes(c), 500, 2000);
    }
    memset(text, 'x', 3000);
    put(c, 10, text);
    assert_in_range(image_cache_memory_bytes(c), 500, 2000);
    assert_true(has(c, 10, text));
    text[500] = '\0';
    for (unsigned i = 0; i < 10; i++)
        assert_true(has(c, i, text));
    image_cache_close(c);
}

/* It would push out everything else, then itself. */
static void what_is_larger_than_the_cache_harms_no_other(void **state)
{
    static char large[3001];
    memset(large, 'x', sizeof(large) - 1);
    struct image_cache *c = cache_open(CACHE_MEMORY, 10, 0, 2000);
    put(c, 1, "small");
    put(c, 2, large);
    assert_true(has(c, 1, "small"));
    assert_false(has(c, 2, large));
    image_cache_close(c);
    c = cache_open(CACHE_DISK, 0, 10, 2000);
    struct image_key key = key_of(2);
    struct error err = {0};
    struct cached_image *image =
        cached_image_new(&key, view_from(large), VIEW("image/png"), VIEW(""), 1700000002);
    put(c, 1, "small");
    assert_false(image_cache_put(c, &key, image, &err));
    assert_int_equal(err.kind, ERROR_TOO_LARGE);
    cached_image_unref(image);
    assert_true(has(c, 1, "small"));
    image_cache_close(c);
}

/* Each finds what the other wrote, and neither takes the other's unfinished files away. */
static void two_processes_share_a_folder(void **state)
{
    struct image_cache *a = cache_open(CACHE_DISK, 0, 10, 0);
    char unfinished[128];
    struct error err = {0};
    (void)snprintf(unfinished, sizeof(unfinished), "%s/tmp-0123-1", folder);
    assert_true(file_replace(unfinished, VIEW("half"), &err));
    struct image_cache *b = cache_open(CACHE_DISK, 0, 10, 0);
    assert_true(file_exists(unfinished));
    put(a, 1, "of a");
    put(b, 2, "of b");
    put(a, 3, "of a"); /* both number their files from 0 */
    assert_true(has(b, 1, "of a") && has(a, 2, "of b") && has(b, 3, "of a"));
    put(a, 1, "anew");
    assert_true(has(b, 1, "anew"));
    image_cache_close(a);
    image_cache_close(b);
    struct timespec long_ago[2] = {{.tv_sec = 1}, {.tv_sec = 1}};
    assert_int_equal(utimensat(AT_FDCWD, unfinished, long_ago, 0), 0);
    a = cache_open(CACHE_DISK, 0, 10, 0);
    assert_false(file_exists(unfinished));
    image_cache_close(a);
}

static int no_descriptors(void *arg, enum file_op op, const char *path, size_t *bytes)
{
    return op == FILE_OP_OPEN ? EMFILE : 0;
}

static void what_cannot_be_read_now_is_not_lost(void **state)
{
    struct image_cache *c = cache_open(CACHE_DISK, 0, 10, 0);
    struct error err = {0};
    put(c, 1, "whole");
    assert_true(image_cache_check(c, &err));
    file_test_set_hook(no_descriptors, NULL);
    assert_false(has(c, 1, "whole"));
    assert_false(image_cache_check(c, &err));
    file_test_set_hook(NULL, NULL);
    assert_true(has(c, 1, "whole"));
    image_cache_close(c);
}

static void without_a_cache_all_is_a_miss(void **state)
{
    struct image_cache *c = cache_open(CACHE_NONE, 10, 10, 0);
    put(c, 1, "x");
    assert_false(has(c, 1, "x"));
    image_cache_close(c);
}

static void what_is_on_disk_survives(void **state)
{
    struct image_cache *c = cache_open(CACHE_DISK, 0, 100, 0);
    for (unsigned i = 0; i < 50; i++)
        put(c, i, "on disk");
    put(c, 7, "anew");
    image_cache_close(c);
    c = cache_open(CACHE_DISK, 0, 100, 0);
    for (unsigned i = 0; i < 50; i++)
        assert_true(has(c, i, i == 7 ? "anew" : "on disk"));
    image_cache_close(c);
    c = cache_open(CACHE_DISK, 0, 10, 0); /* fewer may be: the files written last stay */
    unsigned left = 0;
    for (unsigned i = 0; i < 50; i++)
        left += has(c, i, i == 7 ? "anew" : "on disk");
    assert_int_equal(left, 10);
    assert_true(has(c, 7, "anew"));
    image_cache_close(c);
}

static void a_hit_on_disk_is_kept_in_memory(void **state)
{
    struct image_cache *c = cache_open(CACHE_HYBRID, 2, 100, 0);
    for (unsigned i = 0; i < 5; i++)
        put(c, i, "x");
    assert_true(has(c, 0, "x")); /* from disk */
    assert_int_equal(dir_remove(folder, NULL), true);
    assert_true(has(c, 0, "x")); /* from memory */
    assert_false(has(c, 1, "x"));
    image_cache_close(c);
    assert_int_equal(mkdir(folder, 0700), 0);
}

static bool has_now(struct image_cache *c, unsigned n)
{
    struct image_key key = key_of(n);
    struct cached_image *image = image_cache_get_now(c, &key);
    bool is_there = image != NULL;
    cached_image_unref(image);
    return is_there;
}

/* What would wait for a disk is not looked at. */
static void memory_answers_alone(void **state)
{
    struct image_cache *c = cache_open(CACHE_HYBRID, 2, 100, 0);
    for (unsigned i = 0; i < 3; i++)
        put(c, i, "x");
    assert_true(image_cache_may_wait(c));
    assert_true(has_now(c, 2) && has_now(c, 1) && !has_now(c, 0));
    assert_true(has(c, 0, "x") && has_now(c, 0));
    image_cache_close(c);
    c = cache_open(CACHE_DISK, 0, 100, 0);
    put(c, 7, "x");
    assert_true(image_cache_may_wait(c) && !has_now(c, 7) && has(c, 7, "x"));
    image_cache_close(c);
    c = cache_open(CACHE_MEMORY, 2, 0, 0);
    put(c, 1, "x");
    assert_true(!image_cache_may_wait(c) && has_now(c, 1) && !has_now(c, 2));
    image_cache_close(c);
}

/* Half of a sentence may say the opposite. */
static void cache_control_is_kept_whole_or_forbids_all(void **state)
{
    struct image_key key = key_of(1);
    char text[CACHED_IMAGE_TEXT_BYTES_MAX + 1];
    memset(text, 'x', sizeof(text));
    for (size_t len = sizeof(text) - 1; len <= sizeof(text); len++) {
        struct cached_image *image =
            cached_image_new(&key, VIEW("x"), VIEW("image/png"), (struct view){text, len}, 0);
        assert_true(len == sizeof(text) ? view_is(image->cache_control, "no-store")
                                        : image->cache_control.len == len);
        cached_image_unref(image);
    }
}

struct only_file {
    char path[256];
    const char *below;
};

static bool visit_file(void *arg, const char *name, bool is_dir)
{
    struct only_file *f = arg;
    if (is_dir) {
        char sub[128];
        (void)snprintf(sub, sizeof(sub), "%s/%s", folder, name);
        f->below = name;
        return dir_list(sub, visit_file, f, NULL);
    }
    (void)snprintf(f->path, sizeof(f->path), "%s/%s/%s", folder, f->below, name);
    return true;
}

/* Cut to any length, and with any byte changed: a miss, and the file is gone. */
static void a_torn_file_is_a_miss(void **state)
{
    struct buffer whole;
    buffer_init(&whole, MEM_OTHER, 1 << 20);
    for (unsigned mode = 0; mode < 2; mode++) {
        for (size_t at = 0;; at++) {
            struct only_file f = {.below = ""};
            struct error err = {0};
            struct image_cache *c = cache_open(CACHE_DISK, 0, 10, 0);
            put(c, 1, "the whole picture");
            assert_true(dir_list(folder, visit_file, &f, NULL));
            buffer_reset(&whole);
            assert_true(file_read_all(f.path, &whole, &err));
            if (at == whole.len) {
                image_cache_close(c);
                break;
            }
            if (mode == 0)
                whole.len = at;
            else
                whole.ptr[at] ^= 0x41;
            assert_true(file_replace(f.path, buffer_view(&whole), &err));
            assert_false(has(c, 1, "the whole picture"));
            assert_false(file_exists(f.path));
            image_cache_close(c);
        }
    }
    buffer_deinit(&whole);
}

static int no_space(void *arg, enum file_op op, const char *path, size_t *bytes)
{
    return op == FILE_OP_WRITE ? ENOSPC : 0;
}

static void a_full_disk_loses_only_the_new_one(void **state)
{
    struct image_cache *c = cache_open(CACHE_HYBRID, 10, 10, 0);
    struct image_key key = key_of(2);
    struct error err = {0};
    put(c, 1, "x");
    struct cached_image *image =
        cached_image_new(&key, VIEW("y"), VIEW("image/png"), VIEW("max-age=60"), 1700000002);
    file_test_set_hook(no_space, NULL);
    assert_false(image_cache_put(c, &key, image, &err));
    file_test_set_hook(NULL, NULL);
    assert_int_equal(err.kind, ERROR_NO_SPACE);
    cached_image_unref(image);
    assert_true(has(c, 1, "x"));
    assert_true(has(c, 2, "y")); /* in memory */
    image_cache_close(c);
    c = cache_open(CACHE_DISK, 0, 10, 0);
    assert_true(has(c, 1, "x"));
    assert_false(has(c, 2, "y"));
    image_cache_close(c);
}

static void what_is_not_ours_stays(void **state)
{
    char path[128];
    struct error err;
    (void)snprintf(path, sizeof(path), "%s/notes.txt", folder);
    assert_true(file_replace(path, VIEW("mine"), &err));
    struct image_cache *c = cache_open(CACHE_DISK, 0, 1, 0);
    put(c, 1, "x");
    put(c, 2, "x");
    image_cache_close(c);
    assert_true(file_exists(path));
    struct image_cache_options opts = {.type = CACHE_DISK,
                                       .memory_entries_max = 1,
                                       .disk_entries_max = 1,
                                       .disk_folder = "/nowhere/at/all"};
    assert_false(image_cache_open(&c, &opts, &err));
    assert_null(c);
}

enum { THREADS = 4, ROUNDS = 2000, KEYS = 40 };

static void *use_it(void *arg)
{
    struct image_cache *c = arg;
    unsigned seed = (unsigned)(uintptr_t)&seed;
    for (int i = 0; i < ROUNDS; i++) {
        unsigned n = (unsigned)rand_r(&seed) % KEYS;
        if (rand_r(&seed) % 4 == 0)
            put(c, n, "shared");
        else
            (void)has(c, n, "shared");
    }
    return NULL;
}

static void threads_share_it(void **state)
{
    struct image_cache *c = cache_open(CACHE_HYBRID, 5, 20, 0);
    pthread_t threads[THREADS];
    struct error err;
    for (int i = 0; i < THREADS; i++)
        assert_true(thread_start(&threads[i], "user", use_it, c, &err));
    for (int i = 0; i < THREADS; i++)
        thread_join(threads[i]);
    image_cache_close(c);
}

static int setup(void **state)
{
    (void)snprintf(folder, sizeof(folder), "/tmp/belfry-imgforge-XXXXXX");
    return mkdtemp(folder) ? 0 : -1;
}

static int teardown(void **state)
{
    return dir_remove(folder, NULL) ? 0 : -1;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(the_one_used_least_recently_goes, setup, teardown),
        cmocka_unit_test_setup_teardown(bytes_are_bounded, setup, teardown),
        cmocka_unit_test_setup_teardown(memory_may_have_less_than_disk, setup, teardown),
        cmocka_unit_test_setup_teardown(what_is_larger_than_the_cache_harms_no_other, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(two_processes_share_a_folder, setup, teardown),
        cmocka_unit_test_setup_teardown(what_cannot_be_read_now_is_not_lost, setup, teardown),
        cmocka_unit_test_setup_teardown(without_a_cache_all_is_a_miss, setup, teardown),
        cmocka_unit_test_setup_teardown(what_is_on_disk_survives, setup, teardown),
        cmocka_unit_test_setup_teardown(a_hit_on_disk_is_kept_in_memory, setup, teardown),
        cmocka_unit_test_setup_teardown(memory_answers_alone, setup, teardown),
        cmocka_unit_test_setup_teardown(cache_control_is_kept_whole_or_forbids_all, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(a_torn_file_is_a_miss, setup, teardown),
        cmocka_unit_test_setup_teardown(a_full_disk_loses_only_the_new_one, setup, teardown),
        cmocka_unit_test_setup_teardown(what_is_not_ours_stays, setup, teardown),
        cmocka_unit_test_setup_teardown(threads_share_it, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
