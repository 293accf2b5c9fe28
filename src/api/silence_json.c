/* SPDX-License-Identifier: Apache-2.0 */
/* silence_json.c: see silence_json.h. */
#include "api/silence_json.h"

#include "api/api_private.h"
#include "base/duration.h"
#include "base/json_write.h"

#include <inttypes.h>
#include <stdlib.h>

static bool is_missing(const json_t *object, const char *name)
{
    const json_t *member = json_object_get(object, name);
    return !member || json_is_null(member);
}

static bool require(const json_t *object, const char *at, const char *name,
                    struct alert_refusal *why)
{
    return !is_missing(object, name) ||
           alert_refuse(why, 422, 602, "%s%s in body is required", at, name);
}

static bool read_flag(const json_t *object, const char *name, size_t idx, bool *out,
                      struct alert_refusal *why)
{
    const json_t *json = json_object_get(object, name);
    if (is_missing(object, name))
        return true;
    if (!json_is_boolean(json)) {
        (void)error_set(&why->err, ERROR_INPUT, "matchers.%zu.%s: true or false was expected", idx,
                        name); /* always false */
        struct error reason = why->err;
        return alert_refuse_body(why, "silence", reason.message);
    }
    *out = json_is_true(json);
    return true;
}

static bool read_matcher(struct arena *arena, const json_t *json, size_t idx, struct matcher *out,
                         struct alert_refusal *why)
{
    char at[40];
    bool is_regex = false, is_equal = true;
    struct view name = {"", 0}, value = {"", 0};
    (void)snprintf(at, sizeof at, "matchers.%zu.", idx);
    if (json_is_null(json))
        return alert_refuse(why, 422, 602, "matchers.%zu in body is required", idx);
    if (!json_is_object(json))
        return alert_refuse_body(why, "silence", "an object was expected as matcher");
    if (!alert_json_text(json, "name", at, &name, &why->err) ||
        !alert_json_text(json, "value", at, &value, &why->err)) {
        struct error reason = why->err;
        return alert_refuse_body(why, "silence", reason.message);
    }
    if (!read_flag(json, "isRegex", idx, &is_regex, why) ||
        !read_flag(json, "isEqual", idx, &is_equal, why) || !require(json, at, "isRegex", why) ||
        !require(json, at, "name", why) || !require(json, at, "value", why))
        return false;
    *out = (struct matcher){.type = is_regex ? (is_equal ? MATCH_REGEX : MATCH_NOT_REGEX)
                                             : (is_equal ? MATCH_EQUAL : MATCH_NOT_EQUAL),
                            .name = arena_copy(arena, name),
                            .value = arena_copy(arena, value)};
    return true;
}

static bool read_matchers(struct arena *arena, const json_t *list, struct silence *out,
                          struct alert_refusal *why)
{
    size_t count = json_array_size(list);
    if (!json_is_array(list))
        return alert_refuse_body(why, "silence", "matchers: a list was expected");
    if (count == 0)
        return alert_refuse(why, 422, 612, "matchers in body should have at least 1 items");
    if (count > SILENCE_MATCHERS_MAX)
        return alert_refuse(why, 400, 0, "silence invalid: %zu matchers, at most %d", count,
                            SILENCE_MATCHERS_MAX);
    struct matcher *items = ARENA_ARRAY(arena, struct matcher, count);
    for (size_t i = 0; i < count; i++)
        if (!read_matcher(arena, json_array_get(list, i), i, &items[i], why))
            return false;
    out->matchers = items;
    out->matcher_count = count;
    return true;
}

/* {"cron": "...", "duration": "2h", "timezone": "Europe/Paris"}, or "rrule" and perhaps "start". */
static bool read_recurrence(struct arena *arena, const json_t *silence,
                            struct silence_recurrence *out, struct error *err)
{
    const json_t *json = json_object_get(silence, "recurrence");
    struct view cron = {"", 0}, rrule = {"", 0}, duration = {"", 0}, zone = {"", 0};
    int64_t ms = 0;
    if (is_missing(silence, "recurrence"))
        return true;
    if (!json_is_object(json))
        return error_set(err, ERROR_INPUT, "recurrence: an object was expected");
    out->anchor_ns = LIVE_ALERT_NEVER;
    if (!alert_json_text(json, "cron", "recurrence.", &cron, err) ||
        !alert_json_text(json, "rrule", "recurrence.", &rrule, err) ||
        !alert_json_text(json, "duration", "recurrence.", &duration, err) ||
        !alert_json_text(json, "timezone", "recurrence.", &zone, err) ||
        !alert_json_read_time(json, "start", "recurrence.", &out->anchor_ns, err))
        return false;
    if ((cron.len > 0) == (rrule.len > 0))
        return error_set(err, ERROR_INPUT, "recurrence: either cron or rrule was expected");
    if (!duration_parse(duration, &ms, err))
        return error_wrap(err, "recurrence.duration");
    if (ms > RECURRENCE_DURATION_MAX_S * 1000)
        return error_set(err, ERROR_INPUT, "recurrence.duration: at most 366 days");
    out->kind = cron.len > 0 ? RECURRENCE_CRON : RECURRENCE_RRULE;
    out->text = arena_copy(arena, cron.len > 0 ? cron : rrule);
    out->timezone = arena_copy(arena, zone);
    out->duration_ns = ms * 1000000;
    return true;
}

