/* SPDX-License-Identifier: Apache-2.0 */
/* encode.h: which compression a client wants, and a stream through it. A stream holds the same memory however long it
 * is: deflate with a window of 32 KiB, zstd with one of 128 KiB (half a megabyte with its tables). */
#ifndef BELFRY_INSTRUMENT_HTTP_ENCODE_H
#define BELFRY_INSTRUMENT_HTTP_ENCODE_H

#include "base/attributes.h"

#include <stdbool.h>
#include <stddef.h>

enum http_encoding { HTTP_IDENTITY, HTTP_GZIP, HTTP_ZSTD };

/* The best of what Accept-Encoding allows, by its q-values; of equals zstd, then gzip. NULL and what is not understood
 * is identity, which is also sent to those who refuse everything. */
enum http_encoding belfry__encoding_choose(const char *accept_encoding);
/* "gzip"; NULL for identity. Static. */
const char *belfry__encoding_name(enum http_encoding encoding);

/* Takes bytes; false: nobody wants more. */
typedef bool (*encode_sink)(void *arg, const char *bytes, size_t len);

struct encoder; /* opaque */

/* NULL without memory. */
struct encoder *belfry__encoder_new(enum http_encoding encoding, encode_sink sink, void *arg);
/* False when the sink said no or the compressor failed; then nothing more may be written. */
MUST_USE bool belfry__encoder_write(struct encoder *e, const char *bytes, size_t len);
/* The last bytes. */
MUST_USE bool belfry__encoder_finish(struct encoder *e);
void belfry__encoder_free(struct encoder *e); /* NULL is fine */

#endif
