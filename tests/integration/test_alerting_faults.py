# SPDX-License-Identifier: Apache-2.0
"""The alerting server under faults: what clients send wrong, secrets, a database that is locked, full, read-only or damaged,
and kill -9 at any moment. What was promised stays; alerts go out whatever happens to the database."""
import datetime
import http.client
import http.server
import json
import os
import random
import re
import resource
import signal
import sqlite3
import threading
import time

from harness import BELFRY, Belfry, Process, Skip, folder, free_port, need, run, wait_for

SECRETS = ["s3cret-%d" % i for i in range(12)]


def now(seconds=0):
    t = datetime.datetime.now(datetime.timezone.utc) + datetime.timedelta(seconds=seconds)
    return t.isoformat().replace("+00:00", "Z")


class Hook:
    """A webhook that keeps what it is told, and when."""

    def __init__(self, delay=lambda: 0):
        self.told, self.lock = [], threading.Lock()
        outer = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self):
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                with outer.lock:
                    outer.told.append(body)
                time.sleep(delay())
                self.send_response(200)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *_):
                pass

        class Server(http.server.ThreadingHTTPServer):
            daemon_threads = True
            request_queue_size = 128

            def handle_error(self, *_):
                pass  # killed clients are what the tests are about

        self.server = Server(("127.0.0.1", 0), Handler)
        self.url = "http://127.0.0.1:%d/" % self.server.server_address[1]
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def names(self, status="firing"):
        """The alerts of all notifications, one each."""
        with self.lock:
            return [a["labels"].get("alertname") for n in self.told for a in n["alerts"] if a["status"] == status]

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.server.shutdown()
        self.server.server_close()


def config(url, more=""):
    return """
route: {receiver: team, group_by: [alertname], group_wait: 0s, group_interval: 1s, repeat_interval: 24h}
receivers:
- name: team
  webhook_configs: [{url: '%s', send_resolved: false}]
%s""" % (url, more)


class Server(Belfry):
    def __init__(self, cwd, text, **more):
        if "alertmanager.config.file" not in run(BELFRY, "server", "--help")[1]:
            raise Skip("this belfry has no Alertmanager inside")
        path = os.path.join(cwd, "alertmanager.yml")
        with open(path, "w") as f:
            f.write(text)
        super().__init__(cwd, "global: {}\n", ["--alertmanager.config.file=" + path], **more)

    def post(self, path, body):
        text = body if isinstance(body, (str, bytes)) else json.dumps(body)
        return self.request("POST", path, text, {"Content-Type": "application/json"}, timeout=20)[:2]

    def alerts(self, *names):
        status, body = self.post("/api/v2/alerts", [{"labels": {"alertname": n, "job": "node"}, "endsAt": now(3600)} for n in names])
        assert status == 200, (status, body)

    def silence(self, name, seconds=3600):
        """The id, once it is promised."""
        status, body = self.post("/api/v2/silences", {
            "matchers": [{"name": "alertname", "value": name, "isRegex": False}], "startsAt": now(), "endsAt": now(seconds),
            "createdBy": "me", "comment": name})
        assert status == 200, (status, body)
        return json.loads(body)["silenceID"]


class Alertmanager(Process):
    def __init__(self, cwd, text):
        self.port = free_port()
        with open(cwd + "/peer.yml", "w") as f:
            f.write(text)
        super().__init__([need("prometheus-alertmanager"), "--config.file=" + cwd + "/peer.yml", "--storage.path=" + cwd + "/peer",
                          "--web.listen-address=127.0.0.1:%d" % self.port, "--cluster.listen-address="], cwd, name="alertmanager")
        wait_for(lambda: self.request("GET", "/-/ready")[0] == 200, "Alertmanager is ready")

    request, post = Belfry.request, Server.post


# --- what clients send wrong ---

