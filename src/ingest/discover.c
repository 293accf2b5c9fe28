/* SPDX-License-Identifier: Apache-2.0 */
/* discover.c: see discover.h.
 *
 *   work      guards providers and what they are doing; held by the thread while it works and by discover_apply()
 *   results   guards what providers have found; held for moments, by any thread
 *
 * The thread waits in curl_multi_poll() for answers, files (inotify), a wake and the next refresh; it holds no lock
 * then. When results have changed it calls changed() once the pause since the last call is over, without a lock. */
#include "ingest/discover.h"

#include "base/assert.h"
#include "base/mem.h"
#include "base/thread.h"
#include "ingest/discover_private.h"

#include <stdlib.h>
#include <string.h>
#include <sys/inotify.h>
#include <unistd.h>

enum { PAUSE_DEFAULT_MS = 1000, EVENT_DELAY_MS = 10, WATCHES_MAX = 1000, WAITS_MAX = 256 };

static const struct discover_kind *const KINDS[] = {&DISCOVER_FILE, &DISCOVER_HTTP, &DISCOVER_DNS};

/* Which provider an entry of the configuration has. */
struct place {
    const struct config_discovery *entry;
    struct discover_provider *provider;
};

struct watch {
    int wd;
    char *folder;
};

struct discover {
    struct discover_options options;
    struct discover_counters counters;

    pthread_mutex_t work;
    struct discover_provider **providers;
    size_t count;
    struct discover_provider **leaving; /* to be closed by the thread, which has their transfers */
    size_t leaving_count, leaving_capacity;
    int inotify_fd; /* -1: there is none */
    struct watch *watches;
    size_t watch_count, watch_capacity;
    bool files_changed;
    bool started;
    pthread_t thread;
    CURLM *multi;

    pthread_mutex_t results;
    pthread_cond_t answered;
    struct place *places; /* by entry */
    size_t place_count;
    bool dirty; /* something was pushed since changed() was called */

    atomic_bool stop;
};

CURLM *discover_multi(struct discover *d)
{
    return d->multi;
}

struct client_tokens *discover_tokens(struct discover *d)
{
    return d->options.tokens;
}

struct discover_counters *discover_counters(struct discover *d)
{
    return &d->counters;
}

/* ---- results ---- */

void discover_result_unref(struct discover_result *r)
{
    /* Release: what this thread read of it; acquire by the one that frees. */
    if (!r || atomic_fetch_sub_explicit(&r->refs, 1, memory_order_acq_rel) > 1)
        return;
    for (size_t i = 0; i < r->count; i++)
        target_groups_unref(r->sets[i]);
    mem_free(MEM_SCRAPE, r);
}

static bool is_same(const struct discover_result *r, struct target_groups *const *sets,
                    size_t count)
{
    if (!r || r->count != count)
        return false;
    for (size_t i = 0; i < count; i++) {
        if (r->sets[i] != sets[i])
            return false;
    }
    return true;
}

void discover_push(struct discover_provider *p, struct target_groups *const *sets, size_t count)
{
    struct discover *d = p->discover;
    if (is_same(p->result, sets, count)) { /* only who holds the work lock writes it */
        for (size_t i = 0; i < count; i++)
            target_groups_unref(sets[i]);
        return;
    }
    struct discover_result *r =
        mem_alloc_zero(MEM_SCRAPE, 1, sizeof *r + count * sizeof(struct target_groups *));
    r->refs = 1;
    r->count = count;
    if (count)
        memcpy(r->sets, sets, count * sizeof(struct target_groups *));
    mutex_lock(&d->results);
    struct discover_result *old = p->result;
    p->result = r;
    d->dirty = true;
    mutex_unlock(&d->results);
    discover_result_unref(old);
}

static void answered(struct discover_provider *p)
{
    struct discover *d = p->discover;
    mutex_lock(&d->results);
    p->answered = true;
    cond_broadcast(&d->answered);
    mutex_unlock(&d->results);
}

void discover_failed(struct discover_provider *p, const char *what, const struct error *err)
{
    struct discover *d = p->discover;
    char text[ERROR_MESSAGE_BYTES + 200];
    DISCOVER_COUNT(d->counters.refresh_failures, 1);
    snprintf(text, sizeof text, "%s_sd: %s; %s", p->kind->label, err->message, what);
    if (!p->last_error || strcmp(p->last_error, text) != 0) {
        mem_free(MEM_SCRAPE, p->last_error);
        p->last_error = mem_copy_string(MEM_SCRAPE, view_from(text));
        if (d->options.log)
            d->options.log(d->options.arg, true, "discovery_failed", text);
    }
    answered(p);
}

