/* SPDX-License-Identifier: Apache-2.0 */
/* scrape_thread.c: one thread that scrapes its targets on time.
 *
 *   heap      targets by when they are due
 *   lanes     a curl multi each, for at most 128 targets: libcurl's cost per transfer grows with the
 *             connections that its multi keeps (measured over 10,000 hosts: 640 us of CPU per scrape with
 *             one multi, 24 with a hundred)
 *   epoll     the sockets of all lanes, and an eventfd for commands
 *
 * A turn: wait for sockets, commands, the next target or the next of libcurl's timers; let libcurl work;
 * append what came in; start what is due.
 *
 * A target is due at (multiple of its interval + hash of its key), on the wall clock, as in Prometheus:
 * so targets are spread, and a restart keeps each target's place. From then on the monotonic clock counts.
 * Commands arrive in order; nothing else is shared but the counters and what scrape->mutex guards.
 *
 * Easy handles and body buffers are lent for one transfer; a few idle ones are kept. */
#include "ingest/scrape_private.h"

#include "base/assert.h"
#include "base/mem.h"
#include "base/thread.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

enum {
    EVENTS_MAX = 64,
    IDLE_TRANSFERS_MAX = 8, /* chosen, not measured: scrapes are spread, few run at once */
    IDLE_BUFFERS_MAX = 8,
    IDLE_BUFFER_BYTES_MAX = 1 << 20, /* a larger one goes back to the system */
    COMMANDS_A_TURN_MAX = 256,       /* 0.1 to 0.3 ms of them */
    CLOCKS_APART_MS = 2 /* two clocks cut to milliseconds, and the time between reading them */
};

struct scrape_lane {
    struct scrape_thread *thread;
    CURLM *multi;
    uint32_t idx, target_count;
    int64_t timer_ns; /* when libcurl wants to be called; 0 = never */
    bool busy;        /* libcurl may have finished something */
};

struct scrape_thread {
    struct scrape_thread_shared shared; /* constant */
    int epoll_fd, event_fd;
    pthread_t thread;

    pthread_mutex_t mutex; /* guards the queue */
    struct scrape_command *queue;
    size_t queue_count, queue_capacity;
    bool stop;

    /* This thread only. */
    struct scrape_lane **lanes;
    size_t lane_count, lane_capacity, lane_full_count; /* full: so many from the first */
    struct scrape **heap;
    size_t heap_count, heap_capacity;
    struct scrape **all; /* every scrape of this thread, in no order */
    size_t all_count, all_capacity;
    struct scrape_transfer *idle_transfers;
    size_t idle_transfer_count;
    struct buffer idle_buffers[IDLE_BUFFERS_MAX];
    size_t idle_buffer_count;
    struct scrape_workspace workspace;
    size_t now_left;                 /* scrapes that SCRAPE_NOW waits for */
    struct scrape_command *commands; /* taken from the queue, done from command_at on */
    size_t command_at, command_count;
};

/* ---- heap by due time ---- */

static void heap_set(struct scrape_thread *t, size_t idx, struct scrape *s)
{
    t->heap[idx] = s;
    s->heap_idx = idx;
}

static void heap_up(struct scrape_thread *t, size_t idx, struct scrape *s)
{
    for (; idx > 0 && t->heap[(idx - 1) / 2]->due.ns > s->due.ns; idx = (idx - 1) / 2)
        heap_set(t, idx, t->heap[(idx - 1) / 2]);
    heap_set(t, idx, s);
}

static void heap_down(struct scrape_thread *t, size_t idx, struct scrape *s)
{
    for (;;) {
        size_t child = idx * 2 + 1;
        if (child >= t->heap_count)
            break;
        if (child + 1 < t->heap_count && t->heap[child + 1]->due.ns < t->heap[child]->due.ns)
            child++;
        if (t->heap[child]->due.ns >= s->due.ns)
            break;
        heap_set(t, idx, t->heap[child]);
        idx = child;
    }
    heap_set(t, idx, s);
}

