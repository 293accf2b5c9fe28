/* SPDX-License-Identifier: Apache-2.0 */
/* db_damage.c: a store that has every kind of file is made once; then, for one place after the other, a copy of it is
 * damaged and opened in a process of its own: a bit flipped, the file cut off, a page zeroed, the file missing.
 *
 *   1. it opens, is read, takes a row, is tended, cut, merged, closed and opened again
 *   2. no wrong value is shown, and no sample that nobody wrote
 *   3. what was deleted stays deleted, unless the list of deletions is what was hit
 *   4. nothing is lost that is not lost as well when the file (in a block: the block) is missing
 *   5. somebody is told when something is lost: the log, or the query
 *   6. what was hit is still there afterwards: in its file or in quarantine/
 *
 * A bit is flipped in FLIPS * TEST_SCALE random bytes, in every byte when that is more than there are (40 KB); each file
 * is cut off and zeroed TEST_SCALE times, and missing once. The seed is printed (TEST_SEED repeats the places); `db_damage KIND FILE AT` is
 * one try, as a failure prints it. */
#include "crash_store.h"

#include "base/arena.h"
#include "base/file.h"
#include "base/random.h"
#include "storage/exemplars.h"
#include "storage/wal_record.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

enum { FLIPS = 300, FILES_MAX = 400, PATH_MAX_BYTES = 512, FAILURES_SHOWN = 20 };
enum { TAIL_END = 361, TAIL_LATE = 80, LAST_ROW = ROWS_MAX - 1, HEAD_BLOCK_MS = 2 * 3600 * 1000 };
enum { PAGE_BYTES = 512 };

enum damage { FLIP, CUT, ZERO, MISSING, DAMAGES };
static const char *const NAMES[DAMAGES] = {"flip", "cut", "zero", "missing"};

struct store_file {
    char path[PATH_MAX_BYTES]; /* below the store */
    char *bytes;
    size_t len;
    bool is_victim;
    struct losses *allowed; /* when it is missing */
};
static struct store_file files[FILES_MAX];
static size_t file_count;
static size_t exemplar_count; /* in the whole store */

struct losses {
    bool lost[GROUPS][SERIES][ROWS_MAX];
};

struct
try {
    char dir[PATH_MAX_BYTES];
    size_t file;
    enum damage kind;
    size_t at;
    bool with_others;          /* MISSING: what goes with it too */
    struct losses *allowed;    /* NULL: anything */
    struct losses *losses;     /* out, shared */
    _Atomic uint64_t *samples; /* out, shared: lost ones */
};

/* --- the store ------------------------------------------------------------------------------------------ */

static bool tail_waits(uint32_t g, int64_t row)
{
    return row % 7 == g && row + TAIL_LATE < TAIL_END && deletion_of(row) < 0;
}

/* After a life: rows that stay in the head, sealed, late and deleted ones among them, and exemplars; and deletions of
 * a block. */
static void make(void *arg)
{
    const char *dir = arg;
    struct error err;
    life(dir);
    struct db *db = store_open(dir, HEAD_BLOCK_MS, NULL, &err);
    if (!db)
        die("open", &err);
    for (int64_t row = ROWS; row < TAIL_END; row++) {
        for (uint32_t g = 0; g < GROUPS; g++) {
            int64_t late = row - TAIL_LATE;
            if (!tail_waits(g, row) && !row_append(db, g, row, row % 10 == 0, &err))
                die("append", &err);
            if (late >= ROWS && tail_waits(g, late) && !row_append(db, g, late, false, &err))
                die("append late", &err);
        }
        if (row % DELETE_EVERY == 0)
            rows_delete(db, row / DELETE_EVERY);
        if (row % 50 == 0 && !db_maintain(db, &err))
            die("maintain", &err);
    }
    if (!db_close(db, &err))
        die("close", &err);
}

struct walk {
    const char *top, *below;
};

