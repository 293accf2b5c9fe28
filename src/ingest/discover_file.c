/* SPDX-License-Identifier: Apache-2.0 */
/* discover_file.c: file_sd: target groups in files.
 *
 * A refresh lists the files, reads those whose mtime, size or inode changed, and keeps what the others said. A file
 * that cannot be read or understood keeps its last groups; one that is gone takes them with it. A file that is being
 * written is left until it has been still for a moment, so that a half of it is not taken for all. */
#include "ingest/discover_private.h"

#include "base/file.h"
#include "base/mem.h"

#include <glob.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

enum { FILES_MAX = 10000, SETTLE_MS = 50, SETTLE_TRIES_MAX = 20 };

struct sd_file {
    char *path;
    struct stat seen;             /* when it was read; st_ino = 0: never */
    struct target_groups *groups; /* the last good ones; NULL: none yet */
    bool listed;                  /* in the listing at hand */
    bool bad;                     /* it could not be read or understood the last time */
};

struct state {
    struct sd_file *files;
    size_t count, capacity;
    unsigned settle_tries;
};

static void key(const void *settings, struct buffer *out)
{
    const struct config_file_sd *sd = settings;
    for (size_t i = 0; i < sd->files.count; i++)
        buffer_append_string(out, sd->files.items[i]);
}

static int64_t interval_ms(const void *settings)
{
    return ((const struct config_file_sd *)settings)->refresh_interval_ms;
}

static bool same(const struct stat *a, const struct stat *b)
{
    return a->st_ino == b->st_ino && a->st_dev == b->st_dev && a->st_size == b->st_size &&
           a->st_mtim.tv_sec == b->st_mtim.tv_sec && a->st_mtim.tv_nsec == b->st_mtim.tv_nsec;
}

static struct sd_file *file_of(struct state *s, const char *path)
{
    for (size_t i = 0; i < s->count; i++) {
        if (strcmp(s->files[i].path, path) == 0)
            return &s->files[i];
    }
    if (s->count == s->capacity)
        s->files = mem_grow(MEM_SCRAPE, s->files, &s->capacity, s->count + 1, sizeof *s->files);
    struct sd_file *f = &s->files[s->count++];
    *f = (struct sd_file){.path = mem_copy_string(MEM_SCRAPE, view_from(path))};
    return f;
}

static void file_drop(struct state *s, size_t idx)
{
    target_groups_unref(s->files[idx].groups);
    mem_free(MEM_SCRAPE, s->files[idx].path);
    memmove(&s->files[idx], &s->files[idx + 1], (s->count - idx - 1) * sizeof *s->files);
    s->count--;
}

/* Still being written? Clocks of file systems differ, so it is asked a few times only. */
static bool is_fresh(const struct stat *now)
{
    int64_t age =
        clock_wall().ms - ((int64_t)now->st_mtim.tv_sec * 1000 + now->st_mtim.tv_nsec / 1000000);
    return age >= 0 && age < SETTLE_MS;
}

/* False when the file is to be looked at again soon. */
static bool file_refresh(struct discover_provider *p, struct sd_file *f, bool may_wait)
{
    struct stat before, after;
    struct error err;
    struct target_groups *groups;
    if (stat(f->path, &before) != 0)
        return true; /* gone since it was listed: the folder's next event tells */
    if (f->seen.st_ino && same(&before, &f->seen))
        return true;
    if (may_wait && is_fresh(&before))
        return false;
    bool ok = target_groups_read(f->path, &groups, &err);
    if (may_wait && (stat(f->path, &after) != 0 || !same(&before, &after))) {
        if (ok)
            target_groups_unref(groups);
        return false;
    }
    f->seen = before;
    f->bad = !ok;
    if (!ok) {
        DISCOVER_COUNT(discover_counters(p->discover)->file_read_errors, 1);
        discover_failed(p, f->groups ? "its last targets stay" : "it has no targets", &err);
        return true;
    }
    if (f->groups &&
        f->groups->hash == groups->hash) { /* written again, the same: nothing is new */
        target_groups_unref(groups);
    } else {
        target_groups_unref(f->groups);
        f->groups = groups;
        groups->source = arena_copy(&groups->arena, view_from(f->path));
    }
    atomic_store_explicit(&f->groups->changed_seconds,
                          (double)before.st_mtim.tv_sec + (double)before.st_mtim.tv_nsec / 1e9,
                          memory_order_relaxed);
    return true;
}

