/* SPDX-License-Identifier: Apache-2.0 */
/* outgoing.c: see outgoing.h. libcurl carries the bytes; redirects are followed here, so that each hop's URL is checked
 * as the first one was. The guard is open_socket(): libcurl asks it for a socket to the address it is about to connect
 * to, and there is no way to connect without one.
 *
 * A connection that is kept was let in there by a request before. It went well, so who it is was verified as well; that its address is
 * one that this request may reach is seen to when it is taken (may_use()) and once more before anything is sent (before_request()). */
#include "net/outgoing.h"

#include "base/assert.h"
#include "base/checksum.h"
#include "base/clock.h"
#include "net/outgoing_kept.h"
#include "net/outgoing_lookup.h"
#include "net/outgoing_trust.h"
#include "net/outgoing_url.h"

#include <belfry/request.h>
#include <errno.h>
#include <netdb.h>
#include <stdio.h>
#include <strings.h>
#include <unistd.h>

/* One request to one address: the first, or what a redirect leads to. */
struct hop {
    const struct outgoing_policy *policy;
    const struct outgoing_request *request;
    struct outgoing_answer *answer;
    struct outgoing_url url;
    const char *proxy;
    CURL *easy;
    struct outgoing_addresses
        addresses; /* judged; none: with a proxy, or where no connections are kept */
    char peer[OUTGOING_KEPT_ADDRESS_BYTES]; /* that the connection is to */
    bool has_opened;                        /* a socket of its own */
    size_t header_bytes;                    /* of all heads of this hop */
    bool has_head;                          /* request->on_head was told */
    bool is_followed;                       /* its body is nobody's */
    bool is_blocked, is_too_large, is_stopped, is_distrusted;
    struct error distrust;
    enum address_class class; /* when it is blocked */
};

static bool class_is_allowed(const struct outgoing_policy *policy, enum address_class class)
{
    return class == ADDRESS_PUBLIC || (policy->allowed & 1u << class) != 0;
}

/* ---- what libcurl calls ---- */

static void address_note(struct outgoing_answer *answer, const struct sockaddr *sa, socklen_t bytes)
{
    char host[NI_MAXHOST];
    answer->address[0] = '\0';
    if (getnameinfo(sa, bytes, host, sizeof host, NULL, 0, NI_NUMERICHOST) == 0)
        (void)snprintf(answer->address, sizeof answer->address, "%.63s", host);
}

static curl_socket_t open_socket(void *arg, curlsocktype purpose, struct curl_sockaddr *to)
{
    struct hop *hop = arg;
    if (purpose != CURLSOCKTYPE_IPCXN)
        return CURL_SOCKET_BAD;
    address_note(hop->answer, &to->addr, to->addrlen);
    enum address_class class = address_class_of(&to->addr);
    if (hop->proxy == NULL && !class_is_allowed(hop->policy, class)) {
        hop->is_blocked = true;
        hop->class = class;
        return CURL_SOCKET_BAD;
    }
    hop->has_opened = true;
    return socket(to->family, to->socktype | SOCK_CLOEXEC, to->protocol);
}

/* libcurl believes whoever it is when policy->trust does the verification. */
static bool peer_is_trusted(struct hop *hop)
{
    struct curl_tlssessioninfo *tls = NULL;
    if (!hop->url.is_https || hop->policy->trust == NULL || (hop->policy->kept && !hop->has_opened))
        return true;
    hop->is_distrusted =
        curl_easy_getinfo(hop->easy, CURLINFO_TLS_SSL_PTR, &tls) != CURLE_OK || tls == NULL ||
        tls->backend != CURLSSLBACKEND_GNUTLS || tls->internals == NULL ||
        !outgoing_trust_verify(hop->policy->trust, tls->internals, hop->url.host, &hop->distrust);
    return !hop->is_distrusted;
}

/* A connection that is there already. */
static bool may_use(void *arg, const char *address)
{
    const struct hop *hop = arg;
    return hop->proxy || outgoing_addresses_has(&hop->addresses, address);
}

