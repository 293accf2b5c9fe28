/* SPDX-License-Identifier: Apache-2.0 */
/* alert_memory.h: the verbs of belfry alert that amtool has not: who has an alert in hand, what fired, who was told. */
#ifndef BELFRY_CLI_ALERT_MEMORY_H
#define BELFRY_CLI_ALERT_MEMORY_H

enum alert_memory_verb { ALERT_ACK, ALERT_UNACK, ALERT_ACKS, ALERT_HISTORY, ALERT_NOTIFICATIONS };

/* Runs the verb with the words behind it; the exit status. */
int alert_memory_run(enum alert_memory_verb verb, int argc, char **argv);

#endif
