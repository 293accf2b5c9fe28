/* SPDX-License-Identifier: Apache-2.0 */
/* outgoing_trust.h: whose certificates are believed, read once. libcurl on GnuTLS reads the system's 140 authorities anew for
 * each connection (measured: 48 ms of CPU for a request to https, 0.5 ms to http), so the verification is done here, with one
 * list for all. */
#ifndef BELFRY_NET_OUTGOING_TRUST_H
#define BELFRY_NET_OUTGOING_TRUST_H

#include "base/attributes.h"
#include "base/error.h"

#include <gnutls/gnutls.h>
#include <stdbool.h>

/* Immutable: any number of threads at once. */
struct outgoing_trust;

/* The authorities of a PEM file; NULL = the system's. ERROR_INPUT when there is none in it, ERROR_NOT_FOUND, ERROR_IO. */
MUST_USE bool outgoing_trust_new(struct outgoing_trust **out, const char *ca_file,
                                 struct error *err);
void outgoing_trust_free(struct outgoing_trust *trust); /* NULL is fine */
/* After the handshake: is the peer, by a chain of certificates that is valid now, the server called `host` (a name, or an
 * address with or without brackets)? */
MUST_USE bool outgoing_trust_verify(const struct outgoing_trust *trust, gnutls_session_t session,
                                    const char *host, struct error *err);

#endif
