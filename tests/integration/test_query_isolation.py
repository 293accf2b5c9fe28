# SPDX-License-Identifier: Apache-2.0
"""Queries that take all they can get, more of them than may run: scrapes go on at their times, health is answered, and a
query that is given up ends soon. TEST_SCALE times LOAD_SECONDS, at most a minute."""
import json
import os
import select
import socket
import threading
import time
import urllib.parse

from harness import Belfry, Target, config, folder, text, wait_for

SERIES = 2000
INTERVAL = 0.2
LOAD_SECONDS = min(60.0, 6 * float(os.environ.get("TEST_SCALE", "1")))
FLAGS = ["--query.max-concurrency=4", "--query.max-samples=5000000", "--query.max-memory=64MiB", "--query.timeout=3s"]
LONG = "count(quantile_over_time(0.9, big[10m:10ms])) + " * 20 + "1"

# (expression, statuses it may get; 503 is "no place" or "timed out")
HOSTILE = [
    (LONG, (200, 422, 503)),
    ('count_over_time({__name__=~".+"}[5y:1ms])', (422, 503)),
    ("max_over_time(max_over_time(big[1y:1s])[1y:1s])", (422, 503)),
    ('last_over_time({__name__=~".+"}[1h:1ms])', (422, 503)),
    ('count(label_join(big, "x", "%s"%s))' % ("s" * 20000, ', "n"' * 40), (422, 503)),
    ('count(label_replace(big, "x", "%s", "n", "(.*)"))' % ("$1" * 20000), (200, 422, 503)),
    ("big * on(job) group_left big", (422, 503)),
    ('sort_desc(big) or topk(1e18, big)', (200, 422, 503)),
    ('count(big{n=~"(.*)*x|((a+)+)+$|%s"})' % "|".join("x%dy" % i for i in range(5000)), (200, 422, 503)),
]


def ask(b, expression, timeout=60):
    form = urllib.parse.urlencode({"query": expression})
    return b.request("POST", "/api/v1/query", form, {"Content-Type": "application/x-www-form-urlencoded"}, timeout)[:2]


class Load:
    """Threads that run until they are told to end; the first failure of one is raised at the end."""

    def __init__(self):
        self.ended, self.failures, self.threads, self.lock = threading.Event(), [], [], threading.Lock()

    def start(self, function, *args):
        def run():
            try:
                while not self.ended.is_set():
                    function(*args)
            except Exception as e:  # told by stop()
                self.failures.append("%s: %r" % (function.__name__, e))
                self.ended.set()
        self.threads.append(threading.Thread(target=run, daemon=True))
        self.threads[-1].start()

    def stop(self):
        self.ended.set()
        for t in self.threads:
            t.join(60)
            assert not t.is_alive(), "a client still waits for its answer"
        assert not self.failures, self.failures


def scrapes(b, since, until):
    """Of each target of the steady job: times of scrapes and whether all succeeded."""
    r = b.query('up{job="steady"}[%dms]' % round(1000 * (until - since)), time="%.3f" % until)
    return [([t for t, _ in s["values"]], all(v == "1" for _, v in s["values"])) for s in r]


def longest_gap(times):
    return max(b - a for a, b in zip(times, times[1:]))


def active(b, query):
    return [q for q in b.api("status/active_queries") if q["query"] == query]


def measure_kill(b, number, disconnect, latencies):
    """Begins a query that nobody else asks, ends it while it runs: by its id, or by going away."""
    query = LONG + " + 0 * %d" % number
    form = urllib.parse.urlencode({"query": query})
    with socket.create_connection(("127.0.0.1", b.port), 60) as s:
        s.sendall(("POST /api/v1/query HTTP/1.1\r\nHost: x\r\nContent-Type: application/x-www-form-urlencoded\r\n"
                   "Content-Length: %d\r\n\r\n%s" % (len(form), form)).encode())
        deadline = time.monotonic() + 5
        while not (running := active(b, query)):
            if time.monotonic() > deadline or select.select([s], [], [], 0)[0]:
                return  # it had no place
            time.sleep(0.002)
        began = time.monotonic()
        if disconnect:
            s.close()
        else:
            b.request("DELETE", "/api/v1/status/active_queries/%d" % running[0]["id"])
        while active(b, query):
            assert time.monotonic() - began < 30, "it goes on"
            time.sleep(0.002)
        latencies.append(time.monotonic() - began)


def test_hostile_queries_disturb_no_scrape():
    big = text("".join('big{n="%d"} %d\n' % (n, n) for n in range(SERIES)))
    small = text("small 1\n")
    statuses, health, killed, dropped = {}, [], [], []
    with folder() as d, Target(big) as t, Target(small) as s1, Target(small) as s2, Target(small) as s3:
        conf = config({"steady": [s.address for s in (s1, s2, s3)], "big": t.address}, "200ms")
        conf = conf.replace("- job_name: 'big'", "- job_name: 'big'\n  scrape_interval: 1s\n  scrape_timeout: 1s")
        with Belfry(d, conf, FLAGS) as b:
            wait_for(lambda: b.value("count(big)") == SERIES, "series")
            quiet = time.time()
            time.sleep(3)
            load, turn, began = Load(), [0], time.time()
            before = max(longest_gap(times) for times, _ in scrapes(b, quiet, began))

            def hostile():
                with load.lock:
                    turn[0] += 1
                    expression, expected = HOSTILE[turn[0] % len(HOSTILE)]
                code, answer = ask(b, expression + " + 0 * %d" % turn[0])  # no two are the same
                assert code in expected, (expression[:80], code, answer[:200])
                with load.lock:
                    statuses[code] = statuses.get(code, 0) + 1

            def healthy():
                asked = time.monotonic()
                code, answer = b.get("/-/healthy")
                assert code == 200 and b"Healthy" in answer, (code, answer)
                health.append(time.monotonic() - asked)
                time.sleep(0.02)

            def kills():
                measure_kill(b, 2 * len(killed) + 1000000, False, killed)
                measure_kill(b, 2 * len(dropped) + 1000001, True, dropped)

            for _ in range(12):
                load.start(hostile)
            load.start(healthy)
            load.start(kills)
            load.ended.wait(LOAD_SECONDS)
            load.stop()
            time.sleep(2 * INTERVAL)
            seen = scrapes(b, began, time.time())
            gap = max(longest_gap(times) for times, _ in seen)
            print("  %s; scrapes apart: at most %.0f ms, without load %.0f ms; health within %.0f ms (%d asked);"
                  " ended by id within %.0f ms (%d), by leaving within %.0f ms (%d)" %
                  (json.dumps(statuses), 1000 * gap, 1000 * before, 1000 * max(health), len(health),
                   1000 * max(killed, default=0), len(killed), 1000 * max(dropped, default=0), len(dropped)))
            assert len(seen) == 3 and all(up for _, up in seen), seen
            # A machine that has no time even without load proves nothing by being late with it.
            assert gap <= 2 * max(INTERVAL, before) + 0.01, "scrapes %.0f ms apart" % (1000 * gap)
            assert sum(statuses.values()) > 10 and set(statuses) & {422, 503}, statuses
            assert killed or dropped
            assert b.value("count(big)") == SERIES
