/* SPDX-License-Identifier: Apache-2.0 */
/* functions_prometheus.c: what Prometheus gives to the templates of rules and consoles. */
#include "base/duration.h"
#include "base/quote.h"
#include "template/escape.h"
#include "template/exec_private.h"
#include "template/format.h"
#include "template/functions_common.h"
#include "template/letters.h"
#include "template/time_value.h"

#include <arpa/inet.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* --- queries --- */

static const struct template_field SAMPLE_FIELDS[] = {{"Labels", "Labels"}, {"Value", "Value"}};

const struct template_type TEMPLATE_TYPE_SAMPLE = {.kind = TEMPLATE_STRUCT,
                                                   .name = "*template.sample",
                                                   .fields = SAMPLE_FIELDS,
                                                   .field_count = 2},
                           TEMPLATE_TYPE_SAMPLES = {.kind = TEMPLATE_LIST,
                                                    .name = "template.queryResult",
                                                    .element = &TEMPLATE_TYPE_SAMPLE};

/* What a query brought: as allocated by whoever answered it. */
static bool charge_samples(struct template_call *call, const struct template_sample *samples,
                           size_t count)
{
    size_t bytes = 0;
    for (size_t i = 0; i < count; i++) {
        bytes += sizeof samples[i] + samples[i].label_count * sizeof *samples[i].labels;
        for (size_t k = 0; k < samples[i].label_count; k++)
            bytes += samples[i].labels[k].key.len + samples[i].labels[k].value.text.len;
    }
    return call_take_memory(call, bytes) && call_charge(call, 100 + count);
}

static bool function_query(struct template_call *call, const struct template_value *args,
                           size_t count, struct template_value *out)
{
    const struct template_run *run = call->run;
    const struct template_sample *samples = NULL;
    struct error err;
    size_t sample_count = 0;
    if (!run->query)
        return template_call_error(call, "there are no queries here");
    if (!run->query(run->query_arg, run->arena, args[0].text, &samples, &sample_count, &err))
        return template_call_error(call, "%s", err.message);
    if (!charge_samples(call, samples, sample_count))
        return false;
    struct template_value *items = template_call_alloc(call, sample_count * 3 * sizeof(*items));
    if (!items)
        return false;
    struct template_value *fields = items + sample_count;
    for (size_t i = 0; i < sample_count; i++, fields += 2) {
        struct template_pair *pairs =
            template_call_alloc(call, samples[i].label_count * sizeof(*pairs));
        if (!pairs)
            return false;
        if (samples[i].label_count)
            memcpy(pairs, samples[i].labels, samples[i].label_count * sizeof(*pairs));
        fields[0] = template_map(&TEMPLATE_TYPE_STRING_MAP, pairs, samples[i].label_count);
        fields[1] = template_float(samples[i].value);
        items[i] = template_struct(&TEMPLATE_TYPE_SAMPLE, fields);
    }
    *out = template_list(&TEMPLATE_TYPE_SAMPLES, items, sample_count);
    return true;
}

static bool function_first(struct template_call *call, const struct template_value *args,
                           size_t count, struct template_value *out)
{
    if (args[0].list.count == 0)
        return template_call_error(call, "first() called on vector with no elements");
    *out = args[0].list.items[0];
    return true;
}

static struct view label_of(const struct template_value *sample, struct view name)
{
    const struct template_value *found = template_map_find(&sample->fields[0], name);
    return found ? found->text : VIEW("");
}

static bool function_label(struct template_call *call, const struct template_value *args,
                           size_t count, struct template_value *out)
{
    *out = template_string(label_of(&args[1], args[0].text));
    return true;
}

static bool function_value(struct template_call *call, const struct template_value *args,
                           size_t count, struct template_value *out)
{
    *out = args[0].fields[1];
    return true;
}

static bool function_strvalue(struct template_call *call, const struct template_value *args,
                              size_t count, struct template_value *out)
{
    *out = template_string(label_of(&args[0], VIEW("__value__")));
    return true;
}

