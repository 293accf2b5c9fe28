/* SPDX-License-Identifier: Apache-2.0 */
/* block_out.c: see block_out.h. */
#include "storage/block_out.h"

enum { WRITE_BYTES = 256 * 1024 };         /* chosen, not measured */
#define BUFFER_BYTES_MAX ((size_t)1 << 31) /* one column of CODEC_COUNT_MAX numbers and more */

void block_out_init(struct block_out *o, struct file *file)
{
    *o = (struct block_out){.file = file};
    buffer_init(&o->buffer, MEM_BLOCK, BUFFER_BYTES_MAX);
}

void block_out_deinit(struct block_out *o)
{
    buffer_deinit(&o->buffer);
}

static void flush(struct block_out *o)
{
    struct view bytes = buffer_view(&o->buffer);
    if (o->buffer.failed && !o->failed) {
        o->failed = true;
        error_set(&o->error, ERROR_LIMIT, "could not write \"%s\": more than %zu bytes at once",
                  file_path(o->file), BUFFER_BYTES_MAX);
    }
    if (!o->failed && !file_write_all(o->file, bytes, &o->error))
        o->failed = true;
    o->crc = crc32c(o->crc, bytes.ptr, bytes.len);
    o->flushed_bytes += bytes.len;
    buffer_reset(&o->buffer);
}

void block_out_settle(struct block_out *o)
{
    if (o->buffer.len >= WRITE_BYTES || o->buffer.failed)
        flush(o);
}

bool block_out_flush(struct block_out *o, struct error *err)
{
    flush(o);
    if (o->failed && err)
        *err = o->error;
    return !o->failed;
}
