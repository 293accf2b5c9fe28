/* SPDX-License-Identifier: Apache-2.0 */
/* alert_config.h: Alertmanager's configuration file (0.34's), read, checked and filled in with defaults.
 *
 * A struct alert_config is immutable once loaded and reference counted. All views and arrays in it live as long as it
 * does; relative paths have been joined to the file's folder. Any thread may read. */
#ifndef BELFRY_ALERTING_ALERT_CONFIG_H
#define BELFRY_ALERTING_ALERT_CONFIG_H

#include "alerting/matcher_text.h"
#include "alerting/receivers.h"
#include "alerting/time_interval.h"
#include "base/attributes.h"
#include "base/error.h"
#include "base/secret.h"
#include "base/view.h"
#include "ingest/config.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { ALERT_CONFIG_BYTES_MAX = 16 << 20 };

struct alert_global {
    int64_t resolve_timeout_ms;                   /* default 5m */
    const struct config_http_client *http_config; /* not NULL once loaded */
    struct view jira_api_url;
    struct view smtp_from, smtp_hello, smtp_smarthost, smtp_auth_username, smtp_auth_password_file,
        smtp_auth_secret_file, smtp_auth_identity;
    struct secret smtp_auth_password, smtp_auth_secret;
    bool smtp_require_tls;                    /* default true */
    int8_t smtp_force_implicit_tls;           /* -1: by the port */
    const struct config_tls *smtp_tls_config; /* not NULL once loaded */
    struct secret slack_api_url, slack_app_token;
    struct view slack_api_url_file, slack_app_token_file, slack_app_url;
    struct view pagerduty_url;
    struct view opsgenie_api_url, opsgenie_api_key_file;
    struct secret opsgenie_api_key;
    struct view wechat_api_url, wechat_api_secret_file, wechat_api_corp_id;
    struct secret wechat_api_secret;
    struct view victorops_api_url, victorops_api_key_file;
    struct secret victorops_api_key;
    struct view telegram_api_url, telegram_bot_token_file;
    struct secret telegram_bot_token;
    struct view webex_api_url;
    struct view rocketchat_api_url, rocketchat_token_file, rocketchat_token_id_file;
    struct secret rocketchat_token, rocketchat_token_id;
    struct secret mattermost_webhook_url;
    struct view mattermost_webhook_url_file;
};

struct alert_route;
struct alert_routes {
    struct alert_route *items;
    size_t count;
};

/* A node of the routing tree. What it does not say itself it has from its parent; the time intervals are its own. */
struct alert_route {
    const struct yaml_node *node; /* where it stands */
    struct view receiver;
    struct config_strings group_by; /* in the order written */
    bool group_by_all;              /* group_by: ['...']; then group_by does not count */
    int64_t group_wait_ms, group_interval_ms, repeat_interval_ms; /* default 30s, 5m, 4h */
    struct config_pairs
        labels; /* templates for notifications; its own and its parent's, its own win */
    struct config_strings mute_time_intervals, active_time_intervals;
    bool continues;           /* `continue`: siblings after it are tried, too */
    struct matchers matchers; /* match, match_re and matchers; the root has none */
    const struct yaml_node *match, *match_re, *matchers_node; /* as written */
    struct alert_routes routes;
};

struct inhibit_rule {
    const struct yaml_node *node;
    struct view name; /* may be empty */
    struct matchers source, target;
    struct config_strings equal;
    const struct yaml_node *source_match, *source_match_re, *source_matchers, *target_match,
        *target_match_re, *target_matchers;
};
struct inhibit_rules {
    struct inhibit_rule *items;
    size_t count;
};

/* An entry of time_intervals or mute_time_intervals: a moment is in it when it is in one of its intervals. */
struct named_intervals {
    const struct yaml_node *node;
    struct view name; /* unique among both lists */
    const struct yaml_node *list;
    struct time_interval *items;
    size_t count;
};
struct named_intervals_list {
    struct named_intervals *items;
    size_t count;
};

struct alert_config {
    struct alert_global global;
    struct config_strings templates; /* patterns of paths */
    const struct alert_route *route; /* the root */
    struct inhibit_rules inhibit_rules;
    struct receivers receivers;
    struct named_intervals_list mute_time_intervals, time_intervals;
    const struct config_tracing *tracing;  /* checked only; NULL: none */
    const struct config_strings *warnings; /* "FILE:LINE:COLUMN: sentence" */
    const struct yaml_node *source;        /* the file, see alert_config_print() */
};

/* Reads the file. On success the caller owns *out (alert_config_unref); on error it is NULL. Errors:
 * "FILE:LINE:COLUMN: what", with line and column in the error, too: ERROR_INPUT, ERROR_TOO_LARGE; ERROR_NOT_FOUND, ERROR_IO. */
MUST_USE bool alert_config_load(const char *path, struct alert_config **out, struct error *err);
/* The same from text; `path` is what it is called, its folder what relative paths are joined to. */
MUST_USE bool alert_config_parse(struct view text, const char *path, struct alert_config **out,
                                 struct error *err);
struct alert_config *alert_config_ref(struct alert_config *c);
void alert_config_unref(struct alert_config *c); /* NULL does nothing */

/* Appends the file as it was written, without comments, secrets as <secret>: what /api/v2/status shows. */
void alert_config_print(const struct alert_config *c, struct buffer *out);

/* The receiver or the intervals of this name, or NULL. */
const struct receiver *alert_config_receiver(const struct alert_config *c, struct view name);
const struct named_intervals *alert_config_intervals(const struct alert_config *c,
                                                     struct view name);

#endif
