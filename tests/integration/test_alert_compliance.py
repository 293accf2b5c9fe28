# SPDX-License-Identifier: Apache-2.0
"""The scenarios of the alert generator compliance specification (github.com/prometheus/compliance), with seconds for its
minutes, in Belfry and, where it is installed, in Prometheus.

Samples of the whole story are written before it begins, with their times: what a rule sees at an evaluation depends on
nothing but the time of that evaluation, which a recording rule of the same group tells. So an oracle, the specification
in a few lines, can say afterwards what each evaluation had to find: the ALERTS series, what the API showed, and what an
Alertmanager was to get. However late or seldom evaluations were, the answer is exact."""
import calendar
import contextlib
import http.server
import json
import threading
import time
import urllib.parse
import urllib.request

import remote_write as rw
from harness import Belfry, Process, Skip, folder, free_port, need, wait_for

UNIT_MS = 500       # of the stories below
STEP_MS = 125       # between two samples
INTERVAL_MS = 250   # of all groups
RESEND_MS = 600     # no multiple of the interval: the first one above it counts
LEAD_MS = 2000      # from writing the samples to the first of them
STALE = b"\x02\x00\x00\x00\x00\x00\xf0\x7f"

# Rules by group, in the order in which they are evaluated; `for` in ms. {case} of a metric is the alert's name.
GROUPS = {
    "PendingAndFiringAndResolved": [
        dict(alert="SimpleAlert", expr='m{case="SimpleAlert"} > 10', hold=1000, labels={"foo": "bar"},
             annotations={"description": "SimpleAlert is firing", "summary": "The value is {{$value}} {{.Value}}"})],
    "PendingAndResolved_AlwaysInactive": [
        dict(alert="PendingAlert", expr='m{case="PendingAlert"} > 10', hold=1500, labels={"foo": "bar"}),
        dict(alert="InactiveAlert", expr='m{case="InactiveAlert"} > 99', hold=500, labels={"ba_dum": "tss"})],
    "ZeroFor_SmallFor": [
        dict(alert="ZeroFor", expr='m{case="ZeroFor"} > 10', hold=0, labels={"foo": "bar"},
             annotations={"description": "This should immediately fire",
                          "template_test": "{{humanize 1048576}} {{humanize1024 1048576}} {{humanizeDuration 135.3563}} "
                                           "{{humanizePercentage 0.959}} {{humanizeTimestamp 1643114203}}"}),
        dict(alert="SmallFor", expr='m{case="SmallFor"} > 13', hold=50, labels={"ba_dum": "tss"},
             annotations={"template_test": '{{title "this part"}} {{toUpper "is testing"}} {{stripPort "[::1]:6006"}} '
                                           '{{parseDuration "2h10m15s"}}. {{if match "[0-9]+" "1234"}}'
                                           '{{reReplaceAll "r.*d" "replaced" "rpld text"}}{{end}}.'})],
    "NewAlerts_OrderCheck": [
        dict(alert="Rule1", expr='m{case="Rule1"} > 10', hold=750, labels={"foo": "bar"},
             annotations={"description": "This should produce more alerts later"}),
        dict(alert="Rule2", hold=0, labels={"foo": "baz", "ba_dum": "tss"},
             expr='(ALERTS{alertstate="firing",alertname="Rule1",variant="one"} + ignoring(variant) '
                  'ALERTS{alertstate="firing",alertname="Rule1",variant="two"}) == 2',
             annotations={"description": "Old alertname was {{$labels.alertname}}. foo was {{.Labels.foo}}."})],
    "Absent": [
        dict(alert="Gone", expr='absent(m{case="Gone"})', hold=300, annotations={"case": "{{ $labels.case }}"})],
    "Labels": [
        dict(alert="Labels", expr='m{case="Labels"} > 10', hold=0,
             labels={"case": "of {{ $labels.instance }}", "instance": "", "severity": "{{ if gt $value 20.0 }}high"
                     "{{ else }}low{{ end }}"}),
        dict(alert="Same", expr='m{case=~"Labels|Rule1"} > 0', hold=0, labels={"case": "x", "variant": "", "instance": ""})],
}
EXPANDED = {  # annotations that do not depend on the alert, as Prometheus 2.42 expands them
    GROUPS["ZeroFor_SmallFor"][0]["annotations"]["template_test"]:
        "1.049M 1Mi 2m 15s 95.9% 2022-01-25 12:36:43 +0000 UTC",
    GROUPS["ZeroFor_SmallFor"][1]["annotations"]["template_test"]:
        "This Part IS TESTING ::1 7815. replaced text.",
}


