/* SPDX-License-Identifier: Apache-2.0 */
/* page.h: the files of the plain page, in the binary (assets/embed.py makes the table). */
#ifndef BELFRY_API_PAGE_H
#define BELFRY_API_PAGE_H

#include "base/view.h"

#include <stddef.h>

struct page_asset {
    const char *name; /* "index.html" */
    struct view bytes;
    const char *etag; /* with its quotes: a hash of the bytes */
};

extern const struct page_asset PAGE_ASSETS[];
extern const size_t PAGE_ASSET_COUNT;

#endif
