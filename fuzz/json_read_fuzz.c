/* SPDX-License-Identifier: Apache-2.0 */
/* json_read_fuzz.c: any bytes as a client's JSON: what is read is not too deep, and the peek at a member ends and agrees
 * with the tree when there is one. */
#include "base/assert.h"
#include "base/json_peek.h"
#include "base/json_read.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct error err = {0};
    struct view text = {(const char *)data, size};
    int peeked = json_peek_bool(text, "success");
    ASSERT(peeked >= -1 && peeked <= 1);
    json_t *json = json_read(text, &err);
    if (json == NULL) {
        ASSERT(err.message[0] != '\0');
        return 0;
    }
    char *compact = json_dumps(
        json, JSON_COMPACT | JSON_ENCODE_ANY); /* each key once, no escapes in "success" */
    if (compact) {
        const json_t *member = json_object_get(json, "success");
        int want = json_is_true(member) ? 1 : json_is_false(member) ? 0 : -1;
        ASSERT(json_peek_bool(view_from(compact), "success") == want);
        ASSERT(json_is_shallow(view_from(compact), JSON_DEPTH_MAX));
    }
    free(compact);
    json_decref(json);
    return 0;
}