static bool read_fields(struct arena *arena, const json_t *json, struct silence *out,
                        struct alert_refusal *why)
{
    static const char *const REQUIRED[] = {"comment", "createdBy", "endsAt", "matchers",
                                           "startsAt"};
    struct view id = {"", 0}, author = {"", 0}, comment = {"", 0};
    *out = (struct silence){.starts_ns = LIVE_ALERT_NEVER,
                            .ends_ns = LIVE_ALERT_NEVER,
                            .window = {LIVE_ALERT_NEVER, LIVE_ALERT_NEVER}};
    if (!json_is_object(json) && !json_is_null(json))
        return alert_refuse_body(why, "silence", "an object was expected");
    if (!alert_json_text(json, "id", "", &id, &why->err) ||
        !alert_json_text(json, "createdBy", "", &author, &why->err) ||
        !alert_json_text(json, "comment", "", &comment, &why->err) ||
        !alert_json_read_time(json, "startsAt", "", &out->starts_ns, &why->err) ||
        !alert_json_read_time(json, "endsAt", "", &out->ends_ns, &why->err) ||
        !alert_json_read_labels(arena, json, "annotations", "", true, &out->annotations,
                                &why->err) ||
        !read_recurrence(arena, json, &out->recurrence, &why->err)) {
        struct error reason = why->err;
        return alert_refuse_body(why, "silence", reason.message);
    }
    for (size_t i = 0; i < ARRAY_COUNT(REQUIRED); i++)
        if (!require(json, "", REQUIRED[i], why))
            return false;
    out->id = arena_copy(arena, id);
    out->created_by = arena_copy(arena, author);
    out->comment = arena_copy(arena, comment);
    return read_matchers(arena, json_object_get(json, "matchers"), out, why);
}

bool silence_json_read(struct arena *arena, struct view body, struct silence *out,
                       struct alert_refusal *why)
{
    struct error reason = {0};
    if (body.len == 0)
        return alert_refuse(why, 422, 602, "silence in body is required");
    if (body.len > SILENCE_BYTES_MAX)
        return alert_refuse_body(why, "silence", "it is larger than 1048576 bytes");
    json_t *json = json_read(body, &reason);
    if (!json) {
        struct error placed = {0};
        (void)error_set(&placed, ERROR_INPUT, "line %" PRIu32 ", column %" PRIu32 ": %s",
                        reason.line, reason.column, reason.message); /* always false */
        return alert_refuse_body(why, "silence", placed.message);
    }
    bool ok = read_fields(arena, json, out, why);
    json_decref(json);
    return ok;
}

bool silence_has_matchers(const struct silence *s, const struct matchers *wanted)
{
    for (size_t i = 0; i < wanted->count; i++) {
        const struct matcher *w = &wanted->items[i];
        bool found = false;
        for (size_t j = 0; j < s->matcher_count && !found; j++) {
            const struct matcher *m = &s->matchers[j];
            found = m->type == w->type && view_eq(m->name, w->name) && view_eq(m->value, w->value);
        }
        if (!found)
            return false;
    }
    return true;
}

static int compare_times(int64_t a, int64_t b)
{
    return (a > b) - (a < b);
}

static int compare_silences(const void *a, const void *b)
{
    static const int ORDER[] = {[SILENCE_ACTIVE] = 0, [SILENCE_PENDING] = 1, [SILENCE_EXPIRED] = 2};
    const struct silence *x = a, *y = b;
    int order = ORDER[x->state] - ORDER[y->state];
    if (order == 0)
        order = x->state == SILENCE_ACTIVE    ? compare_times(x->ends_ns, y->ends_ns)
                : x->state == SILENCE_PENDING ? compare_times(x->starts_ns, y->starts_ns)
                                              : compare_times(y->ends_ns, x->ends_ns);
    return order ? order : view_cmp(x->id, y->id);
}

