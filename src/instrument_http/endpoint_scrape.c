/* SPDX-License-Identifier: Apache-2.0 */
/* endpoint_scrape.c: workers that write metrics into pipes; see endpoint.h. */
#include "instrument_http/endpoint.h"

#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static void free_scrape(struct scrape *s)
{
    pthread_cond_destroy(&s->room);
    belfry__plan_deinit(&s->plan);
    free(s);
}

static void wake_loop_locked(struct scrape *s)
{
    struct belfry_endpoint *e = s->endpoint;
    uint64_t one = 1;
    if (!s->is_waiting)
        return;
    s->is_waiting = false;
    s->next_ready = e->ready;
    e->ready = s;
    if (write(e->wake_fd, &one, sizeof one) < 0) {
        /* EAGAIN alone: its count is full, so it is readable */
    }
}

/* ---- worker ---- */

static bool pipe_write(void *arg, const char *bytes, size_t len)
{
    struct scrape *s = arg;
    struct belfry_endpoint *e = s->endpoint;
    pthread_mutex_lock(&e->mutex);
    while (len > 0 && !s->is_canceled) {
        if (s->len == PIPE_BYTES) {
            wake_loop_locked(s);
            pthread_cond_wait(&s->room, &e->mutex);
            continue;
        }
        size_t end = (s->begin + s->len) % PIPE_BYTES;
        size_t room = end < s->begin ? s->begin - end : PIPE_BYTES - end;
        size_t count = len < room ? len : room;
        memcpy(s->bytes + end, bytes, count);
        s->len += count;
        bytes += count;
        len -= count;
    }
    bool ok = !s->is_canceled;
    pthread_mutex_unlock(&e->mutex);
    return ok;
}

static void run(struct scrape *s)
{
    struct belfry_endpoint *e = s->endpoint;
    bool ok = belfry__http_render(e->http, &s->plan, pipe_write, s);
    pthread_mutex_lock(&e->mutex);
    s->is_ended = true;
    s->is_failed = !ok;
    wake_loop_locked(s);
    s->worker_holds = false;
    e->running_count--;
    bool is_last = !s->loop_holds;
    pthread_mutex_unlock(&e->mutex);
    if (is_last)
        free_scrape(s);
}

static void *work(void *arg)
{
    struct belfry_endpoint *e = arg;
    pthread_mutex_lock(&e->mutex);
    for (;;) {
        while (!e->jobs && !e->is_stopping) {
            e->idle_count++;
            pthread_cond_wait(&e->work, &e->mutex);
            e->idle_count--;
        }
        struct scrape *s = e->jobs;
        if (!s)
            break;
        e->jobs = s->next_job;
        if (!e->jobs)
            e->jobs_last = NULL;
        pthread_mutex_unlock(&e->mutex);
        run(s);
        pthread_mutex_lock(&e->mutex);
    }
    pthread_mutex_unlock(&e->mutex);
    return NULL;
}

/* ---- loop ---- */

/* A worker for each that is written at the same time: nobody waits behind a slow client. */
static bool have_worker_locked(struct belfry_endpoint *e)
{
    if (e->running_count <= e->worker_count) /* this one is counted */
        return true;
    if (pthread_create(&e->workers[e->worker_count], NULL, work, e) != 0)
        return false;
    e->worker_count++;
    return true;
}

