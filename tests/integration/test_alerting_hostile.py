# SPDX-License-Identifier: Apache-2.0
"""Receivers that mean harm or are broken: what they do costs a notification at most its own time, and shows no secret."""
import concurrent.futures
import contextlib
import os
import re
import socket
import ssl
import subprocess
import threading
import time

from harness import BELFRY, folder, free_port, wait_for

SECRET = "s3cret-t0ken"
HEAD = b"HTTP/1.1 200 OK\r\n"


def answer(status, headers="", body=b"no"):
    return b"HTTP/1.1 %d X\r\nContent-Length: %d\r\nConnection: close\r\n%s\r\n%s" % (status, len(body), headers.encode(), body)


def read_request(c):
    """Head and body of a request, or what came of it."""
    data = b""
    while b"\r\n\r\n" not in data:
        part = c.recv(65536)
        if not part:
            return data
        data += part
    head, body = data.split(b"\r\n\r\n", 1)
    length = re.search(rb"(?i)content-length: (\d+)", head)
    while length and len(body) < int(length[1]):
        part = c.recv(65536)
        if not part:
            break
        body += part
    return head + b"\r\n\r\n" + body


class Receiver:
    """behave(socket, number of the connection) -> what is sent, or None when it did all itself."""

    def __init__(self, behave, tls=None):
        self.behave, self.tls, self.requests, self.open = behave, tls, [], []
        self.socket = socket.create_server(("127.0.0.1", 0))
        self.port = self.socket.getsockname()[1]
        threading.Thread(target=self.serve, daemon=True).start()

    def serve(self):
        n = 0
        while True:
            try:
                c, _ = self.socket.accept()
            except OSError:
                return
            self.open.append(c)
            threading.Thread(target=self.talk, args=(c, n), daemon=True).start()
            n += 1

    def talk(self, c, n):
        with contextlib.suppress(OSError):
            if self.tls:
                c = self.tls.wrap_socket(c, server_side=True)
            self.requests.append(read_request(c))
            said = self.behave(c, n)
            if said is not None:
                c.sendall(said)
                c.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.socket.close()
        for c in self.open:
            c.close()


def certificate(d, names="DNS:localhost,IP:127.0.0.1"):
    pem, key = d + "/%d.pem" % len(names), d + "/%d.key" % len(names)
    subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2", "-subj",
                    "/CN=x", "-keyout", key, "-out", pem, "-addext", "subjectAltName=" + names], check=True, capture_output=True)
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(pem, key)
    return tls, pem


def notify(d, receivers, timeout="2s"):
    """(exit status, output, seconds, MiB at most in memory) of a test alert to these integrations."""
    with open(d + "/alertmanager.yml", "w") as f:
        f.write("route: {receiver: team}\nreceivers:\n- name: team\n" + "".join("  %s\n" % r for r in receivers.strip().splitlines()))
    before = time.monotonic()
    with open(d + "/out", "w+b") as out:
        p = subprocess.Popen([BELFRY, "notify", "test", "team", "a=b", "--verbose", "--timeout=" + timeout,
                              "--config.file=" + d + "/alertmanager.yml"], stdout=out, stderr=out, stdin=subprocess.DEVNULL)
        _, status, usage = os.wait4(p.pid, 0)
        p.returncode = os.waitstatus_to_exitcode(status)
        out.seek(0)
        text = out.read().decode(errors="replace")
    assert SECRET not in text, text
    return p.returncode, text, time.monotonic() - before, usage.ru_maxrss / 1024


def webhook(port, more="", scheme="http"):
    return "webhook_configs: [{url: '%s://127.0.0.1:%d/%s'%s}]" % (scheme, port, SECRET, more)


def stream(begin, part, bytes_max=10 << 30):
    """Sends on and on until the other side has had enough."""
    def behave(c, n):
        c.sendall(begin)
        sent = 0
        while sent < bytes_max:
            sent += c.send(part)
        c.close()
    return behave


def silence(c, n):
    time.sleep(30)


def drip(c, n):
    """A byte every now and then."""
    for byte in HEAD * 20:
        c.sendall(bytes([byte]))
        time.sleep(0.2)


