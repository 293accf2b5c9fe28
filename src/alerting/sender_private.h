/* SPDX-License-Identifier: Apache-2.0 */
/* sender_private.h: what the files of the sender share: its queues and retries (sender.c), one attempt's requests
 * (sender_transfer.c), its counters (sender_stats.c).
 *
 *   waiting --(its turn)--> active --sent, failed, no time left--> done
 *      ^                      |
 *      +------ sleeping <-----+ to be tried again */
#ifndef BELFRY_ALERTING_SENDER_PRIVATE_H
#define BELFRY_ALERTING_SENDER_PRIVATE_H

#include "alerting/sender.h"
#include "base/arena.h"
#include "base/clock.h"
#include "base/random.h"
#include "ingest/client.h"

#include <curl/curl.h>
#include <pthread.h>
#include <stdatomic.h>

enum { SENDER_HEADER_BYTES_MAX = 64 * 1024, SENDER_ERROR_BYTES = 512 };

enum sender_task_state { TASK_WAITING, TASK_ACTIVE, TASK_SLEEPING };

/* The request at hand of an attempt. */
struct sender_transfer {
    struct client client; /* its easy handle is the task's while it is active */
    char *url, *redirect; /* as C strings; of the request, and where it was sent on to */
    bool in_multi;
    bool as_get; /* a redirect made a GET of it */
    struct buffer headers, body;
    bool headers_too_large, body_is_cut, is_blocked;
    size_t header_bytes;
    size_t upload_pos; /* of a mail */
    struct curl_slist *recipients;
    int64_t timeout_ms; /* of the request */
    char curl_error[CURL_ERROR_SIZE];
};

/* A delivery, from submit to done(). Sender's thread only, once it was taken from the inbox. */
struct sender_task {
    struct sender_task *next, *prev; /* inbox, or the queue in the order of their coming */
    struct sender *sender;
    struct sender_queue *queue;
    struct sender_job job; /* its views are in `kept`, its alerts referenced */
    struct arena kept;
    uint64_t group_hash;
    enum sender_task_state state;
    mono_time submitted, deadline, wake; /* wake: while it sleeps */
    int64_t pause_ms;                    /* the next one's middle */
    unsigned attempts;
    bool is_counted; /* as a notification */

    /* The attempt at hand, and what the last one came to. */
    struct arena attempt;
    struct redaction secrets; /* that its requests carried */
    struct delivery d;
    struct sender_transfer transfer;
    mono_time attempt_start;
    unsigned requests;
    uint64_t payload_hash; /* of the first one's body */
    long status;
    int64_t latency_ns, retry_after_ms; /* retry_after_ms: 0: nothing was said */
    enum sender_reason reason;
    bool has_template_error;
    char error[SENDER_ERROR_BYTES];
};

/* Of one integration, while there is anything. */
struct sender_queue {
    struct sender_queue *next;
    struct integration *integration;
    struct sender_task *first, *last;
    size_t count, active;
    struct {
        uint64_t ticket;
        mono_time until;
    } held
        [SENDER_PARALLEL_MAX]; /* answered, not known to be kept; with those that are active at most so many */
    size_t held_count;
    mono_time
        next_event; /* the earliest wake or deadline of what is not active, or end of a hold; ns 0: none */
};

struct sender_counters;

struct sender {
    struct sender_options options; /* constant after sender_start() */
    char *user_agent;
    pthread_t thread;
    CURLM *multi;

    pthread_mutex_t mutex; /* guards what follows; a leaf */
    struct sender_task *inbox, **inbox_end;
    struct integrations *applied; /* referenced; NULL: none since the thread looked */
    bool is_stopping, is_over;
    int64_t grace_ms;
    struct sender_counters *counters;
    size_t queued;

    _Atomic uint64_t kept; /* the highest ticket; relaxed: it orders nothing else */

    struct client_tokens *tokens; /* sender's thread only from here */
    bool ends;                    /* it is to stop: nothing is held any more */
    struct integrations *current; /* in force; referenced; NULL: nobody said */
    struct sender_queue *queues;
    struct random random;
    CURL **idle;
    size_t idle_count, idle_capacity;
};

/* --- sender_transfer.c --- */

/* Begins an attempt: composes and sends its first request. Not DELIVERY_MORE: it has ended already, err says why. */
enum delivery_verdict sender_attempt_begin(struct sender_task *t, struct error *err);
/* Its transfer has ended: DELIVERY_MORE: the next request is on its way. */
enum delivery_verdict sender_attempt_go_on(struct sender_task *t, CURLcode code, struct error *err);
/* Copies an error's message, cut to fit, without the secrets of the integration and of what it was sent: services may quote that in
 * their answers. The one way of their words into logs, API and history. */
void sender_attempt_redact(struct sender_task *t, const char *message, char *out, size_t bytes);
/* Frees what the attempt has; takes its transfer out of the multi. */
void sender_attempt_end(struct sender_task *t);

/* --- sender_stats.c --- */

struct sender_counters *sender_counters_new(void);
void sender_counters_free(struct sender_counters *c);
/* The caller holds the sender's mutex. */
struct sender_stat *sender_counters_of_locked(struct sender_counters *c,
                                              const struct integration *integration);
void sender_counters_copy_locked(const struct sender_counters *c, struct arena *arena,
                                 struct sender_stats *out);
enum sender_reason sender_reason_of_status(long status);

#endif
