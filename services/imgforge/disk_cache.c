/* SPDX-License-Identifier: Apache-2.0 */
/* disk_cache.c: see disk_cache.h. FOLDER/KK/KEY, KEY in 64 hexadecimal digits and KK its first two, is one entry (cache_entry.h).
 * It is written under FOLDER/tmp-PROCESS-N and renamed when it is whole; PROCESS is drawn by lot, since processes in containers
 * share folders and process ids. */
#include "disk_cache.h"

#include "base/buffer.h"
#include "base/clock.h"
#include "base/file.h"
#include "base/mem.h"
#include "base/random.h"
#include "base/thread.h"
#include "cache_entry.h"
#include "lru.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

/* A file begun and not renamed for so long is nobody's any more. Chosen, not measured. */
enum { TEMPORARY_AGE_S = 600 };

struct disk_cache {
    char *folder;
    uint64_t process, bytes_max;
    pthread_mutex_t mutex; /* a leaf; guards the rest */
    struct lru lru;        /* items are the struct itself: only the keys matter */
    uint64_t next_temporary;
};

/* What cannot be removed now is found and judged again after a restart. */
static void remove_quietly(const char *path)
{
    if (!file_remove(path, NULL))
        return;
}

/* --- names --- */

static void path_append(struct buffer *out, const struct disk_cache *d, const struct image_key *key)
{
    char name[IMAGE_KEY_DIGITS + 1];
    image_key_format(key, name);
    buffer_reset(out);
    buffer_printf(out, "%s/%.2s/%s", d->folder, name, name);
    buffer_append_byte(out, '\0');
}

static void file_forget(const struct disk_cache *d, const struct image_key *key)
{
    struct buffer path;
    buffer_init(&path, MEM_OTHER, 1 << 16);
    path_append(&path, d, key);
    remove_quietly(path.ptr);
    buffer_deinit(&path);
}

/* --- files --- */

/* Forgets the oldest beyond the limits. */
static void shrink(struct disk_cache *d)
{
    struct image_key key;
    for (;;) {
        mutex_lock(&d->mutex);
        bool is_full = lru_take_excess(&d->lru, &key) != NULL;
        mutex_unlock(&d->mutex);
        if (!is_full)
            return;
        file_forget(d, &key);
    }
}

/* Whether the key is known does not matter: another process on the same folder may have written it. */
struct cached_image *disk_cache_get(struct disk_cache *d, const struct image_key *key)
{
    struct buffer path, file;
    struct cached_image *image = NULL;
    struct error err = {0};
    buffer_init(&path, MEM_OTHER, 1 << 16);
    buffer_init(&file, MEM_OTHER, CACHE_ENTRY_BYTES_MAX);
    path_append(&path, d, key);
    bool is_read = file_read_all(path.ptr, &file, &err);
    bool is_torn = is_read && !cache_entry_decode(key, buffer_view(&file), &image);
    /* What could not be read (too many open files, say) may be whole: it stays. */
    bool is_gone = is_torn || (!is_read && err.kind == ERROR_NOT_FOUND);
    mutex_lock(&d->mutex);
    if (is_gone)
        (void)lru_remove(&d->lru, key);
    else if (image && !lru_get(&d->lru, key))
        (void)lru_put(&d->lru, key, d, file.len);
    mutex_unlock(&d->mutex);
    if (is_torn)
        remove_quietly(path.ptr);
    else if (image)
        shrink(d);
    buffer_deinit(&file);
    buffer_deinit(&path);
    return image;
}

static bool file_write(const char *temporary, const char *path, struct view bytes,
                       struct error *err)
{
    struct file *f;
    if (!file_create(&f, temporary, err))
        return false;
    bool ok = file_write_all(f, bytes, err);
    ok = file_close(f, ok ? err : NULL) && ok;
    if (ok && rename(temporary, path) != 0) {
        char *folder =
            mem_copy_string(MEM_OTHER, (struct view){path, strlen(path) - IMAGE_KEY_DIGITS - 1});
        ok = dir_create(folder, err) &&
             (rename(temporary, path) == 0 ||
              error_set_errno(err, errno, "could not rename to \"%s\"", path));
        mem_free(MEM_OTHER, folder);
    }
    if (!ok)
        remove_quietly(temporary);
    return ok;
}

static void temporary_append(struct buffer *out, struct disk_cache *d)
{
    mutex_lock(&d->mutex);
    uint64_t number = d->next_temporary++;
    mutex_unlock(&d->mutex);
    buffer_printf(out, "%s/tmp-%016llx-%llu", d->folder, (unsigned long long)d->process,
                  (unsigned long long)number);
    buffer_append_byte(out, '\0');
}

static bool entry_make(const struct disk_cache *d, struct buffer *out, const struct image_key *key,
                       const struct cached_image *image, struct error *err)
{
    cache_entry_encode(out, key, image);
    /* One that is larger than all that there may be would push out everything else, then itself. */
    if (out->failed || (d->bytes_max && out->len > d->bytes_max))
        return error_set(err, ERROR_TOO_LARGE, "a result of %zu bytes is too large for the cache",
                         image->bytes.len);
    return true;
}