/* Connected, TLS begun, nothing sent yet. */
static int before_request(void *arg, char *peer, char *local, int peer_port, int local_port)
{
    struct hop *hop = arg;
    (void)local;
    (void)peer_port;
    (void)local_port;
    if (hop->policy->kept) {
        if (!may_use(hop, peer))
            return CURL_PREREQFUNC_ABORT;
        (void)snprintf(hop->peer, sizeof hop->peer, "%s", peer);
        (void)snprintf(hop->answer->address, sizeof hop->answer->address, "%s", peer);
    }
    return hop->is_blocked || !peer_is_trusted(hop) ? CURL_PREREQFUNC_ABORT : CURL_PREREQFUNC_OK;
}

static int on_progress(void *arg, curl_off_t down_all, curl_off_t down, curl_off_t up_all,
                       curl_off_t up)
{
    struct hop *hop = arg;
    (void)down_all;
    (void)down;
    (void)up_all;
    (void)up;
    const atomic_bool *cancel = hop->request->cancel;
    hop->is_stopped =
        hop->is_stopped || (cancel && atomic_load_explicit(cancel, memory_order_relaxed));
    return hop->is_stopped;
}

static bool is_redirect(long status)
{
    return status == 301 || status == 302 || status == 303 || status == 307 || status == 308;
}

/* A body, and what changes something, goes to nobody but the one it was meant for. */
static bool may_follow(const struct outgoing_request *request)
{
    const char *method = request->method;
    return request->redirects_max > 0 && request->body.len == 0 &&
           (method == NULL || strcmp(method, "GET") == 0 || strcmp(method, "HEAD") == 0);
}

static void note_status(struct hop *hop)
{
    long status = 0;
    (void)curl_easy_getinfo(hop->easy, CURLINFO_RESPONSE_CODE, &status); /* stays 0 */
    hop->answer->status = (int)status;
    hop->is_followed = is_redirect(status) && may_follow(hop->request) &&
                       outgoing_header(hop->answer, "Location").len > 0;
}

/* The empty line: what follows is a body, another head (after a 100) or, behind trailers, nothing. */
static void end_of_head(struct hop *hop)
{
    note_status(hop);
    if (hop->has_head || hop->is_followed || hop->answer->status < 200)
        return;
    hop->has_head = true;
    if (hop->request->on_head && !hop->request->on_head(hop->request->arg, hop->answer))
        hop->is_stopped = true;
}

static size_t on_header(char *bytes, size_t size, size_t count, void *arg)
{
    struct hop *hop = arg;
    size_t len = size * count;
    struct view line = {bytes, len};
    hop->header_bytes += len;
    if (view_has_prefix(line, VIEW("HTTP/")))
        buffer_reset(&hop->answer->headers); /* the head before was a 100's */
    buffer_append(&hop->answer->headers, bytes, len);
    hop->is_too_large = hop->is_too_large || hop->header_bytes > OUTGOING_HEADER_BYTES_MAX ||
                        hop->answer->headers.failed;
    if (!hop->is_too_large && (view_is(line, "\r\n") || view_is(line, "\n")))
        end_of_head(hop);
    return hop->is_too_large || hop->is_stopped ? 0 : len;
}

static size_t on_bytes(char *bytes, size_t size, size_t count, void *arg)
{
    struct hop *hop = arg;
    size_t len = size * count;
    const struct outgoing_request *request = hop->request;
    note_status(hop);
    if (hop->is_followed)
        return 0; /* enough is known */
    hop->answer->body_bytes += len;
    if (hop->answer->body_bytes > request->body_bytes_max)
        hop->is_too_large = true;
    else if (request->on_body &&
             !request->on_body(request->arg, hop->answer, (struct view){bytes, len}))
        hop->is_stopped = true;
    return hop->is_too_large || hop->is_stopped ? 0 : len;
}

/* ---- one hop ---- */

static bool set_method(struct hop *hop)
{
    const struct outgoing_request *request = hop->request;
    const char *method = request->method;
    if (method && strcmp(method, "HEAD") == 0)
        return curl_easy_setopt(hop->easy, CURLOPT_NOBODY, 1L) == CURLE_OK;
    bool has_body = request->body.len > 0 || (method && strcmp(method, "GET") != 0);
    if (!has_body)
        return true;
    curl_easy_setopt(hop->easy, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)request->body.len);
    curl_easy_setopt(hop->easy, CURLOPT_POSTFIELDS, request->body.len ? request->body.ptr : "");
    return method == NULL || curl_easy_setopt(hop->easy, CURLOPT_CUSTOMREQUEST, method) == CURLE_OK;
}

