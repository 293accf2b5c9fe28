/* SPDX-License-Identifier: Apache-2.0 */
/* wal.c: one thread writes what was committed, publishes it, and syncs it.
 *
 *   appender -> [commit queue, bounded] -> write series log -> write segment -> publish rows
 *                                            `-- sync both, series log first, at most an interval later
 *
 * Segments are files wal/N of framed records (wal_record.h), N ascending. Each can be read by itself: the
 * first row of a group in it is a key row. A row is encoded for a segment; the queue refuses one that was
 * encoded for another (WAL_OTHER_SEGMENT), so that a segment never begins a group in the middle. A
 * process never appends to a file of another process; a file is made with its first row. The next one begins
 * after 128 MiB or five minutes, so that what is sealed can go (head_store.c).
 *
 * When the environment fails (numbered, each with its test in head_fault_test.c):
 * 1. A write fails: the file is cut back to its last whole record. Without space, it is tried again there;
 *    after another error, or when cutting fails, in a new segment. Rows that somebody waits for are
 *    refused and taken out; the others stay queued. New rows are refused (wal_accepts) until a write
 *    succeeds, which is tried after 10 ms, then ever later up to every 250: ingest resumes by itself.
 * 2. A sync fails: it is never tried again on that file. What was not synced is still in `unsynced`; it
 *    is written again to a new segment and synced there. Replay takes each row once (by its number).
 * 3. The series log fails: it is written anew as a whole and published by rename, before any other row.
 * 4. Rows refused after a torn write may stand in a sealed file. The next row of that group is a key row
 *    with the same number, and replay lets it replace the one it knew.
 *
 * Threads: fields below `mutex` are guarded by it, those of the WAL thread by nothing. The mutex is never
 * held while writing. */
#include "storage/wal.h"

#include "base/assert.h"
#include "base/clock.h"
#include "base/file.h"
#include "base/mem.h"
#include "base/thread.h"
#include "storage/db.h"
#include "storage/wal_record.h"

#include <inttypes.h>
#include <stdatomic.h>
#include <stdio.h>

enum {
    RETRY_MS_FIRST = 10,
    RETRY_MS_MAX = 250,
    SYNC_INTERVAL_MS = 1000,
    COMMITS_MAX = 1 << 14,
    SEGMENT_AGE_MS = 5 * 60 * 1000, /* a key row in 20 at the usual interval */
    SEGMENTS_MAX = 4                /* of full size: more, and rows are sealed early */
};
#define SEGMENT_BYTES (UINT64_C(128) << 20)
#define QUEUE_BYTES_MAX ((size_t)64 << 20)    /* rows that wait to be written */
#define UNSYNCED_BYTES_MAX ((size_t)16 << 20) /* more is synced at once */
#define BUFFER_BYTES_MAX ((size_t)1 << 40)    /* bounded by the queue, not by the buffer */

struct commit {
    struct wal_commit what;
    size_t bytes;
    struct waiter *waiter; /* NULL = nobody waits */
};

struct waiter {
    bool done, written;
    struct error error;
};

struct batch {
    struct buffer bytes; /* unsealed records, in the order of commits */
    struct commit *commits;
    size_t count, capacity;
};

/* What decides how long a segment is kept. */
struct contents {
    int64_t maxt, late_maxt; /* of its samples, of the late ones among them; INT64_MIN = none */
    bool has_saved;
};
static const struct contents CONTENTS_NONE = {INT64_MIN, INT64_MIN, false};

static struct contents contents_of(const struct wal_commit *what)
{
    bool late = what->late != NULL;
    return (struct contents){what->timestamp_ms, late ? what->timestamp_ms : INT64_MIN,
                             !late && !what->group};
}

static void contents_add(struct contents *c, struct contents more)
{
    c->maxt = more.maxt > c->maxt ? more.maxt : c->maxt;
    c->late_maxt = more.late_maxt > c->late_maxt ? more.late_maxt : c->late_maxt;
    c->has_saved |= more.has_saved;
}

struct wal {
    /* Constant. */
    struct wal_owner owner;
    char *dir;
    uint64_t segment_bytes_max;
    int64_t sync_interval_ms;
    pthread_t thread;

