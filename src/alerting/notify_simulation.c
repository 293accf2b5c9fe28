/* SPDX-License-Identifier: Apache-2.0 */
/* notify_simulation.c: the router (dispatch.h) with a clock that jumps to what comes next: an alert that begins or ends, a
 * group that is due. In place of memory and sender stand a log that lives as long as the simulation, and a sender that
 * counts. */
#include "alerting/notify_simulation.h"

#include "alerting/dispatch.h"
#include "base/map.h"
#include "base/mem.h"

#include <math.h>
#include <stdlib.h>

#define MS_NS INT64_C(1000000)
#define HOUR_MS (INT64_C(3600) * 1000)

/* Alerts looked at by flushes. Chosen: about ten seconds. */
enum { WORK_MAX = 50000000 };

/* What an integration was told of a group. */
struct told {
    struct notification_entry entry;
    uint64_t *hashes; /* of what fired, then of what was resolved */
    size_t capacity;
};

struct sends {
    int64_t *at_ms;
    size_t count, capacity;
};

struct simulation {
    struct alert_config *config;
    struct notify_simulation *out;
    struct arena *arena;
    struct integration *integrations; /* as many as out->items, in the same order */
    struct integration_list *lists;   /* by receiver */
    struct sends *sends;              /* by integration */
    struct string_map *log, *groups;
    struct told *told;
    size_t told_count, told_capacity;
    struct flush_job **done; /* of the flush at hand; every send is done at once */
    size_t done_count, done_capacity;
    struct instant now;
    uint64_t work;
};

/* --- the receivers --- */

static const struct delivery_driver DRIVERS[] = {
#define X(name, type) {.kind = #name},
    RECEIVER_KINDS(X)
#undef X
};
enum {
#define X(name, type) DRIVER_##name,
    RECEIVER_KINDS(X)
#undef X
};

static void add_integration(struct simulation *s, const struct receiver *r, size_t driver,
                            const struct receiver_common *common, size_t index)
{
    s->out->items[s->out->count] =
        (struct simulated_integration){.receiver = r->name, .kind = DRIVERS[driver].kind};
    s->integrations[s->out->count++] = (struct integration){
        .driver = &DRIVERS[driver], .receiver = r, .common = common, .index = index};
}

