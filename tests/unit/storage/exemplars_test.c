/* SPDX-License-Identifier: Apache-2.0 */
/* exemplars_test.c: the ring of exemplars against a plain list, its rules, and what its log gives back after ends of all
 * kinds. */
#include "head_fixture.h"

#include "base/checksum.h"
#include "base/random.h"
#include "base/thread.h"
#include "storage/exemplars.h"

#include <errno.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdatomic.h>
#include <string.h>

/* ---- a writer whose keys are places in a list of label sets ---- */

struct writer {
    const char *const *series;
    uint32_t first_process_id; /* another process knows them by other numbers */
    unsigned labels_asked;
};

static bool writer_series(void *arg, uint32_t key, struct exemplar_series_info *out)
{
    struct writer *w = arg;
    struct arena arena;
    arena_init(&arena, MEM_OTHER, 0);
    *out = (struct exemplar_series_info){labels_hash(fixture_labels(&arena, w->series[key])),
                                         w->first_process_id + key};
    arena_deinit(&arena);
    return true;
}

static struct labels writer_labels(void *arg, uint32_t key, struct arena *arena)
{
    struct writer *w = arg;
    w->labels_asked++;
    return fixture_labels(arena, w->series[key]);
}

static const char *const SERIES[] = {"a_total{b=\"1\"}", "a_total{b=\"2\"}", "h_bucket{le=\"1.0\"}",
                                     "h_bucket{le=\"+Inf\"}", "c{d=\"e\",f=\"g\"}"};

static struct exemplar_counts add_from(struct exemplars *x, struct writer *w, uint32_t key,
                                       const char *labels, double value, int64_t ms, bool has_ms)
{
    struct arena arena;
    struct exemplar_batch b = {0};
    struct exemplar_counts counts;
    struct exemplar_writer writer = {writer_series, writer_labels, w};
    arena_init(&arena, MEM_OTHER, 0);
    struct exemplar e = {fixture_labels(&arena, labels), value, ms, has_ms};
    exemplar_batch_add(&b, key, &e);
    exemplars_add(x, &b, &writer, &counts);
    exemplar_batch_deinit(&b);
    arena_deinit(&arena);
    return counts;
}

static enum exemplar_added add(struct exemplars *x, uint32_t key, const char *labels, double value,
                               int64_t ms, bool has_ms)
{
    struct writer w = {SERIES, 100, 0};
    struct exemplar_counts c = add_from(x, &w, key, labels, value, ms, has_ms);
    return c.added          ? EXEMPLAR_ADDED
           : c.duplicate    ? EXEMPLAR_DUPLICATE
           : c.out_of_order ? EXEMPLAR_OUT_OF_ORDER
           : c.too_long     ? EXEMPLAR_TOO_LONG
                            : EXEMPLAR_REFUSED;
}

static char quarantine_dir[300];

static struct exemplars *open_in(const char *dir, int64_t max)
{
    struct exemplars *x;
    struct error err;
    snprintf(quarantine_dir, sizeof quarantine_dir, "%s/quarantine", dir);
    struct exemplars_options opts = {.dir = dir, .quarantine_dir = quarantine_dir, .max = max};
    if (!exemplars_open(&x, &opts, &err))
        fail_msg("%s", err.message);
    return x;
}

/* "SERIES: LABELS VALUE @MS, ...\n" of what the matchers select. */
static void print_selected(struct exemplars *x, const struct exemplar_matchers *sets, size_t count,
                           int64_t start, int64_t end, struct buffer *out)
{
    struct arena arena;
    struct exemplar_list *lists;
    size_t list_count;
    arena_init(&arena, MEM_OTHER, 0);
    exemplars_select(x, sets, count, start, end, &arena, &lists, &list_count);
    buffer_reset(out);
    for (size_t i = 0; i < list_count; i++) {
        labels_format(out, lists[i].series);
        for (size_t e = 0; e < lists[i].count; e++) {
            const struct exemplar *ex = &lists[i].items[e];
            buffer_append_view(out, e ? VIEW(", ") : VIEW(": "));
            labels_format(out, ex->labels);
            buffer_printf(out, " %g @%" PRId64, ex->value, ex->timestamp_ms);
        }
        buffer_append_byte(out, '\n');
    }
    buffer_append_byte(out, 0);
    arena_deinit(&arena);
}

