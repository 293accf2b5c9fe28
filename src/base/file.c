/* SPDX-License-Identifier: Apache-2.0 */
/* file.c: every operation asks the fault hook first, then the kernel. EINTR is tried again; a short
 * write is continued; nothing else is retried. */
#include "base/file.h"

#include "base/assert.h"
#include "base/file_private.h"
#include "base/mem.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

enum { FILE_MODE = 0640, IO_BYTES_MAX = 1 << 30, READ_STEP_BYTES = 64 * 1024 };

struct file {
    int fd;
    char path[]; /* for messages */
};

/* Set while one thread runs; a hook that is called from several threads must be safe itself. */
static _Atomic(file_fault_hook) hook;
static void *_Atomic hook_arg;

void file_test_set_hook(file_fault_hook new_hook, void *arg)
{
    atomic_store_explicit(&hook_arg, arg, memory_order_relaxed);
    atomic_store_explicit(&hook, new_hook, memory_order_release); /* pairs with fault_with() */
}

/* 0 or the errno to fail with. */
int file_fault(enum file_op op, const char *path, size_t *bytes)
{
    file_fault_hook now = atomic_load_explicit(&hook, memory_order_acquire);
    if (LIKELY(!now))
        return 0;
    size_t ignored = 0;
    return now(atomic_load_explicit(&hook_arg, memory_order_relaxed), op, path,
               bytes ? bytes : &ignored);
}

static bool file_open(struct file **out, const char *path, int flags, const char *verb,
                      struct error *err)
{
    *out = NULL;
    int fault = file_fault(FILE_OP_OPEN, path, NULL);
    int fd = -1;
    if (fault == 0) {
        do
            fd = open(path, flags | O_CLOEXEC, FILE_MODE);
        while (fd < 0 && errno == EINTR);
        if (fd < 0)
            fault = errno;
    }
    if (fault != 0) {
        error_set_errno(err, fault, "could not %s \"%s\"", verb, path);
        if (err && fault == ENOENT)
            err->kind = ERROR_NOT_FOUND;
        return false;
    }
    size_t len = strlen(path);
    struct file *f = mem_alloc(MEM_OTHER, sizeof(*f) + len + 1);
    f->fd = fd;
    memcpy(f->path, path, len + 1);
    *out = f;
    return true;
}

bool file_open_read(struct file **out, const char *path, struct error *err)
{
    return file_open(out, path, O_RDONLY, "open", err);
}

bool file_create(struct file **out, const char *path, struct error *err)
{
    return file_open(out, path, O_WRONLY | O_CREAT | O_EXCL | O_APPEND, "create", err);
}

bool file_open_append(struct file **out, const char *path, struct error *err)
{
    return file_open(out, path, O_WRONLY | O_CREAT | O_APPEND, "open", err);
}

/* One write; a hook that lowers the size tears it: what is left is lost and the error reported. */
static bool write_once(struct file *f, const char *ptr, size_t len, size_t *written,
                       struct error *err)
{
    size_t allowed = len < IO_BYTES_MAX ? len : IO_BYTES_MAX, wanted = allowed;
    int fault = file_fault(FILE_OP_WRITE, f->path, &allowed);
    if (allowed > wanted)
        allowed = wanted;
    *written = 0;
    if (fault == 0 || allowed < wanted) {
        ssize_t n = allowed ? write(f->fd, ptr, allowed) : 0;
        if (n >= 0)
            *written = (size_t)n;
        else if (errno != EINTR && fault == 0)
            fault = errno;
    }
    if (fault != 0)
        return error_set_errno(err, fault, "could not write to \"%s\"", f->path);
    return true;
}

bool file_write_all(struct file *f, struct view bytes, struct error *err)
{
    for (size_t pos = 0; pos < bytes.len;) {
        size_t written;
        if (!write_once(f, bytes.ptr + pos, bytes.len - pos, &written, err))
            return false;
        pos += written;
    }
    return true;
}

