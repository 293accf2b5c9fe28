/* SPDX-License-Identifier: Apache-2.0 */
/* acknowledgement.h: somebody has an alert in hand. Of one episode: it ends with the alert, at its expiry, or by hand.
 * Changes are committed before the call returns, as those of silences (silence.h). */
#ifndef BELFRY_ALERTING_ACKNOWLEDGEMENT_H
#define BELFRY_ALERTING_ACKNOWLEDGEMENT_H

#include "alerting/alert_state.h"

enum {
    ACKNOWLEDGEMENT_OWNER_BYTES_MAX = 256,
    ACKNOWLEDGEMENT_NOTE_BYTES_MAX = 16 * 1024,
    ACKNOWLEDGEMENTS_MAX = 1000000
};

struct acknowledgement {
    uint64_t fingerprint;
    int64_t starts_ns; /* of the alert */
    struct view owner, note;
    int64_t at_ns;
    int64_t expires_ns; /* LIVE_ALERT_NEVER: with the alert */
    int64_t ended_ns;   /* LIVE_ALERT_NEVER: it holds */
};

/* Takes an episode in hand; who did before is replaced. `at_ns` is now. ERROR_INPUT: no owner, texts that are too long or no
 * UTF-8, an expiry that has passed; ERROR_UNAVAILABLE. */
MUST_USE bool acknowledge(struct alert_state *s, const struct acknowledgement *in,
                          struct error *err);
/* ERROR_NOT_FOUND when the episode is not acknowledged. */
MUST_USE bool unacknowledge(struct alert_state *s, uint64_t fingerprint, int64_t starts_ns,
                            int64_t now_ns, struct error *err);

struct acknowledgements {
    struct acknowledgement *items;
    size_t count;
};
/* Those that hold, by fingerprint; in the arena. Any thread. */
void acknowledgement_list(struct alert_state *s, struct arena *arena, int64_t now_ns,
                          struct acknowledgements *out);
/* That of an episode. */
bool acknowledgement_get(struct alert_state *s, struct arena *arena, uint64_t fingerprint,
                         int64_t starts_ns, int64_t now_ns, struct acknowledgement *out);

#endif
