# SPDX-License-Identifier: Apache-2.0
"""Belfry beside Debian's Prometheus 2.42: both scrape the same history, then must give the same answers.

Where 2.42 and Prometheus 3 part, Belfry follows 3, and the comparison keeps away (differential_queries.py: window edges,
last digits, infinities in running averages; `kinds` below: which of equal values topk takes) or allows a difference by
its reason (`allowed` below). DIFFERENTIAL_SEED repeats a run."""
import collections
import contextlib
import http.client
import json
import math
import os
import random
import re
import time
import urllib.parse

from harness import SCALE, Belfry, Process, Target, folder, free_port, need, wait_for
from differential_data import METRICS, SCRAPES, SPAN_S, History
from differential_queries import Generator

SEED = int(os.environ.get("DIFFERENTIAL_SEED", "1"))
QUERIES = int(300 * SCALE)
TARGETS = [("app", "one"), ("app", "two"), ("db", "one"), ("db", "two")]


class Peer(Process):
    """Debian's Prometheus."""

    def __init__(self, program, cwd, config):
        self.port = free_port()
        with open(os.path.join(cwd, "peer.yml"), "w") as f:
            f.write(config)
        super().__init__([program, "--config.file=peer.yml", "--storage.tsdb.path=peer", "--log.level=warn",
                          "--web.listen-address=127.0.0.1:%d" % self.port], cwd, name="prometheus")
        wait_for(lambda: ask(self, "GET", "/-/ready")[0] == 200, "Prometheus ready", 30)


def ask(server, method, path, args=(), headers=None):
    """(status, headers, body)"""
    text = urllib.parse.urlencode(args)
    c = http.client.HTTPConnection("127.0.0.1", server.port, timeout=60)
    try:
        if method == "POST":
            c.request("POST", path, text, {"Content-Type": "application/x-www-form-urlencoded", **(headers or {})})
        else:
            c.request(method, path + ("?" + text if text else ""), headers=headers or {})
        r = c.getresponse()
        return r.status, dict((k.lower(), v) for k, v in r.getheaders()), r.read()
    finally:
        c.close()


class Source:
    """Serves the history: the k-th request of a path gets the k-th part; after the last, nothing new."""

    def __init__(self, history):
        self.history, self.seen = history, collections.Counter()

    def __call__(self, path):
        _, target = path.strip("/").split("/")
        k = self.seen[path]
        self.seen[path] += 1
        return 200, {}, self.history.bodies[int(target)][k] if k < SCRAPES else ""


def config(address, reader):
    jobs = []
    for i, (job, instance) in enumerate(TARGETS):
        jobs.append("  - targets: ['%s']\n    labels: {job: %s, instance: %s, __metrics_path__: /%s/%d}"
                    % (address, job, instance, reader, i))
    return ("global: {scrape_interval: 200ms, scrape_timeout: 200ms, evaluation_interval: 1m}\nscrape_configs:\n"
            "- job_name: all\n  static_configs:\n" + "\n".join(jobs) + "\n")


@contextlib.contextmanager
def both():
    """(Belfry, Prometheus, time of the first sample in seconds) with the same samples in both."""
    program = need("prometheus")
    base_s = int(time.time() - 3000) // 300 * 300
    history = History(SEED, base_s * 1000, len(TARGETS))
    samples = sum(1 for bodies in history.bodies for b in bodies for line in b.splitlines() if not line.startswith("#"))
    with folder() as d, Target(Source(history)) as t:
        with Peer(program, d, config(t.address, "peer")) as peer, Belfry(d, config(t.address, "belfry")) as b:
            count = " + ".join("sum(count_over_time(%s[1h]))" % name for name in METRICS)
            for server in (peer, b):
                def loaded():
                    _, _, body = ask(server, "GET", "/api/v1/query", {"query": count, "time": base_s + SPAN_S})
                    result = json.loads(body)["data"]["result"]
                    return int(result[0]["value"][1]) == samples if result else False
                wait_for(loaded, "%d samples in %s" % (samples, type(server).__name__), 30)
            yield b, peer, base_s


