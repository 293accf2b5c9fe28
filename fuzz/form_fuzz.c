/* SPDX-License-Identifier: Apache-2.0 */
/* form_fuzz.c: any bytes as parameters: decoded text never grows and never leaves its bounds. */
#include "base/assert.h"
#include "net/form.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct arena arena;
    struct form form = {0};
    struct error err;
    arena_init(&arena, MEM_HTTP, 16 << 20);
    if (form_parse(&arena, (struct view){(const char *)data, size}, &form, &err)) {
        size_t bytes = 0;
        for (size_t i = 0; i < form.count; i++)
            bytes += form.items[i].name.len + form.items[i].value.len;
        ASSERT(bytes <= size && form.count <= FORM_PARAMS_MAX);
    } else {
        ASSERT(err.message[0] != '\0');
    }
    arena_deinit(&arena);
    return 0;
}
