/* SPDX-License-Identifier: Apache-2.0 */
/* extent_fuzz.c: a file of head/extents as a stranger wrote it. The first byte says what the rest is: 0 the file
 * itself; 1 a head (u16 length), which gets its frame and CRC, and what stands behind it; 2 a column (u8 rows), which
 * stands behind a CRC in a file; 3 a column of times. What is found can be read, or is said to be damaged. */
#include "base/file.h"
#include "storage/extent_column.h"
#include "storage/extent_store.h"
#include "storage/wal_record.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static const char *folder(void)
{
    static char dir[64];
    if (!dir[0]) {
        snprintf(dir, sizeof dir, "/tmp/belfry-extent-fuzz-XXXXXX");
        if (!mkdtemp(dir))
            abort();
    }
    return dir;
}

static struct slot_map *no_map(void *arg, uint32_t group)
{
    (void)arg, (void)group;
    return NULL;
}

static void read_all(void *arg, uint32_t group, struct extent *x, bool is_new_map)
{
    struct error err;
    int64_t times[EXTENT_ROWS_MAX];
    (void)arg, (void)group, (void)is_new_map;
    extent_times(x, times);
    for (uint32_t i = 1; i < x->row_count; i++) {
        if (times[i] <= times[i - 1])
            abort();
    }
    if (!extent_verify(x, &err) && err.kind != ERROR_CORRUPT)
        abort();
    extent_unref(x);
}

static void file_of(struct view bytes)
{
    char path[256], quarantine[256];
    struct file *f;
    struct error err;
    snprintf(path, sizeof path, "%s/extents", folder());
    snprintf(quarantine, sizeof quarantine, "%s/quarantine", folder());
    if (!dir_remove(path, &err) || !dir_create(path, &err) || !dir_remove(quarantine, &err))
        abort();
    snprintf(path, sizeof path, "%s/extents/1", folder());
    if (!file_create(&f, path, &err) || !file_write_all(f, bytes, &err) || !file_close(f, &err))
        abort();
    struct extent_store_options opts = {.dir = folder(), .quarantine_dir = quarantine};
    struct extent_visitor visitor = {no_map, read_all, NULL};
    struct extent_store *s = extent_store_new(&opts);
    if (!extent_store_load(s, &visitor, &err) && err.kind != ERROR_CORRUPT)
        abort();
    extent_store_free(s);
}

static void head_of(struct view in)
{
    struct buffer b;
    uint64_t sequence = 1;
    if (in.len < 2)
        return;
    size_t len = (uint8_t)in.ptr[0] | (size_t)(uint8_t)in.ptr[1] << 8;
    buffer_init(&b, MEM_OTHER, 1 << 24);
    size_t begin = wal_record_begin(&b, WAL_RECORD_EXTENT);
    struct view head = view_slice(in, 2, 2 + len);
    buffer_append_view(&b, head);
    wal_record_end(&b, begin);
    wal_record_seal_all(b.ptr, b.len, &sequence);
    buffer_append_view(&b, view_slice(in, 2 + head.len, in.len));
    file_of(buffer_view(&b));
    buffer_deinit(&b);
}

static void column_of(struct view in, bool times)
{
    double values[EXTENT_ROWS_MAX];
    int64_t out[EXTENT_ROWS_MAX];
    uint64_t present;
    if (in.len < 1)
        return;
    uint32_t rows = 1 + (uint8_t)in.ptr[0] % EXTENT_ROWS_MAX;
    size_t len = in.len - 1;
    char *bytes = calloc(1, len + 8); /* with slack, and not more */
    if (len > 0)
        memcpy(bytes, in.ptr + 1, len);
    struct view column = {bytes, len};
    bool ok = times ? extent_times_decode(column, rows, out)
                    : extent_column_decode(column, rows, values, &present);
    (void)ok;
    free(bytes);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct view rest = {(const char *)data + 1, size - 1};
    if (size == 0)
        return 0;
    switch (data[0] % 4) {
    case 0:
        file_of(rest);
        break;
    case 1:
        head_of(rest);
        break;
    default:
        column_of(rest, data[0] % 4 == 3);
    }
    return 0;
}
