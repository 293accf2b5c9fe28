/* SPDX-License-Identifier: Apache-2.0 */
/* alert_explain.c: see alert_explain.h. The server's answer (api/api_alert_explain.c) as an indented text. */
#include "cli/alert_explain.h"

#include "cli/alert_print.h"
#include "cli/alert_words.h"
#include "cli/command.h"
#include "net/http_client.h"

#include <stdio.h>
#include <string.h>

enum { REQUEST_BYTES_MAX = 8 << 20, FINGERPRINT_DIGITS = 16 };

static const char USAGE[] =
    "Usage: belfry alert explain FINGERPRINT   the way of an alert that is there\n"
    "       belfry alert explain LABEL...      of labels, name=value, that might be\n\n"
    "Flags:\n";

struct explain {
    struct alertmanager_client client;
    bool relabel;
    struct buffer out;
};

static const json_t *list(const json_t *object, const char *name)
{
    return json_object_get(object, name); /* what is no list has no elements */
}

static bool is_true(const json_t *object, const char *name)
{
    return json_is_true(json_object_get(object, name));
}

static long long number(const json_t *object, const char *name)
{
    return (long long)json_number_value(json_object_get(object, name));
}

/* "name" of a time, or "never". */
static void put_time(struct explain *e, const json_t *object, const char *name)
{
    struct view t = json_text(object, name);
    if (t.len)
        alert_print_time(&e->client, t, &e->out);
    else
        buffer_append_literal(&e->out, "never");
}

static void put_text(struct explain *e, const json_t *object, const char *name)
{
    buffer_append_view(&e->out, json_text(object, name));
}

static void put_alert(struct explain *e, const json_t *x)
{
    const json_t *alert = json_object_get(x, "alert"), *rule = json_object_get(x, "rule");
    buffer_append_literal(&e->out, "Alert ");
    put_text(e, x, "fingerprint");
    buffer_append_byte(&e->out, ' ');
    alert_write_json(&e->out, json_object_get(x, "labels"));
    if (is_true(x, "droppedByRelabelling"))
        buffer_append_literal(&e->out,
                              "\n  alert_relabel_configs drop it: it never leaves the rules");
    if (!json_is_object(alert)) {
        buffer_append_literal(&e->out, "\n  there is no such alert now\n");
        return;
    }
    buffer_append_literal(&e->out, "\n  ");
    put_text(e, alert, "state");
    buffer_append_literal(&e->out, " since ");
    put_time(e, alert, "startsAt");
    buffer_append_literal(&e->out, ", taken for resolved at ");
    put_time(e, alert, "endsAt");
    buffer_append_literal(&e->out, ", last told of at ");
    put_time(e, alert, "updatedAt");
    if (json_is_object(rule)) {
        buffer_append_literal(&e->out, "\n  by the rule ");
        put_text(e, rule, "name");
        buffer_append_literal(&e->out, " of the group ");
        put_text(e, rule, "group");
        buffer_append_literal(&e->out, " in ");
        put_text(e, rule, "file");
    } else {
        buffer_append_literal(&e->out, "\n  by the API");
    }
    if (is_true(x, "acknowledged"))
        buffer_append_literal(&e->out, "\n  acknowledged: it is not repeated");
    buffer_append_byte(&e->out, '\n');
}

