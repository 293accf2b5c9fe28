/* SPDX-License-Identifier: Apache-2.0 */
/* dir.c: folders. Walks go by descriptor (openat, O_NOFOLLOW), so that a link put in place of a folder
 * meanwhile leads nowhere, and their depth is limited: each level holds a descriptor. */
#include "base/assert.h"
#include "base/file.h"
#include "base/file_private.h"
#include "base/mem.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

enum { DIR_MODE = 0750, DEPTH_MAX = 64, ENTRY_COUNT_MAX = 4 << 20 };

static bool make_one(const char *path, struct error *err)
{
    int fault = file_fault(FILE_OP_MKDIR, path, NULL);
    if (fault == 0 && mkdir(path, DIR_MODE) != 0)
        fault = errno;
    struct stat st;
    if (fault == EEXIST && stat(path, &st) == 0 && S_ISDIR(st.st_mode))
        return true;
    return fault == 0 || error_set_errno(err, fault, "could not create folder \"%s\"", path);
}

bool dir_create(const char *path, struct error *err)
{
    struct stat st;
    if (stat(path, &st) == 0 && S_ISDIR(st.st_mode))
        return true;
    char *part = mem_copy_string(MEM_OTHER, view_from(path));
    bool ok = true;
    for (char *p = part; ok && *p; p++) {
        if (p == part || *p != '/')
            continue;
        *p = '\0';
        /* Parents that are there need no permission to be made. */
        if (stat(part, &st) != 0 || !S_ISDIR(st.st_mode))
            ok = make_one(part, err);
        *p = '/';
    }
    ok = ok && make_one(path, err);
    mem_free(MEM_OTHER, part);
    return ok;
}

bool dir_sync(const char *path, struct error *err)
{
    int fault = file_fault(FILE_OP_DIR_SYNC, path, NULL);
    if (fault == 0) {
        int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        if (fd < 0 || fsync(fd) != 0)
            fault = errno;
        if (fd >= 0)
            (void)close(fd); /* nothing was written through it */
    }
    return fault == 0 || error_set_errno(err, fault, "could not sync folder \"%s\"", path);
}

struct entry {
    char *name;
    bool is_dir;
};

struct entries {
    struct entry *items;
    size_t count, capacity;
};

static void entries_deinit(struct entries *e)
{
    for (size_t i = 0; i < e->count; i++)
        mem_free(MEM_OTHER, e->items[i].name);
    mem_free(MEM_OTHER, e->items);
}

static int entry_compare(const void *a, const void *b)
{
    return strcmp(((const struct entry *)a)->name, ((const struct entry *)b)->name);
}

static bool entry_is_dir(int folder, const struct dirent *d)
{
    if (d->d_type != DT_UNKNOWN)
        return d->d_type == DT_DIR;
    struct stat st; /* some file systems do not say */
    return fstatat(folder, d->d_name, &st, AT_SYMLINK_NOFOLLOW) == 0 && S_ISDIR(st.st_mode);
}

/* All names of an open folder. 0 or an errno. */
static int entries_read(DIR *dir, struct entries *out)
{
    for (;;) {
        errno = 0;
        const struct dirent *d = readdir(dir);
        if (!d)
            return errno;
        if (strcmp(d->d_name, ".") == 0 || strcmp(d->d_name, "..") == 0)
            continue;
        if (out->count == ENTRY_COUNT_MAX)
            return EOVERFLOW;
        out->items =
            mem_grow(MEM_OTHER, out->items, &out->capacity, out->count + 1, sizeof(out->items[0]));
        out->items[out->count].is_dir = entry_is_dir(dirfd(dir), d);
        out->items[out->count].name = mem_copy_string(MEM_OTHER, view_from(d->d_name));
        out->count++;
    }
}

