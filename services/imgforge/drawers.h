/* SPDX-License-Identifier: Apache-2.0 */
/* drawers.h: processes that draw, "drawers": each is this program, started when a drawing finds none idle, and used again for many. They are killed when a
 * drawing is given up, so that none goes on for nobody. There is one set of them for the process, as there is one libvips. What is said to them:
 * drawing_order.h.
 *
 *   drawers_acquire() -> leased -- drawers_release() --> idle -> leased again
 *                          |                              +----> too many, too old: killed
 *                          +-- send or receive fails: killed, and gone */
#ifndef IMGFORGE_DRAWERS_H
#define IMGFORGE_DRAWERS_H

#include "image_failure.h"

#include <stdatomic.h>
#include <stddef.h>

struct drawer;

/* `program` is what is started with the word "draw"; borrowed until drawers_stop(). Starts nothing yet. */
void drawers_start(const char *program);
/* Kills those that are idle. None is leased. */
void drawers_stop(void);

/* *out is the caller's alone until it is released or failed; one that never drew where is_new. Any thread. 500: no process can be started. */
MUST_USE bool drawers_acquire(struct drawer **out, bool is_new, struct image_failure *f);
/* Whether it drew for others before: what becomes of it may be their doing. */
bool drawer_was_used(const struct drawer *d);
/* Takes it: nothing of what was asked is still to come. */
void drawers_release(struct drawer *d);
/* Takes it, kills it. Returns when it is gone. */
void drawers_kill(struct drawer *d);

/* The same with a few last words, which nobody waits for: a drawer that does not take all of them at once is killed. */
void drawers_release_with(struct drawer *d, const void *words, size_t len);

/* All of the bytes. False: the drawer was killed, and is gone; 408 when *cancel (NULL: never) was set meanwhile, else is_drawers and 400 "Failed to decode source image"
 * with what ended it, or 500 where it ended by itself before it said anything at all. */
MUST_USE bool drawer_send(struct drawer *d, const void *bytes, size_t len,
                          const atomic_bool *cancel, struct image_failure *f);
MUST_USE bool drawer_receive(struct drawer *d, void *to, size_t len, const atomic_bool *cancel,
                             struct image_failure *f);

#endif
