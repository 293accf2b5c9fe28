/* SPDX-License-Identifier: Apache-2.0 */
/* block_test.c: what a block was given comes back, found by any matcher, in any window; damage of any
 * byte is noticed; a writer that fails leaves nothing behind. The oracle is a plain array of series. */
#include "storage/block.h"

#include "base/file.h"
#include "base/random.h"
#include "storage/ulid.h"

#include <errno.h>
#include <inttypes.h>
#include <jansson.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmocka.h>

enum { SERIES_MAX = 400, SAMPLES_MAX = 700, PATH_BYTES = 4096 };

struct model_series {
    struct labels labels;
    int64_t *times;
    double *values;
    size_t count;
    uint64_t times_id;
};

struct model {
    struct arena arena;
    struct model_series series[SERIES_MAX];
    size_t count;
};

static unsigned long scale(void)
{
    const char *text = getenv("TEST_SCALE");
    unsigned long n = text ? strtoul(text, NULL, 10) : 1;
    return n ? n : 1;
}

#define assert_ok(call) assert_ok_at((call), &err, __LINE__)
static void assert_ok_at(bool ok, const struct error *err, int line)
{
    if (!ok)
        fail_msg("line %d: %s", line, err->message);
}

static const char *folder(void)
{
    static char dir[64];
    (void)snprintf(dir, sizeof dir, "/tmp/belfry_block_test.%d", (int)getpid());
    return dir;
}

static int folder_make(void **state)
{
    struct error err;
    assert_ok(dir_remove(folder(), &err));
    assert_ok(dir_create(folder(), &err));
    return 0;
}

static int folder_remove(void **state)
{
    struct error err;
    file_test_set_hook(NULL, NULL);
    assert_ok(dir_remove(folder(), &err));
    return 0;
}

/* --- model ---------------------------------------------------------------------------------------- */

static int series_order(const void *a, const void *b)
{
    return labels_compare(((const struct model_series *)a)->labels,
                          ((const struct model_series *)b)->labels);
}

static void fill_values(struct random *r, struct model_series *s)
{
    unsigned shape = (unsigned)random_below(r, 5);
    double v = (double)random_below(r, 100000);
    for (size_t i = 0; i < s->count; i++) {
        v = shape == 0   ? v
            : shape == 1 ? v + (double)random_below(r, 100)
            : shape == 2 ? (double)random_below(r, 10000) / 100
            : shape == 3 ? random_unit(r)
                         : sample_from_bits(random_next(r));
        s->values[i] = shape < 4 && random_below(r, 200) == 0 ? sample_stale() : v;
    }
}

/* Random series in [0, maxt): some share their times by id, some by content, some do not. */
static void model_fill(struct model *m, struct random *r, size_t count, int64_t maxt)
{
    static const char *const NAMES[] = {"up", "http_requests_total", "cpu_seconds_total",
                                        "utf-8 ü"};
    static const char *const JOBS[] = {"api", "db", "node"};
    arena_init(&m->arena, MEM_OTHER, 0);
    m->count = 0;
    for (size_t i = 0; i < count; i++) {
        struct labels_builder b;
        labels_builder_init(&b, &m->arena);
        labels_builder_set(&b, VIEW(LABEL_NAME), view_from(NAMES[random_below(r, 4)]));
        labels_builder_set(&b, VIEW("job"), view_from(JOBS[random_below(r, 3)]));
        labels_builder_set(
            &b, VIEW("instance"),
            arena_printf(&m->arena, "host-%03" PRIu64 ":9100", random_below(r, 150)));
        if (random_below(r, 3) == 0)
            labels_builder_set(&b, VIEW("code"),
                               arena_printf(&m->arena, "%" PRIu64, 200 + random_below(r, 9)));
        struct model_series *s = &m->series[m->count];
        *s = (struct model_series){.labels = labels_copy(&m->arena, labels_builder_finish(&b))};
        bool known = false;
        for (size_t k = 0; k < m->count; k++)
            known |= labels_equal(m->series[k].labels, s->labels);
        if (known)
            continue;
        if (m->count > 0 && random_below(r, 2)) {
            *s = (struct model_series){s->labels, m->series[m->count - 1].times, NULL,
                                       m->series[m->count - 1].count,
                                       m->series[m->count - 1].times_id};
        } else {
            s->count = random_below(r, SAMPLES_MAX);
            s->times = ARENA_ARRAY(&m->arena, int64_t, s->count + 1);
            s->times_id = random_below(r, 2) ? i + 1 : 0;
            int64_t t = (int64_t)random_below(r, 100), step = maxt / SAMPLES_MAX - 1;
            for (size_t k = 0; k < s->count; k++, t += 1 + (int64_t)random_below(r, 2) * (step - 1))
                s->times[k] = t;
        }
        s->values = ARENA_ARRAY(&m->arena, double, s->count + 1);
        fill_values(r, s);
        m->count++;
    }
    qsort(m->series, m->count, sizeof *m->series, series_order);
}

