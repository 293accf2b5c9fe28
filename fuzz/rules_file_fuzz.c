/* SPDX-License-Identifier: Apache-2.0 */
/* rules_file_fuzz.c: any bytes are a rule file or are refused with a sentence; what was taken equals itself. */
#include "base/assert.h"
#include "rules/rule_check.h"

#include <stdint.h>

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len);

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len)
{
    struct view text = {(const char *)bytes, len};
    struct rule_check_report report = {0};
    const struct rule_check_options check = {.lint_duplicates = true};
    struct buffer out, errors;
    struct error err = {0};
    struct rule_file *f;
    if (rule_file_parse(text, "fuzz.yml", NULL, &f, &err)) {
        for (size_t g = 0; g < f->group_count; g++)
            for (size_t i = 0; i < f->groups[g].rule_count; i++)
                ASSERT(rule_definition_equal(&f->groups[g].rules[i], &f->groups[g].rules[i]));
    } else {
        ASSERT(f->error_count > 0 && err.message[0] != '\0');
    }
    rule_file_unref(f);
    buffer_init(&out, MEM_OTHER, 64 << 20);
    buffer_init(&errors, MEM_OTHER, 64 << 20);
    rule_check(NULL, text, &check, &out, &errors, &report);
    ASSERT(report.has_errors == (err.message[0] != '\0'));
    buffer_deinit(&out);
    buffer_deinit(&errors);
    return 0;
}
