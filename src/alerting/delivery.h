/* SPDX-License-Identifier: Apache-2.0 */
/* delivery.h: one notification on its way to one integration (an item of a receiver's KIND_configs), between the sender, which
 * owns time, connections and retries, and the driver of the kind, which knows what the service wants to hear.
 *
 * A driver composes requests and judges answers; it never waits, connects or logs:
 *
 *   begin(d)      -> DELIVERY_MORE: d->request is the first request; or an end
 *   answer(d, a)  -> DELIVERY_MORE: d->request is the next one of the exchange; or an end
 *
 * All of a delivery's calls come on the sender's thread; texts live in d->arena until it ends. A retry begins anew, with
 * begin() and an empty arena. */
#ifndef BELFRY_ALERTING_DELIVERY_H
#define BELFRY_ALERTING_DELIVERY_H

#include "alerting/live_alert.h"
#include "alerting/receivers.h"
#include "base/arena.h"
#include "base/attributes.h"
#include "base/buffer.h"
#include "base/error.h"
#include "base/redaction.h"
#include "base/secret.h"
#include "base/view.h"
#include "template/notification.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
    DELIVERY_ANSWER_BYTES_MAX = 1 << 20, /* of an answer's body; the rest is not read */
    DELIVERY_REQUEST_BYTES_MAX = 16 << 20,
    DELIVERY_EXCHANGE_MAX = 16 /* requests of one attempt */
};

enum delivery_verdict {
    DELIVERY_MORE, /* d->request is to be sent */
    DELIVERY_SENT,
    DELIVERY_RETRY,  /* err says why; again after a pause, until the delivery's deadline */
    DELIVERY_FAILED, /* err says why; trying again would not help */
};

/* What stands in a mail beside its envelope is composed by the driver, too: `message` is the whole of it, CRLF. */
struct delivery_mail {
    struct view host, port, hello;
    bool implicit_tls, require_tls;
    const struct config_tls *tls;
    struct view username, identity;
    struct secret password, cram_secret; /* not set: none */
    struct view from;
    const struct view *to;
    size_t to_count;
};

/* Begins as zeros before each call of the driver. */
struct delivery_request {
    const char *method; /* NULL: POST */
    struct view
        url; /* may hold secrets: is never shown, but for scheme and host where they are no secret */
    bool url_is_shown;          /* it holds none but its user and password */
    const struct view *headers; /* "Name: value" */
    size_t header_count;
    struct view body;                 /* of a mail: the whole message */
    const struct delivery_mail *mail; /* NULL: HTTP */
    int64_t timeout_ms;               /* 0: until the delivery's deadline */
    bool
        host_is_templated; /* the text of an alert may have chosen the host: public addresses only */
};

struct delivery_answer {
    long status;         /* of HTTP, or SMTP's reply */
    struct view headers; /* "Name: value\r\n" ... */
    struct view body;
    bool is_cut; /* there was more of the body */
};

struct integration;

/* What a notification is made of; borrowed while the delivery lives. */
struct delivery_source {
    struct live_alert *const *alerts; /* in the order of the notification */
    size_t alert_count;
    struct labels group_labels;
    struct labels route_labels; /* not expanded: templates */
    struct view group_key;
    struct view reason; /* of templates' .NotificationReason */
    struct notification_kv recalled;
    int64_t now_ns;
};

struct delivery {
    struct arena *arena;
    const struct integration *integration;
    const struct notification *data; /* what templates see */
    struct live_alert *const *
        alerts; /* as many as data->alerts, in that order; ends_ns is LIVE_ALERT_NEVER while one fires */
    size_t alert_count, firing_count;
    struct view group_key; /* Alertmanager's text: {}/{severity="page"}:{alertname="Down"} */
    int64_t now_ns;
    struct delivery_request request; /* the driver's to fill */
    unsigned
        step; /* answers that there were: 0 in begin(); the driver's own state goes on from it */
    void *exchange;          /* the driver's, in the arena, for one attempt */
    bool has_template_error; /* an error stands where a text should */
    int64_t
        retry_after_ms; /* with DELIVERY_RETRY: what the answer's body asks to wait; 0: as the header Retry-After says */
    /* What was remembered when this group was last sent to this integration, and is now: NAME=VALUE pairs kept in the
     * notification log (Slack's ts of a message that is to be updated). */
    struct notification_kv recalled, remembered;
    const struct template_value *value; /* of data, once a template wanted it: delivery_text.c's */
    struct redaction *
        secrets; /* borrowed; gets what drivers read and send of secrets. NULL: nobody wants to know */
};

