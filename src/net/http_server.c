/* SPDX-License-Identifier: Apache-2.0 */
/* http_server.c: listening sockets, one MHD daemon for each, and the order of start and stop. */
#include "net/http_server.h"

#include "base/assert.h"
#include "net/http_private.h"

#include <arpa/inet.h>
#include <errno.h>
#include <gnutls/abstract.h>
#include <netdb.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <unistd.h>

enum { ASIDE_THREADS = 2, ASIDE_QUEUE_MAX = 1024, ACCESS_QUEUE_MAX = 256, LISTEN_BACKLOG = 511 };

static int64_t or_default(int64_t value, int64_t fallback)
{
    return value ? value : fallback;
}

static void options_fill(struct http_server_options *o)
{
    o->thread_count = o->thread_count ? o->thread_count : 2;
    o->connections_max = o->connections_max ? o->connections_max : 512;
    o->body_bytes_max = o->body_bytes_max ? o->body_bytes_max : 10 << 20;
    o->bodies_bytes_max = o->bodies_bytes_max ? o->bodies_bytes_max : 256 << 20;
    o->response_bytes_max = o->response_bytes_max ? o->response_bytes_max : 64 << 20;
    o->idle_timeout_ms = or_default(o->idle_timeout_ms, 5 * 60 * 1000);
    o->read_timeout_ms = or_default(o->read_timeout_ms, 60 * 1000);
    o->write_timeout_ms = or_default(o->write_timeout_ms, 60 * 1000);
    o->drain_timeout_ms = or_default(o->drain_timeout_ms, 5 * 1000);
    ASSERT(o->line_bytes_max <= HTTP_TARGET_BYTES_MAX &&
           o->header_bytes_max <= HTTP_HEADER_BYTES_MAX);
    if (o->anonymous_role == HTTP_ROLE_UNSET)
        o->anonymous_role = HTTP_ROLE_VIEW;
}

/* "host:port", "[v6]:port", ":port" into two strings. */
static bool address_split(struct view text, char host[256], char port[8], struct error *err)
{
    size_t colon = text.len;
    while (colon > 0 && text.ptr[colon - 1] != ':')
        colon--;
    if (colon == 0)
        return error_set(err, ERROR_INPUT,
                         "listen address \"%.*s\" has no port: expected host:port",
                         VIEW_ARGS(text));
    struct view h = view_slice(text, 0, colon - 1), p = view_slice(text, colon, text.len);
    if (h.len >= 2 && h.ptr[0] == '[' && h.ptr[h.len - 1] == ']')
        h = view_slice(h, 1, h.len - 1);
    else if (h.len && memchr(h.ptr, ':', h.len))
        return error_set(err, ERROR_INPUT,
                         "listen address \"%.*s\": an IPv6 address is written in brackets",
                         VIEW_ARGS(text));
    unsigned value = 0;
    for (size_t i = 0; i < p.len && value <= 65535; i++) {
        unsigned digit = (unsigned)(unsigned char)p.ptr[i] - '0';
        value = digit <= 9 ? value * 10 + digit : 65536;
    }
    if (p.len == 0 || value > 65535 || h.len >= 256 || memchr(text.ptr, 0, text.len))
        return error_set(err, ERROR_INPUT,
                         "listen address \"%.*s\": expected host:port with a port from 0 to 65535",
                         VIEW_ARGS(text));
    if (h.len)
        memcpy(host, h.ptr, h.len);
    host[h.len] = '\0';
    (void)snprintf(port, 8, "%u", value); /* fits: at most five digits */
    return true;
}

static int socket_listen(const struct addrinfo *ai, bool dual_stack)
{
    int fd = socket(ai->ai_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0)
        return -1;
    int on = 1, v6_only = !dual_stack;
    if (setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on) == 0 &&
        (ai->ai_family != AF_INET6 ||
         setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &v6_only, sizeof v6_only) == 0) &&
        bind(fd, ai->ai_addr, ai->ai_addrlen) == 0 && listen(fd, LISTEN_BACKLOG) == 0)
        return fd;
    int saved = errno;
    (void)close(fd); /* nothing was written to it */
    errno = saved;
    return -1;
}

