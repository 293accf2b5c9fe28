/* SPDX-License-Identifier: Apache-2.0 */
/* command_silence.c: belfry silence query|add|update|expire|import: the silences of Belfry or of an Alertmanager, after
 * amtool. */
#include "base/clock.h"
#include "base/duration.h"
#include "base/json_write.h"
#include "cli/alert_print.h"
#include "cli/alert_words.h"
#include "cli/command.h"
#include "net/http_client.h"

#include <pwd.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

enum { REQUEST_BYTES_MAX = 8 << 20, IMPORT_BYTES_MAX = 256 << 20 };
#define YEAR_MS (INT64_C(365) * 24 * 3600 * 1000)

static const char USAGE[] =
    "Usage: belfry silence query [MATCHER...]         silences that are in force or to come\n"
    "       belfry silence add MATCHER... -c COMMENT  silence what matches all of these\n"
    "       belfry silence preview MATCHER... --recur=... when it would be in force\n"
    "       belfry silence update ID...               change end, start or comment\n"
    "       belfry silence expire ID...               end them now\n"
    "       belfry silence import [FILE]              those of a file that query -o json wrote\n\n"
    "A matcher is name=value, !=, =~ or !~; a first word without a sign is the alert's name.\n\n"
    "Flags:\n";

enum verb { VERB_QUERY, VERB_ADD, VERB_UPDATE, VERB_EXPIRE, VERB_IMPORT, VERB_PREVIEW };
static const char *const VERBS[] = {"query", "add", "update", "expire", "import", "preview", NULL};

struct silence_options {
    struct alertmanager_client client;
    bool expired, quiet, force, requires_comment;
    const char *created_by, *id, *author, *duration, *start, *end, *comment, *recur, *timezone;
    int64_t within_ms;
};

/* --- query --- */

static bool is_wanted(const struct silence_options *o, const json_t *silence, int64_t now)
{
    struct view author = json_text(silence, "createdBy");
    int64_t end = 0;
    if (!alert_words_time("", json_text(silence, "endsAt").ptr, &end, NULL))
        return false;
    if (o->expired ? end > now : end < now)
        return false;
    if (o->within_ms > 0 && (o->expired ? end < now - o->within_ms : end > now + o->within_ms))
        return false;
    return (o->created_by[0] == '\0' || view_is(author, o->created_by)) &&
           (o->id[0] == '\0' || view_is(json_text(silence, "id"), o->id));
}

static void print_list(const struct silence_options *o, const json_t *silences)
{
    size_t i;
    json_t *silence;
    if (!o->quiet) {
        alert_print_silences(&o->client, silences);
        return;
    }
    json_array_foreach(silences, i, silence) printf("%.*s\n", VIEW_ARGS(json_text(silence, "id")));
}

static bool query(struct silence_options *o, struct arena *arena, struct flag_words *words,
                  struct error *err)
{
    struct buffer path;
    json_t *all, *silence, *shown = json_array();
    int64_t now = clock_wall().ms;
    size_t i;
    alert_words_shorthand(arena, words);
    buffer_init(&path, MEM_OTHER, REQUEST_BYTES_MAX);
    buffer_append_literal(&path, "/api/v2/silences");
    for (int w = 0; w < words->count; w++) {
        buffer_append_view(&path, w ? VIEW("&filter=") : VIEW("?filter="));
        http_escape(&path, view_from(words->items[w]));
    }
    bool ok = alertmanager_ask(&o->client, "GET", buffer_view(&path), VIEW(""), &all, err);
    json_array_foreach(all, i, silence)
    {
        if (is_wanted(o, silence, now))
            json_array_append(shown, silence);
    }
    if (ok)
        print_list(o, shown);
    json_decref(shown);
    json_decref(all);
    buffer_deinit(&path);
    return ok;
}

/* --- add --- */

