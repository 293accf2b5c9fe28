/* SPDX-License-Identifier: Apache-2.0 */
/* Recurrence rules: what is taken comes at least once, ascending; looking for the next one ends. */
#include "alerting/rrule.h"

#include "base/assert.h"

#include <stddef.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct timezone_data *zone;
    const int64_t start = 1711756800; /* 30 March 2024 */
    struct error err;
    struct rrule *r;
    if (zone == NULL && !timezone_open(&zone, VIEW("Europe/Paris"), &err))
        return 0;
    if (!rrule_new(&r, (struct view){(const char *)data, size}, zone, start, &err))
        return 0;
    int64_t at = start - 1, before;
    for (int i = 0; i < 20; i++) {
        before = at;
        if (!rrule_next(r, before, &at))
            break;
        ASSERT(at > before && at >= start);
    }
    rrule_free(r);
    return 0;
}
