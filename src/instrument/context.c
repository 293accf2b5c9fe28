/* SPDX-License-Identifier: Apache-2.0 */
/* context.c: see context.h. Scopes are the callers': entering and leaving is linking, nothing is copied. */
#include "instrument/context.h"

#include "instrument/exemplar.h"
#include "instrument/request_private.h"

#include <stdio.h>

_Thread_local struct thread_context belfry__context;

/* What the thread counts from now on is of the scope's request, or else span. Without memory: of nothing. */
static void set_exemplar(const belfry_scope *scope)
{
    size_t count = 0;
    const belfry_label *labels = NULL;
    if (scope && scope->request)
        labels = belfry__request_exemplar(scope->request, &count);
    else if (scope && scope->span)
        labels = belfry__span_exemplar(scope->span, &count);
    (void)belfry__exemplar_set(labels, count);
}

void belfry__scope_push(belfry_scope *scope, belfry_request *request, belfry_span *span,
                        const char *request_id, const belfry_field *fields, size_t count)
{
    belfry_scope *outer = belfry__context.top;
    scope->outer = outer;
    scope->request = request || !outer ? request : outer->request;
    scope->span = span || request || !outer ? span : outer->span;
    scope->request_id = request_id || !outer ? request_id : outer->request_id;
    scope->fields = fields;
    scope->count = fields ? count : 0;
    belfry__context.top = scope;
    if (request || span)
        set_exemplar(scope);
}

void belfry_scope_enter(belfry_scope *scope, const char *request_id, const belfry_field *fields,
                        size_t count)
{
    belfry__scope_push(scope, NULL, NULL, request_id, fields, count);
}

void belfry_scope_leave(belfry_scope *scope)
{
    const belfry_scope *before = belfry__context.top;
    belfry_scope *s = belfry__context.top;
    while (s && s != scope)
        s = s->outer;
    if (!s)
        return;
    const belfry_scope *outer = belfry__context.top = s->outer;
    if (before->request != (outer ? outer->request : NULL) ||
        before->span != (outer ? outer->span : NULL))
        set_exemplar(outer);
}

void belfry_log_set_request_id(const char *request_id)
{
    snprintf(belfry__context.request_id, sizeof belfry__context.request_id, "%s",
             request_id ? request_id : "");
}

const char *belfry_log_request_id(void)
{
    const struct thread_context *c = &belfry__context;
    if (c->top && c->top->request_id)
        return c->top->request_id;
    return c->request_id[0] ? c->request_id : NULL;
}