static void put_routes(struct explain *e, const json_t *x)
{
    size_t i, k;
    const json_t *route, *m;
    buffer_append_literal(&e->out, "Routes\n");
    json_array_foreach(list(x, "routes"), i, route)
    {
        const char *blank = "";
        buffer_printf(&e->out, "  %*s", (int)(2 * number(route, "depth")), "");
        json_array_foreach(list(route, "matchers"), k, m)
        {
            buffer_append(&e->out, blank, strlen(blank));
            put_text(e, m, "matcher");
            blank = ", ";
        }
        buffer_printf(&e->out, "%s-> ", k ? " " : "");
        put_text(e, route, "receiver");
        buffer_append_literal(&e->out, ": ");
        put_text(e, route, "verdict");
        blank = " (";
        json_array_foreach(list(route, "matchers"), k, m)
        {
            if (is_true(m, "matches") || !view_is(json_text(route, "verdict"), "refused"))
                continue;
            buffer_append(&e->out, blank, strlen(blank));
            put_text(e, m, "matcher");
            buffer_append_literal(&e->out, " meets \"");
            put_text(e, m, "value");
            buffer_append_byte(&e->out, '"');
            blank = ", ";
        }
        buffer_printf(&e->out, "%s\n", blank[0] == ',' ? ")" : "");
    }
}

static void put_group(struct explain *e, const json_t *g)
{
    size_t i;
    const json_t *item;
    buffer_append_literal(&e->out, "Group ");
    put_text(e, g, "key");
    buffer_append_literal(&e->out, " of ");
    put_text(e, g, "receiver");
    if (is_true(g, "exists")) {
        buffer_printf(&e->out, "\n  %lld alerts, this one %s\n  flushed: ", number(g, "alerts"),
                      is_true(g, "hasAlert") ? "among them" : "not");
        put_time(e, g, "lastFlush");
        buffer_append_literal(&e->out, "; next: ");
        put_time(e, g, "nextFlush");
        if (is_true(g, "isFlushing"))
            buffer_append_literal(&e->out, "; a notification is on its way");
    } else {
        buffer_append_literal(&e->out, "\n  it does not exist now");
    }
    buffer_printf(&e->out, "\n  group_wait %llds, group_interval %llds, repeat_interval %llds\n",
                  number(g, "groupWait"), number(g, "groupInterval"), number(g, "repeatInterval"));
    json_array_foreach(list(g, "mutedBy"), i, item)
        buffer_printf(&e->out, "  silent now, by the time interval %s\n", json_string_value(item));
    json_array_foreach(list(g, "integrations"), i, item)
    {
        buffer_append_literal(&e->out, "  ");
        put_text(e, item, "kind");
        buffer_printf(&e->out, "[%lld]: told ", number(item, "index"));
        put_time(e, item, "lastSent");
        if (is_true(item, "toldFiring"))
            buffer_append_literal(&e->out, ", knows that it fires");
        if (is_true(item, "toldResolved"))
            buffer_append_literal(&e->out, ", knows that it is resolved");
        if (json_text(item, "repeatNotBefore").len) {
            buffer_append_literal(&e->out, ", repeated after ");
            put_time(e, item, "repeatNotBefore");
        }
        buffer_append_byte(&e->out, '\n');
    }
}

static void put_mutes(struct explain *e, const json_t *x)
{
    size_t i;
    const json_t *item;
    json_array_foreach(list(x, "inhibitedBy"), i, item)
    {
        buffer_printf(&e->out, "Inhibited by inhibit rule %lld ", number(item, "rule"));
        put_text(e, item, "name");
        buffer_append_literal(&e->out, ": ");
        put_text(e, item, "source");
        buffer_append_byte(&e->out, ' ');
        alert_write_json(&e->out, json_object_get(item, "sourceLabels"));
        buffer_append_byte(&e->out, '\n');
    }
    json_array_foreach(list(x, "silencedBy"), i, item)
        buffer_printf(&e->out, "Silenced by %s\n", json_string_value(item));
}

