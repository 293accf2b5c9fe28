/* SPDX-License-Identifier: Apache-2.0 */
/* source_fetch.c: see source_fetch.h. Addresses, redirects and time are net/outgoing.h's; here is what a source of pictures may be. */
#include "source_fetch.h"

#include "delivery.h"

#include <curl/curl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

enum {
    HEADER_BYTES_MAX = 1024, /* of one that is kept; more is cut */
    /* What is reserved on an origin's word alone. Beyond it memory grows by doubling, for which the kernel moves pages, not bytes. */
    RESERVE_BYTES_MAX = 16 << 20,
    HOLD_BYTES = 256 << 10 /* what is taken of the room at a time */
};

struct fetch {
    const struct source_policy *policy;
    struct source *out;
    bool has_head;     /* and its status is one of success */
    bool is_too_large; /* by Content-Length */
    bool is_bad_status;
    bool is_out_of_memory;
    bool is_without_room;
};

void source_init(struct source *s, uint64_t origin)
{
    *s = (struct source){.hold.key = origin};
    buffer_init(&s->bytes, MEM_HTTP, SOURCE_BYTES_MAX);
    buffer_init(&s->content_type, MEM_HTTP, HEADER_BYTES_MAX);
    buffer_init(&s->cache_control, MEM_HTTP, HEADER_BYTES_MAX);
}

void source_deinit(struct source *s)
{
    buffer_deinit(&s->bytes);
    buffer_deinit(&s->content_type);
    buffer_deinit(&s->cache_control);
    source_hold_end(&s->hold);
}

void source_hold_end(struct source_hold *hold)
{
    if (hold->bytes)
        permits_give_many(hold->room, hold->key, hold->bytes);
    hold->bytes = 0;
}

/* So that `bytes` in all are held. */
static bool hold_grow(struct source_hold *hold, uint64_t bytes)
{
    if (!hold->room || bytes <= hold->bytes)
        return true;
    uint64_t more = (bytes - hold->bytes + HOLD_BYTES - 1) / HOLD_BYTES * HOLD_BYTES;
    if (!permits_try_many(hold->room, hold->key, more))
        return false;
    hold->bytes += more;
    return true;
}

/* --- what may be asked for --- */

/* The length of a character that may be written as it is or as %XX; 0 where it is another one. */
static size_t match_char(const char *at, char c, const char *hex)
{
    if (*at == c)
        return 1;
    return at[0] == '%' && strncasecmp(at + 1, hex, 2) == 0 ? 3 : 0;
}

static size_t match_slash(const char *at)
{
    size_t len = match_char(at, '/', "2f");
    return len ? len : match_char(at, '\\', "5c");
}

/* Is there a segment "." or ".." that libcurl leaves in and an origin may walk up by: %2e%2e/, ..%2f, ..;x/ ? */
static bool path_climbs(const char *url)
{
    const char *at = strstr(url, "://") + 3;
    for (at += strcspn(at, "/?"); *at && *at != '?'; at++) {
        size_t slash = match_slash(at), dots = 0, len;
        if (slash == 0)
            continue;
        const char *segment = at + slash;
        for (; (len = match_char(segment, '.', "2e")) > 0; dots++)
            segment += len;
        if (dots && dots <= 2 && (strchr("?;", *segment) || match_slash(segment)))
            return true; /* strchr() finds the end as well */
    }
    return false;
}

/* The same with the port written out; false when it is already, or there is no room. */
static bool with_port(const char *url, char *out, size_t size)
{
    const char *host = strstr(url, "://") + 3;
    size_t host_len = strcspn(host, "/?");
    struct view authority = {host, host_len};
    const char *bracket = memchr(host, ']', host_len);
    size_t name_len = bracket ? (size_t)(bracket - host) : 0;
    if (memchr(host + name_len, ':', host_len - name_len))
        return false;
    int len =
        snprintf(out, size, "%.*s%.*s:%s%s", (int)(host - url), url, VIEW_ARGS(authority),
                 view_has_prefix(view_from(url), VIEW("https:")) ? "443" : "80", host + host_len);
    return len > 0 && (size_t)len < size;
}

