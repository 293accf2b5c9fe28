/* SPDX-License-Identifier: Apache-2.0 */
/* cache_url.h: IMGFORGE_CACHE_URL taken apart: SCHEME://[[USER]:PASSWORD@]HOST[:PORT]/PATH[?NAME=VALUE&...]. No message here shows user,
 * password or the whole. */
#ifndef IMGFORGE_CACHE_URL_H
#define IMGFORGE_CACHE_URL_H

#include "base/arena.h"
#include "base/error.h"
#include "base/secret.h"

#include <stdint.h>

enum { CACHE_URL_PARAMETERS_MAX = 16 };

/* Percent-decoded but for the path; NUL-terminated; live in the arena. */
struct cache_url {
    const char *scheme, *user, *host, *path; /* path begins with "/"; host without brackets */
    struct secret password;
    int64_t port; /* 0: none */
    struct {
        const char *name, *value;
    } parameters[CACHE_URL_PARAMETERS_MAX];
    size_t parameter_count;
};

/* `parameters`: those that there are, NULL at the end; another one is ERROR_INPUT. */
MUST_USE bool cache_url_parse(struct cache_url *out, struct arena *arena, const char *text,
                              const char *const *parameters, struct error *err);
/* NULL: not there, or empty. */
const char *cache_url_text(const struct cache_url *u, const char *name);
/* A whole number in [min, max]; `fallback` when it is not there. ERROR_INPUT. */
MUST_USE bool cache_url_number(const struct cache_url *u, const char *name, int64_t min,
                               int64_t max, int64_t fallback, int64_t *out, struct error *err);

#endif
