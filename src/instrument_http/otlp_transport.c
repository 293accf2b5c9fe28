/* SPDX-License-Identifier: Apache-2.0 */
/* otlp_transport.c: belfry_otlp_transport(); see belfry/push.h. Waiting and trying again are the tracer's. */
#include "instrument/text.h"
#include "instrument_http/fail.h"
#include "instrument_http/remote.h"

#include <stdlib.h>
#include <string.h>

enum { HEADERS_MAX = 64 };

struct otlp {
    struct remote *remote;
    _Atomic bool is_canceled;
};

static void post(void *arg, const char *body, size_t len, belfry_post_reply *reply)
{
    static const char *const headers[] = {"Content-Type: application/json"};
    struct otlp *o = arg;
    struct remote_reply got;
    const struct remote_request request = {
        .method = "POST", .headers = headers, .header_count = 1, .body = body, .body_bytes = len};
    if (atomic_load_explicit(&o->is_canceled, memory_order_relaxed))
        return; /* the reply says: no answer */
    belfry__remote_send(o->remote, &request, 0, &got);
    reply->status = got.status;
    reply->retry_after_ms = got.retry_after_ms;
    reply->body_bytes = got.body_bytes < sizeof reply->body ? got.body_bytes : sizeof reply->body;
    memcpy(reply->body, got.body, reply->body_bytes);
}

static void cancel(void *arg)
{
    atomic_store_explicit(&((struct otlp *)arg)->is_canceled, true, memory_order_relaxed);
}

static void release(void *arg)
{
    struct otlp *o = arg;
    belfry__remote_free(o->remote);
    free(o);
}

static const char *environment(const char *first, const char *second)
{
    const char *value = getenv(first);
    return value && value[0] ? value : second ? getenv(second) : NULL;
}

/* The URL that the environment names, in `out`; NULL = none. */
static const char *url_of_environment(struct text *out)
{
    const char *whole = environment("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", NULL);
    if (whole && whole[0])
        return whole;
    const char *base = environment("OTEL_EXPORTER_OTLP_ENDPOINT", NULL);
    if (!base || !base[0])
        return NULL;
    size_t len = strlen(base);
    while (len > 0 && base[len - 1] == '/')
        len--;
    belfry__text_append(out, base, len);
    belfry__text_append(out, "/v1/traces", 11); /* with its NUL */
    return out->failed ? NULL : out->ptr;
}

static void trim(char **begin, char *end)
{
    while (**begin == ' ' || **begin == '\t')
        (*begin)++;
    while (end > *begin && (end[-1] == ' ' || end[-1] == '\t'))
        end--;
    *end = '\0';
}

static int hex_digit(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    c |= 0x20;
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* Values are percent-encoded (W3C baggage); what is not is left as it is. */
static void decode(char *text)
{
    char *out = text;
    while (*text) {
        int high = text[0] == '%' ? hex_digit(text[1]) : -1;
        int low = high >= 0 ? hex_digit(text[2]) : -1;
        if (low >= 0 && (high | low)) {
            *out++ = (char)(high << 4 | low);
            text += 3;
        } else {
            *out++ = *text++;
        }
    }
    *out = '\0';
}

/* "a=1,b=2" taken apart in place; false when it is not that. */
static bool parse_headers(char *text, belfry_http_header *headers, size_t *count)
{
    for (char *item = text; item && *item;) {
        char *comma = strchr(item, ','), *next = comma ? comma + 1 : NULL;
        char *end = comma ? comma : item + strlen(item);
        *end = '\0';
        char *equals = strchr(item, '=');
        if (*count == HEADERS_MAX || !equals)
            return false;
        char *name = item, *value = equals + 1;
        trim(&name, equals);
        trim(&value, end);
        decode(value);
        headers[(*count)++] = (belfry_http_header){name, value};
        item = next;
    }
    return true;
}

/* Fills what options leave open. NULL, or what is wrong. */
static const char *take_environment(belfry_remote *o, belfry_http_header *headers, char *text)
{
    size_t count = 0;
    const char *timeout =
        environment("OTEL_EXPORTER_OTLP_TRACES_TIMEOUT", "OTEL_EXPORTER_OTLP_TIMEOUT");
    if (!parse_headers(text, headers, &count))
        return "OTEL_EXPORTER_OTLP_HEADERS is not name=value,name=value";
    for (size_t i = 0; i < o->header_count && count < HEADERS_MAX; i++)
        headers[count++] = o->headers[i];
    o->headers = headers;
    o->header_count = count;
    if (o->timeout_ms || !timeout || !timeout[0])
        return NULL;
    char *end;
    unsigned long ms = strtoul(timeout, &end, 10);
    if (*end || timeout[0] < '0' || timeout[0] > '9' || ms == 0 || ms > 600000)
        return "OTEL_EXPORTER_OTLP_TIMEOUT is not a number of milliseconds from 1 to 600000";
    o->timeout_ms = (unsigned)ms;
    return NULL;
}

static belfry_status open_remote(struct otlp *otlp, const belfry_remote *options,
                                 belfry_http_error *error)
{
    belfry_remote o = *options;
    belfry_http_header headers[HEADERS_MAX];
    if (o.url)
        return belfry__remote_new(&otlp->remote, &o, &otlp->is_canceled, error);
    struct text url = {0};
    const char *listed =
        environment("OTEL_EXPORTER_OTLP_TRACES_HEADERS", "OTEL_EXPORTER_OTLP_HEADERS");
    char *text = strdup(listed ? listed : "");
    o.url = url_of_environment(&url);
    belfry_status status;
    const char *fault = text ? take_environment(&o, headers, text) : NULL;
    if (!text || url.failed)
        status = belfry__http_fail_memory(error);
    else if (!o.url)
        status = belfry__http_fail(error, BELFRY_ERROR_FORMAT,
                                   "no url, and OTEL_EXPORTER_OTLP_ENDPOINT is not set");
    else if (fault)
        status = belfry__http_fail(error, BELFRY_ERROR_FORMAT, "%s", fault);
    else
        status = belfry__remote_new(&otlp->remote, &o, &otlp->is_canceled, error);
    free(text);
    belfry__text_deinit(&url);
    return status;
}

belfry_status belfry_otlp_transport(belfry_transport *out, const belfry_remote *options,
                                    belfry_http_error *error)
{
    static const belfry_remote none = {0};
    *out = (belfry_transport){0};
    struct otlp *o = calloc(1, sizeof *o);
    if (!o)
        return belfry__http_fail_memory(error);
    belfry_status status = open_remote(o, options ? options : &none, error);
    if (status != BELFRY_OK) {
        free(o);
        return status;
    }
    *out = (belfry_transport){.post = post, .cancel = cancel, .release = release, .arg = o};
    return BELFRY_OK;
}
