/* SPDX-License-Identifier: Apache-2.0 */
/* delivery_sns.c: Amazon SNS' Publish, signed by us. Keys are looked for as AWS' SDKs do:
 *
 *   sigv4 of the receiver; a profile that is asked for; environment; web identity; the profile "default" of the shared
 *   files; container; EC2 instance (IMDS version 2)
 *
 * and with role_arn they but ask STS for those of the role. What STS, container and instance give is kept until it is about to
 * expire. Each question is a request of the exchange, so an attempt may be
 *
 *   PUT token - GET role - GET keys - POST AssumeRole - POST Publish */
#include "alerting/aws_credentials.h"
#include "alerting/delivery.h"
#include "alerting/delivery_compose.h"

#include "base/clock.h"

#include <jansson.h>
#include <stdlib.h>

enum {
    MESSAGE_BYTES_MAX = 256 * 1024, /* SNS' */
    SMS_BYTES_MAX = 1600,
    SUBJECT_RUNES_MAX = 99,        /* "less than 100 characters long" */
    RENEW_MS = 5 * 60 * 1000,      /* before keys expire others are asked for */
    METADATA_TIMEOUT_MS = 5000,    /* of container and instance, which are near or not there */
    KEY_TEXT_BYTES_MAX = 64 << 10, /* of what is kept of an answer with keys */
};

#define NOTHING ((struct view){NULL, 0})

/* Keys that somebody gave for a time; `text` owns them. */
struct given {
    struct aws_credentials keys;
    char *text;
    size_t text_bytes;
    int64_t expires_ms;
};

/* Of the integration; the sender's thread only. */
struct sns_state {
    struct given own, role;
};

enum asked { ASK_NOTHING, ASK_TOKEN, ASK_ROLE_NAME, ASK_KEYS, ASK_IDENTITY, ASK_ROLE, ASK_PUBLISH };

struct exchange {
    enum asked asked;
    struct view region;
    struct view metadata_token; /* of IMDS */
};

/* --- keys that are kept --- */

static void given_free(struct given *g)
{
    if (g->text) {
        explicit_bzero(g->text, g->text_bytes);
        mem_free(MEM_RULES, g->text);
    }
    *g = (struct given){0};
}

static void sns_state_deinit(void *state)
{
    struct sns_state *s = state;
    given_free(&s->own);
    given_free(&s->role);
}

static bool is_fresh(const struct given *g)
{
    return g->text && g->expires_ms - RENEW_MS > clock_wall().ms;
}

/* Copies three texts into memory that lives with the integration. */
static bool given_take(struct given *g, struct view access, struct view secret, struct view token,
                       int64_t expires_ms, struct error *err)
{
    struct view parts[] = {access, secret, token};
    size_t bytes = access.len + secret.len + token.len, at = 0;
    if (access.len == 0 || secret.len == 0)
        return error_set(err, ERROR_INPUT, "the answer has no keys");
    if (bytes > KEY_TEXT_BYTES_MAX)
        return error_set(err, ERROR_TOO_LARGE, "the keys are longer than %d bytes",
                         KEY_TEXT_BYTES_MAX);
    given_free(g);
    g->text = mem_alloc(MEM_RULES, bytes);
    g->text_bytes = bytes;
    for (size_t i = 0; i < ARRAY_COUNT(parts); i++) {
        if (parts[i].len)
            memcpy(g->text + at, parts[i].ptr, parts[i].len);
        parts[i].ptr = g->text + at;
        at += parts[i].len;
    }
    g->keys = (struct aws_credentials){parts[0], secret_from(parts[1]), secret_from(parts[2])};
    g->expires_ms = expires_ms;
    return is_fresh(g) || error_set(err, ERROR_INPUT, "the keys have expired already");
}

/* STS' answers. */
static bool given_take_xml(struct delivery *d, struct given *g, struct view xml, struct error *err)
{
    return given_take(g, aws_element(xml, "AccessKeyId"), aws_element(xml, "SecretAccessKey"),
                      aws_element(xml, "SessionToken"),
                      aws_time_ms(d->arena, aws_element(xml, "Expiration")), err);
}

/* Those of containers and instances. */
static bool given_take_json(struct delivery *d, struct given *g, struct view text,
                            struct error *err)
{
    json_t *root = json_loadb(text.len ? text.ptr : "", text.len, 0, NULL);
    struct view expires = view_from(json_string_value(json_object_get(root, "Expiration")));
    bool ok = given_take(g, view_from(json_string_value(json_object_get(root, "AccessKeyId"))),
                         view_from(json_string_value(json_object_get(root, "SecretAccessKey"))),
                         view_from(json_string_value(json_object_get(root, "Token"))),
                         aws_time_ms(d->arena, expires), err);
    json_decref(root);
    return ok;
}

