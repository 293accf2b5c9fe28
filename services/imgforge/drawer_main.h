/* SPDX-License-Identifier: Apache-2.0 */
/* drawer_main.h: "imgforge draw": the process that draws SVG and PDF for a server, which started it (drawers.h). */
#ifndef IMGFORGE_DRAWER_MAIN_H
#define IMGFORGE_DRAWER_MAIN_H

/* Does what it is told over the socket that is its standard input (drawing_order.h) until the server closes it. Returns the exit status: 1; 2: a person started it. */
int drawer_main(int argc, char **argv);

#endif
