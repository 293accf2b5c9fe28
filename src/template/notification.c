/* SPDX-License-Identifier: Apache-2.0 */
/* notification.c: see notification.h. */
#include "template/notification.h"

#include "template/exec_private.h"

#define STRINGS &TEMPLATE_TYPE_STRINGS

/* --- Strings --- */

static bool join(struct template_call *call, const struct template_value *list,
                 struct view separator, struct template_value *out)
{
    size_t mark = scratch_begin(call);
    for (size_t i = 0; i < list->list.count; i++) {
        if (i)
            buffer_append_view(&call->scratch, separator);
        buffer_append_view(&call->scratch, list->list.items[i].text);
    }
    return scratch_take_value(call, mark, out);
}

static bool names_join(struct template_call *call, const struct template_value *args, size_t count,
                       struct template_value *out)
{
    return join(call, &args[0], args[1].text, out);
}

static const struct template_function NAMES_METHODS[] = {
    {"Join", names_join, {&TEMPLATE_TYPE_STRING}, 1, false}};

const struct template_type TEMPLATE_TYPE_NAMES = {.kind = TEMPLATE_LIST,
                                                  .name = "template.Strings",
                                                  .element = &TEMPLATE_TYPE_STRING,
                                                  .unnamed = STRINGS,
                                                  .methods = NAMES_METHODS,
                                                  .method_count = 1};

/* --- Pair and Pairs --- */

enum { PAIR_NAME, PAIR_VALUE, PAIR_FIELD_COUNT };

static const struct template_field PAIR_FIELDS[] = {{"Name", "Name"}, {"Value", "Value"}};

const struct template_type TEMPLATE_TYPE_PAIR = {.kind = TEMPLATE_STRUCT,
                                                 .name = "template.Pair",
                                                 .fields = PAIR_FIELDS,
                                                 .field_count = PAIR_FIELD_COUNT};

/* One field of each pair. */
static bool pairs_column(struct template_call *call, const struct template_value *pairs,
                         size_t field, struct template_value *out)
{
    size_t count = pairs->list.count;
    struct template_value *items = template_call_alloc(call, count * sizeof(*items));
    if (!items)
        return false;
    for (size_t i = 0; i < count; i++)
        items[i] = pairs->list.items[i].fields[field];
    *out = template_list(&TEMPLATE_TYPE_NAMES, items, count);
    return true;
}

static bool pairs_names(struct template_call *call, const struct template_value *args, size_t count,
                        struct template_value *out)
{
    return pairs_column(call, &args[0], PAIR_NAME, out);
}

static bool pairs_values(struct template_call *call, const struct template_value *args,
                         size_t count, struct template_value *out)
{
    return pairs_column(call, &args[0], PAIR_VALUE, out);
}

static bool pairs_string(struct template_call *call, const struct template_value *args,
                         size_t count, struct template_value *out)
{
    size_t mark = scratch_begin(call);
    for (size_t i = 0; i < args[0].list.count; i++) {
        const struct template_value *fields = args[0].list.items[i].fields;
        if (i)
            buffer_append_literal(&call->scratch, ", ");
        buffer_append_view(&call->scratch, fields[PAIR_NAME].text);
        buffer_append_byte(&call->scratch, '=');
        buffer_append_view(&call->scratch, fields[PAIR_VALUE].text);
    }
    return scratch_take_value(call, mark, out);
}

static const struct template_function PAIRS_METHODS[] = {
    {.name = "Names", .call = pairs_names},
    {.name = "Values", .call = pairs_values},
    {.name = "String", .call = pairs_string},
};

const struct template_type TEMPLATE_TYPE_PAIRS = {.kind = TEMPLATE_LIST,
                                                  .name = "template.Pairs",
                                                  .element = &TEMPLATE_TYPE_PAIR,
                                                  .methods = PAIRS_METHODS,
                                                  .method_count = ARRAY_COUNT(PAIRS_METHODS),
                                                  .text = pairs_string};

/* --- KV --- */

/* By name, "alertname" first. */
static bool kv_sorted_pairs(struct template_call *call, const struct template_value *args,
                            size_t count, struct template_value *out)
{
    size_t n = args[0].map.count, at = 0;
    struct template_value *items =
        template_call_alloc(call, n * (1 + PAIR_FIELD_COUNT) * sizeof(*items));
    if (!items)
        return false;
    struct template_value *fields = items + n;
    for (int first = 1; first >= 0; first--) {
        for (size_t i = 0; i < n; i++) {
            const struct template_pair *p = &args[0].map.pairs[i];
            if (view_is(p->key, "alertname") != (first == 1))
                continue;
            fields[PAIR_NAME] = template_string(p->key);
            fields[PAIR_VALUE] = p->value;
            items[at++] = template_struct(&TEMPLATE_TYPE_PAIR, fields);
            fields += PAIR_FIELD_COUNT;
        }
    }
    *out = template_list(&TEMPLATE_TYPE_PAIRS, items, n);
    return true;
}

