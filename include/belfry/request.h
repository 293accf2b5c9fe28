/* SPDX-License-Identifier: Apache-2.0 */
/* belfry/request.h: who a request is, everywhere: its id, its place in a trace, and what was done for it (spans).
 *
 *   belfry_request *request;
 *   belfry_request_options options = {.request_id = header, .request_id_bytes = header_len, .tracer = tracer};
 *   if (belfry_request_new(&request, &options) == BELFRY_OK) ...
 *   belfry_scope scope;
 *   belfry_request_enter(request, &scope);    this thread's log lines, exemplars and spans now belong to the request
 *   belfry_span *span = belfry_span_start(tracer, "read file", BELFRY_SPAN_INTERNAL);
 *   ...
 *   belfry_span_end(span);
 *   belfry_scope_leave(&scope);
 *   belfry_request_end(request);
 *
 * Spans are off until a tracer is opened: without one belfry_span_start() returns NULL and every function here takes that.
 * The core lays batches out as OTLP/HTTP JSON and gives them to a transport; libbelfry-http has one (libcurl).
 *
 * Nothing here ends or prints from the host program. */
#ifndef BELFRY_REQUEST_H
#define BELFRY_REQUEST_H

#include <belfry/export.h>
#include <belfry/log.h>
#include <belfry/metrics.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* --- request ids --- */

enum {
    BELFRY_REQUEST_ID_BYTES = 9,      /* one that was made: 8 hexadecimal digits and the NUL */
    BELFRY_REQUEST_ID_BYTES_MAX = 64, /* one that was accepted, without NUL */
    BELFRY_TRACEPARENT_BYTES = 56,    /* "00-...-...-01" and the NUL */
    BELFRY_TRACESTATE_BYTES_MAX = 512 /* what is passed on, without NUL */
};

/* Eight random lower-case hexadecimal digits and a NUL. BELFRY_ERROR_SYSTEM when the kernel gives no random bytes
 * (out is "" then). Any thread. */
BELFRY_API BELFRY_MUST_USE belfry_status belfry_request_id_make(char out[BELFRY_REQUEST_ID_BYTES]);
/* May an id that a client sent be used? 1 to 64 of A-Z a-z 0-9 . _ - and nothing else. */
BELFRY_API bool belfry_request_id_is_valid(const char *id, size_t len);

/* --- W3C Trace Context, level 1 --- */

enum { BELFRY_TRACE_SAMPLED = 1 };

typedef struct belfry_trace_context {
    uint8_t trace_id[16]; /* not all zero */
    uint8_t span_id[8];   /* not all zero: who calls */
    uint8_t flags;        /* BELFRY_TRACE_SAMPLED or 0 */
} belfry_trace_context;

/* Reads a traceparent header. Versions after 00 are read as far as 00 goes, as the recommendation asks. False, and *out
 * unchanged, for anything that is not valid: then a new trace begins and the tracestate is not looked at. */
BELFRY_API bool belfry_traceparent_parse(belfry_trace_context *out, const char *header, size_t len);
/* "00-<trace id>-<span id>-<flags>" and a NUL. */
BELFRY_API void belfry_traceparent_format(char out[BELFRY_TRACEPARENT_BYTES],
                                          const belfry_trace_context *context);
/* Checks a tracestate header (several ones: joined by ',' in their order) and lays it out again: members in their
 * order, without blanks and empty members. Above 512 bytes members are left out: first those longer than 128 bytes, then from the
 * end. Returns the length of `out`, which ends with a NUL; 0 when a member is not valid, a key is there
 * twice, there are more than 32 members, or there are none. */
BELFRY_API size_t belfry_tracestate_clean(char out[BELFRY_TRACESTATE_BYTES_MAX + 1],
                                          const char *header, size_t len);

/* --- tracers: where spans go --- */

typedef struct belfry_tracer belfry_tracer;
typedef struct belfry_span belfry_span;
typedef struct belfry_request belfry_request;

/* How a transport answers. All zero when it is called. */
typedef struct belfry_post_reply {
    int status;              /* HTTP status; 0 = no answer (no connection, TLS, timeout) */
    uint32_t retry_after_ms; /* of a Retry-After header; 0 = there was none */
    size_t body_bytes;
    char body[1024]; /* the begin of the answer's body, unpacked; the rest may be thrown away */
} belfry_post_reply;