/* All of v6 and v4 through one socket; machines without IPv6 get v4. */
static int listen_anywhere(const char *port)
{
    struct sockaddr_in6 any6 = {.sin6_family = AF_INET6, .sin6_addr = in6addr_any};
    struct sockaddr_in any4 = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_ANY)};
    any6.sin6_port = any4.sin_port = htons((uint16_t)strtoul(port, NULL, 10));
    struct addrinfo ai = {
        .ai_family = AF_INET6, .ai_addr = (struct sockaddr *)&any6, .ai_addrlen = sizeof any6};
    int fd = socket_listen(&ai, true);
    if (fd >= 0 || (errno != EAFNOSUPPORT && errno != EADDRNOTAVAIL))
        return fd;
    ai = (struct addrinfo){
        .ai_family = AF_INET, .ai_addr = (struct sockaddr *)&any4, .ai_addrlen = sizeof any4};
    return socket_listen(&ai, false);
}

static bool listener_name(struct listener *l, struct error *err)
{
    struct sockaddr_storage name;
    socklen_t bytes = sizeof name;
    char host[64], port[8];
    if (getsockname(l->fd, (struct sockaddr *)&name, &bytes) != 0)
        return error_set_errno(err, errno, "could not read the address of a listening socket");
    int code = getnameinfo((struct sockaddr *)&name, bytes, host, sizeof host, port, sizeof port,
                           NI_NUMERICHOST | NI_NUMERICSERV);
    if (code != 0)
        return error_set(err, ERROR_IO, "could not read the address of a listening socket: %s",
                         gai_strerror(code));
    l->port = (uint16_t)strtoul(port, NULL, 10);
    bool v6 = name.ss_family == AF_INET6;
    (void)snprintf(l->address, sizeof l->address, "%s%s%s:%s", v6 ? "[" : "", host, v6 ? "]" : "",
                   port);
    return true;
}

static bool listener_open(struct listener *l, const char *address, struct error *err)
{
    char host[256], port[8];
    l->fd = -1;
    if (!address_split(view_from(address), host, port, err))
        return false;
    if (host[0] == '\0') {
        l->fd = listen_anywhere(port);
    } else {
        struct addrinfo hints = {.ai_socktype = SOCK_STREAM,
                                 .ai_flags = AI_PASSIVE | AI_NUMERICSERV};
        struct addrinfo *found = NULL;
        int code = getaddrinfo(host, port, &hints, &found);
        if (code != 0)
            return error_set(err, ERROR_INPUT,
                             "listen address \"%s\": could not resolve the host: %s", address,
                             gai_strerror(code));
        for (const struct addrinfo *ai = found; ai && l->fd < 0; ai = ai->ai_next)
            l->fd = socket_listen(ai, false);
        int saved = errno;
        freeaddrinfo(found);
        errno = saved;
    }
    if (l->fd >= 0)
        return listener_name(l, err);
    if (errno == EADDRINUSE)
        return error_set(err, ERROR_BUSY, "could not listen on \"%s\": address already in use",
                         address);
    return error_set_errno(err, errno, "could not listen on \"%s\"", address);
}

static bool cors_open(struct http_server *s, const char *pattern, struct error *err)
{
    if (pattern == NULL || pattern[0] == '\0')
        return true;
    s->cors_any = view_is(view_from(pattern), ".*");
    return regex_new(&s->cors_origin, view_from(pattern), err) || error_wrap(err, "CORS origin");
}

/* "https://host:port" of "https://host:port/path". */
static void external_origin_set(struct http_server *s, const char *url)
{
    const char *host = url ? strstr(url, "://") : NULL;
    if (host == NULL)
        return;
    host += 3;
    struct view origin = {url, (size_t)(host - url) + strcspn(host, "/?#")};
    s->external_origin = (struct view){mem_copy_string(MEM_HTTP, origin), origin.len};
}

