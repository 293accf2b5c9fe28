/* SPDX-License-Identifier: Apache-2.0 */
/* heartbeat.c: see heartbeat.h. One thread sends, watches what is expected and keeps what came; a turn: read what requests
 * have ended, look at the clock (under the mutex, without I/O), tell, save, begin requests, wait.
 *
 * STATE_DIR/heartbeats has a line for each one that is expected: NAME SINCE_MS LAST_MS (0: never came). It is replaced whole,
 * SAVE_MS after a change at the latest, so a crash makes a heartbeat a few seconds older. */
#include "alerting/heartbeat_private.h"

#include "base/assert.h"
#include "base/duration.h"
#include "base/file.h"
#include "base/mem.h"
#include "base/thread.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

enum {
    RESEND_MS = 60 * 1000,
    RESOLVED_MS = 15 * 60 * 1000, /* how long the end is told, as rules do */
    WAIT_MS_MAX = 60 * 1000,
    SAVE_MS = 5 * 1000,
    STATE_BYTES_MAX = 16 << 20,
    TEXT_BYTES = 1536
};

struct expected {
    const struct config_expected_heartbeat *entry; /* of the configuration in force */
    int64_t since_ms, last_ms;
    bool is_missing;
    int64_t starts_ms; /* of the alert: when it should have come at the latest */
    int64_t
        resolved_ms; /* when it came again; 0: it was not missing, or that was told long enough */
    int64_t told_ms;
};

/* What is to be told, and which of it the log has not heard yet. */
struct notices {
    struct arena arena;
    struct alert_notice *items;
    bool *is_news;
    size_t count, capacity, news_capacity;
};

struct heartbeats {
    struct heartbeats_options options; /* constant after the start, as these */
    char *state_path;                  /* NULL: not kept */
    int64_t started_ms;
    CURLM *multi;
    struct client_tokens *tokens;
    pthread_t thread;

    pthread_mutex_t mutex; /* guards: */
    bool stop;
    struct config *config, *next; /* next: to be taken by the thread for what is sent */
    struct expected *expected;
    size_t expected_count;
    struct heartbeat_target **targets; /* changed by the thread only */
    size_t target_count;
    bool is_dirty;
    struct notices gone; /* of what is no longer expected: the thread tells */

    /* The thread. */
    mono_time saved;
    char *not_well; /* why, said already; NULL: all is well */
    char *not_saved;
};

static void say(struct heartbeats *h, bool is_error, const char *event, const char *format, ...)
    PRINTF_LIKE(4, 5);
static void say(struct heartbeats *h, bool is_error, const char *event, const char *format, ...)
{
    char text[TEXT_BYTES];
    va_list args;
    va_start(args, format);
    (void)vsnprintf(text, sizeof text, format, args); /* cut where it is longer */
    va_end(args);
    if (h->options.log)
        h->options.log(h->options.log_arg, is_error, event, text);
}

/* Keeps what was said; false when it was the same. */
static bool is_news(char **said, const char *text)
{
    if (*said && strcmp(*said, text) == 0)
        return false;
    mem_free(MEM_ALERTING, *said);
    *said = mem_copy_string(MEM_ALERTING, view_from(text));
    return true;
}

static void forget(char **said)
{
    mem_free(MEM_ALERTING, *said);
    *said = NULL;
}

/* --- what is kept --- */

static struct expected *find_locked(struct heartbeats *h, struct view name)
{
    for (size_t i = 0; i < h->expected_count; i++)
        if (view_eq(h->expected[i].entry->name, name))
            return &h->expected[i];
    return NULL;
}

