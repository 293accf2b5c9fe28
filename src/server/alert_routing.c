/* SPDX-License-Identifier: Apache-2.0 */
/* alert_routing.c: see alert_routing.h.
 *
 *   start: memory -> sender -> router -> (a configuration)      stop: router's thread -> sender -> router -> memory */
#include "server/alert_routing.h"

#include "alerting/route_lint.h"
#include "base/arena.h"
#include "base/assert.h"
#include "base/checksum.h"
#include "base/file.h"
#include "base/md5.h"
#include "base/mem.h"
#include "base/thread.h"

#include <inttypes.h>
#include <stdio.h>

enum {
    STOP_GRACE_MS =
        5000, /* chosen: what a receiver that works needs, and service managers wait for */
    LINK_BYTES_MAX = 1 << 20,
    RETENTION_MS_DEFAULT = 120 * 3600 * 1000
};

struct alert_routing {
    struct alert_routing_options opts;
    struct alert_state *memory;
    struct sender *sender;
    struct alert_router *router;

    pthread_mutex_t mutex; /* guards these: a leaf */
    wall_time loaded;
    double hash, new_hash; /* of what is in force, and of what was read last */
    bool last_load_ok;
};

static void say(struct alert_routing *r, bool is_error, const char *event, const char *text)
{
    if (r->opts.log)
        r->opts.log(r->opts.log_arg, is_error, event, text);
}

/* --- configuration --- */

static bool read_text(const char *path, struct buffer *out, struct error *err)
{
    buffer_init(out, MEM_CONFIG, ALERT_CONFIG_BYTES_MAX);
    return file_read_all(path, out, err);
}

uint64_t alert_routing_file_hash(const char *path)
{
    struct buffer text;
    uint64_t hash = read_text(path, &text, NULL) ? hash64_view(buffer_view(&text)) : 0;
    buffer_deinit(&text);
    return hash;
}

/* Alertmanager's: the first 48 bits of the MD5 of the text, little endian. */
static double text_number(struct view text)
{
    uint8_t sum[MD5_BYTES];
    uint64_t number = 0;
    md5(text, sum);
    for (int i = 5; i >= 0; i--)
        number = number << 8 | sum[i];
    return (double)number;
}

struct lint {
    struct alert_routing *r;
    const char *path;
};

static void say_lint(void *arg, uint32_t line, uint32_t column, const char *sentence)
{
    const struct lint *lint = arg;
    char text[1024];
    snprintf(text, sizeof text, "%s:%" PRIu32 ":%" PRIu32 ": %s", lint->path, line, column,
             sentence);
    say(lint->r, false, "alertmanager_config_warning", text);
}

static int64_t retention_ms(const struct alert_routing *r)
{
    return r->opts.flags->retention_ms > 0 ? r->opts.flags->retention_ms : RETENTION_MS_DEFAULT;
}

static bool repeats_too_late(const struct alert_route *route, int64_t retention)
{
    if (route->repeat_interval_ms > retention)
        return true;
    for (size_t i = 0; i < route->routes.count; i++)
        if (repeats_too_late(&route->routes.items[i], retention))
            return true;
    return false;
}

static void say_warnings(struct alert_routing *r, const struct alert_config *c)
{
    struct lint lint = {r, r->opts.flags->config_path};
    for (size_t i = 0; i < c->warnings->count; i++) {
        char text[1024];
        snprintf(text, sizeof text, "%.*s", VIEW_ARGS(c->warnings->items[i]));
        say(r, false, "alertmanager_config_warning", text);
    }
    route_lint(c, say_lint, &lint);
    if (repeats_too_late(c->route, retention_ms(r)))
        say(r, false, "alertmanager_config_warning",
            "a repeat_interval is longer than --data.retention: what was sent is forgotten and "
            "sent again before it is over");
}

static void note_load(struct alert_routing *r, bool ok, double hash)
{
    mutex_lock(&r->mutex);
    r->last_load_ok = ok;
    r->new_hash = hash;
    mutex_unlock(&r->mutex);
}

static bool load(struct alert_routing *r, const struct buffer *text, struct integrations **out,
                 struct error *err)
{
    struct alert_config *config;
    if (!alert_config_parse(buffer_view(text), r->opts.flags->config_path, &config, err))
        return false;
    bool ok = integrations_new(out, config, r->opts.external_url, err);
    alert_config_unref(config);
    return ok;
}

bool alert_routing_load(struct alert_routing *r, struct integrations **out, struct error *err)
{
    struct buffer text;
    *out = NULL;
    bool ok = read_text(r->opts.flags->config_path, &text, err);
    if (!ok)
        error_wrap(err, "alertmanager configuration");
    ok = ok && load(r, &text, out, err);
    note_load(r, ok, ok ? text_number(buffer_view(&text)) : 0);
    buffer_deinit(&text);
    return ok;
}

void alert_routing_apply(struct alert_routing *r, struct integrations *set)
{
    const struct alert_config *c = integrations_config(set);
    char text[512];
    say_warnings(r, c);
    alert_router_apply(r->router, set);
    sender_apply(r->sender, set);
    mutex_lock(&r->mutex);
    r->loaded = clock_wall();
    r->hash = r->new_hash;
    mutex_unlock(&r->mutex);
    snprintf(text, sizeof text, "%s: %zu receivers, %zu inhibit rules", r->opts.flags->config_path,
             c->receivers.count, c->inhibit_rules.count);
    say(r, false, "alertmanager_config_loaded", text);
    integrations_unref(set);
}

