/* SPDX-License-Identifier: Apache-2.0 */
/* salvage.h: what is done with bytes on disk that cannot be used. */
#ifndef BELFRY_STORAGE_SALVAGE_H
#define BELFRY_STORAGE_SALVAGE_H

#include "base/attributes.h"
#include "base/error.h"
#include "base/view.h"

#include <stdint.h>

/* Copies damaged bytes that began at `offset` of a file to quarantine_dir (made when missing), as
 * NAME-OFFSET, for a person to look at. Fails when that is there already (from the last start). */
MUST_USE bool salvage_copy(const char *quarantine_dir, const char *name, struct view bytes,
                           uint64_t offset, struct error *err);
/* Cuts the torn end of a file off. */
MUST_USE bool salvage_cut(const char *path, uint64_t bytes, struct error *err);

#endif
