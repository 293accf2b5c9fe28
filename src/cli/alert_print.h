/* SPDX-License-Identifier: Apache-2.0 */
/* alert_print.h: answers of Alertmanager's API on the terminal, in amtool's three outputs. What an answer should have and
 * has not is shown as empty. */
#ifndef BELFRY_CLI_ALERT_PRINT_H
#define BELFRY_CLI_ALERT_PRINT_H

#include "cli/alertmanager_client.h"

/* A list of alerts, by their start; of silences, by their end. */
void alert_print_alerts(const struct alertmanager_client *c, const json_t *alerts);
void alert_print_silences(const struct alertmanager_client *c, const json_t *silences);
/* The answer of /api/v2/status: its configuration; its cluster. */
void alert_print_status(const struct alertmanager_client *c, const json_t *status);
void alert_print_cluster(const struct alertmanager_client *c, const json_t *status);
/* A time of the API by --date.format; one that is none as it is. */
void alert_print_time(const struct alertmanager_client *c, struct view rfc3339, struct buffer *out);
/* JSON as Go's encoder writes it; printed: one line. */
void alert_write_json(struct buffer *out, const json_t *json);
void alert_print_json(const json_t *json);

#endif
