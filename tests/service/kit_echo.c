/* SPDX-License-Identifier: Apache-2.0 */
/* kit_echo.c: a small service with one of each thing that services have: JSON, a slow request, an upload that goes to
 * disk, a download with ranges, errors, a worker pool, requests to other servers, metrics of its own. */
#include "base/file.h"
#include "base/json_read.h"
#include "base/json_write.h"
#include "base/thread.h"
#include "net/multipart.h"
#include "net/outgoing_trust.h"
#include "service/service.h"

#include <belfry/metrics.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct echo_settings {
    const char *bind, *metrics_bind, *data_dir, *ca_file;
    struct secret token;
    int64_t slow_ms, upload_bytes_max, workers;
    bool allow_loopback, strict, once, cors_credentials;
    struct setting_list origins;
    int mode;
};

static const char *const MODES[] = {"plain", "loud", NULL};

static const struct setting SETTINGS[] = {
    {"KIT_BIND", SETTING_ADDRESS, offsetof(struct echo_settings, bind), "0.0.0.0:3000",
     .help = "main listener"},
    {"KIT_METRICS_BIND", SETTING_ADDRESS, offsetof(struct echo_settings, metrics_bind),
     .help = "one more listener, for /metrics only"},
    {"KIT_DATA_DIR", SETTING_TEXT, offsetof(struct echo_settings, data_dir), "data",
     .help = "where uploads go"},
    {"KIT_TOKEN", SETTING_SECRET, offsetof(struct echo_settings, token),
     .help = "bearer token of /metrics and /private"},
    {"KIT_SLOW_MS", SETTING_DURATION, offsetof(struct echo_settings, slow_ms), "1000", .max = 60000,
     .help = "how long /slow takes"},
    {"KIT_MAX_UPLOAD_SIZE", SETTING_SIZE, offsetof(struct echo_settings, upload_bytes_max), "1MiB",
     .min = 1, .max = 1e9, .help = "of one form"},
    {"KIT_WORKERS", SETTING_COUNT, offsetof(struct echo_settings, workers), "2", .min = 1,
     .max = 64, .help = "threads"},
    {"KIT_ALLOW_LOOPBACK", SETTING_BOOL, offsetof(struct echo_settings, allow_loopback),
     .help = "may /fetch read this machine"},
    {"KIT_CA_FILE", SETTING_TEXT, offsetof(struct echo_settings, ca_file),
     .help = "authorities that /fetch believes, instead of the system's"},
    {"KIT_STRICT", SETTING_BOOL, offsetof(struct echo_settings, strict), "true",
     .help = "wants KIT_MODE=plain"},
    {"KIT_ONCE", SETTING_BOOL, offsetof(struct echo_settings, once), .help = "end at once"},
    {"KIT_CORS_ORIGINS", SETTING_LIST, offsetof(struct echo_settings, origins),
     .help = "pages that may read answers"},
    {"KIT_CORS_CREDENTIALS", SETTING_BOOL, offsetof(struct echo_settings, cors_credentials),
     .help = "also those that are given for a cookie"},
    {"KIT_MODE", SETTING_CHOICE, offsetof(struct echo_settings, mode), "plain", .choices = MODES,
     .help = "how it speaks"},
};

static struct echo_settings values;

struct echo {
    struct service *service;
    struct pool *pool;
    struct outgoing_policy policy;
    struct outgoing_trust *trust;
    belfry_counter_family *requests;
    belfry_histogram *seconds;

    pthread_mutex_t mutex; /* guards what follows */
    pthread_cond_t changed;
    bool draining;
    unsigned reloads;
};

