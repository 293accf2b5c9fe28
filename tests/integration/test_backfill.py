# SPDX-License-Identifier: Apache-2.0
"""Recordings of the time before: `belfry backfill` into a folder, and promtool's `tsdb create-blocks-from rules` against a
real Prometheus."""
import collections
import json
import os
import re
import signal
import subprocess
import time
import urllib.parse
import urllib.request

from harness import BELFRY, Belfry, config, folder, need
from test_backtest import END, belfry, prometheus, samples, write

# A group is evaluated at an offset of its interval that its file's name gives: just before the end of the samples is
# behind any of them, a second before it is not.
LAST = END - 0.001
BLOCK_MS = 2 * 3600 * 1000
RULES = """groups:
- name: g
  interval: 30s
  rules:
  - record: load:avg
    expr: avg_over_time(load[301s])
    labels: {from: rules}
  - record: load:sum
    expr: sum(load)
  - record: constant
    expr: 1 + 1
  - alert: NotLookedAt
    expr: load > 1
- name: h
  rules:
  - record: load:high
    expr: load > 90
"""
CHAIN = RULES + """  - record: avg:max
    expr: max(load:avg)
"""


def dump(data):
    """{labels: [(ms, value)]}"""
    series = collections.defaultdict(list)
    for line in belfry("tsdb", "dump", data)[0].splitlines():
        labels, value, ms = re.match(r"(\{.*\}) (\S+) (\d+)$", line).groups()
        series[labels].append((int(ms), value))
    return {k: sorted(v) for k, v in series.items()}


def recorded(data):
    return {k: v for k, v in dump(data).items() if '__name__="load"' not in k}


def range_query(url, expr, start, end, step):
    q = urllib.parse.urlencode({"query": expr, "start": "%.3f" % (start / 1000), "end": "%.3f" % (end / 1000), "step": step})
    with urllib.request.urlopen(url + "/api/v1/query_range?" + q) as r:
        return json.load(r)["data"]["result"]


