# SPDX-License-Identifier: Apache-2.0
"""libbelfry-http's pushes and spans (http_subject.c) at real peers: Debian's Pushgateway and Prometheus, our server, and a
small OTLP receiver of this file."""
import contextlib
import http.server
import json
import os
import threading
import urllib.parse
import urllib.request

from harness import Belfry, Process, folder, free_port, need, wait_for
from subject import VALUES, Subject
from test_access import bcrypt, certificate
from test_differential import Peer, ask
from test_endpoint import value


class Gateway(Process):
    def __init__(self, cwd, *flags):
        self.port = free_port()
        self.url = "http://127.0.0.1:%d" % self.port
        super().__init__([need("prometheus-pushgateway"), "--web.listen-address=127.0.0.1:%d" % self.port, *flags], cwd,
                         name="pushgateway")
        wait_for(lambda: self.get("/-/ready"), "Pushgateway ready", 30)

    def get(self, path):
        with urllib.request.urlopen(self.url + path, timeout=30) as r:
            return r.read().decode()

    def groups(self):
        """[(labels, {family: ...})]"""
        return [(g["labels"], g) for g in json.loads(self.get("/api/v1/metrics"))["data"]]


def rows(group):
    return float(group["app_rows_total"]["metrics"][0]["value"])


def test_push_replaces_a_group_at_a_gateway():
    with folder() as d, Gateway(d) as g, Subject(push=g.url, job="backup", label="instance", value="a b") as s:
        assert s.tell("push") == "push ok"
        (labels, group), = g.groups()
        assert labels == {"job": "backup", "instance": "a b"} and rows(group) == 41
        assert group["app_seconds"]["metrics"][0]["buckets"]["0.1"] == "2"
        assert group["app_depth"]["metrics"][0]["labels"]["path"] == "a\"b\\c\nd/é"
        assert s.tell("count") == "count ok" and s.tell("push") == "push ok"
        assert rows(g.groups()[0][1]) == 42
        assert s.tell("delete") == "delete ok"
        wait_for(lambda: g.groups() == [], "deleted", 30)
        assert s.end() == (0, "")


def test_push_names_groups_with_slashes_and_nothing():
    with folder() as d, Gateway(d) as g:
        for job, label, text in (("a/b", "path", "/var/tmp"), ("j", "empty", ""), ("größe", "x", "1:2?#%+")):
            with Subject(push=g.url, job=job, label=label, value=text) as s:
                assert s.tell("push") == "push ok"
                (labels, _), = g.groups()
                assert labels == {"job": job, label: text}, labels
                assert s.tell("delete") == "delete ok"
        wait_for(lambda: g.groups() == [], "deleted", 30)


def test_push_keeps_others_when_asked_to():
    with folder() as d, Gateway(d) as g:
        put = urllib.request.Request(g.url + "/metrics/job/j", b"other 1\n", method="PUT")
        urllib.request.urlopen(put, timeout=30).close()
        with Subject(push=g.url, job="j", keep=1) as s:
            assert s.tell("push") == "push ok"
            assert "other" in g.groups()[0][1]
        with Subject(push=g.url, job="j") as s:
            assert s.tell("push") == "push ok"
            assert "other" not in g.groups()[0][1]


def test_push_at_an_interval_and_at_exit():
    with folder() as d, Gateway(d) as g:
        with Subject(push=g.url, job="j", interval_ms=20, last=1) as s:
            wait_for(lambda: g.groups(), "pushed by itself", 30)
            assert s.tell("count") == "count ok"
            assert s.end() == (0, "")
            assert rows(g.groups()[0][1]) == 42  # the last push is taken before it ends
        with Subject(push=g.url, job="k", at_exit=1) as s:
            assert s.end() == (0, "")
            assert sorted(labels["job"] for labels, _ in g.groups()) == ["j", "k"]


def test_push_with_tls_and_a_password():
    with folder() as d:
        cert, key = certificate(d, "server")
        with open(os.path.join(d, "web.yml"), "w") as f:
            f.write("tls_server_config: {cert_file: %s, key_file: %s}\nbasic_auth_users: {u: %s}\n" % (cert, key, bcrypt("secret-pw")))
        port = free_port()
        with Process([need("prometheus-pushgateway"), "--web.listen-address=127.0.0.1:%d" % port,
                      "--web.config.file=" + os.path.join(d, "web.yml")], d, name="pushgateway") as gateway:
            url = "https://127.0.0.1:%d" % port
            wait_for(lambda: "TLS is enabled" in gateway.output(), "Pushgateway listens", 30)
            with Subject(push=url, job="j", push_ca=cert, push_user="u", push_password="secret-pw") as s:
                wait_for(lambda: s.tell("push") == "push ok", "pushed", 30)
            with Subject(push=url, job="j", push_ca=cert, push_user="u", push_password="wrong") as s:
                answer = s.tell("push")
                assert "answered 401" in answer and "wrong" not in answer, answer
            with Subject(push=url, job="j") as s:
                answer = s.tell("push")
                assert answer.startswith("push could not reach https://127.0.0.1:%d/metrics/job/j" % port), answer


