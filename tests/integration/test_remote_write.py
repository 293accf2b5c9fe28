# SPDX-License-Identifier: Apache-2.0
"""Remote write 1.0 in: a real Prometheus as sender, and senders that no one would want."""
import struct
import threading
import time

from harness import Belfry, Process, Target, config, folder, free_port, need, text, wait_for
from remote_write import label, field, labels, metadata, post, sample, series, snappy, varint

FLAGS = ["--web.enable-remote-write-receiver"]
STALE = struct.pack("<Q", 0x7ff0000000000002)
NOTHING = config({"none": []})


def now():
    return int(time.time() * 1000)


def metric(server, name):
    lines = server.get("/metrics")[1].decode().splitlines()
    return next((float(x.rsplit(" ", 1)[1]) for x in lines if x.startswith(name + " ")), None)


def by_labels(result):
    return {tuple(sorted(r["metric"].items())): r.get("values", r.get("value")) for r in result}


def test_without_the_flag_the_answer_says_how_to_enable_it():
    with folder() as d, Belfry(d, NOTHING) as b:
        status, answer = post(b, series({"__name__": "m"}, (now(), 1)))
        assert status == 404 and "--web.enable-remote-write-receiver" in answer, (status, answer)


def test_a_prometheus_that_writes_to_us_and_we_answer_the_same():
    """Every sample that the sender scraped is here with its timestamp and value, in each series."""
    prometheus, count = need("prometheus"), [0]

    def body():
        count[0] += 1
        n = count[0]
        return "# TYPE c counter\n# HELP c Things counted.\n" + "".join(
            "c{n=\"%d\",path=\"/x\"} %d\ng{n=\"%d\"} %g\n" % (i, n * (i + 1), i, n / 7 * i) for i in range(300))

    with folder() as d, Target(text(body)) as t, Belfry(d, NOTHING, FLAGS) as b:
        port = free_port()
        with open(d + "/sender.yml", "w") as f:
            f.write(config({"app": t.address}, "200ms") +
                    "remote_write:\n- url: http://127.0.0.1:%d/api/v1/write\n"
                    "  metadata_config: {send_interval: 500ms}\n"
                    "  queue_config: {batch_send_deadline: 100ms, min_shards: 4, max_samples_per_send: 500}\n" % b.port)
        argv = [prometheus, "--config.file=" + d + "/sender.yml", "--storage.tsdb.path=" + d + "/sender",
                "--web.listen-address=127.0.0.1:%d" % port]
        with Process(argv, d, name="prometheus") as p:
            sender = Belfry.__new__(Belfry)
            sender.port = port
            wait_for(lambda: len(b.query("count_over_time(c[1m]) > 15")) == 300, "samples of all series", 40)
            wait_for(lambda: any(m[0]["help"] == "Things counted." for m in b.api("metadata").values()), "metadata")
            at = time.time() - 2
            for expr in ['{job="app",__name__=~"c|g|up|scrape_samples_scraped"}[3s]', "sum by (path) (c)"]:
                theirs = by_labels(sender.query(expr, time="%.3f" % at))
                wait_for(lambda: by_labels(b.query(expr, time="%.3f" % at)) == theirs, "the same answer to " + expr, 10)
                assert theirs
            p.stop()
        assert metric(b, "belfry_remote_write_samples_total") == metric(b, "belfry_remote_write_samples_stored_total")


def test_exemplars_that_a_prometheus_sends_are_kept():
    prometheus, count = need("prometheus"), [0]

    def answer(_):
        count[0] += 1
        body = "# TYPE c counter\nc_total{n=\"1\"} %d # {trace_id=\"t%d\"} 0.5 %.3f\n# EOF\n" % (count[0], count[0], time.time())
        return 200, {"Content-Type": "application/openmetrics-text; version=1.0.0; charset=utf-8"}, body

    with folder() as d, Target(answer) as t, Belfry(d, NOTHING, FLAGS) as b:
        port = free_port()
        with open(d + "/sender.yml", "w") as f:
            f.write(config({"app": t.address}, "300ms") +
                    "remote_write:\n- url: http://127.0.0.1:%d/api/v1/write\n  send_exemplars: true\n"
                    "  queue_config: {batch_send_deadline: 100ms}\n" % b.port)
        argv = [prometheus, "--config.file=" + d + "/sender.yml", "--storage.tsdb.path=" + d + "/sender",
                "--web.listen-address=127.0.0.1:%d" % port, "--enable-feature=exemplar-storage"]
        with Process(argv, d, name="prometheus"):
            def exemplars():
                now = time.time()
                got = b.api("query_exemplars", query="c_total", start=now - 60, end=now + 1)
                return got and len(got[0]["exemplars"]) > 5 and got[0]
            got = wait_for(exemplars, "six exemplars", 40)
            assert got["seriesLabels"] == {"__name__": "c_total", "n": "1", "job": "app", "instance": t.address}
            assert all(e["labels"]["trace_id"].startswith("t") and float(e["value"]) == 0.5 for e in got["exemplars"])


