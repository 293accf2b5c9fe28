/* SPDX-License-Identifier: Apache-2.0 */
/* Durations: what is read prints as text that reads back the same. */
#include "base/assert.h"
#include "base/duration.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct error err;
    int64_t ms, back;
    if (!duration_parse((struct view){(const char *)data, size}, &ms, &err)) {
        ASSERT(err.kind == ERROR_INPUT && err.message[0] != '\0');
        return 0;
    }
    char text[DURATION_TEXT_BYTES];
    size_t len = duration_format(ms, text);
    ASSERT(duration_parse((struct view){text, len}, &back, &err) && back == ms);
    return 0;
}
