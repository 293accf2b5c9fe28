# SPDX-License-Identifier: Apache-2.0
"""The four alerts of deploy/imgforge begin and end by their real faults, in Belfry and in Prometheus alike, and Belfry tells of both.

All durations of the shipped files are divided by 60 (an alert that waits 10 minutes waits 10 seconds). The faults, all at once:

  ImgforgeSourceFailures   an origin is down: its connections end, new ones are refused
  ImgforgeCacheMissSurge   somebody deletes the files of the cache again and again
  ImgforgeSlowProcessing   somebody asks for AVIFs that take more than a second to make
  ImgforgeErrorSpike       a second imgforge may have no more memory (its address space is limited): pictures that must be held whole fail
"""
import collections
import contextlib
import glob
import http.client
import http.server
import itertools
import json
import os
import resource
import sys
import threading
import time

from harness import TOP, Skip, folder, need, wait_for

sys.path.insert(0, os.path.join(TOP, "scripts"))
from imgforge_demo import origin, pictures, stack  # noqa: E402

FASTER = 60
LEAST_MS = 1000  # between scrapes and evaluations: five in a window of 5 s, and time for a scrape while encoders have the processors
KEY, SALT = "11" * 32, "22" * 32
ALERTS = ("ImgforgeErrorSpike", "ImgforgeCacheMissSurge", "ImgforgeSlowProcessing", "ImgforgeSourceFailures")
TOLERANCE_S = 3.0  # between the two servers: each scrapes and evaluates at its own moments, and this machine may be busy
TURNS, FAILURES = 0.5, 1.5  # a second; failures are cheap, and are to stay above 5 % of all answers when they have become their own baseline
WHOLE = (6000, 4000)  # 72 MB of pixels: more than what glibc has put aside, so that a limit holds for the next one


class Client(threading.Thread):
    """Asks for what `path()` says until it is stopped, at most `rate` times a second; remembers statuses."""

    def __init__(self, port, path, rate):
        super().__init__(daemon=True)
        self.port, self.path, self.pause = port, path, 1 / rate
        self.statuses, self.stopped = [], threading.Event()

    def get(self, path):
        c = http.client.HTTPConnection("127.0.0.1", self.port, timeout=120)
        try:
            c.request("GET", path)
            answer = c.getresponse()
            answer.read()
            self.statuses.append(answer.status)
        except (OSError, http.client.HTTPException):
            self.statuses.append("no answer")
        finally:
            c.close()

    def run(self):
        while not self.stopped.wait(self.pause):
            self.get(self.path())


class SlowClient(Client):
    """Asks for AVIFs while it is told to, each so large that it takes between 1.2 and 2.2 seconds on this machine as it is now. There are two,
    so that one is made every few seconds, as the window of the rule wants it, also where something else has the processors."""

    def __init__(self, port, source):
        super().__init__(port, None, 20)
        self.source, self.on, self.width, self.serial = source, threading.Event(), 500, itertools.count()

    def run(self):
        while not self.stopped.wait(self.pause):
            if not self.on.is_set():
                continue
            begin = time.monotonic()
            self.get("/unsafe/rs:force:%d:%d:1/cb:%d-%d/plain/%s@avif" % (self.width, self.width * 2 // 3, self.ident, next(self.serial),
                                                                          self.source))
            took = time.monotonic() - begin
            if took < 1.2:
                self.width = min(6000, int(self.width * min(2, (1.7 / took) ** 0.5)))
            elif took > 2.2:
                self.width = max(100, int(self.width * (1.4 / took) ** 0.5))


class Cleaner(threading.Thread):
    """Deletes the files in a folder again and again while it is told to."""

    def __init__(self, path):
        super().__init__(daemon=True)
        self.path, self.on, self.stopped = path, threading.Event(), threading.Event()

    def run(self):
        while not self.stopped.wait(0.05):
            for name in glob.glob(os.path.join(self.path, "**"), recursive=True) if self.on.is_set() else ():
                with contextlib.suppress(OSError):
                    os.remove(name)