def runs(*pairs):
    """(value, units of time) ... -> one value per step; None: no sample, "stale": a stale marker."""
    return [v for value, units in pairs for v in [value] * int(units * UNIT_MS / STEP_MS)]


# The labels of a series and its story.
STORIES = [
    ({"case": "SimpleAlert"}, runs((1, 1), (11, 3.5), (15, 1), (5, 1.5), (12, 3), (1, 1))),
    ({"case": "PendingAlert"}, runs((1, 1), (11, 1.5), (1, 1), (11, 2), (1, 1))),
    ({"case": "InactiveAlert"}, runs((1, 2), (99, 3), (5, 1))),
    ({"case": "ZeroFor"}, runs((1, 1), (11, 2), (1, 2.5), (12, 2), (1, 1))),
    ({"case": "SmallFor"}, runs((1, 1.5), (14, 2.5), (1, 1), (15, 0.5), (1, 1))),
    ({"case": "Rule1", "variant": "one"}, runs((1, 0.5), (11, 8), (1, 1))),
    ({"case": "Rule1", "variant": "two"}, runs((1, 2.5), (11, 5), (1, 1))),
    ({"case": "Gone"}, runs((None, 1), (1, 2), ("stale", 0.25), (None, 3), (1, 1))),
    ({"case": "Labels", "instance": "a"}, runs((1, 1), (15, 2), (25, 2), (1, 1))),
]
SECONDS = max(len(s) for _, s in STORIES) * STEP_MS / 1000


def duration(ms):
    return "%dms" % ms


def rule_file():
    groups = []
    for name, rules in GROUPS.items():
        out = [{"record": "evaluated", "expr": "vector(1)", "labels": {"of": name}}]
        for r in rules:
            rule = {"alert": r["alert"], "expr": r["expr"], "labels": dict(r.get("labels", {}), rulegroup=name),
                    "annotations": r.get("annotations", {})}
            if r["hold"]:
                rule["for"] = duration(r["hold"])
            out.append(rule)
        groups.append({"name": name, "interval": duration(INTERVAL_MS), "rules": out})
    return json.dumps({"groups": groups}, indent=1)


class Alertmanager:
    """Remembers the alerts that were posted, in order."""

    def __init__(self):
        self.alerts, self.wrong, self.mutex = [], [], threading.Lock()
        outer = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self):
                body = self.rfile.read(int(self.headers["Content-Length"]))
                with outer.mutex:
                    if self.path != "/api/v2/alerts" or self.headers["Content-Type"] != "application/json":
                        outer.wrong.append((self.path, dict(self.headers)))
                    outer.alerts += json.loads(body)
                self.send_response(200)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *_):
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.address = "127.0.0.1:%d" % self.server.server_address[1]
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def of(self, key):
        with self.mutex:
            return [a for a in self.alerts if key_of(a["labels"]) == key]

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.server.shutdown()
        self.server.server_close()


class Server:
    """Belfry or Prometheus, by the API that both have."""

    def __init__(self, name, port, process):
        self.name, self.port, self.process = name, port, process

    def request(self, method, path, body=None, headers=None):
        r = urllib.request.Request("http://127.0.0.1:%d%s" % (self.port, path), body, headers or {}, method=method)
        with urllib.request.urlopen(r, timeout=60) as answer:
            return answer.status, answer.read(), dict(answer.headers)

    def api(self, path, **args):
        return json.loads(self.request("GET", "/api/v1/%s?%s" % (path, urllib.parse.urlencode(args)))[1])["data"]


