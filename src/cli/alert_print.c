/* SPDX-License-Identifier: Apache-2.0 */
/* alert_print.c: see alert_print.h. */
#include "cli/alert_print.h"

#include "alerting/matcher_text.h"
#include "base/json_write.h"
#include "base/mem.h"
#include "cli/text_table.h"
#include "template/time_value.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { TEXT_BYTES_MAX = 1 << 30 };

/* --- JSON --- */

/* Recursion is as deep as JSON_DEPTH_MAX. */
void alert_write_json(struct buffer *b, const json_t *json)
{
    const char *key;
    json_t *item;
    size_t i;
    bool is_first = true;
    switch (json_typeof(json)) {
    case JSON_OBJECT:
        buffer_append_byte(b, '{');
        json_object_foreach((json_t *)json, key, item)
        {
            if (!is_first)
                buffer_append_byte(b, ',');
            is_first = false;
            json_string(b, view_from(key));
            buffer_append_byte(b, ':');
            alert_write_json(b, item);
        }
        buffer_append_byte(b, '}');
        return;
    case JSON_ARRAY:
        buffer_append_byte(b, '[');
        json_array_foreach(json, i, item)
        {
            if (i)
                buffer_append_byte(b, ',');
            alert_write_json(b, item);
        }
        buffer_append_byte(b, ']');
        return;
    case JSON_STRING:
        json_string(b, (struct view){json_string_value(json), json_string_length(json)});
        return;
    case JSON_INTEGER:
        json_int(b, json_integer_value(json));
        return;
    case JSON_REAL:
        json_number(b, json_real_value(json));
        return;
    case JSON_TRUE:
    case JSON_FALSE:
    case JSON_NULL:
        break;
    }
    buffer_append_view(b, json_is_true(json)    ? VIEW("true")
                          : json_is_false(json) ? VIEW("false")
                                                : VIEW("null"));
}

void alert_print_json(const json_t *json)
{
    struct buffer text;
    buffer_init(&text, MEM_OTHER, TEXT_BYTES_MAX);
    alert_write_json(&text, json);
    buffer_append_byte(&text, '\n');
    fwrite(text.ptr, 1, text.len, stdout);
    buffer_deinit(&text);
}

static bool is_output(const struct alertmanager_client *c, const char *name)
{
    return strcmp(c->output, name) == 0;
}

/* --- times --- */

static bool read_time(struct view text, struct template_time *out)
{
    return time_parse(out, VIEW("2006-01-02T15:04:05Z07:00"), text);
}

void alert_print_time(const struct alertmanager_client *c, struct view rfc3339, struct buffer *out)
{
    struct template_time t;
    if (read_time(rfc3339, &t))
        time_format(out, &t, view_from(c->date_format));
    else
        buffer_append_view(out, rfc3339);
}

/* --- lists in order --- */

struct entry {
    const json_t *json;
    struct template_time time;
    size_t idx;
};

/* By time; equal ones as they came. */
static int compare_entries(const void *a, const void *b)
{
    const struct entry *x = a, *y = b;
    if (x->time.seconds != y->time.seconds)
        return x->time.seconds < y->time.seconds ? -1 : 1;
    if (x->time.nanoseconds != y->time.nanoseconds)
        return x->time.nanoseconds < y->time.nanoseconds ? -1 : 1;
    return x->idx < y->idx ? -1 : x->idx > y->idx;
}

/* The items by the time that the member names. The caller's: mem_free(MEM_OTHER). */
static struct entry *sorted(const json_t *list, const char *member)
{
    size_t count = json_array_size(list);
    struct entry *entries = mem_alloc_zero(MEM_OTHER, count + 1, sizeof *entries);
    for (size_t i = 0; i < count; i++) {
        entries[i] = (struct entry){.json = json_array_get(list, i), .idx = i};
        if (!read_time(json_text(entries[i].json, member), &entries[i].time))
            entries[i].time.seconds = TEMPLATE_TIME_ZERO_SECONDS;
    }
    qsort(entries, count, sizeof *entries, compare_entries);
    return entries;
}

/* --- cells --- */

static void time_cell(const struct alertmanager_client *c, struct text_table *t, const json_t *json,
                      const char *member)
{
    struct buffer text;
    buffer_init(&text, MEM_OTHER, TEXT_BYTES_MAX);
    alert_print_time(c, json_text(json, member), &text);
    text_table_cell(t, buffer_view(&text));
    buffer_deinit(&text);
}