static void heap_remove(struct scrape_thread *t, struct scrape *s)
{
    size_t idx = s->heap_idx;
    if (idx == SIZE_MAX)
        return;
    ASSERT(idx < t->heap_count && t->heap[idx] == s);
    struct scrape *last = t->heap[--t->heap_count];
    s->heap_idx = SIZE_MAX;
    if (last == s)
        return;
    if (idx > 0 && t->heap[(idx - 1) / 2]->due.ns > last->due.ns)
        heap_up(t, idx, last);
    else
        heap_down(t, idx, last);
}

static void heap_put(struct scrape_thread *t, struct scrape *s, mono_time due)
{
    heap_remove(t, s);
    if (t->heap_count == t->heap_capacity)
        t->heap =
            mem_grow(MEM_SCRAPE, t->heap, &t->heap_capacity, t->heap_count + 1, sizeof *t->heap);
    s->due = due;
    heap_up(t, t->heap_count++, s);
}

/* ---- when ---- */

/* The next time that the target's place in its interval comes round. */
static mono_time first_due(const struct target *target)
{
    wall_time wall = clock_wall();
    int64_t interval = target->interval_ms;
    int64_t place = (int64_t)(target->hash % (uint64_t)interval);
    int64_t into = ((wall.ms % interval) + interval) % interval;
    return mono_add_ms(clock_mono(), (place - into + interval) % interval);
}

/* The timestamp of a scrape that begins now: the planned time when it is within a hundredth of the interval
 * and 2 ms, as in Prometheus. Ticks follow the monotonic clock. Where the wall clock says otherwise by more
 * than the two may be rounded apart, it was set, the first scrape was late, or a reload changed the interval:
 * plans are made anew from here (Prometheus stays off its plan for good, and its spacing is that of the
 * scheduler's moods). */
static wall_time timestamp_now(struct scrape *s)
{
    int64_t now = clock_wall().ms, interval = s->target->interval_ms;
    int64_t tolerance = interval / 100 < 2 ? interval / 100 : 2;
    int64_t planned = s->planned.ms, late = mono_ms_since(s->tick);
    if (s->now_running && now <= planned) /* ordered within a millisecond: rows must ascend */
        now = planned + 1;
    if (planned == 0 || now < planned || s->now_running)
        planned = now;
    planned += (now - planned) / interval * interval;
    if (now - planned > interval - tolerance)
        planned += interval; /* a little early counts too */
    if (llabs(now - planned - late) > tolerance + CLOCKS_APART_MS)
        planned = now;
    s->planned.ms = planned;
    return (wall_time){now - planned <= tolerance ? planned : now};
}

/* ---- libcurl's sockets and timers ---- */

static uint64_t event_key(uint32_t lane_idx, int fd)
{
    return (uint64_t)lane_idx << 32 | (uint32_t)fd;
}

static int on_socket(CURL *easy, curl_socket_t fd, int what, void *arg, void *known)
{
    struct scrape_lane *lane = arg;
    struct epoll_event event = {.data.u64 = event_key(lane->idx, fd)};
    int epoll_fd = lane->thread->epoll_fd;
    if (what == CURL_POLL_REMOVE) {
        (void)epoll_ctl(epoll_fd, EPOLL_CTL_DEL, fd, NULL); /* a closed one is out already */
        (void)curl_multi_assign(lane->multi, fd, NULL);     /* fails only for a socket it forgot */
        return 0;
    }
    event.events = (what & CURL_POLL_IN ? EPOLLIN : 0U) | (what & CURL_POLL_OUT ? EPOLLOUT : 0U);
    int op = known ? EPOLL_CTL_MOD : EPOLL_CTL_ADD;
    /* A number that was closed and given out again between two calls is in there or not, whatever libcurl
     * knows of it. When this fails too the transfer times out. */
    if (epoll_ctl(epoll_fd, op, fd, &event) != 0 && (errno == EEXIST || errno == ENOENT))
        (void)epoll_ctl(epoll_fd, known ? EPOLL_CTL_ADD : EPOLL_CTL_MOD, fd, &event);
    if (!known)
        (void)curl_multi_assign(lane->multi, fd, lane);
    return 0;
}

