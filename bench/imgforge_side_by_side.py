#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""imgforge beside what it cannot beat: nginx with the same bytes as a static file (cached hits), and vipsthumbnail with the same libvips and
the same parameters (work per picture).

usage: bench/imgforge_side_by_side.py [IMGFORGE] [--runs 3] [--seconds 3] [--concurrency 1,2,16,64] [--only hits,jpeg,webp,avif,table]

Sides alternate; medians of the runs are shown. Needs wrk, nginx, vips, vipsthumbnail. Sources are made by libvips (clouds of several
sizes with grain, as photographs have) and served by nginx on loopback, which is in imgforge's time and not in its CPU seconds. Every
picture that imgforge makes has a URL of its own (cachebuster), and nothing is cached then. vipsthumbnail is one process for many files,
so its start does not count; it decodes JPEG at twice the size that is wanted and shrinks the rest, where imgforge, as specified, takes
the decoder's 1/4 when that is exact. CPU seconds are of the process and its children, from /proc; memory is the peak since the case began."""
import argparse
import os
import re
import shutil
import signal
import socket
import statistics
import subprocess

import tempfile
import time
import urllib.request

TICKS = os.sysconf("SC_CLK_TCK")
TOP = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def vips(*words):
    subprocess.run(["vips", *map(str, words)], check=True, capture_output=True)


def photo(folder, name, width, height, save=""):
    """Three channels of clouds, each with clouds of other sizes and grain on top."""
    bands = []
    for i in range(3):
        parts = []
        for cell in (width // 4 or 1, 64 + 9 * i, 12):
            part = os.path.join(folder, "part.v")
            vips("perlin", part, width, height, "--cell-size", max(cell, 2), "--seed", 7 * i + cell)
            parts.append(part + ".%d.v" % cell)
            os.rename(part, parts[-1])
        grain = os.path.join(folder, "grain.v")
        vips("gaussnoise", grain, width, height, "--mean", 0, "--sigma", 4, "--seed", i + 1)
        scaled = []
        for p, weight in zip(parts, (80, 30, 12)):
            vips("linear", p, p + ".s.v", weight, 42 if weight == 80 else 0)
            scaled.append(p + ".s.v")
        total = os.path.join(folder, "band%d.v" % i)
        vips("sum", " ".join(scaled + [grain]), total)
        bands.append(total)
    joined, path = os.path.join(folder, "joined.v"), os.path.join(folder, name)
    vips("bandjoin", " ".join(bands), joined)
    vips("cast", joined, joined + ".u.v", "uchar")
    vips("copy", joined + ".u.v", joined + ".c.v", "--interpretation", "srgb")
    vips("copy", joined + ".c.v", path + save)
    for f in os.listdir(folder):
        if ".v" in f:
            os.remove(os.path.join(folder, f))
    return path


def with_alpha(folder, name, width, height):
    base = photo(folder, "opaque.png", width, height)
    alpha, joined = os.path.join(folder, "alpha.v"), os.path.join(folder, name)
    vips("grey", alpha + ".g.v", width, height, "--uchar")
    vips("bandjoin", base + " " + alpha + ".g.v", joined)
    os.remove(alpha + ".g.v")
    os.remove(base)
    return joined


def animation(folder, name, side, frames):
    one = photo(folder, "frame.png", side, side)
    strip = os.path.join(folder, "strip.v")
    vips("replicate", one, strip, 1, frames)
    # The height of a page makes the strip an animation.
    vips("gifsave", strip, os.path.join(folder, name), "--page-height", side)
    os.remove(strip)
    os.remove(one)
    return os.path.join(folder, name)


def cpu_seconds(pid):
    """Of a process and its children that live (nginx's workers)."""
    total = 0.0
    for p in [pid] + children(pid):
        with open("/proc/%d/stat" % p) as f:
            fields = f.read().rsplit(")", 1)[1].split()
        total += (int(fields[11]) + int(fields[12])) / TICKS
    return total


def children(pid):
    with open("/proc/%d/task/%d/children" % (pid, pid)) as f:
        return [int(p) for p in f.read().split()]


def peak_reset(pid):
    with open("/proc/%d/clear_refs" % pid, "w") as f:
        f.write("5")


def peak_mb(pid):
    with open("/proc/%d/status" % pid) as f:
        return int(re.search(r"VmHWM:\s+(\d+)", f.read()).group(1)) / 1024


def wait_open(port):
    for _ in range(500):
        with socket.socket() as s:
            if s.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.02)
    raise SystemExit("nothing listens on port %d" % port)


