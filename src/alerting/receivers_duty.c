/* SPDX-License-Identifier: Apache-2.0 */
/* receivers_duty.c: the tables of receivers that page people or keep issues: their fields, defaults and what each must
 * say. */
#include "alerting/receivers_private.h"

#include "base/assert.h"
#include "template/template.h"

/* --- incident.io --- */

static void incidentio_defaults(void *object)
{
    ((struct incidentio_receiver *)object)->common.send_resolved = true;
}

static const struct field INCIDENTIO_FIELDS[] = {
    COMMON,
    URL(incidentio, url),
    PATH(incidentio, url_file),
    SECRET(incidentio, alert_source_token),
    PATH(incidentio, alert_source_token_file),
    {F(incidentio_receiver, max_alerts, FIELD_UINT)},
    RAW(incidentio, timeout),
};
static bool incidentio_check(struct loader *l, const struct yaml_node *node, void *object);
SECTION(incidentio, INCIDENTIO_FIELDS);

static bool incidentio_check(struct loader *l, const struct yaml_node *node, void *object)
{
    struct incidentio_receiver *r = object;
    const struct config_http_client *http = r->common.http_config;
    bool token = secret_is_set(&r->alert_source_token) || r->alert_source_token_file.len;
    if (!receiver_check_common(l, &RECEIVER_incidentio_SECTION, node, r) ||
        !receiver_read_duration(l, r->timeout, "timeout", &r->timeout_ms))
        return false;
    if (r->url.len == 0 && r->url_file.len == 0)
        return receiver_fail(l, node, "one of url or url_file must be configured");
    if (!alert_config_one_of(l, node, r->url.len, r->url_file.len, "url", "url_file") ||
        !receiver_check_secret(l, node, &r->alert_source_token, r->alert_source_token_file,
                               "alert_source_token", "alert_source_token_file", false))
        return false;
    if (http && http->authorization && token)
        return receiver_fail(
            l, node,
            "cannot specify alert_source_token or alert_source_token_file when using "
            "http_config.authorization");
    return !http || http->authorization || token ||
           receiver_fail(l, node,
                         "at least one of alert_source_token, alert_source_token_file or "
                         "http_config.authorization must be configured");
}

/* --- jira --- */

static void jira_defaults(void *object)
{
    struct jira_receiver *r = object;
    r->common.send_resolved = true;
    r->api_type = VIEW("auto");
    r->summary = (struct jira_text){TEMPLATE("jira.default.summary"), true};
    r->description = (struct jira_text){TEMPLATE("jira.default.description"), true};
    r->priority = TEMPLATE("jira.default.priority");
    r->labels_enable_update = true;
}

static const struct field JIRA_FIELDS[] = {
    COMMON,
    URL(jira, api_url),
    TEXT(jira, api_type),
    TEXT(jira, project),
    {"summary", FIELD_RAW, offsetof(struct jira_receiver, summary_node)},
    {"description", FIELD_RAW, offsetof(struct jira_receiver, description_node)},
    {"labels", FIELD_RAW, offsetof(struct jira_receiver, labels_node)},
    TEXT(jira, priority),
    TEXT(jira, issue_type),
    TEXT(jira, reopen_transition),
    TEXT(jira, resolve_transition),
    TEXT(jira, wont_fix_resolution),
    {"reopen_duration", FIELD_DURATION, offsetof(struct jira_receiver, reopen_duration_ms)},
    RAW(jira, fields),
};
static bool jira_check(struct loader *l, const struct yaml_node *node, void *object);
SECTION(jira, JIRA_FIELDS);

static const struct field JIRA_TEXT_FIELDS[] = {
    {F(jira_text, template, FIELD_STRING)},
    {F(jira_text, enable_update, FIELD_BOOL)},
};
/* The defaults depend on the field, so they are put back after reading. */
PART(JIRA_TEXT_SECTION, "a Jira field", jira_text, JIRA_TEXT_FIELDS, NULL);

/* A text, or a mapping with the text and whether updates write it. */
static bool read_jira_text(struct loader *l, const struct yaml_node *node, struct jira_text *out)
{
    struct jira_text before = *out;
    if (!node)
        return true;
    if (node->kind == YAML_SCALAR) {
        out->template = node->text;
        return true;
    }
    if (!config_read_section(l, &JIRA_TEXT_SECTION, node, out))
        return false;
    if (!yaml_find(node, "template"))
        out->template = before.template;
    if (yaml_is_null(yaml_find(node, "enable_update")))
        out->enable_update = before.enable_update;
    return true;
}

struct jira_labels {
    struct config_strings values;
    int8_t enable_update;
};
static const struct field JIRA_LABELS_FIELDS[] = {
    {F(jira_labels, values, FIELD_STRINGS)},
    {F(jira_labels, enable_update, FIELD_TRISTATE)},
};
PART(JIRA_LABELS_SECTION, "Jira labels", jira_labels, JIRA_LABELS_FIELDS, NULL);

