/* SPDX-License-Identifier: Apache-2.0 */
/* client_token.h: OAuth2 client credentials (RFC 6749, 4.4): what is asked, what came, how long it holds. Private to
 * client*.c. */
#ifndef BELFRY_INGEST_CLIENT_TOKEN_H
#define BELFRY_INGEST_CLIENT_TOKEN_H

#include "base/attributes.h"
#include "base/buffer.h"
#include "base/error.h"
#include "ingest/client.h"

#include <stdint.h>

struct client_token_request {
    struct buffer form;  /* application/x-www-form-urlencoded */
    struct buffer basic; /* the client's id and secret, base64; unless they are in the form */
    uint64_t key;        /* of both and the URL */
};

/* Reads the secret's file. in_form: id and secret are parameters, for servers that do not take them in a header. `secrets` (or
 * NULL) gets what the request carries. ERROR_IO. Deinit only after success. */
MUST_USE bool client_token_request_init(struct client_token_request *r,
                                        const struct config_oauth2 *oauth2, bool in_form,
                                        struct redaction *secrets, struct error *err);
void client_token_request_deinit(struct client_token_request *r);

/* Appends "Bearer TOKEN". False when none is known or it is about to expire. */
bool client_tokens_get(struct client_tokens *t, uint64_t key, struct buffer *out);
/* Takes the answer of the token's endpoint. ERROR_INPUT, ERROR_UNAVAILABLE (its status or error). */
MUST_USE bool client_tokens_take(struct client_tokens *t, uint64_t key, long status,
                                 struct view answer, struct error *err);

/* Borrowed until they are freed. */
struct client_material *client_tokens_material(struct client_tokens *t);

/* client.c: the secret itself, else the trimmed content of the file. */
MUST_USE bool client_secret_read(const struct secret *secret, struct view path, struct buffer *out,
                                 struct error *err);
void client_secret_wipe(struct buffer *secret);

#endif
