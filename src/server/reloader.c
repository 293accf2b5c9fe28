/* SPDX-License-Identifier: Apache-2.0 */
/* reloader.c: see reloader.h. */
#include "server/reloader.h"

#include "base/assert.h"
#include "base/thread.h"

#include <signal.h>
#include <string.h>
#include <unistd.h>

void reloader_init(struct reloader *r)
{
    memset(r, 0, sizeof *r);
    mutex_init(&r->mutex);
    cond_init(&r->done);
}

void reloader_deinit(struct reloader *r)
{
    cond_deinit(&r->done);
    mutex_deinit(&r->mutex);
}

bool reloader_ask(struct reloader *r, struct error *err)
{
    mutex_lock(&r->mutex);
    uint64_t ticket = ++r->asked;
    if (!r->stopped) {
        int code = kill(getpid(), SIGHUP); /* pending once, however often it is sent */
        ASSERT(code == 0);
    }
    while (r->ended < ticket && !r->stopped)
        cond_wait(&r->done, &r->mutex);
    bool answered = r->ended >= ticket, ok = answered && r->failure.kind == ERROR_NONE;
    if (answered && !ok)
        *err = r->failure;
    mutex_unlock(&r->mutex);
    return ok || answered ? ok : error_set(err, ERROR_UNAVAILABLE, "the server is stopping");
}

void reloader_begin(struct reloader *r)
{
    mutex_lock(&r->mutex);
    r->begun = r->asked;
    mutex_unlock(&r->mutex);
}

void reloader_end(struct reloader *r, const struct error *failure)
{
    mutex_lock(&r->mutex);
    r->ended = r->begun;
    error_clear(&r->failure);
    if (failure)
        r->failure = *failure;
    cond_broadcast(&r->done);
    mutex_unlock(&r->mutex);
}

void reloader_stop(struct reloader *r)
{
    mutex_lock(&r->mutex);
    r->stopped = true;
    cond_broadcast(&r->done);
    mutex_unlock(&r->mutex);
}
