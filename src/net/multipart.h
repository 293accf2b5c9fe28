/* SPDX-License-Identifier: Apache-2.0 */
/* multipart.h: multipart/form-data (RFC 7578) as it comes, piece by piece, in bounded memory: what a form with files
 * sends. The parser keeps a part's header and less than a delimiter of its content; where content goes is the
 * caller's. One thread at a time. */
#ifndef BELFRY_NET_MULTIPART_H
#define BELFRY_NET_MULTIPART_H

#include "base/attributes.h"
#include "base/error.h"
#include "base/view.h"

#include <stdbool.h>

enum { MULTIPART_PARTS_MAX = 1000, MULTIPART_HEADER_BYTES_MAX = 8 * 1024 };

struct multipart;

/* Borrowed during begin(). */
struct multipart_part {
    struct view name;     /* UTF-8, not empty */
    struct view filename; /* as it was sent: any bytes; a path is the caller's to refuse */
    bool has_filename;
    struct view content_type; /* empty = none was said */
};

/* Each returns false, with err set, to end the parsing. */
struct multipart_events {
    bool (*begin)(void *arg, const struct multipart_part *part, struct error *err);
    bool (*data)(void *arg, struct view piece, struct error *err);
    bool (*end)(void *arg, struct error *err);
    void *arg;
};

/* Of a request's Content-Type. ERROR_INPUT when it is no multipart/form-data with a boundary. */
MUST_USE bool multipart_new(struct multipart **out, struct view content_type,
                            const struct multipart_events *events, struct error *err);
void multipart_free(struct multipart *m); /* NULL is fine */
/* After false nothing more may be fed. ERROR_INPUT, or what an event said. */
MUST_USE bool multipart_feed(struct multipart *m, struct view piece, struct error *err);
/* The body has ended: was that its end? */
MUST_USE bool multipart_finish(const struct multipart *m, struct error *err);

#endif
