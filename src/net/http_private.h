/* SPDX-License-Identifier: Apache-2.0 */
/* http_private.h: what the files of the HTTP server share.
 *
 * A request's life, and who calls what:
 *
 *   on_target (request line)   READING     connection thread
 *   on_request, first call     checked, routed, role; refused at once or
 *   on_request, body           RECEIVING
 *   on_request, end of body    handler here (DIRECT), or WORKING: connection suspended, job on a pool, or held by the handler
 *   job ends, or               DONE        pool thread; resumes the connection
 *   http_request_answer()
 *   on_request, once more      SENDING     connection thread, pieces pulled by MHD
 *   on_completed               freed
 *
 * Connections are in one list under the governor's mutex, which also guards phase, deadlines and the cancel
 * callback; everything else of a request belongs to the thread that has it in the picture above. */
#ifndef BELFRY_NET_HTTP_PRIVATE_H
#define BELFRY_NET_HTTP_PRIVATE_H

#include "base/arena.h"
#include "base/clock.h"
#include "base/regex.h"
#include "base/thread.h"
#include "net/http_server.h"

#include <gnutls/gnutls.h>
#include <microhttpd.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdatomic.h>
#include <sys/socket.h>
#include <zlib.h>

enum {
    HTTP_TARGET_BYTES_MAX = 64 * 1024, /* spec/reliability.md: 414 above */
    HTTP_HEADER_BYTES_MAX = 48 * 1024,
    /* MHD clears a connection's pool between requests, so a kept connection holds all of it (measured: 112 KiB; 64
     * where lines and headers are limited to 16 KiB).
     * With more than this many open, answers end theirs. Chosen, not measured: 11 MiB. */
    HTTP_KEPT_CONNECTIONS_MAX = 100,
    /* Connections beyond connections_max, per listener: they are answered on public routes (health) only. */
    HTTP_CONNECTIONS_RESERVE = 32,
    /* A connection that sent nothing for so long makes room for another. Chosen, not measured. */
    HTTP_SILENT_MS_MIN = 1000,
    /* Until the headers are there and access is decided a client has no longer than this (spec/reliability.md). */
    HTTP_HEADERS_MS_MAX = 10 * 1000,
    HTTP_SEGMENTS_MAX = 16,
    HTTP_CAPTURES_MAX = 4,
    HTTP_HEADERS_MAX = 100,
    HTTP_RESPONSE_HEADERS_MAX = 24,
    HTTP_GZIP_BYTES_MIN = 1024,
    HTTP_REQUEST_ARENA_BYTES_MAX = 64 << 20
};

enum connection_phase {
    CONNECTION_IDLE,
    CONNECTION_READING,
    CONNECTION_WORKING,
    CONNECTION_SENDING,
    CONNECTION_SLEEPING, /* a live stream with nothing to send: suspended */
    CONNECTION_CUT
};

struct http_connection {
    struct http_server *server; /* constant */
    int fd;                     /* constant; open while the connection is in the list */
    bool is_over;               /* of the reserve: constant once it is in the list */
    struct http_tls *tls;       /* constant; NULL = plain */
    uint64_t
        peer; /* constant: a hash of its address, of IPv6 the first half; 0 = loopback, not limited */

    /* Governor's mutex. */
    struct http_connection *previous, *next;
    enum connection_phase phase;
    mono_time since;              /* when the phase began */
    mono_time deadline;           /* of the phase; WORKING has none */
    struct http_request *request; /* NULL between requests */
    bool hung_up;                 /* seen while WORKING: polled no more */
    bool is_live;                 /* its request's answer is a live stream */
    bool is_woken; /* its stream has something, or is to end, and has not been asked since */
    bool admitted; /* the headers of its request have come, and it may run */
};

struct response_header {
    const char *name;
    struct view value; /* NUL-terminated */
};

