/* SPDX-License-Identifier: Apache-2.0 */
/* delivery_chat.h: what the drivers of chat services share: texts that are shown and settings that are not, requests and
 * answers in JSON.
 *
 * Where a template fails, a text that is shown says so (delivery_text()); a setting (channel, colour, URL of a picture) is
 * left out, as a wrong one would make the service refuse the message: the alert arrives, and d->has_template_error tells. */
#ifndef BELFRY_ALERTING_DELIVERY_CHAT_H
#define BELFRY_ALERTING_DELIVERY_CHAT_H

#include "alerting/delivery_compose.h"
#include "alerting/json_body.h"
#include "base/json_read.h"

/* The text of a setting; empty when its template fails. */
struct view chat_setting(struct delivery *d, struct view template);
/* The first `runes` of a text that is shown. */
struct view chat_text(struct delivery *d, struct view template, size_t runes);
/* A URL that is a secret, or stands in a file. */
MUST_USE bool chat_secret_url(struct delivery *d, const struct secret *url, struct view file,
                              struct view *out, struct error *err);
/* Members of an object; left out when they are empty. */
void chat_put_text(struct delivery *d, struct json_body *j, const char *name, struct view template);
void chat_put_setting(struct delivery *d, struct json_body *j, const char *name,
                      struct view template);

/* "fields": short columns of an attachment; is_short, where a field does not say: -1: left out. None: nothing. */
void chat_put_fields(struct delivery *d, struct json_body *j, const struct message_fields *fields,
                     int is_short);

/* Ends the JSON and makes it the request to `url`. */
enum delivery_verdict chat_send(struct delivery *d, struct view url, struct json_body *j,
                                struct error *err);

/* The object that an answer holds, owned by the caller (json_decref); NULL, with err set, when it holds none. */
json_t *chat_read_object(const struct delivery_answer *a, const char *service, struct error *err);
/* A text of an object, borrowed from it; empty when it has none of that name. */
struct view chat_member(const json_t *object, const char *name);
/* Sets d->retry_after_ms to a number of seconds, where it is one. */
void chat_retry_after(struct delivery *d, const json_t *seconds);

#endif