void discover_succeeded(struct discover_provider *p)
{
    struct discover *d = p->discover;
    char text[300];
    if (p->last_error && d->options.log) {
        snprintf(text, sizeof text, "%s_sd: it works again after: %.200s", p->kind->label,
                 p->last_error);
        d->options.log(d->options.arg, false, "discovery_recovered", text);
    }
    mem_free(MEM_SCRAPE, p->last_error);
    p->last_error = NULL;
    answered(p);
}

void discover_delay(struct discover_provider *p, int64_t ms)
{
    p->due = mono_add_ms(clock_mono(), ms);
}

static int place_compare(const void *a, const void *b)
{
    uintptr_t pa = (uintptr_t)((const struct place *)a)->entry,
              pb = (uintptr_t)((const struct place *)b)->entry;
    return (pa > pb) - (pa < pb);
}

struct discover_result *discover_result_get(struct discover *d,
                                            const struct config_discovery *entry)
{
    struct discover_result *r = NULL;
    struct place wanted = {.entry = entry};
    mutex_lock(&d->results);
    const struct place *place = d->place_count ? bsearch(&wanted, d->places, d->place_count,
                                                         sizeof *d->places, place_compare)
                                               : NULL;
    if (place && place->provider->result) {
        r = place->provider->result;
        atomic_fetch_add_explicit(&r->refs, 1, memory_order_relaxed);
    }
    mutex_unlock(&d->results);
    return r;
}

/* ---- providers ---- */

static void refresh(struct discover_provider *p, bool first)
{
    discover_delay(p, p->kind->interval_ms(p->settings)); /* the kind may say otherwise */
    DISCOVER_COUNT(p->discover->counters.refreshes, 1);
    p->kind->refresh(p, first);
}

static void provider_free(struct discover_provider *p)
{
    p->kind->close(p);
    discover_result_unref(p->result);
    mem_free(MEM_SCRAPE, p->state);
    mem_free(MEM_SCRAPE, p->last_error);
    mem_free(MEM_SCRAPE, (void *)(uintptr_t)p->key.ptr);
    mem_free(MEM_SCRAPE, p);
}

static const struct discover_kind *kind_of(const struct config_discovery *entry)
{
    for (size_t i = 0; i < ARRAY_COUNT(KINDS); i++) {
        if (KINDS[i]->kind == entry->kind)
            return KINDS[i];
    }
    return NULL;
}

static void key_of(const struct discover_kind *kind, const struct config_discovery *entry,
                   struct buffer *out)
{
    buffer_reset(out);
    buffer_append_view(out, view_from(kind->label));
    buffer_append_byte(out, 0);
    kind->key(entry->settings, out);
    ASSERT(!out->failed);
}

/* Those being put together. */
struct provider_list {
    struct discover_provider **items;
    size_t count, capacity;
    struct place *places;
    size_t place_count, place_capacity;
};

static struct discover_provider *take(struct discover_provider **from, size_t count,
                                      const struct discover_kind *kind, struct view key)
{
    for (size_t i = 0; i < count; i++) {
        struct discover_provider *p = from[i];
        if (p && p->kind == kind && view_eq(p->key, key)) {
            from[i] = NULL;
            return p;
        }
    }
    return NULL;
}

/* The provider of an entry: one of this list already, one of before, or a new one. */
static void list_add(struct discover *d, struct provider_list *list,
                     const struct config_discovery *entry)
{
    struct buffer key;
    const struct discover_kind *kind = kind_of(entry);
    struct discover_provider *p = NULL;
    if (!kind)
        return;
    buffer_init(&key, MEM_SCRAPE, SIZE_MAX / 2);
    key_of(kind, entry, &key);
    for (size_t i = 0; i < list->count && !p; i++) {
        struct discover_provider *other = list->items[i];
        /* Two entries share a provider where all of their settings are the same text. */
        if (other->kind == kind && view_eq(other->key, buffer_view(&key)) &&
            yaml_nodes_equal(entry->node, other->node))
            p = other;
    }
    if (!p) {
        p = take(d->providers, d->count, kind, buffer_view(&key));
        if (!p) {
            p = mem_alloc_zero(MEM_SCRAPE, 1, sizeof *p);
            p->discover = d;
            p->kind = kind;
            p->state = mem_alloc_zero(MEM_SCRAPE, 1, kind->bytes);
            p->key = (struct view){mem_copy_string(MEM_SCRAPE, buffer_view(&key)), key.len};
        }
        p->settings = entry->settings;
        p->node = entry->node;
        list->items = mem_grow(MEM_SCRAPE, list->items, &list->capacity, list->count + 1,
                               sizeof(struct discover_provider *));
        list->items[list->count++] = p;
    }
    list->places = mem_grow(MEM_SCRAPE, list->places, &list->place_capacity, list->place_count + 1,
                            sizeof *list->places);
    list->places[list->place_count++] = (struct place){entry, p};
    buffer_deinit(&key);
}

