# SPDX-License-Identifier: Apache-2.0
"""Targets from files and servers, and the HTTP client options of jobs, against real servers, a real proxy and a real
token endpoint."""
import base64
import contextlib
import http.server
import json
import os
import select
import socket
import threading
import time
import urllib.parse

from harness import BELFRY, Belfry, Target, config, folder, run, text, wait_for
from test_access import certificate
from test_reload import put


def test_files_bring_and_take_targets():
    with folder() as d, Target(text("m 1\n")) as t:
        conf = config({}) + "- {job_name: f, file_sd_configs: [{files: ['sd/*.yml', 'sd/*.json']}]}\n"
        os.mkdir(d + "/sd")
        with Belfry(d, conf) as b:
            assert b.query("up") == []
            put(d + "/sd/a.json", json.dumps([{"targets": [t.address], "labels": {"zone": 'x}"\n', "__meta_a": "1"}}]))
            wait_for(lambda: b.value("m") == 1, "a target")
            seen = b.api("targets")["activeTargets"][0]
            assert seen["discoveredLabels"]["__meta_filepath"] == d + "/sd/a.json", seen
            assert seen["discoveredLabels"]["__meta_a"] == "1" and seen["labels"]["zone"] == 'x}"\n', seen
            put(d + "/sd/a.json", "[{")
            wait_for(lambda: "discovery_failed" in b.output(), "told")
            time.sleep(1.5)
            assert b.value("up") == 1
            metrics = b.get("/metrics")[1].decode()
            assert "prometheus_sd_file_read_errors_total 1\n" in metrics, metrics
            assert 'prometheus_sd_file_mtime_seconds{filename="%s/sd/a.json"}' % d in metrics
            assert 'prometheus_sd_discovered_targets{config="f",name="scrape"} 1\n' in metrics or \
                'prometheus_sd_discovered_targets{name="scrape",config="f"} 1\n' in metrics
            os.unlink(d + "/sd/a.json")
            wait_for(lambda: b.api("targets")["activeTargets"] == [], "gone")
            wait_for(lambda: b.query("up") == [], "stale")


def test_a_long_list_does_not_stop_scraping():
    with folder() as d, Target(text("m 1\n")) as t:
        conf = config({"steady": t.address}) + "- {job_name: many, scrape_interval: 1h, file_sd_configs: [{files: [many.json]}]}\n"
        put(d + "/many.json", "[]")
        with Belfry(d, conf) as b:
            wait_for(lambda: b.value('up{job="steady"}') == 1, "up")
            for n in (50000, 25000, 50001):
                put(d + "/many.json", json.dumps([{"targets": ["127.0.0.1:1"], "labels": {"n": str(i)}} for i in range(n)]))
                wait_for(lambda: len(b.api("targets", state="active")["activeTargets"]) == n + 1, "%d targets" % n, 30, 0.5)
            time.sleep(2)
            at = [x for x, _ in b.query('up{job="steady"}[20s]')[0]["values"]]
            assert max(y - x for x, y in zip(at, at[1:])) < 1.5, at


class Http:
    """A server whose answer is what it is told to be now; remembers requests."""

    def __init__(self):
        self.answer, self.seen = (200, {}, b"[]"), []
        outer = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self):
                body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
                outer.seen.append((self.command, self.path, dict(self.headers), body))
                status, headers, answer = outer.answer
                self.send_response(status)
                for n, v in {"Content-Type": "application/json", "Content-Length": str(len(answer)), **headers}.items():
                    self.send_header(n, v)
                self.end_headers()
                self.wfile.write(answer)
            do_POST = do_GET

            def do_CONNECT(self):
                outer.seen.append((self.command, self.path, dict(self.headers), b""))
                host, port = self.path.rsplit(":", 1)
                with socket.create_connection((host, int(port))) as there:
                    self.send_response(200)
                    self.end_headers()
                    pair = [self.connection, there]
                    while True:
                        for s in select.select(pair, [], [], 5)[0]:
                            data = s.recv(65536)
                            if not data:
                                return
                            pair[s is pair[0]].sendall(data)

            def log_message(self, *_):
                pass
        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.address = "127.0.0.1:%d" % self.server.server_address[1]
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.server.shutdown()
        self.server.server_close()


def test_a_server_brings_targets_and_keeps_them_when_it_fails():
    with folder() as d, Target(text("m 1\n")) as t, Http() as sd:
        sd.answer = (200, {}, json.dumps([{"targets": [t.address], "labels": {"a": "b"}}]).encode())
        conf = config({}) + "- {job_name: h, http_sd_configs: [{url: 'http://%s/sd', refresh_interval: 300ms}]}\n" % sd.address
        with Belfry(d, conf) as b:
            wait_for(lambda: b.value('m{a="b",job="h"}') == 1, "a target")
            for answer in [(500, {}, b"no"), (200, {"Content-Type": "text/html"}, b"<html>"), (200, {}, b"{"),
                           (302, {"Location": "file:///etc/passwd"}, b""), (200, {"Content-Length": "99999999999"}, b"[")]:
                n = len(sd.seen)
                sd.answer = answer
                wait_for(lambda: len(sd.seen) > n + 1, "asked again")
            assert b.value("up") == 1
            failures = b.get("/metrics")[1].decode().split("\nprometheus_sd_http_failures_total ")[1].split()[0]
            assert float(failures) >= 4, failures
            sd.answer = (200, {}, b"[]")
            wait_for(lambda: b.api("targets")["activeTargets"] == [], "an empty list is a list")


