/* SPDX-License-Identifier: Apache-2.0 */
/* service.c: see service.h. The main thread starts everything, then waits; one thread takes the signals, so that a
 * second SIGTERM ends the process also while the main thread waits for requests to end. */
#include "service/service.h"

#include "base/assert.h"
#include "base/file.h"
#include "base/service_notify.h"
#include "net/outgoing_trust.h"
#include "service/service_private.h"

#include <belfry/collectors.h>
#include <curl/curl.h>
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

enum { EXIT_CLEAN = 0, EXIT_RUNTIME = 1, EXIT_CONFIG = 2 };

static const char *const LEVELS[] = {"debug", "info", "warn", "error", "warning", "critical", NULL};
static const char *const FORMATS[] = {"json", "text", NULL};

static const struct setting COMMON[] = {
    {"LOG_LEVEL", SETTING_CHOICE, offsetof(struct service_common, log_level), "info",
     .choices = LEVELS, .help = "lines below it are not written"},
    {"LOG_FORMAT", SETTING_CHOICE, offsetof(struct service_common, log_format), "json",
     .choices = FORMATS, .help = "JSON or logfmt, with the same keys"},
    {"SHUTDOWN_GRACE_SECONDS", SETTING_DURATION, offsetof(struct service_common, grace_ms), "10",
     .min = 0, .max = 3600, .help = "for work in hand after SIGTERM"},
    {"READY_MIN_DISK_BYTES", SETTING_SIZE, offsetof(struct service_common, disk_bytes_min),
     "1000000000", .help = "free where it writes, or not ready"},
    {"READY_MAX_MEM_RATIO", SETTING_NUMBER, offsetof(struct service_common, mem_ratio_max), "0.8",
     .min = 0.01, .max = 1, .help = "memory in use, or not ready"},
    {"HTTP_MAX_CONNECTIONS", SETTING_COUNT, offsetof(struct service_common, connections_max),
     "1024", .min = 1, .max = 100000, .help = "open at once"},
    {"TLS_CERT_FILE", SETTING_TEXT, offsetof(struct service_common, tls_cert_file),
     .help = "PEM; with TLS_KEY_FILE: HTTPS. Read again at SIGHUP"},
    {"TLS_KEY_FILE", SETTING_TEXT, offsetof(struct service_common, tls_key_file), .help = "PEM"},
    {"HTTP_PROXY", SETTING_SECRET, offsetof(struct service_common, http_proxy),
     .alias = "http_proxy", .help = "for requests of its own to http URLs"},
    {"HTTPS_PROXY", SETTING_SECRET, offsetof(struct service_common, https_proxy),
     .alias = "https_proxy", .help = "for those to https URLs"},
    {"NO_PROXY", SETTING_TEXT, offsetof(struct service_common, no_proxy), .alias = "no_proxy",
     .help = "hosts, domains, networks that are reached without"},
};

extern char **environ;

/* ---- flags ---- */

struct words {
    const char *env_file;
    bool help, version, check;
    const struct service_command *command;
    int argc; /* of the command, behind its name */
    char **argv;
};

static bool flag_apply(struct service *s, const char *word)
{
    const struct service_definition *d = s->definition;
    for (size_t i = 0; i < d->flag_count; i++)
        if (strcmp(d->flags[i].name, word) == 0) {
            settings_override(s->settings, d->flags[i].variable, d->flags[i].value);
            return true;
        }
    return false;
}

static bool words_read(struct service *s, int argc, char **argv, struct words *out)
{
    const struct service_definition *d = s->definition;
    for (int i = 1; i < argc; i++) {
        const char *word = argv[i];
        if (strcmp(word, "--help") == 0 || strcmp(word, "-h") == 0) {
            out->help = true;
        } else if (strcmp(word, "--version") == 0) {
            out->version = true;
        } else if (strcmp(word, "--check-config") == 0) {
            out->check = true;
        } else if (strncmp(word, "--env-file=", 11) == 0) {
            out->env_file = word + 11;
        } else if (strcmp(word, "--env-file") == 0 && i + 1 < argc) {
            out->env_file = argv[++i];
        } else if (!flag_apply(s, word)) {
            for (size_t n = 0; n < d->command_count; n++)
                if (strcmp(d->commands[n].name, word) == 0)
                    out->command = &d->commands[n];
            if (out->command) {
                out->argc = argc - i - 1;
                out->argv = argv + i + 1;
                return true;
            }
            (void)fprintf(stderr, "%s: unexpected word \"%s\"; see %s --help\n", d->name, word,
                          d->name);
            return false;
        }
    }
    return true;
}

