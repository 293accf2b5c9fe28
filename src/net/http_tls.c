/* SPDX-License-Identifier: Apache-2.0 */
/* http_tls.c: MHD starts each session of a listener with the same settings; http_tls_begin() replaces all of them,
 * before the handshake, by those of one struct http_tls.
 *
 * Go names whole suites, GnuTLS the parts of which suites are made: a list of suites becomes the list of its parts,
 * which allows the few suites that mix them as well (all are forward secret or as strong as what was named). TLS 1.3's
 * suites cannot be chosen in Go, so they are always there. */
#include "net/http_tls.h"

#include "base/assert.h"
#include "base/buffer.h"
#include "net/http_private.h"

#include <arpa/inet.h>
#include <gnutls/gnutls.h>
#include <gnutls/x509.h>

enum { PRIORITY_BYTES_MAX = 4096, SAN_BYTES_MAX = 1024 };

struct http_tls {
    atomic_uint references;
    gnutls_certificate_credentials_t credentials;
    gnutls_priority_t priority;
    enum http_tls_client client;
    struct arena arena;
    struct view *sans;
    size_t san_count;
};

/* Go's tls.CipherSuites() up to TLS 1.2 and its insecure ones that GnuTLS still has. */
static const struct {
    const char *name, *exchange, *cipher, *mac;
} CIPHERS[] = {
    {"TLS_RSA_WITH_AES_128_CBC_SHA", "RSA", "AES-128-CBC", "SHA1"},
    {"TLS_RSA_WITH_AES_256_CBC_SHA", "RSA", "AES-256-CBC", "SHA1"},
    {"TLS_RSA_WITH_AES_128_GCM_SHA256", "RSA", "AES-128-GCM", "AEAD"},
    {"TLS_RSA_WITH_AES_256_GCM_SHA384", "RSA", "AES-256-GCM", "AEAD"},
    {"TLS_ECDHE_ECDSA_WITH_AES_128_CBC_SHA", "ECDHE-ECDSA", "AES-128-CBC", "SHA1"},
    {"TLS_ECDHE_ECDSA_WITH_AES_256_CBC_SHA", "ECDHE-ECDSA", "AES-256-CBC", "SHA1"},
    {"TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA", "ECDHE-RSA", "AES-128-CBC", "SHA1"},
    {"TLS_ECDHE_RSA_WITH_AES_256_CBC_SHA", "ECDHE-RSA", "AES-256-CBC", "SHA1"},
    {"TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256", "ECDHE-ECDSA", "AES-128-GCM", "AEAD"},
    {"TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384", "ECDHE-ECDSA", "AES-256-GCM", "AEAD"},
    {"TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256", "ECDHE-RSA", "AES-128-GCM", "AEAD"},
    {"TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384", "ECDHE-RSA", "AES-256-GCM", "AEAD"},
    {"TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256", "ECDHE-RSA", "CHACHA20-POLY1305", "AEAD"},
    {"TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256", "ECDHE-ECDSA", "CHACHA20-POLY1305", "AEAD"},
    {"TLS_AES_128_GCM_SHA256", NULL, "AES-128-GCM", "AEAD"},
    {"TLS_AES_256_GCM_SHA384", NULL, "AES-256-GCM", "AEAD"},
    {"TLS_CHACHA20_POLY1305_SHA256", NULL, "CHACHA20-POLY1305", "AEAD"},
};

static const struct {
    const char *name, *group;
} CURVES[] = {{"CurveP256", "GROUP-SECP256R1"},
              {"CurveP384", "GROUP-SECP384R1"},
              {"CurveP521", "GROUP-SECP521R1"},
              {"X25519", "GROUP-X25519"}};

static size_t cipher_find(struct view name)
{
    size_t i = 0;
    while (i < ARRAY_COUNT(CIPHERS) && !view_is(name, CIPHERS[i].name))
        i++;
    return i;
}

static size_t curve_find(struct view name)
{
    size_t i = 0;
    while (i < ARRAY_COUNT(CURVES) && !view_is(name, CURVES[i].name))
        i++;
    return i;
}

bool http_tls_cipher_is_known(struct view name)
{
    return cipher_find(name) < ARRAY_COUNT(CIPHERS);
}

bool http_tls_curve_is_known(struct view name)
{
    return curve_find(name) < ARRAY_COUNT(CURVES);
}

static bool fail(struct error *err, int code, const char *what)
{
    return error_set(err, ERROR_INPUT, "%s: %s", what, gnutls_strerror(code));
}

/* ---- the priority string ---- */

