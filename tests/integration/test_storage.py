# SPDX-License-Identifier: Apache-2.0
"""Blocks are cut, read together with the head, and go by retention."""
import glob
import json
import time

from harness import Belfry, Target, config, folder, text, wait_for


def test_blocks_are_cut_and_the_answer_stays_the_same():
    """A block range of 2 s makes the keeper cut within seconds; every sample stays where it was."""
    body = lambda: "".join("m{n=\"%d\"} %d\n" % (n, time.time() * 1000) for n in range(100))
    with folder() as d, Target(text(body)) as t:
        flags = ["--storage.tsdb.min-block-duration=2s", "--storage.tsdb.retention.time=1h"]
        with Belfry(d, config({"t": t.address}, "100ms"), flags=flags) as b:
            def metas():
                return [json.load(open(p)) for p in glob.glob(d + "/data/*/meta.json")]
            wait_for(lambda: len(metas()) >= 2, "two blocks", 30)
            for m in metas():
                assert m["stats"]["numSamples"] > 0 and m["stats"]["numSeries"] >= 100 and m["stats"]["numChunks"] > 0
                assert m["minTime"] < m["maxTime"]
            at = b.moment('m{n="5"}')
            before = b.query('m{n="5"}[1m]', time="%.3f" % at)
            assert len(before[0]["values"]) > 20
            steps = [y[0] - x[0] for x, y in zip(before[0]["values"], before[0]["values"][1:])]
            assert max(steps) < 1.5 and min(steps) > 0, steps
            assert b.stop() == 0
        with Belfry(d, config({"none": []}), flags=flags) as b:
            assert b.query('m{n="5"}[1m]', time="%.3f" % at) == before


def test_retention_by_time_removes_old_blocks():
    with folder() as d, Target(text(lambda: "m %d\n" % (time.time() * 1000))) as t:
        flags = ["--storage.tsdb.min-block-duration=1s", "--storage.tsdb.retention.time=4s"]
        with Belfry(d, config({"t": t.address}, "100ms"), flags=flags) as b:
            def deleted():
                lines = b.get("/metrics")[1].decode().splitlines()
                return next(float(x.split()[1]) for x in lines if x.startswith("belfry_storage_blocks_deleted_total "))
            wait_for(lambda: deleted() >= 3, "three blocks gone", 30)
            assert b.value("count_over_time(m[2s])") > 5
            assert not b.query("m[1h] offset 30s")
            oldest = min(json.load(open(p))["maxTime"] for p in glob.glob(d + "/data/*/meta.json"))
            age_ms = time.time() * 1000 - oldest
            assert age_ms < 10000, "a block that ended %d ms ago is still there" % age_ms


ADMIN_REFUSALS = [
    ("POST", "/api/v1/admin/tsdb/delete_series", 400, "no match[] parameter provided"),
    ("POST", "/api/v1/admin/tsdb/delete_series?match[]={}", 400, "match[] must contain at least one non-empty matcher"),
    ("POST", "/api/v1/admin/tsdb/delete_series?match[]=up&start=x", 400, "cannot parse \\\"x\\\" to a valid timestamp"),
    ("PUT", "/api/v1/admin/tsdb/snapshot?skip_head=maybe", 400, "strconv.ParseBool: parsing \\\"maybe\\\": invalid syntax"),
    ("GET", "/api/v1/admin/tsdb/snapshot", 405, ""),
]


def test_series_are_deleted_and_snapshots_taken_over_http():
    """What is deleted is gone at once, in blocks and head, and stays so; a copy of a snapshot is a data folder."""
    body = lambda: "".join("m{n=\"%d\"} %d\n" % (n, time.time() * 1000) for n in range(10))
    flags = ["--storage.tsdb.min-block-duration=2s", "--web.enable-admin-api"]
    with folder() as d, Target(text(body)) as t:
        with Belfry(d, config({"t": t.address}, "100ms"), flags=flags) as b:
            wait_for(lambda: len(b.api("status/tsdb/blocks")["blocks"]) >= 2, "two blocks", 30)
            block = b.api("status/tsdb/blocks")["blocks"][0]
            assert block["stats"]["numSamples"] > 0 and block["compaction"]["level"] >= 1 and block["version"] == 1
            for method, path, status, words in ADMIN_REFUSALS:
                got = b.request(method, path)
                assert got[0] == status and words in got[1].decode(), (path, got)
            at = b.moment('m{n="3"}')
            assert b.request("POST", "/api/v1/admin/tsdb/delete_series?match[]=m{n=\"3\"}&match[]=m{n=\"4\"}")[0] == 204
            assert b.query('count(count_over_time(m[1h]))', time="%.3f" % at)[0]["value"][1] == "8"
            assert b.request("PUT", "/api/v1/admin/tsdb/clean_tombstones")[0] == 204
            assert all("numTombstones" not in x["stats"] for x in b.api("status/tsdb/blocks")["blocks"])
            name = json.loads(b.request("POST", "/api/v1/admin/tsdb/snapshot")[1])["data"]["name"]
            assert b.stop() == 0
        with Belfry(d, config({"none": []}), flags=flags) as b:
            assert b.query('count(count_over_time(m[1h]))', time="%.3f" % at)[0]["value"][1] == "8"
        with Belfry(d, config({"none": []}), data="data/snapshots/" + name) as b:
            assert b.query('count(count_over_time(m[1h]))', time="%.3f" % at)[0]["value"][1] == "8"
            assert b.request("POST", "/api/v1/admin/tsdb/snapshot")[0] == 503
