/* SPDX-License-Identifier: Apache-2.0 */
/* http_governor.c: one thread that watches what MHD does not: a suspended connection's client (POLLRDHUP every
 * 50 ms), requests that trickle in or answers that trickle out, deadlines of handlers.
 *
 * A descriptor in the list is open: MHD closes it only after http_on_connection() took it out, under the same
 * mutex. So shutdown() and poll() below, both without waiting, never reach somebody else's descriptor. */
#include "base/assert.h"
#include "net/http_private.h"

#include <sys/ioctl.h>

/* DEADLINE_MS: so late at most is a handler told that its time is over, and so often at most are all connections looked at for it.
 * ENDED_MS: so long must a request have been without its end before its connection is looked at for it: by then MHD has
 * long worked on what it has read. */
enum { TICK_MS = 50, TICK_LONG_MS = 500, DEADLINE_MS = 5, ENDED_MS = 1000 };

static void cancel_locked(struct http_request *rq, enum http_cancel why)
{
    if (atomic_load_explicit(&rq->canceled, memory_order_relaxed) != HTTP_CANCEL_NONE)
        return;
    atomic_store_explicit(&rq->canceled, (int)why, memory_order_relaxed);
    if (rq->cancel) {
        void (*cancel)(void *) = rq->cancel;
        rq->cancel = NULL;
        cancel(rq->cancel_arg);
    }
}

static void cut_locked(struct http_connection *c)
{
    c->phase = CONNECTION_CUT;
    c->deadline.ns = 0;
    (void)shutdown(c->fd, SHUT_RDWR); /* fails only when the client was faster */
}

static void cut_if_late_locked(struct http_server *s, struct http_connection *c, mono_time now)
{
    if (c->deadline.ns == 0 || now.ns < c->deadline.ns)
        return;
    if (c->phase == CONNECTION_SENDING)
        atomic_fetch_add_explicit(&s->write_timeouts, 1, memory_order_relaxed);
    else if (c->phase == CONNECTION_READING)
        atomic_fetch_add_explicit(&s->read_timeouts, 1, memory_order_relaxed);
    cut_locked(c);
}

/* The client has closed its side in the middle of a request: the rest will not come. MHD reads until there is nothing
 * more and then waits for the next edge of epoll, so it does not see an end that came together with the last bytes
 * (0.9.75, seen): the request would stay until its time is over, and hold up a stop. What is still to be read may be
 * the rest. */
static void cut_if_ended_locked(struct http_server *s, struct http_connection *c)
{
    int unread = 0;
    if (ioctl(c->fd, FIONREAD, &unread) != 0 || unread > 0)
        return;
    atomic_fetch_add_explicit(&s->disconnects, 1, memory_order_relaxed);
    cut_locked(c);
}

static void set_phase_locked(struct http_connection *c, enum connection_phase phase)
{
    const struct http_server_options *o = &c->server->options;
    int64_t timeout_ms = 0;
    if (phase == CONNECTION_IDLE)
        timeout_ms = o->idle_timeout_ms;
    else if (phase == CONNECTION_READING)
        timeout_ms = c->admitted || o->read_timeout_ms < HTTP_HEADERS_MS_MAX ? o->read_timeout_ms
                                                                             : HTTP_HEADERS_MS_MAX;
    else if (phase == CONNECTION_SENDING)
        timeout_ms = o->write_timeout_ms;
    if (c->phase == CONNECTION_CUT)
        return;
    c->phase = phase;
    c->since = clock_mono();
    c->deadline = timeout_ms ? mono_add_ms(c->since, timeout_ms) : (mono_time){0};
}

/* True when the caller has to resume the connection, once it has let go of the mutex: until then nothing else can end the
 * request. Else it is not asleep, and will not sleep before its stream was asked. */
static bool wake_stream_locked(struct http_connection *c)
{
    bool sleeps = c->phase == CONNECTION_SLEEPING;
    if (sleeps)
        set_phase_locked(c, CONNECTION_SENDING);
    else
        c->is_woken = true;
    return sleeps;
}

