/* SPDX-License-Identifier: Apache-2.0 */
/* outgoing_url.h: what a stranger's URL must be before anybody is asked for its host's address. */
#ifndef BELFRY_NET_OUTGOING_URL_H
#define BELFRY_NET_OUTGOING_URL_H

#include "base/attributes.h"
#include "base/error.h"
#include "net/outgoing.h"

#include <curl/curl.h>

/* libcurl's own parse of it, so that what was checked is what is sent. */
struct outgoing_url {
    CURLU *parts;
    bool is_https;
    char host[OUTGOING_HOST_BYTES_MAX + 1]; /* ASCII; IPv6 in brackets */
    char port[8];                           /* also when the URL has none */
};

/* ERROR_INPUT: scheme, user, port 0, host too long, not convertible or with a hyphen first, blanks, backslashes, length. On success the
 * caller calls outgoing_url_deinit(). */
MUST_USE bool outgoing_url_init(struct outgoing_url *u, const char *url, struct error *err);
void outgoing_url_deinit(struct outgoing_url *u);
/* The host as an address, in whatever notation; false when it is a name. */
bool outgoing_url_address(const struct outgoing_url *u, struct sockaddr_storage *out);
/* The whole of it, with scheme and host in lower case, without default port and fragment. The caller calls curl_free(). NULL
 * without memory. */
char *outgoing_url_text(const struct outgoing_url *u);
/* The proxy for it; NULL = none. */
const char *outgoing_url_proxy(const struct outgoing_url *u, const struct outgoing_policy *policy);

#endif
