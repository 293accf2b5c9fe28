/* SPDX-License-Identifier: Apache-2.0 */
/* driver_email_test.c: the mail: its envelope, headers, parts and threads, and that nothing an alert says becomes a header. */
#include "driver_fixture.h"

#include "alerting/mail_text.h"
#include "base/attributes.h"
#include "base/mem.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define MAIL "email_configs: [{to: 'ops@x.example', from: 'am@x.example', smarthost: 'mail.x:587'"

/* Headers without those that are random; the boundary as "B". */
static const char *message_of(struct driver_fixture *f)
{
    static char text[1 << 16];
    struct view body = f->d.request.body;
    const char *at = strstr(body.ptr, "boundary=") + 9, *from = body.ptr;
    char boundary[64];
    size_t len = 0;
    (void)snprintf(boundary, sizeof boundary, "%.*s", (int)strcspn(at, "\r"), at);
    while (from < body.ptr + body.len) {
        size_t line = strcspn(from, "\n") + 1, blank = strlen(boundary);
        const char *found = memmem(from, line, boundary, blank);
        if (strncmp(from, "Message-Id: <1700000100000000000.", 33) == 0)
            ; /* random */
        else if (found)
            len +=
                (size_t)snprintf(text + len, sizeof text - len, "%.*sB%.*s", (int)(found - from),
                                 from, (int)(line - (size_t)(found - from) - blank), found + blank);
        else
            len += (size_t)snprintf(text + len, sizeof text - len, "%.*s", (int)line, from);
        from += line;
    }
    return text;
}

static void begin(struct driver_fixture *f, const char *receiver, const char *summary)
{
    char annotations[300];
    struct error err = {0};
    (void)snprintf(annotations, sizeof annotations, "{summary=\"%s\"}", summary);
    const struct driver_case c = {
        .name = "mail", .receiver = receiver, .alerts = {{"{alertname=\"Down\"}", annotations}}};
    driver_fixture_init(f, &c);
    if (driver_fixture_begin(f, 0, &err) != DELIVERY_MORE)
        fail_msg("%s: %s", receiver, err.message);
    assert_non_null(f->d.request.mail);
}

static void mails_are_laid_out(void **state)
{
    static const struct {
        const char *receiver, *summary, *message;
    } CASES[] = {
        {MAIL ", text: 'a={{ .CommonAnnotations.summary }}', html: '<p>{{ "
              ".CommonAnnotations.summary }}</p>'}]",
         "<b> \xc3\xa4",
         "Subject: [FIRING:1] Down \r\nTo: ops@x.example\r\nFrom: am@x.example\r\n"
         "Date: Tue, 14 Nov 2023 22:15:00 +0000\r\n"
         "Content-Type: multipart/alternative; boundary=B\r\nMIME-Version: 1.0\r\n\r\n"
         "--B\r\nContent-Transfer-Encoding: quoted-printable\r\n"
         "Content-Type: text/plain; charset=UTF-8\r\n\r\na=3D<b> =C3=A4\r\n"
         "--B\r\nContent-Transfer-Encoding: quoted-printable\r\n"
         "Content-Type: text/html; charset=UTF-8\r\n\r\n<p>&lt;b&gt; =C3=A4</p>\r\n--B--\r\n"},
        {MAIL ", html: '', headers: {subject: 'x {{ .CommonAnnotations.summary }}', reply-to: "
              "r@x, message-id: '<m@x>'}, threading: {enabled: true, thread_by_date: daily}}]",
         "a\\nBcc: evil@x\\r\\n\\r\\nbody",
         "Message-Id: <m@x>\r\nReply-To: r@x\r\nSubject: x a Bcc: evil@x    body\r\n"
         "To: ops@x.example\r\nFrom: am@x.example\r\n"
         "References: <alert-af94c9e8f6a30436-2023-11-14@alertmanager>\r\n"
         "In-Reply-To: <alert-af94c9e8f6a30436-2023-11-14@alertmanager>\r\n"
         "Date: Tue, 14 Nov 2023 22:15:00 +0000\r\n"
         "Content-Type: multipart/alternative; boundary=B\r\nMIME-Version: 1.0\r\n\r\n--B--\r\n"},
    };
    for (size_t i = 0; i < ARRAY_COUNT(CASES); i++) {
        struct driver_fixture f;
        begin(&f, CASES[i].receiver, CASES[i].summary);
        const char *message = message_of(&f);
        if (strcmp(message, CASES[i].message) != 0)
            fail_msg("%zu:\n%s\nexpected\n%s", i, message, CASES[i].message);
        driver_fixture_deinit(&f);
    }
}

