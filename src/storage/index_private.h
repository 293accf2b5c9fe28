/* SPDX-License-Identifier: Apache-2.0 */
/* index_private.h: constants of the format that index.c reads and index_write.c writes. */
#ifndef BELFRY_STORAGE_INDEX_PRIVATE_H
#define BELFRY_STORAGE_INDEX_PRIVATE_H

#include "storage/index.h"

#include <assert.h>

#define INDEX_MAGIC "BLFIDX01"               /* the version is in it: another one is refused */
#define INDEX_END_MAGIC UINT32_C(0x49464c42) /* "BLFI" */
enum {
    INDEX_MAGIC_BYTES = 8,
    INDEX_SYMBOL_GROUP = 16,
    INDEX_FOOTER_BYTES = INDEX_SECTION_COUNT * 16 + 6 * 4 + 4 * 8 + (ULID_BYTES - 1) + 8
};
static_assert(sizeof INDEX_MAGIC - 1 == INDEX_MAGIC_BYTES, "the magic has 8 bytes");

#endif