static const struct exemplar_matchers EVERYTHING = {NULL, 0};

static void assert_holds(struct exemplars *x, const char *want)
{
    struct buffer out;
    buffer_init(&out, MEM_OTHER, 1 << 24);
    print_selected(x, &EVERYTHING, 1, INT64_MIN, INT64_MAX, &out);
    if (strcmp(out.ptr, want) != 0)
        fail_msg("got:\n%swant:\n%s", out.ptr, want);
    buffer_deinit(&out);
}

/* ---- the rules ---- */

static const struct {
    const char *labels;
    double value;
    int64_t ms;
    bool has_ms;
    enum exemplar_added verdict;
} RULES[] = {
    {"{t=\"b\"}", 5, 1000, true, EXEMPLAR_ADDED},
    {"{t=\"b\"}", 5, 1000, true, EXEMPLAR_DUPLICATE},
    {"{t=\"b\"}", 5, 1001, true, EXEMPLAR_ADDED}, /* another time is another exemplar */
    {"{t=\"b\"}", 5, 1000, true, EXEMPLAR_OUT_OF_ORDER},
    {"{t=\"c\"}", 5, 1001, true, EXEMPLAR_ADDED}, /* same time and value: by labels */
    {"{t=\"a\"}", 5, 1001, true, EXEMPLAR_OUT_OF_ORDER},
    {"{t=\"a\"}", 6, 1001, true, EXEMPLAR_ADDED}, /* same time: by value */
    {"{t=\"a\"}", 5.5, 1001, true, EXEMPLAR_OUT_OF_ORDER},
    {"{}", 6, 1002, true, EXEMPLAR_ADDED},
    {"{}", 6, 1003, false, EXEMPLAR_ADDED},     /* the newest has a time of its own: not the same */
    {"{}", 6, 9000, false, EXEMPLAR_DUPLICATE}, /* neither has: the scrape's time says nothing */
    {"{}", 7, 9000, false, EXEMPLAR_ADDED},
    {"{}", 7, -5000, true, EXEMPLAR_OUT_OF_ORDER},
    {"{}", __builtin_nan(""), 9001, true, EXEMPLAR_ADDED},
    {"{}", __builtin_nan(""), 9001, true, EXEMPLAR_DUPLICATE},
};

static void what_is_no_news_is_told_apart(void **state)
{
    (void)state;
    char dir[200];
    fixture_dir(dir, sizeof dir);
    struct exemplars *x = open_in(dir, 0);
    for (size_t i = 0; i < ARRAY_COUNT(RULES); i++) {
        enum exemplar_added got =
            add(x, 0, RULES[i].labels, RULES[i].value, RULES[i].ms, RULES[i].has_ms);
        if (got != RULES[i].verdict)
            fail_msg("rule %zu: got %d, want %d", i, (int)got, (int)RULES[i].verdict);
    }
    assert_int_equal(add(x, 1, "{t=\"b\"}", 5, 1000, true), EXEMPLAR_ADDED);
    struct exemplars_stats s;
    exemplars_stats_get(x, &s);
    assert_int_equal(s.appended, 9);
    assert_int_equal(s.out_of_order, 4);
    assert_int_equal(s.stored, 9);
    assert_int_equal(s.series, 2);
    assert_int_equal(s.last_timestamp_ms, 1000);
    exemplars_close(x);
    fixture_dir_remove(dir);
}

/* 128 code points of names and values together, however many bytes they take. */
static void labels_have_a_limit(void **state)
{
    (void)state;
    char dir[200], text[700];
    fixture_dir(dir, sizeof dir);
    struct exemplars *x = open_in(dir, 0);
    for (int characters = 126; characters <= 130; characters++) {
        struct buffer b;
        buffer_init(&b, MEM_OTHER, sizeof text);
        buffer_append_literal(&b, "{t=\"");
        for (int i = 0; i < characters - 1; i++)
            buffer_append_literal(&b, "\xf0\x9f\x94\x94"); /* a bell: four bytes */
        buffer_append_literal(&b, "\"}");
        snprintf(text, sizeof text, "%.*s", (int)b.len, b.ptr);
        assert_int_equal(add(x, 0, text, 1, characters, true),
                         characters <= 128 ? EXEMPLAR_ADDED : EXEMPLAR_TOO_LONG);
        buffer_deinit(&b);
    }
    exemplars_close(x);
    fixture_dir_remove(dir);
}

