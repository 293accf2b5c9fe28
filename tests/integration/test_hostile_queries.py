# SPDX-License-Identifier: Apache-2.0
"""Queries that want to do harm. Each row is answered as the table says, the server goes on, and its memory stays small."""
import json
import socket
import threading
import time
import urllib.parse

from harness import Belfry, Target, config, folder, text, wait_for

FEATURES = "--enable-feature=promql-experimental-functions,promql-duration-expr,promql-extended-range-selectors"
SERIES = 2000
NOW = {"time": "NOW"}
DAYS = {"start": 0, "end": 315360000, "step": "1ms"}  # ten years

# (what, expression, parameters, status, part of the answer)
ROWS = [
    # length, depth
    ("a million parentheses", "(" * 1000000 + "a" + ")" * 1000000, {}, 400, "query has 2000001 bytes, at most 65536 are allowed"),
    ("a million signs", "-" * 1000000 + "1", {}, 400, "at most 65536"),
    ("10 MB", "a" + " " * 10000000 + "b", {}, (400, 413), None),
    ("depth", "(" * 257 + "a" + ")" * 257, {}, 400, "parse error"),
    ("depth of signs", "- " * 300 + "a", {}, 400, "parse error"),
    ("a long chain", "m" + " + m" * 15000, {}, 400, "parse error"),
    # regular expressions
    ("nested repeats are linear", 'm{n=~"(a+)+$"}', {}, 200, '"result":[]'),
    ("repeat of everything", 'm{n=~"((.*)*)*x"}', {}, 200, '"result":[]'),
    ("counted repeats", 'm{n=~"x{1,1000}{1,1000}"}', {}, 400, "1:3: parse error: regular expression"),
    ("a long alternation", 'm{n=~"%s"}' % "|".join("x%dy" % i for i in range(9000)), {}, 200, '"result":[]'),
    ("back reference", 'm{n=~"(a)\\\\1"}', {}, 400, "1:3: parse error: regular expression"),
    ("not a regular expression", 'm{n!~"(("}', {}, 400, "1:3: parse error: regular expression"),
    # everything
    ("everything for years", 'sum({__name__=~".+"}) + count(count_over_time({__name__=~".+"}[5y:1ms]))', {}, 422, "too many samples"),
    ("every label", 'count by (n) ({__name__=~".+"}[5m:1s])', {}, 400, "expected type instant vector"),
    ("everything each millisecond", 'last_over_time({__name__=~".+"}[1h:1ms])', {"timeout": "1s"}, 503, "query timed out in expression evaluation"),
    # points
    ("a subquery of a year by ms", "max_over_time(m[1y:1ms])", {}, 422, "too many samples"),
    ("a subquery within another", "max_over_time(max_over_time(m[1y:1s])[1y:1s])", {}, 422, "too many samples"),
    ("ten years by ms", "m", DAYS, 400, "exceeded maximum resolution of 11,000 points per timeseries"),
    # times
    ("end before start", "m", {"start": 10, "end": 5, "step": 1}, 400, "end timestamp must not be before start time"),
    ("NaN", "m", {"start": "NaN", "end": 5, "step": 1}, 400, 'cannot parse \\"NaN\\" to a valid timestamp'),
    ("1e308", "m", {"time": "1e308"}, 400, "to a valid timestamp"),
    ("Inf", "m", {"time": "Inf"}, 400, "to a valid timestamp"),
    ("step 0", "m", {"start": 0, "end": 5, "step": 0}, 400, "zero or negative query resolution step"),
    ("step -1", "m", {"start": 0, "end": 5, "step": -1}, 400, "zero or negative query resolution step"),
    ("step NaN", "m", {"start": 0, "end": 5, "step": "NaN"}, 400, "to a valid duration"),
    ("@ 1e300", "m @ 1e300", {}, 400, "timestamp out of bounds"),
    ("@ NaN", "m @ NaN", {}, 400, "timestamp out of bounds"),
    ("offset of an expression", "m offset -(5)", {}, 200, None),
    ("units out of order", "m[5m1y9999999999w]", {}, 400, "parse error"),
    ("a duration beyond 63 bits", "m[9999999999w]", {}, 400, "parse error"),
    ("an offset beyond 63 bits", "m offset 9223372036854775807ms", {}, 400, "parse error"),
    ("a computed range beyond all", "rate(m[1y * 1e300])", {}, (400, 422), None),
    ("a computed range of nothing", "rate(m[1m - 1m])", {}, (400, 422), None),
    ("division by zero in a range", "rate(m[1m / 0])", {}, (400, 422), None),
    # joins
    ("many to many", "m * on(job) group_left m", {}, 422, "found duplicate series for the match group"),
    ("many to many without group", "m * on(job) m", {}, 422, "found duplicate series"),
    # labels
    ("a group that is not there", 'count(label_replace(m, "x", "$9999", "n", "(.*)"))', {}, 200, '"%d"' % SERIES),
    ("an empty destination", 'label_replace(m, "", "$1", "n", "(.*)")', {}, 422, "invalid destination label name"),
    ("a bad regular expression", 'label_replace(m, "x", "$1", "n", "(.*")', {}, (400, 422), "invalid regular expression"),
    ("a label of 100 MB", 'label_join(m, "x", "%s"%s)' % ("s" * 20000, ', "n"' * 5000), {}, 422, "label_join() would make a label value of more than"),
    ("labels of 1 MB for all", 'count(label_join(m, "x", "%s"%s))' % ("s" * 20000, ', "n"' * 40), {}, 422, "more memory than it may use"),
    ("replaced again and again", 'count(label_replace(m, "x", "%s", "n", "(.*)"))' % ("$1" * 20000), {}, (200, 422), None),
    # numbers
    ("topk of 1e18", "count(topk(1e18, m))", {}, 200, '"%d"' % SERIES),
    ("topk of NaN", "topk(NaN, m)", {}, 422, "NaN"),
    ("limitk of 1e300", "limitk(1e300, m)", {}, 422, "overflows int64"),
    ("quantile of NaN", "quantile(NaN, m)", {}, 200, '"warnings":["PromQL warning: quantile value should be between 0 and 1, got NaN'),
    ("values counted", 'count(count_values("v", m))', {}, 200, '"%d"' % SERIES),
    ("smoothing of -1", "double_exponential_smoothing(m[5m], -1, 0.5)", {}, 422, "invalid smoothing factor"),
    ("broken buckets", "histogram_quantile(0.9, broken_bucket)", {}, 200, 'bucket label \\"le\\" is missing or has a malformed value'),
    # syntax that was the bug of others
    ("absent of a regex", 'absent(nothing{a=~"b.*",c="d"})', {}, 200, '"metric":{"c":"d"}'),
    ("info of nothing", "info()", {}, 400, "parse error"),
    ("info with a metric", "info(m, m)", {}, 400, "expected label selectors only"),
    ("info with an expression", "info(m, m + m)", {}, 400, "parse error"),
    ("info with a string", 'info(m, "x")', {}, 400, "parse error"),
    ("ignoring nothing", "count(m + ignoring() m)", {}, 200, '"%d"' % SERIES),
    ("a range at a time without data", "rate(m[5m] @ 0)", {}, 200, '"result":[]'),
    ("a number smoothed", "1[5m] smoothed", {}, 400, "parse error"),
    ("a subquery anchored", "rate(m[5m:1m] anchored)", {}, 400, "not supported for subqueries"),
    # names
    ("__proto__", 'count by ("__proto__", "constructor") ({"__proto__"="", __name__="m"})', {}, 200, '"%d"' % SERIES),
    ("names in any script", 'sum by ("caf\u00e9 \u202e", "") (m)', {}, (200, 400), None),
    ("broken UTF-8", b'm{a="\xff\xfe"}', {}, 400, "UTF-8"),
    ("NUL", b"m\x00", {}, 400, "parse error"),
    # parameters
    ("a timeout of a year", "1", {"timeout": "9999h"}, 200, None),
    ("a negative lookback", "1", {"lookback_delta": "-1"}, 200, None),
    ("an unknown kind of statistics", "1", {"stats": "x"}, 200, '"stats"'),
    ("an unknown kind of plan", "1", {"explain": "x"}, 400, 'invalid parameter \\"explain\\"'),
    ("a plan of everything", '{__name__=~".+"}', {"explain": "true"}, 200, '"estimatedSeries"'),
    ("a negative limit", "m", {"limit": -1}, 400, "limit must be non-negative"),
    ("a limit beyond 63 bits", "m", {"limit": 2 ** 64}, 400, "value out of range"),
]