/* Of prefixes that name the default port, and of those that do not. */
static bool may_go(void *arg, const char *url)
{
    const struct source_policy *policy = ((struct fetch *)arg)->policy;
    const char *const *prefixes = policy->allowed_prefixes;
    size_t count = policy->allowed_prefix_count;
    char full[OUTGOING_URL_BYTES_MAX + 8];
    if (count == 0)
        return true;
    if (path_climbs(url))
        return false;
    return source_is_allowed(prefixes, count, view_from(url)) ||
           (with_port(url, full, sizeof(full)) &&
            source_is_allowed(prefixes, count, view_from(full)));
}

/* --- what comes --- */

static void keep_header(const struct outgoing_answer *answer, const char *name, struct buffer *out)
{
    buffer_append_view(out, view_slice(outgoing_header(answer, name), 0, HEADER_BYTES_MAX));
}

static int64_t date_of(struct view text)
{
    char copy[64];
    if (text.len == 0 || text.len >= sizeof(copy))
        return 0;
    memcpy(copy, text.ptr, text.len);
    copy[text.len] = '\0';
    time_t t = curl_getdate(copy, NULL);
    return t > 0 ? (int64_t)t : 0;
}

/* Digits only: libcurl has refused all else, and numbers too large for it. */
static uint64_t length_of(struct view text)
{
    uint64_t bytes = 0;
    for (size_t i = 0; i < text.len && text.ptr[i] >= '0' && text.ptr[i] <= '9'; i++)
        bytes = bytes > UINT64_MAX / 10 - 1 ? bytes : bytes * 10 + (uint64_t)(text.ptr[i] - '0');
    return bytes;
}

static bool on_head(void *arg, const struct outgoing_answer *answer)
{
    struct fetch *fetch = arg;
    struct source *out = fetch->out;
    fetch->is_bad_status = answer->status < 200 || answer->status > 299;
    if (fetch->is_bad_status)
        return false;
    fetch->has_head = true;
    out->declared_bytes = length_of(outgoing_header(answer, "Content-Length"));
    out->modified_s = date_of(outgoing_header(answer, "Last-Modified"));
    keep_header(answer, "Content-Type", &out->content_type);
    keep_header(answer, "Cache-Control", &out->cache_control);
    fetch->is_too_large = out->declared_bytes > out->bytes.bytes_max;
    if (fetch->is_too_large)
        return false;
    if (out->declared_bytes)
        (void)buffer_reserve(&out->bytes, out->declared_bytes < RESERVE_BYTES_MAX
                                              ? (size_t)out->declared_bytes
                                              : RESERVE_BYTES_MAX); /* `failed` says so */
    fetch->is_out_of_memory = out->bytes.failed;
    return !fetch->is_out_of_memory;
}

static bool on_body(void *arg, const struct outgoing_answer *answer, struct view piece)
{
    struct fetch *fetch = arg;
    (void)answer; /* outgoing.c has compared body_bytes_max */
    fetch->is_without_room =
        !hold_grow(&fetch->out->hold, fetch->out->bytes.len + (uint64_t)piece.len);
    if (fetch->is_without_room)
        return false;
    buffer_append_view(&fetch->out->bytes, piece);
    fetch->is_out_of_memory = fetch->out->bytes.failed;
    return !fetch->is_out_of_memory;
}

/* --- what became of it --- */

static enum source_outcome refused(struct image_failure *f)
{
    (void)image_fail(f, 400, "Source URL is not allowed");
    return SOURCE_REFUSED;
}

