# SPDX-License-Identifier: Apache-2.0
"""The server's confinement: what it must not be able to do, and that it goes on doing what it must."""
import json
import os
import signal
import time

from harness import BELFRY, Belfry, Skip, Target, config, folder, run, text, wait_for


def confinement():
    """(files, calls) as this kernel and this build (one with a sanitizer less) allow them."""
    out = run(BELFRY, "check", "sandbox")[1]
    return "files: Landlock" in out, "calls: seccomp" in out


def test_each_promise_holds_where_the_kernel_can_keep_it():
    code, out, err = run(BELFRY, "check", "sandbox")
    assert "NOT as promised" not in out and not err, out
    files, calls = confinement()
    assert (code == 0) == (files and calls), out
    if files:
        assert "refused         writes elsewhere" in out, out
    if calls:
        for what in ("runs programs", "makes processes", "traces", "opens raw sockets", "has memory to write and run"):
            assert "refused         " + what in out, out
    for what in ("writes in the data folder", "reads files elsewhere", "starts threads", "resolves names"):
        assert "works           " + what in out, out


def test_every_thread_is_confined_and_the_flag_switches_it_off():
    files, calls = confinement()
    if not calls:
        raise Skip("no seccomp here")

    def threads(b):
        root = "/proc/%d/task" % b.proc.pid
        found = []
        for task in os.listdir(root):
            with open(os.path.join(root, task, "status")) as f:
                found.append(dict(line.split(":\t", 1) for line in f.read().splitlines() if ":\t" in line))
        return found
    with folder() as d, Belfry(d, config({"none": []})) as b:
        wait_for(lambda: "event=sandbox" in b.output(), "log")
        all_of_them = threads(b)
        assert len(all_of_them) > 5
        assert all(t["Seccomp"] == "2" and t["NoNewPrivs"] == "1" for t in all_of_them), all_of_them
    with folder() as d, Belfry(d, config({"none": []}), flags=["--sandbox=off"]) as b:
        assert all(t["Seccomp"] == "0" for t in threads(b)) and "event=sandbox" not in b.output()
    code, _, err = run(BELFRY, "server", "--sandbox=perhaps", "--web.listen-address=127.0.0.1:0")
    assert code == 2 and "neither on nor off" in err


def test_what_a_confined_server_must_go_on_doing():
    """Reloads from anywhere, new files it is told of, a query log beside the data, names to resolve, users, compaction."""
    with folder() as d, folder() as elsewhere, Target(text("a 1\n")) as target:
        log = os.path.join(elsewhere, "queries.log")

        def settings(jobs):
            return config(jobs).replace("global:", "global:\n  query_log_file: %s" % log)
        secret = os.path.join(elsewhere, "password")
        with open(secret, "w") as f:
            f.write("x")
        with Belfry(d, settings({"one": target.address})) as b:
            wait_for(lambda: b.value('up{job="one"}') == 1, "scrape")
            with open(log) as f:
                assert json.loads(f.readline())["params"]["query"]
            job = "\n  basic_auth: {username: u, password_file: %s}\n" % secret
            with open(os.path.join(d, "prometheus.yml"), "w") as f:
                f.write(settings({"two": "localhost:%d" % target.port}).rstrip() + job)
            os.rename(log, log + ".1")
            b.proc.send_signal(signal.SIGHUP)
            wait_for(lambda: b.value('up{job="two"}') == 1, "scrape of a name, with a password from a file")
            assert os.path.getsize(log) > 0
            code, _, err = run(BELFRY, "user", "add", "zoe", "--storage.tsdb.path=" + os.path.join(d, "data"), stdin="secret-pw\n")
            assert code == 0, err
            assert b.get("/metrics")[0] == 401
            status, _, got = b.request("POST", "/login", "user=zoe&password=secret-pw", {"Content-Type": "application/x-www-form-urlencoded"})
            assert status == 303
            session = {"Cookie": got["Set-Cookie"].split(";")[0]}
            assert b.request("GET", "/metrics/host", headers=session)[0] == 200
            assert "level=error" not in b.output(), b.output()
            assert b.stop() == 0
        with Belfry(d, settings({"two": target.address})) as b:  # what it wrote is read again
            assert b.request("GET", "/metrics", headers=session)[0] == 200


def test_a_log_in_another_folder_is_refused_with_a_reason():
    files, _ = confinement()
    if not files:
        raise Skip("no Landlock here")
    with folder() as d, folder() as elsewhere, Belfry(d, config({"none": []})) as b:
        with open(os.path.join(d, "prometheus.yml"), "w") as f:
            f.write(config({"none": []}).replace("global:", "global:\n  query_log_file: %s/q.log" % elsewhere))
        b.proc.send_signal(signal.SIGHUP)
        line = wait_for(lambda: [x for x in b.output().splitlines() if "permission denied" in x], "refusal")
        assert "q.log" in line[0], line
        time.sleep(0.1)
        assert b.get("/-/ready")[0] == 200 and not os.listdir(elsewhere)
