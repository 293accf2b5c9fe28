/* SPDX-License-Identifier: Apache-2.0 */
/* script_annotation.c: warnings and infos against the expect lines of a script. */
#include "promql/script_private.h"

#include "base/regex.h"

bool script_text_matches(struct view text, struct view message, struct view regex)
{
    if (regex.len == 0)
        return message.len == 0 || view_eq(text, message);
    struct buffer pattern; /* anywhere in the text, and ours are anchored */
    struct regex *re;
    struct error bad;
    bool found = false;
    buffer_init(&pattern, MEM_QUERY, REGEX_PATTERN_BYTES_MAX);
    buffer_printf(&pattern, ".*(?:%.*s).*", VIEW_ARGS(regex));
    if (regex_new(&re, buffer_view(&pattern), &bad)) {
        found = regex_match(re, text);
        regex_free(re);
    }
    buffer_deinit(&pattern);
    return found;
}

static bool matches(const struct expected_annotation *a, struct view text)
{
    return script_text_matches(text, a->message, a->regex);
}

static bool is_found(const struct expected_annotation *a, const struct view *texts, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (matches(a, texts[i]))
            return true;
    return false;
}

static bool is_expected(const struct script_eval *e, bool is_info, struct view text)
{
    for (size_t i = 0; i < e->annotation_count; i++)
        if (e->annotations[i].is_info == is_info && matches(&e->annotations[i], text))
            return true;
    return false;
}

static bool same_kind(const struct script_eval *e, bool is_info, const struct view *texts,
                      size_t count)
{
    bool some = false;
    for (size_t i = 0; i < e->annotation_count; i++) {
        if (e->annotations[i].is_info != is_info)
            continue;
        some = true;
        if (!is_found(&e->annotations[i], texts, count))
            return false;
    }
    for (size_t i = 0; some && i < count; i++)
        if (!is_expected(e, is_info, texts[i]))
            return false;
    return count == 0 || !(is_info ? e->no_info : e->no_warn);
}

static void describe(struct buffer *out, const char *kind, const struct view *texts, size_t count)
{
    if (count == 0)
        buffer_printf(out, "%sno %s", out->len ? "\n" : "", kind);
    for (size_t i = 0; i < count; i++)
        buffer_printf(out, "%s%s: %.*s", out->len ? "\n" : "", kind, VIEW_ARGS(texts[i]));
}

static void describe_expected(const struct script_eval *e, bool is_info, struct buffer *out)
{
    const char *kind = is_info ? "info" : "warning";
    for (size_t i = 0; i < e->annotation_count; i++) {
        const struct expected_annotation *a = &e->annotations[i];
        struct view any = VIEW("any"), text = a->regex.len ? a->regex : a->message;
        if (a->is_info == is_info)
            describe(out, kind, text.len ? &text : &any, 1);
    }
    if (is_info ? e->no_info : e->no_warn)
        describe(out, kind, NULL, 0);
}

bool script_compare_annotations(const struct script_eval *e, const struct query_result *result,
                                struct buffer *expected, struct buffer *actual)
{
    bool ok = true;
    if (!same_kind(e, false, result->warnings, result->warning_count)) {
        describe_expected(e, false, expected);
        describe(actual, "warning", result->warnings, result->warning_count);
        ok = false;
    }
    if (!same_kind(e, true, result->infos, result->info_count)) {
        describe_expected(e, true, expected);
        describe(actual, "info", result->infos, result->info_count);
        ok = false;
    }
    return ok;
}
