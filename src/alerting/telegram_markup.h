/* SPDX-License-Identifier: Apache-2.0 */
/* telegram_markup.h: the HTML that Telegram takes (core.telegram.org/bots/api#html-style), as far as cutting it needs. What is
 * counted are the characters that are seen: tags count nothing, an entity (&lt;) one. */
#ifndef BELFRY_ALERTING_TELEGRAM_MARKUP_H
#define BELFRY_ALERTING_TELEGRAM_MARKUP_H

#include "base/arena.h"
#include "base/view.h"

#include <stddef.h>

/* At most `runes` seen characters and `bytes` bytes of a text, with "…" where it was cut and the tags closed that were open
 * there. The text itself when it is short enough. */
struct view telegram_cut_html(struct arena *arena, struct view html, size_t runes, size_t bytes);
/* What is seen of it. */
struct view telegram_plain_text(struct arena *arena, struct view html);

#endif
