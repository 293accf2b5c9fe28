/* SPDX-License-Identifier: Apache-2.0 */
/* aws_credentials.h: where AWS' own tools look for keys and a region without asking anybody: environment and shared files.
 * Variables are those of AWS' SDKs. Not read: role_arn, sso_* and credential_process of a profile. Keys are copied into the arena, which
 * is to end with arena_wipe(). */
#ifndef BELFRY_ALERTING_AWS_CREDENTIALS_H
#define BELFRY_ALERTING_AWS_CREDENTIALS_H

#include "alerting/aws_signature.h"
#include "base/attributes.h"
#include "base/error.h"
#include "ingest/config.h"

#include <stdbool.h>

/* AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY, AWS_SESSION_TOKEN; false: they are not set. */
bool aws_credentials_of_environment(struct arena *arena, struct aws_credentials *out);

/* The profile of ~/.aws/credentials (AWS_SHARED_CREDENTIALS_FILE) and ~/.aws/config (AWS_CONFIG_FILE); `profile` empty:
 * AWS_PROFILE, else "default". *found: it has keys. A file that is not there is no error. ERROR_IO. */
MUST_USE bool aws_credentials_of_file(struct arena *arena, struct view profile,
                                      struct aws_credentials *out, bool *found, struct error *err);

/* Keys that need nobody to be asked: of `sigv4`; of the profile that it names; of the environment; of the shared files' AWS_PROFILE or
 * "default", unless there is a web identity, which comes first. This is the order of AWS' SDKs. *found: there are any. ERROR_IO. */
MUST_USE bool aws_credentials_at_hand(struct arena *arena, const struct config_sigv4 *sigv4,
                                      struct aws_credentials *out, bool *found, struct error *err);

/* AWS_REGION, AWS_DEFAULT_REGION or the profile's; empty: none says it. ERROR_IO. */
MUST_USE bool aws_region(struct arena *arena, struct view profile, struct view *out,
                         struct error *err);

/* The variable's text, empty when it is not set. Borrowed. */
struct view aws_variable(const char *name);

/* The text between <NAME> and </NAME> of an answer in XML, as it stands there; empty: none. Borrowed. */
struct view aws_element(struct view xml, const char *name);

/* "2026-11-27T03:00:00Z"; INT64_MAX: it is no time. */
int64_t aws_time_ms(struct arena *arena, struct view text);

#endif
