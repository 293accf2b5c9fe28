/* SPDX-License-Identifier: Apache-2.0 */
/* api_login.c: the way from a browser to a session: a page with a form, the form's answer, and the way out. The
 * session is a cookie that no script reads and no other site's page sends. */
#include "access/access.h"
#include "api/api_private.h"

#include <stdio.h>

enum { NEXT_BYTES_MAX = 16 * 1024 };

static void html_escape(struct buffer *out, struct view text)
{
    for (size_t i = 0; i < text.len; i++) {
        switch (text.ptr[i]) {
        case '&':
            buffer_append_literal(out, "&amp;");
            break;
        case '<':
            buffer_append_literal(out, "&lt;");
            break;
        case '>':
            buffer_append_literal(out, "&gt;");
            break;
        case '"':
            buffer_append_literal(out, "&quot;");
            break;
        case '\'':
            buffer_append_literal(out, "&#39;");
            break;
        default:
            buffer_append_byte(out, text.ptr[i]);
        }
    }
}

/* Where to after the login: a path of this server and nothing else. "//x", "/\x" and control characters lead a
 * browser to another one. */
static struct view next_of(struct api *api, struct http_request *rq)
{
    struct view next = http_request_param(rq, "next");
    struct view prefix = view_from(api->options.prefix ? api->options.prefix : "");
    bool fine = next.len > 0 && next.len <= NEXT_BYTES_MAX && next.ptr[0] == '/' &&
                view_has_prefix(next, prefix) && next.len > prefix.len &&
                next.ptr[prefix.len] == '/';
    for (size_t i = 0; fine && i < next.len; i++)
        fine = (unsigned char)next.ptr[i] > 0x20 && next.ptr[i] != 0x7f && next.ptr[i] != '\\' &&
               (next.ptr[i] != '/' || i == 0 || next.ptr[i - 1] != '/' ||
                memchr(next.ptr, '?', i) != NULL);
    return fine ? next : VIEW("");
}

static void page(struct api *api, struct http_request *rq, struct http_response *rs,
                 const char *complaint)
{
    struct buffer *b = http_response_body(rs);
    http_response_set_content_type(rs, "text/html; charset=utf-8");
    http_response_set_header(rs, "Cache-Control", VIEW("no-store"));
    buffer_append_literal(
        b, "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n"
           "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n"
           "<meta name=\"color-scheme\" content=\"light dark\">\n<title>Log in: Belfry</title>\n"
           "<link rel=\"icon\" href=\"assets/icon.svg\" type=\"image/svg+xml\">\n"
           "<link rel=\"stylesheet\" href=\"assets/style.css\">\n</head>\n<body>\n<header>\n"
           "  <a class=\"brand\" href=\"query\"><img src=\"assets/icon.svg\" alt=\"\" width=\"24\" "
           "height=\"24\">Belfry</a>\n</header>\n<main class=\"login\">\n<h1>Log in</h1>\n");
    if (complaint) {
        buffer_append_literal(b, "<p class=\"error\" role=\"alert\">");
        html_escape(b, view_from(complaint));
        buffer_append_literal(b, "</p>\n");
    }
    buffer_append_literal(b, "<form method=\"post\" action=\"login\">\n"
                             "<input type=\"hidden\" name=\"next\" value=\"");
    html_escape(b, next_of(api, rq));
    buffer_append_literal(
        b, "\">\n<label>User <input name=\"user\" autocomplete=\"username\" autocapitalize=\"off\" "
           "required autofocus></label>\n<label>Password <input type=\"password\" "
           "name=\"password\" autocomplete=\"current-password\" required></label>\n"
           "<button type=\"submit\" id=\"run\">Log in</button>\n</form>\n</main>\n</body>\n"
           "</html>\n");
}

void api_serve_login_page(struct api *api, struct http_request *rq, struct http_response *rs)
{
    page(api, rq, rs, NULL);
}

static void set_cookie(struct api *api, struct http_request *rq, struct http_response *rs,
                       const char *value, int seconds)
{
    char text[512];
    const struct api_options *o = &api->options;
    bool secure = http_request_is_tls(rq) ||
                  (o->external_url && strncmp(o->external_url, "https://", 8) == 0);
    int len = snprintf(text, sizeof text,
                       "belfry_session=%s; Path=%s/; Max-Age=%d; HttpOnly; "
                       "SameSite=Strict%s",
                       value, o->prefix ? o->prefix : "", seconds, secure ? "; Secure" : "");
    if (len > 0 && (size_t)len < sizeof text)
        http_response_set_header(rs, "Set-Cookie", (struct view){text, (size_t)len});
}

static void lead_to(struct api *api, struct http_response *rs, struct view path)
{
    char text[256];
    int len = snprintf(text, sizeof text, "%s/", api->options.prefix ? api->options.prefix : "");
    http_response_set_status(rs, 303);
    http_response_set_header(rs, "Cache-Control", VIEW("no-store"));
    http_response_set_header(rs, "Location", path.len ? path : (struct view){text, (size_t)len});
}

void api_serve_login(struct api *api, struct http_request *rq, struct http_response *rs)
{
    char cookie[SESSION_TEXT_BYTES] = "";
    struct error err = {0};
    if (access_login(api->options.access, rq, http_request_param(rq, "user"),
                     http_request_param(rq, "password"), cookie, &err)) {
        set_cookie(api, rq, rs, cookie, SESSION_SECONDS);
        lead_to(api, rs, next_of(api, rq));
        explicit_bzero(cookie, sizeof cookie);
        return;
    }
    http_response_set_status(rs, err.kind == ERROR_FORBIDDEN ? 401
                                 : err.kind == ERROR_BUSY    ? 429
                                                             : 500);
    page(api, rq, rs, err.message);
}

void api_serve_logout(struct api *api, struct http_request *rq, struct http_response *rs)
{
    access_logout(api->options.access, rq);
    set_cookie(api, rq, rs, "", 0);
    lead_to(api, rs, VIEW(""));
}
