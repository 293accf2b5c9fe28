# SPDX-License-Identifier: Apache-2.0
"""PagerDuty, OpsGenie, VictorOps, Pushover, SNS, Jira and incident.io: what belfry sends is taken by servers that refuse what
the real ones refuse (duty_services.py); where Debian's Alertmanager knows the service it is fed the same and must have said
the same, field by field."""
import contextlib
import datetime
import json
import os
import re

import duty_services as services
from duty_services import Services
from harness import BELFRY, Belfry, Process, Skip, folder, free_port, need, run, wait_for

ROUTE = """
route: {receiver: team, group_by: [alertname], group_wait: 0s, group_interval: 1s, repeat_interval: 1h}
receivers:
- name: team
"""
DOWN = {"alertname": "Down", "job": "node", "instance": "db-1:9100", "severity": "critical"}
ANNOTATIONS = {"summary": "the <database> is \"down\" & out", "runbook": "https://r/ü"}


class Alertmanager(Process):
    """Debian's."""

    def __init__(self, cwd, config, env=None):
        self.port = free_port()
        path = os.path.join(cwd, "peer.yml")
        with open(path, "w") as f:
            f.write(config)
        super().__init__([need("prometheus-alertmanager"), "--config.file=" + path, "--storage.path=" + cwd + "/peer",
                          "--web.listen-address=127.0.0.1:%d" % self.port, "--web.external-url=http://am.example",
                          "--web.route-prefix=/", "--cluster.listen-address="], cwd, env=env, name="alertmanager")
        wait_for(lambda: self.request("GET", "/-/ready")[0] == 200, "Alertmanager is ready")

    request = Belfry.request


class Ours:
    """`belfry notify test`, which says of a group what the server would."""

    timeout = "20s"

    def __init__(self, cwd, config, env=None):
        self.cwd, self.env, self.log = cwd, env, ""
        with open(cwd + "/alertmanager.yml", "w") as f:
            f.write(config)

    def request(self, method, path, body, headers):
        now = datetime.datetime.now(datetime.timezone.utc)
        alerts = [{**a, "status": "resolved" if datetime.datetime.fromisoformat(a["endsAt"]) < now else "firing"} for a in json.loads(body)]
        with open(self.cwd + "/alerts.json", "w") as f:
            json.dump(alerts, f)
        status, out, err = run(BELFRY, "notify", "test", "team", "--config.file=" + self.cwd + "/alertmanager.yml", "--timeout=" + self.timeout,
                               "--alert=" + self.cwd + "/alerts.json", "--web.external-url=http://am.example", "--verbose", env=self.env)
        self.log += out + err
        self.status = status
        return 200, b"", {}

    def output(self):
        return self.log

    def __enter__(self):
        return self

    def __exit__(self, *_):
        pass


def post_alerts(server, *alerts):
    """Each: (labels, annotations, is resolved)."""
    now = datetime.datetime.now(datetime.timezone.utc)
    stamp = lambda seconds: (now + datetime.timedelta(seconds=seconds)).isoformat()  # noqa: E731
    body = [{"labels": labels, "annotations": annotations, "startsAt": "2026-01-02T03:04:05Z", "generatorURL": "http://p/graph?a=1&b=2",
             "endsAt": stamp(-1 if resolved else 3600)} for labels, annotations, resolved in alerts]
    status, answer, _ = server.request("POST", "/api/v2/alerts", json.dumps(body), {"Content-Type": "application/json"})
    assert status == 200, (status, answer)


def config_of(receiver, global_section=""):
    return global_section + ROUTE + "\n".join("  " + line for line in receiver.strip().splitlines()) + "\n"


def fire_and_resolve(kind, server, s, count=1):
    """What the service took of one alert: while it fires, and when it is over."""
    before = len(s.took(kind))
    post_alerts(server, (DOWN, ANNOTATIONS, False))
    wait_for(lambda: len(s.took(kind)) > before or s.refused, "the notification has come")
    post_alerts(server, (DOWN, ANNOTATIONS, True))
    wait_for(lambda: len(s.took(kind)) >= before + count + 1 or s.refused, "its end has come")
    assert not s.refused, s.refused
    return s.took(kind)[before:]


