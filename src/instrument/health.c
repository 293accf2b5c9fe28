/* SPDX-License-Identifier: Apache-2.0 */
/* health.c: see belfry/health.h. Answers read what the checks' threads found (health_check.c); nothing here waits for one. */
#include "belfry/health.h"

#include "instrument/error_rate.h"
#include "instrument/health_private.h"
#include "instrument/line.h"
#include "instrument/status.h"
#include "instrument/threads.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

struct belfry_health {
    _Atomic unsigned references; /* the program's, and those of registries that show it */
    char *service, *version;     /* constant, like the next three */
    belfry_log *log;
    int64_t started_ms;
    unsigned forks;

    _Atomic bool is_stopping; /* any thread, like the next two */
    _Atomic int64_t active;
    struct error_rate rate;

    pthread_mutex_t mutex; /* guards the rest; nothing is waited for under it */
    bool is_freed;         /* only registries know it still */
    struct check *checks[BELFRY_HEALTH_CHECKS_MAX];
    size_t check_count;
};

/* --- life --- */

static void health_unref(void *arg)
{
    belfry_health *h = arg;
    if (atomic_fetch_sub_explicit(&h->references, 1, memory_order_acq_rel) != 1)
        return;
    belfry__error_rate_deinit(&h->rate);
    pthread_mutex_destroy(&h->mutex);
    free(h->service);
    free(h->version);
    free(h);
}

belfry_status belfry_health_new(belfry_health **out, const belfry_health_options *options)
{
    if (out)
        *out = NULL;
    if (!out || !options)
        return belfry__fail_plainly(BELFRY_ERROR_NULL);
    if (!options->service || !options->version)
        return belfry__fail(BELFRY_ERROR_FORMAT, "health has no %s",
                            options->service ? "version" : "service");
    belfry__fork_watch();
    belfry_health *h = calloc(1, sizeof *h);
    if (!h)
        return belfry__fail_plainly(BELFRY_ERROR_MEMORY);
    atomic_init(&h->references, 1);
    h->service = strdup(options->service);
    h->version = strdup(options->version);
    h->log = options->log;
    h->started_ms = belfry__mono_ms();
    h->forks = fork_count();
    belfry__error_rate_init(&h->rate);
    pthread_mutex_init(&h->mutex, NULL);
    if (!h->service || !h->version) {
        health_unref(h);
        return belfry__fail_plainly(BELFRY_ERROR_MEMORY);
    }
    *out = h;
    return BELFRY_OK;
}

/* Its checks have no threads, and its mutexes may be locked for ever. */
static bool is_in_child(const belfry_health *h)
{
    return UNLIKELY(h->forks != fork_count());
}

void belfry_health_free(belfry_health *h)
{
    struct check *checks[BELFRY_HEALTH_CHECKS_MAX];
    if (!h || is_in_child(h))
        return;
    pthread_mutex_lock(&h->mutex);
    size_t count = h->check_count;
    memcpy(checks, h->checks, count * sizeof checks[0]);
    h->check_count = 0;
    h->is_freed = true;
    pthread_mutex_unlock(&h->mutex);
    for (size_t i = 0; i < count; i++)
        belfry__check_stop(checks[i]); /* all at once: those that hang are waited for together */
    for (size_t i = 0; i < count; i++) {
        belfry__check_join(checks[i]);
        belfry__check_unref(checks[i]);
    }
    health_unref(h);
}

/* --- checks --- */

