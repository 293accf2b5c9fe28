# SPDX-License-Identifier: Apache-2.0
"""Notifications as receivers get them: webhooks and mails sent by `belfry notify test` to servers of ours."""
import base64
import email
import email.policy
import hashlib
import hmac
import http.server
import json
import os
import socket
import ssl
import threading
import urllib.error
import urllib.request

from harness import BELFRY, Belfry, Process, folder, free_port, need, run, wait_for


class Hook(threading.Thread):
    """An HTTP server that keeps what it is sent; `answers` are (status, headers, body), the last one again and again."""

    def __init__(self, answers=((200, {}, b"ok"),)):
        super().__init__(daemon=True)
        self.requests = []
        answers = list(answers)
        outer = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_POST(self):
                body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
                outer.requests.append((self.path, dict(self.headers), body))
                status, headers, text = answers.pop(0) if len(answers) > 1 else answers[0]
                self.send_response(status)
                for name, value in headers.items():
                    self.send_header(name, value)
                self.send_header("Content-Length", str(len(text)))
                self.end_headers()
                self.wfile.write(text)

            do_GET = do_POST

            def log_message(self, *_):
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = "http://127.0.0.1:%d" % self.server.server_address[1]

    def run(self):
        self.server.serve_forever()

    def __enter__(self):
        self.start()
        return self

    def __exit__(self, *_):
        self.server.shutdown()
        self.server.server_close()


class Mail(threading.Thread):
    """A mail server with STARTTLS or TLS from the beginning and AUTH; keeps the mails, who sent them and how they came.

    auth: the mechanisms it offers (once there is TLS); users: name -> password; deny: recipients that it refuses."""

    def __init__(self, context=None, implicit=False, auth="", users=None, deny=()):
        super().__init__(daemon=True)
        self.context, self.implicit, self.auth = context, implicit, auth
        self.users, self.deny = users or {}, deny
        self.mails, self.commands, self.errors = [], [], []
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]

    def __enter__(self):
        self.start()
        return self

    def __exit__(self, *_):
        self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()

    def run(self):
        while True:
            try:
                connection, _ = self.listener.accept()
            except OSError:
                return
            threading.Thread(target=self.serve, args=(connection,), daemon=True).start()

    def serve(self, connection):
        try:
            with connection:
                self.talk(connection)
        except OSError as e:
            self.errors.append(e)

    def login(self, say, lines, words):
        """Returns the user, or None."""
        def ask(text):
            say("334 " + base64.b64encode(text).decode())
            return base64.b64decode(next(lines))
        if words[1] == "PLAIN":
            answer = base64.b64decode(words[2]) if len(words) > 2 else ask(b"")
            identity, user, password = answer.decode().split("\0")
            self.identity = identity
        elif words[1] == "LOGIN":
            user = (base64.b64decode(words[2]) if len(words) > 2 else ask(b"Username:")).decode()
            password = ask(b"Password:").decode()
        elif words[1] == "CRAM-MD5":
            challenge = b"<1896.697170952@here>"
            user, digest = ask(challenge).decode().split(" ")
            expected = hmac.new(self.users.get(user, "").encode(), challenge, hashlib.md5).hexdigest()
            return user if digest == expected else None
        else:
            return None
        return user if self.users.get(user) == password else None

    def talk(self, connection):
        secure = self.implicit
        if self.implicit:
            connection = self.context.wrap_socket(connection, server_side=True)
        mail = {"user": None, "to": []}
        stream = connection.makefile("rb")

        def say(text):
            connection.sendall(text.encode() + b"\r\n")

        def lines():
            while True:
                line = stream.readline()
                if not line:
                    return
                yield line.rstrip(b"\r\n").decode()
        say("220 here ESMTP")
        reading = lines()
        for line in reading:
            words = line.split(" ")
            verb = words[0].upper()
            self.commands.append(verb)
            if verb == "EHLO":
                mail["hello"] = words[1]
                say("250-here")
                if self.context and not secure:
                    say("250-STARTTLS")
                if self.auth and (secure or not self.context):
                    say("250-AUTH " + self.auth)
                say("250 8BITMIME")
            elif verb == "STARTTLS":
                say("220 go")
                connection = self.context.wrap_socket(connection, server_side=True)
                stream, secure = connection.makefile("rb"), True
                reading.close()
                reading = lines()
                return self.go_on(connection, stream, mail)
            elif not self.command(say, reading, stream, verb, words, line, mail, secure):
                return None
        return None

    def go_on(self, connection, stream, mail):
        """After STARTTLS: the same conversation, over TLS."""
        def say(text):
            connection.sendall(text.encode() + b"\r\n")

        def lines():
            while True:
                line = stream.readline()
                if not line:
                    return
                yield line.rstrip(b"\r\n").decode()
        reading = lines()
        for line in reading:
            words = line.split(" ")
            verb = words[0].upper()
            self.commands.append(verb)
            if verb == "EHLO":
                mail["hello"] = words[1]
                say("250-here")
                if self.auth:
                    say("250-AUTH " + self.auth)
                say("250 8BITMIME")
            elif not self.command(say, reading, stream, verb, words, line, mail, True):
                return

    def command(self, say, reading, stream, verb, words, line, mail, secure):
        if verb == "AUTH":
            mail["user"] = self.login(say, reading, words)
            mail["mechanism"] = words[1]
            say("235 yes" if mail["user"] else "535 no")
        elif verb == "MAIL":
            mail["from"] = line[line.index("<") + 1:line.index(">")]
            say("250 ok")
        elif verb == "RCPT":
            to = line[line.index("<") + 1:line.index(">")]
            mail["to"].append(to)
            say("550 nobody" if to in self.deny else "250 ok")
        elif verb == "DATA":
            say("354 go on")
            data = b""
            while not data.endswith(b"\r\n.\r\n"):
                data += stream.readline()
            mail["secure"] = secure
            raw = data[:-3].replace(b"\r\n..", b"\r\n.")
            mail["raw"], mail["message"] = raw, email.message_from_bytes(raw, policy=email.policy.default)
            self.mails.append(dict(mail))
            say("250 queued")
        elif verb == "QUIT":
            say("221 bye")
            return False
        else:
            say("502 what")
        return True


