/* SPDX-License-Identifier: Apache-2.0 */
/* context.h: what a thread is working for: its innermost scope, and the request id outside of all scopes. */
#ifndef BELFRY_INSTRUMENT_CONTEXT_H
#define BELFRY_INSTRUMENT_CONTEXT_H

#include "base/attributes.h"
#include "belfry/log.h"
#include "belfry/request.h"

struct thread_context {
    belfry_scope *top;                                /* NULL = none */
    char request_id[BELFRY_REQUEST_ID_BYTES_MAX + 1]; /* "" = none */
};

/* Initial-exec: one load, also in a shared library. */
extern _Thread_local struct thread_context belfry__context
    __attribute__((tls_model("initial-exec")));

/* Enters with another request or span; NULL = the outer one's. */
void belfry__scope_push(belfry_scope *scope, belfry_request *request, belfry_span *span,
                        const char *request_id, const belfry_field *fields, size_t count);

#endif
