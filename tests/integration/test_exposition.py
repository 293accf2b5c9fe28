# SPDX-License-Identifier: Apache-2.0
"""What libbelfry writes, read by those it is written for: exposer.c counts a little of everything, and promtool, Debian's
Prometheus (text, OpenMetrics, protobuf), our server and Python's prometheus_client say the values that it set."""
import ctypes.util
import json
import math
import os
import re
import subprocess
import threading
import time

from harness import BELFRY, TOP, Belfry, Process, Skip, Target, folder, free_port, need, run, wait_for
from test_differential import Peer, ask

EXPOSER = os.environ.get("EXPOSER", os.path.join(TOP, "build/release/tests/integration/exposer"))
ACCEPTS = {
    "/text": "text/plain;version=0.0.4;q=0.5,*/*;q=0.1",
    "/openmetrics": "application/openmetrics-text;version=1.0.0,application/openmetrics-text;version=0.0.1;q=0.75,"
                    "text/plain;version=0.0.4;q=0.5,*/*;q=0.1",
}
TYPES = {"/text": "text/plain", "/openmetrics": "application/openmetrics-text", "/protobuf": "application/vnd.google.protobuf"}
REQUESTS = 'app_requests_total{path="%s",code="%s"}'
STAGE = 'app_stage_seconds_%s{stage="fetch"%s}'

# Samples of every type, and what exposer.c set them to.
VALUES = {
    REQUESTS % ("/", "200"): 9007199254740991,
    REQUESTS % ("/a \\\"b\\\"\\\\c\\nd", "404"): 3,
    REQUESTS % ("/Größe", "200"): 0.5,
    REQUESTS % ("", "500"): 0,
    "app_restarts_total": 12,
    "app_read_now": 7.25,
    'app_number{path="third"}': 1 / 3,
    'app_number{path="tenths"}': 0.1 + 0.2,
    'app_number{path="large"}': 1.5e300,
    'app_number{path="small"}': -2.5e-9,
    'app_number{path="least"}': 5e-324,
    'app_number{path="infinite"}': math.inf,
    'app_number{path="minus"}': -math.inf,
    'app_number{path="none"}': math.nan,
    'app_number{path="zero"}': 0,
    'app_number{path="exact"}': 123456789.25,
    STAGE % ("sum", ""): 2000021.75,
    STAGE % ("count", ""): 7,
    'collected_seconds{shard="a",quantile="0.5"}': 0.125,
    'collected_seconds{shard="a",quantile="0.99"}': 2.5,
    'collected_seconds_sum{shard="a"}': 100.5,
    'collected_seconds_count{shard="a"}': 42,
    'collected_bytes_bucket{le="0.25"}': 3,
    'collected_bytes_bucket{le="+Inf"}': 5,
    "collected_bytes_sum": 6.75,
    "collected_bytes_count": 5,
    "collected_state": -3,
    'app_build_info{version="1.2.3",commit="abc\\"def"}': 1,
    'app_state{app_state="starting"}': 0,
    'app_state{app_state="ready"}': 1,
    'app_state{app_state="stopping"}': 0,
    "app_wait_seconds_sum": 5050,
    "app_wait_seconds_count": 100,
    "app_traced_total": 2.5,
    'app_restarts_total{zone="eu-1"}': 12,  # a constant label of the registry
    'collected_bytes_sum{zone="eu-1"}': 6.75,
}
# Every reader names bounds as it likes: they are compared as numbers.
BUCKETS = {0.000001: 0, 0.5: 4, 1: 5, 30: 6, 1000000: 6, math.inf: 7}
QUANTILES = {0: 1, 0.5: 50, 0.9: 90, 1: 100}  # of app_wait_seconds, to 1 %
KINDS = {"app_requests_total": "counter", "app_number": "gauge", "app_stage_seconds": "histogram",
         "collected_seconds": "summary", "collected_bytes": "histogram", "app_restarts_total": "counter"}


