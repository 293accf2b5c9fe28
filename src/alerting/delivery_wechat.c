/* SPDX-License-Identifier: Apache-2.0 */
/* delivery_wechat.c: messages of an app in WeCom (developer.work.weixin.qq.com/document/path/90236). The app's secret buys a token
 * (gettoken), which is kept until it expires or is refused; then another one is fetched, once an attempt. All answers
 * are 200; "errcode" says what is wrong. */
#include "alerting/delivery_chat.h"

#include "base/mem.h"

enum {
    CONTENT_BYTES = 2048, /* more is cut or refused */
    TOKEN_BYTES_MAX = 512,
    TOKEN_SECONDS = 7200, /* where expires_in is missing */
    TOKEN_EARLY_SECONDS = 60
};

struct wechat_state {
    char token[TOKEN_BYTES_MAX];
    size_t token_bytes; /* 0: none */
    int64_t expires_ns;
};

struct wechat_exchange {
    struct view body;
    bool asks_token, token_is_new;
};

static enum delivery_verdict ask_token(struct delivery *d, struct error *err)
{
    const struct wechat_receiver *r = d->integration->settings;
    struct wechat_exchange *x = d->exchange;
    struct secret secret;
    struct view corp_id, query;
    struct buffer b;
    if (!delivery_secret(d, &r->api_secret, r->api_secret_file, &secret, err))
        return DELIVERY_RETRY;
    if (!delivery_text_strict(d, r->corp_id, &corp_id, err)) {
        error_wrap(err, "corp_id");
        return DELIVERY_FAILED;
    }
    delivery_form_init(&b);
    delivery_form_add(&b, "corpid", corp_id);
    delivery_form_add(&b, "corpsecret", secret_reveal(&secret));
    if (!delivery_form_take(d, &b, &query, err))
        return DELIVERY_FAILED;
    x->asks_token = true;
    d->request.method = "GET";
    d->request.url = delivery_url(d, r->api_url, VIEW("gettoken"), query);
    return DELIVERY_MORE;
}

static enum delivery_verdict send_message(struct delivery *d, struct error *err)
{
    const struct wechat_receiver *r = d->integration->settings;
    const struct wechat_state *s = d->integration->state;
    struct wechat_exchange *x = d->exchange;
    struct view query;
    struct buffer b;
    delivery_form_init(&b);
    delivery_form_add(&b, "access_token", (struct view){s->token, s->token_bytes});
    if (!delivery_form_take(d, &b, &query, err))
        return DELIVERY_FAILED;
    x->asks_token = false;
    delivery_json(d, delivery_url(d, r->api_url, VIEW("message/send"), query), x->body);
    return DELIVERY_MORE;
}

static bool compose(struct delivery *d, struct view *body, struct error *err)
{
    const struct wechat_receiver *r = d->integration->settings;
    bool is_markdown = view_is(r->message_type, "markdown"), is_cut;
    struct view content =
        delivery_cut_bytes(d, delivery_text(d, r->message), CONTENT_BYTES, &is_cut);
    struct json_body j;
    json_body_init(&j);
    json_body_open(&j, NULL, '{');
    json_body_open(&j, "text", '{');
    json_body_text(&j, "content", is_markdown ? VIEW("") : content);
    json_body_close(&j, '}');
    chat_put_setting(d, &j, "touser", r->to_user);
    chat_put_setting(d, &j, "toparty", r->to_party);
    chat_put_setting(d, &j, "totag", r->to_tag);
    chat_put_setting(d, &j, "agentid", r->agent_id);
    json_body_text(&j, "safe", VIEW("0"));
    json_body_text(&j, "msgtype", r->message_type);
    json_body_open(&j, "markdown", '{');
    json_body_text(&j, "content", is_markdown ? content : VIEW(""));
    json_body_close(&j, '}');
    json_body_close(&j, '}');
    return json_body_take(&j, d->arena, body, err);
}

static enum delivery_verdict wechat_begin(struct delivery *d, struct error *err)
{
    const struct wechat_state *s = d->integration->state;
    struct wechat_exchange *x = ARENA_NEW(d->arena, struct wechat_exchange);
    d->exchange = x;
    if (!compose(d, &x->body, err))
        return DELIVERY_FAILED;
    return s->token_bytes && d->now_ns < s->expires_ns ? send_message(d, err) : ask_token(d, err);
}

