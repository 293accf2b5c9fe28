/* SPDX-License-Identifier: Apache-2.0 */
/* alert_check.c: see alert_check.h. */
#include "alerting/alert_check.h"

#include "alerting/alert_config.h"
#include "alerting/route_lint.h"
#include "base/file.h"
#include "template/template.h"

#include <glob.h>
#include <inttypes.h>
#include <string.h>

static bool parse_template(struct template_set *set, const char *path, struct error *err)
{
    static const struct template_options OPTIONS = {.functions = &TEMPLATE_ALERTMANAGER};
    const char *slash = strrchr(path, '/');
    struct buffer text;
    buffer_init(&text, MEM_CONFIG, TEMPLATE_TEXT_BYTES_MAX);
    bool ok = file_read_all(path, &text, err) &&
              (template_set_parse(set, &OPTIONS, view_from(slash ? slash + 1 : path),
                                  buffer_view(&text), err) ||
               error_wrap(err, "%s", path));
    buffer_deinit(&text);
    return ok;
}

/* A pattern that matches nothing is no error, as in Alertmanager. */
static bool parse_pattern(struct template_set *set, struct view pattern, struct error *err)
{
    glob_t found = {0};
    bool ok = true;
    int code = glob(pattern.ptr, 0, NULL, &found);
    if (code == GLOB_NOSPACE)
        ok = error_set(err, ERROR_IO, "%.*s: no memory", VIEW_ARGS(pattern));
    for (size_t i = 0; code == 0 && i < found.gl_pathc && ok; i++)
        ok = parse_template(set, found.gl_pathv[i], err);
    globfree(&found);
    return ok;
}

static bool check_templates(const struct alert_config *c, struct buffer *out)
{
    struct template_set *set = template_set_new();
    struct error why = {0};
    bool ok = true;
    for (size_t i = 0; i < c->templates.count && ok; i++)
        ok = parse_pattern(set, c->templates.items[i], &why);
    template_set_free(set);
    if (c->templates.count)
        buffer_printf(out, "  %s%s\n", ok ? "SUCCESS" : "FAILED: ", ok ? "" : why.message);
    return ok;
}

struct lint {
    const char *path;
    struct buffer *warnings;
};

static void add_lint(void *arg, uint32_t line, uint32_t column, const char *sentence)
{
    const struct lint *lint = arg;
    buffer_printf(lint->warnings, "belfry: warning: %s:%" PRIu32 ":%" PRIu32 ": %s\n", lint->path,
                  line, column, sentence);
}

bool alert_check(const char *path, struct buffer *out, struct buffer *warnings)
{
    struct alert_config *c;
    struct error why = {0};
    buffer_printf(out, "Checking '%s'", path);
    if (!alert_config_load(path, &c, &why)) {
        buffer_printf(out, "  FAILED: %s\n\n", why.message);
        return false;
    }
    buffer_append_literal(out, "  SUCCESS\nFound:\n");
    buffer_append_literal(
        out, " - global config\n"); /* there are defaults even where the file has none */
    buffer_append_literal(out, " - route\n");
    buffer_printf(out, " - %zu inhibit rules\n - %zu receivers\n - %zu templates\n",
                  c->inhibit_rules.count, c->receivers.count, c->templates.count);
    bool ok = check_templates(c, out);
    buffer_append_byte(out, '\n');
    for (size_t i = 0; i < c->warnings->count; i++)
        buffer_printf(warnings, "belfry: warning: %.*s\n", VIEW_ARGS(c->warnings->items[i]));
    struct lint lint = {path, warnings};
    route_lint(c, add_lint, &lint);
    alert_config_unref(c);
    return ok;
}