class Exposer:
    """One running exposer, behind HTTP: the path says which Accept it sees, or the request's own."""

    def __init__(self, env=None):
        assert os.path.exists(EXPOSER), EXPOSER + " is not built"
        self.proc = subprocess.Popen([EXPOSER], stdin=subprocess.PIPE, stdout=subprocess.PIPE, env={**os.environ, **(env or {})})
        self.lock = threading.Lock()

    def read(self, accept):
        """(Content-Type, body)"""
        with self.lock:
            self.proc.stdin.write(accept.encode() + b"\n")
            self.proc.stdin.flush()
            kind, length = self.proc.stdout.readline(), self.proc.stdout.readline()
            return kind.decode().strip(), self.proc.stdout.read(int(length))

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.proc.stdin.close()
        self.proc.wait(10)
        self.proc.stdout.close()


def served(exposer):
    """A scrape target; what was answered stands in its `kinds`."""
    kinds = {}

    def answer(path):
        kind, body = exposer.read(ACCEPTS.get(path) or target.requests[-1][1].get("Accept", "-"))
        kinds[path] = kind
        return 200, {"Content-Type": kind}, body

    target = Target(answer)
    target.kinds = kinds
    return target


def config(target, paths):
    return "global: {scrape_interval: 300ms, scrape_timeout: 300ms}\nscrape_configs:\n" + "".join(
        "- {job_name: '%s', metrics_path: '%s', static_configs: [{targets: ['%s']}]%s}\n"
        % (p, p, target.address, ", scrape_protocols: [PrometheusText1.0.0]" if p == "/newer" else "") for p in paths)


def query(server, expr):
    status, _, body = ask(server, "GET", "/api/v1/query", {"query": expr})
    answer = json.loads(body)
    assert status == 200, (expr, answer)
    return answer["data"]["result"]


def same(got, want):
    return math.isnan(got) if math.isnan(want) else got == want


def with_job(expr, job):
    return expr[:-1] + ',job="%s"}' % job if expr.endswith("}") else '%s{job="%s"}' % (expr, job)


def assert_values(server, job):
    wait_for(lambda: query(server, with_job("collected_state", job)), "a scrape of " + job)
    for expr, want in VALUES.items():
        got = query(server, with_job(expr.replace('path="",', 'path="",'), job))
        assert len(got) == 1, (job, expr, got)
        assert same(float(got[0]["value"][1]), want), (job, expr, got, want)
    buckets = query(server, 'app_stage_seconds_bucket{job="%s"}' % job)
    assert {float(b["metric"]["le"]): float(b["value"][1]) for b in buckets} == BUCKETS, (job, buckets)
    for q, want in QUANTILES.items():
        got = [float(r["value"][1]) for r in query(server, 'app_wait_seconds{job="%s"}' % job) if float(r["metric"]["quantile"]) == q]
        assert len(got) == 1 and abs(got[0] - want) <= want / 100, (job, q, got)
    median = query(server, 'histogram_quantile(0.5, app_stage_seconds_bucket{job="%s"})' % job)
    assert abs(float(median[0]["value"][1]) - 0.4375005) < 1e-6, median
    assert float(query(server, 'up{job="%s"}' % job)[0]["value"][1]) == 1


def number(server, expr):
    got = query(server, expr)
    assert len(got) == 1, (expr, got)
    return float(got[0]["value"][1])


def assert_native(server, job):
    """app_native_seconds holds 0.01, 0.02, ... 10, one -4, one 0, one 4."""
    native = 'app_native_seconds{job="%s"}' % job
    assert number(server, "histogram_count(%s)" % native) == 1003
    assert abs(number(server, "histogram_sum(%s)" % native) - 5005) < 1e-6
    for q in (0.1, 0.5, 0.9, 0.99):
        got, want = number(server, "histogram_quantile(%g, %s)" % (q, native)), 10 * q
        assert abs(got - want) <= 0.05 * want, (q, got)
    assert -4.1 < number(server, "histogram_quantile(0, %s)" % native) < -3.6
    # all but the negative one, zero, and half of what lies in the bucket of 5
    assert abs(number(server, "histogram_fraction(0, 5, %s)" % native) - 0.5) < 0.02
    both = 'app_both_seconds{job="%s"}' % job
    assert (number(server, "histogram_count(%s)" % both), number(server, "histogram_sum(%s)" % both)) == (3, 55.5)
    assert number(server, 'histogram_count(app_unused_seconds{job="%s"})' % job) == 0