static bool file_take(void *arg, const char *name, bool is_dir)
{
    const struct walk *w = arg;
    char below[PATH_MAX_BYTES], path[2 * PATH_MAX_BYTES];
    struct error err;
    struct buffer bytes;
    snprintf(below, sizeof below, "%.255s%s%.200s", w->below, w->below[0] ? "/" : "", name);
    snprintf(path, sizeof path, "%s/%s", w->top, below);
    if (is_dir) {
        struct walk deeper = {w->top, below};
        if (strcmp(below, "snapshots") != 0 && !dir_list(path, file_take, &deeper, &err))
            die("list", &err);
        return true;
    }
    if (file_count == FILES_MAX)
        die("the store has too many files", NULL);
    buffer_init(&bytes, MEM_OTHER, 1 << 20);
    if (!file_read_all(path, &bytes, &err))
        die("read", &err);
    struct store_file *f = &files[file_count++];
    memcpy(f->path, below, sizeof f->path);
    f->len = bytes.len;
    f->bytes = malloc(bytes.len + 1);
    if (!f->bytes)
        die("malloc", NULL);
    memcpy(f->bytes, bytes.ptr ? bytes.ptr : "", bytes.len);
    f->is_victim = f->len > 0;
    buffer_deinit(&bytes);
    return true;
}

static bool has_file(const char *part)
{
    for (size_t i = 0; i < file_count; i++)
        if (files[i].len > 0 && strstr(files[i].path, part))
            return true;
    return false;
}

static bool is_below(const struct store_file *f, const char *folder)
{
    return strncmp(f->path, folder, strlen(folder)) == 0;
}

static bool in_block(const struct store_file *f)
{
    return !is_below(f, "head/");
}

static bool is_deletions(const struct store_file *f)
{
    size_t len = strlen(f->path), tail = strlen("/deletions");
    return len > tail && strcmp(f->path + len - tail, "/deletions") == 0;
}

/* --- a damaged copy ------------------------------------------------------------------------------------- */

static void bytes_write(const char *path, const char *bytes, size_t len)
{
    FILE *f = fopen(path, "wb");
    if (!f || fwrite(bytes, 1, len, f) != len || fclose(f) != 0)
        die(path, NULL);
}

static char flipped(const struct try *t)
{
    return (char)(files[t->file].bytes[t->at] ^ (1 << (t->at * 5 + t->file) % 8));
}

static void copy_damaged(const struct try *t)
{
    const struct store_file *victim = &files[t->file];
    const char *slash = strrchr(victim->path, '/');
    size_t folder = slash ? (size_t)(slash - victim->path) + 1 : 0;
    struct error err;
    if (!dir_remove(t->dir, &err))
        die("folder", &err);
    for (size_t i = 0; i < file_count; i++) {
        char path[2 * PATH_MAX_BYTES];
        const struct store_file *f = &files[i];
        if (f == victim && t->kind == MISSING)
            continue;
        if (t->with_others && in_block(victim) && strncmp(f->path, victim->path, folder) == 0)
            continue;
        if (t->with_others && is_below(victim, "head/extents/") && is_below(f, "head/wal/"))
            continue;
        snprintf(path, sizeof path, "%.511s/%.511s", t->dir, f->path);
        *strrchr(path, '/') = 0;
        if (!dir_create(path, &err))
            die("folder", &err);
        path[strlen(path)] = '/';
        if (f != victim) {
            bytes_write(path, f->bytes, f->len);
            continue;
        }
        char *bytes = malloc(f->len);
        if (!bytes)
            die("malloc", NULL);
        memcpy(bytes, f->bytes, f->len);
        size_t page = t->at / PAGE_BYTES * PAGE_BYTES, rest = f->len - page;
        if (t->kind == FLIP)
            bytes[t->at] = flipped(t);
        if (t->kind == ZERO)
            memset(bytes + page, 0, rest < PAGE_BYTES ? rest : PAGE_BYTES);
        bytes_write(path, bytes, t->kind == CUT ? t->at : f->len);
        free(bytes);
    }
}

/* --- how it is taken ------------------------------------------------------------------------------------ */

static _Atomic uint32_t told;

static void listen(void *arg, bool is_error, const char *event, const char *text)
{
    (void)arg;
    if (getenv("TEST_VERBOSE"))
        fprintf(stderr, "  %s %s: %s\n", is_error ? "error" : "info", event, text);
    if (is_error)
        atomic_fetch_add(&told, 1);
}