/* How encoded batches leave the process. */
typedef struct belfry_transport {
    /* POSTs `len` bytes of JSON (Content-Type: application/json) and fills *reply. Called by the tracer's thread, one
     * call at a time; `body` is borrowed during the call. It must return within a time of its own (10 s is usual),
     * soon once cancel was called. What to make of the status, waiting and trying again is the tracer's part. */
    void (*post)(void *arg, const char *body, size_t len, belfry_post_reply *reply);
    /* The tracer is being closed and waits: a running post returns soon, later ones at once. From the closing
     * thread, at most once. May be NULL. */
    void (*cancel)(void *arg);
    /* Called once, when the tracer needs the transport no more, also when opening it failed. May be NULL. */
    void (*release)(void *arg);
    void *arg;
} belfry_transport;

/* Zero is the default of everything but service_name and transport.post. Copied. */
typedef struct belfry_tracer_options {
    const char *service_name;     /* the resource's service.name */
    const char *service_version;  /* service.version; NULL = left out */
    const belfry_field *resource; /* further attributes of the resource */
    size_t resource_count;
    belfry_transport transport;
    /* Of traces that begin here, the part that is recorded: (0, 1]; 0 = all; negative = none. Where a caller sent a
     * traceparent, its sampled flag decides. */
    double sample_ratio;
    size_t queue_spans_max; /* ended, not sent yet; more are dropped and counted; 0 = 2048 */
    size_t batch_spans_max; /* in one POST; 0 = 512 */
    uint32_t delay_ms;      /* an ended span waits at most this long for others; 0 = 5000 */
    uint32_t retry_ms;      /* before a batch is tried again, doubled each of 4 times; 0 = 1000 */
    uint32_t close_wait_ms; /* how long closing may take to send what is queued; 0 = 5000 */
} belfry_tracer_options;

/* Starts a thread that sends. BELFRY_ERROR_FORMAT (no name, no post, a resource
 * attribute without key or too long), BELFRY_ERROR_MEMORY, BELFRY_ERROR_SYSTEM (no
 * thread). On error *out is NULL. After fork() a tracer is off in the child: its spans are dropped and counted. */
BELFRY_API BELFRY_MUST_USE belfry_status belfry_tracer_open(belfry_tracer **out,
                                                            const belfry_tracer_options *options);
/* Sends what is queued (waiting at most close_wait_ms), stops the thread, frees. All spans and requests of the tracer have
 * ended before. NULL does nothing. */
BELFRY_API void belfry_tracer_close(belfry_tracer *tracer);
/* Waits until everything that had ended is sent or dropped, at most that long. False when it is not. */
BELFRY_API bool belfry_tracer_flush(belfry_tracer *tracer, uint32_t wait_ms);

typedef struct belfry_tracer_stats {
    uint64_t sent; /* spans in batches that were taken */
    uint64_t
        dropped; /* spans lost here: the queue was full, no memory, no answer in time, closing */
    uint64_t rejected; /* spans that the receiver refused */
    uint64_t queued;   /* spans waiting now */
} belfry_tracer_stats;

/* Any thread. */
BELFRY_API void belfry_tracer_stats_get(const belfry_tracer *tracer, belfry_tracer_stats *out);
/* Shows them as belfry_spans_sent_total, belfry_spans_dropped_total, belfry_spans_rejected_total and
 * belfry_spans_queued, for as long as the registry lives. NULL = the default registry. */
BELFRY_API BELFRY_MUST_USE belfry_status belfry_tracer_register(belfry_tracer *tracer,
                                                                belfry_registry *registry);

/* --- spans --- */

typedef enum belfry_span_kind { /* as OTLP numbers them */
                                BELFRY_SPAN_INTERNAL = 1,
                                BELFRY_SPAN_SERVER,
                                BELFRY_SPAN_CLIENT,
                                BELFRY_SPAN_PRODUCER,
                                BELFRY_SPAN_CONSUMER
} belfry_span_kind;

enum {
    BELFRY_SPAN_NAME_BYTES_MAX = 256,      /* longer names are cut */
    BELFRY_SPAN_ATTRIBUTES_MAX = 64,       /* more are counted as dropped; so are more */
    BELFRY_SPAN_EVENTS_MAX = 64,           /* events, */
    BELFRY_SPAN_TEXT_BYTES_MAX = 32 * 1024 /* and what would make a span larger than this */
};

/* A span under the span, or else the request, that this thread is in; without either it begins a trace. NULL when it is
 * not sampled, the tracer is NULL, or there is no memory. The caller owns it: belfry_span_end(). One thread at a time
 * uses a span. */
BELFRY_API belfry_span *belfry_span_start(belfry_tracer *tracer, const char *name,
                                          belfry_span_kind kind);