struct keyed {
    struct view key;
    size_t idx;
};

static int keyed_order(const void *a, const void *b)
{
    const struct keyed *x = a, *y = b;
    int order = view_cmp(x->key, y->key);
    return order ? order : (x->idx > y->idx) - (x->idx < y->idx);
}

static bool function_sort_by_label(struct template_call *call, const struct template_value *args,
                                   size_t count, struct template_value *out)
{
    size_t n = args[1].list.count;
    struct template_value *items = template_call_alloc(call, n * sizeof(*items));
    struct keyed *order = items ? template_call_alloc(call, n * sizeof(*order)) : NULL;
    if (!order || !call_charge(call, n * 10))
        return false;
    for (size_t i = 0; i < n; i++)
        order[i] = (struct keyed){label_of(&args[1].list.items[i], args[0].text), i};
    if (n)
        qsort(order, n, sizeof(*order), keyed_order);
    for (size_t i = 0; i < n; i++)
        items[i] = args[1].list.items[order[i].idx];
    *out = template_list(&TEMPLATE_TYPE_SAMPLES, items, n);
    return true;
}

/* --- texts --- */

static bool function_title(struct template_call *call, const struct template_value *args,
                           size_t count, struct template_value *out)
{
    size_t mark = scratch_begin(call);
    letters_title(&call->scratch, args[0].text, false);
    return scratch_take_value(call, mark, out);
}

/* args A B ...: a map of arg0, arg1, ... */
static bool function_args(struct template_call *call, const struct template_value *args,
                          size_t count, struct template_value *out)
{
    struct template_pair *pairs = template_call_alloc(call, count * sizeof(*pairs));
    if (!pairs)
        return false;
    for (size_t i = 0; i < count; i++) {
        char name[32];
        int len = snprintf(name, sizeof(name), "arg%zu", i);
        pairs[i].key = template_call_copy(call, (struct view){name, (size_t)len});
        if (!pairs[i].key.ptr)
            return false;
        pairs[i].value = args[i];
    }
    *out = template_map(&TEMPLATE_TYPE_ANY_MAP, pairs, count);
    return true;
}

static bool append_link(struct template_call *call, struct view expr, int tab,
                        struct template_value *out)
{
    size_t mark = scratch_begin(call);
    buffer_append_literal(&call->scratch, "/graph?g0.expr=");
    escape_query(&call->scratch, expr);
    buffer_printf(&call->scratch, "&g0.tab=%d", tab);
    return scratch_take_value(call, mark, out);
}

static bool function_graph_link(struct template_call *call, const struct template_value *args,
                                size_t count, struct template_value *out)
{
    return append_link(call, args[0].text, 0, out);
}

static bool function_table_link(struct template_call *call, const struct template_value *args,
                                size_t count, struct template_value *out)
{
    return append_link(call, args[0].text, 1, out);
}

static bool function_url_query_escape(struct template_call *call, const struct template_value *args,
                                      size_t count, struct template_value *out)
{
    size_t mark = scratch_begin(call);
    escape_query(&call->scratch, args[0].text);
    return scratch_take_value(call, mark, out);
}

static bool function_external_url(struct template_call *call, const struct template_value *args,
                                  size_t count, struct template_value *out)
{
    *out = template_string(call->run->external_url);
    return true;
}

static bool function_path_prefix(struct template_call *call, const struct template_value *args,
                                 size_t count, struct template_value *out)
{
    struct view url = call->run->external_url;
    const char *scheme = url.len ? memmem(url.ptr, url.len, "://", 3) : NULL;
    if (scheme)
        url = view_slice(url, (size_t)(scheme - url.ptr) + 3, url.len);
    size_t start = 0;
    while (scheme && start < url.len && !strchr("/?#", url.ptr[start]))
        start++;
    size_t end = start;
    while (end < url.len && !strchr("?#", url.ptr[end]))
        end++;
    *out = template_string(view_slice(url, start, end));
    return true;
}

