# SPDX-License-Identifier: Apache-2.0
"""imgforge's caches on other hosts: Valkey (Debian's redis-server) and S3 (s3_service.py), through cache_subject.c, which does one thing at a time
and says what came of it. Faults are real: refused connections, silence, half answers, wrong keys, kill -9. Timeouts are 2 s where nothing
is to time out; a limit of a test is never nearer than several times what is expected."""
import contextlib
import http.client
import json
import os
import queue
import signal
import socket
import socketserver
import subprocess
import sys
import threading
import time

from harness import Process, Skip, TOP, Target, folder, free_port, need, wait_for
from s3_service import S3
from test_access import certificate

sys.path.insert(0, os.path.join(TOP, "bench"))
from imgforge_soak import png  # noqa: E402

IMGFORGE = os.environ.get("IMGFORGE", os.path.join(TOP, "build/release/services/imgforge/imgforge"))
SUBJECT = os.environ.get("CACHE_SUBJECT", os.path.join(TOP, "build/release/tests/integration/cache_subject"))
PASSWORD = "hunter2/%+"
ESCAPED = "hunter2%2F%25%2B"
LIMIT = 60


class Subject:
    def __init__(self, cwd, kind, url=None, ready=True, **env):
        if not os.path.exists(SUBJECT):
            raise Skip("cache_subject is not built")
        self.log_path = os.path.join(cwd, "cache-%d.log" % time.monotonic_ns())
        self.log = open(self.log_path, "wb")
        clean = {k: v for k, v in os.environ.items() if not k.startswith("S3_")}
        self.proc = subprocess.Popen([SUBJECT, kind, *([url] if url else [])], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                     stderr=self.log, text=True, env={**clean, **env})
        self.lines = queue.Queue()
        threading.Thread(target=lambda: [self.lines.put(line) for line in self.proc.stdout], daemon=True).start()
        self.first = self.lines.get(timeout=LIMIT).rstrip("\n")
        assert not ready or self.first == "ready", self.first

    def tell(self, *words):
        """What it answers, without the milliseconds; they are in self.ms."""
        self.proc.stdin.write(" ".join(map(str, words)) + "\n")
        self.proc.stdin.flush()
        line = self.lines.get(timeout=LIMIT).rstrip("\n")
        head, _, why = line.partition(": ")
        parts = head.split()
        self.ms = int(parts.pop())
        return " ".join(parts) + (": " + why if why else "")

    def put(self, n, size=1000):
        got = self.tell("put", n, size)
        assert got == "put", got

    def has(self, n, size=1000):
        got = self.tell("get", n)
        assert got in ("miss", "hit %d" % size), got
        return got != "miss"

    def is_up(self):
        return self.tell("check") == "up"

    def events(self, name=None):
        with open(self.log_path) as f:
            all_of_it = [json.loads(line) for line in f if line.startswith("{")]
        return [e for e in all_of_it if name in (None, e["event"])]

    def end(self):
        """It ends by itself, cleanly (a sanitizer would say so)."""
        self.proc.stdin.close()
        code = self.proc.wait(LIMIT)
        assert code == 0, (code, open(self.log_path).read()[-3000:])
        text = open(self.log_path).read()
        assert "hunter2" not in text and "wJalrXUtnFEMI" not in text, "a secret is in the log"

    def __enter__(self):
        return self

    def __exit__(self, kind, *_):
        try:
            if kind is None:
                self.end()
        finally:
            self.proc.kill()
            self.proc.wait()
            self.log.close()


class Redis(Process):
    def __init__(self, cwd, port=None, *flags):
        need("redis-server")
        self.port = port or free_port()
        super().__init__(["redis-server", "--port", str(self.port), "--bind", "127.0.0.1", "--save", "", "--appendonly", "no",
                          "--dir", cwd, *flags], cwd, name="redis")
        if "--tls-port" not in flags:
            wait_for(lambda: self.ask("PING"), "redis answers")

    def ask(self, *words, password=None):
        with socket.create_connection(("127.0.0.1", self.port), 10) as s:
            f = s.makefile("rb")
            for command in ([("AUTH", password)] if password else []) + [words]:
                parts = [w if isinstance(w, bytes) else str(w).encode() for w in command]
                s.sendall(b"*%d\r\n" % len(parts) + b"".join(b"$%d\r\n%s\r\n" % (len(p), p) for p in parts))
                line = f.readline().rstrip(b"\r\n")
                if line[:1] == b"$" and int(line[1:]) >= 0:
                    line = f.read(int(line[1:]) + 2)[:-2]
                elif line[:1] == b"*":
                    line = [f.read(int(f.readline()[1:]) + 2)[:-2] for _ in range(int(line[1:]))]
            return line


