/* SPDX-License-Identifier: Apache-2.0 */
/* proc.h: reading what the kernel tells as text. Spans are never NUL-terminated and may hold anything. */
#ifndef BELFRY_INSTRUMENT_PROC_H
#define BELFRY_INSTRUMENT_PROC_H

#include "base/attributes.h"
#include "belfry/metrics.h"
#include "instrument/text.h"

struct span {
    const char *ptr;
    size_t len;
};

enum { PROC_FILE_BYTES_MAX = 4 << 20, PROC_PATH_BYTES = 4096, PROC_NAME_BYTES = 256 };

/* The whole file root/path into `out` (emptied first). False when it cannot be read or is larger. */
MUST_USE bool belfry__proc_read(struct text *out, const char *root, const char *path);
/* A file of one short line, without its newline, NUL-terminated. False when it cannot be read. */
MUST_USE bool belfry__proc_read_line(char out[PROC_NAME_BYTES], const char *root, const char *path);

static inline struct span span_of(const struct text *t)
{
    return (struct span){t->len ? t->ptr : "", t->len};
}

/* Takes the next line (without its newline) off `rest`. False at the end. */
MUST_USE bool belfry__span_line(struct span *rest, struct span *line);
/* Takes the next word (between blanks and tabs) off `rest`. False when there is none. */
MUST_USE bool belfry__span_word(struct span *rest, struct span *word);
bool belfry__span_is(struct span s, const char *string);
bool belfry__span_has_prefix(struct span s, const char *prefix);
/* Copies what fits, NUL-terminated; false when it does not fit, is empty or holds a NUL. */
MUST_USE bool belfry__span_copy(struct span s, char *out, size_t out_bytes);
/* The whole span is a decimal number in 64 bits. */
MUST_USE bool belfry__span_unsigned(struct span s, uint64_t *out);
/* Digits with at most one point, and a sign. */
MUST_USE bool belfry__span_decimal(struct span s, double *out);

/* --- the collectors' parts: each emits what it finds in `text` --- */

struct proc_parser {
    const char *path; /* below root */
    void (*emit)(belfry_emitter *e, struct span text);
};
/* Parsers that need one file only; ends with a NULL path. */
extern const struct proc_parser belfry__proc_parsers[];

void belfry__emit_diskstats(belfry_emitter *e, struct span text, const char *root);
void belfry__emit_filesystems(belfry_emitter *e, struct span mounts, const char *root);
void belfry__emit_netdev(belfry_emitter *e, struct span text, const char *root);
void belfry__emit_netclass(belfry_emitter *e, const char *root);
/* The process: the texts of stat and limits, and when the host booted (0 = not known). */
void belfry__emit_process_stat(belfry_emitter *e, struct span text, uint64_t boot_seconds);
void belfry__emit_process_limits(belfry_emitter *e, struct span text);
void belfry__emit_process_network(belfry_emitter *e, struct span netstat);

#endif