    pthread_mutex_t mutex;
    pthread_cond_t work, room, done;
    struct batch queue;
    uint64_t submitted, finished; /* commits ever queued; published or refused */
    int64_t refuse_below;
    bool stopping, rotate_wanted, rewrite_wanted;
    uint64_t rewrites_done;
    bool rewrite_ok;
    struct error rewrite_error;
    bool stopped; /* nothing can be written now */
    struct error stopped_error;
    struct wal_segment *segments; /* ascending; the last may be open */
    bool next_continues;          /* the file after the last begins with rows encoded for it */
    size_t segment_count, segment_capacity;
    /* Late samples in segments below are no reason to keep them: in the first, when they are before the floor; in
     * the second, at all. */
    uint64_t late_saved, late_rewritten;
    int64_t late_saved_floor;
    double last_fsync_seconds;

    _Atomic uint64_t segment; /* the number rows are encoded for; changed under mutex */
    _Atomic bool is_stopped;  /* stopped, without the lock */
    _Atomic uint64_t bytes_written, fsyncs;

    /* WAL thread. */
    struct file *file;   /* NULL = made with the next row */
    uint64_t file_bytes; /* whole records in it */
    bool file_is_new;    /* its folder was not synced yet */
    mono_time file_since;
    struct file *log;
    uint64_t log_bytes;
    bool log_broken;           /* must be written anew */
    struct buffer log_pending; /* sealed, not written yet */
    bool log_unsynced;
    struct buffer unsynced;  /* records written since the last good sync */
    bool unsynced_elsewhere; /* some of them to a file that was given up */
    struct contents unsynced_contents;
    mono_time unsynced_since;
    uint64_t next_sequence, log_next_sequence;
    struct batch batch; /* being written */
};

static void *wal_run(void *arg);

/* --- life --- */

static void batch_init(struct batch *b)
{
    *b = (struct batch){0};
    buffer_init(&b->bytes, MEM_WAL, BUFFER_BYTES_MAX);
}

static void batch_deinit(struct batch *b)
{
    buffer_deinit(&b->bytes);
    mem_free(MEM_WAL, b->commits);
}

static void wal_free(struct wal *w)
{
    file_discard(w->file);
    file_discard(w->log);
    batch_deinit(&w->queue);
    batch_deinit(&w->batch);
    buffer_deinit(&w->log_pending);
    buffer_deinit(&w->unsynced);
    mem_free(MEM_WAL, w->segments);
    mem_free(MEM_WAL, w->dir);
    cond_deinit(&w->work);
    cond_deinit(&w->room);
    cond_deinit(&w->done);
    mutex_deinit(&w->mutex);
    mem_free(MEM_WAL, w);
}

bool wal_start(struct wal **out, const struct wal_options *opts, const struct wal_owner *owner,
               struct wal_recovered *found, struct error *err)
{
    struct wal *w = mem_alloc_zero(MEM_WAL, 1, sizeof *w);
    *out = NULL;
    w->owner = *owner;
    w->dir = mem_copy_string(MEM_WAL, view_from(opts->dir));
    w->segment_bytes_max = opts->segment_bytes ? opts->segment_bytes : SEGMENT_BYTES;
    w->sync_interval_ms = opts->sync_interval_ms ? opts->sync_interval_ms : SYNC_INTERVAL_MS;
    mutex_init(&w->mutex);
    cond_init(&w->work);
    cond_init(&w->room);
    cond_init(&w->done);
    batch_init(&w->queue);
    batch_init(&w->batch);
    buffer_init(&w->log_pending, MEM_WAL, BUFFER_BYTES_MAX);
    buffer_init(&w->unsynced, MEM_WAL, BUFFER_BYTES_MAX);
    w->refuse_below = INT64_MIN;
    w->unsynced_contents = CONTENTS_NONE;
    w->late_saved = found->late_saved;
    w->late_saved_floor = found->late_saved_floor;
    w->segments = found->segments;
    w->segment_count = found->count;
    w->segment_capacity = found->capacity;
    found->segments = NULL;
    w->next_sequence = found->last_sequence + 1;
    w->log_next_sequence = found->log_last_sequence + 1;
    atomic_init(&w->segment, found->last_segment + 1);

    char path[4096];
    uint64_t bytes;
    snprintf(path, sizeof path, "%s/series.log", w->dir);
    if (!file_open_append(&w->log, path, err) || !file_size(w->log, &bytes, err)) {
        wal_free(w);
        return false;
    }
    w->log_bytes = bytes;
    if (!thread_start(&w->thread, "wal", wal_run, w, err)) {
        wal_free(w);
        return false;
    }
    *out = w;
    return true;
}