@contextlib.contextmanager
def tcp_service(talk):
    """A port where talk(connection) is what every client gets."""
    class Handler(socketserver.BaseRequestHandler):
        def handle(self):
            with contextlib.suppress(OSError):
                talk(self.request)

    class Server(socketserver.ThreadingTCPServer):
        daemon_threads = True
        allow_reuse_address = True
        request_queue_size = 128

        def handle_error(self, *_):
            pass

    with Server(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
        try:
            yield server.server_address[1]
        finally:
            server.shutdown()


def silence(connection):
    while connection.recv(65536):
        pass


def valkey_url(port, more="", auth=""):
    return "valkey://%slocalhost:%d%s" % (auth, port, more or "?timeout_ms=2000")


# --- Valkey ---

def test_valkey_keeps_results():
    with folder() as d, Redis(d) as redis, Subject(d, "valkey", valkey_url(redis.port, "/3?prefix=pix:&ttl=500&timeout_ms=2000")) as c:
        assert c.is_up() and not c.has(1)
        for n, size in ((1, 1), (2, 1000), (3, 65536), (4, 3_000_000), (5, 0)):
            c.put(n, size)
            assert c.has(n, size), n
        with Subject(d, "valkey", valkey_url(redis.port, "/3?prefix=pix:&timeout_ms=2000")) as other:
            assert other.has(4, 3_000_000), "another process finds it"
        with Subject(d, "valkey", valkey_url(redis.port, "/4?prefix=pix:&timeout_ms=2000")) as other:
            assert not other.has(4), "another database"
        assert redis.ask("DBSIZE") == b":0"
        text = subprocess.run(["redis-cli", "-p", str(redis.port), "-n", "3", "keys", "*"], capture_output=True, text=True).stdout
        keys = text.split()
        assert len(keys) == 5 and all(k.startswith("pix:") and len(k) == 68 for k in keys), keys
        ttl = int(subprocess.run(["redis-cli", "-p", str(redis.port), "-n", "3", "ttl", keys[0]], capture_output=True, text=True).stdout)
        assert 400 < ttl <= 500, ttl


def test_valkey_passwords():
    with folder() as d, Redis(d, None, "--requirepass", PASSWORD) as redis:
        redis.ask("ACL", "SETUSER", "pix", "on", ">" + PASSWORD, "~*", "+@all", password=PASSWORD)
        for auth in (":%s@" % ESCAPED, "pix:%s@" % ESCAPED, "default:%s@" % ESCAPED):
            with Subject(d, "valkey", valkey_url(redis.port, auth=auth)) as c:
                c.put(1)
                assert c.is_up() and c.has(1), auth
        for auth in (":hunter2@", "pix:hunter2@", ""):
            with Subject(d, "valkey", valkey_url(redis.port, auth=auth)) as c:
                assert not c.has(1)
                got = c.tell("check")
                assert got.startswith("down: localhost:%d: it refuses" % redis.port), got
                assert not c.has(1) and not c.is_up()
                assert len(c.events("cache_unavailable")) == 1, c.events()


def test_valkey_that_does_not_know_passwords_does_not_spread_them():
    """As Redis answers whose AUTH was renamed: "-ERR unknown command 'AUTH', with args beginning with: 'pix' 'hunter2' "."""
    def talk(connection):
        while words := connection.recv(65536).split(b"\r\n"):
            connection.sendall(b"-ERR unknown command '%s', with args beginning with: %s\r\n"
                               % (words[2], b" ".join(b"'%s'" % w for w in words[4::2])))

    with folder() as d, tcp_service(talk) as port, Subject(d, "valkey", valkey_url(port, auth="pix:hunter2@")) as c:
        got = c.tell("check")
        assert got == "down: localhost:%d: it refuses AUTH: ERR" % port, got
        for n in range(4):
            assert not c.has(n)
        assert len(c.events("cache_unavailable")) == 1


def test_valkey_over_tls():
    need("openssl")
    with folder() as d:
        cert, key = certificate(d, "redis")
        wrong, _ = certificate(d, "stranger")
        port = free_port()
        with Redis(d, free_port(), "--tls-port", str(port), "--tls-cert-file", cert, "--tls-key-file", key, "--tls-ca-cert-file", cert,
                   "--tls-auth-clients", "no") as redis:
            wait_for(lambda: redis.ask("PING"), "redis answers")
            with Subject(d, "valkey", "rediss://localhost:%d?timeout_ms=5000&ca=%s" % (port, cert)) as c:
                c.put(1, 200_000)
                assert c.has(1, 200_000) and c.is_up()
            with Subject(d, "valkey", "rediss://localhost:%d?timeout_ms=5000&ca=%s" % (port, wrong)) as c:
                got = c.tell("check")
                assert "certificate is not trusted" in got, got
            with Subject(d, "valkey", "rediss://127.0.0.2:%d?timeout_ms=5000&ca=%s" % (port, cert)) as c:
                assert not c.is_up() and not c.has(1)


def key_names(redis):
    return redis.ask("KEYS", "*")


def test_valkey_entries_that_are_not_ours_are_misses():
    """Torn, changed, of another key, of another kind: a miss, and what is written next is found."""
    with folder() as d, Redis(d) as redis, Subject(d, "valkey", valkey_url(redis.port)) as c:
        c.put(1)
        name = key_names(redis)[0]
        whole = redis.ask("GET", name)
        c.put(2, 77)
        other = [k for k in key_names(redis) if k != name][0]
        bad = [whole[:i] for i in range(0, len(whole), 97)] + [whole[:40] + b"X" + whole[41:], whole + b"X", redis.ask("GET", other)]
        for value in bad:
            redis.ask("SET", name, value)
            assert not c.has(1)
            assert redis.ask("EXISTS", name) == b":0", "what is torn goes"
            c.put(1)
            assert c.has(1)
        for command in (("LPUSH", name, "x"), ("HSET", name, "a", "b"), ("SADD", name, "x")):
            redis.ask("DEL", name)
            redis.ask(*command)
            assert not c.has(1)
            c.put(1)
            assert c.has(1)
        assert c.is_up() and not c.events("cache_unavailable")


def test_valkey_that_is_full_is_still_read():
    with folder() as d, Redis(d) as redis, Subject(d, "valkey", valkey_url(redis.port)) as c:
        c.put(1)
        redis.ask("CONFIG", "SET", "maxmemory", "1")
        for _ in range(5):
            got = c.tell("put", 2, 1000)
            assert got.startswith("not put: localhost:%d: it refuses SET: OOM" % redis.port), got
        assert c.has(1) and c.is_up() and not c.events("cache_unavailable")
        redis.ask("CONFIG", "SET", "maxmemory", "0")
        redis.ask("REPLICAOF", "127.0.0.1", "1")
        redis.ask("CONFIG", "SET", "replica-serve-stale-data", "yes")
        got = c.tell("put", 2, 1000)
        assert "READONLY" in got, got
        assert c.has(1) and not c.events("cache_unavailable")


def test_valkey_too_large_values_are_not_taken():
    with folder() as d, Redis(d) as redis, Subject(d, "valkey", valkey_url(redis.port, "?timeout_ms=10000")) as c:
        got = c.tell("put", 1, 70_000_000)
        assert got == "not put: a result of 70000000 bytes is too large for the cache", got
        c.put(1)
        redis.ask("SETRANGE", key_names(redis)[0], 80_000_000, "x")
        assert not c.has(1)
        c.put(1)
        assert c.has(1) and not c.events("cache_unavailable")


def test_valkey_that_is_not_there_costs_nothing():
    with folder() as d, Subject(d, "valkey", valkey_url(free_port(), "?timeout_ms=300")) as c:
        for n in range(200):
            assert not c.has(n)
            assert c.tell("put", n, 10).startswith("not put")
        assert len(c.events("cache_unavailable")) == 1
        assert len(c.events("cache_read_failed")) < 20, "left alone"


def test_valkey_that_hangs_costs_a_few_timeouts():
    with folder() as d, tcp_service(silence) as port, Subject(d, "valkey", valkey_url(port, "?timeout_ms=300")) as c:
        waited = 0
        for n in range(200):
            assert not c.has(n)
            waited += c.ms >= 250
        assert 3 <= waited <= 10, waited
        assert "did not answer in time" in c.events("cache_unavailable")[0]["reason"]
        assert c.tell("check").startswith("down")


def test_valkey_connections_that_were_forgotten_cost_one_timeout():
    """A firewall between has forgotten those that were kept: nothing comes back on them, not even that they are closed."""
    forgotten = threading.Event()

    def talk(connection):
        is_old = not forgotten.is_set()
        while connection.recv(65536):
            time.sleep(0.02)
            if not (is_old and forgotten.is_set()):
                connection.sendall(b"$-1\r\n")

    with folder() as d, tcp_service(talk) as port, Subject(d, "valkey", valkey_url(port, "?timeout_ms=1000")) as c:
        c.tell("storm", 8, 10, 5)
        forgotten.set()
        waited = 0
        for n in range(20):
            assert not c.has(n)
            waited += c.ms >= 900
        assert waited == 1, waited
        assert c.is_up() and not c.events("cache_unavailable")


def test_valkey_that_dribbles_does_not_hold_anybody():
    """A byte every 50 ms, each in time for a timeout of reads: the deadline is of the whole."""
    def dribble(connection):
        connection.recv(65536)
        for byte in b"$1000000\r\n" + b"x" * 1000:
            connection.sendall(bytes([byte]))
            time.sleep(0.05)

    with folder() as d, tcp_service(dribble) as port, Subject(d, "valkey", valkey_url(port, "?timeout_ms=500")) as c:
        assert not c.has(1)
        assert 450 <= c.ms < 10_000, c.ms


def test_valkey_answers_that_are_none_are_misses():
    answers = [b"HTTP/1.1 200 OK\r\n\r\n", b"*2\r\n$1\r\na\r\n$1\r\nb\r\n", b"*2000000000\r\n", b"$9999999999999999999999\r\n", b"$5\r\nab", b"\0" * 100,
               b":12\r\n", b"+OK\r\n", b"$-5\r\n", b"*" * 5000, b"-LOADING Redis is loading the dataset in memory\r\n", b""]
    for answer in answers:
        def talk(connection, answer=answer):
            connection.recv(65536)
            connection.sendall(answer)
        with folder() as d, tcp_service(talk) as port, Subject(d, "valkey", valkey_url(port, "?timeout_ms=2000")) as c:
            for n in range(4):
                assert not c.has(n), answer
            if answer != b"+OK\r\n":
                assert c.tell("put", 1, 10).startswith("not put"), answer


def test_valkey_killed_and_restarted_in_the_middle():
    with folder() as d:
        port = free_port()
        with Redis(d, port) as redis, Subject(d, "valkey", valkey_url(port, "?timeout_ms=1000")) as c:
            c.put(1000)
            storm = threading.Thread(target=lambda: c.tell("storm", 8, 3000, 40))
            storm.start()
            wait_for(lambda: int(redis.ask("DBSIZE")[1:]) > 5, "the storm writes")
            redis.stop(signal.SIGKILL)
            with Redis(d, port) as again:
                storm.join(LIMIT)
                assert not storm.is_alive()
                wait_for(c.is_up, "it is found again")
                assert not c.has(1000), "it forgot"
                c.put(1000)
                assert c.has(1000)
                # Connections that were kept are tried once more: a restart between requests is not seen.
                again.stop(signal.SIGKILL)
                with Redis(d, port):
                    assert not c.has(1000)
                    c.put(1000)
                    assert c.has(1000)


def test_valkey_many_at_once_use_few_connections():
    with folder() as d, Redis(d) as redis, Subject(d, "valkey", valkey_url(redis.port, "?timeout_ms=10000&connections=3")) as c:
        got = c.tell("storm", 32, 100, 20).split()
        assert int(got[1]) > 2000 and int(got[2]) < 1200, got
        line = [w for w in redis.ask("INFO", "stats").split() if w.startswith(b"total_connections_received:")][0]
        assert int(line.split(b":")[1]) < 20, line


# --- S3 ---

def s3_env(s, **more):
    return {"S3_ENDPOINT": s.url, "S3_ACCESS_KEY": s.access, "S3_SECRET_KEY": s.secret, "S3_REGION": s.region, **more}


def test_s3_keeps_results():
    with folder() as d, S3() as s, Subject(d, "s3", "s3://pictures/some/prefix?timeout_ms=5000", **s3_env(s)) as c:
        assert c.is_up() and not c.has(1)
        for n, size in ((1, 1), (2, 1000), (3, 65536), (4, 3_000_000), (5, 0)):
            c.put(n, size)
            assert c.has(n, size), n
        assert len(s.objects["pictures"]) == 5
        assert all(k.startswith("some/prefix/") and len(k) == 12 + 64 for k in s.objects["pictures"])
        with Subject(d, "s3", None, **s3_env(s, S3_BUCKET="pictures")) as other:
            assert not other.has(4), "no prefix"
        with Subject(d, "s3", "s3://pictures/some/prefix/?endpoint=%s&region=%s&timeout_ms=5000" % (s.url, s.region),
                     S3_ACCESS_KEY=s.access, S3_SECRET_KEY=s.secret) as other:
            assert other.has(4, 3_000_000)
        assert s.connections <= 3, "kept between requests"


def test_s3_at_an_address_of_ipv6():
    try:
        socket.create_server(("::1", 0), family=socket.AF_INET6).close()
    except OSError as e:
        raise Skip("no IPv6 here: %s" % e)
    with folder() as d, S3(host="::1") as s, Subject(d, "s3", "s3://pictures?timeout_ms=5000", **s3_env(s)) as c:
        got = c.tell("check")
        assert got == "up", got
        c.put(1, 2_000_000)
        assert c.has(1, 2_000_000)


def test_s3_with_a_session_token_and_tls():
    need("openssl")
    with folder() as d:
        cert, key = certificate(d, "s3")
        with S3(token="hunter2token", certificate=(cert, key)) as s:
            url = "s3://pictures?timeout_ms=10000&ca=" + cert
            with Subject(d, "s3", url, **s3_env(s, S3_SESSION_TOKEN="hunter2token")) as c:
                c.put(1)
                assert c.has(1) and c.is_up(), c.events()
            with Subject(d, "s3", url, **s3_env(s, S3_SESSION_TOKEN="stale")) as c:
                assert "403 InvalidToken" in c.tell("check")
            with Subject(d, "s3", "s3://pictures?timeout_ms=10000", **s3_env(s, S3_SESSION_TOKEN="hunter2token")) as c:
                assert c.tell("check").startswith("down"), "a certificate that nobody vouches for"


def test_s3_refusals():
    """Wrong keys, bucket, region: unavailable, in S3's word for it, and nothing of what was signed."""
    with folder() as d, S3() as s:
        for change, url, word in (({"S3_ACCESS_KEY": "AKIDOTHER"}, "s3://pictures", "403 InvalidAccessKeyId"),
                                  ({"S3_SECRET_KEY": "hunter2"}, "s3://pictures", "403 SignatureDoesNotMatch"),
                                  ({}, "s3://elsewhere", "404 NoSuchBucket")):
            with Subject(d, "s3", url + "?timeout_ms=5000", **{**s3_env(s), **change}) as c:
                got = c.tell("check")
                assert got == "down: localhost:%d: it answered %s" % (s.port, word), got
                assert c.tell("put", 1, 10).endswith(word) and not c.has(1)
                assert len(c.events("cache_unavailable")) == 1
                assert not any("secret stuff" in json.dumps(e) for e in c.events())


def test_s3_without_the_right_to_list_has_misses():
    with folder() as d, S3(deny_absent=True) as s, Subject(d, "s3", "s3://pictures?timeout_ms=5000", **s3_env(s)) as c:
        for n in range(5):
            assert not c.has(n)
        c.put(1)
        assert c.has(1) and c.is_up() and not c.events("cache_unavailable")


def test_s3_objects_that_are_torn_are_misses():
    with folder() as d, S3() as s, Subject(d, "s3", "s3://pictures?timeout_ms=5000", **s3_env(s)) as c:
        c.put(1)
        (name, whole), = s.objects["pictures"].items()
        for bad in (b"", whole[:50], whole[:-1], whole[:40] + b"X" + whole[41:], b"<html>", whole + b"X"):
            s.objects["pictures"][name] = bad
            assert not c.has(1), bad
            c.put(1)
            assert c.has(1)
        s.objects["pictures"][name] = b"x" * 70_000_000
        assert not c.has(1)
        assert not c.events("cache_unavailable")


def test_s3_faults_cost_a_few_timeouts():
    def silent(handler):
        time.sleep(3)
        return True

    def half(handler):
        handler.wfile.write(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\nabc")
        return True

    def slow_down(handler):
        handler.fail(503, "SlowDown")
        return True

    def endless_head(handler):
        for i in range(20000):
            handler.wfile.write(b"X-Header-%d: %s\r\n" % (i, b"x" * 100))
        return True

    for fault in (silent, half, slow_down, endless_head):
        with folder() as d, S3() as s, Subject(d, "s3", "s3://pictures?timeout_ms=500", **s3_env(s)) as c:
            s.fault = fault
            waited = 0
            for n in range(100):
                assert not c.has(n)
                waited += c.ms >= 400
            assert waited <= 10, (fault, waited)
            assert len(c.events("cache_unavailable")) == 1, fault
            s.fault = None
            wait_for(c.is_up, "it is found again", 30)
            c.put(1)
            assert c.has(1)


def test_s3_that_goes_and_comes_back():
    with folder() as d, S3() as s, Subject(d, "s3", "s3://pictures?timeout_ms=2000", **s3_env(s)) as c:
        c.put(1)
        s.stop()
        port, objects = s.port, s.objects
        for n in range(50):
            c.has(n)
        with S3(port=port) as again:
            again.objects = objects
            wait_for(c.is_up, "it is found again")
            assert c.has(1)
            got = c.tell("storm", 16, 20, 10).split()
            assert int(got[1]) > 100, got


# --- the program ---

def imgforge(d, origin, **env):
    """(process, port) of an imgforge that caches as env says."""
    if not os.path.exists(IMGFORGE):
        raise Skip("imgforge is not built")
    port = free_port()
    clean = {"IMGFORGE_BIND": "127.0.0.1:%d" % port, "IMGFORGE_KEY": "aa", "IMGFORGE_SALT": "bb", "IMGFORGE_ALLOW_UNSIGNED": "true",
             "IMGFORGE_ALLOW_LOOPBACK_SOURCE_ADDRESSES": "true", "READY_MIN_DISK_BYTES": "1", "READY_MAX_MEM_RATIO": "1", "NO_PROXY": "*", **env}
    p = Process([IMGFORGE], d, clean, name="imgforge")
    wait_for(lambda: ask(port, "/status")[0] == 200, "imgforge answers", 30)
    return p, port


def ask(port, path):
    c = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    try:
        c.request("GET", path)
        r = c.getresponse()
        return r.status, r.read(), r.getheader("Cache-Status")
    finally:
        c.close()


def shared_by_two(d, origin, env):
    path = "/unsafe/rs:fit:20:20/plain/http://%s/a.png@png" % origin.address
    one, first = imgforge(d, origin, **env)
    two, second = imgforge(d, origin, **env)
    with one, two:
        status, body, cached = ask(first, path)
        assert (status, cached) == (200, "MISS"), (status, cached, body[:200])
        wait_for(lambda: ask(first, path)[2] == "HIT", "it is kept")
        assert ask(second, path) == (200, body, "HIT")
        assert len(origin.requests) == 1, origin.requests
        assert b'cache_hits_total{cache_type="%s"}' % env["IMGFORGE_CACHE_TYPE"].encode() in ask(second, "/metrics")[1]
        wait_for(lambda: ask(second, "/ready")[0] == 200, "ready", 30)
        yield second, path, body
        assert one.stop() == 0 and two.stop() == 0
        for p in (one, two):
            assert "hunter2" not in p.output() and "wJalrXUtnFEMI" not in p.output()


def test_two_imgforges_share_a_valkey_and_outlive_it():
    with folder() as d, Redis(d, None, "--requirepass", PASSWORD) as redis, Target(lambda _: (200, {"Content-Type": "image/png"}, png(40, 30, 1))) as origin:
        env = {"IMGFORGE_CACHE_TYPE": "valkey", "IMGFORGE_CACHE_URL": valkey_url(redis.port, auth=":%s@" % ESCAPED)}
        for port, path, body in shared_by_two(d, origin, env):
            redis.stop(signal.SIGKILL)
            for _ in range(20):
                assert ask(port, path)[:2] == (200, body), "made anew"
            wait_for(lambda: ask(port, "/ready")[0] == 503, "not ready", 30)
            assert b'"cache":false' in ask(port, "/ready")[1]


def test_a_cache_that_hangs_holds_nobody_beyond_his_time():
    told = threading.Event()
    with folder() as d, tcp_service(lambda c: told.wait(LIMIT)) as port, Target(lambda _: (200, {"Content-Type": "image/png"}, png(40, 30, 1))) as origin:
        p, at = imgforge(d, origin, IMGFORGE_CACHE_TYPE="valkey", IMGFORGE_CACHE_URL=valkey_url(port, "?timeout_ms=10000"), IMGFORGE_TIMEOUT="1")
        with p:
            began, got = time.monotonic(), []
            paths = ["/unsafe/rs:fit:20:20/cb:%d/plain/http://%s/a.png@png" % (i % 20, origin.address) for i in range(40)]  # of 16 that look
            clients = [threading.Thread(target=lambda path=path: got.append(ask(at, path)[:2])) for path in paths]
            for c in clients:
                c.start()
            for c in clients:
                c.join(LIMIT)
            told.set()
            assert got == [(408, b"Request Timeout")] * 40, got
            assert time.monotonic() - began < 9, "all were told while it hung"
            assert p.stop() == 0


def test_who_asks_while_it_is_being_kept_has_it_from_there():
    kept = threading.Event()

    def talk(connection):  # knows nothing, and takes its time to write
        while request := connection.recv(65536):
            if b"SET" in request:
                kept.wait(LIMIT)
            connection.sendall(b"+OK\r\n" if b"SET" in request else b"$-1\r\n")
    with folder() as d, tcp_service(talk) as port, Target(lambda _: (200, {"Content-Type": "image/png"}, png(40, 30, 1))) as origin:
        p, at = imgforge(d, origin, IMGFORGE_CACHE_TYPE="valkey", IMGFORGE_CACHE_URL=valkey_url(port, "?timeout_ms=10000"))
        with p:
            path = "/unsafe/rs:fit:20:20/plain/http://%s/a.png@png" % origin.address
            got = [ask(at, path) for _ in range(5)]
            kept.set()
            assert got[0][0] == 200 and got == [got[0]] * 5, [g[0] for g in got]
            assert len(origin.requests) == 1, origin.requests
            assert p.stop() == 0


def test_two_imgforges_share_a_bucket():
    with folder() as d, S3() as s, Target(lambda _: (200, {"Content-Type": "image/png"}, png(40, 30, 1))) as origin:
        env = {"IMGFORGE_CACHE_TYPE": "s3", "IMGFORGE_CACHE_URL": "s3://pictures/thumbs?timeout_ms=5000", **s3_env(s)}
        for port, path, body in shared_by_two(d, origin, env):
            s.fault = lambda handler: handler.fail(503, "SlowDown") or True
            assert ask(port, path)[:2] == (200, body), "made anew"
