/* SPDX-License-Identifier: Apache-2.0 */
/* target.c: see target.h. A target is one allocation: there may be ten thousand of them. */
#include "ingest/target.h"

#include "base/assert.h"
#include "base/buffer.h"
#include "base/checksum.h"
#include "base/duration.h"
#include "base/mem.h"
#include "base/utf8.h"
#include "ingest/relabel.h"

#include <stdlib.h>
#include <string.h>

enum { URL_BYTES_MAX = 64 * 1024 };

#define ADDRESS "__address__"
#define SCHEME "__scheme__"
#define METRICS_PATH "__metrics_path__"
#define SCRAPE_INTERVAL "__scrape_interval__"
#define SCRAPE_TIMEOUT "__scrape_timeout__"
#define PARAM_PREFIX "__param_"

/* ---- labels before relabelling ---- */

static void set_default(struct labels_builder *b, struct view name, struct view value)
{
    if (labels_builder_get(b, name).len == 0)
        labels_builder_set(b, name, value);
}

static struct view duration_text(struct arena *arena, int64_t ms)
{
    char text[DURATION_TEXT_BYTES];
    return arena_copy(arena, (struct view){text, duration_format(ms, text)});
}

static void discovered_labels(struct labels_builder *b, const struct config_scrape_job *job,
                              struct view address, struct labels group_labels)
{
    labels_builder_reset(b, group_labels);
    labels_builder_set(b, VIEW(ADDRESS), address);
    set_default(b, VIEW("job"), job->job_name);
    set_default(b, VIEW(SCRAPE_INTERVAL), duration_text(b->arena, job->scrape_interval_ms));
    set_default(b, VIEW(SCRAPE_TIMEOUT), duration_text(b->arena, job->scrape_timeout_ms));
    set_default(b, VIEW(METRICS_PATH), job->metrics_path);
    set_default(b, VIEW(SCHEME), job->scheme);
    for (size_t i = 0; i < job->params.count; i++) {
        const struct config_param *p = &job->params.items[i];
        if (p->values.count)
            labels_builder_set(b, arena_printf(b->arena, PARAM_PREFIX "%.*s", VIEW_ARGS(p->name)),
                               p->values.items[0]);
    }
}

/* ---- the URL ---- */

static bool is_unreserved(unsigned char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' ||
           c == '_' || c == '.' || c == '~';
}

/* Everything else than unreserved characters and those of `also` becomes %XX; a blank '+' in queries. */
static void url_escape(struct buffer *out, struct view text, const char *also)
{
    static const char HEX[] = "0123456789ABCDEF";
    for (size_t i = 0; i < text.len; i++) {
        unsigned char c = (unsigned char)text.ptr[i];
        if (is_unreserved(c) || (c && strchr(also, c))) {
            buffer_append_byte(out, (char)c);
        } else if (c == ' ' && !*also) {
            buffer_append_byte(out, '+');
        } else {
            char escaped[3] = {'%', HEX[c >> 4], HEX[c & 15]};
            buffer_append(out, escaped, 3);
        }
    }
}

static void param_add(struct buffer *out, bool *first, struct view name, struct view value)
{
    buffer_append_byte(out, *first ? '?' : '&');
    *first = false;
    url_escape(out, name, "");
    buffer_append_byte(out, '=');
    url_escape(out, value, "");
}

static int param_compare(const void *a, const void *b)
{
    const struct config_param *pa = a, *pb = b;
    return view_cmp(pa->name, pb->name);
}

/* The job's parameters in the order of their names; what relabelling left in __param_NAME is the first
 * value of NAME. */
static void url_params(struct buffer *out, struct arena *arena, const struct config_scrape_job *job,
                       struct labels ls)
{
    struct config_param *params =
        arena_alloc(arena, (job->params.count + ls.count + 1) * sizeof *params);
    size_t count = job->params.count;
    if (count)
        memcpy(params, job->params.items, count * sizeof *params);
    for (uint32_t i = 0; i < ls.count; i++) {
        if (!view_has_prefix(ls.items[i].name, VIEW(PARAM_PREFIX)))
            continue;
        struct view name = view_slice(ls.items[i].name, strlen(PARAM_PREFIX), SIZE_MAX);
        size_t at = 0;
        while (at < count && !view_eq(params[at].name, name))
            at++;
        if (at == count)
            params[count++] = (struct config_param){.name = name};
        struct config_strings *values = &params[at].values;
        struct view *items = arena_alloc(arena, (values->count + 1) * sizeof *items);
        if (values->count)
            memcpy(items, values->items, values->count * sizeof *items);
        items[0] = ls.items[i].value;
        *values = (struct config_strings){items, values->count ? values->count : 1};
    }
    if (count)
        qsort(params, count, sizeof *params, param_compare);
    bool first = true;
    for (size_t i = 0; i < count; i++) {
        for (size_t v = 0; v < params[i].values.count; v++)
            param_add(out, &first, params[i].name, params[i].values.items[v]);
    }
}