static bool is_name(const char *name)
{
    size_t len = name ? strnlen(name, BELFRY_HEALTH_NAME_BYTES_MAX + 1) : 0;
    if (len == 0 || len > BELFRY_HEALTH_NAME_BYTES_MAX)
        return false;
    for (size_t i = 0; i < len; i++) {
        char c = name[i];
        if (!((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
              c == '.' || c == '_' || c == '-'))
            return false;
    }
    return true;
}

static belfry_status add_locked(belfry_health *h, const belfry_health_check *check)
{
    for (size_t i = 0; i < h->check_count; i++) {
        if (strcmp(belfry__check_name(h->checks[i]), check->name) == 0)
            return BELFRY_ERROR_EXISTS;
    }
    if (h->check_count == BELFRY_HEALTH_CHECKS_MAX)
        return BELFRY_ERROR_LIMIT;
    belfry_status status = belfry__check_start(&h->checks[h->check_count], check, h->log);
    if (status == BELFRY_OK)
        h->check_count++;
    return status;
}

static const char *add_error(belfry_status status)
{
    switch (status) {
    case BELFRY_ERROR_NAME:
        return "its name must be 1 to 64 letters, digits, dots, dashes or underscores";
    case BELFRY_ERROR_EXISTS:
        return "there is a check with this name already";
    case BELFRY_ERROR_LIMIT:
        return "there are as many checks as there may be";
    case BELFRY_ERROR_FORMAT:
        return "there is no function to run, no health, or it is that of the process before fork";
    case BELFRY_ERROR_SYSTEM:
        return "its thread could not be started";
    default:
        return belfry_status_text(status);
    }
}

belfry_status belfry_health_add(belfry_health *health, const belfry_health_check *check)
{
    belfry_status status = BELFRY_ERROR_FORMAT;
    if (!check)
        return belfry__fail_plainly(BELFRY_ERROR_NULL);
    if (!is_name(check->name)) {
        status = BELFRY_ERROR_NAME;
    } else if (health && check->run && !is_in_child(health)) {
        pthread_mutex_lock(&health->mutex);
        status = add_locked(health, check);
        pthread_mutex_unlock(&health->mutex);
    }
    if (status == BELFRY_OK)
        return status;
    belfry__fail(status, "health check \"%.*s\": %s", BELFRY_HEALTH_NAME_BYTES_MAX,
                 check->name ? check->name : "", add_error(status));
    if (check->release)
        check->release(check->arg);
    return status;
}

struct reading {
    struct check_room room;
    belfry_health_result result;
};

/* Fills `readings` and returns their number. The checks are read outside of the lock. */
static size_t read_checks(belfry_health *h, struct reading readings[BELFRY_HEALTH_CHECKS_MAX],
                          struct check *held[BELFRY_HEALTH_CHECKS_MAX])
{
    pthread_mutex_lock(&h->mutex);
    size_t count = h->check_count;
    for (size_t i = 0; i < count; i++)
        held[i] = belfry__check_ref(h->checks[i]);
    pthread_mutex_unlock(&h->mutex);
    for (size_t i = 0; i < count; i++)
        belfry__check_read(held[i], &readings[i].room, &readings[i].result);
    return count;
}

void belfry_health_visit(belfry_health *health,
                         void (*visit)(void *arg, const belfry_health_result *result), void *arg)
{
    struct reading readings[BELFRY_HEALTH_CHECKS_MAX];
    struct check *held[BELFRY_HEALTH_CHECKS_MAX];
    if (!health)
        return;
    if (is_in_child(health)) { /* nobody changes the list any more */
        for (size_t i = 0; i < health->check_count; i++) {
            belfry_health_result result = {.name = belfry__check_name(health->checks[i]),
                                           .reason = "does not run after fork"};
            visit(arg, &result);
        }
        return;
    }
    size_t count = read_checks(health, readings, held);
    for (size_t i = 0; i < count; i++) {
        visit(arg, &readings[i].result);
        belfry__check_unref(held[i]);
    }
}

/* --- what the program tells --- */

static int64_t now_s(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC_COARSE, &t);
    return t.tv_sec;
}

void belfry_health_set_stopping(belfry_health *health)
{
    if (health)
        atomic_store(&health->is_stopping, true);
}

void belfry_health_request_begin(belfry_health *health)
{
    if (health)
        atomic_fetch_add_explicit(&health->active, 1, memory_order_relaxed);
}

void belfry_health_request_end(belfry_health *health, bool is_error)
{
    if (!health)
        return;
    atomic_fetch_sub_explicit(&health->active, 1, memory_order_relaxed);
    if (!is_in_child(health))
        belfry__error_rate_add(&health->rate, now_s(), is_error);
}

int64_t belfry_health_active_requests(const belfry_health *health)
{
    return health ? atomic_load_explicit(&health->active, memory_order_relaxed) : 0;
}

double belfry_health_error_rate(belfry_health *health)
{
    return health && !is_in_child(health) ? belfry__error_rate_get(&health->rate, now_s()) : -1;
}

/* --- answers --- */

static void put(struct line *l, const char *text)
{
    line_put(l, text, strlen(text));
}

static void put_uptime(struct line *l, const belfry_health *h)
{
    put(l, "\"uptime_seconds\":");
    belfry__line_put_unsigned(l, (uint64_t)(belfry__mono_ms() - h->started_ms) / 1000);
}

static belfry_status copy_out(const struct line *l, char **out, size_t *len)
{
    *out = malloc(l->len + 1);
    if (!*out)
        return belfry__fail_plainly(BELFRY_ERROR_MEMORY);
    memcpy(*out, l->text, l->len);
    (*out)[l->len] = '\0';
    *len = l->len;
    return BELFRY_OK;
}

