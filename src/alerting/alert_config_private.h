/* SPDX-License-Identifier: Apache-2.0 */
/* alert_config_private.h: what the files of Alertmanager's configuration share. It is read by tables, with the reader of
 * the server's configuration (ingest/config_private.h). */
#ifndef BELFRY_ALERTING_ALERT_CONFIG_PRIVATE_H
#define BELFRY_ALERTING_ALERT_CONFIG_PRIVATE_H

#include "alerting/alert_config.h"
#include "ingest/config_private.h"

#define SLACK_POST_MESSAGE "https://slack.com/api/chat.postMessage"

/* A flag of fields besides those of ingest/config_private.h: a secret that is a URL. */
enum { ALERT_FIELD_IS_URL = 1 << 8 };

/* receivers.c */
extern const struct section ALERT_RECEIVER_SECTION;
/* Not both; the error is at the second. */
bool alert_config_one_of(struct loader *l, const struct yaml_node *node, bool a, bool b,
                         const char *a_name, const char *b_name);
/* All fields of the table that are URLs and set: http or https, with a host. Never shows the URL. */
bool alert_config_check_urls(struct loader *l, const struct section *section,
                             const struct yaml_node *node, const void *object);
/* host:port, or nothing. */
bool alert_config_check_host_port(struct loader *l, const struct yaml_node *node, const char *name,
                                  struct view address);

/* alert_config_finish.c: fills in what `global` says for the receivers; what is then missing is an error. Adds their
 * names to `names`. */
struct string_map;
MUST_USE bool alert_config_finish_receivers(struct loader *l, struct alert_config *c,
                                            struct string_map *names);

#endif
