/* SPDX-License-Identifier: Apache-2.0 */
/* resolved_host.c: see resolved_host.h. The thread asks when it is wanted, so a server that is not used costs nothing. An answer without
 * addresses does not take away those that are known: name servers fail more often than servers move. */
#include "resolved_host.h"

#include "base/mem.h"
#include "base/thread.h"

#include <netdb.h>
#include <stdio.h>
#include <string.h>

struct resolved_host {
    char *host;     /* constant */
    char port[8];   /* constant */
    bool is_number; /* constant: no thread */

    pthread_mutex_t mutex; /* a leaf; guards the rest */
    pthread_cond_t changed;
    unsigned users;                        /* the owner and the thread: the last one frees */
    bool is_stopping, is_wanted, is_asked; /* asked: there was an answer, of whatever kind */
    mono_time answered;
    struct resolved_address addresses[RESOLVED_ADDRESSES_MAX];
    size_t count;
    char failure[128]; /* why there is none */
};

static void unref(struct resolved_host *h)
{
    mutex_lock(&h->mutex);
    bool is_last = --h->users == 0;
    mutex_unlock(&h->mutex);
    if (!is_last)
        return;
    cond_deinit(&h->changed);
    mutex_deinit(&h->mutex);
    mem_free(MEM_OTHER, h->host);
    mem_free(MEM_OTHER, h);
}

static int ask(const struct resolved_host *h, int flags, struct addrinfo **found)
{
    struct addrinfo hints = {
        .ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM, .ai_flags = flags | AI_NUMERICSERV};
    return getaddrinfo(h->host, h->port, &hints, found);
}

static void take_locked(struct resolved_host *h, int code, const struct addrinfo *found)
{
    size_t count = 0;
    for (const struct addrinfo *a = found; a && count < RESOLVED_ADDRESSES_MAX; a = a->ai_next) {
        if (a->ai_addrlen > sizeof(h->addresses[0].address))
            continue;
        memcpy(&h->addresses[count].address, a->ai_addr, a->ai_addrlen);
        h->addresses[count++].bytes = a->ai_addrlen;
    }
    h->count = count ? count : h->count;
    (void)snprintf(h->failure, sizeof(h->failure), "%s",
                   code ? gai_strerror(code) : "it has no address");
    h->is_asked = true;
    h->is_wanted = false;
    h->answered = clock_mono();
    cond_broadcast(&h->changed);
}

static void *resolve(void *arg)
{
    struct resolved_host *h = arg;
    mutex_lock(&h->mutex);
    while (!h->is_stopping) {
        if (!h->is_wanted) {
            cond_wait(&h->changed, &h->mutex);
            continue;
        }
        struct addrinfo *found = NULL;
        mutex_unlock(&h->mutex);
        int code = ask(h, AI_ADDRCONFIG, &found);
        mutex_lock(&h->mutex);
        take_locked(h, code, code ? NULL : found);
        if (code == 0)
            freeaddrinfo(found);
    }
    mutex_unlock(&h->mutex);
    unref(h);
    return NULL;
}

bool resolved_host_open(struct resolved_host **out, const char *host, uint16_t port,
                        struct error *err)
{
    struct resolved_host *h = mem_alloc_zero(MEM_OTHER, 1, sizeof(*h));
    struct addrinfo *found = NULL;
    pthread_t thread;
    h->host = mem_copy_string(MEM_OTHER, view_from(host));
    (void)snprintf(h->port, sizeof(h->port), "%u", port);
    mutex_init(&h->mutex);
    cond_init(&h->changed);
    h->users = 1;
    *out = h;
    if (ask(h, AI_NUMERICHOST, &found) == 0) {
        h->is_number = true;
        mutex_lock(&h->mutex);
        take_locked(h, 0, found);
        mutex_unlock(&h->mutex);
        freeaddrinfo(found);
        return true;
    }
    h->users = 2;
    if (!thread_start(&thread, "resolve", resolve, h, err)) {
        h->users = 1;
        unref(h);
        *out = NULL;
        return false;
    }
    (void)pthread_detach(thread); /* cannot fail: it is joinable, and nobody else has it */
    return true;
}

void resolved_host_close(struct resolved_host *h)
{
    if (!h)
        return;
    mutex_lock(&h->mutex);
    h->is_stopping = true;
    cond_broadcast(&h->changed);
    mutex_unlock(&h->mutex);
    unref(h);
}

bool resolved_host_get(struct resolved_host *h, mono_time deadline,
                       struct resolved_address out[RESOLVED_ADDRESSES_MAX], size_t *count,
                       struct error *err)
{
    mutex_lock(&h->mutex);
    if (!h->is_number && !h->is_wanted &&
        (!h->is_asked || mono_ms_since(h->answered) > RESOLVED_HOST_AGE_MS ||
         (h->count == 0 && mono_ms_since(h->answered) > 1000))) {
        h->is_wanted = true;
        cond_broadcast(&h->changed);
    }
    bool in_time = true;
    while (h->count == 0 && h->is_wanted && in_time)
        in_time = cond_wait_until(&h->changed, &h->mutex, deadline);
    *count = h->count;
    memcpy(out, h->addresses, sizeof(h->addresses[0]) * h->count);
    bool ok = h->count > 0 ||
              error_set(err, ERROR_UNAVAILABLE, "could not find the address of \"%s\": %s", h->host,
                        in_time ? h->failure : "the name server does not answer");
    mutex_unlock(&h->mutex);
    return ok;
}
