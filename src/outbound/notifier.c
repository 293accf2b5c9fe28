/* SPDX-License-Identifier: Apache-2.0 */
/* notifier.c: see notifier.h: configurations, what is asked and told by other threads. */
#include "outbound/notifier.h"

#include "base/assert.h"
#include "base/mem.h"
#include "ingest/relabel.h"
#include "outbound/notifier_private.h"

#include <stdlib.h>
#include <string.h>

enum {
    QUEUE_CAPACITY = 10000,
    BATCH_MAX = 256,
    DRAIN_MS_MAX = 10 * 1000,
    NOTICES_AT_ONCE = 1000 /* encoded, then queued: bounds what a rule with many alerts needs */
};

/* Prometheus' own. */
const double NOTIFIER_LATENCY_BOUNDS[NOTIFIER_LATENCY_BUCKETS] = {0.01, 0.1, 1, 10};

/* --- alerts in --- */

/* What an entry of the configuration gets of some notices. */
struct encoded {
    struct posted_alert **items;
    size_t count;
};

struct encoder {
    struct notifier *n;
    struct config *config; /* referenced */
    uint64_t generation;
    struct arena arena;
    struct buffer scratch;
    struct encoded common;   /* for entries without alert_relabel_configs */
    struct encoded *entries; /* by entry; of those with some */
};

static void encode(struct encoder *e, struct encoded *to, const struct alert_notice *notice,
                   struct labels labels)
{
    to->items[to->count++] =
        posted_alert_new(notice, labels, view_from(e->n->external_url), &e->scratch);
}

static void encode_all(struct encoder *e, const struct alert_notice *notices, size_t count)
{
    const struct config_alertmanagers *entries = &e->config->alertmanagers;
    bool any_common = false;
    e->entries = ARENA_ARRAY(&e->arena, struct encoded, entries->count + 1);
    for (size_t i = 0; i < entries->count; i++) {
        if (entries->items[i].alert_relabel_configs.count)
            e->entries[i].items = ARENA_ARRAY(&e->arena, struct posted_alert *, count);
        else
            any_common = true;
    }
    e->common = (struct encoded){ARENA_ARRAY(&e->arena, struct posted_alert *, count), 0};
    for (size_t k = 0; k < count; k++) {
        struct labels labels;
        if (!alert_notice_labels(&notices[k], e->config, &e->arena, &labels))
            continue;
        if (any_common)
            encode(e, &e->common, &notices[k], labels);
        for (size_t i = 0; i < entries->count; i++) {
            const struct config_relabel_rules *rules = &entries->items[i].alert_relabel_configs;
            struct labels_builder b;
            if (rules->count == 0)
                continue;
            labels_builder_init(&b, &e->arena);
            labels_builder_reset(&b, labels);
            if (relabel_process(rules->items, rules->count, &b))
                encode(e, &e->entries[i], &notices[k], labels_builder_finish(&b));
        }
    }
}

static void encoded_release(struct encoded *x)
{
    for (size_t i = 0; i < x->count; i++)
        posted_alert_unref(x->items[i]);
    x->count = 0;
}

/* Overflow is said once until something is taken again. */
static void push_locked(struct notifier *n, struct destination *d, const struct encoded *x,
                        char *overflow, size_t overflow_bytes)
{
    size_t dropped = ring_push(&d->ring, x->items, x->count, n->options.queue_capacity);
    d->stats.dropped += dropped;
    if (dropped && !d->overflows) {
        d->overflows = true;
        snprintf(overflow, overflow_bytes, "%s", d->url);
    }
}