bool target_url_append(struct buffer *out, struct view scheme, struct view address,
                       struct view path, struct error *err)
{
    if (!view_is(scheme, "http") && !view_is(scheme, "https"))
        return error_set(err, ERROR_INPUT, "invalid scheme: \"%.*s\"", VIEW_ARGS(scheme));
    /* What would end the host part of a URL, or begin credentials in it. */
    for (size_t i = 0; i < address.len; i++) {
        unsigned char c = (unsigned char)address.ptr[i];
        if (c <= ' ' || c == 0x7f || strchr("/\\?#@\"<>^`{|}", c))
            return error_set(err, ERROR_INPUT, "\"%.*s\" is not a valid hostname",
                             VIEW_ARGS(address));
    }
    buffer_append_view(out, scheme);
    buffer_append_literal(out, "://");
    buffer_append_view(out, address);
    if (path.len == 0 || path.ptr[0] != '/')
        buffer_append_byte(out, '/');
    url_escape(out, path, "$&+,/:;=@");
    return true;
}

static bool url_make(struct arena *arena, const struct config_scrape_job *job, struct labels ls,
                     struct view *out, struct error *err)
{
    struct buffer url;
    buffer_init(&url, MEM_SCRAPE, URL_BYTES_MAX);
    if (!target_url_append(&url, labels_get(ls, VIEW(SCHEME)), labels_get(ls, VIEW(ADDRESS)),
                           labels_get(ls, VIEW(METRICS_PATH)), err)) {
        buffer_deinit(&url);
        return false;
    }
    url_params(&url, arena, job, ls);
    if (!url.failed)
        *out = arena_copy(arena, buffer_view(&url));
    bool ok =
        !url.failed || error_set(err, ERROR_INPUT, "URL is longer than %d bytes", URL_BYTES_MAX);
    buffer_deinit(&url);
    return ok;
}

/* ---- a target in one piece ---- */

/* Where the parts of the one allocation go: first how much they need, then the parts themselves. */
struct packer {
    char *at; /* NULL while measuring */
    size_t bytes;
};

static void *pack_bytes(struct packer *p, size_t bytes)
{
    char *here = p->at ? p->at + p->bytes : NULL;
    p->bytes += bytes;
    return here;
}

static struct view pack_text(struct packer *p, struct view text)
{
    char *here = pack_bytes(p, text.len + 1);
    if (here) {
        if (text.len)
            memcpy(here, text.ptr, text.len);
        here[text.len] = 0;
    }
    return (struct view){here, text.len};
}

static void pack_labels(struct packer *p, struct label *items, struct labels ls)
{
    for (uint32_t i = 0; i < ls.count; i++) {
        struct label l = {pack_text(p, ls.items[i].name), pack_text(p, ls.items[i].value)};
        if (items)
            items[i] = l;
    }
}

/* Lays `from` out behind *t (NULL: only measures). Returns the bytes of all. */
static size_t pack(struct target *t, const struct target *from)
{
    struct packer p = {(char *)t, 0};
    struct target *head = pack_bytes(&p, sizeof *t);
    struct label *discovered = pack_bytes(&p, from->discovered.count * sizeof *discovered);
    struct label *labels = pack_bytes(&p, from->labels.count * sizeof *labels);
    pack_labels(&p, discovered, from->discovered);
    pack_labels(&p, labels, from->labels);
    struct view url = pack_text(&p, from->url), key = pack_text(&p, from->key);
    if (head) {
        *head = (struct target){.refs = 1,
                                .config = from->config,
                                .job = from->job,
                                .discovered = {discovered, from->discovered.count},
                                .dropped = from->dropped,
                                .labels = {labels, from->labels.count},
                                .url = url,
                                .key = key,
                                .hash = from->hash,
                                .interval_ms = from->interval_ms,
                                .timeout_ms = from->timeout_ms};
    }
    return p.bytes;
}

/* ---- making one ---- */

static bool parse_timing(struct target *t, struct labels ls, struct error *err)
{
    struct view interval = labels_get(ls, VIEW(SCRAPE_INTERVAL));
    struct view timeout = labels_get(ls, VIEW(SCRAPE_TIMEOUT));
    if (!duration_parse(interval, &t->interval_ms, err))
        return error_wrap(err, "error parsing scrape interval");
    if (t->interval_ms == 0)
        return error_set(err, ERROR_INPUT, "scrape interval cannot be 0");
    if (!duration_parse(timeout, &t->timeout_ms, err))
        return error_wrap(err, "error parsing scrape timeout");
    if (t->timeout_ms == 0)
        return error_set(err, ERROR_INPUT, "scrape timeout cannot be 0");
    if (t->timeout_ms > t->interval_ms)
        return error_set(
            err, ERROR_INPUT,
            "scrape timeout cannot be greater than scrape interval (\"%.*s\" > \"%.*s\")",
            VIEW_ARGS(timeout), VIEW_ARGS(interval));
    return true;
}

