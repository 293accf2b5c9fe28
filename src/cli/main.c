/* SPDX-License-Identifier: Apache-2.0 */
/* main.c: belfry COMMAND ...; flags alone mean `belfry server`. Called promtool or amtool (a link), it is that tool for the
 * commands that both have; flags alone are then none. */
#include "base/buffer.h"
#include "cli/command.h"

#include <locale.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

static const struct {
    const char *name;
    int (*run)(int argc, char **argv);
    const char *help;
} COMMANDS[] = {
    {"server", command_server, "scrape, store and answer queries (also: flags alone)"},
    {"check", command_check,
     "check config|rules|alertmanager|metrics|web-config|sandbox: say what is wrong"},
    {"user", command_user, "user add|list|passwd|role|revoke: who may log in"},
    {"token", command_token, "token add|list|revoke: what programs send in place of a password"},
    {"query", command_query, "query instant|range|series|labels: ask a running server"},
    {"alert", command_alert,
     "alert query|add|ack|history|notifications: the alerts of a running server"},
    {"silence", command_silence, "silence query|add|update|expire|import: keep alerts quiet"},
    {"route", command_route, "route show|test: the routing tree of Alertmanager's configuration"},
    {"notify", command_notify, "notify test: send a test alert to a receiver, say what came of it"},
    {"template", command_template,
     "template render: what a notification's template makes of alerts"},
    {"amtool", command_amtool, "Alertmanager's tool: what a link called amtool does"},
    {"test", command_test, "test promql|rules FILE...: run PromQL scripts and unit tests of rules"},
    {"tsdb", command_tsdb,
     "tsdb list|dump|analyze|verify|import|create-blocks-from: work on a data folder"},
    {"backfill", command_backfill,
     "backfill RULES...: what recordings would have given before they were there"},
    {"backtest", command_backtest,
     "backtest RULES...: when alerts would have fired on stored history, and how often"},
    {"version", command_version, "print the version"},
};

static void print_help(FILE *out)
{
    fprintf(out, "Belfry watches services and rings when something is wrong.\n\n"
                 "Usage: belfry COMMAND [FLAG...]\n\nCommands:\n");
    for (size_t i = 0; i < ARRAY_COUNT(COMMANDS); i++)
        fprintf(out, "  %-10s %s\n", COMMANDS[i].name, COMMANDS[i].help);
    fprintf(out, "\n`belfry COMMAND --help` tells more.\n");
}

/* Messages quote what others sent: control characters would move the cursor or worse. */
static void print_safe(const char *prefix, const char *text)
{
    fputs(prefix, stderr);
    for (; *text; text++)
        fputc(((unsigned char)*text < 0x20 && *text != '\n') || *text == 0x7f ? '?' : *text,
              stderr);
    fputc('\n', stderr);
}

static bool is_amtool;

bool command_is_amtool(void)
{
    return is_amtool;
}

void command_be_amtool(void)
{
    is_amtool = true;
}

int command_fail(const struct error *err)
{
    if (is_amtool) {
        print_safe("amtool: error: ", err->message);
        return EXIT_FAILED;
    }
    if (err->message[0]) {
        print_safe("belfry: ", err->message);
        if (err->hint[0])
            print_safe("belfry: hint: ", err->hint);
    }
    return err->kind == ERROR_USAGE ? EXIT_USAGE : EXIT_FAILED;
}

void command_print_both(const struct buffer *out, const struct buffer *errors)
{
    fwrite(out->ptr, 1, out->len, stdout);
    fflush(stdout);
    fwrite(errors->ptr, 1, errors->len, stderr);
}

void command_warn(const char *sentence)
{
    fprintf(stderr, "belfry: warning: %s\n", sentence);
}

int command_terminal_columns(void)
{
    struct winsize size;
    if (ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 0)
        return size.ws_col;
    return 100;
}

int main(int argc, char **argv)
{
    /* Text in and out is UTF-8 and decimal points are points, whatever the environment says. */
    (void)setlocale(LC_ALL, "C");
    const char *slash = argc ? strrchr(argv[0], '/') : NULL;
    const char *name = slash ? slash + 1 : argc ? argv[0] : "";
    if (argc < 2 && strcmp(name, "amtool") != 0) {
        print_help(stderr);
        return EXIT_USAGE;
    }
    if (strcmp(name, "amtool") == 0)
        return command_amtool(argc - 1, argv + 1);
    const char *word = argv[1];
    bool is_tool = strcmp(name, "promtool") == 0;
    if (strcmp(word, "--help") == 0 || strcmp(word, "-h") == 0 || strcmp(word, "help") == 0) {
        print_help(stdout);
        return EXIT_OK;
    }
    if (strcmp(word, "--version") == 0)
        return command_version(0, NULL);
    if (word[0] == '-' && !is_tool)
        return command_server(argc - 1, argv + 1);
    for (size_t i = 0; i < ARRAY_COUNT(COMMANDS); i++)
        if (strcmp(word, COMMANDS[i].name) == 0)
            return COMMANDS[i].run(argc - 2, argv + 2);
    fprintf(stderr, "belfry: there is no command \"%s\"\n\n", word);
    print_help(stderr);
    return EXIT_USAGE;
}