static bool configure(struct service_config *config, struct settings *settings,
                      struct setting_problem *problem)
{
    static const char *origins[17];
    if (values.strict && values.mode != 0)
        return settings_problem(settings, problem, "KIT_MODE", "plain while KIT_STRICT is true");
    for (size_t i = 0; i < values.origins.count && i < 16; i++)
        origins[i] = values.origins.items[i];
    *config = (struct service_config){.listen = values.bind,
                                      .metrics_listen = values.metrics_bind,
                                      .metrics_token = values.token,
                                      .data_dir = values.data_dir,
                                      .body_bytes_max = 64 * 1024,
                                      .cors_origins = values.origins.count ? origins : NULL,
                                      .cors_credentials = values.cors_credentials};
    return true;
}

/* ---- routes ---- */

static void echo(void *arg, struct http_request *rq, struct http_response *rs)
{
    (void)arg;
    struct error err = {0};
    json_t *json = json_read(http_request_body(rq), &err);
    if (json == NULL) {
        service_fail(rs, 400, "invalid_json", "The body is not JSON.", "line %u: %s", err.line,
                     err.message);
        return;
    }
    char *text = json_dumps(json, JSON_COMPACT | JSON_ENCODE_ANY);
    struct buffer *out = service_json(rs);
    buffer_append_literal(out, "{\"success\":true,\"echo\":");
    buffer_append_view(out, view_from(text));
    buffer_append_literal(out, ",\"request_id\":");
    json_string(out, view_from(service_request_id(rq)));
    buffer_append_byte(out, '}');
    free(text);
    json_decref(json);
}

/* What a test lets a slow request end with. */
static bool is_released(void)
{
    char path[600];
    (void)snprintf(path, sizeof path, "%s/release", values.data_dir);
    return access(path, F_OK) == 0;
}

/* Until its time is over, it is released, or somebody cancels: the client, or the end. */
static void slow(void *arg, struct http_request *rq, struct http_response *rs)
{
    struct echo *e = arg;
    mono_time deadline = mono_add_ms(clock_mono(), values.slow_ms);
    mutex_lock(&e->mutex);
    while (http_request_canceled(rq) == HTTP_CANCEL_NONE && clock_mono().ns < deadline.ns &&
           !is_released()) {
        mono_time tick = mono_add_ms(clock_mono(), 20);
        (void)cond_wait_until(&e->changed, &e->mutex, tick); /* the loop asks again either way */
    }
    mutex_unlock(&e->mutex);
    belfry_log_info(service_log(e->service), "slow_done",
                    BELFRY_BOOL("canceled", http_request_canceled(rq) != HTTP_CANCEL_NONE));
    buffer_append_literal(service_json(rs), "{\"success\":false}");
}

static void big(void *arg, struct http_request *rq, struct http_response *rs)
{
    (void)arg;
    struct view count = http_request_param(rq, "bytes");
    size_t bytes = 0;
    for (size_t i = 0; i < count.len && i < 7; i++)
        bytes = bytes * 10 + (size_t)(count.ptr[i] - '0');
    struct buffer *out = service_json(rs);
    buffer_append_literal(out, "{\"x\":\"");
    while (out->len + 3 < bytes)
        buffer_append_byte(out, 'x');
    buffer_append_literal(out, "\"}");
}

static void fail_here(void *arg, struct http_request *rq, struct http_response *rs)
{
    (void)arg;
    struct view status = http_request_capture(rq, "status");
    int code = 0;
    for (size_t i = 0; i < status.len && i < 3; i++)
        code = code * 10 + (status.ptr[i] - '0');
    if (code < 400 || code > 599) {
        service_fail(rs, 422, "invalid_field", "The status must be from 400 to 599.", NULL);
        return;
    }
    service_fail(rs, code, code >= 500 ? "broken" : "refused", "As you wished.", "asked for by %s",
                 service_request_address(rq));
}

static bool private_is_allowed(void *arg, struct http_request *rq, struct http_response *rs)
{
    (void)arg;
    if (!secret_is_set(&values.token) ||
        service_bearer_check(rq, &values.token) == SERVICE_BEARER_RIGHT)
        return true;
    service_violation(rq, "unauthorized", "no right token for %.*s",
                      VIEW_ARGS(http_request_path(rq)));
    service_fail(rs, 401, "unauthorized", "A token is needed.", NULL);
    return false;
}

