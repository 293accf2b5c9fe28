/* SPDX-License-Identifier: Apache-2.0 */
/* exemplars_log.c: exemplars on disk: head/exemplars.log, records as the WAL frames them (wal_record.h).
 *
 *   payload   := {item}
 *   series    := 1 u8 | ref varint | labels string
 *   exemplar  := 2 u8 | ref varint | has timestamp u8 | timestamp svarint | value f64 | labels string
 *   labels    := {name string | value string}                  string := length varint | bytes
 *
 * 1. A ref is of one label set for ever: an exemplar whose series stood in a damaged record is left out and never
 *    shown with another's labels.
 * 2. One thread writes what the writers queued, and syncs at intervals as the WAL does.
 * 3. The file is written anew (to exemplars.log.tmp, then renamed) with what the ring holds when it has grown to
 *    twice of that and 4 MiB more, after a write that failed, and before the first write behind a torn or damaged
 *    end. What is queued meanwhile follows; replaying an exemplar twice is the same as once.
 * 4. When the disk takes nothing, exemplars go on in memory; every 5 seconds it is tried again. */
#include "storage/exemplars_private.h"

#include "base/assert.h"
#include "base/reader.h"
#include "storage/wal_record.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

enum item { ITEM_SERIES = 1, ITEM_EXEMPLAR = 2 };
enum {
    REWRITE_SLACK_BYTES = 4 << 20,
    REWRITE_ENTRIES_AT_ONCE = 1024, /* under the mutex */
    RETRY_MS = 5000,
    FLUSH_WAIT_MS = 5000
};
#define LOG_BYTES_MAX ((size_t)4 << 30)
#define RECORD_BYTES_MAX ((size_t)64 << 20)

static void say(const struct exemplars *x, const char *event, const char *text)
{
    if (x->log)
        x->log(x->log_arg, true, event, text);
}

/* ---- encoding ---- */

static void put_series(struct buffer *b, const struct exemplar_series *s)
{
    buffer_append_u8(b, ITEM_SERIES);
    buffer_append_varint(b, s->ref);
    buffer_append_string(b, (struct view){s->labels, s->labels_bytes});
}

static void put_entry(struct buffer *b, uint64_t ref, const struct exemplar_entry *e)
{
    buffer_append_u8(b, ITEM_EXEMPLAR);
    buffer_append_varint(b, ref);
    buffer_append_u8(b, e->has_timestamp);
    buffer_append_svarint(b, e->timestamp_ms);
    buffer_append_f64(b, e->value);
    buffer_append_string(b, (struct view){e->labels, e->labels_bytes});
}

static struct buffer *open_record(struct exemplars *x)
{
    if (x->record != SIZE_MAX && x->pending.len - x->record > RECORD_BYTES_MAX) {
        wal_record_end(&x->pending, x->record);
        x->record = SIZE_MAX;
    }
    if (x->record == SIZE_MAX)
        x->record = wal_record_begin(&x->pending, WAL_RECORD_EXEMPLARS);
    return &x->pending;
}

void exemplar_log_series(struct exemplars *x, const struct exemplar_series *s)
{
    put_series(open_record(x), s);
}

void exemplar_log_entry(struct exemplars *x, const struct exemplar_entry *e)
{
    put_entry(open_record(x), x->series[e->series].ref, e);
}

void exemplar_log_commit(struct exemplars *x)
{
    if (x->record == SIZE_MAX)
        return;
    wal_record_end(&x->pending, x->record);
    x->record = SIZE_MAX;
    if (x->pending.failed) { /* nobody takes it: the ring itself is what is to be written */
        buffer_reset(&x->pending);
        x->rewrite_wanted = true;
    }
    x->queued++;
    cond_signal(&x->wake);
}

/* ---- replay ---- */

struct replay_series {
    uint64_t ref, hash;
    struct view labels; /* in the file's bytes */
};
struct replay {
    struct exemplars *x;
    struct replay_series *series;
    size_t count, capacity;
    struct map by_ref;
    struct arena arena;
};

static bool ref_equal(const void *context, uint32_t item, const void *key)
{
    const struct replay_series *series = context;
    return series[item].ref == *(const uint64_t *)key;
}

