/* SPDX-License-Identifier: Apache-2.0 */
/* alertmanager_config_fuzz.c: any bytes are a configuration of Alertmanager or are refused with a sentence. */
#include "alerting/alert_config.h"
#include "alerting/route.h"
#include "alerting/route_lint.h"
#include "base/assert.h"

#include <stdint.h>

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len);

static void count(void *arg, uint32_t line, uint32_t column, const char *sentence)
{
    ASSERT(line > 0 && column > 0 && sentence[0] != '\0');
    ++*(size_t *)arg;
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len)
{
    struct view text = {(const char *)bytes, len};
    struct alert_config *c;
    struct error err = {0};
    if (!alert_config_parse(text, "fuzz.yml", &c, &err)) {
        ASSERT(!c && err.message[0] != '\0');
        return 0;
    }
    struct arena arena;
    struct route_matches matches = {0};
    struct labels none = {NULL, 0};
    size_t findings = 0;
    arena_init(&arena, MEM_OTHER, 0);
    ASSERT(alert_config_receiver(c, c->route->receiver));
    route_match(&arena, c->route, none, &matches);
    ASSERT(matches.count > 0);
    for (size_t i = 0; i < matches.count; i++)
        (void)route_silence_at(c, matches.items[i], (int64_t)len * 86399,
                               NULL); /* it must only end */
    route_lint(c, count, &findings);
    arena_deinit(&arena);
    alert_config_unref(c);
    return 0;
}