/* The same under `parent`, which came from somewhere else (a queue, a file); `parent` NULL begins a trace. */
BELFRY_API belfry_span *belfry_span_start_under(belfry_tracer *tracer,
                                                const belfry_trace_context *parent,
                                                const char *name, belfry_span_kind kind);
/* Ends it now and queues it. It must be left on every thread before. NULL does nothing. */
BELFRY_API void belfry_span_end(belfry_span *span);
/* This thread is in the span until belfry_scope_leave(): what starts here is under it. `span` NULL changes nothing. */
BELFRY_API void belfry_span_enter(belfry_span *span, belfry_scope *scope);
/* Another name, copied. */
BELFRY_API void belfry_span_set_name(belfry_span *span, const char *name);
/* An attribute, copied. Secrets are masked as in log lines. A key set twice is sent twice; receivers take the last. */
BELFRY_API void belfry_span_set(belfry_span *span, belfry_field attribute);
/* Something that happened now. */
BELFRY_API void belfry_span_event(belfry_span *span, const char *name, const belfry_field *fields,
                                  size_t count);
/* It failed; `message` may be NULL. */
BELFRY_API void belfry_span_fail(belfry_span *span, const char *message);
/* It did not, whatever its children say. */
BELFRY_API void belfry_span_succeed(belfry_span *span);
/* Its ids, for another process. False when span is NULL. */
BELFRY_API bool belfry_span_context(const belfry_span *span, belfry_trace_context *out);

/* --- requests --- */

/* All but tracer copied. Zero is the default of everything. */
typedef struct belfry_request_options {
    const char
        *request_id; /* what the client sent (X-Request-Id); NULL, or not valid: one is made */
    size_t request_id_bytes;
    const char *traceparent; /* the header; NULL = there was none */
    size_t traceparent_bytes;
    const char *tracestate;
    size_t tracestate_bytes;
    belfry_tracer
        *tracer; /* NULL = the request has no span; borrowed until the request has ended */
    const char *span_name; /* of the request's own span (a server's); NULL = "request" */
} belfry_request_options;

/* BELFRY_ERROR_MEMORY, or BELFRY_ERROR_SYSTEM without random bytes; *out is NULL then. On success the caller has one reference. */
BELFRY_API BELFRY_MUST_USE belfry_status belfry_request_new(belfry_request **out,
                                                            const belfry_request_options *options);
/* One more reference, for another thread. Returns `request`. */
BELFRY_API belfry_request *belfry_request_ref(belfry_request *request);
/* One less; the last one ends and frees it. NULL does nothing. Any thread. */
BELFRY_API void belfry_request_unref(belfry_request *request);
/* Ends the request's own span now, then drops the caller's reference. Others may go on logging for it. */
BELFRY_API void belfry_request_end(belfry_request *request);

/* This thread works for the request until belfry_scope_leave(scope): log lines carry its id, its fields and, where the log was
 * opened so, its trace; exemplars its ids; spans are under its own. The request lives at least until then. Any number of
 * threads at the same time. */
BELFRY_API void belfry_request_enter(belfry_request *request, belfry_scope *scope);
/* The request that this thread works for; NULL = none. Borrowed until the scope is left. */
BELFRY_API belfry_request *belfry_request_current(void);
/* A field for every later line of the request, copied; on each thread. False when there is no room (8 fields, 1 KiB).
 * One thread at a time. */
BELFRY_API bool belfry_request_add_field(belfry_request *request, belfry_field field);
/* Its id; valid as long as the request. */
BELFRY_API const char *belfry_request_id(const belfry_request *request);
/* Its own span, for attributes; NULL = none. Borrowed until the request is ended; one thread at a time. */
BELFRY_API belfry_span *belfry_request_span(const belfry_request *request);
/* Where it is in a trace: its own span, or what its client sent. False when there is no trace. */
BELFRY_API bool belfry_request_trace(const belfry_request *request, belfry_trace_context *out);
/* What its client sent as tracestate, cleaned; "" = none. Valid as long as the request. */
BELFRY_API const char *belfry_request_tracestate(const belfry_request *request);

/* What this thread sends along with a call to another service: request id (X-Request-Id), traceparent and tracestate
 * headers. What there is none of is "". */
typedef struct belfry_outgoing {
    char request_id[BELFRY_REQUEST_ID_BYTES_MAX + 1];
    char traceparent[BELFRY_TRACEPARENT_BYTES];
    char tracestate[BELFRY_TRACESTATE_BYTES_MAX + 1];
} belfry_outgoing;

/* Of the innermost span and request of this thread. */
BELFRY_API void belfry_outgoing_get(belfry_outgoing *out);

#ifdef __cplusplus
}
#endif

#endif