static struct samples model_samples(const struct model_series *s)
{
    return (struct samples){
        .times = s->times, .values = s->values, .count = s->count, .times_id = s->times_id};
}

static bool model_write(const struct model *m, int64_t maxt, struct block_meta *meta,
                        struct error *err)
{
    struct block_writer *w;
    if (!block_writer_open(&w, folder(), 0, maxt, err))
        return false;
    for (size_t i = 0; i < m->count; i++) {
        struct samples s = model_samples(&m->series[i]);
        if (!block_writer_add(w, m->series[i].labels, &s, err)) {
            block_writer_discard(w);
            return false;
        }
    }
    return block_writer_finish(w, meta, err);
}

static void block_dir(char out[PATH_BYTES], const struct block_meta *meta)
{
    int len = snprintf(out, PATH_BYTES, "%s/%s", folder(), meta->ulid);
    assert_in_range(len, 1, PATH_BYTES - 1);
}

/* --- round trip ----------------------------------------------------------------------------------- */

static bool model_matches(const struct model_series *s, const struct select *what)
{
    for (size_t i = 0; i < what->matcher_count; i++)
        if (!matcher_matches(&what->matchers[i], labels_get(s->labels, what->matchers[i].name)))
            return false;
    return s->count > 0 && s->times[0] <= what->maxt && s->times[s->count - 1] >= what->mint;
}

static void check_read(struct block_reader *reader, uint64_t ref, const struct model_series *s,
                       int64_t mint, int64_t maxt, uint64_t *times_id)
{
    struct error err;
    struct samples got;
    size_t from = 0, to = s->count;
    assert_ok(block_reader_read(reader, ref, mint, maxt, NULL, &got, &err));
    while (from < s->count && s->times[from] < mint)
        from++;
    while (to > from && s->times[to - 1] > maxt)
        to--;
    assert_int_equal(got.count, to - from);
    if (got.count > 0) {
        assert_memory_equal(got.times, s->times + from, got.count * sizeof *got.times);
        assert_memory_equal(got.values, s->values + from, got.count * sizeof *got.values);
    }
    *times_id = got.times_id;
}

static void check_select(struct block *b, const struct model *m, const struct select *what)
{
    struct error err;
    struct arena arena;
    struct series_list list;
    struct label_store *store = label_store_new(MEM_OTHER, 0);
    size_t expected = 0;
    arena_init(&arena, MEM_OTHER, 0);
    assert_ok(block_select(b, what, store, &arena, &list, &err));
    for (size_t i = 0; i < m->count; i++)
        expected += model_matches(&m->series[i], what);
    assert_int_equal(list.count, expected);
    struct block_reader *reader = block_reader_new(b);
    for (size_t i = 0; i < list.count; i++) {
        struct labels ls = label_store_labels(store, list.items[i].labels, &arena);
        const struct model_series key = {.labels = ls};
        const struct model_series *s =
            bsearch(&key, m->series, m->count, sizeof *m->series, series_order);
        uint64_t times_id, again;
        assert_non_null(s);
        assert_true(model_matches(s, what));
        check_read(reader, list.items[i].ref, s, what->mint, what->maxt, &times_id);
        check_read(reader, list.items[i].ref, s, what->mint, what->maxt, &again);
        assert_int_equal(times_id, again);
    }
    block_reader_free(reader);
    label_store_free(store);
    arena_deinit(&arena);
}

static int view_order(const void *a, const void *b)
{
    return view_cmp(*(const struct view *)a, *(const struct view *)b);
}