def both(kind, receiver, differ=(), count=1, env=None, global_section="", peer_receiver=None):
    """What the service took from ours. The same from Debian's, but for the fields of `differ` ("a.b")."""
    def told(cls, text):
        with folder() as d, Services(d) as s:
            text = config_of(text.replace("@URL", s.url).replace("@CA", s.ca_file), global_section)
            with cls(d, text, env={**(env or {}), **{k: v.replace("@URL", s.url) for k, v in (env or {}).items()}}) as server:
                took = fire_and_resolve(kind, server, s, count)
                for secret in services.SECRETS:
                    assert secret not in server.output(), server.output()
                return took

    ours = told(Ours, receiver)
    with contextlib.suppress(Skip):
        peers = told(Alertmanager, peer_receiver or receiver)
        assert len(ours) == len(peers), (ours, peers)
        for a, b in zip(ours, peers):
            assert without(a, differ) == without(b, differ), (a, b)
    return ours


def without(value, paths):
    value = json.loads(json.dumps(value))
    for path in paths:
        at, *names = value, *path.split(".")
        for name in names[:-1]:
            at = at.get(name, {}) if isinstance(at, dict) else {}
        if isinstance(at, dict):
            at.pop(names[-1], None)
    return value


FIXED = "http_config: {proxy_url: '@URL', tls_config: {ca_file: '@CA'}}"
DETAILS = "details: {firing: 'f {{ len .Alerts.Firing }}', resolved: 'r', num_firing: 'n {{ .Status }}', num_resolved: 'x', a: 'b {{ .CommonLabels.job }}'}"


def test_pagerduty_version_2():
    fire, resolve = both("pagerduty", "pagerduty_configs: [{url: '@URL/v2/enqueue', routing_key: %s, severity: '{{ .CommonLabels.severity }}', "
                         "class: c, component: '{{ .CommonLabels.instance }}', group: g, %s, images: [{src: 'http://i', alt: a}, {src: ''}], "
                         "links: [{href: 'http://l', text: '{{ .Status }}'}]}]" % (services.PAGERDUTY_KEY, DETAILS))
    assert fire["event_action"] == "trigger" and resolve["event_action"] == "resolve"
    assert fire["dedup_key"] == resolve["dedup_key"] and fire["payload"]["severity"] == "critical"
    assert fire["payload"]["summary"] == "[FIRING:1] Down (db-1:9100 node critical)", fire
    assert fire["payload"]["custom_details"]["a"] == "b node"


def test_pagerduty_details_of_today_are_lists_of_alerts():
    # 0.25 has texts there.
    fire, resolve = both("pagerduty", "pagerduty_configs: [{url: '@URL/v2/enqueue', routing_key: %s}]" % services.PAGERDUTY_KEY,
                         differ=["payload.custom_details"])
    details = fire["payload"]["custom_details"]
    assert details["num_firing"] == 1 and details["num_resolved"] == 0 and details["resolved"] == []
    assert details["firing"][0]["labels"] == DOWN and details["firing"][0]["annotations"] == ANNOTATIONS
    assert resolve["payload"]["custom_details"]["num_resolved"] == 1


def test_pagerduty_version_1():
    fire, resolve = both("pagerduty-1", "pagerduty_configs: [{service_key: %s, %s, %s}]" % (services.PAGERDUTY_KEY, DETAILS, FIXED))
    assert fire["event_type"] == "trigger" and resolve["event_type"] == "resolve"
    assert fire["incident_key"] == resolve["incident_key"] and "client" in fire and "client" not in resolve


def test_opsgenie():
    fire, close = both("opsgenie", "opsgenie_configs: [{api_url: '@URL/', api_key: %s, responders: [{name: 'ops,db', type: teams}, {id: x, "
                       "type: user}, {name: '{{ .CommonLabels.none }}', type: escalation, id: e}], tags: 'a,b,{{ .Status }}', note: n, priority: P1, "
                       "entity: e, actions: 'x,y', details: {job: 'own {{ .Status }}'}}]" % services.OPSGENIE_KEY)
    assert fire["_"]["action"] == "create" and close["_"]["action"] == "close" and close["_"]["alias"] == fire["alias"]
    assert fire["details"] == {**DOWN, "job": "own firing"}, fire
    assert fire["responders"] == [{"name": "ops", "type": "team"}, {"name": "db", "type": "team"}, {"id": "x", "type": "user"},
                                  {"id": "e", "type": "escalation"}]


def test_opsgenie_updates():
    took = both("opsgenie", "opsgenie_configs: [{api_url: '@URL/', api_key: %s, update_alerts: true, description: d}]" %
                services.OPSGENIE_KEY, count=3)
    assert [e["_"]["action"] for e in took] == ["create", "message", "description", "close"]
    assert len({e["_"]["alias"] for e in took}) == 1


