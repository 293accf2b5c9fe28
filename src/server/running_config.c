/* SPDX-License-Identifier: Apache-2.0 */
/* running_config.c: see running_config.h. */
#include "server/running_config.h"

#include "base/thread.h"

#include <stdio.h>
#include <string.h>

/* Every 5 s, so that there is something to look at within seconds. The host's metrics have a path of their own
 * because promtool's lint dislikes some of node_exporter's names. */
static const char BUILT_IN[] = "global:\n"
                               "  scrape_interval: 5s\n"
                               "  scrape_timeout: 5s\n"
                               "scrape_configs:\n"
                               "- job_name: belfry\n"
                               "  metrics_path: '%s/metrics'\n"
                               "  static_configs:\n"
                               "  - targets: ['%s']\n"
                               "- job_name: node\n"
                               "  metrics_path: '%s/metrics/host'\n"
                               "  static_configs:\n"
                               "  - targets: ['%s']\n";

/* "0.0.0.0:9090", ":9090" and "[::]:9090" are reached on loopback. */
static void target_of_address(char *out, size_t bytes, const char *address)
{
    const char *port = strrchr(address, ':');
    size_t host_bytes = port ? (size_t)(port - address) : strlen(address);
    bool any = host_bytes == 0 || (host_bytes == 7 && memcmp(address, "0.0.0.0", 7) == 0) ||
               (host_bytes == 4 && memcmp(address, "[::]", 4) == 0);
    if (any && port)
        snprintf(out, bytes, "127.0.0.1%s", port);
    else
        snprintf(out, bytes, "%s", address);
}

void running_config_init(struct running_config *c, const char *path, enum config_unknown unknown,
                         const char *address, const char *prefix)
{
    memset(c, 0, sizeof *c);
    c->path = path;
    c->unknown = unknown;
    target_of_address(c->built_in_target, sizeof c->built_in_target, address);
    c->prefix = prefix;
    mutex_init(&c->mutex);
}

void running_config_deinit(struct running_config *c)
{
    config_unref(c->config);
    mutex_deinit(&c->mutex);
}

bool running_config_read(const struct running_config *c, struct config **out, struct error *err)
{
    char text[sizeof BUILT_IN + 2 * sizeof c->built_in_target + 2 * RUNNING_CONFIG_PREFIX_BYTES];
    if (c->path)
        return config_load_file(c->path, c->unknown, out, err);
    snprintf(text, sizeof text, BUILT_IN, c->prefix, c->built_in_target, c->prefix,
             c->built_in_target);
    return config_load_text(view_from(text), "", "built-in configuration", out, err);
}

void running_config_set(struct running_config *c, struct config *config)
{
    mutex_lock(&c->mutex);
    struct config *old = c->config;
    c->config = config;
    c->loaded = clock_wall();
    c->last_reload_ok = true;
    mutex_unlock(&c->mutex);
    config_unref(old);
}

void running_config_failed(struct running_config *c)
{
    mutex_lock(&c->mutex);
    c->last_reload_ok = false;
    mutex_unlock(&c->mutex);
}

struct config *running_config_get(struct running_config *c)
{
    mutex_lock(&c->mutex);
    struct config *config = config_ref(c->config);
    mutex_unlock(&c->mutex);
    return config;
}

bool running_config_state(struct running_config *c, wall_time *loaded)
{
    mutex_lock(&c->mutex);
    bool ok = c->last_reload_ok;
    *loaded = c->loaded;
    mutex_unlock(&c->mutex);
    return ok;
}