/* With a list of our own libcurl reads none, and leaves the judgement to peer_is_trusted(). */
static bool set_trust(struct hop *hop)
{
    CURL *easy = hop->easy;
    return hop->policy->trust == NULL ||
           (curl_easy_setopt(easy, CURLOPT_SSL_VERIFYPEER, 0L) == CURLE_OK &&
            curl_easy_setopt(easy, CURLOPT_SSL_VERIFYHOST, 0L) == CURLE_OK &&
            curl_easy_setopt(easy, CURLOPT_CAINFO, NULL) == CURLE_OK &&
            curl_easy_setopt(easy, CURLOPT_CAPATH, NULL) == CURLE_OK);
}

/* One connection in each handle. What was resolved for it is not to be used for another request. */
static bool set_kept(struct hop *hop, struct curl_slist *addresses)
{
    CURL *easy = hop->easy;
    return hop->policy->kept == NULL ||
           (curl_easy_setopt(easy, CURLOPT_MAXCONNECTS, 1L) == CURLE_OK &&
            curl_easy_setopt(easy, CURLOPT_MAXLIFETIME_CONN, (long)OUTGOING_KEPT_LIFE_S) ==
                CURLE_OK &&
            curl_easy_setopt(easy, CURLOPT_SSL_SESSIONID_CACHE, 0L) == CURLE_OK &&
            curl_easy_setopt(easy, CURLOPT_DNS_CACHE_TIMEOUT, 0L) == CURLE_OK &&
            curl_easy_setopt(easy, CURLOPT_RESOLVE, addresses) == CURLE_OK);
}

static bool set_options(struct hop *hop, struct curl_slist *headers, int64_t left_ms)
{
    CURL *easy = hop->easy;
    int64_t connect_ms = left_ms < OUTGOING_CONNECT_MS ? left_ms : OUTGOING_CONNECT_MS;
    curl_easy_reset(easy);
    curl_easy_setopt(easy, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(easy, CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1);
    curl_easy_setopt(easy, CURLOPT_TIMEOUT_MS, (long)left_ms);
    curl_easy_setopt(easy, CURLOPT_CONNECTTIMEOUT_MS, (long)connect_ms);
    curl_easy_setopt(easy, CURLOPT_OPENSOCKETFUNCTION, open_socket);
    curl_easy_setopt(easy, CURLOPT_OPENSOCKETDATA, hop);
    curl_easy_setopt(easy, CURLOPT_PREREQFUNCTION, before_request);
    curl_easy_setopt(easy, CURLOPT_PREREQDATA, hop);
    curl_easy_setopt(easy, CURLOPT_HEADERFUNCTION, on_header);
    curl_easy_setopt(easy, CURLOPT_HEADERDATA, hop);
    curl_easy_setopt(easy, CURLOPT_SUPPRESS_CONNECT_HEADERS, 1L);
    curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, on_bytes);
    curl_easy_setopt(easy, CURLOPT_WRITEDATA, hop);
    curl_easy_setopt(easy, CURLOPT_NOPROGRESS, 0L);
    curl_easy_setopt(easy, CURLOPT_XFERINFOFUNCTION, on_progress);
    curl_easy_setopt(easy, CURLOPT_XFERINFODATA, hop);
    curl_easy_setopt(easy, CURLOPT_HTTPHEADER, headers);
    return curl_easy_setopt(easy, CURLOPT_PROTOCOLS_STR, "http,https") == CURLE_OK &&
           curl_easy_setopt(easy, CURLOPT_CURLU, hop->url.parts) == CURLE_OK &&
           curl_easy_setopt(easy, CURLOPT_PROXY, hop->proxy ? hop->proxy : "") == CURLE_OK &&
           curl_easy_setopt(easy, CURLOPT_NOPROXY, "") == CURLE_OK &&
           (hop->request->user_agent == NULL ||
            curl_easy_setopt(easy, CURLOPT_USERAGENT, hop->request->user_agent) == CURLE_OK) &&
           set_trust(hop) && set_method(hop);
}

static enum outgoing_failure blocked(const struct hop *hop, struct error *err)
{
    (void)error_set(err, ERROR_FORBIDDEN, "host %s has the address %s, which is %s", hop->url.host,
                    hop->answer->address, address_class_name(hop->class));
    return OUTGOING_BLOCKED;
}

