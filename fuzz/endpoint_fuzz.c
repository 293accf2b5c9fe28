/* SPDX-License-Identifier: Apache-2.0 */
/* endpoint_fuzz.c: any target, Accept, Accept-Encoding and Authorization (lines of the input): an answer with a status that
 * is in the table, a bounded body, and never metrics without the token. */
#include "base/assert.h"

#include <belfry/http.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static belfry_http *make(void)
{
    belfry_http *http;
    belfry_counter *counter;
    belfry_registry *registry = belfry_registry_new();
    ASSERT(belfry_counter_new(&counter, registry, "app_total", "Help.") == BELFRY_OK);
    const belfry_http_options o = {
        .registry = registry, .bearer_token = "s3cret", .username = "u", .password = "p"};
    ASSERT(belfry_http_new(&http, &o, NULL) == BELFRY_OK);
    return http;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static belfry_http *http;
    char *text = malloc(size + 1), *rest = text;
    const char *lines[5] = {NULL};
    if (!http)
        http = make();
    memcpy(text, data, size);
    text[size] = '\0';
    for (size_t i = 0; i < 5 && rest; i++)
        lines[i] = strsep(&rest, "\n");
    const belfry_http_request rq = {.method = lines[0],
                                    .target = lines[1],
                                    .accept = lines[2],
                                    .accept_encoding = lines[3],
                                    .authorization = lines[4]};
    belfry_http_answer a;
    belfry_http_answer_make(http, &rq, &a);
    ASSERT(a.status == 200 || (a.status >= 400 && a.status <= 405) || a.status == 503);
    ASSERT(a.header_count > 0 && a.header_count <= BELFRY_HTTP_HEADERS_MAX && a.body_bytes < 4096);
    if (a.status == 200 && strncmp(lines[1], "/metrics", 8) == 0)
        ASSERT(strstr(lines[4], "s3cret") || strstr(lines[4], "dTpw"));
    belfry_http_answer_release(&a);
    free(text);
    return 0;
}
