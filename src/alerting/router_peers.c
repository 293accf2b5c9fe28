/* SPDX-License-Identifier: Apache-2.0 */
/* router_peers.c: the memory and the sender as the router calls them. */
#include "alerting/alert_router.h"

const struct router_peers ROUTER_PEERS = {
    .integrations_ref = integrations_ref,
    .integrations_unref = integrations_unref,
    .integrations_config = integrations_config,
    .integrations_of = integrations_of,
    .submit = sender_submit,
    .silenced = alert_state_silenced,
    .acknowledged = alert_state_acknowledged,
    .log_get = notification_log_get,
    .log_put = notification_log_put,
    .history_alert = alert_history_alert,
    .history_notification = alert_history_notification,
    .history_resume = alert_history_resume,
};
