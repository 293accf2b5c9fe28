/* SPDX-License-Identifier: Apache-2.0 */
/* client.c: see client.h. Redirects are followed here and not by libcurl, so that credentials, client certificates
 * and configured headers stay with the origin they are for (scheme, host and port of the first URL). */
#include "ingest/client.h"

#include "base/clock.h"
#include "base/file.h"
#include "base/mem.h"
#include "ingest/client_material.h"
#include "ingest/client_token.h"

#include <stdio.h>
#include <string.h>
#include <strings.h>

#define CURL_NEVER_FAILS(call) ((void)(call)) /* options that only fail without memory or unknown */

void client_reset(struct client *c)
{
    curl_slist_free_all(c->headers);
    curl_slist_free_all(c->connect_to);
    curl_slist_free_all(c->proxy_headers);
    c->headers = c->connect_to = c->proxy_headers = NULL;
    c->asks_token = false;
    if (c->token_answer.ptr)
        explicit_bzero(c->token_answer.ptr, c->token_answer.len);
    buffer_deinit(&c->token_answer);
    if (c->token_text) {
        explicit_bzero(c->token_text, strlen(c->token_text));
        mem_free(MEM_SCRAPE, c->token_text);
        c->token_text = NULL;
    }
}

void client_deinit(struct client *c)
{
    client_reset(c);
    c->redirects = 0;
    c->foreign = c->token_is_fresh = c->token_in_form = false;
}

/* ---- headers ---- */

static bool header_addv(struct curl_slist **list, struct error *err, const char *format,
                        va_list args)
{
    va_list again;
    char fixed[1024], *text = fixed;
    va_copy(again, args);
    int len = vsnprintf(fixed, sizeof fixed, format, args);
    if (len >= (int)sizeof fixed) {
        text = mem_alloc(MEM_SCRAPE, (size_t)len + 1);
        (void)vsnprintf(text, (size_t)len + 1, format, again);
    }
    va_end(again);
    bool clean = len >= 0 && strpbrk(text, "\r\n") == NULL;
    struct curl_slist *longer = clean ? curl_slist_append(*list, text) : NULL;
    if (text != fixed) {
        explicit_bzero(text, (size_t)len);
        mem_free(MEM_SCRAPE, text);
    } else {
        explicit_bzero(fixed, sizeof fixed);
    }
    if (!clean)
        return error_set(err, ERROR_INPUT, "a request header has a line feed");
    if (!longer)
        return error_set(err, ERROR_LIMIT, "no memory for a request header");
    *list = longer;
    return true;
}

static bool header_add(struct curl_slist **list, struct error *err, const char *format, ...)
    PRINTF_LIKE(3, 4);
static bool header_add(struct curl_slist **list, struct error *err, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    bool ok = header_addv(list, err, format, args);
    va_end(args);
    return ok;
}

bool client_header(struct client *c, struct error *err, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    bool ok = header_addv(&c->headers, err, format, args);
    va_end(args);
    return ok;
}

/* ---- secrets ---- */

bool client_secret_read(const struct secret *secret, struct view path, struct buffer *out,
                        struct error *err)
{
    buffer_reset(out);
    if (path.len == 0) {
        buffer_append_view(out, secret_reveal(secret));
        return true;
    }
    char *name = mem_copy_string(MEM_SCRAPE, path);
    bool ok = file_read_all(name, out, err);
    mem_free(MEM_SCRAPE, name);
    while (ok && out->len && strchr(" \t\r\n", out->ptr[out->len - 1]))
        out->len--;
    size_t blank = 0;
    while (ok && blank < out->len && strchr(" \t\r\n", out->ptr[blank]))
        blank++;
    if (blank) {
        memmove(out->ptr, out->ptr + blank, out->len - blank);
        out->len -= blank;
    }
    return ok;
}

void client_secret_wipe(struct buffer *secret)
{
    if (secret->ptr)
        explicit_bzero(secret->ptr, secret->capacity);
    buffer_deinit(secret);
}

static bool set_text(CURL *easy, CURLoption option, struct view text, struct error *err)
{
    char *copy = mem_copy_string(MEM_SCRAPE, text);
    CURLcode code = curl_easy_setopt(easy, option, copy);
    explicit_bzero(copy, text.len);
    mem_free(MEM_SCRAPE, copy);
    return code == CURLE_OK || error_set(err, ERROR_INPUT, "could not set up the request: %s",
                                         curl_easy_strerror(code));
}