static void private_echo(void *arg, struct http_request *rq, struct http_response *rs)
{
    (void)arg;
    buffer_append_view(service_json(rs), http_request_body(rq));
}

/* ---- an upload: the file of a form goes to disk as it comes ---- */

struct upload {
    struct multipart *form;
    const char *dir;
    char path[512], name[128];
    int fd;
    uint64_t bytes;
    bool in_file;
};

static bool upload_begin(void *arg, const struct multipart_part *part, struct error *err)
{
    struct upload *u = arg;
    u->in_file = view_is(part->name, "file");
    if (!u->in_file)
        return true;
    if (part->filename.len == 0 || part->filename.len >= sizeof u->name)
        return error_set(err, ERROR_INPUT, "the file needs a name");
    (void)snprintf(u->name, sizeof u->name, "%.*s", VIEW_ARGS(part->filename));
    (void)snprintf(u->path, sizeof u->path, "%s/upload-XXXXXX", u->dir);
    u->fd = mkstemp(u->path);
    return u->fd >= 0 || error_set_errno(err, errno, "could not make a file");
}

static bool upload_data(void *arg, struct view piece, struct error *err)
{
    struct upload *u = arg;
    while (u->in_file && piece.len) {
        ssize_t wrote = write(u->fd, piece.ptr, piece.len);
        if (wrote < 0)
            return error_set_errno(err, errno, "could not write the file");
        u->bytes += (uint64_t)wrote;
        piece = view_slice(piece, (size_t)wrote, piece.len);
    }
    return true;
}

static bool upload_end(void *arg, struct error *err)
{
    (void)err;
    struct upload *u = arg;
    u->in_file = false;
    return true;
}

static void upload_release(void *arg)
{
    struct upload *u = arg;
    multipart_free(u->form);
    if (u->fd >= 0) {
        (void)close(u->fd); /* it goes away */
        (void)unlink(u->path);
    }
    mem_free(MEM_HTTP, u);
}

static bool upload_receive(void *arg, struct http_request *rq, struct http_response *rs,
                           struct view piece)
{
    (void)arg;
    struct error err = {0};
    struct upload *u = service_request_state(rq);
    if (u == NULL) {
        u = mem_alloc_zero(MEM_HTTP, 1, sizeof *u);
        u->fd = -1;
        u->dir = values.data_dir;
        service_request_set_state(rq, u, upload_release);
        const struct multipart_events events = {upload_begin, upload_data, upload_end, u};
        if (!multipart_new(&u->form, http_request_header(rq, "Content-Type"), &events, &err)) {
            service_fail(rs, 415, "unsupported_media_type", "A form is needed.", "%s", err.message);
            return false;
        }
    }
    if (multipart_feed(u->form, piece, &err))
        return true;
    service_fail(rs, error_http_status(err.kind), "invalid_form", "The form is malformed.", "%s",
                 err.message);
    return false;
}

static void upload_done(void *arg, struct http_request *rq, struct http_response *rs)
{
    (void)arg;
    struct error err = {0};
    struct upload *u = service_request_state(rq);
    if (u == NULL || !multipart_finish(u->form, &err) || u->fd < 0) {
        service_fail(rs, 400, "invalid_form", "No file came.", "%s", err.message);
        return;
    }
    char to[600];
    (void)snprintf(to, sizeof to, "%s/last", values.data_dir);
    if (rename(u->path, to) != 0) {
        service_fail(rs, 500, "upload_error", "The file could not be kept.", "errno %d", errno);
        return;
    }
    (void)close(u->fd); /* a test's: nobody needs it after a crash */
    u->fd = -1;
    http_response_set_status(rs, 201);
    struct buffer *out = service_json(rs);
    buffer_append_literal(out, "{\"success\":true,\"filename\":");
    json_string(out, view_from(u->name));
    buffer_printf(out, ",\"bytes\":%llu}", (unsigned long long)u->bytes);
}