def assert_classic(server, job, name, buckets):
    got = query(server, '%s_bucket{job="%s"}' % (name, job))
    assert {float(b["metric"]["le"]): float(b["value"][1]) for b in got} == buckets, (job, got)


def exemplars(server, job, expr):
    status, _, body = ask(server, "GET", "/api/v1/query_exemplars", {"query": with_job(expr, job), "start": "0", "end": "9999999999"})
    assert status == 200, body
    return {(e["labels"]["trace_id"], float(e["value"])) for s in json.loads(body)["data"] for e in s["exemplars"]}


def assert_exemplars(server, job, kind):
    """Text has none; Prometheus keeps one of a native histogram."""
    assert exemplars(server, job, "app_traced_total") == {("4bf92f3577b34da6a3ce929d0e0e4736", 2.5)}, job
    name = "app_both_seconds" if kind == "protobuf" else "app_both_seconds_bucket"
    assert exemplars(server, job, name) == {("0af7651916cd43dd8448eb211c80319c", 50)}, job


def assert_kinds(server, job, kinds):
    status, _, body = ask(server, "GET", "/api/v1/targets/metadata", {"match_target": '{job="%s"}' % job})
    told = {m["metric"]: m["type"] for m in json.loads(body)["data"]}
    for name, kind in kinds.items():
        # OpenMetrics names the family of a counter without _total
        assert told.get(name) == kind or told.get(name[:-6] if name.endswith("_total") else name) == kind, (job, name, told)


def test_a_real_prometheus_reads_what_the_library_wrote_in_all_formats():
    program = need("prometheus")
    with folder() as d, Exposer() as e, served(e) as t, Peer(
            program, d, config(t, TYPES), ["--enable-feature=native-histograms,exemplar-storage"]) as p:
        for path, kind in TYPES.items():
            assert_values(p, path)
            assert_kinds(p, path, KINDS)
            assert t.kinds[path].startswith(kind), t.kinds
            assert number(p, with_job('app_gr__e_total{http_code="200"}', path)) == 11  # not for UTF-8
        assert_native(p, "/protobuf")
        assert_exemplars(p, "/protobuf", "protobuf")
        assert_exemplars(p, "/openmetrics", "lines")
        for path in ("/text", "/openmetrics"):
            assert_classic(p, path, "app_native_seconds", {math.inf: 1003})
            assert_classic(p, path, "app_both_seconds", {1: 1, 10: 2, math.inf: 3})


def test_our_server_reads_what_the_library_wrote():
    paths = ["/text", "/openmetrics", "/own", "/newer"]
    with folder() as d, Exposer() as e, served(e) as t, Belfry(d, config(t, paths)) as b:
        for path in paths:
            assert_values(b, path)
            assert_kinds(b, path, KINDS)
            assert_classic(b, path, "app_native_seconds", {math.inf: 1003})
            assert_classic(b, path, "app_both_seconds", {1: 1, 10: 2, math.inf: 3})
        for path in ("/openmetrics", "/own"):
            assert_exemplars(b, path, "lines")
            began = number(b, with_job("app_traced_created", path))
            assert abs(time.time() - began) < 300, began
        for path in ("/own", "/newer"):
            assert number(b, with_job('{"app.größe_total","http.code"="200"}', path)) == 11
        # what it asks for itself
        assert t.kinds["/own"] == "application/openmetrics-text; version=1.0.0; charset=utf-8; escaping=allow-utf-8"
        assert t.kinds["/newer"] == "text/plain; version=1.0.0; charset=utf-8; escaping=allow-utf-8"


def test_promtool_has_nothing_to_say_about_the_text():
    program = need("promtool")
    with Exposer() as e:
        _, body = e.read(ACCEPTS["/text"])
    assert run(program, "check", "metrics", stdin=body.decode()) == (0, "", "")
    assert run(BELFRY, "check", "metrics", stdin=body.decode())[0] == 0