def test_victorops():
    fire, over = both("victorops", "victorops_configs: [{api_url: '@URL/integrations/generic/20131114/alert/', api_key: %s, routing_key: "
                      "'{{ .CommonLabels.job }}', message_type: WARNING, custom_fields: {x: 'y {{ .Status }}'}}]" % services.VICTOROPS_KEY)
    assert fire["message_type"] == "WARNING" and over["message_type"] == "RECOVERY" and fire["entity_id"] == over["entity_id"]
    assert fire["_"]["routing_key"] == "node" and fire["x"] == "y firing"


def test_pushover():
    fire, over = both("pushover", "pushover_configs: [{token: %s, user_key: %s, url_title: t, sound: siren, retry: 30s, expire: 1h, "
                      "html: true, message: '<b>{{ .CommonAnnotations.summary }}</b>', %s}]" %
                      (services.PUSHOVER_TOKEN, services.PUSHOVER_USER, FIXED))
    assert fire["priority"] == "2" and over["priority"] == "0" and fire["retry"] == "30"
    assert fire["message"] == "<b>the &lt;database&gt; is &#34;down&#34; &amp; out</b>", fire


TOPIC = "topic_arn: 'arn:aws:sns:eu-west-1:123456789012:alerts"
SIGV4 = "sigv4: {access_key: AKIDBELFRY, secret_key: %s, region: eu-west-1}" % services.AWS_KEYS["AKIDBELFRY"][0]


def test_sns():
    fire, over = both("sns", "sns_configs: [{api_url: '@URL', %s', %s, attributes: {key: '{{ .Status }}', b: c}}]" % (TOPIC, SIGV4))
    assert fire["_"]["attributes"] == {"key": "firing", "b": "c"} and fire["_"]["key"] == "AKIDBELFRY"
    assert fire["Subject"] == "[FIRING:1] Down (db-1:9100 node critical)" and over["Subject"].startswith("[RESOLVED]")


def test_sns_to_a_phone():
    fire, _ = both("sns", "sns_configs: [{api_url: '@URL', phone_number: '+123456789', message: 'm {{ .Status }}', %s}]" % SIGV4)
    assert fire["Message"] == "m firing" and fire["PhoneNumber"] == "+123456789"


def test_sns_fifo_topics_get_every_change():
    # Alertmanager gives each message of a group the same id, and SNS passes over the end of an alert.
    fire, over = both("sns", "sns_configs: [{api_url: '@URL', %s.fifo', %s}]" % (TOPIC, SIGV4), differ=["MessageDeduplicationId"])
    assert fire["MessageGroupId"] == over["MessageGroupId"]
    assert fire["MessageDeduplicationId"] != over["MessageDeduplicationId"]


def only_ours(kind, receiver, count=1, env=None, global_section="", feed=fire_and_resolve):
    with folder() as d, Services(d) as s:
        env = {k: v.replace("@URL", s.url) for k, v in (env or {}).items()}
        text = config_of(receiver.replace("@URL", s.url).replace("@CA", s.ca_file).replace("@DIR", d), global_section)
        with Ours(d, text, env=env) as server:
            return feed(kind, server, s, count)


def test_sns_assumes_a_role():
    took = only_ours("sns", "sns_configs: [{api_url: '@URL', %s', sigv4: {access_key: AKIDBELFRY, secret_key: %s, region: eu-west-1, "
                     "role_arn: 'arn:aws:iam::123456789012:role/r', external_id: ex}}]" % (TOPIC, services.AWS_KEYS["AKIDBELFRY"][0]),
                     count=3, env={"AWS_ENDPOINT_URL_STS": "@URL"})
    assert [e["Action"] for e in took] == ["AssumeRole", "Publish"] * 2, took
    assert took[0]["RoleArn"].endswith("role/r") and took[0]["ExternalId"] == "ex"
    assert took[1]["_"]["key"] == took[3]["_"]["key"] == "ASIATEMPORARY"


