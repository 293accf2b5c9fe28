/* SPDX-License-Identifier: Apache-2.0 */
/* functions_common.h: functions that Prometheus and Alertmanager both have. */
#ifndef BELFRY_TEMPLATE_FUNCTIONS_COMMON_H
#define BELFRY_TEMPLATE_FUNCTIONS_COMMON_H

#include "template/value.h"

#define FUNCTION(name)                                                                             \
    bool name(struct template_call *call, const struct template_value *args, size_t count,         \
              struct template_value *out)

FUNCTION(function_to_upper);
FUNCTION(function_to_lower);
FUNCTION(function_match);
FUNCTION(function_re_replace_all);
FUNCTION(function_safe_html);
FUNCTION(function_humanize_duration);

#undef FUNCTION

/* A number, or a text that is one; the error is Prometheus'. */
MUST_USE bool convert_to_float(struct template_call *call, const struct template_value *v,
                               double *out);

#endif
