# SPDX-License-Identifier: Apache-2.0
"""The service kit through a small real service (tests/service/kit_echo.c): each rule that all services share is a row or a
test here. Ports are chosen by the kernel and read from the log; waiting is for facts."""
import contextlib
import gzip
import http.server
import json
import os
import re
import signal
import socket
import subprocess
import threading
import time

from harness import Process, Skip, TOP, Target, folder, need, run, wait_for

KIT = os.environ.get("KIT_ECHO", os.path.join(TOP, "build/release/tests/service/kit_echo"))
TS = re.compile(r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z$")
HTTP_KEYS = ["ts", "level", "event", "request_id", "endpoint", "method", "status_code", "duration_ms", "success",
             "error_code", "bytes_in", "bytes_out"]
ID = re.compile(r"^[0-9a-f]{8}$")


def clean_env(extra):
    keep = {k: v for k, v in os.environ.items() if not k.lower().endswith("_proxy") and not k.startswith("KIT_")}
    return {**keep, **extra}


class Kit(Process):
    """One kit_echo on ports of the kernel's choice."""

    def __init__(self, cwd, flags=(), metrics=False, **env):
        if not os.path.exists(KIT):
            raise Skip("kit_echo is not built")
        env = {"KIT_BIND": "127.0.0.1:0", "KIT_DATA_DIR": os.path.join(cwd, "data"), "READY_MIN_DISK_BYTES": "1",
               "READY_MAX_MEM_RATIO": "1", **({"KIT_METRICS_BIND": "127.0.0.1:0"} if metrics else {}), **env}
        self.log_path = os.path.join(cwd, "kit-%d.log" % time.monotonic_ns())
        self.log = open(self.log_path, "wb")
        self.proc = subprocess.Popen([KIT, *flags], cwd=cwd, env=clean_env(env), stdin=subprocess.DEVNULL,
                                     stdout=self.log, stderr=self.log)
        started = wait_for(lambda: self.events("service_started") or not self.alive(), "start")
        assert started is not True, self.output()
        self.ports = [int(a.rsplit(":", 1)[1]) for a in started[0]["addresses"].split(",")]
        self.port = self.ports[0]

    def events(self, name=None):
        out = []
        for line in self.output().splitlines():
            if line.endswith("}"):
                event = json.loads(line)
                if name is None or event["event"] == name:
                    out.append(event)
        return out

    def talk(self, data, port=None, seconds=20):
        """Everything the service says until it closes."""
        with socket.create_connection(("127.0.0.1", port or self.port), seconds) as s:
            s.settimeout(seconds)
            got = b""
            with contextlib.suppress(ConnectionError):
                s.sendall(data)
            with contextlib.suppress(ConnectionError):
                while True:
                    piece = s.recv(65536)
                    if not piece:
                        break
                    got += piece
            return got

    def ask(self, method, path, body=b"", headers=(), port=None):
        """(status, headers in lower case, body) of one request."""
        head = "%s %s HTTP/1.1\r\nHost: x\r\nConnection: close\r\n" % (method, path)
        head += "".join("%s: %s\r\n" % h for h in headers)
        if body or method in ("POST", "PUT", "PATCH"):
            head += "Content-Length: %d\r\n" % len(body)
        return parse(self.talk(head.encode() + b"\r\n" + body, port))


def parse(raw):
    head, _, body = raw.partition(b"\r\n\r\n")
    lines = head.decode("latin-1").split("\r\n")
    headers = {}
    for line in lines[1:]:
        name, _, value = line.partition(": ")
        headers[name.lower()] = value
    if headers.get("transfer-encoding") == "chunked":
        whole, rest = b"", body
        while rest:
            size, _, rest = rest.partition(b"\r\n")
            n = int(size, 16)
            whole, rest = whole + rest[:n], rest[n + 2:]
        body = whole
    return int(lines[0].split(" ")[1]), headers, body


def last_request(kit, endpoint=None):
    """The newest http_request line, once there is one more than before the call that made it."""
    return [e for e in kit.events("http_request") if endpoint is None or e["endpoint"] == endpoint][-1]


# ---- 1.1: configuration ----

def config(cwd, env, flags=()):
    p = subprocess.run([KIT, *flags], cwd=cwd, env=clean_env(env), capture_output=True, text=True, timeout=30)
    return p.returncode, p.stdout, p.stderr


def test_a_malformed_value_ends_with_2_and_one_line_that_names_it():
    rows = [  # variable, value, what is expected, shown value (None = as it is)
        ("KIT_BIND", "nowhere", "host:port", None),
        ("KIT_SLOW_MS", "1s", "milliseconds", None),
        ("KIT_SLOW_MS", "60001", "from 0 to 60000", None),
        ("KIT_MAX_UPLOAD_SIZE", "1TB", "KiB", None),
        ("KIT_MAX_UPLOAD_SIZE", "0", "from 1", None),
        ("KIT_WORKERS", "0", "from 1 to 64", None),
        ("KIT_WORKERS", "two", "whole number", None),
        ("KIT_STRICT", "maybe", "true", None),
        ("KIT_MODE", "quiet", "plain | loud", None),
        ("KIT_MODE", "loud", "plain while KIT_STRICT", None),
        ("LOG_LEVEL", "noisy", "debug", None),
        ("LOG_FORMAT", "xml", "json | text", None),
        ("SHUTDOWN_GRACE_SECONDS", "-1", "seconds", None),
        ("READY_MAX_MEM_RATIO", "2", "from 0.01 to 1", None),
        ("TLS_CERT_FILE", "/nonexistent", "TLS_CERT_FILE", "TLS_KEY_FILE"),
    ]
    with folder() as cwd:
        if not os.path.exists(KIT):
            raise Skip("kit_echo is not built")
        for variable, value, expected, _ in rows:
            for flags in ((), ("--check-config",)):
                code, out, err = config(cwd, {variable: value, "KIT_TOKEN": "hunter2"}, flags)
                lines = out.splitlines()
                assert code == 2 and len(lines) == 1 and err == "", (variable, value, code, out, err)
                e = json.loads(lines[0])
                assert list(e)[:4] == ["ts", "level", "event", "request_id"] and e["event"] == "config_error", e
                assert expected in e["expected"], e
                if variable != "TLS_CERT_FILE":
                    assert (e["variable"], e["value"]) == (variable, value), e
                assert "hunter2" not in out
        code, out, _ = config(cwd, {"KIT_WORKERS": "x", "LOG_FORMAT": "text"})
        assert code == 2 and re.match(r"^ts=\S+ level=error event=config_error request_id=\S* variable=KIT_WORKERS value=x ", out), out
        code, out, _ = config(cwd, {}, ("--env-file", "/nonexistent"))
        assert code == 2 and json.loads(out)["event"] == "config_error", out
        code, out, err = config(cwd, {}, ("--wrong",))
        assert code == 2 and "--wrong" in err and out == "", (code, out, err)


def test_settings_are_shown_with_defaults_and_without_secrets():
    with folder() as cwd:
        if not os.path.exists(KIT):
            raise Skip("kit_echo is not built")
        with open(os.path.join(cwd, "env"), "w") as f:
            f.write("# test\nKIT_WORKERS=7\nexport KIT_TOKEN='hunter2'\nKIT_BIND=9000\n")
        code, out, _ = config(cwd, {"KIT_BIND": ":8", "KIT_SLOW_MS": "", "HTTP_PROXY": "http://u:hunter2@p:1"},
                              ("--check-config", "--env-file=env"))
        shown = json.loads(out)
        assert code == 0 and out.endswith("}\n") and out.count("\n") == 1 and "hunter2" not in out, out
        assert shown["KIT_WORKERS"] == 7 and shown["KIT_TOKEN"] == "***" and shown["KIT_BIND"] == ":8"
        assert shown["KIT_SLOW_MS"] == 1000 and shown["KIT_MAX_UPLOAD_SIZE"] == 1048576
        assert shown["KIT_METRICS_BIND"] is None and shown["HTTP_PROXY"] == "***"
        code, out, _ = config(cwd, {}, ("--help",))
        assert code == 0
        for name in list(shown) + ["--env-file", "--check-config", "--version", "--loud", "0.0.0.0:3000"]:
            assert name in out, name
        code, out, _ = config(cwd, {}, ("--version",))
        assert code == 0 and re.match(r"^kit-echo \d+\.\d+\.\d+\n$", out), out
        code, out, _ = config(cwd, {"KIT_STRICT": "off"}, ("--loud", "--check-config"))
        assert code == 0 and json.loads(out)["KIT_MODE"] == "loud"
        code, out, _ = config(cwd, {"KIT_DATA_DIR": "d"}, ("dir", "x"))
        assert (code, out) == (0, "d 1\n"), out


def test_unknown_variables_of_its_own_are_warned_of():
    with folder() as cwd, Kit(cwd, KIT_SLOW_M="1", OTHER="1") as kit:
        warned = kit.events("config_unknown_variable")
        assert [(e["level"], e["variable"], e["did_you_mean"]) for e in warned] == \
            [("warn", "KIT_SLOW_M", "KIT_SLOW_MS")], warned


def test_a_port_that_is_taken_is_fatal_also_for_metrics():
    with folder() as cwd, socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        address = "127.0.0.1:%d" % taken.getsockname()[1]
        if not os.path.exists(KIT):
            raise Skip("kit_echo is not built")
        for env in ({"KIT_BIND": address}, {"KIT_BIND": "127.0.0.1:0", "KIT_METRICS_BIND": address}):
            code, out, _ = config(cwd, env)
            events = [json.loads(line) for line in out.splitlines()]
            assert code == 1 and events[0]["event"] == "service_failed" and address in events[0]["detail"], out


# ---- 1.1: the end ----

def test_sigterm_lets_work_end_and_a_second_one_does_not():
    with folder() as cwd, Kit(cwd, KIT_SLOW_MS="60000", SHUTDOWN_GRACE_SECONDS="60") as kit:
        answers = []
        kept = socket.create_connection(("127.0.0.1", kit.port))
        kept.sendall(b"GET /health HTTP/1.1\r\nHost: x\r\n\r\n")
        assert kept.recv(4096).startswith(b"HTTP/1.1 200")
        t = threading.Thread(target=lambda: answers.append(kit.ask("GET", "/slow")))
        t.start()
        wait_for(lambda: json.loads(kit.ask("GET", "/ready")[2])["active_requests"] == 1, "the slow request")
        kit.proc.send_signal(signal.SIGTERM)
        wait_for(lambda: kit.events("draining"), "draining")
        kept.sendall(b"GET /ready HTTP/1.1\r\nHost: x\r\n\r\n")
        assert kept.recv(4096).startswith(b"HTTP/1.1 503"), "ready while stopping"
        kept.close()
        wait_for(lambda: refused(kit.port), "no new connections")
        open(os.path.join(cwd, "data", "release"), "w").close()
        t.join(30)
        assert answers and answers[0][0] == 200 and answers[0][2] == b'{"success":false}\n', answers
        assert kit.proc.wait(20) == 0
        names = [e["event"] for e in kit.events()]
        assert names.index("service_stopping") < names.index("slow_done") < names.index("service_stopped"), names
    with folder() as cwd, Kit(cwd, KIT_SLOW_MS="60000", SHUTDOWN_GRACE_SECONDS="60") as kit:
        threading.Thread(target=lambda: leave_slow(kit), daemon=True).start()
        wait_for(lambda: json.loads(kit.ask("GET", "/ready")[2])["active_requests"] == 1, "the slow request")
        kit.proc.send_signal(signal.SIGINT)
        wait_for(lambda: kit.events("service_stopping"), "stopping")
        kit.proc.send_signal(signal.SIGTERM)
        assert kit.proc.wait(20) == 1


def leave_slow(kit):
    """A slow request whose answer nobody needs."""
    with contextlib.suppress(OSError):
        kit.talk(b"GET /slow HTTP/1.1\r\nHost: x\r\n\r\n", seconds=90)


def refused(port):
    """A connection that is made is closed unanswered."""
    try:
        with socket.create_connection(("127.0.0.1", port), 5) as s:
            s.sendall(b"GET /health HTTP/1.1\r\nHost: x\r\n\r\n")
            return s.recv(100) == b""
    except ConnectionError:
        return True


def test_work_that_does_not_end_is_cancelled_after_the_grace():
    with folder() as cwd, Kit(cwd, KIT_SLOW_MS="60000", SHUTDOWN_GRACE_SECONDS="0.3") as kit:
        threading.Thread(target=lambda: leave_slow(kit), daemon=True).start()
        wait_for(lambda: json.loads(kit.ask("GET", "/ready")[2])["active_requests"] == 1, "the slow request")
        kit.proc.send_signal(signal.SIGTERM)
        assert kit.proc.wait(20) == 0
        assert kit.events("slow_done")[0]["canceled"] is True


def test_a_service_may_end_by_itself():
    with folder() as cwd:
        if not os.path.exists(KIT):
            raise Skip("kit_echo is not built")
        code, out, err = config(cwd, {"KIT_BIND": "127.0.0.1:0"}, ("--once",))
        events = [json.loads(line) for line in out.splitlines()]
        assert code == 0 and err == "", (code, err)
        assert [e["event"] for e in events if e["event"].startswith("service_")] == \
            ["service_started", "service_stopping", "service_stopped"], out
        assert [e["signal"] for e in events if e["event"] == "service_stopping"] == [None]


def test_sighup_reloads_and_sigpipe_is_nothing():
    with folder() as cwd, Kit(cwd) as kit:
        kit.proc.send_signal(signal.SIGPIPE)
        kit.proc.send_signal(signal.SIGUSR2)
        kit.proc.send_signal(signal.SIGHUP)
        wait_for(lambda: json.loads(kit.ask("GET", "/rest/a/b")[2]) == {"rest": "a/b", "reloads": 1}, "a reload")
        assert kit.stop() == 0


# ---- 1.2: HTTP ----

H = b"Host: x\r\nConnection: close\r\n"
LONG = b"a" * 16300


def exchanges():
    """(name, bytes sent, status, words in the answer)"""
    post = b"POST /echo HTTP/1.1\r\n" + H
    return [
        ("JSON is compact and ends with a newline", post + b"Content-Length: 9\r\n\r\n{ \"a\": 1}", 200,
         [b'{"success":true,"echo":{"a":1},"request_id":"', b'"}\n']),
        ("what every answer carries", b"GET /health HTTP/1.1\r\n" + H + b"\r\n", 200,
         [b"X-Request-Id: ", b"X-Content-Type-Options: nosniff", b"Server: belfry-kit-echo/"]),
        ("and every error", b"GET /nothing HTTP/1.1\r\n" + H + b"\r\n", 404,
         [b"X-Request-Id: ", b"X-Content-Type-Options: nosniff", b"Server: belfry-kit-echo/",
          b'{"error":"not_found","message":"not found","request_id":"']),
        ("HEAD of a GET", b"HEAD /big?bytes=2000 HTTP/1.1\r\n" + H + b"\r\n", 200, [b"Content-Length: 2000\r\n"]),
        ("HTTP/1.0", b"GET /health HTTP/1.0\r\n\r\n", 200, [b"healthy"]),
        ("unknown method", b"BREW /echo HTTP/1.1\r\n" + H + b"\r\n", 501, [b'"not_implemented"']),
        ("method not allowed", b"DELETE /echo HTTP/1.1\r\n" + H + b"\r\n", 405, [b"Allow: POST\r\n"]),
        ("method not allowed where GET is", b"POST /slow HTTP/1.1\r\n" + H + b"Content-Length: 0\r\n\r\n", 405,
         [b"Allow: GET, HEAD\r\n"]),
        ("a long line", b"GET /rest/" + LONG + b"bcd HTTP/1.1\r\n" + H + b"\r\n", 200, [b"abcd"]),
        ("a line too long", b"GET /rest/" + LONG + b"a" * 100 + b" HTTP/1.1\r\n" + H + b"\r\n", 414,
         [b'"uri_too_long"', b"X-Request-Id: "]),
        ("long headers", b"GET /health HTTP/1.1\r\n" + H + b"X: " + LONG + b"\r\n\r\n", 200, []),
        ("headers too long", b"GET /health HTTP/1.1\r\n" + H + b"X: " + LONG + b"a" * 100 + b"\r\n\r\n", 431,
         [b'"headers_too_large"']),
        ("too many headers", b"GET /health HTTP/1.1\r\n" + H + b"X: y\r\n" * 99 + b"\r\n", 431, []),
        ("a body too long is refused unread", post + b"Content-Length: 65537\r\n\r\n", 413, [b'"payload_too_large"']),
        ("chunks too long", post + b"Transfer-Encoding: chunked\r\n\r\n10001\r\n" + b" " * 65537 + b"\r\n0\r\n\r\n", 413, []),
        ("chunks", post + b"Transfer-Encoding: chunked\r\n\r\n2\r\n[1\r\n1\r\n]\r\n0\r\n\r\n", 200, [b'"echo":[1]']),
        ("Expect: 100-continue", post + b"Expect: 100-continue\r\nContent-Length: 2\r\n\r\n[]", 100, [b"HTTP/1.1 200"]),
        ("length and chunks", post + b"Content-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\nGET /slow", 400, []),
        ("two lengths", post + b"Content-Length: 2\r\nContent-Length: 3\r\n\r\n[] ", 400, []),
        ("a negative length", post + b"Content-Length: -1\r\n\r\n", 400, []),
        ("a length past 64 bits", post + b"Content-Length: 99999999999999999999\r\n\r\n", 413, []),
        ("no number", post + b"Content-Length: x\r\n\r\n", 400, []),
        ("a coding that is none", post + b"Transfer-Encoding: gzip\r\n\r\n", 400, []),
        ("a control character", b"GET /health HTTP/1.1\r\n" + H + b"X: a\x01b\r\n\r\n", 400, []),
        ("NUL in the path", b"GET /he%00lth HTTP/1.1\r\n" + H + b"\r\n", 400, []),
        ("invalid UTF-8 in the path", b"GET /he%fflth HTTP/1.1\r\n" + H + b"\r\n", 400, []),
        ("no path", b"GET health HTTP/1.1\r\n" + H + b"\r\n", 400, []),
        ("a version that is none", b"GET /health HTTP/3.0\r\n" + H + b"\r\n", 505, []),
        ("not JSON", post + b"Content-Length: 3\r\n\r\n{a}", 400, [b'"invalid_json"']),
        ("NUL in JSON", post + b"Content-Length: 3\r\n\r\n\"\x00\"", 400, [b'"invalid_json"']),
        ("invalid UTF-8 in JSON", post + b"Content-Length: 3\r\n\r\n\"\xff\"", 400, [b'"invalid_json"']),
        ("duplicate keys", post + b"Content-Length: 13\r\n\r\n{\"a\":1,\"a\":2}", 200, [b'"echo":{"a":2}']),
        ("JSON 64 deep", post + b"Content-Length: 128\r\n\r\n" + b"[" * 64 + b"]" * 64, 200, []),
        ("JSON 65 deep", post + b"Content-Length: 130\r\n\r\n" + b"[" * 65 + b"]" * 65, 400, [b'"invalid_json"']),
        ("JSON very deep", post + b"Content-Length: 60000\r\n\r\n" + b"[" * 60000, 400, [b'"invalid_json"']),
        ("a number past 2^53", post + b"Content-Length: 16\r\n\r\n9007199254740993", 200, [b"9007199254740993"]),
        ("a number past 2^64", post + b"Content-Length: 20\r\n\r\n99999999999999999999", 400, [b'"invalid_json"']),
    ]


def test_each_request_of_the_table_is_answered_as_the_rules_say():
    with folder() as cwd, Kit(cwd) as kit:
        for name, sent, status, words in exchanges():
            got = kit.talk(sent)
            assert re.match(rb"HTTP/1\.[01] %d " % status, got), (name, got[:300])
            for word in words:
                assert word in got, (name, word, got[-600:])
            assert got.count(b" 200 OK\r\n") == (status in (100, 200)), (name, got[:500])
        assert kit.ask("GET", "/health")[0] == 200 and kit.stop() == 0


def test_the_answer_of_79_bytes_is_counted_as_79():
    with folder() as cwd, Kit(cwd) as kit:
        body = b'{"job_id":"job_c298c805","status":"queued"}'
        status, headers, got = kit.ask("PATCH", "/private", body)
        assert (status, got) == (200, body + b"\n") and headers["content-length"] == str(len(body) + 1)
        wait_for(lambda: kit.events("http_request"), "its line")
        assert last_request(kit)["bytes_out"] == len(body) + 1 and last_request(kit)["bytes_in"] == len(body)


def test_pipelined_requests_are_answered_in_order():
    with folder() as cwd, Kit(cwd) as kit:
        sent = b"".join(b"GET /rest/%d HTTP/1.1\r\nHost: x\r\n%s\r\n" % (i, b"Connection: close\r\n" if i == 49 else b"")
                        for i in range(50))
        got = kit.talk(sent)
        assert re.findall(rb'"rest":"(\d+)"', got) == [b"%d" % i for i in range(50)], got[-500:]


def test_answers_are_compressed_from_1_kib_when_asked():
    with folder() as cwd, Kit(cwd) as kit:
        for size, asked, packed in ((1024, True, True), (1023, True, False), (2000, False, False), (60000, True, True)):
            headers = [("Accept-Encoding", "gzip")] if asked else []
            status, got, body = kit.ask("GET", "/big?bytes=%d" % size, headers=headers)
            assert status == 200 and (got.get("content-encoding") == "gzip") == packed, (size, got)
            assert len(gzip.decompress(body) if packed else body) == size, size
        for accept in ("", "application/openmetrics-text"):
            _, got, body = kit.ask("GET", "/metrics", headers=[("Accept-Encoding", "gzip"), ("Accept", accept)])
            assert got["content-encoding"] == "gzip" and b"process_cpu_seconds_total" in gzip.decompress(body), got


def test_curl_speaks_with_it():
    curl = need("curl")
    with folder() as cwd, Kit(cwd) as kit:
        url = "http://127.0.0.1:%d" % kit.port
        code, out, err = run(curl, "-sS", "--compressed", "-d", '{"n":"ü"}', url + "/echo")
        assert code == 0 and json.loads(out)["echo"] == {"n": "ü"}, (out, err)
        path = os.path.join(cwd, "file")
        with open(path, "wb") as f:
            f.write(os.urandom(500000))
        code, out, err = run(curl, "-sS", "-F", "file=@%s;filename=a b.gcode" % path, "-F", "x=1", url + "/upload")
        answer = json.loads(out)
        assert answer == {"success": True, "filename": "a b.gcode", "bytes": 500000}, (out, err)
        code, out, err = run(curl, "-sS", "-H", "Transfer-Encoding: chunked", "-F", "file=@" + path, url + "/upload")
        assert json.loads(out)["bytes"] == 500000, (out, err)
        code, out, err = run(curl, "-sS", "-o", path + ".got", "-r", "100-400099", url + "/download")
        with open(path, "rb") as a, open(path + ".got", "rb") as b:
            assert a.read()[100:400100] == b.read()
        code, out, err = run(curl, "-sS", "-C", "499990", "-o", path + ".got", "-D", "-", url + "/download")
        assert code == 0 and " 206 " in out and "Content-Range: bytes 499990-499999/500000" in out, out


# ---- uploads ----

def form(content, name="a.gcode", field="file", boundary="XX"):
    return ("--%s\r\nContent-Disposition: form-data; name=\"%s\"; filename=\"%s\"\r\n\r\n" % (boundary, field, name)).encode() + \
        content + b"\r\n--%s--\r\n" % boundary.encode()


def test_uploads_are_streamed_and_leave_nothing_when_they_fail():
    with folder() as cwd, Kit(cwd, KIT_MAX_UPLOAD_SIZE="100KiB") as kit:
        data = os.path.join(cwd, "data")
        kind = [("Content-Type", "multipart/form-data; boundary=XX")]
        rows = [
            ("good", form(b"G1 X1\n"), kind, 201),
            ("no form", b"{}", [("Content-Type", "application/json")], 415),
            ("no boundary", form(b"x"), [("Content-Type", "multipart/form-data")], 415),
            ("another boundary", form(b"x", boundary="YY"), kind, 400),
            ("no file", form(b"x", field="other"), kind, 400),
            ("no name", form(b"x", name=""), kind, 400),
            ("cut short", form(b"x" * 1000)[:-8], kind, 400),
            ("too large", form(b"x" * 102400), kind, 413),
            ("empty", b"", kind, 400),
        ]
        for name, body, headers, status in rows:
            got, _, answer = kit.ask("POST", "/upload", body, headers)
            assert got == status, (name, got, answer)
        chunked = b"POST /upload HTTP/1.1\r\n" + H + b"Content-Type: multipart/form-data; boundary=XX\r\n" \
            b"Transfer-Encoding: chunked\r\n\r\n"
        for _ in range(30):
            chunked += b"1000\r\n" + form(b"x" * 200000)[:4096] + b"\r\n"
        assert kit.talk(chunked + b"0\r\n\r\n")[:12] in (b"HTTP/1.1 413", b"HTTP/1.1 400", b"")
        with socket.create_connection(("127.0.0.1", kit.port)) as s:  # a client that leaves in the middle
            s.sendall(b"POST /upload HTTP/1.1\r\nHost: x\r\nContent-Type: multipart/form-data; boundary=XX\r\n"
                      b"Content-Length: 90000\r\n\r\n" + form(b"x" * 80000)[:50000])
            wait_for(lambda: any(n.startswith("upload-") for n in os.listdir(data)), "the file")
        wait_for(lambda: os.listdir(data) == ["last"], "nothing left but the good one")
        aborted = wait_for(lambda: [e for e in kit.events("http_request") if e["status_code"] == 499], "its line")
        assert aborted[0]["endpoint"] == "/upload" and aborted[0]["error_code"] == "client_closed", aborted
        assert kit.stop() == 0


# ---- 1.3 and 1.4: ids and logs ----

def test_request_ids_are_kept_when_well_formed_and_made_otherwise():
    with folder() as cwd, Kit(cwd) as kit:
        for sent, kept in (("abc-DEF_1.2", True), ("a" * 64, True), ("a" * 65, False), ("a b", False), ("a/b", False),
                           ("\xe4", False), (None, False), ("", False)):
            headers = [("X-Request-Id", sent)] if sent is not None else []
            status, got, body = kit.ask("POST", "/echo", b"1", headers)
            rid = got["x-request-id"]
            assert status == 200 and (rid == sent if kept else ID.match(rid)), (sent, rid)
            assert json.loads(body)["request_id"] == rid
            status, got, body = kit.ask("GET", "/fail/500", headers=headers)
            assert json.loads(body)["request_id"] == got["x-request-id"]
        wait_for(lambda: len(kit.events("http_request")) == 16, "all lines")
        for e in kit.events("http_error"):
            assert any(r["request_id"] == e["request_id"] for r in kit.events("http_request"))


def test_each_request_has_one_line_of_twelve_keys():
    rows = [  # method, path, body, endpoint, status, success, error_code, level of http_error
        ("POST", "/echo", b"[1]", "/echo", 200, True, None, None),
        ("POST", "/echo", b"[", "/echo", 400, None, "invalid_json", "warn"),
        ("GET", "/slow?secret=hunter2", b"", "/slow", 200, False, None, None),
        ("GET", "/fail/503", b"", "/fail/{status}", 503, None, "broken", "error"),
        ("GET", "/fail/418", b"", "/fail/{status}", 418, None, "refused", "warn"),
        ("GET", "/nothing/hunter2", b"", "unmatched", 404, None, "not_found", "warn"),
        ("DELETE", "/echo", b"", "/echo", 405, None, "method_not_allowed", "warn"),
        ("BREW", "/echo", b"", "unmatched", 501, None, "not_implemented", "error"),
        ("GET", "/health", b"", "/health", 200, None, None, None),
        ("HEAD", "/health", b"", "/health", 200, None, None, None),
    ]
    with folder() as cwd, Kit(cwd, KIT_SLOW_MS="30") as kit:
        for n, (method, path, body, endpoint, status, success, code, level) in enumerate(rows, 1):
            got, headers, answer = kit.ask(method, path, body)
            assert got == status, (path, got)
            wait_for(lambda: len(kit.events("http_request")) == n, "its line")
            e = last_request(kit)
            assert list(e) == HTTP_KEYS, list(e)
            assert TS.match(e["ts"]) and e["level"] == "info" and e["request_id"] == headers["x-request-id"]
            assert (e["endpoint"], e["status_code"], e["success"], e["error_code"]) == (endpoint, status, success, code), e
            assert e["method"] == ("other" if method == "BREW" else method), e
            assert e["bytes_in"] == len(body) and e["bytes_out"] == len(answer), (e, len(answer))
            assert isinstance(e["duration_ms"], int) and e["duration_ms"] >= (30 if path.startswith("/slow") else 0)
            errors = [x for x in kit.events("http_error") if x["request_id"] == e["request_id"]]
            assert len(errors) == (level is not None), errors
            if level:
                x = errors[0]
                assert list(x) == ["ts", "level", "event", "request_id", "endpoint", "method", "status_code",
                                   "error_code", "user_message", "developer_message"], list(x)
                assert (x["level"], x["error_code"], x["status_code"]) == (level, code, status), x
        assert "hunter2" not in kit.output()
        assert {e["developer_message"] for e in kit.events("http_error") if e["error_code"] == "broken"} == \
            {"asked for by 127.0.0.1"}


def test_lines_of_a_handler_carry_its_request_and_levels_and_logfmt_work():
    with folder() as cwd, Kit(cwd, KIT_SLOW_MS="10") as kit:
        trace = "0af7651916cd43dd8448eb211c80319c"
        for headers in ([], [("traceparent", "00-%s-b7ad6b7169203331-01" % trace)]):
            rid = kit.ask("GET", "/slow", headers=headers)[1]["x-request-id"]
            wait_for(lambda: kit.events("http_request")[-1:] and last_request(kit)["request_id"] == rid, "its line")
            line = kit.events("slow_done")[-1]
            assert line["request_id"] == rid and line.get("trace_id") == (trace if headers else None), line
            assert list(last_request(kit)) == HTTP_KEYS
    with folder() as cwd:
        env = clean_env({"KIT_BIND": "127.0.0.1:0", "KIT_DATA_DIR": cwd, "LOG_FORMAT": "text", "LOG_LEVEL": "INFO"})
        p = subprocess.Popen([KIT], env=env, stdout=subprocess.PIPE, text=True)
        line = p.stdout.readline()
        p.terminate()
        p.communicate(timeout=20)
        assert re.match(r"^ts=\S+ level=info event=service_started request_id=\S* service=kit-echo ", line), line
    with folder() as cwd:
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:  # as systemd sees it
            manager.bind(os.path.join(cwd, "notify"))
            manager.settimeout(20)
            env = clean_env({"KIT_BIND": "127.0.0.1:0", "KIT_DATA_DIR": cwd, "LOG_LEVEL": "CRITICAL",
                             "NOTIFY_SOCKET": os.path.join(cwd, "notify")})
            p = subprocess.Popen([KIT], env=env, stdout=subprocess.PIPE, text=True)
            assert manager.recv(100) == b"READY=1"
            p.send_signal(signal.SIGHUP)
            assert manager.recv(100).startswith(b"RELOADING=1\n") and manager.recv(100) == b"READY=1"
            p.terminate()
            assert manager.recv(100) == b"STOPPING=1"
            out, _ = p.communicate(timeout=20)
            assert out == "" and p.returncode == 0, out


def test_a_full_pipe_holds_up_nobody_and_is_counted():
    with folder() as cwd:
        if not os.path.exists(KIT):
            raise Skip("kit_echo is not built")
        env = clean_env({"KIT_BIND": "127.0.0.1:0", "KIT_DATA_DIR": cwd})
        p = subprocess.Popen([KIT], env=env, stdout=subprocess.PIPE)
        try:
            port = int(json.loads(p.stdout.readline())["addresses"].rsplit(":", 1)[1])
            kit = Kit.__new__(Kit)
            kit.port = port

            def dropped():
                one = b"GET /rest/x HTTP/1.1\r\nHost: x\r\n\r\n"
                got = kit.talk(one * 499 + one.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n"))
                assert got.count(b"HTTP/1.1 200") == 500, len(got)
                body = kit.ask("GET", "/metrics")[2].decode()
                return float(re.search(r"^log_lines_dropped_total (\S+)$", body, re.M).group(1)) > 0
            wait_for(dropped, "dropped lines")
        finally:
            p.kill()
            p.wait()
            p.stdout.close()


# ---- access: tokens, other sites ----

def test_tokens_are_asked_for_before_the_body_and_violations_logged():
    with folder() as cwd, Kit(cwd, metrics=True, KIT_TOKEN="hunter2") as kit:
        rows = [
            ("PUT", "/private", [], 401), ("PUT", "/private", [("Authorization", "Bearer hunter3")], 401),
            ("PUT", "/private", [("Authorization", "Basic hunter2")], 401),
            ("PUT", "/private", [("Authorization", "bearer hunter2")], 200),
            ("GET", "/metrics", [], 401), ("GET", "/metrics", [("Authorization", "Bearer ")], 401),
            ("GET", "/metrics", [("Authorization", "Bearer hunter2")], 200), ("GET", "/health", [], 200),
        ]
        for method, path, headers, status in rows:
            got, answer, _ = kit.ask(method, path, b"[1]" if method == "PUT" else b"", headers)
            assert got == status, (method, path, headers, got)
            if path == "/metrics":
                assert kit.ask(method, path, b"", headers, kit.ports[1])[0] == status
                assert ("www-authenticate" in answer) == (status == 401)
        # Refused by its headers alone: the body is never waited for.
        got = kit.talk(b"PUT /private HTTP/1.1\r\nHost: x\r\nContent-Length: 60000\r\n\r\n")
        assert got.startswith(b"HTTP/1.1 401"), got[:100]
        assert kit.ask("POST", "/upload", b"x")[0] == 401
        wait_for(lambda: len(kit.events("http_request")) >= 13, "all lines")
        seen = kit.events("security_violation")
        assert seen and all(list(e)[:4] == ["ts", "level", "event", "request_id"] and e["level"] == "error" and
                            e["remote_addr"] == "127.0.0.1" and e["request_id"] for e in seen), seen
        assert {e["endpoint"] for e in seen} == {"/private", "/metrics", "/upload"}
        assert "hunter" not in kit.output()


def test_other_sites_read_answers_only_where_allowed():
    with folder() as cwd, Kit(cwd, KIT_CORS_ORIGINS="https://a.example, https://b.example") as kit:
        for origin, allowed in (("https://a.example", True), ("https://b.example", True), ("https://c.example", False),
                                ("null", False)):
            _, got, _ = kit.ask("GET", "/big?bytes=10", headers=[("Origin", origin)])
            assert got.get("access-control-allow-origin") == (origin if allowed else None), (origin, got)
            assert "Origin" in got["vary"]
        status, got, _ = kit.ask("OPTIONS", "/echo", headers=[("Origin", "https://a.example"),
                                                              ("Access-Control-Request-Method", "POST")])
        assert status == 204 and "POST" in got["access-control-allow-methods"], (status, got)
        assert kit.ask("POST", "/echo", b"1", [("Origin", "https://a.example")])[0] == 200


def test_a_preflight_brings_no_body_past_the_token():
    """It is asked for no token, so nothing that it brings may reach the route: /upload would answer 415 to this."""
    with folder() as cwd, Kit(cwd, KIT_TOKEN="hunter2", KIT_CORS_ORIGINS="*") as kit:
        assert kit.ask("OPTIONS", "/upload")[0] == 204
        status, _, said = kit.ask("OPTIONS", "/upload", b"x")
        assert status == 413 and b"OPTIONS takes no request body" in said, (status, said)
        got = kit.talk(b"OPTIONS /upload HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nx\r\n0\r\n\r\n")
        assert got.startswith(b"HTTP/1.1 413"), got[:200]
        assert kit.alive()


def test_an_origin_that_is_none_is_not_repeated():
    with folder() as cwd, Kit(cwd, KIT_CORS_ORIGINS="*", KIT_CORS_CREDENTIALS="true") as kit:
        assert kit.ask("GET", "/health", headers=[("Origin", "https://a.example")])[1]["access-control-allow-origin"] == "https://a.example"
        for origin in (b"a\x01b", b"a\x1fb", b"a b", b"a\x7fb", b"a\xffb", b"a\tb"):
            got = kit.talk(b"GET /health HTTP/1.1\r\nHost: x\r\nConnection: close\r\nOrigin: " + origin + b"\r\n\r\n")
            assert got.startswith(b"HTTP/1.1 ") and b"Access-Control" not in got, (origin, got)
            assert got.startswith(b"HTTP/1.1 400") or origin in (b"a b", b"a\xffb", b"a\tb"), (origin, got)
        assert kit.ask("GET", "/health")[0] == 200


# ---- 1.5 and 1.6: metrics and health ----

def test_metrics_are_what_prometheus_reads():
    promtool = need("promtool")
    with folder() as cwd, Kit(cwd, metrics=True) as kit:
        for path in ("/echo", "/nothing", "/nothing2", "/big?bytes=10", "/fail/500"):
            kit.ask("GET", path)
        kit.ask("BREW", "/echo")
        wait_for(lambda: len(kit.events("http_request")) == 6, "all lines")
        for port in kit.ports:
            status, headers, body = kit.ask("GET", "/metrics", port=port)
            assert status == 200 and headers["content-type"] == "text/plain; version=0.0.4; charset=utf-8", headers
            p = subprocess.run([promtool, "check", "metrics"], input=body, capture_output=True, timeout=30)
            assert p.returncode == 0, (p.stdout, p.stderr)
        text = body.decode()
        for line in ('http_requests_total{method="GET",endpoint="/echo",status="405"} 1',
                     'http_requests_total{method="GET",endpoint="unmatched",status="404"} 2',
                     'http_requests_total{method="other",endpoint="unmatched",status="501"} 1',
                     'http_requests_total{method="GET",endpoint="/fail/{status}",status="500"} 1'):
            assert line in text, (line, text)
        for name in ("cpu_seconds_total", "resident_memory_bytes", "virtual_memory_bytes", "open_fds", "max_fds",
                     "start_time_seconds"):
            assert re.search(r"^# HELP process_%s .*\n# TYPE process_%s \w+\nprocess_%s [0-9]" % (name, name, name), text, re.M), name
        status, headers, body = kit.ask("GET", "/metrics", headers=[("Accept", "application/openmetrics-text;version=1.0.0")])
        assert headers["content-type"].startswith("application/openmetrics-text; version=1.0.0") and body.endswith(b"# EOF\n")
        body = kit.ask("GET", "/metrics?name[]=process_open_fds&name[]=process_max_fds")[2].decode()
        assert re.findall(r"^# TYPE (\S+)", body, re.M) == ["process_max_fds", "process_open_fds"], body
        # The second listener has nothing else.
        for path in ("/health", "/ready", "/echo", "/"):
            assert kit.ask("GET", path, port=kit.ports[1])[0] == 404, path


def test_health_and_readiness_say_what_they_should():
    with folder() as cwd, Kit(cwd) as kit:
        status, headers, body = kit.ask("GET", "/health")
        assert status == 200 and headers["content-type"] == "application/json", headers
        answer = json.loads(body)
        assert list(answer) == ["status", "service", "version", "uptime_seconds"] and body.endswith(b"}\n"), body
        assert answer["status"] == "healthy" and answer["service"] == "kit_echo"
        wait_for(lambda: kit.ask("GET", "/ready")[0] == 200, "ready")
        answer = json.loads(kit.ask("GET", "/ready")[2])
        assert list(answer) == ["ready", "dependencies", "uptime_seconds", "active_requests", "error_rate_last_5m"]
        assert answer["ready"] is True and answer["active_requests"] == 0 and answer["error_rate_last_5m"] is None, answer
        assert answer["dependencies"] == {"disk": True, "mem": True, "worker": True}, answer
        for _ in range(3):
            kit.ask("GET", "/big?bytes=1")
        kit.ask("GET", "/fail/500")
        kit.ask("GET", "/fail/404")
        wait_for(lambda: json.loads(kit.ask("GET", "/ready")[2])["error_rate_last_5m"] == 0.2, "one of five")
    with folder() as cwd, Kit(cwd, READY_MIN_DISK_BYTES="9000000000000000") as kit:
        wait_for(lambda: json.loads(kit.ask("GET", "/ready")[2])["dependencies"]["mem"], "the checks")
        status, _, body = kit.ask("GET", "/ready")
        answer = json.loads(body)
        assert status == 503 and answer["ready"] is False and answer["dependencies"]["disk"] is False, answer
        assert kit.ask("GET", "/health")[0] == 200


def test_a_busy_pool_makes_the_worker_check_fail():
    with folder() as cwd, Kit(cwd, KIT_WORKERS="1", KIT_SLOW_MS="60000", SHUTDOWN_GRACE_SECONDS="0") as kit:
        wait_for(lambda: kit.ask("GET", "/ready")[0] == 200, "ready")
        threading.Thread(target=lambda: leave_slow(kit), daemon=True).start()
        wait_for(lambda: json.loads(kit.ask("GET", "/ready")[2])["dependencies"]["worker"] is False, "not ready", 30)
        assert kit.ask("GET", "/ready")[0] == 503 and kit.ask("GET", "/health")[0] == 200
        assert kit.stop() == 0


# ---- 1.7: requests to other servers ----

def test_fetching_is_guarded():
    def answer(path):
        if path.startswith("/to/"):
            return 302, {"Location": path[4:]}, ""
        return 200, {}, "secret of this machine"
    with folder() as cwd, Target(answer) as target, Kit(cwd) as kit:
        at = "127.0.0.1:%d" % target.port
        for url in ("http://%s/" % at, "http://localhost:%d/" % target.port, "http://[::ffff:127.0.0.1]:%d/" % target.port,
                    "http://2130706433:%d/" % target.port, "http://0:%d/" % target.port, "http://169.254.169.254/",
                    "http://10.0.0.1/", "http://192.168.0.1/"):
            status, _, body = kit.ask("GET", "/fetch?url=" + url)
            assert status == 400 and json.loads(body)["error"] == "blocked", (url, status, body)
        assert target.requests == []
        for url in ("ftp://a/", "file:///etc/passwd", "http://u:p@a/", "http://a:0/", "a", ""):
            status, _, body = kit.ask("GET", "/fetch?url=" + url)
            assert status == 400 and json.loads(body)["error"] == "url", (url, status, body)
        wait_for(lambda: len(kit.events("security_violation")) == 8, "violations")
    with folder() as cwd, Target(answer) as target, Kit(cwd, KIT_ALLOW_LOOPBACK="true") as kit:
        at = "http://127.0.0.1:%d" % target.port
        status, headers, body = kit.ask("GET", "/fetch?url=%s/x" % at)
        assert status == 200 and json.loads(body) == {"status": 200, "redirects": 0, "body": "secret of this machine"}
        seen = target.requests[-1][1]
        assert "traceparent" not in {k.lower() for k in seen}
        assert seen["X-Request-Id"] == headers["x-request-id"] and seen["User-Agent"].startswith("belfry-kit-echo/"), seen
        trace = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
        kit.ask("GET", "/fetch?url=%s/x" % at, headers=[("traceparent", trace)])
        seen = {k.lower(): v for k, v in target.requests[-1][1].items()}
        assert seen["traceparent"] == trace, seen
        status, _, body = kit.ask("GET", "/fetch?url=%s/to/%s/y" % (at, at))
        assert json.loads(body)["redirects"] == 1, body
        status, _, body = kit.ask("GET", "/fetch?url=%s/to/http://169.254.169.254/" % at)
        assert status == 400 and json.loads(body)["error"] == "blocked", body
        status, _, body = kit.ask("GET", "/fetch?url=%s/to/%s/to/%s/y" % (at, at, at.replace("127.0.0.1", "0x7f.1")))
        assert status == 200 and json.loads(body)["redirects"] == 2, body


# ---- TLS, hostile clients ----

def test_tls_is_spoken_and_a_new_certificate_read_at_sighup():
    openssl, curl = need("openssl"), need("curl")
    with folder() as cwd:
        cert, key = os.path.join(cwd, "c.pem"), os.path.join(cwd, "k.pem")

        def make(name):
            run(openssl, "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2",
                "-subj", "/CN=" + name, "-addext", "subjectAltName=IP:127.0.0.1", "-keyout", key, "-out", cert)
        make("first")
        with Kit(cwd, TLS_CERT_FILE=cert, TLS_KEY_FILE=key) as kit:
            url = "https://127.0.0.1:%d/health" % kit.port
            code, out, err = run(curl, "-sS", "--cacert", cert, url)
            assert code == 0 and json.loads(out)["status"] == "healthy", err
            make("second")
            assert run(curl, "-sS", "--cacert", cert, url)[0] != 0
            kit.proc.send_signal(signal.SIGHUP)
            wait_for(lambda: run(curl, "-sS", "--cacert", cert, url)[0] == 0, "the new certificate")
            with open(key, "w") as f:
                f.write("no key")
            kit.proc.send_signal(signal.SIGHUP)
            wait_for(lambda: kit.events("reload_failed"), "the complaint")
            assert run(curl, "-sS", "--cacert", cert, url)[0] == 0
            assert kit.stop() == 0


def test_other_servers_are_believed_by_their_certificates_only():
    openssl = need("openssl")

    def make(name, san, last="20990101000000Z"):
        files = {"index": "", "serial": "01\n", "conf": "[ca]\ndefault_ca=d\n[d]\ndatabase=%s.index\nnew_certs_dir=.\n"
                 "serial=%s.serial\npolicy=p\ndefault_md=sha256\nx509_extensions=e\n[p]\ncommonName=supplied\n"
                 "[e]\nsubjectAltName=%s\n" % (name, name, san)}
        for kind, content in files.items():
            with open(os.path.join(cwd, name + "." + kind), "w") as f:
                f.write(content)
        for words in (("req", "-new", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-subj", "/CN=" + name,
                       "-keyout", name + ".key", "-out", name + ".csr"),
                      ("ca", "-batch", "-notext", "-selfsign", "-config", name + ".conf", "-keyfile", name + ".key", "-in",
                       name + ".csr", "-out", name + ".pem", "-startdate", "20200101000000Z", "-enddate", last)):
            code, _, err = run(openssl, *words, cwd=cwd)
            assert code == 0, err
        return os.path.join(cwd, name + ".pem"), os.path.join(cwd, name + ".key")
    with folder() as cwd:
        good, other = make("good", "IP:127.0.0.1,DNS:localhost"), make("other", "IP:127.0.0.2,DNS:other.example")
        old = make("old", "IP:127.0.0.1", "20200102000000Z")
        rows = [  # served with, believed, host, the answer's error (None = it is read)
            (good, good, "127.0.0.1", None), (good, good, "localhost", None), (good, good, "2130706433", None),
            (good, None, "127.0.0.1", "tls"),
            (good, other, "127.0.0.1", "tls"), (other, other, "127.0.0.1", "tls"), (old, old, "127.0.0.1", "tls"),
        ]
        for served, believed, host, error in rows:
            env = {"KIT_CA_FILE": believed[0]} if believed else {}
            with Kit(cwd, TLS_CERT_FILE=served[0], TLS_KEY_FILE=served[1]) as far, \
                    Kit(cwd, KIT_ALLOW_LOOPBACK="1", **env) as kit:
                status, _, body = kit.ask("GET", "/fetch?url=https://%s:%d/rest/x" % (host, far.port))
                answer = json.loads(body)
                assert answer.get("error") == error and (status == 200) == (error is None), (host, answer)
                assert far.stop() == 0 and len(far.events("http_request")) == (error is None), "a request was sent before the certificate was judged"
        with open(os.path.join(cwd, "empty.pem"), "w") as f:
            f.write("nothing")
        for bad in ("empty.pem", "missing.pem"):
            code, out, _ = config(cwd, {"KIT_BIND": "127.0.0.1:0", "KIT_CA_FILE": os.path.join(cwd, bad)})
            assert code == 1 and bad in json.loads(out.splitlines()[0])["detail"], out


def test_hostile_clients_disturb_nobody():
    with folder() as cwd, Kit(cwd, HTTP_MAX_CONNECTIONS="50") as kit:
        slow = []
        for _ in range(60):  # more than there is room for, each in the middle of something
            s = socket.create_connection(("127.0.0.1", kit.port))
            s.sendall(b"GET /health HT")
            slow.append(s)
        assert kit.ask("GET", "/health")[0] == 200
        wait_for(lambda: kit.ask("GET", "/big?bytes=10")[0] == 200, "a place")
        for s in slow:
            s.close()
        for junk in (b"\x16\x03\x01\x02\x00\x01\x00", b"\x00" * 1000, b"\r\n\r\n\r\n", b"GET", os.urandom(5000),
                     b"GET / HTTP/1.1\r\n" + b"A: b\r\n" * 5000, b"POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\nab"):
            with socket.create_connection(("127.0.0.1", kit.port)) as s:
                with contextlib.suppress(ConnectionError):
                    s.sendall(junk)
        assert kit.ask("GET", "/health")[0] == 200
        assert kit.stop() == 0