void silence_list_sort(struct silence_list *list)
{
    if (list->count)
        qsort(list->items, list->count, sizeof *list->items, compare_silences);
}

void silence_json_matchers(struct buffer *b, const struct matcher *items, size_t count)
{
    buffer_append_byte(b, '[');
    for (size_t i = 0; i < count; i++) {
        enum matcher_type type = items[i].type;
        bool is_equal = type == MATCH_EQUAL || type == MATCH_REGEX;
        bool is_regex = type == MATCH_REGEX || type == MATCH_NOT_REGEX;
        buffer_printf(b, "%s{\"isEqual\":%s,\"isRegex\":%s,\"name\":", i ? "," : "",
                      is_equal ? "true" : "false", is_regex ? "true" : "false");
        json_string(b, items[i].name);
        buffer_append_literal(b, ",\"value\":");
        json_string(b, items[i].value);
        buffer_append_byte(b, '}');
    }
    buffer_append_byte(b, ']');
}

void silence_json_window(struct buffer *b, struct silence_window w)
{
    buffer_append_literal(b, "{\"endsAt\":");
    alert_json_time(b, w.end_ns);
    buffer_append_literal(b, ",\"startsAt\":");
    alert_json_time(b, w.begin_ns);
    buffer_append_byte(b, '}');
}

static void write_windows(struct buffer *b, const struct silence *s, int64_t now_ns)
{
    struct silence_window windows[5];
    size_t count;
    struct error ignored;
    if (!silence_preview(s, now_ns, windows, ARRAY_COUNT(windows), &count, &ignored))
        return; /* it is kept, so it was good once: its time zone may be gone from the system */
    buffer_append_literal(b, ",\"windows\":[");
    for (size_t i = 0; i < count; i++) {
        if (i > 0)
            buffer_append_byte(b, ',');
        silence_json_window(b, windows[i]);
    }
    buffer_append_byte(b, ']');
}

/* now_ns: LIVE_ALERT_NEVER: without the next windows. */
static void write_recurrence(struct buffer *b, const struct silence *s, int64_t now_ns)
{
    const struct silence_recurrence *r = &s->recurrence;
    char duration[DURATION_TEXT_BYTES];
    size_t bytes = duration_format(r->duration_ns / 1000000, duration);
    buffer_append_literal(b, ",\"recurrence\":{");
    if (r->kind == RECURRENCE_CRON)
        buffer_append_literal(b, "\"cron\":");
    else
        buffer_append_literal(b, "\"rrule\":");
    json_string(b, r->text);
    buffer_append_literal(b, ",\"duration\":");
    json_string(b, (struct view){duration, bytes});
    buffer_append_literal(b, ",\"timezone\":");
    json_string(b, r->timezone.len ? r->timezone : VIEW("UTC"));
    if (r->kind == RECURRENCE_RRULE && r->anchor_ns != LIVE_ALERT_NEVER) {
        buffer_append_literal(b, ",\"start\":");
        alert_json_time(b, r->anchor_ns);
    }
    if (s->window.begin_ns != LIVE_ALERT_NEVER) {
        buffer_append_literal(b, ",\"window\":");
        silence_json_window(b, s->window);
    }
    if (now_ns != LIVE_ALERT_NEVER)
        write_windows(b, s, now_ns);
    buffer_append_byte(b, '}');
}

void silence_json_write(struct buffer *b, const struct silence *s)
{
    silence_json_write_windows(b, s, LIVE_ALERT_NEVER);
}

void silence_json_write_windows(struct buffer *b, const struct silence *s, int64_t now_ns)
{
    buffer_append_literal(b, "{\"id\":");
    json_string(b, s->id);
    buffer_printf(b, ",\"status\":{\"state\":\"%s\"},\"updatedAt\":", silence_state_name(s->state));
    alert_json_time(b, s->updated_ns);
    if (s->annotations.count) {
        buffer_append_literal(b, ",\"annotations\":");
        api_labels(b, s->annotations);
    }
    buffer_append_literal(b, ",\"comment\":");
    json_string(b, s->comment);
    buffer_append_literal(b, ",\"createdBy\":");
    json_string(b, s->created_by);
    buffer_append_literal(b, ",\"endsAt\":");
    alert_json_time(b, s->ends_ns);
    buffer_append_literal(b, ",\"matchers\":");
    silence_json_matchers(b, s->matchers, s->matcher_count);
    if (s->recurrence.kind != RECURRENCE_NONE)
        write_recurrence(b, s, now_ns);
    buffer_append_literal(b, ",\"startsAt\":");
    alert_json_time(b, s->starts_ns);
    buffer_append_byte(b, '}');
}