LABELS = '{"labels": {"alertname": "x"}%s}'
BAD_ALERTS = ["", "[", "{}", "null", "3", '"x"', "[3]", "[null]", "[[]]", "[{}]", '[{"labels": {}}]', '[{"labels": null}]', '[{"labels": []}]',
              '[{"labels": {"": "x"}}]', '[{"labels": {"a": ""}}]', '[{"labels": {"a": 3}}]', '[{"labels": {"a-b": "c"}}]',
              "[%s]" % (LABELS % ', "startsAt": "yesterday"'), "[%s]" % (LABELS % ', "startsAt": 3'),
              "[%s]" % (LABELS % ', "startsAt": "2026-01-02T00:00:00Z", "endsAt": "2026-01-01T00:00:00Z"'),
              "[%s]" % (LABELS % ', "annotations": {"a": 3}'), "[%s]" % (LABELS % ', "annotations": {"": "x"}'),
              "[%s]" % (LABELS % ', "generatorURL": "not a url"'), b'[{"labels": {"a": "\xff"}}]',
              "[%s, %s]" % (LABELS % "", '{"labels": {}}'), "[" * 100000]
SILENCE = '{"matchers": [%s], "startsAt": "2099-01-01T00:00:00Z", "endsAt": "2099-01-02T00:00:00Z", "createdBy": "a", "comment": "b"}'
MATCHER = '{"name": "%s", "value": "%s", "isRegex": %s}'
BAD_SILENCES = ["", "[]", "{}", "null", SILENCE % "", SILENCE % (MATCHER % ("a", "", "false")), SILENCE % (MATCHER % ("a", ".*", "true")),
                SILENCE % (MATCHER % ("a", "(", "true")), SILENCE % (MATCHER % ("", "b", "false")), SILENCE % '{"name": "a"}',
                (SILENCE % (MATCHER % ("a", "b", "false"))).replace("2099-01-02", "2098-01-02"),
                (SILENCE % (MATCHER % ("a", "b", "false"))).replace("2099-", "2001-"),
                (SILENCE % (MATCHER % ("a", "b", "false"))).replace('"comment": "b"', '"x": 1'),
                (SILENCE % (MATCHER % ("a", "b", "false"))).replace('"2099-01-01T00:00:00Z"', "3"),
                (SILENCE % (MATCHER % ("a", "b", "false"))).replace("{", '{"id": "no-such-id", ', 1)]


def test_what_is_wrong_is_refused_with_its_reason():
    with folder() as d, Hook() as hook, Server(d, config(hook.url)) as s:
        peer = None
        try:
            peer = Alertmanager(d, config(hook.url))
        except Skip:
            pass
        try:
            for path, bodies in (("/api/v2/alerts", BAD_ALERTS), ("/api/v2/silences", BAD_SILENCES)):
                for body in bodies:
                    status, answer = s.post(path, body)
                    assert 200 <= status < 500, (path, body[:200], status, answer)
                    assert status < 300 or answer, (path, body[:200], status)
                    if peer:
                        try:
                            theirs = peer.post(path, body)
                        except (OSError, http.client.HTTPException):
                            continue  # Debian's Alertmanager gives no answer to some
                        # Ours takes names of today's releases (UTF-8), and no bytes that are no UTF-8.
                        assert status // 100 == theirs[0] // 100 or "a-b" in str(body) or isinstance(body, bytes), \
                            (path, body[:200], status, answer, theirs)
            assert s.get("/api/v2/silences")[1].strip() == b"[]"
            s.alerts("after")
            wait_for(lambda: "after" in hook.names(), "it serves on")
        finally:
            if peer:
                peer.__exit__()


def test_silences_that_match_nothing_or_everything_are_told():
    with folder() as d, Hook() as hook, Server(d, config(hook.url)) as s:
        s.alerts("one", "two")
        wait_for(lambda: len(hook.names()) == 2, "both are told of")
        for value, warning in (("nobody", "matches none of the 2 alerts"), (".+", "matches every alert"), ("one", None)):
            status, body = s.post("/api/v2/silences", {"matchers": [{"name": "alertname", "value": value, "isRegex": True}], "startsAt": now(),
                                                       "endsAt": now(3600), "createdBy": "me", "comment": "c"})
            assert status == 200 and (warning in str(json.loads(body)["warnings"]) if warning else b"warnings" not in body), (value, body)


