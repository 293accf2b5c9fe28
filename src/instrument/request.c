/* SPDX-License-Identifier: Apache-2.0 */
/* request.c: a request's identity: its id, its trace, its fields. Constant once made, but for fields, which are published by their
 * number, and the own span, which whoever ends the request takes out. */
#include "belfry/request.h"

#include "instrument/context.h"
#include "instrument/request_private.h"
#include "instrument/status.h"

#include <stdlib.h>
#include <string.h>

enum { FIELDS_MAX = 8, FIELD_TEXT_BYTES_MAX = 1024 };

struct belfry_request {
    _Atomic unsigned references;
    char id[BELFRY_REQUEST_ID_BYTES_MAX + 1]; /* constant, like the next seven */
    bool has_trace;
    bool is_trace_own; /* `trace` is of a span here, not of the client's */
    belfry_trace_context trace;
    char tracestate[BELFRY_TRACESTATE_BYTES_MAX + 1];
    char trace_id[TRACE_ID_HEX_BYTES];
    belfry_label exemplar[2]; /* request_id and, of a trace that is recorded, trace_id */
    size_t exemplar_count;

    _Atomic(belfry_span *) span; /* taken out when the request ends */

    _Atomic size_t field_count; /* release: what is before it is constant */
    size_t text_bytes;          /* the thread that adds */
    belfry_field fields[FIELDS_MAX];
    char text[FIELD_TEXT_BYTES_MAX];
};

static bool set_id(belfry_request *r, const char *id, size_t len)
{
    if (!belfry_request_id_is_valid(id, len))
        return belfry_request_id_make(r->id) == BELFRY_OK;
    memcpy(r->id, id, len);
    r->id[len] = '\0';
    return true;
}

/* Its place in a trace, and its own span where a tracer wants one. */
static bool set_trace(belfry_request *r, const belfry_request_options *o)
{
    belfry_trace_context client, own;
    bool has_client = belfry_traceparent_parse(&client, o->traceparent, o->traceparent_bytes);
    if (has_client) {
        r->has_trace = true;
        r->trace = client;
        belfry_tracestate_clean(r->tracestate, o->tracestate, o->tracestate_bytes);
    }
    if (!o->tracer || (has_client && !(client.flags & BELFRY_TRACE_SAMPLED)))
        return true; /* passed on as it came */
    if (!belfry__tracer_ids(o->tracer, has_client ? &client : NULL, &own))
        return false;
    r->has_trace = r->is_trace_own = true;
    r->trace = own;
    if (own.flags & BELFRY_TRACE_SAMPLED)
        atomic_init(&r->span, belfry__span_new(
                                  o->tracer, &own, has_client ? &client : NULL, true, r->tracestate,
                                  o->span_name ? o->span_name : "request", BELFRY_SPAN_SERVER));
    return true;
}

/* A trace that nobody records leads nowhere. At most 114 characters of the 128 that an exemplar may have. */
static void set_exemplar(belfry_request *r)
{
    r->exemplar[0] = (belfry_label){"request_id", r->id};
    r->exemplar_count = 1;
    if (!r->has_trace || !(r->trace.flags & BELFRY_TRACE_SAMPLED))
        return;
    belfry__hex(r->trace_id, r->trace.trace_id, sizeof r->trace.trace_id);
    r->exemplar[r->exemplar_count++] = (belfry_label){"trace_id", r->trace_id};
}

belfry_status belfry_request_new(belfry_request **out, const belfry_request_options *options)
{
    *out = NULL;
    belfry_request *r = malloc(sizeof *r);
    if (!r)
        return belfry__fail_plainly(BELFRY_ERROR_MEMORY);
    atomic_init(&r->references, 1);
    atomic_init(&r->span, NULL);
    atomic_init(&r->field_count, 0);
    r->text_bytes = 0;
    r->has_trace = r->is_trace_own = false;
    r->tracestate[0] = '\0';
    if (!set_id(r, options->request_id, options->request_id_bytes) || !set_trace(r, options)) {
        free(r);
        return belfry__fail(BELFRY_ERROR_SYSTEM, "the system gave no random bytes for an id");
    }
    set_exemplar(r);
    *out = r;
    return BELFRY_OK;
}