class Server:
    def __init__(self, argv, port, log, env=None):
        self.port = port
        self.log = open(log, "ab")
        self.proc = subprocess.Popen(argv, stdout=self.log, stderr=self.log, env={**os.environ, **(env or {})})
        self.pid = self.proc.pid
        wait_open(port)

    def stop(self):
        self.proc.send_signal(signal.SIGTERM)
        self.proc.wait(30)
        self.log.close()


def nginx(folder, root, access_log):
    port = free_port()
    base = tempfile.mkdtemp(dir=folder)
    conf = os.path.join(base, "nginx.conf")
    with open(conf, "w") as f:
        f.write("""daemon off; worker_processes 2; pid %s/pid; error_log %s/error.log; events { worker_connections 4096; }
http { types { image/jpeg jpg; image/png png; image/gif gif; image/webp webp; } default_type application/octet-stream; sendfile on; tcp_nopush on;
keepalive_requests 100000000; access_log %s; client_body_temp_path %s/a; proxy_temp_path %s/b; fastcgi_temp_path %s/c; uwsgi_temp_path %s/d;
scgi_temp_path %s/e; server { listen 127.0.0.1:%d; root %s; } }
""" % (base, base, base + "/access.log" if access_log else "off", base, base, base, base, base, port, root))
    return Server(["nginx", "-c", conf, "-p", base], port, os.path.join(base, "out.log"))


def imgforge(program, folder, **env):
    port = free_port()
    return Server([program], port, os.path.join(folder, "imgforge.log"), {
        "IMGFORGE_BIND": "127.0.0.1:%d" % port, "IMGFORGE_ALLOW_UNSIGNED": "true", "IMGFORGE_ALLOW_LOOPBACK_SOURCE_ADDRESSES": "true",
        "IMGFORGE_KEY": "00", "IMGFORGE_SALT": "00", "READY_MIN_DISK_BYTES": "1", "READY_MAX_MEM_RATIO": "1", **env})


LUA = """
local n, me = 0, 0
local counter = 0
function setup(thread) thread:set("me", counter) counter = counter + 1 end
function request() n = n + 1 return wrk.format("GET", (string.gsub("%s", "NUMBER", os.time() .. "x" .. me .. "x" .. n))) end
function done(summary, latency, requests)
  print(string.format("RESULT %%d %%d %%d %%d %%d %%d", summary.requests, summary.duration, latency:percentile(50), latency:percentile(99),
    summary.errors.status, summary.errors.connect + summary.errors.read + summary.errors.write + summary.errors.timeout))
end
"""


def wrk(folder, port, path, concurrency, seconds):
    """(requests/s, p50 ms, p99 ms, requests)"""
    script = os.path.join(folder, "wrk.lua")
    with open(script, "w") as f:
        f.write(LUA % path.replace("%", "%%") if "NUMBER" in path else LUA.replace("string.gsub", "tostring") .replace('("%s", "NUMBER", os.time()', '("%s"')
                .replace('.. "x" .. me .. "x" .. n', "") % path)
    out = subprocess.run(["wrk", "-t", str(min(2, concurrency)), "-c", str(concurrency), "-d", "%ds" % seconds, "--timeout", "60s", "-s", script,
                          "http://127.0.0.1:%d/" % port], capture_output=True, text=True).stdout
    got = re.search(r"RESULT (\d+) (\d+) (\d+) (\d+) (\d+) (\d+)", out)
    if not got:
        raise SystemExit("wrk: " + out)
    requests, us, p50, p99, bad, broken = map(int, got.groups())
    if bad or broken:
        raise SystemExit("%d answers were errors, %d connections broke" % (bad, broken))
    return requests / us * 1e6, p50 / 1000, p99 / 1000, requests


def median_row(rows):
    return [statistics.median(column) for column in zip(*rows)]


