/* SPDX-License-Identifier: Apache-2.0 */
/* config.h: the configuration file (Prometheus 3's), read, checked and filled in with defaults.
 *
 * A struct config is immutable once loaded and reference counted: whoever works with one holds a reference, and
 * a reload is a new one beside it. All views and arrays in it live as long as it does. Relative paths have been
 * joined to the folder of the file that named them. Any thread may read.
 *
 * What the file says and this version has no function for is checked all the same, and becomes a warning. */
#ifndef BELFRY_INGEST_CONFIG_H
#define BELFRY_INGEST_CONFIG_H

#include "base/attributes.h"
#include "base/buffer.h"
#include "base/error.h"
#include "base/redaction.h"
#include "base/secret.h"
#include "base/view.h"
#include "ingest/relabel.h"
#include "model/labels.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct yaml_node;

enum { CONFIG_FILE_BYTES_MAX = 16 << 20, CONFIG_SCRAPE_FILES_MAX = 10000 };

struct config_strings {
    struct view *items;
    size_t count;
};

struct config_relabel_rules {
    struct relabel_rule *items;
    size_t count;
};

/* A name with a value; lists of them are in the order of their names. */
struct config_pair {
    struct view name, value;
};
struct config_pairs {
    struct config_pair *items;
    size_t count;
};

/* params: one name, several values. */
struct config_param {
    struct view name;
    struct config_strings values;
};
struct config_params {
    struct config_param *items;
    size_t count;
};

/* --- HTTP client: what a scrape job, a discovery and a remote end have in common --- */

struct config_basic_auth {
    struct view username, username_file;
    struct secret password;
    struct view password_file;
};

struct config_authorization {
    struct view type; /* "Bearer" by default; never "basic" */
    struct secret credentials;
    struct view credentials_file;
};

enum config_tls_version {
    CONFIG_TLS_ANY,
    CONFIG_TLS_10,
    CONFIG_TLS_11,
    CONFIG_TLS_12,
    CONFIG_TLS_13
};

struct config_tls {
    struct view ca, cert;
    struct secret key;
    struct view ca_file, cert_file, key_file, server_name;
    bool insecure_skip_verify;
    enum config_tls_version min_version, max_version;
};

struct config_header {
    struct view name;
    struct config_strings values;
    struct secret *secrets;
    size_t secret_count;
    struct config_strings files;
};
struct config_headers {
    struct config_header *items;
    size_t count;
};

struct config_proxy {
    struct view url; /* may hold a password: print it with config_url_redacted() only */
    struct view no_proxy;
    bool from_environment;
    struct config_headers connect_headers;
};

struct config_oauth2 {
    struct view client_id;
    struct secret client_secret;
    struct view client_secret_file;
    struct config_strings scopes;
    struct view token_url;
    struct config_pairs endpoint_params;
    struct config_tls tls;
    struct config_proxy proxy;
};

/* At most one of basic_auth, authorization and oauth2 is not NULL. bearer_token and bearer_token_file of the file
 * have become an authorization of type Bearer. */
struct config_http_client {
    const struct config_basic_auth *basic_auth;
    const struct config_authorization *authorization;
    const struct config_oauth2 *oauth2;
    struct secret bearer_token;    /* empty once loaded */
    struct view bearer_token_file; /* empty once loaded */
    struct config_tls tls;
    bool follow_redirects; /* default true */
    bool enable_http2;     /* default true */
    struct config_proxy proxy;
    struct config_headers http_headers;
};

/* --- global and scrape jobs --- */

enum config_name_validation { CONFIG_NAMES_UNSET, CONFIG_NAMES_UTF8, CONFIG_NAMES_LEGACY };

enum config_escaping {
    CONFIG_ESCAPING_UNSET,
    CONFIG_ESCAPING_ALLOW_UTF8,
    CONFIG_ESCAPING_UNDERSCORES,
    CONFIG_ESCAPING_DOTS,
    CONFIG_ESCAPING_VALUES
};

