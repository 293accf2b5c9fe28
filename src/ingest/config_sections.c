/* SPDX-License-Identifier: Apache-2.0 */
/* config_sections.c: the tables of all sections, in the order in which Prometheus shows their fields, with their
 * defaults and their checks. What a check needs of other sections is in config_finish.c. */
#include "ingest/config_private.h"

#include "base/assert.h"
#include "base/map.h"

#include <inttypes.h>
#include <strings.h>

#define F(type, member, kind) #member, kind, offsetof(struct type, member)
#define FIELDS(array) .fields = (array), .field_count = ARRAY_COUNT(array)

_Static_assert(sizeof(enum config_protocol) == sizeof(int), "FIELD_WORD writes an int");

const struct config_protocols CONFIG_PROTOCOLS_DEFAULT = {
    {CONFIG_PROTOCOL_OPENMETRICS_1_0_0, CONFIG_PROTOCOL_OPENMETRICS_0_0_1,
     CONFIG_PROTOCOL_TEXT_1_0_0, CONFIG_PROTOCOL_TEXT_0_0_4},
    4};
const struct config_protocols CONFIG_PROTOCOLS_PROTOBUF_FIRST = {
    {CONFIG_PROTOCOL_PROTOBUF, CONFIG_PROTOCOL_OPENMETRICS_1_0_0, CONFIG_PROTOCOL_OPENMETRICS_0_0_1,
     CONFIG_PROTOCOL_TEXT_1_0_0, CONFIG_PROTOCOL_TEXT_0_0_4},
    5};

static const char *const PROTOCOL_WORDS[] = {
#define X(id, word, media_type) word,
    CONFIG_PROTOCOLS(X)
#undef X
        NULL};
static const char *const TLS_VERSION_WORDS[] = {"", "TLS10", "TLS11", "TLS12", "TLS13", NULL};
static const char *const NAME_VALIDATION_WORDS[] = {"", "utf8", "legacy", NULL};
static const char *const ESCAPING_WORDS[] = {"",     "allow-utf-8", "underscores",
                                             "dots", "values",      NULL};

const char *config_protocol_name(enum config_protocol protocol)
{
    ASSERT(protocol < CONFIG_PROTOCOL_COUNT);
    return PROTOCOL_WORDS[protocol];
}

const char *config_protocol_media_type(enum config_protocol protocol)
{
    static const char *const TYPES[] = {
#define X(id, word, media_type) media_type,
        CONFIG_PROTOCOLS(X)
#undef X
    };
    ASSERT(protocol < CONFIG_PROTOCOL_COUNT);
    return TYPES[protocol];
}

/* --- HTTP client --- */

static const struct field BASIC_AUTH_FIELDS[] = {
    {F(config_basic_auth, username, FIELD_STRING)},
    {F(config_basic_auth, username_file, FIELD_PATH)},
    {F(config_basic_auth, password, FIELD_SECRET)},
    {F(config_basic_auth, password_file, FIELD_PATH)},
};
static const struct section BASIC_AUTH_SECTION = {"basic_auth", sizeof(struct config_basic_auth),
                                                  FIELDS(BASIC_AUTH_FIELDS)};

static const struct field AUTHORIZATION_FIELDS[] = {
    {F(config_authorization, type, FIELD_STRING)},
    {F(config_authorization, credentials, FIELD_SECRET)},
    {F(config_authorization, credentials_file, FIELD_PATH)},
};
static const struct section AUTHORIZATION_SECTION = {
    "authorization", sizeof(struct config_authorization), FIELDS(AUTHORIZATION_FIELDS)};

static bool tls_check(struct loader *l, const struct yaml_node *node, void *object)
{
    const struct config_tls *tls = object;
    if (tls->ca.len && tls->ca_file.len)
        return yaml_error(l->err, node, "at most one of ca and ca_file must be configured");
    if (tls->cert.len && tls->cert_file.len)
        return yaml_error(l->err, node, "at most one of cert and cert_file must be configured");
    if (secret_is_set(&tls->key) && tls->key_file.len)
        return yaml_error(l->err, node, "at most one of key and key_file must be configured");
    bool has_cert = tls->cert.len || tls->cert_file.len,
         has_key = secret_is_set(&tls->key) || tls->key_file.len;
    if (has_cert != has_key)
        return yaml_error(l->err, node, "%s",
                          has_cert ? "exactly one of key or key_file must be configured when a "
                                     "client certificate is configured"
                                   : "exactly one of cert or cert_file must be configured when a "
                                     "client key is configured");
    if (tls->max_version && tls->min_version > tls->max_version)
        return yaml_error(
            l->err, node,
            "tls_config.max_version must be greater than or equal to tls_config.min_version");
    return true;
}

static const struct field TLS_FIELDS[] = {
    {F(config_tls, ca, FIELD_STRING)},
    {F(config_tls, cert, FIELD_STRING)},
    {F(config_tls, key, FIELD_SECRET)},
    {F(config_tls, ca_file, FIELD_PATH)},
    {F(config_tls, cert_file, FIELD_PATH)},
    {F(config_tls, key_file, FIELD_PATH)},
    {F(config_tls, server_name, FIELD_STRING)},
    {F(config_tls, insecure_skip_verify, FIELD_BOOL), .flags = FIELD_SHOW_ZERO},
    {F(config_tls, min_version, FIELD_WORD), .words = TLS_VERSION_WORDS},
    {F(config_tls, max_version, FIELD_WORD), .words = TLS_VERSION_WORDS},
};
const struct section CONFIG_TLS_SECTION = {"tls_config", sizeof(struct config_tls),
                                           FIELDS(TLS_FIELDS), .check = tls_check};

static bool proxy_check(struct loader *l, const struct yaml_node *node,
                        const struct config_proxy *proxy)
{
    if (proxy->connect_headers.count && !proxy->from_environment && !proxy->url.len)
        return yaml_error(l->err, yaml_place(node, "proxy_connect_header"),
                          "if proxy_connect_header is configured, proxy_url or "
                          "proxy_from_environment must also be configured");
    if (proxy->from_environment && proxy->url.len)
        return yaml_error(
            l->err, yaml_place(node, "proxy_from_environment"),
            "if proxy_from_environment is configured, proxy_url must not be configured");
    if (proxy->from_environment && proxy->no_proxy.len)
        return yaml_error(
            l->err, yaml_place(node, "no_proxy"),
            "if proxy_from_environment is configured, no_proxy must not be configured");
    if (!proxy->url.len && proxy->no_proxy.len)
        return yaml_error(l->err, yaml_place(node, "no_proxy"),
                          "if no_proxy is configured, proxy_url must also be configured");
    return true;
}

