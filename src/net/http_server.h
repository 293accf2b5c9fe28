/* SPDX-License-Identifier: Apache-2.0 */
/* http_server.h: an HTTP/1.1 server whose handlers know no HTTP library.
 *
 * A handler is an ordinary function: it reads the request, fills the response and returns. Which thread it
 * runs on is a property of its route: the connection's own (for what never waits), one of two aside threads (for
 * what reads a little), or the worker pool (for what computes; at most as many at once as the route's gate
 * lets in). While it runs elsewhere the connection is suspended; a client that goes away, a deadline and the
 * server's stop all reach it through http_request_set_cancel().
 *
 * Large answers are streamed: the handler leaves a function that produces the next piece whenever the client has
 * taken the one before, so a slow reader costs one piece and not a worker (http_response_stream()).
 *
 * Every route names the role it needs; what is not in the table is not there. */
#ifndef BELFRY_NET_HTTP_SERVER_H
#define BELFRY_NET_HTTP_SERVER_H

#include "base/arena.h"
#include "base/attributes.h"
#include "base/buffer.h"
#include "base/error.h"
#include "base/pool.h"
#include "base/view.h"
#include "net/form.h"
#include "net/http_tls.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct http_server;
struct http_request;
struct http_response;
struct http_gate;

/* Bits; a route that takes GET takes HEAD too. */
enum http_method {
    HTTP_GET = 1,
    HTTP_POST = 2,
    HTTP_PUT = 4,
    HTTP_DELETE = 8,
    HTTP_HEAD = 16,
    HTTP_OPTIONS = 32,
    HTTP_PATCH = 64
};

/* Each includes those before it. A route without a role cannot be added. As the role of a caller, PUBLIC is none. */
enum http_role {
    HTTP_ROLE_UNSET,
    HTTP_ROLE_PUBLIC,
    HTTP_ROLE_VIEW,
    HTTP_ROLE_SILENCE,
    HTTP_ROLE_EDIT,
    HTTP_ROLE_ADMIN
};

enum http_run {
    HTTP_RUN_DIRECT, /* on the connection's thread: must not wait for anything */
    HTTP_RUN_ASIDE,  /* on one of two threads of the server: reads a little, ends soon */
    HTTP_RUN_POOL    /* on the worker pool, class POOL_QUERY */
};

/* "none", "view", "silence", "edit", "admin". Static text. */
const char *http_role_name(enum http_role role);
MUST_USE bool http_role_parse(struct view name, enum http_role *out);

/* What is decided of a request before its body is read. */
enum http_verdict {
    HTTP_ALLOWED,
    HTTP_REFUSED,  /* the response says how */
    HTTP_MUST_WAIT /* cannot be decided at once */
};

typedef void (*http_handler)(void *arg, struct http_request *rq, struct http_response *rs);
/* Takes the next piece of a body; false: the response says why, what still comes is dropped and the handler is not
 * called. On the connection's thread, which others share: it may write to a file, and waits for nothing else. */
typedef bool (*http_receive)(void *arg, struct http_request *rq, struct http_response *rs,
                             struct view piece);

struct http_route {
    unsigned methods; /* bits of enum http_method */
    const char *path; /* "/api/v1/label/{name}/values"; "/x/{*rest}": and all below, not empty */
    const char *name; /* as metrics call it; NULL = path. Static text, like path */
    enum http_role role;
    enum http_run run;
    http_handler handler;
    void *arg;              /* borrowed; outlives the server */
    struct http_gate *gate; /* NULL = none; HTTP_RUN_POOL only */
    struct pool *pool;      /* HTTP_RUN_POOL; NULL = the server's. Outlives the server */
    unsigned retry_after_s; /* who finds gate or pool full gets 429 with Retry-After; 0 = 503 */
    size_t body_bytes_max;  /* 0 = the server's */
    http_receive
        receive;        /* gets the body as it comes, instead of http_request_body(); may be NULL */
    bool ignores_query; /* there are no parameters, whatever the URL says */
    bool cors;          /* answers other origins as options.cors_origin allows, and OPTIONS */
    bool is_page;       /* shown by a browser: security headers (CSP and so on) are added */
    bool opened_by_flag; /* whoever may view may use it as long as there are no users */
};

