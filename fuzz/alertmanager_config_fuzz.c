/* SPDX-License-Identifier: Apache-2.0 */
/* alertmanager_config_fuzz.c: any bytes are a configuration of Alertmanager or are refused with a sentence. */
#include "alerting/alert_config.h"
#include "base/assert.h"

#include <stdint.h>

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len);

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len)
{
    struct view text = {(const char *)bytes, len};
    struct alert_config *c;
    struct error err = {0};
    if (!alert_config_parse(text, "fuzz.yml", &c, &err)) {
        ASSERT(!c && err.message[0] != '\0');
        return 0;
    }
    ASSERT(alert_config_receiver(c, c->route->receiver));
    for (size_t i = 0; i < c->time_intervals.count; i++) {
        const struct named_intervals *n = &c->time_intervals.items[i];
        for (size_t j = 0; j < n->count; j++)
            (void)time_interval_contains(&n->items[j], (int64_t)len * 86399); /* it must only end */
    }
    alert_config_unref(c);
    return 0;
}
