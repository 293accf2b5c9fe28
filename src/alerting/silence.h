/* SPDX-License-Identifier: Apache-2.0 */
/* silence.h: silences by Alertmanager's rules. What changes one is committed before the call returns; where it cannot be
 * committed the call fails with ERROR_UNAVAILABLE and all stays as it was. Such calls wait for the disk (at most some seconds
 * while another process holds the database): never on a thread that serves connections. */
#ifndef BELFRY_ALERTING_SILENCE_H
#define BELFRY_ALERTING_SILENCE_H

#include "alerting/alert_state.h"

enum {
    SILENCE_BYTES_MAX = 1 << 20, /* of one, as it is kept, whatever the options say */
    SILENCE_MATCHERS_MAX = 1000
};

enum silence_state { SILENCE_PENDING, SILENCE_ACTIVE, SILENCE_EXPIRED };
const char *silence_state_name(enum silence_state state); /* "pending", "active", "expired" */

/* As it is asked for and as it is shown. Matchers are texts: their regex is not used. */
struct silence {
    struct view id; /* empty: a new one */
    const struct matcher *matchers;
    size_t matcher_count;
    int64_t starts_ns; /* LIVE_ALERT_NEVER: now */
    int64_t ends_ns;   /* it is active at this moment, and expired after it */
    struct view created_by, comment;
    struct labels annotations;
    /* Only shown. */
    int64_t updated_ns;
    enum silence_state state;
};

/* What may be a slip. */
struct silence_warnings {
    bool matches_every, matches_none, is_long;
    size_t alive, matched; /* alerts, when alert_state_watch() was called; else 0 */
};

/* Creates one, or changes the one with this id: where that would change the past (other matchers, another start of an active
 * one, an expired one) the old one is expired and a new one made. *id, in the arena, is of the one in force. A start in the
 * past is now. ERROR_INPUT (Alertmanager's words), ERROR_NOT_FOUND, ERROR_UNAVAILABLE. */
MUST_USE bool silence_set(struct alert_state *s, struct arena *arena, const struct silence *in,
                          int64_t now_ns, struct view *id, struct silence_warnings *warnings,
                          struct error *err);
/* Sentences for people, in the arena. At most SILENCE_WARNINGS_MAX. */
enum { SILENCE_WARNINGS_MAX = 3 };
size_t silence_warning_texts(struct arena *arena, const struct silence_warnings *w,
                             struct view out[SILENCE_WARNINGS_MAX]);
/* Ends it now; one that has expired stays as it is. ERROR_NOT_FOUND, ERROR_UNAVAILABLE. */
MUST_USE bool silence_expire(struct alert_state *s, struct view id, int64_t now_ns,
                             struct error *err);

struct silence_list {
    struct silence *items;
    size_t count;
};
/* In the arena; any thread. By the time of their creation. */
void silence_list(struct alert_state *s, struct arena *arena, int64_t now_ns,
                  struct silence_list *out);
bool silence_get(struct alert_state *s, struct arena *arena, struct view id, int64_t now_ns,
                 struct silence *out);

struct silence_counts {
    size_t pending, active, expired;
};
void silence_count(struct alert_state *s, int64_t now_ns, struct silence_counts *out);

#endif