/* Those of the series m0; dies when one of them was never written. */
static size_t exemplars_look(struct db *db)
{
    struct arena arena;
    struct error err;
    struct matcher m;
    struct exemplar_list *lists;
    size_t count, found = 0;
    arena_init(&arena, MEM_OTHER, 0);
    if (!matcher_init(&m, MATCH_EQUAL, VIEW(LABEL_NAME), VIEW("m0"), &err))
        die("matcher", &err);
    const struct exemplar_matchers set = {&m, 1};
    exemplars_select(db_exemplars(db), &set, 1, INT64_MIN, INT64_MAX, &arena, &lists, &count);
    for (size_t i = 0; i < count; i++) {
        struct view g = labels_get(lists[i].series, VIEW("g"));
        if (g.len != 1 || g.ptr[0] < '0' || g.ptr[0] >= '0' + GROUPS)
            die("an exemplar of a series that nobody wrote", NULL);
        for (size_t k = 0; k < lists[i].count; k++) {
            const struct exemplar *e = &lists[i].items[k];
            int64_t row = (e->timestamp_ms - T0) / STEP_MS;
            if (row < 0 || row >= ROWS_MAX || e->value != cell((uint32_t)(g.ptr[0] - '0'), 0, row))
                die("an exemplar that nobody wrote", NULL);
        }
        found += lists[i].count;
    }
    matcher_deinit(&m);
    arena_deinit(&arena);
    return found;
}

/* A log that ends behind a whole record looks like one that was never longer; and of files that come and go by number
 * nobody knows that one was there. */
static bool may_be_silent(const struct try *t)
{
    const struct store_file *f = &files[t->file];
    struct wal_scanner scanner;
    struct wal_record record;
    if (t->kind != CUT)
        return t->kind == MISSING && (is_below(f, "head/wal/") || is_below(f, "head/extents/") ||
                                      is_below(f, "head/exemplars.log"));
    wal_scanner_init(&scanner, (struct view){f->bytes, t->at}, 0);
    size_t end = 0;
    while (wal_scanner_next(&scanner, &record) == WAL_SCAN_RECORD)
        end = scanner.pos;
    return end == t->at;
}

/* Everything that a reader sees; notes and judges what is missing. */
static void look_around(struct try *t, struct db *db, const char *when)
{
    static struct look look;
    const struct store_file *f = &files[t->file];
    uint64_t missing = 0;
    store_look(db, is_deletions(f), &look);
    if (look.lost)
        atomic_fetch_add(&told, 1);
    for (uint32_t g = 0; g < GROUPS; g++)
        for (uint32_t n = 0; n < SERIES; n++)
            for (int64_t row = 0; row < ROWS_MAX; row++) {
                if (!sample_must_be_there(g, n, row) || look.seen[g][n][row])
                    continue;
                missing++;
                t->losses->lost[g][n][row] = true;
                if (!t->allowed || t->allowed->lost[g][n][row])
                    continue;
                fprintf(stderr, "group %u series %u row %" PRId64 ", %s\n", g, n, row, when);
                die("a sample is lost that the file does not hold", NULL);
            }
    if (missing > atomic_load(t->samples))
        atomic_store(t->samples, missing);
    bool exemplars_lost = exemplars_look(db) < exemplar_count;
    if (exemplars_lost && !strstr(f->path, "exemplars"))
        die("exemplars are lost", NULL);
    if ((missing || exemplars_lost) && !atomic_load(&told) && !may_be_silent(t) &&
        !t->with_others) {
        fprintf(stderr, "%" PRIu64 " samples, %s\n", missing, when);
        die("something is lost, and nobody is told", NULL);
    }
}

struct search {
    const struct try *t;
    const char *path;
    bool found;
};

static bool has_damage(const struct try *t, struct view bytes, size_t from)
{
    const struct store_file *f = &files[t->file];
    size_t at = t->at - from;
    return from <= t->at && at < bytes.len && bytes.ptr[at] == flipped(t) &&
           (at + 1 >= bytes.len || bytes.ptr[at + 1] == f->bytes[t->at + 1]) &&
           (at == 0 || bytes.ptr[at - 1] == f->bytes[t->at - 1]);
}

