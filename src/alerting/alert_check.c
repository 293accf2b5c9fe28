/* SPDX-License-Identifier: Apache-2.0 */
/* alert_check.c: see alert_check.h. */
#include "alerting/alert_check.h"

#include "alerting/alert_config.h"
#include "alerting/integrations.h"
#include "alerting/route_lint.h"

#include <inttypes.h>

static bool check_templates(const struct alert_config *c, struct buffer *out)
{
    struct template_set *set = template_set_new();
    struct error why = {0};
    bool ok = integrations_parse_templates(set, c, &why);
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
