/* SPDX-License-Identifier: Apache-2.0 */
/* http_tls.h: what a listener says when TLS begins: certificate, versions, ciphers, whose certificates it takes. One
 * object is immutable and shared by the connections that began with it, so a new certificate replaces the object and
 * old connections go on. Any thread. */
#ifndef BELFRY_NET_HTTP_TLS_H
#define BELFRY_NET_HTTP_TLS_H

#include "base/attributes.h"
#include "base/error.h"
#include "base/secret.h"
#include "base/view.h"

#include <stdbool.h>
#include <stddef.h>

struct http_tls;

/* In Go's words, which Prometheus' files use. */
enum http_tls_client {
    HTTP_TLS_CLIENT_NONE,
    HTTP_TLS_CLIENT_REQUEST,         /* asked for, not looked at */
    HTTP_TLS_CLIENT_REQUIRE_ANY,     /* must have one, whoever signed it */
    HTTP_TLS_CLIENT_VERIFY_IF_GIVEN, /* none, or one of client_ca */
    HTTP_TLS_CLIENT_REQUIRE_AND_VERIFY
};

/* Borrowed during http_tls_new(). */
struct http_tls_options {
    struct view certificate; /* PEM, the server's first */
    struct secret key;       /* PEM */
    struct view client_ca;   /* PEM; empty = none */
    enum http_tls_client client;
    const struct view *client_sans; /* one of the client's names must be among these; 0 = any */
    size_t client_san_count;
    unsigned version_min, version_max; /* 10 to 13; 0 = 12 and 13 */
    const struct view *ciphers; /* "TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256"; 0 = GnuTLS' own */
    size_t cipher_count;
    const struct view *curves; /* "CurveP256", "X25519"; in order of preference; 0 = GnuTLS' own */
    size_t curve_count;
    bool client_order; /* the client's preference among ciphers decides, else the server's */
};

/* Born with one reference. ERROR_INPUT says what does not fit; never shows the key. */
MUST_USE bool http_tls_new(struct http_tls **out, const struct http_tls_options *opts,
                           struct error *err);
struct http_tls *http_tls_ref(struct http_tls *tls);
void http_tls_unref(struct http_tls *tls); /* NULL is fine */
/* Are these words known? */
bool http_tls_cipher_is_known(struct view name);
bool http_tls_curve_is_known(struct view name);

#endif