def test_what_was_acknowledged_is_there_after_kill_9():
    with folder() as d:
        t0 = now() - 60000
        with Belfry(d, NOTHING, FLAGS) as b:
            for i in range(50):
                assert post(b, series({"__name__": "m", "job": "j", "instance": "i"}, (t0 + i * 1000, i)))[0] == 204
            b.proc.kill()
            b.proc.wait()
        with Belfry(d, NOTHING, FLAGS) as b:
            assert b.value("count_over_time(m[5m])", time="%.3f" % (t0 / 1000 + 55)) == 50


def test_an_empty_server_takes_samples_of_any_age():
    with folder() as d, Belfry(d, NOTHING, FLAGS) as b:
        assert post(b, series({"__name__": "m"}, (-5000, 1), (0, 2), (5000, 3))) == (204, "")
        assert b.query("m[1m]", time="10")[0]["values"] == [[-5, "1"], [0, "2"], [5, "3"]]


def test_values_keep_their_bits():
    """Only the stale marker is special; other NaN are numbers that are none."""
    t = now() - 10000
    with folder() as d, Belfry(d, NOTHING, FLAGS) as b:
        values = [struct.pack("<Q", x) for x in (0x7ff8000000000001, 0x7ff0000000000001, 0xfff8123456789abc)]
        for i, bits in enumerate(values + [STALE]):
            assert post(b, series({"__name__": "m", "n": str(i)}, (t, 1.0), (t + 1, bits)))[0] == 204
        got = by_labels(b.query("m", time="%.3f" % ((t + 1) / 1000)))
        assert sorted(dict(k)["n"] for k in got) == ["0", "1", "2"] and all(v[1] == "NaN" for v in got.values()), got
        assert b.value('count_over_time(m{n="3"}[1m])', time="%.3f" % ((t + 1) / 1000)) == 1


def test_bad_samples_are_refused_with_counts_and_the_others_stored():
    t = now() - 60000
    good = series({"__name__": "good", "job": "j"}, (t, 1))
    cases = [
        (series({"__name__": "m"}, (now() + 3600000, 1)), "out of bounds", "1 out_of_bounds"),
        (series([("job", "x")], (t, 1), (t + 1, 1)), "missing metric name", "2 invalid_labels"),
        (series([("__name__", "m"), ("", "x")], (t, 1)), "without a name", "1 invalid_labels"),
        (series([("__name__", "m"), ("a", "1"), ("a", "2")], (t, 1)), 'label name "a" is not unique', "1 invalid"),
        (series([("__name__", "m"), ("a", b"\xff\xfe")], (t, 1)), "not valid UTF-8", "1 invalid_labels"),
        (series([("__name__", "m")] + [("l%d" % i, "x") for i in range(70)], (t, 1)), "more than 64 labels", "1 inv"),
        (series([("__name__", "m"), ("a", "x" * 70000)], (t, 1)), "70000", "1 invalid_labels"),
        (series({"__name__": "dup"}, (t, 1), (t, 2)), "duplicate sample for timestamp", "1 duplicate"),
        (field(1, labels({"__name__": "h"}) + field(4, b"\x08\x01")), "native histograms are disabled", "1 native"),
    ]
    with folder() as d, Belfry(d, NOTHING, FLAGS) as b:
        assert post(b, good)[0] == 204
        for i, (bad, words, counts) in enumerate(cases):
            again = series({"__name__": "good", "job": "j"}, (t + 1 + i, i))
            status, answer = post(b, bad, again)
            assert status == 400 and words in answer and counts in answer, (status, answer)
            assert b.value("count_over_time(good[5m])") == i + 2
        assert b.value("dup", time="%.3f" % (t / 1000)) == 1
        assert post(b, series({"__name__": "same"}, (t, 5), (t, 5))) == (204, "")
        assert post(b, series([("z", "1"), ("__name__", "sorted"), ("b", "2"), ("e", "")], (t, 1)))[0] == 204
        assert b.query("sorted", time="%.3f" % (t / 1000))[0]["metric"] == {"__name__": "sorted", "b": "2", "z": "1"}
        old = series({"__name__": "old"}, (t - 48 * 3600 * 1000, 1))
        status, answer = post(b, old)
        assert status == 400 and "too old sample" in answer, (status, answer)
        assert 'belfry_remote_write_samples_refused_total{reason="too_old"} 1' in b.get("/metrics")[1].decode()


