/* SPDX-License-Identifier: Apache-2.0 */
/* otlp.c: spans as an ExportTraceServiceRequest in the JSON mapping of OTLP 1.x: ids are hexadecimal, 64-bit integers are
 * strings, enums are numbers, names are lowerCamelCase.
 *
 *   {"resourceSpans":[{"resource":{"attributes":[A,...]},"scopeSpans":[{"scope":{"name":...,"version":...},"spans":[S,...]}]}]}
 *   A := {"key":...,"value":{"stringValue":...}}      or intValue, doubleValue, boolValue; {} for null
 *   S := {"traceId","spanId","traceState"?,"parentSpanId"?,"flags","name","kind","startTimeUnixNano","endTimeUnixNano",
 *         "attributes"?,"droppedAttributesCount"?,"events"?,"droppedEventsCount"?,"status":{"message"?,"code"?}} */
#include "instrument/line.h"
#include "instrument/request_private.h"

#include <math.h>
#include <string.h>

/* Of a span's flags, above the W3C ones: it is known whether the parent is remote; it is. */
enum { FLAG_REMOTE_KNOWN = 0x100, FLAG_REMOTE = 0x200 };

static void put(struct line *l, const char *text)
{
    line_put(l, text, strlen(text));
}

static void put_double(struct line *l, double v)
{
    put(l, "\"doubleValue\":");
    if (isfinite(v))
        belfry__line_put_double(l, v);
    else
        put(l, isnan(v) ? "\"NaN\"" : v > 0 ? "\"Infinity\"" : "\"-Infinity\"");
}

static void put_any_value(struct line *l, const belfry_field *f)
{
    switch (f->type) {
    case BELFRY_FIELD_STRING:
    case BELFRY_FIELD_SECRET:
    case BELFRY_FIELD_CLEAR:
        put(l, "\"stringValue\":");
        belfry__line_put_value(l, BELFRY_LOG_JSON, f);
        break;
    case BELFRY_FIELD_INT:
    case BELFRY_FIELD_UINT: /* AnyValue has no unsigned integer: what does not fit is text */
        put(l, f->type == BELFRY_FIELD_UINT && f->value.unsigned_integer > INT64_MAX
                   ? "\"stringValue\":\""
                   : "\"intValue\":\"");
        belfry__line_put_value(l, BELFRY_LOG_JSON, f);
        put(l, "\"");
        break;
    case BELFRY_FIELD_DOUBLE:
        put_double(l, f->value.number);
        break;
    case BELFRY_FIELD_BOOL:
        put(l, "\"boolValue\":");
        belfry__line_put_value(l, BELFRY_LOG_JSON, f);
        break;
    case BELFRY_FIELD_NULL:
    default:
        break;
    }
}

static void put_attribute(struct line *l, const belfry_field *f)
{
    put(l, "{\"key\":");
    belfry__line_put_string(l, BELFRY_LOG_JSON, f->key, strlen(f->key), false);
    put(l, ",\"value\":{");
    put_any_value(l, f);
    put(l, "}}");
}

/* Appends a whole element of an array. */
static bool append_element(struct text *out, const struct line *l, size_t bytes_max)
{
    if (l->full || out->len + l->len + 1 > bytes_max)
        return false;
    size_t before = out->len;
    if (before)
        belfry__text_byte(out, ',');
    belfry__text_append(out, l->text, l->len);
    if (!out->failed)
        return true;
    out->len = before;
    out->failed = false;
    return false;
}

bool belfry__otlp_attribute(struct text *out, const belfry_field *field, size_t bytes_max)
{
    struct line l;
    l.len = 0;
    l.full = !field->key;
    if (!l.full)
        put_attribute(&l, field);
    return append_element(out, &l, bytes_max);
}

bool belfry__otlp_event(struct text *out, int64_t time_ns, const char *name,
                        const belfry_field *fields, size_t count, size_t bytes_max)
{
    struct line l;
    l.len = 0;
    l.full = false;
    put(&l, "{\"timeUnixNano\":\"");
    belfry__line_put_unsigned(&l, (uint64_t)time_ns);
    put(&l, "\",\"name\":");
    belfry__line_put_string(&l, BELFRY_LOG_JSON, name, strlen(name), true);
    if (count) {
        put(&l, ",\"attributes\":[");
        for (size_t i = 0, written = 0; i < count; i++) {
            if (!fields[i].key)
                continue;
            if (written++)
                put(&l, ",");
            put_attribute(&l, &fields[i]);
        }
        put(&l, "]");
    }
    put(&l, "}");
    return append_element(out, &l, bytes_max);
}

void belfry__otlp_string(struct text *out, const char *string)
{
    struct line l;
    l.len = 0;
    l.full = false;
    belfry__line_put_string(&l, BELFRY_LOG_JSON, string, strlen(string), true);
    belfry__text_append(out, l.text, l.len);
}