static void leave(struct discover *d, struct discover_provider *p)
{
    if (!d->started) {
        provider_free(p);
        return;
    }
    d->leaving = mem_grow(MEM_SCRAPE, d->leaving, &d->leaving_capacity, d->leaving_count + 1,
                          sizeof(struct discover_provider *));
    d->leaving[d->leaving_count++] = p;
}

/* ---- the thread ---- */

bool discover_watch(struct discover *d, const char *folder)
{
    for (size_t i = 0; i < d->watch_count; i++) {
        if (strcmp(d->watches[i].folder, folder) == 0)
            return true;
    }
    if (d->inotify_fd < 0 || d->watch_count == WATCHES_MAX)
        return false;
    int wd = inotify_add_watch(d->inotify_fd, folder,
                               IN_CLOSE_WRITE | IN_MOVED_TO | IN_MOVED_FROM | IN_DELETE |
                                   IN_CREATE | IN_DELETE_SELF | IN_MOVE_SELF | IN_ONLYDIR);
    if (wd < 0)
        return false;
    d->watches = mem_grow(MEM_SCRAPE, d->watches, &d->watch_capacity, d->watch_count + 1,
                          sizeof *d->watches);
    d->watches[d->watch_count++] =
        (struct watch){wd, mem_copy_string(MEM_SCRAPE, view_from(folder))};
    return true;
}

/* A folder that is gone is watched anew at the next refresh. */
static void watch_lost(struct discover *d, int wd)
{
    for (size_t i = d->watch_count; i-- > 0;) {
        if (d->watches[i].wd != wd)
            continue;
        (void)inotify_rm_watch(d->inotify_fd, wd); /* it may be gone already */
        mem_free(MEM_SCRAPE, d->watches[i].folder);
        d->watches[i] = d->watches[--d->watch_count];
    }
}

static void read_events(struct discover *d)
{
    _Alignas(struct inotify_event) char events[16 * 1024];
    ssize_t len;
    bool any = false;
    while (d->inotify_fd >= 0 && (len = read(d->inotify_fd, events, sizeof events)) > 0) {
        for (ssize_t at = 0; at < len;) {
            const struct inotify_event *e =
                (const struct inotify_event *)(const void *)(events + at);
            if (e->mask & (IN_DELETE_SELF | IN_MOVE_SELF | IN_IGNORED))
                watch_lost(d, e->wd);
            at += (ssize_t)(sizeof *e + e->len);
            any = true;
        }
    }
    /* Which file it was does not matter: a refresh looks at times and sizes first. */
    for (size_t i = 0; any && i < d->count; i++) {
        if (d->providers[i]->kind == &DISCOVER_FILE)
            discover_delay(d->providers[i], EVENT_DELAY_MS);
    }
}

static void finish_transfers(struct discover *d)
{
    CURLMsg *message;
    int left, running;
    CURLMcode code = curl_multi_perform(d->multi, &running);
    ASSERT(code == CURLM_OK);
    while ((message = curl_multi_info_read(d->multi, &left))) {
        void *provider = NULL;
        if (message->msg != CURLMSG_DONE)
            continue;
        CURLcode result = message->data.result;
        CURL *easy = message->easy_handle;
        (void)curl_easy_getinfo(easy, CURLINFO_PRIVATE, (char **)&provider); /* ours: set */
        (void)curl_multi_remove_handle(d->multi, easy); /* it is in there: that was the message */
        discover_http_done(provider, result);
    }
}

/* Milliseconds until something is due; a minute at most. */
static int wait_ms(const struct discover *d)
{
    int64_t next = clock_mono().ns + INT64_C(60) * 1000000000, now = clock_mono().ns;
    for (size_t i = 0; i < d->count; i++) {
        if (!d->providers[i]->busy && d->providers[i]->due.ns < next)
            next = d->providers[i]->due.ns;
    }
    return next <= now ? 0 : (int)((next - now) / 1000000 + 1);
}

