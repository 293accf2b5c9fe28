/* SPDX-License-Identifier: Apache-2.0 */
/* delivery_jira.c: an issue in Jira (REST API, version 2 or 3) for each group, found again by a label that has the hash of the
 * group's key:
 *
 *   POST search ----- none, resolved: done
 *       |
 *       +- none ----- POST issue
 *       |
 *       +- KEY ------ PUT issue/KEY -- as it should be, or no transition is configured: done
 *                         |
 *                         +- GET issue/KEY/transitions -- POST issue/KEY/transitions
 *
 * What Jira always refuses is sent in a form that it takes: line feeds in a summary, blanks in a label; and for version 3,
 * which wants descriptions in Atlassian's document format, texts that are no JSON become paragraphs. */
#include "alerting/delivery.h"
#include "alerting/delivery_compose.h"

#include "net/http_client.h"

#include <inttypes.h>
#include <jansson.h>
#include <stdlib.h>

enum { SUMMARY_RUNES_MAX = 255, DESCRIPTION_RUNES_MAX = 32767 }; /* Jira's */

struct exchange {
    struct view key; /* of the issue that is there; empty: none */
    bool is_done;    /* its status is of the category "done" */
};

#define NOTHING ((struct view){NULL, 0})

/* --- URLs --- */

static struct view before_query(struct view url)
{
    for (size_t i = 0; i < url.len; i++) {
        if (url.ptr[i] == '?' || url.ptr[i] == '#')
            return view_slice(url, 0, i);
    }
    return url;
}

static bool is_v3(const struct jira_receiver *r)
{
    struct view path = before_query(r->api_url);
    while (view_has_suffix(path, VIEW("/")))
        path.len--;
    return view_has_suffix(path, VIEW("/3"));
}

static bool is_cloud(const struct jira_receiver *r)
{
    struct view url = before_query(r->api_url);
    const char *scheme = memmem(url.ptr, url.len, "://", 3);
    if (!view_is(r->api_type, "auto") || !scheme)
        return view_is(r->api_type, "cloud");
    struct view host = view_slice(url, (size_t)(scheme - url.ptr) + 3, url.len);
    const char *slash = memchr(host.ptr, '/', host.len);
    return view_has_suffix(slash ? view_slice(host, 0, (size_t)(slash - host.ptr)) : host,
                           VIEW("atlassian.net"));
}

/* Jira Cloud has but the search of version 3, the data center but that of version 2. */
static struct view search_url(struct delivery *d, const struct jira_receiver *r)
{
    static const char V2[] = "/rest/api/2/";
    if (!is_cloud(r))
        return delivery_url(d, r->api_url, VIEW("search"), NOTHING);
    struct view url = delivery_url(d, r->api_url, VIEW("search/jql"), NOTHING);
    const char *at = memmem(url.ptr, url.len, V2, sizeof(V2) - 1);
    if (!at)
        return url;
    size_t digit = (size_t)(at - url.ptr) + sizeof(V2) - 3;
    return arena_printf(d->arena, "%.*s3%.*s", VIEW_ARGS(view_slice(url, 0, digit)),
                        VIEW_ARGS(view_slice(url, digit + 1, url.len)));
}

/* issue/KEYREST; the key is what Jira said, but still one part of a path. */
static struct view issue_url(struct delivery *d, struct view key, const char *rest)
{
    const struct jira_receiver *r = d->integration->settings;
    struct buffer b;
    delivery_form_init(&b);
    buffer_append_literal(&b, "issue/");
    http_escape(&b, key);
    buffer_append_view(&b, view_from(rest));
    struct view url = delivery_url(d, r->api_url, buffer_view(&b), NOTHING);
    buffer_deinit(&b);
    return url;
}

static enum delivery_verdict send(struct delivery *d, const char *method, struct view url,
                                  struct view body)
{
    delivery_json(d, url, body);
    d->request.method = method;
    d->request.url_is_shown = true; /* an issue's key stands in it */
    delivery_header(d, "Accept-Language", VIEW("en"));
    return DELIVERY_MORE;
}

/* --- the search --- */

/* A string of JQL, quoted. */
static void write_quoted(struct buffer *b, struct view text)
{
    buffer_append_byte(b, '"');
    for (size_t i = 0; i < text.len; i++) {
        char c = text.ptr[i];
        if (c == '"' || c == '\\')
            buffer_append_byte(b, '\\');
        buffer_append_byte(b, (unsigned char)c < 0x20 ? ' ' : c);
    }
    buffer_append_byte(b, '"');
}