static void add_ciphers(struct buffer *out, const struct http_tls_options *o)
{
    if (o->cipher_count == 0)
        return;
    buffer_append_literal(out, ":-KX-ALL:-CIPHER-ALL:-MAC-ALL");
    for (size_t i = 0; i < o->cipher_count; i++) {
        size_t at = cipher_find(o->ciphers[i]);
        if (at == ARRAY_COUNT(CIPHERS))
            continue; /* the file's reader refused it */
        if (CIPHERS[at].exchange)
            buffer_printf(out, ":+%s", CIPHERS[at].exchange);
        buffer_printf(out, ":+%s:+%s", CIPHERS[at].cipher, CIPHERS[at].mac);
    }
    if (o->version_max >= 13) /* its suites and exchanges are not chosen */
        buffer_append_literal(
            out, ":+ECDHE-ECDSA:+ECDHE-RSA:+AES-128-GCM:+AES-256-GCM:+CHACHA20-POLY1305:+AEAD");
}

static void add_curves(struct buffer *out, const struct http_tls_options *o)
{
    if (o->curve_count == 0)
        return;
    buffer_append_literal(out, ":-GROUP-ALL");
    for (size_t i = 0; i < o->curve_count; i++) {
        size_t at = curve_find(o->curves[i]);
        if (at < ARRAY_COUNT(CURVES))
            buffer_printf(out, ":+%s", CURVES[at].group);
    }
}

static bool set_priority(struct http_tls *tls, const struct http_tls_options *o, struct error *err)
{
    static const char *const VERSIONS[] = {"VERS-TLS1.0", "VERS-TLS1.1", "VERS-TLS1.2",
                                           "VERS-TLS1.3"};
    struct buffer text;
    const char *at = NULL;
    buffer_init(&text, MEM_HTTP, PRIORITY_BYTES_MAX);
    /* As the system's policy has it, where the file says nothing. */
    buffer_append_literal(&text, "NORMAL:-VERS-ALL");
    for (unsigned v = o->version_max; v >= o->version_min; v--)
        buffer_printf(&text, ":+%s", VERSIONS[v - 10]);
    if (o->version_min < 12)
        buffer_append_literal(&text, ":%COMPAT");
    add_ciphers(&text, o);
    add_curves(&text, o);
    if (!o->client_order)
        buffer_append_literal(&text, ":%SERVER_PRECEDENCE");
    buffer_append_byte(&text, '\0');
    int code =
        text.failed ? GNUTLS_E_MEMORY_ERROR : gnutls_priority_init(&tls->priority, text.ptr, &at);
    buffer_deinit(&text);
    return code == 0 || fail(err, code, "the TLS versions, ciphers and curves do not fit together");
}

/* ---- certificates ---- */

static gnutls_datum_t datum(struct view v)
{
    return (gnutls_datum_t){(unsigned char *)(uintptr_t)v.ptr, (unsigned)v.len};
}

static bool set_certificates(struct http_tls *tls, const struct http_tls_options *o,
                             struct error *err)
{
    gnutls_datum_t certificate = datum(o->certificate), key = datum(secret_reveal(&o->key));
    int code = gnutls_certificate_set_x509_key_mem(tls->credentials, &certificate, &key,
                                                   GNUTLS_X509_FMT_PEM);
    if (code < 0)
        return fail(err, code, "the certificate and its key cannot be used");
    if (o->client_ca.len == 0)
        return true;
    gnutls_datum_t ca = datum(o->client_ca);
    code = gnutls_certificate_set_x509_trust_mem(tls->credentials, &ca, GNUTLS_X509_FMT_PEM);
    return code > 0 || fail(err, code < 0 ? code : GNUTLS_E_NO_CERTIFICATE_FOUND,
                            "the certificates of client_ca cannot be used");
}

bool http_tls_new(struct http_tls **out, const struct http_tls_options *opts, struct error *err)
{
    struct http_tls_options o = *opts;
    *out = NULL;
    o.version_min = o.version_min ? o.version_min : 12;
    o.version_max = o.version_max ? o.version_max : 13;
    if (o.version_min > o.version_max)
        return error_set(err, ERROR_INPUT, "min_version is higher than max_version");
    struct http_tls *tls = mem_alloc_zero(MEM_HTTP, 1, sizeof *tls);
    atomic_init(&tls->references, 1);
    arena_init(&tls->arena, MEM_HTTP, 0);
    tls->client = o.client;
    tls->sans = arena_alloc(&tls->arena, (o.client_san_count + 1) * sizeof *tls->sans);
    for (size_t i = 0; i < o.client_san_count; i++)
        tls->sans[i] = arena_copy(&tls->arena, o.client_sans[i]);
    tls->san_count = o.client_san_count;
    int code = gnutls_certificate_allocate_credentials(&tls->credentials);
    bool ok = code == 0 ? set_certificates(tls, &o, err) && set_priority(tls, &o, err)
                        : fail(err, code, "no memory for certificates");
    if (!ok) {
        http_tls_unref(tls);
        return false;
    }
    *out = tls;
    return true;
}