static bool set_basic_auth(struct client *c, const struct config_basic_auth *auth,
                           struct buffer *secret, struct error *err)
{
    struct secret none = {0};
    struct buffer name;
    CURL_NEVER_FAILS(curl_easy_setopt(c->easy, CURLOPT_HTTPAUTH, (long)CURLAUTH_BASIC));
    buffer_init(&name, MEM_SCRAPE, CLIENT_SECRET_BYTES_MAX);
    buffer_append_view(&name, auth->username);
    bool ok = (auth->username_file.len == 0 ||
               client_secret_read(&none, auth->username_file, &name, err)) &&
              set_text(c->easy, CURLOPT_USERNAME, buffer_view(&name), err) &&
              client_secret_read(&auth->password, auth->password_file, secret, err) &&
              set_text(c->easy, CURLOPT_PASSWORD, buffer_view(secret), err);
    if (ok)
        redaction_add_credentials(c->secrets, buffer_view(&name), buffer_view(secret));
    buffer_deinit(&name);
    return ok;
}

static bool set_credentials(struct client *c, const struct config_http_client *http,
                            struct error *err)
{
    struct buffer secret;
    bool ok = true;
    buffer_init(&secret, MEM_SCRAPE, CLIENT_SECRET_BYTES_MAX);
    if (http->basic_auth) {
        ok = set_basic_auth(c, http->basic_auth, &secret, err);
    } else if (http->authorization) {
        const struct config_authorization *auth = http->authorization;
        ok = client_secret_read(&auth->credentials, auth->credentials_file, &secret, err) &&
             client_header(c, err, "Authorization: %.*s %.*s", VIEW_ARGS(auth->type),
                           VIEW_ARGS(buffer_view(&secret)));
        redaction_add(c->secrets, buffer_view(&secret));
    }
    client_secret_wipe(&secret);
    return ok;
}

static bool add_configured_headers(const struct client *c, struct curl_slist **list,
                                   const struct config_headers *headers, struct error *err)
{
    for (size_t i = 0; i < headers->count; i++) {
        const struct config_header *h = &headers->items[i];
        struct secret none = {0};
        struct buffer secret;
        bool ok = true;
        for (size_t v = 0; ok && v < h->values.count; v++)
            ok = header_add(list, err, "%.*s: %.*s", VIEW_ARGS(h->name),
                            VIEW_ARGS(h->values.items[v]));
        buffer_init(&secret, MEM_SCRAPE, CLIENT_SECRET_BYTES_MAX);
        for (size_t v = 0; ok && v < h->secret_count; v++)
            ok = header_add(list, err, "%.*s: %.*s", VIEW_ARGS(h->name),
                            VIEW_ARGS(secret_reveal(&h->secrets[v])));
        for (size_t v = 0; ok && v < h->files.count; v++) {
            ok = client_secret_read(&none, h->files.items[v], &secret, err) &&
                 header_add(list, err, "%.*s: %.*s", VIEW_ARGS(h->name),
                            VIEW_ARGS(buffer_view(&secret)));
            redaction_add(c->secrets, buffer_view(&secret));
        }
        client_secret_wipe(&secret);
        if (!ok)
            return false;
    }
    return true;
}

/* ---- TLS ---- */

static bool set_material(struct client *c, CURLoption option, struct view text, struct error *err)
{
    char path[CLIENT_MATERIAL_PATH_BYTES];
    return client_material_path(c->material, text, path, err) &&
           set_text(c->easy, option, view_from(path), err);
}

static long tls_versions(const struct config_tls *tls)
{
    static const long MIN[] = {CURL_SSLVERSION_TLSv1_2, CURL_SSLVERSION_TLSv1_0,
                               CURL_SSLVERSION_TLSv1_1, CURL_SSLVERSION_TLSv1_2,
                               CURL_SSLVERSION_TLSv1_3};
    static const long MAX[] = {CURL_SSLVERSION_MAX_DEFAULT, CURL_SSLVERSION_MAX_TLSv1_0,
                               CURL_SSLVERSION_MAX_TLSv1_1, CURL_SSLVERSION_MAX_TLSv1_2,
                               CURL_SSLVERSION_MAX_TLSv1_3};
    return MIN[tls->min_version] | MAX[tls->max_version];
}