/* protocol, word in the file, media type of the Accept header */
#define CONFIG_PROTOCOLS(X)                                                                        \
    X(CONFIG_PROTOCOL_NONE, "", "")                                                                \
    X(CONFIG_PROTOCOL_OPENMETRICS_0_0_1, "OpenMetricsText0.0.1",                                   \
      "application/openmetrics-text;version=0.0.1")                                                \
    X(CONFIG_PROTOCOL_OPENMETRICS_1_0_0, "OpenMetricsText1.0.0",                                   \
      "application/openmetrics-text;version=1.0.0")                                                \
    X(CONFIG_PROTOCOL_PROTOBUF, "PrometheusProto",                                                 \
      "application/"                                                                               \
      "vnd.google.protobuf;proto=io.prometheus.client.MetricFamily;encoding=delimited")            \
    X(CONFIG_PROTOCOL_TEXT_0_0_4, "PrometheusText0.0.4", "text/plain;version=0.0.4")               \
    X(CONFIG_PROTOCOL_TEXT_1_0_0, "PrometheusText1.0.0", "text/plain;version=1.0.0")

enum config_protocol {
#define X(id, word, media_type) id,
    CONFIG_PROTOCOLS(X)
#undef X
        CONFIG_PROTOCOL_COUNT
};

/* Most wanted first, each at most once. */
struct config_protocols {
    uint8_t items[CONFIG_PROTOCOL_COUNT]; /* enum config_protocol */
    size_t count;
};
/* Static text. */
const char *config_protocol_name(enum config_protocol protocol);
const char *config_protocol_media_type(enum config_protocol protocol);

struct config_global {
    int64_t scrape_interval_ms;               /* default 1m */
    int64_t scrape_timeout_ms;                /* default 10s, at most the interval */
    struct config_protocols scrape_protocols; /* empty: each job has the default */
    int64_t evaluation_interval_ms;           /* default 1m */
    int64_t rule_query_offset_ms;
    struct view query_log_file, scrape_failure_log_file; /* empty: none */
    struct labels external_labels;                       /* ${NAME} expanded */
    /* Limits: 0 = none. Jobs that say nothing inherit them. */
    int64_t body_size_limit_bytes;
    uint64_t sample_limit, target_limit, label_limit;
    uint64_t label_name_length_limit, label_value_length_limit; /* bytes */
    uint64_t keep_dropped_targets;
    enum config_name_validation metric_name_validation_scheme; /* default utf8 */
    enum config_escaping metric_name_escaping_scheme;
    int8_t scrape_native_histograms; /* 0 or 1 (-1 while it is being read) */
    bool convert_classic_histograms_to_nhcb;
    bool always_scrape_classic_histograms;
    bool extra_scrape_metrics;
};

/* static_configs: targets that share labels. */
struct config_target_group {
    struct config_strings targets; /* host:port */
    struct labels labels;
};
struct config_target_groups {
    struct config_target_group *items;
    size_t count;
};

/* Kinds of discovery that this version discovers by; those of vendors are checked only. */
extern const char CONFIG_FILE_SD[], CONFIG_HTTP_SD[], CONFIG_DNS_SD[];

struct config_file_sd {
    struct config_strings files; /* patterns: a * in the last part only; .json, .yml, .yaml */
    int64_t refresh_interval_ms; /* default 5m */
};
struct config_http_sd {
    struct config_http_client http;
    int64_t refresh_interval_ms; /* default 60s */
    struct view url;             /* http or https */
};
struct config_dns_sd {
    struct config_strings names;
    int64_t refresh_interval_ms; /* default 30s */
    struct view type;            /* SRV, A, AAAA, MX or NS, in any case */
    int64_t port;                /* 0: SRV, which has its own */
};

/* One entry of a *_sd_configs list. */
struct config_discovery {
    const char *kind;             /* static text, the same pointer for the same kind */
    const struct yaml_node *node; /* as it was written: a mapping */
    const void *settings;         /* struct config_file_sd and so on by kind; NULL: a vendor's */
};
struct config_discoveries {
    struct config_discovery *items;
    size_t count;
};

