/* SPDX-License-Identifier: Apache-2.0 */
/* format.h: values as text, after Go's fmt. All append to a buffer, whose maximum bounds them. They return false only
 * where a value's own text function failed. */
#ifndef BELFRY_TEMPLATE_FORMAT_H
#define BELFRY_TEMPLATE_FORMAT_H

#include "base/buffer.h"
#include "template/value.h"

/* %v. */
MUST_USE bool format_value(struct template_call *call, struct buffer *out,
                           const struct template_value *v);
/* What an action prints: nil as "<no value>". */
MUST_USE bool format_shown(struct template_call *call, struct buffer *out,
                           const struct template_value *v);
/* Sprint: a space between operands when neither is a text. */
MUST_USE bool format_print(struct template_call *call, struct buffer *out,
                           const struct template_value *args, size_t count);
/* Sprintln: spaces between all, a newline at the end. */
MUST_USE bool format_println(struct template_call *call, struct buffer *out,
                             const struct template_value *args, size_t count);
/* Sprintf, with Go's "%!d(string=x)" for what does not fit. */
MUST_USE bool format_printf(struct template_call *call, struct buffer *out, struct view format,
                            const struct template_value *args, size_t count);
/* "%.*g" of a double as Go prints it: "+Inf", "-Inf", "NaN". */
void format_float(struct buffer *out, double v, int precision);

/* The type's name as %T prints it; "<nil>". */
const char *format_type(const struct template_value *v);

#endif
