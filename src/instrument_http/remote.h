/* SPDX-License-Identifier: Apache-2.0 */
/* remote.h: requests of our own, over one kept connection. One call at a time. */
#ifndef BELFRY_INSTRUMENT_HTTP_REMOTE_H
#define BELFRY_INSTRUMENT_HTTP_REMOTE_H

#include "base/attributes.h"

#include <belfry/push.h>
#include <stdatomic.h>

struct remote; /* opaque */

enum { REMOTE_REPLY_BYTES = 1024 };

struct remote_request {
    const char *method;         /* "PUT", "POST", "DELETE" */
    const char *url;            /* NULL = the remote's */
    const char *const *headers; /* "Name: value" */
    size_t header_count;
    const char *body;
    size_t body_bytes;
};

/* All zero before the call. */
struct remote_reply {
    int status;              /* 0 = none came */
    uint32_t retry_after_ms; /* 0 = not said */
    size_t body_bytes;
    char body[REMOTE_REPLY_BYTES]; /* its begin, NUL-terminated */
    char trouble[160];             /* why none came */
};

/* *canceled, when not NULL, ends requests within a second; it outlives the remote. */
MUST_USE belfry_status belfry__remote_new(struct remote **out, const belfry_remote *options,
                                          _Atomic bool *canceled, belfry_http_error *error);
void belfry__remote_free(struct remote *r); /* NULL is fine */
const char *belfry__remote_url(const struct remote *r);
/* Waits for the answer, at most the timeout (or `timeout_ms`, when that is not 0 and less). */
void belfry__remote_send(struct remote *r, const struct remote_request *request, int64_t timeout_ms,
                         struct remote_reply *reply);

#endif