static void print_help(const struct service *s)
{
    const struct service_definition *d = s->definition;
    struct buffer out;
    buffer_init(&out, MEM_OTHER, 1 << 20);
    buffer_printf(&out, "Usage: %s [FLAG...]%s\n\n%s\n\nFlags:\n", d->name,
                  d->command_count ? " [COMMAND]" : "", d->about);
    buffer_printf(&out, "  %-18s %s\n", "--env-file FILE",
                  "variables in a file; those of the environment go before it");
    buffer_printf(&out, "  %-18s %s\n", "--check-config",
                  "print the effective settings as JSON and end");
    buffer_printf(&out, "  %-18s %s\n", "--version", "print the version and end");
    buffer_printf(&out, "  %-18s %s\n", "--help", "print this and end");
    for (size_t i = 0; i < d->flag_count; i++)
        buffer_printf(&out, "  %-18s %s\n", d->flags[i].name, d->flags[i].help);
    if (d->command_count)
        buffer_append_literal(&out, "\nCommands:\n");
    for (size_t i = 0; i < d->command_count; i++)
        buffer_printf(&out, "  %-18s %s\n", d->commands[i].name, d->commands[i].help);
    buffer_append_literal(&out, "\nEnvironment (unset or empty = default):\n");
    settings_write_help(s->settings, &out);
    (void)fwrite(out.ptr, 1, out.len, stdout);
    buffer_deinit(&out);
}

/* ---- configuration ---- */

static belfry_log *open_log(const struct service *s, bool synchronous)
{
    belfry_log_options options = {.fd = STDOUT_FILENO,
                                  .level = BELFRY_LOG_INFO,
                                  .synchronous = synchronous,
                                  .with_request_id = true,
                                  .with_trace = true};
    const char *level = s->config.log_level ? s->config.log_level : LEVELS[s->common.log_level];
    (void)belfry_log_level_parse(level, &options.level); /* a word of the table */
    if (s->config.log_text || s->common.log_format == 1)
        options.format = BELFRY_LOG_LOGFMT;
    return belfry_log_open(&options);
}

static bool refuse_config(const struct service *s, const struct setting_problem *problem)
{
    belfry_log *log = open_log(s, true);
    belfry_log_error(log, "config_error", BELFRY_CLEAR("variable", problem->variable),
                     BELFRY_CLEAR("value", problem->value),
                     BELFRY_CLEAR("expected", problem->expected));
    belfry_log_close(log);
    return false;
}

static bool refuse_file(const struct service *s, const struct error *err)
{
    belfry_log *log = open_log(s, true);
    belfry_log_error(log, "config_error", BELFRY_STR("variable", NULL),
                     BELFRY_STR("detail", err->message));
    belfry_log_close(log);
    return false;
}

static bool check_common(struct service *s, struct setting_problem *problem)
{
    const struct service_common *c = &s->common;
    struct error err = {0};
    if (c->tls_cert_file && c->tls_key_file == NULL)
        return settings_problem(s->settings, problem, "TLS_KEY_FILE", "the key of TLS_CERT_FILE");
    if (c->tls_key_file && c->tls_cert_file == NULL)
        return settings_problem(s->settings, problem, "TLS_CERT_FILE",
                                "the certificate of TLS_KEY_FILE");
    if (c->tls_cert_file && !service_tls_load(s, &err))
        return settings_problem(s->settings, problem, "TLS_CERT_FILE",
                                "a certificate and its key: %s", err.message);
    return true;
}

