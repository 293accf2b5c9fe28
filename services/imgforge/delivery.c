/* SPDX-License-Identifier: Apache-2.0 */
/* delivery.c: see delivery.h. */
#include "delivery.h"

#include "base/floattext.h"

#include <curl/curl.h>
#include <math.h>
#include <string.h>
#include <time.h>

enum { HEADER_BYTES_MAX = 1024 }; /* of what a source says and we say on */

static struct view trim(struct view text)
{
    while (text.len && (text.ptr[0] == ' ' || text.ptr[0] == '\t'))
        text = view_slice(text, 1, text.len);
    while (text.len && (text.ptr[text.len - 1] == ' ' || text.ptr[text.len - 1] == '\t'))
        text.len--;
    return text;
}

/* What stands before the next separator, without blanks around it; *rest is what is behind it. */
static struct view item_take(struct view *rest, char separator)
{
    const char *end = rest->len ? memchr(rest->ptr, separator, rest->len) : NULL;
    size_t len = end ? (size_t)(end - rest->ptr) : rest->len;
    struct view item = trim(view_slice(*rest, 0, len));
    *rest = view_slice(*rest, len + 1, rest->len);
    return item;
}

/* --- formats and sizes that the client names --- */

/* The weight of the type itself: what a client takes by a wildcard it has not said that it knows. 0: not offered. */
static double weight_of(struct view accept, const char *type)
{
    double best = 0;
    while (accept.len) {
        struct view range = item_take(&accept, ',');
        double q = 1;
        if (!view_is_any_case(item_take(&range, ';'), type))
            continue;
        while (range.len) {
            struct view parameter = item_take(&range, ';');
            double v;
            if ((view_has_prefix(parameter, VIEW("q=")) ||
                 view_has_prefix(parameter, VIEW("Q="))) &&
                float_parse(view_slice(parameter, 2, parameter.len), &v) && v >= 0 && v <= 1)
                q = v;
        }
        best = fmax(best, q);
    }
    return best;
}

enum image_format negotiate_format(const struct negotiation *n, struct view accept,
                                   bool url_names_format)
{
    bool may_avif =
        n->can_encode_avif && (n->enforce_avif || (n->detect_avif && !url_names_format));
    bool may_webp =
        n->can_encode_webp && (n->enforce_webp || (n->detect_webp && !url_names_format));
    double avif = may_avif ? weight_of(accept, "image/avif") : 0,
           webp = may_webp ? weight_of(accept, "image/webp") : 0;
    if (avif <= 0 && webp <= 0)
        return IMAGE_FORMAT_NONE;
    return avif >= webp ? IMAGE_FORMAT_AVIF : IMAGE_FORMAT_WEBP;
}

static double positive_number(struct view text)
{
    double v;
    return float_parse(trim(text), &v) && isfinite(v) && v > 0 ? v : 0;
}

bool client_hints_apply(struct view dpr_header, struct view width_header, struct image_options *o)
{
    double dpr = positive_number(dpr_header), width = positive_number(width_header);
    bool is_taken = false;
    dpr = dpr > 0 ? fmin(fmax(dpr, 1), 5) : 0;
    if (dpr > 0 && !o->has_dpr) {
        o->dpr = dpr;
        is_taken = true;
    }
    if (width >= 1 && width <= UINT32_MAX && o->width == 0) {
        double logical = round(floor(width) / (dpr > 0 ? dpr : 1));
        o->width = logical < 1 ? 1 : (uint32_t)logical;
        is_taken = true;
    }
    return is_taken;
}

void vary_write(const struct negotiation *n, struct buffer *out)
{
    if (n->detect_webp || n->enforce_webp || n->detect_avif || n->enforce_avif)
        buffer_append_literal(out, "Accept");
    if (n->client_hints)
        buffer_printf(out, "%sSec-CH-Width, Width, Sec-CH-DPR, DPR", out->len ? ", " : "");
}

/* --- has the client got it? --- */

bool if_none_match(struct view header, struct view etag)
{
    while (header.len) {
        struct view entry = item_take(&header, ',');
        if (view_is(entry, "*"))
            return true;
        if (view_has_prefix(entry, VIEW("W/")))
            entry = view_slice(entry, 2, entry.len);
        if (entry.len == etag.len + 2 && entry.ptr[0] == '"' && entry.ptr[entry.len - 1] == '"' &&
            view_eq(view_slice(entry, 1, entry.len - 1), etag))
            return true;
    }
    return false;
}

