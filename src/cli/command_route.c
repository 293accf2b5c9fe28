/* SPDX-License-Identifier: Apache-2.0 */
/* command_route.c: belfry route show|test: the routing tree of Alertmanager's configuration and what it does with a set
 * of labels, as amtool config routes prints it. */
#include "alerting/route.h"
#include "alerting/route_lint.h"
#include "base/buffer.h"
#include "cli/command.h"
#include "cli/flags.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

enum { OUTPUT_BYTES_MAX = 256 << 20, PREFIX_BYTES_MAX = 4096 };

static const char USAGE[] =
    "Usage: belfry route show --config.file=FILE            the routing tree\n"
    "       belfry route test --config.file=FILE LABEL...   the receivers of an alert with these "
    "labels (name=value)\n\n"
    "Flags:\n";

struct route_options {
    bool help, tree;
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
    route_lint(c, print_finding, (void *)o->file);
    return EXIT_OK;
}

/* One name=value; quotes around either are those of a matcher. Without them all behind the sign is the value. */
static bool parse_label(struct arena *arena, const char *word, struct labels_builder *b,
                        struct error *err)
{
    const char *sign = strchr(word, '=');
    struct matchers m = {0};
    if (!strchr(word, '"') && sign && sign > word && sign[-1] != '!' && sign[1] != '~') {
        labels_builder_set(b, (struct view){word, (size_t)(sign - word)}, view_from(sign + 1));
        return true;
    }
    if (!matchers_parse(arena, view_from(word), &m, NULL, err))
        return error_wrap(err, "failed to parse labels: \"%.200s\"", word);
    bool ok = m.count == 1 && m.items[0].type == MATCH_EQUAL;
    if (ok)
        labels_builder_set(b, m.items[0].name, m.items[0].value);
    matchers_deinit(&m);
    return ok || error_set(err, ERROR_INPUT,
                           "failed to parse labels: \"%.200s\": labels must be specified as "
                           "name=value pairs",
                           word);
}

/* The last of a name counts. */
static bool parse_labels(struct arena *arena, const struct flag_words *words, struct labels *out,
                         struct error *err)
{
    struct labels_builder b;
    labels_builder_init(&b, arena);
    for (int i = 0; i < words->count; i++) {
        if (!parse_label(arena, words->items[i], &b, err))
            return false;
    }
    *out = labels_builder_finish(&b);
    return true;
}

/* Prints the receivers, comma between, as --verify.receivers has them. */
static int test(const struct alert_config *c, const struct route_options *o,
                const struct flag_words *words, struct arena *arena)
{
    struct error err = {0};
    struct labels labels;
    struct route_matches matches = {0};
    struct buffer receivers;
    if (!parse_labels(arena, words, &labels, &err))
        return command_fail(&err);
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

int command_route(int argc, char **argv)
{
    struct error err = {0};
    struct route_options o = {.file = "", .receivers = ""};
    struct flag_words words;
    const struct flag flags[] = {
        {"help", 'h', FLAG_SWITCH, &o.help, NULL, "Show this."},
        {"config.file", 0, FLAG_TEXT, &o.file, "FILE", "Alertmanager's configuration file."},
        {"verify.receivers", 0, FLAG_TEXT, &o.receivers, "NAME,...",
         "test: fail unless these are the receivers, in this order."},
        {"tree", 0, FLAG_SWITCH, &o.tree, NULL, "test: show the routes that match, too."}};
    if (!flags_parse(flags, ARRAY_COUNT(flags), argc, argv, &words, command_warn, &err))
        return command_fail(&err);
    const char *what = words.count ? words.items[0] : "show";
    bool is_test = strcmp(what, "test") == 0;
    if (o.help || (!is_test && (strcmp(what, "show") != 0 || words.count > 1))) {
        fputs(USAGE, o.help ? stdout : stderr);
        flags_print_help(o.help ? stdout : stderr, flags, ARRAY_COUNT(flags));
        return o.help ? EXIT_OK : EXIT_USAGE;
    }
    if (o.file[0] == '\0') {
        error_set(&err, ERROR_USAGE, "--config.file is missing: it names Alertmanager's file");
        return command_fail(&err);
    }
    struct alert_config *c;
    struct arena arena;
    if (!alert_config_load(o.file, &c, &err))
        return command_fail(&err);
    if (words.count) {
        words.items++;
        words.count--;
    }
    arena_init(&arena, MEM_OTHER, 0);
    int status = is_test ? test(c, &o, &words, &arena) : show(c, &o);
    arena_deinit(&arena);
    alert_config_unref(c);
    return status;
}