static const struct field PROXY_FIELDS[] = {
    {"proxy_url", FIELD_URL, offsetof(struct config_proxy, url)},
    {F(config_proxy, no_proxy, FIELD_STRING)},
    {"proxy_from_environment", FIELD_BOOL, offsetof(struct config_proxy, from_environment)},
    {"proxy_connect_header", FIELD_HEADERS, offsetof(struct config_proxy, connect_headers)},
};
static const struct section PROXY_SECTION = {"proxy settings", sizeof(struct config_proxy),
                                             FIELDS(PROXY_FIELDS)};

static bool oauth2_check(struct loader *l, const struct yaml_node *node, void *object)
{
    const struct config_oauth2 *oauth2 = object;
    if (!oauth2->client_id.len)
        return yaml_error(l->err, yaml_place(node, "client_id"),
                          "oauth2 client_id must be configured");
    if (!oauth2->token_url.len)
        return yaml_error(l->err, yaml_place(node, "token_url"),
                          "oauth2 token_url must be configured");
    if (secret_is_set(&oauth2->client_secret) && oauth2->client_secret_file.len)
        return yaml_error(
            l->err, yaml_place(node, "client_secret_file"),
            "at most one of oauth2 client_secret & client_secret_file must be configured");
    return proxy_check(l, node, &oauth2->proxy);
}

static const struct field OAUTH2_FIELDS[] = {
    {F(config_oauth2, client_id, FIELD_STRING), .flags = FIELD_SHOW_ZERO},
    {F(config_oauth2, client_secret, FIELD_SECRET), .flags = FIELD_SHOW_ZERO},
    {F(config_oauth2, client_secret_file, FIELD_PATH), .flags = FIELD_SHOW_ZERO},
    {F(config_oauth2, scopes, FIELD_STRINGS)},
    {F(config_oauth2, token_url, FIELD_URL), .flags = FIELD_SHOW_ZERO},
    {F(config_oauth2, endpoint_params, FIELD_PAIRS)},
    {"tls_config", FIELD_STRUCT, offsetof(struct config_oauth2, tls), &CONFIG_TLS_SECTION},
    {"", FIELD_INLINE, offsetof(struct config_oauth2, proxy), &PROXY_SECTION},
};
static const struct section OAUTH2_SECTION = {"oauth2", sizeof(struct config_oauth2),
                                              FIELDS(OAUTH2_FIELDS), .check = oauth2_check};

static const struct field HTTP_FIELDS[] = {
    {F(config_http_client, basic_auth, FIELD_POINTER), &BASIC_AUTH_SECTION},
    {F(config_http_client, authorization, FIELD_POINTER), &AUTHORIZATION_SECTION},
    {F(config_http_client, oauth2, FIELD_POINTER), &OAUTH2_SECTION},
    {F(config_http_client, bearer_token, FIELD_SECRET)},
    {F(config_http_client, bearer_token_file, FIELD_PATH)},
    {"tls_config", FIELD_STRUCT, offsetof(struct config_http_client, tls), &CONFIG_TLS_SECTION},
    {F(config_http_client, follow_redirects, FIELD_BOOL), .flags = FIELD_SHOW_ZERO},
    {F(config_http_client, enable_http2, FIELD_BOOL), .flags = FIELD_SHOW_ZERO},
    {"", FIELD_INLINE, offsetof(struct config_http_client, proxy), &PROXY_SECTION},
    {F(config_http_client, http_headers, FIELD_HEADERS)},
};

static void http_defaults(void *object)
{
    struct config_http_client *http = object;
    http->follow_redirects = true;
    http->enable_http2 = true;
}

static bool http_check_authorization(struct loader *l, const struct yaml_node *node,
                                     struct config_http_client *http)
{
    struct config_authorization *authorization = ARENA_NEW(l->arena, struct config_authorization);
    bool bearer = secret_is_set(&http->bearer_token) || http->bearer_token_file.len;
    node = yaml_place(node, "authorization");
    if (!http->authorization) {
        if (bearer) { /* the older way to say the same */
            *authorization = (struct config_authorization){VIEW("Bearer"), http->bearer_token,
                                                           http->bearer_token_file};
            http->authorization = authorization;
            http->bearer_token = (struct secret){{NULL, 0}};
            http->bearer_token_file = (struct view){NULL, 0};
        }
        return true;
    }
    *authorization = *http->authorization;
    if (bearer)
        return yaml_error(l->err, node,
                          "authorization is not compatible with bearer_token & bearer_token_file");
    if (secret_is_set(&authorization->credentials) && authorization->credentials_file.len)
        return yaml_error(
            l->err, node,
            "at most one of authorization credentials & credentials_file must be configured");
    while (authorization->type.len && authorization->type.ptr[0] == ' ')
        authorization->type = view_slice(authorization->type, 1, authorization->type.len);
    while (authorization->type.len && authorization->type.ptr[authorization->type.len - 1] == ' ')
        authorization->type.len--;
    if (!authorization->type.len)
        authorization->type = VIEW("Bearer");
    if (view_is_any_case(authorization->type, "basic"))
        return yaml_error(
            l->err, node,
            "authorization type cannot be set to \"basic\", use \"basic_auth\" instead");
    if (http->basic_auth || http->oauth2)
        return yaml_error(l->err, node,
                          "at most one of basic_auth, oauth2 & authorization must be configured");
    http->authorization = authorization;
    return true;
}

/* Headers that belong to the protocol or to another field. */
static bool http_headers_check(struct loader *l, const struct yaml_node *node)
{
    static const char *const RESERVED[] = {"Authorization",
                                           "Host",
                                           "Content-Encoding",
                                           "Content-Length",
                                           "Content-Type",
                                           "User-Agent",
                                           "Connection",
                                           "Keep-Alive",
                                           "Proxy-Authenticate",
                                           "Proxy-Authorization",
                                           "Www-Authenticate",
                                           "Accept-Encoding",
                                           "X-Prometheus-Remote-Write-Version",
                                           "X-Prometheus-Remote-Read-Version",
                                           "X-Prometheus-Scrape-Timeout-Seconds",
                                           "X-Amz-Date",
                                           "X-Amz-Security-Token",
                                           "X-Amz-Content-Sha256"};
    for (uint32_t i = 0; node && node->kind == YAML_MAPPING && i < node->count; i++) {
        const struct yaml_node *key = node->pairs[i].key;
        for (size_t j = 0; j < ARRAY_COUNT(RESERVED); j++) {
            if (strcasecmp(key->text.ptr, RESERVED[j]) == 0)
                return yaml_error(l->err, key, "setting header \"%s\" is not allowed", RESERVED[j]);
        }
        for (size_t j = 0; j < key->text.len; j++) {
            unsigned char c = (unsigned char)key->text.ptr[j];
            if (c <= ' ' || c >= 0x7f || strchr("()<>@,;:\\\"/[]?={}", c))
                return yaml_error(l->err, key, "\"%.*s\" is not a valid name of a header",
                                  VIEW_ARGS(view_slice(key->text, 0, 100)));
        }
    }
    return true;
}

