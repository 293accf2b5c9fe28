/* SPDX-License-Identifier: Apache-2.0 */
/* head_kill.c: a child appends and tells through a pipe which rows a query has shown it; the parent kills
 * it with SIGKILL at a random moment, opens the store and looks: every row that was shown, or whose commit
 * waited, must be there, whole, and nothing that was never written. So must every late sample whose commit waited.
 *
 * Kills: 5 times TEST_SCALE, the seed is printed (TEST_SEED repeats it). */
#include "base/clock.h"
#include "base/file.h"
#include "base/random.h"
#include "storage/head.h"

#include <inttypes.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

enum { GROUPS = 4, SERIES = 50, KILL_AFTER_MS_MAX = 300, LATE = 1 << 16, LATE_ROWS_MAX = 1 << 22 };
#define T0 INT64_C(1700000000000)

struct progress {
    uint32_t group; /* | LATE: the late sample of this row was acknowledged */
    int64_t row;    /* shown, so every row up to it must survive */
};

/* What the parent was told. */
struct told {
    int64_t shown[GROUPS];
    uint8_t *late; /* by row: a bit per group */
};

/* The row that a late sample is of, sent after `row`: one that is in the tile still, or one that is packed. */
static int64_t late_row(int64_t row)
{
    return row % 6 == 0 ? row - 2 : row % 3 == 0 ? row - 20 : -1;
}

static double cell(uint32_t group, uint32_t series, int64_t row)
{
    return series % 3 == 0 ? (double)(row / 10) : (double)(row * (series + 1) + group) / 100;
}

static void die(const char *what, const struct error *err)
{
    fprintf(stderr, "head_kill: %s: %s\n", what, err ? err->message : "");
    exit(1);
}

static struct labels labels_of(struct arena *arena, uint32_t group, uint32_t series)
{
    struct labels_builder b;
    labels_builder_init(&b, arena);
    labels_builder_set(&b, VIEW(LABEL_NAME), arena_printf(arena, "m%u", series));
    labels_builder_set(&b, VIEW("g"), arena_printf(arena, "%u", group));
    return labels_builder_finish(&b);
}

/* The last row of a group as a query sees it, -1 = none. `check`: all samples are what they must be. */
static int64_t last_row(struct head *h, uint32_t group, bool check)
{
    struct error err;
    struct arena arena;
    struct matcher m;
    struct series_list list;
    char value[16];
    int64_t last = INT64_MIN;
    arena_init(&arena, MEM_QUERY, 0);
    snprintf(value, sizeof value, "%u", group);
    if (!matcher_init(&m, MATCH_EQUAL, VIEW("g"), view_from(value), &err))
        die("matcher", &err);
    struct select what = {&m, 1, INT64_MIN, INT64_MAX, 0};
    struct label_store *store = label_store_new(MEM_QUERY, 0);
    struct head_view *v = head_pin(h, INT64_MIN);
    struct head_reader *r = head_reader_new(v);
    if (!head_select(v, &what, store, &arena, &list, &err))
        die("select", &err);
    symbol_id name = label_store_add_symbol(store, VIEW(LABEL_NAME));
    for (size_t i = 0; i < list.count; i++) {
        struct samples s;
        struct view text =
            label_store_text(store, label_store_get(store, list.items[i].labels, name));
        uint32_t series = 0;
        for (size_t k = 1; k < text.len; k++)
            series = series * 10 + (uint32_t)(text.ptr[k] - '0');
        if (!head_reader_read(r, list.items[i].ref, INT64_MIN, INT64_MAX, NULL, &s, &err))
            die("read", &err);
        int64_t end = (int64_t)s.count - 1;
        if (last != INT64_MIN && end != last)
            die("a row is there by half", NULL);
        last = end;
        for (size_t k = 0; check && k < s.count; k++) {
            if (s.times[k] != T0 + (int64_t)k || s.values[k] != cell(group, series, (int64_t)k)) {
                fprintf(stderr, "group %u series %u row %zu: %" PRId64 " %g\n", group, series, k,
                        s.times[k] - T0, s.values[k]);
                die("a wrong sample", NULL);
            }
        }
    }
    if (list.count != 0 && list.count != SERIES)
        die("a row is there by half: series are missing", NULL);
    head_reader_free(r);
    head_view_release(v);
    label_store_free(store);
    matcher_deinit(&m);
    arena_deinit(&arena);
    return last == INT64_MIN ? -1 : last;
}

