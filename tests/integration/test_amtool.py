# SPDX-License-Identifier: Apache-2.0
"""Called as amtool, belfry says what amtool 0.25 says of the same server."""
import base64
import contextlib
import json
import os
import time

import urllib.request

from harness import BELFRY, Belfry, Process, config, folder, free_port, need, run, wait_for

CONFIG = """
global: {smtp_auth_password: geheim}
route:
  receiver: default
  group_by: [alertname]
  routes:
  - {matchers: ['team="db"'], receiver: db, continue: true}
  - {matchers: ['sev=~"a|b"', 'x!="1"'], receiver: sev}
inhibit_rules:
- {source_matchers: [kind="source"], target_matchers: [kind="target"]}
receivers: [{name: default}, {name: db}, {name: sev}]
"""

# What is asked of both tools: same output, same exit status.
WORDS = [
    ["alert"],
    ["alert", "query", "-o", "json"],
    ["alert", "query", "-ojson"],
    ["alert", "query", "-o", "extended"],
    ["-oextended", "alert", "query", "-i"],
    ["alert", "query", "-is"],
    ["alert", "query", "--silenced", "--active"],
    ["alert", "query", "foo2"],
    ["alert", "query", "foo2", "-ojson"],
    ["alert", "query", "alertname=~f.*"],
    ["alert", "query", "node!=ba", "-r", "d.*"],
    ["alert", "query", "{a=b}"],
    ["alert", "query", "-r", "("],
    ["alert", "query", "a b"],
    ["alert", "query", "a", "b"],
    ["alert", "query", "--date.format=Mon Jan _2 15:04 -0700"],
    ["alert", "query", "--nix"],
    ["alert", "query", "-o", "foo"],
    ["alert", "add"],
    ["alert", "add", "foo", "bar"],
    ["alert", "add", "foo", "bar!=x"],
    ["alert", "add", "foo", "--start=x"],
    ["silence"],
    ["silence", "query", "-o", "extended"],
    ["silence", "query", "-o", "json"],
    ["silence", "query", "-q"],
    ["silence", "query", "foo2"],
    ["silence", "query", "--within", "2h"],
    ["silence", "query", "--created-by=me"],
    ["silence", "query", "--expired"],
    ["silence", "add", "foo"],
    ["silence", "add", "foo", "-c", "x", "-d", "0"],
    ["silence", "add", "-c", "x"],
    ["silence", "add", "a=b", "c", "-c", "x"],
    ["silence", "expire"],
    ["silence", "expire", "abc"],
    ["silence", "expire", "d9e49a52-fbb5-4f53-b6ae-d2c02f2e8bd9"],
    ["silence", "update"],
    ["silence", "update", "abc"],
    ["silence", "update", "d9e49a52-fbb5-4f53-b6ae-d2c02f2e8bd9"],
    ["config"],
    ["config", "show", "-o", "json"],
    ["config", "routes"],
    ["config", "routes", "show"],
    ["config", "routes", "test", "team=db", "sev=a", "--tree"],
    ["config", "routes", "test", "team=db", "sev=a", "--verify.receivers=db,sev"],
    ["config", "routes", "test", "team=db", "sev=a", "--verify.receivers=x"],
    ["config", "routes", "test", "team~=db"],
    ["cluster", "show"],
    ["cluster"],
    ["cluster", "-o", "extended"],
    ["cluster", "-o", "json"],
    ["nix"],
]


@contextlib.contextmanager
def tools():
    """A folder that is HOME, and in it a link to belfry that is called amtool."""
    with folder() as d:
        os.symlink(BELFRY, d + "/amtool")
        yield d


@contextlib.contextmanager
def alertmanager(d):
    port = free_port()
    with open(d + "/alertmanager.yml", "w") as f:
        f.write(CONFIG)
    argv = [need("prometheus-alertmanager"), "--config.file=alertmanager.yml", "--storage.path=" + d + "/am",
            "--web.listen-address=127.0.0.1:%d" % port, "--cluster.listen-address="]
    with Process(argv, d, name="alertmanager"):
        url = "http://127.0.0.1:%d" % port
        wait_for(lambda: urllib.request.urlopen(url + "/-/ready").status == 200, "Alertmanager")
        yield url