/* The governor's thread: remembers it for wake_all(). */
static void wake_later_locked(struct governor *g, struct http_connection *c)
{
    if (!wake_stream_locked(c))
        return;
    g->wakes = mem_grow(MEM_HTTP, g->wakes, &g->wake_capacity, g->wake_count + 1,
                        sizeof(struct MHD_Connection *));
    g->wakes[g->wake_count++] = c->request->mhd;
}

static void note_deadline_locked(struct governor *g, mono_time deadline)
{
    if (deadline.ns && (g->next_deadline.ns == 0 || deadline.ns < g->next_deadline.ns))
        g->next_deadline = deadline;
}

/* Deadlines, and the list of descriptors to poll. Returns their number. */
static size_t scan_locked(struct http_server *s, mono_time now)
{
    struct governor *g = &s->governor;
    size_t count = 0;
    g->next_deadline.ns = 0;
    g->polls =
        mem_grow(MEM_HTTP, g->polls, &g->poll_capacity, g->connection_count + 1, sizeof *g->polls);
    g->polled = mem_grow(MEM_HTTP, g->polled, &g->polled_capacity, g->connection_count + 1,
                         sizeof(struct http_connection *));
    for (struct http_connection *c = g->first; c; c = c->next) {
        struct http_request *rq = c->request;
        if (c->phase == CONNECTION_SLEEPING) {
            bool is_canceled =
                atomic_load_explicit(&rq->canceled, memory_order_relaxed) != HTTP_CANCEL_NONE;
            if (is_canceled || mono_ms_since(c->since) >= HTTP_LIVE_MS) {
                wake_later_locked(g, c);
                continue;
            }
        } else if (c->phase != CONNECTION_WORKING) {
            cut_if_late_locked(s, c, now);
            if (c->phase != CONNECTION_READING || rq == NULL || mono_ms_since(c->since) < ENDED_MS)
                continue;
        } else {
            if (rq->cancel_deadline.ns && now.ns >= rq->cancel_deadline.ns)
                cancel_locked(rq, HTTP_CANCEL_DEADLINE);
            else
                note_deadline_locked(g, rq->cancel_deadline);
            if (c->hung_up)
                continue;
        }
        g->polls[count] = (struct pollfd){.fd = c->fd, .events = POLLRDHUP};
        g->polled[count++] = c;
    }
    return count;
}

static void look_locked(struct http_server *s)
{
    struct governor *g = &s->governor;
    size_t count = scan_locked(s, clock_mono());
    if (count == 0 || poll(g->polls, count, 0) <= 0)
        return;
    for (size_t i = 0; i < count; i++) {
        if (!(g->polls[i].revents & (POLLRDHUP | POLLHUP | POLLERR)))
            continue;
        struct http_connection *c = g->polled[i];
        if (c->phase == CONNECTION_READING) {
            cut_if_ended_locked(s, c);
            continue;
        }
        atomic_fetch_add_explicit(&s->disconnects, 1, memory_order_relaxed);
        cancel_locked(c->request, HTTP_CANCEL_DISCONNECT);
        if (c->phase == CONNECTION_SLEEPING)
            wake_later_locked(g, c);
        else
            c->hung_up = true;
    }
}

/* MHD is full and takes nobody, so nobody comes in whose place would be made: an eighth of the places is freed of those
 * that are silent, first of those that never asked anything. (Seen with 10,000 connections that say nothing: until
 * their time was over, 10 s, no probe was answered.) */
static void relieve_locked(struct http_server *s)
{
    struct governor *g = &s->governor;
    size_t max = s->options.connections_max * s->listener_count;
    size_t living = 0, aim = max - max / 8;
    if (g->connection_count < max + s->connections_reserve * s->listener_count)
        return;
    for (const struct http_connection *c = g->first; c; c = c->next)
        living += c->phase != CONNECTION_CUT;
    for (int pass = 0; pass < 2; pass++) {
        enum connection_phase phase = pass == 0 ? CONNECTION_READING : CONNECTION_IDLE;
        for (struct http_connection *c = g->first; c && living > aim; c = c->next) {
            if (c->phase != phase || c->request || mono_ms_since(c->since) < HTTP_SILENT_MS_MIN)
                continue;
            cut_locked(c);
            living--;
        }
    }
}