static bool read_jira_labels(struct loader *l, const struct yaml_node *node,
                             struct jira_receiver *r)
{
    struct jira_labels labels;
    if (!node)
        return true;
    if (node->kind == YAML_SEQUENCE) {
        r->labels.items = ARENA_ARRAY(l->arena, struct view, node->count + 1);
        for (uint32_t i = 0; i < node->count; i++) {
            if (node->items[i]->kind != YAML_SCALAR)
                return yaml_error(l->err, node->items[i], "a label was expected, not %s",
                                  yaml_describe(node->items[i]));
            r->labels.items[r->labels.count++] = node->items[i]->text;
        }
        return true;
    }
    if (!config_read_section(l, &JIRA_LABELS_SECTION, node, &labels))
        return false;
    r->labels = labels.values;
    if (!yaml_is_null(yaml_find(node, "enable_update")))
        r->labels_enable_update = labels.enable_update != 0;
    return true;
}

static bool jira_check(struct loader *l, const struct yaml_node *node, void *object)
{
    struct jira_receiver *r = object;
    if (!receiver_check_common(l, &RECEIVER_jira_SECTION, node, r) ||
        !read_jira_text(l, r->summary_node, &r->summary) ||
        !read_jira_text(l, r->description_node, &r->description) ||
        !read_jira_labels(l, r->labels_node, r) || !receiver_check_mapping(l, r->fields, "fields"))
        return false;
    if (r->project.len == 0)
        return receiver_fail(l, node, "missing project in jira_config");
    if (r->issue_type.len == 0)
        return receiver_fail(l, node, "missing issue_type in jira_config");
    return view_is(r->api_type, "auto") || view_is(r->api_type, "cloud") ||
           view_is(r->api_type, "datacenter") ||
           receiver_fail(l, yaml_place(node, "api_type"),
                         "unknown api_type on jira_config, must be auto, cloud or datacenter");
}

/* --- opsgenie --- */

static void opsgenie_defaults(void *object)
{
    struct opsgenie_receiver *r = object;
    r->common.send_resolved = true;
    r->message = TEMPLATE("opsgenie.default.message");
    r->description = TEMPLATE("opsgenie.default.description");
    r->source = TEMPLATE("opsgenie.default.source");
}

/* Is it one of the types, or a template that can be parsed? */
static bool responder_check(struct loader *l, const struct yaml_node *node, void *object)
{
    static const char *const TYPES[] = {"team", "teams", "user", "escalation", "schedule"};
    struct opsgenie_responder *r = object;
    const struct yaml_node *place = yaml_place(node, "type");
    if (r->id.len == 0 && r->name.len == 0 && r->username.len == 0)
        return receiver_fail(
            l, node,
            "opsGenieConfig responder has to have at least one of id, username or name "
            "specified");
    for (size_t i = 0; i < ARRAY_COUNT(TYPES); i++) {
        if (view_is_any_case(r->type, TYPES[i])) {
            r->type = view_from(TYPES[i]);
            return true;
        }
    }
    if (r->type.len == 0 || !memmem(r->type.ptr, r->type.len, "{{", 2))
        return receiver_fail(l, place,
                             "opsGenieConfig responder type does not match valid options "
                             "^(team|teams|user|escalation|schedule)$");
    struct template_options options = {.functions = &TEMPLATE_ALERTMANAGER};
    struct template *parsed = NULL;
    struct error why = {0};
    bool ok = template_parse(&parsed, &options, NULL, VIEW("type"), r->type, &why);
    template_free(parsed);
    return ok ||
           yaml_error(l->err, place, "opsGenieConfig responder type is not a valid template: %s",
                      why.message);
}

static const struct field RESPONDER_FIELDS[] = {
    {F(opsgenie_responder, id, FIELD_STRING)},
    {F(opsgenie_responder, name, FIELD_STRING)},
    {F(opsgenie_responder, username, FIELD_STRING)},
    {F(opsgenie_responder, type, FIELD_STRING)},
};
PART(RESPONDER_SECTION, "a responder", opsgenie_responder, RESPONDER_FIELDS, responder_check);

static const struct field OPSGENIE_FIELDS[] = {
    COMMON,
    SECRET(opsgenie, api_key),
    PATH(opsgenie, api_key_file),
    URL(opsgenie, api_url),
    TEXT(opsgenie, message),
    TEXT(opsgenie, description),
    TEXT(opsgenie, source),
    {F(opsgenie_receiver, details, FIELD_PAIRS)},
    TEXT(opsgenie, entity),
    {F(opsgenie_receiver, responders, FIELD_LIST), &RESPONDER_SECTION},
    TEXT(opsgenie, actions),
    TEXT(opsgenie, tags),
    TEXT(opsgenie, note),
    TEXT(opsgenie, priority),
    BOOL(opsgenie, update_alerts),
};
static bool opsgenie_check(struct loader *l, const struct yaml_node *node, void *object);
SECTION(opsgenie, OPSGENIE_FIELDS);

