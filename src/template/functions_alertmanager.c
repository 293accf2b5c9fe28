/* SPDX-License-Identifier: Apache-2.0 */
/* functions_alertmanager.c: what Alertmanager gives to the templates of notifications. */
#include "base/base64.h"
#include "base/quote.h"
#include "base/timezone.h"
#include "base/utf8.h"
#include "template/escape.h"
#include "template/exec_private.h"
#include "template/format.h"
#include "template/functions_common.h"
#include "template/letters.h"
#include "template/time_value.h"
#include "template/to_json.h"

#include <unictype.h>

/* --- texts --- */

static bool function_title(struct template_call *call, const struct template_value *args,
                           size_t count, struct template_value *out)
{
    size_t mark = scratch_begin(call);
    letters_title(&call->scratch, args[0].text, true);
    return scratch_take_value(call, mark, out);
}

/* The length of the space that a text begins with. */
static size_t space_prefix(struct view text)
{
    size_t pos = 0;
    for (size_t next = 0; pos < text.len; pos = next) {
        uint32_t code = utf8_next(text, &next);
        if (code == UINT32_MAX || !uc_is_property_white_space(code))
            break;
    }
    return pos;
}

static bool function_trim_space(struct template_call *call, const struct template_value *args,
                                size_t count, struct template_value *out)
{
    struct view text = args[0].text;
    size_t start = space_prefix(text), end = start;
    for (size_t pos = start; pos < text.len;) {
        size_t space = space_prefix(view_slice(text, pos, text.len));
        pos += space;
        if (pos < text.len) {
            utf8_next(text, &pos);
            end = pos;
        }
    }
    *out = template_string(view_slice(text, start, end));
    return true;
}

/* join SEPARATOR LIST. */
static bool function_join(struct template_call *call, const struct template_value *args,
                          size_t count, struct template_value *out)
{
    *out = template_string(VIEW(""));
    if (!args[1].type)
        return true;
    if (args[1].type->kind != TEMPLATE_LIST)
        return template_call_error(call, "join expects a slice or array, got %s",
                                   args[1].type->name);
    size_t mark = scratch_begin(call);
    for (size_t i = 0; i < args[1].list.count; i++) {
        if (i)
            buffer_append_view(&call->scratch, args[0].text);
        if (!format_value(call, &call->scratch, &args[1].list.items[i]))
            return false;
    }
    return scratch_take_value(call, mark, out);
}

static bool function_safe_url(struct template_call *call, const struct template_value *args,
                              size_t count, struct template_value *out)
{
    *out = args[0];
    out->type = &TEMPLATE_TYPE_URL;
    return true;
}

static bool function_url_unescape(struct template_call *call, const struct template_value *args,
                                  size_t count, struct template_value *out)
{
    struct view bad;
    size_t mark = scratch_begin(call);
    if (escape_query_undo(&call->scratch, args[0].text, &bad))
        return scratch_take_value(call, mark, out);
    call->scratch.len = mark;
    struct view shown;
    quote_append(&call->scratch, bad);
    return scratch_take(call, mark, &shown) &&
           template_call_error(call, "invalid URL escape %.*s", VIEW_ARGS(shown));
}

static bool function_base64_encode(struct template_call *call, const struct template_value *args,
                                   size_t count, struct template_value *out)
{
    size_t mark = scratch_begin(call);
    base64_url_encode(&call->scratch, args[0].text);
    return scratch_take_value(call, mark, out);
}

static bool function_base64_decode(struct template_call *call, const struct template_value *args,
                                   size_t count, struct template_value *out)
{
    size_t mark = scratch_begin(call), bad_at;
    if (!base64_url_decode(&call->scratch, args[0].text, &bad_at))
        return template_call_error(call, "illegal base64 data at input byte %zu", bad_at);
    return scratch_take_value(call, mark, out);
}

static bool function_to_json(struct template_call *call, const struct template_value *args,
                             size_t count, struct template_value *out)
{
    size_t mark = scratch_begin(call);
    return to_json(call, &call->scratch, &args[0]) && scratch_take_value(call, mark, out);
}

