# SPDX-License-Identifier: Apache-2.0
"""The files of deploy/imgforge on one machine: copied, with loopback addresses in place of the names of containers, and if asked for
with all their durations divided; and the processes that run on them."""
import glob
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import time
import urllib.error
import urllib.parse
import urllib.request

TOP = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
DEPLOY = os.path.join(TOP, "deploy/imgforge")
BELFRY = os.environ.get("BELFRY", os.path.join(TOP, "build/bin/belfry"))
IMGFORGE = os.environ.get("IMGFORGE", os.path.join(os.path.dirname(BELFRY), "imgforge"))
UNITS_MS = {"ms": 1, "s": 1000, "m": 60000, "h": 3600000, "d": 86400000}
DURATION = r"(\d+)(ms|[smhd])"


# --- files ---

def divided(text, by, least_ms):
    """A rule file or configuration with its durations divided: ranges, offsets, `for` and its kin exactly; intervals and waits, which cost
    work each time, not below `least_ms`."""
    def exactly(found):
        ms = int(found[2]) * UNITS_MS[found[3]] / by
        assert ms == int(ms) and ms > 0, "%s does not divide by %g" % (found[0], by)
        return "%s%dms" % (found[1], ms)

    def at_least(found):
        return "%s%dms" % (found[1], max(least_ms, int(found[2]) * UNITS_MS[found[3]] // by))

    text = re.sub(r"(\[|\boffset )" + DURATION + r"(?=\]|\b)", exactly, text)
    text = re.sub(r"(?m)^(\s*(?:- )?(?:for|keep_firing_for): )" + DURATION + r"[ \t]*$", exactly, text)
    return re.sub(r"(?m)^(\s*(?:- )?(?:\w+_)?(?:interval|timeout|wait): )" + DURATION + r"[ \t]*$", at_least, text)


def copy_deployment(folder, replacements, change=lambda text: text):
    """Configuration and rules into `folder`; each replacement must be there, so that a renamed container is noticed."""
    missing = set(replacements)
    for path in ["prometheus.yml", "alertmanager.yml", *glob.glob("rules/*.yml", root_dir=DEPLOY)]:
        with open(os.path.join(DEPLOY, path)) as f:
            text = f.read()
        for name, by in replacements.items():
            if name in text:
                missing.discard(name)
            text = text.replace(name, by)
        os.makedirs(os.path.dirname(os.path.join(folder, path)), exist_ok=True)
        with open(os.path.join(folder, path), "w") as f:
            f.write(change(text))
    if missing:
        raise SystemExit("deploy/imgforge says nothing of " + ", ".join(sorted(missing)))


def dashboard():
    """[(panel's title, query)] of the dashboard, its variables set to what they stand for at first sight: everything."""
    with open(os.path.join(DEPLOY, "grafana-dashboards/imgforge-dashboard.json")) as f:
        board = json.load(f)
    values = {"__rate_interval": "1m", "__interval": "30s", "__range": "1h", "__interval_ms": "30000", "__range_s": "3600"}
    for variable in board.get("templating", {}).get("list", []):
        current = variable.get("current", {}).get("value")
        values[variable["name"]] = ".*" if current in (None, "", "$__all", ["$__all"]) else current
    out = []

    def walk(panels):
        for panel in panels:
            walk(panel.get("panels", []))
            for target in panel.get("targets", []):
                out.append((panel["title"], re.sub(r"\$\{?(\w+)(?::\w+)?\}?", lambda m: values[m[1]], target["expr"])))
    walk(board["panels"])
    return out


# --- processes ---

def free_port(wanted=0):
    """`wanted` if nobody has it, else any."""
    with socket.socket() as s:
        s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            s.bind(("127.0.0.1", wanted))
        except OSError:
            s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def fetch(url, timeout=30):
    with urllib.request.urlopen(url, timeout=timeout) as answer:
        return answer.read()


def query(base, expr):
    """The series of an instant query, those with a number only."""
    answer = json.loads(fetch(base + "/api/v1/query?" + urllib.parse.urlencode({"query": expr})))
    return [r for r in answer["data"]["result"] if r["value"][1] not in ("NaN", "+Inf", "-Inf")]


class Program:
    """A process with its output in a file, in a session of its own: Ctrl-C is for who started it."""

    def __init__(self, name, argv, folder, ready, env=None):
        self.name, self.port = name, urllib.parse.urlsplit(ready).port
        self.log_path = os.path.join(folder, name + ".log")
        with open(self.log_path, "wb") as log:
            self.process = subprocess.Popen(argv, cwd=folder, env={**os.environ, **(env or {})}, stdin=subprocess.DEVNULL,
                                            stdout=log, stderr=log, start_new_session=True)
        self.wait_ready(ready)

    def wait_ready(self, url, seconds=30):
        end = time.monotonic() + seconds
        while True:
            try:
                fetch(url, 5)
                return
            except (OSError, ValueError):
                pass
            if self.process.poll() is not None or time.monotonic() > end:
                self.stop()
                with open(self.log_path, errors="replace") as f:
                    raise SystemExit("%s did not start:\n%s" % (self.name, f.read()[-3000:]))
            time.sleep(0.05)

    @property
    def pid(self):
        return self.process.pid

    def stop(self):
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            try:
                self.process.wait(15)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.stop()


def imgforge(folder, port, metrics_port, key, salt, **settings):
    """settings: variables without their prefix, in lower case."""
    env = {"BIND": "127.0.0.1:%d" % port, "PROMETHEUS_BIND": "127.0.0.1:%d" % metrics_port, "KEY": key, "SALT": salt,
           "ALLOW_LOOPBACK_SOURCE_ADDRESSES": "true", **{k.upper(): str(v) for k, v in settings.items()}}
    return Program("imgforge-%d" % port, [IMGFORGE], folder, "http://127.0.0.1:%d/health" % port,
                   {"IMGFORGE_" + k: v for k, v in env.items()})


def belfry(folder, port, *flags):
    return Program("belfry", [BELFRY, "server", "--config.file=prometheus.yml", "--alertmanager.config.file=alertmanager.yml",
                              "--storage.tsdb.path=" + os.path.join(folder, "belfry-data"),
                              "--web.listen-address=127.0.0.1:%d" % port, *flags], folder, "http://127.0.0.1:%d/-/ready" % port)


def prometheus(folder, port, *flags):
    return Program("prometheus", [shutil.which("prometheus"), "--config.file=prometheus.yml",
                                  "--storage.tsdb.path=" + os.path.join(folder, "prometheus-data"),
                                  "--web.listen-address=127.0.0.1:%d" % port, *flags], folder, "http://127.0.0.1:%d/-/ready" % port)