def notify(d, receiver, *words, head="", status=0):
    """Runs `belfry notify test team` with this receiver; returns what it printed."""
    with open(d + "/alertmanager.yml", "w") as f:
        f.write(head + "route: {receiver: team}\nreceivers:\n- name: team\n" + "".join("  %s\n" % line for line in receiver.split("\n")))
    code, out, errors = run(BELFRY, "notify", "test", "team", "--config.file=alertmanager.yml", *words, cwd=d)
    assert code == status, (code, out, errors)
    return out


def certificate(d):
    openssl = need("openssl")
    code, _, errors = run(openssl, "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", d + "/key.pem", "-out", d + "/cert.pem",
               "-days", "2", "-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1")
    assert code == 0, errors
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(d + "/cert.pem", d + "/key.pem")
    return context


def test_webhook_gets_alertmanagers_message():
    with folder() as d, Hook() as hook:
        out = notify(d, "webhook_configs: [{url: '%s/hook?k=1', http_config: {basic_auth: {username: u, password: p}}}]" % hook.url,
                     "alertname=Down", "job=node", "--annotation=summary=it is <down>", "--web.external-url=http://am.example/x/")
        assert out.startswith("webhook[0]: sent, status 200, "), out
        (path, headers, body), = hook.requests
        message = json.loads(body)
        assert path == "/hook?k=1" and headers["Content-Type"] == "application/json"
        assert headers["Authorization"] == "Basic dTpw" and headers["User-Agent"].startswith("Belfry/")
        alert, = message.pop("alerts")
        assert message == {
            "receiver": "team", "status": "firing", "notification_reason": "first notification", "groupLabels": {"alertname": "Down"},
            "commonLabels": {"alertname": "Down", "job": "node"}, "commonAnnotations": {"summary": "it is <down>"}, "routeLabels": {},
            "externalURL": "http://am.example/x", "version": "4", "groupKey": '{}:{alertname="Down"}', "truncatedAlerts": 0}, message
        assert alert["status"] == "firing" and alert["endsAt"] == "0001-01-01T00:00:00Z" and len(alert["fingerprint"]) == 16
        assert body.endswith(b'"truncatedAlerts":0}\n') and b"\\u003cdown\\u003e" in body


