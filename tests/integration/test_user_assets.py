# SPDX-License-Identifier: Apache-2.0
"""--web.user-assets: the operator's own files below /user/, and nothing else of the disk."""
import os
import socket

from harness import BELFRY, Belfry, folder, need, run, wait_for, Process, free_port


def make(d):
    os.makedirs(d + "/assets/runbooks/..data")
    os.makedirs(d + "/assets/.git")
    for name, content in (("assets/runbooks/Down.md", "# Down\n"), ("assets/a b.txt", "blank"), ("assets/page.html", "<p>"),
                          ("assets/runbooks/..data/Linked.md", "linked"), ("assets/.git/config", "hidden"), ("outside", "secret")):
        with open(d + "/" + name, "w") as f:
            f.write(content)
    os.symlink("..data/Linked.md", d + "/assets/runbooks/Linked.md")  # as Kubernetes mounts a ConfigMap
    os.mkfifo(d + "/assets/pipe")


def raw(port, target):
    """The status of a request whose target no client has tidied."""
    with socket.create_connection(("127.0.0.1", port), timeout=30) as s:
        s.sendall(b"GET " + target.encode() + b" HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
        answer = b""
        while True:
            piece = s.recv(65536)
            if not piece:
                return int(answer.split()[1]), answer
            answer += piece


def test_files_are_shown_with_their_type():
    with folder() as d:
        make(d)
        with Belfry(d, "", flags=["--web.user-assets=" + d + "/assets"]) as b:
            for path, content, kind in (("runbooks/Down.md", b"# Down\n", "text/plain"), ("a%20b.txt", b"blank", "text/plain"),
                                        ("page.html", b"<p>", "text/html"), ("runbooks/Linked.md", b"linked", "text/plain")):
                status, body, headers = b.request("GET", "/user/" + path)
                assert (status, body) == (200, content) and headers["Content-Type"].startswith(kind), (path, status, headers)
                assert headers["X-Content-Type-Options"] == "nosniff" and "script-src 'self'" in headers["Content-Security-Policy"]
            os.rename(d + "/assets/page.html", d + "/assets/other.html")
            assert b.get("/user/page.html")[0] == 404 and b.get("/user/other.html")[0] == 200


def test_nothing_else_of_the_disk_is_shown():
    with folder() as d:
        make(d)
        with Belfry(d, "", flags=["--web.user-assets=" + d + "/assets"]) as b:
            for target in ("../outside", "runbooks/../../outside", "..%2foutside", "%2e%2e/outside", "%2e%2e%2foutside",
                           "/" + d + "/outside", "//" + d + "/outside", ".git/config", "runbooks/..data/Linked.md", "", "runbooks",
                           "runbooks/", ".", "..", "pipe", "missing", "runbooks/Down.md/", "a%00b", "%ff", "%zz", "x" * 5000,
                           "runbooks//Down.md", "..\\outside"):
                status, answer = raw(b.port, "/user/" + target)
                assert status in (400, 404) and b"secret" not in answer and b"hidden" not in answer, (target, answer)
            assert raw(b.port, "/user/runbooks/Down.md")[0] == 200


def test_without_the_flag_there_is_nothing():
    with folder() as d:
        with Belfry(d, "") as b:
            assert b.get("/user/x")[0] == 404
        code, out, err = run(BELFRY, "server", "--storage.tsdb.path=" + d + "/data", "--web.user-assets=" + d + "/none")
        assert code == 2 and '--web.user-assets": "%s/none" is no folder' % d in err, (code, out, err)


def test_prometheus_shows_the_same():
    prometheus = need("prometheus")
    with folder() as d:
        make(d)
        with open(d + "/prometheus.yml", "w") as f:
            f.write("")
        port = free_port()
        argv = [prometheus, "--config.file=prometheus.yml", "--storage.tsdb.path=" + d + "/peer", "--web.user-assets=assets",
                "--web.listen-address=127.0.0.1:%d" % port]
        with Process(argv, d, name="prometheus"), Belfry(d, "", flags=["--web.user-assets=" + d + "/assets"]) as b:
            wait_for(lambda: raw(port, "/-/ready")[0] == 200, "Prometheus is ready", 60)
            for path in ("runbooks/Down.md", "a%20b.txt", "runbooks/Linked.md", "missing"):
                theirs, ours = raw(port, "/user/" + path), raw(b.port, "/user/" + path)
                assert theirs[0] == ours[0], (path, theirs, ours)
                assert theirs[0] != 200 or theirs[1].split(b"\r\n\r\n")[1] == ours[1].split(b"\r\n\r\n")[1], path
