# SPDX-License-Identifier: Apache-2.0
"""What the differential test lets two servers scrape: a seeded history with explicit timestamps, cut into scrapes.

Both servers store the same samples because every sample carries its timestamp; each server reads through a path of its
own, so that each gets every part once. All timestamps are k * 1000 + 137 ms, which no window of a query ever begins at:
Prometheus 3 leaves the left edge of a window out, 2.42 has it in."""
import random

STEP_MS = 10000
STEPS = 240
STEPS_PER_SCRAPE = 15
SCRAPES = STEPS // STEPS_PER_SCRAPE
SPAN_S = STEPS * STEP_MS // 1000
EDGE_MS = 137

LABELS = {
    "method": ["GET", "POST", "PUT"], "code": ["200", "404", "500"], "room": ["attic", "cellar", "hall"],
    "floor": ["0", "1", "2"], "kind": ["nan", "inf", "ninf", "mixed", "zero", "minus_zero", "tiny", "huge"],
    "device": ["sda", "sdb", "nvme0n1"], "job": ["app", "db"], "instance": ["one", "two"],
    "region": ["eu-west", "us-east"], "version": ["1.0", "1.1"], "le": ["0.1", "0.5", "1.0", "2.5", "+Inf"],
    "quantile": ["0.5", "0.9", "0.99"], "state": ["idle", "busy"],
}
BUCKETS = [0.1, 0.5, 1.0, 2.5, float("inf")]

# name: (labels besides job and instance, level, odd). The level says what two engines must agree on: 2 also on the sum
# of its values in any order (they are small dyadic fractions), 1 on each value. Odd ones have NaN or an infinity.
METRICS = {
    "requests_total": (("method", "code"), 2, False),
    "bytes_total": (("device",), 2, False),
    "errors_total": (("method",), 2, False),
    "temperature_celsius": (("room", "floor"), 1, False),
    "queue_length": (("state",), 2, False),
    "odd_gauge": (("kind",), 1, True),
    "capacity": (("method",), 2, False),
    "node_info": (("region", "version"), 2, False),
    "flapping": (("room",), 2, False),
    "latency_seconds_bucket": (("method", "le"), 2, False),
    "latency_seconds_count": (("method",), 2, False),
    "latency_seconds_sum": (("method",), 2, False),
    "rpc_seconds": (("quantile",), 1, False),
    "partial_bucket": (("le",), 2, False),
}
# Never absent and far from zero at first: 2.42 and 3 limit differently how far rate() may reach back towards a counter's
# zero before its first sample, which only matters after a gap.
GAPLESS = ["requests_total", "bytes_total", "latency_seconds_bucket", "latency_seconds_count", "latency_seconds_sum"]
TYPES = {
    "requests_total": "counter", "bytes_total": "counter", "errors_total": "counter", "temperature_celsius": "gauge",
    "queue_length": "gauge", "odd_gauge": "gauge", "capacity": "gauge", "node_info": "gauge", "flapping": "gauge",
    "latency_seconds": "histogram", "rpc_seconds": "summary", "partial": "untyped",
}


def number(v):
    if v != v:
        return "NaN"
    if v in (float("inf"), float("-inf")):
        return "+Inf" if v > 0 else "-Inf"
    return repr(v)


