/* SPDX-License-Identifier: Apache-2.0 */
/* encode_sink.c: see encode_private.h. */
#include "encode_private.h"

#include <string.h>

static gint64 fail(struct sink *s, gint64 count)
{
    s->is_over = true;
    return s->fails_quietly ? count : -1;
}

static gint64 write_bytes(VipsTargetCustom *target, const void *bytes, gint64 count, struct sink *s)
{
    size_t len = (size_t)count, over = s->out->len - s->pos;
    if (s->is_over || len > s->bytes_max || s->pos > s->bytes_max - len)
        return fail(s, count);
    if (over > len)
        over = len;
    if (over)
        memcpy(s->out->ptr + s->pos, bytes, over);
    buffer_append(s->out, (const char *)bytes + over, len - over);
    if (s->out->failed)
        return fail(s, count);
    s->pos += len;
    return count;
}

static gint64 read_bytes(VipsTargetCustom *target, void *bytes, gint64 count, struct sink *s)
{
    struct view rest = view_slice(buffer_view(s->out), s->pos, s->pos + (size_t)count);
    if (rest.len)
        memcpy(bytes, rest.ptr, rest.len);
    s->pos += rest.len;
    return (gint64)rest.len;
}

/* Behind the end there are zeros, once something is written there: no encoder leaves holes, but libtiff goes to the next even place. */
static gint64 seek(VipsTargetCustom *target, gint64 offset, int whence, struct sink *s)
{
    gint64 from = whence == SEEK_SET   ? 0
                  : whence == SEEK_CUR ? (gint64)s->pos
                                       : (gint64)s->out->len;
    gint64 to = from + offset;
    if (to < 0 || (size_t)to > s->bytes_max)
        return -1;
    while (s->out->len < (size_t)to && !s->out->failed)
        buffer_append_byte(s->out, '\0');
    if (s->out->failed)
        return -1;
    s->pos = (size_t)to;
    return to;
}

VipsTarget *sink_target(struct sink *s)
{
    VipsTargetCustom *target = vips_target_custom_new();
    g_signal_connect(target, "write", G_CALLBACK(write_bytes), s);
    g_signal_connect(target, "read", G_CALLBACK(read_bytes), s);
    g_signal_connect(target, "seek", G_CALLBACK(seek), s);
    return VIPS_TARGET(target);
}
