/* SPDX-License-Identifier: Apache-2.0 */
/* watermarks.c: see watermarks.h. A short list under a mutex, of what is kept and of what is being fetched. Who finds an entry in flight waits on its
 * own thread: it is a worker that has a picture half made, and there are as many of them as workers. */
#include "watermarks.h"

#include "base/assert.h"
#include "base/file.h"
#include "base/thread.h"

#include <gnutls/crypto.h>
#include <string.h>

enum {
    KEPT_MAX = 32,
    KEPT_BYTES_MAX = 32 << 20,
    KEPT_MS = 5 * 60 * 1000,
    CANCEL_SEEN_MS = 200 /* chosen, not measured */
};

struct watermark {
    atomic_uint refs;
    struct buffer bytes;
    struct source_hold hold;
};

/* A URL's: kept (mark is there), or being fetched by one thread. */
struct entry {
    struct entry *next; /* most recently used first */
    char *url;
    struct watermark *mark;
    mono_time until; /* of what is kept */
};

struct watermarks {
    struct watermarks_options options; /* defaults filled in */

    pthread_mutex_t mutex; /* guards all below */
    pthread_cond_t changed;
    struct watermark *file;       /* NULL: none, or not readable yet */
    struct image_key file_digest; /* zeros as long */
    struct entry *first;
    struct watermarks_stats stats;
};

static struct watermark *watermark_new(struct buffer *taken)
{
    struct watermark *mark = mem_alloc_zero(MEM_OTHER, 1, sizeof(*mark));
    atomic_init(&mark->refs, 1);
    mark->bytes = *taken;
    buffer_init(taken, taken->account, taken->bytes_max);
    return mark;
}

static struct watermark *watermark_ref(struct watermark *mark)
{
    atomic_fetch_add_explicit(&mark->refs, 1, memory_order_relaxed);
    return mark;
}

void watermark_unref(struct watermark *mark)
{
    if (mark == NULL || atomic_fetch_sub_explicit(&mark->refs, 1, memory_order_acq_rel) != 1)
        return;
    buffer_deinit(&mark->bytes);
    source_hold_end(&mark->hold);
    mem_free(MEM_OTHER, mark);
}

struct view watermark_bytes(const struct watermark *mark)
{
    return buffer_view(&mark->bytes);
}

struct watermarks *watermarks_new(const struct watermarks_options *opts)
{
    struct watermarks *ws = mem_alloc_zero(MEM_OTHER, 1, sizeof(*ws));
    ws->options = *opts;
    if (ws->options.source_bytes_max == 0)
        ws->options.source_bytes_max = WATERMARK_BYTES_MAX;
    if (ws->options.kept_max == 0)
        ws->options.kept_max = KEPT_MAX;
    if (ws->options.kept_bytes_max == 0)
        ws->options.kept_bytes_max = KEPT_BYTES_MAX;
    const struct permits *room = ws->options.policy ? ws->options.policy->room : NULL;
    if (room && ws->options.kept_bytes_max > permits_count(room) / 8)
        ws->options.kept_bytes_max = permits_count(room) / 8;
    if (ws->options.kept_ms == 0)
        ws->options.kept_ms = KEPT_MS;
    mutex_init(&ws->mutex);
    cond_init(&ws->changed);
    return ws;
}

/* --- the list: all hold the mutex --- */

static void remove_locked(struct watermarks *ws, struct entry *entry)
{
    struct entry **at = &ws->first;
    while (*at != entry)
        at = &(*at)->next;
    *at = entry->next;
    if (entry->mark) {
        ws->stats.kept--;
        ws->stats.kept_bytes -= watermark_bytes(entry->mark).len;
    }
    watermark_unref(entry->mark);
    mem_free(MEM_OTHER, entry->url);
    mem_free(MEM_OTHER, entry);
}

/* NULL when it is not there, or no longer good. */
static struct entry *find_locked(struct watermarks *ws, const char *url)
{
    for (struct entry **at = &ws->first, *entry; (entry = *at); at = &entry->next) {
        if (strcmp(entry->url, url) != 0)
            continue;
        if (entry->mark && clock_mono().ns >= entry->until.ns) {
            remove_locked(ws, entry);
            return NULL;
        }
        *at = entry->next;
        entry->next = ws->first;
        ws->first = entry;
        return entry;
    }
    return NULL;
}

static struct entry *add_locked(struct watermarks *ws, const char *url)
{
    struct entry *entry = mem_alloc_zero(MEM_OTHER, 1, sizeof(*entry));
    entry->url = mem_copy_string(MEM_OTHER, view_from(url));
    entry->next = ws->first;
    ws->first = entry;
    return entry;
}

/* Those that were not used for longest go, until the rest is within its limits. */
static void shrink_locked(struct watermarks *ws)
{
    while (ws->stats.kept > ws->options.kept_max ||
           ws->stats.kept_bytes > ws->options.kept_bytes_max) {
        struct entry *last = NULL;
        for (struct entry *entry = ws->first; entry; entry = entry->next)
            if (entry->mark)
                last = entry;
        ASSERT(last != NULL);
        remove_locked(ws, last);
    }
}

/* The fetch has ended; in vain: those that wait find no entry, and one of them tries. */
static void settle_locked(struct watermarks *ws, struct entry *entry, struct watermark *mark)
{
    ws->stats.fetched++;
    if (mark == NULL) {
        remove_locked(ws, entry);
    } else {
        entry->mark = watermark_ref(mark);
        entry->until = mono_add_ms(clock_mono(), ws->options.kept_ms);
        ws->stats.kept++;
        ws->stats.kept_bytes += watermark_bytes(mark).len;
        shrink_locked(ws);
    }
    cond_broadcast(&ws->changed);
}

