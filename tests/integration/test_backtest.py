# SPDX-License-Identifier: Apache-2.0
"""Rules on stored history: `belfry backtest` says the same of a folder, of a running Belfry and of a real Prometheus."""
import json
import math
import os
import subprocess

from harness import BELFRY, Belfry, Process, config, folder, free_port, need, wait_for

END = 1764201600
HOURS = 26
# A range that ends on no sample: Prometheus 2 counts what lies on its left edge, Prometheus 3 and Belfry do not.
RULES = """groups:
- name: g
  rules:
  - record: load:avg5m
    expr: avg_over_time(load[301s])
  - alert: High
    expr: load:avg5m > 85
    for: 2m
    labels: {severity: page}
  - alert: Raw
    expr: load > 95
  - alert: Never
    expr: load > 1000
"""
ALERTMANAGER = """route: {receiver: team, group_by: [alertname]}
receivers:
- name: team
  webhook_configs: [{url: "http://127.0.0.1/"}]
"""


def belfry(*args, status=0):
    p = subprocess.run([BELFRY, *args], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, timeout=120)
    assert p.returncode == status, "%r: status %d: %s%s" % (args, p.returncode, p.stdout, p.stderr)
    return p.stdout, p.stderr


def write(path, text):
    with open(path, "w") as f:
        f.write(text)
    return path


def samples(path, hours=HOURS):
    with open(path, "w") as f:
        f.write("# TYPE load gauge\n")
        for i in range(3):
            for t in range(END - hours * 3600, END, 15):
                v = 50 + 40 * math.sin((t / 3600 + i) * 2) + (t * 7919 + i * 104729) % 1500 / 100
                f.write('load{instance="h%d"} %.2f %d\n' % (i, v, t))
        f.write("# EOF\n")
    return path


def backtest(rules, *flags, status=0):
    out, _ = belfry("backtest", rules, "--from", str(END - 24 * 3600), "--to", str(END), "-o", "json", *flags, status=status)
    return json.loads(out)


def episodes(report):
    return {(r["name"], json.dumps(a["labels"])): [(e["activeAt"], e["firedAt"], e["endedAt"]) for e in a["episodes"]]
            for r in report["rules"] for a in r["alerts"]}


def prometheus(d, data):
    port = free_port()
    write(d + "/prometheus.yml", "scrape_configs: []\n")
    p = Process(["prometheus", "--config.file=" + d + "/prometheus.yml", "--storage.tsdb.path=" + data,
                 "--storage.tsdb.retention.time=100y", "--web.listen-address=127.0.0.1:%d" % port], d, name="prometheus")
    url = "http://127.0.0.1:%d" % port
    wait_for(lambda: subprocess.run(["curl", "-sf", url + "/-/ready"], capture_output=True).returncode == 0, "prometheus", 60)
    return p, url


def server(d, data):
    return Belfry(d, config=config({}), data=data, flags=("--storage.tsdb.retention.time=100y",))


def test_a_backtest_of_a_folder_of_belfry_and_of_prometheus_agree():
    """The recording is made in memory, so that over HTTP samples are fetched for it, while the other rules are evaluated there."""
    need("prometheus")
    need("promtool")
    with folder() as d:
        rules = write(d + "/r.yml", RULES)
        samples(d + "/s.om")
        belfry("tsdb", "import", "openmetrics", d + "/s.om", d + "/data")
        subprocess.run(["promtool", "tsdb", "create-blocks-from", "openmetrics", d + "/s.om", d + "/prom"], check=True,
                       capture_output=True)
        report = backtest(rules, "--data.path", d + "/data")
        fired = {r["name"]: r["fired"] for r in report["rules"]}
        assert fired["High"] > 10 and fired["Raw"] > 50 and fired["Never"] == 0, fired
        assert [r["flaps"] for r in report["rules"]] == [False, True, False]
        with server(d, d + "/data") as b:
            assert episodes(backtest(rules, "--url", "http://127.0.0.1:%d" % b.port)) == episodes(report)
            busy = belfry("backtest", rules, "--data.path", d + "/data", status=1)[1]
            assert "--url" in busy, busy
        p, url = prometheus(d, d + "/prom")
        with p:
            got = episodes(backtest(rules, "--url", url))
            assert got == episodes(report), {k: (v[:3], got.get(k, [])[:3]) for k, v in episodes(report).items() if got.get(k) != v}


def test_a_backtest_counts_notifications_and_compares_versions():
    """Text and JSON say what another version changes; notifications are fewer than firings where groups gather them."""
    with folder() as d:
        rules = write(d + "/r.yml", RULES)
        other = write(d + "/o.yml", RULES.replace("for: 2m", "for: 5m").replace("load > 95", "load > 200"))
        alertmanager = write(d + "/am.yml", ALERTMANAGER)
        samples(d + "/s.om")
        belfry("tsdb", "import", "openmetrics", d + "/s.om", d + "/data")
        flags = ("--data.path", d + "/data", "--alertmanager.config.file", alertmanager, "--against", other)
        report = backtest(rules, *flags)
        fired = sum(r["fired"] for r in report["rules"])
        sent = report["notifications"]["integrations"][0]
        assert (sent["receiver"], sent["kind"]) == ("team", "webhook")
        assert 0 < sent["notifications"] < 2 * fired, (sent, fired)
        assert report["against"]["notifications"]["integrations"][0]["notifications"] < sent["notifications"]
        difference = {r["name"]: (r["firstFired"], r["secondFired"]) for r in report["differences"]["rules"]}
        assert difference["Raw"][1] == 0 and difference["Raw"][0] > 50, difference
        later = [a for a in report["differences"]["alerts"] if a["labels"]["alertname"] == "High" and a["secondFiredAt"]]
        assert later and all(a["secondFiredAt"] > a["firstFiredAt"] for a in later), later
        text = belfry("backtest", rules, "--from", str(END - 24 * 3600), "--to", str(END), *flags)[0]
        for words in ("Raw (group g, for 0s)", "flaps: one alert fires", "hint: keep_firing_for: ", "█", "team (webhook): ",
                      "differences of ", "fires 3m later in the second", "fires in the first only"):
            assert words in text, (words, text)


def test_a_backtest_refuses_what_is_wrong():
    with folder() as d:
        rules = write(d + "/r.yml", RULES)
        broken = write(d + "/b.yml", "groups:\n- name: g\n  rules:\n  - {alert: A, expr: 'x >'}\n")
        recordings = write(d + "/n.yml", "groups:\n- name: g\n  rules:\n  - {record: a, expr: x}\n")
        os.mkdir(d + "/data")
        for args, words, status in (
                ((broken,), "b.yml: 4:", 1), ((recordings, "--data.path", d + "/data"), "no alerting rules", 1),
                ((rules, "--data.path", d + "/missing"), "no data folder", 1),
                ((rules, "--from", "yesterday"), 'flag "--from"', 2), ((rules, "--from", "10", "--to", "5"), "before --to", 2),
                ((rules, "-o", "yaml"), "expected text or json", 2), ((rules, "--external.label", "x"), "NAME=VALUE", 2),
                ((rules, "--url", "http://127.0.0.1:1"), "127.0.0.1", 1),
                ((rules, "--data.path", d, "--url", "x"), "not both", 2), ((), "Usage:", 2)):
            err = belfry("backtest", *args, status=status)[1]
            assert words in err, (args, err)
