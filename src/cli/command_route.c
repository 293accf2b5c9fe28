/* SPDX-License-Identifier: Apache-2.0 */
/* command_route.c: belfry route show|test: the routing tree of Alertmanager's configuration and what it does with a set
 * of labels, as amtool config routes prints it. */
#include "alerting/route.h"
#include "alerting/route_lint.h"
#include "base/buffer.h"
#include "cli/alert_words.h"
#include "cli/alertmanager_client.h"
#include "cli/command.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

enum { OUTPUT_BYTES_MAX = 256 << 20, PREFIX_BYTES_MAX = 4096 };

static const char USAGE[] = "Usage: belfry route show            the routing tree\n"
                            "       belfry route test LABEL...   the receivers of an alert with "
                            "these labels (name=value)\n\n"
                            "Of the file that --config.file names, else of the server.\n\n"
                            "Flags:\n";

struct route_options {
    struct alertmanager_client client;
    bool tree;
    const char *file, *receivers;
};

/* --- trees --- */

struct tree {
    struct buffer out, prefix;
    const struct labels *labels; /* NULL: the whole tree, else what they match */
};

/* Does the tree show the child? */
static bool is_shown(const struct tree *t, const struct alert_route *child)
{
    return !t->labels || matchers_match(&child->matchers, *t->labels);
}

/* The last child that is shown: the last of all, or the one that keeps the alert. SIZE_MAX: none. */
static size_t last_shown(const struct tree *t, const struct alert_route *route)
{
    size_t last = SIZE_MAX;
    for (size_t i = 0; i < route->routes.count; i++) {
        if (!is_shown(t, &route->routes.items[i]))
            continue;
        last = i;
        if (t->labels && !route->routes.items[i].continues)
            break;
    }
    return last;
}

/* A node and what is below it. Recursion is as deep as the YAML, which has a limit. */
static void print_node(struct tree *t, const struct alert_route *route, bool is_last)
{
    size_t last = last_shown(t, route), prefix_bytes = t->prefix.len;
    buffer_append_view(&t->out, buffer_view(&t->prefix));
    buffer_printf(&t->out, "%s ", is_last ? "└──" : "├──");
    if (route->matchers.count)
        matchers_format(&t->out, &route->matchers);
    else
        buffer_append_literal(&t->out, "default-route");
    if (!t->labels && route->continues)
        buffer_append_literal(&t->out, "  continue: true");
    if (!t->labels || last == SIZE_MAX)
        buffer_printf(&t->out, "  receiver: %.*s", VIEW_ARGS(route->receiver));
    buffer_append_byte(&t->out, '\n');
    /* amtool's blanks behind a line do not break */
    buffer_append_view(&t->prefix, is_last ? VIEW("    ") : VIEW("│\u00a0\u00a0 "));
    for (size_t i = 0; last != SIZE_MAX && i <= last; i++) {
        if (is_shown(t, &route->routes.items[i]))
            print_node(t, &route->routes.items[i], i == last);
    }
    t->prefix.len = prefix_bytes;
}

static void print_tree(const struct alert_route *root, const struct labels *labels,
                       const char *title)
{
    struct tree t = {.labels = labels};
    buffer_init(&t.out, MEM_OTHER, OUTPUT_BYTES_MAX);
    buffer_init(&t.prefix, MEM_OTHER, PREFIX_BYTES_MAX);
    buffer_printf(&t.out, "%s:\n.\n", title);
    print_node(&t, root, true);
    buffer_append_byte(&t.out, '\n');
    fwrite(t.out.ptr, 1, t.out.len, stdout);
    buffer_deinit(&t.out);
    buffer_deinit(&t.prefix);
}

/* --- commands --- */

static void print_finding(void *arg, uint32_t line, uint32_t column, const char *sentence)
{
    const char *file = arg;
    fprintf(stderr, "belfry: warning: %s:%" PRIu32 ":%" PRIu32 ": %s\n", file, line, column,
            sentence);
}

