/* SPDX-License-Identifier: Apache-2.0 */
/* extent_store.c: files extents/N, N ascending, of extents (extent.c) one behind the other.
 *
 * A file is made with its first extent and appended to by one process only. After 64 MiB or half an hour the
 * next one begins, so that files can go soon after the cut that makes them needless. Sequences of records
 * ascend through all files. What stands in the WAL stays there until append() has returned true, which is after
 * a sync, whatever --storage.wal.sync says: else a power cut could take what was on disk for long.
 *
 * 1. A write fails: without space the file is cut back and used again; after another error, or when cutting
 *    fails, another file is used.
 * 2. A sync fails: the file is never synced again; what was not known to be on disk is written to another.
 *    Both may be found at the next start: of extents with the same rows the later one counts.
 * 3. A start reads heads alone. A torn end of the last file is cut off. Elsewhere reading goes on at the next
 *    whole head with a higher sequence, and the bytes between are copied to quarantine.
 * 4. A file with damage that a reader met is moved to quarantine where others are removed. */
#include "storage/extent_store.h"

#include "base/assert.h"
#include "base/clock.h"
#include "base/file.h"
#include "base/mem.h"
#include "storage/numbered_files.h"
#include "storage/salvage.h"
#include "storage/wal_record.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>

enum {
    PATH_BYTES = 4096,
    FILE_AGE_MS = 30 * 60 * 1000,
    WRITE_BYTES = 1 << 20,
    HEAD_STEP_BYTES = 16 * 1024,
    SEEK_STEP_BYTES = 1 << 20
};
#define FILE_BYTES_MAX (UINT64_C(64) << 20)
#define BUFFER_BYTES_MAX ((size_t)1 << 40) /* bounded by an extent */

struct extent_file {
    atomic_uint refs;
    struct file *file; /* for reading */
    atomic_bool damaged, told;

    /* The store's. */
    uint64_t number, bytes; /* whole extents in it */
    int64_t maxt;           /* of its rows; INT64_MIN = none */
};

struct extent_store {
    struct extent_store_options options; /* constant */
    char dir[PATH_BYTES];

    struct extent_file **files; /* ascending */
    size_t file_count, file_capacity;
    struct file *out; /* appends to the last of them; NULL = the next append makes one */
    mono_time out_since;
    bool out_is_new; /* its folder was not synced yet */
    uint64_t next_number, next_sequence;

    _Atomic uint64_t count, bytes, bytes_written, syncs, failures, damaged; /* statistics */
};

static void count(_Atomic uint64_t *counter, uint64_t more)
{
    atomic_fetch_add_explicit(counter, more, memory_order_relaxed);
}

static void tell(const struct extent_store *s, bool is_error, const char *event, const char *format,
                 ...) PRINTF_LIKE(4, 5);
static void tell(const struct extent_store *s, bool is_error, const char *event, const char *format,
                 ...)
{
    char text[2048];
    va_list args;
    if (!s->options.log)
        return;
    va_start(args, format);
    (void)vsnprintf(text, sizeof text, format, args);
    va_end(args);
    s->options.log(s->options.log_arg, is_error, event, text);
}

/* --- files --- */

bool extent_file_open(struct extent_file **out, const char *path, struct error *err)
{
    struct file *file;
    *out = NULL;
    if (!file_open_read(&file, path, err))
        return false;
    struct extent_file *f = mem_alloc_zero(MEM_HEAD, 1, sizeof *f);
    atomic_init(&f->refs, 1);
    f->file = file;
    f->maxt = INT64_MIN;
    *out = f;
    return true;
}

struct extent_file *extent_file_ref(struct extent_file *f)
{
    atomic_fetch_add_explicit(&f->refs, 1, memory_order_relaxed);
    return f;
}

void extent_file_unref(struct extent_file *f)
{
    if (!f || atomic_fetch_sub_explicit(&f->refs, 1, memory_order_acq_rel) != 1)
        return;
    file_discard(f->file);
    mem_free(MEM_HEAD, f);
}