def key_of(labels):
    return json.dumps(labels, sort_keys=True)


def ms_of(text):
    """RFC 3339 in UTC, with any number of decimals, cut to ms."""
    whole, _, rest = text.rstrip("Z").partition(".")
    seconds = time.strptime(whole + " UTC", "%Y-%m-%dT%H:%M:%S %Z")
    return calendar.timegm(seconds) * 1000 + int((rest + "000")[:3])


# --- the oracle ---

def value_at(story, zero_ms, t):
    """Of the newest sample at or before t; None: there is none, or it is a stale marker."""
    at = (t - zero_ms) // STEP_MS
    known = [v for v in story[:max(at + 1, 0)] if v is not None]
    return None if not known or known[-1] == "stale" else known[-1]


def series_at(zero_ms, t, case):
    found = [(labels, value_at(story, zero_ms, t)) for labels, story in STORIES if labels["case"] == case]
    return [(labels, v) for labels, v in found if v is not None]


def results_of(rule, zero_ms, t, firing):
    """(labels without name, value) that the expression gives at t; `firing`: what Rule1 has just found."""
    name = rule["alert"]
    above = {"SimpleAlert": 10, "PendingAlert": 10, "InactiveAlert": 99, "ZeroFor": 10, "SmallFor": 13, "Rule1": 10,
             "Labels": 10}
    if name in above:
        return [(labels, v) for labels, v in series_at(zero_ms, t, name) if v > above[name]]
    if name == "Gone":
        return [] if series_at(zero_ms, t, "Gone") else [({"case": "Gone"}, 1)]
    assert name == "Rule2"
    if {json.loads(k)["variant"] for k in firing} != {"one", "two"}:
        return []
    return [({"alertname": "Rule1", "alertstate": "firing", "case": "Rule1", "foo": "bar",
              "rulegroup": "NewAlerts_OrderCheck"}, 2)]


def expand(template, labels, value):
    if template in EXPANDED:
        return EXPANDED[template]
    for name in ("case", "instance", "alertname", "foo"):
        for form in ("{{ $labels.%s }}", "{{$labels.%s}}", "{{.Labels.%s}}"):
            template = template.replace(form % name, labels.get(name, ""))
    template = template.replace("{{ if gt $value 20.0 }}high{{ else }}low{{ end }}", "high" if value > 20 else "low")
    return template.replace("{{$value}}", "%g" % value).replace("{{.Value}}", "%g" % value)