/* What one finished request was, for metrics. */
struct http_observation {
    const char *handler; /* the route's name, or "other" */
    const char *method;  /* "get", ... or "other" */
    int status;
    double seconds;               /* from the request line to the last byte handed to the kernel */
    uint64_t response_bytes;      /* of the body, before compression */
    uint64_t request_bytes;       /* of the body, as far as it was received */
    uint64_t sent_bytes;          /* of the body, as it was sent */
    bool is_aborted;              /* the client did not get all of the answer */
    struct http_request *request; /* valid during the call */
};

struct http_server_options {
    const char *const
        *addresses; /* "127.0.0.1:9090", "[::1]:9090", ":9090" (all), "localhost:0" (port chosen) */
    size_t address_count;
    struct pool *pool;     /* for HTTP_RUN_POOL; NULL: these run aside, or http_server_set_pool() */
    unsigned thread_count; /* per listener; 0 = 2 */
    unsigned connections_max; /* per listener; 0 = 512. One more takes the place of the one that
                                  is silent longest; if all are busy, public routes only answer.
                                  Never more than half of the process' descriptors */
    size_t body_bytes_max;    /* of a request; 0 = 10 MiB */
    size_t bodies_bytes_max; /* of all requests together; 0 = 256 MiB. Beyond it 503, Retry-After */
    size_t response_bytes_max; /* of an answer that is not streamed; 0 = 64 MiB */
    size_t line_bytes_max; /* of the request line, up to 64 KiB; 414 above. 0 = 64 KiB of target */
    size_t header_bytes_max;  /* of all headers, up to 48 KiB; 431 above. 0 = 48 KiB, roughly */
    int64_t idle_timeout_ms;  /* kept connection without a request; 0 = 5 min */
    int64_t read_timeout_ms;  /* from the first byte of a request to its last; 0 = 60 s */
    int64_t write_timeout_ms; /* a client must take a piece (64 KiB) in this time; 0 = 60 s */
    int64_t drain_timeout_ms; /* at stop: for requests in work before they are cancelled; 0 = 5 s */
    const char *cors_origin;  /* regular expression; NULL = other origins get nothing */
    enum http_role
        anonymous_role;         /* of callers that are not local while there are no users; UNSET =
                                      view, PUBLIC = none. Local ones are admin (http_access.c) */
    const char *forbidden_hint; /* static; ends the refusal of these: what to do. May be NULL */
    const char *external_url;   /* "https://host/path" under which browsers know the server; copied.
                                      NULL = as they address it */
    bool
        unknown_method_501; /* a method that is none of enum http_method: 501, wherever. Else 405 */
    bool
        is_open_to_sites; /* pages of any site may send what changes something: no password is ambient */
    size_t context_bytes; /* of http_request_context() */
    /* Asked for every route but public ones: may this request run? On the connection's thread with may_wait false,
     * where it may read headers, set a role and say HTTP_MUST_WAIT; then it is asked once more on a thread that may
     * wait (one: they queue). NULL: http_access_without_users(). */
    enum http_verdict (*access)(void *arg, struct http_request *rq, struct http_response *rs,
                                bool may_wait);
    /* A reference to what a connection that begins now speaks; the connection's thread, which may not wait long. NULL,
     * or NULL when the server starts: no TLS, and none later. */
    struct http_tls *(*tls)(void *arg);
    /* Any thread: may set headers of an answer that is about to be sent. */
    void (*decorate)(void *arg, struct http_response *rs);
    void *access_arg;   /* of these three */
    const char *prefix; /* of all routes: "/belfry"; NULL or "" = none; copied */
    /* Any thread: appends an error's body in a form of its own and returns its type (static text); NULL: plain text.
     * May be NULL. */
    const char *(*error_body)(struct http_request *rq, int status, struct view text,
                              struct buffer *out);
    /* Any thread, after each request; must not block. May be NULL. */
    void (*observe)(void *arg, const struct http_observation *seen);
    void *observe_arg;
    /* Any thread: what the HTTP library complains of. May be NULL. */
    void (*log)(void *arg, const char *text);
    void *log_arg;
};

/* Holds listening sockets and routes; answers from http_server_start() on. Borrows opts during the call only (but
 * pool and the args until close). Errors name the address: ERROR_INPUT (not an address), ERROR_BUSY (in use),
 * ERROR_IO. */
MUST_USE bool http_server_open(struct http_server **out, const struct http_server_options *opts,
                               struct error *err);