const char *extent_file_path(const struct extent_file *f)
{
    return file_path(f->file);
}

bool extent_file_read(struct extent_file *f, uint64_t offset, void *out, size_t len,
                      struct error *err)
{
    if (file_read_at(f->file, offset, out, len, err))
        return true;
    if (!err || err->kind == ERROR_CORRUPT)
        extent_file_mark_damaged(f);
    return false;
}

void extent_file_mark_damaged(struct extent_file *f)
{
    if (f)
        atomic_store_explicit(&f->damaged, true, memory_order_relaxed);
}

bool extent_file_damage_is_news(struct extent_file *f)
{
    return atomic_load_explicit(&f->damaged, memory_order_relaxed) &&
           !atomic_exchange_explicit(&f->told, true, memory_order_relaxed);
}

/* --- the store --- */

struct extent_store *extent_store_new(const struct extent_store_options *opts)
{
    struct extent_store *s = mem_alloc_zero(MEM_HEAD, 1, sizeof *s);
    s->options = *opts;
    (void)snprintf(s->dir, sizeof s->dir, "%s/extents", opts->dir);
    s->next_number = s->next_sequence = 1;
    return s;
}

void extent_store_free(struct extent_store *s)
{
    if (!s)
        return;
    file_discard(s->out); /* what counts of it was synced */
    for (size_t i = 0; i < s->file_count; i++)
        extent_file_unref(s->files[i]);
    mem_free(MEM_HEAD, (void *)s->files);
    mem_free(MEM_HEAD, s);
}

void extent_store_stats_get(const struct extent_store *s, struct extent_store_stats *out)
{
    *out = (struct extent_store_stats){
        .files = atomic_load_explicit(&s->count, memory_order_relaxed),
        .bytes = atomic_load_explicit(&s->bytes, memory_order_relaxed),
        .bytes_written = atomic_load_explicit(&s->bytes_written, memory_order_relaxed),
        .syncs = atomic_load_explicit(&s->syncs, memory_order_relaxed),
        .failures = atomic_load_explicit(&s->failures, memory_order_relaxed),
        .damaged = atomic_load_explicit(&s->damaged, memory_order_relaxed),
    };
}

static void path_of(const struct extent_store *s, uint64_t number, char *out)
{
    ASSERT(strlen(s->dir) < PATH_BYTES - 32);
    (void)snprintf(out, PATH_BYTES, "%.4000s/%" PRIu64, s->dir, number);
}

static void file_add(struct extent_store *s, struct extent_file *f)
{
    s->files = mem_grow(MEM_HEAD, (void *)s->files, &s->file_capacity, s->file_count + 1,
                        sizeof(struct extent_file *));
    s->files[s->file_count++] = f;
    count(&s->count, 1);
}

static void file_take_out(struct extent_store *s, size_t idx)
{
    struct extent_file *f = s->files[idx];
    if (s->out && idx + 1 == s->file_count) {
        file_discard(s->out);
        s->out = NULL;
    }
    memmove((void *)&s->files[idx], (void *)&s->files[idx + 1],
            (--s->file_count - idx) * sizeof s->files[0]);
    atomic_fetch_sub_explicit(&s->count, 1, memory_order_relaxed);
    atomic_fetch_sub_explicit(&s->bytes, f->bytes, memory_order_relaxed);
    extent_file_unref(f);
}

/* --- appending --- */

static bool out_ready(struct extent_store *s, struct error *err)
{
    char path[PATH_BYTES];
    struct extent_file *f;
    if (s->out && (s->files[s->file_count - 1]->bytes >= FILE_BYTES_MAX ||
                   mono_ms_since(s->out_since) >= FILE_AGE_MS)) {
        file_discard(s->out); /* synced */
        s->out = NULL;
    }
    if (s->out)
        return true;
    path_of(s, s->next_number, path);
    if (!file_open_append(&s->out, path, err))
        return false;
    if (!extent_file_open(&f, path, err)) {
        file_discard(s->out);
        s->out = NULL;
        return false;
    }
    f->number = s->next_number++;
    file_add(s, f);
    s->out_since = clock_mono();
    s->out_is_new = true;
    return true;
}

