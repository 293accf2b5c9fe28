# SPDX-License-Identifier: Apache-2.0
"""Belfry beside Debian's Prometheus 2.42: both scrape the same history, then must give the same answers.

Where 2.42 and Prometheus 3 part, Belfry follows 3, and the comparison keeps away (differential_queries.py: window edges,
last digits, infinities in running averages; `kinds` below: which of equal values topk takes) or allows a difference by
its reason (`allowed` below). DIFFERENTIAL_SEED repeats a run."""
import atexit
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
QUERIES = int(2100 * SCALE)
OTHERS = int(400 * SCALE)  # of the tests beside that of answers
FLAGS = ("--web.cors.origin=.*", "--enable-feature=promql-experimental-functions")
STARTED = []
TARGETS = [("app", "one"), ("app", "two"), ("db", "one"), ("db", "two")]


class Peer(Process):
    """Debian's Prometheus."""

    def __init__(self, program, cwd, config, flags=()):
        self.port = free_port()
        with open(os.path.join(cwd, "peer.yml"), "w") as f:
            f.write(config)
        super().__init__([program, "--config.file=peer.yml", "--storage.tsdb.path=peer", "--log.level=warn",
                          "--web.listen-address=127.0.0.1:%d" % self.port, *flags], cwd, name="prometheus")
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
def start_both():
    program = need("prometheus")
    base_s = int(time.time() - 3000) // 300 * 300
    history = History(SEED, base_s * 1000, len(TARGETS))
    samples = sum(1 for bodies in history.bodies for b in bodies for line in b.splitlines() if not line.startswith("#"))
    with folder() as d, Target(Source(history)) as t:
        with Peer(program, d, config(t.address, "peer")) as peer, Belfry(d, config(t.address, "belfry"), FLAGS) as b:
            count = " + ".join("sum(count_over_time(%s[1h]))" % name for name in METRICS)
            for server in (peer, b):
                def loaded():
                    _, _, body = ask(server, "GET", "/api/v1/query", {"query": count, "time": base_s + SPAN_S})
                    result = json.loads(body)["data"]["result"]
                    return int(result[0]["value"][1]) == samples if result else False
                wait_for(loaded, "%d samples in %s" % (samples, type(server).__name__), 30)
            yield b, peer, base_s


def both():
    """(Belfry, Prometheus, time of the first sample in seconds) with the same samples in both. Tests only read them, and
    Prometheus takes its 5 s until it scrapes, so they are started once and stopped when this program ends."""
    if not STARTED:
        stack = contextlib.ExitStack()
        atexit.register(stack.close)
        STARTED.append(stack.enter_context(start_both()))
    return STARTED[0]


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


def peers_words(text):
    """A query as 2.42 writes it: 3 gave one function another name."""
    return text.replace("double_exponential_smoothing(", "holt_winters(")


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
    if ours[0] == theirs[0] == 200 and "atan2" in text and \
            all("__name__" not in r["metric"] for r in a["data"]["result"]) and any("__name__" in r["metric"] for r in b["data"]["result"]):
        return "atan2 drops the metric name, as every arithmetic operator of Prometheus 3"
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
    b, peer, base_s = both()
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
        ours, theirs = ask(b, method, path, args), ask(peer, method, path, {**args, "query": peers_words(text)})
        tally.add("%s %s %s" % (method, path, urllib.parse.urlencode(args)), kind, text, ours, theirs,
                  differ(ours, theirs, kind, path.endswith("range")))
    tally.finish()
    assert tally.kinds["empty"] < 0.35 * QUERIES, "too few queries select anything"


# ---- the printer and broken queries ----

def unindented(answer):
    return re.sub(r"\\n *", r"\\n", answer[2].decode())