static int on_timer(CURLM *multi, long timeout_ms, void *arg)
{
    struct scrape_lane *lane = arg;
    lane->timer_ns = timeout_ms < 0 ? 0 : mono_add_ms(clock_mono(), timeout_ms).ns;
    return 0;
}

static void lane_action(struct scrape_lane *lane, curl_socket_t fd, int what)
{
    int running;
    CURLMcode code = curl_multi_socket_action(lane->multi, fd, what, &running);
    ASSERT(code == CURLM_OK);
    lane->busy = true;
}

static struct scrape_lane *lane_new(struct scrape_thread *t)
{
    struct scrape_lane *lane = mem_alloc_zero(MEM_SCRAPE, 1, sizeof *lane);
    lane->thread = t;
    lane->idx = (uint32_t)t->lane_count;
    lane->multi = curl_multi_init();
    ASSERT(lane->multi);
    (void)curl_multi_setopt(lane->multi, CURLMOPT_SOCKETFUNCTION, on_socket); /* known options */
    (void)curl_multi_setopt(lane->multi, CURLMOPT_SOCKETDATA, lane);
    (void)curl_multi_setopt(lane->multi, CURLMOPT_TIMERFUNCTION, on_timer);
    (void)curl_multi_setopt(lane->multi, CURLMOPT_TIMERDATA, lane);
    /* By default it keeps four connections for each transfer in work: too few, as few are. */
    (void)curl_multi_setopt(lane->multi, CURLMOPT_MAXCONNECTS, (long)SCRAPE_LANE_TARGETS_MAX + 16);
    if (t->lane_count == t->lane_capacity)
        t->lanes =
            mem_grow(MEM_SCRAPE, t->lanes, &t->lane_capacity, t->lane_count + 1, sizeof *t->lanes);
    t->lanes[t->lane_count++] = lane;
    return lane;
}

static struct scrape_lane *lane_with_room(struct scrape_thread *t)
{
    for (; t->lane_full_count < t->lane_count; t->lane_full_count++) {
        if (t->lanes[t->lane_full_count]->target_count < SCRAPE_LANE_TARGETS_MAX)
            return t->lanes[t->lane_full_count];
    }
    return lane_new(t);
}

static void lane_leave(struct scrape_thread *t, struct scrape_lane *lane)
{
    lane->target_count--;
    if (lane->idx < t->lane_full_count)
        t->lane_full_count = lane->idx;
}

/* ---- what is lent ---- */

static struct scrape_transfer *transfer_lend(struct scrape_thread *t)
{
    struct scrape_transfer *tr = t->idle_transfers;
    if (tr) {
        t->idle_transfers = tr->next;
        t->idle_transfer_count--;
        tr->next = NULL;
    } else {
        tr = scrape_transfer_new();
        if (!tr)
            return NULL;
    }
    if (t->idle_buffer_count)
        tr->body = t->idle_buffers[--t->idle_buffer_count];
    else
        buffer_init(&tr->body, MEM_SCRAPE, SIZE_MAX / 2); /* scrape_body.c has the limit */
    return tr;
}

static void transfer_give_back(struct scrape_thread *t, struct scrape_transfer *tr)
{
    if (tr->body.capacity > 0 && tr->body.capacity <= IDLE_BUFFER_BYTES_MAX &&
        t->idle_buffer_count < IDLE_BUFFERS_MAX) {
        buffer_reset(&tr->body);
        t->idle_buffers[t->idle_buffer_count++] = tr->body;
    } else {
        buffer_deinit(&tr->body);
    }
    scrape_transfer_reset(tr);
    if (t->idle_transfer_count == IDLE_TRANSFERS_MAX) {
        scrape_transfer_free(tr);
        return;
    }
    tr->next = t->idle_transfers;
    t->idle_transfers = tr;
    t->idle_transfer_count++;
}

/* ---- a scrape from start to end ---- */

static void now_check(struct scrape_thread *t, struct scrape *s)
{
    if (!s->now_running)
        return;
    s->now_running = false;
    ASSERT(t->now_left > 0);
    if (--t->now_left == 0)
        t->shared.now_done(t->shared.arg);
}