static void queries_select_by_labels_and_time(void **state)
{
    (void)state;
    char dir[200];
    struct buffer out;
    struct error err;
    struct matcher name, b2, le;
    fixture_dir(dir, sizeof dir);
    buffer_init(&out, MEM_OTHER, 1 << 20);
    struct exemplars *x = open_in(dir, 0);
    for (uint32_t i = 0; i < 4; i++) {
        add(x, 3 - i, "{t=\"x\"}", i, 1000 + i, true);
        add(x, 3 - i, "{t=\"y\"}", i, 2000 + i, true);
    }
    assert_true(matcher_init(&name, MATCH_EQUAL, VIEW("__name__"), VIEW("a_total"), &err));
    assert_true(matcher_init(&b2, MATCH_NOT_EQUAL, VIEW("b"), VIEW("2"), &err));
    assert_true(matcher_init(&le, MATCH_REGEX, VIEW("le"), VIEW("[+]Inf|9"), &err));
    struct matcher a_not_2[] = {name, b2};
    struct exemplar_matchers sets[] = {{a_not_2, 2}, {&le, 1}};
    print_selected(x, sets, 2, INT64_MIN, INT64_MAX, &out);
    assert_string_equal(out.ptr, "a_total{b=\"1\"}: {t=\"x\"} 3 @1003, {t=\"y\"} 3 @2003\n"
                                 "h_bucket{le=\"+Inf\"}: {t=\"x\"} 0 @1000, {t=\"y\"} 0 @2000\n");
    print_selected(x, sets, 1, 2003, 2003, &out);
    assert_string_equal(out.ptr, "a_total{b=\"1\"}: {t=\"y\"} 3 @2003\n");
    print_selected(x, sets, 1, 2004, INT64_MAX, &out);
    assert_string_equal(out.ptr, "");
    print_selected(x, sets, 0, INT64_MIN, INT64_MAX, &out);
    assert_string_equal(out.ptr, "");
    matcher_deinit(&name);
    matcher_deinit(&b2);
    matcher_deinit(&le);
    buffer_deinit(&out);
    exemplars_close(x);
    fixture_dir_remove(dir);
}

/* ---- the ring ---- */

enum { MODEL_MAX = 20 };
struct model {
    struct {
        uint32_t series;
        int64_t ms;
    } items[MODEL_MAX];
    size_t count, max;
};

static void model_trim(struct model *m)
{
    while (m->count > m->max)
        memmove(m->items, m->items + 1, --m->count * sizeof *m->items);
}

static void model_print(const struct model *m, struct buffer *out)
{
    static const uint32_t SORTED[] = {0, 1, 4, 3, 2};
    buffer_reset(out);
    for (size_t s = 0; s < ARRAY_COUNT(SORTED); s++) {
        bool any = false;
        for (size_t i = 0; i < m->count; i++) {
            if (m->items[i].series != SORTED[s])
                continue;
            buffer_printf(out, "%s%s{t=\"x\"} 1 @%" PRId64, any ? "" : SERIES[SORTED[s]],
                          any ? ", " : ": ", m->items[i].ms);
            any = true;
        }
        if (any)
            buffer_append_byte(out, '\n');
    }
    buffer_append_byte(out, 0);
}

