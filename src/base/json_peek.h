/* SPDX-License-Identifier: Apache-2.0 */
/* json_peek.h: questions to a JSON text that need no tree of it. Any thread. */
#ifndef BELFRY_BASE_JSON_PEEK_H
#define BELFRY_BASE_JSON_PEEK_H

#include "base/view.h"

#include <stdbool.h>
#include <stddef.h>

/* The items of the outermost array one after another, so that a large one is read without a tree of all of it. *pos begins
 * as 0. What an item is only a parser can say: of no JSON all may be called items, but each is shorter than the text. */
enum json_items { JSON_ITEM, JSON_ITEMS_END, JSON_ITEMS_BROKEN };
enum json_items json_next_item(struct view text, size_t *pos, struct view *item);

/* The member `name` (without escapes) of the outermost object when it is true or false: 1, 0; else -1. For texts that
 * this program wrote; of others the answer may be wrong, but it ends. */
int json_peek_bool(struct view text, const char *name);
/* Are arrays and objects at most that deep in each other? What is no JSON may pass: a parser follows. */
bool json_is_shallow(struct view text, size_t depth_max);

#endif