bool wal_stop(struct wal *w, struct error *err)
{
    if (!w)
        return true;
    mutex_lock(&w->mutex);
    w->stopping = true;
    cond_signal(&w->work);
    mutex_unlock(&w->mutex);
    thread_join(w->thread);
    bool ok = !w->stopped;
    if (!ok && err)
        *err = w->stopped_error;
    struct file *file = w->file, *log = w->log;
    w->file = w->log = NULL;
    if (!file_close(log, ok ? err : NULL))
        ok = false;
    if (!file_close(file, ok ? err : NULL))
        ok = false;
    wal_free(w);
    return ok;
}

/* --- any thread --- */

bool wal_accepts(const struct wal *w, struct error *err)
{
    if (LIKELY(!atomic_load_explicit(&w->is_stopped, memory_order_relaxed)))
        return true;
    struct wal *mutable = (struct wal *)(uintptr_t)w;
    mutex_lock(&mutable->mutex);
    bool stopped = w->stopped;
    struct error why = w->stopped_error;
    mutex_unlock(&mutable->mutex);
    return !stopped || error_set(err, why.kind == ERROR_NO_SPACE ? ERROR_NO_SPACE : ERROR_BUSY,
                                 "no samples are taken until they can be written: %s", why.message);
}

uint64_t wal_segment_now(const struct wal *w)
{
    return atomic_load_explicit(&w->segment, memory_order_acquire);
}

static bool queue_is_full(const struct wal *w)
{
    return w->queue.count >= COMMITS_MAX ||
           (w->queue.count > 0 && w->queue.bytes.len >= QUEUE_BYTES_MAX);
}

static void batch_add(struct batch *b, struct view record, struct commit commit)
{
    buffer_append_view(&b->bytes, record);
    ASSERT(!b->bytes.failed);
    b->commits = mem_grow(MEM_WAL, b->commits, &b->capacity, b->count + 1, sizeof *b->commits);
    b->commits[b->count++] = commit;
}

enum wal_submit wal_submit(struct wal *w, struct view record, uint64_t segment,
                           const struct wal_commit *what, bool wait, struct error *err)
{
    struct waiter waiter = {0};
    mutex_lock(&w->mutex);
    while (queue_is_full(w) && !w->stopped)
        cond_wait(&w->room, &w->mutex);
    if (w->stopped) {
        mutex_unlock(&w->mutex);
        if (wal_accepts(w, err))
            error_set(err, ERROR_BUSY, "writing has just resumed: try again");
        return WAL_REFUSED;
    }
    if (segment != WAL_SEGMENT_ANY &&
        atomic_load_explicit(&w->segment, memory_order_relaxed) != segment) {
        mutex_unlock(&w->mutex);
        return WAL_OTHER_SEGMENT;
    }
    if (what->group && !what->late && what->timestamp_ms < w->refuse_below) {
        mutex_unlock(&w->mutex);
        return WAL_TOO_OLD;
    }
    batch_add(&w->queue, record, (struct commit){*what, record.len, wait ? &waiter : NULL});
    w->submitted++;
    if (w->queue.count == 1)
        cond_signal(&w->work);
    while (wait && !waiter.done)
        cond_wait(&w->done, &w->mutex);
    mutex_unlock(&w->mutex);
    if (wait && !waiter.written) {
        if (err)
            *err = waiter.error;
        return WAL_REFUSED;
    }
    return WAL_SUBMITTED;
}

void wal_refuse_below(struct wal *w, int64_t timestamp_ms)
{
    mutex_lock(&w->mutex);
    if (timestamp_ms > w->refuse_below)
        w->refuse_below = timestamp_ms;
    mutex_unlock(&w->mutex);
}

bool wal_flush(struct wal *w, struct error *err)
{
    mutex_lock(&w->mutex);
    uint64_t until = w->submitted;
    while (w->finished < until && !w->stopped)
        cond_wait(&w->done, &w->mutex);
    uint64_t waiting = w->finished < until ? until - w->finished : 0;
    struct error why = w->stopped_error;
    mutex_unlock(&w->mutex);
    return waiting == 0 ||
           error_set(err, why.kind == ERROR_NO_SPACE ? ERROR_NO_SPACE : ERROR_BUSY,
                     "%" PRIu64 " rows of samples wait until they can be written: %s", waiting,
                     why.message);
}