/* Random additions, drops, limits and restarts against a plain list. */
static void the_ring_is_the_newest(void **state)
{
    (void)state;
    char dir[200];
    struct random r;
    struct model m = {.max = 7};
    struct buffer want;
    uint64_t seed = 23;
    printf("seed %" PRIu64 "\n", seed);
    random_seed(&r, seed);
    fixture_dir(dir, sizeof dir);
    buffer_init(&want, MEM_OTHER, 1 << 20);
    struct exemplars *x = open_in(dir, 7);
    for (int64_t i = 1; i <= 3000; i++) {
        uint32_t series = (uint32_t)random_below(&r, ARRAY_COUNT(SERIES));
        switch (random_below(&r, 60)) {
        case 0:
            m.max = random_below(&r, MODEL_MAX);
            exemplars_set_max(x, (int64_t)m.max);
            model_trim(&m);
            break;
        case 1:
            exemplars_drop_before(x, i - 3);
            while (m.count && m.items[0].ms < i - 3)
                memmove(m.items, m.items + 1, --m.count * sizeof *m.items);
            break;
        case 2:
            exemplars_close(x);
            x = open_in(dir, m.max ? (int64_t)m.max : -1);
            break;
        default:
            assert_int_equal(add(x, series, "{t=\"x\"}", 1, i, true),
                             m.max ? EXEMPLAR_ADDED : EXEMPLAR_REFUSED);
            if (m.max == 0)
                break;
            if (m.count == m.max)
                memmove(m.items, m.items + 1, --m.count * sizeof *m.items);
            m.items[m.count].series = series;
            m.items[m.count++].ms = i;
            break;
        }
        if (i % 7 && random_below(&r, 60) != 1)
            continue;
        model_print(&m, &want);
        /* What was dropped on purpose may come back with a restart while the ring has room: it is bounded all the same. */
        struct buffer got;
        buffer_init(&got, MEM_OTHER, 1 << 20);
        print_selected(x, &EVERYTHING, 1, m.count ? m.items[0].ms : INT64_MAX, INT64_MAX, &got);
        if (strcmp(got.ptr, want.ptr) != 0)
            fail_msg("step %" PRId64 ", got:\n%swant:\n%s", i, got.ptr, want.ptr);
        buffer_deinit(&got);
    }
    exemplars_close(x);
    buffer_deinit(&want);
    fixture_dir_remove(dir);
}

/* Long labels of series count too: the oldest go before the ring is full. */
static void memory_is_bounded(void **state)
{
    (void)state;
    char dir[200], names[300][1100];
    const char *series[300];
    fixture_dir(dir, sizeof dir);
    for (size_t i = 0; i < 300; i++) {
        memset(names[i], 'x', sizeof names[i]);
        int len = snprintf(names[i], sizeof names[i], "m{n=\"%zu", i);
        names[i][len] = 'x';
        snprintf(names[i] + sizeof names[i] - 3, 3, "\"}");
        series[i] = names[i];
    }
    struct exemplars *x = open_in(dir, 200);
    int64_t before = mem_account_bytes(MEM_EXEMPLARS);
    struct writer w = {series, 0, 0};
    for (uint32_t i = 0; i < 300; i++)
        assert_int_equal(add_from(x, &w, i, "{t=\"x\"}", 1, i, true).added, 1);
    struct exemplars_stats s;
    exemplars_stats_get(x, &s);
    assert_true(s.stored > 150 && s.stored < 200);
    assert_int_equal(s.series, s.stored);
    assert_int_equal(s.last_timestamp_ms, (int64_t)(300 - s.stored));
    assert_true(mem_account_bytes(MEM_EXEMPLARS) - before < 1200000);
    unsigned asked = w.labels_asked;
    for (uint32_t i = 200; i < 300; i++)
        assert_int_equal(add_from(x, &w, i, "{t=\"x\"}", 1, i, true).duplicate, 1);
    assert_int_equal(w.labels_asked, asked); /* known by their numbers */
    exemplars_close(x);
    fixture_dir_remove(dir);
}

/* ---- the log ---- */

static void log_path(char *out, size_t bytes, const char *dir)
{
    snprintf(out, bytes, "%s/exemplars.log", dir);
}

static void log_read(const char *dir, struct buffer *out)
{
    char path[300];
    struct error err;
    log_path(path, sizeof path, dir);
    buffer_reset(out);
    if (!file_read_all(path, out, &err))
        fail_msg("%s", err.message);
}

static void log_write(const char *dir, struct view bytes)
{
    char path[300];
    struct error err;
    log_path(path, sizeof path, dir);
    if (!file_replace(path, bytes, &err))
        fail_msg("%s", err.message);
}