/* --- hosts --- */

/* "host:port" or "[host]:port" as Go's net.SplitHostPort takes them; false where it refuses. */
static bool split_host_port(struct view text, struct view *host, struct view *port)
{
    const char *colon = text.len ? memrchr(text.ptr, ':', text.len) : NULL;
    if (!colon)
        return false;
    size_t at = (size_t)(colon - text.ptr), behind = 0;
    if (text.ptr[0] == '[') {
        const char *end = memchr(text.ptr, ']', text.len);
        if (!end || end + 1 != colon)
            return false;
        *host = view_slice(text, 1, (size_t)(end - text.ptr));
        behind = (size_t)(end - text.ptr) + 1;
        if (memchr(host->ptr, '[', host->len))
            return false;
    } else {
        *host = view_slice(text, 0, at);
        if (memchr(text.ptr, ':', at) || memchr(text.ptr, '[', text.len))
            return false;
    }
    if (memchr(text.ptr + behind, '[', text.len - behind) ||
        memchr(text.ptr + behind, ']', text.len - behind))
        return false;
    *port = view_slice(text, at + 1, text.len);
    return true;
}

static bool function_strip_port(struct template_call *call, const struct template_value *args,
                                size_t count, struct template_value *out)
{
    struct view host, port;
    *out = template_string(split_host_port(args[0].text, &host, &port) ? host : args[0].text);
    return true;
}

static bool is_address(struct view host)
{
    char text[64];
    unsigned char address[16];
    const char *zone = host.len ? memchr(host.ptr, '%', host.len) : NULL;
    size_t len = zone ? (size_t)(zone - host.ptr) : host.len;
    if (len >= sizeof(text) || len == 0)
        return false;
    memcpy(text, host.ptr, len);
    text[len] = '\0';
    return inet_pton(AF_INET6, text, address) == 1 ||
           (!zone && inet_pton(AF_INET, text, address) == 1);
}

static bool function_strip_domain(struct template_call *call, const struct template_value *args,
                                  size_t count, struct template_value *out)
{
    struct view host, port = {"", 0};
    *out = args[0];
    if (!split_host_port(args[0].text, &host, &port))
        host = args[0].text;
    if (is_address(host))
        return true;
    const char *dot = host.len ? memchr(host.ptr, '.', host.len) : NULL;
    if (dot)
        host = view_slice(host, 0, (size_t)(dot - host.ptr));
    if (port.len == 0) {
        *out = template_string(host);
        return true;
    }
    size_t mark = scratch_begin(call);
    bool brackets = host.len && memchr(host.ptr, ':', host.len);
    buffer_append(&call->scratch, "[", brackets);
    buffer_append_view(&call->scratch, host);
    buffer_append(&call->scratch, "]", brackets);
    buffer_append_byte(&call->scratch, ':');
    buffer_append_view(&call->scratch, port);
    return scratch_take_value(call, mark, out);
}

/* --- numbers --- */

/* v with four digits, divided by `base` while it is at least that, and the prefix that says how often. */
static bool scaled(struct template_call *call, double v, double base, const char *const *prefixes,
                   struct template_value *out)
{
    size_t mark = scratch_begin(call);
    const char *prefix = "";
    for (size_t i = 0; isfinite(v) && fabs(v) >= base && prefixes[i]; i++) {
        prefix = prefixes[i];
        v /= base;
    }
    format_float(&call->scratch, v, 4);
    buffer_append_view(&call->scratch, view_from(prefix));
    return scratch_take_value(call, mark, out);
}