bool wal_rewrite_log(struct wal *w, struct error *err)
{
    mutex_lock(&w->mutex);
    uint64_t before = w->rewrites_done;
    w->rewrite_wanted = true;
    cond_signal(&w->work);
    while (w->rewrites_done == before)
        cond_wait(&w->done, &w->mutex);
    bool ok = w->rewrite_ok;
    if (!ok && err)
        *err = w->rewrite_error;
    mutex_unlock(&w->mutex);
    return ok;
}

static void segment_path(const struct wal *w, uint64_t number, char *out, size_t bytes)
{
    snprintf(out, bytes, "%s/wal/%" PRIu64, w->dir, number);
}

static bool late_is_needed(const struct wal *w, const struct wal_segment *s)
{
    return s->late_maxt != INT64_MIN && s->number >= w->late_rewritten &&
           (s->number >= w->late_saved || s->late_maxt >= w->late_saved_floor);
}

/* A note on late samples is read as long as the samples are. */
static bool saved_is_needed(const struct wal *w, size_t idx)
{
    bool needed = false;
    for (size_t i = 0; i < idx && w->segments[idx].has_saved; i++)
        needed |= w->segments[i].late_maxt != INT64_MIN;
    return needed;
}

/* Takes one segment that can go out of the table: its number is below `needed`, or it has no row from
 * timestamp_ms on and is not the base of rows in the next. */
static bool segment_take_old(struct wal *w, int64_t timestamp_ms, uint64_t needed,
                             struct wal_segment *out)
{
    bool found = false;
    mutex_lock(&w->mutex);
    uint64_t open = atomic_load_explicit(&w->segment, memory_order_relaxed);
    bool is_base = w->next_continues;
    for (size_t i = w->segment_count; i > 0 && !found; i--) {
        struct wal_segment s = w->segments[i - 1];
        found = s.number < open && !late_is_needed(w, &s) && !saved_is_needed(w, i - 1) &&
                (s.number < needed || (s.maxt < timestamp_ms && !is_base));
        is_base = s.continues;
        if (!found)
            continue;
        *out = s;
        memmove(&w->segments[i - 1], &w->segments[i], (w->segment_count - i) * sizeof s);
        w->segment_count--;
    }
    mutex_unlock(&w->mutex);
    return found;
}

/* One that could not be removed: as long as it is there, notes on its late samples have to stay. */
static void segment_put_back(struct wal *w, const struct wal_segment *s)
{
    mutex_lock(&w->mutex);
    w->segments = mem_grow(MEM_WAL, w->segments, &w->segment_capacity, w->segment_count + 1,
                           sizeof *w->segments);
    size_t at = w->segment_count++;
    for (; at > 0 && w->segments[at - 1].number > s->number; at--)
        w->segments[at] = w->segments[at - 1];
    w->segments[at] = *s;
    mutex_unlock(&w->mutex);
}

static bool segments_drop(struct wal *w, int64_t timestamp_ms, uint64_t needed, struct error *err)
{
    char path[4096];
    for (struct wal_segment gone; segment_take_old(w, timestamp_ms, needed, &gone);) {
        segment_path(w, gone.number, path, sizeof path);
        if (!file_remove(path, err)) {
            segment_put_back(w, &gone);
            return false;
        }
    }
    return true;
}

uint64_t wal_rotate(struct wal *w)
{
    mutex_lock(&w->mutex);
    w->rotate_wanted = true;
    cond_signal(&w->work);
    while (w->rotate_wanted)
        cond_wait(&w->done, &w->mutex);
    mutex_unlock(&w->mutex);
    return wal_segment_now(w);
}

void wal_late_saved(struct wal *w, uint64_t segment, int64_t floor_ms)
{
    mutex_lock(&w->mutex);
    if (floor_ms == INT64_MAX && segment > w->late_rewritten) {
        w->late_rewritten = segment;
    } else if (floor_ms != INT64_MAX && segment > w->late_saved) {
        w->late_saved = segment;
        w->late_saved_floor = floor_ms;
    }
    mutex_unlock(&w->mutex);
}