def test_a_list_of_silences_has_no_limit():
    """More than the 64 MiB that an answer has which is not streamed. Read piece by piece: other tests measure what their children
    take, which begins with what this process has."""
    comment, count = "<" * 900_000, 13  # six bytes each in the answer
    with folder() as d, Hook() as hook, Server(d, config(hook.url)) as s:
        for i in range(count):
            status, body = s.post("/api/v2/silences", {
                "matchers": [{"name": "n", "value": str(i), "isRegex": False}], "startsAt": now(), "endsAt": now(3600 + i),
                "createdBy": "me", "comment": comment})
            assert status == 200, (status, body)
        connection = http.client.HTTPConnection("127.0.0.1", s.port, timeout=60)
        connection.request("GET", "/api/v2/silences")
        answer = connection.getresponse()
        assert answer.status == 200, (answer.status, answer.read(200))
        length, values, rest = 0, [], b""
        while piece := answer.read(1 << 16):
            length += len(piece)
            rest, end = rest + piece, 0
            for m in re.finditer(rb'"name":"n","value":"(\d+)"', rest):
                values.append(int(m.group(1)))
                end = m.end()
            rest = rest[max(end, len(rest) - 64):]
        connection.close()
        assert length > 64 << 20 and values == list(range(count)) and rest.endswith(b"}]\n"), (length, values, rest)
        one = json.loads(s.get("/api/v2/silences?filter=n%3D%227%22")[1])
        assert len(one) == 1 and one[0]["comment"] == comment, len(one)


# --- secrets ---

def test_secrets_are_shown_nowhere():
    text = """
global: {opsgenie_api_key: %s, slack_api_url: 'http://127.0.0.1:1/%s', smtp_smarthost: 'localhost:1', smtp_from: a@b, smtp_auth_password: %s}
route: {receiver: team, group_wait: 0s, group_interval: 1s}
receivers:
- name: team
  webhook_configs: [{url: 'http://u:%s@127.0.0.1:1/%s', http_config: {authorization: {credentials: %s}}}]
  slack_configs: [{channel: c}]
  opsgenie_configs: [{api_url: 'http://127.0.0.1:1/'}]
  pagerduty_configs: [{url: 'http://127.0.0.1:1/', routing_key: %s}]
  victorops_configs: [{api_url: 'http://127.0.0.1:1/', api_key: %s, routing_key: r}]
  telegram_configs: [{api_url: 'http://127.0.0.1:1', bot_token: '%s', chat_id: 1}]
  sns_configs: [{api_url: 'http://127.0.0.1:1/', topic_arn: 'arn:aws:sns:r:1:t', sigv4: {access_key: a, secret_key: %s, region: r}}]
  incidentio_configs: [{url: 'http://127.0.0.1:1/', alert_source_token: %s}]
  email_configs: [{to: x@y, auth_username: u, auth_password: %s}]
""" % tuple(SECRETS)
    with folder() as d, Server(d, text) as s:
        s.alerts("down")
        wait_for(lambda: s.output().lower().count("connect") >= 5, "failures are logged", 30)
        pages = ["/api/v2/status", "/api/v1/status/config", "/api/v1/status/flags", "/metrics", "/api/v2/receivers", "/api/v2/alerts",
                 "/api/v1/alerting/history/notifications"]
        shown = {p: s.get(p)[1].decode(errors="replace") for p in pages}
        shown["log"] = s.output()
        assert "team" in shown["/api/v2/status"] and "secret" in shown["/api/v2/status"], shown["/api/v2/status"]
        for where, what in shown.items():
            for secret in SECRETS:
                assert secret not in what, (where, secret, what)
        with open(d + "/alertmanager.yml", "a") as f:  # an error in the file shows none either
            f.write("  nonsense: [{url: 'http://x/%s'}]\n" % SECRETS[0])
        s.proc.send_signal(signal.SIGHUP)
        wait_for(lambda: "nonsense" in s.output(), "the reload is refused")
        assert not any(secret in s.output() for secret in SECRETS), s.output()