static void write_matchers(struct buffer *b, const struct matchers *m)
{
    buffer_append_literal(b, "\"matchers\":[");
    for (size_t i = 0; i < m->count; i++) {
        enum matcher_type type = m->items[i].type;
        bool is_equal = type == MATCH_EQUAL || type == MATCH_REGEX;
        bool is_regex = type == MATCH_REGEX || type == MATCH_NOT_REGEX;
        buffer_printf(b, "%s{\"isEqual\":%s,\"isRegex\":%s,\"name\":", i ? "," : "",
                      is_equal ? "true" : "false", is_regex ? "true" : "false");
        json_string(b, m->items[i].name);
        buffer_append_literal(b, ",\"value\":");
        json_string(b, m->items[i].value);
        buffer_append_byte(b, '}');
    }
    buffer_append_byte(b, ']');
}

/* What recurs is a rule of RFC 5545 when it has a FREQ, else cron. Each time it lasts --duration. */
static void write_recurrence(const struct silence_options *o, struct buffer *body)
{
    if (o->recur[0] == '\0')
        return;
    buffer_printf(body, ",\"recurrence\":{\"%s\":", strstr(o->recur, "FREQ=") ? "rrule" : "cron");
    json_string(body, view_from(o->recur));
    buffer_append_literal(body, ",\"timezone\":");
    json_string(body, view_from(o->timezone));
    buffer_append_literal(body, ",\"duration\":");
    json_string(body, view_from(o->duration));
    buffer_append_byte(body, '}');
}

/* --end, else so long after the start; what recurs, for a year. */
static bool read_end(const struct silence_options *o, int64_t start, int64_t *end,
                     struct error *err)
{
    int64_t ms = 0;
    if (o->end[0])
        return alert_words_time("end", o->end, end, err);
    if (!duration_parse(view_from(o->duration), &ms, err))
        return error_wrap(err, "flag \"--duration\"");
    if (ms == 0)
        return error_set(err, ERROR_INPUT, "silence duration must be greater than 0");
    *end = start + (o->recur[0] ? YEAR_MS : ms);
    return true;
}

static bool check_times(int64_t start, int64_t end, struct error *err)
{
    return start <= end || error_set(err, ERROR_INPUT, "silence cannot start after it ends");
}

static bool send(const struct silence_options *o, struct view body, json_t **answer,
                 struct error *err)
{
    return alertmanager_ask(&o->client, "POST", VIEW("/api/v2/silences"), body, answer, err);
}

static bool write_silence(const struct silence_options *o, const struct matchers *m,
                          struct buffer *body, struct error *err)
{
    int64_t start = clock_wall().ms, end = 0;
    if (m->count == 0)
        return error_set(err, ERROR_INPUT, "no matchers specified");
    if ((o->start[0] && !alert_words_time("start", o->start, &start, err)) ||
        !read_end(o, start, &end, err) || !check_times(start, end, err))
        return false;
    if (o->requires_comment && o->comment[0] == '\0')
        return error_set(err, ERROR_INPUT, "comment required by config");
    buffer_append_byte(body, '{');
    write_matchers(body, m);
    buffer_append_literal(body, ",\"startsAt\":");
    alert_words_write_time(body, start);
    buffer_append_literal(body, ",\"endsAt\":");
    alert_words_write_time(body, end);
    buffer_append_literal(body, ",\"createdBy\":");
    json_string(body, view_from(o->author));
    buffer_append_literal(body, ",\"comment\":");
    json_string(body, view_from(o->comment));
    write_recurrence(o, body);
    buffer_append_byte(body, '}');
    return true;
}

static bool add(struct silence_options *o, struct arena *arena, struct flag_words *words,
                struct error *err)
{
    struct matchers m = {0};
    struct buffer body;
    json_t *answer = NULL, *warning;
    size_t i;
    alert_words_shorthand(arena, words);
    buffer_init(&body, MEM_OTHER, REQUEST_BYTES_MAX);
    bool ok = alert_words_matchers(arena, words, &m, err) && write_silence(o, &m, &body, err) &&
              send(o, buffer_view(&body), &answer, err);
    if (ok)
        printf("%.*s\n", VIEW_ARGS(json_text(answer, "silenceID")));
    json_array_foreach(json_object_get(answer, "warnings"), i, warning)
        command_warn(json_string_value(warning));
    json_decref(answer);
    matchers_deinit(&m);
    buffer_deinit(&body);
    return ok;
}

