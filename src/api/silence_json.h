/* SPDX-License-Identifier: Apache-2.0 */
/* silence_json.h: silences as Alertmanager's API v2 has them in JSON. */
#ifndef BELFRY_API_SILENCE_JSON_H
#define BELFRY_API_SILENCE_JSON_H

#include "alerting/silence.h"
#include "api/alert_json.h"

/* Reads the body of POST /api/v2/silences into the arena. */
MUST_USE bool silence_json_read(struct arena *arena, struct view body, struct silence *out,
                                struct alert_refusal *why);
/* Does the silence have all these matchers, by name, type and value? */
bool silence_has_matchers(const struct silence *s, const struct matchers *wanted);
/* Alertmanager's order: active by end, then pending by start, then expired, the latest first. */
void silence_list_sort(struct silence_list *list);
void silence_json_write(struct buffer *b, const struct silence *s);
/* The same with the next windows of one that recurs. */
void silence_json_write_windows(struct buffer *b, const struct silence *s, int64_t now_ns);
/* {"endsAt":"...","startsAt":"..."} */
void silence_json_window(struct buffer *b, struct silence_window w);
/* [{"isEqual":true,"isRegex":false,"name":"a","value":"b"}] */
void silence_json_matchers(struct buffer *b, const struct matcher *items, size_t count);

#endif
