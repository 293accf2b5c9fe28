/* SPDX-License-Identifier: Apache-2.0 */
/* receivers.h: what alertmanager.yml says of its receivers: one struct for each kind of notification, its fields named
 * as in the file. Texts are templates unless said otherwise. A pair NAME and NAME_file: at most one of both is set;
 * paths have been joined to the file's folder. Once loaded, what the file leaves to `global` has been filled in. */
#ifndef BELFRY_ALERTING_RECEIVERS_H
#define BELFRY_ALERTING_RECEIVERS_H

#include "base/redaction.h"
#include "base/secret.h"
#include "base/view.h"
#include "ingest/config.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct yaml_node;

/* Each kind begins with it. */
struct receiver_common {
    const struct yaml_node *node; /* where it stands */
    bool send_resolved;
    const struct config_http_client *http_config; /* not NULL once loaded, but for e-mail */
};

struct discord_receiver {
    struct receiver_common common;
    struct secret webhook_url; /* one of both is set */
    struct view webhook_url_file;
    struct view content, title, message, username, avatar_url;
};

struct email_receiver {
    struct receiver_common common;
    struct view to, from, hello,
        smarthost; /* smarthost: host:port; all but hello are set once loaded */
    struct view auth_username, auth_password_file, auth_secret_file, auth_identity;
    struct secret auth_password, auth_secret;
    struct config_pairs headers; /* names in the canonical form: "Reply-To" */
    struct view html, text;
    int8_t require_tls;                  /* 0 or 1 once loaded */
    int8_t force_implicit_tls;           /* -1: by the port (465) */
    const struct config_tls *tls_config; /* not NULL once loaded */
    bool threading_enabled;
    struct view thread_by_date; /* "none" or "daily" when threading is enabled */
};

struct incidentio_receiver {
    struct receiver_common common;
    struct view url, url_file; /* one of both is set */
    struct secret alert_source_token;
    struct view alert_source_token_file;
    uint64_t max_alerts; /* 0: all */
    const struct yaml_node *timeout;
    int64_t timeout_ms; /* 0: none; of all kinds that have it */
};

/* A text that an update of the issue may leave as it is. */
struct jira_text {
    struct view template;
    bool enable_update;
};

struct jira_receiver {
    struct receiver_common common;
    struct view api_url, api_type; /* api_type: auto, cloud or datacenter */
    struct view project, priority, issue_type;
    const struct yaml_node *summary_node, *description_node, *labels_node;
    struct jira_text summary, description;
    struct config_strings labels;
    bool labels_enable_update;
    struct view reopen_transition, resolve_transition, wont_fix_resolution;
    int64_t reopen_duration_ms;
    const struct yaml_node *fields; /* a mapping; NULL: none */
};

struct message_field {
    struct view title, value;
    int8_t is_short; /* -1: as short_fields says */
};
struct message_fields {
    struct message_field *items;
    size_t count;
};

struct mattermost_attachment {
    struct view fallback, color, pretext, text, author_name, author_link, author_icon, title,
        title_link, thumb_url, footer, footer_icon, image_url;
    struct message_fields fields;
};
struct mattermost_attachments {
    struct mattermost_attachment *items;
    size_t count;
};
struct mattermost_priority {
    struct view priority;
    bool requested_ack, persistent_notifications;
};
struct mattermost_props {
    struct view card;
};

struct mattermost_receiver {
    struct receiver_common common;
    struct secret webhook_url;
    struct view webhook_url_file;
    struct view channel, username, icon_url, icon_emoji, type;
    struct mattermost_attachment message; /* the fields of an attachment stand among its own */
    struct mattermost_attachments attachments;
    const struct mattermost_props *props;       /* or NULL */
    const struct mattermost_priority *priority; /* or NULL */
};

/* msteams_configs and msteamsv2_configs (which has no summary). */
struct msteams_receiver {
    struct receiver_common common;
    struct secret webhook_url; /* one of both is set */
    struct view webhook_url_file;
    struct view title, summary, text;
};

struct opsgenie_responder {
    struct view id, name, username; /* at least one is set */
    struct view type;               /* team, teams, user, escalation, schedule, or a template */
};
struct opsgenie_responders {
    struct opsgenie_responder *items;
    size_t count;
};

struct opsgenie_receiver {
    struct receiver_common common;
    struct secret api_key;
    struct view api_key_file, api_url;
    struct view message, description, source, entity, actions, tags, note, priority;
    struct config_pairs details;
    struct opsgenie_responders responders;
    bool update_alerts;
};

struct pagerduty_link {
    struct view href, text;
};
struct pagerduty_links {
    struct pagerduty_link *items;
    size_t count;
};
struct pagerduty_image {
    struct view src, alt, href;
};
struct pagerduty_images {
    struct pagerduty_image *items;
    size_t count;
};

struct pagerduty_receiver {
    struct receiver_common common;
    struct secret service_key, routing_key; /* at least one, here or in a file */
    struct view service_key_file, routing_key_file, url;
    struct view client, client_url, description, source, severity, class, component, group;
    const struct yaml_node
        *details; /* a mapping whose texts are templates; NULL: none of its own */
    struct pagerduty_images images;
    struct pagerduty_links links;
    const struct yaml_node *timeout;
    int64_t timeout_ms;
};