#define FOUR                                                                                       \
    "a_total{b=\"1\"}: {t=\"1\"} 1 @1000, {t=\"3\"} 3 @3000\n"                                     \
    "a_total{b=\"2\"}: {t=\"2\"} 2 @2000\n"                                                        \
    "h_bucket{le=\"1.0\"}: {} nan @4000\n"

static void add_four(struct exemplars *x)
{
    add(x, 0, "{t=\"1\"}", 1, 1000, true);
    add(x, 1, "{t=\"2\"}", 2, 2000, false);
    add(x, 0, "{t=\"3\"}", 3, 3000, true);
    add(x, 2, "{}", __builtin_nan(""), 4000, true);
}

/* What a query has shown is in the file, closed or not: a copy of it taken then gives the same. */
static void what_was_shown_survives(void **state)
{
    (void)state;
    char dir[200], other[200];
    struct buffer bytes;
    fixture_dir(dir, sizeof dir);
    fixture_dir(other, sizeof other);
    buffer_init(&bytes, MEM_OTHER, 1 << 20);
    struct exemplars *x = open_in(dir, 0);
    add_four(x);
    assert_holds(x, FOUR);
    log_read(dir, &bytes);
    log_write(other, buffer_view(&bytes));
    exemplars_close(x);
    for (int i = 0; i < 3; i++) {
        x = open_in(i % 2 ? dir : other, 0);
        assert_holds(x, FOUR);
        assert_int_equal(add(x, 1, "{t=\"2\"}", 2, 2500, false), EXEMPLAR_DUPLICATE);
        exemplars_close(x);
    }
    /* Another process knows the series by other numbers; they are the same all the same. */
    x = open_in(dir, 0);
    struct writer w = {SERIES, 7000, 0};
    assert_int_equal(add_from(x, &w, 0, "{t=\"3\"}", 3, 3000, true).duplicate, 1);
    assert_int_equal(add_from(x, &w, 0, "{t=\"4\"}", 3, 3001, true).added, 1);
    exemplars_close(x);
    x = open_in(dir, 2);
    assert_holds(x, "a_total{b=\"1\"}: {t=\"4\"} 3 @3001\nh_bucket{le=\"1.0\"}: {} nan @4000\n");
    exemplars_close(x);
    buffer_deinit(&bytes);
    fixture_dir_remove(dir);
    fixture_dir_remove(other);
}

/* Is each line of `got` one of FOUR's, or such a line with fewer exemplars? */
static bool is_part_of_four(const char *got)
{
    static const char *const EXEMPLARS[][2] = {
        {"a_total{b=\"1\"}", "{t=\"1\"} 1 @1000"},
        {"a_total{b=\"1\"}", "{t=\"3\"} 3 @3000"},
        {"a_total{b=\"2\"}", "{t=\"2\"} 2 @2000"},
        {"h_bucket{le=\"1.0\"}", "{} nan @4000"},
    };
    for (const char *line = got; *line; line = strchr(line, '\n') + 1) {
        size_t len = (size_t)(strchr(line, '\n') - line), known = 0;
        for (size_t i = 0; i < ARRAY_COUNT(EXEMPLARS); i++) {
            size_t name = strlen(EXEMPLARS[i][0]);
            bool here = len > name && strncmp(line, EXEMPLARS[i][0], name) == 0 &&
                        memmem(line, len, EXEMPLARS[i][1], strlen(EXEMPLARS[i][1]));
            known += here ? strlen(EXEMPLARS[i][1]) + 2 + (known ? 0 : name) : 0;
        }
        if (known != len)
            return false;
    }
    return true;
}