static bool opsgenie_check(struct loader *l, const struct yaml_node *node, void *object)
{
    struct opsgenie_receiver *r = object;
    return receiver_check_common(l, &RECEIVER_opsgenie_SECTION, node, r) &&
           receiver_check_secret(l, node, &r->api_key, r->api_key_file, "api_key", "api_key_file",
                                 false);
}

/* --- pagerduty --- */

static void pagerduty_defaults(void *object)
{
    struct pagerduty_receiver *r = object;
    r->common.send_resolved = true;
    r->description = VIEW("{{ template \"pagerduty.default.description\" .}}");
    r->client = TEMPLATE("pagerduty.default.client");
    r->client_url = TEMPLATE("pagerduty.default.clientURL");
}

static const struct field LINK_FIELDS[] = {{F(pagerduty_link, href, FIELD_STRING)},
                                           {F(pagerduty_link, text, FIELD_STRING)}};
PART(LINK_SECTION, "a link", pagerduty_link, LINK_FIELDS, NULL);
static const struct field IMAGE_FIELDS[] = {{F(pagerduty_image, src, FIELD_STRING)},
                                            {F(pagerduty_image, alt, FIELD_STRING)},
                                            {F(pagerduty_image, href, FIELD_STRING)}};
PART(IMAGE_SECTION, "an image", pagerduty_image, IMAGE_FIELDS, NULL);

static const struct field PAGERDUTY_FIELDS[] = {
    COMMON,
    SECRET(pagerduty, service_key),
    PATH(pagerduty, service_key_file),
    SECRET(pagerduty, routing_key),
    PATH(pagerduty, routing_key_file),
    URL(pagerduty, url),
    TEXT(pagerduty, client),
    TEXT(pagerduty, client_url),
    TEXT(pagerduty, description),
    RAW(pagerduty, details),
    {F(pagerduty_receiver, images, FIELD_LIST), &IMAGE_SECTION},
    {F(pagerduty_receiver, links, FIELD_LIST), &LINK_SECTION},
    TEXT(pagerduty, source),
    TEXT(pagerduty, severity),
    TEXT(pagerduty, class),
    TEXT(pagerduty, component),
    TEXT(pagerduty, group),
    RAW(pagerduty, timeout),
};
static bool pagerduty_check(struct loader *l, const struct yaml_node *node, void *object);
SECTION(pagerduty, PAGERDUTY_FIELDS);

static bool pagerduty_check(struct loader *l, const struct yaml_node *node, void *object)
{
    struct pagerduty_receiver *r = object;
    bool service = secret_is_set(&r->service_key), routing = secret_is_set(&r->routing_key);
    if (!receiver_check_common(l, &RECEIVER_pagerduty_SECTION, node, r) ||
        !receiver_check_mapping(l, r->details, "details") ||
        !receiver_read_duration(l, r->timeout, "timeout", &r->timeout_ms))
        return false;
    if (!service && !routing && !r->service_key_file.len && !r->routing_key_file.len)
        return receiver_fail(l, node, "missing service or routing key in PagerDuty config");
    if (r->source.len == 0)
        r->source = r->client;
    return alert_config_one_of(l, node, routing, r->routing_key_file.len, "routing_key",
                               "routing_key_file") &&
           alert_config_one_of(l, node, service, r->service_key_file.len, "service_key",
                               "service_key_file");
}

/* --- pushover --- */

static void pushover_defaults(void *object)
{
    struct pushover_receiver *r = object;
    r->common.send_resolved = true;
    r->title = TEMPLATE("pushover.default.title");
    r->message = TEMPLATE("pushover.default.message");
    r->url = TEMPLATE("pushover.default.url");
    r->priority = VIEW("{{ if eq .Status \"firing\" }}2{{ else }}0{{ end }}");
    r->retry_ms = 60 * 1000;
    r->expire_ms = 60 * 60 * 1000;
}

static const struct field PUSHOVER_FIELDS[] = {
    COMMON,
    SECRET(pushover, user_key),
    PATH(pushover, user_key_file),
    SECRET(pushover, token),
    PATH(pushover, token_file),
    TEXT(pushover, title),
    TEXT(pushover, message),
    TEXT(pushover, url),
    TEXT(pushover, url_title),
    TEXT(pushover, device),
    TEXT(pushover, sound),
    TEXT(pushover, priority),
    RAW(pushover, retry),
    RAW(pushover, expire),
    RAW(pushover, ttl),
    BOOL(pushover, html),
    BOOL(pushover, monospace),
};
static bool pushover_check(struct loader *l, const struct yaml_node *node, void *object);
SECTION(pushover, PUSHOVER_FIELDS);

