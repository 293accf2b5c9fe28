/* SPDX-License-Identifier: Apache-2.0 */
/* config_private.h: what the files of the configuration share. Each section is a table of fields: it says what
 * the file may hold (config_read.c reads by it and names what is unknown) and in which order and when a field is
 * shown (config_print.c). A section's check, run when its fields are read, holds what a table cannot say. */
#ifndef BELFRY_INGEST_CONFIG_PRIVATE_H
#define BELFRY_INGEST_CONFIG_PRIVATE_H

#include "base/arena.h"
#include "base/yaml.h"
#include "ingest/config.h"

#include <stdatomic.h>

enum field_kind {
    FIELD_BOOL,         /* bool */
    FIELD_TRISTATE,     /* int8_t: -1 not said */
    FIELD_INT,          /* int64_t */
    FIELD_UINT,         /* uint64_t */
    FIELD_FLOAT,        /* double */
    FIELD_STRING,       /* struct view */
    FIELD_PATH,         /* struct view, joined to the file's folder */
    FIELD_URL,          /* struct view; its password is not shown */
    FIELD_SECRET,       /* struct secret */
    FIELD_DURATION,     /* int64_t, ms */
    FIELD_BYTES,        /* int64_t: 15MB, 1GiB */
    FIELD_WORD,         /* int, a place in `words` */
    FIELD_PROTOCOLS,    /* struct config_protocols */
    FIELD_STRINGS,      /* struct config_strings */
    FIELD_STRINGS_FLOW, /* the same, shown as [a, b] */
    FIELD_PATHS,        /* struct config_strings, joined to the file's folder */
    FIELD_PAIRS,        /* struct config_pairs */
    FIELD_PARAMS,       /* struct config_params */
    FIELD_HEADERS,      /* struct config_headers */
    FIELD_LABELS,       /* struct labels */
    FIELD_ACTION,       /* struct relabel_rule: action and has_action */
    FIELD_RAW,          /* const struct yaml_node *: kept as written */
    FIELD_GROUP,        /* a mapping whose fields are members of this very struct */
    FIELD_STRUCT,       /* a struct in place */
    FIELD_POINTER,      /* a pointer to a struct, NULL when not said */
    FIELD_LIST,         /* {items, count} of structs */
    FIELD_INLINE,       /* another table whose fields stand among these */
    FIELD_DISCOVERIES   /* struct config_discoveries: all *_sd_configs */
};

enum { FIELD_SHOW_ZERO = 1 /* shown also when it is empty */, FIELD_IS_EMPTY_ERROR = 2 };

struct section;

struct field {
    const char *name;
    enum field_kind kind;
    size_t offset;
    const struct section *section; /* of GROUP, STRUCT, POINTER, LIST, INLINE */
    const char *const *words;      /* of WORD; NULL ends them */
    unsigned flags;
    const char *null_item; /* LIST: the sentence about an item that is nothing */
};

struct loader {
    struct config_owner *owner;
    struct arena *arena;
    struct error *err;
    const char *file;            /* what messages call it */
    const char *dir;             /* what relative paths are joined to; "" = leave them */
    enum config_unknown unknown; /* what fields are that the table does not have */
};

struct section {
    const char *what; /* as messages call it: "a scrape job" */
    size_t bytes;
    const struct field *fields;
    size_t field_count;
    void (*defaults)(void *object); /* or NULL: zeros */
    bool (*check)(struct loader *l, const struct yaml_node *node, void *object); /* or NULL */
};

/* Lists of rules to free, newest first. */
struct config_rules_entry {
    struct config_rules_entry *next;
    struct config_relabel_rules rules;
};

struct config_owner {
    struct config config; /* first: a pointer to it is one to its owner */
    struct arena arena;
    atomic_uint references;
    struct config_rules_entry *rules;
    size_t warning_capacity;
};

