/* SPDX-License-Identifier: Apache-2.0 */
/* alert_config_finish.c: what a receiver does not say and `global` does, in Alertmanager's order of checks. */
#include "alerting/alert_config_private.h"

#include "base/assert.h"
#include "base/map.h"

static void inherit(struct view *own, struct view global)
{
    if (own->len == 0)
        *own = global;
}

/* NAME and NAME_file are inherited together, where neither was said. */
static void inherit_secret(struct secret *own, struct view *own_file, struct secret global,
                           struct view global_file)
{
    if (secret_is_set(own) || own_file->len)
        return;
    *own = global;
    *own_file = global_file;
}

static bool has(const struct secret *secret, struct view file)
{
    return secret_is_set(secret) || file.len > 0;
}

static bool need(struct loader *l, const struct receiver_common *common, bool there,
                 const char *sentence)
{
    return there || yaml_error(l->err, common->node, "%s", sentence);
}

/* Paths of APIs end with a slash, so that names can be put behind them. */
static void end_with_slash(struct loader *l, struct view *url)
{
    if (!view_has_suffix(*url, VIEW("/")))
        *url = arena_printf(l->arena, "%.*s/", VIEW_ARGS(*url));
}

static bool finish_email(struct loader *l, const struct alert_global *g, struct email_receiver *r)
{
    inherit(&r->smarthost, g->smtp_smarthost);
    inherit(&r->from, g->smtp_from);
    inherit(&r->hello, g->smtp_hello);
    inherit(&r->auth_username, g->smtp_auth_username);
    inherit(&r->auth_identity, g->smtp_auth_identity);
    inherit_secret(&r->auth_password, &r->auth_password_file, g->smtp_auth_password,
                   g->smtp_auth_password_file);
    inherit_secret(&r->auth_secret, &r->auth_secret_file, g->smtp_auth_secret,
                   g->smtp_auth_secret_file);
    if (!r->tls_config)
        r->tls_config = g->smtp_tls_config;
    if (r->require_tls < 0)
        r->require_tls = g->smtp_require_tls;
    if (r->force_implicit_tls < 0)
        r->force_implicit_tls = g->smtp_force_implicit_tls;
    return need(l, &r->common, r->smarthost.len, "no global SMTP smarthost set") &&
           need(l, &r->common, r->from.len, "no global SMTP from set");
}

/* A token is sent as that of the HTTP client, to the app's URL. */
static bool finish_slack(struct loader *l, const struct alert_global *g, struct slack_receiver *r)
{
    bool own_authorization =
        r->common.http_config != g->http_config && r->common.http_config->authorization != NULL;
    inherit(&r->app_url, g->slack_app_url);
    if (!own_authorization && !secret_is_set(&r->api_url))
        inherit_secret(&r->app_token, &r->app_token_file, g->slack_app_token,
                       g->slack_app_token_file);
    inherit_secret(&r->api_url, &r->api_url_file, g->slack_api_url, g->slack_api_url_file);
    if (!need(l, &r->common,
              has(&r->api_url, r->api_url_file) || has(&r->app_token, r->app_token_file),
              "no Slack API URL nor App token set either inline or in a file"))
        return false;
    if (!has(&r->app_token, r->app_token_file))
        return true;
    if (r->common.http_config->authorization)
        return need(l, &r->common, false,
                    "http authorization can't be set when using Slack App tokens");
    struct config_http_client *http = ARENA_NEW(l->arena, struct config_http_client);
    struct config_authorization *bearer = ARENA_NEW(l->arena, struct config_authorization);
    *bearer = (struct config_authorization){VIEW("Bearer"), r->app_token, r->app_token_file};
    *http = *r->common.http_config;
    http->authorization = bearer;
    r->common.http_config = http;
    r->api_url = secret_from(r->app_url);
    return true;
}

static bool finish_opsgenie(struct loader *l, const struct alert_global *g,
                            struct opsgenie_receiver *r)
{
    inherit(&r->api_url, g->opsgenie_api_url);
    inherit_secret(&r->api_key, &r->api_key_file, g->opsgenie_api_key, g->opsgenie_api_key_file);
    if (!need(l, &r->common, r->api_url.len, "no global OpsGenie URL set"))
        return false;
    end_with_slash(l, &r->api_url);
    return need(l, &r->common, has(&r->api_key, r->api_key_file),
                "no global OpsGenie API Key set either inline or in a file");
}

static bool finish_wechat(struct loader *l, const struct alert_global *g, struct wechat_receiver *r)
{
    inherit(&r->api_url, g->wechat_api_url);
    inherit(&r->corp_id, g->wechat_api_corp_id);
    inherit_secret(&r->api_secret, &r->api_secret_file, g->wechat_api_secret,
                   g->wechat_api_secret_file);
    if (!need(l, &r->common, r->api_url.len, "no global Wechat URL set") ||
        !need(l, &r->common, has(&r->api_secret, r->api_secret_file),
              "no global Wechat Api Secret set either inline or in a file") ||
        !need(l, &r->common, r->corp_id.len, "no global Wechat CorpID set"))
        return false;
    end_with_slash(l, &r->api_url);
    return true;
}