def test_random_queries_are_printed_alike():
    """3 indents what a subquery is of and keeps "ignoring ()" before group_left, 2.42 does neither."""
    generator, differ_in = Generator(random.Random(SEED), 1700000000), []
    with folder() as d, Peer(need("prometheus"), d, "global: {}\n") as peer, Belfry(d, "global: {}\n") as b:
        for _ in range(OTHERS):
            text = generator.query()[0]
            if "ignoring ()" in text or "double_exponential_smoothing" in text:
                continue
            ours, theirs = (ask(server, "POST", "/api/v1/format_query", {"query": text}) for server in (b, peer))
            if ours[0] != theirs[0] or ours[0] == 200 and unindented(ours) != unindented(theirs):
                differ_in.append("%s\n  %s\n  %s" % (text, ours[2].decode(), theirs[2].decode()))
    assert not differ_in, "%d differ:\n%s" % (len(differ_in), "\n".join(differ_in[:20]))


def broken(rng, text):
    """The query with a few of its words dropped, swapped, doubled or put elsewhere."""
    words = re.findall(r'\w+|"[^"]*"|\s+|.', text)
    other = ["by", "on", "(", ")", "[", "]", "5m", "offset", "-", "bool", "group_left", "@", "{", "}", ":", ",", "~", "!", "'", "==", "0x", "\\"]
    for _ in range(rng.choice([1, 1, 2, 3])):
        i, j = rng.randrange(len(words)), rng.randrange(len(words))
        form = rng.choice(["drop", "swap", "replace", "insert"])
        if form == "drop":
            words[i] = " "
        elif form == "swap":
            words[i], words[j] = words[j], words[i]
        elif form == "replace":
            words[i] = rng.choice(words)
        else:
            words.insert(i, rng.choice(words + other))
    return "".join(words)


# What 3 accepts and 2.42 did not, by what 2.42 says of it.
NEW_IN_3 = ("unexpected duration", "invalid destination label name", "invalid source label name", "invalid label name", "unexpected string",
            "in grouping opts, expected label", "unexpected number", "unexpected metric identifier", "in offset, expected duration",
            "in @, expected timestamp", "bad duration syntax", "missing unit character")


def test_broken_queries_fail_in_both_or_in_neither():
    """Values are not compared: what the generator keeps apart a broken query brings together."""
    rng, failures, refused = random.Random(SEED), [], 0
    b, peer, base_s = both()
    generator = Generator(rng, base_s)
    for _ in range(OTHERS):
        text, kind = generator.query()
        text = broken(rng, peers_words(text).replace("holt_winters", "deriv"))
        args = {"query": text, "time": base_s + 1200}
        ours, theirs = ask(b, "POST", "/api/v1/query", args), ask(peer, "POST", "/api/v1/query", args)
        refused += theirs[0] != 200
        new = theirs[0] != 200 and ours[0] != 400 and any(w in json.loads(theirs[2])["error"] for w in NEW_IN_3)
        if ours[0] != theirs[0] and not new and not allowed(kind, text, ours, theirs):
            failures.append("%s\n  %s\n  %s" % (text, ours[2][:300], theirs[2][:300]))
    print("  %d of %d broken queries are refused by Prometheus" % (refused, OTHERS))
    assert not failures, "%d differ:\n%s" % (len(failures), "\n".join(failures[:20]))


# ---- everything beside the queries ----

IGNORED_HEADERS = {"date", "content-length", "connection", "transfer-encoding", "vary", "x-content-type-options"}


