/* SPDX-License-Identifier: Apache-2.0 */
/* http_exposition.h: what a request for /metrics asks of libbelfry. */
#ifndef BELFRY_NET_HTTP_EXPOSITION_H
#define BELFRY_NET_HTTP_EXPOSITION_H

#include "base/arena.h"
#include "belfry/exposition.h"
#include "net/http_server.h"

/* Format and escaping by Accept, families by name[] (in the arena). Sets the answer's type, and that it depends on Accept. */
void http_exposition_read(const struct http_request *rq, struct http_response *rs,
                          struct arena *arena, belfry_exposition *how);

#endif
