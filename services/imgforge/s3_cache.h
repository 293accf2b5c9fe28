/* SPDX-License-Identifier: Apache-2.0 */
/* s3_cache.h: results as objects of a bucket, PREFIX + 64 hexadecimal digits, on anything that speaks S3 (AWS, MinIO, Ceph, R2, ...):
 * path-style, signed with AWS Signature Version 4.
 *
 *   s3://BUCKET/PREFIX?endpoint=https://host:9000&region=eu-central-1&timeout_ms=1000&connections=16&ca=/etc/ca.pem
 *
 * All may be missing, or any part but the bucket; then S3_BUCKET, S3_ENDPOINT and S3_REGION say it. A prefix that does not end in "/" gets one. The rights
 * needed are s3:GetObject and s3:PutObject; without s3:ListBucket S3 answers 403 for what is not there, which counts as a miss.
 * Nothing is ever deleted but what is torn (by writing it anew): a lifecycle rule of the bucket does that. */
#ifndef IMGFORGE_S3_CACHE_H
#define IMGFORGE_S3_CACHE_H

#include "base/secret.h"
#include "remote_cache.h"

/* S3_ENDPOINT, S3_BUCKET, S3_REGION, S3_ACCESS_KEY, S3_SECRET_KEY, S3_SESSION_TOKEN; NULL or "" = not set. Borrowed. */
struct s3_settings {
    const char *endpoint; /* NULL: AWS' own of the region */
    const char *bucket;
    const char *region; /* NULL: us-east-1 */
    const char *access_key;
    struct secret secret_key, session_token;
};

enum { S3_TIMEOUT_MS = 1000, S3_CONNECTIONS = 16 };

/* `url` NULL: settings alone. ERROR_INPUT. Asks nobody. `out` NULL: only to see whether they are right. */
MUST_USE bool s3_cache_open(struct remote_cache **out, const char *url,
                            const struct s3_settings *settings, struct error *err);

#endif
