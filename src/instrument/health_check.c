/* SPDX-License-Identifier: Apache-2.0 */
/* health_check.c: a check runs on a thread of its own; what it found last is under a mutex that no run is under.
 *
 *   waiting --interval over--> running --answers--> waiting        read: what the last run said
 *                              running --timeout--> hanging        read: "did not answer in N ms"
 *                              hanging --answers--> waiting        read: the same, until the next run
 *   waiting --no run within interval and timeout--> old              read: "ran last N ms ago"
 *
 * The thread has a reference, so a check that hangs outlives the health it was part of. Who sees first that the answer
 * changed writes the log line: the thread, or, of one that hangs, a reader. */
#include "instrument/health_private.h"
#include "instrument/threads.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { INTERVAL_MS_DEFAULT = 5000, TIMEOUT_MS_DEFAULT = 1000 };

struct check {
    _Atomic unsigned references;
    char name[BELFRY_HEALTH_NAME_BYTES_MAX + 1]; /* constant, like the next seven */
    bool (*run)(void *arg, char reason[BELFRY_HEALTH_REASON_BYTES]);
    void *arg;
    void (*release)(void *arg);
    uint32_t interval_ms, timeout_ms;
    belfry_log *log;
    pthread_t thread;

    pthread_mutex_t mutex;  /* guards the rest */
    pthread_cond_t changed; /* stop, or has_ended */
    bool stop, has_ended;
    bool is_running, has_run;
    int64_t started_ms; /* monotonic */
    bool up, told_up;   /* as the last run said; as the log has it */
    char reason[BELFRY_HEALTH_REASON_BYTES];
    double duration_seconds, last_run_seconds;
};

/* --- what it says --- */

/* False while it is not known: the first run goes on. */
static bool read_locked(const struct check *c, struct check_room *room, belfry_health_result *out)
{
    int64_t age_ms = belfry__mono_ms() - c->started_ms;
    bool hangs = c->is_running && age_ms > c->timeout_ms;
    bool is_old = c->has_run && !c->is_running &&
                  age_ms > (int64_t)c->interval_ms + c->timeout_ms; /* the process was stopped */
    *out = (belfry_health_result){.name = c->name,
                                  .up = c->up && c->has_run && !hangs && !is_old,
                                  .reason = room->reason,
                                  .duration_seconds = c->duration_seconds,
                                  .last_run_seconds = c->last_run_seconds};
    if (hangs)
        snprintf(room->reason, sizeof room->reason, "did not answer in %u ms", c->timeout_ms);
    else if (is_old)
        snprintf(room->reason, sizeof room->reason, "ran last %lld ms ago", (long long)age_ms);
    else if (!c->has_run)
        snprintf(room->reason, sizeof room->reason, "has not run yet");
    else
        memcpy(room->reason, c->reason, sizeof room->reason);
    return hangs || c->has_run;
}

void belfry__check_read(struct check *c, struct check_room *room, belfry_health_result *out)
{
    pthread_mutex_lock(&c->mutex);
    bool tell = read_locked(c, room, out) && out->up != c->told_up && !c->stop;
    if (tell)
        c->told_up = out->up;
    pthread_mutex_unlock(&c->mutex);
    if (tell && out->up)
        belfry_log_info(c->log, "check_recovered", BELFRY_STR("check", c->name));
    else if (tell)
        belfry_log_warn(c->log, "check_failed", BELFRY_STR("check", c->name),
                        BELFRY_STR("reason", out->reason));
}

const char *belfry__check_name(const struct check *c)
{
    return c->name;
}

/* --- the thread --- */