def test_sns_keys_and_region_of_the_environment_and_of_files():
    keys = {"AWS_ACCESS_KEY_ID": "AKIDBELFRY", "AWS_SECRET_ACCESS_KEY": services.AWS_KEYS["AKIDBELFRY"][0]}
    fire, _ = only_ours("sns", "sns_configs: [{%s', sigv4: {}}]" % TOPIC, env={**keys, "AWS_ENDPOINT_URL_SNS": "@URL"})
    assert fire["_"] == {"attributes": {}, "key": "AKIDBELFRY", "region": "eu-west-1"}
    with folder() as d:
        with open(d + "/credentials", "w") as f:
            f.write("[team]\naws_access_key_id = AKIDBELFRY\naws_secret_access_key = %s\n" % services.AWS_KEYS["AKIDBELFRY"][0])
        fire, _ = only_ours("sns", "sns_configs: [{%s', sigv4: {profile: team}}]" % TOPIC,
                            env={"AWS_SHARED_CREDENTIALS_FILE": d + "/credentials", "AWS_CONFIG_FILE": d + "/none", "AWS_ENDPOINT_URL": "@URL"})
    assert fire["_"]["key"] == "AKIDBELFRY"


JIRA = "jira_configs: [{api_url: '@URL/rest/api/%s', project: OPS, issue_type: Bug, labels: [a b, x], resolve_transition: Close, " \
       "reopen_transition: Reopen, reopen_duration: 1h, wont_fix_resolution: WontFix, http_config: {authorization: {credentials: " + \
       services.JIRA_TOKEN + "}}%s}]"


def jira_life(kind, server, s, count):
    """Fires, is over, fires again: one issue that is opened, closed and opened again."""
    states = lambda: {k: i["status"] for k, i in s.jira.issues.items()}  # noqa: E731
    for resolved, state in ((False, "open"), (True, "done"), (False, "open")):
        post_alerts(server, (DOWN, ANNOTATIONS, resolved))
        wait_for(lambda: states() == {"OPS-1": state} or s.refused, "the issue is " + state)
        assert not s.refused, s.refused
    return s.jira.issues["OPS-1"], s.took("jira")


def test_jira_version_2():
    issue, took = only_ours("jira", JIRA % ("2", ""), feed=jira_life)
    assert issue["fields"]["summary"] == "[FIRING:1] Down (db-1:9100 node critical)"
    assert issue["fields"]["priority"] == {"name": "High"} and "a_b" in issue["fields"]["labels"]
    assert isinstance(issue["fields"]["description"], str) and "Alerts Firing" in issue["fields"]["description"]
    assert [next(iter(e)) for e in took] == ["create", "update", "transition", "update", "transition"], took


def test_jira_version_3():
    issue, _ = only_ours("jira", JIRA % ("3", ", api_type: cloud"), feed=jira_life)
    assert issue["version"] == "3" and issue["fields"]["description"]["type"] == "doc"


def test_incidentio():
    fire, over = only_ours("incidentio", "incidentio_configs: [{url: '@URL/v2/alert_events/alertmanager/01ABC', alert_source_token: %s}]" %
                           services.INCIDENTIO_TOKEN)
    assert fire["status"] == "firing" and over["status"] == "resolved" and fire["alerts"][0]["labels"] == DOWN
    assert fire["groupKey"] == '{}:{alertname="Down"}' and fire["truncatedAlerts"] == 0


# One receiver for each service, with its keys in files; nothing differs but where they come from.
IN_FILES = [
    ("pagerduty", "pagerduty_configs: [{url: '@URL/v2/enqueue', routing_key_file: '@DIR/secret'}]", services.PAGERDUTY_KEY),
    ("pagerduty-1", "pagerduty_configs: [{service_key_file: '@DIR/secret', %s}]" % FIXED, services.PAGERDUTY_KEY),
    ("opsgenie", "opsgenie_configs: [{api_url: '@URL/', api_key_file: '@DIR/secret'}]", services.OPSGENIE_KEY),
    ("victorops", "victorops_configs: [{api_url: '@URL/integrations/generic/20131114/alert/', api_key_file: '@DIR/secret', routing_key: r}]",
     services.VICTOROPS_KEY),
    ("pushover", "pushover_configs: [{token_file: '@DIR/secret', user_key: %s, message: m, %s}]" % (services.PUSHOVER_USER, FIXED),
     services.PUSHOVER_TOKEN),
    ("incidentio", "incidentio_configs: [{url: '@URL/v2/alert_events/alertmanager/1', alert_source_token_file: '@DIR/secret'}]",
     services.INCIDENTIO_TOKEN),
]


