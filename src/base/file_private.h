/* SPDX-License-Identifier: Apache-2.0 */
/* file_private.h: what file.c and dir.c share. */
#ifndef BELFRY_BASE_FILE_PRIVATE_H
#define BELFRY_BASE_FILE_PRIVATE_H

#include "base/file.h"

/* Asks the test's hook. 0 or the errno to fail with; `bytes` may be NULL. */
int file_fault(enum file_op op, const char *path, size_t *bytes);

#endif