/* Tells the API. */
static void report(struct scrape *s, const struct scrape_outcome *o)
{
    char *text = o->failed ? mem_copy_string(MEM_SCRAPE, view_from(o->err.message)) : NULL;
    mutex_lock(&s->mutex);
    char *old = s->last_error;
    s->last_error = text;
    s->health = o->failed ? SCRAPE_DOWN : SCRAPE_UP;
    s->last_scrape = o->timestamp;
    s->last_duration_seconds = (double)(clock_mono().ns - o->start.ns) / 1e9;
    mutex_unlock(&s->mutex);
    mem_free(MEM_SCRAPE, old);
}

/* The outcome is known: its row, its numbers. */
static void scrape_done(struct scrape_thread *t, struct scrape *s, struct view body,
                        struct scrape_outcome *o)
{
    struct scrape_counters *c = t->shared.counters;
    bool too_large = o->failed && o->kind == SCRAPE_FAILURE_TOO_LARGE;
    scrape_append(s, &t->workspace, t->shared.db, c, body, o);
    report(s, o);
    if (o->failed)
        failure_logs_write(t->shared.failures, s->target->job, s->target->url,
                           view_from(o->err.message));
    COUNT(c->scrapes, 1);
    COUNT(c->scrape_ns, (uint64_t)(clock_mono().ns - o->start.ns));
    if (o->failed)
        COUNT(c->failures[o->kind], 1);
    if (too_large)
        COUNT(c->exceeded_body_size_limit, 1);
    if (o->body_bytes > 0) {
        COUNT(c->body_bytes, (uint64_t)o->body_bytes);
        s->body_bytes = (size_t)o->body_bytes;
    }
    now_check(t, s);
    if (s->now) {
        s->now_running = true;
        s->now = false;
        heap_put(t, s, clock_mono());
    }
}

static void scrape_start(struct scrape_thread *t, struct scrape *s)
{
    s->tick_waits = false;
    struct scrape_outcome o = {.timestamp = timestamp_now(s), .start = clock_mono()};
    if (s->over_target_limit) {
        error_set(&o.err, ERROR_LIMIT, "target_limit exceeded (limit: %llu)",
                  (unsigned long long)s->target->job->target_limit);
        o.failed = true;
        o.kind = SCRAPE_FAILURE_LIMIT;
        scrape_done(t, s, VIEW(""), &o);
        return;
    }
    struct scrape_transfer *tr = transfer_lend(t);
    if (tr) {
        tr->timestamp = o.timestamp;
        tr->start = o.start;
        if (scrape_transfer_begin(tr, s, &o.err)) {
            s->transfer = tr;
            if (curl_multi_add_handle(s->lane->multi, tr->easy) == CURLM_OK)
                return; /* libcurl sets its timer to now */
            s->transfer = NULL;
            error_set(&o.err, ERROR_LIMIT, "no memory for a transfer");
        }
        transfer_give_back(t, tr);
    } else {
        error_set(&o.err, ERROR_LIMIT, "no memory for a transfer");
    }
    o.failed = true;
    o.kind = SCRAPE_FAILURE_CONNECT;
    scrape_done(t, s, VIEW(""), &o);
}

static void transfer_done(struct scrape_thread *t, struct scrape_lane *lane,
                          struct scrape_transfer *tr, CURLcode code)
{
    struct scrape *s = tr->scrape;
    struct scrape_outcome o = {.timestamp = tr->timestamp, .start = tr->start};
    (void)curl_multi_remove_handle(lane->multi,
                                   tr->easy); /* it is in there: that was the message */
    if (scrape_transfer_end(tr, code, &o)) {
        if (curl_multi_add_handle(lane->multi, tr->easy) == CURLM_OK)
            return;
        error_set(&o.err, ERROR_LIMIT, "no memory for a transfer");
        o.failed = true;
        o.kind = SCRAPE_FAILURE_CONNECT;
    }
    s->transfer = NULL;
    scrape_done(t, s, o.failed ? VIEW("") : buffer_view(&tr->body), &o);
    transfer_give_back(t, tr);
    if (s->tick_waits && !s->now_running)
        scrape_start(t, s);
}