static void check_listing(struct block *b, const struct model *m, const struct select *what,
                          const char *name)
{
    struct error err;
    struct arena arena;
    struct view *got, expected[SERIES_MAX * 5];
    size_t got_count, count = 0, distinct = 0;
    arena_init(&arena, MEM_OTHER, 0);
    for (size_t i = 0; i < m->count; i++) {
        if (!model_matches(&m->series[i], what))
            continue;
        for (uint32_t k = 0; !name && k < m->series[i].labels.count; k++)
            expected[count++] = m->series[i].labels.items[k].name;
        if (name && labels_get(m->series[i].labels, view_from(name)).len > 0)
            expected[count++] = labels_get(m->series[i].labels, view_from(name));
    }
    qsort(expected, count, sizeof *expected, view_order);
    for (size_t i = 0; i < count; i++)
        if (i == 0 || !view_eq(expected[i], expected[i - 1]))
            expected[distinct++] = expected[i];
    if (name)
        assert_ok(block_label_values(b, view_from(name), what, 0, &arena, &got, &got_count, &err));
    else
        assert_ok(block_label_names(b, what, 0, &arena, &got, &got_count, &err));
    assert_int_equal(got_count, distinct);
    for (size_t i = 0; i < distinct; i++)
        assert_true(view_eq(got[i], expected[i]));
    if (distinct > 1) {
        assert_ok(
            name ? block_label_values(b, view_from(name), what, 1, &arena, &got, &got_count, &err)
                 : block_label_names(b, what, 1, &arena, &got, &got_count, &err));
        assert_int_equal(got_count, 1);
    }
    arena_deinit(&arena);
}

static const struct {
    enum matcher_type type;
    const char *name, *value;
} MATCHERS[] = {
    {MATCH_EQUAL, "__name__", "up"},
    {MATCH_EQUAL, "__name__", "utf-8 ü"},
    {MATCH_EQUAL, "job", "api"},
    {MATCH_EQUAL, "job", "nobody"},
    {MATCH_EQUAL, "code", ""},
    {MATCH_EQUAL, "nowhere", ""},
    {MATCH_EQUAL, "nowhere", "x"},
    {MATCH_EQUAL, "instance", "host-007:9100"},
    {MATCH_NOT_EQUAL, "job", "db"},
    {MATCH_NOT_EQUAL, "code", ""},
    {MATCH_NOT_EQUAL, "code", "200"},
    {MATCH_NOT_EQUAL, "nowhere", "x"},
    {MATCH_REGEX, "instance", "host-00.*"},
    {MATCH_REGEX, "instance", "host-(001|002|090):9100"},
    {MATCH_REGEX, "instance", "host-001:9100|host-002:9100|nobody"},
    {MATCH_REGEX, "instance", ".*5:9100"},
    {MATCH_REGEX, "code", "20[0-4]|"},
    {MATCH_REGEX, "code", ".+"},
    {MATCH_REGEX, "nowhere", ".*"},
    {MATCH_REGEX, "nowhere", ".+"},
    {MATCH_NOT_REGEX, "instance", "host-0.*"},
    {MATCH_NOT_REGEX, "code", "20[0-4]"},
    {MATCH_NOT_REGEX, "code", ".+"},
    {MATCH_NOT_REGEX, "job", "api|db"},
};

/* Random series, then random combinations of the matchers above in random windows, against a filter over
 * the plain array. */
static void block_gives_back_what_was_written(void **state)
{
    enum { MAXT = 7200000 };
    static struct model m;
    struct random r;
    struct error err;
    random_seed(&r, 11);
    for (unsigned long round = 0; round < 6 * scale(); round++) {
        struct block_meta meta;
        struct block *b;
        char dir[PATH_BYTES];
        uint64_t samples = 0, series = 0;
        model_fill(&m, &r, round == 0 ? 1 : 1 + random_below(&r, SERIES_MAX), MAXT);
        for (size_t i = 0; i < m.count; i++) {
            samples += m.series[i].count;
            series += m.series[i].count > 0;
        }
        assert_ok(model_write(&m, MAXT, &meta, &err));
        assert_int_equal(meta.sample_count, samples);
        if (samples == 0) {
            arena_deinit(&m.arena);
            continue;
        }
        block_dir(dir, &meta);
        assert_ok(block_open(&b, dir, &err));
        assert_int_equal(block_get_meta(b)->series_count, series);
        assert_int_equal(block_get_meta(b)->sample_count, samples);
        assert_int_equal(block_get_meta(b)->bytes, dir_bytes(dir));
        for (int i = 0; i < 60; i++) {
            struct matcher matchers[3];
            struct select what = {matchers, i ? random_below(&r, 4) : 0, 0, MAXT, 0};
            for (size_t k = 0; k < what.matcher_count; k++) {
                size_t c = random_below(&r, ARRAY_COUNT(MATCHERS));
                assert_ok(matcher_init(&matchers[k], MATCHERS[c].type, view_from(MATCHERS[c].name),
                                       view_from(MATCHERS[c].value), &err));
            }
            if (what.matcher_count > 0) /* without matchers, listings look at no times */
                check_listing(b, &m, &what, i % 2 ? NULL : i % 4 ? "instance" : "code");
            else
                check_listing(b, &m, &(struct select){.mint = INT64_MIN, .maxt = INT64_MAX}, NULL);
            what.mint = (int64_t)random_below(&r, MAXT);
            what.maxt = what.mint + (int64_t)random_below(&r, MAXT);
            check_select(b, &m, &what);
            for (size_t k = 0; k < what.matcher_count; k++)
                matcher_deinit(&matchers[k]);
        }
        block_unref(b);
        arena_deinit(&m.arena);
    }
}

