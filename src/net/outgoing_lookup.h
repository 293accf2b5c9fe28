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

enum { OUTGOING_ADDRESSES_MAX = 8 };

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
/* Fills *out with at least one. ERROR_IO: the resolver knows none, or too many are being asked for, all of which may wait for it
 * long after their deadline; ERROR_TIMEOUT; ERROR_CANCELED: *cancel (NULL = none) was set, seen
 * within a second. */
MUST_USE bool outgoing_lookup(struct outgoing_addresses *out, const char *host, mono_time deadline,
                              const atomic_bool *cancel, struct error *err);

#endif