bool if_modified_since(struct view header, int64_t modified_s)
{
    char text[64];
    header = trim(header);
    if (header.len == 0 || header.len >= sizeof(text) || modified_s <= 0)
        return false;
    memcpy(text, header.ptr, header.len);
    text[header.len] = '\0';
    time_t since = curl_getdate(text, NULL);
    return since != -1 && since >= modified_s;
}

/* --- what goes along --- */

static bool is_control(char c)
{
    return (unsigned char)c < 0x20 || c == 0x7f;
}

void cache_control_write(const struct delivery_policy *p, struct view of_source, uint64_t expires,
                         int64_t now_s, struct buffer *out)
{
    int64_t age = p->ttl_s;
    of_source = view_slice(trim(of_source), 0, HEADER_BYTES_MAX);
    if (p->passthrough && of_source.len) {
        for (size_t i = 0; i < of_source.len; i++) {
            if (!is_control(of_source.ptr[i]))
                buffer_append_byte(out, of_source.ptr[i]);
        }
        return;
    }
    if (!p->has_ttl)
        return;
    if (expires && (int64_t)expires - now_s < age)
        age = (int64_t)expires > now_s ? (int64_t)expires - now_s : 0;
    buffer_printf(out, "public, max-age=%lld", (long long)age);
}

void content_disposition_write(struct view filename, bool is_attachment, struct buffer *out)
{
    buffer_printf(out, "%s", is_attachment ? "attachment" : "inline");
    if (filename.len == 0)
        return;
    buffer_append_literal(out, "; filename=\"");
    for (size_t i = 0; i < filename.len && i < HEADER_BYTES_MAX; i++) {
        char c = filename.ptr[i];
        buffer_append_byte(out, c == '\\' || c == '"' || is_control(c) ? '_' : c);
    }
    buffer_append_byte(out, '"');
}

/* Nothing in it may end the brackets or the header. */
void canonical_link_write(struct view url, struct buffer *out)
{
    static const char DIGITS[] = "0123456789ABCDEF";
    buffer_append_byte(out, '<');
    for (size_t i = 0; i < url.len; i++) {
        unsigned char c = (unsigned char)url.ptr[i];
        if (c <= 0x20 || c >= 0x7f || c == '<' || c == '>' || c == '"' || c == '\\') {
            char escape[3] = {'%', DIGITS[c >> 4], DIGITS[c & 15]};
            buffer_append(out, escape, sizeof(escape));
        } else {
            buffer_append_byte(out, (char)c);
        }
    }
    buffer_append_literal(out, ">; rel=\"canonical\"");
}

/* Without strftime(), whose names are the locale's. */
void http_date_write(int64_t unix_s, struct buffer *out)
{
    static const char DAYS[7][4] = {"Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"};
    static const char MONTHS[12][4] = {"Jan", "Feb", "Mar", "Apr", "May", "Jun",
                                       "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};
    struct tm tm;
    time_t t = (time_t)unix_s;
    if (!gmtime_r(&t, &tm))
        return;
    buffer_printf(out, "%s, %02d %s %04d %02d:%02d:%02d GMT", DAYS[tm.tm_wday], tm.tm_mday,
                  MONTHS[tm.tm_mon], tm.tm_year + 1900, tm.tm_hour, tm.tm_min, tm.tm_sec);
}

/* --- sources --- */

/* How many bytes of `url` from `pos` on the prefix's rest takes; false where it does not. "*" takes as little as it can. */
static bool prefix_matches(const char *prefix, struct view url)
{
    const char *star = NULL;
    size_t pos = 0, star_pos = 0;
    while (*prefix) {
        if (*prefix == '*') {
            star = ++prefix;
            star_pos = pos;
        } else if (pos < url.len && *prefix == url.ptr[pos]) {
            prefix++;
            pos++;
        } else if (star && star_pos < url.len && url.ptr[star_pos] != '/') {
            prefix = star;
            pos = ++star_pos;
        } else {
            return false;
        }
    }
    return true;
}

/* "http://host" and "http://host:80": what comes next must end the host. */
static bool names_host_only(const char *prefix)
{
    const char *host = strstr(prefix, "://");
    return host && !strchr(host + 3, '/');
}

bool source_is_allowed(const char *const *prefixes, size_t count, struct view url)
{
    for (size_t i = 0; i < count; i++) {
        char with_path[1024];
        const char *prefix = prefixes[i];
        size_t len = strlen(prefix);
        if (names_host_only(prefix) && len + 2 < sizeof(with_path)) {
            memcpy(with_path, prefix, len);
            memcpy(with_path + len, "/", 2);
            if (view_is(url, prefix))
                return true;
            prefix = with_path;
        }
        if (prefix_matches(prefix, url))
            return true;
    }
    return count == 0;
}