/* Called by the sections that have the client's fields among theirs. */
static bool http_check(struct loader *l, const struct yaml_node *node,
                       struct config_http_client *http)
{
    bool token = secret_is_set(&http->bearer_token), token_file = http->bearer_token_file.len > 0;
    const struct config_basic_auth *basic = http->basic_auth;
    if (token && token_file)
        return yaml_error(l->err, yaml_place(node, "bearer_token_file"),
                          "at most one of bearer_token & bearer_token_file must be configured");
    if ((basic || http->oauth2) && (token || token_file))
        return yaml_error(l->err, yaml_place(node, token ? "bearer_token" : "bearer_token_file"),
                          "at most one of basic_auth, oauth2, bearer_token & bearer_token_file "
                          "must be configured");
    if (basic && basic->username.len && basic->username_file.len)
        return yaml_error(l->err, yaml_place(node, "basic_auth"),
                          "at most one of basic_auth username & username_file must be configured");
    if (basic && secret_is_set(&basic->password) && basic->password_file.len)
        return yaml_error(l->err, yaml_place(node, "basic_auth"),
                          "at most one of basic_auth password & password_file must be configured");
    if (!http_check_authorization(l, node, http))
        return false;
    if (http->oauth2 && basic)
        return yaml_error(l->err, yaml_place(node, "oauth2"),
                          "at most one of basic_auth, oauth2 & authorization must be configured");
    return http_headers_check(l, yaml_find(node, "http_headers")) &&
           proxy_check(l, node, &http->proxy);
}

static bool http_section_check(struct loader *l, const struct yaml_node *node, void *object)
{
    return http_check(l, node, object);
}

const struct section CONFIG_HTTP_SECTION = {"HTTP client settings",
                                            sizeof(struct config_http_client), FIELDS(HTTP_FIELDS),
                                            http_defaults, http_section_check};

/* --- relabelling --- */

static void relabel_defaults(void *object)
{
    relabel_rule_init(object);
}

/* {items, count} as FIELD_STRINGS writes them. */
_Static_assert(offsetof(struct relabel_rule, source_label_count) ==
                   offsetof(struct relabel_rule, source_labels) +
                       offsetof(struct config_strings, count),
               "source_labels and source_label_count are laid out as struct config_strings");

static const struct field RELABEL_FIELDS[] = {
    {F(relabel_rule, source_labels, FIELD_STRINGS_FLOW)},
    {F(relabel_rule, separator, FIELD_STRING)},
    {"regex", FIELD_STRING, offsetof(struct relabel_rule, regex_text)},
    {F(relabel_rule, modulus, FIELD_UINT)},
    {F(relabel_rule, target_label, FIELD_STRING)},
    {F(relabel_rule, replacement, FIELD_STRING)},
    {"action", FIELD_ACTION, 0},
};
const struct section CONFIG_RELABEL_SECTION = {"a relabelling rule", sizeof(struct relabel_rule),
                                               FIELDS(RELABEL_FIELDS), relabel_defaults};

/* --- global --- */

static const struct field GLOBAL_FIELDS[] = {
    {"scrape_interval", FIELD_DURATION, offsetof(struct config_global, scrape_interval_ms)},
    {"scrape_timeout", FIELD_DURATION, offsetof(struct config_global, scrape_timeout_ms)},
    {F(config_global, scrape_protocols, FIELD_PROTOCOLS)},
    {"evaluation_interval", FIELD_DURATION, offsetof(struct config_global, evaluation_interval_ms)},
    {"rule_query_offset", FIELD_DURATION, offsetof(struct config_global, rule_query_offset_ms)},
    {F(config_global, query_log_file, FIELD_PATH)},
    {F(config_global, scrape_failure_log_file, FIELD_PATH)},
    {F(config_global, external_labels, FIELD_LABELS)},
    {"body_size_limit", FIELD_BYTES, offsetof(struct config_global, body_size_limit_bytes)},
    {F(config_global, sample_limit, FIELD_UINT)},
    {F(config_global, target_limit, FIELD_UINT)},
    {F(config_global, label_limit, FIELD_UINT)},
    {F(config_global, label_name_length_limit, FIELD_UINT)},
    {F(config_global, label_value_length_limit, FIELD_UINT)},
    {F(config_global, keep_dropped_targets, FIELD_UINT)},
    {F(config_global, metric_name_validation_scheme, FIELD_WORD), .words = NAME_VALIDATION_WORDS},
    {F(config_global, metric_name_escaping_scheme, FIELD_WORD), .words = ESCAPING_WORDS},
    {F(config_global, scrape_native_histograms, FIELD_TRISTATE), .flags = FIELD_SHOW_ZERO},
    {F(config_global, convert_classic_histograms_to_nhcb, FIELD_BOOL)},
    {F(config_global, always_scrape_classic_histograms, FIELD_BOOL)},
    {F(config_global, extra_scrape_metrics, FIELD_BOOL)},
};

static void global_defaults(void *object)
{
    struct config_global *global = object;
    global->scrape_native_histograms = -1;
}

static bool global_check(struct loader *l, const struct yaml_node *node, void *object)
{
    struct config_global *global = object;
    if (global->metric_name_validation_scheme == CONFIG_NAMES_UNSET)
        global->metric_name_validation_scheme = CONFIG_NAMES_UTF8;
    if (!config_labels_check(l, yaml_find(node, "external_labels"), global->external_labels,
                             global->metric_name_validation_scheme == CONFIG_NAMES_LEGACY))
        return false;
    if (global->scrape_interval_ms == 0)
        global->scrape_interval_ms = 60000;
    if (global->scrape_timeout_ms > global->scrape_interval_ms)
        return yaml_error(l->err, yaml_place(node, "scrape_timeout"),
                          "global scrape timeout greater than scrape interval");
    if (global->scrape_timeout_ms == 0)
        global->scrape_timeout_ms =
            global->scrape_interval_ms < 10000 ? global->scrape_interval_ms : 10000;
    if (global->evaluation_interval_ms == 0)
        global->evaluation_interval_ms = 60000;
    if (global->scrape_native_histograms < 0)
        global->scrape_native_histograms = 0;
    if (global->body_size_limit_bytes < 0)
        return yaml_error(l->err, yaml_place(node, "body_size_limit"),
                          "body_size_limit must be at least 0");
    return true;
}

