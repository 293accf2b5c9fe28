/* SPDX-License-Identifier: Apache-2.0 */
/* alert_json.c: see alert_json.h. */
#include "api/alert_json.h"

#include "api/api_private.h"
#include "base/json_peek.h"
#include "base/json_write.h"
#include "template/time_value.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

enum { INVALID_BYTES_MAX = 800, AT_BYTES = 64 };
#define NS_PER_SECOND INT64_C(1000000000)

bool alert_refuse(struct alert_refusal *why, int status, int code, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    why->status = status;
    why->code = code;
    (void)error_setv(&why->err, ERROR_INPUT, format, args); /* always false */
    va_end(args);
    return false;
}

bool alert_refuse_body(struct alert_refusal *why, const char *what, const char *sentence)
{
    return alert_refuse(why, 400, 400, "parsing %s body from \"\" failed, because %.800s", what,
                        sentence);
}

/* --- members --- */

static const char *kind_of(const json_t *json)
{
    switch (json_typeof(json)) {
    case JSON_OBJECT:
        return "an object";
    case JSON_ARRAY:
        return "a list";
    case JSON_STRING:
        return "a string";
    case JSON_INTEGER:
    case JSON_REAL:
        return "a number";
    case JSON_TRUE:
    case JSON_FALSE:
        return "a boolean";
    case JSON_NULL:
        break;
    }
    return "null";
}

static struct view text_of(const json_t *json)
{
    return (struct view){json_string_value(json), json_string_length(json)};
}

bool alert_json_text(const json_t *object, const char *name, const char *at, struct view *out,
                     struct error *err)
{
    const json_t *json = json_object_get(object, name);
    if (!json || json_is_null(json))
        return true;
    if (!json_is_string(json))
        return error_set(err, ERROR_INPUT, "%s%s: a string was expected, not %s", at, name,
                         kind_of(json));
    *out = text_of(json);
    return true;
}

/* What strfmt's DateTime takes; a fraction of a second may stand behind any. */
static bool parse_time(struct view text, struct template_time *out)
{
    static const struct view LAYOUTS[] = {
        VIEW_INIT("2006-01-02T15:04:05Z07:00"), VIEW_INIT("2006-01-02T15:04:05"),
        VIEW_INIT("2006-01-02T15:04Z07:00"), VIEW_INIT("2006-01-02T15:04"),
        VIEW_INIT("2006-01-02 15:04:05")};
    for (size_t i = 0; i < ARRAY_COUNT(LAYOUTS); i++)
        if (time_parse(out, LAYOUTS[i], text))
            return true;
    return false;
}

bool alert_json_read_time(const json_t *object, const char *name, const char *at, int64_t *ns,
                          struct error *err)
{
    struct template_time t;
    struct view text = {"", 0};
    if (!alert_json_text(object, name, at, &text, err))
        return false;
    if (text.len == 0)
        return true;
    if (text.len > 100 || !parse_time(text, &t))
        return error_set(err, ERROR_INPUT,
                         "%s%s: \"%.*s\" is no time, expected RFC 3339 such as "
                         "2006-01-02T15:04:05Z",
                         at, name, VIEW_ARGS(view_slice(text, 0, 100)));
    if (t.seconds == TEMPLATE_TIME_ZERO_SECONDS)
        return true; /* Go's zero time: not said */
    if (t.seconds <= INT64_MIN / NS_PER_SECOND)
        return error_set(err, ERROR_INPUT, "%s%s: %.*s is before the year 1678", at, name,
                         VIEW_ARGS(text));
    if (t.seconds >= INT64_MAX / NS_PER_SECOND)
        *ns = INT64_MAX; /* in 2262: as good as never */
    else
        *ns = t.seconds * NS_PER_SECOND + t.nanoseconds;
    return true;
}

bool alert_json_read_labels(struct arena *arena, const json_t *object, const char *name,
                            const char *at, bool keeps_empty, struct labels *out, struct error *err)
{
    const json_t *map = json_object_get(object, name);
    const char *key;
    json_t *value;
    uint32_t count = 0;
    if (map && !json_is_object(map) && !json_is_null(map))
        return error_set(err, ERROR_INPUT, "%s%s: an object was expected, not %s", at, name,
                         kind_of(map));
    struct label *items = ARENA_ARRAY(arena, struct label, json_object_size(map) + 1);
    json_object_foreach((json_t *)map, key, value)
    {
        if (!json_is_string(value) && !json_is_null(value))
            return error_set(err, ERROR_INPUT, "%s%s \"%.100s\": a string was expected, not %s", at,
                             name, key, kind_of(value));
        struct view text = json_is_null(value) ? (struct view){"", 0} : text_of(value);
        if (text.len == 0 && !keeps_empty)
            continue;
        items[count++] = (struct label){arena_copy(arena, view_from(key)), arena_copy(arena, text)};
    }
    labels_sort(arena, items, count);
    *out = (struct labels){items, count};
    return true;
}

/* --- alerts --- */