def test_tokens_come_from_an_endpoint_of_oauth2():
    with folder() as d, Target(text("m 1\n")) as t, Http() as tokens:
        tokens.answer = (200, {}, json.dumps({"access_token": "tok", "token_type": "Bearer", "expires_in": 3600}).encode())
        conf = config({"a": t.address}) + \
            "  oauth2: {client_id: me, client_secret: '${BELFRY_SECRET}', token_url: 'http://%s/token',\n" \
            "    scopes: [r, w], endpoint_params: {audience: 'x y'}}\n" % tokens.address
        with Belfry(d, conf, ready=False) as b:
            wait_for(lambda: not b.alive(), "an unset variable is an error")
            assert 'environment variable "BELFRY_SECRET"' in b.output(), b.output()
        os.environ["BELFRY_SECRET"] = "s:cret"
        try:
            with Belfry(d, conf) as b:
                wait_for(lambda: b.value("m") == 1, "up")
                time.sleep(2)
                assert "s:cret" not in b.api("status/config")["yaml"]
        finally:
            del os.environ["BELFRY_SECRET"]
        assert len(tokens.seen) == 1, tokens.seen
        method, path, headers, body = tokens.seen[0]
        assert (method, path) == ("POST", "/token")
        assert headers["Authorization"] == "Basic " + base64.b64encode(b"me:s%3Acret").decode(), headers
        assert dict(urllib.parse.parse_qsl(body.decode())) == {
            "grant_type": "client_credentials", "scope": "r w", "audience": "x y"}, body
        assert all(h["Authorization"] == "Bearer tok" for _, h in t.requests), t.requests


def test_https_goes_through_a_proxy_with_its_headers():
    import ssl
    import subprocess
    with folder() as d, Http() as proxy:
        subprocess.run(["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", d + "/key.pem", "-out",
                        d + "/cert.pem", "-days", "2", "-subj", "/CN=127.0.0.1", "-addext",
                        "subjectAltName=IP:127.0.0.1"], check=True, capture_output=True)
        with Target(text("m 1\n")) as t:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(d + "/cert.pem", d + "/key.pem")
            t.server.socket = context.wrap_socket(t.server.socket, server_side=True)
            with open(d + "/secret", "w") as f:
                f.write("from-file\n")
            conf = config({"a": t.address}) + \
                "  scheme: https\n  tls_config: {ca_file: cert.pem}\n  proxy_url: 'http://%s'\n" \
                "  proxy_connect_header: {X-Proxy: {files: [secret]}}\n" \
                "  http_headers: {X-Target: {values: [v]}}\n" % proxy.address
            with Belfry(d, conf) as b:
                wait_for(lambda: b.value("m") == 1, "up through the proxy")
            method, path, headers, _ = proxy.seen[0]
            assert method == "CONNECT" and path == t.address, proxy.seen
            assert headers["X-Proxy"] == "from-file" and "X-Target" not in headers, headers
            assert t.requests[0][1]["X-Target"] == "v" and "X-Proxy" not in t.requests[0][1]


def test_certificates_and_keys_may_stand_in_the_configuration():
    import ssl
    with folder() as d:
        pair, other = certificate(d, "ours"), certificate(d, "other")
        text_of = {}
        for name, (cert, key) in {"ours": pair, "other": other}.items():
            with open(cert) as c, open(key) as k:
                text_of[name] = (json.dumps(c.read()), json.dumps(k.read()))
        ours, key = text_of["ours"]
        jobs = {"text": "ca: %s, cert: %s, key: %s" % (ours, ours, key), "file": "ca_file: ours.pem, cert_file: ours.pem, key_file: ours.key",
                "both": "ca: %s, cert_file: ours.pem, key: %s" % (ours, key), "none": "ca: %s" % ours,
                "other-ca": "ca: %s, cert: %s, key: %s" % (text_of["other"][0], ours, key),
                "other-cert": "ca: %s, cert: %s, key: %s" % (ours, *text_of["other"])}
        with Target(text("m 1\n")) as t:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(*pair)
            context.verify_mode = ssl.CERT_REQUIRED
            context.load_verify_locations(pair[0])
            t.server.socket = context.wrap_socket(t.server.socket, server_side=True, do_handshake_on_connect=False)
            conf = config({}, "3s") + "".join("- {job_name: %s, scheme: https, static_configs: [{targets: ['%s']}], tls_config: {%s}}\n" %
                                        (name, t.address, fields) for name, fields in jobs.items())
            with Belfry(d, conf) as b:
                want = {"text": "1", "file": "1", "both": "1", "none": "0", "other-ca": "0", "other-cert": "0"}
                wait_for(lambda: {x["metric"]["job"]: x["value"][1] for x in b.query("up")} == want, "three are up", 30)
                errors = {x["labels"]["job"]: x["lastError"] for x in b.api("targets")["activeTargets"]}
                assert "certificate verification failed" in errors["other-ca"], errors
                fds = []
                for n in os.listdir("/proc/%d/fd" % b.proc.pid):
                    with contextlib.suppress(FileNotFoundError):  # closed since it was listed
                        fds.append(os.readlink("/proc/%d/fd/%s" % (b.proc.pid, n)))
                assert sum("belfry-tls" in x for x in fds) == 4, fds
                shown = b.api("status/config")["yaml"]
                assert "PRIVATE KEY" not in shown and "<secret>" in shown, shown