const struct section CONFIG_GLOBAL_SECTION = {"the global section", sizeof(struct config_global),
                                              FIELDS(GLOBAL_FIELDS), global_defaults, global_check};

/* --- targets --- */

static bool target_group_check(struct loader *l, const struct yaml_node *node, void *object)
{
    const struct config_target_group *group = object;
    return config_labels_check(l, yaml_find(node, "labels"), group->labels, false);
}

static const struct field TARGET_GROUP_FIELDS[] = {
    {F(config_target_group, targets, FIELD_STRINGS), .flags = FIELD_SHOW_ZERO},
    {F(config_target_group, labels, FIELD_LABELS)},
};
static const struct section TARGET_GROUP_SECTION = {
    "a group of static_configs", sizeof(struct config_target_group), FIELDS(TARGET_GROUP_FIELDS),
    .check = target_group_check};

/* Somebody wrote a URL where host:port belongs. Relabelling could still make it right, so it is asked only
 * without. */
static bool targets_check(struct loader *l, const struct yaml_node *node,
                          const struct config_target_groups *groups)
{
    const struct yaml_node *list = yaml_find(node, "static_configs");
    for (size_t i = 0; i < groups->count; i++) {
        const struct config_strings *targets = &groups->items[i].targets;
        const struct yaml_node *texts = yaml_find(list->items[i], "targets");
        for (size_t j = 0; j < targets->count; j++) {
            if (targets->items[j].len && memchr(targets->items[j].ptr, '/', targets->items[j].len))
                return yaml_error(l->err, texts->items[j], "\"%.*s\" is not a valid hostname",
                                  VIEW_ARGS(view_slice(targets->items[j], 0, 200)));
        }
    }
    return true;
}

/* --- scrape jobs --- */

static const struct field JOB_FIELDS[] = {
    {F(config_scrape_job, job_name, FIELD_STRING), .flags = FIELD_SHOW_ZERO},
    {F(config_scrape_job, honor_labels, FIELD_BOOL)},
    {F(config_scrape_job, honor_timestamps, FIELD_BOOL), .flags = FIELD_SHOW_ZERO},
    {F(config_scrape_job, track_timestamps_staleness, FIELD_BOOL), .flags = FIELD_SHOW_ZERO},
    {F(config_scrape_job, params, FIELD_PARAMS)},
    {"scrape_interval", FIELD_DURATION, offsetof(struct config_scrape_job, scrape_interval_ms)},
    {"scrape_timeout", FIELD_DURATION, offsetof(struct config_scrape_job, scrape_timeout_ms)},
    {F(config_scrape_job, scrape_protocols, FIELD_PROTOCOLS)},
    {F(config_scrape_job, fallback_scrape_protocol, FIELD_WORD), .words = PROTOCOL_WORDS},
    {F(config_scrape_job, scrape_native_histograms, FIELD_TRISTATE), .flags = FIELD_SHOW_ZERO},
    {F(config_scrape_job, always_scrape_classic_histograms, FIELD_TRISTATE),
     .flags = FIELD_SHOW_ZERO},
    {F(config_scrape_job, convert_classic_histograms_to_nhcb, FIELD_TRISTATE),
     .flags = FIELD_SHOW_ZERO},
    {F(config_scrape_job, scrape_failure_log_file, FIELD_PATH)},
    {F(config_scrape_job, metrics_path, FIELD_STRING)},
    {F(config_scrape_job, scheme, FIELD_STRING)},
    {F(config_scrape_job, enable_compression, FIELD_BOOL), .flags = FIELD_SHOW_ZERO},
    {"body_size_limit", FIELD_BYTES, offsetof(struct config_scrape_job, body_size_limit_bytes)},
    {F(config_scrape_job, sample_limit, FIELD_UINT)},
    {F(config_scrape_job, target_limit, FIELD_UINT)},
    {F(config_scrape_job, label_limit, FIELD_UINT)},
    {F(config_scrape_job, label_name_length_limit, FIELD_UINT)},
    {F(config_scrape_job, label_value_length_limit, FIELD_UINT)},
    {F(config_scrape_job, native_histogram_bucket_limit, FIELD_UINT)},
    {F(config_scrape_job, native_histogram_min_bucket_factor, FIELD_FLOAT)},
    {F(config_scrape_job, keep_dropped_targets, FIELD_UINT)},
    {F(config_scrape_job, metric_name_validation_scheme, FIELD_WORD),
     .words = NAME_VALIDATION_WORDS},
    {F(config_scrape_job, metric_name_escaping_scheme, FIELD_WORD), .words = ESCAPING_WORDS},
    {F(config_scrape_job, extra_scrape_metrics, FIELD_TRISTATE), .flags = FIELD_SHOW_ZERO},
    {"", FIELD_INLINE, offsetof(struct config_scrape_job, http), &CONFIG_HTTP_SECTION},
    {F(config_scrape_job, relabel_configs, FIELD_LIST), &CONFIG_RELABEL_SECTION,
     .null_item = "empty or null target relabeling rule in scrape config"},
    {F(config_scrape_job, metric_relabel_configs, FIELD_LIST), &CONFIG_RELABEL_SECTION,
     .null_item = "empty or null metric relabeling rule in scrape config"},
    {F(config_scrape_job, static_configs, FIELD_LIST), &TARGET_GROUP_SECTION,
     .null_item = "empty or null section in static_configs"},
    {F(config_scrape_job, discoveries, FIELD_DISCOVERIES)},
};

static void job_defaults(void *object)
{
    struct config_scrape_job *job = object;
    job->honor_timestamps = true;
    job->enable_compression = true;
    job->metrics_path = VIEW("/metrics");
    job->scheme = VIEW("http");
    job->scrape_native_histograms = -1;
    job->always_scrape_classic_histograms = -1;
    job->convert_classic_histograms_to_nhcb = -1;
    job->extra_scrape_metrics = -1;
    http_defaults(&job->http);
}

