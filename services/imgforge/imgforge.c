/* SPDX-License-Identifier: Apache-2.0 */
/* imgforge.c: the image server. A request is read and judged, and answered where memory has the result, on its connection's thread;
 * else it lets go of that thread and is answered by whoever has the result:
 *
 *   get ---- hit in memory --------------------------------------------------> answer
 *    |  held
 *    +-- image_work: one flight for all who ask for the same --- landed -----> answer
 *        looks into a cache that waits (disk) first, on a few threads
 *
 * A client that leaves, IMGFORGE_TIMEOUT and the end of the process reach it through the request's cancel callback: its flight goes
 * on for others, and ends when nobody waits any more. */
#include "builder_page.h"
#include "drawer_main.h"
#include "drawing_order.h"
#include "image_answer.h"
#include "image_work.h"
#include "imgforge_metrics.h"
#include "imgforge_settings.h"
#include "service/rate_limit.h"
#include "sign_command.h"

#include "base/machine.h"
#include "base/mem.h"
#include "base/pool.h"
#include "net/outgoing_kept.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum {
    LOOKUP_THREADS = 4,
    LOOKUP_THREADS_REMOTE = 16, /* that wait for a server: as many as its connections by default */
    LOOKUPS_MAX = 4096,         /* that wait for these threads */
    CACHE_CHECK_MS = 2500,      /* a probe has 3 s */
    SOURCE_KEYS_MAX = 257,      /* as many sources as there are at most at once, and watermarks */
    ANSWER_MS_MAX = 250,        /* of a request's time, kept for the answer that it is over */
    PATHS_MAX = 8
};

struct imgforge {
    struct service *service;
    const struct imgforge_settings *settings;
    struct imgforge_metrics *metrics;
    struct image_cache *images, *information;
    struct image_key policy;  /* of cache_key_policy() */
    struct rate_limit *limit; /* NULL: none */
    struct source_policy sources;
    struct outgoing_kept *kept; /* connections to origins */
    struct permits *source_room;
    struct watermarks *watermarks;
    struct image_work *work;
    struct pool *lookups; /* NULL: no cache that waits */
    bool has_pipeline;
};

/* A request that is held; in its arena. */
struct pending {
    struct imgforge *forge;
    struct http_request *rq;
    struct http_response *rs;
    struct image_request asked;
    struct flight_waiter waiter;
};

/* --- what is held --- */

static struct image_cache *cache_of(const struct imgforge *forge, enum cache_key_kind kind)
{
    return kind == CACHE_KEY_IMAGE ? forge->images : forge->information;
}

static void count_lookup(const struct pending *p, bool is_hit)
{
    metrics_lookup(p->forge->metrics, p->forge->settings->cache.type,
                   p->asked.kind == CACHE_KEY_INFORMATION, is_hit);
}

static void answer_left(struct pending *p)
{
    struct image_failure f;
    switch (http_request_canceled(p->rq)) {
    case HTTP_CANCEL_DEADLINE:
        image_fail(&f, 408, "Request Timeout");
        break;
    case HTTP_CANCEL_STOP:
        image_fail(&f, 503, "Service Unavailable");
        image_fail_cause(&f, "the server is stopping");
        break;
    default:
        image_fail(&f, 499, "Client Closed Request");
    }
    image_answer_failure(&f, p->rq, p->rs);
}

static void on_landed(void *arg, enum flight_end end, struct cached_image *image,
                      const struct image_failure *f)
{
    struct pending *p = arg;
    bool is_hit = end == FLIGHT_FOUND;
    if (p->forge->lookups)
        count_lookup(p, is_hit);
    if (image)
        image_answer(p->forge->settings, &p->asked, image, is_hit, p->rq, p->rs);
    else if (end == FLIGHT_FAILED)
        image_answer_failure(f, p->rq, p->rs);
    else
        answer_left(p);
    http_request_answer(p->rq);
}

static void on_cancel(void *arg)
{
    struct pending *p = arg;
    image_work_leave(p->forge->work, &p->waiter);
}

/* --- handlers, on the connection's thread --- */