/* Before start only: sockets may be opened before there are threads. */
void http_server_set_pool(struct http_server *s, struct pool *pool);
/* Before start only. Two routes must not match the same path and method: the first added wins. */
void http_server_add_route(struct http_server *s, const struct http_route *route);
MUST_USE bool http_server_start(struct http_server *s, struct error *err);
/* Turns new connections away, lets requests in work finish (drain_timeout_ms), then cancels them and waits for
 * their handlers; joins all threads. NULL and a server that was never started are fine. */
void http_server_stop(struct http_server *s);
/* Stops if needed, then frees. NULL is fine. */
void http_server_close(struct http_server *s);
size_t http_server_listener_count(const struct http_server *s);
/* "127.0.0.1:9090", with the port that was chosen. Borrowed. */
const char *http_server_address(const struct http_server *s, size_t idx);
/* Of such a text: does it reach this machine only? */
bool http_address_is_loopback(const char *address);
uint16_t http_server_port(const struct http_server *s, size_t idx);

struct http_server_stats {
    uint64_t connections_open, connections_total, requests_total, requests_in_work,
        requests_refused, disconnects, write_timeouts, read_timeouts,
        bodies_bytes; /* of all requests that are there */
};
void http_server_stats_get(const struct http_server *s, struct http_server_stats *out);

/* Lets `max` requests in at once; waiting_max more wait in order of arrival, others get 503. */
struct http_gate *http_gate_new(unsigned max, size_t waiting_max);
void http_gate_free(struct http_gate *gate); /* after the servers that use it; NULL is fine */
unsigned http_gate_running(struct http_gate *gate);
size_t http_gate_waiting(struct http_gate *gate);

/* ---- request: valid until the handler returns (and, when it streams, until the stream is freed). One
 * thread at a time; everything returned is borrowed for the same time. ---- */

enum http_method http_request_method(const struct http_request *rq);
/* As sent, behind the server's prefix: without the query, and with it. */
struct view http_request_path(const struct http_request *rq);
struct view http_request_target(const struct http_request *rq);
bool http_request_is_tls(const struct http_request *rq);
/* "10.1.2.3:5000" */
const char *http_request_peer(const struct http_request *rq);
/* Of the caller; UNSET on public routes, where nobody is asked. */
enum http_role http_request_role(const struct http_request *rq);
/* A capture of the route's path, decoded; empty when there is none of that name. */
struct view http_request_capture(const struct http_request *rq, const char *name);
/* Names compare without case. The first of that name; empty when there is none. */
struct view http_request_header(const struct http_request *rq, const char *name);

/* Parameters: of a form body first, then of the URL; decoded. */
const struct form_param *http_request_params(const struct http_request *rq, size_t *count);
/* The first of that name; empty when there is none. */
struct view http_request_param(const struct http_request *rq, const char *name);
bool http_request_has_param(const struct http_request *rq, const char *name);
/* Memory until the request ends (64 MiB at most: what may be large is allocated elsewhere). */
struct arena *http_request_arena(struct http_request *rq);
/* The server's options.access_arg; its route's arg (NULL without a route). */
void *http_request_server_arg(const struct http_request *rq);
void *http_request_route_arg(const struct http_request *rq);
/* Of this request alone: context_bytes, zero at first. NULL without any. */
void *http_request_context(const struct http_request *rq);
/* "get", ... or "other"; static. */
const char *http_request_method_name(const struct http_request *rq);
/* Of the route, or of the one that would take the path with another method; NULL when there is none. */
const char *http_request_route_name(const struct http_request *rq);
/* The whole body, at most the route's limit. */
struct view http_request_body(const struct http_request *rq);

/* Since the request came, or the one before it on its connection was answered: waiting for a thread that reads it and in a queue counts
 * against a query's deadline. */
int64_t http_request_age_ms(const struct http_request *rq);

enum http_cancel {
    HTTP_CANCEL_NONE,
    HTTP_CANCEL_DISCONNECT,
    HTTP_CANCEL_DEADLINE,
    HTTP_CANCEL_STOP
};
/* From now on `cancel(arg)` is called, once, when the client goes away, deadline_ms after the request came (0 =
 * none; http_request_age_ms(); a few ms later at most) or when the server stops; at once when that was so already. It runs on another
 * thread, or on this one before the call returns, under the mutex that all connections share: it is quick, waits for nothing but
 * mutexes that nobody holds for long, and calls nothing of this header, also not by way of a thread that it waits for. Who holds a mutex
 * that it takes calls nothing of this header meanwhile. */
