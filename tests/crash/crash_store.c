/* SPDX-License-Identifier: Apache-2.0 */
/* crash_store.c: each value follows from group, series and row, so whoever reads knows what must stand there. */
#include "crash_store.h"

#include "base/clock.h"
#include "base/floattext.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

struct oracle *oracle;

void die(const char *what, const struct error *err)
{
    fprintf(stderr, "%s: %s%s%s\n", program_invocation_short_name, what, err ? ": " : "",
            err ? err->message : "");
    fflush(stderr);
    _exit(1);
}

void *shared_alloc(size_t bytes)
{
    void *p = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (p == MAP_FAILED)
        die("mmap", NULL);
    return p;
}

void expect_environment(const char *what, const struct error *err)
{
    if (err->kind != ERROR_IO && err->kind != ERROR_NO_SPACE && err->kind != ERROR_BUSY &&
        err->kind != ERROR_CANCELED)
        die(what, err);
}

/* --- a life -------------------------------------------------------------------------------------------- */

struct db *store_open(const char *dir, int64_t block_ms,
                      void (*log)(void *arg, bool is_error, const char *event, const char *text),
                      struct error *err)
{
    struct db *db;
    const struct db_options options = {.block_range_ms = block_ms,
                                       .retention_ms = -1,
                                       .wal_sync_interval_ms = DB_SYNC_EACH,
                                       .wal_segment_bytes = 16 << 10,
                                       .log = log,
                                       .maintain_when_asked = true};
    return db_open(&db, dir, &options, NULL, err) ? db : NULL;
}

double cell(uint32_t group, uint32_t series, int64_t row)
{
    return series % 2 ? (double)(row * (series + 1) + group) / 8 : (double)(row / 10 + group);
}

static struct labels labels_of(struct arena *arena, uint32_t group, uint32_t series)
{
    struct labels_builder b;
    labels_builder_init(&b, arena);
    labels_builder_set(&b, VIEW(LABEL_NAME), arena_printf(arena, "m%u", series));
    labels_builder_set(&b, VIEW("g"), arena_printf(arena, "%u", group));
    return labels_builder_finish(&b);
}

bool row_append(struct db *db, uint32_t g, int64_t row, bool exemplar, struct error *err)
{
    char key[32];
    struct group *group;
    struct appender a;
    struct arena arena;
    uint32_t slots[SERIES];
    snprintf(key, sizeof key, "group %u", g);
    if (!db_group_open(db, view_from(key), &group, err))
        return false;
    arena_init(&arena, MEM_OTHER, 0);
    bool ok = true;
    for (uint32_t i = 0; ok && i < SERIES; i++)
        ok = group_slot(group, labels_of(&arena, g, i), &slots[i], err);
    atomic_store(&oracle->rows[g][row], ROW_ATTEMPTED);
    ok = ok && appender_begin(&a, group, T0 + row * STEP_MS, err);
    if (ok) {
        for (uint32_t i = 0; i < SERIES; i++)
            appender_sample(&a, slots[i], cell(g, i, row));
        const struct exemplar e = {.value = cell(g, 0, row), .timestamp_ms = T0 + row * STEP_MS};
        if (exemplar)
            appender_exemplar(&a, slots[0], &e);
        ok = appender_commit(&a, APPENDER_WAIT, err);
    }
    if (ok)
        atomic_store(&oracle->rows[g][row], ROW_ACKNOWLEDGED);
    arena_deinit(&arena);
    group_close(group);
    return ok;
}

int deletion_of(int64_t row)
{
    int64_t n = (row + DELETE_FROM) / DELETE_EVERY;
    int64_t first = n * DELETE_EVERY - DELETE_FROM;
    return n >= 1 && n <= (ROWS_MAX - 1) / DELETE_EVERY && row >= first && row < first + DELETE_ROWS
               ? (int)n
               : -1;
}

void rows_delete(struct db *db, int64_t n)
{
    struct error err;
    struct matcher m;
    int64_t first = n * DELETE_EVERY - DELETE_FROM;
    if (!matcher_init(&m, MATCH_EQUAL, VIEW(LABEL_NAME), VIEW("m3"), &err))
        die("matcher", &err);
    const struct db_selector sets = {&m, 1};
    atomic_store(&oracle->deletion[n], true);
    if (db_delete(db, &sets, 1, T0 + first * STEP_MS, T0 + (first + DELETE_ROWS - 1) * STEP_MS,
                  &err))
        atomic_store(&oracle->deleted[n], true);
    else
        expect_environment("delete", &err);
    matcher_deinit(&m);
}

static void clean_or_copy(struct db *db, bool copy)
{
    struct error err;
    char name[DB_SNAPSHOT_NAME_BYTES];
    if (!copy && !db_clean_tombstones(db, &err))
        expect_environment("clean", &err);
    if (copy && !db_snapshot(db, false, name, &err))
        expect_environment("snapshot", &err);
}

enum { SPAN = 20, LATE_EVERY = 5 };

static bool row_waits(int64_t row)
{
    return row % LATE_EVERY == 2 && row + SPAN < ROWS;
}

/* Groups take turns. Every fifth row waits and is written 20 rows later, into times that may be in a block by then.
 * Every 16 rows the store is tended, at two places closed and opened. */
