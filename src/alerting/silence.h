/* SPDX-License-Identifier: Apache-2.0 */
/* silence.h: silences by Alertmanager's rules. What changes one is committed before the call returns; where it cannot be
 * committed the call fails with ERROR_UNAVAILABLE and all stays as it was. Such calls wait for the disk (at most some seconds
 * while another process holds the database): never on a thread that serves connections. */
#ifndef BELFRY_ALERTING_SILENCE_H
#define BELFRY_ALERTING_SILENCE_H

#include "alerting/alert_state.h"
#include "alerting/recurrence.h"

enum {
    SILENCE_BYTES_MAX = 1 << 20, /* of one, as it is kept, whatever the options say */
    SILENCE_MATCHERS_MAX = 1000
};

enum silence_state { SILENCE_PENDING, SILENCE_ACTIVE, SILENCE_EXPIRED };
const char *silence_state_name(enum silence_state state); /* "pending", "active", "expired" */

/* When a silence recurs it is active in each window that lies between its start and its end, and pending between them; after the
 * last one it has expired. */
struct silence_recurrence {
    enum recurrence_kind kind; /* RECURRENCE_NONE: it does not */
    struct view text;          /* "0 22 * * fri", "FREQ=WEEKLY;BYDAY=FR;BYHOUR=22;BYMINUTE=0" */
    struct view timezone;      /* "Europe/Paris"; empty: UTC */
    int64_t duration_ns;       /* of each window, in whole seconds */
    int64_t
        anchor_ns; /* an RRULE's DTSTART; LIVE_ALERT_NEVER: the start that was first asked for */
};
struct silence_window {
    int64_t begin_ns,
        end_ns; /* LIVE_ALERT_NEVER, both: there is none; end_ns does not belong to it */
};

/* As it is asked for and as it is shown. Matchers are texts: their regex is not used. */
struct silence {
    struct view id; /* empty: a new one */
    const struct matcher *matchers;
    size_t matcher_count;
    int64_t starts_ns; /* LIVE_ALERT_NEVER: now */
    int64_t ends_ns;   /* it is active at this moment, and expired after it */
    struct view created_by, comment;
    struct labels annotations;
    struct silence_recurrence recurrence;
    /* Only shown. */
    int64_t updated_ns;
    enum silence_state state;
    struct silence_window window; /* of one that recurs: in which it is now, else the next */
};

enum { SILENCE_PREVIEW_MAX = 1000 };
/* The windows of a silence that recurs, from `from_ns` on, cut to its start and end; at most max. It need not be set. ERROR_INPUT,
 * ERROR_NOT_FOUND (the time zone). */
MUST_USE bool silence_preview(const struct silence *in, int64_t from_ns, struct silence_window *out,
                              size_t max, size_t *count, struct error *err);

/* What may be a slip. */
struct silence_warnings {
    bool matches_every, matches_none, is_long;
    size_t alive, matched; /* alerts, when alert_state_watch() was called; else 0 */
};

/* Creates one, or changes the one with this id: where that would change the past (other matchers, another start of an active
 * one, another recurrence, an expired one) the old one is expired and a new one made. *id, in the arena, is of the one in force. A start in the
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
/* Their ids, times and states, without what silence_get() shows of one; in the arena; any thread. By the time of their creation. */
void silence_list(struct alert_state *s, struct arena *arena, int64_t now_ns,
                  struct silence_list *out);
bool silence_get(struct alert_state *s, struct arena *arena, struct view id, int64_t now_ns,
                 struct silence *out);

struct silence_counts {
    size_t pending, active, expired;
};
void silence_count(struct alert_state *s, int64_t now_ns, struct silence_counts *out);

#endif