void http_request_set_cancel(struct http_request *rq, void (*cancel)(void *arg), void *arg,
                             int64_t deadline_ms);
/* After this returns, the callback is not running and will not be called. Implied by the handler's return. */
void http_request_clear_cancel(struct http_request *rq);
enum http_cancel http_request_canceled(const struct http_request *rq);

/* ---- for options.access ---- */

/* Of the route. */
enum http_role http_request_role_needed(const struct http_request *rq);
/* Is the caller on this machine, and sure not to speak for somebody else? http_access.c says when. */
bool http_request_is_local(const struct http_request *rq);
void http_request_set_role(struct http_request *rq, enum http_role role);
/* The rule while there are no users: local callers are admin, others have options.anonymous_role. */
enum http_verdict http_access_without_users(struct http_request *rq, struct http_response *rs);

/* In a handler of HTTP_RUN_DIRECT: the answer comes later, from another thread; until http_request_answer() the connection sleeps
 * without one, and the request's cancel callback works. False: the client has gone or the server stops; the response says so,
 * and the handler returns. After true the handler may go on until it has told somebody to answer; then the request is theirs. */
MUST_USE bool http_request_hold(struct http_request *rq);
/* The response is filled. Implies http_request_clear_cancel(). Any thread, once; the request may be gone when it returns. */
void http_request_answer(struct http_request *rq);
/* On the thread of the handler that may have held it. */
bool http_request_is_held(const struct http_request *rq);

/* ---- response: filled by the handler, sent when it returns ---- */

struct http_request *http_response_request(const struct http_response *rs);
void http_response_set_status(struct http_response *rs, int status); /* 200 when never set */
int http_response_status(const struct http_response *rs);
/* Static text; NULL when it was not set. */
const char *http_response_content_type(const struct http_response *rs);
/* Replaces one of that name. Values with control characters are an assertion: check what comes from outside. */
void http_response_set_header(struct http_response *rs, const char *name, struct view value);
/* Adds a word to the header Vary. */
void http_response_add_vary(struct http_response *rs, const char *name);
/* Static text, such as "application/json". */
void http_response_set_content_type(struct http_response *rs, const char *type);
/* What is appended is the body. Past response_bytes_max the answer becomes a 500. */
struct buffer *http_response_body(struct http_response *rs);
/* Static bytes as the body, never copied (assets). */
void http_response_set_static(struct http_response *rs, struct view bytes);
/* The same for bytes that last until `release(arg)`, which is called once, when they are sent or given up, on any thread. Never
 * compressed. */
void http_response_set_shared(struct http_response *rs, struct view bytes,
                              void (*release)(void *arg), void *arg);
/* Drops the body and sends one line of text, as Go's http.Error() does. */
void http_response_error(struct http_response *rs, int status, const char *format, ...)
    PRINTF_LIKE(3, 4);

/* Appends the next piece (aim at HTTP_PIECE_BYTES, at most four times that); *more false with the last one.
 * False: the answer cannot be finished; the connection is cut so that the client sees it. Runs on the handler's
 * thread for the first piece, then on the connection's: it must not wait. */
typedef bool (*http_stream_next)(void *arg, struct buffer *out, bool *more);
enum { HTTP_PIECE_BYTES = 64 * 1024 };
/* Sends the body so far, then what `next` gives. `release(arg)` is called once, when all is sent or given up, on any
 * thread. An answer that is whole within the first piece gets a Content-Length, others are chunked. */
void http_response_stream(struct http_response *rs, http_stream_next next,
                          void (*release)(void *arg), void *arg);
/* The same for what comes when it comes (server-sent events). Where `next` appends nothing and says *more, the connection
 * sleeps, on no thread, until http_live_wake(). `next` is called also after HTTP_LIVE_MS of sleep, so that it can send a
 * sign of life, and once more when the server stops: what it appends then is the last. Never compressed. */
void http_response_live(struct http_response *rs, http_stream_next next, void (*release)(void *arg),
                        void *arg);
enum { HTTP_LIVE_MS = 15 * 1000 };
/* `next` has something. Any thread, from http_response_live() until release() is called; a lock that both of them take may be
 * held. */
void http_live_wake(struct http_request *rq);
/* Sends the first `bytes` of an open regular file, or what of them a Range header asks for (206; one range; 416 when
 * there is nothing in it; If-Range compares with the ETag that was set before). Never compressed. Takes fd. */
void http_response_file(struct http_response *rs, int fd, uint64_t bytes);

#endif