def test_blocks_from_rules_have_the_series_and_values_of_promtool_and_prometheus():
    """promtool's blocks have the same series, as often within a sample; Prometheus asked at our times gives our values.

    Where a group's offset, which its folder's name gives, is late in the interval, promtool leaves out the evaluation at a block's border."""
    need("prometheus")
    need("promtool")
    with folder() as d:
        rules = write(d + "/r.yml", RULES)
        samples(d + "/s.om", 8)
        subprocess.run(["promtool", "tsdb", "create-blocks-from", "openmetrics", d + "/s.om", d + "/prom"], check=True,
                       capture_output=True)
        start, end = END - 6 * 3600, END - 3600
        p, url = prometheus(d, d + "/prom")
        with p:
            flags = ["create-blocks-from", "rules", "--start", str(start), "--end", str(end), "--url", url, "--output-dir"]
            subprocess.run(["promtool", "tsdb", *flags, d + "/theirs", rules], check=True, capture_output=True)
            belfry("tsdb", *flags, d + "/ours", rules)
            ours = dump(d + "/ours")
            belfry("tsdb", "import", "prometheus", d + "/theirs", d + "/theirs-here")
            # promtool takes alerting rules for recordings of that name; its documentation says that they are ignored
            theirs = {k: v for k, v in dump(d + "/theirs-here").items() if "NotLookedAt" not in k}
            assert sorted(ours) == sorted(theirs) and len(ours) == 8
            for labels, ms in ours.items():
                if "load:high" not in labels:
                    times = [t for t, _ in theirs[labels]]
                    left_out = [t for t, after in zip(times, times[1:]) if after - t > 30000]
                    assert all(t // BLOCK_MS < (t + 60000) // BLOCK_MS for t in left_out), (labels, left_out)
                    assert abs(len(ms) - len(times) - len(left_out)) <= 1, (labels, len(ms), len(times), left_out)
            for name, expr, step in (("load:avg", "avg_over_time(load[301s])", 30), ("load:sum", "sum(load)", 30),
                                     ("constant", "1 + 1", 30), ("load:high", "load > 90", 60)):
                mine = {k: v for k, v in ours.items() if '__name__="%s"' % name in k}
                first, last = min(v[0][0] for v in mine.values()), max(v[-1][0] for v in mine.values())
                want = range_query(url, expr, first, last, step)
                assert sorted(len(s["values"]) for s in want) == sorted(len(v) for v in mine.values()), name
                for s in want:
                    host = s["metric"].get("instance", "")
                    (got,) = [v for k, v in mine.items() if 'instance="%s"' % host in k or not host]
                    assert [(round(t * 1000), float(v)) for t, v in s["values"]] == [(t, float(v)) for t, v in got], (name, host)
        again = belfry("tsdb", "verify", d + "/ours")[0]
        assert "DAMAGED" not in again


def test_a_backfill_writes_what_the_server_would_have_and_nothing_twice():
    """Rules that read others find them; a second run writes nothing; the server shows all of it."""
    with folder() as d:
        rules = write(d + "/r.yml", CHAIN)
        samples(d + "/s.om", 30)
        belfry("tsdb", "import", "openmetrics", d + "/s.om", d + "/data")
        start = END - 30 * 3600
        out = belfry("backfill", rules, "--data.path", d + "/data", "--start", str(start), "--end", str(LAST))[0]
        assert "left out:        0 samples" in out, out
        filled = recorded(d + "/data")
        assert sorted(set(re.findall(r'__name__="([^"]+)"', " ".join(filled)))) == ["avg:max", "constant", "load:avg", "load:high",
                                                                               "load:sum"]
        assert all(len(v) == 3600 for k, v in filled.items() if "load:avg" in k)
        maxima = dict(filled['{__name__="avg:max"}'])
        times, averaged = sorted(maxima), min(v[0][0] for k, v in filled.items() if "load:avg" in k)
        assert {b - a for a, b in zip(times, times[1:])} == {60000} and all(float(v) > 40 for v in maxima.values())
        assert averaged <= times[0] < averaged + 60000 and times[-1] + 60000 >= END * 1000, (averaged, times[0], times[-1])
        out = belfry("backfill", rules, "--data.path", d + "/data", "--end", str(LAST))[0]
        assert re.search(r"samples:         0 of 0 series", out), out
        assert recorded(d + "/data") == filled
        with Belfry(d, config=config({}), data=d + "/data", flags=("--storage.tsdb.retention.time=100y",)) as b:
            assert len(b.query("count_over_time(load:avg[30h]) == 3600", time=LAST)) == 3
            err = belfry("backfill", rules, "--data.path", d + "/data", status=1)[1]
            assert "stop" in err, err


def test_a_backfill_fills_around_what_is_there():
    with folder() as d:
        rules = write(d + "/r.yml", "groups:\n- name: g\n  rules:\n  - {record: r, expr: 'sum(load)'}\n")
        samples(d + "/s.om", 6)
        with open(d + "/r.om", "w") as f:
            f.write("# TYPE r gauge\n")
            for t in range(END - 4 * 3600, END - 2 * 3600, 60):
                f.write("r 1 %d\n" % t)
            f.write("# EOF\n")
        for name in ("s", "r"):
            belfry("tsdb", "import", "openmetrics", "%s/%s.om" % (d, name), d + "/data")
        belfry("backfill", rules, "--data.path", d + "/data", "--end", str(LAST))
        points = recorded(d + "/data")['{__name__="r"}']
        inside = [(t, v) for t, v in points if END - 4 * 3600 <= t // 1000 < END - 2 * 3600]
        assert inside == [((END - 4 * 3600 + 60 * i) * 1000, "1") for i in range(120)]
        gaps = {b[0] - a[0] for a, b in zip(points, points[1:])}
        assert max(gaps) < 2 * 60 * 1000, gaps
        assert len(points) in range(358, 361), len(points)


def test_a_backfill_that_was_killed_goes_on():
    """kill -9 after the first block; then it is run again: the same samples as without that."""
    with folder() as d:
        rules = write(d + "/r.yml", CHAIN)
        samples(d + "/s.om", 96)
        belfry("tsdb", "import", "openmetrics", d + "/s.om", d + "/data")
        subprocess.run(["cp", "-r", d + "/data", d + "/other"], check=True)
        argv = ["backfill", rules, "--end", str(LAST), "--data.path"]
        blocks = len(os.listdir(d + "/data"))
        p = subprocess.Popen([BELFRY, *argv, d + "/data"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        while p.poll() is None and len([n for n in os.listdir(d + "/data") if len(n) == 26]) < blocks:
            time.sleep(0.001)
        p.send_signal(signal.SIGKILL)
        p.wait()
        belfry(*argv, d + "/data")
        belfry(*argv, d + "/other")
        assert recorded(d + "/data") == recorded(d + "/other")
        assert "DAMAGED" not in belfry("tsdb", "verify", d + "/data")[0]


def test_a_backfill_refuses_what_is_wrong():
    with folder() as d:
        rules = write(d + "/r.yml", RULES)
        alerts = write(d + "/a.yml", "groups:\n- name: g\n  rules:\n  - {alert: A, expr: x}\n")
        os.mkdir(d + "/data")
        for args, words, status in ((("backfill", rules), "--data.path", 2), (("backfill",), "Usage:", 2),
                                    (("backfill", rules, "--data.path", d + "/missing"), "no data folder", 1),
                                    (("backfill", rules, "--data.path", d + "/data"), "has no samples", 1),
                                    (("backfill", alerts, "--data.path", d + "/data", "--start", "10", "--end", "20"),
                                     "no recording rules", 1),
                                    (("tsdb", "create-blocks-from", "rules", rules), "--start", 2),
                                    (("tsdb", "create-blocks-from", "rules"), "expected:", 2),
                                    (("tsdb", "create-blocks-from", "rules", "--start", "10", "--end", "100", "--url",
                                      "http://127.0.0.1:1", "--output-dir", d + "/out", rules), "127.0.0.1", 1)):
            err = belfry(*args, status=status)[1]
            assert words in err, (args, err)
