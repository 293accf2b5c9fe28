/* SPDX-License-Identifier: Apache-2.0 */
/* fail.h: the sentence beside a status. */
#ifndef BELFRY_INSTRUMENT_HTTP_FAIL_H
#define BELFRY_INSTRUMENT_HTTP_FAIL_H

#include "base/attributes.h"

#include <belfry/http.h>

/* Writes the sentence, when there is somebody to read it, and returns the status. errno stays. */
belfry_status belfry__http_fail(belfry_http_error *error, belfry_status status, const char *format,
                                ...) PRINTF_LIKE(3, 4);
/* No memory: everybody says it in the same words. */
belfry_status belfry__http_fail_memory(belfry_http_error *error);

#endif
