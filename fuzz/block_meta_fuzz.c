/* SPDX-License-Identifier: Apache-2.0 */
/* block_meta_fuzz.c: bytes as a block's meta.json. What is accepted has a time range and a name, and
 * so have the blocks it was made of. */
#include "base/assert.h"
#include "storage/block_private.h"
#include "storage/ulid.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct block_meta meta;
    struct block_lineage lineage = {0};
    struct error err;
    if (block_meta_parse((struct view){(const char *)data, size}, &meta, &lineage, &err)) {
        ASSERT(meta.mint < meta.maxt && ulid_is_valid(meta.ulid));
        for (size_t i = 0; i < lineage.parent_count; i++)
            ASSERT(ulid_is_valid(lineage.parents[i].ulid));
        for (size_t i = 0; i < lineage.source_count; i++)
            ASSERT(ulid_is_valid(lineage.sources[i]));
    } else
        ASSERT((err.kind == ERROR_CORRUPT || err.kind == ERROR_UNAVAILABLE) &&
               err.message[0] != '\0');
    block_lineage_deinit(&lineage);
    return 0;
}
