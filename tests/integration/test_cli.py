# SPDX-License-Identifier: Apache-2.0
"""The command line as a person meets it."""
import json
import os
import time

from harness import BELFRY, Belfry, Target, config, folder, run, text, wait_for


def test_version_and_help():
    code, out, _ = run(BELFRY, "--version")
    assert code == 0 and out.startswith("belfry, version ")
    assert run(BELFRY, "version")[1] == out
    code, out, _ = run(BELFRY, "version", "-o", "json")
    assert code == 0 and json.loads(out)["version"]
    code, out, _ = run(BELFRY, "--help")
    assert code == 0 and "server" in out and "query" in out
    code, out, _ = run(BELFRY, "server", "--help")
    assert code == 0 and "--storage.tsdb.retention.time" in out


def test_usage_errors_name_the_flag_and_suggest():
    code, _, err = run(BELFRY, "server", "--storage.tsdb.pth=x")
    assert code == 2 and "--storage.tsdb.pth" in err and "--storage.tsdb.path" in err, err
    code, _, err = run(BELFRY, "nonsense")
    assert code == 2 and "nonsense" in err
    code, _, err = run(BELFRY, "server", "--query.timeout=fast")
    assert code == 2 and "--query.timeout" in err, err


def test_a_flag_without_effect_warns():
    with folder() as d, Belfry(d, config({"none": []}), flags=["--web.console.templates=consoles"]) as b:
        wait_for(lambda: "web.console.templates" in b.output() and "no effect" in b.output(), "the warning")


def test_query_prints_table_json_csv_and_graph():
    with folder() as d, Target(text('m{a="x"} 1\nm{a="y"} 2.5\n')) as t, Belfry(d, config({"t": t.address}, "200ms")) as b:
        wait_for(lambda: (b.value("count_over_time(m[1m])") or 0) > 5, "samples")
        url = "--url=http://127.0.0.1:%d" % b.port
        code, out, err = run(BELFRY, "query", "instant", url, 'm{a="y"}')
        assert code == 0 and "2.5" in out and 'a="y"' in out, (out, err)
        code, out, _ = run(BELFRY, "query", "instant", url, "-o", "json", "m")
        assert code == 0 and len(json.loads(out)["data"]["result"]) == 2
        code, out, _ = run(BELFRY, "query", "range", url, "-o", "csv", "m")
        assert code == 0 and out.startswith("series,time,value\n")
        code, out, _ = run(BELFRY, "query", "range", url, "--start=%f" % (time.time() - 5), "--step=200ms", "-o", "graph", "m")
        assert code == 0 and "┤" in out and "last 2.5" in out, out
        code, out, _ = run(BELFRY, "query", "labels", url, "a")
        assert code == 0 and out.split() == ["x", "y"]
        code, out, _ = run(BELFRY, "query", "series", url, "m")
        assert code == 0 and len(out.splitlines()) == 2
        code, out, err = run(BELFRY, "query", "instant", url, "sum(")
        assert code == 1 and "parse error" in err
        code, out, _ = run(BELFRY, "query", "instant", "m", env={"BELFRY_URL": "http://127.0.0.1:%d" % b.port})
        assert code == 0 and "2.5" in out


def test_check_config_and_metrics():
    with folder() as d:
        with open(d + "/good.yml", "w") as f:
            f.write(config({"a": "localhost:1"}))
        code, out, err = run(BELFRY, "check", "config", d + "/good.yml")
        assert code == 0 and "SUCCESS" in out, (out, err)
        code, out, err = run(BELFRY, "check", "metrics", stdin="# HELP a_total Help.\n# TYPE a_total counter\na_total 1\n")
        assert code == 0, (out, err)
        code, out, err = run(BELFRY, "check", "metrics", stdin="# TYPE a counter\na 1\n")
        assert code == 3 and "_total" in out + err, (out, err)


def test_promql_scripts_report_file_line_expected_and_actual():
    with folder() as d:
        path = os.path.join(d, "x.test")
        with open(path, "w") as f:
            f.write("load 1m\n  m 1 2 3\n\neval instant at 1m m\n  m 2\n\neval instant at 1m m\n  m 7\n")
        code, out, err = run(BELFRY, "test", "promql", path)
        assert code == 1 and "x.test:7" in out + err and "7" in out + err, (out, err)
        with open(path, "w") as f:
            f.write("load 1m\n  m 1 2 3\n\neval instant at 1m m\n  m 2\n")
        code, out, err = run(BELFRY, "test", "promql", path)
        assert code == 0 and "1 passed, 0 failed, 0 skipped" in out, (out, err)