static enum outgoing_failure failure_of(CURLcode code)
{
    switch (code) {
    case CURLE_OPERATION_TIMEDOUT:
        return OUTGOING_TIMEOUT;
    case CURLE_COULDNT_RESOLVE_HOST:
    case CURLE_COULDNT_RESOLVE_PROXY:
        return OUTGOING_DNS;
    case CURLE_COULDNT_CONNECT:
        return OUTGOING_CONNECT;
    case CURLE_SSL_CONNECT_ERROR:
    case CURLE_PEER_FAILED_VERIFICATION:
    case CURLE_SSL_CERTPROBLEM:
    case CURLE_SSL_CIPHER:
    case CURLE_SSL_CACERT_BADFILE:
    case CURLE_SSL_ISSUER_ERROR:
    case CURLE_USE_SSL_FAILED:
        return OUTGOING_TLS;
    default:
        return OUTGOING_BROKEN;
    }
}

static enum outgoing_failure verdict(struct hop *hop, CURLcode code, const char *detail,
                                     struct error *err)
{
    const char *host = hop->url.host;
    if (hop->is_blocked)
        return blocked(hop, err);
    if (hop->is_distrusted) {
        *err = hop->distrust;
        return OUTGOING_TLS;
    }
    if (hop->is_too_large) {
        (void)error_set(err, ERROR_TOO_LARGE, "the answer of %s has more than %llu bytes of %s",
                        host,
                        hop->header_bytes > OUTGOING_HEADER_BYTES_MAX
                            ? (unsigned long long)OUTGOING_HEADER_BYTES_MAX
                            : (unsigned long long)hop->request->body_bytes_max,
                        hop->header_bytes > OUTGOING_HEADER_BYTES_MAX ? "headers" : "body");
        return OUTGOING_TOO_LARGE;
    }
    if (hop->is_stopped) {
        (void)error_set(err, ERROR_CANCELED, "the request to %s was stopped", host);
        return OUTGOING_STOPPED;
    }
    if (code == CURLE_OK || hop->is_followed)
        return OUTGOING_OK;
    enum outgoing_failure failure = failure_of(code);
    (void)error_set(err, failure == OUTGOING_TIMEOUT ? ERROR_TIMEOUT : ERROR_IO, "%s: %s", host,
                    *detail ? detail : curl_easy_strerror(code));
    return failure;
}

static bool header_line_add(struct curl_slist **headers, const char *line)
{
    ASSERT(strpbrk(line, "\r\n") == NULL);
    struct curl_slist *more = curl_slist_append(*headers, line);
    if (more)
        *headers = more;
    return more != NULL;
}

/* Without a value libcurl leaves out a header of its own. */
static bool header_add(struct curl_slist **headers, const char *name, const char *value)
{
    char line[1024];
    (void)snprintf(line, sizeof line, "%s: %s", name, value);
    return header_line_add(headers, line);
}

/* For the first origin: what it was called for, and what the caller says. */
static bool headers_add(const struct hop *hop, struct curl_slist **headers)
{
    belfry_outgoing context;
    bool ok = true;
    if (hop->answer->redirects > 0)
        return true;
    belfry_outgoing_get(&context);
    if (context.request_id[0])
        ok = header_add(headers, "X-Request-Id", context.request_id);
    if (ok && context.traceparent[0])
        ok = header_add(headers, "traceparent", context.traceparent);
    if (ok && context.tracestate[0])
        ok = header_add(headers, "tracestate", context.tracestate);
    for (size_t i = 0; ok && i < hop->request->header_count; i++)
        ok = header_line_add(headers, hop->request->headers[i]);
    return ok;
}

/* What libcurl may connect to; NULL where the URL says the address itself, or without memory (*ok false). */
static struct curl_slist *addresses_list(const struct hop *hop, bool *ok)
{
    char line[sizeof hop->url.host + OUTGOING_ADDRESSES_MAX * (INET6_ADDRSTRLEN + 3) + 16];
    const struct outgoing_addresses *all = &hop->addresses;
    struct sockaddr_storage literal;
    struct curl_slist *list = NULL;
    if (all->count == 0 || outgoing_url_address(&hop->url, &literal))
        return NULL;
    int len = snprintf(line, sizeof line, "%s:%s:", hop->url.host, hop->url.port);
    for (size_t i = 0; i < all->count; i++) {
        bool is_v6 = all->items[i].socket.ss_family == AF_INET6;
        len += snprintf(line + len, sizeof line - (size_t)len, "%s%s%s%s", i ? "," : "",
                        is_v6 ? "[" : "", all->items[i].text, is_v6 ? "]" : "");
    }
    list = curl_slist_append(NULL, line);
    *ok = *ok && list;
    return list;
}

