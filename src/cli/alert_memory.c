/* SPDX-License-Identifier: Apache-2.0 */
/* alert_memory.c: see alert_memory.h. */
#include "cli/alert_memory.h"

#include "api/time_param.h"
#include "base/clock.h"
#include "base/duration.h"
#include "base/json_write.h"
#include "cli/alert_print.h"
#include "cli/alert_words.h"
#include "cli/command.h"
#include "cli/text_table.h"
#include "net/http_client.h"

#include <pwd.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

enum { REQUEST_BYTES_MAX = 1 << 20, TEXT_BYTES_MAX = 1 << 20 };

static const char USAGE[] =
    "Usage: belfry alert ack MATCHER...            take alerts that fire in hand\n"
    "       belfry alert unack FINGERPRINT...      give them back\n"
    "       belfry alert acks                      who has what in hand\n"
    "       belfry alert history [MATCHER...]      what fired, the latest first\n"
    "       belfry alert notifications             who was told, and how it went\n\n"
    "Flags:\n";

struct memory_options {
    struct alertmanager_client client;
    const char *owner, *note, *expires, *start, *end, *receiver, *fingerprint;
    bool open, failed;
    int64_t limit;
};

/* --- requests --- */

static void add(struct buffer *path, const char *name, const char *value)
{
    if (value[0] == '\0')
        return;
    buffer_append_byte(path, memchr(path->ptr, '?', path->len) ? '&' : '?');
    buffer_append_view(path, view_from(name));
    buffer_append_byte(path, '=');
    http_escape(path, view_from(value));
}

static bool ack(const struct memory_options *o, struct arena *arena, struct flag_words *words,
                struct error *err)
{
    struct buffer body;
    json_t *answer = NULL, *fingerprint;
    int64_t ms = 0;
    size_t i;
    if (words->count == 0)
        return error_set(err, ERROR_INPUT, "no matchers specified");
    if (o->expires[0] && !duration_parse(view_from(o->expires), &ms, err))
        return error_wrap(err, "flag \"--expires\"");
    alert_words_shorthand(arena, words);
    buffer_init(&body, MEM_OTHER, REQUEST_BYTES_MAX);
    buffer_append_literal(&body, "{\"owner\":");
    json_string(&body, view_from(o->owner));
    buffer_append_literal(&body, ",\"note\":");
    json_string(&body, view_from(o->note));
    if (o->expires[0]) {
        buffer_append_literal(&body, ",\"expiresAt\":");
        alert_words_write_time(&body, clock_wall().ms + ms);
    }
    buffer_append_literal(&body, ",\"filter\":[");
    for (int w = 0; w < words->count; w++) {
        if (w)
            buffer_append_byte(&body, ',');
        json_string(&body, view_from(words->items[w]));
    }
    buffer_append_literal(&body, "]}");
    bool ok = alertmanager_ask(&o->client, "POST", VIEW("/api/v1/alerting/acknowledgements"),
                               buffer_view(&body), &answer, err);
    json_array_foreach(json_object_get(json_object_get(answer, "data"), "acknowledged"), i,
                       fingerprint) puts(json_string_value(fingerprint));
    json_decref(answer);
    buffer_deinit(&body);
    return ok;
}

static bool unack(const struct memory_options *o, const struct flag_words *words, struct error *err)
{
    bool ok = words->count > 0 || error_set(err, ERROR_INPUT, "no fingerprints specified");
    for (int i = 0; ok && i < words->count; i++) {
        struct buffer path;
        json_t *answer;
        buffer_init(&path, MEM_OTHER, REQUEST_BYTES_MAX);
        buffer_append_literal(&path, "/api/v1/alerting/acknowledgements/");
        http_escape(&path, view_from(words->items[i]));
        ok = alertmanager_ask(&o->client, "DELETE", buffer_view(&path), VIEW(""), &answer, err);
        json_decref(answer);
        buffer_deinit(&path);
    }
    return ok;
}

/* --- tables --- */

