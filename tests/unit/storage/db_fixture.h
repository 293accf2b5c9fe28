/* SPDX-License-Identifier: Apache-2.0 */
/* db_fixture.h: a database in a folder of its own, and a plain list of what was told to it, written out as text
 * like the database's answer. */
#ifndef BELFRY_TESTS_DB_FIXTURE_H
#define BELFRY_TESTS_DB_FIXTURE_H

#include "storage/db.h"

#include "base/clock.h"
#include "base/file.h"
#include "base/random.h"
#include "base/thread.h"
#include "model/labels.h"
#include "storage/appender.h"
#include "storage/block.h"

#include <inttypes.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmocka.h>

enum { PATH_BYTES = 512, SERIES = 6, HOUR = 3600 * 1000, MINUTE = 60 * 1000 };
#define DAY ((int64_t)24 * HOUR)
#define START INT64_C(1700006400000) /* a multiple of two hours */
#define TEXT_BYTES_MAX ((size_t)64 << 20)

static inline unsigned long scale(void)
{
    const char *text = getenv("TEST_SCALE");
    unsigned long n = text ? strtoul(text, NULL, 10) : 1;
    return n ? n : 1;
}

#define assert_ok(call) assert_ok_at((call), &err, __LINE__)
static inline void assert_ok_at(bool ok, const struct error *err, int line)
{
    if (!ok)
        fail_msg("line %d: %s", line, err->message);
}

static inline const char *folder(void)
{
    static char dir[64]; /* the same in a process that was forked off */
    if (!dir[0])
        (void)snprintf(dir, sizeof dir, "/tmp/belfry_db_test.%d", (int)getpid());
    return dir;
}

static inline int folder_make(void **state)
{
    struct error err;
    assert_ok(dir_remove(folder(), &err));
    return 0;
}

static inline int folder_remove(void **state)
{
    struct error err;
    file_test_set_hook(NULL, NULL);
    clock_test_unfreeze();
    assert_ok(dir_remove(folder(), &err));
    return 0;
}

/* --- a database and what was told to it ----------------------------------------------------------- */

struct log {
    pthread_mutex_t mutex;
    char text[1 << 16];
    size_t len;
};
static struct log events = {.mutex = PTHREAD_MUTEX_INITIALIZER};

static inline void log_event(void *arg, bool is_error, const char *event, const char *text)
{
    struct log *l = arg;
    mutex_lock(&l->mutex);
    int n = snprintf(l->text + l->len, sizeof l->text - l->len, "%s %s: %s\n",
                     is_error ? "error" : "info", event, text);
    if (n > 0 && (size_t)n < sizeof l->text - l->len)
        l->len += (size_t)n;
    mutex_unlock(&l->mutex);
}

static inline bool log_has(const char *text)
{
    mutex_lock(&events.mutex);
    bool has = strstr(events.text, text) != NULL;
    mutex_unlock(&events.mutex);
    return has;
}

/* With the usual range it is the test that cuts, so that no look of the keeper comes between. */
static inline struct db *open_db_range(int64_t block_range_ms, int64_t retention_ms)
{
    struct error err;
    struct db *db;
    struct db_options opts = {.block_range_ms = block_range_ms,
                              .retention_ms = retention_ms,
                              .maintain_when_asked = block_range_ms == 2 * HOUR,
                              .log = log_event,
                              .log_arg = &events};
    assert_ok(db_open(&db, folder(), &opts, NULL, &err));
    return db;
}

static inline struct db *open_db(int64_t retention_ms)
{
    return open_db_range(2 * HOUR, retention_ms);
}

struct fed { /* what was appended: series name -> samples, in order of time */
    struct {
        int64_t t;
        double v;
    } * samples[SERIES];
    size_t count[SERIES], capacity[SERIES];
};

static inline void fed_free(struct fed *f)
{
    for (int i = 0; i < SERIES; i++)
        mem_free(MEM_OTHER, f->samples[i]);
}

static inline struct labels series_labels(struct arena *arena, int i)
{
    struct labels_builder b;
    labels_builder_init(&b, arena);
    labels_builder_set(&b, VIEW(LABEL_NAME), i % 2 ? VIEW("requests_total") : VIEW("up"));
    labels_builder_set(&b, VIEW("n"), arena_printf(arena, "%d", i));
    return labels_builder_finish(&b);
}

