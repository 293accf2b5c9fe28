/* SPDX-License-Identifier: Apache-2.0 */
/* valkey_cache.h: results in Valkey, Redis or what else speaks their protocol; one server, no cluster.
 *
 *   valkey://[[USER]:PASSWORD@]HOST[:6379][/DATABASE][?prefix=imgforge:&ttl=2592000&timeout_ms=500&connections=16&ca=FILE]
 *
 * valkey, redis: plain; valkeys, rediss: TLS, the certificate judged by the system's authorities or those of `ca`. A key is the prefix
 * and 64 hexadecimal digits. Entries expire after `ttl` seconds, so that a server without a policy of its own does not grow forever (30
 * days; 0: never): IMGFORGE_TTL, which is about clients, is not looked at, as the other caches do not. */
#ifndef IMGFORGE_VALKEY_CACHE_H
#define IMGFORGE_VALKEY_CACHE_H

#include "remote_cache.h"

enum { VALKEY_TIMEOUT_MS = 500, VALKEY_CONNECTIONS = 16, VALKEY_TTL_S = 30 * 86400 };

/* ERROR_INPUT: the URL, or a file of authorities that cannot be read. Asks nobody. `out` NULL: only to see whether the URL is right. */
MUST_USE bool valkey_cache_open(struct remote_cache **out, const char *url, struct error *err);

#endif