struct http_response {
    struct http_request *request;
    int status;
    const char *content_type;
    struct response_header headers[HTTP_RESPONSE_HEADERS_MAX];
    size_t header_count;
    struct buffer body;      /* whole, or the piece that is being sent */
    struct view static_body; /* when ptr is not NULL */
    http_stream_next next;   /* NULL once everything was produced */
    void (*release)(void *arg);
    void *arg;
    bool is_gzip, gzip_open, broken;
    bool is_live;          /* pieces come when they come */
    bool is_file;          /* its length is known, and it is not compressed */
    bool is_shared;        /* not compressed either: who asks next would have it done again */
    uint64_t file_bytes;   /* of what is sent of it */
    uint64_t pulled_bytes; /* of the body, handed to MHD */
    z_stream gzip;
    struct buffer packed; /* gzip: what of the body is sent */
    size_t sent_bytes;    /* of body or packed */
    uint64_t body_bytes;  /* before compression, of all pieces */
};

enum request_state {
    REQUEST_NEW,
    REQUEST_ASKING, /* the connection is suspended until access is decided */
    REQUEST_DECIDED,
    REQUEST_RECEIVING,
    REQUEST_WORKING,
    REQUEST_DONE,
    REQUEST_SENDING
};

struct http_request {
    struct http_server *server;
    struct http_connection *connection;
    struct MHD_Connection *mhd;
    struct arena arena;
    enum request_state state;
    mono_time began;
    enum http_method method;
    const char *method_name; /* static: for metrics */
    bool method_known, accepts_gzip, is_http_1_0;
    bool
        says_no_length; /* of a body that its method is about: the connection ends with the answer */
    struct view target, path, query;
    const struct http_route *route;           /* NULL: refused before there was one */
    const struct http_route *other_method;    /* has the path, and not the method */
    struct view segments[HTTP_SEGMENTS_MAX];  /* decoded; ptr NULL: cannot be */
    uint32_t segment_from[HTTP_SEGMENTS_MAX]; /* where it begins in path */
    size_t segment_count;
    bool has_more_segments; /* than these: only a route with {*rest} takes it */
    const char *path_error; /* of the first that cannot be decoded; NULL = none */
    void *context;
    enum http_role role;
    const char *stranger;      /* static: why the caller is not local; NULL = it is */
    enum http_verdict verdict; /* of the access thread, once DECIDED */
    struct buffer body;
    size_t body_bytes_max, body_bytes_dropped;
    uint64_t received_bytes; /* of the body, dropped or not */
    uint64_t progress_bytes; /* of these, when the time to read it began anew */
    bool is_over_budget;     /* body dropped: all bodies together were too much */
    bool is_refused;         /* by the route's receive() */
    struct form params;
    bool is_held; /* by a handler that has returned or will; connection's thread only */
    char peer[INET6_ADDRSTRLEN + 10];
    struct http_request *gate_next; /* gate's mutex */
    struct http_response response;

    /* Governor's mutex. */
    void (*cancel)(void *arg);
    void *cancel_arg;
    mono_time cancel_deadline; /* ns 0 = none */
    _Atomic int canceled;      /* enum http_cancel; read anywhere, written under the mutex */
};

struct listener {
    struct MHD_Daemon *daemon;
    int fd;
    uint16_t port;
    char address[80];
};

struct governor {
    pthread_mutex_t mutex;
    pthread_cond_t wake;    /* for the governor */
    pthread_cond_t changed; /* for http_server_stop(): a request ended */
    pthread_t thread;
    bool running, stop;
    mono_time sleeps_until;  /* ns 0 = it is awake */
    mono_time next_deadline; /* the first of all handlers' to come; ns 0 = none */
    struct http_connection *first;
    size_t connection_count, request_count, working_count;
    struct MHD_Connection **wakes; /* governor's thread: to be resumed without the mutex */
    size_t wake_count, wake_capacity;
    struct pollfd *polls;
    struct http_connection **polled;
    size_t poll_capacity, polled_capacity;
};

struct http_server {
    struct http_server_options options; /* defaults filled in */
    struct listener *listeners;
    size_t listener_count;
    struct http_route *routes;
    size_t route_count, route_capacity;
    struct regex *cors_origin; /* NULL = none */
    bool cors_any;
    struct pool *aside;
    struct pool *access;         /* one thread: options.access may wait there; NULL without it */
    bool has_tls;                /* constant after start */
    struct view prefix;          /* "/belfry"; empty = none */
    struct view external_origin; /* "https://host" of options.external_url; empty = none */
    struct governor governor;
    unsigned
        connections_reserve; /* per listener; constant after start, like options.connections_max */
    bool started;
    _Atomic bool stopping;
    _Atomic size_t bodies_bytes; /* held now, by all requests */
    _Atomic uint64_t connections_total, requests_total, requests_refused, disconnects,
        write_timeouts, read_timeouts;
};