uint64_t wal_late_lowest(struct wal *w)
{
    uint64_t lowest = UINT64_MAX;
    mutex_lock(&w->mutex);
    for (size_t i = w->segment_count; i > 0; i--) {
        if (late_is_needed(w, &w->segments[i - 1]))
            lowest = w->segments[i - 1].number;
    }
    mutex_unlock(&w->mutex);
    return lowest;
}

bool wal_drop_below(struct wal *w, int64_t timestamp_ms, struct error *err)
{
    (void)wal_rotate(w);
    return segments_drop(w, timestamp_ms, 0, err);
}

bool wal_drop_before(struct wal *w, uint64_t segment, struct error *err)
{
    return segments_drop(w, INT64_MIN, segment, err);
}

uint64_t wal_segment_too_old(struct wal *w)
{
    uint64_t bytes = 0, limit = w->segment_bytes_max * SEGMENTS_MAX, number = 0;
    mutex_lock(&w->mutex);
    for (size_t i = w->segment_count; i > 0 && number == 0; i--) {
        bytes += w->segments[i - 1].bytes;
        if (bytes > limit)
            number = w->segments[i - 1].number + 1;
    }
    mutex_unlock(&w->mutex);
    return number;
}

void wal_stats_get(struct wal *w, struct wal_stats *out)
{
    mutex_lock(&w->mutex);
    *out = (struct wal_stats){
        .bytes_written = atomic_load_explicit(&w->bytes_written, memory_order_relaxed),
        .fsyncs = atomic_load_explicit(&w->fsyncs, memory_order_relaxed),
        .segment = atomic_load_explicit(&w->segment, memory_order_relaxed),
        .queue_length = w->submitted - w->finished,
        .last_fsync_seconds = w->last_fsync_seconds,
        .stopped = w->stopped,
    };
    for (size_t i = 0; i < w->segment_count; i++)
        out->disk_bytes += w->segments[i].bytes;
    mutex_unlock(&w->mutex);
}

/* --- WAL thread: files --- */

static void report(const struct wal *w, const char *event, const struct error *err)
{
    if (w->owner.log)
        w->owner.log(w->owner.arg, true, event, err->message);
}

/* Seals the open segment (if any): what is encoded from now on goes to the next one. */
static void segment_next(struct wal *w, bool gave_up)
{
    if (gave_up)
        w->unsynced_elsewhere = w->unsynced.len > 0;
    file_discard(w->file);
    w->file = NULL;
    w->file_bytes = 0;
    mutex_lock(&w->mutex);
    /* Rows that came while the old one was synced were encoded for it. */
    if (gave_up || w->queue.count > 0 || w->batch.count > 0)
        w->next_continues = true;
    atomic_fetch_add_explicit(&w->segment, 1, memory_order_release);
    mutex_unlock(&w->mutex);
}

/* The table's entry of the open segment follows what was written. */
static void segment_note(struct wal *w, struct contents contents)
{
    uint64_t number = atomic_load_explicit(&w->segment, memory_order_relaxed);
    mutex_lock(&w->mutex);
    if (w->segment_count == 0 || w->segments[w->segment_count - 1].number != number) {
        w->segments = mem_grow(MEM_WAL, w->segments, &w->segment_capacity, w->segment_count + 1,
                               sizeof *w->segments);
        w->segments[w->segment_count++] =
            (struct wal_segment){number, 0, INT64_MIN, w->next_continues, INT64_MIN, false};
        w->next_continues = false;
    }
    struct wal_segment *s = &w->segments[w->segment_count - 1];
    s->bytes = w->file_bytes;
    s->maxt = contents.maxt > s->maxt ? contents.maxt : s->maxt;
    s->late_maxt = contents.late_maxt > s->late_maxt ? contents.late_maxt : s->late_maxt;
    s->has_saved |= contents.has_saved;
    mutex_unlock(&w->mutex);
}

static bool segment_write(struct wal *w, struct view bytes, struct contents contents,
                          struct error *err)
{
    char path[4096];
    if (!w->file) {
        segment_path(w, atomic_load_explicit(&w->segment, memory_order_relaxed), path, sizeof path);
        if (!file_open_append(&w->file, path, err))
            return false;
        w->file_bytes = 0;
        w->file_is_new = true;
        w->file_since = clock_mono();
        /* Entered before it has rows: should the write fail half way, the cut still finds the file. */
        segment_note(w, contents);
    }
    if (file_write_all(w->file, bytes, err)) {
        w->file_bytes += bytes.len;
        atomic_fetch_add_explicit(&w->bytes_written, bytes.len, memory_order_relaxed);
        segment_note(w, contents);
        return true;
    }
    bool no_space = err->kind == ERROR_NO_SPACE;
    if (!file_truncate(w->file, w->file_bytes, NULL) || !no_space)
        segment_next(w, true);
    return false;
}