/* What the file says of a heartbeat; zeros when nothing. */
static void recall(struct view text, struct view name, int64_t *since_ms, int64_t *last_ms)
{
    for (size_t from = 0; from < text.len;) {
        const char *end = memchr(text.ptr + from, '\n', text.len - from);
        char line[256];
        if (!end)
            return; /* a line without its end was never written */
        struct view v = view_slice(text, from, (size_t)(end - text.ptr));
        from += v.len + 1;
        if (v.len >= sizeof line || v.len <= name.len || !view_has_prefix(v, name) ||
            v.ptr[name.len] != ' ')
            continue;
        memcpy(line, v.ptr + name.len, v.len - name.len);
        line[v.len - name.len] = '\0';
        int64_t since, last;
        if (sscanf(line, " %" SCNd64 " %" SCNd64, &since, &last) == 2 && since > 0 && last >= 0) {
            *since_ms = since;
            *last_ms = last;
        }
        return;
    }
}

static void save(struct heartbeats *h, bool now)
{
    struct error err = {0};
    struct buffer text;
    if (!h->state_path || (!now && h->saved.ns && mono_ms_since(h->saved) < SAVE_MS))
        return;
    buffer_init(&text, MEM_ALERTING, STATE_BYTES_MAX);
    mutex_lock(&h->mutex);
    bool is_dirty = h->is_dirty;
    for (size_t i = 0; is_dirty && i < h->expected_count; i++) {
        const struct expected *e = &h->expected[i];
        buffer_printf(&text, "%.*s %" PRId64 " %" PRId64 "\n", VIEW_ARGS(e->entry->name),
                      e->since_ms, e->last_ms);
    }
    h->is_dirty = false;
    mutex_unlock(&h->mutex);
    h->saved = is_dirty ? clock_mono() : h->saved;
    if (is_dirty && !file_replace(h->state_path, buffer_view(&text), &err)) {
        if (is_news(&h->not_saved, err.message))
            say(h, true, "heartbeats_not_kept", "%s", err.message);
        mutex_lock(&h->mutex);
        h->is_dirty = true; /* tried again */
        mutex_unlock(&h->mutex);
    } else if (is_dirty) {
        forget(&h->not_saved);
    }
    buffer_deinit(&text);
}

/* --- what is expected --- */

static int64_t max64(int64_t a, int64_t b)
{
    return a > b ? a : b;
}

/* Since when it is missing, if it does not come. */
static int64_t overdue_ms(const struct expected *e)
{
    return max64(e->last_ms, e->since_ms) + e->entry->within_ms;
}

static int64_t deadline_ms(const struct heartbeats *h, const struct expected *e)
{
    int64_t grace =
        e->entry->within_ms < HEARTBEAT_GRACE_MS ? e->entry->within_ms : HEARTBEAT_GRACE_MS;
    return max64(overdue_ms(e), h->started_ms + grace);
}

static void set_default(struct labels_builder *b, struct labels given, const char *name,
                        struct view value)
{
    if (labels_get(given, view_from(name)).len == 0)
        labels_builder_set(b, view_from(name), value);
}

static void add_notice(struct notices *all, const struct expected *e, int64_t now_ms,
                       int64_t ends_ms, bool is_resolved)
{
    const struct config_expected_heartbeat *entry = e->entry;
    struct arena *arena = &all->arena;
    struct labels_builder labels, annotations;
    char within[DURATION_TEXT_BYTES];
    duration_format(entry->within_ms, within);
    labels_builder_init(&labels, arena);
    labels_builder_reset(&labels, entry->labels);
    set_default(&labels, entry->labels, "alertname", VIEW("HeartbeatMissing"));
    labels_builder_set(&labels, VIEW("heartbeat"), entry->name);
    labels_builder_init(&annotations, arena);
    labels_builder_set(&annotations, VIEW("summary"),
                       arena_printf(arena, "heartbeat \"%.*s\" has not come for more than %s",
                                    VIEW_ARGS(entry->name), within));
    for (size_t i = 0; i < entry->annotations.count; i++)
        labels_builder_set(&annotations, entry->annotations.items[i].name,
                           entry->annotations.items[i].value);
    all->items = arena_grow(arena, all->items, &all->capacity, all->count + 1, sizeof(*all->items));
    all->is_news =
        arena_grow(arena, all->is_news, &all->news_capacity, all->count + 1, sizeof(bool));
    all->is_news[all->count] = e->told_ms == 0;
    all->items[all->count++] = (struct alert_notice){
        .labels = labels_copy(arena, labels_builder_finish(&labels)),
        .annotations = labels_copy(arena, labels_builder_finish(&annotations)),
        .starts_ms = e->starts_ms,
        .ends_ms = ends_ms,
        .is_resolved = is_resolved,
        .value = (double)(now_ms - e->starts_ms + entry->within_ms) / 1000,
        .expr = arena_printf(arena,
                             "time() - belfry_heartbeat_last_timestamp_seconds{heartbeat=\"%.*s\"} "
                             "> %" PRId64,
                             VIEW_ARGS(entry->name), entry->within_ms / 1000),
        .group = VIEW("heartbeats"),
        .rule = VIEW("HeartbeatMissing"),
    };
}