PARSE = """
import json, sys
from prometheus_client.openmetrics.parser import text_string_to_metric_families as openmetrics
from prometheus_client.parser import text_string_to_metric_families as text
read = openmetrics if sys.argv[1] == "/openmetrics" else text
print(json.dumps([[f.name, f.type, f.documentation, [[s.name, s.labels, repr(s.value)] for s in f.samples]]
                  for f in read(sys.stdin.read())]))
"""


def test_pythons_parser_reads_text_and_openmetrics():
    python = next((p for p in ("/usr/bin/python3", "python3")
                   if subprocess.run([p, "-c", "import prometheus_client"], capture_output=True).returncode == 0), None)
    if not python:
        raise Skip("prometheus_client is not installed")
    with Exposer() as e:
        for path, accept in ACCEPTS.items():
            code, out, err = run(python, "-c", PARSE, path, stdin=e.read(accept)[1].decode())
            assert code == 0, err
            families = json.loads(out)
            samples = {(name, tuple(sorted(labels.items()))): float(value) for _, _, _, all_ in families for name, labels, value in all_}
            assert samples[("app_requests_total", (("code", "404"), ("path", '/a "b"\\c\nd'), ("zone", "eu-1")))] == 3
            assert samples[("app_number", (("path", "tenths"), ("zone", "eu-1")))] == 0.1 + 0.2
            assert samples[("app_stage_seconds_sum", (("stage", "fetch"), ("zone", "eu-1")))] == 2000021.75
            assert {float(dict(labels)["le"]): v for (name, labels), v in samples.items()
                    if name == "app_stage_seconds_bucket"} == BUCKETS
            told = {name: (kind, text) for name, kind, text, _ in families}
            assert told["app_requests"] == ("counter", 'Requests, "quoted" and \\ escaped\nin two lines.'), told["app_requests"]
            assert told["collected_seconds"][0] == "summary"
            assert samples[("app_state", (("app_state", "ready"), ("zone", "eu-1")))] == 1
            if path == "/openmetrics":
                assert (told["app_state"][0], told["app_build"][0]) == ("stateset", "info")
                assert ("app_wait_seconds_created", (("zone", "eu-1"),)) in samples


def test_allocators_that_take_mallocs_place_are_shown():
    names = {"": "glibc_malloc_in_use_bytes", "jemalloc": "jemalloc_allocated_bytes", "mimalloc": "mimalloc_committed_bytes"}
    seen = 0
    for library, name in names.items():
        path = ctypes.util.find_library(library) if library else ""
        if path is None:
            continue
        with Exposer({"LD_PRELOAD": path} if path else None) as e:
            shown = dict(re.findall(r"^(\w+){.*} (\S+)$", e.read("-")[1].decode(), re.M))
        assert float(shown[name]) > 0, (library, shown)
        assert not [n for other, n in names.items() if other != library and n in shown], (library, shown)
        seen += 1
    if seen < len(names):
        raise Skip("jemalloc or mimalloc is not installed")


def test_the_host_is_shown_as_node_exporter_shows_it():
    """Every family of ours is one of node_exporter's, of the same type and with the same labels."""
    program = need("prometheus-node-exporter")
    port = free_port()

    class Exporter:
        pass

    exporter = Exporter()
    exporter.port = port
    with folder() as d, Process([program, "--web.listen-address=127.0.0.1:%d" % port], d, name="node") as _, Belfry(d) as b:
        theirs = wait_for(lambda: ask(exporter, "GET", "/metrics")[2], "node_exporter", 30).decode()
        ours = b.get("/metrics/host")[1].decode()
    types = [set(re.findall(r"^# TYPE (node_\w+ \w+)$", text, re.M)) for text in (ours, theirs)]
    assert len(types[0]) > 50 and not types[0] - types[1], types[0] - types[1]
    labels = [{(name, tuple(sorted(re.findall(r'(\w+)="', pairs)))) for name, pairs in re.findall(r"^(node_\w+)(?:{(.*)})? \S+$", text, re.M)}
              for text in (ours, theirs)]
    assert not labels[0] - labels[1], labels[0] - labels[1]