belfry_request *belfry_request_ref(belfry_request *request)
{
    if (request)
        atomic_fetch_add_explicit(&request->references, 1, memory_order_relaxed);
    return request;
}

static void end_span(belfry_request *request)
{
    belfry_span_end(atomic_exchange_explicit(&request->span, NULL, memory_order_acq_rel));
}

void belfry_request_unref(belfry_request *request)
{
    if (!request || atomic_fetch_sub_explicit(&request->references, 1, memory_order_acq_rel) != 1)
        return;
    end_span(request);
    free(request);
}

void belfry_request_end(belfry_request *request)
{
    if (!request)
        return;
    end_span(request);
    belfry_request_unref(request);
}

void belfry_request_enter(belfry_request *request, belfry_scope *scope)
{
    belfry__scope_push(scope, request, NULL, request ? request->id : NULL, NULL, 0);
}

belfry_request *belfry_request_current(void)
{
    return belfry__context.top ? belfry__context.top->request : NULL;
}

bool belfry_request_add_field(belfry_request *r, belfry_field field)
{
    if (!r || !field.key)
        return false;
    size_t count = atomic_load_explicit(&r->field_count, memory_order_relaxed);
    size_t key_bytes = strlen(field.key) + 1;
    bool has_text = field.type == BELFRY_FIELD_STRING || field.type == BELFRY_FIELD_CLEAR;
    size_t value_bytes = has_text ? field.len : 0;
    if (count == FIELDS_MAX || key_bytes > FIELD_TEXT_BYTES_MAX - r->text_bytes ||
        value_bytes > FIELD_TEXT_BYTES_MAX - r->text_bytes - key_bytes)
        return false;
    char *at = r->text + r->text_bytes;
    memcpy(at, field.key, key_bytes);
    field.key = at;
    if (has_text) {
        memcpy(at + key_bytes, field.value.string, value_bytes);
        field.value.string = at + key_bytes;
    } else if (field.type == BELFRY_FIELD_SECRET) {
        field.value.string = ""; /* never shown, so never kept */
        field.len = 0;
    }
    r->text_bytes += key_bytes + value_bytes;
    r->fields[count] = field;
    atomic_store_explicit(&r->field_count, count + 1, memory_order_release);
    return true;
}

const belfry_field *belfry__request_fields(const belfry_request *request, size_t *count)
{
    *count = atomic_load_explicit(&request->field_count, memory_order_acquire);
    return request->fields;
}

const char *belfry_request_id(const belfry_request *request)
{
    return request ? request->id : "";
}

belfry_span *belfry_request_span(const belfry_request *request)
{
    return request ? atomic_load_explicit(&request->span, memory_order_acquire) : NULL;
}

bool belfry_request_trace(const belfry_request *request, belfry_trace_context *out)
{
    if (!request || !request->has_trace)
        return false;
    *out = request->trace;
    return true;
}

const belfry_label *belfry__request_exemplar(const belfry_request *request, size_t *count)
{
    *count = request->exemplar_count;
    return request->exemplar;
}

bool belfry__request_is_remote(const belfry_request *request)
{
    return !request->is_trace_own;
}

const char *belfry_request_tracestate(const belfry_request *request)
{
    return request ? request->tracestate : "";
}

bool belfry__scope_trace(const belfry_scope *scope, belfry_trace_context *out)
{
    return belfry_span_context(scope->span, out) || belfry_request_trace(scope->request, out);
}

void belfry_outgoing_get(belfry_outgoing *out)
{
    const belfry_scope *top = belfry__context.top;
    const char *id = belfry_log_request_id();
    belfry_trace_context trace;
    out->request_id[0] = out->traceparent[0] = out->tracestate[0] = '\0';
    if (id && strlen(id) <= BELFRY_REQUEST_ID_BYTES_MAX)
        memcpy(out->request_id, id, strlen(id) + 1);
    if (!top || !belfry__scope_trace(top, &trace))
        return;
    belfry_traceparent_format(out->traceparent, &trace);
    const char *state = belfry_request_tracestate(top->request);
    memcpy(out->tracestate, state, strlen(state) + 1);
}
