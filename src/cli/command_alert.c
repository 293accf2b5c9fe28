/* SPDX-License-Identifier: Apache-2.0 */
/* command_alert.c: belfry alert query|add: the alerts of Belfry or of an Alertmanager, after amtool. Other verbs:
 * alert_explain.c, alert_memory.c. */
#include "base/json_write.h"
#include "cli/alert_explain.h"
#include "cli/alert_memory.h"
#include "cli/alert_print.h"
#include "cli/alert_words.h"
#include "cli/command.h"
#include "net/http_client.h"

#include <stdio.h>

enum { REQUEST_BYTES_MAX = 8 << 20 };

static const char USAGE[] =
    "Usage: belfry alert query [MATCHER...]   alerts; without a state only active ones\n"
    "       belfry alert add LABEL...         tell of an alert\n"
    "       belfry alert explain FINGERPRINT|LABEL...   why somebody was told, or not\n"
    "       belfry alert ack|unack|acks       who has an alert in hand\n"
    "       belfry alert history|notifications   what fired, who was told\n\n"
    "A matcher is name=value, !=, =~ or !~; a first word without a sign is the alert's name.\n\n"
    "Flags:\n";

/* Behind these: enum alert_memory_verb. */
enum verb { VERB_QUERY, VERB_ADD, VERB_EXPLAIN, VERB_OF_MEMORY };
static const char *const VERBS[] = {"query", "add",     "explain",       "ack", "unack",
                                    "acks",  "history", "notifications", NULL};

struct alert_options {
    struct alertmanager_client client;
    bool inhibited, silenced, active, unprocessed;
    const char *receiver, *generator_url, *start, *end;
    struct flag_list annotations;
};

static bool query(struct alert_options *o, struct arena *arena, struct flag_words *words,
                  struct error *err)
{
    struct buffer path;
    json_t *alerts;
    alert_words_shorthand(arena, words);
    if (!o->silenced && !o->inhibited && !o->active && !o->unprocessed)
        o->active = true;
    buffer_init(&path, MEM_OTHER, REQUEST_BYTES_MAX);
    buffer_printf(&path, "/api/v2/alerts?active=%s&inhibited=%s&silenced=%s&unprocessed=%s",
                  o->active ? "true" : "false", o->inhibited ? "true" : "false",
                  o->silenced ? "true" : "false", o->unprocessed ? "true" : "false");
    if (o->receiver[0]) {
        buffer_append_literal(&path, "&receiver=");
        http_escape(&path, view_from(o->receiver));
    }
    for (int i = 0; i < words->count; i++) {
        buffer_append_literal(&path, "&filter=");
        http_escape(&path, view_from(words->items[i]));
    }
    bool ok = alertmanager_ask(&o->client, "GET", buffer_view(&path), VIEW(""), &alerts, err);
    if (ok)
        alert_print_alerts(&o->client, alerts);
    json_decref(alerts);
    buffer_deinit(&path);
    return ok;
}

static void write_labels(struct buffer *b, const char *name, struct labels labels)
{
    buffer_printf(b, "\"%s\":{", name);
    for (uint32_t i = 0; i < labels.count; i++) {
        if (i)
            buffer_append_byte(b, ',');
        json_string(b, labels.items[i].name);
        buffer_append_byte(b, ':');
        json_string(b, labels.items[i].value);
    }
    buffer_append_byte(b, '}');
}

/* "name":TIME behind a comma, when the flag was given. */
static bool write_time(struct buffer *b, const char *name, const char *flag, const char *text,
                       struct error *err)
{
    int64_t ms;
    if (text[0] == '\0')
        return true;
    if (!alert_words_time(flag, text, &ms, err))
        return false;
    buffer_printf(b, ",\"%s\":", name);
    alert_words_write_time(b, ms);
    return true;
}