static void download(void *arg, struct http_request *rq, struct http_response *rs)
{
    (void)arg;
    (void)rq;
    char path[600];
    (void)snprintf(path, sizeof path, "%s/last", values.data_dir);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    off_t bytes = fd < 0 ? -1 : lseek(fd, 0, SEEK_END);
    if (bytes < 0) {
        service_fail(rs, 404, "file_missing", "There is no file.", NULL);
        return;
    }
    http_response_set_content_type(rs, "text/plain; charset=utf-8");
    http_response_file(rs, fd, (uint64_t)bytes);
}

/* ---- a request to another server ---- */

static bool keep_body(void *arg, const struct outgoing_answer *answer, struct view piece)
{
    (void)answer;
    buffer_append_view(arg, piece);
    return true;
}

static void fetch(void *arg, struct http_request *rq, struct http_response *rs)
{
    struct echo *e = arg;
    struct error err = {0};
    struct outgoing_answer answer;
    struct buffer body;
    struct view url = http_request_param(rq, "url");
    buffer_init(&body, MEM_HTTP, 100000);
    outgoing_answer_init(&answer);
    struct outgoing_request request = {.url = arena_copy(http_request_arena(rq), url).ptr,
                                       .user_agent = service_product(e->service),
                                       .redirects_max = 10,
                                       .timeout_ms = 5000,
                                       .body_bytes_max = 100000,
                                       .on_body = keep_body,
                                       .arg = &body};
    enum outgoing_failure failure = outgoing_send(&e->policy, &request, &answer, &err);
    if (failure == OUTGOING_OK) {
        struct buffer *out = service_json(rs);
        buffer_printf(out, "{\"status\":%d,\"redirects\":%u,\"body\":", answer.status,
                      answer.redirects);
        json_string(out, buffer_view(&body));
        buffer_append_byte(out, '}');
    } else {
        if (failure == OUTGOING_BLOCKED)
            service_violation(rq, "invalid_url", "%s", err.message);
        bool is_ours = failure == OUTGOING_BLOCKED || failure == OUTGOING_URL;
        service_fail(rs, is_ours ? 400 : 502, outgoing_failure_name(failure),
                     "The URL cannot be read.", "%s", err.message);
    }
    outgoing_answer_deinit(&answer);
    buffer_deinit(&body);
}

/* What is left of the path, and how often SIGHUP came. */
static void rest(void *arg, struct http_request *rq, struct http_response *rs)
{
    struct echo *e = arg;
    mutex_lock(&e->mutex);
    unsigned reloads = e->reloads;
    mutex_unlock(&e->mutex);
    struct buffer *out = service_json(rs);
    buffer_append_literal(out, "{\"rest\":");
    json_string(out, http_request_capture(rq, "path"));
    buffer_printf(out, ",\"reloads\":%u}", reloads);
}

static const struct service_route ROUTES[] = {
    {HTTP_POST, "/echo", NULL, echo, HTTP_RUN_DIRECT},
    {HTTP_GET, "/slow", NULL, slow, HTTP_RUN_POOL},
    {HTTP_GET, "/big", NULL, big, HTTP_RUN_DIRECT},
    {HTTP_GET, "/fail/{status}", NULL, fail_here, HTTP_RUN_DIRECT},
    {HTTP_PUT | HTTP_PATCH, "/private", NULL, private_echo, HTTP_RUN_DIRECT,
     .authorize = private_is_allowed},
    {HTTP_POST, "/upload", NULL, upload_done, HTTP_RUN_POOL, .receive = upload_receive,
     .authorize = private_is_allowed},
    {HTTP_GET, "/download", NULL, download, HTTP_RUN_POOL},
    {HTTP_GET, "/fetch", NULL, fetch, HTTP_RUN_POOL},
    {HTTP_GET, "/rest/{*path}", NULL, rest, HTTP_RUN_DIRECT},
};

/* ---- the life ---- */