@contextlib.contextmanager
def belfry(d):
    """The same configuration in Belfry, on two addresses; the second is what is given."""
    second = free_port()
    with open(d + "/alertmanager.yml", "w") as f:
        f.write(CONFIG)
    with Belfry(d, config({}), flags=["--alertmanager.config.file=alertmanager.yml", "--web.listen-address=127.0.0.1:%d" % second]):
        yield "http://127.0.0.1:%d" % second


def call(tool, d, url, *words, **more):
    return run(tool, "--alertmanager.url=" + url, "--no-version-check", *words, cwd=d, env={"HOME": d, "TZ": "UTC"}, **more)


def fill(tool, d, url):
    """Alerts in all states but unprocessed, silences in all."""
    assert call(tool, d, url, "alert", "add", "foo", "node=bar", "team=db", "--annotation=summary=sum <mary>",
                "--generator-url=http://x/y?a=b&c", "--start=2026-11-20T03:00:00Z", "--end=2099-01-01T00:00:00Z")[0] == 0
    assert call(tool, d, url, "alert", "add", "foo2", "node=ba", "--start=2026-11-20T03:00:01Z", "--end=2099-01-01T00:00:00Z")[0] == 0
    assert call(tool, d, url, "alert", "add", "a b", "c=d e", "kind=source", "--start=2026-11-20T04:00:02+01:00",
                "--end=2099-01-01T00:00:00Z")[0] == 0
    assert call(tool, d, url, "alert", "add", "alertname=tg", "kind=target", "--start=2026-11-20T03:00:03Z",
                "--end=2099-01-01T00:00:00Z")[0] == 0
    ids = []
    for words in (["foo", "-c", "x"], ["foo2", "node!=b", "c!~d", "alertname=~f.*", "-c", "cc <dd>", "-a", "me", "-d", "1d"],
                  ["later", "-c", "x", "--start=2098-01-01T00:00:00Z"], ["old", "-c", "y"]):
        code, out, err = call(tool, d, url, "silence", "add", *words)
        assert code == 0 and len(out) == 37, (words, out, err)
        ids.append(out.strip())
    assert call(tool, d, url, "silence", "expire", ids[3]) == (0, "", "")
    return ids


def settled(d, url):
    def fact():
        out = call(need("amtool"), d, url, "alert", "query", "-ojson", "-s", "-i", "-a", "-u")[1]
        return sorted(a["status"]["state"] for a in json.loads(out)) == ["active", "suppressed", "suppressed", "suppressed"]
    wait_for(fact, "the alerts' states")


def without_new(answer):
    """Without what amtool 0.25 does not know and so leaves out."""
    for alert in answer if isinstance(answer, list) else []:
        alert.get("status", {}).pop("mutedBy", None)
    return answer


def compare(d, url):
    real, ours = need("amtool"), d + "/amtool"
    for words in WORDS:
        a, b = call(real, d, url, *words), call(ours, d, url, *words)
        if "json" in " ".join(words) and a[0] == 0:
            a, b = (a[0], without_new(json.loads(a[1]))), (b[0], without_new(json.loads(b[1])))
        assert a[:2] == b[:2], (words, a, b)
        assert len(a) == 2 or bool(a[2]) == bool(b[2]), (words, a, b)


def check_both(server):
    need("amtool")
    for tool in ("real", "ours"):
        with tools() as d, server(d) as url:
            fill(need("amtool") if tool == "real" else d + "/amtool", d, url)
            settled(d, url)
            compare(d, url)


def test_both_tools_say_the_same_of_an_alertmanager():
    check_both(alertmanager)


def test_both_tools_say_the_same_of_belfry():
    check_both(belfry)


def fact(url, path):
    """An answer of the API without what differs from server to server, and from run to run."""
    def clean(x):
        if isinstance(x, list):
            return [clean(i) for i in x]
        if not isinstance(x, dict):
            return x
        return {k: clean(v) for k, v in x.items() if k not in ("updatedAt", "id", "mutedBy", "uptime", "versionInfo", "config")}
    answer = clean(json.load(urllib.request.urlopen(url + path)))
    for a in answer if isinstance(answer, list) else []:
        if "matchers" in a:  # a silence: what began or ended now
            a.pop("startsAt"), a.pop("endsAt")
        for b in a.get("alerts", [a]):
            if "fingerprint" in b:
                b["status"]["silencedBy"] = len(b["status"]["silencedBy"])
    return answer