static void run_once(struct check *c)
{
    char reason[BELFRY_HEALTH_REASON_BYTES] = "";
    struct timespec before, after, now;
    struct check_room room;
    belfry_health_result result;
    clock_gettime(CLOCK_MONOTONIC, &before);
    bool up = c->run(c->arg, reason);
    clock_gettime(CLOCK_MONOTONIC, &after);
    clock_gettime(CLOCK_REALTIME, &now);
    reason[sizeof reason - 1] = '\0';
    if (up)
        reason[0] = '\0';
    else if (!reason[0])
        snprintf(reason, sizeof reason, "failed");
    double duration =
        (double)(after.tv_sec - before.tv_sec) + (double)(after.tv_nsec - before.tv_nsec) / 1e9;
    if (duration * 1000 > c->timeout_ms) {
        up = false;
        snprintf(reason, sizeof reason, "did not answer in %u ms", c->timeout_ms);
    }
    pthread_mutex_lock(&c->mutex);
    c->is_running = false;
    c->has_run = true;
    c->up = up;
    memcpy(c->reason, reason, sizeof c->reason);
    c->duration_seconds = duration;
    c->last_run_seconds = (double)now.tv_sec + (double)now.tv_nsec / 1e9;
    pthread_mutex_unlock(&c->mutex);
    belfry__check_read(c, &room, &result); /* for the log */
}

static void *check_thread(void *arg)
{
    struct check *c = arg;
    pthread_mutex_lock(&c->mutex);
    while (!c->stop) {
        c->is_running = true;
        c->started_ms = belfry__mono_ms();
        int64_t next_ms = c->started_ms + c->interval_ms;
        pthread_mutex_unlock(&c->mutex);
        run_once(c);
        pthread_mutex_lock(&c->mutex);
        while (!c->stop && belfry__cond_wait_until(&c->changed, &c->mutex, next_ms))
            ;
    }
    c->has_ended = true;
    pthread_cond_broadcast(&c->changed);
    pthread_mutex_unlock(&c->mutex);
    belfry__check_unref(c);
    return NULL;
}

/* --- life --- */

struct check *belfry__check_ref(struct check *c)
{
    atomic_fetch_add_explicit(&c->references, 1, memory_order_relaxed);
    return c;
}

static void check_free(struct check *c)
{
    pthread_cond_destroy(&c->changed);
    pthread_mutex_destroy(&c->mutex);
    free(c);
}

void belfry__check_unref(struct check *c)
{
    if (atomic_fetch_sub_explicit(&c->references, 1, memory_order_acq_rel) != 1)
        return;
    if (c->release)
        c->release(c->arg);
    check_free(c);
}

belfry_status belfry__check_start(struct check **out, const belfry_health_check *check,
                                  belfry_log *log)
{
    struct check *c = calloc(1, sizeof *c);
    if (!c)
        return BELFRY_ERROR_MEMORY;
    if (pthread_mutex_init(&c->mutex, NULL) != 0 || !belfry__cond_init(&c->changed)) {
        free(c);
        return BELFRY_ERROR_SYSTEM;
    }
    atomic_init(&c->references, 2); /* the health's and the thread's */
    memcpy(c->name, check->name, strlen(check->name) + 1);
    c->run = check->run;
    c->arg = check->arg;
    c->release = check->release;
    c->interval_ms = check->interval_ms ? check->interval_ms : INTERVAL_MS_DEFAULT;
    c->timeout_ms = check->timeout_ms ? check->timeout_ms : TIMEOUT_MS_DEFAULT;
    c->log = log;
    c->told_up = true;
    if (!belfry__thread_start(&c->thread, check_thread, c)) {
        check_free(c);
        return BELFRY_ERROR_SYSTEM;
    }
    *out = c;
    return BELFRY_OK;
}

void belfry__check_stop(struct check *c)
{
    pthread_mutex_lock(&c->mutex);
    c->stop = true;
    pthread_cond_broadcast(&c->changed);
    pthread_mutex_unlock(&c->mutex);
}

void belfry__check_join(struct check *c)
{
    pthread_mutex_lock(&c->mutex);
    int64_t until_ms = (c->is_running ? c->started_ms : belfry__mono_ms()) + c->timeout_ms;
    while (!c->has_ended && belfry__cond_wait_until(&c->changed, &c->mutex, until_ms))
        ;
    bool has_ended = c->has_ended;
    pthread_mutex_unlock(&c->mutex);
    if (has_ended)
        pthread_join(c->thread, NULL);
    else
        pthread_detach(c->thread);
}
