# SPDX-License-Identifier: Apache-2.0
"""Samples in any order, as users see them: a sender that goes back in time, a target that tells old times, the setting
of the window and its reload, kill -9."""
import random
import signal
import time

from harness import Belfry, Target, config, folder, text, wait_for
from remote_write import post, series

FLAGS = ["--web.enable-remote-write-receiver"]
NOTHING = config({"none": []})
WINDOW = "storage:\n  tsdb:\n    out_of_order_time_window: %s\n"
JOB = {"job": "j", "instance": "i"}


def now():
    return int(time.time() * 1000)


def metric(server, name):
    lines = server.get("/metrics")[1].decode().splitlines()
    return next((float(x.rsplit(" ", 1)[1]) for x in lines if x.startswith((name + " ", name + "{"))), None)


def send(server, samples, expected=204):
    """(series number, timestamp, value) each; returns the answer's text."""
    status, answer = post(server, *[series({"__name__": "m", "n": str(n), **JOB}, (t, v)) for n, t, v in samples])
    assert status == expected, (status, answer)
    return answer


def holds(server, n, at_ms, span="2d"):
    got = server.query('m{n="%d"}[%s]' % (n, span), time="%.3f" % (at_ms / 1000))
    return [(round(t * 1000), float(v)) for t, v in got[0]["values"]] if got else []


def test_a_sender_may_go_back_in_time():
    """Hours of samples in random order, most of them sent twice, with a kill -9 between: what is read is what was sent."""
    rng = random.Random(7)
    with folder() as d:
        end = now() - 60000
        start = end - 20 * 3600 * 1000
        all_of_it = [(n, t, float(t // 1000 % 977 + n)) for n in range(3) for t in range(start, end, 600000)]
        work = [s for s in all_of_it for _ in range(rng.randint(1, 2))]
        rng.shuffle(work)
        half = len(work) // 2
        with Belfry(d, NOTHING, FLAGS) as b:
            send(b, [(9, end, 1)])
            for at in range(0, half, 40):
                send(b, work[at:min(at + 40, half)])
            b.proc.send_signal(signal.SIGKILL)
            b.proc.wait()
        with Belfry(d, NOTHING, FLAGS) as b:
            for at in range(half, len(work), 40):
                send(b, work[at:at + 40])
            for n in range(3):
                assert holds(b, n, end) == [(t, v) for k, t, v in all_of_it if k == n]
            assert metric(b, "prometheus_tsdb_head_out_of_order_samples_appended_total") > 100
            assert metric(b, "prometheus_tsdb_too_old_samples_total") == 0


def test_what_is_refused_is_said_and_counted():
    with folder() as d, Belfry(d, NOTHING, FLAGS) as b:
        t = now() - 60000
        send(b, [(0, t, 1), (1, t, 1)])
        send(b, [(0, t - 5000, 2)])
        send(b, [(0, t - 5000, 2)])
        answer = send(b, [(0, t - 5000, 3), (1, t - 5000, 4)], 400)
        assert "duplicate sample for timestamp" in answer and "1 of 2 samples" in answer, answer
        assert holds(b, 1, t) == [(t - 5000, 4.0), (t, 1.0)]  # the other one was taken
        answer = send(b, [(0, t - 25 * 3600 * 1000, 3)], 400)
        assert "too old sample" in answer, answer
        answer = send(b, [(0, t + 3600 * 1000, 3)], 400)
        assert "out of bounds" in answer, answer
        assert metric(b, "belfry_storage_samples_duplicate_total") == 1
        assert metric(b, "prometheus_tsdb_too_old_samples_total") == 1
        assert metric(b, "belfry_storage_samples_in_future_total") == 1


def test_the_window_is_a_setting_that_is_read_again():
    with folder() as d, Belfry(d, NOTHING + WINDOW % "0s", FLAGS) as b:
        t = now() - 60000
        send(b, [(0, t, 1)])
        answer = send(b, [(0, t - 5000, 2)], 400)
        assert "out of order sample" in answer, answer
        send(b, [(1, t - 5000, 2)])  # its own first
        assert "out of bounds" in send(b, [(0, t - 7200 * 1000, 2)], 400)
        with open(d + "/prometheus.yml", "w") as f:
            f.write(NOTHING + WINDOW % "3h")
        b.proc.send_signal(signal.SIGHUP)
        wait_for(lambda: post(b, series({"__name__": "m", "n": "0", **JOB}, (t - 5000, 2)))[0] == 204, "the new window")
        send(b, [(0, t - 7200 * 1000, 2)])
        assert "too old sample" in send(b, [(0, t - 11000 * 1000, 2)], 400)
        assert holds(b, 0, t) == [(t - 7200 * 1000, 2.0), (t - 5000, 2.0), (t, 1.0)]


def test_a_target_that_tells_old_times_is_read():
    """A gauge whose timestamp goes back by an hour after each forward step, and one without a timestamp beside it."""
    start, count = now(), [0]

    def body():
        count[0] += 1
        n = count[0]
        t = start + n if n % 2 else start - 3600000 + n
        return "old %d %d\nfresh %d\n" % (n, t, n)

    with folder() as d, Target(text(body)) as target, Belfry(d, config({"app": target.address}, "200ms")) as b:
        wait_for(lambda: count[0] >= 10, "scrapes")
        got = b.query("old[2h]", time="%.3f" % (now() / 1000 + 5))
        values = {float(v): round(t * 1000) for t, v in got[0]["values"]}
        assert len(values) >= 9, values
        for n in range(1, 9):
            assert values[float(n)] == (start + n if n % 2 else start - 3600000 + n), (n, values)
        assert b.value("max_over_time(up[1m])") == 1