def test_the_api_answers_as_alertmanagers():
    paths = ["/alerts", "/alerts?active=false", "/alerts?silenced=false", "/alerts?inhibited=no", "/alerts?filter=node=bar",
             "/alerts?filter=alertname=~%22f.*%22", "/alerts?receiver=d.*", "/alerts?receiver=db",
             "/alerts/groups", "/alerts/groups?receiver=db", "/alerts/groups?active=0", "/alerts/groups?filter=node=ba",
             "/silences", "/silences?filter=alertname=foo", "/silences?filter=alertname=~foo", "/receivers", "/status"]
    with tools() as d, folder() as e, alertmanager(d) as real, belfry(e) as ours:
        for url in (real, ours):
            fill(d + "/amtool", d, url)
            settled(d, url)
        for path in paths:
            path = "/api/v2" + path
            wait_for(lambda: fact(real, path) == fact(ours, path), path + ": the same answers")


def test_a_real_prometheus_posts_its_alerts():
    prometheus = need("prometheus")
    with tools() as d, belfry(d) as url:
        port = free_port()
        with open(d + "/p.yml", "w") as f:
            f.write("global: {evaluation_interval: 1s, external_labels: {site: p}}\nrule_files: [rules.yml]\n"
                    "alerting: {alertmanagers: [{static_configs: [{targets: ['%s']}]}]}\n" % url[len("http://"):])
        with open(d + "/rules.yml", "w") as f:
            f.write("groups: [{name: g, rules: [{alert: Up, expr: vector(1), labels: {team: db}, annotations: {summary: 'v {{ $value }}'}}]}]\n")
        argv = [prometheus, "--config.file=p.yml", "--storage.tsdb.path=" + d + "/p", "--web.listen-address=127.0.0.1:%d" % port,
                "--rules.alert.resend-delay=1s"]  # the first is sent before it has found whom to tell
        with Process(argv, d, name="prometheus"):
            def seen():
                got = json.loads(call(d + "/amtool", d, url, "alert", "query", "Up", "-ojson")[1])
                return got and got[0]
            alert = wait_for(seen, "the alert", 30)
        assert alert["labels"] == {"alertname": "Up", "site": "p", "team": "db"}, alert
        assert alert["annotations"] == {"summary": "v 1"} and alert["receivers"] == [{"name": "db"}], alert
        assert "/graph?g0.expr=vector" in alert["generatorURL"], alert


def test_what_amtool_has_not():
    with tools() as d, belfry(d) as url:
        def ours(*words):
            code, out, err = run(BELFRY, *words, "--url=" + url, env={"HOME": d})
            assert code == 0, (words, out, err)
            return out
        ours("alert", "add", "foo", "node=a", "--end=2099-01-01T00:00:00Z")
        ours("alert", "add", "foo", "node=b", "--end=2099-01-01T00:00:00Z")
        wait_for(lambda: ours("alert").count("foo") == 2, "the alerts")
        acked = ours("alert", "ack", "foo", "node=a", "--owner=me", "-n", "on it", "--expires=1h").split()
        assert len(acked) == 1 and len(acked[0]) == 16
        out = ours("alert", "acks")
        assert acked[0] in out and "me " in out and "on it" in out, out
        assert json.loads(ours("alert", "query", "foo", "node=a", "-ojson"))[0]["status"]["acknowledged"] is True
        ours("alert", "unack", acked[0])
        assert json.loads(ours("alert", "acks", "-ojson")) == []
        wait_for(lambda: ours("alert", "history", "foo", "--open", "--start=1h").count("foo") == 2, "the history")
        assert "endedAt" in ours("alert", "acks", "--fingerprint", acked[0], "-ojson")
        assert ours("alert", "notifications").startswith("At ")
        code, out, err = run(BELFRY, "silence", "add", "--url=" + url, "nobody=here", "-c", "x")
        assert code == 0 and "warning" in err, (out, err)
        out = ours("silence", "preview", "foo", "--recur=0 22 * * *", "--timezone=Europe/Paris", "-d2h")
        assert len(out.splitlines()) == 10 and "  to  " in out, out
        silence = ours("silence", "add", "foo", "--recur=FREQ=DAILY;BYHOUR=22;BYMINUTE=0", "-d", "2h", "-c", "nightly").strip()
        shown = json.loads(ours("silence", "query", "-ojson", "--id", silence))
        assert shown[0]["recurrence"]["rrule"].startswith("FREQ=DAILY"), shown
        code, _, err = run(BELFRY, "silence", "add", "--url=" + url, "foo", "--recur=every day", "-c", "x")
        assert code == 1 and "400" in err, err


