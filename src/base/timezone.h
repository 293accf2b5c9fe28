/* SPDX-License-Identifier: Apache-2.0 */
/* timezone.h: time zones by name ("Europe/Paris") from the system's zoneinfo, without the process's TZ: any thread. */
#ifndef BELFRY_BASE_TIMEZONE_H
#define BELFRY_BASE_TIMEZONE_H

#include "base/attributes.h"
#include "base/error.h"
#include "base/view.h"

#include <stdbool.h>
#include <stdint.h>

enum { TIMEZONE_NAME_BYTES = 16 };

struct timezone_data;

/* What holds in a zone at some time. */
struct timezone_at {
    int32_t offset_seconds; /* east of UTC */
    bool is_dst;
    char name[TIMEZONE_NAME_BYTES]; /* "CEST", "+0330" */
};

/* Reads a zone. "UTC" and "" are UTC, "Local" is the machine's (/etc/localtime). Immutable: any thread; the caller
 * frees it. ERROR_NOT_FOUND: `unknown time zone X`; ERROR_CORRUPT. */
MUST_USE bool timezone_open(struct timezone_data **out, struct view name, struct error *err);
/* From the bytes of a TZif file (RFC 8536). */
MUST_USE bool timezone_read(struct timezone_data **out, struct view file, struct error *err);
void timezone_free(struct timezone_data *zone); /* NULL does nothing */
/* The time at which the zone's clocks show `local_seconds` (counted as if they were UTC): the first of two where the clocks go back;
 * where they leave it out, what the offset before the change gives, which they show as much later. */
int64_t timezone_to_utc(const struct timezone_data *zone, int64_t local_seconds);
void timezone_find(const struct timezone_data *zone, int64_t unix_seconds, struct timezone_at *out);

#endif