/* The next windows of a silence that would recur. */
static bool preview(struct silence_options *o, struct arena *arena, struct flag_words *words,
                    struct error *err)
{
    struct matchers m = {0};
    struct buffer body;
    json_t *answer = NULL, *window;
    size_t i;
    if (o->recur[0] == '\0')
        return error_set(err, ERROR_USAGE, "--recur is missing: cron, or an RRULE of RFC 5545");
    o->requires_comment = false;
    alert_words_shorthand(arena, words);
    buffer_init(&body, MEM_OTHER, REQUEST_BYTES_MAX);
    bool ok = alert_words_matchers(arena, words, &m, err) && write_silence(o, &m, &body, err) &&
              alertmanager_ask(&o->client, "POST", VIEW("/api/v1/alerting/silences/preview"),
                               buffer_view(&body), &answer, err);
    const json_t *data = json_object_get(answer, "data");
    if (ok && strcmp(o->client.output, "json") == 0) {
        alert_print_json(data ? data : answer);
    } else {
        json_array_foreach(data, i, window)
        {
            buffer_reset(&body);
            alert_print_time(&o->client, json_text(window, "startsAt"), &body);
            buffer_append_literal(&body, "  to  ");
            alert_print_time(&o->client, json_text(window, "endsAt"), &body);
            printf("%.*s\n", VIEW_ARGS(buffer_view(&body)));
        }
    }
    json_decref(answer);
    matchers_deinit(&m);
    buffer_deinit(&body);
    return ok;
}

/* --- by id --- */

static bool ask_one(const struct silence_options *o, const char *method, const char *id,
                    json_t **out, struct error *err)
{
    struct buffer path;
    buffer_init(&path, MEM_OTHER, REQUEST_BYTES_MAX);
    buffer_append_literal(&path, "/api/v2/silence/");
    http_escape(&path, view_from(id));
    bool ok = alertmanager_ask(&o->client, method, buffer_view(&path), VIEW(""), out, err);
    buffer_deinit(&path);
    return ok;
}

static bool need_ids(const struct flag_words *words, struct error *err)
{
    return words->count > 0 || error_set(err, ERROR_INPUT, "no silence IDs specified");
}

static bool expire(const struct silence_options *o, const struct flag_words *words,
                   struct error *err)
{
    bool ok = need_ids(words, err);
    for (int i = 0; ok && i < words->count; i++) {
        json_t *answer;
        ok = ask_one(o, "DELETE", words->items[i], &answer, err);
        json_decref(answer);
    }
    return ok;
}

static void set_time(json_t *silence, const char *name, int64_t ms)
{
    struct buffer text;
    buffer_init(&text, MEM_OTHER, REQUEST_BYTES_MAX);
    alert_words_write_time(&text, ms);
    json_object_set_new(silence, name, json_stringn(text.ptr + 1, text.len - 2));
    buffer_deinit(&text);
}

/* What the flags say into the silence. */
static bool change(const struct silence_options *o, json_t *silence, struct error *err)
{
    int64_t start, end;
    if (!alert_words_time("start", o->start[0] ? o->start : json_text(silence, "startsAt").ptr,
                          &start, err) ||
        !alert_words_time("end", json_text(silence, "endsAt").ptr, &end, err) ||
        ((o->end[0] || o->duration[0]) && !read_end(o, start, &end, err)) ||
        !check_times(start, end, err))
        return false;
    set_time(silence, "startsAt", start);
    set_time(silence, "endsAt", end);
    if (o->comment[0])
        json_object_set_new(silence, "comment", json_stringn(o->comment, strlen(o->comment)));
    return true;
}

