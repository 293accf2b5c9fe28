/* SPDX-License-Identifier: Apache-2.0 */
/* rule_data.c: see rule_data.h. */
#include "template/rule_data.h"

const char *const RULE_VARIABLES[RULE_VARIABLE_COUNT] = {"labels", "externalLabels", "externalURL",
                                                         "value"};

static const struct template_field FIELDS[RULE_VARIABLE_COUNT] = {
    {"Labels", "Labels"},
    {"ExternalLabels", "ExternalLabels"},
    {"ExternalURL", "ExternalURL"},
    {"Value", "Value"},
};

const struct template_type TEMPLATE_TYPE_RULE_DATA = {
    .kind = TEMPLATE_STRUCT,
    .name = "struct { Labels map[string]string; ExternalLabels map[string]string; ExternalURL "
            "string; Value interface {} }",
    .fields = FIELDS,
    .field_count = RULE_VARIABLE_COUNT,
};