static struct labels late_labels(struct arena *arena, uint32_t group)
{
    struct labels_builder b;
    labels_builder_init(&b, arena);
    labels_builder_set(&b, VIEW(LABEL_NAME), VIEW("late"));
    labels_builder_set(&b, VIEW("late_group"), arena_printf(arena, "%u", group));
    return labels_builder_finish(&b);
}

/* All late samples of a group are what they must be, and those that were acknowledged are there. */
static void check_late(struct head *h, uint32_t group, const uint8_t *late)
{
    struct error err;
    struct arena arena;
    struct matcher m;
    struct series_list list;
    struct samples s = {0};
    char value[16];
    size_t at = 0;
    arena_init(&arena, MEM_QUERY, 0);
    snprintf(value, sizeof value, "%u", group);
    if (!matcher_init(&m, MATCH_EQUAL, VIEW("late_group"), view_from(value), &err))
        die("matcher", &err);
    struct select what = {&m, 1, INT64_MIN, INT64_MAX, 0};
    struct label_store *store = label_store_new(MEM_QUERY, 0);
    struct head_view *v = head_pin(h, INT64_MIN);
    struct head_reader *r = head_reader_new(v);
    if (!head_select(v, &what, store, &arena, &list, &err) ||
        (list.count > 0 &&
         !head_reader_read(r, list.items[0].ref, INT64_MIN, INT64_MAX, NULL, &s, &err)))
        die("read", &err);
    for (int64_t row = 0; row < LATE_ROWS_MAX; row++) {
        bool there = at < s.count && s.times[at] == T0 + row;
        if (there && s.values[at++] != cell(group, 77, row))
            die("a wrong late sample", NULL);
        if (!there && (late[row] >> group & 1))
            die("an acknowledged late sample is missing", NULL);
    }
    if (at != s.count)
        die("a late sample that was never written", NULL);
    head_reader_free(r);
    head_view_release(v);
    label_store_free(store);
    matcher_deinit(&m);
    arena_deinit(&arena);
}

static void report(int out, struct progress p)
{
    if (write(out, &p, sizeof p) != (ssize_t)sizeof p)
        _exit(0);
}

/* Appends for ever; every 16 rows it asks what a query shows and reports that. Now and then it seals, writes
 * extents and drops segments, as the keeper does. */
static void child(const char *dir, int out)
{
    struct head *h;
    struct error err;
    struct db_options opts = {.wal_segment_bytes = 100000, .wal_sync_interval_ms = 100};
    struct group *group[GROUPS];
    uint32_t slots[GROUPS][SERIES], late_slot[GROUPS];
    int64_t row[GROUPS];
    struct arena arena;
    arena_init(&arena, MEM_OTHER, 0);
    if (!head_open(&h, dir, INT64_MIN, &opts, NULL, &err))
        die("open", &err);
    for (uint32_t g = 0; g < GROUPS; g++) {
        char key[32];
        snprintf(key, sizeof key, "group %u", g);
        if (!head_group_open(h, view_from(key), &group[g], &err))
            die("group", &err);
        for (uint32_t i = 0; i < SERIES; i++) {
            if (!group_slot(group[g], labels_of(&arena, g, i), &slots[g][i], &err))
                die("slot", &err);
        }
        if (!group_slot(group[g], late_labels(&arena, g), &late_slot[g], &err))
            die("slot", &err);
        row[g] = last_row(h, g, false) + 1;
    }
    for (uint64_t n = 0;; n++) {
        uint32_t g = n % GROUPS;
        struct appender a;
        if (!appender_begin(&a, group[g], T0 + row[g], &err))
            die("begin", &err);
        for (uint32_t i = 0; i < SERIES; i++)
            appender_sample(&a, slots[g][i], cell(g, i, row[g]));
        bool wait = n % 7 == 0;
        if (!appender_commit(&a, wait ? APPENDER_WAIT : 0, &err))
            die("commit", &err);
        int64_t late = late_row(row[g]);
        if (late >= 0) {
            if (!appender_begin(&a, group[g], T0 + late, &err))
                die("begin", &err);
            appender_sample(&a, late_slot[g], cell(g, 77, late));
            if (!appender_commit(&a, n % 5 == 0 ? APPENDER_WAIT : 0, &err))
                die("commit", &err);
            if (n % 5 == 0)
                report(out, (struct progress){g | LATE, late});
        }
        struct progress p = {g, row[g]++};
        if (n % 500 == 499 && !(n % 3000 == 2999 ? head_store_all(h, &err) : head_store(h, &err)))
            die("store", &err);
        if (n % 64 == 1)
            p.row = last_row(h, g, false);
        else if (!wait)
            continue;
        report(out, p);
    }
}