static void list_integrations(struct simulation *s)
{
    const struct receivers *all = &s->config->receivers;
    size_t count = 0;
    for (size_t i = 0; i < all->count; i++) {
#define X(name, type) count += all->items[i].name##_configs.count;
        RECEIVER_KINDS(X)
#undef X
    }
    s->out->items = ARENA_ARRAY(s->arena, struct simulated_integration, count + 1);
    s->integrations = ARENA_ARRAY(s->arena, struct integration, count + 1);
    s->sends = ARENA_ARRAY(s->arena, struct sends, count + 1);
    s->lists = ARENA_ARRAY(s->arena, struct integration_list, all->count + 1);
    for (size_t i = 0; i < all->count; i++) {
        const struct receiver *r = &all->items[i];
        size_t first = s->out->count;
#define X(name, type)                                                                              \
    for (size_t k = 0; k < r->name##_configs.count; k++)                                           \
        add_integration(s, r, DRIVER_##name, &r->name##_configs.items[k].common, k);
        RECEIVER_KINDS(X)
#undef X
        s->lists[i] = (struct integration_list){s->integrations + first, s->out->count - first};
    }
}

/* --- what the router works with: its memory, its sender and its configuration are the simulation --- */

static struct integrations *peer_ref(struct integrations *set)
{
    return set;
}

static void peer_unref(struct integrations *set)
{
    (void)set;
}

static struct alert_config *peer_config(struct integrations *set)
{
    return ((struct simulation *)set)->config;
}

static struct integration_list peer_of(struct integrations *set, struct view receiver)
{
    const struct simulation *s = (struct simulation *)set;
    for (size_t i = 0; i < s->config->receivers.count; i++)
        if (view_eq(s->config->receivers.items[i].name, receiver))
            return s->lists[i];
    return (struct integration_list){0};
}

static void peer_submit(struct sender *sender, const struct sender_job *job)
{
    struct simulation *s = (struct simulation *)sender;
    size_t number = (size_t)(job->integration - s->integrations), firing = 0;
    struct simulated_integration *out = &s->out->items[number];
    struct sends *sends = &s->sends[number];
    const struct sender_result result = {
        .verdict = DELIVERY_SENT, .attempts = 1, .finished_ns = job->now_ns};
    sends->at_ms = mem_grow(MEM_ALERTING, sends->at_ms, &sends->capacity, sends->count + 1,
                            sizeof *sends->at_ms);
    sends->at_ms[sends->count++] = job->now_ns / MS_NS;
    for (size_t i = 0; i < job->alert_count; i++)
        firing += job->alerts[i]->ends_ns == LIVE_ALERT_NEVER;
    out->notifications++;
    out->resolved += firing == 0;
    out->repeats += view_is(job->reason, "repeat interval elapsed");
    job->done(job->arg, &result);
}

static bool peer_silenced(struct alert_state *state, struct arena *arena, uint64_t fingerprint,
                          struct labels labels, int64_t now_ns, struct silence_ids *out)
{
    (void)arena, (void)fingerprint, (void)labels, (void)now_ns;
    ((struct simulation *)state)->work++;
    *out = (struct silence_ids){0};
    return false;
}

static bool peer_acknowledged(struct alert_state *state, uint64_t fingerprint, int64_t starts_ns,
                              int64_t now_ns)
{
    (void)state, (void)fingerprint, (void)starts_ns, (void)now_ns;
    return false;
}

static struct told *told_of(struct simulation *s, const struct notification_key *key)
{
    struct buffer text;
    uint64_t number = s->told_count;
    buffer_init(&text, MEM_ALERTING, 64 << 20);
    buffer_append_view(&text, key->group_key);
    string_map_set(s->groups, buffer_view(&text), 1);
    buffer_printf(&text, "\n%s\n%zu\n", key->kind.ptr, key->index);
    buffer_append_view(&text, key->receiver);
    if (!string_map_get(s->log, buffer_view(&text), &number)) {
        s->told =
            mem_grow(MEM_ALERTING, s->told, &s->told_capacity, s->told_count + 1, sizeof *s->told);
        s->told[s->told_count++] = (struct told){.entry = {.expires_ns = INT64_MIN}};
        string_map_set(s->log, buffer_view(&text), number);
    }
    buffer_deinit(&text);
    return &s->told[number];
}

static bool peer_log_get(struct alert_state *state, struct arena *arena,
                         const struct notification_key *key, int64_t now_ns,
                         struct notification_entry *out)
{
    (void)arena;
    *out = told_of((struct simulation *)state, key)->entry;
    return out->expires_ns > now_ns;
}

static uint64_t peer_log_put(struct alert_state *state, const struct notification_key *key,
                             const struct notification_entry *entry)
{
    struct told *t = told_of((struct simulation *)state, key);
    size_t count = entry->firing_count + entry->resolved_count;
    t->hashes = mem_grow(MEM_ALERTING, t->hashes, &t->capacity, count + 1, sizeof *t->hashes);
    if (entry->firing_count)
        memcpy(t->hashes, entry->firing, entry->firing_count * sizeof *t->hashes);
    if (entry->resolved_count)
        memcpy(t->hashes + entry->firing_count, entry->resolved,
               entry->resolved_count * sizeof *t->hashes);
    t->entry = *entry;
    t->entry.firing = t->hashes;
    t->entry.resolved = t->hashes + entry->firing_count;
    t->entry.remembered = (struct notification_kv){0};
    return 0;
}

static void peer_history_alert(struct alert_state *state, enum alert_event event,
                               const struct live_alert *alert)
{
    (void)state, (void)event, (void)alert;
}

static void peer_history_notification(struct alert_state *state,
                                      const struct notification_record *record)
{
    (void)state, (void)record;
}

static void peer_history_resume(struct alert_state *state, alert_history_each *each, void *arg)
{
    (void)state, (void)each, (void)arg;
}

static const struct router_peers PEERS = {.integrations_ref = peer_ref,
                                          .integrations_unref = peer_unref,
                                          .integrations_config = peer_config,
                                          .integrations_of = peer_of,
                                          .submit = peer_submit,
                                          .silenced = peer_silenced,
                                          .acknowledged = peer_acknowledged,
                                          .log_get = peer_log_get,
                                          .log_put = peer_log_put,
                                          .history_alert = peer_history_alert,
                                          .history_notification = peer_history_notification,
                                          .history_resume = peer_history_resume};

static void on_done(void *arg, struct flush_job *job)
{
    struct simulation *s = arg;
    s->done =
        mem_grow(MEM_ALERTING, s->done, &s->done_capacity, s->done_count + 1, sizeof *s->done);
    s->done[s->done_count++] = job;
}

/* --- the clock --- */

struct event {
    int64_t at_ms;
    const struct simulated_alert *alert;
    bool is_end;
};

/* An end before a begin of the same time: it is another life. */
static int event_compare(const void *x, const void *y)
{
    const struct event *a = x, *b = y;
    if (a->at_ms != b->at_ms)
        return a->at_ms < b->at_ms ? -1 : 1;
    if (a->is_end != b->is_end)
        return a->is_end ? -1 : 1;
    return (a->alert > b->alert) - (a->alert < b->alert);
}

static struct event *list_events(const struct simulated_alert *alerts, size_t count,
                                 int64_t until_ms, size_t *event_count)
{
    struct event *events = mem_alloc(MEM_ALERTING, (2 * count + 1) * sizeof *events);
    *event_count = 0;
    for (size_t i = 0; i < count; i++) {
        events[(*event_count)++] = (struct event){alerts[i].starts_ms, &alerts[i], false};
        if (alerts[i].ends_ms <= until_ms)
            events[(*event_count)++] = (struct event){alerts[i].ends_ms, &alerts[i], true};
    }
    if (*event_count)
        qsort(events, *event_count, sizeof *events, event_compare);
    return events;
}

static void set_time(struct simulation *s, int64_t ns)
{
    s->now = (struct instant){ns, ns};
}

static void put(struct simulation *s, struct dispatch *d, const struct event *e)
{
    const struct simulated_alert *a = e->alert;
    const struct live_alert alert = {
        .labels = a->labels,
        .starts_ns = a->starts_ms * MS_NS,
        /* One that fires is told again before it would be taken for resolved. */
        .ends_ns = e->is_end ? a->ends_ms * MS_NS : INT64_MAX,
        .updated_ns = e->at_ms * MS_NS,
        .value = NAN};
    set_time(s, e->at_ms * MS_NS);
    (void)dispatch_put(d, live_alert_new(&alert), s->now);
}

static void run_due(struct simulation *s, struct dispatch *d)
{
    while (dispatch_run(d, s->now)) {
        for (size_t i = 0; i < s->done_count; i++)
            dispatch_finish(d, s->done[i]);
        s->done_count = 0;
    }
}

/* False: too much. */
static bool run(struct simulation *s, const struct simulated_alert *alerts, size_t count,
                int64_t until_ms, uint64_t work_max)
{
    const struct dispatch_options options = {
        .router = {.peers = &PEERS, .state = (struct alert_state *)s, .sender = (struct sender *)s},
        .done = on_done,
        .done_arg = s};
    size_t event_count, next = 0;
    struct event *events = list_events(alerts, count, until_ms, &event_count);
    set_time(s, event_count ? events[0].at_ms * MS_NS : 0);
    struct dispatch *d = dispatch_new(&options, s->now);
    dispatch_apply(d, (struct integrations *)s, s->now);
    while (s->work < work_max) {
        int64_t due_ns = dispatch_next_ns(d);
        if (next < event_count && events[next].at_ms * MS_NS <= due_ns) {
            put(s, d, &events[next++]);
            continue;
        }
        if (due_ns > until_ms * MS_NS)
            break;
        set_time(s, due_ns);
        run_due(s, d);
    }
    dispatch_free(d);
    mem_free(MEM_ALERTING, events);
    return s->work < work_max;
}

/* Sends ascend by time. */
static size_t most_in_hour(const struct sends *sends)
{
    size_t first = 0, most = 0;
    for (size_t i = 0; i < sends->count; i++) {
        while (sends->at_ms[i] - sends->at_ms[first] >= HOUR_MS)
            first++;
        most = i - first + 1 > most ? i - first + 1 : most;
    }
    return most;
}

bool notify_simulate(struct alert_config *config, const struct simulated_alert *alerts,
                     size_t count, int64_t until_ms, uint64_t work_max, struct arena *arena,
                     struct notify_simulation *out, struct error *err)
{
    struct simulation s = {.config = config,
                           .out = out,
                           .arena = arena,
                           .log = string_map_new(MEM_ALERTING),
                           .groups = string_map_new(MEM_ALERTING)};
    *out = (struct notify_simulation){0};
    list_integrations(&s);
    bool ok = run(&s, alerts, count, until_ms, work_max ? work_max : WORK_MAX);
    out->groups = string_map_count(s.groups);
    for (size_t i = 0; i < out->count; i++) {
        out->items[i].most_in_hour = most_in_hour(&s.sends[i]);
        mem_free(MEM_ALERTING, s.sends[i].at_ms);
    }
    for (size_t i = 0; i < s.told_count; i++)
        mem_free(MEM_ALERTING, s.told[i].hashes);
    mem_free(MEM_ALERTING, s.told);
    mem_free(MEM_ALERTING, s.done);
    string_map_free(s.log);
    string_map_free(s.groups);
    return ok || error_set(err, ERROR_LIMIT,
                           "so many alerts, in groups that are told so often, take too long: "
                           "look at a shorter time");
}
