/* SPDX-License-Identifier: Apache-2.0 */
/* aws_signature.h: AWS Signature Version 4 of a request. */
#ifndef BELFRY_ALERTING_AWS_SIGNATURE_H
#define BELFRY_ALERTING_AWS_SIGNATURE_H

#include "base/arena.h"
#include "base/attributes.h"
#include "base/clock.h"
#include "base/error.h"
#include "base/secret.h"
#include "base/view.h"

struct aws_credentials {
    struct view access_key;
    struct secret secret_key;
    struct secret session_token; /* not set: the keys are of a person or a role that lasts */
};

struct aws_request {
    struct view method;
    struct view host;         /* as in the Host header */
    struct view path;         /* as it is sent; empty: / */
    struct view query;        /* as it is sent, without ?; may be empty */
    struct view content_type; /* empty: none is sent */
    struct view body;
    struct view region, service;
};

/* The headers that go with the request, beside Host and Content-Type, and with a session token X-Amz-Security-Token. */
struct aws_signature {
    struct view date; /* X-Amz-Date */
    struct view authorization;
};

/* Sets host, path and query as libcurl will send them, in `arena`. ERROR_INPUT. */
MUST_USE bool aws_request_url(struct arena *arena, struct view url, struct aws_request *r,
                              struct error *err);

/* In `arena`. Any thread. */
struct aws_signature aws_sign(struct arena *arena, const struct aws_credentials *credentials,
                              const struct aws_request *request, wall_time now);

#endif
