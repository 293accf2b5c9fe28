# SPDX-License-Identifier: Apache-2.0
"""Clients that want to do harm: smuggling, strange methods and paths, floods. Each is refused and the server goes on."""
import contextlib
import json
import os
import resource
import socket
import subprocess

from harness import BELFRY, Belfry, Skip, config, folder, free_port, run, wait_for

HOST = b"Host: x\r\n"


def request(target, method=b"GET", extra=b"", body=b""):
    return method + b" " + target + b" HTTP/1.1\r\n" + HOST + extra + b"\r\n" + body


@contextlib.contextmanager
def few_descriptors(count):
    """For the programs that are started inside: both limits, so that they cannot be raised."""
    start = subprocess.Popen
    subprocess.Popen = lambda argv, **more: start(
        argv, preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (count, count)), **more)
    try:
        yield
    finally:
        subprocess.Popen = start


def exchange(port, data, seconds=10):
    """What comes back until the server closes (True) or falls silent."""
    out = b""
    with socket.create_connection(("127.0.0.1", port), seconds) as s:
        try:
            s.sendall(data)
            while True:
                more = s.recv(65536)
                if not more:
                    return out, True
                out += more
        except (ConnectionResetError, BrokenPipeError):
            return out, True
        except socket.timeout:
            return out, False