static bool is_authorized(const struct imgforge *forge, struct http_request *rq,
                          struct http_response *rs)
{
    const struct secret *secret = &forge->settings->in.secret;
    struct image_failure f;
    if (!secret_is_set(secret))
        return true;
    enum service_bearer bearer = service_bearer_check(rq, secret);
    if (bearer == SERVICE_BEARER_RIGHT)
        return true;
    image_fail(&f, 403,
               bearer == SERVICE_BEARER_MISSING ? "Missing authorization token"
                                                : "Invalid authorization token");
    f.is_violation = true;
    image_answer_failure(&f, rq, rs);
    return false;
}

static bool is_within_rate(const struct imgforge *forge, struct http_request *rq,
                           struct http_response *rs)
{
    struct rate_limit_state state;
    struct image_failure f;
    char seconds[16];
    if (!forge->limit || rate_limit_take(forge->limit, VIEW(""), clock_mono(), &state))
        return true;
    image_fail(&f, 429, "Too Many Requests");
    image_answer_failure(&f, rq, rs);
    (void)snprintf(seconds, sizeof(seconds), "%u", state.retry_after_s);
    http_response_set_header(rs, "Retry-After", view_from(seconds));
    return false;
}

static void set_origin(const struct imgforge *forge, struct http_response *rs)
{
    const char *origin = forge->settings->in.allow_origin;
    if (!origin)
        return;
    http_response_set_header(rs, "Access-Control-Allow-Origin", view_from(origin));
    if (strcmp(origin, "*") != 0)
        http_response_add_vary(rs, "Origin");
}

static struct view either_header(struct http_request *rq, const char *name, const char *other)
{
    struct view value = http_request_header(rq, name);
    return value.len ? value : http_request_header(rq, other);
}

static struct image_headers headers_of(const struct imgforge *forge, struct http_request *rq)
{
    struct image_headers h = {.accept = http_request_header(rq, "Accept")};
    if (forge->settings->negotiation.client_hints) {
        h.dpr = either_header(rq, "Sec-CH-DPR", "DPR");
        h.width = either_header(rq, "Sec-CH-Width", "Width");
    }
    return h;
}

/* IMGFORGE_TIMEOUT is when the answer is there, so the work is given up a little before: threads wait for a processor when there is more to
 * do than can be done. */
static int64_t work_ms(int64_t timeout_ms)
{
    int64_t answer_ms = timeout_ms / 20;
    return timeout_ms - (answer_ms < ANSWER_MS_MAX ? answer_ms : ANSWER_MS_MAX);
}

/* Takes on what memory did not have. */
static void hold(struct pending *p)
{
    struct imgforge *forge = p->forge;
    if (!http_request_hold(p->rq))
        return;
    p->waiter = (struct flight_waiter){.landed = on_landed, .arg = p};
    http_request_set_cancel(p->rq, on_cancel, p, work_ms(forge->settings->in.timeout_ms));
    if (!forge->lookups) /* else it is known when the flight has looked */
        count_lookup(p, false);
    image_work_ask(forge->work, &p->asked, &p->waiter, service_request_copy(p->rq));
}

static void get(struct imgforge *forge, enum cache_key_kind kind, struct http_request *rq,
                struct http_response *rs)
{
    struct image_failure f;
    set_origin(forge, rs);
    if (!is_authorized(forge, rq, rs))
        return;
    struct arena *arena = http_request_arena(rq);
    struct pending *p = ARENA_NEW(arena, struct pending);
    struct image_headers headers = headers_of(forge, rq);
    struct cache_key_base base = {.policy = forge->policy};
    watermarks_file_digest(forge->watermarks, &base.mark);
    p->forge = forge;
    p->rq = rq;
    p->rs = rs;
    if (!image_request_read(arena, forge->settings, &base, kind, http_request_capture(rq, "path"),
                            &headers, clock_wall().ms / 1000, &p->asked, &f)) {
        image_answer_failure(&f, rq, rs);
        return;
    }
    if (kind == CACHE_KEY_IMAGE && !is_within_rate(forge, rq, rs))
        return;
    struct cached_image *image = image_cache_get_now(cache_of(forge, kind), &p->asked.key);
    if (!image) {
        hold(p);
        return;
    }
    count_lookup(p, true);
    image_answer(forge->settings, &p->asked, image, true, rq, rs);
    cached_image_unref(image);
}