def ask(b, expression, args):
    path = "query_range" if "start" in args else "query"
    form = urllib.parse.urlencode({**args, "query": expression})
    return b.request("POST", "/api/v1/" + path, form, {"Content-Type": "application/x-www-form-urlencoded"})


def resident_mb(b):
    with open("/proc/%d/status" % b.proc.pid) as f:
        return int(next(line for line in f if line.startswith("VmRSS")).split()[1]) / 1024


def body():
    return "".join('m{n="%d"} %d\n' % (n, n) for n in range(SERIES)) + 'broken_bucket{le="x"} 1\nbroken_bucket{le="+Inf"} 0\n'


def test_each_hostile_query_gets_its_answer():
    with folder() as d, Target(text(body())) as t:
        with Belfry(d, config({"t": t.address}, "1s"), [FEATURES, "--query.max-memory=64MiB", "--query.max-samples=5000000"]) as b:
            wait_for(lambda: (b.value("count(m)") or 0) == SERIES, "series")
            failures = []
            for what, expression, args, status, part in ROWS:
                code, answer, _ = ask(b, expression, args)
                answer = answer.decode()
                if code not in (status if isinstance(status, tuple) else (status,)) or (part and part not in answer):
                    failures.append("%s: expected %s %s, got %d %s" % (what, status, part, code, answer[:300]))
                if b"Healthy" not in b.get("/-/healthy")[1]:
                    failures.append("%s: not healthy" % what)
            assert not failures, "\n".join(failures)
            assert resident_mb(b) < 300, resident_mb(b)


