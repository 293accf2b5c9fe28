/* SPDX-License-Identifier: Apache-2.0 */
/* exposition_openmetrics.c: OpenMetrics 1.0 as Prometheus reads it: the words of a line and their order are those of
 * the specification to the blank, what families mean is not looked into (clashing names, order of lines, values of
 * counters, units of other types).
 *
 *   line     := sample | "# HELP " metric " " text LF | "# TYPE " metric " " type LF | "# UNIT " metric " " unit LF
 *   sample   := key " " value [" " timestamp] [exemplar] LF              key: exposition_key.c
 *   exemplar := " # {" [label "=" quoted {"," label "=" quoted}] "} " value [" " timestamp]
 *   end      := "# EOF" [LF]                                             and nothing behind it
 *
 * Timestamps are seconds. An exemplar is refused where the specification and releases 2 of Prometheus refuse it:
 * on gauges, infos, state sets, sums of histograms and _created. Others (the counts of histograms, summaries) are
 * taken, as releases 3 do. */
#include "base/assert.h"
#include "base/utf8.h"
#include "model/exposition_private.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

/* ---- exemplars ---- */

/* The family that the last TYPE line spoke of, quotes and all. */
static struct view type_family(const struct exposition_parser *p)
{
    static const char PREFIX[] = "# TYPE ";
    struct scan s = {.at = p->body.ptr + p->type_pos + sizeof PREFIX - 1,
                     .end = p->body.ptr + p->body.len};
    return take_name(&s, true);
}

/* `key` belongs to a family whose type has no exemplars there. Cheap where there may be one. */
static bool refuses_exemplars(const struct exposition_parser *p)
{
    struct view name = p->key;
    const char *brace = memchr(name.ptr, '{', name.len);
    if (brace)
        name.len = (size_t)(brace - name.ptr);
    if (view_has_suffix(name, VIEW("_total")) || view_has_suffix(name, VIEW("_bucket")))
        return false;
    if (p->type == METRIC_UNKNOWN || p->type == METRIC_SUMMARY)
        return false;
    struct view family = type_family(p);
    if (family.len == 0 || !view_has_prefix(name, family))
        return false;
    struct view rest = view_slice(name, family.len, name.len);
    switch (p->type) {
    case METRIC_GAUGE:
    case METRIC_STATESET:
        return rest.len == 0;
    case METRIC_INFO:
        return rest.len == 0 || view_is(rest, "_info");
    case METRIC_HISTOGRAM:
    case METRIC_GAUGE_HISTOGRAM:
        return view_is(rest, "_sum") || view_is(rest, "_created");
    default:
        return view_is(rest, "_created");
    }
}

/* ---- a sample ---- */

static bool at_char(const struct scan *s, char c)
{
    return s->at < s->end && *s->at == c;
}

static bool number(struct scan *s, const char *what, double *out)
{
    const char *stop = value_fast(s->at, s->end, out);
    if (LIKELY(stop && stop < s->end && (*stop == '\n' || *stop == ' '))) {
        s->at = stop;
        return true;
    }
    const char *end = s->at;
    while (end < s->end && *end != ' ' && *end != '\n')
        end++;
    if (end == s->at)
        return exposition_expected(s, what);
    return exposition_value(s, (size_t)(end - s->at), out);
}

static bool timestamp(struct scan *s, int64_t *ms)
{
    double seconds;
    struct scan start = *s;
    if (!number(s, "a timestamp", &seconds))
        return false;
    if (!isfinite(seconds))
        return exposition_wrong(&start, "a timestamp that is not finite");
    double rounded = seconds * 1000;
    if (fabs(rounded) < 0x1p63)
        *ms = (int64_t)rounded;
    else /* legal here, and refused by storage like any other time that is far away */
        *ms = rounded < 0 ? INT64_MIN : INT64_MAX;
    return true;
}

/* Behind the blank: "# {...} value [timestamp]". */
static bool exemplar(struct exposition_parser *p, struct scan *s)
{
    if (s->end - s->at < 3 || memcmp(s->at, "# {", 3) != 0)
        return exposition_expected(s, "\"# {\" of an exemplar");
    if (refuses_exemplars(p))
        return exposition_wrong(s, "an exemplar on a metric that has none");
    s->at += 2;
    const char *labels = s->at;
    if (!exposition_exemplar_labels_skip(s))
        return false;
    p->exemplar = (struct view){labels, (size_t)(s->at - labels)};
    if (!at_char(s, ' '))
        return exposition_expected(s, "a blank after the labels of the exemplar");
    s->at++;
    if (!number(s, "a value of the exemplar", &p->exemplar_value))
        return false;
    p->has_exemplar = true;
    p->exemplar_has_timestamp = at_char(s, ' ');
    s->at += p->exemplar_has_timestamp;
    return !p->exemplar_has_timestamp || timestamp(s, &p->exemplar_timestamp_ms);
}