static void work(struct discover *d)
{
    for (size_t i = 0; i < d->leaving_count; i++)
        provider_free(d->leaving[i]);
    d->leaving_count = 0;
    read_events(d);
    finish_transfers(d);
    for (size_t i = 0; i < d->count; i++) {
        if (d->providers[i]->busy && d->providers[i]->kind->work)
            d->providers[i]->kind->work(d->providers[i]);
    }
    bool begun = false;
    int64_t now = clock_mono().ns;
    for (size_t i = 0; i < d->count; i++) {
        if (!d->providers[i]->busy && d->providers[i]->due.ns <= now) {
            refresh(d->providers[i], false);
            begun = true;
        }
    }
    if (begun) /* what ends at once must not wait for a socket's event */
        finish_transfers(d);
}

static bool take_dirty(struct discover *d)
{
    mutex_lock(&d->results);
    bool dirty = d->dirty;
    d->dirty = false;
    mutex_unlock(&d->results);
    return dirty;
}

/* Descriptors beside those of libcurl. A provider that finds no room left is looked at when its time is up. */
static size_t collect_waits(struct discover *d, struct curl_waitfd *fds, int *wait_ms)
{
    size_t count = 0;
    if (d->inotify_fd >= 0)
        fds[count++] = (struct curl_waitfd){.fd = d->inotify_fd, .events = CURL_WAIT_POLLIN};
    for (size_t i = 0; i < d->count; i++) {
        struct discover_provider *p = d->providers[i];
        if (p->busy && p->kind->waits)
            count += p->kind->waits(p, fds + count, WAITS_MAX - count, wait_ms);
    }
    return count;
}

static void *run(void *arg)
{
    struct discover *d = arg;
    struct curl_waitfd fds[WAITS_MAX];
    int64_t pause_ms = d->options.pause_ms ? d->options.pause_ms : PAUSE_DEFAULT_MS;
    mono_time told = {clock_mono().ns - pause_ms * 1000000};
    bool dirty = false;
    while (!atomic_load_explicit(&d->stop, memory_order_relaxed)) {
        mutex_lock(&d->work);
        work(d);
        int wait = wait_ms(d);
        size_t fd_count = collect_waits(d, fds, &wait);
        mutex_unlock(&d->work);
        dirty |= take_dirty(d);
        int64_t left = pause_ms - mono_ms_since(told);
        if (dirty && left <= 0) {
            d->options.changed(d->options.arg);
            told = clock_mono();
            dirty = false;
        } else if (dirty && left < wait) {
            wait = (int)left;
        }
        CURLMcode code = curl_multi_poll(d->multi, fds, (unsigned)fd_count, wait, NULL);
        ASSERT(code == CURLM_OK);
    }
    return NULL;
}

/* ---- life ---- */

struct discover *discover_new(const struct discover_options *opts)
{
    struct discover *d = mem_alloc_zero(MEM_SCRAPE, 1, sizeof *d);
    d->options = *opts;
    d->inotify_fd = inotify_init1(IN_CLOEXEC | IN_NONBLOCK); /* without: the interval tells */
    d->multi = curl_multi_init();
    ASSERT(d->multi);
    mutex_init(&d->work);
    mutex_init(&d->results);
    cond_init(&d->answered);
    return d;
}

void discover_free(struct discover *d)
{
    if (!d)
        return;
    atomic_store_explicit(&d->stop, true, memory_order_relaxed);
    if (d->started) {
        (void)curl_multi_wakeup(
            d->multi); /* fails only without a pipe; then it ends a minute later */
        thread_join(d->thread);
    }
    for (size_t i = 0; i < d->count; i++)
        provider_free(d->providers[i]);
    for (size_t i = 0; i < d->leaving_count; i++)
        provider_free(d->leaving[i]);
    for (size_t i = 0; i < d->watch_count; i++)
        mem_free(MEM_SCRAPE, d->watches[i].folder);
    mem_free(MEM_SCRAPE, d->watches);
    mem_free(MEM_SCRAPE, d->providers);
    mem_free(MEM_SCRAPE, d->leaving);
    mem_free(MEM_SCRAPE, d->places);
    CURLMcode code = curl_multi_cleanup(d->multi);
    ASSERT(code == CURLM_OK);
    if (d->inotify_fd >= 0)
        (void)close(d->inotify_fd); /* nothing was written */
    cond_deinit(&d->answered);
    mutex_deinit(&d->results);
    mutex_deinit(&d->work);
    mem_free(MEM_SCRAPE, d);
}

static void start(struct discover *d)
{
    struct error err;
    if (d->started || d->count == 0)
        return;
    d->started = thread_start(&d->thread, "discover", run, d, &err);
    if (!d->started && d->options.log)
        d->options.log(d->options.arg, true, "discovery_failed", err.message);
}