static void threads_may_be_of_all_days(void **state)
{
    struct driver_fixture f;
    begin(&f, MAIL ", threading: {enabled: true, thread_by_date: none}}]", "x");
    assert_non_null(strstr(f.d.request.body.ptr, "-@alertmanager>\r\n"));
    driver_fixture_deinit(&f);
}

static void envelopes(void **state)
{
    static const struct {
        const char *receiver, *host, *port, *hello, *to;
        bool implicit_tls, require_tls;
    } CASES[] = {
        {MAIL "}]", "mail.x", "587", "localhost", "ops@x.example", false, true},
        {"email_configs: [{to: '\"Ops, all\" <a@x> (day), b@y,, Team: c@z;', from: 'Am <am@x>', "
         "smarthost: '[::1]:465', hello: me.example}]",
         "[::1]", "465", "me.example", "a@x b@y c@z", true, false},
        {"email_configs: [{to: '{{ .CommonLabels.alertname }}@x', from: am@x, smarthost: 'm:465', "
         "force_implicit_tls: false, require_tls: false}]",
         "m", "465", "localhost", "Down@x", false, false},
        {"email_configs: [{to: a@x, from: am@x, smarthost: 'm:25', force_implicit_tls: true}]", "m",
         "25", "localhost", "a@x", true, false},
    };
    for (size_t i = 0; i < ARRAY_COUNT(CASES); i++) {
        struct driver_fixture f;
        char to[200] = "";
        begin(&f, CASES[i].receiver, "x");
        const struct delivery_mail *m = f.d.request.mail;
        for (size_t t = 0; t < m->to_count; t++)
            (void)snprintf(to + strlen(to), sizeof to - strlen(to), "%s%.*s", t ? " " : "",
                           VIEW_ARGS(m->to[t]));
        assert_string_equal(to, CASES[i].to);
        assert_true(view_is(m->host, CASES[i].host) && view_is(m->port, CASES[i].port));
        assert_true(view_is(m->hello, CASES[i].hello));
        assert_int_equal(m->implicit_tls, CASES[i].implicit_tls);
        assert_int_equal(m->require_tls, CASES[i].require_tls);
        driver_fixture_deinit(&f);
    }
}

/* More alerts than a mail can hold: the first are told of, the subject counts all. */
static void a_mail_holds_what_it_can(void **state)
{
    enum { COUNT = 3000, SUMMARY_BYTES = 8000 };
    struct driver_fixture f;
    struct error err = {0};
    char *annotations = mem_alloc(MEM_OTHER, SUMMARY_BYTES + 100);
    struct live_alert **many = mem_alloc(MEM_OTHER, COUNT * sizeof(struct live_alert *));
    (void)snprintf(annotations, SUMMARY_BYTES + 100, "{summary=\"%0*d\"}", SUMMARY_BYTES, 1);
    const struct driver_case c = {
        .name = "many", .receiver = MAIL "}]", .alerts = {{"{alertname=\"Down\"}", annotations}}};
    driver_fixture_init(&f, &c);
    for (size_t i = 0; i < COUNT; i++)
        many[i] = f.alerts[0];
    f.source.alerts = many;
    f.source.alert_count = COUNT;
    assert_int_equal(driver_fixture_begin(&f, 0, &err), DELIVERY_MORE);
    assert_false(f.d.has_template_error);
    assert_int_equal(f.d.alert_count, 1000);
    assert_true(f.d.request.body.len > 1000 * SUMMARY_BYTES);
    assert_true(view_has_prefix(f.d.request.body, VIEW("Subject: [FIRING:3000] Down")));
    f.source.alert_count = 1;
    driver_fixture_deinit(&f);
    mem_free(MEM_OTHER, many);
    mem_free(MEM_OTHER, annotations);
}