/* Issues that are open; for alerts that fire those, too, that can be opened again. */
static bool query_of(struct delivery *d, struct view *out, struct error *err)
{
    const struct jira_receiver *r = d->integration->settings;
    int64_t reopen_minutes = r->reopen_duration_ms / 60000;
    struct view project, hash = delivery_key_hash(d);
    struct buffer b;
    if (!delivery_text_strict(d, r->project, &project, err))
        return error_wrap(err, "project");
    delivery_form_init(&b);
    if (r->wont_fix_resolution.len) {
        buffer_append_literal(&b, "resolution != ");
        write_quoted(&b, r->wont_fix_resolution);
        buffer_append_literal(&b, " and ");
    }
    if (d->firing_count && r->reopen_transition.len && reopen_minutes > 0)
        buffer_printf(&b, "(resolutiondate is EMPTY OR resolutiondate >= -%" PRId64 "m) and ",
                      reopen_minutes);
    else
        buffer_append_literal(&b, "statusCategory != Done and ");
    buffer_append_literal(&b, "project=");
    write_quoted(&b, project);
    buffer_printf(&b, " and labels=\"ALERT{%.*s}\" order by status ASC,resolutiondate DESC",
                  VIEW_ARGS(hash));
    return delivery_form_take(d, &b, out, err);
}

static enum delivery_verdict jira_begin(struct delivery *d, struct error *err)
{
    struct view query, body;
    struct json_body j;
    d->exchange = ARENA_NEW(d->arena, struct exchange);
    if (!query_of(d, &query, err))
        return DELIVERY_FAILED;
    json_body_init(&j);
    json_body_open(&j, NULL, '{');
    json_body_raw(&j, "fields", VIEW("[\"status\"]"));
    json_body_text(&j, "jql", query);
    json_body_int(&j, "maxResults", 2);
    json_body_close(&j, '}');
    if (!json_body_take(&j, d->arena, &body, err))
        return DELIVERY_FAILED;
    return send(d, "POST", search_url(d, d->integration->settings), body);
}

/* NULL after the error. */
static json_t *parse(const struct delivery_answer *a, const char *what, struct error *err)
{
    json_error_t why;
    json_t *root = json_loadb(a->body.len ? a->body.ptr : "", a->body.len, 0, &why);
    if (!root)
        error_set(err, ERROR_INPUT, "%s of Jira cannot be read: %s%s", what, why.text,
                  a->is_cut ? " (it is too long)" : "");
    return root;
}

static struct view text_of(struct delivery *d, const json_t *object, const char *name)
{
    const char *text = json_string_value(json_object_get(object, name));
    return text ? arena_copy(d->arena, view_from(text)) : NOTHING;
}

/* The first issue found is the one to go on with: open, or the one that was resolved last. */
static bool take_search(struct delivery *d, const struct delivery_answer *a, struct error *err)
{
    struct exchange *x = d->exchange;
    json_t *root = parse(a, "the search", err);
    if (!root)
        return false;
    const json_t *issue = json_array_get(json_object_get(root, "issues"), 0);
    const json_t *status = json_object_get(json_object_get(issue, "fields"), "status");
    x->key = text_of(d, issue, "key");
    x->is_done = view_is(text_of(d, json_object_get(status, "statusCategory"), "key"), "done");
    json_decref(root);
    return true;
}

/* --- the issue --- */

/* A member of the issue unless the receiver's own fields have it. */
static bool has_own(const struct jira_receiver *r, const char *name)
{
    return yaml_find(r->fields, name) != NULL;
}

static void write_object(struct delivery *d, struct json_body *j, const char *name, const char *key,
                         struct view value)
{
    if (has_own(d->integration->settings, name))
        return;
    json_body_open(j, name, '{');
    json_body_text(j, key, value);
    json_body_close(j, '}');
}

/* A copy in which each byte of `bad` is `good`. */
static struct view replace(struct delivery *d, struct view text, const char *bad, char good)
{
    struct view copy = arena_copy(d->arena, text);
    char *p = (char *)(uintptr_t)copy.ptr;
    for (size_t i = 0; i < copy.len; i++) {
        if (p[i] && strchr(bad, p[i]))
            p[i] = good;
    }
    return copy;
}

