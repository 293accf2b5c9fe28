/* SPDX-License-Identifier: Apache-2.0 */
/* web_config.h: the file of --web.config.file: TLS, headers, users with bcrypt hashes, rate limit, as the toolkit of
 * Prometheus' exporters has it (UPSTREAM: exporter-toolkit, docs/web-configuration.md); and `roles`, ours: user to
 * view, silence, edit or admin. Who has none is admin. One object is immutable and shared: any thread. */
#ifndef BELFRY_ACCESS_WEB_CONFIG_H
#define BELFRY_ACCESS_WEB_CONFIG_H

#include "base/attributes.h"
#include "base/error.h"
#include "base/secret.h"
#include "net/http_server.h"
#include "net/http_tls.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { WEB_CONFIG_BYTES_MAX = 1 << 20, WEB_CONFIG_USERS_MAX = 10000 };

struct web_user {
    struct view name;
    struct secret hash; /* passed password_hash_check() */
    unsigned cost;
    enum http_role role;
};

struct web_header {
    const char *name; /* static */
    struct view value;
};

struct web_config {
    struct http_tls *tls; /* NULL = none */
    const struct web_user *users;
    size_t user_count;
    const struct web_header *headers;
    size_t header_count;
    int64_t rate_interval_ms; /* a token of the bucket each; 0 = no limit */
    int64_t rate_burst;
};

/* Reads the file and those that it names; born with one reference. Errors name the file, with line and column where
 * they are about a place; none shows a hash or a key. */
MUST_USE bool web_config_load(struct web_config **out, const char *path, struct error *err);
/* The same of a text; `dir` is what relative paths are joined to, NULL: no file is read (for the fuzzer). */
MUST_USE bool web_config_parse(struct web_config **out, struct view text, const char *dir,
                               struct error *err);
struct web_config *web_config_ref(struct web_config *c);
void web_config_unref(struct web_config *c); /* NULL is fine */
/* Has the file, or one that it named, changed since it was loaded? Costs a stat() each. */
bool web_config_is_stale(const struct web_config *c, const char *path);

#endif
