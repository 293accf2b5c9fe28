/* SPDX-License-Identifier: Apache-2.0 */
/* origin.h: an origin on loopback that answers with exactly the bytes of a table, also such as no honest origin sends; one connection after the other. */
#ifndef TESTS_IMGFORGE_ORIGIN_H
#define TESTS_IMGFORGE_ORIGIN_H

#include <stddef.h>

enum { ORIGIN_REQUEST_BYTES = 4096 };

/* PORT in an answer is the origin's; at its end HANG waits until the client is gone, FLOOD and HEAD never end. */
struct origin_page {
    const char *path, *answer;
};

struct origin;

struct origin *origin_new(const struct origin_page *pages, size_t count); /* borrowed */
void origin_free(struct origin *o);
/* How many have asked; `last` (may be NULL) gets the request of the last one. */
unsigned origin_asked(struct origin *o, char last[ORIGIN_REQUEST_BYTES]);
/* Waits until so many have. */
void origin_await(struct origin *o, unsigned count);
/* A path is the origin's; PORT in a URL is its port. Static: until the next call, of one thread. */
char *origin_url(const struct origin *o, const char *text);

#endif
