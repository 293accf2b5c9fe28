/* SPDX-License-Identifier: Apache-2.0 */
/* suppressions.c: what the sanitizers overlook in tests with pictures. */
#include <stdio.h>
#include <stdlib.h>

const char *__lsan_default_suppressions(void);
const char *__tsan_default_options(void);
const char *__tsan_default_suppressions(void);

/* libx265 3.5 forgets 1168 bytes for each picture that it writes (HEIF); fontconfig keeps what it knows of fonts (texts in SVG) to the end. */
const char *__lsan_default_suppressions(void)
{
    return "leak:libx265\nleak:libfontconfig\n";
}

/* Threads of libvips meet at locks of GLib, which are futexes that the checker does not see: whatever passes between them, inside of the libraries or
 * through them to functions of ours that they call, looks like a race. What passes between threads of our own is checked. */
const char *__tsan_default_options(void)
{
    return "ignore_noninstrumented_modules=1";
}

/* Drawings are drawn by the program (drawers.h), which is given the environment and has none of these. */
__attribute__((constructor)) static void tell_drawers(void)
{
    char options[1024];
    const char *given = getenv("TSAN_OPTIONS");
    (void)snprintf(options, sizeof(options), "%s:ignore_noninstrumented_modules=1",
                   given ? given : "");
    (void)setenv("TSAN_OPTIONS", options, 1); /* without memory the test fails anyway */
}

const char *__tsan_default_suppressions(void)
{
    return "race:libvips.so\n";
}