/* MHD has locks of its own, so not under ours. */
static void wake_all(struct governor *g)
{
    if (g->wake_count == 0)
        return;
    mutex_unlock(&g->mutex);
    for (size_t i = 0; i < g->wake_count; i++)
        MHD_resume_connection(g->wakes[i]);
    g->wake_count = 0;
    mutex_lock(&g->mutex);
}

/* Connections that are there: when it must look at them again. */
static mono_time next_look_locked(const struct governor *g)
{
    mono_time now = clock_mono();
    mono_time tick = mono_add_ms(now, g->working_count == 0 ? TICK_LONG_MS : TICK_MS);
    mono_time soon = mono_add_ms(now, DEADLINE_MS), deadline = g->next_deadline;
    if (deadline.ns == 0 || deadline.ns > tick.ns)
        return tick;
    return deadline.ns > soon.ns ? deadline : soon;
}

/* Who wakes it has said by when it is to look; until then more may come that one look is enough for. */
static void sleep_locked(struct governor *g)
{
    if (g->connection_count == 0)
        g->sleeps_until.ns = INT64_MAX;
    else
        g->sleeps_until = next_look_locked(g);
    while (!g->stop && clock_mono().ns < g->sleeps_until.ns) {
        if (g->sleeps_until.ns == INT64_MAX)
            cond_wait(&g->wake, &g->mutex);
        else
            (void)cond_wait_until(&g->wake, &g->mutex, g->sleeps_until); /* the loop asks why */
    }
    g->sleeps_until.ns = 0;
}

static void *governor_run(void *arg)
{
    struct http_server *s = arg;
    struct governor *g = &s->governor;
    mutex_lock(&g->mutex);
    while (!g->stop) {
        look_locked(s);
        relieve_locked(s);
        wake_all(g);
        if (g->stop)
            break;
        sleep_locked(g);
    }
    mutex_unlock(&g->mutex);
    return NULL;
}

bool governor_start(struct http_server *s, struct error *err)
{
    s->governor.running = thread_start(&s->governor.thread, "http-governor", governor_run, s, err);
    return s->governor.running;
}

void governor_stop(struct http_server *s)
{
    struct governor *g = &s->governor;
    if (!g->running)
        return;
    mutex_lock(&g->mutex);
    g->stop = true;
    cond_signal(&g->wake);
    mutex_unlock(&g->mutex);
    thread_join(g->thread);
    g->running = false;
    mem_free(MEM_HTTP, g->polls);
    mem_free(MEM_HTTP, g->polled);
    mem_free(MEM_HTTP, g->wakes);
    g->wakes = NULL;
    g->wake_capacity = 0;
    g->polls = NULL;
    g->polled = NULL;
    g->poll_capacity = g->polled_capacity = 0;
}

/* It is to look by then. */
static void wake_by_locked(struct governor *g, mono_time by)
{
    if (g->sleeps_until.ns > by.ns) {
        g->sleeps_until = by;
        cond_signal(&g->wake);
    }
}

static void wake_locked(struct governor *g)
{
    wake_by_locked(g, mono_add_ms(clock_mono(), TICK_MS));
}

/* Cuts the connection that waits longest without a request of its own; of this peer, unless it is 0. False when all
 * have something to do. */
static bool make_room_locked(struct governor *g, uint64_t peer)
{
    struct http_connection *longest = NULL;
    for (struct http_connection *c = g->first; c; c = c->next) {
        bool silent =
            c->phase == CONNECTION_IDLE || (c->phase == CONNECTION_READING && c->request == NULL &&
                                            mono_ms_since(c->since) >= HTTP_SILENT_MS_MIN);
        if (silent && (peer == 0 || c->peer == peer) &&
            (longest == NULL || c->since.ns < longest->since.ns))
            longest = c;
    }
    if (longest == NULL)
        return false;
    cut_locked(longest);
    return true;
}

