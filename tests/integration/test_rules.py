# SPDX-License-Identifier: Apache-2.0
"""Rules and alerts of a running server: beside a real Prometheus on the same files, over reloads and kills, with every
parameter of the API, and the compliance scenarios of alert generators as far as alerts are seen without a receiver."""
import json
import os
import shutil
import signal
import subprocess
import urllib.request

from harness import BELFRY, Belfry, Process, Target, config, folder, free_port, need, text, wait_for

RULES = """groups:
- name: recordings
  interval: 1s
  rules:
  - record: job:m:sum
    expr: sum by (job)(m{a=~"x|y"}) + 0
  - record: m:twice
    expr: job:m:sum*2
    labels: {team: web}
- name: alerts
  interval: 1s
  limit: 10
  rules:
  - alert: Always
    expr: m{a="x"} > 1
    labels: {severity: page, value: '{{ $value }}'}
    annotations: {summary: "{{ $labels.a }} has {{ $value | humanize }} of {{ $labels.job }}", plain: text}
  - alert: Pending
    expr: m > 0
    for: 1h
    keep_firing_for: 5m
  - alert: Never
    expr: m < 0
  - alert: Twice
    expr: m
    labels: {a: same}
"""
BODY = 'm{a="x"} 1234\nm{a="y"} 2\n'


def put(path, content):
    with open(path + ".new", "w") as f:
        f.write(content)
    os.rename(path + ".new", path)


def with_rules(jobs, extra=""):
    return config(jobs) + "rule_files: ['r*.yml']\n" + extra


def comparable(data):
    """What differs from moment to moment or is newer than 2.42 goes; the order of alerts is Go's of a map."""
    def strip(x):
        if isinstance(x, dict):
            return {k: "T" if k in ("lastEvaluation", "activeAt", "evaluationTime") else strip(v) for k, v in x.items()
                    if k not in ("keepFiringSince",)}
        if isinstance(x, list):
            return [strip(v) for v in x]
        return x
    out = strip(data)
    if "groups" in out:  # 2.42 shows groups of which a filter leaves nothing
        out["groups"] = [g for g in out["groups"] if g["rules"]]
    for group in out.get("groups", []):
        group["file"] = os.path.basename(group["file"])
        for rule in group["rules"]:
            rule.get("alerts", []).sort(key=json.dumps)
    out.get("alerts", []).sort(key=json.dumps)
    return out


def names(b, **args):
    return [r["name"] for g in b.api("rules", **args)["groups"] for r in g["rules"]]


def test_rules_and_alerts_are_those_of_prometheus():
    prometheus = need("prometheus")
    with folder() as d, Target(text(BODY)) as t:
        put(d + "/r.yml", RULES)
        put(d + "/p.yml", with_rules({"a": t.address}))
        port = free_port()
        argv = [prometheus, "--config.file=p.yml", "--storage.tsdb.path=p", "--web.listen-address=127.0.0.1:%d" % port]
        with Process(argv, d, name="prometheus"), Belfry(d, with_rules({"a": t.address})) as b:
            def theirs(path):
                with urllib.request.urlopen("http://127.0.0.1:%d/api/v1/%s" % (port, path), timeout=10) as r:
                    return json.loads(r.read())["data"]

            def settled(get):
                data = get("rules")
                rules = [r for g in data["groups"] for r in g["rules"]]
                return len(rules) == 6 and all(r["health"] != "unknown" for r in rules) and \
                    any(r["name"] == "Pending" and len(r["alerts"]) == 2 for r in rules) and \
                    any(r["name"] == "Always" and r["alerts"] for r in rules) and \
                    any(r["name"] == "Twice" and r["health"] == "err" for r in rules)
            wait_for(lambda: settled(theirs), "Prometheus has evaluated", 60)
            wait_for(lambda: settled(b.api), "Belfry has evaluated", 60)
            for path in ("rules", "alerts", "rules?type=alert", "rules?type=Record"):
                ours = comparable(json.loads(b.request("GET", "/api/v1/" + path)[1])["data"])
                assert json.dumps(ours) == json.dumps(comparable(theirs(path))), (path, ours, comparable(theirs(path)))
            def same(expr):
                with urllib.request.urlopen("http://127.0.0.1:%d/api/v1/query?query=%s" % (port, expr)) as r:
                    other = json.loads(r.read())["data"]["result"]
                mine, other = ({json.dumps(s["metric"], sort_keys=True): s["value"][1] for s in x}
                               for x in (b.query(expr), other))
                return mine and mine == other
            for expr in ("job:m:sum", "m:twice", "ALERTS"):
                wait_for(lambda: same(expr), expr + " is the same", 30)