# ---- comparing answers ----

def number(text):
    return float(text.replace("Inf", "inf"))


def scale_of(data):
    """The largest finite size in an answer: what a cancelled sum's rest is measured by."""
    most = 1.0
    for r in data["result"]:
        for _, v in (r["values"] if "values" in r else [r["value"]]):
            f = abs(number(v))
            if math.isfinite(f):
                most = max(most, f)
    return most


def same_value(a, b, scale):
    x, y = number(a), number(b)
    if math.isnan(x) or math.isnan(y):
        return math.isnan(x) and math.isnan(y)
    if math.isinf(x) or math.isinf(y):
        return x == y
    return abs(x - y) <= 1e-9 * max(abs(x), abs(y)) or abs(x - y) <= 1e-12 * scale


def points(r):
    return r["values"] if "values" in r else [r["value"]]


def differ_in_values(ours, theirs, scale):
    mine, other = points(ours), points(theirs)
    if [t for t, _ in mine] != [t for t, _ in other]:
        return "%d and %d points of %s, only here %r, only there %r" % (
            len(mine), len(other), ours["metric"], *[[t for t, _ in a if t not in dict(b)][:5] for a, b in ((mine, other), (other, mine))])
    for (t, a), (_, b) in zip(mine, other):
        if not same_value(a, b, scale):
            return "%s at %s: %s != %s" % (ours["metric"], t, a, b)
    return None


def order_key(value):
    f = number(value)
    return (0, 0) if math.isnan(f) else (1, f)


def differ_in_ranks(ours, theirs, scale):
    """The same values at each time; which of equal ones was taken is open."""
    sets = []
    for data in (ours, theirs):
        at = collections.defaultdict(list)
        for r in data["result"]:
            for t, v in points(r):
                at[t].append(v)
        sets.append({t: sorted(v, key=order_key) for t, v in at.items()})
    if sets[0].keys() != sets[1].keys():
        return "times %r != %r" % (sorted(sets[0])[:5], sorted(sets[1])[:5])
    for t, values in sets[0].items():
        if len(values) != len(sets[1][t]) or not all(same_value(a, b, scale) for a, b in zip(values, sets[1][t])):
            return "at %s: %r != %r" % (t, values, sets[1][t])
    return None


def differ_in_data(ours, theirs, kind, ordered):
    if ours["resultType"] != theirs["resultType"]:
        return "type %s != %s" % (ours["resultType"], theirs["resultType"])
    if ours["resultType"] in ("scalar", "string"):
        a, b = ours["result"], theirs["result"]
        same = a == b if ours["resultType"] == "string" else a[0] == b[0] and same_value(a[1], b[1], 1.0)
        return None if same else "%r != %r" % (a, b)
    scale = max(scale_of(ours), scale_of(theirs))
    if kind == "ranked":
        return differ_in_ranks(ours, theirs, scale)
    keys = [[json.dumps(r["metric"], sort_keys=True) for r in data["result"]] for data in (ours, theirs)]
    if sorted(keys[0]) != sorted(keys[1]):
        return "series only here %r, only there %r" % (sorted(set(keys[0]) - set(keys[1]))[:3], sorted(set(keys[1]) - set(keys[0]))[:3])
    if ordered and keys[0] != keys[1]:
        return "order of series %r != %r" % (keys[0][:4], keys[1][:4])
    if kind == "sorted" and ours["resultType"] == "vector":
        orders = [[r["value"][1] for r in data["result"]] for data in (ours, theirs)]
        if not all(same_value(a, b, scale) for a, b in zip(*orders)):
            return "order of values %r != %r" % tuple(orders)
    there = dict(zip(keys[1], theirs["result"]))
    for key, r in zip(keys[0], ours["result"]):
        difference = differ_in_values(r, there[key], scale)
        if difference:
            return difference
    return None


