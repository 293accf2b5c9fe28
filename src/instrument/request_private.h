/* SPDX-License-Identifier: Apache-2.0 */
/* request_private.h: what request.c, span.c, tracer.c and the log share. */
#ifndef BELFRY_INSTRUMENT_REQUEST_PRIVATE_H
#define BELFRY_INSTRUMENT_REQUEST_PRIVATE_H

#include "base/attributes.h"
#include "belfry/request.h"
#include "instrument/text.h"

#include <pthread.h>
#include <stdatomic.h>

enum { TRACE_ID_HEX_BYTES = 33, SPAN_ID_HEX_BYTES = 17 }; /* with NUL */

/* Random bytes of the kernel's, a few at a time. Any thread; differs after fork. False when there are none. */
MUST_USE bool belfry__random(void *out, size_t len);

struct belfry_span {
    struct belfry_tracer *tracer; /* constant, like the next eight */
    belfry_trace_context context; /* its own ids */
    uint8_t parent_id[8];         /* zero: it begins a trace */
    bool is_parent_remote;
    belfry_span_kind kind;
    int64_t start_ns, start_mono_ns; /* since the epoch; monotonic */
    char *tracestate;                /* JSON string; NULL = none */
    char trace_id[TRACE_ID_HEX_BYTES];
    belfry_label exemplar; /* its trace_id */

    int64_t end_ns;           /* the thread that has the span, like the rest */
    struct belfry_span *next; /* in the tracer's queue */
    char name[BELFRY_SPAN_NAME_BYTES_MAX + 1];
    struct text attributes, events; /* JSON, members of an array */
    uint32_t attribute_count, attributes_dropped, event_count, events_dropped;
    int status;          /* OTLP: 0 unset, 1 ok, 2 error */
    struct text message; /* JSON string, with status 2 */
};

/* A span with these ids, or NULL (no memory: counted as dropped). */
belfry_span *belfry__span_new(belfry_tracer *tracer, const belfry_trace_context *context,
                              const belfry_trace_context *parent, bool is_parent_remote,
                              const char *tracestate, const char *name, belfry_span_kind kind);
void belfry__span_free(belfry_span *span);

/* Ids of a span under `parent` (NULL: of a new trace), with the tracer's decision in flags. False without random
 * bytes. */
MUST_USE bool belfry__tracer_ids(const belfry_tracer *tracer, const belfry_trace_context *parent,
                                 belfry_trace_context *out);
/* Takes an ended span. */
void belfry__tracer_queue(belfry_tracer *tracer, belfry_span *span);
void belfry__tracer_count_dropped(belfry_tracer *tracer, uint64_t spans);

/* --- OTLP/HTTP JSON (otlp.c) --- */

/* What stands before a batch's spans: the resource and the scope. False when an attribute has no key or is too long. */
bool belfry__otlp_begin(struct text *out, const belfry_tracer_options *options);
/* One span of a batch, with its comma unless it is the first. */
void belfry__otlp_span(struct text *out, const belfry_span *span, bool is_first);
void belfry__otlp_end(struct text *out);
/* {"key":...,"value":{...}} after a comma unless `out` is empty. False, and nothing is added, when out would pass
 * bytes_max or there is no memory. */
MUST_USE bool belfry__otlp_attribute(struct text *out, const belfry_field *field, size_t bytes_max);
/* The same for {"timeUnixNano":...,"name":...,"attributes":[...]}. */
MUST_USE bool belfry__otlp_event(struct text *out, int64_t time_ns, const char *name,
                                 const belfry_field *fields, size_t count, size_t bytes_max);
/* A quoted string, masked. */
void belfry__otlp_string(struct text *out, const char *string);
/* rejectedSpans of an answer's partialSuccess; 0 when there is none. */
uint64_t belfry__otlp_rejected(const char *body, size_t len);

/* Lower-case hexadecimal digits and a NUL. */
void belfry__hex(char *out, const uint8_t *bytes, size_t len);
/* Where a thread in this scope is in a trace; false = nowhere. */
bool belfry__scope_trace(const belfry_scope *scope, belfry_trace_context *out);
/* What is counted in it has these as its exemplar: valid labels, as long as it lives. */
const belfry_label *belfry__request_exemplar(const belfry_request *request, size_t *count);
const belfry_label *belfry__span_exemplar(const belfry_span *span, size_t *count);
/* Is its trace what the client sent, and no span here? */
bool belfry__request_is_remote(const belfry_request *request);
/* The fields that were added to a request; valid as long as it. */
const belfry_field *belfry__request_fields(const belfry_request *request, size_t *count);

#endif
