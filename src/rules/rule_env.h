/* SPDX-License-Identifier: Apache-2.0 */
/* rule_env.h: what all rules of a process are evaluated with. */
#ifndef BELFRY_RULES_RULE_ENV_H
#define BELFRY_RULES_RULE_ENV_H

#include "model/labels.h"
#include "promql/engine.h"
#include "rules/series_writer.h"
#include "storage/cursor.h"

/* "No such time", for the times of alerts and groups. */
#define RULE_NEVER INT64_MIN

/* Borrowed by who evaluates, and constant meanwhile. */
struct rule_env {
    struct storage_source *source;
    struct series_store store;
    struct engine_options engine;
    struct labels external_labels;
    struct view external_url;
};

#endif
