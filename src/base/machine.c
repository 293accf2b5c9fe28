/* SPDX-License-Identifier: Apache-2.0 */
/* machine.c: see cgroups(7). A limit of a parent holds for its children, so all folders up to the root are read; in a
 * container the path that /proc names may not be there, and the root is the container's own. */
#include "base/machine.h"

#include "base/buffer.h"
#include "base/file.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

enum { PATH_BYTES = 4096, TEXT_BYTES_MAX = 64 * 1024 };

/* "max" and what is no number are no limit, like version 1's "so much that it is none". */
static uint64_t limit_read(const char *path)
{
    struct buffer text;
    uint64_t limit = 0;
    buffer_init(&text, MEM_OTHER, TEXT_BYTES_MAX);
    if (file_read_all(path, &text, NULL)) {
        buffer_append_byte(&text, '\0');
        limit = text.failed ? 0 : strtoull(text.ptr, NULL, 10);
    }
    buffer_deinit(&text);
    return limit ? limit : UINT64_MAX;
}

/* The lowest limit of a group and those around it. */
static uint64_t group_limit(const char *root, struct view group, const char *file)
{
    uint64_t lowest = UINT64_MAX;
    for (;;) {
        char path[PATH_BYTES];
        int n = snprintf(path, sizeof path, "%s%.*s/%s", root, VIEW_ARGS(group), file);
        uint64_t limit = n > 0 && (size_t)n < sizeof path ? limit_read(path) : UINT64_MAX;
        if (limit < lowest)
            lowest = limit;
        if (group.len == 0)
            return lowest;
        while (group.len > 0 && group.ptr[group.len - 1] != '/')
            group.len--;
        if (group.len > 0)
            group.len--;
    }
}

/* A line of /proc/self/cgroup: NUMBER:CONTROLLERS:PATH. */
static uint64_t line_limit(const char *cgroup, struct view line)
{
    const char *first = memchr(line.ptr, ':', line.len);
    const char *second =
        first ? memchr(first + 1, ':', line.len - (size_t)(first + 1 - line.ptr)) : NULL;
    if (!second)
        return UINT64_MAX;
    struct view controllers = {first + 1, (size_t)(second - first - 1)};
    struct view group = {second + 1, line.len - (size_t)(second + 1 - line.ptr)};
    char root[PATH_BYTES];
    if (view_is(group, "/"))
        group.len = 0;
    if (controllers.len == 0)
        return group_limit(cgroup, group, "memory.max");
    if (!memmem(controllers.ptr, controllers.len, "memory", 6))
        return UINT64_MAX;
    (void)snprintf(root, sizeof root, "%s/memory", cgroup);
    return group_limit(root, group, "memory.limit_in_bytes");
}

uint64_t machine_memory_bytes_in(const char *proc, const char *cgroup, uint64_t physical)
{
    char path[PATH_BYTES];
    struct buffer text;
    uint64_t lowest = physical;
    buffer_init(&text, MEM_OTHER, TEXT_BYTES_MAX);
    (void)snprintf(path, sizeof path, "%s/self/cgroup", proc);
    bool known = file_read_all(path, &text, NULL);
    for (size_t pos = 0; known && pos < text.len;) {
        const char *end = memchr(text.ptr + pos, '\n', text.len - pos);
        size_t to = end ? (size_t)(end - text.ptr) : text.len;
        uint64_t limit = line_limit(cgroup, view_slice(buffer_view(&text), pos, to));
        if (limit < lowest)
            lowest = limit;
        pos = to + 1;
    }
    buffer_deinit(&text);
    lowest = lowest >> 20 << 20;
    return lowest ? lowest : 1 << 20;
}

uint64_t machine_memory_bytes(void)
{
    long pages = sysconf(_SC_PHYS_PAGES), page_bytes = sysconf(_SC_PAGESIZE);
    uint64_t physical =
        pages > 0 && page_bytes > 0 ? (uint64_t)pages * (uint64_t)page_bytes : UINT64_C(1) << 32;
    return machine_memory_bytes_in("/proc", "/sys/fs/cgroup", physical);
}
