/* SPDX-License-Identifier: Apache-2.0 */
/* regex.h: Prometheus' regular expressions (RE2 syntax; "(?<n>" is read as "(?P<n>"; '.' matches
 * newlines), linear time, memory capped. Patterns are anchored at both ends, as everywhere in
 * Prometheus. Literals, prefixes, suffixes and alternations of literals never reach RE2.
 * A compiled regex is immutable: any thread. */
#ifndef BELFRY_BASE_REGEX_H
#define BELFRY_BASE_REGEX_H

#include "base/attributes.h"
#include "base/buffer.h"
#include "base/error.h"
#include "base/view.h"

#include <stdbool.h>
#include <stddef.h>

enum { REGEX_PATTERN_BYTES_MAX = 64 * 1024, REGEX_MEMORY_BYTES_MAX = 4 << 20 };

struct regex;

/* ERROR_INPUT with RE2's words for a bad pattern or one over its limits. */
MUST_USE bool regex_new(struct regex **out, struct view pattern, struct error *err);
void regex_free(struct regex *re);
/* Does the whole text match? */
bool regex_match(const struct regex *re, struct view text);
/* If the whole text matches, appends `replacement` with $1, ${1}, ${name}, $$ expanded (Go's rules: an
 * unknown group is empty) and returns true. */
bool regex_expand(const struct regex *re, struct view text, struct view replacement,
                  struct buffer *out);
struct view regex_pattern(const struct regex *re);
/* When the regex is exactly a set of literals (a|b|c or one literal), their number (else 0) and the
 * i-th of them, borrowed; sorted, distinct. For lookups in an index. */
size_t regex_literal_count(const struct regex *re);
struct view regex_literal(const struct regex *re, size_t idx);
/* A literal prefix that each match begins with; may be empty. Borrowed. */
struct view regex_prefix(const struct regex *re);

/* The same syntax as Go's regexp package has it by itself: found anywhere in the text, '.' ends at newlines. */
struct regex_search;

MUST_USE bool regex_search_new(struct regex_search **out, struct view pattern, struct error *err);
void regex_search_free(struct regex_search *re); /* NULL does nothing */
bool regex_search_match(const struct regex_search *re, struct view text);
/* Appends the text with all matches, from the left, replaced by `replacement`, expanded as in regex_expand(). */
void regex_search_replace(const struct regex_search *re, struct view text, struct view replacement,
                          struct buffer *out);

#endif
