/* SPDX-License-Identifier: Apache-2.0 */
/* receivers_chat.c: the tables of receivers where people talk: their fields, defaults and what each must say. */
#include "alerting/receivers_private.h"

#include "base/assert.h"

/* --- titles and values, of several kinds --- */

static bool slack_field_check(struct loader *l, const struct yaml_node *node, void *object)
{
    const struct message_field *f = object;
    if (f->title.len == 0)
        return receiver_fail(l, node, "missing title in Slack field configuration");
    return f->value.len > 0 || receiver_fail(l, node, "missing value in Slack field configuration");
}

static bool mattermost_field_check(struct loader *l, const struct yaml_node *node, void *object)
{
    const struct message_field *f = object;
    if (f->title.len == 0)
        return receiver_fail(l, node, "missing title in Mattermost field configuration");
    return f->value.len > 0 ||
           receiver_fail(l, node, "missing value in Mattermost field configuration");
}

static void message_field_defaults(void *object)
{
    ((struct message_field *)object)->is_short = -1;
}

static const struct field MESSAGE_FIELD_FIELDS[] = {
    {F(message_field, title, FIELD_STRING)},
    {F(message_field, value, FIELD_STRING)},
    {"short", FIELD_TRISTATE, offsetof(struct message_field, is_short)},
};
#define MESSAGE_FIELD(name, what, check)                                                           \
    static const struct section name = {what,                                                      \
                                        sizeof(struct message_field),                              \
                                        MESSAGE_FIELD_FIELDS,                                      \
                                        ARRAY_COUNT(MESSAGE_FIELD_FIELDS),                         \
                                        message_field_defaults,                                    \
                                        check}
MESSAGE_FIELD(SLACK_FIELD_SECTION, "a Slack field", slack_field_check);
MESSAGE_FIELD(MATTERMOST_FIELD_SECTION, "a Mattermost field", mattermost_field_check);
MESSAGE_FIELD(ROCKETCHAT_FIELD_SECTION, "a Rocketchat field", NULL);

/* --- discord --- */

static void discord_defaults(void *object)
{
    struct discord_receiver *r = object;
    r->common.send_resolved = true;
    r->title = TEMPLATE("discord.default.title");
    r->message = TEMPLATE("discord.default.message");
}

static const struct field DISCORD_FIELDS[] = {
    COMMON,
    SECRET_URL(discord, webhook_url),
    PATH(discord, webhook_url_file),
    TEXT(discord, content),
    TEXT(discord, title),
    TEXT(discord, message),
    TEXT(discord, username),
    TEXT(discord, avatar_url),
};
static bool discord_check(struct loader *l, const struct yaml_node *node, void *object);
SECTION(discord, DISCORD_FIELDS);

static bool discord_check(struct loader *l, const struct yaml_node *node, void *object)
{
    struct discord_receiver *r = object;
    return receiver_check_common(l, &RECEIVER_discord_SECTION, node, r) &&
           receiver_check_secret(l, node, &r->webhook_url, r->webhook_url_file, "webhook_url",
                                 "webhook_url_file", true);
}

/* --- mattermost --- */

static void mattermost_defaults(void *object)
{
    struct mattermost_receiver *r = object;
    r->common.send_resolved = true;
    r->username = TEMPLATE("mattermost.default.username");
    r->message.color = TEMPLATE("mattermost.default.color");
    r->message.text = TEMPLATE("mattermost.default.text");
    r->message.title = TEMPLATE("mattermost.default.title");
    r->message.title_link = TEMPLATE("mattermost.default.titlelink");
    r->message.fallback = TEMPLATE("mattermost.default.fallback");
}

#define ATTACHMENT_TEXT(member)                                                                    \
    {                                                                                              \
        F(mattermost_attachment, member, FIELD_STRING)                                             \
    }
static const struct field ATTACHMENT_FIELDS[] = {
    ATTACHMENT_TEXT(fallback),
    ATTACHMENT_TEXT(color),
    ATTACHMENT_TEXT(pretext),
    ATTACHMENT_TEXT(text),
    ATTACHMENT_TEXT(author_name),
    ATTACHMENT_TEXT(author_link),
    ATTACHMENT_TEXT(author_icon),
    ATTACHMENT_TEXT(title),
    ATTACHMENT_TEXT(title_link),
    {F(mattermost_attachment, fields, FIELD_LIST), &MATTERMOST_FIELD_SECTION},
    ATTACHMENT_TEXT(thumb_url),
    ATTACHMENT_TEXT(footer),
    ATTACHMENT_TEXT(footer_icon),
    ATTACHMENT_TEXT(image_url),
};
PART(ATTACHMENT_SECTION, "a Mattermost attachment", mattermost_attachment, ATTACHMENT_FIELDS, NULL);

