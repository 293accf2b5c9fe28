/* SPDX-License-Identifier: Apache-2.0 */
/* alertmanagers.c: see alertmanagers.h. */
#include "outbound/alertmanagers.h"

#include "base/buffer.h"
#include "ingest/relabel.h"
#include "ingest/target.h"
#include "model/labels.h"

#include <stdio.h>
#include <string.h>

enum { URL_BYTES_MAX = 64 * 1024 };

#define ADDRESS "__address__"
#define SCHEME "__scheme__"
#define ALERTS_PATH "__alerts_path__"

struct finder {
    struct arena *arena;
    const struct config_alertmanager *entry;
    struct view path; /* before relabelling */
    struct alertmanagers *out;
    void (*failed)(void *arg, const char *text);
    void *arg;
    bool is_over; /* ALERTMANAGERS_MAX */
};

/* The parts between slashes, without those that are empty or ".", and without what ".." takes back: as Go's path.Join
 * makes it of a path that begins with a slash. */
static void path_append(struct buffer *out, struct view path)
{
    size_t at = 0;
    while (at < path.len) {
        const char *slash = memchr(path.ptr + at, '/', path.len - at);
        size_t end = slash ? (size_t)(slash - path.ptr) : path.len;
        struct view part = view_slice(path, at, end);
        at = end + 1;
        if (view_is(part, "..")) {
            while (out->len && out->ptr[out->len - 1] != '/')
                out->len--;
            if (out->len)
                out->len--;
        } else if (part.len && !view_is(part, ".")) {
            buffer_append_byte(out, '/');
            buffer_append_view(out, part);
        }
    }
}

static struct view alerts_path(struct arena *arena, const struct config_alertmanager *entry)
{
    struct buffer path;
    buffer_init(&path, MEM_ALERTING, entry->path_prefix.len + entry->api_version.len + 64);
    path_append(&path, entry->path_prefix);
    path_append(&path, arena_printf(arena, "/api/%.*s/alerts", VIEW_ARGS(entry->api_version)));
    struct view copy = arena_copy(arena, buffer_view(&path));
    buffer_deinit(&path);
    return copy;
}

static void list_add(struct arena *arena, struct url_list *list, struct view url)
{
    list->items =
        arena_grow(arena, list->items, &list->capacity, list->count + 1, sizeof *list->items);
    list->items[list->count++] = url;
}

void url_list_add_all(struct arena *arena, struct url_list *to, const struct url_list *from)
{
    for (size_t i = 0; i < from->count; i++)
        list_add(arena, to, arena_copy(arena, from->items[i]));
}

static bool list_has(const struct url_list *list, struct view url)
{
    for (size_t i = 0; i < list->count; i++) {
        if (view_eq(list->items[i], url))
            return true;
    }
    return false;
}

/* Of the labels as they are; ERROR_INPUT. */
static bool url_of(struct finder *f, struct labels ls, struct view *out, struct error *err)
{
    struct buffer url;
    struct view address = labels_get(ls, VIEW(ADDRESS));
    if (address.len == 0)
        return error_set(err, ERROR_INPUT, "no address");
    buffer_init(&url, MEM_ALERTING, URL_BYTES_MAX);
    bool ok = target_url_append(&url, labels_get(ls, VIEW(SCHEME)), address,
                                labels_get(ls, VIEW(ALERTS_PATH)), err);
    if (ok && url.failed)
        ok = error_set(err, ERROR_INPUT, "URL is longer than %d bytes", URL_BYTES_MAX);
    if (ok)
        *out = arena_copy(f->arena, buffer_view(&url));
    buffer_deinit(&url);
    return ok;
}

static void add_address(struct finder *f, struct view address, struct labels group_labels)
{
    const struct config_relabel_rules *rules = &f->entry->relabel_configs;
    struct labels_builder b;
    struct view url, before = {0};
    struct error err, ignored;
    labels_builder_init(&b, f->arena);
    labels_builder_set(&b, VIEW(SCHEME), f->entry->scheme);
    labels_builder_set(&b, VIEW(ALERTS_PATH), f->path);
    for (uint32_t i = 0; i < group_labels.count; i++)
        labels_builder_set(&b, group_labels.items[i].name, group_labels.items[i].value);
    labels_builder_set(&b, VIEW(ADDRESS), address);
    bool has_before = url_of(f, labels_builder_finish(&b), &before, &ignored);
    if (!relabel_process(rules->items, rules->count, &b)) {
        if (has_before && f->out->dropped.count < ALERTMANAGERS_MAX)
            list_add(f->arena, &f->out->dropped, before);
    } else if (!url_of(f, labels_builder_finish(&b), &url, &err)) {
        error_wrap(&err, "Alertmanager \"%.*s\"", VIEW_ARGS(view_slice(address, 0, 200)));
        if (f->failed)
            f->failed(f->arg, err.message);
    } else if (f->out->active.count == ALERTMANAGERS_MAX) {
        f->is_over = true;
    } else if (!list_has(&f->out->active, url)) {
        list_add(f->arena, &f->out->active, url);
    }
}

static void add_groups(struct finder *f, const struct config_target_groups *groups)
{
    for (size_t g = 0; g < groups->count; g++) {
        for (size_t i = 0; i < groups->items[g].targets.count; i++)
            add_address(f, groups->items[g].targets.items[i], groups->items[g].labels);
    }
}

void alertmanagers_find(struct arena *arena, const struct config_alertmanager *entry,
                        struct discover *d, struct alertmanagers *out,
                        void (*failed)(void *arg, const char *text), void *arg)
{
    struct finder f = {arena, entry, alerts_path(arena, entry), out, failed, arg, false};
    *out = (struct alertmanagers){0};
    add_groups(&f, &entry->static_configs);
    for (size_t i = 0; i < entry->discoveries.count; i++) {
        struct discover_result *r = discover_result_get(d, &entry->discoveries.items[i]);
        for (size_t s = 0; r && s < r->count; s++)
            add_groups(&f, &r->sets[s]->groups);
        discover_result_unref(r);
    }
    char text[128];
    snprintf(text, sizeof text, "more than %d Alertmanagers in one entry: the rest gets nothing",
             ALERTMANAGERS_MAX);
    if (f.is_over && failed)
        failed(arg, text);
}