static enum delivery_verdict take_token(struct delivery *d, const json_t *root, struct error *err)
{
    const struct wechat_receiver *r = d->integration->settings;
    struct wechat_state *s = d->integration->state;
    struct wechat_exchange *x = d->exchange;
    struct view token = chat_member(root, "access_token");
    const json_t *life = json_object_get(root, "expires_in");
    json_int_t seconds = json_is_integer(life) ? json_integer_value(life) : TOKEN_SECONDS;
    if (token.len == 0 || token.len > sizeof s->token) {
        error_set(err, ERROR_INPUT,
                  "no token for corp_id \"%.*s\": %.*s (%" JSON_INTEGER_FORMAT ")",
                  VIEW_ARGS(view_slice(r->corp_id, 0, 100)),
                  VIEW_ARGS(view_slice(chat_member(root, "errmsg"), 0, 200)),
                  json_integer_value(json_object_get(root, "errcode")));
        return json_integer_value(json_object_get(root, "errcode")) == -1 ? DELIVERY_RETRY
                                                                          : DELIVERY_FAILED;
    }
    if (seconds < 0 || seconds > TOKEN_SECONDS)
        seconds = TOKEN_SECONDS;
    memcpy(s->token, token.ptr, token.len);
    s->token_bytes = token.len;
    s->expires_ns = d->now_ns + (seconds - TOKEN_EARLY_SECONDS) * INT64_C(1000000000);
    x->token_is_new = true;
    return send_message(d, err);
}

/* The token is unknown, expired or missing. */
static bool is_about_token(json_int_t code)
{
    return code == 40014 || code == 42001 || code == 41001 || code == 40001;
}

/* Busy, and the limits of how often: by interface, by app, by receiver. */
static bool is_passing(json_int_t code)
{
    return code == -1 || code == 45009 || code == 45033 || code == 50001;
}

static enum delivery_verdict judge_message(struct delivery *d, const json_t *root,
                                           struct error *err)
{
    struct wechat_state *s = d->integration->state;
    const struct wechat_exchange *x = d->exchange;
    const json_t *code_of = json_object_get(root, "errcode");
    json_int_t code = json_integer_value(code_of);
    if (json_is_integer(code_of) && code == 0)
        return DELIVERY_SENT;
    if (is_about_token(code)) {
        s->token_bytes = 0;
        if (!x->token_is_new)
            return ask_token(d, err);
    }
    error_set(err, ERROR_INPUT, "error response from WeChat: %.*s (%" JSON_INTEGER_FORMAT ")",
              VIEW_ARGS(view_slice(chat_member(root, "errmsg"), 0, 300)), code);
    return is_about_token(code) || is_passing(code) || !code_of ? DELIVERY_RETRY : DELIVERY_FAILED;
}

static enum delivery_verdict wechat_answer(struct delivery *d, const struct delivery_answer *a,
                                           struct error *err)
{
    const struct wechat_exchange *x = d->exchange;
    enum delivery_verdict v = delivery_judge(a, NULL, err);
    if (v != DELIVERY_SENT)
        return DELIVERY_RETRY; /* what is wrong with the request is said with 200 */
    json_t *root = chat_read_object(a, "WeChat", err);
    if (!root) {
        if (x->asks_token) /* what was quoted may be half of a token */
            error_set(err, ERROR_INPUT, "WeChat's answer with a token cannot be read");
        return DELIVERY_RETRY;
    }
    v = x->asks_token ? take_token(d, root, err) : judge_message(d, root, err);
    json_decref(root);
    return v;
}

static void wechat_state_deinit(void *state)
{
    explicit_bzero(state, sizeof(struct wechat_state));
}

const struct delivery_driver delivery_wechat = {.kind = "wechat",
                                                .state_bytes = sizeof(struct wechat_state),
                                                .state_deinit = wechat_state_deinit,
                                                .begin = wechat_begin,
                                                .answer = wechat_answer};