static const struct field PROPS_FIELDS[] = {{F(mattermost_props, card, FIELD_STRING)}};
PART(PROPS_SECTION, "Mattermost props", mattermost_props, PROPS_FIELDS, NULL);
static const struct field PRIORITY_FIELDS[] = {
    {F(mattermost_priority, priority, FIELD_STRING)},
    {F(mattermost_priority, requested_ack, FIELD_BOOL)},
    {F(mattermost_priority, persistent_notifications, FIELD_BOOL)},
};
PART(PRIORITY_SECTION, "a Mattermost priority", mattermost_priority, PRIORITY_FIELDS, NULL);

static const struct field MATTERMOST_FIELDS[] = {
    COMMON,
    SECRET_URL(mattermost, webhook_url),
    PATH(mattermost, webhook_url_file),
    TEXT(mattermost, channel),
    TEXT(mattermost, username),
    TEXT(mattermost, icon_url),
    TEXT(mattermost, icon_emoji),
    TEXT(mattermost, type),
    {"", FIELD_INLINE, offsetof(struct mattermost_receiver, message), &ATTACHMENT_SECTION},
    {F(mattermost_receiver, attachments, FIELD_LIST), &ATTACHMENT_SECTION},
    {F(mattermost_receiver, props, FIELD_POINTER), &PROPS_SECTION},
    {F(mattermost_receiver, priority, FIELD_POINTER), &PRIORITY_SECTION},
};
static bool mattermost_check(struct loader *l, const struct yaml_node *node, void *object);
SECTION(mattermost, MATTERMOST_FIELDS);

static bool mattermost_check(struct loader *l, const struct yaml_node *node, void *object)
{
    struct mattermost_receiver *r = object;
    return receiver_check_common(l, &RECEIVER_mattermost_SECTION, node, r) &&
           receiver_check_secret(l, node, &r->webhook_url, r->webhook_url_file, "webhook_url",
                                 "webhook_url_file", false);
}

/* --- Microsoft Teams, its two ways --- */

static void msteams_defaults(void *object)
{
    struct msteams_receiver *r = object;
    r->common.send_resolved = true;
    r->title = TEMPLATE("msteams.default.title");
    r->summary = TEMPLATE("msteams.default.summary");
    r->text = TEMPLATE("msteams.default.text");
}

static void msteamsv2_defaults(void *object)
{
    struct msteams_receiver *r = object;
    r->common.send_resolved = true;
    r->title = TEMPLATE("msteamsv2.default.title");
    r->text = TEMPLATE("msteamsv2.default.text");
}

static const struct field MSTEAMSV2_FIELDS[] = {
    COMMON,
    SECRET_URL(msteams, webhook_url),
    PATH(msteams, webhook_url_file),
    TEXT(msteams, title),
    TEXT(msteams, text),
};
static const struct field MSTEAMS_FIELDS[] = {
    COMMON,
    SECRET_URL(msteams, webhook_url),
    PATH(msteams, webhook_url_file),
    TEXT(msteams, title),
    TEXT(msteams, summary),
    TEXT(msteams, text),
};
static bool msteams_check(struct loader *l, const struct yaml_node *node, void *object);
SECTION(msteams, MSTEAMS_FIELDS);
const struct section RECEIVER_msteamsv2_SECTION = {
    "msteamsv2_config", sizeof(struct msteams_receiver),
    MSTEAMSV2_FIELDS,   ARRAY_COUNT(MSTEAMSV2_FIELDS),
    msteamsv2_defaults, msteams_check};

static bool msteams_check(struct loader *l, const struct yaml_node *node, void *object)
{
    struct msteams_receiver *r = object;
    return receiver_check_common(l, &RECEIVER_msteams_SECTION, node, r) &&
           receiver_check_secret(l, node, &r->webhook_url, r->webhook_url_file, "webhook_url",
                                 "webhook_url_file", true);
}

/* --- rocketchat --- */