/* A whole file, or a part, whose name ends with -OFFSET. */
static bool search_file(void *arg, const char *name, bool is_dir)
{
    struct search *s = arg;
    char path[2 * PATH_MAX_BYTES];
    struct error err;
    snprintf(path, sizeof path, "%.700s/%.200s", s->path, name);
    struct search deeper = {s->t, path, false};
    if (is_dir) {
        if (!dir_list(path, search_file, &deeper, &err))
            die("list", &err);
    } else {
        const char *dash = strrchr(name, '-');
        size_t from = dash ? strtoul(dash + 1, NULL, 10) : 0;
        struct buffer bytes;
        buffer_init(&bytes, MEM_OTHER, 4 << 20);
        if (!file_read_all(path, &bytes, &err))
            die("read", &err);
        deeper.found = has_damage(s->t, buffer_view(&bytes), 0) ||
                       (from > 0 && has_damage(s->t, buffer_view(&bytes), from));
        buffer_deinit(&bytes);
    }
    s->found |= deeper.found;
    return !s->found;
}

/* The flipped byte beside its neighbours. */
static void damage_must_be_kept(const struct try *t)
{
    struct error err;
    struct search s = {t, t->dir, false};
    if (!dir_list(t->dir, search_file, &s, &err))
        die("list", &err);
    if (!s.found)
        die("what was damaged is gone", NULL);
}

static struct db *reopen(struct try *t, int64_t block_ms)
{
    struct error err;
    struct db *db = store_open(t->dir, block_ms, listen, &err);
    if (!db)
        die("open", &err);
    return db;
}

static void examine(void *arg)
{
    struct try *t = arg;
    struct error err;
    struct db *db = reopen(t, HEAD_BLOCK_MS);
    look_around(t, db, "after the first start");
    for (uint32_t g = 0; g < GROUPS; g++)
        if (!row_append(db, g, LAST_ROW, false, &err))
            die("append", &err);
    look_around(t, db, "after rows were added");
    if (!db_maintain(db, &err))
        die("maintain", &err);
    look_around(t, db, "after it was tended");
    if (!db_close(db, &err))
        die("close", &err);
    db = reopen(t, BLOCK_MS);
    look_around(t, db, "after the second start");
    if (!db_maintain(db, &err))
        die("cut", &err);
    look_around(t, db, "after the cut");
    if (!db_compact(db, &err))
        die("merge", &err);
    look_around(t, db, "after the merge");
    if (!db_close(db, &err))
        die("close", &err);
    db = reopen(t, BLOCK_MS);
    look_around(t, db, "after the third start");
    if (!db_close(db, &err))
        die("close", &err);
    if (t->kind == FLIP && atomic_load(t->samples) > 0)
        damage_must_be_kept(t);
    for (uint32_t g = 0; g < GROUPS; g++)
        atomic_store(&oracle->rows[g][LAST_ROW], ROW_NONE);
}

/* --- the parent ----------------------------------------------------------------------------------------- */

static struct count {
    uint64_t tries, losing, samples;
} counts[DAMAGES];
static uint64_t failures;

static void attempt(struct try *t)
{
    memset(t->losses, 0, sizeof *t->losses);
    atomic_store(t->samples, 0);
    for (uint32_t g = 0; g < GROUPS; g++)
        atomic_store(&oracle->rows[g][LAST_ROW], ROW_NONE);
    copy_damaged(t);
    int status = in_child(examine, t);
    struct count *c = &counts[t->kind];
    c->tries++;
    c->losing += atomic_load(t->samples) > 0;
    c->samples += atomic_load(t->samples);
    if (WIFEXITED(status) && WEXITSTATUS(status) == 0)
        return;
    fprintf(stderr, "db_damage: status %#x: db_damage %s %zu %zu, in \"%s\" of %zu bytes\n",
            (unsigned)status, NAMES[t->kind], t->file, t->at, files[t->file].path,
            files[t->file].len);
    if (++failures == FAILURES_SHOWN) {
        fprintf(stderr, "db_damage: that is enough\n");
        exit(1);
    }
}

/* What may be lost when a file is hit: what is lost when it is not there. */
static void allow(struct try *t)
{
    for (size_t i = 0; i < file_count; i++) {
        if (!files[i].is_victim)
            continue;
        files[i].allowed = shared_alloc(sizeof *files[i].allowed);
        t->file = i;
        t->kind = MISSING;
        t->at = 0;
        t->allowed = NULL;
        t->with_others = true;
        attempt(t);
        memcpy(files[i].allowed, t->losses, sizeof *t->losses);
    }
    t->with_others = false;
}