static void look_at_expected_locked(struct heartbeats *h, int64_t now_ms, struct notices *all,
                                    int64_t *wait_ms)
{
    for (size_t i = 0; i < h->expected_count; i++) {
        struct expected *e = &h->expected[i];
        int64_t left = deadline_ms(h, e) - now_ms;
        if (left <= 0 && !e->is_missing) {
            e->is_missing = true;
            e->starts_ms = overdue_ms(e);
            e->told_ms = e->resolved_ms = 0;
        }
        if (e->resolved_ms && now_ms - e->resolved_ms > RESOLVED_MS)
            e->resolved_ms = 0;
        if (!e->is_missing && !e->resolved_ms) {
            *wait_ms = left < *wait_ms ? left : *wait_ms;
            continue;
        }
        int64_t again = e->told_ms + h->options.resend_delay_ms - now_ms;
        if (again <= 0 || e->told_ms > now_ms) {
            add_notice(all, e, now_ms,
                       e->is_missing ? now_ms + 4 * h->options.resend_delay_ms : e->resolved_ms,
                       !e->is_missing);
            e->told_ms = now_ms;
            again = h->options.resend_delay_ms;
        }
        *wait_ms = again < *wait_ms ? again : *wait_ms;
    }
}

static void tell(struct heartbeats *h, const struct notices *all)
{
    for (size_t i = 0; i < all->count; i++) {
        const struct alert_notice *n = &all->items[i];
        if (all->is_news[i])
            say(h, !n->is_resolved, n->is_resolved ? "heartbeat_came" : "heartbeat_missing",
                n->is_resolved ? "heartbeat \"%.*s\" has come, or is no longer expected"
                               : "heartbeat \"%.*s\" stays away",
                VIEW_ARGS(labels_get(n->labels, VIEW("heartbeat"))));
    }
    if (all->count && h->options.sink.send)
        h->options.sink.send(h->options.sink.arg, all->items, all->count);
}

/* Resolves what is missing and no longer expected, before the configuration it stands in goes. */
static void resolve_gone_locked(struct heartbeats *h, int64_t now_ms, const struct config *config)
{
    for (size_t i = 0; i < h->expected_count; i++) {
        bool stays = false;
        for (size_t k = 0; k < config->heartbeats.expect.count; k++)
            stays |= view_eq(config->heartbeats.expect.items[k].name, h->expected[i].entry->name);
        if (!h->expected[i].is_missing || stays)
            continue;
        h->expected[i].told_ms = 0;
        add_notice(&h->gone, &h->expected[i], now_ms, now_ms, true);
    }
}

/* What is known of each one that stays; `kept` is the file's text, empty but at the first time. */
static struct expected *expect_locked(struct heartbeats *h, const struct config *config,
                                      struct view kept, int64_t now_ms)
{
    size_t count = config->heartbeats.expect.count;
    struct expected *list = mem_alloc_zero(MEM_ALERTING, count + 1, sizeof(*list));
    for (size_t i = 0; i < count; i++) {
        const struct config_expected_heartbeat *entry = &config->heartbeats.expect.items[i];
        const struct expected *old = find_locked(h, entry->name);
        if (old) {
            list[i] = *old;
        } else {
            recall(kept, entry->name, &list[i].since_ms, &list[i].last_ms);
            if (list[i].since_ms == 0 || list[i].since_ms > now_ms || list[i].last_ms > now_ms)
                list[i] = (struct expected){.since_ms = now_ms};
        }
        list[i].entry = entry;
    }
    return list;
}