static bool load_settings(struct service *s, const struct words *words)
{
    struct setting_problem problem = {0};
    struct error err = {0};
    if (words->env_file && !settings_read_file(s->settings, words->env_file, &err))
        return refuse_file(s, &err);
    bool values_only = words->command && words->command->without_config;
    if (!settings_load(s->settings, &problem) ||
        (!values_only && (!check_common(s, &problem) ||
                          !s->definition->configure(&s->config, s->settings, &problem))))
        return refuse_config(s, &problem);
    ASSERT(values_only || s->config.listen != NULL);
    return true;
}

static void print_settings(const struct service *s)
{
    struct buffer out;
    buffer_init(&out, MEM_OTHER, 4 << 20);
    settings_write_json(s->settings, &out);
    buffer_append_byte(&out, '\n');
    (void)fwrite(out.ptr, 1, out.len, stdout);
    buffer_deinit(&out);
}

static void warn_unknown(void *arg, const char *name, const char *nearest)
{
    const struct service *s = arg;
    belfry_log_warn(s->log, "config_unknown_variable", BELFRY_CLEAR("variable", name),
                    BELFRY_CLEAR("did_you_mean", nearest));
}

/* ---- signals ---- */

static sigset_t own_signals(void)
{
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGTERM);
    sigaddset(&set, SIGINT);
    sigaddset(&set, SIGHUP);
    sigaddset(&set, SIGUSR2); /* ends the thread */
    return set;
}

static void *signals_run(void *arg)
{
    struct service *s = arg;
    sigset_t set = own_signals();
    for (;;) {
        int signal = 0;
        int code = sigwait(&set, &signal);
        ASSERT(code == 0);
        mutex_lock(&s->mutex);
        if (signal == SIGUSR2) { /* from us, or from somebody who has no reason to send it */
            bool ends = s->ended;
            mutex_unlock(&s->mutex);
            if (ends)
                return NULL;
            continue;
        }
        if (signal == SIGHUP) {
            s->wants_reload = true;
        } else if (s->wants_stop) {
            _exit(EXIT_RUNTIME); /* whoever asks twice does not want to wait */
        } else {
            s->wants_stop = true;
            s->signal = signal;
        }
        cond_broadcast(&s->changed);
        mutex_unlock(&s->mutex);
    }
}

void service_finish(struct service *s)
{
    mutex_lock(&s->mutex);
    s->wants_stop = true;
    cond_broadcast(&s->changed);
    mutex_unlock(&s->mutex);
}

bool service_is_stopping(const struct service *s)
{
    struct service *own = (struct service *)(uintptr_t)s; /* its mutex is not the caller's const */
    mutex_lock(&own->mutex);
    bool stopping = s->stopping;
    mutex_unlock(&own->mutex);
    return stopping;
}

/* ---- start ---- */

static bool add_checks(struct service *s, struct error *err)
{
    const struct service_definition *d = s->definition;
    belfry_health_options options = {
        .service = d->job ? d->job : d->name, .version = BELFRY_VERSION, .log = s->log};
    belfry_status status = belfry_health_new(&s->health, &options);
    if (status == BELFRY_OK && s->config.data_dir)
        status = belfry_health_add_disk(s->health, s->config.data_dir,
                                        (uint64_t)s->common.disk_bytes_min);
    if (status == BELFRY_OK)
        status = belfry_health_add_memory(s->health, s->common.mem_ratio_max, NULL);
    if (status == BELFRY_OK)
        status = belfry_health_register(s->health, NULL);
    if (status == BELFRY_OK)
        status = belfry_process_collector_new(NULL, NULL);
    if (status == BELFRY_OK)
        status = belfry_log_register(s->log, NULL);
    return status == BELFRY_OK ||
           error_set(err, ERROR_IO, "health checks: %s", belfry_status_text(status));
}

static bool open_service(struct service *s, struct error *err)
{
    const struct service_definition *d = s->definition;
    if (s->config.data_dir && !dir_create(s->config.data_dir, err))
        return false;
    return add_checks(s, err) && d->open(s, &s->state, err) && service_http_open(s, err) &&
           service_http_start(s, err);
}

