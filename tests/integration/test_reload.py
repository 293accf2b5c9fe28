# SPDX-License-Identifier: Apache-2.0
"""Reloads: who may ask, what a bad file does, files that are watched, and that no scrape is missed meanwhile."""
import json
import os
import signal
import threading
import time

from harness import SCALE, Belfry, Target, config, folder, text, wait_for
from test_scrape_hostile import Fleet

LIFECYCLE = ("--web.enable-lifecycle",)


def put(path, content):
    """Whole, as an editor does."""
    with open(path + ".new", "w") as f:
        f.write(content)
    os.rename(path + ".new", path)


def jobs(b):
    return b.api("scrape_pools")["scrapePools"]


def test_a_reload_by_http_answers_when_it_is_done():
    with folder() as d, Target(text("m 1\n")) as t, Belfry(d, config({"a": t.address}), LIFECYCLE) as b:
        for method in ("POST", "PUT"):
            put(d + "/prometheus.yml", config({"a": t.address, method: t.address}))
            assert b.request(method, "/-/reload")[:2] == (200, b"")
            assert jobs(b) == sorted(["a", method]), jobs(b)
        assert b.request("GET", "/-/reload")[0] == 405
        put(d + "/prometheus.yml", "scrape_configs: [{job_nam: x}]\n")
        status, body, _ = b.request("POST", "/-/reload")
        assert status == 500 and body.startswith(b"failed to reload config: ") and b"prometheus.yml:1:19" in body, body
        assert jobs(b) == ["PUT", "a"]


def test_a_reload_by_http_needs_its_flag():
    with folder() as d, Belfry(d, config({})) as b:
        assert b.request("POST", "/-/reload")[:2] == (403, b"Lifecycle API is not enabled.\n")


# What a reload meets, by phase: reading, YAML, meaning, other files, what the configuration opens.
BAD = {
    "missing": lambda d: os.unlink(d + "/prometheus.yml"),
    "a-folder": lambda d: (os.unlink(d + "/prometheus.yml"), os.mkdir(d + "/prometheus.yml")),
    "too-large": lambda d: os.truncate(d + "/prometheus.yml", 1 << 30),
    "empty-yaml": lambda d: put(d + "/prometheus.yml", "scrape_configs: [\n"),
    "aliases": lambda d: put(d + "/prometheus.yml", "a: &a [x,x,x,x,x,x,x,x,x]\n" + "".join(
        "%s: &%s [%s]\n" % (chr(98 + i), chr(98 + i), ",".join("*" + chr(97 + i) for _ in range(9))) for i in range(9))),
    "meaning": lambda d: put(d + "/prometheus.yml", "scrape_configs: [{job_name: a, scheme: ftp}]\n"),
    "environment": lambda d: put(d + "/prometheus.yml", "scrape_configs: [{job_name: a, bearer_token: '${BELFRY_NOT_SET}'}]\n"),
    "other-file": lambda d: put(d + "/prometheus.yml", "scrape_config_files: [nowhere.yml]\n"),
    "bad-other-file": lambda d: (put(d + "/jobs.yml", "scrape_configs: [{}]\n"),
                                 put(d + "/prometheus.yml", "scrape_config_files: ['jo*.yml']\n")),
    "query-log": lambda d: put(d + "/prometheus.yml", "global: {query_log_file: /nowhere/x.log}\n"),
    "nul": lambda d: put(d + "/prometheus.yml", "scrape_configs: []\0\n"),
}


def test_a_bad_file_leaves_the_running_configuration():
    with folder() as d, Target(text("m 1\n")) as t:
        good = config({"a": t.address})
        with Belfry(d, good, LIFECYCLE) as b:
            wait_for(lambda: b.value("up") == 1, "up")
            before = b.api("status/config")["yaml"]
            for name, spoil in BAD.items():
                spoil(d)
                status, body, _ = b.request("POST", "/-/reload")
                assert status == 500 and len(body) < 1500, (name, status, body)
                assert b.api("status/config")["yaml"] == before, name
                assert b.api("status/runtimeinfo")["reloadConfigSuccess"] is False, name
                assert b"prometheus_config_last_reload_successful 0" in b.get("/metrics")[1], name
                if os.path.isdir(d + "/prometheus.yml"):
                    os.rmdir(d + "/prometheus.yml")
                put(d + "/prometheus.yml", good)
                assert b.request("POST", "/-/reload")[0] == 200, name
                assert b"prometheus_config_last_reload_successful 1" in b.get("/metrics")[1], name
            assert b.value("up") == 1


def test_a_storm_of_reloads_is_a_few():
    with folder() as d, Target(text("m 1\n")) as t, Belfry(d, config({"a": t.address}), LIFECYCLE) as b:
        answers = []
        askers = [threading.Thread(target=lambda: answers.extend(b.request("POST", "/-/reload")[0] for _ in range(5)))
                  for _ in range(10)]
        for a in askers:
            a.start()
        for i in range(1000):
            b.proc.send_signal(signal.SIGHUP)
        for a in askers:
            a.join()
        assert answers == [200] * 50, answers
        assert b.alive() and jobs(b) == ["a"]
        wait_for(lambda: b.value("up") == 1, "up")


