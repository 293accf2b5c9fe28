/* SPDX-License-Identifier: Apache-2.0 */
#include "instrument/status.h"

#include "instrument/cells.h"

#include <stdarg.h>
#include <stdio.h>

const char *belfry_status_text(belfry_status status)
{
    static const char *const texts[] = {
        [BELFRY_OK] = "done",
        [BELFRY_ERROR_NAME] = "the name of the metric or of a label is not valid",
        [BELFRY_ERROR_EXISTS] = "a metric with this name is registered already",
        [BELFRY_ERROR_LABELS] = "the labels are missing, too many, too long, repeated or not UTF-8",
        [BELFRY_ERROR_BUCKETS] = "the bucket bounds do not ascend, are not numbers or are too many",
        [BELFRY_ERROR_LIMIT] = "there are too many metrics",
        [BELFRY_ERROR_MEMORY] = "there is not enough memory",
        [BELFRY_ERROR_WRITE] = "the output was refused",
        [BELFRY_ERROR_FORMAT] = "an argument has a value that is not known",
        [BELFRY_ERROR_SYSTEM] = "a file could not be opened or a thread not be started",
        [BELFRY_ERROR_NULL] = "an argument is NULL: was the metric registered?",
        [BELFRY_ERROR_VALUE] = "the number is not one that can be counted",
        [BELFRY_ERROR_NOT_FOUND] = "there is nothing with this name or these label values",
        [BELFRY_ERROR_USED] = "it is too late for this, or another thread is at it",
    };
    size_t i = (size_t)status;
    return i < ARRAY_COUNT(texts) && texts[i] ? texts[i] : "unknown status";
}

belfry_status belfry__fail(belfry_status status, const char *format, ...)
{
    struct cell_block *block = belfry__block_get();
    if (!block)
        return status;
    va_list args;
    va_start(args, format);
    if (vsnprintf(block->error, sizeof(block->error), format, args) < 0)
        block->error[0] = '\0';
    va_end(args);
    for (char *c = block->error; *c; c++) {
        if ((unsigned char)*c < ' ')
            *c = '?';
    }
    return status;
}

belfry_status belfry__fail_plainly(belfry_status status)
{
    return belfry__fail(status, "%s", belfry_status_text(status));
}

const char *belfry_last_error(void)
{
    return belfry__block ? belfry__block->error : "";
}
