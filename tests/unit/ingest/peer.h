/* SPDX-License-Identifier: Apache-2.0 */
/* peer.h: a small HTTP/1.1 server in this process that behaves as badly as a test asks. One thread per
 * connection, plain sockets, loopback. */
#ifndef BELFRY_TESTS_PEER_H
#define BELFRY_TESTS_PEER_H

#include "base/buffer.h"
#include "base/view.h"

#include <stdbool.h>
#include <stddef.h>

struct peer;

enum peer_manner {
    PEER_ANSWER,       /* `headers` and `body`, with its length; the connection is kept */
    PEER_RAW,          /* the bytes of `body` as they are, then it closes */
    PEER_HANG,         /* nothing, until the client leaves */
    PEER_DRIP,         /* a header, then a byte every 10 ms */
    PEER_ENDLESS,      /* chunks of `body` without end */
    PEER_ENDLESS_LINE, /* headers that never end */
    PEER_CLOSE         /* closes at once */
};

struct peer *peer_start(void);
/* With TLS and a certificate made for `name` ("127.0.0.1" or a host name), signed by itself. When asked for a
 * client certificate, that same one is what it takes. */
struct peer *peer_start_tls(const char *name, bool client_certificate);
/* PEM files, removed by peer_stop(). */
const char *peer_cert_path(const struct peer *p);
const char *peer_key_path(const struct peer *p);
void peer_stop(struct peer *p);
int peer_port(const struct peer *p);
/* From now on. headers: lines with CR LF, or "". status: "200 OK". All copied. */
void peer_set(struct peer *p, enum peer_manner manner, const char *status, const char *headers,
              struct view body);
/* The common case: text/plain, 200. */
void peer_set_text(struct peer *p, const char *body);
/* Appends the requests so far, headers and bodies as they came, and forgets them. */
void peer_requests(struct peer *p, struct buffer *out);
size_t peer_connection_count(struct peer *p);

#endif