static int show(const struct alert_config *c, const struct route_options *o)
{
    print_tree(c->route, NULL, "Routing tree");
    fflush(stdout); /* before the warnings, where both are a terminal */
    route_lint(c, print_finding,
               o->file[0] ? (void *)o->file : (void *)"the server's configuration");
    return EXIT_OK;
}

/* Prints the receivers, comma between, as --verify.receivers has them. */
static int test(const struct alert_config *c, const struct route_options *o,
                const struct flag_words *words, struct arena *arena)
{
    struct error err = {0};
    struct labels labels;
    struct route_matches matches = {0};
    struct buffer receivers;
    if (!alert_words_labels(arena, (const char *const *)words->items, (size_t)words->count, &labels,
                            &err)) {
        (void)error_wrap(&err, "failed to parse labels"); /* always false */
        return command_fail(&err);
    }
    route_match(arena, c->route, labels, &matches);
    if (o->tree) {
        print_tree(c->route, &labels, "Matching routes");
        putchar('\n');
    }
    buffer_init(&receivers, MEM_OTHER, OUTPUT_BYTES_MAX);
    for (size_t i = 0; i < matches.count; i++)
        buffer_printf(&receivers, "%s%.*s", i ? "," : "", VIEW_ARGS(matches.items[i]->receiver));
    printf("%.*s\n", VIEW_ARGS(buffer_view(&receivers)));
    bool same = o->receivers[0] == '\0' || view_is(buffer_view(&receivers), o->receivers);
    if (!same)
        puts("WARNING: Expected receivers did not match resolved receivers.");
    buffer_deinit(&receivers);
    return same ? EXIT_OK : EXIT_FAILED;
}

/* From the file, or from what the server says it runs with. */
static bool load(const struct route_options *o, struct alert_config **out, struct error *err)
{
    json_t *status;
    if (o->file[0])
        return alert_config_load(o->file, out, err);
    if (!alertmanager_ask(&o->client, "GET", VIEW("/api/v2/status"), VIEW(""), &status, err))
        return false;
    bool ok = alert_config_parse(json_text(json_object_get(status, "config"), "original"),
                                 "the server's configuration", out, err);
    json_decref(status);
    return ok;
}

int command_route(int argc, char **argv)
{
    static const char *const VERBS[] = {"show", "test", NULL};
    struct error err = {0};
    struct route_options o = {.file = "", .receivers = ""};
    struct flag_words words;
    alertmanager_client_init(&o.client);
    const struct flag flags[] = {
        ALERTMANAGER_FLAGS(&o.client),
        {"config.file", 0, FLAG_TEXT, &o.file, "FILE", "Alertmanager's configuration file."},
        {"verify.receivers", 0, FLAG_TEXT, &o.receivers, "NAME,...",
         "test: fail unless these are the receivers, in this order."},
        {"tree", 0, FLAG_SWITCH, &o.tree, NULL, "test: show the routes that match, too."}};
    bool is_test = flags_take_verb(flags, ARRAY_COUNT(flags), &argc, argv, VERBS) == 1;
    if (!alertmanager_client_parse(&o.client, flags, ARRAY_COUNT(flags), argc, argv, &words, &err))
        return command_fail(&err);
    if (o.client.help || (!is_test && words.count)) {
        fputs(USAGE, o.client.help ? stdout : stderr);
        flags_print_help(o.client.help ? stdout : stderr, flags, ARRAY_COUNT(flags));
        return o.client.help ? EXIT_OK : EXIT_USAGE;
    }
    if (command_is_amtool() && o.client.url && o.file[0])
        fprintf(stderr, "Warning: --config.file flag overrides the --alertmanager.url.\n");
    struct alert_config *c;
    struct arena arena;
    if (!load(&o, &c, &err))
        return command_fail(&err);
    arena_init(&arena, MEM_OTHER, 0);
    int status = is_test ? test(c, &o, &words, &arena) : show(c, &o);
    arena_deinit(&arena);
    alert_config_unref(c);
    return status;
}