struct config_scrape_job {
    struct view job_name; /* not empty, unique */
    bool honor_labels;
    bool honor_timestamps; /* default true */
    bool track_timestamps_staleness;
    struct config_params params;
    int64_t scrape_interval_ms, scrape_timeout_ms; /* > 0; timeout <= interval */
    struct config_protocols scrape_protocols;      /* not empty once loaded */
    enum config_protocol
        fallback_scrape_protocol; /* NONE: an unknown content type fails the scrape */
    /* 0 or 1 (-1 while they are being read) */
    int8_t scrape_native_histograms, always_scrape_classic_histograms;
    int8_t convert_classic_histograms_to_nhcb, extra_scrape_metrics;
    struct view scrape_failure_log_file;
    struct view metrics_path; /* default "/metrics" */
    struct view scheme;       /* "http" or "https" */
    bool enable_compression;  /* default true */
    /* Limits: 0 = none; as in struct config_global. */
    int64_t body_size_limit_bytes;
    uint64_t sample_limit, target_limit, label_limit;
    uint64_t label_name_length_limit, label_value_length_limit;
    uint64_t native_histogram_bucket_limit;
    double native_histogram_min_bucket_factor;
    uint64_t keep_dropped_targets;
    enum config_name_validation metric_name_validation_scheme; /* never UNSET once loaded */
    enum config_escaping metric_name_escaping_scheme;          /* never UNSET once loaded */
    struct config_http_client http;
    struct config_target_groups static_configs;
    struct config_discoveries discoveries; /* all kinds but static_configs */
    struct config_relabel_rules relabel_configs, metric_relabel_configs;
    struct view file; /* the file that has it: the main one or one of scrape_config_files */
};
struct config_scrape_jobs {
    struct config_scrape_job *items;
    size_t count;
};

/* --- the other sections --- */

struct config_storage {
    bool has_out_of_order_time_window;
    int64_t out_of_order_time_window_ms;
    int64_t retention_time_ms;    /* 0: not set here */
    int64_t retention_size_bytes; /* 0: not set here */
    double retention_percentage;  /* of the disk, 0 to 100; 0: not set here */
    double stale_series_compaction_threshold;
    struct view chunk_encoding_floats; /* "", "xor" or "xor2" */
    int64_t exemplars_max;             /* default 100000 */
};

/* How requests to AWS are signed. What is empty comes from where AWS' own tools look for it. */
struct config_sigv4 {
    struct view region, access_key, profile, role_arn, external_id;
    struct view service_name; /* empty: the user's */
    struct secret secret_key;
    bool use_fips_sts_endpoint;
};

struct config_alertmanager {
    struct config_http_client http;
    struct view scheme, path_prefix;
    int64_t timeout_ms;      /* default 10s */
    struct view api_version; /* "v2" */
    struct config_target_groups static_configs;
    struct config_discoveries discoveries;
    struct config_relabel_rules relabel_configs, alert_relabel_configs;
    const struct config_sigv4 *sigv4; /* without role_arn; NULL: none */
};
struct config_alertmanagers {
    struct config_alertmanager *items;
    size_t count;
};

struct config_queue {
    int64_t capacity, max_shards, min_shards, max_samples_per_send;
    int64_t batch_send_deadline_ms, min_backoff_ms, max_backoff_ms;
    bool retry_on_http_429;
    int64_t sample_age_limit_ms;
};

struct config_remote_write {
    struct view url, name, protobuf_message;
    int64_t remote_timeout_ms;
    struct config_pairs headers; /* values may be secrets of the remote end: not shown */
    struct config_relabel_rules write_relabel_configs;
    bool send_exemplars, send_native_histograms, round_robin_dns;
    struct config_http_client http; /* enable_http2: default false */
    struct config_queue queue;
    bool metadata_send;
    int64_t metadata_send_interval_ms, metadata_max_samples_per_send;
    const struct yaml_node *sigv4, *azuread, *google_iam; /* as written; NULL: none */
};
struct config_remote_writes {
    struct config_remote_write *items;
    size_t count;
};

struct config_remote_read {
    struct view url, name;
    int64_t remote_timeout_ms;
    uint64_t chunked_read_limit;
    struct config_pairs headers;
    bool read_recent, filter_external_labels;
    struct config_http_client http;
    struct config_pairs required_matchers;
};
struct config_remote_reads {
    struct config_remote_read *items;
    size_t count;
};