static bool kv_names(struct template_call *call, const struct template_value *args, size_t count,
                     struct template_value *out)
{
    struct template_value pairs;
    return kv_sorted_pairs(call, args, count, &pairs) && pairs_column(call, &pairs, PAIR_NAME, out);
}

static bool kv_values(struct template_call *call, const struct template_value *args, size_t count,
                      struct template_value *out)
{
    struct template_value pairs;
    return kv_sorted_pairs(call, args, count, &pairs) &&
           pairs_column(call, &pairs, PAIR_VALUE, out);
}

static bool kv_string(struct template_call *call, const struct template_value *args, size_t count,
                      struct template_value *out)
{
    struct template_value pairs;
    return kv_sorted_pairs(call, args, count, &pairs) && pairs_string(call, &pairs, 1, out);
}

static bool list_has(const struct template_value *list, struct view text)
{
    for (size_t i = 0; i < list->list.count; i++)
        if (view_eq(list->list.items[i].text, text))
            return true;
    return false;
}

static bool kv_remove(struct template_call *call, const struct template_value *args, size_t count,
                      struct template_value *out)
{
    const struct template_value *kv = &args[0];
    struct template_pair *pairs = template_call_alloc(call, kv->map.count * sizeof(*pairs));
    size_t kept = 0;
    if (!pairs || !call_charge(call, kv->map.count * args[1].list.count / 8))
        return false;
    for (size_t i = 0; i < kv->map.count; i++)
        if (!list_has(&args[1], kv->map.pairs[i].key))
            pairs[kept++] = kv->map.pairs[i];
    *out = template_map(&TEMPLATE_TYPE_KV, pairs, kept);
    return true;
}

static const struct template_function KV_METHODS[] = {
    {.name = "SortedPairs", .call = kv_sorted_pairs},
    {"Remove", kv_remove, {STRINGS}, 1, false},
    {.name = "Names", .call = kv_names},
    {.name = "Values", .call = kv_values},
    {.name = "String", .call = kv_string},
};

const struct template_type TEMPLATE_TYPE_KV = {.kind = TEMPLATE_MAP,
                                               .name = "template.KV",
                                               .element = &TEMPLATE_TYPE_STRING,
                                               .unnamed = &TEMPLATE_TYPE_STRING_MAP,
                                               .methods = KV_METHODS,
                                               .method_count = ARRAY_COUNT(KV_METHODS),
                                               .text = kv_string};

/* --- alerts --- */

enum {
    ALERT_STATUS,
    ALERT_LABELS,
    ALERT_ANNOTATIONS,
    ALERT_STARTS_AT,
    ALERT_ENDS_AT,
    ALERT_GENERATOR_URL,
    ALERT_FINGERPRINT,
    ALERT_FIELD_COUNT
};

static const struct template_field ALERT_FIELDS[ALERT_FIELD_COUNT] = {
    [ALERT_STATUS] = {"Status", "status"},
    [ALERT_LABELS] = {"Labels", "labels"},
    [ALERT_ANNOTATIONS] = {"Annotations", "annotations"},
    [ALERT_STARTS_AT] = {"StartsAt", "startsAt"},
    [ALERT_ENDS_AT] = {"EndsAt", "endsAt"},
    [ALERT_GENERATOR_URL] = {"GeneratorURL", "generatorURL"},
    [ALERT_FINGERPRINT] = {"Fingerprint", "fingerprint"},
};

const struct template_type TEMPLATE_TYPE_ALERT = {.kind = TEMPLATE_STRUCT,
                                                  .name = "template.Alert",
                                                  .fields = ALERT_FIELDS,
                                                  .field_count = ALERT_FIELD_COUNT};

/* []template.Alert, which Firing and Resolved give: it has no methods. */
static const struct template_type TYPE_ALERT_LIST = {
    .kind = TEMPLATE_LIST, .name = "[]template.Alert", .element = &TEMPLATE_TYPE_ALERT};

static bool alerts_with(struct template_call *call, const struct template_value *alerts,
                        const char *status, struct template_value *out)
{
    struct template_value *items = template_call_alloc(call, alerts->list.count * sizeof(*items));
    size_t count = 0;
    if (!items)
        return false;
    for (size_t i = 0; i < alerts->list.count; i++)
        if (view_is(alerts->list.items[i].fields[ALERT_STATUS].text, status))
            items[count++] = alerts->list.items[i];
    *out = template_list(&TYPE_ALERT_LIST, items, count);
    return true;
}

static bool alerts_firing(struct template_call *call, const struct template_value *args,
                          size_t count, struct template_value *out)
{
    return alerts_with(call, &args[0], "firing", out);
}

static bool alerts_resolved(struct template_call *call, const struct template_value *args,
                            size_t count, struct template_value *out)
{
    return alerts_with(call, &args[0], "resolved", out);
}