struct http_tls *http_tls_ref(struct http_tls *tls)
{
    atomic_fetch_add_explicit(&tls->references, 1, memory_order_relaxed);
    return tls;
}

void http_tls_unref(struct http_tls *tls)
{
    if (tls == NULL || atomic_fetch_sub_explicit(&tls->references, 1, memory_order_acq_rel) > 1)
        return;
    if (tls->priority)
        gnutls_priority_deinit(tls->priority);
    if (tls->credentials)
        gnutls_certificate_free_credentials(tls->credentials);
    arena_deinit(&tls->arena);
    mem_free(MEM_HTTP, tls);
}

/* ---- the client's certificate ---- */

static bool san_is_allowed(const struct http_tls *tls, struct view name)
{
    for (size_t i = 0; i < tls->san_count; i++)
        if (view_eq(tls->sans[i], name))
            return true;
    return false;
}

static bool certificate_is_allowed(const struct http_tls *tls, gnutls_x509_crt_t crt)
{
    char name[SAN_BYTES_MAX], address[INET6_ADDRSTRLEN];
    for (unsigned i = 0;; i++) {
        size_t len = sizeof name;
        int kind = gnutls_x509_crt_get_subject_alt_name(crt, i, name, &len, NULL);
        if (kind == GNUTLS_E_REQUESTED_DATA_NOT_AVAILABLE)
            return false;
        if (kind == GNUTLS_SAN_DNSNAME || kind == GNUTLS_SAN_RFC822NAME || kind == GNUTLS_SAN_URI) {
            if (san_is_allowed(tls, (struct view){name, len}))
                return true;
        } else if (kind == GNUTLS_SAN_IPADDRESS && (len == 4 || len == 16)) {
            if (inet_ntop(len == 4 ? AF_INET : AF_INET6, name, address, sizeof address) &&
                san_is_allowed(tls, view_from(address)))
                return true;
        }
    }
}

static bool sans_match(const struct http_tls *tls, gnutls_session_t session)
{
    unsigned count = 0;
    const gnutls_datum_t *chain = gnutls_certificate_get_peers(session, &count);
    gnutls_x509_crt_t crt;
    if (chain == NULL || count == 0 || gnutls_x509_crt_init(&crt) != 0)
        return false;
    bool ok = gnutls_x509_crt_import(crt, &chain[0], GNUTLS_X509_FMT_DER) == 0 &&
              certificate_is_allowed(tls, crt);
    gnutls_x509_crt_deinit(crt);
    return ok;
}

/* GnuTLS calls it in the handshake, whether the client sent a certificate or not. 0 lets it go on. */
static int on_verify(gnutls_session_t session)
{
    const struct http_tls *tls = gnutls_session_get_ptr(session);
    unsigned status = 0, count = 0;
    if (gnutls_certificate_get_peers(session, &count) == NULL || count == 0)
        return tls->client == HTTP_TLS_CLIENT_REQUEST ||
                       tls->client == HTTP_TLS_CLIENT_VERIFY_IF_GIVEN
                   ? 0
                   : GNUTLS_E_CERTIFICATE_ERROR;
    bool verifies = tls->client == HTTP_TLS_CLIENT_VERIFY_IF_GIVEN ||
                    tls->client == HTTP_TLS_CLIENT_REQUIRE_AND_VERIFY;
    if (verifies) {
        gnutls_typed_vdata_st purpose = {.type = GNUTLS_DT_KEY_PURPOSE_OID,
                                         .data =
                                             (unsigned char *)(uintptr_t)GNUTLS_KP_TLS_WWW_CLIENT};
        if (gnutls_certificate_verify_peers(session, &purpose, 1, &status) != 0 || status != 0)
            return GNUTLS_E_CERTIFICATE_ERROR;
    }
    return tls->san_count == 0 || sans_match(tls, session) ? 0 : GNUTLS_E_CERTIFICATE_ERROR;
}

bool http_tls_begin(struct http_tls *tls, gnutls_session_t session)
{
    gnutls_certificate_request_t request = GNUTLS_CERT_IGNORE;
    if (tls->client == HTTP_TLS_CLIENT_REQUIRE_ANY ||
        tls->client == HTTP_TLS_CLIENT_REQUIRE_AND_VERIFY)
        request = GNUTLS_CERT_REQUIRE;
    else if (tls->client != HTTP_TLS_CLIENT_NONE)
        request = GNUTLS_CERT_REQUEST;
    gnutls_session_set_ptr(session, tls);
    gnutls_certificate_server_set_request(session, request);
    if (tls->client != HTTP_TLS_CLIENT_NONE)
        gnutls_session_set_verify_function(session, on_verify);
    return gnutls_priority_set(session, tls->priority) == 0 &&
           gnutls_credentials_set(session, GNUTLS_CRD_CERTIFICATE, tls->credentials) == 0;
}
