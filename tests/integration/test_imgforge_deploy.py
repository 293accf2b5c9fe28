# SPDX-License-Identifier: Apache-2.0
"""deploy/imgforge as it is shipped: Prometheus, Alertmanager and Belfry take the same files and judge them alike."""
import os
import re

from harness import BELFRY, TOP, Skip, folder, need, run

STACK = os.path.join(TOP, "deploy/imgforge")
SPECIFICATION = os.path.join(TOP, "../shared/spec/services.md")


def load(path):
    """A YAML file of the stack."""
    try:
        import yaml
    except ImportError:
        raise Skip("python3-yaml is not installed")
    with open(os.path.join(STACK, path)) as f:
        return yaml.safe_load(f)


def specification():
    if not os.path.exists(SPECIFICATION):
        raise Skip("the specification is not beside the project")
    with open(SPECIFICATION) as f:
        return f.read()


def checked(*argv, cwd=STACK, timeout=120):
    code, out, err = run(*argv, cwd=cwd, timeout=timeout)
    assert code == 0, (argv, out[-3000:], err[-3000:])
    return out


def words(text):
    """What is left of an expression when line feeds and indentation do not count."""
    return re.sub(r"\s+", "", text)


def rules():
    """(kind, name, rule) of all rules of the stack."""
    for name in sorted(os.listdir(STACK + "/rules")):
        if name.endswith(".yml"):
            for group in load("rules/" + name)["groups"]:
                for rule in group["rules"]:
                    kind = "alert" if "alert" in rule else "record"
                    yield kind, rule[kind], rule


def test_configuration_is_taken_by_belfry():
    assert "2 rule files found" in checked(BELFRY, "check", "config", "--lint=all", "--lint-fatal", "prometheus.yml")
    checked(BELFRY, "check", "alertmanager", "alertmanager.yml")
    checked(BELFRY, "check", "rules", "rules/imgforge-alerts.yml", "rules/imgforge-recording.yml")


def test_configuration_is_taken_by_prometheus():
    assert "2 rule files found" in checked(need("promtool"), "check", "config", "prometheus.yml")
    checked(need("amtool"), "check-config", "alertmanager.yml")


def test_configuration_with_a_token_is_taken():
    """The lines that prometheus.yml shows for IMGFORGE_SECRET, without their comment sign."""
    with open(STACK + "/prometheus.yml") as f:
        shown = re.sub(r"(?m)^( *)#(authorization:|  credentials_file:|scheme:)", r"\1\2", f.read())
    assert shown.count("\n    authorization:\n      credentials_file: ") == 1 and "\n    scheme: https" in shown, shown
    with folder() as d:
        os.symlink(STACK + "/rules", d + "/rules")
        os.mkdir(d + "/secrets")
        with open(d + "/secrets/imgforge-token", "w") as f:
            f.write("token\n")
        with open(d + "/prometheus.yml", "w") as f:
            f.write(shown)
        checked(BELFRY, "check", "config", "prometheus.yml", cwd=d)
        checked(need("promtool"), "check", "config", "prometheus.yml", cwd=d)


def test_scraping_is_that_of_the_seeds():
    config = load("prometheus.yml")
    assert config["global"]["scrape_interval"] == "15s", config["global"]
    job = config["scrape_configs"][0]
    assert (job["job_name"], job["scrape_interval"], job["metrics_path"]) == ("imgforge", "10s", "/metrics"), job
    assert job["static_configs"] == [{"targets": ["imgforge:9000"]}], job


def test_alerts_are_those_of_the_specification():
    rows = re.findall(r"^\| (Imgforge\w+) \| S0 \| `(.*?)` \| (\w+) \| (\w+) \|", specification(), re.M)
    shipped = {name: rule for kind, name, rule in rules() if kind == "alert"}
    assert sorted(shipped) == sorted(row[0] for row in rows), (sorted(shipped), rows)
    for name, expr, hold, severity in rows:
        rule = shipped[name]
        assert words(rule["expr"]) == words(expr), (name, rule["expr"])
        assert rule["for"] == hold and rule["labels"] == {"severity": severity, "service": "imgforge"}, rule
        assert set(rule["annotations"]) == {"summary", "description", "runbook_url"}, rule
        assert rule["annotations"]["runbook_url"] == "{{ $externalURL }}/user/runbooks/%s.md" % name, rule


def test_rule_tests_pass_in_belfry():
    checked(BELFRY, "test", "rules", "rules/tests/alerts_test.yml", "rules/tests/recording_test.yml")


def test_rule_tests_pass_in_prometheus():
    checked(need("promtool"), "test", "rules", "rules/tests/alerts_test.yml", "rules/tests/recording_test.yml")


def test_rule_tests_hold_each_duration():
    """A `for` that is an evaluation longer or shorter fails them."""
    with open(STACK + "/rules/imgforge-alerts.yml") as f:
        shipped = f.read()
    holds = [m.span(1) for m in re.finditer(r"^ +for: (\w+)$", shipped, re.M)]
    assert len(holds) == 4, holds
    with folder() as d:
        os.mkdir(d + "/tests")
        with open(STACK + "/rules/tests/alerts_test.yml") as f, open(d + "/tests/alerts_test.yml", "w") as copy:
            copy.write(f.read())
        for start, end in holds:
            minutes = int(shipped[start:end - 1])
            for other in ("%dm45s" % (minutes - 1), "%dm15s" % minutes):
                with open(d + "/imgforge-alerts.yml", "w") as f:
                    f.write(shipped[:start] + other + shipped[end:])
                code, out, err = run(BELFRY, "test", "rules", d + "/tests/alerts_test.yml")
                assert code == 1 and "FAILED" in out + err, (shipped[start - 200:end], other, out, err)


def test_alerts_are_routed_as_the_specification_says():
    config = load("alertmanager.yml")
    assert config["route"]["group_by"] == ["alertname", "job"], config["route"]
    hook = config["receivers"][0]["webhook_configs"][0]
    assert hook["send_resolved"] is True and hook["url"].endswith("/alerts/webhook"), hook
    quiet = {r["receiver"] for r in config["route"]["routes"] if "quiet-hours" in r.get("mute_time_intervals", [])}
    assert quiet == {"chat", "digest"}, quiet
    for severity, told in (("critical", "incidents,pager"), ("warning", "incidents,chat"), ("info", "incidents,digest")):
        argv = ["--config.file=alertmanager.yml", "--verify.receivers=" + told, "severity=" + severity, "alertname=A"]
        checked(BELFRY, "route", "test", *argv)
        checked(need("amtool"), "config", "routes", "test", *argv)