bool belfry__otlp_begin(struct text *out, const belfry_tracer_options *options)
{
    struct text attributes = {0};
    belfry_field service[] = {BELFRY_STR("service.name", options->service_name),
                              BELFRY_STR("service.version", options->service_version),
                              BELFRY_STR("telemetry.sdk.name", "belfry"),
                              BELFRY_STR("telemetry.sdk.language", "c"),
                              BELFRY_STR("telemetry.sdk.version", BELFRY_VERSION)};
    bool ok = true;
    for (size_t i = 0; i < ARRAY_COUNT(service); i++) {
        if (service[i].value.string)
            ok = belfry__otlp_attribute(&attributes, &service[i], TEXT_BYTES_MAX) && ok;
    }
    for (size_t i = 0; i < options->resource_count; i++)
        ok = belfry__otlp_attribute(&attributes, &options->resource[i], TEXT_BYTES_MAX) && ok;
    belfry__text_string(out, "{\"resourceSpans\":[{\"resource\":{\"attributes\":[");
    belfry__text_append(out, attributes.ptr, attributes.len);
    belfry__text_string(out, "]},\"scopeSpans\":[{\"scope\":{\"name\":\"belfry\",\"version\":\"");
    belfry__text_string(out, BELFRY_VERSION);
    belfry__text_string(out, "\"},\"spans\":[");
    out->failed = out->failed || attributes.failed;
    ok = ok || attributes.failed;
    belfry__text_deinit(&attributes);
    return ok;
}

void belfry__otlp_end(struct text *out)
{
    belfry__text_string(out, "]}]}]}");
}

static void append_time(struct text *out, const char *key, int64_t time_ns)
{
    belfry__text_string(out, key);
    belfry__text_unsigned(out, (uint64_t)time_ns);
    belfry__text_byte(out, '"');
}

static void append_array(struct text *out, const char *key, const struct text *members,
                         const char *dropped_key, uint32_t dropped)
{
    if (members->len) {
        belfry__text_string(out, key);
        belfry__text_append(out, members->ptr, members->len);
        belfry__text_byte(out, ']');
    }
    if (dropped) {
        belfry__text_string(out, dropped_key);
        belfry__text_unsigned(out, dropped);
    }
}

static void append_status(struct text *out, const belfry_span *s)
{
    belfry__text_string(out, ",\"status\":{");
    if (s->message.len) {
        belfry__text_string(out, "\"message\":");
        belfry__text_append(out, s->message.ptr, s->message.len);
        belfry__text_byte(out, ',');
    }
    if (s->status) {
        belfry__text_string(out, "\"code\":");
        belfry__text_unsigned(out, (uint64_t)s->status);
    }
    belfry__text_byte(out, '}');
}

void belfry__otlp_span(struct text *out, const belfry_span *s, bool is_first)
{
    static const uint8_t NONE[8];
    char hex[TRACE_ID_HEX_BYTES];
    bool has_parent = memcmp(s->parent_id, NONE, sizeof NONE) != 0;
    belfry__text_string(out, is_first ? "{\"traceId\":\"" : ",{\"traceId\":\"");
    belfry__hex(hex, s->context.trace_id, sizeof s->context.trace_id);
    belfry__text_string(out, hex);
    belfry__text_string(out, "\",\"spanId\":\"");
    belfry__hex(hex, s->context.span_id, sizeof s->context.span_id);
    belfry__text_string(out, hex);
    if (s->tracestate) {
        belfry__text_string(out, "\",\"traceState\":");
        belfry__text_string(out, s->tracestate);
    } else {
        belfry__text_byte(out, '"');
    }
    if (has_parent) {
        belfry__text_string(out, ",\"parentSpanId\":\"");
        belfry__hex(hex, s->parent_id, sizeof s->parent_id);
        belfry__text_string(out, hex);
        belfry__text_byte(out, '"');
    }
    belfry__text_string(out, ",\"flags\":");
    belfry__text_unsigned(out, s->context.flags | FLAG_REMOTE_KNOWN |
                                   (s->is_parent_remote ? FLAG_REMOTE : 0));
    belfry__text_string(out, ",\"name\":");
    belfry__otlp_string(out, s->name);
    belfry__text_string(out, ",\"kind\":");
    belfry__text_unsigned(out, (uint64_t)s->kind);
    append_time(out, ",\"startTimeUnixNano\":\"", s->start_ns);
    append_time(out, ",\"endTimeUnixNano\":\"", s->end_ns);
    append_array(out, ",\"attributes\":[", &s->attributes,
                 ",\"droppedAttributesCount\":", s->attributes_dropped);
    append_array(out, ",\"events\":[", &s->events, ",\"droppedEventsCount\":", s->events_dropped);
    append_status(out, s);
    belfry__text_byte(out, '}');
}

/* The answer is looked at, not parsed: the key, then what may be between it and its digits. A wrong answer gives a wrong
 * statistic and nothing else. */
uint64_t belfry__otlp_rejected(const char *body, size_t len)
{
    static const char KEY[] = "\"rejectedSpans\"";
    const char *p = memmem(body, len, KEY, sizeof KEY - 1), *end = body + len;
    uint64_t n = 0;
    if (!p)
        return 0;
    for (p += sizeof KEY - 1; p < end && strchr(" \t\r\n:\"", *p) && *p; p++)
        ;
    for (; p < end && *p >= '0' && *p <= '9' && n < UINT64_MAX / 100; p++)
        n = n * 10 + (uint64_t)(*p - '0');
    return n;
}
