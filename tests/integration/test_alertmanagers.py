# SPDX-License-Identifier: Apache-2.0
"""Alerts to Alertmanagers beside a real Prometheus: the same posts, the same answer about who is in force."""
import http.server
import json
import os
import re
import threading
import time
import types
import urllib.parse
import urllib.request

import duty_services as services
from harness import BELFRY, Belfry, Process, folder, free_port, need, run, wait_for

RULES = r"""groups:
- name: g
  interval: 1s
  rules:
  - alert: Odd
    expr:  "vector( 1 )  > 0 and on() (vector(2)!= 3)"
    labels: {sev: "x<y&z", empty: "", site: own}
    annotations: {summary: "v={{ $value }} ü \" \\ \u2028 \t x", none: ""}
  - alert: Bare
    expr: absent(up{job='nix',x=~"a|b"})
  - alert: Dropped
    expr: vector(1)
  - alert: Later
    expr: vector(1)
    for: 1h
"""
CONFIG = """global:
  external_labels: {site: "a", sev: ext, zone: "${ZONE}"}
rule_files: [rules.yml]
alerting:
  alert_relabel_configs:
  - {source_labels: [alertname], regex: Dropped, action: drop}
  - {source_labels: [alertname, site], target_label: joined}
  - {regex: empty, action: labeldrop}
  alertmanagers:
  - path_prefix: /am/
    static_configs:
    - {targets: ["%(sink)s", "127.0.0.1:1"], labels: {cluster: c}}
    relabel_configs:
    - {source_labels: [__address__], regex: "127.0.0.1:1", action: drop}
  - file_sd_configs: [{files: ["%(folder)s/targets.json"]}]
"""


class Sink:
    """Remembers posts: (path, body); each takes `seconds`."""

    def __init__(self, seconds=0):
        self.posts, self.mutex = [], threading.Lock()
        sink = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self):
                body = self.rfile.read(int(self.headers["Content-Length"])).decode()
                time.sleep(seconds)
                with sink.mutex:
                    sink.posts.append((self.path, self.headers["Content-Type"], body))
                self.send_response(200)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *_):
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.address = "127.0.0.1:%d" % self.server.server_address[1]
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def alerts(self):
        """{(path, an alert as it was written, its times aside)}"""
        with self.mutex:
            posts = list(self.posts)
        out = set()
        for path, kind, body in posts:
            assert kind == "application/json" and body[:2] == "[{" and body[-2:] == "}]", body
            pieces = re.split(r"(?<=\}\}),(?=\{\")", body[1:-1])  # labels come last in an alert
            assert len(pieces) == len(json.loads(body)), body
            for piece in pieces:
                out.add((path, re.sub(r'"(\w+At)":"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z"', r'"\1":T', piece)))
        return out

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.server.shutdown()
        self.server.server_close()


def write(path, content):
    with open(path, "w") as f:
        f.write(content)


def prepare(d, sink):
    write(d + "/rules.yml", RULES)
    write(d + "/targets.json", json.dumps([{"targets": [sink.address]}]))
    return CONFIG.replace("${ZONE}", "z") % {"sink": sink.address, "folder": d}


FLAGS = ["--rules.alert.resend-delay=1s", "--web.external-url=http://h.test/p", "--web.route-prefix=/"]
EXPECTED = 4  # Odd and Bare to each of two


