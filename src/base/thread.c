/* SPDX-License-Identifier: Apache-2.0 */
/* thread.c: pthreads whose failures are broken invariants; only starting a thread may fail. */
#include "base/thread.h"

#include "base/assert.h"
#include "base/mem.h"

#include <errno.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <time.h>

enum { THREAD_NAME_BYTES = 16, CPU_COUNT_MAX = 4096 };

static void check(int rc)
{
    ASSERT(rc == 0);
}

void mutex_init(pthread_mutex_t *m)
{
    check(pthread_mutex_init(m, NULL));
}

void mutex_deinit(pthread_mutex_t *m)
{
    check(pthread_mutex_destroy(m));
}

void mutex_lock(pthread_mutex_t *m)
{
    check(pthread_mutex_lock(m));
}

void mutex_unlock(pthread_mutex_t *m)
{
    check(pthread_mutex_unlock(m));
}

void cond_init(pthread_cond_t *c)
{
    pthread_condattr_t attributes;
    check(pthread_condattr_init(&attributes));
    check(pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC));
    check(pthread_cond_init(c, &attributes));
    check(pthread_condattr_destroy(&attributes));
}

void cond_deinit(pthread_cond_t *c)
{
    check(pthread_cond_destroy(c));
}

void cond_wait(pthread_cond_t *c, pthread_mutex_t *m)
{
    check(pthread_cond_wait(c, m));
}

static bool timed_wait(pthread_cond_t *c, pthread_mutex_t *m, int64_t deadline_ns)
{
    if (deadline_ns < 0)
        deadline_ns = 0;
    struct timespec t = {.tv_sec = deadline_ns / 1000000000, .tv_nsec = deadline_ns % 1000000000};
    int rc = pthread_cond_timedwait(c, m, &t);
    ASSERT(rc == 0 || rc == ETIMEDOUT);
    return rc == 0;
}

/* With the clock in a test's hands nobody wakes us when it moves: look again every millisecond, and
 * report each look as a wake-up (waiters loop anyway). */
static bool wait_frozen(pthread_cond_t *c, pthread_mutex_t *m, mono_time deadline)
{
    if (clock_mono().ns >= deadline.ns)
        return false;
    struct timespec now;
    check(clock_gettime(CLOCK_MONOTONIC, &now));
    (void)timed_wait(c, m, (int64_t)now.tv_sec * 1000000000 + now.tv_nsec + 1000000);
    return true;
}

bool cond_wait_until(pthread_cond_t *c, pthread_mutex_t *m, mono_time deadline)
{
    if (UNLIKELY(clock_is_frozen()))
        return wait_frozen(c, m, deadline);
    return timed_wait(c, m, deadline.ns);
}

void cond_signal(pthread_cond_t *c)
{
    check(pthread_cond_signal(c));
}

void cond_broadcast(pthread_cond_t *c)
{
    check(pthread_cond_broadcast(c));
}

bool thread_start(pthread_t *out, const char *name, void *(*run)(void *), void *arg,
                  struct error *err)
{
    sigset_t all, before;
    char own[THREAD_NAME_BYTES], shown[THREAD_NAME_BYTES];
    snprintf(shown, sizeof(shown), "%s", name);
    sigfillset(&all);
    check(pthread_sigmask(SIG_SETMASK, &all, &before)); /* the new thread inherits it */
    /* And the name. Naming it from here would write to /proc, which the sandbox forbids. */
    bool named = prctl(PR_GET_NAME, own) == 0 && prctl(PR_SET_NAME, shown) == 0;
    int rc = pthread_create(out, NULL, run, arg);
    if (named)
        (void)prctl(PR_SET_NAME, own); /* the name is for people; the thread works without */
    check(pthread_sigmask(SIG_SETMASK, &before, NULL));
    return rc == 0 || error_set_errno(err, rc, "could not start thread \"%s\"", name);
}

void thread_join(pthread_t t)
{
    check(pthread_join(t, NULL));
}

unsigned thread_cpu_count(void)
{
    cpu_set_t *set = CPU_ALLOC(CPU_COUNT_MAX);
    ASSERT(set != NULL);
    size_t bytes = CPU_ALLOC_SIZE(CPU_COUNT_MAX);
    int count = sched_getaffinity(0, bytes, set) == 0 ? CPU_COUNT_S(bytes, set) : 1;
    CPU_FREE(set);
    return count > 0 ? (unsigned)count : 1;
}