/* http_server.c: MHD's callbacks are in http_connection.c */
void http_on_connection(void *cls, struct MHD_Connection *mhd, void **context,
                        enum MHD_ConnectionNotificationCode what);
void *http_on_target(void *cls, const char *target, struct MHD_Connection *mhd);
enum MHD_Result http_on_request(void *cls, struct MHD_Connection *mhd, const char *url,
                                const char *method, const char *version, const char *upload,
                                size_t *upload_bytes, void **context);
void http_on_completed(void *cls, struct MHD_Connection *mhd, void **context,
                       enum MHD_RequestTerminationCode why);

/* http_request.c: what the first bytes say; the caller's role is not looked at. False: the response holds the
 * refusal. */
bool request_check(struct http_request *rq, const char *method, const char *version);
bool request_parse_params(struct http_request *rq);

/* http_route.c */
bool route_find(struct http_request *rq); /* false: 404 or 405 is in the response */

/* http_tls.c: before the handshake. `tls` outlives the session. */
bool http_tls_begin(struct http_tls *tls, gnutls_session_t session);

/* http_access.c */
bool peer_is_loopback(const struct sockaddr *sa);
void request_judge_caller(struct http_request *rq);
/* False: a page of another site wants to change something; the response says so. */
bool request_check_site(struct http_request *rq);

/* http_dispatch.c: asks options.access; HTTP_MUST_WAIT: the connection is suspended, rq->verdict holds the answer
 * when it comes back. */
enum http_verdict request_ask_access(struct http_request *rq);
/* Hands the request to its thread. */
enum MHD_Result request_dispatch(struct http_request *rq);

/* http_gate.c: true when rq may run now; false when it waits (*refused false) or cannot. */
bool gate_enter(struct http_gate *gate, struct http_request *rq, bool *refused);
/* The request that may run next in the place of the one that ended, or NULL. */
struct http_request *gate_leave(struct http_gate *gate);

/* http_response.c */
void response_init(struct http_response *rs, struct http_request *rq);
void response_deinit(struct http_response *rs);
/* On the handler's thread: produces the first piece and compresses. */
void response_prepare(struct http_response *rs);
/* On the connection's thread. */
enum MHD_Result response_queue(struct http_response *rs);

/* http_governor.c */
MUST_USE bool governor_start(struct http_server *s, struct error *err);
void governor_stop(struct http_server *s);
void governor_add_connection(struct http_connection *c);
void governor_remove_connection(struct http_connection *c);
/* WORKING: the request is about to be suspended. False once it was cancelled: after governor_cancel_all() no request
 * that it saw goes to work any more, so that MHD can be stopped. */
bool governor_begin_work(struct http_connection *c);
void governor_set_phase(struct http_connection *c, enum connection_phase phase);
/* SLEEPING: the connection is suspended. False: it must not be, as it was woken since it was asked last, cancelled or cut. */
bool governor_sleep(struct http_connection *c);
/* The request's answer is a live stream: it ends when the server begins to stop, as it never would by itself. */
void governor_mark_live(struct http_connection *c);
void governor_end_live(struct http_server *s);
/* May a connection be kept for a next request? */
bool governor_may_keep(struct http_server *s);
void governor_begin_request(struct http_connection *c, struct http_request *rq);
/* The headers have come and the request may run: its body may take as long as a body may. */
void governor_admit_request(struct http_connection *c);
void governor_end_request(struct http_connection *c);
/* A job left its connection behind: the last thing it does. */
void governor_job_done(struct http_server *s);
void governor_cancel_all(struct http_server *s);
/* Waits until no request is there (or, only_working, none is in a job); false at the deadline. */
bool governor_wait(struct http_server *s, bool only_working, mono_time deadline);

#endif