def test_changed_files_are_reloaded_by_themselves():
    flags = ("--enable-feature=auto-reload-config", "--config.auto-reload-interval=200ms")
    with folder() as d, Target(text("m 1\n")) as t:
        conf = "scrape_config_files: ['jobs/*.yml']\nrule_files: ['rules/*.yml']\n"
        os.mkdir(d + "/jobs")
        os.mkdir(d + "/rules")
        with Belfry(d, config({"a": t.address}) + conf, flags) as b:
            def loaded():
                return b.output().count("config_loaded")
            put(d + "/jobs/b.yml", "scrape_configs: [{job_name: b}]\n")
            wait_for(lambda: jobs(b) == ["a", "b"], "a new file")
            put(d + "/jobs/b.yml", "scrape_configs: [{job_name: c}]\n")
            wait_for(lambda: jobs(b) == ["a", "c"], "a changed file")
            count = loaded()
            put(d + "/rules/r.yml", "groups: []\n")
            wait_for(lambda: loaded() > count, "a rule file")
            os.unlink(d + "/jobs/b.yml")
            wait_for(lambda: jobs(b) == ["a"], "a file that is gone")
            put(d + "/prometheus.yml", "nonsense: 1\n")
            wait_for(lambda: b.api("status/runtimeinfo")["reloadConfigSuccess"] is False, "told")
            errors = b.output().count("config_error")
            count = loaded()
            time.sleep(1)
            assert b.output().count("config_error") == errors == 1, "a bad file is told once"
            put(d + "/prometheus.yml", config({"z": t.address}))
            wait_for(lambda: jobs(b) == ["z"], "good again")
            time.sleep(0.6)
            assert loaded() == count + 1


def test_100_reloads_cost_unchanged_targets_no_scrape():
    """A14: targets of files and of static_configs, a job beside them that changes, bad files in between."""
    reloads = max(20, int(100 * SCALE))
    with folder() as d, Fleet() as fleet:
        listed = list(range(300, 500))
        put(d + "/targets.json", json.dumps([{"targets": ["%d" % n for n in listed]}]))

        def conf(i):
            extra = "  file_sd_configs: [{files: [targets.json], refresh_interval: %ds}]\n" % (60 + i)
            extra += "- {job_name: other, static_configs: [{targets: ['127.0.0.1:1'], labels: {i: '%d'}}]}\n" % i
            return fleet.config(range(300), "1s", extra)
        with Belfry(d, conf(0), LIFECYCLE) as b:
            wait_for(lambda: b.value('count(up{job="fleet"})') == 500, "500 targets", 15)
            t0 = time.monotonic()
            for i in range(reloads):
                put(d + "/prometheus.yml", conf(i) if i % 10 else "bad: [")
                if i % 7 == 0:
                    put(d + "/targets.json", json.dumps([{"targets": ["%d" % n for n in listed]}]) + " " * i)
                assert b.request("POST", "/-/reload")[0] == (200 if i % 10 else 500)
                time.sleep(0.1)
            time.sleep(1.5)
            seconds = int(time.monotonic() - t0)
            missed = {}
            for s in b.query('up{job="fleet"}[%ds]' % seconds):
                at = [t for t, _ in s["values"]]
                gaps = [y - x for x, y in zip(at, at[1:])]
                if len(at) < seconds - 2 or max(gaps) >= 1.5:
                    missed[s["metric"]["instance"]] = gaps
            assert not missed, (len(missed), list(missed.items())[:3])
            assert b.value('count(up{job="fleet"} == 1)') == 500
            print("  %d reloads in %d s, 500 targets, 0 scrapes missed" % (reloads, seconds))


def test_unknown_fields_are_listed_and_passed_over_when_that_is_wished():
    with folder() as d, Target(text("m 1\n")) as t:
        conf = config({"a": t.address}) + "  futur: {x: 1}\n"
        with Belfry(d, conf, ready=False) as b:
            wait_for(lambda: not b.alive(), "refused")
            assert 'field "futur" is not known in a scrape job' in b.output(), b.output()
        with Belfry(d, conf, LIFECYCLE + ("--config.lenient",)) as b:
            wait_for(lambda: b.value("up") == 1, "up")
            assert b.output().count("is not known in a scrape job and has no effect") == 1, b.output()
            put(d + "/prometheus.yml", conf + "later: 1\n")
            assert b.request("POST", "/-/reload")[0] == 200
            wait_for(lambda: "is not known in the configuration and has no effect" in b.output(), "told again")
            put(d + "/prometheus.yml", conf + "  scheme: ftp\n")
            assert b.request("POST", "/-/reload")[0] == 500, "what is known must be right"
