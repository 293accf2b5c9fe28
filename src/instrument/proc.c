/* SPDX-License-Identifier: Apache-2.0 */
/* proc.c: files of the kernel, and the few forms of text in them. */
#include "instrument/proc.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static int open_below(const char *root, const char *path)
{
    char full[PROC_PATH_BYTES];
    int len = snprintf(full, sizeof(full), "%s%s", root, path);
    if (len < 0 || (size_t)len >= sizeof(full))
        return -1;
    /* A fixture may hold a pipe or a device: never wait. */
    return open(full, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
}

/* 0 at the end and on every error. */
static size_t read_some(int fd, char *out, size_t len)
{
    ssize_t n;
    do
        n = read(fd, out, len);
    while (n < 0 && errno == EINTR);
    return n > 0 ? (size_t)n : 0;
}

bool belfry__proc_read(struct text *out, const char *root, const char *path)
{
    out->len = 0;
    int fd = open_below(root, path);
    if (fd < 0)
        return false;
    char piece[8192]; /* sizes of files in /proc are not known before */
    size_t n;
    while (out->len <= PROC_FILE_BYTES_MAX && (n = read_some(fd, piece, sizeof(piece))) > 0)
        belfry__text_append(out, piece, n);
    (void)close(fd); /* it was only read */
    return !out->failed && out->len > 0 && out->len <= PROC_FILE_BYTES_MAX;
}

bool belfry__proc_read_line(char out[PROC_NAME_BYTES], const char *root, const char *path)
{
    int fd = open_below(root, path);
    if (fd < 0)
        return false;
    ssize_t n;
    do
        n = read(fd, out, PROC_NAME_BYTES - 1);
    while (n < 0 && errno == EINTR);
    (void)close(fd); /* it was only read */
    if (n < 0)       /* some properties answer "not now" (carrier of a device that is down) */
        return false;
    out[n] = '\0';
    out[strcspn(out, "\n")] = '\0';
    return true;
}

bool belfry__span_line(struct span *rest, struct span *line)
{
    if (rest->len == 0)
        return false;
    const char *end = memchr(rest->ptr, '\n', rest->len);
    size_t len = end ? (size_t)(end - rest->ptr) : rest->len, skip = end ? len + 1 : len;
    *line = (struct span){rest->ptr, len};
    *rest = (struct span){rest->ptr + skip, rest->len - skip};
    return true;
}

bool belfry__span_word(struct span *rest, struct span *word)
{
    size_t start = 0;
    while (start < rest->len && (rest->ptr[start] == ' ' || rest->ptr[start] == '\t'))
        start++;
    size_t end = start;
    while (end < rest->len && rest->ptr[end] != ' ' && rest->ptr[end] != '\t')
        end++;
    *word = (struct span){rest->ptr + start, end - start};
    *rest = (struct span){rest->ptr + end, rest->len - end};
    return end > start;
}

bool belfry__span_is(struct span s, const char *string)
{
    return s.len == strlen(string) && memcmp(s.ptr, string, s.len) == 0;
}

bool belfry__span_has_prefix(struct span s, const char *prefix)
{
    size_t len = strlen(prefix);
    return s.len >= len && memcmp(s.ptr, prefix, len) == 0;
}

bool belfry__span_copy(struct span s, char *out, size_t out_bytes)
{
    if (s.len == 0 || s.len >= out_bytes || memchr(s.ptr, '\0', s.len))
        return false;
    memcpy(out, s.ptr, s.len);
    out[s.len] = '\0';
    return true;
}

bool belfry__span_unsigned(struct span s, uint64_t *out)
{
    uint64_t v = 0;
    for (size_t i = 0; i < s.len; i++) {
        if (s.ptr[i] < '0' || s.ptr[i] > '9' || __builtin_mul_overflow(v, 10, &v) ||
            __builtin_add_overflow(v, (uint64_t)(s.ptr[i] - '0'), &v))
            return false;
    }
    *out = v;
    return s.len > 0;
}

bool belfry__span_decimal(struct span s, double *out)
{
    bool negative = s.len > 0 && s.ptr[0] == '-';
    uint64_t digits = 0;
    double power = 1;
    bool point = false, any = false;
    for (size_t i = negative; i < s.len; i++) {
        char c = s.ptr[i];
        if (c == '.' && !point) {
            point = true;
            continue;
        }
        if (c < '0' || c > '9' || digits > UINT64_C(900000000000000)) /* stays exact below 2^53 */
            return false;
        digits = digits * 10 + (uint64_t)(c - '0');
        any = true;
        if (point)
            power *= 10;
    }
    *out = (negative ? -1.0 : 1.0) * (double)digits / power;
    return any;
}
