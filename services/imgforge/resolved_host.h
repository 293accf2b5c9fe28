/* SPDX-License-Identifier: Apache-2.0 */
/* resolved_host.h: the addresses of a server that is asked again and again. The system's resolver knows no timeout: with a dead name
 * server it waits 10 to 30 s. So a thread asks it, and who wants an address waits as long as he likes. */
#ifndef IMGFORGE_RESOLVED_HOST_H
#define IMGFORGE_RESOLVED_HOST_H

#include "base/clock.h"
#include "base/error.h"

#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>

enum { RESOLVED_ADDRESSES_MAX = 8 };

struct resolved_address {
    struct sockaddr_storage address; /* with the port */
    socklen_t bytes;
};

struct resolved_host;

/* `host`: a name, or an address (then there is no thread). ERROR_IO: no thread. */
MUST_USE bool resolved_host_open(struct resolved_host **out, const char *host, uint16_t port,
                                 struct error *err);
/* Does not wait for the resolver: its thread ends when that answers. NULL is fine. */
void resolved_host_close(struct resolved_host *h);
/* Copies what is known, at least one; waits for the first answer until `deadline`. Older than RESOLVED_HOST_AGE_MS: is asked for again,
 * and used meanwhile. ERROR_UNAVAILABLE. */
MUST_USE bool resolved_host_get(struct resolved_host *h, mono_time deadline,
                                struct resolved_address out[RESOLVED_ADDRESSES_MAX], size_t *count,
                                struct error *err);

enum { RESOLVED_HOST_AGE_MS = 10000 };

#endif
