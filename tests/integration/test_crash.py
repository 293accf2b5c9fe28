# SPDX-License-Identifier: Apache-2.0
"""kill -9 at random moments under load: nothing that a query had shown before is missing after."""
import os
import random
import signal
import time

from harness import SCALE, Belfry, Target, config, folder, text, wait_for

SERIES = 2000
TARGETS = 10  # TARGETS x SERIES samples every 200 ms: 100,000 samples a second


def body():
    """All series carry the same value, the time in ms: what a query shows says which scrape it saw."""
    now = int(time.time() * 1000)
    return "".join("load{n=\"%d\"} %d\n" % (n, now) for n in range(SERIES))


def load_config(t):
    jobs = "".join("  - targets: ['%s']\n    labels: {instance: 'i%d'}\n" % (t.address, i) for i in range(TARGETS))
    return ("global: {scrape_interval: 200ms, scrape_timeout: 200ms}\nscrape_configs:\n"
            "- job_name: load\n  static_configs:\n" + jobs)


def samples_of(b, instance, seconds, at):
    """[(t, value)] of one series as the server has them in the window that ends at `at`."""
    r = b.query('load{n="%d",instance="%s"}[%ds]' % (random.randrange(SERIES), instance, seconds), time="%.3f" % at)
    return {(t, v) for t, v in r[0]["values"]} if r else set()


def test_kill_9_loses_nothing_that_a_query_had_shown():
    seed = int(os.environ.get("TEST_SEED", time.time()))
    random.seed(seed)
    rounds = max(3, round(3 * SCALE))
    with folder() as d, Target(text(body)) as t:
        ready_worst, shown_total = 0.0, 0
        for i in range(rounds):
            b = Belfry(d, load_config(t), port=None)
            try:
                wait_for(lambda: b.value("count(load)") == SERIES * TARGETS, "all series", 20)
                time.sleep(random.uniform(0.2, 2.0))
                at = time.time()
                shown = {j: samples_of(b, "i%d" % j, 30, at) for j in range(TARGETS)}
                counted = b.value("sum(count_over_time(load[30s]))", time="%.3f" % at)
                shown_total += int(counted or 0)
            finally:
                b.proc.send_signal(signal.SIGKILL)
                b.proc.wait()
                b.log.close()
            t0 = time.monotonic()
            b = Belfry(d, config({"none": []}))
            ready_worst = max(ready_worst, time.monotonic() - t0)
            try:
                for j, before in shown.items():
                    after = {}
                    for r in b.query('load{instance="i%d"}[30s]' % j, time="%.3f" % at)[:50]:
                        after[r["metric"]["n"]] = {(x, v) for x, v in r["values"]}
                    missing = [n for n, got in after.items() if not before <= got]
                    assert after and not missing, "seed %d round %d: series %s of i%d lost samples" % (seed, i, missing[:3], j)
                again = b.value("sum(count_over_time(load[30s]))", time="%.3f" % at)
                assert again >= counted, "seed %d round %d: %s samples before, %s after" % (seed, i, counted, again)
            finally:
                assert b.stop() == 0
        print("kill -9: %d rounds, %d samples shown, none lost, ready within %.2f s" % (rounds, shown_total, ready_worst))


def test_a_clean_stop_and_start_keeps_everything():
    with folder() as d, Target(text("a 1\n")) as t:
        with Belfry(d, config({"t": t.address}, "200ms")) as b:
            wait_for(lambda: (b.value("count_over_time(a[1m])") or 0) >= 5, "five samples")
            at = b.moment("a")
            before = b.query("a[1m]", time="%.3f" % at)
            assert b.stop() == 0
        with Belfry(d, config({"t": t.address}, "200ms")) as b:
            assert b.query("a[1m]", time="%.3f" % at) == before
