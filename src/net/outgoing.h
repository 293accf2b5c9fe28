/* SPDX-License-Identifier: Apache-2.0 */
/* outgoing.h: requests to URLs that strangers name (images to fetch, webhooks to call), without letting them reach what
 * only we can reach.
 *
 * - http and https only; no user or password in the URL; host at most 253 bytes after IDNA; URL at most 8 KiB.
 * - The address is judged when the socket is made, on the very bytes that are connected to, for each redirect again: a
 *   name that changes its address in between (rebinding) gains nothing. In what notation the URL had it does not
 *   matter.
 * - A refused address ends the request, also when the name has others.
 * - With a proxy the proxy connects; an address that the URL itself names is judged all the same. Names are the
 *   proxy's: it is the operator's own place to refuse them.
 *
 * - Where connections are kept, each hop's host is asked for anew, all of its addresses (the first 8 of IPv6 and of IPv4) are judged, and only a connection to one
 *   of these is used again: a name that has changed its address has another connection, or is refused. With a proxy the connection is the
 *   proxy's.
 *
 * One call is one request, waited for; any thread. */
#ifndef BELFRY_NET_OUTGOING_H
#define BELFRY_NET_OUTGOING_H

#include "base/attributes.h"
#include "base/buffer.h"
#include "base/error.h"
#include "base/view.h"
#include "net/address_class.h"

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
    OUTGOING_URL_BYTES_MAX = 8 * 1024,
    OUTGOING_HOST_BYTES_MAX = 253,
    OUTGOING_HEADER_BYTES_MAX = 16 * 1024, /* of an answer */
    OUTGOING_CONNECT_MS = 5000
};

struct outgoing_trust; /* outgoing_trust.h */
struct outgoing_kept;  /* outgoing_kept.h */

struct outgoing_policy {
    unsigned allowed; /* bits 1u << enum address_class; ADDRESS_PUBLIC needs none */
    /* Borrowed; NULL or "" = none. As in HTTP_PROXY, HTTPS_PROXY, NO_PROXY. */
    const char *http_proxy, *https_proxy, *no_proxy;
    /* Whose certificates are believed; borrowed. NULL = the system's, read for each connection (48 ms). */
    const struct outgoing_trust *trust;
    /* Where connections are left for the next request; borrowed, of this policy alone. NULL = each request has one of its own. */
    struct outgoing_kept *kept;
};

enum outgoing_failure {
    OUTGOING_OK,      /* there is an answer, whatever its status */
    OUTGOING_URL,     /* not a URL that is allowed */
    OUTGOING_BLOCKED, /* an address or, by may_go, a URL that is not allowed */
    OUTGOING_DNS,
    OUTGOING_BUSY, /* too many names are being asked for (outgoing_lookup.h); where connections are kept. Later it may go */
    OUTGOING_CONNECT,
    OUTGOING_TLS,
    OUTGOING_TIMEOUT,
    OUTGOING_TOO_LARGE, /* body or headers */
    OUTGOING_REDIRECTS, /* more than redirects_max */
    OUTGOING_BROKEN,    /* the answer ended early, or is not HTTP */
    OUTGOING_STOPPED    /* on_head or on_body said no, or cancel was set */
};

struct outgoing_answer {
    int status;            /* 0 = none came */
    struct buffer headers; /* of the last hop, as they came */
    struct buffer url;     /* of the last hop, NUL-terminated */
    uint64_t body_bytes;
    unsigned redirects;
    char address[64]; /* that was connected to last; "" = none */
};

struct outgoing_request {
    const char *url;
    const char *method;         /* NULL = GET, or POST with a body */
    struct view body;           /* not sent to where a redirect leads */
    const char *const *headers; /* "Name: value"; sent to the first origin only */
    size_t header_count;
    const char *user_agent;
    unsigned redirects_max;  /* 0 = a redirect is the answer */
    int64_t timeout_ms;      /* of all hops together; > 0 */
    uint64_t body_bytes_max; /* of the answer */
    /* Of the first URL and of each that a redirect leads to, before anybody is asked for its address: false = blocked. `url` is
     * what will be asked for: scheme and host in lower case and ASCII, no default port, no fragment, no dot segments. NULL: any. */
    bool (*may_go)(void *arg, const char *url);
    /* Once, when status and headers of the answer are there, before its body. False: stop. May be NULL. */
    bool (*on_head)(void *arg, const struct outgoing_answer *answer);
    /* Each piece as it comes; the answer's status and headers are there. False: stop. NULL: nobody wants it. */
    bool (*on_body)(void *arg, const struct outgoing_answer *answer, struct view piece);
    void *arg;                 /* of these three */
    const atomic_bool *cancel; /* NULL = none. Seen within a second */
};

void outgoing_answer_init(struct outgoing_answer *answer);
void outgoing_answer_deinit(struct outgoing_answer *answer);
/* The first header of that name, without blanks around it; empty when there is none. Borrowed from the answer. */
struct view outgoing_header(const struct outgoing_answer *answer, const char *name);

/* Fills *answer (initialised). Not OUTGOING_OK: err says what happened, in words for a log; it holds no query of the
 * URL. Carries the calling thread's request id and trace (belfry/request.h). */
enum outgoing_failure outgoing_send(const struct outgoing_policy *policy,
                                    const struct outgoing_request *request,
                                    struct outgoing_answer *answer, struct error *err);
/* Would it be sent at all? Checks the URL and every address that its host has now. For what is kept for later: sending
 * checks again. Waits for the resolver. */
enum outgoing_failure outgoing_check(const struct outgoing_policy *policy, const char *url,
                                     struct error *err);
/* "timeout", "connect", "dns", "tls", "blocked", ...; static. */
const char *outgoing_failure_name(enum outgoing_failure failure);

#endif
