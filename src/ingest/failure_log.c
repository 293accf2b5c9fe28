/* SPDX-License-Identifier: Apache-2.0 */
/* failure_log.c: see failure_log.h. Each line is one write at the end of the file, which the kernel keeps whole, so
 * scrapes that fail together need no lock while they write. */
#include "ingest/failure_log.h"

#include "base/clock.h"
#include "base/file.h"
#include "base/json_write.h"
#include "base/mem.h"
#include "base/thread.h"

#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

enum { LINE_BYTES_MAX = 256 * 1024 };

struct sink {
    unsigned refs; /* guarded by the mutex */
    char *path;
    struct file *file;
    atomic_bool failed; /* said already */
};

struct failure_logs {
    void (*complain)(void *arg, const char *text);
    void *arg;
    pthread_mutex_t mutex; /* a leaf; not held while a file is opened or written */
    struct sink **sinks;
    size_t count;
};

struct failure_logs *failure_logs_new(void (*complain)(void *arg, const char *text), void *arg)
{
    struct failure_logs *l = mem_alloc_zero(MEM_SCRAPE, 1, sizeof *l);
    l->complain = complain;
    l->arg = arg;
    mutex_init(&l->mutex);
    return l;
}

static void sink_put(struct failure_logs *l, struct sink *s)
{
    mutex_lock(&l->mutex);
    bool last = --s->refs == 0;
    mutex_unlock(&l->mutex);
    if (!last)
        return;
    file_discard(s->file); /* each line was written at once: closing has nothing to report */
    mem_free(MEM_SCRAPE, s->path);
    mem_free(MEM_SCRAPE, s);
}

static void put_in_force(struct failure_logs *l, struct sink **sinks, size_t count)
{
    mutex_lock(&l->mutex);
    struct sink **old = l->sinks;
    size_t old_count = l->count;
    l->sinks = sinks;
    l->count = count;
    mutex_unlock(&l->mutex);
    for (size_t i = 0; i < old_count; i++)
        sink_put(l, old[i]);
    mem_free(MEM_SCRAPE, old);
}

void failure_logs_free(struct failure_logs *l)
{
    if (!l)
        return;
    put_in_force(l, NULL, 0);
    mutex_deinit(&l->mutex);
    mem_free(MEM_SCRAPE, l);
}

static struct sink *find(struct sink *const *sinks, size_t count, struct view path)
{
    for (size_t i = 0; i < count; i++) {
        if (view_is(path, sinks[i]->path))
            return sinks[i];
    }
    return NULL;
}

void failure_logs_apply(struct failure_logs *l, const struct config *config)
{
    struct sink **sinks = NULL;
    size_t count = 0, capacity = 0;
    for (size_t i = 0; i < config->scrape_configs.count; i++) {
        struct view path = config->scrape_configs.items[i].scrape_failure_log_file;
        struct file *file;
        struct error err;
        if (path.len == 0 || find(sinks, count, path))
            continue;
        char *name = mem_copy_string(MEM_SCRAPE, path);
        if (!file_open_append(&file, name, &err)) {
            error_wrap(&err, "scrape_failure_log_file");
            if (l->complain)
                l->complain(l->arg, err.message);
            mem_free(MEM_SCRAPE, name);
            continue;
        }
        struct sink *s = mem_alloc_zero(MEM_SCRAPE, 1, sizeof *s);
        s->refs = 1;
        s->path = name;
        s->file = file;
        sinks = mem_grow(MEM_SCRAPE, sinks, &capacity, count + 1, sizeof(struct sink *));
        sinks[count++] = s;
    }
    put_in_force(l, sinks, count);
}

static void line_make(struct buffer *b, const struct config_scrape_job *job, struct view url,
                      struct view message)
{
    char text[40];
    wall_time now = clock_wall();
    time_t seconds = (time_t)(now.ms / 1000);
    struct tm parts;
    gmtime_r(&seconds, &parts);
    size_t len = strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%S", &parts);
    snprintf(text + len, sizeof text - len, ".%03dZ", (int)(now.ms % 1000));
    buffer_printf(b, "{\"time\":\"%s\",\"level\":\"ERROR\",\"msg\":", text);
    json_string(b, message);
    buffer_append_literal(b, ",\"job_name\":");
    json_string(b, job->job_name);
    buffer_append_literal(b, ",\"target\":");
    json_string(b, url);
    buffer_append_literal(b, "}\n");
}

void failure_logs_write(struct failure_logs *l, const struct config_scrape_job *job,
                        struct view url, struct view message)
{
    struct buffer line;
    struct error err;
    if (job->scrape_failure_log_file.len == 0)
        return;
    mutex_lock(&l->mutex);
    struct sink *s = find(l->sinks, l->count, job->scrape_failure_log_file);
    if (s)
        s->refs++;
    mutex_unlock(&l->mutex);
    if (!s)
        return;
    buffer_init(&line, MEM_SCRAPE, LINE_BYTES_MAX);
    line_make(&line, job, url, message);
    if (!line.failed && !file_write_all(s->file, buffer_view(&line), &err) &&
        !atomic_exchange_explicit(&s->failed, true, memory_order_relaxed) && l->complain) {
        error_wrap(&err, "scrape_failure_log_file");
        l->complain(l->arg, err.message);
    }
    buffer_deinit(&line);
    sink_put(l, s);
}
