/* SPDX-License-Identifier: Apache-2.0 */
/* command_notify.c: belfry notify test RECEIVER: sends an alert made for it to each integration of a receiver, in the way the
 * server would, and says what came of it. */
#include "alerting/alert_config.h"
#include "alerting/live_alert.h"
#include "alerting/sender.h"
#include "base/buffer.h"
#include "base/clock.h"
#include "base/file.h"
#include "base/json_read.h"
#include "base/thread.h"
#include "cli/alert_words.h"
#include "cli/command.h"
#include "cli/flags.h"
#include "template/value.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

enum { ALERT_FILE_BYTES_MAX = 16 << 20, ALERTS_MAX = 1000, STOP_MS = 1000 };

static const char USAGE[] =
    "Usage: belfry notify test RECEIVER [LABEL...]\n\n"
    "Sends an alert with these labels (name=value) to each integration of a receiver of "
    "--config.file and\n"
    "says what came of it; the exit status is 1 when one was not notified.\n\nFlags:\n";

struct notify_options {
    const char *file, *alert_file, *external_url, *reason;
    struct flag_list annotations;
    bool resolved, verbose, help;
    int64_t timeout_ms;
};

/* --- the alerts --- */

struct alerts {
    struct live_alert **items;
    size_t count;
};

/* What is not known of it: it began a minute ago, and if it is over it has been for a second. */
static void add_alert(struct alerts *all, struct live_alert a, bool resolved)
{
    int64_t now_ns = clock_wall().ms * 1000000;
    if (a.starts_ns == 0)
        a.starts_ns = now_ns - INT64_C(60) * 1000000000;
    if (a.ends_ns == 0 || a.ends_ns > now_ns)
        a.ends_ns = LIVE_ALERT_NEVER;
    if (resolved && a.ends_ns == LIVE_ALERT_NEVER)
        a.ends_ns = now_ns - 1000000000;
    a.updated_ns = now_ns;
    all->items[all->count++] = live_alert_new(&a);
}

static bool read_time(const json_t *item, const char *name, int64_t *ns, struct error *err)
{
    const char *text = json_string_value(json_object_get(item, name));
    int64_t ms;
    if (!text)
        return true;
    if (!alert_words_time(name, text, &ms, err))
        return false;
    if (ms / 1000 == TEMPLATE_TIME_ZERO_SECONDS)
        return true; /* Go's zero time: not said */
    if (ms <= INT64_MIN / 1000000)
        return error_set(err, ERROR_INPUT, "%s: %s is before the year 1678", name, text);
    *ns = ms >= INT64_MAX / 1000000 ? INT64_MAX : ms * 1000000; /* in 2262: as good as never */
    return true;
}

/* An object of names and texts. */
static bool read_labels(struct arena *arena, const json_t *object, const char *what,
                        struct labels *out, struct error *err)
{
    struct labels_builder builder;
    const char *name;
    json_t *value;
    labels_builder_init(&builder, arena);
    if (object && !json_is_object(object))
        return error_set(err, ERROR_INPUT, "%s: an object of texts was expected", what);
    json_object_foreach((json_t *)object, name, value)
    {
        if (!json_is_string(value))
            return error_set(err, ERROR_INPUT, "%s: \"%.100s\" is no text", what, name);
        labels_builder_set(
            &builder, arena_copy(arena, view_from(name)),
            arena_copy(arena, (struct view){json_string_value(value), json_string_length(value)}));
    }
    *out = labels_copy(arena, labels_builder_finish(&builder));
    return true;
}