static void replay_series_item(struct replay *p, struct reader *r)
{
    struct labels ls;
    uint64_t ref = reader_varint(r);
    struct view labels = reader_string(r, r->len);
    if (r->failed || ref == EXEMPLAR_NONE ||
        map_find(&p->by_ref, ref, ref_equal, p->series, &ref) != MAP_NONE)
        return; /* the log was written anew while it was queued: it is the same */
    arena_reset(&p->arena);
    if (!exemplar_labels_decode(labels, &p->arena, &ls)) {
        reader_fail(r);
        return;
    }
    if (p->count == p->capacity)
        p->series =
            mem_grow(MEM_EXEMPLARS, p->series, &p->capacity, p->count + 1, sizeof *p->series);
    p->series[p->count] = (struct replay_series){ref, labels_hash(ls), labels};
    map_add(&p->by_ref, ref, (uint32_t)p->count++);
    if (ref >= p->x->next_ref)
        p->x->next_ref = ref + 1;
}

static void replay_exemplar_item(struct replay *p, struct reader *r)
{
    struct exemplars *x = p->x;
    struct exemplar_entry e = {.next = EXEMPLAR_NONE};
    struct labels ls;
    bool is_new;
    uint64_t ref = reader_varint(r);
    e.has_timestamp = reader_u8(r);
    e.timestamp_ms = reader_svarint(r);
    e.value = reader_f64(r);
    struct view labels = reader_string(r, r->len);
    uint32_t known = map_find(&p->by_ref, ref, ref_equal, p->series, &ref);
    arena_reset(&p->arena);
    if (r->failed || !exemplar_labels_decode(labels, &p->arena, &ls)) {
        reader_fail(r);
        return;
    }
    if (known == MAP_NONE || x->max == 0 ||
        !exemplar_labels_decode(p->series[known].labels, &p->arena, &ls))
        return;
    e.labels = (char *)(uintptr_t)labels.ptr; /* only read */
    e.labels_bytes = (uint32_t)labels.len;
    uint32_t idx = exemplar_series_get(x, p->series[known].hash, ls, &is_new);
    if (idx == MAP_NONE)
        return;
    if (is_new)
        x->series[idx].ref = ref;
    (void)exemplar_add(x, idx, &e); /* again is as once */
}

/* False when the payload is not what we write. */
static bool replay_record(struct replay *p, struct view payload)
{
    struct reader r = reader_from(payload);
    while (reader_left(&r)) {
        uint8_t item = reader_u8(&r);
        if (item == ITEM_SERIES)
            replay_series_item(p, &r);
        else if (item == ITEM_EXEMPLAR)
            replay_exemplar_item(p, &r);
        else
            reader_fail(&r);
    }
    return !r.failed;
}

/* A copy for a person to look at; the log itself is written anew without what is damaged. */
static void quarantine(const struct exemplars *x, struct view bytes, size_t at)
{
    char path[EXEMPLAR_PATH_BYTES], text[2 * EXEMPLAR_PATH_BYTES];
    struct file *f = NULL;
    struct error err;
    snprintf(path, sizeof path, "%s/exemplars.log-%zu", x->quarantine_dir, at);
    bool ok = dir_create(x->quarantine_dir, &err) && file_create(&f, path, &err) &&
              file_write_all(f, bytes, &err) && file_sync(f, &err);
    file_discard(f);
    snprintf(text, sizeof text, "%s: damaged at byte %zu; the rest is kept%s%s", x->log_path, at,
             ok ? ", a copy is in " : "", ok ? x->quarantine_dir : "");
    say(x, "exemplars_damaged", text);
}

static bool replay_bytes(struct replay *p, struct view bytes, struct error *err)
{
    struct exemplars *x = p->x;
    struct wal_scanner scanner;
    struct wal_record record;
    size_t damage = SIZE_MAX;
    wal_scanner_init(&scanner, bytes, 0);
    for (;;) {
        enum wal_scan what = wal_scanner_next(&scanner, &record);
        if (what == WAL_SCAN_VERSION)
            return error_set(err, ERROR_CORRUPT, "\"%s\" was written by a newer version (byte %zu)",
                             x->log_path, scanner.pos);
        /* At the end it may be torn or damaged: nobody can tell, so it is kept and said in any case. */
        if (scanner.damage_begin < scanner.damage_end && damage == SIZE_MAX)
            damage = scanner.damage_begin;
        if (what == WAL_SCAN_END)
            break;
        bool good = record.type == WAL_RECORD_EXEMPLARS && replay_record(p, record.payload);
        if (!good && damage == SIZE_MAX)
            damage = record.offset;
    }
    x->next_sequence = scanner.last_sequence + 1;
    if (damage != SIZE_MAX) {
        x->rewrite_wanted = true;
        quarantine(x, bytes, damage);
    }
    return true;
}

