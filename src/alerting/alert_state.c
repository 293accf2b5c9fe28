/* SPDX-License-Identifier: Apache-2.0 */
/* alert_state.c: see alert_state.h and alert_state_private.h. */
#include "alerting/alert_state_private.h"

#include <stdarg.h>
#include <stdio.h>

enum {
    RETENTION_MS = 120 * 3600 * 1000,
    MAINTENANCE_MS = 15 * 60 * 1000,
    HISTORY_ROWS_MAX = 1000000
};
#define HISTORY_RETENTION_MS (INT64_C(90) * 24 * 3600 * 1000)

void alert_state_log(const struct alert_state *s, bool is_error, const char *event,
                     const char *format, ...)
{
    char text[2048];
    va_list args;
    if (s->options.log == NULL)
        return;
    va_start(args, format);
    (void)vsnprintf(text, sizeof text, format, args);
    va_end(args);
    s->options.log(s->options.log_arg, is_error, event, text);
}

void alert_state_note(struct alert_state *s, bool ok, const struct error *err)
{
    mutex_lock(&s->mutex);
    bool was_faulty = s->stats.is_faulty;
    s->stats.is_faulty = !ok;
    s->stats.write_failures += !ok;
    if (ok)
        error_clear(&s->fault);
    else
        s->fault = *err;
    mutex_unlock(&s->mutex);
    if (!ok && !was_faulty)
        alert_state_log(s, true, "alert_state_failed",
                        "%s; alerting goes on from memory, silences and acknowledgements cannot be "
                        "changed, and it is tried again",
                        err->message);
    else if (ok && was_faulty)
        alert_state_log(s, false, "alert_state_recovered", "%s is written again",
                        s->file.path ? s->file.path : "memory");
}

static void set_defaults(struct alert_state_options *o)
{
    o->dir = NULL;
    if (o->retention_ms == 0)
        o->retention_ms = RETENTION_MS;
    if (o->maintenance_ms == 0)
        o->maintenance_ms = MAINTENANCE_MS;
    if (o->history_retention_ms == 0)
        o->history_retention_ms = HISTORY_RETENTION_MS;
    if (o->history_rows_max == 0)
        o->history_rows_max = HISTORY_ROWS_MAX;
    if (o->silence_bytes_max == 0 || o->silence_bytes_max > SILENCE_BYTES_MAX)
        o->silence_bytes_max = SILENCE_BYTES_MAX;
}

static void state_free(struct alert_state *s)
{
    state_file_close(&s->file);
    for (size_t i = 0; i < STATE_READERS; i++)
        state_file_close(&s->readers[i]);
    mem_free(MEM_ALERTING, s->file.path);
    history_deinit(&s->history);
    mutex_deinit(&s->read_mutex);
    cond_deinit(&s->read_ended);
    silences_deinit(&s->silences);
    acks_deinit(&s->acks);
    notification_log_deinit(&s->log);
    cond_deinit(&s->wakes);
    cond_deinit(&s->done);
    mutex_deinit(&s->mutex);
    mem_free(MEM_ALERTING, s);
}

bool alert_state_open(struct alert_state **out, const struct alert_state_options *options,
                      struct error *err)
{
    struct alert_state *s = mem_alloc_zero(MEM_ALERTING, 1, sizeof *s);
    struct error of_file = {0};
    *out = NULL;
    s->options = *options;
    set_defaults(&s->options);
    mutex_init(&s->mutex);
    mutex_init(&s->read_mutex);
    cond_init(&s->read_ended);
    history_init(&s->history);
    cond_init(&s->wakes);
    cond_init(&s->done);
    silences_init(&s->silences);
    map_init(&s->acks.by_fingerprint, MEM_ALERTING);
    s->acks.next_expiry_ns = INT64_MAX;
    map_init(&s->log.by_key, MEM_ALERTING);
    s->changes_end = &s->changes;
    s->version = 1;
    if (options->dir) {
        size_t bytes = strlen(options->dir) + sizeof "/" ALERT_STATE_DB_NAME;
        s->file.path = mem_alloc(MEM_ALERTING, bytes);
        (void)snprintf(s->file.path, bytes, "%s/%s", options->dir, ALERT_STATE_DB_NAME);
        for (size_t i = 0; i < STATE_READERS; i++)
            s->readers[i].path = s->file.path;
        if (!state_file_open(s, &of_file))
            alert_state_note(s, false, &of_file);
    }
    if (!alert_state_writer_start(s, err)) {
        state_free(s);
        return false;
    }
    *out = s;
    return true;
}

void alert_state_close(struct alert_state *s)
{
    if (s == NULL)
        return;
    alert_state_writer_stop(s);
    state_free(s);
}

void alert_state_watch(struct alert_state *s, alert_state_matched *matched, void *arg)
{
    mutex_lock(&s->mutex);
    s->matched = matched;
    s->matched_arg = arg;
    while (s->watch_calls > 0)
        cond_wait(&s->done, &s->mutex);
    mutex_unlock(&s->mutex);
}

void alert_state_watch_kept(struct alert_state *s, alert_state_kept *kept, void *arg)
{
    mutex_lock(&s->mutex);
    s->kept = kept;
    s->kept_arg = arg;
    while (s->watch_calls > 0)
        cond_wait(&s->done, &s->mutex);
    mutex_unlock(&s->mutex);
}

void alert_state_stats(struct alert_state *s, struct alert_state_stats *out)
{
    mutex_lock(&s->mutex);
    *out = s->stats;
    out->notification_log_entries = s->log.count;
    out->notification_log_queries = s->log.queries;
    out->pending_writes = s->log.dirty_count + s->log.writing_count;
    out->history_pending =
        s->history.events.count + s->history.changes.count + s->history.note_count;
    out->history_dropped = s->history.dropped;
    mutex_unlock(&s->mutex);
}

struct view alert_state_fault(struct alert_state *s, struct arena *arena)
{
    mutex_lock(&s->mutex);
    struct view fault =
        s->fault.kind == ERROR_NONE ? VIEW("") : arena_copy(arena, view_from(s->fault.message));
    mutex_unlock(&s->mutex);
    return fault;
}

uint64_t alert_state_version(struct alert_state *s, int64_t now_ns)
{
    mutex_lock(&s->mutex);
    silences_advance(s, now_ns);
    if (now_ns >= s->acks.next_expiry_ns) {
        s->version++;
        acks_forget(s, now_ns, INT64_MIN);
    }
    uint64_t version = s->version;
    mutex_unlock(&s->mutex);
    return version;
}
