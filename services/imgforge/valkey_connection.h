/* SPDX-License-Identifier: Apache-2.0 */
/* valkey_connection.h: one connection to a Valkey server, plain or with TLS. Every call ends by its deadline, however slowly the server
 * dribbles. One thread at a time. After an error it is of no use any more. */
#ifndef IMGFORGE_VALKEY_CONNECTION_H
#define IMGFORGE_VALKEY_CONNECTION_H

#include "base/clock.h"
#include "net/outgoing_trust.h"
#include "resolved_host.h"
#include "valkey_reply.h"

struct valkey_connection;

struct valkey_target {
    struct resolved_host *addresses;
    const char *host;
    const struct outgoing_trust *trust; /* NULL: no TLS */
    size_t answer_bytes_max;
};

/* Tries each address in turn. ERROR_UNAVAILABLE, ERROR_TIMEOUT, ERROR_FORBIDDEN (its certificate). */
MUST_USE bool valkey_connect(struct valkey_connection **out, const struct valkey_target *target,
                             mono_time deadline, struct error *err);
void valkey_connection_close(struct valkey_connection *c); /* NULL is fine */
/* Sends a command and waits for its answer: borrowed until the next call of these two. ERROR_UNAVAILABLE (closed), ERROR_TIMEOUT, ERROR_CORRUPT,
 * ERROR_TOO_LARGE. That the server says no is an answer. */
MUST_USE bool valkey_command(struct valkey_connection *c, const struct view *arguments,
                             size_t count, mono_time deadline, const struct valkey_reply **reply,
                             struct error *err);
/* The answer was read: gives back its memory. */
void valkey_connection_rest(struct valkey_connection *c);

#endif