static int compare_names(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

/* name="value", sorted, with blanks between; values as they are. */
static void labels_cell(struct text_table *t, const json_t *labels)
{
    size_t count = 0;
    const char **names = mem_alloc_zero(MEM_OTHER, json_object_size(labels) + 1, sizeof *names);
    const char *key;
    json_t *value;
    json_object_foreach((json_t *)labels, key, value) names[count++] = key;
    qsort(names, count, sizeof *names, compare_names);
    struct buffer text;
    buffer_init(&text, MEM_OTHER, TEXT_BYTES_MAX);
    for (size_t i = 0; i < count; i++)
        buffer_printf(&text, "%s%s=\"%.*s\"", i ? " " : "", names[i],
                      VIEW_ARGS(json_text(labels, names[i])));
    text_table_cell(t, buffer_view(&text));
    buffer_deinit(&text);
    mem_free(MEM_OTHER, names);
}

/* name="value" with blanks between or, extended, {name="value",...}. */
static void matchers_cell(struct text_table *t, const json_t *matchers, bool is_extended)
{
    struct buffer text;
    size_t i;
    json_t *json;
    buffer_init(&text, MEM_OTHER, TEXT_BYTES_MAX);
    if (is_extended)
        buffer_append_byte(&text, '{');
    json_array_foreach(matchers, i, json)
    {
        bool is_equal = !json_is_false(json_object_get(json, "isEqual"));
        bool is_regex = json_is_true(json_object_get(json, "isRegex"));
        struct matcher m = {.type = is_regex ? (is_equal ? MATCH_REGEX : MATCH_NOT_REGEX)
                                             : (is_equal ? MATCH_EQUAL : MATCH_NOT_EQUAL),
                            .name = json_text(json, "name"),
                            .value = json_text(json, "value")};
        if (i)
            buffer_append_byte(&text, is_extended ? ',' : ' ');
        matcher_format(&text, &m);
    }
    if (is_extended)
        buffer_append_byte(&text, '}');
    text_table_cell(t, buffer_view(&text));
    buffer_deinit(&text);
}

/* --- answers --- */

void alert_print_alerts(const struct alertmanager_client *c, const json_t *alerts)
{
    struct text_table t;
    bool is_extended = is_output(c, "extended");
    if (is_output(c, "json")) {
        alert_print_json(alerts);
        return;
    }
    struct entry *entries = sorted(alerts, "startsAt");
    text_table_init(&t, is_extended
                            ? "Labels\tAnnotations\tStarts At\tEnds At\tGenerator URL\tState"
                            : "Alertname\tStarts At\tSummary\tState");
    for (size_t i = 0; i < json_array_size(alerts); i++) {
        const json_t *a = entries[i].json, *labels = json_object_get(a, "labels"),
                     *annotations = json_object_get(a, "annotations");
        if (is_extended) {
            labels_cell(&t, labels);
            labels_cell(&t, annotations);
        } else {
            text_table_cell(&t, json_text(labels, "alertname"));
        }
        time_cell(c, &t, a, "startsAt");
        if (is_extended)
            time_cell(c, &t, a, "endsAt");
        text_table_cell(&t, is_extended ? json_text(a, "generatorURL")
                                        : json_text(annotations, "summary"));
        text_table_cell(&t, json_text(json_object_get(a, "status"), "state"));
    }
    text_table_print(&t, stdout);
    text_table_deinit(&t);
    mem_free(MEM_OTHER, entries);
}

void alert_print_silences(const struct alertmanager_client *c, const json_t *silences)
{
    struct text_table t;
    bool is_extended = is_output(c, "extended");
    if (is_output(c, "json")) {
        alert_print_json(silences);
        return;
    }
    struct entry *entries = sorted(silences, "endsAt");
    text_table_init(&t, is_extended
                            ? "ID\tMatchers\tStarts At\tEnds At\tUpdated At\tCreated By\tComment"
                            : "ID\tMatchers\tEnds At\tCreated By\tComment");
    for (size_t i = 0; i < json_array_size(silences); i++) {
        const json_t *s = entries[i].json;
        text_table_cell(&t, json_text(s, "id"));
        matchers_cell(&t, json_object_get(s, "matchers"), is_extended);
        if (is_extended)
            time_cell(c, &t, s, "startsAt");
        time_cell(c, &t, s, "endsAt");
        if (is_extended)
            time_cell(c, &t, s, "updatedAt");
        text_table_cell(&t, json_text(s, "createdBy"));
        text_table_cell(&t, json_text(s, "comment"));
    }
    text_table_print(&t, stdout);
    text_table_deinit(&t);
    mem_free(MEM_OTHER, entries);
}

void alert_print_status(const struct alertmanager_client *c, const json_t *status)
{
    static const char *const NAMES[] = {"buildUser", "goVersion", "revision",
                                        "version",   "branch",    "buildDate"};
    if (is_output(c, "json")) {
        alert_print_json(status);
        return;
    }
    printf("%.*s\n", VIEW_ARGS(json_text(json_object_get(status, "config"), "original")));
    if (!is_output(c, "extended"))
        return;
    for (size_t i = 0; i < ARRAY_COUNT(NAMES); i++)
        printf("%s %.*s\n", NAMES[i],
               VIEW_ARGS(json_text(json_object_get(status, "versionInfo"), NAMES[i])));
    printf("uptime %.*s\n", VIEW_ARGS(json_text(status, "uptime")));
}

void alert_print_cluster(const struct alertmanager_client *c, const json_t *status)
{
    const json_t *cluster = json_object_get(status, "cluster");
    size_t i;
    json_t *peer;
    if (is_output(c, "json")) {
        alert_print_json(cluster);
        return;
    }
    printf("Cluster Status:  %.*s\nNode Name:       %.*s\n",
           VIEW_ARGS(json_text(cluster, "status")), VIEW_ARGS(json_text(cluster, "name")));
    if (!is_output(c, "extended"))
        return;
    putchar('\n');
    json_array_foreach(json_object_get(cluster, "peers"), i, peer)
    {
        if (i == 0)
            printf("%-32s  Name\n", "Address");
        printf("%-32.*s  %.*s\n", VIEW_ARGS(json_text(peer, "address")),
               VIEW_ARGS(json_text(peer, "name")));
    }
    if (i == 0)
        puts("Address  Name");
}
