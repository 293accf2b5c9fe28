/* SPDX-License-Identifier: Apache-2.0 */
/* command.h: the subcommands of belfry: one file each. A command gets the words after its own and
 * returns the exit status: 0 ok, 1 failure, 2 usage, 3 lint, 4 not ready. Data goes to stdout, messages
 * to stderr. */
#ifndef BELFRY_CLI_COMMAND_H
#define BELFRY_CLI_COMMAND_H

#include "base/error.h"

#include <stdbool.h>

enum exit_status {
    EXIT_OK = 0,
    EXIT_FAILED = 1,
    EXIT_USAGE = 2,
    EXIT_LINT = 3,
    EXIT_NOT_READY = 4
};

int command_alert(int argc, char **argv);
int command_silence(int argc, char **argv);
int command_template(int argc, char **argv);
int command_amtool(int argc, char **argv);
int command_notify(int argc, char **argv);
int command_backfill(int argc, char **argv);
int command_backtest(int argc, char **argv);
int command_route(int argc, char **argv);
int command_server(int argc, char **argv);
int command_check(int argc, char **argv);
int command_query(int argc, char **argv);
int command_test(int argc, char **argv);
int command_tsdb(int argc, char **argv);
int command_user(int argc, char **argv);
int command_token(int argc, char **argv);
int command_version(int argc, char **argv);

/* Prints "belfry: MESSAGE" and the hint to stderr (nothing when the message is empty: it was said already); returns EXIT_USAGE for ERROR_USAGE, else EXIT_FAILED. */
int command_fail(const struct error *err);
/* Does the process stand for amtool? Then errors read "amtool: error: MESSAGE" and end with 1, and defaults come from
 * amtool's files. Set once, before threads. */
bool command_is_amtool(void);
void command_be_amtool(void);
/* Writes the one to stdout, then the other to stderr: in this order where both are a terminal. */
struct buffer;
void command_print_both(const struct buffer *out, const struct buffer *errors);
/* Of the terminal at stdout; 100 when it is none. */
int command_terminal_columns(void);
/* Prints "belfry: warning: SENTENCE" to stderr. */
void command_warn(const char *sentence);

#endif