static void lane_finish(struct scrape_thread *t, struct scrape_lane *lane)
{
    CURLMsg *message;
    int left;
    lane->busy = false;
    while ((message = curl_multi_info_read(lane->multi, &left))) {
        void *tr = NULL;
        if (message->msg != CURLMSG_DONE)
            continue;
        CURLcode code = message->data.result; /* the message dies with the handle's removal */
        (void)curl_easy_getinfo(message->easy_handle, CURLINFO_PRIVATE,
                                (char **)&tr); /* ours: set */
        transfer_done(t, lane, tr, code);
    }
}

static void start_due(struct scrape_thread *t)
{
    int64_t now = clock_mono().ns;
    while (t->heap_count && t->heap[0]->due.ns <= now) {
        struct scrape *s = t->heap[0];
        int64_t interval_ns = s->target->interval_ms * 1000000;
        mono_time next = {s->due.ns + interval_ns};
        if (s->now_running) {
            next = first_due(s->target); /* the order's own time does not count */
        } else if (next.ns <= now) {
            int64_t missed = (now - next.ns) / interval_ns + 1;
            COUNT(t->shared.counters->scrapes_late, (uint64_t)missed);
            next.ns += missed * interval_ns;
        }
        if (s->transfer && s->tick_waits)
            COUNT(t->shared.counters->scrapes_late, 1);
        s->tick = s->due;
        heap_put(t, s, next);
        /* A target that hangs until a timeout as long as the interval is over a moment too late: its next
         * scrape begins then, or it would be asked, and be down, every other interval only. */
        if (s->transfer)
            s->tick_waits = true;
        else
            scrape_start(t, s);
    }
}

/* ---- commands ---- */

static void wake(struct scrape_thread *t)
{
    uint64_t one = 1;
    (void)!write(t->event_fd, &one, sizeof one); /* full means that it is awake */
}

static void command_add(struct scrape_thread *t, const struct scrape_command *c)
{
    struct scrape *s = c->scrape;
    s->target = c->target;
    s->series_hash = c->series_hash;
    s->over_target_limit = c->over_target_limit;
    s->lane = lane_with_room(t);
    s->lane->target_count++;
    if (t->all_count == t->all_capacity)
        t->all = mem_grow(MEM_SCRAPE, t->all, &t->all_capacity, t->all_count + 1, sizeof *t->all);
    s->all_idx = t->all_count;
    t->all[t->all_count++] = s;
    heap_put(t, s, first_due(s->target));
}

static void command_update(struct scrape_thread *t, const struct scrape_command *c)
{
    struct scrape *s = c->scrape;
    bool retime = c->target->interval_ms != s->target->interval_ms;
    bool reports = c->target->job->extra_scrape_metrics != s->target->job->extra_scrape_metrics;
    if (c->series_hash != s->series_hash)
        scrape_forget_lines(s, t->shared.counters, true);
    if (reports)
        s->report_slots_known = false;
    s->series_hash = c->series_hash;
    s->over_target_limit = c->over_target_limit;
    target_unref(s->target);
    s->target = c->target;
    if (retime)
        heap_put(t, s, first_due(s->target));
}

/* The thread lets go of a scrape: no transfer, no groups, no memory but what the API may look at. */
static void scrape_let_go(struct scrape_thread *t, struct scrape *s)
{
    if (s->transfer) {
        (void)curl_multi_remove_handle(s->lane->multi, s->transfer->easy); /* it is in there */
        transfer_give_back(t, s->transfer);
        s->transfer = NULL;
    }
    heap_remove(t, s);
    lane_leave(t, s->lane);
    scrape_forget_lines(s, t->shared.counters, false);
    group_close(s->group);
    s->group = NULL;
    timed_close(s);
    target_unref(s->target);
    s->target = NULL;
    scrape_unref(s);
}

static void command_remove(struct scrape_thread *t, struct scrape *s)
{
    ASSERT(s->all_idx < t->all_count && t->all[s->all_idx] == s);
    t->all[s->all_idx] = t->all[--t->all_count];
    t->all[s->all_idx]->all_idx = s->all_idx;
    scrape_append_end(s);
    s->now_running |= s->now;
    now_check(t, s);
    scrape_let_go(t, s);
}