def test_webhook_is_tried_again_until_it_takes():
    with folder() as d, Hook([(500, {}, b"oops"), (429, {"Retry-After": "1"}, b""), (200, {}, b"")]) as hook:
        out = notify(d, "webhook_configs: [{url: '%s'}]" % hook.url, "--timeout=60s")
        assert "sent, status 200" in out and "3 attempts" in out, out
        assert len(hook.requests) == 3 and len({body for _, _, body in hook.requests}) == 1


def test_each_integration_says_what_became_of_it():
    with folder() as d, Hook() as good, Hook([(403, {}, b"go\x1b away")]) as bad:
        out = notify(d, "webhook_configs: [{url: '%s'}, {url: '%s/S3CRET'}, {url: '%s', send_resolved: false}]" % (good.url, bad.url, good.url),
                     "--resolved", status=1)
        lines = out.splitlines()
        assert lines[0].startswith("webhook[0]: sent, status 200"), out
        assert lines[1].startswith("webhook[1]: not sent, status 403") and lines[1].endswith("unexpected status code 403: go away"), out
        assert lines[2] == "webhook[2]: nothing to send: it does not want to hear of resolved alerts", out
        assert "S3CRET" not in out and len(good.requests) == 1
        assert json.loads(good.requests[0][2])["status"] == "resolved"


def test_alerts_come_from_a_file():
    with folder() as d, Hook() as hook:
        with open(d + "/alerts.json", "w") as f:
            json.dump([{"labels": {"alertname": "A", "n": str(i)}, "generatorURL": "http://p"} for i in range(3)], f)
        notify(d, "webhook_configs: [{url: '%s', max_alerts: 2}]" % hook.url, "--alert=alerts.json")
        message = json.loads(hook.requests[0][2])
        assert [a["labels"]["n"] for a in message["alerts"]] == ["0", "1"] and message["truncatedAlerts"] == 1


def test_templates_of_files_replace_built_in_ones():
    with folder() as d, Hook() as hook:
        with open(d + "/my.tmpl", "w") as f:
            f.write('{{ define "__subject" }}mine {{ .CommonLabels.alertname }}{{ end }}')
        notify(d, "webhook_configs: [{url: '%s', payload: {text: '{{ template \"slack.default.title\" . }}'}}]" % hook.url, "alertname=Down",
               head="templates: ['*.tmpl']\n")
        assert json.loads(hook.requests[0][2]) == {"text": "mine Down"}


MAIL = "email_configs:\n- to: 'Ops <ops@x.example>, b@x.example'\n  from: am@x.example\n  smarthost: localhost:%d\n  hello: me.example\n"


def test_mail_by_starttls_with_each_way_to_log_in():
    with folder() as d:
        context = certificate(d)
        ways = [("PLAIN LOGIN", "auth_password: pass word\n  auth_identity: other", "PLAIN"), ("LOGIN", "auth_password: pass word", "LOGIN"),
                ("CRAM-MD5 PLAIN", "auth_secret: pass word", "CRAM-MD5")]
        for offered, settings, used in ways:
            with Mail(context, auth=offered, users={"user": "pass word"}) as server:
                out = notify(d, MAIL % server.port + "  auth_username: user\n  %s\n  tls_config: {ca_file: cert.pem}" % settings,
                             "alertname=Dow\u00f1", "--annotation=summary=<b>&")
                assert out.startswith("email[0]: sent, status 250, "), (out, server.errors)
                mail, = server.mails
                assert mail["secure"] and mail["user"] == "user" and mail["mechanism"] == used, mail
                assert mail["from"] == "am@x.example" and mail["to"] == ["ops@x.example", "b@x.example"] and mail["hello"] == "me.example"
                message = mail["message"]
                assert message["Subject"] == "[FIRING:1] Dow\u00f1 " and message["To"] == "Ops <ops@x.example>, b@x.example", message["Subject"]
                assert message["Message-Id"].startswith("<") and message["Date"] and message["MIME-Version"] == "1.0"
                part, = message.iter_parts()
                page = part.get_content()
                assert part.get_content_type() == "text/html" and "&lt;b&gt;&amp;" in page and "Dow\u00f1" in page
                assert all(len(line) <= 998 for line in mail["raw"].split(b"\r\n"))
        with Mail(context, auth="PLAIN", users={"user": "other"}) as server:
            out = notify(d, MAIL % server.port + "  auth_username: user\n  auth_password: S3CRET\n  tls_config: {ca_file: cert.pem}",
                         "--timeout=3s", status=1)
            # Not the words: the last attempt may be cut short by the end of the time.
            assert "not sent" in out and "S3CRET" not in out and not server.mails, out


