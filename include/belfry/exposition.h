/* SPDX-License-Identifier: Apache-2.0 */
/* exposition.h: a registry's metrics in the formats that Prometheus and others read, as the reader asks for them.
 *
 *     belfry_exposition how = {0};
 *     belfry_exposition_negotiate(accept_header, &how);
 *     send_header("Content-Type", belfry_exposition_content_type(&how));
 *     status = belfry_registry_write(NULL, &how, write_to_client, client); */
#ifndef BELFRY_EXPOSITION_H
#define BELFRY_EXPOSITION_H

#include <belfry/export.h>
#include <belfry/metrics.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef enum belfry_format {
    BELFRY_FORMAT_TEXT,              /* text/plain; version=0.0.4 */
    BELFRY_FORMAT_TEXT_1_0_0,        /* the same lines; names may be UTF-8 */
    BELFRY_FORMAT_OPENMETRICS,       /* application/openmetrics-text; version=1.0.0 */
    BELFRY_FORMAT_OPENMETRICS_0_0_1, /* the same lines for older readers */
    BELFRY_FORMAT_PROTOBUF           /* io.prometheus.client.MetricFamily, each behind its length */
} belfry_format;

/* How names are written that are not [a-zA-Z_:][a-zA-Z0-9_:]* (labels: without the colon). */
typedef enum belfry_escaping {
    BELFRY_ESCAPING_DEFAULT,     /* nothing was asked for: as underscores */
    BELFRY_ESCAPING_UNDERSCORES, /* what does not belong there becomes _ */
    BELFRY_ESCAPING_ALLOW_UTF8,  /* as they are, in quotes where the format needs them */
    BELFRY_ESCAPING_DOTS,        /* a dot becomes _dot_, _ becomes __, and so does the rest */
    BELFRY_ESCAPING_VALUES       /* U__, then _2e_ (hexadecimal) for what does not belong there */
} belfry_escaping;

/* All zero = everything in text 0.0.4. */
typedef struct belfry_exposition {
    belfry_format format;
    belfry_escaping escaping;
    /* Families to write, all when there are none: a family's name, or that of one of its samples. Borrowed. */
    const char *const *names;
    size_t name_count;
    uint64_t reserved[2]; /* 0 */
} belfry_exposition;

/* Sets format and escaping to what an Accept header asks for most (q-values; NULL and "" ask for nothing), as
 * Prometheus' own libraries understand it; text 0.0.4 when it asks for none that is known. At most 64 entries and 4 KiB
 * of it are read. */
BELFRY_API void belfry_exposition_negotiate(const char *accept, belfry_exposition *out);

/* What stands in the Content-Type header. Static. */
BELFRY_API const char *belfry_exposition_content_type(const belfry_exposition *how);

/* Writes the registry (NULL: the default one): families by name, children by label values. `how` NULL = all zero.
 * `write` is called with pieces (about 16 KiB; a family of protobuf comes whole) and stops the writing by returning
 * false: BELFRY_ERROR_WRITE. Any thread, also while others update; no lock is held while it writes.
 * BELFRY_ERROR_FORMAT: a value of `how` that is none of those above. */
BELFRY_API BELFRY_MUST_USE belfry_status
belfry_registry_write(belfry_registry *registry, const belfry_exposition *how,
                      bool (*write)(void *arg, const char *bytes, size_t len), void *arg);

#ifdef __cplusplus
}
#endif

#endif