/* Each byte flipped, each length: it opens, shows nothing that was not, and goes on. */
static void damage_loses_what_it_hits(void **state)
{
    (void)state;
    char dir[200];
    struct buffer bytes, got;
    fixture_dir(dir, sizeof dir);
    buffer_init(&bytes, MEM_OTHER, 1 << 20);
    buffer_init(&got, MEM_OTHER, 1 << 20);
    struct exemplars *x = open_in(dir, 0);
    add_four(x);
    exemplars_close(x);
    log_read(dir, &bytes);
    size_t whole = bytes.len, shown = 0;
    for (size_t i = 0; i < 2 * whole; i++) {
        char *copy = malloc(whole);
        memcpy(copy, bytes.ptr, whole);
        bool cut = i >= whole;
        if (!cut)
            copy[i] ^= 0x40;
        log_write(dir, (struct view){copy, cut ? i - whole : whole});
        free(copy);
        x = open_in(dir, 0);
        print_selected(x, &EVERYTHING, 1, INT64_MIN, INT64_MAX, &got);
        if (!is_part_of_four(got.ptr))
            fail_msg("%s %zu gives\n%s", cut ? "length" : "byte", cut ? i - whole : i, got.ptr);
        shown += strlen(got.ptr) > 1;
        /* What comes next is not lost behind the damage. */
        assert_int_equal(add(x, 4, "{t=\"n\"}", 9, 9000, true), EXEMPLAR_ADDED);
        exemplars_close(x);
        x = open_in(dir, 0);
        print_selected(x, &EVERYTHING, 1, 9000, 9000, &got);
        assert_string_equal(got.ptr, "c{d=\"e\",f=\"g\"}: {t=\"n\"} 9 @9000\n");
        exemplars_close(x);
        struct error err;
        assert_true(dir_remove(quarantine_dir, &err));
    }
    printf("%zu bytes; something was left in %zu of %zu cases\n", whole, shown, 2 * whole);
    assert_true(shown > whole);
    buffer_deinit(&got);
    buffer_deinit(&bytes);
    fixture_dir_remove(dir);
}

static void a_newer_log_is_refused(void **state)
{
    (void)state;
    char dir[200];
    struct error err;
    struct buffer bytes;
    fixture_dir(dir, sizeof dir);
    buffer_init(&bytes, MEM_OTHER, 4096);
    /* magic, length 0, type, version 99, flags, sequence 1, CRC32C of it: as wal_record.h says */
    static const unsigned char head[] = {0x42, 0x57, 0x41, 0x4c, 0, 0, 0, 0, 4, 99,
                                         0,    0,    1,    0,    0, 0, 0, 0, 0, 0};
    buffer_append(&bytes, head, sizeof head);
    buffer_append_u32(&bytes, crc32c(0, head, sizeof head));
    log_write(dir, buffer_view(&bytes));
    struct exemplars *x;
    struct exemplars_options opts = {.dir = dir, .quarantine_dir = dir};
    assert_false(exemplars_open(&x, &opts, &err));
    assert_int_equal(err.kind, ERROR_CORRUPT);
    assert_non_null(strstr(err.message, "was written by a newer version"));
    buffer_deinit(&bytes);
    fixture_dir_remove(dir);
}

/* A thousand exemplars of five series, later than all before. */
static uint64_t add_thousand(struct exemplars *x, int64_t from_ms)
{
    struct writer w = {SERIES, 0, 0};
    struct exemplar_writer writer = {writer_series, writer_labels, &w};
    struct label label = {VIEW_INIT("trace_id"), VIEW_INIT("0123456789abcdef0123456789abcdef")};
    struct exemplar_batch b = {0};
    struct exemplar_counts counts;
    for (int64_t e = 0; e < 1000; e++) {
        struct exemplar one = {{&label, 1}, 1, from_ms + e, true};
        exemplar_batch_add(&b, (uint32_t)(e % 5), &one);
    }
    exemplars_add(x, &b, &writer, &counts);
    exemplar_batch_deinit(&b);
    return counts.added;
}

static uint64_t selected_count(struct exemplars *x)
{
    struct arena arena;
    struct exemplar_list *lists;
    size_t list_count;
    uint64_t count = 0;
    arena_init(&arena, MEM_OTHER, 0);
    exemplars_select(x, &EVERYTHING, 1, INT64_MIN, INT64_MAX, &arena, &lists, &list_count);
    for (size_t i = 0; i < list_count; i++)
        count += lists[i].count;
    arena_deinit(&arena);
    return count;
}