static bool function_humanize(struct template_call *call, const struct template_value *args,
                              size_t count, struct template_value *out)
{
    static const char *const LARGE[] = {"k", "M", "G", "T", "P", "E", "Z", "Y", NULL};
    static const char *const SMALL[] = {"m", "u", "n", "p", "f", "a", "z", "y", NULL};
    double v;
    if (!convert_to_float(call, &args[0], &v))
        return false;
    if (v == 0 || !isfinite(v) || fabs(v) >= 1)
        return scaled(call, v, 1000, LARGE, out);
    size_t mark = scratch_begin(call);
    const char *prefix = "";
    for (size_t i = 0; fabs(v) < 1 && SMALL[i]; i++) {
        prefix = SMALL[i];
        v *= 1000;
    }
    format_float(&call->scratch, v, 4);
    buffer_append_view(&call->scratch, view_from(prefix));
    return scratch_take_value(call, mark, out);
}

static bool function_humanize_1024(struct template_call *call, const struct template_value *args,
                                   size_t count, struct template_value *out)
{
    static const char *const PREFIXES[] = {"ki", "Mi", "Gi", "Ti", "Pi", "Ei", "Zi", "Yi", NULL};
    double v;
    return convert_to_float(call, &args[0], &v) && scaled(call, v, 1024, PREFIXES, out);
}

static bool function_humanize_percentage(struct template_call *call,
                                         const struct template_value *args, size_t count,
                                         struct template_value *out)
{
    double v;
    if (!convert_to_float(call, &args[0], &v))
        return false;
    size_t mark = scratch_begin(call);
    format_float(&call->scratch, v * 100, 4);
    buffer_append_byte(&call->scratch, '%');
    return scratch_take_value(call, mark, out);
}

/* --- times --- */

/* Seconds since 1970 as a time, in whole milliseconds. */
static bool time_from_float(struct template_call *call, double v, struct template_time *out)
{
    if (!isfinite(v))
        return template_call_error(call, "value is NaN or Inf");
    double ns = v * 1e9;
    if (ns >= 9223372036854775808.0 || ns < -9223372036854775808.0) {
        size_t mark = scratch_begin(call);
        struct template_value number = template_float(v);
        struct view shown;
        return format_value(call, &call->scratch, &number) && scratch_take(call, mark, &shown) &&
               template_call_error(call,
                                   "%.*s cannot be represented as a nanoseconds timestamp since "
                                   "it overflows int64",
                                   VIEW_ARGS(shown));
    }
    int64_t ms = (int64_t)ns / 1000000, seconds = ms / 1000, rest = ms % 1000;
    if (rest < 0) {
        rest += 1000;
        seconds--;
    }
    *out = (struct template_time){seconds, (int32_t)rest * 1000000, 0, VIEW("UTC")};
    return true;
}

static bool function_humanize_timestamp(struct template_call *call,
                                        const struct template_value *args, size_t count,
                                        struct template_value *out)
{
    struct template_time t;
    double v;
    if (!convert_to_float(call, &args[0], &v))
        return false;
    size_t mark = scratch_begin(call);
    if (!isfinite(v))
        format_float(&call->scratch, v, 4);
    else if (!time_from_float(call, v, &t))
        return false;
    else
        time_format_default(&call->scratch, &t);
    return scratch_take_value(call, mark, out);
}

static bool function_to_time(struct template_call *call, const struct template_value *args,
                             size_t count, struct template_value *out)
{
    struct template_time t;
    double v;
    return convert_to_float(call, &args[0], &v) && time_from_float(call, v, &t) &&
           time_value(call, &t, out);
}

static bool function_to_duration(struct template_call *call, const struct template_value *args,
                                 size_t count, struct template_value *out)
{
    double v;
    if (!convert_to_float(call, &args[0], &v))
        return false;
    double ns = v * 1e9; /* what has no place in int64 is its least value, as amd64 converts it */
    bool fits = ns >= -9223372036854775808.0 && ns < 9223372036854775808.0;
    *out = duration_value(fits ? (int64_t)ns : INT64_MIN);
    return true;
}

static bool function_now(struct template_call *call, const struct template_value *args,
                         size_t count, struct template_value *out)
{
    *out = template_float((double)call->run->now.ms / 1000.0);
    return true;
}