belfry_status belfry_health_live_text(belfry_health *health, char **out, size_t *len)
{
    struct line l;
    if (!health || !out || !len)
        return belfry__fail_plainly(BELFRY_ERROR_NULL);
    l.len = 0;
    l.full = false;
    put(&l, "{\"status\":\"healthy\",\"service\":");
    belfry__line_put_string(&l, BELFRY_LOG_JSON, health->service, strlen(health->service), false);
    put(&l, ",\"version\":");
    belfry__line_put_string(&l, BELFRY_LOG_JSON, health->version, strlen(health->version), false);
    put(&l, ",");
    put_uptime(&l, health);
    put(&l, "}\n");
    return copy_out(&l, out, len);
}

struct dependencies {
    struct line *line; /* NULL = only whether they are up */
    size_t count;
    bool all_up;
};

static void visit_dependency(void *arg, const belfry_health_result *result)
{
    struct dependencies *d = arg;
    d->all_up = d->all_up && result->up;
    if (!d->line)
        return;
    put(d->line, d->count++ ? ",\"" : "\"");
    put(d->line, result->name);
    put(d->line, result->up ? "\":true" : "\":false");
}

static bool all_up(belfry_health *h, struct line *line)
{
    struct dependencies d = {.line = line, .all_up = true};
    belfry_health_visit(h, visit_dependency, &d);
    return d.all_up && !is_in_child(h) && !atomic_load(&h->is_stopping);
}

bool belfry_health_is_ready(belfry_health *health)
{
    return health && all_up(health, NULL);
}

belfry_status belfry_health_ready_text(belfry_health *health, char **out, size_t *len, bool *ready)
{
    struct line l, dependencies;
    if (!health || !out || !len || !ready)
        return belfry__fail_plainly(BELFRY_ERROR_NULL);
    l.len = dependencies.len = 0;
    l.full = dependencies.full = false;
    *ready = all_up(health, &dependencies);
    put(&l, *ready ? "{\"ready\":true,\"dependencies\":{" : "{\"ready\":false,\"dependencies\":{");
    line_put(&l, dependencies.text, dependencies.len);
    put(&l, "},");
    put_uptime(&l, health);
    int64_t active = belfry_health_active_requests(health);
    put(&l, ",\"active_requests\":");
    belfry__line_put_unsigned(&l, active > 0 ? (uint64_t)active : 0);
    double rate = belfry_health_error_rate(health);
    put(&l, ",\"error_rate_last_5m\":");
    belfry__line_put_double(&l, rate < 0 ? (double)NAN : rint(rate * 1e6) / 1e6); /* NaN: null */
    put(&l, "}\n");
    return copy_out(&l, out, len);
}

/* --- as metrics --- */

struct emission {
    belfry_emitter *emitter;
    int what; /* 0 up, 1 duration, 2 last run */
};

static void emit_result(void *arg, const belfry_health_result *r)
{
    const struct emission *e = arg;
    belfry_label check = {"check", r->name};
    double values[] = {r->up, r->duration_seconds, r->last_run_seconds};
    belfry_emit_sample(e->emitter, NULL, &check, 1, values[e->what]);
}

static void collect(void *arg, belfry_emitter *emitter)
{
    static const struct {
        const char *name, *help;
    } FAMILIES[] = {
        {"belfry_health_check_up", "Whether the check found all well."},
        {"belfry_health_check_duration_seconds", "How long the check's last run took."},
        {"belfry_health_check_last_run_timestamp_seconds",
         "When the check's last run ended, in seconds since the epoch; 0 before the first."},
    };
    belfry_health *h = arg;
    if (is_in_child(h))
        return;
    pthread_mutex_lock(&h->mutex);
    bool is_freed = h->is_freed;
    pthread_mutex_unlock(&h->mutex);
    if (is_freed)
        return;
    for (int i = 0; i < (int)ARRAY_COUNT(FAMILIES); i++) {
        struct emission e = {emitter, i};
        belfry_emit_family(emitter, FAMILIES[i].name, FAMILIES[i].help, BELFRY_GAUGE);
        belfry_health_visit(h, emit_result, &e);
    }
    belfry_emit(emitter, "belfry_health_ready", "Whether the program is ready for requests.",
                BELFRY_GAUGE, belfry_health_is_ready(h));
    belfry_emit(emitter, "belfry_health_active_requests", "Requests being answered.", BELFRY_GAUGE,
                (double)belfry_health_active_requests(h));
}

belfry_status belfry_health_register(belfry_health *health, belfry_registry *registry)
{
    if (!health)
        return belfry__fail(BELFRY_ERROR_FORMAT, "there is no health to register");
    atomic_fetch_add_explicit(&health->references, 1, memory_order_relaxed);
    return belfry_collector_new(registry, collect, health, health_unref);
}
