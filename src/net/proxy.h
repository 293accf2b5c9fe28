/* SPDX-License-Identifier: Apache-2.0 */
/* proxy.h: which hosts are reached without the proxy, with the semantics of Go's httpproxy, which Prometheus uses: where
 * no_proxy or the environment decide, loopback is never asked by a proxy. Any thread. */
#ifndef BELFRY_NET_PROXY_H
#define BELFRY_NET_PROXY_H

#include "base/view.h"

#include <stdbool.h>

/* Is host:port among the items of no_proxy ("*", names and those below them, .names, addresses, networks, all but networks with
 * ports)? */
bool proxy_no_proxy_matches(struct view no_proxy, struct view host, struct view port);
/* "localhost", 127.0.0.0/8, ::1. */
bool proxy_is_loopback(struct view host);
/* HTTPS_PROXY or HTTP_PROXY, in capitals or not, and NO_PROXY; "" when there is none. The environment's. */
const char *proxy_environment(bool https);
const char *proxy_environment_no_proxy(void);

#endif
