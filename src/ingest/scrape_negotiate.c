/* SPDX-License-Identifier: Apache-2.0 */
/* scrape_negotiate.c: see scrape_negotiate.h. Media types are read as Go's mime.ParseMediaType reads them. */
#include "ingest/scrape_negotiate.h"

#include <string.h>

enum { MEDIA_PARAMETERS_MAX = 32 };

static const char *const ESCAPINGS[] = {
    [CONFIG_ESCAPING_UNSET] = "allow-utf-8",       [CONFIG_ESCAPING_ALLOW_UTF8] = "allow-utf-8",
    [CONFIG_ESCAPING_UNDERSCORES] = "underscores", [CONFIG_ESCAPING_DOTS] = "dots",
    [CONFIG_ESCAPING_VALUES] = "values",
};

/* ---- what is asked for ---- */

void scrape_accept(struct buffer *out, const struct config_scrape_job *job)
{
    const struct config_protocols *wanted = &job->scrape_protocols;
    int weight = CONFIG_PROTOCOL_COUNT; /* one more than there are protocols */
    for (size_t i = 0; i < wanted->count; i++) {
        enum config_protocol protocol = wanted->items[i];
        if (protocol == CONFIG_PROTOCOL_PROTOBUF)
            continue; /* not read: config_finish.c says so where it is the only one */
        buffer_printf(out, "%s", config_protocol_media_type(protocol));
        if (protocol == CONFIG_PROTOCOL_OPENMETRICS_1_0_0 || protocol == CONFIG_PROTOCOL_TEXT_1_0_0)
            buffer_printf(out, ";escaping=%s", ESCAPINGS[job->metric_name_escaping_scheme]);
        buffer_printf(out, ";q=0.%d,", weight--);
    }
    buffer_printf(out, "*/*;q=0.%d", weight);
}

/* ---- what came ---- */

/* RFC 7230, 3.2.6. */
static bool is_token_char(char c)
{
    return c > 0x20 && c < 0x7f && !strchr("()<>@,;:\\\"/[]?={}", c);
}

static struct view take_token(struct view *rest)
{
    size_t len = 0;
    while (len < rest->len && is_token_char(rest->ptr[len]))
        len++;
    struct view token = view_slice(*rest, 0, len);
    *rest = view_slice(*rest, len, rest->len);
    return token;
}

static void skip_space(struct view *rest)
{
    while (rest->len && (rest->ptr[0] == ' ' || rest->ptr[0] == '\t'))
        *rest = view_slice(*rest, 1, rest->len);
}

static bool take_char(struct view *rest, char c)
{
    if (rest->len == 0 || rest->ptr[0] != c)
        return false;
    *rest = view_slice(*rest, 1, rest->len);
    return true;
}

/* A token or a quoted string, empty when there is none. */
static bool take_parameter_value(struct view *rest)
{
    if (!take_char(rest, '"'))
        return take_token(rest).len > 0;
    while (rest->len && rest->ptr[0] != '"') {
        if (rest->ptr[0] == '\\' && rest->len > 1)
            *rest = view_slice(*rest, 1, rest->len);
        *rest = view_slice(*rest, 1, rest->len);
    }
    return take_char(rest, '"');
}

/* ";" name "=" value */
static bool take_parameter(struct view *rest, struct view *name)
{
    if (!take_char(rest, ';'))
        return false;
    skip_space(rest);
    *name = take_token(rest);
    skip_space(rest);
    if (name->len == 0 || !take_char(rest, '='))
        return false;
    skip_space(rest);
    return take_parameter_value(rest);
}

/* type "/" subtype {parameter}: no parameter twice. */
static bool media_type_parse(struct view text, struct view *type)
{
    struct view rest = text, names[MEDIA_PARAMETERS_MAX];
    size_t count = 0;
    skip_space(&rest);
    const char *start = rest.ptr;
    if (take_token(&rest).len == 0)
        return false;
    if (take_char(&rest, '/') && take_token(&rest).len == 0)
        return false;
    *type = (struct view){start, (size_t)(rest.ptr - start)};
    skip_space(&rest);
    while (rest.len) {
        struct view name;
        struct view last = rest;
        if (take_char(&last, ';') && (skip_space(&last), last.len == 0))
            return true; /* a semicolon at the end */
        if (!take_parameter(&rest, &name) || count == MEDIA_PARAMETERS_MAX)
            return false;
        for (size_t i = 0; i < count; i++) {
            if (view_eq_any_case(names[i], name))
                return false;
        }
        names[count++] = name;
        skip_space(&rest);
    }
    return true;
}

/* What the job says an answer is in that does not say it itself; `why` when it says nothing. */
static bool fallback(const struct config_scrape_job *job, enum exposition_format *out,
                     const struct error *why, struct error *err)
{
    switch (job->fallback_scrape_protocol) {
    case CONFIG_PROTOCOL_TEXT_0_0_4:
    case CONFIG_PROTOCOL_TEXT_1_0_0:
        *out = EXPOSITION_TEXT;
        return true;
    case CONFIG_PROTOCOL_OPENMETRICS_0_0_1:
    case CONFIG_PROTOCOL_OPENMETRICS_1_0_0:
        *out = EXPOSITION_OPENMETRICS;
        return true;
    case CONFIG_PROTOCOL_PROTOBUF:
        return error_set(err, ERROR_INPUT,
                         "fallback_scrape_protocol %s is one that this version does not read",
                         config_protocol_name(job->fallback_scrape_protocol));
    default:
        *err = *why;
        return false;
    }
}

bool scrape_format(struct view content_type, const struct config_scrape_job *job,
                   enum exposition_format *out, struct error *err)
{
    struct error why;
    struct view type;
    int shown = (int)(content_type.len < 200 ? content_type.len : 200);
    if (content_type.len == 0) {
        error_set(&why, ERROR_INPUT,
                  "non-compliant scrape target sending blank Content-Type and no "
                  "fallback_scrape_protocol specified for target");
        return fallback(job, out, &why, err);
    }
    if (!media_type_parse(content_type, &type)) {
        error_set(&why, ERROR_INPUT,
                  "cannot parse Content-Type \"%.*s\" and no fallback_scrape_protocol for target",
                  shown, content_type.ptr);
        return fallback(job, out, &why, err);
    }
    if (view_eq_any_case(type, VIEW("text/plain"))) {
        *out = EXPOSITION_TEXT;
        return true;
    }
    if (view_eq_any_case(type, VIEW("application/openmetrics-text"))) {
        *out = EXPOSITION_OPENMETRICS;
        return true;
    }
    if (view_eq_any_case(type, VIEW("application/vnd.google.protobuf")))
        return error_set(err, ERROR_INPUT,
                         "received Content-Type \"%.*s\", which was not asked for and which this "
                         "version does not read",
                         shown, content_type.ptr);
    error_set(&why, ERROR_INPUT,
              "received unsupported Content-Type \"%.*s\" and no fallback_scrape_protocol "
              "specified for target",
              shown, content_type.ptr);
    return fallback(job, out, &why, err);
}
