/* SPDX-License-Identifier: Apache-2.0 */
/* command_template.c: belfry template render: what a notification's template makes of some alerts, as amtool template
 * render prints it. */
#include "alerting/alert_config.h"
#include "alerting/integrations.h"
#include "api/alert_json.h"
#include "base/clock.h"
#include "base/file.h"
#include "cli/alertmanager_client.h"
#include "cli/command.h"
#include "template/notification.h"

#include <stdio.h>
#include <string.h>

enum { DATA_BYTES_MAX = 64 << 20, ALERTS_MAX = 10000 };
#define NS_PER_SECOND INT64_C(1000000000)

static const char USAGE[] = "Usage: belfry template render --template.glob=PATTERN "
                            "--template.text='{{ template \"x\" . }}'\n\n"
                            "Flags:\n";

/* What is rendered when there is no --template.data: amtool's two alerts, so that both tools print the same. */
static const char SAMPLE[] =
    "{\"receiver\":\"receiver\",\"status\":\"alertstatus\",\"externalURL\":\"https://example.com\","
    "\"groupLabels\":{\"grouplabelkey1\":\"grouplabelvalue1\",\"grouplabelkey2\":"
    "\"grouplabelvalue2\"},"
    "\"commonLabels\":{\"commonlabelkey1\":\"commonlabelvalue1\",\"commonlabelkey2\":"
    "\"commonlabelvalue2\"},"
    "\"commonAnnotations\":{\"commonannotationkey1\":\"commonannotationvalue1\","
    "\"commonannotationkey2\":\"commonannotationvalue2\"},"
    "\"alerts\":[{\"status\":\"alertstatus\",\"fingerprint\":\"fingerprint1\",\"generatorURL\":"
    "\"https://generatorurl.com\","
    "\"labels\":{\"label1\":\"value1\",\"label2\":\"value2\",\"instance\":\"foo.bar:1234\","
    "\"commonlabelkey1\":\"commonlabelvalue1\",\"commonlabelkey2\":\"commonlabelvalue2\"},"
    "\"annotations\":{\"annotation1\":\"value1\",\"annotation2\":\"value2\","
    "\"commonannotationkey1\":\"commonannotationvalue1\",\"commonannotationkey2\":"
    "\"commonannotationvalue2\"}},"
    "{\"status\":\"alertstatus\",\"fingerprint\":\"fingerprint2\",\"generatorURL\":\"https://"
    "generatorurl.com\","
    "\"labels\":{\"foo\":\"bar\",\"baz\":\"qux\",\"commonlabelkey1\":\"commonlabelvalue1\","
    "\"commonlabelkey2\":\"commonlabelvalue2\"},"
    "\"annotations\":{\"aaa\":\"bbb\",\"ccc\":\"ddd\",\"commonannotationkey1\":"
    "\"commonannotationvalue1\","
    "\"commonannotationkey2\":\"commonannotationvalue2\"}}]}";

/* --- data --- */

static bool read_kv(struct arena *arena, const json_t *json, const char *name,
                    struct notification_kv *out, struct error *err)
{
    struct labels labels = {0};
    if (!alert_json_read_labels(arena, json, name, "", true, &labels, err))
        return false;
    out->names = ARENA_ARRAY(arena, struct view, labels.count + 1);
    out->values = ARENA_ARRAY(arena, struct view, labels.count + 1);
    for (uint32_t i = 0; i < labels.count; i++) {
        out->names[i] = labels.items[i].name;
        out->values[i] = labels.items[i].value;
    }
    out->count = labels.count;
    return true;
}

static struct template_time time_at(int64_t ns)
{
    int64_t seconds = ns / NS_PER_SECOND - (ns % NS_PER_SECOND < 0);
    struct template_time t = {.seconds = TEMPLATE_TIME_ZERO_SECONDS, .zone = VIEW_INIT("UTC")};
    if (ns != LIVE_ALERT_NEVER) {
        t.seconds = seconds;
        t.nanoseconds = (int32_t)(ns - seconds * NS_PER_SECOND);
    }
    return t;
}

static bool read_text(struct arena *arena, const json_t *json, const char *name, struct view *out,
                      struct error *err)
{
    struct view text = {"", 0};
    if (!alert_json_text(json, name, "", &text, err))
        return false;
    *out = arena_copy(arena, text);
    return true;
}

static bool read_alert(struct arena *arena, const json_t *json, struct notification_alert *out,
                       struct error *err)
{
    int64_t starts = LIVE_ALERT_NEVER, ends = LIVE_ALERT_NEVER;
    if (!json_is_object(json))
        return error_set(err, ERROR_INPUT, "alerts: a list of objects was expected");
    if (!read_text(arena, json, "status", &out->status, err) ||
        !read_text(arena, json, "generatorURL", &out->generator_url, err) ||
        !read_text(arena, json, "fingerprint", &out->fingerprint, err) ||
        !read_kv(arena, json, "labels", &out->labels, err) ||
        !read_kv(arena, json, "annotations", &out->annotations, err) ||
        !alert_json_read_time(json, "startsAt", "", &starts, err) ||
        !alert_json_read_time(json, "endsAt", "", &ends, err))
        return false;
    out->starts_at = time_at(starts);
    out->ends_at = time_at(ends);
    return true;
}