bool http_server_open(struct http_server **out, const struct http_server_options *opts,
                      struct error *err)
{
    *out = NULL;
    struct http_server *s = mem_alloc_zero(MEM_HTTP, 1, sizeof *s);
    s->options = *opts;
    options_fill(&s->options);
    mutex_init(&s->governor.mutex);
    cond_init(&s->governor.wake);
    cond_init(&s->governor.changed);
    external_origin_set(s, opts->external_url);
    if (opts->prefix && strcmp(opts->prefix, "/") != 0)
        s->prefix =
            (struct view){mem_copy_string(MEM_HTTP, view_from(opts->prefix)), strlen(opts->prefix)};
    s->listeners = mem_alloc_zero(MEM_HTTP, opts->address_count + 1, sizeof *s->listeners);
    bool ok = cors_open(s, opts->cors_origin, err);
    for (size_t i = 0; ok && i < opts->address_count; i++) {
        ok = listener_open(&s->listeners[i], opts->addresses[i], err);
        s->listener_count = i + 1;
    }
    if (ok && opts->address_count == 0)
        ok = error_set(err, ERROR_INPUT, "no address to listen on");
    s->options.addresses = NULL; /* lent for this call only */
    s->options.cors_origin = NULL;
    s->options.external_url = NULL;
    s->options.prefix = NULL;
    if (!ok) {
        http_server_close(s);
        return false;
    }
    *out = s;
    return true;
}

void http_server_set_pool(struct http_server *s, struct pool *pool)
{
    ASSERT(!s->started);
    s->options.pool = pool;
}

static void on_library_log(void *cls, const char *format, va_list args)
{
    struct http_server *s = cls;
    char text[512];
    int len = vsnprintf(text, sizeof text, format, args);
    if (len <= 0 || s->options.log == NULL)
        return;
    size_t end = (size_t)len < sizeof text ? (size_t)len : sizeof text - 1;
    while (end > 0 && text[end - 1] == '\n')
        text[--end] = '\0';
    s->options.log(s->options.log_arg, text);
}

/* Targets stay as they were sent: form.c decodes them, once and with errors. */
static size_t keep_escaped(void *cls, struct MHD_Connection *mhd, char *text)
{
    (void)cls;
    (void)mhd;
    return strlen(text);
}

/* A server that stops turns connections away. Not MHD_quiesce_daemon(): it races with its own worker threads for
 * taking the socket out of epoll, and the loser aborts the process (0.9.75, seen under ASan). */
static enum MHD_Result on_accept(void *cls, const struct sockaddr *peer, socklen_t bytes)
{
    (void)peer;
    (void)bytes;
    const struct http_server *s = cls;
    return atomic_load_explicit(&s->stopping, memory_order_relaxed) ? MHD_NO : MHD_YES;
}

/* MHD asks for one before it begins; http_tls_begin() replaces it and all it would lead to. */
static int no_certificate(gnutls_session_t session, const gnutls_datum_t *req_ca_rdn, int nreqs,
                          const gnutls_pk_algorithm_t *pk_algos, int pk_algos_length,
                          gnutls_pcert_st **pcert, unsigned int *pcert_length,
                          gnutls_privkey_t *pkey)
{
    (void)session;
    (void)req_ca_rdn;
    (void)nreqs;
    (void)pk_algos;
    (void)pk_algos_length;
    (void)pcert;
    (void)pcert_length;
    (void)pkey;
    return -1;
}

/* MHD's pool of a connection: the longest line, the headers with MHD's note on each, and an answer's head. */
static size_t connection_bytes(const struct http_server_options *o)
{
    size_t line = o->line_bytes_max ? o->line_bytes_max : HTTP_TARGET_BYTES_MAX;
    return line +
           (o->header_bytes_max ? o->header_bytes_max + 32 * 1024 : (size_t)HTTP_HEADER_BYTES_MAX);
}

