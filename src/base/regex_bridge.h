/* SPDX-License-Identifier: Apache-2.0 */
/* regex_bridge.h: RE2 seen from C. Only regex.c uses it. */
#ifndef BELFRY_BASE_REGEX_BRIDGE_H
#define BELFRY_BASE_REGEX_BRIDGE_H

#include "base/view.h"

#include <stdbool.h>
#include <stddef.h>

#ifdef __cplusplus
extern "C" {
#endif

struct re2_program;

enum { RE2_GROUP_COUNT_MAX = 64 }; /* that an expansion can name; more groups still match */

/* Compiles; '.' matches newlines if `dot_newline`. NULL when RE2 refuses it, then `message` (NUL-terminated) says why. */
struct re2_program *re2_program_new(struct view pattern, bool dot_newline, size_t memory_bytes_max,
                                    char *message, size_t message_bytes);
void re2_program_free(struct re2_program *program);
/* The whole text. Any thread. */
bool re2_program_match(const struct re2_program *program, struct view text);
/* groups[0] is the text; one that took no part has a NULL ptr. Returns how many are set, 0 when there is
 * no match. */
size_t re2_program_groups(const struct re2_program *program, struct view text, struct view *groups,
                          size_t groups_max);
/* The same for the first match that begins at byte `start` or later; bytes before it are seen by ^ and \b. */
size_t re2_program_search(const struct re2_program *program, struct view text, size_t start,
                          struct view *groups, size_t groups_max);
/* The number of the leftmost group of this name; 0 = none. */
size_t re2_program_group_named(const struct re2_program *program, struct view name);
/* What all matches begin with, at most out_bytes of it; returns its length. */
size_t re2_program_prefix(const struct re2_program *program, char *out, size_t out_bytes);
/* Bytes at the start of text that are letters, decimal digits (of any script) or "_". */
size_t re2_word_prefix(struct view text);

#ifdef __cplusplus
}
#endif

#endif