static bool sync_timed(struct wal *w, struct file *f, struct error *err)
{
    mono_time begin = clock_mono();
    bool ok = file_sync(f, err);
    atomic_fetch_add_explicit(&w->fsyncs, 1, memory_order_relaxed);
    mutex_lock(&w->mutex);
    w->last_fsync_seconds = (double)(clock_mono().ns - begin.ns) / 1e9;
    mutex_unlock(&w->mutex);
    return ok;
}

static bool segment_sync(struct wal *w, struct error *err)
{
    char path[4096];
    snprintf(path, sizeof path, "%s/wal", w->dir);
    if (!sync_timed(w, w->file, err) || (w->file_is_new && !dir_sync(path, err)))
        return false;
    w->file_is_new = false;
    return true;
}

/* What is not known to be on disk is written once more, to a new file, under new sequences. */
static bool unsynced_write_again(struct wal *w, struct error *err)
{
    segment_next(w, true);
    wal_record_seal_all(w->unsynced.ptr, w->unsynced.len, &w->next_sequence);
    return segment_write(w, buffer_view(&w->unsynced), w->unsynced_contents, err) &&
           segment_sync(w, err);
}

/* --- WAL thread: series log --- */

struct log_file {
    struct wal *wal;
    struct file *file;
    struct buffer sealed;
    uint64_t bytes;
};

static bool log_file_write(void *arg, struct view bytes, struct error *err)
{
    struct log_file *l = arg;
    buffer_reset(&l->sealed);
    buffer_append_view(&l->sealed, bytes);
    ASSERT(!l->sealed.failed);
    wal_record_seal_all(l->sealed.ptr, l->sealed.len, &l->wal->log_next_sequence);
    l->bytes += bytes.len;
    return file_write_all(l->file, buffer_view(&l->sealed), err);
}

/* A new log takes the place of the old; what was pending is in it. */
static bool log_rewrite(struct wal *w, struct error *err)
{
    char path[4096], fresh[4096];
    struct log_file l = {.wal = w};
    snprintf(path, sizeof path, "%s/series.log", w->dir);
    snprintf(fresh, sizeof fresh, "%s/series.log.tmp", w->dir);
    w->log_broken = true; /* until it is published */
    buffer_reset(&w->log_pending);
    buffer_init(&l.sealed, MEM_WAL, BUFFER_BYTES_MAX);
    bool ok = file_remove(fresh, err) && file_open_append(&l.file, fresh, err) &&
              w->owner.write_log(w->owner.arg, log_file_write, &l, err) &&
              sync_timed(w, l.file, err);
    buffer_deinit(&l.sealed);
    if (ok && file_publish(fresh, path, err)) {
        file_discard(w->log);
        w->log = l.file; /* keeps writing at its end, under its new name */
        w->log_bytes = l.bytes;
        w->log_broken = w->log_unsynced = false;
        return true;
    }
    file_discard(l.file);
    return false;
}

static bool log_write(struct wal *w, struct error *err)
{
    struct buffer fresh;
    w->owner.take_log(w->owner.arg, &fresh);
    if (w->log_broken) {
        buffer_deinit(&fresh); /* the whole log holds it too */
        return log_rewrite(w, err);
    }
    if (fresh.len > 0) {
        wal_record_seal_all(fresh.ptr, fresh.len, &w->log_next_sequence);
        buffer_append_view(&w->log_pending, buffer_view(&fresh));
    }
    buffer_deinit(&fresh);
    if (w->log_pending.len == 0)
        return true;
    if (!file_write_all(w->log, buffer_view(&w->log_pending), err)) {
        /* Half a record at the end is cut; should that fail too, the log is made anew. */
        if (!file_truncate(w->log, w->log_bytes, NULL) || err->kind != ERROR_NO_SPACE)
            w->log_broken = true;
        return false;
    }
    w->log_bytes += w->log_pending.len;
    atomic_fetch_add_explicit(&w->bytes_written, w->log_pending.len, memory_order_relaxed);
    buffer_reset(&w->log_pending);
    w->log_unsynced = true;
    return true;
}

