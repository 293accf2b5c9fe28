/* SPDX-License-Identifier: Apache-2.0 */
/* receivers_private.h: what the tables of receivers share. A kind's table is RECEIVER_KIND_SECTION. */
#ifndef BELFRY_ALERTING_RECEIVERS_PRIVATE_H
#define BELFRY_ALERTING_RECEIVERS_PRIVATE_H

#include "alerting/alert_config_private.h"

#define F(type, member, kind) #member, kind, offsetof(struct type, member)
#define TEXT(type, member)                                                                         \
    {                                                                                              \
        F(type##_receiver, member, FIELD_STRING)                                                   \
    }
#define PATH(type, member)                                                                         \
    {                                                                                              \
        F(type##_receiver, member, FIELD_PATH)                                                     \
    }
#define SECRET(type, member)                                                                       \
    {                                                                                              \
        F(type##_receiver, member, FIELD_SECRET)                                                   \
    }
#define URL(type, member)                                                                          \
    {                                                                                              \
        F(type##_receiver, member, FIELD_URL)                                                      \
    }
#define SECRET_URL(type, member)                                                                   \
    {                                                                                              \
        F(type##_receiver, member, FIELD_SECRET), .flags = ALERT_FIELD_IS_URL                      \
    }
#define BOOL(type, member)                                                                         \
    {                                                                                              \
        F(type##_receiver, member, FIELD_BOOL)                                                     \
    }
#define RAW(type, member)                                                                          \
    {                                                                                              \
        F(type##_receiver, member, FIELD_RAW)                                                      \
    }
#define COMMON                                                                                     \
    {                                                                                              \
        "", FIELD_INLINE, 0, &RECEIVER_COMMON_SECTION                                              \
    }
/* Its check is KIND_check, its defaults KIND_defaults. */
#define SECTION(kind, fields_array)                                                                \
    const struct section RECEIVER_##kind##_SECTION = {                                             \
        #kind "_config", sizeof(struct kind##_receiver),                                           \
        (fields_array),  ARRAY_COUNT(fields_array),                                                \
        kind##_defaults, kind##_check}
#define TEMPLATE(name) VIEW("{{ template \"" name "\" . }}")
/* A table of a part of a receiver, which has no defaults; `check` may be NULL. */
#define PART(name, what, type, fields_array, check)                                                \
    static const struct section name = {                                                           \
        what, sizeof(struct type), (fields_array), ARRAY_COUNT(fields_array), NULL, check}

#define X(kind, type) extern const struct section RECEIVER_##kind##_SECTION;
RECEIVER_KINDS(X)
#undef X
extern const struct section RECEIVER_COMMON_SECTION; /* send_resolved, http_config */

/* What every kind checks: keeps its place; its URLs. */
bool receiver_check_common(struct loader *l, const struct section *section,
                           const struct yaml_node *node, void *object);
/* The error at `node`. Returns false. */
bool receiver_fail(struct loader *l, const struct yaml_node *node, const char *sentence);
/* NAME and NAME_file: at most one, and where `needed` one. */
bool receiver_check_secret(struct loader *l, const struct yaml_node *node,
                           const struct secret *secret, struct view file, const char *name,
                           const char *file_name, bool needed);
/* Go's durations, with units from ns to h (1h15m30.5s); `node` NULL: *ms stays. */
bool receiver_read_duration(struct loader *l, const struct yaml_node *node, const char *name,
                            int64_t *ms);
/* A mapping, or NULL. */
bool receiver_check_mapping(struct loader *l, const struct yaml_node *node, const char *name);

#endif
