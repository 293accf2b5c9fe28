/* SPDX-License-Identifier: Apache-2.0 */
/* fail.c: see fail.h. */
#include "instrument_http/fail.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>

belfry_status belfry__http_fail(belfry_http_error *error, belfry_status status, const char *format,
                                ...)
{
    int saved = errno;
    if (error) {
        va_list args;
        va_start(args, format);
        (void)vsnprintf(error->message, sizeof error->message, format, args); /* cut is fine */
        va_end(args);
    }
    errno = saved;
    return status;
}

belfry_status belfry__http_fail_memory(belfry_http_error *error)
{
    return belfry__http_fail(error, BELFRY_ERROR_MEMORY, "no memory");
}
