/* SPDX-License-Identifier: Apache-2.0 */
/* base64.h: RFC 4648. */
#ifndef BELFRY_INSTRUMENT_HTTP_BASE64_H
#define BELFRY_INSTRUMENT_HTTP_BASE64_H

#include <stdbool.h>
#include <stddef.h>

#define BASE64_BYTES(len) (((len) + 2) / 3 * 4)

/* Fills BASE64_BYTES(len) and a NUL. For URLs: "-" and "_", with padding all the same, as Pushgateway's clients do. */
void belfry__base64(char *out, const char *bytes, size_t len, bool for_url);

#endif