static bool listener_start(struct http_server *s, struct listener *l, struct error *err)
{
    unsigned flags = MHD_USE_EPOLL_INTERNAL_THREAD | MHD_USE_SUSPEND_RESUME | MHD_USE_ERROR_LOG;
    if (s->has_tls)
        flags |= MHD_USE_TLS;
    struct MHD_OptionItem items[16] = {
        {MHD_OPTION_EXTERNAL_LOGGER, (intptr_t)on_library_log, s},
        {MHD_OPTION_LISTEN_SOCKET, l->fd, NULL},
        {MHD_OPTION_STRICT_FOR_CLIENT, 1, NULL},
        {MHD_OPTION_CONNECTION_MEMORY_LIMIT, (intptr_t)connection_bytes(&s->options), NULL},
        {MHD_OPTION_CONNECTION_LIMIT,
         (intptr_t)(s->options.connections_max + s->connections_reserve), NULL},
        {MHD_OPTION_CONNECTION_TIMEOUT, 0, NULL}, /* the governor's */
        {MHD_OPTION_NOTIFY_CONNECTION, (intptr_t)http_on_connection, s},
        {MHD_OPTION_NOTIFY_COMPLETED, (intptr_t)http_on_completed, s},
        {MHD_OPTION_URI_LOG_CALLBACK, (intptr_t)http_on_target, s},
        {MHD_OPTION_UNESCAPE_CALLBACK, (intptr_t)keep_escaped, NULL},
    };
    size_t count = 10;
    if (s->has_tls)
        items[count++] = (struct MHD_OptionItem){MHD_OPTION_HTTPS_CERT_CALLBACK, 0,
                                                 (void *)(intptr_t)no_certificate};
    if (s->options.thread_count > 1)
        items[count++] = (struct MHD_OptionItem){MHD_OPTION_THREAD_POOL_SIZE,
                                                 (intptr_t)s->options.thread_count, NULL};
    items[count] = (struct MHD_OptionItem){MHD_OPTION_END, 0, NULL};
    /* MHD's threads inherit the mask: signals are for the main thread. */
    sigset_t all, before;
    sigfillset(&all);
    int code = pthread_sigmask(SIG_SETMASK, &all, &before);
    ASSERT(code == 0);
    l->daemon = MHD_start_daemon(flags, 0, on_accept, s, http_on_request, s, MHD_OPTION_ARRAY,
                                 items, MHD_OPTION_END);
    int saved = errno;
    code = pthread_sigmask(SIG_SETMASK, &before, NULL);
    ASSERT(code == 0);
    l->fd = -1; /* the daemon's now, also when it could not start */
    if (l->daemon == NULL)
        return error_set_errno(err, saved ? saved : EINVAL, "could not serve on \"%s\"",
                               l->address);
    return true;
}

/* Connections may take half of the process' descriptors: the other half is for files and for clients of our own. */
static void connections_limit(struct http_server *s)
{
    struct rlimit limit;
    s->connections_reserve = HTTP_CONNECTIONS_RESERVE;
    if (getrlimit(RLIMIT_NOFILE, &limit) != 0 || limit.rlim_cur == RLIM_INFINITY)
        return;
    rlim_t budget = limit.rlim_cur / 2 / (s->listener_count ? s->listener_count : 1);
    if (budget >= (rlim_t)s->options.connections_max + HTTP_CONNECTIONS_RESERVE)
        return;
    if (budget < 4)
        budget = 4;
    s->connections_reserve = (unsigned)(budget / 4);
    s->options.connections_max = (unsigned)(budget - budget / 4);
}

