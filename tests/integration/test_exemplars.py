# SPDX-License-Identifier: Apache-2.0
"""OpenMetrics targets as users have them: exemplars and metadata beside Prometheus, and through kill -9."""
import gzip
import json
import os
import signal
import time

from harness import Belfry, Target, folder, free_port, need, wait_for
from test_differential import Peer, ask

OPENMETRICS = {"Content-Type": "application/openmetrics-text; version=1.0.0; charset=utf-8"}
ROUNDS = 6


def body(base_s, n):
    """Round n of a target that goes through everything an exemplar can be."""
    at = base_s + n
    lines = [
        "# HELP http_requests What came in, \\\"quoted\\\" and \\\\ escaped\\nin two lines.",
        "# TYPE http_requests counter",
        'http_requests_total{code="200",path="/a b"} %d # {trace_id="abc%d"} 1 %d.25' % (10 * n, n, at),
        'http_requests_total{code="500",path="Größe"} %d # {trace_id="same",span_id="x"} 0.5 %d' % (n, base_s),
        "# TYPE latency_seconds histogram",
        "# UNIT latency_seconds seconds",
        "# HELP latency_seconds How long.",
        'latency_seconds_bucket{le="0.1"} %d # {} 0.05 %d' % (n, at),
        # older than the one before in every second round: out of order
        'latency_seconds_bucket{le="1.0"} %d # {t="%d"} 0.5 %d' % (2 * n, n, at if n % 2 else at - 2),
        # the same time again: by value
        'latency_seconds_bucket{le="10.0"} %d # {t="v"} %d %d' % (3 * n, 5 - n, base_s),
        'latency_seconds_bucket{le="+Inf"} %d # {t="%s"} 100 %d' % (4 * n, "y" * 127 if n % 2 else "z" * 128, at),
        "latency_seconds_sum %d.5" % n,
        "latency_seconds_count %d" % (4 * n),
        "latency_seconds_created %d.5" % base_s,
        "# TYPE state stateset",
        'state{state="on"} 1',
        'state{state="off"} 0',
        "# TYPE build info",
        'build_info{version="1.0"} 1',
        "# TYPE size gaugehistogram",
        'size_bucket{le="+Inf"} 4 # {g="h"} -2.5e-9 %d' % at,
        "size_gsum 3",
        "# TYPE odd unknown",
        'odd{a="\\\\ \\" \\n"} NaN',
        "# TYPE quant summary",
        'quant{quantile="0.5"} 1.5',
        "quant_count 2",
        "# EOF",
    ]
    return "\n".join(lines) + "\n"


class Rounds:
    """The k-th request of a path gets round k; after the last it stays."""

    def __init__(self, base_s):
        self.base_s, self.seen = base_s, {}

    def __call__(self, path):
        n = self.seen.get(path, 0)
        self.seen[path] = min(n + 1, ROUNDS)
        return 200, OPENMETRICS, body(self.base_s, n)


def config(target, path):
    return """
global: {scrape_interval: 300ms, scrape_timeout: 300ms}
scrape_configs:
- job_name: om
  metrics_path: /%s
  static_configs: [{targets: ['%s'], labels: {zone: eu}}]
""" % (path, target.address)


QUERIES = [
    {"query": "http_requests_total"},
    {"query": 'rate(http_requests_total{code="200"}[1m])'},
    {"query": 'sum by (le) (rate(latency_seconds_bucket[5m])) / ignoring(le) group_left max_over_time(size_bucket[1h:1m])'},
    {"query": '{__name__=~".+"}'},
    {"query": 'latency_seconds_bucket{le=~"1.*"} or topk(scalar(odd), http_requests_total)'},
    {"query": "nothing_here"},
    {"query": "1 + 2"},
    {"query": 'absent(foo{a="b"})'},
    {"query": "http_requests_total", "start": "B+1", "end": "B+3"},
    {"query": "http_requests_total", "start": "B+2.25", "end": "B+2.25"},
    {"query": "latency_seconds_bucket", "start": "B+4"},
    {"query": "latency_seconds_bucket", "end": "B"},
    {"query": "http_requests_total", "start": "B+3", "end": "B+1"},
    {"query": "http_requests_total", "start": "yesterday"},
    {"query": "http_requests_total", "end": "x"},
    {"query": ""},
    {},
    {"query": "sum("},
    {"query": '{__name__=~".*"}'},
]


