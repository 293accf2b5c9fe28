# SPDX-License-Identifier: Apache-2.0
"""The same configuration, alerts and silences in Debian's Alertmanager and in Belfry, at the same time: both must notify the same
receivers of the same groups at the same times (within a second), with the same JSON but for fields that are newer."""
import collections
import datetime
import http.client
import http.server
import json
import os
import threading
import time

import alert_scenarios
from harness import Belfry, Process, folder, free_port, need, wait_for

APART_S = 1.0


class Sink:
    """Takes webhooks: .got has (seconds since start, path, payload). Paths: .../fail-once answers 500 to a group's first request,
    refuse-once 400, slow answers after two seconds."""

    def __init__(self):
        self.got, self.seen, self.lock = [], set(), threading.Lock()
        self.start = time.monotonic()
        sink = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self):
                payload = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                status = sink.take(self.path, payload)
                self.send_response(status)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *args):
                pass

        class Server(http.server.ThreadingHTTPServer):
            request_queue_size = 512
            daemon_threads = True

        self.server = Server(("127.0.0.1", 0), Handler)
        self.port = self.server.server_address[1]
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def take(self, path, payload):
        with self.lock:
            self.got.append((time.monotonic() - self.start, path, payload))
            first = (path, payload["groupKey"]) not in self.seen
            self.seen.add((path, payload["groupKey"]))
        if path.endswith("/slow"):
            time.sleep(2)
        return 500 if first and path.endswith("/fail-once") else 400 if first and path.endswith("/refuse-once") else 200


def configuration(port):
    """alertmanager.yml, as JSON, which is YAML."""
    def hook(receiver, fields, idx):
        fields = dict(fields)
        path = "/".join(p for p in (receiver, fields.pop("path", str(idx))) if p)
        return {"url": "http://127.0.0.1:%d/%s" % (port, path), **fields}

    receivers, routes, inhibit = [{"name": "unrouted"}], [], []
    for name, s in alert_scenarios.SCENARIOS.items():
        for r in [{"name": name, "webhook_configs": [s["first"]]}] + s["receivers"]:
            hooks = [hook(r["name"], w, i) for i, w in enumerate(r.get("webhook_configs", []))]
            receivers.append({"name": r["name"], **({"webhook_configs": hooks} if hooks else {})})
        routes.append({"receiver": name, "matchers": ["scenario=" + name], **s["route"]})
        own = ["scenario=" + name]
        inhibit += [{**rule, "source_matchers": rule["source_matchers"] + own, "target_matchers": rule["target_matchers"] + own}
                    for rule in s["inhibit"]]
    intervals = [{"name": "always", "time_intervals": [{"years": ["2020:2100"]}]},
                 {"name": "never", "time_intervals": [{"years": ["2000"]}]}]
    return json.dumps({"global": {"resolve_timeout": "5s"}, "inhibit_rules": inhibit, "time_intervals": intervals, "receivers": receivers,
                       "route": {"receiver": "unrouted", "group_by": ["alertname"], "group_wait": "1s", "group_interval": "3s",
                                 "repeat_interval": "1h", "routes": routes}}, indent=1)


def post(port, path, body):
    c = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    try:
        c.request("POST", path, json.dumps(body), {"Content-Type": "application/json"})
        r = c.getresponse()
        text = r.read()
        assert r.status == 200, (port, path, r.status, text)
    finally:
        c.close()


