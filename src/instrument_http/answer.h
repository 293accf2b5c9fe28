/* SPDX-License-Identifier: Apache-2.0 */
/* answer.h: from what a request says to what will be sent, without knowing how it came: path, method, credentials,
 * format and compression. The three ways in (endpoint.c, embed.c, embed_mhd.c) differ in how they carry it. */
#ifndef BELFRY_INSTRUMENT_HTTP_ANSWER_H
#define BELFRY_INSTRUMENT_HTTP_ANSWER_H

#include "base/attributes.h"
#include "instrument_http/encode.h"

#include <belfry/exposition.h>
#include <belfry/http.h>

enum { HTTP_FAMILY_NAMES_MAX = 256, HTTP_TEXT_BYTES = 1024 };

struct http_query {
    const char *method;
    const char *path; /* ends at a "?" or NUL */
    const char *accept, *accept_encoding, *authorization;
};

struct http_plan {
    int status;
    bool is_head;          /* headers only */
    bool is_metrics;       /* the body is belfry__http_render()'s, else `text` */
    bool is_denied;        /* for statistics */
    belfry_exposition how; /* its names are `names` */
    enum http_encoding encoding;
    char **
        names; /* families that are asked for; all when there is none. Owned: belfry__plan_deinit() */
    size_t name_count;
    belfry_http_header headers[BELFRY_HTTP_HEADERS_MAX]; /* static texts */
    size_t header_count;
    char text[HTTP_TEXT_BYTES]; /* NUL-terminated */
    char *long_text;            /* in its place, when not NULL; owned */
};

/* Fills *out whatever is asked. Any thread. */
void belfry__plan_init(struct http_plan *out, const belfry_http *http, const struct http_query *q);
void belfry__plan_deinit(struct http_plan *plan);
/* Turns it into a refusal with one line of text; `status` with a header of its own is the caller's. */
void belfry__plan_refuse(struct http_plan *plan, int status, const char *text);
/* The body of what is not metrics; NUL-terminated. */
const char *belfry__plan_text(const struct http_plan *plan);
void belfry__plan_header(struct http_plan *plan, const char *name, const char *value);
/* Takes name[] out of a query (behind the "?", percent-encoded; NULL = none). A metrics plan becomes a 400 when it
 * cannot be read. */
void belfry__plan_take_query(struct http_plan *plan, const char *query);
/* One more family; copied. */
void belfry__plan_add_name(struct http_plan *plan, const char *name, size_t len);
/* Writes the metrics through the plan's compression. False: `sink` said no, or there was no memory. */
MUST_USE bool belfry__http_render(const belfry_http *http, const struct http_plan *plan,
                                  encode_sink sink, void *arg);
/* The answer's limit when it is held whole. */
size_t belfry__http_answer_bytes_max(const belfry_http *http);

#endif
