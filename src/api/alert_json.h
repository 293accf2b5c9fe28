/* SPDX-License-Identifier: Apache-2.0 */
/* alert_json.h: alerts as Alertmanager's API v2 has them in JSON: what clients post, and what they are shown. */
#ifndef BELFRY_API_ALERT_JSON_H
#define BELFRY_API_ALERT_JSON_H

#include "alerting/alert_router.h"
#include "base/arena.h"
#include "base/attributes.h"
#include "base/buffer.h"
#include "base/json_read.h"

enum {
    ALERT_JSON_ALERTS_MAX = 100000,     /* of one request */
    ALERT_JSON_ITEM_BYTES_MAX = 1 << 20 /* of one alert, as it is sent */
};

/* Why a request is refused, as Alertmanager says it. */
struct alert_refusal {
    int status;
    int code; /* of {"code":602,"message":"..."}; 0: the message alone, a JSON string */
    struct error err;
};
/* Sets it. Returns false. */
bool alert_refuse(struct alert_refusal *why, int status, int code, const char *format, ...)
    PRINTF_LIKE(4, 5);
/* 400: what cannot be read: "parsing WHAT body from "" failed, because SENTENCE". Returns false. */
bool alert_refuse_body(struct alert_refusal *why, const char *what, const char *sentence);

struct alert_batch {
    struct live_alert *items; /* without fingerprints; ends_ns LIVE_ALERT_NEVER: not said */
    size_t count, capacity;
    size_t invalid_count;
    struct view invalid; /* what is wrong with these, "; " between; cut when it is long */
};
/* Reads the body of POST /api/v2/alerts into the arena. False: nothing of it is to be taken. Alerts that can be read but
 * break a rule (no label, an end before the start) are left out and counted. A generator URL that would run a script when
 * somebody follows it is left out. */
MUST_USE bool alert_json_read(struct arena *arena, struct view body, int64_t now_ns,
                              struct alert_batch *out, struct alert_refusal *why);

/* An alert of GET /api/v2/alerts. */
void alert_json_write(struct buffer *b, const struct alert_view *v);
/* "2006-01-02T15:04:05.000Z", quoted; LIVE_ALERT_NEVER is the year 1. */
void alert_json_time(struct buffer *b, int64_t ns);

/* Parts that silences share. A member that is a string, or nothing: *out stays. `at` names it in the sentence. */
MUST_USE bool alert_json_text(const json_t *object, const char *name, const char *at,
                              struct view *out, struct error *err);
/* A time: RFC 3339, also without zone (UTC) or seconds, as go-openapi reads it. *ns stays when there is none. */
MUST_USE bool alert_json_read_time(const json_t *object, const char *name, const char *at,
                                   int64_t *ns, struct error *err);
/* An object of strings, sorted by name; texts are copied. `keeps_empty`: values may be empty. */
MUST_USE bool alert_json_read_labels(struct arena *arena, const json_t *object, const char *name,
                                     const char *at, bool keeps_empty, struct labels *out,
                                     struct error *err);

#endif