# --- the database ---

def memory_metric(s, name):
    lines = s.get("/metrics")[1].decode().splitlines()
    return next(float(line.split()[1]) for line in lines if line.startswith("belfry_alert_state_%s " % name))


def refused_silence(s, words):
    """A silence that cannot be kept is no promise; the fault is told and shown."""
    status, body = s.post("/api/v2/silences", json.loads(SILENCE % (MATCHER % ("a", "b", "false"))))
    assert status == 503 and words in body.decode(), (status, body)
    assert memory_metric(s, "faulty") == 1
    assert "alert_state_failed" in s.output() and words in s.output(), s.output()


def kept_again(s):
    silence = s.silence("later")
    wait_for(lambda: memory_metric(s, "faulty") == 0 and memory_metric(s, "pending_writes") == 0, "what waited is written", 30)
    assert silence in s.get("/api/v2/silences")[1].decode()
    return silence


def test_a_damaged_database_is_moved_aside():
    with folder() as d, Hook() as hook:
        with Server(d, config(hook.url)) as s:
            s.silence("x")
        path = d + "/data/alerts.db"
        with open(path, "r+b") as f:
            f.write(b"this is no database" * 1000)
        for more in ("-wal", "-shm"):
            if os.path.exists(path + more):
                os.remove(path + more)
        with Server(d, config(hook.url)) as s:
            s.alerts("one")
            wait_for(lambda: "one" in hook.names(), "alerts go out")
            assert any(name.startswith("alerts.db.damaged") for name in os.listdir(d + "/data")), os.listdir(d + "/data")
            assert "damaged" in s.output(), s.output()
            kept = s.silence("y")
        with Server(d, config(hook.url)) as s:
            assert kept in s.get("/api/v2/silences")[1].decode()


def test_a_locked_database_stops_no_alert():
    with folder() as d, Hook() as hook:
        with Server(d, config(hook.url)) as s:
            s.silence("x")
            lock = sqlite3.connect(d + "/data/alerts.db", timeout=30, isolation_level=None)
            lock.execute("BEGIN IMMEDIATE")
            s.alerts("one", "two")
            wait_for(lambda: len(hook.names()) == 2, "alerts go out")
            refused_silence(s, "locked")
            lock.execute("ROLLBACK")
            lock.close()
            kept = kept_again(s)
            s.proc.kill()
            s.proc.wait()
        with Server(d, config(hook.url)) as s:
            assert kept in s.get("/api/v2/silences")[1].decode()
            s.alerts("one", "two", "three")
            wait_for(lambda: "three" in hook.names(), "it goes on")
            assert sorted(hook.names()) == ["one", "three", "two"], hook.names()


