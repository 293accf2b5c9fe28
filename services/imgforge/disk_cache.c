/* SPDX-License-Identifier: Apache-2.0 */
/* disk_cache.c: see disk_cache.h. FOLDER/KK/KEY, KEY in 64 hexadecimal digits and KK its first two:
 *
 *   file := magic u32 "IFC2" | CRC32C of all that follows u32 | key 32 bytes | modified i64, Unix seconds | type_len u8 | type
 *           | control_len u8 | cache control | bytes, to the end
 *
 * Numbers are little-endian. A file is written under FOLDER/tmp-N and renamed when it is whole. The etag is computed anew: it is of
 * the key and the bytes. */
#include "disk_cache.h"

#include "base/buffer.h"
#include "base/checksum.h"
#include "base/file.h"
#include "base/hex.h"
#include "base/mem.h"
#include "base/reader.h"
#include "base/thread.h"
#include "lru.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

enum { MAGIC = 0x32434649, HEAD_BYTES = 8, KEY_DIGITS = 64 };

struct disk_cache {
    char *folder;
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

static void key_format(const struct image_key *key, char out[KEY_DIGITS + 1])
{
    for (size_t i = 0; i < sizeof(key->bytes); i++)
        (void)snprintf(out + 2 * i, 3, "%02x", key->bytes[i]);
}

static bool key_parse(const char *text, struct image_key *out)
{
    if (strlen(text) != KEY_DIGITS)
        return false;
    for (size_t i = 0; i < sizeof(out->bytes); i++) {
        uint32_t high = hex_digit((unsigned char)text[2 * i]),
                 low = hex_digit((unsigned char)text[2 * i + 1]);
        if (high == HEX_NONE || low == HEX_NONE)
            return false;
        out->bytes[i] = (unsigned char)(high << 4 | low);
    }
    return true;
}

static void path_append(struct buffer *out, const struct disk_cache *d, const struct image_key *key)
{
    char name[KEY_DIGITS + 1];
    key_format(key, name);
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

static void file_encode(struct buffer *out, const struct image_key *key,
                        const struct cached_image *image)
{
    buffer_append_u32(out, MAGIC);
    buffer_append_u32(out, 0);
    buffer_append(out, key->bytes, sizeof(key->bytes));
    buffer_append_u64(out, (uint64_t)image->modified_s);
    buffer_append_u8(out, (uint8_t)image->content_type.len);
    buffer_append_view(out, image->content_type);
    buffer_append_u8(out, (uint8_t)image->cache_control.len);
    buffer_append_view(out, image->cache_control);
    buffer_append_view(out, image->bytes);
    if (out->failed)
        return;
    uint32_t crc = crc32c(0, out->ptr + HEAD_BYTES, out->len - HEAD_BYTES);
    unsigned char le[4] = {(unsigned char)crc, (unsigned char)(crc >> 8),
                           (unsigned char)(crc >> 16), (unsigned char)(crc >> 24)};
    memcpy(out->ptr + 4, le, sizeof(le));
}

/* NULL for what is not the whole file of this key. */
static struct cached_image *file_decode(const struct image_key *key, struct view file)
{
    struct reader r = reader_from(file);
    uint32_t magic = reader_u32(&r), crc = reader_u32(&r);
    struct view of_key = reader_bytes(&r, sizeof(key->bytes));
    int64_t modified_s = (int64_t)reader_u64(&r);
    struct view type = reader_bytes(&r, reader_u8(&r));
    struct view control = reader_bytes(&r, reader_u8(&r));
    if (r.failed || magic != MAGIC || memcmp(of_key.ptr, key->bytes, of_key.len) != 0 ||
        crc32c(0, file.ptr + HEAD_BYTES, file.len - HEAD_BYTES) != crc)
        return NULL;
    return cached_image_new(key, reader_bytes(&r, reader_left(&r)), type, control, modified_s);
}

struct cached_image *disk_cache_get(struct disk_cache *d, const struct image_key *key)
{
    struct buffer path, file;
    struct cached_image *image = NULL;
    mutex_lock(&d->mutex);
    bool is_there = lru_get(&d->lru, key) != NULL;
    mutex_unlock(&d->mutex);
    if (!is_there)
        return NULL;
    buffer_init(&path, MEM_OTHER, 1 << 16);
    buffer_init(&file, MEM_OTHER, DISK_CACHE_FILE_BYTES_MAX);
    path_append(&path, d, key);
    if (file_read_all(path.ptr, &file, NULL))
        image = file_decode(key, buffer_view(&file));
    if (!image) { /* torn, or somebody took it away */
        mutex_lock(&d->mutex);
        (void)lru_remove(&d->lru, key);
        mutex_unlock(&d->mutex);
        remove_quietly(path.ptr);
    }
    buffer_deinit(&file);
    buffer_deinit(&path);
    return image;
}

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
            mem_copy_string(MEM_OTHER, (struct view){path, strlen(path) - KEY_DIGITS - 1});
        ok = dir_create(folder, err) &&
             (rename(temporary, path) == 0 ||
              error_set_errno(err, errno, "could not rename to \"%s\"", path));
        mem_free(MEM_OTHER, folder);
    }
    if (!ok)
        remove_quietly(temporary);
    return ok;
}

bool disk_cache_put(struct disk_cache *d, const struct image_key *key,
                    const struct cached_image *image, struct error *err)
{
    struct buffer file, path, temporary;
    buffer_init(&file, MEM_OTHER, DISK_CACHE_FILE_BYTES_MAX);
    buffer_init(&path, MEM_OTHER, 1 << 16);
    buffer_init(&temporary, MEM_OTHER, 1 << 16);
    mutex_lock(&d->mutex);
    uint64_t number = d->next_temporary++;
    mutex_unlock(&d->mutex);
    file_encode(&file, key, image);
    path_append(&path, d, key);
    buffer_printf(&temporary, "%s/tmp-%llu", d->folder, (unsigned long long)number);
    buffer_append_byte(&temporary, '\0');
    bool ok = !file.failed ||
              error_set(err, ERROR_TOO_LARGE, "a result of %zu bytes is too large for the cache",
                        image->bytes.len);
    ok = ok && file_write(temporary.ptr, path.ptr, buffer_view(&file), err);
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
    if (!is_dir && key_parse(name, &key) && strncmp(name, s->below, 2) == 0 &&
        lstat(path.ptr, &st) == 0 && S_ISREG(st.st_mode)) {
        s->items = mem_grow(MEM_OTHER, s->items, &s->capacity, s->count + 1, sizeof(s->items[0]));
        s->items[s->count++] =
            (struct found){key, st.st_mtim.tv_sec * INT64_C(1000000000) + st.st_mtim.tv_nsec,
                           (uint64_t)st.st_size};
    }
    buffer_deinit(&path);
    return true;
}

/* Folders of two digits; what a process before did not finish goes; all else is somebody else's. */
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
    } else if (!is_dir && strncmp(name, "tmp-", 4) == 0) {
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

static bool can_write(const char *folder, struct error *err)
{
    struct buffer path;
    buffer_init(&path, MEM_OTHER, 1 << 16);
    buffer_printf(&path, "%s/tmp-probe", folder);
    buffer_append_byte(&path, '\0');
    struct file *f;
    bool ok = file_remove(path.ptr, err) && file_create(&f, path.ptr, err) && file_close(f, err) &&
              file_remove(path.ptr, err);
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
    *out = NULL;
    if (!dir_list(folder, found_folder, &scan, err) || scan.failed || !can_write(folder, err)) {
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
