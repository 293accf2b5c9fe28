/* SPDX-License-Identifier: Apache-2.0 */
/* to_json.h: a value as JSON, as Go's encoding/json writes it. */
#ifndef BELFRY_TEMPLATE_TO_JSON_H
#define BELFRY_TEMPLATE_TO_JSON_H

#include "base/buffer.h"
#include "template/value.h"

/* False after template_call_error(): NaN and Inf have no JSON. */
MUST_USE bool to_json(struct template_call *call, struct buffer *out,
                      const struct template_value *v);

#endif
