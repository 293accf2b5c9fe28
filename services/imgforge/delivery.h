/* SPDX-License-Identifier: Apache-2.0 */
/* delivery.h: what request headers ask for and answer headers say: formats that the client takes, its size, whether it has the picture
 * already, how long it may keep it. */
#ifndef IMGFORGE_DELIVERY_H
#define IMGFORGE_DELIVERY_H

#include "base/buffer.h"
#include "image_options.h"

/* --- formats and sizes that the client names --- */

struct negotiation {
    bool detect_webp, enforce_webp, detect_avif,
        enforce_avif; /* enforce: also where the URL names a format */
    bool can_encode_webp, can_encode_avif;
    bool client_hints;
};

/* The format of an Accept header: what it gives the higher weight, AVIF before WebP where it does not say. NONE: as the URL says. */
enum image_format negotiate_format(const struct negotiation *n, struct view accept,
                                   bool url_names_format);
/* What the client knows of its own screen fills what the URL leaves open: Sec-CH-DPR or DPR, Sec-CH-Width or Width (in pixels of the
 * screen: dpr is taken off, and put on again with the rest). Empty views: not sent. True when something was taken. */
bool client_hints_apply(struct view dpr, struct view width, struct image_options *o);
/* The header's value; appends nothing when answers do not vary. */
void vary_write(const struct negotiation *n, struct buffer *out);

/* --- has the client got it? --- */

/* Does a header If-None-Match name this etag (32 digits, without quotes)? A list, "*", W/ before an entry. */
bool if_none_match(struct view header, struct view etag);
/* Is the date of If-Modified-Since (any of HTTP's three forms) not before the one that we would send? */
bool if_modified_since(struct view header, int64_t modified_s);

/* --- what goes along --- */

struct delivery_policy {
    bool has_ttl, passthrough; /* passthrough: the source's Cache-Control goes before our own */
    int64_t ttl_s;
};
/* The value of Cache-Control; appends nothing when there is none. `expires`: Unix seconds; 0: never. */
void cache_control_write(const struct delivery_policy *p, struct view of_source, uint64_t expires,
                         int64_t now_s, struct buffer *out);
/* inline; filename="NAME" */
void content_disposition_write(struct view filename, bool is_attachment, struct buffer *out);
/* <URL>; rel="canonical" */
void canonical_link_write(struct view url, struct buffer *out);
/* Sun, 06 Nov 1994 08:49:37 GMT */
void http_date_write(int64_t unix_s, struct buffer *out);

/* --- sources --- */

/* Does the URL begin with one of the prefixes? "*" in a prefix stands for any bytes but "/". No prefixes: any URL. A prefix without a path
 * does not reach into a longer host: "http://a.test" allows http://a.test/x, not http://a.test.evil/x. */
bool source_is_allowed(const char *const *prefixes, size_t count, struct view url);

#endif
