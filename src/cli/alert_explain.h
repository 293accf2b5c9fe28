/* SPDX-License-Identifier: Apache-2.0 */
/* alert_explain.h: belfry alert explain: why somebody was told of an alert, or was not. */
#ifndef BELFRY_CLI_ALERT_EXPLAIN_H
#define BELFRY_CLI_ALERT_EXPLAIN_H

/* argv without the verb. The exit status. */
int alert_explain_run(int argc, char **argv);

#endif
