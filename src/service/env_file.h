/* SPDX-License-Identifier: Apache-2.0 */
/* env_file.h: variables in a file, for --env-file and systemd's EnvironmentFile= alike:
 *
 *   # a comment, on a line of its own
 *   NAME=value            blanks around the value do not count
 *   NAME='as it is'       NAME="with \n \t \" \\ \$ and \`"      nothing may follow the quote
 *   export NAME=value     shells read the same file
 *
 * A name that is there twice has its last value. */
#ifndef BELFRY_SERVICE_ENV_FILE_H
#define BELFRY_SERVICE_ENV_FILE_H

#include "base/arena.h"
#include "base/attributes.h"
#include "base/error.h"
#include "base/view.h"

#include <stdbool.h>
#include <stddef.h>

enum { ENV_FILE_BYTES_MAX = 1 << 20, ENV_FILE_VARIABLES_MAX = 10000 };

struct env_variable {
    const char *name, *value; /* NUL-terminated, in the arena */
};
struct env_file {
    struct env_variable *items; /* in the order of the text, repeated ones too */
    size_t count, capacity;
};

/* Appends the variables of `text`. ERROR_INPUT with line and column, which names no value: it may be a secret. */
MUST_USE bool env_file_parse(struct arena *arena, struct view text, struct env_file *out,
                             struct error *err);
/* The same of a regular file. ERROR_NOT_FOUND, ERROR_TOO_LARGE, ERROR_IO too. */
MUST_USE bool env_file_read(struct arena *arena, const char *path, struct env_file *out,
                            struct error *err);
/* The last value of this name; NULL when there is none. */
const char *env_file_find(const struct env_file *file, const char *name);

#endif
