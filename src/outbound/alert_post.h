/* SPDX-License-Identifier: Apache-2.0 */
/* alert_post.h: one POST of alerts to one Alertmanager, with the requests that it takes to get there: for a token,
 * along redirects (ingest/client.h). Its thread only. */
#ifndef BELFRY_OUTBOUND_ALERT_POST_H
#define BELFRY_OUTBOUND_ALERT_POST_H

#include "base/attributes.h"
#include "base/buffer.h"
#include "base/clock.h"
#include "base/error.h"
#include "base/redaction.h"
#include "ingest/client.h"
#include "ingest/config.h"

enum {
    POST_SAID_BYTES = 200, /* of what an Alertmanager says of an error */
    POST_HEADERS_BYTES_MAX = 1 << 16,
    POST_ANSWER_BYTES_MAX = 1 << 16 /* more is not read */
};

struct alert_post {
    struct client client;  /* easy: NULL until the first one */
    struct config *config; /* referenced from begin to end */
    const struct config_alertmanager *entry;
    const char *url; /* borrowed */
    char *redirect;
    struct redaction secrets; /* that its requests carried */
    struct buffer body;       /* filled in by who begins it */
    mono_time start;
    size_t answer_bytes, headers_bytes;
    char said[POST_SAID_BYTES + 1], status_text[100], curl_error[CURL_ERROR_SIZE];
};

enum post_outcome {
    POST_GOES_ON, /* the handle has another request: to be added to a multi again */
    POST_SENT,
    POST_FAILED, /* another time it may be taken */
    POST_REFUSED /* it will be no other time */
};

/* Makes the easy handle ready to be added to a multi: p->body goes to `url` as the entry of the configuration says. Errors
 * (no memory, a file of secrets that cannot be read): nothing is to be ended. */
MUST_USE bool alert_post_begin(struct alert_post *p, struct config *config,
                               const struct config_alertmanager *entry, const char *url,
                               struct client_tokens *tokens, struct error *err);
/* The transfer has ended and left its multi. Sets err for the last two outcomes, without the secrets of the entry. */
enum post_outcome alert_post_end(struct alert_post *p, CURLcode code, struct client_tokens *tokens,
                                 struct error *err);
/* Gives up a transfer that has left its multi, or was never in one; keeps the handle. */
void alert_post_reset(struct alert_post *p);
void alert_post_deinit(struct alert_post *p);

#endif
