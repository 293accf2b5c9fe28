/* SPDX-License-Identifier: Apache-2.0 */
/* What clients send to say who their request is: traceparent, tracestate, X-Request-Id; and a collector's answer. What is
 * accepted reads back as itself. */
#include "base/assert.h"
#include "instrument/request_private.h"

#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const char *text = (const char *)data;
    belfry_trace_context first, second;
    char parent[BELFRY_TRACEPARENT_BYTES];
    if (belfry_traceparent_parse(&first, text, size)) {
        belfry_traceparent_format(parent, &first);
        ASSERT(strlen(parent) == BELFRY_TRACEPARENT_BYTES - 1);
        ASSERT(belfry_traceparent_parse(&second, parent, strlen(parent)));
        ASSERT(memcmp(&first, &second, sizeof first) == 0);
    }
    char once[BELFRY_TRACESTATE_BYTES_MAX + 1], twice[BELFRY_TRACESTATE_BYTES_MAX + 1];
    size_t len = belfry_tracestate_clean(once, text, size);
    ASSERT(len <= BELFRY_TRACESTATE_BYTES_MAX && strlen(once) == len);
    ASSERT(belfry_tracestate_clean(twice, once, len) == len && strcmp(once, twice) == 0);
    if (belfry_request_id_is_valid(text, size)) {
        belfry_request *request;
        belfry_request_options options = {.request_id = text, .request_id_bytes = size};
        ASSERT(belfry_request_new(&request, &options) == BELFRY_OK);
        ASSERT(strlen(belfry_request_id(request)) == size);
        ASSERT(memcmp(belfry_request_id(request), text, size) == 0);
        belfry_request_end(request);
    }
    (void)belfry__otlp_rejected(text, size); /* a statistic: whatever it says */
    return 0;
}
