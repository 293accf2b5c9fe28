/* SPDX-License-Identifier: Apache-2.0 */
/* settings.h: what a service is told by its environment, as a table. One row is one variable: its name, kind, default,
 * range, help and the field it fills. From the same rows come --help, --check-config and every complaint.
 *
 *   struct my_settings { int64_t timeout_ms; const char *bind; };
 *   static const struct setting TABLE[] = {
 *       {"MY_TIMEOUT", SETTING_DURATION, offsetof(struct my_settings, timeout_ms), "30", .min = 1, .max = 600,
 *        .help = "whole request"},
 *       {"MY_BIND", SETTING_ADDRESS, offsetof(struct my_settings, bind), "0.0.0.0:3000", .help = "main listener"},
 *   };
 *
 * Unset and empty are the same and mean the default. Nothing malformed is ever replaced by a default. */
#ifndef BELFRY_SERVICE_SETTINGS_H
#define BELFRY_SERVICE_SETTINGS_H

#include "base/arena.h"
#include "base/attributes.h"
#include "base/buffer.h"
#include "base/error.h"
#include "base/secret.h"
#include "service/env_file.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum setting_kind {
    SETTING_BOOL,   /* bool: 1 t true yes on, 0 f false no off, in any case */
    SETTING_COUNT,  /* int64_t: a whole number */
    SETTING_NUMBER, /* double: finite */
    SETTING_SIZE,   /* int64_t, bytes: plain, or with KB MB GB (of 1000), KiB MiB GiB */
    SETTING_DURATION, /* int64_t, ms. Written in seconds, or in what the name ends with: _MS _MINUTES _HOURS;
                         decimals are fine */
    SETTING_ADDRESS, /* const char *, to listen on: host:port, [v6]:port, :port, port (= 0.0.0.0:port) */
    SETTING_TEXT,   /* const char *, NULL when unset */
    SETTING_SECRET, /* struct secret; never shown */
    SETTING_LIST, /* struct setting_list: parts between commas, without blanks around them; no empty ones */
    SETTING_CHOICE /* int: index of the word in `choices` */
};

struct setting_list {
    const char *const *items; /* NUL-terminated */
    size_t count;
};

struct setting {
    const char *name;
    enum setting_kind kind;
    size_t offset; /* of the field */
    const char *
        fallback; /* as it would be written; NULL = unset: 0, NULL, an empty list, false, the first choice */
    double min,
        max; /* of COUNT, NUMBER, SIZE, and DURATION in its own unit; both 0: 0 to 2^53 (NUMBER: any) */
    const char *const *choices; /* words, NULL at the end; any case */
    const char *alias; /* another name of it, looked at when the first is unset; may be NULL */
    bool is_required;
    const char *help;
};

/* Rows that fill one struct. */
struct setting_group {
    const struct setting *items;
    size_t count;
    void *values; /* borrowed while the settings are used */
};

/* What is wrong with one variable, for one log line. */
struct setting_problem {
    const char *variable; /* borrowed from the table; NULL when it is about a file */
    char value[256];      /* "***" of a secret; cut */
    char expected[512];
    bool is_secret;
};

struct settings {
    struct arena arena; /* what the fields point to */
    const struct setting_group *groups;
    size_t group_count;
    struct env_file file;
    const char *const *environment; /* borrowed */
};

/* Borrows groups (and their values, and environment) until deinit. Fields are not written yet. */
void settings_init(struct settings *s, const struct setting_group *groups, size_t group_count,
                   const char *const *environment);
/* The fields' strings die with it. */
void settings_deinit(struct settings *s);
/* Before settings_load(): variables of a file. What the environment has goes before it. */
MUST_USE bool settings_read_file(struct settings *s, const char *path, struct error *err);
/* As if the environment said so: of a flag. Before settings_load(). */
void settings_override(struct settings *s, const char *name, const char *value);
/* Fills the fields. False: *problem says which variable, and what was expected. */
MUST_USE bool settings_load(struct settings *s, struct setting_problem *problem);
/* Was it given a value (true also when that equals the default)? */
bool settings_is_set(const struct settings *s, const char *name);
/* For what a service finds wrong with a value itself (two that do not go together). Returns false. */
bool settings_problem(const struct settings *s, struct setting_problem *problem, const char *name,
                      const char *format, ...) PRINTF_LIKE(4, 5);
/* Calls back for each variable that no row knows: of the file, and of the environment those that begin with `prefix`
 * (NULL = none). `nearest` is the name that was probably meant, or NULL. */
void settings_visit_unknown(const struct settings *s, const char *prefix,
                            void (*visit)(void *arg, const char *name, const char *nearest),
                            void *arg);
/* {"NAME":value,...} with numbers and lists as JSON has them, durations in the unit of the name, secrets "***", what
 * is unset null. */
void settings_write_json(const struct settings *s, struct buffer *out);
/* A line a variable: name, default, help, accepted form. */
void settings_write_help(const struct settings *s, struct buffer *out);

/* "0.0.0.0:8080" of HOST and PORT; brackets around IPv6. Lives as long as the settings. */
const char *settings_join_address(struct settings *s, const char *host, int64_t port);

#endif
