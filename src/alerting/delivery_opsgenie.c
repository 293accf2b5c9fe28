/* SPDX-License-Identifier: Apache-2.0 */
/* delivery_opsgenie.c: OpsGenie's Alert API. A group is one alert, whose alias is the hash of the group's key:
 *
 *   firing     POST v2/alerts; with update_alerts, since that leaves an alert that is there as it is:
 *              PUT v2/alerts/ALIAS/message, PUT v2/alerts/ALIAS/description
 *   resolved   POST v2/alerts/ALIAS/close */
#include "alerting/delivery.h"
#include "alerting/delivery_compose.h"

enum { /* OpsGenie's */
       MESSAGE_RUNES_MAX = 130,
       DESCRIPTION_RUNES_MAX = 15000,
       SOURCE_RUNES_MAX = 100,
       NOTE_RUNES_MAX = 25000,
       ENTITY_RUNES_MAX = 512,
};

#define NOTHING ((struct view){NULL, 0})

/* Takes the next part between commas off *rest; empty ones are passed over. False: there is none. */
static bool next_part(struct view *rest, struct view *part)
{
    while (rest->len) {
        const char *comma = memchr(rest->ptr, ',', rest->len);
        size_t len = comma ? (size_t)(comma - rest->ptr) : rest->len;
        *part = view_slice(*rest, 0, len);
        *rest = view_slice(*rest, comma ? len + 1 : len, rest->len);
        if (part->len)
            return true;
    }
    return false;
}

/* "NAME":["a","b"] of "a,b"; nothing of nothing. */
static void write_parts(struct json_body *j, const char *name, struct view text)
{
    struct view rest = delivery_trim(text), part;
    bool any = false;
    while (next_part(&rest, &part)) {
        if (!any) {
            json_body_open(j, name, '[');
        }
        any = true;
        json_body_text(j, NULL, part);
    }
    if (any)
        json_body_close(j, ']');
}

static void write_responder(struct json_body *j, bool *any, struct view id, struct view name,
                            struct view username, struct view type)
{
    if (!*any) {
        json_body_open(j, "responders", '[');
    }
    *any = true;
    json_body_open(j, NULL, '{');
    json_body_text_unless_empty(j, "id", id);
    json_body_text_unless_empty(j, "name", name);
    json_body_text_unless_empty(j, "username", username);
    json_body_text(j, "type", type);
    json_body_close(j, '}');
}

/* Those whose templates come out empty are left out; "teams" are several in one name. */
static void write_responders(struct delivery *d, struct json_body *j,
                             const struct opsgenie_responders *all)
{
    bool any = false;
    for (size_t i = 0; i < all->count; i++) {
        const struct opsgenie_responder *r = &all->items[i];
        struct view id = delivery_text_or(d, r->id, NOTHING),
                    name = delivery_text_or(d, r->name, NOTHING),
                    username = delivery_text_or(d, r->username, NOTHING),
                    type = delivery_text_or(d, r->type, NOTHING);
        if (id.len + name.len + username.len == 0)
            continue;
        if (!view_is(type, "teams")) {
            write_responder(j, &any, id, name, username, type);
            continue;
        }
        struct view rest = delivery_trim(name), team;
        while (next_part(&rest, &team))
            write_responder(j, &any, NOTHING, team, NOTHING, VIEW("team"));
    }
    if (any)
        json_body_close(j, ']');
}

/* The labels that all alerts have, and the receiver's own details, which win. */
static void write_details(struct delivery *d, struct json_body *j, const struct config_pairs *own)
{
    const struct notification_kv *labels = &d->data->common_labels;
    json_body_open(j, "details", '{');
    for (size_t i = 0; i < labels->count; i++) {
        bool hidden = false;
        for (size_t k = 0; k < own->count && !hidden; k++)
            hidden = view_eq(own->items[k].name, labels->names[i]);
        if (hidden)
            continue;
        json_body_named_text(j, labels->names[i], labels->values[i]);
    }
    for (size_t i = 0; i < own->count; i++) {
        json_body_named_text(j, own->items[i].name, delivery_text(d, own->items[i].value));
    }
    json_body_close(j, '}');
}

static struct view cut(struct delivery *d, struct view template, size_t runes_max)
{
    bool is_cut;
    return delivery_cut_runes(d, delivery_text(d, template), runes_max, &is_cut);
}

