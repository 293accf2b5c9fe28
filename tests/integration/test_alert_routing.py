# SPDX-License-Identifier: Apache-2.0
"""The Alertmanager inside a running server: from a rule to a receiver on loopback; what a reload, a kill and a receiver that is
down do to it, and what is said of it."""
import http.server
import json
import threading

from harness import Belfry, folder, wait_for

RULES = """groups:
- name: g
  interval: 1s
  rules:
  - {alert: Always, expr: 'vector(2) > 1', labels: {sev: page}, annotations: {summary: 'value {{ $value }}'}}
  - {alert: Quiet, expr: 'vector(2) > 1', labels: {sev: warn}}
"""
CONFIG = """global: {external_labels: {site: a}, scrape_interval: 1h}
rule_files: [r.yml]
alerting: {alert_relabel_configs: [{target_label: env, replacement: test}]}
"""
ROUTES = """route: {receiver: hook, group_by: [alertname], group_wait: 0s, group_interval: 1s, repeat_interval: 1h}
inhibit_rules: [{name: pages, source_matchers: [sev=page], target_matchers: [sev=warn], equal: [site]}]
receivers: [{name: hook, webhook_configs: [{url: 'http://127.0.0.1:%d/secret'}]}]
"""


class Receiver:
    """A webhook that keeps what it is sent; `status` is what it answers."""

    def __init__(self):
        self.got, self.status = [], 200
        outer = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_POST(self):
                body = json.loads(self.rfile.read(int(self.headers["content-length"])))
                if outer.status == 200:
                    outer.got.append(body)
                self.send_response(outer.status)
                self.end_headers()

            def log_message(self, *_):
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.port = self.server.server_port
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.server.shutdown()
        self.server.server_close()


def put(path, content):
    with open(path, "w") as f:
        f.write(content)


def prepare(d, port):
    put(d + "/r.yml", RULES)
    put(d + "/am.yml", ROUTES % port)
    return ("--alertmanager.config.file=am.yml", "--web.enable-lifecycle")


def metrics_of(b):
    return b.get("/metrics")[1].decode()


def explain(b, labels):
    return b.api("alerts/explain", labels=labels, relabel="true")


def test_a_rule_is_told_with_external_labels_and_relabelling():
    with folder() as d, Receiver() as r:
        flags = prepare(d, r.port)
        with Belfry(d, CONFIG, flags) as b:
            wait_for(lambda: r.got, "a notification")
            alert = r.got[0]["alerts"][0]
            assert alert["labels"] == {"alertname": "Always", "sev": "page", "site": "a", "env": "test"}, alert
            assert alert["annotations"] == {"summary": "value 2"} and alert["status"] == "firing"
            assert r.got[0]["groupKey"] == '{}:{alertname="Always"}' and r.got[0]["receiver"] == "hook"
            x = explain(b, '{alertname="Always",sev="page"}')
            assert x["rule"]["name"] == "Always" and x["groups"][0]["integrations"][0]["toldFiring"], x
            wait_for(lambda: explain(b, '{alertname="Always",sev="page"}')["sends"], "the history of what was sent")
            x = explain(b, '{alertname="Quiet",sev="warn"}')
            assert [i["name"] for i in x["inhibitedBy"]] == ["pages"], x
            assert x["inhibitedBy"][0]["sourceLabels"]["alertname"] == "Always"
            assert not any(a["labels"]["alertname"] == "Quiet" for n in r.got for a in n["alerts"])
            metrics = metrics_of(b)
            for line in ('alertmanager_alerts_received_total{status="firing",version="v2"} ', "alertmanager_config_hash ",
                         'alertmanager_notifications_total{integration="webhook",receiver_name="hook"} 1',
                         "alertmanager_config_last_reload_successful 1"):
                assert line in metrics, line
            assert "secret" not in metrics and "/secret" not in b.output()


def test_a_bad_file_changes_nothing_and_a_good_one_does():
    with folder() as d, Receiver() as r:
        flags = prepare(d, r.port)
        with Belfry(d, CONFIG, flags) as b:
            wait_for(lambda: r.got, "a notification")
            put(d + "/am.yml", (ROUTES % r.port) + "nonsense: 1\n")
            status, body = b.request("POST", "/-/reload")[:2]
            assert status == 500 and b"am.yml:4:1: " in body, body
            assert "alertmanager_config_last_reload_successful 0" in metrics_of(b)
            put(d + "/am.yml", (ROUTES % r.port).replace("sev=page", "sev=none"))
            assert b.request("POST", "/-/reload")[0] == 200
            wait_for(lambda: any(n["alerts"][0]["labels"]["alertname"] == "Quiet" for n in r.got),
                     "what is no longer inhibited")
            told = [n["alerts"][0]["labels"]["alertname"] for n in r.got]
            assert told.count("Always") == 1, told


def test_a_kill_sends_nothing_twice_and_loses_no_end():
    with folder() as d, Receiver() as r:
        flags = prepare(d, r.port)
        with Belfry(d, CONFIG, flags) as b:
            wait_for(lambda: r.got, "a notification")
            wait_for(lambda: explain(b, '{alertname="Always",sev="page"}')["sends"], "it is written")
            b.stop(9)
        with Belfry(d, CONFIG, flags) as b:
            wait_for(lambda: explain(b, '{alertname="Always",sev="page"}')["groups"][0]["lastFlush"], "a flush after the kill")
            assert len(r.got) == 1, r.got
            put(d + "/r.yml", RULES.replace("vector(2) > 1", "vector(2) < 1"))
            assert b.request("POST", "/-/reload")[0] == 200
            x = explain(b, '{alertname="Always",sev="page"}')
            assert x["alert"]["state"] == "firing"  # a changed rule says nothing of its alerts: they end by their time
            assert len(r.got) == 1, r.got


def test_a_receiver_that_is_down_is_told_when_it_is_back():
    with folder() as d, Receiver() as r:
        flags = prepare(d, r.port)
        r.status = 500
        with Belfry(d, CONFIG, flags) as b:
            wait_for(lambda: [m for m in metrics_of(b).split("\n") if m.startswith("alertmanager_notification_requests_failed_total{")
                              and not m.endswith(" 0")], "a failed attempt")
            r.status = 200
            wait_for(lambda: r.got, "the notification", seconds=30)
            assert len(r.got) == 1


def test_bad_files_and_flags_are_told_at_start():
    with folder() as d:
        put(d + "/r.yml", RULES)
        put(d + "/am.yml", "route: {receiver: nobody}\nreceivers: [{name: hook}]\n")
        with Belfry(d, CONFIG, ("--alertmanager.config.file=am.yml",), ready=False) as b:
            assert b.proc.wait(20) != 0
            assert 'undefined receiver "nobody"' in b.output(), b.output()