static bool job_check(struct loader *l, const struct yaml_node *node, void *object)
{
    struct config_scrape_job *job = object;
    job->file = arena_copy(l->arena, view_from(l->file));
    if (job->job_name.len == 0)
        return yaml_error(l->err, yaml_place(node, "job_name"), "job_name is empty");
    if (!view_is(job->scheme, "http") && !view_is(job->scheme, "https"))
        return yaml_error(l->err, yaml_place(node, "scheme"),
                          "scheme \"%.*s\" is not one of http, https",
                          VIEW_ARGS(view_slice(job->scheme, 0, 100)));
    if (job->body_size_limit_bytes < 0)
        return yaml_error(l->err, yaml_place(node, "body_size_limit"),
                          "body_size_limit must be at least 0");
    if (!http_check(l, node, &job->http))
        return false;
    return job->relabel_configs.count > 0 || targets_check(l, node, &job->static_configs);
}

const struct section CONFIG_JOB_SECTION = {"a scrape job", sizeof(struct config_scrape_job),
                                           FIELDS(JOB_FIELDS), job_defaults, job_check};

static const struct field JOB_FILE_FIELDS[] = {
    {"scrape_configs", FIELD_LIST, 0, &CONFIG_JOB_SECTION,
     .null_item = "empty or null scrape config section"},
};
const struct section CONFIG_JOB_FILE_SECTION = {
    "a file of scrape jobs", sizeof(struct config_scrape_jobs), FIELDS(JOB_FILE_FIELDS)};

/* --- storage --- */

static bool retention_check(struct loader *l, const struct yaml_node *node, void *object)
{
    const struct config_storage *storage = object;
    if (storage->retention_size_bytes < 0)
        return yaml_error(l->err, yaml_place(node, "size"),
                          "'storage.tsdb.retention.size' must be greater than or equal to 0");
    if (!(storage->retention_percentage >= 0 && storage->retention_percentage <= 100))
        return yaml_error(l->err, yaml_place(node, "percentage"),
                          "'storage.tsdb.retention.percentage' must be in the range [0, 100]");
    return true;
}

static bool chunk_encoding_check(struct loader *l, const struct yaml_node *node, void *object)
{
    struct view floats = ((const struct config_storage *)object)->chunk_encoding_floats;
    if (floats.len && !view_is(floats, "xor") && !view_is(floats, "xor2"))
        return yaml_error(l->err, yaml_place(node, "floats"),
                          "'storage.tsdb.chunk_encoding.floats' must be 'xor' or 'xor2', or the "
                          "field must be omitted "
                          "entirely, got \"%.*s\"",
                          VIEW_ARGS(view_slice(floats, 0, 100)));
    return true;
}

static bool tsdb_check(struct loader *l, const struct yaml_node *node, void *object)
{
    struct config_storage *storage = object;
    storage->has_out_of_order_time_window = yaml_find(node, "out_of_order_time_window") != NULL;
    return true;
}

static const struct field RETENTION_FIELDS[] = {
    {"time", FIELD_DURATION, offsetof(struct config_storage, retention_time_ms)},
    {"size", FIELD_BYTES, offsetof(struct config_storage, retention_size_bytes)},
    {"percentage", FIELD_FLOAT, offsetof(struct config_storage, retention_percentage)},
};
static const struct section RETENTION_SECTION = {"retention", 0, FIELDS(RETENTION_FIELDS),
                                                 .check = retention_check};
static const struct field CHUNK_ENCODING_FIELDS[] = {
    {"floats", FIELD_STRING, offsetof(struct config_storage, chunk_encoding_floats)},
};
static const struct section CHUNK_ENCODING_SECTION = {
    "chunk_encoding", 0, FIELDS(CHUNK_ENCODING_FIELDS), .check = chunk_encoding_check};
static const struct field TSDB_FIELDS[] = {
    {"out_of_order_time_window", FIELD_DURATION,
     offsetof(struct config_storage, out_of_order_time_window_ms)},
    {F(config_storage, stale_series_compaction_threshold, FIELD_FLOAT)},
    {"retention", FIELD_GROUP, 0, &RETENTION_SECTION},
    {"chunk_encoding", FIELD_GROUP, 0, &CHUNK_ENCODING_SECTION},
};
static const struct section TSDB_SECTION = {"the tsdb section", 0, FIELDS(TSDB_FIELDS),
                                            .check = tsdb_check};
static const struct field EXEMPLARS_FIELDS[] = {
    {"max_exemplars", FIELD_INT, offsetof(struct config_storage, exemplars_max)},
};
static const struct section EXEMPLARS_SECTION = {"the exemplars section", 0,
                                                 FIELDS(EXEMPLARS_FIELDS)};
static const struct field STORAGE_FIELDS[] = {
    {"tsdb", FIELD_GROUP, 0, &TSDB_SECTION},
    {"exemplars", FIELD_GROUP, 0, &EXEMPLARS_SECTION},
};
static const struct section STORAGE_SECTION = {"the storage section", sizeof(struct config_storage),
                                               FIELDS(STORAGE_FIELDS)};

/* --- headers that the protocols own --- */

static bool headers_check(struct loader *l, const struct yaml_node *node, bool tracing)
{
    static const char *const RESERVED[] = {"host",
                                           "content-encoding",
                                           "content-length",
                                           "content-type",
                                           "user-agent",
                                           "connection",
                                           "keep-alive",
                                           "proxy-authenticate",
                                           "proxy-authorization",
                                           "www-authenticate",
                                           "accept-encoding",
                                           "x-prometheus-remote-write-version",
                                           "x-prometheus-remote-read-version",
                                           "x-amz-date",
                                           "x-amz-security-token",
                                           "x-amz-content-sha256"};
    for (uint32_t i = 0; node && node->kind == YAML_MAPPING && i < node->count; i++) {
        const struct yaml_node *key = node->pairs[i].key;
        if (strcasecmp(key->text.ptr, "authorization") == 0)
            return yaml_error(l->err, key, "%s",
                              tracing
                                  ? "custom authorization header configuration is not yet supported"
                                  : "authorization header must be changed via the basic_auth, "
                                    "authorization, oauth2, "
                                    "sigv4, azuread or google_iam parameter");
        for (size_t j = 0; j < ARRAY_COUNT(RESERVED); j++) {
            if (strcasecmp(key->text.ptr, RESERVED[j]) == 0)
                return yaml_error(l->err, key, "%s is a reserved header. It must not be changed",
                                  RESERVED[j]);
        }
    }
    return true;
}

/* --- tracing, OTLP, runtime --- */

static void tracing_defaults(void *object)
{
    ((struct config_tracing *)object)->client_type = VIEW("grpc");
}

