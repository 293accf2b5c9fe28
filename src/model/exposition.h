/* SPDX-License-Identifier: Apache-2.0 */
/* exposition.h: the text format 0.0.4 and OpenMetrics 1.0 in, one line at a time, where it lies. (Out: instrument
 * writes its own; federation uses exposition_write.h.)
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

enum exposition_format { EXPOSITION_TEXT, EXPOSITION_OPENMETRICS };

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
    enum exposition_format format;

    enum metric_type
        type; /* of the last TYPE line, which begins at type_pos; METRIC_UNKNOWN before the first */
    size_t type_pos;

    /* The last event. */
    struct view family, text; /* TYPE, HELP, UNIT */
    struct view key;          /* SAMPLE: name{labels} exactly as written, no trailing blanks */
    double value;
    int64_t timestamp_ms;
    bool has_timestamp;
    bool has_exemplar, exemplar_has_timestamp; /* OpenMetrics only */
    struct view
        exemplar; /* its labels with their braces, as written: see exposition_parse_exemplar */
    double exemplar_value;
    int64_t exemplar_timestamp_ms;
};

enum { EXPOSITION_LINE_BYTES_MAX = 1 << 20, EXPOSITION_LABELS_MAX = 1024 };

void exposition_parser_init(struct exposition_parser *p, struct view body,
                            enum exposition_format format);
/* The next event. After EXPOSITION_ERROR and EXPOSITION_END the parser must not be used further. */
enum exposition_event exposition_next(struct exposition_parser *p, struct error *err);

/* If the text at the current place is `key` followed by a blank and a plain value line (in OpenMetrics perhaps
 * with an exemplar), takes it as the next sample and returns true: about 10 ns, no tokenising. Else false and
 * nothing moves.
 * `key_hash` = hash64_secret of the expected key; key_len its length. */
bool exposition_next_cached(struct exposition_parser *p, uint32_t key_len, uint64_t key_hash);

/* Parses a sample's key into labels (with __name__), unescaped into the arena, sorted. Accepts Prometheus 3's quoted
 * names: {"utf-8 name", "a b"="c"}. Errors: duplicate names, bad escapes, invalid UTF-8 ...; ERROR_LIMIT beyond
 * EXPOSITION_LABELS_MAX labels (the line itself may be right). */
MUST_USE bool exposition_parse_key(struct view key, struct arena *arena, struct labels *out,
                                   struct error *err);
/* The labels of an exemplar. Errors: a name that is there twice; ERROR_LIMIT as above. */
MUST_USE bool exposition_parse_exemplar(struct view labels, struct arena *arena, struct labels *out,
                                        struct error *err);
struct view exposition_unescape_help(struct view text, enum exposition_format format,
                                     struct arena *arena);

#endif