RELABEL = """- job_name: r
  static_configs: [{targets: ['a:1', 'b:2'], labels: {env: prod}}]
  relabel_configs:
  - {source_labels: [env], target_label: stage}
  - {source_labels: [__address__], regex: 'b:.*', action: drop}
  - {target_label: x, replacement: y}
"""


def test_relabelling_is_shown_step_by_step():
    with folder() as d, Belfry(d, config({}) + RELABEL) as b:
        steps = b.api("targets/relabel_steps", scrapePool="r", labels=json.dumps({"__address__": "b:2", "env": "prod"}))["steps"]
        assert steps[0] == {"rule": {"sourceLabels": ["env"], "separator": ";", "regex": "(.*)", "targetLabel": "stage",
                                     "replacement": "$1", "action": "replace"},
                            "output": {"__address__": "b:2", "env": "prod", "stage": "prod"}, "keep": True}, steps[0]
        assert [s["keep"] for s in steps] == [True, False, False] and steps[1]["output"] == {}, steps
        for query, words in (("labels={}", "scrapePool"), ("scrapePool=r", "labels"), ("scrapePool=x&labels={}", "not found"),
                             ("scrapePool=r&labels=[", "error parsing labels"), ("scrapePool=r&labels={%22a%22:1}", "no string")):
            status, body = b.get("/api/v1/targets/relabel_steps?" + query)
            assert status == 400 and words in json.loads(body)["error"], (query, body)


def test_targets_are_filtered_and_shown_as_others_reach_them():
    with folder() as d, Target(text("m 1\n")) as t:
        own = "http://mon.example:8443/belfry/"
        with Belfry(d, config({"a": t.address}) + RELABEL, ("--web.external-url=" + own, "--web.route-prefix=/")) as b:
            wait_for(lambda: b.value("m") == 1, "up")
            every = b.api("targets")
            assert [x["scrapePool"] for x in every["activeTargets"]] == ["a", "r"], every
            assert every["droppedTargetCounts"] == {"a": 0, "r": 1} and len(every["droppedTargets"]) == 1
            assert every["activeTargets"][0]["globalUrl"] == "http://mon.example:%d/metrics" % t.port, every
            assert b.api("targets", state="active", scrapePool="r")["droppedTargets"] == []
            assert b.api("targets", state="dropped")["activeTargets"] == []
            assert [x["scrapePool"] for x in b.api("targets", scrapePool="r")["activeTargets"]] == ["r"]


def test_check_service_discovery_prints_targets_and_labels():
    with folder() as d, Http() as sd:
        sd.answer = (200, {}, b'[{"targets":["h:1"],"labels":{"env":"test"}}]')
        with open(d + "/c.yml", "w") as f:
            f.write("scrape_configs:\n" + RELABEL + "- {job_name: h, http_sd_configs: [{url: 'http://%s/'}]}\n" % sd.address)
        status, out, err = run(BELFRY, "check", "service-discovery", d + "/c.yml", "r")
        shown = json.loads(out)
        assert status == 0 and len(shown) == 2, (status, out, err)
        assert shown[0]["discoveredLabels"]["__address__"] == "a:1"
        assert shown[0]["labels"] == {"env": "prod", "instance": "a:1", "job": "r", "stage": "prod", "x": "y"} or \
            {"env": "prod", "stage": "prod", "x": "y"}.items() <= shown[0]["labels"].items(), shown[0]
        assert shown[1]["labels"] == {}, shown[1]
        status, out, err = run(BELFRY, "check", "service-discovery", d + "/c.yml", "h")
        assert status == 0 and json.loads(out)[0]["discoveredLabels"]["env"] == "test", (out, err)
        status, out, err = run(BELFRY, "check", "service-discovery", d + "/c.yml", "nope")
        assert status == 1 and 'job "nope"' in err, err
