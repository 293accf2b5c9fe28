/* SPDX-License-Identifier: Apache-2.0 */
/* valkey_reply.h: answers of a Valkey server, read by hiredis out of the bytes as they come. Only what our commands are answered with:
 * no arrays, so that no answer names a size which is allocated before the bytes are there. One thread. */
#ifndef IMGFORGE_VALKEY_REPLY_H
#define IMGFORGE_VALKEY_REPLY_H

#include "base/error.h"
#include "base/view.h"

#include <hiredis/hiredis.h>
#include <stdint.h>

enum { VALKEY_ERROR_BYTES_MAX = 256 };

struct valkey_reply {
    int type;         /* REDIS_REPLY_STRING, _STATUS, _ERROR, _INTEGER, _NIL; 0: none yet */
    struct view text; /* of STRING; borrowed until valkey_reply_release() or _next() */
    char message[VALKEY_ERROR_BYTES_MAX]; /* of STATUS and ERROR; cut */

    redisReader *reader; /* ours */
    size_t bytes, bytes_max;
    bool is_large; /* the reader has more memory than is worth keeping */
    void *owned;   /* behind text */
};

/* False: no memory. bytes_max: of one answer. */
MUST_USE bool valkey_reply_init(struct valkey_reply *r, size_t bytes_max);
void valkey_reply_deinit(struct valkey_reply *r);
/* Takes bytes from the server. ERROR_CORRUPT: it is not this protocol; ERROR_TOO_LARGE. Then it is of no use any more. */
MUST_USE bool valkey_reply_feed(struct valkey_reply *r, struct view bytes, struct error *err);
/* The answer is no longer needed: gives back what it took, for a connection that waits for its next command. */
void valkey_reply_release(struct valkey_reply *r);
/* The next answer into type and text or message; type 0: more bytes are needed. ERROR_CORRUPT. */
MUST_USE bool valkey_reply_next(struct valkey_reply *r, struct error *err);

#endif