def requests(base_s):
    """(method, path, arguments): what both majors answer alike, to the byte but for `settled`."""
    at, end = base_s + 1200, base_s + SPAN_S
    instant, series, names, values = "/api/v1/query", "/api/v1/series", "/api/v1/labels", "/api/v1/label/method/values"
    window = "/api/v1/query_range"
    out = [(m, instant, a) for m in ("GET", "POST") for a in ([], [("query", "")], [("query", "1"), ("time", "x")])]
    for t in ("0", "1.5", "-1", "1e3", "2020-01-01T00:00:00Z", "2020-01-01T00:00:00.123456789+02:00", "2020-01-01", "0x10", " 1", "1 ",
              "2020-02-30T00:00:00Z", "1700000000.0005", "1700000000.9999"):
        out += [("GET", instant, [("query", q), ("time", t)]) for q in ("1", "vector(time())", '"a"')]
    for t in ("0", "-5s", "5", "5s", "1m30s", "x", "1e30", "1y", "5 s", "1h1h", "1ms", "-5", ""):
        if t != "1ms":  # whether an answer takes longer is luck
            out.append(("GET", instant, [("query", "1"), ("time", at), ("timeout", t)]))
        out.append(("GET", window, [("query", "vector(1)"), ("start", at), ("end", at), ("step", t)]))
    for args in ([], [("query", "1")], [("start", at)], [("start", at), ("end", at)], [("start", 100), ("end", 99), ("step", 1)],
                 [("start", 0), ("end", 11001), ("step", 1)], [("start", 0), ("end", 11000), ("step", 1)], [("start", "x"), ("end", 1), ("step", 1)],
                 [("start", 0), ("end", "x"), ("step", 1)], [("start", 0), ("end", 1), ("step", "x")], [("start", 0), ("end", 1), ("step", 1), ("timeout", "x")]):
        out.append(("GET", window, [("query", "1")] + args))
    for q in ("foo{", "sum(", "1+", "{}", "{a=''}", "rate(foo)", "foo[5m] + 1", "sum by (a) foo", "unknown(x)", "foo[0s]", "abs()", "abs(1)",
              '"a" + 1', "1 == 1", "1 and 1", "foo and 1", "foo on(a) bar", "foo{__name__='a'}", "label_replace(capacity,'a','b','c','(')",
              "topk('a',capacity)", "quantile(capacity,capacity)", "foo @ foo", "foo @ NaN", "time(1)", "foo[5m:]:", "foo[5m:0s]", "-'a'", "!foo",
              "foo =~ 1", "a b", "sum(foo) by", "(((((1)))))", "sum(a,b)", "# only", "foo{a='b' c='d'}", "foo{a='\\z'}", "foo[12h1d]", "scalar(1)",
              "vector(capacity)", "sort('a')", "predict_linear(capacity,1)", "1 unless 1", "1 > bool", "1 + bool 1", "label_replace(capacity)",
              "round(capacity,1,2)", "(capacity", "capacity)", "inf", "+inf", "SUM(capacity) BY (job)", "sum by(on)(capacity)", "capacity{by='x'}"):
        out += [("GET", instant, [("query", q), ("time", at)]), ("GET", window, [("query", q), ("start", at), ("end", at), ("step", 1)])]
    for m in ("capacity", "capacity{", "{}", "{a=''}", "{job='app'}", "1", "sum(up)", "capacity[5m]", "capacity offset 5m", "nothing",
              "{__name__=~'cap.*|node.*'}"):
        for path in (series, names, values, "/api/v1/label/nope/values", "/api/v1/label/__name__/values"):
            out += [("GET", path, [("match[]", m)]), ("GET", path, [("match[]", m), ("match[]", "node_info")])]
    for times in (("x", at), (at, "x"), (0, 10), (base_s, end), (5000000000, 5000000001), ("", ""), ("", at), (at, "")):
        args = list(zip(("start", "end"), times))
        out += [("GET", path, [("match[]", "capacity")] + args) for path in (series, names, values)]
        out += [("GET", path, args) for path in (names, values)]
    out += [("GET", series, []), ("POST", series, [("match[]", "capacity")]), ("POST", names, []), ("POST", values, []), ("GET", "/api/v1/nope", [])]
    for args in ([], [("limit", 0)], [("limit", -1)], [("limit", "x")], [("limit", 1000)], [("metric", "capacity")], [("metric", "nope")]):
        out.append(("GET", "/api/v1/metadata", args))
    return out + [("OPTIONS", path, []) for path in (instant, series, names, values, "/api/v1/metadata", "/api/v1/targets")]


def settled(answer):
    """An error's text without what 3 says otherwise than 2.42: it names the parameter, does not begin with a capital
    letter, and words a few expectations of the parser anew."""
    text = answer[2].decode()
    if answer[0] == 200 or not text.startswith("{"):
        return text
    a = json.loads(text)
    a["error"] = re.sub(r'^invalid parameter \\?"(query|match\[\])\\?": ', "", a["error"])
    a["error"] = a["error"].replace("Invalid time value", "invalid time value").replace("unknown position: ", "1:1: ")
    a["error"] = a["error"].replace("timed out in query queue", "timed out in query execution")
    a["error"] = re.sub(r"(regular expression|error parsing regexp).*", "bad regular expression", a["error"])
    return a


