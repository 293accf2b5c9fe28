/* SPDX-License-Identifier: Apache-2.0 */
/* plugin.c: linked once with libbelfry.a hidden in it and once with what that exports visible (meson.build). */
#include "plugin.h"

#include <belfry/metrics.h>

static belfry_registry *registry;
static belfry_counter *counter;

static void begin(int is_private)
{
    registry = is_private ? belfry_registry_new() : NULL;
    if (belfry_counter_new(&counter, registry, "plugin_total", "What the plugin counts.") !=
        BELFRY_OK)
        counter = NULL;
}

static void end(void)
{
    belfry_registry_free(registry);
}

static void count(unsigned times)
{
    for (unsigned i = 0; i < times; i++)
        belfry_counter_inc(counter);
}

static double value(void)
{
    return belfry_counter_value(counter);
}

static char *text(void)
{
    char *out;
    size_t len;
    return belfry_registry_text(registry, &out, &len) == BELFRY_OK ? out : NULL;
}

__attribute__((visibility("default"))) const struct plugin *plugin_get(void);
const struct plugin *plugin_get(void)
{
    static const struct plugin plugin = {begin, end, count, value, text, belfry_text_free};
    return &plugin;
}
