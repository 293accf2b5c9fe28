/* SPDX-License-Identifier: Apache-2.0 */
/* health_probes.c: the checks that every service has: disk, memory, worker pool.
 *
 * Memory: see cgroups(7) and the kernel's cgroup-v2 document. A limit of a parent holds for its children, so all groups up to the
 * root are looked at, and the one nearest to its limit counts. In a container the path that /proc names may not be there: the
 * root is then the container's own. inactive_file is what the kernel takes back first without harm (kubelet's "working
 * set" leaves it out too); without it a process that reads files would look full. */
#include "instrument/health_private.h"
#include "instrument/proc.h"
#include "instrument/status.h"
#include "instrument/threads.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/statvfs.h>

/* --- disk --- */

struct disk {
    uint64_t bytes_min;
    char path[];
};

static const uint64_t DISK_BYTES_MIN_DEFAULT = 1000000000;

static bool disk_run(void *arg, char reason[BELFRY_HEALTH_REASON_BYTES])
{
    const struct disk *d = arg;
    struct statvfs st;
    if (statvfs(d->path, &st) != 0) {
        char text[64];
        snprintf(reason, BELFRY_HEALTH_REASON_BYTES, "could not look at \"%.128s\": %s", d->path,
                 strerror_r(errno, text, sizeof text));
        return false;
    }
    uint64_t free_bytes =
        (uint64_t)st.f_bavail * st.f_frsize; /* bavail: what root keeps is not ours */
    if (free_bytes >= d->bytes_min)
        return true;
    snprintf(reason, BELFRY_HEALTH_REASON_BYTES,
             "%llu bytes are free at \"%.128s\", fewer than %llu", (unsigned long long)free_bytes,
             d->path, (unsigned long long)d->bytes_min);
    return false;
}

belfry_status belfry_health_add_disk(belfry_health *health, const char *path, uint64_t bytes_min)
{
    if (!path)
        return belfry__fail_plainly(BELFRY_ERROR_NULL);
    size_t path_bytes = strlen(path) + 1;
    struct disk *d = malloc(sizeof *d + path_bytes);
    if (!d)
        return belfry__fail_plainly(BELFRY_ERROR_MEMORY);
    d->bytes_min = bytes_min ? bytes_min : DISK_BYTES_MIN_DEFAULT;
    memcpy(d->path, path, path_bytes);
    belfry_health_check check = {.name = "disk", .run = disk_run, .arg = d, .release = free};
    return belfry_health_add(health, &check);
}

/* --- memory --- */

struct usage {
    bool found;
    double ratio; /* of the group nearest to its limit */
    uint64_t limit_bytes;
};

/* The number in a file of one line; false for "max" and what is no number. */
static bool read_number(const char *root, const char *folder, const char *file, uint64_t *out)
{
    char path[PROC_PATH_BYTES], line[PROC_NAME_BYTES];
    int len = snprintf(path, sizeof path, "%s/%s", folder, file);
    if (len < 0 || (size_t)len >= sizeof path || !belfry__proc_read_line(line, root, path))
        return false;
    return belfry__span_unsigned((struct span){line, strlen(line)}, out);
}

/* The number behind a word at the begin of a line. */
static bool find_number(const struct text *file, const char *word, uint64_t *out)
{
    struct span rest = span_of(file), line, first, number;
    while (belfry__span_line(&rest, &line)) {
        if (belfry__span_word(&line, &first) && belfry__span_is(first, word))
            return belfry__span_word(&line, &number) && belfry__span_unsigned(number, out);
    }
    return false;
}

static uint64_t inactive_file_bytes(const char *root, const char *folder, bool is_v2)
{
    char path[PROC_PATH_BYTES];
    struct text file = {0};
    uint64_t bytes = 0;
    int len = snprintf(path, sizeof path, "%s/memory.stat", folder);
    if (len > 0 && (size_t)len < sizeof path && belfry__proc_read(&file, root, path) &&
        !find_number(&file, is_v2 ? "inactive_file" : "total_inactive_file", &bytes))
        bytes = 0;
    belfry__text_deinit(&file);
    return bytes;
}

