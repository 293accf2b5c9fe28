/* SPDX-License-Identifier: Apache-2.0 */
#include "storage/numbered_files.h"

#include "base/file.h"
#include "base/mem.h"

#include <stdlib.h>

static bool on_name(void *arg, const char *name, bool is_dir)
{
    struct numbered_files *n = arg;
    char *end;
    uint64_t number = strtoull(name, &end, 10);
    if (!is_dir && *name >= '0' && *name <= '9' && *end == 0 && number < UINT64_MAX / 2) {
        n->items = mem_grow(MEM_WAL, n->items, &n->capacity, n->count + 1, sizeof *n->items);
        n->items[n->count++] = number;
    }
    return true;
}

static int compare(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return (x > y) - (x < y);
}

bool numbered_files_list(struct numbered_files *out, const char *dir, struct error *err)
{
    *out = (struct numbered_files){0};
    bool ok = dir_list(dir, on_name, out, err);
    if (out->count > 1)
        qsort(out->items, out->count, sizeof *out->items, compare);
    return ok;
}

void numbered_files_deinit(struct numbered_files *n)
{
    mem_free(MEM_WAL, n->items);
}
