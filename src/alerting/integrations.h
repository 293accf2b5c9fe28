/* SPDX-License-Identifier: Apache-2.0 */
/* integrations.h: what integrations.c and those who write a delivery's texts share; its public part is in sender.h. */
#ifndef BELFRY_ALERTING_INTEGRATIONS_H
#define BELFRY_ALERTING_INTEGRATIONS_H

#include "alerting/alert_config.h"
#include "base/attributes.h"
#include "base/error.h"
#include "base/view.h"
#include "template/template.h"

#include <stdbool.h>
#include <stddef.h>

struct integrations;

/* The built-in templates: templates/NAME, embedded. */
struct integrations_template {
    const char *name;
    struct view text;
};
extern const struct integrations_template INTEGRATIONS_TEMPLATES[];
extern const size_t INTEGRATIONS_TEMPLATE_COUNT;

/* Parses the built-in templates, then the files of `templates:`, which may replace them. A pattern that matches nothing is no
 * error, as in Alertmanager. ERROR_INPUT with file and line, ERROR_IO. */
MUST_USE bool integrations_parse_templates(struct template_set *set, const struct alert_config *c,
                                           struct error *err);
const struct template_set *integrations_templates(const struct integrations *s);
struct view integrations_external_url(const struct integrations *s);

#endif
