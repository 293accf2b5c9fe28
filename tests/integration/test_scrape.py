# SPDX-License-Identifier: Apache-2.0
"""Targets of every kind, good and hostile: each bad one costs itself and nothing else."""
import base64
import contextlib
import gzip
import json
import os
import signal
import time

from harness import Belfry, Target, config, folder, text, wait_for


def last_error(b, job):
    targets = [t for t in b.api("targets")["activeTargets"] if t["labels"]["job"] == job]
    return targets[0]["lastError"] if targets else ""


def expect_down(answer, words, interval="1s", extra=""):
    """A target that answers so is down with these words in its last error, while a good one stays up."""
    with folder() as d, Target(answer) as bad, Target(text("good_metric 1\n")) as good:
        with Belfry(d, config({"bad": bad.address, "good": good.address}, interval) + extra) as b:
            wait_for(lambda: words in last_error(b, "bad"), "last error with %r" % words, 20)
            wait_for(lambda: b.value('up{job="bad"}') == 0, "up == 0")
            wait_for(lambda: b.value('up{job="good"}') == 1, "the good one up")
            assert b.query('{job="bad",__name__!~"up|scrape_.*"}') == []


def test_malformed_lines_fail_the_scrape_and_are_quoted():
    for line in ("metric{a=\"1\" 2", "metric{a=\"1\",a=\"2\"} 1", "metric one", "1metric 1",
                 "metric{} 1 2 3", "metric{a=b} 1", "metric \xff 1"):
        expect_down(text("fine 1\n" + line + "\n"), line.split("\xff")[0][:8])


def test_a_target_that_hangs_is_down_after_the_timeout():
    expect_down(lambda path: (lambda conn: time.sleep(30)), "timed out")