static void log_started(struct service *s)
{
    char addresses[256] = "";
    for (size_t i = 0; i < s->port_count; i++) {
        size_t len = strlen(addresses);
        (void)snprintf(addresses + len, sizeof addresses - len, "%s%s", i ? "," : "",
                       http_server_address(s->ports[i].http, 0));
    }
    belfry_log_info(s->log, "service_started", BELFRY_STR("service", s->definition->name),
                    BELFRY_STR("version", BELFRY_VERSION), BELFRY_INT("pid", getpid()),
                    BELFRY_STR("addresses", addresses));
    service_notify(SERVICE_READY);
}

/* ---- the life ---- */

static void reload(struct service *s)
{
    struct error err = {0};
    service_notify(SERVICE_RELOADING);
    if (s->common.tls_cert_file && !service_tls_load(s, &err))
        belfry_log_error(s->log, "reload_failed", BELFRY_STR("detail", err.message),
                         BELFRY_STR("consequence", "the old certificate stays"));
    if (s->definition->reload)
        s->definition->reload(s->state);
    service_notify(SERVICE_READY);
}

static void wait_for_the_end(struct service *s)
{
    mutex_lock(&s->mutex);
    while (!s->wants_stop) {
        if (s->wants_reload) {
            s->wants_reload = false;
            mutex_unlock(&s->mutex);
            reload(s);
            mutex_lock(&s->mutex);
        } else {
            cond_wait(&s->changed, &s->mutex);
        }
    }
    s->stopping = true;
    mutex_unlock(&s->mutex);
}

static void shut_down(struct service *s)
{
    const struct service_definition *d = s->definition;
    mono_time deadline = mono_add_ms(clock_mono(), s->common.grace_ms);
    belfry_health_set_stopping(s->health);
    belfry_log_info(s->log, "service_stopping",
                    BELFRY_STR("signal", s->signal ? strsignal(s->signal) : NULL),
                    BELFRY_DOUBLE("grace_seconds", (double)s->common.grace_ms / 1000));
    service_notify(SERVICE_STOPPING);
    if (d->drain)
        d->drain(s->state);
    service_http_stop(s);
    if (d->stop)
        d->stop(s->state, deadline);
}

static int serve(struct service *s)
{
    struct error err = {0};
    bool ok = open_service(s, &err);
    if (ok) {
        log_started(s);
        wait_for_the_end(s);
        shut_down(s);
    } else {
        belfry_log_error(s->log, "service_failed", BELFRY_STR("detail", err.message),
                         BELFRY_STR("hint", err.hint[0] ? err.hint : NULL));
        service_http_stop(s);
    }
    belfry_health_free(s->health); /* its checks ask what close() takes away */
    if (s->definition->close)
        s->definition->close(s->state);
    return ok ? EXIT_CLEAN : EXIT_RUNTIME;
}

/* With the log and the thread that takes the signals. */
static int run(struct service *s)
{
    struct error err = {0};
    pthread_t thread;
    s->log = open_log(s, false);
    if (s->log == NULL || !thread_start(&thread, "signals", signals_run, s, &err)) {
        (void)fprintf(stderr, "%s: could not start: %s\n", s->definition->name,
                      s->log ? err.message : strerror(errno));
        belfry_log_close(s->log);
        return EXIT_RUNTIME;
    }
    settings_visit_unknown(s->settings, s->definition->prefix, warn_unknown, s);
    int status = serve(s);
    mutex_lock(&s->mutex);
    s->ended = true;
    mutex_unlock(&s->mutex);
    int code = pthread_kill(thread, SIGUSR2);
    ASSERT(code == 0);
    thread_join(thread);
    belfry_log_info(s->log, "service_stopped", BELFRY_INT("exit_code", status));
    belfry_log_close(s->log);
    return status;
}