static void rocketchat_defaults(void *object)
{
    struct rocketchat_receiver *r = object;
    r->color = VIEW("{{ if eq .Status \"firing\" }}red{{ else }}green{{ end }}");
    r->emoji = TEMPLATE("rocketchat.default.emoji");
    r->icon_url = TEMPLATE("rocketchat.default.iconurl");
    r->text = TEMPLATE("rocketchat.default.text");
    r->title = TEMPLATE("rocketchat.default.title");
    r->title_link = TEMPLATE("rocketchat.default.titlelink");
}

/* Alertmanager never named these for YAML: they are its Go names in small letters. */
static const struct field ROCKETCHAT_ACTION_FIELDS[] = {
    {F(rocketchat_action, type, FIELD_STRING)},
    {F(rocketchat_action, text, FIELD_STRING)},
    {F(rocketchat_action, url, FIELD_STRING)},
    {"imageurl", FIELD_STRING, offsetof(struct rocketchat_action, image_url)},
    {"iswebview", FIELD_BOOL, offsetof(struct rocketchat_action, is_webview)},
    {"webviewheightratio", FIELD_STRING, offsetof(struct rocketchat_action, webview_height_ratio)},
    {F(rocketchat_action, msg, FIELD_STRING)},
    {"msginchatwindow", FIELD_BOOL, offsetof(struct rocketchat_action, msg_in_chat_window)},
    {"msgprocessingtype", FIELD_STRING, offsetof(struct rocketchat_action, msg_processing_type)},
};
PART(ROCKETCHAT_ACTION_SECTION, "a Rocketchat action", rocketchat_action, ROCKETCHAT_ACTION_FIELDS,
     NULL);

static const struct field ROCKETCHAT_FIELDS[] = {
    COMMON,
    URL(rocketchat, api_url),
    SECRET(rocketchat, token_id),
    PATH(rocketchat, token_id_file),
    SECRET(rocketchat, token),
    PATH(rocketchat, token_file),
    TEXT(rocketchat, channel),
    TEXT(rocketchat, color),
    TEXT(rocketchat, title),
    TEXT(rocketchat, title_link),
    TEXT(rocketchat, text),
    {F(rocketchat_receiver, fields, FIELD_LIST), &ROCKETCHAT_FIELD_SECTION},
    BOOL(rocketchat, short_fields),
    TEXT(rocketchat, emoji),
    TEXT(rocketchat, icon_url),
    TEXT(rocketchat, image_url),
    TEXT(rocketchat, thumb_url),
    BOOL(rocketchat, link_names),
    {F(rocketchat_receiver, actions, FIELD_LIST), &ROCKETCHAT_ACTION_SECTION},
};
static bool rocketchat_check(struct loader *l, const struct yaml_node *node, void *object);
SECTION(rocketchat, ROCKETCHAT_FIELDS);

static bool rocketchat_check(struct loader *l, const struct yaml_node *node, void *object)
{
    struct rocketchat_receiver *r = object;
    return receiver_check_common(l, &RECEIVER_rocketchat_SECTION, node, r) &&
           receiver_check_secret(l, node, &r->token, r->token_file, "token", "token_file", false) &&
           receiver_check_secret(l, node, &r->token_id, r->token_id_file, "token_id",
                                 "token_id_file", false);
}

/* --- slack --- */

static void slack_defaults(void *object)
{
    struct slack_receiver *r = object;
    r->color = VIEW("{{ if eq .Status \"firing\" }}danger{{ else }}good{{ end }}");
    r->username = TEMPLATE("slack.default.username");
    r->title = TEMPLATE("slack.default.title");
    r->title_link = TEMPLATE("slack.default.titlelink");
    r->icon_emoji = TEMPLATE("slack.default.iconemoji");
    r->icon_url = TEMPLATE("slack.default.iconurl");
    r->pretext = TEMPLATE("slack.default.pretext");
    r->text = TEMPLATE("slack.default.text");
    r->fallback = TEMPLATE("slack.default.fallback");
    r->callback_id = TEMPLATE("slack.default.callbackid");
    r->footer = TEMPLATE("slack.default.footer");
}

static bool confirmation_check(struct loader *l, const struct yaml_node *node, void *object)
{
    return ((struct slack_confirmation *)object)->text.len > 0 ||
           receiver_fail(l, node, "missing text in Slack confirmation configuration");
}

static const struct field CONFIRMATION_FIELDS[] = {
    {F(slack_confirmation, text, FIELD_STRING)},
    {F(slack_confirmation, title, FIELD_STRING)},
    {F(slack_confirmation, ok_text, FIELD_STRING)},
    {F(slack_confirmation, dismiss_text, FIELD_STRING)},
};
PART(CONFIRMATION_SECTION, "a Slack confirmation", slack_confirmation, CONFIRMATION_FIELDS,
     confirmation_check);