def test_no_space_stops_no_alert():
    """RLIMIT_FSIZE in place of a disk that is full: no file grows past it."""
    with folder() as d, Hook() as hook, Server(d, config(hook.url)) as s:
        s.silence("x")
        largest = max(4096, os.path.getsize(d + "/data/alerts.db-wal"))
        resource.prlimit(s.proc.pid, resource.RLIMIT_FSIZE, (largest, resource.RLIM_INFINITY))
        names = ["n%d" % i for i in range(20)]
        s.alerts(*names)
        wait_for(lambda: sorted(hook.names()) == sorted(names), "alerts go out")
        refused_silence(s, "I/O error")
        resource.prlimit(s.proc.pid, resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
        kept_again(s)


def test_no_database_at_all_stops_no_alert():
    with folder() as d, Hook() as hook:
        os.makedirs(d + "/data/alerts.db/in-its-place")
        with Server(d, config(hook.url)) as s:
            s.alerts("one")
            wait_for(lambda: "one" in hook.names(), "alerts go out")
            refused_silence(s, "alerts.db")


# --- kill -9 ---

def test_an_end_that_was_not_told_is_told_after_a_restart():
    """The next flush is an hour away when it ends; nobody tells of it again."""
    text = """
route: {receiver: team, group_by: [job], group_wait: 0s, group_interval: 1h, repeat_interval: 24h}
receivers: [{name: team, webhook_configs: [{url: '%s'}]}]
"""
    def rows(s, what):
        return len(json.loads(s.get("/api/v1/alerting/history/" + what)[1])["data"])

    with folder() as d, Hook() as hook:
        with Server(d, text % hook.url) as s:
            s.alerts("stays", "ends")
            wait_for(lambda: rows(s, "notifications") == 1, "it is kept that both were told of")
            status, body = s.post("/api/v2/alerts", [{"labels": {"alertname": "ends", "job": "node"}, "startsAt": now(-10), "endsAt": now(-1)}])
            assert status == 200, (status, body)
            wait_for(lambda: rows(s, "alerts?open=true") == 1, "the end is kept")
            assert hook.names("resolved") == []
            s.proc.kill()
            s.proc.wait()
        with Server(d, text % hook.url) as s:
            wait_for(lambda: rows(s, "notifications") == 2, "its end is told, and that is kept")
            assert hook.names("resolved") == ["ends"]
        with Server(d, text % hook.url) as s:  # once: its group was looked at before this one's
            assert s.post("/api/v2/alerts", [{"labels": {"alertname": "new"}}])[0] == 200
            wait_for(lambda: "new" in hook.names(), "another group is told of")
            assert hook.names("resolved") == ["ends"]


def test_kill_9_loses_nothing_that_was_promised():
    """Rounds: new alerts, silences and acknowledgements while the server is killed at a random moment. After each start clients
    send all alerts again, as they do. Each alert is told of, and told of once but for those that were on their way when it
    was killed; and these are told of twice, not again and again."""
    seed = int.from_bytes(os.urandom(4), "big")
    dice, silences, acknowledged, names, kills = random.Random(seed), [], [], [], 5
    with folder() as d, Hook(lambda: dice.random() * 0.02) as hook:
        for round_no in range(kills + 1):
            with Server(d, config(hook.url)) as s:
                held = s.get("/api/v2/silences")[1].decode()
                assert all(i in held for i in silences), (seed, silences, held)
                if names:
                    s.alerts(*names)
                    acks = s.get("/api/v1/alerting/acknowledgements")[1].decode()
                    assert all(f in acks for f in acknowledged), (seed, acknowledged, acks)
                wait_for(lambda: set(names) <= set(hook.names()), "seed %d: all that were due are told of" % seed, 30)
                if round_no == kills:
                    break
                death = threading.Timer(dice.random() * 0.6, s.proc.send_signal, [signal.SIGKILL])
                death.start()
                try:
                    for i in range(1000):
                        name = "r%d-%d" % (round_no, i)
                        s.alerts(name)
                        names.append(name)
                        silences.append(s.silence("quiet-" + name))
                        if i % 3 == 0:
                            status, body = s.post("/api/v1/alerting/acknowledgements",
                                                  {"filter": ["alertname=" + name], "owner": "me", "note": "n"})
                            if status == 200:
                                acknowledged += json.loads(body)["data"]["acknowledged"]
                except (OSError, http.client.HTTPException):
                    pass  # it is dead
                death.join()
                s.proc.wait()
        told = hook.names()
        again = {n: told.count(n) for n in names if told.count(n) > 1}
        assert len(silences) >= kills and len(names) >= kills, (seed, len(names))
        # A log that was lost would have told the first round's five times. 8 are on their way at once, until that is kept.
        assert max(again.values(), default=1) <= 3 and sum(c - 1 for c in again.values()) <= 8 * kills, (seed, again)