def test_keys_in_files():
    with folder() as d, Services(d) as s:
        configs = [text.replace("@URL", s.url).replace("@CA", s.ca_file).replace("@DIR/secret", "%s/%s" % (d, kind))
                   for kind, text, _ in IN_FILES]
        lines = {}
        for text in configs:  # the two of PagerDuty share one list
            name, items = text.split(": ", 1)
            lines.setdefault(name, []).append(items.strip()[1:-1])
        for kind, _, key in IN_FILES:
            with open("%s/%s" % (d, kind), "w") as f:
                f.write("0" * len(key) if kind == "incidentio" else "  %s\n" % key)
        with Ours(d, config_of("\n".join("%s: [%s]" % (n, ", ".join(i)) for n, i in lines.items()))) as server:
            post_alerts(server, (DOWN, ANNOTATIONS, False))
            for kind, _, key in IN_FILES[:-1]:
                wait_for(lambda: s.took(kind), kind)
            wait_for(lambda: any(k == "incidentio" for k, *_ in s.refused), "the wrong token is refused")
            assert server.status == 1, server.output()
            with open(d + "/incidentio", "w") as f:
                f.write(services.INCIDENTIO_TOKEN)
            post_alerts(server, ({**DOWN, "instance": "other"}, ANNOTATIONS, False))
            wait_for(lambda: s.took("incidentio"), "the right one is taken")


# What a service answers, and whether it is tried again.
ANSWERS = [
    ("pagerduty", "pagerduty_configs: [{url: '@URL/v2/enqueue', routing_key: %s}]" % services.PAGERDUTY_KEY, 429, True),
    ("pagerduty-1", "pagerduty_configs: [{service_key: %s, %s}]" % (services.PAGERDUTY_KEY, FIXED), 403, True),
    ("opsgenie", "opsgenie_configs: [{api_url: '@URL/', api_key: %s}]" % services.OPSGENIE_KEY, 429, True),
    ("victorops", "victorops_configs: [{api_url: '@URL/integrations/generic/20131114/alert/', api_key: %s, routing_key: r}]" %
     services.VICTOROPS_KEY, 503, True),
    ("pushover", "pushover_configs: [{token: %s, user_key: %s, message: m, %s}]" % (services.PUSHOVER_TOKEN, services.PUSHOVER_USER, FIXED),
     500, True),
    ("sns", "sns_configs: [{api_url: '@URL', %s', %s}]" % (TOPIC, SIGV4), 500, True),
    ("jira", JIRA % ("2", ""), 429, True),
    ("incidentio", "incidentio_configs: [{url: '@URL/v2/alert_events/alertmanager/1', alert_source_token: %s}]" % services.INCIDENTIO_TOKEN,
     502, True),
    ("opsgenie", "opsgenie_configs: [{api_url: '@URL/', api_key: %s}]" % services.OPSGENIE_KEY, 422, False),
    ("pagerduty", "pagerduty_configs: [{url: '@URL/v2/enqueue', routing_key: %s}]" % services.PAGERDUTY_KEY, 400, False),
]


def test_what_may_get_better_is_tried_again():
    for kind, receiver, status, again in ANSWERS:
        with folder() as d, Services(d) as s:
            s.fail(status, "no, " + kind)
            with Ours(d, config_of(receiver.replace("@URL", s.url).replace("@CA", s.ca_file))) as server:
                post_alerts(server, (DOWN, ANNOTATIONS, False))
                if again:
                    wait_for(lambda: s.took(kind), "%s takes it after %d" % (kind, status))
                else:
                    wait_for(lambda: "no, " + kind in server.output(), "%s: the log says what was answered" % kind)
                    assert re.search(r"\b%d\b" % status, server.output()), server.output()
                    assert not s.took(kind), "%s was asked again after %d" % (kind, status)
                for secret in services.SECRETS:
                    assert secret not in server.output(), (kind, server.output())


def test_services_that_refuse_keep_their_keys_out_of_the_log():
    """Wrong keys, echoed by the service: nothing of them is told."""
    with folder() as d, Services(d) as s:
        text = "victorops_configs: [{api_url: '%s/integrations/generic/20131114/alert/', api_key: s3cret-k3y, routing_key: r}]" % s.url
        with Ours(d, config_of(text)) as server:
            post_alerts(server, (DOWN, ANNOTATIONS, False))
            wait_for(lambda: s.refused and "404" in server.output(), "the refusal is told")
            assert "s3cret-k3y" not in server.output(), server.output()
        # Nobody listens: the error of the connection has no URL either.
        text = text.replace(str(s.port), str(free_port()))
    with folder() as d:
        with Ours(d, config_of(text)) as server:
            server.timeout = "1s"
            post_alerts(server, (DOWN, ANNOTATIONS, False))
            wait_for(lambda: "victorops" in server.output().lower() and "connect" in server.output().lower(), "the failure is told")
            assert "s3cret-k3y" not in server.output(), server.output()
