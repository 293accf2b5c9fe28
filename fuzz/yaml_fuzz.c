/* SPDX-License-Identifier: Apache-2.0 */
/* yaml_fuzz.c: any bytes parse or are refused with a sentence; each scalar that was read is written so that it
 * reads back. */
#include "base/assert.h"
#include "base/yaml.h"

#include <stdint.h>

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len);

static void check_round_trip(struct arena *arena, const struct yaml_node *node)
{
    struct buffer out;
    struct error err = {0};
    const struct yaml_node *root;
    if (node->kind != YAML_SCALAR || node->text.len > 4096 ||
        memchr(node->text.ptr, '\r', node->text.len))
        return;
    buffer_init(&out, MEM_OTHER, 1 << 20);
    buffer_append_literal(&out, "- ");
    yaml_write_string(&out, node->text, 0);
    buffer_append_byte(&out, '\n');
    ASSERT(yaml_parse(arena, buffer_view(&out), &root, &err));
    ASSERT(root && root->kind == YAML_SEQUENCE && root->count == 1);
    buffer_deinit(&out);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len)
{
    struct arena arena;
    struct error err = {0};
    const struct yaml_node *root;
    arena_init(&arena, MEM_OTHER, 0);
    if (!yaml_parse(&arena, (struct view){(const char *)bytes, len}, &root, &err)) {
        ASSERT(root == NULL && err.message[0] != '\0');
    } else if (root && root->kind == YAML_MAPPING) {
        for (uint32_t i = 0; i < root->count && i < 8; i++) {
            ASSERT(yaml_find(root, root->pairs[i].key->text.ptr) ||
                   memchr(root->pairs[i].key->text.ptr, '\0', root->pairs[i].key->text.len));
            check_round_trip(&arena, root->pairs[i].key);
            check_round_trip(&arena, root->pairs[i].value);
        }
    }
    arena_deinit(&arena);
    return 0;
}
