/* SPDX-License-Identifier: Apache-2.0 */
/* exposition.h: the text format 0.0.4 in, one line at a time, where it lies. (Out: instrument writes
 * its own; federation uses exposition_write.h.)
 *
 * The parser is a pull iterator over a complete body. It copies nothing: views point into the body.
 * For speed the scrape loop asks only for the *key* of a sample line (name and labels as written), which
 * its line cache knows; labels are parsed on a miss. */
#ifndef BELFRY_MODEL_EXPOSITION_H
#define BELFRY_MODEL_EXPOSITION_H

#include "base/arena.h"
#include "base/attributes.h"
#include "base/error.h"
#include "base/view.h"
#include "model/labels.h"
#include "model/metric_type.h"

#include <stdbool.h>
#include <stdint.h>

enum exposition_event {
    EXPOSITION_END,
    EXPOSITION_SAMPLE,
    EXPOSITION_TYPE, /* family, type */
    EXPOSITION_HELP, /* family, help (escaped as written: see exposition_unescape_help) */
    EXPOSITION_UNIT,
    EXPOSITION_COMMENT,
    EXPOSITION_ERROR /* err of exposition_next says what and quotes the line */
};

struct exposition_parser {
    struct view body;
    size_t pos;
    uint32_t line; /* of the last event, from 1 */

    /* The last event. */
    struct view family, text; /* TYPE, HELP, UNIT */
    enum metric_type type;
    struct view key; /* SAMPLE: name{labels} exactly as written, no trailing blanks */
    double value;
    bool has_timestamp;
    int64_t timestamp_ms;
};

enum { EXPOSITION_LINE_BYTES_MAX = 1 << 20, EXPOSITION_LABELS_MAX = 1024 };

void exposition_parser_init(struct exposition_parser *p, struct view body);
/* The next event. After EXPOSITION_ERROR and EXPOSITION_END the parser must not be used further. */
enum exposition_event exposition_next(struct exposition_parser *p, struct error *err);

/* If the text at the current place is `key` followed by a blank and a plain value line, takes it as the
 * next sample and returns true: about 10 ns, no tokenising. Else false and nothing moves.
 * `key_hash` = hash64_secret of the expected key; key_len its length. */
bool exposition_next_cached(struct exposition_parser *p, uint32_t key_len, uint64_t key_hash);

/* Parses a sample's key into labels (with __name__), unescaped into the arena, sorted. Accepts Prometheus 3's quoted
 * names: {"utf-8 name", "a b"="c"}. Errors: duplicate names, bad escapes, invalid UTF-8 ...; ERROR_LIMIT beyond
 * EXPOSITION_LABELS_MAX labels (the line itself may be right). */
MUST_USE bool exposition_parse_key(struct view key, struct arena *arena, struct labels *out,
                                   struct error *err);
struct view exposition_unescape_help(struct view text, struct arena *arena);

#endif