void discover_apply(struct discover *d, const struct config *config)
{
    size_t count = config->scrape_configs.count;
    const struct config_discoveries **lists =
        mem_alloc_zero(MEM_SCRAPE, count + 1, sizeof(const struct config_discoveries *));
    for (size_t i = 0; i < count; i++)
        lists[i] = &config->scrape_configs.items[i].discoveries;
    discover_apply_lists(d, lists, count);
    mem_free(MEM_SCRAPE, lists);
}

void discover_apply_lists(struct discover *d, const struct config_discoveries *const *lists,
                          size_t count)
{
    struct provider_list list = {0};
    mutex_lock(&d->work);
    for (size_t j = 0; j < count; j++) {
        for (size_t i = 0; i < lists[j]->count; i++)
            list_add(d, &list, &lists[j]->items[i]);
    }
    if (list.place_count)
        qsort(list.places, list.place_count, sizeof *list.places, place_compare);
    mutex_lock(&d->results);
    mem_free(MEM_SCRAPE, d->places);
    d->places = list.places;
    d->place_count = list.place_count;
    mutex_unlock(&d->results);
    for (size_t i = 0; i < d->count; i++) {
        if (d->providers[i])
            leave(d, d->providers[i]);
    }
    mem_free(MEM_SCRAPE, d->providers);
    d->providers = list.items;
    d->count = list.count;
    for (size_t i = 0; i < d->count; i++) {
        if (d->providers[i]->kind == &DISCOVER_FILE)
            refresh(d->providers[i], !d->providers[i]->answered);
        else
            d->providers[i]->due = clock_mono(); /* its credentials may be others now */
    }
    start(d);
    bool running = d->started;
    mutex_unlock(&d->work);
    if (running)
        (void)curl_multi_wakeup(
            d->multi); /* fails only without a pipe; then it waits a minute at most */
}

bool discover_wait(struct discover *d, int64_t timeout_ms)
{
    mono_time deadline = mono_add_ms(clock_mono(), timeout_ms);
    bool all, in_time = true;
    mutex_lock(&d->results);
    do {
        all = true;
        for (size_t i = 0; i < d->place_count; i++)
            all &= d->places[i].provider->answered;
        in_time = all || cond_wait_until(&d->answered, &d->results, deadline);
    } while (!all && in_time);
    mutex_unlock(&d->results);
    return all;
}

/* ---- numbers ---- */

static uint64_t load(const _Atomic uint64_t *counter)
{
    return atomic_load_explicit(counter, memory_order_relaxed);
}

void discover_stats_get(struct discover *d, struct discover_stats *out)
{
    const struct discover_counters *c = &d->counters;
    *out = (struct discover_stats){
        .refreshes = load(&c->refreshes),
        .refresh_failures = load(&c->refresh_failures),
        .file_read_errors = load(&c->file_read_errors),
        .file_watcher_errors = load(&c->file_watcher_errors),
        .file_scans = load(&c->file_scans),
        .file_scan_seconds = (double)load(&c->file_scan_ns) / 1e9,
        .http_failures = load(&c->http_failures),
        .dns_lookups = load(&c->dns_lookups),
        .dns_failures = load(&c->dns_failures),
    };
    mutex_lock(&d->results);
    out->providers = d->place_count;
    mutex_unlock(&d->results);
}

static int time_compare(const void *a, const void *b)
{
    return view_cmp(((const struct discover_file_time *)a)->path,
                    ((const struct discover_file_time *)b)->path);
}

size_t discover_file_times(struct discover *d, struct arena *arena, struct discover_file_time **out)
{
    struct discover_file_time *items = NULL;
    size_t count = 0, capacity = 0, kept = 0;
    mutex_lock(&d->results);
    for (size_t i = 0; i < d->place_count; i++) {
        const struct discover_result *r = d->places[i].provider->result;
        for (size_t j = 0; r && j < r->count; j++) {
            if (r->sets[j]->source.len == 0)
                continue;
            items = arena_grow(arena, items, &capacity, count + 1, sizeof *items);
            items[count++] = (struct discover_file_time){
                arena_copy(arena, r->sets[j]->source),
                atomic_load_explicit(&r->sets[j]->changed_seconds, memory_order_relaxed)};
        }
    }
    mutex_unlock(&d->results);
    if (count)
        qsort(items, count, sizeof *items, time_compare);
    for (size_t i = 0; i < count; i++) {
        if (!kept || !view_eq(items[kept - 1].path, items[i].path))
            items[kept++] = items[i];
    }
    *out = items;
    return kept;
}