/* All addresses of the host, each of which must be allowed. */
static enum outgoing_failure know_addresses(struct hop *hop, mono_time deadline, struct error *err)
{
    struct sockaddr_storage literal;
    mono_time connect = mono_add_ms(clock_mono(), OUTGOING_CONNECT_MS);
    hop->addresses.count = 0;
    if (hop->policy->kept == NULL || hop->proxy)
        return OUTGOING_OK;
    if (outgoing_url_address(&hop->url, &literal))
        outgoing_addresses_add(&hop->addresses, (const struct sockaddr *)&literal);
    else if (!outgoing_lookup(&hop->addresses, hop->url.host,
                              deadline.ns < connect.ns ? deadline : connect, hop->request->cancel,
                              err))
        return err->kind == ERROR_CANCELED  ? OUTGOING_STOPPED
               : err->kind == ERROR_TIMEOUT ? OUTGOING_TIMEOUT
               : err->kind == ERROR_BUSY    ? OUTGOING_BUSY
                                            : OUTGOING_DNS;
    for (size_t i = 0; i < hop->addresses.count; i++) {
        const struct outgoing_address *at = &hop->addresses.items[i];
        hop->class = address_class_of((const struct sockaddr *)&at->socket);
        if (class_is_allowed(hop->policy, hop->class))
            continue;
        (void)snprintf(hop->answer->address, sizeof hop->answer->address, "%s", at->text);
        return blocked(hop, err);
    }
    return OUTGOING_OK;
}

static uint64_t server_of(const struct hop *hop)
{
    char text[sizeof hop->url.host + sizeof hop->url.port + 16];
    int len =
        snprintf(text, sizeof text, "%d %s %s", hop->url.is_https, hop->url.port, hop->url.host);
    return hash64_secret(text, (size_t)len);
}

static bool handle_take(struct hop *hop, struct error *err)
{
    struct outgoing_kept *kept = hop->policy->kept;
    if (kept && hop->easy == NULL)
        hop->easy = outgoing_kept_take(kept, server_of(hop), may_use, hop);
    if (hop->easy == NULL)
        hop->easy = curl_easy_init();
    return hop->easy || error_set(err, ERROR_IO, "could not prepare a request");
}

/* Of a request that did not go well nothing is kept: its connection may be somebody's who was not believed. */
static void handle_give(struct hop *hop, bool went_well)
{
    curl_socket_t fd = CURL_SOCKET_BAD;
    if (hop->policy->kept == NULL)
        return; /* the next hop's, and outgoing_send() ends it */
    if (went_well && curl_easy_getinfo(hop->easy, CURLINFO_ACTIVESOCKET, &fd) == CURLE_OK &&
        fd != CURL_SOCKET_BAD) {
        curl_easy_reset(hop->easy); /* it knows what will be gone */
        outgoing_kept_give(hop->policy->kept, hop->easy, server_of(hop), hop->peer);
    } else {
        curl_easy_cleanup(hop->easy);
    }
    hop->easy = NULL;
}

