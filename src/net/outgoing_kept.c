/* SPDX-License-Identifier: Apache-2.0 */
/* outgoing_kept.c: see outgoing_kept.h. They are in an array in the order of giving, so the first is the one that waits longest. */
#include "net/outgoing_kept.h"

#include "base/clock.h"
#include "base/mem.h"
#include "base/thread.h"

#include <stdio.h>
#include <string.h>

struct kept {
    CURL *easy;
    uint64_t server;
    char address[OUTGOING_KEPT_ADDRESS_BYTES];
    mono_time until;
};

struct outgoing_kept {
    pthread_t thread;
    pthread_mutex_t mutex; /* a leaf; guards what follows */
    pthread_cond_t wake;   /* for the thread */
    bool stop;
    size_t count;
    struct kept kept[OUTGOING_KEPT_MAX];
};

static CURL *remove_locked(struct outgoing_kept *k, size_t idx)
{
    CURL *easy = k->kept[idx].easy;
    k->count--;
    memmove(&k->kept[idx], &k->kept[idx + 1], (k->count - idx) * sizeof k->kept[0]);
    return easy;
}

/* Closes those whose time is over. */
static void *kept_run(void *arg)
{
    struct outgoing_kept *k = arg;
    mutex_lock(&k->mutex);
    while (!k->stop) {
        if (k->count == 0) {
            cond_wait(&k->wake, &k->mutex);
        } else if (clock_mono().ns < k->kept[0].until.ns) {
            (void)cond_wait_until(&k->wake, &k->mutex, k->kept[0].until); /* it looks again */
        } else {
            CURL *easy = remove_locked(k, 0);
            mutex_unlock(&k->mutex);
            curl_easy_cleanup(easy);
            mutex_lock(&k->mutex);
        }
    }
    mutex_unlock(&k->mutex);
    return NULL;
}

static void kept_free(struct outgoing_kept *k)
{
    cond_deinit(&k->wake);
    mutex_deinit(&k->mutex);
    mem_free(MEM_HTTP, k);
}

bool outgoing_kept_start(struct outgoing_kept **out, struct error *err)
{
    struct outgoing_kept *k = mem_alloc_zero(MEM_HTTP, 1, sizeof *k);
    mutex_init(&k->mutex);
    cond_init(&k->wake);
    bool ok = thread_start(&k->thread, "outgoing-kept", kept_run, k, err);
    if (!ok)
        kept_free(k);
    *out = ok ? k : NULL;
    return ok;
}

void outgoing_kept_stop(struct outgoing_kept *k)
{
    if (k == NULL)
        return;
    mutex_lock(&k->mutex);
    k->stop = true;
    cond_signal(&k->wake);
    mutex_unlock(&k->mutex);
    thread_join(k->thread);
    while (k->count)
        curl_easy_cleanup(remove_locked(k, 0));
    kept_free(k);
}

CURL *outgoing_kept_take(struct outgoing_kept *k, uint64_t server,
                         bool (*may)(void *arg, const char *address), void *arg)
{
    CURL *easy = NULL;
    mutex_lock(&k->mutex);
    for (size_t i = k->count; i > 0 && easy == NULL; i--) {
        if (k->kept[i - 1].server == server && may(arg, k->kept[i - 1].address))
            easy = remove_locked(k, i - 1);
    }
    mutex_unlock(&k->mutex);
    return easy;
}

void outgoing_kept_give(struct outgoing_kept *k, CURL *easy, uint64_t server, const char *address)
{
    CURL *oldest = NULL;
    mutex_lock(&k->mutex);
    if (k->count == OUTGOING_KEPT_MAX)
        oldest = remove_locked(k, 0);
    struct kept *at = &k->kept[k->count++];
    *at = (struct kept){
        .easy = easy, .server = server, .until = mono_add_ms(clock_mono(), OUTGOING_KEPT_MS)};
    (void)snprintf(at->address, sizeof at->address, "%s", address);
    if (k->count == 1)
        cond_signal(&k->wake);
    mutex_unlock(&k->mutex);
    curl_easy_cleanup(oldest); /* NULL is fine */
}
