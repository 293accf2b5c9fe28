#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""What an update and an exposition cost (CPU time of all threads), side by side: libbelfry, the keyed design that C programs had before
(keyed_client.h), Python's prometheus_client and npm's prom-client. Peers that are not installed are left out.

  bench/instrument_peers.py [BUILD]     BUILD: a release build folder (build/release)

Debian: apt-get install python3-prometheus-client; npm: npm install prom-client, and NODE_PATH=.../node_modules."""
import os
import resource
import shutil
import subprocess
import sys
import threading
import time

TOP = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
COLUMNS = [("belfry", "libbelfry"), ("keyed", "keyed design"), ("prometheus_client", "prometheus_client (Python)"),
           ("prom-client", "prom-client (Node)")]
ROWS = [("counter_kept_ns", "counter, child kept: ns", "%.1f"), ("counter_labels_ns", "counter by labels: ns", "%.0f"),
        ("histogram_labels_ns", "histogram by labels, 11 buckets: ns", "%.0f"),
        ("counter_kept_8_threads_ns", "counter, child kept, 8 threads: ns", "%.1f"),
        ("counter_labels_8_threads_ns", "counter by labels, 8 threads: ns", "%.0f"),
        ("counter_labels_8_threads_waits", "the same: times a thread waited, per million", "%.0f"),
        ("histogram_labels_8_threads_ns", "histogram by labels, 8 threads: ns", "%.0f"),
        ("exposition_series_per_s", "exposition of 100,000 series: million series/s", "%.2f")]
CHILDREN, THREADS, SERIES, ROUNDS = 16, 8, 100000, 3


def best(work):
    """Seconds of CPU time of all threads, which other programs disturb least; the best of some rounds."""
    took = []
    for _ in range(ROUNDS):
        start = time.process_time()
        work()
        took.append(time.process_time() - start)
    return min(took)


def measure_python():
    """What instrument_peers.c measures, with prometheus_client. Runs in a process of its own."""
    import prometheus_client as p
    paths = ["/api/v1/things/%d" % i for i in range(CHILDREN)]
    names = ["method", "path", "code"]
    counter = p.Counter("requests", "Requests.", names, registry=None)
    histogram = p.Histogram("request_seconds", "Seconds.", names, registry=None,
                            buckets=(0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10))
    child = counter.labels("GET", paths[0], "200")

    def kept(count):
        for _ in range(count):
            child.inc()

    def by_labels(count):
        for i in range(count):
            counter.labels("GET", paths[i % CHILDREN], "200").inc()

    def observe(count):
        for i in range(count):
            histogram.labels("GET", paths[i % CHILDREN], "200").observe(i * 2654435761 % 16384 / 1024)

    def in_threads(work, count):
        threads = [threading.Thread(target=work, args=(count // THREADS,)) for _ in range(THREADS)]
        for t in threads:
            t.start()
        for t in threads:
            t.join()

    for what, work, count in (("counter_kept", kept, 200000), ("counter_labels", by_labels, 100000), ("histogram_labels", observe, 50000)):
        print("prometheus_client %s_ns %.1f" % (what, best(lambda: work(count)) / count * 1e9))
        before = resource.getrusage(resource.RUSAGE_SELF).ru_nvcsw
        print("prometheus_client %s_8_threads_ns %.1f" % (what, best(lambda: in_threads(work, count)) / count * 1e9))
        waits = resource.getrusage(resource.RUSAGE_SELF).ru_nvcsw - before
        print("prometheus_client %s_8_threads_waits %.0f" % (what, waits / ROUNDS / count * 1e6))
    registry = p.CollectorRegistry()
    for f in range(20):
        users = p.Counter("users_%d" % f, "Users.", ["user", "zone"], registry=registry)
        for i in range(SERIES // 20):
            users.labels("user-%d" % i, "eu").inc(i)
    print("prometheus_client exposition_series_per_s %.0f" % (SERIES / best(lambda: p.generate_latest(registry))))


def ask(argv, env=None):
    """{(client, what): figure} of a program's lines; nothing when it cannot run."""
    p = subprocess.run(argv, capture_output=True, text=True, env={**os.environ, **(env or {})})
    if p.returncode:
        print("left out: %s: %s" % (" ".join(argv), (p.stderr.strip().split("\n") or [""])[-1]), file=sys.stderr)
        return {}
    return {tuple(line.split()[:2]): float(line.split()[2]) for line in p.stdout.splitlines()}


def python_with_client():
    """An interpreter that has prometheus_client: this one, or Debian's."""
    for python in (sys.executable, "/usr/bin/python3"):
        if os.path.exists(python) and subprocess.run([python, "-c", "import prometheus_client"], capture_output=True).returncode == 0:
            return python
    return None


def main():
    if sys.argv[1:] == ["--python"]:
        return measure_python()
    build = os.path.join(TOP, sys.argv[1] if len(sys.argv) > 1 else "build/release")
    subprocess.run(["ninja", "-C", build, "bench/instrument_peers"], check=True, stdout=subprocess.DEVNULL)
    found = ask([os.path.join(build, "bench/instrument_peers")])
    python = python_with_client()
    found.update(ask([python, os.path.abspath(__file__), "--python"]) if python else {})
    found.update(ask(["node", os.path.join(TOP, "bench/instrument_peers.js")]) if shutil.which("node") else {})
    columns = [(client, title) for client, title in COLUMNS if any(c == client for c, _ in found)]
    print("| | %s |\n| --- |%s" % (" | ".join(title for _, title in columns), " ---: |" * len(columns)))
    for what, title, form in ROWS:
        cells = []
        for client, _ in columns:
            figure = found.get((client, what))
            scale = 1e6 if what.endswith("_per_s") else 1
            cells.append(form % (figure / scale) if figure is not None else "")
        print("| %s | %s |" % (title, " | ".join(cells)))


main()
