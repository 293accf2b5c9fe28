/* SPDX-License-Identifier: Apache-2.0 */
/* span.c: one piece of work. Attributes and events are laid out as JSON when they are set: the span borrows nothing, and sending it
 * is joining texts. */
#include "instrument/context.h"
#include "instrument/request_private.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

static int64_t now_ns(clockid_t clock)
{
    struct timespec t;
    clock_gettime(clock, &t);
    return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

/* On the clock of its start, moved by the monotonic one: a span never ends before it began. */
static int64_t span_now_ns(const belfry_span *s)
{
    return s->start_ns + (now_ns(CLOCK_MONOTONIC) - s->start_mono_ns);
}

void belfry_span_set_name(belfry_span *span, const char *name)
{
    if (!span || !name)
        return;
    size_t len = strnlen(name, BELFRY_SPAN_NAME_BYTES_MAX);
    memcpy(span->name, name, len);
    span->name[len] = '\0';
}

belfry_span *belfry__span_new(belfry_tracer *tracer, const belfry_trace_context *context,
                              const belfry_trace_context *parent, bool is_parent_remote,
                              const char *tracestate, const char *name, belfry_span_kind kind)
{
    belfry_span *s = calloc(1, sizeof *s);
    struct text state = {0};
    if (s && tracestate && *tracestate) {
        belfry__otlp_string(&state, tracestate);
        belfry__text_byte(&state, '\0');
    }
    if (!s || state.failed) {
        belfry__text_deinit(&state);
        free(s);
        belfry__tracer_count_dropped(tracer, 1);
        return NULL;
    }
    s->tracer = tracer;
    s->context = *context;
    if (parent)
        memcpy(s->parent_id, parent->span_id, sizeof s->parent_id);
    s->is_parent_remote = parent && is_parent_remote;
    s->kind = kind;
    s->tracestate = state.ptr;
    belfry__hex(s->trace_id, context->trace_id, sizeof context->trace_id);
    s->exemplar = (belfry_label){"trace_id", s->trace_id};
    s->start_ns = now_ns(CLOCK_REALTIME);
    s->start_mono_ns = now_ns(CLOCK_MONOTONIC);
    belfry_span_set_name(s, name ? name : "");
    return s;
}

void belfry__span_free(belfry_span *span)
{
    belfry__text_deinit(&span->attributes);
    belfry__text_deinit(&span->events);
    belfry__text_deinit(&span->message);
    free(span->tracestate);
    free(span);
}

static belfry_span *start(belfry_tracer *tracer, const belfry_trace_context *parent,
                          bool is_parent_remote, const char *tracestate, const char *name,
                          belfry_span_kind kind)
{
    belfry_trace_context own;
    if (parent && !(parent->flags & BELFRY_TRACE_SAMPLED))
        return NULL;
    if (!belfry__tracer_ids(tracer, parent, &own)) {
        belfry__tracer_count_dropped(tracer, 1);
        return NULL;
    }
    if (!(own.flags & BELFRY_TRACE_SAMPLED))
        return NULL;
    return belfry__span_new(tracer, &own, parent, is_parent_remote, tracestate, name, kind);
}

belfry_span *belfry_span_start(belfry_tracer *tracer, const char *name, belfry_span_kind kind)
{
    if (!tracer)
        return NULL;
    const belfry_scope *top = belfry__context.top;
    belfry_trace_context parent;
    if (!top || !belfry__scope_trace(top, &parent))
        return start(tracer, NULL, false, NULL, name, kind);
    bool is_remote = !top->span && belfry__request_is_remote(top->request);
    return start(tracer, &parent, is_remote, belfry_request_tracestate(top->request), name, kind);
}

belfry_span *belfry_span_start_under(belfry_tracer *tracer, const belfry_trace_context *parent,
                                     const char *name, belfry_span_kind kind)
{
    return tracer ? start(tracer, parent, true, NULL, name, kind) : NULL;
}

void belfry_span_end(belfry_span *span)
{
    if (!span)
        return;
    span->end_ns = span_now_ns(span);
    belfry__tracer_queue(span->tracer, span);
}

void belfry_span_enter(belfry_span *span, belfry_scope *scope)
{
    belfry__scope_push(scope, NULL, span, NULL, NULL, 0);
}

void belfry_span_set(belfry_span *span, belfry_field attribute)
{
    if (!span)
        return;
    size_t room = BELFRY_SPAN_TEXT_BYTES_MAX - span->events.len;
    if (span->attribute_count < BELFRY_SPAN_ATTRIBUTES_MAX &&
        belfry__otlp_attribute(&span->attributes, &attribute, room))
        span->attribute_count++;
    else
        span->attributes_dropped++;
}

void belfry_span_event(belfry_span *span, const char *name, const belfry_field *fields,
                       size_t count)
{
    if (!span)
        return;
    size_t room = BELFRY_SPAN_TEXT_BYTES_MAX - span->attributes.len;
    if (span->event_count < BELFRY_SPAN_EVENTS_MAX &&
        belfry__otlp_event(&span->events, span_now_ns(span), name ? name : "", fields, count, room))
        span->event_count++;
    else
        span->events_dropped++;
}

void belfry_span_fail(belfry_span *span, const char *message)
{
    if (!span)
        return;
    span->status = 2;
    belfry__text_deinit(&span->message);
    if (message)
        belfry__otlp_string(&span->message, message);
    if (span->message.failed)
        belfry__text_deinit(&span->message); /* without its message it is still an error */
}

void belfry_span_succeed(belfry_span *span)
{
    if (!span)
        return;
    span->status = 1;
    belfry__text_deinit(&span->message);
}

const belfry_label *belfry__span_exemplar(const belfry_span *span, size_t *count)
{
    *count = 1;
    return &span->exemplar;
}

bool belfry_span_context(const belfry_span *span, belfry_trace_context *out)
{
    if (!span)
        return false;
    *out = span->context;
    return true;
}
