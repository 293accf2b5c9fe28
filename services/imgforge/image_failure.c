/* SPDX-License-Identifier: Apache-2.0 */
/* image_failure.c: see image_failure.h. */
#include "image_failure.h"

#include <stdarg.h>
#include <stdio.h>
#include <vips/vips.h>

/* Causes come from libraries, which end lines where they like. */
static void put_on_one_line(char *text)
{
    size_t len = 0;
    for (; text[len]; len++)
        if ((unsigned char)text[len] < ' ')
            text[len] = ' ';
    while (len && text[len - 1] == ' ')
        text[--len] = '\0';
}

bool image_fail(struct image_failure *f, int status, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    vsnprintf(f->text, sizeof(f->text), format, args);
    va_end(args);
    put_on_one_line(f->text);
    f->status = status;
    f->is_violation = f->is_drawers = false;
    f->cause[0] = '\0';
    return false;
}

bool image_fail_cause(struct image_failure *f, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    vsnprintf(f->cause, sizeof(f->cause), format, args);
    va_end(args);
    put_on_one_line(f->cause);
    return false;
}

bool image_fail_by_vips(struct image_failure *f, int status, const char *text)
{
    char *words = vips_error_buffer_copy(); /* takes and clears in one step */
    image_fail(f, status, "%s", text);
    image_fail_cause(f, "%s", words);
    g_free(words);
    return false;
}