def test_posts_and_alertmanagers_are_those_of_prometheus():
    prometheus = need("prometheus")
    with folder() as d, folder() as e, Sink() as ours, Sink() as theirs:
        config = prepare(e, theirs)
        write(e + "/p.yml", config)
        port = free_port()
        argv = [prometheus, "--config.file=p.yml", "--storage.tsdb.path=p", "--web.listen-address=127.0.0.1:%d" % port]
        with Process(argv + FLAGS, e, name="prometheus"), Belfry(d, prepare(d, ours), FLAGS) as b:
            wait_for(lambda: len(theirs.alerts()) >= EXPECTED, "Prometheus posts", 60)
            wait_for(lambda: len(ours.alerts()) >= EXPECTED, "Belfry posts", 60)
            assert ours.alerts() == theirs.alerts(), (sorted(ours.alerts()), sorted(theirs.alerts()))

            def known(text, sink):  # the order of the two entries is that of a map in Prometheus
                data = json.loads(text.replace(sink.address, "SINK"))["data"]
                return {k: sorted(v, key=json.dumps) for k, v in data.items()}
            with urllib.request.urlopen("http://127.0.0.1:%d/api/v1/alertmanagers" % port, timeout=10) as r:
                wanted = known(r.read().decode(), theirs)
            assert len(wanted["activeAlertmanagers"]) == 2 and len(wanted["droppedAlertmanagers"]) == 1, wanted
            assert known(b.get("/api/v1/alertmanagers")[1].decode(), ours) == wanted
            sent = 'prometheus_notifications_sent_total{alertmanager="http://%s/am/api/v2/alerts"}' % ours.address
            metrics = b.get("/metrics")[1].decode()
            assert sent in metrics and "prometheus_notifications_alertmanagers_discovered 2\n" in metrics
            assert "prometheus_notifications_queue_capacity 10000\n" in metrics


def test_a_slow_alertmanager_gets_all_before_the_server_ends():
    rules = json.dumps({"groups": [{"name": "g", "interval": "500ms", "rules": [
        {"alert": "A", "expr": "vector(1)", "labels": {"n": str(n)}} for n in range(20)]}]})
    with folder() as d, Sink(0.1) as slow:
        write(d + "/rules.yml", rules)
        config = "rule_files: [rules.yml]\nalerting: {alertmanagers: [{static_configs: [{targets: ['%s']}]}]}\n" % slow.address
        with Belfry(d, config, ["--alertmanager.notification-batch-size=1"]) as b:
            wait_for(lambda: len(b.api("alerts")["alerts"]) == 20, "all fire", 30)
            wait_for(lambda: slow.posts, "the first one is told", 30)
            assert b.stop() == 0
            assert len(slow.alerts()) == 20, len(slow.alerts())
            assert "are dropped" not in b.output()


class Signed:
    """An Alertmanager of AWS: takes alerts only with a signature that it finds itself, and quotes the request where it does not."""

    def __init__(self, service="aps", redirect=None):
        self.who, self.refused, self.mutex = [], [], threading.Lock()
        signed = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self):
                body = self.rfile.read(int(self.headers["Content-Length"]))
                path, _, query = self.path.partition("?")
                if redirect and self.path != redirect:
                    self.send_response(307)
                    self.send_header("Location", redirect)
                    self.send_header("Content-Length", "0")
                    self.end_headers()
                    return
                query = "&".join("%s=%s" % tuple(urllib.parse.quote(part, safe="-_.~") for part in pair)
                                 for pair in sorted(urllib.parse.parse_qsl(query, keep_blank_values=True)))
                request = types.SimpleNamespace(method="POST", path=urllib.parse.quote(path), canonical_query=query, body=body,
                                                headers={k.lower(): v for k, v in self.headers.items()})
                answer = b""
                with signed.mutex:
                    try:
                        key, region = services.aws_verify(request, service)
                        signed.who.append((self.path, key, region, len(json.loads(body))))
                    except services.Refused as e:
                        signed.refused.append(e)
                        answer = json.dumps({"keys": services.AWS_KEYS, "token": self.headers["X-Amz-Security-Token"]}).encode()
                self.send_response(403 if answer else 200)
                self.send_header("Content-Length", str(len(answer)))
                self.end_headers()
                self.wfile.write(answer)

            def log_message(self, *_):
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.address = "127.0.0.1:%d" % self.server.server_address[1]
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.server.shutdown()
        self.server.server_close()


SIGNED = """rule_files: [one.yml]
alerting: {alertmanagers: [{path_prefix: "/workspaces/ws-1/alert manager", sigv4: {%s}, static_configs: [{targets: ["%s"]}]}]}
"""
SECRET = services.AWS_KEYS["AKIDBELFRY"][0]
STATIC = "region: eu-west-1, access_key: AKIDBELFRY, secret_key: %s" % SECRET


def with_environment(variables, begin):
    before = {k: os.environ.pop(k) for k in list(os.environ) if k.startswith("AWS_")}
    os.environ.update(variables)
    try:
        return begin()
    finally:
        for k in variables:
            os.environ.pop(k, None)
        os.environ.update(before)