/* Belfry's own section `heartbeats`: who is told that all is well, and what is expected to come. */
struct config_heartbeat {
    struct secret url; /* one of both is set */
    struct view url_file;
    int64_t interval_ms, timeout_ms;              /* > 0 */
    const struct config_http_client *http_config; /* not NULL */
};
struct config_expected_heartbeat {
    struct view name;     /* unique; letters, digits, _ - . */
    int64_t within_ms;    /* > 0 */
    struct labels labels; /* of the alert */
    struct config_pairs annotations;
};
struct config_heartbeats {
    struct {
        struct config_heartbeat *items;
        size_t count;
    } send;
    struct {
        struct config_expected_heartbeat *items;
        size_t count;
    } expect;
};

struct config_tracing {
    struct view client_type, endpoint, compression;
    double sampling_fraction;
    bool insecure;
    struct config_tls tls;
    struct config_pairs headers;
    int64_t timeout_ms;
};

struct config_otlp {
    bool promote_all_resource_attributes;
    struct config_strings promote_resource_attributes, ignore_resource_attributes;
    struct view translation_strategy;
    bool keep_identifying_resource_attributes, convert_histograms_to_nhcb, promote_scope_metadata;
    bool label_name_underscore_sanitization, label_name_preserve_multiple_underscores;
};

struct config {
    struct config_global global;
    int64_t runtime_gogc;
    struct config_relabel_rules alert_relabel_configs;
    struct config_alertmanagers alertmanagers;
    struct config_strings rule_files;          /* patterns */
    struct config_strings scrape_config_files; /* patterns */
    struct config_scrape_jobs main_jobs; /* those of the main file: what config_print_yaml shows */
    struct config_scrape_jobs
        scrape_configs; /* all, those of scrape_config_files behind the main file's */
    const struct config_storage *storage; /* never NULL */
    bool has_storage;                     /* the file has the section */
    const struct config_tracing *tracing; /* NULL: not configured */
    struct config_remote_writes remote_write;
    struct config_remote_reads remote_read;
    struct config_otlp otlp;
    struct config_heartbeats heartbeats;

    struct view path;               /* of the main file; empty: it came as text */
    struct view text;               /* the main file as it was read, secrets and all: never shown */
    struct config_strings warnings; /* one sentence each, with file, line and column */
};

/* What a field is that this version does not know: one of a later Prometheus, or a slip of the pen. */
enum config_unknown {
    CONFIG_UNKNOWN_IS_ERROR,
    CONFIG_UNKNOWN_IS_WARNING, /* named in `warnings` and passed over */
    CONFIG_UNKNOWN_IS_NOTHING  /* passed over: for parts that are read twice */
};

/* Reads and checks the file and those that its scrape_config_files name. On success *out has one reference, the
 * caller's. Errors: ERROR_NOT_FOUND and ERROR_IO (the file itself), ERROR_TOO_LARGE, ERROR_INPUT; messages begin
 * with "FILE:LINE:COLUMN: " where there is a place, which err has too. On error *out is NULL. */
MUST_USE bool config_load_file(const char *path, enum config_unknown unknown, struct config **out,
                               struct error *err);
/* The same from text, where unknown fields are errors; relative paths are joined to `dir` ("" = the current folder); `name` is what messages call it. */
MUST_USE bool config_load_text(struct view text, const char *dir, const char *name,
                               struct config **out, struct error *err);
/* A hash of the file's content and of all files that its scrape_config_files and rule_files name: another one when any
 * of them changed, came or went. Files that cannot be read count as what they are: not there. Any thread. */
uint64_t config_files_hash(const char *path);
struct config *config_ref(struct config *c);
void config_unref(struct config *c); /* NULL does nothing */

/* The settings of an HTTP client by themselves: what holds when nothing is said, and what a file of only these says; its
 * texts are in the arena. Errors as config_load(). */
void config_http_client_defaults(struct config_http_client *out);
MUST_USE bool config_http_client_load(struct arena *arena, const char *path,
                                      struct config_http_client *out, struct error *err);

/* Appends the configuration as Prometheus' /api/v1/status/config shows it: YAML, defaults filled in, secrets as
 * <secret>, passwords in URLs as xxxxx. */
void config_print_yaml(const struct config *c, struct buffer *out);
/* Appends a URL with its password, if any, as xxxxx. */
void config_url_redacted(struct view url, struct buffer *out);
/* Adds the secrets that stand in it; not those of files that it names. */
void config_http_secrets(const struct config_http_client *http, struct redaction *out);

#endif
