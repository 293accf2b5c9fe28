/* SPDX-License-Identifier: Apache-2.0 */
/* fake_integrations.c: see fake_integrations.h. */
#include "fake_integrations.h"

#include "base/mem.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>

#include <cmocka.h>

enum { INTEGRATIONS_MAX = 64 };

struct integrations {
    struct alert_config *config;
    _Atomic unsigned references;
    struct integration items[INTEGRATIONS_MAX];
    size_t count;
};

static const struct delivery_driver WEBHOOK = {.kind = "webhook"};

struct integrations *fake_integrations_new(const char *yaml)
{
    struct error err = {0};
    struct integrations *s = mem_alloc_zero(MEM_OTHER, 1, sizeof *s);
    s->references = 1;
    if (!alert_config_parse(view_from(yaml), "f.yml", &s->config, &err))
        fail_msg("%s", err.message);
    for (size_t i = 0; i < s->config->receivers.count; i++) {
        const struct receiver *r = &s->config->receivers.items[i];
        for (size_t k = 0; k < r->webhook_configs.count; k++)
            s->items[s->count++] =
                (struct integration){.driver = &WEBHOOK,
                                     .receiver = r,
                                     .settings = &r->webhook_configs.items[k],
                                     .common = &r->webhook_configs.items[k].common,
                                     .index = k,
                                     .set = s};
    }
    return s;
}

struct integrations *fake_integrations_ref(struct integrations *s)
{
    atomic_fetch_add(&s->references, 1);
    return s;
}

void fake_integrations_unref(struct integrations *s)
{
    if (atomic_fetch_sub(&s->references, 1) != 1)
        return;
    alert_config_unref(s->config);
    mem_free(MEM_OTHER, s);
}

struct alert_config *fake_integrations_config(struct integrations *s)
{
    return s->config;
}

struct integration_list fake_integrations_of(struct integrations *s, struct view receiver)
{
    struct integration_list list = {NULL, 0};
    for (size_t i = 0; i < s->count; i++) {
        if (!view_eq(s->items[i].receiver->name, receiver))
            continue;
        if (!list.count++)
            list.items = &s->items[i];
    }
    return list;
}