static bool open_echo(struct service *s, void **state, struct error *err)
{
    static const char *const LABELS[] = {"method", "endpoint", "status"};
    struct echo *e = mem_alloc_zero(MEM_OTHER, 1, sizeof *e);
    *state = e;
    e->service = s;
    mutex_init(&e->mutex);
    cond_init(&e->changed);
    e->policy = service_outgoing_policy(s);
    if (values.ca_file && !outgoing_trust_new(&e->trust, values.ca_file, err))
        return false;
    if (e->trust)
        e->policy.trust = e->trust;
    if (values.allow_loopback)
        e->policy.allowed |= 1u << ADDRESS_LOOPBACK;
    belfry_status status =
        belfry_counter_family_new(&e->requests, NULL, "http_requests_total", "Requests answered.",
                                  LABELS, ARRAY_COUNT(LABELS));
    if (status == BELFRY_OK)
        status = belfry_histogram_new(&e->seconds, NULL, "http_request_duration_seconds",
                                      "Time to answer.", NULL, 0);
    if (status != BELFRY_OK)
        return error_set(err, ERROR_IO, "metrics: %s", belfry_status_text(status));
    if (!pool_start(&e->pool, (unsigned)values.workers, 100, err) ||
        !service_add_worker_check(s, e->pool, err))
        return false;
    for (size_t i = 0; i < ARRAY_COUNT(ROUTES); i++) {
        struct service_route route = ROUTES[i];
        route.pool = e->pool;
        if (route.receive)
            route.body_bytes_max = (size_t)values.upload_bytes_max;
        service_add_route(s, &route);
    }
    if (values.once)
        service_finish(s);
    return true;
}

static void reload_echo(void *arg)
{
    struct echo *e = arg;
    mutex_lock(&e->mutex);
    e->reloads++;
    mutex_unlock(&e->mutex);
}

static void drain_echo(void *arg)
{
    struct echo *e = arg;
    belfry_log_info(service_log(e->service), "draining", BELFRY_BOOL("draining", true));
}

static void close_echo(void *arg)
{
    struct echo *e = arg;
    if (e == NULL)
        return;
    pool_stop(e->pool);
    outgoing_trust_free(e->trust);
    cond_deinit(&e->changed);
    mutex_deinit(&e->mutex);
    mem_free(MEM_OTHER, e);
}

static void observe(void *arg, const struct service_observation *seen)
{
    struct echo *e = arg;
    char status[8];
    (void)snprintf(status, sizeof status, "%d", seen->status);
    const char *labels[] = {seen->method, seen->endpoint, status};
    belfry_counter_inc(belfry_counter_family_with(e->requests, labels));
    belfry_histogram_observe(e->seconds, seen->seconds);
}

static const struct service_flag FLAGS[] = {
    {"--loud", "KIT_MODE", "loud", "KIT_MODE=loud"},
    {"--once", "KIT_ONCE", "true", "start, and end as at SIGTERM"},
};

static int say_dir(const struct service_config *config, int argc, char **argv)
{
    (void)argv;
    printf("%s %d\n", config->data_dir, argc);
    return 0;
}

static const struct service_command COMMANDS[] = {{"dir", say_dir, "print the data folder"}};

static const struct service_definition ECHO = {
    .name = "kit-echo",
    .job = "kit_echo",
    .about = "A small service that shows what the service kit does.",
    .prefix = "KIT_",
    .settings = SETTINGS,
    .setting_count = ARRAY_COUNT(SETTINGS),
    .values = &values,
    .flags = FLAGS,
    .flag_count = ARRAY_COUNT(FLAGS),
    .commands = COMMANDS,
    .command_count = ARRAY_COUNT(COMMANDS),
    .configure = configure,
    .open = open_echo,
    .reload = reload_echo,
    .drain = drain_echo,
    .close = close_echo,
    .observe = observe,
};

int main(int argc, char **argv)
{
    return service_main(&ECHO, argc, argv);
}
