/* SPDX-License-Identifier: Apache-2.0 */
/* drawing_order.h: what the server (drawing.c) and a process that draws (drawer_main.c) say to each other, over a stream socket. Both are the same program
 * on the same machine: structs go as they are.
 *
 *   server                                      drawer
 *   order OPEN, source_bytes bytes         ->
 *                                          <-   answer: of its header
 *   order DRAW                             ->   draws all of it
 *                                          <-   answer; if it is ok width x height pixels, RGBA of 8 bit, row by row
 *   order CLOSE (instead of DRAW)          ->   forgets it; no answer
 *
 * The drawer reads what strangers wrote and may have become theirs: each field of an answer is checked. It trusts the server. */
#ifndef IMGFORGE_DRAWING_ORDER_H
#define IMGFORGE_DRAWING_ORDER_H

#include "image_failure.h"

#include <stdint.h>

/* What the server starts itself with to draw: "imgforge draw". */
#define DRAWER_COMMAND "draw"

enum { DRAWING_BANDS = 4 };

enum drawing_step { DRAWING_OPEN = 1, DRAWING_DRAW, DRAWING_CLOSE };

/* All but the step is OPEN's. */
struct drawing_order {
    uint32_t step;
    uint32_t kind;       /* enum source_kind */
    int32_t page, pages; /* as of struct source_reading */
    double scale;
    uint64_t source_bytes;
};

struct drawing_answer {
    uint32_t is_ok; /* 0: `cause` says why not, and nothing follows */
    int32_t width, height;
    int32_t pages;       /* of the file; 0: not said */
    int32_t page_height; /* 0: not said */
    uint32_t reserved;   /* 0: no padding that was never written leaves a process */
    double x_res, y_res; /* pixels for each mm */
    char cause[IMAGE_FAILURE_CAUSE_BYTES];
};

#endif
