/* SPDX-License-Identifier: Apache-2.0 */
/* flags.h: command-line flags as a table, in Prometheus' manner (dotted GNU long flags; one dash is accepted as
 * well; --flag=value or --flag value; --no-flag for switches; -ab for short switches, -ovalue for a short flag's value). The same table gives help and the
 * answer of status/flags. */
#ifndef BELFRY_CLI_FLAGS_H
#define BELFRY_CLI_FLAGS_H

#include "base/attributes.h"
#include "base/buffer.h"
#include "base/error.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

enum { FLAG_LIST_MAX = 64 };

struct flag_list {
    const char *items[FLAG_LIST_MAX]; /* borrowed from argv */
    size_t count;
};

enum flag_kind {
    FLAG_SWITCH,   /* bool * */
    FLAG_TEXT,     /* const char ** */
    FLAG_DURATION, /* int64_t *: ms */
    FLAG_BYTES,    /* uint64_t *: 512MB, 1GB ... in powers of 1024, as Prometheus */
    FLAG_COUNT,    /* int64_t * */
    FLAG_LIST      /* struct flag_list *: may be repeated */
};

struct flag {
    const char *name; /* without dashes */
    char short_name;  /* 0 = none */
    enum flag_kind kind;
    void *value; /* of the kind's type, holding the default; NULL = known, but without effect */
    const char *argument; /* what help calls the value; NULL = VALUE */
    const char *help;     /* one sentence; for a flag without effect: why it has none */
};

struct flag_words {
    char **items; /* borrowed from argv */
    int count;
};

/* Reads argv[0..argc); what is no flag is left in `words`, in order ("--" ends the flags). A flag that is known
 * but has no effect calls `warn` with a sentence. ERROR_USAGE names the flag and the nearest known one. */
MUST_USE bool flags_parse(const struct flag *flags, size_t count, int argc, char **argv,
                          struct flag_words *words, void (*warn)(const char *sentence),
                          struct error *err);
/* Takes the first word that is neither a flag nor the value of one of these out of argv when it is one of `verbs` (NULL
 * ends them): its place there; -1 when it is none of them or there is no word. */
int flags_take_verb(const struct flag *flags, size_t count, int *argc, char **argv,
                    const char *const *verbs);
/* The flag of this name, or NULL; and its value from elsewhere than the command line. */
const struct flag *flags_find(const struct flag *flags, size_t count, const char *name);
MUST_USE bool flags_set(const struct flag *flag, const char *text, struct error *err);
/* One line a flag, in the table's order; flags without effect are left out. */
void flags_print_help(FILE *out, const struct flag *flags, size_t count);
/* Sets in *out the features of PromQL that a list of --enable-feature names; others are not looked at. */
struct parser_options;
void flags_parser_features(const struct flag_list *features, struct parser_options *out);
bool flags_has_feature(const struct flag_list *features, const char *name);
/* The value as text, as status/flags shows it. */
void flag_value_text(const struct flag *flag, struct buffer *out);

#endif