static enum outgoing_failure hop_run(struct hop *hop, mono_time deadline, struct error *err)
{
    char detail[CURL_ERROR_SIZE] = "";
    struct sockaddr_storage literal;
    hop->proxy = outgoing_url_proxy(&hop->url, hop->policy);
    if (hop->proxy && outgoing_url_address(&hop->url, &literal)) {
        hop->class = address_class_of((const struct sockaddr *)&literal);
        if (!class_is_allowed(hop->policy, hop->class)) {
            (void)snprintf(hop->answer->address, sizeof hop->answer->address, "%.63s",
                           hop->url.host);
            return blocked(hop, err);
        }
    }
    enum outgoing_failure failure = know_addresses(hop, deadline, err);
    if (failure != OUTGOING_OK)
        return failure;
    if (!handle_take(hop, err))
        return OUTGOING_CONNECT;
    struct curl_slist *headers = NULL;
    bool ok = header_add(&headers, "Expect", "") && headers_add(hop, &headers);
    struct curl_slist *addresses = addresses_list(hop, &ok);
    CURLcode code = CURLE_OUT_OF_MEMORY;
    int64_t left_ms = (deadline.ns - clock_mono().ns) / 1000000;
    if (ok && set_options(hop, headers, left_ms > 0 ? left_ms : 1) && set_kept(hop, addresses)) {
        curl_easy_setopt(hop->easy, CURLOPT_ERRORBUFFER, detail);
        code = curl_easy_perform(hop->easy);
        note_status(hop);
    }
    failure = verdict(hop, code, detail, err);
    handle_give(hop, code == CURLE_OK && failure == OUTGOING_OK);
    curl_slist_free_all(headers);
    curl_slist_free_all(addresses);
    return failure;
}

/* ---- all hops ---- */

static bool may_go(const struct hop *hop, struct error *err)
{
    const struct outgoing_request *request = hop->request;
    if (request->may_go == NULL)
        return true;
    char *url = outgoing_url_text(&hop->url);
    bool ok = url && request->may_go(request->arg, url);
    curl_free(url);
    return ok || error_set(err, ERROR_FORBIDDEN, "host %s, or what is asked of it, is not allowed",
                           hop->url.host);
}

static void url_note(struct outgoing_answer *answer, const char *url)
{
    buffer_reset(&answer->url);
    buffer_append(&answer->url, url, strlen(url) + 1);
}

/* Where the answer leads, seen from where it came from; false when it is no URL. (libcurl works it out only for a body
 * that was read.) */
static bool next_url(struct hop *hop)
{
    char *url = NULL;
    struct view location = outgoing_header(hop->answer, "Location");
    char *text = mem_copy_string(MEM_HTTP, location);
    bool ok = curl_url_set(hop->url.parts, CURLUPART_URL, text, CURLU_URLENCODE) == CURLUE_OK &&
              curl_url_get(hop->url.parts, CURLUPART_URL, &url, 0) == CURLUE_OK;
    if (ok)
        url_note(hop->answer, url);
    curl_free(url);
    mem_free(MEM_HTTP, text);
    return ok && !hop->answer->url.failed;
}

static enum outgoing_failure hops_run(struct hop *hop, mono_time deadline, struct error *err)
{
    struct outgoing_answer *answer = hop->answer;
    for (;;) {
        if (deadline.ns - clock_mono().ns < 1000000) {
            (void)error_set(err, ERROR_TIMEOUT, "no time was left");
            return OUTGOING_TIMEOUT;
        }
        if (answer->url.failed || !outgoing_url_init(&hop->url, answer->url.ptr, err))
            return OUTGOING_URL;
        hop->header_bytes = 0;
        hop->has_head = hop->is_followed = hop->has_opened = false;
        answer->status = 0;
        enum outgoing_failure failure =
            may_go(hop, err) ? hop_run(hop, deadline, err) : OUTGOING_BLOCKED;
        bool follow = failure == OUTGOING_OK && hop->is_followed;
        if (follow && answer->redirects == hop->request->redirects_max) {
            (void)error_set(err, ERROR_INPUT, "%s redirects more than %u times", hop->url.host,
                            answer->redirects);
            failure = OUTGOING_REDIRECTS;
        } else if (follow && !next_url(hop)) {
            (void)error_set(err, ERROR_INPUT, "%s redirects to what is no URL", hop->url.host);
            failure = OUTGOING_URL;
        }
        outgoing_url_deinit(&hop->url);
        if (failure != OUTGOING_OK || !follow)
            return failure;
        answer->redirects++;
    }
}

void outgoing_answer_init(struct outgoing_answer *answer)
{
    *answer = (struct outgoing_answer){0};
    buffer_init(&answer->headers, MEM_HTTP, OUTGOING_HEADER_BYTES_MAX);
    buffer_init(&answer->url, MEM_HTTP, OUTGOING_URL_BYTES_MAX + 1);
}

void outgoing_answer_deinit(struct outgoing_answer *answer)
{
    buffer_deinit(&answer->headers);
    buffer_deinit(&answer->url);
}

