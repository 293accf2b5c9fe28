# SPDX-License-Identifier: Apache-2.0
"""Alertmanager's configuration as belfry and amtool judge it."""
import glob
import os

from harness import BELFRY, folder, need, run

TAIL = "route: {receiver: a}\nreceivers: [{name: a}]\n"
# What both amtool 0.25 and belfry take or refuse.
CONFIGS = [
    TAIL,
    "",
    "receivers: []\n",
    "route: {receiver: b}\nreceivers: [{name: a}]\n",
    "route: {receiver: a}\nreceivers: [{name: a}, {name: a}]\n",
    "route: {receiver: a, match: {b: c}}\nreceivers: [{name: a}]\n",
    "route: {receiver: a, continue: true}\nreceivers: [{name: a}]\n",
    "route: {receiver: a, group_by: [b, b]}\nreceivers: [{name: a}]\n",
    "route: {receiver: a, group_by: [b, '...']}\nreceivers: [{name: a}]\n",
    "route: {receiver: a, group_by: ['...']}\nreceivers: [{name: a}]\n",
    "route: {receiver: a, group_interval: 0s}\nreceivers: [{name: a}]\n",
    "route: {receiver: a, routes: [{mute_time_intervals: [x]}]}\nreceivers: [{name: a}]\n",
    "route: {receiver: a, routes: [{matchers: ['b=c', 'd=~\"e|f\"', '{g!=h}']}]}\nreceivers: [{name: a}]\n",
    "route: {receiver: a, routes: [{matchers: ['b']}]}\nreceivers: [{name: a}]\n",
    "route: {receiver: a, routes: [{matchers: ['b=~\"(\"']}]}\nreceivers: [{name: a}]\n",
    TAIL + "inhibit_rules: [{source_match: {a: b}, target_match_re: {c: d}, equal: [e]}]\n",
    TAIL + "unknown: 1\n",
    TAIL + "time_intervals: [{name: x, time_intervals: [{weekdays: ['monday:friday'], days_of_month: ['-3:-1']}]}]\n",
    TAIL + "time_intervals: [{name: x, time_intervals: [{days_of_month: ['10:5']}]}]\n",
    TAIL + "time_intervals: [{name: x, time_intervals: [{months: ['1:13']}]}]\n",
    TAIL + "time_intervals: [{name: x, time_intervals: [{times: [{start_time: '10:00', end_time: '09:00'}]}]}]\n",
    TAIL + "time_intervals: [{name: x, time_intervals: [{location: Mars/Base}]}]\n",
    TAIL + "time_intervals: [{name: x}]\nmute_time_intervals: [{name: x}]\n",
    TAIL + "global: {slack_api_url: 'ftp://x'}\n",
    TAIL + "global: {smtp_smarthost: x}\n",
    "route: {receiver: a}\nreceivers: [{name: a, webhook_configs: [{}]}]\n",
    "route: {receiver: a}\nreceivers: [{name: a, webhook_configs: [{url: 'http://x', max_alerts: -1}]}]\n",
    "route: {receiver: a}\nreceivers: [{name: a, email_configs: [{to: b}]}]\n",
    "route: {receiver: a}\nreceivers: [{name: a, pushover_configs: [{token: b, user_key: c, retry: 1m30.5s}]}]\n",
    "route: {receiver: a}\nreceivers: [{name: a, pushover_configs: [{token: b, user_key: c, retry: 1d}]}]\n",
    "route: {receiver: a}\nreceivers: [{name: a, telegram_configs: [{bot_token: b, chat_id: 1, parse_mode: x}]}]\n",
    TAIL + "templates: ['*.tmpl']\n",
    TAIL + "templates: ['*.broken']\n",
    TAIL + "templates: ['nothing*.tmpl']\n",
]


def verdict(out):
    """The lines of what was found, which must be the same word for word; of a failure only that it is one."""
    return [line.split("FAILED")[0] + "FAILED" if "FAILED" in line else line for line in out.split("\n")
            if not line.startswith("  line ")]


