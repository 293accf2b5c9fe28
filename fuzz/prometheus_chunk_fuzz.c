/* SPDX-License-Identifier: Apache-2.0 */
/* prometheus_chunk_fuzz.c: chunks of other programs: nothing outside of count samples is written. */
#include "storage/prometheus_chunk.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct view bytes = {(const char *)data, size};
    size_t count = prometheus_chunk_count(bytes);
    int64_t *times = malloc(count * sizeof *times + 1);
    double *values = malloc(count * sizeof *values + 1);
    if (!prometheus_chunk_decode(bytes, times, values) && count == 0 && size >= 2)
        abort(); /* no sample: nothing to be wrong */
    free(times);
    free(values);
    return 0;
}
