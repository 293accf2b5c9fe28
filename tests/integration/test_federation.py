# SPDX-License-Identifier: Apache-2.0
"""Federation in both directions, with a real Prometheus and with ourselves."""
import re
import time

from harness import Belfry, Process, Target, config, folder, free_port, need, text, wait_for

FEDERATE = """- job_name: federate
  honor_labels: true
  metrics_path: /federate
  params: {'match[]': ['{job="app"}', '{__name__="odd_total"}']}
  static_configs:
  - targets: ['%s']
"""
BODY = "".join("requests_total{code=\"%d\",path=\"/a\\\"b\\\\c\"} %d\n" % (c, c * 1000000) for c in range(200, 220)) + \
    "temperature 1e-05\nodd_total NaN\nhuge{x=\"1\"} +Inf\n"


class Prometheus(Process):
    def __init__(self, cwd, name, text):
        self.port = free_port()
        with open("%s/%s.yml" % (cwd, name), "w") as f:
            f.write(text)
        super().__init__([need("prometheus"), "--config.file=%s/%s.yml" % (cwd, name), "--storage.tsdb.path=%s/%s" % (cwd, name),
                          "--web.listen-address=127.0.0.1:%d" % self.port], cwd, name=name)

    request, get, api, query = Belfry.request, Belfry.get, Belfry.api, Belfry.query


def federated(server, **headers):
    status, body, got = server.request("GET", "/federate?match%5B%5D=%7Bjob%3D%22app%22%7D", headers=headers)
    assert status == 200, (status, body)
    return body.decode(), got


def samples(server, expr, at):
    return {tuple(sorted(r["metric"].items())): {tuple(v) for v in r["values"]} for r in server.query(expr, time="%.3f" % at)}


def without_times(body):
    return re.sub(r" \d+\n", "\n", body)


def check_copy(copy, origin, name):
    """What the copy has is what the origin has, series for series, sample for sample."""
    wait_for(lambda: len(copy.query('count_over_time(requests_total[1m]) > 4')) == 20, "samples of " + name, 40)
    at = time.time() - 1
    expr = '{job="app",__name__=~"requests_total|temperature|up|huge"}[5s]'
    theirs, ours = samples(origin, expr, at), samples(copy, expr, at)
    assert set(ours) == set(theirs), (set(ours) ^ set(theirs))
    for labels, values in ours.items():
        assert values and values <= theirs[labels], (name, labels, values - theirs[labels])


def test_what_we_federate_is_what_prometheus_federates():
    """The text itself, but for the timestamps and the parameter that Prometheus 3 adds to the type."""
    need("prometheus")
    with folder() as d, Target(text(BODY)) as t:
        jobs = config({"app": t.address}, "500ms", "  external_labels: {zone: ie, code: never}")
        with Prometheus(d, "prometheus", jobs) as p, Belfry(d, jobs) as b:
            wait_for(lambda: len(p.query('up{job="app"}')) == 1 and len(b.query('up{job="app"}')) == 1, "scrapes", 30)
            keep = lambda body: "\n".join(x for x in body.splitlines() if "scrape_" not in x)
            theirs, ours = federated(p)[0], federated(b)[0]
            assert keep(without_times(ours)) == keep(without_times(theirs)), (ours[:2000], theirs[:2000])
            assert 'temperature{instance="%s",job="app",code="never",zone="ie"} 1e-05 1' % t.address in ours
            for bad in ("-not-a-name", "not-a-name", "{"):
                theirs, ours = p.get("/federate", **{"match[]": bad}), b.get("/federate", **{"match[]": bad})
                assert theirs[0] == ours[0] == 400, (bad, theirs, ours)
                assert ours[1].decode().startswith("1:"), ours
            assert b.get("/federate") == (200, b"") == p.get("/federate")
            assert b.get("/federate", **{"match[]": "nothing_here"}) == (200, b"")


def test_chains_of_federation_copy_samples_with_their_times():
    """Target -> Prometheus -> Belfry -> Prometheus, and Belfry -> Belfry."""
    need("prometheus")
    with folder() as d, Target(text(BODY)) as t:
        with Prometheus(d, "first", config({"app": t.address}, "500ms")) as a:
            def copy_of(origin):
                return config({}, "250ms") + FEDERATE % ("127.0.0.1:%d" % origin.port)
            with Belfry(d, copy_of(a)) as b:
                with Prometheus(d, "last", copy_of(b)) as c, Belfry(d, copy_of(b), data="copy") as e:
                    check_copy(b, a, "Belfry of Prometheus")
                    check_copy(c, b, "Prometheus of Belfry")
                    check_copy(e, b, "Belfry of Belfry")


def test_names_in_utf8_are_escaped_as_the_client_asks():
    body = "{\"disk.used\",\"mount point\"=\"/\"} 1\n"
    cases = [
        ("text/plain", "underscores", "# TYPE disk_used untyped\ndisk_used{instance="),
        ("*/*", "underscores", "disk_used{"),
        ("text/plain;version=1.0.0;escaping=allow-utf-8", "allow-utf-8",
         "# TYPE \"disk.used\" untyped\n{\"disk.used\",instance="),
        ("application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.6,text/plain;version=0.0.4;q=0.3", "allow-utf-8",
         "\"mount point\"=\"/\""),
        ("text/plain;escaping=dots", "dots", "disk_dot_used{"),
        ("text/plain;escaping=values", "values", "U__disk_2e_used{"),
        ("text/plain;escaping=what", "underscores", "mount_point=\"/\""),
    ]
    with folder() as d, Target(text(body)) as t, Belfry(d, config({"app": t.address}, "500ms")) as b:
        wait_for(lambda: b.query('{"disk.used"}'), "a scrape")
        for accept, escaping, words in cases:
            got, headers = federated(b, Accept=accept)
            assert headers["Content-Type"].endswith("escaping=" + escaping), (accept, headers)
            assert words in got, (accept, got)


def test_stale_and_old_series_are_left_out():
    alive = [True]
    body = lambda: "stays 1\n" + ("goes 1\n" if alive[0] else "")
    with folder() as d, Target(text(body)) as t, Belfry(d, config({"app": t.address}, "200ms")) as b:
        wait_for(lambda: "goes{" in federated(b)[0], "both series")
        alive[0] = False
        wait_for(lambda: "goes{" not in federated(b)[0], "one series", 5)
        assert "stays{" in federated(b)[0]


def test_external_labels_of_a_large_answer_are_streamed():
    body = "".join("m{n=\"%d\"} %d\n" % (n, n) for n in range(20000))
    with folder() as d, Target(text(body)) as t:
        with Belfry(d, config({"app": t.address}, "500ms", "  external_labels: {region: eu}")) as b:
            wait_for(lambda: b.value("count(m)") == 20000, "a scrape")
            got = federated(b)[0]
            lines = [x for x in got.splitlines() if x.startswith("m{")]
            assert len(lines) == 20000 and all(',region="eu"} ' in x for x in lines)
            assert got.count("# TYPE m untyped\n") == 1
