/* SPDX-License-Identifier: Apache-2.0 */
/* Crontab fields: what is taken comes, ascending, in a zone whose clocks change. */
#include "alerting/cron.h"

#include "base/assert.h"

#include <stddef.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct timezone_data *zone;
    struct error err;
    struct cron c;
    if (zone == NULL && !timezone_open(&zone, VIEW("Europe/Paris"), &err))
        return 0;
    if (!cron_parse(&c, (struct view){(const char *)data, size}, &err))
        return 0;
    int64_t at = 1711756800, before; /* 30 March 2024 */
    for (int i = 0; i < 50; i++) {
        before = at;
        ASSERT(cron_next(&c, zone, before, &at));
        ASSERT(at > before);
    }
    return 0;
}