/* libcurl reads it whole at a handshake, on the thread that all requests share. */
static bool set_file(CURL *easy, CURLoption option, struct view path, struct error *err)
{
    char *name = mem_copy_string(MEM_SCRAPE, path);
    bool ok = file_check_readable(name, CLIENT_TLS_FILE_BYTES_MAX, err);
    mem_free(MEM_SCRAPE, name);
    return ok && set_text(easy, option, path, err);
}

/* The client's certificate: for the target's own origin only. */
static bool set_client_certificate(struct client *c, const struct config_tls *tls,
                                   struct error *err)
{
    CURL *easy = c->easy;
    struct view key = secret_reveal(&tls->key);
    return (tls->cert_file.len == 0 || set_file(easy, CURLOPT_SSLCERT, tls->cert_file, err)) &&
           (tls->key_file.len == 0 || set_file(easy, CURLOPT_SSLKEY, tls->key_file, err)) &&
           (tls->cert.len == 0 || set_material(c, CURLOPT_SSLCERT, tls->cert, err)) &&
           (key.len == 0 || set_material(c, CURLOPT_SSLKEY, key, err));
}

/* server_name: the certificate is checked against another name than the address. The URL gets that name
 * and is connected to the address; the Host header stays what it was. */
static bool set_server_name(struct client *c, const char *url, struct view server_name,
                            struct error *err)
{
    bool ok = false;
    char *host = NULL, *port = NULL, *renamed = NULL;
    char *name = mem_copy_string(MEM_SCRAPE, server_name);
    CURLU *parts = curl_url();
    if (parts && curl_url_set(parts, CURLUPART_URL, url, 0) == CURLUE_OK &&
        curl_url_get(parts, CURLUPART_HOST, &host, 0) == CURLUE_OK &&
        curl_url_get(parts, CURLUPART_PORT, &port, CURLU_DEFAULT_PORT) == CURLUE_OK &&
        curl_url_set(parts, CURLUPART_HOST, name, 0) == CURLUE_OK &&
        curl_url_get(parts, CURLUPART_URL, &renamed, 0) == CURLUE_OK)
        ok = header_add(&c->connect_to, err, "%s:%s:%s:%s", name, port, host, port) &&
             client_header(c, err, "Host: %s:%s", host, port) &&
             set_text(c->easy, CURLOPT_URL, view_from(renamed), err);
    else
        error_set(err, ERROR_INPUT, "could not use server_name \"%s\" for this URL", name);
    CURL_NEVER_FAILS(curl_easy_setopt(c->easy, CURLOPT_CONNECT_TO, c->connect_to));
    curl_free(host);
    curl_free(port);
    curl_free(renamed);
    curl_url_cleanup(parts);
    mem_free(MEM_SCRAPE, name);
    return ok;
}

static bool set_tls(struct client *c, const char *url, const struct config_tls *tls,
                    struct error *err)
{
    CURL *easy = c->easy;
    CURL_NEVER_FAILS(curl_easy_setopt(easy, CURLOPT_SSLVERSION, tls_versions(tls)));
    if (tls->insecure_skip_verify) {
        CURL_NEVER_FAILS(curl_easy_setopt(easy, CURLOPT_SSL_VERIFYPEER, 0L));
        CURL_NEVER_FAILS(curl_easy_setopt(easy, CURLOPT_SSL_VERIFYHOST, 0L));
    }
    if ((tls->ca_file.len && !set_file(easy, CURLOPT_CAINFO, tls->ca_file, err)) ||
        (tls->ca.len && !set_material(c, CURLOPT_CAINFO, tls->ca, err)))
        return false;
    if (c->foreign)
        return true;
    return set_client_certificate(c, tls, err) &&
           (tls->server_name.len == 0 || set_server_name(c, url, tls->server_name, err));
}

/* ---- a request ---- */

/* The environment's is in no configuration. Without a scheme it is http, to libcurl as to Go. */
static void add_proxy_secret(struct client *c, struct view proxy)
{
    struct buffer url;
    buffer_init(&url, MEM_SCRAPE, CLIENT_PROXY_BYTES_MAX + 8);
    if (proxy.len && !memmem(proxy.ptr, proxy.len, "://", 3))
        buffer_append_literal(&url, "http://");
    buffer_append_view(&url, proxy);
    redaction_add_userinfo(c->secrets, buffer_view(&url));
    client_secret_wipe(&url);
}

