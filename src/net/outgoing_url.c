/* SPDX-License-Identifier: Apache-2.0 */
#include "net/outgoing_url.h"

#include "net/proxy.h"

#include <idn2.h>
#include <netdb.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

/* Bytes that one parser takes for the end of something and another for a part of it. */
static bool has_odd_byte(const char *url)
{
    for (const unsigned char *at = (const unsigned char *)url; *at; at++)
        if (*at <= ' ' || *at == 0x7f || *at == '\\')
            return true;
    return false;
}

/* Also an empty user ("http://@host"), which libcurl lets pass. */
static bool has_user(const char *url)
{
    const char *from = strstr(url, "//");
    if (from == NULL)
        return false;
    from += 2;
    return memchr(from, '@', strcspn(from, "/?#")) != NULL;
}

static bool has_part(CURLU *parts, CURLUPart what)
{
    char *text = NULL;
    bool has = curl_url_get(parts, what, &text, 0) == CURLUE_OK;
    curl_free(text);
    return has;
}

static bool take_part(CURLU *parts, CURLUPart what, unsigned flags, char *out, size_t size)
{
    char *text = NULL;
    bool fits = curl_url_get(parts, what, &text, flags) == CURLUE_OK && strlen(text) < size;
    if (fits)
        memcpy(out, text, strlen(text) + 1);
    curl_free(text);
    return fits;
}

/* Parsed anew with the host, so that a number written in signs or in percents is an address as any other. */
static bool set_host(CURLU *parts, const char *host)
{
    char *text = NULL;
    bool ok = curl_url_set(parts, CURLUPART_HOST, host, 0) == CURLUE_OK &&
              curl_url_get(parts, CURLUPART_URL, &text, 0) == CURLUE_OK &&
              curl_url_set(parts, CURLUPART_URL, text, CURLU_DISALLOW_USER) == CURLUE_OK;
    curl_free(text);
    return ok;
}

/* IDNA 2008, with the mapping of UTS 46: what browsers do. */
static bool host_to_ascii(struct outgoing_url *u, struct error *err)
{
    bool is_ascii = true;
    char *host = NULL;
    if (curl_url_get(u->parts, CURLUPART_HOST, &host, 0) != CURLUE_OK || host[0] == '\0') {
        curl_free(host);
        return error_set(err, ERROR_INPUT, "the URL has no host");
    }
    for (const char *at = host; *at; at++)
        is_ascii = is_ascii && (unsigned char)*at < 0x80;
    char *ascii = NULL;
    int code =
        is_ascii
            ? IDN2_OK
            : idn2_to_ascii_8z(host, &ascii,
                               IDN2_NONTRANSITIONAL | IDN2_NFC_INPUT | IDN2_USE_STD3_ASCII_RULES);
    const char *use = is_ascii ? host : ascii;
    bool ok = code == IDN2_OK && use[0] != '\0' && !has_odd_byte(use) && set_host(u->parts, use) &&
              take_part(u->parts, CURLUPART_HOST, 0, u->host, sizeof u->host);
    curl_free(host);
    idn2_free(ascii);
    if (ok)
        return true;
    if (code != IDN2_OK)
        return error_set(err, ERROR_INPUT, "the host cannot be written in ASCII: %s",
                         idn2_strerror(code));
    return error_set(err, ERROR_INPUT, "the host is longer than %d bytes or not a name",
                     OUTGOING_HOST_BYTES_MAX);
}

static bool check_parts(struct outgoing_url *u, struct error *err)
{
    if (has_part(u->parts, CURLUPART_ZONEID))
        return error_set(err, ERROR_INPUT, "the URL names a network interface");
    if (!take_part(u->parts, CURLUPART_PORT, CURLU_DEFAULT_PORT, u->port, sizeof u->port) ||
        strspn(u->port, "0") == strlen(u->port))
        return error_set(err, ERROR_INPUT, "the URL's port is none");
    if (!host_to_ascii(u, err))
        return false;
    /* No name begins so, and to CURLOPT_RESOLVE these are commands. */
    return !strchr("-+", u->host[0]) ||
           error_set(err, ERROR_INPUT, "the URL's host begins with '%c'", u->host[0]);
}

bool outgoing_url_init(struct outgoing_url *u, const char *url, struct error *err)
{
    *u = (struct outgoing_url){0};
    if (strlen(url) > OUTGOING_URL_BYTES_MAX)
        return error_set(err, ERROR_INPUT, "the URL is longer than %d bytes",
                         OUTGOING_URL_BYTES_MAX);
    if (has_odd_byte(url))
        return error_set(err, ERROR_INPUT,
                         "the URL has a blank, a control character or a backslash in it");
    size_t scheme = strncasecmp(url, "http://", 7) == 0    ? 7
                    : strncasecmp(url, "https://", 8) == 0 ? 8
                                                           : 0;
    if (scheme == 0)
        return error_set(err, ERROR_INPUT, "the URL must begin with http:// or https://");
    if (strchr("/?#", url[scheme])) /* libcurl looks for a host behind more slashes */
        return error_set(err, ERROR_INPUT, "the URL has no host");
    if (has_user(url))
        return error_set(err, ERROR_INPUT, "the URL has a user or password in it");
    u->parts = curl_url();
    if (u->parts == NULL)
        return error_set(err, ERROR_IO, "no memory for a URL");
    u->is_https = scheme == 8;
    CURLUcode code = curl_url_set(u->parts, CURLUPART_URL, url, CURLU_DISALLOW_USER);
    bool ok = code != CURLUE_OK
                  ? error_set(err, ERROR_INPUT, "not a URL: %s", curl_url_strerror(code))
                  : check_parts(u, err);
    if (!ok)
        outgoing_url_deinit(u);
    return ok;
}

void outgoing_url_deinit(struct outgoing_url *u)
{
    curl_url_cleanup(u->parts);
    u->parts = NULL;
}

bool outgoing_url_address(const struct outgoing_url *u, struct sockaddr_storage *out)
{
    char host[sizeof u->host];
    size_t len = strlen(u->host);
    bool bracketed = len >= 2 && u->host[0] == '[';
    memcpy(host, u->host + bracketed, len - 2 * (size_t)bracketed);
    host[len - 2 * (size_t)bracketed] = '\0';
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_NUMERICHOST}, *found;
    if (getaddrinfo(host, NULL, &hints, &found) != 0)
        return false;
    memcpy(out, found->ai_addr, found->ai_addrlen);
    freeaddrinfo(found);
    return true;
}

char *outgoing_url_text(const struct outgoing_url *u)
{
    char *text = NULL;
    if (curl_url_get(u->parts, CURLUPART_URL, &text, CURLU_NO_DEFAULT_PORT) != CURLUE_OK)
        return NULL;
    char *host = strstr(text, "://") + 3; /* libcurl wrote a scheme before it */
    text[strcspn(text, "#")] = '\0';
    for (char *at = text; at < host + strcspn(host, "/?"); at++)
        if (*at >= 'A' && *at <= 'Z')
            *at = (char)(*at - 'A' + 'a');
    return text;
}

const char *outgoing_url_proxy(const struct outgoing_url *u, const struct outgoing_policy *policy)
{
    const char *proxy = u->is_https ? policy->https_proxy : policy->http_proxy;
    if (proxy == NULL || proxy[0] == '\0')
        return NULL;
    struct view host = view_from(u->host);
    bool without = proxy_is_loopback(host) ||
                   proxy_no_proxy_matches(view_from(policy->no_proxy ? policy->no_proxy : ""), host,
                                          view_from(u->port));
    return without ? NULL : proxy;
}
