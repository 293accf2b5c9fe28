/* SPDX-License-Identifier: Apache-2.0 */
/* scrape_body.c: see scrape_body.h. */
#include "ingest/scrape_body.h"

#include "base/assert.h"

#include <inttypes.h>
#include <string.h>

enum {
    UNPACK_STEP_BYTES = 64 * 1024,
    GZIP_WINDOW_BITS = 15 + 16 /* zlib's word for: gzip, and nothing else */
};

void scrape_body_begin(struct scrape_body *b, struct buffer *out, bool gzip, uint64_t bytes_max)
{
    ASSERT(bytes_max > 0);
    b->out = out;
    b->bytes_max = bytes_max;
    b->packed_bytes = 0;
    b->gzip = gzip;
    b->in_member = false;
}

void scrape_body_deinit(struct scrape_body *b)
{
    if (b->zlib_ready)
        (void)inflateEnd(&b->zlib); /* only says whether it was at an end */
    *b = (struct scrape_body){0};
}

static bool too_large(const struct scrape_body *b, struct error *err)
{
    return error_set(err, ERROR_TOO_LARGE, "body size limit exceeded: more than %" PRIu64 " bytes",
                     b->bytes_max);
}

static bool add_plain(struct scrape_body *b, struct view bytes, struct error *err)
{
    if (b->out->len + bytes.len > b->bytes_max)
        return too_large(b, err);
    buffer_append_view(b->out, bytes);
    if (b->out->failed)
        return error_set(err, ERROR_TOO_LARGE, "no memory for a body of %zu bytes", b->out->len);
    return true;
}

static bool member_begin(struct scrape_body *b, struct error *err)
{
    int code = b->zlib_ready ? inflateReset(&b->zlib) : inflateInit2(&b->zlib, GZIP_WINDOW_BITS);
    if (code != Z_OK)
        return error_set(err, ERROR_TOO_LARGE, "no memory to unpack gzip");
    b->zlib_ready = true;
    b->in_member = true;
    return true;
}

static bool check_size(const struct scrape_body *b, uint64_t packed_left, struct error *err)
{
    uint64_t unpacked = b->out->len, packed = b->packed_bytes - packed_left;
    if (unpacked > b->bytes_max)
        return too_large(b, err);
    if (unpacked > SCRAPE_BODY_RATIO_FREE_BYTES && unpacked / SCRAPE_BODY_RATIO_MAX > packed)
        return error_set(err, ERROR_TOO_LARGE,
                         "gzip body of %" PRIu64 " bytes unpacks to more than %d times its size",
                         packed, SCRAPE_BODY_RATIO_MAX);
    return true;
}

/* Members may follow each other (RFC 1952, 2.2); what is no member is an error. */
static bool add_gzip(struct scrape_body *b, struct view bytes, struct error *err)
{
    z_stream *z = &b->zlib;
    b->packed_bytes += bytes.len;
    if (!b->in_member && !member_begin(b, err))
        return false;
    z->next_in = (Bytef *)(uintptr_t)bytes.ptr; /* zlib does not write to its input */
    z->avail_in = (uInt)bytes.len;
    for (;;) {
        char *out = buffer_reserve(b->out, UNPACK_STEP_BYTES);
        if (!out)
            return error_set(err, ERROR_TOO_LARGE, "no memory for a body of %zu bytes",
                             b->out->len);
        z->next_out = (Bytef *)out;
        z->avail_out = UNPACK_STEP_BYTES;
        int code = inflate(z, Z_NO_FLUSH);
        buffer_advance(b->out, UNPACK_STEP_BYTES - z->avail_out);
        if (code != Z_OK && code != Z_STREAM_END && code != Z_BUF_ERROR)
            return error_set(err, ERROR_CORRUPT, "bad gzip after %" PRIu64 " bytes: %s",
                             b->packed_bytes - z->avail_in, z->msg ? z->msg : "not gzip");
        if (!check_size(b, z->avail_in, err))
            return false;
        if (code == Z_STREAM_END) {
            b->in_member = false;
            if (z->avail_in == 0)
                return true;
            Bytef *in = z->next_in;
            uInt left = z->avail_in;
            if (!member_begin(b, err))
                return false;
            z->next_in = in;
            z->avail_in = left;
        } else if (z->avail_in == 0 && z->avail_out > 0) {
            return true;
        }
    }
}

bool scrape_body_add(struct scrape_body *b, struct view bytes, struct error *err)
{
    if (bytes.len == 0)
        return true;
    return b->gzip ? add_gzip(b, bytes, err) : add_plain(b, bytes, err);
}

bool scrape_body_end(struct scrape_body *b, struct error *err)
{
    if (b->gzip && (b->in_member || b->packed_bytes == 0))
        return error_set(err, ERROR_CORRUPT, "gzip body is cut short after %" PRIu64 " bytes",
                         b->packed_bytes);
    return true;
}