/* Opens group number g, whose series are 2g and 2g + 1. */
static inline struct group *open_group(struct db *db, int g, uint32_t slots[2])
{
    struct error err;
    struct arena arena;
    struct group *group;
    char key[16];
    arena_init(&arena, MEM_OTHER, 0);
    (void)snprintf(key, sizeof key, "group %d", g);
    assert_ok(db_group_open(db, view_from(key), &group, &err));
    for (int i = 0; i < 2; i++)
        assert_ok(group_slot(group, series_labels(&arena, g * 2 + i), &slots[i], &err));
    arena_deinit(&arena);
    return group;
}

static inline void feed(struct fed *f, int series, int64_t t, double v)
{
    f->samples[series] = mem_grow(MEM_OTHER, f->samples[series], &f->capacity[series],
                                  f->count[series] + 1, sizeof f->samples[series][0]);
    f->samples[series][f->count[series]].t = t;
    f->samples[series][f->count[series]++].v = v;
}

/* One row of a group; a missing cell now and then. */
static inline void append_row(struct group *group, const uint32_t slots[2], struct fed *f, int g,
                              int64_t t, struct random *r, bool wait)
{
    struct error err;
    struct appender a = {0};
    assert_ok(appender_begin(&a, group, t, &err));
    for (int i = 0; i < 2; i++) {
        if (random_below(r, 10) == 0)
            continue;
        double v = i ? (double)(t - START) / 1000 : random_unit(r);
        appender_sample(&a, slots[i], v);
        if (f)
            feed(f, g * 2 + i, t, v);
    }
    assert_ok(appender_commit(&a, wait ? APPENDER_WAIT : 0, &err));
}

/* Rows of all groups each `step` in [from, to), with some jitter per group. */
static inline void append_span(struct db *db, struct fed *f, struct random *r, int64_t from,
                               int64_t to, int64_t step)
{
    struct group *groups[SERIES / 2];
    uint32_t slots[SERIES / 2][2];
    for (int g = 0; g < SERIES / 2; g++)
        groups[g] = open_group(db, g, slots[g]);
    for (int64_t t = from; t < to; t += step)
        for (int g = 0; g < SERIES / 2; g++)
            append_row(groups[g], slots[g], f, g, t + g + (g ? (int64_t)random_below(r, 5) : 0), r,
                       false);
    for (int g = 0; g < SERIES / 2; g++)
        group_close(groups[g]);
    db_flush(db);
}

/* --- answers as text ------------------------------------------------------------------------------ */

static inline void write_sample(struct buffer *out, int64_t t, double v)
{
    buffer_printf(out, " %" PRId64 "=%016" PRIx64, t, sample_bits(v));
}

struct line {
    struct view text;
};
static inline int line_order(const void *a, const void *b)
{
    return view_cmp(((const struct line *)a)->text, ((const struct line *)b)->text);
}

/* Everything in [mint, maxt] that a view gives, a line per series, sorted. */
static inline void view_text(struct storage_view *view, int64_t mint, int64_t maxt,
                             struct buffer *out, uint64_t *lost)
{
    struct error err;
    struct arena arena;
    struct series_list list;
    struct select what = {.mint = mint, .maxt = maxt};
    struct label_store *store = label_store_new(MEM_OTHER, 0);
    arena_init(&arena, MEM_OTHER, 0);
    assert_ok(view_select(view, &what, store, &arena, &list, &err));
    struct storage_reader *reader = view_reader_new(view, NULL, &err);
    struct line *lines = ARENA_ARRAY(&arena, struct line, list.count + 1);
    size_t count = 0;
    for (size_t i = 0; i < list.count; i++) {
        struct buffer b;
        struct samples got;
        buffer_init(&b, MEM_OTHER, TEXT_BYTES_MAX);
        labels_format(&b, label_store_labels(store, list.items[i].labels, &arena));
        assert_ok(reader_read(reader, list.items[i].ref, mint, maxt, &got, &err));
        for (size_t k = 0; k < got.count; k++)
            write_sample(&b, got.times[k], got.values[k]);
        if (got.count > 0)
            lines[count++].text = arena_copy(&arena, buffer_view(&b));
        buffer_deinit(&b);
    }
    qsort(lines, count, sizeof *lines, line_order);
    for (size_t i = 0; i < count; i++) {
        buffer_append_view(out, lines[i].text);
        buffer_append_byte(out, '\n');
    }
    if (lost)
        *lost = reader->lost_count;
    storage_reader_free(reader);
    label_store_free(store);
    arena_deinit(&arena);
}

static inline void db_text(struct db *db, int64_t mint, int64_t maxt, struct buffer *out,
                           uint64_t *lost)
{
    struct error err;
    struct storage_view *view = source_pin(db_as_source(db), mint, maxt, &err);
    assert_non_null(view);
    view_text(view, mint, maxt, out, lost);
    view_release(view);
}

