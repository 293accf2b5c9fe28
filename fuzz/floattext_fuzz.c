/* SPDX-License-Identifier: Apache-2.0 */
/* Float text: each layout of what is read reads back, bit for bit. */
#include "base/assert.h"
#include "base/floattext.h"

#include <math.h>
#include <stdint.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(double v, size_t (*format)(double, char *))
{
    char text[FLOAT_TEXT_BYTES];
    double back;
    size_t len = format(v, text);
    ASSERT(len <= FLOAT_TEXT_BYTES);
    ASSERT(float_parse((struct view){text, len}, &back));
    ASSERT(isnan(v) ? isnan(back) : memcmp(&back, &v, sizeof(v)) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    double v;
    if (float_parse((struct view){(const char *)data, size}, &v)) {
        check(v, float_format_plain);
        check(v, float_format_short);
        check(v, float_format_general);
        check(v, float_format_json);
        check(v, float_format_le);
    }
    if (size >= sizeof(v)) {
        memcpy(&v, data, sizeof(v));
        check(v, float_format_plain);
        check(v, float_format_general);
    }
    return 0;
}
