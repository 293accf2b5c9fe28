/* SPDX-License-Identifier: Apache-2.0 */
/* source_kind_fuzz.c: any first bytes of a file. What it is does not change by what follows the bytes that said it. */
#include "base/assert.h"
#include "source_kind.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    /* Copies of their exact sizes, so that a read behind the end is seen. */
    char *bytes = malloc(size), *longer = malloc(size + 1);
    ASSERT((bytes != NULL || size == 0) && longer != NULL);
    if (size) {
        memcpy(bytes, data, size);
        memcpy(longer, data, size);
    }
    longer[size] = ' ';
    enum source_kind kind = source_kind_sniff((struct view){bytes, size});
    ASSERT(kind <= SOURCE_PDF && source_kind_name(kind)[0] != '\0');
    ASSERT(source_kind_from_type(view_from(source_kind_type(kind))) == kind);
    ASSERT(kind == SOURCE_UNKNOWN || source_kind_sniff((struct view){longer, size + 1}) == kind);
    (void)source_kind_from_type((struct view){bytes, size});
    free(bytes);
    free(longer);
    return 0;
}