REFUSED = [
    ("two lengths that agree", request(b"/api/v1/query", b"POST", b"Content-Length: 5\r\nContent-Length: 5\r\n", b"query"), 400),
    ("a list of lengths", request(b"/api/v1/query", b"POST", b"Content-Length: 5, 5\r\n", b"query"), 400),
    ("a signed length", request(b"/api/v1/query", b"POST", b"Content-Length: +5\r\n", b"query"), 400),
    ("a length beyond 64 bits", request(b"/api/v1/query", b"POST", b"Content-Length: 99999999999999999999\r\n"), 413),
    ("a length beside chunks", request(b"/api/v1/query", b"POST", b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n", b"0\r\n\r\n"), 400),
    ("a coding that is unknown", request(b"/api/v1/query", b"POST", b"Transfer-Encoding: xchunked\r\n", b"0\r\n\r\n"), 400),
    ("two codings", request(b"/api/v1/query", b"POST", b"Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n", b"0\r\n\r\n"), 400),
    ("a blank before the colon", request(b"/-/healthy", extra=b"X-A : a\r\n"), 400),
    ("an absolute target", request(b"http://evil.example/-/healthy"), 400),
    ("a proxy's CONNECT", request(b"evil.example:443", b"CONNECT"), 400),
    ("two hosts", request(b"/-/healthy", extra=b"Host: y\r\n"), 400),
    ("no host", b"GET /-/healthy HTTP/1.1\r\n\r\n", 400),
    ("the preface of HTTP/2", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 505),
    ("a PROXY header", b"PROXY TCP4 1.2.3.4 5.6.7.8 1 2\r\n" + request(b"/-/healthy"), 400),
    ("GETT", request(b"/-/healthy", b"GETT"), 405),
    ("TRACE", request(b"/-/healthy", b"TRACE"), 405),
    ("a method of 1 MB", b"A" * 1000000 + b" / HTTP/1.1\r\n\r\n", 414),
    ("dots", request(b"/../../etc/passwd"), 404),
    ("escaped dots", request(b"/%2e%2e%2fetc/passwd"), 404),
    ("a backslash", request(b"/public/..%2F%5cevil.example"), 404),
    ("two slashes", request(b"//evil.example"), 404),
    ("NUL in the path", request(b"/api/v1/query%00"), 400),
    ("overlong UTF-8", request(b"/assets/%c0%ae%c0%ae"), 400),
    ("a target of 70 KB", request(b"/api/v1/query?query=" + b"a" * 70000), 414),
    ("300 headers", request(b"/-/healthy", extra=b"X: a\r\n" * 300), 431),
    ("2 GB to a route", request(b"/api/v1/query", b"POST", b"Content-Length: 2147483648\r\n"), 413),
    ("2 GB to nowhere", request(b"/nowhere", b"POST", b"Content-Length: 2147483648\r\n"), 404),
    ("a control character in a header", request(b"/-/healthy", extra=b"X-A: a\x01b\r\n"), 400),
    ("a backslash after the slash", request(b"/\\evil.example"), 404),
    ("an escaped backslash", request(b"/..%5cevil.example"), 404),
    ("debug", request(b"/debug/pprof/heap"), 404),
    ("a login by GET", request(b"/logout"), 405),
    ("a quit by GET", request(b"/-/quit"), 405),
    ("a reload by GET", request(b"/-/reload"), 405),
    ("2 GB that waits to be wanted", request(b"/api/v1/query", b"POST", b"Content-Length: 2147483648\r\nExpect: 100-continue\r\n"), 413),
]


def test_what_means_two_things_or_too_much_is_refused_and_the_connection_ends():
    with folder() as d, Belfry(d, config({"none": []})) as b:
        for name, data, status in REFUSED:
            answer, closed = exchange(b.port, data)
            line = answer.split(b"\r\n")[0]
            assert line.startswith(b"HTTP/1.1 %d " % status) and closed, (name, line, closed)
            assert b"\r\nLocation:" not in answer and b"evil.example" not in answer, (name, answer)
        assert b.get("/-/healthy")[0] == 200


def test_errors_of_the_api_are_json_whoever_found_them():
    cases = [("GET", "/api/v1/nowhere", 404, "not_found"), ("DELETE", "/api/v1/query", 405, "bad_data"),
             ("GET", "/api/v1/query?query=%zz", 400, "bad_data"), ("GET", "/api/v1/%ff", 400, "bad_data"),
             ("GET", "/api/v1/query?query=" + "a" * 66000, 414, "bad_data")]
    with folder() as d, Belfry(d, config({"none": []})) as b:
        for method, path, status, kind in cases:
            code, body, headers = b.request(method, path)
            answer = json.loads(body)
            assert code == status and answer["status"] == "error" and answer["errorType"] == kind and answer["error"], (path[:40], code, body)
            assert headers["Content-Type"] == "application/json", headers
        assert b.get("/nowhere") == (404, b"404 page not found\n")


def test_a_pipeline_of_10000_requests_is_answered_whole():
    with folder() as d, Belfry(d, config({"none": []})) as b, socket.create_connection(("127.0.0.1", b.port), 30) as s:
        tail, count = b"", 0
        for batch in range(1, 101):
            s.sendall(request(b"/-/healthy") * 100)
            while count < 100 * batch:
                more = s.recv(1 << 20)
                assert more, "closed after %d answers" % count
                parts = (tail + more).split(b"Healthy.\n")
                count += len(parts) - 1
                tail = parts[-1]
        assert count == 10000 and tail == b""


def test_health_answers_when_idle_connections_take_every_place():
    with folder() as d, Belfry(d, config({"none": []}), flags=["--web.max-connections=20"]) as b:
        crowd = []
        try:
            for _ in range(300):
                s = socket.create_connection(("127.0.0.1", b.port), 10)
                s.sendall(request(b"/api/v1/labels"))
                crowd.append(s)
            wait_for(lambda: b.get("/-/healthy")[0] == 200, "health")
            wait_for(lambda: b.get("/api/v1/labels")[0] == 200, "a place for others")
        finally:
            for s in crowd:
                s.close()


def test_methods_and_paths_of_strangers_make_no_series():
    with folder() as d, Belfry(d, config({"none": []})) as b:
        for i in range(50):
            exchange(b.port, request(b"/stranger-%d" % i, b"METHOD%d" % i))
        body = b.get("/metrics")[1].decode()
        assert "METHOD" not in body and "stranger" not in body, body


def test_control_characters_of_a_path_do_not_reach_the_log():
    with folder() as d, Belfry(d, config({"none": []}), flags=["--log.level=debug"]) as b:
        exchange(b.port, request(b"/%0d%0aevent=forged%1b[31m"))
        exchange(b.port, request(b"/x", extra=b"User-Agent: a\x1b[31m\r\n"))
        exchange(b.port, b"\x1b[31m\r\n\r\n", 1)
        assert b.stop() == 0
        log = b.output()
        assert "\x1b" not in log and "\nevent=forged" not in log and all(line.startswith("ts=") for line in log.splitlines()), log


def test_connections_leave_descriptors_for_the_storage():
    with folder() as d, few_descriptors(100), Belfry(d, config({"none": []})) as b:
        crowd = []
        try:
            for _ in range(200):
                s = socket.create_connection(("127.0.0.1", b.port), 10)
                s.sendall(request(b"/-/healthy"))
                crowd.append(s)
            wait_for(lambda: b.get("/-/healthy")[0] == 200, "health")
            assert len(os.listdir("/proc/%d/fd" % b.proc.pid)) < 90
        finally:
            for s in crowd:
                s.close()
        assert "too many open files" not in b.output(), b.output()


def test_what_is_not_understood_is_passed_over():
    """Neither an upgrade nor a range nor somebody else's identity is believed."""
    asked = [b"Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAARAAAAAAAIAAAAA\r\n",
             b"Range: bytes=" + b"0-0," * 2000 + b"0-0\r\n", b"If-None-Match: " + b"\"x\"," * 500 + b"*\r\nIf-Modified-Since: never\r\n",
             b"X-Scope-OrgID: other\r\nX-Forwarded-User: admin\r\nX-Forwarded-Proto: https\r\n", b"X-HTTP-Method-Override: DELETE\r\n"]
    with folder() as d, Belfry(d, config({"none": []})) as b:
        for extra in asked:
            answer, _ = exchange(b.port, request(b"/-/healthy", extra=extra + b"Connection: close\r\n"))
            assert answer.startswith(b"HTTP/1.1 200 ") and answer.endswith(b"Healthy.\n") and b"101 " not in answer, (extra[:40], answer)
        hello = b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"a" * 64 + b"\r\n\r\n"  # TLS on a plain port
        answer, closed = exchange(b.port, hello)
        assert closed and b" 200 " not in answer, answer
        # a length that the library does not see, folded over two lines: what follows is no second request
        for folded in (b"Content-Length: 70\r\n 0\r\n", b"Content-Length:\r\n 70\r\n"):
            inner = request(b"/-/healthy", extra=b"Connection: close\r\n")
            answer, closed = exchange(b.port, request(b"/api/v1/query?query=1", b"POST", folded) + inner)
            assert closed and b"Healthy" not in answer, (folded, answer)
        # a bare line feed ends a line for the library: one request, one answer
        answer, _ = exchange(b.port, b"GET /-/healthy HTTP/1.1\nHost: x\nConnection: close\n\n")
        assert answer.count(b"HTTP/1.1 ") == 1, answer


def test_a_request_that_does_not_come_ends_and_says_nothing():
    with folder() as d, Belfry(d, config({"none": []}), flags=["--web.read-timeout=1s"]) as b:
        for start in (b"", b"GET /-/healthy HTTP/1.1\r\nHost: x\r\n", b"POST /api/v1/query HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\nquery"):
            answer, closed = exchange(b.port, start, 10)
            assert closed and b" 200 " not in answer, (start, answer)


def test_one_address_takes_half_of_the_places():
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
        try:
            s.connect(("192.0.2.1", 9))
            address = s.getsockname()[0]
        except OSError:
            raise Skip("no other address than loopback")
    if address.startswith("127."):
        raise Skip("no other address than loopback")
    port = free_port()
    with folder() as d, Belfry(d, config({"none": []}), flags=["--web.max-connections=20", "--web.listen-address=%s:%d" % (address, port)]) as b:
        crowd = []
        try:
            for _ in range(60):
                s = socket.create_connection((address, port), 10)
                s.sendall(request(b"/-/healthy"))
                assert s.recv(1000)
                crowd.append(s)

            def alive():
                count = 0
                for s in crowd:
                    s.setblocking(False)
                    try:
                        count += s.recv(10) != b""
                    except BlockingIOError:
                        count += 1
                    except OSError:
                        pass
                return count
            wait_for(lambda: alive() <= 20, "half of the places of two listeners")
            assert alive() >= 10 and b.get("/api/v1/labels")[0] == 200
        finally:
            for s in crowd:
                s.close()


def test_a_name_with_line_ends_does_not_forge_the_log():
    with folder() as d, Belfry(d, config({"none": []})) as b:
        code, _, err = run(BELFRY, "user", "add", "zoe", "--storage.tsdb.path=" + os.path.join(d, "data"), stdin="secret-pw\n")
        assert code == 0, err
        body = "user=a%0Alevel%3Derror%20event%3Dforged%1B%5B31m&password=wrong-one"
        assert b.request("POST", "/login", body, {"Content-Type": "application/x-www-form-urlencoded"})[0] == 401
        line = wait_for(lambda: [x for x in b.output().splitlines() if "event=login_failed" in x], "log")
        assert "\x1b" not in b.output() and not any(x.startswith("level=") for x in b.output().splitlines()), line
        # nobody's body is read before he is known
        answer, closed = exchange(b.port, request(b"/api/v1/query", b"POST", b"Content-Length: 1000000\r\n"))
        assert answer.startswith(b"HTTP/1.1 401 ") and closed, answer
