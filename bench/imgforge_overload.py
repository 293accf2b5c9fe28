#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""New pictures at ten times the rate that imgforge makes them: is each request answered, and within IMGFORGE_TIMEOUT?

usage: bench/imgforge_overload.py [IMGFORGE] [--seconds 20] [--times 10] [--rate N] [--timeout 5] [--workers 0] [--size 1600x1200]

First some clients ask one after another: the capacity. Then requests come at `--times` of that (or at `--rate`), whatever becomes of those before.
A client's time runs from the request's first byte, on a connection that the kernel has made, to when the answer's first bytes reached the kernel (SO_TIMESTAMPNS): the client's own delays, which share
the machine, do not count. Prints answers, p50, p99 and the longest for each status, the server's own measure of the same from its log, and ends with
status 1 when a request has another status than 200, 408, 429, has no answer, or has it more than --late-ms after the timeout."""
import argparse
import json
import os
import selectors
import shutil
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from imgforge_soak import TOP, png  # noqa: E402

SO_TIMESTAMPNS = getattr(socket, "SO_TIMESTAMPNS", 35)
RIGHT = (200, 408, 429)


def serve_origin(body):
    """In a process of its own: (its id, its port). Every path is the same picture."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen(1024)
        port = listener.getsockname()[1]
        pid = os.fork()
        if pid:
            return pid, port
        answer = b"HTTP/1.1 200 OK\r\nContent-Type: image/png\r\nContent-Length: %d\r\n\r\n" % len(body) + body
        poll = selectors.DefaultSelector()
        poll.register(listener, selectors.EVENT_READ)
        while True:
            for key, _ in poll.select():
                if key.fileobj is listener:
                    poll.register(listener.accept()[0], selectors.EVENT_READ)
                    continue
                try:
                    if key.fileobj.recv(65536):
                        key.fileobj.setblocking(True)
                        key.fileobj.sendall(answer)
                        continue
                except OSError:
                    pass
                poll.unregister(key.fileobj)
                key.fileobj.close()


def start(program, folder, args):
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        port = s.getsockname()[1]
    env = {k: v for k, v in os.environ.items() if not k.startswith("IMGFORGE_") and not k.lower().endswith("_proxy")}
    with open(os.path.join(folder, "imgforge.log"), "wb") as log:
        proc = subprocess.Popen([program], stdout=log, stderr=log, env={
            **env, "IMGFORGE_BIND": "127.0.0.1:%d" % port, "IMGFORGE_KEY": "aa", "IMGFORGE_SALT": "bb", "IMGFORGE_ALLOW_UNSIGNED": "true",
            "IMGFORGE_ALLOW_LOOPBACK_SOURCE_ADDRESSES": "true", "IMGFORGE_TIMEOUT": str(args.timeout), "IMGFORGE_CACHE_TYPE": "",
            "IMGFORGE_WORKERS": str(args.workers), "READY_MIN_DISK_BYTES": "1", "READY_MAX_MEM_RATIO": "1"})
    for _ in range(1500):
        with socket.socket() as s:
            if s.connect_ex(("127.0.0.1", port)) == 0:
                return proc, port
        time.sleep(0.02)
    proc.kill()
    raise SystemExit("imgforge does not start")


class Request:
    """One request on a connection of its own."""
    made = 0

    def __init__(self, port, origin):
        Request.made += 1
        path = "/unsafe/rs:fill:900:700/bl:2/cb:%d/plain/http://127.0.0.1:%d/photo.png@webp" % (Request.made, origin)
        self.socket = socket.create_connection(("127.0.0.1", port))
        self.socket.setsockopt(socket.SOL_SOCKET, SO_TIMESTAMPNS, 1)
        self.began = time.time_ns()
        self.socket.sendall(("GET %s HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n" % path).encode())
        self.socket.setblocking(False)
        self.status = self.seconds = None

    def read(self):
        """True: it is over."""
        try:
            data, control, _, _ = self.socket.recvmsg(1 << 20, 64)
        except BlockingIOError:
            return False
        except OSError:
            data, control = b"", []
        if data and self.status is None:
            self.status = int(data[9:12])
            at = [struct.unpack("qq", c[2][:16]) for c in control if c[1] == SO_TIMESTAMPNS]
            self.seconds = ((at[0][0] * 10**9 + at[0][1] if at else time.time_ns()) - self.began) / 1e9
        return not data