def test_templates_are_rendered_as_amtool_does():
    real = need("amtool")
    data = {"receiver": "r<", "status": "firing", "externalURL": "http://e", "commonLabels": {"a": "b"}, "groupLabels": {},
            "alerts": [{"status": "firing", "labels": {"x": "y", "b": "<c>"}, "annotations": {"s": "t"},
                        "startsAt": "2026-11-20T03:00:00.5+01:00", "endsAt": "0001-01-01T00:00:00Z", "fingerprint": "f"}]}
    with tools() as d:
        with open(d + "/t.tmpl", "w") as f:
            f.write('{{ define "x" }}{{ .Status | toUpper }} {{ range .Alerts }}{{ .Labels.SortedPairs.Values | join "," }} '
                    "{{ .Fingerprint }} {{ .Annotations.s }} {{ .EndsAt.IsZero }}\n{{ end }}{{ .CommonLabels.a }} {{ .ExternalURL }}"
                    "{{ .GroupLabels.grouplabelkey1 }}{{ end }}")
        with open(d + "/data.json", "w") as f:
            json.dump(data, f)
        for text in ('{{ template "x" . }}', '<b title="{{ .Receiver }}">{{ range .Alerts.Firing }}{{ .Labels.b }}{{ end }}</b>',
                     "{{ .Nix }}", "{{ template `nix` . }}", "{{"):
            for more in ([], ["--template.type=html"], ["--template.data=data.json"], ["--template.data=data.json", "--template.type=html"]):
                words = ["template", "render", "--template.glob=*.tmpl", "--template.text=" + text] + more
                a, b = [run(tool, *words, cwd=d, env={"HOME": d}) for tool in (real, d + "/amtool")]
                assert a[:2] == b[:2] and bool(a[2]) == bool(b[2]), (words, a, b)
        assert run(d + "/amtool", "template", "render", "--template.glob=x")[0] == 1
        assert run(BELFRY, "template", "render", "--template.glob=x")[0] == 2


def check_changes(d, url):
    """Update, export, import and expire, by ours."""
    ours = d + "/amtool"
    ids = fill(ours, d, url)
    code, out, err = call(ours, d, url, "silence", "update", ids[0], "-d", "3h", "-c", "new")
    assert code == 0 and "new" in out, (out, err)
    new_id = call(ours, d, url, "silence", "query", "-q", "foo")[1].strip()
    shown = json.loads(call(ours, d, url, "silence", "query", "-ojson", "foo")[1])
    assert len(shown) == 1 and shown[0]["comment"] == "new" and shown[0]["id"] == new_id
    with open(d + "/s.json", "w") as f:
        json.dump(shown, f)
    assert call(ours, d, url, "silence", "expire", new_id)[0] == 0
    assert call(ours, d, url, "silence", "query", "-q", "foo")[1] == ""
    code, out, err = call(ours, d, url, "silence", "import", "s.json", "--force")
    assert code == 0 and len(out.strip()) == 36 and out.strip() != new_id, (out, err)
    shown[0]["id"] = "d9e49a52-fbb5-4f53-b6ae-d2c02f2e8bd9"
    code, out, err = call(ours, d, url, "silence", "import", stdin=json.dumps(shown))
    assert code == 0 and len(out.strip()) == 36, (out, err)
    shown[0]["matchers"] = []
    code, out, err = call(ours, d, url, "silence", "import", stdin=json.dumps(shown))
    assert code == 1 and "couldn't import 1 out of 1 silences" in err, (out, err)
    assert call(ours, d, url, "silence", "import", stdin="[{")[0] == 1
    code, out, _ = call(ours, d, url, "silence", "query", "foo", "-ojson")
    assert code == 0 and len(json.loads(out)) == 2