def test_bodies_that_are_no_request():
    ok = series({"__name__": "m"}, (now(), 1))
    cases = [
        (varint(4 << 30) + b"x" * 15, {}, 400, "snappy"),
        (varint((4 << 30) - 1) + b"x" * 15, {}, 413, "at most 33554432"),
        (varint(33 << 20) + b"x" * 15, {}, 413, "at most 33554432"),
        (varint(100) + b"\x00a\xfe\x00\x00", {}, 400, "snappy: corrupt input"),   # copy with offset 0
        (varint(100) + b"\x00a\xfe\xff\x00", {}, 400, "snappy: corrupt input"),   # offset before the output
        (varint(4) + b"\x00a\xfe\x01\x00", {}, 400, "snappy: corrupt input"),     # copies past the length
        (b"", {}, 400, "snappy"),
        (b"\xff\x06\x00\x00sNaPpY", {}, 415, "framed"),
        (b"\x28\xb5\x2f\xfd\x00", {}, 415, "zstd"),
        (snappy(ok), {"Content-Encoding": "gzip"}, 415, "only snappy is acceptable"),
        (snappy(ok), {"Content-Type": "application/json"}, 415, "application/x-protobuf"),
        (snappy(ok), {"Content-Type": "application/x-protobuf;proto=io.prometheus.write.v2.Request"}, 415, "2.0"),
        (snappy(ok), {"Content-Type": "application/x-protobuf; proto=prometheus.WriteRequest"}, 204, ""),
        (snappy(ok[:-1]), {}, 400, "malformed WriteRequest"),
        (snappy(b"\x0b"), {}, 400, "malformed"),
        (snappy(b"\x0a\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01"), {}, 400, "malformed"),
        (snappy(b"\x00\x00"), {}, 400, "malformed"),
        (snappy(field(1, labels({"__name__": "m"}) + field(2, b"\x09abc"))), {}, 400, "malformed Sample"),
        (snappy(field(9, b"x" * 100000) + ok), {}, 204, ""),
        (snappy(b""), {}, 204, ""),
    ]
    with folder() as d, Belfry(d, NOTHING, FLAGS) as b:
        for i, (body, headers, status, words) in enumerate(cases):
            got = post(b, packed=body, headers=headers)
            assert got[0] == status and words in got[1], (i, got)
        assert b.alive() and metric(b, "belfry_remote_write_requests_total") > 10


def test_a_full_queue_is_answered_with_429_and_retry_after():
    """Twelve senders at once, each with as many new series as a request may hold; some wait, some are told to."""
    t = now() - 1000
    with folder() as d, Belfry(d, NOTHING, FLAGS) as b:
        many = [series({"__name__": "m%d" % (i % 7), "job": "j", "instance": "i%d" % (i % 50), "n": str(i)}, (t, i))
                for i in range(20000)]
        body, seen = snappy(b"".join(many)), []

        def send():
            status, answer, headers = b.request("POST", "/api/v1/write", body, {"Content-Encoding": "snappy"})
            seen.append((status, headers.get("Retry-After")))

        threads = [threading.Thread(target=send) for _ in range(100)]
        for x in threads:
            x.start()
        for x in threads:
            x.join()
        assert {s for s, _ in seen} <= {204, 429} and seen.count((204, None)) > 20, seen
        assert all(after == "1" for s, after in seen if s == 429), seen
        assert len(b.query("m0", time="%.3f" % (t / 1000))) == len(range(0, 20000, 7))


def test_metadata_is_shown():
    with folder() as d, Belfry(d, NOTHING, FLAGS) as b:
        assert post(b, metadata(1, "requests_total", "Requests.", ""), metadata(99, "odd", "Odd."))[0] == 204
        got = b.api("metadata")
        assert got["requests_total"] == [{"type": "counter", "help": "Requests.", "unit": ""}], got
        assert got["odd"][0]["type"] == "unknown"