/* Up to len bytes at offset; *out_len is less only at the end of the file. */
static bool read_some(const struct file *f, uint64_t offset, char *out, size_t len, size_t *out_len,
                      struct error *err)
{
    size_t pos = 0;
    *out_len = 0;
    int fault = file_fault(FILE_OP_READ, f->path, &len);
    while (fault == 0 && pos < len) {
        size_t step = len - pos < IO_BYTES_MAX ? len - pos : IO_BYTES_MAX;
        ssize_t n = pread(f->fd, out + pos, step, (off_t)(offset + pos));
        if (n == 0)
            break;
        if (n > 0)
            pos += (size_t)n;
        else if (errno != EINTR)
            fault = errno;
    }
    *out_len = pos;
    if (fault != 0)
        return error_set_errno(err, fault, "could not read \"%s\"", f->path);
    return true;
}

bool file_read_at(const struct file *f, uint64_t offset, void *out, size_t len, struct error *err)
{
    size_t got;
    if (offset > INT64_MAX - len)
        return error_set(err, ERROR_CORRUPT, "\"%s\" has no byte %llu", f->path,
                         (unsigned long long)offset);
    if (!read_some(f, offset, out, len, &got, err))
        return false;
    if (got < len)
        return error_set(err, ERROR_CORRUPT, "\"%s\" ends at byte %llu, expected %zu bytes at %llu",
                         f->path, (unsigned long long)(offset + got), len,
                         (unsigned long long)offset);
    return true;
}

bool file_sync(struct file *f, struct error *err)
{
    int fault = file_fault(FILE_OP_SYNC, f->path, NULL);
    if (fault == 0 && fdatasync(f->fd) != 0)
        fault = errno; /* EINTR too: whether it happened is not known */
    return fault == 0 || error_set_errno(err, fault, "could not sync \"%s\"", f->path);
}

bool file_truncate(struct file *f, uint64_t bytes, struct error *err)
{
    int fault = file_fault(FILE_OP_TRUNCATE, f->path, NULL);
    while (fault == 0 && ftruncate(f->fd, (off_t)bytes) != 0) {
        if (errno != EINTR)
            fault = errno;
    }
    return fault == 0 || error_set_errno(err, fault, "could not truncate \"%s\"", f->path);
}

bool file_reserve(struct file *f, uint64_t bytes, struct error *err)
{
    int fault = file_fault(FILE_OP_RESERVE, f->path, NULL);
    while (fault == 0 && fallocate(f->fd, FALLOC_FL_KEEP_SIZE, 0, (off_t)bytes) != 0) {
        if (errno != EINTR)
            fault = errno;
    }
    return fault == 0 || error_set_errno(err, fault, "could not reserve space for \"%s\"", f->path);
}

bool file_size(const struct file *f, uint64_t *out, struct error *err)
{
    struct stat st;
    *out = 0;
    if (fstat(f->fd, &st) != 0)
        return error_set_errno(err, errno, "could not ask for the size of \"%s\"", f->path);
    *out = (uint64_t)st.st_size;
    return true;
}

bool file_close(struct file *f, struct error *err)
{
    if (!f)
        return true;
    int fault = file_fault(FILE_OP_CLOSE, f->path, NULL);
    /* The descriptor is gone whatever close says (Linux), so it is never called twice. */
    if (close(f->fd) != 0 && fault == 0 && errno != EINTR)
        fault = errno;
    bool ok = fault == 0 || error_set_errno(err, fault, "could not close \"%s\"", f->path);
    mem_free(MEM_OTHER, f);
    return ok;
}

void file_discard(struct file *f)
{
    if (!f)
        return;
    (void)close(f->fd); /* nothing that anybody relies on was written */
    mem_free(MEM_OTHER, f);
}

const char *file_path(const struct file *f)
{
    return f->path;
}

