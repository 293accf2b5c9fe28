#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Checks that no compiler makes: layers, banned functions, licence lines, comments on public prototypes,
leftovers, layout. Prints each finding as FILE:LINE: what, and ends with "N passed, N failed"."""
import os
import re
import shutil
import subprocess
import sys

TOP = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
os.chdir(TOP)

# DESIGN, section 2: a folder may include headers of itself and of folders before it.
LAYERS = ["base", "model", "instrument", "instrument_http", "net", "access", "storage", "promql", "template",
          "ingest", "rules", "alerting", "outbound", "api", "server", "cli", "service"]
# What a folder must not see although it stands later in the list.
FORBIDDEN = {"instrument_http": {"model"}, "net": {"model"}, "access": {"model"}, "storage": {"net", "access"},
             "promql": {"net", "access"}, "template": {"access", "storage", "net", "promql"},
             # Services are programs beside the server: of it they see nothing.
             "service": set(LAYERS) - {"base", "instrument", "net", "access", "service"}}
PROMQL_STORAGE = {"storage/cursor.h", "storage/memory_source.h"}
BANNED = {"sprintf": "snprintf or buffer_printf", "vsprintf": "vsnprintf", "strcpy": "memcpy with a length",
          "strcat": "a buffer", "strtok": "a loop over a view", "atoi": "strtol with checks", "atof": "float_parse",
          "gets": "fgets", "alloca": "an arena", "strtod": "float_parse", "system": "nothing",
          "tmpnam": "mkstemp"}
HEAP = re.compile(r"(?<![\w>.])(malloc|calloc|realloc|free)\s*\(")
HEAP_ALLOWED = ("src/base/mem.c", "src/instrument/", "src/instrument_http/", "fuzz/", "tests/", "bench/")
LEFTOVERS = re.compile(r"\b(TODO|FIXME|XXX|HACK)\b")
LINES_MAX = 1500


def files(*suffixes):
    out = subprocess.run(["git", "ls-files", "-co", "--exclude-standard"], capture_output=True, text=True).stdout.split("\n")
    return [f for f in out if f.endswith(suffixes) and os.path.exists(f)]


def text_of(path):
    with open(path, encoding="utf-8") as f:
        return f.read()


def without_comments(text):
    """Comments and string literals become blanks, line numbers stay."""
    def blank(m):
        return re.sub(r"[^\n]", " ", m.group(0))
    return re.sub(r'/\*.*?\*/|//[^\n]*|"(?:\\.|[^"\\\n])*"|\'(?:\\.|[^\'\\\n])*\'', blank, text, flags=re.S)


def line_of(text, pos):
    return text.count("\n", 0, pos) + 1


def check_layers():
    for path in files(".c", ".h", ".cc"):
        m = re.match(r"(src|services)/(\w+)/", path)
        if not m:
            continue
        # A service knows what the kit knows, and headers of its own by their names.
        is_service = m.group(1) == "services"
        layer = "service" if is_service else m.group(2)
        if layer not in LAYERS:
            yield path, 1, "folder src/%s is not a layer" % layer
            continue
        allowed = set(LAYERS[:LAYERS.index(layer) + 1]) - FORBIDDEN.get(layer, set())
        for i, line in enumerate(text_of(path).split("\n"), 1):
            inc = re.match(r'\s*#\s*include\s+"([^"]+)"', line)
            if not inc:
                continue
            target = inc.group(1)
            other = target.split("/")[0]
            if other == ".." or ("/" not in target and not is_service):
                yield path, i, 'include "%s" by its path from src/' % target
            elif other in LAYERS and other not in allowed:
                yield path, i, "layer %s must not know %s" % (layer, other)
            elif layer == "promql" and other == "storage" and target not in PROMQL_STORAGE:
                yield path, i, "promql sees storage through cursor.h only"


def check_banned():
    for path in files(".c", ".h", ".cc"):
        code = without_comments(text_of(path))
        for name, instead in BANNED.items():
            if name == "strtod" and path.startswith(("src/instrument/", "src/instrument_http/")):
                continue  # libbelfry has libc only
            for m in re.finditer(r"(?<![\w>.])%s\s*\(" % name, code):
                yield path, line_of(code, m.start()), "%s() is banned: use %s" % (name, instead)
        if path.startswith(("src/", "services/")) and not path.startswith(HEAP_ALLOWED):
            for m in HEAP.finditer(code):
                yield path, line_of(code, m.start()), "%s() outside of mem.h" % m.group(1)


def check_licence():
    for path in files(".c", ".h", ".cc", ".py", "meson.build"):
        if "SPDX-License-Identifier: Apache-2.0" not in text_of(path)[:200]:
            yield path, 1, "no SPDX line at the top"


def check_routes():
    """One table of routes: what it does not name is not served."""
    for path in files(".c"):
        if path.startswith("src/") and path not in ("src/api/api_routes.c", "src/net/http_route.c", "src/service/service_http.c"):
            code = without_comments(text_of(path))
            for m in re.finditer(r"\bhttp_server_add_route\s*\(", code):
                yield path, line_of(code, m.start()), "routes of the server stand in src/api/api_routes.c"


def check_leftovers():
    for path in files(".c", ".h", ".cc", ".py", ".sh", ".md", ".js", ".ts"):
        if path == "tests/tidy/tidy.py":
            continue
        text = text_of(path)
        for m in LEFTOVERS.finditer(text):
            yield path, line_of(text, m.start()), "leftover: " + m.group(1)
        if path.endswith((".c", ".h", ".cc")) and text.count("\n") > LINES_MAX:
            yield path, LINES_MAX, "%d lines: split it" % text.count("\n")


def check_headers():
    """Guards, and a comment above each prototype group of include/belfry."""
    for path in files(".h"):
        text = text_of(path)
        if path.startswith(("src/", "include/")) and not re.search(r"#ifndef BELFRY_\w+_H\n#define BELFRY_\w+_H", text):
            yield path, 1, "no include guard BELFRY_..._H"
        if not path.startswith("include/belfry/"):
            continue
        lines = text.split("\n")
        commented = False
        for i, line in enumerate(lines):
            if line.strip() == "" or line.startswith("}"):
                commented = False
            if line.lstrip().startswith(("/*", "*")):
                commented = True
            if re.match(r"^[a-zA-Z].*\bbelfry_\w+\(", line) and not line.startswith("#") and not commented:
                yield path, i + 1, "public prototype without a comment"


def check_layout():
    tool = shutil.which("clang-format")
    if not tool:
        return
    names = files(".c", ".h", ".cc")
    out = subprocess.run([tool, "--dry-run"] + names, capture_output=True, text=True).stderr if names else ""
    seen = set()
    for m in re.finditer(r"^([^\s:]+):(\d+):\d+: warning: code should be clang-formatted", out, re.M):
        if m.group(1) not in seen:
            seen.add(m.group(1))
            yield m.group(1), int(m.group(2)), "layout: run make format"


def main():
    passed = failed = 0
    for check in (check_layers, check_banned, check_licence, check_routes, check_leftovers, check_headers, check_layout):
        found = list(check())
        for path, line, what in found:
            print("%s:%d: %s" % (path, line, what))
        passed += not found
        failed += len(found)
    print("%d passed, %d failed" % (passed, failed))
    sys.exit(1 if failed else 0)


main()