static bool set_proxy(struct client *c, const char *url, const struct config_proxy *proxy,
                      struct error *err)
{
    struct buffer use;
    buffer_init(&use, MEM_SCRAPE, CLIENT_PROXY_BYTES_MAX);
    client_proxy_for(proxy, url, &use);
    add_proxy_secret(c, buffer_view(&use));
    /* Without empty ones libcurl asks the environment, which Prometheus does not. */
    bool ok = set_text(c->easy, CURLOPT_PROXY, buffer_view(&use), err) &&
              set_text(c->easy, CURLOPT_NOPROXY, VIEW(""), err);
    if (ok && use.len) {
        ok = add_configured_headers(c, &c->proxy_headers, &proxy->connect_headers, err);
        CURL_NEVER_FAILS(curl_easy_setopt(c->easy, CURLOPT_HEADEROPT, (long)CURLHEADER_SEPARATE));
        CURL_NEVER_FAILS(curl_easy_setopt(c->easy, CURLOPT_PROXYHEADER, c->proxy_headers));
    }
    client_secret_wipe(&use); /* it may hold a password */
    return ok;
}

/* What a request for a token and one with it have in common. */
static bool set_connection(struct client *c, const char *url, const struct config_tls *tls,
                           const struct config_proxy *proxy, bool http2, struct error *err)
{
    CURL_NEVER_FAILS(curl_easy_setopt(c->easy, CURLOPT_PROTOCOLS_STR, "http,https"));
    CURL_NEVER_FAILS(
        curl_easy_setopt(c->easy, CURLOPT_HTTP_VERSION,
                         http2 ? (long)CURL_HTTP_VERSION_2TLS : (long)CURL_HTTP_VERSION_1_1));
    return set_text(c->easy, CURLOPT_URL, view_from(url), err) && set_proxy(c, url, proxy, err) &&
           (strncmp(url, "https:", 6) != 0 || set_tls(c, url, tls, err));
}

static size_t on_token_bytes(char *bytes, size_t size, size_t count, void *arg)
{
    struct client *c = arg;
    buffer_append(&c->token_answer, bytes, size * count);
    return c->token_answer.failed ? 0 : size * count;
}

static size_t ignore_header(char *bytes, size_t size, size_t count, void *arg)
{
    return size * count;
}

/* Makes the handle ask for a token instead. */
static bool ask_token(struct client *c, const struct config_oauth2 *oauth2,
                      struct client_token_request *request, struct error *err)
{
    char *url = mem_copy_string(MEM_SCRAPE, oauth2->token_url);
    client_reset(c);
    c->asks_token = true;
    c->token_key = request->key;
    buffer_init(&c->token_answer, MEM_SCRAPE, CLIENT_TOKEN_BYTES_MAX);
    c->token_text = mem_copy_string(MEM_SCRAPE, buffer_view(&request->form));
    bool ok = set_connection(c, url, &oauth2->tls, &oauth2->proxy, true, err) &&
              client_header(c, err, "Accept: application/json") &&
              (request->basic.len == 0 || client_header(c, err, "Authorization: Basic %.*s",
                                                        VIEW_ARGS(buffer_view(&request->basic))));
    mem_free(MEM_SCRAPE, url);
    CURL_NEVER_FAILS(curl_easy_setopt(c->easy, CURLOPT_POSTFIELDS, c->token_text));
    CURL_NEVER_FAILS(curl_easy_setopt(c->easy, CURLOPT_HTTPHEADER, c->headers));
    CURL_NEVER_FAILS(curl_easy_setopt(c->easy, CURLOPT_WRITEFUNCTION, on_token_bytes));
    CURL_NEVER_FAILS(curl_easy_setopt(c->easy, CURLOPT_WRITEDATA, c));
    CURL_NEVER_FAILS(curl_easy_setopt(c->easy, CURLOPT_HEADERFUNCTION, ignore_header));
    CURL_NEVER_FAILS(curl_easy_setopt(c->easy, CURLOPT_HEADERDATA, NULL));
    return ok;
}

/* "Bearer TOKEN" */
static void add_token(const struct client *c, struct view header)
{
    const char *blank = header.len ? memchr(header.ptr, ' ', header.len) : NULL;
    redaction_add(c->secrets,
                  view_slice(header, blank ? (size_t)(blank - header.ptr) + 1 : 0, header.len));
}