void heartbeats_apply(struct heartbeats *h, struct config *config)
{
    struct buffer kept;
    struct error err = {0};
    int64_t now_ms = clock_wall().ms;
    buffer_init(&kept, MEM_ALERTING, STATE_BYTES_MAX);
    bool is_first = h->config == NULL;
    if (is_first && h->state_path && file_exists(h->state_path) &&
        !file_read_all(h->state_path, &kept, &err))
        say(h, true, "heartbeats_not_read", "%s", err.message);
    mutex_lock(&h->mutex);
    resolve_gone_locked(h, now_ms, config);
    struct expected *list = expect_locked(h, config, buffer_view(&kept), now_ms);
    struct config *old = h->config, *skipped = h->next;
    mem_free(MEM_ALERTING, h->expected);
    h->expected = list;
    h->expected_count = config->heartbeats.expect.count;
    h->config = config_ref(config);
    h->next = config_ref(config);
    h->is_dirty |= h->expected_count > 0;
    mutex_unlock(&h->mutex);
    (void)curl_multi_wakeup(h->multi); /* fails only without a pipe; then it waits its time */
    config_unref(old);
    config_unref(skipped);
    buffer_deinit(&kept);
}

bool heartbeats_beat(struct heartbeats *h, struct view name, struct error *err)
{
    int64_t now_ms = clock_wall().ms;
    mutex_lock(&h->mutex);
    struct expected *e = find_locked(h, name);
    bool was_missing = e && e->is_missing;
    if (e) {
        e->last_ms = now_ms;
        h->is_dirty = true;
    }
    if (was_missing) {
        e->is_missing = false;
        e->resolved_ms = now_ms;
        e->told_ms = 0;
    }
    mutex_unlock(&h->mutex);
    if (!e)
        return error_set(err, ERROR_NOT_FOUND, "heartbeat \"%.*s\" is not expected",
                         VIEW_ARGS(view_slice(name, 0, 100)));
    (void)curl_multi_wakeup(h->multi); /* as above */
    return true;
}

/* --- what is sent --- */

static void targets_take(struct heartbeats *h, struct config *config)
{
    size_t count = config->heartbeats.send.count;
    struct heartbeat_target **list = mem_alloc_zero(MEM_ALERTING, count + 1, sizeof(*list));
    for (size_t i = 0; i < count; i++) {
        list[i] = mem_alloc_zero(MEM_ALERTING, 1, sizeof(**list));
        list[i]->config = config_ref(config);
        list[i]->entry = &config->heartbeats.send.items[i];
        list[i]->due = clock_mono();
        list[i]->stats.index = i;
    }
    mutex_lock(&h->mutex);
    struct heartbeat_target **old = h->targets;
    size_t old_count = h->target_count;
    h->targets = list;
    h->target_count = count;
    mutex_unlock(&h->mutex);
    for (size_t i = 0; i < old_count; i++) {
        if (old[i]->in_multi)
            (void)curl_multi_remove_handle(h->multi, old[i]->client.easy); /* it is in it */
        heartbeat_target_free(old[i]);
    }
    mem_free(MEM_ALERTING, old);
    config_unref(config);
}

static void add_to_multi(struct heartbeats *h, struct heartbeat_target *t)
{
    CURLMcode code = curl_multi_add_handle(h->multi, t->client.easy);
    ASSERT(code == CURLM_OK);
    t->in_multi = true;
}