/* config_sections.c */
extern const struct section CONFIG_SECTION, CONFIG_GLOBAL_SECTION, CONFIG_JOB_SECTION,
    CONFIG_HTTP_SECTION, CONFIG_TLS_SECTION, CONFIG_JOB_FILE_SECTION, CONFIG_HEADER_SECTION,
    CONFIG_RELABEL_SECTION, CONFIG_TRACING_SECTION, CONFIG_HEARTBEATS_SECTION;
/* config_sigv4.c */
extern const struct section CONFIG_SIGV4_SECTION;
extern const struct config_protocols CONFIG_PROTOCOLS_DEFAULT, CONFIG_PROTOCOLS_PROTOBUF_FIRST;
/* config_discovery.c: the static name of a kind ("dns_sd_configs"), or NULL. */
const char *config_discovery_kind(struct view name);
size_t config_discovery_kind_count(void);
const char *config_discovery_kind_at(size_t idx);
/* Reads and checks an entry. `kind` is of config_discovery_kind(). */
bool config_discovery_read(struct loader *l, const char *kind, const struct yaml_node *node,
                           struct config_discovery *out);
/* Does this build discover by it? */
bool config_discovery_works(const char *kind);
/* Does it begin with http:// or https:// and a host? ERROR_INPUT. */
bool config_http_url_check(struct view url, struct error *err);
/* config_vendor.c: kinds that are checked only. `http` is what the entry says of HTTP clients. */
size_t config_vendor_count(void);
const char *config_vendor_kind(size_t idx);
bool config_vendor_check(struct loader *l, const char *kind, const struct yaml_node *node,
                         const struct config_http_client *http);

/* config_read.c: the mapping `node` (or nothing) into `object`, then the section's check. */
MUST_USE bool config_read_section(struct loader *l, const struct section *section,
                                  const struct yaml_node *node, void *object);
/* A warning about the place of `node`. */
void config_warn(struct loader *l, const struct yaml_node *node, const char *format, ...)
    PRINTF_LIKE(3, 4);
/* Text with "FILE:LINE:COLUMN: " before the message of l->err. Returns false. */
bool config_error_place(struct loader *l);
struct view config_join(struct arena *arena, const char *dir, struct view path);
/* 15MB, 1.5GiB, 1GB512MB: all powers of 1024, as Prometheus reads them. */
bool config_bytes_parse(struct view text, int64_t *out);
void config_bytes_format(struct buffer *out, int64_t bytes);

/* config_heartbeat.c: names that are said twice, labels. */
MUST_USE bool config_finish_heartbeats(struct loader *l, const struct yaml_node *root,
                                       struct config *c, bool legacy);

/* config_print.c: a file as it was written, without its comments: YAML with secrets as <secret>, passwords in URLs as
 * xxxxx. `section` is the table of its root. */
void config_print_source(const struct section *section, const struct yaml_node *root,
                         struct buffer *out);

/* Is what has this name in a part of the file that no table knows to be hidden? */
bool config_name_is_secret(struct view name);

/* config_secrets.c: adds all secrets that the object holds: those of its fields, and of parts, headers and URLs in it. */
void config_secrets(const struct section *section, const void *object, struct redaction *out);

/* config_finish.c */
/* Names and values of labels that a section sets. */
bool config_labels_check(struct loader *l, const struct yaml_node *node, struct labels labels,
                         bool legacy);
/* What needs the whole file: inheritance from `global`, relabel rules, names said twice. */
MUST_USE bool config_finish(struct loader *l, const struct yaml_node *root, struct config *c);
MUST_USE bool config_finish_job(struct loader *l, const struct yaml_node *node,
                                const struct config_global *global, struct config_scrape_job *job);
/* Warns of the job's fields that have no effect in this version. */
void config_warn_job(struct loader *l, const struct yaml_node *node);
MUST_USE bool config_finish_rules(struct loader *l, const struct yaml_node *list, bool legacy,
                                  struct config_relabel_rules *rules);

#endif
