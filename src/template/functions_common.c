/* SPDX-License-Identifier: Apache-2.0 */
/* functions_common.c: see functions_common.h. */
#include "template/functions_common.h"

#include "base/floattext.h"
#include "base/quote.h"
#include "base/regex.h"
#include "template/exec_private.h"
#include "template/format.h"
#include "template/letters.h"
#include "template/time_value.h"

#include <inttypes.h>
#include <math.h>

bool convert_to_float(struct template_call *call, const struct template_value *v, double *out)
{
    if (v->type == &TEMPLATE_TYPE_FLOAT) {
        *out = v->number;
    } else if (v->type == &TEMPLATE_TYPE_INT) {
        *out = (double)v->integer;
    } else if (v->type == &TEMPLATE_TYPE_DURATION) {
        *out = (double)v->integer / 1e9;
    } else if (v->type == &TEMPLATE_TYPE_STRING) {
        if (!float_parse(v->text, out)) {
            size_t mark = scratch_begin(call);
            struct view shown;
            quote_append(&call->scratch, view_slice(v->text, 0, 200));
            return scratch_take(call, mark, &shown) &&
                   template_call_error(call, "strconv.ParseFloat: parsing %.*s: %s",
                                       VIEW_ARGS(shown),
                                       isinf(*out) ? "value out of range" : "invalid syntax");
        }
    } else {
        return template_call_error(call, "can't convert %s to float", format_type(v));
    }
    return true;
}

bool function_to_upper(struct template_call *call, const struct template_value *args, size_t count,
                       struct template_value *out)
{
    size_t mark = scratch_begin(call);
    letters_convert(&call->scratch, args[0].text, LETTERS_UPPER);
    return scratch_take_value(call, mark, out);
}

bool function_to_lower(struct template_call *call, const struct template_value *args, size_t count,
                       struct template_value *out)
{
    size_t mark = scratch_begin(call);
    letters_convert(&call->scratch, args[0].text, LETTERS_LOWER);
    return scratch_take_value(call, mark, out);
}

bool function_safe_html(struct template_call *call, const struct template_value *args, size_t count,
                        struct template_value *out)
{
    *out = args[0];
    out->type = &TEMPLATE_TYPE_HTML;
    return true;
}

/* A compiled pattern, and whether it is the caller's to free. */
struct pattern {
    struct regex_search *regex;
    bool is_own;
};

static struct regex_search *find_known(const struct pattern_list *list, struct view pattern)
{
    const struct known_pattern *p = atomic_load_explicit(&list->first, memory_order_acquire);
    while (p && !view_eq((struct view){p->text, p->len}, pattern))
        p = p->next;
    return p ? p->regex : NULL;
}

/* Two threads may add the same: both stay, the front one is found. */
static bool keep_known(struct pattern_list *list, struct view pattern, struct regex_search *regex)
{
    if (atomic_load_explicit(&list->count, memory_order_relaxed) >= TEMPLATE_PATTERNS_MAX ||
        atomic_fetch_add_explicit(&list->count, 1, memory_order_relaxed) >= TEMPLATE_PATTERNS_MAX)
        return false;
    struct known_pattern *p = mem_alloc(MEM_CONFIG, sizeof *p + pattern.len + 1);
    p->regex = regex;
    p->len = pattern.len;
    if (pattern.len)
        memcpy(p->text, pattern.ptr, pattern.len);
    p->next = atomic_load_explicit(&list->first, memory_order_relaxed);
    while (!atomic_compare_exchange_weak_explicit(&list->first, &p->next, p, memory_order_release,
                                                  memory_order_relaxed))
        ;
    return true;
}

/* Compiling costs some 10 us: charged, so that a loop of it ends. */
static bool compile(struct template_call *call, struct view pattern, struct pattern *out)
{
    struct error err;
    *out = (struct pattern){.regex = find_known(call->t->patterns, pattern)};
    if (out->regex)
        return true;
    if (!call_charge(call, 1000))
        return false;
    if (!regex_search_new(&out->regex, pattern, &err))
        return template_call_error(call, "%s", err.message);
    out->is_own = !keep_known(call->t->patterns, pattern, out->regex);
    return true;
}

static void release(const struct pattern *p)
{
    if (p->is_own)
        regex_search_free(p->regex);
}

/* match PATTERN TEXT. */
bool function_match(struct template_call *call, const struct template_value *args, size_t count,
                    struct template_value *out)
{
    struct pattern p;
    if (!compile(call, args[0].text, &p))
        return false;
    *out = template_bool(regex_search_match(p.regex, args[1].text));
    release(&p);
    return true;
}

/* reReplaceAll PATTERN REPLACEMENT TEXT. */
bool function_re_replace_all(struct template_call *call, const struct template_value *args,
                             size_t count, struct template_value *out)
{
    struct pattern p;
    size_t mark = scratch_begin(call);
    if (!compile(call, args[0].text, &p))
        return false;
    regex_search_replace(p.regex, args[2].text, args[1].text, &call->scratch);
    release(&p);
    return scratch_take_value(call, mark, out);
}

/* A duration of at least a second: "1d 2h 3m 4s", "4.5s". */
static void append_whole(struct buffer *out, double v)
{
    if (v < 0) {
        buffer_append_byte(out, '-');
        v = -v;
    }
    uint64_t whole = v >= 9.2e18 ? (uint64_t)INT64_MAX : (uint64_t)v;
    uint64_t days = whole / 86400, hours = whole / 3600 % 24, minutes = whole / 60 % 60;
    if (days)
        buffer_printf(out, "%" PRIu64 "d ", days);
    if (days || hours)
        buffer_printf(out, "%" PRIu64 "h ", hours);
    if (days || hours || minutes) {
        buffer_printf(out, "%" PRIu64 "m %" PRIu64 "s", minutes, whole % 60);
    } else {
        format_float(out, v, 4);
        buffer_append_byte(out, 's');
    }
}

bool function_humanize_duration(struct template_call *call, const struct template_value *args,
                                size_t count, struct template_value *out)
{
    static const char PREFIXES[] = "munpfazy";
    double v;
    if (!convert_to_float(call, &args[0], &v))
        return false;
    size_t mark = scratch_begin(call);
    if (!isfinite(v)) {
        format_float(&call->scratch, v, 4);
    } else if (fabs(v) >= 1) {
        append_whole(&call->scratch, v);
    } else {
        const char *prefix = NULL;
        for (size_t i = 0; v != 0 && fabs(v) < 1 && PREFIXES[i]; i++) {
            v *= 1000;
            prefix = &PREFIXES[i];
        }
        format_float(&call->scratch, v, 4);
        if (prefix)
            buffer_append_byte(&call->scratch, *prefix);
        buffer_append_byte(&call->scratch, 's');
    }
    return scratch_take_value(call, mark, out);
}
