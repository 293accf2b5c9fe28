/* SPDX-License-Identifier: Apache-2.0 */
/* head_floor_fuzz.c: bytes as the file head/floor. With their checksum put right they reach every check; what
 * is accepted names a valid block or none. */
#include "base/assert.h"
#include "base/checksum.h"
#include "storage/head_floor.h"

#include <string.h>

enum { FLOOR_BYTES = 54 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void parse(const uint8_t *data, size_t size)
{
    struct head_floor floor;
    struct error err;
    if (!head_floor_parse((struct view){(const char *)data, size}, &floor, &err))
        ASSERT(err.kind == ERROR_CORRUPT && err.message[0] != '\0');
    else
        ASSERT(floor.block[0] == '\0' || ulid_is_valid(floor.block));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    uint8_t sealed[FLOOR_BYTES];
    parse(data, size);
    if (size < FLOOR_BYTES)
        return 0;
    memcpy(sealed, data, FLOOR_BYTES);
    uint32_t crc = crc32c(0, sealed, FLOOR_BYTES - 4);
    for (int i = 0; i < 4; i++)
        sealed[FLOOR_BYTES - 4 + i] = (uint8_t)(crc >> 8 * i);
    parse(sealed, sizeof sealed);
    return 0;
}
