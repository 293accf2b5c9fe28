# SPDX-License-Identifier: Apache-2.0
"""What a hostile target can send, and what many targets at once must not cost each other."""
import gzip
import json
import os
import re
import signal
import selectors
import socket
import threading
import time
import zlib

from harness import SCALE, Belfry, Skip, Target, config, folder, text, wait_for

HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\n"


def send(*parts):
    """An answer of these bytes, as they are; then the connection closes."""
    def reply(conn):
        for part in parts:
            conn.sendall(part)
        time.sleep(0.2)
    return lambda path: reply


def endless(head, block):
    def reply(conn):
        conn.sendall(head)
        while True:
            conn.sendall(block)
    return lambda path: reply


def zipped(body):
    return lambda path: (200, {"Content-Encoding": "gzip"}, body)


def chunked(size, rest=b""):
    return send(HEAD + b"Transfer-Encoding: chunked\r\n\r\n" + size + b"\r\n" + rest)


OM = {"Content-Type": "application/openmetrics-text; version=1.0.0; charset=utf-8"}


def om(body):
    return lambda path: (200, OM, body)


def last_errors(b):
    return {t["labels"]["job"]: t["lastError"] for t in b.api("targets")["activeTargets"]}


def peak_kib(b):
    with open("/proc/%d/status" % b.proc.pid) as f:
        return next(int(l.split()[1]) for l in f if l.startswith("VmHWM"))


def job_paths(t, names, interval="2s", extra=""):
    """One job for each name, at /NAME of one target."""
    lines = ["global: {scrape_interval: %s, scrape_timeout: %s}" % (interval, interval), "scrape_configs:"]
    for name in names:
        lines.append("- {job_name: '%s', metrics_path: '/%s', static_configs: [{targets: ['%s']}]%s}" %
                     (name, name, t.address, extra))
    return "\n".join(lines) + "\n"


