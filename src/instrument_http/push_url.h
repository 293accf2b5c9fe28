/* SPDX-License-Identifier: Apache-2.0 */
/* push_url.h: the address of a group at a Pushgateway. */
#ifndef BELFRY_INSTRUMENT_HTTP_PUSH_URL_H
#define BELFRY_INSTRUMENT_HTTP_PUSH_URL_H

#include "base/attributes.h"
#include "instrument/text.h"

#include <belfry/metrics.h>

/* What is wrong with the group, static; NULL = nothing. Names are checked as Pushgateway does; none may be "job". */
const char *belfry__group_fault(const char *job, const belfry_label *labels, size_t count);
/* "http://gateway:9091" -> "http://gateway:9091/metrics/job/backup/instance/a": values percent-encoded, or in base64 when
 * they are empty or have a slash. NUL-terminated, unless it failed. */
void belfry__push_url(struct text *out, const char *base, const char *job,
                      const belfry_label *labels, size_t count);

#endif