static bool is_json_object(struct view text)
{
    json_t *root = json_loadb(text.len ? text.ptr : "", text.len, 0, NULL);
    bool is = json_is_object(root);
    json_decref(root);
    return is;
}

static void close_paragraph(struct json_body *j)
{
    json_body_close(j, ']');
    json_body_close(j, '}');
}

/* Paragraphs of Atlassian's document format: blank lines part them, line feeds break lines. */
static void write_document(struct json_body *j, struct view text)
{
    bool in_paragraph = false;
    json_body_open(j, "description", '{');
    json_body_text(j, "type", VIEW("doc"));
    json_body_int(j, "version", 1);
    json_body_open(j, "content", '[');
    while (text.len) {
        const char *end = memchr(text.ptr, '\n', text.len);
        struct view line = view_slice(text, 0, end ? (size_t)(end - text.ptr) : text.len);
        text = view_slice(text, line.len + 1, text.len);
        if (delivery_trim(line).len == 0) {
            if (in_paragraph)
                close_paragraph(j);
            in_paragraph = false;
            continue;
        }
        if (in_paragraph) {
            json_body_raw(j, NULL, VIEW("{\"type\":\"hardBreak\"}"));
        } else {
            json_body_open(j, NULL, '{');
            json_body_text(j, "type", VIEW("paragraph"));
            json_body_open(j, "content", '[');
        }
        in_paragraph = true;
        json_body_open(j, NULL, '{');
        json_body_text(j, "type", VIEW("text"));
        json_body_text(j, "text", line);
        json_body_close(j, '}');
    }
    if (in_paragraph)
        close_paragraph(j);
    json_body_close(j, ']');
    json_body_close(j, '}');
}

static void write_description(struct delivery *d, struct json_body *j)
{
    const struct jira_receiver *r = d->integration->settings;
    struct view text = delivery_text(d, r->description.template);
    bool is_cut, v3 = is_v3(r);
    if (delivery_trim(text).len == 0)
        return;
    if (v3 && is_json_object(delivery_trim(text))) {
        json_body_raw(j, "description", delivery_trim(text));
        return;
    }
    text = delivery_cut_runes(d, text, DESCRIPTION_RUNES_MAX, &is_cut);
    if (v3)
        write_document(j, text);
    else
        json_body_text(j, "description", text);
}

static void write_summary(struct delivery *d, struct json_body *j)
{
    const struct jira_receiver *r = d->integration->settings;
    bool is_cut;
    struct view text =
        delivery_cut_runes(d, delivery_text(d, r->summary.template), SUMMARY_RUNES_MAX, &is_cut);
    json_body_text(j, "summary", replace(d, text, "\r\n", ' '));
}

static int compare_views(const void *a, const void *b)
{
    return view_cmp(*(const struct view *)a, *(const struct view *)b);
}

/* Sorted, the one that finds the issue again among them. */
static void write_labels(struct delivery *d, struct json_body *j)
{
    const struct jira_receiver *r = d->integration->settings;
    struct view *labels = ARENA_ARRAY(d->arena, struct view, r->labels.count + 1);
    struct view hash = delivery_key_hash(d);
    for (size_t i = 0; i < r->labels.count; i++)
        labels[i] = replace(d, delivery_text(d, r->labels.items[i]), " \t\r\n\v\f", '_');
    labels[r->labels.count] = arena_printf(d->arena, "ALERT{%.*s}", VIEW_ARGS(hash));
    qsort(labels, r->labels.count + 1, sizeof(*labels), compare_views);
    json_body_open(j, "labels", '[');
    for (size_t i = 0; i <= r->labels.count; i++) {
        if (labels[i].len)
            json_body_text(j, NULL, labels[i]);
    }
    json_body_close(j, ']');
}

static bool write_issue(struct delivery *d, struct json_body *j, bool is_new, struct error *err)
{
    const struct jira_receiver *r = d->integration->settings;
    struct view project, type;
    if (!delivery_text_strict(d, r->project, &project, err))
        return error_wrap(err, "project");
    if (!delivery_text_strict(d, r->issue_type, &type, err))
        return error_wrap(err, "issue type");
    json_body_open(j, NULL, '{');
    json_body_open(j, "fields", '{');
    if ((is_new || r->description.enable_update) && !has_own(r, "description"))
        write_description(d, j);
    write_object(d, j, "issuetype", "name", type);
    if ((is_new || r->labels_enable_update) && !has_own(r, "labels"))
        write_labels(d, j);
    struct view priority = delivery_text_or(d, r->priority, NOTHING);
    if (priority.len)
        write_object(d, j, "priority", "name", priority);
    write_object(d, j, "project", "key", project);
    if ((is_new || r->summary.enable_update) && !has_own(r, "summary"))
        write_summary(d, j);
    for (uint32_t i = 0; r->fields && i < r->fields->count; i++)
        delivery_tree(d, j, r->fields->pairs[i].key->text.ptr, r->fields->pairs[i].value);
    json_body_close(j, '}');
    json_body_close(j, '}');
    return true;
}