def test_parameters_choose_groups_and_rules():
    with folder() as d, Target(text(BODY)) as t:
        put(d + "/r.yml", RULES)
        put(d + "/r2.yml", "groups:\n- name: other\n  rules: [{record: z, expr: 1, labels: {team: api}}]\n")
        with Belfry(d, with_rules({"a": t.address})) as b:
            assert names(b) == ["Always", "Pending", "Never", "Twice", "job:m:sum", "m:twice", "z"], names(b)
            assert names(b, type="record") == ["job:m:sum", "m:twice", "z"]
            assert names(b, **{"rule_name[]": "z"}) == ["z"]
            assert names(b, **{"rule_group[]": "recordings"}) == ["job:m:sum", "m:twice"]
            assert names(b, **{"match[]": '{team=~"web|x"}'}) == ["m:twice"]
            assert names(b, **{"file[]": "nowhere.yml"}) == []
            paths = {g["file"] for g in b.api("rules")["groups"]}
            assert {os.path.basename(p) for p in paths} == {"r.yml", "r2.yml"}
            wait_for(lambda: b.api("alerts")["alerts"], "an alert")
            assert all(r["alerts"] == [] for g in b.api("rules", exclude_alerts="true")["groups"]
                       for r in g["rules"] if r["type"] == "alerting")
            seen, token = [], None
            for _ in range(10):
                args = {"group_limit": "1", **({"group_next_token": token} if token else {})}
                page = b.api("rules", **args)
                seen += [g["name"] for g in page["groups"]]
                token = page.get("groupNextToken")
                if not token:
                    break
            assert seen == ["alerts", "recordings", "other"], seen
            for bad in ("type=x", "exclude_alerts=maybe", "match[]={", "group_limit=-1", "group_limit=x",
                        "group_next_token=x", "group_limit=1&group_next_token=x"):
                status, body, _ = b.request("GET", "/api/v1/rules?" + bad)
                assert status == 400 and b"bad_data" in body, (bad, status, body)


def test_a_bad_rule_file_changes_nothing_and_is_told():
    with folder() as d, Target(text(BODY)) as t:
        put(d + "/r.yml", RULES)
        with Belfry(d, with_rules({"a": t.address}), ("--web.enable-lifecycle",)) as b:
            before = names(b)
            put(d + "/r.yml", RULES.replace("m < 0", "m <"))
            status, body, _ = b.request("POST", "/-/reload")
            assert status == 500 and b'r.yml:' in body and b'rule 3, "Never": could not parse expression' in body, body
            assert names(b) == before
            put(d + "/r.yml", "groups: []\n")
            assert b.request("POST", "/-/reload")[0] == 200
            assert names(b) == []
            wait_for(lambda: not b.query('{__name__=~"job:.*|ALERTS"}'), "series of rules that are gone end", 30)


def test_kill_9_loses_no_time_of_an_alert():
    with folder() as d, Target(text(BODY)) as t:
        put(d + "/r.yml", RULES)
        with Belfry(d, with_rules({"a": t.address})) as b:
            before = wait_for(lambda: {json.dumps(a["labels"], sort_keys=True): a["activeAt"]
                                       for a in b.api("alerts")["alerts"]} if len(b.api("alerts")["alerts"]) == 3 else None,
                              "three alerts", 30)

            def kept():
                copy = d + "/copy.db"
                for suffix in ("", "-wal"):
                    shutil.copy(d + "/data/state.db" + suffix, copy + suffix)
                import sqlite3
                with sqlite3.connect(copy) as db:
                    return db.execute("SELECT count(*) FROM rule_alerts").fetchone()[0] == 2
            wait_for(kept, "both rules are in state.db", 30)
            b.stop(signal.SIGKILL)
        with Belfry(d, with_rules({"a": t.address})) as b:
            after = {json.dumps(a["labels"], sort_keys=True): a["activeAt"] for a in b.api("alerts")["alerts"]}
            assert after == before, (before, after)
            wait_for(lambda: len(b.query("ALERTS")) == 3, "they are written again", 30)
            after = {json.dumps(a["labels"], sort_keys=True): a["activeAt"] for a in b.api("alerts")["alerts"]}
            assert after == before, (before, after)


def states(b, name):
    """The states that ALERTS has had, in their order."""
    rows = []
    for s in b.query('ALERTS{alertname="%s"}[1h]' % name):
        rows += [(t, s["metric"]["alertstate"]) for t, _ in s["values"]]
    out = []
    for _, state in sorted(rows):
        if not out or out[-1] != state:
            out.append(state)
    return out