bool dir_list(const char *path, dir_visit visit, void *arg, struct error *err)
{
    int fault = file_fault(FILE_OP_OPEN, path, NULL);
    DIR *dir = fault == 0 ? opendir(path) : NULL;
    if (fault == 0 && !dir)
        fault = errno;
    struct entries entries = {0};
    if (dir) {
        fault = entries_read(dir, &entries);
        (void)closedir(dir); /* it was only read */
    }
    if (fault != 0) {
        error_set_errno(err, fault, "could not list folder \"%s\"", path);
        if (err && fault == ENOENT)
            err->kind = ERROR_NOT_FOUND;
    } else {
        if (entries.count > 1)
            qsort(entries.items, entries.count, sizeof(entries.items[0]), entry_compare);
        for (size_t i = 0; i < entries.count; i++) {
            if (!visit(arg, entries.items[i].name, entries.items[i].is_dir))
                break;
        }
    }
    entries_deinit(&entries);
    return fault == 0;
}

static DIR *open_below(int folder, const char *name)
{
    int fd = openat(folder, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0)
        return NULL;
    DIR *dir = fdopendir(fd);
    if (!dir)
        (void)close(fd);
    return dir;
}

/* Removes the folder `name` of `folder` with all that is in it. 0 or an errno. */
static int remove_below(int folder, const char *name, const char *path, int depth)
{
    if (depth > DEPTH_MAX)
        return ELOOP;
    DIR *dir = open_below(folder, name);
    if (!dir)
        return errno == ENOENT ? 0 : errno;
    struct entries entries = {0};
    int fault = entries_read(dir, &entries);
    for (size_t i = 0; fault == 0 && i < entries.count; i++) {
        if (entries.items[i].is_dir) {
            fault = remove_below(dirfd(dir), entries.items[i].name, path, depth + 1);
        } else {
            fault = file_fault(FILE_OP_REMOVE, path, NULL);
            if (fault == 0 && unlinkat(dirfd(dir), entries.items[i].name, 0) != 0 &&
                errno != ENOENT)
                fault = errno;
        }
    }
    entries_deinit(&entries);
    (void)closedir(dir); /* it was only read */
    if (fault == 0)
        fault = file_fault(FILE_OP_REMOVE, path, NULL);
    if (fault == 0 && unlinkat(folder, name, AT_REMOVEDIR) != 0 && errno != ENOENT)
        fault = errno;
    return fault;
}

bool dir_remove(const char *path, struct error *err)
{
    int fault = remove_below(AT_FDCWD, path, path, 0);
    return fault == 0 || error_set_errno(err, fault, "could not remove folder \"%s\"", path);
}

static uint64_t bytes_below(int folder, const char *name, int depth)
{
    DIR *dir = depth <= DEPTH_MAX ? open_below(folder, name) : NULL;
    if (!dir)
        return 0;
    uint64_t sum = 0;
    const struct dirent *d;
    while ((d = readdir(dir)) != NULL) {
        struct stat st;
        if (strcmp(d->d_name, ".") == 0 || strcmp(d->d_name, "..") == 0)
            continue;
        if (fstatat(dirfd(dir), d->d_name, &st, AT_SYMLINK_NOFOLLOW) != 0)
            continue; /* gone meanwhile */
        if (S_ISREG(st.st_mode))
            sum += (uint64_t)st.st_size;
        else if (S_ISDIR(st.st_mode))
            sum += bytes_below(dirfd(dir), d->d_name, depth + 1);
    }
    (void)closedir(dir); /* it was only read */
    return sum;
}

uint64_t dir_bytes(const char *path)
{
    return bytes_below(AT_FDCWD, path, 0);
}

bool dir_total_bytes(const char *path, uint64_t *out, struct error *err)
{
    struct statvfs st;
    *out = 0;
    if (statvfs(path, &st) != 0)
        return error_set_errno(err, errno, "could not ask for the size of the disk at \"%s\"",
                               path);
    *out = (uint64_t)st.f_blocks * st.f_frsize;
    return true;
}

bool dir_free_bytes(const char *path, uint64_t *out, struct error *err)
{
    struct statvfs st;
    *out = 0;
    if (statvfs(path, &st) != 0)
        return error_set_errno(err, errno, "could not ask for the free space at \"%s\"", path);
    *out = (uint64_t)st.f_bavail * st.f_frsize;
    return true;
}