/* What stays on the series: no name that begins with __; instance is the address by default. */
static void public_labels(struct target *t, struct arena *arena, struct labels ls)
{
    struct labels_builder b;
    labels_builder_init(&b, arena);
    for (uint32_t i = 0; i < ls.count; i++) {
        if (!view_has_prefix(ls.items[i].name, VIEW("__")))
            labels_builder_set(&b, ls.items[i].name, ls.items[i].value);
    }
    set_default(&b, VIEW("instance"), labels_get(ls, VIEW(ADDRESS)));
    t->labels = labels_builder_finish(&b);
}

static void key_make(struct target *t, struct arena *arena)
{
    struct buffer key;
    buffer_init(&key, MEM_SCRAPE, SIZE_MAX / 2);
    buffer_append_view(&key, t->job->job_name);
    buffer_append_byte(&key, (char)0xff);
    buffer_append_view(&key, t->url);
    buffer_append_byte(&key, (char)0xff);
    labels_format(&key, t->labels);
    ASSERT(!key.failed);
    t->key = arena_copy(arena, buffer_view(&key));
    t->hash = hash64_view(t->key);
    buffer_deinit(&key);
}

/* Everything, in the arena. */
static bool target_make(struct target *t, struct arena *arena, struct view address,
                        struct labels group_labels, struct error *err)
{
    const struct config_scrape_job *job = t->job;
    struct labels_builder b;
    labels_builder_init(&b, arena);
    discovered_labels(&b, job, address, group_labels);
    t->discovered = labels_copy(arena, labels_builder_finish(&b));
    if (!relabel_process(job->relabel_configs.items, job->relabel_configs.count, &b)) {
        t->dropped = true;
        return true;
    }
    struct labels ls = labels_builder_finish(&b);
    if (labels_get(ls, VIEW(ADDRESS)).len == 0)
        return error_set(err, ERROR_INPUT, "no address");
    for (uint32_t i = 0; i < ls.count; i++) {
        if (!utf8_is_valid(ls.items[i].value))
            return error_set(err, ERROR_INPUT, "invalid label value for \"%.*s\"",
                             VIEW_ARGS(ls.items[i].name));
    }
    if (!parse_timing(t, ls, err) || !url_make(arena, job, ls, &t->url, err))
        return false;
    public_labels(t, arena, ls);
    key_make(t, arena);
    return true;
}

bool target_new(struct target **out, struct config *config, const struct config_scrape_job *job,
                struct view address, struct labels group_labels, struct error *err)
{
    struct target made = {.config = config, .job = job};
    struct arena arena;
    arena_init(&arena, MEM_SCRAPE, 0);
    *out = NULL;
    bool ok = target_make(&made, &arena, address, group_labels, err);
    if (ok) {
        *out = mem_alloc(MEM_SCRAPE, pack(NULL, &made));
        (void)pack(*out, &made); /* the size again */
        config_ref(config);
    } else {
        error_wrap(err, "target \"%.*s\" of job \"%.*s\"", VIEW_ARGS(address),
                   VIEW_ARGS(job->job_name));
    }
    arena_deinit(&arena);
    return ok;
}

struct target *target_ref(struct target *t)
{
    atomic_fetch_add_explicit(&t->refs, 1, memory_order_relaxed);
    return t;
}

void target_unref(struct target *t)
{
    /* Release: what this thread read of it; acquire by the one that frees. */
    if (!t || atomic_fetch_sub_explicit(&t->refs, 1, memory_order_acq_rel) > 1)
        return;
    config_unref(t->config);
    mem_free(MEM_SCRAPE, t);
}

/* ---- what a job makes of a line ---- */

uint64_t target_job_series_hash(const struct config_scrape_job *job)
{
    struct buffer b;
    buffer_init(&b, MEM_SCRAPE, SIZE_MAX / 2);
    buffer_append_u8(&b, job->honor_labels);
    buffer_append_u8(&b, job->honor_timestamps);
    buffer_append_u8(&b, (uint8_t)job->metric_name_validation_scheme);
    buffer_append_u64(&b, job->label_limit);
    buffer_append_u64(&b, job->label_name_length_limit);
    buffer_append_u64(&b, job->label_value_length_limit);
    for (size_t i = 0; i < job->metric_relabel_configs.count; i++) {
        const struct relabel_rule *r = &job->metric_relabel_configs.items[i];
        buffer_append_u8(&b, (uint8_t)r->action);
        buffer_append_varint(&b, r->source_label_count);
        for (size_t l = 0; l < r->source_label_count; l++)
            buffer_append_string(&b, r->source_labels[l]);
        buffer_append_string(&b, r->separator);
        buffer_append_string(&b, r->regex_text);
        buffer_append_u64(&b, r->modulus);
        buffer_append_string(&b, r->target_label);
        buffer_append_string(&b, r->replacement);
    }
    ASSERT(!b.failed);
    uint64_t hash = hash64_view(buffer_view(&b));
    buffer_deinit(&b);
    return hash;
}
