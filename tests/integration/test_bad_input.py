# SPDX-License-Identifier: Apache-2.0
"""Wrong input from people, clients and disks: one clear error each, and nothing else lost."""
import glob
import json
import os
import signal
import socket
import time

from harness import BELFRY, Belfry, Process, Target, config, folder, free_port, run, text, wait_for


def error_of(b, expr, path="query", method="POST", **args):
    import urllib.parse
    form = urllib.parse.urlencode({"query": expr, **args})
    status, body, _ = b.request(method, "/api/v1/" + path, form, {"Content-Type": "application/x-www-form-urlencoded"})
    answer = json.loads(body)
    assert answer["status"] == "error", body[:300]
    return status, answer["errorType"], answer["error"]


def test_hostile_queries_are_refused_and_the_server_goes_on():
    with folder() as d, Target(text("a 1\n")) as t, Belfry(d, config({"t": t.address})) as b:
        wait_for(lambda: b.value("a") == 1, "a")
        huge = "a" + " + a" * 262144
        status, kind, message = error_of(b, huge)
        assert (status, kind) == (400, "bad_data"), (status, message[:100])
        status, kind, message = error_of(b, "(" * 10000 + "a" + ")" * 10000)
        assert (status, kind) == (400, "bad_data"), (status, message[:100])
        status, kind, message = error_of(b, "-" * 60000 + "1")
        assert (status, kind) == (400, "bad_data"), (status, message[:100])
        status, kind, message = error_of(b, "sum(")
        assert (status, kind) == (400, "bad_data") and "1:5: parse error" in message, message
        status, kind, message = error_of(b, 'a{x=~"(("}')
        assert (status, kind) == (400, "bad_data") and "regular expression" in message, message
        status, kind, message = error_of(b, "{}")
        assert "at least one non-empty matcher" in message, message
        status, kind, message = error_of(b, "a", "query_range", start=0, end=1e9, step=1)
        assert status == 400 and "11,000 points" in message, message
        status, kind, message = error_of(b, "a", "query_range", start=10, end=5, step=1)
        assert status == 400 and "end timestamp must not be before start time" in message, message
        status, kind, message = error_of(b, "a", "query_range", start=1, end=5, step=0)
        assert status == 400 and "zero or negative query resolution step widths are not accepted" in message, message
        assert b.value("a") == 1


def test_a_query_that_selects_everything_stays_within_its_limit():
    body = "".join("m{n=\"%d\"} 1\n" % n for n in range(3000))
    with folder() as d, Target(text(body)) as t:
        with Belfry(d, config({"t": t.address}), flags=["--query.max-samples=1000"]) as b:
            wait_for(lambda: b.api("status/tsdb")["headStats"]["numSeries"] > 3000, "series")
            status, kind, message = error_of(b, '{__name__=~".+"}')
            assert (status, kind) == (422, "execution") and "too many samples" in message, (status, message)


def test_http_nonsense_is_refused_and_the_connection_closed():
    cases = {
        b"POST /api/v1/query HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\nContent-Length: 5\r\n\r\nabcde": b" 400 ",
        b"POST /api/v1/query HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n": b" 400 ",
        b"GET /%2e%2e/%2e%2e/etc/passwd HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n": b" 40",
        b"DELETE /api/v1/query HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n": b" 405 ",
    }
    with folder() as d, Belfry(d, config({"none": []})) as b:
        for request, expected in cases.items():
            with socket.create_connection(("127.0.0.1", b.port), 5) as s:
                s.sendall(request)
                answer = b""
                while b"\r\n" not in answer:
                    more = s.recv(4096)
                    if not more:
                        break
                    answer += more
            assert expected in answer.split(b"\r\n")[0] + b" ", (request, answer[:200])
        assert b.get("/-/healthy")[0] == 200


def test_wrong_configurations_say_line_column_and_what_was_expected():
    cases = [
        ("global:\n  scrape_intervall: 5s\n", ["2:3", "scrape_intervall"]),
        ("global:\n\tscrape_interval: 5s\n", ["2:"]),
        ("scrape_configs:\n- job_name: a\n  static_configs: 5\n", ["3:"]),
        ("scrape_configs:\n- job_name: a\n- job_name: a\n", ["a"]),
        ("global: {scrape_interval: 5x}\n", ["1:", "5x"]),
    ]
    with folder() as d:
        for content, words in cases:
            path = os.path.join(d, "bad.yml")
            with open(path, "w") as f:
                f.write(content)
            code, out, err = run(BELFRY, "check", "config", path)
            assert code == 1, (content, out, err)
            assert all(w in out + err for w in words), (content, out, err)
            code, out, err = run(BELFRY, "server", "--config.file=" + path, "--storage.tsdb.path=" + d + "/x",
                                 "--web.listen-address=127.0.0.1:%d" % free_port(), timeout=20)
            assert code == 1 and all(w in out + err for w in words), (content, out, err)
        code, out, err = run(BELFRY, "check", "config", d + "/missing.yml")
        assert code == 1 and "missing.yml" in err + out, (out, err)


def test_a_locked_data_folder_is_refused():
    with folder() as d, Belfry(d, config({"none": []})) as b:
        code, out, err = run(BELFRY, "server", "--storage.tsdb.path=" + d + "/data", "--config.file=" + d + "/prometheus.yml",
                             "--web.listen-address=127.0.0.1:%d" % free_port(), timeout=20)
        assert code == 1 and "another" in err, (out, err)
        assert b.get("/-/ready")[0] == 200


