/* SPDX-License-Identifier: Apache-2.0 */
/* confine.h: which folders a server of this configuration must write, and the log's line about its sandbox. */
#ifndef BELFRY_SERVER_CONFINE_H
#define BELFRY_SERVER_CONFINE_H

#include "ingest/config.h"
#include "server/sandbox.h"

#include <belfry/log.h>

/* Makes the data folder and that of alerts.db (NULL: the same) if need be and gives up writing outside of it and of the folders of the logs that the
 * configuration names. A configuration that cannot be read is told of later, by who needs it. Before the first
 * thread. `config_path` NULL = built in. */
void confine_files(struct sandbox *sandbox, const char *data_dir, const char *alerts_dir,
                   const char *config_path, enum config_unknown unknown);
/* Gives up all system calls that a running server has no use for, and logs what holds. */
void confine_calls(struct sandbox *sandbox, belfry_log *log);

#endif
