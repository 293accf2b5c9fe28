/* SPDX-License-Identifier: Apache-2.0 */
/* outgoing_lookup.h: the addresses of a host, for who must know them before libcurl does. The system's resolver knows no timeout, so a
 * thread asks it, and who waits leaves when he likes. */
#ifndef BELFRY_NET_OUTGOING_LOOKUP_H
#define BELFRY_NET_OUTGOING_LOOKUP_H

#include "base/attributes.h"
#include "base/clock.h"
#include "base/error.h"

#include <netinet/in.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <sys/socket.h>

/* Of IPv6 and of IPv4 each: who has many of one is still reached by the other where one is broken. */
enum { OUTGOING_ADDRESSES_EACH = 8, OUTGOING_ADDRESSES_MAX = 2 * OUTGOING_ADDRESSES_EACH };
/* Names that are asked for at once in the process. Chosen, not measured: 10 to 30 s of names whose servers are dead. */
enum { OUTGOING_LOOKUPS_MAX = 512 };

/* Those that are used, in the resolver's order; what a host has beyond them is nobody's. */
struct outgoing_addresses {
    size_t count;
    struct outgoing_address {
        struct sockaddr_storage socket;
        char text[INET6_ADDRSTRLEN]; /* as inet_ntop() writes it */
    } items[OUTGOING_ADDRESSES_MAX];
};

/* Adds it; what is neither IPv4 nor IPv6, or too much, is left out. */
void outgoing_addresses_add(struct outgoing_addresses *all, const struct sockaddr *address);
bool outgoing_addresses_has(const struct outgoing_addresses *all, const char *text);
/* Fills *out with at least one. ERROR_IO: the resolver knows none; ERROR_TIMEOUT; ERROR_CANCELED: *cancel (NULL = none) was set, seen
 * within a second. Also a name that nobody waits for any more is asked for until the resolver gives up; ERROR_BUSY: of those there are
 * as many as there may be, or as the owner of this name (its registered domain) may have: twice as many as are free, so that
 * one whose name servers are dead has two thirds at most, and whoever comes next finds a place. */
MUST_USE bool outgoing_lookup(struct outgoing_addresses *out, const char *host, mono_time deadline,
                              const atomic_bool *cancel, struct error *err);

#endif
