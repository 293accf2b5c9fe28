# SPDX-License-Identifier: Apache-2.0
"""Guides and runbooks: links lead somewhere, and what imgforge says and counts is explained."""
import glob
import json
import os
import re

from harness import BELFRY, TOP, folder, need, run
from test_imgforge_deploy import rules, specification

GUIDES = os.path.join(TOP, "docs/imgforge")
RUNBOOKS = os.path.join(TOP, "docs/runbooks")


def read(path):
    with open(path) as f:
        return f.read()


def anchors(text):
    """The anchors of a page's headings, as they are made of them on the usual hosts."""
    found = set()
    for heading in re.findall(r"^#+ (.*)$", re.sub(r"(?ms)^```.*?^```", "", text), re.M):
        plain = re.sub(r"[`*]|\[([^]]*)\]\([^)]*\)", r"\1", heading).lower()
        found.add(re.sub(r"[^\w\- ]", "", plain).replace(" ", "-"))
    return found


def test_links_lead_somewhere():
    pages = [TOP + "/README.md", TOP + "/CONTRIBUTING.md"] + glob.glob(TOP + "/docs/**/*.md", recursive=True)
    links, broken = 0, []
    for page in pages:
        for target in re.findall(r"\]\(([^)\s]+)\)", re.sub(r"(?ms)^```.*?^```", "", read(page))):
            if re.match(r"https?:", target):
                continue
            links += 1
            path, _, anchor = target.partition("#")
            path = os.path.normpath(os.path.join(os.path.dirname(page), path)) if path else page
            if not os.path.exists(path) or anchor and anchor not in anchors(read(path)):
                broken.append((os.path.relpath(page, TOP), target))
    assert links > 50 and not broken, (links, broken)


def test_each_alert_has_its_runbook():
    listed = read(RUNBOOKS + "/README.md")
    for kind, name, rule in rules():
        if kind != "alert":
            continue
        page = re.sub(r"^\{\{ \$externalURL \}\}/user", TOP + "/docs", rule["annotations"]["runbook_url"])
        text = read(page)
        assert text.startswith("# %s\n" % name) and "(%s.md)" % name in listed, name
        assert "**Severity** %s." % rule["labels"]["severity"] in text, name
        hold = re.fullmatch(r"(\d+)m", rule["for"]).group(1)
        assert "for %s minutes" % hold in " ".join(text.split()), (name, hold)
        parts = re.findall(r"^## (.*)$", text, re.M)
        assert parts == ["Meaning", "Impact", "First look", "Causes", "Mitigation", "Escalation"], (name, parts)


def runbook_queries():
    for page in sorted(glob.glob(RUNBOOKS + "/*.md")):
        for block in re.findall(r"(?ms)^```\n(.*?)^```", read(page)):
            if not re.match(r"LOGS|curl|\w+ -", block):
                yield from ((os.path.basename(page), line) for line in block.splitlines())


def test_queries_of_runbooks_are_taken():
    queries = list(runbook_queries())
    assert len(queries) > 15, queries
    with folder() as d:
        with open(d + "/queries.yml", "w") as f:
            json.dump({"groups": [{"name": "q", "rules": [{"record": "q:%d" % i, "expr": e} for i, (_, e) in enumerate(queries)]}]}, f)
        for program in (BELFRY, need("promtool")):
            code, out, err = run(program, "check", "rules", d + "/queries.yml")
            assert code == 0, (program, out, err)


def test_queries_of_runbooks_find_something():
    """Where each metric is there once, with the labels that an operation of it has."""
    metrics = {m for _, e in runbook_queries() for m in re.findall(r"([a-z_]+)\{", e)}
    others = {"image_operations_active": ',operation="process"', "image_operations_waiting": ',operation="process"'}
    with folder() as d:
        with open(d + "/queries.test", "w") as f:
            f.write("load 15s\n")
            for m in sorted(metrics):
                labels = others.get(m, ',status="error",cache_type="disk",format="avif",le="1"' if "_bucket" in m or m.endswith("_total") else "")
                f.write('  %s{job="imgforge",instance="a"%s} 0+15x240\n' % (m, labels))
                if m.endswith("_bucket"):
                    f.write('  %s{job="imgforge",instance="a"%s} 0+15x240\n' % (m, labels.replace('"1"', '"+Inf"')))
            for _, e in runbook_queries():
                if 'status=~"5.."' not in e:
                    f.write("\neval instant at 1h count(%s) > bool 0\n  {} 1\n" % e)
        code, out, err = run(BELFRY, "test", "promql", d + "/queries.test")
        assert code == 0, (out, err)


def test_each_error_text_is_explained():
    guide = read(GUIDES + "/8_error_troubleshooting.md")
    section = specification().split("### 2.10 Errors")[1].split("### 2.11")[0]
    texts = re.findall(r"`([A-Z][^`]*|unknown preset: x|dpr value[^`]*)`", " ".join(line.split("|")[2] for line in section.splitlines() if line.startswith("| ") and line[2].isdigit()))
    texts += re.findall(r"403 `([^`]*)`", specification().split("### 2.5")[1].split("### 2.6")[0])
    assert len(texts) > 20, texts
    missing = [t for t in texts if t != "Retry-After" and "`%s`" % t not in guide]
    assert not missing, missing


def test_each_error_text_of_the_source_is_explained():
    """What the program's source says to clients, but for messages of options, which are many of one kind."""
    guide = re.sub(r"\b(N|X|W|H)\b|WxH", "%", read(GUIDES + "/8_error_troubleshooting.md"))
    said = set()
    for path in glob.glob(TOP + "/services/imgforge/*.c"):
        said |= set(re.findall(r'image_fail\(\s*[\w>.-]+,\s*\d+,\s*"([^"]*)"', read(path)))
    assert said, "no image_fail() in services/imgforge"
    missing = [t for t in said if re.split(r" ?%", t)[0] not in guide]
    assert not missing, missing


def test_each_metric_is_explained():
    section = specification().split("### 2.11 Metrics")[1].split("\n---\n")[0]
    names = {n for cell in re.findall(r"^\| (`.*?`) \| (?:histogram|counter|gauge) \|", section, re.M) for n in re.findall(r"`(\w+)`", cell)}
    assert len(names) > 12, names
    table = read(GUIDES + "/11_prometheus_monitoring.md")
    way = read(GUIDES + "/6_request_lifecycle.md")
    assert not [n for n in names if "`%s`" % n not in table], names
    stem = re.compile(r"`(\w+?)(?:\{[^}]*\})?`|`(\w+_)\*`")
    told = {a or b for a, b in stem.findall(way)}
    assert not [n for n in names if not any(n == t or t.endswith("_") and n.startswith(t) for t in told)], told


def test_what_adding_a_metric_names_is_there():
    source = read(TOP + "/services/imgforge/imgforge_metrics.c")
    page = read(GUIDES + "/adding_a_metric.md")
    names = set(re.findall(r"`(\w+)(?:\(\))?`", page)) | set(re.findall(r"\b(\w+)\(", "".join(re.findall(r"(?ms)```c\n(.*?)```", page))))
    own = {"metrics_refused"}  # of the example
    assert len(names) > 5 and not [n for n in names - own if n not in source], (names, [n for n in names - own if n not in source])
