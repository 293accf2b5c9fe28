# SPDX-License-Identifier: Apache-2.0
"""belfry query as a person and a script meet it: times, bars, and text that would move a terminal's cursor."""
import json
import time

from harness import BELFRY, Belfry, Target, config, folder, run, text, wait_for


def test_times_may_be_rfc_3339_without_a_step():
    with folder() as d, Target(text("m 1\n")) as t, Belfry(d, config({"t": t.address}, "200ms")) as b:
        wait_for(lambda: (b.value("count_over_time(m[1m])") or 0) > 10, "samples")
        url = "--url=http://127.0.0.1:%d" % b.port
        now = time.time()
        start = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(now - 60))
        code, out, err = run(BELFRY, "query", "range", url, "--start=" + start, "-o", "json", "m")
        assert code == 0 and json.loads(out)["data"]["result"], (out, err)
        code, out, err = run(BELFRY, "query", "range", url, "--start=%f" % (now - 2), "--step=500ms", "m")
        stamps = [line.split()[0] for line in out.splitlines()[1:]]
        assert code == 0 and len(set(stamps)) == len(stamps) and stamps[0].endswith("Z"), (out, err)
        code, _, err = run(BELFRY, "query", "instant", url, "--time=" + stamps[-1], "m")
        assert code == 0, err # what is printed can be asked for
        for bad in (["--start=yesterday"], ["--step=often"], ["--start=2", "--end=1"]):
            code, _, err = run(BELFRY, "query", "range", url, *bad, "m")
            assert code == 2 and err.startswith("belfry: "), (bad, code, err)


def test_a_vector_becomes_bars():
    with folder() as d, Target(text('m{a="x"} 4\nm{a="y"} -2\nm{a="z"} NaN\n')) as t, Belfry(d, config({"t": t.address}, "200ms")) as b:
        wait_for(lambda: b.value('m{a="x"}') == 4, "m")
        url = "--url=http://127.0.0.1:%d" % b.port
        code, out, err = run(BELFRY, "query", "instant", url, "-o", "graph", "m")
        lines = {line.split('a="')[1][0]: line for line in out.splitlines()}
        assert code == 0 and abs(lines["x"].count("█") - 2 * lines["y"].count("░")) <= 1 < lines["x"].count("█"), (out, err)
        assert "NaN" in lines["z"] and "█" not in lines["z"], out


def test_control_characters_of_others_do_not_reach_the_terminal():
    with folder() as d, Target(text('m{a="x\x1b[31m"} 1\n')) as t, Belfry(d, config({"t": t.address}, "200ms")) as b:
        wait_for(lambda: b.value("m") == 1, "m")
        url = "--url=http://127.0.0.1:%d" % b.port
        for words in (["instant", "m"], ["range", "m"], ["labels", "a"], ["series", "m"], ["instant", "m", "-o", "graph"],
                      ["instant", 'm{a="\x1b"'], ["labels", "a/../\x1b"]):
            _, out, err = run(BELFRY, "query", words[0], url, *words[1:])
            assert "\x1b" not in out + err and out + err, (words, out, err)


def test_a_plan_is_printed_as_a_tree():
    with folder() as d, Target(text('m_total{a="x"} 4\nm_total{a="y"} 2\n')) as t, Belfry(d, config({"t": t.address}, "200ms")) as b:
        wait_for(lambda: (b.value("count(rate(m_total[1m]))") or 0) == 2, "m_total")
        url = "--url=http://127.0.0.1:%d" % b.port
        query = "sum by (job) (rate(m_total[1m])) > scalar(vector(1))"
        code, out, err = run(BELFRY, "query", "instant", url, "--explain", query)
        assert code == 0 and out == """map >
├─ aggregate sum by (job)
│  └─ windows rate
│     └─ select range  m_total[1m]   2 series estimated
└─ scalar scalar
   └─ function vector
      └─ literal  1
""", (out, err)
        code, out, err = run(BELFRY, "query", "range", url, "--analyze", "--end=%f" % time.time(), "sum(m_total)")
        first, second = out.splitlines()[:2]
        assert code == 0 and first.startswith("aggregate sum   1 series, ") and first.endswith(" ms"), (out, err)
        assert second.startswith("└─ select  m_total   2 series, ") and "samples read" in second, out
        assert "\n\n" in out, out # the answer follows
