/* SPDX-License-Identifier: Apache-2.0 */
/* delivery_pagerduty.c: PagerDuty's Events API, version 1 (service_key) and 2 (routing_key). A group is one incident, known
 * by the hash of its key. */
#include "alerting/delivery.h"
#include "alerting/delivery_compose.h"

#include "base/attributes.h"

enum {
    DESCRIPTION_RUNES_MAX = 1024, /* PagerDuty's, of description and summary */
    EVENT_BYTES_MAX = 512000,     /* 512 KB; larger events are refused with 400 */
};

static const char EVENTS_V1[] = "https://events.pagerduty.com/generic/2010-04-15/create_event.json";

/* What every incident has beside its own details: Alertmanager's defaults. */
#define DETAIL(name, template)                                                                     \
    {                                                                                              \
        name,                                                                                      \
        {                                                                                          \
            .kind = YAML_SCALAR, .text = VIEW_INIT(template)                                       \
        }                                                                                          \
    }
static const struct {
    const char *name;
    struct yaml_node template;
} DETAILS[] = {
    DETAIL("firing", "{{ .Alerts.Firing | toJson }}"),
    DETAIL("num_firing", "{{ .Alerts.Firing | len }}"),
    DETAIL("num_resolved", "{{ .Alerts.Resolved | len }}"),
    DETAIL("resolved", "{{ .Alerts.Resolved | toJson }}"),
};

/* "NAME": {...}; where they are too much, the sentence of Alertmanager in their place. */
static void write_details(struct delivery *d, struct json_body *j, const char *name, bool fits)
{
    const struct pagerduty_receiver *r = d->integration->settings;
    json_body_open(j, name, '{');
    if (!fits)
        json_body_text(
            j, "error",
            VIEW("Custom details have been removed because the original event exceeds the "
                 "maximum size of 512KB"));
    for (size_t i = 0; fits && i < ARRAY_COUNT(DETAILS); i++) {
        if (!yaml_find(r->details, DETAILS[i].name))
            delivery_tree(d, j, DETAILS[i].name, &DETAILS[i].template);
    }
    for (uint32_t i = 0; fits && r->details && i < r->details->count; i++)
        delivery_tree(d, j, r->details->pairs[i].key->text.ptr, r->details->pairs[i].value);
    json_body_close(j, '}');
}

static bool is_v1(const struct pagerduty_receiver *r)
{
    return secret_is_set(&r->service_key) || r->service_key_file.len;
}

static const char *event_of(const struct delivery *d)
{
    return d->firing_count ? "trigger" : "resolve";
}

/* The key may be a template, and must not be empty then either. */
static bool key_of(struct delivery *d, struct view *out, struct error *err)
{
    const struct pagerduty_receiver *r = d->integration->settings;
    bool v1 = is_v1(r);
    if (!delivery_secret_text(d, v1 ? &r->service_key : &r->routing_key,
                              v1 ? r->service_key_file : r->routing_key_file, out, err))
        return error_wrap(err, v1 ? "service key" : "routing key");
    return out->len ||
           error_set(err, ERROR_EXECUTION, "%s key cannot be empty", v1 ? "service" : "routing");
}

static struct view summary_of(struct delivery *d)
{
    const struct pagerduty_receiver *r = d->integration->settings;
    bool is_cut;
    return delivery_cut_runes(d, delivery_text(d, r->description), DESCRIPTION_RUNES_MAX, &is_cut);
}

static void write_v1(struct delivery *d, struct json_body *j, struct view key, bool details_fit)
{
    const struct pagerduty_receiver *r = d->integration->settings;
    json_body_text(j, "service_key", key);
    json_body_text(j, "incident_key", delivery_key_hash(d));
    json_body_text(j, "event_type", view_from(event_of(d)));
    json_body_text_unless_empty(j, "description", summary_of(d));
    json_body_text(j, "event_action", VIEW("")); /* as Alertmanager has it */
    json_body_null(j, "payload");
    if (d->firing_count) {
        json_body_text_unless_empty(j, "client", delivery_text(d, r->client));
        json_body_text_unless_empty(j, "client_url", delivery_text(d, r->client_url));
    }
    write_details(d, j, "details", details_fit);
}

/* Those without a source are left out: PagerDuty would refuse the event. */
static void write_images(struct delivery *d, struct json_body *j,
                         const struct pagerduty_images *all)
{
    bool any = false;
    for (size_t i = 0; i < all->count; i++) {
        struct view src = delivery_text_or(d, all->items[i].src, (struct view){NULL, 0});
        if (src.len == 0)
            continue;
        if (!any) {
            json_body_open(j, "images", '[');
        }
        any = true;
        json_body_open(j, NULL, '{');
        json_body_text(j, "src", src);
        json_body_text(j, "alt", delivery_text(d, all->items[i].alt));
        json_body_text(j, "href", delivery_text_or(d, all->items[i].href, VIEW("")));
        json_body_close(j, '}');
    }
    if (any)
        json_body_close(j, ']');
}