/* Limits at or above host_bytes are none (version 1 writes a huge number). */
static void look_at_group(const char *root, const char *folder, bool is_v2, uint64_t host_bytes,
                          struct usage *worst)
{
    uint64_t limit, used;
    if (!read_number(root, folder, is_v2 ? "memory.max" : "memory.limit_in_bytes", &limit) ||
        limit >= host_bytes ||
        !read_number(root, folder, is_v2 ? "memory.current" : "memory.usage_in_bytes", &used))
        return;
    uint64_t inactive = inactive_file_bytes(root, folder, is_v2);
    used = used > inactive ? used - inactive : 0;
    double ratio = limit ? (double)used / (double)limit : 1;
    if (!worst->found || ratio > worst->ratio)
        *worst = (struct usage){true, ratio, limit};
}

/* A line of /proc/self/cgroup: NUMBER:CONTROLLERS:PATH. */
static void look_at_line(const char *root, struct span line, uint64_t host_bytes,
                         struct usage *worst)
{
    const char *first = memchr(line.ptr, ':', line.len), *end = line.ptr + line.len;
    const char *second = first ? memchr(first + 1, ':', (size_t)(end - first - 1)) : NULL;
    if (!second)
        return;
    struct span controllers = {first + 1, (size_t)(second - first - 1)};
    bool is_v2 = controllers.len == 0;
    if (!is_v2 && !memmem(controllers.ptr, controllers.len, "memory", 6))
        return;
    char folder[PROC_PATH_BYTES];
    const char *mount = is_v2 ? "/sys/fs/cgroup" : "/sys/fs/cgroup/memory";
    size_t mount_len = strlen(mount), len = mount_len + (size_t)(end - second - 1);
    if (len >= sizeof folder)
        return;
    memcpy(folder, mount, mount_len);
    memcpy(folder + mount_len, second + 1, len - mount_len);
    while (len > mount_len && folder[len - 1] == '/')
        len--;
    for (;;) {
        folder[len] = '\0';
        look_at_group(root, folder, is_v2, host_bytes, worst);
        if (len <= mount_len)
            return;
        while (len > mount_len && folder[len - 1] != '/')
            len--;
        if (len > mount_len)
            len--; /* the '/' */
    }
}

bool belfry__memory_ratio(const char *root, double *ratio, uint64_t *limit_bytes, bool *is_group,
                          char reason[BELFRY_HEALTH_REASON_BYTES])
{
    struct text file = {0};
    struct usage worst = {0};
    uint64_t total_kb, available_kb;
    bool ok = belfry__proc_read(&file, root, "/proc/meminfo") &&
              find_number(&file, "MemTotal:", &total_kb) && total_kb > 0 &&
              find_number(&file, "MemAvailable:", &available_kb);
    if (!ok) {
        snprintf(reason, BELFRY_HEALTH_REASON_BYTES, "could not read /proc/meminfo");
        belfry__text_deinit(&file);
        return false;
    }
    uint64_t host_bytes = total_kb * 1024;
    if (belfry__proc_read(&file, root, "/proc/self/cgroup")) {
        struct span rest = span_of(&file), line;
        while (belfry__span_line(&rest, &line))
            look_at_line(root, line, host_bytes, &worst);
    }
    belfry__text_deinit(&file);
    uint64_t used_kb = total_kb > available_kb ? total_kb - available_kb : 0;
    *is_group = worst.found;
    *ratio = worst.found ? worst.ratio : (double)used_kb / (double)total_kb;
    *limit_bytes = worst.found ? worst.limit_bytes : host_bytes;
    return true;
}

struct memory {
    double ratio_max;
    char root[];
};

static bool memory_run(void *arg, char reason[BELFRY_HEALTH_REASON_BYTES])
{
    const struct memory *m = arg;
    double ratio;
    uint64_t limit_bytes;
    bool is_group;
    if (!belfry__memory_ratio(m->root, &ratio, &limit_bytes, &is_group, reason))
        return false;
    if (ratio < m->ratio_max)
        return true;
    snprintf(reason, BELFRY_HEALTH_REASON_BYTES,
             "%.1f %% of the %s's %llu bytes are in use, not below %.1f %%", ratio * 100,
             is_group ? "control group" : "host", (unsigned long long)limit_bytes,
             m->ratio_max * 100);
    return false;
}