static bool tracing_check(struct loader *l, const struct yaml_node *node, void *object)
{
    const struct config_tracing *tracing = object;
    if (!view_is(tracing->client_type, "grpc") && !view_is(tracing->client_type, "http"))
        return yaml_error(l->err, yaml_place(node, "client_type"),
                          "expected tracing client type to be http or grpc, but got \"%.*s\"",
                          VIEW_ARGS(view_slice(tracing->client_type, 0, 100)));
    if (!headers_check(l, yaml_find(node, "headers"), true))
        return false;
    if (tracing->endpoint.len == 0)
        return yaml_error(l->err, node, "tracing endpoint must be set");
    if (tracing->compression.len && !view_is(tracing->compression, "gzip"))
        return yaml_error(l->err, yaml_place(node, "compression"),
                          "invalid compression type %.*s provided, valid options: gzip",
                          VIEW_ARGS(view_slice(tracing->compression, 0, 100)));
    return true;
}

static const struct field TRACING_FIELDS[] = {
    {F(config_tracing, client_type, FIELD_STRING)},
    {F(config_tracing, endpoint, FIELD_STRING)},
    {F(config_tracing, sampling_fraction, FIELD_FLOAT)},
    {F(config_tracing, insecure, FIELD_BOOL)},
    {"tls_config", FIELD_STRUCT, offsetof(struct config_tracing, tls), &CONFIG_TLS_SECTION},
    {F(config_tracing, headers, FIELD_PAIRS)},
    {F(config_tracing, compression, FIELD_STRING)},
    {"timeout", FIELD_DURATION, offsetof(struct config_tracing, timeout_ms)},
};
const struct section CONFIG_TRACING_SECTION = {"the tracing section", sizeof(struct config_tracing),
                                               FIELDS(TRACING_FIELDS), tracing_defaults,
                                               tracing_check};

static void otlp_defaults(void *object)
{
    struct config_otlp *otlp = object;
    otlp->translation_strategy = VIEW("UnderscoreEscapingWithSuffixes");
    otlp->label_name_underscore_sanitization = true;
    otlp->label_name_preserve_multiple_underscores = true;
}

/* Trims each name; none may be empty or said twice. */
static bool attributes_check_in(struct loader *l, const struct yaml_node *node,
                                struct config_strings *names, const char *adjective,
                                struct string_map *seen)
{
    for (size_t i = 0; i < names->count; i++) {
        struct view *name = &names->items[i];
        uint64_t first;
        while (name->len && name->ptr[0] == ' ')
            *name = view_slice(*name, 1, name->len);
        while (name->len && name->ptr[name->len - 1] == ' ')
            name->len--;
        if (name->len == 0)
            return yaml_error(l->err, node->items[i], "empty %s resource attribute", adjective);
        if (string_map_get(seen, *name, &first))
            return yaml_error(l->err, node->items[i], "duplicated %s resource attribute \"%.*s\"",
                              adjective, VIEW_ARGS(view_slice(*name, 0, 200)));
        string_map_set(seen, *name, i);
    }
    return true;
}

static bool attributes_check(struct loader *l, const struct yaml_node *node,
                             struct config_strings *names, const char *adjective)
{
    struct string_map *seen = string_map_new(MEM_CONFIG);
    bool ok = attributes_check_in(l, node, names, adjective, seen);
    string_map_free(seen);
    return ok;
}

static bool otlp_check(struct loader *l, const struct yaml_node *node, void *object)
{
    struct config_otlp *otlp = object;
    const struct yaml_node *promoted = yaml_find(node, "promote_resource_attributes");
    const struct yaml_node *ignored = yaml_find(node, "ignore_resource_attributes");
    static const char *const STRATEGIES[] = {"", "UnderscoreEscapingWithSuffixes",
                                             "UnderscoreEscapingWithoutSuffixes",
                                             "NoUTF8EscapingWithSuffixes", "NoTranslation"};
    bool known = false;
    for (size_t i = 0; i < ARRAY_COUNT(STRATEGIES); i++)
        known |= view_is(otlp->translation_strategy, STRATEGIES[i]);
    if (!known)
        return yaml_error(l->err, yaml_place(node, "translation_strategy"),
                          "unsupported OTLP translation strategy \"%.*s\"",
                          VIEW_ARGS(view_slice(otlp->translation_strategy, 0, 100)));
    if (otlp->promote_all_resource_attributes) {
        if (otlp->promote_resource_attributes.count)
            return yaml_error(l->err, promoted,
                              "'promote_all_resource_attributes' and 'promote_resource_attributes' "
                              "cannot be configured simultaneously");
        return attributes_check(l, ignored, &otlp->ignore_resource_attributes, "ignored");
    }
    if (otlp->ignore_resource_attributes.count)
        return yaml_error(l->err, ignored,
                          "'ignore_resource_attributes' cannot be configured unless "
                          "'promote_all_resource_attributes' is true");
    return attributes_check(l, promoted, &otlp->promote_resource_attributes, "promoted");
}

static const struct field OTLP_FIELDS[] = {
    {F(config_otlp, promote_all_resource_attributes, FIELD_BOOL)},
    {F(config_otlp, promote_resource_attributes, FIELD_STRINGS)},
    {F(config_otlp, ignore_resource_attributes, FIELD_STRINGS)},
    {F(config_otlp, translation_strategy, FIELD_STRING)},
    {F(config_otlp, keep_identifying_resource_attributes, FIELD_BOOL)},
    {F(config_otlp, convert_histograms_to_nhcb, FIELD_BOOL)},
    {F(config_otlp, promote_scope_metadata, FIELD_BOOL)},
    {F(config_otlp, label_name_underscore_sanitization, FIELD_BOOL)},
    {F(config_otlp, label_name_preserve_multiple_underscores, FIELD_BOOL)},
};
static const struct section OTLP_SECTION = {"the otlp section", sizeof(struct config_otlp),
                                            FIELDS(OTLP_FIELDS), otlp_defaults, otlp_check};

static const struct field RUNTIME_FIELDS[] = {
    {"gogc", FIELD_INT, offsetof(struct config, runtime_gogc)},
};
static const struct section RUNTIME_SECTION = {"the runtime section", 0, FIELDS(RUNTIME_FIELDS)};

/* --- alerting --- */