/* --- WAL thread: batches --- */

static bool wal_sync(struct wal *w, struct error *err)
{
    if (w->log_unsynced || w->log_broken) {
        if (w->log_broken || !sync_timed(w, w->log, err)) {
            if (!w->log_broken)
                report(w, "series_log_sync_failed", err);
            w->log_broken = true;
            if (!log_rewrite(w, err))
                return false;
        }
        w->log_unsynced = false;
    }
    if (w->unsynced.len > 0) {
        bool known = w->file && !w->unsynced_elsewhere;
        if (known && !segment_sync(w, err)) {
            report(w, "wal_sync_failed", err);
            known = false;
        }
        if (!known && !unsynced_write_again(w, err))
            return false;
        w->unsynced_elsewhere = false;
    }
    buffer_reset(&w->unsynced);
    w->unsynced_contents = CONTENTS_NONE;
    return true;
}

static bool batch_write(struct wal *w, struct error *err)
{
    struct batch *b = &w->batch;
    struct contents contents = CONTENTS_NONE;
    if (!log_write(w, err))
        return false;
    if (b->count == 0)
        return true;
    for (size_t i = 0; i < b->count; i++)
        contents_add(&contents, contents_of(&b->commits[i].what));
    wal_record_seal_all(b->bytes.ptr, b->bytes.len, &w->next_sequence);
    if (!segment_write(w, buffer_view(&b->bytes), contents, err))
        return false;
    if (w->sync_interval_ms != DB_SYNC_OFF) {
        if (w->unsynced.len == 0)
            w->unsynced_since = clock_mono();
        buffer_append_view(&w->unsynced, buffer_view(&b->bytes));
        ASSERT(!w->unsynced.failed);
        contents_add(&w->unsynced_contents, contents);
    }
    return true;
}

static void batch_done(struct wal *w)
{
    struct batch *b = &w->batch;
    for (size_t i = 0; i < b->count; i++) {
        if (b->commits[i].what.group)
            w->owner.publish(w->owner.arg, &b->commits[i].what);
    }
    mutex_lock(&w->mutex);
    for (size_t i = 0; i < b->count; i++) {
        if (b->commits[i].waiter)
            b->commits[i].waiter->done = b->commits[i].waiter->written = true;
    }
    w->finished += b->count;
    if (w->stopped) {
        w->stopped = false;
        atomic_store_explicit(&w->is_stopped, false, memory_order_relaxed);
    }
    cond_broadcast(&w->done);
    mutex_unlock(&w->mutex);
    b->count = 0;
    buffer_reset(&b->bytes);
}

/* Those who wait are told; their rows are taken out, the rest stays for the next attempt. */
static void batch_failed(struct wal *w, const struct error *err)
{
    struct batch *b = &w->batch;
    size_t from = 0, to = 0, kept = 0;
    mutex_lock(&w->mutex);
    bool first = !w->stopped;
    w->stopped = true;
    w->stopped_error = *err;
    atomic_store_explicit(&w->is_stopped, true, memory_order_relaxed);
    for (size_t i = 0; i < b->count; i++) {
        struct commit c = b->commits[i];
        if (c.waiter) {
            c.waiter->error = *err;
            c.waiter->done = true;
            w->finished++;
        } else {
            memmove(b->bytes.ptr + to, b->bytes.ptr + from, c.bytes);
            to += c.bytes;
            b->commits[kept++] = c;
        }
        from += c.bytes;
    }
    b->count = kept;
    b->bytes.len = to;
    cond_broadcast(&w->done);
    cond_broadcast(&w->room);
    mutex_unlock(&w->mutex);
    if (first)
        report(w, "ingest_stopped", err);
}

/* Adds what is queued to the batch. The queue's memory and the batch's change places when they can. */
static void batch_take(struct wal *w)
{
    struct batch *b = &w->batch;
    if (b->count == 0) {
        struct batch empty = *b;
        *b = w->queue;
        w->queue = empty;
    } else {
        size_t at = 0;
        for (size_t i = 0; i < w->queue.count; i++) {
            struct commit c = w->queue.commits[i];
            batch_add(b, (struct view){w->queue.bytes.ptr + at, c.bytes}, c);
            at += c.bytes;
        }
        w->queue.count = 0;
        buffer_reset(&w->queue.bytes);
    }
    cond_broadcast(&w->room);
}