def measure(folder, sides, concurrency, args):
    """{side: [requests/s, p50, p99, CPU s per 1000, peak MB]} of (name, server, path), alternating."""
    rows = {name: [] for name, _, _ in sides}
    for _ in range(args.runs):
        for name, server, path in sides:
            peak_reset(server.pid)
            before = cpu_seconds(server.pid)
            rate, p50, p99, requests = wrk(folder, server.port, path, concurrency, args.seconds)
            used = cpu_seconds(server.pid) - before
            rows[name].append([rate, p50, p99, used / requests * 1000 if requests else 0,
                               sum(peak_mb(p) for p in [server.pid] + children(server.pid))])
    return {name: median_row(r) for name, r in rows.items()}


def show(what, concurrency, name, row):
    print("%-22s c=%-3d %-22s %9.1f/s  p50 %8.2f ms  p99 %8.2f ms  %8.3f CPU s/1000  %7.1f MB" %
          (what, concurrency, name, *row), flush=True)


def fetch(port, path):
    return urllib.request.urlopen("http://127.0.0.1:%d%s" % (port, path), timeout=120).read()


def hits(args, folder, origin, sources):
    path = "/unsafe/rs:fit:400:300/q:80/plain/http://127.0.0.1:%d/photo.jpg@jpg" % origin.port
    sides = []
    loud = imgforge(args.imgforge, folder, IMGFORGE_CACHE_TYPE="memory")
    quiet = imgforge(args.imgforge, folder, IMGFORGE_CACHE_TYPE="memory", IMGFORGE_LOG_LEVEL="warn")
    body = fetch(loud.port, path)
    fetch(quiet.port, path)
    root = os.path.join(folder, "static")
    os.makedirs(root)
    with open(os.path.join(root, "hit.jpg"), "wb") as f:
        f.write(body)
    nginx_loud, nginx_quiet = nginx(folder, root, True), nginx(folder, root, False)
    sides = [("imgforge", loud, path), ("nginx", nginx_loud, "/hit.jpg"), ("imgforge, no log", quiet, path),
             ("nginx, no log", nginx_quiet, "/hit.jpg")]
    print("cached hit: JPEG of %d bytes" % len(body))
    for c in args.concurrency:
        got = measure(folder, sides, c, args)
        for name, _, _ in sides:
            show("hit", c, name, got[name])
        print("%-22s c=%-3d imgforge / nginx: %.2f with logs, %.2f without" %
              ("", c, got["imgforge"][0] / got["nginx"][0], got["imgforge, no log"][0] / got["nginx, no log"][0]), flush=True)
    for s in (loud, quiet, nginx_loud, nginx_quiet):
        s.stop()


def thumbnail(folder, source, size, save, count):
    """(CPU seconds per picture, wall seconds per picture, peak MB) of vipsthumbnail."""
    out = tempfile.mkdtemp(dir=folder)
    names = []
    for i in range(count):
        link = os.path.join(out, "in%d%s" % (i, os.path.splitext(source)[1]))
        os.symlink(source, link)
        names.append(link)
    start = time.monotonic()
    p = subprocess.Popen(["vipsthumbnail", "--size", size, "-o", os.path.join(out, "%s-out" + save), *names],
                         env={**os.environ, "VIPS_CONCURRENCY": "1"})
    _, status, usage = os.wait4(p.pid, 0)
    wall = time.monotonic() - start
    if status:
        raise SystemExit("vipsthumbnail failed")
    shutil.rmtree(out)
    return (usage.ru_utime + usage.ru_stime) / count, wall / count, usage.ru_maxrss / 1024


def works(args, folder, origin, what, source, size, options, ext, save, count):
    """One kind of picture at each concurrency, beside vipsthumbnail."""
    server = imgforge(args.imgforge, folder, IMGFORGE_LOG_LEVEL="warn")
    path = "/unsafe/%s/cb:NUMBER/plain/http://127.0.0.1:%d/%s@%s" % (options, origin.port, os.path.basename(source), ext)
    body = fetch(server.port, path.replace("NUMBER", "0"))
    base = median_row([thumbnail(folder, source, size, save, count) for _ in range(args.runs)])
    print("%s: %d bytes; vipsthumbnail %.1f ms CPU, %.1f ms each, %.1f MB" % (what, len(body), base[0] * 1e3, base[1] * 1e3, base[2]))
    for c in args.concurrency:
        row = measure(folder, [("imgforge", server, path)], c, args)["imgforge"]
        show(what, c, "imgforge", row)
        print("%-22s c=%-3d CPU per picture / vipsthumbnail: %.2f" % ("", c, row[3] / 1000 / base[0]), flush=True)
    server.stop()


