/* SPDX-License-Identifier: Apache-2.0 */
/* delivery_email.c: email_configs: a mail of multipart/alternative, as RFC 5322, 2045 to 2047 have it.
 *
 *   Subject: ... From: ... To: ...        as configured; texts beyond ASCII as encoded words
 *   Message-Id, Date, MIME-Version        References and In-Reply-To of the group's thread where threading is on
 *   --boundary  text/plain  quoted-printable
 *   --boundary  text/html   quoted-printable
 *
 * Nothing that an alert says can begin a header: line ends in a header's text become blanks. */
#include "alerting/delivery.h"

#include "alerting/mail_text.h"
#include "base/random.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum { RECIPIENTS_MAX = 1000, HOST_NAME_BYTES = 256, ALERTS_SHOWN = 1000 };

static const struct view SUBJECT_DEFAULT = VIEW_INIT("{{ template \"email.default.subject\" . }}");

/* --- headers --- */

static bool has_header(const struct email_receiver *r, const char *name)
{
    for (size_t i = 0; i < r->headers.count; i++)
        if (view_is(r->headers.items[i].name, name))
            return true;
    return false;
}

static void add_header(struct delivery *d, struct buffer *out, struct view name,
                       struct view template)
{
    buffer_append_view(out, name);
    buffer_append_literal(out, ": ");
    mail_text_header(out, name.len + 2, delivery_text(d, template));
    buffer_append_literal(out, "\r\n");
}

static void add_message_id(struct delivery *d, struct buffer *out)
{
    char host[HOST_NAME_BYTES];
    uint64_t random;
    random_secret(&random, sizeof random);
    if (gethostname(host, sizeof host) != 0 || host[0] == '\0')
        (void)snprintf(host, sizeof host, "localhost.localdomain");
    host[sizeof host - 1] = '\0';
    buffer_printf(out, "Message-Id: <%" PRId64 ".%" PRIu64 "@%s>\r\n", d->now_ns, random, host);
}

/* The mails of a group answer a mail that was never sent, by which programs put them in one thread; daily: one for each day. */
static void add_thread(struct delivery *d, const struct email_receiver *r, struct buffer *out)
{
    char day[16] = "";
    time_t now = (time_t)(d->now_ns / 1000000000);
    struct tm tm;
    struct view hash = view_slice(delivery_key_hash(d), 0, 16);
    if (!r->threading_enabled)
        return;
    if (!view_is(r->thread_by_date, "none") && localtime_r(&now, &tm))
        (void)strftime(day, sizeof day, "%Y-%m-%d", &tm);
    buffer_printf(out,
                  "References: <alert-%.*s-%s@alertmanager>\r\n"
                  "In-Reply-To: <alert-%.*s-%s@alertmanager>\r\n",
                  VIEW_ARGS(hash), day, VIEW_ARGS(hash), day);
}

