/* SPDX-License-Identifier: Apache-2.0 */
/* builder_page.h: the page that explains URLs, builds and signs them in the browser. One file of its own (assets/), in the binary. */
#ifndef IMGFORGE_BUILDER_PAGE_H
#define IMGFORGE_BUILDER_PAGE_H

#include "net/http_server.h"

/* Made by assets/embed.py. */
struct builder_page {
    struct view html;
    const char *etag; /* in quotes */
    const char *
        policy; /* Content-Security-Policy: its own script and style, requests to its own server, nothing else */
};
extern const struct builder_page BUILDER_PAGE;

/* GET /; an http_handler of HTTP_RUN_DIRECT. */
void builder_page_serve(void *arg, struct http_request *rq, struct http_response *rs);

#endif
