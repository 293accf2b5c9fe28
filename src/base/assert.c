/* SPDX-License-Identifier: Apache-2.0 */
/* assert.c: the last words of a process whose own rules are broken. */
#include "base/assert.h"

#include <stdio.h>
#include <stdlib.h>

void assert_fail(const char *text, const char *file, int line)
{
    fprintf(stderr, "assertion failed: %s (%s:%d)\n", text, file, line);
    fflush(stderr);
    abort();
}
