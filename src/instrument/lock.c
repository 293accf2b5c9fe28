/* SPDX-License-Identifier: Apache-2.0 */
#include "instrument/lock.h"

#include "instrument/cells.h"

#include <pthread.h>

static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;

void belfry__lock(void)
{
    (void)pthread_mutex_lock(&mutex); /* a plain mutex of this file: cannot fail */
}

bool belfry__try_lock(void)
{
    return pthread_mutex_trylock(&mutex) == 0;
}

void belfry__unlock(void)
{
    (void)pthread_mutex_unlock(&mutex); /* held by the caller */
}

static void fork_child(void)
{
    belfry__blocks_after_fork();
    belfry__unlock();
}

/* The thread that forks holds the lock meanwhile, so the child finds everything whole. */
__attribute__((constructor)) static void fork_prepare(void)
{
    (void)pthread_atfork(belfry__lock, belfry__unlock, fork_child); /* without memory: no fork() */
}
