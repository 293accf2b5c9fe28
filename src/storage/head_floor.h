/* SPDX-License-Identifier: Apache-2.0 */
/* head_floor.h: how far the head of this folder was cut into blocks, kept in head/floor. It cannot be told
 * from the blocks that are there: one that was copied in may end later than anything that was cut here.
 * Layout: head_floor.c. */
#ifndef BELFRY_STORAGE_HEAD_FLOOR_H
#define BELFRY_STORAGE_HEAD_FLOOR_H

#include "base/attributes.h"
#include "base/error.h"
#include "base/view.h"
#include "storage/ulid.h"

#include <stdbool.h>
#include <stdint.h>

struct head_floor {
    int64_t floor_ms; /* samples below it are in blocks; INT64_MIN = nothing was cut yet */
    /* A cut in work: when the block of this name is there, it went through, up to next_ms. "" = none. */
    char block[ULID_BYTES];
    int64_t next_ms;
};

/* Of the data folder `dir`. No file: {INT64_MIN}. ERROR_CORRUPT when its bytes are damaged. */
MUST_USE bool head_floor_read(struct head_floor *out, const char *dir, struct error *err);
/* Atomic, and synced when it returns. */
MUST_USE bool head_floor_write(const struct head_floor *floor, const char *dir, struct error *err);
MUST_USE bool head_floor_parse(struct view bytes, struct head_floor *out, struct error *err);

#endif
