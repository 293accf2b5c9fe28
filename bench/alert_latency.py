#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""From scrape to webhook: how long after a scrape brought it is somebody told of an alert without `for`?

  bench/alert_latency.py [--interval 1] [--alerts 40] [--series 0] [--side belfry|inside|prometheus ...]

Every scrape shows a new series, which a rule makes an alert. Sides: `belfry` posts to an Alertmanager, `inside` routes to a
webhook itself (--alertmanager.config.file), `prometheus` is the peer, posting to an Alertmanager. Given for each: from the
scrape's answer to the post, which a rule's interval is part of (goal: at most that and 100 ms), and from the time that the
evaluation was for (startsAt) to the post. --series adds so many others to the target, and a rule over them."""
import argparse
import http.server
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time

TOP = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
BELFRY = os.environ.get("BELFRY", os.path.join(TOP, "build/release/src/cli/belfry"))


class World:
    """The target that is scraped, and who is told."""

    def __init__(self, series):
        self.shown, self.told, self.mutex = {}, {}, threading.Lock()
        self.rest = "".join('other{n="%d"} %d\n' % (i, i) for i in range(series))
        world = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def answer(self, body):
                self.send_response(200)
                self.send_header("Content-Type", "text/plain; version=0.0.4")
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def do_GET(self):
                n = len(world.shown)
                body = "".join('m{n="%d"} 1\n' % i for i in range(n + 1)) + world.rest
                self.answer(body.encode())
                world.shown[str(n)] = time.time()

            def do_POST(self):
                now = time.time()
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                self.answer(b"")
                with world.mutex:
                    for alert in body["alerts"] if isinstance(body, dict) else body:
                        world.told.setdefault(alert["labels"]["n"], (now, alert["startsAt"]))

            def log_message(self, *_):
                pass

        class Server(http.server.ThreadingHTTPServer):
            daemon_threads = True
            disable_nagle_algorithm = True

        self.server = Server(("127.0.0.1", 0), Handler)
        self.port = self.server.server_address[1]
        threading.Thread(target=self.server.serve_forever, daemon=True).start()


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def seconds_of(text):
    """RFC 3339 in UTC."""
    import calendar
    whole, _, rest = text.rstrip("Z").partition(".")
    return calendar.timegm(time.strptime(whole + " UTC", "%Y-%m-%dT%H:%M:%S %Z")) + float("0." + (rest or "0"))


def start(side, folder, world, args):
    rules = [{"alert": "New", "expr": 'm == 1'}]
    if args.series:
        rules.insert(0, {"record": "others", "expr": "sum(other)"})
    prometheus = {"global": {"scrape_interval": "%gs" % args.interval, "evaluation_interval": "%gs" % args.interval},
                  "rule_files": ["rules.yml"],
                  "scrape_configs": [{"job_name": "a", "static_configs": [{"targets": ["127.0.0.1:%d" % world.port]}]}]}
    if side != "inside":
        prometheus["alerting"] = {"alertmanagers": [{"static_configs": [{"targets": ["127.0.0.1:%d" % world.port]}]}]}
    inside = {"route": {"receiver": "r", "group_by": ["..."], "group_wait": "0s", "group_interval": "1s"},
              "receivers": [{"name": "r", "webhook_configs": [{"url": "http://127.0.0.1:%d/" % world.port}]}]}
    for name, content in (("prometheus.yml", prometheus), ("rules.yml", {"groups": [{"name": "g", "rules": rules}]}),
                          ("alertmanager.yml", inside)):
        with open(os.path.join(folder, name), "w") as f:
            json.dump(content, f)
    argv = [shutil.which("prometheus")] if side == "prometheus" else [BELFRY, "server"]
    argv += ["--config.file=prometheus.yml", "--storage.tsdb.path=data", "--web.listen-address=127.0.0.1:%d" % free_port()]
    if side == "inside":
        argv.append("--alertmanager.config.file=alertmanager.yml")
    return subprocess.Popen(argv, cwd=folder, stdin=subprocess.DEVNULL, stdout=open(os.path.join(folder, "log"), "w"),
                            stderr=subprocess.STDOUT)


def spread(values):
    values = sorted(values)
    at = lambda q: values[min(len(values) - 1, int(q * len(values)))] * 1000
    return "%8.1f %8.1f %8.1f %8.1f" % (at(0), at(0.5), at(0.9), values[-1] * 1000)


def measure(side, args):
    world, folder = World(args.series), tempfile.mkdtemp(prefix="belfry-bench-")
    server = start(side, folder, world, args)
    try:
        end = time.monotonic() + args.interval * args.alerts + 30
        skipped = 10  # the first ones: the peer knows its Alertmanagers 5 s late
        while len(world.told) < args.alerts + skipped and time.monotonic() < end and server.poll() is None:
            time.sleep(0.05)
        told = {n: t for n, t in world.told.items() if int(n) >= skipped}
        if not told:
            print("%-12s nobody was told: %s" % (side, open(os.path.join(folder, "log")).read()[-500:]))
            return
        print("%-12s %3d alerts  scrape to post %s   evaluation to post %s" % (
            side, len(told), spread([t - world.shown[n] for n, (t, _) in told.items()]),
            spread([t - seconds_of(s) for t, s in told.values()])))
    finally:
        server.send_signal(signal.SIGTERM)
        server.wait(30)
        world.server.shutdown()
        shutil.rmtree(folder, ignore_errors=True)


def main():
    p = argparse.ArgumentParser()
    p.add_argument("--interval", type=float, default=1)
    p.add_argument("--alerts", type=int, default=40)
    p.add_argument("--series", type=int, default=0)
    p.add_argument("--side", action="append", choices=["belfry", "inside", "prometheus"])
    args = p.parse_args()
    print("ms: least, median, nine of ten, most; interval %g s" % args.interval)
    for side in args.side or ["belfry", "inside", "prometheus"]:
        if side == "prometheus" and not shutil.which("prometheus"):
            print("prometheus   is not installed", file=sys.stderr)
            continue
        measure(side, args)


main()