def test_selectors_and_limits_of_the_index_have_bounds():
    cases = [("series", [("match[]", "m")] * 10000, 400, "more than 1000 match[] parameters"), ("labels", [("limit", -1)], 400, "non-negative"),
             ("labels", [("limit", 2 ** 63)], 400, "value out of range"), ("series", [("match[]", "{}")], 400, "non-empty matcher"),
             ("series", [("match[]", "m"), ("limit", 5)], 200, "results truncated due to limit"),
             ("series", [("match[]", '{__name__=~".+"}')], 200, '"n":"%d"' % (SERIES - 1))]
    with folder() as d, Target(text(body())) as t, Belfry(d, config({"t": t.address}, "1s")) as b:
        wait_for(lambda: (b.value("count(m)") or 0) == SERIES, "series")
        for path, args, status, part in cases:
            code, answer, _ = b.request("POST", "/api/v1/" + path, urllib.parse.urlencode(args), {"Content-Type": "application/x-www-form-urlencoded"})
            assert code == status and part in answer.decode(), (path, args[:1], code, answer[:300])


def test_a_flood_of_queries_is_queued_or_refused_and_passes():
    """200 clients, 20 requests each, four at once in work: every one is answered, with a result or with 503."""
    statuses, lock = {}, threading.Lock()
    with folder() as d, Target(text(body())) as t:
        with Belfry(d, config({"t": t.address}, "1s"), ["--query.max-concurrency=4"]) as b:
            wait_for(lambda: (b.value("count(m)") or 0) == SERIES, "series")

            def client(number):
                for turn in range(20):
                    query = "count(m)" if number % 2 else "count(m) + 0 * %d" % (1000 * number + turn)
                    code, answer, _ = ask(b, query, {})
                    with lock:
                        statuses[code] = statuses.get(code, 0) + 1
                    assert code != 200 or b'"%d"' % SERIES in answer, answer[:200]

            threads = [threading.Thread(target=client, args=(n,)) for n in range(200)]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join(120)
            assert sum(statuses.values()) == 4000 and set(statuses) <= {200, 503} and statuses[200] > 1000, statuses
            assert b.value("count(m)") == SERIES


def test_a_slow_reader_of_a_large_answer_costs_a_piece_and_not_the_answer():
    """500 series by 11,000 points are some 150 MB of JSON; a client that takes 1 KB leaves it unwritten."""
    with folder() as d, Target(text(body())) as t, Belfry(d, config({"t": t.address}, "1s")) as b:
        wait_for(lambda: (b.value("count(m)") or 0) == SERIES, "series")
        form = urllib.parse.urlencode({"query": 'm{n=~"[0-4][0-9][0-9]"} @ %d' % (time.time() + 2), "start": 1700000000, "end": 1700010999, "step": 1})
        before = resident_mb(b)
        with socket.create_connection(("127.0.0.1", b.port), 60) as s:
            s.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            s.sendall(("GET /api/v1/query_range?%s HTTP/1.1\r\nHost: x\r\n\r\n" % form).encode())
            head = b""
            while len(head) < 1024:
                head += s.recv(1024)
            assert b" 200 OK" in head and b'"resultType":"matrix"' in head, head
            grown = resident_mb(b) - before  # the values, 8 bytes each, and not their text
            assert grown < 110, "%d MB for one answer" % grown
            assert b.value("count(m)") == SERIES  # others go on
        wait_for(lambda: resident_mb(b) - before < 60, "the answer is let go", 20)


def test_a_query_is_cancelled_by_its_id_while_it_runs():
    with folder() as d, Target(text(body())) as t, Belfry(d, config({"t": t.address}, "200ms")) as b:
        wait_for(lambda: (b.value("count(m)") or 0) == SERIES, "series")
        slow = "count(quantile_over_time(0.9, m[10m:10ms])) + " * 20 + "1"
        answers = []
        thread = threading.Thread(target=lambda: answers.append(ask(b, slow, {})))
        thread.start()
        one = wait_for(lambda: [q for q in b.api("status/active_queries") if q["query"] == slow], "it runs", 10, 0.005)[0]
        assert one["kind"] == "instant" and one["samples"] >= 0, one
        asked = time.monotonic()
        assert b.request("DELETE", "/api/v1/status/active_queries/%d" % one["id"])[0] == 200
        thread.join(30)
        print("  ended %.0f ms after it was asked to" % (1000 * (time.monotonic() - asked)))
        status, answer, _ = answers[0]
        assert (status, json.loads(answer)["errorType"]) == (499, "canceled"), answer
        assert b.api("status/active_queries") == []