static void command_now(struct scrape_thread *t)
{
    t->now_left = t->all_count;
    if (t->all_count == 0)
        t->shared.now_done(t->shared.arg);
    for (size_t i = 0; i < t->all_count; i++) {
        struct scrape *s = t->all[i];
        if (s->transfer) {
            s->now = true; /* what is on its way began before the order */
        } else {
            s->now_running = true;
            heap_put(t, s, clock_mono());
        }
    }
}

static void run_command(struct scrape_thread *t, const struct scrape_command *c)
{
    switch (c->kind) {
    case SCRAPE_ADD:
        command_add(t, c);
        break;
    case SCRAPE_UPDATE:
        command_update(t, c);
        break;
    case SCRAPE_REMOVE:
        command_remove(t, c->scrape);
        break;
    case SCRAPE_NOW:
        command_now(t);
        break;
    }
}

/* True when there was something. */
static bool take_commands(struct scrape_thread *t, bool *stop)
{
    mutex_lock(&t->mutex);
    t->commands = t->queue;
    t->command_count = t->queue_count;
    t->command_at = 0;
    t->queue = NULL;
    t->queue_count = t->queue_capacity = 0;
    *stop = t->stop;
    mutex_unlock(&t->mutex);
    return t->command_count > 0;
}

/* Does a few: a list of a hundred thousand targets must not keep others from being scraped on time. Before the stop
 * all are done, as they hand things over. Returns false when the thread is to stop. */
static bool run_commands(struct scrape_thread *t)
{
    bool stop = false;
    size_t left = COMMANDS_A_TURN_MAX;
    for (;;) {
        if (t->command_at == t->command_count) {
            mem_free(MEM_SCRAPE, t->commands);
            t->commands = NULL;
            if (!take_commands(t, &stop))
                return !stop;
        }
        if (left == 0 && !stop) {
            wake(t);
            return true;
        }
        left -= left > 0;
        run_command(t, &t->commands[t->command_at++]);
    }
}

/* ---- the loop ---- */

/* Milliseconds until something is due, rounded up; -1 = nothing is. */
static int wait_ms(const struct scrape_thread *t)
{
    int64_t next = t->heap_count ? t->heap[0]->due.ns : INT64_MAX;
    for (size_t i = 0; i < t->lane_count; i++) {
        if (t->lanes[i]->timer_ns && t->lanes[i]->timer_ns < next)
            next = t->lanes[i]->timer_ns;
    }
    if (next == INT64_MAX)
        return -1;
    int64_t left = next - clock_mono().ns;
    if (left <= 0)
        return 0;
    int64_t ms = (left + 999999) / 1000000;
    return ms > 3600000 ? 3600000 : (int)ms;
}

static void run_timers(struct scrape_thread *t)
{
    int64_t now = clock_mono().ns;
    for (size_t i = 0; i < t->lane_count; i++) {
        struct scrape_lane *lane = t->lanes[i];
        if (lane->timer_ns && lane->timer_ns <= now) {
            lane->timer_ns = 0; /* libcurl sets it anew */
            lane_action(lane, CURL_SOCKET_TIMEOUT, 0);
        }
    }
}

static bool run_events(struct scrape_thread *t, const struct epoll_event *events, int count)
{
    bool go_on = true;
    for (int i = 0; i < count; i++) {
        int fd = (int)(uint32_t)events[i].data.u64;
        uint32_t lane_idx = (uint32_t)(events[i].data.u64 >> 32);
        if (fd == t->event_fd) {
            uint64_t wakes;
            (void)!read(fd, &wakes, sizeof wakes); /* only to be quiet again */
            go_on = run_commands(t);
            continue;
        }
        int what = (events[i].events & EPOLLIN ? CURL_CSELECT_IN : 0) |
                   (events[i].events & EPOLLOUT ? CURL_CSELECT_OUT : 0) |
                   (events[i].events & (EPOLLERR | EPOLLHUP) ? CURL_CSELECT_ERR : 0);
        ASSERT(lane_idx < t->lane_count);
        lane_action(t->lanes[lane_idx], fd, what);
    }
    return go_on;
}