static void get_image(void *arg, struct http_request *rq, struct http_response *rs)
{
    get(arg, CACHE_KEY_IMAGE, rq, rs);
}

static void get_information(void *arg, struct http_request *rq, struct http_response *rs)
{
    get(arg, CACHE_KEY_INFORMATION, rq, rs);
}

static void get_status(void *arg, struct http_request *rq, struct http_response *rs)
{
    (void)arg;
    (void)rq;
    buffer_append_literal(service_json(rs), "{\"status\":\"ok\"}");
}

/* What a page of another origin asks first. */
static void get_options(void *arg, struct http_request *rq, struct http_response *rs)
{
    (void)rq;
    set_origin(arg, rs);
    http_response_set_header(rs, "Access-Control-Allow-Methods", VIEW("GET, HEAD, OPTIONS"));
    http_response_set_header(rs, "Access-Control-Allow-Headers",
                             VIEW("Authorization, If-None-Match, If-Modified-Since, X-Request-Id"));
    http_response_set_header(rs, "Access-Control-Max-Age", VIEW("600"));
}

/* --- routes --- */

struct path_row {
    unsigned methods;
    const char *path;
    http_handler handler;
    bool is_probe;
};

static const struct path_row PATHS[] = {
    {HTTP_GET, "/", builder_page_serve, true},
    {HTTP_GET, "/status", get_status, true},
    {HTTP_GET, "/info/{*path}", get_information, false},
    {HTTP_GET, "/{*path}", get_image, false},
};
static const struct path_row PREFLIGHTS[] = {
    {HTTP_OPTIONS, "/info/{*path}", get_options, false},
    {HTTP_OPTIONS, "/{*path}", get_options, false},
};

/* Below the mount point, whose name no metric has. Its texts live as long as the process. */
static void add_path(struct imgforge *forge, const struct path_row *row)
{
    const char *prefix = forge->settings->path_prefix;
    struct service_route route = {.methods = row->methods,
                                  .path = row->path,
                                  .name = row->path,
                                  .handler = row->handler,
                                  .run = HTTP_RUN_DIRECT,
                                  .is_probe = row->is_probe,
                                  .ignores_query = true};
    if (prefix[0]) {
        static char paths[PATHS_MAX][1024];
        static size_t used;
        (void)snprintf(paths[used], sizeof(paths[used]), "%s%s", prefix, row->path);
        route.path = paths[used++];
    }
    service_add_route(forge->service, &route);
}

static void add_routes(struct imgforge *forge)
{
    const struct imgforge_settings *s = forge->settings;
    static char health[1024], ready[1024];
    if (strcmp(s->in.health_path, "/health") != 0)
        service_add_probe(forge->service, s->in.health_path, false);
    if (s->path_prefix[0]) { /* a balancer may see no other paths */
        (void)snprintf(health, sizeof(health), "%s%s", s->path_prefix, s->in.health_path);
        (void)snprintf(ready, sizeof(ready), "%s/ready", s->path_prefix);
        service_add_probe(forge->service, health, false);
        service_add_probe(forge->service, ready, true);
    }
    for (size_t i = 0; i < ARRAY_COUNT(PATHS); i++)
        add_path(forge, &PATHS[i]);
    for (size_t i = 0; i < ARRAY_COUNT(PREFLIGHTS) && s->in.allow_origin; i++)
        add_path(forge, &PREFLIGHTS[i]);
}

/* --- readiness --- */

static bool has_codecs(void *arg, char reason[BELFRY_HEALTH_REASON_BYTES])
{
    (void)arg;
    static const enum image_format NEEDED[] = {IMAGE_FORMAT_JPEG, IMAGE_FORMAT_PNG,
                                               IMAGE_FORMAT_GIF, IMAGE_FORMAT_WEBP,
                                               IMAGE_FORMAT_TIFF};
    for (size_t i = 0; i < ARRAY_COUNT(NEEDED); i++) {
        if (pipeline_formats() & 1u << NEEDED[i])
            continue;
        (void)snprintf(reason, BELFRY_HEALTH_REASON_BYTES, "libvips cannot write %s",
                       image_format_name(NEEDED[i]));
        return false;
    }
    return true;
}