/* The log is written anew before it grows without end. */
static void the_log_is_bounded(void **state)
{
    (void)state;
    char dir[200];
    size_t most = 0, writes = 0;
    fixture_dir(dir, sizeof dir);
    struct exemplars *x = open_in(dir, 50);
    for (int64_t i = 0; i < 200; i++) {
        size_t before = dir_bytes(dir);
        assert_int_equal(add_thousand(x, i * 1000), 1000);
        assert_int_equal(selected_count(x), 50); /* waits for the log */
        size_t bytes = dir_bytes(dir);
        writes += bytes < before;
        most = bytes > most ? bytes : most;
    }
    printf("at most %zu bytes, written anew %zu times\n", most, writes);
    assert_true(writes > 0 && most < 5 << 20);
    exemplars_close(x);
    x = open_in(dir, 50);
    assert_int_equal(selected_count(x), 50);
    struct exemplars_stats s;
    exemplars_stats_get(x, &s);
    assert_int_equal(s.last_timestamp_ms, 199950);
    exemplars_close(x);
    fixture_dir_remove(dir);
}

/* ---- a disk that takes nothing ---- */

static atomic_int writes_until_full; /* -1: never */

static int fill_up(void *arg, enum file_op op, const char *path, size_t *bytes)
{
    (void)arg;
    (void)bytes;
    if (op != FILE_OP_WRITE || !strstr(path, "exemplars.log"))
        return 0;
    int left = atomic_load(&writes_until_full);
    if (left == 0)
        return ENOSPC;
    if (left > 0)
        atomic_store(&writes_until_full, left - 1);
    return 0;
}

/* Exemplars go on in memory, and are on disk again with the first write that goes well. */
static void a_full_disk_costs_nothing_but_durability(void **state)
{
    (void)state;
    for (int first = 0; first < 4; first++) {
        char dir[200];
        struct exemplars_stats s;
        fixture_dir(dir, sizeof dir);
        file_test_set_hook(fill_up, NULL);
        atomic_store(&writes_until_full, first);
        struct exemplars *x = open_in(dir, 0);
        for (uint32_t i = 0; i < 5; i++) {
            assert_int_equal(add(x, i, "{t=\"x\"}", 1, 1000 + i, true), EXEMPLAR_ADDED);
            assert_int_equal(selected_count(x), i + 1);
        }
        exemplars_stats_get(x, &s);
        assert_true(s.log_failures > 0);
        atomic_store(&writes_until_full, -1);
        exemplars_close(x); /* the last thing it does is to try once more */
        file_test_set_hook(NULL, NULL);
        x = open_in(dir, 0);
        assert_int_equal(selected_count(x), 5);
        exemplars_close(x);
        fixture_dir_remove(dir);
    }
}

/* ---- threads ---- */

struct crowd {
    struct exemplars *x;
    atomic_int left;
};

static void *crowd_add(void *arg)
{
    struct crowd *c = arg;
    for (int64_t i = 0; i < 40; i++)
        (void)add_thousand(c->x, i * 1000); /* another thread may have been later */
    atomic_fetch_sub(&c->left, 1);
    return NULL;
}

/* ThreadSanitizer looks. */
static void writers_and_readers_at_once(void **state)
{
    (void)state;
    char dir[200];
    pthread_t threads[3];
    struct error err;
    fixture_dir(dir, sizeof dir);
    struct crowd c = {open_in(dir, 500), 3};
    for (size_t i = 0; i < 3; i++)
        assert_true(thread_start(&threads[i], "crowd", crowd_add, &c, &err));
    for (int64_t i = 0; atomic_load(&c.left); i++) {
        assert_true(selected_count(c.x) <= 500);
        exemplars_set_max(c.x, 100 + i % 400);
        exemplars_drop_before(c.x, i * 10);
    }
    for (size_t i = 0; i < 3; i++)
        thread_join(threads[i]);
    exemplars_close(c.x);
    fixture_dir_remove(dir);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_no_news_is_told_apart),
        cmocka_unit_test(labels_have_a_limit),
        cmocka_unit_test(queries_select_by_labels_and_time),
        cmocka_unit_test(the_ring_is_the_newest),
        cmocka_unit_test(memory_is_bounded),
        cmocka_unit_test(what_was_shown_survives),
        cmocka_unit_test(damage_loses_what_it_hits),
        cmocka_unit_test(a_newer_log_is_refused),
        cmocka_unit_test(the_log_is_bounded),
        cmocka_unit_test(a_full_disk_costs_nothing_but_durability),
        cmocka_unit_test(writers_and_readers_at_once),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
