/* SPDX-License-Identifier: Apache-2.0 */
/* query_log.c: see query_log.h. The file is appended to with one write per line, which the kernel keeps whole, so
 * queries that end together need no lock while they write; a reload swaps the file under those that still do. */
#include "api/query_log.h"

#include "api/api_private.h"
#include "base/file.h"
#include "base/json_write.h"
#include "base/thread.h"

#include <string.h>

struct query_log_sink {
    unsigned references; /* guarded by the log's mutex */
    struct file *file;
};

void query_log_init(struct query_log *l)
{
    *l = (struct query_log){.sink = NULL};
    mutex_init(&l->mutex);
}

static struct query_log_sink *sink_get(struct query_log *l)
{
    mutex_lock(&l->mutex);
    struct query_log_sink *sink = l->sink;
    if (sink)
        sink->references++;
    mutex_unlock(&l->mutex);
    return sink;
}

static void sink_put(struct query_log *l, struct query_log_sink *sink)
{
    if (!sink)
        return;
    mutex_lock(&l->mutex);
    bool last = --sink->references == 0;
    mutex_unlock(&l->mutex);
    if (!last)
        return;
    file_discard(sink->file); /* each line was written at once: closing has nothing to report */
    mem_free(MEM_HTTP, sink);
}

static void sink_set(struct query_log *l, struct query_log_sink *sink)
{
    mutex_lock(&l->mutex);
    struct query_log_sink *before = l->sink;
    l->sink = sink;
    mutex_unlock(&l->mutex);
    sink_put(l, before);
}

void query_log_deinit(struct query_log *l)
{
    sink_set(l, NULL);
    mutex_deinit(&l->mutex);
}

bool query_log_open(struct query_log *l, struct view path, struct error *err)
{
    if (path.len == 0) {
        sink_set(l, NULL);
        return true;
    }
    struct buffer name;
    struct file *file;
    buffer_init(&name, MEM_HTTP, 64 * 1024);
    buffer_append_view(&name, path);
    buffer_append_byte(&name, '\0');
    bool ok = name.failed ? error_set(err, ERROR_INPUT, "the name of the query log is too long")
                          : file_open_append(&file, name.ptr, err);
    buffer_deinit(&name);
    if (!ok)
        return error_wrap(err, "query log");
    struct query_log_sink *sink = mem_alloc_zero(MEM_HTTP, 1, sizeof *sink);
    *sink = (struct query_log_sink){1, file};
    sink_set(l, sink);
    return true;
}

bool query_log_is_open(struct query_log *l)
{
    mutex_lock(&l->mutex);
    bool open = l->sink != NULL;
    mutex_unlock(&l->mutex);
    return open;
}

static void timing_write(struct buffer *b, const char *name, double seconds)
{
    buffer_printf(b, "\"%s\":", name);
    json_number(b, seconds);
}

static void step_samples_write(struct buffer *b, const struct query_stats *s)
{
    buffer_append_literal(b, "\"totalQueryableSamplesPerStep\":[");
    for (uint32_t i = 0; i < s->step_count; i++) {
        buffer_append_view(b, view_from(i ? ",[" : "["));
        json_timestamp(b, s->step_start_ms + (int64_t)i * s->step_ms);
        buffer_append_byte(b, ',');
        json_int(b, s->step_samples[i]);
        buffer_append_byte(b, ']');
    }
    buffer_append_literal(b, "],");
}

void query_stats_write(struct buffer *b, const struct query_stats *s, double queue_seconds)
{
    buffer_append_literal(b, "{\"timings\":{");
    timing_write(b, "evalTotalTime", (double)(s->prepare_ns + s->eval_ns) / 1e9);
    buffer_append_literal(b, ",\"resultSortTime\":0,"); /* results come sorted */
    timing_write(b, "queryPreparationTime", (double)s->prepare_ns / 1e9);
    buffer_append_byte(b, ',');
    timing_write(b, "innerEvalTime", (double)s->eval_ns / 1e9);
    buffer_append_byte(b, ',');
    timing_write(b, "execQueueTime", queue_seconds);
    buffer_append_byte(b, ',');
    timing_write(b, "execTotalTime", (double)s->total_ns / 1e9 + queue_seconds);
    buffer_append_literal(b, "},\"samples\":{");
    if (s->step_samples)
        step_samples_write(b, s);
    api_field_int(b, "totalQueryableSamples", s->samples_read);
    buffer_append_byte(b, ',');
    api_field_int(b, "peakSamples", s->peak_samples);
    buffer_append_literal(b, "}}");
}

static void line_write(struct buffer *b, const struct query_log_entry *e)
{
    buffer_append_literal(b, "{\"time\":");
    api_time_format(b, clock_wall().ms);
    buffer_append_literal(
        b, ",\"level\":\"INFO\",\"msg\":\"promql query logged\",\"params\":{\"end\":");
    api_time_format(b, e->params->end_ms);
    buffer_append_byte(b, ',');
    api_field_string(b, "query", e->text);
    buffer_append_literal(b, ",\"start\":");
    api_time_format(b, e->params->start_ms);
    buffer_append_byte(b, ',');
    api_field_int(b, "step", e->params->step_ms / 1000);
    buffer_append_literal(b, "},\"stats\":");
    query_stats_write(b, e->stats, e->queue_seconds);
    if (e->error) {
        buffer_append_byte(b, ',');
        api_field_string(b, "error", view_from(e->error->message));
    }
    const char *colon = strrchr(e->client, ':');
    struct view address = {e->client, colon ? (size_t)(colon - e->client) : strlen(e->client)};
    buffer_append_literal(b, ",\"httpRequest\":{");
    api_field_string(b, "clientIP", address);
    buffer_append_byte(b, ',');
    api_field_string(b, "method", view_from(e->method));
    buffer_append_byte(b, ',');
    api_field_string(b, "path", e->path);
    buffer_append_literal(b, "}}\n");
}

void query_log_write(struct query_log *l, const struct query_log_entry *e)
{
    struct query_log_sink *sink = sink_get(l);
    if (!sink)
        return;
    struct buffer line;
    struct error err;
    buffer_init(&line, MEM_HTTP, 4 << 20);
    line_write(&line, e);
    if (line.failed || !file_write_all(sink->file, buffer_view(&line), &err))
        atomic_fetch_add_explicit(&l->failed, 1, memory_order_relaxed);
    buffer_deinit(&line);
    sink_put(l, sink);
}