/* Nothing that was written since `bytes` counts. */
static void out_give_up(struct extent_store *s, const struct error *err)
{
    struct extent_file *f = s->files[s->file_count - 1];
    struct error ignored;
    char path[PATH_BYTES];
    bool cut = file_truncate(s->out, f->bytes, &ignored);
    if (cut && err->kind == ERROR_NO_SPACE)
        return;
    file_discard(s->out);
    s->out = NULL;
    path_of(s, f->number, path);
    if (f->bytes == 0 && file_remove(path, &ignored))
        file_take_out(s, s->file_count - 1);
}

struct appending {
    struct extent_store *store;
    struct extent_file *file;
    struct buffer bytes;
    uint64_t written;
};

static bool append_flush(struct appending *a, size_t bytes_min, struct error *err)
{
    if (a->bytes.len < bytes_min || a->bytes.len == 0)
        return true;
    if (!file_write_all(a->store->out, buffer_view(&a->bytes), err))
        return false;
    a->written += a->bytes.len;
    buffer_reset(&a->bytes);
    return true;
}

static bool append_one(struct appending *a, const struct extent *x, uint32_t group,
                       struct extent **out, struct error *err)
{
    size_t begin = a->bytes.len;
    extent_append_head(&a->bytes, x, group);
    wal_record_seal_all(a->bytes.ptr + begin, a->bytes.len - begin, &a->store->next_sequence);
    *out = extent_in_file(x, a->file, a->file->bytes + a->written + a->bytes.len);
    buffer_append_view(&a->bytes, extent_body(x));
    ASSERT(!a->bytes.failed);
    return append_flush(a, WRITE_BYTES, err);
}

static bool out_sync(struct extent_store *s, struct error *err)
{
    count(&s->syncs, 1);
    if (!file_sync(s->out, err) || (s->out_is_new && !dir_sync(s->dir, err)))
        return false;
    s->out_is_new = false;
    return true;
}

bool extent_store_append(struct extent_store *s, struct extent *const *xs, const uint32_t *groups,
                         size_t extents, struct extent **out, struct error *err)
{
    struct error problem = {0};
    size_t done = 0;
    if (!out_ready(s, &problem)) {
        count(&s->failures, 1);
        if (err)
            *err = problem;
        return false;
    }
    struct appending a = {.store = s, .file = s->files[s->file_count - 1]};
    int64_t maxt = a.file->maxt;
    buffer_init(&a.bytes, MEM_HEAD, BUFFER_BYTES_MAX);
    bool ok = true;
    while (ok && done < extents) {
        maxt = xs[done]->last_time > maxt ? xs[done]->last_time : maxt;
        ok = append_one(&a, xs[done], groups[done], &out[done], &problem);
        done++;
    }
    ok = ok && append_flush(&a, 0, &problem) && out_sync(s, &problem);
    buffer_deinit(&a.bytes);
    count(&s->bytes_written, a.written);
    if (ok) {
        a.file->bytes += a.written;
        a.file->maxt = maxt;
        count(&s->bytes, a.written);
        return true;
    }
    for (size_t i = 0; i < done; i++)
        extent_unref(out[i]);
    count(&s->failures, 1);
    out_give_up(s, &problem);
    if (err)
        *err = problem;
    return false;
}

/* --- deleting --- */

static bool file_delete(struct extent_store *s, const struct extent_file *f, struct error *err)
{
    char path[PATH_BYTES], kept[PATH_BYTES];
    path_of(s, f->number, path);
    if (!atomic_load_explicit(&f->damaged, memory_order_relaxed))
        return file_remove(path, err);
    (void)snprintf(kept, sizeof kept, "%.4000s/extents-%" PRIu64, s->options.quarantine_dir,
                   f->number);
    return dir_create(s->options.quarantine_dir, err) && file_publish(path, kept, err);
}

