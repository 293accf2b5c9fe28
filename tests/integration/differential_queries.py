# SPDX-License-Identifier: Apache-2.0
"""Seeded random PromQL about the metrics of differential_data, where Prometheus 2.42 and 3 must give the same answer.

Each expression has a level: 2 = exact, and sums of it in any order are exact; 1 = both engines compute the same bits;
0 = they may differ in the last digits (averages, logarithms, extrapolation). What would turn a last digit into another
answer (comparison, rounding, ranking, division) only takes level 1 or 2, so no difference needs an excuse.
Every time is a multiple of 10 s and every range of a subquery is not, so that no inner step lies on a window's edge."""
from differential_data import GAPLESS, LABELS, METRICS, SPAN_S


class Expr:
    def __init__(self, text, level, odd=False, atom=False):
        self.text, self.level, self.odd, self.atom = text, level, odd, atom

    def wrapped(self):
        return self.text if self.atom else "(" + self.text + ")"


class Generator:
    def __init__(self, rng, base_s):
        self.rng, self.base_s = rng, base_s

    def pick(self, *weighted):
        """pick((3, a), (1, b)) -> one of them."""
        return self.rng.choices([x for _, x in weighted], [w for w, _ in weighted])[0]

    # ---- selectors ----

    def matcher(self, labels):
        rng = self.rng
        name = rng.choice(list(labels) + ["job", "instance"]) if rng.random() < 0.95 else "missing"
        values = LABELS.get(name, ["x"])
        value = rng.choice(values)
        form = self.pick((5, "="), (2, "!="), (3, "=~"), (2, "!~"), (1, "empty"))
        if form == "empty":
            return name + rng.choice(['=""', '!=""', '=~".*"', '=~".+"'])
        if form in ("=", "!="):
            return '%s%s"%s"' % (name, form, value)
        escaped = value.replace(".", "\\\\.").replace("+", "\\\\+")
        regex = rng.choice([escaped + "|" + rng.choice(values).replace("+", "\\\\+"), ".*" + escaped[-1:], value[:1].replace("+", "\\\\+") + ".*",
                            "(?i)" + escaped.lower(), "[a-zA-Z0-9].*", escaped + "|"])
        return '%s%s"%s"' % (name, form, regex)

    def duration(self):
        return self.rng.choice(["10s", "40s", "1m", "2m30s", "5m", "610s", "20m"])

    def modifiers(self):
        rng = self.rng
        out = ""
        if rng.random() < 0.12:
            out += " offset " + rng.choice(["", "", "-"]) + self.duration()
        if rng.random() < 0.08:
            at = rng.choice(["start()", "end()", "%d" % (self.base_s + 10 * rng.randrange(0, SPAN_S // 10))])
            out = " @ " + at + out if rng.random() < 0.5 else out + " @ " + at
        return out

    def metric(self, level=0, odd=True):
        names = [n for n, (_, l, o) in METRICS.items() if l >= level and (odd or not o)]
        return self.rng.choice(names)

    def selector(self, level=0, odd=True, name=None, window="", modified=True):
        rng = self.rng
        name = name or self.metric(level, odd)
        labels, own_level, own_odd = METRICS[name]
        matchers = [self.matcher(labels) for _ in range(self.pick((5, 0), (4, 1), (1, 2)))]
        text = name
        if rng.random() < 0.05:
            text, matchers = "", ['__name__="%s"' % name] + matchers
        elif rng.random() < 0.02:
            text, matchers, own_level = "", ['__name__=~"%s.*"' % name[:5]] + matchers, min(own_level, 1)
        if matchers:
            text += "{" + ",".join(matchers) + "}"
        return Expr(text + window + (self.modifiers() if modified else ""), own_level, own_odd, True)

    def window(self):
        return self.rng.choice(["15s", "30s", "1m", "95s", "5m", "12m30s", "1h"])

    def range(self, depth, level=0, odd=True):
        """A range vector: (text, level, odd)."""
        rng = self.rng
        if depth <= 0 or rng.random() < 0.8:
            return self.selector(level, odd, window="[" + self.window() + "]")
        inner = self.vector(depth - 1, level, odd)
        window = "[%ds:%s]" % (10 * rng.randrange(1, 90) + rng.choice([3, 7]), rng.choice(["10s", "20s", "30s", "1m", "5m", ""]))
        return Expr(inner.wrapped() + window + self.modifiers(), inner.level, inner.odd, True)

    # ---- scalars ----

    def scalar(self, depth, level=0):
        rng = self.rng
        form = self.pick((8, "number"), (2, "time"), (1, "pi"), (2 if depth > 0 else 0, "of"), (2 if depth > 0 else 0, "binary"))
        if form == "number":
            return Expr(rng.choice(["0", "1", "2", "-1", "0.5", "10", "3.25", "1e3", "0x1F", "-0.125", "NaN", "Inf", "-Inf", "100", "017"])
                        if rng.random() < 0.7 else "%d" % rng.randrange(-20, 300), 1, True, True)
        if form in ("time", "pi"):
            return Expr(form + "()", 1, False, True)
        if form == "of":
            v = self.vector(depth - 1, level)
            return Expr("scalar(%s)" % v.text, min(v.level, 1), True, True)
        a, b = self.scalar(depth - 1, 1), self.scalar(depth - 1, 1)
        op = rng.choice(["+", "-", "*", "/", "%", "== bool", "< bool", ">= bool", "!= bool"])
        return Expr("%s %s %s" % (a.wrapped(), op, b.wrapped()), 1, True)

    # ---- vectors ----

    def vector(self, depth, level=0, odd=True):
        if depth <= 0:
            return self.selector(level, odd)
        form = self.pick((3, self.selector_again), (6, self.window_function), (5, self.instant_function), (6, self.aggregation),
                         (6, self.binary), (2, self.label_function), (1, self.small_form), (1, self.quantile_of_histogram))
        e = form(depth, level, odd)
        return e if e.level >= level and (odd or not e.odd) else self.selector(level, odd)

    def selector_again(self, depth, level, odd):
        return self.selector(level, odd)

    def window_function(self, depth, level, odd):
        rng = self.rng
        same = ["min_over_time", "max_over_time", "last_over_time", "count_over_time", "present_over_time", "changes", "resets",
                "absent_over_time", "sum_over_time"]
        rough = ["rate", "increase", "delta", "irate", "idelta", "deriv", "avg_over_time", "stddev_over_time", "stdvar_over_time",
                 "quantile_over_time", "predict_linear", "double_exponential_smoothing"]
        f = rng.choice(same if level >= 1 else same + rough + rough)
        if f == "sum_over_time":
            r = self.range(depth - 1, 2 if level else 0, odd and not level)
            return Expr("sum_over_time(%s)" % r.text, r.level if r.level == 2 else 0, r.odd, True)
        if f in ("changes", "resets", "min_over_time", "max_over_time", "last_over_time"):
            r = self.range(depth - 1, max(level, 1), odd)
            return Expr("%s(%s)" % (f, r.text), 2 if f in ("changes", "resets") else r.level, r.odd, True)
        if f in ("count_over_time", "present_over_time", "absent_over_time"):
            return Expr("%s(%s)" % (f, self.range(depth - 1, 0).text), 2, False, True)
        if f in ("rate", "increase"):
            r = self.selector(0, False, rng.choice(GAPLESS), "[" + self.window() + "]")
            return Expr("%s(%s)" % (f, r.text), 0, False, True)
        if f == "predict_linear" and rng.random() < 0.7: # 2.42 lets @ shift the window from step to step
            r = self.selector(1, False, window="[" + self.window() + "]", modified=False)
            return Expr("predict_linear(%s, %s)" % (r.text, rng.choice(["0", "60", "3600", "-30"])), 0, False, True)
        if f == "predict_linear":
            f = "deriv"
        if f == "double_exponential_smoothing":
            r = self.range(depth - 1, 1, False)
            return Expr("%s(%s, %s, %s)" % (f, r.text, rng.choice(["0.1", "0.5", "0.9", "1"]), rng.choice(["0.3", "0.7", "0"])), 0, True, True)
        # An infinity inside makes 2.42's running averages and deviations another NaN or infinity than Prometheus 3's.
        r = self.range(depth - 1, 1, f in ("delta", "irate", "idelta", "quantile_over_time"))
        if f == "quantile_over_time":
            return Expr("quantile_over_time(%s, %s)" % (rng.choice(["0", "0.5", "0.9", "1", "-1", "2"]), r.text), 0, True, True)
        return Expr("%s(%s)" % (f, r.text), 0, r.odd, True)

    def instant_function(self, depth, level, odd):
        rng = self.rng
        same = ["abs", "ceil", "floor", "round", "sgn", "sqrt", "clamp", "clamp_min", "clamp_max", "timestamp", "sort", "sort_desc",
                "round_to", "-"]
        rough = ["exp", "ln", "log2", "log10", "sin", "cos", "atan", "tanh", "deg", "rad", "acos", "asinh", "tan", "sinh", "cosh",
                 "asin", "acosh", "atanh"]
        f = rng.choice(same if level >= 1 else same * 2 + rough)
        if f in ("abs", "sort", "sort_desc", "-"):
            v = self.vector(depth - 1, level, odd)
            return Expr("-" + v.wrapped() if f == "-" else "%s(%s)" % (f, v.text), v.level, v.odd, f != "-")
        if f in ("clamp", "clamp_min", "clamp_max"):
            v = self.vector(depth - 1, level, odd)
            bounds = [self.scalar(depth - 1, 1).text for _ in range(2 if f == "clamp" else 1)]
            return Expr("%s(%s)" % (f, ", ".join([v.text] + bounds)), min(v.level, 1), True, True)
        v = self.vector(depth - 1, 1, odd)
        if f == "timestamp":
            return Expr("timestamp(%s)" % v.text, 1, False, True)
        if f == "round_to":
            return Expr("round(%s, %s)" % (v.text, rng.choice(["0.25", "10", "5", "-2", "0.1"])), 1, v.odd, True)
        return Expr("%s(%s)" % (f, v.text), 0 if f in rough else 1, True, True)

    def label_list(self, most=3):
        rng = self.rng
        names = ["method", "code", "job", "instance", "le", "room", "state", "kind", "region", "missing"]
        return ", ".join(rng.sample(names, rng.randrange(0, most + 1)))

    def aggregation(self, depth, level, odd):
        rng = self.rng
        same = ["min", "max", "count", "group", "sum", "count_values", "topk_of"]
        rough = ["sum", "avg", "stddev", "stdvar", "quantile"]
        f = rng.choice(same if level >= 1 else same + rough)
        grouping = rng.choice(["", "by (%s) " % self.label_list(), "by (%s) " % self.label_list(), "without (%s) " % self.label_list()])
        if f == "count_values":
            v = self.vector(depth - 1, 1, odd)
            return Expr('count_values %s("value", %s)' % (grouping, v.text), 2, False, True)
        if f == "topk_of": # which of equal values stays is open; their sum and number are not
            v, k = self.vector(depth - 1, 2, False), rng.randrange(0, 6)
            outer, by = rng.choice([("sum", ""), ("count", " by (job) "), ("count by (job)", " by (job) ")])
            return Expr("%s(%s%s(%d, %s))" % (outer, rng.choice(["topk", "bottomk"]), by, k, v.text), 2, False, True)
        if f == "sum":
            v = self.vector(depth - 1, 2 if level else 0, odd and not level)
            e = self.placed(f, grouping, v.text, v.level if v.level == 2 else 0, v.odd)
            return Expr("0 + " + e.text, e.level, e.odd) if level else e # the sum of -0 is -0 in 2.42, 0 in 3
        if f in ("count", "group"):
            return self.placed(f, grouping, self.vector(depth - 1, 0).text, 2, False)
        if f in ("min", "max"):
            v = self.vector(depth - 1, max(level, 1), odd)
            return self.placed(f, grouping, v.text, v.level, v.odd)
        v = self.vector(depth - 1, 1, False)
        if f == "quantile":
            return Expr("quantile %s(%s, %s)" % (grouping, rng.choice(["0.25", "0.5", "0.99", "0", "1", "-1", "2"]), v.text), 0, True, True)
        return self.placed(f, grouping, v.text, 0, v.odd)

    def placed(self, f, grouping, argument, level, odd):
        if self.rng.random() < 0.5 or not grouping:
            return Expr("%s %s(%s)" % (f, grouping, argument) if grouping else "%s(%s)" % (f, argument), level, odd, True)
        return Expr("%s(%s) %s" % (f, argument, grouping.strip()), level, odd, True)

    def binary(self, depth, level, odd):
        rng = self.rng
        form = self.pick((8, "scalar"), (6, "plain"), (6, "join"), (6, "set"), (4, "matching"), (1, "atan2"))
        if form == "atan2": # 2.42 keeps the metric name, 3 drops it: so does abs()
            name = self.metric(1, odd)
            return Expr("abs(%s atan2 %s)" % (self.selector(1, odd, name).text, self.selector(1, odd, name).text), 0, True, True)
        if form == "set":
            a, b = self.vector(depth - 1, level, odd), self.vector(depth - 1, level, odd)
            matching = rng.choice(["", "", "on (%s) " % self.label_list(2), "ignoring (%s) " % self.label_list(2)])
            return Expr("%s %s %s%s" % (a.wrapped(), rng.choice(["and", "or", "unless"]), matching, b.wrapped()), min(a.level, b.level), a.odd or b.odd)
        op = rng.choice(["+", "-", "*", "/", "%", "==", "!=", ">", "<", ">=", "<=", "== bool", "> bool", "< bool", "^"])
        out = 0 if op in ("^", "*") else 1
        if form == "scalar":
            a, b = self.vector(depth - 1, 1, odd), self.scalar(depth - 1, 1)
            if rng.random() < 0.4:
                a, b = b, a
            return Expr("%s %s %s" % (a.wrapped(), op, b.wrapped()), out, True)
        a, b = self.vector(depth - 1, 1, odd), self.vector(depth - 1, 1, odd)
        if form == "matching":
            matching = rng.choice(["on (%s)", "ignoring (%s)"]) % self.label_list(3)
            matching += rng.choice(["", "", " group_left", " group_right", " group_left(%s)" % rng.choice(["region", "version", "state", "missing"]),
                                    " group_right()"])
            return Expr("%s %s %s %s" % (a.wrapped(), op, matching, b.wrapped()), out, True)
        if form == "join":
            return self.join(op, out)
        if rng.random() < 0.6: # both sides of one metric: something matches
            name = self.metric(1, odd)
            a, b = self.selector(1, odd, name), self.selector(1, odd, name)
        return Expr("%s %s %s" % (a.wrapped(), op, b.wrapped()), out, True)

    def join(self, op, out):
        rng = self.rng
        many, one, on, include = rng.choice([
            ("requests_total", "capacity", "job, instance, method", ""), ("errors_total", "node_info", "job, instance", "region"),
            ("latency_seconds_count", "node_info", "instance, job", "region, version"), ("requests_total", "errors_total", "method, job, instance", "missing"),
            ("latency_seconds_bucket", "latency_seconds_count", "method, job, instance", "")])
        a, b = self.selector(1, True, many), self.selector(1, True, one)
        side = "group_left"
        if rng.random() < 0.3:
            a, b, side = b, a, "group_right"
        return Expr("%s %s on (%s) %s (%s) %s" % (a.text, op, on, side, include, b.text), out, True)

    def label_function(self, depth, level, odd):
        rng = self.rng
        v = self.vector(depth - 1, level, odd)
        name, source = rng.choice(["copy", "method", "job", "__name__"]), rng.choice(["method", "job", "code", "missing", "instance", "__name__"])
        if rng.random() < 0.3:
            text = 'label_join(%s, "%s", "%s", "%s", "job")' % (v.text, name, rng.choice(["-", "", "_"]), source)
        else:
            regex, replacement = rng.choice([("(.*)", "$1"), ("(.).*", "x_$1"), ("([a-z]+)_(.*)", "${2}_$1"), ("G(?P<rest>.*)", "$rest"), ("", "none"),
                                             (".*", ""), ("nothing", "never"), ("(.*)", "a$$b$2")])
            text = 'label_replace(%s, "%s", "%s", "%s", "%s")' % (v.text, name, replacement, source, regex)
        return Expr(text, v.level, v.odd, True)

    def small_form(self, depth, level, odd):
        rng = self.rng
        form = rng.choice(["vector", "absent", "clock", "time"])
        if form == "vector":
            s = self.scalar(depth - 1, 1)
            return Expr("vector(%s)" % s.text, 1, True, True)
        if form == "absent":
            return Expr("absent(%s)" % (self.selector() if rng.random() < 0.7 else self.vector(depth - 1, 0)).text, 2, False, True)
        f = rng.choice(["hour", "minute", "month", "year", "day_of_month", "day_of_week", "day_of_year", "days_in_month"])
        return Expr("%s(%s)" % (f, "timestamp(%s)" % self.vector(depth - 1, 1).text if form == "clock" else ""), 2, False, True)

    def quantile_of_histogram(self, depth, level, odd):
        rng = self.rng
        q = rng.choice(["0.4721", "0.9137", "0.0313", "0", "1", "-1", "1.5"])
        inner = rng.choice(["rate(%s)" % self.selector(name="latency_seconds_bucket", window="[5m]").text,
                            "sum by (le, job) (rate(%s))" % self.selector(name="latency_seconds_bucket", window="[2m]").text,
                            self.selector(name="latency_seconds_bucket").text, self.selector(name="partial_bucket").text,
                            self.vector(depth - 1, 1, False).text])
        return Expr("histogram_quantile(%s, %s)" % (q, inner), 0, True, True)

    # ---- what a query is ----

    def query(self):
        """(text, kind): kind "ranked" leaves open which of equal values are chosen, "sorted" fixes the order."""
        rng = self.rng
        form = self.pick((24, "vector"), (2, "scalar"), (1, "range"), (1, "string"), (2, "ranked"), (2, "sorted"))
        depth = rng.randrange(1, 5)
        if form == "scalar":
            return self.scalar(depth).text, "scalar"
        if form == "range":
            return self.range(depth).text, "range"
        if form == "string":
            return rng.choice(['"a string"', "'it\\'s'", "`raw \\n`", '"\\u00e9\\t"']), "string"
        if form == "ranked":
            grouping = rng.choice(["", "by (%s) " % self.label_list(2), "without (%s) " % self.label_list(2)])
            return "%s %s(%s, %s)" % (rng.choice(["topk", "bottomk"]), grouping, rng.choice(["0", "1", "3", "5", "1.9", "-1"]),
                                      self.vector(depth - 1, 1).text), "ranked"
        if form == "sorted":
            return "%s(%s)" % (rng.choice(["sort", "sort_desc"]), self.vector(depth - 1, 1).text), "sorted"
        return self.vector(depth).text, "vector"
