/* SPDX-License-Identifier: Apache-2.0 */
/* presets.c: see presets.h. */
#include "presets.h"

#include <string.h>

static bool is_preset(const struct image_option *option)
{
    return view_is(option->name, "preset") || view_is(option->name, "pr");
}

static const struct preset *find(const struct presets *presets, struct view name)
{
    for (size_t i = 0; i < presets->count; i++) {
        if (view_eq(presets->items[i].name, name))
            return &presets->items[i];
    }
    return NULL;
}

static struct view trim(struct view text)
{
    while (text.len && text.ptr[0] == ' ')
        text = view_slice(text, 1, text.len);
    while (text.len && text.ptr[text.len - 1] == ' ')
        text.len--;
    return text;
}

static bool preset_read(struct arena *arena, const struct presets *before, struct view text,
                        struct preset *out, struct error *err)
{
    const char *mark = text.len ? memchr(text.ptr, '=', text.len) : NULL;
    size_t len = mark ? (size_t)(mark - text.ptr) : 0;
    out->name = trim(view_slice(text, 0, len));
    if (out->name.len == 0)
        return error_set(err, ERROR_INPUT,
                         "name=option:argument/option:argument, several between commas");
    if (find(before, out->name))
        return error_set(err, ERROR_INPUT, "each preset once: \"%.*s\" is there twice",
                         VIEW_ARGS(out->name));
    if (!image_options_split(arena, trim(view_slice(text, len + 1, text.len)), &out->options,
                             &out->count, err))
        return false;
    for (size_t i = 0; i < out->count; i++) {
        if (is_preset(&out->options[i]))
            return error_set(err, ERROR_INPUT, "no preset within a preset, as in \"%.*s\"",
                             VIEW_ARGS(out->name));
    }
    return true;
}

bool presets_read(struct arena *arena, struct view text, struct presets *out, struct error *err)
{
    size_t capacity = 0;
    *out = (struct presets){NULL, 0};
    while (text.len) {
        const char *comma = memchr(text.ptr, ',', text.len);
        size_t len = comma ? (size_t)(comma - text.ptr) : text.len;
        struct view one = trim(view_slice(text, 0, len));
        struct preset preset;
        text = view_slice(text, len + 1, text.len);
        if (one.len == 0)
            continue;
        if (!preset_read(arena, out, one, &preset, err))
            return false;
        out->items =
            arena_grow(arena, out->items, &capacity, out->count + 1, sizeof(out->items[0]));
        out->items[out->count++] = preset;
    }
    return true;
}

struct expansion {
    struct arena *arena;
    struct image_option *items;
    size_t count, capacity;
};

static bool add(struct expansion *e, const struct image_option *options, size_t count,
                struct error *err)
{
    if (e->count + count > IMAGE_URL_OPTIONS_MAX)
        return error_set(err, ERROR_INPUT, "more than %d options", IMAGE_URL_OPTIONS_MAX);
    e->items = arena_grow(e->arena, e->items, &e->capacity, e->count + count, sizeof(e->items[0]));
    for (size_t i = 0; i < count; i++)
        e->items[e->count++] = options[i];
    return true;
}

bool presets_expand(struct arena *arena, const struct presets *presets, bool only_presets,
                    const struct image_option *options, size_t count, struct image_option **out,
                    size_t *out_count, struct error *err)
{
    struct expansion e = {.arena = arena};
    const struct preset *preset = find(presets, VIEW("default"));
    if (preset && !add(&e, preset->options, preset->count, err))
        return false;
    for (size_t i = 0; i < count; i++) {
        if (!is_preset(&options[i])) {
            if (only_presets)
                return error_set(
                    err, ERROR_INPUT,
                    "only preset references are allowed in only_presets mode, found: %.*s",
                    VIEW_ARGS(options[i].name));
            if (!add(&e, &options[i], 1, err))
                return false;
            continue;
        }
        struct view name = image_option_argument(&options[i], 0);
        if (name.len == 0)
            return error_set(err, ERROR_INPUT, "preset option requires a preset name");
        for (size_t k = 0; k < image_option_argument_count(&options[i]);
             k++) { /* imgproxy takes several */
            name = image_option_argument(&options[i], k);
            preset = find(presets, name);
            if (!preset)
                return error_set(err, ERROR_INPUT, "unknown preset: %.*s", VIEW_ARGS(name));
            if (!add(&e, preset->options, preset->count, err))
                return false;
        }
    }
    *out = e.items;
    *out_count = e.count;
    return true;
}
