# SPDX-License-Identifier: Apache-2.0
"""libbelfry-http's listener in a small program (http_subject.c), scraped by real servers and attacked."""
import gzip
import http.client
import os
import socket
import threading
import zlib

from harness import Belfry, folder, need, wait_for
from subject import VALUES, Subject, memory_kib
from test_access import certificate, refused_by_tls, tls_get
from test_differential import Peer

SCRAPE = """
global: {scrape_interval: 500ms, scrape_timeout: 500ms}
scrape_configs:
- job_name: app
%s
  static_configs: [{targets: ['%s']}]
"""


def fetch(port, path="/metrics", method="GET", **headers):
    c = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    try:
        c.request(method, path, headers={k.replace("_", "-"): v for k, v in headers.items()})
        r = c.getresponse()
        return r.status, {k.lower(): v for k, v in r.getheaders()}, r.read()
    finally:
        c.close()


def value(server, expr):
    """What either server says now; None while it knows nothing."""
    import json
    import urllib.parse
    c = http.client.HTTPConnection("127.0.0.1", server.port, timeout=60)
    try:
        c.request("GET", "/api/v1/query?" + urllib.parse.urlencode({"query": expr}))
        found = json.loads(c.getresponse().read())["data"]["result"]
        return float(found[0]["value"][1]) if found else None
    finally:
        c.close()


def check_values(server):
    wait_for(lambda: value(server, 'up{job="app"}') == 1 or None, "scraped", 30)
    for expr, expected in VALUES.items():
        assert value(server, expr) == expected, (expr, value(server, expr))


def scraped_by_each(settings, **arguments):
    with folder() as d, Subject(address="127.0.0.1:0", **arguments) as s:
        config = SCRAPE % (settings, s.address)
        with Belfry(d, config) as b:
            check_values(b)
        with Peer(need("prometheus"), d, config, ["--enable-feature=native-histograms"]) as peer:
            check_values(peer)
            assert value(peer, "histogram_count(app_size_bytes)") == 100
        assert s.stats()["denied"] == 0
        assert s.end() == (0, "")


def test_endpoint_with_a_password_is_scraped():
    scraped_by_each("  basic_auth: {username: u, password: 'p:w d'}", user="u", password="p:w d")


def test_endpoint_with_a_token_is_scraped():
    scraped_by_each("  authorization: {credentials: s3cret}", bearer="s3cret")


def test_endpoint_with_tls_is_scraped():
    with folder() as d:
        ca = certificate(d, "ca")
        cert, key = certificate(d, "server", ca)
        client_cert, client_key = certificate(d, "client", ca, usage="clientAuth")
        scraped_by_each("  scheme: https\n  tls_config: {ca_file: %s, cert_file: %s, key_file: %s}\n"
                        "  basic_auth: {username: u, password: pw}" % (ca[0], client_cert, client_key),
                        certificate=cert, key=key, client_ca=ca[0], user="u", password="pw")


def test_endpoint_with_the_wrong_password_is_not_scraped():
    with folder() as d, Subject(address="127.0.0.1:0", bearer="s3cret") as s:
        with Belfry(d, SCRAPE % ("  authorization: {credentials: s3cre}", s.address)) as b:
            wait_for(lambda: s.stats()["denied"] > 2, "denied", 30)
            assert value(b, 'up{job="app"}') == 0
        assert s.stats()["scrapes"] == 0
        code, out = s.end()
        assert (code, out) == (0, ""), "nothing is printed: %r" % out


def test_endpoint_asks_tls_clients_for_a_certificate():
    with folder() as d:
        ca = certificate(d, "ca")
        cert, key = certificate(d, "server", ca)
        good = certificate(d, "client", ca, usage="clientAuth")
        stranger = certificate(d, "stranger")
        with Subject(address="127.0.0.1:0", certificate=cert, key=key, client_ca=ca[0]) as s:
            assert tls_get(s.port, "/metrics", ca=ca[0], client=good)[0] == 200
            assert refused_by_tls(s.port, "/metrics", ca=ca[0])
            assert refused_by_tls(s.port, "/metrics", ca=ca[0], client=stranger)
            assert tls_get(s.port, "/health", ca=ca[0], client=good)[0] == 200


def test_endpoint_shows_a_renewed_certificate():
    with folder() as d:
        cert, key = certificate(d, "server")
        with Subject(address="127.0.0.1:0", certificate=cert, key=key) as s:
            first = tls_get(s.port, "/health")[1]
            with open(cert + ".broken", "w") as f:
                f.write("nonsense")
            saved = open(cert).read()
            os.rename(cert + ".broken", cert)
            wait_for(lambda: tls_get(s.port, "/health")[1] == first and s.stats()["certificate_errors"] == 1,
                     "the old one serves on", 30)
            with open(cert, "w") as f:
                f.write(saved)
            certificate(d, "server")
            wait_for(lambda: tls_get(s.port, "/health")[1] != first, "the new certificate", 30)