static void *run(void *arg)
{
    struct scrape_thread *t = arg;
    struct epoll_event events[EVENTS_MAX];
    for (;;) {
        int count = epoll_wait(t->epoll_fd, events, EVENTS_MAX, wait_ms(t));
        ASSERT(count >= 0 || errno == EINTR);
        if (!run_events(t, events, count))
            return NULL;
        start_due(t);
        run_timers(t);
        for (size_t i = 0; i < t->lane_count; i++) {
            if (t->lanes[i]->busy)
                lane_finish(t, t->lanes[i]);
        }
    }
}

/* ---- life ---- */

bool scrape_thread_start(struct scrape_thread **out, const struct scrape_thread_shared *shared,
                         struct error *err)
{
    struct scrape_thread *t = mem_alloc_zero(MEM_SCRAPE, 1, sizeof *t);
    *out = NULL;
    t->shared = *shared;
    mutex_init(&t->mutex);
    arena_init(&t->workspace.arena, MEM_SCRAPE, 0);
    map_init(&t->workspace.timed.by_timestamp, MEM_SCRAPE);
    t->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    t->event_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    struct epoll_event event = {.events = EPOLLIN, .data.u64 = event_key(0, t->event_fd)};
    if (t->epoll_fd < 0 || t->event_fd < 0 ||
        epoll_ctl(t->epoll_fd, EPOLL_CTL_ADD, t->event_fd, &event) != 0) {
        error_set_errno(err, errno, "could not set up a scrape thread");
        goto failed;
    }
    if (!thread_start(&t->thread, "scrape", run, t, err))
        goto failed;
    *out = t;
    return true;
failed:
    if (t->epoll_fd >= 0)
        (void)close(t->epoll_fd);
    if (t->event_fd >= 0)
        (void)close(t->event_fd);
    mutex_deinit(&t->mutex);
    mem_free(MEM_SCRAPE, t);
    return false;
}

void scrape_thread_send(struct scrape_thread *t, const struct scrape_command *commands,
                        size_t count)
{
    mutex_lock(&t->mutex);
    if (t->queue_capacity < t->queue_count + count)
        t->queue = mem_grow(MEM_SCRAPE, t->queue, &t->queue_capacity, t->queue_count + count,
                            sizeof *t->queue);
    if (count)
        memcpy(t->queue + t->queue_count, commands, count * sizeof *commands);
    t->queue_count += count;
    mutex_unlock(&t->mutex);
    wake(t);
}

void scrape_thread_stop(struct scrape_thread *t)
{
    if (!t)
        return;
    mutex_lock(&t->mutex);
    t->stop = true;
    mutex_unlock(&t->mutex);
    wake(t);
    thread_join(t->thread);
    /* Alone now; commands that came in before the stop were run. */
    for (size_t i = 0; i < t->all_count; i++)
        scrape_let_go(t, t->all[i]);
    while (t->idle_transfers) {
        struct scrape_transfer *tr = t->idle_transfers;
        t->idle_transfers = tr->next;
        scrape_transfer_free(tr);
    }
    for (size_t i = 0; i < t->lane_count; i++) {
        CURLMcode code = curl_multi_cleanup(t->lanes[i]->multi);
        ASSERT(code == CURLM_OK);
        mem_free(MEM_SCRAPE, t->lanes[i]);
    }
    for (size_t i = 0; i < t->idle_buffer_count; i++)
        buffer_deinit(&t->idle_buffers[i]);
    scrape_workspace_deinit(&t->workspace);
    mem_free(MEM_SCRAPE, t->lanes);
    mem_free(MEM_SCRAPE, t->heap);
    mem_free(MEM_SCRAPE, t->all);
    mem_free(MEM_SCRAPE, t->queue);
    (void)close(t->epoll_fd); /* nothing was written */
    (void)close(t->event_fd);
    mutex_deinit(&t->mutex);
    mem_free(MEM_SCRAPE, t);
}