static const struct field ALERTMANAGER_FIELDS[] = {
    {"", FIELD_INLINE, offsetof(struct config_alertmanager, http), &CONFIG_HTTP_SECTION},
    {F(config_alertmanager, sigv4, FIELD_POINTER), &CONFIG_SIGV4_SECTION},
    {F(config_alertmanager, scheme, FIELD_STRING)},
    {F(config_alertmanager, path_prefix, FIELD_STRING)},
    {"timeout", FIELD_DURATION, offsetof(struct config_alertmanager, timeout_ms)},
    {F(config_alertmanager, api_version, FIELD_STRING), .flags = FIELD_SHOW_ZERO},
    {F(config_alertmanager, relabel_configs, FIELD_LIST), &CONFIG_RELABEL_SECTION,
     .null_item = "empty or null Alertmanager target relabeling rule"},
    {F(config_alertmanager, alert_relabel_configs, FIELD_LIST), &CONFIG_RELABEL_SECTION,
     .null_item = "empty or null Alertmanager alert relabeling rule"},
    {F(config_alertmanager, static_configs, FIELD_LIST), &TARGET_GROUP_SECTION,
     .null_item = "empty or null section in static_configs"},
    {F(config_alertmanager, discoveries, FIELD_DISCOVERIES)},
};

static void alertmanager_defaults(void *object)
{
    struct config_alertmanager *manager = object;
    manager->scheme = VIEW("http");
    manager->timeout_ms = 10000;
    manager->api_version = VIEW("v2");
    http_defaults(&manager->http);
}

static bool alertmanager_check(struct loader *l, const struct yaml_node *node, void *object)
{
    struct config_alertmanager *manager = object;
    if (!view_is(manager->api_version, "v2"))
        return yaml_error(l->err, yaml_place(node, "api_version"),
                          "expected Alertmanager api version to be one of [v2] but got %.*s",
                          VIEW_ARGS(view_slice(manager->api_version, 0, 100)));
    if (!http_check(l, node, &manager->http))
        return false;
    if (manager->sigv4 &&
        (manager->http.basic_auth || manager->http.authorization || manager->http.oauth2))
        return yaml_error(
            l->err, yaml_place(node, "sigv4"),
            "at most one of basic_auth, authorization, oauth2, & sigv4 must be configured");
    if (manager->sigv4 && manager->sigv4->role_arn.len)
        return yaml_error(
            l->err, yaml_place(node, "sigv4"),
            "sigv4: role_arn is not supported for Alertmanagers: requests are signed "
            "with access_key and secret_key, those of a profile or of the environment");
    return manager->relabel_configs.count > 0 || targets_check(l, node, &manager->static_configs);
}

static const struct section ALERTMANAGER_SECTION = {
    "an Alertmanager", sizeof(struct config_alertmanager), FIELDS(ALERTMANAGER_FIELDS),
    alertmanager_defaults, alertmanager_check};
static const struct field ALERTING_FIELDS[] = {
    {F(config, alert_relabel_configs, FIELD_LIST), &CONFIG_RELABEL_SECTION,
     .null_item = "empty or null alert relabeling rule"},
    {F(config, alertmanagers, FIELD_LIST), &ALERTMANAGER_SECTION,
     .null_item = "empty or null Alertmanager section"},
};
static const struct section ALERTING_SECTION = {"the alerting section", 0, FIELDS(ALERTING_FIELDS)};

/* --- remote write and read --- */

static const struct field QUEUE_FIELDS[] = {
    {F(config_queue, capacity, FIELD_INT)},
    {F(config_queue, max_shards, FIELD_INT)},
    {F(config_queue, min_shards, FIELD_INT)},
    {F(config_queue, max_samples_per_send, FIELD_INT)},
    {"batch_send_deadline", FIELD_DURATION, offsetof(struct config_queue, batch_send_deadline_ms)},
    {"min_backoff", FIELD_DURATION, offsetof(struct config_queue, min_backoff_ms)},
    {"max_backoff", FIELD_DURATION, offsetof(struct config_queue, max_backoff_ms)},
    {F(config_queue, retry_on_http_429, FIELD_BOOL)},
    {"sample_age_limit", FIELD_DURATION, offsetof(struct config_queue, sample_age_limit_ms)},
};

static void queue_defaults(void *object)
{
    *(struct config_queue *)object = (struct config_queue){.capacity = 10000,
                                                           .max_shards = 50,
                                                           .min_shards = 1,
                                                           .max_samples_per_send = 2000,
                                                           .batch_send_deadline_ms = 5000,
                                                           .min_backoff_ms = 30,
                                                           .max_backoff_ms = 5000};
}

static bool queue_check(struct loader *l, const struct yaml_node *node, void *object)
{
    const struct config_queue *queue = object;
    const struct {
        const char *name;
        int64_t value;
    } POSITIVE[] = {{"capacity", queue->capacity},
                    {"max_shards", queue->max_shards},
                    {"min_shards", queue->min_shards},
                    {"max_samples_per_send", queue->max_samples_per_send}};
    for (size_t i = 0; i < ARRAY_COUNT(POSITIVE); i++) {
        if (POSITIVE[i].value <= 0)
            return yaml_error(l->err, yaml_place(node, POSITIVE[i].name),
                              "remote write queue %s must be positive", POSITIVE[i].name);
    }
    if (queue->min_shards > queue->max_shards)
        return yaml_error(l->err, yaml_place(node, "min_shards"),
                          "remote write queue min_shards must not be greater than max_shards");
    if (queue->max_backoff_ms < queue->min_backoff_ms)
        return yaml_error(l->err, yaml_place(node, "max_backoff"),
                          "remote write queue max_backoff must not be less than min_backoff");
    return true;
}

static const struct section QUEUE_SECTION = {"queue_config", sizeof(struct config_queue),
                                             FIELDS(QUEUE_FIELDS), queue_defaults, queue_check};
static const struct field METADATA_FIELDS[] = {
    {"send", FIELD_BOOL, offsetof(struct config_remote_write, metadata_send),
     .flags = FIELD_SHOW_ZERO},
    {"send_interval", FIELD_DURATION,
     offsetof(struct config_remote_write, metadata_send_interval_ms), .flags = FIELD_SHOW_ZERO},
    {"max_samples_per_send", FIELD_INT,
     offsetof(struct config_remote_write, metadata_max_samples_per_send)},
};
static const struct section METADATA_SECTION = {"metadata_config", 0, FIELDS(METADATA_FIELDS)};