/* OpsGenie refuses an alert with another word; without one it is P3. Alerts of a group may disagree. */
static struct view priority_of(struct delivery *d)
{
    const struct opsgenie_receiver *r = d->integration->settings;
    struct view text = delivery_trim(delivery_text_or(d, r->priority, NOTHING));
    bool is_one = text.len == 2 && text.ptr[0] == 'P' && text.ptr[1] >= '1' && text.ptr[1] <= '5';
    return is_one ? text : NOTHING;
}

static void write_create(struct delivery *d, struct json_body *j)
{
    const struct opsgenie_receiver *r = d->integration->settings;
    json_body_text(j, "alias", delivery_key_hash(d));
    json_body_text(j, "message", cut(d, r->message, MESSAGE_RUNES_MAX));
    json_body_text_unless_empty(j, "description", cut(d, r->description, DESCRIPTION_RUNES_MAX));
    write_details(d, j, &r->details);
    json_body_text(j, "source", cut(d, r->source, SOURCE_RUNES_MAX));
    write_responders(d, j, &r->responders);
    write_parts(j, "tags", delivery_text(d, r->tags));
    json_body_text_unless_empty(j, "note", cut(d, r->note, NOTE_RUNES_MAX));
    json_body_text_unless_empty(j, "priority", priority_of(d));
    json_body_text_unless_empty(j, "entity", cut(d, r->entity, ENTITY_RUNES_MAX));
    write_parts(j, "actions", delivery_text(d, r->actions));
}
static void write_close(struct delivery *d, struct json_body *j)
{
    const struct opsgenie_receiver *r = d->integration->settings;
    json_body_text(j, "source", cut(d, r->source, SOURCE_RUNES_MAX));
}
static void write_message(struct delivery *d, struct json_body *j)
{
    const struct opsgenie_receiver *r = d->integration->settings;
    json_body_text_unless_empty(j, "message", cut(d, r->message, MESSAGE_RUNES_MAX));
}
static void write_description(struct delivery *d, struct json_body *j)
{
    const struct opsgenie_receiver *r = d->integration->settings;
    json_body_text_unless_empty(j, "description", cut(d, r->description, DESCRIPTION_RUNES_MAX));
}

/* The requests of an exchange; `action` behind the alias, NULL: a new alert. */
static const struct step {
    const char *method, *action;
    void (*write)(struct delivery *d, struct json_body *j);
} CLOSE = {"POST", "close", write_close}, FIRE[] = {{"POST", NULL, write_create},
                                                    {"PUT", "message", write_message},
                                                    {"PUT", "description", write_description}};

static enum delivery_verdict send(struct delivery *d, const struct step *step, struct error *err)
{
    const struct opsgenie_receiver *r = d->integration->settings;
    struct view key, body, path = VIEW("v2/alerts"), query = {NULL, 0};
    struct json_body j;
    if (!delivery_secret_text(d, &r->api_key, r->api_key_file, &key, err)) {
        error_wrap(err, "API key");
        return delivery_not_composed(err);
    }
    json_body_init(&j);
    json_body_open(&j, NULL, '{');
    step->write(d, &j);
    json_body_close(&j, '}');
    if (!json_body_take(&j, d->arena, &body, err))
        return DELIVERY_FAILED;
    if (step->action) {
        struct view alias = delivery_key_hash(d);
        path = arena_printf(d->arena, "v2/alerts/%.*s/%s", VIEW_ARGS(alias), step->action);
        query = VIEW("identifierType=alias");
    }
    delivery_json(d, delivery_url(d, r->api_url, path, query), body);
    d->request.method = step->method;
    delivery_header(d, "Authorization", arena_printf(d->arena, "GenieKey %.*s", VIEW_ARGS(key)));
    return DELIVERY_MORE;
}

static enum delivery_verdict opsgenie_begin(struct delivery *d, struct error *err)
{
    return send(d, d->firing_count ? &FIRE[0] : &CLOSE, err);
}

static enum delivery_verdict opsgenie_answer(struct delivery *d, const struct delivery_answer *a,
                                             struct error *err)
{
    static const long RETRY[] = {429, 0};
    const struct opsgenie_receiver *r = d->integration->settings;
    enum delivery_verdict verdict = delivery_judge(a, RETRY, err);
    if (verdict != DELIVERY_SENT || d->firing_count == 0 || !r->update_alerts ||
        d->step >= ARRAY_COUNT(FIRE))
        return verdict;
    return send(d, &FIRE[d->step], err);
}

const struct delivery_driver delivery_opsgenie = {
    .kind = "opsgenie", .begin = opsgenie_begin, .answer = opsgenie_answer};