/* Each EQUAL, NOT_EQUAL and regex of the table alone. */
static void each_matcher_finds_its_series(void **state)
{
    static struct model m;
    struct random r;
    struct error err;
    struct block_meta meta;
    struct block *b;
    char dir[PATH_BYTES];
    random_seed(&r, 5);
    model_fill(&m, &r, SERIES_MAX, 7200000);
    assert_ok(model_write(&m, 7200000, &meta, &err));
    block_dir(dir, &meta);
    assert_ok(block_open(&b, dir, &err));
    for (size_t i = 0; i < ARRAY_COUNT(MATCHERS); i++) {
        struct matcher matcher;
        struct select what = {&matcher, 1, INT64_MIN, INT64_MAX, 0};
        assert_ok(matcher_init(&matcher, MATCHERS[i].type, view_from(MATCHERS[i].name),
                               view_from(MATCHERS[i].value), &err));
        check_select(b, &m, &what);
        check_listing(b, &m, &what, "instance");
        check_listing(b, &m, &what, NULL);
        matcher_deinit(&matcher);
    }
    struct select all = {NULL, 0, INT64_MIN, INT64_MAX, 3};
    struct series_list list;
    struct label_store *store = label_store_new(MEM_OTHER, 0);
    assert_false(block_select(b, &all, store, &m.arena, &list, &err));
    assert_int_equal(err.kind, ERROR_LIMIT);
    assert_string_equal(err.message, "the query selects more than 3 series");
    label_store_free(store);
    block_unref(b);
    arena_deinit(&m.arena);
}

/* meta.json has the fields that Prometheus' tools read. */
static void meta_json_has_the_shape_of_prometheus(void **state)
{
    static struct model m;
    struct random r;
    struct error err;
    struct block_meta meta;
    char path[PATH_BYTES + 16], dir[PATH_BYTES];
    random_seed(&r, 3);
    model_fill(&m, &r, 50, 7200000);
    assert_ok(model_write(&m, 7200000, &meta, &err));
    block_dir(dir, &meta);
    (void)snprintf(path, sizeof path, "%s/meta.json", dir);
    json_t *root = json_load_file(path, 0, NULL);
    const char *ulid, *source;
    json_int_t mint, maxt, samples, series, chunks, level, version;
    assert_int_equal(json_unpack(root, "{s:s, s:I, s:I, s:{s:I, s:I, s:I}, s:{s:I, s:[s]}, s:I}",
                                 "ulid", &ulid, "minTime", &mint, "maxTime", &maxt, "stats",
                                 "numSamples", &samples, "numSeries", &series, "numChunks", &chunks,
                                 "compaction", "level", &level, "sources", &source, "version",
                                 &version),
                     0);
    assert_true(ulid_is_valid(ulid));
    assert_string_equal(ulid, meta.ulid);
    assert_string_equal(source, meta.ulid);
    assert_int_equal(mint, 0);
    assert_int_equal(maxt, 7200000);
    assert_int_equal(samples, meta.sample_count);
    assert_int_equal(series, meta.series_count);
    assert_int_equal(chunks, meta.series_count);
    assert_int_equal(level, 1);
    assert_int_equal(version, 1);
    json_decref(root);
    arena_deinit(&m.arena);
}

/* --- damage --------------------------------------------------------------------------------------- */