def answered(answer):
    """What must be equal: status, headers, body. Where no handler is asked Belfry stays with JSON under /api/."""
    headers = {k: v.replace("GET, HEAD, ", "GET, ") for k, v in answer[1].items() if k not in IGNORED_HEADERS}
    if answer[0] in (404, 405):
        return answer[0], headers.get("allow")
    return answer[0], headers, settled(answer)


def test_requests_agree_with_prometheus_to_the_byte():
    failures, count = [], 0
    b, peer, base_s = both()
    for method, path, args in requests(base_s):
        for origin in ({}, {"Origin": "http://elsewhere.example"}) if method == "OPTIONS" or not args else ({},):
            ours, theirs = ask(b, method, path, args, origin), ask(peer, method, path, args, origin)
            count += 1
            if answered(ours) != answered(theirs):
                failures.append("%s %s %s\n  %s\n  %s" % (method, path, urllib.parse.urlencode(args), ours, theirs))
    print("  %d requests" % count)
    assert not failures, "%d differ:\n%s" % (len(failures), "\n".join(failures[:20]))


def shape(value):
    """An answer with its own addresses, times and durations taken out."""
    if isinstance(value, dict):
        return {k: shape(v) for k, v in value.items()}
    if isinstance(value, list):
        return [shape(v) for v in value]
    if isinstance(value, str):
        value = re.sub(r"/(peer|belfry)/", "/reader/", value)
        return re.sub(r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)$", "time", value)
    return "number" if isinstance(value, (int, float)) else value


def test_targets_have_the_shape_of_prometheus():
    """3 adds droppedTargetCounts."""
    b, peer, _ = both()
    for args in ({}, {"state": "active"}, {"state": "dropped"}, {"state": "any"}, {"scrapePool": "all"}):
        ours, theirs = (shape(json.loads(ask(server, "GET", "/api/v1/targets", args)[2])) for server in (b, peer))
        ours["data"].pop("droppedTargetCounts", None)
        by_url = [sorted(a["data"].pop("activeTargets"), key=lambda t: t["scrapeUrl"]) for a in (ours, theirs)]
        assert ours == theirs and by_url[0] == by_url[1], (args, ours, theirs, by_url)


# ---- staleness, loosely: nothing here has a timestamp of its own ----

def test_series_without_timestamps_appear_and_vanish_in_both():
    rng, shown = random.Random(SEED), {"body": "", "status": 200}
    with folder() as d, Target(lambda path: (shown["status"], {}, shown["body"])) as t:
        conf = "global: {scrape_interval: 200ms, scrape_timeout: 200ms}\nscrape_configs:\n" \
               "- {job_name: live, static_configs: [{targets: ['%s']}]}\n" % t.address
        with Peer(need("prometheus"), d, conf) as peer, Belfry(d, conf) as b:
            def series(server, text):
                _, _, body = ask(server, "GET", "/api/v1/query", {"query": text})
                return sorted((r["metric"].get("n", r["metric"].get("__name__")), r["value"][1]) for r in json.loads(body)["data"]["result"])
            for turn in range(8):
                there = sorted((str(n), str(turn)) for n in rng.sample(range(6), rng.randrange(0, 7)))
                shown["body"] = "".join('live{n="%s"} %s\n' % pair for pair in there)
                for server in (peer, b):
                    wait_for(lambda s=server: series(s, "live") == there, "%r in %s" % (there, type(server).__name__), 10)
            for text in ("up", "absent(live)", "count(scrape_samples_scraped)"):
                assert [v for _, v in series(b, text)] == [v for _, v in series(peer, text)], text
            shown["status"] = 503
            for server in (peer, b):
                wait_for(lambda s=server: series(s, "up") == [("up", "0")] and not series(s, "live"), "down in " + type(server).__name__, 10)
