/* SPDX-License-Identifier: Apache-2.0 */
#include "net/outgoing_trust.h"

#include "base/file.h"
#include "base/mem.h"
#include "base/view.h"

#include <gnutls/x509.h>
#include <stdio.h>
#include <string.h>

enum { CA_BYTES_MAX = 16 << 20, CHAIN_MAX = 16, HOST_BYTES_MAX = 256 };

struct outgoing_trust {
    gnutls_x509_trust_list_t list;
};

bool outgoing_trust_new(struct outgoing_trust **out, const char *ca_file, struct error *err)
{
    struct outgoing_trust *trust = mem_alloc_zero(MEM_HTTP, 1, sizeof *trust);
    *out = NULL;
    bool ok = ca_file == NULL || file_check_readable(ca_file, CA_BYTES_MAX, err);
    if (ok && gnutls_x509_trust_list_init(&trust->list, 0) != GNUTLS_E_SUCCESS)
        ok = error_set(err, ERROR_IO, "no memory for certificates");
    if (ok) {
        int count = ca_file ? gnutls_x509_trust_list_add_trust_file(trust->list, ca_file, NULL,
                                                                    GNUTLS_X509_FMT_PEM, 0, 0)
                            : gnutls_x509_trust_list_add_system_trust(trust->list, 0, 0);
        const char *name = ca_file ? ca_file : "the system's list";
        ok = count > 0 || error_set(err, ERROR_INPUT, "%s has no certificates of authorities: %s",
                                    name, count < 0 ? gnutls_strerror(count) : "it is empty");
    }
    if (!ok) {
        outgoing_trust_free(trust);
        return false;
    }
    *out = trust;
    return true;
}

void outgoing_trust_free(struct outgoing_trust *trust)
{
    if (trust == NULL)
        return;
    if (trust->list)
        gnutls_x509_trust_list_deinit(trust->list, 1);
    mem_free(MEM_HTTP, trust);
}

/* ---- a peer ---- */

/* The peer's certificates, its own first, into chain[]. False when they cannot be read. */
static bool chain_read(gnutls_session_t session, gnutls_x509_crt_t chain[CHAIN_MAX],
                       unsigned *count)
{
    unsigned sent = 0;
    *count = 0;
    const gnutls_datum_t *raw = gnutls_certificate_type_get(session) == GNUTLS_CRT_X509
                                    ? gnutls_certificate_get_peers(session, &sent)
                                    : NULL;
    if (raw == NULL || sent == 0 || sent > CHAIN_MAX)
        return false;
    for (; *count < sent; (*count)++) {
        if (gnutls_x509_crt_init(&chain[*count]) != GNUTLS_E_SUCCESS)
            return false;
        if (gnutls_x509_crt_import(chain[*count], &raw[*count], GNUTLS_X509_FMT_DER) !=
            GNUTLS_E_SUCCESS) {
            gnutls_x509_crt_deinit(chain[*count]);
            return false;
        }
    }
    return true;
}

/* Without brackets, and without the dot at the end of a full name, which no certificate has. */
static void host_copy(const char *host, char out[HOST_BYTES_MAX])
{
    struct view v = view_from(host);
    if (v.len >= 2 && v.ptr[0] == '[' && v.ptr[v.len - 1] == ']')
        v = view_slice(v, 1, v.len - 1);
    if (v.len && v.ptr[v.len - 1] == '.')
        v.len--;
    (void)snprintf(out, HOST_BYTES_MAX, "%.*s", VIEW_ARGS(v));
}

static bool refuse(unsigned status, const char *host, struct error *err)
{
    gnutls_datum_t text = {NULL, 0};
    if (gnutls_certificate_verification_status_print(status, GNUTLS_CRT_X509, &text, 0) !=
        GNUTLS_E_SUCCESS)
        return error_set(err, ERROR_FORBIDDEN, "%s: its certificate is not trusted", host);
    size_t len = text.size;
    while (len > 0 && (text.data[len - 1] == ' ' || text.data[len - 1] == '.'))
        len--;
    (void)error_set(err, ERROR_FORBIDDEN, "%s: its certificate is not trusted: %.*s", host,
                    (int)len, (const char *)text.data);
    gnutls_free(text.data);
    return false;
}

bool outgoing_trust_verify(const struct outgoing_trust *trust, gnutls_session_t session,
                           const char *host, struct error *err)
{
    gnutls_x509_crt_t chain[CHAIN_MAX];
    unsigned count, status = GNUTLS_CERT_INVALID;
    char name[HOST_BYTES_MAX];
    host_copy(host, name);
    gnutls_typed_vdata_st wanted[] = {
        {GNUTLS_DT_DNS_HOSTNAME, (unsigned char *)name, (unsigned)strlen(name)},
        {GNUTLS_DT_KEY_PURPOSE_OID, (unsigned char *)(uintptr_t)GNUTLS_KP_TLS_WWW_SERVER, 0}};
    bool ok = chain_read(session, chain, &count);
    if (!ok)
        (void)error_set(err, ERROR_FORBIDDEN, "%s: it has no certificate that can be read", host);
    int code = ok ? gnutls_x509_trust_list_verify_crt2(trust->list, chain, count, wanted,
                                                       ARRAY_COUNT(wanted), 0, &status, NULL)
                  : 0;
    for (unsigned i = 0; i < count; i++)
        gnutls_x509_crt_deinit(chain[i]);
    if (!ok)
        return false;
    if (code != GNUTLS_E_SUCCESS)
        return error_set(err, ERROR_FORBIDDEN, "%s: %s", host, gnutls_strerror(code));
    return status == 0 || refuse(status, host, err);
}