def test_mail_by_tls_from_the_beginning_and_without():
    with folder() as d:
        with Mail(certificate(d), implicit=True) as server:
            notify(d, MAIL % server.port + "  force_implicit_tls: true\n  tls_config: {ca_file: cert.pem}\n  text: 'a\n\n\n    .\n\n    ..'")
            mail, = server.mails
            assert mail["secure"] and [p.get_content_type() for p in mail["message"].iter_parts()] == ["text/plain", "text/html"]
            assert mail["message"].get_body(("plain",)).get_content().split() == ["a", ".", ".."]
        with Mail() as server:
            notify(d, MAIL % server.port + "  require_tls: false")
            mail, = server.mails
            assert not mail["secure"] and mail["user"] is None and "STARTTLS" not in server.commands


def test_mail_that_cannot_be_sent_safely_is_not():
    with folder() as d:
        with Mail() as server:  # it has no TLS, which is required
            out = notify(d, MAIL % server.port, "--timeout=200ms", status=1)
            assert "not sent" in out and not server.mails and "MAIL" not in server.commands, out
        with Mail(certificate(d)) as server:  # a certificate of nobody we know
            out = notify(d, MAIL % server.port, "--timeout=3s", status=1)
            assert "not sent" in out and not server.mails and "MAIL" not in server.commands, out
        with Mail(deny=("b@x.example",)) as server:
            out = notify(d, MAIL % server.port + "  require_tls: false", "--timeout=200ms", status=1)
            assert "not sent" in out and not server.mails, out


def test_mail_headers_cannot_be_injected():
    with folder() as d, Mail() as server:
        with open(d + "/alert.json", "w") as f:
            json.dump({"labels": {"alertname": "x\r\nBcc: evil@x\r\n\r\n<script>"}, "annotations": {"a\nb": "\r\n.\r\nQUIT"}}, f)
        notify(d, MAIL % server.port + "  require_tls: false\n  headers: {X-A: '{{ .CommonLabels.alertname }}'}", "--alert=alert.json")
        mail, = server.mails
        assert mail["message"]["Bcc"] is None and "Bcc: evil@x" in mail["message"]["X-A"]
        assert "<script>" not in mail["message"].get_body(("html",)).get_content()
        assert mail["to"] == ["ops@x.example", "b@x.example"]


def test_mails_of_a_group_are_one_thread():
    with folder() as d, Mail() as server:
        for _ in range(2):
            notify(d, MAIL % server.port + "  require_tls: false\n  threading: {enabled: true, thread_by_date: none}", "alertname=Down")
        first, second = (m["message"] for m in server.mails)
        key = hashlib.sha256(b'{}:{alertname="Down"}').hexdigest()[:16]
        assert first["References"] == second["In-Reply-To"] == "<alert-%s-@alertmanager>" % key
        assert first["Message-Id"] != second["Message-Id"]


def test_receivers_that_are_not_there_are_named():
    with folder() as d:
        with open(d + "/a.yml", "w") as f:
            f.write("route: {receiver: a}\nreceivers: [{name: a}, {name: b}]\n")
        for words, status, said in [(["c"], 1, 'no receiver "c"'), (["a"], 1, 'receiver "a" has no integration'), ([], 2, "Usage")]:
            code, _, errors = run(BELFRY, "notify", "test", *words, "--config.file=a.yml", cwd=d)
            assert code == status and said in errors, (words, errors)
        assert not os.path.exists(d + "/data")


