# SPDX-License-Identifier: Apache-2.0
"""http_subject.c as a process: what it serves, and what it does when it is told."""
import os
import queue
import subprocess
import threading

from harness import TOP

PROGRAM = os.environ.get("HTTP_SUBJECT", os.path.join(TOP, "build/release/tests/integration/http_subject"))
LIMIT = 30  # seconds, for what must happen

# What it counts before anybody asks; `le` as Prometheus keeps it in text and by remote write.
VALUES = {
    'app_rows_total': 41, 'app_depth': -2.5, 'app_seconds_count': 100, 'app_seconds_sum': 495,
    'app_seconds_bucket{le="0.1"}': 2, 'app_seconds_bucket{le=~"1|1.0"}': 11, 'app_seconds_bucket{le="+Inf"}': 100,
    'app_wait_seconds_count': 100, 'app_wait_seconds_sum': 4950, 'app_build_info{version="1.2"}': 1,
}


class Subject:
    def __init__(self, env=None, **arguments):
        self.proc = subprocess.Popen([PROGRAM, *("%s=%s" % (k, v) for k, v in arguments.items() if v is not None)],
                                     stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                                     env={**os.environ, **(env or {})})
        self.lines = queue.Queue()
        threading.Thread(target=lambda: [self.lines.put(line) for line in self.proc.stdout], daemon=True).start()
        if "address" in arguments or "own" in arguments:
            line = self.line()
            assert line.startswith("listening "), line
            self.address = line.split()[1]
            self.port = int(self.address.rsplit(":", 1)[1])

    def line(self):
        return self.lines.get(timeout=LIMIT).rstrip("\n")

    def tell(self, word):
        self.proc.stdin.write(word + "\n")
        self.proc.stdin.flush()
        return self.line()

    def stats(self):
        return {k: int(v) for k, v in (w.split("=") for w in self.tell("stats").split()[1:])}

    def end(self):
        """(exit code, what it printed since)"""
        self.proc.stdin.write("exit\n")
        self.proc.stdin.close()
        code = self.proc.wait(LIMIT)
        out = []
        while not self.lines.empty():
            out.append(self.lines.get())
        return code, "".join(out)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.proc.kill()
        self.proc.wait()


def memory_kib(pid, what="VmHWM"):
    with open("/proc/%d/status" % pid) as f:
        return next(int(line.split()[1]) for line in f if line.startswith(what))