class Series:
    """One series: a walk, and when it is absent."""

    def __init__(self, rng, name, labels):
        self.rng, self.name, self.labels, self.value, self.present = rng, name, labels, 0.0, True
        self.pace = rng.choice([0.25, 1, 3, 40])
        self.absence = rng.choice([0, 0, 0, 0.02, 0.05]) if name not in GAPLESS + ["node_info"] else 0
        if name == "flapping":
            self.absence = 0.2
        if name.endswith("_total"):
            self.value = float(rng.randrange(1000000, 2000000))
        if name == "bytes_total":
            self.pace, self.value = self.pace * 65536, self.value * 65536
        if name == "temperature_celsius":
            self.value = round(rng.uniform(-20, 40), 2)
        if name == "capacity":
            self.value = float(rng.randrange(1, 50))
        if name == "node_info":
            self.value = 1.0

    def step(self):
        """The next value, None when there is no sample now."""
        rng = self.rng
        if rng.random() < (self.absence if self.present else 0.15):
            self.present = not self.present
        if self.name.endswith("_total"):
            reset = rng.random() < 0.02
            self.value = 0.0 if reset else self.value + self.pace * rng.randrange(0, 8) * (rng.random() < 0.8)
        elif self.name == "temperature_celsius":
            self.value = round(self.value + rng.choice([-1.37, -0.1, 0, 0.1, 0.3, 2.21]), 2)
        elif self.name == "queue_length":
            self.value = float(max(-3, self.value + rng.randrange(-4, 5)))
        elif self.name == "flapping":
            self.value = float(rng.randrange(0, 3))
        elif self.name == "rpc_seconds":
            self.value = round(rng.expovariate(2), 3)
        elif self.name == "odd_gauge":
            self.value = self.odd()
        return self.value if self.present else None

    def odd(self):
        nan, inf = float("nan"), float("inf")
        kind = dict(self.labels)["kind"]
        if kind == "mixed":
            return self.rng.choice([nan, inf, -inf, 0.0, -1.5, 7.0, 0.1])
        return {"nan": nan, "inf": inf, "ninf": -inf, "zero": 0.0, "minus_zero": -0.0, "tiny": 2.5e-308,
                "huge": 1.7e308}[kind]


class Histogram:
    """The bucket, sum and count series of one classic histogram."""

    def __init__(self, rng, labels):
        self.rng, self.labels, self.counts, self.sum = rng, labels, [10000.0 * (i + 1) for i in range(len(BUCKETS))], 50000.0

    def step(self):
        rng = self.rng
        if rng.random() < 0.01:
            self.counts, self.sum = [0.0] * len(BUCKETS), 0.0
        for _ in range(rng.randrange(0, 12)):
            v = rng.choice([0.0625, 0.25, 0.25, 0.75, 2.0, 8.0])
            self.sum += v
            self.counts = [c + (v <= b) for c, b in zip(self.counts, BUCKETS)]
        out = [("latency_seconds_bucket", self.labels + (("le", le),), c) for le, c in zip(LABELS["le"], self.counts)]
        return out + [("latency_seconds_sum", self.labels, self.sum), ("latency_seconds_count", self.labels, self.counts[-1])]


def combinations(rng, names, keep):
    sets = [()]
    for name in names:
        sets = [s + ((name, v),) for s in sets for v in LABELS[name]]
    return [s for s in sets if rng.random() < keep]


class History:
    """bodies[target][k] is the exposition of the k-th scrape of a target."""

    def __init__(self, seed, base_ms, targets):
        self.base_ms = base_ms
        self.bodies = [self.target(random.Random("%d/%s" % (seed, t))) for t in range(targets)]

    def target(self, rng):
        series = []
        for name, (labels, _, _) in METRICS.items():
            if name.startswith("latency_seconds") or name == "node_info":
                continue
            for s in combinations(rng, labels, 1 if name in ("odd_gauge", "capacity") else 0.8):
                series.append(Series(rng, name, s))
        series.append(Series(rng, "node_info", (("region", rng.choice(LABELS["region"])), ("version", "1.0"))))
        histograms = [Histogram(rng, (("method", m),)) for m in LABELS["method"]]
        return [self.scrape(k, series, histograms) for k in range(SCRAPES)]

    def scrape(self, k, series, histograms):
        lines = []
        for name, kind in TYPES.items():
            lines += ["# HELP %s What %s is, with a \\\\ and a\\nline." % (name, name), "# TYPE %s %s" % (name, kind)]
        for step in range(k * STEPS_PER_SCRAPE, (k + 1) * STEPS_PER_SCRAPE):
            at = self.base_ms + step * STEP_MS + EDGE_MS
            samples = [(s.name, s.labels, s.step()) for s in series]
            samples += [sample for h in histograms for sample in h.step()]
            for name, labels, value in samples:
                if value is not None:
                    text = ",".join('%s="%s"' % pair for pair in labels)
                    lines.append("%s%s %s %d" % (name, "{%s}" % text if text else "", number(value), at))
        return "\n".join(lines) + "\n"
