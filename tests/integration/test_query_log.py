# SPDX-License-Identifier: Apache-2.0
"""global.query_log_file and evaluation_interval as a running server takes them, and takes them anew."""
import json
import os
import signal

from harness import Belfry, folder, wait_for


def lines(path):
    if not os.path.exists(path):
        return []
    with open(path) as f:
        return [json.loads(line) for line in f]


def stamp(b):
    return b.get("/metrics")[1].decode().split("\nprometheus_config_last_reload_success_timestamp_seconds ")[1].split()[0]


def test_queries_are_logged_beside_the_configuration_and_rotate_with_a_reload():
    conf = "global: {query_log_file: queries.log, evaluation_interval: 7s}\n"
    with folder() as d, Belfry(d, conf) as b:
        path = os.path.join(d, "queries.log")
        assert b.query("1 + 1", time=10) == [10, "2"]
        b.get("/api/v1/query_range", query="vector(1) +", start=0, end=10, step=5)  # does not parse: was never a query
        b.get("/api/v1/query_range", query="count_over_time(vector(1)[70s:])", start=700, end=714, step=7)
        got = lines(path)
        assert [g["params"]["query"] for g in got] == ["1 + 1", "count_over_time(vector(1)[70s:])"], got
        assert got[1]["params"]["step"] == 7 and got[1]["httpRequest"]["path"] == "/api/v1/query_range", got[1]
        assert got[1]["stats"]["samples"]["totalQueryableSamples"] == 30, got[1]  # 70 s every 7 s, three times
        assert "\nprometheus_engine_query_log_enabled 1\n" in b.get("/metrics")[1].decode()

        os.rename(path, path + ".1")
        before = stamp(b)
        b.proc.send_signal(signal.SIGHUP)
        wait_for(lambda: stamp(b) != before, "reloaded")
        b.query("2", time=10)
        assert len(lines(path + ".1")) == 2 and [g["params"]["query"] for g in lines(path)] == ["2"]

        with open(os.path.join(d, "prometheus.yml"), "w") as f:
            f.write("global: {query_log_file: nowhere/at/all.log}\n")
        b.proc.send_signal(signal.SIGHUP)
        wait_for(lambda: "\nprometheus_config_last_reload_successful 0\n" in b.get("/metrics")[1].decode(), "refused")
        assert "query log: could not open" in b.output(), b.output()
        b.query("3", time=10)
        assert len(lines(path)) == 2  # the running configuration stays
