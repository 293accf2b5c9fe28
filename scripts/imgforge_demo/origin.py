# SPDX-License-Identifier: Apache-2.0
"""A server of pictures with all the faults that origins have.

  /photos/NAME            the file; 404 when there is none
  /slow/SECONDS/NAME      the same after a while
  /status/CODE            an answer of that status
  /cut/NAME               half of the file, then the connection ends
  /faults?errors=0.5&delay=2    from now on half of the photos are answered with 503, each after 2 seconds; /faults alone: none
"""
import contextlib
import email.utils
import http.server
import os
import random
import socket
import threading
import time
import urllib.parse

TYPES = {"jpg": "image/jpeg", "png": "image/png", "webp": "image/webp", "gif": "image/gif", "tiff": "image/tiff",
         "avif": "image/avif"}


class Faults:
    """What is wrong with the origin now. Any thread."""

    def __init__(self):
        self.errors = self.delay = 0.0  # a part of the answers; seconds

    def set(self, query):
        given = urllib.parse.parse_qs(query)
        self.errors, self.delay = (float(given.get(name, ["0"])[0]) for name in ("errors", "delay"))
        return "errors %g, delay %g s\n" % (self.errors, self.delay)


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    timeout = 60

    def answer(self, status, body=b"", kind="text/plain", headers=()):
        self.send_response(status)
        for name, value in (("Content-Type", kind), ("Content-Length", str(len(body))), *headers):
            self.send_header(name, value)
        self.end_headers()
        with contextlib.suppress(OSError):  # who asked has gone
            self.wfile.write(body)

    def file(self, name, part=1.0):
        path = os.path.join(self.server.folder, os.path.basename(name))
        try:
            with open(path, "rb") as f:
                body = f.read()
        except OSError:
            return self.answer(404, b"no such picture\n")
        modified = email.utils.formatdate(os.stat(path).st_mtime, usegmt=True)
        headers = (("Last-Modified", modified), ("Cache-Control", "public, max-age=3600"))
        kind = TYPES.get(name.rsplit(".", 1)[-1], "application/octet-stream")
        if part == 1:
            return self.answer(200, body, kind, headers)
        self.send_response(200)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        with contextlib.suppress(OSError):
            self.wfile.write(body[:int(len(body) * part)])
        self.close_connection = True

    def do_GET(self):
        url = urllib.parse.urlsplit(self.path)
        parts = url.path.strip("/").split("/")
        faults = self.server.faults
        if parts[0] == "faults":
            return self.answer(200, faults.set(url.query).encode())
        if parts[0] == "photos":
            time.sleep(faults.delay)
            if random.random() < faults.errors:
                return self.answer(503, b"out of order\n")
            return self.file(parts[-1])
        if parts[0] == "slow" and len(parts) == 3:
            time.sleep(min(60.0, float(parts[1])))
            return self.file(parts[2])
        if parts[0] == "status" and len(parts) == 2 and parts[1].isdigit():
            return self.answer(int(parts[1]), b"as you asked\n")
        if parts[0] == "cut":
            return self.file(parts[-1], 0.5)
        return self.answer(404, b"no such page\n")

    def log_message(self, *_):
        pass


class Origin(http.server.ThreadingHTTPServer):
    """Serves a folder on loopback while the with block lasts."""
    daemon_threads = True
    request_queue_size = 128

    def __init__(self, folder, port=0, host="127.0.0.1"):
        super().__init__((host, port), Handler)
        self.folder, self.faults = folder, Faults()
        self.url = "http://%s:%d" % self.server_address
        self.lock, self.connections = threading.Lock(), set()
        self.begin()

    def begin(self):
        threading.Thread(target=self.serve_forever, args=(0.05,), daemon=True).start()

    def process_request(self, request, client_address):
        with self.lock:
            self.connections.add(request)
        super().process_request(request, client_address)

    def shutdown_request(self, request):
        with self.lock:
            self.connections.discard(request)
        super().shutdown_request(request)

    def handle_error(self, *_):
        pass  # clients that hang up in the middle belong to the demonstration

    def go_down(self):
        """Connections end and new ones are refused."""
        self.shutdown()
        self.server_close()
        with self.lock:
            for connection in self.connections:
                with contextlib.suppress(OSError):
                    connection.shutdown(socket.SHUT_RDWR)

    def come_back(self):
        """At the same address and port: let it be an address that nobody else uses."""
        self.socket = socket.socket(self.address_family, self.socket_type)
        self.server_bind()
        self.server_activate()
        self.begin()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.shutdown()
        self.server_close()