belfry_status belfry_health_add_memory(belfry_health *health, double ratio_max, const char *root)
{
    root = root ? root : "";
    size_t root_bytes = strlen(root) + 1;
    struct memory *m = malloc(sizeof *m + root_bytes);
    if (!m)
        return belfry__fail_plainly(BELFRY_ERROR_MEMORY);
    m->ratio_max = ratio_max > 0 ? ratio_max : 0.8;
    memcpy(m->root, root, root_bytes);
    belfry_health_check check = {.name = "mem", .run = memory_run, .arg = m, .release = free};
    return belfry_health_add(health, &check);
}

/* --- worker pool --- */

enum { WORKER_WAIT_MS = 1000, WORKER_TIMEOUT_MS = 2000 /* its own answer comes first */ };

/* A task in the pool's queue. Whoever needs it last frees it: the pool may run it long after the check is gone. */
struct token {
    _Atomic unsigned references;
    pthread_mutex_t mutex;
    pthread_cond_t ran;
    bool has_run; /* mutex */
};

struct worker {
    bool (*submit)(void *arg, void (*run)(void *task), void *task);
    void *arg;
    struct token
        *waiting; /* one that the pool has not run yet: no second one is queued behind it */
};

static void token_unref(struct token *t)
{
    if (!t || atomic_fetch_sub_explicit(&t->references, 1, memory_order_acq_rel) != 1)
        return;
    pthread_cond_destroy(&t->ran);
    pthread_mutex_destroy(&t->mutex);
    free(t);
}

static void token_run(void *task)
{
    struct token *t = task;
    pthread_mutex_lock(&t->mutex);
    t->has_run = true;
    pthread_cond_signal(&t->ran);
    pthread_mutex_unlock(&t->mutex);
    token_unref(t);
}

/* NULL without memory. One reference is the check's, one the pool's. */
static struct token *token_new(void)
{
    struct token *t = calloc(1, sizeof *t);
    if (!t)
        return NULL;
    if (pthread_mutex_init(&t->mutex, NULL) != 0 || !belfry__cond_init(&t->ran)) {
        free(t);
        return NULL;
    }
    atomic_init(&t->references, 2);
    return t;
}

static bool worker_run(void *arg, char reason[BELFRY_HEALTH_REASON_BYTES])
{
    struct worker *w = arg;
    int64_t until_ms = belfry__mono_ms() + WORKER_WAIT_MS;
    if (!w->waiting) {
        struct token *t = token_new();
        if (!t) {
            snprintf(reason, BELFRY_HEALTH_REASON_BYTES, "no memory for a task");
            return false;
        }
        if (!w->submit(w->arg, token_run, t)) {
            token_unref(t); /* the pool's, which it did not take */
            token_unref(t);
            snprintf(reason, BELFRY_HEALTH_REASON_BYTES, "the worker pool takes no task");
            return false;
        }
        w->waiting = t;
    }
    struct token *t = w->waiting;
    pthread_mutex_lock(&t->mutex);
    while (!t->has_run && belfry__cond_wait_until(&t->ran, &t->mutex, until_ms))
        ;
    bool has_run = t->has_run;
    pthread_mutex_unlock(&t->mutex);
    if (has_run) {
        token_unref(t);
        w->waiting = NULL;
    } else {
        snprintf(reason, BELFRY_HEALTH_REASON_BYTES, "a task did not run within %d ms",
                 WORKER_WAIT_MS);
    }
    return has_run;
}

static void worker_free(void *arg)
{
    struct worker *w = arg;
    token_unref(w->waiting);
    free(w);
}

belfry_status
belfry_health_add_worker(belfry_health *health,
                         bool (*submit)(void *arg, void (*run)(void *task), void *task), void *arg)
{
    struct worker *w = calloc(1, sizeof *w);
    if (!w)
        return belfry__fail_plainly(BELFRY_ERROR_MEMORY);
    w->submit = submit;
    w->arg = arg;
    belfry_health_check check = {.name = "worker",
                                 .run = worker_run,
                                 .arg = w,
                                 .release = worker_free,
                                 .timeout_ms = WORKER_TIMEOUT_MS};
    return belfry_health_add(health, &check);
}
