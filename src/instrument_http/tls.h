/* SPDX-License-Identifier: Apache-2.0 */
/* tls.h: the certificate that a listener shows, from files that may change while it serves. One thread. */
#ifndef BELFRY_INSTRUMENT_HTTP_TLS_H
#define BELFRY_INSTRUMENT_HTTP_TLS_H

#include "base/attributes.h"

#include <belfry/http.h>
#include <gnutls/gnutls.h>

struct tls_files;       /* opaque */
struct tls_credentials; /* counted: a connection keeps those that it began with */

/* Reads the files; NULL for client_ca = clients need no certificate. */
MUST_USE belfry_status belfry__tls_open(struct tls_files **out, const char *certificate,
                                        const char *key, const char *client_ca,
                                        belfry_http_error *error);
void belfry__tls_close(struct tls_files *files); /* NULL is fine */
/* Reads files again that changed (looks at most once a second). False: they cannot be used, the old ones stay. */
bool belfry__tls_refresh(struct tls_files *files, int64_t now_ms);
/* Sets up a session before its handshake. NULL when it cannot be. */
struct tls_credentials *belfry__tls_begin(struct tls_files *files, gnutls_session_t session);
void belfry__tls_end(struct tls_credentials *credentials); /* NULL is fine */

#endif