def test_a_data_folder_that_cannot_be_made_is_named():
    with folder() as d:
        with open(d + "/file", "w") as f:
            f.write("not a folder")
        code, out, err = run(BELFRY, "server", "--storage.tsdb.path=" + d + "/file/data",
                             "--web.listen-address=127.0.0.1:%d" % free_port(), cwd=d, timeout=20)
        assert code == 1 and "file/data" in err, (out, err)


def test_an_occupied_port_is_named():
    with folder() as d, Belfry(d, config({"none": []})) as b:
        code, out, err = run(BELFRY, "server", "--storage.tsdb.path=" + d + "/other", "--config.file=" + d + "/prometheus.yml",
                             "--web.listen-address=127.0.0.1:%d" % b.port, timeout=20)
        assert code == 1 and str(b.port) in err and "in use" in err, (out, err)


def wal_files(d):
    return sorted(p for p in glob.glob(d + "/data/head/wal/*") if os.path.isfile(p))


def fill(d, t, flags=()):
    """Some samples in the WAL, then kill -9; returns what one series held."""
    b = Belfry(d, config({"t": t.address}, "100ms"), flags=flags)
    wait_for(lambda: (b.value("count_over_time(a[1m])") or 0) >= 10, "ten samples")
    at = b.moment("a")
    before = b.query("a[1m]", time="%.3f" % at)[0]["values"]
    b.proc.send_signal(signal.SIGKILL)
    b.proc.wait()
    b.log.close()
    return at, [tuple(x) for x in before]


def test_a_truncated_wal_loses_its_tail_only():
    with folder() as d, Target(text(lambda: "a %d\n" % (time.time() * 1000))) as t:
        at, before = fill(d, t)
        path = wal_files(d)[-1]
        os.truncate(path, os.path.getsize(path) - 7)
        with Belfry(d, config({"none": []})) as b:
            after = [tuple(x) for x in b.query("a[1m]", time="%.3f" % at)[0]["values"]]
            assert set(after) <= set(before) and len(after) >= len(before) - 2, (len(before), len(after))
            assert "wal" in b.output().lower()


def test_a_flipped_byte_in_the_wal_never_gives_a_wrong_value():
    with folder() as d, Target(text(lambda: "a %d\n" % (time.time() * 1000))) as t:
        at, before = fill(d, t)
        path = wal_files(d)[0]
        with open(path, "r+b") as f:
            f.seek(os.path.getsize(path) // 2)
            byte = f.read(1)
            f.seek(-1, 1)
            f.write(bytes([byte[0] ^ 0x40]))
        with Belfry(d, config({"none": []})) as b:
            r = b.query("a[1m]", time="%.3f" % at)
            after = [tuple(x) for x in r[0]["values"]] if r else []
            wrong = [x for x in after if x[0] <= before[-1][0] and x not in before]
            assert not wrong, wrong
            assert "quarantine" in b.output(), b.output()[-2000:]


def test_a_full_disk_stops_ingest_and_queries_go_on():
    """RLIMIT_FSIZE makes writes fail as a full disk would: the server keeps answering."""
    import resource
    import subprocess
    with folder() as d, Target(text("".join("a{n=\"%d\"} %%d\n" % n for n in range(2000)))) as t:
        t.answer = lambda path: (200, {}, "".join("a{n=\"%d\"} %d\n" % (n, time.time() * 1000 + n) for n in range(2000)))
        port = free_port()
        with open(d + "/prometheus.yml", "w") as f:
            f.write(config({"t": t.address}, "100ms"))
        log = open(d + "/log", "wb")
        limit = lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (400000, 400000))
        p = subprocess.Popen([BELFRY, "server", "--storage.tsdb.path=" + d + "/data", "--config.file=" + d + "/prometheus.yml",
                              "--web.listen-address=127.0.0.1:%d" % port], cwd=d, stdout=log, stderr=log, preexec_fn=limit)
        try:
            b = Belfry.__new__(Belfry)
            b.port, b.proc, b.log_path = port, p, d + "/log"
            wait_for(b.is_ready, "ready")
            wait_for(lambda: b.value("belfry_storage_ingest_stopped") == 1 or "ingest" in b.output(), "ingest stopped is told", 20)
            assert b.get("/-/healthy")[0] == 200
            assert b.query("vector(1)")[0]["value"][1] == "1"
        finally:
            p.terminate()
            p.wait(20)
            log.close()


def test_a_client_that_goes_away_cancels_its_query():
    body = "".join("m{n=\"%d\"} %d\n" % (n, n) for n in range(3000))
    with folder() as d, Target(text(body)) as t, Belfry(d, config({"t": t.address}, "200ms")) as b:
        wait_for(lambda: (b.value("count(m)") or 0) == 3000, "series")
        slow = "count(sum by (n) (m) * on() group_left() vector(1)) + " * 20 + "count(quantile_over_time(0.9, m[5m:10ms]))"
        import urllib.parse
        with socket.create_connection(("127.0.0.1", b.port), 5) as s:
            s.sendall(("GET /api/v1/query?query=%s HTTP/1.1\r\nHost: x\r\n\r\n" % urllib.parse.quote(slow)).encode())
            wait_for(lambda: b.get("/metrics")[1].decode().count("prometheus_engine_queries 1\n") == 1, "the query runs", 10, 0.005)
        wait_for(lambda: "prometheus_engine_queries 0\n" in b.get("/metrics")[1].decode(), "the query is cancelled", 2, 0.01)