static bool add(struct alert_options *o, struct arena *arena, struct flag_words *words,
                struct error *err)
{
    struct labels labels, annotations;
    struct buffer body;
    json_t *answer = NULL;
    alert_words_shorthand(arena, words);
    buffer_init(&body, MEM_OTHER, REQUEST_BYTES_MAX);
    bool ok =
        (alert_words_labels(arena, (const char *const *)words->items, (size_t)words->count, &labels,
                            err) &&
         alert_words_labels(arena, o->annotations.items, o->annotations.count, &annotations, err));
    if (ok) {
        buffer_append_literal(&body, "[{");
        write_labels(&body, "labels", labels);
        buffer_append_byte(&body, ',');
        write_labels(&body, "annotations", annotations);
        if (o->generator_url[0]) {
            buffer_append_literal(&body, ",\"generatorURL\":");
            json_string(&body, view_from(o->generator_url));
        }
        ok = write_time(&body, "startsAt", "start", o->start, err) &&
             write_time(&body, "endsAt", "end", o->end, err);
        buffer_append_literal(&body, "}]");
    }
    ok = ok && alertmanager_ask(&o->client, "POST", VIEW("/api/v2/alerts"), buffer_view(&body),
                                &answer, err);
    json_decref(answer);
    buffer_deinit(&body);
    return ok;
}

int command_alert(int argc, char **argv)
{
    struct error err = {0};
    struct flag_words words;
    struct alert_options o = {.receiver = "", .generator_url = "", .start = "", .end = ""};
    alertmanager_client_init(&o.client);
    const struct flag common[] = {ALERTMANAGER_FLAGS(&o.client)};
    const struct flag query_flags[] = {
        ALERTMANAGER_FLAGS(&o.client),
        {"inhibited", 'i', FLAG_SWITCH, &o.inhibited, NULL, "Show inhibited alerts."},
        {"silenced", 's', FLAG_SWITCH, &o.silenced, NULL, "Show silenced alerts."},
        {"active", 'a', FLAG_SWITCH, &o.active, NULL, "Show active alerts."},
        {"unprocessed", 'u', FLAG_SWITCH, &o.unprocessed, NULL, "Show unprocessed alerts."},
        {"receiver", 'r', FLAG_TEXT, &o.receiver, "REGEX", "Only alerts of these receivers."}};
    const struct flag add_flags[] = {
        ALERTMANAGER_FLAGS(&o.client),
        {"generator-url", 0, FLAG_TEXT, &o.generator_url, "URL", "What made the alert."},
        {"start", 0, FLAG_TEXT, &o.start, "TIME", "When it began, RFC 3339; default now."},
        {"end", 0, FLAG_TEXT, &o.end, "TIME", "When it ends; default after resolve_timeout."},
        {"annotation", 0, FLAG_LIST, &o.annotations, "NAME=VALUE", "Repeatable."}};
    int verb = flags_take_verb(common, ARRAY_COUNT(common), &argc, argv, VERBS);
    if (verb == VERB_EXPLAIN)
        return alert_explain_run(argc, argv);
    if (verb >= VERB_OF_MEMORY)
        return alert_memory_run((enum alert_memory_verb)(verb - VERB_OF_MEMORY), argc, argv);
    bool is_add = verb == VERB_ADD;
    const struct flag *flags = is_add ? add_flags : query_flags;
    size_t count = is_add ? ARRAY_COUNT(add_flags) : ARRAY_COUNT(query_flags);
    if (!alertmanager_client_parse(&o.client, flags, count, argc, argv, &words, &err))
        return command_fail(&err);
    if (o.client.help) {
        fputs(USAGE, stdout);
        flags_print_help(stdout, flags, count);
        return EXIT_OK;
    }
    struct arena arena;
    arena_init(&arena, MEM_OTHER, 0);
    bool ok = is_add ? add(&o, &arena, &words, &err) : query(&o, &arena, &words, &err);
    arena_deinit(&arena);
    return ok ? EXIT_OK : command_fail(&err);
}