void watermarks_free(struct watermarks *ws)
{
    if (ws == NULL)
        return;
    while (ws->first)
        remove_locked(ws, ws->first);
    watermark_unref(ws->file);
    cond_deinit(&ws->changed);
    mutex_deinit(&ws->mutex);
    mem_free(MEM_OTHER, ws);
}

/* --- the operator's file --- */

bool watermarks_read_file(struct watermarks *ws, struct error *err)
{
    const char *path = ws->options.path;
    struct buffer bytes;
    if (path == NULL || path[0] == '\0')
        return true;
    buffer_init(&bytes, MEM_OTHER, WATERMARK_BYTES_MAX);
    if (!file_read_all(path, &bytes, err)) {
        buffer_deinit(&bytes);
        return error_wrap(err, "could not read the watermark");
    }
    struct watermark *mark = watermark_new(&bytes);
    struct view content = watermark_bytes(mark);
    struct image_key digest;
    int code = gnutls_hash_fast(GNUTLS_DIG_SHA256, content.ptr, content.len, digest.bytes);
    ASSERT(code == 0); /* only memory could be missing */
    mutex_lock(&ws->mutex);
    struct watermark *before = ws->file;
    ws->file = mark;
    ws->file_digest = digest;
    mutex_unlock(&ws->mutex);
    watermark_unref(before);
    return true;
}

void watermarks_file_digest(struct watermarks *ws, struct image_key *out)
{
    mutex_lock(&ws->mutex);
    *out = ws->file_digest;
    mutex_unlock(&ws->mutex);
}

static enum watermark_outcome get_file(struct watermarks *ws, struct watermark **out,
                                       struct image_failure *f)
{
    const char *path = ws->options.path;
    if (path == NULL || path[0] == '\0')
        return WATERMARK_NONE;
    mutex_lock(&ws->mutex);
    *out = ws->file ? watermark_ref(ws->file) : NULL;
    mutex_unlock(&ws->mutex);
    if (*out)
        return WATERMARK_FOUND;
    (void)image_fail(f, 400, "Failed to read watermark image from path");
    (void)image_fail_cause(f, "\"%s\" could not be read when the service started", path);
    return WATERMARK_FAILED;
}

/* --- those of URLs --- */

/* Their part of the room for sources, whatever their origin: one origin among others. */
#define WATERMARKS_KEY UINT64_C(0x77617465726d6172)

static enum watermark_outcome fetch(struct watermarks *ws, const char *url, int64_t timeout_ms,
                                    const atomic_bool *cancel, struct watermark **out,
                                    struct image_failure *f)
{
    struct source source;
    source_init(&source, WATERMARKS_KEY);
    enum source_outcome outcome = source_fetch(
        ws->options.policy, url, ws->options.source_bytes_max, timeout_ms, cancel, &source, f);
    if (outcome == SOURCE_FETCHED) {
        *out = watermark_new(&source.bytes);
        (*out)->hold = source.hold;
        source.hold.bytes = 0; /* is the mark's now */
    } else if (f->status == 400) {
        struct image_failure why = *f;
        (void)image_fail(f, 400, "Failed to fetch watermark image");
        (void)image_fail_cause(f, "%s%s%s", why.text, why.cause[0] ? ": " : "", why.cause);
    }
    source_deinit(&source);
    return outcome == SOURCE_FETCHED   ? WATERMARK_FOUND
           : outcome == SOURCE_REFUSED ? WATERMARK_REFUSED
                                       : WATERMARK_FAILED;
}

/* Until the entry is there, or it is ours to fetch. False: it is cancelled. */
static bool await_locked(struct watermarks *ws, const char *url, const atomic_bool *cancel,
                         struct entry **out)
{
    while ((*out = find_locked(ws, url)) && (*out)->mark == NULL) {
        if (cancel && atomic_load_explicit(cancel, memory_order_relaxed))
            return false;
        (void)cond_wait_until(&ws->changed, &ws->mutex, mono_add_ms(clock_mono(), CANCEL_SEEN_MS));
    }
    return true;
}

static enum watermark_outcome get_url(struct watermarks *ws, const char *url, int64_t timeout_ms,
                                      const atomic_bool *cancel, struct watermark **out,
                                      struct image_failure *f)
{
    struct entry *entry;
    mutex_lock(&ws->mutex);
    if (!await_locked(ws, url, cancel, &entry)) {
        mutex_unlock(&ws->mutex);
        (void)image_fail(f, 408, "Request Timeout");
        return WATERMARK_FAILED;
    }
    if (entry) {
        *out = watermark_ref(entry->mark);
        mutex_unlock(&ws->mutex);
        return WATERMARK_FOUND;
    }
    entry = add_locked(ws, url);
    mutex_unlock(&ws->mutex);
    enum watermark_outcome outcome = fetch(ws, url, timeout_ms, cancel, out, f);
    mutex_lock(&ws->mutex);
    settle_locked(ws, entry, *out);
    mutex_unlock(&ws->mutex);
    return outcome;
}

enum watermark_outcome watermarks_get(struct watermarks *ws, struct view url, int64_t timeout_ms,
                                      const atomic_bool *cancel, struct watermark **out,
                                      struct image_failure *f)
{
    *out = NULL;
    if (url.len == 0)
        return get_file(ws, out, f);
    char *copy = mem_copy_string(MEM_OTHER, url);
    enum watermark_outcome outcome = get_url(ws, copy, timeout_ms, cancel, out, f);
    mem_free(MEM_OTHER, copy);
    return outcome;
}

void watermarks_stats_get(struct watermarks *ws, struct watermarks_stats *out)
{
    mutex_lock(&ws->mutex);
    *out = ws->stats;
    mutex_unlock(&ws->mutex);
}
