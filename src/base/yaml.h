/* SPDX-License-Identifier: Apache-2.0 */
/* yaml.h: one YAML document as a tree whose nodes know their line and column. Scalars are texts; what a text
 * means is asked for by type, as YAML 1.1 has it (yes, on, 0x1F), which is what Prometheus' files are written in.
 *
 * The tree lives in the arena it was parsed into and is immutable: any thread may read it. Aliases share the nodes
 * of their anchor, so a tree can be larger to walk than to hold: YAML_NODES_MAX counts what a walk would meet. */
#ifndef BELFRY_BASE_YAML_H
#define BELFRY_BASE_YAML_H

#include "base/arena.h"
#include "base/attributes.h"
#include "base/buffer.h"
#include "base/error.h"
#include "base/view.h"

#include <stdbool.h>
#include <stdint.h>

enum { YAML_BYTES_MAX = 16 << 20, YAML_DEPTH_MAX = 64, YAML_NODES_MAX = 2000000 };

enum yaml_kind { YAML_SCALAR, YAML_SEQUENCE, YAML_MAPPING };

struct yaml_node;

struct yaml_pair {
    const struct yaml_node *key; /* always a scalar */
    const struct yaml_node *value;
};

struct yaml_node {
    enum yaml_kind kind;
    bool plain; /* scalar: written without quotes and without a tag that says it is a string */
    uint32_t line, column; /* from 1; columns count characters */
    uint32_t count;        /* sequence: items; mapping: pairs */
    uint32_t walk_count;   /* nodes that a walk from here meets, this one too */
    uint32_t height;       /* levels below this one */
    struct view text;      /* scalar; NUL-terminated behind it; !!binary is decoded */
    union {
        const struct yaml_node **items; /* sequence */
        struct yaml_pair *pairs;        /* mapping, in the order written; keys are distinct */
    };
};

/* Parses the only document of `text`. *out is NULL when there is none (an empty file). Merge keys (<<) have been
 * resolved: what a mapping says itself wins over what it merges.
 * Errors (with line and column): ERROR_INPUT for what is not YAML, tabs that indent, a key said twice, an unknown
 * alias, several documents, NUL or bytes that are not UTF-8; ERROR_TOO_LARGE over the limits above. */
MUST_USE bool yaml_parse(struct arena *arena, struct view text, const struct yaml_node **out,
                         struct error *err);

/* The same, but only the first of several documents is read; *has_more: there are others. */
MUST_USE bool yaml_parse_first(struct arena *arena, struct view text, const struct yaml_node **out,
                               bool *has_more, struct error *err);

/* The value of a key, or NULL. `node` may be any node, NULL too. */
const struct yaml_node *yaml_find(const struct yaml_node *node, const char *key);
/* Where an error about the key belongs: its value, or `node` where it is not said. */
const struct yaml_node *yaml_place(const struct yaml_node *node, const char *key);

/* Is it the same document from here: kinds, texts, order of pairs? Places do not count. */
bool yaml_nodes_equal(const struct yaml_node *a, const struct yaml_node *b);

/* Is it null: nothing, ~ or the word? A NULL node is. */
bool yaml_is_null(const struct yaml_node *node);
/* False when the scalar is not of this type (or the node not a scalar). Quoted scalars are strings only. */
bool yaml_as_bool(const struct yaml_node *node, bool *out);
bool yaml_as_int(const struct yaml_node *node, int64_t *out);
bool yaml_as_uint(const struct yaml_node *node, uint64_t *out);
bool yaml_as_float(const struct yaml_node *node, double *out);
/* What a person calls it: "a list", "a mapping", "a string", "a number", "a boolean", "nothing". */
const char *yaml_describe(const struct yaml_node *node);

/* Sets ERROR_INPUT at the place of the node. Returns false. */
bool yaml_error(struct error *err, const struct yaml_node *node, const char *format, ...)
    PRINTF_LIKE(3, 4);

/* Appends a scalar so that YAML 1.1 reads back this very string, in the style Go's yaml.v2 chooses: plain, 'single',
 * "double" or, for several lines, a literal block whose lines are indented by indent + 2 blanks. */
void yaml_write_string(struct buffer *out, struct view text, unsigned indent);

#endif