bool file_map(struct view *out, const char *path, struct error *err)
{
    struct file *f;
    uint64_t bytes;
    *out = (struct view){NULL, 0};
    if (!file_open_read(&f, path, err))
        return false;
    bool ok = file_size(f, &bytes, err);
    if (ok && bytes > 0) {
        int fault = file_fault(FILE_OP_MAP, path, NULL);
        void *mapped = MAP_FAILED;
        if (fault == 0) {
            mapped = mmap(NULL, (size_t)bytes, PROT_READ, MAP_SHARED, f->fd, 0);
            fault = mapped == MAP_FAILED ? errno : 0;
        }
        ok = fault == 0 || error_set_errno(err, fault, "could not map \"%s\"", path);
        if (ok)
            *out = (struct view){mapped, (size_t)bytes};
    }
    file_discard(f);
    return ok;
}

void file_unmap(struct view mapped)
{
    if (mapped.len == 0)
        return;
    int rc = munmap((void *)(uintptr_t)mapped.ptr, mapped.len);
    ASSERT(rc == 0);
}

/* The size is a hint only: files of /proc say 0, and a file may grow meanwhile. */
static bool read_to_end(const struct file *f, struct buffer *out, struct error *err)
{
    struct stat st;
    if (fstat(f->fd, &st) != 0)
        return error_set_errno(err, errno, "could not ask for the size of \"%s\"", f->path);
    if (!S_ISREG(st.st_mode))
        return error_set(err, ERROR_INPUT, "\"%s\" is not a regular file", f->path);
    for (uint64_t offset = 0;;) {
        size_t room = out->bytes_max - out->len, got;
        size_t step = (uint64_t)st.st_size > offset ? (size_t)((uint64_t)st.st_size - offset) + 1
                                                    : READ_STEP_BYTES;
        if (step > room)
            step = room;
        char probe; /* a full buffer is right only if the file ends here */
        char *to = room ? buffer_reserve(out, step) : &probe;
        if (!to)
            return error_set(err, ERROR_LIMIT, "no memory to read \"%s\"", f->path);
        if (!read_some(f, offset, to, room ? step : 1, &got, err))
            return false;
        if (got == 0)
            return true;
        if (!room)
            return error_set(err, ERROR_TOO_LARGE, "\"%s\" is larger than %zu bytes", f->path,
                             out->bytes_max);
        buffer_advance(out, got);
        offset += got;
    }
}

bool file_read_all(const char *path, struct buffer *out, struct error *err)
{
    struct file *f;
    /* A pipe without a writer would make open() itself wait. */
    if (!file_open(&f, path, O_RDONLY | O_NONBLOCK, "open", err))
        return false;
    bool ok = read_to_end(f, out, err);
    file_discard(f);
    return ok;
}

bool file_check_readable(const char *path, uint64_t bytes_max, struct error *err)
{
    struct file *f;
    struct stat st;
    if (!file_open(&f, path, O_RDONLY | O_NONBLOCK, "open", err))
        return false;
    bool ok =
        fstat(f->fd, &st) == 0 || error_set_errno(err, errno, "could not look at \"%s\"", f->path);
    if (ok && !S_ISREG(st.st_mode))
        ok = error_set(err, ERROR_INPUT, "\"%s\" is not a regular file", f->path);
    else if (ok && (uint64_t)st.st_size > bytes_max)
        ok = error_set(err, ERROR_TOO_LARGE, "\"%s\" is larger than %" PRIu64 " bytes", f->path,
                       bytes_max);
    file_discard(f);
    return ok;
}

/* `path` with `suffix`, for the heap. */
static char *path_with(const char *path, const char *suffix)
{
    size_t path_len = strlen(path), suffix_len = strlen(suffix);
    char *joined = mem_alloc(MEM_OTHER, path_len + suffix_len + 1);
    memcpy(joined, path, path_len);
    memcpy(joined + path_len, suffix, suffix_len + 1);
    return joined;
}