static enum delivery_verdict send_issue(struct delivery *d, struct error *err)
{
    const struct jira_receiver *r = d->integration->settings;
    const struct exchange *x = d->exchange;
    bool is_new = x->key.len == 0;
    struct view body;
    struct json_body j;
    json_body_init(&j);
    if (!write_issue(d, &j, is_new, err)) {
        json_body_deinit(&j);
        return DELIVERY_FAILED;
    }
    if (!json_body_take(&j, d->arena, &body, err))
        return DELIVERY_FAILED;
    return is_new ? send(d, "POST", delivery_url(d, r->api_url, VIEW("issue"), NOTHING), body)
                  : send(d, "PUT", issue_url(d, x->key, ""), body);
}

/* --- its transition --- */

/* What brings the issue to the status that it should have; empty: nothing. */
static struct view transition_of(const struct delivery *d)
{
    const struct jira_receiver *r = d->integration->settings;
    const struct exchange *x = d->exchange;
    if (x->key.len == 0 || (d->firing_count > 0) != x->is_done)
        return NOTHING;
    return d->firing_count ? r->reopen_transition : r->resolve_transition;
}

static enum delivery_verdict send_transition(struct delivery *d, const struct delivery_answer *a,
                                             struct error *err)
{
    const struct exchange *x = d->exchange;
    struct view name = transition_of(d), id = NOTHING, body;
    struct json_body j;
    json_t *root = parse(a, "the list of transitions", err), *item;
    size_t i;
    if (!root)
        return DELIVERY_FAILED;
    json_array_foreach(json_object_get(root, "transitions"), i, item)
    {
        if (id.len == 0 && view_eq(text_of(d, item, "name"), name))
            id = text_of(d, item, "id");
    }
    json_decref(root);
    if (id.len == 0) {
        error_set(err, ERROR_NOT_FOUND, "can't find transition %.*s for issue %.*s",
                  VIEW_ARGS(view_slice(name, 0, 100)), VIEW_ARGS(view_slice(x->key, 0, 100)));
        return DELIVERY_FAILED;
    }
    json_body_init(&j);
    json_body_open(&j, NULL, '{');
    json_body_open(&j, "transition", '{');
    json_body_text(&j, "id", id);
    json_body_close(&j, '}');
    json_body_close(&j, '}');
    if (!json_body_take(&j, d->arena, &body, err))
        return DELIVERY_FAILED;
    return send(d, "POST", issue_url(d, x->key, "/transitions"), body);
}

enum { ANSWER_SEARCH = 1, ANSWER_ISSUE, ANSWER_TRANSITIONS };

static enum delivery_verdict jira_answer(struct delivery *d, const struct delivery_answer *a,
                                         struct error *err)
{
    static const long RETRY[] = {429, 0};
    const struct exchange *x = d->exchange;
    enum delivery_verdict verdict = delivery_judge(a, RETRY, err);
    if (verdict != DELIVERY_SENT) {
        if (d->step == ANSWER_SEARCH)
            error_wrap(err, "failed to look up existing issues");
        return verdict;
    }
    switch (d->step) {
    case ANSWER_SEARCH:
        if (!take_search(d, a, err))
            return a->is_cut ? DELIVERY_RETRY : DELIVERY_FAILED; /* it changed nothing */
        return x->key.len || d->firing_count ? send_issue(d, err) : DELIVERY_SENT;
    case ANSWER_ISSUE:
        return transition_of(d).len ? send(d, "GET", issue_url(d, x->key, "/transitions"), NOTHING)
                                    : DELIVERY_SENT;
    case ANSWER_TRANSITIONS:
        return send_transition(d, a, err);
    }
    return DELIVERY_SENT;
}

const struct delivery_driver delivery_jira = {
    .kind = "jira", .begin = jira_begin, .answer = jira_answer};