static inline void fed_text(const struct fed *f, int64_t mint, int64_t maxt, struct buffer *out)
{
    struct arena arena;
    struct line lines[SERIES];
    size_t count = 0;
    arena_init(&arena, MEM_OTHER, 0);
    for (int i = 0; i < SERIES; i++) {
        struct buffer b;
        bool any = false;
        buffer_init(&b, MEM_OTHER, TEXT_BYTES_MAX);
        labels_format(&b, series_labels(&arena, i));
        for (size_t k = 0; k < f->count[i]; k++)
            if (f->samples[i][k].t >= mint && f->samples[i][k].t <= maxt) {
                write_sample(&b, f->samples[i][k].t, f->samples[i][k].v);
                any = true;
            }
        if (any)
            lines[count++].text = arena_copy(&arena, buffer_view(&b));
        buffer_deinit(&b);
    }
    qsort(lines, count, sizeof *lines, line_order);
    for (size_t i = 0; i < count; i++) {
        buffer_append_view(out, lines[i].text);
        buffer_append_byte(out, '\n');
    }
    arena_deinit(&arena);
}

#define assert_answer(db, fed, mint, maxt) assert_answer_at((db), (fed), (mint), (maxt), __LINE__)
static inline void assert_answer_at(struct db *db, const struct fed *f, int64_t mint, int64_t maxt,
                                    int line)
{
    struct buffer got, expected;
    buffer_init(&got, MEM_OTHER, TEXT_BYTES_MAX);
    buffer_init(&expected, MEM_OTHER, TEXT_BYTES_MAX);
    db_text(db, mint, maxt, &got, NULL);
    fed_text(f, mint, maxt, &expected);
    size_t same = 0;
    while (same < got.len && same < expected.len && got.ptr[same] == expected.ptr[same])
        same++;
    if (!view_eq(buffer_view(&got), buffer_view(&expected)))
        fail_msg("line %d: [%" PRId64 ", %" PRId64
                 "]: %zu bytes of answer, %zu expected, differ from %zu\n%.300s\n%.300s",
                 line, mint, maxt, got.len, expected.len, same,
                 got.len ? got.ptr + (same > 100 ? same - 100 : 0) : "",
                 expected.len ? expected.ptr + (same > 100 ? same - 100 : 0) : "");
    buffer_deinit(&got);
    buffer_deinit(&expected);
}

static inline struct db_stats stats_of(struct db *db)
{
    struct db_stats s;
    db_stats_get(db, &s);
    return s;
}

static inline void close_db(struct db *db)
{
    struct error err;
    assert_ok(db_close(db, &err));
}

/* --- folders of blocks ---------------------------------------------------------------------------- */

struct find {
    char name[PATH_BYTES];
    size_t count;
};
static inline bool find_block(void *arg, const char *name, bool is_dir)
{
    struct find *f = arg;
    if (is_dir && strlen(name) == 26 && f->count++ == 0)
        (void)snprintf(f->name, sizeof f->name, "%.26s", name);
    return true;
}

static inline void flip_byte(const char *path, long at)
{
    FILE *fp = fopen(path, "r+b");
    assert_non_null(fp);
    assert_int_equal(fseek(fp, at, SEEK_SET), 0);
    int c = fgetc(fp);
    assert_int_equal(fseek(fp, at, SEEK_SET), 0);
    assert_int_not_equal(fputc(c ^ 0x10, fp), EOF);
    assert_int_equal(fclose(fp), 0);
}

/* Writes a block of the series up{n="0"} and up{n="2"}: the first with these samples, the other's values are
 * greater by 100. */
static inline void write_block(int64_t mint, int64_t maxt, const int64_t *times,
                               const double *values, size_t count)
{
    struct error err;
    struct arena arena;
    struct block_writer *w;
    struct block_meta meta;
    double own[8];
    struct samples s = {.times = times, .values = own, .count = count};
    assert_true(count <= ARRAY_COUNT(own));
    arena_init(&arena, MEM_OTHER, 0);
    assert_ok(dir_create(folder(), &err));
    assert_ok(block_writer_open(&w, folder(), mint, maxt, &err));
    for (int i = 0; i < 4; i += 2) {
        for (size_t k = 0; k < count; k++)
            own[k] = values[k] + 50 * i;
        assert_ok(block_writer_add(w, series_labels(&arena, i), &s, &err));
    }
    assert_ok(block_writer_finish(w, &meta, &err));
    arena_deinit(&arena);
}

#endif