/* --- requests --- */

/* POSTs the form, signed with `keys`; NULL: not signed. */
static bool post(struct delivery *d, struct view url, struct view form, const char *service,
                 const struct aws_credentials *keys, struct error *err)
{
    static const struct view TYPE = VIEW_INIT("application/x-www-form-urlencoded; charset=utf-8");
    const struct exchange *x = d->exchange;
    struct aws_request r = {.method = VIEW("POST"),
                            .query = VIEW(""),
                            .content_type = TYPE,
                            .body = form,
                            .region = x->region,
                            .service = view_from(service)};
    if (!aws_request_url(d->arena, url, &r, err))
        return false;
    d->request.url = url;
    d->request.body = form;
    delivery_header(d, "Content-Type", TYPE);
    if (!keys)
        return true;
    struct aws_signature signature = aws_sign(d->arena, keys, &r, clock_wall());
    delivery_header(d, "X-Amz-Date", signature.date);
    if (secret_is_set(&keys->session_token))
        delivery_header(d, "X-Amz-Security-Token", secret_reveal(&keys->session_token));
    delivery_header(d, "Authorization", signature.authorization);
    return true;
}

/* AWS_ENDPOINT_URL_SNS and its like, or AWS' own. */
static struct view endpoint(struct delivery *d, const char *variable, const char *host)
{
    const struct exchange *x = d->exchange;
    struct view own = aws_variable(variable);
    if (own.len == 0)
        own = aws_variable("AWS_ENDPOINT_URL");
    if (own.len)
        return own;
    return arena_printf(d->arena, "https://%s.%.*s.amazonaws.com%s/", host, VIEW_ARGS(x->region),
                        view_has_prefix(x->region, VIEW("cn-")) ? ".cn" : "");
}

static bool ask_sts(struct delivery *d, struct buffer *form, const struct aws_credentials *keys,
                    struct error *err)
{
    const struct sns_receiver *r = d->integration->settings;
    struct view body;
    return delivery_form_take(d, form, &body, err) &&
           post(d,
                endpoint(d, "AWS_ENDPOINT_URL_STS",
                         r->sigv4.use_fips_sts_endpoint ? "sts-fips" : "sts"),
                body, "sts", keys, err);
}

static bool ask_role(struct delivery *d, const struct aws_credentials *keys, struct error *err)
{
    const struct sns_receiver *r = d->integration->settings;
    struct buffer form;
    delivery_form_init(&form);
    delivery_form_add(&form, "Action", VIEW("AssumeRole"));
    delivery_form_add(&form, "Version", VIEW("2011-06-15"));
    delivery_form_add(&form, "RoleArn", r->sigv4.role_arn);
    delivery_form_add(&form, "RoleSessionName", VIEW("belfry"));
    if (r->sigv4.external_id.len)
        delivery_form_add(&form, "ExternalId", r->sigv4.external_id);
    return ask_sts(d, &form, keys, err);
}

static bool ask_identity(struct delivery *d, struct error *err)
{
    static const struct secret NONE;
    struct view session = aws_variable("AWS_ROLE_SESSION_NAME");
    struct secret token;
    struct buffer form;
    if (!delivery_secret(d, &NONE, aws_variable("AWS_WEB_IDENTITY_TOKEN_FILE"), &token, err))
        return false;
    delivery_form_init(&form);
    delivery_form_add(&form, "Action", VIEW("AssumeRoleWithWebIdentity"));
    delivery_form_add(&form, "Version", VIEW("2011-06-15"));
    delivery_form_add(&form, "RoleArn", aws_variable("AWS_ROLE_ARN"));
    delivery_form_add(&form, "RoleSessionName", session.len ? session : VIEW("belfry"));
    delivery_form_add(&form, "WebIdentityToken", secret_reveal(&token));
    return ask_sts(d, &form, NULL, err);
}

/* The container's address for keys; false: we are in none. */
static bool ask_container(struct delivery *d, struct error *err)
{
    static const struct secret NONE;
    struct view relative = aws_variable("AWS_CONTAINER_CREDENTIALS_RELATIVE_URI");
    struct view token = aws_variable("AWS_CONTAINER_AUTHORIZATION_TOKEN");
    struct view file = aws_variable("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE");
    struct secret read;
    d->request.url = relative.len
                         ? arena_printf(d->arena, "http://169.254.170.2%.*s", VIEW_ARGS(relative))
                         : aws_variable("AWS_CONTAINER_CREDENTIALS_FULL_URI");
    if (file.len) {
        if (!delivery_secret(d, &NONE, file, &read, err))
            return false;
        token = secret_reveal(&read);
    }
    d->request.method = "GET";
    d->request.timeout_ms = METADATA_TIMEOUT_MS;
    if (token.len)
        delivery_header(d, "Authorization", token);
    return true;
}