def rfc3339(base, seconds):
    when = base + datetime.timedelta(seconds=seconds)
    return when.strftime("%Y-%m-%dT%H:%M:%S.") + "%03dZ" % (when.microsecond // 1000)


def request_of(name, what, base):
    """(path, body) of one thing that happens."""
    if what[0] == "silence":
        _, at, ends, matchers = what
        listed = [{"name": "scenario", "value": name, "isRegex": False, "isEqual": True}]
        for m in matchers:
            regex, equal = m[2:] or (False, True)
            listed.append({"name": m[0], "value": m[1], "isRegex": regex, "isEqual": equal})
        return "/api/v2/silences", {"matchers": listed, "startsAt": rfc3339(base, at), "endsAt": rfc3339(base, ends), "createdBy": "test",
                                    "comment": name}
    _, at, labels, starts, ends, annotations, with_times = what
    a = {"labels": {**labels, "scenario": name}, "annotations": annotations, "generatorURL": "http://prometheus.example/graph?g0.expr=up"}
    if with_times:
        a.update(startsAt=rfc3339(base, starts), endsAt=rfc3339(base, starts + 60 if ends is None else ends))
    return "/api/v2/alerts", [a]


def play(ports):
    """Does everything at its time, with each of the ports."""
    base = datetime.datetime.now(datetime.timezone.utc).replace(tzinfo=None) + datetime.timedelta(seconds=0.2)
    start = time.monotonic() + 0.2
    steps = collections.defaultdict(list)
    for name, s in alert_scenarios.SCENARIOS.items():
        for what in s["happens"]:
            path, body = request_of(name, what, base)
            steps[what[1], path].append(body)
    for (at, path), bodies in sorted(steps.items()):
        time.sleep(max(0, start + at - time.monotonic()))
        if path.endswith("alerts"):
            bodies = [[a for body in bodies for a in body]]
        for body in bodies:
            threads = [threading.Thread(target=post, args=(port, path, body)) for port in ports]
            [t.start() for t in threads]
            [t.join() for t in threads]
    time.sleep(max(0, start + alert_scenarios.SECONDS - time.monotonic()))


def by_group(sink):
    groups = collections.defaultdict(list)
    for at, path, payload in sink.got:
        groups[path, payload["groupKey"]].append((at, payload))
    return groups


def strip(payload, like=None):
    """Without what differs between the two or is newer than `like`."""
    if like is not None:
        payload = {k: v for k, v in payload.items() if k in like}
    return {k: v for k, v in payload.items() if k != "externalURL"}


def without_guesses(path, payload):
    """Where nobody said when the alert began or ended, each server guessed."""
    if path.startswith("/times_unsaid/"):
        payload = json.loads(json.dumps(payload))
        for a in payload["alerts"]:
            a["startsAt"] = a["endsAt"] = "?"
    return payload


def compare(theirs, ours):
    """Sentences about what differs."""
    wrong = []
    for key in sorted(set(theirs) | set(ours)):
        a, b = theirs.get(key, []), ours.get(key, [])
        if len(a) != len(b):
            wrong.append("%s: Alertmanager at %s, Belfry at %s" % (key, ["%.1f" % t for t, _ in a], ["%.1f" % t for t, _ in b]))
            continue
        for n, ((ta, pa), (tb, pb)) in enumerate(zip(a, b)):
            if abs(ta - tb) > APART_S:
                wrong.append("%s, notification %d: Alertmanager at %.2f s, Belfry at %.2f s" % (key, n, ta, tb))
            pa, pb = without_guesses(key[0], strip(pa)), without_guesses(key[0], strip(pb, pa))
            if pa != pb:
                wrong.append("%s, notification %d:\n  %s\n  %s" % (key, n, json.dumps(pa, sort_keys=True), json.dumps(pb, sort_keys=True)))
    return wrong


def start_alertmanager(cwd, sink):
    path = os.path.join(cwd, "peer.yml")
    with open(path, "w") as f:
        f.write(configuration(sink.port))
    port = free_port()
    process = Process([need("prometheus-alertmanager"), "--config.file=" + path, "--storage.path=" + os.path.join(cwd, "peer"),
                       "--web.listen-address=127.0.0.1:%d" % port, "--cluster.listen-address=", "--log.level=warn"], cwd, name="alertmanager")

    def ready():
        c = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
        try:
            c.request("GET", "/-/ready")
            return c.getresponse().status == 200
        finally:
            c.close()
    wait_for(ready, "Alertmanager ready: " + process.output()[-2000:])
    return process, port


def test_belfry_notifies_as_alertmanager_does():
    need("prometheus-alertmanager")
    with folder() as cwd:
        theirs, ours = Sink(), Sink()
        path = os.path.join(cwd, "alertmanager.yml")
        with open(path, "w") as f:
            f.write(configuration(ours.port))
        peer, port = start_alertmanager(cwd, theirs)
        with peer, Belfry(cwd, "scrape_configs: []\n", ["--alertmanager.config.file=" + path]) as belfry:
            play([port, belfry.port])
        a, b = by_group(theirs), by_group(ours)
        wrong = compare(a, b)
        print("%d scenarios, %d groups, %d notifications" % (len(alert_scenarios.SCENARIOS), len(a), len(theirs.got)))
        assert not wrong, "\n".join(wrong)
