# SPDX-License-Identifier: Apache-2.0
"""What integration tests share: starting servers on free loopback ports, asking them, waiting for a fact."""
import contextlib
import http.client
import http.server
import json
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import threading
import time
import urllib.parse

TOP = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
BELFRY = os.environ.get("BELFRY", os.path.join(TOP, "build/bin/belfry"))
SCALE = float(os.environ.get("TEST_SCALE", "1"))


class Skip(Exception):
    """Something that the test needs is not on this machine."""


def need(program):
    path = shutil.which(program)
    if not path:
        raise Skip(program + " is not installed")
    return path


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def wait_for(fact, what, seconds=15.0, pause=0.05):
    """Calls fact() until it returns something true, which is returned; fails with `what` after `seconds`."""
    end = time.monotonic() + seconds
    last = None
    while time.monotonic() < end:
        try:
            last = fact()
            if last:
                return last
        except (OSError, http.client.HTTPException, ValueError, KeyError) as e:
            last = e
        time.sleep(pause)
    raise AssertionError("%s: not within %g s (last: %r)" % (what, seconds, last))


@contextlib.contextmanager
def folder():
    path = tempfile.mkdtemp(prefix="belfry-test-")
    try:
        yield path
    finally:
        shutil.rmtree(path, ignore_errors=True)


class Process:
    """A program with its output in a file; stopped at the end of the with block."""

    def __init__(self, argv, cwd, env=None, name="process"):
        self.log_path = os.path.join(cwd, "%s-%d.log" % (name, time.monotonic_ns()))
        self.log = open(self.log_path, "wb")
        self.proc = subprocess.Popen(argv, cwd=cwd, env={**os.environ, **(env or {})}, stdin=subprocess.DEVNULL,
                                     stdout=self.log, stderr=self.log)

    def output(self):
        with open(self.log_path, errors="replace") as f:
            return f.read()

    def alive(self):
        return self.proc.poll() is None

    def stop(self, sig=signal.SIGTERM, seconds=20):
        if self.alive():
            self.proc.send_signal(sig)
            try:
                self.proc.wait(seconds)
            except subprocess.TimeoutExpired:
                self.proc.kill()
                self.proc.wait()
                raise AssertionError("did not stop within %d s:\n%s" % (seconds, self.output()[-2000:]))
        self.log.close()
        return self.proc.returncode

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.proc.kill()
        self.proc.wait()
        self.log.close()


class Belfry(Process):
    """One server; `config` is the text of prometheus.yml (None = the built-in configuration)."""

    def __init__(self, cwd, config=None, flags=(), port=None, data="data", ready=True):
        self.port = port or free_port()
        argv = [BELFRY, "server", "--storage.tsdb.path=" + os.path.join(cwd, data),
                "--web.listen-address=127.0.0.1:%d" % self.port]
        if config is not None:
            path = os.path.join(cwd, "prometheus.yml")
            with open(path, "w") as f:
                f.write(config)
            argv.append("--config.file=" + path)
        super().__init__(argv + list(flags), cwd, name="belfry")
        if ready:
            try:
                wait_for(self.is_ready, "ready", 15, 0.01)
            except AssertionError as e:
                raise AssertionError("%s\n%s" % (e, self.output()[-3000:]))

    def is_ready(self):
        if not self.alive():
            raise AssertionError("ended with %s:\n%s" % (self.proc.returncode, self.output()[-3000:]))
        return self.get("/-/ready")[0] == 200

    def request(self, method, path, body=None, headers=None, timeout=60):
        c = http.client.HTTPConnection("127.0.0.1", self.port, timeout=timeout)
        try:
            c.request(method, path, body, headers or {})
            r = c.getresponse()
            return r.status, r.read(), dict(r.getheaders())
        finally:
            c.close()

    def get(self, path, **args):
        if args:
            path += "?" + urllib.parse.urlencode(args, doseq=True)
        status, body, _ = self.request("GET", path)
        return status, body

    def api(self, path, **args):
        """The data of a successful answer."""
        status, body = self.get("/api/v1/" + path, **args)
        answer = json.loads(body)
        assert status == 200 and answer["status"] == "success", (status, answer)
        return answer["data"]

    def query(self, expr, **args):
        return self.api("query", query=expr, **args)["result"]

    def value(self, expr, **args):
        """The value of the first series, None when there is none."""
        r = self.query(expr, **args)
        return float(r[0]["value"][1]) if r else None

    def moment(self, series):
        """A time, in seconds, before which `series` gets no more samples: a scrape that began
        before now can still be on its way, so one that began after now is waited for."""
        now = time.time()
        wait_for(lambda: any(r["values"][-1][0] > now for r in self.query(series + "[1m]")), "a later sample of " + series, 30)
        return now


class Target:
    """A scrape target in this process: answer(path) -> (status, headers, body) or a function of the raw socket."""

    def __init__(self, answer):
        self.answer, self.requests = answer, []
        outer = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self):
                outer.requests.append((self.path, dict(self.headers)))
                reply = outer.answer(self.path)
                if callable(reply):
                    self.close_connection = True
                    with contextlib.suppress(OSError):
                        reply(self.connection)
                    return
                status, headers, body = reply
                body = body.encode() if isinstance(body, str) else body
                self.send_response(status)
                for name, value in {"Content-Type": "text/plain; version=0.0.4", **headers}.items():
                    self.send_header(name, value)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                with contextlib.suppress(OSError):
                    self.wfile.write(body)

            def log_message(self, *_):
                pass

        class Server(http.server.ThreadingHTTPServer):
            daemon_threads = True
            request_queue_size = 128

            def handle_error(self, *_):
                pass  # a client that goes away is what some tests are about

        self.server = Server(("127.0.0.1", 0), Handler)
        self.port = self.server.server_address[1]
        self.address = "127.0.0.1:%d" % self.port
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.server.shutdown()
        self.server.server_close()


def text(body):
    """An answer function that always gives this exposition text."""
    return lambda path: (200, {}, body() if callable(body) else body)


def config(jobs, interval="1s", extra=""):
    """A prometheus.yml with static jobs: {name: address or list of addresses}."""
    lines = ["global:", "  scrape_interval: " + interval, "  scrape_timeout: " + interval, extra, "scrape_configs:"]
    for name, addresses in jobs.items():
        addresses = [addresses] if isinstance(addresses, str) else addresses
        lines += ["- job_name: '%s'" % name, "  static_configs:", "  - targets: %s" % json.dumps(addresses)]
    return "\n".join(lines) + "\n"


def run(*argv, cwd=None, stdin=None, env=None, timeout=60):
    """(exit status, stdout, stderr) of a command."""
    p = subprocess.run([str(a) for a in argv], cwd=cwd, input=stdin, capture_output=True, text=True, timeout=timeout,
                       env={**os.environ, **(env or {})})
    return p.returncode, p.stdout, p.stderr