bool http_server_start(struct http_server *s, struct error *err)
{
    ASSERT(!s->started);
    s->started = true;
    connections_limit(s);
    if (s->options.tls) {
        struct http_tls *tls = s->options.tls(s->options.access_arg);
        s->has_tls = tls != NULL;
        http_tls_unref(tls);
    }
    bool ok = pool_start(&s->aside, ASIDE_THREADS, ASIDE_QUEUE_MAX, err) &&
              (s->options.access == NULL || pool_start(&s->access, 1, ACCESS_QUEUE_MAX, err)) &&
              governor_start(s, err);
    for (size_t i = 0; ok && i < s->listener_count; i++)
        ok = listener_start(s, &s->listeners[i], err);
    if (!ok)
        http_server_stop(s);
    return ok;
}

void http_server_stop(struct http_server *s)
{
    if (s == NULL || !s->started)
        return;
    s->started = false;
    atomic_store(&s->stopping, true);
    governor_end_live(s);
    if (!governor_wait(s, false, mono_add_ms(clock_mono(), s->options.drain_timeout_ms)))
        governor_cancel_all(s);
    /* MHD must not end with suspended connections; handlers answer their cancel callback soon. */
    (void)governor_wait(s, true, (mono_time){0}); /* without a deadline it cannot fail */
    /* The answers of those that were cancelled may still be on their way. */
    (void)governor_wait(s, false, mono_add_ms(clock_mono(), 500));
    for (size_t i = 0; i < s->listener_count; i++) {
        if (s->listeners[i].daemon)
            MHD_stop_daemon(s->listeners[i].daemon); /* closes its listening socket */
        s->listeners[i].daemon = NULL;
    }
    governor_stop(s);
    pool_stop(s->aside);
    pool_stop(s->access);
    s->aside = s->access = NULL;
}

void http_server_close(struct http_server *s)
{
    if (s == NULL)
        return;
    http_server_stop(s);
    for (size_t i = 0; i < s->listener_count; i++)
        if (s->listeners[i].fd >= 0)
            (void)close(s->listeners[i].fd); /* never served on: nothing to lose */
    regex_free(s->cors_origin);
    mutex_deinit(&s->governor.mutex);
    cond_deinit(&s->governor.wake);
    cond_deinit(&s->governor.changed);
    mem_free(MEM_HTTP, (char *)(uintptr_t)s->external_origin.ptr);
    mem_free(MEM_HTTP, (char *)(uintptr_t)s->prefix.ptr);
    mem_free(MEM_HTTP, s->listeners);
    mem_free(MEM_HTTP, s->routes);
    mem_free(MEM_HTTP, s);
}

size_t http_server_listener_count(const struct http_server *s)
{
    return s->listener_count;
}

const char *http_server_address(const struct http_server *s, size_t idx)
{
    ASSERT(idx < s->listener_count);
    return s->listeners[idx].address;
}

uint16_t http_server_port(const struct http_server *s, size_t idx)
{
    ASSERT(idx < s->listener_count);
    return s->listeners[idx].port;
}

void http_server_stats_get(const struct http_server *s, struct http_server_stats *out)
{
    struct governor *g =
        (struct governor *)(uintptr_t)&s->governor; /* its mutex is not the caller's const */
    mutex_lock(&g->mutex);
    out->connections_open = g->connection_count;
    out->requests_in_work = g->request_count;
    mutex_unlock(&g->mutex);
    out->connections_total = atomic_load_explicit(&s->connections_total, memory_order_relaxed);
    out->requests_total = atomic_load_explicit(&s->requests_total, memory_order_relaxed);
    out->requests_refused = atomic_load_explicit(&s->requests_refused, memory_order_relaxed);
    out->disconnects = atomic_load_explicit(&s->disconnects, memory_order_relaxed);
    out->write_timeouts = atomic_load_explicit(&s->write_timeouts, memory_order_relaxed);
    out->read_timeouts = atomic_load_explicit(&s->read_timeouts, memory_order_relaxed);
    out->bodies_bytes = atomic_load_explicit(&s->bodies_bytes, memory_order_relaxed);
}