/* --- WAL thread: the loop --- */

static bool sync_is_due(const struct wal *w)
{
    if (w->unsynced.len == 0 || w->sync_interval_ms == DB_SYNC_OFF)
        return false;
    return w->sync_interval_ms == DB_SYNC_EACH || w->unsynced.len >= UNSYNCED_BYTES_MAX ||
           mono_ms_since(w->unsynced_since) >= w->sync_interval_ms;
}

static void wait_for_work(struct wal *w)
{
    while (w->queue.count == 0 && !w->stopping && !w->rotate_wanted && !w->rewrite_wanted) {
        if (w->stopped)
            return; /* the loop has waited */
        if (w->unsynced.len == 0) {
            cond_wait(&w->work, &w->mutex);
        } else if (!cond_wait_until(&w->work, &w->mutex,
                                    mono_add_ms(w->unsynced_since, w->sync_interval_ms))) {
            return;
        }
    }
}

/* While stopped with nothing to write, an empty record tells whether the disk takes bytes again. */
static bool probe(struct wal *w, struct error *err)
{
    struct buffer b;
    buffer_init(&b, MEM_WAL, 4096);
    size_t begin = wal_record_begin(&b, WAL_RECORD_PROBE);
    buffer_append(&b, (const char[1024]){0}, 1024);
    wal_record_end(&b, begin);
    wal_record_seal_all(b.ptr, b.len, &w->next_sequence);
    bool ok = segment_write(w, buffer_view(&b), CONTENTS_NONE, err);
    buffer_deinit(&b);
    return ok;
}

static void rewrite_if_wanted(struct wal *w, bool wanted)
{
    if (!wanted)
        return;
    struct error err = {0};
    bool ok = log_rewrite(w, &err);
    mutex_lock(&w->mutex);
    w->rewrites_done++;
    w->rewrite_ok = ok;
    w->rewrite_error = err;
    w->rewrite_wanted = false;
    cond_broadcast(&w->done);
    mutex_unlock(&w->mutex);
}

/* A segment is left synced: `unsynced` belongs to the open file alone. */
static void rotate_if_wanted(struct wal *w, bool wanted)
{
    struct error err;
    if (w->file && (wanted || w->file_bytes >= w->segment_bytes_max ||
                    mono_ms_since(w->file_since) >= SEGMENT_AGE_MS)) {
        if (w->sync_interval_ms == DB_SYNC_OFF || wal_sync(w, &err))
            segment_next(w, false);
        else
            report(w, "wal_sync_failed", &err);
    }
    if (wanted) {
        mutex_lock(&w->mutex);
        w->rotate_wanted = false;
        cond_broadcast(&w->done);
        mutex_unlock(&w->mutex);
    }
}

static void wait_for_retry(struct wal *w, int64_t *retry_ms)
{
    mono_time until = mono_add_ms(clock_mono(), *retry_ms);
    mutex_lock(&w->mutex);
    while (!w->stopping && cond_wait_until(&w->work, &w->mutex, until))
        ;
    mutex_unlock(&w->mutex);
    *retry_ms = *retry_ms * 2 < RETRY_MS_MAX ? *retry_ms * 2 : RETRY_MS_MAX;
}

static void *wal_run(void *arg)
{
    struct wal *w = arg;
    struct error err = {0};
    bool stopping = false;
    int64_t retry_ms = RETRY_MS_FIRST;
    while (!stopping) {
        mutex_lock(&w->mutex);
        wait_for_work(w);
        stopping = w->stopping;
        bool rotate = w->rotate_wanted, rewrite = w->rewrite_wanted, was_stopped = w->stopped;
        batch_take(w);
        mutex_unlock(&w->mutex);

        bool ok = batch_write(w, &err);
        if (ok && was_stopped && w->batch.count == 0)
            ok = probe(w, &err);
        if (ok && (sync_is_due(w) || (stopping && w->sync_interval_ms != DB_SYNC_OFF)))
            ok = wal_sync(w, &err);
        if (ok)
            batch_done(w);
        else
            batch_failed(w, &err);
        rewrite_if_wanted(w, rewrite);
        rotate_if_wanted(w, rotate);
        if (ok)
            retry_ms = RETRY_MS_FIRST;
        else if (!stopping)
            wait_for_retry(w, &retry_ms);
    }
    return NULL;
}