static void put_sends(struct explain *e, const json_t *x)
{
    size_t i;
    const json_t *item;
    json_array_foreach(list(x, "sends"), i, item)
    {
        buffer_append(&e->out, i ? "  " : "Sent\n  ", i ? 2 : 7);
        put_time(e, item, "at");
        buffer_append_byte(&e->out, ' ');
        put_text(e, item, "receiver");
        buffer_append_literal(&e->out, " by ");
        put_text(e, item, "kind");
        buffer_printf(&e->out, ": %s, status %lld, attempts %lld%s",
                      is_true(item, "sent") ? "sent" : "failed", number(item, "status"),
                      number(item, "attempts"), json_text(item, "error").len ? ": " : "");
        put_text(e, item, "error");
        buffer_append_byte(&e->out, '\n');
    }
    if (json_text(x, "sendsError").len) {
        buffer_append_literal(&e->out, "What was sent is not known: ");
        put_text(e, x, "sendsError");
        buffer_append_byte(&e->out, '\n');
    }
}

static void print(struct explain *e, const json_t *x)
{
    size_t i;
    const json_t *g;
    put_alert(e, x);
    if (is_true(x, "hasConfiguration"))
        put_routes(e, x);
    json_array_foreach(list(x, "groups"), i, g) put_group(e, g);
    put_mutes(e, x);
    put_sends(e, x);
    fwrite(e->out.ptr, 1, e->out.len, stdout);
}

static bool is_fingerprint(const char *word)
{
    return strlen(word) == FINGERPRINT_DIGITS &&
           strspn(word, "0123456789abcdefABCDEF") == FINGERPRINT_DIGITS;
}

static bool write_path(const struct explain *e, struct arena *arena, struct flag_words *words,
                       struct buffer *path, struct error *err)
{
    struct labels labels;
    struct buffer text;
    if (words->count == 0)
        return error_set(err, ERROR_USAGE, "expected a fingerprint or labels, name=value");
    if (words->count == 1 && is_fingerprint(words->items[0])) {
        buffer_printf(path, "/api/v1/alerts/explain?fingerprint=%s", words->items[0]);
        return true;
    }
    alert_words_shorthand(arena, words);
    if (!alert_words_labels(arena, (const char *const *)words->items, (size_t)words->count, &labels,
                            err))
        return false;
    buffer_init(&text, MEM_OTHER, REQUEST_BYTES_MAX);
    labels_format_set(&text, labels);
    buffer_printf(path, "/api/v1/alerts/explain?relabel=%s&labels=", e->relabel ? "true" : "false");
    http_escape(path, buffer_view(&text));
    buffer_deinit(&text);
    return true;
}

static bool explain(struct explain *e, struct flag_words *words, struct error *err)
{
    struct arena arena;
    struct buffer path;
    json_t *answer = NULL;
    arena_init(&arena, MEM_OTHER, 0);
    buffer_init(&path, MEM_OTHER, REQUEST_BYTES_MAX);
    buffer_init(&e->out, MEM_OTHER, 64 << 20);
    bool ok = write_path(e, &arena, words, &path, err) &&
              alertmanager_ask(&e->client, "GET", buffer_view(&path), VIEW(""), &answer, err);
    const json_t *data = json_object_get(answer, "data");
    if (ok && strcmp(e->client.output, "json") == 0)
        alert_print_json(data);
    else if (ok)
        print(e, data);
    json_decref(answer);
    buffer_deinit(&e->out);
    buffer_deinit(&path);
    arena_deinit(&arena);
    return ok;
}

int alert_explain_run(int argc, char **argv)
{
    struct error err = {0};
    struct flag_words words;
    struct explain e = {.relabel = false};
    alertmanager_client_init(&e.client);
    const struct flag flags[] = {
        ALERTMANAGER_FLAGS(&e.client),
        {"relabel", 0, FLAG_SWITCH, &e.relabel, NULL,
         "Add external labels and relabel first, as if a rule had made the alert."}};
    if (!alertmanager_client_parse(&e.client, flags, ARRAY_COUNT(flags), argc, argv, &words, &err))
        return command_fail(&err);
    if (e.client.help) {
        fputs(USAGE, stdout);
        flags_print_help(stdout, flags, ARRAY_COUNT(flags));
        return EXIT_OK;
    }
    return explain(&e, &words, &err) ? EXIT_OK : command_fail(&err);
}