static void write_links(struct delivery *d, struct json_body *j, const struct pagerduty_links *all)
{
    bool any = false;
    for (size_t i = 0; i < all->count; i++) {
        struct view href = delivery_text_or(d, all->items[i].href, (struct view){NULL, 0});
        if (href.len == 0)
            continue;
        if (!any) {
            json_body_open(j, "links", '[');
        }
        any = true;
        json_body_open(j, NULL, '{');
        json_body_text(j, "href", href);
        json_body_text(j, "text", delivery_text(d, all->items[i].text));
        json_body_close(j, '}');
    }
    if (any)
        json_body_close(j, ']');
}

/* PagerDuty refuses an event with another word, or none: alerts of a group may disagree. */
static struct view severity_of(struct delivery *d)
{
    static const char *const WORDS[] = {"critical", "error", "warning", "info"};
    const struct pagerduty_receiver *r = d->integration->settings;
    struct view text = delivery_trim(delivery_text_or(d, r->severity, VIEW("")));
    for (size_t i = 0; i < sizeof WORDS / sizeof *WORDS; i++)
        if (view_is(text, WORDS[i]))
            return text;
    return VIEW("error");
}

/* It may not be empty. */
static struct view source_of(struct delivery *d)
{
    const struct pagerduty_receiver *r = d->integration->settings;
    struct view text = delivery_text(d, r->source);
    if (text.len == 0)
        text = delivery_text(d, r->client);
    return text.len ? text : VIEW("Belfry");
}

static void write_v2(struct delivery *d, struct json_body *j, struct view key, bool details_fit)
{
    const struct pagerduty_receiver *r = d->integration->settings;
    json_body_text(j, "routing_key", key);
    json_body_text(j, "dedup_key", delivery_key_hash(d));
    json_body_text(j, "event_action", view_from(event_of(d)));
    json_body_open(j, "payload", '{');
    json_body_text(j, "summary", summary_of(d));
    json_body_text(j, "source", source_of(d));
    json_body_text(j, "severity", severity_of(d));
    json_body_text_unless_empty(j, "class", delivery_text(d, r->class));
    json_body_text_unless_empty(j, "component", delivery_text(d, r->component));
    json_body_text_unless_empty(j, "group", delivery_text(d, r->group));
    write_details(d, j, "custom_details", details_fit);
    json_body_close(j, '}');
    json_body_text_unless_empty(j, "client", delivery_text(d, r->client));
    json_body_text_unless_empty(j, "client_url", delivery_text(d, r->client_url));
    write_images(d, j, &r->images);
    write_links(d, j, &r->links);
}

static bool compose(struct delivery *d, struct view *body, struct error *err)
{
    struct view key;
    if (!key_of(d, &key, err))
        return false;
    for (bool details_fit = true;; details_fit = false) {
        struct json_body j;
        json_body_init(&j);
        json_body_open(&j, NULL, '{');
        (is_v1(d->integration->settings) ? write_v1 : write_v2)(d, &j, key, details_fit);
        json_body_close(&j, '}');
        if ((j.out.failed || j.out.len > EVENT_BYTES_MAX) && details_fit) {
            json_body_deinit(&j);
            continue;
        }
        return json_body_take(&j, d->arena, body, err);
    }
}

static enum delivery_verdict pagerduty_begin(struct delivery *d, struct error *err)
{
    const struct pagerduty_receiver *r = d->integration->settings;
    struct view body;
    if (!compose(d, &body, err))
        return delivery_not_composed(err);
    delivery_json(d, is_v1(r) ? view_from(EVENTS_V1) : r->url, body);
    d->request.timeout_ms = r->timeout_ms;
    return DELIVERY_MORE;
}

static enum delivery_verdict pagerduty_answer(struct delivery *d, const struct delivery_answer *a,
                                              struct error *err)
{
    /* Each version's "too many": 403, 429. */
    static const long RETRY_V1[] = {403, 0}, RETRY_V2[] = {429, 0};
    return delivery_judge(a, is_v1(d->integration->settings) ? RETRY_V1 : RETRY_V2, err);
}

const struct delivery_driver delivery_pagerduty = {
    .kind = "pagerduty", .begin = pagerduty_begin, .answer = pagerduty_answer};