bool extent_store_drop_below(struct extent_store *s, int64_t timestamp_ms, struct error *err)
{
    for (size_t i = s->file_count; i > 0; i--) {
        if (s->files[i - 1]->maxt >= timestamp_ms)
            continue;
        if (!file_delete(s, s->files[i - 1], err))
            return false;
        file_take_out(s, i - 1);
    }
    return true;
}

/* --- what is there at a start --- */

/* A file that is read from head to head through a window. */
struct scan {
    struct extent_store *store;
    const struct extent_visitor *visitor;
    struct extent_file *file;
    bool is_last;
    uint64_t size, pos;
    uint8_t *bytes; /* [begin, begin + len) of the file */
    size_t len, capacity;
    uint64_t begin;
};

/* At least `len` bytes from `offset` on, or all that are left; at most `step` more are read than needed. */
static bool scan_see(struct scan *s, uint64_t offset, size_t len, size_t step, struct view *out,
                     struct error *err)
{
    uint64_t left = s->size - offset;
    len = len < left ? len : (size_t)left;
    if (offset < s->begin || offset + len > s->begin + s->len) {
        size_t wanted = len > step ? len : step;
        wanted = wanted < left ? wanted : (size_t)left;
        s->bytes = mem_grow(MEM_WAL, s->bytes, &s->capacity, wanted, 1);
        s->len = 0;
        if (!extent_file_read(s->file, offset, s->bytes, wanted, err))
            return false;
        s->begin = offset;
        s->len = wanted;
    }
    *out = (struct view){(const char *)s->bytes + (offset - s->begin),
                         s->len - (size_t)(offset - s->begin)};
    return true;
}

/* WAL_SCAN_END: no whole head there. *record points into the window. */
static bool scan_record(struct scan *s, uint64_t pos, enum wal_scan *what,
                        struct wal_record *record, struct error *err)
{
    struct view bytes;
    *what = WAL_SCAN_END;
    if (!scan_see(s, pos, WAL_RECORD_HEADER_BYTES, HEAD_STEP_BYTES, &bytes, err))
        return false;
    size_t claim = wal_record_claim(bytes);
    if (claim == 0 || claim > s->size - pos)
        return true;
    if (!scan_see(s, pos, claim, HEAD_STEP_BYTES, &bytes, err))
        return false;
    *what = wal_record_first(view_slice(bytes, 0, claim), s->store->next_sequence - 1, record);
    if (*what == WAL_SCAN_RECORD && record->type != WAL_RECORD_EXTENT)
        *what = WAL_SCAN_END;
    return true;
}

/* The next place from `pos` on with a whole head, or the end. */
static bool scan_seek(struct scan *s, uint64_t pos, uint64_t *out, struct error *err)
{
    enum wal_scan what;
    struct wal_record record;
    struct view bytes;
    while (pos < s->size) {
        if (!scan_see(s, pos, SEEK_STEP_BYTES, SEEK_STEP_BYTES, &bytes, err))
            return false;
        size_t at = wal_record_seek(bytes, 0);
        if (at == bytes.len) {
            bool is_end = pos + bytes.len == s->size;
            pos += is_end ? bytes.len : bytes.len - 3; /* half a magic may stand there */
            continue;
        }
        pos += at;
        if (!scan_record(s, pos, &what, &record, err))
            return false;
        if (what != WAL_SCAN_END)
            break;
        pos++;
    }
    *out = pos;
    return true;
}

