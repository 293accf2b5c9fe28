/* SPDX-License-Identifier: Apache-2.0 */
/* suppressions.c: what the leak checker of every target overlooks. */

const char *__lsan_default_suppressions(void);

/* libfyaml 0.7.12 forgets one or two KiB for some inputs (a plain scalar over several lines in a complex key). */
const char *__lsan_default_suppressions(void)
{
    return "leak:libfyaml\n";
}
