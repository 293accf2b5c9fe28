/* SPDX-License-Identifier: Apache-2.0 */
/* head_fixture.h: a head in a folder of its own, and a plain model of what it must hold. */
#ifndef BELFRY_TESTS_HEAD_FIXTURE_H
#define BELFRY_TESTS_HEAD_FIXTURE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/clock.h"
#include "base/file.h"
#include "storage/head.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define T0 INT64_C(1700000000000)

static inline struct labels fixture_labels(struct arena *arena, const char *text)
{
    struct labels ls;
    struct error err;
    if (!labels_parse(arena, view_from(text), &ls, &err))
        fail_msg("%s: %s", text, err.message);
    return ls;
}

/* In memory when there is such a folder: these tests sync thousands of times, and lose nothing by a power cut. */
static inline void fixture_dir(char *out, size_t bytes)
{
    const char *tmp = getenv("TMPDIR"),
               *otherwise = access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp";
    snprintf(out, bytes, "%s/belfry-head-XXXXXX", tmp ? tmp : otherwise);
    assert_non_null(mkdtemp(out));
}

static inline void fixture_dir_remove(const char *dir)
{
    struct error err;
    if (!dir_remove(dir, &err))
        fail_msg("%s", err.message);
}

/* Reads what is there on two workers and this thread. */
static inline struct head *fixture_open(const char *dir, int64_t block_maxt,
                                        const struct db_options *opts)
{
    struct head *h = NULL;
    struct pool *pool;
    struct error err;
    if (!pool_start(&pool, 2, 64, &err) || !head_open(&h, dir, block_maxt, opts, pool, &err))
        fail_msg("%s", err.message);
    pool_stop(pool);
    return h;
}

static inline void fixture_close(struct head *h)
{
    struct error err;
    if (!head_close(h, &err))
        fail_msg("%s", err.message);
}

static inline struct group *fixture_group(struct head *h, const char *key)
{
    struct group *g;
    struct error err;
    if (!head_group_open(h, view_from(key), &g, &err))
        fail_msg("%s", err.message);
    return g;
}

static inline uint32_t fixture_slot(struct group *g, const char *labels)
{
    struct arena arena;
    struct error err;
    uint32_t slot;
    arena_init(&arena, MEM_OTHER, 0);
    if (!group_slot(g, fixture_labels(&arena, labels), &slot, &err))
        fail_msg("%s", err.message);
    arena_deinit(&arena);
    return slot;
}

/* One row of one sample. */
static inline bool fixture_append(struct group *g, const char *labels, int64_t t, double value,
                                  unsigned flags, struct error *err)
{
    struct appender a;
    uint32_t slot = fixture_slot(g, labels);
    if (!appender_begin(&a, g, t, err))
        return false;
    appender_sample(&a, slot, value);
    return appender_commit(&a, flags, err);
}

/* The samples of one series by its exact labels; -1 = no such series. Copies to t and v. */
static inline long fixture_read(struct head *h, const char *labels, int64_t mint, int64_t maxt,
                                int64_t *t, double *v, size_t max)
{
    struct arena arena;
    struct error err;
    arena_init(&arena, MEM_OTHER, 0);
    struct labels ls = fixture_labels(&arena, labels);
    struct matcher *ms = arena_alloc_zero(&arena, ls.count, sizeof *ms);
    for (uint32_t i = 0; i < ls.count; i++)
        assert_true(matcher_init(&ms[i], MATCH_EQUAL, ls.items[i].name, ls.items[i].value, &err));
    struct select what = {ms, ls.count, mint, maxt, 0};
    struct label_store *store = label_store_new(MEM_QUERY, 0);
    struct head_view *view = head_pin(h, INT64_MIN);
    struct head_reader *reader = head_reader_new(view);
    struct series_list list;
    long count = -1;
    assert_true(head_select(view, &what, store, &arena, &list, &err));
    for (size_t i = 0; i < list.count; i++) {
        struct samples s;
        if (!labels_equal(label_store_labels(store, list.items[i].labels, &arena), ls))
            continue;
        assert_int_equal(count, -1);
        assert_true(head_reader_read(reader, list.items[i].ref, mint, maxt, NULL, &s, &err));
        assert_true(s.count <= max);
        count = (long)s.count;
        for (size_t k = 0; k < s.count; k++) {
            t[k] = s.times[k];
            v[k] = s.values[k];
        }
    }
    for (uint32_t i = 0; i < ls.count; i++)
        matcher_deinit(&ms[i]);
    head_reader_free(reader);
    head_view_release(view);
    label_store_free(store);
    arena_deinit(&arena);
    return count;
}

#endif