/* Hands the extent on and moves behind it; false for a head that makes no sense or whose body is cut short. */
static bool scan_extent(struct scan *s, const struct wal_record *record)
{
    struct reader r = reader_from(record->payload);
    struct extent_head head;
    bool is_new_map;
    uint64_t body = s->pos + WAL_RECORD_FRAME_BYTES + record->payload.len;
    if (!extent_head_decode(&r, &head))
        return false;
    struct extent *x = extent_head_finish(&r, &head, s->visitor->map(s->visitor->arg, head.group),
                                          s->file, body, &is_new_map);
    if (!x)
        return false;
    if (x->body_bytes > s->size - body) {
        extent_unref(x);
        return false;
    }
    s->pos = body + x->body_bytes;
    if (x->last_time > s->file->maxt)
        s->file->maxt = x->last_time;
    s->visitor->extent(s->visitor->arg, head.group, x, is_new_map);
    return true;
}

static void scan_cut(struct scan *s)
{
    struct error err;
    const char *path = extent_file_path(s->file);
    tell(s->store, true, "extents_torn",
         "%s: the last %" PRIu64 " bytes are half an extent and were cut off", path,
         s->size - s->pos);
    if (!salvage_cut(path, s->pos, &err))
        tell(s->store, true, "extents_torn", "%s", err.message);
    s->size = s->pos;
}

static bool scan_damage(struct scan *s, struct error *err)
{
    uint64_t next;
    struct view bytes;
    char name[64];
    struct error ignored;
    if (!scan_seek(s, s->pos + 1, &next, err))
        return false;
    if (next == s->size && s->is_last) {
        scan_cut(s);
        return true;
    }
    if (!scan_see(s, s->pos, (size_t)(next - s->pos), HEAD_STEP_BYTES, &bytes, err))
        return false;
    (void)snprintf(name, sizeof name, "extents-%" PRIu64, s->file->number);
    bool copied = salvage_copy(s->store->options.quarantine_dir, name,
                               view_slice(bytes, 0, (size_t)(next - s->pos)), s->pos, &ignored);
    (void)copied; /* it may be there from the last start; and the damaged file is never deleted */
    extent_file_mark_damaged(s->file);
    count(&s->store->damaged, 1);
    tell(s->store, true, "extents_damaged",
         "%s: bytes %" PRIu64 " to %" PRIu64 " are damaged and left out (copy in %s)",
         extent_file_path(s->file), s->pos, next, s->store->options.quarantine_dir);
    s->pos = next;
    return true;
}

static bool scan_file(struct scan *s, struct error *err)
{
    struct wal_record record;
    enum wal_scan what;
    if (!file_size(s->file->file, &s->size, err))
        return false;
    while (s->pos < s->size) {
        if (!scan_record(s, s->pos, &what, &record, err))
            return false;
        if (what == WAL_SCAN_VERSION)
            return error_set(err, ERROR_CORRUPT,
                             "\"%s\" was written by a newer version (byte %" PRIu64 ")",
                             extent_file_path(s->file), s->pos);
        bool good = what == WAL_SCAN_RECORD;
        uint64_t sequence = good ? record.sequence : 0;
        if (good && scan_extent(s, &record))
            s->store->next_sequence = sequence + 1;
        else if (!scan_damage(s, err))
            return false;
    }
    s->file->bytes = s->size;
    count(&s->store->bytes, s->size);
    return true;
}

bool extent_store_load(struct extent_store *s, const struct extent_visitor *visitor,
                       struct error *err)
{
    struct numbered_files numbers = {0};
    char path[PATH_BYTES];
    bool ok = dir_create(s->dir, err) && numbered_files_list(&numbers, s->dir, err);
    struct scan scan = {.store = s, .visitor = visitor};
    for (size_t i = 0; ok && i < numbers.count; i++) {
        path_of(s, numbers.items[i], path);
        s->next_number = numbers.items[i] + 1;
        ok = extent_file_open(&scan.file, path, err);
        if (!ok)
            break;
        scan.file->number = numbers.items[i];
        scan.is_last = i + 1 == numbers.count;
        scan.pos = scan.begin = 0;
        scan.len = 0;
        file_add(s, scan.file);
        ok = scan_file(&scan, err);
    }
    mem_free(MEM_WAL, scan.bytes);
    numbered_files_deinit(&numbers);
    return ok;
}