static const struct driver_case FAILURES[] = {
    {.name = "from two",
     .receiver = "email_configs: [{to: a@x, from: 'a@x, b@x', smarthost: 'm:25'}]",
     .verdict = DELIVERY_FAILED,
     .error = "must be exactly one 'from' address (got: 2)"},
    {.name = "no address",
     .receiver = "email_configs: [{to: '{{ .CommonLabels.none }}', from: a@x, smarthost: 'm:25'}]",
     .verdict = DELIVERY_FAILED,
     .error = "parse 'to' addresses: mail: no address"},
    {.name = "not an address",
     .receiver = "email_configs: [{to: nobody, from: a@x, smarthost: 'm:25'}]",
     .verdict = DELIVERY_FAILED,
     .error = "an address like name@host was expected"},
    {.name = "an alert that adds a command",
     .receiver = "email_configs: [{to: '{{ .CommonAnnotations.to }}', from: a@x, smarthost: "
                 "'m:25'}]",
     .alerts = {{"{alertname=\"Down\"}", "{to=\"<a@x>\\r\\nRCPT TO:<evil@x>\"}"}},
     .verdict = DELIVERY_FAILED,
     .error = "parse 'to' addresses"},
    {.name = "a bad template",
     .receiver = "email_configs: [{to: '{{ .Nothing }}@x', from: a@x, smarthost: 'm:25'}]",
     .verdict = DELIVERY_FAILED,
     .error = "execute 'to' template",
     .has_template_error = true},
    {.name = "a password's file that is not there may come",
     .receiver = "email_configs: [{to: a@x, from: a@x, smarthost: 'm:25', auth_username: u, "
                 "auth_password_file: /nonexistent}]",
     .verdict = DELIVERY_RETRY,
     .error = "/nonexistent"},
    {.name = "sent",
     .receiver = "email_configs: [{to: a@x, from: a@x, smarthost: 'm:25'}]",
     .steps = {{.status = 250}},
     .verdict = DELIVERY_SENT},
};

static void failures(void **state)
{
    driver_check(FAILURES, ARRAY_COUNT(FAILURES));
}

/* --- texts --- */

static void headers_are_encoded(void **state)
{
    static const struct {
        const char *in, *out;
    } CASES[] = {
        {"plain [FIRING:1] (a b)", "plain [FIRING:1] (a b)"},
        {"", ""},
        {"a\r\nb\tc", "a  b c"},
        {"\xc3\xa4", "=?utf-8?q?=C3=A4?="},
        {"a b\xc3\xa4_?", "=?utf-8?q?a_b=C3=A4=5F=3F?="},
        {"=?utf-8?q?x?=", "=?utf-8?q?=3D=3Futf-8=3Fq=3Fx=3F=3D?="},
        {"\xff\n", "=?utf-8?q?=EF=BF=BD_?="},
        {"\xe4\xb8\x96\xe7\x95\x8c\xe4\xb8\x96\xe7\x95\x8c\xe4\xb8\x96\xe7\x95\x8c\xe4\xb8\x96",
         "=?utf-8?q?=E4=B8=96=E7=95=8C=E4=B8=96=E7=95=8C=E4=B8=96=E7=95=8C?=\r\n "
         "=?utf-8?q?=E4=B8=96?="},
    };
    struct buffer out;
    buffer_init(&out, MEM_OTHER, 1 << 20);
    for (size_t i = 0; i < ARRAY_COUNT(CASES); i++) {
        buffer_reset(&out);
        mail_text_header(&out, 9, view_from(CASES[i].in));
        if (!view_is(buffer_view(&out), CASES[i].out))
            fail_msg("[%s]: [%.*s]", CASES[i].in, VIEW_ARGS(buffer_view(&out)));
    }
    /* A long one is on lines of at most 76, whatever it holds. */
    char text[2000];
    memset(text, 'x', sizeof text);
    buffer_reset(&out);
    mail_text_header(&out, 9, (struct view){text, sizeof text});
    for (const char *line = out.ptr, *end = out.ptr + out.len; line < end;) {
        const char *stop = memchr(line, '\n', (size_t)(end - line));
        size_t len = (size_t)((stop ? stop : end) - line);
        assert_true(len <= 77);
        line += len + 1;
    }
    buffer_deinit(&out);
}