static void watch_folder(struct discover_provider *p, struct view pattern)
{
    size_t end = pattern.len;
    while (end > 0 && pattern.ptr[end - 1] != '/')
        end--;
    struct view folder = end ? view_slice(pattern, 0, end) : VIEW(".");
    char *path = mem_copy_string(MEM_SCRAPE, folder);
    if (!discover_watch(p->discover, path))
        DISCOVER_COUNT(discover_counters(p->discover)->file_watcher_errors, 1);
    mem_free(MEM_SCRAPE, path);
}

/* Marks what is there; false when it is too much. */
static bool list(struct discover_provider *p, struct state *s, struct error *err)
{
    const struct config_file_sd *sd = p->settings;
    for (size_t i = 0; i < s->count; i++)
        s->files[i].listed = false;
    for (size_t i = 0; i < sd->files.count; i++) {
        glob_t found = {0};
        char *pattern = mem_copy_string(MEM_SCRAPE, sd->files.items[i]);
        watch_folder(p, sd->files.items[i]);
        int rc = glob(pattern, 0, NULL, &found);
        bool ok = rc == 0 || rc == GLOB_NOMATCH ||
                  error_set(err, ERROR_IO, "could not list \"%s\"", pattern);
        mem_free(MEM_SCRAPE, pattern);
        for (size_t j = 0; ok && j < found.gl_pathc; j++) {
            file_of(s, found.gl_pathv[j])->listed = true;
            if (s->count > FILES_MAX)
                ok = error_set(err, ERROR_TOO_LARGE, "file_sd_configs match more than %d files",
                               FILES_MAX);
        }
        globfree(&found);
        if (!ok)
            return false;
    }
    return true;
}

static void push(struct discover_provider *p, struct state *s)
{
    struct target_groups **sets = mem_alloc_zero(MEM_SCRAPE, s->count + 1, sizeof *sets);
    size_t count = 0;
    for (size_t i = 0; i < s->count; i++) {
        if (s->files[i].groups)
            sets[count++] = target_groups_ref(s->files[i].groups);
    }
    discover_push(p, sets, count);
    mem_free(MEM_SCRAPE, sets);
}

static void refresh(struct discover_provider *p, bool first)
{
    struct state *s = p->state;
    struct error err;
    mono_time began = clock_mono();
    bool may_wait = !first && s->settle_tries < SETTLE_TRIES_MAX, settled = true;
    if (!list(p, s, &err)) {
        discover_failed(p, "its last targets stay", &err);
        return;
    }
    for (size_t i = s->count; i-- > 0;) {
        if (!s->files[i].listed)
            file_drop(s, i);
    }
    bool bad = false;
    for (size_t i = 0; i < s->count; i++) {
        settled &= file_refresh(p, &s->files[i], may_wait);
        bad |= s->files[i].bad;
    }
    push(p, s);
    if (!bad)
        discover_succeeded(p);
    s->settle_tries = settled ? 0 : s->settle_tries + 1;
    if (!settled)
        discover_delay(p, SETTLE_MS + 10);
    struct discover_counters *c = discover_counters(p->discover);
    DISCOVER_COUNT(c->file_scans, 1);
    DISCOVER_COUNT(c->file_scan_ns, (uint64_t)(clock_mono().ns - began.ns));
}

static void close_state(struct discover_provider *p)
{
    struct state *s = p->state;
    while (s->count)
        file_drop(s, s->count - 1);
    mem_free(MEM_SCRAPE, s->files);
}

const struct discover_kind DISCOVER_FILE = {.kind = CONFIG_FILE_SD,
                                            .label = "file",
                                            .bytes = sizeof(struct state),
                                            .key = key,
                                            .interval_ms = interval_ms,
                                            .refresh = refresh,
                                            .close = close_state};
