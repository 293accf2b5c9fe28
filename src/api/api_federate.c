/* SPDX-License-Identifier: Apache-2.0 */
/* api_federate.c: GET /federate: the newest sample of each series that match[] selects, as text for another server
 * to scrape. As Prometheus 3 does it: samples of the last lookback, stale ones left out, sorted by the metric's
 * name, every family untyped, with timestamps; external labels are added where the series has none of that name, and
 * instance="" where it has no instance, so that the scraper's own does not take its place (honor_labels). */
#include "api/api_private.h"
#include "base/floattext.h"
#include "ingest/config.h"
#include "model/name_escape.h"
#include "promql/parser.h"
#include "storage/cursor.h"

#include <stdlib.h>

enum { LOOKBACK_MS = 5 * 60 * 1000 };

struct federated {
    labels_id labels;
    int64_t timestamp_ms;
    double value;
};

struct federation {
    struct label_store *labels;
    struct arena arena; /* external labels */
    struct labels external;
    symbol_id name; /* __name__ */
    enum name_escaping escaping;
    struct federated *items;
    size_t count, next, capacity;
    struct buffer escaped;
};

/* ---- what the client reads ---- */

static const char *const TYPES[NAME_ESCAPING_COUNT][2] = {
#define X(id, word)                                                                                \
    [id] = {"text/plain; version=0.0.4; charset=utf-8; escaping=" word,                            \
            "text/plain; version=1.0.0; charset=utf-8; escaping=" word},
    NAME_ESCAPINGS(X)
#undef X
};

/* Text it is in any case; the header says which version and how names are escaped. Most wanted first; an escaping
 * counts although its format is one that is not served, as in Prometheus. */
static void negotiate(struct federation *f, struct view accept, struct http_response *rs)
{
    struct api_accepted items[API_ACCEPT_ITEMS_MAX];
    size_t count = api_accept_parse(accept, items);
    size_t version = 0;
    for (size_t i = 0; i < count; i++) {
        (void)name_escaping_parse(items[i].escaping,
                                  &f->escaping); /* unknown ones change nothing */
        if (!view_is(items[i].type, "text/plain"))
            continue;
        if (view_is(items[i].version, "1.0.0"))
            version = 1;
        else if (items[i].version.len && !view_is(items[i].version, "0.0.4"))
            continue;
        break;
    }
    http_response_set_content_type(rs, TYPES[f->escaping][version]);
}

/* ---- reading ---- */

static void item_add(struct federation *f, labels_id labels, const struct samples *s)
{
    if (s->count == 0 || sample_is_stale(s->values[s->count - 1]))
        return;
    if (label_store_get(f->labels, labels, f->name).n == 0)
        return; /* without a name it cannot be said */
    f->items = mem_grow(MEM_QUERY, f->items, &f->capacity, f->count + 1, sizeof *f->items);
    f->items[f->count++] =
        (struct federated){labels, s->times[s->count - 1], s->values[s->count - 1]};
}

static bool set_collect(struct federation *f, struct storage_view *v, const struct select *what,
                        const atomic_bool *cancel, struct error *err)
{
    struct arena arena;
    struct series_list list;
    arena_init(&arena, MEM_QUERY, 0);
    bool ok = view_select(v, what, f->labels, &arena, &list, err);
    f->name = label_store_add_symbol(f->labels, VIEW(LABEL_NAME));
    struct storage_reader *r = ok ? view_reader_new(v, cancel, err) : NULL;
    ok = r != NULL;
    for (size_t i = 0; ok && i < list.count; i++) {
        struct samples s = {0};
        ok = reader_read(r, list.items[i].ref, what->mint, what->maxt, &s, err);
        if (ok)
            item_add(f, list.items[i].labels, &s);
    }
    storage_reader_free(r);
    arena_deinit(&arena);
    return ok;
}

static bool collect(struct federation *f, const struct api *api, const struct api_selection *s,
                    const atomic_bool *cancel, struct error *err)
{
    struct storage_view *v = source_pin(api->options.source, s->mint, s->maxt, err);
    bool ok = v != NULL;
    for (size_t i = 0; ok && i < s->set_count; i++) {
        struct select what = {.matchers = s->sets[i].matchers,
                              .matcher_count = s->sets[i].count,
                              .mint = s->mint,
                              .maxt = s->maxt,
                              .series_max = (size_t)api->options.engine.samples_max};
        ok = set_collect(f, v, &what, cancel, err);
    }
    view_release(v);
    return ok;
}

static struct view name_of(const struct federation *f, labels_id id)
{
    return label_store_text(f->labels, label_store_get(f->labels, id, f->name));
}

static int compare(const void *a, const void *b, void *arg)
{
    const struct federation *f = arg;
    labels_id ia = ((const struct federated *)a)->labels,
              ib = ((const struct federated *)b)->labels;
    if (ia.n == ib.n)
        return 0;
    int c = view_cmp(name_of(f, ia), name_of(f, ib));
    return c ? c : label_store_compare(f->labels, ia, ib);
}

/* By name; a series that several match[] select comes once. */
static void sort(struct federation *f)
{
    size_t kept = 0;
    if (f->count)
        qsort_r(f->items, f->count, sizeof *f->items, compare, f);
    for (size_t i = 0; i < f->count; i++) {
        if (kept == 0 || f->items[kept - 1].labels.n != f->items[i].labels.n)
            f->items[kept++] = f->items[i];
    }
    f->count = kept;
}

/* ---- writing ---- */

static void escaped_write(struct buffer *b, struct view text)
{
    for (size_t i = 0; i < text.len; i++) {
        char c = text.ptr[i];
        if (c == '\\' || c == '"')
            buffer_append_byte(b, '\\');
        if (c == '\n')
            buffer_append_literal(b, "\\n");
        else
            buffer_append_byte(b, c);
    }
}