def test_check_judges_as_amtool():
    amtool, wrong = need("amtool"), []
    with folder() as d:
        with open(d + "/good.tmpl", "w") as f:
            f.write('{{ define "x" }}{{ .Status | toUpper }}{{ end }}')
        with open(d + "/bad.broken", "w") as f:
            f.write('{{ define "x" }}')
        for i, content in enumerate(CONFIGS):
            name = "c%d.yml" % i
            with open(d + "/" + name, "w") as f:
                f.write(content)
            theirs = run(amtool, "check-config", name, cwd=d)
            ours = run(BELFRY, "check", "alertmanager", name, cwd=d)
            if ours[0] != theirs[0] or verdict(ours[1]) != verdict(theirs[1]):
                wrong.append((content, ours, theirs))
    assert not wrong, wrong


def test_official_files_that_amtool_takes_are_taken():
    """Alertmanager 0.25 does not know newer fields; what it takes must be taken."""
    amtool = need("amtool")
    top = os.path.join(os.path.dirname(os.path.abspath(__file__)), "../../../shared/conformance/alertmanager")
    taken = 0
    for path in sorted(glob.glob(top + "/*/*.yml")):
        if run(amtool, "check-config", path)[0] == 0:
            ours = run(BELFRY, "check", "alertmanager", path)
            assert ours[0] == 0, (path, ours)
            taken += 1
    assert taken or not os.path.isdir(top)


def test_check_says_where_and_hides_secrets():
    with folder() as d:
        with open(d + "/a.yml", "w") as f:
            f.write("route: {receiver: a}\nreceivers:\n- name: a\n  slack_configs:\n  - api_url: hooks/T0SECRET\n")
        code, out, err = run(BELFRY, "check", "alertmanager", "a.yml", cwd=d)
        assert code == 1 and "a.yml:5:14: api_url: URL scheme must be" in out and "T0SECRET" not in out + err, (out, err)
        code, out, err = run(BELFRY, "check", "alertmanager", "missing.yml", cwd=d)
        assert code == 1 and "missing.yml" in out, (out, err)
        code, out, err = run(BELFRY, "check", "alertmanager", cwd=d)
        assert code == 2, (out, err)


ROUTES = """route:
  receiver: a
  routes:
  - matchers: ['x="1"', 'b=~"2"']
    receiver: b
    continue: true
    routes:
    - match: {c: "3"}
      receiver: c
      routes: [{matchers: ['d!="4"']}]
    - match_re: {c: "5|6"}
  - {receiver: d, continue: true}
  - match: {e: "f g"}
    routes: [{match: {h: i}, receiver: e}]
receivers: [{name: a}, {name: b}, {name: c}, {name: d}, {name: e}]
"""
LABELS = [[], ["x=1"], ["x=1", "b=2"], ["x=1", "b=2", "c=3"], ["x=1", "b=2", "c=3", "d=4"], ["b=2", "x=1", "c=6"],
          ["e=f g"], ["e=\"f g\"", "h=i"], ["x=2", "x=1", "b=2"], ["x"], ["x!=1"], ["x=1,b=2"]]


def test_routes_are_shown_and_tested_as_amtool_does():
    amtool, wrong = need("amtool"), []
    with folder() as d:
        with open(d + "/r.yml", "w") as f:
            f.write(ROUTES)
        commands = [["show"]] + [["test"] + labels for labels in LABELS]
        commands += [["test", "--tree"] + labels for labels in LABELS]
        commands += [["test", "--verify.receivers=" + r, "x=1", "b=2"] for r in ("b,d", "d,b", "b")]
        for words in commands:
            theirs = run(amtool, "config", "routes", *words, "--config.file=r.yml", cwd=d)
            ours = run(BELFRY, "route", *words, "--config.file=r.yml", cwd=d)
            if ours[:2] != theirs[:2]:
                wrong.append((words, ours, theirs))
    assert not wrong, wrong


def test_routes_that_never_match_are_warned_of():
    with folder() as d:
        with open(d + "/r.yml", "w") as f:
            f.write("route:\n  receiver: a\n  routes:\n  - match: {x: 1}\n  - match: {x: 1, y: 2}\nreceivers: [{name: a}]\n")
        for words in (["check", "alertmanager", "r.yml"], ["route", "show", "--config.file=r.yml"]):
            code, _, err = run(BELFRY, *words, cwd=d)
            assert code == 0 and "warning: r.yml:5:5: this route is never reached" in err and "line 4" in err, err
