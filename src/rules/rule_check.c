/* SPDX-License-Identifier: Apache-2.0 */
/* rule_check.c: see rule_check.h. */
#include "rules/rule_check.h"

#include "base/mem.h"

#include <stdlib.h>

/* What a rule writes: two rules of one name and labels may write the same series. */
struct target {
    struct view name;
    struct labels labels;
};

static int target_compare(const void *a, const void *b)
{
    const struct target *x = a, *y = b;
    int c = view_cmp(x->name, y->name);
    return c ? c : labels_compare(x->labels, y->labels);
}

static void print_duplicate(struct buffer *errors, const struct target *t)
{
    buffer_printf(errors, "Metric: %.*s\nLabel(s):\n", VIEW_ARGS(t->name));
    for (uint32_t i = 0; i < t->labels.count; i++)
        buffer_printf(errors, "\t%.*s: %.*s\n", VIEW_ARGS(t->labels.items[i].name),
                      VIEW_ARGS(t->labels.items[i].value));
}

/* Each name that is written more than once, once. Returns how many there are. */
static size_t lint_duplicates(const struct rule_file *f, struct buffer *errors)
{
    struct target *all = mem_alloc_zero(MEM_CONFIG, f->rule_count + 1, sizeof *all);
    struct buffer list;
    size_t count = 0, found = 0;
    buffer_init(&list, MEM_CONFIG, RULE_FILE_BYTES_MAX);
    for (size_t g = 0; g < f->group_count; g++)
        for (size_t i = 0; i < f->groups[g].rule_count; i++)
            all[count++] =
                (struct target){f->groups[g].rules[i].name, f->groups[g].rules[i].labels};
    qsort(all, count, sizeof *all, target_compare);
    for (size_t i = 1; i < count; i++) {
        bool again = target_compare(&all[i - 1], &all[i]) == 0,
             told = i > 1 && target_compare(&all[i - 2], &all[i]) == 0;
        if (again && !told) {
            print_duplicate(&list, &all[i]);
            found++;
        }
    }
    if (found) {
        buffer_printf(errors, "  FAILED:\nlint error %zu duplicate rule(s) found.\n", found);
        buffer_append_view(errors, buffer_view(&list));
        buffer_append_literal(errors, "Might cause inconsistency while recording expressions\n");
    }
    buffer_deinit(&list);
    mem_free(MEM_CONFIG, all);
    return found;
}

static void print_errors(const char *path, const struct rule_file *f, const struct error *err,
                         struct buffer *errors)
{
    buffer_append_literal(errors, "  FAILED:\n");
    for (size_t i = 0; f && i < f->error_count; i++)
        buffer_printf(errors, "%s%s%.*s\n", path ? path : "", path ? ": " : "",
                      VIEW_ARGS(f->errors[i].text));
    if (!f)
        buffer_printf(errors, "%s\n", err->message);
}

void rule_check(const char *path, struct view text, const struct rule_check_options *opts,
                struct buffer *out, struct buffer *errors, struct rule_check_report *report)
{
    struct error err = {0};
    struct rule_file *f;
    if (path)
        buffer_printf(out, "Checking %s\n", path);
    else
        buffer_append_literal(out, "Checking standard input\n");
    bool ok = path ? rule_file_load(path, &opts->file, &f, &err)
                   : rule_file_parse(text, "", &opts->file, &f, &err);
    if (!ok) {
        print_errors(path, f, &err, errors);
        report->has_errors = true;
    } else if (opts->lint_duplicates && lint_duplicates(f, errors)) {
        report->has_lints = true;
    } else {
        buffer_printf(out, "  SUCCESS: %zu rules found\n", f->rule_count);
    }
    rule_file_unref(f);
}