static void on_end(struct heartbeats *h, struct heartbeat_target *t, const struct error *failed)
{
    mutex_lock(&h->mutex);
    t->stats.failed += failed != NULL;
    t->stats.sent += failed == NULL;
    if (!failed)
        t->stats.last_ms = clock_wall().ms;
    mutex_unlock(&h->mutex);
    if (failed && is_news(&t->last_error, failed->message))
        say(h, true, "heartbeat_not_sent", "heartbeats.send[%zu]: %s", t->stats.index,
            failed->message);
    if (!failed && t->last_error) {
        say(h, false, "heartbeat_sent_again", "heartbeats.send[%zu]: it is taken again",
            t->stats.index);
        forget(&t->last_error);
    }
}

static void finish_transfers(struct heartbeats *h)
{
    CURLMsg *message;
    int left, running;
    CURLMcode code = curl_multi_perform(h->multi, &running);
    ASSERT(code == CURLM_OK);
    while ((message = curl_multi_info_read(h->multi, &left))) {
        struct error err = {0};
        char *target = NULL;
        if (message->msg != CURLMSG_DONE)
            continue;
        CURLcode result = message->data.result;
        CURL *easy = message->easy_handle;
        (void)curl_easy_getinfo(easy, CURLINFO_PRIVATE, &target); /* ours: set */
        ASSERT(target);
        struct heartbeat_target *t = (struct heartbeat_target *)(void *)target;
        (void)curl_multi_remove_handle(h->multi, easy); /* that was the message: it is in there */
        t->in_multi = false;
        enum heartbeat_outcome outcome = heartbeat_end(t, result, h->tokens, &err);
        if (outcome == HEARTBEAT_GOES_ON)
            add_to_multi(h, t);
        else
            on_end(h, t, outcome == HEARTBEAT_FAILED ? &err : NULL);
    }
}

/* Asked once a turn, when one is due. */
static bool is_well(struct heartbeats *h)
{
    struct error why = {0};
    if (!h->options.is_well || h->options.is_well(h->options.is_well_arg, &why)) {
        if (h->not_well)
            say(h, false, "heartbeat_well", "heartbeats are sent again: all is well");
        forget(&h->not_well);
        return true;
    }
    if (is_news(&h->not_well, why.message))
        say(h, true, "heartbeat_withheld", "heartbeats are withheld: %s", why.message);
    return false;
}

/* The next time on the grid of the interval; what was missed is not made up for. */
static void send_due(struct heartbeats *h, int64_t *wait_ms)
{
    bool asked = false, well = false;
    for (size_t i = 0; i < h->target_count; i++) {
        struct heartbeat_target *t = h->targets[i];
        struct error err = {0};
        int64_t left_ms = (t->due.ns - clock_mono().ns + 999999) / 1000000;
        if (left_ms <= 0) {
            int64_t passed = -left_ms / t->entry->interval_ms;
            t->due = mono_add_ms(t->due, (passed + 1) * t->entry->interval_ms);
            left_ms = (t->due.ns - clock_mono().ns + 999999) / 1000000;
            well = asked ? well : is_well(h);
            asked = true;
            if (!well) {
                mutex_lock(&h->mutex);
                t->stats.withheld++;
                mutex_unlock(&h->mutex);
            } else if (!t->in_multi) {
                if (heartbeat_begin(t, h->tokens, &err))
                    add_to_multi(h, t);
                else
                    on_end(h, t, &err);
                *wait_ms = 0; /* to be begun */
            }
        }
        *wait_ms = left_ms < *wait_ms ? left_ms : *wait_ms;
    }
}

/* --- the thread --- */

static void *run(void *arg)
{
    struct heartbeats *h = arg;
    for (bool stop = false; !stop;) {
        struct notices all = {0}, gone;
        int64_t wait_ms = WAIT_MS_MAX;
        finish_transfers(h);
        arena_init(&all.arena, MEM_ALERTING, 0);
        mutex_lock(&h->mutex);
        stop = h->stop;
        gone = h->gone; /* the arena with what is in it */
        h->gone = (struct notices){0};
        arena_init(&h->gone.arena, MEM_ALERTING, 0);
        struct config *next = h->next;
        h->next = NULL;
        if (!stop)
            look_at_expected_locked(h, clock_wall().ms, &all, &wait_ms);
        if (h->is_dirty && h->state_path)
            wait_ms = wait_ms < SAVE_MS ? wait_ms : SAVE_MS;
        mutex_unlock(&h->mutex);
        tell(h, &gone);
        tell(h, &all);
        arena_deinit(&gone.arena);
        arena_deinit(&all.arena);
        if (next)
            targets_take(h, next);
        save(h, stop);
        if (stop)
            break;
        send_due(h, &wait_ms);
        if (wait_ms <= 0)
            continue;
        CURLMcode code = curl_multi_poll(h->multi, NULL, 0, (int)wait_ms, NULL);
        ASSERT(code == CURLM_OK);
    }
    return NULL;
}