/* --- lists and maps --- */

static bool copy_items(struct template_call *call, const struct template_value *a, size_t a_count,
                       const struct template_value *b, size_t b_count,
                       const struct template_type *type, struct template_value *out)
{
    struct template_value *items = template_call_alloc(call, (a_count + b_count) * sizeof(*items));
    if (!items || !call_charge(call, (a_count + b_count) / 8))
        return false;
    if (a_count)
        memcpy(items, a, a_count * sizeof(*items));
    if (b_count)
        memcpy(items + a_count, b, b_count * sizeof(*items));
    *out = template_list(type, items, a_count + b_count);
    return true;
}

static bool function_string_slice(struct template_call *call, const struct template_value *args,
                                  size_t count, struct template_value *out)
{
    return copy_items(call, args, count, NULL, 0, &TEMPLATE_TYPE_STRINGS, out);
}

static bool function_list(struct template_call *call, const struct template_value *args,
                          size_t count, struct template_value *out)
{
    return copy_items(call, args, count, NULL, 0, &TEMPLATE_TYPE_ANYS, out);
}

/* append LIST ITEM... */
static bool function_append(struct template_call *call, const struct template_value *args,
                            size_t count, struct template_value *out)
{
    return copy_items(call, args[0].list.items, args[0].list.count, args + 1, count - 1,
                      &TEMPLATE_TYPE_ANYS, out);
}

/* dict KEY VALUE...; the last of equal keys stays. */
static bool function_dict(struct template_call *call, const struct template_value *args,
                          size_t count, struct template_value *out)
{
    if (count % 2)
        return template_call_error(call, "dict requires an even number of arguments");
    struct template_pair *pairs = template_call_alloc(call, count / 2 * sizeof(*pairs));
    size_t kept = 0;
    if (!pairs || !call_charge(call, count * count / 64))
        return false;
    for (size_t i = 0; i < count; i += 2) {
        size_t at = 0;
        if (args[i].type != &TEMPLATE_TYPE_STRING)
            return template_call_error(call, "dict keys must be strings");
        while (at < kept && !view_eq(pairs[at].key, args[i].text))
            at++;
        pairs[at] = (struct template_pair){args[i].text, args[i + 1]};
        kept += at == kept;
    }
    *out = template_map(&TEMPLATE_TYPE_ANY_MAP, pairs, kept);
    return true;
}

/* --- times --- */

static bool function_date(struct template_call *call, const struct template_value *args,
                          size_t count, struct template_value *out)
{
    size_t mark = scratch_begin(call);
    time_format(&call->scratch, args[1].time, args[0].text);
    return scratch_take_value(call, mark, out);
}

/* tz NAME TIME. */
static bool function_tz(struct template_call *call, const struct template_value *args, size_t count,
                        struct template_value *out)
{
    struct timezone_data *zone;
    struct timezone_at at;
    struct error err;
    struct template_time t = *args[1].time;
    if (!call_charge(call, 1000)) /* a file is read */
        return false;
    if (!timezone_open(&zone, args[0].text, &err))
        return template_call_error(call, "%s", err.message);
    timezone_find(zone, t.seconds, &at);
    timezone_free(zone);
    t.offset_seconds = at.offset_seconds;
    t.zone = template_call_copy(call, view_from(at.name));
    return t.zone.ptr && time_value(call, &t, out);
}

static struct template_time now_of(const struct template_call *call)
{
    int64_t ms = call->run->now.ms, rest = (ms % 1000 + 1000) % 1000;
    return (struct template_time){(ms - rest) / 1000, (int32_t)rest * 1000000, 0, VIEW("UTC")};
}

static bool function_now(struct template_call *call, const struct template_value *args,
                         size_t count, struct template_value *out)
{
    struct template_time t = now_of(call);
    return time_value(call, &t, out);
}

static bool function_since(struct template_call *call, const struct template_value *args,
                           size_t count, struct template_value *out)
{
    struct template_time t = now_of(call);
    *out = duration_value(time_difference(&t, args[0].time));
    return true;
}