static bool write_new(const char *path, struct view bytes, struct error *err)
{
    struct file *f;
    if (!file_create(&f, path, err))
        return false;
    if (!file_write_all(f, bytes, err) || !file_sync(f, err)) {
        file_discard(f);
        return false;
    }
    return file_close(f, err);
}

bool file_replace(const char *path, struct view bytes, struct error *err)
{
    char *temporary = path_with(path, ".tmp");
    bool written = file_remove(temporary, err) && write_new(temporary, bytes, err);
    bool ok = written && file_publish(temporary, path, err);
    if (!ok)
        (void)unlink(temporary); /* the error that is reported came before */
    mem_free(MEM_OTHER, temporary);
    return ok;
}

bool file_publish(const char *from, const char *to, struct error *err)
{
    int fault = file_fault(FILE_OP_RENAME, to, NULL);
    if (fault == 0 && rename(from, to) != 0)
        fault = errno;
    if (fault != 0)
        return error_set_errno(err, fault, "could not rename \"%s\" to \"%s\"", from, to);
    const char *slash = strrchr(to, '/');
    if (!slash)
        return dir_sync(".", err);
    if (slash == to)
        return dir_sync("/", err);
    char *folder = mem_copy_string(MEM_OTHER, (struct view){to, (size_t)(slash - to)});
    bool ok = dir_sync(folder, err);
    mem_free(MEM_OTHER, folder);
    return ok;
}

static bool copy(const struct file *in, struct file *out, struct error *err)
{
    enum { COPY_BYTES = 1 << 20 };
    uint64_t size, at = 0;
    bool ok = file_size(in, &size, err);
    char *bytes = mem_alloc(MEM_OTHER, COPY_BYTES);
    while (ok && at < size) {
        size_t len = size - at < COPY_BYTES ? (size_t)(size - at) : COPY_BYTES;
        ok = file_read_at(in, at, bytes, len, err) &&
             file_write_all(out, (struct view){bytes, len}, err);
        at += len;
    }
    mem_free(MEM_OTHER, bytes);
    return ok && file_sync(out, err);
}

bool file_link_or_copy(const char *from, const char *to, struct error *err)
{
    struct file *in = NULL, *out = NULL;
    int fault = file_fault(FILE_OP_RENAME, to, NULL);
    if (fault == 0 && link(from, to) != 0)
        fault = errno;
    if (fault == 0)
        return true;
    if (fault != EXDEV && fault != EPERM && fault != EMLINK && fault != ENOTSUP && fault != ENOSYS)
        return error_set_errno(err, fault, "could not link \"%s\" to \"%s\"", from, to);
    bool ok = file_open_read(&in, from, err) && file_create(&out, to, err) && copy(in, out, err);
    file_discard(in);
    if (ok)
        return file_close(out, err);
    file_discard(out);
    return false;
}

bool file_remove(const char *path, struct error *err)
{
    int fault = file_fault(FILE_OP_REMOVE, path, NULL);
    if (fault == 0 && unlink(path) != 0 && errno != ENOENT)
        fault = errno;
    return fault == 0 || error_set_errno(err, fault, "could not remove \"%s\"", path);
}

bool file_exists(const char *path)
{
    return access(path, F_OK) == 0;
}

bool file_lock(struct file **out, const char *path, struct error *err)
{
    if (!file_open(out, path, O_RDWR | O_CREAT, "open", err))
        return false;
    int rc;
    do
        rc = flock((*out)->fd, LOCK_EX | LOCK_NB);
    while (rc != 0 && errno == EINTR);
    if (rc == 0)
        return true;
    int fault = errno;
    file_discard(*out);
    *out = NULL;
    if (fault == EWOULDBLOCK)
        return error_set(err, ERROR_BUSY, "\"%s\" is locked by another process", path);
    return error_set_errno(err, fault, "could not lock \"%s\"", path);
}
