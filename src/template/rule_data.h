/* SPDX-License-Identifier: Apache-2.0 */
/* rule_data.h: the data of an alerting rule's labels and annotations, as Prometheus lays it out. */
#ifndef BELFRY_TEMPLATE_RULE_DATA_H
#define BELFRY_TEMPLATE_RULE_DATA_H

#include "template/value.h"

enum { RULE_VARIABLE_COUNT = 4 };

/* For template_options.variables: $labels, $externalLabels, $externalURL, $value. */
extern const char *const RULE_VARIABLES[RULE_VARIABLE_COUNT];

/* The data, with the fields Labels, ExternalLabels, ExternalURL and Value; and the values of the variables. `labels` and
 * `external_labels` are maps of TEMPLATE_TYPE_STRING_MAP: the external ones are made once and used again. */
struct rule_data {
    struct template_value fields[RULE_VARIABLE_COUNT]; /* in the order of the variables */
};

extern const struct template_type TEMPLATE_TYPE_RULE_DATA;

static inline void rule_data_init(struct rule_data *d, struct template_value labels,
                                  struct template_value external_labels, struct view external_url,
                                  double value)
{
    d->fields[0] = labels;
    d->fields[1] = external_labels;
    d->fields[2] = template_string(external_url);
    d->fields[3] = template_float(value);
}
/* For template_run.data; d->fields is for template_run.variables. Borrows d. */
static inline struct template_value rule_data_value(const struct rule_data *d)
{
    return template_struct(&TEMPLATE_TYPE_RULE_DATA, d->fields);
}

#endif