static const struct field REMOTE_WRITE_FIELDS[] = {
    {F(config_remote_write, url, FIELD_URL), .flags = FIELD_SHOW_ZERO},
    {"remote_timeout", FIELD_DURATION, offsetof(struct config_remote_write, remote_timeout_ms)},
    {F(config_remote_write, headers, FIELD_PAIRS)},
    {F(config_remote_write, write_relabel_configs, FIELD_LIST), &CONFIG_RELABEL_SECTION,
     .null_item = "empty or null relabeling rule in remote write config"},
    {F(config_remote_write, name, FIELD_STRING)},
    {F(config_remote_write, send_exemplars, FIELD_BOOL)},
    {F(config_remote_write, send_native_histograms, FIELD_BOOL)},
    {F(config_remote_write, round_robin_dns, FIELD_BOOL)},
    {F(config_remote_write, protobuf_message, FIELD_STRING)},
    {"", FIELD_INLINE, offsetof(struct config_remote_write, http), &CONFIG_HTTP_SECTION},
    {"queue_config", FIELD_STRUCT, offsetof(struct config_remote_write, queue), &QUEUE_SECTION},
    {"metadata_config", FIELD_GROUP, 0, &METADATA_SECTION},
    {F(config_remote_write, sigv4, FIELD_RAW)},
    {F(config_remote_write, azuread, FIELD_RAW)},
    {F(config_remote_write, google_iam, FIELD_RAW)},
};

static void remote_write_defaults(void *object)
{
    struct config_remote_write *remote = object;
    remote->remote_timeout_ms = 30000;
    remote->protobuf_message = VIEW("prometheus.WriteRequest");
    remote->http.follow_redirects = true;
    remote->metadata_send = true;
    remote->metadata_send_interval_ms = 60000;
    remote->metadata_max_samples_per_send = 2000;
    queue_defaults(&remote->queue);
}

static bool remote_write_check(struct loader *l, const struct yaml_node *node, void *object)
{
    struct config_remote_write *remote = object;
    if (remote->url.len == 0)
        return yaml_error(l->err, yaml_place(node, "url"), "url for remote_write is empty");
    if (!headers_check(l, yaml_find(node, "headers"), false))
        return false;
    if (!view_is(remote->protobuf_message, "prometheus.WriteRequest") &&
        !view_is(remote->protobuf_message, "io.prometheus.write.v2.Request"))
        return yaml_error(
            l->err, yaml_place(node, "protobuf_message"),
            "invalid protobuf_message value: unknown type for remote write protobuf message %.*s, "
            "supported: prometheus.WriteRequest, io.prometheus.write.v2.Request",
            VIEW_ARGS(view_slice(remote->protobuf_message, 0, 100)));
    if (!http_check(l, node, &remote->http))
        return false;
    int count = (remote->http.basic_auth != NULL) + (remote->http.authorization != NULL) +
                (remote->http.oauth2 != NULL) + (remote->sigv4 != NULL) +
                (remote->azuread != NULL) + (remote->google_iam != NULL);
    if (count > 1)
        return yaml_error(
            l->err, node,
            "at most one of basic_auth, authorization, oauth2, sigv4, azuread or google_iam "
            "must be configured");
    return true;
}

static const struct section REMOTE_WRITE_SECTION = {
    "a remote_write section", sizeof(struct config_remote_write), FIELDS(REMOTE_WRITE_FIELDS),
    remote_write_defaults, remote_write_check};

static const struct field REMOTE_READ_FIELDS[] = {
    {F(config_remote_read, url, FIELD_URL), .flags = FIELD_SHOW_ZERO},
    {"remote_timeout", FIELD_DURATION, offsetof(struct config_remote_read, remote_timeout_ms)},
    {F(config_remote_read, chunked_read_limit, FIELD_UINT)},
    {F(config_remote_read, headers, FIELD_PAIRS)},
    {F(config_remote_read, read_recent, FIELD_BOOL)},
    {F(config_remote_read, name, FIELD_STRING)},
    {"", FIELD_INLINE, offsetof(struct config_remote_read, http), &CONFIG_HTTP_SECTION},
    {F(config_remote_read, required_matchers, FIELD_PAIRS)},
    {F(config_remote_read, filter_external_labels, FIELD_BOOL)},
};

static void remote_read_defaults(void *object)
{
    struct config_remote_read *remote = object;
    remote->remote_timeout_ms = 60000;
    remote->chunked_read_limit = 50000000;
    remote->filter_external_labels = true;
    http_defaults(&remote->http);
}

static bool remote_read_check(struct loader *l, const struct yaml_node *node, void *object)
{
    struct config_remote_read *remote = object;
    if (remote->url.len == 0)
        return yaml_error(l->err, yaml_place(node, "url"), "url for remote_read is empty");
    return headers_check(l, yaml_find(node, "headers"), false) &&
           http_check(l, node, &remote->http);
}

static const struct section REMOTE_READ_SECTION = {
    "a remote_read section", sizeof(struct config_remote_read), FIELDS(REMOTE_READ_FIELDS),
    remote_read_defaults, remote_read_check};

/* --- the whole file --- */

static void config_defaults(void *object)
{
    struct config *config = object;
    struct loader quiet = {.dir = "", .file = ""};
    global_defaults(&config->global);
    bool ok = global_check(&quiet, NULL, &config->global);
    ASSERT(ok);
    otlp_defaults(&config->otlp);
    config->runtime_gogc = 75;
}

static const struct field CONFIG_FIELDS[] = {
    {"global", FIELD_STRUCT, offsetof(struct config, global), &CONFIG_GLOBAL_SECTION,
     .flags = FIELD_SHOW_ZERO},
    {"runtime", FIELD_GROUP, 0, &RUNTIME_SECTION},
    {"alerting", FIELD_GROUP, 0, &ALERTING_SECTION},
    {F(config, rule_files, FIELD_PATHS)},
    {F(config, scrape_config_files, FIELD_PATHS)},
    {"scrape_configs", FIELD_LIST, offsetof(struct config, main_jobs), &CONFIG_JOB_SECTION,
     .null_item = "empty or null scrape config section"},
    {F(config, storage, FIELD_POINTER), &STORAGE_SECTION},
    {F(config, tracing, FIELD_POINTER), &CONFIG_TRACING_SECTION},
    {F(config, remote_write, FIELD_LIST), &REMOTE_WRITE_SECTION,
     .null_item = "empty or null remote write config section"},
    {F(config, remote_read, FIELD_LIST), &REMOTE_READ_SECTION,
     .null_item = "empty or null remote read config section"},
    {F(config, otlp, FIELD_STRUCT), &OTLP_SECTION},
    {F(config, heartbeats, FIELD_STRUCT), &CONFIG_HEARTBEATS_SECTION},
};
const struct section CONFIG_SECTION = {"the configuration", sizeof(struct config),
                                       FIELDS(CONFIG_FIELDS), config_defaults};