/* toDate LAYOUT TEXT: Go's zero time where it is no date. */
static bool function_to_date(struct template_call *call, const struct template_value *args,
                             size_t count, struct template_value *out)
{
    struct template_time t;
    if (!time_parse(&t, args[0].text, args[1].text))
        t = (struct template_time){TEMPLATE_TIME_ZERO_SECONDS, 0, 0, VIEW("UTC")};
    return time_value(call, &t, out);
}

static bool function_must_to_date(struct template_call *call, const struct template_value *args,
                                  size_t count, struct template_value *out)
{
    struct template_time t;
    if (!time_parse(&t, args[0].text, args[1].text))
        return template_call_error(call, "parsing time \"%.*s\" as \"%.*s\": cannot parse",
                                   VIEW_ARGS(view_slice(args[1].text, 0, 100)),
                                   VIEW_ARGS(view_slice(args[0].text, 0, 100)));
    return time_value(call, &t, out);
}

/* addDuration "1h30m" TIME: milliseconds since 1970. */
static bool function_add_duration(struct template_call *call, const struct template_value *args,
                                  size_t count, struct template_value *out)
{
    int64_t ns, ms;
    const struct template_time *t = args[1].time;
    if (!go_duration_parse(args[0].text, &ns))
        return template_call_error(call, "time: invalid duration \"%.*s\"",
                                   VIEW_ARGS(view_slice(args[0].text, 0, 100)));
    int64_t rest = t->nanoseconds + ns % 1000000000;
    int64_t seconds = t->seconds + ns / 1000000000;
    if (rest < 0) {
        rest += 1000000000;
        seconds--;
    }
    if (__builtin_mul_overflow(seconds, (int64_t)1000, &ms))
        return template_call_error(call, "time out of range");
    *out = template_int(ms + rest / 1000000);
    return true;
}

#define ANY &TEMPLATE_TYPE_ANY
#define STRING &TEMPLATE_TYPE_STRING
#define TIME &TEMPLATE_TYPE_TIME

static const struct template_function ITEMS[] = {
    {"toUpper", function_to_upper, {STRING}, 1, false},
    {"toLower", function_to_lower, {STRING}, 1, false},
    {"title", function_title, {STRING}, 1, false},
    {"trimSpace", function_trim_space, {STRING}, 1, false},
    {"join", function_join, {STRING, ANY}, 2, false},
    {"match", function_match, {STRING, STRING}, 2, false},
    {"safeHtml", function_safe_html, {STRING}, 1, false},
    {"safeUrl", function_safe_url, {STRING}, 1, false},
    {"urlUnescape", function_url_unescape, {STRING}, 1, false},
    {"reReplaceAll", function_re_replace_all, {STRING, STRING, STRING}, 3, false},
    {"stringSlice", function_string_slice, {STRING}, 1, true},
    {"date", function_date, {STRING, TIME}, 2, false},
    {"tz", function_tz, {STRING, TIME}, 2, false},
    {"now", function_now, {NULL}, 0, false},
    {"since", function_since, {TIME}, 1, false},
    {"humanizeDuration", function_humanize_duration, {ANY}, 1, false},
    {"toDate", function_to_date, {STRING, STRING}, 2, false},
    {"mustToDate", function_must_to_date, {STRING, STRING}, 2, false},
    {"addDuration", function_add_duration, {STRING, TIME}, 2, false},
    {"toJson", function_to_json, {ANY}, 1, false},
    {"base64encode", function_base64_encode, {STRING}, 1, false},
    {"base64decode", function_base64_decode, {STRING}, 1, false},
    {"list", function_list, {ANY}, 1, true},
    {"append", function_append, {&TEMPLATE_TYPE_ANYS, ANY}, 2, true},
    {"dict", function_dict, {ANY}, 1, true},
};

const struct template_functions TEMPLATE_ALERTMANAGER = {ITEMS, ARRAY_COUNT(ITEMS)};
