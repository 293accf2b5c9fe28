/* SPDX-License-Identifier: Apache-2.0 */
/* suppressions.c: what the leak checker of tests with pictures overlooks. */

const char *__lsan_default_suppressions(void);

/* libx265 3.5 forgets 1168 bytes for each picture that it writes (HEIF); fontconfig keeps what it knows of fonts (texts in SVG) to the end. */
const char *__lsan_default_suppressions(void)
{
    return "leak:libx265\nleak:libfontconfig\n";
}