static bool pushover_check(struct loader *l, const struct yaml_node *node, void *object)
{
    struct pushover_receiver *r = object;
    return receiver_check_common(l, &RECEIVER_pushover_SECTION, node, r) &&
           receiver_read_duration(l, r->retry, "retry", &r->retry_ms) &&
           receiver_read_duration(l, r->expire, "expire", &r->expire_ms) &&
           receiver_read_duration(l, r->ttl, "ttl", &r->ttl_ms) &&
           receiver_check_secret(l, node, &r->user_key, r->user_key_file, "user_key",
                                 "user_key_file", true) &&
           receiver_check_secret(l, node, &r->token, r->token_file, "token", "token_file", true) &&
           alert_config_one_of(l, node, r->monospace, r->html, "monospace", "html");
}

/* --- sns --- */

static void sns_defaults(void *object)
{
    struct sns_receiver *r = object;
    r->common.send_resolved = true;
    r->subject = TEMPLATE("sns.default.subject");
    r->message = TEMPLATE("sns.default.message");
}

static const struct field SNS_FIELDS[] = {
    COMMON,
    TEXT(sns, api_url),
    {F(sns_receiver, sigv4, FIELD_STRUCT), &CONFIG_SIGV4_SECTION},
    TEXT(sns, topic_arn),
    TEXT(sns, phone_number),
    TEXT(sns, target_arn),
    TEXT(sns, subject),
    TEXT(sns, message),
    {F(sns_receiver, attributes, FIELD_PAIRS)},
    BOOL(sns, use_aws_http_client),
};
static bool sns_check(struct loader *l, const struct yaml_node *node, void *object);
SECTION(sns, SNS_FIELDS);

static bool sns_check(struct loader *l, const struct yaml_node *node, void *object)
{
    struct sns_receiver *r = object;
    /* One of the three; Alertmanager lets all three at once pass. */
    bool one = ((r->target_arn.len == 0) != (r->topic_arn.len == 0)) == (r->phone_number.len == 0);
    return receiver_check_common(l, &RECEIVER_sns_SECTION, node, r) &&
           (r->sigv4.service_name.len == 0 ||
            receiver_fail(
                l, yaml_place(node, "sigv4"),
                "sigv4: service_name cannot be set: requests to SNS are signed for it")) &&
           (one ||
            receiver_fail(l, node,
                          "must provide either a Target ARN, Topic ARN, or Phone Number for SNS "
                          "config"));
}

/* --- victorops --- */

static void victorops_defaults(void *object)
{
    struct victorops_receiver *r = object;
    r->common.send_resolved = true;
    r->message_type = VIEW("CRITICAL");
    r->state_message = TEMPLATE("victorops.default.state_message");
    r->entity_display_name = TEMPLATE("victorops.default.entity_display_name");
    r->monitoring_tool = TEMPLATE("victorops.default.monitoring_tool");
}

static const struct field VICTOROPS_FIELDS[] = {
    COMMON,
    SECRET(victorops, api_key),
    PATH(victorops, api_key_file),
    URL(victorops, api_url),
    TEXT(victorops, routing_key),
    TEXT(victorops, message_type),
    TEXT(victorops, state_message),
    TEXT(victorops, entity_display_name),
    TEXT(victorops, monitoring_tool),
    {F(victorops_receiver, custom_fields, FIELD_PAIRS)},
};
static bool victorops_check(struct loader *l, const struct yaml_node *node, void *object);
SECTION(victorops, VICTOROPS_FIELDS);

static bool victorops_check(struct loader *l, const struct yaml_node *node, void *object)
{
    static const char *const RESERVED[] = {
        "routing_key",     "message_type", "state_message", "entity_display_name",
        "monitoring_tool", "entity_id",    "entity_state"};
    struct victorops_receiver *r = object;
    if (!receiver_check_common(l, &RECEIVER_victorops_SECTION, node, r))
        return false;
    if (r->routing_key.len == 0)
        return receiver_fail(l, node, "missing Routing key in VictorOps config");
    for (size_t i = 0; i < ARRAY_COUNT(RESERVED); i++) {
        const struct yaml_node *found = yaml_find(yaml_find(node, "custom_fields"), RESERVED[i]);
        if (found)
            return yaml_error(l->err, found,
                              "victorOps config contains custom field %s which cannot be used as "
                              "it conflicts with the fixed/static fields",
                              RESERVED[i]);
    }
    return receiver_check_secret(l, node, &r->api_key, r->api_key_file, "api_key", "api_key_file",
                                 false);
}
