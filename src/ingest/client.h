/* SPDX-License-Identifier: Apache-2.0 */
/* client.h: what the HTTP client options of a job or a discovery (struct config_http_client) mean for one request of
 * libcurl: TLS, credentials, OAuth2 tokens, proxies, headers and where redirects may carry them.
 *
 * A struct client belongs to an easy handle. Its user resets the handle, sets callbacks and timeouts, then calls
 * client_prepare() last; when the transfer has ended it asks client_next(), which may have set up another request
 * (a token has come, a redirect is followed). One thread at a time; a struct client_tokens is shared by all. */
#ifndef BELFRY_INGEST_CLIENT_H
#define BELFRY_INGEST_CLIENT_H

#include "base/attributes.h"
#include "base/buffer.h"
#include "base/error.h"
#include "base/redaction.h"
#include "ingest/config.h"

#include <curl/curl.h>
#include <stdarg.h>
#include <stdbool.h>

enum {
    CLIENT_REDIRECTS_MAX = 10,
    CLIENT_TLS_FILE_BYTES_MAX = 4 << 20, /* of certificates and keys */
    CLIENT_SECRET_BYTES_MAX = 1 << 20,
    CLIENT_PROXY_BYTES_MAX = 64 << 10, /* of its URL */
    CLIENT_TOKEN_BYTES_MAX = 1 << 20
};

/* What all clients share: OAuth2 tokens by what they were asked with, kept until 10 s before they expire, and TLS
 * material of the configuration as files. Any thread. */
struct client_tokens;
struct client_tokens *client_tokens_new(void);
void client_tokens_free(struct client_tokens *t); /* NULL is fine */

struct client {
    CURL *easy;                       /* borrowed */
    struct client_material *material; /* of the tokens that the request at hand was prepared with */
    struct curl_slist *headers, *connect_to, *proxy_headers;
    unsigned redirects;
    bool foreign;        /* redirected away from its origin: no credentials any more */
    bool asks_token;     /* the request at hand is for a token */
    bool token_is_fresh; /* one was fetched for this request: no second time */
    bool token_in_form;  /* the endpoint did not take the client's secret in a header */
    uint64_t token_key;  /* what the token is asked with */
    struct buffer token_answer;
    char *token_text; /* the form that asks for it; holds the secret */
    struct redaction *
        secrets; /* borrowed; gets what requests carry, also of files and tokens. NULL: nobody wants to know */
};

/* Forgets all of the request before. Call it before the handle serves somebody else, too. */
void client_reset(struct client *c);
void client_deinit(struct client *c);

/* "Name: value" for the request that is prepared next. ERROR_INPUT for line feeds, ERROR_LIMIT. */
MUST_USE bool client_header(struct client *c, struct error *err, const char *format, ...)
    PRINTF_LIKE(3, 4);

/* Sets everything on the handle for a request to `url`, with the headers added so far. Files of secrets are read
 * now. Where a token is needed first, the handle asks for that: c->asks_token. ERROR_INPUT, ERROR_IO (a file). */
MUST_USE bool client_prepare(struct client *c, const struct config_http_client *http,
                             const char *url, struct client_tokens *tokens, struct error *err);

/* The TLS of a request that is not HTTP (mail): versions, authorities, certificate, server_name, which may change the URL of
 * the handle. ERROR_INPUT, ERROR_IO. */
MUST_USE bool client_prepare_tls(struct client *c, const struct config_tls *tls, const char *url,
                                 struct client_tokens *tokens, struct error *err);

/* The answer to a request for a token: true when the request can be prepared again, else the reason. */
MUST_USE bool client_take_token(struct client *c, struct client_tokens *tokens, long status,
                                struct error *err);

/* Where an answer with this status sends the request on to. *to is owned by the caller (mem_free, MEM_SCRAPE) and NULL
 * when the answer is no redirect that is followed. `origin` is the first URL of the request. Sets c->foreign.
 * Errors: too many, neither http nor https. */
MUST_USE bool client_redirect(struct client *c, const struct config_http_client *http,
                              const char *origin, long status, char **to, struct error *err);

/* client_proxy.c: appends the proxy's URL for this URL; nothing: none. no_proxy has the meaning it has in Go. */
void client_proxy_for(const struct config_proxy *proxy, const char *url, struct buffer *out);

#endif
