# SPDX-License-Identifier: Apache-2.0
"""The dead man's switch: a URL hears of the server while all is well, and what is expected to be heard of is an alert when it is
not."""
import http.server
import json
import threading
import time

from harness import Belfry, Target, folder, wait_for


class Alertmanager:
    """Takes alerts with `status`, keeps them."""

    def __init__(self, status=200):
        self.status, self.alerts = status, []
        outer = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_POST(self):
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                if outer.status == 200:
                    outer.alerts += body
                self.send_response(outer.status)
                self.send_header("Content-Length", "0")
                self.end_headers()

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


def config_of(heartbeats, alertmanager=None):
    text = "heartbeats:\n" + heartbeats
    if alertmanager:
        text += "alerting: {alertmanagers: [{static_configs: [{targets: ['%s']}]}]}\nrule_files: [rules.yml]\n" % alertmanager.address
    return text


def write_rules(d):
    with open(d + "/rules.yml", "w") as f:
        f.write("groups: [{name: g, interval: 100ms, rules: [{alert: Always, expr: vector(1)}]}]\n")


def test_a_url_hears_of_it_while_all_is_well():
    with folder() as d, Target(lambda path: (200, {}, "OK")) as watch:
        with open(d + "/url", "w") as f:
            f.write("http://%s/ping/S3cret\n" % watch.address)
        with Belfry(d, config_of("  send: [{url_file: url, interval: 100ms, http_config: {authorization: {credentials: t0ken}}}]\n")) as b:
            wait_for(lambda: len(watch.requests) >= 3, "three heartbeats")
            path, headers = watch.requests[0]
            assert path == "/ping/S3cret" and headers["User-Agent"].startswith("Belfry/") and headers["Authorization"] == "Bearer t0ken"
            sent = b.api("heartbeats")["send"][0]
            assert sent["sent"] >= 2 and sent["failed"] == 0 and abs(sent["last"] - time.time()) < 60, sent
            assert "S3cret" not in b.output() and "belfry_heartbeats_sent_total" in b.get("/metrics")[1].decode()


def test_a_url_that_does_not_answer_is_told_of_once_and_without_its_secret():
    with folder() as d, Target(lambda path: (500, {}, "no")) as watch:
        with Belfry(d, config_of("  send: [{url: 'http://%s/S3cret', interval: 50ms}, {url: 'http://127.0.0.1:1/S3cret', interval: 50ms}]\n"
                                 % watch.address)) as b:
            wait_for(lambda: all(s["failed"] >= 4 for s in b.api("heartbeats")["send"]), "four failures of both")
            assert b.output().count("heartbeats.send[0]: unexpected status code 500") == 1, b.output()
            assert b.output().count("heartbeats.send[1]: ") == 1 and "S3cret" not in b.output(), b.output()


def test_heartbeats_are_withheld_while_alerts_do_not_get_through():
    with folder() as d, Target(lambda path: (200, {}, "OK")) as watch, Alertmanager(500) as am:
        write_rules(d)
        with Belfry(d, config_of("  send: [{url: 'http://%s/', interval: 200ms}]\n" % watch.address, am),
                    ["--rules.alert.resend-delay=200ms"]) as b:
            wait_for(lambda: "heartbeats are withheld: no Alertmanager takes alerts" in b.output(), "they are withheld", 30)
            withheld = b.api("heartbeats")["send"][0]["withheld"]
            wait_for(lambda: b.api("heartbeats")["send"][0]["withheld"] > withheld, "again")
            am.status = 200
            wait_for(lambda: "heartbeats are sent again: all is well" in b.output(), "they are sent again", 30)
            before = len(watch.requests)
            wait_for(lambda: len(watch.requests) > before, "one has come")
            assert b.output().count("are withheld") == 1, b.output()


def test_heartbeats_are_withheld_while_a_receiver_is_not_reached():
    with folder() as d, Target(lambda path: (200, {}, "OK")) as watch, Alertmanager(403) as hook:
        write_rules(d)
        with open(d + "/am.yml", "w") as f:
            f.write("route: {receiver: team, group_wait: 0s, group_interval: 200ms, repeat_interval: 200ms}\n"
                    "receivers: [{name: team, webhook_configs: [{url: 'http://%s/'}]}]\n" % hook.address)
        with Belfry(d, config_of("  send: [{url: 'http://%s/', interval: 200ms}]\n" % watch.address) + "rule_files: [rules.yml]\n",
                    ["--alertmanager.config.file=" + d + "/am.yml", "--web.enable-lifecycle"]) as b:
            wait_for(lambda: 'notifications to receiver \\"team\\" (webhook) do not get through' in b.output(), "they are withheld", 30)
            # A receiver that is gone can never get through again: it withholds nothing any more.
            with open(d + "/am.yml", "w") as f:
                f.write("route: {receiver: nobody}\nreceivers: [{name: nobody}]\n")
            assert b.request("POST", "/-/reload")[0] == 200
            came = len(watch.requests)
            wait_for(lambda: len(watch.requests) > came + 2, "heartbeats are sent again", 30)


def test_an_expected_heartbeat_that_stays_away_is_an_alert():
    with folder() as d, Alertmanager() as am:
        write_rules(d)
        config = config_of("  expect:\n  - {name: backup, within: 500ms, labels: {severity: page}, annotations: {runbook: 'http://r'}}\n"
                           "  - {name: other, within: 1h}\n", am)
        with Belfry(d, config, ["--rules.alert.resend-delay=10s"]) as b:  # what fires ends in 40 s
            def told(resolved):
                now = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime())
                found = [a for a in list(am.alerts) if a["labels"]["alertname"] == "HeartbeatMissing"]
                return [a for a in found if (a["endsAt"][:19] <= now) == resolved] and found

            alert = wait_for(lambda: told(False), "the alert")[0]
            assert alert["labels"] == {"alertname": "HeartbeatMissing", "heartbeat": "backup", "severity": "page"}, alert
            assert alert["annotations"] == {"summary": 'heartbeat "backup" has not come for more than 500ms', "runbook": "http://r"}, alert
            assert "belfry_heartbeat_last_timestamp_seconds" in alert["generatorURL"], alert
            backup, other = b.api("heartbeats")["expect"]
            assert backup == {"name": "backup", "last": None, "within": 0.5, "missing": True} and other["missing"] is False
            status, body, _ = b.request("POST", "/api/v1/heartbeats/backup")
            assert status == 200, body
            wait_for(lambda: told(True), "its end")
            assert b.request("POST", "/api/v1/heartbeats/nobody")[0] == 404 and b.request("GET", "/api/v1/heartbeats/backup")[0] == 405
            assert 'belfry_heartbeat_missing{heartbeat="other"} 0' in b.get("/metrics")[1].decode()
            assert "event=heartbeat_missing" in b.output() and "event=heartbeat_came" in b.output(), b.output()


def test_what_came_is_known_after_a_restart_and_a_reload():
    with folder() as d:
        config = config_of("  expect: [{name: backup, within: 25h}]\n")
        with Belfry(d, config, ["--web.enable-lifecycle"]) as b:
            assert b.request("POST", "/api/v1/heartbeats/backup")[0] == 200
            last = b.api("heartbeats")["expect"][0]["last"]
            with open(d + "/prometheus.yml", "w") as f:
                f.write(config + "  send: []\n")
            assert b.request("POST", "/-/reload")[0] == 200
            assert b.api("heartbeats")["expect"][0]["last"] == last
            b.stop()
        with Belfry(d, config) as b:
            assert b.api("heartbeats")["expect"] == [{"name": "backup", "last": last, "within": 90000, "missing": False}]