def test_push_says_why_it_was_refused():
    with folder() as d, Gateway(d) as g:
        with Subject(push=g.url + "/nowhere", job="j") as s:
            answer = s.tell("push")
            assert "answered 404" in answer, answer
        g.stop()
        with Subject(push=g.url, job="j", last=1) as s:
            answer = s.tell("push")
            assert answer.startswith("push could not reach %s/metrics/job/j: " % g.url), answer
            code, out = s.end()
            assert code == 1 and out.startswith("error last push: could not reach"), out


def check_written(server):
    for expr, expected in VALUES.items():
        name, _, rest = expr.partition("{")
        full = '%s{job="batch",instance="i/1"%s' % (name, "," + rest if rest else "}")
        wait_for(lambda: value(server, full) == expected, full, 30)
    assert value(server, 'count(app_many_total{job="batch"})') == 4500
    assert value(server, 'sum(app_many_total{job="batch"})') == sum(range(4500))
    assert value(server, 'app_wait_seconds{quantile="0.5",job="batch"}') > 40
    assert value(server, 'app_depth{path="a\\"b\\\\c\\nd/é"}') == -2.5


def push_by_remote_write(server, native, **arguments):
    with Subject(push="http://127.0.0.1:%d/api/v1/write" % server.port, protocol="remote_write", job="batch", label="instance",
                 value="i/1", series=4500, last=1, **arguments) as s:
        answer = s.tell("push")
        assert answer == "push ok", answer
        check_written(server)
        if native:
            assert value(server, "histogram_count(app_size_bytes)") == 100
            assert value(server, "histogram_sum(app_size_bytes)") == 5050
            assert 40 < value(server, "histogram_quantile(0.5, app_size_bytes)") < 60
        assert s.tell("count") == "count ok" and s.end() == (0, "")
        wait_for(lambda: value(server, 'app_rows_total{job="batch"}') == 42, "the last push", 30)


def test_push_by_remote_write_to_prometheus():
    with folder() as d, Peer(need("prometheus"), d, "global: {}\n", ["--web.enable-remote-write-receiver",
                                                                    "--enable-feature=native-histograms,exemplar-storage"]) as peer:
        push_by_remote_write(peer, True)
        found = json.loads(ask(peer, "GET", "/api/v1/query_exemplars", {"query": "app_rows_total or app_seconds_bucket",
                                                                       "start": "0", "end": "9999999999"})[2])["data"]
        values = {f["seriesLabels"]["__name__"]: [e["labels"], float(e["value"])] for f in found for e in f["exemplars"]}
        assert values["app_rows_total"] == [{"trace_id": "0af7651916cd43dd8448eb211c80319c"}, 41], found
        assert len(found) == 4, found  # the counter and the three buckets that have one


def test_push_by_remote_write_to_our_server():
    with folder() as d, Belfry(d, "global: {}\n", ["--web.enable-remote-write-receiver"]) as b:
        push_by_remote_write(b, False, classic=1)
        assert value(b, "app_size_bytes_count") == 100
        with Subject(push="http://127.0.0.1:%d/api/v1/write" % b.port, protocol="remote_write", job="batch") as s:
            assert "answered 400: native histograms are disabled" in s.tell("push")


class Receiver:
    """OTLP/HTTP: answers with the statuses given, then with 200; keeps what came."""

    def __init__(self, *statuses):
        self.statuses, self.taken = list(statuses), []
        outer = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self):
                body = self.rfile.read(int(self.headers["Content-Length"]))
                status = outer.statuses.pop(0) if outer.statuses else 200
                outer.taken.append((status, self.path, dict(self.headers), json.loads(body)))
                self.send_response(status)
                if status == 429:
                    self.send_header("Retry-After", "0")
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", "2")
                self.end_headers()
                self.wfile.write(b"{}")

            def log_message(self, *_):
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = "http://127.0.0.1:%d" % self.server.server_address[1]
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        with contextlib.suppress(OSError):
            self.server.shutdown()
            self.server.server_close()


def test_spans_are_sent_to_an_otlp_receiver():
    with Receiver(503, 429, 502, 504) as r, Subject(env={"OTEL_EXPORTER_OTLP_ENDPOINT": r.url + "/",
                                                        "OTEL_EXPORTER_OTLP_HEADERS": "x-tenant=a%20b"}) as s:
        assert s.tell("span") == "span ok"
        assert [status for status, *_ in r.taken] == [503, 429, 502, 504, 200]
        _, path, headers, body = r.taken[-1]
        assert path == "/v1/traces" and headers["Content-Type"] == "application/json" and headers["x-tenant"] == "a b"
        span = body["resourceSpans"][0]["scopeSpans"][0]["spans"][0]
        assert span["name"] == "work" and len(span["traceId"]) == 32
        assert s.end() == (0, "")


def test_span_transport_says_what_the_environment_lacks():
    with Subject() as s:
        assert s.tell("span") == "error otlp: no url, and OTEL_EXPORTER_OTLP_ENDPOINT is not set"
