/* SPDX-License-Identifier: Apache-2.0 */
/* head_floor.c: the file head/floor, little endian:
 *
 *   0          8           16          24                     50        54
 *   +----------+-----------+-----------+----------------------+---------+
 *   | BLFFLR01 | floor i64 | next i64  | block, 26 letters    | CRC32C  |   of all before it
 *   +----------+-----------+-----------+----------------------+---------+
 *   block: the ULID of a block that is being cut, or 26 zero bytes; then `next` is 0
 *
 * 1. Written before a cut gives its block its name (floor as it was, next: the end of the block), and once
 *    more when the head has forgotten what the block holds. Replaced by rename: it is old or new.
 * 2. A crash between leaves {floor, next, block}: the block is there and the floor is `next`, or it is not
 *    and the floor is as it was. So each sample is in the block or in the head, and not cut twice.
 * 3. A lost or damaged file costs no sample: the head then answers for all that it has, and where blocks
 *    hold the same, readers take one of the two (db_view.c). */
#include "storage/head_floor.h"

#include "base/buffer.h"
#include "base/checksum.h"
#include "base/file.h"
#include "base/reader.h"
#include "storage/block_private.h"

#include <string.h>

#define FLOOR_MAGIC "BLFFLR01"
enum { MAGIC_BYTES = 8, NAME_BYTES = ULID_BYTES - 1, FLOOR_BYTES = 54, FLOOR_BYTES_MAX = 4096 };

static bool floor_path(char out[BLOCK_PATH_BYTES_MAX], const char *dir, struct error *err)
{
    return block_path(out, dir, "head/floor", err);
}

bool head_floor_parse(struct view bytes, struct head_floor *out, struct error *err)
{
    static const char none[NAME_BYTES];
    struct reader r = reader_from(bytes);
    *out = (struct head_floor){.floor_ms = INT64_MIN};
    if (bytes.len != FLOOR_BYTES)
        return error_set(err, ERROR_CORRUPT, "it has %zu bytes, not %d", bytes.len, FLOOR_BYTES);
    struct view magic = reader_bytes(&r, MAGIC_BYTES);
    if (memcmp(magic.ptr, FLOOR_MAGIC, MAGIC_BYTES) != 0)
        return error_set(err, ERROR_CORRUPT, "it begins with no version that is known here");
    struct head_floor read = {.floor_ms = (int64_t)reader_u64(&r),
                              .next_ms = (int64_t)reader_u64(&r)};
    struct view name = reader_bytes(&r, NAME_BYTES);
    if (reader_u32(&r) != crc32c(0, bytes.ptr, FLOOR_BYTES - BLOCK_CRC_BYTES))
        return error_set(err, ERROR_CORRUPT, "its checksum does not fit");
    if (memcmp(name.ptr, none, sizeof none) != 0) {
        memcpy(read.block, name.ptr, NAME_BYTES);
        if (!ulid_is_valid(read.block) || read.next_ms < read.floor_ms)
            return error_set(err, ERROR_CORRUPT, "it names no valid block");
    }
    *out = read;
    return true;
}

bool head_floor_read(struct head_floor *out, const char *dir, struct error *err)
{
    char path[BLOCK_PATH_BYTES_MAX];
    struct buffer b;
    struct error problem;
    *out = (struct head_floor){.floor_ms = INT64_MIN};
    if (!floor_path(path, dir, err))
        return false;
    buffer_init(&b, MEM_BLOCK, FLOOR_BYTES_MAX);
    bool ok = file_read_all(path, &b, &problem);
    if (ok)
        ok = head_floor_parse(buffer_view(&b), out, &problem) ||
             error_wrap(&problem, "\"%s\"", path);
    else
        ok = problem.kind == ERROR_NOT_FOUND;
    buffer_deinit(&b);
    if (!ok && err)
        *err = problem;
    return ok;
}

bool head_floor_write(const struct head_floor *floor, const char *dir, struct error *err)
{
    char path[BLOCK_PATH_BYTES_MAX], name[ULID_BYTES] = "";
    struct buffer b;
    if (!floor_path(path, dir, err))
        return false;
    if (floor->block[0])
        memcpy(name, floor->block, NAME_BYTES);
    buffer_init(&b, MEM_BLOCK, FLOOR_BYTES_MAX);
    buffer_append_literal(&b, FLOOR_MAGIC);
    buffer_append_u64(&b, (uint64_t)floor->floor_ms);
    buffer_append_u64(&b, (uint64_t)floor->next_ms);
    buffer_append(&b, name, NAME_BYTES);
    buffer_append_u32(&b, crc32c(0, b.ptr, b.len));
    bool ok = file_replace(path, buffer_view(&b), err);
    buffer_deinit(&b);
    return ok;
}