def test_silences_are_changed_exported_and_imported():
    for server in (alertmanager, belfry):
        with tools() as d, server(d) as url:
            check_changes(d, url)


def test_defaults_come_from_amtools_files():
    with tools() as d, alertmanager(d) as url:
        os.makedirs(d + "/.config/amtool")
        with open(d + "/.config/amtool/config.yml", "w") as f:
            f.write("alertmanager.url: %s\nauthor: somebody\ncomment_required: false\noutput: json\n" % url)
        env = {"HOME": d}
        code, out, err = run(d + "/amtool", "silence", "add", "foo", env=env)
        assert code == 0, err
        shown = json.loads(run(d + "/amtool", "silence", env=env)[1])
        assert [s["createdBy"] for s in shown] == ["somebody"]
        assert run(d + "/amtool", "silence", "query", "-osimple", env=env)[1].startswith("ID ")
        with open(d + "/.config/amtool/config.yml", "w") as f:
            f.write("output: [a]\n")
        code, _, err = run(d + "/amtool", "alert", env=env)
        assert code == 1 and "config.yml" in err and "1:9" in err or "a string" in err, err


def test_as_belfry_the_server_is_named_by_url_or_environment():
    with tools() as d, alertmanager(d) as url:
        code, _, err = run(BELFRY, "alert", "add", "--url", url, "foo")
        assert code == 0, err
        def seen():
            return "foo" in run(BELFRY, "alert", env={"BELFRY_URL": url})[1]
        wait_for(seen, "the alert")
        code, out, _ = run(BELFRY, "route", "show", "--url=" + url)
        assert code == 0 and 'default-route  receiver: default' in out
        assert run(BELFRY, "alert", "query", "--url", url, "-o", "nix")[0] == 2
        code, _, err = run(BELFRY, "alert", "--url=http://127.0.0.1:%d" % free_port())
        assert code == 1 and "could not reach" in err


def test_a_password_of_the_url_is_not_shown():
    import http.server
    import threading

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            self.send_response(401)
            self.end_headers()
            self.wfile.write(("who is %s?" % self.headers.get("Authorization")).encode())
        do_POST = do_GET

        def log_message(self, *_):
            pass

    with http.server.HTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        password = "Zx9kQ7vB2mW4pL8"
        for port, said in ((server.server_port, "401"), (free_port(), "could not reach")):
            url = "http://me:%s@127.0.0.1:%d" % (password, port)
            for words in (["alert", "query", "-v"], ["silence", "query"], ["query", "instant", "up"]):
                code, out, err = run(BELFRY, *words, env={"BELFRY_URL": url})
                text = out + err
                assert code == 1 and said in text and "http://me:<secret>@127.0.0.1:%d/" % port in text, (words, text)
                assert password not in text and base64.b64encode(("me:" + password).encode()).decode() not in text, text
                assert "-v" not in words or text.count("GET http://me:<secret>@") >= 1, text
        for words in (["query", "--help"], ["alert", "query", "--help"]):
            for url in ("http://me:%s@h" % password, "me:%s@h:9090" % password):
                code, out, err = run(BELFRY, *words, env={"BELFRY_URL": url})
                assert code == 0 and "me:<secret>@h" in out and password not in out + err, (words, out, err)
        server.shutdown()


def test_http_config_file_brings_credentials():
    import http.server
    import threading
    seen = []

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            seen.append(self.headers.get("Authorization"))
            self.send_response(200)
            self.end_headers()
            self.wfile.write(b"[]")

        def log_message(self, *_):
            pass

    with tools() as d, http.server.HTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        url = "http://127.0.0.1:%d" % server.server_port
        with open(d + "/http.yml", "w") as f:
            f.write("authorization: {credentials: abc}\n")
        code, _, err = call(d + "/amtool", d, url, "alert", "--http.config.file=http.yml")
        assert code == 0 and seen == ["Bearer abc"], (err, seen)
        with open(d + "/http.yml", "w") as f:
            f.write("authorisation: {credentials: abc}\n")
        code, _, err = call(d + "/amtool", d, url, "alert", "--http.config.file=http.yml")
        assert code == 1 and "http.yml:1:1" in err, err
        server.shutdown()