/* Is it what Go's url.ParseRequestURI takes: a path, or a scheme and the rest? */
static bool is_uri(struct view url)
{
    size_t scheme = 0;
    for (size_t i = 0; i < url.len; i++)
        if ((unsigned char)url.ptr[i] <= 0x20 || url.ptr[i] == 0x7f)
            return false;
    if (url.len == 0 || url.ptr[0] == '/')
        return true;
    while (scheme < url.len && strchr("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
                                      "0123456789+-.",
                                      url.ptr[scheme]))
        scheme++;
    return scheme > 0 && scheme < url.len && url.ptr[scheme] == ':' &&
           ((url.ptr[0] | 0x20) >= 'a' && (url.ptr[0] | 0x20) <= 'z');
}

/* Would following the link run what it says in the page that shows it? */
static bool is_script(struct view url)
{
    static const char *const SCHEMES[] = {"javascript:", "data:", "vbscript:"};
    for (size_t i = 0; i < ARRAY_COUNT(SCHEMES); i++)
        if (view_has_prefix_any_case(url, SCHEMES[i]))
            return true;
    return false;
}

/* Alertmanager's checks, in its order; NULL: all is well. */
static const char *find_fault(const struct live_alert *a)
{
    if (a->ends_ns != LIVE_ALERT_NEVER && a->ends_ns < a->starts_ns)
        return "start time must be before end time";
    for (uint32_t i = 0; i < a->labels.count; i++)
        if (a->labels.items[i].name.len == 0)
            return "invalid label set: invalid name \"\"";
    if (a->labels.count == 0)
        return "at least one label pair required";
    for (uint32_t i = 0; i < a->annotations.count; i++)
        if (a->annotations.items[i].name.len == 0)
            return "invalid annotations: invalid name \"\"";
    return NULL;
}

static bool read_alert(struct arena *arena, const json_t *json, size_t idx, int64_t now_ns,
                       struct live_alert *out, struct alert_refusal *why)
{
    char at[AT_BYTES];
    struct view url = {"", 0};
    (void)snprintf(at, sizeof at, "alert %zu: ", idx);
    *out = (struct live_alert){.starts_ns = LIVE_ALERT_NEVER,
                               .ends_ns = LIVE_ALERT_NEVER,
                               .updated_ns = now_ns,
                               .value = NAN};
    if (json_is_null(json))
        return alert_refuse(why, 422, 602, "%zu in body is required", idx);
    if (!json_is_object(json)) {
        (void)snprintf(at, sizeof at, "alert %zu: an object was expected, not %s", idx,
                       kind_of(json));
        return alert_refuse_body(why, "alerts", at);
    }
    if (!alert_json_read_labels(arena, json, "labels", at, false, &out->labels, &why->err) ||
        !alert_json_read_labels(arena, json, "annotations", at, true, &out->annotations,
                                &why->err) ||
        !alert_json_read_time(json, "startsAt", at, &out->starts_ns, &why->err) ||
        !alert_json_read_time(json, "endsAt", at, &out->ends_ns, &why->err) ||
        !alert_json_text(json, "generatorURL", at, &url, &why->err)) {
        struct error reason = why->err;
        return alert_refuse_body(why, "alerts", reason.message);
    }
    const json_t *labels = json_object_get(json, "labels");
    if (!labels || json_is_null(labels))
        return alert_refuse(why, 422, 602, "%zu.labels in body is required", idx);
    if (!is_uri(url))
        return alert_refuse(why, 422, 601, "%zu.generatorURL in body must be of type uri: \"%.*s\"",
                            idx, VIEW_ARGS(view_slice(url, 0, 200)));
    out->generator_url = is_script(url) ? VIEW("") : arena_copy(arena, url);
    if (out->starts_ns == LIVE_ALERT_NEVER)
        out->starts_ns = out->ends_ns == LIVE_ALERT_NEVER ? now_ns : out->ends_ns;
    return true;
}

/* Keeps the alert, or what is wrong with it. */
static void judge(struct arena *arena, const struct live_alert *alert, struct alert_batch *out,
                  struct buffer *invalid)
{
    const char *fault = find_fault(alert);
    if (fault) {
        out->invalid_count++;
        if (invalid->len + strlen(fault) + 2 <= INVALID_BYTES_MAX)
            buffer_printf(invalid, "%s%s", invalid->len ? "; " : "", fault);
        return;
    }
    out->items = arena_grow(arena, out->items, &out->capacity, out->count + 1, sizeof *out->items);
    out->items[out->count++] = *alert;
}

static bool read_item(struct arena *arena, struct view text, size_t idx, int64_t now_ns,
                      struct live_alert *out, struct alert_refusal *why)
{
    struct error reason = {0};
    if (idx >= ALERT_JSON_ALERTS_MAX || text.len > ALERT_JSON_ITEM_BYTES_MAX) {
        char sentence[100];
        (void)snprintf(sentence, sizeof sentence,
                       idx >= ALERT_JSON_ALERTS_MAX ? "there are more than %d alerts"
                                                    : "an alert is larger than %d bytes",
                       idx >= ALERT_JSON_ALERTS_MAX ? (int)ALERT_JSON_ALERTS_MAX
                                                    : (int)ALERT_JSON_ITEM_BYTES_MAX);
        return alert_refuse_body(why, "alerts", sentence);
    }
    json_t *json = json_read(text, &reason);
    if (!json) {
        struct error placed = {0};
        (void)error_set(&placed, ERROR_INPUT, "alert %zu, line %" PRIu32 ", column %" PRIu32 ": %s",
                        idx, reason.line, reason.column, reason.message); /* always false */
        return alert_refuse_body(why, "alerts", placed.message);
    }
    bool ok = read_alert(arena, json, idx, now_ns, out, why);
    json_decref(json);
    return ok;
}

