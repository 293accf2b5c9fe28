/* SPDX-License-Identifier: Apache-2.0 */
/* command_version.c: belfry version [-o json]. The first line is what `promtool --version` users parse. */
#include "cli/command.h"
#include "cli/flags.h"

#include <stdio.h>
#include <string.h>
#include <sys/utsname.h>

int command_version(int argc, char **argv)
{
    struct error err = {0};
    const char *output = "text";
    const struct flag flags[] = {
        {"output", 'o', FLAG_TEXT, &output, "text|json", "How to print it."}};
    struct flag_words words;
    if (!flags_parse(flags, ARRAY_COUNT(flags), argc, argv, &words, command_warn, &err))
        return command_fail(&err);
    struct utsname machine;
    if (uname(&machine) != 0)
        memset(&machine, 0, sizeof machine);
    if (strcmp(output, "json") == 0)
        printf("{\"version\":\"%s\",\"compiler\":\"%s\",\"platform\":\"linux/%s\"}\n",
               BELFRY_VERSION, __VERSION__, machine.machine);
    else
        printf("belfry, version %s\n  compiler: %s\n  platform: linux/%s\n", BELFRY_VERSION,
               __VERSION__, machine.machine);
    return EXIT_OK;
}