static bool action_check(struct loader *l, const struct yaml_node *node, void *object)
{
    struct slack_action *a = object;
    if (a->type.len == 0)
        return receiver_fail(l, node, "missing type in Slack action configuration");
    if (a->text.len == 0)
        return receiver_fail(l, node, "missing text in Slack action configuration");
    if (a->url.len == 0 && a->name.len == 0)
        return receiver_fail(l, node, "missing name or url in Slack action configuration");
    if (a->url.len) { /* a link has nothing of a button that answers */
        a->name = a->value = VIEW("");
        a->confirm = NULL;
    }
    return true;
}

static const struct field ACTION_FIELDS[] = {
    {F(slack_action, type, FIELD_STRING)},
    {F(slack_action, text, FIELD_STRING)},
    {F(slack_action, url, FIELD_STRING)},
    {F(slack_action, style, FIELD_STRING)},
    {F(slack_action, name, FIELD_STRING)},
    {F(slack_action, value, FIELD_STRING)},
    {F(slack_action, confirm, FIELD_POINTER), &CONFIRMATION_SECTION},
};
PART(ACTION_SECTION, "a Slack action", slack_action, ACTION_FIELDS, action_check);

static const struct field SLACK_FIELDS[] = {
    COMMON,
    SECRET_URL(slack, api_url),
    PATH(slack, api_url_file),
    SECRET(slack, app_token),
    PATH(slack, app_token_file),
    URL(slack, app_url),
    TEXT(slack, channel),
    TEXT(slack, username),
    TEXT(slack, color),
    TEXT(slack, title),
    TEXT(slack, title_link),
    TEXT(slack, pretext),
    TEXT(slack, text),
    TEXT(slack, message_text),
    {F(slack_receiver, fields, FIELD_LIST), &SLACK_FIELD_SECTION},
    BOOL(slack, short_fields),
    TEXT(slack, footer),
    TEXT(slack, fallback),
    TEXT(slack, callback_id),
    TEXT(slack, icon_emoji),
    TEXT(slack, icon_url),
    TEXT(slack, image_url),
    TEXT(slack, thumb_url),
    BOOL(slack, link_names),
    {F(slack_receiver, mrkdwn_in, FIELD_STRINGS)},
    {F(slack_receiver, actions, FIELD_LIST), &ACTION_SECTION},
    BOOL(slack, update_message),
    RAW(slack, timeout),
};
static bool slack_check(struct loader *l, const struct yaml_node *node, void *object);
SECTION(slack, SLACK_FIELDS);

static bool slack_check(struct loader *l, const struct yaml_node *node, void *object)
{
    struct slack_receiver *r = object;
    bool url = secret_is_set(&r->api_url) || r->api_url_file.len;
    bool token = secret_is_set(&r->app_token) || r->app_token_file.len;
    if (!receiver_check_common(l, &RECEIVER_slack_SECTION, node, r) ||
        !receiver_read_duration(l, r->timeout, "timeout", &r->timeout_ms) ||
        !receiver_check_secret(l, node, &r->api_url, r->api_url_file, "api_url", "api_url_file",
                               false) ||
        !receiver_check_secret(l, node, &r->app_token, r->app_token_file, "app_token",
                               "app_token_file", false))
        return false;
    if (url && token)
        return receiver_fail(
            l, node,
            "at most one of api_url/api_url_file & app_token/app_token_file must be "
            "configured");
    return !r->update_message || view_is(secret_reveal(&r->api_url), SLACK_POST_MESSAGE) ||
           receiver_fail(l, yaml_place(node, "update_message"),
                         "update_message can only be used with bot tokens. api_url must be set "
                         "to " SLACK_POST_MESSAGE);
}

/* --- telegram --- */

static void telegram_defaults(void *object)
{
    struct telegram_receiver *r = object;
    r->common.send_resolved = true;
    r->message = TEMPLATE("telegram.default.message");
    r->parse_mode = VIEW("HTML");
}