/* Sends a silence as it was shown; its id becomes that of the one in force. */
static bool send_shown(const struct silence_options *o, json_t *silence, struct error *err)
{
    json_t *answer = NULL;
    struct buffer body;
    buffer_init(&body, MEM_OTHER, REQUEST_BYTES_MAX);
    alert_write_json(&body, silence);
    bool ok = body.failed ? error_set(err, ERROR_TOO_LARGE, "the silence is too large")
                          : send(o, buffer_view(&body), &answer, err);
    if (ok)
        json_object_set(silence, "id", json_object_get(answer, "silenceID"));
    json_decref(answer);
    buffer_deinit(&body);
    return ok;
}

static bool update(const struct silence_options *o, const struct flag_words *words,
                   struct error *err)
{
    json_t *done = json_array();
    bool ok = need_ids(words, err);
    for (int i = 0; ok && i < words->count; i++) {
        json_t *silence;
        ok = ask_one(o, "GET", words->items[i], &silence, err) && change(o, silence, err) &&
             send_shown(o, silence, err);
        json_array_append(done, silence);
        json_decref(silence);
    }
    if (ok)
        print_list(o, done);
    json_decref(done);
    return ok;
}

/* --- import --- */

static bool read_input(const char *path, struct buffer *text, struct error *err)
{
    FILE *in = path ? fopen(path, "rb") : stdin;
    size_t got;
    if (!in)
        return error_set(err, ERROR_INPUT, "path '%s' does not exist", path);
    do {
        char *room = buffer_reserve(text, 64 * 1024);
        got = room ? fread(room, 1, 64 * 1024, in) : 0;
        buffer_advance(text, got);
    } while (got);
    bool ok = !ferror(in) && !text->failed;
    if (path)
        (void)fclose(in); /* it was only read */
    return ok || error_set(err, ERROR_IO, "could not read the silences");
}

/* One that the server does not know is made anew. */
static bool import_one(const struct silence_options *o, json_t *silence, struct error *err)
{
    char id[64];
    snprintf(id, sizeof id, "%.*s", VIEW_ARGS(view_slice(json_text(silence, "id"), 0, 63)));
    if (o->force)
        json_object_del(silence, "id");
    bool ok = send_shown(o, silence, err);
    if (!ok && err->kind == ERROR_NOT_FOUND) {
        json_object_del(silence, "id");
        ok = send_shown(o, silence, err);
    }
    if (ok)
        printf("%.*s\n", VIEW_ARGS(json_text(silence, "id")));
    else
        fprintf(stderr, "Error adding silence id='%s': %s\n", id, err->message);
    return ok;
}

static bool import(const struct silence_options *o, const struct flag_words *words,
                   struct error *err)
{
    struct buffer text;
    json_t *list = NULL, *silence;
    size_t i, failed = 0;
    buffer_init(&text, MEM_OTHER, IMPORT_BYTES_MAX);
    bool ok = read_input(words->count ? words->items[0] : NULL, &text, err);
    if (ok && !(list = json_read(buffer_view(&text), err)))
        ok = error_wrap(err, "couldn't unmarshal input data, is it JSON?");
    if (ok && !json_is_array(list))
        ok = error_set(err, ERROR_INPUT, "couldn't unmarshal input data: a list was expected");
    json_array_foreach(list, i, silence) failed += !import_one(o, silence, err);
    if (failed)
        ok = error_set(err, ERROR_INPUT, "couldn't import %zu out of %zu silences", failed,
                       json_array_size(list));
    json_decref(list);
    buffer_deinit(&text);
    return ok;
}

/* --- the command --- */

static const char *user_name(void)
{
    const struct passwd *user = getpwuid(getuid());
    return user ? user->pw_name : "";
}

static bool run(struct silence_options *o, enum verb verb, struct flag_words *words,
                struct error *err)
{
    bool ok = false;
    struct arena arena;
    arena_init(&arena, MEM_OTHER, 0);
    switch (verb) {
    case VERB_QUERY:
        ok = query(o, &arena, words, err);
        break;
    case VERB_ADD:
        ok = add(o, &arena, words, err);
        break;
    case VERB_PREVIEW:
        ok = preview(o, &arena, words, err);
        break;
    case VERB_UPDATE:
        ok = update(o, words, err);
        break;
    case VERB_EXPIRE:
        ok = expire(o, words, err);
        break;
    case VERB_IMPORT:
        ok = import(o, words, err);
        break;
    }
    arena_deinit(&arena);
    return ok;
}

