/* SPDX-License-Identifier: Apache-2.0 */
/* alertmanager_client.h: what `belfry alert`, `belfry silence` and their like share: flags, the files in which amtool keeps
 * its defaults, and one request at a time to the API v2 of Belfry or of an Alertmanager. */
#ifndef BELFRY_CLI_ALERTMANAGER_CLIENT_H
#define BELFRY_CLI_ALERTMANAGER_CLIENT_H

#include "base/arena.h"
#include "base/attributes.h"
#include "base/json_read.h"
#include "cli/flags.h"

#include <stdbool.h>

struct alertmanager_client {
    const char *url;         /* NULL: none was given */
    const char *output;      /* "simple", "extended", "json" */
    const char *date_format; /* as Go's Time.Format has it */
    const char *http_config; /* file; "" = none */
    const char *features;    /* amtool's --enable-feature: read, without effect */
    int64_t timeout_ms;      /* of each request */
    bool help, verbose, checks_version;
};

/* The client with its defaults: the environment's BELFRY_URL, or as amtool none. */
void alertmanager_client_init(struct alertmanager_client *c);
/* Reads the words of a command: flags (its own and ALERTMANAGER_FLAGS), defaults for them from amtool's files when it is
 * amtool that was called, and checks the shared ones. */
MUST_USE bool alertmanager_client_parse(struct alertmanager_client *c, const struct flag *flags,
                                        size_t count, int argc, char **argv,
                                        struct flag_words *words, struct error *err);

#define ALERTMANAGER_FLAGS(c)                                                                      \
    {"help", 'h', FLAG_SWITCH, &(c)->help, NULL, "Show this."},                                    \
        {"url", 0, FLAG_TEXT, &(c)->url, "URL", "The server; also the environment's BELFRY_URL."}, \
        {"alertmanager.url", 0, FLAG_TEXT, &(c)->url, "URL", "The same, as amtool calls it."},     \
        {"output", 'o', FLAG_TEXT, &(c)->output, "simple|extended|json", "How to print."},         \
        {"date.format",     0,        FLAG_TEXT,                                                   \
         &(c)->date_format, "LAYOUT", "How to print times, as Go lays them out."},                 \
        {"timeout", 0, FLAG_DURATION, &(c)->timeout_ms, "DURATION", "How long to wait."},          \
        {"http.config.file",                                                                       \
         0,                                                                                        \
         FLAG_TEXT,                                                                                \
         &(c)->http_config,                                                                        \
         "FILE",                                                                                   \
         "Credentials, TLS, proxy: the http_config of Prometheus' files."},                        \
        {"verbose", 'v', FLAG_SWITCH, &(c)->verbose, NULL, "Say which requests are sent."},        \
        {"version-check",      0,    FLAG_SWITCH,                                                  \
         &(c)->checks_version, NULL, "For amtool's sake; versions are not compared."},             \
    {                                                                                              \
        "enable-feature", 0, FLAG_TEXT, &(c)->features, "NAME", "For amtool's sake."               \
    }

/* Sends one request below the server's URL: `path` with its query, encoded. `body` of JSON, or empty. *out: the answer's
 * JSON, NULL when it brought none; the caller's. An error status is an error: ERROR_NOT_FOUND for 404, ERROR_INPUT
 * else, with what the server said. */
MUST_USE bool alertmanager_ask(const struct alertmanager_client *c, const char *method,
                               struct view path, struct view body, json_t **out, struct error *err);
/* The text of a member, "" when there is none. Borrowed from the tree. */
struct view json_text(const json_t *object, const char *name);

#endif