class Watch(threading.Thread):
    """What states a server's alerts go through: changes[alert] = [(monotonic time, state)], active[alert] = [times it began]."""

    def __init__(self, url):
        super().__init__(daemon=True)
        self.url, self.stopped = url, threading.Event()
        self.changes, self.active = {a: [] for a in ALERTS}, {a: [] for a in ALERTS}

    def look(self):
        groups = json.loads(stack.fetch(self.url + "/api/v1/rules?type=alert"))["data"]["groups"]
        for rule in (r for g in groups for r in g["rules"] if r["name"] in self.changes):
            seen = self.changes[rule["name"]]
            if not seen or seen[-1][1] != rule["state"]:
                seen.append((time.monotonic(), rule["state"]))
            for alert in rule["alerts"]:
                if alert["activeAt"] not in self.active[rule["name"]]:
                    self.active[rule["name"]].append(alert["activeAt"])

    def run(self):
        while not self.stopped.wait(0.1):
            with contextlib.suppress(OSError):
                self.look()

    def all_are(self, state):
        return all(c and c[-1][1] == state for c in self.changes.values())

    def course(self, alert):
        """The changes, without times of being pending that came to nothing."""
        out = [c for c in self.changes[alert]]
        for at in range(len(out) - 2, 0, -1):
            if out[at][1] == "pending" and out[at + 1][1] == "inactive":
                del out[at:at + 2]
        return out


class Receiver(http.server.ThreadingHTTPServer):
    """The incident platform: remembers (alert, status)."""

    def __init__(self):
        told = self.told = set()

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_POST(self):
                message = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                told.update((a["labels"]["alertname"], a["status"]) for a in message["alerts"])
                self.send_response(200)
                self.end_headers()

            def log_message(self, *_):
                pass

        super().__init__(("127.0.0.1", 0), Handler)
        threading.Thread(target=self.serve_forever, daemon=True).start()