class Clients:
    def __init__(self, port, origin):
        self.port, self.origin, self.poll, self.done, self.open = port, origin, selectors.DefaultSelector(), [], 0

    def ask(self):
        rq = Request(self.port, self.origin)
        self.poll.register(rq.socket, selectors.EVENT_READ, rq)
        self.open += 1

    def wait(self, seconds):
        ended = 0
        for key, _ in self.poll.select(max(0.0, seconds)):
            if key.data.read():
                self.poll.unregister(key.fileobj)
                key.fileobj.close()
                self.done.append(key.data)
                self.open -= 1
                ended += 1
        return ended


def capacity(port, origin, clients=6, seconds=3.0):
    c = Clients(port, origin)
    for _ in range(clients):
        c.ask()
    began = time.monotonic()
    while time.monotonic() < began + seconds or not c.done:
        for _ in range(c.wait(0.1)):
            c.ask()
    rate = len(c.done) / (time.monotonic() - began)
    while c.open:
        c.wait(1)
    return rate


def overload(port, origin, rate, seconds, patience):
    """[Request] of those that were asked, and how many of them have no answer."""
    c = Clients(port, origin)
    began, asked = time.monotonic(), 0
    while time.monotonic() < began + seconds:
        while asked < (time.monotonic() - began) * rate:
            c.ask()
            asked += 1
        c.wait((asked / rate) - (time.monotonic() - began))
    end = time.monotonic() + patience
    while c.open and time.monotonic() < end:
        c.wait(0.1)
    return c.done, c.open


def print_row(name, times):
    times.sort()
    print("%-18s %7d %9.3f %9.3f %9.3f" % (name, len(times), times[len(times) // 2], times[len(times) * 99 // 100], times[-1]))


def logged(folder):
    """status -> seconds, from request line to the answer's last byte."""
    out = {}
    with open(os.path.join(folder, "imgforge.log"), errors="replace") as f:
        for line in f:
            if '"http_request"' in line:
                e = json.loads(line)
                out.setdefault(e["status_code"], []).append(e["duration_ms"] / 1000)
    return out


def report(done, lost, folder, args):
    print("%-18s %7s %9s %9s %9s" % ("seconds", "answers", "p50", "p99", "longest"))
    by_status = {}
    for rq in done:
        by_status.setdefault(rq.status or 0, []).append(rq.seconds or 0.0)
    for status, times in sorted(by_status.items()):
        print_row(status or "no answer", times)
    for status, times in sorted(logged(folder).items()):
        print_row("%d by its log" % status, times)
    late = sum(t > args.timeout + args.late_ms / 1000 for times in by_status.values() for t in times)
    over = sum(t > args.timeout for times in by_status.values() for t in times)
    wrong = sum(len(times) for status, times in by_status.items() if status not in RIGHT)
    print("%d after the timeout, %d of them by more than %d ms; %d with another status or none; %d still open" %
          (over, late, args.late_ms, wrong, lost))
    return late or wrong or lost


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("imgforge", nargs="?", default=os.path.join(TOP, "build/bin/imgforge"))
    parser.add_argument("--seconds", type=float, default=20)
    parser.add_argument("--times", type=float, default=10)
    parser.add_argument("--rate", type=float, default=0)
    parser.add_argument("--timeout", type=int, default=5)
    parser.add_argument("--late-ms", type=int, default=100)
    parser.add_argument("--workers", type=int, default=0)
    parser.add_argument("--size", default="1600x1200")
    args = parser.parse_args()
    folder = tempfile.mkdtemp(prefix="imgforge-overload-")
    width, height = map(int, args.size.split("x"))
    pid, origin = serve_origin(png(width, height, 1))
    try:
        proc, port = start(args.imgforge, folder, args)
        try:
            can = capacity(port, origin)
            rate = args.rate or args.times * can
            print("capacity %.1f pictures/s; %.0f requests/s for %.0f s" % (can, rate, args.seconds), flush=True)
            done, lost = overload(port, origin, rate, args.seconds, args.timeout + 30)
            with socket.create_connection(("127.0.0.1", port)) as s:
                s.sendall(b"GET /metrics HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
                while s.recv(65536):
                    pass
            code = report(done, lost, folder, args)
        finally:
            proc.send_signal(signal.SIGTERM)
            proc.wait(60)
    finally:
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
        shutil.rmtree(folder, ignore_errors=True)
    raise SystemExit(bool(code))


if __name__ == "__main__":
    main()
