/* SPDX-License-Identifier: Apache-2.0 */
/* watermarks.h: the pictures that are laid over others: the operator's own, a file that is read at the start and when it is asked
 * to, and those that URLs name (watermark_url), fetched by the rules of sources and kept for a while. Any thread. */
#ifndef IMGFORGE_WATERMARKS_H
#define IMGFORGE_WATERMARKS_H

#include "base/error.h"
#include "cached_image.h"
#include "source_fetch.h"

/* Of the operator's file, and of one by URL where no limit is set. */
enum { WATERMARK_BYTES_MAX = 16 << 20 };

struct watermarks;

/* The bytes of a file, immutable and counted. */
struct watermark;
struct view watermark_bytes(const struct watermark *mark);
void watermark_unref(struct watermark *mark); /* NULL does nothing */

/* Borrowed as long as the watermarks; zero is the default of what has one. */
struct watermarks_options {
    const struct source_policy *policy;
    const char *path;          /* of the operator's own; NULL or "" = none */
    uint64_t source_bytes_max; /* of one; 0 = 16 MiB */
    size_t kept_max;           /* how many of URLs are kept; 0 = 32 */
    uint64_t kept_bytes_max;   /* of all that are kept; 0 = 32 MiB */
    int64_t kept_ms;           /* then it is fetched again; 0 = 5 minutes */
};

/* Does not look at the file: watermarks_read_file(). */
struct watermarks *watermarks_new(const struct watermarks_options *opts);
void watermarks_free(struct watermarks *ws); /* nobody gets one any more; NULL is fine */
/* At the start, and when it may have changed. False: could not be read, the one before (if any) stays. True without a path. */
MUST_USE bool watermarks_read_file(struct watermarks *ws, struct error *err);

/* SHA-256 of the file's bytes; zeros: none has been read. Results with it are known by that, not by where it lies. */
void watermarks_file_digest(struct watermarks *ws, struct image_key *out);

enum watermark_outcome {
    WATERMARK_FOUND,
    WATERMARK_NONE,   /* the URL is empty and no file is configured: no watermark is drawn */
    WATERMARK_FAILED, /* *f: 400 "Failed to fetch watermark image" or "Failed to read watermark image from path", 408, 500 */
    WATERMARK_REFUSED /* the URL, or where it leads, is not allowed; *f as FAILED */
};

/* Of this URL, or of the file where it is empty. Several who ask for the same at once wait for one fetch; when it fails one of them
 * tries, with a timeout_ms of its own. Waits for as long as these fetches take, or until *cancel (may be NULL). The caller has a reference of its own to *out. */
enum watermark_outcome watermarks_get(struct watermarks *ws, struct view url, int64_t timeout_ms,
                                      const atomic_bool *cancel, struct watermark **out,
                                      struct image_failure *f);

struct watermarks_stats {
    uint64_t fetched; /* ever, in vain or not */
    size_t kept;      /* now, the file not counted */
    uint64_t kept_bytes;
};
void watermarks_stats_get(struct watermarks *ws, struct watermarks_stats *out);

#endif
