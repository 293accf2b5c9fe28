/* SPDX-License-Identifier: Apache-2.0 */
/* labels_fuzz.c: any bytes as the text of a label set. What is taken must come out the same when it was
 * written and read again, and pass through the store unchanged. */
#include "base/assert.h"
#include "model/label_store.h"
#include "model/labels.h"

#include <stddef.h>
#include <stdint.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct arena arena;
    struct error err;
    struct labels ls, again;
    struct buffer text;
    arena_init(&arena, MEM_OTHER, 0);
    buffer_init(&text, MEM_OTHER, (size_t)16 << 20);
    if (labels_parse(&arena, (struct view){(const char *)data, size}, &ls, &err)) {
        struct label_store *s = label_store_new(MEM_OTHER, 0);
        labels_format(&text, ls);
        ASSERT(labels_parse(&arena, buffer_view(&text), &again, &err));
        ASSERT(labels_equal(ls, again));
        ASSERT(labels_hash(ls) == labels_hash(again));
        labels_id id = label_store_add(s, ls);
        ASSERT(label_store_find(s, again).n == id.n);
        ASSERT(labels_equal(label_store_labels(s, id, &arena), ls));
        ASSERT(label_store_hash(s, id) == labels_hash(ls));
        label_store_free(s);
    } else {
        ASSERT(err.message[0] && err.column > 0);
    }
    buffer_deinit(&text);
    arena_deinit(&arena);
    return 0;
}
