# SPDX-License-Identifier: Apache-2.0
"""The main job, end to end: start it, and real series of this host and of Belfry can be queried."""
import os

from harness import BELFRY, Belfry, Process, Skip, Target, config, folder, free_port, need, run, text, wait_for


def test_built_in_configuration_watches_itself_and_the_host_within_10_s():
    with folder() as d, Belfry(d) as b:
        def both_up():
            return {r["metric"]["job"]: r["value"][1] for r in b.query("up")} == {"belfry": "1", "node": "1"}
        wait_for(both_up, "up == 1 for belfry and node", 10)
        assert b.value("node_memory_MemTotal_bytes") > 0
        assert b.value("count(node_cpu_seconds_total)") >= 8
        assert b.value("belfry_build_info") == 1
        wait_for(lambda: b.value("prometheus_tsdb_head_series") > 100, "head series counted")


def test_prometheus_yml_in_the_current_folder_is_read_without_a_flag():
    with folder() as d, Target(text("a_metric 42\n")) as t:
        with open(os.path.join(d, "prometheus.yml"), "w") as f:
            f.write(config({"here": t.address}))
        with Belfry(d) as b:
            wait_for(lambda: b.value('a_metric{job="here"}') == 42, "the job of ./prometheus.yml")


def test_flags_alone_mean_server():
    with folder() as d:
        port = free_port()
        argv = [BELFRY, "--storage.tsdb.path=" + d + "/data", "--web.listen-address=127.0.0.1:%d" % port]
        with Process(argv, d) as p:
            b = Belfry.__new__(Belfry)
            b.port, b.proc, b.log_path = port, p.proc, p.log_path
            wait_for(b.is_ready, "ready")


def test_each_listener_serves_everything():
    with folder() as d:
        other = free_port()
        with Belfry(d, flags=["--web.listen-address=127.0.0.1:%d" % other]) as b:
            first = b.get("/api/v1/status/buildinfo")
            b.port = other
            assert b.get("/api/v1/status/buildinfo") == first


def test_debian_peers_are_scraped_together():
    programs = {"prometheus": need("prometheus"), "alertmanager": need("prometheus-alertmanager"),
                "pushgateway": need("prometheus-pushgateway"), "node": need("prometheus-node-exporter")}
    with folder() as d:
        ports = {name: free_port() for name in programs}
        with open(d + "/peer.yml", "w") as f:
            f.write("global: {}\n")
        with open(d + "/am.yml", "w") as f:
            f.write("route: {receiver: none}\nreceivers: [{name: none}]\n")
        argv = {
            "prometheus": ["--config.file=" + d + "/peer.yml", "--storage.tsdb.path=" + d + "/prom"],
            "alertmanager": ["--config.file=" + d + "/am.yml", "--storage.path=" + d + "/am", "--cluster.listen-address="],
            "pushgateway": [], "node": []}
        peers = []
        try:
            for name, path in programs.items():
                peers.append(Process([path, "--web.listen-address=127.0.0.1:%d" % ports[name]] + argv[name], d, name=name))
            with Belfry(d, config({n: "127.0.0.1:%d" % p for n, p in ports.items()})) as b:
                wait_for(lambda: b.value("sum(up)") == 4, "all four up", 30)
                assert b.value('count({job="node"})') > 300
                errors = [t["lastError"] for t in b.api("targets")["activeTargets"] if t["lastError"]]
                assert not errors, errors
        finally:
            for p in peers:
                p.__exit__()


def test_promtool_queries_work_against_belfry():
    promtool = need("promtool")
    with folder() as d, Belfry(d) as b:
        url = "http://127.0.0.1:%d" % b.port
        wait_for(lambda: b.value("sum(up)") == 2, "both up")
        code, out, err = run(promtool, "query", "instant", url, "up")
        assert code == 0 and 'up{instance="127.0.0.1:%d", job="belfry"} => 1 @' % b.port in out, (out, err)
        code, out, err = run(promtool, "query", "range", "--step=1s", url, "up")
        assert code == 0 and "1 @[" in out, (out, err)
        code, out, err = run(promtool, "query", "series", "--match=up", url)
        assert code == 0 and len(out.strip().splitlines()) == 2, (out, err)
        code, out, err = run(promtool, "query", "labels", url, "job")
        assert code == 0 and out.split() == ["belfry", "node"], (out, err)


def test_promtool_finds_nothing_wrong_with_our_metrics():
    promtool = need("promtool")
    with folder() as d, Belfry(d) as b:
        wait_for(lambda: b.value("sum(up)") == 2, "both up")
        code, out, err = run(promtool, "check", "metrics", stdin=b.get("/metrics")[1].decode())
        assert code == 0 and not out.strip() and not err.strip(), (out, err)


def test_host_metrics_have_node_exporters_names():
    """Every family that our host collector gives is one that the real node_exporter gives too, with that type."""
    node_exporter = need("prometheus-node-exporter")
    with folder() as d, Belfry(d) as b:
        port = free_port()
        with Process([node_exporter, "--web.listen-address=127.0.0.1:%d" % port], d, name="node"):
            peer = Belfry.__new__(Belfry)
            peer.port = port
            theirs = wait_for(lambda: peer.get("/metrics")[1], "node_exporter's answer").decode()
        ours = b.get("/metrics/host")[1].decode()
    types = lambda body: {line.split()[2]: line.split()[3] for line in body.splitlines() if line.startswith("# TYPE node_")}
    theirs, ours = types(theirs), types(ours)
    assert len(ours) > 80, len(ours)
    different = {n: (t, theirs.get(n)) for n, t in ours.items() if theirs.get(n) != t and n in theirs}
    assert not different, different
    unknown = sorted(set(ours) - set(theirs))
    assert len(unknown) <= 3, unknown
