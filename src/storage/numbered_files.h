/* SPDX-License-Identifier: Apache-2.0 */
/* numbered_files.h: the files of a folder whose names are numbers, in their order. */
#ifndef BELFRY_STORAGE_NUMBERED_FILES_H
#define BELFRY_STORAGE_NUMBERED_FILES_H

#include "base/attributes.h"
#include "base/error.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct numbered_files {
    uint64_t *items; /* ascending */
    size_t count, capacity;
};
/* Either way *out is the caller's: numbered_files_deinit(). */
MUST_USE bool numbered_files_list(struct numbered_files *out, const char *dir, struct error *err);
void numbered_files_deinit(struct numbered_files *n);

#endif
