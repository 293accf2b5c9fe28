/* SPDX-License-Identifier: Apache-2.0 */
/* integrations.c: a configuration made ready to deliver: its templates, and the places of each receiver. */
#include "alerting/integrations.h"

#include "alerting/sender.h"
#include "base/file.h"
#include "base/mem.h"

#include <glob.h>
#include <stdatomic.h>
#include <string.h>

/* Alertmanager's order. */
#define DRIVER(kind, type)                                                                         \
    {                                                                                              \
        &delivery_##kind, offsetof(struct receiver, kind##_configs),                               \
            sizeof(struct type##_receiver)                                                         \
    }
static const struct {
    const struct delivery_driver *driver;
    size_t list_offset, item_bytes;
} KINDS[] = {
    DRIVER(webhook, webhook),       DRIVER(email, email),           DRIVER(pagerduty, pagerduty),
    DRIVER(opsgenie, opsgenie),     DRIVER(wechat, wechat),         DRIVER(slack, slack),
    DRIVER(victorops, victorops),   DRIVER(pushover, pushover),     DRIVER(sns, sns),
    DRIVER(telegram, telegram),     DRIVER(discord, discord),       DRIVER(webex, webex),
    DRIVER(msteams, msteams),       DRIVER(msteamsv2, msteams),     DRIVER(jira, jira),
    DRIVER(incidentio, incidentio), DRIVER(rocketchat, rocketchat), DRIVER(mattermost, mattermost),
};

/* What each KIND_configs of a struct receiver is. */
struct any_configs {
    void *items;
    size_t count;
};

struct integrations {
    _Atomic uint32_t references; /* any thread */
    struct alert_config *config; /* the rest is constant after integrations_new() */
    struct template_set *templates;
    struct view external_url;
    struct integration_list *lists; /* of the receivers, in their order */
    struct arena arena;
};

/* --- templates --- */

static const struct template_options OPTIONS = {.functions = &TEMPLATE_ALERTMANAGER};

static bool parse_file(struct template_set *set, const char *path, struct error *err)
{
    const char *slash = strrchr(path, '/');
    struct buffer text;
    buffer_init(&text, MEM_CONFIG, TEMPLATE_TEXT_BYTES_MAX);
    bool ok = file_read_all(path, &text, err) &&
              (template_set_parse(set, &OPTIONS, view_from(slash ? slash + 1 : path),
                                  buffer_view(&text), err) ||
               error_wrap(err, "%s", path));
    buffer_deinit(&text);
    return ok;
}

static bool parse_pattern(struct template_set *set, struct view pattern, struct error *err)
{
    glob_t found = {0};
    bool ok = true;
    int code = glob(pattern.ptr, 0, NULL, &found);
    if (code == GLOB_NOSPACE)
        ok = error_set(err, ERROR_IO, "%.*s: no memory", VIEW_ARGS(pattern));
    for (size_t i = 0; code == 0 && i < found.gl_pathc && ok; i++)
        ok = parse_file(set, found.gl_pathv[i], err);
    globfree(&found);
    return ok;
}

bool integrations_parse_templates(struct template_set *set, const struct alert_config *c,
                                  struct error *err)
{
    for (size_t i = 0; i < INTEGRATIONS_TEMPLATE_COUNT; i++) {
        const struct integrations_template *t = &INTEGRATIONS_TEMPLATES[i];
        if (!template_set_parse(set, &OPTIONS, view_from(t->name), t->text, err))
            return false;
    }
    for (size_t i = 0; i < c->templates.count; i++)
        if (!parse_pattern(set, c->templates.items[i], err))
            return false;
    return true;
}

/* --- integrations --- */

static void add_receiver(struct integrations *s, const struct receiver *r,
                         struct integration_list *out)
{
    size_t count = 0;
    for (size_t k = 0; k < ARRAY_COUNT(KINDS); k++)
        count += ((const struct any_configs *)((const char *)r + KINDS[k].list_offset))->count;
    out->items = ARENA_ARRAY(&s->arena, struct integration, count);
    for (size_t k = 0; k < ARRAY_COUNT(KINDS); k++) {
        const struct any_configs *list =
            (const struct any_configs *)((const char *)r + KINDS[k].list_offset);
        for (size_t i = 0; i < list->count; i++) {
            const void *settings = (const char *)list->items + i * KINDS[k].item_bytes;
            const struct delivery_driver *driver = KINDS[k].driver;
            out->items[out->count++] = (struct integration){
                .driver = driver,
                .receiver = r,
                .settings = settings,
                .common = settings,
                .index = i,
                .state = driver->state_bytes ? arena_alloc_zero(&s->arena, 1, driver->state_bytes)
                                             : NULL,
                .set = s,
            };
        }
    }
}

bool integrations_new(struct integrations **out, struct alert_config *config,
                      const char *external_url, struct error *err)
{
    struct integrations *s = mem_alloc_zero(MEM_CONFIG, 1, sizeof(*s));
    struct view url = view_from(external_url);
    *out = NULL;
    atomic_init(&s->references, 1);
    arena_init(&s->arena, MEM_CONFIG, 0);
    s->config = alert_config_ref(config);
    s->templates = template_set_new();
    while (url.len && url.ptr[url.len - 1] == '/')
        url.len--;
    s->external_url = arena_copy(&s->arena, url);
    s->lists = ARENA_ARRAY(&s->arena, struct integration_list, config->receivers.count);
    for (size_t i = 0; i < config->receivers.count; i++)
        add_receiver(s, &config->receivers.items[i], &s->lists[i]);
    if (!integrations_parse_templates(s->templates, config, err)) {
        integrations_unref(s);
        return false;
    }
    *out = s;
    return true;
}

struct integrations *integrations_ref(struct integrations *s)
{
    atomic_fetch_add_explicit(&s->references, 1, memory_order_relaxed);
    return s;
}

void integrations_unref(struct integrations *s)
{
    /* acq_rel: who frees sees what others did before they let go. */
    if (!s || atomic_fetch_sub_explicit(&s->references, 1, memory_order_acq_rel) > 1)
        return;
    for (size_t i = 0; i < s->config->receivers.count; i++)
        for (size_t j = 0; j < s->lists[i].count; j++) {
            struct integration *it = &s->lists[i].items[j];
            if (it->state && it->driver->state_deinit)
                it->driver->state_deinit(it->state);
        }
    template_set_free(s->templates);
    alert_config_unref(s->config);
    arena_deinit(&s->arena);
    mem_free(MEM_CONFIG, s);
}

struct alert_config *integrations_config(struct integrations *s)
{
    return s->config;
}

struct integration_list integrations_of(struct integrations *s, struct view receiver)
{
    const struct receiver *r = alert_config_receiver(s->config, receiver);
    return r ? s->lists[r - s->config->receivers.items] : (struct integration_list){0};
}

const struct template_set *integrations_templates(const struct integrations *s)
{
    return s->templates;
}

struct view integrations_external_url(const struct integrations *s)
{
    return s->external_url;
}