static const struct template_function ALERTS_METHODS[] = {
    {.name = "Firing", .call = alerts_firing},
    {.name = "Resolved", .call = alerts_resolved},
};

const struct template_type TEMPLATE_TYPE_ALERTS = {.kind = TEMPLATE_LIST,
                                                   .name = "template.Alerts",
                                                   .element = &TEMPLATE_TYPE_ALERT,
                                                   .unnamed = &TYPE_ALERT_LIST,
                                                   .methods = ALERTS_METHODS,
                                                   .method_count = ARRAY_COUNT(ALERTS_METHODS)};

/* --- the notification --- */

enum {
    DATA_RECEIVER,
    DATA_STATUS,
    DATA_ALERTS,
    DATA_REASON,
    DATA_GROUP_LABELS,
    DATA_COMMON_LABELS,
    DATA_COMMON_ANNOTATIONS,
    DATA_ROUTE_LABELS,
    DATA_EXTERNAL_URL,
    DATA_FIELD_COUNT
};

static const struct template_field DATA_FIELDS[DATA_FIELD_COUNT] = {
    [DATA_RECEIVER] = {"Receiver", "receiver"},
    [DATA_STATUS] = {"Status", "status"},
    [DATA_ALERTS] = {"Alerts", "alerts"},
    [DATA_REASON] = {"NotificationReason", "notification_reason"},
    [DATA_GROUP_LABELS] = {"GroupLabels", "groupLabels"},
    [DATA_COMMON_LABELS] = {"CommonLabels", "commonLabels"},
    [DATA_COMMON_ANNOTATIONS] = {"CommonAnnotations", "commonAnnotations"},
    [DATA_ROUTE_LABELS] = {"RouteLabels", "routeLabels"},
    [DATA_EXTERNAL_URL] = {"ExternalURL", "externalURL"},
};

const struct template_type TEMPLATE_TYPE_NOTIFICATION = {.kind = TEMPLATE_STRUCT,
                                                         .name = "*template.Data",
                                                         .fields = DATA_FIELDS,
                                                         .field_count = DATA_FIELD_COUNT};

struct template_value notification_kv_value(struct arena *arena, const struct notification_kv *kv)
{
    struct template_pair *pairs = ARENA_ARRAY(arena, struct template_pair, kv->count);
    for (size_t i = 0; i < kv->count; i++)
        pairs[i] = (struct template_pair){kv->names[i], template_string(kv->values[i])};
    return template_map(&TEMPLATE_TYPE_KV, pairs, kv->count);
}

static struct template_value time_of(const struct template_time *t)
{
    return (struct template_value){.type = &TEMPLATE_TYPE_TIME, .time = t};
}

static struct template_value alert_value(struct arena *arena, const struct notification_alert *a)
{
    struct template_value *fields = ARENA_ARRAY(arena, struct template_value, ALERT_FIELD_COUNT);
    fields[ALERT_STATUS] = template_string(a->status);
    fields[ALERT_LABELS] = notification_kv_value(arena, &a->labels);
    fields[ALERT_ANNOTATIONS] = notification_kv_value(arena, &a->annotations);
    fields[ALERT_STARTS_AT] = time_of(&a->starts_at);
    fields[ALERT_ENDS_AT] = time_of(&a->ends_at);
    fields[ALERT_GENERATOR_URL] = template_string(a->generator_url);
    fields[ALERT_FINGERPRINT] = template_string(a->fingerprint);
    return template_struct(&TEMPLATE_TYPE_ALERT, fields);
}

struct template_value notification_value(struct arena *arena, const struct notification *n)
{
    struct template_value *fields = ARENA_ARRAY(arena, struct template_value, DATA_FIELD_COUNT);
    struct template_value *alerts = ARENA_ARRAY(arena, struct template_value, n->alert_count);
    for (size_t i = 0; i < n->alert_count; i++)
        alerts[i] = alert_value(arena, &n->alerts[i]);
    fields[DATA_RECEIVER] = template_string(n->receiver);
    fields[DATA_STATUS] = template_string(n->status);
    fields[DATA_ALERTS] = template_list(&TEMPLATE_TYPE_ALERTS, alerts, n->alert_count);
    fields[DATA_REASON] = template_string(n->reason);
    fields[DATA_GROUP_LABELS] = notification_kv_value(arena, &n->group_labels);
    fields[DATA_COMMON_LABELS] = notification_kv_value(arena, &n->common_labels);
    fields[DATA_COMMON_ANNOTATIONS] = notification_kv_value(arena, &n->common_annotations);
    fields[DATA_ROUTE_LABELS] = notification_kv_value(arena, &n->route_labels);
    fields[DATA_EXTERNAL_URL] = template_string(n->external_url);
    return template_struct(&TEMPLATE_TYPE_NOTIFICATION, fields);
}
