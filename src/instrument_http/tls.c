/* SPDX-License-Identifier: Apache-2.0 */
/* tls.c: see tls.h. The library under us starts each session with the same settings; belfry__tls_begin() replaces them,
 * so that a renewed certificate is shown from the next connection on and those that are open go on with theirs. */
#include "instrument_http/tls.h"

#include "instrument_http/fail.h"

#include <gnutls/x509.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

enum { LOOK_MS = 1000, FILE_COUNT = 3 };
static const char PRIORITY[] = "NORMAL:-VERS-ALL:+VERS-TLS1.3:+VERS-TLS1.2:%SERVER_PRECEDENCE";

struct tls_credentials {
    unsigned references;
    gnutls_certificate_credentials_t certificate;
    bool asks_client;
};

struct tls_files {
    char *paths[FILE_COUNT]; /* certificate, key, client_ca (may be NULL) */
    struct stat seen[FILE_COUNT];
    int64_t looked_ms;
    struct tls_credentials *current;
};

static bool look(const struct tls_files *f, struct stat out[FILE_COUNT])
{
    memset(out, 0, FILE_COUNT * sizeof *out);
    for (size_t i = 0; i < FILE_COUNT; i++)
        if (f->paths[i] && stat(f->paths[i], &out[i]) != 0)
            return false;
    return true;
}

static bool is_same(const struct stat *a, const struct stat *b)
{
    return a->st_ino == b->st_ino && a->st_size == b->st_size &&
           a->st_mtim.tv_sec == b->st_mtim.tv_sec && a->st_mtim.tv_nsec == b->st_mtim.tv_nsec;
}

/* NULL, with what is wrong in *error. */
static struct tls_credentials *load(const struct tls_files *f, belfry_http_error *error)
{
    struct tls_credentials *c = calloc(1, sizeof *c);
    if (!c || gnutls_certificate_allocate_credentials(&c->certificate) != 0) {
        free(c);
        (void)belfry__http_fail_memory(error);
        return NULL;
    }
    c->references = 1;
    c->asks_client = f->paths[2] != NULL;
    int code = gnutls_certificate_set_x509_key_file(c->certificate, f->paths[0], f->paths[1],
                                                    GNUTLS_X509_FMT_PEM);
    if (code < 0) {
        (void)belfry__http_fail(error, BELFRY_ERROR_SYSTEM,
                                "could not use certificate \"%.64s\" with key \"%.64s\": %s",
                                f->paths[0], f->paths[1], gnutls_strerror(code));
        belfry__tls_end(c);
        return NULL;
    }
    if (!f->paths[2])
        return c;
    code = gnutls_certificate_set_x509_trust_file(c->certificate, f->paths[2], GNUTLS_X509_FMT_PEM);
    if (code > 0)
        return c;
    (void)belfry__http_fail(error, BELFRY_ERROR_SYSTEM,
                            "could not use client_ca_file \"%.64s\": %s", f->paths[2],
                            code < 0 ? gnutls_strerror(code) : "it holds no certificate");
    belfry__tls_end(c);
    return NULL;
}

belfry_status belfry__tls_open(struct tls_files **out, const char *certificate, const char *key,
                               const char *client_ca, belfry_http_error *error)
{
    const char *const paths[FILE_COUNT] = {certificate, key, client_ca};
    struct tls_files *f = calloc(1, sizeof *f);
    *out = NULL;
    if (!f)
        return belfry__http_fail_memory(error);
    for (size_t i = 0; i < FILE_COUNT; i++) {
        if (paths[i] && paths[i][0] && !(f->paths[i] = strdup(paths[i]))) {
            belfry__tls_close(f);
            return belfry__http_fail_memory(error);
        }
    }
    (void)look(f, f->seen); /* load() says which file is not there */
    f->current = load(f, error);
    if (!f->current) {
        belfry__tls_close(f);
        return BELFRY_ERROR_SYSTEM;
    }
    *out = f;
    return BELFRY_OK;
}

void belfry__tls_close(struct tls_files *f)
{
    if (!f)
        return;
    belfry__tls_end(f->current);
    for (size_t i = 0; i < FILE_COUNT; i++)
        free(f->paths[i]);
    free(f);
}

bool belfry__tls_refresh(struct tls_files *f, int64_t now_ms)
{
    struct stat now[FILE_COUNT];
    bool changed = false;
    if (now_ms - f->looked_ms < LOOK_MS)
        return true;
    f->looked_ms = now_ms;
    if (!look(f, now))
        return true; /* between a removal and a renaming */
    for (size_t i = 0; i < FILE_COUNT; i++)
        changed = changed || !is_same(&now[i], &f->seen[i]);
    if (!changed)
        return true;
    memcpy(f->seen, now, sizeof now); /* a broken pair is tried once, then when it changes again */
    struct tls_credentials *fresh = load(f, NULL);
    if (!fresh)
        return false;
    belfry__tls_end(f->current);
    f->current = fresh;
    return true;
}

/* In the handshake. 0 lets it go on. */
static int on_verify(gnutls_session_t session)
{
    unsigned status = 0, count = 0;
    gnutls_typed_vdata_st purpose = {.type = GNUTLS_DT_KEY_PURPOSE_OID,
                                     .data = (unsigned char *)(uintptr_t)GNUTLS_KP_TLS_WWW_CLIENT};
    if (!gnutls_certificate_get_peers(session, &count) || count == 0 ||
        gnutls_certificate_verify_peers(session, &purpose, 1, &status) != 0 || status != 0)
        return GNUTLS_E_CERTIFICATE_ERROR;
    return 0;
}

struct tls_credentials *belfry__tls_begin(struct tls_files *f, gnutls_session_t session)
{
    struct tls_credentials *c = f->current;
    gnutls_certificate_server_set_request(session, c->asks_client ? GNUTLS_CERT_REQUIRE
                                                                  : GNUTLS_CERT_IGNORE);
    if (c->asks_client)
        gnutls_session_set_verify_function(session, on_verify);
    if (gnutls_priority_set_direct(session, PRIORITY, NULL) != 0 ||
        gnutls_credentials_set(session, GNUTLS_CRD_CERTIFICATE, c->certificate) != 0)
        return NULL;
    c->references++;
    return c;
}

void belfry__tls_end(struct tls_credentials *c)
{
    if (!c || --c->references > 0)
        return;
    gnutls_certificate_free_credentials(c->certificate);
    free(c);
}