bool heartbeats_start(struct heartbeats **out, const struct heartbeats_options *opts,
                      struct error *err)
{
    struct heartbeats *h = mem_alloc_zero(MEM_ALERTING, 1, sizeof(*h));
    *out = NULL;
    h->options = *opts;
    if (h->options.resend_delay_ms <= 0)
        h->options.resend_delay_ms = RESEND_MS;
    if (opts->state_dir) {
        size_t bytes = strlen(opts->state_dir) + sizeof "/heartbeats";
        h->state_path = mem_alloc(MEM_ALERTING, bytes);
        (void)snprintf(h->state_path, bytes, "%s/heartbeats", opts->state_dir);
    }
    h->started_ms = clock_wall().ms;
    arena_init(&h->gone.arena, MEM_ALERTING, 0);
    h->tokens = client_tokens_new();
    mutex_init(&h->mutex);
    h->multi = curl_multi_init();
    if ((!h->multi && !error_set(err, ERROR_LIMIT, "no memory for transfers")) ||
        !thread_start(&h->thread, "heartbeats", run, h, err)) {
        curl_multi_cleanup(h->multi);
        client_tokens_free(h->tokens);
        mutex_deinit(&h->mutex);
        mem_free(MEM_ALERTING, h->state_path);
        mem_free(MEM_ALERTING, h);
        return false;
    }
    *out = h;
    return true;
}

void heartbeats_stop(struct heartbeats *h)
{
    if (!h)
        return;
    mutex_lock(&h->mutex);
    h->stop = true;
    mutex_unlock(&h->mutex);
    (void)curl_multi_wakeup(h->multi); /* as in heartbeats_apply() */
    thread_join(h->thread);
    for (size_t i = 0; i < h->target_count; i++) {
        if (h->targets[i]->in_multi)
            (void)curl_multi_remove_handle(h->multi, h->targets[i]->client.easy); /* is in it */
        heartbeat_target_free(h->targets[i]);
    }
    curl_multi_cleanup(h->multi);
    client_tokens_free(h->tokens);
    config_unref(h->config);
    config_unref(h->next);
    mem_free(MEM_ALERTING, h->targets);
    mem_free(MEM_ALERTING, h->expected);
    forget(&h->not_well);
    forget(&h->not_saved);
    arena_deinit(&h->gone.arena);
    mutex_deinit(&h->mutex);
    mem_free(MEM_ALERTING, h->state_path);
    mem_free(MEM_ALERTING, h);
}

void heartbeats_state_get(struct heartbeats *h, struct arena *arena, struct heartbeats_state *out)
{
    mutex_lock(&h->mutex);
    *out = (struct heartbeats_state){
        .sent = ARENA_ARRAY(arena, struct heartbeat_sent, h->target_count),
        .sent_count = h->target_count,
        .expected = ARENA_ARRAY(arena, struct heartbeat_expected, h->expected_count),
        .expected_count = h->expected_count,
    };
    for (size_t i = 0; i < h->target_count; i++)
        out->sent[i] = h->targets[i]->stats;
    for (size_t i = 0; i < h->expected_count; i++) {
        const struct expected *e = &h->expected[i];
        out->expected[i] = (struct heartbeat_expected){
            arena_copy(arena, e->entry->name), e->entry->within_ms, e->last_ms, e->is_missing};
    }
    mutex_unlock(&h->mutex);
}
