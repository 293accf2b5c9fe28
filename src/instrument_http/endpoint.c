/* SPDX-License-Identifier: Apache-2.0 */
/* endpoint.c: start, the loop, stop, and what a fork does to it; see endpoint.h. */
#include "instrument_http/endpoint.h"

#include "instrument_http/fail.h"

#include <errno.h>
#include <gnutls/abstract.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

enum { LISTENERS_MAX = 16 };

/* ---- fork: the child must not hold a port that it does not serve ---- */

static pthread_mutex_t all_mutex = PTHREAD_MUTEX_INITIALIZER; /* before any endpoint's */
static struct belfry_endpoint *all;
static pthread_once_t fork_once = PTHREAD_ONCE_INIT;

static void before_fork(void)
{
    pthread_mutex_lock(&all_mutex);
    for (struct belfry_endpoint *e = all; e; e = e->next)
        pthread_mutex_lock(&e->mutex);
}

static void after_fork_parent(void)
{
    for (struct belfry_endpoint *e = all; e; e = e->next)
        pthread_mutex_unlock(&e->mutex);
    pthread_mutex_unlock(&all_mutex);
}

/* Closing only: the epoll sets are shared with the parent, so nothing may be taken out of them. */
static void after_fork_child(void)
{
    for (struct belfry_endpoint *e = all; e; e = e->next) {
        for (size_t i = 0; i < e->listener_count; i++) {
            (void)close(e->listeners[i].listening.fd);
            (void)close(e->listeners[i].epoll_fd);
        }
        for (struct connection *c = e->connections; c; c = c->next)
            (void)close(c->fd);
        (void)close(e->wake_fd);
        pthread_mutex_unlock(&e->mutex);
    }
    all = NULL;
    pthread_mutex_unlock(&all_mutex);
}

static void watch_forks(void)
{
    (void)pthread_atfork(before_fork, after_fork_parent,
                         after_fork_child); /* without it a child keeps a port: no more */
}

/* ---- the loop ---- */

static int poll_timeout(const struct belfry_endpoint *e, int64_t now_ms, int64_t deadline_ms)
{
    int64_t wait_ms = deadline_ms == INT64_MAX ? -1 : deadline_ms - now_ms;
    for (size_t i = 0; i < e->listener_count; i++) {
        MHD_UNSIGNED_LONG_LONG its_ms;
        if (MHD_get_timeout(e->listeners[i].daemon, &its_ms) == MHD_YES &&
            (wait_ms < 0 || (int64_t)its_ms < wait_ms))
            wait_ms = (int64_t)its_ms;
    }
    bool is_full = atomic_load_explicit(&e->connections_open, memory_order_relaxed) >=
                   e->connections_max + CONNECTIONS_RESERVE / 2;
    if (is_full && (wait_ms < 0 || wait_ms > FULL_WAIT_MS))
        return FULL_WAIT_MS;
    return wait_ms > 60000 ? 60000 : (int)wait_ms;
}

static bool is_stopping(struct belfry_endpoint *e)
{
    pthread_mutex_lock(&e->mutex);
    bool stopping = e->is_stopping;
    pthread_mutex_unlock(&e->mutex);
    return stopping;
}

static void *run_loop(void *arg)
{
    struct belfry_endpoint *e = arg;
    struct pollfd fds[LISTENERS_MAX + 1];
    uint64_t count;
    fds[0] = (struct pollfd){.fd = e->wake_fd, .events = POLLIN};
    for (size_t i = 0; i < e->listener_count; i++)
        fds[i + 1] = (struct pollfd){.fd = e->listeners[i].epoll_fd, .events = POLLIN};
    while (!is_stopping(e)) {
        int64_t now_ms = belfry__now_ms();
        int64_t deadline_ms = belfry__connections_cut_late(e, now_ms);
        if (poll(fds, e->listener_count + 1, poll_timeout(e, now_ms, deadline_ms)) > 0 &&
            fds[0].revents && read(e->wake_fd, &count, sizeof count) < 0) {
            /* EAGAIN alone: somebody woke us for what was done already */
        }
        belfry__scrapes_resume(e);
        for (size_t i = 0; i < e->listener_count; i++)
            (void)MHD_run(e->listeners[i].daemon); /* fails when it was not made for it */
    }
    return NULL;
}

/* ---- start ---- */

static unsigned or_default(unsigned value, unsigned fallback)
{
    return value ? value : fallback;
}

static int no_certificate(gnutls_session_t session, const gnutls_datum_t *names, int name_count,
                          const gnutls_pk_algorithm_t *algorithms, int algorithm_count,
                          gnutls_pcert_st **certificate, unsigned *certificate_count,
                          gnutls_privkey_t *key)
{
    (void)session;
    (void)names;
    (void)name_count;
    (void)algorithms;
    (void)algorithm_count;
    (void)certificate;
    (void)certificate_count;
    (void)key;
    return -1; /* belfry__tls_begin() replaces it and all it would lead to */
}

