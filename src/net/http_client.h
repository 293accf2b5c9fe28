/* SPDX-License-Identifier: Apache-2.0 */
/* http_client.h: one HTTP request, waited for: what the command line needs. (Scraping drives its own
 * transfers, see ingest/.) */
#ifndef BELFRY_NET_HTTP_CLIENT_H
#define BELFRY_NET_HTTP_CLIENT_H

#include "base/attributes.h"
#include "base/buffer.h"
#include "base/error.h"

#include <stdbool.h>
#include <stdint.h>

struct http_fetch {
    const char *url;            /* http or https */
    struct view form;           /* when not empty: POST it as application/x-www-form-urlencoded */
    const char *const *headers; /* "Name: value"; may be NULL */
    size_t header_count;
    int64_t timeout_ms; /* 0 = 2 min */
};

/* Appends the answer's body to `body` (its maximum is the limit) and sets *status. An answer with an error status
 * is not an error here. ERROR_IO when there was no answer, ERROR_TOO_LARGE. Any thread. */
MUST_USE bool http_fetch(const struct http_fetch *request, struct buffer *body, int *status,
                         struct error *err);
/* The message without the user's password that the URL may have. */
void http_hide_userinfo(const char *url, struct error *err);
/* Appends text percent-encoded for a query string. */
void http_escape(struct buffer *out, struct view text);

#endif
