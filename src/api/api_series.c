/* SPDX-License-Identifier: Apache-2.0 */
/* api_series.c: series, labels and label values: what is in the index, for one or several selectors. */
#include "api/api_private.h"
#include "base/assert.h"
#include "base/json_write.h"
#include "base/utf8.h"
#include "storage/cursor.h"

#include <stdlib.h>

static struct select selection_select(const struct api_selection *s, size_t idx)
{
    struct select what = {.mint = s->mint, .maxt = s->maxt};
    if (idx < s->set_count) {
        what.matchers = s->sets[idx].matchers;
        what.matcher_count = s->sets[idx].count;
    }
    return what;
}

/* ---- series ---- */

struct series_answer {
    struct label_store *labels;
    labels_id *ids; /* sorted, distinct */
    size_t count, next, capacity;
    bool truncated;
};

static int compare_ids(const void *a, const void *b, void *store)
{
    return label_store_compare(store, *(const labels_id *)a, *(const labels_id *)b);
}

static void ids_add(struct series_answer *a, const struct series_list *list)
{
    a->ids = mem_grow(MEM_QUERY, a->ids, &a->capacity, a->count + list->count, sizeof *a->ids);
    for (size_t i = 0; i < list->count; i++)
        a->ids[a->count++] = list->items[i].labels;
}

static void ids_finish(struct series_answer *a, size_t limit)
{
    size_t count = 0;
    if (a->count)
        qsort_r(a->ids, a->count, sizeof *a->ids, compare_ids, a->labels);
    for (size_t i = 0; i < a->count; i++)
        if (count == 0 || a->ids[count - 1].n != a->ids[i].n)
            a->ids[count++] = a->ids[i];
    a->truncated = limit && count > limit;
    a->count = a->truncated ? limit : count;
}

static bool series_next(void *arg, struct buffer *b, bool *more)
{
    struct series_answer *a = arg;
    for (; a->next < a->count && b->len < HTTP_PIECE_BYTES; a->next++) {
        uint32_t count;
        labels_id id = a->ids[a->next];
        const symbol_id *names =
            label_store_shape_names(a->labels, label_store_shape(a->labels, id), &count);
        const symbol_id *values = label_store_values(a->labels, id);
        if (a->next)
            buffer_append_byte(b, ',');
        buffer_append_byte(b, '{');
        for (uint32_t i = 0; i < count; i++) {
            if (i)
                buffer_append_byte(b, ',');
            json_string(b, label_store_text(a->labels, names[i]));
            buffer_append_byte(b, ':');
            json_string(b, label_store_text(a->labels, values[i]));
        }
        buffer_append_byte(b, '}');
    }
    *more = a->next < a->count;
    if (*more)
        return true;
    const struct view warning = VIEW("results truncated due to limit");
    buffer_append_byte(b, ']');
    api_string_list(b, "warnings", &warning, a->truncated);
    buffer_append_byte(b, '}');
    return true;
}

static void series_free(void *arg)
{
    struct series_answer *a = arg;
    label_store_free(a->labels);
    mem_free(MEM_QUERY, a->ids);
    mem_free(MEM_QUERY, a);
}

static bool series_collect(struct series_answer *a, struct storage_source *source,
                           const struct api_selection *s, struct arena *arena, struct error *err)
{
    struct storage_view *v = source_pin(source, s->mint, s->maxt, err);
    bool ok = v != NULL;
    for (size_t i = 0; ok && i < s->set_count; i++) {
        struct select what = selection_select(s, i);
        struct series_list list;
        ok = view_select(v, &what, a->labels, arena, &list, err);
        if (ok)
            ids_add(a, &list);
    }
    view_release(v);
    return ok;
}