/* Three series of a few samples, one with times of its own: a block of few bytes. */
static void model_small(struct model *m)
{
    static const char *const SERIES[] = {"a{x=\"1\"}", "a{x=\"2\"}", "b"};
    struct error err;
    arena_init(&m->arena, MEM_OTHER, 0);
    m->count = ARRAY_COUNT(SERIES);
    for (size_t i = 0; i < m->count; i++) {
        struct model_series *s = &m->series[i];
        assert_ok(labels_parse(&m->arena, view_from(SERIES[i]), &s->labels, &err));
        s->count = 6;
        s->times = ARENA_ARRAY(&m->arena, int64_t, s->count);
        s->values = ARENA_ARRAY(&m->arena, double, s->count);
        s->times_id = 0;
        for (size_t k = 0; k < s->count; k++) {
            s->times[k] = (int64_t)(k * 15000 + (i == 2 ? k * k : 0));
            s->values[k] = i == 0 ? 1 : (double)(k * 7919 % 13) / (i == 1 ? 1 : 3);
        }
    }
}

struct outcome {
    unsigned refused, lost, whole;
};

/* Opens and reads everything. What is served must be right; the rest must be an error of damage. */
static void read_damaged(const char *dir, const struct model *m, struct outcome *o)
{
    struct error err;
    struct arena arena;
    struct block *b;
    struct series_list list;
    bool lost = false;
    if (!block_open(&b, dir, &err)) {
        assert_true(err.kind == ERROR_CORRUPT || err.kind == ERROR_NOT_FOUND);
        o->refused++;
        return;
    }
    struct select all = {NULL, 0, INT64_MIN, INT64_MAX, 0};
    struct label_store *store = label_store_new(MEM_OTHER, 0);
    arena_init(&arena, MEM_OTHER, 0);
    assert_ok(block_select(b, &all, store, &arena, &list, &err));
    assert_int_equal(list.count, m->count);
    struct block_reader *reader = block_reader_new(b);
    for (size_t i = 0; i < list.count; i++) {
        struct samples got;
        const struct model_series key = {
            .labels = label_store_labels(store, list.items[i].labels, &arena)};
        const struct model_series *s =
            bsearch(&key, m->series, m->count, sizeof *m->series, series_order);
        assert_non_null(s);
        if (!block_reader_read(reader, list.items[i].ref, INT64_MIN, INT64_MAX, NULL, &got, &err)) {
            assert_int_equal(err.kind, ERROR_CORRUPT);
            assert_non_null(strstr(err.message, "columns"));
            lost = true;
            continue;
        }
        assert_int_equal(got.count, s->count);
        assert_memory_equal(got.times, s->times, s->count * sizeof *s->times);
        assert_memory_equal(got.values, s->values, s->count * sizeof *s->values);
    }
    o->lost += lost;
    o->whole += !lost;
    block_reader_free(reader);
    block_unref(b);
    label_store_free(store);
    arena_deinit(&arena);
}

static void file_put(const char *path, const char *bytes, size_t len)
{
    FILE *f = fopen(path, "wb");
    assert_non_null(f);
    assert_int_equal(fwrite(bytes, 1, len, f), len);
    assert_int_equal(fclose(f), 0);
}

static const char *const FILES[] = {"meta.json", "index", "columns"};

/* Every byte of every file, one after the other, with three kinds of flips. */
static void a_flipped_byte_is_noticed(void **state)
{
    static const char FLIPS[] = {1, (char)0x80, (char)0xff};
    static struct model m;
    struct error err;
    struct block_meta meta;
    struct outcome o = {0};
    char dir[PATH_BYTES], path[PATH_BYTES + 16];
    model_small(&m);
    assert_ok(model_write(&m, 7200000, &meta, &err));
    block_dir(dir, &meta);
    read_damaged(dir, &m, &o);
    assert_int_equal(o.whole, 1);
    for (size_t f = 0; f < ARRAY_COUNT(FILES); f++) {
        struct buffer b;
        buffer_init(&b, MEM_OTHER, 1 << 20);
        (void)snprintf(path, sizeof path, "%s/%s", dir, FILES[f]);
        assert_ok(file_read_all(path, &b, &err));
        for (size_t i = 0; i < b.len; i++) {
            struct outcome one = {0};
            char flip = FLIPS[i % ARRAY_COUNT(FLIPS)];
            b.ptr[i] ^= flip;
            file_put(path, b.ptr, b.len);
            b.ptr[i] ^= flip;
            read_damaged(dir, &m, &one);
            /* meta.json has blanks and "sources", which nothing depends on. */
            assert_true(f == 0 || one.whole == 0);
            o.refused += one.refused;
            o.lost += one.lost;
        }
        file_put(path, b.ptr, b.len);
        buffer_deinit(&b);
    }
    print_message("%u flips refused the block, %u lost a column\n", o.refused, o.lost);
    assert_true(o.lost > 0);
    arena_deinit(&m.arena);
}