static bool finish_victorops(struct loader *l, const struct alert_global *g,
                             struct victorops_receiver *r)
{
    inherit(&r->api_url, g->victorops_api_url);
    inherit_secret(&r->api_key, &r->api_key_file, g->victorops_api_key, g->victorops_api_key_file);
    if (!need(l, &r->common, r->api_url.len, "no global VictorOps URL set"))
        return false;
    end_with_slash(l, &r->api_url);
    return need(l, &r->common, has(&r->api_key, r->api_key_file),
                "no global VictorOps API Key set");
}

static bool finish_rocketchat(struct loader *l, const struct alert_global *g,
                              struct rocketchat_receiver *r)
{
    inherit(&r->api_url, g->rocketchat_api_url);
    inherit_secret(&r->token_id, &r->token_id_file, g->rocketchat_token_id,
                   g->rocketchat_token_id_file);
    inherit_secret(&r->token, &r->token_file, g->rocketchat_token, g->rocketchat_token_file);
    return need(l, &r->common, has(&r->token_id, r->token_id_file),
                "no global Rocketchat TokenID set either inline or in a file") &&
           need(l, &r->common, has(&r->token, r->token_file),
                "no global Rocketchat Token set either inline or in a file");
}

static bool finish_telegram(struct loader *l, const struct alert_global *g,
                            struct telegram_receiver *r)
{
    inherit(&r->api_url, g->telegram_api_url);
    inherit_secret(&r->bot_token, &r->bot_token_file, g->telegram_bot_token,
                   g->telegram_bot_token_file);
    return need(l, &r->common, has(&r->bot_token, r->bot_token_file),
                "missing bot_token or bot_token_file on telegram_config");
}

static bool finish_mattermost(struct loader *l, const struct alert_global *g,
                              struct mattermost_receiver *r)
{
    inherit_secret(&r->webhook_url, &r->webhook_url_file, g->mattermost_webhook_url,
                   g->mattermost_webhook_url_file);
    return need(l, &r->common, has(&r->webhook_url, r->webhook_url_file),
                "missing webhook_url or webhook_url_file on mattermost_config");
}

static bool finish_pagerduty(struct loader *l, const struct alert_global *g,
                             struct pagerduty_receiver *r)
{
    inherit(&r->url, g->pagerduty_url);
    return need(l, &r->common, r->url.len, "no global PagerDuty URL set");
}

static bool finish_webex(struct loader *l, const struct alert_global *g, struct webex_receiver *r)
{
    inherit(&r->api_url, g->webex_api_url);
    return need(l, &r->common, r->api_url.len, "no global Webex URL set");
}

static bool finish_jira(struct loader *l, const struct alert_global *g, struct jira_receiver *r)
{
    inherit(&r->api_url, g->jira_api_url);
    return need(l, &r->common, r->api_url.len, "no global Jira Cloud URL set");
}

#define NOTHING_OF_GLOBAL(kind)                                                                    \
    static bool finish_##kind(struct loader *l, const struct alert_global *g, void *r)             \
    {                                                                                              \
        (void)l, (void)g, (void)r;                                                                 \
        return true;                                                                               \
    }
NOTHING_OF_GLOBAL(discord)
NOTHING_OF_GLOBAL(incidentio)
NOTHING_OF_GLOBAL(msteams)
NOTHING_OF_GLOBAL(msteamsv2)
NOTHING_OF_GLOBAL(pushover)
NOTHING_OF_GLOBAL(sns)
NOTHING_OF_GLOBAL(webhook)

static bool finish_receiver(struct loader *l, const struct alert_global *g, struct receiver *r)
{
#define X(kind, type)                                                                              \
    for (size_t i = 0; i < r->kind##_configs.count; i++) {                                         \
        struct receiver_common *common = &r->kind##_configs.items[i].common;                       \
        if (!common->http_config)                                                                  \
            common->http_config = g->http_config;                                                  \
        if (!finish_##kind(l, g, &r->kind##_configs.items[i]))                                     \
            return false;                                                                          \
    }
    RECEIVER_KINDS(X)
#undef X
    return true;
}

bool alert_config_finish_receivers(struct loader *l, struct alert_config *c,
                                   struct string_map *names)
{
    bool ok = true;
    for (size_t i = 0; i < c->receivers.count && ok; i++) {
        struct receiver *r = &c->receivers.items[i];
        uint64_t first;
        if (string_map_get(names, r->name, &first))
            ok = yaml_error(l->err, yaml_place(r->node, "name"),
                            "notification config name \"%.*s\" is not unique",
                            VIEW_ARGS(view_slice(r->name, 0, 200)));
        else
            ok = finish_receiver(l, &c->global, r);
        string_map_set(names, r->name, i);
    }
    return ok;
}
