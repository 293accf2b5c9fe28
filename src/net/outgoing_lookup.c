/* SPDX-License-Identifier: Apache-2.0 */
/* outgoing_lookup.c: see outgoing_lookup.h. What is asked belongs to the thread and to who waits: the last one to leave frees it. */
#include "net/outgoing_lookup.h"

#include "base/checksum.h"
#include "base/mem.h"
#include "base/thread.h"
#include "net/outgoing.h"

#include <arpa/inet.h>
#include <libpsl.h>
#include <netdb.h>
#include <stdio.h>
#include <string.h>

enum { CANCEL_SEEN_MS = 500 };

/* Threads of the process that ask. */
static struct {
    pthread_mutex_t mutex; /* a leaf */
    size_t count;
    uint64_t owners[OUTGOING_LOOKUPS_MAX]; /* for whose names */
} asking = {.mutex = PTHREAD_MUTEX_INITIALIZER};

struct lookup {
    char *host;     /* constant */
    uint64_t owner; /* constant */

    pthread_mutex_t mutex; /* a leaf; guards the rest */
    pthread_cond_t changed;
    unsigned users;
    bool is_answered;
    int code; /* of getaddrinfo() */
    struct outgoing_addresses found;
};

void outgoing_addresses_add(struct outgoing_addresses *all, const struct sockaddr *address)
{
    bool is_v6 = address->sa_family == AF_INET6;
    size_t of_its_kind = 0;
    for (size_t i = 0; i < all->count; i++)
        of_its_kind += all->items[i].socket.ss_family == address->sa_family;
    if ((!is_v6 && address->sa_family != AF_INET) || of_its_kind == OUTGOING_ADDRESSES_EACH)
        return;
    struct outgoing_address *at = &all->items[all->count];
    const void *bytes = is_v6 ? (const void *)&((const struct sockaddr_in6 *)address)->sin6_addr
                              : (const void *)&((const struct sockaddr_in *)address)->sin_addr;
    memcpy(&at->socket, address, is_v6 ? sizeof(struct sockaddr_in6) : sizeof(struct sockaddr_in));
    if (inet_ntop(address->sa_family, bytes, at->text, sizeof at->text))
        all->count++;
}

bool outgoing_addresses_has(const struct outgoing_addresses *all, const char *text)
{
    for (size_t i = 0; i < all->count; i++) {
        if (strcmp(all->items[i].text, text) == 0)
            return true;
    }
    return false;
}

/* A hash of the registered domain, example.co.uk of a.b.example.co.uk: names below it cost their owner nothing. Names that are in none
 * (without dots, in the operator's own search domain; public suffixes) are one owner's. */
static uint64_t owner_of(const char *host)
{
    char name[OUTGOING_HOST_BYTES_MAX + 1];
    (void)snprintf(name, sizeof name, "%s", host);
    for (char *at = name; *at; at++)
        if (*at >= 'A' && *at <= 'Z')
            *at = (char)(*at - 'A' + 'a');
    for (size_t len = strlen(name); len && name[len - 1] == '.';)
        name[--len] = '\0';
    const char *registered = psl_registrable_domain(psl_builtin(), name);
    return registered ? hash64_secret(registered, strlen(registered)) : 0;
}

/* The rule is that of imgforge's permits: dynamic thresholds (Choudhury and Hahne 1998) with alpha 2. */
static bool place_take(uint64_t owner)
{
    mutex_lock(&asking.mutex);
    size_t its = 0;
    for (size_t i = 0; i < asking.count; i++)
        its += asking.owners[i] == owner;
    bool ok = its + 1 <= 2 * (OUTGOING_LOOKUPS_MAX - asking.count);
    if (ok)
        asking.owners[asking.count++] = owner;
    mutex_unlock(&asking.mutex);
    return ok;
}

static void place_give(uint64_t owner)
{
    size_t i = 0;
    mutex_lock(&asking.mutex);
    while (asking.owners[i] != owner) /* it is there */
        i++;
    asking.owners[i] = asking.owners[--asking.count];
    mutex_unlock(&asking.mutex);
}

static void unref(struct lookup *l)
{
    mutex_lock(&l->mutex);
    bool is_last = --l->users == 0;
    mutex_unlock(&l->mutex);
    if (!is_last)
        return;
    cond_deinit(&l->changed);
    mutex_deinit(&l->mutex);
    mem_free(MEM_HTTP, l->host);
    mem_free(MEM_HTTP, l);
}

static void *ask(void *arg)
{
    struct lookup *l = arg;
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM}, *found = NULL;
    int code = getaddrinfo(l->host, NULL, &hints, &found);
    place_give(l->owner); /* before it is answered: who asks again finds it */
    mutex_lock(&l->mutex);
    l->code = code;
    for (const struct addrinfo *at = code == 0 ? found : NULL; at; at = at->ai_next)
        outgoing_addresses_add(&l->found, at->ai_addr);
    l->is_answered = true;
    cond_signal(&l->changed);
    mutex_unlock(&l->mutex);
    if (code == 0)
        freeaddrinfo(found);
    unref(l);
    return NULL;
}

static bool await(struct lookup *l, mono_time deadline, const atomic_bool *cancel,
                  struct error *err)
{
    bool is_cancelled = false, is_late = false;
    mutex_lock(&l->mutex);
    while (!l->is_answered && !is_cancelled && !is_late) {
        mono_time look = mono_add_ms(clock_mono(), CANCEL_SEEN_MS);
        (void)cond_wait_until(&l->changed, &l->mutex, /* the loop asks why */
                              look.ns < deadline.ns ? look : deadline);
        is_cancelled = cancel && atomic_load_explicit(cancel, memory_order_relaxed);
        is_late = clock_mono().ns >= deadline.ns;
    }
    bool ok = l->is_answered && l->found.count > 0;
    if (!ok && l->is_answered)
        (void)error_set(err, ERROR_IO, "%s: %s", l->host,
                        l->code ? gai_strerror(l->code) : "it has no address");
    else if (!ok && is_cancelled)
        (void)error_set(err, ERROR_CANCELED, "the request to %s was stopped", l->host);
    else if (!ok)
        (void)error_set(err, ERROR_TIMEOUT, "%s: the name server did not answer in time", l->host);
    mutex_unlock(&l->mutex);
    return ok;
}

bool outgoing_lookup(struct outgoing_addresses *out, const char *host, mono_time deadline,
                     const atomic_bool *cancel, struct error *err)
{
    uint64_t owner = owner_of(host);
    if (!place_take(owner))
        return error_set(
            err, ERROR_BUSY,
            "%s: too many names of its domain, or of all, wait for name servers that do not answer",
            host);
    struct lookup *l = mem_alloc_zero(MEM_HTTP, 1, sizeof *l);
    pthread_t thread;
    l->host = mem_copy_string(MEM_HTTP, view_from(host));
    l->owner = owner;
    l->users = 2;
    mutex_init(&l->mutex);
    cond_init(&l->changed);
    bool ok = thread_start(&thread, "lookup", ask, l, err);
    if (ok) {
        (void)pthread_detach(thread); /* cannot fail: it is joinable, and nobody else has it */
        ok = await(l, deadline, cancel, err);
        if (ok)
            *out = l->found; /* answered: the thread changes it no more */
    } else {
        l->users = 1;
        place_give(owner);
    }
    unref(l);
    return ok;
}