static void time_cell(const struct alertmanager_client *c, struct text_table *t, const json_t *item,
                      const char *name)
{
    struct buffer text;
    buffer_init(&text, MEM_OTHER, TEXT_BYTES_MAX);
    if (json_text(item, name).len)
        alert_print_time(c, json_text(item, name), &text);
    text_table_cell(t, buffer_view(&text));
    buffer_deinit(&text);
}

static void print_acks(const struct alertmanager_client *c, struct text_table *t,
                       const json_t *item)
{
    text_table_cell(t, json_text(item, "fingerprint"));
    text_table_cell(t, json_text(item, "owner"));
    time_cell(c, t, item, "at");
    time_cell(c, t, item, "expiresAt");
    text_table_cell(t, json_text(item, "note"));
}

static void print_episode(const struct alertmanager_client *c, struct text_table *t,
                          const json_t *item)
{
    bool is_open = json_is_true(json_object_get(item, "isOpen"));
    text_table_cell(t, json_text(item, "fingerprint"));
    time_cell(c, t, item, "startsAt");
    if (is_open)
        text_table_cell(t, VIEW("firing"));
    else
        time_cell(c, t, item, "endsAt");
    struct buffer labels;
    buffer_init(&labels, MEM_OTHER, TEXT_BYTES_MAX);
    const char *name;
    json_t *value;
    json_object_foreach(json_object_get(item, "labels"), name, value)
    {
        buffer_printf(&labels, "%s%s=\"%.*s\"", labels.len ? " " : "", name,
                      VIEW_ARGS(json_text(json_object_get(item, "labels"), name)));
    }
    text_table_cell(t, buffer_view(&labels));
    buffer_deinit(&labels);
}

static void print_notification(const struct alertmanager_client *c, struct text_table *t,
                               const json_t *item)
{
    char text[64];
    time_cell(c, t, item, "at");
    text_table_cell(t, json_text(item, "receiver"));
    text_table_cell(t, json_text(item, "integration"));
    (void)snprintf(text, sizeof text, "%lld/%lld",
                   (long long)json_integer_value(json_object_get(item, "firing")),
                   (long long)json_integer_value(json_object_get(item, "resolved")));
    text_table_cell(t, view_from(text));
    (void)snprintf(text, sizeof text, "%lld",
                   (long long)json_integer_value(json_object_get(item, "status")));
    text_table_cell(t, view_from(text));
    (void)snprintf(text, sizeof text, "%lld",
                   (long long)json_integer_value(json_object_get(item, "attempts")));
    text_table_cell(t, view_from(text));
    (void)snprintf(text, sizeof text, "%.3fs",
                   json_number_value(json_object_get(item, "latencySeconds")));
    text_table_cell(t, view_from(text));
    text_table_cell(t, json_is_true(json_object_get(item, "isSent")) ? VIEW("sent")
                                                                     : json_text(item, "error"));
}

static const struct {
    const char *path, *heads;
    void (*print)(const struct alertmanager_client *c, struct text_table *t, const json_t *item);
} LISTS[] = {[ALERT_ACKS] = {"/api/v1/alerting/acknowledgements",
                             "Fingerprint\tOwner\tSince\tExpires\tNote", print_acks},
             [ALERT_HISTORY] = {"/api/v1/alerting/history/alerts",
                                "Fingerprint\tStarts At\tEnds At\tLabels", print_episode},
             [ALERT_NOTIFICATIONS] = {
                 "/api/v1/alerting/history/notifications",
                 "At\tReceiver\tIntegration\tFiring/Resolved\tStatus\tAttempts\tLatency\tResult",
                 print_notification}};

/* RFC 3339, Unix seconds, or so long ago: 2h. */
static bool add_time(struct buffer *path, const char *name, const char *text, struct error *err)
{
    char seconds[32];
    int64_t ms;
    if (text[0] == '\0')
        return true;
    if (duration_parse(view_from(text), &ms, NULL))
        ms = clock_wall().ms - ms;
    else if (!api_time_parse(view_from(text), &ms, err))
        return error_wrap(err, "flag \"--%s\"", name);
    (void)snprintf(seconds, sizeof seconds, "%.3f", (double)ms / 1000);
    add(path, name, seconds);
    return true;
}