# name: (answer, a part of the last error)
DOWN = {
    "headers-without-end": (endless(HEAD, b"X-A: " + b"b" * 1000 + b"\r\n"), "bytes of headers"),
    "header-line-without-end": (endless(HEAD + b"X-A: ", b"b" * 4096), "header"),
    "header-line-of-1-mb": (send(HEAD + b"X-A: " + b"b" * (1 << 20) + b"\r\n\r\nm 1\n"), "header"),
    "headers-10000": (send(HEAD + b"A: b\r\n" * 10000 + b"\r\nm 1\n"), "128 headers"),
    "two-lengths": (send(HEAD + b"Content-Length: 4\r\nContent-Length: 5\r\n\r\nm 1\n"), "Content-Length"),
    "length-and-chunked": (send(HEAD + b"Content-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nm 1\n\r\n0\r\n\r\n"),
                           "Content-Length"),
    "length-negative": (send(HEAD + b"Content-Length: -5\r\n\r\nm 1\n"), "Content-Length"),
    "length-short-body": (send(HEAD + b"Content-Length: 400\r\n\r\nm 1\n"), "transfer closed"),
    "chunk-ffffffffffffffff": (chunked(b"FFFFFFFFFFFFFFFF", b"m 1\n"), "chunk"),
    "chunk-too-many-digits": (chunked(b"1" * 400, b"m 1\n"), "chunk"),
    "chunk-negative": (chunked(b"-4", b"m 1\n"), "chunk"),
    "chunk-no-number": (chunked(b"xyz", b"m 1\n"), "chunk"),
    "chunk-cut-short": (chunked(b"7fffffff", b"m 1\n"), "transfer closed"),
    "no-http": (send(b"m 1\n"), "HTTP/0.9"),
    "gzip-garbage-behind": (zipped(gzip.compress(b"m 1\n") + b"garbage that is no member"), "bad gzip"),
    "gzip-one-byte-behind": (zipped(gzip.compress(b"m 1\n") + b"g"), "gzip"),
    "gzip-cut-short": (zipped(gzip.compress(b"m 1\n" * 1000)[:-9]), "cut short"),
    "gzip-bad-checksum": (zipped(gzip.compress(b"m 1\n")[:-8] + b"\0" * 8), "bad gzip"),
    "gzip-is-none": (zipped(b"m 1\n"), "bad gzip"),
    "zstd": (lambda path: (200, {"Content-Encoding": "zstd"}, b"m 1\n"), "unsupported encoding"),
    "br": (lambda path: (200, {"Content-Encoding": "br"}, b"m 1\n"), "unsupported encoding"),
    "deflate": (lambda path: (200, {"Content-Encoding": "deflate"}, zlib.compress(b"m 1\n")), "unsupported encoding"),
    "gzip-twice": (lambda path: (200, {"Content-Encoding": "gzip, gzip"}, gzip.compress(gzip.compress(b"m 1\n"))), "unsupported encoding"),
    "gzip-ratio": (zipped(gzip.compress(b"m 1\n" + b"\n" * (40 << 20), 9)), "more than 200 times its size"),
    "continue-endless": (endless(b"", b"HTTP/1.1 100 Continue\r\n\r\n" * 100), "128 headers"),
    "trailers-endless": (endless(HEAD + b"Transfer-Encoding: chunked\r\n\r\n4\r\nm 1\n\r\n0\r\n", b"X: y\r\n" * 100), "128 headers"),
    "nul-in-header": (send(b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nX: a\0b\r\n\r\nm 1\n"), "Nul byte in header"),
    "no-type": (send(b"HTTP/1.1 200 OK\r\n\r\nm 1\n"), "blank Content-Type"),
    "status-of-no-text": (send(b"HTTP/1.1 500 \xff\xfe\r\nContent-Length: 0\r\n\r\n"), "HTTP status 500"),
    "line-of-100-mb": (endless(HEAD + b"\r\nm{a=\"", b"x" * 65536), "limit"),
    "line-of-2-mb": (text('m{a="' + "x" * (2 << 20) + '"} 1\n'), "1 MiB"),
    "type-unknown": (lambda path: (200, {"Content-Type": "x/" + "y" * 10000}, "m 1\n"), "Content-Type"),
    "type-html": (lambda path: (200, {"Content-Type": "text/html"}, "<p>\n"), "Content-Type"),
    "utf8-bad": (lambda path: (200, {}, b'm{a="\xff"} 1\n'), "UTF-8"),
    "utf8-surrogate": (lambda path: (200, {}, b'm{a="\xed\xa0\x80"} 1\n'), "UTF-8"),
    "utf8-overlong": (lambda path: (200, {}, b'm{a="\xc0\xaf"} 1\n'), "UTF-8"),
    "nul": (lambda path: (200, {}, b"m 1\n\0n 1\n"), "\\x00"),
    "nul-in-value": (lambda path: (200, {}, b"m 1\0\n"), "number"),
    "bom": (lambda path: (200, {}, b"\xef\xbb\xbfm 1\n"), "\\xef"),
    "timestamp-too-large": (text("m 1 9223372036854775808\n"), "timestamp"),
    "value-too-large": (text("m 1e999\n"), "number"),
    "om-no-eof": (om("m 1\n"), "does not end with # EOF"),
    "om-empty": (om(""), "does not end with # EOF"),
    "om-data-after-eof": (om("m 1\n# EOF\nm 2\n"), "data after # EOF"),
    "om-line-of-2-mb": (om('m{a="' + "x" * (2 << 20) + '"} 1\n# EOF\n'), "1 MiB"),
    "om-blank-line": (om("m 1\n\n# EOF\n"), "metric name"),
    "om-unknown-comment": (om("# FOO a\n# EOF\n"), "HELP, TYPE, UNIT or EOF"),
    "om-nul": (om("m 1\n\0n 1\n# EOF\n"), "\\x00"),
    "om-utf8-bad": (lambda path: (200, OM, b'm{a="\xff"} 1\n# EOF\n'), "UTF-8"),
    "om-label-twice": (om('m{a="1",a="2"} 1\n# EOF\n'), "there twice"),
    "om-value-too-large": (om("m 1e999\n# EOF\n"), "number"),
    "om-value-hexadecimal": (om("m 0x1p3\n# EOF\n"), "number"),
    "om-timestamp-nan": (om("m 1 NaN\n# EOF\n"), "not finite"),
    "om-exemplar-on-gauge": (om('# TYPE m gauge\nm 1 # {a="b"} 1\n# EOF\n'), "exemplar on a metric that has none"),
    "om-exemplar-without-end": (om('m_total 1 # {a="' + "b" * 100000 + "\n# EOF\n"), "closing quote"),
    "om-unit-of-another": (om("# UNIT m seconds\n# EOF\n"), "unit"),
    "om-crlf": (om("m 1\r\n# EOF\r\n"), "number"),
    "protobuf-unasked": (lambda path: (200, {"Content-Type": "application/vnd.google.protobuf; encoding=delimited"},
                                       b"\xff" * 100), "does not read"),
    "label-twice": (text('m{a="1",a="2"} 1\n'), "there twice"),
    "quote-without-end": (text('m{a="b 1\nn 1\n'), "closing quote"),
    "comma-alone": (text("m{,} 1\n"), "label name"),
    "comma-twice": (text('m{a="b",,} 1\n'), "label name"),
    "braces-100000": (text("m" + "{" * 100000 + " 1\n"), "label name"),
    "value-hexadecimal": (text("m 0x1p3\n"), "number"),
    "value-with-underscore": (text("m 1_000\n"), "number"),
    "value-of-400-digits": (text("m 1" + "0" * 400 + "\n"), "number"),
    "timestamp-nan": (text("m 1 NaN\n"), "timestamp"),
    "timestamp-too-small": (text("m 1 -9223372036854775809\n"), "timestamp"),
    "help-of-2-mb": (text("# HELP m " + "x" * (2 << 20) + "\nm 1\n"), "1 MiB"),
    "braces-empty": (text("{} 1\n"), "metric name"),
    "braces-no-equals": (text('{"a","b"} 1\n'), "second metric name"),
}


def test_each_hostile_answer_is_one_error_of_its_own_target():
    with folder() as d, Target(lambda path: DOWN[path[1:]][0](path)) as t, Target(text("good 1\n")) as good:
        conf = job_paths(t, DOWN, extra=", body_size_limit: 50MB") + "- {job_name: good, static_configs: [{targets: ['%s']}]}\n" % good.address
        with Belfry(d, conf) as b:
            def wrong():
                errors = last_errors(b)
                return {n: (errors.get(n), words) for n, (_, words) in DOWN.items()
                        if not errors.get(n) or words not in errors[n]}
            try:
                wait_for(lambda: not wrong(), "all down", 20)
            except AssertionError:
                raise AssertionError("\n".join("%s: %r, expected %r" % (n, e, w) for n, (e, w) in wrong().items()))
            assert b.value('up{job="good"}') == 1
            assert b.value('count(up == 0)') == len(DOWN)
            assert b.query('{job=~".+",job!="good",__name__!~"up|scrape_.*"}') == []
            assert all(len(e) < 1000 for e in last_errors(b).values())
            assert peak_kib(b) < 400 * 1024, peak_kib(b)


# name: (answer, what must be there then: query -> value or None)
FINE = {
    "gzip-10000-members": (zipped(b"".join(gzip.compress(b'members{n="%d"} 1\n' % i, 1) for i in range(10000))),
                           {"count(members)": 10000}),
    "chunk-extension-of-1-mb": (chunked(b"c;" + b"x" * (1 << 20), b"extension 1\n\r\n0\r\n\r\n"), {"extension": 1}),
    "no-line-feed-at-the-end": (text("unended 1"), {"unended": 1}),
    "empty": (text(""), {'scrape_samples_scraped{job="empty"}': 0}),
    "labels-90000": (text("many{" + ",".join("l%d=\"v\"" % i for i in range(90000)) + "} 1\nbeside_many 1\n"),
                      {"many": None, "beside_many": 1}),
    "labels-2000": (text("many2{" + ",".join("l%d=\"v\"" % i for i in range(2000)) + "} 1\nbeside_many2 1\n"),
                    {"many2": None, "beside_many2": 1}),
    "label-value-of-900-kb": (text('long_value{a="' + "x" * 900000 + '"} 1\nbeside_long_value 1\n'),
                              {"long_value": None, "beside_long_value": 1}),
    "label-name-of-900-kb": (text("long_name{" + "x" * 900000 + '="a"} 1\nbeside_long_name 1\n'),
                             {"long_name": None, "beside_long_name": 1}),
    "values-at-the-edge": (text("edge_inf +Inf\nedge_nan Nan\nedge_tiny 1e-400\nedge_long 0." + "1" * 400 + "\n"),
                           {"edge_inf": float("inf"), "count(edge_nan != edge_nan)": 1, "edge_tiny": 0, "edge_long": 0.1111111111111111}),
    "labels-spoofed": (text('spoofed{job="evil",instance="evil"} 1\nALERTS{alertname="x"} 1\n'),
                       {'spoofed{job="labels-spoofed",exported_job="evil",exported_instance="evil"}': 1, 'ALERTS{job="labels-spoofed"}': 1}),
    "buckets-odd": (text('odd_bucket{le="x"} 1\nodd_bucket 2\nodd_bucket{le="+Inf"} 1\nodd_bucket{le="0.1"} 5\n# TYPE odd histogram\n'),
                    {"count(odd_bucket)": 4}),
    "duplicates": (text('twice 1\ntwice 2\ntwice{} 3\n'), {"twice": 1}),
    "up-forged": (text('up 7\nscrape_duration_seconds 99\nscrape_samples_scraped 99\nreal 1\n'),
                  {'up{job="up-forged"}': 1, 'scrape_samples_scraped{job="up-forged"}': 4, "real": 1}),
    "timestamps": (lambda path: (200, {}, "past 1 1000\nfuture 1 %d\nlast 1 9223372036854775807\n"
                                          "first 1 -9223372036854775808\nseconds 1 %d\nright 1 %d\n" %
                                 (time.time() * 1000 + 3600000, time.time(), time.time() * 1000)),
                   {"future": None, "last": None, "first": None, "seconds": None, "right": 1,
                    'up{job="timestamps"}': 1}),
    "escapes": (text('escaped{a="\\x\\"\\\\\\n"} 1\n{"utf-8 name",} 1\n'), {"escaped": 1, '{"utf-8 name"}': 1}),
    "rtl": (text('rtl{a="\u202e\ufeff"} 1\n'), {"rtl": 1}),
    "om-exemplar-labels-of-900-kb": (om('e_total 1 # {a="' + "x" * 900000 + '"} 1\nbeside_e 1\n# EOF\n'),
                                     {"e_total": 1, "beside_e": 1}),
    "om-exemplars-100000": (om("".join('x_bucket{le="%d"} 1 # {t="%d"} 1 1.5\n' % (i, i) for i in range(100000)) + "# EOF\n"),
                            {"count(x_bucket)": 100000}),
    "om-exemplar-names-twice": (om('f_total 1 # {a="1",a="2"} 1\n# EOF\n'), {"f_total": 1}),
    "om-help-of-900-kb": (om("# HELP h " + "x" * 900000 + "\nh 1\n# EOF\n"), {"h": 1}),
    "om-timestamps": (om("om_past 1 1\nom_last 1 1e300\nom_first 1 -1e300\nom_right 1 %.3f\n# EOF\n" % time.time()),
                      {"om_past": None, "om_last": None, "om_first": None, "om_right": 1, 'up{job="om-timestamps"}': 1}),
    "om-labels-90000": (om("om_many{" + ",".join("l%d=\"v\"" % i for i in range(90000)) + "} 1\nom_beside 1\n# EOF\n"),
                        {"om_many": None, "om_beside": 1}),
    "om-clashing-names": (om("# TYPE d counter\n# TYPE d gauge\nd_total 1\nd 2\nd 3\n# EOF\n"), {"d": 2, "d_total": 1}),
    "type-conflict": (text("# TYPE c counter\n# TYPE c gauge\nc 1\n# TYPE c counter\n# HELP c x\n# HELP c y\n"), {"c": 1}),
}


def test_strange_answers_keep_what_is_good_in_them():
    with folder() as d, Target(lambda path: FINE[path[1:]][0](path)) as t, Belfry(d, job_paths(t, FINE)) as b:
        def wrong():
            errors = last_errors(b)
            out = ["%s: %s" % (n, errors.get(n)) for n in FINE if errors.get(n) != ""]
            for name, (_, facts) in FINE.items():
                for expr, want in facts.items():
                    if b.value(expr) != want:
                        out.append("%s: %s is %r, expected %r" % (name, expr, b.value(expr), want))
            return out
        try:
            wait_for(lambda: b.value("count(up)") == len(FINE) and not wrong(), "all as expected", 15)
        except AssertionError:
            raise AssertionError("\n".join(wrong()))
        assert peak_kib(b) < 200 * 1024, peak_kib(b)


# kind of file: a part of the last error of who needs it
FILES = {"pipe": "is not a regular file", "endless": "is not a regular file", "huge": "is larger than", "folder": "is not a regular file",
         "missing": "no such file", "inner-line-end": "a request header has a line feed"}


def test_files_of_secrets_and_certificates_that_never_end_stop_nobody_else():
    with folder() as d, Target(text("m 1\n")) as t:
        os.mkfifo(d + "/pipe")
        os.symlink("/dev/zero", d + "/endless")
        os.mkdir(d + "/folder")
        with open(d + "/huge", "wb") as f:
            f.truncate(1 << 30)
        with open(d + "/inner-line-end", "w") as f:
            f.write("a\r\nX-Forged: 1\n")
        conf, wanted = config({"good": t.address}), {}
        for kind, words in FILES.items():
            for use, fields in {"bearer": "bearer_token_file: %s", "header": "http_headers: {X: {files: [%s]}}",
                                "password": "basic_auth: {username: u, password_file: %s}", "ca": "tls_config: {ca_file: %s}",
                                "cert": "tls_config: {cert_file: %s, key_file: inner-line-end}"}.items():
                if kind == "inner-line-end" and use in ("password", "ca", "cert"):
                    continue  # base64 has no lines; what is no certificate is the library's to say
                wanted["%s-%s" % (use, kind)] = words
                conf += "- {job_name: '%s-%s', scheme: %s, static_configs: [{targets: ['%s']}], %s}\n" % (
                    use, kind, "https" if use in ("ca", "cert") else "http", t.address, fields % kind)
        with Belfry(d, conf) as b:
            def wrong():
                got = last_errors(b)
                return {n: (got[n], words) for n, words in wanted.items() if words not in got[n]}
            wait_for(lambda: not wrong(), "each says what is wrong with its file")
            wait_for(lambda: (b.value('count_over_time(up{job="good"}[1m])') or 0) >= 3, "others go on")
            assert all("X-Forged" not in headers for _, headers in t.requests)
            assert peak_kib(b) < 200 * 1024, peak_kib(b)


BOMB = gzip.compress(b"m 1\n" + b"\0" * (50 << 20), 9)


class Fleet:
    """Many targets in one thread: /N/metrics is target N. manner(n) is "answer", "hang", "drip" or "bomb"."""

    def __init__(self, manner=lambda n: "answer", body=lambda n: b"m %d\n" % n):
        self.manner, self.body = manner, body
        self.selector = selectors.DefaultSelector()
        self.listener = socket.socket()
        self.listener.bind(("127.0.0.1", 0))
        self.listener.listen(1024)
        self.listener.setblocking(False)
        self.address = "127.0.0.1:%d" % self.listener.getsockname()[1]
        self.selector.register(self.listener, selectors.EVENT_READ)
        self.pending, self.dripping, self.ended = {}, set(), False
        self.thread = threading.Thread(target=self.run, daemon=True)
        self.thread.start()

    def forget(self, conn):
        self.selector.unregister(conn)
        self.pending.pop(conn, None)
        self.dripping.discard(conn)
        conn.close()

    def answer(self, conn):
        data = conn.recv(65536)
        if not data:
            return self.forget(conn)
        data = self.pending.get(conn, b"") + data
        while b"\r\n\r\n" in data:
            request, data = data.split(b"\r\n\r\n", 1)
            n = int(request.split(b"/", 2)[1])
            manner = self.manner(n)
            if manner == "drip":
                conn.sendall(HEAD + b"Content-Length: 1000000\r\n\r\n")
                self.dripping.add(conn)
            elif manner == "bomb":
                conn.sendall(HEAD + b"Content-Encoding: gzip\r\nContent-Length: %d\r\n\r\n" % len(BOMB) + BOMB)
            elif manner == "answer":
                body = self.body(n)
                conn.sendall(HEAD + b"Content-Length: %d\r\n\r\n" % len(body) + body)
        self.pending[conn] = data

    def step(self):
        for key, _ in self.selector.select(0.1):
            if key.fileobj is self.listener:
                conn, _ = self.listener.accept()
                self.selector.register(conn, selectors.EVENT_READ)
                continue
            try:
                self.answer(key.fileobj)
            except OSError:
                self.forget(key.fileobj)
        if time.monotonic() < self.next_drip:
            return
        self.next_drip = time.monotonic() + 0.1
        for conn in list(self.dripping):
            try:
                conn.sendall(b"#")
            except OSError:
                self.forget(conn)

    def run(self):
        self.next_drip = 0
        while not self.ended:
            self.step()

    def config(self, numbers, interval, extra=""):
        """A job a target: t0, t1 ...; each its own path."""
        lines = ["global: {scrape_interval: %s, scrape_timeout: %s}" % (interval, interval), "scrape_configs:",
                 "- job_name: fleet", "  relabel_configs:",
                 "  - {source_labels: [__address__], target_label: __metrics_path__, replacement: '/$1/metrics'}",
                 "  - {source_labels: [__address__], target_label: instance, replacement: 't$1'}",
                 "  - {target_label: __address__, replacement: '%s'}" % self.address]
        lines.append("  static_configs: [{targets: %s}]" % json.dumps(["%d" % n for n in numbers]))
        return "\n".join(lines) + "\n" + extra

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.ended = True
        self.thread.join()
        for key in list(self.selector.get_map().values()):
            key.fileobj.close()


def gaps(b, seconds):
    """Of each series m: its seconds between samples."""
    out = {}
    for s in b.query("m[%ds]" % seconds):
        at = [t for t, _ in s["values"]]
        out[s["metric"]["instance"]] = [round(y - x, 3) for x, y in zip(at, at[1:])]
    return out


def test_targets_that_hang_or_drip_cost_the_others_nothing():
    kinds = ["hang", "hang", "drip"] + ["answer"] * 17
    with folder() as d, Fleet(lambda n: kinds[n % 20]) as fleet:
        with Belfry(d, fleet.config(range(200), "1s")) as b:
            wait_for(lambda: b.value("count(m)") == 170 and b.value("count(up == 0)") == 30, "170 up, 30 down", 10)
            time.sleep(9)
            healthy = gaps(b, 7)
            assert len(healthy) == 170, len(healthy)
            late = {n: g for n, g in healthy.items() if len(g) < 5 or max(g) >= 1.5}
            assert not late, late
            # Those that hang are told so at each interval, not at every other.
            down = b.query("count_over_time(up[8s]) and up == 0")
            few = [(s["metric"]["instance"], s["value"][1]) for s in down if int(s["value"][1]) < 6]
            assert len(down) == 30 and not few, few


def test_healthy_scrapes_begin_on_time_among_a_fifth_that_is_hostile():
    """A10: of 100 targets 10 hang, 5 send a byte at a time, 5 send bombs; 99.9 % of the others' scrapes begin within
    100 ms of their plan. A sample's timestamp is the plan, or when the scrape began if that was later."""
    kinds = ["hang"] * 2 + ["drip", "bomb"] + ["answer"] * 16
    count = max(200, int(1000 * SCALE) // 20 * 20)
    with folder() as d, Fleet(lambda n: kinds[n % 20]) as fleet:
        with Belfry(d, fleet.config(range(count), "2s")) as b:
            healthy = count * 16 // 20
            wait_for(lambda: b.value("count(m)") == healthy and b.value("count(up == 0)") == count - healthy,
                     "%d up, %d down" % (healthy, count - healthy), 30)
            time.sleep(16)
            begun = late = 0
            worst = 0.0
            for s in b.query("m[14s]"):
                at = [t for t, _ in s["values"]]
                begun += len(at)
                assert len(at) >= 6, (s["metric"], at)
                grid = [t % 2 for t in at]
                # The earliest, on a circle: a plan just before the turn is followed by times just after it.
                plan = min(grid) if max(grid) - min(grid) < 1 else min(g for g in grid if g >= 1)
                for g in grid:
                    lateness = (g - plan) % 2
                    worst = max(worst, lateness)
                    late += lateness > 0.1
            assert late * 1000 <= begun, (late, begun, worst)
            print("  %d targets, %d healthy scrapes, %d of them more than 100 ms late, the worst %.0f ms" %
                  (count, begun, late, worst * 1000))
            assert peak_kib(b) < 400 * 1024, peak_kib(b)


def fds(b):
    return len(os.listdir("/proc/%d/fd" % b.proc.pid))


def rss_kib(b):
    with open("/proc/%d/status" % b.proc.pid) as f:
        return next(int(l.split()[1]) for l in f if l.startswith("VmRSS"))


def reload(b, path, conf):
    """Puts the file there whole, as an editor does, and tells the server."""
    with open(path + ".new", "w") as f:
        f.write(conf)
    os.rename(path + ".new", path)
    b.proc.send_signal(signal.SIGHUP)


def test_the_soft_limit_of_descriptors_is_raised():
    import resource
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard < 1024:
        raise Skip("the hard limit of descriptors is %d" % hard)
    with folder() as d, Fleet() as fleet:
        resource.setrlimit(resource.RLIMIT_NOFILE, (256, hard))
        try:
            b = Belfry(d, fleet.config(range(400), "1s"))
        finally:
            resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
        with b:
            wait_for(lambda: b.value("sum(up)") == 400, "400 targets up", 10)


def test_unchanged_targets_miss_no_scrape_through_reloads():
    with folder() as d, Fleet() as fleet:
        always, some = list(range(1800)), lambda i: list(range(1800, 2000)) if i % 2 else list(range(2000, 2100))
        with Belfry(d, fleet.config(always + some(1), "2s")) as b:
            wait_for(lambda: b.value("count(m)") == 2000, "2000 targets", 15)
            t0 = time.monotonic()
            for i in range(20):
                extra = "" if i % 3 else "  metric_relabel_configs: [{target_label: r, replacement: 'x'}]\n"
                extra += "" if i % 5 else "  honor_labels: true\n"
                reload(b, d + "/prometheus.yml", fleet.config(always + some(i), "2s", extra))
                time.sleep(0.4)
            reload(b, d + "/prometheus.yml", fleet.config(always, "2s"))
            wait_for(lambda: b.value("count(up)") == 1800, "1800 targets left", 10)
            seconds = int(time.monotonic() - t0)
            ups = {s["metric"]["instance"]: [t for t, _ in s["values"]] for s in b.query("up[%ds]" % seconds)}
            missed = {}
            for n in always:
                at = ups["t%d" % n]
                if max(y - x for x, y in zip(at, at[1:])) >= 3:
                    missed["t%d" % n] = at
            assert not missed, (len(missed), list(missed.items())[:3])
            assert fds(b) < 1800 + 200, fds(b)