enum scrape_start belfry__scrape_start(struct belfry_endpoint *e, struct http_plan *plan,
                                       struct MHD_Connection *mhd, struct scrape **out)
{
    struct scrape *s = malloc(sizeof *s);
    if (!s)
        return SCRAPE_NO_MEMORY;
    memset(s, 0, offsetof(struct scrape, bytes));
    if (pthread_cond_init(&s->room, NULL) != 0) {
        free(s);
        return SCRAPE_NO_MEMORY;
    }
    s->endpoint = e;
    s->mhd = mhd;
    s->is_waiting = s->loop_holds = s->worker_holds = true;
    enum scrape_start result = SCRAPE_STARTED;
    pthread_mutex_lock(&e->mutex);
    if (e->running_count == e->scrapes_max)
        result = SCRAPE_REFUSED;
    else if (e->running_count++, !have_worker_locked(e))
        result = (e->running_count--, SCRAPE_NO_MEMORY);
    if (result == SCRAPE_STARTED) {
        s->plan = *plan;
        plan->names = NULL;
        plan->name_count = 0;
        plan->long_text = NULL;
        if (e->jobs_last)
            e->jobs_last->next_job = s;
        else
            e->jobs = s;
        e->jobs_last = s;
        pthread_cond_signal(&e->work);
    }
    pthread_mutex_unlock(&e->mutex);
    if (result != SCRAPE_STARTED)
        free_scrape(s);
    else
        *out = s;
    return result;
}

ssize_t belfry__scrape_read(struct scrape *s, char *out, size_t max)
{
    struct belfry_endpoint *e = s->endpoint;
    ssize_t result = 0;
    pthread_mutex_lock(&e->mutex);
    size_t run_len = s->begin + s->len > PIPE_BYTES ? PIPE_BYTES - s->begin : s->len;
    size_t count = run_len < max ? run_len : max;
    if (s->is_canceled || (s->is_ended && s->is_failed)) {
        result = -2;
    } else if (count > 0) {
        memcpy(out, s->bytes + s->begin, count);
        s->begin = (s->begin + count) % PIPE_BYTES;
        s->len -= count;
        if (s->len <= PIPE_BYTES / 2)
            pthread_cond_signal(&s->room);
        result = (ssize_t)count;
    } else if (s->is_ended) {
        result = -1;
    } else {
        s->is_waiting = true;
    }
    pthread_mutex_unlock(&e->mutex);
    return result;
}

bool belfry__scrape_is_whole(struct scrape *s, size_t *len)
{
    pthread_mutex_lock(&s->endpoint->mutex);
    bool whole = s->is_ended && !s->is_failed;
    *len = s->len;
    pthread_mutex_unlock(&s->endpoint->mutex);
    return whole;
}

bool belfry__scrape_has_failed(struct scrape *s)
{
    pthread_mutex_lock(&s->endpoint->mutex);
    bool failed = s->is_canceled || (s->is_ended && s->is_failed);
    pthread_mutex_unlock(&s->endpoint->mutex);
    return failed;
}

void belfry__scrape_cancel(struct scrape *s)
{
    struct belfry_endpoint *e = s->endpoint;
    pthread_mutex_lock(&e->mutex);
    s->is_canceled = true;
    pthread_cond_signal(&s->room);
    wake_loop_locked(s);
    pthread_mutex_unlock(&e->mutex);
}

void belfry__scrape_release(struct scrape *s)
{
    struct belfry_endpoint *e = s->endpoint;
    pthread_mutex_lock(&e->mutex);
    s->is_canceled = true;
    s->is_waiting = false;
    s->loop_holds = false;
    pthread_cond_signal(&s->room);
    bool is_last = !s->worker_holds;
    pthread_mutex_unlock(&e->mutex);
    if (is_last)
        free_scrape(s);
}

void belfry__scrapes_resume(struct belfry_endpoint *e)
{
    pthread_mutex_lock(&e->mutex);
    struct scrape *ready = e->ready;
    e->ready = NULL;
    pthread_mutex_unlock(&e->mutex);
    while (ready) { /* suspended, so none of them can be gone */
        struct scrape *next = ready->next_ready;
        MHD_resume_connection(ready->mhd);
        ready = next;
    }
}

void belfry__scrapes_stop(struct belfry_endpoint *e)
{
    pthread_mutex_lock(&e->mutex);
    e->is_stopping = true;
    pthread_cond_broadcast(&e->work);
    pthread_mutex_unlock(&e->mutex);
    for (unsigned i = 0; i < e->worker_count; i++)
        (void)pthread_join(e->workers[i], NULL); /* ours, joined once */
}
