/* SPDX-License-Identifier: Apache-2.0 */
/* command_amtool.c: the words of amtool, each by the command of ours that does the same, and those that only it has: config
 * show, cluster show. */
#include "cli/alert_print.h"
#include "cli/command.h"

#include <stdio.h>

static const char USAGE[] =
    "usage: amtool [<flags>] <command> [<args> ...]\n\n"
    "Commands:\n"
    "  alert query|add\n"
    "  silence query|add|update|expire|import\n"
    "  check-config [FILE...]\n"
    "  config show\n"
    "  config routes show|test\n"
    "  cluster show\n"
    "  template render\n\n"
    "Defaults of flags are read from ~/.config/amtool/config.yml and /etc/amtool/config.yml.\n\n"
    "Flags:\n";

/* config show and cluster show: both are in the answer of one request. */
static int show_status(int argc, char **argv,
                       void (*print)(const struct alertmanager_client *c, const json_t *status))
{
    static const char *const VERBS[] = {"show", NULL};
    struct alertmanager_client c;
    struct flag_words words;
    struct error err = {0};
    json_t *status;
    alertmanager_client_init(&c);
    const struct flag flags[] = {ALERTMANAGER_FLAGS(&c)};
    (void)flags_take_verb(flags, ARRAY_COUNT(flags), &argc, argv, VERBS); /* or left out */
    if (!alertmanager_client_parse(&c, flags, ARRAY_COUNT(flags), argc, argv, &words, &err))
        return command_fail(&err);
    if (words.count) {
        error_set(&err, ERROR_USAGE, "unexpected %s", words.items[0]);
        return command_fail(&err);
    }
    if (c.help) {
        fputs(USAGE, stdout);
        flags_print_help(stdout, flags, ARRAY_COUNT(flags));
        return EXIT_OK;
    }
    if (!alertmanager_ask(&c, "GET", VIEW("/api/v2/status"), VIEW(""), &status, &err))
        return command_fail(&err);
    print(&c, status);
    json_decref(status);
    return EXIT_OK;
}

/* check alertmanager, which has no server: amtool's own flags go. */
static int check_config(const struct flag *flags, size_t count, struct alertmanager_client *c,
                        int argc, char **argv)
{
    static char kind[] = "alertmanager";
    char *words_all[FLAG_LIST_MAX + 1] = {kind};
    struct flag_words words;
    struct error err = {0};
    if (!alertmanager_client_parse(c, flags, count, argc, argv, &words, &err))
        return command_fail(&err);
    if (words.count > FLAG_LIST_MAX) {
        error_set(&err, ERROR_USAGE, "more than %d files", FLAG_LIST_MAX);
        return command_fail(&err);
    }
    for (int i = 0; i < words.count; i++)
        words_all[i + 1] = words.items[i];
    return command_check(words.count + 1, words_all);
}

int command_amtool(int argc, char **argv)
{
    static const char *const VERBS[] = {"alert",   "silence", "check-config", "config",
                                        "cluster", "help",    "template",     NULL};
    static const char *const CONFIG_VERBS[] = {"routes", NULL};
    struct alertmanager_client c;
    bool version = false;
    command_be_amtool();
    alertmanager_client_init(&c);
    const struct flag flags[] = {
        ALERTMANAGER_FLAGS(&c),
        {"version", 0, FLAG_SWITCH, &version, NULL, "Show application version."}};
    const size_t count = ARRAY_COUNT(flags);
    switch (flags_take_verb(flags, count, &argc, argv, VERBS)) {
    case 0:
        return command_alert(argc, argv);
    case 1:
        return command_silence(argc, argv);
    case 2:
        return check_config(flags, count, &c, argc, argv);
    case 3:
        if (flags_take_verb(flags, count, &argc, argv, CONFIG_VERBS) == 0)
            return command_route(argc, argv);
        return show_status(argc, argv, alert_print_status);
    case 4:
        return show_status(argc, argv, alert_print_cluster);
    case 6:
        return command_template(argc, argv);
    default:
        break;
    }
    struct flag_words words;
    struct error err = {0};
    if (!alertmanager_client_parse(&c, flags, count, argc, argv, &words, &err))
        return command_fail(&err);
    if (version)
        return command_version(0, NULL);
    if (words.count) {
        error_set(&err, ERROR_USAGE, "expected command but got \"%.100s\"", words.items[0]);
        return command_fail(&err);
    }
    fputs(USAGE, stdout);
    flags_print_help(stdout, flags, count);
    return EXIT_OK;
}