bool openmetrics_sample_end(struct exposition_parser *p, struct scan *s)
{
    p->has_timestamp = p->has_exemplar = false;
    if (!number(s, "a value after the metric", &p->value))
        return false;
    if (at_char(s, ' ') && s->end - s->at > 1 && s->at[1] != '#') {
        s->at++;
        p->has_timestamp = true;
        if (!timestamp(s, &p->timestamp_ms))
            return false;
    }
    if (at_char(s, ' ')) {
        s->at++;
        if (!exemplar(p, s))
            return false;
    }
    if (s->at == s->body_end)
        return exposition_wrong(s, "data does not end with # EOF");
    if (!at_char(s, '\n'))
        return exposition_expected(s, "the end of the line");
    s->at++;
    return true;
}

static bool sample(struct exposition_parser *p, struct scan *s)
{
    const char *start = s->at, *key_end;
    if (!exposition_key_skip(s, &key_end))
        return false;
    p->key = (struct view){start, (size_t)(key_end - start)};
    if (!at_char(s, ' '))
        return exposition_expected(s, "a blank and a value after the metric");
    s->at++;
    return openmetrics_sample_end(p, s);
}

/* ---- what is said of families ---- */

static bool type_word(struct exposition_parser *p, const struct scan *s)
{
    if (!view_is(p->text, "untyped") && metric_type_parse(p->text, &p->type))
        return true;
    return exposition_expected(s, "counter, gauge, histogram, gaugehistogram, summary, info, "
                                  "stateset or unknown");
}

/* The unit is the end of the name, behind an underscore. */
static bool unit_word(const struct exposition_parser *p, const struct scan *s)
{
    struct view family = p->family, unit = p->text;
    if (unit.len == 0 || (family.len > unit.len && view_has_suffix(family, unit) &&
                          family.ptr[family.len - unit.len - 1] == '_'))
        return true;
    return exposition_wrong(s, "a unit that is not the end of the name of its metric");
}

/* s->at is behind "# "; line_end is where its line feed is. */
static enum exposition_event comment(struct exposition_parser *p, struct scan *s,
                                     const char *line_end)
{
    static const struct {
        const char *word;
        enum exposition_event event;
    } WORDS[] = {
        {"HELP ", EXPOSITION_HELP}, {"TYPE ", EXPOSITION_TYPE}, {"UNIT ", EXPOSITION_UNIT}};
    struct view rest = {s->at, (size_t)(line_end - s->at)};
    size_t i = 0;
    while (i < ARRAY_COUNT(WORDS) && !view_has_prefix(rest, view_from(WORDS[i].word)))
        i++;
    if (i == ARRAY_COUNT(WORDS)) {
        (void)exposition_expected(s, "HELP, TYPE, UNIT or EOF after \"# \""); /* is the answer */
        return EXPOSITION_ERROR;
    }
    enum exposition_event event = WORDS[i].event;
    size_t line_pos = (size_t)(s->line - p->body.ptr);
    s->at += strlen(WORDS[i].word);
    if (!exposition_family(p, s, line_end))
        return EXPOSITION_ERROR;
    if (s->at == line_end || *s->at != ' ') {
        (void)exposition_expected(s, "a blank and text after the name of the metric");
        return EXPOSITION_ERROR;
    }
    s->at++;
    p->text = (struct view){s->at, (size_t)(line_end - s->at)};
    bool ok = true;
    if (event == EXPOSITION_TYPE) {
        ok = type_word(p, s);
        p->type_pos = line_pos;
    } else if (event == EXPOSITION_UNIT) {
        ok = unit_word(p, s);
    } else {
        ok = utf8_is_valid(p->text) || exposition_wrong(s, "invalid UTF-8 in HELP");
    }
    if (ok)
        s->at = line_end + 1;
    return ok ? event : EXPOSITION_ERROR;
}

static enum exposition_event wrong(const struct scan *s, const char *what)
{
    (void)exposition_wrong(s, what); /* is the answer */
    return EXPOSITION_ERROR;
}

enum exposition_event openmetrics_next(struct exposition_parser *p, struct scan *s)
{
    if (s->at == s->body_end)
        return wrong(s, "data does not end with # EOF");
    if (*s->at != '#')
        return sample(p, s) ? EXPOSITION_SAMPLE : EXPOSITION_ERROR;

    struct view rest = {s->at, (size_t)(s->body_end - s->at)};
    if (view_has_prefix(rest, VIEW("# EOF"))) {
        s->at += sizeof "# EOF" - 1;
        if (s->at + at_char(s, '\n') < s->body_end)
            return wrong(s, "data after # EOF");
        s->at = s->body_end;
        return EXPOSITION_END;
    }
    const char *line_end = memchr(s->at, '\n', (size_t)(s->end - s->at));
    if (!line_end)
        return wrong(s, s->end < s->body_end ? "more than 1 MiB without a line feed"
                                             : "data does not end with # EOF");
    if (!view_has_prefix(rest, VIEW("# ")))
        return wrong(s, "no blank after \"#\"");
    s->at += 2;
    return comment(p, s, line_end);
}