bool alert_routing_state(struct alert_routing *r, wall_time *loaded, double *hash)
{
    mutex_lock(&r->mutex);
    bool ok = r->last_load_ok;
    *loaded = r->loaded;
    *hash = r->hash;
    mutex_unlock(&r->mutex);
    return ok;
}

/* --- alerts of rules --- */

static void take_notice(struct alert_routing *r, struct arena *arena, struct buffer *link,
                        const struct alert_notice *n, struct labels labels, struct live_alert *out)
{
    buffer_reset(link);
    alert_generator_url(link, view_from(r->opts.external_url), n->expr);
    *out = (struct live_alert){.labels = labels,
                               .annotations = n->annotations,
                               .starts_ns = n->starts_ms * 1000000,
                               .ends_ns = n->ends_ms * 1000000,
                               .generator_url = arena_copy(arena, buffer_view(link)),
                               .file = n->file,
                               .group = n->group,
                               .rule = n->rule,
                               .value = n->value};
}

static void take_notices(void *arg, const struct alert_notice *notices, size_t count)
{
    struct alert_routing *r = arg;
    struct config *config = running_config_get(r->opts.config);
    struct arena arena;
    struct buffer link;
    size_t kept = 0, refused = 0;
    arena_init(&arena, MEM_ALERTING, 0);
    buffer_init(&link, MEM_ALERTING, LINK_BYTES_MAX);
    struct live_alert *alerts = arena_alloc(&arena, (count + 1) * sizeof *alerts);
    for (size_t i = 0; i < count; i++) {
        struct labels labels;
        if (alert_notice_labels(&notices[i], config, &arena, &labels))
            take_notice(r, &arena, &link, &notices[i], labels, &alerts[kept++]);
    }
    alert_router_put(r->router, alerts, kept, &refused);
    if (refused)
        say(r, true, "alerts_refused",
            "there are --alerts.max alerts already: new ones are not taken");
    buffer_deinit(&link);
    arena_deinit(&arena);
    config_unref(config);
}

struct alert_sink alert_routing_sink(struct alert_routing *r)
{
    return (struct alert_sink){take_notices, r};
}

/* --- life --- */

static void count_matching(void *arg, const struct matchers *m, size_t *matched, size_t *alive)
{
    const struct alert_routing *r = arg;
    alert_router_count_matching(r->router, m, matched, alive);
}

static void tell_kept(void *arg, uint64_t ticket)
{
    sender_kept(arg, ticket);
}

static bool start_all(struct alert_routing *r, struct error *err)
{
    const struct alert_routing_flags *f = r->opts.flags;
    const struct alert_state_options memory = {.dir = r->opts.dir,
                                               .retention_ms = retention_ms(r),
                                               .maintenance_ms = f->maintenance_ms,
                                               .silences_max = f->silences_max,
                                               .silence_bytes_max = f->silence_bytes_max,
                                               .history_retention_ms = f->history_retention_ms,
                                               .log = r->opts.log,
                                               .log_arg = r->opts.log_arg};
    const struct sender_options sender = {
        .log = r->opts.log, .log_arg = r->opts.log_arg, .user_agent = "Belfry/" BELFRY_VERSION};
    if (!dir_create(r->opts.dir, err) || !alert_state_open(&r->memory, &memory, err) ||
        !sender_start(&r->sender, &sender, err))
        return false;
    const struct alert_router_options router = {.peers = &ROUTER_PEERS,
                                                .state = r->memory,
                                                .sender = r->sender,
                                                .gc_interval_ms = f->gc_interval_ms,
                                                .maintenance_ms = f->dispatch_maintenance_ms,
                                                .start_delay_ms = f->start_delay_ms,
                                                .retention_ms = retention_ms(r),
                                                .alerts_max = f->alerts_max,
                                                .log = r->opts.log,
                                                .log_arg = r->opts.log_arg};
    if (!alert_router_start(&r->router, &router, err))
        return false;
    alert_state_watch(r->memory, count_matching, r);
    alert_state_watch_kept(r->memory, tell_kept, r->sender);
    return true;
}

bool alert_routing_start(struct alert_routing **out, const struct alert_routing_options *opts,
                         struct error *err)
{
    struct alert_routing *r = mem_alloc_zero(MEM_ALERTING, 1, sizeof *r);
    r->opts = *opts;
    mutex_init(&r->mutex);
    *out = r;
    if (start_all(r, err))
        return true;
    alert_routing_stop(r);
    *out = NULL;
    return false;
}

void alert_routing_stop(struct alert_routing *r)
{
    if (!r)
        return;
    if (r->memory) {
        alert_state_watch(r->memory, NULL, NULL);
        alert_state_watch_kept(r->memory, NULL, NULL);
    }
    alert_router_stop(r->router);
    sender_stop(r->sender, STOP_GRACE_MS);
    alert_router_free(r->router);
    alert_state_close(r->memory);
    mutex_deinit(&r->mutex);
    mem_free(MEM_ALERTING, r);
}

struct alert_router *alert_routing_router(struct alert_routing *r)
{
    return r->router;
}

struct alert_state *alert_routing_memory(struct alert_routing *r)
{
    return r->memory;
}

struct sender *alert_routing_sender(struct alert_routing *r)
{
    return r->sender;
}
