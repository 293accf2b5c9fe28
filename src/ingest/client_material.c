/* SPDX-License-Identifier: Apache-2.0 */
/* client_material.c: see client_material.h. A text is known by 128 bits of a keyed hash, so that a key is held once
 * more by the kernel, and nowhere else. */
#include "ingest/client_material.h"

#include "base/checksum.h"
#include "base/mem.h"
#include "base/thread.h"

#include <errno.h>
#include <stdio.h>
#include <sys/mman.h>
#include <unistd.h>

enum { FILES_MAX = 1024 /* of the descriptors; by configurations, which are written by hand */ };

struct material_file {
    struct hash128 hash;
    int fd;
};

struct client_material {
    pthread_mutex_t mutex;
    struct material_file *items;
    size_t count, capacity;
};

struct client_material *client_material_new(void)
{
    struct client_material *m = mem_alloc_zero(MEM_SCRAPE, 1, sizeof *m);
    mutex_init(&m->mutex);
    return m;
}

void client_material_free(struct client_material *m)
{
    if (!m)
        return;
    for (size_t i = 0; i < m->count; i++)
        (void)close(m->items[i].fd); /* memory only */
    mem_free(MEM_SCRAPE, m->items);
    mutex_deinit(&m->mutex);
    mem_free(MEM_SCRAPE, m);
}

/* A descriptor, or -1. */
static int file_of_text(struct view text, struct error *err)
{
    int fd = memfd_create("belfry-tls", MFD_CLOEXEC);
    for (size_t at = 0; fd >= 0 && at < text.len;) {
        ssize_t written = write(fd, text.ptr + at, text.len - at);
        if (written > 0) {
            at += (size_t)written;
        } else if (written == 0 || errno != EINTR) {
            int why = errno;
            (void)close(fd); /* nothing of it is used */
            errno = why;
            fd = -1;
        }
    }
    if (fd < 0)
        error_set_errno(err, errno, "could not keep TLS material in memory");
    return fd;
}

/* Its place, or the count. */
static size_t find_locked(const struct client_material *m, struct hash128 hash)
{
    size_t i = 0;
    while (i < m->count && (m->items[i].hash.low != hash.low || m->items[i].hash.high != hash.high))
        i++;
    return i;
}

static bool add_locked(struct client_material *m, struct view text, struct hash128 hash,
                       struct error *err)
{
    if (m->count == FILES_MAX)
        return error_set(err, ERROR_LIMIT,
                         "more than %d different certificates and keys were in configurations",
                         FILES_MAX);
    int fd = file_of_text(text, err);
    if (fd < 0)
        return false;
    m->items =
        mem_grow(MEM_SCRAPE, m->items, &m->capacity, m->count + 1, sizeof(struct material_file));
    m->items[m->count++] = (struct material_file){hash, fd};
    return true;
}

bool client_material_path(struct client_material *m, struct view text,
                          char out[CLIENT_MATERIAL_PATH_BYTES], struct error *err)
{
    struct hash128 hash = hash128_secret(text.ptr, text.len);
    mutex_lock(&m->mutex);
    size_t at = find_locked(m, hash);
    bool ok = at < m->count || add_locked(m, text, hash, err);
    if (ok)
        (void)snprintf(out, CLIENT_MATERIAL_PATH_BYTES, "/proc/self/fd/%d", m->items[at].fd);
    mutex_unlock(&m->mutex);
    return ok;
}