/* False: the configuration has changed meanwhile, and nothing was queued. */
static bool queue_all(struct encoder *e)
{
    struct notifier *n = e->n;
    char overflow[512] = "";
    mutex_lock(&n->mutex);
    bool same = n->generation == e->generation;
    for (size_t i = 0; same && i < n->count; i++) {
        struct destination *d = n->destinations[i];
        if (d->entry_idx == DESTINATION_LEFT)
            continue;
        bool own = d->entry->alert_relabel_configs.count > 0;
        push_locked(n, d, own ? &e->entries[d->entry_idx] : &e->common, overflow, sizeof overflow);
    }
    mutex_unlock(&n->mutex);
    if (*overflow)
        notifier_log(n, true, "alert_queue_full",
                     "alertmanager \"%s\": %zu alerts wait already: the oldest are dropped",
                     overflow, n->options.queue_capacity);
    return same;
}

/* The configuration in force; false when it names nobody. */
static bool encoder_begin(struct encoder *e)
{
    struct notifier *n = e->n;
    bool any = false;
    mutex_lock(&n->mutex);
    for (size_t i = 0; i < n->count && !any; i++)
        any = n->destinations[i]->entry_idx != DESTINATION_LEFT;
    if (any)
        e->config = config_ref(n->config);
    e->generation = n->generation;
    mutex_unlock(&n->mutex);
    return any;
}

static void send_some(struct notifier *n, const struct alert_notice *notices, size_t count)
{
    struct encoder e = {.n = n};
    bool queued = false;
    arena_init(&e.arena, MEM_ALERTING, 0);
    buffer_init(&e.scratch, MEM_ALERTING, SIZE_MAX / 2);
    while (!queued && encoder_begin(&e)) {
        encode_all(&e, notices, count);
        queued = queue_all(&e);
        encoded_release(&e.common);
        for (size_t i = 0; i < e.config->alertmanagers.count; i++)
            encoded_release(&e.entries[i]);
        config_unref(e.config);
        arena_reset(&e.arena);
    }
    buffer_deinit(&e.scratch);
    arena_deinit(&e.arena);
}

static void on_alerts(void *arg, const struct alert_notice *notices, size_t count)
{
    struct notifier *n = arg;
    for (size_t i = 0; i < count; i += NOTICES_AT_ONCE)
        send_some(n, notices + i, count - i < NOTICES_AT_ONCE ? count - i : NOTICES_AT_ONCE);
    notifier_wake(n);
}

struct alert_sink notifier_sink(struct notifier *n)
{
    return (struct alert_sink){on_alerts, n};
}

/* --- configuration --- */

static void on_unusable(void *arg, const char *text)
{
    notifier_log(arg, true, "alertmanager_refused", "%s", text);
}

/* Of those before, one to this URL that nobody has taken: of the same entry, else of any. */
static struct destination *take_old(struct notifier *n, size_t count, const ptrdiff_t *old_entries,
                                    ptrdiff_t entry_idx, struct view url)
{
    struct destination *found = NULL;
    for (size_t i = 0; i < count; i++) {
        struct destination *d = n->destinations[i];
        if (d->entry_idx != DESTINATION_LEFT || old_entries[i] == DESTINATION_LEFT ||
            !view_is(url, d->url))
            continue;
        if (old_entries[i] == entry_idx)
            return d;
        found = found ? found : d;
    }
    return found;
}

static struct destination *destination_new(struct view url)
{
    struct destination *d = mem_alloc_zero(MEM_ALERTING, 1, sizeof *d);
    d->url = mem_copy_string(MEM_ALERTING, url);
    buffer_init(&d->post.body, MEM_ALERTING, SIZE_MAX / 2);
    return d;
}