SERVICES = """\
slack_configs:
- {api_url: '%(hook)s/slack', channel: '#c', send_resolved: true, text: '{{ range .Alerts }}{{ .Annotations.summary }};{{ end }}',
   fields: [{title: t, value: '{{ .Status }}', short: true}], actions: [{type: button, text: b, url: 'http://x'}]}
pagerduty_configs:
- {routing_key: key, url: '%(hook)s/pagerduty', severity: '{{ .CommonLabels.severity }}', class: c, details: {more: '{{ .Alerts | len }}'}}
opsgenie_configs:
- {api_key: key, api_url: '%(hook)s/opsgenie/', tags: 'a,b', priority: P2, responders: [{name: '{{ .CommonLabels.team }}', type: team}], details: {x: y}}
victorops_configs:
- {api_key: key, api_url: '%(hook)s/victorops/', routing_key: route, custom_fields: {f: '{{ .Status }}'}}
telegram_configs:
- {bot_token: '1:key', api_url: '%(hook)s/telegram', chat_id: 5, parse_mode: ''}
discord_configs:
- {webhook_url: '%(hook)s/discord'}
webex_configs:
- {api_url: '%(hook)s/webex', room_id: room, http_config: {authorization: {credentials: key}}}
webhook_configs:
- {url: '%(hook)s/webhook', max_alerts: 1}
wechat_configs:
- {api_url: '%(hook)s/wechat/', api_secret: s, corp_id: c, to_user: u}
email_configs:
- {to: 'Ops <ops@x.example>', from: am@x.example, smarthost: 'localhost:%(port)d', require_tls: false, text: '{{ template "slack.default.title" . }}',
   headers: {X-Extra: '\u00e4 {{ .Status }}'}}"""


def quiet(fact):
    """False while nobody is there yet."""
    try:
        return fact()
    except (OSError, urllib.error.URLError):
        return False


def sent(hook):
    """Path -> headers that say what it is, and the body."""
    out = {}
    for path, headers, body in hook.requests:
        kind = headers.get("Content-Type", "").split(";")[0]
        out[path] = (kind, headers.get("Authorization"), json.loads(body) if kind == "application/json" else body.decode())
    return out


def without_new_fields(path, answer):
    """What came after Alertmanager 0.25 is not compared."""
    kind, authorization, body = answer
    if isinstance(body, dict):
        for name in ("notification_reason", "routeLabels"):
            body.pop(name, None)
        if path == "/pagerduty":
            body["payload"].pop("custom_details")  # lists of alerts since 0.28, texts before
    return kind, authorization, body


class AnyHook(Hook):
    """Answers as each service does, so that those with several requests go on."""

    def __init__(self):
        super().__init__([(200, {"Content-Type": "application/json"},
                           b'{"ok":true,"result":{"message_id":1,"date":1,"chat":{"id":5,"type":"private"}},"code":0,"errcode":0,"access_token":"t",'
                           b'"status":"success","expires_in":7200}')])


