/* SPDX-License-Identifier: Apache-2.0 */
/* names.h: what may be a name or a label's value. `whose` is said in the sentence of the error. */
#ifndef BELFRY_INSTRUMENT_NAMES_H
#define BELFRY_INSTRUMENT_NAMES_H

#include "base/attributes.h"
#include "belfry/metrics.h"

enum { NAME_BYTES_MAX = 512 };

MUST_USE belfry_status belfry__check_metric_name(const char *name);
MUST_USE belfry_status belfry__check_label_name(const char *whose, const char *name);
MUST_USE belfry_status belfry__check_label_value(const char *whose, const char *label,
                                                 const char *value, size_t bytes_max);
/* The same without a sentence. */
bool belfry__is_metric_name(const char *name);
bool belfry__is_label_name(const char *name);

/* Characters of well-formed UTF-8. */
size_t belfry__utf8_characters(const char *text);

#endif