static void hit(struct try *t, enum damage kind, size_t file, size_t at)
{
    t->kind = kind;
    t->file = file;
    t->at = at;
    t->allowed = files[file].allowed;
    attempt(t);
}

static void hit_all(struct try *t, struct random *random)
{
    size_t total = 0;
    long flips = scaled(FLIPS), rounds = scaled(1);
    for (size_t i = 0; i < file_count; i++)
        total += files[i].is_victim ? files[i].len : 0;
    bool full = (size_t)flips >= total;
    for (size_t i = 0; full && i < file_count; i++)
        for (size_t at = 0; files[i].is_victim && at < files[i].len; at++)
            hit(t, FLIP, i, at);
    for (long k = 0; !full && k < flips; k++) {
        size_t at = random_below(random, total), i = 0;
        /* Half of them by file, so that small ones have their share. */
        do
            i = random_below(random, file_count);
        while (!files[i].is_victim);
        if (k % 2)
            for (i = 0; !files[i].is_victim || at >= files[i].len; i++)
                at -= files[i].is_victim ? files[i].len : 0;
        hit(t, FLIP, i, at % files[i].len);
    }
    for (size_t i = 0; i < file_count; i++) {
        if (!files[i].is_victim)
            continue;
        hit(t, MISSING, i, 0);
        for (long k = 0; k < rounds; k++) {
            hit(t, CUT, i, random_below(random, files[i].len));
            hit(t, ZERO, i, random_below(random, files[i].len));
        }
    }
    printf("%zu bytes in files that were hit\n", total);
}

static void prepare(const char *dir)
{
    static const char *const KINDS[] = {"meta.json",      "index",         "columns",
                                        "head/deletions", "head/floor",    "head/series.log",
                                        "head/wal/",      "head/extents/", "head/exemplars.log"};
    struct error err;
    struct walk w = {dir, ""};
    int status = in_child(make, (void *)(uintptr_t)dir);
    if (!WIFEXITED(status) || WEXITSTATUS(status) != 0)
        die("the store could not be made", NULL);
    if (!dir_list(dir, file_take, &w, &err))
        die("list", &err);
    bool block_deletions = false;
    for (size_t i = 0; i < file_count; i++)
        block_deletions |= in_block(&files[i]) && is_deletions(&files[i]);
    for (size_t i = 0; i < ARRAY_COUNT(KINDS); i++)
        if (!has_file(KINDS[i]))
            die(KINDS[i], NULL);
    if (!block_deletions)
        die("no block has deletions", NULL);
}

int main(int argc, char **argv)
{
    uint64_t seed = seed_get();
    const char *top = top_folder();
    struct random random;
    struct error err;
    struct try t = {.losses = shared_alloc(sizeof *t.losses),
                    .samples = shared_alloc(sizeof *t.samples)};
    char dir[PATH_MAX_BYTES];
    oracle = shared_alloc(sizeof *oracle);
    random_seed(&random, seed);
    snprintf(dir, sizeof dir, "%s/whole", top);
    snprintf(t.dir, sizeof t.dir, "%s/store", top);
    if (!dir_create(dir, &err))
        die("folder", &err);
    prepare(dir);
    for (int64_t row = ROWS; row < TAIL_END; row++)
        for (uint32_t g = 0; g < GROUPS; g++)
            exemplar_count += row % 10 == 0 && !tail_waits(g, row);
    printf("seed %" PRIu64 ", %zu files\n", seed, file_count);
    allow(&t);
    if (argc == 4) {
        enum damage kind = 0;
        while (kind < MISSING && strcmp(argv[1], NAMES[kind]) != 0)
            kind++;
        hit(&t, kind, strtoul(argv[2], NULL, 10), strtoul(argv[3], NULL, 10));
    } else {
        hit_all(&t, &random);
    }
    for (int k = 0; k < DAMAGES; k++)
        printf("%s: %" PRIu64 " tries, %" PRIu64 " lost something, %" PRIu64 " samples in all\n",
               NAMES[k], counts[k].tries, counts[k].losing, counts[k].samples);
    if (failures > 0 || argc == 4)
        printf("the store, whole and as the last try left it, stays in %s\n", top);
    else if (!dir_remove(top, &err))
        die("remove", &err);
    return failures ? 1 : 0;
}