class Oracle:
    """A rule group by the specification: evaluate(t) at each evaluation's time, in order."""

    def __init__(self, group):
        self.group, self.rules = group, GROUPS[group]
        self.alerts = {}       # (rule, key) -> state, active, fired, resolved, sent, annotations, value
        self.series = {}       # key of ALERTS -> times
        self.posts = {}        # key of labels -> [(startsAt, endsAt, annotations)]
        self.states = []       # after each evaluation: {rule: {key: (state, activeAt, value, annotations)}}

    def evaluate(self, t, zero_ms):
        state, firing = {}, []
        for rule in self.rules:
            name = rule["alert"]
            state[name] = {}
            if name == "Same":
                continue  # gives two alerts with the same labels: fails
            seen = set()
            for labels, value in results_of(rule, zero_ms, t, firing):
                own = {k: expand(v, labels, value) for k, v in dict(rule.get("labels", {}), rulegroup=self.group).items()}
                full = {k: v for k, v in {**labels, **own, "alertname": name}.items() if v}
                key = key_of(full)
                seen.add(key)
                a = self.alerts.get((name, key))
                if a is None or a["state"] == "inactive":
                    a = self.alerts[name, key] = dict(state="pending", active=t, sent=None, resolved=None, fired=None)
                a["value"] = value
                a["annotations"] = {k: expand(v, labels, value) for k, v in rule.get("annotations", {}).items()}
            for (of, key), a in list(self.alerts.items()):
                if of != name:
                    continue
                self.step(rule, key, a, t, key in seen)
                if a["state"] == "firing" and name == "Rule1":
                    firing.append(key)
                if a["state"] in ("pending", "firing"):
                    series = dict(json.loads(key), __name__="ALERTS", alertstate=a["state"])
                    self.series.setdefault(key_of(series), []).append(t)
                    state[name][key] = (a["state"], a["active"], a["value"], a["annotations"])
        self.states.append(state)

    def step(self, rule, key, a, t, given):
        if not given:
            if a["state"] == "pending":
                del self.alerts[rule["alert"], key]
                a["state"] = "never fired"
                return
            if a["state"] == "firing":
                a["state"], a["resolved"] = "inactive", t
        elif a["state"] == "pending" and t - a["active"] >= rule["hold"]:
            a["state"], a["fired"] = "firing", t
        due = a["sent"] is None or a["sent"] + RESEND_MS < t or (a["state"] == "inactive" and a["resolved"] > a["sent"])
        if a["state"] in ("firing", "inactive") and due:
            a["sent"] = t
            ends = a["resolved"] if a["state"] == "inactive" else t + 4 * max(RESEND_MS, INTERVAL_MS)
            self.posts.setdefault(key, []).append((a["fired"], ends, a["annotations"]))


# --- what is compared ---

def times_of(server, selector):
    """{key of labels: [ms]} of all stored samples."""
    now = time.time()
    result = server.api("query", query=selector + "[5m]", time=now)["result"]
    return {key_of(s["metric"]): [round(float(t) * 1000) for t, _ in s["values"]] for s in result}


def check_series(server, oracle, zero_ms, until):
    """Since the story began: in the first evaluations of a server rules with `for` are not written yet, as it looks whether
    they were pending before."""
    def within(series):
        cut = {k: [t for t in times if zero_ms <= t <= until] for k, times in series.items()}
        return {k: times for k, times in cut.items() if times}
    stored = times_of(server, 'ALERTS{rulegroup="%s"}' % oracle.group)
    assert within(stored) == within(oracle.series), (server.name, oracle.group, stored, oracle.series)


def check_posts(server, oracle, manager, zero_ms):
    """Alerts that began before the story may have been told to nobody: Prometheus knows its Alertmanagers only later."""
    for key, expected in oracle.posts.items():
        expected = [p for p in expected if p[0] >= zero_ms]

        def got():
            return [(ms_of(a["startsAt"]), ms_of(a["endsAt"]), a.get("annotations", {})) for a in manager.of(key)
                    if ms_of(a["startsAt"]) >= zero_ms]
        wait_for(lambda: len(got()) >= len(expected), "%s: posts of %s" % (server.name, key), 30)
        assert got()[:len(expected)] == expected, (server.name, key, got(), expected)


def check_shown(server, oracle, snapshots):
    """What the API showed at any time is what some evaluation left, and never goes back."""
    for rule in (r["alert"] for r in oracle.rules):
        at, states = 0, [{}] + [s[rule] for s in oracle.states]
        for snapshot in snapshots:
            shown = snapshot[oracle.group].get(rule)
            if shown is None:
                continue  # not evaluated yet
            while at < len(states) and states[at] != shown:
                at += 1
            assert at < len(states), (server.name, rule, shown, states)


def snapshot_of(server):
    """{group: {rule: {key: (state, activeAt, value, annotations)}}}, and the same of /api/v1/alerts must exist there."""
    out = {}
    for group in server.api("rules", type="alert")["groups"]:
        if group["name"] not in GROUPS:
            continue
        out[group["name"]] = {}
        for rule in group["rules"]:
            if rule["health"] == "unknown":
                continue
            alerts = {key_of(a["labels"]): (a["state"], ms_of(a["activeAt"]), float(a["value"]), a.get("annotations", {}))
                      for a in rule["alerts"]}
            states = [a[0] for a in alerts.values()]
            worst = "firing" if "firing" in states else "pending" if states else "inactive"
            assert rule["state"] == worst, rule
            assert rule["health"] == ("err" if rule["name"] == "Same" else "ok") or not alerts, rule
            out[group["name"]][rule["name"]] = alerts
    return out