static bool read_notification(struct arena *arena, const json_t *json, struct notification *out,
                              struct error *err)
{
    const json_t *alerts = json_object_get(json, "alerts"), *item;
    size_t count = json_array_size(alerts), i;
    if (!json_is_object(json))
        return error_set(err, ERROR_INPUT, "an object was expected");
    if (count > ALERTS_MAX)
        return error_set(err, ERROR_TOO_LARGE, "more than %d alerts", ALERTS_MAX);
    struct notification_alert *items = ARENA_ARRAY(arena, struct notification_alert, count + 1);
    json_array_foreach(alerts, i, item)
    {
        if (!read_alert(arena, item, &items[i], err))
            return false;
    }
    out->alerts = items;
    out->alert_count = count;
    return read_text(arena, json, "receiver", &out->receiver, err) &&
           read_text(arena, json, "status", &out->status, err) &&
           read_text(arena, json, "externalURL", &out->external_url, err) &&
           read_kv(arena, json, "groupLabels", &out->group_labels, err) &&
           read_kv(arena, json, "commonLabels", &out->common_labels, err) &&
           read_kv(arena, json, "commonAnnotations", &out->common_annotations, err) &&
           read_kv(arena, json, "routeLabels", &out->route_labels, err);
}

/* The sample's alerts began 5 and 10 minutes ago and end now. */
static void date_sample(struct notification *n)
{
    struct notification_alert *items = (struct notification_alert *)n->alerts;
    int64_t now = clock_wall().ms * 1000000;
    for (size_t i = 0; i < n->alert_count; i++) {
        items[i].starts_at = time_at(now - (int64_t)(i + 1) * 5 * 60 * NS_PER_SECOND);
        items[i].ends_at = time_at(now);
    }
}

static bool load_data(struct arena *arena, const char *path, struct notification *out,
                      struct error *err)
{
    struct buffer text;
    buffer_init(&text, MEM_OTHER, DATA_BYTES_MAX);
    bool ok = path[0] == '\0' || file_read_all(path, &text, err);
    json_t *json = ok ? json_read(path[0] ? buffer_view(&text) : view_from(SAMPLE), err) : NULL;
    if (ok && (!json || !read_notification(arena, json, out, err)))
        ok = error_wrap(err, "%s", path);
    if (ok && path[0] == '\0')
        date_sample(out);
    json_decref(json);
    buffer_deinit(&text);
    return ok;
}

/* --- rendering --- */

static bool render(struct arena *arena, const struct flag_list *globs, const char *text,
                   bool is_html, const struct notification *n, struct error *err)
{
    struct view *patterns = ARENA_ARRAY(arena, struct view, globs->count + 1), out;
    struct alert_config files = {.templates = {patterns, globs->count}};
    const struct template_options options = {.functions = &TEMPLATE_ALERTMANAGER, .html = is_html};
    struct template_set *set = template_set_new();
    struct template *t = NULL;
    struct template_run run = {.arena = arena,
                               .data = notification_value(arena, n),
                               .now = clock_wall(),
                               .external_url = n->external_url};
    for (size_t i = 0; i < globs->count; i++)
        patterns[i] = view_from(globs->items[i]);
    bool ok = integrations_parse_templates(set, &files, err) &&
              template_parse(&t, &options, set, VIEW(""), view_from(text), err) &&
              template_execute(t, &run, &out, err);
    if (ok)
        fwrite(out.ptr, 1, out.len, stdout);
    template_free(t);
    template_set_free(set);
    return ok;
}

int command_template(int argc, char **argv)
{
    static const char *const VERBS[] = {"render", NULL};
    struct alertmanager_client c;
    struct flag_list globs = {0};
    const char *text = NULL, *type = "text", *data = "";
    struct notification n = {0};
    struct flag_words words;
    struct error err = {0};
    struct arena arena;
    alertmanager_client_init(&c);
    const struct flag flags[] = {
        ALERTMANAGER_FLAGS(&c),
        {"template.glob", 0, FLAG_LIST, &globs, "PATTERN", "Files of templates; repeatable."},
        {"template.text", 0, FLAG_TEXT, &text, "TEXT", "What is rendered."},
        {"template.type", 0, FLAG_TEXT, &type, "text|html", "How values are escaped."},
        {"template.data", 0, FLAG_TEXT, &data, "FILE",
         "JSON of a notification; default: two alerts."}};
    bool is_render = flags_take_verb(flags, ARRAY_COUNT(flags), &argc, argv, VERBS) == 0;
    if (!alertmanager_client_parse(&c, flags, ARRAY_COUNT(flags), argc, argv, &words, &err))
        return command_fail(&err);
    if (c.help || !is_render || words.count) {
        fputs(USAGE, c.help ? stdout : stderr);
        flags_print_help(c.help ? stdout : stderr, flags, ARRAY_COUNT(flags));
        return c.help ? EXIT_OK : command_is_amtool() ? EXIT_FAILED : EXIT_USAGE;
    }
    bool is_html = strcmp(type, "html") == 0;
    if (!text || globs.count == 0)
        (void)error_set(&err, ERROR_USAGE, "required flag --template.%s not provided",
                        globs.count ? "text" : "glob"); /* always false */
    else if (!is_html && strcmp(type, "text") != 0)
        (void)error_set(&err, ERROR_USAGE, "enum value must be one of html,text, got '%.100s'",
                        type); /* always false */
    if (err.kind)
        return command_fail(&err);
    arena_init(&arena, MEM_OTHER, 0);
    bool ok = load_data(&arena, data, &n, &err) && render(&arena, &globs, text, is_html, &n, &err);
    arena_deinit(&arena);
    return ok ? EXIT_OK : command_fail(&err);
}