static bool read_alert(struct arena *arena, const json_t *item, bool resolved, struct alerts *out,
                       struct error *err)
{
    struct live_alert a = {.generator_url =
                               view_from(json_string_value(json_object_get(item, "generatorURL")))};
    const char *status = json_string_value(json_object_get(item, "status"));
    if (!json_is_object(item))
        return error_set(err, ERROR_INPUT, "an alert is an object with labels and annotations");
    if (!read_labels(arena, json_object_get(item, "labels"), "labels", &a.labels, err) ||
        !read_labels(arena, json_object_get(item, "annotations"), "annotations", &a.annotations,
                     err) ||
        !read_time(item, "startsAt", &a.starts_ns, err) ||
        !read_time(item, "endsAt", &a.ends_ns, err))
        return false;
    if (a.labels.count == 0)
        return error_set(err, ERROR_INPUT, "an alert needs labels");
    add_alert(out, a, resolved || (status && strcmp(status, "resolved") == 0));
    return true;
}

/* What POST /api/v2/alerts takes: a list of alerts, or one. */
static bool read_file(struct arena *arena, const struct notify_options *o, struct alerts *out,
                      struct error *err)
{
    struct buffer text;
    buffer_init(&text, MEM_OTHER, ALERT_FILE_BYTES_MAX);
    json_t *root =
        file_read_all(o->alert_file, &text, err) ? json_read(buffer_view(&text), err) : NULL;
    size_t count = json_is_array(root) ? json_array_size(root) : 1;
    bool ok = root != NULL;
    if (ok && (count == 0 || count > ALERTS_MAX))
        ok = error_set(err, ERROR_INPUT, "1 to %d alerts were expected", ALERTS_MAX);
    for (size_t i = 0; ok && i < count; i++)
        ok = read_alert(arena, json_is_array(root) ? json_array_get(root, i) : root, o->resolved,
                        out, err);
    json_decref(root);
    buffer_deinit(&text);
    return ok || error_wrap(err, "%s", o->alert_file);
}

static struct labels with_default(struct arena *arena, struct labels labels, struct view name,
                                  struct view value)
{
    struct labels_builder b;
    labels_builder_init(&b, arena);
    labels_builder_reset(&b, labels);
    if (labels_get(labels, name).len == 0)
        labels_builder_set(&b, name, value);
    return labels_copy(arena, labels_builder_finish(&b));
}

static bool make_alerts(struct arena *arena, const struct notify_options *o,
                        const struct flag_words *words, struct alerts *out, struct error *err)
{
    struct labels labels, annotations;
    out->items = ARENA_ARRAY(arena, struct live_alert *, ALERTS_MAX);
    if (o->alert_file[0] && words->count > 1)
        return error_set(err, ERROR_USAGE, "labels are in --alert already");
    if (o->alert_file[0])
        return read_file(arena, o, out, err);
    if (!alert_words_labels(arena, (const char *const *)words->items + 1, (size_t)words->count - 1,
                            &labels, err) ||
        !alert_words_labels(arena, o->annotations.items, o->annotations.count, &annotations, err))
        return false;
    labels = with_default(arena, labels, VIEW("alertname"), VIEW("BelfryTest"));
    annotations = with_default(arena, annotations, VIEW("summary"),
                               VIEW("This is a test: nothing is wrong."));
    add_alert(out, (struct live_alert){.labels = labels, .annotations = annotations}, o->resolved);
    return true;
}

/* --- sending --- */

struct outcome {
    struct outcomes *all;
    enum delivery_verdict verdict;
    unsigned attempts;
    long status;
    int64_t latency_ns;
    bool has_template_error;
    struct buffer error;
};

struct outcomes {
    pthread_mutex_t mutex; /* guards `left` and what it counts */
    pthread_cond_t ended;
    size_t left, count;
    struct outcome *items;
};

static uint64_t on_done(void *arg, const struct sender_result *r)
{
    struct outcome *o = arg;
    mutex_lock(&o->all->mutex);
    o->verdict = r->verdict;
    o->attempts = r->attempts;
    o->status = r->status;
    o->latency_ns = r->latency_ns;
    o->has_template_error = r->has_template_error;
    buffer_append_view(&o->error, r->error);
    o->all->left--;
    cond_broadcast(&o->all->ended);
    mutex_unlock(&o->all->mutex);
    return 0;
}

static void on_log(void *arg, bool is_error, const char *event, const char *text)
{
    (void)is_error;
    (void)event;
    if (*(const bool *)arg)
        fprintf(stderr, "belfry: %s\n", text);
}

