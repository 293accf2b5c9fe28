/* SPDX-License-Identifier: Apache-2.0 */
/* endpoint.h: what the files of the endpoint share.
 *
 * One thread, the loop, runs libmicrohttpd for all listeners and is the only one that calls it. It never waits for
 * anything but descriptors. Metrics are written by workers, one per scrape at the same time, through a pipe:
 *
 *   worker:  registry -> encoder -> pipe (64 KiB, waits for room)
 *   loop:    connection suspended until the pipe is full or ended  ->  answer  ->  pulls, suspended when it is empty
 *
 * so a scrape holds a pipe and a compressor, whatever the registry's size, and a slow client holds a worker for no
 * longer than its deadline. An answer that ended within the first pipe gets a Content-Length. */
#ifndef BELFRY_INSTRUMENT_HTTP_ENDPOINT_H
#define BELFRY_INSTRUMENT_HTTP_ENDPOINT_H

#include "instrument_http/answer.h"
#include "instrument_http/listen.h"
#include "instrument_http/tls.h"

#include <microhttpd.h>
#include <pthread.h>
#include <stdatomic.h>
#include <sys/types.h>

enum {
    PIPE_BYTES = 64 * 1024,
    /* Of headers and target together; libmicrohttpd answers 431 or 414 above. Chosen, not measured. */
    CONNECTION_BYTES_MAX = 32 * 1024,
    SEND_BYTES = 16 * 1024,
    /* Accepted beyond connections_max, to see who has to go. The library takes ten at a time, and closes those that
     * were cut when it runs next, so this is not reached; were it, it would not look at its socket by itself again. */
    CONNECTIONS_RESERVE = 64,
    FULL_WAIT_MS = 50
};

enum connection_phase {
    CONNECTION_SILENT,    /* connected, or between two requests */
    CONNECTION_READING,   /* its request line has come */
    CONNECTION_ANSWERING, /* its headers have come */
    CONNECTION_CUT
};

struct connection {
    struct belfry_endpoint *endpoint;   /* constant */
    int fd;                             /* constant; open while it is in the list */
    struct tls_credentials *tls;        /* constant; NULL = plain */
    struct connection *previous, *next; /* written under the endpoint's mutex, by the loop */

    enum connection_phase phase; /* loop, as what follows */
    int64_t since_ms, deadline_ms;
    struct scrape *scrape; /* NULL = none */
};

struct request {
    struct connection *connection;
    char *target; /* NULL without memory */
    struct scrape *scrape;
    bool is_begun, is_planned;
};

/* A scrape's pipe. Born by the loop, freed by whoever of loop and worker lets go last. */
struct scrape {
    struct belfry_endpoint *endpoint; /* constant, as plan */
    struct MHD_Connection *mhd;
    struct http_plan plan;

    /* Under the endpoint's mutex. */
    struct scrape *next_job, *next_ready;
    pthread_cond_t room;
    size_t begin, len;
    bool is_waiting;          /* the loop suspended the connection: wake it */
    bool is_ended, is_failed; /* the worker's last word */
    bool is_canceled;         /* the loop's: nobody reads any more */
    bool loop_holds, worker_holds;
    char bytes[PIPE_BYTES];
};

struct listener {
    struct listening listening;
    struct MHD_Daemon *daemon;
    int epoll_fd; /* of the daemon; -1 */
};

struct belfry_endpoint {
    /* Constant after start. */
    belfry_http *http;
    struct listener *listeners;
    size_t listener_count;
    unsigned connections_max, scrapes_max;
    int64_t request_timeout_ms, answer_timeout_ms, idle_timeout_ms;
    int wake_fd; /* an eventfd: a scrape is ready, or stop */
    pid_t pid;   /* a forked child has no threads */
    pthread_t loop;
    struct belfry_endpoint *next; /* list of all, under its mutex */

    struct tls_files *tls; /* loop; NULL = plain */

    pthread_mutex_t mutex;          /* guards what follows */
    struct connection *connections; /* the loop may read it without */
    struct scrape *jobs, *jobs_last, *ready;
    pthread_cond_t work;
    pthread_t *workers; /* scrapes_max of them */
    unsigned worker_count, idle_count;
    unsigned running_count; /* scrapes that workers have not ended */
    bool is_stopping;

    _Atomic unsigned connections_open;
    _Atomic uint64_t connections_total, requests_total, scrapes_total, scrapes_refused,
        scrapes_failed, denied, timeouts, certificate_errors;
};

static inline void count_one(_Atomic uint64_t *counter)
{
    atomic_fetch_add_explicit(counter, 1, memory_order_relaxed);
}
/* CLOCK_MONOTONIC. */
int64_t belfry__now_ms(void);

/* ---- endpoint_scrape.c ---- */

enum scrape_start { SCRAPE_STARTED, SCRAPE_REFUSED, SCRAPE_NO_MEMORY };
/* Takes what the plan owns when it starts. The connection must be suspended at once. Loop. */
enum scrape_start belfry__scrape_start(struct belfry_endpoint *e, struct http_plan *plan,
                                       struct MHD_Connection *mhd, struct scrape **out);
/* Copies what is there. 0: nothing yet, and the connection will be woken: suspend it. -1: the end; -2: it failed. */
ssize_t belfry__scrape_read(struct scrape *s, char *out, size_t max);
/* Is all of it in the pipe? Then *len is its length. Loop. */
bool belfry__scrape_is_whole(struct scrape *s, size_t *len);
bool belfry__scrape_has_failed(struct scrape *s);
/* Wakes the worker to give up, and the connection if it waits. Loop. */
void belfry__scrape_cancel(struct scrape *s);
/* Cancels, and lets go. Loop. */
void belfry__scrape_release(struct scrape *s);
/* Resumes the connections of those that are ready. Loop. */
void belfry__scrapes_resume(struct belfry_endpoint *e);
/* Ends the workers and joins them. The loop does not run any more. */
void belfry__scrapes_stop(struct belfry_endpoint *e);

/* ---- endpoint_connection.c: libmicrohttpd's callbacks; loop ---- */

void belfry__on_connection(void *cls, struct MHD_Connection *mhd, void **context,
                           enum MHD_ConnectionNotificationCode what);
void *belfry__on_target(void *cls, const char *target, struct MHD_Connection *mhd);
enum MHD_Result belfry__on_request(void *cls, struct MHD_Connection *mhd, const char *url,
                                   const char *method, const char *version, const char *upload,
                                   size_t *upload_bytes, void **context);
void belfry__on_completed(void *cls, struct MHD_Connection *mhd, void **context,
                          enum MHD_RequestTerminationCode why);
/* Cuts those that are late. Returns when the next one will be, INT64_MAX = never. */
int64_t belfry__connections_cut_late(struct belfry_endpoint *e, int64_t now_ms);
void belfry__connections_cancel_all(struct belfry_endpoint *e);

#endif
