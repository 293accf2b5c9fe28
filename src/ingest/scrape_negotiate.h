/* SPDX-License-Identifier: Apache-2.0 */
/* scrape_negotiate.h: which exposition format a target is asked for, and which its answer is in: the rules and the
 * words of Prometheus 3. */
#ifndef BELFRY_INGEST_SCRAPE_NEGOTIATE_H
#define BELFRY_INGEST_SCRAPE_NEGOTIATE_H

#include "base/attributes.h"
#include "base/buffer.h"
#include "base/error.h"
#include "base/view.h"
#include "ingest/config.h"
#include "model/exposition.h"

#include <stdbool.h>

/* Appends the value of the Accept header for the job's scrape_protocols, most wanted first. */
void scrape_accept(struct buffer *out, const struct config_scrape_job *job);
/* The format that an answer with this Content-Type (empty: none) is in. ERROR_INPUT when it is none that is read, and
 * the job has no fallback_scrape_protocol. */
MUST_USE bool scrape_format(struct view content_type, const struct config_scrape_job *job,
                            enum exposition_format *out, struct error *err);

#endif