static void ask_metadata(struct delivery *d, const char *method, struct view path)
{
    const struct exchange *x = d->exchange;
    struct view base = aws_variable("AWS_EC2_METADATA_SERVICE_ENDPOINT");
    d->request.url =
        delivery_url(d, base.len ? base : VIEW("http://169.254.169.254"), path, NOTHING);
    d->request.method = method;
    d->request.timeout_ms = METADATA_TIMEOUT_MS;
    if (x->metadata_token.len)
        delivery_header(d, "X-aws-ec2-metadata-token", x->metadata_token);
    else
        delivery_header(d, "X-aws-ec2-metadata-token-ttl-seconds", VIEW("21600"));
}

/* --- the message --- */

static void add_attribute(struct delivery *d, struct buffer *b, size_t *count, struct view name,
                          struct view value)
{
    static const char ENTRY[] = "MessageAttributes.entry";
    if (name.len == 0 || value.len == 0) /* SNS would refuse the message */
        return;
    ++*count;
    delivery_form_add(b, arena_printf(d->arena, "%s.%zu.Name", ENTRY, *count).ptr, name);
    delivery_form_add(b, arena_printf(d->arena, "%s.%zu.Value.DataType", ENTRY, *count).ptr,
                      VIEW("String"));
    delivery_form_add(b, arena_printf(d->arena, "%s.%zu.Value.StringValue", ENTRY, *count).ptr,
                      value);
}

/* The first `bytes` of it, whole characters. */
static struct view cut(struct view text, size_t bytes)
{
    if (text.len <= bytes)
        return text;
    while (bytes && ((unsigned char)text.ptr[bytes] & 0xC0) == 0x80)
        bytes--;
    return view_slice(text, 0, bytes);
}

/* Subjects have no line ends or other control characters. */
static struct view subject_of(struct delivery *d, const struct sns_receiver *r)
{
    bool is_cut;
    struct view text = delivery_trim(delivery_text(d, r->subject));
    text = delivery_cut_runes(d, text, SUBJECT_RUNES_MAX, &is_cut);
    char *copy = arena_alloc(d->arena, text.len + 1);
    for (size_t i = 0; i < text.len; i++)
        copy[i] = (unsigned char)text.ptr[i] < 0x20 || text.ptr[i] == 0x7F ? ' ' : text.ptr[i];
    return (struct view){copy, text.len};
}

/* FIFO topics pass over what has the id of a message of the last five minutes: so it is one flush of the group, and its
 * retries, that have one. (Alertmanager's is the group's alone; then the end of an alert may be passed over.) */
static struct view deduplication_id(struct delivery *d)
{
    struct view group = delivery_key_hash(d);
    return arena_printf(d->arena, "%.*s-%lld", VIEW_ARGS(group), (long long)d->now_ns);
}

static bool add_destination(struct delivery *d, struct buffer *b, struct error *err)
{
    const struct sns_receiver *r = d->integration->settings;
    const struct {
        const char *name, *field;
        struct view template;
    } DESTINATIONS[] = {{"TopicArn", "topic_arn", r->topic_arn},
                        {"PhoneNumber", "phone_number", r->phone_number},
                        {"TargetArn", "target_arn", r->target_arn}};
    for (size_t i = 0; i < ARRAY_COUNT(DESTINATIONS); i++) {
        struct view text;
        if (DESTINATIONS[i].template.len == 0)
            continue;
        if (!delivery_text_strict(d, DESTINATIONS[i].template, &text, err))
            return error_wrap(err, "%s", DESTINATIONS[i].field);
        delivery_form_add(b, DESTINATIONS[i].name, text);
        if (i == 0 && view_has_suffix(text, VIEW(".fifo"))) {
            delivery_form_add(b, "MessageDeduplicationId", deduplication_id(d));
            delivery_form_add(b, "MessageGroupId", delivery_key_hash(d));
        }
    }
    return true;
}