def peak_of(args, folder, origin, what, source, options, ext):
    server = imgforge(args.imgforge, folder, IMGFORGE_LOG_LEVEL="warn")
    path = "/unsafe/%s/cb:%%d/plain/http://127.0.0.1:%d/%s@%s" % (options, origin.port, os.path.basename(source), ext)
    idle = peak_mb(server.pid)
    times, before = [], cpu_seconds(server.pid)
    for i in range(args.runs):
        start = time.monotonic()
        fetch(server.port, path % i)
        times.append((time.monotonic() - start) * 1000)
    cpu = (cpu_seconds(server.pid) - before) / args.runs * 1000
    print("%-34s %8.1f ms  %8.1f ms CPU  peak %6.1f MB (idle %.1f)" % (what, statistics.median(times), cpu, peak_mb(server.pid), idle), flush=True)
    server.stop()


def table(args, folder, origin, root):
    """Rows of the specification's section 11."""
    for what, make, options, ext in (
            ("12 MP JPEG -> 800x600", lambda: photo(root, "12mp.jpg", 4000, 3000, "[Q=90]"), "rs:fit:800:600/q:85", "jpg"),
            ("4 MP PNG -> WebP", lambda: photo(root, "4mp.png", 2300, 1740), "q:85", "webp"),
            ("24-frame GIF -> 320 px", lambda: animation(root, "24.gif", 480, 24), "rs:fit:320:320", "gif"),
            ("9000x7000 JPEG -> 450 px", lambda: photo(root, "large.jpg", 9000, 7000, "[Q=85]"), "rs:fit:450:450", "jpg"),
            ("9000x7000 WebP -> 450 px", lambda: large_webp(root), "rs:fit:450:450", "webp")):
        peak_of(args, folder, origin, what, make(), options, ext)


def large_webp(root):
    path = os.path.join(root, "large.webp")
    vips("webpsave", os.path.join(root, "large.jpg"), path, "--effort", 0)
    return path


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("imgforge", nargs="?", default=os.path.join(TOP, "build/bin/imgforge"))
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--seconds", type=int, default=3)
    parser.add_argument("--concurrency", type=lambda t: [int(n) for n in t.split(",")], default=[1, 2, 16, 64])
    parser.add_argument("--only", type=lambda t: t.split(","), default=["hits", "jpeg", "webp", "avif", "table"])
    args = parser.parse_args()
    for program in ("wrk", "nginx", "vips", "vipsthumbnail"):
        if not shutil.which(program):
            raise SystemExit(program + " is not installed")
    with tempfile.TemporaryDirectory(prefix="imgforge-bench-") as folder:
        os.chmod(folder, 0o755)
        root = os.path.join(folder, "origin")
        os.makedirs(root)
        source = photo(root, "photo.jpg", 2048, 1365, "[Q=90]")
        origin = nginx(folder, root, False)
        try:
            if "hits" in args.only:
                hits(args, folder, origin, root)
            if "jpeg" in args.only:
                works(args, folder, origin, "(b) JPEG -> 512 JPEG", source, "512x512", "rs:fit:512:512/q:85", "jpg",
                      ".jpg[Q=85,optimize_coding]", 40)
            if "webp" in args.only:
                works(args, folder, origin, "(c) JPEG -> 512 WebP", source, "512x512", "rs:fit:512:512/q:85", "webp", ".webp[Q=85]", 20)
            if "avif" in args.only:
                works(args, folder, origin, "(d) PNG+A -> 512 AVIF", with_alpha(root, "alpha.png", 1200, 800), "512x512",
                      "rs:fit:512:512/q:60", "avif", ".avif[Q=60,effort=2]", 8)
            if "table" in args.only:
                table(args, folder, origin, root)
        finally:
            origin.stop()


main()