def limit_memory(pid, more=None):
    """Not more than `more` bytes of address space above what the process has now; None: as it was."""
    if more is None:
        resource.prlimit(pid, resource.RLIMIT_AS, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
        return
    with open("/proc/%d/statm" % pid) as f:
        has = int(f.read().split()[0]) * os.sysconf("SC_PAGE_SIZE")
    resource.prlimit(pid, resource.RLIMIT_AS, (has + more, resource.RLIM_INFINITY))


class Stage:
    """Two imgforges, two origins, both servers, clients. Enter it, then use its parts."""

    def __init__(self, enter, path):
        self.path = path
        photos, self.cache = os.path.join(path, "photos"), os.path.join(path, "cache")
        os.makedirs(photos)
        os.makedirs(self.cache)
        os.makedirs(os.path.join(path, "secrets"))
        with open(os.path.join(path, "secrets/incidents-webhook-token"), "w") as f:
            f.write("token\n")
        pictures.write(os.path.join(photos, "photo.png"), pictures.scene(1, 240, 160))
        row = bytes(range(240)) * (WHOLE[0] * 3 // 240)
        pictures.write(os.path.join(photos, "whole.png"), pictures.png(*WHOLE, 3, [row] * WHOLE[1]))
        lonely = "127.%d.%d.7" % (100 + os.getpid() // 250 % 100, 1 + os.getpid() % 250)  # what goes down comes back to its port
        self.steady, self.frail = (enter.enter_context(origin.Origin(photos, host=host)) for host in ("127.0.0.1", lonely))
        common = {"allow_unsigned": "true", "timeout": 60, "workers": 4}
        ports = [stack.free_port() for _ in range(4)]
        self.imgforge = enter.enter_context(stack.imgforge(path, ports[0], ports[1], KEY, SALT, cache_type="disk", cache_disk_path=self.cache,
                                                           **common))
        self.limited = enter.enter_context(stack.imgforge(path, ports[2], ports[3], KEY, SALT, **common))
        self.receiver = Receiver()
        enter.callback(self.receiver.shutdown)
        own = [stack.free_port() for _ in range(2)]
        stack.copy_deployment(path, {
            '"imgforge:9000"': '"127.0.0.1:%d", "127.0.0.1:%d"' % (ports[1], ports[3]), "localhost:9090": "127.0.0.1:%d" % own[0],
            "http://backend:5000/alerts/webhook": "http://127.0.0.1:%d/" % self.receiver.server_address[1],
        }, lambda text: stack.divided(text, FASTER, LEAST_MS))
        enter.enter_context(stack.belfry(path, own[0]))
        enter.enter_context(stack.prometheus(path, own[1]))
        self.watches = {name: Watch("http://127.0.0.1:%d" % port) for name, port in zip(("Belfry", "Prometheus"), own)}
        self.start_clients(enter)

    def start_clients(self, enter):
        serial = itertools.count()
        plain = "plain/%s/photos/%s.png@jpg"
        steady, frail, whole = plain % (self.steady.url, "photo"), plain % (self.frail.url, "photo"), plain % (self.steady.url, "whole")
        port = self.imgforge.port
        self.visitors = [Client(port, lambda: "/unsafe/rs:fit:%d:0/%s" % (60 + next(serial) % 20, steady), 5) for _ in range(2)]
        self.newcomer = Client(port, lambda: "/unsafe/rs:fit:90:0/cb:%d/%s" % (next(serial), frail), 2)
        self.turner = Client(self.limited.port, lambda: "/unsafe/c:200:200:sm/cb:%d/%s" % (next(serial), whole), TURNS)
        self.slow = [SlowClient(port, self.steady.url + "/photos/photo.png") for _ in range(2)]
        self.clients = (*self.visitors, self.newcomer, self.turner, *self.slow)
        self.cleaner = Cleaner(self.cache)
        for thread in (*self.clients, self.cleaner, *self.watches.values()):
            thread.start()
            enter.callback(thread.stopped.set)

    def break_all(self):
        self.frail.go_down()
        self.cleaner.on.set()
        for slow in self.slow:
            slow.on.set()
        limit_memory(self.limited.pid, 20 << 20)
        self.turner.pause = 1 / FAILURES

    def mend_all(self):
        self.frail.come_back()
        self.cleaner.on.clear()
        for slow in self.slow:
            slow.on.clear()
        limit_memory(self.limited.pid)
        self.turner.pause = 1 / TURNS

    def all_are(self, state):
        return all(w.all_are(state) for w in self.watches.values())

    def told(self):
        return "\n".join("%s %s: %s" % (name, a, ", ".join("%.1f %s" % c for c in w.changes[a])) for name, w in self.watches.items() for a in ALERTS)


def test_alerts_fire_and_end_by_the_real_fault_as_in_prometheus():
    need("prometheus")
    if not os.path.exists(stack.IMGFORGE):
        raise Skip("imgforge is not built")
    with folder() as path, contextlib.ExitStack() as enter:
        stage = Stage(enter, path)
        try:
            wait_for(lambda: min(len(c.statuses) for c in (*stage.visitors, stage.newcomer, stage.turner)) > 3, "healthy traffic", 90)
            assert set(stage.turner.statuses) == {200}, stage.turner.statuses
            wait_for(lambda: stage.all_are("inactive"), "nothing is wrong at first", 60)
            broken = time.monotonic()
            stage.break_all()
            wait_for(lambda: stage.all_are("firing"), "all alerts fire", 150)
            assert 500 in stage.turner.statuses, stage.turner.statuses
            wait_for(lambda: {(a, "firing") for a in ALERTS} <= stage.receiver.told, "the receiver is told of all", 30)
            stage.mend_all()
            mended = time.monotonic()
            wait_for(lambda: stage.all_are("inactive"), "all alerts end", 60)
            wait_for(lambda: {(a, "resolved") for a in ALERTS} <= stage.receiver.told, "the receiver is told of all ends", 60)
        except AssertionError as e:
            raise AssertionError("%s\n%s\n%s" % (e, stage.told(), [collections.Counter(c.statuses) for c in stage.clients]))
        for alert in ALERTS:
            compare(stage, alert, broken, mended)


def compare(stage, alert, broken, mended):
    wait_s = 10 if alert in ("ImgforgeErrorSpike", "ImgforgeSourceFailures") else 15
    moments = {}
    for name, watch in stage.watches.items():
        course = watch.course(alert)
        what = "%s in %s: %s" % (alert, name, [("%.1f" % (t - broken), s) for t, s in course])
        assert [s for _, s in course] == ["inactive", "pending", "firing", "inactive"], what
        pending, firing, ended = (t for t, _ in course[1:])
        assert broken <= pending and mended <= ended, what
        assert wait_s - 1 <= firing - pending <= wait_s + TOLERANCE_S, what
        moments[name] = pending, firing, ended
    for a, b, state in zip(*moments.values(), ("pending", "firing", "inactive")):
        assert abs(a - b) <= TOLERANCE_S, "%s becomes %s %.1f s apart\n%s" % (alert, state, abs(a - b), stage.told())