static bool list(const struct memory_options *o, enum alert_memory_verb verb, struct arena *arena,
                 struct flag_words *words, struct error *err)
{
    struct buffer path;
    json_t *answer = NULL, *item;
    char limit[32];
    size_t i;
    buffer_init(&path, MEM_OTHER, REQUEST_BYTES_MAX);
    buffer_append_view(&path, view_from(LISTS[verb].path));
    add(&path, "fingerprint", o->fingerprint);
    if (verb != ALERT_ACKS) {
        (void)snprintf(limit, sizeof limit, "%lld", (long long)o->limit);
        add(&path, "limit", limit);
    }
    if (verb == ALERT_HISTORY) {
        add(&path, "open", o->open ? "true" : "");
        alert_words_shorthand(arena, words);
        for (int w = 0; w < words->count; w++)
            add(&path, "filter", words->items[w]);
    } else if (words->count) {
        buffer_deinit(&path);
        return error_set(err, ERROR_USAGE, "unexpected word \"%.100s\"", words->items[0]);
    }
    add(&path, "receiver", o->receiver);
    add(&path, "failed", o->failed ? "true" : "");
    bool ok = add_time(&path, "start", o->start, err) && add_time(&path, "end", o->end, err) &&
              alertmanager_ask(&o->client, "GET", buffer_view(&path), VIEW(""), &answer, err);
    const json_t *data = json_object_get(answer, "data");
    if (ok && strcmp(o->client.output, "json") == 0) {
        alert_print_json(data ? data : answer);
    } else if (ok) {
        struct text_table t;
        text_table_init(&t, LISTS[verb].heads);
        json_array_foreach(data, i, item) LISTS[verb].print(&o->client, &t, item);
        text_table_print(&t, stdout);
        text_table_deinit(&t);
    }
    json_decref(answer);
    buffer_deinit(&path);
    return ok;
}

int alert_memory_run(enum alert_memory_verb verb, int argc, char **argv)
{
    const struct passwd *user = getpwuid(getuid());
    struct memory_options o = {.owner = user ? user->pw_name : "",
                               .note = "",
                               .expires = "",
                               .start = "",
                               .end = "",
                               .receiver = "",
                               .fingerprint = "",
                               .limit = 100};
    struct error err = {0};
    struct flag_words words;
    struct arena arena;
    alertmanager_client_init(&o.client);
    const struct flag flags[] = {
        ALERTMANAGER_FLAGS(&o.client),
        {"owner", 0, FLAG_TEXT, &o.owner, "NAME", "ack: who has it in hand."},
        {"note", 'n', FLAG_TEXT, &o.note, "TEXT", "ack: what is being done."},
        {"expires", 0, FLAG_TEXT, &o.expires, "DURATION",
         "ack: for so long; default while the alert fires."},
        {"fingerprint", 0, FLAG_TEXT, &o.fingerprint, "HEX", "Only of this alert."},
        {"start", 0, FLAG_TEXT, &o.start, "TIME", "history, notifications: from when; or 2h ago."},
        {"end", 0, FLAG_TEXT, &o.end, "TIME", "history, notifications: until when."},
        {"limit", 0, FLAG_COUNT, &o.limit, "COUNT", "history, notifications: how many at most."},
        {"open", 0, FLAG_SWITCH, &o.open, NULL, "history: what still fires."},
        {"receiver", 'r', FLAG_TEXT, &o.receiver, "NAME", "notifications: of this receiver."},
        {"failed", 0, FLAG_SWITCH, &o.failed, NULL, "notifications: that did not arrive."}};
    if (!alertmanager_client_parse(&o.client, flags, ARRAY_COUNT(flags), argc, argv, &words, &err))
        return command_fail(&err);
    if (o.client.help) {
        fputs(USAGE, stdout);
        flags_print_help(stdout, flags, ARRAY_COUNT(flags));
        return EXIT_OK;
    }
    arena_init(&arena, MEM_OTHER, 0);
    bool ok = verb == ALERT_ACK     ? ack(&o, &arena, &words, &err)
              : verb == ALERT_UNACK ? unack(&o, &words, &err)
                                    : list(&o, verb, &arena, &words, &err);
    arena_deinit(&arena);
    return ok ? EXIT_OK : command_fail(&err);
}
