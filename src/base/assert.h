/* SPDX-License-Identifier: Apache-2.0 */
/* assert.h: broken invariants (our bugs) stop the process; bad input never does.
 * ASSERT stays on in release builds: one cheap fact each, no side effects. ASSERT_SLOW is for debug
 * and fuzz builds (-DBELFRY_ASSERT_SLOW). */
#ifndef BELFRY_BASE_ASSERT_H
#define BELFRY_BASE_ASSERT_H

#include "base/attributes.h"

/* Writes "assertion failed: TEXT (FILE:LINE)" to stderr and aborts. Any thread. */
NORETURN void assert_fail(const char *text, const char *file, int line);

#define ASSERT(x) (LIKELY(x) ? (void)0 : assert_fail(#x, __FILE__, __LINE__))
#ifdef BELFRY_ASSERT_SLOW
#define ASSERT_SLOW(x) ASSERT(x)
#else
#define ASSERT_SLOW(x) ((void)sizeof(x))
#endif
#define UNREACHABLE() assert_fail("unreachable", __FILE__, __LINE__)

#endif
