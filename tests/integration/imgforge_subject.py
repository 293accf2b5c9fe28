# SPDX-License-Identifier: Apache-2.0
"""What tests of imgforge share: the program on free ports, an origin that serves what a test gives it, pictures, signatures, metrics."""
import base64
import contextlib
import hashlib
import hmac
import http.client
import http.server
import json
import os
import re
import struct
import subprocess
import threading
import time
import zlib

from harness import Process, Skip, TOP, wait_for

IMGFORGE = os.environ.get("IMGFORGE", os.path.join(TOP, "build/release/services/imgforge/imgforge"))
KEY = "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f"
SALT = "a0a1a2a3a4a5a6a7a8a9aaabacadaeaf"
SAMPLE = re.compile(r"^([a-zA-Z_:][a-zA-Z0-9_:]*)(\{.*\})? (\S+)$")


def png(width, height, alpha=False, colour=None):
    """A picture whose pixels tell where they are (or of one colour)."""
    rows = []
    for y in range(height):
        row = bytearray(b"\0")
        for x in range(width):
            row += bytes(colour) if colour else bytes((x * 255 // max(1, width - 1), y * 255 // max(1, height - 1), 128))
            if alpha:
                row.append(255 if (x + y) % 2 else 0)
        rows.append(bytes(row))

    def chunk(kind, body):
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    head = struct.pack(">IIBBBBB", width, height, 8, 6 if alpha else 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(b"".join(rows))) + chunk(b"IEND", b"")


def size_of(body):
    """(width, height) of a PNG, JPEG, GIF or WebP."""
    if body.startswith(b"\x89PNG"):
        return struct.unpack(">II", body[16:24])
    if body.startswith(b"GIF8"):
        return struct.unpack("<HH", body[6:10])
    if body.startswith(b"RIFF") and body[12:16] == b"VP8 ":
        w, h = struct.unpack("<HH", body[26:30])
        return w & 0x3fff, h & 0x3fff
    if body.startswith(b"RIFF") and body[12:16] == b"VP8L":
        bits = struct.unpack("<I", body[21:25])[0]
        return (bits & 0x3fff) + 1, (bits >> 14 & 0x3fff) + 1
    if body.startswith(b"RIFF") and body[12:16] == b"VP8X":
        return int.from_bytes(body[24:27], "little") + 1, int.from_bytes(body[27:30], "little") + 1
    pos = 2
    while body[:2] == b"\xff\xd8" and pos + 9 < len(body):
        marker, length = body[pos + 1], struct.unpack(">H", body[pos + 2:pos + 4])[0]
        if 0xc0 <= marker <= 0xcf and marker not in (0xc4, 0xc8, 0xcc):
            h, w = struct.unpack(">HH", body[pos + 5:pos + 9])
            return w, h
        pos += 2 + length
    raise AssertionError("no picture: %r" % body[:40])


class Origin:
    """Serves `pages`: path -> (status, headers, body), or a function of the handler that answers itself. `seen` is what was asked."""

    def __init__(self, pages=None):
        origin = self
        self.pages = dict(pages or {})
        self.seen = []
        self.release = threading.Event()

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self):
                origin.seen.append((self.path, dict(self.headers.items())))
                page = origin.pages.get(self.path, (404, {}, b"no such page"))
                with contextlib.suppress(ConnectionError):
                    if callable(page):
                        page(self)
                        return
                    status, headers, body = page
                    self.send_response(status)
                    for name, value in headers.items():
                        self.send_header(name, value)
                    self.send_header("Content-Length", str(len(body)))
                    self.end_headers()
                    self.wfile.write(body)

            def log_message(self, *_):
                pass

        class Server(http.server.ThreadingHTTPServer):
            daemon_threads = True
            request_queue_size = 256

            def handle_error(self, *_):
                pass  # imgforge goes away in the middle, as some tests want it

        self.server = Server(("127.0.0.1", 0), Handler)
        self.port = self.server.server_address[1]
        self.thread = threading.Thread(target=self.server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
        self.thread.start()

    def add(self, path, body, content_type="image/png", status=200, **headers):
        all_headers = {"Content-Type": content_type} if content_type else {}
        all_headers.update({name.replace("_", "-"): value for name, value in headers.items()})
        self.pages[path] = (status, all_headers, body)
        return self.url(path)

    def url(self, path):
        return "http://127.0.0.1:%d%s" % (self.port, path)

    def asked(self, path):
        return sum(1 for p, _ in self.seen if p == path)

    def wait_here(self, handler):
        """A page that says nothing until `release` is set."""
        self.release.wait(60)
        handler.send_response(200)
        body = png(8, 8)
        handler.send_header("Content-Type", "image/png")
        handler.send_header("Content-Length", str(len(body)))
        handler.end_headers()
        handler.wfile.write(body)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.release.set()
        self.server.shutdown()
        self.server.server_close()
        self.thread.join()


def plain(source):
    """A source as a URL has it: percent-encoded behind plain/."""
    return "plain/" + "".join(c if re.match(r"[A-Za-z0-9/:._~-]", c) else "".join("%%%02X" % b for b in c.encode())
                              for c in source)


def encoded(source):
    return base64.urlsafe_b64encode(source.encode()).decode().rstrip("=")


def sign(path, key=KEY, salt=SALT, size=32):
    """The path ("/w:1/...") behind its signature."""
    digest = hmac.new(bytes.fromhex(key), bytes.fromhex(salt) + path.encode(), hashlib.sha256).digest()
    return "/" + base64.urlsafe_b64encode(digest[:size]).decode().rstrip("=") + path


def unsafe(options, source, extension=""):
    return "/unsafe/%s%s%s" % (options + "/" if options else "", plain(source), "@" + extension if extension else "")


def clean_env(extra):
    keep = {k: v for k, v in os.environ.items() if not k.lower().endswith("_proxy") and not k.startswith("IMGFORGE_")}
    return {**keep, **extra}


def imgforge_environment(**env):
    """Unsigned URLs and sources on this machine are allowed unless `env` says otherwise. None takes a variable out."""
    base = {"IMGFORGE_BIND": "127.0.0.1:0", "IMGFORGE_ALLOW_LOOPBACK_SOURCE_ADDRESSES": "true", "READY_MIN_DISK_BYTES": "1",
            "READY_MAX_MEM_RATIO": "1"}
    if "IMGFORGE_KEY" not in env:
        base["IMGFORGE_ALLOW_UNSIGNED"] = "true"
    return clean_env({k: v for k, v in {**base, **env}.items() if v is not None})


class Imgforge(Process):
    """One imgforge on ports of the kernel's choice: port, and metrics_port where IMGFORGE_PROMETHEUS_BIND is set."""

    def __init__(self, cwd, flags=(), **env):
        if not os.path.exists(IMGFORGE):
            raise Skip("imgforge is not built")
        self.log_path = os.path.join(cwd, "imgforge-%d.log" % time.monotonic_ns())
        self.log = open(self.log_path, "wb")
        self.proc = subprocess.Popen([IMGFORGE, *flags], cwd=cwd, env=imgforge_environment(**env),
                                     stdin=subprocess.DEVNULL, stdout=self.log, stderr=self.log)
        started = wait_for(lambda: self.events("service_started") or not self.alive(), "start", 60)
        assert started is not True, self.output()
        ports = [int(a.rsplit(":", 1)[1]) for a in started[0]["addresses"].split(",")]
        self.port = ports[0]
        self.metrics_port = ports[1] if len(ports) > 1 else None

    def events(self, name=None):
        out = []
        for line in self.output().splitlines():
            if line.endswith("}"):
                event = json.loads(line)
                if name is None or event["event"] == name:
                    out.append(event)
        return out

    def ask(self, path, headers=None, method="GET", port=None, seconds=60):
        """(status, headers in lower case, body)"""
        c = http.client.HTTPConnection("127.0.0.1", port or self.port, timeout=seconds)
        try:
            c.request(method, path, headers=headers or {})
            r = c.getresponse()
            return r.status, {k.lower(): v for k, v in r.getheaders()}, r.read()
        finally:
            c.close()

    def image(self, options, source, extension="", headers=None):
        return self.ask(unsafe(options, source, extension), headers)

    def metrics(self, port=None, headers=None):
        """Every sample: 'name{labels}' -> value, as the text format has them."""
        status, _, body = self.ask("/metrics", headers, port=port)
        assert status == 200, (status, body)
        out = {}
        for line in body.decode().splitlines():
            match = SAMPLE.match(line)
            if match and not line.startswith("#"):
                out[match.group(1) + (match.group(2) or "")] = float(match.group(3))
        return out