/* All that is found is a destination; those of before that are not found leave. */
static void replace_locked(struct notifier *n, struct config *config,
                           const struct alertmanagers *found)
{
    size_t old_count = n->count;
    ptrdiff_t *old_entries = mem_alloc(MEM_ALERTING, (old_count + 1) * sizeof *old_entries);
    for (size_t i = 0; i < old_count; i++) {
        old_entries[i] = n->destinations[i]->entry_idx;
        n->destinations[i]->entry_idx = DESTINATION_LEFT;
    }
    for (size_t e = 0; e < config->alertmanagers.count; e++) {
        for (size_t i = 0; i < found[e].active.count; i++) {
            struct view url = found[e].active.items[i];
            struct destination *d = take_old(n, old_count, old_entries, (ptrdiff_t)e, url);
            if (!d) {
                d = destination_new(url);
                n->destinations = mem_grow(MEM_ALERTING, n->destinations, &n->capacity,
                                           n->count + 1, sizeof(struct destination *));
                n->destinations[n->count++] = d;
            }
            d->entry_idx = (ptrdiff_t)e;
            d->entry = &config->alertmanagers.items[e];
            config_unref(d->config);
            d->config = config_ref(config);
        }
    }
    mem_free(MEM_ALERTING, old_entries);
    arena_reset(&n->dropped_arena);
    n->dropped = (struct url_list){0};
    for (size_t e = 0; e < config->alertmanagers.count; e++)
        url_list_add_all(&n->dropped_arena, &n->dropped, &found[e].dropped);
}

/* Under the lock `apply`. */
static void put_in_force(struct notifier *n, struct config *config)
{
    struct arena arena;
    size_t count = config->alertmanagers.count;
    arena_init(&arena, MEM_ALERTING, 0);
    struct alertmanagers *found = ARENA_ARRAY(&arena, struct alertmanagers, count + 1);
    for (size_t e = 0; e < count; e++)
        alertmanagers_find(&arena, &config->alertmanagers.items[e], n->discover, &found[e],
                           on_unusable, n);
    mutex_lock(&n->mutex);
    struct config *old = n->config;
    replace_locked(n, config, found);
    if (config != old) {
        n->config = config_ref(config);
        n->generation++;
    }
    mutex_unlock(&n->mutex);
    if (config != old)
        config_unref(old);
    arena_deinit(&arena);
    notifier_wake(n);
}

void notifier_apply(struct notifier *n, struct config *config)
{
    size_t count = config->alertmanagers.count;
    const struct config_discoveries **lists =
        mem_alloc_zero(MEM_ALERTING, count + 1, sizeof(const struct config_discoveries *));
    for (size_t i = 0; i < count; i++)
        lists[i] = &config->alertmanagers.items[i].discoveries;
    mutex_lock(&n->apply);
    /* The old configuration lives until the new one is in force; discovery may look at it until then. */
    discover_apply_lists(n->discover, lists, count);
    put_in_force(n, config);
    mutex_unlock(&n->apply);
    mem_free(MEM_ALERTING, lists);
}

/* The discovery thread: what it found is not what it was. */
static void on_discovered(void *arg)
{
    struct notifier *n = arg;
    mutex_lock(&n->apply);
    if (n->config) /* only who holds `apply` puts another there */
        put_in_force(n, n->config);
    mutex_unlock(&n->apply);
}

static void on_discovery_event(void *arg, bool is_error, const char *event, const char *text)
{
    notifier_log(arg, is_error, event, "alertmanagers: %s", text);
}

/* --- what is asked --- */

void notifier_alertmanagers(struct notifier *n, struct arena *arena, struct alertmanagers *out)
{
    *out = (struct alertmanagers){0};
    mutex_lock(&n->mutex);
    for (size_t e = 0; n->config && e < n->config->alertmanagers.count; e++) {
        for (size_t i = 0; i < n->count; i++) {
            struct url_list one = {&(struct view){0}, 1, 1};
            one.items[0] = view_from(n->destinations[i]->url);
            if (n->destinations[i]->entry_idx == (ptrdiff_t)e)
                url_list_add_all(arena, &out->active, &one);
        }
    }
    url_list_add_all(arena, &out->dropped, &n->dropped);
    mutex_unlock(&n->mutex);
}

static int stats_compare(const void *a, const void *b)
{
    return view_cmp(((const struct notifier_url_stats *)a)->url,
                    ((const struct notifier_url_stats *)b)->url);
}