struct pushover_receiver {
    struct receiver_common common;
    struct secret user_key, token; /* here or in a file */
    struct view user_key_file, token_file;
    struct view title, message, url, url_title, device, sound, priority;
    const struct yaml_node *retry, *expire, *ttl;
    int64_t retry_ms, expire_ms, ttl_ms;
    bool html, monospace; /* at most one */
};

struct rocketchat_action {
    struct view type, text, url, image_url, webview_height_ratio, msg, msg_processing_type;
    bool is_webview, msg_in_chat_window;
};
struct rocketchat_actions {
    struct rocketchat_action *items;
    size_t count;
};

struct rocketchat_receiver {
    struct receiver_common common;
    struct view api_url;
    struct secret token_id, token; /* here or in a file */
    struct view token_id_file, token_file;
    struct view channel, color, title, title_link, text, emoji, icon_url, image_url, thumb_url;
    struct message_fields fields;
    bool short_fields, link_names;
    struct rocketchat_actions actions;
};

struct slack_confirmation {
    struct view text, title, ok_text, dismiss_text;
};
struct slack_action {
    struct view type, text, url, style, name, value;
    const struct slack_confirmation *confirm; /* or NULL */
};
struct slack_actions {
    struct slack_action *items;
    size_t count;
};

struct slack_receiver {
    struct receiver_common common;
    /* A webhook, or the token of an app that is sent to app_url. */
    struct secret api_url, app_token;
    struct view api_url_file, app_token_file, app_url;
    struct view channel, username, color, title, title_link, pretext, text, message_text, footer,
        fallback, callback_id, icon_emoji, icon_url, image_url, thumb_url;
    struct message_fields fields;
    bool short_fields, link_names, update_message;
    struct config_strings mrkdwn_in;
    struct slack_actions actions;
    const struct yaml_node *timeout;
    int64_t timeout_ms;
};

struct sns_receiver {
    struct receiver_common common;
    struct view api_url, topic_arn, phone_number, target_arn, subject, message;
    struct config_sigv4 sigv4; /* without service_name */
    struct config_pairs attributes;
    bool use_aws_http_client;
};

struct telegram_receiver {
    struct receiver_common common;
    struct view api_url;
    struct secret bot_token;
    struct view bot_token_file;
    int64_t chat_id; /* 0: in the file */
    struct view chat_id_file;
    int64_t message_thread_id;
    struct view message, parse_mode; /* parse_mode: "", Markdown, MarkdownV2 or HTML */
    bool disable_notifications;
    const struct yaml_node *timeout;
    int64_t timeout_ms;
};

struct victorops_receiver {
    struct receiver_common common;
    struct secret api_key;
    struct view api_key_file, api_url;
    struct view routing_key, message_type, state_message, entity_display_name, monitoring_tool;
    struct config_pairs custom_fields;
};

struct webex_receiver {
    struct receiver_common common;
    struct view api_url, message, room_id;
};

struct webhook_receiver {
    struct receiver_common common;
    struct secret url; /* a template; one of both is set */
    struct view url_file;
    uint64_t max_alerts; /* 0: all */
    const struct yaml_node *timeout;
    int64_t timeout_ms;
    const struct yaml_node *payload; /* as written; NULL: Alertmanager's own */
};

struct wechat_receiver {
    struct receiver_common common;
    struct secret api_secret;
    struct view api_secret_file, corp_id, api_url;
    struct view message, to_user, to_party, to_tag, agent_id;
    struct view message_type; /* text or markdown */
};

/* kind: its struct is KIND_receiver, its field in the file KIND_configs. */
#define RECEIVER_KINDS(X)                                                                          \
    X(discord, discord)                                                                            \
    X(email, email)                                                                                \
    X(incidentio, incidentio)                                                                      \
    X(jira, jira)                                                                                  \
    X(mattermost, mattermost)                                                                      \
    X(msteams, msteams)                                                                            \
    X(msteamsv2, msteams)                                                                          \
    X(opsgenie, opsgenie)                                                                          \
    X(pagerduty, pagerduty)                                                                        \
    X(pushover, pushover)                                                                          \
    X(rocketchat, rocketchat)                                                                      \
    X(slack, slack)                                                                                \
    X(sns, sns)                                                                                    \
    X(telegram, telegram)                                                                          \
    X(victorops, victorops)                                                                        \
    X(webex, webex)                                                                                \
    X(webhook, webhook)                                                                            \
    X(wechat, wechat)

struct receiver {
    const struct yaml_node *node;
    struct view name; /* not empty, unique */
#define X(kind, type)                                                                              \
    struct {                                                                                       \
        struct type##_receiver *items;                                                             \
        size_t count;                                                                              \
    } kind##_configs;
    RECEIVER_KINDS(X)
#undef X
};
struct receivers {
    struct receiver *items;
    size_t count;
};

/* Adds all secrets that stand in the settings (struct KIND_receiver) of a kind of notification; not those of files. */
void receiver_secrets(const char *kind, const void *settings, struct redaction *out);

#endif
