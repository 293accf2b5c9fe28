/* SPDX-License-Identifier: Apache-2.0 */
/* delivery_compose.h: what several drivers compose their requests of, beside JSON (json_body.h): trees of the configuration,
 * forms, URLs, and texts that a service takes only in certain forms. */
#ifndef BELFRY_ALERTING_DELIVERY_COMPOSE_H
#define BELFRY_ALERTING_DELIVERY_COMPOSE_H

#include "alerting/delivery.h"
#include "alerting/json_body.h"
#include "base/yaml.h"

/* A value as the configuration has it (delivery_json_node()). Where a template in it fails the value is the sentence that
 * says so: a notification that is complete but for one field is better than none. */
void delivery_tree(struct delivery *d, struct json_body *j, const char *name,
                   const struct yaml_node *node);

/* application/x-www-form-urlencoded: after buffer_init() one pair after the other; then moved to the delivery's arena, and
 * `b` is empty and unused, also on error. ERROR_TOO_LARGE. */
void delivery_form_init(struct buffer *b);
void delivery_form_add(struct buffer *b, const char *name, struct view value);
MUST_USE bool delivery_form_take(struct delivery *d, struct buffer *b, struct view *out,
                                 struct error *err);

/* The verdict where a request could not be composed: a file of a secret may be there next time. */
enum delivery_verdict delivery_not_composed(const struct error *err);

/* The text of a template, `fallback` where it fails: for what a service takes only in certain forms, so that an error does
 * not lose the notification. Sets d->has_template_error as delivery_text() does. */
struct view delivery_text_or(struct delivery *d, struct view template, struct view fallback);
/* Without blanks and line ends around it. */
struct view delivery_trim(struct view text);

/* URL + PATH, which goes before the URL's own query, one slash between both, and QUERY ("a=b"; empty: none). */
struct view delivery_url(struct delivery *d, struct view url, struct view path, struct view query);

#endif