static int start(struct service *s, int argc, char **argv)
{
    struct words words = {0};
    if (!words_read(s, argc, argv, &words))
        return EXIT_CONFIG;
    if (words.help) {
        print_help(s);
        return EXIT_CLEAN;
    }
    if (words.version) {
        printf("%s %s\n", s->definition->name, BELFRY_VERSION);
        return EXIT_CLEAN;
    }
    if (!load_settings(s, &words))
        return EXIT_CONFIG;
    if (words.check) {
        print_settings(s);
        return EXIT_CLEAN;
    }
    if (words.command)
        return words.command->run(&s->config, words.argc, words.argv);
    return run(s);
}

int service_main(const struct service_definition *definition, int argc, char **argv)
{
    static struct service service; /* one for a process; too large for some stacks */
    struct settings settings;
    struct service *s = &service;
    sigset_t set = own_signals();
    int code = pthread_sigmask(SIG_BLOCK, &set, NULL);
    ASSERT(code == 0 && definition->configure && definition->open);
    (void)signal(SIGPIPE, SIG_IGN); /* of this signal it cannot fail */
    if (curl_global_init(CURL_GLOBAL_DEFAULT) != 0)
        return EXIT_RUNTIME;
    *s = (struct service){.definition = definition};
    mutex_init(&s->mutex);
    cond_init(&s->changed);
    s->groups[0] =
        (struct setting_group){definition->settings, definition->setting_count, definition->values};
    s->groups[1] = (struct setting_group){COMMON, ARRAY_COUNT(COMMON), &s->common};
    s->common.log_level = 1; /* until it is read */
    (void)snprintf(s->product, sizeof s->product, "belfry-%s/%s", definition->name, BELFRY_VERSION);
    settings_init(&settings, s->groups, 2, (const char *const *)environ);
    s->settings = &settings;
    int status = start(s, argc, argv);
    http_tls_unref(s->tls);
    outgoing_trust_free(s->trust);
    settings_deinit(&settings);
    mutex_deinit(&s->mutex);
    cond_deinit(&s->changed);
    curl_global_cleanup();
    if (fflush(stdout) != 0 && status == EXIT_CLEAN)
        status = EXIT_RUNTIME;
    return status;
}

/* ---- for the service ---- */

belfry_log *service_log(const struct service *s)
{
    return s->log;
}

belfry_health *service_health(const struct service *s)
{
    return s->health;
}

static bool submit_task(void *arg, void (*task_run)(void *task), void *task)
{
    struct error err;
    return pool_submit(arg, POOL_QUERY, task_run, task, &err);
}

bool service_add_worker_check(struct service *s, struct pool *pool, struct error *err)
{
    belfry_status status = belfry_health_add_worker(s->health, submit_task, pool);
    return status == BELFRY_OK ||
           error_set(err, ERROR_IO, "the check of workers: %s", belfry_status_text(status));
}

const struct service_config *service_config_of(const struct service *s)
{
    return &s->config;
}

/* Read when the first one asks: a service without requests of its own does without these 4 MB. */
static const struct outgoing_trust *system_trust(struct service *s)
{
    struct error err = {0};
    mutex_lock(&s->mutex);
    bool ok = s->trust || outgoing_trust_new(&s->trust, NULL, &err);
    const struct outgoing_trust *trust = s->trust;
    mutex_unlock(&s->mutex);
    if (!ok)
        belfry_log_warn(s->log, "no_authorities", BELFRY_STR("detail", err.message),
                        BELFRY_STR("hint", "install ca-certificates"));
    return trust;
}

struct outgoing_policy service_outgoing_policy(struct service *s)
{
    const struct service_common *c = &s->common;
    return (struct outgoing_policy){.http_proxy = secret_reveal(&c->http_proxy).ptr,
                                    .https_proxy = secret_reveal(&c->https_proxy).ptr,
                                    .no_proxy = c->no_proxy,
                                    .trust = system_trust(s)};
}

int64_t service_grace_ms(const struct service *s)
{
    return s->common.grace_ms;
}

const char *service_product(const struct service *s)
{
    return s->product;
}
