#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Mixed requests to one imgforge, watching its memory and descriptors: neither may grow.

usage: bench/imgforge_soak.py [IMGFORGE] [--requests 100000] [--clients 8] [--cache hybrid|memory|disk|none]

Hits, misses of each format and size, information, presets of errors (no such source, no picture, bad options, wrong signature, a source that ends
early, a client that leaves), scrapes. Prints resident memory, libvips' own and open files for each tenth; ends with status 1 when the last tenth's
memory is above 1.05 times the second's, or a descriptor is left. tests/integration/test_imgforge_soak.py runs a short one."""
import argparse
import contextlib
import http.client
import http.server
import os
import random
import shutil
import signal
import socket
import struct
import subprocess
import tempfile
import threading
import time
import zlib

TOP = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
FORMATS = ("jpg", "png", "webp", "gif", "tiff")


def png(width, height, seed):
    """An RGB picture of soft stripes with grain."""
    rnd = random.Random(seed)
    rows = []
    for y in range(height):
        row = bytearray(b"\0")
        for x in range(width):
            grain = rnd.randrange(8)
            row += bytes(((x * 255 // width + grain) & 255, (y * 255 // height + grain) & 255, ((x + y) // 2 + grain) & 255))
        rows.append(bytes(row))

    def chunk(kind, data):
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
    return (b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)) +
            chunk(b"IDAT", zlib.compress(b"".join(rows), 1)) + chunk(b"IEND", b""))


class Origin:
    def __init__(self):
        pictures = {"/%d.png" % i: png(160 + 40 * i, 120 + 20 * i, i) for i in range(4)}

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            disable_nagle_algorithm = True

            def log_message(self, *_):
                pass

            def do_GET(self):
                body = pictures.get(self.path, b"this is no picture" if self.path == "/text" else None)
                if self.path == "/cut":
                    self.send_response(200)
                    self.send_header("Content-Length", "100000")
                    self.end_headers()
                    self.wfile.write(pictures["/0.png"][:500])
                    self.close_connection = True
                    return
                self.send_response(200 if body else 404)
                self.send_header("Content-Length", str(len(body or b"")))
                self.end_headers()
                self.wfile.write(body or b"")

        class Server(http.server.ThreadingHTTPServer):
            daemon_threads = True
            request_queue_size = 256

            def handle_error(self, *_):
                pass

        self.server = Server(("127.0.0.1", 0), Handler)
        self.port = self.server.server_address[1]
        threading.Thread(target=self.server.serve_forever, args=(0.02,), daemon=True).start()

    def close(self):
        self.server.shutdown()
        self.server.server_close()


class Subject:
    """An imgforge on a port of the kernel's choice."""

    def __init__(self, program, folder, cache):
        with socket.socket() as s:
            s.bind(("127.0.0.1", 0))
            self.port = s.getsockname()[1]
        disk = os.path.join(folder, "cache")
        os.makedirs(disk)
        env = {k: v for k, v in os.environ.items() if not k.startswith("IMGFORGE_") and not k.lower().endswith("_proxy")}
        self.log = open(os.path.join(folder, "imgforge.log"), "wb")
        self.proc = subprocess.Popen([program], stdout=self.log, stderr=self.log, env={
            **env, "IMGFORGE_BIND": "127.0.0.1:%d" % self.port, "IMGFORGE_KEY": "aa", "IMGFORGE_SALT": "bb", "IMGFORGE_ALLOW_UNSIGNED": "true",
            "IMGFORGE_ALLOW_LOOPBACK_SOURCE_ADDRESSES": "true", "IMGFORGE_CACHE_TYPE": "" if cache == "none" else cache,
            "IMGFORGE_CACHE_MEMORY_CAPACITY": "50", "IMGFORGE_CACHE_DISK_CAPACITY": "100", "IMGFORGE_CACHE_DISK_PATH": disk,
            "READY_MIN_DISK_BYTES": "1", "READY_MAX_MEM_RATIO": "1"})
        end = time.monotonic() + 30
        while True:
            with socket.socket() as s:
                if s.connect_ex(("127.0.0.1", self.port)) == 0:
                    break
            if time.monotonic() > end or self.proc.poll() is not None:
                raise AssertionError("imgforge does not start:\n" + open(self.log.name, errors="replace").read()[-3000:])
            time.sleep(0.02)

    def memory_mb(self):
        with open("/proc/%d/status" % self.proc.pid) as f:
            return int([line for line in f if line.startswith("VmRSS")][0].split()[1]) / 1024

    def descriptors(self):
        return len(os.listdir("/proc/%d/fd" % self.proc.pid))

    def stop(self):
        self.proc.send_signal(signal.SIGTERM)
        code = self.proc.wait(60)
        self.log.close()
        return code


def paths(origin, rnd):
    """One request: method, path, statuses that are right."""
    def source(name):
        return "plain/http://127.0.0.1:%d/%s" % (origin.port, name)
    picture = source("%d.png" % rnd.randrange(4))
    kind = rnd.randrange(100)
    if kind < 45:
        return "GET", "/unsafe/rs:fit:64:64/%s@jpg" % picture, (200,)
    if kind < 75:
        return "GET", "/unsafe/rs:%s:%d:%d/q:%d/%s@%s" % (rnd.choice(("fit", "fill", "force")), rnd.randrange(16, 120), rnd.randrange(16, 120),
                                                         rnd.randrange(30, 95), picture, rnd.choice(FORMATS)), (200,)
    return rnd.choice((
        ("GET", "/info/unsafe/" + picture, (200,)), ("HEAD", "/unsafe/rs:fit:64:64/%s@jpg" % picture, (200,)),
        ("GET", "/unsafe/bl:2/rot:90/pd:5/bg:ff0000/%s@png" % picture, (200,)), ("GET", "/unsafe/raw:1/" + picture, (200,)),
        ("GET", "/unsafe/rs:fit:64:64/%s" % source("none.png"), (400,)), ("GET", "/unsafe/rs:fit:64:64/%s" % source("text"), (400,)),
        ("GET", "/unsafe/rs:fit:64:64/%s" % source("cut"), (400,)), ("GET", "/unsafe/dpr:99/" + picture, (400,)), ("GET", "/wrong/w:8/" + picture, (403,)),
        ("GET", "/metrics", (200,)), ("GET", "/status", (200,)), ("LEAVE", "/unsafe/rs:fit:%d:64/%s@webp" % (rnd.randrange(16, 200), picture), ())))


class Soak:
    def __init__(self, subject, origin, requests, clients):
        self.subject, self.origin, self.left, self.clients = subject, origin, requests, clients
        self.lock, self.wrong = threading.Lock(), []
        self.done = 0

    def take(self):
        with self.lock:
            self.done += self.left > 0
            self.left -= 1
            return self.left >= 0

    def client(self, seed):
        rnd, connection = random.Random(seed), None
        while self.take():
            method, path, right = paths(self.origin, rnd)
            if method == "LEAVE":
                with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", self.subject.port), 30) as s:
                    s.sendall(("GET %s HTTP/1.1\r\nHost: x\r\n\r\n" % path).encode())
                continue
            connection = connection or http.client.HTTPConnection("127.0.0.1", self.subject.port, timeout=60)
            try:
                connection.request(method, path)
                answer = connection.getresponse()
                answer.read()
                if answer.status not in right:
                    self.wrong.append((method, path, answer.status))
            except (OSError, http.client.HTTPException) as e:
                self.wrong.append((method, path, repr(e)))
                connection.close()
                connection = None
            if rnd.randrange(500) == 0 and connection:
                connection.close()
                connection = None
        if connection:
            connection.close()

    def run(self, tell):
        """[(memory MB, descriptors)] after each tenth."""
        total, rows = self.left, []
        threads = [threading.Thread(target=self.client, args=(i,)) for i in range(self.clients)]
        for t in threads:
            t.start()
        samples = []
        while any(t.is_alive() for t in threads) or len(rows) < 10:
            samples.append((self.subject.memory_mb(), self.subject.descriptors()))
            if self.done >= total * (len(rows) + 1) // 10:
                rows.append((max(m for m, _ in samples), max(d for _, d in samples)))
                tell(len(rows), *rows[-1])
                samples = []
            time.sleep(0.02)
        for t in threads:
            t.join()
        return rows


def soak(program, requests, clients, cache, tell=lambda *_: None):
    """(rows, wrong answers, descriptors before, and after, exit status)"""
    folder = tempfile.mkdtemp(prefix="imgforge-soak-")
    origin = Origin()
    try:
        subject = Subject(program, folder, cache)
        try:
            with contextlib.closing(http.client.HTTPConnection("127.0.0.1", subject.port, timeout=60)) as c:
                c.request("GET", "/status")
                c.getresponse().read()
            before = subject.descriptors()
            s = Soak(subject, origin, requests, clients)
            rows = s.run(tell)
            end = time.monotonic() + 20
            while subject.descriptors() > before and time.monotonic() < end:
                time.sleep(0.1)
            after = subject.descriptors()
            return rows, s.wrong, before, after, subject.stop()
        finally:
            subject.proc.kill()
            subject.proc.wait()
    finally:
        origin.close()
        shutil.rmtree(folder, ignore_errors=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("imgforge", nargs="?", default=os.path.join(TOP, "build/bin/imgforge"))
    parser.add_argument("--requests", type=int, default=100000)
    parser.add_argument("--clients", type=int, default=8)
    parser.add_argument("--cache", default="hybrid", choices=("hybrid", "memory", "disk", "none"))
    args = parser.parse_args()
    start = time.monotonic()
    rows, wrong, before, after, code = soak(args.imgforge, args.requests, args.clients, args.cache, lambda tenth, memory, files: print(
        "tenth %2d: %7.1f MB, %3d descriptors" % (tenth, memory, files), flush=True))
    ratio = rows[-1][0] / rows[1][0]
    print("%.0f requests/s; last tenth / second: %.3f; descriptors %d before, %d after; %d wrong answers; exit status %d" %
          (args.requests / (time.monotonic() - start), ratio, before, after, len(wrong), code))
    for w in wrong[:10]:
        print(*w)
    raise SystemExit(ratio > 1.05 or after > before or bool(wrong) or code != 0)


if __name__ == "__main__":
    main()