static bool start_daemon(struct belfry_endpoint *e, struct listener *l)
{
    unsigned flags = MHD_USE_EPOLL | MHD_ALLOW_SUSPEND_RESUME;
    struct MHD_OptionItem items[10] = {
        {MHD_OPTION_LISTEN_SOCKET, l->listening.fd, NULL},
        {MHD_OPTION_STRICT_FOR_CLIENT, 1, NULL},
        {MHD_OPTION_CONNECTION_MEMORY_LIMIT, CONNECTION_BYTES_MAX, NULL},
        {MHD_OPTION_CONNECTION_LIMIT, (intptr_t)(e->connections_max + CONNECTIONS_RESERVE), NULL},
        {MHD_OPTION_CONNECTION_TIMEOUT, 0, NULL}, /* deadlines are ours */
        {MHD_OPTION_NOTIFY_CONNECTION, (intptr_t)belfry__on_connection, e},
        {MHD_OPTION_NOTIFY_COMPLETED, (intptr_t)belfry__on_completed, e},
        {MHD_OPTION_URI_LOG_CALLBACK, (intptr_t)belfry__on_target, e},
    };
    size_t count = 8;
    if (e->tls) {
        flags |= MHD_USE_TLS;
        items[count++] = (struct MHD_OptionItem){MHD_OPTION_HTTPS_CERT_CALLBACK, 0,
                                                 (void *)(intptr_t)no_certificate};
    }
    items[count] = (struct MHD_OptionItem){MHD_OPTION_END, 0, NULL};
    errno = 0;
    l->daemon = MHD_start_daemon(flags, 0, NULL, NULL, belfry__on_request, e, MHD_OPTION_ARRAY,
                                 items, MHD_OPTION_END);
    const union MHD_DaemonInfo *info =
        l->daemon ? MHD_get_daemon_info(l->daemon, MHD_DAEMON_INFO_EPOLL_FD) : NULL;
    if (!info) {
        if (!l->daemon) /* it closed the socket, also where it could not start */
            l->listening.fd = -1;
        return false;
    }
    l->epoll_fd = info->epoll_fd;
    return true;
}

static belfry_status open_listeners(struct belfry_endpoint *e, const belfry_endpoint_options *o,
                                    belfry_http_error *error)
{
    for (size_t i = 0; i < o->address_count; i++) {
        struct listener *l = &e->listeners[i];
        e->listener_count = i + 1;
        belfry_status status = belfry__listen(&l->listening, o->addresses[i], error);
        if (status != BELFRY_OK)
            return status;
        if (!start_daemon(e, l))
            return belfry__http_fail(error, BELFRY_ERROR_SYSTEM, "could not serve on \"%.64s\": %s",
                                     l->listening.address,
                                     errno ? strerror(errno) : "libmicrohttpd refused");
    }
    return BELFRY_OK;
}

static const char *options_fault(const belfry_endpoint_options *o)
{
    bool has_certificate = o->certificate_file && o->certificate_file[0];
    bool has_key = o->key_file && o->key_file[0];
    if (o->address_count == 0 || !o->addresses)
        return "no address to listen on";
    if (o->address_count > LISTENERS_MAX)
        return "more than 16 addresses";
    if (has_certificate != has_key)
        return "TLS needs both certificate_file and key_file";
    if (o->client_ca_file && o->client_ca_file[0] && !has_certificate)
        return "client_ca_file needs certificate_file and key_file";
    if (o->connections_max > 100000 || o->scrapes_max > 1000)
        return "connections_max is at most 100000, scrapes_max at most 1000";
    return NULL;
}

static bool start_loop(struct belfry_endpoint *e)
{
    sigset_t blocked, before;
    sigfillset(&blocked); /* signals are for the program's threads; workers inherit it */
    int code = pthread_sigmask(SIG_SETMASK, &blocked, &before);
    if (code == 0) {
        code = pthread_create(&e->loop, NULL, run_loop, e);
        (void)pthread_sigmask(SIG_SETMASK, &before, NULL); /* what it was */
    }
    errno = code;
    return code == 0;
}

/* Whatever was opened; no threads run. */
static void close_all(struct belfry_endpoint *e)
{
    for (size_t i = 0; e->listeners && i < e->listener_count; i++) {
        struct listener *l = &e->listeners[i];
        if (l->daemon)
            MHD_stop_daemon(l->daemon); /* closes the socket too */
        else if (l->listening.fd >= 0)
            (void)close(l->listening.fd); /* nothing was written to it */
        belfry__listen_forget(&l->listening);
    }
    if (e->wake_fd >= 0)
        (void)close(e->wake_fd);
    belfry__tls_close(e->tls);
    belfry_http_free(e->http);
    pthread_mutex_destroy(&e->mutex);
    pthread_cond_destroy(&e->work);
    free(e->workers);
    free(e->listeners);
    free(e);
}