static void note(struct told *told, struct progress p)
{
    uint32_t group = p.group & (LATE - 1);
    if (p.group & LATE && p.row < LATE_ROWS_MAX)
        told->late[p.row] |= (uint8_t)(1 << group);
    else if (!(p.group & LATE) && p.row > told->shown[group])
        told->shown[group] = p.row;
}

/* Takes reports until the deadline, so that the child is never held up by a full pipe. */
static uint64_t take_reports(int fd, mono_time until, struct told *told)
{
    uint64_t reports = 0;
    for (;;) {
        struct progress p;
        struct pollfd wanted = {.fd = fd, .events = POLLIN};
        int64_t left = (until.ns - clock_mono().ns) / 1000000;
        if (left <= 0 || poll(&wanted, 1, (int)left) <= 0 ||
            read(fd, &p, sizeof p) != (ssize_t)sizeof p)
            return reports;
        note(told, p);
        reports++;
    }
}

/* Returns the rows that were reported in this life. */
static uint64_t one_life(const char *dir, uint64_t kill_after_ms, struct told *told)
{
    int fds[2];
    struct progress p;
    uint64_t reports = 0;
    if (pipe(fds) != 0)
        die("pipe", NULL);
    pid_t pid = fork();
    if (pid < 0)
        die("fork", NULL);
    if (pid == 0) {
        close(fds[0]);
        child(dir, fds[1]);
    }
    close(fds[1]);
    /* The clock starts with the first report, so that each life reaches the appending. */
    if (read(fds[0], &p, sizeof p) == (ssize_t)sizeof p) {
        note(told, p);
        reports = take_reports(fds[0], mono_add_ms(clock_mono(), (int64_t)kill_after_ms), told);
    }
    kill(pid, SIGKILL);
    while (read(fds[0], &p, sizeof p) == (ssize_t)sizeof p) {
        note(told, p);
        reports++;
    }
    close(fds[0]);
    int status;
    if (waitpid(pid, &status, 0) != pid || !WIFSIGNALED(status))
        die("the child ended by itself", NULL);
    return reports;
}

int main(void)
{
    const char *scale = getenv("TEST_SCALE"), *fixed = getenv("TEST_SEED"), *tmp = getenv("TMPDIR");
    int kills = 5 * (scale ? (int)strtol(scale, NULL, 10) : 1);
    uint64_t seed = fixed ? strtoull(fixed, NULL, 10) : (uint64_t)clock_mono().ns;
    struct told told = {{-1, -1, -1, -1}, calloc(LATE_ROWS_MAX, 1)};
    struct random random;
    struct error err;
    char dir[256];
    printf("seed %" PRIu64 "\n", seed);
    random_seed(&random, seed);
    snprintf(dir, sizeof dir, "%s/belfry-kill-XXXXXX", tmp ? tmp : "/tmp");
    if (!mkdtemp(dir))
        die("mkdtemp", NULL);
    for (int i = 0; i < kills; i++) {
        uint64_t reports = one_life(dir, random_below(&random, KILL_AFTER_MS_MAX), &told);
        mono_time begin = clock_mono();
        struct head *h;
        if (!head_open(&h, dir, INT64_MIN, NULL, NULL, &err))
            die("open after a kill", &err);
        int64_t open_ms = mono_ms_since(begin);
        for (uint32_t g = 0; g < GROUPS; g++) {
            int64_t last = last_row(h, g, true);
            check_late(h, g, told.late);
            if (last < told.shown[g]) {
                fprintf(stderr,
                        "kill %d: group %u ends at row %" PRId64 ", row %" PRId64 " was shown\n", i,
                        g, last, told.shown[g]);
                return 1;
            }
        }
        if (!head_close(h, &err))
            die("close", &err);
        printf("kill %d: %" PRIu64 " reports, open again in %" PRId64 " ms, %" PRId64 " rows\n", i,
               reports, open_ms, told.shown[0] + 1);
    }
    if (!dir_remove(dir, &err))
        die("remove", &err);
    free(told.late);
    return 0;
}