bool disk_cache_put(struct disk_cache *d, const struct image_key *key,
                    const struct cached_image *image, struct error *err)
{
    struct buffer file, path, temporary;
    buffer_init(&file, MEM_OTHER, CACHE_ENTRY_BYTES_MAX);
    buffer_init(&path, MEM_OTHER, 1 << 16);
    buffer_init(&temporary, MEM_OTHER, 1 << 16);
    path_append(&path, d, key);
    temporary_append(&temporary, d);
    bool ok = entry_make(d, &file, key, image, err) &&
              file_write(temporary.ptr, path.ptr, buffer_view(&file), err);
    if (ok) {
        mutex_lock(&d->mutex);
        (void)lru_put(&d->lru, key, d, file.len);
        mutex_unlock(&d->mutex);
        shrink(d);
    }
    buffer_deinit(&temporary);
    buffer_deinit(&path);
    buffer_deinit(&file);
    return ok;
}

/* --- what is there already --- */

struct found {
    struct image_key key;
    int64_t modified_ns;
    uint64_t bytes;
};

struct scan {
    const struct disk_cache *d;
    const char *below; /* "ab"; NULL: the folder itself */
    struct error *err;
    bool failed; /* a folder could not be read */
    struct found *items;
    size_t count, capacity;
};

static void path_in(struct buffer *out, const struct scan *s, const char *name)
{
    buffer_reset(out);
    buffer_printf(out, "%s/%s%s%s", s->d->folder, s->below ? s->below : "", s->below ? "/" : "",
                  name);
    buffer_append_byte(out, '\0');
}

static bool found_file(void *arg, const char *name, bool is_dir)
{
    struct scan *s = arg;
    struct image_key key;
    struct buffer path;
    struct stat st;
    buffer_init(&path, MEM_OTHER, 1 << 16);
    path_in(&path, s, name);
    if (!is_dir && image_key_parse(name, &key) && strncmp(name, s->below, 2) == 0 &&
        lstat(path.ptr, &st) == 0 && S_ISREG(st.st_mode)) {
        s->items = mem_grow(MEM_OTHER, s->items, &s->capacity, s->count + 1, sizeof(s->items[0]));
        s->items[s->count++] =
            (struct found){key, st.st_mtim.tv_sec * INT64_C(1000000000) + st.st_mtim.tv_nsec,
                           (uint64_t)st.st_size};
    }
    buffer_deinit(&path);
    return true;
}

static bool is_stale(const char *path)
{
    struct stat st;
    return lstat(path, &st) == 0 && st.st_mtim.tv_sec < clock_wall().ms / 1000 - TEMPORARY_AGE_S;
}

/* Folders of two digits; what a process did not finish long ago goes; all else is somebody else's. */
static bool found_folder(void *arg, const char *name, bool is_dir)
{
    struct scan *s = arg;
    struct buffer path;
    buffer_init(&path, MEM_OTHER, 1 << 16);
    path_in(&path, s, name);
    if (is_dir && strlen(name) == 2) {
        s->below = name;
        s->failed = !dir_list(path.ptr, found_file, s, s->err);
        s->below = NULL;
    } else if (!is_dir && strncmp(name, "tmp-", 4) == 0 && is_stale(path.ptr)) {
        remove_quietly(path.ptr);
    }
    buffer_deinit(&path);
    return !s->failed;
}

static int found_compare(const void *a, const void *b)
{
    const struct found *x = a, *y = b;
    return (x->modified_ns > y->modified_ns) - (x->modified_ns < y->modified_ns);
}

bool disk_cache_check(struct disk_cache *d, struct error *err)
{
    struct buffer path;
    struct file *f;
    buffer_init(&path, MEM_OTHER, 1 << 16);
    temporary_append(&path, d);
    bool ok = file_create(&f, path.ptr, err) && file_close(f, err) && file_remove(path.ptr, err);
    buffer_deinit(&path);
    return ok;
}

bool disk_cache_open(struct disk_cache **out, const char *folder, uint64_t entries_max,
                     uint64_t bytes_max, struct error *err)
{
    struct disk_cache *d = mem_alloc_zero(MEM_OTHER, 1, sizeof(*d));
    struct scan scan = {.d = d, .err = err};
    d->folder = mem_copy_string(MEM_OTHER, view_from(folder));
    mutex_init(&d->mutex);
    lru_init(&d->lru, entries_max, bytes_max);
    random_secret(&d->process, sizeof(d->process));
    d->bytes_max = bytes_max;
    *out = NULL;
    if (!dir_list(folder, found_folder, &scan, err) || scan.failed || !disk_cache_check(d, err)) {
        mem_free(MEM_OTHER, scan.items);
        disk_cache_close(d);
        return false;
    }
    if (scan.count > 1)
        qsort(scan.items, scan.count, sizeof(scan.items[0]), found_compare);
    for (size_t i = 0; i < scan.count; i++)
        (void)lru_put(&d->lru, &scan.items[i].key, d, scan.items[i].bytes);
    mem_free(MEM_OTHER, scan.items);
    shrink(d);
    *out = d;
    return true;
}

void disk_cache_close(struct disk_cache *d)
{
    if (!d)
        return;
    lru_deinit(&d->lru);
    mutex_deinit(&d->mutex);
    mem_free(MEM_OTHER, d->folder);
    mem_free(MEM_OTHER, d);
}

uint64_t disk_cache_count(struct disk_cache *d)
{
    mutex_lock(&d->mutex);
    uint64_t count = lru_count(&d->lru);
    mutex_unlock(&d->mutex);
    return count;
}

uint64_t disk_cache_bytes(struct disk_cache *d)
{
    mutex_lock(&d->mutex);
    uint64_t bytes = d->lru.bytes;
    mutex_unlock(&d->mutex);
    return bytes;
}