static const struct field TELEGRAM_FIELDS[] = {
    COMMON,
    URL(telegram, api_url),
    SECRET(telegram, bot_token),
    PATH(telegram, bot_token_file),
    {F(telegram_receiver, chat_id, FIELD_INT)},
    PATH(telegram, chat_id_file),
    {F(telegram_receiver, message_thread_id, FIELD_INT)},
    TEXT(telegram, message),
    BOOL(telegram, disable_notifications),
    TEXT(telegram, parse_mode),
    RAW(telegram, timeout),
};
static bool telegram_check(struct loader *l, const struct yaml_node *node, void *object);
SECTION(telegram, TELEGRAM_FIELDS);

static bool telegram_check(struct loader *l, const struct yaml_node *node, void *object)
{
    static const char *const MODES[] = {"", "Markdown", "MarkdownV2", "HTML"};
    struct telegram_receiver *r = object;
    bool known = false;
    if (!receiver_check_common(l, &RECEIVER_telegram_SECTION, node, r) ||
        !receiver_read_duration(l, r->timeout, "timeout", &r->timeout_ms) ||
        !receiver_check_secret(l, node, &r->bot_token, r->bot_token_file, "bot_token",
                               "bot_token_file", false))
        return false;
    if (r->chat_id == 0 && r->chat_id_file.len == 0)
        return receiver_fail(l, node, "missing chat_id or chat_id_file on telegram_config");
    if (!alert_config_one_of(l, node, r->chat_id != 0, r->chat_id_file.len, "chat_id",
                             "chat_id_file"))
        return false;
    for (size_t i = 0; i < ARRAY_COUNT(MODES); i++)
        known |= view_is(r->parse_mode, MODES[i]);
    return known ||
           receiver_fail(l, yaml_place(node, "parse_mode"),
                         "unknown parse_mode on telegram_config, must be Markdown, MarkdownV2, "
                         "HTML or empty string");
}

/* --- webex --- */

static void webex_defaults(void *object)
{
    struct webex_receiver *r = object;
    r->common.send_resolved = true;
    r->message = TEMPLATE("webex.default.message");
}

static const struct field WEBEX_FIELDS[] = {
    COMMON,
    URL(webex, api_url),
    TEXT(webex, message),
    TEXT(webex, room_id),
};
static bool webex_check(struct loader *l, const struct yaml_node *node, void *object);
SECTION(webex, WEBEX_FIELDS);

static bool webex_check(struct loader *l, const struct yaml_node *node, void *object)
{
    struct webex_receiver *r = object;
    if (!receiver_check_common(l, &RECEIVER_webex_SECTION, node, r))
        return false;
    if (r->room_id.len == 0)
        return receiver_fail(l, node, "missing room_id on webex_config");
    return (r->common.http_config && r->common.http_config->authorization) ||
           receiver_fail(l, node, "missing webex_configs.http_config.authorization");
}

/* --- wechat --- */

static void wechat_defaults(void *object)
{
    struct wechat_receiver *r = object;
    r->message = TEMPLATE("wechat.default.message");
    r->to_user = TEMPLATE("wechat.default.to_user");
    r->to_party = TEMPLATE("wechat.default.to_party");
    r->to_tag = TEMPLATE("wechat.default.to_tag");
    r->agent_id = TEMPLATE("wechat.default.agent_id");
}

static const struct field WECHAT_FIELDS[] = {
    COMMON,
    SECRET(wechat, api_secret),
    PATH(wechat, api_secret_file),
    TEXT(wechat, corp_id),
    TEXT(wechat, message),
    URL(wechat, api_url),
    TEXT(wechat, to_user),
    TEXT(wechat, to_party),
    TEXT(wechat, to_tag),
    TEXT(wechat, agent_id),
    TEXT(wechat, message_type),
};
static bool wechat_check(struct loader *l, const struct yaml_node *node, void *object);
SECTION(wechat, WECHAT_FIELDS);

static bool wechat_check(struct loader *l, const struct yaml_node *node, void *object)
{
    struct wechat_receiver *r = object;
    if (r->message_type.len == 0)
        r->message_type = VIEW("text");
    if (!receiver_check_common(l, &RECEIVER_wechat_SECTION, node, r))
        return false;
    if (!view_is(r->message_type, "text") && !view_is(r->message_type, "markdown"))
        return yaml_error(
            l->err, yaml_place(node, "message_type"),
            "weChat message type \"%.*s\" does not match valid options ^(text|markdown)$",
            VIEW_ARGS(view_slice(r->message_type, 0, 100)));
    return receiver_check_secret(l, node, &r->api_secret, r->api_secret_file, "api_secret",
                                 "api_secret_file", false);
}