/* How many count, of this peer unless it is 0: those that are cut are on their way out. */
static size_t living_locked(const struct governor *g, uint64_t peer)
{
    size_t count = 0;
    for (const struct http_connection *c = g->first; c; c = c->next)
        count += c->phase != CONNECTION_CUT && (peer == 0 || c->peer == peer);
    return count;
}

void governor_add_connection(struct http_connection *c)
{
    struct governor *g = &c->server->governor;
    size_t max = c->server->options.connections_max * c->server->listener_count;
    mutex_lock(&g->mutex);
    /* One that just answered its last request is idle too, until it is gone: cutting it may not be enough. */
    while (!c->is_over && g->connection_count >= max && living_locked(g, 0) >= max)
        c->is_over = !make_room_locked(g, 0);
    /* One address has half of the places: beyond it takes the place of one of its own. */
    if (!c->is_over && c->peer && living_locked(g, c->peer) >= (max + 1) / 2)
        c->is_over = !make_room_locked(g, c->peer);
    /* Before its first request a connection has no longer than a request may take to arrive. */
    set_phase_locked(c, CONNECTION_READING);
    c->next = g->first;
    if (g->first)
        g->first->previous = c;
    g->first = c;
    if (g->connection_count++ == 0)
        wake_locked(g);
    mutex_unlock(&g->mutex);
}

void governor_remove_connection(struct http_connection *c)
{
    struct governor *g = &c->server->governor;
    mutex_lock(&g->mutex);
    if (c->previous)
        c->previous->next = c->next;
    else
        g->first = c->next;
    if (c->next)
        c->next->previous = c->previous;
    g->connection_count--;
    mutex_unlock(&g->mutex);
}

bool governor_begin_work(struct http_connection *c)
{
    struct governor *g = &c->server->governor;
    mutex_lock(&g->mutex);
    ASSERT(c->request != NULL);
    bool may =
        atomic_load_explicit(&c->request->canceled, memory_order_relaxed) == HTTP_CANCEL_NONE;
    if (may) {
        g->working_count++;
        c->hung_up = false;
        wake_locked(g);
        set_phase_locked(c, CONNECTION_WORKING);
    }
    mutex_unlock(&g->mutex);
    return may;
}

void governor_set_phase(struct http_connection *c, enum connection_phase phase)
{
    struct governor *g = &c->server->governor;
    ASSERT(phase != CONNECTION_WORKING);
    mutex_lock(&g->mutex);
    set_phase_locked(c, phase);
    mutex_unlock(&g->mutex);
}

bool governor_sleep(struct http_connection *c)
{
    struct governor *g = &c->server->governor;
    mutex_lock(&g->mutex);
    bool may =
        !c->is_woken && c->phase != CONNECTION_CUT &&
        atomic_load_explicit(&c->request->canceled, memory_order_relaxed) == HTTP_CANCEL_NONE;
    c->is_woken = false;
    if (may)
        set_phase_locked(c, CONNECTION_SLEEPING);
    mutex_unlock(&g->mutex);
    return may;
}

void http_live_wake(struct http_request *rq)
{
    struct governor *g = &rq->server->governor;
    mutex_lock(&g->mutex);
    bool sleeps = wake_stream_locked(rq->connection);
    mutex_unlock(&g->mutex);
    if (sleeps)
        MHD_resume_connection(rq->mhd);
}

void governor_mark_live(struct http_connection *c)
{
    struct governor *g = &c->server->governor;
    mutex_lock(&g->mutex);
    c->is_live = true;
    if (atomic_load_explicit(&c->server->stopping, memory_order_relaxed))
        cancel_locked(c->request, HTTP_CANCEL_STOP); /* nobody looks for it any more */
    mutex_unlock(&g->mutex);
}

void governor_end_live(struct http_server *s)
{
    struct governor *g = &s->governor;
    mutex_lock(&g->mutex);
    for (struct http_connection *c = g->first; c; c = c->next) {
        if (c->request && c->is_live)
            cancel_locked(c->request, HTTP_CANCEL_STOP);
    }
    wake_locked(g); /* it wakes those that sleep */
    mutex_unlock(&g->mutex);
}