static void quoted_printable(void **state)
{
    static const struct {
        const char *in, *out;
    } CASES[] = {
        {"a=b", "a=3Db"},
        {"a \nb\t\r\nc ", "a=20\r\nb=09\r\nc=20"},
        {"\xc3\xa4\r", "=C3=A4=0D"},
        {".\n..\n", ".\r\n..\r\n"},
        {"0123456789012345678901234567890123456789012345678901234567890123456789012345678",
         "012345678901234567890123456789012345678901234567890123456789012345678901234=\r\n5678"},
    };
    struct buffer out;
    buffer_init(&out, MEM_OTHER, 1 << 20);
    for (size_t i = 0; i < ARRAY_COUNT(CASES); i++) {
        buffer_reset(&out);
        mail_text_quoted_printable(&out, view_from(CASES[i].in));
        if (!view_is(buffer_view(&out), CASES[i].out))
            fail_msg("[%s]: [%.*s]", CASES[i].in, VIEW_ARGS(buffer_view(&out)));
    }
    buffer_deinit(&out);
}

static void addresses_are_read(void **state)
{
    static const struct {
        const char *in, *out; /* out: NULL: an error */
    } CASES[] = {
        {"a@b", "a@b"},
        {" a@b ,\n c@d ", "a@b c@d"},
        {"N <a@b>", "a@b"},
        {"\"x <y@z>, \\\" \" < a@b >", "a@b"},
        {"a@b (c (d) , e)", "a@b"},
        {"G: a@b, c@d;, e@f", "a@b c@d e@f"},
        {"\xc3\xa4@b", "\xc3\xa4@b"},
        {"", NULL},
        {",;", NULL},
        {"a", NULL},
        {"@b", NULL},
        {"a@", NULL},
        {"a@b c@d", NULL},
        {"a@@b", NULL},
        {"<a@b", NULL},
        {"<a@b> <c@d>", NULL},
        {"\"a", NULL},
        {"(a", NULL},
        {"a@b\\", NULL},
        {"<a@b\r\nRCPT>", NULL},
        {"\xff@b", NULL},
    };
    for (size_t i = 0; i < ARRAY_COUNT(CASES); i++) {
        struct arena arena;
        struct view items[4];
        struct mail_addresses list = {items, 0, ARRAY_COUNT(items)};
        struct error err;
        char got[200] = "";
        arena_init(&arena, MEM_OTHER, 0);
        bool ok = mail_text_addresses(&arena, view_from(CASES[i].in), &list, &err);
        for (size_t a = 0; a < list.count; a++)
            (void)snprintf(got + strlen(got), sizeof got - strlen(got), "%s%.*s", a ? " " : "",
                           VIEW_ARGS(list.items[a]));
        if (ok != (CASES[i].out != NULL) || (ok && strcmp(got, CASES[i].out) != 0))
            fail_msg("[%s]: %d [%s]", CASES[i].in, ok, got);
        arena_deinit(&arena);
    }
}

int main(void)
{
    (void)setenv("TZ", "UTC", 1);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(mails_are_laid_out), cmocka_unit_test(threads_may_be_of_all_days),
        cmocka_unit_test(envelopes),          cmocka_unit_test(a_mail_holds_what_it_can),
        cmocka_unit_test(failures),           cmocka_unit_test(headers_are_encoded),
        cmocka_unit_test(quoted_printable),   cmocka_unit_test(addresses_are_read),
    };
    return cmocka_run_group_tests_name("alerting/driver_email", tests, NULL, NULL);
}