static bool write_publish(struct delivery *d, struct buffer *b, struct error *err)
{
    const struct sns_receiver *r = d->integration->settings;
    struct view text = delivery_text(d, r->message), subject = subject_of(d, r);
    struct view message = cut(text, r->phone_number.len ? SMS_BYTES_MAX : MESSAGE_BYTES_MAX);
    size_t count = 0;
    delivery_form_add(b, "Action", VIEW("Publish"));
    delivery_form_add(b, "Version", VIEW("2010-03-31"));
    if (!add_destination(d, b, err))
        return false;
    delivery_form_add(b, "Message", message);
    if (subject.len)
        delivery_form_add(b, "Subject", subject);
    for (size_t i = 0; i < r->attributes.count; i++)
        add_attribute(d, b, &count, delivery_text(d, r->attributes.items[i].name),
                      delivery_text(d, r->attributes.items[i].value));
    if (message.len < text.len)
        add_attribute(d, b, &count, VIEW("truncated"), VIEW("true"));
    return true;
}

static bool ask_publish(struct delivery *d, const struct aws_credentials *keys, struct error *err)
{
    const struct sns_receiver *r = d->integration->settings;
    struct view url, form;
    struct buffer b;
    if (!delivery_text_strict(d, r->api_url, &url, err))
        return error_wrap(err, "api_url");
    if (url.len == 0)
        url = endpoint(d, "AWS_ENDPOINT_URL_SNS", "sns");
    d->request.host_is_templated =
        r->api_url.len && memmem(r->api_url.ptr, r->api_url.len, "{{", 2) != NULL;
    delivery_form_init(&b);
    if (!write_publish(d, &b, err)) {
        buffer_deinit(&b);
        return false;
    }
    return delivery_form_take(d, &b, &form, err) && post(d, url, form, "sns", keys, err);
}

/* --- the exchange --- */

/* arn:aws:sns:REGION:...; empty: no ARN. */
static struct view region_of_arn(struct view arn)
{
    for (int i = 0; i < 3; i++) {
        const char *colon = arn.len ? memchr(arn.ptr, ':', arn.len) : NULL;
        if (!colon)
            return NOTHING;
        arn = view_slice(arn, (size_t)(colon - arn.ptr) + 1, arn.len);
    }
    const char *end = memchr(arn.ptr, ':', arn.len);
    return end ? view_slice(arn, 0, (size_t)(end - arn.ptr)) : NOTHING;
}

static bool find_region(struct delivery *d, struct error *err)
{
    const struct sns_receiver *r = d->integration->settings;
    struct exchange *x = d->exchange;
    x->region = r->sigv4.region;
    if (x->region.len == 0 && !aws_region(d->arena, r->sigv4.profile, &x->region, err))
        return false;
    if (x->region.len == 0)
        x->region = region_of_arn(r->topic_arn.len ? r->topic_arn : r->target_arn);
    return x->region.len ||
           error_set(err, ERROR_INPUT,
                     "region not configured in sns.sigv4.region or in default credentials chain");
}

/* Keys that are there without asking; *keys is untouched when there are none. */
static bool find_keys(struct delivery *d, struct aws_credentials *keys, bool *found,
                      struct error *err)
{
    const struct sns_receiver *r = d->integration->settings;
    const struct sns_state *state = d->integration->state;
    if (!aws_credentials_at_hand(d->arena, &r->sigv4, keys, found, err))
        return false;
    if (!*found && is_fresh(&state->own)) {
        *found = true;
        *keys = state->own.keys;
    }
    return true;
}

/* Somebody is to be asked for keys. */
static bool ask_own_keys(struct delivery *d, struct error *err)
{
    struct exchange *x = d->exchange;
    if (aws_variable("AWS_WEB_IDENTITY_TOKEN_FILE").len) {
        x->asked = ASK_IDENTITY;
        return ask_identity(d, err);
    }
    if (aws_variable("AWS_CONTAINER_CREDENTIALS_RELATIVE_URI").len ||
        aws_variable("AWS_CONTAINER_CREDENTIALS_FULL_URI").len) {
        x->asked = ASK_KEYS;
        return ask_container(d, err);
    }
    if (view_is(aws_variable("AWS_EC2_METADATA_DISABLED"), "true"))
        return error_set(err, ERROR_INPUT, "there are no AWS credentials");
    x->asked = ASK_TOKEN;
    ask_metadata(d, "PUT", VIEW("/latest/api/token"));
    return true;
}

