#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""10,000 rules over 100,000 series: Belfry beside Prometheus, in one run, on the same targets and rule files.

usage: bench/rules_side_by_side.py BELFRY [PROMETHEUS] [--seconds N] [--rules N] [--series N]

Prints, for each, what an evaluation of all rules takes (sum of group durations) and the CPU time of the process, which
scrapes the same series, per interval of 15 s. Both run for N seconds after a warm-up of two intervals."""
import argparse
import http.server
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import threading
import time
import urllib.request

METRICS, INTERVAL = 100, 15


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def exposition(series, step):
    shards = series // METRICS // 10
    out = []
    for m in range(METRICS):
        out.append("# TYPE bench_%d_total counter" % m)
        for shard in range(shards):
            for i in range(10):
                out.append('bench_%d_total{shard="%d",i="%d"} %d' % (m, shard, i, step * (i + 7) + m))
    return ("\n".join(out) + "\n").encode()


class Target(http.server.BaseHTTPRequestHandler):
    bodies = []
    protocol_version = "HTTP/1.1"

    def do_GET(self):
        body = self.bodies[int(time.time() / INTERVAL) % len(self.bodies)]
        self.send_response(200)
        self.send_header("Content-Type", "text/plain; version=0.0.4")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *args):
        pass


def rule_files(folder, rules, series):
    """Groups of 100 rules: a quarter each of rates, averages, maxima and alerts that do not fire."""
    shards = series // METRICS // 10
    for group in range(rules // 100):
        lines = ["groups:", "- name: g%d" % group, "  rules:"]
        for k in range(100):
            n = group * 100 + k
            selector = 'bench_%d_total{shard="%d"}' % (n % METRICS, n // METRICS % shards)
            kind = n % 4
            if kind == 0:
                lines.append("  - {record: 'bench:rate%d', expr: 'sum by (shard) (rate(%s[1m]))'}" % (n, selector))
            elif kind == 1:
                lines.append("  - {record: 'bench:avg%d', expr: 'avg by (i) (%s)'}" % (n, selector))
            elif kind == 2:
                lines.append("  - {record: 'bench:max%d', expr: 'max(%s)'}" % (n, selector))
            else:
                lines.append("  - {alert: 'Bench%d', expr: '%s < 0', for: 5m, labels: {severity: page}}" % (n, selector))
        with open("%s/g%03d.yml" % (folder, group), "w") as f:
            f.write("\n".join(lines) + "\n")


def cpu_seconds(pid):
    with open("/proc/%d/stat" % pid) as f:
        fields = f.read().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def metric(port, name):
    text = urllib.request.urlopen("http://127.0.0.1:%d/metrics" % port, timeout=60).read().decode()
    return sum(float(line.rsplit(" ", 1)[1]) for line in text.split("\n")
               if line.startswith(name + " ") or line.startswith(name + "{"))


class Server:
    def __init__(self, name, binary, folder, config):
        self.name, self.port = name, free_port()
        self.process = subprocess.Popen(
            [binary, "--config.file=" + config, "--storage.tsdb.path=%s/%s" % (folder, name),
             "--web.listen-address=127.0.0.1:%d" % self.port, "--log.level=error"],
            stdout=subprocess.DEVNULL, stderr=open("%s/%s.log" % (folder, name), "w"))

    def wait_ready(self):
        for _ in range(300):
            try:
                urllib.request.urlopen("http://127.0.0.1:%d/-/ready" % self.port, timeout=5)
                return
            except OSError:
                time.sleep(0.2)
        raise SystemExit(self.name + " does not start")

    def begin(self):
        self.cpu = cpu_seconds(self.process.pid)
        self.seconds = metric(self.port, "prometheus_rule_group_duration_seconds_sum")
        self.rules = metric(self.port, "prometheus_rule_evaluations_total")

    def end(self, rules):
        cpu = cpu_seconds(self.process.pid) - self.cpu
        evaluated = metric(self.port, "prometheus_rule_evaluations_total") - self.rules
        seconds = metric(self.port, "prometheus_rule_group_duration_seconds_sum") - self.seconds
        failed = metric(self.port, "prometheus_rule_evaluation_failures_total")
        rounds = evaluated / rules
        with open("/proc/%d/status" % self.process.pid) as f:
            rss = [int(line.split()[1]) for line in f if line.startswith("VmRSS")][0]
        print("%-11s %7d evaluations, %d failed; all rules once: %6.0f ms; CPU for that and a scrape: %6.0f ms; RSS %d MB"
              % (self.name, evaluated, failed, seconds / rounds * 1000, cpu / rounds * 1000, rss // 1024), flush=True)
        return seconds / rounds, cpu / rounds


def main():
    p = argparse.ArgumentParser()
    p.add_argument("belfry")
    p.add_argument("prometheus", nargs="?", default="prometheus")
    p.add_argument("--seconds", type=int, default=45)
    p.add_argument("--rules", type=int, default=10000)
    p.add_argument("--series", type=int, default=100000)
    o = p.parse_args()
    folder = tempfile.mkdtemp(prefix="belfry-rules-")
    Target.bodies = [exposition(o.series, step) for step in range(8)]
    target = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Target)
    threading.Thread(target=target.serve_forever, daemon=True).start()
    rule_files(folder, o.rules, o.series)
    config = folder + "/prometheus.yml"
    with open(config, "w") as f:
        f.write("global: {scrape_interval: %ds, evaluation_interval: %ds}\nrule_files: ['g*.yml']\n"
                "scrape_configs:\n- job_name: bench\n  static_configs: [{targets: ['127.0.0.1:%d']}]\n"
                % (INTERVAL, INTERVAL, target.server_address[1]))
    servers = [Server("belfry", o.belfry, folder, config), Server("prometheus", o.prometheus, folder, config)]
    try:
        for s in servers:
            s.wait_ready()
        time.sleep(2 * INTERVAL)
        for s in servers:
            s.begin()
        time.sleep(o.seconds)
        ours, theirs = (s.end(o.rules) for s in servers)
        print("belfry / prometheus: evaluation 1/%.1f, CPU 1/%.1f" % (theirs[0] / ours[0], theirs[1] / ours[1]))
    finally:
        for s in servers:
            s.process.send_signal(signal.SIGTERM)
            s.process.wait()
        shutil.rmtree(folder)


main()
