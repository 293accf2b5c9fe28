/* SPDX-License-Identifier: Apache-2.0 */
/* Accept headers: whatever stands there, a format that can be written and named comes out, and the same each time. */
#include "base/assert.h"

#include <belfry/exposition.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char *accept = malloc(size + 1); /* exactly as long, so that one byte too far is seen */
    belfry_exposition how = {0}, again = {0};
    if (!accept)
        return 0;
    if (size)
        memcpy(accept, data, size);
    accept[size] = '\0';
    belfry_exposition_negotiate(accept, &how);
    free(accept);
    ASSERT(how.format <= BELFRY_FORMAT_PROTOBUF && how.escaping <= BELFRY_ESCAPING_VALUES);
    /* What is answered is what is answered to one who asks for just that. */
    const char *type = belfry_exposition_content_type(&how);
    belfry_exposition_negotiate(type, &again);
    ASSERT(again.format == how.format && again.escaping == how.escaping);
    return 0;
}