void life(const char *dir)
{
    struct error err = {0};
    struct db *db = store_open(dir, BLOCK_MS, NULL, &err);
    if (!db)
        expect_environment("open", &err);
    for (int64_t row = 0; row < ROWS; row++) {
        int64_t late = row - SPAN;
        if (!db && !(db = store_open(dir, BLOCK_MS, NULL, &err))) {
            expect_environment("open", &err);
            continue;
        }
        if (!row_waits(row) && !row_append(db, (uint32_t)row % GROUPS, row, false, &err))
            expect_environment("append", &err);
        if (late >= 0 && row_waits(late) &&
            !row_append(db, (uint32_t)late % GROUPS, late, false, &err))
            expect_environment("append late", &err);
        if (row % DELETE_EVERY == 0 && row > 0) {
            rows_delete(db, row / DELETE_EVERY);
            clean_or_copy(db, row / DELETE_EVERY % 2);
        }
        if (row % 16 == 15 && !db_maintain(db, &err))
            expect_environment("maintain", &err);
        if (row == ROWS / 3 || row == 2 * ROWS / 3) {
            if (!db_close(db, &err))
                expect_environment("close", &err);
            db = NULL;
        }
    }
    if (db && !db_close(db, &err))
        expect_environment("close", &err);
}

/* --- a look --------------------------------------------------------------------------------------------- */

static void series_look(uint32_t g, uint32_t series, const struct samples *s, bool deleted_may_show,
                        struct look *out)
{
    bool *seen = out->seen[g][series];
    for (size_t i = 0; i < s->count; i++) {
        int64_t row = (s->times[i] - T0) / STEP_MS;
        if (row < 0 || row >= ROWS_MAX || s->times[i] != T0 + row * STEP_MS ||
            atomic_load(&oracle->rows[g][row]) == ROW_NONE)
            die("a sample that nobody wrote", NULL);
        if (seen[row])
            die("a sample is there twice", NULL);
        if (s->values[i] != cell(g, series, row))
            die("a wrong value", NULL);
        int n = series == DELETE_SERIES ? deletion_of(row) : -1;
        /* One that was refused may stand in a log all the same, and come up at a restart. */
        if (n >= 0 && !deleted_may_show && atomic_load(&oracle->deleted[n]) &&
            atomic_load(&oracle->rows[g][row]) == ROW_ACKNOWLEDGED)
            die("a deleted sample is there", NULL);
        seen[row] = true;
    }
}

bool sample_must_be_there(uint32_t group, uint32_t series, int64_t row)
{
    int n = series == DELETE_SERIES ? deletion_of(row) : -1;
    return atomic_load(&oracle->rows[group][row]) == ROW_ACKNOWLEDGED &&
           !(n >= 0 && atomic_load(&oracle->deletion[n]));
}

/* The number in a label's value, after `prefix`. Below `end`. */
static uint32_t number_of(struct labels ls, struct view name, const char *prefix, uint32_t end)
{
    struct view v = labels_get(ls, name);
    char text[16];
    for (uint32_t n = 0; n < end; n++) {
        snprintf(text, sizeof text, "%s%" PRIu32, prefix, n);
        if (view_eq(v, view_from(text)))
            return n;
    }
    die("a series that nobody wrote", NULL);
}

void store_look(struct db *db, bool deleted_may_show, struct look *out)
{
    struct error err;
    struct arena arena;
    struct series_list list;
    bool found[GROUPS][SERIES] = {{false}};
    const struct select what = {.mint = INT64_MIN, .maxt = INT64_MAX};
    *out = (struct look){.lost = 0};
    arena_init(&arena, MEM_OTHER, 0);
    struct label_store *labels = label_store_new(MEM_OTHER, 0);
    struct storage_view *v = source_pin(db_as_source(db), INT64_MIN, INT64_MAX, &err);
    struct storage_reader *r = v ? view_reader_new(v, NULL, &err) : NULL;
    if (!r || !view_select(v, &what, labels, &arena, &list, &err))
        die("select", &err);
    for (size_t i = 0; i < list.count; i++) {
        struct samples s;
        struct labels ls = label_store_labels(labels, list.items[i].labels, &arena);
        uint32_t g = number_of(ls, VIEW("g"), "", GROUPS);
        uint32_t n = number_of(ls, VIEW(LABEL_NAME), "m", SERIES);
        if (ls.count != 2)
            die("a series that nobody wrote", NULL);
        if (!reader_read(r, list.items[i].ref, INT64_MIN, INT64_MAX, &s, &err))
            die("read", &err);
        if (found[g][n])
            die("a series is there twice", NULL);
        found[g][n] = true;
        series_look(g, n, &s, deleted_may_show, out);
    }
    out->lost = r->lost_count;
    out->problem = r->lost;
    storage_reader_free(r);
    view_release(v);
    label_store_free(labels);
    arena_deinit(&arena);
}

/* --- around it ------------------------------------------------------------------------------------------ */

int in_child(void (*f)(void *arg), void *arg)
{
    int status;
    fflush(stdout);
    pid_t pid = fork();
    if (pid < 0)
        die("fork", NULL);
    if (pid == 0) {
        f(arg);
        _exit(0);
    }
    if (waitpid(pid, &status, 0) != pid)
        die("waitpid", NULL);
    return status;
}

long scaled(long n)
{
    const char *text = getenv("TEST_SCALE");
    double scale = 1;
    if (text && !float_parse(view_from(text), &scale))
        die("TEST_SCALE is no number", NULL);
    return (double)n * scale < 1 ? 1 : (long)((double)n * scale);
}

uint64_t seed_get(void)
{
    const char *fixed = getenv("TEST_SEED");
    return fixed ? strtoull(fixed, NULL, 10) : (uint64_t)clock_mono().ns;
}

const char *top_folder(void)
{
    static char top[] = "/dev/shm/belfry-crash-XXXXXX", elsewhere[] = "/tmp/belfry-crash-XXXXXX";
    const char *dir = mkdtemp(top);
    dir = dir ? dir : mkdtemp(elsewhere);
    if (!dir)
        die("mkdtemp", NULL);
    return dir;
}
