# SPDX-License-Identifier: Apache-2.0
"""The server as a process: how it starts, what it weighs, how it takes signals and how it ends."""
import json
import os
import re
import signal
import socket
import threading
import time

from harness import BELFRY, Belfry, Target, config, folder, free_port, run, text, wait_for


def test_a_json_log_holds_the_reason_of_a_failed_start():
    with folder() as d, Belfry(d, config({"none": []})) as b:
        code, out, err = run(BELFRY, "server", "--storage.tsdb.path=" + d + "/other", "--log.format=json", "--config.file=" + d + "/prometheus.yml",
                             "--web.listen-address=127.0.0.1:%d" % b.port, timeout=20)
        lines = [json.loads(line) for line in err.splitlines()]
        assert code == 1 and lines[-1]["level"] == "error" and "already in use" in lines[-1]["detail"], (out, err)
        assert not os.path.exists(d + "/other")


def test_values_out_of_their_list_are_usage_errors():
    for flag in ("--log.format=xml", "--log.level=loud", "--web.max-connections=-1", "--storage.wal.sync=often"):
        code, _, err = run(BELFRY, "server", flag, "--web.listen-address=127.0.0.1:0", timeout=20)
        assert code == 2 and flag.split("=")[0] in err, (flag, code, err)


def test_an_empty_server_is_small():
    with folder() as d, Belfry(d, config({"none": []})) as b:
        with open("/proc/%d/status" % b.proc.pid) as f:
            rss = int(re.search(r"VmRSS:\s+(\d+) kB", f.read()).group(1))
        assert rss < 13 * 1000, "%d kB" % rss


def test_a_storm_of_reloads_leaves_the_last_configuration_in_force():
    with folder() as d, Target(text("a 1\n")) as t, Belfry(d, config({"t": t.address}, "200ms")) as b:
        wait_for(lambda: b.value("a") == 1, "a")
        path = d + "/prometheus.yml"
        good = config({"t": t.address, "u": t.address}, "200ms")
        for i in range(1000):
            if i % 100 == 50:
                with open(path + ".new", "w") as f:
                    f.write("nonsense: [" if i % 200 == 50 else good)
                os.rename(path + ".new", path)
            b.proc.send_signal(signal.SIGHUP)
        with open(path + ".new", "w") as f:
            f.write(good)
        os.rename(path + ".new", path)
        b.proc.send_signal(signal.SIGHUP)
        wait_for(lambda: b.api("status/runtimeinfo")["reloadConfigSuccess"] and b.value('up{job="u"}') == 1, "the last configuration")
        assert b.stop() == 0


def test_sigterm_under_load_ends_soon_and_cleanly():
    body = "".join('m{n="%d"} 1\n' % n for n in range(5000))
    with folder() as d, Target(text(body)) as t, Belfry(d, config({"t": t.address}, "200ms")) as b:
        wait_for(lambda: b.value("count(m)") == 5000, "m")
        stop, answered = threading.Event(), []

        def ask():
            while not stop.is_set():
                try:
                    answered.append(b.get("/api/v1/query", query="sum(rate(m[5m])) + sum by (n) (m)")[0])
                except (OSError, ValueError) as e:
                    answered.append(e)
                except Exception as e: # a connection that ends in the middle of an answer
                    answered.append(e)

        threads = [threading.Thread(target=ask) for _ in range(8)]
        for thread in threads:
            thread.start()
        wait_for(lambda: len(answered) > 20, "load")
        began = time.monotonic()
        code = b.stop(signal.SIGTERM, 15)
        took = time.monotonic() - began
        stop.set()
        for thread in threads:
            thread.join()
        assert code == 0 and took < 10, (code, took, b.output()[-1000:])
        assert "event=stopped" in b.output()


def test_a_port_of_a_bad_address_is_explained():
    for address, words in (("nowhere", "host:port"), ("127.0.0.1:99999", "65535"), ("::1:9090", "brackets"), ("no.such.host.invalid:1", "no.such.host")):
        code, _, err = run(BELFRY, "server", "--web.listen-address=" + address, "--storage.tsdb.path=/nonexistent/x", timeout=30)
        assert code == 1 and words in err, (address, code, err)


def test_a_data_folder_may_not_be_a_file_or_below_one():
    with folder() as d:
        open(d + "/f", "w").close()
        for path in (d + "/f", d + "/f/data", "/proc/no"):
            code, _, err = run(BELFRY, "server", "--web.listen-address=127.0.0.1:%d" % free_port(), "--storage.tsdb.path=" + path, cwd=d, timeout=20)
            assert code == 1 and err.count(path) == 1, (path, code, err)


def test_the_service_manager_is_told_of_start_reload_and_stop():
    with folder() as d, socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        path = os.path.join(d, "notify")
        manager.bind(path)
        manager.settimeout(15)
        os.environ["NOTIFY_SOCKET"] = path
        try:
            with Belfry(d, config({"none": []})) as b:
                assert manager.recv(200) == b"READY=1"
                b.proc.send_signal(signal.SIGHUP)
                reloading = manager.recv(200).split(b"\n")
                assert reloading[0] == b"RELOADING=1" and reloading[1].startswith(b"MONOTONIC_USEC="), reloading
                assert manager.recv(200) == b"READY=1"
                assert b.stop() == 0 and manager.recv(200) == b"STOPPING=1"
        finally:
            del os.environ["NOTIFY_SOCKET"]