def signed_by(sigv4, variables=None, service="aps"):
    """Who signed the first alert."""
    with folder() as d, Signed(service) as am:
        write(d + "/one.yml", json.dumps({"groups": [{"name": "g", "interval": "500ms", "rules": [{"alert": "A", "expr": "vector(1)"}]}]}))
        write(d + "/credentials", "[team]\naws_access_key_id = AKIDBELFRY\naws_secret_access_key = %s\n" % SECRET)
        write(d + "/config", "[profile team]\nregion = us-east-2\n")
        variables = {k: v.replace("@DIR", d) for k, v in (variables or {}).items()}
        with with_environment(variables, lambda: Belfry(d, SIGNED % (sigv4, am.address))) as b:
            wait_for(lambda: am.who or am.refused, "an alert is signed", 60)
            assert not am.refused, am.refused
            assert SECRET not in b.output() + b.get("/api/v1/status/config")[1].decode()
            path, key, region, count = am.who[0]
            assert path == "/workspaces/ws-1/alert%20manager/api/v2/alerts" and count == 1, am.who
            return key, region


def test_alerts_to_aws_are_signed():
    assert signed_by(STATIC) == ("AKIDBELFRY", "eu-west-1")
    assert signed_by(STATIC + ", service_name: execute-api", service="execute-api") == ("AKIDBELFRY", "eu-west-1")
    files = {"AWS_SHARED_CREDENTIALS_FILE": "@DIR/credentials", "AWS_CONFIG_FILE": "@DIR/config"}
    assert signed_by("profile: team", files) == ("AKIDBELFRY", "us-east-2")
    temporary = {"AWS_ACCESS_KEY_ID": "ASIATEMPORARY", "AWS_SECRET_ACCESS_KEY": "temporary/secret",
                 "AWS_SESSION_TOKEN": "token/of+the=role", "AWS_REGION": "eu-central-1"}
    assert signed_by("", temporary) == ("ASIATEMPORARY", "eu-central-1")


def test_where_a_redirect_leads_is_signed_too():
    there = "/x//y?b=2&a=%7E/+&a=1&c"
    with folder() as d, Signed(redirect=there) as am:
        write(d + "/one.yml", json.dumps({"groups": [{"name": "g", "interval": "500ms", "rules": [{"alert": "A", "expr": "vector(1)"}]}]}))
        with with_environment({}, lambda: Belfry(d, SIGNED % (STATIC, am.address))) as b:
            wait_for(lambda: am.who or am.refused, "an alert is signed", 60)
            assert not am.refused and am.who[0][:2] == (there, "AKIDBELFRY"), (am.refused, am.who, b.output())


def test_what_cannot_be_signed_is_said():
    rules = json.dumps({"groups": [{"name": "g", "interval": "500ms", "rules": [{"alert": "A", "expr": "vector(1)"}]}]})

    def logged(sigv4, text, **more):
        with folder() as d, Signed() as am:
            write(d + "/one.yml", rules)
            none = {"AWS_SHARED_CREDENTIALS_FILE": d + "/none", "AWS_CONFIG_FILE": d + "/none", **more}
            with with_environment(none, lambda: Belfry(d, SIGNED % (sigv4, am.address))) as b:
                wait_for(lambda: text in b.output(), text, 60)
                return b.output()
    logged("region: r", "sigv4: there are no AWS credentials")
    logged("region: r", "sigv4: there are no AWS credentials but a web identity", AWS_WEB_IDENTITY_TOKEN_FILE="/none")
    logged("access_key: AKIDBELFRY, secret_key: x", "sigv4: region not configured in sigv4")
    said = logged(STATIC.replace(SECRET, "temporary/secret"), "bad response status 403")
    assert "temporary/secret" not in said and "<secret>" in said, said
    with folder() as d:
        write(d + "/role.yml", SIGNED % (STATIC + ", role_arn: 'arn:aws:iam::1:role/r'", "a:1"))
        status, out, err = run(BELFRY, "check", "config", d + "/role.yml")
        assert status and "sigv4: role_arn is not supported for Alertmanagers" in out + err, out + err