bool exemplar_log_decode(struct exemplars *x, struct view bytes, struct error *err)
{
    struct replay p = {.x = x};
    map_init(&p.by_ref, MEM_EXEMPLARS);
    arena_init(&p.arena, MEM_EXEMPLARS, 0);
    bool ok = replay_bytes(&p, bytes, err);
    arena_deinit(&p.arena);
    map_deinit(&p.by_ref);
    mem_free(MEM_EXEMPLARS, p.series);
    return ok;
}

bool exemplar_log_replay(struct exemplars *x, struct error *err)
{
    struct buffer bytes;
    x->rewrite_over_bytes = REWRITE_SLACK_BYTES;
    if (!file_exists(x->log_path))
        return true;
    buffer_init(&bytes, MEM_EXEMPLARS, LOG_BYTES_MAX);
    bool ok =
        file_read_all(x->log_path, &bytes, err) && exemplar_log_decode(x, buffer_view(&bytes), err);
    x->log_bytes = bytes.len;
    x->rewrite_over_bytes = bytes.len + REWRITE_SLACK_BYTES;
    buffer_deinit(&bytes);
    return ok;
}

/* ---- the thread ---- */

/* The next entries of the ring from number *next on, as one record; false when there are none. */
static bool take_entries(struct exemplars *x, uint64_t *next, struct buffer *out)
{
    mutex_lock(&x->mutex);
    buffer_reset(out);
    if (*next < x->first)
        *next = x->first;
    uint64_t end = x->first + x->count;
    if (end - *next > REWRITE_ENTRIES_AT_ONCE)
        end = *next + REWRITE_ENTRIES_AT_ONCE;
    bool any = *next < end;
    size_t record = wal_record_begin(out, WAL_RECORD_EXEMPLARS);
    for (; *next < end; (*next)++) {
        const struct exemplar_entry *e = exemplar_entry(x, *next);
        const struct exemplar_series *s = &x->series[e->series];
        if (s->oldest == *next)
            put_series(out, s);
        put_entry(out, s->ref, e);
    }
    wal_record_end(out, record);
    mutex_unlock(&x->mutex);
    return any;
}

static bool write_sealed(struct exemplars *x, struct file *f, struct buffer *bytes,
                         struct error *err)
{
    if (bytes->failed)
        return error_set(err, ERROR_LIMIT, "exemplars take too much memory to be written");
    wal_record_seal_all(bytes->ptr, bytes->len, &x->next_sequence);
    return file_write_all(f, buffer_view(bytes), err);
}

/* A new file with what the ring holds takes the place of the log. */
static bool rewrite(struct exemplars *x, uint64_t *bytes_written, struct error *err)
{
    char tmp[EXEMPLAR_PATH_BYTES];
    struct buffer chunk;
    struct file *f = NULL;
    uint64_t next = 0;
    file_discard(x->file);
    x->file = NULL;
    *bytes_written = 0;
    snprintf(tmp, sizeof tmp, "%s.tmp", x->log_path);
    buffer_init(&chunk, MEM_EXEMPLARS, WAL_RECORD_PAYLOAD_MAX);
    bool ok = file_remove(tmp, err) && file_create(&f, tmp, err);
    while (ok && take_entries(x, &next, &chunk)) {
        ok = write_sealed(x, f, &chunk, err);
        *bytes_written += chunk.len;
    }
    ok = ok && file_sync(f, err);
    file_discard(f); /* it was synced */
    ok = ok && file_publish(tmp, x->log_path, err) && file_open_append(&x->file, x->log_path, err);
    if (!ok) {
        struct error ignored;
        bool removed = file_remove(tmp, &ignored);
        (void)removed; /* it is tried again, and removed then */
    }
    x->rewrite_over_bytes = 2 * *bytes_written + REWRITE_SLACK_BYTES;
    buffer_deinit(&chunk);
    return ok;
}

static bool append(struct exemplars *x, struct buffer *bytes, struct error *err)
{
    if (!x->file && !file_open_append(&x->file, x->log_path, err))
        return false;
    return write_sealed(x, x->file, bytes, err);
}

static bool sync_is_due(const struct exemplars *x)
{
    return x->unsynced && x->sync_interval_ms >= 0 &&
           mono_ms_since(x->synced) >= x->sync_interval_ms;
}