def test_endpoint_answers_inside_the_programs_own_server():
    with Subject(own=1, bearer="s3cret", series=3000) as s:
        assert fetch(s.port, "/other")[2] == b"own\n"
        assert fetch(s.port)[0] == 401
        status, headers, body = fetch(s.port, Authorization="Bearer s3cret")
        assert status == 200 and b"\napp_rows_total 41\n" in body and int(headers["content-length"]) == len(body)
        status, headers, packed = fetch(s.port, Authorization="Bearer s3cret", Accept_Encoding="gzip")
        assert headers["content-encoding"] == "gzip" and b"\napp_rows_total 41\n" in gzip.decompress(packed)
        status, headers, body = fetch(s.port, "/metrics?name%5B%5D=app_rows_total", Authorization="Bearer s3cret")
        assert body.count(b"# TYPE") == 1 and b"app_rows_total 41\n" in body
        status, headers, body = fetch(s.port, method="HEAD", Authorization="Bearer s3cret")
        assert status == 200 and body == b"" and headers["content-type"].startswith("text/plain; version=0.0.4")
        assert fetch(s.port, "/health")[2].startswith(b'{"status":"healthy","service":"subject","version":"1",')


def test_endpoint_compresses_a_large_registry_in_bounded_memory():
    """10,000 series: 800 KB of text. Ten scrapes of each kind raise the peak by less than 4 MiB."""
    with Subject(address="127.0.0.1:0", series=10000) as s:
        base = fetch(s.port, "/health") and memory_kib(s.proc.pid, "VmRSS")
        sizes = {}
        for _ in range(10):
            for coding in ("gzip", "zstd", "identity"):
                status, headers, body = fetch(s.port, Accept_Encoding=coding)
                assert status == 200 and headers.get("content-encoding", "identity") == coding
                sizes[coding] = len(body)
                if coding == "gzip":
                    text = zlib.decompress(body, 31)
                    assert text.count(b"\n") > 10000 and b"app_rows_total 41\n" in text
        assert sizes["gzip"] < sizes["identity"] / 5 and sizes["zstd"] < sizes["identity"] / 5, sizes
        grown = memory_kib(s.proc.pid) - base
        assert grown < 4096, grown
        wait_for(lambda: s.stats()["scrapes"] == 30, "counted", 30)


def test_endpoint_survives_hostile_clients():
    """Floods of wrong passwords, silent and trickling connections, requests that are none, and readers that do not read:
    a scrape is answered all the while, memory stays, nothing is printed."""
    with Subject(address="127.0.0.1:0", series=5000, bearer="s3cret", connections_max=32) as s:
        assert fetch(s.port, Authorization="Bearer s3cret")[0] == 200
        base = memory_kib(s.proc.pid, "VmRSS")
        held, stop = [], threading.Event()

        def flood():
            while not stop.is_set():
                try:
                    fetch(s.port, Authorization="Basic " + "QQ" * 500)
                except (OSError, http.client.HTTPException):
                    pass  # cut to make room: that is fine

        threads = [threading.Thread(target=flood) for _ in range(4)]
        for t in threads:
            t.start()
        openings = [b"", b"GET /metrics HTTP/1.1\r\nHost: x\r\nX: ", b"\x16\x03\x01\x02\x00" * 50, b"GET " + b"/" * 30000,
                    b"GET /metrics HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer s3cret\r\n\r\n" * 20,
                    b"POST /metrics HTTP/1.1\r\nHost: x\r\nContent-Length: 99999999999\r\n\r\n", b"\0" * 5000,
                    b"GET /metrics HTTP/1.1\r\nHost: x\r\n" + b"A: b\r\n" * 8000]
        for i in range(200):
            c = socket.create_connection(("127.0.0.1", s.port), 30)
            held.append(c)
            try:
                c.sendall(openings[i % len(openings)])
            except OSError:
                pass  # refused while it was sent
            if i % 20 == 0:
                wait_for(lambda: fetch(s.port, Authorization="Bearer s3cret")[0] in (200, 503), "an answer meanwhile", 30)
        stop.set()
        for t in threads:
            t.join()
        assert wait_for(lambda: s.stats()["denied"] > 50, "denied", 30)
        for c in held:
            c.close()
        wait_for(lambda: fetch(s.port, Authorization="Bearer s3cret")[0] == 200, "a scrape afterwards", 30)
        grown = memory_kib(s.proc.pid) - base
        assert grown < 16384, grown
        assert s.end() == (0, "")
