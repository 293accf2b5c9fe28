/* SPDX-License-Identifier: Apache-2.0 */
/* http_client.c: see http_client.h. */
#include "net/http_client.h"

#include "base/redaction.h"

#include <curl/curl.h>

static size_t on_body(char *bytes, size_t size, size_t count, void *arg)
{
    struct buffer *body = arg;
    buffer_append(body, bytes, size * count);
    return body->failed ? 0 : size * count;
}

static CURL *prepare(const struct http_fetch *request, struct buffer *body,
                     struct curl_slist *headers)
{
    CURL *curl = curl_easy_init();
    if (!curl)
        return NULL;
    curl_easy_setopt(curl, CURLOPT_URL, request->url);
    curl_easy_setopt(curl, CURLOPT_PROTOCOLS_STR, "http,https");
    curl_easy_setopt(curl, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(curl, CURLOPT_TIMEOUT_MS,
                     (long)(request->timeout_ms ? request->timeout_ms : 120000));
    curl_easy_setopt(curl, CURLOPT_ACCEPT_ENCODING, "gzip");
    curl_easy_setopt(curl, CURLOPT_USERAGENT, "Belfry/" BELFRY_VERSION);
    curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, on_body);
    curl_easy_setopt(curl, CURLOPT_WRITEDATA, body);
    curl_easy_setopt(curl, CURLOPT_HTTPHEADER, headers);
    if (request->form.len) {
        curl_easy_setopt(curl, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)request->form.len);
        curl_easy_setopt(curl, CURLOPT_POSTFIELDS, request->form.ptr);
    }
    return curl;
}

bool http_fetch(const struct http_fetch *request, struct buffer *body, int *status,
                struct error *err)
{
    char detail[CURL_ERROR_SIZE] = "";
    struct curl_slist *headers = NULL;
    for (size_t i = 0; i < request->header_count; i++)
        headers = curl_slist_append(headers, request->headers[i]);
    CURL *curl = prepare(request, body, headers);
    if (!curl) {
        curl_slist_free_all(headers);
        return error_set(err, ERROR_IO, "could not prepare a request to %s", request->url);
    }
    curl_easy_setopt(curl, CURLOPT_ERRORBUFFER, detail);
    CURLcode code = curl_easy_perform(curl);
    long answered = 0;
    curl_easy_getinfo(curl, CURLINFO_RESPONSE_CODE, &answered);
    *status = (int)answered;
    curl_easy_cleanup(curl);
    curl_slist_free_all(headers);
    if (body->failed) {
        error_set(err, ERROR_TOO_LARGE, "the answer of %s is larger than %zu bytes", request->url,
                  body->bytes_max);
        http_hide_userinfo(request->url, err);
        return false;
    }
    if (code == CURLE_OK)
        return true;
    error_set(err, ERROR_IO, "could not reach %s: %s", request->url,
              *detail ? detail : curl_easy_strerror(code));
    http_hide_userinfo(request->url, err);
    return false;
}

void http_hide_userinfo(const char *url, struct error *err)
{
    struct redaction secrets = {0};
    if (!err)
        return;
    redaction_add_userinfo(&secrets, view_from(url));
    redaction_apply(&secrets, err->message, sizeof err->message);
    redaction_clear(&secrets);
}

void http_escape(struct buffer *out, struct view text)
{
    static const char HEX[] = "0123456789ABCDEF";
    for (size_t i = 0; i < text.len; i++) {
        unsigned char c = (unsigned char)text.ptr[i];
        bool plain = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
                     c == '-' || c == '.' || c == '_' || c == '~';
        if (plain) {
            buffer_append_byte(out, (char)c);
        } else {
            char escaped[3] = {'%', HEX[c >> 4], HEX[c & 15]};
            buffer_append(out, escaped, 3);
        }
    }
}
