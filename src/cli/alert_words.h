/* SPDX-License-Identifier: Apache-2.0 */
/* alert_words.h: matchers, labels and times as amtool's command line has them. */
#ifndef BELFRY_CLI_ALERT_WORDS_H
#define BELFRY_CLI_ALERT_WORDS_H

#include "alerting/matcher_text.h"
#include "base/arena.h"
#include "base/attributes.h"
#include "base/error.h"
#include "cli/flags.h"
#include "model/labels.h"

/* A first word that is no matcher is an alert's name: foo becomes alertname="foo", in the arena. */
void alert_words_shorthand(struct arena *arena, struct flag_words *words);
/* Adds the matchers, one a word; matchers_deinit(). ERROR_INPUT. */
MUST_USE bool alert_words_matchers(struct arena *arena, const struct flag_words *words,
                                   struct matchers *out, struct error *err);
/* name=value, one a word; quotes around either are those of a matcher, without them all behind the sign is the value. The
 * last of a name counts. ERROR_INPUT. */
MUST_USE bool alert_words_labels(struct arena *arena, const char *const *words, size_t count,
                                 struct labels *out, struct error *err);
/* RFC 3339 into ms since the epoch. ERROR_INPUT names the flag. */
MUST_USE bool alert_words_time(const char *flag, const char *text, int64_t *ms, struct error *err);
/* "2006-01-02T15:04:05.000Z", quoted, as JSON. */
void alert_words_write_time(struct buffer *out, int64_t ms);

#endif
