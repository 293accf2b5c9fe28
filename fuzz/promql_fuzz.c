/* SPDX-License-Identifier: Apache-2.0 */
/* promql_fuzz.c: any bytes as a query. What parses must print to text that parses again, and then print the same;
 * what does not has a message and a position. */
#include "base/assert.h"
#include "promql/parser.h"

#include <stddef.h>
#include <stdint.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const struct parser_options ALL = {true, true, true, true};

/* A duration below a millisecond prints as 0s, which is no range: the one thing that printing loses. */
static bool has_tiny_duration(const struct buffer *text)
{
    return memmem(text->ptr, text->len, "0s", 2) != NULL;
}

static void check_printed(const struct expr *root,
                          void (*print)(struct buffer *, const struct expr *))
{
    struct buffer once, twice;
    struct promql *again;
    struct error err;
    buffer_init(&once, MEM_OTHER, (size_t)64 << 20);
    buffer_init(&twice, MEM_OTHER, (size_t)64 << 20);
    print(&once, root);
    ASSERT(!once.failed);
    if (once.len <= PROMQL_QUERY_BYTES_MAX) {
        if (promql_parse(buffer_view(&once), &ALL, &again, &err)) {
            print(&twice, promql_root(again));
            ASSERT(view_eq(buffer_view(&once), buffer_view(&twice)));
            promql_free(again);
        } else {
            ASSERT(has_tiny_duration(&once));
        }
    }
    buffer_deinit(&once);
    buffer_deinit(&twice);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct view text = {(const char *)data, size};
    struct promql *q;
    struct error err;
    if (promql_parse(text, &ALL, &q, &err)) {
        check_printed(promql_root(q), promql_print);
        check_printed(promql_root(q), promql_print_pretty);
        promql_free(q);
    } else {
        ASSERT(err.kind == ERROR_INPUT && err.message[0]);
    }
    if (promql_parse_selector(text, &q, &err))
        promql_free(q);
    return 0;
}
