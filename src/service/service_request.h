/* SPDX-License-Identifier: Apache-2.0 */
/* service_request.h: what handlers of a service ask of the kit: the request's id, errors in the service's form, JSON,
 * bearer tokens, a state that lives as long as the request. All on the thread that has the request. */
#ifndef BELFRY_SERVICE_SERVICE_REQUEST_H
#define BELFRY_SERVICE_SERVICE_REQUEST_H

#include "base/arena.h"
#include "base/attributes.h"
#include "base/buffer.h"
#include "base/secret.h"
#include "net/http_server.h"

#include <stdbool.h>

/* An error as the service's error_body() sees it. */
struct service_error {
    int status;
    const char *code;              /* "not_found" */
    const char *user_message;      /* for the client */
    const char *developer_message; /* for the log; "" = nothing more */
    const char *request_id;
    struct view extra; /* of service_set_error_extra(); empty = none */
    struct http_request *request;
};

/* Eight hexadecimal digits, or what the client sent. Lives as long as the request. */
const char *service_request_id(struct http_request *rq);
/* Another record of the same id and trace, for work that may outlive the request: belfry_request_enter() on its thread, at the end
 * belfry_request_end(). NULL without memory, which both take. */
struct belfry_request *service_request_copy(struct http_request *rq);
/* The client's address without its port. Lives as long as the request. */
const char *service_request_address(struct http_request *rq);
/* `release(state)` is called when the request ends, on any thread. One state per request: a second one replaces (and
 * releases) the first. */
void service_request_set_state(struct http_request *rq, void *state, void (*release)(void *state));
void *service_request_state(struct http_request *rq); /* NULL = none */

/* Answers with an error; http_error in the log has both messages. `code` is static; developer_format may be NULL. */
void service_fail(struct http_response *rs, int status, const char *code, const char *user_message,
                  const char *developer_format, ...) PRINTF_LIKE(5, 6);
/* Before service_fail(): goes to error_body(), such as a JSON object of fields. Copied. */
void service_set_error_extra(struct http_request *rq, struct view extra);
/* A security_violation in the log: who tried what. No secret in it. */
void service_violation(struct http_request *rq, const char *code, const char *format, ...)
    PRINTF_LIKE(3, 4);

/* The body, with application/json as its type. The kit ends it with a newline. */
struct buffer *service_json(struct http_response *rs);

enum service_bearer { SERVICE_BEARER_MISSING, SERVICE_BEARER_WRONG, SERVICE_BEARER_RIGHT };
/* Authorization: Bearer, compared in constant time. */
enum service_bearer service_bearer_check(struct http_request *rq, const struct secret *token);
/* In constant time for texts of equal length. */
bool service_secret_equals(const struct secret *secret, struct view text);

#endif
