/* SPDX-License-Identifier: Apache-2.0 */
/* fake_integrations.h: a configuration with its integrations for tests of routing, which send nothing: webhooks without a
 * driver. Counted as the real ones are; any thread. */
#ifndef BELFRY_TESTS_FAKE_INTEGRATIONS_H
#define BELFRY_TESTS_FAKE_INTEGRATIONS_H

#include "alerting/sender.h"

struct integrations *fake_integrations_new(const char *yaml);
struct integrations *fake_integrations_ref(struct integrations *s);
void fake_integrations_unref(struct integrations *s);
struct alert_config *fake_integrations_config(struct integrations *s);
struct integration_list fake_integrations_of(struct integrations *s, struct view receiver);

#endif