static bool print_outcome(const struct integration *i, const struct outcome *o)
{
    bool is_sent = o->verdict == DELIVERY_SENT;
    printf("%s[%zu]: ", i->driver->kind, i->index);
    if (is_sent && o->attempts == 0) {
        puts("nothing to send: it does not want to hear of resolved alerts");
        return true;
    }
    printf("%s", is_sent ? "sent" : "not sent");
    if (o->status)
        printf(", status %ld", o->status);
    printf(", %.0f ms, %u attempt%s", (double)o->latency_ns / 1e6, o->attempts,
           o->attempts == 1 ? "" : "s");
    if (o->has_template_error)
        printf("; an error in a template stands in the text");
    printf(o->error.len ? ": %.*s\n" : "\n", VIEW_ARGS(buffer_view(&o->error)));
    return is_sent;
}

/* Alertmanager's labels of a group by the route's group_by are not known here: it is grouped by the alert's name. */
static struct labels group_of(struct arena *arena, const struct alerts *alerts)
{
    struct labels_builder b;
    labels_builder_init(&b, arena);
    struct view name = labels_get(alerts->items[0]->labels, VIEW("alertname"));
    for (size_t i = 1; i < alerts->count; i++)
        if (!view_eq(labels_get(alerts->items[i]->labels, VIEW("alertname")), name))
            name = VIEW("");
    if (name.len)
        labels_builder_set(&b, VIEW("alertname"), name);
    return labels_copy(arena, labels_builder_finish(&b));
}

static void submit_all(struct sender *s, struct integration_list list, struct arena *arena,
                       const struct alerts *alerts, const struct notify_options *o,
                       struct outcomes *outcomes)
{
    struct labels group = group_of(arena, alerts);
    struct buffer key;
    buffer_init(&key, MEM_OTHER, 1 << 20);
    buffer_append_literal(&key, "{}:");
    labels_format(&key, group);
    for (size_t i = 0; i < list.count; i++) {
        struct outcome *outcome = &outcomes->items[i];
        outcome->all = outcomes;
        buffer_init(&outcome->error, MEM_OTHER, 1 << 16);
        const struct sender_job job = {
            .integration = &list.items[i],
            .alerts = alerts->items,
            .alert_count = alerts->count,
            .group_labels = group,
            .group_key = buffer_view(&key),
            .reason = view_from(o->reason),
            .now_ns = clock_wall().ms * 1000000,
            .timeout_ms = o->timeout_ms,
            .done = on_done,
            .arg = outcome,
        };
        sender_submit(s, &job);
    }
    buffer_deinit(&key);
}

static bool send_all(struct integration_list list, struct arena *arena, const struct alerts *alerts,
                     const struct notify_options *o, bool *all_sent, struct error *err)
{
    struct sender *s;
    struct outcomes outcomes = {.left = list.count,
                                .count = list.count,
                                .items = ARENA_ARRAY(arena, struct outcome, list.count)};
    const struct sender_options options = {.log = on_log, .log_arg = (void *)&o->verbose};
    if (!sender_start(&s, &options, err))
        return false;
    mutex_init(&outcomes.mutex);
    cond_init(&outcomes.ended);
    submit_all(s, list, arena, alerts, o, &outcomes);
    mutex_lock(&outcomes.mutex);
    while (outcomes.left)
        cond_wait(&outcomes.ended, &outcomes.mutex);
    mutex_unlock(&outcomes.mutex);
    sender_stop(s, STOP_MS);
    *all_sent = true;
    for (size_t i = 0; i < list.count; i++) {
        *all_sent = print_outcome(&list.items[i], &outcomes.items[i]) && *all_sent;
        buffer_deinit(&outcomes.items[i].error);
    }
    cond_deinit(&outcomes.ended);
    mutex_deinit(&outcomes.mutex);
    return true;
}

/* --- the command --- */

