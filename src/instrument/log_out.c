/* SPDX-License-Identifier: Apache-2.0 */
/* log_out.c: see log_out.h. */
#include "instrument/log_out.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

enum {
    WAIT_MS = 100,
    PIPE_WRITE_BYTES = 4096 /* PIPE_BUF: a pipe that poll() called writable takes it */
};

static int open_path(const char *path)
{
    return open(path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC | O_NOCTTY, 0640);
}

static void look_at(struct log_out *o)
{
    struct stat st;
    bool known = fstat(o->fd, &st) == 0;
    o->is_file = known && S_ISREG(st.st_mode);
    o->device = known ? st.st_dev : 0;
    o->inode = known ? st.st_ino : 0;
}

bool belfry__log_out_open(struct log_out *o, int fd, const char *path)
{
    *o = (struct log_out){.fd = fd};
    if (path) {
        o->path = strdup(path);
        o->fd = o->path ? open_path(path) : -1;
        if (o->fd < 0) {
            int code = errno;
            free(o->path);
            o->path = NULL;
            errno = code;
            return false;
        }
    }
    look_at(o);
    return true;
}

void belfry__log_out_close(struct log_out *o)
{
    if (o->path)
        (void)close(o->fd); /* every write said whether it worked */
    free(o->path);
    o->path = NULL;
}

bool belfry__log_out_was_moved(struct log_out *o)
{
    struct timespec now;
    struct stat st;
    if (!o->path || !o->is_file)
        return false;
    clock_gettime(CLOCK_MONOTONIC, &now);
    if (now.tv_sec == o->checked_s)
        return false;
    o->checked_s = now.tv_sec;
    return stat(o->path, &st) != 0 || st.st_dev != o->device || st.st_ino != o->inode;
}

bool belfry__log_out_reopen(struct log_out *o)
{
    if (!o->path)
        return true;
    int fd = open_path(o->path);
    if (fd < 0)
        return false;
    (void)close(o->fd);
    o->fd = fd;
    o->is_torn = false;
    look_at(o);
    return true;
}

/* Bytes written, 0 when nothing could be and waiting makes sense, -1 when writing failed. */
static ssize_t write_some(const struct log_out *o, const char *bytes, size_t len,
                          const _Atomic bool *gave_up)
{
    if (!o->is_file) {
        struct pollfd ready = {o->fd, POLLOUT, 0};
        int n = poll(&ready, 1, WAIT_MS);
        if (atomic_load_explicit(gave_up,
                                 memory_order_acquire)) /* also for one that reads slowly */
            return -1;
        if (n == 0 || (n < 0 && errno == EINTR))
            return 0;
        len = len < PIPE_WRITE_BYTES ? len : PIPE_WRITE_BYTES;
    }
    ssize_t done = write(o->fd, bytes, len);
    if (done < 0 && (errno == EINTR || errno == EAGAIN || errno == EWOULDBLOCK))
        return 0;
    return done > 0 ? done : -1;
}

static uint64_t count_lines(const char *bytes, size_t len)
{
    uint64_t lines = 0;
    const char *end = bytes + len;
    while (bytes < end && (bytes = memchr(bytes, '\n', (size_t)(end - bytes))) != NULL) {
        lines++;
        bytes++;
    }
    return lines;
}

uint64_t belfry__log_out_write(struct log_out *o, const char *bytes, size_t len,
                               const _Atomic bool *gave_up)
{
    const char *from = bytes, *end = bytes + len;
    while (o->is_torn) { /* so that the next line is whole */
        ssize_t done = write_some(o, "\n", 1, gave_up);
        if (done < 0)
            return count_lines(from, len);
        o->is_torn = done == 0;
    }
    while (from < end) {
        ssize_t done = write_some(o, from, (size_t)(end - from), gave_up);
        if (done < 0)
            break;
        from += done;
    }
    if (from < end && from > bytes)
        o->is_torn = from[-1] != '\n';
    return count_lines(from, (size_t)(end - from));
}