/* The next request, by what is known. */
static enum delivery_verdict advance(struct delivery *d, struct error *err)
{
    const struct sns_receiver *r = d->integration->settings;
    const struct sns_state *state = d->integration->state;
    struct exchange *x = d->exchange;
    struct aws_credentials keys;
    bool found, ok;
    if (r->sigv4.role_arn.len && is_fresh(&state->role)) {
        x->asked = ASK_PUBLISH;
        return ask_publish(d, &state->role.keys, err) ? DELIVERY_MORE : DELIVERY_FAILED;
    }
    if (!find_keys(d, &keys, &found, err))
        return delivery_not_composed(err);
    if (!found) {
        ok = ask_own_keys(d, err);
    } else if (r->sigv4.role_arn.len) {
        x->asked = ASK_ROLE;
        ok = ask_role(d, &keys, err);
    } else {
        x->asked = ASK_PUBLISH;
        ok = ask_publish(d, &keys, err);
    }
    return ok ? DELIVERY_MORE : delivery_not_composed(err);
}

static enum delivery_verdict sns_begin(struct delivery *d, struct error *err)
{
    d->exchange = ARENA_NEW(d->arena, struct exchange);
    return find_region(d, err) ? advance(d, err) : delivery_not_composed(err);
}

/* The verdict with AWS' own words for it in place of its XML. */
static enum delivery_verdict judge(struct delivery *d, const struct delivery_answer *a,
                                   struct error *err)
{
    struct sns_state *state = d->integration->state;
    struct view code = aws_element(a->body, "Code"), message = aws_element(a->body, "Message");
    struct delivery_answer plain = *a;
    static const long RETRY[] = {429, 0};
    if (code.len)
        plain.body = arena_printf(d->arena, "%.*s: %.*s", VIEW_ARGS(code), VIEW_ARGS(message));
    enum delivery_verdict verdict = delivery_judge(&plain, RETRY, err);
    if (verdict != DELIVERY_FAILED)
        return verdict;
    if (view_is(code, "ExpiredToken") || view_is(code, "InvalidClientTokenId")) {
        bool had = state->own.text || state->role.text;
        given_free(&state->own);
        given_free(&state->role);
        return had ? DELIVERY_RETRY : verdict;
    }
    return view_has_prefix(code, VIEW("Throttl")) || view_is(code, "RequestThrottled")
               ? DELIVERY_RETRY
               : verdict;
}

static const char *const ASKED[] = {
    [ASK_TOKEN] = "token of the instance's metadata service",
    [ASK_ROLE_NAME] = "role of the instance",
    [ASK_KEYS] = "credentials",
    [ASK_IDENTITY] = "AssumeRoleWithWebIdentity",
    [ASK_ROLE] = "AssumeRole",
};

static enum delivery_verdict take(struct delivery *d, const struct delivery_answer *a,
                                  struct error *err)
{
    static const char PATH[] = "/latest/meta-data/iam/security-credentials/";
    struct sns_state *state = d->integration->state;
    struct exchange *x = d->exchange;
    struct view text = delivery_trim(a->body);
    bool ok = true;
    switch (x->asked) {
    case ASK_TOKEN:
        x->metadata_token = arena_copy(d->arena, text);
        x->asked = ASK_ROLE_NAME;
        ask_metadata(d, "GET", VIEW(PATH));
        return DELIVERY_MORE;
    case ASK_ROLE_NAME:
        x->asked = ASK_KEYS;
        ask_metadata(d, "GET", arena_printf(d->arena, "%s%.*s", PATH, VIEW_ARGS(text)));
        return DELIVERY_MORE;
    case ASK_KEYS:
        ok = given_take_json(d, &state->own, text, err);
        break;
    case ASK_IDENTITY:
        ok = given_take_xml(d, &state->own, text, err);
        break;
    case ASK_ROLE:
        ok = given_take_xml(d, &state->role, text, err);
        break;
    default:
        return DELIVERY_SENT;
    }
    return ok ? advance(d, err) : a->is_cut ? DELIVERY_RETRY : DELIVERY_FAILED;
}

static enum delivery_verdict sns_answer(struct delivery *d, const struct delivery_answer *a,
                                        struct error *err)
{
    struct exchange *x = d->exchange;
    enum delivery_verdict verdict = judge(d, a, err);
    if (verdict == DELIVERY_SENT && x->asked == ASK_PUBLISH)
        return verdict;
    enum asked asked = x->asked;
    if (verdict == DELIVERY_SENT)
        verdict = take(d, a, err);
    if ((verdict == DELIVERY_FAILED || verdict == DELIVERY_RETRY) && asked == x->asked &&
        asked != ASK_PUBLISH)
        error_wrap(err, "%s", ASKED[asked]);
    return verdict;
}

const struct delivery_driver delivery_sns = {.kind = "sns",
                                             .state_bytes = sizeof(struct sns_state),
                                             .state_deinit = sns_state_deinit,
                                             .begin = sns_begin,
                                             .answer = sns_answer};