static void stats_add(struct notifier_url_stats *to, const struct notifier_url_stats *from)
{
    to->sent += from->sent;
    to->errors += from->errors;
    to->dropped += from->dropped;
    to->queue_length += from->queue_length;
    to->latency_count += from->latency_count;
    to->latency_seconds += from->latency_seconds;
    for (size_t i = 0; i < NOTIFIER_LATENCY_BUCKETS; i++)
        to->latency_buckets[i] += from->latency_buckets[i];
}

void notifier_stats_get(struct notifier *n, struct arena *arena, struct notifier_stats *out)
{
    size_t kept = 0;
    *out = (struct notifier_stats){.queue_capacity = n->options.queue_capacity};
    mutex_lock(&n->mutex);
    out->items = ARENA_ARRAY(arena, struct notifier_url_stats, n->count + 1);
    for (size_t i = 0; i < n->count; i++) {
        const struct destination *d = n->destinations[i];
        if (d->entry_idx == DESTINATION_LEFT)
            continue;
        out->items[out->count] = d->stats;
        out->items[out->count].url = arena_copy(arena, view_from(d->url));
        out->items[out->count++].queue_length = d->ring.count;
    }
    mutex_unlock(&n->mutex);
    out->discovered = out->count;
    qsort(out->items, out->count, sizeof *out->items, stats_compare);
    for (size_t i = 0; i < out->count; i++) { /* two entries may name the same */
        if (kept && view_eq(out->items[kept - 1].url, out->items[i].url))
            stats_add(&out->items[kept - 1], &out->items[i]);
        else
            out->items[kept++] = out->items[i];
    }
    out->count = kept;
}

/* --- life --- */

static void free_all(struct notifier *n)
{
    for (size_t i = 0; i < n->count; i++)
        destination_free(n->destinations[i]);
    mem_free(MEM_ALERTING, n->destinations);
    CURLMcode code = curl_multi_cleanup(n->multi);
    ASSERT(code == CURLM_OK);
    arena_deinit(&n->dropped_arena);
    config_unref(n->config);
    client_tokens_free(n->tokens);
    mutex_deinit(&n->apply);
    mutex_deinit(&n->mutex);
    mem_free(MEM_ALERTING, n->external_url);
    mem_free(MEM_ALERTING, n);
}

bool notifier_start(struct notifier **out, const struct notifier_options *opts, struct error *err)
{
    *out = NULL;
    /* Twice is fine: libcurl counts. */
    if (curl_global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK)
        return error_set(err, ERROR_INTERNAL, "could not initialise libcurl");
    struct notifier *n = mem_alloc_zero(MEM_ALERTING, 1, sizeof *n);
    n->options = *opts;
    if (n->options.queue_capacity == 0)
        n->options.queue_capacity = QUEUE_CAPACITY;
    if (n->options.batch_max == 0)
        n->options.batch_max = BATCH_MAX;
    if (n->options.drain_ms_max == 0)
        n->options.drain_ms_max = DRAIN_MS_MAX;
    n->external_url = mem_copy_string(MEM_ALERTING, view_from(opts->external_url));
    n->tokens = client_tokens_new();
    n->multi = curl_multi_init();
    ASSERT(n->multi);
    mutex_init(&n->apply);
    mutex_init(&n->mutex);
    arena_init(&n->dropped_arena, MEM_ALERTING, 0);
    if (!thread_start(&n->thread, "notifier", notifier_run, n, err)) {
        free_all(n);
        curl_global_cleanup();
        return false;
    }
    n->discover = discover_new(&(struct discover_options){.tokens = n->tokens,
                                                          .pause_ms = opts->discovery_pause_ms,
                                                          .changed = on_discovered,
                                                          .log = on_discovery_event,
                                                          .arg = n});
    *out = n;
    return true;
}

void notifier_stop(struct notifier *n)
{
    if (!n)
        return;
    discover_free(n->discover);
    mutex_lock(&n->mutex);
    n->stop = true;
    n->stop_deadline = mono_add_ms(clock_mono(), n->options.drain_ms_max);
    mutex_unlock(&n->mutex);
    notifier_wake(n);
    thread_join(n->thread);
    free_all(n);
    curl_global_cleanup();
}