/* The name as the client wants it; what is still not legacy stands in quotes. False: it does. */
static bool name_write(struct federation *f, struct buffer *b, struct view name, const char *before)
{
    buffer_reset(&f->escaped);
    name_escape(&f->escaped, name, f->escaping);
    struct view escaped = buffer_view(&f->escaped);
    if (metric_name_is_legacy(escaped)) {
        buffer_append_view(b, escaped);
        return true;
    }
    buffer_append_view(b, view_from(before));
    buffer_append_byte(b, '"');
    escaped_write(b, escaped);
    buffer_append_byte(b, '"');
    return false;
}

static void label_write(struct federation *f, struct buffer *b, char *separator, struct view name,
                        struct view value)
{
    buffer_append_byte(b, *separator);
    *separator = ',';
    (void)name_write(f, b, name, "");
    buffer_append_literal(b, "=\"");
    escaped_write(b, value);
    buffer_append_byte(b, '"');
}

static void sample_write(struct federation *f, struct buffer *b, const struct federated *item)
{
    uint32_t count;
    shape_id shape = label_store_shape(f->labels, item->labels);
    const symbol_id *names = label_store_shape_names(f->labels, shape, &count);
    const symbol_id *values = label_store_values(f->labels, item->labels);
    char separator = name_write(f, b, name_of(f, item->labels), "{") ? '{' : ',';
    for (uint32_t i = 0; i < count; i++) {
        if (names[i].n != f->name.n)
            label_write(f, b, &separator, label_store_text(f->labels, names[i]),
                        label_store_text(f->labels, values[i]));
    }
    for (uint32_t i = 0; i < f->external.count; i++) {
        struct label l = f->external.items[i];
        symbol_id name = label_store_find_symbol(f->labels, l.name);
        if (name.n == LABEL_STORE_NONE || label_store_shape_find(f->labels, shape, name) < 0)
            label_write(f, b, &separator, l.name, l.value);
    }
    if (separator == ',')
        buffer_append_byte(b, '}');
    char text[FLOAT_TEXT_BYTES];
    buffer_append_byte(b, ' ');
    buffer_append(b, text, float_format_general(item->value, text));
    buffer_printf(b, " %lld\n", (long long)item->timestamp_ms);
}

static bool federation_next(void *arg, struct buffer *b, bool *more)
{
    struct federation *f = arg;
    for (; f->next < f->count && b->len < HTTP_PIECE_BYTES; f->next++) {
        const struct federated *item = &f->items[f->next];
        struct view name = name_of(f, item->labels);
        if (f->next == 0 || !view_eq(name, name_of(f, item[-1].labels))) {
            buffer_append_literal(b, "# TYPE ");
            (void)name_write(f, b, name, "");
            buffer_append_literal(b, " untyped\n");
        }
        sample_write(f, b, item);
    }
    *more = f->next < f->count;
    return true;
}

static void federation_free(void *arg)
{
    struct federation *f = arg;
    label_store_free(f->labels);
    mem_free(MEM_QUERY, f->items);
    buffer_deinit(&f->escaped);
    arena_deinit(&f->arena);
    mem_free(MEM_QUERY, f);
}

/* Those of the configuration, and instance="". */
static void external_labels(struct federation *f, const struct api *api)
{
    struct labels ls = {NULL, 0};
    if (api->options.external_labels)
        ls = api->options.external_labels(api->options.arg, &f->arena);
    f->external = ls;
    if (labels_get(ls, VIEW("instance")).len)
        return;
    struct label *items = arena_alloc(&f->arena, (ls.count + 1) * sizeof *items);
    uint32_t count = 0;
    bool placed = false;
    for (uint32_t i = 0; i < ls.count; i++) {
        if (!placed && view_cmp(ls.items[i].name, VIEW("instance")) > 0) {
            items[count++] = (struct label){VIEW("instance"), VIEW("")};
            placed = true;
        }
        items[count++] = ls.items[i];
    }
    if (!placed)
        items[count++] = (struct label){VIEW("instance"), VIEW("")};
    f->external = (struct labels){items, count};
}

static void cancel(void *arg)
{
    atomic_store((atomic_bool *)arg, true);
}

void api_serve_federate(struct api *api, struct http_request *rq, struct http_response *rs)
{
    struct error err = {0};
    struct arena arena;
    atomic_bool canceled = false;
    int64_t lookback = api->options.engine.lookback_ms, now = clock_wall().ms;
    struct api_selection s = {.mint = now - (lookback ? lookback : LOOKBACK_MS), .maxt = now};
    arena_init(&arena, MEM_QUERY, 0);
    struct federation *f = mem_alloc_zero(MEM_QUERY, 1, sizeof *f);
    f->labels = label_store_new(MEM_QUERY, 0);
    arena_init(&f->arena, MEM_QUERY, 0);
    buffer_init(&f->escaped, MEM_QUERY, 1 << 24);
    bool parsed = api_selectors_parse(&s, &arena, rq, &err);
    http_request_set_cancel(rq, cancel, &canceled, 0);
    bool ok = parsed && collect(f, api, &s, &canceled, &err);
    http_request_clear_cancel(rq);
    api_selection_deinit(&s);
    arena_deinit(&arena);
    if (!ok) {
        if (parsed)
            atomic_fetch_add_explicit(&api->federation_errors, 1, memory_order_relaxed);
        federation_free(f);
        http_response_error(rs, parsed ? error_http_status(err.kind) : 400, "%s", err.message);
        return;
    }
    sort(f);
    external_labels(f, api);
    negotiate(f, http_request_header(rq, "Accept"), rs);
    http_response_stream(rs, federation_next, federation_free, f);
}
