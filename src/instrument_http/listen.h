/* SPDX-License-Identifier: Apache-2.0 */
/* listen.h: a listening socket from the text of an address. */
#ifndef BELFRY_INSTRUMENT_HTTP_LISTEN_H
#define BELFRY_INSTRUMENT_HTTP_LISTEN_H

#include "base/attributes.h"

#include <belfry/http.h>
#include <stdint.h>

struct listening {
    int fd;        /* -1 = none */
    uint16_t port; /* 0 for a unix socket */
    char address[128];
    bool is_unix; /* the path behind "unix:" is removed when it is closed */
};

/* "host:port", "[v6]:port", ":port" (all), "unix:/path". On error out->fd is -1. */
MUST_USE belfry_status belfry__listen(struct listening *out, const char *address,
                                      belfry_http_error *error);
/* Removes a unix socket's path; does not close the descriptor. */
void belfry__listen_forget(const struct listening *l);

#endif