def tell_story(server, manager):
    """Writes the samples, watches, and compares."""
    wait_for(lambda: server.api("alertmanagers")["activeAlertmanagers"] ==
             [{"url": "http://%s/api/v2/alerts" % manager.address}], server.name + " knows its Alertmanager", 60)
    zero_ms = int(time.time() * 1000) + LEAD_MS
    messages = []
    for labels, story in STORIES:
        samples = [(zero_ms + i * STEP_MS, STALE if v == "stale" else v) for i, v in enumerate(story) if v is not None]
        messages.append(rw.series(dict(labels, __name__="m"), *samples))
    status, text = rw.post(server, *messages)
    if time.time() * 1000 >= zero_ms:
        raise Skip("this machine is too slow: the samples were written after their time")
    assert status in (200, 204), (status, text)
    snapshots, listed = [], set()
    while time.time() * 1000 < zero_ms + SECONDS * 1000 + 3 * RESEND_MS:
        if server.name == "Belfry":  # Prometheus shows alerts that it is changing meanwhile
            snapshots.append(snapshot_of(server))
        listed |= {key_of(a["labels"]) for a in server.api("alerts")["alerts"]}
        time.sleep(0.1)
    with manager.mutex:
        told = {key_of(a["labels"]) for a in manager.alerts}
    active, due = set(), set()
    evaluated = times_of(server, "evaluated")
    for group in GROUPS:
        times = evaluated[key_of({"__name__": "evaluated", "of": group})]
        oracle = Oracle(group)
        for t in times:
            oracle.evaluate(t, zero_ms)
        assert sum(t >= zero_ms for t in times) >= 3, (server.name, group, "hardly evaluated at all", times)
        check_series(server, oracle, zero_ms, times[-1])
        check_posts(server, oracle, manager, zero_ms)
        check_shown(server, oracle, [s for s in snapshots if group in s])
        active |= {key for state in oracle.states for alerts in state.values() for key in alerts}
        due |= set(oracle.posts)
    assert not manager.wrong, manager.wrong
    assert told and told <= due, (server.name, told - due)  # neither what only was pending nor what failed
    assert listed and listed <= active, (server.name, listed - active)


CONFIG = """global: {evaluation_interval: 250ms}
rule_files: [rules.yml]
alerting: {alertmanagers: [{static_configs: [{targets: ["%s"]}]}]}
"""
FLAGS = ["--web.enable-remote-write-receiver", "--rules.alert.resend-delay=" + duration(RESEND_MS)]


def test_belfry_generates_alerts_as_specified():
    with folder() as d, Alertmanager() as manager:
        with open(d + "/rules.yml", "w") as f:
            f.write(rule_file())
        with Belfry(d, CONFIG % manager.address, FLAGS) as b:
            tell_story(Server("Belfry", b.port, b), manager)


def test_prometheus_does_the_same():
    prometheus = need("prometheus")
    with folder() as d, Alertmanager() as manager, contextlib.ExitStack() as stack:
        for name, content in (("rules.yml", rule_file()), ("prometheus.yml", CONFIG % manager.address)):
            with open(d + "/" + name, "w") as f:
                f.write(content)
        port = free_port()
        p = stack.enter_context(Process([prometheus, "--config.file=prometheus.yml", "--storage.tsdb.path=data",
                                         "--web.listen-address=127.0.0.1:%d" % port] + FLAGS, d, name="prometheus"))
        server = Server("Prometheus", port, p)
        wait_for(lambda: server.request("GET", "/-/ready")[0] == 200, "Prometheus is ready", 60)
        tell_story(server, manager)