static bool has_cache(void *arg, char reason[BELFRY_HEALTH_REASON_BYTES])
{
    const struct imgforge *forge = arg;
    struct error err = {0};
    if (image_cache_check(forge->images, &err))
        return true;
    (void)snprintf(reason, BELFRY_HEALTH_REASON_BYTES, "%.*s", BELFRY_HEALTH_REASON_BYTES - 1,
                   err.message);
    return false;
}

static bool add_checks(struct imgforge *forge, struct error *err)
{
    const belfry_health_check checks[] = {
        {.name = "cache", .run = has_cache, .arg = forge, .timeout_ms = CACHE_CHECK_MS},
        {.name = "codecs", .run = has_codecs}};
    for (size_t i = 0; i < ARRAY_COUNT(checks); i++) {
        belfry_status status = belfry_health_add(service_health(forge->service), &checks[i]);
        if (status != BELFRY_OK)
            return error_set(err, ERROR_IO, "the check \"%s\": %s", checks[i].name,
                             belfry_status_text(status));
    }
    return service_add_worker_check(forge->service, image_work_pool(forge->work), err);
}

/* --- life --- */

static void log_warnings(const struct imgforge *forge)
{
    const struct imgforge_settings *s = forge->settings;
    for (size_t i = 0; i < s->warning_count; i++)
        belfry_log_warn(service_log(forge->service), "config_warning",
                        BELFRY_STR("variable", s->warnings[i].variable),
                        BELFRY_STR("detail", s->warnings[i].text));
}

static bool open_pipeline(struct imgforge *forge, struct error *err)
{
    struct image_failure f;
    enum image_format format = forge->settings->pipeline.default_format;
    if (!pipeline_start("/proc/self/exe", &f))
        return error_set(err, ERROR_IO, "libvips does not start: %s", f.cause);
    forge->has_pipeline = true;
    if (format != IMAGE_FORMAT_NONE && !(pipeline_formats() & 1u << format))
        return error_set(err, ERROR_IO, "IMGFORGE_DEFAULT_FORMAT: libvips cannot write %s",
                         image_format_name(format));
    return true;
}

/* Information is beside the pictures, with as many entries. */
static bool open_caches(struct imgforge *forge, struct error *err)
{
    struct image_cache_options opts = forge->settings->cache;
    opts.log = service_log(forge->service);
    char folder[4096];
    if (!image_cache_open(&forge->images, &opts, err))
        return error_wrap(err, "the cache of pictures");
    if (opts.disk_folder) {
        (void)snprintf(folder, sizeof(folder), "%s/metadata", opts.disk_folder);
        if ((opts.type == CACHE_DISK || opts.type == CACHE_HYBRID) && mkdir(folder, 0700) != 0 &&
            errno != EEXIST)
            return error_set_errno(err, errno, "could not make the folder \"%s\"", folder);
        opts.disk_folder = folder;
    }
    if (!image_cache_open(&forge->information, &opts, err))
        return error_wrap(err, "the cache of information");
    unsigned threads =
        image_cache_is_remote(forge->images) ? LOOKUP_THREADS_REMOTE : LOOKUP_THREADS;
    return !image_cache_may_wait(forge->images) ||
           pool_start(&forge->lookups, threads, LOOKUPS_MAX, err);
}

static bool open_sources(struct imgforge *forge, struct error *err)
{
    const struct imgforge_settings *s = forge->settings;
    forge->source_room = permits_new_weighed(machine_memory_bytes() / 4, SOURCE_KEYS_MAX);
    forge->sources = (struct source_policy){
        .outgoing = service_outgoing_policy(forge->service),
        .allowed_prefixes = s->in.sources.items,
        .allowed_prefix_count = s->in.sources.count,
        .user_agent = s->in.user_agent,
        .redirects_max = (unsigned)s->in.redirects_max,
        .timeout_ms = s->in.download_timeout_ms,
        .room = forge->source_room,
    };
    if (!outgoing_kept_start(&forge->kept, err))
        return false;
    forge->sources.outgoing.kept = forge->kept;
    forge->sources.outgoing.allowed |= s->source_classes;
    const struct watermarks_options marks = {
        .policy = &forge->sources,
        .path = s->in.watermark_path,
        .source_bytes_max = s->options.limits.source_bytes,
    };
    forge->watermarks = watermarks_new(&marks);
    return watermarks_read_file(forge->watermarks, err);
}