static enum source_outcome failed(const struct fetch *fetch, enum outgoing_failure failure,
                                  const struct outgoing_answer *answer, bool is_requests_time,
                                  struct image_failure *f)
{
    uint64_t bytes_max = fetch->out->bytes.bytes_max;
    if (fetch->is_bad_status)
        (void)image_fail(f, 400, "Source responded with status %d", answer->status);
    else if (fetch->is_too_large || (fetch->has_head && answer->body_bytes > bytes_max))
        (void)image_fail(f, 400,
                         "Source image exceeds the maximum allowed size of %" PRIu64 " bytes",
                         bytes_max);
    else if (fetch->is_without_room || failure == OUTGOING_BUSY)
        (void)image_fail(f, 429, "Too Many Requests");
    else if (fetch->is_out_of_memory)
        (void)image_fail(f, 500, "Image operation failed");
    else if (failure == OUTGOING_STOPPED || (failure == OUTGOING_TIMEOUT && is_requests_time))
        (void)image_fail(f, 408, "Request Timeout");
    else if (failure == OUTGOING_BROKEN && fetch->has_head)
        (void)image_fail(f, 400, "Error reading image bytes");
    else
        (void)image_fail(f, 400, "Error fetching image");
    return SOURCE_FAILED;
}

static void say_cause(const struct fetch *fetch, const struct outgoing_answer *answer,
                      const struct error *err, struct image_failure *f)
{
    if (fetch->is_bad_status)
        (void)image_fail_cause(f, "%s answered with status %d", answer->address, answer->status);
    else if (fetch->is_too_large)
        (void)image_fail_cause(f, "Content-Length is %" PRIu64, fetch->out->declared_bytes);
    else if (fetch->is_without_room)
        (void)image_fail_cause(f, "sources in work hold the memory that there is for them");
    else if (fetch->is_out_of_memory)
        (void)image_fail_cause(f, "no memory for a source of %" PRIu64 " bytes",
                               fetch->out->declared_bytes);
    else
        (void)image_fail_cause(f, "%s", err->message);
}

enum source_outcome source_fetch(const struct source_policy *policy, const char *url,
                                 uint64_t bytes_max, int64_t timeout_ms, const atomic_bool *cancel,
                                 struct source *out, struct image_failure *f)
{
    if (bytes_max == 0)
        bytes_max = SOURCE_BYTES_MAX;
    out->hold.room = policy->room;
    /* What would never find room is told so: one origin alone has two thirds. */
    if (policy->room && bytes_max > permits_count(policy->room) / 2)
        bytes_max = permits_count(policy->room) / 2;
    out->bytes.bytes_max = bytes_max < SIZE_MAX ? (size_t)bytes_max : SIZE_MAX;
    bool is_requests_time = timeout_ms < policy->timeout_ms;
    struct fetch fetch = {.policy = policy, .out = out};
    struct outgoing_request request = {
        .url = url,
        .user_agent = policy->user_agent,
        .redirects_max = policy->redirects_max,
        .timeout_ms = is_requests_time ? timeout_ms : policy->timeout_ms,
        .body_bytes_max = bytes_max,
        .may_go = may_go,
        .on_head = on_head,
        .on_body = on_body,
        .arg = &fetch,
        .cancel = cancel,
    };
    struct outgoing_answer answer;
    struct error err = {0};
    enum source_outcome outcome = SOURCE_FETCHED;
    if (request.timeout_ms <= 0) {
        (void)image_fail(f, 408, "Request Timeout");
        return SOURCE_FAILED;
    }
    outgoing_answer_init(&answer);
    enum outgoing_failure failure = outgoing_send(&policy->outgoing, &request, &answer, &err);
    if (failure == OUTGOING_URL || failure == OUTGOING_BLOCKED)
        outcome = refused(f);
    else if (failure != OUTGOING_OK)
        outcome = failed(&fetch, failure, &answer, is_requests_time, f);
    if (outcome != SOURCE_FETCHED)
        say_cause(&fetch, &answer, &err, f);
    outgoing_answer_deinit(&answer);
    return outcome;
}