struct delivery_driver {
    const char *kind; /* "webhook": of KIND_configs */
    size_t
        state_bytes; /* of integration->state, zeros at first: tokens and the like; lives until the configuration goes */
    void (*state_deinit)(void *state); /* NULL: nothing to free */
    enum delivery_verdict (*begin)(struct delivery *d, struct error *err);
    enum delivery_verdict (*answer)(struct delivery *d, const struct delivery_answer *a,
                                    struct error *err);
};
#define X(kind, type) extern const struct delivery_driver delivery_##kind;
RECEIVER_KINDS(X)
#undef X

/* A place where notifications go. Immutable but for `state`, which belongs to the sender's thread. */
struct integration {
    const struct delivery_driver *driver;
    const struct receiver *receiver;
    const void *settings; /* struct KIND_receiver */
    const struct receiver_common *common;
    size_t index; /* among those of its kind in the receiver */
    void *state;
    struct integrations *set;
};

/* All integrations of a configuration, with its templates. */
struct integrations;

/* delivery.c: makes *d, for its first attempt or anew for another one, in the arena. */
void delivery_init(struct delivery *d, struct arena *arena, const struct integration *integration,
                   const struct delivery_source *source);

/* --- for drivers: delivery.c, delivery_text.c --- */

/* From now on there are no alerts in *d but the first ones (max_alerts; 0: all stay), and data is of these. How many went. */
size_t delivery_limit_alerts(struct delivery *d, uint64_t alerts_max);

/* The text of a template. An error in it loses nothing: the text says what failed and d->has_template_error is set. */
struct view delivery_text(struct delivery *d, struct view template);
/* The same where a wrong text is worse than none (a URL, a routing key): ERROR_EXECUTION. */
MUST_USE bool delivery_text_strict(struct delivery *d, struct view template, struct view *out,
                                   struct error *err);
/* With html/template's escaping, for mail. */
struct view delivery_html(struct delivery *d, struct view template);
/* A secret, or the text of the file that holds it, without blanks around it. ERROR_IO. */
MUST_USE bool delivery_secret(struct delivery *d, const struct secret *inline_secret,
                              struct view file, struct secret *out, struct error *err);
/* The same of one that may be a template: its text. ERROR_IO, ERROR_EXECUTION. */
MUST_USE bool delivery_secret_text(struct delivery *d, const struct secret *inline_secret,
                                   struct view file, struct view *out, struct error *err);
/* Appends a node of the configuration as JSON: its texts and keys are templates, and what a text gives is what YAML makes of
 * that: 1 a number, "[a, b]" a list. What NULL is written for is null. ERROR_EXECUTION. */
MUST_USE bool delivery_json_node(struct delivery *d, const struct yaml_node *node,
                                 struct buffer *out, struct error *err);
/* `{"receiver": ...}`: the notification as templates' toJson writes it. ERROR_EXECUTION, ERROR_LIMIT. */
MUST_USE bool delivery_json_data(struct delivery *d, struct view *out, struct error *err);
/* The first `runes` code points with "…" in place of the last when something was cut, as Alertmanager cuts; bytes likewise. */
struct view delivery_cut_runes(struct delivery *d, struct view text, size_t runes, bool *is_cut);
struct view delivery_cut_bytes(struct delivery *d, struct view text, size_t bytes, bool *is_cut);
/* Sets a JSON request: Content-Type, body; the URL as given. */
void delivery_json(struct delivery *d, struct view url, struct view body);
/* Adds "NAME: VALUE" to the request; what cannot stand in a header (line feeds) becomes blanks. */
void delivery_header(struct delivery *d, const char *name, struct view value);
/* The verdict on a status as Alertmanager's retrier: 2xx sent; 429, 5xx and those of `retry` (ended by 0; may be NULL) retry; else
 * failed. The sentence has the status and the body's beginning, which may quote what was sent: the sender redacts it. */
enum delivery_verdict delivery_judge(const struct delivery_answer *a, const long *retry,
                                     struct error *err);
/* SHA-256 in hexadecimal of the group key: PagerDuty's dedup_key, OpsGenie's alias. */
struct view delivery_key_hash(struct delivery *d);
void delivery_remember(struct delivery *d, struct view name, struct view value);
struct view delivery_recall(const struct delivery *d, struct view name);

#endif