/* With the token that is known; else c->asks_token is set. */
static bool set_token(struct client *c, const struct config_oauth2 *oauth2,
                      struct client_tokens *tokens, struct error *err)
{
    struct client_token_request request;
    struct buffer token;
    if (!client_token_request_init(&request, oauth2, c->token_in_form, c->secrets, err))
        return false;
    buffer_init(&token, MEM_SCRAPE, CLIENT_TOKEN_BYTES_MAX);
    bool ok = client_tokens_get(tokens, request.key, &token);
    if (ok)
        add_token(c, buffer_view(&token));
    if (ok)
        ok = client_header(c, err, "Authorization: %.*s", VIEW_ARGS(buffer_view(&token)));
    else if (c->token_is_fresh)
        ok = error_set(err, ERROR_UNAVAILABLE, "the OAuth2 token expired before it could be used");
    else
        ok = ask_token(c, oauth2, &request, err);
    client_secret_wipe(&token);
    client_token_request_deinit(&request);
    return ok;
}

bool client_prepare(struct client *c, const struct config_http_client *http, const char *url,
                    struct client_tokens *tokens, struct error *err)
{
    c->asks_token = false;
    c->material = client_tokens_material(tokens);
    if (http->oauth2 && !c->foreign) {
        if (!set_token(c, http->oauth2, tokens, err))
            return false;
        if (c->asks_token)
            return true;
    }
    if (!set_connection(c, url, &http->tls, &http->proxy, http->enable_http2, err))
        return false;
    if (!c->foreign && (!set_credentials(c, http, err) ||
                        !add_configured_headers(c, &c->headers, &http->http_headers, err)))
        return false;
    CURL_NEVER_FAILS(curl_easy_setopt(c->easy, CURLOPT_HTTPHEADER, c->headers));
    return true;
}

bool client_prepare_tls(struct client *c, const struct config_tls *tls, const char *url,
                        struct client_tokens *tokens, struct error *err)
{
    c->material = client_tokens_material(tokens);
    return set_tls(c, url, tls, err);
}

bool client_take_token(struct client *c, struct client_tokens *tokens, long status,
                       struct error *err)
{
    bool ok = client_tokens_take(tokens, c->token_key, status, buffer_view(&c->token_answer), err);
    client_reset(c);
    c->token_is_fresh = ok;
    if (!ok && status >= 400 && status < 500 && !c->token_in_form) {
        c->token_in_form = true; /* once more, as Go's oauth2 does */
        return true;
    }
    return ok;
}

/* ---- redirects ---- */

/* Same scheme, host and port? */
static bool same_origin(const char *a, const char *b)
{
    static const CURLUPart PARTS[] = {CURLUPART_SCHEME, CURLUPART_HOST, CURLUPART_PORT};
    CURLU *ua = curl_url(), *ub = curl_url();
    bool same = ua && ub && curl_url_set(ua, CURLUPART_URL, a, 0) == CURLUE_OK &&
                curl_url_set(ub, CURLUPART_URL, b, 0) == CURLUE_OK;
    for (size_t i = 0; same && i < sizeof PARTS / sizeof *PARTS; i++) {
        char *pa = NULL, *pb = NULL;
        same = curl_url_get(ua, PARTS[i], &pa, CURLU_DEFAULT_PORT) == CURLUE_OK &&
               curl_url_get(ub, PARTS[i], &pb, CURLU_DEFAULT_PORT) == CURLUE_OK &&
               strcasecmp(pa, pb) == 0;
        curl_free(pa);
        curl_free(pb);
    }
    curl_url_cleanup(ua);
    curl_url_cleanup(ub);
    return same;
}

bool client_redirect(struct client *c, const struct config_http_client *http, const char *origin,
                     long status, char **to, struct error *err)
{
    char *next = NULL;
    *to = NULL;
    if (!http->follow_redirects ||
        (status != 301 && status != 302 && status != 303 && status != 307 && status != 308))
        return true;
    CURL_NEVER_FAILS(curl_easy_getinfo(c->easy, CURLINFO_REDIRECT_URL, &next));
    if (!next)
        return true;
    if (++c->redirects > CLIENT_REDIRECTS_MAX)
        return error_set(err, ERROR_INPUT, "stopped after %d redirects", CLIENT_REDIRECTS_MAX);
    if (strncasecmp(next, "http://", 7) != 0 && strncasecmp(next, "https://", 8) != 0)
        return error_set(err, ERROR_INPUT,
                         "redirected to \"%.100s\", which is neither http nor https", next);
    *to = mem_copy_string(MEM_SCRAPE, view_from(next)); /* the handle's own is about to go */
    /* Once away there is no way back: a redirect from a stranger must not send our secrets home. */
    if (!same_origin(origin, *to))
        c->foreign = true;
    return true;
}