struct view outgoing_header(const struct outgoing_answer *answer, const char *name)
{
    struct view rest = buffer_view(&answer->headers);
    size_t name_len = strlen(name);
    while (rest.len) {
        const char *end = memchr(rest.ptr, '\n', rest.len);
        size_t len = end ? (size_t)(end - rest.ptr) + 1 : rest.len;
        struct view line = view_slice(rest, 0, len);
        rest = view_slice(rest, len, rest.len);
        if (line.len <= name_len || line.ptr[name_len] != ':' ||
            strncasecmp(line.ptr, name, name_len) != 0)
            continue;
        struct view value = view_slice(line, name_len + 1, line.len);
        while (value.len && strchr(" \t\r\n", value.ptr[value.len - 1]))
            value.len--;
        while (value.len && (value.ptr[0] == ' ' || value.ptr[0] == '\t'))
            value = view_slice(value, 1, value.len);
        return value;
    }
    return (struct view){"", 0};
}

enum outgoing_failure outgoing_send(const struct outgoing_policy *policy,
                                    const struct outgoing_request *request,
                                    struct outgoing_answer *answer, struct error *err)
{
    ASSERT(request->timeout_ms > 0);
    struct hop hop = {.policy = policy, .request = request, .answer = answer};
    url_note(answer, request->url);
    if (answer->url.failed) {
        (void)error_set(err, ERROR_INPUT, "the URL is longer than %d bytes",
                        OUTGOING_URL_BYTES_MAX);
        return OUTGOING_URL;
    }
    enum outgoing_failure failure =
        hops_run(&hop, mono_add_ms(clock_mono(), request->timeout_ms), err);
    curl_easy_cleanup(hop.easy); /* NULL where connections are kept */
    return failure;
}

static enum outgoing_failure check_addresses(const struct outgoing_policy *policy,
                                             const struct outgoing_url *u, struct error *err)
{
    char host[sizeof u->host];
    size_t len = strlen(u->host);
    size_t bracket = u->host[0] == '[';
    memcpy(host, u->host + bracket, len - 2 * bracket);
    host[len - 2 * bracket] = '\0';
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM}, *found = NULL;
    int code = getaddrinfo(host, NULL, &hints, &found);
    if (code != 0) {
        (void)error_set(err, ERROR_IO, "%s: %s", u->host, gai_strerror(code));
        return OUTGOING_DNS;
    }
    enum outgoing_failure failure = OUTGOING_OK;
    for (const struct addrinfo *at = found; at && failure == OUTGOING_OK; at = at->ai_next) {
        enum address_class class = address_class_of(at->ai_addr);
        if (class_is_allowed(policy, class))
            continue;
        failure = OUTGOING_BLOCKED;
        (void)error_set(err, ERROR_FORBIDDEN, "host %s has an address that is %s", u->host,
                        address_class_name(class));
    }
    freeaddrinfo(found);
    return failure;
}

enum outgoing_failure outgoing_check(const struct outgoing_policy *policy, const char *url,
                                     struct error *err)
{
    struct outgoing_url u;
    struct sockaddr_storage literal;
    if (!outgoing_url_init(&u, url, err))
        return OUTGOING_URL;
    enum outgoing_failure failure = OUTGOING_OK;
    if (outgoing_url_proxy(&u, policy) == NULL || outgoing_url_address(&u, &literal))
        failure = check_addresses(policy, &u, err);
    outgoing_url_deinit(&u);
    return failure;
}

const char *outgoing_failure_name(enum outgoing_failure failure)
{
    static const char *const NAMES[] = {[OUTGOING_OK] = "ok",
                                        [OUTGOING_URL] = "url",
                                        [OUTGOING_BLOCKED] = "blocked",
                                        [OUTGOING_DNS] = "dns",
                                        [OUTGOING_BUSY] = "busy",
                                        [OUTGOING_CONNECT] = "connect",
                                        [OUTGOING_TLS] = "tls",
                                        [OUTGOING_TIMEOUT] = "timeout",
                                        [OUTGOING_TOO_LARGE] = "too_large",
                                        [OUTGOING_REDIRECTS] = "redirects",
                                        [OUTGOING_BROKEN] = "broken",
                                        [OUTGOING_STOPPED] = "stopped"};
    return NAMES[failure];
}
