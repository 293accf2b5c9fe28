/* SPDX-License-Identifier: Apache-2.0 */
/* multipart_fuzz.c: any bytes as a form; fed whole and in small pieces they mean the same. */
#include "base/assert.h"
#include "net/multipart.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct tally {
    size_t parts, ends, bytes;
    uint64_t hash; /* of content, byte by byte */
};

static bool on_begin(void *arg, const struct multipart_part *part, struct error *err)
{
    struct tally *t = arg;
    (void)err;
    ASSERT(part->name.len > 0 && t->parts == t->ends);
    t->parts++;
    return true;
}

static bool on_data(void *arg, struct view piece, struct error *err)
{
    struct tally *t = arg;
    (void)err;
    ASSERT(piece.len > 0 && t->parts == t->ends + 1);
    t->bytes += piece.len;
    for (size_t i = 0; i < piece.len; i++)
        t->hash = t->hash * 1099511628211u + (unsigned char)piece.ptr[i];
    return true;
}

static bool on_end(void *arg, struct error *err)
{
    struct tally *t = arg;
    (void)err;
    t->ends++;
    return true;
}

static bool parse(struct tally *out, struct view body, size_t step)
{
    struct multipart *m;
    struct error err = {0};
    const struct multipart_events events = {on_begin, on_data, on_end, out};
    bool ok = multipart_new(&m, VIEW("multipart/form-data; boundary=X"), &events, &err);
    ASSERT(ok);
    while (ok && body.len) {
        ok = multipart_feed(m, view_slice(body, 0, step), &err);
        body = view_slice(body, step, body.len);
    }
    ok = ok && multipart_finish(m, &err);
    ASSERT(ok || err.message[0] != '\0');
    multipart_free(m);
    return ok;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct tally whole = {0}, cut = {0};
    struct view body = {(const char *)data, size};
    size_t step = size ? 1 + data[0] % 13 : 1;
    bool ok = parse(&whole, body, size + 1);
    ASSERT(parse(&cut, body, step) == ok);
    ASSERT(!ok || (whole.parts == cut.parts && whole.ends == cut.ends && whole.bytes == cut.bytes &&
                   whole.hash == cut.hash && whole.parts == whole.ends));
    return 0;
}