bool governor_may_keep(struct http_server *s)
{
    struct governor *g = &s->governor;
    mutex_lock(&g->mutex);
    bool few = g->connection_count <= HTTP_KEPT_CONNECTIONS_MAX;
    mutex_unlock(&g->mutex);
    return few && !atomic_load_explicit(&s->stopping, memory_order_relaxed);
}

void governor_begin_request(struct http_connection *c, struct http_request *rq)
{
    struct governor *g = &c->server->governor;
    mutex_lock(&g->mutex);
    /* It was sent while the one before was in work: only from then on could anybody begin with it. */
    if (c->phase == CONNECTION_IDLE && rq->began.ns < c->since.ns)
        rq->began = c->since;
    c->request = rq;
    c->admitted = c->is_live = c->is_woken = false;
    g->request_count++;
    set_phase_locked(c, CONNECTION_READING);
    mutex_unlock(&g->mutex);
}

void governor_admit_request(struct http_connection *c)
{
    struct governor *g = &c->server->governor;
    mutex_lock(&g->mutex);
    c->admitted = true;
    set_phase_locked(c, CONNECTION_READING);
    mutex_unlock(&g->mutex);
}

void governor_end_request(struct http_connection *c)
{
    struct governor *g = &c->server->governor;
    mutex_lock(&g->mutex);
    ASSERT(g->request_count > 0 && c->phase != CONNECTION_WORKING);
    c->request = NULL;
    g->request_count--;
    set_phase_locked(c, CONNECTION_IDLE);
    cond_broadcast(&g->changed);
    mutex_unlock(&g->mutex);
}

void governor_job_done(struct http_server *s)
{
    struct governor *g = &s->governor;
    mutex_lock(&g->mutex);
    ASSERT(g->working_count > 0);
    g->working_count--;
    cond_broadcast(&g->changed);
    mutex_unlock(&g->mutex);
}

void governor_cancel_all(struct http_server *s)
{
    struct governor *g = &s->governor;
    mutex_lock(&g->mutex);
    for (struct http_connection *c = g->first; c; c = c->next)
        if (c->request)
            cancel_locked(c->request, HTTP_CANCEL_STOP);
    mutex_unlock(&g->mutex);
}

bool governor_wait(struct http_server *s, bool only_working, mono_time deadline)
{
    struct governor *g = &s->governor;
    bool in_time = true;
    mutex_lock(&g->mutex);
    while (in_time && (only_working ? g->working_count : g->request_count) > 0) {
        if (deadline.ns == 0)
            cond_wait(&g->changed, &g->mutex);
        else
            in_time = cond_wait_until(&g->changed, &g->mutex, deadline);
    }
    mutex_unlock(&g->mutex);
    return in_time;
}

void http_request_set_cancel(struct http_request *rq, void (*cancel)(void *arg), void *arg,
                             int64_t deadline_ms)
{
    struct governor *g = &rq->server->governor;
    mutex_lock(&g->mutex);
    if (atomic_load_explicit(&rq->canceled, memory_order_relaxed) != HTTP_CANCEL_NONE) {
        cancel(arg);
    } else {
        rq->cancel = cancel;
        rq->cancel_arg = arg;
        rq->cancel_deadline = deadline_ms ? mono_add_ms(rq->began, deadline_ms) : (mono_time){0};
        if (deadline_ms) {
            mono_time now = clock_mono(), deadline = rq->cancel_deadline;
            note_deadline_locked(g, deadline);
            wake_by_locked(g, mono_add_ms(deadline.ns > now.ns ? deadline : now, DEADLINE_MS));
        }
    }
    mutex_unlock(&g->mutex);
}

void http_request_clear_cancel(struct http_request *rq)
{
    struct governor *g = &rq->server->governor;
    mutex_lock(&g->mutex);
    rq->cancel = NULL;
    rq->cancel_deadline.ns = 0;
    mutex_unlock(&g->mutex);
}

enum http_cancel http_request_canceled(const struct http_request *rq)
{
    return (enum http_cancel)atomic_load_explicit(&rq->canceled, memory_order_relaxed);
}