static void add_date(struct delivery *d, struct buffer *out)
{
    static const char *const DAYS[] = {"Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"};
    static const char *const MONTHS[] = {"Jan", "Feb", "Mar", "Apr", "May", "Jun",
                                         "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};
    time_t now = (time_t)(d->now_ns / 1000000000);
    struct tm tm = {0};
    (void)localtime_r(&now, &tm); /* fails for years beyond an int only */
    long minutes = tm.tm_gmtoff / 60, size = minutes < 0 ? -minutes : minutes;
    buffer_printf(out, "Date: %s, %02d %s %d %02d:%02d:%02d %c%02ld%02ld\r\n", DAYS[tm.tm_wday],
                  tm.tm_mday, MONTHS[tm.tm_mon], tm.tm_year + 1900, tm.tm_hour, tm.tm_min,
                  tm.tm_sec, minutes < 0 ? '-' : '+', size / 60, size % 60);
}

static void add_headers(struct delivery *d, const struct email_receiver *r, struct buffer *out)
{
    for (size_t i = 0; i < r->headers.count; i++)
        add_header(d, out, r->headers.items[i].name, r->headers.items[i].value);
    if (!has_header(r, "Subject"))
        add_header(d, out, VIEW("Subject"), SUBJECT_DEFAULT);
    if (!has_header(r, "To"))
        add_header(d, out, VIEW("To"), r->to);
    if (!has_header(r, "From"))
        add_header(d, out, VIEW("From"), r->from);
    if (!has_header(r, "Message-Id"))
        add_message_id(d, out);
    add_thread(d, r, out);
    if (!has_header(r, "Date"))
        add_date(d, out);
}

/* --- the body --- */

static void add_part(struct buffer *out, const char *boundary, const char *type, struct view text)
{
    buffer_printf(out,
                  "--%s\r\nContent-Transfer-Encoding: quoted-printable\r\n"
                  "Content-Type: %s; charset=UTF-8\r\n\r\n",
                  boundary, type);
    mail_text_quoted_printable(out, text);
    buffer_append_literal(out, "\r\n");
}

/* Of more alerts than a mail can hold the first are told of; the subject has counted all. */
static struct view part_text(struct delivery *d, struct view template,
                             struct view (*expand)(struct delivery *, struct view))
{
    bool had_error = d->has_template_error;
    struct view text = expand(d, template);
    if (!d->has_template_error || had_error || delivery_limit_alerts(d, ALERTS_SHOWN) == 0)
        return text;
    d->has_template_error = false;
    return expand(d, template);
}

static void compose(struct delivery *d, const struct email_receiver *r, struct buffer *out)
{
    uint8_t random[16];
    char boundary[2 * sizeof random + 1];
    random_secret(random, sizeof random);
    for (size_t i = 0; i < sizeof random; i++)
        (void)snprintf(boundary + 2 * i, 3, "%02x", random[i]);
    add_headers(d, r, out);
    buffer_printf(out,
                  "Content-Type: multipart/alternative; boundary=%s\r\nMIME-Version: 1.0\r\n\r\n",
                  boundary);
    if (r->text.len)
        add_part(out, boundary, "text/plain", part_text(d, r->text, delivery_text));
    if (r->html.len) /* what is preferred stands last: RFC 2046, 5.1.4 */
        add_part(out, boundary, "text/html", part_text(d, r->html, delivery_html));
    buffer_printf(out, "--%s--\r\n", boundary);
}

/* --- the envelope --- */

static bool addresses(struct delivery *d, struct view template, const char *what,
                      struct mail_addresses *out, struct error *err)
{
    struct view text;
    out->items = ARENA_ARRAY(d->arena, struct view, RECIPIENTS_MAX);
    out->capacity = RECIPIENTS_MAX;
    out->count = 0;
    return (delivery_text_strict(d, template, &text, err) ||
            error_wrap(err, "execute '%s' template", what)) &&
           (mail_text_addresses(d->arena, text, out, err) ||
            error_wrap(err, "parse '%s' addresses", what));
}

static bool envelope(struct delivery *d, const struct email_receiver *r, struct delivery_mail *m,
                     struct error *err)
{
    struct mail_addresses from, to;
    struct view host = r->smarthost;
    const char *colon = memrchr(host.ptr, ':', host.len); /* it was checked to have one */
    size_t at = colon ? (size_t)(colon - host.ptr) : host.len;
    m->host = view_slice(host, 0, at);
    m->port = view_slice(host, at + 1, host.len);
    m->hello = r->hello.len ? r->hello : VIEW("localhost");
    m->implicit_tls = r->force_implicit_tls < 0 ? view_is(m->port, "465") : r->force_implicit_tls;
    m->require_tls = r->require_tls == 1 && !m->implicit_tls;
    m->tls = r->tls_config;
    m->username = r->auth_username;
    m->identity = r->auth_identity;
    if (!delivery_secret(d, &r->auth_password, r->auth_password_file, &m->password, err) ||
        !delivery_secret(d, &r->auth_secret, r->auth_secret_file, &m->cram_secret, err) ||
        !addresses(d, r->from, "from", &from, err) || !addresses(d, r->to, "to", &to, err))
        return false;
    if (from.count != 1)
        return error_set(err, ERROR_EXECUTION, "must be exactly one 'from' address (got: %zu)",
                         from.count);
    m->from = from.items[0];
    m->to = to.items;
    m->to_count = to.count;
    return true;
}

static enum delivery_verdict email_begin(struct delivery *d, struct error *err)
{
    const struct email_receiver *r = d->integration->settings;
    struct delivery_mail *m = ARENA_NEW(d->arena, struct delivery_mail);
    struct buffer message;
    if (!envelope(d, r, m, err))
        return err->kind == ERROR_IO ? DELIVERY_RETRY : DELIVERY_FAILED;
    buffer_init(&message, MEM_ALERTING, DELIVERY_REQUEST_BYTES_MAX);
    compose(d, r, &message);
    bool ok = !message.failed;
    if (ok)
        d->request.body = arena_copy(d->arena, buffer_view(&message));
    buffer_deinit(&message);
    d->request.mail = m;
    if (!ok) {
        error_set(err, ERROR_TOO_LARGE, "the mail has more than %d bytes",
                  DELIVERY_REQUEST_BYTES_MAX);
        return DELIVERY_FAILED;
    }
    return DELIVERY_MORE;
}

/* What fails before the last answer is the transport's, and tried again. */
static enum delivery_verdict email_answer(struct delivery *d, const struct delivery_answer *a,
                                          struct error *err)
{
    if (a->status >= 200 && a->status <= 299)
        return DELIVERY_SENT;
    error_set(err, ERROR_UNAVAILABLE, "the mail server answered %ld", a->status);
    return DELIVERY_RETRY;
}

const struct delivery_driver delivery_email = {
    .kind = "email", .begin = email_begin, .answer = email_answer};