def differ(ours, theirs, kind, ordered):
    """None when two answers (status, headers, body) say the same, else how they differ. Only a range query fixes the
    order of its series: Prometheus gives the series of a subquery as they fall out of a map."""
    a, b = json.loads(ours[2]), json.loads(theirs[2])
    if (ours[0], a["status"], a.get("errorType")) != (theirs[0], b["status"], b.get("errorType")):
        return "%s %s %s != %s %s %s" % (ours[0], a.get("errorType"), a.get("error"), theirs[0], b.get("errorType"), b.get("error"))
    if ours[1]["content-type"] != theirs[1]["content-type"]:
        return "content type %s != %s" % (ours[1]["content-type"], theirs[1]["content-type"])
    return differ_in_data(a["data"], b["data"], kind, ordered) if a["status"] == "success" else None


def allowed(kind, text, ours, theirs):
    """The reason why a difference is right, or None."""
    a, b = json.loads(ours[2]), json.loads(theirs[2])
    if ours[0] == 422 and theirs[0] == 200 and a["error"].startswith("multiple matches for labels") and re.search("[<>=]=?", text):
        return "Prometheus 3 also counts the matches that a comparison filters away"
    if kind == "range" and ours[0] == theirs[0] == 200 and not a["data"]["result"] and text.find("[") < text.rfind(":") and \
            all(len(r["values"]) == 1 for r in b["data"]["result"]):
        return "a subquery without a step in its window: Prometheus gives what never changes a point behind it"
    return None


# ---- random queries ----

class Tally:
    """What a run found."""

    def __init__(self):
        self.agreed, self.failures = 0, []
        self.reasons, self.kinds, self.errors = collections.Counter(), collections.Counter(), collections.Counter()

    def add(self, question, kind, text, ours, theirs, difference):
        reason = difference and allowed(kind, text, ours, theirs)
        if reason:
            self.reasons[reason] += 1
        elif difference:
            self.failures.append("%s\n  %s\n  %s" % (question, text, difference))
        else:
            self.agreed += 1
            answer = json.loads(ours[2])
            self.kinds["error" if "error" in answer else answer["data"]["resultType"] if answer["data"]["result"] else "empty"] += 1
            if "error" in answer:
                self.errors[re.sub(r"[0-9{\"].*", "", answer["error"])] += 1

    def finish(self):
        print("  %d queries agreed (seed %d): %s; allowed: %s" % (self.agreed, SEED, dict(self.kinds), dict(self.reasons)))
        if os.environ.get("DIFFERENTIAL_VERBOSE"):
            print("\n".join("%d %s" % (n, e) for e, n in self.errors.most_common()))
        assert not self.failures, "%d differ:\n%s" % (len(self.failures), "\n".join(self.failures[:20]))


def test_random_queries_agree_with_prometheus():
    rng, tally = random.Random(SEED), Tally()
    with both() as (b, peer, base_s):
        generator = Generator(rng, base_s)
        for _ in range(QUERIES):
            text, kind = generator.query()
            at = base_s + 10 * rng.randrange(-3, SPAN_S // 10 + 40)
            if kind in ("range", "string") or rng.random() < 0.5:
                path, args = "/api/v1/query", {"query": text, "time": at}
            else:
                step = rng.choice([10, 20, 30, 60, 300, 1000])
                path, args = "/api/v1/query_range", {"query": text, "start": at, "end": at + step * rng.randrange(0, 40), "step": step}
            method = rng.choice(["GET", "POST"])
            ours, theirs = ask(b, method, path, args), ask(peer, method, path, args)
            tally.add("%s %s %s" % (method, path, urllib.parse.urlencode(args)), kind, text, ours, theirs,
                      differ(ours, theirs, kind, path.endswith("range")))
    tally.finish()
    assert tally.kinds["empty"] < 0.35 * QUERIES, "too few queries select anything"