void api_serve_series(struct api *api, struct http_request *rq, struct http_response *rs)
{
    struct error err;
    struct api_selection s;
    struct arena arena;
    arena_init(&arena, MEM_QUERY, 0);
    if (!http_request_has_param(rq, "match[]")) {
        (void)error_set(&err, ERROR_INPUT, "no match[] parameter provided"); /* always false */
        api_error(rs, &err);
        arena_deinit(&arena);
        return;
    }
    if (api_selection_parse(&s, &arena, rq, rs)) {
        struct series_answer *a = mem_alloc_zero(MEM_QUERY, 1, sizeof *a);
        a->labels = label_store_new(MEM_QUERY, 0);
        if (series_collect(a, api->options.source, &s, &arena, &err)) {
            ids_finish(a, s.limit);
            buffer_append_byte(api_begin(rs), '[');
            http_response_stream(rs, series_next, series_free, a);
        } else {
            series_free(a);
            api_error(rs, &err);
        }
    }
    api_selection_deinit(&s);
    arena_deinit(&arena);
}

/* ---- names and values ---- */

static int compare_views(const void *a, const void *b)
{
    return view_cmp(*(const struct view *)a, *(const struct view *)b);
}

/* Names, or the values of `name` when it is not empty, of all sets together: sorted, distinct. */
static bool words_collect(struct storage_source *source, const struct api_selection *s,
                          struct view name, struct arena *arena, struct view **out, size_t *count,
                          struct error *err)
{
    struct view *all = NULL;
    size_t total = 0, capacity = 0, sets = s->set_count ? s->set_count : 1;
    /* One more than the limit, so that a cut is seen. */
    size_t limit = s->limit ? s->limit + 1 : 0;
    struct storage_view *v = source_pin(source, s->mint, s->maxt, err);
    bool ok = v != NULL;
    for (size_t i = 0; ok && i < sets; i++) {
        struct select what = selection_select(s, i);
        struct view *words = NULL;
        size_t n = 0;
        ok = name.len ? v->ops->label_values(v, name, &what, limit, arena, &words, &n, err)
                      : v->ops->label_names(v, &what, limit, arena, &words, &n, err);
        if (!ok || n == 0)
            continue;
        all = arena_grow(arena, all, &capacity, total + n, sizeof *all);
        memcpy(all + total, words, n * sizeof *words);
        total += n;
    }
    view_release(v);
    *out = all;
    *count = 0;
    if (total && sets > 1)
        qsort(all, total, sizeof *all, compare_views);
    for (size_t i = 0; i < total; i++)
        if (*count == 0 || !view_eq(all[*count - 1], all[i]))
            all[(*count)++] = all[i];
    return ok;
}

static void words_answer(struct api *api, struct http_request *rq, struct http_response *rs,
                         struct view name, struct arena *arena)
{
    struct error err;
    struct api_selection s;
    struct view *words;
    size_t count;
    if (!api_selection_parse(&s, arena, rq, rs)) {
        api_selection_deinit(&s);
        return;
    }
    if (!words_collect(api->options.source, &s, name, arena, &words, &count, &err)) {
        api_error(rs, &err);
    } else {
        bool truncated = s.limit && count > s.limit;
        struct buffer *b = api_begin(rs);
        buffer_append_byte(b, '[');
        for (size_t i = 0; i < (truncated ? s.limit : count); i++) {
            if (i)
                buffer_append_byte(b, ',');
            json_string(b, words[i]);
        }
        buffer_append_byte(b, ']');
        api_end_limited(rs, truncated);
    }
    api_selection_deinit(&s);
}

void api_serve_label_names(struct api *api, struct http_request *rq, struct http_response *rs)
{
    struct arena arena;
    arena_init(&arena, MEM_QUERY, 0);
    words_answer(api, rq, rs, VIEW(""), &arena);
    arena_deinit(&arena);
}

void api_serve_label_values(struct api *api, struct http_request *rq, struct http_response *rs)
{
    struct error err;
    struct arena arena;
    arena_init(&arena, MEM_QUERY, 0);
    struct view name = api_label_unescape(&arena, http_request_capture(rq, "name"));
    if (name.len == 0 || !utf8_is_valid(name)) {
        (void)error_set(&err, ERROR_INPUT, "invalid label name: \"%.*s\"", VIEW_ARGS(name));
        api_error(rs, &err);
    } else {
        words_answer(api, rq, rs, name, &arena);
    }
    arena_deinit(&arena);
}