static bool function_parse_duration(struct template_call *call, const struct template_value *args,
                                    size_t count, struct template_value *out)
{
    struct view text = args[0].text;
    struct error err;
    int64_t ms;
    bool negative = text.len && text.ptr[0] == '-';
    if (negative)
        text = view_slice(text, 1, text.len);
    if (text.len == 0)
        return template_call_error(call, "empty duration string");
    if (!duration_parse(text, &ms, &err)) {
        struct view shown;
        size_t mark = scratch_begin(call);
        quote_append(&call->scratch, view_slice(text, 0, 200));
        return scratch_take(call, mark, &shown) &&
               template_call_error(call, "not a valid duration string: %.*s", VIEW_ARGS(shown));
    }
    *out = template_float((double)(negative ? -ms : ms) / 1000.0);
    return true;
}

#define ANY &TEMPLATE_TYPE_ANY
#define STRING &TEMPLATE_TYPE_STRING
#define SAMPLE &TEMPLATE_TYPE_SAMPLE
#define SAMPLES &TEMPLATE_TYPE_SAMPLES

static const struct template_function ITEMS[] = {
    {"query", function_query, {STRING}, 1, false},
    {"first", function_first, {SAMPLES}, 1, false},
    {"label", function_label, {STRING, SAMPLE}, 2, false},
    {"value", function_value, {SAMPLE}, 1, false},
    {"strvalue", function_strvalue, {SAMPLE}, 1, false},
    {"sortByLabel", function_sort_by_label, {STRING, SAMPLES}, 2, false},
    {"args", function_args, {ANY}, 1, true},
    {"title", function_title, {STRING}, 1, false},
    {"toUpper", function_to_upper, {STRING}, 1, false},
    {"toLower", function_to_lower, {STRING}, 1, false},
    {"match", function_match, {STRING, STRING}, 2, false},
    {"reReplaceAll", function_re_replace_all, {STRING, STRING, STRING}, 3, false},
    {"safeHtml", function_safe_html, {STRING}, 1, false},
    {"graphLink", function_graph_link, {STRING}, 1, false},
    {"tableLink", function_table_link, {STRING}, 1, false},
    {"urlQueryEscape", function_url_query_escape, {STRING}, 1, false},
    {"externalURL", function_external_url, {NULL}, 0, false},
    {"pathPrefix", function_path_prefix, {NULL}, 0, false},
    {"stripPort", function_strip_port, {STRING}, 1, false},
    {"stripDomain", function_strip_domain, {STRING}, 1, false},
    {"humanize", function_humanize, {ANY}, 1, false},
    {"humanize1024", function_humanize_1024, {ANY}, 1, false},
    {"humanizeDuration", function_humanize_duration, {ANY}, 1, false},
    {"humanizePercentage", function_humanize_percentage, {ANY}, 1, false},
    {"humanizeTimestamp", function_humanize_timestamp, {ANY}, 1, false},
    {"toTime", function_to_time, {ANY}, 1, false},
    {"toDuration", function_to_duration, {ANY}, 1, false},
    {"now", function_now, {NULL}, 0, false},
    {"parseDuration", function_parse_duration, {STRING}, 1, false},
};

/* tmpl NAME DATA: the template of that name as HTML, where the name is known only when it runs. */
static bool function_tmpl(struct template_call *call, const struct template_value *args,
                          size_t count, struct template_value *out)
{
    out->type = &TEMPLATE_TYPE_HTML;
    return call_template(call, args[0].text, &args[1], &out->text);
}

static const struct template_function CONSOLE_ITEMS[] = {
    {"tmpl", function_tmpl, {STRING, ANY}, 2, false},
};

const struct template_functions TEMPLATE_CONSOLE = {CONSOLE_ITEMS, ARRAY_COUNT(CONSOLE_ITEMS)};
const struct template_functions TEMPLATE_PROMETHEUS = {ITEMS, ARRAY_COUNT(ITEMS)};
