/* SPDX-License-Identifier: Apache-2.0 */
/* alertmanager_matchers_fuzz.c: any bytes are matchers or are refused with a sentence; either way nothing is left. */
#include "alerting/matcher_text.h"
#include "base/assert.h"

#include <stdint.h>

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len);

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len)
{
    struct view text = {(const char *)bytes, len};
    struct arena arena;
    struct matchers m = {0};
    struct buffer shown;
    struct error err = {0};
    arena_init(&arena, MEM_OTHER, 0);
    buffer_init(&shown, MEM_OTHER, 64 << 20);
    if (matchers_parse(&arena, text, &m, NULL, &err)) {
        struct labels none = {NULL, 0};
        (void)matchers_match(&m, none); /* it must only end */
        matchers_format(&shown, &m);
        ASSERT(shown.len >= 2);
    } else {
        ASSERT(m.count == 0 && err.message[0] != '\0');
    }
    matchers_deinit(&m);
    buffer_deinit(&shown);
    arena_deinit(&arena);
    return 0;
}
