/* SPDX-License-Identifier: Apache-2.0 */
/* series_guard.h: may another series be made? Counts the living by job and by metric, the new ones by job and time,
 * and remembers who was refused: for metrics, and for one log event that says which label grew.
 *
 * Asked for new series only, so known ones cost nothing. All under head.creation. */
#ifndef BELFRY_STORAGE_SERIES_GUARD_H
#define BELFRY_STORAGE_SERIES_GUARD_H

#include "base/attributes.h"
#include "base/buffer.h"
#include "base/clock.h"
#include "base/map.h"
#include "model/labels.h"
#include "storage/db.h"

#include <stdbool.h>
#include <stdint.h>

enum {
    GUARD_CULPRITS_MAX = 64, /* (job, metric) pairs that are told apart; the others are one */
    GUARD_LABELS_MAX = 16,   /* of a culprit */
    GUARD_REGISTERS = 256,   /* distinct values of a label: HyperLogLog, within 7 % */
    GUARD_TEXT_BYTES = 128,  /* of a job, metric or label that is shown */
    GUARD_NEW_WINDOW_MS = 10 * 60 * 1000,
    GUARD_EVENT_MS = 10 * 60 * 1000, /* between two events of one culprit */
    GUARD_EVENT_REFUSALS = 1000      /* so many tell which label it is */
};

/* Which limit: id, the sentence's words. */
#define GUARD_LIMITS(X)                                                                            \
    X(GUARD_NONE, "")                                                                              \
    X(GUARD_TOTAL, "all series together")                                                          \
    X(GUARD_MEMORY, "memory")                                                                      \
    X(GUARD_JOB, "series of one job")                                                              \
    X(GUARD_METRIC, "series of one metric")                                                        \
    X(GUARD_NEW, "new series of one job in ten minutes")

enum guard_limit {
#define X(id, text) id,
    GUARD_LIMITS(X)
#undef X
        GUARD_LIMIT_COUNT
};
/* Static text. */
const char *guard_limit_text(enum guard_limit limit);

/* Of a job or a metric: told apart by 64 bits of hash with the process' secret. */
struct guard_count {
    uint64_t hash;
    uint64_t living;
    double room;    /* jobs: new series that may still be made now */
    mono_time seen; /* when that was true */
};
struct guard_table {
    struct guard_count *items;
    size_t count, capacity;
    struct map index;
};

struct guard_culprit {
    char job[GUARD_TEXT_BYTES], metric[GUARD_TEXT_BYTES], instance[GUARD_TEXT_BYTES];
    uint64_t hash;
    uint64_t refused, told; /* series; told: of them in events so far */
    enum guard_limit limit; /* the last one */
    mono_time first, event; /* since the last event; of the last event */
    unsigned label_count;
    struct {
        char name[GUARD_TEXT_BYTES];
        uint8_t registers[GUARD_REGISTERS];
    } labels[GUARD_LABELS_MAX];
};

struct series_guard {
    uint64_t per_job, per_metric, new_per_job; /* 0 = no limit; constant */
    uint64_t memory_bytes;                     /* 0 = no limit; constant */
    bool memory_is_short;
    unsigned asked;
    struct guard_table jobs, metrics;
    struct guard_culprit *culprits; /* made with the first refusal; the last is for all others */
    size_t culprit_count;
};

void series_guard_init(struct series_guard *g, const struct db_options *options);
void series_guard_deinit(struct series_guard *g);
/* A series with this job and metric was made (+1) or forgotten (-1). */
void series_guard_count(struct series_guard *g, struct view job, struct view metric, int change);
/* GUARD_NONE: it may be made (and must be: the job has one less to make now). */
enum guard_limit series_guard_ask(struct series_guard *g, struct view job, struct view metric,
                                  mono_time now);
/* It was refused for that limit. True when there is something to tell: series_guard_event() follows. */
bool series_guard_refused(struct series_guard *g, struct labels ls, enum guard_limit limit,
                          mono_time now);
/* Appends the sentence of the event that is due. */
void series_guard_event(struct series_guard *g, struct buffer *out, mono_time now);

#endif
