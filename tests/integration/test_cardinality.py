# SPDX-License-Identifier: Apache-2.0
"""The cardinality guard: an explosion is folded and named, and everything else goes on."""
import re
import time

from harness import SCALE, Belfry, Target, config, folder, text, wait_for
from remote_write import post, series

LIMITS = ["--storage.series-per-job-max=1000", "--storage.series-per-metric-max=600", "--storage.new-series-per-job-max=0"]


def rss(server):
    with open("/proc/%d/status" % server.proc.pid) as f:
        return int(re.search(r"VmRSS:\s+(\d+)", f.read()).group(1)) << 10


def folded(server, job, metric):
    m = re.search(r'belfry_storage_series_folded_total\{job="%s",metric="%s"\} (\S+)' % (job, metric),
                  server.get("/metrics")[1].decode())
    return float(m.group(1)) if m else 0


def test_an_explosion_of_a_label_is_folded_and_named():
    """Series from before go on, those of other metrics and jobs too; the scrape is up; memory stays where it was."""
    count, users = int(100000 * SCALE), [10]

    def body():
        return "quiet_total 1\n" + "".join("hits_total{user=\"u%d\",code=\"%d\"} %d\n" % (n, 200 + n % 3, n)
                                           for n in range(users[0])) + "other 5\n"

    with folder() as d, Target(text(body)) as t, Target(text("calm 1\n")) as calm:
        with Belfry(d, config({"bomb": t.address, "calm": calm.address}, "2s"), LIMITS) as b:
            wait_for(lambda: b.value('count(hits_total{job="bomb"})') == 10, "the first scrape")
            users[0] = count
            wait_for(lambda: (b.value('hits_total{overflow="true"}') or 0) == count - 600, "the overflow", 60)
            assert b.value('count(hits_total{user!=""})') == 600
            assert b.value('up{job="bomb"}') == 1 and b.value("other") == 5 and b.value("calm") == 1
            assert b.value('hits_total{user="u3"}') == 3
            labels = b.query('hits_total{overflow="true"}')[0]["metric"]
            assert labels == {"__name__": "hits_total", "job": "bomb", "instance": t.address, "overflow": "true"}
            assert folded(b, "bomb", "hits_total") >= count - 600
            line = wait_for(lambda: [x for x in b.output().splitlines() if "series_folded" in x], "the event")[0]
            assert 'hits_total' in line and 'bomb' in line and t.address in line and 'label \\"user\\"' in line, line
            before = rss(b)
            t0 = len(t.requests)
            wait_for(lambda: len(t.requests) >= t0 + 5, "five more scrapes", 60)
            # Which threads scrape and answer, each with room for the 4 MB of a page, is luck; as many series as lines take 45 MB.
            assert rss(b) - before < 20 << 20, "%d bytes more" % (rss(b) - before)
            assert len([x for x in b.output().splitlines() if "series_folded" in x]) == 1
            users[0] = 10
            wait_for(lambda: not b.query('hits_total{overflow="true"}'), "the end of the overflow", 30)
            assert b.value('count(hits_total{user!=""})') == 10


def test_new_labels_with_every_scrape_are_limited_by_their_rate():
    scrapes = [0]

    def body():
        scrapes[0] += 1
        return "".join("churn{id=\"%d-%d\"} 1\n" % (scrapes[0], n) for n in range(100)) + "stays 1\n"

    with folder() as d, Target(text(body)) as t:
        with Belfry(d, config({"churn": t.address}, "200ms"), ["--storage.new-series-per-job-max=500"]) as b:
            wait_for(lambda: scrapes[0] > 30, "thirty scrapes", 30)
            assert b.value("up") == 1 and b.value("stays") == 1
            made = b.value("count(count_over_time(churn{id!=\"\"}[5m]))")
            assert 300 < made < 600, made
            assert (b.value('churn{overflow="true"}') or 0) > 90


def test_remote_write_is_folded_too():
    with folder() as d, Belfry(d, config({"none": []}), LIMITS + ["--web.enable-remote-write-receiver"]) as b:
        t = int(time.time() * 1000) - 5000
        many = [series({"__name__": "m", "job": "j", "instance": "i", "n": str(n)}, (t, n)) for n in range(1000)]
        status, answer = post(b, *many)
        assert status == 400 and "400 of 1000 samples not stored: 400 series_limit" in answer, (status, answer)
        again = [series({"__name__": "m", "job": "j", "instance": "i", "n": str(n)}, (t + 1000, n)) for n in range(1000)]
        assert post(b, *again)[0] == 400
        at = "%.3f" % ((t + 1000) / 1000)
        assert b.value('count(m{n!=""})', time=at) == 600
        assert b.value('m{overflow="true"}', time=at) == 400
        assert post(b, series({"__name__": "m", "job": "j", "instance": "i", "n": "5"}, (t + 2000, 5)))[0] == 204


def test_limits_follow_the_memory_limit():
    with folder() as d:
        with Belfry(d, None, ["--storage.memory-limit=2GiB"]) as b:
            flags = b.api("status/flags")
            assert flags["storage.memory-limit"] == "2GiB"
            assert flags["storage.series-max"] == str(1 << 20)
            assert flags["storage.series-per-job-max"] == str(1 << 19)
            assert flags["storage.series-per-metric-max"] == str(1 << 18)
            assert flags["storage.new-series-per-job-max"] == str(1 << 19)
        with Belfry(d, None, ["--storage.series-per-job-max=0"]) as b:
            assert b.api("status/flags")["storage.series-per-job-max"] == "0"
            assert 'belfry_storage_series_limit{limit="job"} 0' in b.get("/metrics")[1].decode()