static bool open_work(struct imgforge *forge, struct error *err)
{
    const struct image_work_options opts = {
        .settings = forge->settings,
        .sources = &forge->sources,
        .watermarks = forge->watermarks,
        .metrics = forge->metrics,
        .images = forge->images,
        .information = forge->information,
        .lookups = forge->lookups,
        .log = service_log(forge->service),
    };
    return image_work_start(&forge->work, &opts, err);
}

static bool open_imgforge(struct service *service, void **state, struct error *err)
{
    const struct imgforge_settings *s = &imgforge_settings;
    struct imgforge *forge = mem_alloc_zero(MEM_OTHER, 1, sizeof(*forge));
    *state = forge;
    forge->service = service;
    forge->settings = s;
    cache_key_policy(s, &forge->policy);
    if (s->in.rate_limit)
        forge->limit = rate_limit_new((unsigned)s->in.rate_limit, (unsigned)s->in.rate_limit, 16);
    log_warnings(forge);
    if (!open_pipeline(forge, err) || !open_caches(forge, err) ||
        !imgforge_metrics_open(&forge->metrics, s->workers, err) || !open_sources(forge, err) ||
        !open_work(forge, err) || !add_checks(forge, err))
        return false;
    add_routes(forge);
    return true;
}

static void reload_imgforge(void *state)
{
    struct imgforge *forge = state;
    struct error err = {0};
    if (!watermarks_read_file(forge->watermarks, &err))
        belfry_log_error(service_log(forge->service), "reload_failed",
                         BELFRY_STR("detail", err.message));
}

static void close_imgforge(void *state)
{
    struct imgforge *forge = state;
    if (!forge)
        return;
    pool_stop(forge->lookups);
    image_work_stop(forge->work);
    watermarks_free(forge->watermarks);
    outgoing_kept_stop(forge->kept);
    permits_free(forge->source_room);
    image_cache_close(forge->information);
    image_cache_close(forge->images);
    imgforge_metrics_close(forge->metrics);
    rate_limit_free(forge->limit);
    if (forge->has_pipeline)
        pipeline_stop();
    mem_free(MEM_OTHER, forge);
}

static void observe(void *state, const struct service_observation *seen)
{
    const struct imgforge *forge = state;
    metrics_request(forge->metrics, seen);
}

static const char *error_body(void *state, const struct service_error *error, struct buffer *out)
{
    (void)state; /* also before it is there */
    return image_answer_error_body(&imgforge_settings, error, out);
}

static int run_sign(const struct service_config *config, int argc, char **argv)
{
    const struct imgforge_variables *in = &imgforge_settings.in;
    const struct sign_defaults defaults = {in->key, in->salt, in->signature_size};
    (void)config;
    return sign_command(&defaults, argc, argv);
}

int main(int argc, char **argv)
{
    static const struct service_command COMMANDS[] = {
        {"sign", run_sign, "sign paths of images: imgforge sign --help", .without_config = true},
    };
    const struct service_definition definition = {
        .name = "imgforge",
        .about = "Pictures in the size and format that a URL asks for.",
        .prefix = "IMGFORGE_",
        .settings = IMGFORGE_SETTINGS,
        .setting_count = IMGFORGE_SETTING_COUNT,
        .values = &imgforge_settings.in,
        .commands = COMMANDS,
        .command_count = ARRAY_COUNT(COMMANDS),
        .configure = imgforge_configure,
        .open = open_imgforge,
        .reload = reload_imgforge,
        .close = close_imgforge,
        .observe = observe,
        .error_body = error_body,
    };
    if (argc > 1 && strcmp(argv[1], DRAWER_COMMAND) == 0) /* has no settings: no service */
        return drawer_main(argc, argv);
    return service_main(&definition, argc, argv);
}