int command_silence(int argc, char **argv)
{
    struct error err = {0};
    struct flag_words words;
    struct silence_options o = {.requires_comment = true,
                                .created_by = "",
                                .id = "",
                                .author = user_name(),
                                .duration = "",
                                .start = "",
                                .end = "",
                                .comment = "",
                                .recur = "",
                                .timezone = ""};
    alertmanager_client_init(&o.client);
    const struct flag quiet = {"quiet", 'q', FLAG_SWITCH, &o.quiet, NULL, "Print ids only."};
    const struct flag common[] = {ALERTMANAGER_FLAGS(&o.client), quiet};
    const struct flag query_flags[] = {
        ALERTMANAGER_FLAGS(&o.client),
        quiet,
        {"expired", 0, FLAG_SWITCH, &o.expired, NULL, "Show expired silences instead."},
        {"created-by", 0, FLAG_TEXT, &o.created_by, "NAME", "Only those of this author."},
        {"id", 0, FLAG_TEXT, &o.id, "ID", "Only this one."},
        {"within", 0, FLAG_DURATION, &o.within_ms, "DURATION",
         "Only those that end within it, or ended."}};
    const struct flag add_flags[] = {
        ALERTMANAGER_FLAGS(&o.client),
        quiet,
        {"author", 'a', FLAG_TEXT, &o.author, "NAME", "Who silences."},
        {"require-comment", 0, FLAG_SWITCH, &o.requires_comment, NULL, "Is a comment a must?"},
        {"duration", 'd', FLAG_TEXT, &o.duration, "DURATION", "How long."},
        {"start", 0, FLAG_TEXT, &o.start, "TIME", "When it begins, RFC 3339; default now."},
        {"end", 0, FLAG_TEXT, &o.end, "TIME", "When it ends; wins over --duration."},
        {"comment", 'c', FLAG_TEXT, &o.comment, "TEXT", "Why."},
        {"recur", 0, FLAG_TEXT, &o.recur, "CRON|RRULE",
         "add: again and again, each time for --duration; until --end, default a year."},
        {"timezone", 0, FLAG_TEXT, &o.timezone, "ZONE", "Of --recur; default UTC."}};
    const struct flag import_flags[] = {
        ALERTMANAGER_FLAGS(&o.client),
        quiet,
        {"force", 'f', FLAG_SWITCH, &o.force, NULL, "Add them anew whatever is there."},
        {"worker", 'w', FLAG_COUNT, NULL, "COUNT", "they are sent one after another"}};
    int taken = flags_take_verb(common, ARRAY_COUNT(common), &argc, argv, VERBS);
    enum verb verb = taken < 0 ? VERB_QUERY : (enum verb)taken;
    const struct flag *flags = common;
    size_t count = ARRAY_COUNT(common);
    if (verb == VERB_QUERY) {
        flags = query_flags;
        count = ARRAY_COUNT(query_flags);
    } else if (verb == VERB_ADD || verb == VERB_UPDATE || verb == VERB_PREVIEW) {
        flags = add_flags;
        count = ARRAY_COUNT(add_flags);
        o.duration = verb == VERB_UPDATE ? "" : "1h";
    } else if (verb == VERB_IMPORT) {
        flags = import_flags;
        count = ARRAY_COUNT(import_flags);
    }
    if (!alertmanager_client_parse(&o.client, flags, count, argc, argv, &words, &err))
        return command_fail(&err);
    if (o.client.help) {
        fputs(USAGE, stdout);
        flags_print_help(stdout, flags, count);
        return EXIT_OK;
    }
    return run(&o, verb, &words, &err) ? EXIT_OK : command_fail(&err);
}