static bool find_receiver(struct integrations *set, struct view name, struct integration_list *out,
                          struct error *err)
{
    const struct alert_config *c = integrations_config(set);
    if (!alert_config_receiver(c, name)) {
        error_set(err, ERROR_INPUT, "no receiver \"%.*s\"", VIEW_ARGS(view_slice(name, 0, 100)));
        struct buffer names;
        buffer_init(&names, MEM_OTHER, 4096);
        for (size_t i = 0; i < c->receivers.count; i++)
            buffer_printf(&names, "%s%.*s", i ? ", " : "", VIEW_ARGS(c->receivers.items[i].name));
        error_hint(err, "there are: %.*s", (int)(names.len < 200 ? names.len : 200), names.ptr);
        buffer_deinit(&names);
        return false;
    }
    *out = integrations_of(set, name);
    return out->count > 0 || error_set(err, ERROR_INPUT, "receiver \"%.*s\" has no integration",
                                       VIEW_ARGS(view_slice(name, 0, 100)));
}

static bool test(const struct notify_options *o, const struct flag_words *words, bool *all_sent,
                 struct error *err)
{
    struct arena arena;
    struct alert_config *c = NULL;
    struct integrations *set = NULL;
    struct integration_list list;
    struct alerts alerts = {0};
    arena_init(&arena, MEM_OTHER, 0);
    bool ok = alert_config_load(o->file, &c, err) &&
              integrations_new(&set, c, o->external_url, err) &&
              find_receiver(set, view_from(words->items[0]), &list, err) &&
              make_alerts(&arena, o, words, &alerts, err) &&
              send_all(list, &arena, &alerts, o, all_sent, err);
    for (size_t i = 0; i < alerts.count; i++)
        live_alert_unref(alerts.items[i]);
    integrations_unref(set);
    alert_config_unref(c);
    arena_deinit(&arena);
    return ok;
}

int command_notify(int argc, char **argv)
{
    static const char *const VERBS[] = {"test", NULL};
    struct error err = {0};
    struct notify_options o = {.file = "",
                               .alert_file = "",
                               .external_url = "http://localhost:9090",
                               .reason = "first notification",
                               .timeout_ms = 30000};
    struct flag_words words = {0};
    const struct flag flags[] = {
        {"config.file", 0, FLAG_TEXT, &o.file, "FILE", "Alertmanager's configuration file."},
        {"alert", 0, FLAG_TEXT, &o.alert_file, "FILE",
         "The alert, or a list of them, as JSON: what POST /api/v2/alerts takes."},
        {"annotation", 0, FLAG_LIST, &o.annotations, "NAME=VALUE",
         "An annotation of the alert; may be repeated."},
        {"resolved", 0, FLAG_SWITCH, &o.resolved, NULL, "Tell that it is over."},
        {"timeout", 0, FLAG_DURATION, &o.timeout_ms, NULL, "Until when it is tried."},
        {"web.external-url", 0, FLAG_TEXT, &o.external_url, "URL",
         "Where the notification's links lead."},
        {"verbose", 'v', FLAG_SWITCH, &o.verbose, NULL, "Say when an attempt fails, too."},
        {"help", 'h', FLAG_SWITCH, &o.help, NULL, "Show this help."}};
    int verb = flags_take_verb(flags, ARRAY_COUNT(flags), &argc, argv, VERBS);
    if (!flags_parse(flags, ARRAY_COUNT(flags), argc, argv, &words, NULL, &err))
        return command_fail(&err);
    if (o.help || verb < 0 || words.count == 0) {
        fputs(USAGE, o.help ? stdout : stderr);
        flags_print_help(o.help ? stdout : stderr, flags, ARRAY_COUNT(flags));
        return o.help ? EXIT_OK : EXIT_USAGE;
    }
    if (!o.file[0]) {
        error_set(&err, ERROR_USAGE, "--config.file is needed");
        return command_fail(&err);
    }
    bool all_sent = false;
    if (!test(&o, &words, &all_sent, &err))
        return command_fail(&err);
    return all_sent ? EXIT_OK : EXIT_FAILED;
}
