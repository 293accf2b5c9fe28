/* SPDX-License-Identifier: Apache-2.0 */
/* target_groups.h: lists of target groups as file_sd and http_sd have them: [{targets: [host:port ...], labels: {}}]
 * in JSON or YAML. Immutable and reference counted: any thread may read. */
#ifndef BELFRY_INGEST_TARGET_GROUPS_H
#define BELFRY_INGEST_TARGET_GROUPS_H

#include "base/arena.h"
#include "base/attributes.h"
#include "base/error.h"
#include "ingest/config.h"

#include <stdatomic.h>
#include <stdint.h>

enum {
    TARGET_GROUPS_BYTES_MAX = 32 << 20, /* of JSON; YAML: YAML_BYTES_MAX */
    TARGET_GROUPS_TARGETS_MAX = 1000000,
    TARGET_GROUPS_NODES_MAX = 3000000 /* values of a JSON text, names among them */
};

struct target_groups {
    _Atomic uint32_t refs;
    struct arena arena;
    struct config_target_groups groups;
    size_t target_count;
    uint64_t hash; /* of the text that it was read from */
    /* Of a file: its path, set before it is shared, and when it was changed, since the epoch (relaxed: a statistic). */
    struct view source;
    _Atomic double changed_seconds;
};

enum target_groups_format { TARGET_GROUPS_JSON, TARGET_GROUPS_YAML };

/* Every group gets the label `extra`, too (its value wins). On success *out has one reference. An empty text is an
 * error: it is what a file is while it is being written. ERROR_INPUT with line and column in the message where they
 * are known, ERROR_TOO_LARGE. */
MUST_USE bool target_groups_parse(struct view text, enum target_groups_format format,
                                  struct label extra, struct target_groups **out,
                                  struct error *err);
/* A file of them: JSON when its name ends so, else YAML. The label is __meta_filepath. Errors name the file. */
MUST_USE bool target_groups_read(const char *path, struct target_groups **out, struct error *err);
/* One with no groups yet; who made it fills it before it is shared. */
struct target_groups *target_groups_new(void);
struct target_groups *target_groups_ref(struct target_groups *g);
void target_groups_unref(struct target_groups *g); /* NULL does nothing */

#endif