static bool sync_now(struct exemplars *x, struct error *err)
{
    x->unsynced = false;
    x->synced = clock_mono();
    return !x->file || file_sync(x->file, err);
}

/* Under the mutex: until there is something to do. */
static void wait_for_work(struct exemplars *x)
{
    mono_time failed = clock_mono();
    while (!x->stopping) {
        if (x->broken) {
            if (!cond_wait_until(&x->wake, &x->mutex, mono_add_ms(failed, RETRY_MS)))
                return;
        } else if (x->queued != x->written || sync_is_due(x)) {
            return;
        } else if (x->unsynced && x->sync_interval_ms >= 0) {
            (void)cond_wait_until(&x->wake, &x->mutex, /* the loop looks again */
                                  mono_add_ms(x->synced, x->sync_interval_ms));
        } else {
            cond_wait(&x->wake, &x->mutex);
        }
    }
}

/* Writes what is queued in `bytes`, or all; false when the disk did not take it. */
static bool work(struct exemplars *x, struct buffer *bytes, bool anew, struct error *err)
{
    uint64_t written = bytes->len;
    bool ok = true;
    if (anew)
        ok = rewrite(x, &written, err);
    else if (bytes->len)
        ok = append(x, bytes, err);
    mutex_lock(&x->mutex);
    x->log_bytes = anew ? written : x->log_bytes + written;
    bool grown = x->log_bytes > x->rewrite_over_bytes;
    x->rewrite_wanted |= ok && grown && !anew;
    mutex_unlock(&x->mutex);
    if (ok && written && !anew && !x->unsynced) {
        x->unsynced = true;
        x->synced = clock_mono();
    }
    return ok && (!sync_is_due(x) || sync_now(x, err));
}

static void *run(void *arg)
{
    struct exemplars *x = arg;
    struct buffer bytes;
    struct error err;
    buffer_init(&bytes, MEM_EXEMPLARS, EXEMPLAR_PENDING_BYTES_MAX);
    mutex_lock(&x->mutex);
    for (;;) {
        wait_for_work(x);
        bool last = x->stopping;
        uint64_t queued = x->queued;
        struct buffer taken = x->pending;
        x->pending = bytes;
        bytes = taken;
        bool anew = x->rewrite_wanted && (queued != x->written || x->broken);
        x->rewrite_wanted &= !anew;
        mutex_unlock(&x->mutex);
        bool ok = work(x, &bytes, anew, &err);
        if (last && ok && x->unsynced && x->sync_interval_ms >= 0)
            ok = sync_now(x, &err);
        buffer_reset(&bytes);
        if (!ok) {
            error_wrap(&err, "could not write exemplars, they are kept in memory only");
            if (!x->broken)
                say(x, "exemplars_failed", err.message);
            file_discard(x->file);
            x->file = NULL;
        }
        mutex_lock(&x->mutex);
        x->broken = !ok;
        x->rewrite_wanted |= !ok;
        x->log_failures += !ok;
        if (ok)
            x->written = queued;
        cond_broadcast(&x->done);
        if (last)
            break;
    }
    mutex_unlock(&x->mutex);
    file_discard(x->file); /* it was synced, or is not to be */
    x->file = NULL;
    buffer_deinit(&bytes);
    return NULL;
}

void exemplar_log_start(struct exemplars *x)
{
    struct error err;
    if (thread_start(&x->thread, "exemplars", run, x, &err))
        return;
    say(x, "exemplars_failed", err.message);
    mutex_lock(&x->mutex);
    x->thread_runs = false;
    mutex_unlock(&x->mutex);
}

void exemplar_log_stop(struct exemplars *x)
{
    mutex_lock(&x->mutex);
    x->stopping = true;
    bool runs = x->thread_runs;
    cond_signal(&x->wake);
    mutex_unlock(&x->mutex);
    if (runs)
        thread_join(x->thread);
}

void exemplar_log_flush(struct exemplars *x)
{
    mono_time deadline = mono_add_ms(clock_mono(), FLUSH_WAIT_MS);
    mutex_lock(&x->mutex);
    uint64_t queued = x->queued;
    while (x->thread_runs && !x->broken && x->written < queued) {
        if (!cond_wait_until(&x->done, &x->mutex, deadline))
            break;
    }
    mutex_unlock(&x->mutex);
}