static belfry_status open_all(struct belfry_endpoint *e, const belfry_endpoint_options *o,
                              belfry_http_error *error)
{
    e->connections_max = or_default(o->connections_max, 64);
    e->scrapes_max = or_default(o->scrapes_max, 4);
    e->request_timeout_ms = or_default(o->request_timeout_ms, 10 * 1000);
    e->answer_timeout_ms = or_default(o->answer_timeout_ms, 60 * 1000);
    e->idle_timeout_ms = or_default(o->idle_timeout_ms, 5 * 60 * 1000);
    e->workers = calloc(e->scrapes_max, sizeof *e->workers);
    e->listeners = calloc(o->address_count, sizeof *e->listeners);
    if (!e->workers || !e->listeners)
        return belfry__http_fail_memory(error);
    belfry_status status = belfry_http_new(&e->http, &o->http, error);
    if (status == BELFRY_OK && o->certificate_file && o->certificate_file[0])
        status =
            belfry__tls_open(&e->tls, o->certificate_file, o->key_file, o->client_ca_file, error);
    if (status != BELFRY_OK)
        return status;
    e->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (e->wake_fd < 0)
        return belfry__http_fail(error, BELFRY_ERROR_SYSTEM, "could not make an eventfd: %s",
                                 strerror(errno));
    return open_listeners(e, o, error);
}

belfry_status belfry_endpoint_start(belfry_endpoint **out, const belfry_endpoint_options *o,
                                    belfry_http_error *error)
{
    if (out)
        *out = NULL;
    if (!out || !o)
        return belfry__http_fail(error, BELFRY_ERROR_NULL,
                                 "no place for the endpoint, or no options");
    const char *fault = options_fault(o);
    if (fault)
        return belfry__http_fail(error, BELFRY_ERROR_FORMAT, "%s", fault);
    (void)pthread_once(&fork_once, watch_forks); /* fails for a bad pointer only */
    belfry_endpoint *e = calloc(1, sizeof *e);
    if (!e)
        return belfry__http_fail_memory(error);
    e->wake_fd = -1;
    e->pid = getpid();
    pthread_mutex_init(&e->mutex, NULL); /* cannot fail without attributes, nor the next */
    pthread_cond_init(&e->work, NULL);
    belfry_status status = open_all(e, o, error);
    if (status == BELFRY_OK && !start_loop(e))
        status = belfry__http_fail(error, BELFRY_ERROR_SYSTEM, "could not start a thread: %s",
                                   strerror(errno));
    if (status != BELFRY_OK) {
        close_all(e);
        return status;
    }
    pthread_mutex_lock(&all_mutex);
    e->next = all;
    all = e;
    pthread_mutex_unlock(&all_mutex);
    *out = e;
    return BELFRY_OK;
}

/* ---- stop ---- */

static void take_out_of_list(const belfry_endpoint *e)
{
    pthread_mutex_lock(&all_mutex);
    struct belfry_endpoint **at = &all;
    while (*at && *at != e)
        at = &(*at)->next;
    if (*at)
        *at = e->next;
    pthread_mutex_unlock(&all_mutex);
}

void belfry_endpoint_stop(belfry_endpoint *e)
{
    uint64_t one = 1;
    if (!e || e->pid != getpid())
        return; /* a forked child's copy: its sockets are closed, its threads never were */
    take_out_of_list(e);
    pthread_mutex_lock(&e->mutex);
    e->is_stopping = true;
    pthread_mutex_unlock(&e->mutex);
    if (write(e->wake_fd, &one, sizeof one) < 0) {
        /* EAGAIN alone: its count is full, so it is readable */
    }
    (void)pthread_join(e->loop, NULL); /* ours, joined once */
    belfry__connections_cancel_all(e);
    belfry__scrapes_stop(e);
    belfry__scrapes_resume(e); /* libmicrohttpd must not end with suspended ones */
    close_all(e);
}

/* ---- questions ---- */

const char *belfry_endpoint_address(const belfry_endpoint *e, size_t idx)
{
    return e && idx < e->listener_count ? e->listeners[idx].listening.address : NULL;
}

uint16_t belfry_endpoint_port(const belfry_endpoint *e, size_t idx)
{
    return e && idx < e->listener_count ? e->listeners[idx].listening.port : 0;
}

void belfry_endpoint_stats_get(const belfry_endpoint *e, belfry_endpoint_stats *out)
{
    if (!out)
        return;
    *out = (belfry_endpoint_stats){0};
    if (!e)
        return;
    const memory_order relaxed = memory_order_relaxed;
    pthread_mutex_t *mutex = (pthread_mutex_t *)(uintptr_t)&e->mutex; /* not the caller's const */
    pthread_mutex_lock(mutex);
    out->scrapes_running = e->running_count;
    pthread_mutex_unlock(mutex);
    out->connections_open = atomic_load_explicit(&e->connections_open, relaxed);
    out->connections_total = atomic_load_explicit(&e->connections_total, relaxed);
    out->requests_total = atomic_load_explicit(&e->requests_total, relaxed);
    out->scrapes_total = atomic_load_explicit(&e->scrapes_total, relaxed);
    out->scrapes_refused = atomic_load_explicit(&e->scrapes_refused, relaxed);
    out->scrapes_failed = atomic_load_explicit(&e->scrapes_failed, relaxed);
    out->denied = atomic_load_explicit(&e->denied, relaxed);
    out->timeouts = atomic_load_explicit(&e->timeouts, relaxed);
    out->certificate_errors = atomic_load_explicit(&e->certificate_errors, relaxed);
}