def test_compliance_scenarios_of_the_states():
    """Pending, firing, resolved; for zero and smaller than an interval; new ones in the order in which they came; absent."""
    body = {"text": "x 0\n"}
    rules = """groups:
- name: g
  interval: 1s
  rules:
  - {alert: PendingAndFiring, expr: x > 0, for: 3s}
  - {alert: ForZero, expr: x > 0}
  - {alert: ForSmall, expr: x > 0, for: 100ms}
  - {alert: PendingOnly, expr: x > 0, for: 1h}
  - {alert: New, expr: y > 0, for: 2s}
  - {alert: Absent, expr: 'absent(z{job="none"})', for: 1s}
"""
    with folder() as d, Target(text(lambda: body["text"])) as t:
        put(d + "/r.yml", rules)
        with Belfry(d, with_rules({"a": t.address})) as b:
            wait_for(lambda: b.query("x"), "a scrape", 30)
            wait_for(lambda: states(b, "Absent")[-1:] == ["firing"], "absent fires", 30)
            body["text"] = "x 1\ny{n=\"1\"} 1\n"
            wait_for(lambda: states(b, "PendingAndFiring") == ["pending", "firing"], "pending, then firing", 30)
            assert states(b, "ForZero") == ["firing"]
            assert states(b, "ForSmall") == ["pending", "firing"]
            body["text"] = "x 1\ny{n=\"1\"} 1\ny{n=\"2\"} 1\n"
            new = wait_for(lambda: [a for a in b.api("alerts")["alerts"] if a["labels"]["alertname"] == "New"]
                           if len(b.query('ALERTS{alertname="New",alertstate="firing"}')) == 2 else None, "two new ones", 30)
            since = {a["labels"]["n"]: a["activeAt"] for a in new}
            assert since["1"] < since["2"], since
            body["text"] = "x 0\n"
            wait_for(lambda: {a["labels"]["alertname"] for a in b.api("alerts")["alerts"]} == {"Absent"}, "all resolved", 30)
            assert states(b, "PendingOnly") == ["pending"]
            assert not b.query('ALERTS{alertname!="Absent"}') and not b.query('ALERTS_FOR_STATE{alertname!="Absent"}')


def test_the_binary_is_promtool_under_that_name():
    real = need("promtool")
    with folder() as d:
        link = d + "/promtool"
        os.symlink(os.path.abspath(BELFRY), link)
        put(d + "/good.yml", RULES)
        put(d + "/bad.yml", RULES.replace("m < 0", "m <"))
        put(d + "/twice.yml", "groups:\n- name: a\n  rules: [{record: a, expr: 1}, {record: a, expr: 2}]\n")
        put(d + "/t.yml", "rule_files: [good.yml]\ntests:\n- input_series: [{series: 'm{a=\"x\",job=\"j\"}', values: 5}]\n"
            "  promql_expr_test: [{expr: m:twice, exp_samples: [{labels: 'm:twice{job=\"j\",team=\"web\"}', value: 10}]}]\n")
        put(d + "/f.yml", "tests:\n- promql_expr_test: [{expr: '1', exp_samples: [{value: 2}]}]\n")
        put(d + "/c.yml", "rule_files: [good.yml]\n")
        for words in (["check", "rules", "good.yml"], ["check", "rules", "bad.yml"], ["check", "rules", "twice.yml"],
                      ["check", "rules", "--lint-fatal", "twice.yml"], ["check", "rules", "--lint=none", "twice.yml"],
                      ["test", "rules", "t.yml"], ["test", "rules", "f.yml"], ["check", "config", "c.yml"]):
            mine = subprocess.run([link] + words, cwd=d, capture_output=True, text=True, timeout=60)
            theirs = subprocess.run([real] + words, cwd=d, capture_output=True, text=True, timeout=60)
            assert mine.returncode == theirs.returncode, (words, mine, theirs)
            if words[0] == "check" and words[1] == "rules" and "bad.yml" not in words or words[0] == "test":
                assert (mine.stdout, mine.stderr) == (theirs.stdout, theirs.stderr), (words, mine, theirs)


def test_an_unknown_lint_is_told_and_asks_for_nothing():
    """As promtool: the other names of the list are in force."""
    with folder() as d:
        with open(d + "/r.yml", "w") as f:
            f.write("groups:\n- name: g\n  rules:\n  - {record: a, expr: x}\n  - {record: a, expr: y}\n")
        for lint, duplicates in (("bogus", False), ("bogus,duplicate-rules", True)):
            p = subprocess.run([BELFRY, "check", "rules", "--lint-fatal", "--lint=" + lint, d + "/r.yml"], capture_output=True, text=True)
            assert 'unknown lint option "bogus"' in p.stderr, p.stderr
            assert p.returncode == (3 if duplicates else 0), (lint, p)
