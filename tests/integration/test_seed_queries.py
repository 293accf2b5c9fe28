# SPDX-License-Identifier: Apache-2.0
"""Each PromQL expression of the seeds and of the services' specification is evaluated by tests/promql/seeds*.test. The texts are
read from ../shared where that is; an expression that is added or changed there fails here until a script has it."""
import glob
import os
import re

from harness import Skip

TOP = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
SHARED = os.path.join(os.path.dirname(TOP), "shared")
CALL = re.compile(r"\b(rate|increase|sum|histogram_quantile|avg_over_time|topk|absent|time|max|min|avg|count)\s*(by\s*)?\(")
COMPARISON = re.compile(r"^[a-z_]+(\{.*\})? (==|>|<) [0-9.e]+$")
METRIC = re.compile(r"^[a-z][a-z0-9_]*_(bucket|total|bytes|allocs|active|pending|sum|count)(\{.*\})?$")
SECTIONS = {"3.10", "4.8", "7.", "8."}  # of services.md


def plain(text):
    """One form for all ways of writing: a space for any white space, no variables of dashboards, no \\| of tables."""
    text = re.sub(r"\s+", " ", text.replace("\\|", "|")).strip()
    text = text.replace("$__interval", "5m").replace("histogram_quantile(Q,", "histogram_quantile(0.95,")
    return re.sub(r"\s*([(),])\s*", r"\1", text)


def is_expression(text):
    return bool(CALL.search(text) or COMPARISON.match(text)) and not text.endswith("()")


def quoted(text, metrics):
    """Back-quoted expressions; names of metrics alone are queries in a table of panels, and words elsewhere."""
    return [t for t in re.findall(r"`([^`\n]+)`", text)
            if is_expression(plain(t)) or (metrics and (METRIC.match(t) or t == "up"))]


def sections(text):
    """The paragraphs below the headings that hold queries."""
    for heading, body in re.findall(r"^##+ (\S+)[^\n]*\n(.*?)(?=^##+ |\Z)", text, re.S | re.M):
        if heading in SECTIONS:
            yield body


def of_seed(text):
    """Back-quoted words, lines of promql and alert blocks, "expr" of JSON and expr of YAML."""
    found = quoted(text, False)
    for block in re.findall(r"^```(?:promql|yaml|json)\n(.*?)^```", text, re.S | re.M):
        found += [m.replace('\\"', '"') for m in re.findall(r'"expr": "((?:[^"\\]|\\.)*)"', block)]
        found += re.findall(r"^ *expr: ([^|\n].*)$", block, re.M)
        found += re.findall(r"^ *expr: \|\n(.*?)\n *(?:for|labels):", block, re.S | re.M)
        if "groups:" not in block and '"expr"' not in block:
            found += [line for line in block.splitlines()
                      if not line.startswith("#") and ("(" in line or COMPARISON.match(line)) and is_expression(line)]
    return found


def covered():
    queries = set()
    for path in glob.glob(os.path.join(TOP, "tests/promql/seeds*.test")):
        with open(path) as f:
            queries |= {plain(q) for q in re.findall(r"^eval instant at \S+ (.*)$", f.read(), re.M)}
    return queries


def test_each_expression_of_the_seeds_has_a_test():
    seeds, spec = sorted(glob.glob(SHARED + "/seeds/*.txt")), SHARED + "/spec/services.md"
    if not seeds or not os.path.exists(spec):
        raise Skip("no ../shared")
    wanted = []
    for path in seeds:
        with open(path) as f:
            wanted += [(os.path.basename(path), plain(q)) for q in of_seed(f.read())]
    with open(spec) as f:
        for body in sections(f.read()):
            wanted += [("services.md", plain(q)) for q in quoted(body, True)]
    tested = covered()
    words = set(re.findall(r"[a-z_]+", " ".join(tested)))
    missing = [w for w in wanted if w[1] not in tested and not (METRIC.match(w[1]) and w[1].split("{")[0] in words)]
    print("%d expressions, %d distinct" % (len(wanted), len({q for _, q in wanted})))
    assert len(wanted) > 90, "found only %d expressions: has the form of the texts changed?" % len(wanted)
    assert not missing, "no test for:\n" + "\n".join("%s: %s" % m for m in missing)