def test_a_target_that_drips_a_byte_a_second_is_down_after_the_timeout():
    def drip(conn):
        conn.sendall(b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 100\r\n\r\n")
        for _ in range(100):
            conn.sendall(b"a")
            time.sleep(1)
    expect_down(lambda path: drip, "timed out")


def test_a_body_of_10_gb_stops_at_the_limit():
    def flood(conn):
        conn.sendall(b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 10737418240\r\n\r\n")
        block = b"# comment\n" * 100000
        for _ in range(10737):
            conn.sendall(block)
    with folder() as d, Target(lambda path: flood) as bad:
        conf = config({"bad": bad.address}, "10s") + "  body_size_limit: 20MB\n"
        with Belfry(d, conf) as b:
            wait_for(lambda: "body size limit" in last_error(b, "bad"), "body size limit exceeded", 25)
            with open("/proc/%d/status" % b.proc.pid) as f:
                peak = next(int(l.split()[1]) for l in f if l.startswith("VmHWM"))
            assert peak < 200 * 1024, "peak RSS %d KiB" % peak


def test_a_gzip_bomb_is_refused():
    bomb = gzip.compress(b"\0" * (512 << 20))
    with folder() as d, Target(lambda path: (200, {"Content-Encoding": "gzip"}, bomb)) as bad:
        with Belfry(d, config({"bad": bad.address}, "10s")) as b:
            wait_for(lambda: last_error(b, "bad"), "an error", 25)
            with open("/proc/%d/status" % b.proc.pid) as f:
                peak = next(int(l.split()[1]) for l in f if l.startswith("VmHWM"))
            assert peak < 200 * 1024, "peak RSS %d KiB" % peak


def test_an_unasked_encoding_is_refused():
    expect_down(lambda path: (200, {"Content-Encoding": "br"}, b"\x00\x01"), "encoding")


def test_an_error_status_is_named():
    expect_down(lambda path: (500, {}, "oops"), "server returned HTTP status 500")


def test_gzip_answers_are_read():
    body = gzip.compress(b"zipped_metric 7\n")
    with folder() as d, Target(lambda path: (200, {"Content-Encoding": "gzip"}, body)) as t:
        with Belfry(d, config({"t": t.address})) as b:
            wait_for(lambda: b.value("zipped_metric") == 7, "zipped_metric")
            assert "gzip" in t.requests[0][1].get("Accept-Encoding", "")


def test_a_vanished_series_is_stale_at_once_and_a_failed_scrape_ends_all():
    state = {"body": "a 1\nb 2\n", "status": 200}
    with folder() as d, Target(lambda path: (state["status"], {}, state["body"])) as t:
        with Belfry(d, config({"t": t.address})) as b:
            wait_for(lambda: b.value("a") == 1 and b.value("b") == 2, "both")
            state["body"] = "a 1\n"
            wait_for(lambda: not b.query("b"), "b stale", 5)
            assert b.value("a") == 1
            state["status"] = 503
            wait_for(lambda: not b.query("a") and b.value("up") == 0, "a stale and up 0", 5)


def test_le_and_quantile_are_normalised():
    body = ('# TYPE h histogram\nh_bucket{le="1"} 3\nh_bucket{le="+Inf"} 4\nh_sum 9\nh_count 4\n'
            '# TYPE s summary\ns{quantile="1"} 3\ns_sum 9\ns_count 4\n')
    with folder() as d, Target(text(body)) as t, Belfry(d, config({"t": t.address})) as b:
        wait_for(lambda: b.value('h_bucket{le="1.0"}') == 3, 'le="1.0"')
        assert b.value('s{quantile="1.0"}') == 3
        assert b.query('h_bucket{le="1"}') == []


def test_credentials_reach_the_target_and_relabelling_works():
    with folder() as d, Target(text('m{a="x"} 1\ndropped 1\n')) as t:
        with open(d + "/password", "w") as f:
            f.write("secret\n")
        conf = """
global: {scrape_interval: 1s, scrape_timeout: 1s}
scrape_configs:
- job_name: basic
  basic_auth: {username: me, password_file: password}
  metrics_path: /basic
  static_configs: [{targets: ['%s'], labels: {team: one}}]
  metric_relabel_configs:
  - {source_labels: [__name__], regex: dropped, action: drop}
  - {source_labels: [a], target_label: b, replacement: "${1}y"}
- job_name: bearer
  authorization: {credentials: tok}
  metrics_path: /bearer
  params: {q: [one two]}
  static_configs: [{targets: ['%s', 'unwanted:1']}]
  relabel_configs:
  - {source_labels: [__address__], regex: 'unwanted:.*', action: drop}
  - {target_label: instance, replacement: renamed}
""" % (t.address, t.address)
        with Belfry(d, conf) as b:
            wait_for(lambda: b.value("sum(up)") == 2, "both up")
            seen = {path.split("?")[0]: (path, headers) for path, headers in t.requests}
            assert seen["/basic"][1]["Authorization"] == "Basic " + base64.b64encode(b"me:secret").decode()
            assert seen["/bearer"][1]["Authorization"] == "Bearer tok"
            assert "q=one" in seen["/bearer"][0]
            assert b.value('m{b="xy",team="one",job="basic"}') == 1
            assert b.value('m{instance="renamed"}') == 1
            assert b.query('dropped{job="basic"}') == []
            assert len(b.api("targets")["droppedTargets"]) == 1


def test_honor_labels():
    with folder() as d, Target(text('m{job="theirs"} 1\n')) as t:
        conf = config({"plain": t.address, "honest": t.address}) + "  honor_labels: true\n"
        with Belfry(d, conf) as b:
            wait_for(lambda: b.value("sum(up)") == 2, "both up")
            assert b.value('m{job="plain",exported_job="theirs"}') == 1
            assert b.value('m{job="theirs"}') == 1


def test_reload_keeps_targets_and_a_bad_file_changes_nothing():
    import signal
    with folder() as d, Target(text("a 1\n")) as t, Target(text("b 2\n")) as u:
        with Belfry(d, config({"t": t.address})) as b:
            wait_for(lambda: b.value("a") == 1, "a")
            with open(d + "/prometheus.yml", "w") as f:
                f.write("global:\n  scrape_intervall: 5s\n")
            b.proc.send_signal(signal.SIGHUP)
            wait_for(lambda: b.value("prometheus_config_last_reload_successful") == 0 or "scrape_intervall" in b.output(), "the error is told")
            assert "2:3" in b.output(), b.output()[-1500:]
            assert b.value('up{job="t"}') == 1
            with open(d + "/prometheus.yml", "w") as f:
                f.write(config({"t": t.address, "u": u.address}))
            b.proc.send_signal(signal.SIGHUP)
            wait_for(lambda: b.value("b") == 2, "the new job", 10)
            assert b.value('up{job="t"}') == 1
            with open(d + "/prometheus.yml", "w") as f:
                f.write(config({"u": u.address}))
            b.proc.send_signal(signal.SIGHUP)
            wait_for(lambda: not b.query("a"), "a is stale when its job is gone", 5)


def test_explicit_timestamps_are_kept():
    with folder() as d:
        stamp = int(time.time() * 1000) - 60000
        with Target(lambda path: (200, {}, "old 5 %d\nnow 6\n" % stamp)) as t, Belfry(d, config({"t": t.address})) as b:
            wait_for(lambda: b.value("now") == 6, "now")
            wait_for(lambda: b.value("timestamp(old)") == stamp / 1000, "timestamp(old)", 5)
            with contextlib.suppress(ValueError):
                assert b.value("old") == 5


def test_series_with_timestamps_of_their_own_end_where_the_job_tracks_them():
    """One job tracks staleness of explicit timestamps, one does not: a series that vanishes, alone or with all of its
    timestamp, and a scrape that fails, end the series of the first at once; the others stay for the lookback."""
    answer = {}
    body = lambda: "".join("%s 1 %d\n" % (n, (time.time() - 2 * i) * 1000) for i, n in enumerate(answer["series"]))
    def handler(path):
        return text(body)(path) if answer["series"] else (500, {}, "")
    with folder() as d:
        answer["series"] = ["a", "b", "c"]
        with Target(handler) as t:
            base = config({"tracks": t.address, "plain": t.address}, "250ms")
            with Belfry(d, base.replace("- job_name: 'tracks'", "- job_name: 'tracks'\n  track_timestamps_staleness: true")) as b:
                def shown(job):
                    return sorted(r["metric"]["__name__"] for r in b.query('{__name__=~"a|b|c",job="%s"}' % job))
                wait_for(lambda: shown("tracks") == shown("plain") == ["a", "b", "c"], "all three")
                time.sleep(1)  # some rows of each
                answer["series"] = ["a", "b"]
                wait_for(lambda: shown("tracks") == ["a", "b"], "the end of c")
                assert shown("plain") == ["a", "b", "c"]
                answer["series"] = []
                wait_for(lambda: shown("tracks") == [], "the end of all")
                assert shown("plain") == ["a", "b", "c"]
                answer["series"] = ["a", "b", "c"]
                wait_for(lambda: shown("tracks") == ["a", "b", "c"], "all three again")


def test_why_scrapes_failed_is_written_to_a_file():
    with folder() as d, Target(lambda path: (503, {}, "no\n")) as t:
        conf = config({"a": t.address, "b": "127.0.0.1:1"}, extra="  scrape_failure_log_file: failed.log")
        with Belfry(d, conf) as b:
            path = d + "/failed.log"
            def lines():
                with open(path) as f:
                    return [json.loads(line) for line in f.read().split("\n")[:-1]]
            wait_for(lambda: {x["job_name"] for x in lines()} == {"a", "b"}, "both jobs")
            first = next(x for x in lines() if x["job_name"] == "a")
            assert first["target"] == "http://%s/metrics" % t.address and "503" in first["msg"], first
            assert first["level"] == "ERROR" and first["time"].endswith("Z"), first
            os.rename(path, path + ".1")  # as logrotate does
            b.proc.send_signal(signal.SIGHUP)
            wait_for(lambda: os.path.exists(path) and lines(), "opened anew")