bool alert_json_read(struct arena *arena, struct view body, int64_t now_ns, struct alert_batch *out,
                     struct alert_refusal *why)
{
    struct buffer invalid;
    struct view text = {"", 0};
    size_t pos = 0;
    bool ok = true;
    enum json_items next = JSON_ITEMS_END;
    *out = (struct alert_batch){.invalid = {"", 0}};
    if (body.len == 0)
        return alert_refuse(why, 422, 602, "alerts in body is required");
    if (view_is(body, "null"))
        return true;
    buffer_init(&invalid, MEM_HTTP, INVALID_BYTES_MAX + 1);
    for (size_t idx = 0; ok && (next = json_next_item(body, &pos, &text)) == JSON_ITEM; idx++) {
        struct live_alert alert;
        ok = read_item(arena, text, idx, now_ns, &alert, why);
        if (ok)
            judge(arena, &alert, out, &invalid);
    }
    if (ok && next == JSON_ITEMS_BROKEN)
        ok = alert_refuse_body(why, "alerts", "the body is no JSON list of alerts");
    out->invalid = arena_copy(arena, buffer_view(&invalid));
    buffer_deinit(&invalid);
    return ok;
}

/* --- out --- */

void alert_json_time(struct buffer *b, int64_t ns)
{
    struct template_time t = {.seconds = TEMPLATE_TIME_ZERO_SECONDS, .zone = VIEW_INIT("UTC")};
    if (ns != LIVE_ALERT_NEVER) {
        t.seconds = ns / NS_PER_SECOND - (ns % NS_PER_SECOND < 0);
        t.nanoseconds = (int32_t)(ns - t.seconds * NS_PER_SECOND);
    }
    time_format(b, &t, VIEW("\"2006-01-02T15:04:05.000Z07:00\""));
}

static void write_texts(struct buffer *b, const struct view *items, size_t count)
{
    buffer_append_byte(b, '[');
    for (size_t i = 0; i < count; i++) {
        if (i)
            buffer_append_byte(b, ',');
        json_string(b, items[i]);
    }
    buffer_append_byte(b, ']');
}

static void write_status(struct buffer *b, const struct alert_view *v)
{
    static const char *const STATES[] = {[ALERT_UNPROCESSED] = "unprocessed",
                                         [ALERT_ACTIVE] = "active",
                                         [ALERT_SUPPRESSED] = "suppressed"};
    buffer_append_byte(b, '{');
    if (v->is_acknowledged) /* ours */
        buffer_append_literal(b, "\"acknowledged\":true,");
    buffer_append_literal(b, "\"inhibitedBy\":[");
    for (size_t i = 0; i < v->inhibited_by_count; i++)
        buffer_printf(b, "%s\"%016" PRIx64 "\"", i ? "," : "", v->inhibited_by[i]);
    buffer_append_literal(b, "],\"mutedBy\":");
    write_texts(b, v->muted_by, v->muted_by_count);
    buffer_append_literal(b, ",\"silencedBy\":");
    write_texts(b, v->silenced_by.items, v->silenced_by.count);
    buffer_printf(b, ",\"state\":\"%s\"}", STATES[v->status]);
}

void alert_json_write(struct buffer *b, const struct alert_view *v)
{
    const struct live_alert *a = v->alert;
    buffer_append_literal(b, "{\"annotations\":");
    api_labels(b, a->annotations);
    buffer_append_literal(b, ",\"endsAt\":");
    alert_json_time(b, a->ends_ns);
    buffer_printf(b, ",\"fingerprint\":\"%016" PRIx64 "\",\"receivers\":[", a->fingerprint);
    for (size_t i = 0; i < v->receiver_count; i++) {
        buffer_append_view(b, i ? VIEW(",{\"name\":") : VIEW("{\"name\":"));
        json_string(b, v->receivers[i]);
        buffer_append_byte(b, '}');
    }
    buffer_append_literal(b, "],\"startsAt\":");
    alert_json_time(b, a->starts_ns);
    buffer_append_literal(b, ",\"status\":");
    write_status(b, v);
    buffer_append_literal(b, ",\"updatedAt\":");
    alert_json_time(b, a->updated_ns);
    if (a->generator_url.len) {
        buffer_append_literal(b, ",\"generatorURL\":");
        json_string(b, a->generator_url);
    }
    buffer_append_literal(b, ",\"labels\":");
    api_labels(b, a->labels);
    buffer_append_byte(b, '}');
}