# What a receiver does; whether that is a notification that arrived; what is said.
BEHAVIOURS = [
    ("hangs", silence, False, r"timed out|timeout|no time|no answer"),
    ("drips", drip, False, r"timed out|timeout|no time|no answer"),
    ("closes", lambda c, n: b"", False, r"."),
    ("speaks no HTTP", lambda c, n: b"\x00\xff\x00garbage\r\n\r\n", False, r"."),
    ("lies about the length", lambda c, n: HEAD + b"Content-Length: 100\r\n\r\nshort", None, r"."),
    ("says 500", lambda c, n: answer(500), False, r"500"),
    ("says 500 with a page of rubbish", lambda c, n: answer(500, "", b"<b>\x1b[31m\x00" + b"x" * 100000), False, r"500"),
    ("says 404", lambda c, n: answer(404), False, r"404"),
    ("says 429, then 200", lambda c, n: answer(200) if n else answer(429, "Retry-After: 1\r\n"), True, r"sent"),
    ("says 429 for a week", lambda c, n: answer(429, "Retry-After: 604800\r\n"), False, r"429"),
    ("says 429 until something", lambda c, n: answer(429, "Retry-After: \xff-1e99\r\n"), False, r"429"),
    ("sends itself round in circles", lambda c, n: answer(302, "Location: /again\r\n"), False, r"."),
    ("sends elsewhere", lambda c, n: answer(307, "Location: file:///etc/passwd\r\n"), False, r"."),
    ("sends 10 GB", stream(HEAD + b"Content-Length: 10737418240\r\n\r\n", b"x" * 65536), True, r"sent"),
    ("sends without end", stream(HEAD + b"Transfer-Encoding: chunked\r\n\r\n", b"10000\r\n" + b"x" * 65536 + b"\r\n"), True, r"sent"),
    ("sends 10 GB of an error", stream(b"HTTP/1.1 400 X\r\nContent-Length: 10737418240\r\n\r\n", b"x" * 65536), False, r"400"),
    ("sends headers without end", stream(HEAD, b"X-%s: y\r\n" % (b"a" * 1000)), None, r"."),
    ("sends one header without end", stream(HEAD + b"X: ", b"y" * 65536), None, r"."),
]


def check_behaviour(case):
    name, behave, is_sent, words = case
    with folder() as d, Receiver(behave) as r:
        status, text, seconds, mib = notify(d, webhook(r.port))
        assert is_sent is None or status == (0 if is_sent else 1), (name, status, text)
        assert re.search(words, text), (name, text)
        assert seconds < 25, (name, seconds, text)  # hangs and drips last 30 s and longer
        assert mib < 150, (name, mib)
        assert "\x1b" not in text and "\x00" not in text, (name, text)


def test_each_ends_in_its_time_and_in_little_memory():
    with concurrent.futures.ThreadPoolExecutor(6) as pool:
        list(pool.map(check_behaviour, BEHAVIOURS))


def test_nobody_listens():
    with folder() as d:
        status, text, seconds, _ = notify(d, webhook(free_port()))
        assert status == 1 and "onnect" in text and seconds < 25, (text, seconds)
        status, text, _, _ = notify(d, webhook(1).replace("127.0.0.1", "no-such-host.invalid"))
        assert status == 1 and "resolve" in text, text


def test_one_that_hangs_holds_up_no_other():
    with folder() as d, Receiver(silence) as bad, Receiver(lambda c, n: answer(200)) as good:
        result = []
        thread = threading.Thread(target=lambda: result.append(notify(d, "webhook_configs: [{url: 'http://127.0.0.1:%d/'}, {url: "
                                                                      "'http://127.0.0.1:%d/'}]" % (bad.port, good.port), "5s")))
        thread.start()
        wait_for(lambda: good.requests, "the other one is told")
        assert thread.is_alive(), result  # the first is still being waited for
        thread.join()
        assert result[0][0] == 1 and re.search(r"webhook\[1\]: sent", result[0][1]), result


def test_connections_that_cannot_be_trusted():
    with folder() as d:
        tls, pem = certificate(d)
        other, other_pem = certificate(d, "DNS:elsewhere.example")
        ok = lambda c, n: answer(200)  # noqa: E731
        with Receiver(ok, tls) as r, Receiver(ok, other) as wrong, Receiver(ok) as plain:
            for what, port, more, is_sent in (
                    ("unknown", r.port, "", False),
                    ("known", r.port, ", http_config: {tls_config: {ca_file: '%s'}}" % pem, True),
                    ("somebody else's", wrong.port, ", http_config: {tls_config: {ca_file: '%s'}}" % other_pem, False),
                    ("not looked at", wrong.port, ", http_config: {tls_config: {insecure_skip_verify: true}}", True),
                    ("none at all", plain.port, "", False),
                    ("no file", r.port, ", http_config: {tls_config: {ca_file: '/nonexistent/ca'}}", False)):
                status, text, _, _ = notify(d, webhook(port, more, "https"), "1s")
                assert status == (0 if is_sent else 1), (what, text)
            assert len(r.requests) >= 1 and not any(SECRET.encode() in q for q in wrong.requests[:-1]), wrong.requests


def test_redirects_carry_no_credentials_elsewhere():
    with folder() as d, Receiver(lambda c, n: answer(200)) as there:
        location = "Location: http://127.0.0.1:%d/there\r\n" % there.port
        with Receiver(lambda c, n: answer(307, location)) as here:
            status, text, _, _ = notify(d, "webhook_configs: [{url: 'http://127.0.0.1:%d/', http_config: {authorization: {credentials: %s}}}]" %
                                        (here.port, SECRET))
            assert status == 0, text
            assert SECRET.encode() in here.requests[0] and SECRET.encode() not in there.requests[0], there.requests
