/* SPDX-License-Identifier: Apache-2.0 */
/* promql_script_fuzz.c: any bytes as a .test script: parser, engine and comparison together. */
#include "base/assert.h"
#include "promql/script.h"

#include <stddef.h>
#include <stdint.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct script_report report = {0};
    struct error err;
    if (size > 4096) /* a script of a few lines shows what there is to show */
        return 0;
    if (!script_run_text("fuzz", (struct view){(const char *)data, size}, NULL, &report, &err))
        ASSERT(err.message[0]);
    return 0;
}