def exemplars(server, args, method="GET"):
    status, _, answer = ask(server, method, "/api/v1/query_exemplars", args)
    return status, answer.decode().strip()


def placed(args, base_s):
    return {k: v if not v.startswith("B") else str(base_s + float(v[1:] or 0)) for k, v in args.items()}


def metadata(server, **args):
    status, _, answer = ask(server, "GET", "/api/v1/targets/metadata", args)
    answer = json.loads(answer)
    if status == 200:
        answer["data"].sort(key=lambda m: (json.dumps(m["target"]), m.get("metric", "")))
    return status, answer


def test_exemplars_and_metadata_agree_with_prometheus():
    program = need("prometheus")
    base_s = int(time.time()) - 100
    with folder() as d, Target(Rounds(base_s)) as t:
        with Peer(program, d, config(t, "peer"), ["--enable-feature=exemplar-storage"]) as peer, \
                Belfry(d, config(t, "belfry")) as b:
            def done(server):
                _, answer = exemplars(server, {"query": "http_requests_total"})
                return '"abc%d"' % ROUNDS in answer
            for server in (peer, b):
                wait_for(lambda: done(server), "last round in %s" % type(server).__name__, 40)
            differ = []
            for args in QUERIES:
                args = placed(args, base_s)
                for method in ("GET", "POST"):
                    ours, theirs = exemplars(b, args, method), exemplars(peer, args, method)
                    if not args.get("query") or args.get("start") == "yesterday" or args.get("end") == "x":
                        assert ours[0] == theirs[0] == 400, (ours, theirs)  # release 3 has other words
                    elif ours != theirs:
                        differ.append("%s %s\n  ours   %s\n  theirs %s" % (method, args, ours, theirs))
            assert not differ, "\n".join(differ)
            # what came: all kinds were refused and taken as there
            answer = json.loads(exemplars(b, {"query": "latency_seconds_bucket"})[1])["data"]
            counts = {s["seriesLabels"]["le"]: len(s["exemplars"]) for s in answer}
            assert counts == {"0.1": ROUNDS + 1, "1.0": 4, "10.0": 1, "+Inf": ROUNDS // 2}, counts

            # the same series
            names = [{json.dumps({k: v for k, v in s["metric"].items()}, sort_keys=True)
                      for s in json.loads(ask(server, "GET", "/api/v1/query", {"query": '{job="om",__name__!~"scrape_.*"}'})[2])
                      ["data"]["result"]} for server in (b, peer)]
            assert names[0] == names[1], names[0] ^ names[1]

            for args in ({}, {"metric": "http_requests"}, {"metric": "latency_seconds", "match_target": '{job="om"}'},
                         {"match_target": '{zone="us"}'}, {"match_target": '{zone=~"e.",job!="x"}', "metric": "state"},
                         {"metric": "not_there"}, {"match_target": "{"}, {"limit": "x"}, {"limit": "0"}):
                ours, theirs = metadata(b, **args), metadata(peer, **args)
                if args.get("match_target") == "{":
                    assert ours[0] == theirs[0] == 400, (ours, theirs)
                else:
                    assert ours == theirs, "%s\n  ours   %s\n  theirs %s" % (args, ours, theirs)
            assert metadata(b, limit="2")[1]["data"][1:] and len(metadata(b, limit="2")[1]["data"]) == 2
            for args in ({}, {"metric": "latency_seconds"}, {"metric": "not_there"}, {"limit": "0"}, {"limit_per_metric": "1"}):
                ours, theirs = (json.loads(ask(s, "GET", "/api/v1/metadata", args)[2]) for s in (b, peer))
                assert ours == theirs, (args, ours, theirs)

            _, _, text = ask(b, "GET", "/metrics")
            numbers = dict(l.rsplit(" ", 1) for l in text.decode().splitlines() if l.startswith("prometheus_tsdb_exemplar_"))
            _, _, text = ask(peer, "GET", "/metrics")
            theirs = dict(l.rsplit(" ", 1) for l in text.decode().splitlines() if l.startswith("prometheus_tsdb_exemplar_"))
            assert set(numbers) == set(theirs), set(numbers) ^ set(theirs)
            for name in ("exemplars_in_storage", "series_with_exemplars_in_storage", "exemplars_appended_total"):
                assert float(numbers["prometheus_tsdb_exemplar_" + name]) == float(theirs["prometheus_tsdb_exemplar_" + name]), name
            assert float(numbers["prometheus_tsdb_exemplar_out_of_order_exemplars_total"]) > 0


def test_what_was_shown_survives_kill_9():
    base_s = int(time.time()) - 100
    with folder() as d:
        shown = {}
        for round_ in range(5):
            with Target(Rounds(base_s + 10 * round_)) as t, Belfry(d, config(t, "r%d" % round_)) as b:
                assert exemplars(b, {"query": '{__name__=~".+"}'})[1].count("trace_id") >= len(shown), "lost at the restart"
                def news():
                    got = json.loads(exemplars(b, {"query": "http_requests_total"})[1])["data"]
                    for series in got:
                        for e in series["exemplars"]:
                            shown[(series["seriesLabels"]["instance"], e["labels"]["trace_id"], e["timestamp"])] = e
                    return any(k[1] == "abc%d" % (round_ + 1) and k[2] == base_s + 11 * round_ + 1.25 for k in shown)
                wait_for(news, "an exemplar of round %d" % round_)
                b.stop(signal.SIGKILL)
        with Belfry(d, "global: {}\n") as b:
            got = json.loads(exemplars(b, {"query": "http_requests_total"})[1])["data"]
            there = {(s["seriesLabels"]["instance"], e["labels"]["trace_id"], e["timestamp"]) for s in got for e in s["exemplars"]}
            assert set(shown) <= there, set(shown) - there
            assert len(shown) >= 10


def test_the_ring_follows_the_configuration():
    base_s = int(time.time()) - 100
    with folder() as d, Target(Rounds(base_s)) as t:
        with Belfry(d, config(t, "x") + "storage: {exemplars: {max_exemplars: 3}}\n") as b:
            wait_for(lambda: exemplars(b, {"query": '{job="om"}'})[1].count('"timestamp"') == 3, "three exemplars")
            with open(os.path.join(d, "prometheus.yml"), "w") as f:
                f.write(config(t, "y") + "storage: {exemplars: {max_exemplars: 0}}\n")
            b.proc.send_signal(signal.SIGHUP)
            wait_for(lambda: exemplars(b, {"query": '{job="om"}'}) == (200, '{"status":"success","data":[]}'), "none")
            time.sleep(0.7)
            assert exemplars(b, {"query": '{job="om"}'})[1] == '{"status":"success","data":[]}'
            assert b.value('up{job="om"}') == 1


def test_formats_are_negotiated_and_told_apart_by_content_type():
    def answer(path):
        return {
            "/om": (200, {"Content-Type": "application/openmetrics-text"}, "m 1\n# EOF\n"),
            "/om-cut": (200, {"Content-Type": "application/openmetrics-text"}, "m 1\n"),
            "/text": (200, {"Content-Type": "text/plain"}, "m 1\n"),
            "/json": (200, {"Content-Type": "application/json"}, "m 1\n# EOF\n"),
            "/fallback": (200, {"Content-Type": "application/json"}, "m 1\n# EOF\n"),
        }[path]
    with folder() as d, Target(answer) as t:
        lines = ["global: {scrape_interval: 500ms, scrape_timeout: 500ms, scrape_protocols: [OpenMetricsText1.0.0]}",
                 "scrape_configs:"]
        for name in ("om", "om-cut", "text", "json", "fallback"):
            extra = ", fallback_scrape_protocol: OpenMetricsText0.0.1, scrape_protocols: [PrometheusText0.0.4]" if name == "fallback" else ""
            lines.append("- {job_name: '%s', metrics_path: '/%s', static_configs: [{targets: ['%s']}]%s}" % (name, name, t.address, extra))
        with Belfry(d, "\n".join(lines) + "\n") as b:
            wait_for(lambda: len(b.query("up")) == 5, "all jobs")
            up = {r["metric"]["job"]: r["value"][1] for r in b.query("up")}
            assert up == {"om": "1", "om-cut": "0", "text": "1", "json": "0", "fallback": "1"}, up
            errors = {x["labels"]["job"]: x["lastError"] for x in b.api("targets")["activeTargets"]}
            assert "data does not end with # EOF" in errors["om-cut"]
            assert 'unsupported Content-Type "application/json"' in errors["json"]
            accepts = {path: headers["Accept"] for path, headers in t.requests}
            assert accepts["/om"] == "application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.6,*/*;q=0.5"
            assert accepts["/fallback"] == "text/plain;version=0.0.4;q=0.6,*/*;q=0.5"


def test_own_metrics_are_negotiated():
    om = "application/openmetrics-text; version=1.0.0; charset=utf-8"
    plain = "text/plain; version=0.0.4; charset=utf-8"
    cases = {
        None: plain, "*/*": plain, "text/plain": plain, "application/openmetrics-text": om,
        "application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.6,text/plain;version=0.0.4;q=0.3,*/*;q=0.2": om + "; escaping=allow-utf-8",
        "text/plain;q=0.9,application/openmetrics-text;q=0.8": plain,
        "application/openmetrics-text;q=0": plain, "application/openmetrics-text;version=9.9.9,text/plain;q=0.1": plain,
        "application/json, application/openmetrics-text; version=0.0.1; q=0.1": om.replace("1.0.0", "0.0.1"), ",,;;q=": plain,
    }
    port = free_port()
    with folder() as d, Belfry(d, "global: {scrape_interval: 500ms, scrape_timeout: 500ms}\n"
                                  "scrape_configs: [{job_name: me, static_configs: [{targets: ['127.0.0.1:PORT']}]}]\n"
                                  .replace("PORT", str(port)), port=port) as b:
        for accept, want in cases.items():
            for path in ("/metrics", "/metrics/host"):
                headers = {"Accept": accept} if accept else {}
                status, body_, got = b.request("GET", path, headers=headers)
                if status == 404:
                    continue
                assert status == 200 and got["Content-Type"] == want, (path, accept, got)
                assert body_.endswith(b"\n# EOF\n") == ("openmetrics" in want), (path, accept)
                if "openmetrics" in want:
                    types = [l.split()[2] for l in body_.decode().splitlines() if l.startswith("# TYPE ")]
                    assert "promhttp" not in body_.decode() and len(types) == len(set(types))
        status, packed, got = b.request("GET", "/metrics", headers={"Accept": "application/openmetrics-text", "Accept-Encoding": "gzip"})
        assert got.get("Content-Encoding") == "gzip" and gzip.decompress(packed).endswith(b"# EOF\n")
        status, body_, _ = b.request("GET", "/metrics?name[]=belfry_build_info&name%5B%5D=process_open_fds")
        types = [l.split()[2] for l in body_.decode().splitlines() if l.startswith("# TYPE ")]
        assert status == 200 and types == ["belfry_build_info", "process_open_fds"], types
        # what it says of itself reads as it should
        wait_for(lambda: b.value('up{job="me"}') == 1, "itself", 10)
        assert {m["type"] for m in b.api("targets/metadata", metric="prometheus_tsdb_exemplar_exemplars_appended")} == {"counter"}