/* Each file cut at each length, and missing. */
static void a_cut_file_is_noticed(void **state)
{
    static struct model m;
    struct error err;
    struct block_meta meta;
    struct outcome o = {0};
    char dir[PATH_BYTES], path[PATH_BYTES + 16];
    model_small(&m);
    assert_ok(model_write(&m, 7200000, &meta, &err));
    block_dir(dir, &meta);
    for (size_t f = 0; f < ARRAY_COUNT(FILES); f++) {
        struct buffer b;
        buffer_init(&b, MEM_OTHER, 1 << 20);
        (void)snprintf(path, sizeof path, "%s/%s", dir, FILES[f]);
        assert_ok(file_read_all(path, &b, &err));
        for (size_t len = 0; len < b.len - 1; len++) { /* the last of meta.json is a line feed */
            file_put(path, b.ptr, len);
            read_damaged(dir, &m, &o);
        }
        assert_ok(file_remove(path, &err));
        read_damaged(dir, &m, &o);
        file_put(path, b.ptr, b.len);
        buffer_deinit(&b);
    }
    assert_int_equal(o.whole + o.lost, 0);
    arena_deinit(&m.arena);
}

/* --- faults --------------------------------------------------------------------------------------- */

struct fault {
    long countdown;
    int error;
    bool hit;
};

static int fault_hook(void *arg, enum file_op op, const char *path, size_t *bytes)
{
    struct fault *f = arg;
    if (f->countdown-- != 0 || op == FILE_OP_REMOVE)
        return 0;
    f->hit = true;
    return f->error;
}

static bool count_entry(void *arg, const char *name, bool is_dir)
{
    (*(size_t *)arg)++;
    return true;
}

static size_t entry_count(void)
{
    struct error err;
    size_t count = 0;
    assert_ok(dir_list(folder(), count_entry, &count, &err));
    return count;
}

/* The n-th operation on files fails, for every n: an error and an empty folder, or a whole block. */
static void a_writer_that_fails_leaves_nothing(void **state)
{
    static struct model m;
    struct error err;
    model_small(&m);
    for (int e = 0; e < 2; e++) {
        for (long n = 0;; n++) {
            struct fault fault = {n, e ? ENOSPC : EIO, false};
            struct block_meta meta;
            assert_int_equal(folder_make(NULL), 0);
            file_test_set_hook(fault_hook, &fault);
            bool ok = model_write(&m, 7200000, &meta, &err);
            file_test_set_hook(NULL, NULL);
            if (ok) {
                struct outcome o = {0};
                char dir[PATH_BYTES];
                block_dir(dir, &meta);
                read_damaged(dir, &m, &o);
                assert_int_equal(o.whole, 1);
                assert_int_equal(entry_count(), 1);
            } else {
                assert_true(fault.hit);
                assert_int_equal(err.kind, e ? ERROR_NO_SPACE : ERROR_IO);
                assert_int_equal(entry_count(), 0);
            }
            if (!fault.hit)
                break;
            assert_true(n < 1000);
        }
    }
    arena_deinit(&m.arena);
}

/* Names sort by time and are well formed. */
static void ulids_are_valid_and_sort_by_time(void **state)
{
    char a[ULID_BYTES], b[ULID_BYTES];
    ulid_make(a, (wall_time){1469918176385});
    ulid_make(b, (wall_time){1469918176386});
    assert_true(ulid_is_valid(a) && ulid_is_valid(b));
    assert_true(strcmp(a, b) < 0);
    assert_memory_equal(a, "01ARYZ6S41", 10); /* the example of the specification */
    assert_false(ulid_is_valid("01ARYZ6S41"));
    assert_false(ulid_is_valid("81ARYZ6S41TSV4RRFFQ69G5FAV"));
    assert_false(ulid_is_valid("01ARYZ6S41TSV4RRFFQ69G5FAU"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(block_gives_back_what_was_written, folder_make,
                                        folder_remove),
        cmocka_unit_test_setup_teardown(each_matcher_finds_its_series, folder_make, folder_remove),
        cmocka_unit_test_setup_teardown(meta_json_has_the_shape_of_prometheus, folder_make,
                                        folder_remove),
        cmocka_unit_test_setup_teardown(a_flipped_byte_is_noticed, folder_make, folder_remove),
        cmocka_unit_test_setup_teardown(a_cut_file_is_noticed, folder_make, folder_remove),
        cmocka_unit_test_setup_teardown(a_writer_that_fails_leaves_nothing, folder_make,
                                        folder_remove),
        cmocka_unit_test(ulids_are_valid_and_sort_by_time),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
