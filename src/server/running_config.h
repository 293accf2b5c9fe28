/* SPDX-License-Identifier: Apache-2.0 */
/* running_config.h: the configuration in force, and what came of the last attempt to change it. */
#ifndef BELFRY_SERVER_RUNNING_CONFIG_H
#define BELFRY_SERVER_RUNNING_CONFIG_H

#include "base/attributes.h"
#include "base/clock.h"
#include "base/error.h"
#include "ingest/config.h"

#include <pthread.h>
#include <stdbool.h>

enum { RUNNING_CONFIG_PREFIX_BYTES = 200 };

struct running_config {
    const char *path;            /* NULL = built in; constant */
    enum config_unknown unknown; /* what fields are that are not known; constant */
    const char *prefix;          /* of its paths; constant */
    char built_in_target[64];    /* host:port of the built-in configuration's targets; constant */

    pthread_mutex_t mutex; /* guards the rest */
    struct config *config;
    wall_time loaded; /* of the configuration in force */
    bool last_reload_ok;
};

/* `address` is what the server listens on first: the built-in configuration scrapes it (a wildcard by loopback)
 * below `prefix`, "" or a plain path shorter than RUNNING_CONFIG_PREFIX_BYTES, borrowed. */
void running_config_init(struct running_config *c, const char *path, enum config_unknown unknown,
                         const char *address, const char *prefix);
void running_config_deinit(struct running_config *c);
/* Reads the file (or makes the built-in one). Owned by the caller. Changes nothing of `c`, which may be const for
 * any thread. Errors as config_load_file(). */
MUST_USE bool running_config_read(const struct running_config *c, struct config **out,
                                  struct error *err);
/* Puts a new configuration in force; takes it. Any thread. */
void running_config_set(struct running_config *c, struct config *config);
void running_config_failed(struct running_config *c);
/* A reference of the caller's. Any thread. */
struct config *running_config_get(struct running_config *c);
/* Did the last reload succeed? Sets when the configuration in force was loaded. Any thread. */
bool running_config_state(struct running_config *c, wall_time *loaded);

#endif
