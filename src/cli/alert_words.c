/* SPDX-License-Identifier: Apache-2.0 */
/* alert_words.c: see alert_words.h. */
#include "cli/alert_words.h"

#include "base/quote.h"
#include "template/time_value.h"

#include <string.h>

enum { WORD_BYTES_MAX = 1 << 20 };

/* One matcher, which braces would make a list. */
static bool parse_matcher(struct arena *arena, const char *word, struct matchers *out,
                          struct error *err)
{
    size_t before = out->count;
    if (word[0] == '{' || (word[0] && word[strlen(word) - 1] == '}' && !strchr(word, '"')))
        return error_set(err, ERROR_INPUT, "bad matcher format: %.200s", word);
    if (!matchers_parse(arena, view_from(word), out, NULL, err))
        return false;
    return out->count == before + 1 ||
           error_set(err, ERROR_INPUT, "bad matcher format: %.200s: one matcher was expected",
                     word);
}

void alert_words_shorthand(struct arena *arena, struct flag_words *words)
{
    struct matchers m = {0};
    if (words->count == 0)
        return;
    if (!parse_matcher(arena, words->items[0], &m, NULL)) {
        struct buffer text;
        buffer_init(&text, MEM_OTHER, WORD_BYTES_MAX);
        buffer_append_literal(&text, "alertname=");
        quote_append(&text, view_from(words->items[0]));
        words->items[0] = (char *)arena_copy(arena, buffer_view(&text)).ptr;
        buffer_deinit(&text);
    }
    matchers_deinit(&m);
}

bool alert_words_matchers(struct arena *arena, const struct flag_words *words, struct matchers *out,
                          struct error *err)
{
    for (int i = 0; i < words->count; i++)
        if (!parse_matcher(arena, words->items[i], out, err))
            return false;
    return true;
}

static bool parse_label(struct arena *arena, const char *word, struct labels_builder *b,
                        struct error *err)
{
    const char *sign = strchr(word, '=');
    struct matchers m = {0};
    if (!strchr(word, '"') && sign && sign > word && !strchr("!~", sign[-1]) && sign[1] != '~') {
        labels_builder_set(b, (struct view){word, (size_t)(sign - word)}, view_from(sign + 1));
        return true;
    }
    if (!matchers_parse(arena, view_from(word), &m, NULL, err))
        return false;
    bool ok = m.count == 1 && m.items[0].type == MATCH_EQUAL;
    if (ok)
        labels_builder_set(b, m.items[0].name, m.items[0].value);
    matchers_deinit(&m);
    return ok || error_set(err, ERROR_INPUT,
                           "\"%.200s\": labels must be specified as name=value pairs", word);
}

bool alert_words_labels(struct arena *arena, const char *const *words, size_t count,
                        struct labels *out, struct error *err)
{
    struct labels_builder b;
    labels_builder_init(&b, arena);
    for (size_t i = 0; i < count; i++)
        if (!parse_label(arena, words[i], &b, err))
            return false;
    *out = labels_builder_finish(&b);
    return true;
}

bool alert_words_time(const char *flag, const char *text, int64_t *ms, struct error *err)
{
    struct template_time t;
    if (!time_parse(&t, VIEW("2006-01-02T15:04:05Z07:00"), view_from(text)))
        return error_set(err, ERROR_INPUT,
                         "flag \"--%s\": \"%.100s\" is no time, expected RFC 3339 such as "
                         "2006-01-02T15:04:05-07:00",
                         flag, text);
    *ms = t.seconds * 1000 + t.nanoseconds / 1000000;
    return true;
}

void alert_words_write_time(struct buffer *out, int64_t ms)
{
    int64_t seconds = ms / 1000 - (ms % 1000 < 0);
    struct template_time t = {.seconds = seconds,
                              .nanoseconds = (int32_t)(ms - seconds * 1000) * 1000000,
                              .zone = VIEW_INIT("UTC")};
    time_format(out, &t, VIEW("\"2006-01-02T15:04:05.000Z07:00\""));
}