def test_services_get_what_alertmanager_sends():
    """The same alerts and receivers, sent by Debian's Alertmanager and by us."""
    alertmanager = need("prometheus-alertmanager")
    alerts = [{"labels": {"alertname": "Down", "severity": "critical", "team": "ops", "node": n},
               "annotations": {"summary": "it is <down> & out \u00e4", "n": n}, "generatorURL": "http://p/graph?a=b&c=%20d",
               "startsAt": "2023-11-14T22:13:20.500Z", **({"endsAt": "2023-11-14T22:15:00Z"} if n == "b" else {})} for n in "ab"]
    with folder() as d, AnyHook() as theirs, AnyHook() as ours, Mail() as their_mail, Mail() as our_mail:
        with open(d + "/alerts.json", "w") as f:
            json.dump(alerts, f)
        receivers = SERVICES % {"hook": theirs.url, "port": their_mail.port}
        with open(d + "/peer.yml", "w") as f:
            f.write("route: {receiver: team, group_by: [alertname], group_wait: 1s}\nreceivers:\n- name: team\n" +
                    "".join("  %s\n" % line for line in receivers.split("\n")))
        port = free_port()
        with Process([alertmanager, "--config.file=peer.yml", "--storage.path=am", "--cluster.listen-address=",
                      "--web.listen-address=127.0.0.1:%d" % port, "--web.external-url=http://am.example/x"], d, name="alertmanager"):
            base = "http://127.0.0.1:%d/x" % port

            def post():
                request = urllib.request.Request(base + "/api/v2/alerts", json.dumps(alerts).encode(), {"Content-Type": "application/json"})
                with urllib.request.urlopen(request, timeout=5) as answer:
                    return answer.status == 200
            wait_for(lambda: quiet(post), "Alertmanager takes alerts")
            wait_for(lambda: len(sent(theirs)) >= 10 and their_mail.mails, "Alertmanager has sent everything", 30)
        notify(d, SERVICES % {"hook": ours.url, "port": our_mail.port}, "--alert=alerts.json", "--web.external-url=http://am.example/x")
        a, b = sent(theirs), sent(ours)
        wrong = []
        for path in sorted(set(a) | set(b)):
            x, y = (without_new_fields(path, side[path]) if path in side else None for side in (a, b))
            if x != y:
                wrong.append("%s\n  Alertmanager %s\n  Belfry       %s" % (path, x, y))
        (x,), (y,) = their_mail.mails, our_mail.mails
        for name in ("from", "to", "user"):
            assert x[name] == y[name]
        for name in ("Subject", "From", "To", "X-Extra", "MIME-Version"):
            if x["message"][name] != y["message"][name]:
                wrong.append("mail %s: %r, %r" % (name, x["message"][name], y["message"][name]))
        kinds = [[(p.get_content_type(), p.get_content_charset(), p["Content-Transfer-Encoding"]) for p in m["message"].iter_parts()] for m in (x, y)]
        assert kinds[0] == kinds[1], kinds
        assert x["message"].get_body(("plain",)).get_content().strip() == y["message"].get_body(("plain",)).get_content().strip()
        assert not wrong, "\n".join(wrong)


def test_a_running_server_sends_mails_and_webhooks():
    """Confined as it is: TLS with a file of authorities, a password of a file, a webhook that asks for a pause."""
    with folder() as d, Hook([(429, {"Retry-After": "1"}, b""), (200, {}, b"")]) as hook:
        context = certificate(d)
        with Mail(context, auth="PLAIN", users={"user": "S3CRET"}) as server:
            with open(d + "/password", "w") as f:
                f.write("S3CRET\n")
            with open(d + "/r.yml", "w") as f:
                f.write("groups: [{name: g, interval: 1s, rules: [{alert: Always, expr: vector(1), annotations: {summary: 'it is <up>'}}]}]\n")
            with open(d + "/am.yml", "w") as f:
                f.write("route: {receiver: team, group_by: [alertname], group_wait: 0s, group_interval: 1h}\nreceivers:\n- name: team\n" +
                        "".join("  %s\n" % line for line in (MAIL % server.port + "  auth_username: user\n  auth_password_file: password\n"
                                                             "  tls_config: {ca_file: cert.pem}\n"
                                                             "webhook_configs: [{url: '%s/S3CRET'}]" % hook.url).split("\n")))
            with Belfry(d, "global: {scrape_interval: 1h}\nrule_files: [r.yml]\n", ("--alertmanager.config.file=am.yml",)) as b:
                wait_for(lambda: server.mails and len(hook.requests) == 2, "a mail, and a webhook at the second attempt", 60)
                mail, = server.mails
                assert mail["secure"] and mail["user"] == "user" and mail["message"]["Subject"] == "[FIRING:1] Always "
                assert "it is &lt;up&gt;" in mail["message"].get_body(("html",)).get_content()
                assert json.loads(hook.requests[1][2])["alerts"][0]["annotations"] == {"summary": "it is <up>"}
                assert "S3CRET" not in b.output()
